//! POST /auth/tokens/long: assertions that were not signed by the client.

use crate::case::*;
use crate::trial::draft;
use crate::{endpoint, jose};
use serde_json::json;

pub const CASES: &[Case] = &[
    Case {
        id: "long.401.assertion-alg-none",
        cell: Cell::Long(401),
        level: Level::Seed,
        requirement: "An unsigned assertion is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 8725 section 3.2",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[AlgNone]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("alg-none", "accepts unsigned assertions")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-hs256-public-key",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion signed by HS256 with the client's public key as the secret is rejected with 401 \
                      invalid_client.",
        section: "RFC 7523 section 3; RFC 8725 section 3.1",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(hs256_public),
        expect: INVALID_CLIENT,
        mutants: &[mutant("hs256-public-key", "accepts the public key as an HMAC secret")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-alg-other",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "The algorithm is bound to the key: an alg in the header that the key is not registered for is \
                      rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 8725 section 3.1",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Jose("alg", r#""HS512""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("alg-header-ignored", "ignores the header's alg")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-kid-unknown",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A kid that is not registered is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7515 section 5.2",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Jose("kid", r#""no-such-key""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("kid-ignored", "ignores kid")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-signature",
        cell: Cell::Long(401),
        level: Level::Seed,
        requirement: "An assertion with an invalid signature is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7515 section 5.2",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[TamperedSignature]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("signature-unchecked", "does not verify an assertion's signature")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-claims-changed",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A claim changed after signing is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7515 section 5.2",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[TamperedClaims]),
        expect: INVALID_CLIENT,
        ..ROW
    },
    Case {
        id: "long.401.assertion-other-key",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion signed with another client's key is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7515 section 5.2",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[SignedBy(Other)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("any-registered-key", "accepts any client's key")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-other-client",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion is rejected with 401 invalid_client if its iss and sub are not the client_id of \
                      the request.",
        section: "RFC 7523 section 3",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(
            Assertion(Valid),
            &[Set("client_id", r#""${other.client_id}""#), Header("x-client-id", "${other.client_id}")],
        ),
        expect: INVALID_CLIENT,
        mutants: &[mutant("assertion-client-unbound", "takes the client from the assertion, not from client_id")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-garbage",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion that is not a JWT is rejected with 401 invalid_client or 400 invalid_request.",
        section: "RFC 7523 section 3; RFC 7515 section 5.2",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Set("assertion", r#""not.a.jwt""#)]),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("garbage-assertion-403", "answers 403 to a malformed assertion")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-is-our-token",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A token issued by this service is not an assertion: it is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Set("assertion", r#""${valid.short}""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("own-tokens-as-assertions", "accepts its own tokens as assertions")],
        ..ROW
    },
];

async fn hs256_public(t: &Trial<'_>) -> Result<(), Stop> {
    let key = t.key(Valid)?;
    let client_id = t.setting(Valid, ClientId)?;
    let now = t.run.clock.now();
    for (what, hmac_key) in key.public_forms() {
        let header = json!({"alg": "HS256", "kid": key.kid, "typ": "JWT"});
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": t.run.client.url(endpoint::LONG),
            "iat": now, "exp": now + 120, "jti": t.unique(),
        });
        let forged = t.secret("FORGED_ASSERTION", jose::hs256(&hmac_key, &jose::signing_input(&header, &claims)));
        let mut request = draft::build(t, Assertion(Valid), &[]).await?;
        let mut body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
        body["assertion"] = forged.into();
        request.body = body.to_string().into_bytes();
        let answer = t.send(&request).await?;
        t.expect(t.due, &answer).map_err(|stop| match stop {
            Stop::Fail { wanted, got } => {
                Stop::fail(format!("{wanted} for an assertion signed by HS256 with {what} as the secret"), got)
            }
            other => other,
        })?;
    }
    Ok(())
}
