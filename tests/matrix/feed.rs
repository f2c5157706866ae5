//! `GET /.well-known/revocations`: an API that verifies offline learns of every end, and of nothing else.

use auth_edge::app::{self, Route};
use auth_edge::client::Status;
use auth_edge::feed::{Kind, key};
use auth_edge::request::{Body, Call};
use auth_edge::scope::Scopes;
use serde_json::{Value, json};

use crate::host::{self, Part};
use crate::operators::Desk;
use crate::service::{ALICE, BOB, DAY, ISSUER, NOW, Request, Service, bob_by_secret, post, revocation, rotation};
use crate::sign::decode;

const PATH: &str = "/.well-known/revocations";
const FOR_EVER: u64 = 253_402_300_799;

/// A response with the feed: status, headers and payload.
struct Fetched {
    status: u16,
    headers: Vec<(&'static str, String)>,
    text: String,
}

impl Fetched {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(other, _)| *other == name).map_or("", |(_, value)| value)
    }

    fn payload(&self) -> Value {
        serde_json::from_slice(&decode(self.text.split('.').nth(1).unwrap())).unwrap()
    }
}

/// Requests the feed, after the alarms that are due.
fn fetch(service: &Service, query: &str, authorization: Option<&str>, if_none_match: Option<&str>) -> Fetched {
    service.wake();
    let route = Route::find(&service.settings, "GET", PATH);
    let Ok(route) = route else { return Fetched { status: 404, headers: Vec::new(), text: String::new() } };
    let call = Call {
        origin: ISSUER.to_owned(),
        query: query.to_owned(),
        authorization: authorization.map(str::to_owned),
        client_id_header: None,
        content_type: None,
        if_match: None,
        if_none_match: if_none_match.map(str::to_owned),
        accept_encoding: Some("gzip".to_owned()),
        body: Body::Read(Vec::new()),
        ip: "192.0.2.1".to_owned(),
        now: service.now.get(),
    };
    let read = async || (Body::Read(Vec::new()), service.now.get());
    let (response, audit) = host::run(app::handle(&service.settings, &service.world, &route, call, read));
    assert_eq!(audit.is_routine(), response.status < 400 && authorization.is_none());
    let text = response.body.map_or_else(String::new, |body| body.into_owned());
    Fetched { status: response.status, headers: response.headers, text }
}

/// The payload two seconds later, when the isolate's copy is too old to be served.
fn now(service: &Service) -> Value {
    service.pass(2);
    fetch(service, "", None, None).payload()
}

fn entry(payload: &Value, kind: Kind, id: &str) -> Option<u64> {
    let member = match kind {
        Kind::Token => "token",
        Kind::Parent => "parent",
        Kind::Client => "client",
    };
    let key = key(kind, id);
    let (name, hash) = key.split_once(':').unwrap();
    assert_eq!(name, member);
    payload["ended"][member][hash].as_u64()
}

#[test]
fn the_hash_is_pinned() {
    // The first 16 bytes of SHA-256 over `token:tok_st_1`, computed by another implementation.
    assert_eq!(key(Kind::Token, "tok_st_1"), "token:pOGwEcUNmHCksTFbLxXQyw");
    assert_ne!(key(Kind::Token, "x")["token:".len()..], key(Kind::Parent, "x")["parent:".len()..]);
}

#[test]
fn every_part_of_the_text() {
    let service = Service::new();
    let fetched = fetch(&service, "", None, None);
    assert_eq!(fetched.status, 200);
    assert_eq!(fetched.header("Content-Type"), "application/jwt");
    assert_eq!(fetched.header("Cache-Control"), "public, max-age=2");
    assert_eq!(fetched.header("X-Content-Type-Options"), "nosniff");
    let header: Value = serde_json::from_slice(&decode(fetched.text.split('.').next().unwrap())).unwrap();
    assert_eq!(header, json!({"alg": "EdDSA", "typ": "revocations+jwt", "kid": "s2"}));
    let expected = json!({"iss": ISSUER, "iat": NOW, "exp": NOW + 300, "seq": 0,
                          "ended": {"token": {}, "parent": {}, "client": {}}});
    assert_eq!(fetched.payload(), expected);
    let (message, signature) = fetched.text.rsplit_once('.').unwrap();
    let public = &service.settings.keys.short.first().public;
    assert!(host::verify(public, message.as_bytes(), &decode(signature)));
}

