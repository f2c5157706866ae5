//! Unknown client ids: they are handled like known ones, and everything stored about them is wiped within ten minutes.

use serde_json::json;

use crate::operators::{Desk, by};
use crate::service::{ALICE, NOW, ROOT, Request, Service, by_code, by_secret, claims};
use crate::sign::Key;

fn attempts(id: &str) -> [Request; 3] {
    let mut claims = claims(NOW, "j");
    (claims["iss"], claims["sub"]) = (json!(id), json!(id));
    let assertion = crate::service::by_assertion(&Key::Ed.jwt(&claims));
    [by_secret(), by_code("000000"), assertion].map(|request| request.client(id).set("client_id", id))
}

#[test]
fn nothing_is_left_after_ten_minutes() {
    for id in ["nobody", "no/id", ".", "x"] {
        let stored_as = if ["no/id", "."].contains(&id) { "." } else { id };
        for request in attempts(id) {
            let service = Service::new();
            for _ in 0..12 {
                service.send(&request).is(401, "invalid_client");
                service.pass(10);
            }
            // Ten minutes after the first attempt, without another call.
            service.now.set(NOW + 600);
            service.wake();
            assert_eq!(service.rows(stored_as), 0, "{id} {request:?}");
            assert!(!service.world.state.borrow().alarms.contains_key(stored_as));
            assert_eq!(service.world.writes.borrow().len(), 0);
        }
    }
}

/// An instance that started later wipes it too.
#[test]
fn attempts_before_a_crash_are_wiped() {
    for request in attempts("nobody") {
        let service = Service::new();
        service.send(&request).is(401, "invalid_client");
        service.world.crash();
        service.pass(600);
        service.wake();
        assert_eq!(service.rows("nobody"), 0);
    }
}

/// An unknown client's lock is wiped, but lasts as long as a known client's.
#[test]
fn wrong_codes_lock_an_unknown_client_like_a_known_one() {
    let service = Service::new();
    let [_, code, _] = attempts("nobody");
    let locked = |service: &Service, request: &Request| {
        (0..7).map(|_| service.send(request).audit.problem.is_some()).collect::<Vec<_>>()
    };
    let [_, known, _] = attempts(ALICE);
    assert_eq!(locked(&service, &code), locked(&service, &known));
    assert_eq!(locked(&service, &code), [true; 7]);
}

/// The alarm that would wipe the id finds a client, and keeps it. The client starts without the earlier wrong codes.
#[test]
fn a_client_created_meanwhile_is_not_wiped() {
    for crashes in [false, true] {
        for request in attempts("carol") {
            let desk = Desk::new();
            let service = &desk.service;
            for _ in 0..7 {
                service.send(&request).is(401, "invalid_client");
            }
            service.pass(200);
            let made =
                desk.create(&json!({"client_id": "carol", "scopes": ["jobs:a"], "mechanisms": ["secret", "otp"]}));
            let secret = made.body["client_secret"].as_str().unwrap();
            let long = service.send(&by("carol", secret)).token();
            let wrong = || service.send(&by_code("000000").client("carol").set("client_id", "carol"));
            assert_eq!(wrong().audit.problem, None, "not locked by the attempts before the creation");
            if crashes {
                service.world.crash();
            }
            // Later than the wipe of the unknown id would be, and than any that the client's own wrong codes might set.
            for _ in 0..3 {
                service.pass(600);
                service.wake();
                service.send(&by("carol", secret)).token();
                assert!(service.is_alive(&long));
                wrong();
            }
        }
    }
}

/// A deleted client is handled as an unknown one: attempts are wiped, and no alarm stays. Its id can't be used again.
#[test]
fn a_deleted_client_keeps_nothing_either() {
    let desk = Desk::new();
    let service = &desk.service;
    desk.create(&json!({"client_id": "carol", "scopes": ["jobs:a"], "mechanisms": ["secret", "otp"]}));
    assert_eq!(desk.send("DELETE", "/carol").status, 204);
    service.wake();
    let before = service.rows("carol");
    for request in attempts("carol") {
        service.send(&request).is(401, "invalid_client");
    }
    service.pass(600);
    service.wake();
    assert_eq!(service.rows("carol"), before);
    assert!(!service.world.state.borrow().alarms.contains_key("carol"));
    let create = desk.create(&json!({"client_id": "carol", "scopes": ["jobs:a"], "mechanisms": ["secret"]}));
    create.is(409, "conflict");
}

/// An id was tried before the secret `OPERATOR` named it: the wipe of those attempts does not undo the operator's
/// `end-tokens`.
#[test]
fn an_operator_whose_id_was_tried_before() {
    let before = Service::with(&[("OPERATOR", crate::service::operator().replace(ROOT, "another"))]);
    for request in attempts(ROOT) {
        before.send(&request).is(401, "invalid_client");
    }
    let service = Service::new();
    *service.world.state.borrow_mut() = before.world.state.borrow().clone();
    let desk = Desk::at(service);
    assert_eq!(desk.send("POST", "/c2m_root/end-tokens").status, 204);
    desk.service.pass(600);
    desk.service.wake();
    desk.send("GET", "").is(401, "invalid_token");
    assert_eq!(desk.service.row(ROOT, "operator"), Some((NOW + 1).to_string()));
    assert!(!desk.service.world.state.borrow().alarms.contains_key(ROOT));
}
