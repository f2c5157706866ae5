//! The offline check, and the keys and the feed that it uses.

use core::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};

use crate::feed::{self, Claims, Feed, FeedDue, Limits};
use crate::jws::{Jws, MAX_TOKEN_LENGTH};
use crate::key_set::{Key, KeySet};
use crate::schedule::{Decision, Schedule};
use crate::{AccessToken, Error, FeedError, FeedRequest, MAX_FEED_LENGTH, WhenStale};

/// The longest time that a key set counts as fresh, seconds, whatever its `max-age`.
const LONGEST_MAX_AGE: u64 = 86_400;

/// Checks tokens of one issuer for one audience. Can be shared between requests by reference; no method blocks or
/// awaits.
pub struct Verifier {
    issuer: String,
    audience: String,
    exp_leeway: u64,
    refresh_interval: u64,
    stale_if_error: u64,
    limits: Limits,
    keys: Mutex<Keys>,
    feed: Option<RwLock<Feed>>,
}

#[derive(Default)]
struct Keys {
    set: Option<KeySet>,
    /// Until then, Unix seconds, the set need not be fetched again.
    fresh_until: u64,
    /// From then on, Unix seconds, the set may no longer be used.
    usable_until: u64,
    /// The feed needs a key that is not in the set, so the keys are due.
    wanted: bool,
    schedule: Schedule,
}

/// What to do before verifying a token. Returned by [`Verifier::due`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Due {
    /// Verify the token now.
    Nothing,
    /// GET [`jwks_uri`](Verifier::jwks_uri), and call [`take_keys`](Verifier::take_keys) or
    /// [`keys_failed`](Verifier::keys_failed).
    Keys,
    /// Send this request, and call [`take_feed`](Verifier::take_feed), [`feed_unchanged`](Verifier::feed_unchanged) or
    /// [`feed_failed`](Verifier::feed_failed).
    Feed(FeedRequest),
    /// Another caller is fetching what this one needs. Call again after about 20 ms; it takes 5 s at most.
    Wait,
}

