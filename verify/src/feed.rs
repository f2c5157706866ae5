//! The revocation feed: a signed list of the tokens and clients that ended before their time.

use core::fmt;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use sha2::{Digest, Sha256};

use crate::schedule::{Decision, Schedule};
use crate::{AccessToken, Error, json};

/// The longest feed that is parsed, bytes: some 170,000 entries.
pub const MAX_FEED_LENGTH: usize = 8_388_608;

/// The most entries that are held. A single feed of [`MAX_FEED_LENGTH`] has fewer.
const MAX_ENTRIES: usize = 250_000;

/// How often the full feed replaces what was merged from deltas, seconds.
const WHOLE_INTERVAL: u64 = 3600;

/// How much older than the polling interval the feed may be while another caller fetches it, seconds. The issuer's own
/// copy may be 2 s old, so a revoked token is still refused within the interval plus 5 s, as promised.
const GRACE: u64 = 2;

pub const TYP: &str = "revocations+jwt";

/// What to do with a token that is not known to have ended, if the feed is too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WhenStale {
    /// Refuse it with 503: whether it was revoked is unknown.
    #[default]
    Refuse,
    /// Accept it: a revocation is then noticed late or never.
    Accept,
}

/// A GET of the feed, for you to send. Pass its response to [`Verifier::take_feed`](crate::Verifier::take_feed) (200),
/// [`Verifier::feed_unchanged`](crate::Verifier::feed_unchanged) (304) or
/// [`Verifier::feed_failed`](crate::Verifier::feed_failed) (anything else).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedRequest {
    pub uri: String,
    /// The value of the header `If-None-Match` (RFC 9110, section 13.1.2).
    pub if_none_match: Option<String>,
}

/// Why a feed was not accepted. The held feed stays.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedError {
    /// The verifier was made [`without_feed`](crate::Verifier::without_feed).
    NotFollowed,
    /// Longer than [`MAX_FEED_LENGTH`].
    TooLong,
    /// It is not a JWT, or its claims are not those of a feed.
    Malformed,
    /// Its `typ` is not `revocations+jwt`.
    Kind,
    /// `alg` is not `EdDSA`.
    Algorithm,
    /// There are no keys yet, or they are too old.
    NoKeys,
    /// It is signed with a key that is not in the key set. The keys are due now.
    UnknownKey,
    /// The signature is not valid under that key.
    Signature,
    /// `iss` is not the issuer.
    Issuer,
    /// `exp` has passed.
    Expired,
    /// `iat` is in the future, or `exp` is not after it.
    Untimely,
    /// `seq` is lower than that of the held feed.
    Backwards { held: u64, seq: u64 },
    /// It is a delta that does not connect to the held feed, or nothing is held. The full feed is requested next.
    Gap { held: Option<u64>, since: u64 },
    /// Merging this delta would exceed the limit on entries. The full feed is requested next.
    TooManyEntries,
}

/// The first 16 bytes of a SHA-256.
type Hash = [u8; 16];

/// The held feed, merged from the accepted ones.
#[derive(Debug, Default)]
pub struct Feed {
    ended: Ended,
    held: Option<Held>,
    whole_wanted: bool,
    /// The `since` of the last request.
    asked_since: Option<u64>,
    schedule: Schedule,
}

#[derive(Debug)]
struct Held {
    seq: u64,
    /// The latest `iat`.
    iat: u64,
    /// The time from which its age counts: `iat`, or the local time of its arrival if that is earlier. Otherwise the
    /// feed would seem younger by as much as the local clock is behind.
    fresh_from: u64,
    whole_at: u64,
    /// The `ETag` of the last feed, and the `since` of its request.
    etag: Option<(Option<u64>, String)>,
}

/// A verifier's settings for its feed. In seconds.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub poll_interval: u64,
    pub max_age: u64,
    pub iat_leeway: u64,
    pub when_stale: WhenStale,
}

/// The claims of a feed whose signature has been checked.
#[derive(Deserialize)]
pub struct Claims {
    pub iss: String,
    iat: u64,
    exp: u64,
    seq: u64,
    #[serde(default, deserialize_with = "json::present")]
    since: Option<u64>,
    #[serde(deserialize_with = "json::nested")]
    ended: Ended,
}

/// Unix seconds by hash.
#[derive(Debug, Default, Deserialize)]
struct Ended {
    token: Entries,
    parent: Entries,
    client: Entries,
}

#[derive(Debug, Default)]
struct Entries(HashMap<Hash, u64>);

pub enum FeedDue {
    Fetch(FeedRequest),
    Pending,
    Nothing,
}

