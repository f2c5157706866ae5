//! A client. Its Durable Object holds its record and makes every decision that must be consistent (`object`). KV holds
//! a replica of its status, scopes and early ends, for exchanges (`replica`).

pub mod ask;
pub mod change;
mod codes;
mod ends;
#[cfg(test)]
mod fuzz;
pub mod ground;
pub mod jwk;
pub mod object;
mod operator_asks;
mod publication;
pub mod replica;
mod step;
mod token_asks;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::error::{TokenFault, Unavailable};
use crate::scope::Scopes;
use crate::secret::Secret;
use crate::value::{self, readable};
use jwk::{JwkSet, PublicJwk};

/// The version of the stored format. A record of another version is refused.
const RECORD_VERSION: u32 = 1;
/// How many live secrets a client may have: two, so that one replaces the other without downtime.
pub const MAX_SECRETS: usize = 2;
/// The bounds of a long-term token's lifetime, seconds.
pub const MIN_TTL: u64 = 3_600;
pub const MAX_TTL: u64 = 7_776_000;
/// How long after its `auth_time` a token may be rotated, seconds: 366 days.
pub const LONGEST_SESSION: u64 = 366 * 86_400;
const MAX_ID_LENGTH: usize = 128;
const SALT_LENGTH: usize = 16;
const DIGEST_LENGTH: usize = 32;

/// A client's record, as its object stores it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Client {
    version: u32,
    pub client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    pub status: Status,
    /// The scopes that it may be granted. They also limit tokens that were issued before.
    pub scopes: Scopes,
    pub mechanisms: Vec<Mechanism>,
    /// The longest lifetime of its long-term tokens, seconds.
    pub max_ttl_seconds: u64,
    pub consistency: Consistency,
    /// The requested location of its object (a location hint).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// A token whose `auth_time` is before this (Unix seconds) counts as revoked.
    pub tokens_valid_from: u64,
    pub secrets: Vec<StoredSecret>,
    /// The TOTP seed, sealed (`keys::KeySet::seal`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub totp: Option<String>,
    /// The public keys that verify its assertions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<JwkSet<PublicJwk>>,
    /// Unix seconds.
    pub created_at: u64,
    pub updated_at: u64,
    /// Grows with each change, including changes that are not shown, such as a second new seed within a second.
    pub revision: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Active,
    Suspended,
    /// Its credentials and tokens no longer work, and its id is never reused.
    Deleted,
}

/// What an exchange asks: the replica, which may lag, or the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    Eventual,
    Immediate,
}

/// A way to get a long-term token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    Secret,
    Otp,
    Assertion,
    Rotation,
}

readable!(struct Client {
    version, client_id, client_name, status, scopes, mechanisms, max_ttl_seconds, consistency, region, tokens_valid_from, secrets,
    totp, jwks, created_at, updated_at, revision,
});
readable!(struct StoredSecret { secret_id, salt, sha256, created_at, expires_at });
readable!(struct Operator { client_id, created_at, scopes, mechanisms, secrets, jwks });
readable!(enum Status { "active" => Active, "suspended" => Suspended, "deleted" => Deleted });
readable!(enum Consistency { "eventual" => Eventual, "immediate" => Immediate });
readable!(enum Mechanism { "secret" => Secret, "otp" => Otp, "assertion" => Assertion, "rotation" => Rotation });

impl Status {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}

impl Consistency {
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "eventual" => Some(Self::Eventual),
            "immediate" => Some(Self::Immediate),
            _ => None,
        }
    }
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

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }
}

/// A client secret as stored: salted SHA-256. A slow hash would add nothing: a secret is 256 random bits and can't be
/// guessed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredSecret {
    /// The id by which operators name the secret.
    pub secret_id: String,
    salt: String,
    sha256: String,
    /// Unix seconds.
    pub created_at: u64,
    /// When it ends (Unix seconds), if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

/// The value of the secret `OPERATOR`: the first operator's record, made by `admin init`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operator {
    pub client_id: String,
    /// Unix seconds; tokens from before it count as revoked.
    pub created_at: u64,
    pub scopes: Scopes,
    pub mechanisms: Vec<Mechanism>,
    pub secrets: Vec<StoredSecret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<JwkSet<PublicJwk>>,
}

impl Operator {
    /// Parses the secret. An error does not quote its content.
    pub fn parse(json: &str) -> Result<Self, String> {
        let operator: Self = value::read(json)
            .ok_or("is not an operator's record, or has an unknown or missing member; make it with `admin init`")?;
        if !is_client_id(&operator.client_id) {
            return Err("has an invalid client_id; use 1 to 128 letters, digits, '-', '_', '.' or '~'".to_owned());
        }
        if let Some(problem) = operator.jwks.iter().flat_map(|set| &set.keys).find_map(|key| key.algorithm().err()) {
            return Err(format!("has a key in jwks that can't be used: {problem}"));
        }
        let can_log_in = operator.secrets.iter().any(StoredSecret::is_sound) || operator.jwks.is_some();
        if !can_log_in || operator.secrets.len() > MAX_SECRETS || !operator.secrets.iter().all(StoredSecret::is_sound) {
            return Err(format!("needs 1 to {MAX_SECRETS} secrets, each with salt and sha256 in base64url, or jwks"));
        }
        Ok(operator)
    }

