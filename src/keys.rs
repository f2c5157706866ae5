//! The service's own keys, parsed from the secret `AUTH_KEYS` (RFC 7517, RFC 8037).
//!
//! `AUTH_KEYS` is a JWK Set in which `use` says what a key is for. The first key of a use signs; all of them verify. To
//! rotate a key without a failed request: append the new one, wait until every location has it, move it to the front,
//! and drop the old one when the last token that it signed has expired.

use core::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use jwt_compact::alg::Hs256Key;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::client::jwk::{Algorithm, JwkSet, PublicJwk, decode};
use crate::secret::Secret;
use crate::value::{self, readable};

/// Signs long-term tokens: `{"kty":"oct","alg":"HS256"}`.
pub const USE_LONG: &str = "lt+jwt";
/// Signs short-term tokens: `{"kty":"OKP","crv":"Ed25519","alg":"EdDSA"}`.
pub const USE_SHORT: &str = "at+jwt";
/// Authenticates token ids: `{"kty":"oct","alg":"HS256"}`.
pub const USE_TOKEN_ID: &str = "token-id";
/// Seals the TOTP seeds of clients: `{"kty":"oct","alg":"XC20P"}`.
pub const USE_SEAL: &str = "totp-seal";

const SYMMETRIC_LENGTH: usize = 32;
const NONCE_LENGTH: usize = 24;

/// A key of `AUTH_KEYS`, as written there (RFC 7517, section 4).
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivateJwk {
    pub kty: String,
    #[serde(rename = "use")]
    pub key_use: String,
    pub kid: String,
    pub alg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// May be absent from an Ed25519 key that no longer signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k: Option<String>,
}

/// The service's keys: at least one for each use, all valid.
#[derive(Debug)]
pub struct KeySet {
    pub long: Ring<LongKey>,
    pub short: Ring<ShortKey>,
    pub token_id: Ring<MacKey>,
    pub seal: Ring<SealKey>,
}

/// The keys of one use: the first signs (or seals), all verify (or open).
#[derive(Debug)]
pub struct Ring<K> {
    first: K,
    others: Vec<K>,
}

/// An HS256 key for long-term tokens.
pub struct LongKey {
    pub kid: String,
    pub key: Hs256Key,
}

/// An Ed25519 key for short-term tokens. Only the first of its ring needs the private half.
#[derive(Debug)]
pub struct ShortKey {
    pub public: PublicJwk,
    pub private: Option<Secret>,
}

/// A key that authenticates token ids, as an HMAC state that has already absorbed it.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

/// A key that seals TOTP seeds.
pub struct SealKey {
    kid: String,
    cipher: XChaCha20Poly1305,
}

/// Why `AUTH_KEYS` can't be used. Names a key by its position and `kid`, never by its value.
#[derive(Debug, PartialEq, Eq)]
pub struct KeySetError(String);

impl KeySet {
    pub fn parse(json: &str) -> Result<Self, KeySetError> {
        let set: JwkSet<PrivateJwk> = value::read(json).ok_or_else(|| {
            KeySetError("is not a JWK Set, or a key has an unknown member; make it with `admin keys`".to_owned())
        })?;
        let (mut long, mut short, mut token_id, mut seal) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (index, jwk) in set.keys.iter().enumerate() {
            let wrong = |what: &str| KeySetError(format!("has a fault in key {index} (kid {:?}): {what}", jwk.kid));
            if jwk.is_all_zeros() {
                return Err(wrong("the key is all zeros; make one with `admin keys`"));
            }
            if set.keys[..index].iter().any(|other| other.shares_material(jwk)) {
                return Err(wrong("the same key is already in the set; remove one, or make another with `admin keys`"));
            }
            if jwk.kid.is_empty() || set.keys[..index].iter().any(|other| other.kid == jwk.kid) {
                return Err(wrong("kid must be present and different from all others"));
            }
            match jwk.key_use.as_str() {
                USE_LONG => {
                    let key = jwk.symmetric("HS256").map_err(wrong)?;
                    long.push(LongKey { kid: jwk.kid.clone(), key: Hs256Key::new(key.as_slice()) });
                }
                USE_SHORT => short.push(jwk.ed25519(short.is_empty()).map_err(wrong)?),
                USE_TOKEN_ID => token_id.push(MacKey::new(&*jwk.symmetric("HS256").map_err(wrong)?)),
                USE_SEAL => seal.push(SealKey::new(&jwk.kid, &*jwk.symmetric("XC20P").map_err(wrong)?).map_err(wrong)?),
                _ => return Err(wrong("use must be one of lt+jwt, at+jwt, token-id, totp-seal")),
            }
        }
        Ok(Self {
            long: Ring::new(long, USE_LONG)?,
            short: Ring::new(short, USE_SHORT)?,
            token_id: Ring::new(token_id, USE_TOKEN_ID)?,
            seal: Ring::new(seal, USE_SEAL)?,
        })
    }

