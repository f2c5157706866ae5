//! An object's stored changes reach KV, whether or not a caller waits, and despite crashes, failures and late writes.

use std::pin::pin;

use auth_edge::token_id::{Kind, TokenId};
use serde_json::json;

use crate::host::Part::{self, Limit, Object, Replica, Sign};
use crate::host::{self, Fault};
use crate::operators::Desk;
use crate::service::{ALICE, Answer, DAY, NOW, Request, Service, Token, by_secret, exchange, revocation, rotation};

/// Whether KV's value lists this token as ended.
fn shows(service: &Service, token: &Token) -> bool {
    let ends = service.replica(ALICE)["ends"].as_str().unwrap_or_default().to_owned();
    ends.split(',').any(|end| end == format!("{}=0", &token.id[7..29]))
}

fn writes(service: &Service) -> usize {
    service.world.writes.borrow().len()
}

/// A request that revokes or narrows, and whether KV's value shows its effect.
type Narrowing = (fn(&Desk, &Token) -> Request, fn(&Service, &Token) -> bool);

/// Each request is about Alice, and ends this long-term token of hers.
const NARROWINGS: [Narrowing; 5] = [
    (|_, long| revocation(long, &long.id), shows),
    (
        |desk, _| desk.request("PATCH", "/c2m_abc123").json(&json!({"status": "suspended"})),
        |service, _| service.replica(ALICE)["status"] == "suspended",
    ),
    (
        |desk, _| desk.request("PATCH", "/c2m_abc123").json(&json!({"scopes": ["billing:read"]})),
        |service, _| service.replica(ALICE)["scopes"] == json!(["billing:read"]),
    ),
    (
        |desk, _| desk.request("POST", "/c2m_abc123/end-tokens"),
        |service, _| service.replica(ALICE)["tokens_valid_from"].as_u64() > Some(NOW),
    ),
    (|desk, _| desk.request("DELETE", "/c2m_abc123"), |service, _| service.replica(ALICE)["status"] == "deleted"),
];

/// Whether an exchange that reads only KV accepts the token.
fn is_accepted(service: &Service, long: &Token) -> bool {
    service.world.forget_replicas();
    service.world.fail_part(Object);
    let status = host::run(service.respond(&exchange(long))).status;
    service.world.recover();
    assert!(matches!(status, 201 | 400 | 401), "{status}");
    status == 201
}

/// The object dies after storing a change, before writing to KV: the alarm writes it, without another call.
#[test]
fn a_crash_between_the_commit_and_kv() {
    for (request, is_shown) in NARROWINGS {
        let desk = Desk::new();
        let service = &desk.service;
        let long = service.long_token("jobs:submit");
        let request = request(&desk, &long);
        {
            let mut answer = pin!(service.respond(&request));
            host::run_up_to(&service.world, &[Part::Store], answer.as_mut());
        }
        service.world.crash();
        host::let_go(&service.world);
        assert!(!is_shown(service, &long) && is_accepted(service, &long), "{request:?}");
        service.pass(10);
        service.wake();
        assert!(is_shown(service, &long), "{request:?}");
        assert!(!is_accepted(service, &long));
    }
}

/// After a crash during a write, or during a rewrite, it is unknown whether the write lands. Rewrites follow.
#[test]
fn a_crash_in_a_write_is_followed_by_rewrites() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    let request = revocation(&long, &long.id);
    {
        let mut answer = pin!(service.respond(&request));
        host::run_up_to(&service.world, &[Part::Store], answer.as_mut());
    }
    service.world.crash();
    host::let_go(&service.world);
    let mut written = Vec::new();
    for second in 0..2 * 3_600 {
        let before = writes(&service);
        service.wake();
        written.extend((before..writes(&service)).map(|_| second));
        service.pass(1);
    }
    assert_eq!(written, [10, 70, 310, 3610], "at once, and after a minute, five minutes and an hour");
    assert!(service.world.state.borrow().alarms.is_empty(), "no further rewrite");
}

#[test]
fn a_crash_after_the_answer_of_a_rotation() {
    let service = Service::with(&[("ROTATION_GRACE_SECONDS", "0".to_owned())]);
    let long = service.long_token("tokens:write");
    let short = service.short_token(&long);
    assert_eq!(host::run(service.respond(&rotation(&short))).status, 201);
    assert!(!shows(&service, &long));
    service.world.crash();
    service.wake();
    assert!(shows(&service, &long));
}

