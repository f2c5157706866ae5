//! Promises about every answer. They are held against all answers of a run, and each has a row of its own, so that a
//! missing header is told once and by its name, not as a failure of a hundred other cases.

use super::*;
use crate::clock;
use crate::http::WELL_KNOWN;
use serde_json::Value;

pub const CASES: &[Case] = &[
    standing(
        "long.201.x-token-id",
        "201 carries X-Token-Id, the token_id of its body.",
        Op::Long,
        Some(201),
        x_token_id,
    )
    .seed(),
    standing(
        "long.201.body",
        "A LongTokenResponse has its six fields, well-formed, and no other.",
        Op::Long,
        Some(201),
        |s| token_body(s, Op::Long),
    ),
    standing("long.201.expires-at", "expires_at is expires_in from now.", Op::Long, Some(201), |s| {
        expires_at(s, Op::Long)
    }),
    standing(
        "short.201.body",
        "A ShortTokenResponse has its six fields, well-formed, and no other.",
        Op::Short,
        Some(201),
        |s| token_body(s, Op::Short),
    ),
    standing("short.201.expires-at", "expires_at is expires_in from now.", Op::Short, Some(201), |s| {
        expires_at(s, Op::Short)
    }),
    standing("revoke.204.empty", "204 has no body.", Op::Revoke, Some(204), empty_204).seed(),
    standing("long.401.challenge", "Every 401 of /long carries WWW-Authenticate: Bearer.", Op::Long, Some(401), |s| {
        challenge(s, Op::Long)
    }),
    standing(
        "short.401.challenge",
        "Every 401 of /short carries WWW-Authenticate: Bearer.",
        Op::Short,
        Some(401),
        |s| challenge(s, Op::Short),
    ),
    standing(
        "revoke.401.challenge",
        "Every 401 of /revoke carries WWW-Authenticate: Bearer.",
        Op::Revoke,
        Some(401),
        |s| challenge(s, Op::Revoke),
    ),
    standing(
        "outside.challenge-error",
        "A challenge has error= only when a token was presented, and then the body's code.",
        Op::Outside,
        None,
        challenge_error,
    ),
    standing("long.429.retry-after", "Every 429 of /long carries Retry-After.", Op::Long, Some(429), |s| {
        retry_after(s, Op::Long)
    }),
    standing("short.429.retry-after", "Every 429 of /short carries Retry-After.", Op::Short, Some(429), |s| {
        retry_after(s, Op::Short)
    }),
    standing("outside.no-store", "Every answer carries Cache-Control: no-store.", Op::Outside, None, no_store),
    standing("outside.nosniff", "Every answer carries X-Content-Type-Options: nosniff.", Op::Outside, None, nosniff),
    standing("outside.json", "Every body is JSON and says so.", Op::Outside, None, json_body),
    standing(
        "outside.error-body",
        "An error has code and message, perhaps details (an object), and nothing else.",
        Op::Outside,
        None,
        error_body,
    ),
    standing("long.statuses", "/long answers 201, 400, 401, 403 or 429, and nothing else.", Op::Outside, None, |s| {
        statuses(s, Op::Long, &[201, 400, 401, 403, 429])
    })
    .seed(),
    standing("short.statuses", "/short answers 201, 400, 401 or 429, and never 403.", Op::Outside, None, |s| {
        statuses(s, Op::Short, &[201, 400, 401, 429])
    })
    .seed(),
    standing(
        "revoke.statuses",
        "/revoke answers 204, 401 or 404, and never 400, 403 or 429.",
        Op::Outside,
        None,
        |s| statuses(s, Op::Revoke, &[204, 401, 404]),
    )
    .seed(),
    standing("outside.statuses", "Other paths and methods are answered 404 or 405.", Op::Outside, None, |s| {
        statuses(s, Op::Outside, &[404, 405])
    }),
];

fn broken(wanted: impl Into<String>, got: impl Into<String>) -> Standing {
    Standing::Broken { wanted: wanted.into(), got: got.into() }
}

fn of(seen: &Seen, op: Op, status: u16) -> bool {
    seen.op == op && seen.answer.status == status
}

fn header(seen: &Seen, name: &str) -> String {
    seen.answer.header(name).unwrap_or("none").to_owned()
}

fn x_token_id(seen: &Seen) -> Standing {
    if !of(seen, Op::Long, 201) {
        return Standing::NotConcerned;
    }
    let body = seen.answer.json().unwrap_or_default();
    match (seen.answer.header("x-token-id"), body["token_id"].as_str()) {
        (Some(header), Some(id)) if header == id => Standing::Holds,
        (Some(header), None) if !header.is_empty() => Standing::Holds,
        (got, id) => {
            broken(format!("X-Token-Id: {}", id.unwrap_or("an id")), format!("X-Token-Id: {}", got.unwrap_or("none")))
        }
    }
}

