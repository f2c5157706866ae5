//! Self-authenticating token ids.
//!
//! `tok_lt_…` or `tok_st_…`, then 44 characters of base64url: the token's expiry (5 bytes, Unix seconds, big-endian),
//! 12 random bytes, and a 16-byte MAC over the kind, the expiry, the random bytes and the client id. So the service can
//! tell without a look-up that it issued an id, to which client, and until when a revocation of it must be stored.

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, Mac};
use serde::Serialize;
use sha2::Sha256;

use crate::keys::MacKey;
use crate::value::readable;

const END: usize = 5;
const RANDOM: usize = 12;
const MAC: usize = 16;
const LENGTH: usize = END + RANDOM + MAC;

/// The length of both prefixes, and of what `key` returns.
const PREFIX: usize = 7;
const KEY: usize = 22;

/// The random part of a token id; it must be fresh for each token.
pub type Random = [u8; RANDOM];

/// The two kinds of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Kind {
    Long,
    Short,
}

impl Kind {
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Long => "tok_lt_",
            Self::Short => "tok_st_",
        }
    }
}

/// An id whose MAC has been checked for one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenId {
    pub kind: Kind,
    /// When the token expires, Unix seconds.
    pub expires_at: u64,
    text: String,
}

readable!(enum Kind { "Long" => Long, "Short" => Short });
readable!(struct TokenId { kind, expires_at, text });

/// The part of an id that is unique among the client's ids: the first 22 characters after the prefix, which hold the
/// expiry and most of the random bytes. A text too short for that is returned whole.
pub fn key(token_id: &str) -> &str {
    token_id.get(PREFIX..PREFIX + KEY).unwrap_or(token_id)
}

impl TokenId {
    /// Makes an id. `expires_at` has 40 bits, enough until the year 36812.
    pub fn mint(key: &MacKey, kind: Kind, client_id: &str, expires_at: u64, random: Random) -> Self {
        let mut bytes = [0; LENGTH];
        bytes[..END].copy_from_slice(&expires_at.to_be_bytes()[8 - END..]);
        bytes[END..END + RANDOM].copy_from_slice(&random);
        let tag = mac(key, kind, &bytes[..END + RANDOM], client_id).finalize().into_bytes();
        bytes[END + RANDOM..].copy_from_slice(&tag[..MAC]);
        let text = format!("{}{}", kind.prefix(), Base64UrlUnpadded::encode_string(&bytes));
        Self { kind, expires_at, text }
    }

    /// Parses an id of `client_id`. `None` if it is malformed, forged or another client's, which can't be told apart.
    /// Any of `keys` may have made it.
    pub fn verify<'k>(keys: impl IntoIterator<Item = &'k MacKey>, text: &str, client_id: &str) -> Option<Self> {
        let kind = [Kind::Long, Kind::Short].into_iter().find(|kind| text.starts_with(kind.prefix()))?;
        let mut buffer = [0; LENGTH];
        let bytes = Base64UrlUnpadded::decode(&text[kind.prefix().len()..], &mut buffer).ok()?;
        if bytes.len() != LENGTH {
            return None;
        }
        let (signed, tag) = bytes.split_at(END + RANDOM);
        let mut genuine = false;
        for key in keys {
            genuine |= mac(key, kind, signed, client_id).verify_truncated_left(tag).is_ok();
        }
        let expires_at = signed[..END].iter().fold(0, |end, byte| (end << 8) | u64::from(*byte));
        genuine.then(|| Self { kind, expires_at, text: text.to_owned() })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn into_string(self) -> String {
        self.text
    }
}

fn mac(key: &MacKey, kind: Kind, signed: &[u8], client_id: &str) -> Hmac<Sha256> {
    // The kind and the signed part have fixed lengths, so the client id needs no delimiter.
    let mut mac = key.start();
    mac.update(kind.prefix().as_bytes());
    mac.update(signed);
    mac.update(client_id.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> MacKey {
        MacKey::new(&[byte; 32])
    }

    #[test]
    fn the_format_is_pinned() {
        let id = TokenId::mint(&key(7), Kind::Long, "c2m_abc123", 1_800_000_000, [9; RANDOM]);
        assert_eq!(id.as_str(), "tok_lt_AGtJ0gAJCQkJCQkJCQkJCQlgow7hEDTjGIRtTEuf4_sH");
    }

    #[test]
    fn an_id_knows_its_kind_and_end() {
        for kind in [Kind::Long, Kind::Short] {
            let id = TokenId::mint(&key(1), kind, "a", 1_800_000_000, [3; RANDOM]);
            assert_eq!(TokenId::verify([&key(1)], id.as_str(), "a"), Some(id));
        }
    }

    #[test]
    fn an_older_key_still_verifies() {
        let id = TokenId::mint(&key(1), Kind::Short, "a", 5, [3; RANDOM]);
        assert!(TokenId::verify([&key(2), &key(1)], id.as_str(), "a").is_some());
        assert!(TokenId::verify([&key(2)], id.as_str(), "a").is_none());
    }

    #[test]
    fn another_client_sees_nothing() {
        let id = TokenId::mint(&key(1), Kind::Long, "alice", 5, [3; RANDOM]);
        for other in ["alic", "alice2", "", "Alice"] {
            assert!(TokenId::verify([&key(1)], id.as_str(), other).is_none(), "{other}");
        }
    }

    #[test]
    fn the_kind_is_authenticated() {
        let id = TokenId::mint(&key(1), Kind::Long, "a", 5, [3; RANDOM]);
        assert!(TokenId::verify([&key(1)], &id.as_str().replace("tok_lt_", "tok_st_"), "a").is_none());
    }

    proptest! {
        #[test]
        fn a_changed_character_is_a_forgery(at in 7usize..51, to in "[A-Za-z0-9_-]") {
            let id = TokenId::mint(&key(1), Kind::Long, "a", 1_800_000_000, [3; RANDOM]);
            let mut forged = id.as_str().to_owned();
            forged.replace_range(at..=at, &to);
            prop_assert_eq!(TokenId::verify([&key(1)], &forged, "a").is_some(), forged == id.as_str());
        }
    }
}
