//! Concurrent requests, in every order of their calls to storage. Reads may return an older state, and in some tests
//! one call may fail.
//!
//! Only calls whose result another request can change are ordered; the others commute.

use std::pin::Pin;

use crate::host::{Choices, Fault, Part, State, run_together};
use crate::service::{ALICE, Answer, Request, Service, Token, exchange, revocation, rotation};
use crate::sign::Key;

const STORAGE: &[Part] = &[Part::Replica, Part::Store, Part::Object];
const GRACE: u64 = 86_400;

/// A service in a state from which every run starts.
struct Start {
    service: Service,
    state: State,
}

impl Start {
    fn of(service: Service) -> Self {
        let state = service.world.state.borrow().clone();
        Self { service, state }
    }

    /// Restores the stored state, and drops everything in memory.
    fn restore(&self) {
        self.service.world.state.replace(self.state.clone());
        self.service.world.crash();
        self.service.world.catch_up();
        self.service.world.land();
        self.service.world.state.replace(self.state.clone());
    }

    /// Sends the requests concurrently, each at its own time of arrival.
    fn send(&self, choices: &Choices, requests: &[&Request]) -> Vec<Answer> {
        self.send_beside(choices, requests, 0)
    }

    /// Like `send`, while the object's alarm runs `alarms` times.
    fn send_beside(&self, choices: &Choices, requests: &[&Request], alarms: usize) -> Vec<Answer> {
        type Future<'a> = Pin<Box<dyn core::future::Future<Output = Option<Answer>> + 'a>>;
        self.restore();
        let lag = choices.clone();
        self.service.world.lag(move || lag.choose(2) == 1);
        let requests =
            requests.iter().map(|request| Box::pin(async { Some(self.service.respond(request).await) }) as Future<'_>);
        let alarms = (0..alarms).map(|_| {
            Box::pin(async {
                self.service.world.ring_in_turn(ALICE).await;
                None
            }) as Future<'_>
        });
        let answers = run_together(&self.service.world, choices, STORAGE, requests.chain(alarms));
        self.service.world.catch_up();
        self.service.world.recover();
        answers.into_iter().flatten().collect()
    }

    /// Lets at most one call to storage fail, with or without taking effect.
    fn may_fail_once(&self, choices: &Choices) {
        let choices = choices.clone();
        let left = std::cell::Cell::new(true);
        self.service.world.fail(move |_, part| {
            if !left.get() || !STORAGE.contains(&part) {
                return None;
            }
            let faults = [None, Some(Fault::Nothing), Some(Fault::AnswerLost), Some(Fault::Late)];
            let fault = faults[choices.choose(if part == Part::Store { 4 } else { 3 })];
            left.set(fault.is_none());
            fault
        });
    }

    /// The time at which a token ends early, as stored: 0 if it has ended.
    fn stored_end(&self, token: &Token) -> Option<u64> {
        self.service.row(ALICE, &format!("end:{}", token.id)).map(|end| end.split(' ').next().unwrap().parse().unwrap())
    }

    /// Checks that the token has ended: in the object, in KV, and for an exchange that reads only KV.
    #[track_caller]
    fn has_ended(&self, token: &Token) {
        assert_eq!(self.stored_end(token), Some(0));
        let ends = self.service.replica(ALICE)["ends"].as_str().unwrap().to_owned();
        assert!(ends.contains(&format!("{}=0", &token.id[7..29])), "{ends}");
        self.service.world.fail_part(Part::Object);
        assert!(!self.service.is_alive(token));
        self.service.world.recover();
    }
}

fn rotating() -> (Start, Token, Token) {
    let service = Service::new();
    let long = service.long_token("tokens:write tokens:revoke");
    let short = service.short_token(&long);
    (Start::of(service), long, short)
}

#[test]
fn a_revocation_is_never_undone_by_a_rotation() {
    let (start, long, short) = rotating();
    for revoker in [&long, &short] {
        let runs = Choices::explore(|choices| {
            let answers = start.send_beside(choices, &[&rotation(&short), &revocation(revoker, &long.id)], 1);
            assert!(matches!(answers[0].status, 201 | 401), "{:?}", answers[0]);
            answers[1].is(204, "");
            start.has_ended(&long);
        });
        assert!(runs > 10, "{runs}");
    }
}

/// A revocation that was answered 204 stays, even if any call of either request fails.
#[test]
fn a_confirmed_revocation_survives_a_failing_rotation() {
    let (start, long, short) = rotating();
    for revoker in [&long, &short] {
        let confirmed = std::cell::Cell::new(0);
        Choices::explore(|choices| {
            start.may_fail_once(choices);
            let answers = start.send_beside(choices, &[&rotation(&short), &revocation(revoker, &long.id)], 1);
            assert!(matches!(answers[0].status, 201 | 401 | 503), "{:?}", answers[0]);
            if answers[1].status == 204 {
                confirmed.set(confirmed.get() + 1);
                start.has_ended(&long);
            }
        });
        assert!(confirmed.get() > 100, "{}", confirmed.get());
    }
}

/// A revoked token is not rotated, even by a location that has not learned of the revocation.
#[test]
fn a_revoked_token_is_not_rotated_where_the_revocation_is_not_known_yet() {
    for grace in [GRACE, 0] {
        let service = Service::with(&[("ROTATION_GRACE_SECONDS", grace.to_string())]);
        let long = service.long_token("tokens:write");
        let short = service.short_token(&long);
        service.world.lag(|| true);
        service.send(&revocation(&long, &long.id)).is(204, "");
        service.pass(10);
        service.send(&rotation(&short)).is(401, "invalid_token");
        service.world.catch_up();
        assert!(!service.is_alive(&long));
    }
}

/// A revoked short-term token does not rotate either: its new long-term token would live for months instead of minutes.
#[test]
fn a_revoked_bearer_does_not_rotate_where_its_revocation_is_not_known_yet() {
    let service = Service::new();
    let long = service.long_token("tokens:write");
    let short = service.short_token(&long);
    service.world.lag(|| true);
    service.send(&revocation(&short, &short.id)).is(204, "");
    service.pass(10);
    service.send(&rotation(&short)).is(401, "invalid_token");
    assert!(service.is_alive(&long), "the refused rotation does not end the parent");
}

#[test]
fn two_rotations_retire_once() {
    let (start, long, short) = rotating();
    let now = start.service.now.get();
    let runs = Choices::explore(|choices| {
        let answers = start.send_beside(choices, &[&rotation(&short), &rotation(&short)], 2);
        let new = answers.iter().map(Answer::token).collect::<Vec<_>>();
        assert_ne!(new[0].id, new[1].id);
        assert_eq!(start.stored_end(&long), Some(now + GRACE));
    });
    assert!(runs > 10, "{runs}");
}

/// Neither a later rotation nor a rotation by a clock that is behind postpones a retirement: the object's clock never
/// runs backwards, even in another instance.
#[test]
fn the_earliest_retirement_stays() {
    for (first, second) in [(5, 0), (0, 5), (5, 5)] {
        for crashes in [false, true] {
            let (start, long, short) = rotating();
            let now = start.service.now.get();
            let rotate = |at: u64| {
                start.service.now.set(at);
                start.service.world.millis.set(at * 1000);
                start.service.send(&rotation(&short)).token()
            };
            rotate(now + first);
            assert_eq!(start.stored_end(&long), Some(now + first + GRACE));
            if crashes {
                start.service.world.crash();
            }
            rotate(now + second);
            assert_eq!(start.stored_end(&long), Some(now + first + GRACE));
        }
    }
}

/// An object whose clock is ahead takes a token for expired. It still does when its next instance's clock is behind.
#[test]
fn an_expired_token_stays_expired() {
    let (start, _, short) = rotating();
    let service = &start.service;
    let end = service.now.get() + 900;
    service.now.set(end - 2);
    service.world.millis.set(end * 1000);
    service.send(&rotation(&short)).is(401, "invalid_token");
    service.world.crash();
    service.world.millis.set((end - 2) * 1000);
    service.send(&rotation(&short)).is(401, "invalid_token");
}

#[test]
fn two_revocations() {
    let (start, long, short) = rotating();
    Choices::explore(|choices| {
        start.may_fail_once(choices);
        let answers = start.send_beside(choices, &[&revocation(&long, &long.id), &revocation(&short, &long.id)], 1);
        // The second one may find that its own token has ended.
        assert!(answers.iter().all(|answer| matches!(answer.status, 204 | 401 | 503)), "{answers:?}");
        if answers.iter().any(|answer| answer.status == 204) {
            start.has_ended(&long);
        }
    });
}

/// Of three concurrent uses exactly one gets a token, in any order.
#[test]
fn one_use_of_three() {
    let service = Service::new();
    let uses = [service.code(), service.assertion(Key::Ed, "j"), service.assertion(Key::Rs, "j")];
    let start = Start::of(service);
    for request in &uses {
        let runs = Choices::explore(|choices| {
            let answers = start.send(choices, &[request; 3]);
            assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
            assert_eq!(answers.iter().filter(|answer| answer.status == 401).count(), 2);
        });
        assert_eq!(runs, 6);
    }
}

/// If one call fails, at most one of three concurrent uses gets a token.
#[test]
fn at_most_one_use_of_three() {
    let service = Service::new();
    let uses = [service.code(), service.assertion(Key::Ed, "j")];
    let start = Start::of(service);
    for request in &uses {
        Choices::explore(|choices| {
            start.may_fail_once(choices);
            let answers = start.send(choices, &[request; 3]);
            assert!(answers.iter().filter(|answer| answer.status == 201).count() <= 1);
        });
    }
}

/// An exchange concurrent with a revocation may get a token. After the revocation's response, every operation that asks
/// the object refuses that token.
#[test]
fn an_exchange_beside_a_revocation() {
    let (start, long, short) = rotating();
    let runs = Choices::explore(|choices| {
        start.may_fail_once(choices);
        let answers = start.send(choices, &[&exchange(&long), &revocation(&short, &long.id)]);
        assert!(matches!(answers[0].status, 201 | 401 | 503), "{:?}", answers[0]);
        if answers[1].status == 204 {
            start.has_ended(&long);
            if answers[0].status == 201 {
                let made = answers[0].token();
                start.service.send(&rotation(&made)).is(401, "invalid_token");
                start.service.send(&revocation(&made, &short.id)).is(401, "invalid_token");
            }
        }
    });
    assert!(runs > 10, "{runs}");
}

/// Two concurrent revocations, and one write to KV that may fail or land late. A revocation that was answered 204 is
/// visible in KV, and still is after the late write and the rewrites.
#[test]
fn two_ends_and_a_write_that_lands_late() {
    let service = Service::new();
    let (one, two) = (service.long_token("jobs:submit"), service.long_token("jobs:submit"));
    let start = Start::of(service);
    let now = start.service.now.get();
    let runs = Choices::explore(|choices| {
        start.service.now.set(now);
        start.service.world.millis.set(now * 1000);
        start.may_fail_once(choices);
        let answers = start.send_beside(choices, &[&revocation(&one, &one.id), &revocation(&two, &two.id)], 1);
        start.service.world.land();
        start.service.pass(3_601);
        start.service.wake();
        for (answer, token) in answers.iter().zip([&one, &two]) {
            if answer.status == 204 || start.stored_end(token) == Some(0) {
                start.has_ended(token);
            }
        }
    });
    assert!(runs > 10, "{runs}");
}
