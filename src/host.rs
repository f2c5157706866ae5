//! What the operations ask of the world around them: storage, randomness, and the signatures that the runtime makes faster than
//! WASM could. `edge` answers with Cloudflare's parts; the tests answer with parts that can fail, lag and forget.

use crate::error::Unavailable;
use crate::keys::PublicJwk;
use crate::once::{Answer, Ask};
use crate::token_id::Random;

/// The two rate limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// `issueLongTermToken`, per client and address.
    Long,
    /// `issueShortTermToken`, per long-term token.
    Short,
}

/// What is stored about a token, as it is stored.
#[derive(Debug, Default)]
pub struct Stored {
    /// The record of its client.
    pub record: Option<String>,
    pub end: Option<String>,
    pub parent_end: Option<String>,
}

/// The world around the operations. An `Err` is a part that did not answer; no method ever guesses.
#[allow(async_fn_in_trait, reason = "futures run on the runtime's one thread; none needs to be Send")]
pub trait Host {
    /// A client's record, or `None` if there is no such client. May be as old as the cache of the location.
    async fn client(&self, client_id: &str) -> Result<Option<String>, Unavailable>;

    /// What is stored about a token. All is read at the same time, and may be as old as the cache of the location.
    async fn life(&self, client_id: &str, token_id: &str, parent: Option<&str>) -> Result<Stored, Unavailable>;

    /// Randomness for one token's id.
    fn random(&self) -> Result<Random, Unavailable>;

    /// Asks the one object of this name; asks to the same name are judged one after the other, on the whole planet.
    async fn once(&self, name: &str, ask: &Ask) -> Result<Answer, Unavailable>;

    /// Counts a call against a limit; `false` means that it is over.
    async fn within(&self, limit: Limit, key: &str) -> Result<bool, Unavailable>;

    /// An Ed25519 signature (RFC 8032) with the first `at+jwt` key.
    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], Unavailable>;

    /// Whether `signature` is the key's over `message`, by the algorithm that the key is bound to. A key or a signature
    /// that makes no sense is `false`.
    async fn verify(&self, key: &PublicJwk, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable>;
}
