//! Attacks that succeeded against an earlier design.

use std::cell::Cell;

use auth_edge::host::Limit;
use auth_edge::otp;
use auth_edge::token_id::{Kind, TokenId};
use serde_json::json;

use crate::host::{self, Fault, Part};
use crate::operators::{Desk, by};
use crate::service::{
    ALICE, BOB, DAY, NOW, Service, Token, bob_by_secret, by_code, by_secret, exchange, post, revocation, rotation,
};

fn is_active(service: &Service, caller: &Token, token: &Token) -> bool {
    let form = format!("token={}", token.token);
    let answer = service.send(&post("/v1/auth/tokens/introspect").bearer(&caller.token).form(&form));
    answer.body["active"].as_bool().unwrap()
}

/// A thief keeps exchanging a stolen long-term token, at a location whose KV shows no change, while the operator ends
/// all tokens. The new short-term tokens carry the old `auth_time`, so they are refused too.
#[test]
fn a_thief_who_keeps_exchanging_gains_nothing() {
    let desk = Desk::new();
    let there = desk.service.elsewhere();
    let api = desk.service.send(&crate::service::root_by_secret()).token();
    let stolen = desk.service.long_token("tokens:write jobs:submit");
    there.world.lag(|| true);
    let mut rotated = Vec::new();
    for tenth in 0..50u64 {
        if tenth == 25 {
            assert_eq!(desk.send("POST", "/c2m_abc123/end-tokens").status, 204);
        }
        desk.service.world.millis.set(desk.service.world.millis.get() + 200);
        let now = desk.service.world.millis.get() / 1000;
        desk.service.now.set(now);
        there.now.set(now);
        // The location accepts it, since it has not learned of the end.
        let short = there.send(&exchange(&stolen)).token();
        let rotation = [&there, &desk.service][usize::try_from(tenth % 2).unwrap()].send(&rotation(&short));
        assert_eq!(rotation.status, if tenth < 25 { 201 } else { 401 }, "{tenth}");
        if rotation.status == 201 {
            rotated.push(rotation.token());
        }
        assert_eq!(is_active(&there, &api, &short), tenth < 25);
    }
    // Tokens from earlier rotations end too, and so do tokens exchanged from them.
    for long in &rotated {
        assert!(!desk.service.is_alive(long));
    }
    there.world.catch_up();
    assert!(!there.is_alive(&stolen));
    there.world.forget_replicas();
    there.send(&exchange(rotated.last().unwrap())).is(401, "invalid_token");
    assert!(desk.service.is_alive(&desk.service.long_token("jobs:submit")));
}

/// A chain of rotations and exchanges keeps the original `auth_time`, and ends when that is too old.
#[test]
fn a_chain_of_rotations_gains_nothing() {
    let service = Service::new();
    let mut long = service.send(&by_secret().scopes("tokens:write").set("ttl_seconds", 7_776_000)).token();
    for _ in 0..6 {
        service.pass(60 * DAY);
        let new = service.send(&rotation(&service.short_token(&long)).set("ttl_seconds", 7_776_000)).token();
        let claims: serde_json::Value =
            serde_json::from_slice(&crate::sign::decode(new.token.split('.').nth(1).unwrap())).unwrap();
        assert_eq!(claims["auth_time"], NOW);
        long = new;
    }
    service.now.set(NOW + 366 * DAY);
    let last = service.short_token(&long);
    service.send(&rotation(&last)).token();
    service.pass(1);
    service.send(&rotation(&last)).is(401, "invalid_token");
    let new = service.long_token("tokens:write");
    service.send(&rotation(&service.short_token(&new))).token();
}

/// A token forged with a leaked signing key has an `auth_time` ahead of the clock, so that `end-tokens` does not end
/// it. A rotation refuses it.
#[test]
fn an_auth_time_ahead_of_the_clock_is_refused() {
    let (service, forger) = (Service::new(), Service::new());
    forger.pass(60);
    let forged = forger.short_token(&forger.long_token("tokens:write"));
    service.send(&rotation(&forged)).is(401, "invalid_token");
    service.pass(60);
    service.send(&rotation(&forged)).token();
}

/// A write to KV times out, and lands after a later revocation was confirmed. The object's rewrites repair KV.
#[test]
fn a_late_write_over_a_confirmed_revocation() {
    let service = Service::new();
    let (one, two) = (service.long_token("tokens:write"), service.long_token("jobs:submit"));
    let short = service.short_token(&one);
    assert_eq!(host::run(service.respond(&rotation(&short))).status, 201);
    service.world.fail(|_, part| (part == Part::Store).then_some(Fault::Late));
    service.wake();
    service.world.recover();
    service.send(&revocation(&two, &two.id)).is(204, "");
    assert_eq!(service.world.land(), 1);
    service.pass(60);
    assert!(!service.is_alive(&two));
}

