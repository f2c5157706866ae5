//! The calls that each operation makes to its environment: its cost, and the services on which it depends.

use auth_edge::host;

use crate::cells::successes;
use crate::host::Part::{self, Feed, Limit, Object, Replica, Sign, Store, Verify};
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
        &[Limit, Limit, Limit, Object],
        &[Limit, Limit, Limit, Object],
        &[Limit, Limit, Limit, Object, Verify],
        &[Limit, Limit, Limit, Object, Verify],
        &[Limit, Replica, Sign],
        // The object publishes to KV the end of a long-term token, and reports every end to the feed.
        &[Store, Object, Feed],
        &[Object, Feed, Verify],
        &[Store, Object, Feed, Verify],
        &[Object, Feed],
    ];
    for (request, expected) in successes().into_iter().zip(expected) {
        let service = Service::new();
        costs(&service, &request(&service), expected);
    }
}

/// An `immediate` client's operations don't use KV.
#[test]
fn every_success_of_an_immediate_client() {
    let expected: [&[Part]; 9] = [
        &[Limit, Limit, Limit, Object],
        &[Limit, Limit, Limit, Object],
        &[Limit, Limit, Limit, Object, Verify],
        &[Limit, Limit, Limit, Object, Verify],
        &[Limit, Object, Sign],
        &[Object, Feed],
        &[Object, Feed, Verify],
        &[Object, Feed, Verify],
        &[Object, Feed],
    ];
    for (request, expected) in successes().into_iter().zip(expected) {
        let service = Service::new();
        service.make_immediate(ALICE);
        costs(&service, &request(&service), expected);
        service.wake();
        assert!(service.world.writes.borrow().is_empty());
    }
}

/// An exchange of an `eventual` client reads one KV value, which the isolate caches for a quarter of a second.
#[test]
fn an_exchange_reads_once() {
    let service = Service::new();
    let (long, other) = (service.long_token("jobs:submit"), service.long_token("jobs:submit"));
    costs(&service, &exchange(&long), &[Limit, Replica, Sign]);
    costs(&service, &exchange(&other), &[Limit, Sign]);
    service.world.millis.set(service.world.millis.get() + 249);
    costs(&service, &exchange(&long), &[Limit, Sign]);
    service.world.millis.set(service.world.millis.get() + 1);
    costs(&service, &exchange(&long), &[Limit, Replica, Sign]);
}

#[test]
fn one_call_to_the_object_decides() {
    let service = Service::new();
    let long = service.long_token("tokens:write");
    let short = service.short_token(&long);
    for request in [by_secret(), service.code(), rotation(&short), revocation(&short, &short.id)] {
        service.world.asked.borrow_mut().clear();
        service.send(&request);
        assert_eq!(service.world.asked.borrow().len(), 1, "{}", request.path);
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
    service.wake();
    assert!(service.world.writes.borrow().is_empty());
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
    costs(&service, &by_secret().client("another"), &[Limit, Limit, Limit]);
}

/// An id of another client is recognized by its MAC: nothing is read for it beyond the check of the caller.
#[test]
fn a_foreign_id_costs_no_look_up_of_its_own() {
    let service = Service::new();
    let long = service.long_token("tokens:revoke");
    costs(&service, &revocation(&long, "tok_lt_x"), &[Object]);
}

/// An unknown client causes the same calls as a known one, so response times reveal nothing.
#[test]
fn an_unknown_client_costs_what_a_known_one_does() {
    let cost = |client_id: &str, request: Request| {
        let service = Service::new();
        service.send(&request.client(client_id).set("client_id", client_id)).is(401, "invalid_client");
        let rows: Vec<_> = service.world.state.borrow().rows.keys().map(|(_, key)| key.clone()).collect();
        let written = rows.iter().filter(|key| *key != "client").cloned().collect::<Vec<_>>();
        (service.world.parts_called(), written)
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
        assert_eq!(cost(ALICE, request.clone()), cost("nobody", request.clone()));
        assert_eq!(cost(ALICE, request.clone()), cost("no/id", request));
    }
}

#[test]
fn limits_are_counted_per_client_and_address_and_per_token() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    service.short_token(&long);
    service.send(&by_secret().client("a b").set("client_id", "a b")).is(401, "invalid_client");
    let counted = service.world.counted.take();
    let of = |client: &str| {
        [
            (host::Limit::Long, format!("{client}|192.0.2.1")),
            (host::Limit::Client, client.to_owned()),
            (host::Limit::Address, "192.0.2.1".to_owned()),
        ]
    };
    // Malformed ids share one id.
    let expected = [of(ALICE).to_vec(), vec![(host::Limit::Short, long.id)], of(".").to_vec()].concat();
    assert_eq!(counted, expected);
}
