//! POST /auth/tokens/long: the token that is issued, its lifetime and its id.

use super::otp;
use crate::case::*;
use crate::endpoint;
use crate::trial::draft;
use crate::trial::mint::token_in;
use serde_json::json;

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
        requirement: "Every issued token is different, and has a different id. A second token does not end the first.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: steps!(unique),
        expect: GRANTED,
        mutants: &[
            mutant("tokens-repeat", "issues the same token twice"),
            mutant("second-ends-first", "ends a client's earlier token of the same scopes with each new one"),
        ],
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
    Case {
        id: "long.201.otp-token-holds",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A long-term token for a one-time code holds the scopes of its response: an exchange grants all \
                      of them, and no other.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(holds, From::Code),
        expect: GRANTED,
        mutants: &[
            mutant("code-token-has-all", "gives tokens for one-time codes all of the client's scopes"),
            mutant("code-token-irrevocable", "cannot revoke a token that was issued for a code"),
        ],
        ..ROW
    },
    Case {
        id: "long.201.rotation-token-holds",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A long-term token from a rotation holds the scopes of its response: an exchange grants all of \
                      them, and no other.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(holds, From::Rotation),
        expect: GRANTED,
        mutants: &[mutant("rotation-token-has-all", "gives rotated tokens all of the client's scopes")],
        ..ROW
    },
    Case {
        id: "long.201.token-holds-64",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A long-term token with 64 scopes holds all of them: an exchange grants them in the same order.",
        section: "openapi.yaml, Scope",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.scopes-64"),
        request: steps!(holds, From::ManyScopes),
        expect: GRANTED,
        mutants: &[mutant("long-token-cut", "keeps only the first ten scopes in a long-term token")],
        ..ROW
    },
];

async fn unique(t: &Trial<'_>) -> Result<(), Stop> {
    let (one, two) = (t.mint_long(Valid, &["jobs:submit"]).await?, t.mint_long(Valid, &["jobs:submit"]).await?);
    if one.id == two.id || one.token == two.token {
        return Err(Stop::fail("two different tokens with two different ids", "the same token or id twice"));
    }
    for (which, token) in [("first", one), ("second", two)] {
        t.expect(GRANTED, &t.send(&endpoint::exchange(&token.token)).await?)
            .map_err(|stop| stop.wanted(|wanted| format!("{wanted} for an exchange of the {which} token")))?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum From {
    Code,
    Rotation,
    ManyScopes,
}

async fn holds(t: &Trial<'_>, from: From) -> Result<(), Stop> {
    let answer = match from {
        From::Code => {
            let scene = otp::scene(t).await?;
            scene.answers.iter().find(|answer| answer.status == 201).cloned()
        }
        From::Rotation => {
            let long = t.mint_long(t.tenant(), &[PLAIN, "tokens:write"]).await?;
            let short = t.mint_short(&long, &[PLAIN, "tokens:write"]).await?;
            Some(t.send(&t.rotate_request(t.tenant(), &short.token, Some(&["tokens:write"]))?).await?)
        }
        From::ManyScopes => Some(t.send(&draft::build(t, Secret(Valid), &[ManyScopes(64)]).await?).await?),
    };
    let token = answer.as_ref().and_then(token_in);
    let token = token.ok_or_else(|| Stop::Blocked("this case first needs a long-term token".to_owned()))?;
    let answer = t.send(&endpoint::exchange(&token.token)).await?;
    t.expect(t.due, &answer)?;
    let (due, got) = (&token.body["scopes"], answer.json().unwrap_or_default()["scopes"].clone());
    if *due != got {
        return Err(Stop::fail(format!("the scopes of the long-term token, {due}"), format!("scopes {got}")));
    }
    if matches!(from, From::ManyScopes) {
        return Ok(());
    }
    let more = endpoint::post(endpoint::SHORT, Some(&token.token), Some(json!({"scopes": ["tokens:revoke"]})));
    t.expect(INVALID_SCOPE, &t.send(&more).await?)
        .map_err(|stop| stop.wanted(|wanted| format!("{wanted} for a scope that the token does not have")))?;
    t.expect(ENDED, &t.send(&endpoint::revoke(&token.token, &token.id)).await?)?;
    t.until_refused(&endpoint::exchange(&token.token), INVALID_TOKEN).await
}