#[test]
fn an_end_is_there_when_its_revocation_is_answered() {
    let service = Service::new();
    let long = service.long_token("tokens:write tokens:revoke jobs:submit");
    let short = service.short_token(&long);
    let other = service.short_token(&long);
    service.send(&revocation(&short, &short.id)).is(204, "");
    let payload = now(&service);
    assert_eq!(entry(&payload, Kind::Token, &short.id), Some(NOW));
    assert_eq!(entry(&payload, Kind::Token, &other.id), None);
    assert_eq!(entry(&payload, Kind::Parent, &long.id), None);
    service.send(&revocation(&long, &long.id)).is(204, "");
    let payload = now(&service);
    assert_eq!(entry(&payload, Kind::Parent, &long.id), Some(NOW + 2));
    assert_eq!(payload["ended"]["token"].as_object().unwrap().len(), 1, "a long-term token is under parent alone");
    assert_eq!(payload["seq"], 2);
    // Reported twice, listed once.
    service.send(&revocation(&long, &long.id)).is(204, "");
    assert_eq!(now(&service)["seq"], 2);
}

#[test]
fn clients_that_end_are_restored_or_deleted() {
    let desk = Desk::new();
    let service = &desk.service;
    let long = service.long_token("jobs:submit");
    desk.patch(ALICE, &json!({"status": "suspended"}));
    assert_eq!(entry(&now(service), Kind::Client, ALICE), Some(FOR_EVER));
    desk.patch(ALICE, &json!({"status": "active"}));
    let valid_from = service.stored(ALICE).tokens_valid_from;
    assert_eq!(entry(&now(service), Kind::Client, ALICE), Some(valid_from));
    assert_eq!(desk.send("POST", "/c2m_abc123/end-tokens").status, 204);
    let valid_from = service.stored(ALICE).tokens_valid_from;
    assert!(valid_from > service.now.get());
    assert_eq!(entry(&now(service), Kind::Client, ALICE), Some(valid_from));
    assert_eq!(desk.send("DELETE", "/c2m_abc123").status, 204);
    assert_eq!(entry(&now(service), Kind::Client, ALICE), Some(FOR_EVER));
    assert!(!service.is_alive(&long));
    // The first operator ends its own tokens, which is reported too.
    let root = desk.service.settings.operator.as_ref().unwrap().client_id.clone();
    assert_eq!(desk.send("POST", &format!("/{root}/end-tokens")).status, 204);
    assert!(entry(&now(service), Kind::Client, &root).is_some());
}

#[test]
fn entries_stay_as_long_as_they_must() {
    let desk = Desk::new();
    let service = &desk.service;
    let long = service.long_token("jobs:submit");
    service.send(&revocation(&long, &long.id)).is(204, "");
    desk.patch(BOB, &json!({"status": "suspended"}));
    desk.patch(BOB, &json!({"status": "active"}));
    assert_eq!(desk.send("POST", "/c2m_abc123/end-tokens").status, 204);
    service.pass(3_590);
    let payload = now(service);
    assert!(entry(&payload, Kind::Parent, &long.id).is_some() && entry(&payload, Kind::Client, BOB).is_some());
    // A cached text may list it until that text expires.
    service.pass(160);
    let payload = now(service);
    assert_eq!((entry(&payload, Kind::Parent, &long.id), entry(&payload, Kind::Client, BOB)), (None, None));
    assert!(entry(&payload, Kind::Client, ALICE).is_some());
    service.pass(89 * DAY);
    assert!(entry(&now(service), Kind::Client, ALICE).is_some());
    service.pass(DAY + 160);
    assert_eq!(entry(&now(service), Kind::Client, ALICE), None);
}

