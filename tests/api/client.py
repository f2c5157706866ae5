"""The generated Python client. tests/api/clients.py generates it."""

import c2m_api
from c2m_api.models.client_patch import ClientPatch
from c2m_api.models.long_token_request import LongTokenRequest
from c2m_api.models.long_token_response import LongTokenResponse
from c2m_api.models.new_client import NewClient
from c2m_api.models.short_token_response import ShortTokenResponse
from c2m_api.rest import ApiException

import server


def main():
    client = server.CLIENTS["valid"]
    configuration = c2m_api.Configuration(host=server.BASE_URL)
    configuration.access_token = "left over from before"
    configuration.api_key["ClientKey"] = client["client_id"]

    with c2m_api.ApiClient(configuration) as api_client:
        api_instance = c2m_api.AuthApi(api_client)

        long_token_request = {
            "grant_type": "client_credentials",
            "client_id": client["client_id"],
            "client_secret": client["client_secret"],
            "scopes": ["jobs:submit", "templates:read", "tokens:write"],
            "ttl_seconds": 7776000,
        }
        for request in [long_token_request, LongTokenRequest(**long_token_request)]:
            long_token = api_instance.issue_long_term_token(request)
            assert isinstance(long_token, LongTokenResponse)
            assert long_token.scopes == long_token_request["scopes"] and long_token.expires_in == 7776000
        whole = api_instance.issue_long_term_token_with_http_info(long_token_request)
        assert whole.status_code == 201 and whole.headers["X-Token-Id"] == whole.data.token_id

        configuration.access_token = long_token.access_token
        short_token_request = {"scopes": ["jobs:submit", "tokens:write"]}
        short_token = api_instance.issue_short_term_token(short_token_request=short_token_request)
        assert isinstance(short_token, ShortTokenResponse) and short_token.scopes == short_token_request["scopes"]
        assert api_instance.issue_short_term_token().scopes == long_token.scopes

        # A rotation, with the short-term token.
        configuration.access_token = short_token.access_token
        rotation = {"grant_type": "client_credentials", "client_id": client["client_id"]}
        assert api_instance.issue_long_term_token(rotation).scopes == short_token.scopes

        for _ in range(2):
            assert api_instance.revoke_token(short_token.token_id) is None
        expect(ApiException, 404, "not_found", lambda: with_token(long_token, api_instance.revoke_token, "token_id_example"))
        expect(ApiException, 401, "invalid_token", lambda: with_token(short_token, api_instance.issue_short_term_token))
        refused = long_token_request | {"client_secret": "supersecret123"}
        expect(ApiException, 401, "invalid_client", lambda: api_instance.issue_long_term_token(refused))

        operators(configuration, c2m_api.OperatorsApi(api_client))
    print("The token operations and the operators' calls of the Python client work")


def operators(configuration, api_instance):
    """Operators' calls, from a client's creation to its deletion."""
    configuration.access_token = server.short_token("operator")
    new_client = NewClient(client_name="generated", scopes=["jobs:submit"], mechanisms=["secret", "otp"])
    created = api_instance.create_client(new_client)
    client_id = created.client_id
    assert created.client_secret and created.totp_secret and created.otpauth_uri

    shown = api_instance.get_client_with_http_info(client_id)
    assert shown.data.client_name == "generated" and shown.data.secrets == created.secrets
    patch = ClientPatch(client_name=None, max_ttl_seconds=3600)
    changed = api_instance.update_client(client_id, patch, if_match=shown.headers["ETag"])
    assert changed.client_name is None and changed.max_ttl_seconds == 3600 and changed.scopes == ["jobs:submit"]
    stale = {"if_match": shown.headers["ETag"]}
    expect(ApiException, 412, "precondition_failed", lambda: api_instance.update_client(client_id, patch, **stale))

    secret = api_instance.create_client_secret(client_id)
    assert api_instance.end_client_secret(client_id, created.secrets[0].secret_id) is None
    assert api_instance.end_client_secret(client_id, secret.secret_id, var_in=60) is None
    (left,) = api_instance.get_client(client_id).secrets
    assert left.secret_id == secret.secret_id and left.expires_at > left.created_at
    assert api_instance.create_client_totp(client_id).totp_secret != created.totp_secret
    assert api_instance.end_client_tokens(client_id) is None

    listed, cursor = [], None
    while not listed or cursor:
        page = api_instance.list_clients(limit=3, cursor=cursor)
        listed, cursor = listed + [client.client_id for client in page.clients], page.cursor
    assert client_id in listed

    for _ in range(2):
        assert api_instance.delete_client(client_id) is None
    expect(ApiException, 404, "not_found", lambda: api_instance.get_client(client_id))


def with_token(token, call, *arguments):
    call.__self__.api_client.configuration.access_token = token.access_token
    return call(*arguments)


def expect(exception, status, code, call):
    try:
        call()
    except exception as error:
        assert error.status == status and error.data.code == code, error
    else:
        raise AssertionError(f"no {status}")
