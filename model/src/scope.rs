//! The bounds of a search.

use crate::object::Ask::{self, EndTokens, Eventual, Immediate, Restore, Retire, Revoke, Spend, Suspend};

/// A bound: the calls, in any order and at any time, and the faults, at any point.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    pub name: &'static str,
    pub asks: &'static [Ask],
    /// How often each may be sent: repeated only after 503 or a lost answer.
    pub tries: u8,
    pub left: Left,
    /// The last tick in which calls are sent, and the last in which something goes wrong.
    pub calls_until: u8,
    pub faults_until: u8,
    /// The last tick. By then all pending work must be done.
    pub end: u8,
    /// How long a retired token stays valid, ticks.
    pub grace: u8,
    pub locations: usize,
    pub isolates: usize,
    /// How many requests of one isolate to the feed may be in flight.
    pub questions: usize,
}

/// How many more faults of each kind may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    /// The object dies.
    pub crashes: u8,
    /// A write to KV fails, times out, or its answer is lost.
    pub puts: u8,
    /// A report to the feed times out, or its answer is lost.
    pub reports: u8,
    /// What timed out, or was in flight at a crash, lands after all. Otherwise it is lost.
    pub late: u8,
    /// The alarm runs a tick late.
    pub overdue: u8,
    /// The feed's object dies. Its answers are stored first, so this matters only in mutants.
    pub feed_crashes: u8,
}

const NOTHING: Left = Left { crashes: 0, puts: 0, reports: 0, late: 0, overdue: 0, feed_crashes: 0 };
const ONE_OF_EACH: Left = Left { crashes: 1, puts: 1, reports: 1, late: 1, overdue: 0, feed_crashes: 1 };

const LEAST: Scope = Scope {
    name: "",
    asks: &[],
    tries: 1,
    left: ONE_OF_EACH,
    calls_until: 1,
    faults_until: 1,
    end: 5,
    grace: 1,
    locations: 0,
    isolates: 0,
    questions: 1,
};

pub const REVOCATIONS: Scope = Scope { name: "two revocations", asks: &[Revoke(0), Revoke(1)], ..LEAST };
/// Long enough for the last rewrite to fail, and for the rewrites that follow it.
pub const REWRITES: Scope = Scope {
    name: "rewrites",
    left: Left { crashes: 1, puts: 1, late: 1, ..NOTHING },
    calls_until: 4,
    faults_until: 4,
    end: 8,
    ..REVOCATIONS
};
pub const RETIREMENT: Scope = Scope { name: "retirement", asks: &[Retire(0), Revoke(0)], ..LEAST };
pub const SUSPENSION: Scope =
    Scope { name: "suspension", asks: &[Suspend, Restore], left: Left { overdue: 1, ..ONE_OF_EACH }, ..LEAST };
pub const END_TOKENS: Scope = Scope {
    name: "end-tokens",
    asks: &[EndTokens, Suspend, Restore],
    left: Left { crashes: 1, reports: 1, late: 1, ..NOTHING },
    ..LEAST
};
pub const SWITCH: Scope = Scope {
    name: "switch",
    asks: &[Immediate, Revoke(0), Eventual],
    left: Left { crashes: 1, puts: 1, late: 1, ..NOTHING },
    ..LEAST
};
pub const SWITCH_BACK: Scope = Scope {
    name: "switch back",
    asks: &[Immediate, Retire(0), Eventual],
    left: Left { crashes: 1, puts: 1, ..NOTHING },
    ..LEAST
};
pub const LOCATIONS: Scope = Scope {
    name: "locations",
    asks: &[Revoke(0)],
    locations: 2,
    left: Left { puts: 1, crashes: 1, late: 1, ..NOTHING },
    ..LEAST
};
pub const FOLLOWER: Scope =
    Scope { name: "follower", asks: &[Suspend, Restore], left: Left { reports: 1, ..NOTHING }, isolates: 2, ..LEAST };
pub const OVERTAKING: Scope =
    Scope { name: "overtaking", left: NOTHING, isolates: 1, questions: 2, end: 4, ..FOLLOWER };
pub const ONE_USE: Scope = Scope {
    name: "one use",
    asks: &[Spend, Spend, Spend],
    tries: 2,
    left: Left { crashes: 2, ..NOTHING },
    end: 1,
    ..LEAST
};

/// Searched by every `cargo test`.
pub const SMALL: [Scope; 11] = [
    REVOCATIONS,
    REWRITES,
    RETIREMENT,
    SUSPENSION,
    END_TOKENS,
    SWITCH,
    SWITCH_BACK,
    LOCATIONS,
    FOLLOWER,
    OVERTAKING,
    ONE_USE,
];

const TWO_OF_EACH: Left = Left { crashes: 2, puts: 2, reports: 2, late: 2, overdue: 1, feed_crashes: 0 };

/// Searched by `make model`.
pub const LARGE: [Scope; 13] = [
    Scope { name: "two revocations, twice", tries: 2, calls_until: 2, faults_until: 2, end: 6, ..REVOCATIONS },
    Scope { name: "two revocations, two of each", left: TWO_OF_EACH, ..REVOCATIONS },
    Scope {
        name: "four calls",
        asks: &[Revoke(0), Revoke(1), Suspend, Restore],
        left: Left { puts: 1, late: 1, ..NOTHING },
        ..LEAST
    },
    Scope {
        name: "revocation and suspension",
        asks: &[Revoke(0), Suspend, Restore],
        calls_until: 2,
        faults_until: 2,
        end: 6,
        ..LEAST
    },
    Scope { name: "retirement, later", tries: 2, calls_until: 3, faults_until: 3, end: 7, ..RETIREMENT },
    Scope { name: "suspension, repeated", tries: 2, ..SUSPENSION },
    Scope { name: "suspension, twice", asks: &[Suspend, Restore, Suspend], left: ONE_OF_EACH, ..SUSPENSION },
    Scope { name: "end-tokens, later", left: ONE_OF_EACH, calls_until: 2, faults_until: 2, end: 6, ..END_TOKENS },
    Scope { name: "switch, later", left: ONE_OF_EACH, tries: 2, calls_until: 2, faults_until: 2, end: 6, ..SWITCH },
    Scope {
        name: "locations, later",
        asks: &[Revoke(0), Suspend],
        calls_until: 2,
        faults_until: 2,
        end: 6,
        ..LOCATIONS
    },
    Scope {
        name: "follower, later",
        left: Left { reports: 1, late: 1, ..NOTHING },
        calls_until: 2,
        faults_until: 2,
        end: 6,
        ..FOLLOWER
    },
    Scope { name: "follower, three ends", asks: &[Revoke(0), Suspend, Restore], left: NOTHING, ..FOLLOWER },
    Scope { name: "overtaking, later", calls_until: 2, end: 6, left: Left { reports: 1, ..NOTHING }, ..OVERTAKING },
];
