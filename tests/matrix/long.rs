//! `issueLongTermToken`: four mechanisms, and the order of refusals.

use auth_edge::client::{Mechanism, StoredSecret};
use auth_edge::host::Limit;
use auth_edge::request::MAX_BODY;
use auth_edge::secret::Secret;
use serde_json::{Value, json};

use crate::service::{
    ALICE, BOB, BOBS_SECRET, DAY, ISSUER, LONG, NOW, OLD_SECRET, Request, SECRET, Service, bob_by_secret, by_assertion,
    by_code, by_secret, claims, code_at, exchange, post, rotation,
};
use crate::sign::{Key, jws};

#[test]
fn the_whole_answer() {
    let service = Service::new();
    let answer = service.send(&by_secret().scopes("jobs:submit templates:read").set("ttl_seconds", 7_776_000));
    let body = answer.body.as_object().unwrap();
    let names: Vec<_> = body.keys().map(String::as_str).collect();
    assert_eq!(names, ["access_token", "expires_at", "expires_in", "scopes", "token_id", "token_type"]);
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 7_776_000);
    assert_eq!(body["expires_at"], "2027-04-15T08:00:00Z");
    assert_eq!(body["scopes"], json!(["jobs:submit", "templates:read"]));
    assert!(answer.token().id.starts_with("tok_lt_"));
    let audit = serde_json::to_value(&answer.audit).unwrap();
    let expected = json!({"event": "issueLongTermToken", "outcome": "issued", "status": 201, "client_id": ALICE,
                          "mechanism": "secret", "token_id": body["token_id"]});
    assert_eq!(audit, expected);
}

#[test]
fn every_mechanism() {
    let service = Service::new();
    let short = service.short_token(&service.long_token("tokens:write"));
    let mut requests = vec![("secret", by_secret()), ("otp", service.code()), ("rotation", rotation(&short))];
    requests.extend(Key::ALL.map(|key| ("assertion", service.assertion(key, key.alg()))));
    for (mechanism, request) in requests {
        let answer = service.send(&request);
        answer.token();
        assert_eq!(answer.audit.mechanism, Some(mechanism));
    }
}

#[test]
fn the_default_life_and_the_clients_own_maximum() {
    let service = Service::new();
    let life = |request: &Request| service.send(request).body["expires_in"].as_u64();
    assert_eq!(life(&by_secret()), Some(30 * DAY));
    assert_eq!(life(&by_secret().set("ttl_seconds", 3600)), Some(3600));
    service.change(ALICE, |record| record.max_ttl_seconds = 10 * DAY);
    assert_eq!(life(&by_secret()), Some(10 * DAY));
    assert_eq!(life(&by_secret().set("ttl_seconds", 90 * DAY)), Some(10 * DAY));
    assert_eq!(life(&by_secret().set("ttl_seconds", 3600)), Some(3600));
}

#[test]
fn scopes_default_to_the_clients_and_duplicates_are_dropped() {
    let service = Service::new();
    let granted = |request: &Request| service.send(request).body["scopes"].clone();
    assert_eq!(granted(&by_secret()), json!(["jobs:*", "templates:read", "tokens:write", "tokens:revoke"]));
    let asked = by_secret().scopes("templates:read jobs:b jobs:a jobs:b");
    assert_eq!(granted(&asked), json!(["templates:read", "jobs:b", "jobs:a"]));
    for scope in ["templates:*", "templates:write", "jobsx:a", "billing:read"] {
        service.send(&by_secret().scopes("jobs:a").scopes(scope)).is(403, "insufficient_scope").names(scope);
    }
}

/// Each request would be refused by one step and by all later ones. The response is the first step's.
#[test]
fn the_order_of_refusals() {
    let service = Service::new();
    service.change(ALICE, |record| record.mechanisms = vec![Mechanism::Otp]);
    let wrong = |request: Request| request.set("client_secret", "wrong");
    let reached = Some(Limit::Long);
    for (request, limit, status, code) in [
        (wrong(by_secret()).text("{").anonymous(), reached, 401, "invalid_client"),
        (by_secret().text("{"), reached, 400, "invalid_request"),
        (wrong(by_secret()).scopes("jobs"), reached, 400, "invalid_scope"),
        (wrong(by_secret()).set("grant_type", "password"), reached, 400, "invalid_grant"),
        (wrong(by_secret()), reached, 429, "rate_limited"),
        (by_secret().client("other"), reached, 429, "rate_limited"),
        (wrong(by_secret()).scopes("billing:read"), None, 401, "invalid_client"),
        (by_secret().scopes("billing:read"), None, 403, "unauthorized_client"),
    ] {
        service.world.reached.set(limit);
        service.send(&request).is(status, code);
    }
}

