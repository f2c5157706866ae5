//! How a client is shown, and rules for every answer to an operator.

use super::OPERATOR;
use crate::case::*;
use crate::clock;
use crate::endpoint::CLIENTS;
use crate::watch::{Seen, Standing};
use serde_json::{Value, json};

const SHOWN: Case = Case {
    cell: Cell::Service(200),
    level: Level::Service,
    section: "openapi.yaml, Client",
    effect: Effect::Provision,
    control: Some("operators.201.create"),
    expect: plain(200),
    ..ROW
};

pub const CASES: &[Case] = &[
    Case {
        id: "operators.200.show",
        requirement: "GET returns a client as its creation did, without the members that are shown only once.",
        section: "openapi.yaml, getClient",
        needs: OPERATOR,
        request: steps!(as_created),
        mutants: &[mutant("shows-secret", "also shows a client's secret after its creation")],
        ..SHOWN
    },
    // ---- for every answer
    Case {
        id: "operators.client",
        requirement: "Every client in a response has exactly the documented members, each well-formed, and nothing \
                      from which a secret or a seed could be derived.",
        request: EveryAnswer(client),
        mutants: &[
            mutant("shows-hashes", "shows a hash of each secret"),
            mutant("client-extra-member", "shows an unknown member of a client"),
            mutant("times-as-numbers", "shows times as numbers"),
            mutant("unset-as-null", "shows members that were never set as null"),
        ],
        ..SHOWN
    },
    Case {
        id: "operators.etag",
        requirement: "Every 200 that shows a client carries a strong ETag, and so does a 201 if it carries one.",
        section: "openapi.yaml, ETag; RFC 9110 section 8.8.3",
        request: EveryAnswer(etag),
        mutants: &[mutant("clients-no-etag", "sends no ETag"), mutant("clients-etag-weak", "sends weak ETags")],
        ..SHOWN
    },
    Case {
        id: "operators.challenge",
        cell: Cell::Service(401),
        requirement: "Every 401 to an operator's call carries WWW-Authenticate: Bearer.",
        section: "RFC 9110 section 11.6.1; RFC 6750 section 3",
        request: EveryAnswer(challenge),
        mutants: &[mutant("clients-no-challenge", "sends no challenge with a 401 to an operator's call")],
        ..SHOWN
    },
    Case {
        id: "operators.no-limit",
        cell: Cell::Service(429),
        requirement: "Operators' calls have no rate limit of their own.",
        section: "openapi.yaml, createClient",
        request: EveryAnswer(no_limit),
        mutants: &[mutant("clients-429", "rate-limits operators' calls")],
        ..SHOWN
    },
];

async fn as_created(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({"mechanisms": ["secret", "otp"]})).await?;
    let answer = t.call("GET", &client.path, None).await?;
    t.expect(t.due, &answer)?;
    let mut wanted = client.shown.clone();
    if let Some(members) = wanted.as_object_mut() {
        ["client_secret", "totp_secret", "otpauth_uri"].iter().for_each(|once| drop(members.remove(*once)));
    }
    let shown = answer.json().unwrap_or_default();
    if let Some(once) = ["client_secret", "totp_secret", "otpauth_uri"].iter().find(|once| shown.get(**once).is_some())
    {
        return Err(Stop::fail(format!("no {once}, which is shown only once"), "a client with it"));
    }
    t.equal("the client", &wanted, &shown)
}

fn broken(wanted: impl Into<String>, got: impl Into<String>) -> Standing {
    Standing::Broken { wanted: wanted.into(), got: got.into() }
}

fn is_operators(seen: &Seen) -> bool {
    let path = seen.request.path.split('?').next().unwrap_or_default();
    path == CLIENTS || path.starts_with(&format!("{CLIENTS}/"))
}

/// The client in a response to a create, read or change.
fn shown(seen: &Seen) -> Option<Value> {
    let path = seen.request.path.split('?').next().unwrap_or_default();
    let of_one = path.strip_prefix("/clients/").is_some_and(|rest| !rest.contains('/'));
    let fits = match (seen.request.method.as_str(), seen.answer.status) {
        ("POST", 201) => path == CLIENTS,
        ("GET" | "PATCH", 200) => of_one,
        _ => false,
    };
    fits.then(|| seen.answer.json().unwrap_or_default())
}

