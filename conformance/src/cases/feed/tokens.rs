//! The revocation feed: its entries for tokens.

use crate::case::*;
use crate::jose::unb64;
use crate::trial::feed::{Feed, MEMBERS, hash};
use serde_json::Value;

pub const CASES: &[Case] = &[
    Case {
        id: "feed.200.entries",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "An entry's name is 16 bytes in unpadded base64url, and its value is a time in whole seconds.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.served"),
        request: steps!(entries),
        expect: plain(200),
        mutants: &[
            mutant("feed-hash-32", "lists untruncated hashes"),
            mutant("feed-hash-hex", "lists hashes in hexadecimal"),
            mutant("feed-times-text", "lists times as strings"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.token",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "Once the revocation of a short-term token is confirmed, the token is listed under token.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.served"),
        request: steps!(token),
        expect: plain(200),
        mutants: &[
            mutant("feed-hash-bare", "hashes the id without its prefix token:, parent: or client:"),
            mutant("feed-lacks-token", "does not list short-term tokens"),
            mutant("feed-late", "lists a revocation long after it was confirmed"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.parent",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "Once the revocation of a long-term token is confirmed, the token is listed under parent, and not \
                      under token.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.served"),
        request: steps!(parent, Valid),
        expect: plain(200),
        mutants: &[
            mutant("feed-lacks-parent", "does not list long-term tokens"),
            mutant("feed-parent-as-token", "lists a long-term token under token too"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.parent-immediate",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "Once the revocation of an immediate client's long-term token is confirmed, the token is listed \
                      under parent, and not under token.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Immediate, ClientId), (Immediate, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.parent"),
        request: steps!(parent, Immediate),
        expect: plain(200),
        mutants: &[mutant("feed-lacks-immediate", "does not list the tokens of an immediate client")],
        ..ROW
    },
    Case {
        id: "feed.200.cascade",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "An API that follows the feed accepts the short-term tokens of a long-term token until the \
                      long-term token is revoked, and rejects them afterwards.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.served"),
        request: steps!(cascade),
        expect: plain(200),
        mutants: &[mutant("feed-parent-ahead", "lists a long-term token with a time far in the future")],
        ..ROW
    },
    Case {
        id: "feed.200.spares-others",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The entry of a revoked token affects neither other tokens of its client nor other short-term \
                      tokens of the same long-term token.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.token"),
        request: steps!(spares_others),
        expect: plain(200),
        mutants: &[
            mutant("feed-blames-caller", "also lists the token that revoked another"),
            mutant("feed-blames-client", "also lists the client of a revoked token"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.repeated",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "Revoking a token again does not postpone its time in the feed.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.token"),
        request: steps!(repeated),
        expect: plain(200),
        mutants: &[mutant("feed-puts-off", "postpones the time of a token that is revoked again")],
        ..ROW
    },
    Case {
        id: "feed.200.rotation",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The short-term tokens of a retired long-term token are not rejected during its grace period.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.200.served"),
        request: steps!(rotation),
        expect: plain(200),
        mutants: &[mutant("feed-retires-now", "lists a long-term token at the start of its grace period")],
        ..ROW
    },
    Case {
        id: "feed.200.parent-rotated",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "Once the revocation of a rotated long-term token is confirmed, the token is listed under parent.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.parent"),
        request: steps!(parent_rotated),
        expect: plain(200),
        mutants: &[mutant("feed-lacks-rotated", "does not list rotated tokens")],
        ..ROW
    },
    Case {
        id: "feed.200.parent-retired",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "Once the revocation of a retired long-term token is confirmed, the token is listed under parent.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.parent"),
        request: steps!(parent_retired),
        expect: plain(200),
        mutants: &[mutant("feed-lacks-retired", "does not list a retired token that is revoked")],
        ..ROW
    },
    Case {
        id: "feed.200.parent-by-child",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "Once a short-term token has revoked its long-term token, that is listed under parent.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.parent"),
        request: steps!(parent_by_child),
        expect: plain(200),
        mutants: &[mutant("feed-lacks-parent-by-child", "does not list a token that its short-term token revoked")],
        ..ROW
    },
    Case {
        id: "feed.200.name-blames-nobody",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A change of client_name lists nobody.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("feed.200.suspended"),
        request: steps!(name_blames_nobody),
        expect: plain(200),
        mutants: &[mutant("feed-lists-changes", "lists a client at each change")],
        ..ROW
    },
];

async fn entries(t: &Trial<'_>) -> Result<(), Stop> {
    t.ended_short().await?;
    let all = |feed: &Feed| -> Vec<(String, Value)> {
        let members = MEMBERS.iter().filter_map(|name| feed.jwt.claims["ended"][name].as_object());
        members.flatten().map(|(name, at)| (name.clone(), at.clone())).collect()
    };
    let (_, all) = t
        .feed_until("", |feed| match all(feed) {
            all if all.is_empty() => Err(Stop::fail("an entry for the token that was just revoked", "no entry")),
            all => Ok(all),
        })
        .await?;
    for (name, at) in all {
        if name.len() != 22 || unb64(&name).is_none_or(|bytes| bytes.len() != 16) {
            return Err(Stop::fail("16 bytes in unpadded base64url", format!("\"{name}\"")));
        }
        if !at.is_u64() {
            return Err(Stop::fail("a time in whole seconds", format!("{at}")));
        }
    }
    Ok(())
}

async fn token(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, short) = t.ended_short().await?;
    t.feed_lists("token", &short.id).await.map(drop)
}

async fn parent(t: &Trial<'_>, role: Role) -> Result<(), Stop> {
    let bearer = t.shared(role, "short").await?;
    let long = t.mint_long(role, &["jobs:submit"]).await?;
    t.revoked(&bearer, &long).await?;
    let (feed, _) = t.feed_lists("parent", &long.id).await?;
    match feed.entry("token", &long.id) {
        None => Ok(()),
        Some(_) => Err(Stop::fail(
            "a long-term token under parent only",
            format!("\"{}\" under token too", hash("token", &long.id)),
        )),
    }
}

async fn cascade(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    let short = t.mint_short(&long, &[PLAIN]).await?;
    t.accepted(&t.feed("").await?, &short, "a valid token")?;
    t.revoked(&bearer, &long).await?;
    t.feed_refuses(&short).await.map(drop)
}

async fn spares_others(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    let (victim, sibling) = (t.mint_short(&long, &[PLAIN]).await?, t.mint_short(&long, &[PLAIN]).await?);
    t.revoked(&bearer, &victim).await?;
    let feed = t.feed_refuses(&victim).await?;
    t.accepted(&feed, &sibling, "another token of the same long-term token")?;
    t.accepted(&feed, &bearer, "another token of the same client")
}

async fn repeated(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, short) = t.ended_short().await?;
    let (_, first) = t.feed_lists("token", &short.id).await?;
    t.run.wait_until(t.run.clock.now() + 2).await?;
    t.revoked(&bearer, &short).await?;
    t.feed_renewed().await;
    let (_, again) = t.feed_lists("token", &short.id).await?;
    if again <= first {
        return Ok(());
    }
    Err(Stop::fail(format!("the time {first}, as after the first revocation"), format!("the time {again}")))
}

async fn rotation(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, long) = t.pair().await?;
    let short = t.mint_short(&long, &[PLAIN, "tokens:write"]).await?;
    let answer = t.send(&t.rotate_request(t.tenant(), &short.token, None)?).await?;
    let got = || Stop::Blocked(format!("this case first needs a rotation: the server answered {}", t.summary(&answer)));
    t.expect(GRANTED, &answer).map_err(|_| got())?;
    t.feed_renewed().await;
    t.accepted(&t.feed("").await?, &short, "a token of a retired long-term token")
}

async fn parent_rotated(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    let short = t.mint_short(&long, &["tokens:write"]).await?;
    let rotated = t.rotated(&t.setting(t.tenant(), ClientId)?, &short).await?;
    t.revoked(&bearer, &rotated).await?;
    t.feed_lists("parent", &rotated.id).await.map(drop)
}

async fn parent_retired(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    let short = t.mint_short(&long, &["tokens:write"]).await?;
    t.rotated(&t.setting(t.tenant(), ClientId)?, &short).await?;
    t.revoked(&bearer, &long).await?;
    t.feed_lists("parent", &long.id).await.map(drop)
}

async fn parent_by_child(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(t.tenant(), &["tokens:revoke"]).await?;
    let short = t.mint_short(&long, &["tokens:revoke"]).await?;
    t.revoked(&short, &long).await?;
    t.feed_lists("parent", &long.id).await.map(drop)
}

async fn name_blames_nobody(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest().await?;
    let token = t.guest_token(&guest).await?;
    t.change(&guest, serde_json::json!({"client_name": "another"})).await?;
    t.feed_renewed().await;
    t.accepted(&t.feed("").await?, &token, "a token whose client has another name")
}
