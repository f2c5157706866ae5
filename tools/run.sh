#!/usr/bin/env bash
# Starts the service on this machine and prints how to use it. `make run` calls it, with everything installed.
set -euo pipefail
url="http://127.0.0.1:$PORT"
export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1

if (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; then
    echo "Port $PORT is in use. Choose another, for example: make run PORT=9000" >&2
    exit 1
fi

target/debug/admin init >/dev/null
# The operator's file has the URL of the port that is in use now.
sed -i.old "s|^url = .*|url = \"$url/v1\"|" .dev/operator.toml && rm .dev/operator.toml.old

of_valid() { sed -n "/^\[valid\]/,/^\[/s/^$1 = \"\(.*\)\"/\1/p" .dev/identities.toml; }
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

# Creates the development clients as soon as the service answers, and prints how to use it, with a newly issued token.
show() {
    local client_id client_secret body issued long token_id
    for _ in $(seq 240); do
        sleep 0.5
        [ "$(curl -s -m 5 -o /dev/null -w '%{http_code}' "$url/healthz")" != 200 ] || break
    done
    target/debug/admin dev --operator .dev/operator.toml --url "$url/v1" >/dev/null || { echo "The development clients could not be created; see the error above." >&2; return; }
    client_id=$(of_valid client_id)
    client_secret=$(of_valid client_secret)
    body="{\"grant_type\":\"client_credentials\",\"client_id\":\"$client_id\",\"client_secret\":\"$client_secret\"}"
    issued=$(curl -s -m 5 "$url/v1/auth/tokens/long" -H "X-Client-Id: $client_id" -H 'Content-Type: application/json' -d "$body" || true)
    long=$(field access_token <<<"$issued")
    [ -n "$long" ] || { echo "The service did not issue a token; its response was: $issued" >&2; return; }
    token_id=$(field token_id <<<"$issued")
    (umask 077 && printf '%s\n' "URL=$url/v1" "CLIENT_ID=$client_id" "CLIENT_SECRET=$client_secret" >.dev/client.env)
    cat <<TEXT

auth-edge is running on $url. These commands work as they are, in another terminal:

Get a long-term token with the client's secret:
curl -s $url/v1/auth/tokens/long -H 'X-Client-Id: $client_id' -H 'Content-Type: application/json' -d '$body'

Exchange a long-term token for a short-term one:
curl -s -X POST $url/v1/auth/tokens/short -H 'Authorization: Bearer $long'

Revoke that long-term token (prints 204; after that, the command above gets 401):
curl -s -o /dev/null -w '%{http_code}\n' -X POST $url/v1/auth/tokens/$token_id/revoke -H 'Authorization: Bearer $long'

More clients, one for each role of the conformance harness, are in .dev/identities.toml. List them as the operator:
target/debug/admin client list

Ctrl-C stops the service.

TEXT
}

show &
waiter=$!
trap 'kill $waiter 2>/dev/null || true' EXIT
echo "== Starting wrangler dev on $url"
wrangler dev --port "$PORT" --var "ISSUER:$url" --var "AUDIENCE:$url" --show-interactive-dev-session=false
