//! POST /auth/tokens/introspect: who may call it.

use crate::case::*;
use crate::cases::standing;
use crate::endpoint::{self, INTROSPECT};
use crate::matrix::Op;
use crate::watch::{Seen, Standing};
use serde_json::json;

/// A caller whose token has ended.
const ENDED_CALLER: Case = Case {
    cell: Cell::Service(401),
    level: Level::Service,
    section: "openapi.yaml, introspectToken",
    needs: &[
        (Valid, ClientId),
        (Valid, ClientSecret),
        (Operator, ClientId),
        (Operator, ClientSecret),
        (Reader, ClientId),
        (Reader, ClientSecret),
    ],
    effect: Effect::Provision,
    control: Some("introspection.200.active"),
    expect: INVALID_TOKEN,
    ..ROW
};

pub const CASES: &[Case] = &[
    Case {
        id: "introspection.200.by-long",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A caller may authenticate with a long-term token.",
        section: "openapi.yaml, introspectToken",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Header("authorization", "Bearer ${reader.long}")]),
        expect: plain(200),
        also: &[Also::Active],
        mutants: &[mutant("introspection-by-short-only", "accepts only short-term tokens from callers")],
        ..ROW
    },
    Case {
        id: "introspection.200.by-wildcard",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A caller whose token has tokens:* may introspect.",
        section: "openapi.yaml, introspectToken; openapi.yaml, Scope",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Valid), &[]),
        expect: plain(200),
        also: &[Also::Active],
        mutants: &[mutant("introspection-needs-exact-scope", "ignores wildcards when it requires tokens:introspect")],
        ..ROW
    },
    Case {
        id: "introspection.401.bearer-missing",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "A request without a bearer is rejected with 401 invalid_token.",
        section: "openapi.yaml, introspectToken; RFC 7662 section 2.1",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[NoHeader("authorization")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("introspection-for-anyone", "answers callers without a token")],
        ..ROW
    },
    Case {
        id: "introspection.401.bearer-garbage",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "A bearer that is not a token is rejected with 401 invalid_token.",
        section: "openapi.yaml, introspectToken; RFC 6750 section 3.1",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Header("authorization", "Bearer not-a-token")]),
        expect: INVALID_TOKEN,
        also: &[Also::Challenge("invalid_token")],
        mutants: &[mutant("introspection-any-bearer", "answers any bearer")],
        ..ROW
    },
    Case {
        id: "introspection.401.bearer-basic",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "A token sent with the Basic scheme is rejected with 401 invalid_token.",
        section: "openapi.yaml, introspectToken; RFC 6750 section 2.1",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Header("authorization", "Basic ${reader.short}")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("introspection-any-scheme", "accepts any scheme as Bearer")],
        ..ROW
    },
    Case {
        id: "introspection.401.lacks-scope",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "A caller with a short-term token without tokens:introspect is rejected with 401 \
                      insufficient_scope.",
        section: "openapi.yaml, introspectToken; RFC 6750 section 3.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: steps!(lacks_scope, false),
        expect: LACKS_SCOPE,
        mutants: &[mutant("introspection-any-scope-short", "answers short-term tokens without tokens:introspect")],
        ..ROW
    },
    Case {
        id: "introspection.401.lacks-scope-long",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "A caller with a long-term token without tokens:introspect is rejected with 401 \
                      insufficient_scope.",
        section: "openapi.yaml, introspectToken; RFC 6750 section 3.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Mint,
        control: Some("introspection.200.by-long"),
        request: steps!(lacks_scope, true),
        expect: LACKS_SCOPE,
        mutants: &[mutant("introspection-any-scope-long", "answers long-term tokens without tokens:introspect")],
        ..ROW
    },
    Case {
        id: "introspection.401.revoked-caller",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "Once the revocation of a caller's token is confirmed, the caller is rejected with 401 \
                      invalid_token.",
        section: "openapi.yaml, introspectToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("introspection.200.active"),
        request: steps!(revoked_caller),
        expect: INVALID_TOKEN,
        mutants: &[mutant("introspection-revoked-caller", "answers callers with revoked tokens")],
        ..ROW
    },
    Case {
        id: "introspection.401.suspended-caller",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "Once the suspension of the caller's client is confirmed, the caller is rejected with 401 \
                      invalid_token.",
        section: "openapi.yaml, introspectToken",
        needs: &[
            (Valid, ClientId),
            (Valid, ClientSecret),
            (Operator, ClientId),
            (Operator, ClientSecret),
            (Reader, ClientId),
            (Reader, ClientSecret),
        ],
        effect: Effect::Provision,
        control: Some("introspection.200.active"),
        request: steps!(suspended_caller),
        expect: INVALID_TOKEN,
        mutants: &[mutant("introspection-suspended-caller", "answers suspended clients")],
        ..ROW
    },
    Case {
        id: "introspection.401.challenge",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "Every 401 from introspection carries WWW-Authenticate: Bearer.",
        section: "RFC 9110 section 11.6.1; RFC 6750 section 3",
        request: EveryAnswer(challenged),
        mutants: &[mutant("no-challenge-introspect", "sends no challenge with a 401 from introspection")],
        ..ROW
    },
    Case {
        id: "introspection.401.revoked-long-caller",
        requirement: "Once the revocation of a long-term token is confirmed, the caller that presents it is rejected \
                      with 401 invalid_token.",
        control: Some("introspection.200.by-long"),
        request: steps!(revoked_long_caller),
        mutants: &[mutant("introspection-revoked-long-caller", "answers callers with revoked long-term tokens")],
        ..ENDED_CALLER
    },
    Case {
        id: "introspection.401.orphaned-caller",
        requirement: "Once the revocation of a long-term token is confirmed, a caller with a short-term token made \
                      from it is rejected with 401 invalid_token.",
        request: steps!(orphaned_caller),
        mutants: &[mutant(
            "introspection-orphaned-caller",
            "answers callers whose token was made from a revoked long-term token",
        )],
        ..ENDED_CALLER
    },
    Case {
        id: "introspection.401.end-tokens-caller",
        requirement: "Once end-tokens is confirmed for the caller's client, its earlier tokens are rejected with 401 \
                      invalid_token.",
        request: steps!(caller_after, Ending::Tokens),
        mutants: &[mutant("introspection-end-tokens-caller", "answers callers with tokens from before end-tokens")],
        ..ENDED_CALLER
    },
    Case {
        id: "introspection.401.deleted-caller",
        requirement: "Once the deletion of the caller's client is confirmed, the caller is rejected with 401 \
                      invalid_token.",
        request: steps!(caller_after, Ending::Client),
        mutants: &[mutant("introspection-deleted-caller", "answers callers of deleted clients")],
        ..ENDED_CALLER
    },
    Case {
        id: "introspection.401.before-400",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "The caller is checked before the form: an invalid bearer with a malformed form is rejected with \
                      401 invalid_token.",
        section: "openapi.yaml, introspectToken; RFC 7662 section 2.1",
        effect: Effect::Mint,
        control: Some("introspection.401.bearer-garbage"),
        request: Ask(Introspect(Reader), &[Header("authorization", "Bearer not-a-token"), Raw("nothing=1")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("introspection-form-before-caller", "checks the form before the caller")],
        ..ROW
    },
    Case {
        id: "introspection.200.scheme-case",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The authentication scheme of the caller is case-insensitive: bearer in lower case is accepted.",
        section: "RFC 9110 section 11.1",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Header("authorization", "bearer ${reader.short}")]),
        expect: plain(200),
        also: &[Also::Active],
        mutants: &[mutant("scheme-case-on-introspect", "compares the scheme case-sensitively in introspection")],
        ..ROW
    },
    Case {
        id: "introspection.200.authorization-repeated",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A caller may send the same Authorization header twice.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Repeat("authorization")]),
        expect: plain(200),
        also: &[Also::Active],
        mutants: &[mutant(
            "repeated-header-refused-on-introspect",
            "rejects a repeated Authorization header in introspection",
        )],
        ..ROW
    },
    Case {
        id: "introspection.401.authorization-differs",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "A caller with two different Authorization headers is rejected with 401 invalid_token, and the \
                      message says that the header is repeated.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("introspection.200.authorization-repeated"),
        request: Ask(Introspect(Reader), &[Beside("authorization", "Bearer ${reader.long}")]),
        expect: INVALID_TOKEN,
        also: &[Also::SaysRepeated],
        mutants: &[mutant(
            "first-header-wins-on-introspect",
            "uses the first of two Authorization headers in introspection",
        )],
        ..ROW
    },
];

