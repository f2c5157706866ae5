//! When to fetch something: once per interval, less often after failures, and by one caller at a time.

/// After how many seconds a fetch without a reported result counts as failed. In a Worker, a request can be cancelled
/// at any time.
const PENDING: u64 = 5;

/// The longest wait after failures, seconds, unless the interval itself is longer.
const LONGEST_WAIT: u64 = 60;

#[derive(Debug, Default)]
pub struct Schedule {
    asked: Option<u64>,
    pending: bool,
    failures: u32,
    /// When the last successful fetch began.
    good: Option<u64>,
}

/// What a caller should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Fetch,
    /// Another caller is fetching.
    Pending,
    /// The interval has not passed since the last attempt.
    NotYet,
}

impl Schedule {
    pub fn decide(&mut self, interval: u64, now: u64) -> Decision {
        if let Some(asked) = self.asked {
            // The absolute difference: a clock that was set back must not stop the fetching.
            let ago = now.abs_diff(asked);
            if self.pending && ago < PENDING {
                return Decision::Pending;
            }
            if self.pending {
                self.failed();
            }
            if ago < self.wait(interval) {
                return Decision::NotYet;
            }
        }
        self.begin(now);
        Decision::Fetch
    }

    /// Records that a fetch begins, even before its interval has passed.
    pub fn begin(&mut self, now: u64) {
        self.asked = Some(now);
        self.pending = true;
    }

    /// Records a success. `now` is the time of the fetch, if `decide` did not start it.
    pub fn succeeded(&mut self, now: u64) {
        self.good = Some(*self.asked.get_or_insert(now));
        self.pending = false;
        self.failures = 0;
    }

    pub fn failed(&mut self) {
        self.pending = false;
        self.failures = self.failures.saturating_add(1);
    }

    /// Makes a fetch due at once and forgets failures, once their cause is gone.
    pub fn reset(&mut self) {
        (self.asked, self.pending, self.failures) = (None, false, 0);
    }

    /// Seconds from one fetch to the next.
    pub fn wait(&self, interval: u64) -> u64 {
        let doublings = self.failures.saturating_sub(1).min(16);
        interval.saturating_mul(1 << doublings).min(interval.max(LONGEST_WAIT))
    }

    /// Whether the last successful fetch began at most `seconds` ago.
    pub fn succeeded_within(&self, seconds: u64, now: u64) -> bool {
        self.good.is_some_and(|good| now.abs_diff(good) <= seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_fetches_and_failures_slow_it_down() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.decide(10, 1000), Decision::Fetch);
        assert_eq!(schedule.decide(10, 1004), Decision::Pending);
        // No result was reported: after 5 s it counts as failed.
        assert_eq!(schedule.decide(10, 1005), Decision::NotYet);
        assert_eq!(schedule.decide(10, 1010), Decision::Fetch);
        schedule.failed();
        assert_eq!((schedule.decide(10, 1029), schedule.decide(10, 1030)), (Decision::NotYet, Decision::Fetch));
        schedule.failed();
        assert_eq!((schedule.decide(10, 1069), schedule.decide(10, 1070)), (Decision::NotYet, Decision::Fetch));
        for _ in 0..100 {
            schedule.failed();
        }
        assert_eq!((schedule.wait(10), schedule.wait(300)), (60, 300));
        schedule.succeeded(1071);
        assert_eq!(schedule.wait(10), 10);
        assert!(schedule.succeeded_within(5, 1075) && !schedule.succeeded_within(5, 1076));
        assert_eq!(schedule.decide(10, 500), Decision::Fetch, "a clock that was set back");
    }
}
