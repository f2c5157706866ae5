//! POST /auth/tokens/{tokenId}/revoke: the permission to revoke, tested with each kind of token.

use crate::case::*;
use crate::endpoint;

/// The caller: a long-term token with only this scope, or a short-term token.
#[derive(Clone, Copy)]
enum By {
    Long(&'static str),
    Short(&'static str),
}

pub const CASES: &[Case] = &[
    Case {
        id: "revoke.204.short-exact-scope",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "A short-term token with exactly tokens:revoke can revoke other tokens; no wildcard is needed.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(sibling, By::Short("tokens:revoke")),
        expect: ENDED,
        mutants: &[mutant("short-revokes-with-wildcard-only", "requires tokens:* of a short-term token")],
        ..ROW
    },
    Case {
        id: "revoke.204.long-wildcard",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "A long-term token with tokens:* can revoke other tokens.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(sibling, By::Long("tokens:*")),
        expect: ENDED,
        mutants: &[mutant("long-revokes-by-exact-scope", "ignores the wildcards of a long-term token")],
        ..ROW
    },
    Case {
        id: "revoke.204.parent-repeat",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "A short-term token that revoked its long-term token can repeat that call and gets 204.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(parent_twice),
        expect: ENDED,
        mutants: &[mutant(
            "parent-repeat-401",
            "rejects a short-term token that repeats the revocation of its long-term token",
        )],
        ..ROW
    },
    Case {
        id: "revoke.401.lacks-scope-long",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "A long-term token without tokens:revoke cannot revoke another token: 401 insufficient_scope.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.long-wildcard"),
        request: steps!(sibling, By::Long("jobs:submit")),
        expect: LACKS_SCOPE,
        mutants: &[mutant("long-revokes-without-scope", "lets any long-term token revoke others")],
        ..ROW
    },
    Case {
        id: "revoke.401.lacks-scope-child",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "A long-term token without tokens:revoke cannot revoke a short-term token issued from it: 401 \
                      insufficient_scope.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(own_child),
        expect: LACKS_SCOPE,
        mutants: &[mutant("parent-revokes-child", "lets a long-term token revoke its short-term tokens")],
        ..ROW
    },
    Case {
        id: "revoke.401.other-wildcard",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "A wildcard of another resource does not permit revoking, in either kind of token: 401 \
                      insufficient_scope.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(siblings, &[By::Short("jobs:*"), By::Long("jobs:*")]),
        expect: LACKS_SCOPE,
        mutants: &[mutant("any-wildcard-revokes", "accepts any wildcard as tokens:revoke")],
        ..ROW
    },
    Case {
        id: "revoke.401.other-action",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "tokens:write does not permit revoking, in either kind of token: 401 insufficient_scope.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(siblings, &[By::Short("tokens:write"), By::Long("tokens:write")]),
        expect: LACKS_SCOPE,
        mutants: &[mutant("write-revokes", "accepts tokens:write as tokens:revoke")],
        ..ROW
    },
    Case {
        id: "revoke.401.scope-prefix",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "A scope that only starts with tokens:revoke does not permit revoking: 401 insufficient_scope.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(siblings, &[By::Short("tokens:revoke-drafts"), By::Long("tokens:revoke-drafts")]),
        expect: LACKS_SCOPE,
        mutants: &[mutant("revoke-by-prefix", "compares only the start of tokens:revoke")],
        ..ROW
    },
    Case {
        id: "revoke.401.revoked-short-bearer",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "A revoked short-term token cannot revoke another token: 401 invalid_token.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(ended_bearer, false),
        expect: INVALID_TOKEN,
        mutants: &[mutant("revoked-short-revokes", "lets a revoked short-term token revoke others")],
        ..ROW
    },
    Case {
        id: "revoke.401.orphaned-bearer",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "A short-term token whose long-term token was revoked cannot revoke another token: 401 \
                      invalid_token.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.cascade"),
        request: steps!(ended_bearer, true),
        expect: INVALID_TOKEN,
        mutants: &[mutant("orphan-revokes", "lets the short-term token of a revoked long-term token revoke others")],
        ..ROW
    },
    Case {
        id: "revoke.401.lacks-scope-ended",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "A token without tokens:revoke cannot revoke another token, even one that is revoked already: 401 \
                      insufficient_scope.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(lacks_scope_for_ended),
        expect: LACKS_SCOPE,
        mutants: &[mutant(
            "ended-needs-no-scope",
            "answers 204 for a revoked token, whatever the scopes of the caller",
        )],
        ..ROW
    },
    Case {
        id: "revoke.401.ended-caller-ended-victim",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "A revoked token cannot repeat another token's revocation: 401 invalid_token.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(ended_repeats_another),
        expect: INVALID_TOKEN,
        mutants: &[mutant("ended-caller-repeats-any", "lets a revoked token repeat the revocation of any token")],
        ..ROW
    },
];

