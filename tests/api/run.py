"""Tests the service against its OpenAPI description, under tools/with-dev.sh. `make test` calls this."""

import os
import subprocess
import sys
from pathlib import Path

import clients
import programs
import samples
import server
import statuses

HERE = Path(__file__).parent


def schemathesis():
    known = {
        "CLIENT_ID": server.CLIENTS["valid"]["client_id"],
        "LONG_TOKEN": server.issued(server.long())["access_token"],
        "SHORT_TOKEN": server.short_token("operator"),
    }
    command = Path(sys.executable).with_name("schemathesis")
    location = f"{server.ORIGIN}/openapi.json"
    # First with Schemathesis' defaults, then with our configuration and the operator's credentials.
    for arguments in [["run", location, "--seed", "1", "-n", "60"], ["--config-file", HERE / "schemathesis.toml", "run", location]]:
        run = subprocess.run([command, *arguments], env=os.environ | known)
        if run.returncode:
            sys.exit(run.returncode)


def page():
    client = server.CLIENTS["valid"]
    known = {"ORIGIN": server.ORIGIN, "CLIENT_ID": client["client_id"], "CLIENT_SECRET": client["client_secret"]}
    run = subprocess.run(["node", HERE / "page.mjs"], env=os.environ | known)
    if run.returncode:
        sys.exit(run.returncode)


def main():
    print("== Clients from the official generator", flush=True)
    clients.main()
    print("== The reference page: its samples, and in a browser", flush=True)
    samples.main()
    page()
    print("== The programs of docs/clients.md", flush=True)
    programs.main()
    print("== The service against its OpenAPI description: every documented answer", flush=True)
    statuses.main()
    # Last, since as an operator it may change and delete every other client.
    print("== The service against its OpenAPI description: Schemathesis", flush=True)
    schemathesis()


if __name__ == "__main__":
    main()
