//! The revocation feed: deltas, and conditional requests.

use crate::case::*;
use crate::clock;
use crate::jose::unb64;
use crate::trial::feed::{FOR_GOOD, Feed, MEMBERS, Mode, hash};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub const CASES: &[Case] = &[
    Case {
        id: "feed.200.delta-parent",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A delta of the feed lists the revocation of a long-term token.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.since"),
        request: steps!(parent),
        expect: plain(200),
        mutants: &[mutant("feed-delta-lacks-parents", "leaves long-term tokens out of deltas")],
        ..ROW
    },
    Case {
        id: "feed.200.delta-client",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A delta of the feed lists the suspension of a client.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("feed.200.since"),
        request: steps!(suspended),
        expect: plain(200),
        mutants: &[mutant("feed-delta-lacks-clients", "leaves clients out of deltas")],
        ..ROW
    },
    Case {
        id: "feed.200.delta-restored",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A delta lists a restored client with its tokens_valid_from, so that a follower of deltas lifts \
                      the suspension.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("feed.200.delta-client"),
        request: steps!(restored),
        expect: plain(200),
        mutants: &[mutant("feed-restored-silently", "changes the entry of a restored client without a new seq")],
        ..ROW
    },
    Case {
        id: "feed.200.delta-merges",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A copy that merged the deltas rejects the same tokens as the full feed.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.token"),
        request: steps!(merges),
        expect: plain(200),
        mutants: &[mutant("feed-delta-latest-only", "lists only the latest revocation in a delta")],
        ..ROW
    },
    Case {
        id: "feed.200.delta-news-only",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A delta since the latest seq lists nothing that the full feed already had.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.served"),
        request: steps!(news_only),
        expect: plain(200),
        mutants: &[mutant("feed-since-inclusive", "also lists the entry whose seq equals since")],
        ..ROW
    },
    Case {
        id: "feed.200.delta-seq",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A delta's seq is the feed's current one, so that the next delta starts there.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.since"),
        request: steps!(seq),
        expect: plain(200),
        mutants: &[mutant("feed-delta-seq", "sends the requested since as the seq of a delta")],
        ..ROW
    },
    Case {
        id: "feed.200.delta-signed",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A delta is signed like the full feed, with the same header.",
        section: "openapi.yaml, getRevocations; RFC 7515 section 5.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.signature"),
        request: steps!(signed),
        expect: plain(200),
        mutants: &[mutant("feed-delta-unsigned", "serves deltas unsigned")],
        ..ROW
    },
    Case {
        id: "feed.304.delta",
        cell: Cell::Service(304),
        level: Level::Service,
        requirement: "A request for a delta with the delta's ETag in If-None-Match is answered with 304.",
        section: "openapi.yaml, getRevocations; RFC 9110 section 13.1.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.304.etag"),
        // At the end, when no other case revokes anything.
        phase: Phase::Last,
        request: steps!(delta_kept),
        expect: plain(304),
        mutants: &[mutant("feed-delta-never-304", "ignores If-None-Match for deltas")],
        ..ROW
    },
    Case {
        id: "feed.304.headers",
        cell: Cell::Service(304),
        level: Level::Service,
        requirement: "A 304 from the feed carries the ETag and Cache-Control that the 200 would have.",
        section: "openapi.yaml, getRevocations; RFC 9110 section 15.4.5",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.304.etag"),
        // At the end, when no other case revokes anything.
        phase: Phase::Last,
        request: steps!(headers),
        expect: plain(304),
        mutants: &[mutant("feed-304-bare", "sends no ETag with 304")],
        ..ROW
    },
    Case {
        id: "feed.304.list",
        cell: Cell::Service(304),
        level: Level::Service,
        requirement: "If-None-Match on the feed may list several ETags, and uses the weak comparison.",
        section: "openapi.yaml, getRevocations; RFC 9110 section 13.1.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.304.etag"),
        // At the end, when no other case revokes anything.
        phase: Phase::Last,
        request: steps!(listed),
        expect: plain(304),
        mutants: &[mutant("feed-304-exact", "compares If-None-Match as an exact string")],
        ..ROW
    },
];

