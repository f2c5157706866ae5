"""The server under test, as started by tools/with-dev.sh, and its clients."""

import base64
import hashlib
import hmac
import os
import struct
import time
from pathlib import Path
from urllib.parse import urlsplit

import requests

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

BASE_URL = os.environ["BASE_URL"]
ORIGIN = "{0.scheme}://{0.netloc}".format(urlsplit(BASE_URL))
FOLDER = Path(os.environ["DEV_FOLDER"])
CLIENTS = tomllib.loads(Path(os.environ["IDENTITIES"]).read_text())

session = requests.Session()


def long(client="valid", headers=None, **body):
    """Requests a long-term token, with the client's secret unless the body has another credential. The client is a role or its identity."""
    identity = CLIENTS[client] if isinstance(client, str) else client
    if not body.keys() & {"client_secret", "otp_code", "assertion", "grant_type"}:
        body["client_secret"] = identity["client_secret"]
    body = {"grant_type": "client_credentials", "client_id": identity["client_id"]} | body
    headers = {"X-Client-Id": identity["client_id"]} if headers is None else headers
    return session.post(f"{BASE_URL}/auth/tokens/long", json=body, headers=headers)


def short(token, **body):
    return session.post(f"{BASE_URL}/auth/tokens/short", json=body, headers=bearer(token))


def revoke(token, token_id):
    return session.post(f"{BASE_URL}/auth/tokens/{token_id}/revoke", headers=bearer(token))


def introspect(caller, **form):
    return session.post(f"{BASE_URL}/auth/tokens/introspect", data=form, headers=bearer(caller))


# The operators' calls: the method, and the path after /clients.
OPERATORS = {
    "createClient": ("POST", ""),
    "listClients": ("GET", ""),
    "getClient": ("GET", "/{client_id}"),
    "updateClient": ("PATCH", "/{client_id}"),
    "createClientSecret": ("POST", "/{client_id}/secrets"),
    "endClientSecret": ("DELETE", "/{client_id}/secrets/{secret_id}"),
    "createClientTotp": ("POST", "/{client_id}/totp"),
    "endClientTokens": ("POST", "/{client_id}/end-tokens"),
    "deleteClient": ("DELETE", "/{client_id}"),
}


def operate(operation, operator, client_id="c2m_nobody", secret_id="sec_none", headers=None, **request):
    """A call of the operators' API, with an operator's token."""
    method, path = OPERATORS[operation]
    url = f"{BASE_URL}/clients{path.format(client_id=client_id, secret_id=secret_id)}"
    return session.request(method, url, headers=bearer(operator) | (headers or {}), **request)


def short_token(identity):
    """A short-term token with all scopes of a client."""
    return issued(short(issued(long(identity))["access_token"]))["access_token"]


def bearer(token):
    return {"Authorization": f"Bearer {token}"} if token else {}


def issued(response):
    """The body of a response that must be 201."""
    assert response.status_code == 201, response.text
    return response.json()


def code(client):
    """The current one-time code (RFC 6238)."""
    seed = CLIENTS[client]["totp_secret"]
    seed = base64.b32decode(seed + "=" * (-len(seed) % 8))
    digest = hmac.new(seed, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(int.from_bytes(digest[at:at + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"
