//! A state of the model: what is stored, in memory and in flight, and what the checker remembers of the past.

use crate::scope::Left;

/// The long-term tokens of the one client.
pub const TOKENS: usize = 2;
/// The feed's key for the client itself, after those of its tokens.
pub const CLIENT: usize = TOKENS;
/// The time of an end that has come, whatever a clock says.
pub const COME: u8 = 0;
/// When an alarm is due that runs in less than a tick, at once or after seconds. It is before every tick, so the alarm
/// can always run.
pub const SOON: u8 = 0;
/// The first tick.
pub const START: u8 = 1;
/// A time that never comes: 253402300799.
pub const FOR_EVER: u8 = u8::MAX;
/// When a value is rewritten, in ticks: a minute, five minutes and an hour later.
pub const REWRITES: [u8; 3] = [1, 2, 3];
/// How long an end stays in the feed, and how often a follower takes the full feed, in ticks.
pub const HOUR: u8 = 3;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The current tick. A minute or more lies between two ticks, so no call lasts from one to the next.
    pub now: u8,
    pub rows: Rows,
    /// What is stored, if it differs from the object's memory: only in mutants.
    pub stored: Option<Box<Rows>>,
    pub instance: Instance,
    pub calls: Vec<Call>,
    /// The alarm while it runs.
    pub alarm: Option<Task>,
    /// The writes to KV in progress, and those that timed out and may still land.
    pub puts: Vec<Put>,
    pub late_puts: Vec<Late<Put>>,
    /// The same for reports to the feed.
    pub reports: Vec<Report>,
    pub late_reports: Vec<Late<Report>>,
    pub kv: Kv,
    pub locations: Vec<Location>,
    pub feed: Feed,
    /// Like `stored`.
    pub feed_stored: Option<Feed>,
    pub isolates: Vec<Isolate>,
    pub follower: Follower,
    /// The faults that may still happen.
    pub left: Left,
    pub ghost: Ghost,
}

/// What the object stores: `client::step`, `client::ends` and `client::publication::State`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rows {
    pub suspended: bool,
    pub immediate: bool,
    /// `tokens_valid_from` is later than the `auth_time` of both tokens.
    pub renewed: bool,
    /// The rows `end:…`.
    pub ends: [Option<End>; TOKENS],
    /// The rows `unreported:…`.
    pub unreported: Ends,
    /// The row `jti:…`.
    pub spent: bool,
    pub change: u8,
    pub shown: u8,
    pub switched: u8,
    pub narrowed: u8,
    pub last_end: u8,
    pub last_reported: u8,
    pub last_client_end: u8,
    /// 0 if there is none.
    pub next_end: u8,
    /// What KV is known to hold.
    pub digest: Option<Value>,
    pub again: Vec<u8>,
    pub rewriting: bool,
    pub alarm: Option<u8>,
}

/// `client::ends::EarlyEnd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct End {
    pub at: u8,
    pub change: u8,
    pub number: u8,
}

/// `feed::End`, by key.
pub type Ends = [Option<Unreported>; TOKENS + 1];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unreported {
    /// For the client: 0 if it is active and no token has ended, 1 if those from before `end-tokens` have, `FOR_EVER`
    /// if it is suspended.
    pub at: u8,
    pub keep: u8,
    pub number: u8,
}

/// What an instance of the object has in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Instance {
    pub opened: bool,
    /// How many writes failed, and which change the last of them was to show.
    pub failed: (u8, u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// How often it may still be sent.
    pub tries: u8,
    pub state: CallState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallState {
    Unsent,
    Running(Task),
    /// 201, 200 or 204.
    Answered,
    /// 401.
    Refused,
    /// 503, or the answer was lost.
    Failed,
}

/// Where a call is in `Object::answer`, or the alarm in `Object::wake`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    pub at: At,
    /// What it waits for: the change that KV must show, and the number that the feed must have.
    pub await_change: u8,
    pub await_end: u8,
    /// The feed has accepted the report.
    pub reported: bool,
    /// The number of failures when `publish` began, and whether that was less than `RETRY_WINDOW` ago.
    pub failures: u8,
    pub patient: bool,
    /// Another call undid this one, so its answer no longer promises anything. Only the checker knows this.
    pub undone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// Before `report`, or waiting for its lock.
    Report,
    Reporting,
    /// Before `publish`, or waiting for its lock.
    Publish,
    Writing,
    /// Only the answer is left.
    Answer,
}

/// A write to KV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Put {
    pub who: usize,
    pub value: Value,
    pub change: u8,
    pub began: u8,
    pub landed: bool,
}

/// A report to the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Report {
    pub who: usize,
    pub ends: Ends,
    pub number: u8,
    pub landed: bool,
}

/// What timed out, and lands before `until` or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Late<T> {
    pub what: T,
    pub until: u8,
}

/// `client::replica::Replica`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Value {
    pub suspended: bool,
    pub immediate: bool,
    pub renewed: bool,
    pub ends: [Option<u8>; TOKENS],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kv {
    pub value: Value,
    /// KV's value was written by a timed-out write.
    pub by_late: bool,
}

/// A location: its cache of KV, and the cache of an isolate there (250 ms).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Location {
    pub cached: Option<Kv>,
    pub kept: Option<Kv>,
}

/// What the feed's object stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Feed {
    pub seq: u8,
    pub dropped: u8,
    pub entries: Entries,
}

pub type Entries = [Option<Entry>; TOKENS + 1];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    pub at: u8,
    pub seq: u8,
    pub number: u8,
    pub until: u8,
}

/// An isolate's copy of the feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Isolate {
    /// `None` until the feed was first asked.
    pub seq: Option<u8>,
    pub dropped: u8,
    pub entries: Entries,
    /// The tick in which it last asked the feed.
    pub asked: u8,
    /// Its requests to the feed, and the answers, which may overtake each other.
    pub questions: Vec<Question>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    pub known: Option<u8>,
    pub answer: Option<(Option<u8>, Feed)>,
}

/// A verifier that follows the feed: `verify::feed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Follower {
    /// The `seq` that it holds, and when it took the full feed.
    pub held: Option<(u8, u8)>,
    pub whole_wanted: bool,
    /// When each key ends.
    pub ended: [Option<u8>; TOKENS + 1],
    /// The tick in which it last accepted an answer.
    pub polled: u8,
}

/// What only the checker records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ghost {
    /// The earliest end ever stored for each token.
    pub earliest: [Option<u8>; TOKENS],
    /// The earliest end of each token ever reported to the feed.
    pub earliest_reported: [Option<u8>; TOKENS],
    /// The calls that were answered with success, with the tick, unless undone.
    pub answered: Vec<Option<u8>>,
    /// The tick in which the feed's entry of each key changed last, and in which it was last reported.
    pub changed: [u8; TOKENS + 1],
    pub reported: [u8; TOKENS + 1],
    /// A `seq` of the feed went back.
    pub went_back: bool,
    /// How many calls got a token with the assertion that all of them present.
    pub uses: u8,
}
