//! POST /auth/tokens/introspect: what the response says about a token.

use crate::case::*;
use crate::endpoint;
use crate::jose::Jwt;
use crate::trial::draft;
use crate::trial::feed::claims;
use crate::trial::guests::Guest;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub const CASES: &[Case] = &[
    Case {
        id: "introspection.200.active",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A valid short-term token of any client is active.",
        section: "openapi.yaml, introspectToken; RFC 7662 section 2.2",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Introspect(Reader), &[]),
        expect: plain(200),
        also: &[Also::Active],
        mutants: &[
            mutant("introspection-missing", "has no introspection endpoint"),
            mutant("introspection-active-text", "returns active as a string"),
            mutant("introspection-own-client-only", "introspects only the caller's own tokens"),
        ],
        ..ROW
    },
    Case {
        id: "introspection.200.members",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The response for an active token has exactly the ten documented members, each with the right \
                      type.",
        section: "openapi.yaml, IntrospectionResponse; RFC 7662 section 2.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: steps!(members),
        expect: plain(200),
        mutants: &[
            mutant("introspection-lacks-aud", "leaves out aud"),
            mutant("introspection-shows-parent", "also returns the claim parent"),
            mutant("introspection-exp-text", "returns exp as a string"),
        ],
        ..ROW
    },
    Case {
        id: "introspection.200.claims",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "In the response, iss, sub, client_id, aud, exp, iat and jti have the values of the token's \
                      claims.",
        section: "openapi.yaml, IntrospectionResponse; RFC 7662 section 2.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: steps!(as_claimed),
        expect: plain(200),
        mutants: &[mutant("introspection-shows-caller", "returns the caller as sub")],
        ..ROW
    },
    Case {
        id: "introspection.200.scope",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "scope in the response lists the token's scopes in their order, separated by spaces.",
        section: "openapi.yaml, IntrospectionResponse; RFC 7662 section 2.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: steps!(scope),
        expect: plain(200),
        mutants: &[mutant("introspection-scope-array", "returns scope as an array")],
        ..ROW
    },
    Case {
        id: "introspection.200.token-type",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "token_type in the response is Bearer.",
        section: "openapi.yaml, IntrospectionResponse; RFC 7662 section 2.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: steps!(token_type),
        expect: plain(200),
        mutants: &[mutant("introspection-token-type", "returns at+jwt as token_type")],
        ..ROW
    },
    Case {
        id: "introspection.200.longest-token",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The longest token that the service can issue, with 64 scopes of 128 characters, is active.",
        section: "openapi.yaml, introspectToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: steps!(longest),
        expect: plain(200),
        mutants: &[mutant("form-limit-8k", "rejects forms over 8 KiB")],
        ..ROW
    },
    Case {
        id: "introspection.200.long-token",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"A long-term token is never active: the response is exactly {"active":false}."#,
        section: "openapi.yaml, introspectToken; RFC 7662 section 2.2",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Raw("token=${valid.long}")]),
        expect: plain(200),
        also: &[Also::Inactive],
        mutants: &[mutant("introspection-shows-long", "reports long-term tokens as active")],
        ..ROW
    },
    Case {
        id: "introspection.200.garbage",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"For a string that is not a token, the response is exactly {"active":false}, not an error."#,
        section: "openapi.yaml, introspectToken; RFC 7662 section 2.2",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Raw("token=not-a-token")]),
        expect: plain(200),
        also: &[Also::Inactive],
        mutants: &[
            mutant("introspection-errs-about-garbage", "answers 400 if token is not a token"),
            mutant("introspection-says-null", "returns more than active for a token that is not active"),
        ],
        ..ROW
    },
    Case {
        id: "introspection.200.signature",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"For a token with an invalid signature, the response is exactly {"active":false}."#,
        section: "openapi.yaml, introspectToken; RFC 7515 section 5.2",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Raw("token=${valid.short_tampered}")]),
        expect: plain(200),
        also: &[Also::Inactive],
        mutants: &[mutant("introspection-signature-unchecked", "does not verify signatures")],
        ..ROW
    },
    Case {
        id: "introspection.200.alg-none",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"For an unsigned token, the response is exactly {"active":false}."#,
        section: "openapi.yaml, introspectToken; RFC 8725 section 3.2",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Raw("token=${valid.short_unsigned}")]),
        expect: plain(200),
        also: &[Also::Inactive],
        mutants: &[mutant("introspection-takes-alg-none", "accepts alg none")],
        ..ROW
    },
    Case {
        id: "introspection.200.forged",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"For a token with valid claims that is signed with a client's registered key, the response is exactly {"active":false}."#,
        section: "openapi.yaml, introspectToken; RFC 7515 section 5.2",
        needs: &[
            (Valid, ClientId),
            (Valid, ClientSecret),
            (Reader, ClientId),
            (Reader, ClientSecret),
            (Valid, AssertionJwk),
        ],
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: steps!(forged),
        expect: plain(200),
        mutants: &[mutant("introspection-any-registered-key", "accepts a signature by any registered key")],
        ..ROW
    },
    Case {
        id: "introspection.200.feed",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"The revocation feed is a JWT signed with the same key, but not a token: the response is exactly {"active":false}."#,
        section: "openapi.yaml, introspectToken; RFC 8725 section 3.11",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: steps!(feed),
        expect: plain(200),
        mutants: &[mutant("introspection-any-typ", "accepts anything that it signed as a token")],
        ..ROW
    },
    Case {
        id: "introspection.200.revoked",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"Once the revocation of a token is confirmed, the response is exactly {"active":false}."#,
        section: "openapi.yaml, introspectToken; RFC 7662 section 2.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("introspection.200.active"),
        request: steps!(revoked),
        expect: plain(200),
        mutants: &[mutant("introspection-ignores-revocation", "reports revoked tokens as active")],
        ..ROW
    },
    Case {
        id: "introspection.200.parent-revoked",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"Once the revocation of the long-term token is confirmed, the response for its short-term token is exactly {"active":false}."#,
        section: "openapi.yaml, introspectToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("introspection.200.active"),
        request: steps!(parent_revoked),
        expect: plain(200),
        mutants: &[mutant("introspection-ignores-parent", "does not check whether the long-term token was revoked")],
        ..ROW
    },
    Case {
        id: "introspection.200.suspended",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"Once the suspension of a client is confirmed, the response for its token is exactly {"active":false}."#,
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
        request: steps!(suspended),
        expect: plain(200),
        mutants: &[mutant("introspection-ignores-suspension", "reports tokens of suspended clients as active")],
        ..ROW
    },
    Case {
        id: "introspection.200.restored",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "After a suspended client is restored, its tokens are active again.",
        section: "openapi.yaml, introspectToken; openapi.yaml, updateClient",
        needs: &[
            (Valid, ClientId),
            (Valid, ClientSecret),
            (Operator, ClientId),
            (Operator, ClientSecret),
            (Reader, ClientId),
            (Reader, ClientSecret),
        ],
        effect: Effect::Provision,
        control: Some("introspection.200.suspended"),
        request: steps!(restored),
        expect: plain(200),
        mutants: &[mutant(
            "introspection-suspends-for-good",
            "never reports a restored client's tokens as active again",
        )],
        ..ROW
    },
    Case {
        id: "introspection.200.end-tokens",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"Once end-tokens is confirmed, the response for a token issued before it is exactly {"active":false}."#,
        section: "openapi.yaml, introspectToken; openapi.yaml, endClientTokens",
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
        request: steps!(ended),
        expect: plain(200),
        mutants: &[mutant("introspection-ignores-end-tokens", "reports tokens from before end-tokens as active")],
        ..ROW
    },
    Case {
        id: "introspection.200.deleted",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"Once the deletion of a client is confirmed, the response for its token is exactly {"active":false}."#,
        section: "openapi.yaml, introspectToken; openapi.yaml, deleteClient",
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
        request: steps!(deleted),
        expect: plain(200),
        mutants: &[mutant("introspection-ignores-deletion", "reports tokens of deleted clients as active")],
        ..ROW
    },
    Case {
        id: "introspection.200.revoked-often",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A revoked token stays inactive, however often it is introspected.",
        section: "openapi.yaml, introspectToken; RFC 7662 section 2.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("introspection.200.revoked"),
        request: steps!(revoked_often),
        expect: plain(200),
        mutants: &[mutant("introspection-flaps", "shows a revoked token as active in every sixth answer")],
        ..ROW
    },
];

