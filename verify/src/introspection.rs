//! Asking the issuer whether a token is still active (RFC 7662), and remembering the answer for a while.

use core::fmt::{self, Display};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{AccessToken, Error, Verifier, json};

/// The longest answer that is looked at, in bytes.
const MAX_ANSWER_LENGTH: usize = 16_384;

/// A bounded memory of answers. It holds hashes of tokens, never tokens.
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
    /// An answer, good or bad, is remembered for `ttl` seconds, and not beyond the token's end; of more than `capacity`
    /// answers, the one that would be forgotten first gives way. So `ttl` is how long a revocation may go unseen here,
    /// on top of the time that the issuer needs itself. 0 of either: every token is asked for every time.
    pub fn new(ttl: u64, capacity: usize) -> Self {
        Self { ttl, capacity, answers: Mutex::default() }
    }

    /// [`Verifier::verify`], and then the issuer's word that the token is active. What fails offline is never asked
    /// for, so only true tokens reach the issuer or this memory.
    ///
    /// `ask` gets the body of a request in `application/x-www-form-urlencoded`, sends it to the introspection endpoint
    /// with POST and the API's own `Authorization`, and returns the body of a 200; any other status is an `Err`. Without
    /// an answer, the token does not count as active ([`Error::NoAnswer`]), and nothing is remembered. `ask` sets its
    /// own time limit.
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

    /// Each change under the lock leaves the answers whole, so there is nothing to fear from one that panicked.
    fn answers(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// RFC 7662, section 2.1. A token that has been verified is base64url and dots, which a form holds as they are.
fn form(token: &[u8]) -> String {
    format!("token={}", String::from_utf8_lossy(token))
}

pub(crate) fn read(answer: &str, jti: &str) -> Result<bool, Error> {
    let problem = |problem: &str| Error::NoAnswer { problem: problem.to_owned() };
    if answer.len() > MAX_ANSWER_LENGTH {
        return Err(problem("the answer is too long"));
    }
    let response: Response =
        json::object(answer.as_bytes()).ok_or_else(|| problem("the answer is not one of RFC 7662"))?;
    // An answer that was meant for another request must not let this one in.
    if response.jti.is_some_and(|answered| answered != jti) {
        return Err(problem("the answer is about another token"));
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
