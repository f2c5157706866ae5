//! POST /auth/tokens/introspect: how the form is parsed.

use crate::case::*;
use crate::endpoint;

pub const CASES: &[Case] = &[
    Case {
        id: "introspection.200.unknown-parameters",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "Unknown form parameters are ignored.",
        section: "openapi.yaml, introspectToken; RFC 7662 section 2.1",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Raw("client_id=x&token=${valid.short}&resource=y")]),
        expect: plain(200),
        also: &[Also::Active],
        mutants: &[mutant("form-unknown-400", "rejects unknown parameters")],
        ..ROW
    },
    Case {
        id: "introspection.200.hint",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "token_type_hint is only a hint: a wrong value does not change the answer.",
        section: "openapi.yaml, IntrospectionRequest; RFC 7662 section 2.1",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Raw("token=${valid.short}&token_type_hint=refresh_token")]),
        expect: plain(200),
        also: &[Also::Active],
        mutants: &[mutant("form-hint-believed", "searches only tokens of the hinted type")],
        ..ROW
    },
    Case {
        id: "introspection.200.form-type",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "Content-Type is compared without regard to case, and may have parameters.",
        section: "openapi.yaml, introspectToken; RFC 9110 section 8.3.1",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Header("content-type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8")]),
        expect: plain(200),
        also: &[Also::Active],
        mutants: &[mutant("form-type-exact", "compares Content-Type as an exact string")],
        ..ROW
    },
    Case {
        id: "introspection.200.percent-encoded",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The form is decoded: a token with percent-encoded dots is the same token.",
        section: "openapi.yaml, introspectToken; RFC 7662 section 2.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: steps!(percent_encoded),
        expect: plain(200),
        mutants: &[mutant("form-not-decoded", "does not decode the form")],
        ..ROW
    },
    Case {
        id: "introspection.200.body-16384",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A form of 16,384 bytes is accepted.",
        section: "openapi.yaml, introspectToken; openapi.yaml, info",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: steps!(padded, 16_384, false),
        expect: plain(200),
        mutants: &[mutant("form-most-exclusive", "rejects a form of 16,384 bytes")],
        ..ROW
    },
    Case {
        id: "introspection.400.body-16385",
        cell: Cell::Service(400),
        level: Level::Service,
        requirement: "A form of 16,385 bytes is rejected with 400 invalid_request.",
        section: "openapi.yaml, introspectToken; openapi.yaml, info",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Mint,
        control: Some("introspection.200.body-16384"),
        request: steps!(padded, 16_385, false),
        expect: INVALID_REQUEST,
        mutants: &[mutant("form-size-unchecked", "accepts forms of any size")],
        ..ROW
    },
    Case {
        id: "introspection.400.token-missing",
        cell: Cell::Service(400),
        level: Level::Service,
        requirement: "A form without token is rejected with 400 invalid_request, and the error names token.",
        section: "openapi.yaml, IntrospectionRequest; RFC 7662 section 2.1",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Raw("token_type_hint=access_token")]),
        expect: INVALID_REQUEST,
        also: &[Also::Names("token")],
        mutants: &[mutant("form-token-optional", "treats a missing token as one that is not active")],
        ..ROW
    },
    Case {
        id: "introspection.400.token-empty",
        cell: Cell::Service(400),
        level: Level::Service,
        requirement: "An empty token is rejected with 400 invalid_request.",
        section: "openapi.yaml, IntrospectionRequest; RFC 7662 section 2.1",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Raw("token=")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("form-token-empty-ok", "treats an empty token as one that is not active")],
        ..ROW
    },
    Case {
        id: "introspection.400.token-repeated",
        cell: Cell::Service(400),
        level: Level::Service,
        requirement: "A repeated token parameter is rejected with 400 invalid_request, even with the same value.",
        section: "openapi.yaml, IntrospectionRequest; RFC 7662 section 2.1",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Raw("token=${valid.short}&token=${valid.short}")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("form-same-token-twice-ok", "accepts a repeated token parameter")],
        ..ROW
    },
    Case {
        id: "introspection.400.tokens",
        cell: Cell::Service(400),
        level: Level::Service,
        requirement: "Two token parameters with different values are rejected with 400 invalid_request.",
        section: "openapi.yaml, IntrospectionRequest; RFC 7662 section 2.1",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Raw("token=${valid.short}&token=${reader.short}")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("form-first-token-wins", "uses the first of two token parameters")],
        ..ROW
    },
    Case {
        id: "introspection.400.json",
        cell: Cell::Service(400),
        level: Level::Service,
        requirement: "A JSON body is rejected with 400 invalid_request.",
        section: "openapi.yaml, introspectToken; RFC 7662 section 2.1",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(
            Introspect(Reader),
            &[Header("content-type", "application/json"), Raw(r#"{"token":"${valid.short}"}"#)],
        ),
        expect: INVALID_REQUEST,
        mutants: &[mutant("introspection-takes-json", "accepts JSON too")],
        ..ROW
    },
    Case {
        id: "introspection.400.content-type-missing",
        cell: Cell::Service(400),
        level: Level::Service,
        requirement: "A body without a Content-Type is rejected with 400 invalid_request.",
        section: "openapi.yaml, introspectToken; RFC 7662 section 2.1",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[NoHeader("content-type")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("form-type-optional", "does not require a Content-Type")],
        ..ROW
    },
    Case {
        id: "introspection.405.get",
        cell: Cell::Service(405),
        level: Level::Service,
        requirement: "A method other than POST is answered with 405 and Allow: POST.",
        section: "openapi.yaml, info; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(Introspect(Reader), &[Method("GET"), NoHeader("content-type"), Raw("")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        mutants: &[mutant("introspection-by-get", "accepts GET like POST")],
        ..ROW
    },
    Case {
        id: "introspection.400.token-in-query",
        cell: Cell::Service(400),
        level: Level::Service,
        requirement: "A token in the query string is not read: without one in the form, the request is rejected with \
                      400 invalid_request.",
        section: "openapi.yaml, introspectToken; RFC 7662 section 2.1",
        effect: Effect::Mint,
        control: Some("introspection.200.active"),
        request: Ask(
            Introspect(Reader),
            &[Path("/auth/tokens/introspect?token=${valid.short}"), Raw("token_type_hint=access_token")],
        ),
        expect: INVALID_REQUEST,
        mutants: &[mutant("introspection-token-in-query", "reads the token from the query string")],
        ..ROW
    },
    Case {
        id: "introspection.400.body-16385-chunked",
        cell: Cell::Service(400),
        level: Level::Service,
        requirement: "A form of 16,385 bytes without a Content-Length is rejected with 400 invalid_request.",
        section: "openapi.yaml, introspectToken; openapi.yaml, info",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Mint,
        control: Some("introspection.400.body-16385"),
        request: steps!(padded, 16_385, true),
        expect: INVALID_REQUEST,
        mutants: &[mutant("form-size-by-content-length", "measures a form by its Content-Length alone")],
        ..ROW
    },
];

async fn asked(t: &Trial<'_>, body: impl Fn(&str) -> String) -> Result<Answer, Stop> {
    sent(t, false, body).await
}

async fn sent(t: &Trial<'_>, chunked: bool, body: impl Fn(&str) -> String) -> Result<Answer, Stop> {
    let (reader, token) = (t.shared(Reader, "short").await?, t.shared(Valid, "short").await?);
    let mut request = endpoint::introspect(&reader.token, &token.token);
    request.body = body(&token.token).into_bytes();
    request.chunked = chunked;
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer)?;
    Ok(answer)
}

async fn percent_encoded(t: &Trial<'_>) -> Result<(), Stop> {
    let answer = asked(t, |token| t.secret("ENCODED_TOKEN", format!("token={}", token.replace('.', "%2E")))).await?;
    t.check(Also::Active, &answer)
}

/// A form padded with an unknown parameter.
async fn padded(t: &Trial<'_>, bytes: usize, chunked: bool) -> Result<(), Stop> {
    let answer = sent(t, chunked, |token| {
        let form = format!("token={token}&pad=");
        format!("{form}{}", "x".repeat(bytes.saturating_sub(form.len())))
    })
    .await?;
    if answer.status == 200 { t.check(Also::Active, &answer) } else { Ok(()) }
}
