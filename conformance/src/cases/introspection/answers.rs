//! POST /auth/tokens/introspect: what is said of a token.

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
        requirement: "A live short-term token is active, of any client.",
        section: "openapi.yaml, introspectToken; RFC 7662 section 2.2",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Introspect(Reader), &[]),
        expect: plain(200),
        also: &[Also::Active],
        mutants: &[
            mutant("introspection-missing", "has no introspection"),
            mutant("introspection-active-text", "has active as text"),
            mutant("introspection-own-client-only", "answers about the caller's own tokens alone"),
        ],
        ..ROW
    },
    Case {
        id: "introspection.200.members",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "An active answer has its ten members with their types, and no other.",
        section: "openapi.yaml, IntrospectionResponse; RFC 7662 section 2.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: steps!(members),
        expect: plain(200),
        mutants: &[
            mutant("introspection-lacks-aud", "leaves out aud"),
            mutant("introspection-shows-parent", "shows the claim parent too"),
            mutant("introspection-exp-text", "has exp as text"),
        ],
        ..ROW
    },
    Case {
        id: "introspection.200.claims",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "iss, sub, client_id, aud, exp, iat and jti are the token's own.",
        section: "openapi.yaml, IntrospectionResponse; RFC 7662 section 2.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: steps!(as_claimed),
        expect: plain(200),
        mutants: &[mutant("introspection-shows-caller", "shows the caller as sub")],
        ..ROW
    },
    Case {
        id: "introspection.200.scope",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "scope is the token's scopes in their order, separated by spaces.",
        section: "openapi.yaml, IntrospectionResponse; RFC 7662 section 2.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: steps!(scope),
        expect: plain(200),
        mutants: &[mutant("introspection-scope-array", "has scope as an array")],
        ..ROW
    },
    Case {
        id: "introspection.200.token-type",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "token_type is Bearer.",
        section: "openapi.yaml, IntrospectionResponse; RFC 7662 section 2.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: steps!(token_type),
        expect: plain(200),
        mutants: &[mutant("introspection-token-type", "says at+jwt for token_type")],
        ..ROW
    },
    Case {
        id: "introspection.200.longest-token",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The longest token that the service issues, with 64 scopes of 128 characters, is active.",
        section: "openapi.yaml, introspectToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: steps!(longest),
        expect: plain(200),
        mutants: &[mutant("form-limit-8k", "takes no form over 8 KiB")],
        ..ROW
    },
    Case {
        id: "introspection.200.long-token",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"A long-term token is never active: exactly {"active":false}."#,
        section: "openapi.yaml, introspectToken; RFC 7662 section 2.2",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Raw("token=${valid.long}")]),
        expect: plain(200),
        also: &[Also::Inactive],
        mutants: &[mutant("introspection-shows-long", "takes long-term tokens for active")],
        ..ROW
    },
    Case {
        id: "introspection.200.garbage",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"What is no token is exactly {"active":false}, and no error."#,
        section: "openapi.yaml, introspectToken; RFC 7662 section 2.2",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Raw("token=not-a-token")]),
        expect: plain(200),
        also: &[Also::Inactive],
        mutants: &[
            mutant("introspection-errs-about-garbage", "answers 400 about what is no token"),
            mutant("introspection-says-null", "says more than active about what is none"),
        ],
        ..ROW
    },
    Case {
        id: "introspection.200.signature",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"A token with another signature is exactly {"active":false}."#,
        section: "openapi.yaml, introspectToken; RFC 7515 section 5.2",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Raw("token=${valid.short_tampered}")]),
        expect: plain(200),
        also: &[Also::Inactive],
        mutants: &[mutant("introspection-signature-unchecked", "looks at no signature")],
        ..ROW
    },
    Case {
        id: "introspection.200.alg-none",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"A token without a signature is exactly {"active":false}."#,
        section: "openapi.yaml, introspectToken; RFC 8725 section 3.1",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Raw("token=${valid.short_unsigned}")]),
        expect: plain(200),
        also: &[Also::Inactive],
        mutants: &[mutant("introspection-takes-alg-none", "takes alg none for a signature")],
        ..ROW
    },
    Case {
        id: "introspection.200.forged",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"The claims of a live token signed by a client's own key are exactly {"active":false}."#,
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
        mutants: &[mutant("introspection-any-registered-key", "takes the signature of any key that it knows")],
        ..ROW
    },
    Case {
        id: "introspection.200.feed",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"The feed of ends, a JWT by the same key, is no token: exactly {"active":false}."#,
        section: "openapi.yaml, introspectToken; RFC 8725 section 3.11",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: steps!(feed),
        expect: plain(200),
        mutants: &[mutant("introspection-any-typ", "takes whatever it signed for a token")],
        ..ROW
    },
    Case {
        id: "introspection.200.revoked",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"A revoked token is exactly {"active":false} when its revocation is answered."#,
        section: "openapi.yaml, introspectToken; RFC 7662 section 2.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("introspection.200.active"),
        request: steps!(revoked),
        expect: plain(200),
        mutants: &[mutant("introspection-ignores-revocation", "takes revoked tokens for active")],
        ..ROW
    },
    Case {
        id: "introspection.200.parent-revoked",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"A token whose long-term token was revoked is exactly {"active":false} when that is answered."#,
        section: "openapi.yaml, introspectToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("introspection.200.active"),
        request: steps!(parent_revoked),
        expect: plain(200),
        mutants: &[mutant("introspection-ignores-parent", "looks at the token alone")],
        ..ROW
    },
    Case {
        id: "introspection.200.suspended",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"A token of a suspended client is exactly {"active":false} when the suspension is answered."#,
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
        mutants: &[mutant("introspection-ignores-suspension", "takes tokens of suspended clients for active")],
        ..ROW
    },
    Case {
        id: "introspection.200.restored",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A token of a client that was restored is active again.",
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
            "never takes tokens of a suspended client for active again",
        )],
        ..ROW
    },
    Case {
        id: "introspection.200.end-tokens",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"A token from before end-tokens is exactly {"active":false} when that is answered."#,
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
        mutants: &[mutant("introspection-ignores-end-tokens", "takes tokens from before end-tokens for active")],
        ..ROW
    },
    Case {
        id: "introspection.200.deleted",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: r#"A token of a deleted client is exactly {"active":false} when the deletion is answered."#,
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
        mutants: &[mutant("introspection-ignores-deletion", "takes tokens of deleted clients for active")],
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
    let texts = ["iss", "sub", "client_id", "aud", "scope", "jti", "token_type"];
    let due: BTreeSet<&str> = texts.into_iter().chain(["active", "exp", "iat"]).collect();
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
    match ["exp", "iat"].into_iter().find(|name| !shown[*name].is_u64()) {
        None => Ok(()),
        Some(name) => Err(Stop::fail(format!("{name} in whole seconds"), format!("{name} {}", shown[name]))),
    }
}

