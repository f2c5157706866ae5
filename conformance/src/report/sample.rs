//! Sample reports for tests and for people, including answers of a server that tries to break the page.

use proptest::prelude::*;

use crate::result::*;

const BASE: &str = "https://auth.staging.example/v1";
const EVIL: &str = "<script>alert(1)</script> ]]> --> `code` ``` ``` </pre></details> \u{1b}[31mred\u{0} user\u{202e}nimda \u{feff}& &amp; @everyone #1";

/// A cell's cases: the end of the id, and the requirement.
type Rows = &'static [(&'static str, &'static str)];

const LONG: &str = "issueLongTermToken";
const SHORT: &str = "issueShortTermToken";
const REVOKE: &str = "revokeToken";

#[rustfmt::skip]
const CELLS: &[(&str, &str, Option<u16>, Rows)] = &[
    ("long", LONG, Some(201), &[
        ("secret", "A client secret with X-Client-Id issues a long-term token."),
        ("otp", "A one-time code with X-Client-Id issues a long-term token."),
        ("assertion-es256", "An assertion signed by ES256 with a registered key issues a long-term token."),
        ("assertion-eddsa", "An assertion signed by EdDSA with a registered key issues a long-term token."),
        ("rotation", "A short-term token with tokens:write can be rotated into a new long-term token."),
        ("token-id-header", "Every 201 carries X-Token-Id, equal to the body's token_id."),
        ("ttl-min", "ttl_seconds may be 3600."),
        ("ttl-max", "ttl_seconds may be 7776000."),
        ("ttl-clamped", "A ttl_seconds above the client's own maximum is clamped to that maximum."),
        ("scopes-fold", "Duplicate scopes are granted once, in the order requested."),
        ("authorization-ignored", "An Authorization header sent along with a mechanism in the body is ignored."),
    ]),
    ("long", LONG, Some(400), &[
        ("grant-type-missing", "A missing grant_type is rejected with 400 invalid_grant."),
        ("grant-type-unknown", "An unknown grant_type is rejected with 400 invalid_grant."),
        ("field-unknown", "An unknown field is rejected with 400 invalid_request, and the error names the field."),
        ("ttl-below", "A ttl_seconds of 3599 is rejected with 400 invalid_request."),
        ("ttl-above", "A ttl_seconds of 7776001 is rejected with 400 invalid_request."),
        ("two-mechanisms", "A body with two mechanisms is rejected with 400 invalid_request."),
        ("key-repeated", "A repeated key in the JSON is rejected with 400 invalid_request."),
        ("not-utf8", "A body that is not valid UTF-8 is rejected with 400 invalid_request."),
        ("scopes-empty", "An empty scopes array is rejected with 400 invalid_scope."),
        ("scopes-65", "A request for 65 scopes is rejected with 400 invalid_scope."),
        ("body-16385", "A body of 16,385 bytes is rejected with 400 invalid_request."),
    ]),
    ("long", LONG, Some(401), &[
        ("secret-wrong", "A wrong secret is rejected with 401 invalid_client."),
        ("client-unknown", "An unknown client gets 401 invalid_client with the same body as a wrong secret."),
        ("client-id-missing", "A missing X-Client-Id is rejected with 401 invalid_client."),
        ("otp-replayed", "A code that was accepted before is rejected with 401 invalid_client."),
        ("jti-replayed", "A replayed assertion is rejected with 401 invalid_client: a jti is accepted once."),
        ("alg-none", "An unsigned assertion is rejected with 401 invalid_client."),
        ("alg-hs256-public-key", "An assertion signed by HS256 with the public key as the secret is rejected with 401 invalid_client."),
        ("aud-wrong", "An aud that names another service is rejected with 401 invalid_client."),
        ("expired", "An expired assertion is rejected with 401 invalid_client."),
        ("www-authenticate", "Every 401 carries WWW-Authenticate: Bearer."),
    ]),
    ("long", LONG, Some(403), &[
        ("scope-beyond", "A scope beyond the client's is rejected with 403 insufficient_scope."),
        ("no-tokens-write", "A rotation without tokens:write is rejected with 403 insufficient_scope."),
        ("suspended", "A suspended client with right credentials is rejected with 403 unauthorized_client."),
        ("mechanism-not-allowed", "A valid credential of a mechanism that the client may not use is rejected with 403 unauthorized_client."),
    ]),
    ("long", LONG, Some(429), &[
        ("burst", "Too many requests are rejected with 429 rate_limited and Retry-After."),
        ("message", "The message of a 429 says when to retry."),
    ]),
    ("short", SHORT, Some(201), &[
        ("header", "A long-term token in the Authorization header is exchanged for a short-term one."),
        ("body", "A long-term token in the body is exchanged for a short-term one."),
        ("scopes-narrowed", "A request for one of the long-term token's scopes is granted that scope alone."),
        ("wildcard", "jobs:* covers jobs:submit."),
        ("lifetime", "A short-term token is valid for 900 s, and never expires after its long-term token."),
        ("no-body", "The body is optional."),
    ]),
    ("short", SHORT, Some(400), &[
        ("scope-uncovered", "A scope that the long-term token does not cover is rejected with 400 invalid_scope."),
        ("two-tokens", "Two different valid tokens in long_token and Authorization are rejected with 400 invalid_request."),
        ("not-json", "A body that is not JSON is rejected with 400 invalid_request."),
        ("content-type", "A Content-Type other than application/json is rejected with 400 invalid_request."),
    ]),
    ("short", SHORT, Some(401), &[
        ("missing", "A request without a token is rejected with 401 invalid_token."),
        ("malformed", "A bearer that is not a token is rejected with 401 invalid_token."),
        ("short-for-long", "A short-term token cannot be exchanged: it is rejected with 401 invalid_token."),
        ("revoked", "A revoked long-term token is rejected with 401 invalid_token."),
        ("forged", "A token with an invalid signature is rejected with 401 invalid_token."),
        ("before-body", "The bearer is checked before the body: a request with an invalid token and an invalid body is rejected with 401 invalid_token."),
    ]),
    ("short", SHORT, Some(429), &[
        ("burst", "Too many requests are rejected with 429 rate_limited and Retry-After."),
    ]),
    ("revoke", REVOKE, Some(204), &[
        ("self-long", "A long-term token can always revoke itself."),
        ("self-short", "A short-term token can always revoke itself."),
        ("other", "A token with tokens:revoke can revoke another token of its own client."),
        ("again", "Revoking a token that is already revoked is answered with 204."),
        ("repeat-after-loss", "A token that revoked itself can repeat that call and gets 204."),
        ("cascade", "Revoking a long-term token also revokes the short-term tokens issued from it."),
        ("body-ignored", "A request body is ignored, whatever its content."),
    ]),
    ("revoke", REVOKE, Some(401), &[
        ("missing", "A request without a token is rejected with 401 invalid_token."),
        ("no-tokens-revoke", "Revoking another token of the client without tokens:revoke is rejected with 401 insufficient_scope."),
        ("wrong-kind", "A token of another issuer is rejected with 401 invalid_token."),
    ]),
    ("revoke", REVOKE, Some(404), &[
        ("malformed", "A malformed id is answered with 404 not_found."),
        ("forged", "A forged id is answered with 404 not_found."),
        ("other-client", "The id of another client's token is answered with 404 not_found, like one that was never issued."),
        ("broken-escape", "An id with a broken percent-escape is answered with 404 not_found."),
    ]),
    ("outside", "outside", None, &[
        ("sanity-first", "The server answers at the start of the run."),
        ("unknown-path", "An unknown path is answered with 404 not_found."),
        ("trailing-slash", "Paths are compared exactly: a trailing slash is answered with 404 not_found."),
        ("double-slash", "Paths are compared exactly: a doubled slash is answered with 404 not_found."),
        ("upper-case", "Paths are compared case-sensitively: another case is answered with 404 not_found."),
        ("get-long", "GET on /long is answered with 405 and Allow: POST."),
        ("head-long", "HEAD on /long is answered with 405 and Allow: POST."),
        ("options-long", "OPTIONS on /long is answered with 405 and Allow: POST."),
        ("get-short", "GET on /short is answered with 405 and Allow: POST."),
        ("get-revoke", "GET on /revoke is answered with 405 and Allow: POST."),
        ("no-store", "Every response carries Cache-Control: no-store."),
        ("nosniff", "Every response carries X-Content-Type-Options: nosniff."),
        ("json", "Every response body is JSON, with Content-Type: application/json."),
        ("snake-case", "Every member of a response body is in snake_case."),
        ("sanity-last", "The server still answers at the end of the run."),
    ]),
];

