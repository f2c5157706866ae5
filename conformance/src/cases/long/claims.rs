//! POST /auth/tokens/long: the claims of an assertion, and that each is accepted once.

use crate::case::*;
use crate::trial::draft;

pub const CASES: &[Case] = &[
    Case {
        id: "long.201.assertion-aud-array",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "aud may be an array that holds the endpoint's URL.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.3",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("aud", r#"["https://elsewhere.example","${endpoint}"]"#)]),
        expect: GRANTED,
        mutants: &[mutant("aud-array-refused", "can't read an aud array")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-aud-issuer",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "aud may be the issuer.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.3",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("aud", r#""${issuer}""#)]),
        expect: GRANTED,
        mutants: &[mutant("aud-issuer-refused", "does not know its own name")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-without-iat",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "iat may be absent.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.6",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[NoClaim("iat")]),
        expect: GRANTED,
        mutants: &[mutant("iat-required", "needs iat")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-exp-540",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "exp may be close to 10 minutes ahead.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.4",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("exp", "${now+540}")]),
        expect: GRANTED,
        mutants: &[mutant("exp-300", "allows 5 minutes only")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-iat-30",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "iat may be half a minute ahead.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.6",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("iat", "${now+30}")]),
        expect: GRANTED,
        mutants: &[mutant("no-leeway", "allows no leeway")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-nbf-30",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "nbf may be half a minute ahead.",
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
        requirement: "An expired assertion is 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.4",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("exp", "${now-180}"), Claim("iat", "${now-300}")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("exp-unchecked", "takes expired assertions")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-exp-missing",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion without exp is 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.4",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[NoClaim("exp")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("exp-optional", "needs no exp")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-exp-far",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An exp further ahead than 10 minutes is 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.4",
        effect: Effect::Read,
        control: Some("long.201.assertion-exp-540"),
        request: Ask(Assertion(Valid), &[Claim("exp", "${now+900}")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("exp-far-ok", "takes any later exp")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-exp-string",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An exp that is no number is 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.4",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("exp", r#""${now+120}""#)]),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("exp-string-ok", "takes an exp that is no number")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-iat-future",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An iat in the future is 401 invalid_client.",
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
        requirement: "An nbf in the future is 401 invalid_client.",
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
        requirement: "An aud that names another service is 401 invalid_client.",
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
        requirement: "An aud array without this service is 401 invalid_client.",
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
        requirement: "An assertion without aud is 401 invalid_client.",
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
        requirement: "An iss that is not client_id is 401 invalid_client.",
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
        requirement: "A sub that is not client_id is 401 invalid_client.",
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
        requirement: "An assertion without iss is 401 invalid_client.",
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
        requirement: "An assertion without sub is 401 invalid_client.",
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
        requirement: "An assertion without jti is 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.7",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[NoClaim("jti")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("jti-optional", "needs no jti")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-replayed",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A jti is accepted once.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.7",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(replayed),
        expect: INVALID_CLIENT,
        mutants: &[mutant("jti-reusable", "takes an assertion again")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-simultaneous",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Of simultaneous tries with one assertion exactly one is answered 201.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.7",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(one_assertion),
        expect: INVALID_CLIENT,
        mutants: &[mutant("jti-race", "takes an assertion a few times when tried at once")],
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
            "exactly one 201 of 8 simultaneous tries with one assertion",
            format!("{accepted} of them"),
        ));
    }
    answers.iter().filter(|a| a.status != 201).try_for_each(|a| t.expect(t.due, a))
}
