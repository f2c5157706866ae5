"""Checks the OpenAPI description and the service against each other, in both directions.

Every (operation, status, code) that openapi.yaml documents is reached by a request made for it, and every response on
the way is documented: its status, code, content type, headers and body.
"""

import time
from contextlib import contextmanager, suppress

import jsonschema_rs
import requests

import server

TRIES = 120


class Walk:
    def __init__(self):
        document = server.session.get(f"{server.ORIGIN}/openapi.json").json()
        self.documented = {}
        for path, methods in document["paths"].items():
            outside = "servers" in methods
            for method, operation in methods.items():
                if method == "servers":
                    continue
                for status, response in operation["responses"].items():
                    self.documented[operation["operationId"], int(status)] = self.resolved(document, response)
        self.reached = set()

    @staticmethod
    def resolved(document, node):
        """The node with every $ref in it resolved."""
        if isinstance(node, list):
            return [Walk.resolved(document, item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            target = document
            for key in node["$ref"].removeprefix("#/").split("/"):
                target = target[key]
            return Walk.resolved(document, target)
        return {key: Walk.resolved(document, value) for key, value in node.items()}

    @staticmethod
    def codes(response):
        examples = [
            example["value"] for content in response.get("content", {}).values() for example in content.get("examples", {}).values()
        ]
        return {example["code"] for example in examples if "code" in example} or {None}

    def saw(self, operation, response):
        """Records a response, which must be documented."""
        status, shown = response.status_code, f"{operation} answered {response.status_code}: {response.text[:300]}"
        documented = self.documented.get((operation, status))
        assert documented is not None, f"undocumented: {shown}"
        code = response.json()["code"] if status >= 400 else None
        assert code in self.codes(documented), f"undocumented code: {shown}"
        media_type = response.headers.get("Content-Type", "").split(";")[0]
        content = documented.get("content") or {"": {"schema": {}}}
        assert media_type in content, f"undocumented content type {media_type!r}: {shown}"
        body = response.json() if media_type == "application/json" else response.text
        jsonschema_rs.validate(content[media_type].get("schema", {}), body, validate_formats=True)
        for name, header in documented.get("headers", {}).items():
            assert name in response.headers or not header.get("required"), f"without {name}: {shown}"
        assert response.headers["X-Content-Type-Options"] == "nosniff", shown
        self.reached.add((operation, status, code))
        return response

    def missing(self):
        wanted = {(*key, code) for key, response in self.documented.items() for code in self.codes(response)}
        return sorted(wanted - self.reached, key=str)


def get(path):
    return server.session.get(server.ORIGIN + path)


DOCUMENTS = {
    "getJwks": "/.well-known/jwks.json",
    "getMetadata": "/.well-known/oauth-authorization-server",
    "getHealth": "/healthz",
    "getRevocations": "/.well-known/revocations",
    "getOpenApi": "/openapi.json",
    "getDocs": "/docs",
}


CLIENT = {"scopes": ["jobs:submit"], "mechanisms": ["secret"]}
JWK = {"kid": "1", "alg": "EdDSA", "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
SHOWN_ONCE = {"client_secret", "totp_secret", "otpauth_uri"}


def everything(walk):
    """Calls each operation once, with a request that reaches the service or the setting that is broken."""
    token = walk.tokens["long"]
    walk.saw("issueLongTermToken", server.long())
    walk.saw("issueShortTermToken", server.short(walk.tokens["immediate"]))
    walk.saw("revokeToken", server.revoke(token, walk.tokens["other_id"]))
    walk.saw("introspectToken", server.introspect(token, token=walk.tokens["short"]))
    for operation in server.OPERATORS:
        walk.saw(operation, server.operate(operation, walk.tokens["operator"], json=CLIENT))


def tokens(walk):
    """Every status of the token operations and the documents, except 429, 500 and 503."""
    saw = walk.saw
    url = f"{server.BASE_URL}/auth/tokens/long"
    client = server.CLIENTS["valid"]

    issued = saw("issueLongTermToken", server.long()).json()
    long_token = issued["access_token"]
    short_token = saw("issueShortTermToken", server.short(long_token)).json()["access_token"]
    walk.tokens = {
        "long": long_token,
        "short": short_token,
        "other_id": server.issued(server.long())["token_id"],
        "immediate": server.issued(server.long("immediate"))["access_token"],
        "operator": server.short_token("operator"),
        "reader": server.short_token("reader"),
    }

    saw("issueLongTermToken", server.long(otp_code=server.code("valid")))
    saw("issueLongTermToken", server.long(grant_type="password"))
    saw("issueLongTermToken", server.long(ttl_seconds=1))
    saw("issueLongTermToken", server.session.post(url, data="{}", headers=server.bearer("x")))
    saw("issueLongTermToken", server.long(scopes=["Jobs"]))
    saw("issueLongTermToken", server.long(client_secret="wrong"))
    saw("issueLongTermToken", server.long(headers={}))
    saw("issueLongTermToken", server.long(scopes=["billing:read"]))
    saw("issueLongTermToken", server.long("suspended"))
    saw("issueLongTermToken", server.long("no_otp", otp_code=server.code("no_otp")))
    rotation = {"grant_type": "client_credentials", "client_id": client["client_id"]}
    for token in [short_token, long_token, "x", server.issued(server.short(long_token, scopes=["jobs:submit"]))["access_token"]]:
        saw("issueLongTermToken", server.session.post(url, json=rotation, headers=server.bearer(token)))

    saw("issueShortTermToken", server.short(None, long_token=long_token))
    saw("issueShortTermToken", server.short(long_token, long_token="other"))
    saw("issueShortTermToken", server.short(long_token, scopes=["billing:read"]))
    saw("issueShortTermToken", server.short(None))
    saw("issueShortTermToken", server.short(short_token))

    narrow = server.issued(server.long("narrow", scopes=["jobs:submit"]))
    ended = server.issued(server.long())
    saw("revokeToken", server.revoke(long_token, "tok_lt_x"))
    saw("revokeToken", server.revoke(narrow["access_token"], server.issued(server.long("narrow"))["token_id"]))
    saw("revokeToken", server.revoke(narrow["access_token"], ended["token_id"]))
    for _ in range(2):
        saw("revokeToken", server.revoke(ended["access_token"], ended["token_id"]))
    saw("revokeToken", server.revoke(None, ended["token_id"]))

    saw("introspectToken", server.introspect(long_token, token=short_token))
    saw("introspectToken", server.introspect(long_token, token="garbage"))
    saw("introspectToken", server.introspect(long_token))
    saw("introspectToken", server.introspect(None, token=short_token))
    saw("introspectToken", server.introspect(narrow["access_token"], token=short_token))

    for operation, path in DOCUMENTS.items():
        saw(operation, get(path))
        head = server.session.head(server.ORIGIN + path)
        assert head.status_code == 200 and not head.content, f"HEAD {path}: {head.status_code}"
        refused(405, "method_not_allowed", saw(operation, server.session.post(server.ORIGIN + path)), allow="GET, HEAD")
        refused(404, "not_found", server.session.get(f"{server.ORIGIN}{path}/"))
    for path in ["long", "short", "introspect", "tok_lt_x/revoke"]:
        refused(405, "method_not_allowed", server.session.get(f"{server.BASE_URL}/auth/tokens/{path}"), allow="POST")


def operators(walk):
    """Every status of the operators' calls, except 429, 500 and 503."""

    def call(operation, client_id="c2m_nobody", by=walk.tokens["operator"], **request):
        return walk.saw(operation, server.operate(operation, by, client_id, **request))

    # A client with every member, from creation to deletion.
    mechanisms = ["secret", "otp", "assertion", "rotation"]
    members = CLIENT | {"client_name": "Ä", "mechanisms": mechanisms, "max_ttl_seconds": 3600, "consistency": "immediate"}
    created = call("createClient", json=members | {"region": "weur", "jwks": {"keys": [JWK | {"use": "sig"}]}})
    client, created_etag = created.json(), {"If-Match": created.headers["ETag"]}
    client_id, secret_id = client["client_id"], client["secrets"][0]["secret_id"]
    assert SHOWN_ONCE <= client.keys() and client["jwks"] == {"keys": [JWK]}, client
    shown = call("getClient", client_id)
    assert shown.json() == {name: client[name] for name in client.keys() - SHOWN_ONCE}
    assert shown.headers["ETag"] == created.headers["ETag"]
    head = server.session.head(shown.url, headers=server.bearer(walk.tokens["operator"]))
    assert (head.status_code, head.headers["ETag"], head.content) == (200, shown.headers["ETag"], b"")
    call("createClient", json=CLIENT | {"client_id": client_id})
    call("createClient", json=CLIENT | {"jwks": {"keys": [JWK | {"d": JWK["x"]}]}})
    call("createClient", json=CLIENT | {"scopes": ["Jobs"]})

    merge_patch = created_etag | {"Content-Type": "application/merge-patch+json"}
    changed = call("updateClient", client_id, data='{"client_name": null, "max_ttl_seconds": 7200}', headers=merge_patch)
    assert "client_name" not in changed.json() and changed.json()["max_ttl_seconds"] == 7200, changed.text
    call("updateClient", client_id, json={"status": "suspended"}, headers=created_etag)
    call("updateClient", client_id, json={"jwks": None})
    call("updateClient", client_id, json={"scopes": []})

    second = call("createClientSecret", client_id).json()
    call("createClientSecret", client_id)
    call("endClientSecret", client_id, secret_id=secret_id, params={"in": 60})
    call("endClientSecret", client_id, secret_id=secret_id, params={"in": -1})
    call("endClientSecret", client_id, secret_id=second["secret_id"])
    (left,) = call("getClient", client_id).json()["secrets"]
    assert left["secret_id"] == secret_id and left["expires_at"], left
    call("createClientTotp", client_id)
    call("endClientTokens", client_id)

    listed, pages = {}, 0
    params = {"limit": 2}
    while params:
        page = call("listClients", params=params).json()
        listed |= {client["client_id"]: client["status"] for client in page["clients"]}
        pages += 1
        params = {"limit": 2, "cursor": page["cursor"]} if "cursor" in page else None
    assert pages > 1 and listed[client_id] == "active", listed
    assert listed[server.CLIENTS["suspended"]["client_id"]] == "suspended", listed
    call("listClients", params={"cursor": "x"})

    call("deleteClient", client_id, headers=created_etag)
    for _ in range(2):
        call("deleteClient", client_id)
    call("createClient", json=CLIENT | {"client_id": client_id})

    # The calls that only the first operator may make, and those that no caller may make about it.
    another = server.short_token(call("createClient", json=CLIENT | {"scopes": ["clients:write"]}).json())
    call("createClient", by=another, json=CLIENT | {"scopes": ["clients:read"]})
    call("updateClient", server.CLIENTS["valid"]["client_id"], by=another, json={"scopes": ["clients:read"]})
    first = server.CLIENTS["operator"]["client_id"]
    secret_id = call("getClient", first).json()["secrets"][0]["secret_id"]
    for operation in ["updateClient", "createClientSecret", "endClientSecret", "createClientTotp", "deleteClient"]:
        refused(409, "conflict", call(operation, first, secret_id=secret_id, json={}))

    for operation in server.OPERATORS:
        if operation not in ["createClient", "listClients"]:
            refused(404, "not_found", call(operation, json={}))
        refused(401, "invalid_token", call(operation, by=None))
        refused(401, "invalid_token", call(operation, by=walk.tokens["long"]))
        refused(401, "insufficient_scope", call(operation, by=walk.tokens["short"]))
        if operation not in ["listClients", "getClient"]:
            refused(401, "insufficient_scope", call(operation, by=walk.tokens["reader"]))
    for path, allow in {
        "": "GET, HEAD, POST",
        "/x": "GET, HEAD, PATCH, DELETE",
        "/x/secrets": "POST",
        "/x/secrets/x": "DELETE",
        "/x/totp": "POST",
        "/x/end-tokens": "POST",
    }.items():
        refused(405, "method_not_allowed", server.session.put(f"{server.BASE_URL}/clients{path}"), allow=allow)


def refused(status, code, response, allow=None):
    """Checks a refusal's status, code and Allow header."""
    assert (response.status_code, response.json()["code"]) == (status, code), f"{response.url}: {response.text}"
    assert response.headers.get("Allow") == allow, response.url


def limits(walk):
    """429: the limits are set so low that a few calls exceed them."""
    with changed("wrangler.toml", "limit = 1000000,", "limit = 1,"):
        for operation, call in {
            "issueLongTermToken": server.long,
            "issueShortTermToken": lambda: server.short(walk.tokens["long"]),
        }.items():
            until(429, lambda: walk.saw(operation, call()))
    until(201, server.long)


def feed(walk):
    """The feed in private and off mode, and 304."""
    def read(**headers):
        return walk.saw("getRevocations", server.session.get(url, headers=headers))

    url = server.ORIGIN + "/.well-known/revocations"
    read(**{"If-None-Match": read().headers["ETag"]})
    with changed("wrangler.toml", 'REVOCATION_FEED = "public"', 'REVOCATION_FEED = "private"'):
        until(401, read)
        read(**server.bearer("x"))
        read(**server.bearer(server.issued(server.short(walk.tokens["long"], scopes=["jobs:submit"]))["access_token"]))
        assert read(**server.bearer(walk.tokens["reader"])).headers["Cache-Control"] == "private, max-age=2"
    with changed("wrangler.toml", 'REVOCATION_FEED = "public"', 'REVOCATION_FEED = "off"'):
        until(404, read)
    until(200, read)


def breakdowns(walk):
    """503: the clients' objects can't be reached, or the feed's. 500: a setting is missing or malformed."""
    with changed("wrangler.toml", 'class_name = "Client" }', 'class_name = "Client", script_name = "absent" }'):
        until(503, lambda: get("/healthz"))
        everything(walk)
        walk.saw("getHealth", get("/healthz"))
        # An eventual client's exchange still works, with KV.
        server.issued(server.short(walk.tokens["long"]))

    with changed("wrangler.toml", 'class_name = "Feed" }', 'class_name = "Feed", script_name = "absent" }'):
        until(503, lambda: walk.saw("getRevocations", get("/.well-known/revocations")))
    until(200, lambda: get("/.well-known/revocations"))

    for setting, broken in {"AUTH_KEYS=": "NO_KEYS=", "OPERATOR=": "OPERATOR=x"}.items():
        until(200, lambda: get("/healthz"))
        with changed(".dev.vars", setting, broken):
            until(500, lambda: get("/healthz"))
            everything(walk)
            for operation, path in DOCUMENTS.items():
                walk.saw(operation, get(path))
    until(200, lambda: get("/healthz"))


@contextmanager
def changed(name, old, new):
    """Changes the server's settings temporarily. wrangler reloads them when its configuration file is written."""
    file, config = server.FOLDER / name, server.FOLDER / "wrangler.toml"
    text = file.read_text()
    assert old in text, f"{name} has no {old}"
    file.write_text(text.replace(old, new))
    config.write_text(config.read_text())
    yield
    file.write_text(text)
    config.write_text(config.read_text())


def until(status, call):
    """Repeats a call until a change of settings has taken effect; the server may be down for a moment."""
    for _ in range(TRIES):
        with suppress(requests.ConnectionError):
            if call().status_code == status:
                return
        time.sleep(0.25)
    raise AssertionError(f"no answer with status {status} within {TRIES // 4} seconds")


def main():
    walk = Walk()
    walk.tokens = {}
    tokens(walk)
    operators(walk)
    limits(walk)
    feed(walk)
    breakdowns(walk)
    missing = walk.missing()
    assert not missing, f"documented, but not reached: {missing}"
    print(f"{len(walk.reached)} documented answers of {len({key for key, *_ in walk.reached})} operations, each reached")