fn challenged(seen: &Seen) -> Standing {
    match seen.request.path == INTROSPECT {
        true => standing::challenge(seen, Op::Service),
        false => Standing::NotConcerned,
    }
}

async fn lacks_scope(t: &Trial<'_>, by_long: bool) -> Result<(), Stop> {
    let scopes = ["jobs:submit", "tokens:revoke"];
    let long = t.mint_long(Valid, &scopes).await?;
    let caller = if by_long { long } else { t.mint_short(&long, &scopes).await? };
    let about = t.shared(Valid, "short").await?;
    let answer = t.send(&endpoint::introspect(&caller.token, &about.token)).await?;
    t.expect(t.due, &answer)?;
    t.check(Also::Challenge("insufficient_scope"), &answer)
}

/// The token's request is answered with 200 before it ends, and as the row expects afterwards.
async fn refused_after(t: &Trial<'_>, caller: &Token, end: impl Future<Output = Result<(), Stop>>) -> Result<(), Stop> {
    let about = t.shared(Valid, "short").await?;
    let request = endpoint::introspect(&caller.token, &about.token);
    t.expect(plain(200), &t.send(&request).await?)?;
    end.await?;
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer)
}

async fn revoked_caller(t: &Trial<'_>) -> Result<(), Stop> {
    let bearer = t.shared(Valid, "short").await?;
    let long = t.mint_long(Valid, &["tokens:introspect"]).await?;
    let caller = t.mint_short(&long, &["tokens:introspect"]).await?;
    refused_after(t, &caller, t.revoked(&bearer, &caller)).await
}

