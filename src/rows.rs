//! Storage of a Durable Object: rows and one alarm. `edge` implements it with the object's SQLite database.

use crate::error::Unavailable;
use crate::value::{self, Read, Value};

/// A stored row: its value, and when it may be removed (Unix seconds).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub value: String,
    pub expires_at: u64,
}

/// The changes of one step, stored all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// `None` removes a row.
    pub rows: Vec<(String, Option<Row>)>,
    /// When the alarm wakes the object, Unix milliseconds.
    pub alarm: Option<u64>,
    /// The time of the step: rows that have expired by then (Unix seconds) may be removed.
    pub now: u64,
}

/// `expires_at` of a row that never expires, Unix seconds (the end of the year 9999).
pub const FOR_EVER: u64 = 253_402_300_799;

/// The rows of one object.
pub trait Rows {
    fn load(&self, key: &str) -> Result<Option<Row>, Unavailable>;

    /// At most `limit` unexpired rows whose keys start with `prefix`.
    fn list(&self, prefix: &str, now: u64, limit: usize) -> Result<Vec<(String, Row)>, Unavailable>;

    /// Stores a step. No answer and no write to KV leaves the object before the step is durable.
    fn commit(&self, commit: &Commit) -> Result<(), Unavailable>;

    /// Removes all rows and the alarm.
    fn wipe(&self) -> Result<(), Unavailable>;

    /// The current time, Unix milliseconds.
    fn millis(&self) -> u64;
}

/// Parses rows in table.js's format: `[[key, value, expires_at], …]`.
pub fn parse(json: &str) -> Result<Vec<(String, Row)>, Unavailable> {
    let row = |columns: Vec<Value>| match <[Value; 3]>::try_from(columns) {
        Ok([key, value, expires_at]) => {
            Some((Read::read(key)?, Row { value: Read::read(value)?, expires_at: Read::read(expires_at)? }))
        }
        Err(_) => None,
    };
    let rows = value::read::<Vec<Vec<Value>>>(json).and_then(|rows| rows.into_iter().map(row).collect());
    rows.ok_or_else(|| Unavailable::new("CLIENT", "a row can't be read"))
}
