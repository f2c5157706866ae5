#!/usr/bin/env bash
# Starts the service on this machine and says how to use it. `make run` calls it, with everything installed.
set -euo pipefail
url="http://127.0.0.1:$PORT"
export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1

if (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; then
    echo "Port $PORT is taken. Choose another: make run PORT=9000" >&2
    exit 1
fi

# The registry is seeded once for each set of clients; the stamp lies with the state, so that it goes when that goes.
if [ ! -e .wrangler/seeded ] || [ .dev/clients.json -nt .wrangler/seeded ]; then
    echo "== Putting the development clients into the local registry"
    wrangler kv bulk put .dev/clients.json --binding CLIENTS --local >/dev/null
    touch .wrangler/seeded
fi

of_valid() { sed -n "/^\[valid\]/,/^\[/s/^$1 = \"\(.*\)\"/\1/p" .dev/identities.toml; }
client_id=$(of_valid client_id)
client_secret=$(of_valid client_secret)
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

# Says how to use the service, with a token that it has just issued, as soon as it answers.
show() {
    local body issued long token_id
    body="{\"grant_type\":\"client_credentials\",\"client_id\":\"$client_id\",\"client_secret\":\"$client_secret\"}"
    for _ in $(seq 240); do
        sleep 0.5
        issued=$(curl -s -m 5 "$url/v1/auth/tokens/long" -H "X-Client-Id: $client_id" -H 'Content-Type: application/json' -d "$body" || true)
        long=$(field access_token <<<"$issued")
        [ -z "$long" ] || break
    done
    [ -n "$long" ] || { echo "The service did not issue a token; its last answer was: $issued" >&2; return; }
    token_id=$(field token_id <<<"$issued")
    cat <<TEXT

auth-edge is up on $url. These lines work as they are, in another terminal:

A long-term token, by the client's secret:
curl -s $url/v1/auth/tokens/long -H 'X-Client-Id: $client_id' -H 'Content-Type: application/json' -d '$body'

A short-term token, for a long-term one:
curl -s -X POST $url/v1/auth/tokens/short -H 'Authorization: Bearer $long'

Revoke that long-term token (prints 204; the line above answers 401 from then on):
curl -s -o /dev/null -w '%{http_code}\n' -X POST $url/v1/auth/tokens/$token_id/revoke -H 'Authorization: Bearer $long'

More clients, one for each role of the conformance harness: .dev/identities.toml. Ctrl-C stops the service.

TEXT
}

show &
waiter=$!
trap 'kill $waiter 2>/dev/null || true' EXIT
echo "== Starting wrangler dev on $url"
wrangler dev --port "$PORT" --var "ISSUER:$url" --var "AUDIENCE:$url" --show-interactive-dev-session=false
