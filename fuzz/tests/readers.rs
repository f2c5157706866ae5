//! Fuzz targets that compare three independent parsers: those of the Worker, of the verifying crate and of the harness.
//! If two of them accept the same bytes, they must read the same from them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "../../conformance/src/jose.rs"]
#[allow(dead_code, clippy::expect_used, reason = "the harness is a program, and this test needs only one of its files")]
mod jose;

use core::panic::AssertUnwindSafe;

use auth_edge::client::jwk::PublicJwk;
use auth_edge::error::Unavailable;
use auth_edge::feed::copy::FeedCache;
use auth_edge::feed::{Ends, Entry, Kind, key};
use auth_edge::scope::Scope;
use auth_edge::settings::Settings;
use auth_edge::token::{self, Signatures};
use auth_edge::token_id;
use auth_edge_verify::{Error, KeySet, Verifier, bearer};
use futures_util::FutureExt;
use fuzz::bolero::produce;
use fuzz::{check, texts};
use jose::{Jwt, PrivateKey, b64};

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://auth.example.com";
const AUDIENCE: &str = "https://api.example.com";
/// RFC 8037, appendix A.
const D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

#[test]
fn readers_of_one_token() {
    let header = r#"{"alg":"EdDSA","typ":"at+jwt","kid":"s"}"#;
    let payload = r#"{"exp":1800000900,"iat":1800000000,"iss":"https://auth.example.com","sub":"c","client_id":"c","aud":"https://api.example.com","jti":"tok_st_1","auth_time":1799999900,"scope":"jobs:* a:b","parent":"tok_lt_1"}"#;
    let (signer, worker) = (signer(), worker());
    let verifier = AssertUnwindSafe(verifier().without_feed());
    with_keys(&verifier);
    check!(16; (texts(&[header]), texts(&[payload]), texts(&["jobs:submit", "a:*"])), |(header, payload, needed)| {
        let (token, signature) = signed(&signer, header, payload);
        let read = Jwt::read(&token);
        let verified = verifier.verify(&token, NOW).ok();
        let kinds = [token_id::Kind::Short];
        let presented = token::authenticate(&worker, &Known(signature), &token, &kinds, NOW).now_or_never().unwrap().ok();
        assert!(read.is_some() || (verified.is_none() && presented.is_none()), "the harness reads every token that another parser reads");
        let Some(Jwt { claims, .. }) = read else { return };
        if let Some(verified) = &verified {
            assert!(claims["jti"] == verified.jti && claims["client_id"] == verified.client_id && claims["scope"] == verified.scope);
            assert!(claims["exp"] == verified.exp && claims["iat"] == verified.iat && claims["iss"] == verified.iss);
        }
        if let Some(presented) = &presented {
            assert!(claims["jti"] == presented.id && claims["sub"] == presented.client_id && claims["iss"] == ISSUER);
            assert!(claims["auth_time"] == presented.auth_time && claims["parent"] == *presented.parent.as_ref().unwrap());
        }
        if let (Some(verified), Some(presented)) = (verified, presented) {
            assert_eq!((&verified.jti, &verified.sub, &verified.parent), (&presented.id, &presented.client_id, &presented.parent));
            assert_eq!((verified.exp, verified.iat, verified.auth_time), (presented.expires_at, presented.issued_at, Some(presented.auth_time)));
            for scope in ["jobs:submit", "jobs:*", "a:b", "a:*", "x:y", &needed.lossy()] {
                // A scope of more than 128 characters is invalid for the Worker, which would not issue it.
                let Some(parsed) = Scope::parse(scope) else { continue };
                assert_eq!(verified.require_scope(scope).is_ok(), presented.scopes.covers(&parsed), "{scope}");
            }
        }
    });
}

