//! Whether an exchange asks KV or the object, and at which location a change takes effect: for `immediate` and
//! `eventual` clients, with all services up, and with KV or the object down.

use auth_edge::scope::Scopes;
use serde_json::{Value, json};

use crate::host::Part::{self, Limit, Object, Replica, Sign};
use crate::operators::Desk;
use crate::service::{
    ALICE, BOB, NOW, Request, Service, bob_by_secret, by_secret, clients, exchange, post, revocation, root_by_secret,
    rotation,
};
use crate::sign::Key;

fn cost(service: &Service, request: &Request) -> (u16, Vec<Part>) {
    service.world.forget_replicas();
    service.world.forget_calls();
    let status = service.send(request).status;
    (status, service.world.parts_called())
}

/// Each change of an `immediate` client takes effect at once, at a location whose KV never shows a write.
#[test]
fn everything_of_an_immediate_client_holds_at_once_everywhere() {
    type Change = fn(&Desk, &crate::service::Token);
    let changes: [Change; 5] = [
        |desk, long| assert_eq!(desk.service.send(&revocation(long, &long.id)).status, 204),
        |desk, _| assert_eq!(desk.patch(ALICE, &json!({"status": "suspended"})).status, 200),
        |desk, _| assert_eq!(desk.send("POST", "/c2m_abc123/end-tokens").status, 204),
        |desk, _| assert_eq!(desk.send("DELETE", "/c2m_abc123").status, 204),
        |desk, _| assert_eq!(desk.patch(ALICE, &json!({"scopes": ["billing:read"]})).status, 200),
    ];
    for (nth, change) in changes.into_iter().enumerate() {
        let desk = Desk::new();
        desk.service.make_immediate(ALICE);
        let there = desk.service.elsewhere();
        there.world.lag(|| true);
        desk.service
            .world
            .fail(|_, part| matches!(part, Replica | Part::Store | Part::List).then_some(crate::host::Fault::Nothing));
        let long = desk.service.long_token("tokens:write");
        let short = there.short_token(&long);
        assert!(there.is_alive(&long));
        change(&desk, &long);
        let exchanged = there.send(&exchange(&long));
        assert!(matches!(exchanged.status, 400 | 401), "{nth}");
        assert!(matches!(there.send(&rotation(&short)).status, 401 | 403), "{nth}");
        assert!(!desk.service.world.parts_called().contains(&Replica));
    }
}

/// For an `eventual` client, a change takes effect at once in every operation but an exchange.
#[test]
fn an_eventual_clients_change_holds_at_once_except_in_exchanges() {
    let desk = Desk::new();
    desk.patch(BOB, &json!({"scopes": ["tokens:introspect"]}));
    let there = desk.service.elsewhere();
    let api = there.send(&bob_by_secret()).token();
    let introspect = |token: &str| {
        let request = post("/v1/auth/tokens/introspect").bearer(&api.token).form(&format!("token={token}"));
        there.send(&request).body["active"].as_bool().unwrap()
    };
    there.world.lag(|| true);
    let long = desk.service.long_token("tokens:write tokens:revoke");
    let (one, two) = (there.short_token(&long), there.short_token(&long));
    desk.service.send(&revocation(&one, &one.id)).is(204, "");
    assert!(!introspect(&one.token) && introspect(&two.token));
    there.send(&rotation(&one)).is(401, "invalid_token");
    desk.service.send(&revocation(&long, &long.id)).is(204, "");
    assert!(!introspect(&two.token));
    there.send(&rotation(&two)).is(401, "invalid_token");
    there.send(&revocation(&two, "x")).is(401, "invalid_token");
    // The exchange reads KV, but its token is refused wherever the object is asked.
    let late = there.send(&exchange(&long)).token();
    assert!(!introspect(&late.token));
    there.send(&rotation(&late)).is(401, "invalid_token");
    desk.patch(ALICE, &json!({"status": "suspended"}));
    there.send(&by_secret()).is(403, "unauthorized_client");
    desk.patch(ALICE, &json!({"status": "active"}));
    let short = there.short_token(&there.long_token("tokens:write"));
    desk.send("POST", "/c2m_abc123/end-tokens");
    assert!(!introspect(&short.token));
    there.send(&rotation(&short)).is(401, "invalid_token");
}

