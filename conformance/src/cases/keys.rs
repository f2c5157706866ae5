//! GET /.well-known/jwks.json: the public keys that verify short-term tokens.

use crate::case::*;
use crate::endpoint::{self, KEYS};
use crate::jose::{Jwt, unb64};
use crate::trial::published::{FIVE_MINUTES, JSON};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::Value;
use std::collections::BTreeSet;

/// The members of private and symmetric keys (RFC 7518 section 6).
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "r"];

pub const CASES: &[Case] = &[
    Case {
        id: "keys.200.served",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The public keys are a JWK Set at /.well-known/jwks.json of the origin, served as \
                      application/json.",
        section: "openapi.yaml, getJwks; RFC 7517 section 5",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(served),
        expect: plain(200),
        mutants: &[
            mutant("keys-below-base", "serves the keys under its base path"),
            mutant("keys-bare-array", "serves a bare array instead of a JWK Set"),
        ],
        ..ROW
    },
    Case {
        id: "keys.200.public",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "No published key is symmetric or has a member of a private key, such as d.",
        section: "openapi.yaml, getJwks; openapi.yaml, Jwk; RFC 7518 section 6",
        effect: Effect::Mint,
        control: Some("keys.200.served"),
        request: steps!(public),
        expect: plain(200),
        mutants: &[
            mutant("keys-private", "publishes the private key"),
            mutant("keys-symmetric", "publishes the key of long-term tokens"),
        ],
        ..ROW
    },
    Case {
        id: "keys.200.members",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "Each published key has kty, crv, x and kid, with use sig and alg EdDSA.",
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
        requirement: "No two published keys have the same kid.",
        section: "openapi.yaml, getJwks; RFC 7517 section 4.5",
        effect: Effect::Mint,
        control: Some("keys.200.served"),
        request: steps!(kids),
        expect: plain(200),
        mutants: &[mutant("keys-kid-twice", "publishes a key twice")],
        ..ROW
    },
    Case {
        id: "keys.200.token-kid",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The kid of a short-term token is that of a published key.",
        section: "openapi.yaml, getJwks; RFC 7515 section 4.1.4",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("keys.200.served"),
        request: steps!(token_kid),
        expect: plain(200),
        mutants: &[mutant("keys-other-kid", "signs with a kid that it does not publish")],
        ..ROW
    },
    Case {
        id: "keys.200.token-signature",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The published key that a short-term token's kid names verifies its signature.",
        section: "openapi.yaml, getJwks; RFC 8037 section 3.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("keys.200.token-kid"),
        request: steps!(token_signature),
        expect: plain(200),
        mutants: &[mutant("keys-other", "publishes a key other than the one that it signs with")],
        ..ROW
    },
    Case {
        id: "keys.200.cache",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The key set is served with Cache-Control: public, max-age=300.",
        section: "openapi.yaml, getJwks; RFC 9111 section 5.2.2",
        effect: Effect::Mint,
        control: Some("keys.200.served"),
        request: steps!(cache),
        expect: plain(200),
        mutants: &[
            mutant("keys-never-kept", "forbids caching the keys"),
            mutant("keys-kept-a-day", "lets the keys be cached for a day"),
        ],
        ..ROW
    },
    Case {
        id: "keys.200.head",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "HEAD on the key set is answered like GET, without a body.",
        section: "openapi.yaml, getJwks; openapi.yaml, info; RFC 9110 section 9.3.2",
        effect: Effect::Mint,
        control: Some("keys.200.served"),
        request: steps!(head),
        expect: plain(200),
        mutants: &[mutant("keys-head-405", "rejects HEAD")],
        ..ROW
    },
    Case {
        id: "keys.405.methods",
        cell: Cell::Service(405),
        level: Level::Service,
        requirement: "A method other than GET and HEAD on the key set is answered with 405, Allow: GET, HEAD and \
                      Cache-Control: no-store.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("keys.200.served"),
        request: steps!(methods),
        expect: plain(405),
        mutants: &[
            mutant("keys-any-method", "accepts any method like GET"),
            mutant("keys-allow-get-alone", "leaves HEAD out of Allow"),
            mutant("keys-405-kept", "lets a 405 be cached"),
        ],
        ..ROW
    },
    Case {
        id: "keys.404.trailing-slash",
        cell: Cell::Service(404),
        level: Level::Service,
        requirement: "The key set's path with a trailing slash is answered with 404 not_found.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("keys.200.served"),
        request: steps!(trailing_slash),
        expect: NOT_FOUND,
        mutants: &[mutant("origin-slash-lenient", "ignores a trailing slash")],
        ..ROW
    },
];

async fn keys(t: &Trial<'_>) -> Result<Vec<Value>, Stop> {
    let answer = t.send(&endpoint::bare("GET", KEYS, None)).await?;
    t.expect(plain(200), &answer)?;
    let keys = answer.json().and_then(|set| set["keys"].as_array().cloned()).filter(|keys| !keys.is_empty());
    keys.ok_or_else(|| Stop::fail("an object with a non-empty array keys", t.summary(&answer)))
}

async fn served(t: &Trial<'_>) -> Result<(), Stop> {
    keys(t).await?;
    t.is_served(KEYS, JSON).await
}

async fn public(t: &Trial<'_>) -> Result<(), Stop> {
    for key in keys(t).await? {
        if key["kty"] == "oct" {
            return Err(Stop::fail("no symmetric key", format!("a symmetric key with the kid {}", key["kid"])));
        }
        if let Some(name) = PRIVATE.into_iter().find(|name| key.get(name).is_some()) {
            return Err(Stop::fail(
                "only public members",
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
            return Err(Stop::fail("kid as a non-empty string", format!("kid {kid}")));
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
            return Err(Stop::fail("each kid only once", format!("kid {} twice", key["kid"])));
        }
    }
    Ok(())
}

/// A new short-term token, and the key that its kid names.
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
        .map_err(|_| Stop::fail(format!("a signature that the key {} verifies", key["kid"]), "an invalid signature"))
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
