//! The feed of ends: what it lists of tokens.

use crate::case::*;
use crate::jose::unb64;
use crate::trial::feed::{Feed, MEMBERS, hash};
use serde_json::Value;

pub const CASES: &[Case] = &[
    Case {
        id: "feed.200.entries",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "An entry is 16 bytes in base64url without padding, with a time in whole seconds.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.served"),
        request: steps!(entries),
        expect: plain(200),
        mutants: &[
            mutant("feed-hash-32", "lists whole hashes"),
            mutant("feed-hash-hex", "lists hashes in hexadecimal"),
            mutant("feed-times-text", "has times as text"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.token",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A short-term token is listed under token when its revocation is answered.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.served"),
        request: steps!(token),
        expect: plain(200),
        mutants: &[
            mutant("feed-hash-bare", "hashes the bare id"),
            mutant("feed-lacks-token", "does not list short-term tokens"),
            mutant("feed-late", "lists an end long after it was answered"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.parent",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A long-term token is listed under parent alone when its revocation is answered.",
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
        requirement: "A long-term token of an immediate client is listed just so.",
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
        requirement: "An API that follows the feed refuses the short-term tokens of a revoked long-term token, and took them before.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.served"),
        request: steps!(cascade),
        expect: plain(200),
        mutants: &[mutant("feed-parent-ahead", "lists a long-term token with a time far ahead")],
        ..ROW
    },
    Case {
        id: "feed.200.spares-others",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "It does not refuse the other tokens of that client, nor those of the same long-term token.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.token"),
        request: steps!(spares_others),
        expect: plain(200),
        mutants: &[
            mutant("feed-blames-caller", "lists whoever revoked a token"),
            mutant("feed-blames-client", "lists the client of a revoked token"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.repeated",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "Revoking again does not put off the end that is listed.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.token"),
        request: steps!(repeated),
        expect: plain(200),
        mutants: &[mutant("feed-puts-off", "puts off an end that is revoked again")],
        ..ROW
    },
    Case {
        id: "feed.200.rotation",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A retired long-term token's short-term tokens are not refused while it is in its grace.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.200.served"),
        request: steps!(rotation),
        expect: plain(200),
        mutants: &[mutant("feed-retires-now", "lists what is in its grace")],
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
            all if all.is_empty() => Err(Stop::fail("an entry for what was just revoked", "none")),
            all => Ok(all),
        })
        .await?;
    for (name, at) in all {
        if name.len() != 22 || unb64(&name).is_none_or(|bytes| bytes.len() != 16) {
            return Err(Stop::fail("16 bytes in base64url without padding", format!("\"{name}\"")));
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
            "a long-term token under parent alone",
            format!("\"{}\" under token too", hash("token", &long.id)),
        )),
    }
}

async fn cascade(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    let short = t.mint_short(&long, &["jobs:submit"]).await?;
    t.accepted(&t.feed("").await?, &short, "a live token")?;
    t.revoked(&bearer, &long).await?;
    t.feed_refuses(&short).await.map(drop)
}

async fn spares_others(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    let (victim, sibling) =
        (t.mint_short(&long, &["jobs:submit"]).await?, t.mint_short(&long, &["jobs:submit"]).await?);
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
    let short = t.mint_short(&long, &["jobs:submit", "tokens:write"]).await?;
    let answer = t.send(&t.rotate_request(Valid, &short.token, None)?).await?;
    let got = || Stop::Blocked(format!("a rotation was needed first: the server answered {}", t.summary(&answer)));
    t.expect(GRANTED, &answer).map_err(|_| got())?;
    t.feed_renewed().await;
    t.accepted(&t.feed("").await?, &short, "a token of what was retired")
}
