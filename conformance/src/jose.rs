//! The parts of JOSE that a client and a forger need: signing with a private JWK (RFC 7517), reading a JWT (RFC 7519). It
//! shares no code with any server: a fault that both sides had would not be noticed.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use ring::{hmac, rsa};
use serde_json::Value;

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The standard base64 alphabet, for certificates and `data:` URLs.
pub fn b64_padded(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

pub fn unb64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A client's private key, with its registered `kid` and `alg`.
pub struct PrivateKey {
    pub kid: String,
    pub alg: String,
    public: Value,
    signer: Signer,
}

enum Signer {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    Rsa(RsaKeyPair, &'static dyn signature::RsaEncoding),
}

impl PrivateKey {
    /// Reads a private JWK. An error names the faulty member, never its value.
    pub fn from_jwk(text: &str) -> Result<Self, String> {
        let jwk: Value = serde_json::from_str(text).map_err(|_| "it is not a JSON object".to_owned())?;
        let member = |name: &str| -> Result<String, String> {
            jwk.get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .ok_or_else(|| format!("its member \"{name}\" is missing or not a string"))
        };
        let bytes = |name: &str| -> Result<Vec<u8>, String> {
            unb64(&member(name)?).ok_or_else(|| format!("its member \"{name}\" is not base64url"))
        };
        let (kid, alg) = (member("kid")?, member("alg")?);
        let unusable = |_| "its members are not a valid key".to_owned();
        let signer = match alg.as_str() {
            "EdDSA" => Ed25519KeyPair::from_seed_unchecked(&bytes("d")?).map(Signer::Ed25519).map_err(unusable)?,
            "ES256" => {
                let point = [vec![4], bytes("x")?, bytes("y")?].concat();
                EcdsaKeyPair::from_private_key_and_public_key(
                    &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                    &bytes("d")?,
                    &point,
                    &SystemRandom::new(),
                )
                .map(Signer::P256)
                .map_err(unusable)?
            }
            "RS256" | "PS256" => {
                let padding: &'static dyn signature::RsaEncoding =
                    if alg == "RS256" { &signature::RSA_PKCS1_SHA256 } else { &signature::RSA_PSS_SHA256 };
                let parts = rsa::KeyPairComponents {
                    public_key: rsa::PublicKeyComponents { n: bytes("n")?, e: bytes("e")? },
                    d: bytes("d")?,
                    p: bytes("p")?,
                    q: bytes("q")?,
                    dP: bytes("dp")?,
                    dQ: bytes("dq")?,
                    qInv: bytes("qi")?,
                };
                let pair = RsaKeyPair::from_components(&parts).map_err(unusable)?;
                Signer::Rsa(pair, padding)
            }
            _ => return Err("its \"alg\" is not one of EdDSA, ES256, RS256, PS256".to_owned()),
        };
        let public = ["kty", "crv", "x", "y", "n", "e", "kid", "alg"]
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), jwk.get(*name)?.clone())))
            .collect::<serde_json::Map<_, _>>();
        Ok(Self { kid, alg, public: Value::Object(public), signer })
    }

    /// The public JWK.
    pub fn public(&self) -> &Value {
        &self.public
    }

    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let random = SystemRandom::new();
        match &self.signer {
            Signer::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Signer::P256(pair) => pair
                .sign(&random, message)
                .map(|s| s.as_ref().to_vec())
                .map_err(|_| "signing with ES256 failed".to_owned()),
            Signer::Rsa(pair, padding) => rsa_signature(pair, *padding, message),
        }
    }

    /// A new, unregistered key. `None` if the system's random number generator fails.
    pub fn made_up(kid: &str) -> Option<(Self, Value)> {
        let mut seed = [0; 32];
        ring::rand::SecureRandom::fill(&SystemRandom::new(), &mut seed).ok()?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).ok()?;
        let x = b64(pair.public_key().as_ref());
        let public = serde_json::json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "x": x});
        let key = Self {
            kid: kid.to_owned(),
            alg: "EdDSA".to_owned(),
            public: public.clone(),
            signer: Signer::Ed25519(pair),
        };
        Some((key, public))
    }

    /// A self-signed certificate for the key (RFC 5280 section 4.1).
    pub fn certificate(&self) -> Result<Vec<u8>, String> {
        let [(_, _), (_, spki), ..] = &self.public_forms()[..] else { return Err("the key has no SPKI".to_owned()) };
        let algorithm = der_tag(0x30, &[6, 3, 0x2b, 0x65, 0x70]);
        let name = der_tag(0x30, &[6, 3, 0x55, 4, 3, 0x0c, 1, b'c']);
        let name = der_tag(0x30, &der_tag(0x31, &name));
        let validity = [der_tag(0x17, b"260101000000Z"), der_tag(0x17, b"491231235959Z")].concat();
        let version_and_serial = [0xa0, 3, 2, 1, 2, 2, 1, 1];
        let parts = [&version_and_serial[..], &algorithm, &name, &der_tag(0x30, &validity), &name, spki].concat();
        let signed = der_tag(0x30, &parts);
        let signature = der_tag(3, &[vec![0], self.sign(&signed)?].concat());
        Ok(der_tag(0x30, &[signed, algorithm, signature].concat()))
    }

    /// The same key with the other algorithm of its type, for RSA.
    pub fn sibling(&self) -> Option<Sibling<'_>> {
        match (&self.signer, self.alg.as_str()) {
            (Signer::Rsa(pair, _), "RS256") => {
                Some(Sibling { alg: "PS256", pair, padding: &signature::RSA_PSS_SHA256 })
            }
            (Signer::Rsa(pair, _), _) => Some(Sibling { alg: "RS256", pair, padding: &signature::RSA_PKCS1_SHA256 }),
            _ => None,
        }
    }

    /// Every encoding of the public key that a careless verifier might use as an HMAC key.
    pub fn public_forms(&self) -> Vec<(&'static str, Vec<u8>)> {
        let (raw, der) = match &self.signer {
            Signer::Ed25519(pair) => {
                let raw = pair.public_key().as_ref().to_vec();
                let der = [&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0][..], &raw].concat();
                (raw, der)
            }
            Signer::P256(pair) => {
                let raw = pair.public_key().as_ref().to_vec();
                let head: &[u8] = &[
                    0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce,
                    0x3d, 3, 1, 7, 3, 0x42, 0,
                ];
                let der = [head, &raw].concat();
                (raw, der)
            }
            Signer::Rsa(pair, _) => {
                let raw = pair.public().as_ref().to_vec();
                let algorithm = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
                let key = der_tag(3, &[vec![0], raw.clone()].concat());
                let der = der_tag(0x30, &[&algorithm[..], &key].concat());
                (raw, der)
            }
        };
        let lines = STANDARD.encode(&der);
        let lines: Vec<_> = lines.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
        let x = self.public.get("x").or(self.public.get("n")).and_then(Value::as_str).unwrap_or_default();
        vec![
            ("the raw public key", raw),
            ("the public key's SPKI in DER", der),
            ("the public key's PEM", pem.into_bytes()),
            ("the public key's JWK", self.public.to_string().into_bytes()),
            ("the x or n of the public key's JWK", x.as_bytes().to_vec()),
        ]
    }
}