/// A change is answered 503, but is stored and takes effect wherever the object is asked. A repeat succeeds once KV has
/// the change, and is answered as the first call would have been.
#[test]
fn kv_is_down() {
    for (request, is_shown) in NARROWINGS {
        let desk = Desk::new();
        let service = &desk.service;
        let long = service.long_token("tokens:write");
        let short = service.short_token(&long);
        let request = request(&desk, &long);
        service.world.fail_part(Part::Store);
        for _ in 0..3 {
            let answer = service.send(&request);
            answer.is(503, "temporarily_unavailable");
            assert!(answer.header("Retry-After").is_some());
        }
        assert!(matches!(service.send(&rotation(&short)).status, 401 | 403), "the change is stored");
        assert!(!is_shown(service, &long));
        service.world.recover();
        let answer = service.send(&request);
        assert!(matches!(answer.status, 200 | 204), "{request:?} {answer:?}");
        assert!(is_shown(service, &long));
        service.send(&rotation(&short));
        assert!(!is_accepted(service, &long));
    }
}

/// However long KV is down, and despite crashes, an alarm is always due within a minute. Within a minute after KV is
/// back, it has the value.
#[test]
fn the_alarm_never_gives_up() {
    for (request, is_shown) in NARROWINGS {
        let desk = Desk::new();
        let service = &desk.service;
        let long = service.long_token("jobs:submit");
        service.world.fail_part(Part::Store);
        service.send(&request(&desk, &long)).is(503, "temporarily_unavailable");
        for minute in 0..200 {
            service.wake();
            let next = service.world.state.borrow().alarms[ALICE];
            let ahead = next.saturating_sub(service.world.millis.get());
            assert!(ahead <= 60_000, "{minute}: {ahead}");
            if minute % 7 == 0 {
                service.world.crash();
            }
            service.pass(60);
        }
        service.world.recover();
        assert!(!is_shown(service, &long));
        service.pass(60);
        service.wake();
        assert!(is_shown(service, &long));
    }
}

/// An alarm that fails, or whose object crashes during it, runs again.
#[test]
fn an_alarm_that_fails_runs_again() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    service.world.fail_part(Part::Store);
    service.send(&revocation(&long, &long.id)).is(503, "temporarily_unavailable");
    service.world.recover();
    service.pass(60);
    service.set_clock();
    {
        let mut alarm = pin!(service.world.ring(ALICE));
        host::run_up_to(&service.world, &[Part::Store], alarm.as_mut());
    }
    service.world.crash();
    host::let_go(&service.world);
    assert!(!shows(&service, &long));
    service.pass(30);
    service.wake();
    assert!(shows(&service, &long));
    // An unreadable row makes the alarm fail, but it runs again.
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    service.world.fail_part(Part::Store);
    service.send(&revocation(&long, &long.id)).is(503, "temporarily_unavailable");
    service.world.recover();
    let state = service.row(ALICE, "state").unwrap();
    service.set_row(ALICE, "state", "{");
    for _ in 0..5 {
        service.pass(60);
        service.wake();
        assert!(service.world.state.borrow().alarms.contains_key(ALICE));
    }
    service.set_row(ALICE, "state", &state);
    service.pass(60);
    service.wake();
    assert!(shows(&service, &long));
}

/// If KV refuses one write, as it does when a key is written too often, a second write follows, and the caller gets
/// success.
#[test]
fn a_refused_write_is_retried() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    service.world.fail(|nth, part| (part == Part::Store && nth < 2).then_some(Fault::Nothing));
    service.send(&revocation(&long, &long.id)).is(204, "");
    assert!(shows(&service, &long));
}

/// A write of an older value times out and lands later. Whenever it lands, the next rewrite repairs KV.
#[test]
fn a_write_that_lands_late() {
    for (landing, repaired) in [(0, 60), (59, 60), (61, 300), (299, 300), (301, 3_600), (3_599, 3_600)] {
        let service = Service::new();
        let long = service.long_token("tokens:write");
        let other = service.long_token("tokens:write");
        let short = service.short_token(&long);
        // A retirement, whose write times out.
        assert_eq!(host::run(service.respond(&rotation(&short))).status, 201);
        service.world.fail(|_, part| (part == Part::Store).then_some(Fault::Late));
        service.wake();
        service.world.recover();
        // A revocation that is confirmed.
        service.send(&revocation(&other, &other.id)).is(204, "");
        assert!(shows(&service, &other));
        service.pass(landing);
        service.wake();
        assert!(service.world.land() > 0);
        assert!(!shows(&service, &other), "the late write does not contain the revocation");
        service.now.set(NOW + repaired);
        service.wake();
        assert!(shows(&service, &other), "{landing}");
        assert!(!is_accepted(&service, &other));
    }
}

