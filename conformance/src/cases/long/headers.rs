//! POST /auth/tokens/long: assertions with a valid signature by a key that is not the client's own, and headers that ask
//! the server to trust another key.

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
        requirement: "The key is selected by kid: an assertion without a kid is rejected with 401 invalid_client.",
        section: "openapi.yaml, LongTokenRequest; RFC 7515 section 4.1.4",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[NoJose("kid")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("kid-optional", "tries the client's key if there is no kid")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-kid-of-another",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Keys belong to the client that registered them: an assertion with another client's key and kid \
                      is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7515 section 4.1.4; RFC 8725 section 3.8",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[SignedBy(Other), Jose("kid", r#""${other.kid}""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("kid-of-anybody", "looks up the kid among all clients' keys")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-crit-unknown",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion whose crit names an unknown extension is rejected with 401 invalid_client.",
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
        requirement: "An assertion with crit is rejected with 401 invalid_client, even if crit names a standard \
                      extension such as b64.",
        section: "RFC 7515 section 4.1.11; RFC 7797 section 6",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Jose("crit", r#"["b64"]"#), Jose("b64", "true")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("crit-b64-ok", "accepts crit if it knows the extension")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-crit-registered",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion with crit is rejected with 401 invalid_client if crit names a header parameter of \
                      RFC 7515 itself.",
        section: "RFC 7515 section 4.1.11",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Jose("crit", r#"["kid"]"#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("crit-kid-ok", "accepts crit if it names a standard header parameter")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-jwk",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A key embedded in the header as jwk is not trusted: the assertion is rejected with 401 \
                      invalid_client.",
        section: "RFC 7515 section 4.1.3; RFC 8725 section 3.8",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(brought, "jwk"),
        expect: INVALID_CLIENT,
        mutants: &[mutant("jwk-believed", "verifies with the key embedded in the header")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-x5c",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A certificate embedded in the header as x5c is not trusted: the assertion is rejected with 401 \
                      invalid_client.",
        section: "RFC 7515 section 4.1.6; RFC 8725 section 3.8",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(brought, "x5c"),
        expect: INVALID_CLIENT,
        mutants: &[mutant("x5c-believed", "verifies with the certificate embedded in the header")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-jku",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A key that the header's jku points to is not trusted: the assertion is rejected with 401 \
                      invalid_client.",
        section: "RFC 7515 section 4.1.2; RFC 8725 section 3.10",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(brought, "jku"),
        expect: INVALID_CLIENT,
        mutants: &[mutant("jku-believed", "loads keys from a data: URL in jku")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-hs384-hs512",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion signed by HS384 or HS512 with the client's public key as the secret is rejected \
                      with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 8725 section 3.1",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(longer_hmac),
        expect: INVALID_CLIENT,
        mutants: &[mutant("hs512-public-key", "accepts the public key as the secret of HS512")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-alg-none-cased",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An unsigned assertion is rejected with 401 invalid_client, however alg none is capitalised.",
        section: "RFC 7518 section 3.6; RFC 8725 section 3.2",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(none_cased),
        expect: INVALID_CLIENT,
        mutants: &[mutant("alg-none-cased", "rejects alg none only if it is in lower case")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-alg-missing",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion without alg is rejected with 401 invalid_client.",
        section: "RFC 7515 section 4.1.1",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[NoJose("alg")]),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("alg-optional", "does not require alg")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-signature-empty",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion whose signature was removed is rejected with 401 invalid_client, whatever its alg.",
        section: "RFC 7515 section 5.2",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(unsigned),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("signature-optional", "verifies a signature only if there is one")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-fourth-part",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion with a fourth part is rejected with 401 invalid_client or 400 invalid_request.",
        section: "RFC 7515 section 7.1",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(fourth_part),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("fourth-part-ignored", "ignores the fourth part of an assertion")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-other-hash",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A key is used only with the algorithm that it was registered for: PS256 with an RS256 key is \
                      rejected with 401 invalid_client, and vice versa.",
        section: "RFC 8725 section 3.1; RFC 7518 section 3.5",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(sibling_algorithm),
        expect: INVALID_CLIENT,
        mutants: &[mutant("rsa-either-way", "lets the header choose between RS256 and PS256")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-crit-empty",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion whose crit is an empty array is rejected with 401 invalid_client.",
        section: "RFC 7515 section 4.1.11",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Jose("crit", "[]")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("crit-empty-ok", "accepts an empty crit")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-x-client-id-differs",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "X-Client-Id counts for an assertion too: another than the client_id of the body is rejected with \
                      401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Header("x-client-id", "${unique}")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant(
            "x-client-id-unchecked-by-assertion",
            "does not check X-Client-Id of calls with an assertion",
        )],
        ..ROW
    },
    Case {
        id: "long.201.accept-html",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "Whatever Accept says, the answer is JSON: a request with Accept: text/html is served.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Header("accept", "text/html")]),
        expect: GRANTED,
        mutants: &[mutant("accept-406", "answers 406 if Accept does not list application/json")],
        ..ROW
    },
];

async fn refused(t: &Trial<'_>, role: Role, assertion: String, what: &str) -> Result<(), Stop> {
    let answer = t.send(&draft::with_assertion(t, role, assertion).await?).await?;
    t.expect(t.due, &answer).map_err(|stop| stop.wanted(|wanted| format!("{wanted} for an assertion {what}")))
}

/// Signed with an unregistered key that is embedded in the header. The `kid` is the client's.
async fn brought(t: &Trial<'_>, parameter: &'static str) -> Result<(), Stop> {
    let (mut header, claims) = draft::assertion_parts(t, Valid)?;
    let kid = t.key(Valid)?.kid.clone();
    let (key, public) =
        PrivateKey::made_up(&kid).ok_or_else(|| Stop::Error("the system provides no randomness".to_owned()))?;
    header["alg"] = key.alg.clone().into();
    header[parameter] = match parameter {
        "jwk" => public,
        "x5c" => json!([jose::b64_padded(key.certificate().map_err(Stop::Error)?)]),
        _ => format!("data:application/json;base64,{}", jose::b64_padded(json!({"keys": [public]}).to_string())).into(),
    };
    let assertion = draft::sign(&key, &header, &claims)?;
    refused(t, Valid, assertion, &format!("signed with the key that its header embeds as {parameter}")).await
}

async fn longer_hmac(t: &Trial<'_>) -> Result<(), Stop> {
    let key = t.key(Valid)?;
    for (alg, hash) in [("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)] {
        for (what, bytes) in key.public_forms().into_iter().take(3) {
            let (mut header, claims) = draft::assertion_parts(t, Valid)?;
            header["alg"] = alg.into();
            let assertion = jose::keyed(hash, &bytes, &jose::signing_input(&header, &claims));
            refused(t, Valid, assertion, &format!("signed by {alg} with {what} as the secret")).await?;
        }
    }
    Ok(())
}

async fn none_cased(t: &Trial<'_>) -> Result<(), Stop> {
    for alg in ["None", "NONE", "nOnE"] {
        let (mut header, claims) = draft::assertion_parts(t, Valid)?;
        header["alg"] = alg.into();
        refused(t, Valid, format!("{}.", jose::signing_input(&header, &claims)), &format!("with alg {alg}")).await?;
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
        return Err(Stop::Absent("no role has an RSA key; only RSA keys could be used with two algorithms".to_owned()));
    };
    let right = t.send(&draft::build(t, Assertion(role), &[]).await?).await?;
    t.expect(GRANTED, &right).map_err(|_| {
        Stop::Blocked(format!(
            "this case first needs a valid assertion of role {}: the server answered {}",
            role.name(),
            t.summary(&right)
        ))
    })?;
    let (mut header, claims) = draft::assertion_parts(t, role)?;
    header["alg"] = key.alg.into();
    let input = jose::signing_input(&header, &claims);
    let signature = key.sign(input.as_bytes()).map_err(Stop::Error)?;
    let what = format!("signed by {} with a key registered for the other RSA algorithm", key.alg);
    refused(t, role, format!("{input}.{}", jose::b64(signature)), &what).await
}
