//! What a run found: the types behind the JSON report, from which every other report is drawn.
//!
//! Everything here is already masked: no value that the run knows to be secret may enter these types.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The version of the JSON report's format; a breaking change raises it.
pub const REPORT_VERSION: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub report_version: u32,
    pub tool: Tool,
    pub target: Target,
    /// `contract` or `seed`.
    pub profile: String,
    /// What was asked for, where that is not the whole profile.
    pub part: Option<Part>,
    /// RFC 3339, UTC.
    pub started_at: String,
    pub duration_ms: u64,
    pub verdict: Verdict,
    pub exit_code: u8,
    pub counts: Counts,
    /// The twelve cells in the contract's order, then one row `outside` for what no cell holds, and one row `service` where
    /// cases of it ran.
    pub matrix: Vec<Cell>,
    pub cases: Vec<CaseResult>,
    /// Revocation's measured delays; absent where no case awaited one.
    pub consistency: Option<Consistency>,
    pub cleanup: Cleanup,
    /// What the reader should do next, one sentence each (e.g. which credential is missing).
    pub advice: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tool {
    pub name: String,
    pub version: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Target {
    pub base_url: String,
}

/// A choice of cases: the verdict is on these alone.
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
    /// Listed as a known failure, and passed.
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

/// One cell of the status matrix: an operation and a status that it promises.
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
    /// The sentence of the contract that the case holds the server to.
    pub requirement: String,
    pub operation: String,
    pub status: Option<u16>,
    /// `seed` or `contract`.
    pub level: String,
    /// `read`, `mint`, `revoke` or `burst`.
    pub effect: String,
    pub outcome: Outcome,
    /// Why it is not a pass: one sentence, and what to do next.
    pub reason: Option<String>,
    pub wanted: Option<String>,
    pub got: Option<String>,
    /// A line that reproduces the judged request, with `$VARS` for every secret.
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
    /// Absent when no answer came.
    pub response: Option<Answer>,
    /// What went wrong on the way, when no whole answer came.
    pub error: Option<String>,
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
    /// From the 204 until the first refusal that held, per case that awaited one.
    pub observed_ms: Vec<(String, u64)>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Cleanup {
    pub minted: u32,
    pub revoked: u32,
    /// The ids of tokens that could not be revoked, and, behind `client `, of clients that could not be deleted, with why.
    /// Neither is secret.
    pub left: Vec<(String, String)>,
}

impl Cleanup {
    /// How many tokens and how many clients are left.
    pub fn counts_left(&self) -> (usize, usize) {
        let clients = self.left.iter().filter(|(id, _)| id.starts_with("client ")).count();
        (self.left.len() - clients, clients)
    }
}

pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
