//! `issueShortTermToken`: exchanges a long-term token for a short-term one.

use auth_edge::host::Limit;
use serde_json::{Value, json};

use crate::service::{ALICE, AUDIENCE, DAY, ISSUER, NOW, SHORT, Service, by_secret, exchange, post, revocation};
use crate::sign;

fn part(token: &str, nth: usize) -> Value {
    serde_json::from_slice(&sign::decode(token.split('.').nth(nth).unwrap())).unwrap()
}

#[test]
fn the_whole_answer_and_the_whole_token() {
    let service = Service::new();
    let long = service.long_token("jobs:* templates:read");
    let answer = service.send(&exchange(&long).scopes("jobs:submit"));
    let body = answer.body.as_object().unwrap();
    let names: Vec<_> = body.keys().map(String::as_str).collect();
    assert_eq!(names, ["access_token", "expires_at", "expires_in", "scopes", "token_id", "token_type"]);
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 900);
    assert_eq!(body["expires_at"], "2027-01-15T08:15:00Z");
    assert_eq!(body["scopes"], json!(["jobs:submit"]));
    let short = answer.token();
    assert!(short.id.starts_with("tok_st_"));
    assert_eq!((answer.audit.by.as_deref(), answer.audit.client_id.as_deref()), (Some(long.id.as_str()), Some(ALICE)));

    assert_eq!(part(&short.token, 0), json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "s2"}));
    let claims = json!({"iss": ISSUER, "sub": ALICE, "client_id": ALICE, "aud": AUDIENCE,
                        "iat": NOW, "exp": NOW + 900, "auth_time": NOW, "jti": short.id, "scope": "jobs:submit", "parent": long.id});
    assert_eq!(part(&short.token, 1), claims);
    // Anyone with the public key can verify it.
    let (message, signature) = short.token.rsplit_once('.').unwrap();
    let public = &service.settings.keys.short.first().public;
    assert!(crate::host::verify(public, message.as_bytes(), &sign::decode(signature)));

    assert_eq!(part(&long.token, 0), json!({"alg": "HS256", "typ": "lt+jwt", "kid": "l2"}));
    let claims = json!({"iss": ISSUER, "sub": ALICE, "iat": NOW, "exp": NOW + 30 * DAY, "auth_time": NOW, "jti": long.id,
                        "scope": "jobs:* templates:read"});
    assert_eq!(part(&long.token, 1), claims);
}

#[test]
fn the_whole_body_is_optional() {
    let service = Service::new();
    let long = service.long_token("jobs:* templates:read");
    for request in ["", "{}", "null"].map(|body| exchange(&long).text(body)).into_iter().chain([exchange(&long)]) {
        assert_eq!(service.send(&request).body["scopes"], json!(["jobs:*", "templates:read"]));
    }
}

#[test]
fn the_token_in_the_body() {
    let service = Service::new();
    let (long, other) = (service.long_token("jobs:submit"), service.long_token("jobs:submit"));
    let in_body = exchange(&long).set("long_token", long.token.as_str());
    service.send(&in_body).token();
    service.send(&in_body.clone().anonymous()).token();
    service.send(&in_body.clone().anonymous().client(ALICE)).token();
    service.send(&in_body.clone().bearer(&other.token)).is(400, "invalid_request").names("long_token");
    // A token in the body does not replace a wrong header.
    service.send(&in_body.clone().authorization("Basic YTpi")).is(401, "invalid_token");
    service.send(&in_body.clone().bearer("x")).is(401, "invalid_token");
    service.send(&exchange(&long).set("long_token", "x").anonymous()).is(401, "invalid_token");
    service.send(&exchange(&long).set("long_token", "").anonymous()).is(401, "invalid_token");
}

/// A live token in the body with an invalid member: the response is 400 for the member, not 401 for the token.
#[test]
fn a_valid_token_in_an_invalid_body() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    let in_body = exchange(&long).set("long_token", long.token.as_str()).anonymous();
    service.send(&in_body.clone().scopes("jobs")).is(400, "invalid_scope");
    service.send(&in_body.clone().set("scopes", "jobs:submit")).is(400, "invalid_request").names("scopes");
    service.send(&in_body.clone().set("colour", "red")).is(400, "invalid_request").names("colour");
    service.send(&in_body.clone().set("long_token", "x").scopes("jobs")).is(401, "invalid_token");
    service.send(&in_body.clone().set("long_token", 7)).is(401, "invalid_token");
    service.send(&in_body.text("{")).is(401, "invalid_token");
}

