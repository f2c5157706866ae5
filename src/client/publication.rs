//! What a client's object still owes the world: KV's replica, to be written again until it shows all that is settled. This is the
//! bookkeeping, stored in the same commit as each change; `object` does the writing.

use serde::Serialize;

use crate::value::readable;

/// KV takes one write a second to a key. Milliseconds from the start of one write to the start of the next.
pub const PACE: u64 = 1_100;
/// A caller waits for its change, so the alarm comes only if that call was lost. Milliseconds.
const CALLER_PATIENCE: u64 = 10_000;
/// The longest pause between two tries, milliseconds.
const LONGEST_PAUSE: u64 = 60_000;
/// A write that was given up may still land, over what was written since. So the value is written again, these milliseconds later.
const REWRITES: [u64; 3] = [60_000, 300_000, 3_600_000];
/// A replica that says "ask the object" is looked at again after a day, in milliseconds: ends may have passed meanwhile.
const REVIEW: u64 = 86_400_000;
/// The pause before the feed is told again, milliseconds.
const REPORT_PAUSE: u64 = 5_000;
/// What belongs to no client is wiped after this, milliseconds.
const STRANGER: u64 = 480_000;
/// How many validators of unconfirmed changes are kept.
const MOST_UNCONFIRMED: usize = 8;

/// The row `state` of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct State {
    /// The latest time that the object saw, Unix milliseconds. Its clock never runs back behind it.
    pub clock: u64,
    /// The latest `auth_time` that was granted, Unix seconds.
    pub granted: u64,
    /// The number of the last change that the replica is to show.
    pub change: u64,
    /// The last change that KV confirmed.
    pub shown: u64,
    /// The last change that made the client immediate. Until KV shows that, exchanges follow KV.
    pub switched: u64,
    /// The number of the last end that the feed is to have, and of the last that it has.
    pub owed: u64,
    pub told: u64,
    /// The number of the last end of all of the client's tokens: its answer waits until the feed has it, and a repeat's.
    pub renounced: u64,
    /// When the feed is to be told, Unix milliseconds. Counts while `told` is behind `owed`.
    telling: u64,
    /// The last change that took something away that KV shows: its answer waits for that, and a repeat's.
    pub narrowed: u64,
    /// The validators of the client before changes that have not been answered with success.
    pub unconfirmed: Vec<String>,
    /// The earliest end ahead of a token that KV shows, Unix seconds: when it has come, KV is to say so. 0 if there is none.
    pub next_end: u64,
    /// A digest of the value that KV holds for certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// When `change` is to be written, Unix milliseconds. Counts while `shown` is behind it.
    due: u64,
    /// Failures since the last success.
    failures: u32,
    /// When the value is to be written although KV has confirmed it, Unix milliseconds, in order.
    again: Vec<u64>,
    /// When a write began to a replica that is not pending, Unix milliseconds, while its end is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rewriting: Option<u64>,
    /// When a stranger's rows are to be wiped, Unix milliseconds, or 0. A client's wrong codes set it too, so that they cost the
    /// same; it then wipes nothing.
    pub wipe: u64,
}

readable!(struct State {
    clock, granted, change, shown, switched, owed, told, renounced, telling, narrowed, unconfirmed, next_end, digest, due, failures, again, rewriting, wipe,
});

impl State {
    /// Notes a change of what the replica shows. If somebody waits for it, the alarm lets that call write first.
    pub fn changed(&mut self, awaited: bool) {
        self.change += 1;
        let due = self.clock + if awaited { CALLER_PATIENCE } else { 0 };
        self.due = if self.is_pending() && self.change - self.shown > 1 { self.due.min(due) } else { due };
    }

    /// Notes an end for the feed. If somebody waits for it, the alarm lets that call report first.
    pub fn owe(&mut self, awaited: bool) -> u64 {
        let due = self.clock + if awaited { CALLER_PATIENCE } else { 0 };
        self.telling = if self.told < self.owed { self.telling.min(due) } else { due };
        self.owed += 1;
        self.owed
    }

