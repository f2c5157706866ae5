//! POST /auth/tokens/{tokenId}/revoke: what a revocation ends, and what it leaves alone.

use crate::case::*;
use crate::endpoint;
use crate::trial::draft;
use crate::trial::mint::token_in;

pub const CASES: &[Case] = &[
    Case {
        id: "revoke.204.sibling",
        cell: Cell::Revoke(204),
        level: Level::Seed,
        requirement: "A token with tokens:revoke can revoke another token of its own client.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("short.201.exchange"),
        request: steps!(sibling),
        expect: ENDED,
        mutants: &[
            mutant("204-with-body", "answers a revocation with 200 and a body"),
            mutant("sibling-refused", "rejects revocations of any token but the bearer"),
        ],
        ..ROW
    },
    Case {
        id: "revoke.204.self-long",
        cell: Cell::Revoke(204),
        level: Level::Seed,
        requirement: "A long-term token can always revoke itself, whatever its scopes.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("long.201.secret"),
        request: steps!(self_long),
        expect: ENDED,
        mutants: &[mutant("self-needs-scope", "requires tokens:revoke for a token that revokes itself")],
        ..ROW
    },
    Case {
        id: "revoke.204.self-short",
        cell: Cell::Revoke(204),
        level: Level::Seed,
        requirement: "A short-term token can always revoke itself, whatever its scopes.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("short.201.exchange"),
        request: steps!(self_short),
        expect: ENDED,
        ..ROW
    },
    Case {
        id: "revoke.204.sibling-short",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "A short-term token can be revoked by another token of its client.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(sibling_short),
        expect: ENDED,
        mutants: &[mutant("short-ids-404", "does not know ids of short-term tokens")],
        ..ROW
    },
    Case {
        id: "revoke.204.exact-scope",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "A long-term token with exactly tokens:revoke can revoke other tokens; no wildcard is needed.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Narrow, ClientId), (Narrow, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("long.201.secret"),
        request: steps!(exact_scope),
        expect: ENDED,
        mutants: &[mutant("revoke-needs-wildcard", "requires tokens:*")],
        ..ROW
    },
    Case {
        id: "revoke.204.idempotent",
        cell: Cell::Revoke(204),
        level: Level::Seed,
        requirement: "Revoking a token that is already revoked is answered with 204.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(idempotent),
        expect: ENDED,
        mutants: &[mutant("revoke-not-idempotent", "answers 404 to a repeated revocation")],
        ..ROW
    },
    Case {
        id: "revoke.204.self-repeat",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "A long-term token that revoked itself can repeat that call and gets 204.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.self-long"),
        request: steps!(self_repeat),
        expect: ENDED,
        mutants: &[mutant("self-repeat-401", "rejects a token that repeats its own revocation")],
        ..ROW
    },
    Case {
        id: "revoke.204.self-repeat-short",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "A short-term token that revoked itself can repeat that call and gets 204.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.self-short"),
        request: steps!(self_repeat_short),
        expect: ENDED,
        ..ROW
    },
    Case {
        id: "revoke.204.body-ignored",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "A request body is ignored, whatever its content.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(body_ignored),
        expect: ENDED,
        mutants: &[mutant("revoke-reads-body", "parses a body that it must ignore")],
        ..ROW
    },
    Case {
        id: "revoke.204.authorization-repeated",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "An Authorization header that is sent twice with the same value is accepted.",
        section: "openapi.yaml, info",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(authorization_repeated),
        expect: ENDED,
        mutants: &[mutant("repeated-header-refused-on-revoke", "rejects a repeated Authorization header")],
        ..ROW
    },
    Case {
        id: "revoke.204.ends-it",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "A token revoked by another token of its client is rejected from then on.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(ends_it),
        expect: ENDED,
        mutants: &[mutant("flapping", "remembers only every second revocation")],
        ..ROW
    },
    Case {
        id: "revoke.204.ends-short",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "A revoked short-term token is rejected from then on.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.self-short"),
        request: steps!(ends_short),
        expect: ENDED,
        ..ROW
    },
    Case {
        id: "revoke.204.cascade",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "Revoking a long-term token also revokes the short-term tokens issued from it.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(cascade),
        expect: ENDED,
        mutants: &[mutant("no-cascade", "keeps accepting the short-term tokens of a revoked long-term token")],
        ..ROW
    },
    Case {
        id: "revoke.204.spares-others",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "Revoking a token does not affect the client's other tokens.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(spares_others),
        expect: ENDED,
        mutants: &[mutant("revokes-bystanders", "revokes other tokens too")],
        ..ROW
    },
    Case {
        id: "revoke.204.short-spares-parent",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "Revoking a short-term token does not affect its long-term token.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.self-short"),
        request: steps!(spares_parent),
        expect: ENDED,
        mutants: &[mutant("short-revocation-ends-parent", "revokes the long-term token too")],
        ..ROW
    },
    Case {
        id: "revoke.204.body-large",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "A body of any size is ignored: a revocation with a body of 20,000 bytes is confirmed with 204.",
        section: "openapi.yaml, revokeToken",
        effect: Effect::Revoke,
        control: Some("revoke.204.body-ignored"),
        request: steps!(large_body),
        expect: ENDED,
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        mutants: &[mutant("revoke-body-limited", "rejects large bodies on /revoke")],
        ..ROW
    },
    Case {
        id: "revoke.204.retired",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "A long-term token in the grace period after its rotation can be revoked, and ends at once.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("long.201.rotation-grace"),
        request: steps!(retired),
        expect: ENDED,
        mutants: &[mutant("retired-not-revoked", "ignores the revocation of a token in its grace period")],
        ..ROW
    },
    Case {
        id: "revoke.204.again-ends-it",
        requirement: "A revocation that is repeated by another token leaves the token revoked.",
        control: Some("revoke.204.ends-it"),
        request: steps!(again),
        mutants: &[mutant("revoke-toggles", "revives a token that is revoked a second time")],
        cell: Cell::Revoke(204),
        level: Level::Contract,
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        expect: ENDED,
        ..ROW
    },
    Case {
        id: "revoke.204.by-long-ends-it",
        requirement: "A revocation by a long-term token ends the other token.",
        control: Some("revoke.204.ends-it"),
        request: steps!(by_long),
        mutants: &[mutant("revoke-by-long-no-op", "confirms a revocation by a long-term token but ignores it")],
        cell: Cell::Revoke(204),
        level: Level::Contract,
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        expect: ENDED,
        ..ROW
    },
    Case {
        id: "revoke.204.child-ends-parent",
        requirement: "A revocation of its long-term token by a short-term token ends the long-term token.",
        control: Some("revoke.204.ends-it"),
        request: steps!(by_child),
        mutants: &[mutant(
            "revoke-of-parent-no-op",
            "confirms the revocation of its parent by a short-term token but ignores it",
        )],
        cell: Cell::Revoke(204),
        level: Level::Contract,
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        expect: ENDED,
        ..ROW
    },
    Case {
        id: "revoke.204.rotated-ends",
        requirement: "A long-term token that was issued by a rotation can be revoked, and ends with the short-term \
                      tokens made from it.",
        control: Some("revoke.204.ends-it"),
        request: steps!(rotated),
        mutants: &[mutant("rotated-not-revoked", "ignores the revocation of tokens that a rotation issued")],
        cell: Cell::Revoke(204),
        level: Level::Contract,
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        expect: ENDED,
        ..ROW
    },
    Case {
        id: "revoke.204.cascade-all",
        requirement: "Every short-term token of a revoked long-term token ends, not only the first.",
        control: Some("revoke.204.cascade"),
        request: steps!(all_children),
        mutants: &[mutant("cascade-first-only", "ends only the first short-term token of a revoked long-term token")],
        cell: Cell::Revoke(204),
        level: Level::Contract,
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        expect: ENDED,
        ..ROW
    },
    Case {
        id: "revoke.204.assertion-token-ends",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "The revocation of a long-term token that was issued for an assertion ends it.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Revoke,
        control: Some("long.201.assertion"),
        request: steps!(assertion_token),
        expect: ENDED,
        mutants: &[mutant("assertion-token-irrevocable", "cannot revoke a token that was issued for an assertion")],
        ..ROW
    },
    Case {
        id: "revoke.204.rotated-short-ends",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "The revocation of a short-term token of a rotated long-term token ends it.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.ends-short"),
        request: steps!(rotated_short),
        expect: ENDED,
        mutants: &[mutant("short-of-rotated-irrevocable", "cannot revoke the short-term tokens of rotated tokens")],
        ..ROW
    },
    Case {
        id: "revoke.204.spares-sibling-short",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "The revocation of a short-term token does not end the other short-term tokens of its parent.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.ends-short"),
        request: steps!(spares_sibling_short),
        expect: ENDED,
        mutants: &[mutant("short-revocation-ends-siblings", "ends all short-term tokens of a parent with one of them")],
        ..ROW
    },
];

