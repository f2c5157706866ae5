//! What existing tokens may do after an operator has changed their client's scopes. The clients are immediate, so their
//! exchanges reflect a change once it is confirmed.

use crate::case::*;
use crate::endpoint;
use crate::totp;
use crate::trial::guests::Guest;
use serde_json::{Value, json};

pub const CASES: &[Case] = &[
    Case {
        id: "narrowing.201.exchange-default",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "After a client has lost scopes, an exchange without scopes grants those of the token's scopes \
                      that the client still has.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("short.201.exchange"),
        request: steps!(default, &["jobs:submit", "templates:read"], &["templates:read"], &["templates:read"]),
        expect: GRANTED,
        mutants: &[
            mutant("narrowing-ignored-by-exchange", "grants scopes that the client has lost"),
            mutant("scopes-never-change", "does not apply a change of scopes"),
        ],
        ..ROW
    },
    Case {
        id: "narrowing.201.exchange-wildcard",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "After a client's scopes were reduced to jobs:submit, an exchange of a token with jobs:* grants \
                      jobs:submit.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.exchange-default"),
        request: steps!(default, &["jobs:*"], &["jobs:submit"], &["jobs:submit"]),
        expect: GRANTED,
        mutants: &[mutant(
            "narrowing-drops-wildcards-by-exchange",
            "drops a wildcard that the client still has in part",
        )],
        ..ROW
    },
    Case {
        id: "narrowing.201.exchange-wildcard-kept",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "If a client still has jobs:*, an exchange of a token with jobs:submit grants jobs:submit.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.exchange-default"),
        request: steps!(default, &["jobs:submit", "templates:read"], &["jobs:*"], &["jobs:submit"]),
        expect: GRANTED,
        mutants: &[mutant("narrowing-by-text", "keeps a scope only if the client has exactly that string")],
        ..ROW
    },
    Case {
        id: "narrowing.201.exchange-order",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "After a client has lost scopes, an exchange without scopes grants the remaining ones in the \
                      token's order, not in the client's.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.exchange-wildcard"),
        request: steps!(
            default,
            &["templates:read", "jobs:*", "tokens:write"],
            &["tokens:write", "jobs:submit", "jobs:read", "templates:read"],
            &["templates:read", "jobs:submit", "jobs:read", "tokens:write"]
        ),
        expect: GRANTED,
        mutants: &[mutant("narrowing-in-the-clients-order", "grants the remaining scopes in the client's order")],
        ..ROW
    },
    Case {
        id: "narrowing.201.asked-kept",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "After a client has lost scopes, an exchange can still ask for a scope that the client kept.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.exchange-default"),
        request: steps!(asked_kept),
        expect: GRANTED,
        mutants: &[mutant("narrowed-tokens-refused", "rejects every scope for the tokens of a client that lost one")],
        ..ROW
    },
    Case {
        id: "narrowing.400.asked-lost",
        cell: Cell::Service(400),
        level: Level::Service,
        requirement: "An exchange that asks for a scope that the client has lost is rejected with 400 invalid_scope.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.exchange-default"),
        request: steps!(asked_lost, &["templates:read"]),
        expect: INVALID_SCOPE,
        mutants: &[mutant("lost-scope-granted", "grants a lost scope that is requested")],
        ..ROW
    },
    Case {
        id: "narrowing.400.asked-partly-lost",
        cell: Cell::Service(400),
        level: Level::Service,
        requirement: "An exchange that asks for a lost scope together with a kept one is rejected with 400 \
                      invalid_scope: the request is never granted in part.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.400.asked-lost"),
        request: steps!(asked_lost, &["jobs:submit", "templates:read"]),
        expect: INVALID_SCOPE,
        mutants: &[mutant("lost-scope-cut", "grants only the kept ones of the requested scopes")],
        ..ROW
    },
    Case {
        id: "narrowing.400.asked-wildcard",
        cell: Cell::Service(400),
        level: Level::Service,
        requirement: "An exchange that asks for a wildcard that the client still has only in part is rejected with \
                      400 invalid_scope.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.400.asked-lost"),
        request: steps!(asked_lost, &["jobs:*"]),
        expect: INVALID_SCOPE,
        mutants: &[mutant("lost-wildcard-cut", "grants the kept part of a requested wildcard")],
        ..ROW
    },
    Case {
        id: "narrowing.400.nothing-left",
        cell: Cell::Service(400),
        level: Level::Service,
        requirement: "If the client has lost all scopes of a token, an exchange of it is rejected with 400 \
                      invalid_scope.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.exchange-default"),
        request: steps!(nothing_left),
        expect: INVALID_SCOPE,
        mutants: &[
            mutant("nothing-left-granted", "grants all of a token's scopes if the client has none of them left"),
            mutant("nothing-left-401", "answers 401 if the client has none of a token's scopes left"),
        ],
        ..ROW
    },
    Case {
        id: "narrowing.201.given-back",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "When an operator gives scopes back to a client, existing tokens can use them again.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.exchange-default"),
        request: steps!(given_back),
        expect: GRANTED,
        mutants: &[mutant("narrowing-for-good", "never gives back a lost scope")],
        ..ROW
    },
    Case {
        id: "narrowing.201.widening",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "Scopes that a client gains later are not granted to existing tokens.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.exchange-default"),
        request: steps!(default, &["jobs:submit"], &["jobs:submit", "templates:read"], &["jobs:submit"]),
        expect: GRANTED,
        mutants: &[mutant(
            "widening-widens-tokens",
            "grants existing tokens the scopes that their client gained later",
        )],
        ..ROW
    },
    Case {
        id: "narrowing.201.long-default",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "A request with a secret and without scopes is granted the scopes that the client has now.",
        section: "openapi.yaml, LongTokenRequest; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("long.201.scopes-omitted"),
        request: steps!(long_default),
        expect: GRANTED,
        mutants: &[mutant(
            "narrowing-ignored-by-long-default",
            "grants by default the scopes that the client was created with",
        )],
        ..ROW
    },
    Case {
        id: "narrowing.403.long-asked",
        cell: Cell::Service(403),
        level: Level::Service,
        requirement: "A request with a secret for a scope that the client has lost is rejected with 403 \
                      insufficient_scope.",
        section: "openapi.yaml, issueLongTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.long-default"),
        request: steps!(long_asked),
        expect: BEYOND_SCOPE,
        mutants: &[mutant(
            "narrowing-ignored-by-long-asked",
            "grants a request with a secret the scopes that the client was created with",
        )],
        ..ROW
    },
    Case {
        id: "narrowing.201.rotation-default",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "A rotation grants those of the short-term token's scopes that the client still has.",
        section: "openapi.yaml, issueLongTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("long.201.rotation"),
        request: steps!(rotation_default),
        expect: GRANTED,
        mutants: &[mutant("narrowing-ignored-by-rotation", "grants lost scopes in a rotation")],
        ..ROW
    },
    Case {
        id: "narrowing.403.rotation-asked",
        cell: Cell::Service(403),
        level: Level::Service,
        requirement: "A rotation that asks for a scope that the client has lost is rejected with 403 \
                      insufficient_scope.",
        section: "openapi.yaml, issueLongTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.rotation-default"),
        request: steps!(rotation_asked),
        expect: BEYOND_SCOPE,
        mutants: &[mutant(
            "narrowing-ignored-by-rotation-asked",
            "grants lost scopes in a rotation that asks for them",
        )],
        ..ROW
    },
    Case {
        id: "narrowing.401.revoke",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "If the client has lost tokens:revoke, its tokens cannot revoke other tokens: 401 \
                      insufficient_scope.",
        section: "openapi.yaml, revokeToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("revoke.204.sibling"),
        request: steps!(revoke),
        expect: LACKS_SCOPE,
        mutants: &[mutant("narrowing-ignored-by-revoke", "lets tokens revoke with a scope that their client has lost")],
        ..ROW
    },
    Case {
        id: "narrowing.204.revoke-itself",
        cell: Cell::Service(204),
        level: Level::Service,
        requirement: "If the client has lost tokens:revoke, its tokens can still revoke themselves.",
        section: "openapi.yaml, revokeToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.401.revoke"),
        request: steps!(revoke_itself),
        expect: ENDED,
        mutants: &[mutant("narrowed-self-refused", "requires tokens:revoke of a token that revokes itself")],
        ..ROW
    },
    Case {
        id: "narrowing.204.revoke-by-wildcard",
        cell: Cell::Service(204),
        level: Level::Service,
        requirement: "If a client's scopes were reduced to tokens:revoke, its tokens with tokens:* can still revoke \
                      other tokens.",
        section: "openapi.yaml, revokeToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.401.revoke"),
        request: steps!(revoke_by_wildcard),
        expect: ENDED,
        mutants: &[mutant(
            "narrowing-drops-wildcards-by-revoke",
            "drops a wildcard of which the client kept tokens:revoke",
        )],
        ..ROW
    },
    Case {
        id: "narrowing.401.introspect",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "If the client has lost tokens:introspect, its tokens cannot introspect: 401 insufficient_scope.",
        section: "openapi.yaml, introspectToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret), (Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Provision,
        control: Some("introspection.200.active"),
        request: steps!(introspect),
        expect: LACKS_SCOPE,
        mutants: &[mutant(
            "narrowing-ignored-by-introspect",
            "lets tokens introspect with a scope that their client has lost",
        )],
        ..ROW
    },
    Case {
        id: "narrowing.200.introspection",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "Introspection shows only those of a token's scopes that the client still has.",
        section: "openapi.yaml, IntrospectionResponse; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("introspection.200.scope"),
        request: steps!(introspection, &["jobs:submit", "templates:read"], &["templates:read"], "templates:read"),
        expect: plain(200),
        mutants: &[mutant("narrowing-ignored-by-introspection", "shows scopes that the client has lost")],
        ..ROW
    },
    Case {
        id: "narrowing.200.introspection-wildcard",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "After a client's scopes were reduced to jobs:submit, introspection shows jobs:* of its tokens as \
                      jobs:submit.",
        section: "openapi.yaml, IntrospectionResponse; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.200.introspection"),
        request: steps!(introspection, &["jobs:*"], &["jobs:submit"], "jobs:submit"),
        expect: plain(200),
        mutants: &[mutant(
            "narrowing-drops-wildcards-by-introspection",
            "shows nothing of a wildcard that the client still has in part",
        )],
        ..ROW
    },
    Case {
        id: "narrowing.201.eventual",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "After an eventual client has lost scopes, an exchange stops granting them within the consistency \
                      window.",
        section: "docs/api.md, Consistency; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.exchange-default"),
        request: steps!(eventual),
        expect: GRANTED,
        mutants: &[mutant("eventual-keeps-scopes", "bounds the tokens of immediate clients only")],
        ..ROW
    },
    Case {
        id: "narrowing.201.long-default-all",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "Without scopes and ttl_seconds, a secret, a one-time code and an assertion each issue a token \
                      for 30 days with all scopes of the client, in its order.",
        section: "docs/api.md, Scopes",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.long-default"),
        request: steps!(default_all),
        expect: GRANTED,
        mutants: &[
            mutant("code-default-more", "adds a scope to the default for a one-time code"),
            mutant("code-default-hour", "issues a token of an hour for a one-time code without ttl_seconds"),
            mutant(
                "assertion-default-first",
                "grants only the first of the client's scopes for an assertion by default",
            ),
            mutant("secret-default-first", "grants only the first of the client's scopes by default"),
        ],
        ..ROW
    },
];