/// Waits until the entries since `seq` list the id with a matching time.
async fn told(
    t: &Trial<'_>,
    seq: u64,
    (kind, id): (&'static str, &str),
    wanted: &str,
    fits: impl Fn(u64) -> bool,
) -> Result<Feed, Stop> {
    let wanted = format!("\"{}\" (for {id}) under {kind}, with {wanted}, after seq {seq}", hash(kind, id));
    let judge = |feed: &Feed| match feed.entry(kind, id) {
        Some(at) if fits(at) => is_delta(feed, seq),
        Some(at) => Err(Stop::fail(&wanted, format!("the time {at}"))),
        None => Err(Stop::fail(&wanted, "no entry")),
    };
    t.feed_until(&format!("?since={seq}"), judge).await.map(|(feed, ())| feed)
}

fn is_delta(feed: &Feed, seq: u64) -> Result<(), Stop> {
    match &feed.jwt.claims["since"] {
        since if *since == seq => Ok(()),
        since => Err(Stop::fail(format!("since {seq}"), format!("since {since}"))),
    }
}

/// The feed's current `seq`. The changes of this case get higher ones.
async fn start(t: &Trial<'_>) -> Result<u64, Stop> {
    t.feed("").await?.seq()
}

async fn parent(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    let seq = start(t).await?;
    t.revoked(&bearer, &long).await?;
    let now = t.run.clock.now() + crate::trial::feed::CLOCKS;
    told(t, seq, ("parent", &long.id), "a time that is not in the future", |at| at <= now).await.map(drop)
}

async fn suspended(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest().await?;
    let seq = start(t).await?;
    t.change(&guest, json!({"status": "suspended"})).await?;
    told(t, seq, ("client", &guest.id), &format!("the time {FOR_GOOD}"), |at| at == FOR_GOOD).await.map(drop)
}

async fn restored(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest().await?;
    let before = start(t).await?;
    t.change(&guest, json!({"status": "suspended"})).await?;
    let seq = told(t, before, ("client", &guest.id), "any time", |_| true).await?.seq()?;
    let shown = t.change(&guest, json!({"status": "active"})).await?;
    let from = shown["tokens_valid_from"].as_str().and_then(clock::parse_rfc3339);
    let from = from.ok_or_else(|| Stop::Blocked("the client in the response has no tokens_valid_from".to_owned()))?;
    told(t, seq, ("client", &guest.id), &format!("its tokens_valid_from, {from}"), |at| at == from).await.map(drop)
}

/// What a feed lists, by kind and hash.
fn entries(feed: &Feed) -> BTreeMap<(&'static str, String), Value> {
    let of = |kind: &'static str| {
        let all = feed.jwt.claims["ended"][kind].as_object().into_iter().flatten();
        all.map(move |(name, at)| ((kind, name.clone()), at.clone()))
    };
    MEMBERS.into_iter().flat_map(of).collect()
}

/// Two revocations happen after the full feed was read: one delta must list both.
async fn merges(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    let short = t.mint_short(&long, &[PLAIN]).await?;
    let whole = t.feed("").await?;
    t.revoked(&bearer, &short).await?;
    t.revoked(&bearer, &long).await?;
    t.feed_renewed().await;
    for _ in 0..super::served::TRIES {
        let delta = t.feed(&format!("?since={}", whole.seq()?)).await?;
        is_delta(&delta, whole.seq()?)?;
        let mut copy = entries(&whole);
        copy.extend(entries(&delta));
        let later = t.feed("").await?;
        if later.seq()? != delta.seq()? {
            continue;
        }
        // The copy may still contain entries that expired from the feed meanwhile.
        let missing = entries(&later).into_iter().find(|(name, at)| copy.get(name) != Some(at));
        return match missing {
            None => Ok(()),
            Some(((kind, name), at)) => Err(Stop::fail(
                format!("\"{name}\" under {kind} with the time {at} after merging, as in the full feed"),
                copy.get(&(kind, name)).map_or("no entry".to_owned(), |at| format!("the time {at}")),
            )),
        };
    }
    Err(Stop::Blocked(
        "something was revoked between every two reads: run again when the deployment is less busy".to_owned(),
    ))
}

