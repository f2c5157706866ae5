//! The interface between operations and their environment: clients, randomness, rate limits, and the signatures that
//! the runtime makes faster than WASM. `edge` implements it with Cloudflare's services; tests implement it with
//! services that fail, lag and lose data.

use serde::Serialize;

use crate::client::jwk::PublicJwk;
use crate::client::replica::Clients;
use crate::error::Unavailable;
use crate::feed::copy::FeedCache;
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

/// A page of KV's list of clients, made from the metadata of their replicas.
#[derive(Debug, Default)]
pub struct Page {
    /// Each client's id and status.
    pub clients: Vec<Listed>,
    /// KV's cursor, if there are more.
    pub cursor: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Listed {
    pub client_id: String,
    pub status: String,
}

readable!(struct Page { clients, cursor });
readable!(struct Listed { client_id, status });

/// A static text, with placeholders for the deployment's URL. `assets/documents.js` holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// The OpenAPI document.
    OpenApi,
    /// The HTML reference page.
    Docs,
}

/// The environment of the operations. `Err` means that a service did not answer; no method falls back to a guess.
#[allow(async_fn_in_trait, reason = "futures run on the runtime's one thread; none needs to be Send")]
pub trait Host: Clients + Signatures {
    fn document(&self, document: Document) -> String;

    /// Asks the revocation feed's object.
    async fn ask_feed(&self, ask: &feed::Ask) -> Result<Ends, Unavailable>;

    /// This isolate's copy of the feed.
    fn feed_cache(&self) -> &FeedCache;

    /// Lists clients, from KV: the list may be as old as the location's cache.
    async fn list(&self, limit: u64, cursor: Option<&str>) -> Result<Page, Unavailable>;

    /// Random bytes for the id of one token or one client.
    fn random(&self) -> Result<Random, Unavailable>;

    /// Counts a call against a limit; `false` means that the limit is exceeded.
    async fn within(&self, limit: Limit, key: &str) -> Result<bool, Unavailable>;

    /// Whether the runtime can import this key. It refuses a point that is not on its curve, for example.
    async fn accepts(&self, key: &PublicJwk) -> Result<bool, Unavailable>;
}