pub fn all() -> Vec<Report> {
    vec![report(), conformant(), unreachable(), part()]
}

/// A conformant run of a part of the cases.
pub fn part() -> Report {
    let mut report = conformant();
    report.cases.retain(|case| case.id.starts_with("long."));
    report.part = Some(Part { cases: vec!["long.*".to_owned()], skip: Vec::new(), chosen: 38, of: 84 });
    finish(report)
}

pub fn conformant() -> Report {
    let cases = CELLS
        .iter()
        .flat_map(|&(prefix, operation, status, rows)| {
            rows.iter().map(move |&(name, requirement)| case(prefix, operation, status, name, requirement))
        })
        .collect();
    finish(Report {
        report_version: REPORT_VERSION,
        tool: Tool { name: "conformance".to_owned(), version: "0.1.0".to_owned() },
        target: Target { base_url: BASE.to_owned() },
        profile: "contract".to_owned(),
        part: None,
        started_at: "2026-03-14T09:26:53Z".to_owned(),
        duration_ms: 18_734,
        verdict: Verdict::Conformant,
        exit_code: 0,
        counts: Counts::default(),
        matrix: Vec::new(),
        cases,
        consistency: Some(Consistency {
            window_ms: 60_000,
            observed_ms: vec![("short.401.revoked".to_owned(), 1_240), ("revoke.204.cascade".to_owned(), 31_870)],
            by_operation: vec![Delays::of(SHORT, vec![1_240, 900, 2_300]), Delays::of(REVOKE, vec![31_870])],
        }),
        cleanup: Cleanup { minted: 41, revoked: 41, left: Vec::new() },
        advice: Vec::new(),
    })
}

