//! Who may make operators' calls.

use super::OPERATOR;
use crate::case::*;
use crate::endpoint::CLIENTS;
use crate::trial::operators::newcomer;
use serde_json::json;

/// A caller that is rejected.
const CALLER: Case = Case {
    cell: Cell::Service(401),
    level: Level::Service,
    section: "openapi.yaml, ReadRefused",
    effect: Effect::Provision,
    control: Some("operators.200.show"),
    expect: INVALID_TOKEN,
    ..ROW
};

pub const CASES: &[Case] = &[
    Case {
        id: "operators.200.wildcard",
        cell: Cell::Service(200),
        requirement: "A token with clients:* may read and write clients.",
        section: "openapi.yaml, listClients; openapi.yaml, updateClient",
        control: Some("operators.200.list"),
        request: Ask(ListClients, &[Header("authorization", "Bearer ${operator.short}")]),
        expect: plain(200),
        mutants: &[mutant("clients-wildcard-unread", "compares an operator's scopes exactly and ignores wildcards")],
        ..CALLER
    },
    Case {
        id: "operators.200.reader",
        cell: Cell::Service(200),
        requirement: "A token with clients:read may read a client, whichever client the token belongs to.",
        section: "openapi.yaml, getClient",
        request: Ask(GetClient, &[Header("authorization", "Bearer ${reader.read}")]),
        expect: plain(200),
        mutants: &[mutant("show-for-writers", "lets only tokens with clients:write read a client")],
        ..CALLER
    },
    Case {
        id: "operators.401.no-token",
        requirement: "An operator's call without a token is rejected with 401 invalid_token.",
        request: Ask(GetClient, &[NoHeader("authorization")]),
        mutants: &[mutant("clients-open", "answers operators' calls without a token")],
        ..CALLER
    },
    Case {
        id: "operators.401.long-token",
        requirement: "An operator's call with a long-term token is rejected with 401 invalid_token, whatever the \
                      token's scopes.",
        request: Ask(GetClient, &[Header("authorization", "Bearer ${operator.long}")]),
        mutants: &[mutant("clients-take-long", "accepts an operator's long-term token too")],
        ..CALLER
    },
    Case {
        id: "operators.401.tampered",
        requirement: "An operator's call with a token whose signature was changed is rejected with 401 invalid_token.",
        request: Ask(GetClient, &[Header("authorization", "Bearer ${operator.short_tampered}")]),
        mutants: &[mutant("clients-signature-unchecked", "does not verify the signature of an operator's token")],
        ..CALLER
    },
    Case {
        id: "operators.401.revoked",
        requirement: "Once the revocation of an operator's token is confirmed, the token is rejected with 401 \
                      invalid_token.",
        needs: OPERATOR,
        request: steps!(revoked),
        mutants: &[mutant("clients-revocation-unchecked", "accepts an operator's token after its revocation")],
        ..CALLER
    },
    Case {
        id: "operators.401.parent-revoked",
        requirement: "Once the revocation of an operator's long-term token is confirmed, its short-term token is \
                      rejected with 401 invalid_token.",
        needs: OPERATOR,
        request: steps!(parent_revoked),
        mutants: &[mutant(
            "clients-cascade-unchecked",
            "does not check whether the long-term token of an operator's token was revoked",
        )],
        ..CALLER
    },
    Case {
        id: "operators.401.suspended",
        requirement: "Once the suspension of an operator is confirmed, its token is rejected with 401 invalid_token.",
        needs: OPERATOR,
        control: Some("operators.201.clients-scope"),
        request: steps!(suspended),
        mutants: &[mutant("suspended-operator-works", "accepts the tokens of suspended operators")],
        ..CALLER
    },
    Case {
        id: "operators.401.no-scope",
        requirement: "An operator's call with a token that has no clients: scope is rejected with 401 \
                      insufficient_scope.",
        request: Ask(GetClient, &[Header("authorization", "Bearer ${valid.short}")]),
        expect: LACKS_SCOPE,
        also: &[Also::Challenge("insufficient_scope")],
        mutants: &[
            mutant("clients-any-scope", "accepts tokens without a clients: scope"),
            mutant("clients-scope-403", "answers 403 if a scope is missing"),
            mutant("clients-scope-invalid-token", "answers invalid_token if a scope is missing"),
        ],
        ..CALLER
    },
    Case {
        id: "operators.401.read-only",
        requirement: "clients:read does not permit any call that changes something: each is rejected with 401 \
                      insufficient_scope.",
        section: "openapi.yaml, WriteRefused",
        needs: OPERATOR,
        request: steps!(read_only),
        expect: LACKS_SCOPE,
        mutants: &[
            mutant("create-by-read", "lets clients:read create clients"),
            mutant("change-by-read", "lets clients:read change clients"),
            mutant("delete-by-read", "lets clients:read delete clients"),
            mutant("add-secret-by-read", "lets clients:read add secrets"),
            mutant("end-secret-by-read", "lets clients:read end secrets"),
            mutant("totp-by-read", "lets clients:read make seeds"),
            mutant("end-tokens-by-read", "lets clients:read end tokens"),
        ],
        ..CALLER
    },
    Case {
        id: "operators.401.write-only",
        requirement: "clients:write does not include clients:read: listing and reading clients are rejected with 401 \
                      insufficient_scope.",
        needs: OPERATOR,
        request: steps!(write_only),
        expect: LACKS_SCOPE,
        mutants: &[
            mutant("list-by-write", "lets clients:write list clients"),
            mutant("show-by-write", "lets clients:write read clients"),
        ],
        ..CALLER
    },
    Case {
        id: "operators.401.scopes-of-now",
        requirement: "An operator's token is bounded by the scopes that its client has now: once the client has lost \
                      clients:write, the token is rejected with 401 insufficient_scope.",
        section: "openapi.yaml, updateClient; openapi.yaml, WriteRefused",
        needs: OPERATOR,
        control: Some("operators.201.clients-scope"),
        request: steps!(scopes_of_now),
        expect: LACKS_SCOPE,
        mutants: &[mutant("operator-scopes-of-then", "checks an operator's scopes in the token only")],
        ..CALLER
    },
    Case {
        id: "operators.401.before-400",
        requirement: "The caller is checked before the body: a caller without the scope is rejected with 401 \
                      insufficient_scope even if the body is malformed.",
        section: "openapi.yaml, WriteRefused",
        request: Ask(CreateClient, &[Header("authorization", "Bearer ${operator.read}"), Raw("{")]),
        expect: LACKS_SCOPE,
        mutants: &[mutant("clients-body-before-caller", "parses the body before it checks the caller")],
        ..CALLER
    },
    Case {
        id: "operators.401.before-404",
        requirement: "The caller is checked before the client: a caller without the scope is rejected with 401 \
                      insufficient_scope, whether the client exists or not.",
        request: Ask(
            GetClient,
            &[Header("authorization", "Bearer ${valid.short}"), Path("/clients/conformance-${unique}")],
        ),
        expect: LACKS_SCOPE,
        mutants: &[mutant("clients-404-before-401", "reveals to any caller that a client does not exist")],
        ..CALLER
    },
    Case {
        id: "operators.401.end-tokens",
        requirement: "Once end-tokens is confirmed for an operator, its earlier tokens are rejected with 401 \
                      invalid_token.",
        needs: OPERATOR,
        control: Some("operators.201.clients-scope"),
        request: steps!(after_end_tokens),
        mutants: &[mutant("clients-end-tokens-unchecked", "accepts an operator's tokens from before end-tokens")],
        ..CALLER
    },
    Case {
        id: "operators.401.deleted",
        requirement: "Once the deletion of an operator is confirmed, its tokens are rejected with 401 invalid_token.",
        needs: OPERATOR,
        control: Some("operators.201.clients-scope"),
        request: steps!(deleted),
        mutants: &[mutant("clients-deletion-unchecked", "accepts a deleted operator's tokens")],
        ..CALLER
    },
    Case {
        id: "operators.200.scheme-case",
        cell: Cell::Service(200),
        requirement: "The authentication scheme of an operator's call is case-insensitive: bearer in lower case is \
                      accepted.",
        section: "RFC 9110 section 11.1",
        request: Ask(GetClient, &[Header("authorization", "bearer ${operator.read}")]),
        expect: plain(200),
        mutants: &[mutant("scheme-case-on-clients", "compares the scheme of operators' calls case-sensitively")],
        ..CALLER
    },
    Case {
        id: "operators.200.authorization-repeated",
        cell: Cell::Service(200),
        requirement: "An operator's call may have the same Authorization header twice.",
        section: "openapi.yaml, info",
        request: Ask(GetClient, &[Repeat("authorization")]),
        expect: plain(200),
        mutants: &[mutant(
            "repeated-header-refused-on-clients",
            "rejects a repeated Authorization header of operators' calls",
        )],
        ..CALLER
    },
    Case {
        id: "operators.401.authorization-differs",
        requirement: "An operator's call with two different Authorization headers is rejected with 401 invalid_token, \
                      and the message says that the header is repeated.",
        section: "openapi.yaml, info",
        control: Some("operators.200.authorization-repeated"),
        request: Ask(GetClient, &[Beside("authorization", "Bearer ${operator.short}")]),
        also: &[Also::SaysRepeated],
        mutants: &[mutant(
            "first-header-wins-on-clients",
            "uses the first of two Authorization headers of operators' calls",
        )],
        ..CALLER
    },
];

