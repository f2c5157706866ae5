"""Runs the programs of docs/clients.md as that document says: each caller with the API in its language, and after a revocation."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import jwt
import requests

import server

ROOT = Path(__file__).parents[2]
# Below the root, so that Node finds its packages.
FOLDER = ROOT / "target" / "programs"
PORT = "9001"
RUN = {"ts": ["node"], "py": [sys.executable]}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def programs(port):
    """Writes each program to a file, under the name in its first line. Returns those names by language and role."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    found = {}
    for language, text in re.findall(r"^```(ts|py)\n(.*?)^```", (ROOT / "docs" / "clients.md").read_text(), re.M | re.S):
        name = re.search(r"(caller|api)\.(mts|py)", text.partition("\n")[0])
        (FOLDER / name[0]).write_text(text.replace(PORT, port))
        found[language, name[1]] = name[0]
    return found


def status(port, token):
    return server.session.post(f"http://127.0.0.1:{port}/jobs", headers=server.bearer(token)).status_code


def until(wanted, get, what):
    """An API needs a moment to start, and some seconds to hear of a revocation."""
    for _ in range(150):
        try:
            if (got := get()) == wanted:
                return
        except requests.ConnectionError as error:
            got = error
        time.sleep(0.1)
    raise AssertionError(f"{what}: wanted {wanted}, got {got}; its log is in {FOLDER}")


def main():
    port = free_port()
    files = programs(port)
    assert len(files) == 4, files
    client = server.CLIENTS["valid"]
    issued = server.issued(server.short(server.issued(server.long())["access_token"]))
    token = issued["access_token"]
    env = os.environ | {
        "ISSUER": server.ORIGIN,
        "AUDIENCE": jwt.decode(token, options={"verify_signature": False})["aud"],
        "URL": server.BASE_URL,
        "CLIENT_ID": client["client_id"],
        "CLIENT_SECRET": client["client_secret"],
    }
    run = lambda language, role: [*RUN[language], files[language, role]]
    for language in RUN:
        log = (FOLDER / f"api.{language}.log").open("w")
        api = subprocess.Popen(run(language, "api"), cwd=FOLDER, env=env, stdout=log, stderr=log)
        try:
            until(200, lambda: status(port, token), f"the API in {files[language, 'api']}, with a live token")
            made = subprocess.run(run(language, "caller"), cwd=FOLDER, env=env, capture_output=True, text=True, timeout=60)
            assert made.stdout.split()[-1:] == ["200"], f"{files[language, 'caller']}: {made.stdout}{made.stderr}"
            assert status(port, "not.a.token") == 401
            ended = server.issued(server.short(server.issued(server.long())["access_token"]))
            assert server.revoke(ended["access_token"], ended["token_id"]).status_code == 204
            until(401, lambda: status(port, ended["access_token"]), f"the API in {files[language, 'api']}, after a revocation")
        finally:
            api.kill()
            api.wait()
            log.close()
    print("The programs of docs/clients.md work; their APIs refuse a revoked token")