/// The runtime evicts an idle object after seconds, so each rewrite falls to a new instance. That instance finds it
/// due, although an earlier one scheduled it.
#[test]
fn rewrites_are_made_by_new_instances_too() {
    let service = Service::new();
    let [long, other] = [0; 2].map(|_| service.long_token("jobs:submit"));
    service.world.fail(|_, part| (part == Part::Store).then_some(Fault::Late));
    service.send(&revocation(&long, &long.id)).is(503, "temporarily_unavailable");
    service.world.recover();
    service.send(&revocation(&other, &other.id)).is(204, "");
    assert!(service.world.land() > 0);
    assert!(!shows(&service, &other), "the late write does not contain the revocation");
    let mut written = Vec::new();
    for second in 0..2 * 3_600 {
        let before = writes(&service);
        service.wake();
        service.world.crash();
        written.extend((before..writes(&service)).map(|_| second));
        service.pass(1);
    }
    assert!(shows(&service, &other), "{written:?}");
    assert_eq!(written, [60, 300, 3_600], "after a minute, five minutes and an hour");
    assert!(service.world.state.borrow().alarms.is_empty(), "no further rewrite");
}

/// A hundred concurrent revocations share their writes.
#[test]
fn a_hundred_revocations_at_once() {
    for takes in [0, 300, 900] {
        let service = Service::new();
        let tokens: Vec<_> = (0..100).map(|_| service.long_token("jobs:submit")).collect();
        let requests: Vec<_> = tokens.iter().map(|token| revocation(token, &token.id)).collect();
        service.world.write_takes.set(takes);
        for apart in [0, 5] {
            let before = writes(&service);
            let sent: Vec<_> = (0..).zip(&requests).map(|(nth, request)| (nth * apart, request)).collect();
            for (answer, took) in service.send_in_time(&sent) {
                answer.is(204, "");
                assert!(took <= 5_000, "{took}");
            }
            assert!(writes(&service) - before <= 5, "{}", writes(&service) - before);
        }
        for token in &tokens {
            assert!(!service.is_alive(token));
        }
    }
}

/// KV takes one write per key and second.
#[test]
fn writes_of_one_client_are_a_second_apart() {
    let service = Service::new();
    let tokens: Vec<_> = (0..60).map(|_| service.long_token("jobs:submit")).collect();
    let requests: Vec<_> = tokens.iter().map(|token| revocation(token, &token.id)).collect();
    service.world.write_takes.set(150);
    let sent: Vec<_> = (0..).zip(&requests).map(|(nth, request)| (nth * 100, request)).collect();
    for (answer, took) in service.send_in_time(&sent) {
        answer.is(204, "");
        assert!(took < 2_600, "{took}");
    }
    let at = service.world.written_at.borrow();
    assert!((5..=8).contains(&at.len()), "{at:?}");
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= 1_000), "{at:?}");
}

/// A write that takes 3 seconds delays only the calls that need it.
#[test]
fn a_slow_write_delays_no_call_that_does_not_need_it() {
    let desk = Desk::new();
    let service = &desk.service;
    let [one, two, three] = [0; 3].map(|_| service.long_token("tokens:write tokens:revoke"));
    let short = service.short_token(&two);
    let apart = service.short_token(&two);
    service.world.write_takes.set(2_900);
    let slow = revocation(&one, &one.id);
    let others = [
        by_secret(),
        service.code(),
        exchange(&two),
        rotation(&short),
        revocation(&apart, &apart.id),
        desk.request("GET", "/c2m_abc123"),
        desk.request("PATCH", "/c2m_abc123").json(&json!({"client_name": "Alice"})),
        desk.request("POST", "/c2m_abc123/totp"),
        desk.request("DELETE", "/c2m_abc123/secrets/old"),
        desk.request("POST", "/c2m_abc123/secrets"),
    ];
    let needs_it = revocation(&three, &three.id);
    let mut requests = vec![(0, &slow)];
    // In sequence, since a later request replaces the seed of the code.
    requests.extend((490..).zip(&others));
    requests.push((500, &needs_it));
    let mut answers = service.send_in_time(&requests);
    let (answer, took) = answers.pop().unwrap();
    answer.is(204, "");
    assert!(took > 2_400, "it waits for the next write: {took}");
    assert_eq!((answers[0].0.status, answers[0].1), (204, 2_900));
    for ((answer, took), request) in answers[1..].iter().zip(&others) {
        assert!(answer.status < 300, "{request:?} {answer:?}");
        assert_eq!(*took, 0, "{request:?}");
    }
}

