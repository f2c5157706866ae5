//! An issuer that makes valid and invalid tokens and feeds.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::sync::LazyLock;

use auth_edge_verify::{KeySet, Verifier};
use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const ISSUER: &str = "https://auth.example";
pub const AUDIENCE: &str = "https://api.example";
pub const NOW: u64 = 1_800_000_000;

pub fn key() -> SigningKey {
    // Cached: deriving the public half takes as long as signing.
    static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[7; 32]));
    KEY.clone()
}

pub fn jwk(kid: &str, key: &SigningKey) -> Value {
    let x = encode(key.verifying_key().as_bytes());
    json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x})
}

pub fn key_set(jwks: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": jwks }).to_string()).unwrap()
}

/// A verifier without the feed, with keys fetched at `NOW` and fresh for 300 s.
pub fn verifier() -> Verifier {
    with_keys(Verifier::new(ISSUER, AUDIENCE).without_feed())
}

pub fn with_keys(verifier: Verifier) -> Verifier {
    verifier.take_keys(key_set(&[jwk("k1", &key())]), 300, NOW);
    verifier
}

pub fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "k1"})
}

/// The claims that the issuer writes (RFC 9068, sections 2.2 and 2.2.1, and `parent`).
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
        "auth_time": NOW - 100,
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

/// The claims of an empty feed issued at `iat`.
pub fn feed(iat: u64, seq: u64) -> Value {
    let ended = json!({"token": {}, "parent": {}, "client": {}});
    json!({"iss": ISSUER, "iat": iat, "exp": iat + 300, "seq": seq, "ended": ended})
}

/// `feed` with one more entry.
pub fn ending(mut feed: Value, member: &str, id: &str, time: u64) -> Value {
    feed["ended"][member][hash(member, id)] = json!(time);
    feed
}

pub fn hash(member: &str, id: &str) -> String {
    encode(&Sha256::digest(format!("{member}:{id}"))[..16])
}

pub fn sign_feed(feed: &Value) -> String {
    token(&json!({"alg": "EdDSA", "typ": "revocations+jwt", "kid": "k1"}), feed)
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
