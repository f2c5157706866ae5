//! The revocation feed: which feeds are accepted, what they mean for a token, and when the next is due.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use auth_edge_verify::{Due, Error, FeedError, FeedRequest, MAX_FEED_LENGTH, Verifier, WhenStale};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use serde_json::{Value, json};

use common::*;

const SUSPENDED: u64 = 253_402_300_799;

fn verifier() -> Verifier {
    with_keys(Verifier::new(ISSUER, AUDIENCE))
}

/// A verifier that accepted these feeds, each at its `iat`.
fn following(feeds: &[Value]) -> Verifier {
    let verifier = verifier();
    for feed in feeds {
        take(&verifier, feed).unwrap();
    }
    verifier
}

fn take(verifier: &Verifier, feed: &Value) -> Result<(), FeedError> {
    verifier.take_feed(sign_feed(feed), None, feed["iat"].as_u64().unwrap())
}

fn since(feed: Value, seq: u64) -> Value {
    with(feed, "since", Some(json!(seq)))
}

fn verify(verifier: &Verifier, now: u64) -> Result<(), Error> {
    verify_claims(verifier, &claims(), now)
}

fn verify_claims(verifier: &Verifier, claims: &Value, now: u64) -> Result<(), Error> {
    verifier.verify(token(&header(), claims), now).map(|_| ())
}

fn ended(by: &'static str) -> Result<(), Error> {
    Err(Error::Ended { jti: "tok_st_1".to_owned(), by })
}

/// The URI that `due` says to fetch, with its `since`.
fn request(verifier: &Verifier, now: u64) -> FeedRequest {
    match verifier.due(token(&header(), &claims()), now) {
        Due::Feed(request) => request,
        other => panic!("{other:?}"),
    }
}

fn query(verifier: &Verifier, now: u64) -> String {
    request(verifier, now).uri.strip_prefix("https://auth.example/.well-known/revocations").unwrap().to_owned()
}

/// Computed with `openssl dgst`: the other tests compute hashes with the function that this one checks.
#[test]
fn hashes_match_the_contract() {
    assert_eq!(hash("token", "tok_st_1"), "pOGwEcUNmHCksTFbLxXQyw");
    assert_eq!(hash("parent", "tok_lt_1"), "gKElpCtUJjEL0eCYfYR5jg");
    assert_eq!(hash("client", "alice"), "vbiauGtKau17bZu6N7725g");
}

#[test]
fn a_token_ends_by_itself_by_its_parent_or_by_its_client() {
    for (member, id) in [("token", "tok_st_1"), ("parent", "tok_lt_1"), ("client", "alice")] {
        let verifier = following(&[ending(feed(NOW, 1), member, id, NOW)]);
        assert_eq!(verify(&verifier, NOW), ended(member));
        // The same id under another member, and another id, have no effect.
        for other in ["token", "parent", "client"].into_iter().filter(|other| *other != member) {
            assert_eq!(verify(&following(&[ending(feed(NOW, 1), other, id, NOW)]), NOW), Ok(()));
        }
        assert_eq!(verify(&following(&[ending(feed(NOW, 1), member, "other", NOW)]), NOW), Ok(()));
    }
    let orphan = with(claims(), "parent", None);
    let verifier = following(&[ending(feed(NOW, 1), "parent", "tok_lt_1", NOW)]);
    assert_eq!(verify_claims(&verifier, &orphan, NOW), Ok(()));
}

#[test]
fn a_future_end_comes_by_the_later_of_both_clocks() {
    for (member, id) in [("token", "tok_st_1"), ("parent", "tok_lt_1")] {
        let retired = ending(feed(NOW, 1), member, id, NOW + 100);
        let verifier = following(core::slice::from_ref(&retired));
        assert_eq!((verify(&verifier, NOW + 99), verify(&verifier, NOW + 100)), (Ok(()), ended(member)));
        // This clock is half a minute behind the issuer's, but the feed's `iat` shows that the time has come.
        let later = with(with(retired, "iat", Some(json!(NOW + 100))), "exp", Some(json!(NOW + 400)));
        verifier.take_feed(sign_feed(&later), None, NOW + 70).unwrap();
        assert_eq!(verify(&verifier, NOW + 70), ended(member));
    }
}