/// An RSA key with an algorithm that it is not registered for.
pub struct Sibling<'k> {
    pub alg: &'static str,
    pair: &'k RsaKeyPair,
    padding: &'static dyn signature::RsaEncoding,
}

impl Sibling<'_> {
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        rsa_signature(self.pair, self.padding, message)
    }
}

fn rsa_signature(
    pair: &RsaKeyPair,
    padding: &'static dyn signature::RsaEncoding,
    message: &[u8],
) -> Result<Vec<u8>, String> {
    let mut out = vec![0; pair.public().modulus_len()];
    pair.sign(padding, &SystemRandom::new(), message, &mut out).map_err(|_| "signing with RSA failed".to_owned())?;
    Ok(out)
}

fn der_tag(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match length {
        0..=127 => out.push(length as u8),
        128..=255 => out.extend([0x81, length as u8]),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(content);
    out
}

/// `base64url(header).base64url(claims)`: the signing input of a JWS (RFC 7515 section 5.1).
pub fn signing_input(header: &Value, claims: &Value) -> String {
    format!("{}.{}", b64(header.to_string()), b64(claims.to_string()))
}

pub fn hs256(key: &[u8], input: &str) -> String {
    keyed(hmac::HMAC_SHA256, key, input)
}

/// The signing input with its HMAC; the hash decides between HS256, HS384 and HS512 (RFC 7518 section 3.2).
pub fn keyed(algorithm: hmac::Algorithm, key: &[u8], input: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(algorithm, key), input.as_bytes());
    format!("{input}.{}", b64(tag))
}

