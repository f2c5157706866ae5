//! The public keys that verify a client's assertions (RFC 7517, RFC 8037).

use base64ct::{Base64UrlUnpadded, Encoding};
use curve25519_dalek::edwards::CompressedEdwardsY;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::value::{Members, Value, readable};

const MINIMAL_RSA_BITS: usize = 2048;
/// The most keys that a client may have.
const MAX_KEYS: usize = 16;
/// The members of private and symmetric keys (RFC 7518, section 6); a public key has none of them.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A JWK Set (RFC 7517, section 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwkSet<K> {
    pub keys: Vec<K>,
}

/// The signature algorithms that clients may use (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Rs256,
    Ps256,
    Es256,
    EdDsa,
}

impl Algorithm {
    pub const ALL: [Self; 4] = [Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];

    /// The `alg` value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// A public key with the one algorithm that it may be used with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicJwk {
    pub kid: String,
    pub alg: String,
    pub kty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
}

impl PublicJwk {
    /// The algorithm that the key is bound to, if its members fit it; otherwise what is wrong.
    pub fn algorithm(&self) -> Result<Algorithm, &'static str> {
        let algorithm = Algorithm::parse(&self.alg).ok_or("alg must be RS256, PS256, ES256 or EdDSA")?;
        let bytes_32 = |member: &Option<String>| -> Option<[u8; 32]> { decode(member.as_deref()?)?.try_into().ok() };
        let has_32_bytes = |member: &Option<String>| bytes_32(member).is_some();
        match algorithm {
            Algorithm::EdDsa => {
                let fits = self.kty == "OKP" && self.crv.as_deref() == Some("Ed25519");
                let x = bytes_32(&self.x)
                    .filter(|_| fits && self.y.is_none() && self.n.is_none() && self.e.is_none())
                    .ok_or("EdDSA needs kty OKP, crv Ed25519 and x of 32 bytes")?;
                is_strong_ed25519(x)
                    .then_some(algorithm)
                    .ok_or("x is not a canonical Ed25519 public key, or is one of small order")
            }
            Algorithm::Es256 => {
                let fits = self.kty == "EC"
                    && self.crv.as_deref() == Some("P-256")
                    && has_32_bytes(&self.x)
                    && has_32_bytes(&self.y);
                (fits && self.n.is_none() && self.e.is_none())
                    .then_some(algorithm)
                    .ok_or("ES256 needs kty EC, crv P-256, x and y of 32 bytes each")
            }
            Algorithm::Rs256 | Algorithm::Ps256 => {
                if self.kty != "RSA" || self.crv.is_some() || self.x.is_some() || self.y.is_some() {
                    return Err("RS256 and PS256 need kty RSA with n and e");
                }
                let modulus = self.n.as_deref().and_then(decode).ok_or("n must be base64url without padding")?;
                let exponent = self.e.as_deref().and_then(decode).ok_or("e must be base64url without padding")?;
                if bits(&modulus) < MINIMAL_RSA_BITS {
                    return Err("an RSA key must have 2048 bits or more");
                }
                // With e = 1 every signature is valid; an even e has no inverse.
                let odd = exponent.last().is_some_and(|byte| byte & 1 == 1);
                (odd && (2..=32).contains(&bits(&exponent)))
                    .then_some(algorithm)
                    .ok_or("e must be odd, at least 3, and fit 32 bits")
            }
        }
    }

    /// The members of the key itself, without `kid`, `alg` and `use`.
    pub fn material(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("kty", Some(&self.kty)),
            ("crv", self.crv.as_ref()),
            ("x", self.x.as_ref()),
            ("y", self.y.as_ref()),
            ("n", self.n.as_ref()),
            ("e", self.e.as_ref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.as_str())))
    }
}

readable!(struct JwkSet<PublicJwk> { keys });
readable!(struct PublicJwk { kid, alg, kty, crv, x, y, n, e });

impl JwkSet<PublicJwk> {
    /// Parses the member `jwks` of a request. Unknown members of a key are dropped; a private one is refused.
    pub fn from_json(value: Value) -> Result<Self, Error> {
        let wrong = |problem: &str| Error::field("jwks", format!("jwks {problem}."));
        let Value::Object(mut set) = value else {
            return Err(wrong("must be a JWK Set: an object with the array keys"));
        };
        let Some(Value::Array(items)) = set.take("keys") else { return Err(wrong("needs the array keys")) };
        if !(1..=MAX_KEYS).contains(&items.len()) {
            return Err(wrong(&format!("must hold 1 to {MAX_KEYS} keys")));
        }
        let mut keys: Vec<PublicJwk> = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let Value::Object(members) = item else { return Err(wrong("holds a key that is not an object")) };
            let key = PublicJwk::from_members(members)
                .map_err(|problem| wrong(&format!("has a fault in key {index}: {problem}")))?;
            if keys.iter().any(|other| other.kid == key.kid) {
                return Err(wrong(&format!("has a fault in key {index}: its kid is a repeat; give each key its own")));
            }
            keys.push(key);
        }
        Ok(Self { keys })
    }
}

