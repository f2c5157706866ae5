//! POST /auth/tokens/{tokenId}/revoke: who may revoke.

use super::ids::UNKNOWN;
use crate::case::*;
use crate::endpoint;

pub const CASES: &[Case] = &[
    Case {
        id: "revoke.401.bearer-missing",
        cell: Cell::Revoke(401),
        level: Level::Seed,
        requirement: "A request without a token is rejected with 401 invalid_token.",
        section: "openapi.yaml, revokeToken; RFC 6750 section 3.1",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[NoHeader("authorization")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("revoke-without-bearer", "revokes without a token")],
        ..ROW
    },
    Case {
        id: "revoke.401.bearer-garbage",
        cell: Cell::Revoke(401),
        level: Level::Seed,
        requirement: "A bearer that is not a token is rejected with 401 invalid_token.",
        section: "openapi.yaml, revokeToken; RFC 6750 section 3.1",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Header("authorization", "Bearer not-a-token")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("any-bearer-revokes", "revokes with any bearer")],
        ..ROW
    },
    Case {
        id: "revoke.401.bearer-basic",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "A token sent with another scheme than Bearer is rejected with 401 invalid_token.",
        section: "openapi.yaml, revokeToken; RFC 6750 section 3.1",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Header("authorization", "Basic ${valid.short}")]),
        expect: INVALID_TOKEN,
        ..ROW
    },
    Case {
        id: "revoke.401.authorization-differs",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "Two Authorization headers with different values are rejected with 401 invalid_token even if \
                      both tokens are valid, and the message says that the header is repeated.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("revoke.204.authorization-repeated"),
        request: Ask(Revoke(Valid), &[Beside("authorization", "Bearer ${valid.long}")]),
        expect: INVALID_TOKEN,
        also: &[Also::SaysRepeated],
        mutants: &[mutant("first-header-wins-on-revoke", "uses the first of two Authorization headers")],
        ..ROW
    },
    Case {
        id: "revoke.401.short-signature",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "A short-term token with an invalid signature is rejected with 401 invalid_token.",
        section: "openapi.yaml, revokeToken; RFC 7515 section 5.2",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Header("authorization", "Bearer ${valid.short_tampered}")]),
        expect: INVALID_TOKEN,
        ..ROW
    },
    Case {
        id: "revoke.401.long-signature",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "A long-term token with an invalid signature is rejected with 401 invalid_token.",
        section: "openapi.yaml, revokeToken; RFC 7515 section 5.2",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Header("authorization", "Bearer ${valid.long_tampered}")]),
        expect: INVALID_TOKEN,
        ..ROW
    },
    Case {
        id: "revoke.401.short-alg-none",
        cell: Cell::Revoke(401),
        level: Level::Seed,
        requirement: "An unsigned short-term token is rejected with 401 invalid_token.",
        section: "openapi.yaml, revokeToken; RFC 7515 section 5.2",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Header("authorization", "Bearer ${valid.short_unsigned}")]),
        expect: INVALID_TOKEN,
        ..ROW
    },
    Case {
        id: "revoke.401.long-alg-none",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "An unsigned long-term token is rejected with 401 invalid_token.",
        section: "openapi.yaml, revokeToken; RFC 7515 section 5.2",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Header("authorization", "Bearer ${valid.long_unsigned}")]),
        expect: INVALID_TOKEN,
        ..ROW
    },
    Case {
        id: "revoke.401.client-secret",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "A client secret as the bearer is rejected with 401 invalid_token.",
        section: "openapi.yaml, revokeToken",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Header("authorization", "Bearer ${valid.client_secret}")]),
        expect: INVALID_TOKEN,
        ..ROW
    },
    Case {
        id: "revoke.401.unknown-id-no-bearer",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "A request without a token is rejected with 401 invalid_token even if the id does not exist.",
        section: "openapi.yaml, revokeToken",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[NoHeader("authorization"), Path(UNKNOWN)]),
        expect: INVALID_TOKEN,
        ..ROW
    },
    Case {
        id: "revoke.401.lacks-scope",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "Revoking another token of the client without tokens:revoke is rejected with 401 \
                      insufficient_scope.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(lacks_scope, false),
        expect: LACKS_SCOPE,
        mutants: &[mutant("revoke-without-scope", "does not require tokens:revoke")],
        ..ROW
    },
    Case {
        id: "revoke.401.lacks-scope-challenge",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "If tokens:revoke is missing, the challenge says error=\"insufficient_scope\".",
        section: "openapi.yaml, revokeToken; RFC 6750 section 3.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.401.lacks-scope"),
        request: steps!(lacks_scope, true),
        expect: LACKS_SCOPE,
        mutants: &[mutant("challenge-invalid-token", "challenges with invalid_token if a scope is missing")],
        ..ROW
    },
    Case {
        id: "revoke.401.lacks-scope-parent",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "A short-term token without tokens:revoke cannot revoke its long-term token: 401 \
                      insufficient_scope.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(lacks_scope_for_parent),
        expect: LACKS_SCOPE,
        ..ROW
    },
    Case {
        id: "revoke.401.revoked-bearer",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "A revoked token cannot revoke another token: 401 invalid_token.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(revoked_bearer),
        expect: INVALID_TOKEN,
        mutants: &[mutant("revoked-bearer-revokes", "lets a revoked token revoke others")],
        ..ROW
    },
    Case {
        id: "revoke.204.scheme-case",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "The authentication scheme is case-insensitive on /revoke too: bearer in lower case is accepted.",
        section: "RFC 9110 section 11.1",
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Header("authorization", "bearer ${valid.short}")]),
        expect: ENDED,
        mutants: &[mutant("scheme-case-on-revoke", "compares the scheme case-sensitively on /revoke")],
        ..ROW
    },
];

async fn revoke(t: &Trial<'_>, bearer: &Token, victim: &Token) -> Result<(), Stop> {
    let answer = t.send(&endpoint::revoke(&bearer.token, &victim.id)).await?;
    t.expect(ENDED, &answer)
}

async fn lacks_scope(t: &Trial<'_>, challenge: bool) -> Result<(), Stop> {
    let (_, victim) = t.pair().await?;
    let long = t.mint_long(t.tenant(), &[PLAIN]).await?;
    let bearer = t.mint_short(&long, &[PLAIN]).await?;
    let answer = t.send(&endpoint::revoke(&bearer.token, &victim.id)).await?;
    t.expect(t.due, &answer)?;
    if challenge { t.check(Also::Challenge("insufficient_scope"), &answer) } else { Ok(()) }
}

async fn lacks_scope_for_parent(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, parent) = t.pair().await?;
    let short = t.mint_short(&parent, &["tokens:write"]).await?;
    let answer = t.send(&endpoint::revoke(&short.token, &parent.id)).await?;
    t.expect(t.due, &answer)
}

async fn revoked_bearer(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, victim) = t.pair().await?;
    let bearer = t.mint_long(t.tenant(), &["tokens:revoke"]).await?;
    revoke(t, &bearer, &bearer).await?;
    t.until_refused(&endpoint::revoke(&bearer.token, &victim.id), t.due).await
}