/// As `a_late_write_over_a_confirmed_revocation`, but the object could not store that its write timed out.
#[test]
fn a_late_write_whose_outcome_was_not_stored() {
    let service = Service::new();
    let (one, two) = (service.long_token("tokens:write"), service.long_token("jobs:submit"));
    let short = service.short_token(&one);
    assert_eq!(host::run(service.respond(&rotation(&short))).status, 201);
    let is_first = Cell::new(true);
    service.world.fail(move |_, part| (part == Part::Store && is_first.take()).then_some(Fault::Late));
    service.world.loses_outcome.set(true);
    service.wake();
    service.world.recover();
    service.send(&revocation(&two, &two.id)).is(204, "");
    assert_eq!(service.world.land(), 1);
    service.pass(60);
    assert!(!service.is_alive(&two));
}

/// A deleted id can't be created again: the new client would inherit the old tokens.
#[test]
fn a_deleted_id_is_not_created_again() {
    let desk = Desk::new();
    let service = &desk.service;
    let body = json!({"client_id": "carol", "scopes": ["tokens:*"], "mechanisms": ["secret", "otp", "rotation"]});
    let old = desk.create(&body).body["client_secret"].as_str().unwrap().to_owned();
    let long = service.send(&by("carol", &old)).token();
    let short = service.short_token(&long);
    for years in 0..3 {
        if years > 0 {
            service.pass(365 * DAY);
        }
        let desk = Desk {
            root: service.send(&exchange(&service.send(&crate::service::root_by_secret()).token())).token(),
            ..Desk::new()
        };
        let request = crate::service::clients("DELETE", "/carol").bearer(&desk.root.token);
        assert_eq!(service.send(&request).status, 204);
        let create = crate::service::clients("POST", "").bearer(&desk.root.token).json(&body);
        service.send(&create).is(409, "conflict");
        // The same holds after a crash of the object.
        service.world.crash();
        service.send(&create).is(409, "conflict");
        service.send(&exchange(&long)).is(401, "invalid_token");
        service.send(&rotation(&short).set("client_id", "carol")).is(401, "invalid_token");
        service.send(&by("carol", &old)).is(401, "invalid_client");
    }
}

/// A client that has lost a scope can't get it by exchanging older tokens.
#[test]
fn lost_scopes_are_not_exchanged() {
    let desk = Desk::new();
    let service = &desk.service;
    let long =
        service.send(&by_secret().scopes("jobs:* templates:read tokens:write").set("ttl_seconds", 7_776_000)).token();
    assert_eq!(desk.patch(ALICE, &json!({"scopes": ["jobs:submit", "tokens:write"]})).status, 200);
    for day in [0, 1, 89] {
        service.now.set(NOW + day * DAY);
        let answer = service.send(&exchange(&long));
        assert_eq!(answer.body["scopes"], json!(["jobs:submit", "tokens:write"]), "{day}");
        service.send(&exchange(&long).scopes("templates:read")).is(400, "invalid_scope");
        service.send(&rotation(&answer.token()).scopes("templates:read")).is(403, "insufficient_scope");
    }
    // A rotation does not give it back either.
    let rotated = service.send(&rotation(&service.short_token(&long)));
    assert_eq!(rotated.body["scopes"], json!(["jobs:submit", "tokens:write"]));
}

/// One client revokes more ids than an isolate could cache, repeatedly. Another client's revocations still hold.
#[test]
fn a_client_that_revokes_thousands() {
    // The feed would refuse that many from one client.
    let service = Service::with(&[("REVOCATION_FEED", "off".to_owned())]);
    let key = service.settings.keys.token_id.first();
    let caller = service.long_token("tokens:revoke");
    let ids: Vec<_> = (0..2_640u32)
        .map(|nth| {
            let mut random = [7; 12];
            random[..4].copy_from_slice(&nth.to_be_bytes());
            let kind = if nth % 2 == 0 { Kind::Long } else { Kind::Short };
            TokenId::mint(key, kind, ALICE, NOW + 90 * DAY, random)
        })
        .collect();
    for round in 0..2 {
        for id in &ids {
            host::run(service.respond(&revocation(&caller, id.as_str()))).is(204, "");
        }
        for nth in 0..8 {
            let bobs = service.send(&bob_by_secret()).token();
            assert!(service.is_alive(&bobs));
            service.send(&revocation(&bobs, &bobs.id)).is(204, "");
            service.send(&exchange(&bobs)).is(401, "invalid_token");
            assert!(!service.is_alive(&bobs), "{round} {nth}");
        }
    }
    assert!(service.replica(ALICE)["ends"].as_str().unwrap().len() < 32_000);
}

