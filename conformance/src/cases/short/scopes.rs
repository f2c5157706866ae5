//! POST /auth/tokens/short: scopes, their grammar and what a long-term token covers.

use crate::case::*;
use crate::endpoint;
use serde_json::json;

pub const CASES: &[Case] = &[
    Case {
        id: "short.201.scopes-default",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "The scopes default to all of the long-term token's.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[]),
        expect: GRANTED,
        also: &[Also::Scopes(&["jobs:*", "templates:*", "tokens:*"])],
        mutants: &[mutant("short-default-first", "defaults to the first scope")],
        ..ROW
    },
    Case {
        id: "short.201.scopes-subset",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A scope that the long-term token covers is granted alone.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(ExchangeFor(Valid), &[]),
        expect: GRANTED,
        also: &[Also::Scopes(&["jobs:submit"])],
        mutants: &[mutant("short-scopes-ignored", "gives all scopes always")],
        ..ROW
    },
    Case {
        id: "short.201.scopes-in-order",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "The scopes granted are those asked for, in their order.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("scopes", r#"["templates:read","jobs:submit"]"#)]),
        expect: GRANTED,
        also: &[Also::Scopes(&["templates:read", "jobs:submit"])],
        ..ROW
    },
    Case {
        id: "short.201.scopes-fold",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "Duplicate scopes fold.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("scopes", r#"["jobs:submit","jobs:submit"]"#)]),
        expect: GRANTED,
        also: &[Also::Scopes(&["jobs:submit"])],
        ..ROW
    },
    Case {
        id: "short.201.scope-wildcard",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "jobs:* covers jobs:* itself.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("scopes", r#"["jobs:*"]"#)]),
        expect: GRANTED,
        also: &[Also::Scopes(&["jobs:*"])],
        ..ROW
    },
    Case {
        id: "short.201.scopes-64",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "64 scopes pass.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[ManyScopes(64)]),
        expect: GRANTED,
        also: &[Also::ManyScopes(64)],
        ..ROW
    },
    Case {
        id: "short.400.scopes-string",
        cell: Cell::Short(400),
        level: Level::Seed,
        requirement: "A string for scopes is 400 invalid_request.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("scopes", r#""jobs:submit""#)]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "short.400.scopes-null",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "A null for scopes is 400 invalid_request.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("scopes", "null")]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "short.400.scopes-number-inside",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "A number among the scopes is 400 invalid_request.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("scopes", "[7]")]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "short.400.scopes-empty",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "An empty scopes is 400 invalid_scope.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("scopes", "[]")]),
        expect: INVALID_SCOPE,
        ..ROW
    },
    Case {
        id: "short.400.scope-upper-case",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "A scope that breaks the grammar is 400 invalid_scope.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("scopes", r#"["jobs:Submit"]"#)]),
        expect: INVALID_SCOPE,
        ..ROW
    },
    Case {
        id: "short.400.scope-no-colon",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "A scope without an action is 400 invalid_scope.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("scopes", r#"["jobs"]"#)]),
        expect: INVALID_SCOPE,
        ..ROW
    },
    Case {
        id: "short.400.scope-star-inside",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "A star is an action by itself or none.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("scopes", r#"["jobs:sub*"]"#)]),
        expect: INVALID_SCOPE,
        ..ROW
    },
    Case {
        id: "short.400.scopes-65",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "65 scopes are 400.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-64"),
        request: Ask(ExchangeFor(Valid), &[ManyScopes(65)]),
        expect: refused(400, &["invalid_scope", "invalid_request"]),
        ..ROW
    },
    Case {
        id: "short.400.scope-129",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "A scope of 129 characters is 400.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[LongScope(129)]),
        expect: refused(400, &["invalid_scope", "invalid_request"]),
        ..ROW
    },
    Case {
        id: "short.400.scope-not-covered",
        cell: Cell::Short(400),
        level: Level::Seed,
        requirement: "A scope that the long-term token does not cover is 400 invalid_scope.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("scopes", r#"["billing:read"]"#)]),
        expect: INVALID_SCOPE,
        mutants: &[mutant("short-escalates", "grants what the long-term token does not have")],
        ..ROW
    },
    Case {
        id: "short.400.scope-partly-covered",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "One scope that is not covered is enough: nothing is granted in part.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("scopes", r#"["jobs:submit","billing:read"]"#)]),
        expect: INVALID_SCOPE,
        ..ROW
    },
    Case {
        id: "short.400.scope-prefix",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "jobs:* covers no resource that only starts with jobs.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("scopes", r#"["jobs-admin:submit"]"#)]),
        expect: INVALID_SCOPE,
        ..ROW
    },
    Case {
        id: "short.400.scope-shorter",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "jobs:* covers no resource that is only its beginning.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("scopes", r#"["job:submit"]"#)]),
        expect: INVALID_SCOPE,
        ..ROW
    },
    Case {
        id: "short.400.scope-client-has",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "What counts is the long-term token's scopes, not what its client may have.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: steps!(escalates, "jobs:cancel"),
        expect: INVALID_SCOPE,
        mutants: &[mutant("short-scopes-by-client", "grants what the client may have")],
        ..ROW
    },
    Case {
        id: "short.400.scope-wildcard-beyond",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "jobs:submit does not cover jobs:*.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: steps!(escalates, "jobs:*"),
        expect: INVALID_SCOPE,
        ..ROW
    },
];

async fn escalates(t: &Trial<'_>, scope: &str) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit"]).await?;
    let answer = t.send(&endpoint::post(endpoint::SHORT, Some(&long.token), Some(json!({"scopes": [scope]})))).await?;
    t.expect(t.due, &answer)
}
