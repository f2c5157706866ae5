//! Rules for every answer of a run, one row per rule. `watch.rs` checks the answers against them.

use crate::case::*;
use crate::clock;
use crate::http::is_at_origin;
use crate::jose;
use crate::mask;
use crate::matrix::Op;
use crate::patience::is_busy;
use crate::watch::{Seen, Standing};
use serde_json::Value;

pub const CASES: &[Case] = &[
    Case {
        id: "long.201.x-token-id",
        cell: Cell::Long(201),
        level: Level::Seed,
        requirement: "A 201 from /long carries X-Token-Id, equal to the body's token_id.",
        section: "openapi.yaml, issueLongTermToken",
        request: EveryAnswer(x_token_id),
        mutants: &[
            mutant("no-x-token-id", "sends no X-Token-Id"),
            mutant("x-token-id-other", "sends an X-Token-Id that differs from the body's token_id"),
        ],
        ..ROW
    },
    Case {
        id: "long.201.body",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A LongTokenResponse has exactly its six fields, each well-formed.",
        section: "openapi.yaml, LongTokenResponse",
        request: EveryAnswer(|s| token_body(s, Op::Long)),
        mutants: &[mutant("extra-field", "adds a field to its responses")],
        ..ROW
    },
    Case {
        id: "long.201.expires-at",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A LongTokenResponse's expires_at is expires_in seconds from now, in RFC 3339 and UTC.",
        section: "openapi.yaml, LongTokenResponse; RFC 3339 section 5.6",
        request: EveryAnswer(|s| expires_at(s, Op::Long)),
        mutants: &[mutant("expires-at-late", "sends an expires_at that is two hours off")],
        ..ROW
    },
    Case {
        id: "short.201.body",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A ShortTokenResponse has exactly its six fields, each well-formed.",
        section: "openapi.yaml, ShortTokenResponse",
        request: EveryAnswer(|s| token_body(s, Op::Short)),
        mutants: &[mutant("token-type-lower", "sends token_type bearer in lower case")],
        ..ROW
    },
    Case {
        id: "short.201.expires-at",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A ShortTokenResponse's expires_at is expires_in seconds from now, in RFC 3339 and UTC.",
        section: "openapi.yaml, ShortTokenResponse; RFC 3339 section 5.6",
        request: EveryAnswer(|s| expires_at(s, Op::Short)),
        ..ROW
    },
    Case {
        id: "revoke.204.empty",
        cell: Cell::Revoke(204),
        level: Level::Seed,
        requirement: "A 204 has no body.",
        section: "openapi.yaml, revokeToken; RFC 9110 section 15.3.5",
        request: EveryAnswer(empty_204),
        mutants: &[mutant("204-has-body", "sends a body with its 204")],
        ..ROW
    },
    Case {
        id: "long.401.challenge",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Every 401 from /long carries WWW-Authenticate: Bearer.",
        section: "RFC 9110 section 11.6.1; RFC 6750 section 3",
        request: EveryAnswer(|s| challenge(s, Op::Long)),
        mutants: &[
            mutant("no-www-authenticate", "sends no challenge with a 401"),
            mutant("challenge-basic", "challenges with Basic"),
        ],
        ..ROW
    },
    Case {
        id: "short.401.challenge",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "Every 401 from /short carries WWW-Authenticate: Bearer.",
        section: "RFC 9110 section 11.6.1; RFC 6750 section 3",
        request: EveryAnswer(|s| challenge(s, Op::Short)),
        mutants: &[mutant("no-challenge-short", "sends no challenge with a 401 from /short")],
        ..ROW
    },
    Case {
        id: "revoke.401.challenge",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "Every 401 from /revoke carries WWW-Authenticate: Bearer.",
        section: "RFC 9110 section 11.6.1; RFC 6750 section 3",
        request: EveryAnswer(|s| challenge(s, Op::Revoke)),
        mutants: &[mutant("no-challenge-revoke", "sends no challenge with a 401 from /revoke")],
        ..ROW
    },
    Case {
        id: "outside.challenge-error",
        cell: Cell::Throughout,
        level: Level::Contract,
        requirement: "A challenge has an error attribute if and only if a token was presented, and the attribute \
                      equals the body's code.",
        section: "RFC 6750 section 3.1",
        request: EveryAnswer(challenge_error),
        mutants: &[
            mutant("challenge-always-error", "sends error= although no token was presented"),
            mutant("challenge-never-error", "sends no error= although a token was presented"),
        ],
        ..ROW
    },
    Case {
        id: "long.429.retry-after",
        cell: Cell::Long(429),
        level: Level::Contract,
        requirement: "Every 429 from /long carries Retry-After.",
        section: "openapi.yaml, RateLimited; RFC 6585 section 4",
        request: EveryAnswer(|s| retry_after(s, Op::Long)),
        mutants: &[
            mutant("no-retry-after", "sends no Retry-After with a 429"),
            mutant("later-429-bare", "sends Retry-After with the first 429 only"),
        ],
        ..ROW
    },
    Case {
        id: "short.429.retry-after",
        cell: Cell::Short(429),
        level: Level::Contract,
        requirement: "Every 429 from /short carries Retry-After.",
        section: "openapi.yaml, RateLimited; RFC 6585 section 4",
        request: EveryAnswer(|s| retry_after(s, Op::Short)),
        ..ROW
    },
    Case {
        id: "outside.no-store",
        cell: Cell::Throughout,
        level: Level::Contract,
        requirement: "Every response carries Cache-Control: no-store, except the public documents at the origin.",
        section: "openapi.yaml, NoStore; RFC 6749 section 5.1",
        request: EveryAnswer(no_store),
        mutants: &[
            mutant("no-no-store", "sends no Cache-Control: no-store"),
            mutant("no-no-store-on-404", "sends no Cache-Control: no-store with a 404"),
        ],
        ..ROW
    },
    Case {
        id: "outside.nosniff",
        cell: Cell::Throughout,
        level: Level::Contract,
        requirement: "Every response carries X-Content-Type-Options: nosniff.",
        section: "openapi.yaml, info",
        request: EveryAnswer(nosniff),
        mutants: &[mutant("no-nosniff", "sends no X-Content-Type-Options")],
        ..ROW
    },
    Case {
        id: "outside.json",
        cell: Cell::Throughout,
        level: Level::Contract,
        requirement: "Every response body is JSON, with Content-Type: application/json, except the revocation feed \
                      and /docs.",
        section: "openapi.yaml, info",
        request: EveryAnswer(json_body),
        mutants: &[
            mutant("html-errors", "sends errors as HTML"),
            mutant("json-as-text", "sends its JSON as text/plain"),
        ],
        ..ROW
    },
    Case {
        id: "outside.error-body",
        cell: Cell::Throughout,
        level: Level::Contract,
        requirement: "An error body has code, message and optionally details, which is an object, and nothing else.",
        section: "openapi.yaml, AuthError",
        request: EveryAnswer(error_body),
        mutants: &[
            mutant("error-extra-field", "adds a field to error bodies"),
            mutant("details-string", "sends details as a string"),
        ],
        ..ROW
    },
    Case {
        id: "outside.no-echo",
        cell: Cell::Throughout,
        level: Level::Contract,
        requirement: "No response repeats a credential from the request, neither in its body nor in its headers.",
        section: "openapi.yaml, AuthError",
        request: EveryAnswer(no_echo),
        mutants: &[
            mutant("echoes-secret", "repeats a wrong secret in the message"),
            mutant("echoes-bearer", "repeats a rejected bearer in the challenge"),
            mutant("echoes-assertion", "repeats an assertion in details"),
            mutant("echoes-code", "repeats a wrong code in the message"),
            mutant("echoes-in-capitals", "repeats a wrong secret in capitals"),
            mutant("echoes-encoded", "repeats a wrong secret in base64"),
            mutant("echoes-half", "repeats the end of a rejected bearer"),
            mutant("echoes-in-a-header-name", "repeats a wrong secret in the name of a header"),
        ],
        ..ROW
    },
    Case {
        id: "long.statuses",
        cell: Cell::Throughout,
        level: Level::Seed,
        requirement: "/long is answered with 201, 400, 401, 403 or 429 only.",
        section: "openapi.yaml, issueLongTermToken",
        request: EveryAnswer(|s| statuses(s, Op::Long)),
        mutants: &[mutant("422-for-400", "answers 422 in place of 400")],
        ..ROW
    },
    Case {
        id: "short.statuses",
        cell: Cell::Throughout,
        level: Level::Seed,
        requirement: "/short is answered with 201, 400, 401 or 429 only, never with 403.",
        section: "openapi.yaml, issueShortTermToken",
        request: EveryAnswer(|s| statuses(s, Op::Short)),
        mutants: &[mutant("short-403", "answers 403 on /short")],
        ..ROW
    },
    Case {
        id: "revoke.statuses",
        cell: Cell::Throughout,
        level: Level::Seed,
        requirement: "/revoke is answered with 204, 401 or 404 only, never with 400, 403 or 429.",
        section: "openapi.yaml, revokeToken",
        request: EveryAnswer(|s| statuses(s, Op::Revoke)),
        mutants: &[mutant("revoke-403", "answers 403 on /revoke")],
        ..ROW
    },
    Case {
        id: "outside.statuses",
        cell: Cell::Throughout,
        level: Level::Contract,
        requirement: "Other paths and methods are answered with 404 or 405 only.",
        section: "openapi.yaml, info",
        request: EveryAnswer(|s| statuses(s, Op::Outside)),
        ..ROW
    },
    Case {
        id: "long.201.scopes-as-requested",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A 201 from /long grants the requested scopes: all of them, in their order, and no others.",
        section: "openapi.yaml, LongTokenRequest",
        request: EveryAnswer(|s| as_requested(s, Op::Long)),
        mutants: &[
            mutant("assertion-scopes-sorted", "sorts the scopes that it grants for an assertion"),
            mutant("code-scopes-sorted", "sorts the scopes that it grants for a one-time code"),
            mutant("rotation-scopes-sorted", "sorts the scopes that it grants in a rotation"),
        ],
        ..ROW
    },
    Case {
        id: "short.201.scopes-as-requested",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A 201 from /short grants the requested scopes: all of them, in their order, and no others.",
        section: "openapi.yaml, ShortTokenRequest",
        request: EveryAnswer(|s| as_requested(s, Op::Short)),
        mutants: &[mutant("short-scopes-sorted", "sorts the scopes that it grants in an exchange")],
        ..ROW
    },
    Case {
        id: "long.201.lifetime-as-requested",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "No long-term token outlives ttl_seconds, or 30 days if the request does not say.",
        section: "openapi.yaml, LongTokenRequest",
        request: EveryAnswer(lifetime),
        mutants: &[
            mutant("code-ttl-ignored", "ignores ttl_seconds beside a one-time code"),
            mutant("rotation-ttl-more", "adds a minute to the lifetime that a rotation requests"),
        ],
        ..ROW
    },
    Case {
        id: "long.201.token-id-kind",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "The id of every long-term token begins with tok_lt_.",
        section: "openapi.yaml, LongTokenResponse",
        request: EveryAnswer(|s| id_kind(s, Op::Long, "tok_lt_")),
        mutants: &[mutant("code-id-kind", "gives tokens for one-time codes the id of a short-term token")],
        ..ROW
    },
    Case {
        id: "short.201.token-id-kind",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "The id of every short-term token begins with tok_st_.",
        section: "openapi.yaml, ShortTokenResponse",
        request: EveryAnswer(|s| id_kind(s, Op::Short, "tok_st_")),
        mutants: &[mutant("short-id-kind", "gives every other short-term token the id of a long-term token")],
        ..ROW
    },
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
        return broken("only the six fields", format!("a field \"{extra}\""));
    }
    if body["token_type"] != "Bearer" {
        return broken("token_type \"Bearer\"", format!("token_type {}", body["token_type"]));
    }
    if !body["expires_in"].is_u64() {
        return broken(
            "expires_in as a positive number of whole seconds",
            format!("expires_in {}", body["expires_in"]),
        );
    }
    if body["expires_at"].as_str().and_then(clock::parse_rfc3339).is_none() {
        return broken("expires_at as an RFC 3339 time in UTC with Z", format!("expires_at {}", body["expires_at"]));
    }
    let scopes = body["scopes"].as_array();
    if !scopes.is_some_and(|all| !all.is_empty() && all.iter().all(Value::is_string)) {
        return broken("scopes as an array of strings", format!("scopes {}", body["scopes"]));
    }
    if body["access_token"].as_str().is_none_or(str::is_empty) || body["token_id"].as_str().is_none_or(str::is_empty) {
        return broken("access_token and token_id as non-empty strings", "another type, or an empty string");
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
    // A server may send any number.
    let due = seen.now.saturating_add(lives);
    // One minute for clock skew.
    if at >= lives && seen.is_now(at - lives, 60) {
        return Standing::Holds;
    }
    broken(
        format!("expires_at near {}", clock::rfc3339(due)),
        format!("expires_at {} with expires_in {lives}", body["expires_at"]),
    )
}