async fn asked(t: &Trial<'_>, token: &Token) -> Result<Answer, Stop> {
    let reader = t.shared(Reader, "short").await?;
    let answer = t.send(&endpoint::introspect(&reader.token, &token.token)).await?;
    t.expect(t.due, &answer)?;
    Ok(answer)
}

async fn active(t: &Trial<'_>, token: &Token) -> Result<Value, Stop> {
    let answer = asked(t, token).await?;
    t.check(Also::Active, &answer)?;
    Ok(answer.json().unwrap_or_default())
}

async fn inactive(t: &Trial<'_>, token: &Token) -> Result<(), Stop> {
    t.check(Also::Inactive, &asked(t, token).await?)
}

async fn shared(t: &Trial<'_>) -> Result<(Token, Value), Stop> {
    let token = t.shared(Valid, "short").await?;
    let shown = asked(t, &token).await?.json().unwrap_or_default();
    Ok((token, shown))
}

async fn members(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, shown) = shared(t).await?;
    let texts = ["iss", "sub", "client_id", "scope", "jti", "token_type"];
    let due: BTreeSet<&str> = texts.into_iter().chain(["aud", "active", "exp", "iat"]).collect();
    let got: BTreeSet<&str> = shown.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    if got != due {
        return Err(Stop::fail(format!("the members {due:?}"), format!("{got:?}")));
    }
    if !shown["active"].is_boolean() {
        return Err(Stop::fail("active as a boolean", format!("active {}", shown["active"])));
    }
    if let Some(name) = texts.into_iter().find(|name| !shown[*name].is_string()) {
        return Err(Stop::fail(format!("{name} as a string"), format!("{name} {}", shown[name])));
    }
    if audiences(&shown["aud"]).is_none_or(|all| all.is_empty()) {
        return Err(Stop::fail("aud as a string or an array of strings", format!("aud {}", shown["aud"])));
    }
    match ["exp", "iat"].into_iter().find(|name| !shown[*name].is_u64()) {
        None => Ok(()),
        Some(name) => Err(Stop::fail(format!("{name} in whole seconds"), format!("{name} {}", shown[name]))),
    }
}