/// A client with these scopes, and a long-term token of it with all of them.
async fn holder(t: &Trial<'_>, scopes: &[&str]) -> Result<(Guest, Token), Stop> {
    let guest = t.guest_with(json!({"scopes": scopes, "mechanisms": ["secret", "rotation"]})).await?;
    let long = t.guest_long(&guest, scopes).await?;
    Ok((guest, long))
}

async fn left_with(t: &Trial<'_>, guest: &Guest, scopes: &[&str]) -> Result<(), Stop> {
    t.change(guest, json!({"scopes": scopes})).await.map(drop)
}

fn granted(t: &Trial<'_>, answer: &Answer, due: &[&str]) -> Result<(), Stop> {
    t.expect(t.due, answer)?;
    let got = &answer.json().unwrap_or_default()["scopes"];
    match *got == json!(due) {
        true => Ok(()),
        false => Err(Stop::fail(format!("scopes {}", json!(due)), format!("scopes {got}"))),
    }
}

async fn exchange_for(t: &Trial<'_>, long: &Token, scopes: &[&str]) -> Result<Answer, Stop> {
    t.send(&endpoint::post(endpoint::SHORT, Some(&long.token), Some(json!({"scopes": scopes})))).await
}

async fn default(
    t: &Trial<'_>,
    token: &'static [&'static str],
    left: &'static [&'static str],
    due: &'static [&'static str],
) -> Result<(), Stop> {
    let (guest, long) = holder(t, token).await?;
    left_with(t, &guest, left).await?;
    granted(t, &t.send(&endpoint::exchange(&long.token)).await?, due)
}