    /// Decrypts a seed that was sealed for this client with any of the seal keys. The format is `kid.nonce.ciphertext`.
    pub fn unseal(&self, client_id: &str, sealed: &str) -> Option<Secret> {
        let mut parts = sealed.splitn(3, '.');
        let (kid, nonce, ciphertext) = (parts.next()?, parts.next()?, parts.next()?);
        let key = self.seal.iter().find(|key| key.kid == kid)?;
        let nonce = Base64UrlUnpadded::decode_vec(nonce).ok().filter(|nonce| nonce.len() == NONCE_LENGTH)?;
        let msg = Base64UrlUnpadded::decode_vec(ciphertext).ok()?;
        let payload = Payload { msg: &msg, aad: client_id.as_bytes() };
        key.cipher.decrypt(XNonce::from_slice(&nonce), payload).ok().map(Secret::new)
    }

    /// Encrypts a TOTP seed for one client; `unseal` fails for any other. The nonce must be fresh.
    pub fn seal(&self, client_id: &str, seed: &Secret, nonce: [u8; NONCE_LENGTH]) -> Option<String> {
        let key = self.seal.first();
        let payload = Payload { msg: seed.expose(), aad: client_id.as_bytes() };
        let ciphertext = key.cipher.encrypt(XNonce::from_slice(&nonce), payload).ok()?;
        let [nonce, ciphertext] = [&nonce[..], &ciphertext].map(Base64UrlUnpadded::encode_string);
        Some(format!("{}.{nonce}.{ciphertext}", key.kid))
    }
}

readable!(struct PrivateJwk { kty, key_use as "use", kid, alg, crv, x, d, k });
readable!(struct JwkSet<PrivateJwk> { keys });

impl PrivateJwk {
    /// Whether the secret part is all zeros, as an unset or wiped buffer is.
    fn is_all_zeros(&self) -> bool {
        [&self.k, &self.d].into_iter().flatten().any(|secret| {
            let bytes = decode(secret).map(Zeroizing::new);
            bytes.is_some_and(|bytes| !bytes.is_empty() && bytes.iter().all(|byte| *byte == 0))
        })
    }

    fn shares_material(&self, other: &Self) -> bool {
        let same = |mine: &Option<String>, others: &Option<String>| mine.is_some() && mine == others;
        same(&self.k, &other.k) || same(&self.x, &other.x) || same(&self.d, &other.d)
    }

