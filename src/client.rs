//! A client as the registry stores it: one JSON value in `CLIENTS` under the client id. `admin` writes it.

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::error::Unavailable;
use crate::keys::{JwkSet, PublicJwk};
use crate::scope::Scopes;
use crate::secret::Secret;

/// The version of the stored format. A record of another version is not read.
pub const RECORD_VERSION: u32 = 1;
/// How many live secrets a client may have: two, so that one replaces the other without downtime.
pub const MAX_SECRETS: usize = 2;
const MAX_ID_LENGTH: usize = 128;
const SALT_LENGTH: usize = 16;
const DIGEST_LENGTH: usize = 32;

/// A client's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientRecord {
    pub version: u32,
    pub client_id: String,
    pub status: Status,
    /// What its credentials may be granted.
    pub scopes: Scopes,
    pub mechanisms: Vec<Mechanism>,
    /// The longest life of its long-term tokens, seconds.
    pub max_ttl_seconds: u64,
    /// Tokens issued before this (Unix seconds) count as revoked.
    pub tokens_valid_from: u64,
    pub secrets: Vec<StoredSecret>,
    /// The TOTP seed, sealed (`keys::KeySet::seal`).
    pub totp: Option<String>,
    /// The public keys that sign its assertions.
    pub jwks: JwkSet<PublicJwk>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Active,
    Suspended,
}

/// A way to get a long-term token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    Secret,
    Otp,
    Assertion,
    Rotation,
}

impl Mechanism {
    pub const ALL: [Self; 4] = [Self::Secret, Self::Otp, Self::Assertion, Self::Rotation];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Otp => "otp",
            Self::Assertion => "assertion",
            Self::Rotation => "rotation",
        }
    }
}

/// A client secret as it is stored: salted SHA-256. A secret is 256 random bits, so there is nothing to guess and a
/// slow hash would only cost time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredSecret {
    /// Names the secret to the operator.
    pub id: String,
    salt: String,
    sha256: String,
    /// When it ends (Unix seconds), if it does.
    pub expires_at: Option<u64>,
}

/// The part of a record that decides whether a client's tokens live. Reading it alone keeps an exchange cheap.
#[derive(Debug, Deserialize)]
pub struct Standing {
    version: u32,
    status: Status,
    tokens_valid_from: u64,
}

impl ClientRecord {
    pub fn parse(json: &str) -> Result<Self, Unavailable> {
        let record: Self =
            serde_json::from_slice(json.as_bytes()).map_err(|error| unreadable(error.line(), error.column()))?;
        if record.version == RECORD_VERSION { Ok(record) } else { Err(unknown_version(record.version)) }
    }

    pub fn allows(&self, mechanism: Mechanism) -> bool {
        self.mechanisms.contains(&mechanism)
    }
}

impl Standing {
    pub fn parse(json: &str) -> Result<Self, Unavailable> {
        let standing: Self =
            serde_json::from_slice(json.as_bytes()).map_err(|error| unreadable(error.line(), error.column()))?;
        if standing.version == RECORD_VERSION { Ok(standing) } else { Err(unknown_version(standing.version)) }
    }

    /// Whether a token issued then (Unix seconds) still counts.
    pub fn honours(&self, issued_at: u64) -> bool {
        self.status == Status::Active && issued_at >= self.tokens_valid_from
    }
}

fn unreadable(line: usize, column: usize) -> Unavailable {
    Unavailable {
        dependency: "CLIENTS",
        problem: format!("a client's record can't be read (line {line}, column {column}); write it again with admin"),
    }
}

fn unknown_version(version: u32) -> Unavailable {
    Unavailable {
        dependency: "CLIENTS",
        problem: format!("a client's record has version {version}; this worker reads {RECORD_VERSION}"),
    }
}

impl StoredSecret {
    pub fn new(id: &str, secret: &Secret, salt: [u8; SALT_LENGTH], expires_at: Option<u64>) -> Self {
        let sha256 = Base64UrlUnpadded::encode_string(&digest(&salt, secret));
        Self { id: id.to_owned(), salt: Base64UrlUnpadded::encode_string(&salt), sha256, expires_at }
    }

    fn matches(&self, secret: &Secret, now: u64) -> Option<Choice> {
        let mut salt = [0; SALT_LENGTH];
        let mut stored = [0; DIGEST_LENGTH];
        Base64UrlUnpadded::decode(&self.salt, &mut salt).ok().filter(|salt| salt.len() == SALT_LENGTH)?;
        Base64UrlUnpadded::decode(&self.sha256, &mut stored).ok().filter(|stored| stored.len() == DIGEST_LENGTH)?;
        let live = self.expires_at.is_none_or(|end| now < end);
        Some(digest(&salt, secret).ct_eq(&stored) & Choice::from(u8::from(live)))
    }
}

