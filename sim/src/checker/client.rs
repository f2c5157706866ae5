//! What the calls say about a client: which values each of its members may have, and which it must have.

use std::collections::HashMap;

use serde_json::Value;

use super::{Answered, UNKNOWN, Verdict, broken};
use crate::history::{Op, Proof};

/// Five wrong codes within this time lock the mechanism for the same time.
const WINDOW: u64 = 300_000;
/// Ten wrong codes within this time lock the mechanism until the oldest of them is this old.
const DAY: u64 = 86_400_000;

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
    pub changes: Vec<Change>,
    /// For each `ETag`: a time after which it was still current, and a time before which it was already current.
    pub etags: HashMap<String, (u64, u64)>,
}

/// A call that changes what is shown of a client.
pub struct Change {
    pub attempt: Try,
    pub op: Op,
    /// It certainly changed something.
    pub is_certain: bool,
    /// It was answered 503 although the objects that it asks did not fail: the change is stored, and waits for KV or
    /// the feed.
    pub stands: bool,
}

/// Whether the value that a call set certainly differs from the one before.
fn differs<T: PartialEq + Clone>(register: &Register<T>, number: usize, from: u64, at: u64) -> bool {
    let Some((_, new)) = register.iter().find(|(set, _)| set.call == number) else { return false };
    let others: Register<T> = register.iter().filter(|(set, _)| set.call != number).cloned().collect();
    possible(&others, from, at).all(|before| before != new)
}

impl Try {
    pub fn is_done_by(&self, time: u64) -> bool {
        self.state == State::Done && self.until <= time
    }