/// Neither a suspension nor its end shortens the 90 days of `end-tokens`; a suspension stays for as long as it lasts.
#[test]
fn a_restoration_keeps_what_end_tokens_ended() {
    let desk = Desk::new();
    let service = &desk.service;
    service.long_token("jobs:submit");
    assert_eq!(desk.send("POST", "/c2m_abc123/end-tokens").status, 204);
    let valid_from = service.stored(ALICE).tokens_valid_from;
    service.pass(10);
    desk.patch(ALICE, &json!({"status": "suspended"})).is(200, "");
    desk.patch(BOB, &json!({"status": "suspended"})).is(200, "");
    desk.patch(ALICE, &json!({"status": "active"})).is(200, "");
    // The alarm reports a restoration.
    service.pass(10);
    service.wake();
    service.pass(DAY);
    let payload = now(service);
    assert_eq!(entry(&payload, Kind::Client, ALICE), Some(valid_from));
    assert_eq!(entry(&payload, Kind::Client, BOB), Some(FOR_EVER));
}

#[test]
fn a_retirement_within_the_hour_is_reported_at_once() {
    for (grace, is_reported) in [(0, true), (3_599, true), (3_600, false), (86_400, false)] {
        let service = Service::with(&[("ROTATION_GRACE_SECONDS", grace.to_string())]);
        let long = service.long_token("tokens:write tokens:revoke");
        let short = service.short_token(&long);
        let next = service.send(&rotation(&short)).token();
        let listed = entry(&now(&service), Kind::Parent, &long.id);
        assert_eq!(listed, is_reported.then_some(NOW + grace), "{grace}");
        // Once the retirement has come, a revocation reports it.
        service.now.set(NOW + grace + 1);
        service.send(&revocation(&next, &long.id)).is(204, "");
        let listed = entry(&now(&service), Kind::Parent, &long.id);
        assert_eq!(listed, Some(if is_reported { NOW + grace } else { NOW + grace + 1 }), "{grace}");
    }
}

#[test]
fn since_gives_a_part_or_the_full_feed() {
    let service = Service::new();
    let ids: Vec<_> = (0..3)
        .map(|_| {
            let long = service.long_token("jobs:submit");
            service.send(&revocation(&long, &long.id)).is(204, "");
            long.id
        })
        .collect();
    let part = |query: &str| {
        service.pass(2);
        let payload = fetch(&service, query, None, None).payload();
        let seen: Vec<_> = ids.iter().map(|id| entry(&payload, Kind::Parent, id).is_some()).collect();
        (payload["since"].as_u64(), seen)
    };
    assert_eq!(part(""), (None, vec![true; 3]));
    assert_eq!(part("since=0"), (Some(0), vec![true; 3]));
    assert_eq!(part("since=1"), (Some(1), vec![false, true, true]));
    assert_eq!(part("since=3"), (Some(3), vec![false; 3]));
    for full in
        ["since=4", "since=-1", "since=x", "since=", "since=1.0", "since=1&since=1", "since=99999999999999999999"]
    {
        assert_eq!(part(full), (None, vec![true; 3]), "{full}");
    }
    // An entry after 1 was dropped, so the full feed is served.
    service.pass(3_700);
    assert_eq!(part("since=1").0, None);
    assert_eq!(part("since=3"), (Some(3), vec![false; 3]));
}

#[test]
fn a_text_is_cached_and_revalidated() {
    let service = Service::new();
    let first = fetch(&service, "", None, None);
    let etag = first.header("ETag").to_owned();
    service.world.forget_calls();
    for _ in 0..5 {
        let again = fetch(&service, "", None, Some(&etag));
        assert_eq!((again.status, again.text.as_str(), again.header("ETag")), (304, "", etag.as_str()));
    }
    assert_eq!(service.world.parts_called(), [], "a fresh copy is served without any call");
    // Without changes, the same text is served while more than 150 s of its validity are left.
    for (later, status) in [(2, 304), (149, 304), (150, 200), (299, 304), (300, 200)] {
        service.now.set(NOW + later);
        let etag = if later <= 150 { etag.clone() } else { last_etag(&service, later) };
        let fetched = fetch(&service, "", None, Some(&etag));
        assert_eq!(fetched.status, status, "{later}");
    }
    let fetched = fetch(&service, "", None, None);
    let payload = fetched.payload();
    assert!(payload["exp"].as_u64().unwrap() >= service.now.get() + 150);
    // A change is visible within two seconds.
    let long = service.long_token("jobs:submit");
    service.send(&revocation(&long, &long.id)).is(204, "");
    assert!(entry(&now(&service), Kind::Parent, &long.id).is_some());
}

