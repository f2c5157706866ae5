//! Consistency across locations: which changes take effect everywhere at once, which take effect through KV, and what
//! happens when services fail. Runs the built Worker in workerd, at locations that share the clients' objects and each
//! have their own KV. `TIMES=1000` repeats each check that must always hold.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod caller;
mod locations;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use auth_edge::feed::{self, Kind};
use base64ct::{Base64UrlUnpadded, Encoding};
use caller::{Answer, Caller, bearer, by_secret, text, token};
use futures_util::future::{join, join_all};
use futures_util::stream::{self, StreamExt};
use locations::kv::Behaviour;
use locations::{Locations, Made};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

/// How often to repeat the checks that must always hold.
fn times() -> usize {
    std::env::var("TIMES").map_or(200, |times| times.parse().unwrap())
}

/// The longest time in which a revocation must be answered, whatever KV does.
const LONGEST: Duration = Duration::from_secs(10);

/// Whether this location's introspection, called with `caller`, says that a short-term token is active.
async fn is_active(location: &Caller, caller: &str, short: &Value) -> bool {
    introspect(location, caller, short).await.is(200).json()["active"].as_bool().unwrap()
}

async fn introspect(location: &Caller, caller: &str, short: &Value) -> Answer {
    let authorization = bearer(caller);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
    let body = Some(format!("token={}", token(short)));
    location.send(Method::POST, "/v1/auth/tokens/introspect", &headers, body).await
}

async fn exchange(location: &Caller, long: &Value) -> Answer {
    location.short(token(long), None).await
}

async fn revoke(location: &Caller, issued: &Value) -> Answer {
    location.revoke(token(issued), text(issued, "token_id")).await
}

async fn rotate(location: &Caller, short: &Value, client: &Made) -> Answer {
    location.rotate(token(short), &client.id).await
}

impl Locations {
    /// Runs a check with `times()` clients, up to 50 at a time. The other location's KV shows each client as it was
    /// created.
    async fn for_clients(&self, consistency: &str, each: impl AsyncFn(&Made)) {
        let mut left = times();
        while left > 0 {
            let some = left.min(50);
            let clients = join_all((0..some).map(|_| self.client(consistency))).await;
            self.away_kv.copy(&self.home_kv);
            join_all(clients.iter().map(|client| each(client))).await;
            left -= some;
        }
    }

    async fn set(&self, location: &Caller, client: &Made, patch: Value) -> Answer {
        location.operate(&self.operator, Method::PATCH, &format!("/{}", client.id), Some(patch)).await
    }

    async fn suspend(&self, client: &Made) -> Answer {
        self.set(&self.home, client, json!({"status": "suspended"})).await
    }

    async fn post(&self, client: &Made, what: &str) -> Answer {
        self.home.operate(&self.operator, Method::POST, &format!("/{}/{what}", client.id), None).await
    }

    async fn delete(&self, client: &Made, what: &str) -> Answer {
        self.home.operate(&self.operator, Method::DELETE, &format!("/{}{what}", client.id), None).await
    }
}

