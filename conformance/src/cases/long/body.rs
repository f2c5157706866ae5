//! POST /auth/tokens/long: the body's JSON, size and media type, and the mechanism that it names.

use crate::case::*;
use crate::trial::draft;

pub const CASES: &[Case] = &[
    Case {
        id: "long.201.content-type-parameters",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "Content-Type may have parameters, such as charset=utf-8.",
        section: "openapi.yaml, info; RFC 9110 section 8.3.1",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Header("content-type", "application/json; charset=utf-8")]),
        expect: GRANTED,
        mutants: &[mutant("content-type-exact", "compares Content-Type as a string")],
        ..ROW
    },
    Case {
        id: "long.201.content-type-case",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "Content-Type is compared without regard to case.",
        section: "openapi.yaml, info; RFC 9110 section 8.3.1",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Header("content-type", "Application/JSON")]),
        expect: GRANTED,
        ..ROW
    },
    Case {
        id: "long.201.body-16384",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A body of 16,384 bytes is accepted.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[PadTo(16_384)]),
        expect: GRANTED,
        mutants: &[mutant("body-limit-8k", "limits bodies to 8 KiB")],
        ..ROW
    },
    Case {
        id: "long.201.body-16384-chunked",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A body of 16,384 bytes is accepted without a Content-Length.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[PadTo(16_384), Chunked]),
        expect: GRANTED,
        mutants: &[mutant("chunked-refused", "requires a Content-Length")],
        ..ROW
    },
    Case {
        id: "long.201.json-escapes",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "Escapes in JSON strings are decoded.",
        section: "RFC 8259 section 7",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(
            Secret(Valid),
            &[Raw(
                r#"{"grant\u005ftype":"client\u005fcredentials","client_id":"${valid.client_id}","client_secret":"${valid.client_secret}","scopes":["jobs\u003asubmit"],"ttl_seconds":3600}"#,
            )],
        ),
        expect: GRANTED,
        also: &[Also::Scopes(&["jobs:submit"])],
        mutants: &[mutant("json-escapes-refused", "rejects escapes in JSON strings")],
        ..ROW
    },
    Case {
        id: "long.400.grant-type-missing",
        cell: Cell::Long(400),
        level: Level::Seed,
        requirement: "A missing grant_type is rejected with 400 invalid_grant.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Unset("grant_type")]),
        expect: INVALID_GRANT,
        mutants: &[mutant("grant-type-optional", "does not require grant_type")],
        ..ROW
    },
    Case {
        id: "long.400.grant-type-unknown",
        cell: Cell::Long(400),
        level: Level::Seed,
        requirement: "A grant_type other than client_credentials and assertion is rejected with 400 invalid_grant.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("grant_type", r#""password""#)]),
        expect: INVALID_GRANT,
        mutants: &[mutant("grant-type-any", "accepts any grant_type")],
        ..ROW
    },
    Case {
        id: "long.400.grant-type-case",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "grant_type is compared case-sensitively: in another case it is rejected with 400 invalid_grant.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("grant_type", r#""Client_Credentials""#)]),
        expect: INVALID_GRANT,
        mutants: &[mutant("grant-type-folded", "ignores the case of grant_type")],
        ..ROW
    },
    Case {
        id: "long.400.not-json",
        cell: Cell::Long(400),
        level: Level::Seed,
        requirement: "A body that is not JSON is rejected with 400 invalid_request.",
        section: "RFC 8259 section 2",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Raw("grant_type=client_credentials")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("malformed-401", "answers 401 to malformed JSON")],
        ..ROW
    },
    Case {
        id: "long.400.body-empty",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "An empty body is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Raw("")]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.400.root-array",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A JSON array as the body is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Raw("[]")]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.400.root-string",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A JSON string as the body is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Raw(r#""grant_type""#)]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.400.root-null",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A JSON null as the body is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Raw("null")]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.400.trailing-data",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "Data after the JSON document is rejected with 400 invalid_request.",
        section: "RFC 8259 section 2",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Append("{}")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("trailing-data-ignored", "ignores data after the JSON document")],
        ..ROW
    },
    Case {
        id: "long.400.trailing-comma",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A trailing comma in the JSON is rejected with 400 invalid_request.",
        section: "RFC 8259 section 2",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(
            Secret(Valid),
            &[Raw(
                r#"{"grant_type":"client_credentials","client_id":"${valid.client_id}","client_secret":"${valid.client_secret}","ttl_seconds":3600,}"#,
            )],
        ),
        expect: INVALID_REQUEST,
        mutants: &[mutant("trailing-comma-ok", "accepts a trailing comma")],
        ..ROW
    },
    Case {
        id: "long.400.not-utf8",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A body that is not valid UTF-8 is rejected with 400 invalid_request.",
        section: "RFC 8259 section 8.1",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(
            Secret(Valid),
            &[RawBytes(b"{\"grant_type\":\"client_credentials\",\"client_id\":\"\xff\xfe\",\"client_secret\":\"x\"}")],
        ),
        expect: INVALID_REQUEST,
        mutants: &[mutant("utf8-lossy", "replaces invalid UTF-8")],
        ..ROW
    },
    Case {
        id: "long.400.repeated-key",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A repeated key in the JSON is rejected with 400 invalid_request.",
        section: "openapi.yaml, info; RFC 8259 section 4",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(
            Secret(Valid),
            &[Raw(
                r#"{"grant_type":"client_credentials","client_id":"${valid.client_id}","client_secret":"${valid.client_secret}","ttl_seconds":3600,"ttl_seconds":3600}"#,
            )],
        ),
        expect: INVALID_REQUEST,
        mutants: &[mutant("repeated-key-last-wins", "uses the last value of a repeated key")],
        ..ROW
    },
    Case {
        id: "long.400.unknown-field",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "An unknown field is rejected with 400 invalid_request, and the error names the field.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("surprise", "1")]),
        expect: INVALID_REQUEST,
        also: &[Also::Names("surprise")],
        mutants: &[
            mutant("unknown-field-ignored", "ignores unknown fields"),
            mutant("unknown-field-unnamed", "does not name the unknown field"),
        ],
        ..ROW
    },
    Case {
        id: "long.400.client-id-missing",
        cell: Cell::Long(400),
        level: Level::Seed,
        requirement: "A missing client_id is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Unset("client_id")]),
        expect: INVALID_REQUEST,
        also: &[Also::Names("client_id")],
        mutants: &[mutant("client-id-optional", "uses X-Client-Id if client_id is missing")],
        ..ROW
    },
    Case {
        id: "long.400.client-id-null",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A null client_id is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_id", "null")]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.400.client-id-number",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A client_id that is a number is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_id", "7")]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.400.client-secret-number",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A client_secret that is a number is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("client_secret", "7")]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.400.content-type-missing",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A body without a Content-Type is rejected with 400 invalid_request.",
        section: "openapi.yaml, info; RFC 9110 section 8.3",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[NoHeader("content-type")]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.400.content-type-text",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A Content-Type of text/plain is rejected with 400 invalid_request.",
        section: "openapi.yaml, info; RFC 9110 section 8.3",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Header("content-type", "text/plain")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("content-type-unchecked", "accepts any Content-Type")],
        ..ROW
    },
    Case {
        id: "long.400.content-type-prefix",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A Content-Type that only starts with application/json is rejected with 400 invalid_request.",
        section: "openapi.yaml, info; RFC 9110 section 8.3",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Header("content-type", "application/jsonp")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("content-type-prefix", "compares only the start of Content-Type")],
        ..ROW
    },
    Case {
        id: "long.400.body-16385",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A body of 16,385 bytes is rejected with 400 invalid_request.",
        section: "openapi.yaml, info",
        effect: Effect::Read,
        control: Some("long.201.body-16384"),
        request: Ask(Secret(Valid), &[PadTo(16_385)]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("size-unchecked", "accepts bodies of any size")],
        ..ROW
    },
    Case {
        id: "long.400.body-16385-chunked",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A body of 16,385 bytes without a Content-Length is rejected with 400 invalid_request.",
        section: "openapi.yaml, info",
        effect: Effect::Read,
        control: Some("long.201.body-16384-chunked"),
        request: Ask(Secret(Valid), &[PadTo(16_385), Chunked]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("size-by-content-length", "measures a body by its Content-Length alone")],
        ..ROW
    },
    Case {
        id: "long.400.two-mechanisms",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A body with two mechanisms is rejected with 400 invalid_request.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("otp_code", r#""000000""#)]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("first-mechanism-wins", "uses the first of two mechanisms")],
        ..ROW
    },
    Case {
        id: "long.400.secret-and-assertion",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A body with both a secret and an assertion is rejected with 400 invalid_request.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Set("client_secret", r#""${valid.client_secret}""#)]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.400.code-and-assertion",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A body with both a one-time code and an assertion is rejected with 400 invalid_request.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Set("otp_code", r#""000000""#)]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.400.assertion-under-client-credentials",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "An assertion with grant_type client_credentials is rejected with 400 invalid_request.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Set("grant_type", r#""client_credentials""#)]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("grant-type-decorative", "accepts an assertion with any grant_type")],
        ..ROW
    },
    Case {
        id: "long.400.no-mechanism",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A request with no mechanism in the body and no bearer to rotate is rejected, with 400 or 401.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Unset("client_secret")]),
        // Both fit the contract: 400 for no mechanism, 401 for a missing bearer.
        expect: Want { or: &[(401, "invalid_token"), (401, "invalid_client")], ..INVALID_REQUEST },
        mutants: &[mutant("no-mechanism-403", "answers 403 to a body without a mechanism")],
        ..ROW
    },
    Case {
        id: "long.400.body-16385-wide",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "The limit of a body counts bytes, not characters: a body of more than 16,384 bytes in fewer \
                      characters is rejected with 400 invalid_request.",
        section: "openapi.yaml, info",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Read,
        control: Some("long.201.body-16384"),
        request: steps!(wide),
        expect: INVALID_REQUEST,
        mutants: &[mutant("size-in-characters", "measures a body in characters")],
        ..ROW
    },
    Case {
        id: "long.400.body-16385-outside",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "White space around the JSON document counts: with it, a body of 16,385 bytes is rejected with \
                      400 invalid_request.",
        section: "openapi.yaml, info",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Read,
        control: Some("long.201.body-16384"),
        request: steps!(padded_outside),
        expect: INVALID_REQUEST,
        mutants: &[mutant("size-trimmed", "measures a body without the white space around it")],
        ..ROW
    },
    Case {
        id: "long.400.control-character",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A control character in a JSON string must be escaped: a line break in one is rejected with 400 \
                      invalid_request.",
        section: "RFC 8259 section 7",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(
            Secret(Valid),
            &[Raw(
                "{\"grant_type\":\"client_credentials\",\"client_id\":\"${valid.client_id}\",\"client_secret\":\"a\nb\"}",
            )],
        ),
        expect: INVALID_REQUEST,
        mutants: &[mutant("control-characters-ok", "accepts control characters in JSON strings")],
        ..ROW
    },
    Case {
        id: "long.400.deeply-nested",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A deeply nested document is rejected with 400 invalid_request, as any other that does not fit.",
        section: "RFC 8259 section 9",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: steps!(nested),
        expect: INVALID_REQUEST,
        mutants: &[mutant("deep-json-500", "fails with 500 on deeply nested JSON")],
        ..ROW
    },
    Case {
        id: "long.400.comment",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "JSON has no comments: a body with one is rejected with 400 invalid_request.",
        section: "RFC 8259 section 2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: steps!(around, "/* a comment */", ""),
        expect: INVALID_REQUEST,
        mutants: &[mutant("comments-ok", "accepts comments in JSON")],
        ..ROW
    },
    Case {
        id: "long.400.no-break-space",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "Only space, tab and line breaks may surround a JSON document: a no-break space is rejected with \
                      400 invalid_request.",
        section: "RFC 8259 section 2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: steps!(around, "", "\u{a0}"),
        expect: INVALID_REQUEST,
        mutants: &[mutant("any-space-ok", "accepts any white space of Unicode around JSON")],
        ..ROW
    },
    Case {
        id: "long.400.grant-type-space",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "grant_type is compared exactly: with a space after it, it is rejected with 400 invalid_grant.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("grant_type", r#""client_credentials ""#)]),
        expect: INVALID_GRANT,
        mutants: &[mutant("grant-type-trimmed", "trims grant_type")],
        ..ROW
    },
    Case {
        id: "long.400.content-type-suffix",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A media type that ends with +json is not application/json: it is rejected with 400 \
                      invalid_request.",
        section: "openapi.yaml, issueLongTermToken",
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Header("content-type", "application/vnd.api+json")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("content-type-suffix", "accepts any media type that ends with +json")],
        ..ROW
    },
    Case {
        id: "long.400.client-secret-null",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "null is not the same as absent: an assertion with a client_secret that is null is rejected with \
                      400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        control: Some("long.201.assertion"),
        request: Ask(Assertion(Valid), &[Set("client_secret", "null")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("client-secret-null-ok", "treats a client_secret that is null as absent")],
        ..ROW
    },
    Case {
        id: "long.400.assertion-null",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "null is not the same as absent: a secret with an assertion that is null is rejected with 400 \
                      invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("assertion", "null")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("assertion-null-ok", "treats an assertion that is null as absent")],
        ..ROW
    },
];

