//! Introspection (RFC 7662): asks the issuer whether a token is active, and caches the answer.

use core::fmt::{self, Display};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{AccessToken, Error, Verifier, json};

/// The longest response that is parsed, bytes.
const MAX_ANSWER_LENGTH: usize = 16_384;

/// A bounded cache of introspection answers. It holds hashes of tokens, never tokens.
pub struct Introspection {
    ttl: u64,
    capacity: usize,
    answers: Mutex<BTreeMap<[u8; 32], Answer>>,
}

#[derive(Clone, Copy)]
struct Answer {
    active: bool,
    until: u64,
}

/// RFC 7662, section 2.2.
#[derive(Deserialize)]
struct Response {
    active: bool,
    #[serde(default, deserialize_with = "json::present")]
    jti: Option<String>,
}

impl Introspection {
    /// An answer, active or not, is cached for `ttl` seconds, but not beyond the token's `exp`. Beyond `capacity`
    /// answers, the one that expires first is dropped. So a revocation may go unnoticed for `ttl` seconds, plus the
    /// issuer's own delay. If either is 0, nothing is cached.
    pub fn new(ttl: u64, capacity: usize) -> Self {
        Self { ttl, capacity, answers: Mutex::default() }
    }

    /// Calls [`Verifier::verify`], then asks the issuer whether the token is active. A token that fails the offline
    /// check is neither asked about nor cached.
    ///
    /// `ask` receives a request body in `application/x-www-form-urlencoded`. It must POST it to the introspection
    /// endpoint with the API's own `Authorization`, with its own timeout, and return the body of a 200 response; any
    /// other status is an `Err`. Without a usable answer the result is [`Error::NoAnswer`], and nothing is cached.
    pub async fn verify<Ask, Answered, Problem>(
        &self,
        verifier: &Verifier,
        token: impl AsRef<[u8]>,
        now: u64,
        ask: Ask,
    ) -> Result<AccessToken, Error>
    where
        Ask: FnOnce(String) -> Answered,
        Answered: Future<Output = Result<String, Problem>>,
        Problem: Display,
    {
        let checked = verifier.verify(&token, now)?;
        let hash = Sha256::digest(&token).into();
        let active = match self.recall(&hash, now) {
            Some(active) => active,
            None => {
                let answer = ask(form(token.as_ref())).await;
                let answer = answer.map_err(|problem| Error::NoAnswer { problem: problem.to_string() })?;
                let active = read(&answer, &checked.jti)?;
                self.remember(hash, Answer { active, until: now.saturating_add(self.ttl).min(checked.exp) }, now);
                active
            }
        };
        if active { Ok(checked) } else { Err(Error::Inactive) }
    }

    fn recall(&self, hash: &[u8; 32], now: u64) -> Option<bool> {
        self.answers().get(hash).filter(|answer| now < answer.until).map(|answer| answer.active)
    }

    fn remember(&self, hash: [u8; 32], answer: Answer, now: u64) {
        if self.capacity == 0 || answer.until <= now {
            return;
        }
        let mut answers = self.answers();
        if answers.len() >= self.capacity && !answers.contains_key(&hash) {
            answers.retain(|_, answer| now < answer.until);
        }
        if answers.len() >= self.capacity && !answers.contains_key(&hash) {
            let first = answers.iter().min_by_key(|(_, answer)| answer.until).map(|(hash, _)| *hash);
            first.map(|hash| answers.remove(&hash));
        }
        answers.insert(hash, answer);
    }

    /// Ignores poisoning: no change under the lock can leave the answers inconsistent.
    fn answers(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The form of RFC 7662, section 2.1. A verified token is base64url and dots, which need no escaping.
fn form(token: &[u8]) -> String {
    format!("token={}", String::from_utf8_lossy(token))
}

pub(crate) fn read(answer: &str, jti: &str) -> Result<bool, Error> {
    let problem = |problem: &str| Error::NoAnswer { problem: problem.to_owned() };
    if answer.len() > MAX_ANSWER_LENGTH {
        return Err(problem("the response is too long"));
    }
    let response: Response =
        json::object(answer.as_bytes()).ok_or_else(|| problem("the response is not that of RFC 7662"))?;
    // An answer about another token must not let this one in.
    if response.jti.is_some_and(|answered| answered != jti) {
        return Err(problem("the response is about another token"));
    }
    Ok(response.active)
}

impl fmt::Debug for Introspection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Introspection")
            .field("ttl", &self.ttl)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