/// An invalid body is answered 400, but 401 if the token is not live. With a valid body, the limit is checked first,
/// then the token's state, then the scopes.
#[test]
fn the_order_of_refusals() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    let dead = service.long_token("jobs:submit");
    service.send(&revocation(&dead, &dead.id)).is(204, "");
    service.world.reached.set(Some(Limit::Short));
    service.send(&post(SHORT).text("{")).is(401, "invalid_token");
    service.send(&exchange(&dead).text("{")).is(401, "invalid_token");
    service.send(&exchange(&long).text("{")).is(400, "invalid_request");
    service.send(&exchange(&long).scopes("jobs")).is(400, "invalid_scope");
    service.send(&exchange(&long).scopes("jobs:read")).is(429, "rate_limited");
    service.send(&exchange(&dead)).is(429, "rate_limited");
    service.world.reached.set(None);
    service.send(&exchange(&dead)).is(401, "invalid_token");
    service.send(&exchange(&dead).scopes("jobs:read")).is(401, "invalid_token");
    service.send(&exchange(&long).scopes("jobs:read")).is(400, "invalid_scope");
}

/// The token is checked before the body is read. Its expiry is checked again afterwards, since a body may be delayed.
#[test]
fn a_token_that_expires_while_the_body_is_delayed() {
    let service = Service::new();
    let long = service.send(&by_secret().set("ttl_seconds", 3600)).token();
    let in_body = post(SHORT).json(&json!({"long_token": long.token}));
    for (held_back, status) in [(3599, 201), (3600, 401)] {
        service.held_back.set(held_back);
        for request in [&exchange(&long), &in_body] {
            assert_eq!(service.send(request).status, status, "{held_back}");
        }
    }
}

#[test]
fn malformed_bodies() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    for body in [
        "[]",
        "[null]",
        "nul",
        " ",
        "{",
        "{}{}",
        r#"{"scopes":null}"#,
        r#"{"scopes":[1]}"#,
        r#"{"client_id":"c"}"#,
        r#"{"scopes":["jobs:submit"],"scopes":["jobs:submit"]}"#,
    ] {
        service.send(&exchange(&long).text(body)).is(400, "invalid_request");
    }
    let mut untyped = exchange(&long).text("{}");
    untyped.content_type = None;
    service.send(&untyped).is(400, "invalid_request").names("Content-Type");
    service.send(&exchange(&long).text(&" ".repeat(20_000))).is(400, "invalid_request");
}

#[test]
fn scopes_stay_within_the_long_term_tokens() {
    let service = Service::new();
    let long = service.long_token("jobs:* templates:read");
    for covered in ["jobs:submit", "jobs:*", "templates:read", "templates:read jobs:a jobs:b"] {
        let granted = service.send(&exchange(&long).scopes(covered));
        assert_eq!(granted.body["scopes"], json!(covered.split(' ').collect::<Vec<_>>()));
    }
    for uncovered in ["templates:*", "templates:write", "tokens:write", "jobs:a billing:read"] {
        service.send(&exchange(&long).scopes(uncovered)).is(400, "invalid_scope");
    }
}

#[test]
fn never_past_the_long_term_tokens_end() {
    let service = Service::new();
    let long = service.send(&by_secret().set("ttl_seconds", 3600)).token();
    service.pass(3600 - 900);
    assert_eq!(service.send(&exchange(&long)).body["expires_in"], 900);
    service.pass(1);
    assert_eq!(service.send(&exchange(&long)).body["expires_in"], 899);
    service.pass(898);
    let last = service.send(&exchange(&long));
    assert_eq!(last.body["expires_in"], 1);
    let claims = part(&last.token().token, 1);
    assert_eq!(claims["exp"], NOW + 3600);
    service.pass(1);
    service.send(&exchange(&long)).is(401, "invalid_token");
}

#[test]
fn a_suspension_an_end_tokens_and_a_deletion_refuse_exchanges() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    let change = |from: u64| service.change(ALICE, |record| record.tokens_valid_from = from);
    change(NOW);
    assert!(service.is_alive(&long));
    change(NOW + 1);
    service.send(&exchange(&long)).is(401, "invalid_token");
    service.pass(1);
    assert!(service.is_alive(&service.long_token("jobs:submit")), "a token issued since then is live");
    change(0);
    service.suspend(ALICE);
    service.send(&exchange(&long)).is(401, "invalid_token");
    service.erase(ALICE);
    service.world.forget_replicas();
    service.send(&exchange(&long)).is(401, "invalid_token");
}

#[test]
fn a_revocation_takes_effect_where_kv_shows_it() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    service.world.lag(|| true);
    service.send(&revocation(&long, &long.id)).is(204, "");
    assert!(service.is_alive(&long), "this location's KV does not show it yet");
    service.world.catch_up();
    assert!(!service.is_alive(&long));
}
