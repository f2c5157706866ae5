//! The exit codes: what each means, and which verdict ends with which.

use crate::result::Verdict;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything that was asked for ran and passed. Also: a command that judges nothing did its work.
    Good = 0,
    /// Something failed that must not: a case, a comparison of two reports, a promise of the selftest.
    Failed = 1,
    Usage = 2,
    Incomplete = 3,
    Unreachable = 4,
    Internal = 70,
}

/// For `--help`.
pub const HELP: &str = "Exit codes: 0 conformant, 1 not conformant, 2 usage or configuration, 3 incomplete (something was \
                        blocked, nothing ran, a token could not be revoked or a client deleted, or a signal came), 4 unreachable, 70 internal error.";

impl Exit {
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Conformant => Self::Good,
            Verdict::NotConformant => Self::Failed,
            Verdict::Incomplete => Self::Incomplete,
            Verdict::Unreachable => Self::Unreachable,
            Verdict::InternalError => Self::Internal,
        }
    }
}
