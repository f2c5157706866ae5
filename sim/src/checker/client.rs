//! What the calls say about a client: which values each of its members may have, and which it must have.

use std::collections::HashMap;

use serde_json::Value;

use super::{Answered, Verdict, broken};
use crate::history::Proof;

/// A call that changes something.
#[derive(Clone, Copy, Debug)]
pub struct Try {
    pub call: usize,
    pub from: u64,
    pub until: u64,
    pub state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not answered yet.
    Open,
    Done,
    /// It is unknown whether the call took effect.
    Unknown,
    /// Refused: the call had no effect.
    Void,
}

/// The values that a variable was set to, each by a call.
pub type Register<T> = Vec<(Try, T)>;

#[derive(Default)]
pub struct Client {
    pub created: Vec<Try>,
    pub deleted: Vec<Try>,
    pub tokens_ended: Vec<Try>,
    /// The calls that made a secret.
    pub secrets_made: Vec<Try>,
    /// The ends of each secret, by the call that made it: in how many milliseconds.
    pub secrets_ended: HashMap<usize, Register<u64>>,
    pub is_active: Register<bool>,
    pub scopes: Register<Vec<String>>,
    pub is_immediate: Register<bool>,
    pub mechanisms: Register<Vec<&'static str>>,
    pub keys: Register<Vec<usize>>,
    /// TOTP seeds, by the call that made them.
    pub seeds: Register<usize>,
    /// Calls with a credential: the call, when it was sent, the credential, and its response.
    pub shown: Vec<(usize, u64, Proof, Answered)>,
    /// Changes with `If-Match` that were answered 200.
    pub guarded: Vec<(String, bool, u64)>,
}

impl Try {
    pub fn is_done_by(&self, time: u64) -> bool {
        self.state == State::Done && self.until <= time
    }

    pub fn is_begun_by(&self, time: u64) -> bool {
        self.state != State::Void && self.from < time
    }
}

pub fn is_done(tries: Option<&Vec<Try>>, time: u64) -> bool {
    tries.is_some_and(|tries| tries.iter().any(|attempt| attempt.is_done_by(time)))
}

pub fn is_begun(tries: Option<&Vec<Try>>, time: u64) -> bool {
    tries.is_some_and(|tries| tries.iter().any(|attempt| attempt.is_begun_by(time)))
}

/// The values that a reader may see at some time from `from` to `until`: those that were sent before, except those that
/// were certainly replaced by then.
pub fn possible<T>(register: &Register<T>, from: u64, until: u64) -> impl Iterator<Item = &T> {
    let stands = move |written: &Try| {
        let replaced = |(other, _): &(Try, T)| other.from >= written.until && other.is_done_by(from);
        written.is_begun_by(until) && !register.iter().any(replaced)
    };
    register.iter().filter(move |(written, _)| stands(written)).map(|(_, value)| value)
}

/// Whether these scopes cover this one: `jobs:*` covers `jobs:submit`.
pub fn covers(held: &[String], scope: &str) -> bool {
    held.iter().any(|held| match held.strip_suffix('*') {
        Some(start) => scope.starts_with(start),
        None => held == scope,
    })
}

pub fn all_covered(scopes: &[String], held: &[String]) -> bool {
    scopes.iter().all(|scope| covers(held, scope))
}

/// What a token with these scopes gives if its client holds `held`: their intersection, in the token's order.
pub fn bounded(scopes: &[String], held: &[String]) -> Vec<String> {
    let mut left: Vec<String> = Vec::new();
    for scope in scopes {
        let narrower = held.iter().filter(|held| covers(std::slice::from_ref(scope), held));
        let both: Vec<_> = if covers(held, scope) { vec![scope.clone()] } else { narrower.cloned().collect() };
        for scope in both {
            if !left.contains(&scope) {
                left.push(scope);
            }
        }
    }
    left
}

impl Client {
    pub fn may_be_active(&self, from: u64, until: u64) -> bool {
        // A reader from before its creation saw nothing to suspend.
        !self.is_active.iter().any(|(set, _)| set.is_done_by(from))
            || possible(&self.is_active, from, until).any(|active| *active)
    }

    pub fn may_be_suspended(&self, from: u64, until: u64) -> bool {
        possible(&self.is_active, from, until).any(|active| !active)
    }

    /// Whether its scopes may be such. The scopes of the client of `OPERATOR` are not in the history.
    pub fn may_hold(&self, from: u64, until: u64, such: impl Fn(&[String]) -> bool) -> bool {
        self.scopes.is_empty() || possible(&self.scopes, from, until).any(|held| such(held))
    }

    /// Whether it may lack this scope.
    pub fn may_lack(&self, scope: &str, from: u64, until: u64) -> bool {
        possible(&self.scopes, from, until).any(|held| !covers(held, scope))
    }