/// A repeat of what KV already shows needs no write, so it succeeds at once, even while KV is down.
#[test]
fn a_repeat_of_a_published_change_waits_for_nothing() {
    let service = Service::new();
    let [one, two, three] = [0; 3].map(|_| service.long_token("tokens:write"));
    service.send(&revocation(&one, &one.id)).is(204, "");
    service.world.write_takes.set(2_900);
    let (slow, repeat) = (revocation(&two, &two.id), revocation(&one, &one.id));
    let answers = service.send_in_time(&[(0, &slow), (500, &repeat)]);
    assert_eq!((answers[1].0.status, answers[1].1), (204, 0));
    service.world.write_takes.set(0);
    // An unpublished retirement does not delay the repeat either.
    let short = service.short_token(&three);
    service.world.fail_part(Part::Store);
    assert_eq!(service.send(&rotation(&short)).status, 201);
    service.send(&repeat).is(204, "");
}

/// A write that hangs times out after 3 seconds: the caller gets 503, and the alarm retries.
#[test]
fn a_write_that_hangs() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    service.world.write_takes.set(20_000);
    let request = revocation(&long, &long.id);
    let answers = service.send_in_time(&[(0, &request), (100, &request)]);
    for (answer, took) in &answers {
        answer.is(503, "temporarily_unavailable");
        assert!(*took <= 6_500, "{took}");
    }
    service.world.write_takes.set(0);
    service.now.set(service.world.millis.get() / 1000 + 5);
    service.wake();
    assert!(shows(&service, &long));
}

#[test]
fn a_retirement_delays_no_answer() {
    let service = Service::new();
    let [one, two] = [0; 2].map(|_| service.long_token("tokens:write tokens:revoke"));
    let (first, second) = (service.short_token(&one), service.short_token(&two));
    service.world.write_takes.set(2_900);
    let (rotate, revoke, again) = (rotation(&first), revocation(&two, &two.id), rotation(&first));
    let answers = service.send_in_time(&[(0, &rotate), (10, &revoke), (20, &again)]);
    assert_eq!((answers[0].0.status, answers[0].1), (201, 0));
    assert_eq!((answers[2].0.status, answers[2].1), (201, 0));
    service.world.fail_part(Part::Store);
    service.send(&rotation(&second)).is(401, "invalid_token");
    assert_eq!(service.send(&rotation(&first)).status, 201);
    service.world.recover();
    // The alarm writes the retirement at once, and again when it has come, so that no location's slow clock postpones
    // it.
    service.pass(60);
    service.wake();
    let end = |at: u64| format!("{}={at}", &one.id[7..29]);
    let ends = service.replica(ALICE)["ends"].as_str().unwrap().to_owned();
    let at: u64 = ends.split(&end(0)[..23]).nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert!((NOW + DAY..NOW + DAY + 10).contains(&at), "{ends}");
    service.now.set(at);
    service.wake();
    assert!(service.replica(ALICE)["ends"].as_str().unwrap().contains(&end(0)));
}

/// With more ends than are listed, the value says "ask the object", and stays small.
#[test]
fn more_ends_than_are_listed() {
    let service = Service::new();
    let keys = &service.settings.keys;
    let live = service.long_token("jobs:submit");
    let caller = service.long_token("tokens:revoke");
    let end = |nth: u32| {
        let mut random = [0; 12];
        random[..4].copy_from_slice(&nth.to_be_bytes());
        let id = TokenId::mint(keys.token_id.first(), Kind::Long, ALICE, NOW + 3_600, random);
        service.send(&revocation(&caller, id.as_str())).is(204, "");
    };
    let cost = |request: &Request| {
        service.world.forget_replicas();
        service.world.forget_calls();
        let answer = service.send(request);
        (answer.status, service.world.parts_called())
    };
    (0..256).for_each(end);
    assert_eq!(cost(&exchange(&live)), (201, vec![Limit, Replica, Sign]));
    end(256);
    let value = service.world.writes.borrow().last().unwrap().clone();
    assert!(value.len() < 32_000);
    assert_eq!((&service.replica(ALICE)["is_full"], &service.replica(ALICE)["ends"]), (&json!(true), &json!("")));
    assert_eq!(cost(&exchange(&live)), (201, vec![Limit, Replica, Object, Sign]));
    let dead = service.long_token("jobs:submit");
    service.send(&revocation(&dead, &dead.id)).is(204, "");
    assert_eq!(cost(&exchange(&dead)), (401, vec![Limit, Replica, Object]));
    // A day later those tokens have expired.
    service.pass(DAY + 60);
    service.wake();
    assert_eq!(cost(&exchange(&live)), (201, vec![Limit, Replica, Sign]));
    assert!(!is_accepted(&service, &dead), "a revocation of a live token is still listed");
}

