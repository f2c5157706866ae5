//! What differs in WASM: the runtime's WebCrypto, its randomness, 32-bit arithmetic. Runs in Node.

#![cfg(target_arch = "wasm32")]

mod vectors;

use auth_edge::client::jwk::{Algorithm, PublicJwk};
use auth_edge::edge::webcrypto::{SigningKey, accepts, verify};
use auth_edge::keys::{KeySet, ShortKey};
use auth_edge::secret::Secret;
use auth_edge::token_id::{Kind, TokenId};
use auth_edge::{client, otp};
use base64ct::{Base64UrlUnpadded, Encoding};
use wasm_bindgen_test::wasm_bindgen_test;

const OCT: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
/// RFC 8037, appendix A.
const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

fn key_set(x: &str) -> KeySet {
    let json = format!(
        r#"{{"keys":[{{"kty":"oct","use":"lt+jwt","kid":"l","alg":"HS256","k":"{OCT}"}},
            {{"kty":"OKP","crv":"Ed25519","use":"at+jwt","kid":"s","alg":"EdDSA","x":"{x}","d":"{D}"}},
            {{"kty":"oct","use":"token-id","kid":"i","alg":"HS256","k":"{X}"}},
            {{"kty":"oct","use":"totp-seal","kid":"t","alg":"XC20P","k":"{D}"}}]}}"#
    );
    KeySet::parse(&json).unwrap()
}

fn key(json: &str) -> PublicJwk {
    serde_json::from_str(json).unwrap()
}

fn decode(text: &str) -> Vec<u8> {
    Base64UrlUnpadded::decode_vec(text).unwrap()
}

/// Checks the signature of an RFC's example, and that no bit of it or of the message may change.
async fn example(key: &PublicJwk, message: &str, signature: &str) {
    let signature = decode(signature);
    assert!(verify(key, message.as_bytes(), &signature).await);
    for bit in [0, 7, signature.len() * 8 - 1] {
        let mut forged = signature.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        assert!(!verify(key, message.as_bytes(), &forged).await);
    }
    assert!(!verify(key, &message.as_bytes()[1..], &signature).await);
    assert!(!verify(key, message.as_bytes(), &signature[1..]).await);
    assert!(!verify(key, message.as_bytes(), &[]).await);
    // The key fixes the algorithm: an RSA key bound to the other padding refuses the signature.
    let other = match key.algorithm().unwrap() {
        Algorithm::Rs256 => "PS256",
        _ => "RS256",
    };
    assert!(!verify(&PublicJwk { alg: other.to_owned(), ..key.clone() }, message.as_bytes(), &signature).await);
}

/// RFC 8037, appendices A.4 and A.5.
#[wasm_bindgen_test]
async fn rfc_8037_eddsa() {
    let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let keys = key_set(X);
    let short = keys.short.first();
    example(&short.public, message, signature).await;
    let made = SigningKey::import(short).await.unwrap().sign(message.as_bytes()).await.unwrap();
    assert_eq!(Base64UrlUnpadded::encode_string(&made), signature);
}

/// RFC 7515, appendix A.3.
#[wasm_bindgen_test]
async fn rfc_7515_es256() {
    let key = key(
        r#"{"kid":"k","alg":"ES256","kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
    );
    let message = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    example(&key, message, signature).await;
}

/// RFC 7515, appendix A.2.
#[wasm_bindgen_test]
async fn rfc_7515_rs256() {
    let key = key(
        r#"{"kid":"k","alg":"RS256","kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#,
    );
    let message = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    example(&key, message, signature).await;
}

/// Wycheproof's vectors, through WebCrypto as the Worker calls it.
#[wasm_bindgen_test]
async fn wycheproof() {
    let vectors = vectors::all();
    for vector in &vectors {
        assert!(accepts(&vector.key).await, "{}", vector.name);
        let verified = verify(&vector.key, &vector.message, &vector.signature).await;
        // Wycheproof leaves a missing NULL in the hash's identifier to the verifier.
        assert_eq!(verified, vector.is_valid.unwrap_or(false), "{}", vector.name);
    }
    for (set, count) in vectors::COUNTS {
        assert_eq!(vectors.iter().filter(|vector| vector.name.split(" #").next() == Some(set)).count(), count, "{set}");
    }
}

#[wasm_bindgen_test]
async fn a_key_off_its_curve_verifies_nothing() {
    let off_curve = key(&format!(r#"{{"kid":"k","alg":"ES256","kty":"EC","crv":"P-256","x":"{OCT}","y":"{X}"}}"#));
    assert!(off_curve.algorithm().is_ok());
    assert!(!accepts(&off_curve).await, "an operator can't register the key");
    assert!(!verify(&off_curve, b"m", &[0; 64]).await);
    let zero = key(&format!(r#"{{"kid":"k","alg":"ES256","kty":"EC","crv":"P-256","x":"{OCT}","y":"{OCT}"}}"#));
    assert!(!verify(&zero, b"m", &[0; 64]).await);
}

#[wasm_bindgen_test]
async fn the_halves_of_the_signing_key_must_belong_together() {
    // RFC 8032, section 7.1, test 2: another valid key.
    let stranger = "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw";
    assert!(SigningKey::import(key_set(stranger).short.first()).await.is_err());
    let public = key_set(X).short.first().public.clone();
    assert!(SigningKey::import(&ShortKey { public, private: None }).await.is_err());
}

/// RFC 6238, appendix B: times beyond 32 bits.
#[wasm_bindgen_test]
fn one_time_codes() {
    assert_eq!(otp::code(b"12345678901234567890", 20_000_000_000 / otp::STEP), *b"353130");
}

#[wasm_bindgen_test]
fn token_ids_and_seals() {
    let keys = key_set(X);
    let end = 1 << 39;
    let id = TokenId::mint(keys.token_id.first(), Kind::Long, "a", end, [7; 12]);
    assert_eq!(TokenId::verify(keys.token_id.iter(), id.as_str(), "a").unwrap().expires_at, end);
    assert!(TokenId::verify(keys.token_id.iter(), id.as_str(), "b").is_none());
    let seed = Secret::new([1; 20]);
    let sealed = keys.seal("a", &seed, [2; 24]).unwrap();
    assert_eq!(keys.unseal("a", &sealed), Some(seed));
}

#[wasm_bindgen_test]
fn randomness_differs() {
    let mut seen = std::collections::HashSet::new();
    for _ in 0..1000 {
        let mut random = [0; 12];
        getrandom::fill(&mut random).unwrap();
        assert!(seen.insert(random));
    }
}

#[wasm_bindgen_test]
fn secrets() {
    let stored = client::StoredSecret::new("s", &Secret::new("x"), [1; 16], 0);
    assert_eq!(serde_json::to_value(stored).unwrap()["sha256"], "mOOM2_5d1JaMUKF7hr7qDNsBjynQgPBn9CtQz6LWEVY");
}
