//! GET /.well-known/jwks.json: the public keys of short-term tokens.

use crate::case::*;
use crate::endpoint::{self, KEYS};
use crate::jose::{Jwt, unb64};
use crate::trial::published::{FIVE_MINUTES, JSON};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::Value;
use std::collections::BTreeSet;

/// What RFC 7518 section 6 has of private and symmetric keys.
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "r"];

pub const CASES: &[Case] = &[
    Case {
        id: "keys.200.served",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The keys are a JWK Set at /.well-known/jwks.json of the origin, as application/json.",
        section: "openapi.yaml, getJwks; RFC 7517 section 5",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(served),
        expect: plain(200),
        mutants: &[
            mutant("keys-below-base", "serves the keys below its base path"),
            mutant("keys-bare-array", "serves a bare array"),
        ],
        ..ROW
    },
    Case {
        id: "keys.200.public",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "No private or symmetric member of a key is there.",
        section: "openapi.yaml, getJwks; openapi.yaml, Jwk; RFC 7518 section 6",
        effect: Effect::Mint,
        control: Some("keys.200.served"),
        request: steps!(public),
        expect: plain(200),
        mutants: &[
            mutant("keys-private", "publishes the private half"),
            mutant("keys-symmetric", "publishes the key of long-term tokens"),
        ],
        ..ROW
    },
    Case {
        id: "keys.200.members",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "Each key has kty, crv, x, kid, use sig and alg EdDSA.",
        section: "openapi.yaml, Jwk; RFC 7517 section 4; RFC 8037 section 2",
        effect: Effect::Mint,
        control: Some("keys.200.served"),
        request: steps!(members),
        expect: plain(200),
        mutants: &[mutant("keys-without-use", "leaves out use")],
        ..ROW
    },
    Case {
        id: "keys.200.kids",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "No kid is there twice.",
        section: "openapi.yaml, getJwks; RFC 7517 section 4.5",
        effect: Effect::Mint,
        control: Some("keys.200.served"),
        request: steps!(kids),
        expect: plain(200),
        mutants: &[mutant("keys-kid-twice", "lists a key twice")],
        ..ROW
    },
    Case {
        id: "keys.200.token-kid",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The kid of a short-term token is that of a key there.",
        section: "openapi.yaml, getJwks; RFC 7515 section 4.1.4",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("keys.200.served"),
        request: steps!(token_kid),
        expect: plain(200),
        mutants: &[mutant("keys-other-kid", "signs under a kid that it does not publish")],
        ..ROW
    },
    Case {
        id: "keys.200.token-signature",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "That key verifies the signature of the token.",
        section: "openapi.yaml, getJwks; RFC 8037 section 3.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("keys.200.token-kid"),
        request: steps!(token_signature),
        expect: plain(200),
        mutants: &[mutant("keys-other", "publishes another key than it signs with")],
        ..ROW
    },
    Case {
        id: "keys.200.cache",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "They carry Cache-Control: public, max-age=300.",
        section: "openapi.yaml, getJwks; RFC 9111 section 5.2.2",
        effect: Effect::Mint,
        control: Some("keys.200.served"),
        request: steps!(cache),
        expect: plain(200),
        mutants: &[
            mutant("keys-never-kept", "forbids to keep them"),
            mutant("keys-kept-a-day", "lets them be kept for a day"),
        ],
        ..ROW
    },
    Case {
        id: "keys.200.head",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "HEAD answers as GET does, without a body.",
        section: "openapi.yaml, getJwks; openapi.yaml, info; RFC 9110 section 9.3.2",
        effect: Effect::Mint,
        control: Some("keys.200.served"),
        request: steps!(head),
        expect: plain(200),
        mutants: &[mutant("keys-head-405", "refuses HEAD")],
        ..ROW
    },
    Case {
        id: "keys.405.methods",
        cell: Cell::Service(405),
        level: Level::Service,
        requirement: "Any other method is 405 with Allow: GET, HEAD, and is not to be kept.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("keys.200.served"),
        request: steps!(methods),
        expect: plain(405),
        mutants: &[
            mutant("keys-any-method", "takes any method for GET"),
            mutant("keys-allow-get-alone", "does not allow HEAD in Allow"),
            mutant("keys-405-kept", "lets a 405 be kept"),
        ],
        ..ROW
    },
    Case {
        id: "keys.404.trailing-slash",
        cell: Cell::Service(404),
        level: Level::Service,
        requirement: "A final slash is another path: 404 not_found.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("keys.200.served"),
        request: steps!(trailing_slash),
        expect: NOT_FOUND,
        mutants: &[mutant("origin-slash-lenient", "drops a final slash")],
        ..ROW
    },
];