    pub fn is_reporting_due(&self) -> bool {
        self.told < self.owed && self.telling <= self.clock
    }

    /// The feed did not take a report.
    pub fn report_failed(&mut self) {
        self.telling = self.clock + REPORT_PAUSE;
    }

    /// Whether KV lags behind.
    pub fn is_pending(&self) -> bool {
        self.shown < self.change
    }

    /// Whether something is to be written now.
    pub fn is_due(&self) -> bool {
        (self.is_pending() && self.due <= self.clock) || self.must_rewrite()
    }

    /// Notes that a write begins: until its end is stored, what KV holds is not certain. Of a change that is pending it is known anyway
    /// that a write may have begun.
    pub fn begins(&mut self) {
        self.digest = None;
        self.rewriting = (!self.is_pending()).then_some(self.clock);
    }

    /// An instance of the object has just begun: a write of an earlier one may be on its way, whose end nobody knows.
    pub fn recover(&mut self) {
        if self.is_pending() {
            self.uncertain();
        } else if self.rewriting.is_some() {
            self.uncertain();
            self.again.insert(0, self.clock);
        }
    }

    /// Notes a validator of before a change. There are never many: each is of a change that KV did not take in time.
    pub fn unconfirmed(&mut self, etag: &str) {
        self.unconfirmed.retain(|other| other != etag);
        if self.unconfirmed.len() == MOST_UNCONFIRMED {
            self.unconfirmed.remove(0);
        }
        self.unconfirmed.push(etag.to_owned());
    }

    /// Notes an end ahead, Unix seconds.
    pub fn ends_at(&mut self, at: u64) {
        if self.next_end == 0 || at < self.next_end {
            self.next_end = at;
        }
    }

    fn must_rewrite(&self) -> bool {
        self.again.first().is_some_and(|at| *at <= self.clock)
    }

    /// Whether a value need not be written, since KV holds it.
    pub fn holds(&self, digest: &str) -> bool {
        self.digest.as_deref() == Some(digest) && !self.must_rewrite()
    }

    /// KV holds everything up to `change`, by a write that began then. `is_full`: its value says "ask the object".
    pub fn confirmed(&mut self, change: u64, began: u64, digest: String, is_full: bool) {
        self.digest = Some(digest);
        self.rewriting = None;
        self.shown = self.shown.max(change);
        self.failures = 0;
        self.again.retain(|at| *at > began);
        if is_full && self.again.last().is_none_or(|at| *at < self.clock + REVIEW / 2) {
            self.again.push(self.clock + REVIEW);
        }
        if self.is_pending() {
            self.due = self.clock;
        }
    }

    /// A write was given up, or failed, or its end is unknown: it may still land.
    fn uncertain(&mut self) {
        self.rewriting = None;
        self.again = REWRITES.map(|later| self.clock + later).to_vec();
    }

    /// A write failed: the next try comes after a pause that doubles.
    pub fn failed(&mut self) {
        self.uncertain();
        let pause = (PACE << self.failures.min(6)).min(LONGEST_PAUSE);
        self.failures += 1;
        self.due = self.clock + pause;
        if !self.is_pending() {
            // The rewrite itself failed.
            self.again.insert(0, self.due);
        }
    }

    /// Sets when the rows of a stranger are to be wiped.
    pub fn wipe_later(&mut self) {
        if self.wipe == 0 {
            self.wipe = self.clock + STRANGER;
        }
    }