/// Any feed that the Worker serves: a follower refuses exactly the tokens in it.
#[test]
fn readers_of_one_feed() {
    let signer = signer();
    let tokens: Vec<(u8, String)> = (0..4)
        .map(|nth| {
            let payload = format!(
                r#"{{"exp":{},"iat":{NOW},"iss":"{ISSUER}","sub":"c{nth}","client_id":"c{nth}","aud":"{AUDIENCE}","jti":"tok_st_{nth}","auth_time":{NOW},"scope":"a:b","parent":"tok_lt_{nth}"}}"#,
                NOW + 900
            );
            (nth, signed(&signer, br#"{"alg":"EdDSA","typ":"at+jwt","kid":"s"}"#, payload.as_bytes()).0)
        })
        .collect();
    check!(8; produce::<Vec<(u8, u8, u8)>>(), |ends| {
        let kinds = [(Kind::Token, "tok_st_"), (Kind::Parent, "tok_lt_"), (Kind::Client, "c")];
        let entries = ends.iter().zip(1..).map(|((kind, nth, at), seq)| {
            let (kind, prefix) = kinds[usize::from(kind % 3)];
            let key = key(kind, &format!("{prefix}{}", nth % 4));
            Entry { key, at: NOW - 128 + u64::from(*at), seq, number: 1, until: NOW + 900 }
        });
        let entries: Vec<Entry> = entries.collect();
        let seq = entries.len() as u64;
        let cache = FeedCache::default();
        cache.take(Ends { seq, dropped: 0, since: None, entries: entries.clone() }, 0);
        let ended = cache.ended(cache.part(None, NOW));
        let payload = format!(r#"{{"iss":"{ISSUER}","iat":{NOW},"exp":{},"seq":{seq},"ended":{ended}}}"#, NOW + 300);
        let (text, _) = signed(&signer, br#"{"alg":"EdDSA","typ":"revocations+jwt","kid":"s"}"#, payload.as_bytes());
        let verifier = verifier();
        with_keys(&verifier);
        verifier.take_feed(&text, None, NOW).expect("the verifier takes every feed that the Worker serves");
        for (nth, token) in &tokens {
            let last = |kind, prefix: &str| {
                let key = key(kind, &format!("{prefix}{nth}"));
                entries.iter().rev().find(|entry| entry.key == key).map(|entry| entry.at)
            };
            let has_ended = last(Kind::Token, "tok_st_").is_some_and(|at| at <= NOW)
                || last(Kind::Parent, "tok_lt_").is_some_and(|at| at <= NOW)
                || last(Kind::Client, "c").is_some_and(|from| NOW < from);
            let refused = matches!(verifier.verify(token, NOW), Err(Error::Ended { .. }));
            assert_eq!(refused, has_ended, "{nth}");
        }
    });
}

/// The `Authorization` header. The runtime strips spaces around its value, and joins repeated headers with commas,
/// which no token contains.
#[test]
fn readers_of_one_header() {
    check!(texts(&["Bearer a.b.c", "bearer  a.b.c", "Basic Zm9v"]), |header| {
        let header = header.lossy();
        let value = header.trim_matches([' ', '\t']);
        if let (Ok(ours), Ok(theirs)) = (token::bearer(Some(value)), bearer(Some(value)))
            && !value.contains(',')
        {
            assert_eq!(ours.as_bytes().trim_ascii(), theirs);
        }
    });
}

/// A key has no state that a panic could leave inconsistent.
fn signer() -> AssertUnwindSafe<PrivateKey> {
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"s","alg":"EdDSA","d":"{D}","x":"{X}"}}"#);
    AssertUnwindSafe(PrivateKey::from_jwk(&jwk).unwrap())
}

/// A JWT, and its signature.
fn signed(signer: &PrivateKey, header: &[u8], payload: &[u8]) -> (String, Vec<u8>) {
    let input = format!("{}.{}", b64(header), b64(payload));
    let signature = signer.sign(input.as_bytes()).unwrap();
    (format!("{input}.{}", b64(&signature)), signature)
}

/// Accepts one known signature, so that a token is not verified twice.
struct Known(Vec<u8>);

impl Signatures for Known {
    async fn sign(&self, _: &[u8]) -> Result<[u8; 64], Unavailable> {
        Err(Unavailable::new("signing", "this test only verifies"))
    }

    async fn verify(&self, _: &PublicJwk, _: &[u8], signature: &[u8]) -> Result<bool, Unavailable> {
        Ok(self.0 == signature)
    }
}

fn worker() -> Settings {
    let oct = |key_use: &str, byte: u8, alg: &str| {
        format!(r#"{{"kty":"oct","use":"{key_use}","kid":"{byte}","alg":"{alg}","k":"{}"}}"#, b64([byte; 32]))
    };
    let [long, id, seal] = [oct("lt+jwt", 1, "HS256"), oct("token-id", 2, "HS256"), oct("totp-seal", 3, "XC20P")];
    let short =
        format!(r#"{{"kty":"OKP","crv":"Ed25519","use":"at+jwt","kid":"s","alg":"EdDSA","x":"{X}","d":"{D}"}}"#);
    let read = Settings::read(|name| {
        Ok(match name {
            "AUTH_KEYS" => Some(format!(r#"{{"keys":[{long},{id},{seal},{short}]}}"#)),
            "ISSUER" => Some(ISSUER.to_owned()),
            "AUDIENCE" => Some(AUDIENCE.to_owned()),
            _ => None,
        })
    });
    read.unwrap()
}

fn verifier() -> Verifier {
    Verifier::new(ISSUER, AUDIENCE)
}

fn with_keys(verifier: &Verifier) {
    let set = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"s","x":"{X}"}}]}}"#);
    verifier.take_keys(KeySet::parse(set).unwrap(), 300, NOW);
}