/// `aud` as a string or an array (RFC 7519 section 4.1.3).
fn audiences(aud: &Value) -> Option<BTreeSet<&str>> {
    match aud {
        Value::Array(all) => all.iter().map(Value::as_str).collect(),
        one => one.as_str().map(|one| BTreeSet::from([one])),
    }
}

async fn as_claimed(t: &Trial<'_>) -> Result<(), Stop> {
    let (token, shown) = shared(t).await?;
    let claims = claims(&token)?;
    for name in ["iss", "sub", "client_id", "aud", "exp", "iat", "jti"] {
        let alike = match name {
            "aud" => audiences(&shown[name]) == audiences(&claims[name]),
            _ => shown[name] == claims[name],
        };
        if !alike || shown[name].is_null() {
            return Err(Stop::fail(
                format!("{name} {}, as in the token", claims[name]),
                format!("{name} {}", shown[name]),
            ));
        }
    }
    Ok(())
}

async fn scope(t: &Trial<'_>) -> Result<(), Stop> {
    let scopes = ["templates:read", "jobs:submit"];
    let long = t.mint_long(Valid, &scopes).await?;
    let shown = active(t, &t.mint_short(&long, &scopes).await?).await?;
    if shown["scope"] == scopes.join(" ") {
        return Ok(());
    }
    Err(Stop::fail(format!("scope \"{}\"", scopes.join(" ")), format!("scope {}", shown["scope"])))
}

