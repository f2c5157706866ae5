//! The exit codes, and which verdict gives which.

use crate::result::Verdict;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Every chosen case ran and passed. Also the success of a command that judges nothing.
    Good = 0,
    /// A case failed, a case newly fails in a comparison, or the selftest found a fault.
    Failed = 1,
    Usage = 2,
    Incomplete = 3,
    Unreachable = 4,
    Internal = 70,
}

/// For `--help`.
pub const HELP: &str = "Exit codes: 0 conformant, 1 not conformant, 2 usage or configuration, 3 incomplete (a case was \
                        blocked, nothing ran, a token or client was left behind, or the run was interrupted), 4 unreachable, 70 internal error.";

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
