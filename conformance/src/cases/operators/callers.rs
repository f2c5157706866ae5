//! Who may make the operators' calls.

use super::OPERATOR;
use crate::case::*;
use crate::endpoint::CLIENTS;
use crate::trial::operators::newcomer;
use serde_json::json;

/// A refused caller.
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
        mutants: &[mutant("clients-wildcard-unread", "compares the scopes of operators letter by letter")],
        ..CALLER
    },
    Case {
        id: "operators.200.reader",
        cell: Cell::Service(200),
        requirement: "Any client's token with clients:read may show clients.",
        section: "openapi.yaml, getClient",
        request: Ask(GetClient, &[Header("authorization", "Bearer ${reader.read}")]),
        expect: plain(200),
        mutants: &[mutant("show-for-writers", "shows a client to those that may write only")],
        ..CALLER
    },
    Case {
        id: "operators.401.no-token",
        requirement: "A call without a token is 401 invalid_token.",
        request: Ask(GetClient, &[NoHeader("authorization")]),
        mutants: &[mutant("clients-open", "answers operators' calls without a token")],
        ..CALLER
    },
    Case {
        id: "operators.401.long-token",
        requirement: "A long-term token is of the wrong kind, whatever its scopes.",
        request: Ask(GetClient, &[Header("authorization", "Bearer ${operator.long}")]),
        mutants: &[mutant("clients-take-long", "takes an operator's long-term token too")],
        ..CALLER
    },
    Case {
        id: "operators.401.tampered",
        requirement: "A token whose signature was changed is 401 invalid_token.",
        request: Ask(GetClient, &[Header("authorization", "Bearer ${operator.short_tampered}")]),
        mutants: &[mutant("clients-signature-unchecked", "does not verify the signature of an operator's token")],
        ..CALLER
    },
    Case {
        id: "operators.401.revoked",
        requirement: "A revoked token is 401 invalid_token at once.",
        needs: OPERATOR,
        request: steps!(revoked),
        mutants: &[mutant("clients-revocation-unchecked", "takes an operator's token after its revocation")],
        ..CALLER
    },
    Case {
        id: "operators.401.parent-revoked",
        requirement: "A token whose long-term token was revoked is 401 invalid_token at once.",
        needs: OPERATOR,
        request: steps!(parent_revoked),
        mutants: &[mutant(
            "clients-cascade-unchecked",
            "looks at an operator's token alone, not at its long-term token",
        )],
        ..CALLER
    },
    Case {
        id: "operators.401.suspended",
        requirement: "The token of a suspended operator is 401 invalid_token at once.",
        needs: OPERATOR,
        control: Some("operators.201.clients-scope"),
        request: steps!(suspended),
        mutants: &[mutant("suspended-operator-works", "takes the tokens of suspended operators")],
        ..CALLER
    },
    Case {
        id: "operators.401.no-scope",
        requirement: "A token without a scope of clients: is 401 insufficient_scope.",
        request: Ask(GetClient, &[Header("authorization", "Bearer ${valid.short}")]),
        expect: LACKS_SCOPE,
        also: &[Also::Challenge("insufficient_scope")],
        mutants: &[
            mutant("clients-any-scope", "takes a token of any scope"),
            mutant("clients-scope-403", "answers 403 where a scope is lacking"),
            mutant("clients-scope-invalid-token", "says invalid_token where a scope is lacking"),
        ],
        ..CALLER
    },
    Case {
        id: "operators.401.read-only",
        requirement: "clients:read suffices for no call that changes something: each is 401 insufficient_scope.",
        section: "openapi.yaml, WriteRefused",
        needs: OPERATOR,
        request: steps!(read_only),
        expect: LACKS_SCOPE,
        mutants: &[
            mutant("create-by-read", "makes clients for readers"),
            mutant("change-by-read", "changes clients for readers"),
            mutant("delete-by-read", "deletes clients for readers"),
            mutant("add-secret-by-read", "adds secrets for readers"),
            mutant("end-secret-by-read", "ends secrets for readers"),
            mutant("totp-by-read", "makes seeds for readers"),
            mutant("end-tokens-by-read", "ends tokens for readers"),
        ],
        ..CALLER
    },
    Case {
        id: "operators.401.write-only",
        requirement: "clients:write does not include clients:read: list and show are 401 insufficient_scope.",
        needs: OPERATOR,
        request: steps!(write_only),
        expect: LACKS_SCOPE,
        mutants: &[
            mutant("list-by-write", "lists clients for writers"),
            mutant("show-by-write", "shows clients to writers"),
        ],
        ..CALLER
    },
    Case {
        id: "operators.401.scopes-of-now",
        requirement: "What an operator may do is bounded by its scopes of now: a token from before it lost clients: is 401 insufficient_scope at once.",
        section: "openapi.yaml, updateClient; openapi.yaml, WriteRefused",
        needs: OPERATOR,
        control: Some("operators.201.clients-scope"),
        request: steps!(scopes_of_now),
        expect: LACKS_SCOPE,
        mutants: &[mutant("operator-scopes-of-then", "asks the token alone for an operator's scopes")],
        ..CALLER
    },
    Case {
        id: "operators.401.before-400",
        requirement: "A caller that may not is told so before its body is looked at.",
        section: "openapi.yaml, WriteRefused",
        request: Ask(CreateClient, &[Header("authorization", "Bearer ${operator.read}"), Raw("{")]),
        expect: LACKS_SCOPE,
        mutants: &[mutant("clients-body-before-caller", "reads the body before it asks who calls")],
        ..CALLER
    },
    Case {
        id: "operators.401.before-404",
        requirement: "A caller that may not is told nothing of which clients there are.",
        request: Ask(
            GetClient,
            &[Header("authorization", "Bearer ${valid.short}"), Path("/clients/conformance-${unique}")],
        ),
        expect: LACKS_SCOPE,
        mutants: &[mutant("clients-404-before-401", "says that there is no such client to whoever asks")],
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

/// Every call that changes something, on a client that is there.
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
