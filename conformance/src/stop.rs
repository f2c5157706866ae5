//! Why a case ends before its last line.

#[derive(Debug, Clone)]
pub enum Stop {
    Fail {
        wanted: String,
        got: String,
    },
    /// It can't be told; what to do about that.
    Blocked(String),
    /// This deployment or identity has nothing that the case could be about.
    Absent(String),
    Error(String),
}

impl Stop {
    pub fn fail(wanted: impl Into<String>, got: impl Into<String>) -> Self {
        Self::Fail { wanted: wanted.into(), got: got.into() }
    }
}
