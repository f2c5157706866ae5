//! Why a case ends before its last line.

#[derive(Debug, Clone)]
pub enum Stop {
    Fail {
        wanted: String,
        got: String,
    },
    /// It can't be told; what to do about that.
    Blocked(String),
    /// It can't be told now: the server was busy or away. The case gets a second round at the end of the run.
    Unavailable(String),
    /// This deployment or identity has nothing that the case could be about.
    Absent(String),
    Error(String),
}

impl Stop {
    pub fn fail(wanted: impl Into<String>, got: impl Into<String>) -> Self {
        Self::Fail { wanted: wanted.into(), got: got.into() }
    }

    /// The same, with what was wanted told more exactly.
    pub fn wanted(self, tell: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Fail { wanted, got } => Self::Fail { wanted: tell(wanted), got },
            other => other,
        }
    }
}
