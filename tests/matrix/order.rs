//! Requests at the same time, in every order of their calls to storage, with reads that may show an older state, and
//! where it says so with one failure anywhere.
//!
//! Only the calls whose result another request can change are ordered; the others commute with everything.

use std::future::Future;
use std::pin::Pin;

use crate::host::{Choices, Fault, Part, State, run_together};
use crate::service::{Answer, Request, Service, Token, revocation, rotation};
use crate::sign::Key;

const STORAGE: &[Part] = &[Part::Revocation, Part::Store, Part::Once];
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

    /// Sends the requests at the same time, each at its own time of arrival.
    fn send(&self, choices: &Choices, requests: &[&Request]) -> Vec<Answer> {
        self.service.world.state.replace(self.state.clone());
        let lag = choices.clone();
        self.service.world.lag(move || lag.choose(2) == 1);
        let futures = requests
            .iter()
            .map(|request| Box::pin(self.service.respond(request)) as Pin<Box<dyn Future<Output = Answer> + '_>>);
        let answers = run_together(&self.service.world, choices, STORAGE, futures);
        self.service.world.catch_up();
        self.service.world.recover();
        answers
    }

    /// At most one call to storage fails, in either way.
    fn may_fail_once(&self, choices: &Choices) {
        let choices = choices.clone();
        let left = std::cell::Cell::new(true);
        self.service.world.fail(move |_, part| {
            if !left.get() || !STORAGE.contains(&part) {
                return None;
            }
            let fault = [None, Some(Fault::Nothing), Some(Fault::AnswerLost)][choices.choose(3)];
            left.set(fault.is_none());
            fault
        });
    }

    fn stored_end(&self, token: &Token) -> Option<u64> {
        let state = self.service.world.state.borrow();
        let (entry, _) = state.revocations.get(&token.id)?;
        serde_json::from_str::<serde_json::Value>(entry).unwrap()["ends_at"].as_u64()
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
    let now = start.service.now.get();
    for revoker in [&long, &short] {
        let runs = Choices::explore(|choices| {
            let answers = start.send(choices, &[&rotation(&short), &revocation(revoker, &long.id)]);
            assert!(matches!(answers[0].status, 201 | 401), "{:?}", answers[0]);
            answers[1].is(204, "");
            assert_eq!(start.stored_end(&long), Some(now));
            assert!(!start.service.is_alive(&long));
        });
        assert!(runs > 50, "{runs}");
    }
}

/// What was answered 204 stays revoked, also when a call fails on the way, of either request.
#[test]
fn a_confirmed_revocation_survives_a_failing_rotation() {
    let (start, long, short) = rotating();
    let now = start.service.now.get();
    for revoker in [&long, &short] {
        let confirmed = std::cell::Cell::new(0);
        Choices::explore(|choices| {
            start.may_fail_once(choices);
            let answers = start.send(choices, &[&rotation(&short), &revocation(revoker, &long.id)]);
            assert!(matches!(answers[0].status, 201 | 401 | 503), "{:?}", answers[0]);
            if answers[1].status == 204 {
                confirmed.set(confirmed.get() + 1);
                assert_eq!(start.stored_end(&long), Some(now));
                assert!(!start.service.is_alive(&long));
            }
        });
        assert!(confirmed.get() > 100, "{}", confirmed.get());
    }
}

/// Whatever comes later, and however little a location has heard: no second rotation of a token that was revoked.
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

/// Nor by a short-term token that was itself revoked: the new token would live for months where this one had minutes.
#[test]
fn a_revoked_bearer_does_not_rotate_where_its_revocation_is_not_known_yet() {
    let service = Service::new();
    let long = service.long_token("tokens:write");
    let short = service.short_token(&long);
    service.world.lag(|| true);
    service.send(&revocation(&short, &short.id)).is(204, "");
    service.pass(10);
    service.send(&rotation(&short)).is(401, "invalid_token");
    assert!(service.is_alive(&long), "nor does it end its parent");
}

#[test]
fn two_rotations_retire_once() {
    let (start, long, short) = rotating();
    let now = start.service.now.get();
    let runs = Choices::explore(|choices| {
        let answers = start.send(choices, &[&rotation(&short), &rotation(&short)]);
        let new = answers.iter().map(Answer::token).collect::<Vec<_>>();
        assert_ne!(new[0].id, new[1].id);
        assert_eq!(start.stored_end(&long), Some(now + GRACE));
    });
    assert!(runs > 200, "{runs}");
}

/// A rotation that began earlier but stores later must not lengthen the retirement that stands, nor the reverse.
#[test]
fn the_earliest_retirement_stays() {
    let (start, long, short) = rotating();
    let now = start.service.now.get();
    Choices::explore(|choices| {
        start.service.world.state.replace(start.state.clone());
        let lag = choices.clone();
        start.service.world.lag(move || lag.choose(2) == 1);
        let request = rotation(&short);
        let at = |time: u64| {
            let (service, request) = (&start.service, &request);
            Box::pin(async move {
                service.now.set(time);
                service.respond(request).await
            }) as Pin<Box<dyn Future<Output = Answer> + '_>>
        };
        let answers = run_together(&start.service.world, choices, STORAGE, [at(now + 5), at(now)]);
        start.service.world.catch_up();
        assert!(answers.iter().all(|answer| answer.status == 201));
        assert_eq!(start.stored_end(&long), Some(now + GRACE));
    });
}

#[test]
fn two_revocations() {
    let (start, long, short) = rotating();
    Choices::explore(|choices| {
        start.may_fail_once(choices);
        let answers = start.send(choices, &[&revocation(&long, &long.id), &revocation(&short, &long.id)]);
        // Whoever comes second may find its own token ended already.
        assert!(answers.iter().all(|answer| matches!(answer.status, 204 | 401 | 503)), "{answers:?}");
        if answers.iter().any(|answer| answer.status == 204) {
            assert!(!start.service.is_alive(&long));
        }
    });
}

/// Of three uses at the same time one gets a token, whatever the order.
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

/// And of three uses with a failure: one or none.
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
