#!/usr/bin/env bash
# ENV=production tools/deploy.sh FLAG…   deploys an environment of wrangler.toml and waits until it answers. `make deploy` calls it.
#
# If secrets.ENV.json is in this folder, its secrets are uploaded; otherwise the Worker keeps its own. Flags are those
# of `wrangler deploy`, which logs in first if needed; in CI, set CLOUDFLARE_API_TOKEN.
set -euo pipefail
cd "$(dirname "$0")/.."
secrets="secrets.$ENV.json"
operator="operator.$ENV.toml"

if sed -n "/^\[env\.$ENV\]/,/^\[/p" wrangler.toml | grep -q REPLACE; then
    echo "[env.$ENV] of wrangler.toml still contains REPLACE. Put your domain and your API's URL there first." >&2
    exit 1
fi

flags=()
if [ -e "$secrets" ]; then
    flags+=(--secrets-file "$secrets")
else
    echo "There is no $secrets, so the Worker keeps its current secrets. Before the first deployment, run: cargo run -p admin -- init --env $ENV"
fi
wrangler deploy --env "$ENV" ${flags[@]+"${flags[@]}"} "$@"
case " $* " in *' --dry-run '*) exit ;; esac

# jwks.json is served only if all settings parse. It is at the issuer's origin, whatever the routes are.
url=$(sed -n 's/^url = "\(.*\)"/\1/p' "$operator" 2>/dev/null || true)
[ -n "$url" ] || { echo "Deployed. Not checked, since there is no $operator with its URL."; exit; }
origin=$(sed -E 's|^(https?://[^/]+).*|\1|' <<<"$url")
printf 'Waiting for %s (a new domain may take some minutes) ' "$origin"
for ((tries = 0; tries < 60; tries++)); do
    status=$(curl -s -m 5 -o /dev/null -w '%{http_code}' "$origin/.well-known/jwks.json" || true)
    case $status in
        200) echo "ready."
            echo "Create a client: target/debug/admin client new --env $ENV --scope 'jobs:*' --mechanism secret"
            exit ;;
        500) echo; echo "It answers 500: a setting is missing or malformed. See its log for which one: npx wrangler tail --env $ENV" >&2; exit 1 ;;
    esac
    printf .
    sleep 5
done
echo
echo "$origin does not answer yet (last status: $status). Check routes in wrangler.toml, and the domain in Cloudflare's dashboard." >&2
exit 1