/// A run with every outcome, and a server with hostile answers.
pub fn report() -> Report {
    let mut report = conformant();
    let fail = |case: &mut CaseResult, wanted: &str, got: &str, status: u16, body: &str| {
        case.outcome = Outcome::Fail;
        case.wanted = Some(wanted.to_owned());
        case.got = Some(got.to_owned());
        if let Some(answer) = case.exchanges.last_mut().and_then(|exchange| exchange.response.as_mut()) {
            answer.status = status;
            answer.body = body.to_owned();
        }
    };
    for case in &mut report.cases {
        match case.id.as_str() {
            "long.401.client-unknown" => fail(
                case,
                "401 invalid_client with the same body as for a wrong secret",
                "404 not_found",
                404,
                r#"{"code":"not_found","message":"There is no client acme-nobody."}"#,
            ),
            "long.401.otp-replayed" => fail(
                case,
                "401 invalid_client",
                "201 with a token: the code was accepted twice",
                201,
                r#"{"token_type":"Bearer","access_token":"***","expires_in":2592000,"expires_at":"2026-04-13T09:26:59Z","scopes":["jobs:*","templates:*"],"token_id":"tok_lt_7GkQ2mXw"}"#,
            ),
            "short.400.scope-uncovered" => {
                case.reason = Some("The status is right, but the code belongs to another status.".to_owned());
                let reason = case.reason.clone();
                fail(
                    case,
                    "400 invalid_scope",
                    "400 insufficient_scope",
                    400,
                    r#"{"code":"insufficient_scope","message":"The long-term token does not cover the scope jobs:cancel."}"#,
                );
                case.reason = reason;
            }
            "revoke.404.broken-escape" => fail(
                case,
                "404 not_found as JSON",
                &format!("500 with {EVIL}"),
                500,
                &format!("<!doctype html>\n<title>500</title>\n{EVIL}\n{}", "long".repeat(300)),
            ),
            "revoke.204.repeat-after-loss" => fail(
                case,
                "204 with an empty body",
                "401 invalid_token",
                401,
                r#"{"code":"invalid_token","message":"The bearer token was revoked; get a new one."}"#,
            ),
            "long.400.not-utf8" => {
                case.outcome = Outcome::Error;
                case.reason = Some(
                    "The connection was reset while the body was read: run the case again, and check proxies in front of the server."
                        .to_owned(),
                );
                for exchange in &mut case.exchanges {
                    exchange.response = None;
                    exchange.error = Some("connection reset by peer (os error 104)".to_owned());
                }
            }
            "long.201.scopes-fold" => {
                case.outcome = Outcome::UnexpectedPass;
                case.reason =
                    Some("The case is listed as a known failure, but it passed: remove it from the list.".to_owned());
            }
            "long.400.key-repeated" => {
                case.outcome = Outcome::ExpectedFail;
                case.reason = Some(
                    "Known failure until AUTH-412 is rolled out: the parser uses the last of two equal keys."
                        .to_owned(),
                );
                case.wanted = Some("400 invalid_request".to_owned());
                case.got = Some("201".to_owned());
            }
            "long.403.suspended" | "long.403.mechanism-not-allowed" => {
                let role = if case.id.ends_with("suspended") { "suspended" } else { "no_otp" };
                case.outcome = Outcome::Blocked;
                case.reason =
                    Some(format!("No identity has the role {role}: add the table [{role}] to the identities file."));
                case.exchanges.clear();
                case.curl = None;
            }
            "long.429.burst" | "long.429.message" => {
                case.outcome = Outcome::Blocked;
                case.reason =
                    Some("A burst is not allowed on a host that is not loopback: give --allow burst.".to_owned());
                case.exchanges.clear();
                case.curl = None;
            }
            "short.429.burst" => {
                case.outcome = Outcome::NotApplicable;
                case.reason = Some("The profile declares the rate limit on /short absent.".to_owned());
                case.exchanges.clear();
                case.curl = None;
            }
            _ => {}
        }
    }
    report.verdict = Verdict::NotConformant;
    report.exit_code = 1;
    report.cleanup.minted = 42;
    report.cleanup.left = vec![(
        "tok_lt_7GkQ2mXw".to_owned(),
        "the server answered 503 three times; the token expires on 2026-04-13".to_owned(),
    )];
    report.advice = vec![
        "2 cases are blocked because two roles are missing: add the tables [suspended] and [no_otp] to the identities file."
            .to_owned(),
        "To judge 2 more cases, give --allow burst, with a client that may be rate-limited for a minute.".to_owned(),
    ];
    finish(report)
}

