//! POST /auth/tokens/long: times and numbers just within and just beyond their limits, and numbers that overflow a
//! narrow integer type.

use crate::case::*;
use crate::trial::draft;

/// The whole body as text, because a number that is too large for an integer type must be sent unchanged.
macro_rules! with_ttl {
    ($number:literal) => {
        Raw(concat!(
            r#"{"grant_type":"client_credentials","client_id":"${valid.client_id}","client_secret":"${valid.client_secret}","ttl_seconds":"#,
            $number,
            "}"
        ))
    };
}

pub const CASES: &[Case] = &[
    Case {
        id: "long.201.assertion-exp-600",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "An assertion's exp may be exactly 10 minutes ahead.",
        section: "openapi.yaml, LongTokenRequest; RFC 7519 section 4.1.4",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(within, "exp", 600),
        expect: GRANTED,
        mutants: &[mutant("exp-600-refused", "rejects an exp that is exactly 10 minutes ahead")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-iat-60",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "An assertion's iat may be 60 s in the future.",
        section: "openapi.yaml, LongTokenRequest; RFC 7519 section 4.1.6",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(within, "iat", 60),
        expect: GRANTED,
        mutants: &[mutant("iat-60-refused", "rejects an iat that is exactly 60 s ahead")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-nbf-60",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "An assertion's nbf may be 60 s in the future.",
        section: "openapi.yaml, LongTokenRequest; RFC 7519 section 4.1.5",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(within, "nbf", 60),
        expect: GRANTED,
        mutants: &[mutant("nbf-60-refused", "rejects an nbf that is exactly 60 s ahead")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-jti-case",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "jti is compared case-sensitively: a jti in another case is a new one.",
        section: "RFC 7519 section 4.1.7",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(jti_case),
        expect: GRANTED,
        mutants: &[mutant("jti-folded", "ignores the case of jti")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-exp-661",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An exp 661 s ahead is rejected with 401 invalid_client: that is beyond 10 minutes and 60 s of \
                      clock skew.",
        section: "openapi.yaml, LongTokenRequest; RFC 7519 section 4.1.4",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion-exp-600"),
        request: steps!(beyond, "exp", 661),
        expect: INVALID_CLIENT,
        mutants: &[mutant("exp-720", "accepts an exp up to 12 minutes ahead")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-iat-61",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An iat 61 s in the future is rejected with 401 invalid_client.",
        section: "openapi.yaml, LongTokenRequest; RFC 7519 section 4.1.6",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion-iat-60"),
        request: steps!(beyond, "iat", 61),
        expect: INVALID_CLIENT,
        mutants: &[mutant("iat-90", "accepts an iat up to 90 s ahead")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-nbf-61",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An nbf 61 s in the future is rejected with 401 invalid_client.",
        section: "openapi.yaml, LongTokenRequest; RFC 7519 section 4.1.5",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion-nbf-60"),
        request: steps!(beyond, "nbf", 61),
        expect: INVALID_CLIENT,
        mutants: &[mutant("nbf-90", "accepts an nbf up to 90 s ahead")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-expired-61",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion that expired 61 s ago is rejected with 401 invalid_client, whatever the clock \
                      skew.",
        section: "openapi.yaml, LongTokenRequest; RFC 7519 section 4.1.4",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(beyond, "exp", -61),
        expect: INVALID_CLIENT,
        mutants: &[mutant("expired-120", "accepts assertions for two minutes after they expire")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-exp-32-bits",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An exp that is 2^32 s too large is rejected with 401 invalid_client: it must not overflow a \
                      32-bit integer.",
        section: "openapi.yaml, LongTokenRequest; RFC 7519 section 4.1.4",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion-exp-600"),
        request: steps!(beyond, "exp", (1 << 32) + 120),
        expect: INVALID_CLIENT,
        mutants: &[mutant("exp-32-bits", "reads only the low 32 bits of exp")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-jti-resigned",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A different assertion with a jti that was used before is rejected with 401 invalid_client.",
        section: "openapi.yaml, LongTokenRequest; RFC 7519 section 4.1.7",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.401.assertion-replayed"),
        request: steps!(resigned),
        expect: INVALID_CLIENT,
        mutants: &[mutant("jti-by-text", "remembers the text of an assertion instead of its jti")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-jti-number",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A jti that is not a string is rejected with 401 invalid_client.",
        section: "RFC 7519 section 4.1.7",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("jti", "7")]),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("jti-number-ok", "accepts a number as jti")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-iss-recased",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "iss is compared case-sensitively: in another case it is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("iss", r#""${valid.client_id_recased}""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("iss-folded", "ignores the case of iss")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-aud-longer",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An aud that only starts with the endpoint's URL is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.3",
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("aud", r#""${endpoint}.elsewhere.example""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("aud-prefix", "compares only the start of aud")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-aud-shorter",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An aud that is only a prefix of the endpoint's URL is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.3",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(aud_cut),
        expect: INVALID_CLIENT,
        mutants: &[mutant("aud-beginning", "accepts any prefix of its URL as aud")],
        ..ROW
    },
    Case {
        id: "long.400.ttl-32-bits",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A ttl_seconds of 2^32 + 3600 is rejected with 400 invalid_request: it must not overflow to \
                      3600.",
        section: "openapi.yaml, LongTokenRequest; RFC 8259 section 6",
        effect: Effect::Mint,
        control: Some("long.201.ttl-min"),
        request: Ask(Secret(Valid), &[with_ttl!("4294970896")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("ttl-32-bits", "reads only the low 32 bits of ttl_seconds")],
        ..ROW
    },
    Case {
        id: "long.400.ttl-32-bits-negative",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A ttl_seconds of 3600 - 2^32 is rejected with 400 invalid_request: it must not overflow to \
                      3600.",
        section: "openapi.yaml, LongTokenRequest; RFC 8259 section 6",
        effect: Effect::Mint,
        control: Some("long.201.ttl-min"),
        request: Ask(Secret(Valid), &[with_ttl!("-4294963696")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("ttl-unsigned", "reads a negative ttl_seconds as an unsigned 32-bit number")],
        ..ROW
    },
    Case {
        id: "long.400.ttl-64-bits",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A ttl_seconds of 2^64 + 4096 is rejected with 400 invalid_request: it must not overflow to \
                      4096.",
        section: "openapi.yaml, LongTokenRequest; RFC 8259 section 6",
        effect: Effect::Mint,
        control: Some("long.201.ttl-min"),
        request: Ask(Secret(Valid), &[with_ttl!("18446744073709555712")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("ttl-64-bits", "reads only the low 64 bits of ttl_seconds")],
        ..ROW
    },
    Case {
        id: "long.400.ttl-53-bits",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A ttl_seconds of 2^53 + 3600 is rejected with 400 invalid_request: it must not overflow to \
                      3600.",
        section: "openapi.yaml, LongTokenRequest; RFC 8259 section 6",
        effect: Effect::Mint,
        control: Some("long.201.ttl-min"),
        request: Ask(Secret(Valid), &[with_ttl!("9007199254744592")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("ttl-53-bits", "reads only the low 53 bits of ttl_seconds")],
        ..ROW
    },
];

/// The answer to an assertion with one claim set to this many seconds from now.
async fn at_the_limit(t: &Trial<'_>, claim: &str, ahead: i64) -> Result<Answer, Stop> {
    t.in_one_second(async |now| {
        let (header, mut claims) = draft::assertion_parts(t, Valid)?;
        claims[claim] = now.saturating_add_signed(ahead).into();
        let assertion = draft::sign(t.key(Valid)?, &header, &claims)?;
        t.send(&draft::with_assertion(t, Valid, assertion).await?).await
    })
    .await
}

async fn within(t: &Trial<'_>, claim: &str, ahead: i64) -> Result<(), Stop> {
    judged(t, claim, ahead - t.apart()).await
}

async fn beyond(t: &Trial<'_>, claim: &str, ahead: i64) -> Result<(), Stop> {
    judged(t, claim, ahead + t.apart() * ahead.signum()).await
}

async fn judged(t: &Trial<'_>, claim: &str, ahead: i64) -> Result<(), Stop> {
    let answer = at_the_limit(t, claim, ahead).await?;
    t.expect(t.due, &answer)
        .map_err(|stop| stop.wanted(|wanted| format!("{wanted} for an assertion with {claim} {ahead} s ahead")))
}

async fn resigned(t: &Trial<'_>) -> Result<(), Stop> {
    let (header, mut claims) = draft::assertion_parts(t, Valid)?;
    let first = draft::sign(t.key(Valid)?, &header, &claims)?;
    let first = t.send(&draft::with_assertion(t, Valid, first).await?).await?;
    t.expect(GRANTED, &first)?;
    claims["exp"] = (t.run.clock.now() + 150).into();
    let second = draft::sign(t.key(Valid)?, &header, &claims)?;
    let second = t.send(&draft::with_assertion(t, Valid, second).await?).await?;
    t.expect(t.due, &second)
}

async fn jti_case(t: &Trial<'_>) -> Result<(), Stop> {
    let unique = t.unique();
    for start in ['a', 'A'] {
        let (header, mut claims) = draft::assertion_parts(t, Valid)?;
        claims["jti"] = format!("{start}-{unique}").into();
        let assertion = draft::sign(t.key(Valid)?, &header, &claims)?;
        let answer = t.send(&draft::with_assertion(t, Valid, assertion).await?).await?;
        t.expect(t.due, &answer)?;
    }
    Ok(())
}

async fn aud_cut(t: &Trial<'_>) -> Result<(), Stop> {
    let (header, mut claims) = draft::assertion_parts(t, Valid)?;
    let whole = claims["aud"].as_str().unwrap_or_default();
    let cut: String = whole.chars().take(whole.chars().count().saturating_sub(1)).collect();
    claims["aud"] = cut.into();
    let assertion = draft::sign(t.key(Valid)?, &header, &claims)?;
    let answer = t.send(&draft::with_assertion(t, Valid, assertion).await?).await?;
    t.expect(t.due, &answer)
}
