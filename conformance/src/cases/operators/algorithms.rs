//! Assertions by each algorithm, on clients that the operator creates with such keys.

use super::OPERATOR;
use crate::case::*;
use crate::jose;
use crate::trial::draft;
use crate::trial::operators::{Client, Signer};
use serde_json::{Value, json};

const SIGNED: Case = Case { level: Level::Service, needs: OPERATOR, effect: Effect::Provision, ..ROW };

pub const CASES: &[Case] = &[
    Case {
        id: "operators.201.assertion-es256",
        cell: Cell::Service(201),
        requirement: "An assertion signed with ES256 by a registered key issues a long-term token.",
        section: "openapi.yaml, issueLongTermToken; RFC 7518 section 3.1",
        control: Some("operators.201.assertion"),
        request: steps!(accepted, "ES256"),
        expect: GRANTED,
        mutants: &[mutant("es256-unverifiable", "rejects every assertion by ES256")],
        ..SIGNED
    },
    Case {
        id: "operators.201.assertion-rs256",
        cell: Cell::Service(201),
        requirement: "An assertion signed with RS256 by a registered key issues a long-term token.",
        section: "openapi.yaml, issueLongTermToken; RFC 7518 section 3.1",
        control: Some("operators.201.assertion"),
        request: steps!(accepted, "RS256"),
        expect: GRANTED,
        mutants: &[mutant("rs256-unverifiable", "rejects every assertion by RS256")],
        ..SIGNED
    },
    Case {
        id: "operators.201.assertion-ps256",
        cell: Cell::Service(201),
        requirement: "An assertion signed with PS256 by a registered key issues a long-term token.",
        section: "openapi.yaml, issueLongTermToken; RFC 7518 section 3.1",
        control: Some("operators.201.assertion"),
        request: steps!(accepted, "PS256"),
        expect: GRANTED,
        mutants: &[mutant("ps256-unverifiable", "rejects every assertion by PS256")],
        ..SIGNED
    },
    Case {
        id: "operators.401.assertion-es256-forged",
        cell: Cell::Service(401),
        requirement: "An assertion by ES256 whose claims or signature were changed is rejected with 401 \
                      invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 7518 section 3.1",
        control: Some("operators.201.assertion-es256"),
        request: steps!(forged, "ES256"),
        expect: INVALID_CLIENT,
        mutants: &[mutant("es256-signature-unchecked", "does not check signatures by ES256")],
        ..SIGNED
    },
    Case {
        id: "operators.401.assertion-rs256-forged",
        cell: Cell::Service(401),
        requirement: "An assertion by RS256 whose claims or signature were changed is rejected with 401 \
                      invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 7518 section 3.1",
        control: Some("operators.201.assertion-rs256"),
        request: steps!(forged, "RS256"),
        expect: INVALID_CLIENT,
        mutants: &[mutant("rs256-signature-unchecked", "does not check signatures by RS256")],
        ..SIGNED
    },
    Case {
        id: "operators.401.assertion-ps256-forged",
        cell: Cell::Service(401),
        requirement: "An assertion by PS256 whose claims or signature were changed is rejected with 401 \
                      invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 7518 section 3.1",
        control: Some("operators.201.assertion-ps256"),
        request: steps!(forged, "PS256"),
        expect: INVALID_CLIENT,
        mutants: &[mutant("ps256-signature-unchecked", "does not check signatures by PS256")],
        ..SIGNED
    },
    Case {
        id: "operators.401.assertion-rsa-other-padding",
        cell: Cell::Service(401),
        requirement: "A key is used only with the algorithm that it was registered for: PS256 with a key for RS256 is \
                      rejected with 401 invalid_client, and so is the reverse.",
        section: "openapi.yaml, ClientJwk; RFC 8725 section 3.1",
        control: Some("operators.201.assertion-rs256"),
        request: steps!(other_padding),
        expect: INVALID_CLIENT,
        mutants: &[mutant("rsa-by-header", "lets the header choose the padding of an RSA key")],
        ..SIGNED
    },
    Case {
        id: "operators.401.assertion-hs256-rsa",
        cell: Cell::Service(401),
        requirement: "An assertion by HS256 whose key is a client's public RSA key, in any encoding, is rejected with \
                      401 invalid_client.",
        section: "openapi.yaml, ClientJwk; RFC 8725 section 2.1",
        control: Some("operators.201.assertion-rs256"),
        request: steps!(hmac_with_public_key, "RS256"),
        expect: INVALID_CLIENT,
        mutants: &[mutant("hs256-rsa-public", "accepts HS256 with the text of a public RSA key as the secret")],
        ..SIGNED
    },
    Case {
        id: "operators.401.assertion-hs256-es256",
        cell: Cell::Service(401),
        requirement: "An assertion by HS256 whose key is a client's public P-256 key, in any encoding, is rejected \
                      with 401 invalid_client.",
        section: "openapi.yaml, ClientJwk; RFC 8725 section 2.1",
        control: Some("operators.201.assertion-es256"),
        request: steps!(hmac_with_public_key, "ES256"),
        expect: INVALID_CLIENT,
        mutants: &[mutant("hs256-p256-public", "accepts HS256 with a public P-256 key as the secret")],
        ..SIGNED
    },
    Case {
        id: "operators.401.assertion-kid-of-another-alg",
        cell: Cell::Service(401),
        requirement: "The kid chooses the key, not the algorithm: an assertion under the kid of the client's other key \
                      is rejected with 401 invalid_client.",
        section: "openapi.yaml, ClientJwk; RFC 7515 section 4.1.4",
        control: Some("operators.201.assertion-es256"),
        request: steps!(kid_of_another),
        expect: INVALID_CLIENT,
        mutants: &[mutant(
            "key-by-alg",
            "takes the client's first key for the algorithm in the header, whatever its kid",
        )],
        ..SIGNED
    },
];

