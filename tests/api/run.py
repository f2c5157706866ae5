"""The service against its description, under tools/with-dev.sh. `make test` calls this."""

import os
import subprocess
import sys
from pathlib import Path

import generated_client
import server
import statuses

HERE = Path(__file__).parent


def schemathesis():
    client = server.CLIENTS["valid"]
    long_token = server.issued(server.long())["access_token"]
    known = {
        "CLIENT_ID": client["client_id"],
        "CLIENT_SECRET": client["client_secret"],
        "LONG_TOKEN": long_token,
        "SHORT_TOKEN": server.issued(server.short(long_token))["access_token"],
    }
    command = [Path(sys.executable).with_name("schemathesis"), "--config-file", HERE / "schemathesis.toml"]
    run = subprocess.run([*command, "run", f"{server.ORIGIN}/openapi.json"], env=os.environ | known)
    if run.returncode:
        sys.exit(run.returncode)


def main():
    print("== A client made by the official generator", flush=True)
    generated_client.main()
    print("== The service against its description: Schemathesis", flush=True)
    schemathesis()
    # The last, as it breaks the server.
    print("== The service against its description: every documented answer", flush=True)
    statuses.main()


if __name__ == "__main__":
    main()
