//! POST /auth/tokens/long: who is asking, by client secret.

use crate::case::*;
use crate::trial::draft;

pub const CASES: &[Case] = &[
    Case {
        id: "long.201.secret",
        cell: Cell::Long(201),
        level: Level::Seed,
        requirement: "A client secret with X-Client-Id issues a long-term token.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Mint,
        request: Ask(Secret(Valid), &[]),
        expect: GRANTED,
        mutants: &[
            mutant("always-400", "answers 400 to everything"),
            mutant("always-401", "answers 401 to everything"),
            mutant("always-403", "answers 403 to everything"),
            mutant("always-404", "answers 404 to everything"),
        ],
        ..ROW
    },
    Case {
        id: "long.201.authorization-ignored",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "An Authorization header sent along with a mechanism in the body is ignored.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Header("authorization", "Bearer not-a-token")]),
        expect: GRANTED,
        mutants: &[mutant("authorization-not-ignored", "judges a header that does not matter")],
        ..ROW
    },
    Case {
        id: "long.201.x-client-id-repeated",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "An X-Client-Id header that is there twice with the same value counts once.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Repeat("x-client-id")]),
        expect: GRANTED,
        mutants: &[mutant("repeated-header-refused-on-long", "refuses the same X-Client-Id twice")],
        ..ROW
    },
    Case {
        id: "long.401.no-credentials",
        cell: Cell::Long(401),
        level: Level::Seed,
        requirement: "Without any credential header the answer is 401.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[NoHeader("x-client-id"), Unset("client_secret")]),
        expect: refused(401, &["invalid_client", "invalid_token"]),
        mutants: &[mutant("no-credentials-400", "answers 400 to a call without credentials")],
        ..ROW
    },
    Case {
        id: "long.401.no-credentials-before-shape",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Without any credential header the answer is 401, whatever the body's shape.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[NoHeader("x-client-id"), Raw("{")]),
        expect: refused(401, &["invalid_client", "invalid_token"]),
        ..ROW
    },
    Case {
        id: "long.401.secret-wrong",
        cell: Cell::Long(401),
        level: Level::Seed,
        requirement: "A wrong secret is 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 6749 section 5.2",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_secret", r#""wrong-${unique}""#)]),
        expect: INVALID_CLIENT,
        mutants: &[
            mutant("always-201", "grants everything"),
            mutant("wrong-code", "has one code for every error"),
            mutant("wrong-secret-invalid-token", "calls a wrong secret invalid_token"),
            mutant("any-secret", "takes any secret"),
        ],
        ..ROW
    },
    Case {
        id: "long.401.secret-empty",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An empty secret is never right.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_secret", r#""""#)]),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        ..ROW
    },
    Case {
        id: "long.401.secret-space-behind",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A secret is not trimmed.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_secret", r#""${valid.client_secret} ""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("secret-trimmed", "trims secrets")],
        ..ROW
    },
    Case {
        id: "long.401.secret-space-before",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A secret is not trimmed at its start either.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_secret", r#"" ${valid.client_secret}""#)]),
        expect: INVALID_CLIENT,
        ..ROW
    },
    Case {
        id: "long.401.secret-longer",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A secret that only starts right is wrong.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_secret", r#""${valid.client_secret}x""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("secret-prefix", "compares the length of its own secret only")],
        ..ROW
    },
    Case {
        id: "long.401.secret-recased",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A secret's case counts.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_secret", r#""${valid.client_secret_recased}""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("secret-folded", "forgives the case of a secret")],
        ..ROW
    },
    Case {
        id: "long.401.secret-of-another",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Another client's secret is 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_secret", r#""${other.client_secret}""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("any-clients-secret", "takes any client's secret")],
        ..ROW
    },
    Case {
        id: "long.401.client-unknown",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An unknown client is 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 6749 section 5.2",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_id", r#""nobody-at-all""#), Header("x-client-id", "nobody-at-all")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("unknown-client-404", "answers 404 for an unknown client")],
        ..ROW
    },
    Case {
        id: "long.401.client-unknown-alike",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An unknown client and a wrong secret are answered with the same body.",
        section: "openapi.yaml, issueLongTermToken; RFC 6749 section 5.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.401.secret-wrong"),
        request: steps!(unknown_alike),
        expect: INVALID_CLIENT,
        mutants: &[mutant("unknown-client-told", "tells that a client is unknown")],
        ..ROW
    },
    Case {
        id: "long.401.x-client-id-missing",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A missing X-Client-Id is 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[NoHeader("x-client-id")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("x-client-id-optional", "needs no X-Client-Id")],
        ..ROW
    },
    Case {
        id: "long.401.x-client-id-missing-with-bearer",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An ignored Authorization header does not stand in for X-Client-Id.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.authorization-ignored"),
        request: Ask(Secret(Valid), &[NoHeader("x-client-id"), Header("authorization", "Bearer not-a-token")]),
        expect: INVALID_CLIENT,
        ..ROW
    },
    Case {
        id: "long.401.x-client-id-of-another",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An X-Client-Id that is not the body's client_id is 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Header("x-client-id", "${other.client_id}")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("x-client-id-unchecked", "does not compare X-Client-Id")],
        ..ROW
    },
    Case {
        id: "long.401.x-client-id-differs",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Two X-Client-Id headers that differ are 401 invalid_client; the message says why.",
        section: "openapi.yaml, info",
        effect: Effect::Read,
        control: Some("long.201.x-client-id-repeated"),
        request: Ask(Secret(Valid), &[Beside("x-client-id", "somebody-else")]),
        expect: INVALID_CLIENT,
        also: &[Also::SaysRepeated],
        mutants: &[
            mutant("first-header-wins-on-long", "takes the first of two X-Client-Ids"),
            mutant("repeated-header-untold", "does not say that a header is there twice"),
        ],
        ..ROW
    },
    Case {
        id: "long.401.x-client-id-recased",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "X-Client-Id is compared without case folding.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Header("x-client-id", "${valid.client_id_recased}")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("x-client-id-folded", "folds the case of X-Client-Id")],
        ..ROW
    },
    Case {
        id: "long.401.client-id-recased",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "client_id is compared without case folding.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(
            Secret(Valid),
            &[Header("x-client-id", "${valid.client_id_recased}"), Set("client_id", r#""${valid.client_id_recased}""#)],
        ),
        expect: INVALID_CLIENT,
        mutants: &[mutant("client-id-folded", "folds the case of client_id")],
        ..ROW
    },
    Case {
        id: "long.401.client-id-trimmed",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "client_id is not trimmed.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_id", r#""${valid.client_id} ""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("client-id-trimmed", "trims client_id")],
        ..ROW
    },
    Case {
        id: "long.401.suspended-wrong-secret",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A suspended client learns so only with right credentials.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.403.suspended"),
        request: Ask(Secret(Suspended), &[Set("client_secret", r#""wrong-${unique}""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("suspended-before-secret", "tells anybody that a client is suspended")],
        ..ROW
    },
    Case {
        id: "long.403.suspended",
        cell: Cell::Long(403),
        level: Level::Contract,
        requirement: "Right credentials of a suspended client are 403 unauthorized_client.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Suspended), &[]),
        expect: UNAUTHORIZED,
        mutants: &[mutant("suspended-works", "issues to suspended clients")],
        ..ROW
    },
];

async fn unknown_alike(t: &Trial<'_>) -> Result<(), Stop> {
    let wrong = draft::build(t, Secret(Valid), &[Set("client_secret", r#""wrong-${unique}""#)]).await?;
    let wrong = t.send(&wrong).await?;
    let name = format!("nobody-{}", t.unique());
    let mut unknown = draft::build(t, Secret(Valid), &[]).await?;
    let mut body: serde_json::Value = serde_json::from_slice(&unknown.body).unwrap_or_default();
    body["client_id"] = name.clone().into();
    unknown.body = body.to_string().into_bytes();
    unknown.set("x-client-id", name);
    let unknown = t.send(&unknown).await?;
    t.expect(t.due, &unknown)?;
    if unknown.json() != wrong.json() {
        return Err(Stop::fail(
            format!("the same body as for a wrong secret: {}", t.summary(&wrong)),
            t.summary(&unknown),
        ));
    }
    Ok(())
}
