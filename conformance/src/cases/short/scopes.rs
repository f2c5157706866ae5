//! POST /auth/tokens/short: the grammar of scopes, and what a long-term token covers.

use crate::case::*;
use crate::endpoint;
use serde_json::json;

pub const CASES: &[Case] = &[
    Case {
        id: "short.201.scopes-default",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A request without scopes is granted all scopes of the long-term token.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[]),
        expect: GRANTED,
        also: &[Also::Scopes(&["jobs:*", "templates:*", "tokens:*"])],
        mutants: &[mutant("short-default-first", "grants only the first scope by default")],
        ..ROW
    },
    Case {
        id: "short.201.scopes-subset",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A request for one of the long-term token's scopes is granted that scope alone.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(ExchangeFor(Valid), &[]),
        expect: GRANTED,
        also: &[Also::Scopes(&["jobs:submit"])],
        mutants: &[mutant("short-scopes-ignored", "always grants all scopes")],
        ..ROW
    },
    Case {
        id: "short.201.scopes-in-order",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "The scopes granted are those requested, in the order requested.",
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
        requirement: "Duplicate scopes are granted once.",
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
        requirement: "A long-term token with jobs:* may request jobs:* itself.",
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
        requirement: "A request for 64 scopes is accepted.",
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
        requirement: "A string in place of the scopes array is rejected with 400 invalid_request.",
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
        requirement: "A null in place of the scopes array is rejected with 400 invalid_request.",
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
        requirement: "A number among the scopes is rejected with 400 invalid_request.",
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
        requirement: "An empty scopes array is rejected with 400 invalid_scope.",
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
        requirement: "A scope with an upper-case letter is rejected with 400 invalid_scope.",
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
        requirement: "A scope without a colon is rejected with 400 invalid_scope.",
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
        requirement: "A scope whose action contains a star among other characters is rejected with 400 invalid_scope.",
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
        requirement: "A request for 65 scopes is rejected with 400 invalid_scope or invalid_request.",
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
        requirement: "A scope of 129 characters is rejected with 400 invalid_scope or invalid_request.",
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
        requirement: "A scope that the long-term token does not cover is rejected with 400 invalid_scope.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("scopes", r#"["billing:read"]"#)]),
        expect: INVALID_SCOPE,
        mutants: &[mutant("short-escalates", "grants scopes that the long-term token does not have")],
        ..ROW
    },
    Case {
        id: "short.400.scope-partly-covered",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "If even one of the requested scopes is not covered, the whole request is rejected with 400 \
                      invalid_scope.",
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
        requirement: "jobs:* does not cover a resource whose name only starts with jobs: 400 invalid_scope.",
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
        requirement: "jobs:* does not cover a resource whose name is a prefix of jobs: 400 invalid_scope.",
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
        requirement: "A scope that the client may have but the long-term token lacks is rejected with 400 \
                      invalid_scope.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: steps!(escalates, "jobs:cancel"),
        expect: INVALID_SCOPE,
        mutants: &[mutant("short-scopes-by-client", "grants any scope that the client may have")],
        ..ROW
    },
    Case {
        id: "short.400.scope-wildcard-beyond",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "A long-term token with only jobs:submit that requests jobs:* is rejected with 400 \
                      invalid_scope.",
        section: "openapi.yaml, Scope; openapi.yaml, ShortTokenRequest",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: steps!(escalates, "jobs:*"),
        expect: INVALID_SCOPE,
        ..ROW
    },
    Case {
        id: "short.400.scope-first-beyond",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "Every requested scope is checked: if the long-term token covers the last one, but not the first, \
                      the exchange is rejected with 400 invalid_scope.",
        section: "openapi.yaml, issueShortTermToken",
        effect: Effect::Mint,
        control: Some("short.201.scopes-subset"),
        request: Ask(ExchangeFor(Valid), &[Set("scopes", r#"["billing:read","jobs:submit"]"#)]),
        expect: INVALID_SCOPE,
        mutants: &[mutant("short-scope-last-bounded", "compares only the last scope that an exchange requests")],
        ..ROW
    },
];

async fn escalates(t: &Trial<'_>, scope: &str) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit"]).await?;
    let answer = t.send(&endpoint::post(endpoint::SHORT, Some(&long.token), Some(json!({"scopes": [scope]})))).await?;
    t.expect(t.due, &answer)
}