async fn revoke(t: &Trial<'_>, bearer: &Token, victim: &Token) -> Result<(), Stop> {
    let answer = t.send(&endpoint::revoke(&bearer.token, &victim.id)).await?;
    t.expect(ENDED, &answer)
}

async fn sibling(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, victim) = t.pair().await?;
    revoke(t, &bearer, &victim).await
}

async fn self_long(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(t.tenant(), &[PLAIN]).await?;
    revoke(t, &long, &long).await
}

async fn self_short(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(t.tenant(), &[PLAIN, "tokens:write"]).await?;
    let short = t.mint_short(&long, &[PLAIN]).await?;
    revoke(t, &short, &short).await
}

async fn sibling_short(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, parent) = t.pair().await?;
    let victim = t.mint_short(&parent, &[PLAIN]).await?;
    revoke(t, &bearer, &victim).await
}

async fn exact_scope(t: &Trial<'_>) -> Result<(), Stop> {
    let bearer = t.mint_long(Narrow, &["tokens:revoke"]).await?;
    let victim = t.mint_long(Narrow, &["jobs:submit"]).await?;
    revoke(t, &bearer, &victim).await
}

async fn idempotent(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, victim) = t.pair().await?;
    revoke(t, &bearer, &victim).await?;
    revoke(t, &bearer, &victim).await
}

