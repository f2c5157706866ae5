//! The feed, and what offline verifiers make of it.

use std::collections::HashMap;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::client::{State, Try};
use super::{Checker, SUSPENDED, Verdict, broken};
use crate::actors::POLL;
use crate::history::{Answer, Part, Token};
use crate::kv::LOCATIONS;
use crate::objects::FEED;

/// The age limit of the feed that a location serves.
const FEED_AGE: u64 = 2_000;
/// The time within which the feed has an end that no response waits for, if nothing fails.
const TOLD: u64 = 5_000;
/// Tokens that an exchange makes later than this after the end of their parent are outside the promise.
const OUTSIDE: u64 = 45 * 60_000;
/// A verifier refuses everything if its copy is older than this. Includes the difference of clocks.
const STALE: u64 = 310_000;
/// How long after a failure a verifier may still be behind: longer than the age limit of its copy and its longest pause
/// between two fetches together.
const CALM: u64 = 400_000;

impl Checker<'_> {
    pub fn verify(&mut self, verifier: usize, token: &Token, at: u64, answer: &Answer) -> Verdict {
        let followed = self.followed.get(&verifier).copied();
        let parts = (0..LOCATIONS).map(Part::Location).chain([Part::Object(FEED.to_owned())]);
        let is_calm = self.is_calm(parts, CALM, at);
        if answer.status == 503 && is_calm {
            return broken("Without faults no verifier answers 503", answer.code.clone());
        }
        match answer.status {
            200 => {
                let Some(followed) = followed else {
                    return broken("A verifier without a feed fails closed", "it accepted a token");
                };
                if at > followed + STALE + self.skew {
                    return broken("A verifier whose copy is too old fails closed", "it accepted a token");
                }
                if is_calm && at > followed + POLL[verifier] * 1000 + 5_000 + self.skew {
                    return broken(
                        "A verifier refuses within its polling interval plus 5 s",
                        format!("it accepted a token with a copy of {} ms", at - followed),
                    );
                }
                // The verifier's own clock decides whether the time of an end has come.
                let seen = followed.saturating_sub(FEED_AGE).min(at.saturating_sub(self.skew));
                self.accepted_offline(token, seen, followed, at, false)
            }
            401 => {
                let told_by = self.told_by(&token.client, followed.unwrap_or(0).saturating_sub(FEED_AGE));
                if self.may_refuse(token, told_by, at, at) {
                    return Ok(());
                }
                broken("The feed lists only what has ended", format!("{} is refused: {}", token.name, answer.code))
            }
            _ => Ok(()),
        }
    }

    /// The time up to which the feed has what no response waits for (a restoration, a retirement). The alarm of the
    /// client's object reports it, at the latest after failures have ended.
    fn told_by(&self, client: &str, time: u64) -> u64 {
        let parts = [Part::Object(client.to_owned()), Part::Kv(client.to_owned()), Part::Object(FEED.to_owned())];
        match self.healed {
            Some(healed) if healed + 60_000 <= time => time,
            _ if self.is_calm(parts, 120_000, time) => time.saturating_sub(TOLD),
            _ => 0,
        }
    }

    /// A verifier with the feed as of `seen` accepts a token.
    fn accepted_offline(&self, token: &Token, seen: u64, until: u64, clock: u64, retired: bool) -> Verdict {
        let Some(reason) = self.must_refuse(token, seen, until, clock, retired) else { return Ok(()) };
        let of_parent = |tries: &HashMap<String, Vec<Try>>, later: u64| {
            let tries = token.parent.as_ref().and_then(|parent| tries.get(&parent.id)).into_iter().flatten();
            // A call without a response may have taken effect.
            tries.filter(|end| end.state != State::Void).map(|end| end.from + later).min()
        };
        let ends = [of_parent(&self.revoked, 0), of_parent(&self.rotated, self.plan.grace * 1000)];
        if ends.into_iter().flatten().min().is_some_and(|ended| token.made.0 > ended + OUTSIDE) {
            return Ok(());
        }
        let promise = reason.promise();
        broken("The feed lists everything that has ended", format!("{} is accepted, although: {promise}", token.name))
    }

    /// The full feed, from its object.
    pub fn feed(&mut self, payload: &Value, at: u64) -> Verdict {
        let seq = payload["seq"].as_u64().unwrap_or(0);
        if seq < self.seq {
            return broken("seq never goes back", format!("{} → {seq}", self.seq));
        }
        self.seq = seq;
        for (id, client) in &self.clients {
            // A concurrent end-tokens may have set a later second.
            let has_just_ended = client.tokens_ended.iter().any(|end| end.until == at)
                && client.tokens_ended.iter().all(|end| end.is_done_by(at));
            let begins = entry(&payload["ended"], "client", id).filter(|begins| *begins != SUSPENDED);
            if has_just_ended && begins.is_some_and(|begins| begins * 1000 > at + 2 * self.plan.skew) {
                return broken(
                    "end-tokens is answered when its second has begun",
                    format!("for {id} the second had not begun"),
                );
            }
        }
        for token in &self.shorts {
            if token.expires_at * 1000 <= at {
                continue;
            }
            if !refuses(&payload["ended"], token, (at + self.skew) / 1000) {
                self.accepted_offline(token, at, at, at, false)?;
                let told_by = self.told_by(&token.client, at);
                self.accepted_offline(token, told_by, at, at, true)?;
            } else if refuses(&payload["ended"], token, at.saturating_sub(self.skew) / 1000)
                && !self.may_refuse(token, self.told_by(&token.client, at), at, at)
            {
                return broken("The feed lists only what has ended", format!("it ends {}", token.name));
            }
        }
        Ok(())
    }
}

/// Whether a token must be refused by the feed, according to the contract.
fn refuses(ended: &Value, token: &Token, now: u64) -> bool {
    let has_come = |end: Option<u64>| end.is_some_and(|end| end <= now);
    has_come(entry(ended, "token", &token.id))
        || token.parent.as_ref().is_some_and(|parent| has_come(entry(ended, "parent", &parent.id)))
        || entry(ended, "client", &token.client).is_some_and(|end| token.auth_time < end)
}

/// The time in the feed for an id, Unix seconds.
fn entry(ended: &Value, kind: &str, id: &str) -> Option<u64> {
    let digest = Sha256::digest(format!("{kind}:{id}"));
    ended[kind][Base64UrlUnpadded::encode_string(&digest[..16])].as_u64()
}