async fn news_only(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, short) = t.ended_short().await?;
    let (whole, _) = t.feed_lists("token", &short.id).await?;
    let seq = whole.seq()?;
    let delta = t.feed(&format!("?since={seq}")).await?;
    is_delta(&delta, seq)?;
    let known = entries(&whole);
    match entries(&delta).into_iter().find(|(name, at)| known.get(name) == Some(at)) {
        None => Ok(()),
        Some(((kind, name), _)) => Err(Stop::fail(
            format!("no entry from before seq {seq}"),
            format!("\"{name}\" under {kind}, which was there before"),
        )),
    }
}

async fn seq(t: &Trial<'_>) -> Result<(), Stop> {
    let before = start(t).await?;
    let (_, short) = t.ended_short().await?;
    let delta = told(t, before, ("token", &short.id), "any time", |_| true).await?;
    match delta.seq()? {
        seq if seq > before => Ok(()),
        seq => Err(Stop::fail(format!("a seq above {before}, for the entries since"), format!("seq {seq}"))),
    }
}

async fn signed(t: &Trial<'_>) -> Result<(), Stop> {
    let whole = t.feed("").await?;
    let (_, short) = t.ended_short().await?;
    let delta = told(t, whole.seq()?, ("token", &short.id), "any time", |_| true).await?;
    if delta.jwt.header != whole.jwt.header {
        return Err(Stop::fail(format!("the header {}", whole.jwt.header), delta.jwt.header.to_string()));
    }
    let keys = t.send(&crate::endpoint::bare("GET", crate::endpoint::KEYS, None)).await?.json().unwrap_or_default();
    let kid = &delta.jwt.header["kid"];
    let key = keys["keys"].as_array().and_then(|all| all.iter().find(|key| key["kid"] == *kid));
    let public = key.and_then(|key| key["x"].as_str()).and_then(unb64).unwrap_or_default();
    let (input, signature) = delta.token.rsplit_once('.').unwrap_or_default();
    UnparsedPublicKey::new(&ED25519, public)
        .verify(input.as_bytes(), &unb64(signature).unwrap_or_default())
        .map_err(|_| Stop::fail("a signature that the published key verifies", "an invalid signature"))
}

/// Expects a 304 for what was just read, and retries if a revocation comes in between. `name` turns an ETag into the
/// value of If-None-Match.
async fn kept(t: &Trial<'_>, query: &str, name: impl Fn(&str) -> String) -> Result<Answer, Stop> {
    for _ in 0..super::served::TRIES {
        let etag = t.feed(query).await?.etag()?.to_owned();
        let mut request = t.feed_request(query).await?;
        request.set("if-none-match", name(&etag));
        let answer = t.send(&request).await?;
        if answer.status == 304 {
            return Ok(answer);
        }
        if answer.header("etag") == Some(&etag) {
            t.expect(t.due, &answer)?;
        }
        t.thin_out();
    }
    Err(Stop::Blocked(
        "something was revoked between every two reads: run again when the deployment is less busy".to_owned(),
    ))
}

async fn delta_kept(t: &Trial<'_>) -> Result<(), Stop> {
    let seq = start(t).await?;
    t.ended_short().await?;
    t.feed_renewed().await;
    kept(t, &format!("?since={seq}"), str::to_owned).await.map(drop)
}

async fn headers(t: &Trial<'_>) -> Result<(), Stop> {
    let answer = kept(t, "", str::to_owned).await?;
    let scope = match t.feed_mode().await? {
        Mode::Public => "public",
        Mode::Private => "private",
    };
    if answer.header("etag").is_none() {
        return Err(Stop::fail("304 with the ETag", "no ETag"));
    }
    if answer.has_cache_directive("max-age=2") && answer.has_cache_directive(scope) {
        return Ok(());
    }
    let value = answer.list("cache-control").join(", ");
    Err(Stop::fail(format!("304 with Cache-Control: {scope}, max-age=2"), format!("Cache-Control: {value}")))
}

async fn listed(t: &Trial<'_>) -> Result<(), Stop> {
    kept(t, "", |etag| format!("\"another\", W/{etag}")).await.map(drop)
}
