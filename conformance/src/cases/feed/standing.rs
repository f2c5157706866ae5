//! The revocation feed: sequences of changes to one client, and clients that a change must not affect.

use crate::case::*;
use crate::clock;
use crate::endpoint;
use crate::trial::feed::{FOR_GOOD, Feed, hash};
use crate::trial::guests::Guest;
use serde_json::json;

pub const CASES: &[Case] = &[
    Case {
        id: "feed.200.self-revoked",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A token that revoked itself is listed: a short-term token under token, a long-term token under \
                      parent.",
        section: "openapi.yaml, getRevocations; openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.token"),
        request: steps!(self_revoked),
        expect: plain(200),
        mutants: &[mutant("feed-lacks-self", "does not list tokens that revoked themselves")],
        ..ROW
    },
    Case {
        id: "feed.200.refused-revocation",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A rejected revocation is not listed: the other client's token stays accepted.",
        section: "openapi.yaml, getRevocations; openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Other, ClientId), (Other, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.token"),
        request: steps!(refused_revocation),
        expect: plain(200),
        mutants: &[mutant("feed-lists-refused", "lists the token that another client tried to revoke")],
        ..ROW
    },
    Case {
        id: "feed.200.suspended-spares-others",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The suspension of a client does not list other clients.",
        section: "openapi.yaml, getRevocations; openapi.yaml, updateClient",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("feed.200.suspended"),
        request: steps!(suspended_spares_others),
        expect: plain(200),
        mutants: &[mutant("feed-suspends-neighbours", "lists other clients together with a suspended one")],
        ..ROW
    },
    Case {
        id: "feed.200.suspended-again",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A client that is suspended again is listed with the time 253402300799 again.",
        section: "openapi.yaml, getRevocations; openapi.yaml, updateClient",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("feed.200.restored"),
        request: steps!(suspended_again),
        expect: plain(200),
        mutants: &[mutant("feed-suspends-once", "lists only the first suspension")],
        ..ROW
    },
    Case {
        id: "feed.200.end-tokens-again",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A second end-tokens gives the client a later time in the feed.",
        section: "openapi.yaml, getRevocations; openapi.yaml, endClientTokens",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("feed.200.end-tokens"),
        request: steps!(end_tokens_again),
        expect: plain(200),
        mutants: &[mutant("feed-ends-once", "keeps the time of the first end-tokens")],
        ..ROW
    },
    Case {
        id: "feed.200.end-tokens-while-suspended",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "end-tokens does not lift a client's suspension: the time in the feed stays 253402300799.",
        section: "openapi.yaml, getRevocations; openapi.yaml, endClientTokens",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("feed.200.suspended"),
        request: steps!(end_tokens_while_suspended),
        expect: plain(200),
        mutants: &[mutant(
            "feed-end-tokens-lifts-suspension",
            "replaces the entry of a suspension with that of end-tokens",
        )],
        ..ROW
    },
    Case {
        id: "feed.200.restored-after-end-tokens",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A client that is restored after end-tokens is listed with the time of end-tokens, so that \
                      earlier tokens stay rejected.",
        section: "openapi.yaml, getRevocations; openapi.yaml, updateClient; openapi.yaml, endClientTokens",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("feed.200.restored"),
        request: steps!(restored_after_end_tokens),
        expect: plain(200),
        mutants: &[mutant("feed-restored-from-creation", "lists a restored client with the time of its creation")],
        ..ROW
    },
    Case {
        id: "feed.200.narrowing-blames-nobody",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A client whose scopes change is not listed: for an API that verifies offline, a token keeps its \
                      scopes until it expires.",
        section: "openapi.yaml, getRevocations; openapi.yaml, updateClient",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("feed.200.suspended"),
        request: steps!(narrowing_blames_nobody),
        expect: plain(200),
        mutants: &[mutant("feed-lists-narrowed", "lists a client whose scopes changed")],
        ..ROW
    },
];

async fn self_revoked(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, long) = t.pair().await?;
    let short = t.mint_short(&long, &[PLAIN]).await?;
    t.revoked(&short, &short).await?;
    t.revoked(&long, &long).await?;
    t.feed_lists("token", &short.id).await?;
    t.feed_lists("parent", &long.id).await.map(drop)
}

