//! POST /auth/tokens/short: the long-term token to exchange.

use crate::case::*;
use crate::endpoint;
use crate::jose::{self, Jwt};

pub const CASES: &[Case] = &[
    Case {
        id: "short.201.authorization-repeated",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "An Authorization header that is sent twice with the same value is accepted.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Repeat("authorization")]),
        expect: GRANTED,
        mutants: &[mutant("repeated-header-refused-on-short", "rejects a repeated Authorization header")],
        ..ROW
    },
    Case {
        id: "short.201.long-token-in-body",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "long_token in the body is accepted in place of the Authorization header.",
        section: "openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[NoHeader("authorization"), Set("long_token", r#""${valid.long}""#)]),
        expect: GRANTED,
        also: &[Also::ShortDefault],
        mutants: &[
            mutant("long-token-ignored", "ignores long_token"),
            mutant("body-lives-an-hour", "issues a token of an hour if the long-term token is in the body"),
        ],
        ..ROW
    },
    Case {
        id: "short.201.long-token-twice",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "The same token in both long_token and Authorization is accepted.",
        section: "openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("long_token", r#""${valid.long}""#)]),
        expect: GRANTED,
        mutants: &[mutant("long-token-twice-400", "rejects the same token in both places")],
        ..ROW
    },
    Case {
        id: "short.400.long-token-number",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "A long_token that is a number is rejected with 400 invalid_request.",
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
        requirement: "Two different valid tokens in long_token and Authorization are rejected with 400 \
                      invalid_request.",
        section: "openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.long-token-twice"),
        request: Ask(ExchangeFor(Valid), &[Set("long_token", r#""${valid.spare}""#)]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("long-token-differs-ok", "uses the header's token if the two differ")],
        ..ROW
    },
    Case {
        id: "short.401.bearer-missing",
        cell: Cell::Short(401),
        level: Level::Seed,
        requirement: "A request without a token is rejected with 401 invalid_token.",
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
        requirement: "A bearer that is not a token is rejected with 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 6750 section 3.1",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Bearer not-a-token")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("any-bearer-exchanges", "exchanges any bearer")],
        ..ROW
    },
    Case {
        id: "short.401.bearer-empty",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A Bearer scheme without a token is rejected with 401 invalid_token.",
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
        requirement: "A token sent with another scheme than Bearer is rejected with 401 invalid_token.",
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
        requirement: "Two Authorization headers with different values are rejected with 401 invalid_token even if \
                      both tokens are valid, and the message says that the header is repeated.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("short.201.authorization-repeated"),
        request: Ask(Exchange(Valid), &[Beside("authorization", "Bearer ${valid.spare}")]),
        expect: INVALID_TOKEN,
        also: &[Also::SaysRepeated],
        mutants: &[mutant("first-header-wins-on-short", "uses the first of two Authorization headers")],
        ..ROW
    },
    Case {
        id: "short.401.bearer-in-query",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A token in the query string is not accepted: 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 6750 section 5.3",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(
            Exchange(Valid),
            &[NoHeader("authorization"), Path("/auth/tokens/short?access_token=${valid.long}")],
        ),
        expect: INVALID_TOKEN,
        mutants: &[mutant("bearer-in-query", "accepts a token in the query string")],
        ..ROW
    },
    Case {
        id: "short.401.short-token",
        cell: Cell::Short(401),
        level: Level::Seed,
        requirement: "A short-term token cannot be exchanged: it is rejected with 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 6750 section 3.1",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Bearer ${valid.short}")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("short-where-long", "accepts a short-term token where a long-term token is required")],
        ..ROW
    },
    Case {
        id: "short.401.signature",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A token with an invalid signature is rejected with 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 7515 section 5.2",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Bearer ${valid.long_tampered}")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("long-signature-unchecked", "does not verify a long-term token's signature")],
        ..ROW
    },
    Case {
        id: "short.401.extended",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A token whose exp was changed after signing is rejected with 401 invalid_token.",
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
        requirement: "An unsigned token is rejected with 401 invalid_token.",
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
        requirement: "A client secret as the bearer is rejected with 401 invalid_token.",
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
        requirement: "A token's id as the bearer is rejected with 401 invalid_token.",
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
        requirement: "A token signed by somebody else is rejected with 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 7515 section 5.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(self_made),
        expect: INVALID_TOKEN,
        mutants: &[mutant("hs256-empty-key", "accepts tokens signed with an empty key")],
        ..ROW
    },
    Case {
        id: "short.401.long-token-garbage",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A long_token that is not a token is rejected with 401 invalid_token.",
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
        requirement: "A short-term token in long_token is rejected with 401 invalid_token.",
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
        requirement: "The bearer is checked before the body: a request with an invalid token and an invalid body is \
                      rejected with 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 6750 section 3.1",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(
            Exchange(Valid),
            &[Header("authorization", "Bearer not-a-token"), Header("content-type", "application/json"), Raw("{")],
        ),
        expect: INVALID_TOKEN,
        mutants: &[mutant("body-before-bearer", "checks the body before the bearer")],
        ..ROW
    },
    Case {
        id: "short.401.bearer-before-scopes",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "The bearer is checked before the scopes: a request with an invalid token is rejected with 401 \
                      invalid_token, whatever scopes it asks for.",
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
        requirement: "A revoked long-term token is rejected with 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("short.201.exchange"),
        request: steps!(revoked),
        expect: INVALID_TOKEN,
        mutants: &[mutant("revoke-no-op", "answers 204 and revokes nothing")],
        ..ROW
    },
    Case {
        id: "short.401.bearer-in-cookie",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A token in a cookie is not a bearer token: without Authorization it is rejected with 401 \
                      invalid_token.",
        section: "RFC 6750 section 2",
        effect: Effect::Read,
        control: Some("short.201.exchange"),
        request: Ask(
            Exchange(Valid),
            &[
                NoHeader("authorization"),
                Header("cookie", "access_token=${valid.long}; token=${valid.long}; authorization=Bearer ${valid.long}"),
            ],
        ),
        expect: INVALID_TOKEN,
        mutants: &[mutant("bearer-in-cookie", "takes the bearer token from a cookie")],
        ..ROW
    },
    Case {
        id: "short.201.scheme-case",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "The authentication scheme is case-insensitive: bearer in lower case is accepted.",
        section: "RFC 9110 section 11.1",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "bearer ${valid.long}")]),
        expect: GRANTED,
        mutants: &[mutant("scheme-case", "compares the scheme Bearer case-sensitively")],
        ..ROW
    },
    Case {
        id: "short.401.scheme-missing",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A token in Authorization without a scheme is rejected with 401 invalid_token.",
        section: "RFC 6750 section 2.1",
        effect: Effect::Read,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "${valid.long}")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("scheme-optional", "accepts a token without a scheme")],
        ..ROW
    },
    Case {
        id: "short.401.trailing-dot",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A JWT has three parts: a long-term token with a dot after it is rejected with 401 invalid_token.",
        section: "RFC 7515 section 7.1",
        effect: Effect::Read,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Bearer ${valid.long}.")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("trailing-dot-ok", "ignores a dot after a token")],
        ..ROW
    },
    Case {
        id: "short.401.fourth-part",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A JWT has three parts: a long-term token with a fourth one is rejected with 401 invalid_token.",
        section: "RFC 7515 section 7.1",
        effect: Effect::Read,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Bearer ${valid.long}.AAAA")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("more-parts-ok", "ignores what follows the third part of a token")],
        ..ROW
    },
    Case {
        id: "short.401.header-garbage-body-good",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "If the Authorization header has no valid token, the request is rejected with 401 invalid_token, \
                      even if long_token is valid.",
        section: "openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.long-token-in-body"),
        request: Ask(
            ExchangeFor(Valid),
            &[Header("authorization", "Bearer not-a-token"), Set("long_token", r#""${valid.long}""#)],
        ),
        expect: INVALID_TOKEN,
        mutants: &[mutant("short-falls-back-to-body", "uses long_token if the header's token is invalid")],
        ..ROW
    },
    Case {
        id: "short.401.header-basic-body-good",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "If the Authorization header has another scheme than Bearer, the request is rejected with 401 \
                      invalid_token, even if long_token is valid.",
        section: "openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.long-token-in-body"),
        request: Ask(
            ExchangeFor(Valid),
            &[Header("authorization", "Basic eDp5"), Set("long_token", r#""${valid.long}""#)],
        ),
        expect: INVALID_TOKEN,
        mutants: &[mutant("short-ignores-basic", "ignores an Authorization header that is not Bearer")],
        ..ROW
    },
    Case {
        id: "short.400.long-token-null",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "A long_token that is null is rejected with 400 invalid_request.",
        section: "openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("long_token", "null")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("long-token-null-ok", "treats a long_token that is null as absent")],
        ..ROW
    },
    Case {
        id: "short.400.long-token-garbage-beside",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "A long_token that differs from a valid token in the Authorization header is rejected with 400 \
                      invalid_request, even if it is no token at all.",
        section: "openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.long-token-twice"),
        request: Ask(ExchangeFor(Valid), &[Set("long_token", r#""not-a-token""#)]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("long-token-garbage-ignored", "ignores a long_token that is no token beside a header")],
        ..ROW
    },
    Case {
        id: "short.401.bearer-with-more",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A token with more behind it is rejected with 401 invalid_token.",
        section: "RFC 6750 section 2.1",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Bearer ${valid.long} more")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("bearer-first-word", "reads only the first word behind the scheme")],
        ..ROW
    },
    Case {
        id: "short.401.scheme-longer",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A scheme that only begins with Bearer is rejected with 401 invalid_token.",
        section: "RFC 6750 section 2.1",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "BearerToken ${valid.long}")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("scheme-prefix", "accepts any scheme that begins with Bearer")],
        ..ROW
    },
    Case {
        id: "short.401.bearer-quoted",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A token in quotation marks is rejected with 401 invalid_token.",
        section: "RFC 6750 section 2.1",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Bearer \"${valid.long}\"")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("bearer-quotes-ok", "ignores quotation marks around a token")],
        ..ROW
    },
    Case {
        id: "short.401.bearer-colon",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A colon between Bearer and the token is rejected with 401 invalid_token.",
        section: "RFC 6750 section 2.1",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Bearer:${valid.long}")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("bearer-colon-ok", "accepts a colon in place of the space")],
        ..ROW
    },
    Case {
        id: "short.401.bearer-unspaced",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A token directly behind Bearer, without a space, is rejected with 401 invalid_token.",
        section: "RFC 6750 section 2.1",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Bearer${valid.long}")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("bearer-unspaced-ok", "does not need a space between Bearer and the token")],
        ..ROW
    },
    Case {
        id: "short.401.bearer-second-word",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "Another word before the token is rejected with 401 invalid_token.",
        section: "RFC 6750 section 2.1",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Header("authorization", "Bearer x ${valid.long}")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("bearer-last-word", "takes the last word of Authorization as the token")],
        ..ROW
    },
    Case {
        id: "short.401.long-token-with-scheme",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A long_token that begins with Bearer is rejected with 401 invalid_token: it is the token alone.",
        section: "openapi.yaml, issueShortTermToken",
        effect: Effect::Mint,
        control: Some("short.201.long-token-in-body"),
        request: Ask(ExchangeFor(Valid), &[NoHeader("authorization"), Set("long_token", r#""Bearer ${valid.long}""#)]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("long-token-scheme-ok", "accepts the scheme in long_token")],
        ..ROW
    },
    Case {
        id: "short.401.long-token-spaced",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A long_token with a space behind it is rejected with 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken",
        effect: Effect::Mint,
        control: Some("short.201.long-token-in-body"),
        request: Ask(ExchangeFor(Valid), &[NoHeader("authorization"), Set("long_token", r#""${valid.long} ""#)]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("long-token-trimmed", "trims long_token")],
        ..ROW
    },
    Case {
        id: "short.400.long-token-empty-beside",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "An empty long_token differs from the token in the Authorization header: 400 invalid_request.",
        section: "openapi.yaml, issueShortTermToken",
        effect: Effect::Mint,
        control: Some("short.201.long-token-in-body"),
        request: Ask(ExchangeFor(Valid), &[Set("long_token", r#""""#)]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("long-token-empty-ignored", "ignores an empty long_token beside a header")],
        ..ROW
    },
    Case {
        id: "short.401.revoked-in-body",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A revoked long-term token is rejected with 401 invalid_token also in long_token.",
        section: "openapi.yaml, issueShortTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("short.201.long-token-in-body"),
        request: steps!(revoked_in_body),
        expect: INVALID_TOKEN,
        mutants: &[mutant("revocation-unchecked-in-body", "does not check whether a token in long_token was revoked")],
        ..ROW
    },
    Case {
        id: "short.400.root-falsy",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "A body that is a JSON value other than an object or null is rejected with 400 invalid_request, \
                      also if it is empty: [], \"\", 0 and false.",
        section: "openapi.yaml, issueShortTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.empty-object"),
        request: steps!(falsy_roots),
        expect: INVALID_REQUEST,
        mutants: &[mutant("falsy-roots-ok", "treats an empty array as no body")],
        ..ROW
    },
];

/// The long-term token's own claims, signed with keys that an attacker would guess.
async fn self_made(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.shared(Valid, "long").await?;
    let jwt = Jwt::read(&long.token).ok_or_else(|| {
        Stop::Blocked("the server's long-term token is not a JWT, so no forgery of it can be made".to_owned())
    })?;
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

async fn revoked_in_body(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    let request = endpoint::post(endpoint::SHORT, None, Some(serde_json::json!({"long_token": long.token})));
    t.expect(GRANTED, &t.send(&request).await?)
        .map_err(|_| Stop::Blocked("the token did not work before its revocation".to_owned()))?;
    t.revoked(&bearer, &long).await?;
    t.until_refused(&request, t.due).await
}

async fn falsy_roots(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.shared(Valid, "long").await?;
    for root in ["[]", r#""""#, "0", "false"] {
        let mut request = endpoint::exchange(&long.token);
        request.set("content-type", "application/json");
        request.body = root.as_bytes().to_vec();
        let answer = t.send(&request).await?;
        t.expect(t.due, &answer).map_err(|stop| stop.wanted(|wanted| format!("{wanted} for the body {root}")))?;
    }
    Ok(())
}
