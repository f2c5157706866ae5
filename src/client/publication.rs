//! What a client's object still has to publish: the replica in KV, rewritten until it shows every change, and the
//! reports to the feed. This is the bookkeeping, stored in the same commit as each change; `object` does the writing.

use serde::Serialize;

use crate::value::readable;

/// The pause between the starts of two writes, milliseconds: KV accepts one write per second to a key.
pub const PACE: u64 = 1_100;
/// How long the alarm waits before it publishes a change that a caller waits for, milliseconds. The caller's own
/// request publishes it; the alarm acts only if that request was lost.
const ALARM_DELAY: u64 = 10_000;
/// The longest pause between two attempts, milliseconds.
const LONGEST_PAUSE: u64 = 60_000;
/// A failed write may still land later, over a newer value. So the value is written again after these delays,
/// milliseconds.
const REWRITES: [u64; 3] = [60_000, 300_000, 3_600_000];
/// After how long a replica that says "ask the object" is rebuilt, milliseconds. By then enough of its ends may have
/// expired to list the others.
const REVIEW: u64 = 86_400_000;
/// The pause before a failed report to the feed is repeated, milliseconds.
const REPORT_PAUSE: u64 = 5_000;
/// After how long the rows of an unknown client are wiped, milliseconds.
const WIPE_DELAY: u64 = 480_000;
/// How many `ETag`s of unconfirmed changes are kept.
const MOST_UNCONFIRMED: usize = 8;

/// The row `state` of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct State {
    /// The latest time that the object has seen, Unix milliseconds. Its clock never runs backwards.
    pub clock: u64,
    /// The latest `auth_time` that was granted, Unix seconds.
    pub granted: u64,
    /// The number of the last change of what the replica shows.
    pub change: u64,
    /// The last change that KV confirmed.
    pub shown: u64,
    /// The last change that made the client `immediate`. Until KV shows it, exchanges read KV.
    pub switched: u64,
    /// The number of the last end to be reported to the feed.
    pub last_end: u64,
    /// The number of the last end that the feed has.
    pub last_reported: u64,
    /// The number that the last suspension, `end-tokens` or deletion has in the feed. That request and its repeats are
    /// answered when the feed has it.
    pub last_client_end: u64,
    /// When the next report is due, Unix milliseconds. Valid while `last_reported` is behind `last_end`.
    report_due: u64,
    /// The last change that KV must show before it is answered: one that took something away, or made the client
    /// `immediate`. Repeats of that request wait for it too.
    pub narrowed: u64,
    /// The client's `ETag`s before changes that have not been answered with success.
    pub unconfirmed: Vec<String>,
    /// The earliest future end that KV lists, Unix seconds; 0 if there is none. At that time KV must show that it has
    /// come.
    pub next_end: u64,
    /// A digest of the value that KV is known to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// When `change` is to be written, Unix milliseconds. Valid while `shown` is behind it.
    due: u64,
    /// Failed writes since the last success.
    failures: u32,
    /// When the value is to be written again although KV has confirmed it, Unix milliseconds, ascending.
    again: Vec<u64>,
    /// When a write began while no change was pending (a rewrite), Unix milliseconds, until its outcome is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rewriting: Option<u64>,
    /// When an unknown client's rows are to be wiped, Unix milliseconds, or 0. Wrong codes of a known client set it
    /// too, so that both cost the same; it then wipes nothing.
    pub wipe: u64,
}

readable!(struct State {
    clock, granted, change, shown, switched, last_end, last_reported, last_client_end, report_due, narrowed, unconfirmed, next_end, digest, due, failures, again, rewriting, wipe,
});

impl State {
    /// Records a change of what the replica shows. If a caller waits for it, the alarm writes it only after
    /// `ALARM_DELAY`.
    pub fn record_change(&mut self, awaited: bool) {
        self.change += 1;
        let due = self.clock + if awaited { ALARM_DELAY } else { 0 };
        self.due = if self.is_pending() && self.change - self.shown > 1 { self.due.min(due) } else { due };
    }

