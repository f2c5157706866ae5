//! What every object stores: rows with one alarm. `edge` gives them, in the object's SQLite database.

use crate::error::Unavailable;
use crate::value::{self, Read, Value};

/// A stored row: its value, and when it may be forgotten (Unix seconds).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub value: String,
    pub expires_at: u64,
}

/// What one step changes, all of it or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// `None` removes a row.
    pub rows: Vec<(String, Option<Row>)>,
    /// When the object is to be woken, Unix milliseconds.
    pub alarm: Option<u64>,
    /// Rows that expired up to then (Unix seconds) may be removed.
    pub now: u64,
}

/// A row that stays, Unix seconds.
pub const FOR_EVER: u64 = 253_402_300_799;

/// The rows of one object.
pub trait Rows {
    fn load(&self, key: &str) -> Result<Option<Row>, Unavailable>;

    /// The rows whose keys begin so, at most `limit` of them, without those that expired.
    fn list(&self, prefix: &str, now: u64, limit: usize) -> Result<Vec<(String, Row)>, Unavailable>;

    /// Stores a step. No answer and no write to KV leaves the object before it is durable.
    fn commit(&self, commit: &Commit) -> Result<(), Unavailable>;

    /// Removes all there is, the alarm too.
    fn wipe(&self) -> Result<(), Unavailable>;

    /// Unix milliseconds.
    fn millis(&self) -> u64;
}

/// Reads rows as table.js gives them: `[[key, value, expires_at], …]`.
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
