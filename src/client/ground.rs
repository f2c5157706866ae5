//! The environment of a client's object: rows, one alarm, a clock, randomness, KV and the feed. Its counterpart for
//! operations is `host::Host`.

use super::jwk::PublicJwk;
use crate::error::Unavailable;
use crate::feed::End;
use crate::rows::Rows;

/// The environment of a client's object.
#[allow(async_fn_in_trait, reason = "futures run on the runtime's one thread; none needs to be Send")]
pub trait Ground: Rows {
    fn random(&self, bytes: &mut [u8]) -> Result<(), Unavailable>;

    /// Writes a value to KV, and gives up after 3 seconds. `expires_at`: when KV may drop it (Unix seconds), if ever.
    async fn put(&self, key: &str, value: &str, status: &str, expires_at: Option<u64>) -> Result<(), Unavailable>;

    /// Reports revocations to the feed, and gives up after 3 seconds.
    async fn report(&self, ends: &[End]) -> Result<(), Unavailable>;

    async fn sleep(&self, millis: u64);

    /// See `token::Signatures::verify`.
    async fn verify(&self, key: &PublicJwk, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable>;
}
