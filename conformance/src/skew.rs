//! How far the server's clock is ahead of this machine's. Many cases send times close to a limit, so the run follows the
//! server's clock.

use crate::clock::parse_rfc3339;
use crate::http::Answer;
use std::cell::Cell;

/// A larger difference, in milliseconds, is not followed: then the times in the answers are wrong.
const MOST: i64 = 3000;

/// The difference, in milliseconds, lies between these two, as far as the answers tell.
pub struct Skew {
    least: Cell<i64>,
    most: Cell<i64>,
}

impl Default for Skew {
    fn default() -> Self {
        Self { least: Cell::new(i64::MIN), most: Cell::new(i64::MAX) }
    }
}

impl Skew {
    /// `expires_at - expires_in` is the second in which the server issued a token, somewhere between the request and its
    /// answer. `sent` and `came` are in milliseconds, by this machine's clock. Returns a difference that agrees with all
    /// answers so far; `None` if this one says nothing about it, or contradicts the others.
    pub fn learn(&self, answer: &Answer, sent: u64, came: u64) -> Option<i64> {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let from = signed(issued_at(answer)?.saturating_mul(1000));
        let least = from.saturating_sub(signed(came)).max(self.least.get());
        let most = from.saturating_add(1000).saturating_sub(signed(sent)).min(self.most.get());
        if least > most || least > MOST || most < -MOST {
            return None;
        }
        self.least.set(least);
        self.most.set(most);
        // The least: what is sent at a time by this clock then arrives no earlier by the server's.
        Some(if (least..=most).contains(&0) { 0 } else { least })
    }
}

fn issued_at(answer: &Answer) -> Option<u64> {
    let body = answer.json().filter(|_| answer.status == 201)?;
    parse_rfc3339(body["expires_at"].as_str()?)?.checked_sub(body["expires_in"].as_u64()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// An answer of a server that issues a token in this second.
    fn issued(second: u64) -> Answer {
        let body = json!({"expires_at": crate::clock::rfc3339(second + 900), "expires_in": 900});
        Answer { asked: 0, status: 201, headers: Vec::new(), body: body.to_string().into_bytes() }
    }

    #[test]
    fn a_clock_that_agrees_is_left_alone() {
        let skew = Skew::default();
        for at in [1_800_000_000_000, 1_800_000_000_999, 1_800_000_001_500] {
            assert_eq!(skew.learn(&issued(at / 1000), at - 20, at), Some(0));
        }
    }

    #[test]
    fn a_clock_that_differs_is_found_within_some_answers() {
        for truth in [-2000_i64, -1000, -600, 700, 1000, 2400] {
            let (skew, mut ahead) = (Skew::default(), None);
            for nth in 0..40 {
                let machine = 1_800_000_000_000_u64 + nth * 137;
                let second = machine.saturating_add_signed(truth) / 1000;
                ahead = skew.learn(&issued(second), machine - 10, machine + 10);
            }
            assert!(ahead.is_some_and(|ahead| (truth - 60..=truth).contains(&ahead)), "{ahead:?} {truth}");
        }
    }

    #[test]
    fn times_that_are_wrong_are_not_followed() {
        let skew = Skew::default();
        assert_eq!(skew.learn(&issued(1_800_003_600), 1_800_000_000_000, 1_800_000_000_020), None);
        assert_eq!(skew.learn(&issued(1_799_999_990), 1_800_000_000_000, 1_800_000_000_020), None);
    }
}
