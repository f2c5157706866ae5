//! `auth_time`, when a client last presented a credential, and `end-tokens`, which compares with it.

use crate::case::*;
use crate::clock;
use crate::endpoint;
use crate::trial::draft;
use crate::trial::feed::{CLOCKS, claims};
use crate::trial::guests::Guest;
use crate::trial::mint::token_in;
use serde_json::json;

/// A client created for the case. It may rotate, revoke and submit.
const SCOPES: [&str; 3] = ["jobs:submit", "tokens:write", "tokens:revoke"];

pub const CASES: &[Case] = &[
    Case {
        id: "auth-time.201.exchange",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "An exchange keeps auth_time, and does not replace it with the time of the exchange.",
        section: "openapi.yaml, ShortTokenResponse; RFC 9068 section 2.2.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(exchange),
        expect: GRANTED,
        mutants: &[mutant("auth-time-near-exchange", "sets auth_time to one second before the exchange")],
        ..ROW
    },
    Case {
        id: "auth-time.201.secret",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "auth_time is the time when the client presented its secret.",
        section: "openapi.yaml, ShortTokenResponse; RFC 9068 section 2.2.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("auth-time.201.exchange"),
        request: steps!(secret),
        expect: GRANTED,
        mutants: &[mutant("auth-time-an-hour-off", "sets auth_time to an hour ago")],
        ..ROW
    },
    Case {
        id: "auth-time.201.assertion",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "auth_time is the time when the assertion was presented, whatever its iat.",
        section: "openapi.yaml, ShortTokenResponse; RFC 9068 section 2.2.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(assertion),
        expect: GRANTED,
        mutants: &[mutant("auth-time-of-the-assertion", "uses the assertion's iat as auth_time")],
        ..ROW
    },
    Case {
        id: "auth-time.201.rotation",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "A rotation keeps auth_time.",
        section: "openapi.yaml, ShortTokenResponse; openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("auth-time.201.exchange"),
        request: steps!(rotation, 1),
        expect: GRANTED,
        mutants: &[mutant("auth-time-near-rotation", "sets auth_time to one second before the rotation")],
        ..ROW
    },
    Case {
        id: "auth-time.201.rotation-of-rotation",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "A rotation of a token that was itself rotated keeps auth_time too.",
        section: "openapi.yaml, ShortTokenResponse; openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("auth-time.201.rotation"),
        request: steps!(rotation, 2),
        expect: GRANTED,
        mutants: &[mutant("auth-time-handed-on-once", "keeps auth_time only in the first rotation")],
        ..ROW
    },
    Case {
        id: "auth-time.201.after-end-tokens",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "A token issued after the response to end-tokens works at once.",
        section: "openapi.yaml, endClientTokens",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("auth-time.201.exchange"),
        request: steps!(after),
        expect: GRANTED,
        mutants: &[mutant(
            "auth-time-before-valid-from",
            "sets an auth_time before tokens_valid_from in tokens that it issues in the second of end-tokens",
        )],
        ..ROW
    },
    Case {
        id: "auth-time.201.not-before-valid-from",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "A new token's auth_time is never before its client's tokens_valid_from.",
        section: "openapi.yaml, endClientTokens; openapi.yaml, Client",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("auth-time.201.after-end-tokens"),
        request: steps!(not_before),
        expect: GRANTED,
        mutants: &[mutant("auth-time-behind", "sets auth_time to one second before tokens_valid_from")],
        ..ROW
    },
    Case {
        id: "auth-time.401.exchange-after-end-tokens",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "After end-tokens, a long-term token issued before it is rejected with 401 invalid_token.",
        section: "openapi.yaml, endClientTokens",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("auth-time.201.exchange"),
        request: steps!(exchange_refused),
        expect: INVALID_TOKEN,
        mutants: &[mutant("kill-switch-spares-long", "does not revoke long-term tokens at end-tokens")],
        ..ROW
    },
    Case {
        id: "auth-time.401.same-second",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "After end-tokens, a long-term token issued earlier in the same second is rejected with 401 \
                      invalid_token.",
        section: "openapi.yaml, endClientTokens",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("auth-time.401.exchange-after-end-tokens"),
        request: steps!(same_second),
        expect: INVALID_TOKEN,
        mutants: &[mutant(
            "end-tokens-until-this-second",
            "revokes at end-tokens only what was issued before the second of the call",
        )],
        ..ROW
    },
    Case {
        id: "auth-time.401.rotated-after-end-tokens",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "After end-tokens, a token rotated from one that was issued before it is rejected with 401 \
                      invalid_token.",
        section: "openapi.yaml, endClientTokens",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("auth-time.401.exchange-after-end-tokens"),
        request: steps!(rotated_refused),
        expect: INVALID_TOKEN,
        mutants: &[mutant("kill-switch-spares-rotated", "does not revoke rotated tokens at end-tokens")],
        ..ROW
    },
    Case {
        id: "auth-time.401.short-after-end-tokens",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "After end-tokens, a rotation with a short-term token issued before it is rejected with 401 \
                      invalid_token.",
        section: "openapi.yaml, endClientTokens",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("auth-time.201.exchange"),
        request: steps!(short_refused),
        expect: INVALID_TOKEN,
        mutants: &[mutant("kill-switch-spares-short", "does not revoke short-term tokens at end-tokens")],
        ..ROW
    },
    Case {
        id: "auth-time.401.end-tokens-again",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "After a second end-tokens, a token issued since the first is rejected with 401 invalid_token.",
        section: "openapi.yaml, endClientTokens",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("auth-time.201.after-end-tokens"),
        request: steps!(again),
        expect: INVALID_TOKEN,
        mutants: &[mutant("end-tokens-once", "ignores a second end-tokens")],
        ..ROW
    },
    Case {
        id: "auth-time.201.end-tokens-spares-others",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "end-tokens does not affect another client's tokens.",
        section: "openapi.yaml, endClientTokens",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("auth-time.201.exchange"),
        request: steps!(spares_others),
        expect: GRANTED,
        mutants: &[mutant("end-tokens-of-everyone", "revokes the tokens of every client that was created")],
        ..ROW
    },
    Case {
        id: "auth-time.201.revocation-spares-rotated",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "Revoking a token does not affect the tokens rotated from it.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("auth-time.201.rotation"),
        request: steps!(spares_rotated),
        expect: GRANTED,
        mutants: &[mutant("revocation-ends-rotated", "revokes the tokens that were rotated from a revoked token")],
        ..ROW
    },
];