/// The `ETag` of the text that was signed at 150 s.
fn last_etag(service: &Service, later: u64) -> String {
    service.now.set(NOW + later.min(299));
    let etag = fetch(service, "", None, None).header("ETag").to_owned();
    service.now.set(NOW + later);
    etag
}

#[test]
fn who_may_read_it() {
    let feed = |mode: &str| Service::with(&[("REVOCATION_FEED", mode.to_owned())]);
    assert_eq!(fetch(&feed("off"), "", None, None).status, 404);
    let service = feed("private");
    service.change(BOB, |client| client.scopes = Scopes::parse_claim("tokens:introspect jobs:read").unwrap());
    assert_eq!(fetch(&service, "", None, None).status, 401);
    for (scopes, status) in [("jobs:read", 401), ("tokens:introspect", 200)] {
        let caller = service.send(&bob_by_secret().scopes(scopes)).token();
        let fetched = fetch(&service, "", Some(&format!("Bearer {}", caller.token)), None);
        assert_eq!(fetched.status, status);
        if status == 200 {
            assert_eq!(fetched.header("Cache-Control"), "private, max-age=2");
        }
    }
    // With the feed off, nothing is reported or awaited.
    let service = feed("off");
    service.world.fail_part(Part::Feed);
    let long = service.long_token("jobs:submit");
    service.send(&revocation(&long, &long.id)).is(204, "");
    assert!(!service.world.parts_called().contains(&Part::Feed));
}

/// While the feed is down, a revocation is answered 503 but stored, and the alarm reports it later. Calls that need no
/// feed work.
#[test]
fn the_feed_is_down() {
    let desk = Desk::new();
    let service = &desk.service;
    let [long, other] = [0; 2].map(|_| service.long_token("tokens:write tokens:revoke jobs:submit"));
    let short = service.short_token(&long);
    service.world.fail_part(Part::Feed);
    assert_eq!(fetch(service, "", None, None).status, 503);
    let requests: [Request; 3] = [
        revocation(&short, &short.id),
        revocation(&long, &long.id),
        desk.request("PATCH", "/c2m_bob").json(&json!({"status": "suspended"})),
    ];
    for request in &requests {
        service.send(request).is(503, "temporarily_unavailable");
        service.send(request).is(503, "temporarily_unavailable");
    }
    assert!(!service.is_alive(&long) && service.is_alive(&other), "the revocation is stored");
    assert_eq!(service.stored(BOB).status, Status::Suspended);
    desk.patch(ALICE, &json!({"client_name": "Alice"})).is(200, "");
    service.world.recover();
    // No caller repeats it, and the object dies in between.
    service.world.crash();
    service.pass(30);
    service.wake();
    let payload = now(service);
    assert!(entry(&payload, Kind::Token, &short.id).is_some());
    assert!(entry(&payload, Kind::Parent, &long.id).is_some());
    assert_eq!(entry(&payload, Kind::Client, BOB), Some(FOR_EVER));
    for request in &requests {
        assert!(service.send(request).status < 300, "{request:?}");
    }
}

/// A repeat needs no report if the feed already has the end, so it succeeds while the feed is down.
#[test]
fn a_repeat_of_a_reported_end_waits_for_nothing() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    service.send(&revocation(&long, &long.id)).is(204, "");
    service.world.fail_part(Part::Feed);
    service.send(&revocation(&long, &long.id)).is(204, "");
}