async fn revoked(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Operator, &["clients:*", "tokens:*"]).await?;
    let short = t.mint_short(&long, &["clients:*", "tokens:*"]).await?;
    t.revoked(&long, &short).await?;
    t.expect(t.due, &t.call_by(&short.token, "GET", CLIENTS, None).await?)
}

async fn parent_revoked(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Operator, &["clients:*", "tokens:*"]).await?;
    let short = t.mint_short(&long, &["clients:*", "tokens:*"]).await?;
    t.revoked(&long, &long).await?;
    t.expect(t.due, &t.call_by(&short.token, "GET", CLIENTS, None).await?)
}

async fn suspended(t: &Trial<'_>) -> Result<(), Stop> {
    let (client, token) = t.other_operator().await?;
    t.expect(plain(200), &t.call_by(&token.token, "GET", CLIENTS, None).await?)?;
    t.operate("PATCH", &client.path, Some(json!({"status": "suspended"})), 200).await?;
    t.expect(t.due, &t.call_by(&token.token, "GET", CLIENTS, None).await?)
}

/// Every call that changes something, on an existing client.
async fn read_only(t: &Trial<'_>) -> Result<(), Stop> {
    let token = t.shared(Operator, "read").await?.token;
    let client = t.client_with(json!({})).await?;
    let calls = [
        ("POST", CLIENTS.to_owned(), Some(newcomer(t))),
        ("PATCH", client.path.clone(), Some(json!({"client_name": "changed"}))),
        ("POST", client.below("secrets"), None),
        ("DELETE", client.below(&format!("secrets/{}?in=7776000", client.secret_id()?)), None),
        ("POST", client.below("totp"), None),
        ("POST", client.below("end-tokens"), None),
        ("DELETE", client.path.clone(), None),
    ];
    for (method, path, body) in calls {
        let answer = t.call_by(&token, method, &path, body).await?;
        t.expect(t.due, &answer)?;
    }
    Ok(())
}