/// An `immediate` client's exchange refuses a retired token from the second of its retirement on, by the object's
/// clock.
#[test]
fn a_retirement_of_an_immediate_client() {
    let service = Service::with(&[("ROTATION_GRACE_SECONDS", "60".to_owned())]);
    service.make_immediate(ALICE);
    let long = service.long_token("tokens:write");
    service.send(&rotation(&service.short_token(&long))).token();
    service.pass(59);
    assert_eq!(service.send(&exchange(&long)).body["expires_in"], 1);
    service.pass(1);
    service.send(&exchange(&long)).is(401, "invalid_token");
    assert!(service.world.writes.borrow().is_empty());
    // An instance whose clock is behind does not undo it.
    service.world.crash();
    service.now.set(NOW + 30);
    service.world.millis.set((NOW + 30) * 1000);
    service.send(&exchange(&long)).is(401, "invalid_token");
}

/// Once the switch to `immediate` is answered, the object decides about older tokens too, since KV's value says so.
#[test]
fn the_switch_to_immediate() {
    let desk = Desk::new();
    let service = &desk.service;
    let old = service.long_token("tokens:write");
    assert_eq!(cost(service, &exchange(&old)), (201, vec![Limit, Replica, Sign]));
    service.world.fail_part(Part::Store);
    desk.patch(ALICE, &json!({"consistency": "immediate"})).is(503, "temporarily_unavailable");
    // It is stored, but exchanges of such tokens still read KV, so ends still wait for KV.
    assert_eq!(desk.show(ALICE).body["consistency"], "immediate");
    let other = service.long_token("tokens:write");
    service.send(&revocation(&old, &old.id)).is(503, "temporarily_unavailable");
    service.world.recover();
    assert_eq!(desk.patch(ALICE, &json!({"consistency": "immediate"})).status, 200);
    assert_eq!(service.replica(ALICE)["consistency"], "immediate");
    assert_eq!(cost(service, &exchange(&old)), (401, vec![Limit, Replica, Object]));
    assert_eq!(
        cost(service, &exchange(&other)),
        (201, vec![Limit, Object, Sign]),
        "a token issued after the switch says `immediate` itself"
    );
    // From now on KV is not needed.
    service.world.fail_part(Part::Store);
    service.send(&revocation(&other, &other.id)).is(204, "");
    assert_eq!(desk.patch(ALICE, &json!({"status": "suspended"})).status, 200);
    // After the switch back, the object still decides about such a token.
    service.world.recover();
    desk.patch(ALICE, &json!({"status": "active"}));
    let immediate = service.long_token("tokens:write");
    assert_eq!(desk.patch(ALICE, &json!({"consistency": "eventual"})).status, 200);
    service.wake();
    assert_eq!(cost(service, &exchange(&immediate)), (201, vec![Limit, Object, Sign]));
    assert_eq!(cost(service, &exchange(&service.long_token("jobs:submit"))), (201, vec![Limit, Replica, Sign]));
    service.send(&exchange(&other)).is(401, "invalid_token");
}

/// A retirement from before the switch back to `eventual`: when it is due, KV lists the token as ended, no longer with
/// a time.
#[test]
fn a_retirement_of_an_immediate_client_that_becomes_eventual() {
    let desk = Desk::at(Service::with(&[("ROTATION_GRACE_SECONDS", "60".to_owned())]));
    let service = &desk.service;
    desk.patch(ALICE, &json!({"consistency": "immediate"}));
    let long = service.long_token("tokens:write");
    service.send(&rotation(&service.short_token(&long))).token();
    desk.patch(ALICE, &json!({"consistency": "eventual"}));
    service.wake();
    assert_eq!(service.replica(ALICE)["ends"], format!("{}={}", &long.id[7..29], NOW + 60));
    service.pass(61);
    service.wake();
    assert_eq!(service.replica(ALICE)["ends"], format!("{}=0", &long.id[7..29]));
}