/// No client can fill the feed: from its 1,001st revoked short-term token within an hour on, its revocations of
/// short-term tokens are answered 503, and no other calls are.
#[test]
fn no_client_fills_the_feed() {
    let service = Service::new();
    let key = service.settings.keys.token_id.first();
    let caller = service.long_token("tokens:revoke");
    let id = |nth: u32| {
        let mut random = [7; 12];
        random[..4].copy_from_slice(&nth.to_be_bytes());
        auth_edge::token_id::TokenId::mint(key, auth_edge::token_id::Kind::Short, ALICE, NOW + 900, random)
    };
    for nth in 0..1_000 {
        host::run(service.respond(&revocation(&caller, id(nth).as_str()))).is(204, "");
    }
    service.pass(2);
    let fetched = fetch(&service, "", None, None);
    assert_eq!((fetched.header("Content-Encoding"), fetched.header("Vary")), ("gzip", "Accept-Encoding"));
    assert_eq!(fetched.payload()["ended"]["token"].as_object().unwrap().len(), 1_000);
    let refused = service.send(&revocation(&caller, id(1_000).as_str()));
    refused.is(503, "temporarily_unavailable");
    let retry_after: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!((3_590..=3_600).contains(&retry_after), "{retry_after}");
    service.send(&revocation(&caller, id(7).as_str())).is(204, "");
    let long = service.long_token("jobs:submit");
    service.send(&revocation(&long, &long.id)).is(204, "");
    let bobs = service.short_token(&service.send(&bob_by_secret()).token());
    service.send(&revocation(&bobs, &bobs.id)).is(204, "");
    service.pass(3_601);
    let caller = service.long_token("tokens:revoke");
    let short = service.short_token(&caller);
    service.send(&revocation(&caller, &short.id)).is(204, "");
}

/// Changes made while the feed was off are reported once it is on: by the alarm after the next call about the client,
/// or before the answer to a repeat.
#[test]
fn a_feed_that_was_off_catches_up() {
    let feed = |mode: &str| [("REVOCATION_FEED", mode.to_owned())];
    let mut desk = Desk::new();
    desk.patch(ALICE, &json!({"status": "suspended"}));
    assert_eq!(entry(&now(&desk.service), Kind::Client, ALICE), Some(FOR_EVER));
    desk.service = desk.service.deployed_with(&feed("off"));
    desk.patch(ALICE, &json!({"status": "active"})).is(200, "");
    desk.patch(BOB, &json!({"status": "suspended"})).is(200, "");
    desk.service.pass(10);
    desk.service.wake();
    desk.service = desk.service.deployed_with(&feed("public"));
    // The repeated suspension waits for the feed. For Alice, any read leads to the report.
    desk.patch(BOB, &json!({"status": "suspended"})).is(200, "");
    assert_eq!(entry(&now(&desk.service), Kind::Client, BOB), Some(FOR_EVER));
    assert_eq!(desk.send("GET", "/c2m_abc123").status, 200);
    desk.service.wake();
    let valid_from = desk.service.stored(ALICE).tokens_valid_from;
    assert_eq!(entry(&now(&desk.service), Kind::Client, ALICE), Some(valid_from));
}

/// The feed lists a revocation with a time that is not ahead of its own clock, however far the object's clock is ahead.
#[test]
fn an_end_is_not_ahead_of_the_feeds_clock() {
    let service = Service::new();
    let [first, second] = [0; 2].map(|_| service.long_token("jobs:submit"));
    service.send(&revocation(&first, &first.id)).is(204, "");
    service.now.set(NOW - 100);
    service.world.millis.set((NOW - 100) * 1000);
    service.send(&revocation(&second, &second.id)).is(204, "");
    let payload = now(&service);
    assert!(entry(&payload, Kind::Parent, &second.id).unwrap() <= NOW - 98);
}

#[test]
fn the_metadata_names_the_feed_and_it_is_read_only() {
    let service = Service::new();
    let metadata = auth_edge::operations::discovery::metadata(&service.settings).body.unwrap();
    assert!(metadata.contains(r#""revocations_uri":"https://auth.example.com/.well-known/revocations""#));
    service.send(&post(PATH)).is(405, "method_not_allowed");
}