impl Feed {
    /// Whether to fetch the feed now. `uri` is its URL.
    pub fn due(&mut self, uri: &str, limits: &Limits, now: u64) -> FeedDue {
        match self.schedule.decide(self.interval(limits, now), now) {
            Decision::Fetch => FeedDue::Fetch(self.request(uri, now)),
            Decision::Pending if !self.schedule.succeeded_within(limits.poll_interval.saturating_add(GRACE), now) => {
                FeedDue::Pending
            }
            Decision::Pending | Decision::NotYet => FeedDue::Nothing,
        }
    }

    /// The next request, for a task with its own timer.
    #[cfg(feature = "follow")]
    pub fn begin(&mut self, uri: &str, now: u64) -> FeedRequest {
        self.schedule.begin(now);
        self.request(uri, now)
    }

    /// A request for the entries after the held ones, or for the full feed if that is due.
    fn request(&mut self, uri: &str, now: u64) -> FeedRequest {
        let since = self.since(now);
        self.asked_since = since;
        let uri = since.map_or_else(|| uri.to_owned(), |seq| format!("{uri}?since={seq}"));
        // An `ETag` is valid for one URI only.
        let etag = self.held.as_ref().and_then(|held| held.etag.as_ref()).filter(|(asked, _)| *asked == since);
        FeedRequest { uri, if_none_match: etag.map(|(_, etag)| etag.clone()) }
    }

    fn since(&self, now: u64) -> Option<u64> {
        let held = self.held.as_ref().filter(|_| !self.whole_wanted)?;
        (now.abs_diff(held.whole_at) < WHOLE_INTERVAL).then_some(held.seq)
    }

    /// Seconds from one fetch to the next.
    #[cfg(feature = "follow")]
    pub fn wait(&self, limits: &Limits, now: u64) -> u64 {
        self.schedule.wait(self.interval(limits, now))
    }

    /// While there is no usable feed, every request is refused, so the first attempts are a second apart.
    fn interval(&self, limits: &Limits, now: u64) -> u64 {
        if self.is_stale(limits, now) { limits.poll_interval.min(1) } else { limits.poll_interval }
    }

    pub fn schedule(&mut self) -> &mut Schedule {
        &mut self.schedule
    }

    pub fn take(&mut self, claims: Claims, etag: Option<&str>, limits: &Limits, now: u64) -> Result<(), FeedError> {
        let Claims { iat, exp, seq, since, ended, .. } = claims;
        if now >= exp {
            return Err(FeedError::Expired);
        }
        if iat > now.saturating_add(limits.iat_leeway) || exp <= iat {
            return Err(FeedError::Untimely);
        }
        let held = self.held.as_ref();
        if let Some(held) = held.filter(|held| seq < held.seq) {
            return Err(FeedError::Backwards { held: held.seq, seq });
        }
        let whole_at = match (since, held) {
            (None, _) => {
                self.ended = ended;
                self.whole_wanted = false;
                now
            }
            (Some(since), Some(held)) if since <= held.seq => {
                if self.ended.len() + ended.len() > MAX_ENTRIES {
                    self.whole_wanted = true;
                    return Err(FeedError::TooManyEntries);
                }
                let whole_at = held.whole_at;
                self.ended.merge(ended);
                whole_at
            }
            (Some(since), held) => {
                let held = held.map(|held| held.seq);
                self.whole_wanted = true;
                return Err(FeedError::Gap { held, since });
            }
        };
        // A feed with the same `seq` but an older `iat` must not set these back.
        let (last_iat, last_fresh) = self.held.as_ref().map_or((0, 0), |held| (held.iat, held.fresh_from));
        self.held = Some(Held {
            seq,
            iat: iat.max(last_iat),
            fresh_from: iat.min(now).max(last_fresh),
            whole_at,
            etag: etag.map(|etag| (self.asked_since, etag.to_owned())),
        });
        self.schedule.succeeded(now);
        Ok(())
    }

    /// A 304: nothing is new. Age still counts from when the held feed was issued.
    pub fn unchanged(&mut self, now: u64) {
        self.schedule.succeeded(now);
    }

    /// Refuses a token that has ended, or, by `when_stale`, any token if the feed is too old.
    pub fn check(&self, token: &AccessToken, limits: &Limits, now: u64) -> Result<(), Error> {
        // This clock may be behind the issuer's, which decided the end.
        let latest = self.held.as_ref().map_or(now, |held| held.iat.max(now));
        if let Some(by) = self.ended.by(token, latest) {
            return Err(Error::Ended { jti: token.jti.clone(), by });
        }
        if limits.when_stale == WhenStale::Refuse && self.is_stale(limits, now) {
            return Err(Error::StaleFeed { iat: self.held.as_ref().map(|held| held.iat) });
        }
        Ok(())
    }

