//! What tokens are worth once an operator changed their client's scopes. The clients are immediate ones, whose exchanges
//! go by a change from its answer on.

use crate::case::*;
use crate::endpoint;
use crate::trial::guests::Guest;
use serde_json::json;

pub const CASES: &[Case] = &[
    Case {
        id: "narrowing.201.exchange-default",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "After the client lost scopes, an exchange that asks for none gives those that are left of the token.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("short.201.exchange"),
        request: steps!(default, &["jobs:submit", "templates:read"], &["templates:read"], &["templates:read"]),
        expect: GRANTED,
        mutants: &[
            mutant("narrowing-ignored-by-exchange", "gives what the client lost"),
            mutant("scopes-never-change", "does not take other scopes"),
        ],
        ..ROW
    },
    Case {
        id: "narrowing.201.exchange-wildcard",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "jobs:* of a client left with jobs:submit gives jobs:submit.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.exchange-default"),
        request: steps!(default, &["jobs:*"], &["jobs:submit"], &["jobs:submit"]),
        expect: GRANTED,
        mutants: &[mutant("narrowing-drops-wildcards-by-exchange", "drops a wildcard of which something is left")],
        ..ROW
    },
    Case {
        id: "narrowing.201.exchange-wildcard-kept",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "jobs:submit of a client left with jobs:* is kept as it is.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.exchange-default"),
        request: steps!(default, &["jobs:submit", "templates:read"], &["jobs:*"], &["jobs:submit"]),
        expect: GRANTED,
        mutants: &[mutant("narrowing-by-text", "keeps a scope only where the client has that very one")],
        ..ROW
    },
    Case {
        id: "narrowing.201.exchange-order",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "What is left has the token's order, not the client's.",
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
        mutants: &[mutant("narrowing-in-the-clients-order", "gives what is left in the client's order")],
        ..ROW
    },
    Case {
        id: "narrowing.201.asked-kept",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "A scope that is left may be asked for.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.exchange-default"),
        request: steps!(asked_kept),
        expect: GRANTED,
        mutants: &[mutant("narrowed-tokens-refused", "refuses every scope to the tokens of a client that lost one")],
        ..ROW
    },
    Case {
        id: "narrowing.400.asked-lost",
        cell: Cell::Service(400),
        level: Level::Service,
        requirement: "A scope that was lost is 400 invalid_scope when asked for.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.exchange-default"),
        request: steps!(asked_lost, &["templates:read"]),
        expect: INVALID_SCOPE,
        mutants: &[mutant("lost-scope-granted", "grants a lost scope that is asked for")],
        ..ROW
    },
    Case {
        id: "narrowing.400.asked-partly-lost",
        cell: Cell::Service(400),
        level: Level::Service,
        requirement: "So is a lost one beside one that is left: nothing is cut.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.400.asked-lost"),
        request: steps!(asked_lost, &["jobs:submit", "templates:read"]),
        expect: INVALID_SCOPE,
        mutants: &[mutant("lost-scope-cut", "grants what is left of the scopes that are asked for")],
        ..ROW
    },
    Case {
        id: "narrowing.400.asked-wildcard",
        cell: Cell::Service(400),
        level: Level::Service,
        requirement: "So is a wildcard of which only a part is left.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.400.asked-lost"),
        request: steps!(asked_lost, &["jobs:*"]),
        expect: INVALID_SCOPE,
        mutants: &[mutant("lost-wildcard-cut", "grants what is left of a wildcard that is asked for")],
        ..ROW
    },
    Case {
        id: "narrowing.400.nothing-left",
        cell: Cell::Service(400),
        level: Level::Service,
        requirement: "If nothing is left, an exchange is 400 invalid_scope.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.exchange-default"),
        request: steps!(nothing_left),
        expect: INVALID_SCOPE,
        mutants: &[
            mutant("nothing-left-granted", "grants everything where nothing is left"),
            mutant("nothing-left-401", "answers 401 where nothing is left"),
        ],
        ..ROW
    },
    Case {
        id: "narrowing.201.given-back",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "Scopes that are given back count again for tokens that exist.",
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
        requirement: "Scopes that the client got meanwhile are not given to tokens that exist.",
        section: "openapi.yaml, issueShortTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.exchange-default"),
        request: steps!(default, &["jobs:submit"], &["jobs:submit", "templates:read"], &["jobs:submit"]),
        expect: GRANTED,
        mutants: &[mutant("widening-widens-tokens", "gives to tokens what their client got later")],
        ..ROW
    },
    Case {
        id: "narrowing.201.long-default",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "What a secret is granted by default are the scopes of now.",
        section: "openapi.yaml, LongTokenRequest; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("long.201.scopes-omitted"),
        request: steps!(long_default),
        expect: GRANTED,
        mutants: &[mutant("narrowing-ignored-by-long-default", "grants by default what the client had at first")],
        ..ROW
    },
    Case {
        id: "narrowing.403.long-asked",
        cell: Cell::Service(403),
        level: Level::Service,
        requirement: "A lost scope is 403 insufficient_scope when a secret asks for it.",
        section: "openapi.yaml, issueLongTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.long-default"),
        request: steps!(long_asked),
        expect: BEYOND_SCOPE,
        mutants: &[mutant("narrowing-ignored-by-long-asked", "grants to a secret what the client had at first")],
        ..ROW
    },
    Case {
        id: "narrowing.201.rotation-default",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "A rotation gives what is left of the short-term token's scopes.",
        section: "openapi.yaml, issueLongTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("long.201.rotation"),
        request: steps!(rotation_default),
        expect: GRANTED,
        mutants: &[mutant("narrowing-ignored-by-rotation", "gives lost scopes to a rotation")],
        ..ROW
    },
    Case {
        id: "narrowing.403.rotation-asked",
        cell: Cell::Service(403),
        level: Level::Service,
        requirement: "A rotation that asks for a lost scope is 403 insufficient_scope.",
        section: "openapi.yaml, issueLongTermToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.201.rotation-default"),
        request: steps!(rotation_asked),
        expect: BEYOND_SCOPE,
        mutants: &[mutant("narrowing-ignored-by-rotation-asked", "gives lost scopes to a rotation that asks for them")],
        ..ROW
    },
    Case {
        id: "narrowing.401.revoke",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "A token of a client that lost tokens:revoke can revoke no other: 401 insufficient_scope.",
        section: "openapi.yaml, revokeToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("revoke.204.sibling"),
        request: steps!(revoke),
        expect: LACKS_SCOPE,
        mutants: &[mutant("narrowing-ignored-by-revoke", "lets tokens revoke by a scope that their client lost")],
        ..ROW
    },
    Case {
        id: "narrowing.204.revoke-itself",
        cell: Cell::Service(204),
        level: Level::Service,
        requirement: "It may still revoke itself.",
        section: "openapi.yaml, revokeToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.401.revoke"),
        request: steps!(revoke_itself),
        expect: ENDED,
        mutants: &[mutant("narrowed-self-refused", "wants tokens:revoke for a token itself")],
        ..ROW
    },
    Case {
        id: "narrowing.204.revoke-by-wildcard",
        cell: Cell::Service(204),
        level: Level::Service,
        requirement: "tokens:* of a client left with tokens:revoke is enough to revoke.",
        section: "openapi.yaml, revokeToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.401.revoke"),
        request: steps!(revoke_by_wildcard),
        expect: ENDED,
        mutants: &[mutant("narrowing-drops-wildcards-by-revoke", "drops a wildcard of which tokens:revoke is left")],
        ..ROW
    },
    Case {
        id: "narrowing.401.introspect",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "A token of a client that lost tokens:introspect can introspect none: 401 insufficient_scope.",
        section: "openapi.yaml, introspectToken; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret), (Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Provision,
        control: Some("introspection.200.active"),
        request: steps!(introspect),
        expect: LACKS_SCOPE,
        mutants: &[mutant(
            "narrowing-ignored-by-introspect",
            "lets tokens introspect by a scope that their client lost",
        )],
        ..ROW
    },
    Case {
        id: "narrowing.200.introspection",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "What introspection shows as scope is bounded in the same way.",
        section: "openapi.yaml, IntrospectionResponse; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("introspection.200.scope"),
        request: steps!(introspection, &["jobs:submit", "templates:read"], &["templates:read"], "templates:read"),
        expect: plain(200),
        mutants: &[mutant("narrowing-ignored-by-introspection", "shows lost scopes")],
        ..ROW
    },
    Case {
        id: "narrowing.200.introspection-wildcard",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "jobs:* of a client left with jobs:submit is shown as jobs:submit.",
        section: "openapi.yaml, IntrospectionResponse; openapi.yaml, updateClient",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("narrowing.200.introspection"),
        request: steps!(introspection, &["jobs:*"], &["jobs:submit"], "jobs:submit"),
        expect: plain(200),
        mutants: &[mutant(
            "narrowing-drops-wildcards-by-introspection",
            "shows nothing of a wildcard of which something is left",
        )],
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

/// A rotation by a client that lost `templates:read`.
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