async fn asked_kept(t: &Trial<'_>) -> Result<(), Stop> {
    let (guest, long) = holder(t, &["jobs:submit", "templates:read"]).await?;
    left_with(t, &guest, &["jobs:submit"]).await?;
    granted(t, &exchange_for(t, &long, &["jobs:submit"]).await?, &["jobs:submit"])
}

async fn asked_lost(t: &Trial<'_>, asked: &'static [&'static str]) -> Result<(), Stop> {
    let (guest, long) = holder(t, &["jobs:*", "templates:read"]).await?;
    t.mint_short(&long, asked).await?;
    left_with(t, &guest, &["jobs:submit"]).await?;
    t.expect(t.due, &exchange_for(t, &long, asked).await?)
}

async fn nothing_left(t: &Trial<'_>) -> Result<(), Stop> {
    let (guest, long) = holder(t, &["jobs:submit"]).await?;
    left_with(t, &guest, &["templates:read"]).await?;
    let answer = t.send(&endpoint::exchange(&long.token)).await?;
    t.expect(t.due, &answer)
}

async fn given_back(t: &Trial<'_>) -> Result<(), Stop> {
    let scopes = ["jobs:submit", "templates:read"];
    let (guest, long) = holder(t, &scopes).await?;
    left_with(t, &guest, &scopes[..1]).await?;
    left_with(t, &guest, &scopes).await?;
    granted(t, &t.send(&endpoint::exchange(&long.token)).await?, &scopes)
}

fn by_secret(guest: &Guest, scopes: Option<&[&str]>) -> Request {
    let mut body = json!({
        "grant_type": "client_credentials", "client_id": guest.id, "client_secret": guest.secret, "ttl_seconds": 3600,
    });
    if let Some(scopes) = scopes {
        body["scopes"] = json!(scopes);
    }
    let mut request = endpoint::post(endpoint::LONG, None, Some(body));
    request.set("x-client-id", guest.id.clone());
    request
}

async fn long_default(t: &Trial<'_>) -> Result<(), Stop> {
    let (guest, _) = holder(t, &["jobs:submit", "templates:read"]).await?;
    left_with(t, &guest, &["templates:read"]).await?;
    granted(t, &t.send(&by_secret(&guest, None)).await?, &["templates:read"])
}

async fn long_asked(t: &Trial<'_>) -> Result<(), Stop> {
    let (guest, _) = holder(t, &["jobs:submit", "templates:read"]).await?;
    left_with(t, &guest, &["templates:read"]).await?;
    let answer = t.send(&by_secret(&guest, Some(&["jobs:submit"]))).await?;
    t.expect(t.due, &answer)
}

/// A rotation by a client that has lost `templates:read`.
async fn rotation(t: &Trial<'_>, asked: Option<&[&str]>) -> Result<Answer, Stop> {
    let scopes = ["templates:read", "jobs:*", "tokens:write"];
    let (guest, long) = holder(t, &scopes).await?;
    let short = t.mint_short(&long, &scopes).await?;
    left_with(t, &guest, &["jobs:submit", "tokens:write"]).await?;
    t.send(&endpoint::rotate(&guest.id, &short.token, asked)).await
}

async fn rotation_default(t: &Trial<'_>) -> Result<(), Stop> {
    granted(t, &rotation(t, None).await?, &["jobs:submit", "tokens:write"])
}

async fn rotation_asked(t: &Trial<'_>) -> Result<(), Stop> {
    t.expect(t.due, &rotation(t, Some(&["templates:read"])).await?)
}

async fn revoke(t: &Trial<'_>) -> Result<(), Stop> {
    let (guest, bearer) = holder(t, &["jobs:submit", "tokens:revoke"]).await?;
    let (first, second) = (t.guest_token(&guest).await?, t.guest_token(&guest).await?);
    t.revoked(&bearer, &first).await?;
    left_with(t, &guest, &["jobs:submit"]).await?;
    let answer = t.send(&endpoint::revoke(&bearer.token, &second.id)).await?;
    t.expect(t.due, &answer)
}

async fn revoke_itself(t: &Trial<'_>) -> Result<(), Stop> {
    let (guest, bearer) = holder(t, &["jobs:submit", "tokens:revoke"]).await?;
    left_with(t, &guest, &["jobs:submit"]).await?;
    let answer = t.send(&endpoint::revoke(&bearer.token, &bearer.id)).await?;
    t.expect(t.due, &answer)
}

async fn revoke_by_wildcard(t: &Trial<'_>) -> Result<(), Stop> {
    let (guest, bearer) = holder(t, &["jobs:submit", "tokens:*"]).await?;
    let victim = t.guest_token(&guest).await?;
    left_with(t, &guest, &["jobs:submit", "tokens:revoke"]).await?;
    let answer = t.send(&endpoint::revoke(&bearer.token, &victim.id)).await?;
    t.expect(t.due, &answer)
}

async fn introspect(t: &Trial<'_>) -> Result<(), Stop> {
    let (guest, caller) = holder(t, &["jobs:submit", "tokens:introspect"]).await?;
    let about = t.shared(Valid, "short").await?;
    let request = endpoint::introspect(&caller.token, &about.token);
    t.expect(plain(200), &t.send(&request).await?)?;
    left_with(t, &guest, &["jobs:submit"]).await?;
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer)
}

