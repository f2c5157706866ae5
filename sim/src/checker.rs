//! Checks a history against the contract. It knows the contract and the calls, but nothing of how the service works.
//!
//! A call takes effect at some time between its sending and its response. A call that got neither success nor a refusal
//! takes effect within a minute, or never. So for every end or change there are two questions: *must* a later call see
//! it (it was answered before that call looked), and *may* a call see it (it was sent before that call was answered)?

mod client;
mod feed;

use std::collections::HashMap;
use std::rc::Rc;

use client::{Change, Client, Register, State, Try, all_covered, bounded, covers, is_begun, is_done, possible};

use crate::history::{Answer, Entry, Op, Part, Patch, Proof, Token, Violation, What};
use crate::objects::FEED;
use crate::plan::{MECHANISMS, Plan, ROOT};

/// If a call without a response took effect, it did so within this time. Milliseconds, as all times here.
const UNKNOWN: u64 = 60_000;
/// How long an isolate caches a replica. If its clock is set back, by up to twice the largest difference, it caches for
/// longer by as much.
const KEPT: u64 = 250 + 50;
/// The time within which KV has everything after all failures have ended: the longest pause between two attempts is a
/// minute.
const PUBLISHED: u64 = 110_000;
/// The time within which the last rewrite is done after all failures have ended.
const MENDED: u64 = 61 * 60_000;
/// How long after the failure of a part a 503 from an operation that uses it is excused.
const AFTERMATH: u64 = 20_000;
/// The most alarms of an idle object within an hour. An object whose clock is behind is woken a few times too early.
const MOST_ALARMS: u64 = 30;
const KV_SHOWS: &str = "A call that ends or narrows something is answered when KV shows it, and is never undone";
const SUSPENDED: u64 = 253_402_300_799;
/// How long a call may take, and how long if nothing fails.
const LONGEST: u64 = 35_000;
const LONGEST_IN_CALM: u64 = 5_500;
/// How long a long-term token lives if nothing was asked for, seconds.
const USUAL_TTL: u64 = 2_592_000;
/// How long after its `auth_time` a token can be rotated.
const LONGEST_SESSION: u64 = 366 * 86_400_000;
/// The length of a step of one-time codes.
const STEP: u64 = 30_000;
const WRITE: &str = "tokens:write";
const REVOKE: &str = "tokens:revoke";

struct Checker<'a> {
    plan: &'a Plan,
    /// The largest difference of two clocks, including the rounding to seconds.
    skew: u64,
    clients: HashMap<String, Client>,
    /// By token id.
    revoked: HashMap<String, Vec<Try>>,
    rotated: HashMap<String, Vec<Try>>,
    /// The calls that are not answered yet.
    calls: HashMap<usize, Asked>,
    shorts: Vec<Rc<Token>>,
    /// Reads of KV: when, at which location, by which call, of which client, and when the write of the value began.
    shown: Vec<(u64, usize, usize, String, Option<u64>)>,
    /// The tokens that calls were to end, by id.
    subjects: HashMap<String, Rc<Token>>,
    /// When each verifier last requested the feed successfully, and the `iat` of the text that it holds.
    followed: HashMap<usize, (u64, u64)>,
    /// The feeds that locations served: when, where, and their `seq`.
    served: Vec<(u64, usize, u64)>,
    written: HashMap<(String, u64), u64>,
    clocks_set: HashMap<Part, u64>,
    /// When each part last failed.
    faults: HashMap<Part, u64>,
    healed: Option<u64>,
    seq: u64,
}

/// A call: when and where it was sent, and by which operator's token.
#[derive(Clone)]
struct Asked {
    from: u64,
    location: usize,
    op: Op,
    by: Option<Rc<Token>>,
}

/// A call that was answered.
#[derive(Clone, Copy)]
struct Call<'c> {
    number: usize,
    location: usize,
    by: Option<&'c Token>,
    /// When it was sent and answered.
    from: u64,
    at: u64,
    answer: &'c Answer,
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
        subjects: HashMap::new(),
        followed: HashMap::new(),
        served: Vec::new(),
        written: HashMap::new(),
        clocks_set: HashMap::new(),
        faults: HashMap::new(),
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

/// Why a token must be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Expired,
    Revoked,
    Retired,
    Suspended,
    EndTokens,
    Deleted,
}

impl Reason {
    const fn promise(self) -> &'static str {
        match self {
            Self::Expired => "An expired token is refused",
            Self::Revoked => "Nothing is issued or accepted for a token after the 204 of its revocation",
            Self::Retired => "A retired token counts as revoked after its grace period",
            Self::Suspended => "A suspended client's tokens are refused",
            Self::EndTokens => "end-tokens ends every token issued before it, and every token made from those",
            Self::Deleted => "No token or credential of a deleted client works",
        }
    }
}

