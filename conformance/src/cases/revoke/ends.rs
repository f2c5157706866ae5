//! POST /auth/tokens/{tokenId}/revoke: what ends, and what does not.

use crate::case::*;
use crate::endpoint;

pub const CASES: &[Case] = &[
    Case {
        id: "revoke.204.sibling",
        cell: Cell::Revoke(204),
        level: Level::Seed,
        requirement: "A token with tokens:revoke revokes another token of its own client.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("short.201.exchange"),
        request: steps!(sibling),
        expect: ENDED,
        mutants: &[
            mutant("204-with-body", "answers a revocation with 200 and a body"),
            mutant("sibling-refused", "revokes nothing but the bearer"),
        ],
        ..ROW
    },
    Case {
        id: "revoke.204.self-long",
        cell: Cell::Revoke(204),
        level: Level::Seed,
        requirement: "A long-term token may always revoke itself.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("long.201.secret"),
        request: steps!(self_long),
        expect: ENDED,
        mutants: &[mutant("self-needs-scope", "needs tokens:revoke for one's own end")],
        ..ROW
    },
    Case {
        id: "revoke.204.self-short",
        cell: Cell::Revoke(204),
        level: Level::Seed,
        requirement: "A short-term token may always revoke itself.",
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
        requirement: "A short-term token of the same client can be revoked by another.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(sibling_short),
        expect: ENDED,
        mutants: &[mutant("short-ids-404", "does not know short-term ids")],
        ..ROW
    },
    Case {
        id: "revoke.204.exact-scope",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "tokens:revoke itself is enough, also in a long-term token.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Narrow, ClientId), (Narrow, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("long.201.secret"),
        request: steps!(exact_scope),
        expect: ENDED,
        mutants: &[mutant("revoke-needs-wildcard", "needs tokens:*")],
        ..ROW
    },
    Case {
        id: "revoke.204.idempotent",
        cell: Cell::Revoke(204),
        level: Level::Seed,
        requirement: "Revoking what is revoked already is 204.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(idempotent),
        expect: ENDED,
        mutants: &[mutant("revoke-not-idempotent", "answers 404 the second time")],
        ..ROW
    },
    Case {
        id: "revoke.204.self-repeat",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "A token that revoked itself may repeat that very call.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.self-long"),
        request: steps!(self_repeat),
        expect: ENDED,
        mutants: &[mutant("self-repeat-401", "refuses to repeat an end")],
        ..ROW
    },
    Case {
        id: "revoke.204.self-repeat-short",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "A short-term token that revoked itself may repeat that very call.",
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
        requirement: "A request body is ignored, whatever it is.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(body_ignored),
        expect: ENDED,
        mutants: &[mutant("revoke-reads-body", "reads a body that does not matter")],
        ..ROW
    },
    Case {
        id: "revoke.204.authorization-repeated",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "An Authorization header that is there twice with the same value counts once.",
        section: "openapi.yaml, info",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(authorization_repeated),
        expect: ENDED,
        mutants: &[mutant("repeated-header-refused-on-revoke", "refuses the same bearer twice")],
        ..ROW
    },
    Case {
        id: "revoke.204.ends-it",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "What a sibling revoked is refused from then on.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(ends_it),
        expect: ENDED,
        mutants: &[mutant("flapping", "remembers a revocation every other time")],
        ..ROW
    },
    Case {
        id: "revoke.204.ends-short",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "A short-term token that was revoked is refused from then on.",
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
        requirement: "Revoking a long-term token ends the short-term tokens made from it.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(cascade),
        expect: ENDED,
        mutants: &[mutant("no-cascade", "leaves the children of a revoked token alive")],
        ..ROW
    },
    Case {
        id: "revoke.204.spares-others",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "Revoking one token leaves the client's others alone.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(spares_others),
        expect: ENDED,
        mutants: &[mutant("revokes-bystanders", "revokes tokens that nobody named")],
        ..ROW
    },
    Case {
        id: "revoke.204.short-spares-parent",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "Revoking a short-term token leaves its long-term token alone.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.self-short"),
        request: steps!(spares_parent),
        expect: ENDED,
        mutants: &[mutant("short-revocation-ends-parent", "revokes the parent too")],
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
    let long = t.mint_long(Valid, &["jobs:submit"]).await?;
    revoke(t, &long, &long).await
}

async fn self_short(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit", "tokens:write"]).await?;
    let short = t.mint_short(&long, &["jobs:submit"]).await?;
    revoke(t, &short, &short).await
}

async fn sibling_short(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, parent) = t.pair().await?;
    let victim = t.mint_short(&parent, &["jobs:submit"]).await?;
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
    let long = t.mint_long(Valid, &["jobs:submit"]).await?;
    revoke(t, &long, &long).await?;
    revoke(t, &long, &long).await
}

async fn self_repeat_short(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit", "tokens:write"]).await?;
    let short = t.mint_short(&long, &["jobs:submit"]).await?;
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
    t.expect(GRANTED, &t.send(&works).await?).map_err(|_| Stop::Blocked("the token did not work before".to_owned()))?;
    revoke(t, &bearer, &victim).await?;
    t.until_refused(&works, INVALID_TOKEN).await
}

/// What the token does afterwards is shown by asking it to revoke a spare one: that it may repeat its own end is
/// another promise.
async fn ends_short(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, parent) = t.pair().await?;
    let short = t.mint_short(&parent, &["tokens:write"]).await?;
    revoke(t, &short, &short).await?;
    t.until_refused(&t.rotate_request(Valid, &short.token, None)?, INVALID_TOKEN).await
}

async fn cascade(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, parent) = t.pair().await?;
    let short = t.mint_short(&parent, &["tokens:write"]).await?;
    revoke(t, &bearer, &parent).await?;
    t.until_refused(&t.rotate_request(Valid, &short.token, None)?, INVALID_TOKEN).await
}

async fn spares_others(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, victim) = t.pair().await?;
    let other = t.mint_long(Valid, &["jobs:submit"]).await?;
    revoke(t, &bearer, &victim).await?;
    let answer = t.send(&endpoint::exchange(&other.token)).await?;
    t.expect(GRANTED, &answer)
}

async fn spares_parent(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, parent) = t.pair().await?;
    let short = t.mint_short(&parent, &["jobs:submit"]).await?;
    revoke(t, &short, &short).await?;
    let answer = t.send(&endpoint::exchange(&parent.token)).await?;
    t.expect(GRANTED, &answer)
}