impl Verifier {
    /// `issuer` and `audience` must equal the tokens' `iss` and `aud` exactly.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            exp_leeway: 0,
            refresh_interval: 10,
            stale_if_error: 86_400,
            limits: Limits { poll_interval: 5, max_age: 300, iat_leeway: 60, when_stale: WhenStale::Refuse },
            keys: Mutex::default(),
            feed: Some(RwLock::default()),
        }
    }

    /// Checks tokens without the revocation feed: a revoked token is accepted until its `exp`, 15 minutes at most,
    /// unless [`Introspection`](crate::Introspection) is used.
    pub fn without_feed(self) -> Self {
        Self { feed: None, ..self }
    }

    /// How often the feed is fetched, seconds; at least 1. Default 5. A revoked token is refused within this time plus
    /// 5 s of the response to its revocation.
    pub fn poll_interval(self, seconds: u64) -> Self {
        Self { limits: Limits { poll_interval: seconds.max(1), ..self.limits }, ..self }
    }

    /// How old the feed may be before it is stale, seconds since its `iat`. Default 300.
    pub fn max_feed_age(self, seconds: u64) -> Self {
        Self { limits: Limits { max_age: seconds, ..self.limits }, ..self }
    }

    /// What to do with tokens while the feed is stale. Default: refuse them.
    pub fn when_stale(self, when_stale: WhenStale) -> Self {
        Self { limits: Limits { when_stale, ..self.limits }, ..self }
    }

    /// How long a token is accepted after its `exp`, seconds. Default 0: clients know `expires_at` and renew in time,
    /// and the issuer forgets a revocation once the revoked token has expired.
    pub fn exp_leeway(self, seconds: u64) -> Self {
        Self { exp_leeway: seconds, ..self }
    }

    /// How far `iat` and `nbf` may be in the future, seconds. Default 60, so that a new token is not refused if this
    /// clock is a little behind the issuer's.
    pub fn iat_leeway(self, seconds: u64) -> Self {
        Self { limits: Limits { iat_leeway: seconds, ..self.limits }, ..self }
    }

    /// The shortest time between two fetches of the keys, seconds. Default 10; 1 at most while there are none, since
    /// every request is refused then.
    pub fn refresh_interval(self, seconds: u64) -> Self {
        Self { refresh_interval: seconds, ..self }
    }

    /// How long keys are used beyond their `max-age` if they can't be fetched, seconds. Default 86400.
    pub fn stale_if_error(self, seconds: u64) -> Self {
        Self { stale_if_error: seconds, ..self }
    }

    /// The URL of the issuer's keys.
    pub fn jwks_uri(&self) -> String {
        self.well_known("jwks.json")
    }

    /// The URL of the issuer's revocation feed.
    pub fn revocations_uri(&self) -> String {
        self.well_known("revocations")
    }

    fn well_known(&self, name: &str) -> String {
        let authority = self.issuer.find("://").map_or(0, |scheme| scheme + 3);
        let path = self.issuer[authority..].find('/').map_or(self.issuer.len(), |slash| authority + slash);
        format!("{}/.well-known/{name}", &self.issuer[..path])
    }

    /// What to fetch before `token` is verified. Call it again after each fetch, until it returns [`Due::Nothing`].
    ///
    /// Keys are due if there are none, if they are past their `max-age`, or if the token or the feed names a key that
    /// is not among them. The feed is due once per [`poll_interval`](Self::poll_interval). Only one caller at a time is
    /// told to fetch. Neither is due more often than its interval, even if callers invent key ids, and less often after
    /// failures, down to once a minute.
    pub fn due(&self, token: impl AsRef<[u8]>, now: u64) -> Due {
        let Ok(jws) = Jws::parse(token.as_ref(), AccessToken::TYP, MAX_TOKEN_LENGTH) else { return Due::Nothing };
        match self.decide_keys(Some(&jws.kid), now) {
            Decision::Fetch => return Due::Keys,
            Decision::Pending => return Due::Wait,
            Decision::NotYet => {}
        }
        if !self.has_keys(now) {
            return Due::Nothing;
        }
        let Some(mut feed) = self.feed() else { return Due::Nothing };
        match feed.due(&self.revocations_uri(), &self.limits, now) {
            FeedDue::Fetch(request) => Due::Feed(request),
            FeedDue::Pending => Due::Wait,
            FeedDue::Nothing => Due::Nothing,
        }
    }

    #[cfg(feature = "follow")]
    pub(crate) fn decide_keys_for(&self, token: &[u8], now: u64) -> Decision {
        let jws = Jws::parse(token, AccessToken::TYP, MAX_TOKEN_LENGTH);
        jws.map_or(Decision::NotYet, |jws| self.decide_keys(Some(&jws.kid), now))
    }

    /// Whether to fetch the keys, for a token signed with the key `kid`, or for none.
    pub(crate) fn decide_keys(&self, kid: Option<&str>, now: u64) -> Decision {
        let mut keys = self.keys();
        let set = keys.usable(now);
        let interval = if set.is_some() { self.refresh_interval } else { self.refresh_interval.min(1) };
        let known = set.is_some_and(|set| kid.is_none_or(|kid| set.find(kid).is_some()));
        if known && !keys.wanted && now < keys.fresh_until {
            return Decision::NotYet;
        }
        match keys.schedule.decide(interval, now) {
            // The current keys are enough for this token.
            Decision::Pending if known => Decision::NotYet,
            decision => decision,
        }
    }

    /// Replaces the key set. `max_age` is that of its `Cache-Control`, seconds: see [`max_age`](crate::max_age); more
    /// than a day counts as a day.
    pub fn take_keys(&self, set: KeySet, max_age: u64, now: u64) {
        let fresh_until = now.saturating_add(max_age.min(LONGEST_MAX_AGE));
        let mut keys = self.keys();
        keys.set = Some(set);
        keys.fresh_until = fresh_until;
        keys.usable_until = fresh_until.saturating_add(self.stale_if_error);
        keys.schedule.succeeded(now);
        let feed_waits = core::mem::take(&mut keys.wanted);
        drop(keys);
        if feed_waits && let Some(mut feed) = self.feed() {
            feed.schedule().reset();
        }
    }

    /// Call this if the keys could not be fetched or parsed.
    pub fn keys_failed(&self) {
        self.keys().schedule.failed();
    }

    /// Takes the body of the 200 response to a [`FeedRequest`]; `etag` is its `ETag`. The feed is accepted if its
    /// signature, `typ`, `iss`, `iat` and `exp` are valid and its `seq` is not lower than before. A full feed replaces
    /// the held one; a delta is merged into it.
    pub fn take_feed(&self, text: impl AsRef<[u8]>, etag: Option<&str>, now: u64) -> Result<(), FeedError> {
        let claims = self.feed_claims(text.as_ref(), now);
        if matches!(claims, Err(FeedError::NoKeys | FeedError::UnknownKey)) {
            self.keys().wanted = true;
        }
        let mut feed = self.feed().ok_or(FeedError::NotFollowed)?;
        let taken = claims.and_then(|claims| feed.take(claims, etag, &self.limits, now));
        if taken.is_err() {
            feed.schedule().failed();
        }
        taken
    }

    /// For the background task: the next request, unless there is no feed.
    #[cfg(feature = "follow")]
    pub(crate) fn begin_feed(&self, now: u64) -> Option<FeedRequest> {
        self.feed().map(|mut feed| feed.begin(&self.revocations_uri(), now))
    }

    /// For the background task: seconds until that request.
    #[cfg(feature = "follow")]
    pub(crate) fn feed_wait(&self, now: u64) -> u64 {
        self.feed().map_or(self.limits.poll_interval, |feed| feed.wait(&self.limits, now))
    }

    /// Whether tokens can be checked, so that requests are not answered 503.
    #[cfg(feature = "follow")]
    pub(crate) fn is_ready(&self, now: u64) -> bool {
        self.has_keys(now) && self.feed().is_none_or(|feed| !feed.is_stale(&self.limits, now))
    }

    fn feed_claims(&self, text: &[u8], now: u64) -> Result<Claims, FeedError> {
        let jws = Jws::parse(text, feed::TYP, MAX_FEED_LENGTH)?;
        let claims = Claims::parse(&self.payload(&jws, now)?)?;
        if claims.iss == self.issuer { Ok(claims) } else { Err(FeedError::Issuer) }
    }

    /// Call this if a [`FeedRequest`] was answered 304: the held feed is up to date.
    pub fn feed_unchanged(&self, now: u64) {
        if let Some(mut feed) = self.feed() {
            feed.unchanged(now);
        }
    }

    /// Call this if a [`FeedRequest`] got any other response, or none.
    pub fn feed_failed(&self) {
        if let Some(mut feed) = self.feed() {
            feed.schedule().failed();
        }
    }

    /// Checks a token at `now` (Unix seconds): format, kind, algorithm, signature, claims, issuer, audience, times, and
    /// whether the feed says that it has ended.
    pub fn verify(&self, token: impl AsRef<[u8]>, now: u64) -> Result<AccessToken, Error> {
        let jws = Jws::parse(token.as_ref(), AccessToken::TYP, MAX_TOKEN_LENGTH)?;
        let token = AccessToken::parse(&self.payload(&jws, now)?)?;
        if token.iss != self.issuer {
            return Err(Error::Issuer);
        }
        if !token.aud.contains(&self.audience) {
            return Err(Error::Audience);
        }
        // At `exp` the token has expired (RFC 7519, section 4.1.4).
        if now >= token.exp.saturating_add(self.exp_leeway) {
            return Err(Error::Expired);
        }
        let latest = now.saturating_add(self.limits.iat_leeway);
        if token.iat > latest || token.nbf.is_some_and(|nbf| nbf > latest) || token.exp <= token.iat {
            return Err(Error::Untimely);
        }
        if let Some(feed) = &self.feed {
            feed.read().unwrap_or_else(PoisonError::into_inner).check(&token, &self.limits, now)?;
        }
        Ok(token)
    }

    /// Checks the signature, and returns the payload.
    fn payload(&self, jws: &Jws<'_>, now: u64) -> Result<Vec<u8>, Error> {
        let key = self.key(&jws.kid, now)?;
        if key.verifies(jws.signed.as_bytes(), &jws.signature) { jws.payload() } else { Err(Error::Signature) }
    }

    fn key(&self, kid: &str, now: u64) -> Result<Key, Error> {
        self.keys().usable(now).ok_or(Error::NoKeys)?.find(kid).cloned().ok_or(Error::UnknownKey)
    }

    pub(crate) fn has_keys(&self, now: u64) -> bool {
        self.keys().usable(now).is_some()
    }

    /// Ignores poisoning: no change under a lock can leave the data inconsistent.
    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn feed(&self) -> Option<RwLockWriteGuard<'_, Feed>> {
        self.feed.as_ref().map(|feed| feed.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Keys {
    fn usable(&self, now: u64) -> Option<&KeySet> {
        self.set.as_ref().filter(|_| now < self.usable_until)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Verifier")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}
