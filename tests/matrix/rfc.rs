//! The RFCs' examples, through the functions that the operations use.

use auth_edge::client::jwk::{Algorithm, JwkSet, PublicJwk};
use jwt_compact::alg::{Hs256, Hs256Key};
use jwt_compact::{AlgorithmExt, UntrustedToken};
use serde_json::{Value, json};

use crate::host::verify;
use crate::service::{Service, Token, by_assertion, exchange};
use crate::sign::{EC_X, EC_Y, Key, RSA_N, decode, ed25519, encode, jwk};
use crate::vectors;

/// The payload of RFC 7515, appendix A, and of RFC 7519, section 3.1.
const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// RFC 7515, appendix A.1, which is also the example of RFC 7519, section 3.1.
#[test]
fn hs256() {
    let header = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
    let signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let token = format!("{header}.{PAYLOAD}.{signature}");
    let untrusted = UntrustedToken::new(&token).unwrap();
    let key = Hs256Key::new(decode(key));
    let validated = Hs256.validator::<Value>(&key).validate(&untrusted).unwrap();
    assert_eq!(validated.claims().custom, json!({"iss": "joe", "http://example.com/is_root": true}));
    assert_eq!(validated.claims().expiration.unwrap().timestamp(), 1_300_819_380);
    let other = Hs256Key::new([0; 32]);
    assert!(Hs256.validator::<Value>(&other).validate(&untrusted).is_err());
    is_refused_as_a_token(&token);
}

/// RFC 7515, appendix A.2.
#[test]
fn rs256() {
    let key = jwk("k", "RS256", json!({"kty": "RSA", "n": RSA_N, "e": "AQAB"}));
    assert_eq!(key.algorithm(), Ok(Algorithm::Rs256));
    let message = format!("eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}");
    let signature = concat!(
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU",
        "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d",
        "O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig",
        "cN_IoypGlUPQGe77Rw"
    );
    check(&key, &message, &decode(signature));
    let salted = jwk("k", "PS256", json!({"kty": "RSA", "n": RSA_N, "e": "AQAB"}));
    assert!(!verify(&salted, message.as_bytes(), &decode(signature)), "the key is bound to another algorithm");
    // The signature is deterministic, so ours is the same.
    let ours = Key::Rs.jws(r#"{"alg":"RS256"}"#, std::str::from_utf8(&decode(PAYLOAD)).unwrap());
    assert_eq!(ours, format!("{message}.{signature}"));
    is_refused_as_a_token(&ours);
}

/// RFC 7515, appendix A.3.
#[test]
fn es256() {
    let key = jwk("k", "ES256", json!({"kty": "EC", "crv": "P-256", "x": EC_X, "y": EC_Y}));
    assert_eq!(key.algorithm(), Ok(Algorithm::Es256));
    let message = format!("eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}");
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    check(&key, &message, &decode(signature));
    is_refused_as_a_token(&format!("{message}.{signature}"));
}

/// RFC 8037, appendices A.4 and A.5.
#[test]
fn eddsa() {
    let key =
        jwk("k", "EdDSA", json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}));
    assert_eq!(key.algorithm(), Ok(Algorithm::EdDsa));
    let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    check(&key, message, &decode(signature));
    let seed = decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").try_into().unwrap();
    assert_eq!(ed25519(&seed, message.as_bytes()), decode(signature));
    is_refused_as_a_token(&format!("{message}.{signature}"));
}

/// RFC 7519, section 6.1, and RFC 7515, appendix A.5: a token without a signature.
#[test]
fn unsecured() {
    is_refused_as_a_token(&format!("eyJhbGciOiJub25lIn0.{PAYLOAD}."));
}

/// Checks that the signature verifies, and that it does not after a change of it or of the message.
#[track_caller]
fn check(key: &PublicJwk, message: &str, signature: &[u8]) {
    assert!(verify(key, message.as_bytes(), signature));
    assert!(!verify(key, format!("{message}x").as_bytes(), signature));
    let mut changed = signature.to_vec();
    changed[10] ^= 1;
    assert!(!verify(key, message.as_bytes(), &changed));
    assert!(!verify(key, message.as_bytes(), &signature[1..]));
}

#[track_caller]
fn is_refused_as_a_token(token: &str) {
    let service = Service::new();
    service.send(&by_assertion(token)).is(401, "invalid_client");
    service.send(&exchange(&Token { token: token.to_owned(), id: String::new() })).is(401, "invalid_token");
}

/// Wycheproof's vectors, through ring, which replaces WebCrypto in these tests. `tests/wasm.rs` tests WebCrypto.
#[test]
fn wycheproof() {
    let vectors = vectors::all();
    for vector in &vectors {
        assert!(vector.key.algorithm().is_ok(), "{}", vector.name);
        let verified = verify(&vector.key, &vector.message, &vector.signature);
        // Wycheproof leaves a missing NULL in the hash's identifier to the verifier; ring refuses it.
        assert_eq!(verified, vector.is_valid.unwrap_or(false), "{}", vector.name);
    }
    for (set, count) in vectors::COUNTS {
        assert_eq!(vectors.iter().filter(|vector| vector.name.split(" #").next() == Some(set)).count(), count, "{set}");
    }
}

/// Under a key of small order this signature would be valid for every message, without a private key.
#[test]
fn a_key_of_small_order_is_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let weak = jwk("weak", "EdDSA", json!({"kty": "OKP", "crv": "Ed25519", "x": encode(&identity)}));
    let service = Service::new();
    service.change(crate::service::ALICE, |record| record.jwks = Some(JwkSet { keys: vec![weak] }));
    let claims = crate::service::claims(crate::service::NOW, "j1").to_string();
    let signature = [identity, [0; 32]].concat();
    let assertion = crate::sign::jws(r#"{"alg":"EdDSA","kid":"weak"}"#, &claims, |_| signature.clone());
    service.send(&by_assertion(&assertion)).is(401, "invalid_client");
}
