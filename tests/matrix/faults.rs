//! Any single call fails, with or without taking effect: the response is 503, and a retry succeeds. If a read of KV
//! fails, the object is asked; if KV refuses a write, a second one follows.

use crate::cells::successes;
use crate::host::{Fault, Part};
use crate::service::{ALICE, Service, by_secret, exchange, revocation, rotation};
use crate::sign::Key;

#[test]
fn any_call() {
    for request in successes() {
        for fault in [Fault::Nothing, Fault::AnswerLost] {
            for nth in 0.. {
                let service = Service::new();
                let request = request(&service);
                service.world.fail(move |call, _| (call == nth).then_some(fault));
                let answer = service.send(&request);
                if service.world.calls.borrow().len() <= nth {
                    assert!(matches!(answer.status, 201 | 204) && nth > 0);
                    break;
                }
                let failed = service.world.calls.borrow()[nth];
                let success = if request.path.ends_with("/revoke") { 204 } else { 201 };
                if matches!(failed, Part::Replica | Part::Store) {
                    answer.is(success, "");
                    continue;
                }
                answer.is(503, "temporarily_unavailable");
                assert!(answer.audit.problem.is_some(), "the audit line names the service that is down");
                service.world.recover();
                let again = service.send(&request);
                let is_spent = failed == Part::Object && fault == Fault::AnswerLost;
                match request.body.as_slice() {
                    // A spent code or assertion stays spent, even if no token was issued for it.
                    body if is_spent && is_once(body) => again.is(401, "invalid_client"),
                    _ => again.is(success, ""),
                };
            }
        }
    }
}

/// Whether a request carries a code or an assertion.
fn is_once(body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body);
    body.contains("\"otp_code\"") || body.contains("\"assertion\"")
}

/// A failed call may or may not have taken effect, but a failed revocation is never answered 204, and a stored one
/// holds.
#[test]
fn a_revocation_holds_once_it_is_answered() {
    for nth in 0..8 {
        for fault in [Fault::Nothing, Fault::AnswerLost] {
            let service = Service::new();
            let long = service.long_token("jobs:submit");
            service.world.fail(move |call, _| (call == nth).then_some(fault));
            let status = service.send(&revocation(&long, &long.id)).status;
            service.world.recover();
            if status == 204 {
                assert!(!service.is_alive(&long), "{nth}");
            } else {
                assert_eq!(status, 503);
                service.send(&revocation(&long, &long.id)).is(204, "");
                assert!(!service.is_alive(&long), "{nth}");
            }
        }
    }
}

/// While the object is down, no revocation is confirmed; the same call works later.
#[test]
fn a_revocation_waits_for_the_object() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    service.world.fail_part(Part::Object);
    service.send(&revocation(&long, &long.id)).is(503, "temporarily_unavailable");
    service.world.recover();
    service.send(&revocation(&long, &long.id)).is(204, "");
    assert!(!service.is_alive(&long));
}

/// A code or an assertion never gets two tokens, whatever fails.
#[test]
fn nothing_is_accepted_twice() {
    for request in [|service: &Service| service.code(), |service: &Service| service.assertion(Key::Ed, "j")] {
        for nth in 0..5 {
            for fault in [Fault::Nothing, Fault::AnswerLost] {
                let service = Service::new();
                let request = request(&service);
                service.world.fail(move |call, _| (call == nth).then_some(fault));
                let issued = (0..4).filter(|_| service.send(&request).status == 201).count();
                assert!(issued <= 1, "{nth} {fault:?}");
            }
        }
    }
}

const UNREADABLE: [&str; 6] = ["", "{}", "null", "-1", "0x", r#"{"version":2}"#];

/// An unreadable stored value is handled like a service that does not answer.
#[test]
fn an_unreadable_value_is_an_unavailable_service() {
    for entry in UNREADABLE {
        let service = Service::new();
        let long = service.long_token("tokens:write");
        let short = service.short_token(&long);
        service.set_row(ALICE, &format!("end:{}", long.id), entry);
        for request in [rotation(&short), revocation(&short, &short.id), revocation(&long, &long.id)] {
            service.send(&request).is(503, "temporarily_unavailable");
        }
        // An exchange asks the object if KV's value is unreadable.
        service.set_replica(ALICE, entry);
        service.send(&exchange(&long)).is(503, "temporarily_unavailable");
    }
    for row in ["client", "state"] {
        let known = Service::new().row(ALICE, row).unwrap_or_default().replace("\"version\":1", "\"version\":2");
        for record in UNREADABLE.into_iter().chain([known.as_str()]) {
            let service = Service::new();
            let long = service.long_token("tokens:write");
            let short = service.short_token(&long);
            service.set_row(ALICE, row, record);
            service.set_replica(ALICE, "");
            for request in [by_secret(), service.code(), exchange(&long), rotation(&short), revocation(&long, &long.id)]
            {
                service.send(&request).is(503, "temporarily_unavailable");
            }
            assert!(service.world.writes.borrow().is_empty());
        }
    }
    for codes in UNREADABLE {
        let service = Service::new();
        service.set_row(ALICE, "codes", codes);
        service.send(&service.code()).is(503, "temporarily_unavailable");
        service.send(&by_secret()).token();
    }
}

/// Without randomness no token is issued, and nothing is spent or retired.
#[test]
fn no_randomness() {
    for request in successes() {
        let service = Service::new();
        let request = request(&service);
        let drawn = service.world.randoms.take();
        service.world.forget_calls();
        let answer = service.send(&request);
        if request.path.ends_with("/revoke") {
            answer.is(204, "");
            continue;
        }
        answer.is(503, "temporarily_unavailable");
        let called = service.world.parts_called();
        assert!(!called.contains(&Part::Object) && !called.contains(&Part::Store), "{called:?}");
        service.world.randoms.set(drawn);
        service.send(&request).token();
    }
}
