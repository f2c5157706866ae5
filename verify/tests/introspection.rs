//! Introspection: when the issuer is asked, how long an answer is cached, and what is refused without one.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::cell::Cell;
use std::future::ready;

use auth_edge_verify::{AccessToken, Error, Introspection, Verifier};
use futures_util::FutureExt;
use serde_json::json;

use common::*;

const ACTIVE: &str = r#"{"active":true,"jti":"tok_st_1","exp":1}"#;
const INACTIVE: &str = r#"{"active":false}"#;

/// An issuer that always answers the same, and counts requests.
struct Issuer {
    verifier: Verifier,
    answer: Cell<Result<&'static str, &'static str>>,
    asked: Cell<usize>,
}

impl Issuer {
    fn new(answer: Result<&'static str, &'static str>) -> Self {
        Self { verifier: verifier(), answer: Cell::new(answer), asked: Cell::new(0) }
    }

    fn verify(&self, introspection: &Introspection, token: &str, now: u64) -> Result<AccessToken, Error> {
        let ask = |form: String| {
            assert_eq!(form, format!("token={token}"));
            self.asked.set(self.asked.get() + 1);
            ready(self.answer.get().map(str::to_owned))
        };
        introspection.verify(&self.verifier, token, now, ask).now_or_never().unwrap()
    }
}

fn nth(n: u64) -> String {
    token(&header(), &with(with(claims(), "jti", Some(json!("tok_st_1"))), "n", Some(json!(n))))
}

#[test]
fn an_answer_is_cached_for_its_time() {
    for (answer, expected) in [(ACTIVE, Ok("alice".to_owned())), (INACTIVE, Err(Error::Inactive))] {
        let (issuer, introspection) = (Issuer::new(Ok(answer)), Introspection::new(30, 10));
        for (now, asked) in [(NOW, 1), (NOW + 29, 1), (NOW + 30, 2), (NOW + 59, 2)] {
            assert_eq!(issuer.verify(&introspection, &nth(0), now).map(|token| token.sub), expected);
            assert_eq!(issuer.asked.get(), asked, "{now}");
        }
    }
}

#[test]
fn without_a_usable_answer_a_token_is_refused_and_nothing_is_cached() {
    for answer in [
        Err("connection refused"),
        Ok(""),
        Ok("{}"),
        Ok("null"),
        Ok(r#"{"active":"true"}"#),
        Ok(r#"{"active":1}"#),
        Ok(r#"{"active":null}"#),
        Ok(r#"[true]"#),
        Ok(r#"{"active":false,"active":true}"#),
        Ok(r#"{"active":true,"jti":"tok_st_2"}"#),
        Ok(r#"{"active":true,"jti":null}"#),
        Ok("<html>Bad Gateway</html>"),
    ] {
        let (issuer, introspection) = (Issuer::new(answer), Introspection::new(30, 10));
        let error = issuer.verify(&introspection, &nth(0), NOW).unwrap_err();
        assert!(matches!(error, Error::NoAnswer { .. }), "{answer:?}: {error:?}");
        assert_eq!(error.status(), 503);
        issuer.answer.set(Ok(ACTIVE));
        assert!(issuer.verify(&introspection, &nth(0), NOW).is_ok());
        assert_eq!(issuer.asked.get(), 2);
    }
    let (issuer, introspection) = (Issuer::new(Err("connection refused")), Introspection::new(30, 10));
    let problem = "connection refused".to_owned();
    assert_eq!(issuer.verify(&introspection, &nth(0), NOW), Err(Error::NoAnswer { problem }));
}

#[test]
fn an_answer_that_is_too_long_is_refused() {
    let (verifier, introspection) = (verifier(), Introspection::new(30, 10));
    let ask = |_| ready(Ok::<_, String>(format!("{}{ACTIVE}", " ".repeat(20_000))));
    let result = introspection.verify(&verifier, nth(0), NOW, ask).now_or_never().unwrap();
    assert!(matches!(result, Err(Error::NoAnswer { .. })));
}

#[test]
fn a_token_that_fails_offline_is_never_introspected() {
    let (issuer, introspection) = (Issuer::new(Ok(ACTIVE)), Introspection::new(30, 10));
    let forged = nth(0).replacen('.', ".A", 1);
    for token in ["", "a.b.c", forged.as_str()] {
        assert!(issuer.verify(&introspection, token, NOW).is_err());
    }
    assert_eq!(issuer.verify(&introspection, &nth(0), NOW + 900), Err(Error::Expired));
    assert_eq!(issuer.asked.get(), 0);
}

#[test]
fn no_cached_answer_outlives_the_token() {
    let (issuer, introspection) = (Issuer::new(Ok(ACTIVE)), Introspection::new(3600, 10));
    let issuer = Issuer { verifier: issuer.verifier.exp_leeway(60), ..issuer };
    for (now, asked) in [(NOW, 1), (NOW + 899, 1), (NOW + 900, 2), (NOW + 901, 3)] {
        assert!(issuer.verify(&introspection, &nth(0), now).is_ok());
        assert_eq!(issuer.asked.get(), asked, "{now}");
    }
}

#[test]
fn the_cache_is_bounded() {
    let (issuer, introspection) = (Issuer::new(Ok(ACTIVE)), Introspection::new(30, 3));
    let ask = |n, now| {
        let before = issuer.asked.get();
        issuer.verify(&introspection, &nth(n), now).unwrap();
        issuer.asked.get() > before
    };
    for n in 0..3 {
        assert!(ask(n, NOW + n));
    }
    // The fourth replaces the first, which would expire first.
    assert!(ask(3, NOW + 3));
    assert!((1..=3).all(|n| !ask(n, NOW + 3)));
    assert!(ask(0, NOW + 3));
    // All have expired by now, so there is room for three again.
    assert!((4..7).all(|n| ask(n, NOW + 60)));
    assert!((4..7).all(|n| !ask(n, NOW + 60)));
    for introspection in [Introspection::new(30, 0), Introspection::new(0, 3)] {
        let before = issuer.asked.get();
        issuer.verify(&introspection, &nth(0), NOW).unwrap();
        issuer.verify(&introspection, &nth(0), NOW).unwrap();
        assert_eq!(issuer.asked.get(), before + 2);
    }
    assert_eq!(format!("{introspection:?}"), "Introspection { ttl: 30, capacity: 3, .. }");
}

#[test]
fn its_future_may_move_between_threads() {
    fn send(_: impl Send) {}
    let (verifier, introspection) = (verifier(), Introspection::new(30, 10));
    send(introspection.verify(&verifier, "", NOW, |_| async { Ok::<_, String>(String::new()) }));
}
