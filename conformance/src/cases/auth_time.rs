//! `auth_time`, when a client last showed a credential, and `end-tokens`, which goes by it.

use crate::case::*;
use crate::clock;
use crate::endpoint;
use crate::trial::draft;
use crate::trial::feed::{CLOCKS, claims};
use crate::trial::guests::Guest;
use crate::trial::mint::token_in;
use serde_json::json;

/// A guest that may rotate, revoke and submit.
const SCOPES: [&str; 3] = ["jobs:submit", "tokens:write", "tokens:revoke"];

pub const CASES: &[Case] = &[
    Case {
        id: "auth-time.201.exchange",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "An exchange hands auth_time on: it is not the time of the exchange.",
        section: "openapi.yaml, ShortTokenResponse; RFC 9068 section 2.2.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(exchange),
        expect: GRANTED,
        mutants: &[mutant("auth-time-near-exchange", "has the second before the exchange as auth_time")],
        ..ROW
    },
    Case {
        id: "auth-time.201.secret",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "auth_time is when the client showed its secret.",
        section: "openapi.yaml, ShortTokenResponse; RFC 9068 section 2.2.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("auth-time.201.exchange"),
        request: steps!(secret),
        expect: GRANTED,
        mutants: &[mutant("auth-time-an-hour-off", "has an auth_time of an hour ago")],
        ..ROW
    },
    Case {
        id: "auth-time.201.assertion",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "auth_time is when an assertion was shown, whatever its iat says.",
        section: "openapi.yaml, ShortTokenResponse; RFC 9068 section 2.2.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(assertion),
        expect: GRANTED,
        mutants: &[mutant("auth-time-of-the-assertion", "takes the assertion's iat for auth_time")],
        ..ROW
    },
    Case {
        id: "auth-time.201.rotation",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "A rotation hands auth_time on.",
        section: "openapi.yaml, ShortTokenResponse; openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("auth-time.201.exchange"),
        request: steps!(rotation, 1),
        expect: GRANTED,
        mutants: &[mutant("auth-time-near-rotation", "has the second before the rotation as auth_time")],
        ..ROW
    },
    Case {
        id: "auth-time.201.rotation-of-rotation",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "So does the rotation of what was rotated.",
        section: "openapi.yaml, ShortTokenResponse; openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("auth-time.201.rotation"),
        request: steps!(rotation, 2),
        expect: GRANTED,
        mutants: &[mutant("auth-time-handed-on-once", "hands auth_time on once")],
        ..ROW
    },
    Case {
        id: "auth-time.201.after-end-tokens",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "What is issued after the answer of end-tokens works at once.",
        section: "openapi.yaml, endClientTokens",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("auth-time.201.exchange"),
        request: steps!(after),
        expect: GRANTED,
        mutants: &[mutant(
            "auth-time-before-valid-from",
            "has an auth_time before tokens_valid_from for what it issues in that second",
        )],
        ..ROW
    },
    Case {
        id: "auth-time.201.not-before-valid-from",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "A new token's auth_time is not before its client's tokens_valid_from.",
        section: "openapi.yaml, endClientTokens; openapi.yaml, Client",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("auth-time.201.after-end-tokens"),
        request: steps!(not_before),
        expect: GRANTED,
        mutants: &[mutant("auth-time-behind", "has the second before tokens_valid_from as auth_time")],
        ..ROW
    },
    Case {
        id: "auth-time.401.exchange-after-end-tokens",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "end-tokens ends the long-term tokens from before it: 401 invalid_token.",
        section: "openapi.yaml, endClientTokens",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("auth-time.201.exchange"),
        request: steps!(exchange_refused),
        expect: INVALID_TOKEN,
        mutants: &[mutant("kill-switch-spares-long", "spares long-term tokens")],
        ..ROW
    },
    Case {
        id: "auth-time.401.same-second",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "It ends one that was issued in the very second of the call, just before it.",
        section: "openapi.yaml, endClientTokens",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("auth-time.401.exchange-after-end-tokens"),
        request: steps!(same_second),
        expect: INVALID_TOKEN,
        mutants: &[mutant("end-tokens-until-this-second", "ends what was issued before the second of the call")],
        ..ROW
    },
    Case {
        id: "auth-time.401.rotated-after-end-tokens",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "It ends what was rotated from those.",
        section: "openapi.yaml, endClientTokens",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("auth-time.401.exchange-after-end-tokens"),
        request: steps!(rotated_refused),
        expect: INVALID_TOKEN,
        mutants: &[mutant("kill-switch-spares-rotated", "spares what was rotated")],
        ..ROW
    },
    Case {
        id: "auth-time.401.short-after-end-tokens",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "It ends the short-term tokens from before it: a rotation by one is 401 invalid_token.",
        section: "openapi.yaml, endClientTokens",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("auth-time.201.exchange"),
        request: steps!(short_refused),
        expect: INVALID_TOKEN,
        mutants: &[mutant("kill-switch-spares-short", "spares short-term tokens")],
        ..ROW
    },
    Case {
        id: "auth-time.401.end-tokens-again",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "A second end-tokens ends what was issued since the first.",
        section: "openapi.yaml, endClientTokens",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("auth-time.201.after-end-tokens"),
        request: steps!(again),
        expect: INVALID_TOKEN,
        mutants: &[mutant("end-tokens-once", "ends tokens once")],
        ..ROW
    },
    Case {
        id: "auth-time.201.end-tokens-spares-others",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "It does not end another client's tokens.",
        section: "openapi.yaml, endClientTokens",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("auth-time.201.exchange"),
        request: steps!(spares_others),
        expect: GRANTED,
        mutants: &[mutant("end-tokens-of-everyone", "ends the tokens of every client that was made")],
        ..ROW
    },
    Case {
        id: "auth-time.201.revocation-spares-rotated",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "The revocation of a token does not end what was rotated from it.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("auth-time.201.rotation"),
        request: steps!(spares_rotated),
        expect: GRANTED,
        mutants: &[mutant("revocation-ends-rotated", "ends what was rotated from a revoked token")],
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
    let long = t.mint_long(Valid, &["jobs:submit"]).await?;
    let first = t.mint_short(&long, &["jobs:submit"]).await?;
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

/// Within what clocks differ by, from before the request to after its answer.
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
    let client = t.setting(Valid, ClientId)?;
    let scopes = ["jobs:submit", "tokens:write"];
    let long = t.mint_long(Valid, &scopes).await?;
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
    let from = from.ok_or_else(|| Stop::Blocked("the client is shown without tokens_valid_from".to_owned()))?;
    match auth_time(&short)? {
        at if at >= from => Ok(()),
        at => Err(Stop::fail(format!("auth_time {from} or later, as tokens_valid_from"), format!("auth_time {at}"))),
    }
}

/// After end-tokens the request is refused.
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

/// Issued in the first tenth of a second, so that the call follows in the same one.
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