    /// The operator as a client. `ended` is when `end-tokens` last ended its tokens, or 0.
    pub fn client(&self, ended: u64) -> Client {
        Client {
            mechanisms: self.mechanisms.clone(),
            consistency: Consistency::Immediate,
            tokens_valid_from: self.created_at.max(ended),
            secrets: self.secrets.clone(),
            jwks: self.jwks.clone(),
            updated_at: self.created_at.max(ended),
            ..Client::new(&self.client_id, self.scopes.clone(), self.created_at)
        }
    }
}

impl Client {
    /// A new client, without credentials.
    pub fn new(client_id: &str, scopes: Scopes, now: u64) -> Self {
        Self {
            version: RECORD_VERSION,
            client_id: client_id.to_owned(),
            client_name: None,
            status: Status::Active,
            scopes,
            mechanisms: Vec::new(),
            max_ttl_seconds: MAX_TTL,
            consistency: Consistency::Eventual,
            region: None,
            tokens_valid_from: now,
            secrets: Vec::new(),
            totp: None,
            jwks: None,
            created_at: now,
            updated_at: now,
            revision: 0,
        }
    }

    pub fn parse(json: &str) -> Result<Self, Unavailable> {
        let client: Self = value::read(json).ok_or_else(|| unreadable("can't be read".to_owned()))?;
        if client.version != RECORD_VERSION {
            return Err(unreadable(format!("has version {}; this worker reads {RECORD_VERSION}", client.version)));
        }
        Ok(client)
    }

    pub fn allows(&self, mechanism: Mechanism) -> bool {
        self.mechanisms.contains(&mechanism)
    }

    pub fn is_immediate(&self) -> bool {
        self.consistency == Consistency::Immediate
    }

    /// Checks that the client is active, and that `end-tokens` has not ended tokens with this `auth_time` (Unix
    /// seconds).
    pub fn honours(&self, auth_time: u64) -> Result<(), TokenFault> {
        let counts = self.status == Status::Active && auth_time >= self.tokens_valid_from;
        if counts { Ok(()) } else { Err(TokenFault::ClientEnded) }
    }

    /// What is stored for a deleted client, for ever.
    pub fn tombstone(&self, now: u64) -> Self {
        let mut left = Self::new(&self.client_id, self.scopes.clone(), self.created_at);
        (left.status, left.consistency, left.updated_at) = (Status::Deleted, self.consistency, now);
        left
    }

    /// Removes expired secrets. Returns whether there were any.
    pub fn drop_ended_secrets(&mut self, now: u64) -> bool {
        let before = self.secrets.len();
        self.secrets.retain(|secret| secret.lives(now));
        self.secrets.len() < before
    }
}

fn unreadable(problem: String) -> Unavailable {
    Unavailable::new("CLIENT", format!("the record of a client {problem}"))
}

impl StoredSecret {
    pub fn new(secret_id: &str, secret: &Secret, salt: [u8; SALT_LENGTH], now: u64) -> Self {
        let sha256 = Base64UrlUnpadded::encode_string(&digest(&salt, secret));
        let salt = Base64UrlUnpadded::encode_string(&salt);
        Self { secret_id: secret_id.to_owned(), salt, sha256, created_at: now, expires_at: None }
    }

    fn lives(&self, now: u64) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    fn is_sound(&self) -> bool {
        self.matches(&Secret::new(""), 0).is_some()
    }

    fn matches(&self, secret: &Secret, now: u64) -> Option<Choice> {
        let mut salt = [0; SALT_LENGTH];
        let mut stored = [0; DIGEST_LENGTH];
        Base64UrlUnpadded::decode(&self.salt, &mut salt).ok().filter(|salt| salt.len() == SALT_LENGTH)?;
        Base64UrlUnpadded::decode(&self.sha256, &mut stored).ok().filter(|stored| stored.len() == DIGEST_LENGTH)?;
        Some(digest(&salt, secret).ct_eq(&stored) & Choice::from(u8::from(self.lives(now))))
    }
}

