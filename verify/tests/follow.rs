//! A server that follows an issuer over HTTP, both in this process.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth_edge_verify::{AccessToken, Error, Follow, Follower, Verifier, WhenStale};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, serve};
use ed25519_dalek::SigningKey;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use common::*;

/// An issuer, as seen by a follower.
struct Issuer {
    url: String,
    world: Mutex<World>,
}

type Answer = fn(&Issuer) -> Response;

struct World {
    keys: Vec<Value>,
    /// What is served instead of the keys or the feed: 503 for the keys, this answer for the feed.
    keys_fail: bool,
    feed_answers: Option<Answer>,
    seq: u64,
    /// The `seq`, member and id of each entry.
    ended: Vec<(u64, &'static str, String)>,
    /// How often the keys were fetched; queries and headers of the feed's fetches.
    key_fetches: usize,
    feed_fetches: Vec<(Option<String>, HeaderMap)>,
}

impl Issuer {
    async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let world = World {
            keys: vec![jwk("k1", &key())],
            keys_fail: false,
            feed_answers: None,
            seq: 10,
            ended: Vec::new(),
            key_fetches: 0,
            feed_fetches: Vec::new(),
        };
        let url = format!("http://{}", listener.local_addr().unwrap());
        let issuer = Arc::new(Self { url, world: Mutex::new(world) });
        let routes = Router::new()
            .route("/.well-known/jwks.json", get(Self::keys))
            .route("/.well-known/revocations", get(Self::feed))
            .with_state(Arc::clone(&issuer));
        tokio::spawn(async move { serve(listener, routes).await });
        issuer
    }

    async fn keys(State(issuer): State<Arc<Self>>) -> Response {
        issuer.with(|world| world.key_fetches += 1);
        // Long enough for other requests to arrive meanwhile.
        sleep(Duration::from_millis(50)).await;
        let (fail, keys) = issuer.with(|world| (world.keys_fail, json!({ "keys": world.keys })));
        if fail {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        ([(header::CACHE_CONTROL, "public, max-age=300")], keys.to_string()).into_response()
    }

    async fn feed(State(issuer): State<Arc<Self>>, uri: Uri, headers: HeaderMap) -> Response {
        let query = uri.query().map(str::to_owned);
        issuer.with(|world| world.feed_fetches.push((query.clone(), headers.clone())));
        if let Some(answer) = issuer.with(|world| world.feed_answers) {
            return answer(&issuer);
        }
        let since = query.and_then(|query| query.strip_prefix("since=")?.parse().ok());
        let etag = issuer.with(|world| format!("\"{since:?}-{}\"", world.seq));
        if headers.get(header::IF_NONE_MATCH).is_some_and(|sent| *sent == *etag) {
            return StatusCode::NOT_MODIFIED.into_response();
        }
        ([(header::ETAG, etag)], sign_feed(&issuer.claims_of_feed(since))).into_response()
    }

    fn claims_of_feed(&self, since: Option<u64>) -> Value {
        let (seq, ended) = self.with(|world| (world.seq, world.ended.clone()));
        let mut claims = with(feed(now(), seq), "iss", Some(json!(self.url)));
        for (_, member, id) in ended.iter().filter(|(seq, ..)| since.is_none_or(|since| *seq > since)) {
            claims = ending(claims, member, id, if *member == "client" { 253_402_300_799 } else { now() });
        }
        with(claims, "since", since.map(Into::into))
    }

    fn with<T>(&self, f: impl FnOnce(&mut World) -> T) -> T {
        f(&mut self.world.lock().unwrap())
    }

    fn end(&self, member: &'static str, id: &str) {
        self.with(|world| {
            world.seq += 1;
            world.ended.push((world.seq, member, id.to_owned()));
        });
    }

    fn verifier(&self) -> Verifier {
        Verifier::new(&self.url, AUDIENCE).poll_interval(1)
    }

    fn claims(&self, jti: &str) -> Value {
        let mut claims = with(claims(), "iss", Some(json!(self.url)));
        for (name, value) in [("iat", now()), ("exp", now() + 900), ("auth_time", now())] {
            claims[name] = json!(value);
        }
        with(claims, "jti", Some(json!(jti)))
    }

    fn token(&self, jti: &str) -> String {
        token(&header(), &self.claims(jti))
    }

    fn token_under(&self, kid: &str) -> String {
        token(&with(header(), "kid", Some(json!(kid))), &self.claims("tok_st_1"))
    }

    fn key_fetches(&self) -> usize {
        self.with(|world| world.key_fetches)
    }

    fn feed_fetches(&self) -> usize {
        self.with(|world| world.feed_fetches.len())
    }
}

#[expect(clippy::disallowed_methods, reason = "as a server does")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

type Lines = Arc<Mutex<Vec<String>>>;

/// Collects the reported lines.
fn listening(follow: Follow) -> (Follow, Lines) {
    let lines = Lines::default();
    let heard = Arc::clone(&lines);
    (follow.report(move |report| heard.lock().unwrap().push(report.to_string())), lines)
}

async fn ready(follow: Follow) -> Follower {
    let follower = follow.start().unwrap();
    timeout(Duration::from_secs(10), follower.ready()).await.unwrap();
    follower
}

/// Waits until `condition` holds, at most ten seconds.
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let wait = async {
        while !condition().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(Duration::from_secs(10), wait).await.is_ok(), "timed out waiting for {what}");
}