    /// Numbers an end for the feed. If a caller waits for it, the alarm reports it only after `ALARM_DELAY`.
    pub fn number_end(&mut self, awaited: bool) -> u64 {
        let due = self.clock + if awaited { ALARM_DELAY } else { 0 };
        self.report_due = if self.last_reported < self.last_end { self.report_due.min(due) } else { due };
        self.last_end += 1;
        self.last_end
    }

    pub fn is_reporting_due(&self) -> bool {
        self.last_reported < self.last_end && self.report_due <= self.clock
    }

    /// Records that a report failed.
    pub fn report_failed(&mut self) {
        self.report_due = self.clock + REPORT_PAUSE;
    }

    /// Whether KV does not show every change yet.
    pub fn is_pending(&self) -> bool {
        self.shown < self.change
    }

    /// Whether a write is due now.
    pub fn is_due(&self) -> bool {
        (self.is_pending() && self.due <= self.clock) || self.must_rewrite()
    }

    /// Records that a write begins: until its outcome is stored, what KV holds is unknown. `rewriting` is set only for
    /// a rewrite: a pending change already implies that a write may have begun.
    pub fn write_began(&mut self) {
        self.digest = None;
        self.rewriting = (!self.is_pending()).then_some(self.clock);
    }

    /// Called when an instance starts: an earlier one may have died during a write, which may still land.
    pub fn recover(&mut self) {
        if self.is_pending() {
            self.schedule_rewrites();
        } else if self.rewriting.is_some() {
            self.schedule_rewrites();
            self.again.insert(0, self.clock);
        }
    }

    /// Records the `ETag` from before a change. There are never many, since each belongs to a change that was not
    /// published in time.
    pub fn add_unconfirmed(&mut self, etag: &str) {
        self.unconfirmed.retain(|other| other != etag);
        if self.unconfirmed.len() == MOST_UNCONFIRMED {
            self.unconfirmed.remove(0);
        }
        self.unconfirmed.push(etag.to_owned());
    }

    /// Records a future end for the alarm, Unix seconds.
    pub fn schedule_end(&mut self, at: u64) {
        if self.next_end == 0 || at < self.next_end {
            self.next_end = at;
        }
    }

    fn must_rewrite(&self) -> bool {
        self.again.first().is_some_and(|at| *at <= self.clock)
    }

    /// Whether KV already holds this value, so that it need not be written.
    pub fn kv_holds(&self, digest: &str) -> bool {
        self.digest.as_deref() == Some(digest) && !self.must_rewrite()
    }

    /// Records that a write begun at `began` succeeded: KV shows everything up to `change`. `is_full`: its value says
    /// "ask the object".
    pub fn write_confirmed(&mut self, change: u64, began: u64, digest: String, is_full: bool) {
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

    /// Schedules rewrites after a write that failed or whose outcome is unknown: it may still land.
    pub fn schedule_rewrites(&mut self) {
        self.rewriting = None;
        self.again = REWRITES.map(|later| self.clock + later).to_vec();
    }

    /// Records that a write failed. The next attempt comes after a pause that doubles each time.
    pub fn write_failed(&mut self) {
        self.schedule_rewrites();
        let pause = (PACE << self.failures.min(6)).min(LONGEST_PAUSE);
        self.failures += 1;
        self.due = self.clock + pause;
        if !self.is_pending() {
            // The rewrite itself failed.
            self.again.insert(0, self.due);
        }
    }

    /// Schedules the wipe of an unknown client's rows.
    pub fn schedule_wipe(&mut self) {
        if self.wipe == 0 {
            self.wipe = self.clock + WIPE_DELAY;
        }
    }

    /// When the alarm must run next, Unix milliseconds.
    pub fn alarm(&self, has_feed: bool) -> Option<u64> {
        let pending = self.is_pending().then_some(self.due);
        let wipe = (self.wipe > 0).then_some(self.wipe);
        let end = (self.next_end > 0).then_some(self.next_end * 1000);
        let report_due = (has_feed && self.last_reported < self.last_end).then_some(self.report_due);
        [pending, report_due, self.again.first().copied(), wipe, end].into_iter().flatten().min()
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
        state.record_change(true);
        assert_eq!(state.alarm(true), Some(11_000));
        state.record_change(false);
        assert_eq!(state.alarm(true), Some(1_000), "an earlier time stays");
        state.record_change(true);
        assert_eq!(state.alarm(true), Some(1_000));
        state.write_confirmed(2, 1_000, digest(), false);
        assert!(state.is_due());
        state.write_confirmed(3, 1_000, digest(), false);
        assert_eq!(state.alarm(true), None);
    }

    #[test]
    fn retries_never_stop_and_a_failed_write_is_followed_by_rewrites() {
        let mut state = State { clock: 0, ..State::default() };
        state.record_change(false);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            state.write_failed();
            let next = state.alarm(true).unwrap();
            pauses.push(next - state.clock);
            state.clock = next;
        }
        assert_eq!(pauses, [1_100, 2_200, 4_400, 8_800, 17_600, 35_200, 60_000, 60_000, 60_000]);
        let failed_at = state.clock - 60_000;
        state.write_confirmed(1, state.clock - 1, digest(), false);
        for later in REWRITES {
            assert_eq!(state.alarm(true), Some(failed_at + later));
            state.clock = failed_at + later;
            assert!(state.is_due());
            state.write_confirmed(1, state.clock, digest(), false);
        }
        assert_eq!(state.alarm(true), None);
    }

