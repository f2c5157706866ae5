//! When a token ends before its own end: revoked at once, or retired by a rotation.
//!
//! `REVOCATIONS` holds one entry per such token, under its id, for as long as the token itself would have lived. KV
//! lets the last writer win, and a reader may see an old value. So that a late retirement can never undo a revocation,
//! an entry has one writer, the Durable Object of the token's client, which keeps the earliest end (`once`). It also
//! knows at once what KV tells later, and is asked where the answer outlives the delay: before a rotation.

use serde::Deserialize;

use crate::error::Unavailable;
use crate::host::Host;
use crate::once::{Answer, Ask};
use crate::token_id::TokenId;

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

/// Reads what is stored about the end of a token, if anything is.
pub fn stored_end(token_id: &str, stored: Option<String>) -> Result<Option<u64>, Unavailable> {
    let Some(text) = stored else { return Ok(None) };
    match serde_json::from_slice::<Entry>(text.as_bytes()) {
        Ok(entry) if entry.version == ENTRY_VERSION => Ok(Some(entry.ends_at)),
        _ => Err(Unavailable { dependency: "REVOCATIONS", problem: format!("the entry {token_id} can't be read") }),
    }
}

/// Revokes a token now. When this returns `Ok`, the revocation is stored.
pub async fn revoke(host: &impl Host, client_id: &str, token: &TokenId, now: u64) -> Result<(), Unavailable> {
    end(host, client_id, token, now).await.map(|_| ())
}

/// Whether a token has been ended, as the object knows, whatever KV shows here.
pub async fn has_ended(host: &impl Host, client_id: &str, token_id: &str) -> Result<bool, Unavailable> {
    let answer = host.once(&object_name(client_id), &Ask::Ended { token_id: token_id.to_owned() }).await?;
    Ok(answer != Answer::Accepted)
}

/// Lets a token end at `at`, or at the earlier end that it has already. Returns whether it had ended before.
pub async fn end(host: &impl Host, client_id: &str, token: &TokenId, at: u64) -> Result<bool, Unavailable> {
    let ask = Ask::End { token_id: token.as_str().to_owned(), at, until: token.expires_at };
    match host.once(&object_name(client_id), &ask).await? {
        Answer::Ends { at: settled, ended } => Ok(ended && settled < at),
        other => Err(Unavailable { dependency: "ONCE", problem: format!("answered {other:?} to the end of a token") }),
    }
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