async fn holder(t: &Trial<'_>, signers: &[&Signer]) -> Result<Client, Stop> {
    let keys: Vec<&Value> = signers.iter().map(|signer| &signer.jwk).collect();
    t.client_with(json!({"mechanisms": ["assertion"], "jwks": {"keys": keys}})).await
}

async fn send(t: &Trial<'_>, client: &Client, assertion: String) -> Result<Answer, Stop> {
    t.log_in(client, t.by_assertion(assertion)).await
}

async fn accepted(t: &Trial<'_>, alg: &str) -> Result<(), Stop> {
    let signer = t.known_signer(alg, "first")?;
    let client = holder(t, &[&signer]).await?;
    t.log_in_by_assertion(&client, &signer, t.due).await
}

async fn forged(t: &Trial<'_>, alg: &str) -> Result<(), Stop> {
    let signer = t.known_signer(alg, "first")?;
    let client = holder(t, &[&signer]).await?;
    let (header, claims) = t.assertion_parts_of(&client, alg, "first");
    let signed = draft::sign(&signer.key, &header, &claims)?;
    let signature = signed.rsplit('.').next().unwrap_or_default();
    let (_, others) = t.assertion_parts_of(&client, alg, "first");
    for (what, assertion) in [
        ("with a changed signature", jose::tampered(&signed)),
        ("with the signature of other claims", format!("{}.{signature}", jose::signing_input(&header, &others))),
        ("without its signature", format!("{}.", jose::signing_input(&header, &others))),
    ] {
        let answer = send(t, &client, assertion).await?;
        t.expect(t.due, &answer)
            .map_err(|stop| stop.wanted(|wanted| format!("{wanted} for an assertion by {alg} {what}")))?;
    }
    Ok(())
}

async fn other_padding(t: &Trial<'_>) -> Result<(), Stop> {
    for (registered, used) in [("RS256", "PS256"), ("PS256", "RS256")] {
        let (signer, other) = (t.known_signer(registered, "first")?, t.known_signer(used, "first")?);
        let client = holder(t, &[&signer]).await?;
        let (header, claims) = t.assertion_parts_of(&client, used, "first");
        let answer = send(t, &client, draft::sign(&other.key, &header, &claims)?).await?;
        t.expect(t.due, &answer)
            .map_err(|stop| stop.wanted(|wanted| format!("{wanted} for {used} with a key for {registered}")))?;
    }
    Ok(())
}

async fn hmac_with_public_key(t: &Trial<'_>, alg: &str) -> Result<(), Stop> {
    let signer = t.known_signer(alg, "first")?;
    let client = holder(t, &[&signer]).await?;
    for (what, key) in signer.key.public_forms() {
        let (header, claims) = t.assertion_parts_of(&client, "HS256", "first");
        let assertion = jose::hs256(&key, &jose::signing_input(&header, &claims));
        let answer = send(t, &client, assertion).await?;
        t.expect(t.due, &answer).map_err(|stop| stop.wanted(|wanted| format!("{wanted} for HS256 with {what}")))?;
    }
    Ok(())
}

async fn kid_of_another(t: &Trial<'_>) -> Result<(), Stop> {
    let (first, second) = (t.signer("first")?, t.known_signer("ES256", "second")?);
    let client = holder(t, &[&first, &second]).await?;
    let (header, claims) = t.assertion_parts_of(&client, "ES256", "first");
    t.expect(t.due, &send(t, &client, draft::sign(&second.key, &header, &claims)?).await?)
}
