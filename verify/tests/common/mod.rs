//! An issuer: makes tokens, good ones and bad ones.

use auth_edge_verify::{KeySet, Verifier};
use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

pub const ISSUER: &str = "https://auth.example";
pub const AUDIENCE: &str = "https://api.example";
pub const NOW: u64 = 1_800_000_000;

pub fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub fn jwk(kid: &str, key: &SigningKey) -> Value {
    let x = encode(key.verifying_key().as_bytes());
    json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x})
}

pub fn key_set(jwks: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": jwks }).to_string()).unwrap()
}

/// A verifier that got its keys at `NOW`, fresh for 300 s.
pub fn verifier() -> Verifier {
    let verifier = Verifier::new(ISSUER, AUDIENCE);
    verifier.refresh(key_set(&[jwk("k1", &key())]), 300, NOW);
    verifier
}

pub fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "k1"})
}

/// What the issuer writes (RFC 9068, section 2.2, and `parent`).
pub fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "sub": "alice",
        "client_id": "alice",
        "aud": AUDIENCE,
        "iat": NOW,
        "exp": NOW + 900,
        "jti": "tok_st_1",
        "scope": "jobs:* templates:read",
        "parent": "tok_lt_1",
    })
}

pub fn sign(header: &str, payload: &[u8]) -> String {
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(payload));
    let signature = key().sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", encode(&signature))
}

pub fn token(header: &Value, claims: &Value) -> String {
    sign(&header.to_string(), claims.to_string().as_bytes())
}

pub fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// `object` with one member replaced, or removed when `value` is `None`.
pub fn with(mut object: Value, name: &str, value: Option<Value>) -> Value {
    let members = object.as_object_mut().unwrap();
    match value {
        Some(value) => members.insert(name.to_owned(), value),
        None => members.remove(name),
    };
    object
}