    fn symmetric(&self, alg: &str) -> Result<Zeroizing<[u8; SYMMETRIC_LENGTH]>, &'static str> {
        if self.kty != "oct" || self.alg != alg {
            return Err("kty and alg do not fit use");
        }
        if self.crv.is_some() || self.x.is_some() || self.d.is_some() {
            return Err("a symmetric key must not have crv, x or d");
        }
        let bytes = self.k.as_deref().and_then(decode).map(Zeroizing::new);
        let key = bytes.and_then(|bytes| bytes.as_slice().try_into().ok()).map(Zeroizing::new);
        key.ok_or("k must be 32 bytes in base64url without padding")
    }

    fn ed25519(&self, must_sign: bool) -> Result<ShortKey, &'static str> {
        let public = PublicJwk {
            kid: self.kid.clone(),
            alg: self.alg.clone(),
            kty: self.kty.clone(),
            crv: self.crv.clone(),
            x: self.x.clone(),
            y: None,
            n: None,
            e: None,
        };
        if public.algorithm()? != Algorithm::EdDsa || self.k.is_some() {
            return Err("kty, crv and alg must be OKP, Ed25519 and EdDSA");
        }
        let private = match self.d.as_deref() {
            Some(d) => Some(decode(d).filter(|bytes| bytes.len() == 32).ok_or("d must be 32 bytes in base64url")?),
            None if must_sign => return Err("the first key of a use signs, so it needs its private half d"),
            None => None,
        };
        Ok(ShortKey { public, private: private.map(Secret::new) })
    }
}

impl<K> Ring<K> {
    fn new(mut keys: Vec<K>, key_use: &str) -> Result<Self, KeySetError> {
        if keys.is_empty() {
            return Err(KeySetError(format!("has no key with use {key_use:?}; make one with `admin keys`")));
        }
        let first = keys.remove(0);
        Ok(Self { first, others: keys })
    }

    /// The key for new signatures.
    pub fn first(&self) -> &K {
        &self.first
    }

    /// All keys, the signing one first.
    pub fn iter(&self) -> impl Iterator<Item = &K> {
        core::iter::once(&self.first).chain(&self.others)
    }
}

impl MacKey {
    pub fn new(key: &[u8; SYMMETRIC_LENGTH]) -> Self {
        // HMAC pads a short key with zeros to the block's length. Doing so here makes the constructor infallible.
        let mut block = Zeroizing::new([0; 64]);
        block[..SYMMETRIC_LENGTH].copy_from_slice(key);
        Self(<Hmac<Sha256> as Mac>::new((&*block).into()))
    }

    pub(crate) fn start(&self) -> Hmac<Sha256> {
        self.0.clone()
    }
}

impl SealKey {
    fn new(kid: &str, key: &[u8; SYMMETRIC_LENGTH]) -> Result<Self, &'static str> {
        if kid.contains('.') {
            return Err("the kid of a totp-seal key must not contain a dot");
        }
        Ok(Self { kid: kid.to_owned(), cipher: <XChaCha20Poly1305 as KeyInit>::new(key.into()) })
    }
}

impl fmt::Display for KeySetError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A `Debug` that prints a key as its type and `kid`.
macro_rules! redacted_debug {
    ($type:ty, $name:literal, |$key:ident| $kid:expr) => {
        impl fmt::Debug for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $key = self;
                write!(formatter, "{}({})", $name, $kid)
            }
        }
    };
}

redacted_debug!(PrivateJwk, "PrivateJwk", |key| key.kid);
redacted_debug!(LongKey, "LongKey", |key| key.kid);
redacted_debug!(SealKey, "SealKey", |key| key.kid);
redacted_debug!(MacKey, "MacKey", |_key| "…");

#[cfg(test)]
mod tests {
    use super::*;

    const OCT: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
    const OCT_2: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI";
    const OCT_3: &str = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM";
    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn set() -> serde_json::Value {
        serde_json::json!({"keys": [
            {"kty": "oct", "use": "lt+jwt", "kid": "l", "alg": "HS256", "k": OCT},
            {"kty": "OKP", "crv": "Ed25519", "use": "at+jwt", "kid": "s", "alg": "EdDSA",
             "x": X, "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"},
            {"kty": "oct", "use": "token-id", "kid": "i", "alg": "HS256", "k": OCT_2},
            {"kty": "oct", "use": "totp-seal", "kid": "t", "alg": "XC20P", "k": OCT_3},
        ]})
    }

    fn parse(set: &serde_json::Value) -> Result<KeySet, KeySetError> {
        KeySet::parse(&set.to_string())
    }