    /// Whether it may still take effect, or repeats may wait for what it did.
    pub fn is_unanswered(&self) -> bool {
        matches!(self.state, State::Open | State::Unknown)
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

    /// Whether its scopes may satisfy this condition. The scopes of the client of `OPERATOR` are not in the history.
    pub fn may_hold(&self, from: u64, until: u64, fits: impl Fn(&[String]) -> bool) -> bool {
        self.scopes.is_empty() || possible(&self.scopes, from, until).any(|held| fits(held))
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

    /// Whether a call that was answered with success certainly changed what is shown.
    pub fn has_changed(&self, op: &Op, number: usize, from: u64, at: u64) -> bool {
        match op {
            Op::Change { .. } => {
                differs(&self.is_active, number, from, at)
                    || differs(&self.scopes, number, from, at)
                    || differs(&self.is_immediate, number, from, at)
                    || differs(&self.mechanisms, number, from, at)
                    || differs(&self.keys, number, from, at)
            }
            Op::EndSecret { delay, .. } => *delay == 0,
            _ => true,
        }
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

    /// Records that an `ETag` was current at some time from `from` to `at`.
    pub fn sees_etag(&mut self, etag: &str, from: u64, at: u64) -> Verdict {
        let (since, until) = self.etags.get(etag).copied().unwrap_or((from, at));
        if self
            .changes
            .iter()
            .any(|change| change.is_certain && change.attempt.from >= until && change.attempt.is_done_by(from))
        {
            return broken("An ETag changes with every change that is shown", format!("{etag} came back"));
        }
        let others = self.etags.iter().filter(|(other, _)| *other != etag);
        if let Some((other, (since, _))) = others.max_by_key(|(_, (since, _))| *since)
            && !self.may_have_changed(*since, at, |_| true)
        {
            return broken("An ETag stays while nothing is changed", format!("{other} became {etag}"));
        }
        self.etags.insert(etag.to_owned(), (since.max(from), until.min(at)));
        Ok(())
    }

    /// Whether a call may have changed what is shown, at some time from `since` to `at`. The scheduled end of a secret
    /// counts too.
    pub fn may_have_changed(&self, since: u64, at: u64, which: impl Fn(&Change) -> bool) -> bool {
        let changes = |change: &Change| change.attempt.is_begun_by(at) && change.attempt.until > since && which(change);
        let ends_ahead = |ends: &Register<u64>| ends.iter().any(|(end, delay)| *delay > 0 && end.is_begun_by(at));
        self.changes.iter().any(changes) || self.secrets_ended.values().any(ends_ahead)
    }

    /// Checks a call whose `If-Match` names this `ETag` and that was answered with success. While another change has no
    /// answer, success is right for a repeat of that change, and harmless for a call that changes nothing. A repeated
    /// DELETE always succeeds.
    pub fn accepts(&self, number: usize, op: &Op, etag: &str, from: u64, at: u64) -> Verdict {
        let others = || self.changes.iter().filter(|change| change.attempt.call != number);
        let Some((_, until)) = self.etags.get(etag) else { return Ok(()) };
        if matches!(op, Op::Delete { .. })
            && self.deleted.iter().any(|other| other.call != number && other.is_begun_by(at))
        {
            return Ok(());
        }
        let has_changed = self.has_changed(op, number, from, at);
        let is_repeat = others().any(|other| {
            let had_answer = other.attempt.state == State::Void || other.attempt.is_done_by(from);
            !had_answer && (other.op.repeats(op) || !has_changed)
        });
        let is_stale =
            |change: &Change| change.is_certain && change.attempt.from >= *until && change.attempt.is_done_by(from);
        if !is_repeat && others().any(is_stale) {
            return broken("A change whose If-Match does not match is answered 412", "it was accepted");
        }
        Ok(())
    }

    /// Checks a call whose `If-Match` names this `ETag` and that was answered 412.
    pub fn refuses(&self, number: usize, op: &Op, etag: &str, at: u64) -> Verdict {
        let Some((since, _)) = self.etags.get(etag) else { return Ok(()) };
        let other = |change: &Change| change.attempt.call != number && !(change.op.repeats(op) && change.stands);
        if self.may_have_changed(*since, at, other) {
            return Ok(());
        }
        broken("A change whose If-Match matches, or that repeats one after a 503, is not answered 412", etag)
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

    /// Whether wrong codes certainly lock the mechanism.
    pub fn must_be_locked(&self, from: u64, at: u64, skew: u64) -> bool {
        let wrong: Vec<_> = self.wrong_codes(from, skew).collect();
        let of_the_day = wrong.iter().filter(|(sent, _)| at + skew < sent + DAY).count();
        let Some([first, .., last]) = wrong.len().checked_sub(5).map(|nth| &wrong[nth..]) else { return false };
        let latest = wrong[wrong.len() - 5..].iter().map(|(_, answered)| *answered).max().unwrap_or(u64::MAX);
        // An accepted code starts the count of five anew.
        let may_be_reset = self.shown.iter().any(|(_, sent, proof, answer)| {
            matches!(proof, Proof::Code { .. })
                && *sent < from
                && answer.as_ref().is_none_or(|(answered, answer)| *answered > first.0 && answer.status != 401)
        });
        let is_near = latest + skew < first.0 + WINDOW && at + skew < last.0 + WINDOW;
        of_the_day >= 10 || (is_near && !may_be_reset)
    }

    /// The wrong codes that certainly count: when they were sent and answered. None was sent during a lock, is in doubt,
    /// or may be forgotten.
    fn wrong_codes(&self, by: u64, skew: u64) -> impl Iterator<Item = (u64, u64)> {
        let certain = self.shown.iter().filter_map(move |(call, sent, proof, answer)| match answer {
            Some((answered, answer)) if answer.status == 401 && !answer.doubled && *answered <= by => {
                (*proof == Proof::WrongCode).then_some((*call, *sent, *answered))
            }
            _ => None,
        });
        let counts = move |(call, sent, answered): &(usize, u64, u64)| {
            self.guesses(*call, sent.saturating_sub(2 * WINDOW + skew), *answered, 0) < 5
                && self.guesses(*call, sent.saturating_sub(DAY + skew), *answered, 0) < 10
                && !self.forgotten().any(|forgets| forgets.state != State::Void && forgets.until > *sent)
        };
        certain.filter(counts).map(|(_, sent, answered)| (sent, answered))
    }

    /// Whether wrong codes may lock the mechanism: five came within five minutes, the last of them within the last five
    /// minutes, or ten came within a day.
    pub fn may_be_locked(&self, but: usize, from: u64, at: u64, skew: u64) -> bool {
        let within = |time: u64| self.guesses(but, from.saturating_sub(time + skew), at, from);
        (within(WINDOW) >= 1 && within(2 * WINDOW) >= 5) || within(DAY) >= 10
    }

    /// The largest possible number of wrong codes that were counted from `since` to `until` and were not forgotten by
    /// `from`, without that of the call `but`. A code of an old seed is a wrong one. A duplicated request counts twice,
    /// and so does one without a response, until `UNKNOWN` has passed.
    fn guesses(&self, but: usize, since: u64, until: u64, from: u64) -> usize {
        let weight = |(call, sent, proof, answer): &(usize, u64, Proof, Answered)| {
            let (answered, weight) = match answer {
                Some((_, answer)) if answer.status == 201 => return 0,
                Some((answered, answer)) if !answer.doubled && !matches!(answer.status, 0 | 503) => (*answered, 1),
                _ => (sent + UNKNOWN, 2),
            };
            let is_forgotten = self.forgotten().any(|forgets| forgets.from >= answered && forgets.is_done_by(from));
            let is_meant = *call != but && proof.mechanism() == "otp" && answered >= since && *sent < until;
            if is_meant && !is_forgotten { weight } else { 0 }
        };
        self.shown.iter().map(weight).sum()
    }

    /// What makes the service forget wrong codes: a new seed, and a PATCH to active.
    fn forgotten(&self) -> impl Iterator<Item = &Try> {
        let activations = self.is_active.iter().filter(|(_, active)| *active).map(|(set, _)| set);
        activations.chain(self.seeds.iter().map(|(set, _)| set))
    }
}