pub fn unreachable() -> Report {
    let mut report = conformant();
    report.cases.clear();
    report.verdict = Verdict::Unreachable;
    report.exit_code = 4;
    report.duration_ms = 5_012;
    report.consistency = None;
    report.cleanup = Cleanup::default();
    report.advice = vec![
        "Nothing listens at auth.staging.example:443 (connection refused): start the server, or correct --base-url."
            .to_owned(),
    ];
    finish(report)
}

/// A small report with this text in every place that can contain text from the server.
pub fn poisoned(hostile: &str) -> Report {
    let mut report = conformant();
    report
        .cases
        .retain(|case| ["long.401.secret-wrong", "long.401.expired", "long.403.suspended"].contains(&case.id.as_str()));
    let text = || Some(hostile.to_owned());
    for case in &mut report.cases {
        case.outcome = if case.id == "long.403.suspended" { Outcome::Blocked } else { Outcome::Fail };
        (case.reason, case.wanted, case.got, case.curl) = (text(), text(), text(), text());
        for exchange in &mut case.exchanges {
            exchange.url = format!("{BASE}/{hostile}");
            // An empty body would be rendered as no body.
            exchange.request_body = Some(format!("{hostile}."));
            exchange.error = text();
            if let Some(answer) = &mut exchange.response {
                answer.headers.push((hostile.to_owned(), hostile.to_owned()));
                answer.body = format!("{hostile}.");
            }
        }
    }
    report.cleanup.left.clear();
    report.verdict = Verdict::NotConformant;
    report.exit_code = 1;
    finish(report)
}

/// Text that could break a page or a terminal, alone and mixed with other text.
pub fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        any::<char>().prop_map(String::from),
        proptest::sample::select(vec![
            EVIL,
            "<script>",
            "</script>",
            "]]>",
            "<![CDATA[",
            "-->",
            "<!--",
            "&lt;",
            "&#0;",
            "\"",
            "'",
            " onload=x",
            "</pre>",
            "</style>",
            "`",
            "```",
            "````\n",
            "\n```\n",
            "~~~",
            "\r",
            "\r\n",
            "\n\n# h\n",
            "|",
            "\u{0}",
            "\u{b}",
            "\u{1b}",
            "\u{7f}",
            "\u{85}",
            "\u{202e}",
            "\u{2028}",
            "\u{feff}",
            "\u{fffe}",
            "\u{ffff}",
            "\u{1f4a5}",
            "@everyone",
            "javascript:alert(1)",
            "\\",
            " ",
            "\t",
            "",
        ])
        .prop_map(str::to_owned),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn finish(mut report: Report) -> Report {
    report.matrix = CELLS
        .iter()
        .map(|&(_, operation, status, _)| Cell { operation: operation.to_owned(), status, counts: Counts::default() })
        .collect();
    report.counts = Counts::default();
    for case in &report.cases {
        *report.counts.of(case.outcome) += 1;
        for cell in report
            .matrix
            .iter_mut()
            .filter(|cell| cell.operation == case.operation && (cell.status.is_none() || cell.status == case.status))
        {
            *cell.counts.of(case.outcome) += 1;
        }
    }
    report
}