#[tokio::test]
async fn an_end_is_refused_after_the_next_poll_and_nothing_else_is() {
    let issuer = Issuer::start().await;
    issuer.end("token", "tok_st_0");
    let follower = ready(issuer.verifier().follow()).await;
    let tokens: Vec<_> = (0..20).map(|n| issuer.token(&format!("tok_st_{n}"))).collect();
    let mut ended = vec![0];
    for (n, token) in tokens.iter().enumerate() {
        assert_eq!(follower.verify(token).await.is_err(), ended.contains(&n), "{n}");
    }
    for n in [7, 13] {
        issuer.end("token", &format!("tok_st_{n}"));
        ended.push(n);
        until("a refusal", async || follower.verify(&tokens[n]).await.is_err()).await;
        for (n, token) in tokens.iter().enumerate() {
            let refusal = follower.verify(token).await.err();
            let expected = Error::Ended { jti: format!("tok_st_{n}"), by: "token" };
            assert_eq!(refusal, ended.contains(&n).then_some(expected));
        }
    }
    issuer.end("client", "alice");
    until("the end of a client", async || follower.verify(&tokens[1]).await.is_err()).await;
    assert_eq!(issuer.key_fetches(), 1);
}

#[tokio::test]
async fn it_requests_deltas_and_sends_the_etag() {
    let issuer = Issuer::start().await;
    let _follower = ready(issuer.verifier().follow()).await;
    until("five polls", async || issuer.feed_fetches() >= 5).await;
    issuer.end("token", "tok_st_0");
    until("two more", async || issuer.feed_fetches() >= 8).await;
    let asked = issuer.with(|world| world.feed_fetches.clone());
    let sent = |name| asked.iter().map(move |(_, headers)| headers.get(&name).map(|value| value.to_str().unwrap()));
    let queries: Vec<_> = asked.iter().map(|(query, _)| query.as_deref()).collect();
    assert_eq!(queries[..5], [None, Some("since=10"), Some("since=10"), Some("since=10"), Some("since=10")]);
    assert!(queries.contains(&Some("since=11")), "{queries:?}");
    let tags: Vec<_> = sent(header::IF_NONE_MATCH).take(5).collect();
    assert_eq!(tags, [None, None, Some("\"Some(10)-10\""), Some("\"Some(10)-10\""), Some("\"Some(10)-10\"")]);
    assert!(sent(header::ACCEPT).all(|accept| accept == Some("application/jwt")));
    assert!(sent(header::AUTHORIZATION).all(|authorization| authorization.is_none()));
}

#[tokio::test]
async fn a_private_feed_is_requested_with_a_token() {
    let issuer = Issuer::start().await;
    let _follower = ready(issuer.verifier().follow().bearer(|| "own".to_owned())).await;
    let headers = issuer.with(|world| world.feed_fetches[0].1.clone());
    assert_eq!(headers[header::AUTHORIZATION], "Bearer own");
}