async fn token_type(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, shown) = shared(t).await?;
    match shown["token_type"] == "Bearer" {
        true => Ok(()),
        false => Err(Stop::fail("token_type \"Bearer\"", format!("token_type {}", shown["token_type"]))),
    }
}

/// The token may be too long for the header limits of a proxy in front of the server, so it is sent only in bodies.
async fn longest(t: &Trial<'_>) -> Result<(), Stop> {
    let scopes: Vec<_> = (0..64).map(|i| format!("jobs:{}{i:02}", "x".repeat(121))).collect();
    let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
    let long = t.mint_long(Valid, &scopes).await?;
    let body = json!({"long_token": long.token});
    let answer = t.send(&endpoint::post(endpoint::SHORT, None, Some(body))).await?;
    let Some(short) = crate::trial::mint::token_in(&answer) else {
        return Err(Stop::Blocked(format!(
            "this case first needs a long-term token: the server answered {}",
            t.summary(&answer)
        )));
    };
    active(t, &short).await.map(drop)
}

async fn forged(t: &Trial<'_>) -> Result<(), Stop> {
    let mut token = t.shared(Valid, "short").await?;
    let key = t.key(Valid)?;
    let mut header = Jwt::read(&token.token).map(|jwt| jwt.header).unwrap_or_default();
    header["alg"] = key.alg.clone().into();
    token.token = t.secret("FORGED_TOKEN", draft::sign(key, &header, &claims(&token)?)?);
    inactive(t, &token).await
}

/// A delta from the feed's own `seq`, which is short.
async fn feed(t: &Trial<'_>) -> Result<(), Stop> {
    let seq = t.feed("").await?.seq()?;
    let text = t.feed(&format!("?since={seq}")).await?.token;
    inactive(t, &Token { id: String::new(), token: text, expires_in: 0, body: Value::Null }).await
}

async fn revoked(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    let short = t.mint_short(&long, &[PLAIN]).await?;
    active(t, &short).await?;
    t.revoked(&bearer, &short).await?;
    inactive(t, &short).await
}

async fn parent_revoked(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    let short = t.mint_short(&long, &[PLAIN]).await?;
    active(t, &short).await?;
    t.revoked(&bearer, &long).await?;
    inactive(t, &short).await
}

/// A new client with an active token.
async fn alive(t: &Trial<'_>) -> Result<(Guest, Token), Stop> {
    let guest = t.guest().await?;
    let token = t.guest_token(&guest).await?;
    active(t, &token).await?;
    Ok((guest, token))
}

async fn suspended(t: &Trial<'_>) -> Result<(), Stop> {
    let (guest, token) = alive(t).await?;
    t.change(&guest, json!({"status": "suspended"})).await?;
    inactive(t, &token).await
}

async fn restored(t: &Trial<'_>) -> Result<(), Stop> {
    let (guest, token) = alive(t).await?;
    t.change(&guest, json!({"status": "suspended"})).await?;
    t.change(&guest, json!({"status": "active"})).await?;
    active(t, &token).await.map(drop)
}

async fn ended(t: &Trial<'_>) -> Result<(), Stop> {
    let (guest, token) = alive(t).await?;
    t.end_tokens(&guest).await?;
    inactive(t, &token).await
}

async fn deleted(t: &Trial<'_>) -> Result<(), Stop> {
    let (guest, token) = alive(t).await?;
    t.operate("DELETE", &guest.path, None, 204).await?;
    inactive(t, &token).await
}

async fn revoked_often(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, short) = t.ended_short().await?;
    let reader = t.shared(Reader, "short").await?;
    let request = endpoint::introspect(&reader.token, &short.token);
    for _ in 0..12 {
        let answer = t.send(&request).await?;
        t.expect(t.due, &answer)?;
        t.check(Also::Inactive, &answer)?;
    }
    Ok(())
}