async fn suspended_caller(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest_with(json!({"scopes": ["tokens:introspect"]})).await?;
    let long = t.guest_long(&guest, &["tokens:introspect"]).await?;
    let suspend = async { t.change(&guest, json!({"status": "suspended"})).await.map(drop) };
    refused_after(t, &long, suspend).await
}

async fn revoked_long_caller(t: &Trial<'_>) -> Result<(), Stop> {
    let bearer = t.shared(Valid, "short").await?;
    let caller = t.mint_long(Valid, &["tokens:introspect"]).await?;
    refused_after(t, &caller, t.revoked(&bearer, &caller)).await
}

async fn orphaned_caller(t: &Trial<'_>) -> Result<(), Stop> {
    let bearer = t.shared(Valid, "short").await?;
    let long = t.mint_long(Valid, &["tokens:introspect"]).await?;
    let caller = t.mint_short(&long, &["tokens:introspect"]).await?;
    refused_after(t, &caller, t.revoked(&bearer, &long)).await
}

/// What ends all tokens of a client.
#[derive(Clone, Copy)]
enum Ending {
    Tokens,
    Client,
}

async fn caller_after(t: &Trial<'_>, ending: Ending) -> Result<(), Stop> {
    let guest = t.guest_with(json!({"scopes": ["tokens:introspect"]})).await?;
    let long = t.guest_long(&guest, &["tokens:introspect"]).await?;
    let end = async {
        match ending {
            Ending::Tokens => t.end_tokens(&guest).await,
            Ending::Client => t.operate("DELETE", &guest.path, None, 204).await.map(drop),
        }
    };
    refused_after(t, &long, end).await
}
