"""Generates clients from openapi.yaml with the official generator, and calls the token operations and the operators' API with each.

Every credential is configured at once, as the generator's own documentation shows."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import server

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TARGET = ROOT / "target" / "clients"
# An example of the crate that `rust` generates. No TLS: the server is on this machine.
RUN_EXAMPLE = ["cargo", "run", "--quiet", "--manifest-path", TARGET / "rust" / "Cargo.toml", "--target-dir", ROOT / "target"]
RUN_EXAMPLE += ["--no-default-features", "--example"]


def generated(language):
    """Generates a client in this language, and returns its folder."""
    folder = TARGET / language
    run(
        *[Path(sys.executable).with_name("openapi-generator-cli"), "generate", "-g", language, "-i", ROOT / "openapi.yaml"],
        *["-o", folder, "--package-name", "c2m_api"],
        *["--global-property", "models,apis,supportingFiles,modelDocs=false,apiDocs=false,modelTests=false,apiTests=false"],
        quiet=True,
    )
    return folder


def python():
    sys.path.insert(0, str(generated("python")))
    import client

    client.main()


def rust():
    """Runs our example in the generated crate, which is outside our workspace but reuses its Cargo.lock and build folder."""
    folder = generated("rust")
    with (folder / "Cargo.toml").open("a") as manifest:
        manifest.write(
            '[dev-dependencies]\ntokio = { version = "1", features = ["macros", "rt"] }\n'
            # For the samples of the reference page, which are built here too.
            'reqwest = { version = "0.13", default-features = false, features = ["blocking", "json"] }\n'
            f'[[example]]\nname = "client"\npath = "{HERE / "client.rs"}"\n[workspace]\n'
        )
    if not (folder / "Cargo.lock").exists():
        shutil.copy(ROOT / "Cargo.lock", folder)
    run(*RUN_EXAMPLE, "client")


def typescript():
    generated("typescript-fetch")
    bundle = TARGET / "client.mjs"
    run("esbuild", HERE / "client.ts", "--bundle", "--platform=node", "--format=esm", "--log-level=warning", f"--outfile={bundle}")
    run("node", bundle)


def run(*command, quiet=False):
    client = server.CLIENTS["valid"]
    known = {"CLIENT_ID": client["client_id"], "CLIENT_SECRET": client["client_secret"]}
    known |= {"OPERATOR_TOKEN": server.short_token("operator")}
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} if quiet else {}
    made = subprocess.run(command, env=os.environ | known, text=True, **output)
    assert made.returncode == 0, made.stdout or f"{command[0]} failed"


def main():
    for check in [python, rust, typescript]:
        check()