#[test]
fn one_mechanism_decides_and_a_bearer_beside_it_is_ignored() {
    let service = Service::new();
    let bobs = service.send(&bob_by_secret()).token();
    for bearer in ["Bearer x", "Bearer", "Basic YTpi", "", &format!("Bearer {}", bobs.token)] {
        let answer = service.send(&by_secret().authorization(bearer));
        answer.token();
        assert_eq!(answer.audit.client_id.as_deref(), Some(ALICE));
    }
    for (field, value) in [("otp_code", "123456"), ("assertion", "a.b.c"), ("assertion_type", "x")] {
        service.send(&by_secret().set(field, value)).is(400, "invalid_request");
    }
    service.send(&by_secret().unset("client_secret")).is(400, "invalid_request");
    service.send(&by_secret().set("grant_type", "assertion")).is(400, "invalid_request");
}

#[test]
fn the_client_id_header_must_be_the_bodys() {
    let service = Service::new();
    for request in [by_secret(), service.code(), service.assertion(Key::Ed, "j")] {
        for header in [Some(BOB), Some(""), Some("C2M_ABC123"), Some("c2m_abc123 "), None] {
            let mut request = request.clone().authorization("Bearer x");
            request.client_id = header.map(str::to_owned);
            service.send(&request).is(401, "invalid_client").names("X-Client-Id");
        }
    }
    // None of these refusals spent the code or the assertion.
    service.send(&service.code()).token();
    service.send(&service.assertion(Key::Ed, "j")).token();
}

#[test]
fn malformed_requests() {
    let service = Service::new();
    let mut broken = by_secret();
    broken.broken = true;
    let mut form = by_secret();
    form.content_type = Some("application/x-www-form-urlencoded".to_owned());
    let mut untyped = by_secret();
    untyped.content_type = None;
    for request in [broken, form, untyped, by_secret().text(""), by_secret().text("\u{feff}{}")] {
        service.send(&request).is(400, "invalid_request");
    }
    for (field, value) in [
        ("client_id", json!(null)),
        ("client_id", json!(1)),
        ("client_secret", json!({})),
        ("grant_type", json!(true)),
        ("ttl_seconds", json!(3599)),
        ("ttl_seconds", json!("3600")),
        ("scopes", json!("jobs:submit")),
        ("scopes", json!([null])),
        ("colour", json!("red")),
    ] {
        service.send(&by_secret().set(field, value)).is(400, "invalid_request").names(field);
    }
    service.send(&by_secret().unset("client_id")).is(400, "invalid_request").names("client_id");
    for grant_type in ["", "password", "Assertion", "client_credentials "] {
        service.send(&by_secret().set("grant_type", grant_type)).is(400, "invalid_grant").names("grant_type");
    }
    for list in [json!([]), json!([""]), json!(["a"]), json!(["a:b", "A:b"]), json!(["jobs:submit jobs:read"])] {
        service.send(&by_secret().set("scopes", list)).is(400, "invalid_scope").names("scopes");
    }
}

#[test]
fn the_largest_body() {
    let service = Service::new();
    let padded = |length: usize| {
        let text = String::from_utf8(by_secret().body).unwrap();
        by_secret().text(&format!("{text}{}", " ".repeat(length - text.len())))
    };
    service.send(&padded(MAX_BODY)).token();
    service.send(&padded(MAX_BODY + 1)).is(400, "invalid_request");
    let most: Vec<_> = (0..64).map(|nth| format!("jobs:{nth}{}", "x".repeat(121))).collect();
    service.send(&by_secret().set("scopes", json!(most))).token();
}

