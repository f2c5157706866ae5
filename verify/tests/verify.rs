//! Every invalid token is refused, each with its own error.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeSet;

use auth_edge_verify::{AccessToken, Due, Error, KeySet, MAX_TOKEN_LENGTH, Verifier};
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, Mac};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::Sha256;

use common::*;

fn verify(token: impl AsRef<[u8]>) -> Result<AccessToken, Error> {
    verifier().verify(token, NOW)
}

fn refused(token: impl AsRef<[u8]>) -> Error {
    verify(token).unwrap_err()
}

fn by_header(name: &str, value: impl Into<Option<Value>>) -> Error {
    refused(token(&with(header(), name, value.into()), &claims()))
}

fn claims_with(name: &str, value: impl Into<Option<Value>>) -> Result<AccessToken, Error> {
    verify(token(&header(), &with(claims(), name, value.into())))
}

fn by_claim(name: &str, value: impl Into<Option<Value>>) -> Error {
    claims_with(name, value).unwrap_err()
}

#[test]
fn a_good_token_says_who_and_what() {
    let token = verify(token(&header(), &claims())).unwrap();
    assert_eq!((token.iss.as_str(), token.sub.as_str(), token.client_id.as_str()), (ISSUER, "alice", "alice"));
    assert_eq!((token.iat, token.exp, token.jti.as_str()), (NOW, NOW + 900, "tok_st_1"));
    assert_eq!((token.aud, token.parent.as_deref()), (vec![AUDIENCE.to_owned()], Some("tok_lt_1")));
    assert_eq!(token.auth_time, Some(NOW - 100));
    assert_eq!(token.scope, "jobs:* templates:read");
}

#[test]
fn scopes() {
    let token = verify(token(&header(), &claims())).unwrap();
    for held in ["jobs:submit", "jobs:*", "templates:read"] {
        assert_eq!(token.require_scope(held), Ok(()));
    }
    for lacking in ["job:submit", "jobsx:submit", "templates:write", "templates:*", "jobs"] {
        assert_eq!(token.require_scope(lacking), Err(Error::InsufficientScope(lacking.to_owned())));
    }
    let token = claims_with("scope", json!("job:*")).unwrap();
    assert!(token.require_scope("jobs:x").is_err());
}

#[test]
fn kind_and_algorithm() {
    for typ in ["AT+JWT", "application/at+jwt", "Application/AT+JWT"] {
        assert!(verify(token(&with(header(), "typ", Some(json!(typ))), &claims())).is_ok(), "{typ}");
    }
    for typ in ["lt+jwt", "JWT", "", "at+jwt ", "text/at+jwt", "application/application/at+jwt", "at+jwt;a=b"] {
        assert_eq!(by_header("typ", json!(typ)), Error::Kind, "{typ}");
    }
    assert_eq!(by_header("typ", None), Error::Kind);
    assert_eq!(by_header("typ", json!(null)), Error::Header);
    for alg in ["none", "None", "HS256", "ES256", "eddsa", "Ed25519", ""] {
        assert_eq!(by_header("alg", json!(alg)), Error::Algorithm, "{alg}");
    }
    for alg in [None, Some(json!(null)), Some(json!(["EdDSA"]))] {
        assert_eq!(by_header("alg", alg), Error::Header);
    }
    let unsigned = token(&with(header(), "alg", Some(json!("none"))), &claims());
    let (signed, _) = unsigned.rsplit_once('.').unwrap();
    assert_eq!(refused(format!("{signed}.")), Error::Algorithm);
}

#[test]
fn a_public_key_is_not_accepted_as_an_hs256_secret() {
    let hs256 = |header: &Value| {
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims().to_string().as_bytes()));
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key().verifying_key().as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", encode(&mac.finalize().into_bytes()))
    };
    assert_eq!(refused(hs256(&with(header(), "alg", Some(json!("HS256"))))), Error::Algorithm);
    assert_eq!(refused(hs256(&header())), Error::Malformed);
    let long = json!({"alg": "HS256", "typ": "lt+jwt", "kid": "k1"});
    assert_eq!(refused(hs256(&long)), Error::Kind);
}

