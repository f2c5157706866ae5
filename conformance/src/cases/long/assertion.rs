//! POST /auth/tokens/long: assertions, and what stands beside them in the body.

use crate::case::*;

pub const CASES: &[Case] = &[
    Case {
        id: "long.201.assertion",
        cell: Cell::Long(201),
        level: Level::Seed,
        requirement: "An assertion signed by the client's key issues a long-term token.",
        section: "RFC 7523 section 3",
        effect: Effect::Mint,
        request: Ask(Assertion(Valid), &[]),
        expect: GRANTED,
        mutants: &[mutant("assertion-refused", "refuses every assertion")],
        ..ROW
    },
    Case {
        id: "long.201.authorization-ignored-by-assertion",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "An Authorization header sent along with an assertion is ignored.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Header("authorization", "Bearer not-a-token")]),
        expect: GRANTED,
        ..ROW
    },
    Case {
        id: "long.201.assertion-type-grant",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "assertion_type may be urn:ietf:params:oauth:grant-type:jwt-bearer.",
        section: "openapi.yaml, LongTokenRequest; RFC 7521 section 4.2",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Set("assertion_type", r#""urn:ietf:params:oauth:grant-type:jwt-bearer""#)]),
        expect: GRANTED,
        mutants: &[mutant("assertion-type-one", "knows one assertion_type only")],
        ..ROW
    },
    Case {
        id: "long.400.assertion-number",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A number for assertion is 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest; RFC 7521 section 4.2",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Set("assertion", "7")]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.400.assertion-missing",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "grant_type assertion without an assertion is 400.",
        section: "openapi.yaml, LongTokenRequest; RFC 7521 section 4.2",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Unset("assertion")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("assertion-missing-401", "answers 401 to a missing assertion")],
        ..ROW
    },
    Case {
        id: "long.400.assertion-type-missing",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "An assertion without assertion_type is 400.",
        section: "openapi.yaml, LongTokenRequest; RFC 7521 section 4.2",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Unset("assertion_type")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("assertion-type-optional", "needs no assertion_type")],
        ..ROW
    },
    Case {
        id: "long.400.assertion-type-unknown",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "Another assertion_type is 400.",
        section: "openapi.yaml, LongTokenRequest; RFC 7521 section 4.2",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(
            Assertion(Valid),
            &[Set("assertion_type", r#""urn:ietf:params:oauth:client-assertion-type:saml2-bearer""#)],
        ),
        expect: INVALID_REQUEST,
        mutants: &[mutant("assertion-type-any", "takes any assertion_type")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-x-client-id-missing",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion needs X-Client-Id too.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[NoHeader("x-client-id")]),
        expect: INVALID_CLIENT,
        ..ROW
    },
    Case {
        id: "long.403.assertion-scope-beyond",
        cell: Cell::Long(403),
        level: Level::Contract,
        requirement: "An assertion grants no more than its client may have.",
        section: "openapi.yaml, ClientScopes",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Set("scopes", r#"["billing:read"]"#)]),
        expect: BEYOND_SCOPE,
        ..ROW
    },
];
