//! What the operations ask of the world around them: clients, randomness, limits, and the signatures that the runtime makes faster
//! than WASM could. `edge` answers with Cloudflare's parts; the tests answer with parts that can fail, lag and forget.

use serde::Serialize;

use crate::client::jwk::PublicJwk;
use crate::client::replica::Clients;
use crate::error::Unavailable;
use crate::feed::copy::Kept;
use crate::feed::{self, Ends};
use crate::token::Signatures;
use crate::token_id::Random;
use crate::value::readable;

/// The rate limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// `issueLongTermToken`, per client and address.
    Long,
    /// `issueLongTermToken`, per client.
    Client,
    /// `issueLongTermToken`, per address.
    Address,
    /// `issueShortTermToken`, per long-term token.
    Short,
}

/// A page of KV's list of clients, by the metadata of their replicas.
#[derive(Debug, Default)]
pub struct Page {
    /// Each client's id and status.
    pub clients: Vec<Listed>,
    /// KV's own, if there is more.
    pub cursor: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Listed {
    pub client_id: String,
    pub status: String,
}

readable!(struct Page { clients, cursor });
readable!(struct Listed { client_id, status });

/// A text that is served as it is, but for the URL of this deployment. `assets/documents.js` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// The OpenAPI document.
    OpenApi,
    /// The page that shows it.
    Docs,
}

/// The world around the operations. An `Err` is a part that did not answer; no method ever guesses.
#[allow(async_fn_in_trait, reason = "futures run on the runtime's one thread; none needs to be Send")]
pub trait Host: Clients + Signatures {
    fn document(&self, document: Document) -> String;

    /// Asks the feed of ends.
    async fn ask_feed(&self, ask: &feed::Ask) -> Result<Ends, Unavailable>;

    /// This isolate's copy of the feed.
    fn feed(&self) -> &Kept;

    /// Lists clients. May be as old as the cache of the location.
    async fn list(&self, limit: u64, cursor: Option<&str>) -> Result<Page, Unavailable>;

    /// Randomness for one token's id, or one client's.
    fn random(&self) -> Result<Random, Unavailable>;

    /// Counts a call against a limit; `false` means that it is over.
    async fn within(&self, limit: Limit, key: &str) -> Result<bool, Unavailable>;

    /// Whether the runtime takes this key: a point off its curve, for one, is none.
    async fn accepts(&self, key: &PublicJwk) -> Result<bool, Unavailable>;
}