async fn as_claimed(t: &Trial<'_>) -> Result<(), Stop> {
    let (token, shown) = shared(t).await?;
    let claims = claims(&token)?;
    for name in ["iss", "sub", "client_id", "aud", "exp", "iat", "jti"] {
        if shown[name] != claims[name] || shown[name].is_null() {
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

/// In headers it might be too long for what stands before the server, so it travels in bodies alone.
async fn longest(t: &Trial<'_>) -> Result<(), Stop> {
    let scopes: Vec<_> = (0..64).map(|i| format!("jobs:{}{i:02}", "x".repeat(121))).collect();
    let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
    let long = t.mint_long(Valid, &scopes).await?;
    let body = json!({"long_token": long.token});
    let answer = t.send(&endpoint::post(endpoint::SHORT, None, Some(body))).await?;
    let Some(short) = crate::trial::mint::token_in(&answer) else {
        return Err(Stop::Blocked(format!(
            "a long token was needed first: the server answered {}",
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

/// A delta from its own `seq`, which is short.
async fn feed(t: &Trial<'_>) -> Result<(), Stop> {
    let seq = t.feed("").await?.seq()?;
    let text = t.feed(&format!("?since={seq}")).await?.token;
    inactive(t, &Token { id: String::new(), token: text, expires_in: 0, body: Value::Null }).await
}

async fn revoked(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    let short = t.mint_short(&long, &["jobs:submit"]).await?;
    active(t, &short).await?;
    t.revoked(&bearer, &short).await?;
    inactive(t, &short).await
}

async fn parent_revoked(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    let short = t.mint_short(&long, &["jobs:submit"]).await?;
    active(t, &short).await?;
    t.revoked(&bearer, &long).await?;
    inactive(t, &short).await
}

/// A client with a token that is active.
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