    pub fn is_stale(&self, limits: &Limits, now: u64) -> bool {
        self.held.as_ref().is_none_or(|held| {
            now > held.fresh_from.saturating_add(limits.max_age)
                // The clock was set back, so the age is unknown.
                || now.saturating_add(limits.iat_leeway) < held.fresh_from
        })
    }
}

impl Claims {
    pub fn parse(payload: &[u8]) -> Result<Self, FeedError> {
        let claims: Self = json::object(payload).ok_or(FeedError::Malformed)?;
        if claims.since.is_some_and(|since| since > claims.seq) { Err(FeedError::Malformed) } else { Ok(claims) }
    }
}

impl Ended {
    /// The member that lists the token, if its end has come.
    fn by(&self, token: &AccessToken, now: u64) -> Option<&'static str> {
        if self.token.find("token:", &token.jti).is_some_and(|end| end <= now) {
            return Some("token");
        }
        let parent = token.parent.as_ref().and_then(|parent| self.parent.find("parent:", parent));
        if parent.is_some_and(|end| end <= now) {
            return Some("parent");
        }
        let valid_from = self.client.find("client:", &token.client_id)?;
        // A token without `auth_time` may be older than that.
        token.auth_time.is_none_or(|auth_time| auth_time < valid_from).then_some("client")
    }

    fn merge(&mut self, newer: Self) {
        self.token.0.extend(newer.token.0);
        self.parent.0.extend(newer.parent.0);
        self.client.0.extend(newer.client.0);
    }

    fn len(&self) -> usize {
        self.token.0.len() + self.parent.0.len() + self.client.0.len()
    }
}

impl Entries {
    fn find(&self, kind: &str, id: &str) -> Option<u64> {
        if self.0.is_empty() {
            return None;
        }
        let digest = Sha256::new_with_prefix(kind).chain_update(id).finalize();
        self.0.get(digest.first_chunk::<16>()?).copied()
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Hashes;

        impl<'de> Visitor<'de> for Hashes {
            type Value = Entries;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("times by hash")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = HashMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    let mut hash = Hash::default();
                    let decoded = Base64UrlUnpadded::decode(&name, &mut hash).map(<[u8]>::len);
                    match (decoded, entries.entry(hash)) {
                        (Ok(16), Entry::Vacant(entry)) => entry.insert(map.next_value()?),
                        _ => return Err(A::Error::custom("a malformed or repeated hash")),
                    };
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Hashes)
    }
}

/// Converts the errors that feeds and tokens share.
impl From<Error> for FeedError {
    fn from(error: Error) -> Self {
        match error {
            Error::TooLong => Self::TooLong,
            Error::Kind => Self::Kind,
            Error::Algorithm => Self::Algorithm,
            Error::UnknownKey => Self::UnknownKey,
            Error::NoKeys => Self::NoKeys,
            Error::Signature => Self::Signature,
            _ => Self::Malformed,
        }
    }
}

impl fmt::Display for FeedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotFollowed => "this verifier was made without the feed",
            Self::TooLong => return write!(formatter, "the feed is longer than {MAX_FEED_LENGTH} bytes"),
            Self::Malformed => "the response is not a revocation feed",
            Self::Kind => "the JWT is not of type revocations+jwt",
            Self::Algorithm => "the feed is not signed with EdDSA",
            Self::NoKeys => "the issuer's keys have not been fetched, or are too old",
            Self::UnknownKey => "the feed is signed with a key that is not in the issuer's key set",
            Self::Signature => "the feed's signature is invalid",
            Self::Issuer => "the feed is from another issuer",
            Self::Expired => "the feed has expired, or this machine's clock is ahead of the issuer's",
            Self::Untimely => "the feed was issued in the future, or this machine's clock is behind the issuer's",
            Self::Backwards { held, seq } => {
                return write!(formatter, "the feed's seq {seq} is lower than the held seq {held}");
            }
            Self::Gap { held: Some(held), since } => {
                return write!(formatter, "the delta begins after seq {since}, but only seq {held} is held");
            }
            Self::Gap { held: None, since } => {
                return write!(formatter, "the delta begins after seq {since}, but nothing is held yet");
            }
            Self::TooManyEntries => return write!(formatter, "the feed would have more than {MAX_ENTRIES} entries"),
        })
    }
}

impl core::error::Error for FeedError {}

