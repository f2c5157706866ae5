//! The revocation feed: changes, by `since` and `seq`.

use crate::case::*;
use crate::trial::feed::Feed;

pub const CASES: &[Case] = &[
    Case {
        id: "feed.200.since",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "With ?since=SEQ the feed lists only the entries after SEQ, and its since claim says SEQ.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.served"),
        request: steps!(since),
        expect: plain(200),
        mutants: &[
            mutant("feed-since-ignored", "always sends the full feed"),
            mutant("feed-since-unfiltered", "sends the full feed as a delta"),
            mutant("feed-since-wrong", "sends another since than was requested"),
            mutant("feed-since-empty", "sends a delta without entries"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.since-nonsense",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A ?since= that is negative or not a number gets the full feed, without a since claim.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.since"),
        request: steps!(since_nonsense),
        expect: plain(200),
        mutants: &[
            mutant("feed-nonsense-400", "answers 400 to a since that is not a number"),
            mutant("feed-nonsense-as-zero", "treats an invalid since as since=0"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.since-ahead",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A ?since= that is ahead of the feed's seq gets the full feed, without a since claim.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.since"),
        request: steps!(since_ahead),
        expect: plain(200),
        mutants: &[mutant("feed-ahead-believed", "answers a since that is ahead with an empty delta")],
        ..ROW
    },
    Case {
        id: "feed.200.seq",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The feed's seq grows with each entry, and never decreases.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.token"),
        request: steps!(seq),
        expect: plain(200),
        mutants: &[
            mutant("feed-seq-constant", "always sends the same seq"),
            mutant("feed-seq-falls", "decreases seq after a higher one was read"),
        ],
        ..ROW
    },
];

async fn since(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, older) = t.ended_short().await?;
    let (feed, _) = t.feed_lists("token", &older.id).await?;
    let seq = feed.seq()?;
    let (_, newer) = t.ended_short().await?;
    let missing = || Stop::fail(format!("the entry since seq {seq}: {}", newer.id), "no entry");
    let told = |feed: &Feed| feed.entry("token", &newer.id).ok_or_else(missing);
    let (part, _) = t.feed_until(&format!("?since={seq}"), told).await?;
    let echoed = &part.jwt.claims["since"];
    if *echoed != seq {
        return Err(Stop::fail(format!("since {seq}"), format!("since {echoed}")));
    }
    match part.entry("token", &older.id) {
        None => Ok(()),
        Some(_) => Err(Stop::fail(
            format!("only entries after seq {seq}"),
            format!("{} too, which was listed before", older.id),
        )),
    }
}

async fn since_nonsense(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, short) = t.ended_short().await?;
    t.feed_lists("token", &short.id).await?;
    for value in ["x", "-1", "1.5", "1x", "", "99999999999999999999999"] {
        is_whole(t, value, &short).await?;
    }
    Ok(())
}

async fn since_ahead(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, short) = t.ended_short().await?;
    let (feed, _) = t.feed_lists("token", &short.id).await?;
    is_whole(t, &feed.seq()?.saturating_add(1_000_000).to_string(), &short).await
}

/// With this `since` the feed sends everything, and so an earlier revocation too.
async fn is_whole(t: &Trial<'_>, since: &str, ended: &Token) -> Result<(), Stop> {
    let whole = |feed: &Feed| match (feed.jwt.claims.get("since"), feed.entry("token", &ended.id)) {
        (None, Some(_)) => Ok(()),
        (Some(echoed), _) => Err(Stop::fail(format!("the full feed for since={since}"), format!("since {echoed}"))),
        (None, None) => {
            Err(Stop::fail(format!("the full feed for since={since}"), format!("no entry for {}", ended.id)))
        }
    };
    t.feed_until(&format!("?since={since}"), whole).await.map(drop)
}

async fn seq(t: &Trial<'_>) -> Result<(), Stop> {
    let before = t.feed("").await?.seq()?;
    let (_, short) = t.ended_short().await?;
    let after = t.feed_lists("token", &short.id).await?.0.seq()?;
    if after <= before {
        return Err(Stop::fail(format!("a seq above {before} after a revocation"), format!("seq {after}")));
    }
    t.feed_renewed().await;
    t.feed("").await?;
    match t.known_feed().went_back(t.feed_kept()) {
        None => Ok(()),
        Some((earlier, later)) => Err(Stop::fail(format!("a seq of {earlier} or more"), format!("seq {later}"))),
    }
}