async fn keys(t: &Trial<'_>) -> Result<Vec<Value>, Stop> {
    let answer = t.send(&endpoint::bare("GET", KEYS, None)).await?;
    t.expect(plain(200), &answer)?;
    let keys = answer.json().and_then(|set| set["keys"].as_array().cloned()).filter(|keys| !keys.is_empty());
    keys.ok_or_else(|| Stop::fail("an object with the array keys, which is not empty", t.summary(&answer)))
}

async fn served(t: &Trial<'_>) -> Result<(), Stop> {
    keys(t).await?;
    t.is_served(KEYS, JSON).await
}

async fn public(t: &Trial<'_>) -> Result<(), Stop> {
    for key in keys(t).await? {
        if key["kty"] == "oct" {
            return Err(Stop::fail("no symmetric key", format!("one with the kid {}", key["kid"])));
        }
        if let Some(name) = PRIVATE.into_iter().find(|name| key.get(name).is_some()) {
            return Err(Stop::fail(
                "public members alone",
                format!("the member \"{name}\" in the key with the kid {}", key["kid"]),
            ));
        }
    }
    Ok(())
}

async fn members(t: &Trial<'_>) -> Result<(), Stop> {
    for key in keys(t).await? {
        let kid = &key["kid"];
        for (name, due) in [("kty", "OKP"), ("crv", "Ed25519"), ("use", "sig"), ("alg", "EdDSA")] {
            if key[name] != due {
                return Err(Stop::fail(
                    format!("{name} \"{due}\" in the key with the kid {kid}"),
                    format!("{name} {}", key[name]),
                ));
            }
        }
        if kid.as_str().is_none_or(str::is_empty) {
            return Err(Stop::fail("kid as a string that is not empty", format!("kid {kid}")));
        }
        if key["x"].as_str().and_then(unb64).is_none_or(|x| x.len() != 32) {
            return Err(Stop::fail("x of 32 bytes in base64url", format!("x {}", key["x"])));
        }
    }
    Ok(())
}

async fn kids(t: &Trial<'_>) -> Result<(), Stop> {
    let mut seen = BTreeSet::new();
    for key in keys(t).await? {
        if !seen.insert(key["kid"].to_string()) {
            return Err(Stop::fail("each kid once", format!("kid {} twice", key["kid"])));
        }
    }
    Ok(())
}

/// A short-term token of now, and the key that it names.
async fn key_of_a_token(t: &Trial<'_>) -> Result<(Token, Value), Stop> {
    let token = t.shared(Valid, "short").await?;
    let kid = Jwt::read(&token.token).map(|jwt| jwt.header["kid"].clone()).unwrap_or_default();
    let key = keys(t).await?.into_iter().find(|key| kid.is_string() && key["kid"] == kid);
    let key = key.ok_or_else(|| Stop::fail("the kid of a key in /.well-known/jwks.json", format!("kid {kid}")))?;
    Ok((token, key))
}

async fn token_kid(t: &Trial<'_>) -> Result<(), Stop> {
    key_of_a_token(t).await.map(drop)
}

async fn token_signature(t: &Trial<'_>) -> Result<(), Stop> {
    let (token, key) = key_of_a_token(t).await?;
    let public = key["x"].as_str().and_then(unb64).unwrap_or_default();
    let (input, signature) = token.token.rsplit_once('.').unwrap_or_default();
    UnparsedPublicKey::new(&ED25519, public)
        .verify(input.as_bytes(), &unb64(signature).unwrap_or_default())
        .map_err(|_| Stop::fail(format!("a signature of the key {}", key["kid"]), "one that does not verify"))
}

async fn cache(t: &Trial<'_>) -> Result<(), Stop> {
    t.is_kept(KEYS, &[FIVE_MINUTES]).await
}

async fn head(t: &Trial<'_>) -> Result<(), Stop> {
    t.answers_head(KEYS).await
}

async fn methods(t: &Trial<'_>) -> Result<(), Stop> {
    t.is_read_only(KEYS).await
}

async fn trailing_slash(t: &Trial<'_>) -> Result<(), Stop> {
    let answer = t.send(&endpoint::bare("GET", &format!("{KEYS}/"), None)).await?;
    t.expect(t.due, &answer)
}
