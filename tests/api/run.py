"""The service against its description, under tools/with-dev.sh. `make test` calls this."""

import os
import subprocess
import sys
from pathlib import Path

import clients
import server
import statuses

HERE = Path(__file__).parent


def schemathesis():
    long_token = server.issued(server.long())["access_token"]
    known = {
        "CLIENT_ID": server.CLIENTS["valid"]["client_id"],
        "LONG_TOKEN": long_token,
        "SHORT_TOKEN": server.issued(server.short(long_token))["access_token"],
    }
    command = Path(sys.executable).with_name("schemathesis")
    location = f"{server.ORIGIN}/openapi.json"
    # With credentials and our configuration, then as a stranger runs it.
    for arguments in [["--config-file", HERE / "schemathesis.toml", "run", location], ["run", location, "--seed", "1", "-n", "60"]]:
        run = subprocess.run([command, *arguments], env=os.environ | known)
        if run.returncode:
            sys.exit(run.returncode)


def main():
    print("== Clients made by the official generator", flush=True)
    clients.main()
    print("== The service against its description: Schemathesis", flush=True)
    schemathesis()
    # The last, as it breaks the server.
    print("== The service against its description: every documented answer", flush=True)
    statuses.main()


if __name__ == "__main__":
    main()