/// A creation waits only for the object. KV gets the value soon after.
#[test]
fn a_creation_waits_for_nothing() {
    let desk = Desk::new();
    desk.service.world.fail_part(Part::Store);
    let made = desk.create(&json!({"client_id": "carol", "scopes": ["jobs:a"], "mechanisms": ["secret"]}));
    let secret = made.body["client_secret"].as_str().unwrap().to_owned();
    // With no value in KV the exchange asks the object.
    let long = desk.service.send(&crate::operators::by("carol", &secret)).token();
    assert!(desk.service.is_alive(&long));
    assert_eq!(desk.send("POST", "/carol/secrets").status, 201);
    desk.service.world.recover();
    desk.service.pass(60);
    desk.service.wake();
    assert_eq!(desk.service.replica("carol")["status"], "active");
}

// A change of a client that was answered 503

fn patch(desk: &Desk, body: &serde_json::Value, etag: &str) -> Answer {
    desk.service.send(&desk.request("PATCH", "/c2m_abc123").json(body).if_match(etag))
}

#[test]
fn a_patch_is_repeated_with_the_validator_from_before() {
    let desk = Desk::new();
    let service = &desk.service;
    let before = desk.etag(ALICE);
    let suspend = json!({"status": "suspended"});
    service.world.fail_part(Part::Store);
    patch(&desk, &suspend, &before).is(503, "temporarily_unavailable");
    patch(&desk, &suspend, &before).is(503, "temporarily_unavailable");
    assert_eq!(desk.show(ALICE).body["status"], "suspended", "the change is stored");
    // With that ETag, only a repeat of the change is accepted.
    patch(&desk, &json!({"status": "active"}), &before).is(412, "precondition_failed");
    patch(&desk, &json!({"client_name": "x"}), &before).is(412, "precondition_failed");
    patch(&desk, &suspend, "\"other\"").is(412, "precondition_failed");
    service.world.recover();
    let answer = patch(&desk, &suspend, &before);
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("suspended")));
    assert_eq!(answer.header("ETag"), Some(desk.etag(ALICE).as_str()));
    assert_eq!(service.replica(ALICE)["status"], "suspended");
    // The change has been answered 200, so another repeat is a new change.
    patch(&desk, &suspend, &before).is(412, "precondition_failed");
}

/// The repeat succeeds although the alarm has published the change before it.
#[test]
fn a_patch_is_repeated_after_the_alarm_has_published_it() {
    let desk = Desk::new();
    let before = desk.etag(ALICE);
    let narrow = json!({"scopes": ["jobs:submit"]});
    desk.service.world.fail_part(Part::Store);
    patch(&desk, &narrow, &before).is(503, "temporarily_unavailable");
    desk.service.world.recover();
    desk.service.pass(60);
    desk.service.wake();
    assert_eq!(desk.service.replica(ALICE)["scopes"], json!(["jobs:submit"]));
    assert_eq!(patch(&desk, &narrow, &before).status, 200);
}

/// A repeat with another body also waits for KV.
#[test]
fn a_repeat_with_another_body_waits_too() {
    let suspend = json!({"status": "suspended"});
    let named = json!({"status": "suspended", "client_name": "Alice"});
    for between in [None, Some(json!({"client_name": "Mallory"}))] {
        for repeat in [&suspend, &named] {
            let desk = Desk::new();
            desk.service.world.fail_part(Part::Store);
            desk.patch(ALICE, &suspend).is(503, "temporarily_unavailable");
            if let Some(between) = &between {
                desk.patch(ALICE, between);
            }
            desk.patch(ALICE, repeat).is(503, "temporarily_unavailable");
            desk.service.world.recover();
            assert_eq!(desk.patch(ALICE, repeat).status, 200);
            assert_eq!(desk.service.replica(ALICE)["status"], "suspended");
        }
    }
}

/// A restored client is active at once, and a repeat of the suspension that was answered 503 does not suspend it again.
#[test]
fn a_restored_client_is_not_suspended_by_a_repeat() {
    let desk = Desk::new();
    let before = desk.etag(ALICE);
    let suspend = json!({"status": "suspended"});
    desk.service.world.fail_part(Part::Store);
    patch(&desk, &suspend, &before).is(503, "temporarily_unavailable");
    assert_eq!(desk.patch(ALICE, &json!({"status": "active"})).status, 200);
    patch(&desk, &suspend, &before).is(412, "precondition_failed");
    desk.service.world.recover();
    desk.service.pass(60);
    desk.service.wake();
    assert_eq!(desk.service.replica(ALICE)["status"], "active");
}