/// Whatever is wrong with a credential, the response is the same, byte for byte.
#[test]
fn refused_credentials_look_alike() {
    let service = Service::new();
    let unknown = |request: Request| request.client("nobody").set("client_id", "nobody");
    service.change(BOB, |record| (record.totp, record.secrets) = (None, vec![]));
    let bobs = |request: Request| request.client(BOB).set("client_id", BOB);
    service.send(&service.code()).token();
    service.send(&service.assertion(Key::Ed, "spent")).token();
    let requests = [
        by_secret().set("client_secret", "wrong"),
        by_secret().set("client_secret", ""),
        by_secret().set("client_secret", BOBS_SECRET),
        unknown(by_secret()),
        bobs(by_secret()),
        service.code(),
        by_code("000000"),
        unknown(service.code()),
        bobs(service.code()),
        service.assertion(Key::Ed, "spent"),
        by_assertion("a.b.c"),
        by_assertion(""),
        unknown(service.assertion(Key::Ed, "j")),
        bobs(service.assertion(Key::Ed, "j")),
        by_assertion(&Key::Bobs.jwt(&claims(NOW, "j"))),
        unknown(by_secret()).client("..").set("client_id", ".."),
        by_secret().client("").set("client_id", ""),
    ];
    let answers: Vec<_> = requests.iter().map(|request| service.send(request)).collect();
    for answer in &answers {
        answer.is(401, "invalid_client");
        assert_eq!((&answer.body, &answer.headers), (&answers[0].body, &answers[0].headers));
    }
}

#[test]
fn only_a_valid_credential_reveals_that_a_client_is_suspended() {
    let service = Service::new();
    service.suspend(ALICE);
    for request in [by_secret(), service.code(), service.assertion(Key::Ps, "j")] {
        service.send(&request).is(403, "unauthorized_client");
    }
    for request in [by_secret().set("client_secret", "x"), by_code("000000"), by_assertion("x")] {
        service.send(&request).is(401, "invalid_client");
    }
}

#[test]
fn a_mechanism_that_is_not_allowed() {
    let service = Service::new();
    let short = service.short_token(&service.long_token("tokens:write"));
    service.change(ALICE, |record| record.mechanisms.clear());
    for (mechanism, request) in [
        ("secret", by_secret()),
        ("otp", service.code()),
        ("assertion", service.assertion(Key::Ed, "j")),
        ("rotation", rotation(&short)),
    ] {
        service.send(&request).is(403, "unauthorized_client").names(mechanism);
    }
}

#[test]
fn two_secrets_and_the_end_of_one() {
    let service = Service::new();
    let old = by_secret().set("client_secret", OLD_SECRET);
    service.send(&old).token();
    service.pass(DAY - 1);
    service.send(&old).token();
    service.pass(1);
    service.send(&old).is(401, "invalid_client");
    service.send(&by_secret()).token();
    service.change(ALICE, |record| {
        record.secrets = vec![StoredSecret::new("third", &Secret::new("third"), [1; 16], NOW)];
    });
    service.send(&by_secret()).is(401, "invalid_client");
    service.send(&by_secret().set("client_secret", "third")).token();
}

#[test]
fn a_credential_is_compared_exactly() {
    let service = Service::new();
    for near in [SECRET.to_uppercase(), format!("{SECRET} "), format!(" {SECRET}"), format!("{SECRET}\0")] {
        service.send(&by_secret().set("client_secret", near)).is(401, "invalid_client");
    }
    let code = code_at(NOW);
    for near in [format!("{code} "), format!(" {code}"), format!("{}-{}", &code[..3], &code[3..]), code[..5].to_owned()]
    {
        service.send(&by_code(&near)).is(401, "invalid_client");
    }
    // A number is not a string, even with the right digits.
    service.send(&service.code().set("otp_code", code.parse::<u64>().unwrap())).is(400, "invalid_request");
}

#[test]
fn a_code_works_one_step_early_or_late_and_once() {
    for (sent, status) in [(-60, 401), (-30, 201), (0, 201), (30, 201), (60, 401)] {
        let service = Service::new();
        let request = by_code(&code_at(NOW.checked_add_signed(sent).unwrap()));
        assert_eq!(service.send(&request).status, status, "{sent}");
        service.send(&request).is(401, "invalid_client");
    }
    let service = Service::new();
    service.send(&by_code(&code_at(NOW + 30))).token();
    // All steps up to the accepted one are spent.
    service.send(&service.code()).is(401, "invalid_client");
    service.pass(60);
    service.send(&service.code()).token();
}