    /// Whether it was confirmed to be immediate before, and can't have been made eventual since.
    pub fn must_be_immediate(&self, from: u64, until: u64) -> bool {
        self.is_immediate.iter().any(|(set, immediate)| *immediate && set.is_done_by(from))
            && possible(&self.is_immediate, from, until).all(|immediate| *immediate)
    }

    pub fn may_be_immediate(&self, from: u64, until: u64) -> bool {
        possible(&self.is_immediate, from, until).any(|immediate| *immediate)
    }

    pub fn may_allow(&self, mechanism: &str, from: u64, until: u64) -> bool {
        self.mechanisms.is_empty() || possible(&self.mechanisms, from, until).any(|all| all.contains(&mechanism))
    }

    pub fn may_disallow(&self, mechanism: &str, from: u64, until: u64) -> bool {
        possible(&self.mechanisms, from, until).any(|all| !all.contains(&mechanism))
    }

    /// Whether this secret has certainly ended. `skew`: the largest difference of two clocks.
    pub fn secret_has_ended(&self, secret: usize, from: u64, skew: u64) -> bool {
        let has_come =
            |(end, delay): &(Try, u64)| end.is_done_by(from) && (*delay == 0 || end.until + delay + skew <= from);
        self.secrets_ended.get(&secret).is_some_and(|ends| ends.iter().any(has_come))
    }

    /// Whether it may have ended, by another call than `but`.
    pub fn secret_may_have_ended(&self, secret: usize, at: u64, skew: u64, but: usize) -> bool {
        let may_have_come = |(end, delay): &(Try, u64)| {
            end.call != but && end.is_begun_by(at) && (*delay == 0 || end.from + delay <= at + skew)
        };
        self.secrets_ended.get(&secret).is_some_and(|ends| ends.iter().any(may_have_come))
    }

    /// The least and the largest number of live secrets, without that of the call `but`.
    pub fn live_secrets(&self, from: u64, at: u64, skew: u64, but: usize) -> (usize, usize) {
        let others = || self.secrets_made.iter().filter(|made| made.call != but);
        let least =
            others().filter(|made| made.is_done_by(from) && !self.secret_may_have_ended(made.call, at, skew, 0));
        let most = others().filter(|made| made.is_begun_by(at) && !self.secret_has_ended(made.call, from, skew));
        (least.count(), most.count())
    }

    pub fn is_shown_truly(&self, body: &Value, from: u64, at: u64) -> Verdict {
        if self.is_active.is_empty() {
            return Ok(());
        }
        let is_active = body["status"] == "active";
        if !possible(&self.is_active, from, at).any(|possible| *possible == is_active) {
            return broken("A client is shown as it is", format!("status {}", body["status"]));
        }
        let scopes: Vec<_> = body["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mechanisms: Vec<_> =
            body["mechanisms"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let keys = body["jwks"]["keys"].as_array().map_or(0, Vec::len);
        let is_immediate = body["consistency"] == "immediate";
        if !possible(&self.scopes, from, at).any(|possible| *possible == scopes)
            || !possible(&self.mechanisms, from, at).any(|possible| *possible == mechanisms)
            || !possible(&self.keys, from, at).any(|possible| possible.len() == keys)
            || !possible(&self.is_immediate, from, at).any(|possible| *possible == is_immediate)
        {
            return broken("A client is shown as it is", body.to_string());
        }
        Ok(())
    }

    /// Whether wrong codes certainly lock the mechanism: five were refused within five minutes, none in the ten minutes
    /// before them, nothing was in doubt, and nothing was accepted or forgiven since.
    pub fn is_locked(&self, from: u64, at: u64, skew: u64) -> bool {
        let wrong: Vec<_> =
            self.shown.iter().filter(|(_, sent, proof, _)| *proof == Proof::WrongCode && *sent < at).collect();
        let Some(last) = wrong.len().checked_sub(5).map(|nth| &wrong[nth..]) else { return false };
        let answers: Option<Vec<u64>> = last
            .iter()
            .map(|(_, _, _, answer)| match answer {
                Some((at, answer)) if answer.status == 401 && !answer.disturbed => Some(*at),
                _ => None,
            })
            .collect();
        let (Some(answers), Some((_, first, ..)), Some((_, fifth, ..))) = (answers, last.first(), last.last()) else {
            return false;
        };
        let (Some(latest), earliest_other) = (answers.iter().max(), wrong.len().checked_sub(6).map(|nth| wrong[nth].1))
        else {
            return false;
        };
        let is_alone = earliest_other.is_none_or(|other| other + 700_000 < *first);
        let is_near = *latest < first + 300_000 - skew;
        let is_forgiven = self.is_active.iter().any(|(set, active)| *active && set.until > *first)
            || self.seeds.iter().any(|(set, _)| set.until > *first)
            || self.shown.iter().any(|(_, sent, proof, answer)| {
                matches!(proof, Proof::Code { .. })
                    && *sent < from
                    && answer.as_ref().is_none_or(|(at, _)| *at > *first)
            });
        is_alone && is_near && !is_forgiven && *latest <= from && at + skew < fifth + 300_000
    }
}