/// The payload of the feed, as a location serves it.
async fn fed(location: &Caller) -> Value {
    let answer = location.send(Method::GET, "/.well-known/revocations", &[], None).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let payload = Base64UrlUnpadded::decode_vec(answer.body.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

/// Whether the feed names a token.
fn names(fed: &Value, kind: Kind, issued: &Value) -> bool {
    let key = feed::key(kind, text(issued, "token_id"));
    let (member, hash) = key.split_once(':').unwrap();
    fed["ended"][member][hash].is_u64()
}

/// The greatest age of the feed that a location serves.
const FED: Duration = Duration::from_secs(2);

/// Whether a client's value in KV shows that this token has ended.
fn shows_end(value: &Value, issued: &Value) -> bool {
    text(value, "ends").contains(&format!("{}=0", auth_edge::token_id::key(text(issued, "token_id"))))
}

// What takes effect at once

#[tokio::test]
async fn an_immediate_clients_end_holds_in_the_next_request_elsewhere() {
    let all = Locations::start("immediate").await;
    let client = all.client("immediate").await;
    // The other location's KV shows nothing of the following changes.
    all.away_kv.copy(&all.home_kv);
    for time in 0..times() {
        let (here, there) = if time % 2 == 0 { (&all.home, &all.away) } else { (&all.away, &all.home) };
        let long = client.long(here).await;
        let short = exchange(there, &long).await.is(201).json();
        revoke(here, &long).await.is(204);
        exchange(there, &long).await.is(401).code("invalid_token");
        revoke(there, &short).await.is(401);
    }
    for _ in 0..times() {
        let long = client.long(&all.home).await;
        all.suspend(&client).await.is(200);
        exchange(&all.away, &long).await.is(401).code("invalid_token");
        all.set(&all.home, &client, json!({"status": "active"})).await.is(200);
        exchange(&all.away, &long).await.is(201);
    }
    assert_eq!(all.away_kv.calls(), (0, 0), "an immediate client's exchange asks KV nothing");
}

#[tokio::test]
async fn ended_tokens_and_ended_secrets_hold_in_the_next_request_elsewhere() {
    let all = Locations::start("ended").await;
    let one = all.client("eventual").await;
    for _ in 0..times() {
        let added = all.post(&one, "secrets").await.is(201).json();
        let body = by_secret(&one.id, text(&added, "client_secret"));
        all.away.long(&one.id, &body).await.is(201);
        all.delete(&one, &format!("/secrets/{}", text(&added, "secret_id"))).await.is(204);
        all.away.long(&one.id, &body).await.is(401).code("invalid_client");
    }
    // Each waits for the next second, so many clients run concurrently.
    for consistency in ["immediate", "eventual"] {
        let each = async |client: &Made| {
            let long = client.long(&all.home).await;
            let short = exchange(&all.away, &long).await.is(201).json();
            all.post(client, "end-tokens").await.is(204);
            if consistency == "immediate" {
                exchange(&all.away, &long).await.is(401).code("invalid_token");
            }
            assert!(!is_active(&all.away, &all.operator, &short).await);
            rotate(&all.away, &short, client).await.is(401).code("invalid_token");
            let next = client.long(&all.away).await;
            exchange(&all.home, &next).await.is(201);
        };
        all.for_clients(consistency, each).await;
    }
}

#[tokio::test]
async fn introspection_and_rotation_see_an_end_at_once_and_an_exchange_later() {
    let all = Locations::start("eventual").await;
    let each = async |client: &Made| {
        let [long, other] = [client.long(&all.away).await, client.long(&all.away).await];
        let [short, own, others] = [
            exchange(&all.away, &long).await.is(201).json(),
            exchange(&all.away, &long).await.is(201).json(),
            exchange(&all.away, &other).await.is(201).json(),
        ];
        assert!(is_active(&all.away, &all.operator, &short).await);
        let refused = async |short: &Value| {
            assert!(!is_active(&all.away, &all.operator, short).await);
            rotate(&all.away, short, client).await.is(401).code("invalid_token");
            all.away.revoke(token(short), text(&other, "token_id")).await.is(401).code("invalid_token");
        };
        revoke(&all.home, &short).await.is(204);
        refused(&short).await;
        revoke(&all.home, &long).await.is(204);
        refused(&own).await;
        exchange(&all.home, &long).await.is(401).code("invalid_token");
        exchange(&all.away, &long).await.is(201);
        all.suspend(client).await.is(200);
        refused(&others).await;
        all.away.long(&client.id, &client.by_secret()).await.is(403).code("unauthorized_client");
        exchange(&all.away, &other).await.is(201);
    };
    // Each client's value takes one write per second, so many clients run concurrently.
    all.for_clients("eventual", each).await;
}

#[tokio::test]
async fn tokens_issued_after_the_switch_to_immediate_require_the_object() {
    let all = Locations::start("switch").await;
    let client = all.client("eventual").await;
    all.away_kv.copy(&all.home_kv);
    let before = client.long(&all.away).await;
    all.set(&all.home, &client, json!({"consistency": "immediate"})).await.is(200);
    let after = client.long(&all.away).await;
    for long in [&before, &after] {
        revoke(&all.home, long).await.is(204);
        exchange(&all.home, long).await.is(401).code("invalid_token");
    }
    exchange(&all.away, &after).await.is(401).code("invalid_token");
    exchange(&all.away, &before).await.is(201);
    all.away_kv.copy(&all.home_kv);
    sleep(Duration::from_millis(300)).await;
    exchange(&all.away, &before).await.is(401).code("invalid_token");
}

// Which service each operation calls

#[tokio::test]
async fn the_kv_calls_of_each_operation() {
    let all = Locations::start("calls").await;
    let [eventual, immediate] = [all.client("eventual").await, all.client("immediate").await];
    all.home_kv.calls();
    let mut issued = Vec::new();
    for client in [&eventual, &immediate] {
        let first = client.long(&all.away).await;
        let short = all.home.short(token(&first), None).await.is(201).json();
        all.home_kv.calls();
        rotate(&all.home, &short, client).await.is(201);
        issued.push((client.long(&all.home).await, short));
    }
    for (long, short) in &issued {
        assert!(is_active(&all.home, token(long), short).await);
        revoke(&all.home, short).await.is(204);
    }
    all.home.operate(&all.operator, Method::GET, &format!("/{}", eventual.id), None).await.is(200);
    exchange(&all.home, &issued[1].0).await.is(201);
    // The eventual client's retirement is written, once, shortly after the rotation.
    all.home_kv.is_written(&eventual.id, 1).await;
    assert_eq!(all.home_kv.calls(), (0, 1));

    // An exchange reads one value, and caches it for a quarter of a second.
    sleep(Duration::from_millis(300)).await;
    join_all((0..20).map(|_| exchange(&all.home, &issued[0].0))).await;
    let (reads, _) = all.home_kv.calls();
    assert!((1..=20).contains(&reads), "{reads}");
    for _ in 0..3 {
        sleep(Duration::from_millis(300)).await;
        exchange(&all.home, &issued[0].0).await.is(201);
        assert_eq!(all.home_kv.calls(), (1, 0));
    }
}

#[tokio::test]
async fn no_value_of_kv_and_no_line_of_the_log_holds_a_credential() {
    let all = Locations::start("secrets").await;
    let client = all.client("eventual").await;
    let long = client.long(&all.home).await;
    let short = exchange(&all.home, &long).await.is(201).json();
    let totp = all.post(&client, "totp").await.is(201).json();
    revoke(&all.home, &long).await.is(204);
    let shown = all.home.operate(&all.operator, Method::GET, &format!("/{}", client.id), None).await.is(200);
    let (values, log) = (all.home_kv.contents(), all.log());
    assert!(values.contains(r#""version":1"#) && log.contains("revokeToken"));
    let value: Value = serde_json::from_str(&all.home_kv.value(&client.id).unwrap()).unwrap();
    let members: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["consistency", "ends", "is_full", "scopes", "status", "tokens_valid_from", "version"]);
    for place in [&values, &log, &shown.body] {
        for secret in [&client.secret, token(&long), token(&short), text(&totp, "totp_secret"), "salt", "sha256"] {
            assert!(!place.contains(secret), "{place}");
        }
    }
}

// KV is down

#[tokio::test]
async fn without_kv_ends_and_narrowing_changes_are_stored_but_503_and_all_other_calls_work() {
    for refuses in [true, false] {
        let all = Locations::start(if refuses { "kv-refuses" } else { "kv-fails" }).await;
        let [eventual, immediate] = [all.client("eventual").await, all.client("immediate").await];
        let made = || all.client("eventual");
        let (suspended, ended, narrowed, deleted) = tokio::join!(made(), made(), made(), made());
        let longs = [eventual.long(&all.home).await, immediate.long(&all.home).await];
        let of_narrowed = narrowed.long(&all.home).await;
        if refuses {
            all.home_kv.refuse().await;
            all.away_kv.refuse().await;
        } else {
            all.home_kv.all(Behaviour::Fails);
            all.away_kv.all(Behaviour::Fails);
        }
        let began = Instant::now();

        // Tokens
        for (client, long) in [(&eventual, &longs[0]), (&immediate, &longs[1])] {
            for location in [&all.home, &all.away] {
                let short = exchange(location, long).await.is(201).json();
                assert!(is_active(location, token(long), &short).await);
                rotate(location, &short, client).await.is(201);
                revoke(location, &short).await.is(204);
                assert!(!is_active(location, token(long), &short).await);
            }
        }
        let long = immediate.long(&all.away).await;
        revoke(&all.away, &long).await.is(204);
        exchange(&all.home, &long).await.is(401);
        let long = eventual.long(&all.away).await;

        // Changes that create or widen, or that KV does not show
        all.client_without_kv("eventual").await;
        all.set(&all.home, &eventual, json!({"client_name": "x", "max_ttl_seconds": 3600})).await.is(200);
        let added = all.post(&eventual, "secrets").await.is(201).json();
        all.delete(&eventual, &format!("/secrets/{}", text(&added, "secret_id"))).await.is(204);
        all.post(&eventual, "totp").await.is(201);
        all.suspend(&immediate).await.is(200);
        all.set(&all.home, &immediate, json!({"status": "active"})).await.is(200);
        all.post(&immediate, "end-tokens").await.is(204);
        all.home.operate(&all.operator, Method::GET, &format!("/{}", eventual.id), None).await.is(200);
        all.home.operate(&all.operator, Method::GET, "", None).await.is(503).code("temporarily_unavailable");
        assert_eq!(all.home.send(Method::GET, "/healthz", &[], None).await.status, 503);
        assert!(began.elapsed() < LONGEST, "none of these calls waits for KV: {:?}", began.elapsed());

        // Revocations and narrowing changes
        let narrow = json!({"scopes": ["jobs:submit"]});
        let ends = async || {
            let authorization = bearer(&all.operator);
            let headers = [
                ("Authorization", authorization.as_str()),
                ("Content-Type", "application/json"),
                ("If-Match", suspended.etag.as_str()),
            ];
            let path = format!("/v1/clients/{}", suspended.id);
            let body = Some(json!({"status": "suspended"}).to_string());
            let (a, b, c, d, e) = tokio::join!(
                revoke(&all.away, &long),
                all.home.send(Method::PATCH, &path, &headers, body),
                all.post(&ended, "end-tokens"),
                all.set(&all.away, &narrowed, narrow.clone()),
                all.delete(&deleted, ""),
            );
            [a, b, c, d, e]
        };
        let began = Instant::now();
        for answer in ends().await {
            answer.is(503).code("temporarily_unavailable");
        }
        assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());

        // Each change is stored
        exchange(&all.home, &long).await.is(401);
        all.away.long(&suspended.id, &suspended.by_secret()).await.is(403);
        let asked = Some(json!({"scopes": ["jobs:cancel"]}));
        all.away.short(token(&of_narrowed), asked).await.is(400).code("invalid_scope");
        all.away.long(&deleted.id, &deleted.by_secret()).await.is(401);

        // A repeat of each succeeds, also with the ETag from before
        if refuses {
            all.home_kv.listen();
            all.away_kv.listen();
        } else {
            all.home_kv.all(Behaviour::Works);
            all.away_kv.all(Behaviour::Works);
        }
        for (answer, status) in ends().await.into_iter().zip([204, 200, 204, 200, 204]) {
            answer.is(status);
        }
        let shown = |client: &Made| serde_json::from_str::<Value>(&all.home_kv.value(&client.id).unwrap()).unwrap();
        assert!(shows_end(&shown(&eventual), &long));
        assert_eq!(shown(&suspended)["status"], "suspended");
        assert!(shown(&ended)["tokens_valid_from"].as_u64().unwrap() > caller::now() - 60);
        assert_eq!(shown(&narrowed)["scopes"], json!(["jobs:submit"]));
        assert_eq!(shown(&deleted)["status"], "deleted");
    }
}

#[tokio::test]
async fn where_kv_hangs_an_exchange_asks_the_object_and_a_revocation_gives_up() {
    let all = Locations::start("kv-hangs").await;
    let client = all.client("eventual").await;
    let [long, revoked] = [client.long(&all.home).await, client.long(&all.home).await];
    all.home_kv.all(Behaviour::Hangs);
    let began = Instant::now();
    let short = exchange(&all.home, &long).await.is(201).json();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let began = Instant::now();
    revoke(&all.home, &revoked).await.is(503).code("temporarily_unavailable");
    assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());
    revoke(&all.home, &short).await.is(204);
    exchange(&all.home, &revoked).await.is(401).code("invalid_token");

    all.home_kv.all(Behaviour::Works);
    let began = Instant::now();
    revoke(&all.home, &revoked).await.is(204);
    assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());
    all.home_kv.shows(&client.id, |value| shows_end(value, &revoked)).await;
    exchange(&all.cut_off, &revoked).await.is(401).code("invalid_token");
    exchange(&all.cut_off, &long).await.is(201);
}

