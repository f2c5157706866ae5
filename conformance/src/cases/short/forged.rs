//! POST /auth/tokens/short: forged long-term tokens, and genuine ones that were altered.

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
        requirement: "A token whose signature differs in its first character is rejected with 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 7515 section 5.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(mac_changed, 0),
        expect: INVALID_TOKEN,
        mutants: &[mutant("mac-without-first", "does not compare the first byte of a signature")],
        ..ROW
    },
    Case {
        id: "short.401.mac-last",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A token whose signature differs in its last character is rejected with 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 7515 section 5.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(mac_changed, -1),
        expect: INVALID_TOKEN,
        mutants: &[mutant("mac-without-last", "does not compare the last byte of a signature")],
        ..ROW
    },
    Case {
        id: "short.401.mac-cut",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A token with a truncated signature is rejected with 401 invalid_token, at whatever length it \
                      was cut.",
        section: "openapi.yaml, issueShortTermToken; RFC 7515 section 5.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(mac_cut),
        expect: INVALID_TOKEN,
        mutants: &[
            mutant("mac-by-length", "compares only as much of a signature as was sent"),
            mutant("mac-half", "compares only the first half of a signature"),
            mutant("mac-empty-ok", "accepts a token without a signature"),
        ],
        ..ROW
    },
    Case {
        id: "short.401.header-changed",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "The signature covers the header: a token with a header parameter added after signing is \
                      rejected with 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 7515 section 5.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(header_changed),
        expect: INVALID_TOKEN,
        mutants: &[mutant("mac-over-claims", "checks the signature over the claims only")],
        ..ROW
    },
    Case {
        id: "short.401.client-changed",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A token whose client was changed after signing is rejected with 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 7515 section 5.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Other, ClientId)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(client_changed),
        expect: INVALID_TOKEN,
        mutants: &[mutant("mac-over-jti", "checks only that it issued the token's id")],
        ..ROW
    },
    Case {
        id: "short.401.public-key-as-secret",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A token signed by HMAC with the published public key as the secret is rejected with 401 \
                      invalid_token.",
        section: "openapi.yaml, getJwks; RFC 8725 section 3.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(published_key, Kind::Long),
        expect: INVALID_TOKEN,
        mutants: &[mutant("long-by-public-key", "also accepts its public key as the HMAC secret of a long-term token")],
        ..ROW
    },
    Case {
        id: "short.401.typ-changed",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A short-term token whose typ was changed to that of a long-term token is rejected with 401 \
                      invalid_token.",
        section: "openapi.yaml, issueShortTermToken; RFC 8725 section 3.11",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(retyped, Kind::Short),
        expect: INVALID_TOKEN,
        mutants: &[mutant("kind-by-typ", "trusts typ, and checks the signature over the claims only")],
        ..ROW
    },
    Case {
        id: "short.401.assertion",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "A client's own assertion as the bearer is rejected with 401 invalid_token.",
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
        requirement: "A short-term token signed by HMAC with the published public key as the secret is rejected with \
                      401 invalid_token.",
        section: "openapi.yaml, getJwks; RFC 8725 section 3.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(published_key, Kind::Short),
        expect: INVALID_TOKEN,
        mutants: &[mutant(
            "short-by-public-key",
            "also accepts its public key as the HMAC secret of a short-term token",
        )],
        ..ROW
    },
    Case {
        id: "long.401.rotation-typ-changed",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A long-term token whose typ was changed to that of a short-term token cannot rotate: it is \
                      rejected with 401 invalid_token.",
        section: "openapi.yaml, issueLongTermToken; RFC 8725 section 3.11",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(retyped, Kind::Long),
        expect: INVALID_TOKEN,
        mutants: &[mutant("long-retyped-ok", "accepts any token that it signed, whatever its typ")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-clients-key",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A short-term token signed by the client with its registered key is rejected with 401 \
                      invalid_token.",
        section: "openapi.yaml, issueLongTermToken; RFC 8725 section 3.8",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(signed_by, Signer::Client),
        expect: INVALID_TOKEN,
        mutants: &[mutant("clients-sign-tokens", "accepts a client's registered key as one of its own")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-jwk",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A short-term token signed with a key that its header embeds as jwk is rejected with 401 \
                      invalid_token.",
        section: "RFC 7515 section 4.1.3; RFC 8725 section 3.8",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(signed_by, Signer::Header),
        expect: INVALID_TOKEN,
        mutants: &[mutant("token-jwk-believed", "verifies a short-term token with the key embedded in its header")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-alg-none-cased",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An unsigned short-term token is rejected with 401 invalid_token, however alg none is \
                      capitalised.",
        section: "RFC 7518 section 3.6; RFC 8725 section 3.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(none_cased),
        expect: INVALID_TOKEN,
        mutants: &[mutant("token-alg-none-cased", "rejects an unsigned token only if alg none is in lower case")],
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
    /// A key that nobody registered, in `jwk`.
    Header,
}

async fn whole(t: &Trial<'_>, kind: Kind) -> Result<(String, Jwt), Stop> {
    let what = match kind {
        Kind::Long => "long",
        Kind::Short => "short",
    };
    let token = t.shared(Valid, what).await?.token;
    let jwt = Jwt::read(&token).ok_or_else(|| {
        Stop::Blocked(format!("the server's {what}-term token is not a JWT, so no forgery of it can be made"))
    })?;
    Ok((token, jwt))
}

/// A long-term token is exchanged; a short-term token is rotated.
async fn refused(t: &Trial<'_>, presented_as: Kind, forged: String, what: &str) -> Result<(), Stop> {
    let forged = t.secret("FORGED_TOKEN", forged);
    let request = match presented_as {
        Kind::Long => endpoint::exchange(&forged),
        Kind::Short => t.rotate_request(Valid, &forged, Some(&["jobs:submit"]))?,
    };
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer).map_err(|stop| stop.wanted(|wanted| format!("{wanted} for a token {what}")))
}

/// The part before the last dot, and the part after it.
fn split(token: &str) -> (&str, &str) {
    token.rsplit_once('.').unwrap_or((token, ""))
}

/// The token with another header, and its own payload and signature as they are.
fn reheaded(token: &str, header: &Value) -> String {
    let rest = token.split_once('.').map_or("", |(_, rest)| rest);
    format!("{}.{rest}", jose::b64(header.to_string()))
}

/// A negative `at` counts from the end.
async fn mac_changed(t: &Trial<'_>, at: isize) -> Result<(), Stop> {
    let (token, _) = whole(t, Kind::Long).await?;
    let (input, mac) = split(&token);
    let place = if at < 0 { mac.len().saturating_add_signed(at) } else { at.unsigned_abs() };
    let forged = format!("{input}.{}", jose::flip_at(mac, place));
    refused(t, Kind::Long, forged, &format!("whose signature differs in character {} of {}", place + 1, mac.len()))
        .await
}

async fn mac_cut(t: &Trial<'_>) -> Result<(), Stop> {
    let (token, _) = whole(t, Kind::Long).await?;
    let (input, mac) = split(&token);
    // Cut at whole bytes: 4 characters encode 3 bytes.
    for left in [0, 4, mac.len() / 8 * 4, mac.len().saturating_sub(1) / 4 * 4] {
        let what = format!("with only {left} of the {} characters of its signature", mac.len());
        refused(t, Kind::Long, format!("{input}.{}", &mac[..left.min(mac.len())]), &what).await?;
    }
    // The right first half of the signature, followed by a wrong second half.
    let half = mac.len() / 2 + 1;
    let rest: String = mac[half..].chars().map(|c| if c == 'A' { 'Q' } else { 'A' }).collect();
    refused(t, Kind::Long, format!("{input}.{}{rest}", &mac[..half]), "with only half of its signature").await
}

async fn header_changed(t: &Trial<'_>) -> Result<(), Stop> {
    let (token, mut jwt) = whole(t, Kind::Long).await?;
    jwt.header["x-conformance"] = true.into();
    let forged = reheaded(&token, &jwt.header);
    refused(t, Kind::Long, forged, "whose header was changed after signing").await
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
    refused(t, Kind::Long, forged, "whose client was changed after signing").await
}

async fn retyped(t: &Trial<'_>, kind: Kind) -> Result<(), Stop> {
    let (token, mut jwt) = whole(t, kind).await?;
    let (typ, presented_as) = match kind {
        Kind::Long => ("at+jwt", Kind::Short),
        Kind::Short => ("lt+jwt", Kind::Long),
    };
    jwt.header["typ"] = typ.into();
    let forged = reheaded(&token, &jwt.header);
    refused(t, presented_as, forged, &format!("of the other kind, with its typ changed to {typ}")).await
}

/// The token's own claims, signed by HMAC with each published key as the secret.
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
            refused(t, kind, forged, "signed by HMAC with the published key as the secret").await?;
        }
    }
    Ok(())
}

async fn assertion(t: &Trial<'_>) -> Result<(), Stop> {
    let (header, claims) = draft::assertion_parts(t, Valid)?;
    let assertion = draft::sign(t.key(Valid)?, &header, &claims)?;
    refused(t, Kind::Long, assertion, "that is an assertion").await
}

/// A short-term token's own claims with a valid signature by a key that is not the service's, also with the service's
/// kid.
async fn signed_by(t: &Trial<'_>, signer: Signer) -> Result<(), Stop> {
    let (_, jwt) = whole(t, Kind::Short).await?;
    let own = jwt.header["kid"].as_str().unwrap_or_default().to_owned();
    let no_randomness = || Stop::Error("the system provides no randomness".to_owned());
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
        refused(t, Kind::Short, forged, "signed with a key that is not the service's").await?;
    }
    Ok(())
}

async fn none_cased(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, mut jwt) = whole(t, Kind::Short).await?;
    for alg in ["None", "NONE", "nOnE"] {
        jwt.header["alg"] = alg.into();
        let forged = format!("{}.", jose::signing_input(&jwt.header, &jwt.claims));
        refused(t, Kind::Short, forged, &format!("with alg {alg}")).await?;
    }
    Ok(())
}
