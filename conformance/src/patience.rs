//! Retries, if the server is briefly busy or unreachable: which requests are sent again, when, and how often.

use crate::endpoint::CLIENTS;
use crate::http::{Answer, Request};
use std::cell::Cell;
use std::time::{Duration, UNIX_EPOCH};

/// How often one call is sent again at most.
pub const AGAIN: u32 = 4;
/// The longest single wait. If `Retry-After` is longer, the case runs again at the end of the run.
const LONGEST: Duration = Duration::from_secs(10);
/// The longest wait for the server's rate limit, whose window is usually a minute.
pub const LONGEST_LIMIT: Duration = Duration::from_secs(65);
/// The limit on the sum of all waits of a run. Cases wait concurrently, so the run is delayed by less.
const IN_ALL: Duration = Duration::from_secs(120);

/// How long a run has waited so far, and what it sent again.
#[derive(Default)]
pub struct Patience {
    waited: Cell<Duration>,
    /// Calls that were sent again.
    pub repeated: Cell<u32>,
    /// How many of them were answered 503 every time.
    pub in_vain: Cell<u32>,
}

impl Patience {
    /// How long to wait before a call is sent again for the `nth` time; `None` if it is not sent again.
    pub fn pause(&self, asked_for: Duration, nth: u32) -> Option<Duration> {
        let pause = asked_for.max(Duration::from_millis(100));
        if nth >= AGAIN || pause > LONGEST || self.waited.get() + pause > IN_ALL {
            return None;
        }
        self.waited.set(self.waited.get() + pause);
        Some(pause)
    }
}

/// What `Retry-After` asks for (RFC 9110 section 10.2.3). A date is compared with the answer's own `Date`, since clocks
/// differ; without one, with the time of the request. Anything else counts as one second.
pub fn retry_after(answer: &Answer) -> Option<Duration> {
    let value = answer.header("retry-after")?.trim();
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let asked = UNIX_EPOCH + Duration::from_secs(answer.asked);
    let pause = value
        .parse()
        .ok()
        .map(Duration::from_secs)
        .or_else(|| date(value)?.duration_since(answer.header("date").and_then(date).unwrap_or(asked)).ok());
    Some(pause.unwrap_or(Duration::from_secs(1)))
}

/// 503 with `Retry-After`. A 503 without it is judged like any other answer.
pub fn is_busy(answer: &Answer) -> bool {
    answer.status == 503 && answer.header("retry-after").is_some()
}

/// Whether the same call may be sent again after a 503: not if the first try may have used up a one-time code, an
/// assertion or the id of a new client.
pub fn is_repeatable(request: &Request) -> bool {
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let single_use = ["otp_code", "assertion"].iter().any(|name| body.get(name).is_some());
    let creates = request.method == "POST" && request.path.starts_with(CLIENTS);
    !single_use && !creates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint;

    #[test]
    fn patience_ends() {
        let patience = Patience::default();
        assert_eq!(patience.pause(Duration::ZERO, 0), Some(Duration::from_millis(100)));
        assert_eq!(patience.pause(Duration::from_secs(1), AGAIN), None);
        assert_eq!(patience.pause(Duration::from_secs(60), 0), None);
        let waits = (0..1000).filter(|_| patience.pause(Duration::from_secs(10), 0).is_some()).count();
        assert_eq!(waits, 11);
    }

    #[test]
    fn what_a_first_try_may_have_used_up_is_not_sent_again() {
        let post = |path: &str, body| is_repeatable(&endpoint::post(path, None, Some(body)));
        assert!(post(endpoint::LONG, serde_json::json!({"client_secret": "x"})));
        assert!(!post(endpoint::LONG, serde_json::json!({"otp_code": "123456"})));
        assert!(!post(endpoint::LONG, serde_json::json!({"assertion": "a.b.c"})));
        assert!(!post(CLIENTS, serde_json::json!({"client_id": "x"})));
        assert!(is_repeatable(&endpoint::bare("DELETE", &endpoint::client_path("x"), None)));
    }
}
