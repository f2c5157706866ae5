//! POST /auth/tokens/short: the long-term token that is exchanged.

use crate::case::*;
use crate::endpoint;
use crate::jose::{self, Jwt};

pub const CASES: &[Case] = &[
    Case {
        id: "short.201.authorization-repeated",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "An Authorization header that is there twice with the same value counts once.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Repeat("authorization")]),
        expect: GRANTED,
        mutants: &[mutant("repeated-header-refused-on-short", "refuses the same bearer twice")],
        ..ROW
    },
    Case {
        id: "short.201.long-token-in-body",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "long_token in the body stands in for the Authorization header.",
        section: "openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[NoHeader("authorization"), Set("long_token", r#""${valid.long}""#)]),
        expect: GRANTED,
        mutants: &[mutant("long-token-ignored", "ignores long_token")],
        ..ROW
    },
    Case {
        id: "short.201.long-token-twice",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "The same token in header and body is one token.",
        section: "openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("long_token", r#""${valid.long}""#)]),
        expect: GRANTED,
        mutants: &[mutant("long-token-twice-400", "refuses the same token twice")],
        ..ROW
    },
    Case {
        id: "short.400.long-token-number",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "A number for long_token is 400 invalid_request.",
        section: "openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("long_token", "7")]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "short.400.long-token-differs",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "Two different tokens in header and body are 400 invalid_request.",
        section: "openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.long-token-twice"),
        request: Ask(ExchangeFor(Valid), &[Set("long_token", r#""${valid.spare}""#)]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("long-token-differs-ok", "takes the header's of two tokens")],
        ..ROW
    },
    Case {
        id: "short.401.bearer-missing",
        cell: Cell::Short(401),
        level: Level::Seed,
        requirement: "Without a token the answer is 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 6750 section 3.1",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[NoHeader("authorization")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("bearer-missing-400", "answers 400 to a missing token")],
        ..ROW
    },
    Case {
        id: "short.401.bearer-garbage",
        cell: Cell::Short(401),
        level: Level::Seed,
        requirement: "A bearer that is no token is 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 6750 section 3.1",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Bearer not-a-token")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("any-bearer-exchanges", "exchanges anything")],
        ..ROW
    },
    Case {
        id: "short.401.bearer-empty",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "An empty bearer is 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 6750 section 3.1",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Bearer ")]),
        expect: INVALID_TOKEN,
        ..ROW
    },
    Case {
        id: "short.401.bearer-basic",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "Another scheme than Bearer presents no token.",
        section: "openapi.yaml, issueShortTermToken; RFC 6750 section 3.1",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Basic ${valid.long}")]),
        expect: INVALID_TOKEN,
        ..ROW
    },
    Case {
        id: "short.401.authorization-differs",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "Two Authorization headers that differ are 401 invalid_token, though both tokens are good; the message says why.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("short.201.authorization-repeated"),
        request: Ask(Exchange(Valid), &[Beside("authorization", "Bearer ${valid.spare}")]),
        expect: INVALID_TOKEN,
        also: &[Also::SaysRepeated],
        mutants: &[mutant("first-header-wins-on-short", "takes the first of two bearers")],
        ..ROW
    },
    Case {
        id: "short.401.bearer-in-query",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A token in the query is no bearer.",
        section: "openapi.yaml, issueShortTermToken; RFC 6750 section 5.3",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(
            Exchange(Valid),
            &[NoHeader("authorization"), Path("/auth/tokens/short?access_token=${valid.long}")],
        ),
        expect: INVALID_TOKEN,
        mutants: &[mutant("bearer-in-query", "takes a token from the query")],
        ..ROW
    },
    Case {
        id: "short.401.short-token",
        cell: Cell::Short(401),
        level: Level::Seed,
        requirement: "A short-term token can't be exchanged: 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 6750 section 3.1",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Bearer ${valid.short}")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("short-where-long", "takes a short-term token where a long-term one belongs")],
        ..ROW
    },
    Case {
        id: "short.401.signature",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A token with another signature is 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 7515 section 5.2",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Bearer ${valid.long_tampered}")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("long-signature-unchecked", "does not check a long-term token's signature")],
        ..ROW
    },
    Case {
        id: "short.401.extended",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A token with a later end under its old signature is 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 7515 section 5.2",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Bearer ${valid.long_extended}")]),
        expect: INVALID_TOKEN,
        ..ROW
    },
    Case {
        id: "short.401.alg-none",
        cell: Cell::Short(401),
        level: Level::Seed,
        requirement: "An unsigned token is 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 7515 section 5.2",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Bearer ${valid.long_unsigned}")]),
        expect: INVALID_TOKEN,
        ..ROW
    },
    Case {
        id: "short.401.client-secret",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A client secret is no bearer.",
        section: "openapi.yaml, issueShortTermToken",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Bearer ${valid.client_secret}")]),
        expect: INVALID_TOKEN,
        ..ROW
    },
    Case {
        id: "short.401.token-id",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A token's id is no bearer.",
        section: "openapi.yaml, issueShortTermToken",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Bearer ${valid.long_id}")]),
        expect: INVALID_TOKEN,
        ..ROW
    },
    Case {
        id: "short.401.other-issuer",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A token that somebody else signed is 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 7515 section 5.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(self_made),
        expect: INVALID_TOKEN,
        mutants: &[mutant("hs256-empty-key", "accepts tokens made with an empty key")],
        ..ROW
    },
    Case {
        id: "short.401.long-token-garbage",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A long_token that is no token is 401 invalid_token.",
        section: "openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.long-token-in-body"),
        request: Ask(ExchangeFor(Valid), &[NoHeader("authorization"), Set("long_token", r#""not-a-token""#)]),
        expect: INVALID_TOKEN,
        ..ROW
    },
    Case {
        id: "short.401.long-token-short",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A short-term token as long_token is 401 invalid_token.",
        section: "openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.long-token-in-body"),
        request: Ask(ExchangeFor(Valid), &[NoHeader("authorization"), Set("long_token", r#""${valid.short}""#)]),
        expect: INVALID_TOKEN,
        ..ROW
    },
    Case {
        id: "short.401.bearer-before-body",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "The bearer is checked before the body: without a valid one it is 401 whatever the body holds.",
        section: "openapi.yaml, issueShortTermToken; RFC 6750 section 3.1",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(
            Exchange(Valid),
            &[Header("authorization", "Bearer not-a-token"), Header("content-type", "application/json"), Raw("{")],
        ),
        expect: INVALID_TOKEN,
        mutants: &[mutant("body-before-bearer", "judges the body first")],
        ..ROW
    },
    Case {
        id: "short.401.bearer-before-scopes",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "Without a valid bearer it is 401 whatever scopes are asked for.",
        section: "openapi.yaml, issueShortTermToken; RFC 6750 section 3.1",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(
            ExchangeFor(Valid),
            &[Header("authorization", "Bearer not-a-token"), Set("scopes", r#"["Billing"]"#)],
        ),
        expect: INVALID_TOKEN,
        ..ROW
    },
    Case {
        id: "short.401.revoked",
        cell: Cell::Short(401),
        level: Level::Seed,
        requirement: "A revoked long-term token is 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("short.201.exchange"),
        request: steps!(revoked),
        expect: INVALID_TOKEN,
        mutants: &[mutant("revoke-no-op", "says 204 and does nothing")],
        ..ROW
    },
];

/// The long-term token's own claims, under keys that anybody could think of.
async fn self_made(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.shared(Valid, "long").await?;
    let jwt = Jwt::read(&long.token)
        .ok_or_else(|| Stop::Blocked("the server's long-term token is no JWT, so it can't be imitated".to_owned()))?;
    let mut header = jwt.header;
    header["alg"] = "HS256".into();
    for key in ["", "secret"] {
        let forged = t.secret("FORGED_TOKEN", jose::hs256(key.as_bytes(), &jose::signing_input(&header, &jwt.claims)));
        let answer = t.send(&endpoint::exchange(&forged)).await?;
        t.expect(t.due, &answer)?;
    }
    Ok(())
}

async fn revoked(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit"]).await?;
    let before = t.send(&endpoint::exchange(&long.token)).await?;
    t.expect(GRANTED, &before).map_err(|_| Stop::Blocked("the token did not work before it was revoked".to_owned()))?;
    let answer = t.send(&endpoint::revoke(&long.token, &long.id)).await?;
    t.expect(ENDED, &answer)?;
    t.until_refused(&endpoint::exchange(&long.token), t.due).await
}