async fn introspection(
    t: &Trial<'_>,
    token: &'static [&'static str],
    left: &'static [&'static str],
    due: &'static str,
) -> Result<(), Stop> {
    let (guest, long) = holder(t, token).await?;
    let short = t.mint_short(&long, token).await?;
    left_with(t, &guest, left).await?;
    let operator = t.shared(Operator, "short").await?;
    let answer = t.send(&endpoint::introspect(&operator.token, &short.token)).await?;
    t.expect(t.due, &answer)?;
    t.check(Also::Active, &answer)?;
    let got = &answer.json().unwrap_or_default()["scope"];
    match got == due {
        true => Ok(()),
        false => Err(Stop::fail(format!("scope \"{due}\""), format!("scope {got}"))),
    }
}

async fn eventual(t: &Trial<'_>) -> Result<(), Stop> {
    let scopes = ["jobs:submit", "templates:read"];
    let guest = t.guest_with(json!({"scopes": scopes, "consistency": "eventual"})).await?;
    let long = t.guest_long(&guest, &scopes).await?;
    left_with(t, &guest, &scopes[..1]).await?;
    let asked = endpoint::post(endpoint::SHORT, Some(&long.token), Some(json!({"scopes": ["templates:read"]})));
    t.until_refused(&asked, INVALID_SCOPE).await?;
    granted(t, &t.send(&endpoint::exchange(&long.token)).await?, &scopes[..1])
}