fn token_body(seen: &Seen, op: Op) -> Standing {
    if !of(seen, op, 201) {
        return Standing::NotConcerned;
    }
    let Some(Value::Object(body)) = seen.answer.json() else {
        return broken("a JSON object", "another body");
    };
    let fields = ["token_type", "access_token", "expires_in", "expires_at", "scopes", "token_id"];
    if let Some(missing) = fields.iter().find(|f| !body.contains_key(**f)) {
        return broken(format!("the field {missing}"), "a body without it");
    }
    if let Some(extra) = body.keys().find(|k| !fields.contains(&k.as_str())) {
        return broken("no field but the six", format!("a field \"{extra}\""));
    }
    if body["token_type"] != "Bearer" {
        return broken("token_type \"Bearer\"", format!("token_type {}", body["token_type"]));
    }
    if !body["expires_in"].is_u64() {
        return broken("expires_in in whole seconds", format!("expires_in {}", body["expires_in"]));
    }
    if body["expires_at"].as_str().and_then(clock::parse_rfc3339).is_none() {
        return broken("expires_at as an RFC 3339 time in UTC with Z", format!("expires_at {}", body["expires_at"]));
    }
    let scopes = body["scopes"].as_array();
    if !scopes.is_some_and(|all| !all.is_empty() && all.iter().all(Value::is_string)) {
        return broken("scopes as an array of strings", format!("scopes {}", body["scopes"]));
    }
    if body["access_token"].as_str().is_none_or(str::is_empty) || body["token_id"].as_str().is_none_or(str::is_empty) {
        return broken("access_token and token_id as strings that are not empty", "another type, or nothing in them");
    }
    Standing::Holds
}

fn expires_at(seen: &Seen, op: Op) -> Standing {
    if !of(seen, op, 201) {
        return Standing::NotConcerned;
    }
    let body = seen.answer.json().unwrap_or_default();
    let (Some(at), Some(lives)) =
        (body["expires_at"].as_str().and_then(clock::parse_rfc3339), body["expires_in"].as_u64())
    else {
        return Standing::NotConcerned;
    };
    // A minute for clocks that differ.
    if at.abs_diff(seen.now + lives) <= 60 {
        return Standing::Holds;
    }
    broken(
        format!("expires_at near {}", clock::rfc3339(seen.now + lives)),
        format!("expires_at {} with expires_in {lives}", body["expires_at"]),
    )
}

/// A client reads no body behind a 204 (RFC 9112 section 6.3), so what gives one away are the headers that announce it.
fn empty_204(seen: &Seen) -> Standing {
    if !of(seen, Op::Revoke, 204) {
        return Standing::NotConcerned;
    }
    let length = header(seen, "content-length");
    if seen.answer.body.is_empty() && ["none", "0"].contains(&length.as_str()) {
        return Standing::Holds;
    }
    broken("204 with no body", format!("Content-Length: {length}"))
}

/// The challenges of a WWW-Authenticate header start with their scheme (RFC 9110 section 11.6.1).
fn bearer_challenge(seen: &Seen) -> bool {
    let all = seen.answer.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("www-authenticate"));
    all.flat_map(|(_, v)| v.split(',')).any(|part| {
        let scheme = part.split_whitespace().next().unwrap_or_default();
        scheme.eq_ignore_ascii_case("bearer")
    })
}

fn challenge(seen: &Seen, op: Op) -> Standing {
    if !of(seen, op, 401) {
        return Standing::NotConcerned;
    }
    if bearer_challenge(seen) {
        return Standing::Holds;
    }
    broken("401 with WWW-Authenticate: Bearer", format!("WWW-Authenticate: {}", header(seen, "www-authenticate")))
}