/// Tests with many tokens, without signatures, which a debug build would take minutes to check.
#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_800_000_000;

    const LIMITS: Limits = Limits { poll_interval: 5, max_age: 300, iat_leeway: 60, when_stale: WhenStale::Refuse };

    fn text(seq: u64, since: Option<u64>) -> Value {
        let ended = json!({"token": {}, "parent": {}, "client": {}});
        let mut text = json!({"iss": "i", "iat": NOW, "exp": NOW + 300, "seq": seq, "ended": ended});
        if let Some(since) = since {
            text["since"] = json!(since);
        }
        text
    }

    fn end(text: &mut Value, member: &str, id: &str, time: u64) {
        let hash = Base64UrlUnpadded::encode_string(&Sha256::digest(format!("{member}:{id}"))[..16]);
        text["ended"][member][hash] = json!(time);
    }

    fn take(feed: &mut Feed, text: &Value) -> Result<(), FeedError> {
        feed.take(Claims::parse(text.to_string().as_bytes())?, None, &LIMITS, NOW)
    }

    /// Four tokens per long-term token, twenty-five long-term tokens per client.
    fn token(n: usize) -> AccessToken {
        let client = format!("client-{}", n / 100);
        let claims = json!({
            "iss": "i", "sub": client, "client_id": client, "aud": "a", "iat": NOW, "exp": NOW + 900, "scope": "",
            "jti": format!("tok_st_{n}"), "parent": format!("tok_lt_{}", n / 4), "auth_time": NOW - 1,
        });
        AccessToken::parse(claims.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn of_ten_thousand_tokens_exactly_those_that_ended_are_refused() {
        let mut feed = Feed::default();
        take(&mut feed, &text(0, None)).unwrap();
        // Knuth's generator: the same numbers each time.
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from((state >> 33) % below).unwrap()
        };
        let mut gone = BTreeSet::new();
        for seq in (0..1000).step_by(10) {
            let mut delta = text(seq + 10, Some(seq));
            for nth in seq..seq + 10 {
                // Of a hundred ends, one is a client's and ten are long-term tokens'.
                let (member, one, ended) = match nth % 100 {
                    0 => (("client", "client-"), random(100), 100),
                    1..=10 => (("parent", "tok_lt_"), random(2500), 4),
                    _ => (("token", "tok_st_"), random(10_000), 1),
                };
                end(&mut delta, member.0, &format!("{}{one}", member.1), NOW);
                gone.extend(one * ended..(one + 1) * ended);
            }
            take(&mut feed, &delta).unwrap();
        }
        assert!((1500..3000).contains(&gone.len()), "{}", gone.len());
        for n in 0..10_000 {
            match feed.check(&token(n), &LIMITS, NOW) {
                Ok(()) => assert!(!gone.contains(&n), "{n} was not refused"),
                Err(Error::Ended { .. }) => assert!(gone.contains(&n), "{n} was refused"),
                Err(other) => panic!("{other}"),
            }
        }
    }

    proptest! {
        /// Any feeds in any order, compared with a model of the contract.
        #[test]
        fn texts_in_any_order(
            texts in prop::collection::vec(
                (0..12_u64, prop::option::of(0..12_u64), prop::collection::btree_map(0..3_usize, NOW - 1..=NOW + 1, 0..3)),
                0..12,
            )
        ) {
            let mut feed = Feed::default();
            let mut held: Option<(u64, BTreeMap<usize, u64>)> = None;
            for (seq, since, entries) in texts {
                let mut text = text(seq, since);
                for (n, time) in &entries {
                    end(&mut text, "token", &format!("tok_st_{n}"), *time);
                }
                let expected = match (&mut held, since) {
                    (Some((last, _)), _) if seq < *last => false,
                    (_, Some(since)) if since > seq => false,
                    (Some((last, known)), Some(since)) if since <= *last => {
                        *last = seq;
                        known.extend(entries);
                        true
                    }
                    (_, Some(_)) => false,
                    (held, None) => {
                        *held = Some((seq, entries));
                        true
                    }
                };
                prop_assert_eq!(take(&mut feed, &text).is_ok(), expected);
                for n in 0..3 {
                    let refusal = feed.check(&token(n), &LIMITS, NOW).err();
                    match &held {
                        None => prop_assert_eq!(refusal, Some(Error::StaleFeed { iat: None })),
                        Some((_, known)) => {
                            let ended = known.get(&n).is_some_and(|time| *time <= NOW);
                            prop_assert_eq!(matches!(refusal, Some(Error::Ended { .. })), ended);
                            prop_assert_eq!(refusal.is_none(), !ended);
                        }
                    }
                }
            }
        }
    }
}