// The object is down

#[tokio::test]
async fn without_the_object_only_an_eventual_clients_exchange_works() {
    let all = Locations::start("object-down").await;
    let [eventual, immediate] = [all.client("eventual").await, all.client("immediate").await];
    let [long, revoked] = [eventual.long(&all.home).await, eventual.long(&all.home).await];
    let of_immediate = immediate.long(&all.home).await;
    let short = exchange(&all.home, &long).await.is(201).json();
    revoke(&all.home, &revoked).await.is(204);
    let down = "temporarily_unavailable";

    exchange(&all.cut_off, &long).await.is(201);
    exchange(&all.cut_off, &revoked).await.is(401).code("invalid_token");
    exchange(&all.cut_off, &of_immediate).await.is(503).code(down);
    for client in [&eventual, &immediate] {
        all.cut_off.long(&client.id, &client.by_secret()).await.is(503).code(down);
        all.cut_off.long(&client.id, &by_secret(&client.id, "wrong")).await.is(503).code(down);
    }
    rotate(&all.cut_off, &short, &eventual).await.is(503).code(down);
    revoke(&all.cut_off, &short).await.is(503).code(down);
    revoke(&all.cut_off, &long).await.is(503).code(down);
    introspect(&all.cut_off, token(&long), &short).await.is(503).code(down);
    let one = format!("/{}", eventual.id);
    for (method, path, body) in [
        (Method::POST, "", Some(json!({"scopes": ["jobs:*"], "mechanisms": ["secret"]}))),
        (Method::GET, "", None),
        (Method::GET, one.as_str(), None),
        (Method::PATCH, one.as_str(), Some(json!({"status": "suspended"}))),
        (Method::DELETE, one.as_str(), None),
    ] {
        all.cut_off.operate(&all.operator, method, path, body).await.is(503).code(down);
    }
    assert_eq!(all.cut_off.send(Method::GET, "/healthz", &[], None).await.status, 503);
    // Calls that need no object are unaffected.
    all.cut_off.short("x", None).await.is(401).code("invalid_token");
    assert_eq!(all.cut_off.send(Method::GET, "/.well-known/jwks.json", &[], None).await.status, 200);
    exchange(&all.home, &long).await.is(201);

    // KV can't replace the object if its value is unreadable
    all.home_kv.put(&eventual.id, r#"{"version":2}"#);
    sleep(Duration::from_millis(300)).await;
    exchange(&all.cut_off, &long).await.is(503).code(down);
    exchange(&all.home, &long).await.is(201);
    exchange(&all.home, &revoked).await.is(401).code("invalid_token");
    all.home_kv.refuse().await;
    exchange(&all.cut_off, &long).await.is(503).code(down);
    exchange(&all.home, &revoked).await.is(401).code("invalid_token");
}

// KV is slow, or a write lands late

#[tokio::test]
async fn a_slow_publication_delays_only_calls_that_need_it() {
    let all = Locations::start("kv-slow").await;
    let client = all.client("eventual").await;
    let [long, revoked] = [client.long(&all.home).await, client.long(&all.home).await];
    let short = exchange(&all.home, &long).await.is(201).json();
    sleep(Duration::from_millis(1_200)).await;
    all.home_kv.writing(Behaviour::Takes(Duration::from_millis(2_500)));
    let began = Instant::now();
    let slow = async {
        revoke(&all.home, &revoked).await.is(204);
        began.elapsed()
    };
    let others = async {
        all.home_kv.is_written(&client.id, 2).await;
        for _ in 0..10 {
            let issued = client.long(&all.away).await;
            let other = exchange(&all.home, &issued).await.is(201).json();
            assert!(is_active(&all.away, token(&issued), &other).await);
            revoke(&all.home, &other).await.is(204);
        }
        rotate(&all.home, &short, &client).await.is(201);
        all.post(&client, "secrets").await.is(201);
        all.set(&all.home, &client, json!({"client_name": "x"})).await.is(200);
        began.elapsed()
    };
    let (slow, others) = tokio::join!(slow, others);
    assert!(others < Duration::from_secs(2) && slow > others, "{others:?} beside {slow:?}");
}

#[tokio::test]
async fn a_hundred_revocations_at_once_take_five_writes_at_most() {
    let all = Locations::start("gathering").await;
    for slow in [0, 500] {
        let client = all.client("eventual").await;
        let issued = join_all((0..100).map(|_| client.long(&all.home))).await;
        all.home_kv.writing(Behaviour::Takes(Duration::from_millis(slow)));
        let before = all.home_kv.writes(&client.id).len();
        let began = Instant::now();
        for answer in join_all(issued.iter().map(|long| revoke(&all.away, long))).await {
            answer.is(204);
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let writes = all.home_kv.writes(&client.id);
        assert!(writes.len() - before <= 5, "{writes:?}");
        assert!(writes.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_secs(1)), "{writes:?}");
        for long in &issued {
            exchange(&all.cut_off, long).await.is(401).code("invalid_token");
        }
    }
}

#[tokio::test]
async fn a_caller_that_hangs_up_delays_no_other() {
    let all = Locations::start("hang-up").await;
    let client = all.client("eventual").await;
    for writing in [Behaviour::Takes(Duration::from_millis(300)), Behaviour::Hangs] {
        let issued = join_all((0..20).map(|_| client.long(&all.home))).await;
        // More than a second after the last write, so the first revocation starts a write at once.
        sleep(Duration::from_millis(1_200)).await;
        all.home_kv.writing(writing);
        let written = all.home_kv.writes(&client.id).len();
        let given_up =
            issued.iter().zip(0..).map(|(long, nth)| timeout(Duration::from_millis(40 * nth), revoke(&all.home, long)));
        join_all(given_up).await;
        all.home_kv.is_written(&client.id, written + 1).await;
        all.home_kv.writing(Behaviour::Works);
        let long = client.long(&all.home).await;
        let began = Instant::now();
        revoke(&all.home, &long).await.is(204);
        assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());
        // Each of these callers waited for 400 ms or more, so its revocation was stored.
        all.home_kv.shows(&client.id, |value| issued[10..].iter().all(|long| shows_end(value, long))).await;
        for long in &issued[10..] {
            exchange(&all.cut_off, long).await.is(401).code("invalid_token");
        }
    }
}