    /// When the object must be woken next, Unix milliseconds.
    pub fn alarm(&self, has_feed: bool) -> Option<u64> {
        let pending = self.is_pending().then_some(self.due);
        let wipe = (self.wipe > 0).then_some(self.wipe);
        let end = (self.next_end > 0).then_some(self.next_end * 1000);
        let telling = (has_feed && self.told < self.owed).then_some(self.telling);
        [pending, telling, self.again.first().copied(), wipe, end].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> String {
        "d".to_owned()
    }

    #[test]
    fn a_change_is_due_at_once_unless_its_caller_waits() {
        let mut state = State { clock: 1_000, ..State::default() };
        assert_eq!(state.alarm(true), None);
        state.changed(true);
        assert_eq!(state.alarm(true), Some(11_000));
        state.changed(false);
        assert_eq!(state.alarm(true), Some(1_000), "an earlier time stays");
        state.changed(true);
        assert_eq!(state.alarm(true), Some(1_000));
        state.confirmed(2, 1_000, digest(), false);
        assert!(state.is_due());
        state.confirmed(3, 1_000, digest(), false);
        assert_eq!(state.alarm(true), None);
    }

    #[test]
    fn tries_never_end_and_a_write_that_may_land_late_is_followed() {
        let mut state = State { clock: 0, ..State::default() };
        state.changed(false);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            state.failed();
            let next = state.alarm(true).unwrap();
            pauses.push(next - state.clock);
            state.clock = next;
        }
        assert_eq!(pauses, [1_100, 2_200, 4_400, 8_800, 17_600, 35_200, 60_000, 60_000, 60_000]);
        let failed_at = state.clock - 60_000;
        state.confirmed(1, state.clock - 1, digest(), false);
        for later in REWRITES {
            assert_eq!(state.alarm(true), Some(failed_at + later));
            state.clock = failed_at + later;
            assert!(state.is_due());
            state.confirmed(1, state.clock, digest(), false);
        }
        assert_eq!(state.alarm(true), None);
    }

    #[test]
    fn a_failed_rewrite_is_tried_again() {
        let mut state = State::default();
        state.changed(false);
        state.failed();
        state.clock = 2_000;
        state.confirmed(1, 2_000, digest(), false);
        state.clock = 60_000;
        state.failed();
        assert_eq!(state.alarm(true), Some(61_100));
        state.clock = 61_100;
        assert!(state.is_due());
        state.confirmed(1, 61_100, digest(), false);
        assert_eq!(state.alarm(true), Some(120_000), "and followed from the failure on");
    }

    #[test]
    fn a_new_instance_makes_a_rewrite_that_is_due_and_follows_one_that_was_begun() {
        let mut state = State::default();
        state.changed(false);
        state.failed();
        state.clock = 2_000;
        state.confirmed(1, 2_000, digest(), false);
        state.clock = 60_000;
        let due = state.clone();
        state.recover();
        assert!(state == due && state.is_due(), "nothing was begun");
        state.begins();
        state.clock = 90_000;
        state.recover();
        assert!(state.is_due());
        state.confirmed(1, 90_000, digest(), false);
        assert_eq!(state.again, REWRITES.map(|later| 90_000 + later));
        let followed = state.clone();
        state.recover();
        assert_eq!(state, followed, "its end is known");
    }

    #[test]
    fn a_full_replica_is_looked_at_again() {
        let mut state = State::default();
        state.changed(false);
        state.confirmed(1, 0, digest(), true);
        assert_eq!(state.alarm(true), Some(REVIEW));
        state.confirmed(1, 1, digest(), true);
        assert_eq!(state.again, [REVIEW]);
    }

    #[test]
    fn the_stored_format_is_pinned() {
        let mut state = State { clock: 5, ..State::default() };
        state.changed(true);
        let json = r#"{"clock":5,"granted":0,"change":1,"shown":0,"switched":0,"owed":0,"told":0,"renounced":0,"telling":0,"narrowed":0,"unconfirmed":[],"next_end":0,"due":10005,"failures":0,"again":[],"wipe":0}"#;
        assert_eq!(serde_json::to_string(&state).unwrap(), json);
    }

    #[test]
    fn what_kv_holds_is_not_written_again_unless_another_write_may_land() {
        let mut state = State::default();
        state.changed(false);
        assert!(!state.holds("d"));
        state.confirmed(1, 0, digest(), false);
        assert!(state.holds("d") && !state.holds("e"));
        state.begins();
        assert!(!state.holds("d"), "its end may never be stored");
        state.failed();
        assert!(!state.holds("d"));
        state.clock = 2_000;
        state.confirmed(1, 2_000, digest(), false);
        assert!(state.holds("d"));
        state.clock = 60_000;
        assert!(!state.holds("d"), "the rewrite is due");
    }
}