/// Whether `secret` matches one of the stored secrets that are live. Takes the same time for every client, known or
/// not.
pub fn secret_matches(stored: &[StoredSecret], secret: &Secret, now: u64) -> bool {
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

/// Whether a text has the form of a secret's id. A client secret is longer, so it is never mistaken for one.
pub fn is_secret_id(text: &str) -> bool {
    text.len() <= 20 && text.starts_with("sec_") && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a text is a valid client id: 1 to 128 letters, digits, `-`, `_`, `.` or `~`. Others are never looked up.
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

    fn client(secrets: Vec<StoredSecret>) -> Client {
        let mut client = Client::new("c2m_abc123", Scopes::parse_claim("jobs:* templates:read").unwrap(), 100);
        client.mechanisms = vec![Mechanism::Secret, Mechanism::Rotation];
        client.secrets = secrets;
        client
    }

    #[test]
    fn the_stored_format_is_pinned() {
        let client = client(vec![StoredSecret::new("s1", &Secret::new("x"), [1; 16], 100)]);
        let json = r#"{"version":1,"client_id":"c2m_abc123","status":"active","scopes":["jobs:*","templates:read"],"mechanisms":["secret","rotation"],"max_ttl_seconds":7776000,"consistency":"eventual","tokens_valid_from":100,"secrets":[{"secret_id":"s1","salt":"AQEBAQEBAQEBAQEBAQEBAQ","sha256":"mOOM2_5d1JaMUKF7hr7qDNsBjynQgPBn9CtQz6LWEVY","created_at":100}],"created_at":100,"updated_at":100,"revision":0}"#;
        assert_eq!(serde_json::to_string(&client).unwrap(), json);
        assert_eq!(Client::parse(json).unwrap(), client);
    }

    #[test]
    fn another_version_is_not_read() {
        let json = serde_json::to_string(&client(vec![])).unwrap().replace("\"version\":1", "\"version\":2");
        assert!(Client::parse(&json).is_err());
        assert!(Client::parse("{}").is_err());
    }

    #[test]
    fn either_live_secret_matches() {
        let [old, new, other] = ["old", "new", "other"].map(Secret::new);
        let mut secrets = [&old, &new].map(|secret| StoredSecret::new("s", secret, [1; 16], 0));
        secrets[0].expires_at = Some(100);
        assert!(secret_matches(&secrets, &old, 99));
        assert!(!secret_matches(&secrets, &old, 100));
        assert!(secret_matches(&secrets, &new, 100));
        assert!(!secret_matches(&secrets, &other, 0));
        assert!(!secret_matches(&[], &new, 0));
        let mut client = client(secrets.to_vec());
        assert!(!client.drop_ended_secrets(99) && client.drop_ended_secrets(100));
        assert_eq!(client.secrets, secrets[1..]);
    }

    #[test]
    fn a_secret_is_compared_exactly() {
        let secrets = [StoredSecret::new("1", &Secret::new("Secret"), [1; 16], 0)];
        for near in ["secret", "Secret ", " Secret", "Secret\0", ""] {
            assert!(!secret_matches(&secrets, &Secret::new(near), 0), "{near:?}");
        }
    }

    #[test]
    fn a_suspension_and_end_tokens_refuse_earlier_tokens() {
        let mut client = client(vec![]);
        assert!(client.honours(99).is_err() && client.honours(100).is_ok());
        client.status = Status::Suspended;
        assert!(client.honours(u64::MAX).is_err());
        assert!(client.tombstone(200).honours(u64::MAX).is_err());
    }

    #[test]
    fn nothing_secret_is_left_of_a_deleted_client() {
        let client = client(vec![StoredSecret::new("s1", &Secret::new("x"), [1; 16], 100)]);
        let left = client.tombstone(200);
        assert_eq!((left.status, left.secrets.len(), left.totp, left.jwks), (Status::Deleted, 0, None, None));
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

    #[test]
    fn the_setting_operator_is_parsed_strictly() {
        let operator = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut json = serde_json::json!({
                "client_id": "operator", "created_at": 100, "scopes": ["clients:*"], "mechanisms": ["secret", "rotation"],
                "secrets": [StoredSecret::new("s1", &Secret::new("x"), [1; 16], 100)],
            });
            change(&mut json);
            Operator::parse(&json.to_string())
        };
        let client = operator(&|_| {}).unwrap().client(0);
        assert_eq!((client.consistency, client.tokens_valid_from), (Consistency::Immediate, 100));
        assert_eq!(operator(&|_| {}).unwrap().client(200).tokens_valid_from, 200);
        type Change = fn(&mut serde_json::Value);
        let changes: [(&str, Change); 5] = [
            ("an id that is none", |json| json["client_id"] = ".".into()),
            ("no secret", |json| json["secrets"] = serde_json::json!([])),
            ("a broken hash", |json| json["secrets"][0]["sha256"] = "xyz".into()),
            ("an unknown member", |json| json["status"] = "active".into()),
            ("no scopes", |json| json["scopes"] = serde_json::json!([])),
        ];
        for (name, change) in changes {
            let error = operator(&change).expect_err(name);
            assert!(!error.contains("mOOM2"), "{error}");
        }
        assert!(Operator::parse("").is_err());
    }
}