/// The parts of a JWT. Its signature is not checked.
pub struct Jwt {
    pub header: Value,
    pub claims: Value,
}

impl Jwt {
    pub fn read(token: &str) -> Option<Self> {
        let parts: Vec<_> = token.split('.').collect();
        let [header, claims, signature] = parts[..] else { return None };
        unb64(signature)?;
        let object = |part: &str| -> Option<Value> {
            let value: Value = serde_json::from_slice(&unb64(part)?).ok()?;
            value.is_object().then_some(value)
        };
        Some(Self { header: object(header)?, claims: object(claims)? })
    }
}

/// Replaces the base64url character at this position by one that differs in the highest bit. The low bits of the last
/// character may be unused.
pub fn flip_at(text: &str, at: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let flipped = |c: char| {
        let place = ALPHABET.iter().position(|known| char::from(*known) == c);
        place.map_or('A', |place| char::from(ALPHABET[place ^ 32]))
    };
    text.char_indices().map(|(i, c)| if i == at { flipped(c) } else { c }).collect()
}

/// The token with one character changed in the middle of its last part, where all bits are used.
pub fn tampered(token: &str) -> String {
    let start = token.rfind('.').map_or(0, |dot| dot + 1);
    change_at(token, start + (token.len() - start) / 2)
}

/// Replaces the character at this position of an ASCII text by another of the same alphabet.
pub fn change_at(text: &str, at: usize) -> String {
    text.char_indices()
        .map(|(i, c)| match c {
            _ if i != at => c,
            'A' => 'B',
            'a' => 'b',
            '0'..='8' => char::from_u32(c as u32 + 1).unwrap_or('0'),
            '9' => '0',
            c if c.is_ascii_lowercase() => 'a',
            _ => 'A',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_what_verifies() {
        let jwk = r#"{"kty":"OKP","crv":"Ed25519","kid":"k","alg":"EdDSA","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let key = PrivateKey::from_jwk(jwk).unwrap();
        let public = unb64("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let signed = key.sign(b"m").unwrap();
        signature::UnparsedPublicKey::new(&signature::ED25519, &public).verify(b"m", &signed).unwrap();
        assert_eq!(key.public_forms()[0].1, public);
    }

    #[test]
    fn an_error_names_the_member_and_hides_its_value() {
        let error = PrivateKey::from_jwk(r#"{"kid":"k","alg":"EdDSA","d":"canary!"}"#).err().unwrap();
        assert!(error.contains("\"d\"") && !error.contains("canary"), "{error}");
    }

    #[test]
    fn a_flip_changes_the_bytes_at_every_position() {
        let text = b64([0xa5u8; 32]);
        for at in 0..text.len() {
            let bytes = |text: &str| {
                // A decoder that ignores the unused last bits.
                let engine = base64::engine::GeneralPurpose::new(
                    &base64::alphabet::URL_SAFE,
                    base64::engine::general_purpose::NO_PAD.with_decode_allow_trailing_bits(true),
                );
                engine.decode(text).unwrap()
            };
            assert_ne!(bytes(&flip_at(&text, at)), bytes(&text), "{at}");
        }
    }

    #[test]
    fn tampering_changes_the_bytes() {
        let token = format!("a.b.{}", b64([0u8; 32]));
        let bytes = |t: &str| unb64(t.rsplit('.').next().unwrap()).unwrap();
        assert_ne!(bytes(&token), bytes(&tampered(&token)));
    }
}