impl Checker<'_> {
    fn see(&mut self, entry: &Entry) -> Verdict {
        let at = entry.at;
        match &entry.what {
            What::Asked { op, location, by } => {
                let asked = Asked { from: at, location: *location, op: op.clone(), by: by.clone() };
                self.asked(entry.call, asked);
            }
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
                if let Part::Object(of) = of {
                    self.written.retain(|(client, _), _| client != of);
                    self.faults.insert(Part::Object(of.clone()), at);
                }
            }
            What::Followed { verifier, asked, iat } => {
                let (last, held) = self.followed.entry(*verifier).or_default();
                (*last, *held) = ((*last).max(*asked), *iat);
            }
            What::Served { location, asked, payload } => return self.serve(payload, *location, *asked, at),
            What::ByKvAlone { token, status, begun, scopes } => {
                return self.by_kv_alone(token, *status, *begun, scopes, at);
            }
            What::Feed(payload) => return self.feed(payload, at),
            What::AtRest { client, rows, alarms } => return self.at_rest(client, *rows, *alarms),
            What::Listed(list) => return self.listed(list, at),
            What::Healed => self.healed = Some(at),
            What::Told { fault: Some(part), .. } => {
                self.faults.insert(part.clone(), at);
            }
            What::Told { fault: None, .. } => {}
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
            // Another client's id in the body: refused, so the parent is not retired.
            Op::Rotate { bearer, named, .. } if *named != bearer.client => {}
            Op::Rotate { bearer, .. } => {
                let parent = bearer.parent.as_ref().map_or(String::new(), |parent| parent.id.clone());
                meet(self.rotated.entry(parent).or_default(), &note, new);
            }
            Op::EndTokens { client } => meet(&mut self.client(client).tokens_ended, &note, new),
            Op::Delete { client, .. } => meet(&mut self.client(client).deleted, &note, new),
            Op::EndSecret { client, secret, delay } => {
                let ends = self.client(client).secrets_ended.entry(*secret).or_default();
                set(ends, &note, new.map(|new| (new, delay * 1000)));
            }
            Op::AddSecret { client } => meet(&mut self.client(client).secrets_made, &note, new),
            Op::NewTotp { client } => set(&mut self.client(client).seeds, &note, new.map(|new| (new, new.call))),
            Op::Create { client, scopes, is_immediate } => {
                let known = self.client(client);
                meet(&mut known.created, &note, new);
                set(&mut known.is_active, &note, new.map(|new| (new, true)));
                set(&mut known.scopes, &note, new.map(|new| (new, scopes.clone())));
                set(&mut known.is_immediate, &note, new.map(|new| (new, *is_immediate)));
                set(&mut known.mechanisms, &note, new.map(|new| (new, MECHANISMS.into())));
                set(&mut known.keys, &note, new.map(|new| (new, vec![0])));
                set(&mut known.seeds, &note, new.map(|new| (new, new.call)));
                meet(&mut known.secrets_made, &note, new);
            }
            Op::Change { client, patch, .. } => {
                let known = self.client(client);
                set(&mut known.is_active, &note, new.zip(patch.is_active));
                set(&mut known.scopes, &note, new.zip(patch.scopes.clone()));
                set(&mut known.is_immediate, &note, new.zip(patch.is_immediate));
                set(&mut known.mechanisms, &note, new.zip(patch.mechanisms.clone()));
                set(&mut known.keys, &note, new.zip(patch.keys.clone()));
            }
            _ => {}
        }
    }

    fn asked(&mut self, call: usize, asked: Asked) {
        let new = Try { call, from: asked.from, until: u64::MAX, state: State::Open };
        let subject = match &asked.op {
            Op::Revoke { target, .. } => Some(target),
            Op::Rotate { bearer, .. } => bearer.parent.as_ref(),
            _ => None,
        };
        self.subjects.extend(subject.map(|token| (token.id.clone(), Rc::clone(token))));
        self.change(&asked.op, |_| {}, Some(new));
        if let Op::Issue { client, proof, .. } = &asked.op {
            self.client(client).shown.push((call, asked.from, proof.clone(), None));
        }
        if let Some(client) = asked.op.changed() {
            let change = Change { attempt: new, op: asked.op.clone(), is_certain: false, stands: false };
            self.client(client).changes.push(change);
        }
        self.calls.insert(call, asked);
    }

    fn answered(&mut self, call: usize, at: u64, answer: &Answer) -> Verdict {
        let Some(Asked { from, location, op, by }) = self.calls.remove(&call) else { return Ok(()) };
        let (state, until) = match answer.status {
            200..=299 => (State::Done, at),
            0 | 500.. => (State::Unknown, from + UNKNOWN),
            _ if answer.doubled => (State::Unknown, from + UNKNOWN),
            _ => (State::Void, at),
        };
        // A refused call changed nothing, and a call that changed something must be judged by that.
        if state != State::Done {
            self.settle(call, &op, state, until);
        }
        let verdict = self.judge(&op, Call { number: call, location, by: by.as_deref(), from, at, answer });
        self.settle(call, &op, state, until);
        if let Some(client) = op.changed() {
            let is_certain = state == State::Done && self.client(client).has_changed(&op, call, from, at);
            let asked = Call { number: call, location, by: by.as_deref(), from, at, answer };
            let objects = self
                .parts(&op, asked)
                .into_iter()
                .filter(|part| !matches!(part, Part::Kv(_)) && *part != Part::Object(FEED.to_owned()));
            let stands = answer.status == 503 && self.is_calm(objects, AFTERMATH, from);
            let changes = &mut self.client(client).changes;
            if let Some(change) = changes.iter_mut().find(|change| change.attempt.call == call) {
                (change.attempt.state, change.attempt.until) = (state, until);
                (change.is_certain, change.stands) = (is_certain, stands);
            }
        }
        if let (Op::Show { client } | Op::Change { client, .. } | Op::Create { client, .. }, Some(etag)) =
            (&op, &answer.etag)
        {
            let seen = self.client(client).sees_etag(etag, from, at);
            return verdict.and(seen);
        }
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

    fn judge(&mut self, op: &Op, call: Call<'_>) -> Verdict {
        if let Op::Verify { verifier, token } = op {
            return self.verify(*verifier, token, call.at, call.answer);
        }
        self.in_time(op, call)?;
        let status = call.answer.status;
        if matches!(status, 0 | 503) {
            return Ok(());
        }
        let is_issue = matches!(op, Op::Issue { .. } | Op::Rotate { .. } | Op::Exchange { .. });
        if status == 201 && call.answer.token.is_none() && is_issue {
            return broken("A 201 carries a token", "it can't be read");
        }
        if let (Op::Issue { ttl, .. } | Op::Rotate { ttl, .. }, Some(token)) = (op, &call.answer.token)
            && token.expires_at - token.issued_at != ttl.unwrap_or(USUAL_TTL)
        {
            return broken("A long-term token lives as long as was asked for", token.name.clone());
        }
        if let (Some(by), Some(scope)) = (call.by, op.needs()) {
            self.caller(by, scope, call)?;
            if status == 401 {
                return Ok(());
            }
        }
        match op {
            Op::Issue { client, proof, asked, .. } => self.issue(client, proof, asked.as_deref(), call),
            Op::Rotate { bearer, named, .. } => self.rotate(bearer, named, call),
            Op::Exchange { token, asked } => self.exchange(token, asked.as_deref(), call),
            Op::Revoke { by, target } => self.revoke(by, target, call),
            Op::Introspect { token } => self.introspect(token, call),
            Op::Create { client, .. } => self.create(client, call),
            _ => self.operate(op, call),
        }
    }

    /// The parts that an operation uses. If none of them fails, it is answered in time, and not with 503.
    fn parts(&self, op: &Op, call: Call<'_>) -> Vec<Part> {
        let object = |client: &str| Part::Object(client.to_owned());
        let (subject, waits) = match op {
            Op::Issue { client, .. }
            | Op::Create { client, .. }
            | Op::Show { client }
            | Op::AddSecret { client }
            | Op::EndSecret { client, .. }
            | Op::NewTotp { client } => (client, false),
            Op::Rotate { bearer: token, .. } | Op::Introspect { token } | Op::Exchange { token, .. } => {
                (&token.client, false)
            }
            Op::Change { client, patch, .. } => (client, patch.may_narrow()),
            Op::EndTokens { client } | Op::Delete { client, .. } => (client, true),
            Op::Revoke { by, .. } => (&by.client, true),
            Op::Verify { .. } => return Vec::new(),
        };
        let mut parts = vec![Part::Location(call.location), object(subject)];
        parts.extend(call.by.map(|by| object(&by.client)));
        if waits {
            parts.push(object(FEED));
            // KV shows no ends of short-term tokens, nor any end once the client is immediate. But a call that was sent
            // before the switch was confirmed may still wait for KV, and so may its repeats.
            let is_shown = !matches!(op, Op::Revoke { target, .. } if !target.is_long);
            let is_eventual = self.clients.get(subject).is_some_and(|known| {
                let unanswered = known.changes.iter().map(|change| change.attempt).filter(Try::is_unanswered);
                let since = unanswered.map(|attempt| attempt.from).min().unwrap_or(call.from);
                !known.must_be_immediate(since.min(call.from.saturating_sub(UNKNOWN)), call.at)
            });
            if is_shown && is_eventual {
                parts.push(Part::Kv(subject.clone()));
            }
        }
        parts
    }

    /// Whether none of these parts has failed for this long.
    fn is_calm(&self, parts: impl IntoIterator<Item = Part>, within: u64, time: u64) -> bool {
        parts.into_iter().all(|part| self.faults.get(&part).is_none_or(|fault| fault + within < time))
    }

    fn in_time(&self, op: &Op, call: Call<'_>) -> Verdict {
        let Call { from, at, answer, .. } = call;
        let mut parts = self.parts(op, call);
        if matches!(answer.status, 0 | 503) {
            if let Op::Exchange { token, .. } = op
                && self.had_replica(token, call)
            {
                parts.retain(|part| matches!(part, Part::Location(_)));
            }
            if self.is_calm(parts, AFTERMATH, from) {
                return broken(
                    "No call is answered 503 while what it asks does not fail",
                    format!("{} though nothing that it asks had failed", answer.status),
                );
            }
            return Ok(());
        }
        if let Op::Exchange { token, .. } = op {
            parts.push(Part::Kv(token.client.clone()));
        }
        if at - from > LONGEST || (at - from > LONGEST_IN_CALM && self.is_calm(parts, AFTERMATH, from)) {
            return broken("A call is answered within seconds", format!("it took {} ms", at - from));
        }
        Ok(())
    }

    /// Whether an exchange certainly did not need the object: KV was not down, and its value is that of an eventual
    /// client. (A value with too many ends says "ask the object".)
    fn had_replica(&self, token: &Token, call: Call<'_>) -> bool {
        let Some(client) = self.clients.get(&token.client) else { return false };
        if token.is_immediate || self.plan.crowd > 0 {
            return false;
        }
        let mut reads = self.shown.iter().rev().take_while(|(at, ..)| *at >= call.from);
        match reads.find(|(_, _, of, ..)| *of == call.number) {
            Some((.., begun)) => begun.is_some_and(|begun| !client.may_be_immediate(begun, begun)),
            // KV was down, or the isolate had a copy.
            None => {
                let kv_failed = self.faults.get(&Part::Kv(token.client.clone())).is_some_and(|at| *at >= call.from);
                let may_say_immediate =
                    client.is_immediate.iter().any(|(set, immediate)| *immediate && set.is_begun_by(call.at));
                !kv_failed && !may_say_immediate
            }
        }
    }

    /// The token of an operators' call, or of introspection, is live and holds the scope; otherwise the answer is 401.
    fn caller(&mut self, by: &Token, scope: &str, call: Call<'_>) -> Verdict {
        let Call { from, at, answer, .. } = call;
        let client = self.clients.get(&by.client);
        let lacks = !covers(&by.scopes, scope);
        if answer.status != 401 {
            let may_hold = client.is_none_or(|client| client.may_hold(from, at, |held| covers(held, scope)));
            if lacks || !may_hold {
                return broken(
                    "A caller without the scope of a call is answered 401",
                    format!("{} lacks {scope}", by.name),
                );
            }
            return match self.must_refuse(by, from, at, from, true) {
                Some(reason) => broken(reason.promise(), format!("{} was answered {}", by.name, answer.status)),
                None => Ok(()),
            };
        }
        let is_justified = if answer.code == "insufficient_scope" {
            lacks || client.is_some_and(|client| client.may_lack(scope, from, at))
        } else {
            self.may_refuse(by, from, at, at)
        };
        if is_justified {
            Ok(())
        } else {
            broken("A live token with the scope of a call may make it", answer.code.clone())
        }
    }

    /// The reason why a reader must refuse a token, if there is one. The reader saw the client's state at some time
    /// from `seen` to `until`, and read its clock at `clock`. `retired`: a retirement is a reason too.
    fn must_refuse(&self, token: &Token, seen: u64, until: u64, clock: u64, retired: bool) -> Option<Reason> {
        if token.expires_at * 1000 + self.skew <= clock {
            return Some(Reason::Expired);
        }
        for id in ids(token) {
            if is_done(self.revoked.get(id), seen) {
                return Some(Reason::Revoked);
            }
            let has_retired = |rotation: &Try| {
                rotation.is_done_by(seen) && rotation.until + self.plan.grace * 1000 + self.skew <= clock
            };
            if retired && self.rotated.get(id).is_some_and(|tries| tries.iter().any(has_retired)) {
                return Some(Reason::Retired);
            }
        }
        let client = self.clients.get(&token.client)?;
        if !client.may_be_active(seen, until) {
            return Some(Reason::Suspended);
        }
        if client.tokens_ended.iter().any(|end| end.is_done_by(seen) && token.root.1 <= end.from) {
            return Some(Reason::EndTokens);
        }
        is_done(Some(&client.deleted), seen).then_some(Reason::Deleted)
    }

    /// Whether a token may be refused by such a reader.
    fn may_refuse(&self, token: &Token, seen: u64, until: u64, clock: u64) -> bool {
        self.may_refuse_but_for(token, seen, until, clock, "")
    }

    /// The same, ignoring the end of the token `except`.
    fn may_refuse_but_for(&self, token: &Token, seen: u64, until: u64, clock: u64, except: &str) -> bool {
        if token.expires_at * 1000 <= clock + self.skew {
            return true;
        }
        let ends = ids(token).filter(|id| *id != except).any(|id| {
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
    fn looks(&self, token: &Token, call: Call<'_>) -> Vec<(u64, u64)> {
        let Call { number, location, from, at, .. } = call;
        let mut looks = vec![(from, at)];
        let client = self.clients.get(&token.client);
        let was_immediate = client.is_some_and(|client| client.must_be_immediate(token.made.0, token.made.1));
        if token.is_immediate || was_immediate || self.healed.is_some_and(|healed| healed + MENDED <= from) {
            return looks;
        }
        let longer = KEPT + 2 * self.plan.skew;
        let clock_set = self.clocks_set.get(&Part::Location(location));
        let kept = if clock_set.is_some_and(|set| set + longer >= from) { longer } else { KEPT };
        for (shown_at, shown_location, for_call, shown_client, begun) in self.shown.iter().rev() {
            if *shown_at + LONGEST < from {
                break;
            }
            let is_seen = *for_call == number
                || (*shown_location == location && (from.saturating_sub(kept)..=at).contains(shown_at));
            let Some(begun) = begun.filter(|_| is_seen && *shown_client == token.client) else { continue };
            if client.is_none_or(|client| possible(&client.is_immediate, begun, begun).any(|immediate| !immediate)) {
                looks.push((begun, begun));
            }
        }
        looks
    }

    fn issue(&mut self, client: &str, proof: &Proof, asked: Option<&[String]>, call: Call<'_>) -> Verdict {
        let Call { number, from, at, answer, .. } = call;
        let skew = self.skew;
        let known = self.client(client);
        let others = known.shown.iter().filter(|(other, ..)| *other != number);
        let mechanism = proof.mechanism();
        match answer.status {
            201 => {
                if is_done(Some(&known.deleted), from) {
                    return broken("No token or credential of a deleted client works", "a token was issued");
                }
                if client != ROOT && !is_begun(Some(&known.created), at) {
                    return broken("Nothing is issued to an unknown client", "a token was issued");
                }
                if !known.may_be_active(from, at) {
                    return broken("Nothing is issued to a suspended client", "a token was issued");
                }
                if !known.may_allow(mechanism, from, at) {
                    return broken("A mechanism that was taken away is answered 403", format!("{mechanism} works"));
                }
                let granted = others.filter_map(|(_, sent, proof, answer)| match answer {
                    Some((at, answer)) if answer.status == 201 => Some((*sent, proof, *at)),
                    _ => None,
                });
                match proof {
                    Proof::Secret(secret) if known.secret_has_ended(*secret, from, skew) => {
                        return broken("A secret that was ended does not work", "a token was issued for it");
                    }
                    Proof::Secret(_) => {}
                    Proof::WrongCode => return broken("A wrong code does not work", "a token was issued for it"),
                    Proof::Code { seed, step } => {
                        if !possible(&known.seeds, from, at).any(|possible| possible == seed) {
                            return broken(
                                "A new seed ends the old one",
                                format!("a code of seed {seed} was accepted"),
                            );
                        }
                        let mut steps = granted.filter_map(|(_, proof, answered)| match proof {
                            Proof::Code { step, .. } => Some((*step, answered)),
                            _ => None,
                        });
                        if steps.any(|(other, answered)| other == *step || (other > *step && answered <= from)) {
                            return broken(
                                "A code works once, and no code of an earlier step works after it",
                                format!("the code of step {step} was accepted"),
                            );
                        }
                        if from > (step + 2) * STEP + skew {
                            return broken(
                                "A code works for one step of drift",
                                format!("that of step {step} was late"),
                            );
                        }
                        if known.must_be_locked(from, at, skew) {
                            return broken(
                                "Five wrong codes in 5 minutes lock codes for 5 minutes, and ten in a day for the day",
                                "a code was accepted",
                            );
                        }
                    }
                    Proof::Assertion { jti, key } => {
                        if !possible(&known.keys, from, at).any(|keys| keys.contains(key)) {
                            return broken("An assertion signed by a removed key is refused", jti);
                        }
                        if granted.into_iter().any(|(_, other, _)| other == proof) {
                            return broken("An assertion works once", format!("{jti} was accepted again"));
                        }
                    }
                }
                let Some(token) = &answer.token else { return Ok(()) };
                let fits = |held: &[String]| match asked {
                    Some(asked) => token.scopes == asked && all_covered(asked, held),
                    None => token.scopes == held,
                };
                if !known.may_hold(from, at, fits) {
                    return broken(
                        "A credential grants what was asked for, if its client holds that; otherwise all that it holds",
                        token.scopes.join(" "),
                    );
                }
                Ok(())
            }
            401 => {
                // Strictly before: a call sent in the same millisecond as that answer may not have the secret yet.
                let is_made = client == ROOT || is_done(Some(&known.created), from.saturating_sub(1));
                let is_gone = is_begun(Some(&known.deleted), at);
                let is_justified = match proof {
                    Proof::WrongCode => true,
                    Proof::Secret(secret) => known.secret_may_have_ended(*secret, at, skew, 0),
                    Proof::Code { seed, step } => {
                        let is_spent = others.clone().any(|(_, sent, other, _)| {
                            *sent < at && matches!(other, Proof::Code { step: other, .. } if other >= step)
                        });
                        let may_be_old = possible(&known.seeds, from, at).any(|possible| possible != seed);
                        let may_be_locked = known.may_be_locked(number, from, at, skew);
                        let is_late = at - from > 20_000 || from > (step + 1) * STEP + 20_000;
                        is_spent || may_be_old || may_be_locked || is_late
                    }
                    Proof::Assertion { key, .. } => {
                        possible(&known.keys, from, at).any(|keys| !keys.contains(key))
                            || others.clone().any(|(_, sent, other, _)| *sent < at && other == proof)
                    }
                };
                if is_made && !is_gone && !is_justified && !answer.doubled {
                    return broken("A valid credential is accepted", "it was refused");
                }
                Ok(())
            }
            403 if answer.code == "unauthorized_client"
                && (known.may_be_suspended(from, at) || known.may_disallow(mechanism, from, at)) =>
            {
                Ok(())
            }
            403 if answer.code == "insufficient_scope"
                && asked.into_iter().flatten().any(|scope| known.may_lack(scope, from, at)) =>
            {
                Ok(())
            }
            status => broken("/long answers only the statuses of the matrix", format!("{status} {}", answer.code)),
        }
    }

    fn rotate(&mut self, bearer: &Token, named: &str, call: Call<'_>) -> Verdict {
        let Call { from, at, answer, .. } = call;
        let lacks_write = !covers(&bearer.scopes, WRITE);
        let is_foreign = named != bearer.client;
        let latest = bearer.auth_time * 1000 + LONGEST_SESSION;
        match answer.status {
            201 => {
                if is_foreign {
                    return broken("A rotation for another client is answered 403", format!("201 for {named}"));
                }
                if from > latest + self.skew {
                    return broken("A rotation later than 366 days after auth_time is answered 401", "201");
                }
                if !self.client(&bearer.client).may_allow("rotation", from, at) {
                    return broken("A mechanism that was taken away is answered 403", "rotation works");
                }
                if let Some(reason) = self.must_refuse(bearer, from, at, from, true) {
                    return broken(reason.promise(), format!("{} rotated", bearer.name));
                }
                let Some(token) = &answer.token else { return Ok(()) };
                let fits = |held: &[String]| covers(held, WRITE) && bounded(&bearer.scopes, held) == token.scopes;
                if lacks_write || !self.client(&bearer.client).may_hold(from, at, fits) {
                    return broken(
                        "A rotation requires tokens:write, and grants what both the bearer and its client hold",
                        token.scopes.join(" "),
                    );
                }
                self.hands_on(bearer, token)
            }
            401 if self.may_refuse(bearer, from, at, at) || at + self.skew > latest => Ok(()),
            403 if answer.code == "unauthorized_client"
                && (is_foreign || self.client(&bearer.client).may_disallow("rotation", from, at)) =>
            {
                Ok(())
            }
            403 if answer.code == "insufficient_scope"
                && (lacks_write || self.client(&bearer.client).may_lack(WRITE, from, at)) =>
            {
                Ok(())
            }
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

    fn exchange(&mut self, token: &Token, asked: Option<&[String]>, call: Call<'_>) -> Verdict {
        let Call { from, at, answer, .. } = call;
        let looks = self.looks(token, call);
        match answer.status {
            201 => {
                let Some(made) = &answer.token else { return Ok(()) };
                let refusals = looks.iter().map(|(seen, until)| self.must_refuse(token, *seen, *until, from, true));
                let reasons: Vec<_> = refusals.collect();
                if let Some(Some(reason)) = reasons.iter().find(|reason| reason.is_some())
                    && reasons.iter().all(Option::is_some)
                {
                    return broken(reason.promise(), format!("{} exchanged for {}", token.name, made.name));
                }
                // Only the times at which the token is accepted.
                let counted = looks.iter().zip(&reasons).filter(|(_, reason)| reason.is_none()).map(|(look, _)| *look);
                let counted: Vec<_> = counted.collect();
                let fits = |held: &[String]| match asked {
                    Some(asked) => made.scopes == asked && all_covered(asked, held),
                    None => made.scopes == bounded(&token.scopes, held),
                };
                let is_given = |(seen, until): &(u64, u64)| {
                    self.clients.get(&token.client).is_none_or(|client| client.may_hold(*seen, *until, fits))
                };
                if !all_covered(&made.scopes, &token.scopes) || made.scopes.is_empty() || !counted.iter().any(is_given)
                {
                    return broken(
                        "An exchange grants what was asked for, or all, of what both the token and its client hold",
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
                let is_refused = |held: &Vec<String>| match asked {
                    Some(asked) => !all_covered(asked, held),
                    None => bounded(&token.scopes, held).is_empty(),
                };
                let client = self.client(&token.client);
                let may_lack = |(seen, until): &(u64, u64)| possible(&client.scopes, *seen, *until).any(is_refused);
                if looks.iter().any(may_lack) || asked.is_some_and(|asked| !all_covered(asked, &token.scopes)) {
                    return Ok(());
                }
                broken("A live long-term token can be exchanged", format!("400 {}", answer.code))
            }
            status => broken("/short answers only the statuses of the matrix", format!("{status} {}", answer.code)),
        }
    }

    fn revoke(&mut self, by: &Token, target: &Token, call: Call<'_>) -> Verdict {
        let Call { number, from, at, answer, .. } = call;
        let is_own = by.id == target.id;
        let is_parent = by.parent.as_ref().is_some_and(|parent| parent.id == target.id);
        // A call is not a reason for its own refusal.
        let before = |tries: Option<&Vec<Try>>, time| {
            tries.is_some_and(|tries| tries.iter().any(|attempt| attempt.call != number && attempt.is_done_by(time)))
        };
        let was_ended = before(self.revoked.get(&target.id), from);
        let may_have_ended = answer.doubled
            || self.rotated.contains_key(&target.id)
            || self
                .revoked
                .get(&target.id)
                .is_some_and(|tries| tries.iter().any(|attempt| attempt.call != number && attempt.is_begun_by(at)));
        match answer.status {
            204 => {
                if by.client != target.client {
                    return broken("Revoking another client's token is answered 404", "204");
                }
                let client = self.clients.get(&by.client);
                let may_hold = |held: &[String]| covers(held, REVOKE);
                let may_revoke =
                    covers(&by.scopes, REVOKE) && client.is_none_or(|client| client.may_hold(from, at, may_hold));
                if !is_own && !may_revoke {
                    return broken(
                        "Only a token with tokens:revoke may revoke another",
                        format!("{} lacks it", by.name),
                    );
                }
                match self.must_refuse(by, from, at, from, true) {
                    // It may repeat a call that ended it: of itself, or of its parent if that has ended.
                    Some(Reason::Revoked | Reason::Retired) if is_own || (is_parent && may_have_ended) => Ok(()),
                    Some(reason) => broken(reason.promise(), format!("{} revoked {}", by.name, target.name)),
                    None => Ok(()),
                }
            }
            401 if answer.code == "insufficient_scope" => {
                let may_lack = !covers(&by.scopes, REVOKE) || self.client(&by.client).may_lack(REVOKE, from, at);
                if is_own || !may_lack {
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

    fn introspect(&mut self, token: &Token, call: Call<'_>) -> Verdict {
        let Call { from, at, answer, .. } = call;
        match (answer.status, answer.body["active"].as_bool()) {
            (200, Some(true)) => {
                if let Some(reason) = self.must_refuse(token, from, at, from, true) {
                    return broken(reason.promise(), format!("{} is active", token.name));
                }
                let scope = answer.body["scope"].as_str().unwrap_or_default();
                let fits = |held: &[String]| bounded(&token.scopes, held).join(" ") == scope;
                if !self.client(&token.client).may_hold(from, at, fits) {
                    return broken("Introspection shows the scopes that the client still holds", scope);
                }
                Ok(())
            }
            (200, Some(false)) if self.may_refuse(token, from, at, at) => Ok(()),
            (200, Some(false)) => {
                broken("Introspection shows a live token as active", format!("{} is not active", token.name))
            }
            (status, _) => broken("Introspection answers 200 or 401", format!("{status} {}", answer.code)),
        }
    }

    fn by_kv_alone(&mut self, token: &Token, status: u16, begun: Option<u64>, scopes: &[String], at: u64) -> Verdict {
        let is_published = self.healed.is_some_and(|healed| healed + PUBLISHED <= at);
        let client = self.clients.get(&token.client);
        match status {
            201 if client.is_some_and(|client| !client.may_hold(at, at, |held| all_covered(scopes, held))) => {
                broken(KV_SHOWS, format!("KV alone gives {} the lost scopes {}", token.name, scopes.join(" ")))
            }
            201 if client.is_some_and(|client| client.must_be_immediate(at, at)) => broken(
                "A switch to immediate is answered when KV shows it",
                format!("KV alone exchanges {}", token.name),
            ),
            201 => match self.must_refuse(token, at, at, at, is_published) {
                Some(reason) => {
                    let promise = reason.promise();
                    broken(KV_SHOWS, format!("KV alone lets {} be exchanged, although: {promise}", token.name))
                }
                None => Ok(()),
            },
            401 if self.may_refuse(token, begun.unwrap_or(at).min(at), at, at) => Ok(()),
            401 => broken("KV refuses no live token", format!("{} is refused", token.name)),
            503 if is_published => {
                let may_be_immediate = client.is_none_or(|client| client.may_be_immediate(at, at));
                if token.is_immediate || may_be_immediate || self.plan.crowd > 0 {
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

    fn create(&mut self, client: &str, call: Call<'_>) -> Verdict {
        let Call { number, from, at, answer, .. } = call;
        let known = self.client(client);
        let others = |created: &&Try| created.call != number;
        match answer.status {
            201 if known.created.iter().filter(others).any(|created| created.is_done_by(from)) => broken(
                "Creating a client whose id exists or ever did is answered 409",
                format!("{client} was created twice"),
            ),
            201 => Ok(()),
            409 if known.created.iter().filter(others).any(|created| created.is_begun_by(at)) => Ok(()),
            status => broken("A client can be created", format!("{status}")),
        }
    }

    fn operate(&mut self, op: &Op, call: Call<'_>) -> Verdict {
        let Call { number, from, at, answer, by, .. } = call;
        let skew = self.skew;
        let (Op::Show { client }
        | Op::Change { client, .. }
        | Op::AddSecret { client }
        | Op::EndSecret { client, .. }
        | Op::NewTotp { client }
        | Op::EndTokens { client }
        | Op::Delete { client, .. }) = op
        else {
            return Ok(());
        };
        let is_root = client == ROOT;
        let known = self.client(client);
        let by_root = by.is_some_and(|by| by.client == ROOT);
        let given = match op {
            Op::Change { patch: Patch { scopes: Some(scopes), .. }, .. } => scopes.iter(),
            _ => [].iter(),
        };
        let given = given.filter(|scope| scope.starts_with("clients:"));
        let may_give = given.clone().any(|scope| known.may_lack(scope, from, at));
        let others: Register<Vec<String>> =
            known.scopes.iter().filter(|(set, _)| set.call != number).cloned().collect();
        let must_give = given.clone().any(|scope| possible(&others, from, at).all(|held| !covers(held, scope)));
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
                if must_give && !by_root {
                    return broken("Only the client of OPERATOR gives scopes of clients:", "another operator did");
                }
                if matches!(op, Op::AddSecret { .. }) && known.live_secrets(from, at, skew, number).0 >= 2 {
                    return broken("A third secret is answered 409", format!("{}", answer.status));
                }
                if matches!(op, Op::EndSecret { secret, .. } if known.secret_has_ended(*secret, from, skew)) {
                    return broken("An ended secret is answered 404", format!("{}", answer.status));
                }
                if let Some(etag) = op.if_match() {
                    known.accepts(number, op, etag, from, at)?;
                }
                if let Op::Show { .. } = op {
                    return known.is_shown_truly(&answer.body, from, at);
                }
                Ok(())
            }
            404 if !is_made || is_gone => Ok(()),
            404 if matches!(op, Op::EndSecret { secret, .. }
                if known.secret_may_have_ended(*secret, at, skew, number)) =>
            {
                Ok(())
            }
            409 if is_root => Ok(()),
            409 if matches!(op, Op::AddSecret { .. }) && known.live_secrets(from, at, skew, number).1 >= 2 => Ok(()),
            // Only the client of `OPERATOR` gives scopes of `clients:`.
            403 if answer.code == "insufficient_scope" && !by_root && may_give => Ok(()),
            412 if matches!(op, Op::Delete { .. }) && is_done(Some(&known.deleted), from) => {
                broken("A repeated DELETE is answered 204", "412")
            }
            412 if let Some(etag) = op.if_match() => known.refuses(number, op, etag, at),
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

/// The ids that end a token: its own, and its parent's.
fn ids(token: &Token) -> impl Iterator<Item = &str> {
    std::iter::once(token.id.as_str()).chain(token.parent.as_ref().map(|parent| parent.id.as_str()))
}