async fn self_repeat(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(t.tenant(), &[PLAIN]).await?;
    revoke(t, &long, &long).await?;
    revoke(t, &long, &long).await
}

async fn self_repeat_short(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(t.tenant(), &[PLAIN, "tokens:write"]).await?;
    let short = t.mint_short(&long, &[PLAIN]).await?;
    revoke(t, &short, &short).await?;
    revoke(t, &short, &short).await
}

async fn body_ignored(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, victim) = t.pair().await?;
    for (kind, body) in [(None, ""), (Some("application/json"), "{not json"), (Some("text/plain"), "whatever")] {
        let mut request = endpoint::revoke(&bearer.token, &victim.id);
        request.body = body.as_bytes().to_vec();
        if let Some(kind) = kind {
            request.set("content-type", kind);
        }
        let answer = t.send(&request).await?;
        t.expect(ENDED, &answer)?;
    }
    Ok(())
}

async fn authorization_repeated(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, victim) = t.pair().await?;
    let mut request = endpoint::revoke(&bearer.token, &victim.id);
    request.headers.push(endpoint::bearer(&bearer.token));
    let answer = t.send(&request).await?;
    t.expect(ENDED, &answer)
}

async fn ends_it(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, victim) = t.pair().await?;
    let works = endpoint::exchange(&victim.token);
    t.expect(GRANTED, &t.send(&works).await?)
        .map_err(|_| Stop::Blocked("the token did not work before its revocation".to_owned()))?;
    revoke(t, &bearer, &victim).await?;
    t.until_refused(&works, INVALID_TOKEN).await
}

/// Tests whether the token still works by letting it revoke a spare token, because a token that revoked itself may repeat
/// that call.
async fn ends_short(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, parent) = t.pair().await?;
    let short = t.mint_short(&parent, &["tokens:write"]).await?;
    revoke(t, &short, &short).await?;
    t.until_refused(&t.rotate_request(t.tenant(), &short.token, None)?, INVALID_TOKEN).await
}

async fn cascade(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, parent) = t.pair().await?;
    let short = t.mint_short(&parent, &["tokens:write"]).await?;
    revoke(t, &bearer, &parent).await?;
    t.until_refused(&t.rotate_request(t.tenant(), &short.token, None)?, INVALID_TOKEN).await
}

async fn spares_others(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, victim) = t.pair().await?;
    let other = t.mint_long(t.tenant(), &[PLAIN]).await?;
    revoke(t, &bearer, &victim).await?;
    let answer = t.send(&endpoint::exchange(&other.token)).await?;
    t.expect(GRANTED, &answer)
}

async fn spares_parent(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, parent) = t.pair().await?;
    let short = t.mint_short(&parent, &[PLAIN]).await?;
    revoke(t, &short, &short).await?;
    let answer = t.send(&endpoint::exchange(&parent.token)).await?;
    t.expect(GRANTED, &answer)
}