    #[test]
    fn a_failed_rewrite_is_tried_again() {
        let mut state = State::default();
        state.record_change(false);
        state.write_failed();
        state.clock = 2_000;
        state.write_confirmed(1, 2_000, digest(), false);
        state.clock = 60_000;
        state.write_failed();
        assert_eq!(state.alarm(true), Some(61_100));
        state.clock = 61_100;
        assert!(state.is_due());
        state.write_confirmed(1, 61_100, digest(), false);
        assert_eq!(state.alarm(true), Some(120_000), "the delays count from the failure");
    }

    #[test]
    fn a_new_instance_schedules_rewrites_only_if_one_had_begun() {
        let mut state = State::default();
        state.record_change(false);
        state.write_failed();
        state.clock = 2_000;
        state.write_confirmed(1, 2_000, digest(), false);
        state.clock = 60_000;
        let due = state.clone();
        state.recover();
        assert!(state == due && state.is_due(), "nothing was begun");
        state.write_began();
        state.clock = 90_000;
        state.recover();
        assert!(state.is_due());
        state.write_confirmed(1, 90_000, digest(), false);
        assert_eq!(state.again, REWRITES.map(|later| 90_000 + later));
        let followed = state.clone();
        state.recover();
        assert_eq!(state, followed, "its outcome is known");
    }

    #[test]
    fn a_full_replica_is_rebuilt_after_a_day() {
        let mut state = State::default();
        state.record_change(false);
        state.write_confirmed(1, 0, digest(), true);
        assert_eq!(state.alarm(true), Some(REVIEW));
        state.write_confirmed(1, 1, digest(), true);
        assert_eq!(state.again, [REVIEW]);
    }

    #[test]
    fn the_stored_format_is_pinned() {
        let mut state = State { clock: 5, ..State::default() };
        state.record_change(true);
        let json = r#"{"clock":5,"granted":0,"change":1,"shown":0,"switched":0,"last_end":0,"last_reported":0,"last_client_end":0,"report_due":0,"narrowed":0,"unconfirmed":[],"next_end":0,"due":10005,"failures":0,"again":[],"wipe":0}"#;
        assert_eq!(serde_json::to_string(&state).unwrap(), json);
    }

    #[test]
    fn what_kv_holds_is_not_written_again_unless_another_write_may_land() {
        let mut state = State::default();
        state.record_change(false);
        assert!(!state.kv_holds("d"));
        state.write_confirmed(1, 0, digest(), false);
        assert!(state.kv_holds("d") && !state.kv_holds("e"));
        state.write_began();
        assert!(!state.kv_holds("d"), "its outcome may never be stored");
        state.write_failed();
        assert!(!state.kv_holds("d"));
        state.clock = 2_000;
        state.write_confirmed(1, 2_000, digest(), false);
        assert!(state.kv_holds("d"));
        state.clock = 60_000;
        assert!(!state.kv_holds("d"), "the rewrite is due");
    }
}
