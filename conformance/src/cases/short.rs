//! POST /auth/tokens/short.

use super::Base::{Exchange, ExchangeFor};
use super::Change::*;
use super::*;
use crate::identities::Role::{Burst, Valid};
use crate::jose::{self, Jwt};
use crate::{clock, draft};
use serde_json::{Value, json};

const TOKEN: &[(Role, Credential)] = &[(Valid, ClientId), (Valid, ClientSecret)];
const BURST: &[(Role, Credential)] = &[(Burst, ClientId), (Burst, ClientSecret)];

pub const CASES: &[Case] = &[
    // ---- 201
    ask(
        "short.201.exchange",
        "A long-term token as bearer is exchanged for a short-term one, without any body.",
        Exchange(Valid),
        &[],
        GRANTED,
    )
    .twin_of("long.201.secret")
    .seed(),
    ask(
        "short.201.empty-object",
        "The body may be an empty object.",
        Exchange(Valid),
        &[Raw("{}"), Header("content-type", "application/json")],
        GRANTED,
    ),
    ask(
        "short.201.root-null",
        "The JSON value null is no body: the scopes default to all of the long-term token's.",
        ExchangeFor(Valid),
        &[Raw("null")],
        GRANTED,
    )
    .twin_of("short.201.exchange")
    .also(&[Also::Scopes(&["jobs:*", "templates:*", "tokens:*"])]),
    ask(
        "short.201.authorization-repeated",
        "An Authorization header that is there twice with the same value counts once.",
        Exchange(Valid),
        &[Repeat("authorization")],
        GRANTED,
    ),
    ask(
        "short.201.scopes-default",
        "The scopes default to all of the long-term token's.",
        Exchange(Valid),
        &[],
        GRANTED,
    )
    .twin_of("short.201.exchange")
    .also(&[Also::Scopes(&["jobs:*", "templates:*", "tokens:*"])]),
    ask(
        "short.201.scopes-subset",
        "A scope that the long-term token covers is granted alone.",
        ExchangeFor(Valid),
        &[],
        GRANTED,
    )
    .twin_of("short.201.exchange")
    .also(&[Also::Scopes(&["jobs:submit"])]),
    ask(
        "short.201.scopes-in-order",
        "The scopes granted are those asked for, in their order.",
        ExchangeFor(Valid),
        &[Set("scopes", r#"["templates:read","jobs:submit"]"#)],
        GRANTED,
    )
    .also(&[Also::Scopes(&["templates:read", "jobs:submit"])]),
    ask(
        "short.201.scopes-fold",
        "Duplicate scopes fold.",
        ExchangeFor(Valid),
        &[Set("scopes", r#"["jobs:submit","jobs:submit"]"#)],
        GRANTED,
    )
    .also(&[Also::Scopes(&["jobs:submit"])]),
    ask(
        "short.201.scope-wildcard",
        "jobs:* covers jobs:* itself.",
        ExchangeFor(Valid),
        &[Set("scopes", r#"["jobs:*"]"#)],
        GRANTED,
    )
    .also(&[Also::Scopes(&["jobs:*"])]),
    ask("short.201.scopes-64", "64 scopes pass.", ExchangeFor(Valid), &[ManyScopes(64)], GRANTED)
        .also(&[Also::ManyScopes(64)]),
    ask(
        "short.201.long-token-in-body",
        "long_token in the body stands in for the Authorization header.",
        ExchangeFor(Valid),
        &[NoHeader("authorization"), Set("long_token", r#""${valid.long}""#)],
        GRANTED,
    ),
    ask(
        "short.201.long-token-twice",
        "The same token in header and body is one token.",
        ExchangeFor(Valid),
        &[Set("long_token", r#""${valid.long}""#)],
        GRANTED,
    ),
    ask(
        "short.201.content-type-parameters",
        "Content-Type may carry parameters.",
        ExchangeFor(Valid),
        &[Header("content-type", "application/json; charset=UTF-8")],
        GRANTED,
    ),
    ask("short.201.body-16384", "A body of 16384 bytes passes.", ExchangeFor(Valid), &[PadTo(16_384)], GRANTED),
    ask("short.201.lifetime", "A short-term token lives 900 s.", Exchange(Valid), &[], GRANTED)
        .twin_of("short.201.exchange")
        .also(&[Also::ShortDefault]),
    ask("short.201.token-id", "The id of a short-term token starts with tok_st_.", Exchange(Valid), &[], GRANTED)
        .twin_of("short.201.exchange")
        .also(&[Also::TokenIdStarts("tok_st_")]),
    steps("short.201.jwt", "A short-term token is a JWT.", Op::Short, 201, TOKEN, |t| {
        Box::pin(async move { jwt(t).await.map(drop) })
    })
    .twin_of("short.201.exchange")
    .seed(),
    steps("short.201.jwt-alg", "It is signed with EdDSA, under a kid.", Op::Short, 201, TOKEN, |t| {
        Box::pin(jwt_alg(t))
    })
    .twin_of("short.201.jwt"),
    steps("short.201.jwt-typ", "Its typ is at+jwt.", Op::Short, 201, TOKEN, |t| Box::pin(jwt_typ(t)))
        .twin_of("short.201.jwt"),
    steps(
        "short.201.jwt-claims",
        "It has iss, sub, client_id, aud, iat, exp and jti (RFC 9068).",
        Op::Short,
        201,
        TOKEN,
        |t| Box::pin(jwt_claims(t)),
    )
    .twin_of("short.201.jwt"),
    steps("short.201.jwt-scope", "Its scope claim says what was granted.", Op::Short, 201, TOKEN, |t| {
        Box::pin(jwt_scope(t))
    })
    .twin_of("short.201.jwt"),
    steps("short.201.jwt-parent", "Its parent claim is the long-term token's id.", Op::Short, 201, TOKEN, |t| {
        Box::pin(jwt_parent(t))
    })
    .twin_of("short.201.jwt"),
    steps(
        "short.201.jwt-exp",
        "Its exp agrees with expires_in and lies no further ahead than 900 s.",
        Op::Short,
        201,
        TOKEN,
        |t| Box::pin(jwt_exp(t)),
    )
    .twin_of("short.201.jwt"),
    steps(
        "short.201.within-parent",
        "A short-term token never outlives its long-term token.",
        Op::Short,
        201,
        TOKEN,
        |t| Box::pin(within_parent(t)),
    )
    .twin_of("short.201.exchange"),
    steps("short.201.unique", "Every token is another, with another id and jti.", Op::Short, 201, TOKEN, |t| {
        Box::pin(unique(t))
    })
    .twin_of("short.201.exchange"),
    // ---- 400
    ask(
        "short.400.not-json",
        "A body that is not JSON is 400 invalid_request.",
        ExchangeFor(Valid),
        &[Raw("scopes=jobs:submit")],
        INVALID_REQUEST,
    )
    .seed(),
    ask(
        "short.400.root-array",
        "A root that is not an object is 400 invalid_request.",
        ExchangeFor(Valid),
        &[Raw(r#"["jobs:submit"]"#)],
        INVALID_REQUEST,
    ),
    ask(
        "short.400.trailing-data",
        "Anything after the document is 400 invalid_request.",
        ExchangeFor(Valid),
        &[Append("x")],
        INVALID_REQUEST,
    ),
    ask(
        "short.400.repeated-key",
        "A repeated key is 400 invalid_request.",
        ExchangeFor(Valid),
        &[Raw(r#"{"scopes":["jobs:submit"],"scopes":["jobs:submit"]}"#)],
        INVALID_REQUEST,
    ),
    ask(
        "short.400.not-utf8",
        "Bytes that are not UTF-8 are 400 invalid_request.",
        ExchangeFor(Valid),
        &[RawBytes(b"{\"scopes\":[\"jobs:\xff\"]}")],
        INVALID_REQUEST,
    ),
    ask(
        "short.400.unknown-field",
        "An unknown field is 400 invalid_request, and is named.",
        ExchangeFor(Valid),
        &[Set("surprise", "1")],
        INVALID_REQUEST,
    )
    .also(&[Also::Names("surprise")]),
    ask(
        "short.400.ttl-unknown",
        "ttl_seconds is no field of this request.",
        ExchangeFor(Valid),
        &[Set("ttl_seconds", "3600")],
        INVALID_REQUEST,
    )
    .also(&[Also::Names("ttl_seconds")]),
    ask(
        "short.400.scopes-string",
        "A string for scopes is 400 invalid_request.",
        ExchangeFor(Valid),
        &[Set("scopes", r#""jobs:submit""#)],
        INVALID_REQUEST,
    )
    .seed(),
    ask(
        "short.400.scopes-null",
        "A null for scopes is 400 invalid_request.",
        ExchangeFor(Valid),
        &[Set("scopes", "null")],
        INVALID_REQUEST,
    ),
    ask(
        "short.400.scopes-number-inside",
        "A number among the scopes is 400 invalid_request.",
        ExchangeFor(Valid),
        &[Set("scopes", "[7]")],
        INVALID_REQUEST,
    ),
    ask(
        "short.400.long-token-number",
        "A number for long_token is 400 invalid_request.",
        ExchangeFor(Valid),
        &[Set("long_token", "7")],
        INVALID_REQUEST,
    ),
    ask(
        "short.400.content-type-missing",
        "A body without Content-Type is 400.",
        ExchangeFor(Valid),
        &[NoHeader("content-type")],
        INVALID_REQUEST,
    ),
    ask(
        "short.400.content-type-text",
        "A Content-Type of text/plain is 400.",
        ExchangeFor(Valid),
        &[Header("content-type", "text/plain")],
        INVALID_REQUEST,
    ),
    ask("short.400.body-16385", "A body of 16385 bytes is 400.", ExchangeFor(Valid), &[PadTo(16_385)], INVALID_REQUEST)
        .twin_of("short.201.body-16384"),
    ask(
        "short.400.long-token-differs",
        "Two different tokens in header and body are 400 invalid_request.",
        ExchangeFor(Valid),
        &[Set("long_token", r#""${valid.spare}""#)],
        INVALID_REQUEST,
    )
    .twin_of("short.201.long-token-twice"),
    ask(
        "short.400.scopes-empty",
        "An empty scopes is 400 invalid_scope.",
        ExchangeFor(Valid),
        &[Set("scopes", "[]")],
        INVALID_SCOPE,
    ),
    ask(
        "short.400.scope-upper-case",
        "A scope that breaks the grammar is 400 invalid_scope.",
        ExchangeFor(Valid),
        &[Set("scopes", r#"["jobs:Submit"]"#)],
        INVALID_SCOPE,
    ),
    ask(
        "short.400.scope-no-colon",
        "A scope without an action is 400 invalid_scope.",
        ExchangeFor(Valid),
        &[Set("scopes", r#"["jobs"]"#)],
        INVALID_SCOPE,
    ),
    ask(
        "short.400.scope-star-inside",
        "A star is an action by itself or none.",
        ExchangeFor(Valid),
        &[Set("scopes", r#"["jobs:sub*"]"#)],
        INVALID_SCOPE,
    ),
    ask(
        "short.400.scopes-65",
        "65 scopes are 400.",
        ExchangeFor(Valid),
        &[ManyScopes(65)],
        refused(400, &["invalid_scope", "invalid_request"]),
    )
    .twin_of("short.201.scopes-64"),
    ask(
        "short.400.scope-129",
        "A scope of 129 characters is 400.",
        ExchangeFor(Valid),
        &[LongScope(129)],
        refused(400, &["invalid_scope", "invalid_request"]),
    ),
    ask(
        "short.400.scope-not-covered",
        "A scope that the long-term token does not cover is 400 invalid_scope.",
        ExchangeFor(Valid),
        &[Set("scopes", r#"["billing:read"]"#)],
        INVALID_SCOPE,
    )
    .seed(),
    ask(
        "short.400.scope-partly-covered",
        "One scope that is not covered is enough: nothing is granted in part.",
        ExchangeFor(Valid),
        &[Set("scopes", r#"["jobs:submit","billing:read"]"#)],
        INVALID_SCOPE,
    ),
    ask(
        "short.400.scope-prefix",
        "jobs:* covers no resource that only starts with jobs.",
        ExchangeFor(Valid),
        &[Set("scopes", r#"["jobs-admin:submit"]"#)],
        INVALID_SCOPE,
    ),
    ask(
        "short.400.scope-shorter",
        "jobs:* covers no resource that is only its beginning.",
        ExchangeFor(Valid),
        &[Set("scopes", r#"["job:submit"]"#)],
        INVALID_SCOPE,
    ),
    steps(
        "short.400.scope-client-has",
        "What counts is the long-term token's scopes, not what its client may have.",
        Op::Short,
        400,
        TOKEN,
        |t| Box::pin(escalates(t, "jobs:cancel")),
    )
    .twin_of("short.201.scopes-subset"),
    steps("short.400.scope-wildcard-beyond", "jobs:submit does not cover jobs:*.", Op::Short, 400, TOKEN, |t| {
        Box::pin(escalates(t, "jobs:*"))
    })
    .twin_of("short.201.scopes-subset"),
    // ---- 401
    ask(
        "short.401.bearer-missing",
        "Without a token the answer is 401 invalid_token.",
        Exchange(Valid),
        &[NoHeader("authorization")],
        INVALID_TOKEN,
    )
    .seed(),
    ask(
        "short.401.bearer-garbage",
        "A bearer that is no token is 401 invalid_token.",
        Exchange(Valid),
        &[Header("authorization", "Bearer not-a-token")],
        INVALID_TOKEN,
    )
    .seed(),
    ask(
        "short.401.bearer-empty",
        "An empty bearer is 401 invalid_token.",
        Exchange(Valid),
        &[Header("authorization", "Bearer ")],
        INVALID_TOKEN,
    ),
    ask(
        "short.401.bearer-basic",
        "Another scheme than Bearer presents no token.",
        Exchange(Valid),
        &[Header("authorization", "Basic ${valid.long}")],
        INVALID_TOKEN,
    ),
    ask(
        "short.401.authorization-differs",
        "Two Authorization headers that differ are 401 invalid_token, though both tokens are good; the message says why.",
        Exchange(Valid),
        &[Beside("authorization", "Bearer ${valid.spare}")],
        INVALID_TOKEN,
    )
    .twin_of("short.201.authorization-repeated")
    .also(&[Also::SaysRepeated]),
    ask(
        "short.401.bearer-in-query",
        "A token in the query is no bearer.",
        Exchange(Valid),
        &[NoHeader("authorization"), Path("/auth/tokens/short?access_token=${valid.long}")],
        INVALID_TOKEN,
    ),
    ask(
        "short.401.short-token",
        "A short-term token can't be exchanged: 401 invalid_token.",
        Exchange(Valid),
        &[Header("authorization", "Bearer ${valid.short}")],
        INVALID_TOKEN,
    )
    .seed(),
    ask(
        "short.401.signature",
        "A token with another signature is 401 invalid_token.",
        Exchange(Valid),
        &[Header("authorization", "Bearer ${valid.long_tampered}")],
        INVALID_TOKEN,
    ),
    ask(
        "short.401.extended",
        "A token with a later end under its old signature is 401 invalid_token.",
        Exchange(Valid),
        &[Header("authorization", "Bearer ${valid.long_extended}")],
        INVALID_TOKEN,
    ),
    ask(
        "short.401.alg-none",
        "An unsigned token is 401 invalid_token.",
        Exchange(Valid),
        &[Header("authorization", "Bearer ${valid.long_unsigned}")],
        INVALID_TOKEN,
    )
    .seed(),
    ask(
        "short.401.client-secret",
        "A client secret is no bearer.",
        Exchange(Valid),
        &[Header("authorization", "Bearer ${valid.client_secret}")],
        INVALID_TOKEN,
    ),
    ask(
        "short.401.token-id",
        "A token's id is no bearer.",
        Exchange(Valid),
        &[Header("authorization", "Bearer ${valid.long_id}")],
        INVALID_TOKEN,
    ),
    steps(
        "short.401.other-issuer",
        "A token that somebody else signed is 401 invalid_token.",
        Op::Short,
        401,
        TOKEN,
        |t| Box::pin(self_made(t)),
    )
    .twin_of("short.201.exchange"),
    ask(
        "short.401.long-token-garbage",
        "A long_token that is no token is 401 invalid_token.",
        ExchangeFor(Valid),
        &[NoHeader("authorization"), Set("long_token", r#""not-a-token""#)],
        INVALID_TOKEN,
    )
    .twin_of("short.201.long-token-in-body"),
    ask(
        "short.401.long-token-short",
        "A short-term token as long_token is 401 invalid_token.",
        ExchangeFor(Valid),
        &[NoHeader("authorization"), Set("long_token", r#""${valid.short}""#)],
        INVALID_TOKEN,
    )
    .twin_of("short.201.long-token-in-body"),
    ask(
        "short.401.bearer-before-body",
        "The bearer is checked before the body: without a valid one it is 401 whatever the body holds.",
        Exchange(Valid),
        &[Header("authorization", "Bearer not-a-token"), Header("content-type", "application/json"), Raw("{")],
        INVALID_TOKEN,
    ),
    ask(
        "short.401.bearer-before-scopes",
        "Without a valid bearer it is 401 whatever scopes are asked for.",
        ExchangeFor(Valid),
        &[Header("authorization", "Bearer not-a-token"), Set("scopes", r#"["Billing"]"#)],
        INVALID_TOKEN,
    ),
    steps("short.401.revoked", "A revoked long-term token is 401 invalid_token.", Op::Short, 401, TOKEN, |t| {
        Box::pin(revoked(t))
    })
    .twin_of("short.201.exchange")
    .effect(Effect::Revoke)
    .seed(),
    // ---- 429
    steps(
        "short.429.burst",
        "Too many calls with one long-term token are 429 rate_limited.",
        Op::Short,
        429,
        BURST,
        |t| Box::pin(burst::short(t)),
    )
    .twin_of("short.201.exchange")
    .effect(Effect::Burst)
    .seed(),
];

/// A fresh short-term token with what is inside it.
async fn jwt(t: &Trial<'_>) -> Result<(Token, Jwt), Stop> {
    let long = t.shared(Valid, "long").await?;
    let request =
        t.request(draft::SHORT, Some(&long.token), Some(json!({"scopes": ["jobs:submit", "templates:read"]})));
    let answer = t.send(&request).await?;
    t.expect(GRANTED, &answer)?;
    let token = crate::trial::token_in(&answer).ok_or_else(|| Stop::fail("a token", t.summary(&answer)))?;
    match Jwt::read(&token.token) {
        Some(jwt) => Ok((token, jwt)),
        None => Err(Stop::fail("an access_token of three base64url parts, the first two JSON objects", "another form")),
    }
}

fn same(what: &str, wanted: impl Into<Value>, got: &Value) -> Result<(), Stop> {
    let wanted = wanted.into();
    if wanted == *got {
        return Ok(());
    }
    Err(Stop::fail(format!("{what} {wanted}"), format!("{what} {got}")))
}

fn text<'v>(value: &'v Value, name: &str) -> Result<&'v str, Stop> {
    let got = value[name].as_str().filter(|s| !s.is_empty());
    got.ok_or_else(|| Stop::fail(format!("{name}, a string that is not empty"), format!("{name} {}", value[name])))
}

async fn jwt_alg(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, jwt) = jwt(t).await?;
    same("header alg", "EdDSA", &jwt.header["alg"])?;
    text(&jwt.header, "kid").map(drop)
}

async fn jwt_typ(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, jwt) = jwt(t).await?;
    // RFC 9068 section 2.1 allows the long form too, and case does not count in a media type.
    let typ = jwt.header["typ"].as_str().unwrap_or_default().to_lowercase();
    same("header typ", "at+jwt", &typ.trim_start_matches("application/").into())
}

async fn jwt_claims(t: &Trial<'_>) -> Result<(), Stop> {
    let client_id = t.setting(Valid, ClientId)?;
    let (_, jwt) = jwt(t).await?;
    for name in ["iss", "sub", "jti"] {
        text(&jwt.claims, name)?;
    }
    same("client_id", client_id, &jwt.claims["client_id"])?;
    let aud = &jwt.claims["aud"];
    let named = aud.as_str().is_some_and(|a| !a.is_empty())
        || aud.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(Value::is_string));
    if !named {
        return Err(Stop::fail("aud, a string or an array of strings", format!("aud {aud}")));
    }
    for name in ["iat", "exp"] {
        if jwt.claims[name].as_u64().is_none() {
            return Err(Stop::fail(format!("{name} in whole seconds"), format!("{name} {}", jwt.claims[name])));
        }
    }
    Ok(())
}

async fn jwt_scope(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, jwt) = jwt(t).await?;
    same("scope", "jobs:submit templates:read", &jwt.claims["scope"])
}

async fn jwt_parent(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.shared(Valid, "long").await?;
    let (_, jwt) = jwt(t).await?;
    same("parent", long.id, &jwt.claims["parent"])
}

async fn jwt_exp(t: &Trial<'_>) -> Result<(), Stop> {
    let (token, jwt) = jwt(t).await?;
    let time = |name: &str| jwt.claims[name].as_u64().unwrap_or(0);
    let lives = time("exp").saturating_sub(time("iat"));
    if lives.abs_diff(token.expires_in) > 2 {
        return Err(Stop::fail(
            format!("exp − iat = expires_in, {}", token.expires_in),
            format!("exp − iat = {lives}"),
        ));
    }
    let most = t.run.profile.limits.short_seconds;
    let ahead = time("exp").saturating_sub(t.run.clock.now());
    // A minute for clocks that differ.
    if lives > most || ahead > most + 60 {
        return Err(Stop::fail(format!("exp at most {most} s ahead"), format!("exp {ahead} s ahead")));
    }
    Ok(())
}

async fn within_parent(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit"]).await?;
    let answer = t.send(&t.exchange_request(&long.token)).await?;
    t.expect(GRANTED, &answer)?;
    let short = answer.json().unwrap_or_default();
    let end = |body: &Value| body["expires_at"].as_str().and_then(clock::parse_rfc3339);
    let lives = short["expires_in"].as_u64().unwrap_or(u64::MAX);
    if lives > long.expires_in || end(&short) > end(&long.body) {
        return Err(Stop::fail(
            format!("an end no later than the long-term token's {}", long.body["expires_at"]),
            format!("expires_at {}, expires_in {}", short["expires_at"], short["expires_in"]),
        ));
    }
    Ok(())
}

async fn unique(t: &Trial<'_>) -> Result<(), Stop> {
    let (one, first) = jwt(t).await?;
    let (two, second) = jwt(t).await?;
    if one.id == two.id || one.token == two.token || first.claims["jti"] == second.claims["jti"] {
        return Err(Stop::fail("two different tokens with two different ids and jti", "one of them twice"));
    }
    Ok(())
}

async fn escalates(t: &Trial<'_>, scope: &str) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit"]).await?;
    let answer = t.send(&t.request(draft::SHORT, Some(&long.token), Some(json!({"scopes": [scope]})))).await?;
    t.expect(INVALID_SCOPE, &answer)
}

/// The long-term token's own claims, under keys that anybody could think of.
async fn self_made(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.shared(Valid, "long").await?;
    let jwt = Jwt::read(&long.token)
        .ok_or_else(|| Stop::Blocked("the server's long-term token is no JWT, so it can't be imitated".to_owned()))?;
    let mut header = jwt.header;
    header["alg"] = "HS256".into();
    for key in ["", "secret"] {
        let forged = t.secret("FORGED_TOKEN", jose::hs256(key.as_bytes(), &jose::signing_input(&header, &jwt.claims)));
        let answer = t.send(&t.exchange_request(&forged)).await?;
        t.expect(INVALID_TOKEN, &answer)?;
    }
    Ok(())
}

async fn revoked(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit"]).await?;
    let before = t.send(&t.exchange_request(&long.token)).await?;
    t.expect(GRANTED, &before).map_err(|_| Stop::Blocked("the token did not work before it was revoked".to_owned()))?;
    let answer = t.send(&t.revoke_request(&long.token, &long.id)).await?;
    t.expect(ENDED, &answer)?;
    t.until_refused(&t.exchange_request(&long.token), INVALID_TOKEN).await
}