async fn refused_revocation(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, long) = t.pair().await?;
    let short = t.mint_short(&long, &[PLAIN]).await?;
    let other = t.shared(Valid, "short").await?;
    for victim in [&short, &long] {
        let answer = t.send(&endpoint::revoke(&other.token, &victim.id)).await?;
        t.expect(NOT_FOUND, &answer)?;
    }
    t.feed_renewed().await;
    t.accepted(&t.feed("").await?, &short, "a token whose revocation was rejected")
}

/// Waits until the feed lists the client with a matching time.
async fn listed(t: &Trial<'_>, guest: &Guest, wanted: &str, fits: impl Fn(u64) -> bool) -> Result<(Feed, u64), Stop> {
    let wanted = format!("\"{}\" (for {}) under client, with {wanted}", hash("client", &guest.id), guest.id);
    t.feed_until("", |feed| match feed.entry("client", &guest.id) {
        Some(at) if fits(at) => Ok(at),
        Some(at) => Err(Stop::fail(&wanted, format!("the time {at}"))),
        None => Err(Stop::fail(&wanted, "no entry")),
    })
    .await
}

async fn for_good(t: &Trial<'_>, guest: &Guest) -> Result<Feed, Stop> {
    Ok(listed(t, guest, &format!("the time {FOR_GOOD}"), |at| at == FOR_GOOD).await?.0)
}

async fn suspended_spares_others(t: &Trial<'_>) -> Result<(), Stop> {
    let (guest, other) = (t.guest().await?, t.guest().await?);
    let token = t.guest_token(&other).await?;
    t.change(&guest, json!({"status": "suspended"})).await?;
    t.accepted(&for_good(t, &guest).await?, &token, "a token of another client")
}

async fn suspended_again(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest().await?;
    t.change(&guest, json!({"status": "suspended"})).await?;
    for_good(t, &guest).await?;
    t.change(&guest, json!({"status": "active"})).await?;
    listed(t, &guest, "its tokens_valid_from", |at| at < FOR_GOOD).await?;
    t.change(&guest, json!({"status": "suspended"})).await?;
    for_good(t, &guest).await.map(drop)
}

async fn end_tokens_again(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest().await?;
    t.end_tokens(&guest).await?;
    let (_, first) = listed(t, &guest, "a time", |_| true).await?;
    let between = t.guest_token(&guest).await?;
    t.end_tokens(&guest).await?;
    let (feed, _) = listed(t, &guest, &format!("a time after {first}"), |at| first < at && at < FOR_GOOD).await?;
    match feed.refuses(&between, t.run.clock.now())? {
        true => Ok(()),
        false => Err(Stop::fail(format!("a feed that rejects {}, issued in between", between.id), "one that does not")),
    }
}

async fn end_tokens_while_suspended(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest().await?;
    t.change(&guest, json!({"status": "suspended"})).await?;
    for_good(t, &guest).await?;
    t.end_tokens(&guest).await?;
    t.feed_renewed().await;
    for_good(t, &guest).await.map(drop)
}

async fn restored_after_end_tokens(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest().await?;
    let before = t.guest_token(&guest).await?;
    t.end_tokens(&guest).await?;
    t.change(&guest, json!({"status": "suspended"})).await?;
    for_good(t, &guest).await?;
    let shown = t.change(&guest, json!({"status": "active"})).await?;
    let from = shown["tokens_valid_from"].as_str().and_then(clock::parse_rfc3339);
    let from = from.ok_or_else(|| Stop::Blocked("the client in the response has no tokens_valid_from".to_owned()))?;
    let (feed, _) = listed(t, &guest, &format!("its tokens_valid_from, {from}"), |at| at == from).await?;
    match feed.refuses(&before, t.run.clock.now())? {
        true => Ok(()),
        false => Err(Stop::fail(format!("a feed that rejects {}, issued before", before.id), "one that does not")),
    }
}

async fn narrowing_blames_nobody(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest().await?;
    let token = t.guest_token(&guest).await?;
    t.change(&guest, json!({"scopes": ["templates:read"]})).await?;
    t.feed_renewed().await;
    t.accepted(&t.feed("").await?, &token, "a token whose client lost scopes")
}
