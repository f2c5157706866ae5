//! The results of a run: the types of the JSON report, from which every other report is rendered.
//!
//! Everything here is already masked: no secret that the run knows may enter these types.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The version of the JSON report's format; a breaking change raises it.
pub const REPORT_VERSION: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub report_version: u32,
    pub tool: Tool,
    pub target: Target,
    /// `seed`, `contract`, `service` or `lag`.
    pub profile: String,
    /// What was chosen, if that is not the whole profile.
    pub part: Option<Part>,
    /// RFC 3339, UTC.
    pub started_at: String,
    pub duration_ms: u64,
    pub verdict: Verdict,
    pub exit_code: u8,
    pub counts: Counts,
    /// The twelve cells in the contract's order, then one row each for `outside` and `service`, if cases of it were chosen.
    pub matrix: Vec<Cell>,
    pub cases: Vec<CaseResult>,
    /// The measured delays of revocations; absent if no case waited for one.
    pub consistency: Option<Consistency>,
    pub cleanup: Cleanup,
    /// What the reader should do next, one sentence each, such as which credential to add.
    pub advice: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tool {
    pub name: String,
    pub version: String,
}

impl Tool {
    pub fn this() -> Self {
        Self { name: "conformance".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Target {
    pub base_url: String,
}

/// A choice of cases: the verdict covers these alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Part {
    /// The globs of --case and of --skip.
    pub cases: Vec<String>,
    pub skip: Vec<String>,
    pub chosen: u32,
    pub of: u32,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} cases", self.chosen, self.of)?;
        let flags =
            |flag: &str, globs: &[String]| globs.iter().map(|glob| format!(" {flag} {glob}")).collect::<String>();
        let all = flags("--case", &self.cases) + &flags("--skip", &self.skip);
        if all.is_empty() { Ok(()) } else { write!(f, " ({})", all.trim_start()) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Conformant,
    NotConformant,
    Incomplete,
    Unreachable,
    InternalError,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Pass,
    Fail,
    Blocked,
    NotApplicable,
    /// Failed as the known-failures file says it must.
    ExpectedFail,
    /// Listed as a known failure, but passed.
    UnexpectedPass,
    Error,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Counts {
    pub pass: u32,
    pub fail: u32,
    pub blocked: u32,
    pub not_applicable: u32,
    pub expected_fail: u32,
    pub unexpected_pass: u32,
    pub error: u32,
}

impl Counts {
    pub fn of(&mut self, outcome: Outcome) -> &mut u32 {
        match outcome {
            Outcome::Pass => &mut self.pass,
            Outcome::Fail => &mut self.fail,
            Outcome::Blocked => &mut self.blocked,
            Outcome::NotApplicable => &mut self.not_applicable,
            Outcome::ExpectedFail => &mut self.expected_fail,
            Outcome::UnexpectedPass => &mut self.unexpected_pass,
            Outcome::Error => &mut self.error,
        }
    }
}

/// One cell of the status matrix: an operation and one of its statuses.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cell {
    /// `issueLongTermToken`, `issueShortTermToken`, `revokeToken`, `outside`, or `service`.
    pub operation: String,
    /// Absent for `outside` and `service`.
    pub status: Option<u16>,
    pub counts: Counts,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseResult {
    /// Stable: `long.401.secret-wrong`.
    pub id: String,
    /// The promise that the case tests, in one sentence.
    pub requirement: String,
    pub operation: String,
    pub status: Option<u16>,
    /// `seed`, `contract` or `service`.
    pub level: String,
    /// `read`, `mint`, `revoke`, `provision` or `burst`.
    pub effect: String,
    pub outcome: Outcome,
    /// Why it did not pass, and what to do next.
    pub reason: Option<String>,
    pub wanted: Option<String>,
    pub got: Option<String>,
    /// A shell command that repeats the judged request, with a `$VAR` for each secret.
    pub curl: Option<String>,
    pub duration_ms: u64,
    pub exchanges: Vec<Exchange>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Exchange {
    pub method: String,
    pub url: String,
    pub request_headers: Vec<(String, String)>,
    pub request_body: Option<String>,
    /// Absent if no answer came.
    pub response: Option<Answer>,
    /// What went wrong, if no complete answer came.
    pub error: Option<String>,
    /// When it was sent, in milliseconds since the start of the run.
    #[serde(default)]
    pub at_ms: u64,
    pub duration_ms: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// Cut at 4 KiB; bytes that are not UTF-8 are replaced.
    pub body: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Consistency {
    pub window_ms: u64,
    /// For each case that waited for a refusal: the time from the 204 to the first refusal that held.
    pub observed_ms: Vec<(String, u64)>,
    /// The same delays by the operation that refused the token.
    #[serde(default)]
    pub by_operation: Vec<Delays>,
}

/// How long revocations took to hold at one place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Delays {
    /// An operation, such as `issueShortTermToken`; from `lag`, a place, such as `exchange`.
    pub operation: String,
    /// In ascending order.
    pub delays_ms: Vec<u64>,
    pub p50_ms: u64,
    pub p99_ms: u64,
    pub max_ms: u64,
}

impl Delays {
    pub fn of(operation: &str, mut delays_ms: Vec<u64>) -> Self {
        delays_ms.sort_unstable();
        // The nearest-rank method: the result is a delay that was measured.
        let at = |percent: usize| {
            let rank = (delays_ms.len() * percent).div_ceil(100).max(1);
            delays_ms.get(rank - 1).copied().unwrap_or_default()
        };
        let (p50_ms, p99_ms, max_ms) = (at(50), at(99), at(100));
        Self { operation: operation.to_owned(), delays_ms, p50_ms, p99_ms, max_ms }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Cleanup {
    pub minted: u32,
    pub revoked: u32,
    /// The ids of tokens that could not be revoked, and of clients that could not be deleted (after `client `), each with the
    /// reason. Ids are not secret.
    pub left: Vec<(String, String)>,
}

impl Cleanup {
    /// How many tokens and clients are left.
    pub fn counts_left(&self) -> (usize, usize) {
        let clients = self.left.iter().filter(|(id, _)| id.starts_with("client ")).count();
        (self.left.len() - clients, clients)
    }
}

pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_delay_that_was_measured() {
        let delays = Delays::of("exchange", (1..=200).rev().collect());
        assert_eq!((delays.p50_ms, delays.p99_ms, delays.max_ms), (100, 198, 200));
        let one = Delays::of("exchange", vec![7]);
        assert_eq!((one.p50_ms, one.p99_ms, one.max_ms), (7, 7, 7));
    }
}