#[test]
fn only_the_issuers_key_that_kid_names_is_used() {
    assert_eq!(by_header("kid", json!("k2")), Error::UnknownKey);
    assert_eq!(by_header("kid", json!("")), Error::UnknownKey);
    assert_eq!(by_header("kid", None), Error::UnknownKey);
    assert_eq!(by_header("kid", json!(1)), Error::Header);
    assert_eq!(by_header("crit", json!(["b64"])), Error::Critical);
    assert_eq!(by_header("crit", json!(null)), Error::Critical);
    // Signed by a key in the token's own header (RFC 7515, section 4.1.3) instead of the one that `kid` names.
    let other = SigningKey::from_bytes(&[8; 32]);
    let header = with(header(), "jwk", Some(jwk("k1", &other)));
    let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims().to_string().as_bytes()));
    let forged = format!("{signed}.{}", encode(&other.sign(signed.as_bytes()).to_bytes()));
    assert_eq!(refused(forged), Error::Signature);
    // A known `kid`, but of another key.
    let verifier = verifier();
    verifier.take_keys(key_set(&[jwk("k1", &other), jwk("k2", &key())]), 300, NOW);
    assert_eq!(verifier.verify(token(&self::header(), &claims()), NOW), Err(Error::Signature));
}

#[test]
fn issuer_and_audience() {
    for issuer in ["https://other.example", "https://auth.example/", "HTTPS://auth.example", ""] {
        assert_eq!(by_claim("iss", json!(issuer)), Error::Issuer, "{issuer}");
    }
    assert!(claims_with("aud", json!([AUDIENCE])).is_ok());
    assert!(claims_with("aud", json!(["https://other.example", AUDIENCE])).is_ok());
    for audience in [json!("https://other.example"), json!([]), json!(["https://api.example/"]), json!("")] {
        assert_eq!(by_claim("aud", audience.clone()), Error::Audience, "{audience}");
    }
    for audience in [json!(null), json!([AUDIENCE, 1]), json!([[AUDIENCE]]), json!({"0": AUDIENCE})] {
        assert_eq!(by_claim("aud", audience.clone()), Error::Claim("aud"), "{audience}");
    }
}

#[test]
fn times() {
    let at = |verifier: Verifier, now| verifier.verify(token(&header(), &claims()), now).map(|_| ());
    assert_eq!(at(verifier(), NOW + 899), Ok(()));
    assert_eq!(at(verifier(), NOW + 900), Err(Error::Expired));
    assert_eq!(at(verifier().exp_leeway(5), NOW + 904), Ok(()));
    assert_eq!(at(verifier().exp_leeway(5), NOW + 905), Err(Error::Expired));
    assert_eq!(at(verifier().exp_leeway(u64::MAX), NOW + 9000), Ok(()));

    assert_eq!(at(verifier(), NOW - 60), Ok(()));
    assert_eq!(at(verifier(), NOW - 61), Err(Error::Untimely));
    assert_eq!(at(verifier().iat_leeway(0), NOW - 1), Err(Error::Untimely));
    assert!(claims_with("nbf", json!(NOW + 60)).is_ok());
    assert_eq!(by_claim("nbf", json!(NOW + 61)), Error::Untimely);
    assert_eq!(by_claim("nbf", json!(null)), Error::Claim("nbf"));

    let reversed = with(with(claims(), "iat", Some(json!(NOW + 2))), "exp", Some(json!(NOW + 1)));
    assert_eq!(refused(token(&header(), &reversed)), Error::Untimely);
    assert_eq!(at(verifier(), 0), Err(Error::Untimely));
    assert_eq!(at(verifier(), u64::MAX), Err(Error::NoKeys));
}

#[test]
fn claims_that_are_missing_or_of_another_type() {
    for name in ["iss", "sub", "client_id", "aud", "iat", "exp", "jti", "scope"] {
        assert_eq!(by_claim(name, None), Error::Claim(name));
        for wrong in [json!(null), json!(true), json!({})] {
            assert_eq!(by_claim(name, wrong), Error::Claim(name));
        }
    }
    for wrong in [json!("1800000900"), json!(-1), json!(1_800_000_900.5), json!(1e300)] {
        assert_eq!(by_claim("exp", wrong), Error::Claim("exp"));
    }
    assert_eq!(by_claim("parent", json!(1)), Error::Claim("parent"));
    assert_eq!(claims_with("parent", None).unwrap().parent, None);
    assert_eq!(by_claim("auth_time", json!("now")), Error::Claim("auth_time"));
    assert_eq!(claims_with("auth_time", None).unwrap().auth_time, None);
}

