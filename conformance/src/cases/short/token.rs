//! POST /auth/tokens/short: the token that is issued, and its claims.

use crate::case::*;
use crate::jose::Jwt;
use crate::trial::mint::token_in;
use crate::{clock, endpoint};
use serde_json::{Value, json};

pub const CASES: &[Case] = &[
    Case {
        id: "short.201.exchange",
        cell: Cell::Short(201),
        level: Level::Seed,
        requirement: "A long-term token as the bearer is exchanged for a short-term token. No body is needed.",
        section: "openapi.yaml, issueShortTermToken",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Exchange(Valid), &[]),
        expect: GRANTED,
        mutants: &[
            mutant("hang-on-short", "never answers an exchange"),
            mutant("slow-trickle", "answers an exchange one byte at a time"),
            mutant("reset-mid-body", "closes the connection in the middle of a body"),
            mutant("endless-body", "sends a body that never ends"),
            mutant("exchange-refused", "rejects every exchange"),
        ],
        ..ROW
    },
    Case {
        id: "short.201.lifetime",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A short-term token is valid for 900 s.",
        section: "openapi.yaml, issueShortTermToken",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[]),
        expect: GRANTED,
        also: &[Also::ShortDefault],
        mutants: &[mutant("short-lives-60", "issues tokens that are valid for one minute")],
        ..ROW
    },
    Case {
        id: "short.201.token-id",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "The id of a short-term token starts with tok_st_.",
        section: "openapi.yaml, issueShortTermToken",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[]),
        expect: GRANTED,
        also: &[Also::TokenIdStarts("tok_st_")],
        ..ROW
    },
    Case {
        id: "short.201.jwt",
        cell: Cell::Short(201),
        level: Level::Seed,
        requirement: "A short-term token is a JWT.",
        section: "openapi.yaml, issueShortTermToken; RFC 7519 section 3",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(is_jwt),
        expect: GRANTED,
        mutants: &[mutant("opaque-short-token", "issues tokens that are not JWTs")],
        ..ROW
    },
    Case {
        id: "short.201.jwt-alg",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A short-term token is signed with EdDSA and has a kid.",
        section: "docs/api.md, Tokens; RFC 7515 section 4.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.jwt"),
        request: steps!(jwt_alg),
        expect: GRANTED,
        mutants: &[mutant("short-hs256", "signs with HS256")],
        ..ROW
    },
    Case {
        id: "short.201.jwt-typ",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A short-term token's typ is at+jwt.",
        section: "RFC 9068 section 2.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.jwt"),
        request: steps!(jwt_typ),
        expect: GRANTED,
        mutants: &[mutant("short-typ-jwt", "issues typ JWT")],
        ..ROW
    },
    Case {
        id: "short.201.jwt-claims",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A short-term token has the claims iss, sub, client_id, aud, iat, exp and jti (RFC 9068).",
        section: "RFC 9068 section 2.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.jwt"),
        request: steps!(jwt_claims),
        expect: GRANTED,
        mutants: &[mutant("short-lacks-aud", "leaves out aud")],
        ..ROW
    },
    Case {
        id: "short.201.jwt-scope",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A short-term token's scope claim is a string with the scopes that were granted.",
        section: "RFC 9068 section 2.2.3",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.jwt"),
        request: steps!(jwt_scope),
        expect: GRANTED,
        mutants: &[mutant("scope-claim-array", "issues the scope claim as an array")],
        ..ROW
    },
    Case {
        id: "short.201.jwt-parent",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A short-term token's parent claim is the long-term token's id.",
        section: "docs/api.md, Tokens",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.jwt"),
        request: steps!(jwt_parent),
        expect: GRANTED,
        mutants: &[mutant("no-parent", "leaves out parent")],
        ..ROW
    },
    Case {
        id: "short.201.jwt-exp",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A short-term token's exp agrees with expires_in and is at most 900 s ahead.",
        section: "RFC 7519 section 4.1.4",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.jwt"),
        request: steps!(jwt_exp),
        expect: GRANTED,
        mutants: &[mutant("exp-an-hour", "sends expires_in 900 but signs an exp one hour ahead")],
        ..ROW
    },
    Case {
        id: "short.201.within-parent",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A short-term token never expires after its long-term token.",
        section: "openapi.yaml, issueShortTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(within_parent),
        expect: GRANTED,
        mutants: &[mutant("short-outlives-long", "lets a short-term token outlive its parent")],
        ..ROW
    },
    Case {
        id: "short.201.unique",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "Every issued token is different, and has a different id and jti.",
        section: "openapi.yaml, issueShortTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(unique),
        expect: GRANTED,
        ..ROW
    },
    Case {
        id: "short.201.forwarded-host",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A header cannot choose the issuer: with X-Forwarded-Host, iss and aud are as always.",
        section: "openapi.yaml, ShortTokenResponse; RFC 9068 section 2.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(forwarded_host),
        expect: GRANTED,
        mutants: &[mutant("issuer-by-forwarded-host", "takes iss from X-Forwarded-Host")],
        ..ROW
    },
];

