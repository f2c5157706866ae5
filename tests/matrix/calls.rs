//! What each operation asks of the world, call by call: this is what it costs, and what it depends on.

use crate::cells::successes;
use crate::host::Part::{self, Client, Limit, Once, Revocation, Sign, Store, Verify};
use crate::service::{ALICE, Request, SHORT, Service, by_secret, exchange, post, revocation, rotation};
use crate::sign::Key;

#[track_caller]
fn costs(service: &Service, request: &Request, expected: &[Part]) {
    service.world.forget_calls();
    let answer = service.send(request);
    assert_eq!(service.world.parts_called(), expected, "{} {}", answer.status, request.path);
}

#[test]
fn every_success() {
    let expected: [&[Part]; 9] = [
        &[Limit, Client],
        &[Limit, Client, Once],
        &[Limit, Client, Once, Verify],
        // The object is asked about the bearer, and stores the end of its parent.
        &[Limit, Client, Revocation, Revocation, Store, Once, Once, Verify],
        &[Limit, Client, Revocation, Sign],
        &[Client, Revocation, Store, Once],
        &[Client, Revocation, Revocation, Store, Once, Verify],
        &[Client, Revocation, Revocation, Store, Once, Verify],
        &[Client, Revocation, Store, Once],
    ];
    for (request, expected) in successes().into_iter().zip(expected) {
        let service = Service::new();
        costs(&service, &request(&service), expected);
    }
}

#[test]
fn all_reads_are_one_question() {
    let service = Service::new();
    let long = service.long_token("tokens:write");
    let short = service.short_token(&long);
    for request in [exchange(&long), rotation(&short), revocation(&short, &short.id)] {
        service.world.forget_calls();
        service.send(&request);
        assert_eq!(service.world.lives.get(), 1, "{}", request.path);
    }
}

/// Issuing leaves nothing in KV, so a new token works everywhere at once.
#[test]
fn issuing_stores_nothing() {
    let service = Service::new();
    for request in [by_secret(), service.code(), service.assertion(Key::Es, "j")] {
        let token = service.send(&request).token();
        service.send(&exchange(&token)).token();
    }
    assert!(service.world.state.borrow().revocations.is_empty());
}

#[test]
fn garbage_costs_no_look_up() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    let forged = &long.token[..long.token.len() - 2];
    service.bodies_read.set(0);
    for bearer in ["x", "a.b.c", forged, ""] {
        for path in [SHORT, "/v1/auth/tokens/tok_lt_x/revoke", "/v1/auth/tokens/introspect"] {
            costs(&service, &post(path).bearer(bearer).text("{}"), &[]);
        }
    }
    assert_eq!(service.bodies_read.get(), 0);
    costs(&service, &by_secret().anonymous(), &[]);
    costs(&service, &by_secret().text("{"), &[]);
    costs(&service, &by_secret().client("another"), &[Limit]);
    costs(&service, &by_secret().client("no/id").set("client_id", "no/id"), &[Limit]);
}

/// An id that is not the caller's is told by its MAC: beyond the caller's own life nothing is read for it.
#[test]
fn a_foreign_id_costs_no_look_up_of_its_own() {
    let service = Service::new();
    let long = service.long_token("tokens:revoke");
    costs(&service, &revocation(&long, "tok_lt_x"), &[Client, Revocation]);
}

/// What a caller could learn from the time that a refusal takes: nothing, for the work is the same.
#[test]
fn an_unknown_client_costs_what_a_known_one_does() {
    let cost = |client_id: &str, request: Request| {
        let service = Service::new();
        service.send(&request.client(client_id).set("client_id", client_id)).is(401, "invalid_client");
        service.world.parts_called()
    };
    let assertions = Key::ALL.map(|key| {
        let mut broken = key.jwt(&crate::service::claims(crate::service::NOW, "j"));
        let last = broken.pop().unwrap();
        let changed = broken.pop().unwrap();
        broken.extend([if changed == 'A' { 'B' } else { 'A' }, last]);
        crate::service::by_assertion(&broken)
    });
    let wrong = [by_secret().set("client_secret", "wrong"), crate::service::by_code("000000")];
    for request in wrong.into_iter().chain(assertions) {
        assert_eq!(cost(ALICE, request.clone()), cost("nobody", request));
    }
}

#[test]
fn limits_are_counted_per_client_and_address_and_per_token() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    service.short_token(&long);
    service.send(&by_secret().client("a b").set("client_id", "a b")).is(401, "invalid_client");
    let counted: Vec<_> = service.world.counted.borrow().iter().map(|(_, key)| key.clone()).collect();
    assert_eq!(counted, [format!("{ALICE}|192.0.2.1"), long.id, "|192.0.2.1".to_owned()]);
}