#[test]
fn json_that_two_parsers_may_read_differently() {
    let (header, claims) = (header().to_string(), claims().to_string());
    let twice = |json: &str, member: &str| json.replacen('{', &format!("{{{member},"), 1);
    let payload = |claims: &str| refused(sign(&header, claims.as_bytes()));
    assert_eq!(payload(&twice(&claims, r#""scope":"a:b""#)), Error::Claims);
    assert_eq!(payload(&twice(&claims, r#""scop\u0065":"a:b""#)), Error::Claims);
    assert_eq!(payload(&twice(&claims, r#""x":{"a":1,"a":2}"#)), Error::Claims);
    assert_eq!(payload(&format!("{claims}{claims}")), Error::Claims);
    assert_eq!(payload(&format!("[{claims}]")), Error::Claims);
    assert_eq!(payload(""), Error::Claims);
    assert_eq!(refused(sign(&header, b"\xff\xfe")), Error::Claims);
    for header in [twice(&header, r#""alg":"EdDSA""#), format!("{header}x"), r#"["EdDSA","at+jwt","k1"]"#.to_owned()] {
        assert_eq!(refused(sign(&header, claims.as_bytes())), Error::Header);
    }
}

#[test]
fn text_that_is_no_token() {
    let good = token(&header(), &claims());
    let padded = good.replacen('.', "=.", 1);
    for text in ["", ".", "...", "a.b", "a.b.c.d", " ", &padded, &format!("{good}."), &format!("{good}=")] {
        assert_eq!(refused(text), Error::Malformed, "{text}");
    }
    assert_eq!(refused(".."), Error::Header);
    assert_eq!(refused(format!(" {good}")), Error::Malformed);
    assert_eq!(refused(format!("{good}\n")), Error::Malformed);
    assert_eq!(refused(&good[..good.len() - 2]), Error::Malformed);
    assert_eq!(refused(b"\xff.\xff.\xff"), Error::Malformed);
    // 64 bytes leave four bits of the last character unused. They must be zero, or a token would have several
    // encodings.
    let last = good.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let next = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
    assert_eq!(refused(format!("{}{next}", &good[..good.len() - 1])), Error::Malformed);
}

#[test]
fn length_is_bounded_before_anything_is_read() {
    let sized = |padding: usize| token(&header(), &with(claims(), "x", Some(json!("x".repeat(padding)))));
    let longest = (11_000..13_000).map(sized).rfind(|token| token.len() <= MAX_TOKEN_LENGTH).unwrap();
    assert!(longest.len() > MAX_TOKEN_LENGTH - 4 && verify(longest).is_ok());
    assert_eq!(refused(sized(13_000)), Error::TooLong);
    assert_eq!(refused("x".repeat(MAX_TOKEN_LENGTH + 1)), Error::TooLong);
    assert_eq!(refused("x".repeat(MAX_TOKEN_LENGTH)), Error::Malformed);
    assert_eq!(refused(sign(&"[".repeat(4000), b"")), Error::Header);
}

/// 64 scopes of 128 characters, a client id of 128, and an issuer and an audience of 512: the longest token that the
/// service makes.
#[test]
fn the_longest_token_that_is_issued_is_accepted() {
    let scopes: Vec<_> = (0..64).map(|nth| format!("{nth:02}{}:{}", "r".repeat(60), "a".repeat(65))).collect();
    assert!(scopes.iter().all(|scope| scope.len() == 128));
    let named = |length: usize| format!("https://{}", "h".repeat(length - 8));
    let client_id = "c".repeat(128);
    let mut longest = claims();
    for (name, value) in [
        ("iss", named(512)),
        ("aud", named(512)),
        ("sub", client_id.clone()),
        ("client_id", client_id),
        ("scope", scopes.join(" ")),
        ("jti", "tok_st_".to_owned() + &"j".repeat(44)),
        ("parent", "tok_lt_".to_owned() + &"p".repeat(44)),
    ] {
        longest = with(longest, name, Some(value.into()));
    }
    longest = with(longest, "auth_time", Some(NOW.into()));
    let verifier = Verifier::new(named(512), named(512)).without_feed();
    verifier.take_keys(key_set(&[jwk("k1", &key())]), 300, NOW);
    let header = with(header(), "kid", Some("k1".into()));
    assert_eq!(verifier.verify(token(&header, &longest), NOW).unwrap().scope, scopes.join(" "));
}

#[test]
fn answers_over_http() {
    let answer = |error: &Error| (error.status(), error.header());
    assert_eq!(answer(&Error::NoToken), (401, ("WWW-Authenticate", r#"Bearer realm="api""#.to_owned())));
    let expired = r#"Bearer realm="api", error="invalid_token", error_description="The access token expired""#;
    assert_eq!(answer(&Error::Expired), (401, ("WWW-Authenticate", expired.to_owned())));
    let token = verify(token(&header(), &claims())).unwrap();
    let (status, (_, challenge)) = answer(&token.require_scope("tokens:write").unwrap_err());
    assert_eq!(status, 403);
    assert!(challenge.contains(r#"error="insufficient_scope""#) && challenge.ends_with(r#", scope="tokens:write""#));
    // No requested scope can break out of the quoted string.
    let (_, (_, challenge)) = answer(&token.require_scope("a:b\", x=\"\r\nY: é\\").unwrap_err());
    assert!(challenge.ends_with(r#", scope="a:b,x=Y:""#), "{challenge}");
    for error in [Error::NoKeys, Error::StaleFeed { iat: None }, Error::NoAnswer { problem: String::new() }] {
        assert_eq!(answer(&error), (503, ("Retry-After", "5".to_owned())));
    }
}

/// RFC 6750, section 3.1: clients learn only `invalid_token`; operators learn the reason.
#[test]
fn a_client_learns_less_than_an_operator() {
    let all = [
        Error::TooLong,
        Error::Malformed,
        Error::Header,
        Error::Critical,
        Error::Kind,
        Error::Algorithm,
        Error::UnknownKey,
        Error::Signature,
        Error::Claims,
        Error::Claim("iss"),
        Error::Issuer,
        Error::Audience,
        Error::Untimely,
        Error::Inactive,
        Error::Ended { jti: "tok_st_1".to_owned(), by: "token" },
        Error::Ended { jti: "tok_st_1".to_owned(), by: "parent" },
        Error::Ended { jti: "tok_st_1".to_owned(), by: "client" },
    ];
    for error in &all {
        let description = "The access token is revoked, malformed, or invalid for other reasons";
        let challenge = format!(r#"Bearer realm="api", error="invalid_token", error_description="{description}""#);
        assert_eq!((error.status(), error.header()), (401, ("WWW-Authenticate", challenge)), "{error:?}");
    }
    let sentences: BTreeSet<_> = all.iter().map(Error::to_string).collect();
    assert_eq!(sentences.len(), all.len());
}

#[test]
fn keys_are_fetched_when_they_are_due() {
    let good = token(&header(), &claims());
    let unknown = |n: u64| token(&with(header(), "kid", Some(json!(format!("x{n}")))), &claims());
    let take = |verifier: &Verifier, now| verifier.take_keys(key_set(&[jwk("k1", &key())]), 300, now);
    let verifier = Verifier::new(ISSUER, AUDIENCE).without_feed().refresh_interval(10).stale_if_error(1000);
    assert_eq!(verifier.jwks_uri(), "https://auth.example/.well-known/jwks.json");

    // No keys: the first well-formed token fetches them, and the others wait.
    assert_eq!(verifier.verify(&good, NOW), Err(Error::NoKeys));
    assert_eq!(verifier.due("garbage", NOW), Due::Nothing);
    assert_eq!((verifier.due(&good, NOW), verifier.due(&good, NOW)), (Due::Keys, Due::Wait));
    verifier.keys_failed();
    assert_eq!((verifier.due(&good, NOW), verifier.due(&good, NOW + 1)), (Due::Nothing, Due::Keys));
    take(&verifier, NOW);

    // Fresh: only an unknown key causes a fetch, once per interval.
    assert_eq!(verifier.due(&good, NOW + 299), Due::Nothing);
    assert_eq!(verifier.due(unknown(0), NOW + 9), Due::Nothing);
    assert_eq!(verifier.due(unknown(0), NOW + 11), Due::Keys);
    // Meanwhile tokens with known keys are checked.
    assert_eq!((verifier.due(unknown(1), NOW + 11), verifier.due(&good, NOW + 11)), (Due::Wait, Due::Nothing));
    take(&verifier, NOW + 11);
    assert_eq!(verifier.due(unknown(0), NOW + 11), Due::Nothing);

    // Stale: one caller fetches, the others use the keys that are there.
    assert_eq!((verifier.due(&good, NOW + 311), verifier.due(&good, NOW + 311)), (Due::Keys, Due::Nothing));
    assert!(verifier.verify(&good, NOW + 311).is_ok());
    verifier.keys_failed();
    assert_eq!((verifier.due(&good, NOW + 320), verifier.due(&good, NOW + 321)), (Due::Nothing, Due::Keys));
    verifier.keys_failed();
    // A clock that was set back does not stop it.
    assert_eq!(verifier.due(unknown(1), NOW - 1000), Due::Keys);

    // Too old: treated as missing.
    let late = token(&header(), &with(claims(), "exp", Some(json!(NOW + 9000))));
    assert!(verifier.verify(&late, NOW + 1310).is_ok());
    assert_eq!(verifier.verify(&late, NOW + 1311), Err(Error::NoKeys));

    // A day at most, whatever the max-age.
    verifier.take_keys(key_set(&[jwk("k1", &key())]), u64::MAX, NOW);
    assert_eq!((verifier.due(&good, NOW + 86_399), verifier.due(&good, NOW + 86_400)), (Due::Nothing, Due::Keys));
}

#[test]
fn unknown_key_ids_cause_no_more_fetches_than_the_interval_allows() {
    let verifier = verifier();
    let unknown = |n: u64| token(&with(header(), "kid", Some(json!(format!("x{n}")))), &claims());
    let mut fetches = 0;
    for n in 0..1000 {
        // Ten tokens a second; every other fetch fails.
        if verifier.due(unknown(n), NOW + n / 10) == Due::Keys {
            fetches += 1;
            if fetches % 2 == 0 {
                verifier.keys_failed();
            } else {
                verifier.take_keys(key_set(&[jwk("k1", &key())]), 300, NOW + n / 10);
            }
        }
    }
    assert_eq!(fetches, 9);
}

#[test]
fn a_key_that_left_the_set_is_unknown() {
    let (verifier, good) = (verifier(), token(&header(), &claims()));
    assert!(verifier.verify(&good, NOW).is_ok());
    verifier.take_keys(key_set(&[jwk("k2", &SigningKey::from_bytes(&[8; 32]))]), 300, NOW);
    assert_eq!(verifier.verify(&good, NOW), Err(Error::UnknownKey));
}

#[test]
fn the_keys_and_the_feed_are_below_the_issuers_origin() {
    for (issuer, uri) in [
        ("https://a.example/", "https://a.example/.well-known/jwks.json"),
        ("http://127.0.0.1:8787/v1/x", "http://127.0.0.1:8787/.well-known/jwks.json"),
        ("a.example", "a.example/.well-known/jwks.json"),
        ("", "/.well-known/jwks.json"),
    ] {
        let verifier = Verifier::new(issuer, "");
        assert_eq!(verifier.jwks_uri(), uri);
        assert_eq!(verifier.revocations_uri(), uri.replace("jwks.json", "revocations"));
    }
}

#[test]
fn debug_shows_no_keys() {
    assert_eq!(format!("{:?}", verifier()), format!("Verifier {{ issuer: {ISSUER:?}, audience: {AUDIENCE:?}, .. }}"));
}

proptest! {
    #[test]
    fn no_input_panics(text in "\\PC*", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(verify(&text).is_err());
        prop_assert!(verify(&bytes).is_err());
        let _ = (KeySet::parse(&text), KeySet::parse(&bytes), verifier().due(&bytes, NOW));
    }

    /// Arbitrary headers and payloads, with a valid signature.
    #[test]
    fn no_signed_input_panics(header in "\\PC*", payload in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(verify(sign(&header, &payload)).is_err());
        prop_assert!(verify(sign(&self::header().to_string(), &payload)).is_err());
    }

    #[test]
    fn a_changed_character_is_refused(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.=+/ é\\-]") {
        let good = token(&header(), &claims());
        let at = at.index(good.len());
        let mut changed = good.clone();
        changed.replace_range(at..=at, &to);
        prop_assert_eq!(verify(&changed).is_ok(), changed == good);
    }

    #[test]
    fn a_character_more_or_less_is_refused(at in any::<prop::sample::Index>(), extra in "[A-Za-z0-9_.=-]") {
        let good = token(&header(), &claims());
        let at = at.index(good.len());
        let mut changed = good.clone();
        changed.insert_str(at, &extra);
        prop_assert!(verify(&changed).is_err());
        changed = good;
        changed.remove(at);
        prop_assert!(verify(&changed).is_err());
    }
}