impl PublicJwk {
    fn from_members(mut members: Members) -> Result<Self, &'static str> {
        if PRIVATE_MEMBERS.into_iter().any(|name| members.take(name).is_some()) {
            return Err("it has a private member; send only the public key, and replace this key pair if it is in use");
        }
        let mut text = |name| match members.take(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err("kid, alg, kty, crv, x, y, n and e must be strings"),
        };
        let key = Self {
            kid: text("kid")?.filter(|kid| !kid.is_empty()).ok_or("kid is missing")?,
            alg: text("alg")?.ok_or("alg is missing")?,
            kty: text("kty")?.ok_or("kty is missing")?,
            crv: text("crv")?,
            x: text("x")?,
            y: text("y")?,
            n: text("n")?,
            e: text("e")?,
        };
        key.algorithm().map(|_| key)
    }
}

/// Whether 32 bytes are a valid Ed25519 public key (RFC 8032, section 5.1.5): a canonically encoded point of the curve,
/// not of small order. Under a key of small order anyone can forge a signature.
fn is_strong_ed25519(bytes: [u8; 32]) -> bool {
    let encoded = CompressedEdwardsY(bytes);
    encoded.decompress().is_some_and(|point| !point.is_small_order() && point.compress() == encoded)
}

pub fn decode(text: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text).ok()
}

fn bits(big_endian: &[u8]) -> usize {
    let leading = big_endian.iter().take_while(|byte| **byte == 0).count();
    let zeros = big_endian.get(leading).map_or(0, |byte| byte.leading_zeros() as usize);
    (big_endian.len() - leading) * 8 - zeros
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    #[test]
    fn an_algorithm_is_bound_to_its_key() {
        let rsa = |n: String, e: &str| PublicJwk {
            kid: "k".into(),
            alg: "RS256".into(),
            kty: "RSA".into(),
            crv: None,
            x: None,
            y: None,
            n: Some(n),
            e: Some(e.into()),
        };
        let modulus = |bytes: usize, top: u8| {
            let mut modulus = vec![0xff; bytes];
            modulus[0] = top;
            Base64UrlUnpadded::encode_string(&modulus)
        };
        assert_eq!(rsa(modulus(256, 0x80), "AQAB").algorithm(), Ok(Algorithm::Rs256));
        assert!(rsa(modulus(256, 0x7f), "AQAB").algorithm().is_err(), "2047 bits");
        assert!(rsa(modulus(300, 0), "AQ").algorithm().is_err(), "e = 1");
        assert!(rsa(modulus(256, 0x80), "AQAA").algorithm().is_err(), "even e");
        let mut okp = rsa(modulus(256, 0x80), "AQAB");
        okp.alg = "EdDSA".into();
        assert!(okp.algorithm().is_err());
        okp.alg = "none".into();
        assert!(okp.algorithm().is_err());
        okp.alg = "HS256".into();
        assert!(okp.algorithm().is_err());
    }

    fn ed25519(x: &[u8]) -> PublicJwk {
        PublicJwk {
            kid: "k".into(),
            alg: "EdDSA".into(),
            kty: "OKP".into(),
            crv: Some("Ed25519".into()),
            x: Some(Base64UrlUnpadded::encode_string(x)),
            y: None,
            n: None,
            e: None,
        }
    }

    #[test]
    fn weak_ed25519_keys_are_refused() {
        use curve25519_dalek::constants::EIGHT_TORSION;
        for point in EIGHT_TORSION {
            assert!(ed25519(&point.compress().0).algorithm().is_err(), "{point:?}");
        }
        // y + p, where it still fits 255 bits: nineteen encodings, each with either sign.
        for above in 0..19u8 {
            let mut bytes = [0xff; 32];
            bytes[0] = 0xed + above;
            for sign in [0x7f, 0xff] {
                bytes[31] = sign;
                assert!(ed25519(&bytes).algorithm().is_err(), "{bytes:?}");
            }
        }
        // x = 0 with the sign of a negative x.
        for low in [1u8, 0xec] {
            let mut bytes = if low == 1 { [0; 32] } else { [0xff; 32] };
            bytes[0] = low;
            bytes[31] |= 0x80;
            assert!(ed25519(&bytes).algorithm().is_err(), "{bytes:?}");
        }
        let mut off_the_curve = [0; 32];
        off_the_curve[0] = 2;
        assert!(ed25519(&off_the_curve).algorithm().is_err());
        assert!(ed25519(&decode(X).unwrap()).algorithm().is_ok());
    }
}
