//! What a client's object stands on: rows, one alarm, a clock, randomness, and a way to KV.

use super::jwk::PublicJwk;
use crate::error::Unavailable;

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

/// What the object stands on.
#[allow(async_fn_in_trait, reason = "futures run on the runtime's one thread; none needs to be Send")]
pub trait Ground {
    fn load(&self, key: &str) -> Result<Option<Row>, Unavailable>;

    /// The rows whose keys begin so, at most `limit` of them, without those that expired.
    fn list(&self, prefix: &str, now: u64, limit: usize) -> Result<Vec<(String, Row)>, Unavailable>;

    /// Stores a step. No answer and no write to KV leaves the object before it is durable.
    fn commit(&self, commit: &Commit) -> Result<(), Unavailable>;

    /// Removes all there is, the alarm too.
    fn wipe(&self) -> Result<(), Unavailable>;

    /// Unix milliseconds.
    fn millis(&self) -> u64;

    fn random(&self, bytes: &mut [u8]) -> Result<(), Unavailable>;

    /// Writes a value to KV, and gives up after 3 seconds. `expires_at`: until when it must be kept (Unix seconds), if not for ever.
    async fn put(&self, key: &str, value: &str, status: &str, expires_at: Option<u64>) -> Result<(), Unavailable>;

    async fn sleep(&self, millis: u64);

    /// As `host::Host::verify`.
    async fn verify(&self, key: &PublicJwk, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable>;
}