async fn guest(t: &Trial<'_>) -> Result<Guest, Stop> {
    t.guest_with(json!({"scopes": SCOPES, "mechanisms": ["secret", "rotation"]})).await
}

fn auth_time(token: &Token) -> Result<u64, Stop> {
    let claim = &claims(token)?["auth_time"];
    claim.as_u64().ok_or_else(|| Stop::fail("auth_time in whole seconds", format!("auth_time {claim}")))
}

/// Two exchanges in different seconds.
async fn exchange(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(t.tenant(), &[PLAIN]).await?;
    let first = t.mint_short(&long, &[PLAIN]).await?;
    t.run.wait_until(t.run.clock.now() + 2).await?;
    let answer = t.send(&endpoint::exchange(&long.token)).await?;
    t.expect(t.due, &answer)?;
    handed_on(&first, &token_of(t, &answer)?)
}

fn token_of(t: &Trial<'_>, answer: &Answer) -> Result<Token, Stop> {
    token_in(answer).ok_or_else(|| Stop::fail("a token", t.summary(answer)))
}

fn handed_on(first: &Token, later: &Token) -> Result<(), Stop> {
    let (due, got) = (auth_time(first)?, auth_time(later)?);
    match due == got {
        true => Ok(()),
        false => Err(Stop::fail(format!("auth_time {due}, as before"), format!("auth_time {got}"))),
    }
}

/// Allows for clock skew, from before the request to after its answer.
async fn shown_now(t: &Trial<'_>, request: &Request) -> Result<(), Stop> {
    let before = t.run.clock.now();
    let answer = t.send(request).await?;
    t.expect(t.due, &answer)?;
    let after = t.run.clock.now();
    let short = t.mint_short(&token_of(t, &answer)?, &["jobs:submit"]).await?;
    let got = auth_time(&short)?;
    match (before.saturating_sub(CLOCKS)..=after + CLOCKS).contains(&got) {
        true => Ok(()),
        false => Err(Stop::fail(format!("auth_time from {before} to {after}"), format!("auth_time {got}"))),
    }
}

async fn secret(t: &Trial<'_>) -> Result<(), Stop> {
    shown_now(t, &draft::build(t, Secret(Valid), &[]).await?).await
}

async fn assertion(t: &Trial<'_>) -> Result<(), Stop> {
    shown_now(t, &draft::build(t, Assertion(Valid), &[Claim("iat", "${now-50}")]).await?).await
}