#[tokio::test]
async fn a_write_that_lands_late_over_a_confirmed_revocation_is_repaired() {
    let all = Locations::start("late").await;
    // The clock starts 55 s behind, so that a minute passes in 5 seconds when it is set right.
    all.clock(-55).await;
    let client = all.client("eventual").await;
    let long = client.long(&all.home).await;
    sleep(Duration::from_millis(1_200)).await;
    let late = Instant::now() + Duration::from_secs(4);
    all.home_kv.writing(Behaviour::Takes(Duration::from_secs(4)));
    all.set(&all.home, &client, json!({"scopes": ["jobs:*", "tokens:*", "templates:*"]})).await.is(200);
    all.home_kv.is_written(&client.id, 2).await;
    all.home_kv.writing(Behaviour::Works);
    revoke(&all.home, &long).await.is(204);
    assert!(Instant::now() < late, "confirmed before the earlier write landed");
    all.home_kv.shows(&client.id, |value| shows_end(value, &long)).await;
    all.home_kv.shows(&client.id, |value| !shows_end(value, &long)).await;
    assert!(Instant::now() >= late - Duration::from_millis(100));
    exchange(&all.cut_off, &long).await.is(201);
    all.clock(0).await;
    all.home_kv.shows(&client.id, |value| shows_end(value, &long)).await;
    sleep(Duration::from_millis(300)).await;
    exchange(&all.cut_off, &long).await.is(401).code("invalid_token");
}