    #[test]
    fn a_whole_set_parses() {
        let keys = parse(&set()).unwrap();
        assert_eq!(keys.long.first().kid, "l");
        assert_eq!(keys.short.first().public.kid, "s");
    }

    #[test]
    fn every_use_is_needed() {
        for index in 0..4 {
            let mut set = set();
            set["keys"].as_array_mut().unwrap().remove(index);
            assert!(parse(&set).is_err(), "{index}");
        }
    }

    #[test]
    fn a_fault_is_named_and_no_value_shown() {
        type Change = (&'static str, fn(&mut serde_json::Value));
        let changes: [Change; 14] = [
            ("short k", |set| set["keys"][0]["k"] = "c2hvcnQ".into()),
            ("padded k", |set| set["keys"][0]["k"] = format!("{OCT}=").into()),
            ("wrong alg", |set| set["keys"][0]["alg"] = "HS512".into()),
            ("wrong kty", |set| set["keys"][2]["kty"] = "OKP".into()),
            ("no d", |set| set["keys"][1]["d"] = serde_json::Value::Null),
            ("unknown use", |set| set["keys"][3]["use"] = "enc".into()),
            ("same kid", |set| set["keys"][3]["kid"] = "l".into()),
            ("unknown member", |set| set["keys"][3]["key_ops"] = serde_json::json!([])),
            ("zeros", |set| set["keys"][0]["k"] = "A".repeat(43).into()),
            ("short zeros", |set| set["keys"][0]["k"] = "AAAA".into()),
            ("private zeros", |set| set["keys"][1]["d"] = "A".repeat(43).into()),
            ("one key, two uses", |set| set["keys"][2]["k"] = OCT.into()),
            ("a key twice", |set| {
                let mut again = set["keys"][1].clone();
                again["kid"] = "again".into();
                set["keys"].as_array_mut().unwrap().push(again);
            }),
            ("dotted kid", |set| set["keys"][3]["kid"] = "t.1".into()),
        ];
        for (name, change) in changes {
            let mut set = set();
            change(&mut set);
            let error = parse(&set).expect_err(name).to_string();
            assert!(!error.contains(OCT) && !error.contains("c2hvcnQ") && !error.contains("nWGx"), "{name}: {error}");
        }
        for json in ["", "null", "[]", "{}", "{\"keys\":[]}", "{\"keys\":[\"nWGx\"]}"] {
            let error = KeySet::parse(json).expect_err(json).to_string();
            assert!(!error.contains("nWGx"), "{error}");
        }
    }

    #[test]
    fn an_older_signing_key_may_lose_its_private_half() {
        let mut set = set();
        let mut old = set["keys"][1].clone();
        old["kid"] = "old".into();
        // RFC 8032, section 7.1, test 2.
        old["x"] = "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw".into();
        old.as_object_mut().unwrap().remove("d");
        set["keys"].as_array_mut().unwrap().push(old);
        let keys = parse(&set).unwrap();
        assert_eq!(keys.short.iter().map(|key| key.public.kid.as_str()).collect::<Vec<_>>(), ["s", "old"]);
    }

    #[test]
    fn a_seed_opens_for_its_client_only() {
        let keys = parse(&set()).unwrap();
        let seed = Secret::new("12345678901234567890");
        let sealed = keys.seal("alice", &seed, [5; 24]).unwrap();
        assert_eq!(keys.unseal("alice", &sealed), Some(seed));
        assert_eq!(keys.unseal("bob", &sealed), None);
        for broken in ["", "t", "t.a.b", &sealed[1..], &sealed[..sealed.len() - 1]] {
            assert_eq!(keys.unseal("alice", broken), None, "{broken}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let keys = parse(&set()).unwrap();
        let shown = format!("{keys:?}");
        assert!(!shown.contains(OCT) && !shown.contains("nWGx") && !shown.contains("157, 97"), "{shown}");
    }
}