/// If KV is down, or its value is missing or unreadable, the object decides.
#[test]
fn the_object_decides_without_a_value_in_kv() {
    let service = Service::new();
    let (live, dead) = (service.long_token("jobs:submit"), service.long_token("jobs:submit"));
    service.send(&revocation(&dead, &dead.id)).is(204, "");
    let good = service.replica(ALICE);
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        changed.to_string()
    };
    let without = |name: &str| {
        let mut changed = good.clone();
        changed.as_object_mut().unwrap().remove(name);
        changed.to_string()
    };
    let mut values: Vec<String> = ["", "null", "{}", "[]", "x", "\"\"", "7"].map(str::to_owned).into();
    values.extend(["version", "status", "tokens_valid_from", "scopes", "consistency", "ends", "is_full"].map(without));
    values.extend([
        with("version", json!(2)),
        with("status", json!("happy")),
        with("tokens_valid_from", json!(-1)),
        with("scopes", json!(["JOBS"])),
        with("consistency", json!("strong")),
        with("ends", json!(null)),
        with("is_full", json!(true)),
        with("other", json!(1)),
        good.to_string()[..good.to_string().len() - 1].to_owned(),
    ]);
    let (ok, refused) = (vec![Limit, Replica, Object, Sign], vec![Limit, Replica, Object]);
    let is_right = |what: &str| {
        assert_eq!(cost(&service, &exchange(&live)), (201, ok.clone()), "{what}");
        assert_eq!(cost(&service, &exchange(&dead)), (401, refused.clone()), "{what}");
    };
    for value in &values {
        service.set_replica(ALICE, value);
        is_right(value);
    }
    service.world.state.borrow_mut().replicas.clear();
    is_right("no value");
    service.set_replica(ALICE, &good.to_string());
    service.world.fail_part(Replica);
    is_right("down");
    service.world.recover();
    // A malformed entry for the revoked token.
    service.set_replica(ALICE, &with("ends", json!(format!("{}=soon", &dead.id[7..29]))));
    assert_eq!(cost(&service, &exchange(&dead)), (401, refused.clone()));
    assert_eq!(cost(&service, &exchange(&live)).0, 201);
}

/// While the object is down, an `eventual` client's exchange works by KV. Everything else is 503.
#[test]
fn the_object_is_down() {
    let desk = Desk::new();
    let service = &desk.service;
    let (live, dead) = (service.long_token("tokens:write tokens:revoke"), service.long_token("jobs:submit"));
    let short = service.short_token(&live);
    service.send(&revocation(&dead, &dead.id)).is(204, "");
    service.make_immediate(BOB);
    let immediate = service.send(&bob_by_secret()).token();
    let requests = [
        by_secret(),
        service.code(),
        service.assertion(Key::Ed, "j"),
        rotation(&short),
        revocation(&live, &live.id),
        revocation(&short, &short.id),
        post("/v1/auth/tokens/introspect").bearer(&live.token).form("token=x"),
        exchange(&immediate),
        clients("GET", "").bearer(&desk.root.token),
        clients("GET", "/c2m_bob").bearer(&desk.root.token),
        clients("DELETE", "/c2m_bob").bearer(&desk.root.token),
        root_by_secret(),
    ];
    service.world.fail_part(Object);
    assert!(service.is_alive(&live) && !service.is_alive(&dead));
    for request in &requests {
        service.send(request).is(503, "temporarily_unavailable");
    }
    // Both are down.
    service.world.fail(|_, part| matches!(part, Object | Replica).then_some(crate::host::Fault::Nothing));
    service.world.forget_replicas();
    for request in [exchange(&live), exchange(&dead), exchange(&immediate)] {
        service.send(&request).is(503, "temporarily_unavailable");
    }
    service.world.recover();
    for request in [exchange(&live), exchange(&immediate), by_secret()] {
        service.send(&request).token();
    }
}

