//! POST /auth/tokens/long: an assertion's claims, and single use.

use crate::case::*;
use crate::trial::draft;

pub const CASES: &[Case] = &[
    Case {
        id: "long.201.assertion-aud-array",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "An assertion's aud may be an array that contains the endpoint's URL.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.3",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("aud", r#"["https://elsewhere.example","${endpoint}"]"#)]),
        expect: GRANTED,
        mutants: &[mutant("aud-array-refused", "rejects an aud array")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-aud-issuer",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "An assertion's aud may be the issuer's URL.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.3",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("aud", r#""${issuer}""#)]),
        expect: GRANTED,
        mutants: &[mutant("aud-issuer-refused", "rejects its own issuer as aud")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-without-iat",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "iat is optional in an assertion.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.6",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[NoClaim("iat")]),
        expect: GRANTED,
        mutants: &[mutant("iat-required", "requires iat")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-exp-540",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "An assertion's exp may be 9 minutes ahead.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.4",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("exp", "${now+540}")]),
        expect: GRANTED,
        mutants: &[mutant("exp-300", "allows at most 5 minutes")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-iat-30",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "An assertion's iat may be 30 s in the future.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.6",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("iat", "${now+30}")]),
        expect: GRANTED,
        mutants: &[mutant("no-leeway", "allows no clock skew")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-nbf-30",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "An assertion's nbf may be 30 s in the future.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.5",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("nbf", "${now+30}")]),
        expect: GRANTED,
        ..ROW
    },
    Case {
        id: "long.401.assertion-expired",
        cell: Cell::Long(401),
        level: Level::Seed,
        requirement: "An expired assertion is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.4",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("exp", "${now-180}"), Claim("iat", "${now-300}")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("exp-unchecked", "accepts expired assertions")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-exp-missing",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion without exp is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.4",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[NoClaim("exp")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("exp-optional", "does not require exp")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-exp-far",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An exp more than 10 minutes ahead is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.4",
        effect: Effect::Read,
        control: Some("long.201.assertion-exp-540"),
        request: Ask(Assertion(Valid), &[Claim("exp", "${now+900}")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("exp-far-ok", "accepts an exp however far ahead")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-exp-string",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An exp that is not a number is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.4",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("exp", r#""${now+120}""#)]),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("exp-string-ok", "accepts an exp that is not a number")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-iat-future",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An iat 110 s in the future is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.6",
        effect: Effect::Read,
        control: Some("long.201.assertion-iat-30"),
        request: Ask(Assertion(Valid), &[Claim("iat", "${now+110}")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("iat-unchecked", "ignores iat")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-nbf-future",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An nbf 110 s in the future is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.5",
        effect: Effect::Read,
        control: Some("long.201.assertion-nbf-30"),
        request: Ask(Assertion(Valid), &[Claim("nbf", "${now+110}")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("nbf-unchecked", "ignores nbf")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-aud-wrong",
        cell: Cell::Long(401),
        level: Level::Seed,
        requirement: "An aud that names another service is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.3",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("aud", r#""https://elsewhere.example/auth/tokens/long""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("aud-unchecked", "ignores aud")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-aud-array-wrong",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An aud array that does not name this service is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.3",
        effect: Effect::Read,
        control: Some("long.201.assertion-aud-array"),
        request: Ask(Assertion(Valid), &[Claim("aud", r#"["https://elsewhere.example","${endpoint}/x"]"#)]),
        expect: INVALID_CLIENT,
        ..ROW
    },
    Case {
        id: "long.401.assertion-aud-missing",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion without aud is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.3",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[NoClaim("aud")]),
        expect: INVALID_CLIENT,
        ..ROW
    },
    Case {
        id: "long.401.assertion-iss-wrong",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An iss that is not the client_id is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("iss", r#""${other.client_id}""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("iss-unchecked", "ignores iss")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-sub-wrong",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A sub that is not the client_id is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("sub", r#""${other.client_id}""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("sub-unchecked", "ignores sub")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-iss-missing",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion without iss is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[NoClaim("iss")]),
        expect: INVALID_CLIENT,
        ..ROW
    },
    Case {
        id: "long.401.assertion-sub-missing",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion without sub is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[NoClaim("sub")]),
        expect: INVALID_CLIENT,
        ..ROW
    },
    Case {
        id: "long.401.assertion-jti-missing",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion without jti is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.7",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[NoClaim("jti")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("jti-optional", "does not require jti")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-replayed",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A replayed assertion is rejected with 401 invalid_client: a jti is accepted once.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.7",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(replayed),
        expect: INVALID_CLIENT,
        mutants: &[mutant("jti-reusable", "accepts a replayed assertion")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-simultaneous",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Of several simultaneous requests with one assertion, exactly one is answered with 201. The \
                      others are rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.7",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(one_assertion),
        expect: INVALID_CLIENT,
        mutants: &[mutant("jti-race", "accepts an assertion more than once when it is sent simultaneously")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-aud-slash",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "aud is compared exactly: the endpoint's URL with a slash after it is rejected with 401 \
                      invalid_client.",
        section: "RFC 7523 section 3",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("aud", r#""${endpoint}/""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("aud-slash-ok", "ignores a slash at the end of aud")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-iat-text",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "iat is a number: a string is rejected with 401 invalid_client.",
        section: "RFC 7519 section 4.1.6",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("iat", r#""${now+0}""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("iat-text-ok", "accepts a string as iat")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-jti-empty",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An empty jti is rejected with 401 invalid_client, as a missing one is.",
        section: "RFC 7519 section 4.1.7",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("jti", r#""""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("jti-empty-ok", "accepts an empty jti")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-jti-long",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "The whole jti counts: two jtis that differ only in their last character are both accepted.",
        section: "RFC 7519 section 4.1.7",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(long_jtis),
        expect: GRANTED,
        mutants: &[mutant("jti-cut", "compares only the first 64 characters of a jti")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-aud-other-endpoint",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion for another endpoint of this server is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("aud", r#""${issuer}/auth/tokens/short""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("aud-any-endpoint", "accepts any URL below the issuer as audience")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-aud-recased",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "aud is compared exactly: with the endpoint's path in another case, the assertion is rejected with \
                      401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.3",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(recased_aud),
        expect: INVALID_CLIENT,
        mutants: &[mutant("aud-folded", "ignores the case of aud")],
        ..ROW
    },
];

async fn replayed(t: &Trial<'_>) -> Result<(), Stop> {
    let request = draft::build(t, Assertion(Valid), &[]).await?;
    let first = t.send(&request).await?;
    t.expect(GRANTED, &first)?;
    let second = t.send(&request).await?;
    t.expect(t.due, &second)
}

async fn one_assertion(t: &Trial<'_>) -> Result<(), Stop> {
    let request = draft::build(t, Assertion(Valid), &[]).await?;
    let answers = t.send_at_once(&request, 8).await?;
    let accepted = answers.iter().filter(|a| a.status == 201).count();
    if accepted != 1 {
        return Err(Stop::fail(
            "exactly one 201 for 8 simultaneous requests with one assertion",
            format!("201 for {accepted} of them"),
        ));
    }
    answers.iter().filter(|a| a.status != 201).try_for_each(|a| t.expect(t.due, a))
}

async fn long_jtis(t: &Trial<'_>) -> Result<(), Stop> {
    let beginning = format!("{}-{}", t.unique(), "x".repeat(80));
    for last in ["a", "b"] {
        let (header, mut claims) = draft::assertion_parts(t, Valid)?;
        claims["jti"] = format!("{beginning}{last}").into();
        let assertion = draft::sign(t.key(Valid)?, &header, &claims)?;
        let request = draft::with_assertion(t, Valid, assertion).await?;
        t.expect(t.due, &t.send(&request).await?)?;
    }
    Ok(())
}

async fn recased_aud(t: &Trial<'_>) -> Result<(), Stop> {
    let (header, mut claims) = draft::assertion_parts(t, Valid)?;
    let endpoint = t.run.client.url(crate::endpoint::LONG);
    let path = endpoint.len() - crate::endpoint::LONG.len();
    claims["aud"] = format!("{}{}", &endpoint[..path], endpoint[path..].to_uppercase()).into();
    let assertion = draft::sign(t.key(Valid)?, &header, &claims)?;
    let request = draft::with_assertion(t, Valid, assertion).await?;
    t.expect(t.due, &t.send(&request).await?)
}