/// HTTP clients read no body after a 204 (RFC 9112 section 6.3), so only headers that announce a body can reveal one.
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

/// Each challenge in a WWW-Authenticate header starts with its scheme (RFC 9110 section 11.6.1).
fn bearer_challenge(seen: &Seen) -> bool {
    let all = seen.answer.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("www-authenticate"));
    all.flat_map(|(_, v)| v.split(',')).any(|part| {
        let scheme = part.split_whitespace().next().unwrap_or_default();
        scheme.eq_ignore_ascii_case("bearer")
    })
}

pub fn challenge(seen: &Seen, op: Op) -> Standing {
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
    let error = seen.answer.challenge_error();
    let code = seen.answer.json().unwrap_or_default()["code"].as_str().unwrap_or_default().to_owned();
    // Whether a token was presented is ambiguous if the token is ignored, empty, in the body, or one of two.
    let bearers = seen.request.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("authorization")).count();
    let open = bearers > 1
        || (seen.request.header("authorization").is_some() && (mechanism || !presented))
        || body.get("long_token").is_some();
    match (presented, error) {
        _ if open => Standing::NotConcerned,
        (false, None) => Standing::Holds,
        (false, Some(error)) => {
            broken("no error= in the challenge, because no token was presented", format!("error=\"{error}\""))
        }
        (true, Some(error)) if error == code => Standing::Holds,
        (true, Some(error)) => {
            broken(format!("error=\"{code}\" in the challenge, as in the body"), format!("error=\"{error}\""))
        }
        (true, None) => broken(
            "error= in the challenge, because a token was presented (RFC 6750 section 3.1)",
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

/// Public documents may be cached; how long is tested where that is promised.
fn no_store(seen: &Seen) -> Standing {
    if is_at_origin(&seen.request.path) && seen.answer.status < 400 {
        return Standing::NotConcerned;
    }
    if seen.answer.has_cache_directive("no-store") {
        return Standing::Holds;
    }
    let value = header(seen, "cache-control");
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
    // The revocation feed is a JWT, the reference page is HTML, and a 304 has no body.
    let for_everyone = is_at_origin(&seen.request.path) && seen.answer.status < 400;
    if seen.answer.status == 204 || seen.request.method == "HEAD" || for_everyone {
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
    // Whether it is JSON at all is tested by another row.
    let Some(body) = seen.answer.json() else { return Standing::NotConcerned };
    let on = format!("on a {}", seen.answer.status);
    let Value::Object(body) = body else {
        return broken("an object with code and message", format!("another JSON value {on}"));
    };
    for name in ["code", "message"] {
        if body.get(name).and_then(Value::as_str).is_none_or(str::is_empty) {
            let got = body.get(name).map_or("none".to_owned(), Value::to_string);
            return broken(format!("{name} as a non-empty string"), format!("{name} {got} {on}"));
        }
    }
    if let Some(details) = body.get("details").filter(|d| !d.is_object()) {
        return broken("details as an object", format!("details {details} {on}"));
    }
    if let Some(extra) = body.keys().find(|k| !["code", "message", "details"].contains(&k.as_str())) {
        return broken("only code, message and details", format!("a field \"{extra}\" {on}"));
    }
    Standing::Holds
}

/// Shorter values may appear in an answer by chance.
const TELLING: usize = 8;

/// Half of a secret of 256 bits has more characters than this.
const PART: usize = 20;

/// Whether a text has the value in capitals, in small letters, or in base64.
fn encodes(text: &str, value: &str) -> bool {
    let encoded = jose::b64(value);
    let standard = encoded.replace('-', "+").replace('_', "/");
    [value.to_uppercase(), value.to_lowercase(), encoded, standard].iter().any(|form| text.contains(form.as_str()))
}

fn no_echo(seen: &Seen) -> Standing {
    if is_at_origin(&seen.request.path) {
        return Standing::NotConcerned;
    }
    let body: Value = serde_json::from_slice(&seen.request.body).unwrap_or_default();
    let members = ["client_secret", "otp_code", "assertion", "long_token"]
        .into_iter()
        .filter_map(|name| Some((name, body[name].as_str()?.to_owned())));
    let headers = seen.request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let bearers = headers.filter_map(|(_, value)| Some(("the bearer", value.split_once(' ')?.1.to_owned())));
    let sent: Vec<_> = members.chain(bearers).filter(|(_, value)| !value.is_empty()).collect();
    if sent.is_empty() {
        return Standing::NotConcerned;
    }
    let mut places = vec![("its body".to_owned(), mask::unescaped(&seen.answer.text()))];
    places.extend(seen.answer.headers.iter().map(|(name, _)| ("the name of a header".to_owned(), name.clone())));
    places
        .extend(seen.answer.headers.iter().map(|(name, value)| (format!("the header {name}"), mask::unescaped(value))));
    for (what, value) in &sent {
        let repeats = |text: &str| match *what {
            // Six digits may appear by chance: only a whole word in an error counts.
            "otp_code" => seen.answer.status >= 400 && words(text).any(|word| word == value),
            // Nothing else in a response reveals a token's signature.
            _ => {
                let end = value.rsplit('.').next().unwrap_or_default();
                let telling = value.len() >= TELLING && (text.contains(value.as_str()) || encodes(text, value));
                telling || (end.len() > 20 && text.contains(end)) || repeats_part(text, end)
            }
        };
        if let Some((place, _)) = places.iter().find(|(_, text)| repeats(text)) {
            return broken(
                format!("an answer that does not repeat {what}"),
                format!("a {} that repeats it in {place}", seen.answer.status),
            );
        }
    }
    Standing::Holds
}

/// Whether a text has half of a long secret, or of a token's signature: its beginning, its end or a part between.
fn repeats_part(text: &str, secret: &str) -> bool {
    let half = secret.len() / 2;
    half >= PART
        && (0..=secret.len() - half).any(|at| secret.get(at..at + half).is_some_and(|part| text.contains(part)))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
}

fn statuses(seen: &Seen, op: Op) -> Standing {
    // A 503 is not a violation of the contract: the case that sent the request reports it.
    if seen.op != op || is_busy(seen.answer) {
        return Standing::NotConcerned;
    }
    if op.statuses().contains(&seen.answer.status) {
        return Standing::Holds;
    }
    let all: Vec<_> = op.statuses().iter().map(u16::to_string).collect();
    broken(format!("one of {}", all.join(", ")), seen.answer.status.to_string())
}

/// Duplicates fold; the first of equal scopes counts.
fn as_requested(seen: &Seen, op: Op) -> Standing {
    let sent: Value = serde_json::from_slice(&seen.request.body).unwrap_or_default();
    let Some(asked) = sent["scopes"].as_array().filter(|_| of(seen, op, 201)) else { return Standing::NotConcerned };
    let mut due: Vec<&Value> = Vec::new();
    for scope in asked {
        if !due.contains(&scope) {
            due.push(scope);
        }
    }
    let granted = seen.answer.json().unwrap_or_default()["scopes"].clone();
    match granted.as_array().is_some_and(|granted| granted.iter().eq(due.iter().copied())) {
        true => Standing::Holds,
        false => broken(format!("scopes {}, as requested", serde_json::json!(due)), format!("scopes {granted}")),
    }
}

fn lifetime(seen: &Seen) -> Standing {
    let sent: Value = serde_json::from_slice(&seen.request.body).unwrap_or_default();
    let due = match sent.get("ttl_seconds") {
        None => Some(30 * 24 * 3600),
        Some(asked) => asked.as_u64(),
    };
    let lives = seen.answer.json().unwrap_or_default()["expires_in"].as_u64();
    match (due, lives) {
        (Some(due), Some(lives)) if of(seen, Op::Long, 201) && lives <= due => Standing::Holds,
        (Some(due), Some(lives)) if of(seen, Op::Long, 201) => {
            broken(format!("expires_in of at most {due}"), format!("expires_in {lives}"))
        }
        _ => Standing::NotConcerned,
    }
}

fn id_kind(seen: &Seen, op: Op, start: &str) -> Standing {
    if !of(seen, op, 201) {
        return Standing::NotConcerned;
    }
    let id = seen.answer.json().unwrap_or_default()["token_id"].clone();
    match id.as_str().is_some_and(|id| id.starts_with(start)) {
        true => Standing::Holds,
        false => broken(format!("a token_id that begins with {start}"), format!("token_id {id}")),
    }
}
