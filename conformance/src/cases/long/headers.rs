//! POST /auth/tokens/long: assertions that were really signed, but not by the client's own registered key; and headers that
//! would have it otherwise.

use crate::case::*;
use crate::jose::{self, PrivateKey};
use crate::trial::draft;
use ring::hmac;
use serde_json::json;

pub const CASES: &[Case] = &[
    Case {
        id: "long.401.assertion-kid-missing",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "The key is chosen by kid: without one the assertion is 401 invalid_client.",
        section: "openapi.yaml, LongTokenRequest; RFC 7515 section 4.1.4",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[NoJose("kid")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("kid-optional", "tries the client's key when there is no kid")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-kid-of-another",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A key counts for the client that registered it: another's key under its own kid is 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7515 section 4.1.4",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[SignedBy(Other), Jose("kid", r#""${other.kid}""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("kid-of-anybody", "looks for the kid among all clients' keys")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-crit-unknown",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An extension that the header calls critical is 401 invalid_client.",
        section: "RFC 7515 section 4.1.11",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Jose("crit", r#"["x-conformance"]"#), Jose("x-conformance", "true")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("crit-ignored", "ignores crit")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-crit-b64",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "crit is 401 invalid_client whatever it names, an extension with an RFC of its own too.",
        section: "RFC 7515 section 4.1.11; RFC 7797 section 6",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Jose("crit", r#"["b64"]"#), Jose("b64", "true")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("crit-b64-ok", "takes crit when it knows what it names")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-crit-registered",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "crit that names a parameter of RFC 7515 itself is 401 invalid_client.",
        section: "RFC 7515 section 4.1.11",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Jose("crit", r#"["kid"]"#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("crit-kid-ok", "takes crit when the parameter is one of its own")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-jwk",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A key that the header brings as jwk is not the client's.",
        section: "RFC 7515 section 4.1.3; RFC 8725 section 3.1",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(brought, "jwk"),
        expect: INVALID_CLIENT,
        mutants: &[mutant("jwk-believed", "verifies with the key in the header")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-x5c",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A key that the header brings in x5c is not the client's.",
        section: "RFC 7515 section 4.1.6; RFC 8725 section 3.1",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(brought, "x5c"),
        expect: INVALID_CLIENT,
        mutants: &[mutant("x5c-believed", "verifies with the certificate in the header")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-jku",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A jku in the header leads to no key of the client's.",
        section: "RFC 7515 section 4.1.2; RFC 8725 section 3.10",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(brought, "jku"),
        expect: INVALID_CLIENT,
        mutants: &[mutant("jku-believed", "reads keys from the data: URL of jku")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-hs384-hs512",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "The client's public key is no HMAC key under HS384 or HS512 either.",
        section: "RFC 7523 section 3; RFC 8725 section 3.1",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(longer_hmac),
        expect: INVALID_CLIENT,
        mutants: &[mutant("hs512-public-key", "takes the public key for an HMAC key under HS512")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-alg-none-cased",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "none in another case is not an algorithm either.",
        section: "RFC 7518 section 3.6; RFC 8725 section 3.1",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(none_cased),
        expect: INVALID_CLIENT,
        mutants: &[mutant("alg-none-cased", "refuses none only as it is written in the RFC")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-alg-missing",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion that names no algorithm is 401 invalid_client.",
        section: "RFC 7515 section 4.1.1",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[NoJose("alg")]),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("alg-optional", "needs no alg")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-signature-empty",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion whose signature was taken away is 401 invalid_client, whatever its alg says.",
        section: "RFC 7515 section 5.2",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(unsigned),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("signature-optional", "checks a signature only when there is one")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-fourth-part",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion of four parts is no JWS.",
        section: "RFC 7515 section 7.1",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(fourth_part),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("fourth-part-ignored", "reads the first three parts of an assertion")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-other-hash",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A key serves the algorithm that it was registered for alone: PS256 by an RS256 key is 401 invalid_client, and the reverse.",
        section: "RFC 8725 section 3.1; RFC 7518 section 3.5",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(sibling_algorithm),
        expect: INVALID_CLIENT,
        mutants: &[mutant("rsa-either-way", "lets the header choose between RS256 and PS256")],
        ..ROW
    },
];

async fn refused(t: &Trial<'_>, role: Role, assertion: String, what: &str) -> Result<(), Stop> {
    let answer = t.send(&draft::with_assertion(t, role, assertion).await?).await?;
    t.expect(t.due, &answer).map_err(|stop| stop.wanted(|wanted| format!("{wanted} for an assertion {what}")))
}

/// Signed by a key that nobody registered, which the header brings along; its `kid` is the client's.
async fn brought(t: &Trial<'_>, parameter: &'static str) -> Result<(), Stop> {
    let (mut header, claims) = draft::assertion_parts(t, Valid)?;
    let kid = t.key(Valid)?.kid.clone();
    let (key, public) =
        PrivateKey::made_up(&kid).ok_or_else(|| Stop::Error("the system gives no randomness".to_owned()))?;
    header["alg"] = key.alg.clone().into();
    header[parameter] = match parameter {
        "jwk" => public,
        "x5c" => json!([jose::b64_padded(key.certificate().map_err(Stop::Error)?)]),
        _ => format!("data:application/json;base64,{}", jose::b64_padded(json!({"keys": [public]}).to_string())).into(),
    };
    let assertion = draft::sign(&key, &header, &claims)?;
    refused(t, Valid, assertion, &format!("by the key that its header brings as {parameter}")).await
}

async fn longer_hmac(t: &Trial<'_>) -> Result<(), Stop> {
    let key = t.key(Valid)?;
    for (alg, hash) in [("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)] {
        for (what, bytes) in key.public_forms().into_iter().take(3) {
            let (mut header, claims) = draft::assertion_parts(t, Valid)?;
            header["alg"] = alg.into();
            let assertion = jose::keyed(hash, &bytes, &jose::signing_input(&header, &claims));
            refused(t, Valid, assertion, &format!("under {alg} keyed with {what}")).await?;
        }
    }
    Ok(())
}

async fn none_cased(t: &Trial<'_>) -> Result<(), Stop> {
    for alg in ["None", "NONE", "nOnE"] {
        let (mut header, claims) = draft::assertion_parts(t, Valid)?;
        header["alg"] = alg.into();
        refused(t, Valid, format!("{}.", jose::signing_input(&header, &claims)), &format!("under alg {alg}")).await?;
    }
    Ok(())
}

async fn unsigned(t: &Trial<'_>) -> Result<(), Stop> {
    let (header, claims) = draft::assertion_parts(t, Valid)?;
    refused(t, Valid, format!("{}.", jose::signing_input(&header, &claims)), "without its signature").await
}

async fn fourth_part(t: &Trial<'_>) -> Result<(), Stop> {
    let (header, claims) = draft::assertion_parts(t, Valid)?;
    let whole = draft::sign(t.key(Valid)?, &header, &claims)?;
    refused(t, Valid, format!("{whole}.AAAA"), "with a fourth part").await
}

async fn sibling_algorithm(t: &Trial<'_>) -> Result<(), Stop> {
    let sibling = |role: &Role| Some((*role, t.key(*role).ok()?.sibling()?));
    let Some((role, key)) = Role::ALL.iter().find_map(sibling) else {
        return Err(Stop::Absent("no role has an RSA key, which alone knows two algorithms".to_owned()));
    };
    let right = t.send(&draft::build(t, Assertion(role), &[]).await?).await?;
    t.expect(GRANTED, &right).map_err(|_| {
        Stop::Blocked(format!("role {} needs a right assertion first: {}", role.name(), t.summary(&right)))
    })?;
    let (mut header, claims) = draft::assertion_parts(t, role)?;
    header["alg"] = key.alg.into();
    let input = jose::signing_input(&header, &claims);
    let signature = key.sign(input.as_bytes()).map_err(Stop::Error)?;
    let what = format!("under {} by a key registered for its sibling", key.alg);
    refused(t, role, format!("{input}.{}", jose::b64(signature)), &what).await
}
