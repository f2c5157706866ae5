//! When a token ends before its own end: revoked at once, or retired by a rotation.
//!
//! `REVOCATIONS` holds one entry per such token, under its id, for as long as the token itself would have lived. KV
//! lets the last writer win, and a reader may see an old value. So that a late retirement can never undo a revocation,
//! the ends of a long-term token are settled in its client's Durable Object first: there the earliest end stays.

use serde::{Deserialize, Serialize};

use crate::error::Unavailable;
use crate::host::Host;
use crate::once::{Answer, Ask};
use crate::token_id::{Kind, TokenId};

/// The version of the stored format. An entry of another version can't be understood, so its token is not honoured.
const ENTRY_VERSION: u32 = 1;
/// KV refuses an expiry nearer than 60 s; the rest is for clocks that differ.
const SHORTEST_EXPIRY: u64 = 90;
/// How often a retirement looks again for an earlier end. Each look can only move the end to an earlier time.
const LOOKS: usize = 4;

/// An entry of `REVOCATIONS`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    let settled = match token.kind {
        Kind::Long => settle(host, client_id, token, now, now).await,
        Kind::Short => Ok(now),
    };
    // Stored even if the object does not answer: then the caller is told to try again, but the token is dead already.
    store(host, token, settled.as_ref().copied().unwrap_or(now), now).await?;
    settled.map(|_| ())
}

/// Lets a long-term token end at `at`, or at the earlier end that it has already. Returns the end that holds.
pub async fn retire(
    host: &impl Host,
    client_id: &str,
    token: &TokenId,
    at: u64,
    stored: Option<u64>,
    now: u64,
) -> Result<u64, Unavailable> {
    let mut written = stored;
    for _ in 0..LOOKS {
        let end = settle(host, client_id, token, at, now).await?;
        if written == Some(end) {
            return Ok(end);
        }
        store(host, token, end, now).await?;
        written = Some(end);
        if end <= now {
            return Ok(end);
        }
        // A revocation may have been stored while this retirement was on its way, and be overwritten by it: look again.
    }
    Err(Unavailable { dependency: "REVOCATIONS", problem: format!("the end of {} keeps changing", token.as_str()) })
}

async fn settle(host: &impl Host, client_id: &str, token: &TokenId, at: u64, now: u64) -> Result<u64, Unavailable> {
    let ask = Ask::End { token_id: token.as_str().to_owned(), at, until: token.expires_at, now };
    match host.once(&object_name(client_id), &ask).await? {
        Answer::Ends { at } => Ok(at),
        other => Err(Unavailable { dependency: "ONCE", problem: format!("answered {other:?} to the end of a token") }),
    }
}

async fn store(host: &impl Host, token: &TokenId, ends_at: u64, now: u64) -> Result<(), Unavailable> {
    let entry = serde_json::to_string(&Entry { version: ENTRY_VERSION, ends_at })
        .map_err(|error| Unavailable { dependency: "REVOCATIONS", problem: error.to_string() })?;
    host.store_revocation(token.as_str(), &entry, token.expires_at.max(now + SHORTEST_EXPIRY)).await
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
        let entry = Entry { version: ENTRY_VERSION, ends_at: 1_800_000_000 };
        let json = r#"{"version":1,"ends_at":1800000000}"#;
        assert_eq!(serde_json::to_string(&entry).unwrap(), json);
        assert_eq!(serde_json::from_str::<Entry>(json).unwrap(), entry);
    }
}
