//! Checks a history against the contract. It knows the contract and the calls, but nothing of how the service works.
//!
//! A call takes effect at some time between its sending and its response. A call that got neither success nor a refusal
//! takes effect within a minute, or never. So for every end or change there are two questions: *must* a later call see
//! it (it was answered before that call looked), and *may* a call see it (it was sent before that call was answered)?

use std::collections::HashMap;
use std::rc::Rc;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::history::{Answer, Entry, Op, Proof, Token, Violation, What};
use crate::plan::{CLIENTS, Plan, ROOT};

/// If a call without a response took effect, it did so within this time. Milliseconds, as all times here.
const UNKNOWN: u64 = 60_000;
/// How long an isolate caches a replica. If its clock is set back, by up to twice the largest difference, it caches for
/// longer by as much.
const KEPT: u64 = 250 + 50;
/// The age limit of the feed that a location serves.
const FEED_AGE: u64 = 2_000;
/// The time within which the feed has an end that no response waits for, if nothing fails.
const TOLD: u64 = 5_000;
/// Tokens that an exchange makes later than this after the end of their parent are outside the promise.
const OUTSIDE: u64 = 45 * 60_000;
/// The time within which KV has everything after all failures have ended: the longest pause between two attempts is a
/// minute.
const PUBLISHED: u64 = 110_000;
/// The time within which the last rewrite is done after all failures have ended.
const MENDED: u64 = 61 * 60_000;
/// A verifier refuses everything if its copy is older than this. Includes the difference of clocks.
const STALE: u64 = 310_000;
/// For how long after a failure a 503 is excused.
const AFTERMATH: u64 = 20_000;
/// The most alarms of an idle object within an hour. An object whose clock is behind is woken a few times too early.
const MOST_ALARMS: u64 = 30;
/// How long after a failure a verifier may still be behind: longer than the age limit of its copy and its longest pause
/// between two fetches together.
const CALM: u64 = 400_000;
const KV_SHOWS: &str = "A call that ends or narrows something is answered when KV shows it, and is never undone";
const SUSPENDED: u64 = 253_402_300_799;
/// How long a call may take, and how long if nothing fails.
const LONGEST: u64 = 35_000;
const LONGEST_IN_CALM: u64 = 5_500;

/// A call that changes something.
#[derive(Clone, Copy, Debug)]
struct Try {
    call: usize,
    from: u64,
    until: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not answered yet.
    Open,
    Done,
    /// It is unknown whether the call took effect.
    Unknown,
    /// Refused: the call had no effect.
    Void,
}

/// The values that a variable was set to, each by a call.
type Register<T> = Vec<(Try, T)>;

#[derive(Default)]
struct Client {
    created: Vec<Try>,
    deleted: Vec<Try>,
    tokens_ended: Vec<Try>,
    secrets_ended: HashMap<usize, Vec<Try>>,
    is_active: Register<bool>,
    scopes: Register<Vec<String>>,
    is_immediate: Register<bool>,
    /// Calls with a credential: the call, when it was sent, the credential, and its response.
    shown: Vec<(usize, u64, Proof, Answered)>,
    /// Changes with `If-Match` that were answered 200.
    guarded: Vec<(String, bool, u64)>,
}

struct Checker<'a> {
    plan: &'a Plan,
    /// The largest difference of two clocks, including the rounding to seconds.
    skew: u64,
    clients: HashMap<String, Client>,
    /// By token id.
    revoked: HashMap<String, Vec<Try>>,
    rotated: HashMap<String, Vec<Try>>,
    /// The calls: when and where they were sent, and what they ask.
    calls: HashMap<usize, (u64, usize, Op)>,
    shorts: Vec<Rc<Token>>,
    /// Reads of KV: when, at which location, by which call, of which client, and when the write of the value began.
    shown: Vec<(u64, usize, usize, String, Option<u64>)>,
    /// When each verifier last requested the feed successfully.
    followed: HashMap<usize, u64>,
    written: HashMap<(String, u64), u64>,
    clocks_set: HashMap<String, u64>,
    last_fault: Option<u64>,
    healed: Option<u64>,
    seq: u64,
}

/// When a call was answered, and how, if it was.
type Answered = Option<(u64, Answer)>;