#[test]
fn five_wrong_codes_lock_codes_and_nothing_else() {
    let service = Service::new();
    for _ in 0..5 {
        service.send(&by_code("000000")).is(401, "invalid_client");
    }
    service.send(&service.code()).is(401, "invalid_client");
    service.send(&by_secret()).token();
    service.send(&service.assertion(Key::Ed, "j")).token();
    service.send(&service.code().client(BOB).set("client_id", BOB)).token();
    service.pass(299);
    service.send(&service.code()).is(401, "invalid_client");
    service.pass(1);
    service.send(&service.code()).token();
}

#[test]
fn four_wrong_codes_do_not_lock() {
    let service = Service::new();
    for _ in 0..4 {
        service.send(&by_code("000000")).is(401, "invalid_client");
    }
    service.send(&service.code()).token();
}

/// Each entry of `changes`: a claim, its value, and whether the assertion is still accepted.
#[test]
fn the_claims_of_an_assertion() {
    let endpoint = format!("{ISSUER}{LONG}");
    let changes: Vec<(&str, Value, bool)> = vec![
        ("aud", json!(endpoint), true),
        ("aud", json!(["https://other.example", endpoint]), true),
        ("aud", json!([ISSUER]), true),
        ("aud", json!([]), false),
        ("aud", json!("https://other.example"), false),
        ("aud", json!(format!("{ISSUER}/")), false),
        ("aud", json!(format!("{ISSUER}/v1/auth/tokens/short")), false),
        ("aud", json!(null), false),
        ("aud", json!(7), false),
        ("iss", json!(BOB), false),
        ("sub", json!(BOB), false),
        ("iss", json!(null), false),
        ("exp", json!(NOW), false),
        ("exp", json!(NOW + 1), true),
        ("exp", json!(NOW + 600), true),
        ("exp", json!(NOW + 601), false),
        ("exp", json!(0), false),
        ("exp", json!(-1), false),
        ("exp", json!(i64::MAX), false),
        ("exp", json!(u64::MAX), false),
        ("exp", json!(1e300), false),
        ("exp", json!(null), false),
        ("exp", json!(format!("{}", NOW + 300)), false),
        ("iat", json!(NOW + 60), true),
        ("iat", json!(NOW + 61), false),
        ("iat", json!(i64::MIN), false),
        ("nbf", json!(NOW + 60), true),
        ("nbf", json!(NOW + 61), false),
        ("nbf", json!("soon"), false),
        ("jti", json!(""), false),
        ("jti", json!(null), false),
        ("jti", json!(1), false),
        ("other", json!({"is": "ignored"}), true),
    ];
    for (name, value, good) in changes {
        let mut claims = claims(NOW, "j");
        claims[name] = value;
        let answer = Service::new().send(&by_assertion(&Key::Ed.jwt(&claims)));
        assert_eq!(answer.status, if good { 201 } else { 401 }, "{claims}");
    }
    for name in ["iss", "sub", "aud", "exp", "jti"] {
        let mut claims = claims(NOW, "j");
        claims.as_object_mut().unwrap().remove(name);
        Service::new().send(&by_assertion(&Key::Ed.jwt(&claims))).is(401, "invalid_client");
    }
}