async fn write_only(t: &Trial<'_>) -> Result<(), Stop> {
    let token = t.shared(Operator, "write").await?.token;
    let client = t.bystander().await?;
    t.expect(t.due, &t.call_by(&token, "GET", &client.path, None).await?)?;
    t.expect(t.due, &t.call_by(&token, "GET", CLIENTS, None).await?)
}

async fn scopes_of_now(t: &Trial<'_>) -> Result<(), Stop> {
    let (client, token) = t.other_operator().await?;
    let path = t.bystander().await?.path;
    let name = || Some(json!({"client_name": "conformance"}));
    t.expect(plain(200), &t.call_by(&token.token, "PATCH", &path, name()).await?)?;
    t.operate("PATCH", &client.path, Some(json!({"scopes": ["clients:read"]})), 200).await?;
    t.expect(t.due, &t.call_by(&token.token, "PATCH", &path, name()).await?)
}

async fn after_end_tokens(t: &Trial<'_>) -> Result<(), Stop> {
    let (client, token) = t.other_operator().await?;
    t.expect(plain(200), &t.call_by(&token.token, "GET", CLIENTS, None).await?)?;
    t.operate("POST", &client.below("end-tokens"), None, 204).await?;
    t.expect(t.due, &t.call_by(&token.token, "GET", CLIENTS, None).await?)
}

async fn deleted(t: &Trial<'_>) -> Result<(), Stop> {
    let (client, token) = t.other_operator().await?;
    t.expect(plain(200), &t.call_by(&token.token, "GET", CLIENTS, None).await?)?;
    t.operate("DELETE", &client.path, None, 204).await?;
    t.expect(t.due, &t.call_by(&token.token, "GET", CLIENTS, None).await?)
}