/// Without a grace period a rotation retires at once, also in the same second as a revocation.
#[test]
fn a_rotation_in_the_second_of_a_revocation() {
    let service = Service::with(&[("ROTATION_GRACE_SECONDS", "0".to_owned())]);
    let there = service.elsewhere();
    let long = service.long_token("tokens:write");
    let (one, two) = (service.short_token(&long), service.short_token(&long));
    service.send(&revocation(&long, &long.id)).is(204, "");
    for location in [&service, &there] {
        for short in [&one, &two] {
            location.send(&rotation(short)).is(401, "invalid_token");
        }
    }
    // Likewise for two rotations in one second.
    let long = service.long_token("tokens:write");
    let (one, two) = (service.short_token(&long), service.short_token(&long));
    service.send(&rotation(&one)).token();
    there.send(&rotation(&two)).is(401, "invalid_token");
    there.send(&rotation(&one)).is(401, "invalid_token");
}

/// Invented ids are counted per address before any object is asked, and what they store is wiped.
#[test]
fn invented_ids() {
    let service = Service::new();
    let invented = |nth: usize| {
        let id = format!("invented-{nth}");
        by_code("123456").client(&id).set("client_id", id.as_str())
    };
    for nth in 0..50 {
        service.send(&invented(nth)).is(401, "invalid_client");
    }
    let counted = service.world.counted.take();
    let by_address = counted.iter().filter(|(limit, key)| *limit == Limit::Address && key == "192.0.2.1");
    assert_eq!(by_address.count(), 50);
    service.world.reached.set(Some(Limit::Address));
    service.world.forget_calls();
    service.send(&invented(1000)).is(429, "rate_limited");
    assert!(!service.world.parts_called().contains(&Part::Object));
    service.pass(600);
    service.wake();
    let state = service.world.state.borrow();
    assert!(state.rows.keys().all(|(client_id, _)| [ALICE, BOB].contains(&client_id.as_str())));
    assert!(state.alarms.is_empty());
}

/// Nothing that the service reads, stores or answers shows whether a client exists, or has codes, keys or secrets.
#[test]
fn an_unknown_and_a_known_client_leave_the_same_trace() {
    let trace = |prepare: fn(&Service), id: &str, request: &crate::service::Request| {
        let service = Service::new();
        prepare(&service);
        let before = service.rows(id);
        let mut traces = Vec::new();
        for _ in 0..7 {
            service.world.forget_calls();
            let answer = service.send(&request.clone().client(id).set("client_id", id));
            let alarm = service.world.state.borrow().alarms.get(id).copied();
            traces.push((
                service.world.calls.take(),
                service.rows(id) - before,
                alarm,
                answer.status,
                answer.body,
                answer.headers,
            ));
        }
        traces
    };
    let nothing: fn(&Service) = |_| {};
    let bare: fn(&Service) = |service| {
        service.change(ALICE, |client| (client.totp, client.jwks, client.secrets) = (None, None, vec![]));
    };
    let deleted: fn(&Service) = |service| service.change(ALICE, |client| *client = client.tombstone(NOW));
    let assertion = {
        let mut claims = crate::service::claims(NOW, "j");
        claims["aud"] = json!("https://other.example");
        crate::service::by_assertion(&crate::sign::Key::Ed.jwt(&claims))
    };
    for request in [by_secret().set("client_secret", "wrong"), by_code("000000"), assertion] {
        let known = trace(nothing, ALICE, &request);
        assert_eq!(known, trace(nothing, "nobody", &request));
        assert_eq!(known, trace(bare, ALICE, &request));
        assert_eq!(known, trace(deleted, ALICE, &request));
    }
}

/// Guesses of one-time codes, spread over days between the owner's logins: at most ten wrong codes are checked within
/// 24 hours.
#[test]
fn a_patient_guesser() {
    let service = Service::new();
    let mut looked_at: Vec<u64> = Vec::new();
    let mut owner = 0;
    for nth in 0..5 * 24 * 20u64 {
        service.now.set(NOW + nth * 180);
        let now = service.now.get();
        // Never right: not the code of any valid step.
        let near: Vec<_> = (0..3).map(|step| otp::code(crate::service::SEED, (now - 30) / otp::STEP + step)).collect();
        let wrong = (0..).map(|nth| format!("{nth:06}")).find(|code| near.iter().all(|near| near != code.as_bytes()));
        let answer = service.send(&by_code(&wrong.unwrap()));
        answer.is(401, "invalid_client");
        if answer.audit.problem.is_none() {
            looked_at.push(now);
        }
        // Sometimes the owner logs in. That resets the count of five minutes, but not the count of the day.
        if nth % 3 == 0 {
            owner += usize::from(service.send(&service.code()).status == 201);
        }
        let of_the_day = looked_at.iter().filter(|at| **at + DAY > now).count();
        assert!(of_the_day <= 10, "{of_the_day}");
    }
    assert!(looked_at.len() >= 45 && owner > 2, "{} {owner}", looked_at.len());
    // The limit is a setting.
    let service = Service::with(&[("OTP_WRONG_PER_DAY", "1000".to_owned())]);
    for _ in 0..30 {
        for _ in 0..4 {
            assert!(service.send(&by_code("000000")).audit.problem.is_none());
        }
        service.pass(30);
        service.send(&service.code()).token();
    }
}