type Verdict = Result<(), (&'static str, String)>;

/// Checks a history against the contract. Returns the first broken promise.
pub fn check(plan: &Plan, history: &[Entry]) -> Option<Violation> {
    let mut checker = Checker {
        plan,
        skew: 2 * plan.skew + 2_000,
        clients: HashMap::new(),
        revoked: HashMap::new(),
        rotated: HashMap::new(),
        calls: HashMap::new(),
        shorts: Vec::new(),
        shown: Vec::new(),
        followed: HashMap::new(),
        written: HashMap::new(),
        clocks_set: HashMap::new(),
        last_fault: None,
        healed: None,
        seq: 0,
    };
    history.iter().find_map(|entry| {
        let verdict = checker.see(entry);
        verdict.err().map(|(promise, instead)| Violation { promise, instead, at: entry.at })
    })
}

fn broken(promise: &'static str, instead: impl Into<String>) -> Verdict {
    Err((promise, instead.into()))
}

impl Try {
    fn is_done_by(&self, time: u64) -> bool {
        self.state == State::Done && self.until <= time
    }

    fn is_begun_by(&self, time: u64) -> bool {
        self.state != State::Void && self.from < time
    }
}

fn is_done(tries: Option<&Vec<Try>>, time: u64) -> bool {
    tries.is_some_and(|tries| tries.iter().any(|attempt| attempt.is_done_by(time)))
}

fn is_begun(tries: Option<&Vec<Try>>, time: u64) -> bool {
    tries.is_some_and(|tries| tries.iter().any(|attempt| attempt.is_begun_by(time)))
}

/// The values that a reader may see at some time from `from` to `until`: those that were sent before, except those that
/// were certainly replaced by then.
fn possible<T>(register: &Register<T>, from: u64, until: u64) -> impl Iterator<Item = &T> {
    let stands = move |written: &Try| {
        let replaced = |(other, _): &(Try, T)| other.from >= written.until && other.is_done_by(from);
        written.is_begun_by(until) && !register.iter().any(replaced)
    };
    register.iter().filter(move |(written, _)| stands(written)).map(|(_, value)| value)
}

/// Whether these scopes cover this one: `jobs:*` covers `jobs:submit`.
fn covers(held: &[String], scope: &str) -> bool {
    held.iter().any(|held| match held.strip_suffix('*') {
        Some(start) => scope.starts_with(start),
        None => held == scope,
    })
}

fn all_covered(scopes: &[String], held: &[String]) -> bool {
    scopes.iter().all(|scope| covers(held, scope))
}

impl Client {
    fn may_be_active(&self, from: u64, until: u64) -> bool {
        // A reader from before its creation saw nothing to suspend.
        !self.is_active.iter().any(|(set, _)| set.is_done_by(from))
            || possible(&self.is_active, from, until).any(|active| *active)
    }

    fn may_be_suspended(&self, from: u64, until: u64) -> bool {
        possible(&self.is_active, from, until).any(|active| !active)
    }

    /// Whether it may hold all of these scopes.
    fn may_hold(&self, scopes: &[String], from: u64, until: u64) -> bool {
        self.scopes.is_empty() || possible(&self.scopes, from, until).any(|held| all_covered(scopes, held))
    }

    /// Whether a switch to immediate was confirmed before, and none back can have been made since.
    fn must_be_immediate(&self, from: u64, until: u64) -> bool {
        self.is_immediate.iter().any(|(set, immediate)| *immediate && set.is_done_by(from))
            && possible(&self.is_immediate, from, until).all(|immediate| *immediate)
    }

    fn was_narrowed(&self) -> bool {
        self.scopes.len() > 1
    }
}

impl Checker<'_> {
    fn see(&mut self, entry: &Entry) -> Verdict {
        let at = entry.at;
        match &entry.what {
            What::Asked { op, location } => self.asked(entry.call, at, *location, op),
            What::Answered(answer) => return self.answered(entry.call, at, answer),
            What::Shown { location, client, begun } => {
                self.shown.push((at, *location, entry.call, client.clone(), *begun));
            }
            What::Written { client, instance, is_awaited } => {
                if *is_awaited {
                    return broken("No write to KV starts while one is awaited", format!("two writes of {client}"));
                }
                let last = self.written.insert((client.clone(), *instance), at);
                if last.is_some_and(|last| at < last + 1_000) {
                    return broken("KV takes one write per key per second", format!("two writes of {client}"));
                }
            }
            // A pause measured by a clock is as long as that clock says.
            What::ClockSet { of, .. } => {
                self.clocks_set.insert(of.clone(), at);
                self.written.retain(|(client, _), _| client != of);
                self.last_fault = Some(at);
            }
            What::Followed { verifier, asked } => {
                let last = self.followed.entry(*verifier).or_default();
                *last = (*last).max(*asked);
            }
            What::ByKvAlone { token, status, begun, scopes } => {
                return self.by_kv_alone(token, *status, *begun, scopes, at);
            }
            What::Feed(payload) => return self.feed(payload, at),
            What::AtRest { client, rows, alarms } => return self.at_rest(client, *rows, *alarms),
            What::Listed(list) => return self.listed(list, at),
            What::Healed => self.healed = Some(at),
            What::Told { is_fault: true, .. } => self.last_fault = Some(at),
            What::Told { .. } => {}
        }
        Ok(())
    }

    fn client(&mut self, client: &str) -> &mut Client {
        self.clients.entry(client.to_owned()).or_default()
    }

    /// Records a call that changes something.
    fn change(&mut self, op: &Op, note: impl Fn(&mut Try), new: Option<Try>) {
        fn meet(tries: &mut Vec<Try>, note: &impl Fn(&mut Try), new: Option<Try>) {
            tries.extend(new);
            tries.iter_mut().for_each(note);
        }
        fn set<T>(register: &mut Register<T>, note: &impl Fn(&mut Try), new: Option<(Try, T)>) {
            register.extend(new);
            register.iter_mut().for_each(|(attempt, _)| note(attempt));
        }
        match op {
            Op::Revoke { target, .. } => meet(self.revoked.entry(target.id.clone()).or_default(), &note, new),
            Op::Rotate { bearer } => {
                let parent = bearer.parent.as_ref().map_or(String::new(), |parent| parent.id.clone());
                meet(self.rotated.entry(parent).or_default(), &note, new);
            }
            Op::EndTokens { client } => meet(&mut self.client(client).tokens_ended, &note, new),
            Op::Delete { client } => meet(&mut self.client(client).deleted, &note, new),
            Op::EndSecret { client, secret } => {
                meet(self.client(client).secrets_ended.entry(*secret).or_default(), &note, new);
            }
            Op::Create { client } => {
                let known = self.client(client);
                meet(&mut known.created, &note, new);
                set(&mut known.is_active, &note, new.map(|new| (new, true)));
                let all = ["jobs:*", "templates:read", "tokens:*"].map(str::to_owned).to_vec();
                set(&mut known.scopes, &note, new.map(|new| (new, all)));
            }
            Op::Change { client, patch, .. } => {
                let known = self.client(client);
                set(&mut known.is_active, &note, new.zip(patch.is_active));
                set(&mut known.scopes, &note, new.zip(patch.scopes.clone()));
                set(&mut known.is_immediate, &note, new.zip(patch.is_immediate));
            }
            _ => {}
        }
    }

    fn asked(&mut self, call: usize, at: u64, location: usize, op: &Op) {
        self.calls.insert(call, (at, location, op.clone()));
        let new = Try { call, from: at, until: u64::MAX, state: State::Open };
        self.change(op, |_| {}, Some(new));
        if let Op::Issue { client, proof } = op {
            self.client(client).shown.push((call, at, proof.clone(), None));
        }
    }

    fn answered(&mut self, call: usize, at: u64, answer: &Answer) -> Verdict {
        let Some((from, location, op)) = self.calls.remove(&call) else { return Ok(()) };
        let (state, until) = match answer.status {
            200..=299 => (State::Done, at),
            0 | 500.. => (State::Unknown, from + UNKNOWN),
            _ if answer.disturbed => (State::Unknown, from + UNKNOWN),
            _ => (State::Void, at),
        };
        // A refused call changed nothing, and a call that changed something must be judged by that.
        if state != State::Done {
            self.settle(call, &op, state, until);
        }
        let verdict = self.judge(&op, from, at, location, call, answer);
        self.settle(call, &op, state, until);
        if let Some(token) = answer.token.as_ref().filter(|token| !token.is_long) {
            self.shorts.push(Rc::clone(token));
        }
        if let Op::Issue { client, .. } = &op
            && let Some(shown) = self.client(client).shown.iter_mut().find(|shown| shown.0 == call)
        {
            shown.3 = Some((at, answer.clone()));
        }
        verdict
    }

    fn settle(&mut self, call: usize, op: &Op, state: State, until: u64) {
        let settle = |attempt: &mut Try| {
            if attempt.call == call {
                (attempt.state, attempt.until) = (state, until);
            }
        };
        self.change(op, settle, None);
    }

    fn judge(&mut self, op: &Op, from: u64, at: u64, location: usize, call: usize, answer: &Answer) -> Verdict {
        let status = answer.status;
        self.in_time(op, from, at, status)?;
        if status == 0 || (status == 503 && !matches!(op, Op::Verify { .. })) {
            return Ok(());
        }
        if status == 201
            && answer.token.is_none()
            && matches!(op, Op::Issue { .. } | Op::Rotate { .. } | Op::Exchange { .. })
        {
            return broken("A 201 carries a token", "it can't be read");
        }
        match op {
            Op::Issue { client, proof } => self.issue(client, proof, from, at, call, answer),
            Op::Rotate { bearer } => self.rotate(bearer, from, at, answer),
            Op::Exchange { token, asked } => self.exchange(token, asked.as_deref(), from, at, location, call, answer),
            Op::Revoke { by, target } => self.revoke(by, target, from, at, call, answer),
            Op::Introspect { token } => self.introspect(token, from, at, answer),
            Op::Verify { verifier, token } => self.verify(*verifier, token, at, answer),
            Op::Create { client } => self.create(client, from, at, call, status),
            Op::Show { .. }
            | Op::Change { .. }
            | Op::AddSecret { .. }
            | Op::EndSecret { .. }
            | Op::EndTokens { .. }
            | Op::Delete { .. } => self.operate(op, from, at, answer),
        }
    }

    fn in_time(&self, op: &Op, from: u64, at: u64, status: u16) -> Verdict {
        let is_offline = matches!(op, Op::Verify { .. });
        let is_calm = self.last_fault.is_none_or(|fault| fault + AFTERMATH < from);
        if matches!(status, 0 | 503) && is_calm && !is_offline {
            return broken(
                "No call is answered 503 while nothing fails",
                format!("{status} though nothing had failed"),
            );
        }
        if at - from > LONGEST || (is_calm && at - from > LONGEST_IN_CALM && !is_offline) {
            return broken("A call is answered within seconds", format!("it took {} ms", at - from));
        }
        Ok(())
    }

    /// Why a token must be refused by a reader that looked at the client from `seen` to `until`, and at its clock at
    /// `clock`, if it must. `retired`: a retirement counts too.
    fn must_refuse(&self, token: &Token, seen: u64, until: u64, clock: u64, retired: bool) -> Option<&'static str> {
        if token.expires_at * 1000 + self.skew <= clock {
            return Some("An expired token is refused");
        }
        for id in ids(token) {
            if is_done(self.revoked.get(id), seen) {
                return Some("Nothing is issued or accepted for a token after the 204 of its revocation");
            }
            let has_retired = |rotation: &Try| {
                rotation.is_done_by(seen) && rotation.until + self.plan.grace * 1000 + self.skew <= clock
            };
            if retired && self.rotated.get(id).is_some_and(|tries| tries.iter().any(has_retired)) {
                return Some("A retired token counts as revoked after its grace period");
            }
        }
        let client = self.clients.get(&token.client)?;
        if !client.may_be_active(seen, until) {
            return Some("A suspended client's tokens are refused");
        }
        if client.tokens_ended.iter().any(|end| end.is_done_by(seen) && token.root.1 <= end.from) {
            return Some("end-tokens ends every token issued before it, and every token made from those");
        }
        is_done(Some(&client.deleted), seen).then_some("No token or credential of a deleted client works")
    }

    /// Whether a token may be refused by such a reader.
    fn may_refuse(&self, token: &Token, seen: u64, until: u64, clock: u64) -> bool {
        self.may_refuse_but_for(token, seen, until, clock, "")
    }

    /// The same, ignoring the end of the token `id_but`.
    fn may_refuse_but_for(&self, token: &Token, seen: u64, until: u64, clock: u64, id_but: &str) -> bool {
        if token.expires_at * 1000 <= clock + self.skew {
            return true;
        }
        let ends = ids(token).filter(|id| *id != id_but).any(|id| {
            let may_have_retired = |rotation: &Try| {
                rotation.is_begun_by(until) && rotation.from + self.plan.grace * 1000 <= clock + self.skew
            };
            is_begun(self.revoked.get(id), until)
                || self.rotated.get(id).is_some_and(|tries| tries.iter().any(may_have_retired))
        });
        let Some(client) = self.clients.get(&token.client) else { return ends };
        ends || client.may_be_suspended(seen, until)
            || client.tokens_ended.iter().any(|end| end.is_begun_by(until) && token.root.0 < end.until)
            || is_begun(Some(&client.deleted), until)
    }

    /// The times at which an exchange may have looked: when the write of the KV value that it read began, or while it
    /// asked the object. `immediate` tokens and `immediate` values lead to the object.
    fn looks(&self, token: &Token, from: u64, at: u64, location: usize, call: usize) -> Vec<(u64, u64)> {
        let mut looks = vec![(from, at)];
        let issued = token.made;
        let was_immediate =
            self.clients.get(&token.client).is_some_and(|client| client.must_be_immediate(issued.0, issued.1));
        if token.is_immediate || was_immediate || self.healed.is_some_and(|healed| healed + MENDED <= from) {
            return looks;
        }
        let client = self.clients.get(&token.client);
        let longer = KEPT + 2 * self.plan.skew;
        let clock_set = self.clocks_set.get(&format!("location {location}"));
        let kept = if clock_set.is_some_and(|set| set + longer >= from) { longer } else { KEPT };
        for (shown_at, shown_location, for_call, shown_client, begun) in self.shown.iter().rev() {
            if *shown_at + LONGEST < from {
                break;
            }
            let is_seen = *for_call == call
                || (*shown_location == location && (from.saturating_sub(kept)..=at).contains(shown_at));
            let Some(begun) = begun.filter(|_| is_seen && *shown_client == token.client) else { continue };
            let may_be_eventual = client.is_none_or(|client| {
                client.is_immediate.is_empty() || possible(&client.is_immediate, begun, begun).any(|immediate| !immediate)
                    // It was created as `immediate`.
                    || !client.is_immediate.iter().any(|(set, immediate)| *immediate && set.is_done_by(begun))
            });
            if may_be_eventual {
                looks.push((begun, begun));
            }
        }
        looks
    }

    fn issue(&mut self, client: &str, proof: &Proof, from: u64, at: u64, call: usize, answer: &Answer) -> Verdict {
        let skew = self.skew;
        let known = self.client(client);
        let others = known.shown.iter().filter(|(other, ..)| *other != call);
        match answer.status {
            201 => {
                if is_done(Some(&known.deleted), from) {
                    return broken("No token or credential of a deleted client works", "a token was issued");
                }
                if !known.may_be_active(from, at) {
                    return broken("Nothing is issued to a suspended client", "a token was issued");
                }
                let granted = others.filter_map(|(_, sent, proof, answer)| match answer {
                    Some((at, answer)) if answer.status == 201 => Some((*sent, proof, *at)),
                    _ => None,
                });
                match proof {
                    Proof::Secret(nth) if is_done(known.secrets_ended.get(nth), from) => {
                        return broken("A secret that was ended does not work", "a token was issued for it");
                    }
                    Proof::Secret(_) => {}
                    Proof::WrongCode => return broken("A wrong code does not work", "a token was issued for it"),
                    Proof::Code(step) => {
                        let mut steps = granted.filter_map(|(_, proof, answered)| match proof {
                            Proof::Code(other) => Some((*other, answered)),
                            _ => None,
                        });
                        if steps.any(|(other, answered)| other == *step || (other > *step && answered <= from)) {
                            return broken(
                                "A code works once, and no code of an earlier step works after it",
                                format!("the code of step {step} was accepted"),
                            );
                        }
                        if known.is_locked(from, at, skew) {
                            return broken(
                                "Five wrong codes in 5 minutes lock the mechanism for 5 minutes",
                                "a code was accepted",
                            );
                        }
                    }
                    Proof::Assertion(jti) => {
                        if granted
                            .into_iter()
                            .any(|(_, other, _)| matches!(other, Proof::Assertion(other) if other == jti))
                        {
                            return broken("An assertion works once", format!("{jti} was accepted again"));
                        }
                    }
                }
                let Some(token) = &answer.token else { return Ok(()) };
                if !known.may_hold(&token.scopes, from, at) {
                    return broken("A credential grants no more than its client holds", token.scopes.join(" "));
                }
                Ok(())
            }
            401 => {
                // Strictly before: a call sent in the same millisecond as that answer may not have the secret yet.
                let is_made = client == ROOT || is_done(Some(&known.created), from.saturating_sub(1));
                let is_gone = is_begun(Some(&known.deleted), at);
                let is_justified = match proof {
                    Proof::WrongCode => true,
                    Proof::Secret(nth) => is_begun(known.secrets_ended.get(nth), at),
                    Proof::Code(step) => {
                        let is_spent = others.clone().any(|(_, sent, other, _)| {
                            *sent < at && matches!(other, Proof::Code(other) if other >= step)
                        });
                        // An old code is a wrong one. A doubled request counts twice, and one without a response may
                        // count.
                        let wrong =
                            others.filter(|(_, _, other, _)| matches!(other, Proof::WrongCode | Proof::Code(_)));
                        let wrong = wrong.map(|(_, _, _, answer)| match answer {
                            Some((_, answer)) if answer.status == 201 => 0,
                            Some((_, answer)) if answer.status == 401 && !answer.disturbed => 1,
                            _ => 2,
                        });
                        let wrong: usize = wrong.sum();
                        is_spent || wrong >= 4 || at - from > 20_000 || from > (step + 1) * 30_000 + 20_000
                    }
                    Proof::Assertion(jti) => others.clone().any(|(_, sent, other, _)| {
                        *sent < at && matches!(other, Proof::Assertion(other) if other == jti)
                    }),
                };
                if is_made && !is_gone && !is_justified && !answer.disturbed {
                    return broken("A valid credential is accepted", "it was refused");
                }
                Ok(())
            }
            403 if known.may_be_suspended(from, at) || known.was_narrowed() => Ok(()),
            status => broken("/long answers only the statuses of the matrix", format!("{status} {}", answer.code)),
        }
    }

    fn rotate(&mut self, bearer: &Token, from: u64, at: u64, answer: &Answer) -> Verdict {
        match answer.status {
            201 => {
                if let Some(promise) = self.must_refuse(bearer, from, at, from, true) {
                    return broken(promise, format!("{} rotated", bearer.name));
                }
                let Some(token) = &answer.token else { return Ok(()) };
                let may_hold = self.client(&bearer.client).may_hold(&token.scopes, from, at);
                if !all_covered(&token.scopes, &bearer.scopes) || !covers(&bearer.scopes, "tokens:write") || !may_hold {
                    return broken(
                        "A rotation grants no scope that the bearer or its client lacks",
                        token.scopes.join(" "),
                    );
                }
                self.hands_on(bearer, token)
            }
            401 if self.may_refuse(bearer, from, at, at) => Ok(()),
            403 if self.client(&bearer.client).was_narrowed() || !covers(&bearer.scopes, "tokens:write") => Ok(()),
            status => {
                broken("A live short-term token with tokens:write can rotate", format!("{status} {}", answer.code))
            }
        }
    }

    fn hands_on(&self, from: &Token, made: &Token) -> Verdict {
        if made.auth_time != from.auth_time || made.client != from.client {
            return broken(
                "An exchange and a rotation keep client and auth_time unchanged",
                format!("{} → {}", from.auth_time, made.auth_time),
            );
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "an exchange is judged by all of these")]
    fn exchange(
        &mut self,
        token: &Token,
        asked: Option<&[String]>,
        from: u64,
        at: u64,
        location: usize,
        call: usize,
        answer: &Answer,
    ) -> Verdict {
        let looks = self.looks(token, from, at, location, call);
        match answer.status {
            201 => {
                let Some(made) = &answer.token else { return Ok(()) };
                let refusals = looks.iter().map(|(seen, until)| self.must_refuse(token, *seen, *until, from, true));
                let reasons: Vec<_> = refusals.collect();
                if let Some(Some(promise)) = reasons.iter().find(|reason| reason.is_some())
                    && reasons.iter().all(Option::is_some)
                {
                    return broken(promise, format!("{} exchanged for {}", token.name, made.name));
                }
                // Only the times at which the token is accepted.
                let counted = looks.iter().zip(&reasons).filter(|(_, reason)| reason.is_none()).map(|(look, _)| *look);
                let counted: Vec<_> = counted.collect();
                let holds = |(seen, until): &(u64, u64)| {
                    self.clients.get(&token.client).is_none_or(|client| client.may_hold(&made.scopes, *seen, *until))
                };
                if !all_covered(&made.scopes, &token.scopes) || made.scopes.is_empty() || !counted.iter().any(holds) {
                    return broken(
                        "An exchange grants no scope that the long-term token or its client lacks",
                        made.scopes.join(" "),
                    );
                }
                let latest = (made.issued_at + 900).min(token.expires_at);
                if made.expires_at > latest {
                    return broken(
                        "A short-term token lives at most 900 s, and never past the end of its long-term token",
                        made.name.clone(),
                    );
                }
                let seen = counted.iter().map(|(seen, _)| *seen).min().unwrap_or(from);
                let rotations = self.rotated.get(&token.id).into_iter().flatten();
                let ends = rotations.filter(|rotation| rotation.is_done_by(seen)).map(|rotation| rotation.until);
                if ends.min().is_some_and(|end| made.expires_at * 1000 > end + self.plan.grace * 1000 + self.skew) {
                    return broken("A short-term token never outlives the early end of its parent", made.name.clone());
                }
                self.hands_on(token, made)
            }
            401 => {
                let seen = looks.iter().map(|(seen, _)| *seen).min().unwrap_or(from);
                if self.may_refuse(token, seen, at, at) {
                    return Ok(());
                }
                broken("A live long-term token can be exchanged", format!("401 {}", answer.code))
            }
            400 => {
                let narrowed = self.client(&token.client).was_narrowed();
                if narrowed || asked.is_some_and(|asked| !all_covered(asked, &token.scopes)) {
                    return Ok(());
                }
                broken("A live long-term token can be exchanged", format!("400 {}", answer.code))
            }
            status => broken("/short answers only the statuses of the matrix", format!("{status} {}", answer.code)),
        }
    }

    fn revoke(&mut self, by: &Token, target: &Token, from: u64, at: u64, call: usize, answer: &Answer) -> Verdict {
        let is_own = by.id == target.id;
        let is_parent = by.parent.as_ref().is_some_and(|parent| parent.id == target.id);
        // A call is not a reason for its own refusal.
        let before = |tries: Option<&Vec<Try>>, time| {
            tries.is_some_and(|tries| tries.iter().any(|attempt| attempt.call != call && attempt.is_done_by(time)))
        };
        let was_ended = before(self.revoked.get(&target.id), from);
        let may_have_ended = answer.disturbed
            || self.rotated.contains_key(&target.id)
            || self
                .revoked
                .get(&target.id)
                .is_some_and(|tries| tries.iter().any(|attempt| attempt.call != call && attempt.is_begun_by(at)));
        match answer.status {
            204 => {
                if by.client != target.client {
                    return broken("Revoking another client's token is answered 404", "204");
                }
                let client = self.clients.get(&by.client);
                let may_revoke = covers(&by.scopes, "tokens:revoke")
                    && client.is_none_or(|client| client.may_hold(&["tokens:revoke".to_owned()], from, at));
                if !is_own && !may_revoke {
                    return broken(
                        "Only a token with tokens:revoke may revoke another",
                        format!("{} lacks it", by.name),
                    );
                }
                match self.must_refuse(by, from, at, from, true) {
                    // It may repeat a call that ended it: of itself, or of its parent if that has ended.
                    Some(promise) if !(promise.contains("revo") && (is_own || (is_parent && may_have_ended))) => {
                        broken(promise, format!("{} revoked {}", by.name, target.name))
                    }
                    _ => Ok(()),
                }
            }
            401 if answer.code == "insufficient_scope" => {
                if is_own || (covers(&by.scopes, "tokens:revoke") && !self.client(&by.client).was_narrowed()) {
                    return broken(
                        "A token may always revoke itself, and another token if it has tokens:revoke",
                        "insufficient_scope",
                    );
                }
                Ok(())
            }
            401 => {
                let is_repeat = (is_own || is_parent) && was_ended && target.expires_at * 1000 > at + self.skew;
                let but_for = if is_repeat { target.id.as_str() } else { "" };
                if self.may_refuse_but_for(by, from, at, at, but_for) {
                    return Ok(());
                }
                let promise = if is_repeat {
                    "A token that revoked itself may repeat that call"
                } else {
                    "A live token is accepted by /revoke"
                };
                broken(promise, format!("401 {}", answer.code))
            }
            404 if by.client != target.client => Ok(()),
            status => broken("/revoke answers only the statuses of the matrix", format!("{status} {}", answer.code)),
        }
    }

    fn introspect(&mut self, token: &Token, from: u64, at: u64, answer: &Answer) -> Verdict {
        match (answer.status, answer.body["active"].as_bool()) {
            (200, Some(true)) => {
                if let Some(promise) = self.must_refuse(token, from, at, from, true) {
                    return broken(promise, format!("{} is active", token.name));
                }
                let scopes: Vec<String> = answer.body["scope"]
                    .as_str()
                    .unwrap_or_default()
                    .split(' ')
                    .filter(|scope| !scope.is_empty())
                    .map(str::to_owned)
                    .collect();
                if !all_covered(&scopes, &token.scopes) || !self.client(&token.client).may_hold(&scopes, from, at) {
                    return broken("Introspection shows only scopes that the client still holds", scopes.join(" "));
                }
                Ok(())
            }
            (200, Some(false)) if self.may_refuse(token, from, at, at) => Ok(()),
            (200, Some(false)) => {
                broken("Introspection shows a live token as active", format!("{} is not active", token.name))
            }
            (401, _) => self.refused_operator(at),
            (status, _) => broken("Introspection answers 200", format!("{status} {}", answer.code)),
        }
    }

    /// The operator's tokens end only by `end-tokens` and by expiry.
    fn refused_operator(&mut self, at: u64) -> Verdict {
        if self.clients.get(ROOT).is_some_and(|root| is_begun(Some(&root.tokens_ended), at)) {
            return Ok(());
        }
        broken("A live token of the operator is accepted", "401")
    }

    fn verify(&mut self, verifier: usize, token: &Token, at: u64, answer: &Answer) -> Verdict {
        let followed = self.followed.get(&verifier).copied();
        let is_calm = self.last_fault.is_none_or(|fault| fault + CALM < at);
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
                if is_calm && at > followed + crate::actors::POLL[verifier] * 1000 + 5_000 + self.skew {
                    return broken(
                        "A verifier refuses within its polling interval plus 5 s",
                        format!("it accepted a token with a copy of {} ms", at - followed),
                    );
                }
                // The verifier's own clock decides whether the time of an end has come.
                let seen = followed.saturating_sub(FEED_AGE).min(at.saturating_sub(self.skew));
                self.accepted_offline(token, seen, followed, at, false)
            }
            401 if self.may_refuse(token, self.told_by(followed.unwrap_or(0).saturating_sub(FEED_AGE)), at, at) => {
                Ok(())
            }
            401 => broken("The feed lists only what has ended", format!("{} is refused: {}", token.name, answer.code)),
            _ => Ok(()),
        }
    }

    /// The time up to which the feed has what no response waits for (a restoration, a retirement). The alarm reports it,
    /// at the latest after failures have ended.
    fn told_by(&self, time: u64) -> u64 {
        match self.healed {
            Some(healed) if healed + 60_000 <= time => time,
            _ if self.last_fault.is_none_or(|fault| fault + 120_000 < time) => time.saturating_sub(TOLD),
            _ => 0,
        }
    }

    /// A verifier with the feed as of `seen` accepts a token.
    fn accepted_offline(&self, token: &Token, seen: u64, until: u64, clock: u64, retired: bool) -> Verdict {
        let Some(promise) = self.must_refuse(token, seen, until, clock, retired) else { return Ok(()) };
        let of_parent = |tries: &HashMap<String, Vec<Try>>, later: u64| {
            let tries = token.parent.as_ref().and_then(|parent| tries.get(&parent.id)).into_iter().flatten();
            // A call without a response may have taken effect.
            tries.filter(|end| end.state != State::Void).map(|end| end.from + later).min()
        };
        let ends = [of_parent(&self.revoked, 0), of_parent(&self.rotated, self.plan.grace * 1000)];
        if ends.into_iter().flatten().min().is_some_and(|ended| token.made.0 > ended + OUTSIDE) {
            return Ok(());
        }
        broken("The feed lists everything that has ended", format!("{} is accepted, although: {promise}", token.name))
    }

    fn by_kv_alone(&mut self, token: &Token, status: u16, begun: Option<u64>, scopes: &[String], at: u64) -> Verdict {
        let is_published = self.healed.is_some_and(|healed| healed + PUBLISHED <= at);
        let client = self.clients.get(&token.client);
        match status {
            201 if client.is_some_and(|client| !client.may_hold(scopes, at, at)) => {
                broken(KV_SHOWS, format!("KV alone gives {} the lost scopes {}", token.name, scopes.join(" ")))
            }
            201 if client.is_some_and(|client| client.must_be_immediate(at, at)) => broken(
                "A switch to immediate is answered when KV shows it",
                format!("KV alone exchanges {}", token.name),
            ),
            201 => match self.must_refuse(token, at, at, at, is_published) {
                Some(promise) => {
                    broken(KV_SHOWS, format!("KV alone lets {} be exchanged, although: {promise}", token.name))
                }
                None => Ok(()),
            },
            401 if self.may_refuse(token, begun.unwrap_or(at).min(at), at, at) => Ok(()),
            401 => broken("KV refuses no live token", format!("{} is refused", token.name)),
            503 if is_published => {
                let Some(client) = self.clients.get(&token.client) else { return Ok(()) };
                let may_be_immediate = token.is_immediate
                    || CLIENTS.iter().position(|client| *client == token.client) == Some(1)
                    || client.is_immediate.iter().any(|(_, immediate)| *immediate)
                    || client.created.iter().any(|_| !CLIENTS.contains(&token.client.as_str()));
                if may_be_immediate || self.plan.crowd > 0 {
                    return Ok(());
                }
                broken(
                    "Every pending publication is published in the end",
                    format!("KV has no value of {}", token.client),
                )
            }
            _ => Ok(()),
        }
    }

    fn feed(&mut self, payload: &Value, at: u64) -> Verdict {
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
                let told_by = self.told_by(at);
                self.accepted_offline(token, told_by, at, at, true)?;
            } else if refuses(&payload["ended"], token, at.saturating_sub(self.skew) / 1000)
                && !self.may_refuse(token, self.told_by(at), at, at)
            {
                return broken("The feed lists only what has ended", format!("it ends {}", token.name));
            }
        }
        Ok(())
    }

    fn create(&mut self, client: &str, from: u64, at: u64, call: usize, status: u16) -> Verdict {
        let known = self.client(client);
        let others = |created: &&Try| created.call != call;
        match status {
            201 if known.created.iter().filter(others).any(|created| created.is_done_by(from)) => broken(
                "Creating a client whose id exists or ever did is answered 409",
                format!("{client} was created twice"),
            ),
            201 => Ok(()),
            409 if known.created.iter().filter(others).any(|created| created.is_begun_by(at)) => Ok(()),
            401 => self.refused_operator(at),
            status => broken("A client can be created", format!("{status}")),
        }
    }

    fn operate(&mut self, op: &Op, from: u64, at: u64, answer: &Answer) -> Verdict {
        let (Op::Show { client }
        | Op::Change { client, .. }
        | Op::AddSecret { client }
        | Op::EndSecret { client, .. }
        | Op::EndTokens { client }
        | Op::Delete { client }) = op
        else {
            return Ok(());
        };
        let is_root = client == ROOT;
        let known = self.client(client);
        let (is_made, is_gone) = (is_root || is_done(Some(&known.created), from), is_begun(Some(&known.deleted), at));
        match answer.status {
            200 | 201 | 204 => {
                let is_repeat = matches!(op, Op::Delete { .. });
                if is_done(Some(&known.deleted), from) && !is_repeat {
                    return broken(
                        "Every call on a deleted client except DELETE is answered 404",
                        format!("{}", answer.status),
                    );
                }
                if !is_root && !known.created.iter().any(|created| created.is_begun_by(at)) {
                    return broken(
                        "A call on a client that never existed is answered 404",
                        format!("{}", answer.status),
                    );
                }
                if is_root && !matches!(op, Op::Show { .. } | Op::EndTokens { .. }) {
                    return broken(
                        "No call but end-tokens changes the client of OPERATOR",
                        format!("{}", answer.status),
                    );
                }
                if let Op::Change { patch, if_match: Some(etag), .. } = op
                    && let Some(active) = patch.is_active
                {
                    let mut guarded = known.guarded.iter();
                    if guarded
                        .any(|(other, other_active, done)| other == etag && *other_active != active && *done <= from)
                    {
                        return broken(
                            "A change whose If-Match does not match is answered 412",
                            "two changes with one ETag",
                        );
                    }
                    let others: Vec<_> = known.is_active.iter().filter(|(set, _)| set.from != from).cloned().collect();
                    let changes = possible(&others, from, from).all(|before| *before != active);
                    if changes {
                        known.guarded.push((etag.clone(), active, at));
                    }
                }
                if let Op::Show { .. } = op {
                    return known.is_shown_truly(&answer.body, from, at);
                }
                Ok(())
            }
            404 if !is_made || is_gone => Ok(()),
            404 if matches!(op, Op::EndSecret { .. }) => Ok(()),
            409 if is_root || matches!(op, Op::AddSecret { .. }) => Ok(()),
            412 if matches!(op, Op::Change { if_match: Some(_), .. }) => Ok(()),
            401 => self.refused_operator(at),
            status => broken(
                "An operator's call answers only the statuses of the contract",
                format!("{status} {}", answer.code),
            ),
        }
    }

    fn at_rest(&mut self, client: &str, rows: usize, alarms: u64) -> Verdict {
        let was_made = client == ROOT
            || self
                .clients
                .get(client)
                .is_some_and(|known| known.created.iter().any(|created| created.state != State::Void));
        if !was_made && rows > 0 {
            return broken(
                "An unknown client leaves nothing that outlives ten minutes",
                format!("{client} left {rows} rows"),
            );
        }
        if alarms > MOST_ALARMS {
            return broken("An object without pending work is idle", format!("{alarms} alarms of {client} in an hour"));
        }
        Ok(())
    }

    fn listed(&mut self, list: &[(String, String)], at: u64) -> Verdict {
        for (client, known) in &self.clients {
            let listed = list.iter().find(|(id, _)| id == client).map(|(_, status)| status.as_str());
            let is_certain = known.created.iter().any(|created| created.state == State::Done);
            if !is_certain || is_begun(Some(&known.deleted), at) {
                continue;
            }
            let fits = match listed {
                Some("active") => known.may_be_active(at, at),
                Some("suspended") => known.may_be_suspended(at, at),
                _ => false,
            };
            if !fits {
                return broken("KV's list shows each client's status in the end", format!("{client}: {listed:?}"));
            }
        }
        Ok(())
    }
}