/// Whether `secret` is one of the client's live secrets. The work is the same for every client, known or not.
pub fn secret_matches(record: Option<&ClientRecord>, secret: &Secret, now: u64) -> bool {
    let stored = record.map_or(&[][..], |record| &record.secrets);
    let mut matched = Choice::from(0);
    for slot in 0..MAX_SECRETS {
        matched |= match stored.get(slot).and_then(|stored| stored.matches(secret, now)) {
            Some(choice) => choice,
            None => digest(&[0; SALT_LENGTH], secret).ct_eq(&[0; DIGEST_LENGTH]) & Choice::from(0),
        };
    }
    matched.into()
}

fn digest(salt: &[u8; SALT_LENGTH], secret: &Secret) -> [u8; DIGEST_LENGTH] {
    Sha256::new().chain_update(salt).chain_update(secret.expose()).finalize().into()
}

/// Whether a client could have this id: 1 to 128 letters, digits, `-`, `_`, `.` or `~`. No other is ever looked up.
pub fn is_client_id(text: &str) -> bool {
    (1..=MAX_ID_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~'))
        // KV reserves these two as keys.
        && text != "."
        && text != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(secrets: Vec<StoredSecret>) -> ClientRecord {
        ClientRecord {
            version: RECORD_VERSION,
            client_id: "c2m_abc123".into(),
            status: Status::Active,
            scopes: Scopes::parse_claim("jobs:* templates:read").unwrap(),
            mechanisms: vec![Mechanism::Secret, Mechanism::Rotation],
            max_ttl_seconds: 7_776_000,
            tokens_valid_from: 0,
            secrets,
            totp: None,
            jwks: JwkSet { keys: vec![] },
        }
    }

    #[test]
    fn the_stored_format_is_pinned() {
        let record = record(vec![StoredSecret::new("s1", &Secret::new("x"), [1; 16], None)]);
        let json = r#"{"version":1,"client_id":"c2m_abc123","status":"active","scopes":["jobs:*","templates:read"],"mechanisms":["secret","rotation"],"max_ttl_seconds":7776000,"tokens_valid_from":0,"secrets":[{"id":"s1","salt":"AQEBAQEBAQEBAQEBAQEBAQ","sha256":"mOOM2_5d1JaMUKF7hr7qDNsBjynQgPBn9CtQz6LWEVY","expires_at":null}],"totp":null,"jwks":{"keys":[]}}"#;
        assert_eq!(serde_json::to_string(&record).unwrap(), json);
        assert_eq!(ClientRecord::parse(json).unwrap(), record);
        assert!(Standing::parse(json).unwrap().honours(0));
    }

    #[test]
    fn another_version_is_not_read() {
        let json = serde_json::to_string(&record(vec![])).unwrap().replace("\"version\":1", "\"version\":2");
        assert!(ClientRecord::parse(&json).is_err());
        assert!(Standing::parse(&json).is_err());
        assert!(Standing::parse("{}").is_err());
    }

    #[test]
    fn either_live_secret_matches() {
        let [old, new, other] = ["old", "new", "other"].map(Secret::new);
        let record =
            record(vec![StoredSecret::new("1", &old, [1; 16], Some(100)), StoredSecret::new("2", &new, [2; 16], None)]);
        assert!(secret_matches(Some(&record), &old, 99));
        assert!(!secret_matches(Some(&record), &old, 100));
        assert!(secret_matches(Some(&record), &new, 100));
        assert!(!secret_matches(Some(&record), &other, 0));
        assert!(!secret_matches(None, &new, 0));
    }

    #[test]
    fn a_secret_is_compared_exactly() {
        let record = record(vec![StoredSecret::new("1", &Secret::new("Secret"), [1; 16], None)]);
        for near in ["secret", "Secret ", " Secret", "Secret\0", ""] {
            assert!(!secret_matches(Some(&record), &Secret::new(near), 0), "{near:?}");
        }
    }

    #[test]
    fn suspension_and_the_kill_switch_end_tokens() {
        let parse = |from: &str, to: &str| {
            Standing::parse(&serde_json::to_string(&record(vec![])).unwrap().replace(from, to)).unwrap()
        };
        assert!(!parse("active", "suspended").honours(u64::MAX));
        let standing = parse("\"tokens_valid_from\":0", "\"tokens_valid_from\":100");
        assert!(!standing.honours(99));
        assert!(standing.honours(100));
    }

    #[test]
    fn client_ids() {
        for good in ["c2m_abc123", "a", "A.b-c~d", &"x".repeat(128)] {
            assert!(is_client_id(good), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "ä", "a\0", &"x".repeat(129)] {
            assert!(!is_client_id(bad), "{bad}");
        }
    }
}