/// A member: its name, whether it is always present, its type in words, and the check for it.
type Rule<'a> = (&'a str, bool, &'a str, &'a dyn Fn(&Value) -> bool);

fn client(seen: &Seen) -> Standing {
    let Some(shown) = shown(seen) else { return Standing::NotConcerned };
    let Value::Object(members) = &shown else { return broken("a client as a JSON object", "another body") };
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let is_time = |value: &Value| value.as_str().and_then(clock::parse_rfc3339).is_some();
    let is_texts = |value: &Value| value.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(is_text));
    let one_of = |value: &Value, known: &[&str]| value.as_str().is_some_and(|text| known.contains(&text));
    let rules: [Rule<'_>; 14] = [
        ("client_id", true, "text", &is_text),
        ("status", true, "active or suspended", &|value| one_of(value, &["active", "suspended"])),
        ("scopes", true, "an array of strings", &is_texts),
        ("mechanisms", true, "an array of strings", &is_texts),
        ("max_ttl_seconds", true, "whole seconds", &Value::is_u64),
        ("consistency", true, "eventual or immediate", &|value| one_of(value, &["eventual", "immediate"])),
        ("has_totp", true, "true or false", &Value::is_boolean),
        ("secrets", true, "an array", &Value::is_array),
        ("tokens_valid_from", true, "an RFC 3339 time in UTC with Z", &is_time),
        ("created_at", true, "an RFC 3339 time in UTC with Z", &is_time),
        ("updated_at", true, "an RFC 3339 time in UTC with Z", &is_time),
        ("client_name", false, "text", &is_text),
        ("region", false, "text", &is_text),
        ("jwks", false, "a JWK Set", &|value| value["keys"].is_array()),
    ];
    for (name, required, what, fits) in rules {
        match members.get(name) {
            None if required => return broken(format!("the member {name}"), "a client without it"),
            Some(value) if !fits(value) => return broken(format!("{name} as {what}"), format!("{name} {value}")),
            _ => {}
        }
    }
    let once = ["client_secret", "totp_secret", "otpauth_uri"];
    let known = |name: &str| rules.iter().any(|rule| rule.0 == name);
    // Whether members that are shown only once are shown again is tested by another row.
    if let Some(extra) = members.keys().find(|name| !known(name) && !once.contains(&name.as_str())) {
        return broken("only the members of a client", format!("a member {extra}"));
    }
    for secret in shown["secrets"].as_array().into_iter().flatten() {
        let members = secret.as_object().cloned().unwrap_or_default();
        let extra = members.keys().find(|name| !["secret_id", "created_at", "expires_at"].contains(&name.as_str()));
        if let Some(extra) = extra {
            return broken("only secret_id, created_at and expires_at of a secret", format!("a member {extra}"));
        }
        if !is_text(&secret["secret_id"]) || !is_time(&secret["created_at"]) {
            return broken("secret_id and created_at of each secret", "a secret without them");
        }
        if members.get("expires_at").is_some_and(|end| !is_time(end)) {
            return broken(
                "expires_at as an RFC 3339 time in UTC with Z",
                format!("expires_at {}", secret["expires_at"]),
            );
        }
    }
    Standing::Holds
}

fn etag(seen: &Seen) -> Standing {
    if shown(seen).is_none() {
        return Standing::NotConcerned;
    }
    let etag = match seen.answer.header("etag") {
        None if seen.answer.status == 201 => return Standing::NotConcerned,
        etag => etag.unwrap_or("none"),
    };
    let inner = etag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    if inner.is_some_and(|inner| !inner.is_empty() && !inner.contains('"')) {
        return Standing::Holds;
    }
    broken("a strong ETag, in quotes", format!("ETag: {etag}"))
}

fn challenge(seen: &Seen) -> Standing {
    if !is_operators(seen) || seen.answer.status != 401 {
        return Standing::NotConcerned;
    }
    let challenge = seen.answer.header("www-authenticate").unwrap_or("none");
    if challenge.to_ascii_lowercase().starts_with("bearer") {
        return Standing::Holds;
    }
    broken("401 with WWW-Authenticate: Bearer", format!("WWW-Authenticate: {challenge}"))
}

fn no_limit(seen: &Seen) -> Standing {
    match (is_operators(seen), seen.answer.status) {
        (false, _) => Standing::NotConcerned,
        (true, 429) => broken("no 429 for an operator's call", "429"),
        _ => Standing::Holds,
    }
}
