//! POST /auth/tokens/long: authentication with a client secret.

use crate::case::*;
use crate::jose;
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
        requirement: "With a mechanism in the body, the Authorization header is ignored.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Header("authorization", "Bearer not-a-token")]),
        expect: GRANTED,
        mutants: &[mutant("authorization-not-ignored", "checks an Authorization header that it must ignore")],
        ..ROW
    },
    Case {
        id: "long.201.x-client-id-repeated",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "An X-Client-Id header that is sent twice with the same value is accepted.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Repeat("x-client-id")]),
        expect: GRANTED,
        mutants: &[mutant("repeated-header-refused-on-long", "rejects a repeated X-Client-Id header")],
        ..ROW
    },
    Case {
        id: "long.401.no-credentials",
        cell: Cell::Long(401),
        level: Level::Seed,
        requirement: "A request without any credential header is rejected with 401.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[NoHeader("x-client-id"), Unset("client_secret")]),
        expect: refused(401, &["invalid_client", "invalid_token"]),
        mutants: &[mutant("no-credentials-400", "answers 400 to a request without credentials")],
        ..ROW
    },
    Case {
        id: "long.401.no-credentials-before-shape",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A request without any credential header is rejected with 401, even if the body is malformed.",
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
        requirement: "A wrong secret is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 6749 section 5.2",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_secret", r#""wrong-${unique}""#)]),
        expect: INVALID_CLIENT,
        mutants: &[
            mutant("always-201", "accepts everything"),
            mutant("wrong-code", "uses one code for every error"),
            mutant("wrong-secret-invalid-token", "answers invalid_token to a wrong secret"),
            mutant("any-secret", "accepts any secret"),
        ],
        ..ROW
    },
    Case {
        id: "long.401.secret-empty",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An empty secret is rejected, with 401 invalid_client or 400 invalid_request.",
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
        requirement: "A secret is not trimmed: with a trailing space it is rejected with 401 invalid_client.",
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
        requirement: "A secret is not trimmed: with a leading space it is rejected with 401 invalid_client.",
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
        requirement: "A secret that only starts with the right one is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_secret", r#""${valid.client_secret}x""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("secret-prefix", "compares only as many characters as the right secret has")],
        ..ROW
    },
    Case {
        id: "long.401.secret-recased",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A secret is compared case-sensitively: in another case it is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_secret", r#""${valid.client_secret_recased}""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("secret-folded", "ignores the case of a secret")],
        ..ROW
    },
    Case {
        id: "long.401.secret-of-another",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Another client's secret is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_secret", r#""${other.client_secret}""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("any-clients-secret", "accepts any client's secret")],
        ..ROW
    },
    Case {
        id: "long.401.client-unknown",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An unknown client is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 6749 section 5.2",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_id", r#""nobody-at-all""#), Header("x-client-id", "nobody-at-all")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("unknown-client-404", "answers 404 to an unknown client")],
        ..ROW
    },
    Case {
        id: "long.401.client-unknown-alike",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An unknown client gets 401 invalid_client with the same body as a wrong secret.",
        section: "openapi.yaml, issueLongTermToken; RFC 6749 section 5.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.401.secret-wrong"),
        request: steps!(unknown_alike),
        expect: INVALID_CLIENT,
        mutants: &[mutant("unknown-client-told", "reveals that a client is unknown")],
        ..ROW
    },
    Case {
        id: "long.401.x-client-id-missing",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A missing X-Client-Id is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[NoHeader("x-client-id")]),
        expect: NO_CREDENTIALS,
        mutants: &[mutant("x-client-id-optional", "does not require X-Client-Id")],
        ..ROW
    },
    Case {
        id: "long.401.x-client-id-missing-with-bearer",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An Authorization header does not replace X-Client-Id: without X-Client-Id the request is \
                      rejected with 401 invalid_client.",
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
        requirement: "An X-Client-Id that differs from the body's client_id is rejected with 401 invalid_client.",
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
        requirement: "Two X-Client-Id headers with different values are rejected with 401 invalid_client, and the \
                      message says that the header is repeated.",
        section: "openapi.yaml, info",
        effect: Effect::Read,
        control: Some("long.201.x-client-id-repeated"),
        request: Ask(Secret(Valid), &[Beside("x-client-id", "somebody-else")]),
        expect: INVALID_CLIENT,
        also: &[Also::SaysRepeated],
        mutants: &[
            mutant("first-header-wins-on-long", "uses the first of two X-Client-Id headers"),
            mutant("repeated-header-untold", "does not say that a header is repeated"),
        ],
        ..ROW
    },
    Case {
        id: "long.401.x-client-id-recased",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "X-Client-Id is compared case-sensitively: in another case it is rejected with 401 \
                      invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Header("x-client-id", "${valid.client_id_recased}")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("x-client-id-folded", "ignores the case of X-Client-Id")],
        ..ROW
    },
    Case {
        id: "long.401.client-id-recased",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "client_id is compared case-sensitively: in another case it is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(
            Secret(Valid),
            &[Header("x-client-id", "${valid.client_id_recased}"), Set("client_id", r#""${valid.client_id_recased}""#)],
        ),
        expect: INVALID_CLIENT,
        mutants: &[mutant("client-id-folded", "ignores the case of client_id")],
        ..ROW
    },
    Case {
        id: "long.401.client-id-trimmed",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "client_id is not trimmed: with a space it is rejected with 401 invalid_client, or with 400 \
                      invalid_request, since no client id has a space.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_id", r#""${valid.client_id} ""#)]),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("client-id-trimmed", "trims client_id")],
        ..ROW
    },
    Case {
        id: "long.401.suspended-wrong-secret",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A suspended client with a wrong secret is rejected with 401 invalid_client, so that only right \
                      credentials reveal the suspension.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.403.suspended"),
        request: Ask(Secret(Suspended), &[Set("client_secret", r#""wrong-${unique}""#)]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("suspended-before-secret", "reveals to anybody that a client is suspended")],
        ..ROW
    },
    Case {
        id: "long.403.suspended",
        cell: Cell::Long(403),
        level: Level::Contract,
        requirement: "A suspended client with right credentials is rejected with 403 unauthorized_client.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Suspended), &[]),
        expect: UNAUTHORIZED,
        mutants: &[mutant("suspended-works", "issues tokens to suspended clients")],
        ..ROW
    },
    Case {
        id: "long.401.secret-wrong-scope",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "The credential is checked before the scopes: a wrong secret with a scope that the client lacks \
                      is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(
            Secret(Valid),
            &[Set("client_secret", r#""wrong-${unique}""#), Set("scopes", r#"["conformance:unheld"]"#)],
        ),
        expect: INVALID_CLIENT,
        mutants: &[mutant("scope-before-credential", "checks scopes before the credential")],
        ..ROW
    },
    Case {
        id: "long.401.secret-line-end",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A secret is compared exactly: with a line break after it, it is rejected.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_secret", r#""${valid.client_secret}\n""#)]),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("secret-line-end-ok", "removes a line break from the end of a secret")],
        ..ROW
    },
    Case {
        id: "long.401.secret-nul",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A secret is compared exactly: with a NUL character and more after it, it is rejected.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_secret", r#""${valid.client_secret}\u0000x""#)]),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("secret-ends-at-nul", "compares secrets up to a NUL character")],
        ..ROW
    },
    Case {
        id: "long.401.secret-full-width",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A secret is compared exactly: with one character in its full-width form it is rejected with 401 \
                      invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        control: Some("long.201.secret"),
        request: steps!(full_width),
        expect: INVALID_CLIENT,
        mutants: &[mutant("secret-normalised", "normalises a secret (NFKC) before it compares it")],
        ..ROW
    },
    Case {
        id: "long.401.secret-altered",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "The whole secret counts: with its first, a middle or its last character changed, or its last one \
                      missing, it is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: steps!(altered),
        expect: INVALID_CLIENT,

        mutants: &[
            mutant("secret-first-32", "compares only the first 32 characters of a secret"),
            mutant("secret-last-32", "compares only the last 32 characters of a secret"),
            mutant("secret-beginning-ok", "accepts the beginning of a secret"),
        ],
        ..ROW
    },
    Case {
        id: "long.401.secret-empty-with-bearer",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A client_secret in the body decides, even if it is empty: with a bearer beside it, it is \
                      rejected and not a rotation.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_secret", r#""""#), Header("authorization", "Bearer ${valid.short}")]),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("secret-empty-rotates", "rotates if client_secret is empty and a bearer is there")],
        ..ROW
    },
    Case {
        id: "long.401.secret-encoded",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A secret is compared as it is: encoded in base64, in hexadecimal or with percent-escapes, \
                      padded, reversed or in another alphabet it is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: steps!(encoded),
        expect: INVALID_CLIENT,
        mutants: &[
            mutant("secret-base64-ok", "accepts a secret in base64"),
            mutant("secret-hex-ok", "accepts a secret in hexadecimal"),
            mutant("secret-percent-ok", "decodes percent-escapes in a secret"),
            mutant("secret-padding-ok", "ignores padding behind a secret"),
            mutant("secret-sorted-ok", "accepts the characters of a secret in any order"),
            mutant("secret-alphabet-ok", "accepts a secret in the other alphabet of base64"),
        ],
        ..ROW
    },
    Case {
        id: "long.401.secret-long",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A secret of 12,000 characters is rejected with 401 invalid_client, like any other wrong one.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: steps!(long_secret),
        expect: INVALID_CLIENT,
        mutants: &[mutant("500-on-long-secret", "answers 500 to a secret of more than 4,096 characters")],
        ..ROW
    },
    Case {
        id: "long.401.client-id-long",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A client_id of 1,000 characters is rejected: with 401 invalid_client, because the client is \
                      unknown, or with 400 invalid_request.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: steps!(long_client_id),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("500-on-long-client-id", "answers 500 to a client_id of more than 256 characters")],
        ..ROW
    },
    Case {
        id: "long.401.client-id-empty",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An empty client_id is rejected: with 401 invalid_client or with 400 invalid_request.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_id", r#""""#)]),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("500-on-empty-client-id", "answers 500 to an empty client_id")],
        ..ROW
    },
    Case {
        id: "long.401.client-id-nul",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A client_id with a NUL is rejected: with 401 invalid_client or with 400 invalid_request.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_id", r#""${valid.client_id}\u0000""#)]),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("500-on-nul", "answers 500 to a NUL in client_id")],
        ..ROW
    },
    Case {
        id: "long.401.x-client-id-near",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "X-Client-Id is compared with the whole client_id: without its last character, or with one more, \
                      it is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: steps!(near_header),
        expect: INVALID_CLIENT,
        mutants: &[
            mutant("x-client-id-beginning", "accepts the beginning of client_id as X-Client-Id"),
            mutant("x-client-id-longer", "accepts an X-Client-Id that begins with client_id"),
        ],
        ..ROW
    },
];

async fn unknown_alike(t: &Trial<'_>) -> Result<(), Stop> {
    let wrong = draft::build(t, Secret(Valid), &[Set("client_secret", r#""wrong-${unique}""#)]).await?;
    let wrong = t.send(&wrong).await?;
    let name = format!("nobody-{}", t.unique());
    let mut unknown = with_member(t, Valid, "client_id", &name).await?;
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

/// Full-width forms (U+FF01 to U+FF5E) correspond to the printable characters of ASCII.
async fn full_width(t: &Trial<'_>) -> Result<(), Stop> {
    let secret = t.setting(Valid, ClientSecret)?;
    let mut characters = secret.chars();
    let first = characters.next().filter(char::is_ascii_graphic);
    let wide = first.and_then(|c| char::from_u32(u32::from(c) + 0xfee0));
    let wide =
        wide.ok_or_else(|| Stop::Absent("the secret does not begin with a printable ASCII character".to_owned()))?;
    let other = t.secret("WIDE_CLIENT_SECRET", format!("{wide}{}", characters.as_str()));
    t.expect(t.due, &t.send(&with_member(t, Valid, "client_secret", &other).await?).await?)
}

/// Each sends the secret with one character changed, to another of its alphabet, or without its last one.
async fn altered(t: &Trial<'_>) -> Result<(), Stop> {
    let secret: Vec<char> = t.setting(Valid, ClientSecret)?.chars().collect();
    let last = secret.len().saturating_sub(1);
    let at = |place: usize| {
        let mut other = secret.clone();
        // Neither of these differs from the other only in bits that base64 ignores at the end of a text.
        other[place] = if other[place] == 'A' { 'Q' } else { 'A' };
        other.into_iter().collect::<String>()
    };
    let shorter: String = secret[..last].iter().collect();
    for (what, other) in [
        ("the first character changed", at(0)),
        ("the middle character changed", at(last / 2)),
        ("the last character changed", at(last)),
        ("the last character missing", shorter),
    ] {
        let other = t.secret("ALTERED_CLIENT_SECRET", other);
        let answer = t.send(&with_member(t, Valid, "client_secret", &other).await?).await?;
        t.expect(t.due, &answer).map_err(|stop| stop.wanted(|wanted| format!("{wanted} for a secret with {what}")))?;
    }
    Ok(())
}

/// A request by client secret, with another value of a member.
async fn with_member(t: &Trial<'_>, role: Role, name: &str, value: &str) -> Result<Request, Stop> {
    let mut request = draft::build(t, Secret(role), &[]).await?;
    let mut body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
    body[name] = value.into();
    request.body = body.to_string().into_bytes();
    Ok(request)
}

async fn encoded(t: &Trial<'_>) -> Result<(), Stop> {
    let secret = t.setting(t.tenant(), ClientSecret)?;
    let first = secret.bytes().next().unwrap_or_default();
    let mut sorted: Vec<char> = secret.chars().collect();
    sorted.sort_unstable();
    let alphabet = secret.replace('-', "+").replace('_', "/");
    for (what, other) in [
        ("in base64", jose::b64_padded(&secret)),
        ("in hexadecimal", secret.bytes().map(|b| format!("{b:02x}")).collect()),
        ("with a percent-escape", format!("%{first:02X}{}", secret.get(1..).unwrap_or_default())),
        ("with padding", format!("{secret}=")),
        ("with its characters sorted", sorted.into_iter().collect()),
        ("with its characters reversed", secret.chars().rev().collect()),
        ("in the other alphabet of base64", alphabet),
    ] {
        if other == secret {
            continue;
        }
        let other = t.secret("ENCODED_CLIENT_SECRET", other);
        let answer = t.send(&with_member(t, t.tenant(), "client_secret", &other).await?).await?;
        t.expect(t.due, &answer).map_err(|stop| stop.wanted(|wanted| format!("{wanted} for the secret {what}")))?;
    }
    Ok(())
}

async fn long_secret(t: &Trial<'_>) -> Result<(), Stop> {
    let secret = t.secret("WRONG_SECRET", "s".repeat(12_000));
    t.expect(t.due, &t.send(&with_member(t, t.tenant(), "client_secret", &secret).await?).await?)
}

async fn long_client_id(t: &Trial<'_>) -> Result<(), Stop> {
    let id = "c".repeat(1000);
    let mut request = with_member(t, t.tenant(), "client_id", &id).await?;
    request.set("x-client-id", id);
    t.expect(t.due, &t.send(&request).await?)
}

async fn near_header(t: &Trial<'_>) -> Result<(), Stop> {
    let id = t.setting(t.tenant(), ClientId)?;
    let shorter = id.char_indices().last().map_or("", |(at, _)| &id[..at]);
    for (what, header) in [("without its last character", shorter.to_owned()), ("with one more", format!("{id}x"))] {
        let mut request = draft::build(t, Secret(t.tenant()), &[]).await?;
        request.set("x-client-id", header);
        let answer = t.send(&request).await?;
        t.expect(t.due, &answer)
            .map_err(|stop| stop.wanted(|wanted| format!("{wanted} for an X-Client-Id that is client_id {what}")))?;
    }
    Ok(())
}