/// A new short-term token and its claims.
async fn jwt(t: &Trial<'_>) -> Result<(Token, Jwt), Stop> {
    let long = t.shared(Valid, "long").await?;
    let request =
        endpoint::post(endpoint::SHORT, Some(&long.token), Some(json!({"scopes": ["jobs:submit", "templates:read"]})));
    let answer = t.send(&request).await?;
    t.expect(GRANTED, &answer)?;
    let token = token_in(&answer).ok_or_else(|| Stop::fail("a token", t.summary(&answer)))?;
    match Jwt::read(&token.token) {
        Some(jwt) => Ok((token, jwt)),
        None => Err(Stop::fail(
            "an access_token of three base64url parts, the first two JSON objects",
            "an access_token that is not a JWT",
        )),
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
    got.ok_or_else(|| Stop::fail(format!("{name} as a non-empty string"), format!("{name} {}", value[name])))
}

async fn jwt_alg(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, jwt) = jwt(t).await?;
    same("header alg", "EdDSA", &jwt.header["alg"])?;
    text(&jwt.header, "kid").map(drop)
}

async fn jwt_typ(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, jwt) = jwt(t).await?;
    // RFC 9068 section 2.1 also allows the long form, and media types ignore case.
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
        return Err(Stop::fail("aud as a string or an array of strings", format!("aud {aud}")));
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
    // One minute for clock skew.
    if lives > most || ahead > most + 60 {
        return Err(Stop::fail(format!("exp at most {most} s ahead"), format!("exp {ahead} s ahead")));
    }
    Ok(())
}

async fn within_parent(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit"]).await?;
    let answer = t.send(&endpoint::exchange(&long.token)).await?;
    t.expect(GRANTED, &answer)?;
    let short = answer.json().unwrap_or_default();
    let end = |body: &Value| body["expires_at"].as_str().and_then(clock::parse_rfc3339);
    let lives = short["expires_in"].as_u64().unwrap_or(u64::MAX);
    if lives > long.expires_in || end(&short) > end(&long.body) {
        return Err(Stop::fail(
            format!("an expiry no later than the long-term token's {}", long.body["expires_at"]),
            format!("expires_at {}, expires_in {}", short["expires_at"], short["expires_in"]),
        ));
    }
    Ok(())
}

async fn unique(t: &Trial<'_>) -> Result<(), Stop> {
    let (one, first) = jwt(t).await?;
    let (two, second) = jwt(t).await?;
    if one.id == two.id || one.token == two.token || first.claims["jti"] == second.claims["jti"] {
        return Err(Stop::fail(
            "two different tokens with two different ids and jti",
            "the same token, id or jti twice",
        ));
    }
    Ok(())
}

async fn is_jwt(t: &Trial<'_>) -> Result<(), Stop> {
    jwt(t).await.map(drop)
}

async fn forwarded_host(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.shared(Valid, "long").await?;
    let plain = endpoint::exchange(&long.token);
    let mut forwarded = plain.clone();
    forwarded.set("x-forwarded-host", "elsewhere.example");
    forwarded.set("x-forwarded-proto", "http");
    let mut parts = Vec::new();
    for request in [plain, forwarded] {
        let answer = t.send(&request).await?;
        t.expect(t.due, &answer)?;
        let token = token_in(&answer).ok_or_else(|| Stop::fail("a token", t.summary(&answer)))?;
        let claims = crate::trial::feed::claims(&token)?;
        parts.push(json!({"iss": claims["iss"], "aud": claims["aud"]}));
    }
    match parts[0] == parts[1] {
        true => Ok(()),
        false => Err(Stop::fail(format!("{}, as without the header", parts[0]), parts[1].to_string())),
    }
}