impl Client {
    fn is_shown_truly(&self, body: &Value, from: u64, at: u64) -> Verdict {
        if self.is_active.is_empty() {
            return Ok(());
        }
        let is_active = body["status"] == "active";
        if !possible(&self.is_active, from, at).any(|possible| *possible == is_active) {
            return broken(
                "A client is shown with its current status and scopes",
                format!("status {}", body["status"]),
            );
        }
        let scopes: Vec<_> = body["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !possible(&self.scopes, from, at).any(|possible| *possible == scopes) {
            return broken(
                "A client is shown with its current status and scopes",
                format!("scopes {}", scopes.join(" ")),
            );
        }
        Ok(())
    }

    /// Whether wrong codes certainly lock the mechanism: five were refused within five minutes, none in the ten minutes
    /// before them, nothing was in doubt, and nothing was accepted or forgiven since.
    fn is_locked(&self, from: u64, at: u64, skew: u64) -> bool {
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
            || self.shown.iter().any(|(_, sent, proof, answer)| {
                matches!(proof, Proof::Code(_)) && *sent < from && answer.as_ref().is_none_or(|(at, _)| *at > *first)
            });
        is_alone && is_near && !is_forgiven && *latest <= from && at + skew < fifth + 300_000
    }
}

/// The ids that end a token: its own, and its parent's.
fn ids(token: &Token) -> impl Iterator<Item = &str> {
    std::iter::once(token.id.as_str()).chain(token.parent.as_ref().map(|parent| parent.id.as_str()))
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