#[test]
fn a_client_entry_ends_tokens_with_an_earlier_auth_time() {
    let at = |auth_time: Option<u64>, valid_from| {
        let verifier = following(&[ending(feed(NOW, 1), "client", "alice", valid_from)]);
        verify_claims(&verifier, &with(claims(), "auth_time", auth_time.map(Into::into)), NOW)
    };
    assert_eq!(at(Some(NOW - 1), NOW), ended("client"));
    assert_eq!(at(Some(NOW), NOW), Ok(()));
    // `tokens_valid_from` may be a second ahead; it is compared only with `auth_time`.
    assert_eq!(at(Some(NOW), NOW + 1), ended("client"));
    assert_eq!(at(Some(NOW + 1), SUSPENDED), ended("client"));
    // Without `auth_time`, the token may be older.
    assert_eq!(at(None, 0), ended("client"));
}

#[test]
fn a_delta_restores_a_client() {
    let verifier = following(&[ending(feed(NOW, 1), "client", "alice", SUSPENDED)]);
    assert_eq!(verify(&verifier, NOW), ended("client"));
    take(&verifier, &since(ending(feed(NOW, 2), "client", "alice", NOW - 1000), 1)).unwrap();
    assert_eq!(verify(&verifier, NOW), Ok(()));
}

#[test]
fn a_delta_is_merged_and_a_full_feed_replaces() {
    let mallory = with(with(claims(), "jti", Some(json!("tok_st_2"))), "client_id", Some(json!("mallory")));
    let verifier = following(&[
        ending(feed(NOW, 5), "token", "tok_st_1", NOW),
        since(ending(feed(NOW, 7), "client", "mallory", SUSPENDED), 5),
    ]);
    assert_eq!(verify(&verifier, NOW), ended("token"));
    assert!(verify_claims(&verifier, &mallory, NOW).is_err());
    take(&verifier, &feed(NOW, 8)).unwrap();
    assert_eq!((verify(&verifier, NOW), verify_claims(&verifier, &mallory, NOW)), (Ok(()), Ok(())));
}

#[test]
fn an_invalid_feed_is_refused_and_the_held_one_stays() {
    let verifier = following(&[ending(feed(NOW, 5), "token", "tok_st_1", NOW)]);
    let refused = |text: &str| {
        let error = verifier.take_feed(text, None, NOW).unwrap_err();
        // The held feed stays.
        assert_eq!(verify(&verifier, NOW), ended("token"));
        error
    };
    let by_claim = |name: &str, value: Value| refused(&sign_feed(&with(feed(NOW, 6), name, Some(value))));
    let by_header = |header: Value| refused(&token(&header, &feed(NOW, 6)));

    assert_eq!(by_claim("seq", json!(4)), FeedError::Backwards { held: 5, seq: 4 });
    assert_eq!(by_claim("iss", json!("https://other.example")), FeedError::Issuer);
    assert_eq!(by_claim("exp", json!(NOW)), FeedError::Expired);
    assert_eq!(by_claim("iat", json!(NOW + 61)), FeedError::Untimely);
    assert_eq!(by_claim("exp", json!(NOW - 1)), FeedError::Expired);

    assert_eq!(by_header(json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "k1"})), FeedError::Kind);
    assert_eq!(by_header(json!({"alg": "EdDSA", "kid": "k1"})), FeedError::Kind);
    assert_eq!(by_header(json!({"alg": "none", "typ": "revocations+jwt", "kid": "k1"})), FeedError::Algorithm);
    assert_eq!(by_header(json!({"alg": "EdDSA", "typ": "revocations+jwt", "kid": "k2"})), FeedError::UnknownKey);
    let crit = json!({"alg": "EdDSA", "typ": "revocations+jwt", "kid": "k1", "crit": ["b64"]});
    assert_eq!(by_header(crit), FeedError::Malformed);

    let good = sign_feed(&feed(NOW, 6));
    let (signed, _) = good.rsplit_once('.').unwrap();
    assert_eq!(refused(&format!("{signed}.{}", "A".repeat(86))), FeedError::Signature);
    assert_eq!(refused(&format!("{signed}.")), FeedError::Malformed);
    for text in ["", "{}", "a.b", &feed(NOW, 6).to_string()] {
        assert_eq!(refused(text), FeedError::Malformed, "{text}");
    }
    assert_eq!(refused(&"x".repeat(MAX_FEED_LENGTH + 1)), FeedError::TooLong);
    assert_eq!(refused(&"x".repeat(MAX_FEED_LENGTH)), FeedError::Malformed);
    // A token is not accepted as a feed, nor a feed as a token.
    assert_eq!(refused(&token(&header(), &claims())), FeedError::Kind);
    assert_eq!(verifier.verify(&good, NOW), Err(Error::Kind));
    assert_eq!(verifier.take_feed(&good, None, NOW), Ok(()));
}