#[test]
fn an_assertion_is_bound_to_its_key_and_algorithm() {
    let claims = claims(NOW, "j").to_string();
    let accepted = |assertion: &str| Service::new().send(&by_assertion(assertion)).status == 201;
    for key in Key::ALL {
        assert!(accepted(&key.jws(&key.header().to_string(), &claims)), "{key:?}");
        for other in Key::ALL.into_iter().filter(|other| *other != key) {
            for header in [
                json!({"alg": key.alg(), "kid": other.kid()}),
                json!({"alg": other.alg(), "kid": key.kid()}),
                json!({"alg": other.alg(), "kid": other.kid()}),
            ] {
                assert!(!accepted(&key.jws(&header.to_string(), &claims)), "{key:?} {header}");
            }
        }
        for header in [
            json!({"alg": key.alg()}),
            json!({"alg": key.alg(), "kid": ""}),
            json!({"alg": key.alg(), "kid": "unknown"}),
            json!({"alg": "none", "kid": key.kid()}),
            json!({"alg": "HS256", "kid": key.kid()}),
            json!({"alg": key.alg().to_lowercase(), "kid": key.kid()}),
            json!({"alg": key.alg(), "kid": key.kid(), "crit": ["exp"]}),
            json!({"alg": key.alg(), "kid": key.kid(), "crit": []}),
            json!({"alg": key.alg(), "kid": key.kid(), "crit": ["b64"], "b64": false}),
            json!({"alg": key.alg(), "kid": key.kid(), "b64": true}),
            json!({"kid": key.kid()}),
        ] {
            assert!(!accepted(&key.jws(&header.to_string(), &claims)), "{header}");
        }
        let twice = format!(r#"{{"alg":"{0}","alg":"{0}","kid":"{1}"}}"#, key.alg(), key.kid());
        assert!(!accepted(&key.jws(&twice, &claims)));
        for signature in [vec![], vec![0; 64], vec![0; 256], vec![255; 64]] {
            assert!(!accepted(&jws(&key.header().to_string(), &claims, |_| signature)), "{key:?}");
        }
    }
}

#[test]
fn an_assertion_for_another_client() {
    let service = Service::new();
    let bobs = |request: Request| request.client(BOB).set("client_id", BOB);
    let mut of_bob = claims(NOW, "j");
    (of_bob["iss"], of_bob["sub"]) = (json!(BOB), json!(BOB));
    service.send(&by_assertion(&Key::Bobs.jwt(&of_bob))).is(401, "invalid_client");
    service.send(&by_assertion(&Key::Ed.jwt(&of_bob))).is(401, "invalid_client");
    service.send(&bobs(by_assertion(&Key::Ed.jwt(&of_bob)))).is(401, "invalid_client");
    service.send(&bobs(by_assertion(&Key::Bobs.jwt(&of_bob)))).token();
    // A jti belongs to one client: the same value from Alice is unused.
    service.send(&service.assertion(Key::Ed, "j")).token();
}

#[test]
fn an_assertion_works_once_until_its_end_and_beyond() {
    let service = Service::new();
    let request = service.assertion(Key::Es, "j");
    service.send(&request).token();
    for _ in 0..12 {
        service.send(&request).is(401, "invalid_client");
        service.pass(30);
    }
    // Another assertion with the same jti, after the first has expired.
    service.send(&service.assertion(Key::Es, "j")).token();
}

#[test]
fn both_names_of_the_assertion_type() {
    for (name, status) in [
        ("urn:ietf:params:oauth:client-assertion-type:jwt-bearer", 201),
        ("urn:ietf:params:oauth:grant-type:jwt-bearer", 201),
        ("urn:ietf:params:oauth:grant-type:saml2-bearer", 400),
        ("", 400),
    ] {
        let service = Service::new();
        let answer = service.send(&service.assertion(Key::Ed, "j").set("assertion_type", name));
        assert_eq!(answer.status, status, "{name}");
    }
}

/// A refusal after the credential check has still spent the credential.
#[test]
fn a_code_and_an_assertion_are_spent_before_a_token_is_issued() {
    let service = Service::new();
    for request in [service.code(), service.assertion(Key::Ed, "j")] {
        service.send(&request.clone().scopes("billing:read")).is(403, "insufficient_scope");
        service.send(&request).is(401, "invalid_client");
    }
}

#[test]
fn a_rotation_keeps_the_scopes_and_retires_the_old_token() {
    let service = Service::new();
    let long = service.long_token("tokens:write jobs:*");
    let short = service.send(&exchange(&long).scopes("jobs:submit tokens:write")).token();
    let answer = service.send(&rotation(&short));
    assert_eq!(answer.body["scopes"], json!(["jobs:submit", "tokens:write"]));
    let new = answer.token();

    service.pass(DAY - 1);
    let last = service.send(&exchange(&long));
    assert_eq!(last.body["expires_in"], 1, "no longer than the old token");
    service.pass(1);
    service.send(&exchange(&long)).is(401, "invalid_token");
    assert!(service.is_alive(&new));
}

#[test]
fn the_audit_line_of_a_rotation() {
    let service = Service::new();
    let short = service.short_token(&service.long_token("tokens:write"));
    let by = |request: &Request| service.send(request).audit.by;
    assert_eq!(by(&rotation(&short)).as_ref(), Some(&short.id));
    assert_eq!(by(&rotation(&short).set("client_id", BOB)).as_ref(), Some(&short.id));
    assert_eq!(by(&by_secret().bearer(&short.token)), None, "an ignored bearer token is not in the audit line");
}

#[test]
fn a_rotation_never_lengthens_a_retirement() {
    let service = Service::new();
    let long = service.long_token("tokens:write");
    service.send(&rotation(&service.short_token(&long))).token();
    service.pass(DAY / 2);
    service.send(&rotation(&service.short_token(&long))).token();
    service.pass(DAY / 2 - 1);
    let last = service.short_token(&long);
    assert!(service.is_alive(&long));
    service.pass(1);
    assert!(!service.is_alive(&long));
    service.send(&rotation(&last)).is(401, "invalid_token");
}

#[test]
fn a_grace_period_ends_with_the_token() {
    let service = Service::new();
    let long = service.send(&by_secret().scopes("tokens:write").set("ttl_seconds", 3600)).token();
    service.send(&rotation(&service.short_token(&long))).token();
    service.pass(3599);
    assert!(service.is_alive(&long));
    service.pass(1);
    assert!(!service.is_alive(&long));
}

#[test]
fn without_grace_a_rotation_is_the_end() {
    let service = Service::with(&[("ROTATION_GRACE_SECONDS", "0".to_owned())]);
    let long = service.long_token("tokens:write");
    let new = service.send(&rotation(&service.short_token(&long))).token();
    assert!(!service.is_alive(&long));
    assert!(service.is_alive(&new));
}

#[test]
fn what_a_rotation_needs() {
    let service = Service::new();
    let long = service.long_token("tokens:write jobs:submit");
    let short = service.short_token(&long);
    service.send(&rotation(&short)).token();
    service.send(&rotation(&short).scopes("jobs:read")).is(403, "insufficient_scope").names("jobs:read");
    service.send(&rotation(&short).set("client_id", BOB)).is(403, "unauthorized_client");
    let weak = service.send(&exchange(&long).scopes("jobs:submit")).token();
    let answer = service.send(&rotation(&weak));
    answer.is(403, "insufficient_scope").names("tokens:write");
    assert!(answer.header("WWW-Authenticate").unwrap().contains("scope=\"tokens:write\""));

    service.send(&rotation(&long)).is(401, "invalid_token");
    service.send(&rotation(&short).authorization("Basic YTpi")).is(401, "invalid_token");
    service.send(&rotation(&short).authorization("Bearer")).is(401, "invalid_token");
    // X-Client-Id is ignored.
    service.send(&rotation(&short).client(BOB)).token();
    service.pass(900);
    service.send(&rotation(&short)).is(401, "invalid_token");
}

#[test]
fn a_rotation_does_not_restore_what_the_client_has_lost() {
    let service = Service::new();
    let short = service.short_token(&service.long_token("tokens:write jobs:submit"));
    service.change(ALICE, |record| record.scopes = auth_edge::scope::Scopes::parse_claim("tokens:write").unwrap());
    service
        .send(&rotation(&short).scopes("tokens:write jobs:submit"))
        .is(403, "insufficient_scope")
        .names("jobs:submit");
    assert_eq!(service.send(&rotation(&short)).body["scopes"], json!(["tokens:write"]));
    service.send(&rotation(&short).scopes("tokens:write")).token();
    service.change(ALICE, |record| record.tokens_valid_from = NOW + 1);
    service.send(&rotation(&short).scopes("tokens:write")).is(401, "invalid_token");
    service.suspend(ALICE);
    service.send(&rotation(&short)).is(401, "invalid_token");
}

/// A refused rotation retires nothing.
#[test]
fn a_refused_rotation_has_no_effect() {
    let service = Service::new();
    let long = service.long_token("tokens:write jobs:submit");
    let short = service.short_token(&long);
    service.send(&rotation(&short).scopes("jobs:read")).is(403, "insufficient_scope");
    service.send(&rotation(&short).set("client_id", BOB)).is(403, "unauthorized_client");
    assert!(service.row(ALICE, &format!("end:{}", long.id)).is_none());
    service.wake();
    assert_eq!(service.replica(ALICE)["ends"], "");
}

#[test]
fn an_empty_request_lacks_a_credential() {
    Service::new().send(&post(LONG)).is(401, "invalid_client");
}
