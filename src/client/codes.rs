//! The history of a client's one-time codes: each step is accepted once, and wrong codes lock the mechanism (RFC 6238,
//! section 5.2).

use serde::Serialize;

use crate::value::readable;

/// How many wrong codes within `WINDOW` lock the mechanism.
const MAX_WRONG_CODES: usize = 5;
/// Seconds over which wrong codes are counted.
const WINDOW: u64 = 300;
/// Seconds for which the mechanism is locked.
const LOCK: u64 = 300;
/// Seconds over which wrong codes are counted for the daily limit.
const DAY: u64 = 86_400;

/// The row of a client's object.
#[derive(Debug, Default, Serialize)]
pub struct Codes {
    /// The last accepted time step. It and all earlier ones are spent.
    last_step: Option<u64>,
    /// The times of the wrong codes within `WINDOW` since the last accepted code, Unix seconds.
    wrong: Vec<u64>,
    /// The times of all wrong codes within a day. Accepted codes do not reset them: otherwise a patient guesser could
    /// continue for months.
    wrong_of_the_day: Vec<u64>,
    locked_until: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    Refused,
    /// The mechanism is locked; the code was not checked.
    Locked,
}

readable!(struct Codes { last_step, wrong, wrong_of_the_day, locked_until });

impl Codes {
    /// Judges a code. `step` is the time step that it is valid for (RFC 6238, section 4.2), if any; `wrong_per_day` is
    /// how many wrong codes in 24 hours lock the mechanism.
    pub fn judge(&mut self, step: Option<u64>, now: u64, wrong_per_day: usize) -> Verdict {
        self.wrong_of_the_day.retain(|at| at + DAY > now);
        if now < self.locked_until || self.wrong_of_the_day.len() >= wrong_per_day {
            return Verdict::Locked;
        }
        let Some(step) = step else {
            self.wrong.retain(|at| at + WINDOW > now);
            self.wrong.push(now);
            self.wrong_of_the_day.push(now);
            if self.wrong.len() >= MAX_WRONG_CODES {
                self.wrong.clear();
                self.locked_until = now + LOCK;
            }
            return Verdict::Refused;
        };
        // A replayed code is not a guess, so it does not count towards a lock.
        if self.last_step.is_some_and(|last| step <= last) {
            return Verdict::Refused;
        }
        self.last_step = Some(step);
        self.wrong.clear();
        Verdict::Accepted
    }

    /// Forgets the wrong codes, but not the spent steps.
    pub fn forgive(&mut self) {
        *self = Self { last_step: self.last_step, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Verdict::{Accepted, Locked, Refused};
    use super::*;

    fn judge(codes: &mut Codes, step: Option<u64>, now: u64) -> Verdict {
        codes.judge(step, now, 10)
    }

    #[test]
    fn a_step_is_spent_with_all_before_it() {
        let mut codes = Codes::default();
        for (step, verdict) in [(10, Accepted), (10, Refused), (9, Refused), (11, Accepted)] {
            assert_eq!(judge(&mut codes, Some(step), 300), verdict, "{step}");
        }
    }

    #[test]
    fn five_wrong_codes_lock_right_ones_included() {
        let mut codes = Codes::default();
        for second in 0..5 {
            assert_eq!(judge(&mut codes, None, 1000 + second), Refused);
        }
        assert_eq!(judge(&mut codes, Some(33), 1004), Locked);
        assert_eq!(judge(&mut codes, Some(43), 1303), Locked);
        assert_eq!(judge(&mut codes, Some(43), 1304), Accepted);
    }

    #[test]
    fn four_wrong_codes_and_a_right_one_do_not_lock() {
        let mut codes = Codes::default();
        for round in 0..2 {
            for _ in 0..4 {
                assert_eq!(judge(&mut codes, None, 1000), Refused);
            }
            assert_eq!(judge(&mut codes, Some(33 + round), 1000), Accepted);
        }
    }

    #[test]
    fn wrong_codes_outside_the_window_do_not_add_up_to_five() {
        let mut codes = Codes::default();
        for nth in 0..9 {
            assert_eq!(judge(&mut codes, None, 1000 + nth * 75), Refused);
        }
        assert_eq!(judge(&mut codes, Some(100), 3000), Accepted);
    }

    #[test]
    fn ten_in_a_day_lock_until_the_oldest_is_a_day_old() {
        let mut codes = Codes::default();
        for nth in 0..10 {
            assert_eq!(judge(&mut codes, None, nth * 4000), Refused, "{nth}");
            if nth < 9 {
                assert_eq!(judge(&mut codes, Some(nth * 100 + 1), nth * 4000 + 1), Accepted, "whatever was accepted");
            }
        }
        assert_eq!(judge(&mut codes, Some(5000), DAY - 1), Locked);
        assert_eq!(judge(&mut codes, Some(5000), DAY), Accepted);
        assert_eq!(judge(&mut codes, None, DAY), Refused);
        assert_eq!(judge(&mut codes, Some(5001), DAY), Locked, "ten again");
    }

    #[test]
    fn replays_do_not_lock_and_a_lock_is_not_lengthened() {
        let mut codes = Codes::default();
        judge(&mut codes, Some(10), 300);
        for _ in 0..100 {
            assert_eq!(judge(&mut codes, Some(10), 300), Refused);
        }
        assert_eq!(judge(&mut codes, Some(11), 330), Accepted);
        for _ in 0..50 {
            judge(&mut codes, None, 1000);
        }
        assert_eq!(judge(&mut codes, Some(43), 1300), Accepted);
    }

    #[test]
    fn forgiving_gives_no_step_back() {
        let mut codes = Codes::default();
        judge(&mut codes, Some(33), 990);
        for _ in 0..5 {
            judge(&mut codes, None, 1000);
        }
        codes.forgive();
        assert_eq!(judge(&mut codes, Some(33), 1000), Refused);
        assert_eq!(judge(&mut codes, Some(34), 1000), Accepted);
    }

    #[test]
    fn the_stored_format_is_pinned() {
        let mut codes = Codes::default();
        judge(&mut codes, Some(7), 5);
        judge(&mut codes, None, 6);
        let json = r#"{"last_step":7,"wrong":[6],"wrong_of_the_day":[6],"locked_until":0}"#;
        assert_eq!(serde_json::to_string(&codes).unwrap(), json);
    }

    proptest! {
        #[test]
        fn accepted_steps_only_rise(steps in prop::collection::vec(prop::option::of(0u64..40), 1..60)) {
            let mut codes = Codes::default();
            let mut last = None;
            for (now, step) in steps.into_iter().enumerate() {
                if judge(&mut codes, step, now as u64 * 30) == Accepted {
                    prop_assert!(step > last);
                    last = step;
                }
            }
        }
    }
}
