#!/usr/bin/env bash
# tools/with-dev.sh COMMAND…   runs a command with its own `wrangler dev`: new keys, clients and state, on a free port.
#
# The command gets these environment variables:
#   BASE_URL     for example http://127.0.0.1:40001/v1
#   IDENTITIES   the file with each client's credentials
#   DEV_FOLDER   the folder of the server's wrangler.toml and .dev.vars; wrangler reloads them when they change
#
# If LIMIT (calls per minute) is set, it replaces every rate limit there. When the command ends, the server and all
# processes that the command left are stopped. If it failed, the server's log is kept.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
export PATH="$root/node_modules/.bin:$PATH" WRANGLER_SEND_METRICS=false NO_PROXY=127.0.0.1 no_proxy=127.0.0.1

[ $# -gt 0 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ -e "$root/build/index_bg.wasm" ] || { echo "with-dev: the Worker is not built; run make worker" >&2; exit 2; }

mkdir -p "$root/target/with-dev"
DEV_FOLDER=$(mktemp -d "$root/target/with-dev/XXXXXX")
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })')
export DEV_FOLDER BASE_URL="http://127.0.0.1:$port/v1" IDENTITIES="$DEV_FOLDER/.dev/identities.toml"

# Job control gives each background job a process group, so that its children can be killed with it.
set -m
server='' command=''
finish() {
    local status=$?
    trap - EXIT INT TERM HUP
    for job in $command $server; do kill -KILL -- "-$job" 2>/dev/null || true; done
    wait 2>/dev/null || true
    if [ "$status" = 0 ]; then rm -rf "$DEV_FOLDER"; else echo "with-dev: the server's log is $DEV_FOLDER/log" >&2; fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

sed -e 's|^main = "build/|main = "../../../build/|' -e 's/^\[build\]/[unused]/' ${LIMIT:+-e "s/limit = [0-9]*,/limit = $LIMIT,/"} \
    "$root/wrangler.toml" >"$DEV_FOLDER/wrangler.toml"
cd "$DEV_FOLDER"
"$root/target/debug/admin" init --url "$BASE_URL" >log
CI=true wrangler dev --port "$port" --inspector-port 0 --var "ISSUER:http://127.0.0.1:$port" \
    --var "AUDIENCE:http://127.0.0.1:$port" </dev/null >>log 2>&1 &
server=$!
up() { [ "$(curl -s -m 5 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/nothing")" = 404 ]; }
for ((tries = 0; ; tries++)); do
    up && break
    if [ $tries -gt 240 ] || ! kill -0 "$server" 2>/dev/null; then echo "with-dev: wrangler dev did not start within a minute" >&2; exit 1; fi
    sleep 0.25
done
"$root/target/debug/admin" dev --operator .dev/operator.toml >>log

cd "$root"
"$@" <&0 &
command=$!
wait "$command" && status=0 || status=$?
exit "$status"
