//! The feed of ends: what an API that verifies offline must refuse. Clients' objects report ends before they answer, one object
//! gathers them (`object`), and each isolate keeps a copy, of which it makes the signed texts (`copy`).

pub mod copy;
pub mod object;

use serde::Serialize;

use crate::value::{digest, readable};

/// How long an end stays after its time or its last report, seconds: 15 minutes of a token's life, the rest for what an exchange
/// made that had not heard of it.
pub const HOUR: u64 = 3_600;
/// How long the end of a client's tokens stays, seconds: as long as a long-term token may live.
pub const LONGEST: u64 = 7_776_000;
/// The most ends of short-term tokens of one client at a time, so that none can fill the feed for others.
pub const MOST_TOKENS: usize = 1_000;
/// The name of the one object.
pub const NAME: &str = "feed";

/// What an end is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A short-term token.
    Token,
    /// The long-term token that short-term ones came from.
    Parent,
    /// All tokens of a client whose `auth_time` lies before a time.
    Client,
}

/// An end, as a client's object reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// Kind and hash, as `key` makes them.
    pub key: String,
    /// Unix seconds; 0 if that has come, whatever any clock says.
    pub at: u64,
    /// For how long the entry stays after its time or this report, seconds.
    pub keep: u64,
    /// Grows with each end of one client: of two reports about the client itself, the later one counts.
    pub number: u64,
}

/// What is asked of the feed's object.
#[derive(Debug, Serialize)]
pub enum Ask {
    Report(Vec<End>),
    /// What came after `since`, or all.
    Ends {
        since: Option<u64>,
    },
}

/// What is in the feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ends {
    /// The number of the latest entry.
    pub seq: u64,
    /// The latest entry that was dropped: who has not seen it needs a whole.
    pub dropped: u64,
    /// `None` for a whole.
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

/// What stands for an id in the feed: `KIND:HASH`. It tells nothing about tokens to those who do not have them.
pub fn key(kind: Kind, id: &str) -> String {
    let kind = kind.name();
    format!("{kind}:{}", digest(&format!("{kind}:{id}")))
}
