//! When a token ends before its own end: revoked at once, or retired by a rotation.
//!
//! `REVOCATIONS` holds one entry per such token, under its id, for as long as the token itself would have lived. KV
//! lets the last writer win, and a reader may see an old value. So that a late retirement can never undo a revocation,
//! a long-term token's entry has one writer, the Durable Object of its client, which keeps the earliest end (`once`). A
//! short-term token is only ever revoked, so whoever writes writes the same.

use serde::Deserialize;

use crate::error::Unavailable;
use crate::host::Host;
use crate::once::{Answer, Ask};
use crate::token_id::{Kind, TokenId};

/// The version of the stored format. An entry of another version can't be understood, so its token is not honoured.
const ENTRY_VERSION: u32 = 1;
/// KV refuses an expiry nearer than 60 s; the rest is for clocks that differ.
const SHORTEST_EXPIRY: u64 = 90;
/// An entry of `REVOCATIONS`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    version: u32,
    /// The token counts as revoked from this time on (Unix seconds).
    ends_at: u64,
}

/// The stored end of a token, if there is one.
pub async fn stored_end(host: &impl Host, token_id: &str) -> Result<Option<u64>, Unavailable> {
    let Some(text) = host.revocation(token_id).await? else { return Ok(None) };
    match serde_json::from_str::<Entry>(&text) {
        Ok(entry) if entry.version == ENTRY_VERSION => Ok(Some(entry.ends_at)),
        _ => Err(Unavailable { dependency: "REVOCATIONS", problem: format!("the entry {token_id} can't be read") }),
    }
}

/// Revokes a token now. When this returns `Ok`, the revocation is stored.
pub async fn revoke(host: &impl Host, client_id: &str, token: &TokenId, now: u64) -> Result<(), Unavailable> {
    match token.kind {
        Kind::Short if stored_end(host, token.as_str()).await?.is_some() => Ok(()),
        Kind::Short => store(host, token, now).await,
        Kind::Long => match end(host, client_id, token, now, now).await {
            Ok(_) => Ok(()),
            Err(error) => {
                // The caller is told to try again, since the object has not heard of it; yet the token should be dead.
                let _ = store(host, token, now).await;
                Err(error)
            }
        },
    }
}

/// Lets a long-term token end at `at`, or at the earlier end that it has already. Returns the end that holds.
pub async fn end(host: &impl Host, client_id: &str, token: &TokenId, at: u64, now: u64) -> Result<u64, Unavailable> {
    let ask = Ask::End { token_id: token.as_str().to_owned(), at, until: token.expires_at, now };
    match host.once(&object_name(client_id), &ask).await? {
        Answer::Ends { at } => Ok(at),
        other => Err(Unavailable { dependency: "ONCE", problem: format!("answered {other:?} to the end of a token") }),
    }
}

async fn store(host: &impl Host, token: &TokenId, now: u64) -> Result<(), Unavailable> {
    host.store_revocation(token.as_str(), &entry(now), expiry(token.expires_at, now)).await
}

/// What is stored for a token that ends then.
pub fn entry(ends_at: u64) -> String {
    format!(r#"{{"version":{ENTRY_VERSION},"ends_at":{ends_at}}}"#)
}

/// Until when an entry is kept: the token's own end, or as soon after it as KV allows.
pub fn expiry(expires_at: u64, now: u64) -> u64 {
    expires_at.max(now + SHORTEST_EXPIRY)
}

/// The name of a client's Durable Object.
pub fn object_name(client_id: &str) -> String {
    format!("client:{client_id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_format_is_pinned() {
        let json = r#"{"version":1,"ends_at":1800000000}"#;
        assert_eq!(entry(1_800_000_000), json);
        let read = Entry { version: ENTRY_VERSION, ends_at: 1_800_000_000 };
        assert_eq!(serde_json::from_str::<Entry>(json).unwrap(), read);
    }
}
