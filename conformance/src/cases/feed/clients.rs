//! The revocation feed: its entries for clients.

use crate::case::*;
use crate::clock;
use crate::trial::feed::{CLOCKS, FOR_GOOD, Feed, claims, hash};
use serde_json::json;

pub const CASES: &[Case] = &[
    Case {
        id: "feed.200.suspended",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A suspended client is listed under client with the time 253402300799, so that APIs reject all of \
                      its tokens.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("feed.200.served"),
        request: steps!(suspended),
        expect: plain(200),
        mutants: &[
            mutant("feed-lacks-suspension", "does not list a suspension"),
            mutant("feed-suspends-until-now", "lists a suspension with the current time"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.restored",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A restored client is listed with its tokens_valid_from, so that APIs accept its new tokens.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("feed.200.suspended"),
        request: steps!(restored),
        expect: plain(200),
        mutants: &[
            mutant("feed-lacks-restoration", "keeps the entry of a suspension after the client is restored"),
            mutant("feed-drops-restored", "removes the entry of a restored client"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.end-tokens",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "After end-tokens, the client is listed with a time by which APIs reject tokens issued before the \
                      call and accept those issued after it.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("feed.200.served"),
        request: steps!(end_tokens),
        expect: plain(200),
        mutants: &[
            mutant("feed-lacks-end-tokens", "does not list end-tokens"),
            mutant("feed-ends-for-good", "lists end-tokens with a time that rejects later tokens too"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.deleted",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A deleted client is listed under client with the time 253402300799.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("feed.200.served"),
        request: steps!(deleted),
        expect: plain(200),
        mutants: &[mutant("feed-lacks-deletion", "does not list a deletion")],
        ..ROW
    },
];

/// Waits until the feed lists the client with a matching time.
async fn listed(t: &Trial<'_>, client: &str, wanted: &str, fits: impl Fn(u64) -> bool) -> Result<Feed, Stop> {
    let wanted = format!("\"{}\" (for {client}) under client, with {wanted}", hash("client", client));
    let judge = |feed: &Feed| match feed.entry("client", client) {
        Some(at) if fits(at) => Ok(()),
        Some(at) => Err(Stop::fail(&wanted, format!("the time {at}"))),
        None => Err(Stop::fail(&wanted, "no entry")),
    };
    t.feed_until("", judge).await.map(|(feed, ())| feed)
}

async fn for_good(t: &Trial<'_>, client: &str) -> Result<Feed, Stop> {
    listed(t, client, &format!("the time {FOR_GOOD}"), |at| at == FOR_GOOD).await
}

fn refused_by(feed: &Feed, t: &Trial<'_>, token: &Token) -> Result<(), Stop> {
    match feed.refuses(token, t.run.clock.now())? {
        true => Ok(()),
        false => Err(Stop::fail(format!("a feed that rejects {}", token.id), "one that does not")),
    }
}

async fn suspended(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest().await?;
    let token = t.guest_token(&guest).await?;
    t.accepted(&t.feed("").await?, &token, "a token of an active client")?;
    t.operate("PATCH", &guest.path, Some(json!({"status": "suspended"})), 200).await?;
    let feed = for_good(t, &guest.id).await?;
    refused_by(&feed, t, &token)
}

async fn restored(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest().await?;
    t.operate("PATCH", &guest.path, Some(json!({"status": "suspended"})), 200).await?;
    for_good(t, &guest.id).await?;
    let answer = t.operate("PATCH", &guest.path, Some(json!({"status": "active"})), 200).await?;
    let shown = answer.json().unwrap_or_default();
    let from = shown["tokens_valid_from"].as_str().and_then(clock::parse_rfc3339);
    let from = from.ok_or_else(|| Stop::Blocked("the client in the response has no tokens_valid_from".to_owned()))?;
    let feed = listed(t, &guest.id, &format!("its tokens_valid_from, {from}"), |at| at == from).await?;
    let token = t.guest_token(&guest).await?;
    t.accepted(&feed, &token, "a new token of the restored client")
}

async fn end_tokens(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest().await?;
    let before = t.guest_token(&guest).await?;
    t.accepted(&t.feed("").await?, &before, "a token issued before")?;
    t.operate("POST", &format!("{}/end-tokens", guest.path), None, 204).await?;
    let issued = claims(&before)?["auth_time"].as_u64().unwrap_or_default();
    let latest = t.run.clock.now() + CLOCKS;
    let wanted = format!("a time after {issued} that is not in the future");
    let feed = listed(t, &guest.id, &wanted, |at| issued < at && at <= latest).await?;
    refused_by(&feed, t, &before)?;
    let after = t.guest_token(&guest).await?;
    t.accepted(&feed, &after, "a token issued after")
}

async fn deleted(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest().await?;
    let token = t.guest_token(&guest).await?;
    t.operate("DELETE", &guest.path, None, 204).await?;
    let feed = for_good(t, &guest.id).await?;
    refused_by(&feed, t, &token)
}