/// The valid request, with these texts before and after the JSON document.
async fn around(t: &Trial<'_>, before: &str, after: &str) -> Result<(), Stop> {
    let mut request = draft::build(t, Secret(Valid), &[]).await?;
    request.body = [before.as_bytes(), &request.body, after.as_bytes()].concat();
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer)
}

async fn padded_outside(t: &Trial<'_>) -> Result<(), Stop> {
    let document = draft::build(t, Secret(Valid), &[]).await?.body.len();
    around(t, "", &" ".repeat(16_385_usize.saturating_sub(document))).await
}

/// Sends a document of the client with one more member.
async fn with_member(t: &Trial<'_>, name: &str, json: &str) -> Result<(), Stop> {
    let mut request = draft::build(t, Secret(Valid), &[Unset("client_secret")]).await?;
    let document = String::from_utf8_lossy(&request.body).into_owned();
    let end = document.len().saturating_sub(1);
    request.body = format!("{},\"{name}\":{json}}}", &document[..end]).into_bytes();
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer)
}

/// 8,300 characters of two bytes each. A server that counts characters finds a wrong secret.
async fn wide(t: &Trial<'_>) -> Result<(), Stop> {
    with_member(t, "client_secret", &format!("\"{}\"", "\u{e9}".repeat(8300))).await
}

async fn nested(t: &Trial<'_>) -> Result<(), Stop> {
    with_member(t, "deep", &format!("{}{}", "[".repeat(5000), "]".repeat(5000))).await
}
