//! Fuzz targets for every parser of tokens, key sets, feeds, introspection answers and headers. Each runs as a plain
//! test, and by `make fuzz` under an engine.

use ::fuzz::bolero::produce;
use ::fuzz::{Text, check, repeats_a_name, texts};
use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Map, Value, json};

use crate::feed::{Claims, Feed, Limits};
use crate::jws::Jws;
use crate::{
    AccessToken, Error, FeedError, KeySet, KeySetError, Verifier, WhenStale, bearer, introspection, json, max_age,
    scope,
};

const NOW: u64 = 1_800_000_000;
const HEADER: &str = r#"{"alg":"EdDSA","typ":"at+jwt","kid":"k1"}"#;
const CLAIMS: &str = r#"{"iss":"https://auth.example","sub":"a","client_id":"a","aud":"https://api.example","iat":1800000000,"exp":1800000900,"jti":"tok_st_1","scope":"jobs:* a:b","parent":"tok_lt_1","auth_time":1799999900}"#;
const FEED: &str = r#"{"iss":"https://auth.example","iat":1800000000,"exp":1800000300,"seq":7,"since":3,"ended":{"token":{"pOGwEcUNmHCksTFbLxXQyw":1799999000},"parent":{},"client":{"AAAAAAAAAAAAAAAAAAAAAA":253402300799}}}"#;

