//! Every cell of the status matrix, with every code that it may have, and everything outside the matrix.

use auth_edge::error::Error;
use auth_edge::host::Limit;
use auth_edge::settings::Settings;

use crate::host::Part;
use crate::service::{
    self, ALICE, Answer, Request, Service, bob_by_secret, by_secret, exchange, post, revocation, rotation,
};

/// Prepares a new service, sends it a request, and returns the response.
type Cell = (u16, &'static str, fn(&Service) -> Answer);

const LONG: [Cell; 11] = [
    (201, "", |service| service.send(&by_secret())),
    (400, "invalid_grant", |service| service.send(&by_secret().unset("grant_type"))),
    (400, "invalid_request", |service| service.send(&by_secret().text("{"))),
    (400, "invalid_scope", |service| service.send(&by_secret().scopes("jobs"))),
    (401, "invalid_client", |service| service.send(&by_secret().set("client_secret", "wrong"))),
    (401, "invalid_token", |service| service.send(&by_secret().unset("client_secret").anonymous().bearer("a.b.c"))),
    (403, "insufficient_scope", |service| service.send(&by_secret().scopes("billing:read"))),
    (403, "unauthorized_client", |service| {
        service.suspend(ALICE);
        service.send(&by_secret())
    }),
    (429, "rate_limited", |service| over(service, Limit::Long)),
    (429, "rate_limited", |service| over(service, Limit::Client)),
    (429, "rate_limited", |service| over(service, Limit::Address)),
];

fn over(service: &Service, limit: Limit) -> Answer {
    service.world.reached.set(Some(limit));
    service.send(&by_secret())
}

const SHORT: [Cell; 6] = [
    (201, "", |service| service.send(&exchange(&service.long_token("jobs:submit")))),
    (400, "invalid_request", |service| service.send(&exchange(&service.long_token("jobs:submit")).text("[]"))),
    (400, "invalid_scope", |service| service.send(&exchange(&service.long_token("jobs:submit")).scopes("jobs"))),
    (400, "invalid_scope", |service| service.send(&exchange(&service.long_token("jobs:submit")).scopes("jobs:read"))),
    (401, "invalid_token", |service| service.send(&post(service::SHORT))),
    (429, "rate_limited", |service| {
        let long = service.long_token("jobs:submit");
        service.world.reached.set(Some(Limit::Short));
        service.send(&exchange(&long))
    }),
];

const REVOKE: [Cell; 4] = [
    (204, "", |service| {
        let long = service.long_token("jobs:submit");
        service.send(&revocation(&long, &long.id))
    }),
    (401, "invalid_token", |service| service.send(&post("/v1/auth/tokens/tok_lt_x/revoke"))),
    (401, "insufficient_scope", |service| {
        let other = service.long_token("jobs:submit");
        service.send(&revocation(&service.long_token("jobs:submit"), &other.id))
    }),
    (404, "not_found", |service| {
        let bobs = service.send(&bob_by_secret()).token();
        service.send(&revocation(&service.long_token("tokens:revoke"), &bobs.id))
    }),
];

#[test]
fn every_cell() {
    for (status, code, act) in LONG.iter().chain(&SHORT).chain(&REVOKE) {
        act(&Service::new()).is(*status, code);
    }
}

/// The whole matrix while a service does not answer: 503, never success. The exception is a read of KV: the object is
/// asked instead.
#[test]
fn nothing_succeeds_without_storage() {
    for part in [Part::Limit, Part::Replica, Part::Store, Part::Object, Part::Sign, Part::Verify] {
        for request in successes() {
            let service = Service::new();
            let request = request(&service);
            service.world.fail_part(part);
            let answer = service.send(&request);
            let called = service.world.calls.borrow().contains(&part);
            assert_eq!(answer.status == 503, called && part != Part::Replica, "{part:?} {request:?} {answer:?}");
        }
    }
}

/// One request per operation and mechanism that succeeds.
pub fn successes() -> [fn(&Service) -> Request; 9] {
    use crate::sign::Key;
    [
        |_| by_secret(),
        |service| service.code(),
        |service| service.assertion(Key::Ed, "j1"),
        |service| rotation(&service.short_token(&service.long_token("jobs:submit tokens:write"))),
        |service| exchange(&service.long_token("jobs:submit")),
        |service| {
            let long = service.long_token("jobs:submit");
            revocation(&long, &long.id)
        },
        |service| {
            let short = service.short_token(&service.long_token("jobs:submit"));
            revocation(&short, &short.id)
        },
        |service| {
            let long = service.long_token("tokens:revoke");
            revocation(&service.short_token(&long), &long.id)
        },
        |service| {
            let long = service.long_token("tokens:revoke");
            revocation(&long, &service.short_token(&long).id)
        },
    ]
}

#[test]
fn successes_succeed() {
    for request in successes() {
        let service = Service::new();
        let status = service.send(&request(&service)).status;
        assert!(matches!(status, 201 | 204), "{status}");
    }
}

/// Some generated clients repeat headers. A repeated value counts once, and different values are refused.
#[test]
fn repeated_headers() {
    for request in successes() {
        let service = Service::new();
        let request = request(&service);
        let mut twice = request.clone();
        for header in [&mut twice.authorization, &mut twice.client_id, &mut twice.content_type] {
            *header = header.take().map(|value| format!("{value}, {value}"));
        }
        assert!(matches!(service.send(&twice).status, 201 | 204), "{twice:?}");
    }
    let service = Service::new();
    let long = service.long_token("jobs:submit tokens:write");
    let short = service.short_token(&long);
    for request in [exchange(&long), revocation(&long, &long.id), rotation(&short)] {
        let header = format!("{}, Bearer other", request.authorization.clone().unwrap());
        let answer = service.send(&request.authorization(&header));
        assert!(answer.is(401, "invalid_token").message().contains("more than once"), "{answer:?}");
    }
    let answer = service.send(&by_secret().client(&format!("{ALICE}, bob")));
    assert!(answer.is(401, "invalid_client").message().contains("more than once"), "{answer:?}");
}

#[test]
fn no_such_path() {
    for path in
        ["/", "/v1", "/v1/auth/tokens", "/v1/auth/tokens/long/", "/v2/auth/tokens/long", "/v1/auth//tokens/long"]
    {
        Service::new().send(&post(path)).is(404, "not_found");
        Service::new().send(&Request { method: "GET", ..post(path) }).is(404, "not_found");
    }
}

#[test]
fn no_such_method() {
    for path in [service::LONG, service::SHORT, "/v1/auth/tokens/tok_lt_x/revoke"] {
        for method in ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "post"] {
            let answer = Service::new().send(&Request { method, ..post(path) });
            assert_eq!(answer.is(405, "method_not_allowed").header("Allow"), Some("POST"));
        }
    }
}

#[test]
fn a_base_path_is_a_setting() {
    for base in ["", "/v2"] {
        let service = Service::with(&[("BASE_PATH", base.to_owned())]);
        let mut request = by_secret();
        request.path = format!("{base}/auth/tokens/long");
        service.send(&request).token();
        service.send(&by_secret()).is(404, "not_found");
    }
}

#[test]
fn a_setting_that_is_missing_stops_everything() {
    let error = Settings::read(|_| Ok(None)).unwrap_err();
    assert!(matches!(&error, Error::Misconfigured { setting, .. } if setting == "AUTH_KEYS"));
    let response = error.respond();
    assert_eq!(response.status, 500);
    assert!(!response.body.unwrap().contains("AUTH_KEYS"));
    assert!(error.for_the_log().unwrap().contains("AUTH_KEYS"));
}
