//! Why a case ends without passing.

#[derive(Debug, Clone)]
pub enum Stop {
    Fail {
        wanted: String,
        got: String,
    },
    /// The case could not be judged. The text says why and what to do.
    Blocked(String),
    /// The server was busy or unreachable. The case gets another round at the end of the run.
    Unavailable(String),
    /// The case does not apply to this deployment or identity.
    Absent(String),
    Error(String),
}

impl Stop {
    pub fn fail(wanted: impl Into<String>, got: impl Into<String>) -> Self {
        Self::Fail { wanted: wanted.into(), got: got.into() }
    }

    /// Rewrites `wanted`, to say it more exactly.
    pub fn wanted(self, tell: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Fail { wanted, got } => Self::Fail { wanted: tell(wanted), got },
            other => other,
        }
    }
}