fn challenge_error(seen: &Seen) -> Standing {
    if seen.answer.status != 401 || seen.op == Op::Outside || !bearer_challenge(seen) {
        return Standing::NotConcerned;
    }
    let body: Value = serde_json::from_slice(&seen.request.body).unwrap_or_default();
    let bearer = seen.request.header("authorization").and_then(|v| v.strip_prefix("Bearer "));
    let presented = bearer.is_some_and(|b| !b.is_empty());
    let mechanism = ["client_secret", "otp_code", "assertion"].iter().any(|m| body.get(m).is_some());
    let challenge = header(seen, "www-authenticate");
    let error = challenge.split("error=\"").nth(1).and_then(|rest| rest.split('"').next());
    let code = seen.answer.json().unwrap_or_default()["code"].as_str().unwrap_or_default().to_owned();
    // Whether a token counts as presented when it is ignored, empty, in the body or one of two may be read in two ways.
    let bearers = seen.request.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("authorization")).count();
    let open = bearers > 1
        || (seen.request.header("authorization").is_some() && (mechanism || !presented))
        || body.get("long_token").is_some();
    match (presented, error) {
        _ if open => Standing::NotConcerned,
        (false, None) => Standing::Holds,
        (false, Some(error)) => {
            broken("no error= in the challenge, as no token was presented", format!("error=\"{error}\""))
        }
        (true, Some(error)) if error == code => Standing::Holds,
        (true, Some(error)) => {
            broken(format!("error=\"{code}\" in the challenge, as in the body"), format!("error=\"{error}\""))
        }
        (true, None) => broken(
            "error= in the challenge, as a token was presented (RFC 6750 section 3.1)",
            format!("WWW-Authenticate: {challenge}"),
        ),
    }
}

fn retry_after(seen: &Seen, op: Op) -> Standing {
    if !of(seen, op, 429) {
        return Standing::NotConcerned;
    }
    let value = header(seen, "retry-after");
    if value.parse::<u64>().is_ok_and(|s| s > 0) || value.ends_with("GMT") {
        return Standing::Holds;
    }
    broken("429 with Retry-After, in seconds or as a date", format!("Retry-After: {value}"))
}

/// What is served for everyone may be kept for a while; how long is said where it is promised.
fn no_store(seen: &Seen) -> Standing {
    if seen.request.path.starts_with(WELL_KNOWN) {
        return Standing::NotConcerned;
    }
    let value = header(seen, "cache-control");
    if value.split(',').any(|d| d.trim().eq_ignore_ascii_case("no-store")) {
        return Standing::Holds;
    }
    broken("Cache-Control: no-store", format!("Cache-Control: {value} on a {}", seen.answer.status))
}

fn nosniff(seen: &Seen) -> Standing {
    let value = header(seen, "x-content-type-options");
    if value.trim().eq_ignore_ascii_case("nosniff") {
        return Standing::Holds;
    }
    broken("X-Content-Type-Options: nosniff", format!("X-Content-Type-Options: {value} on a {}", seen.answer.status))
}

fn json_body(seen: &Seen) -> Standing {
    // The feed of ends is a JWT, and 304 has no body.
    let well_known = seen.request.path.starts_with(WELL_KNOWN) && seen.answer.status < 400;
    if seen.answer.status == 204 || seen.request.method == "HEAD" || well_known {
        return Standing::NotConcerned;
    }
    let kind = header(seen, "content-type");
    let media = kind.split(';').next().unwrap_or_default().trim().to_lowercase();
    let is_json = media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"));
    match (is_json, seen.answer.json().is_some()) {
        (true, true) => Standing::Holds,
        (false, _) => {
            broken("Content-Type: application/json", format!("Content-Type: {kind} on a {}", seen.answer.status))
        }
        (true, false) => broken("a JSON body", format!("a body that is not JSON on a {}", seen.answer.status)),
    }
}

fn error_body(seen: &Seen) -> Standing {
    if seen.answer.status < 400 || seen.request.method == "HEAD" {
        return Standing::NotConcerned;
    }
    // What is not JSON at all is another row's matter.
    let Some(body) = seen.answer.json() else { return Standing::NotConcerned };
    let on = format!("on a {}", seen.answer.status);
    let Value::Object(body) = body else {
        return broken("an object with code and message", format!("another JSON value {on}"));
    };
    for name in ["code", "message"] {
        if body.get(name).and_then(Value::as_str).is_none_or(str::is_empty) {
            return broken(format!("{name} as a string that is not empty"), format!("none {on}"));
        }
    }
    if let Some(details) = body.get("details").filter(|d| !d.is_object()) {
        return broken("details as an object", format!("details {details} {on}"));
    }
    if let Some(extra) = body.keys().find(|k| !["code", "message", "details"].contains(&k.as_str())) {
        return broken("no field but code, message and details", format!("a field \"{extra}\" {on}"));
    }
    Standing::Holds
}

fn statuses(seen: &Seen, op: Op, lawful: &[u16]) -> Standing {
    if seen.op != op {
        return Standing::NotConcerned;
    }
    if lawful.contains(&seen.answer.status) {
        return Standing::Holds;
    }
    let all: Vec<_> = lawful.iter().map(u16::to_string).collect();
    broken(format!("one of {}", all.join(", ")), seen.answer.status.to_string())
}
