//! POST /auth/tokens/long: assertions, and the fields that accompany them in the body.

use crate::case::*;

pub const CASES: &[Case] = &[
    Case {
        id: "long.201.assertion",
        cell: Cell::Long(201),
        level: Level::Seed,
        requirement: "An assertion signed with the client's registered key issues a long-term token.",
        section: "RFC 7523 section 3",
        effect: Effect::Mint,
        request: Ask(Assertion(Valid), &[]),
        expect: GRANTED,
        mutants: &[mutant("assertion-refused", "rejects every assertion")],
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
        section: "openapi.yaml, LongTokenRequest; RFC 7523 section 2.1",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Set("assertion_type", r#""urn:ietf:params:oauth:grant-type:jwt-bearer""#)]),
        expect: GRANTED,
        mutants: &[mutant("assertion-type-one", "knows only one assertion_type")],
        ..ROW
    },
    Case {
        id: "long.400.assertion-number",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "An assertion that is a number is rejected with 400 invalid_request.",
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
        requirement: "With grant_type assertion, a missing assertion is rejected with 400 invalid_request.",
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
        requirement: "An assertion without assertion_type is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest; RFC 7521 section 4.2",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Unset("assertion_type")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("assertion-type-optional", "does not require assertion_type")],
        ..ROW
    },
    Case {
        id: "long.400.assertion-type-unknown",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "An unknown assertion_type is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest; RFC 7521 section 4.2",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(
            Assertion(Valid),
            &[Set("assertion_type", r#""urn:ietf:params:oauth:client-assertion-type:saml2-bearer""#)],
        ),
        expect: INVALID_REQUEST,
        mutants: &[mutant("assertion-type-any", "accepts any assertion_type")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-x-client-id-missing",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion without X-Client-Id is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[NoHeader("x-client-id")]),
        expect: NO_CREDENTIALS,
        ..ROW
    },
    Case {
        id: "long.403.assertion-scope-beyond",
        cell: Cell::Long(403),
        level: Level::Contract,
        requirement: "An assertion that asks for a scope beyond its client's is rejected with 403 insufficient_scope.",
        section: "openapi.yaml, ClientScopes",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Set("scopes", r#"["billing:read"]"#)]),
        expect: BEYOND_SCOPE,
        ..ROW
    },
    Case {
        id: "long.400.assertion-type-null",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "null is not the same as absent: a secret with an assertion_type that is null is rejected with \
                      400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("assertion_type", "null")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("assertion-type-null-ok", "treats an assertion_type that is null as absent")],
        ..ROW
    },
    Case {
        id: "long.403.suspended-assertion",
        cell: Cell::Long(403),
        level: Level::Contract,
        requirement: "A right assertion of a suspended client is rejected with 403 unauthorized_client.",
        section: "openapi.yaml, issueLongTermToken",
        control: Some("long.403.suspended"),
        request: Ask(Assertion(Suspended), &[]),
        expect: UNAUTHORIZED,
        mutants: &[mutant("suspended-by-assertion-ok", "issues tokens for a suspended client's assertions")],
        ..ROW
    },
    Case {
        id: "long.401.suspended-assertion-wrong",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A wrong assertion of a suspended client is rejected with 401 invalid_client, as for any client.",
        section: "openapi.yaml, issueLongTermToken",
        control: Some("long.403.suspended-assertion"),
        request: Ask(Assertion(Suspended), &[TamperedSignature]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("suspended-before-assertion", "reveals a suspension before it checks the assertion")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-x-client-id-missing-with-bearer",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion without X-Client-Id is rejected with 401 invalid_client, even if the client's \
                      bearer token comes with it.",
        section: "openapi.yaml, issueLongTermToken",
        control: Some("long.201.authorization-ignored-by-assertion"),
        effect: Effect::Mint,
        request: Ask(Assertion(Valid), &[NoHeader("x-client-id"), Header("authorization", "Bearer ${valid.short}")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("x-client-id-or-bearer", "accepts an assertion with a bearer in place of X-Client-Id")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-ttl-default",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A token that is issued for an assertion without ttl_seconds is valid for 2592000 s.",
        section: "openapi.yaml, LongTokenRequest",

        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Unset("ttl_seconds")]),
        expect: GRANTED,
        also: &[Also::LongDefault],
        mutants: &[mutant("assertion-ttl-default-hour", "has a default lifetime of one hour for assertions")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-scopes-omitted",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "An assertion without scopes is granted at least one scope, and none beyond the client's own.",
        section: "openapi.yaml, Scope",

        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Unset("scopes")]),
        expect: GRANTED,
        also: &[Also::ScopesWithin(Valid)],
        mutants: &[mutant(
            "assertion-scopes-everything",
            "grants a scope that the client does not have to an assertion without scopes",
        )],
        ..ROW
    },
    Case {
        id: "long.400.assertion-ttl-3599",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "With an assertion too, a ttl_seconds of 3599 is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",

        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Set("ttl_seconds", "3599")]),
        expect: INVALID_REQUEST,

        mutants: &[mutant("assertion-ttl-unchecked", "does not check ttl_seconds with an assertion")],
        ..ROW
    },
    Case {
        id: "long.400.assertion-unknown-field",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "With an assertion too, an unknown field is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",

        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Set("surprise", "1")]),
        expect: INVALID_REQUEST,
        also: &[Also::Names("surprise")],
        mutants: &[mutant("assertion-fields-unchecked", "accepts unknown fields with an assertion")],
        ..ROW
    },
    Case {
        id: "long.400.assertion-scope-grammar",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "With an assertion too, a scope without a colon is rejected with 400 invalid_scope.",
        section: "openapi.yaml, Scope",

        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Set("scopes", r#"["jobs"]"#)]),
        expect: INVALID_SCOPE,

        mutants: &[mutant("assertion-scopes-unchecked", "does not check scopes with an assertion")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-scopes-held",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A token that was issued for an assertion has the scopes of the response, and no others: an \
                      exchange without scopes grants exactly these.",
        section: "openapi.yaml, LongTokenResponse; openapi.yaml, ShortTokenRequest",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(held),
        expect: GRANTED,
        mutants: &[mutant("assertion-token-has-all", "puts all of the client's scopes into a token for an assertion")],
        ..ROW
    },
];

async fn held(t: &Trial<'_>) -> Result<(), Stop> {
    let request = crate::trial::draft::build(t, Assertion(Valid), &[Set("scopes", r#"["jobs:submit"]"#)]).await?;
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer)?;
    let long = crate::trial::mint::token_in(&answer).ok_or_else(|| Stop::fail("a token", t.summary(&answer)))?;
    let answer = t.send(&crate::endpoint::exchange(&long.token)).await?;
    t.expect(GRANTED, &answer)?;
    t.check(Also::Scopes(&["jobs:submit"]), &answer)
}
