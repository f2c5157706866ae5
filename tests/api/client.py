"""The Python client. tests/api/clients.py makes it."""

import c2m_api
from c2m_api.models.long_token_request import LongTokenRequest
from c2m_api.models.long_token_response import LongTokenResponse
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

        # A rotation, by the short-term token.
        configuration.access_token = short_token.access_token
        rotation = {"grant_type": "client_credentials", "client_id": client["client_id"]}
        assert api_instance.issue_long_term_token(rotation).scopes == short_token.scopes

        for _ in range(2):
            assert api_instance.revoke_token(short_token.token_id) is None
        expect(ApiException, 404, "not_found", lambda: with_token(long_token, api_instance.revoke_token, "token_id_example"))
        expect(ApiException, 401, "invalid_token", lambda: with_token(short_token, api_instance.issue_short_term_token))
        refused = long_token_request | {"client_secret": "supersecret123"}
        expect(ApiException, 401, "invalid_client", lambda: api_instance.issue_long_term_token(refused))
    print("issue_long_term_token, issue_short_term_token and revoke_token of the Python client work")


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
