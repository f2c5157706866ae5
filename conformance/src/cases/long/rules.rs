//! POST /auth/tokens/long: rules that hold for every mechanism, tested with the mechanisms that other files leave out.

use crate::case::*;

pub const CASES: &[Case] = &[
    Case {
        id: "long.201.assertion-ttl",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "ttl_seconds applies to an assertion too.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Set("ttl_seconds", "7200")]),
        expect: GRANTED,
        also: &[Also::ExpiresIn(7200)],
        mutants: &[mutant("assertion-ttl-ignored", "ignores ttl_seconds with an assertion")],
        ..ROW
    },
    Case {
        id: "long.201.rotation-ttl",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "ttl_seconds applies to a rotation too.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[Set("ttl_seconds", "7200")]),
        expect: GRANTED,
        also: &[Also::ExpiresIn(7200)],
        mutants: &[mutant("rotation-ttl-ignored", "ignores ttl_seconds in a rotation")],
        ..ROW
    },
    Case {
        id: "long.201.rotation-without-x-client-id",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A rotation does not require X-Client-Id: the bearer identifies the client.",
        section: "docs/api.md, Four ways to a long-term token",
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[NoHeader("x-client-id")]),
        expect: GRANTED,
        mutants: &[mutant("rotation-needs-x-client-id", "requires X-Client-Id for a rotation")],
        ..ROW
    },
    Case {
        id: "long.400.rotation-ttl-3599",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A ttl_seconds below 3600 is rejected with 400 invalid_request in a rotation too.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[Set("ttl_seconds", "3599")]),
        expect: INVALID_REQUEST,
        also: &[Also::Names("ttl_seconds")],
        mutants: &[mutant("rotation-ttl-unchecked", "clamps ttl_seconds to its range in a rotation")],
        ..ROW
    },
    Case {
        id: "long.400.rotation-unknown-field",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "An unknown field in a rotation is rejected with 400 invalid_request, and the error names the \
                      field.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[Set("surprise", "1")]),
        expect: INVALID_REQUEST,
        also: &[Also::Names("surprise")],
        mutants: &[mutant("rotation-fields-unchecked", "ignores unknown fields in a rotation")],
        ..ROW
    },
    Case {
        id: "long.400.secret-under-assertion",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A client_secret with grant_type assertion is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("grant_type", r#""assertion""#)]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("secret-under-assertion", "accepts a secret with grant_type assertion")],
        ..ROW
    },
    Case {
        id: "long.400.repeated-key-escaped",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "Keys are compared after their escapes are decoded: a key repeated in escaped form is rejected \
                      with 400 invalid_request.",
        section: "openapi.yaml, info; RFC 8259 section 8.3",
        effect: Effect::Mint,
        control: Some("long.201.json-escapes"),
        request: Ask(
            Secret(Valid),
            &[Raw(
                r#"{"grant_type":"client_credentials","client_id":"${valid.client_id}","client_secret":"${valid.client_secret}","ttl_seconds":3600,"ttl\u005fseconds":3600}"#,
            )],
        ),
        expect: INVALID_REQUEST,
        mutants: &[mutant("repeated-key-escaped-ok", "compares keys before it decodes their escapes")],
        ..ROW
    },
    Case {
        id: "long.400.half-surrogate",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A lone surrogate in a JSON string is rejected with 400 invalid_request.",
        section: "openapi.yaml, info; RFC 8259 section 8.2",
        effect: Effect::Mint,
        control: Some("long.201.json-escapes"),
        request: Ask(
            Secret(Valid),
            &[Raw(
                r#"{"grant_type":"client_credentials","client_id":"${valid.client_id}","client_secret":"\ud800","ttl_seconds":3600}"#,
            )],
        ),
        expect: INVALID_REQUEST,
        mutants: &[mutant("surrogate-replaced", "replaces a lone surrogate")],
        ..ROW
    },
    Case {
        id: "long.403.rotation-scope-prefix",
        cell: Cell::Long(403),
        level: Level::Contract,
        requirement: "A rotation with a scope that only starts with tokens:write is rejected with 403 \
                      insufficient_scope.",
        section: "openapi.yaml, issueLongTermToken; docs/api.md, Four ways to a long-term token",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(rotates_with, "tokens:write-drafts"),
        expect: BEYOND_SCOPE,
        mutants: &[mutant("write-by-prefix", "compares only the start of tokens:write")],
        ..ROW
    },
    Case {
        id: "long.403.rotation-other-wildcard",
        cell: Cell::Long(403),
        level: Level::Contract,
        requirement: "A rotation with only a wildcard of another resource is rejected with 403 insufficient_scope.",
        section: "openapi.yaml, issueLongTermToken; docs/api.md, Four ways to a long-term token",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(rotates_with, "jobs:*"),
        expect: BEYOND_SCOPE,
        mutants: &[mutant("any-wildcard-writes", "accepts any wildcard as tokens:write")],
        ..ROW
    },
];

async fn rotates_with(t: &Trial<'_>, scope: &str) -> Result<(), Stop> {
    let long = t.shared(Valid, "long").await?;
    let short = t.mint_short(&long, &[scope]).await?;
    let answer = t.send(&t.rotate_request(Valid, &short.token, Some(&[scope]))?).await?;
    t.expect(t.due, &answer)
}