#[tokio::test]
async fn without_the_feed_it_follows_the_keys() {
    let issuer = Issuer::start().await;
    let follower = ready(issuer.verifier().without_feed().follow()).await;
    assert!(follower.verify(issuer.token("tok_st_1")).await.is_ok());
    assert_eq!((issuer.key_fetches(), issuer.feed_fetches()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_key_is_fetched_once_for_all_requests() {
    let issuer = Issuer::start().await;
    let follower = ready(issuer.verifier().refresh_interval(1).follow()).await;
    sleep(Duration::from_millis(1100)).await;
    issuer.with(|world| world.keys.push(jwk("k2", &key())));
    let rotated = issuer.token_under("k2");
    let requests: Vec<_> = (0..50)
        .map(|_| {
            let (follower, rotated) = (follower.clone(), rotated.clone());
            tokio::spawn(async move { follower.verify(rotated).await })
        })
        .collect();
    for request in requests {
        assert!(request.await.unwrap().is_ok());
    }
    assert_eq!(issuer.key_fetches(), 2);
}

#[tokio::test]
async fn unknown_key_ids_cause_no_fetch_within_the_interval() {
    let issuer = Issuer::start().await;
    let follower = ready(issuer.verifier().refresh_interval(3600).follow()).await;
    for n in 0..200 {
        let refusal = follower.verify(issuer.token_under(&format!("x{n}"))).await;
        assert_eq!(refusal, Err(Error::UnknownKey));
    }
    assert_eq!(issuer.key_fetches(), 1);
}

#[tokio::test]
async fn a_client_that_disconnects_does_not_stop_the_fetch() {
    let issuer = Issuer::start().await;
    let follower = ready(issuer.verifier().refresh_interval(1).follow()).await;
    sleep(Duration::from_millis(1100)).await;
    issuer.with(|world| world.keys.push(jwk("k2", &key())));
    let rotated = issuer.token_under("k2");
    assert!(timeout(Duration::from_millis(10), follower.verify(&rotated)).await.is_err());
    assert!(follower.verify(&rotated).await.is_ok());
    assert_eq!(issuer.key_fetches(), 2);
}

#[tokio::test]
async fn a_feed_under_a_rotated_key_is_followed() {
    let issuer = Issuer::start().await;
    let follower = ready(issuer.verifier().refresh_interval(1).follow()).await;
    sleep(Duration::from_millis(1100)).await;
    // From now on `k1` is another key, and the feed is signed with `k2`.
    issuer.end("token", "tok_st_1");
    issuer.with(|world| {
        world.keys = vec![jwk("k1", &SigningKey::from_bytes(&[8; 32])), jwk("k2", &key())];
        world.feed_answers = Some(|issuer| {
            let header = json!({"alg": "EdDSA", "typ": "revocations+jwt", "kid": "k2"});
            token(&header, &issuer.claims_of_feed(None)).into_response()
        });
    });
    let rotated = issuer.token_under("k2");
    until("a refusal", async || matches!(follower.verify(&rotated).await, Err(Error::Ended { .. }))).await;
}

#[tokio::test]
async fn an_invalid_feed_is_reported_and_not_accepted() {
    let rows: [(Answer, &str); 7] = [
        (|_| StatusCode::SERVICE_UNAVAILABLE.into_response(), "the issuer answered 503"),
        (|_| (StatusCode::FOUND, [(header::LOCATION, "/elsewhere")]).into_response(), "the issuer answered 302"),
        (|_| "<html>".into_response(), "the response is not a revocation feed"),
        (|_| vec![b'x'; 9_000_000].into_response(), "the response is longer than 8388608 bytes"),
        (|issuer| answer_with(issuer, "seq", json!(9)), "the feed's seq 9 is lower than the held seq 10"),
        (|issuer| answer_with(issuer, "iss", json!("x")), "the feed is from another issuer"),
        (|issuer| answer_with(issuer, "exp", json!(now() - 1)), "the feed has expired"),
    ];
    join_all(rows.map(|(answer, sentence)| is_not_taken(answer, sentence))).await;
}

fn answer_with(issuer: &Issuer, claim: &str, value: Value) -> Response {
    sign_feed(&with(issuer.claims_of_feed(None), claim, Some(value))).into_response()
}

async fn is_not_taken(answer: Answer, sentence: &str) {
    let issuer = Issuer::start().await;
    let (follow, lines) = listening(issuer.verifier().max_feed_age(2).follow());
    let follower = ready(follow).await;
    let good = issuer.token("tok_st_1");
    issuer.with(|world| world.feed_answers = Some(answer));
    let line = format!("The revocation feed could not be updated: {sentence}");
    until(sentence, async || lines.lock().unwrap().iter().any(|heard| heard.starts_with(&line))).await;
    until("503", async || matches!(follower.verify(&good).await, Err(Error::StaleFeed { .. }))).await;
    issuer.with(|world| world.feed_answers = None);
    until("recovery", async || follower.verify(&good).await.is_ok()).await;
}

#[tokio::test]
async fn a_304_to_an_unconditional_request_is_a_failure() {
    let issuer = Issuer::start().await;
    issuer.with(|world| world.feed_answers = Some(|_| StatusCode::NOT_MODIFIED.into_response()));
    let (follow, lines) = listening(issuer.verifier().follow());
    let _follower = follow.start().unwrap();
    let line = "The revocation feed could not be updated: the issuer answered 304.";
    until("a report", async || lines.lock().unwrap().iter().any(|heard| heard == line)).await;
}

#[tokio::test]
async fn a_feed_that_is_down_is_requested_less_often() {
    let issuer = Issuer::start().await;
    issuer.with(|world| world.feed_answers = Some(|_| StatusCode::SERVICE_UNAVAILABLE.into_response()));
    let (follow, lines) = listening(issuer.verifier().when_stale(WhenStale::Accept).follow());
    let follower = follow.start().unwrap();
    until("keys", async || follower.verify(issuer.token("tok_st_1")).await.is_ok()).await;
    sleep(Duration::from_secs(8)).await;
    // At 0, 1, 3 and 7 s, or up to a fifth earlier. If it retried every 20 ms, there would be hundreds.
    assert!((3..=5).contains(&issuer.feed_fetches()), "{}", issuer.feed_fetches());
    assert_eq!(lines.lock().unwrap().len(), issuer.feed_fetches());
}

#[tokio::test]
async fn missing_keys_are_fetched_as_soon_as_the_issuer_has_them() {
    let issuer = Issuer::start().await;
    issuer.with(|world| world.keys_fail = true);
    let (follow, lines) = listening(issuer.verifier().follow());
    let follower = follow.start().unwrap();
    let good = issuer.token("tok_st_1");
    for _ in 0..50 {
        assert_eq!(follower.verify(&good).await, Err(Error::NoKeys));
    }
    assert!(issuer.key_fetches() <= 2, "{}", issuer.key_fetches());
    issuer.with(|world| world.keys_fail = false);
    until("keys", async || follower.verify(&good).await.is_ok()).await;
    assert_eq!(lines.lock().unwrap()[0], "The issuer's keys could not be updated: the issuer answered 503.");
    assert_eq!(issuer.with(|world| world.feed_fetches[0].0.clone()), None);
}

#[tokio::test]
async fn a_report_names_the_cause_of_a_failed_connection() {
    let (follow, lines) = listening(Verifier::new("http://127.0.0.1:1", AUDIENCE).follow());
    let _follower = follow.start().unwrap();
    until("a report", async || !lines.lock().unwrap().is_empty()).await;
    let line = lines.lock().unwrap()[0].clone();
    assert!(
        line.starts_with("The issuer's keys could not be updated: ") && line.contains("Connection refused"),
        "{line}"
    );
}

#[tokio::test]
async fn the_task_ends_with_the_last_clone() {
    let issuer = Issuer::start().await;
    let follower = ready(issuer.verifier().follow()).await;
    let clone = follower.clone();
    drop(follower);
    let before = issuer.feed_fetches();
    until("another poll", async || issuer.feed_fetches() > before).await;
    drop(clone);
    sleep(Duration::from_millis(100)).await;
    let before = issuer.feed_fetches();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(issuer.feed_fetches(), before);
}

#[tokio::test]
async fn routes_behind_scopes() {
    let issuer = Issuer::start().await;
    let (follow, lines) = listening(issuer.verifier().follow());
    let follower = ready(follow).await;
    let hello = || get(|caller: AccessToken| async move { format!("{} {}", caller.client_id, caller.jti) });
    let api = Router::new()
        .route("/jobs", hello().layer(follower.require_scope("jobs:submit")))
        .route("/templates", hello().layer(follower.require_scope("templates:write")))
        .route("/any", hello().layer(follower.require_token()))
        .route("/open", hello())
        .route(
            "/late",
            get(|caller: AccessToken| async move { caller.require_scope("a:b").map(|()| "in") })
                .layer(follower.require_token()),
        );
    let call = async |path: &str, tokens: &[&str]| {
        let mut request = Request::get(path);
        for token in tokens {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let response = api.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let challenge =
            response.headers().get(header::WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        (status, challenge.unwrap_or_default(), String::from_utf8(body.into()).unwrap())
    };
    let good = issuer.token("tok_st_1");
    let invalid = r#"Bearer realm="api", error="invalid_token", error_description="The access token is revoked, malformed, or invalid for other reasons""#;
    let insufficient = |scope| {
        format!(
            r#"Bearer realm="api", error="insufficient_scope", error_description="The request requires higher privileges than provided by the access token", scope="{scope}""#
        )
    };
    let empty = String::new;

    assert_eq!(call("/jobs", &[&good]).await, (200, empty(), "alice tok_st_1".to_owned()));
    assert_eq!(call("/any", &[&good]).await.0, 200);
    assert_eq!(call("/jobs", &[]).await, (401, r#"Bearer realm="api""#.to_owned(), empty()));
    assert_eq!(call("/jobs", &["garbage"]).await, (401, invalid.to_owned(), empty()));
    assert_eq!(call("/templates", &[&good]).await, (403, insufficient("templates:write"), empty()));
    assert_eq!(call("/late", &[&good]).await, (403, insufficient("a:b"), empty()));
    // The same header twice counts once; different values are ambiguous.
    assert_eq!(call("/jobs", &[&good, &good]).await.0, 200);
    assert_eq!(call("/jobs", &[&good, &issuer.token("tok_st_2")]).await, (401, invalid.to_owned(), empty()));
    // Without the layer, the handler does not run.
    assert_eq!(call("/open", &[&good]).await.0, 500);

    issuer.end("parent", "tok_lt_1");
    until("a refusal", async || call("/jobs", &[&good]).await.0 == 401).await;
    assert_eq!(call("/jobs", &[&good]).await, (401, invalid.to_owned(), empty()));

    let lines = lines.lock().unwrap();
    for line in [
        "A request was refused with 401: no bearer token was sent.",
        "A request was refused with 401: the token is not a signed JWT.",
        "A request was refused with 403: the token does not hold the scope templates:write.",
        "A request was refused with 401: the token tok_st_1 ended with its long-term token.",
    ] {
        assert!(lines.iter().any(|heard| heard == line), "{line}: {lines:?}");
    }
}

#[tokio::test]
async fn until_the_first_feed_a_request_is_503() {
    let issuer = Issuer::start().await;
    issuer.with(|world| world.feed_answers = Some(|_| StatusCode::NOT_FOUND.into_response()));
    let follower = issuer.verifier().follow().start().unwrap();
    let api = Router::new().route("/", get(async || "in").layer(follower.require_token()));
    let authorization = format!("Bearer {}", issuer.token("tok_st_1"));
    let request = Request::get("/").header("Authorization", authorization).body(Body::empty()).unwrap();
    let response = api.oneshot(request).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()[header::RETRY_AFTER]), (503, &"5".parse().unwrap()));
}

#[test]
fn debug_shows_no_secret() {
    let follow = Verifier::new(ISSUER, AUDIENCE).follow().bearer(|| "secret".to_owned());
    assert!(!format!("{follow:?}").contains("secret"));
}

/// The README's example is the one that runs as a doctest.
#[test]
fn the_readme_shows_the_example_that_runs() {
    let (readme, lib) = (include_str!("../README.md"), include_str!("../src/lib.rs"));
    let (_, shown) = readme.split_once("```rust\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let ends = |line: &&str| !line.starts_with("//! ```");
    let example = lib.lines().skip_while(|line| !line.contains("doc = \"```\"")).filter(|line| line.starts_with("//!"));
    let example = example.take_while(ends).map(|line| line.strip_prefix("//!").unwrap().trim_start_matches(' '));
    let example: Vec<_> = example.filter(|line| !line.starts_with("# ")).collect();
    assert_eq!(shown.lines().collect::<Vec<_>>(), example);
    assert!(example.len() <= 10);
}