async fn rotation(t: &Trial<'_>, times: u32) -> Result<(), Stop> {
    let client = t.setting(t.tenant(), ClientId)?;
    let scopes = [PLAIN, "tokens:write"];
    let long = t.mint_long(t.tenant(), &scopes).await?;
    let first = t.mint_short(&long, &scopes).await?;
    let mut short = first.clone();
    for _ in 0..times {
        t.run.wait_until(t.run.clock.now() + 2).await?;
        let answer = t.send(&endpoint::rotate(&client, &short.token, None)).await?;
        t.expect(t.due, &answer)?;
        short = t.mint_short(&token_of(t, &answer)?, &scopes).await?;
    }
    handed_on(&first, &short)
}

async fn can_exchange(t: &Trial<'_>, long: &Token) -> Result<Token, Stop> {
    let answer = t.send(&endpoint::exchange(&long.token)).await?;
    t.expect(GRANTED, &answer)?;
    token_of(t, &answer)
}

async fn after(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = guest(t).await?;
    t.end_tokens(&guest).await?;
    can_exchange(t, &t.guest_long(&guest, &SCOPES).await?).await.map(drop)
}

async fn not_before(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = guest(t).await?;
    t.end_tokens(&guest).await?;
    let short = can_exchange(t, &t.guest_long(&guest, &SCOPES).await?).await?;
    let shown = t.operate("GET", &guest.path, None, 200).await?.json().unwrap_or_default();
    let from = shown["tokens_valid_from"].as_str().and_then(clock::parse_rfc3339);
    let from = from.ok_or_else(|| Stop::Blocked("the client in the response has no tokens_valid_from".to_owned()))?;
    match auth_time(&short)? {
        at if at >= from => Ok(()),
        at => Err(Stop::fail(format!("auth_time {from} or later, as tokens_valid_from"), format!("auth_time {at}"))),
    }
}

/// After end-tokens the request must be rejected.
async fn refused(t: &Trial<'_>, guest: &Guest, request: &Request) -> Result<(), Stop> {
    t.end_tokens(guest).await?;
    let answer = t.send(request).await?;
    t.expect(t.due, &answer)
}

async fn exchange_refused(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = guest(t).await?;
    let long = t.guest_long(&guest, &SCOPES).await?;
    can_exchange(t, &long).await?;
    t.run.wait_until(t.run.clock.now() + 2).await?;
    refused(t, &guest, &endpoint::exchange(&long.token)).await
}

/// Issued in the first tenth of a second, so that the call follows in the same second.
async fn same_second(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = guest(t).await?;
    t.shared(Operator, "short").await?;
    t.run.wait_until(t.run.clock.now() + 1).await?;
    let long = t.guest_long(&guest, &SCOPES).await?;
    refused(t, &guest, &endpoint::exchange(&long.token)).await
}

async fn rotated_refused(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = guest(t).await?;
    let short = can_exchange(t, &t.guest_long(&guest, &SCOPES).await?).await?;
    let rotated = t.rotated(&guest.id, &short).await?;
    can_exchange(t, &rotated).await?;
    refused(t, &guest, &endpoint::exchange(&rotated.token)).await
}

async fn short_refused(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = guest(t).await?;
    let short = can_exchange(t, &t.guest_long(&guest, &SCOPES).await?).await?;
    t.rotated(&guest.id, &short).await?;
    refused(t, &guest, &endpoint::rotate(&guest.id, &short.token, None)).await
}

async fn again(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = guest(t).await?;
    t.end_tokens(&guest).await?;
    let long = t.guest_long(&guest, &SCOPES).await?;
    can_exchange(t, &long).await?;
    refused(t, &guest, &endpoint::exchange(&long.token)).await
}

async fn spares_others(t: &Trial<'_>) -> Result<(), Stop> {
    let (ended, other) = (guest(t).await?, guest(t).await?);
    let long = t.guest_long(&other, &SCOPES).await?;
    t.end_tokens(&ended).await?;
    can_exchange(t, &long).await.map(drop)
}

async fn spares_rotated(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = guest(t).await?;
    let long = t.guest_long(&guest, &SCOPES).await?;
    let short = can_exchange(t, &long).await?;
    let rotated = t.rotated(&guest.id, &short).await?;
    t.revoked(&long, &long).await?;
    can_exchange(t, &rotated).await.map(drop)
}