fn case(prefix: &str, operation: &str, status: Option<u16>, name: &str, requirement: &str) -> CaseResult {
    let cell = status.map(|status| format!("{status}.")).unwrap_or_default();
    let answered = status.unwrap_or(404);
    let mut exchanges = Vec::new();
    if answered >= 400 {
        exchanges.push(exchange(operation, 201));
    }
    exchanges.push(exchange(operation, answered));
    CaseResult {
        id: format!("{prefix}.{cell}{name}"),
        requirement: requirement.to_owned(),
        operation: operation.to_owned(),
        status,
        level: if name.len().is_multiple_of(3) { "seed" } else { "contract" }.to_owned(),
        effect: match answered {
            201 => "mint",
            204 => "revoke",
            429 => "burst",
            _ => "read",
        }
        .to_owned(),
        outcome: Outcome::Pass,
        reason: None,
        wanted: None,
        got: None,
        curl: Some(curl(operation)),
        duration_ms: exchanges.iter().map(|exchange| exchange.duration_ms).sum(),
        exchanges,
    }
}

fn path(operation: &str) -> &'static str {
    match operation {
        LONG => "/auth/tokens/long",
        SHORT => "/auth/tokens/short",
        REVOKE => "/auth/tokens/tok_lt_7GkQ2mXwR4vN8sJc1bZy/revoke",
        _ => "/auth/nowhere",
    }
}

fn curl(operation: &str) -> String {
    let path = path(operation);
    match operation {
        LONG => format!(
            "curl -sS -i -X POST \"{BASE}{path}\" -H 'Content-Type: application/json' -H \"X-Client-Id: $VALID_CLIENT_ID\" --data \"{{\\\"grant_type\\\":\\\"client_credentials\\\",\\\"client_id\\\":\\\"$VALID_CLIENT_ID\\\",\\\"client_secret\\\":\\\"$VALID_CLIENT_SECRET\\\"}}\""
        ),
        _ => format!("curl -sS -i -X POST \"{BASE}{path}\" -H \"Authorization: Bearer $VALID_LONG_TOKEN\""),
    }
}

fn exchange(operation: &str, status: u16) -> Exchange {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut headers = vec![
        pair("cache-control", "no-store"),
        pair("content-type", "application/json"),
        pair("date", "Sat, 14 Mar 2026 09:26:57 GMT"),
        pair("x-content-type-options", "nosniff"),
    ];
    let body = match status {
        201 => {
            headers.push(pair("x-token-id", "tok_lt_7GkQ2mXwR4vN8sJc1bZy"));
            r#"{"token_type":"Bearer","access_token":"***","expires_in":2592000,"expires_at":"2026-04-13T09:26:57Z","scopes":["jobs:*","templates:*","tokens:*"],"token_id":"tok_lt_7GkQ2mXwR4vN8sJc1bZy"}"#
        }
        204 => "",
        400 => {
            r#"{"code":"invalid_request","message":"ttl_seconds must be an integer from 3600 to 7776000.","details":{"field":"ttl_seconds"}}"#
        }
        401 => {
            headers.push(pair("www-authenticate", "Bearer realm=\"auth\""));
            r#"{"code":"invalid_client","message":"The client is unknown, or its secret, one-time code or assertion is wrong."}"#
        }
        429 => {
            headers.push(pair("retry-after", "60"));
            r#"{"code":"rate_limited","message":"Too many requests. Please retry after 60 seconds."}"#
        }
        403 => r#"{"code":"insufficient_scope","message":"The client may not be granted the scope admin:write."}"#,
        _ => r#"{"code":"not_found","message":"There is no such path."}"#,
    };
    Exchange {
        method: "POST".to_owned(),
        url: format!("{BASE}{}", path(operation)),
        request_headers: match operation {
            LONG => vec![pair("content-type", "application/json"), pair("x-client-id", "acme")],
            _ => vec![pair("authorization", "Bearer $VALID_LONG_TOKEN")],
        },
        request_body: (operation == LONG).then(|| {
            r#"{"grant_type":"client_credentials","client_id":"acme","client_secret":"$VALID_CLIENT_SECRET"}"#
                .to_owned()
        }),
        response: Some(Answer { status, headers, body: body.to_owned() }),
        error: None,
        at_ms: 0,
        duration_ms: 20 + u64::from(status % 97),
    }
}