/// KV is down, for reads and writes: calls that don't need it work.
#[test]
fn kv_is_down() {
    let desk = Desk::new();
    let service = &desk.service;
    service.make_immediate(BOB);
    service.change(ALICE, |client| client.scopes = Scopes::parse_claim("tokens:*").unwrap());
    let long = service.long_token("tokens:*");
    let short = service.short_token(&long);
    service
        .world
        .fail(|_, part| matches!(part, Replica | Part::Store | Part::List).then_some(crate::host::Fault::Nothing));
    service.world.forget_replicas();
    let bobs = service.send(&bob_by_secret()).token();
    for (request, status) in [
        (by_secret(), 201),
        (service.code(), 201),
        (service.assertion(Key::Ed, "j"), 201),
        (rotation(&short), 201),
        (exchange(&long), 201),
        (exchange(&bobs), 201),
        (post("/v1/auth/tokens/introspect").bearer(&long.token).form("token=x"), 200),
        (revocation(&short, &short.id), 204),
        (revocation(&bobs, &bobs.id), 204),
        (clients("GET", "/c2m_bob").bearer(&desk.root.token), 200),
        (clients("PATCH", "/c2m_bob").bearer(&desk.root.token).json(&json!({"status": "suspended"})), 200),
        (clients("POST", "/c2m_bob/end-tokens").bearer(&desk.root.token), 204),
        (clients("POST", "/c2m_abc123/totp").bearer(&desk.root.token), 201),
        (clients("DELETE", "/c2m_bob").bearer(&desk.root.token), 204),
        (clients("GET", "").bearer(&desk.root.token), 503),
        (revocation(&long, &long.id), 503),
        (clients("DELETE", "/c2m_abc123").bearer(&desk.root.token), 503),
    ] {
        let answer = service.send(&request);
        assert_eq!(answer.status, status, "{request:?} {answer:?}");
    }
}

/// An isolate drops its cached replica when a call through it changes the client, and a read that was in progress then
/// is not cached.
#[test]
fn a_replica_is_cached_until_the_client_changes() {
    use std::pin::pin;

    use crate::host;

    let service = Service::new();
    let long = service.long_token("jobs:submit");
    assert!(service.is_alive(&long));
    service.send(&revocation(&long, &long.id)).is(204, "");
    service.send(&exchange(&long)).is(401, "invalid_token");

    let there = service.elsewhere();
    let long = service.long_token("jobs:submit");
    there.world.lag(|| true);
    let request = exchange(&long);
    let mut reading = pin!(there.respond(&request));
    host::run_up_to(&there.world, &[Replica], reading.as_mut());
    let revoke = revocation(&long, &long.id);
    {
        let mut revoking = pin!(there.respond(&revoke));
        assert!(host::run_on(&there.world, revoking.as_mut()).is_some_and(|answer| answer.status == 204));
    }
    host::let_go(&there.world);
    assert!(host::run_on(&there.world, reading.as_mut()).is_some_and(|answer| answer.status == 201), "KV lags");
    there.world.lag(|| false);
    there.send(&exchange(&long)).is(401, "invalid_token");

    // Another isolate uses its cached replica for a quarter of a second, no longer.
    let there = service.elsewhere();
    let long = service.long_token("jobs:submit");
    assert!(there.is_alive(&long));
    service.send(&revocation(&long, &long.id)).is(204, "");
    let now = service.world.millis.get();
    assert!(there.is_alive(&long));
    service.world.millis.set(now + 250);
    assert!(!there.is_alive(&long));
}
