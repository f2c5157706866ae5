//! POST /auth/tokens/long: the token that is issued, its lifetime and its id.

use crate::case::*;

pub const CASES: &[Case] = &[
    Case {
        id: "long.201.ttl-min",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "ttl_seconds may be 3600.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("ttl_seconds", "3600")]),
        expect: GRANTED,
        also: &[Also::ExpiresIn(3600)],
        mutants: &[mutant("ttl-ignored", "ignores ttl_seconds")],
        ..ROW
    },
    Case {
        id: "long.201.ttl-max",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "ttl_seconds may be 7776000 if the client has no lower maximum of its own.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("ttl_seconds", "7776000")]),
        expect: GRANTED,
        also: &[Also::ExpiresIn(7_776_000)],
        mutants: &[mutant("ttl-max-exclusive", "rejects the largest ttl_seconds")],
        ..ROW
    },
    Case {
        id: "long.201.ttl-default",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "Without ttl_seconds the token is valid for 2592000 s.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Unset("ttl_seconds")]),
        expect: GRANTED,
        also: &[Also::LongDefault],
        mutants: &[mutant("ttl-default-hour", "has a default lifetime of one hour")],
        ..ROW
    },
    Case {
        id: "long.201.ttl-clamped",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A ttl_seconds above the client's own maximum is clamped to that maximum.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Narrow), &[Set("ttl_seconds", "7776000")]),
        expect: GRANTED,
        also: &[Also::LongCap(Narrow)],
        mutants: &[mutant("no-clamp", "ignores a client's own maximum")],
        ..ROW
    },
    Case {
        id: "long.201.ttl-default-clamped",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "The default lifetime is clamped to the client's own maximum too.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Narrow), &[Unset("ttl_seconds")]),
        expect: GRANTED,
        also: &[Also::LongCap(Narrow)],
        mutants: &[mutant("default-not-clamped", "does not clamp the default lifetime")],
        ..ROW
    },
    Case {
        id: "long.201.ttl-under-cap",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A ttl_seconds below the client's own maximum is granted as requested.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Narrow), &[Set("ttl_seconds", "7200")]),
        expect: GRANTED,
        also: &[Also::ExpiresIn(7200)],
        mutants: &[mutant("capped-always", "always issues tokens with the client's maximum lifetime")],
        ..ROW
    },
    Case {
        id: "long.201.token-id",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "The id of a long-term token starts with tok_lt_.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[]),
        expect: GRANTED,
        also: &[Also::TokenIdStarts("tok_lt_")],
        mutants: &[mutant("token-id-bare", "issues ids without their prefix")],
        ..ROW
    },
    Case {
        id: "long.201.unique",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "Every issued token is different, and has a different id.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: steps!(unique),
        expect: GRANTED,
        mutants: &[mutant("tokens-repeat", "issues the same token twice")],
        ..ROW
    },
    Case {
        id: "long.400.ttl-3599",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A ttl_seconds below 3600 is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("ttl_seconds", "3599")]),
        expect: INVALID_REQUEST,
        also: &[Also::Names("ttl_seconds")],
        mutants: &[mutant("ttl-range-unchecked", "clamps ttl_seconds to its range")],
        ..ROW
    },
    Case {
        id: "long.400.ttl-7776001",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A ttl_seconds above 7776000 is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("ttl_seconds", "7776001")]),
        expect: INVALID_REQUEST,
        also: &[Also::Names("ttl_seconds")],
        ..ROW
    },
    Case {
        id: "long.400.ttl-7776001-capped",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A ttl_seconds above 7776000 is rejected with 400 invalid_request even if the client has a \
                      lower maximum: the range is checked before the clamp.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Narrow), &[Set("ttl_seconds", "7776001")]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.400.ttl-zero",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A ttl_seconds of 0 is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("ttl_seconds", "0")]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.400.ttl-negative",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A negative ttl_seconds is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("ttl_seconds", "-3600")]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.400.ttl-huge",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A ttl_seconds too large for any integer type is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(
            Secret(Valid),
            &[Raw(
                r#"{"grant_type":"client_credentials","client_id":"${valid.client_id}","client_secret":"${valid.client_secret}","ttl_seconds":99999999999999999999999}"#,
            )],
        ),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.400.ttl-fraction",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A fractional ttl_seconds is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("ttl_seconds", "3600.5")]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.400.ttl-string",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A ttl_seconds that is a string is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("ttl_seconds", r#""3600""#)]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("types-coerced", "converts numbers to strings and strings to numbers")],
        ..ROW
    },
    Case {
        id: "long.400.ttl-boolean",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A ttl_seconds that is a boolean is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("ttl_seconds", "true")]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.400.ttl-null",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A null ttl_seconds is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("ttl_seconds", "null")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("null-as-absent", "treats null as absent")],
        ..ROW
    },
];

async fn unique(t: &Trial<'_>) -> Result<(), Stop> {
    let (one, two) = (t.mint_long(Valid, &["jobs:submit"]).await?, t.mint_long(Valid, &["jobs:submit"]).await?);
    if one.id == two.id || one.token == two.token {
        return Err(Stop::fail("two different tokens with two different ids", "the same token or id twice"));
    }
    Ok(())
}