async fn bearer(t: &Trial<'_>, by: By) -> Result<Token, Stop> {
    match by {
        By::Long(scope) => t.mint_long(Valid, &[scope]).await,
        By::Short(scope) => {
            let long = t.shared(Valid, "long").await?;
            t.mint_short(&long, &[scope]).await
        }
    }
}

async fn sibling(t: &Trial<'_>, by: By) -> Result<(), Stop> {
    let victim = t.mint_long(Valid, &["jobs:submit"]).await?;
    let bearer = bearer(t, by).await?;
    let answer = t.send(&endpoint::revoke(&bearer.token, &victim.id)).await?;
    let (kind, scope) = match by {
        By::Long(scope) => ("long", scope),
        By::Short(scope) => ("short", scope),
    };
    t.expect(t.due, &answer)
        .map_err(|stop| stop.wanted(|wanted| format!("{wanted} for a {kind}-term token with only {scope}")))
}

async fn siblings(t: &Trial<'_>, all: &[By]) -> Result<(), Stop> {
    for by in all {
        sibling(t, *by).await?;
    }
    Ok(())
}

async fn own_child(t: &Trial<'_>) -> Result<(), Stop> {
    let parent = t.mint_long(t.tenant(), &[PLAIN]).await?;
    let child = t.mint_short(&parent, &[PLAIN]).await?;
    let answer = t.send(&endpoint::revoke(&parent.token, &child.id)).await?;
    t.expect(t.due, &answer)
}

async fn parent_twice(t: &Trial<'_>) -> Result<(), Stop> {
    let parent = t.mint_long(t.tenant(), &["tokens:revoke"]).await?;
    let child = t.mint_short(&parent, &["tokens:revoke"]).await?;
    let request = endpoint::revoke(&child.token, &parent.id);
    t.expect(t.due, &t.send(&request).await?)?;
    t.expect(t.due, &t.send(&request).await?)
        .map_err(|stop| stop.wanted(|wanted| format!("{wanted} the second time too")))
}

async fn ended_bearer(t: &Trial<'_>, by_its_parent: bool) -> Result<(), Stop> {
    let (operator, victim) = t.pair().await?;
    let parent = t.mint_long(t.tenant(), &["tokens:revoke"]).await?;
    let bearer = t.mint_short(&parent, &["tokens:revoke"]).await?;
    t.revoked(&operator, if by_its_parent { &parent } else { &bearer }).await?;
    t.until_refused(&endpoint::revoke(&bearer.token, &victim.id), t.due).await
}

async fn lacks_scope_for_ended(t: &Trial<'_>) -> Result<(), Stop> {
    let (operator, victim) = t.pair().await?;
    let caller = t.mint_long(t.tenant(), &[PLAIN]).await?;
    t.revoked(&operator, &victim).await?;
    t.expect(t.due, &t.send(&endpoint::revoke(&caller.token, &victim.id)).await?)
}

async fn ended_repeats_another(t: &Trial<'_>) -> Result<(), Stop> {
    let (operator, victim) = t.pair().await?;
    let caller = t.mint_long(t.tenant(), &["tokens:revoke"]).await?;
    t.revoked(&operator, &victim).await?;
    t.revoked(&operator, &caller).await?;
    t.until_refused(&endpoint::revoke(&caller.token, &victim.id), t.due).await
}