async fn default_all(t: &Trial<'_>) -> Result<(), Stop> {
    let scopes = ["templates:read", "jobs:submit", "tokens:write"];
    let signer = t.signer("first")?;
    let client = t
        .client_with(json!({
            "scopes": scopes, "mechanisms": ["secret", "otp", "assertion"], "jwks": {"keys": [signer.jwk]},
            "max_ttl_seconds": 7_776_000,
        }))
        .await?;
    let seed = client.text("totp_secret")?.to_owned();
    let key = totp::base32(&seed).ok_or_else(|| Stop::Blocked("the totp_secret is not base32".to_owned()))?;
    let code = t.secret("GUEST_OTP_CODE", totp::code(&key, t.calm_step().await?));
    let credentials = [
        ("a secret", json!({"client_secret": client.secret()?})),
        ("a one-time code", json!({"otp_code": code})),
        ("an assertion", t.assertion_of(&client, &signer)?),
    ];
    for (what, mut credential) in credentials {
        credential["ttl_seconds"] = Value::Null;
        let answer = t.log_in(&client, credential).await?;
        let told = |stop: Stop| stop.wanted(|wanted| format!("{wanted} for {what}"));
        granted(t, &answer, &scopes).map_err(told)?;
        t.check(Also::LongDefault, &answer).map_err(told)?;
    }
    Ok(())
}