// Crashes, and wiping

#[tokio::test]
async fn kv_shows_a_stored_end_without_another_call() {
    let mut all = Locations::start("crash").await;
    let client = all.client("eventual").await;
    let [first, second, kept] =
        [client.long(&all.home).await, client.long(&all.home).await, client.long(&all.home).await];

    // After an outage
    all.home_kv.writing(Behaviour::Fails);
    revoke(&all.home, &first).await.is(503).code("temporarily_unavailable");
    all.home_kv.writing(Behaviour::Works);
    all.home_kv.shows(&client.id, |value| shows_end(value, &first)).await;

    // After a crash between the object's commit and the write to KV
    all.home_kv.writing(Behaviour::Hangs);
    let written = all.home_kv.writes(&client.id).len();
    let unanswered = timeout(Duration::from_secs(2), revoke(&all.home, &second)).await;
    assert!(unanswered.is_err());
    all.home_kv.is_written(&client.id, written + 1).await;
    all.kill();
    all.home_kv.writing(Behaviour::Works);
    all.restart().await;
    all.home_kv.shows(&client.id, |value| shows_end(value, &second)).await;
    exchange(&all.cut_off, &second).await.is(401).code("invalid_token");
    exchange(&all.cut_off, &kept).await.is(201);
}

#[tokio::test]
async fn ids_of_no_client_are_wiped() {
    let all = Locations::start("strangers").await;
    // The clock starts 475 s behind, so that eight minutes pass in 5 seconds when it is set right.
    all.clock(-475).await;
    let objects = || {
        let files = all.stored().into_iter();
        let used = files.filter(|(_, bytes)| bytes.windows(17).any(|part| part == b"CREATE TABLE rows"));
        used.map(|(name, _)| name.split('.').next().unwrap().to_owned()).collect::<BTreeSet<_>>().len()
    };
    let operators_own = objects();
    let attempts = [
        json!({"grant_type": "client_credentials", "client_secret": "wrong"}),
        json!({"grant_type": "client_credentials", "otp_code": "000000"}),
        json!({
            "grant_type": "assertion", "assertion": "e30.e30.e30",
            "assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        }),
    ];
    for (kind, attempt) in attempts.into_iter().enumerate() {
        let strangers = (0..7).map(|nth| format!("stranger-{kind}-{nth}"));
        for id in strangers.chain(["late-comer".to_owned()]) {
            let mut body = attempt.clone();
            body["client_id"] = id.as_str().into();
            all.away.long(&id, &body).await.is(401).code("invalid_client");
        }
    }
    assert!(objects() > operators_own + 7, "wrong codes are counted");
    let body = json!({"client_id": "late-comer", "scopes": ["jobs:*"], "mechanisms": ["secret"]});
    let made = all.home.operate(&all.operator, Method::POST, "", Some(body)).await.is(201).json();
    all.clock(0).await;
    let began = Instant::now();
    while objects() > operators_own + 1 {
        assert!(began.elapsed() < Duration::from_secs(30), "{} objects are left", objects());
        sleep(Duration::from_millis(200)).await;
    }
    all.away.long("late-comer", &by_secret("late-comer", text(&made, "client_secret"))).await.is(201);
    assert_eq!(objects(), operators_own + 1);
}

// The feed

#[tokio::test]
async fn what_has_ended_is_in_the_feed_that_the_other_location_serves_and_nothing_else() {
    let all = Locations::start("feed").await;
    let clients = join_all((0..10).map(|_| all.client("immediate"))).await;
    let longs = join_all(clients.iter().map(|client| client.long(&all.home))).await;
    let exchanges = longs.iter().cycle().take(times()).map(|long| exchange(&all.away, long));
    let shorts: Vec<_> = join_all(exchanges).await.into_iter().map(|answer| answer.is(201).json()).collect();
    fed(&all.away).await;
    let (ended, living) = shorts.split_at(shorts.len() / 2);
    for answer in join_all(ended.iter().map(|short| revoke(&all.home, short))).await {
        answer.is(204);
    }
    revoke(&all.home, &longs[0]).await.is(204);
    all.suspend(&clients[1]).await.is(200);
    sleep(FED).await;
    let fed = fed(&all.away).await;
    assert!(ended.iter().all(|short| names(&fed, Kind::Token, short)));
    assert!(!living.iter().any(|short| names(&fed, Kind::Token, short)));
    assert!(longs.iter().enumerate().all(|(nth, long)| names(&fed, Kind::Parent, long) == (nth == 0)));
    assert_eq!(fed["ended"]["client"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn a_feed_that_was_down_learns_of_ends_without_another_call() {
    let all = Locations::start("feed-down").await;
    let client = all.client("eventual").await;
    let long = client.long(&all.home).await;
    let short = exchange(&all.home, &long).await.is(201).json();
    all.feed("down").await;
    revoke(&all.home, &short).await.is(503).code("temporarily_unavailable");
    revoke(&all.home, &long).await.is(503).code("temporarily_unavailable");
    assert!(!is_active(&all.away, token(&client.long(&all.away).await), &short).await, "the revocation is stored");
    all.feed("up").await;
    let began = Instant::now();
    loop {
        let fed = fed(&all.away).await;
        if names(&fed, Kind::Token, &short) && names(&fed, Kind::Parent, &long) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{fed}");
        sleep(Duration::from_millis(500)).await;
    }
    all.feed("down").await;
    revoke(&all.home, &long).await.is(204);
}

#[tokio::test]
async fn a_crash_between_reports_loses_no_stored_end() {
    let mut all = Locations::start("feed-crash").await;
    let clients = join_all((0..20).map(|_| all.client("immediate"))).await;
    let longs = join_all(clients.iter().map(|client| client.long(&all.home))).await;
    let exchanges = longs.iter().cycle().take(times()).map(|long| exchange(&all.home, long));
    let shorts: Vec<_> = join_all(exchanges).await.into_iter().map(|answer| answer.is(201).json()).collect();
    let home = all.home.clone();
    let done = Cell::new(0);
    let revocations = shorts.iter().map(async |short| {
        // Responses that the crash cuts off don't count.
        let url = format!("{}/v1/auth/tokens/{}/revoke", home.url, text(short, "token_id"));
        let answered =
            home.http.post(url).bearer_auth(token(short)).send().await.is_ok_and(|answer| answer.status() == 204);
        done.set(done.get() + usize::from(answered));
        answered
    });
    // Several at a time, since concurrent calls share a report.
    let revocations = stream::iter(revocations).buffered(8).collect::<Vec<_>>();
    let crash = async {
        while done.get() < shorts.len() / 4 {
            sleep(Duration::from_millis(1)).await;
        }
        all.kill();
    };
    let (answers, ()) = join(revocations, crash).await;
    assert!(answers.contains(&true) && answers.contains(&false), "the crash came between the answers");
    all.restart().await;
    let caller = clients[0].long(&all.away).await;
    let began = Instant::now();
    loop {
        let fed = fed(&all.away).await;
        let mut missing = 0;
        for (short, answered) in shorts.iter().zip(&answers) {
            let is_named = names(&fed, Kind::Token, short);
            assert!(is_named || !answered || began.elapsed() < FED, "a confirmed end is lost");
            if !is_named && !is_active(&all.away, token(&caller), short).await {
                missing += 1;
            }
        }
        if missing == 0 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(40), "{missing} ends are missing from the feed");
        sleep(Duration::from_millis(500)).await;
    }
}
