//! POST /auth/tokens/short: long-term tokens that the service did not make, and those of which it made only a part.

use crate::case::*;
use crate::endpoint::{self, KEYS};
use crate::jose::{self, Jwt, PrivateKey};
use crate::trial::draft;
use ring::hmac;
use serde_json::Value;

pub const CASES: &[Case] = &[
    Case {
        id: "short.401.mac-first",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "The first character of a signature counts.",
        section: "openapi.yaml, issueShortTermToken; RFC 7515 section 5.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(mac_changed, 0),
        expect: INVALID_TOKEN,
        mutants: &[mutant("mac-without-first", "compares a signature without its first byte")],
        ..ROW
    },
    Case {
        id: "short.401.mac-last",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "The last character of a signature counts.",
        section: "openapi.yaml, issueShortTermToken; RFC 7515 section 5.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(mac_changed, -1),
        expect: INVALID_TOKEN,
        mutants: &[mutant("mac-without-last", "compares a signature without its last byte")],
        ..ROW
    },
    Case {
        id: "short.401.mac-cut",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A signature that was cut short is wrong, at whatever length.",
        section: "openapi.yaml, issueShortTermToken; RFC 7515 section 5.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(mac_cut),
        expect: INVALID_TOKEN,
        mutants: &[
            mutant("mac-by-length", "compares as much of a signature as was sent"),
            mutant("mac-half", "compares the first half of a signature"),
            mutant("mac-empty-ok", "takes a token whose signature is missing"),
        ],
        ..ROW
    },
    Case {
        id: "short.401.header-changed",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "The header is signed too: one more parameter under the old signature is 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 7515 section 5.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(header_changed),
        expect: INVALID_TOKEN,
        mutants: &[mutant("mac-over-claims", "checks a signature over the claims alone")],
        ..ROW
    },
    Case {
        id: "short.401.client-changed",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "Another client's name under the old signature is 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 7515 section 5.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Other, ClientId)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(client_changed),
        expect: INVALID_TOKEN,
        mutants: &[mutant("mac-over-jti", "checks that the token's id is one that it gave, and no more")],
        ..ROW
    },
    Case {
        id: "short.401.public-key-as-secret",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A token under HMAC with the published public key is 401 invalid_token.",
        section: "openapi.yaml, getJwks; RFC 8725 section 3.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(published_key, Kind::Long),
        expect: INVALID_TOKEN,
        mutants: &[mutant("long-by-public-key", "verifies a long-term token with its public key as HMAC key too")],
        ..ROW
    },
    Case {
        id: "short.401.typ-changed",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A short-term token that calls itself long-term is 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 8725 section 3.11",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(retyped, Kind::Short),
        expect: INVALID_TOKEN,
        mutants: &[mutant("kind-by-typ", "believes typ, and checks a signature over the claims alone")],
        ..ROW
    },
    Case {
        id: "short.401.assertion",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "An assertion of the client's is no bearer.",
        section: "openapi.yaml, issueShortTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(assertion),
        expect: INVALID_TOKEN,
        mutants: &[mutant("assertion-exchanged", "exchanges an assertion")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-public-key-as-secret",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A short-term token under HMAC with the published public key is 401 invalid_token.",
        section: "openapi.yaml, getJwks; RFC 8725 section 3.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(published_key, Kind::Short),
        expect: INVALID_TOKEN,
        mutants: &[mutant("short-by-public-key", "verifies a short-term token with its public key as HMAC key too")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-typ-changed",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A long-term token that calls itself short-term can't rotate: 401 invalid_token.",
        section: "openapi.yaml, issueLongTermToken; RFC 8725 section 3.11",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(retyped, Kind::Long),
        expect: INVALID_TOKEN,
        mutants: &[mutant("long-retyped-ok", "takes its own signature under whichever typ")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-clients-key",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A short-term token that the client signed itself, with its registered key, is 401 invalid_token.",
        section: "openapi.yaml, issueLongTermToken; RFC 7515 section 5.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(signed_by, Signer::Client),
        expect: INVALID_TOKEN,
        mutants: &[mutant("clients-sign-tokens", "takes a client's registered key for one of its own")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-jwk",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A short-term token by a key that its header brings along is 401 invalid_token.",
        section: "RFC 7515 section 4.1.3; RFC 8725 section 3.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(signed_by, Signer::Header),
        expect: INVALID_TOKEN,
        mutants: &[mutant("token-jwk-believed", "verifies a short-term token with the key in its header")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-alg-none-cased",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "none in another case is no algorithm of a token either.",
        section: "RFC 7518 section 3.6; RFC 8725 section 3.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(none_cased),
        expect: INVALID_TOKEN,
        mutants: &[mutant("token-alg-none-cased", "refuses an unsigned token only under none as the RFC has it")],
        ..ROW
    },
];

#[derive(Clone, Copy)]
enum Kind {
    Long,
    Short,
}

#[derive(Clone, Copy)]
enum Signer {
    Client,
    /// A key that nobody was told of, in `jwk`.
    Header,
}

async fn whole(t: &Trial<'_>, kind: Kind) -> Result<(String, Jwt), Stop> {
    let what = match kind {
        Kind::Long => "long",
        Kind::Short => "short",
    };
    let token = t.shared(Valid, what).await?.token;
    let jwt = Jwt::read(&token)
        .ok_or_else(|| Stop::Blocked(format!("the server's {what}-term token is no JWT, so it can't be imitated")))?;
    Ok((token, jwt))
}

/// A long-term token is exchanged, a short-term one rotates.
async fn refused(t: &Trial<'_>, presented_as: Kind, forged: String, what: &str) -> Result<(), Stop> {
    let forged = t.secret("FORGED_TOKEN", forged);
    let request = match presented_as {
        Kind::Long => endpoint::exchange(&forged),
        Kind::Short => t.rotate_request(Valid, &forged, Some(&["jobs:submit"]))?,
    };
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer).map_err(|stop| stop.wanted(|wanted| format!("{wanted} for a token {what}")))
}

/// What stands before the last dot, and what behind it.
fn split(token: &str) -> (&str, &str) {
    token.rsplit_once('.').unwrap_or((token, ""))
}

/// `at` counts from the end if it is negative.
async fn mac_changed(t: &Trial<'_>, at: isize) -> Result<(), Stop> {
    let (token, _) = whole(t, Kind::Long).await?;
    let (input, mac) = split(&token);
    let place = if at < 0 { mac.len().saturating_add_signed(at) } else { at.unsigned_abs() };
    let forged = format!("{input}.{}", jose::flip_at(mac, place));
    refused(t, Kind::Long, forged, &format!("whose signature differs at character {} of {}", place + 1, mac.len()))
        .await
}

async fn mac_cut(t: &Trial<'_>) -> Result<(), Stop> {
    let (token, _) = whole(t, Kind::Long).await?;
    let (input, mac) = split(&token);
    // Whole bytes: 3 for each 4 characters.
    for left in [0, 4, mac.len() / 8 * 4, mac.len().saturating_sub(1) / 4 * 4] {
        let what = format!("with {left} of the {} characters of its signature", mac.len());
        refused(t, Kind::Long, format!("{input}.{}", &mac[..left.min(mac.len())]), &what).await?;
    }
    // The right half, and a wrong one behind it.
    let half = mac.len() / 2 + 1;
    let rest: String = mac[half..].chars().map(|c| if c == 'A' { 'B' } else { 'A' }).collect();
    refused(t, Kind::Long, format!("{input}.{}{rest}", &mac[..half]), "with half of its signature").await
}

async fn header_changed(t: &Trial<'_>) -> Result<(), Stop> {
    let (token, mut jwt) = whole(t, Kind::Long).await?;
    jwt.header["x-conformance"] = true.into();
    let forged = format!("{}.{}", jose::signing_input(&jwt.header, &jwt.claims), split(&token).1);
    refused(t, Kind::Long, forged, "whose header was changed under its signature").await
}

async fn client_changed(t: &Trial<'_>) -> Result<(), Stop> {
    let other = t.setting(Other, ClientId)?;
    let (token, mut jwt) = whole(t, Kind::Long).await?;
    for name in ["sub", "client_id"] {
        if jwt.claims[name].is_string() {
            jwt.claims[name] = other.clone().into();
        }
    }
    let forged = format!("{}.{}", jose::signing_input(&jwt.header, &jwt.claims), split(&token).1);
    refused(t, Kind::Long, forged, "of another client under its old signature").await
}

async fn retyped(t: &Trial<'_>, kind: Kind) -> Result<(), Stop> {
    let (token, mut jwt) = whole(t, kind).await?;
    let (typ, presented_as) = match kind {
        Kind::Long => ("at+jwt", Kind::Short),
        Kind::Short => ("lt+jwt", Kind::Long),
    };
    jwt.header["typ"] = typ.into();
    let forged = format!("{}.{}", jose::signing_input(&jwt.header, &jwt.claims), split(&token).1);
    refused(t, presented_as, forged, &format!("of the other kind, re-typed to {typ}")).await
}

/// The token's own claims under HMAC with each published key.
async fn published_key(t: &Trial<'_>, kind: Kind) -> Result<(), Stop> {
    let answer = t.send(&endpoint::bare("GET", KEYS, None)).await?;
    let keys = answer.json().and_then(|set| set["keys"].as_array().cloned()).filter(|_| answer.status == 200);
    let keys = keys.ok_or_else(|| Stop::Absent("the deployment publishes no keys".to_owned()))?;
    let (_, mut jwt) = whole(t, kind).await?;
    jwt.header["alg"] = "HS256".into();
    for key in keys {
        jwt.header["kid"] = key["kid"].clone();
        let x = ["x", "n"].iter().find_map(|name| key[*name].as_str()).unwrap_or_default();
        for bytes in [jose::unb64(x).unwrap_or_default(), x.as_bytes().to_vec()] {
            let forged = jose::keyed(hmac::HMAC_SHA256, &bytes, &jose::signing_input(&jwt.header, &jwt.claims));
            refused(t, kind, forged, "under HMAC with the published key").await?;
        }
    }
    Ok(())
}

async fn assertion(t: &Trial<'_>) -> Result<(), Stop> {
    let (header, claims) = draft::assertion_parts(t, Valid)?;
    let assertion = draft::sign(t.key(Valid)?, &header, &claims)?;
    refused(t, Kind::Long, assertion, "that is an assertion").await
}

/// A short-term token's own claims, really signed, by a key that is not the service's; under the service's kid too.
async fn signed_by(t: &Trial<'_>, signer: Signer) -> Result<(), Stop> {
    let (_, jwt) = whole(t, Kind::Short).await?;
    let own = jwt.header["kid"].as_str().unwrap_or_default().to_owned();
    let no_randomness = || Stop::Error("the system gives no randomness".to_owned());
    let (made_up, public) = PrivateKey::made_up(&own).ok_or_else(no_randomness)?;
    let (key, kids): (&PrivateKey, Vec<String>) = match signer {
        Signer::Client => (t.key(Valid)?, vec![t.key(Valid)?.kid.clone(), own]),
        Signer::Header => (&made_up, vec![own]),
    };
    for kid in kids {
        let mut header: Value = jwt.header.clone();
        header["alg"] = key.alg.clone().into();
        header["kid"] = kid.into();
        if matches!(signer, Signer::Header) {
            header["jwk"] = public.clone();
        }
        let forged = draft::sign(key, &header, &jwt.claims)?;
        refused(t, Kind::Short, forged, "that somebody else signed").await?;
    }
    Ok(())
}

async fn none_cased(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, mut jwt) = whole(t, Kind::Short).await?;
    for alg in ["None", "NONE", "nOnE"] {
        jwt.header["alg"] = alg.into();
        let forged = format!("{}.", jose::signing_input(&jwt.header, &jwt.claims));
        refused(t, Kind::Short, forged, &format!("under alg {alg}")).await?;
    }
    Ok(())
}
