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
        requirement: "The whole jti counts: jtis that differ only in their first or last character are all accepted.",
        section: "RFC 7519 section 4.1.7",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(long_jtis),
        expect: GRANTED,
        mutants: &[
            mutant("jti-cut", "compares only the first 64 characters of a jti"),
            mutant("jti-end", "compares only the last 32 characters of a jti"),
        ],
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
        requirement: "aud is compared exactly: with the endpoint's path in another case, the assertion is rejected \
                      with 401 invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.3",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(recased_aud),
        expect: INVALID_CLIENT,
        mutants: &[mutant("aud-folded", "ignores the case of aud")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-without-typ",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "typ in the header of an assertion is optional.",
        section: "RFC 7515 section 4.1.9",

        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[NoJose("typ")]),
        expect: GRANTED,
        mutants: &[mutant("assertion-typ-required", "requires typ in the header of an assertion")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-alg-recased",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "alg is compared case-sensitively: in another case, the assertion is rejected with 401 \
                      invalid_client.",
        section: "RFC 7515 section 4.1.1",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(recased_header, "alg"),
        expect: INVALID_CLIENT,
        mutants: &[mutant("alg-folded", "ignores the case of alg")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-kid-recased",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "kid is compared case-sensitively: in another case, the assertion is rejected with 401 \
                      invalid_client.",
        section: "RFC 7515 section 4.1.4",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(recased_header, "kid"),
        expect: INVALID_CLIENT,
        mutants: &[mutant("kid-folded", "ignores the case of kid")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-iss-longer",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "iss is compared exactly: with characters behind the client id, the assertion is rejected with \
                      401 invalid_client.",
        section: "RFC 7523 section 3",

        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("iss", r#""${valid.client_id}x""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("iss-prefix", "compares only the start of iss")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-spaced",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion with white space around it is rejected with 401 invalid_client.",
        section: "RFC 7515 section 7.1",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(respelled, |assertion| format!(" {assertion} ")),
        expect: INVALID_CLIENT,
        mutants: &[mutant("assertion-trimmed", "trims an assertion")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-padded",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "The parts of an assertion are base64url without padding: with padding it is rejected with 401 \
                      invalid_client.",
        section: "RFC 7515 section 2",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(respelled, |assertion| format!("{assertion}==")),
        expect: INVALID_CLIENT,
        mutants: &[mutant("assertion-padding-ok", "accepts padding in an assertion")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-aud-empty-array",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion whose aud is an empty array is rejected with 401 invalid_client.",
        section: "RFC 7523 section 3",

        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("aud", "[]")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("aud-empty-ok", "accepts an aud that is empty")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-aud-array-first",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "The order of the aud array does not matter: the URL of the endpoint may be the first of several.",
        section: "RFC 7519 section 4.1.3",

        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("aud", r#"["${endpoint}","https://elsewhere.example"]"#)]),
        expect: GRANTED,
        mutants: &[mutant("aud-last-only", "reads only the last entry of the aud array")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-exp-milliseconds",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "exp is in seconds: an assertion whose exp is in milliseconds is rejected with 401 \
                      invalid_client.",
        section: "RFC 7519 section 4.1.4",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(exp_in_milliseconds),
        expect: INVALID_CLIENT,
        mutants: &[mutant("exp-milliseconds-ok", "reads a large exp as milliseconds")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-exp-boolean",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "exp must be a number: true is rejected with 401 invalid_client.",
        section: "RFC 7519 section 4.1.4",

        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("exp", "true")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("exp-boolean-ok", "accepts true as exp")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-nbf-text",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "nbf must be a number: text is rejected with 401 invalid_client.",
        section: "RFC 7519 section 4.1.5",

        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Claim("nbf", r#""soon""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("nbf-text-ok", "ignores an nbf that is not a number")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-jti-other-aud",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A jti that was used with one audience is used up for every other: the assertion is rejected with \
                      401 invalid_client.",
        section: "RFC 7519 section 4.1.7",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.401.assertion-replayed"),
        request: steps!(jti_with_other_aud),
        expect: INVALID_CLIENT,
        mutants: &[mutant("jti-by-aud", "remembers a jti for each aud separately")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-jti-before-last",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Every used jti counts, not only the last one: an earlier assertion is rejected with 401 \
                      invalid_client.",
        section: "RFC 7519 section 4.1.7",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.401.assertion-replayed"),
        request: steps!(jti_before_last),
        expect: INVALID_CLIENT,
        mutants: &[mutant("jti-last-only", "remembers only the last jti of a client")],
        ..ROW
    },
    Case {
        id: "long.201.assertion-jti-spaced",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A jti is compared exactly: one with a space behind it is another jti.",
        section: "RFC 7519 section 4.1.7",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(spaced_jtis),
        expect: GRANTED,
        mutants: &[mutant("jti-trimmed", "trims a jti")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-aud-near",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Only the issuer and the endpoint's URL are audiences: the issuer with a slash behind it, the \
                      base URL and the audience of short-term tokens are rejected with 401 invalid_client.",
        section: "RFC 7523 section 3; openapi.yaml, LongTokenRequest",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion-aud-issuer"),
        request: steps!(near_audiences),
        expect: INVALID_CLIENT,
        mutants: &[
            mutant("aud-issuer-slash", "accepts the issuer with a slash behind it as audience"),
            mutant("aud-of-tokens", "accepts the audience of short-term tokens"),
            mutant("aud-with-query", "ignores a query in the audience"),
            mutant("aud-any-scheme", "compares audiences without their scheme"),
        ],
        ..ROW
    },
    Case {
        id: "long.201.assertion-after-400",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A malformed request does not spend the assertion in it: sent again, well-formed, the assertion \
                      is accepted.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(after_malformed),
        expect: GRANTED,
        mutants: &[mutant("400-spends-jti", "records the jti of an assertion before it checks the body")],
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
    let middle = format!("{0}-{1}-{0}", t.unique(), "x".repeat(40));
    for (first, last) in [("a", "a"), ("a", "b"), ("b", "a")] {
        let (header, mut claims) = draft::assertion_parts(t, Valid)?;
        claims["jti"] = format!("{first}{middle}{last}").into();
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

/// An assertion whose header parameter is in another case. The parameter is part of what is signed.
async fn recased_header(t: &Trial<'_>, name: &str) -> Result<(), Stop> {
    let (mut header, claims) = draft::assertion_parts(t, Valid)?;
    let value = header[name].as_str().unwrap_or_default();
    header[name] = crate::trial::forge::recased(value)?.into();
    signed(t, &header, &claims).await
}

/// A valid assertion with these header parameters and claims gets the answer that is due.
async fn signed(t: &Trial<'_>, header: &serde_json::Value, claims: &serde_json::Value) -> Result<(), Stop> {
    let assertion = draft::sign(t.key(Valid)?, header, claims)?;
    let request = draft::with_assertion(t, Valid, assertion).await?;
    t.expect(t.due, &t.send(&request).await?)
}

async fn respelled(t: &Trial<'_>, respell: fn(String) -> String) -> Result<(), Stop> {
    let (header, claims) = draft::assertion_parts(t, Valid)?;
    let assertion = respell(draft::sign(t.key(Valid)?, &header, &claims)?);
    let request = draft::with_assertion(t, Valid, assertion).await?;
    let due = Want { or: &[(400, "invalid_request")], ..t.due };
    t.expect(due, &t.send(&request).await?)
}

async fn exp_in_milliseconds(t: &Trial<'_>) -> Result<(), Stop> {
    let (header, mut claims) = draft::assertion_parts(t, Valid)?;
    claims["exp"] = ((t.run.clock.now() + 120) * 1000).into();
    signed(t, &header, &claims).await
}

async fn accepted(t: &Trial<'_>, claims: &serde_json::Value) -> Result<Request, Stop> {
    let (header, _) = draft::assertion_parts(t, Valid)?;
    let request = draft::with_assertion(t, Valid, draft::sign(t.key(Valid)?, &header, claims)?).await?;
    t.expect(GRANTED, &t.send(&request).await?)?;
    Ok(request)
}

async fn jti_with_other_aud(t: &Trial<'_>) -> Result<(), Stop> {
    let (header, mut claims) = draft::assertion_parts(t, Valid)?;
    accepted(t, &claims).await?;
    claims["aud"] = t.issuer().await?.into();
    signed(t, &header, &claims).await
}

async fn jti_before_last(t: &Trial<'_>) -> Result<(), Stop> {
    let mut all = Vec::new();
    for _ in 0..3 {
        let (_, claims) = draft::assertion_parts(t, Valid)?;
        all.push(accepted(t, &claims).await?);
    }
    t.expect(t.due, &t.send(&all[0]).await?)
}

async fn spaced_jtis(t: &Trial<'_>) -> Result<(), Stop> {
    let jti = t.unique();
    for jti in [jti.clone(), format!("{jti} ")] {
        let (header, mut claims) = draft::assertion_parts(t, Valid)?;
        claims["jti"] = jti.into();
        signed(t, &header, &claims).await?;
    }
    Ok(())
}

async fn near_audiences(t: &Trial<'_>) -> Result<(), Stop> {
    let issuer = t.issuer().await?;
    let short = crate::trial::feed::claims(&t.shared(Valid, "short").await?)?;
    let of_tokens = match &short["aud"] {
        serde_json::Value::Array(all) => all.first().cloned().unwrap_or_default(),
        one => one.clone(),
    };
    let base = t.run.client.url("");
    let endpoint = t.run.client.url(crate::endpoint::LONG);
    let (scheme, behind) = endpoint.split_once("://").unwrap_or_default();
    let other_scheme = format!("{}://{behind}", if scheme == "https" { "http" } else { "https" });
    let near = [
        format!("{issuer}/"),
        of_tokens.as_str().unwrap_or_default().to_owned(),
        base.clone(),
        format!("{base}/"),
        format!("{endpoint}?x=1"),
        format!("{endpoint}#x"),
        other_scheme,
    ];
    for aud in near.into_iter().filter(|aud| *aud != issuer && !aud.is_empty()) {
        let (header, mut claims) = draft::assertion_parts(t, Valid)?;
        claims["aud"] = aud.as_str().into();
        signed(t, &header, &claims).await.map_err(|stop| stop.wanted(|wanted| format!("{wanted} for aud {aud}")))?;
    }
    Ok(())
}

async fn after_malformed(t: &Trial<'_>) -> Result<(), Stop> {
    let good = draft::build(t, Assertion(Valid), &[]).await?;
    let mut body: serde_json::Value = serde_json::from_slice(&good.body).unwrap_or_default();
    body["ttl_seconds"] = 5.into();
    let bad = Request { body: body.to_string().into_bytes(), ..good.clone() };
    t.expect(INVALID_REQUEST, &t.send(&bad).await?)?;
    t.expect(t.due, &t.send(&good).await?)
}