/// Parses like serde_json, except that repeated names and other roots are refused.
#[test]
fn json_objects() {
    check!(texts(&[r#"{"a":1,"b":[true,null,-7,0.5,"x"],"c":{"a":{"b":"é"}}}"#, HEADER, CLAIMS]), |text| {
        let expected: Option<Map<String, Value>> = serde_json::from_slice(text).ok();
        let expected = expected.filter(|object| !repeats_a_name(text, &Value::Object(object.clone())));
        assert_eq!(json::object::<Map<String, Value>>(text), expected);
    });
}

/// A token has one encoding: a parsed token re-encodes to the same text, and its header is as required.
#[test]
fn signed_texts() {
    let token = jws(HEADER.as_bytes(), CLAIMS.as_bytes(), &[7; 64]);
    let whole = [token.as_str(), "e30.e30.e30"];
    check!(
        (texts(&whole), texts(&[HEADER, r#"{"typ":"application/AT+JWT","alg":"EdDSA","kid":"k","crit":["b64"]}"#])),
        |(text, header)| {
            for text in [text.clone(), Text(jws(header, CLAIMS.as_bytes(), &[7; 64]).into_bytes())] {
                let Ok(jws) = Jws::parse(&text, "at+jwt", 16_384) else { continue };
                let again = format!("{}.{}", jws.signed, Base64UrlUnpadded::encode_string(&jws.signature));
                assert_eq!(again.as_bytes(), &*text);
                let (header, payload) = jws.signed.split_once('.').expect("header and payload are signed");
                if let Ok(bytes) = jws.payload() {
                    assert_eq!(Base64UrlUnpadded::encode_string(&bytes), payload);
                }
                let header: Value = serde_json::from_slice(&Base64UrlUnpadded::decode_vec(header).unwrap()).unwrap();
                assert!(header["alg"] == "EdDSA" && header["kid"] == jws.kid && header.get("crit").is_none());
                let typ = header["typ"].as_str().unwrap().to_ascii_lowercase();
                assert_eq!(typ.strip_prefix("application/").unwrap_or(&typ), "at+jwt");
                assert!(Jws::parse(&text, "at+jwt", text.len() - 1).is_err(), "the text is too long");
                assert!(Jws::parse(&text, "revocations+jwt", 16_384).is_err(), "the text is of another kind");
            }
        }
    );
}

fn jws(header: &[u8], payload: &[u8], signature: &[u8]) -> String {
    [header, payload, signature].map(Base64UrlUnpadded::encode_string).join(".")
}

/// The parsed claims are those of the payload, each with its type.
#[test]
fn claims_of_tokens() {
    let other = CLAIMS
        .replace(r#""https://api.example""#, r#"["x","https://api.example"]"#)
        .replace(r#","parent":"tok_lt_1""#, r#","nbf":1"#);
    check!(texts(&[CLAIMS, &other]), |text| {
        let Ok(token) = AccessToken::parse(text) else { return };
        let claims: Value = serde_json::from_slice(text).expect("serde_json parses it");
        assert!(!repeats_a_name(text, &claims));
        let AccessToken { iss, sub, client_id, aud, iat, exp, jti, scope, parent, auth_time, nbf } = &token;
        for (name, read) in [("iss", iss), ("sub", sub), ("client_id", client_id), ("jti", jti), ("scope", scope)] {
            assert_eq!(&claims[name], read);
        }
        assert!(claims["iat"] == *iat && claims["exp"] == *exp);
        assert_eq!(
            (claims.get("parent"), claims.get("nbf")),
            (parent.as_ref().map(|id| json!(id)).as_ref(), nbf.map(Value::from).as_ref())
        );
        assert_eq!(claims.get("auth_time"), auth_time.map(Value::from).as_ref());
        assert!(
            claims["aud"] == json!(aud)
                || [claims["aud"].clone()] == aud.iter().map(|one| json!(one)).collect::<Vec<_>>()[..]
        );
        if let Err(error) = token.require_scope(&text.lossy()) {
            let (name, value) = error.header();
            assert!(error.status() == 403 && name == "WWW-Authenticate");
            assert!(
                value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && value.matches('"').count() % 2 == 0,
                "{value}"
            );
        }
    });
}

/// A held scope covers what the grammar says, and never a malformed scope.
#[test]
fn held_scopes() {
    check!((texts(&["jobs:* a:b", "jobs:submit"]), texts(&["jobs:submit", "a:*"])), |(claim, needed)| {
        let (claim, needed) = (claim.lossy(), needed.lossy());
        if scope::covers(&claim, &needed) {
            let (resource, action) = needed.split_once(':').unwrap();
            assert!(claim.split(' ').any(|held| held == needed || held == format!("{resource}:*")));
            assert!(
                !action.is_empty() && needed.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
            );
            assert!(scope::covers(&needed, &needed) && scope::covers(&format!("x:y {claim}"), &needed));
        }
    });
}

/// A key set has one key per `kid`, each an Ed25519 key that was published as such.
#[test]
fn key_sets() {
    let key = |kid: &str, x: &str| {
        format!(r#"{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"{kid}","x":"{x}"}}"#)
    };
    let (first, second) = (
        key("a", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
        key("b", "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"),
    );
    let sets = [
        format!(r#"{{"keys":[{first},{second}]}}"#),
        format!(
            r#"{{"keys":[{{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"r"}},{{"kty":"OKP","crv":"X25519","x":"AA","d":"AA"}},{first}],"other":1}}"#
        ),
        format!(r#"{{"keys":[{}]}}"#, first.replace("\"sig\"", "\"sig\",\"key_ops\":[\"verify\"]")),
    ];
    check!(texts(&sets.each_ref().map(String::as_str)), |text| {
        let set = match KeySet::parse(&**text) {
            Ok(set) => set,
            Err(KeySetError::RepeatedKeyId(kid)) => {
                return assert!(
                    serde_json::from_slice::<Value>(text).unwrap()["keys"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .filter(|key| key["kid"] == kid)
                        .count()
                        > 1
                );
            }
            Err(_) => return,
        };
        let value: Value = serde_json::from_slice(text).expect("serde_json parses it");
        assert!(!repeats_a_name(text, &value));
        let mut found = 0;
        for key in value["keys"].as_array().expect("an array") {
            let Some(kid) = key["kid"].as_str() else { continue };
            if set.find(kid).is_some() && key["kty"] == "OKP" && key["crv"] == "Ed25519" && key.get("d").is_none() {
                let x = key["x"].as_str().and_then(|x| Base64UrlUnpadded::decode_vec(x).ok()).unwrap_or_default();
                found += usize::from(x.len() == 32);
                let zero = [0; 64];
                assert!(!set.find(kid).unwrap().verifies(b"m", &zero), "an all-zero signature was accepted");
            }
        }
        assert!(found > 0, "a set without a key was accepted");
        // Keys that are ignored make no difference.
        let mut more = value.clone();
        more["keys"].as_array_mut().unwrap().extend([json!(1), json!({"kty": "oct", "k": "AA", "kid": "a"})]);
        assert!(KeySet::parse(more.to_string()).is_ok());
    });
}

const LIMITS: Limits = Limits { poll_interval: 5, max_age: 300, iat_leeway: 60, when_stale: WhenStale::Refuse };

/// Feeds in sequence: `seq` never goes back, a delta leaves no gap, and a refused feed changes nothing.
#[test]
fn feeds() {
    let whole = FEED.replace(r#""since":3,"#, "");
    let seeds = [whole.as_str(), FEED];
    let token = AccessToken::parse(CLAIMS.as_bytes()).unwrap();
    check!((texts(&seeds), texts(&seeds)), |(first, second)| {
        let mut feed = Feed::default();
        let mut held: Option<u64> = None;
        for text in [first, second] {
            let Ok(claims) = Claims::parse(text) else { continue };
            let value: Value = serde_json::from_slice(text).expect("serde_json parses it");
            assert!(!repeats_a_name(text, &value));
            let (seq, since) =
                (value["seq"].as_u64().unwrap(), value.get("since").map(|since| since.as_u64().unwrap()));
            assert!(since.is_none_or(|since| since <= seq));
            let ended = value["ended"].as_object().unwrap();
            for kind in ["token", "parent", "client"] {
                for (hash, at) in ended[kind].as_object().unwrap() {
                    assert!(at.is_u64() && Base64UrlUnpadded::decode_vec(hash).unwrap().len() == 16);
                }
            }
            let before = feed.check(&token, &LIMITS, NOW);
            match feed.take(claims, Some("\"e\""), &LIMITS, NOW) {
                Ok(()) => {
                    assert!(
                        held.is_none_or(|held| held <= seq)
                            && since.is_none_or(|since| held.is_some_and(|held| since <= held))
                    );
                    assert!(value["iat"].as_u64().unwrap() <= NOW + 60 && value["exp"].as_u64().unwrap() > NOW);
                    held = Some(seq);
                    let listed = ended["token"].get("pOGwEcUNmHCksTFbLxXQyw").and_then(Value::as_u64);
                    if listed.is_some_and(|at| at <= NOW) {
                        assert!(matches!(feed.check(&token, &LIMITS, NOW), Err(Error::Ended { .. })));
                    }
                }
                Err(error) => {
                    assert_eq!(feed.check(&token, &LIMITS, NOW), before);
                    assert!(!matches!(error, FeedError::Gap { .. }) || since.is_some());
                }
            }
        }
    });
}

/// An introspection answer counts as active only if it says so, about this token.
#[test]
fn introspection_answers() {
    check!(
        texts(&[r#"{"active":true,"jti":"tok_st_1","scope":"jobs:*","exp":1800000900}"#, r#"{"active":false}"#]),
        |text| {
            let answer = text.lossy();
            let Ok(active) = introspection::read(&answer, "tok_st_1") else { return };
            let value: Value = serde_json::from_str(&answer).expect("serde_json parses it");
            assert!(!repeats_a_name(answer.as_bytes(), &value) && value["active"] == active);
            assert!(value.get("jti").is_none_or(|jti| jti == "tok_st_1"));
        }
    );
}

/// `Authorization` and `Cache-Control`.
#[test]
fn header_fields() {
    check!(texts(&["Bearer a.b.c", "public, max-age=300", "no-store", "max-age=\"60\", stale-if-error=9"]), |text| {
        if let Ok(token) = bearer(Some(&**text)) {
            assert!(!token.is_empty() && token.trim_ascii() == token && text.len() > token.len() + "Bearer".len());
            assert!(text.ends_with(token) || text.trim_ascii_end().ends_with(token));
        }
        let field = text.lossy();
        let seconds = max_age(Some(&field));
        let is_there = |name: &str| {
            field
                .split(',')
                .any(|directive| directive.split('=').next().unwrap_or("").trim().eq_ignore_ascii_case(name))
        };
        assert!(seconds == 0 || is_there("max-age") && !is_there("no-store"));
        assert_eq!(max_age(Some(&format!("{field}, no-cache"))), 0);
        assert_eq!(max_age(Some(&format!("no-store,{field}"))), 0);
    });
}

/// With real signatures: a genuine token is accepted, and refused with any bit changed, for another audience or issuer,
/// or under another key.
#[test]
fn genuine_tokens() {
    let (key, stranger) = (SigningKey::from_bytes(&[7; 32]), SigningKey::from_bytes(&[8; 32]));
    let verifier = Verifier::new("https://auth.example", "https://api.example").without_feed();
    let x = Base64UrlUnpadded::encode_string(key.verifying_key().as_bytes());
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "k1", "x": x}]});
    verifier.take_keys(KeySet::parse(set.to_string()).unwrap(), 300, NOW);
    let sign = |key: &SigningKey, header: &[u8], payload: &[u8]| {
        let signed = [header, payload].map(Base64UrlUnpadded::encode_string).join(".");
        format!("{signed}.{}", Base64UrlUnpadded::encode_string(&key.sign(signed.as_bytes()).to_bytes()))
    };
    // A verifier's locks survive a panic (`RefUnwindSafe`).
    let verifier = core::panic::AssertUnwindSafe(verifier);
    // A debug build checks about a hundred signatures a second.
    check!(16; (texts(&[HEADER]), texts(&[CLAIMS]), produce::<u16>()), |(header, payload, bit)| {
        let token = sign(&key, header, payload);
        assert!(verifier.verify(sign(&stranger, header, payload), NOW).is_err());
        let Ok(taken) = verifier.verify(&token, NOW) else { return };
        assert!(taken.iss == "https://auth.example" && taken.aud.iter().any(|aud| aud == "https://api.example"));
        assert!(taken.exp > NOW && taken.iat <= NOW + 60 && taken.iat < taken.exp);
        let mut forged = token.into_bytes();
        let bit = usize::from(*bit) % (forged.len() * 8);
        forged[bit / 8] ^= 1 << (bit % 8);
        assert!(verifier.verify(&forged, NOW).is_err(), "a token with a changed bit was accepted");
    });
}
