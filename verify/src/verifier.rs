//! The offline check, and the keys that it needs.

use core::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::jws::Jws;
use crate::key_set::{Key, KeySet};
use crate::{AccessToken, Error};

/// No set is taken as fresh for longer than this, seconds, whatever its `max-age`.
const LONGEST_MAX_AGE: u64 = 86_400;

/// Checks tokens of one issuer for one audience. Shared by reference between requests; it never waits.
pub struct Verifier {
    issuer: String,
    audience: String,
    exp_leeway: u64,
    iat_leeway: u64,
    refresh_interval: u64,
    stale_if_error: u64,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    set: Option<KeySet>,
    /// Up to then, Unix seconds, there is no need to fetch the set again.
    fresh_until: u64,
    /// From then on it may no longer be used.
    usable_until: u64,
    /// When somebody was last told to fetch it.
    last_asked: Option<u64>,
}

impl Verifier {
    /// `issuer` and `audience` as the tokens name them, character by character.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            exp_leeway: 0,
            iat_leeway: 60,
            refresh_interval: 10,
            stale_if_error: 86_400,
            keys: Mutex::default(),
        }
    }

    /// For how long, seconds, a token counts after its `exp`. Default 0: a client sees `expires_in` and renews in time,
    /// and the issuer forgets a revocation when the token that it was for has ended.
    pub fn exp_leeway(self, seconds: u64) -> Self {
        Self { exp_leeway: seconds, ..self }
    }

    /// How far, seconds, `iat` and `nbf` may lie in the future. Default 60: a new token must not be refused because
    /// this clock is a little behind the issuer's.
    pub fn iat_leeway(self, seconds: u64) -> Self {
        Self { iat_leeway: seconds, ..self }
    }

    /// How many seconds pass at least between two fetches of the keys. Default 10.
    pub fn refresh_interval(self, seconds: u64) -> Self {
        Self { refresh_interval: seconds, ..self }
    }

    /// For how long, seconds, keys are used beyond their `max-age` when they can't be fetched. Default 86400.
    pub fn stale_if_error(self, seconds: u64) -> Self {
        Self { stale_if_error: seconds, ..self }
    }

    /// Where the issuer publishes its keys.
    pub fn jwks_uri(&self) -> String {
        let authority = self.issuer.find("://").map_or(0, |scheme| scheme + 3);
        let path = self.issuer[authority..].find('/').map_or(self.issuer.len(), |slash| authority + slash);
        format!("{}/.well-known/jwks.json", &self.issuer[..path])
    }

    /// Whether the caller should fetch [`jwks_uri`](Self::jwks_uri) now and call [`refresh`](Self::refresh), before it
    /// verifies `token`: because there are no keys, because they are past their `max-age`, or because the token names
    /// a key that is not among them.
    ///
    /// While there are keys, it says so once per [`refresh_interval`](Self::refresh_interval), to one caller; made-up
    /// key ids can't turn this API against its issuer. While there are none, it says so to every caller with a token
    /// of the right form: without keys, each would be refused.
    pub fn needs_refresh(&self, token: impl AsRef<[u8]>, now: u64) -> bool {
        let Ok(jws) = Jws::parse(token.as_ref()) else { return false };
        let mut keys = self.keys();
        let Some(set) = keys.usable(now) else {
            keys.last_asked = Some(now);
            return true;
        };
        if now < keys.fresh_until && set.find(&jws.kid).is_some() {
            return false;
        }
        // The difference either way: a clock that was set back must not stop the fetching.
        if keys.last_asked.is_some_and(|last| now.abs_diff(last) < self.refresh_interval) {
            return false;
        }
        keys.last_asked = Some(now);
        true
    }

    /// Takes a new key set in the place of the old one. `max_age` is that of its `Cache-Control`, seconds: see
    /// [`max_age`](crate::max_age); more than a day counts as a day.
    pub fn refresh(&self, set: KeySet, max_age: u64, now: u64) {
        let fresh_until = now.saturating_add(max_age.min(LONGEST_MAX_AGE));
        let mut keys = self.keys();
        keys.set = Some(set);
        keys.fresh_until = fresh_until;
        keys.usable_until = fresh_until.saturating_add(self.stale_if_error);
        keys.last_asked = Some(now);
    }

    /// Checks a token at `now`, Unix seconds: form, kind, algorithm, signature, claims, issuer, audience, times. Whether
    /// it was revoked is another question: see [`Introspection`](crate::Introspection).
    pub fn verify(&self, token: impl AsRef<[u8]>, now: u64) -> Result<AccessToken, Error> {
        let jws = Jws::parse(token.as_ref())?;
        if !self.key(&jws.kid, now)?.verifies(jws.signed.as_bytes(), &jws.signature) {
            return Err(Error::Signature);
        }
        let token = AccessToken::parse(&jws.payload()?)?;
        if token.iss != self.issuer {
            return Err(Error::Issuer);
        }
        if !token.aud.contains(&self.audience) {
            return Err(Error::Audience);
        }
        // RFC 7519, section 4.1.4: at `exp` it is over.
        if now >= token.exp.saturating_add(self.exp_leeway) {
            return Err(Error::Expired);
        }
        let latest = now.saturating_add(self.iat_leeway);
        if token.iat > latest || token.nbf.is_some_and(|nbf| nbf > latest) || token.exp <= token.iat {
            return Err(Error::Untimely);
        }
        Ok(token)
    }

    fn key(&self, kid: &str, now: u64) -> Result<Key, Error> {
        self.keys().usable(now).ok_or(Error::NoKeys)?.find(kid).cloned().ok_or(Error::UnknownKey)
    }

    /// Each change under the lock leaves the keys whole, so there is nothing to fear from one that panicked.
    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
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