#[test]
fn malformed_claims_are_refused() {
    let verifier = verifier();
    let refuses = |claims: &str| {
        let text = sign(r#"{"alg":"EdDSA","typ":"revocations+jwt","kid":"k1"}"#, claims.as_bytes());
        assert_eq!(verifier.take_feed(text, None, NOW), Err(FeedError::Malformed), "{claims}");
    };
    let good = feed(NOW, 6);
    for name in ["iss", "iat", "exp", "seq", "ended"] {
        refuses(&with(good.clone(), name, None).to_string());
        refuses(&with(good.clone(), name, Some(json!(null))).to_string());
    }
    for (name, value) in [
        ("iat", json!(1.5)),
        ("seq", json!(-1)),
        ("seq", json!("6")),
        ("since", json!(null)),
        ("since", json!("5")),
        ("since", json!(7)),
        ("ended", json!([{}, {}, {}])),
        ("ended", json!({"token": {}, "parent": {}})),
        ("ended", json!({"token": [], "parent": {}, "client": {}})),
        ("ended", json!({"token": null, "parent": {}, "client": {}})),
    ] {
        refuses(&with(good.clone(), name, Some(value)).to_string());
    }
    let hash = hash("token", "tok_st_1");
    for (hash, time) in [
        ("", json!(NOW)),
        (&hash[1..], json!(NOW)),
        (&format!("{hash}A"), json!(NOW)),
        (&format!("{hash}=="), json!(NOW)),
        // Non-zero trailing bits.
        (&hash.replace("Qyw", "Qyx"), json!(NOW)),
        (&hash, json!("1800000000")),
        (&hash, json!(-1)),
        (&hash, json!(null)),
    ] {
        let mut claims = good.clone();
        claims["ended"]["token"][hash] = time;
        refuses(&claims.to_string());
    }
    let twice = ending(good.clone(), "token", "tok_st_1", NOW).to_string();
    refuses(&twice.replace(&format!("\"{hash}\":"), &format!("\"{hash}\":1,\"{hash}\":")));
    refuses(&format!("[{good}]"));
    refuses("");
    // Unknown members are ignored.
    let mut more = with(good, "jti", Some(json!("x")));
    more["ended"]["device"] = json!({"x": 1});
    assert_eq!(take(&verifier, &more), Ok(()));
}

#[test]
fn without_keys_no_feed_is_accepted() {
    let verifier = Verifier::new(ISSUER, AUDIENCE);
    assert_eq!(take(&verifier, &feed(NOW, 1)), Err(FeedError::NoKeys));
    assert_eq!(
        take(&with_keys(Verifier::new(ISSUER, AUDIENCE).without_feed()), &feed(NOW, 1)),
        Err(FeedError::NotFollowed)
    );
}

#[test]
fn a_delta_must_follow_what_is_held() {
    let verifier = verifier();
    assert_eq!(take(&verifier, &since(feed(NOW, 5), 3)), Err(FeedError::Gap { held: None, since: 3 }));
    assert_eq!(verify(&verifier, NOW), Err(Error::StaleFeed { iat: None }));
    take(&verifier, &feed(NOW, 5)).unwrap();
    // A delta may overlap.
    take(&verifier, &since(feed(NOW, 6), 3)).unwrap();
    take(&verifier, &since(feed(NOW, 6), 6)).unwrap();
    assert_eq!(query(&verifier, NOW + 10), "?since=6");
    assert_eq!(take(&verifier, &since(feed(NOW, 9), 7)), Err(FeedError::Gap { held: Some(6), since: 7 }));
    // Then the full feed is requested.
    assert_eq!(query(&verifier, NOW + 20), "");
    take(&verifier, &feed(NOW, 9)).unwrap();
    assert_eq!(query(&verifier, NOW + 30), "?since=9");
}

#[test]
fn the_number_of_entries_is_bounded() {
    let many = |from: u64, since| {
        let mut feed = since_or_whole(feed(NOW, from), since);
        feed["ended"]["token"] =
            (from..from + 100_000).map(|n| (encode(&u128::from(n).to_be_bytes()), json!(1))).collect();
        feed
    };
    let verifier = following(&[many(1, None), many(200_000, Some(1))]);
    assert_eq!(take(&verifier, &many(400_000, Some(200_000))), Err(FeedError::TooManyEntries));
    assert_eq!(query(&verifier, NOW + 10), "");
    take(&verifier, &many(600_000, None)).unwrap();
}

fn since_or_whole(feed: Value, seq: Option<u64>) -> Value {
    with(feed, "since", seq.map(Into::into))
}

#[test]
fn a_feed_grows_stale() {
    let at = |verifier: &Verifier, now| verify(verifier, now);
    let stale = |iat| Err(Error::StaleFeed { iat });
    assert_eq!(at(&verifier(), NOW), stale(None));
    let verifier = following(&[feed(NOW, 1)]);
    assert_eq!((at(&verifier, NOW + 300), at(&verifier, NOW + 301)), (Ok(()), stale(Some(NOW))));
    // After a clock was set back far, the age is unknown. The limit is `iat_leeway`.
    assert_eq!(at(&verifier, NOW - 60), Ok(()));
    let token = token(&header(), &with(claims(), "iat", Some(json!(NOW - 200))));
    assert_eq!(verifier.verify(token, NOW - 61), Err(Error::StaleFeed { iat: Some(NOW) }));
    // Neither a 304 nor an older feed makes the held one younger.
    verifier.feed_unchanged(NOW + 290);
    verifier.take_feed(sign_feed(&feed(NOW - 10, 1)), None, NOW + 280).unwrap();
    assert_eq!((at(&verifier, NOW + 300), at(&verifier, NOW + 301)), (Ok(()), stale(Some(NOW))));
    verifier.take_feed(sign_feed(&feed(NOW + 301, 1)), None, NOW + 301).unwrap();
    assert_eq!(at(&verifier, NOW + 301), Ok(()));

    // With a clock that is 30 s behind, age counts from the feed's arrival.
    let verifier = self::verifier();
    verifier.take_feed(sign_feed(&feed(NOW, 1)), None, NOW - 30).unwrap();
    assert_eq!((at(&verifier, NOW + 270), at(&verifier, NOW + 271)), (Ok(()), stale(Some(NOW))));

    let verifier = with_keys(Verifier::new(ISSUER, AUDIENCE).max_feed_age(20));
    take(&verifier, &feed(NOW, 1)).unwrap();
    assert_eq!((at(&verifier, NOW + 20), at(&verifier, NOW + 21)), (Ok(()), stale(Some(NOW))));
}

#[test]
fn a_token_known_to_have_ended_is_refused_even_if_the_feed_is_stale() {
    let verifier = following(&[ending(feed(NOW, 1), "token", "tok_st_1", NOW)]);
    assert_eq!(verify(&verifier, NOW + 301), ended("token"));
}

#[test]
fn tokens_may_be_accepted_while_the_feed_is_stale() {
    let verifier = with_keys(Verifier::new(ISSUER, AUDIENCE).when_stale(WhenStale::Accept));
    assert_eq!(verify(&verifier, NOW), Ok(()));
    take(&verifier, &ending(feed(NOW, 1), "token", "tok_st_1", NOW)).unwrap();
    assert_eq!(verify(&verifier, NOW + 800), ended("token"));
    let other = with(claims(), "jti", Some(json!("tok_st_2")));
    assert_eq!(verify_claims(&verifier, &other, NOW + 800), Ok(()));
}

#[test]
fn the_feed_is_fetched_once_per_interval() {
    let (verifier, good) = (verifier(), token(&header(), &claims()));
    let take = |seq, now| verifier.take_feed(sign_feed(&feed(now, seq)), Some("\"e\""), now).unwrap();
    assert_eq!(query(&verifier, NOW), "");
    // Other callers wait: without a feed they would be refused.
    assert_eq!(verifier.due(&good, NOW), Due::Wait);
    take(3, NOW);
    assert_eq!(verifier.due(&good, NOW + 4), Due::Nothing);
    assert_eq!(request(&verifier, NOW + 5).if_none_match, None, "the ETag is of another URI");
    // This caller need not wait: the held feed is fresh enough.
    assert_eq!(verifier.due(&good, NOW + 5), Due::Nothing);
    take(3, NOW + 5);
    let next = request(&verifier, NOW + 10);
    assert_eq!(next.uri, "https://auth.example/.well-known/revocations?since=3");
    assert_eq!(next.if_none_match.as_deref(), Some("\"e\""));
    verifier.feed_unchanged(NOW + 10);
    assert_eq!(verifier.due(&good, NOW + 14), Due::Nothing);
    // After a long pause the held feed is too old, so other callers wait.
    assert_eq!(query(&verifier, NOW + 100), "?since=3");
    assert_eq!(verifier.due(&good, NOW + 100), Due::Wait);
    take(4, NOW + 100);
    assert_eq!(verifier.due(&good, NOW + 100), Due::Nothing);
    assert_eq!(request(&verifier, NOW + 105).if_none_match, None);
}

#[test]
fn failures_make_fetches_less_frequent() {
    let (verifier, good) = (following(&[feed(NOW, 1)]), token(&header(), &claims()));
    let mut asked = Vec::new();
    for now in NOW..NOW + 200 {
        if let Due::Feed(_) = verifier.due(&good, now) {
            asked.push(now - NOW);
            if asked.len() % 2 == 0 {
                verifier.feed_failed();
            } else {
                let _ = verifier.take_feed("not a feed", None, now);
            }
        }
    }
    assert_eq!(asked, [5, 10, 20, 40, 80, 140]);
    take(&verifier, &feed(NOW + 199, 1)).unwrap();
    assert_eq!(query(&verifier, NOW + 204), "?since=1");

    // Without a usable feed, the first attempts come sooner.
    let verifier = self::verifier();
    let asks =
        |now: &u64| matches!(verifier.due(&good, NOW + now), Due::Feed(_)).then(|| verifier.feed_failed()).is_some();
    assert_eq!((0..100).filter(asks).collect::<Vec<_>>(), [0, 1, 3, 7, 15, 31, 63]);
}

#[test]
fn the_full_feed_is_due_each_hour() {
    let verifier = with_keys(Verifier::new(ISSUER, AUDIENCE));
    let refresh = |now| verifier.take_keys(key_set(&[jwk("k1", &key())]), 86_400, now);
    let take = |feed: Value, now: u64| {
        let times = with(with(feed, "iat", Some(json!(now))), "exp", Some(json!(now + 300)));
        verifier.take_feed(sign_feed(&times), None, now).unwrap();
    };
    refresh(NOW);
    take(feed(NOW, 1), NOW);
    for minute in 1..60 {
        assert_eq!(query(&verifier, NOW + minute * 60), "?since=1");
        take(since(feed(NOW, 1), 1), NOW + minute * 60);
    }
    assert_eq!(query(&verifier, NOW + 3600), "");
    // A delta is accepted, but the full feed is still due.
    take(since(feed(NOW, 1), 1), NOW + 3600);
    assert_eq!(query(&verifier, NOW + 3660), "");
    take(feed(NOW, 1), NOW + 3660);
    assert_eq!(query(&verifier, NOW + 3720), "?since=1");
}

#[test]
fn a_feed_under_a_new_key_makes_the_keys_due() {
    let (verifier, good) = (following(&[feed(NOW, 1)]), token(&header(), &claims()));
    let rotated = token(&json!({"alg": "EdDSA", "typ": "revocations+jwt", "kid": "k2"}), &feed(NOW + 20, 2));
    assert_eq!(query(&verifier, NOW + 20), "?since=1");
    assert_eq!(verifier.take_feed(&rotated, None, NOW + 20), Err(FeedError::UnknownKey));
    // The keys are due for tokens signed with the old key too, and the feed is due right after them.
    assert_eq!(verifier.due(&good, NOW + 20), Due::Keys);
    let unrelated = SigningKey::from_bytes(&[8; 32]);
    verifier.take_keys(key_set(&[jwk("k1", &unrelated), jwk("k2", &key())]), 300, NOW + 20);
    assert_eq!(query(&verifier, NOW + 20), "?since=1");
    assert_eq!(verifier.take_feed(&rotated, None, NOW + 20), Ok(()));
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let verifier = following(&[feed(NOW, 0)]);
        prop_assert!(verifier.take_feed(&text, None, NOW).is_err());
        prop_assert!(verifier.take_feed(&bytes, Some(&text), NOW).is_err());
        // With a valid signature, the payload is parsed too.
        let header = r#"{"alg":"EdDSA","typ":"revocations+jwt","kid":"k1"}"#;
        prop_assert!(verifier.take_feed(sign(header, &bytes), None, NOW).is_err());
        let mut claims = feed(NOW, 0);
        claims["ended"]["token"][&text] = json!(NOW);
        prop_assert!(take(&verifier, &claims).is_err());
    }

    #[test]
    fn a_changed_feed_is_refused(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.=+/ é\\-]") {
        let good = sign_feed(&ending(feed(NOW, 1), "token", "tok_st_1", NOW));
        let at = at.index(good.len());
        let mut changed = good.clone();
        changed.replace_range(at..=at, &to);
        prop_assert_eq!(verifier().take_feed(&changed, None, NOW).is_ok(), changed == good);
    }
}
