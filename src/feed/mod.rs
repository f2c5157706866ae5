//! The revocation feed: what an API that verifies tokens offline must refuse. Clients' objects report ends to it before
//! they answer. One object collects them (`object`); each isolate caches its entries and signs them (`copy`).

pub mod copy;
pub mod object;

use serde::Serialize;

use crate::value::{digest, readable};

/// How long an end stays in the feed after its time or its last report, seconds. Exchanges that have not learned of the
/// end may still issue short-term tokens for some time, and each of those lives for 15 minutes.
pub const HOUR: u64 = 3_600;
/// How long an `end-tokens` or a deletion stays, seconds: the longest lifetime of a long-term token.
pub const LONGEST: u64 = 7_776_000;
/// The most ends of short-term tokens per client at a time, so that no client can fill the feed.
pub const MOST_TOKENS: usize = 1_000;
/// The name of the feed's only object.
pub const NAME: &str = "feed";

/// What an end is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A short-term token.
    Token,
    /// The long-term token that short-term ones came from.
    Parent,
    /// All tokens of a client with an earlier `auth_time`.
    Client,
}

/// An end, as a client's object reports it: from `at` on, a token, or all tokens of a client, must be refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// Kind and hash, in the format of `key`.
    pub key: String,
    /// Unix seconds; 0 if that time has come, whatever the feed's clock says.
    pub at: u64,
    /// How long the entry stays after its time or this report, seconds.
    pub keep: u64,
    /// Grows with each end of one client. Of two reports about the client itself, the one with the higher number wins.
    pub number: u64,
}

/// The requests to the feed's object.
#[derive(Debug, Serialize)]
pub enum Ask {
    Report(Vec<End>),
    /// The entries after `since`, or all.
    Ends {
        since: Option<u64>,
    },
}

/// The answer of the feed's object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ends {
    /// The number of the latest entry.
    pub seq: u64,
    /// The number of the latest entry that was dropped. A caller who has not seen it needs the full feed.
    pub dropped: u64,
    /// `None`: `entries` is the full feed.
    pub since: Option<u64>,
    pub entries: Vec<Entry>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub key: String,
    /// Unix seconds.
    pub at: u64,
    pub seq: u64,
    pub number: u64,
    /// When it is dropped, Unix seconds.
    pub until: u64,
}

readable!(struct End { key, at, keep, number });
readable!(enum Ask { "Report" => Report(ends), "Ends" => Ends { since } });
readable!(struct Ends { seq, dropped, since, entries });
readable!(struct Entry { key, at, seq, number, until });

impl Kind {
    pub const ALL: [Self; 3] = [Self::Token, Self::Parent, Self::Client];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Parent => "parent",
            Self::Client => "client",
        }
    }
}

/// The key of an id in the feed: `KIND:HASH`. The hash reveals nothing to readers who do not know the id.
pub fn key(kind: Kind, id: &str) -> String {
    let kind = kind.name();
    format!("{kind}:{}", digest(&format!("{kind}:{id}")))
}