async fn large_body(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    let mut request = endpoint::revoke(&bearer.token, &long.id);
    request.set("content-type", "application/octet-stream");
    request.body = vec![b'x'; 20_000];
    t.expect(t.due, &t.send(&request).await?)
}

async fn retired(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    let short = t.mint_short(&long, &[PLAIN, "tokens:write"]).await?;
    t.expect(GRANTED, &t.send(&t.rotate_request(t.tenant(), &short.token, Some(&[PLAIN]))?).await?)?;
    t.expect(GRANTED, &t.send(&endpoint::exchange(&long.token)).await?)?;
    t.expect(t.due, &t.send(&endpoint::revoke(&bearer.token, &long.id)).await?)?;
    t.until_refused(&endpoint::exchange(&long.token), INVALID_TOKEN).await
}

async fn again(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    for _ in 0..2 {
        t.expect(t.due, &t.send(&endpoint::revoke(&bearer.token, &long.id)).await?)?;
    }
    t.until_refused(&endpoint::exchange(&long.token), INVALID_TOKEN).await
}

async fn by_long(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, victim) = t.pair().await?;
    let caller = t.mint_long(t.tenant(), &["tokens:revoke"]).await?;
    t.expect(t.due, &t.send(&endpoint::revoke(&caller.token, &victim.id)).await?)?;
    t.until_refused(&endpoint::exchange(&victim.token), INVALID_TOKEN).await
}

async fn by_child(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(t.tenant(), &["tokens:revoke"]).await?;
    let short = t.mint_short(&long, &["tokens:revoke"]).await?;
    t.expect(t.due, &t.send(&endpoint::revoke(&short.token, &long.id)).await?)?;
    t.until_refused(&endpoint::exchange(&long.token), INVALID_TOKEN).await
}

async fn rotated(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    let short = t.mint_short(&long, &[PLAIN, "tokens:write"]).await?;
    let id = t.setting(t.tenant(), ClientId)?;
    let rotated = t.rotated(&id, &short).await?;
    let child = t.mint_short(&rotated, &["tokens:write"]).await?;
    t.expect(t.due, &t.send(&endpoint::revoke(&bearer.token, &rotated.id)).await?)?;
    t.until_refused(&endpoint::exchange(&rotated.token), INVALID_TOKEN).await?;
    t.until_refused(&t.rotate_request(t.tenant(), &child.token, None)?, INVALID_TOKEN).await
}

async fn all_children(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    let mut children = Vec::new();
    for _ in 0..3 {
        children.push(t.mint_short(&long, &[PLAIN, "tokens:write"]).await?);
    }
    t.expect(t.due, &t.send(&endpoint::revoke(&bearer.token, &long.id)).await?)?;
    for child in &children {
        t.until_refused(&t.rotate_request(t.tenant(), &child.token, Some(&[PLAIN]))?, INVALID_TOKEN).await?;
    }
    Ok(())
}

async fn assertion_token(t: &Trial<'_>) -> Result<(), Stop> {
    let answer = t.send(&draft::build(t, Assertion(Valid), &[]).await?).await?;
    let token = token_in(&answer).ok_or_else(|| Stop::Blocked("this case first needs a long-term token".to_owned()))?;
    revoke(t, &token, &token).await?;
    t.until_refused(&endpoint::exchange(&token.token), INVALID_TOKEN).await
}

async fn rotated_short(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, long) = t.pair().await?;
    let short = t.mint_short(&long, &["tokens:write"]).await?;
    let rotated = t.rotated(&t.setting(t.tenant(), ClientId)?, &short).await?;
    let victim = t.mint_short(&rotated, &["tokens:write"]).await?;
    revoke(t, &victim, &victim).await?;
    t.until_refused(&t.rotate_request(t.tenant(), &victim.token, None)?, INVALID_TOKEN).await
}

async fn spares_sibling_short(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, long) = t.pair().await?;
    let (victim, sibling) =
        (t.mint_short(&long, &["tokens:write"]).await?, t.mint_short(&long, &["tokens:write"]).await?);
    revoke(t, &victim, &victim).await?;
    t.until_refused(&t.rotate_request(t.tenant(), &victim.token, None)?, INVALID_TOKEN).await?;
    t.expect(GRANTED, &t.send(&t.rotate_request(t.tenant(), &sibling.token, None)?).await?)
}
