"""What Schemathesis needs to know beyond the description."""

import os

import schemathesis


@schemathesis.hook
def before_load_schema(context, schema):
    """Says what the description leaves to its prose, so that what is sound by the schema is sound for the service."""
    schemas = schema["components"]["schemas"]
    request = schemas["LongTokenRequest"]["properties"]
    operation = schema["paths"]["/auth/tokens/long"]["post"]

    # A client that there is, with its credentials; both headers, as generated clients send them.
    request["client_id"] = {"type": "string", "enum": [os.environ["CLIENT_ID"]]}
    request["client_secret"] = {"type": "string", "enum": [os.environ["CLIENT_SECRET"]]}
    operation["security"] = [{"ShortTokenAuth": [], "ClientKey": []}]
    for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
        for field in example["value"].keys() & {"client_id", "client_secret"}:
            example["value"][field] = request[field]["enum"][0]

    # Exactly one mechanism.
    def mechanism(grant_type, *credential):
        names = ["grant_type", "client_id", *credential]
        properties = {name: request[name] for name in [*names, "scopes", "ttl_seconds"]}
        properties["grant_type"] = {"type": "string", "enum": [grant_type]}
        return {"type": "object", "additionalProperties": False, "required": names, "properties": properties}

    schemas["LongTokenRequest"] = {
        "oneOf": [
            mechanism("client_credentials", "client_secret"),
            mechanism("client_credentials", "otp_code"),
            mechanism("assertion", "assertion_type", "assertion"),
            mechanism("client_credentials"),
        ]
    }

    # Scopes that the long-term token covers. Without long_token, which stands in for the header that the checks take away;
    # tests/api/statuses.py has it.
    short = schemas["ShortTokenRequest"]["properties"]
    short["scopes"]["items"] = {"type": "string", "enum": ["jobs:submit", "jobs:*", "templates:read", "tokens:introspect"]}
    del short["long_token"]
