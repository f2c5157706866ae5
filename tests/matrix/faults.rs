//! One call fails, whichever, in either way: the answer is 503, nothing was issued or revoked by it, and trying again
//! does what was asked.

use crate::cells::successes;
use crate::host::{Fault, Part};
use crate::service::{Service, Token, by_secret, exchange, revocation, rotation};
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
                answer.is(503, "temporarily_unavailable");
                assert!(answer.audit.problem.is_some(), "the operator is told what is down");
                let failed = service.world.calls.borrow()[nth];
                service.world.recover();
                let again = service.send(&request);
                let by_own_child = answer.audit.by != answer.audit.token_id && answer.audit.by.is_some();
                match failed {
                    // What is spent stays spent, even if nobody got anything for it.
                    Part::Once if request.client_id.is_some() && fault == Fault::AnswerLost => {
                        again.is(401, "invalid_client")
                    }
                    // The revocation was stored, and the caller's own token ended with the one that it came from.
                    Part::Once | Part::Store if by_own_child && again.status == 401 => again.is(401, "invalid_token"),
                    _ => again.is(if request.path.ends_with("/revoke") { 204 } else { 201 }, ""),
                };
            }
        }
    }
}

/// A failed call may have done its work or not, but a refused revocation never lets a 204 out, and a stored one holds.
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

/// While the object that settles ends is down, nothing is confirmed; the same call works when it is back.
#[test]
fn a_revocation_waits_for_the_object() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    service.world.fail_part(Part::Once);
    service.send(&revocation(&long, &long.id)).is(503, "temporarily_unavailable");
    service.world.recover();
    service.send(&revocation(&long, &long.id)).is(204, "");
    assert!(!service.is_alive(&long));
}

/// A code or an assertion is never worth two tokens, whatever fails.
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

/// A stored value that can't be read is a part that does not answer: nothing is guessed.
#[test]
fn what_cannot_be_read_is_not_honoured() {
    let service = Service::new();
    let long = service.long_token("tokens:write");
    let short = service.short_token(&long);
    let unreadable = ["", "{}", "null", r#"{"version":2,"ends_at":1}"#, r#"{"version":1,"ends_at":-1}"#];
    for entry in unreadable {
        let set = |token: &Token, entry: &str| {
            service.world.state.borrow_mut().revocations.insert(token.id.clone(), (entry.to_owned(), u64::MAX));
        };
        set(&long, entry);
        service.send(&exchange(&long)).is(503, "temporarily_unavailable");
        service.send(&rotation(&short)).is(503, "temporarily_unavailable");
        service.send(&revocation(&long, &long.id)).is(503, "temporarily_unavailable");
    }
    service.world.state.borrow_mut().revocations.clear();
    let record = service.world.state.borrow().clients[crate::service::ALICE].clone();
    for record in unreadable.map(str::to_owned).into_iter().chain([record.replace("\"version\":1", "\"version\":2")]) {
        service.world.state.borrow_mut().clients.insert(crate::service::ALICE.to_owned(), record);
        for request in [by_secret(), service.code(), exchange(&long), rotation(&short), revocation(&long, &long.id)] {
            service.send(&request).is(503, "temporarily_unavailable");
        }
    }
    assert!(service.world.state.borrow().revocations.is_empty());
}

/// A record under one id that names another client is a fault of the registry, and gives no token to either.
#[test]
fn a_misplaced_record_is_not_honoured() {
    let service = Service::new();
    let short = service.short_token(&service.long_token("tokens:write"));
    let misplaced = service.world.state.borrow().clients[crate::service::BOB].clone();
    service.world.state.borrow_mut().clients.insert(crate::service::ALICE.to_owned(), misplaced);
    service.send(&by_secret()).is(503, "temporarily_unavailable");
    service.send(&rotation(&short)).is(503, "temporarily_unavailable");
}

/// Without randomness no token is made, and nothing is spent or retired for it.
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
        assert!(!called.contains(&Part::Once) && !called.contains(&Part::Store), "{called:?}");
        service.world.randoms.set(drawn);
        service.send(&request).token();
    }
}
