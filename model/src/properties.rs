//! The promises to check. Each property's sentence is from the contract.

use stateright::Property;

use crate::mutant::Mutant;
use crate::object::Ask;
use crate::protocol::Protocol;
use crate::scope::Scope;
use crate::world::{At, CLIENT, COME, CallState, FOR_EVER, HOUR, Isolate, Kv, START, TOKENS, Value, World};

/// A revocation that was not stored is never answered 204. What was answered survives every crash.
pub const STORED: &str = "an answered change is stored";
/// Revocations and narrowing changes are answered when KV has the value that shows them, if it shows them. A timed-out
/// write may land over it; then it is rewritten. So an exchange of an `eventual` client lags as KV does, and no
/// further.
pub const SHOWN: &str = "an answered change is in KV";
/// What the object counts as shown is in KV: a write contains everything stored before it.
pub const CONFIRMED: &str = "a change that counts as shown is in KV";
/// Calls that end something are answered when the feed has the end, too.
pub const IN_FEED: &str = "an answered end is in the feed";
/// /short of an `immediate` client, /long, /revoke, /introspect, operators: the object is asked, so answered changes
/// take effect at once, everywhere.
pub const AT_ONCE: &str = "an answered change holds at once where the object is asked";
/// An exchange with a location's cache and an isolate's cache lags as KV does, and no further.
pub const LAG: &str = "an eventual exchange lags as KV does and no further";
/// An earlier end is never undone by a later one, whatever fails, restarts or overtakes.
pub const EARLIEST: &str = "an earlier end is never undone by a later one";
/// Pending publications, and the alarm for them, are committed with the change itself.
pub const ALARM: &str = "pending work has an alarm";
/// The alarm never gives up, however long KV or the feed is down, and across crashes. When the faults have ended,
/// everything is published, and the alarm is gone.
pub const DONE: &str = "pending work is done in the end";
/// Until then, some step can always follow.
pub const GOES_ON: &str = "nothing is stuck";
/// No write to KV starts while one is awaited.
pub const ONE_WRITE: &str = "no write starts while one is awaited";
/// KV and the feed show no end that the object has not stored.
pub const BLAMES: &str = "KV and the feed end only what the object has ended";
/// A verifier that follows the feed refuses within its polling interval plus 5 s of the 204.
pub const MISSES: &str = "a follower refuses every ended token";
/// A restored client is in the feed for an hour with its `tokens_valid_from`, so that a follower of deltas learns of it.
pub const RESTORED: &str = "a follower learns of a restoration";
/// A follower replaces its copy with a full feed and merges a delta: the result is the same.
pub const SAME: &str = "merged deltas equal the full feed";
/// `seq` grows with each entry and never goes back.
pub const SEQ: &str = "seq never goes back";
/// An entry stays for an hour after its time or its last report, whichever is later.
pub const HOUR_LONG: &str = "an entry stays for an hour after its last report";
/// Of any number of concurrent attempts, exactly one gets 201.
pub const ONE_USE: &str = "an assertion is good for one use";

type Condition = fn(&Protocol, &World) -> bool;

/// The properties that a scope can show. `sometimes` properties guard against a model in which nothing happens.
pub fn of(scope: &Scope) -> Vec<Property<Protocol>> {
    let mut always: Vec<(&'static str, Condition)> = vec![
        (STORED, is_stored),
        (SHOWN, is_shown),
        (CONFIRMED, is_confirmed),
        (IN_FEED, is_in_feed),
        (AT_ONCE, holds_at_once),
        (EARLIEST, earliest_counts),
        (ALARM, has_an_alarm),
        (DONE, is_done),
        (GOES_ON, goes_on),
        (ONE_WRITE, |_, world| world.puts.len() <= 1 && world.reports.len() <= 1),
        (BLAMES, blames_nobody),
        (HOUR_LONG, stays_an_hour),
        (ONE_USE, |_, world| world.ghost.uses <= 1),
    ];
    let mut sometimes: Vec<(&'static str, Condition)> = vec![
        ("a history ends", |protocol, world| protocol.is_over(world)),
        ("a call is answered", |_, world| world.calls.iter().any(|call| call.state == CallState::Answered)),
    ];
    let has = |ask: fn(&Ask) -> bool| scope.asks.iter().any(ask);
    let narrowing = scope.asks.iter().filter(|ask| narrows(**ask)).count();
    let is_one_use = has(|ask| *ask == Ask::Spend);
    if !is_one_use {
        let all: Condition = |_, world| world.calls.iter().all(|call| call.state == CallState::Answered);
        sometimes.push(("every call is answered", all));
    }
    if scope.left.crashes > 0 || (scope.left.puts > 0 && narrowing > 0) {
        sometimes.push(("a call fails", |_, world| world.calls.iter().any(|call| call.state == CallState::Failed)));
    }
    if scope.tries > 1 {
        let repeats: Condition = |_, world| {
            world
                .calls
                .iter()
                .any(|call| call.tries == 0 && matches!(call.state, CallState::Running(_) | CallState::Refused))
        };
        sometimes.push(("a call is repeated", repeats));
    }
    if scope.left.late > 0 && scope.left.puts > 0 && narrowing > 1 && has(|ask| matches!(ask, Ask::Revoke(_))) {
        sometimes.push(("a late write hides an answered change", |protocol, world| !is_in_kv(protocol, world)));
        sometimes.push(("a rewrite is under way", |_, world| world.rows.rewriting));
    }
    if scope.left.late > 0 && scope.left.reports > 0 && has(|ask| *ask == Ask::Restore) {
        let is_lower: Condition = |_, world| {
            let known = world.feed.entries[CLIENT].map(|entry| entry.number);
            world.late_reports.iter().any(|late| late.what.ends[CLIENT].map(|unreported| unreported.number) < known)
        };
        sometimes.push(("a report is late, and lower than what the feed has", is_lower));
    }
    if narrowing > 1 {
        let waits: Condition = |protocol, world| {
            let waits = |who| world.task(who).is_some_and(|task| task.at == At::Publish) && !world.may_go_on(who);
            (0..protocol.scope.asks.len()).any(waits)
        };
        sometimes.push(("a call waits for the write of another", waits));
    }
    if has(|ask| matches!(ask, Ask::Retire(_))) && !has(|ask| *ask == Ask::Immediate) {
        let has_come: Condition = |_, world| world.kv.value.ends.contains(&Some(COME));
        let lies_ahead: Condition = |_, world| world.kv.value.ends.iter().flatten().any(|at| *at != COME);
        sometimes.push(("KV shows a retirement ahead", lies_ahead));
        sometimes.push(("KV shows an end that has come", has_come));
    }
    if scope.locations > 0 {
        always.push((LAG, lags_as_kv));
        sometimes.push(("a location lags", |protocol, world| {
            (0..world.locations.len()).any(|location| takes_what_ended(protocol, world, world.seen_at(location)))
        }));
    }
    if scope.isolates > 0 {
        always.push((MISSES, misses_nothing));
        always.push((SAME, deltas_are_a_whole));
        always.push((SEQ, |_, world| !world.ghost.went_back));
        sometimes.push(("a follower takes a delta", |_, world| {
            world.follower.held.is_some_and(|(_, whole_at)| world.follower.polled > whole_at)
        }));
        sometimes.push(("the feed drops an entry", |_, world| world.feed.dropped > 0));
        if has(|ask| *ask == Ask::Restore) {
            always.push((RESTORED, learns_of_restorations));
            sometimes.push(("a follower refuses a suspended client", |_, world| {
                world.follower.ended[CLIENT] == Some(FOR_EVER)
            }));
        }
    }
    if scope.questions > 1 {
        sometimes.push(("an answer of the feed is overtaken", |_, world| {
            let is_overtaken = |isolate: &Isolate| {
                isolate.questions.iter().any(|asked| asked.answer.is_some_and(|(_, ends)| Some(ends.seq) < isolate.seq))
            };
            world.isolates.iter().any(is_overtaken)
        }));
    }
    let always = always.into_iter().map(|(name, condition)| Property::always(name, condition));
    always.chain(sometimes.into_iter().map(|(name, condition)| Property::sometimes(name, condition))).collect()
}

/// The calls that were answered with success and have not been undone, with the tick of their answer.
fn answered<'a>(protocol: &'a Protocol, world: &'a World) -> impl Iterator<Item = (Ask, u8)> + 'a {
    let asks = protocol.scope.asks.iter().zip(&world.ghost.answered);
    asks.filter_map(|(ask, answered)| answered.map(|at| (*ask, at)))
}

/// Whether a call ends this token at once.
fn ends(ask: Ask, token: usize) -> bool {
    match ask {
        Ask::Revoke(other) => other == token,
        Ask::Suspend | Ask::EndTokens => true,
        Ask::Retire(_) | Ask::Restore | Ask::Immediate | Ask::Eventual | Ask::Spend => false,
    }
}

/// Whether the answer of a call usually waits for KV.
fn narrows(ask: Ask) -> bool {
    ask == Ask::Immediate || (0..TOKENS).any(|token| ends(ask, token))
}

fn is_stored(protocol: &Protocol, world: &World) -> bool {
    let rows = &world.rows;
    answered(protocol, world).all(|(ask, _)| match ask {
        Ask::Revoke(token) => rows.ends[token].is_some_and(|end| end.at == COME),
        Ask::Retire(token) => rows.ends[token].is_some(),
        Ask::Suspend => rows.suspended,
        Ask::EndTokens => rows.renewed,
        Ask::Immediate => rows.immediate,
        Ask::Spend => rows.spent,
        Ask::Restore | Ask::Eventual => true,
    })
}

/// Whether an exchange by KV's value accepts a token: `Replica::standing`. `None`: the object is asked.
fn standing(protocol: &Protocol, value: &Value, token: usize, now: u8) -> Option<bool> {
    if value.immediate && !protocol.is(Mutant::ImmediateFollowsKv) {
        return None;
    }
    Some(!value.suspended && !value.renewed && value.ends[token].is_none_or(|at| at > now))
}

/// Whether an exchange by this value issues a short-term token.
fn gives(protocol: &Protocol, world: &World, value: &Value, token: usize) -> bool {
    standing(protocol, value, token, world.now).unwrap_or_else(|| world.rows.counts(token, world.now))
}

/// Whether an exchange by the read value accepts a token that an answered call has ended.
fn takes_what_ended(protocol: &Protocol, world: &World, seen: Kv) -> bool {
    answered(protocol, world)
        .any(|(ask, _)| (0..TOKENS).any(|token| ends(ask, token) && gives(protocol, world, &seen.value, token)))
}

fn is_in_kv(protocol: &Protocol, world: &World) -> bool {
    let is_switched = answered(protocol, world).all(|(ask, _)| ask != Ask::Immediate || world.kv.value.immediate);
    is_switched && !takes_what_ended(protocol, world, world.kv)
}

fn is_shown(protocol: &Protocol, world: &World) -> bool {
    // A timed-out write has landed over it, and a rewrite will follow.
    let is_excused =
        world.kv.by_late && (world.rows.is_pending() || !world.rows.again.is_empty() || !world.puts.is_empty());
    is_excused || is_in_kv(protocol, world)
}

fn is_confirmed(_: &Protocol, world: &World) -> bool {
    let Kv { value, by_late } = world.kv;
    let has_come = |at: u8| if at <= world.now { COME } else { at };
    let value = Value { ends: value.ends.map(|at| at.map(has_come)), ..value };
    let is_under_way = world.rows.is_pending() || !world.puts.is_empty();
    is_under_way || by_late || value == world.rows.replica(world.now)
}

fn is_in_feed(protocol: &Protocol, world: &World) -> bool {
    answered(protocol, world).all(|(ask, _)| {
        let entry = |key: usize| world.feed.entries[key].map(|entry| entry.at);
        match ask {
            Ask::Revoke(token) => match entry(token) {
                Some(at) => at <= world.now,
                None => world.ghost.reported[token] >= START && world.now >= world.ghost.reported[token] + HOUR,
            },
            Ask::Suspend => entry(CLIENT) == Some(FOR_EVER),
            Ask::EndTokens => entry(CLIENT) >= Some(1),
            Ask::Retire(_) | Ask::Restore | Ask::Immediate | Ask::Eventual | Ask::Spend => true,
        }
    })
}

fn holds_at_once(protocol: &Protocol, world: &World) -> bool {
    answered(protocol, world)
        .all(|(ask, _)| (0..TOKENS).all(|token| !ends(ask, token) || !world.rows.counts(token, world.now)))
}

impl World {
    /// What an exchange at a location reads.
    fn seen_at(&self, location: usize) -> Kv {
        let location = self.locations[location];
        location.kept.or(location.cached).unwrap_or(self.kv)
    }
}

/// A location's cache lasts for less than a tick.
fn lags_as_kv(protocol: &Protocol, world: &World) -> bool {
    let is_old = |(ask, at): (Ask, u8), seen: Kv| {
        at < world.now && (0..TOKENS).any(|token| ends(ask, token) && gives(protocol, world, &seen.value, token))
    };
    (0..world.locations.len())
        .map(|location| world.seen_at(location))
        .all(|seen| seen.by_late || !answered(protocol, world).any(|answered| is_old(answered, seen)))
}

fn earliest_counts(_: &Protocol, world: &World) -> bool {
    (0..TOKENS).all(|token| {
        let settled = world.ghost.earliest[token];
        // An end whose time has come becomes `COME`, which is earlier than all.
        let is_kept = settled.is_none_or(|earliest| world.rows.ends[token].is_some_and(|end| end.at <= earliest));
        let entry = world.feed.entries[token];
        is_kept
            && entry
                .is_none_or(|entry| world.ghost.earliest_reported[token].is_some_and(|earliest| entry.at <= earliest))
    })
}

fn has_an_alarm(_: &Protocol, world: &World) -> bool {
    let rows = &world.rows;
    let is_owed = rows.is_pending()
        || rows.last_reported < rows.last_end
        || !rows.again.is_empty()
        || rows.rewriting
        || rows.next_end > 0;
    !is_owed || rows.alarm.is_some()
}

fn is_done(protocol: &Protocol, world: &World) -> bool {
    if !protocol.is_over(world) {
        return true;
    }
    let rows = &world.rows;
    let is_quiet =
        rows.alarm.is_none() && !rows.is_pending() && rows.again.is_empty() && rows.last_reported == rows.last_end;
    let is_reported = rows.unreported.iter().all(Option::is_none)
        && (0..TOKENS)
            .all(|token| rows.ends[token].is_none_or(|end| end.number == 0 || world.ghost.reported[token] > 0));
    is_quiet && is_reported && world.kv.value == rows.replica(world.now)
}

fn goes_on(protocol: &Protocol, world: &World) -> bool {
    use stateright::Model;
    let mut actions = Vec::new();
    protocol.actions(world, &mut actions);
    !actions.is_empty() || protocol.is_over(world)
}

fn blames_nobody(_: &Protocol, world: &World) -> bool {
    let rows = &world.rows;
    let has_ended = |token: usize, at: u8| {
        let latest = if at == COME { world.now } else { at };
        rows.ends[token].is_some_and(|end| end.at <= latest)
    };
    let value = &world.kv.value;
    let kv = (0..TOKENS).all(|token| value.ends[token].is_none_or(|at| has_ended(token, at)));
    let entry = |key: usize| world.feed.entries[key].map(|entry| entry.at);
    let feed = (0..TOKENS).all(|token| entry(token).is_none_or(|at| has_ended(token, at)));
    let is_restoring = rows.last_reported < rows.last_end;
    let client = match entry(CLIENT) {
        Some(FOR_EVER) => rows.suspended || is_restoring,
        Some(1) => rows.renewed,
        _ => true,
    };
    kv && (!value.renewed || rows.renewed) && feed && client
}

fn stays_an_hour(_: &Protocol, world: &World) -> bool {
    (0..=TOKENS).all(|key| {
        let reported = world.ghost.reported[key];
        reported < START
            || world.now >= reported + HOUR
            || world.feed.entries[key].is_some_and(|entry| entry.until >= reported + HOUR)
    })
}

fn misses_nothing(protocol: &Protocol, world: &World) -> bool {
    let ended = |key: usize| world.follower.ended[key];
    answered(protocol, world).filter(|(_, at)| world.follower.polled > *at).all(|(ask, _)| match ask {
        Ask::Revoke(token) => {
            ended(token).is_some_and(|at| at <= world.now) || world.now >= world.ghost.reported[token] + HOUR
        }
        Ask::Suspend => ended(CLIENT) == Some(FOR_EVER),
        Ask::EndTokens => ended(CLIENT) >= Some(1),
        Ask::Retire(_) | Ask::Restore | Ask::Immediate | Ask::Eventual | Ask::Spend => true,
    })
}

fn learns_of_restorations(_: &Protocol, world: &World) -> bool {
    let is_restored = !world.rows.suspended && world.rows.last_reported == world.rows.last_end;
    let has_heard = world.follower.polled > world.ghost.changed[CLIENT];
    !(is_restored && has_heard && world.follower.ended[CLIENT] == Some(FOR_EVER))
}

fn deltas_are_a_whole(_: &Protocol, world: &World) -> bool {
    let Some((held, _)) = world.follower.held else { return true };
    let feed = (Some(world.feed.seq), &world.feed.entries);
    // An older copy is renewed before it is served.
    let fresh = world.isolates.iter().filter(|isolate| isolate.asked == world.now);
    let wholes = fresh.map(|isolate| (isolate.seq, &isolate.entries)).chain([feed]);
    wholes.filter(|(seq, _)| *seq == Some(held)).all(|(_, entries)| {
        (0..=TOKENS).all(|key| match entries[key].filter(|entry| world.now < entry.until) {
            Some(entry) => world.follower.ended[key] == Some(entry.at),
            // The entry was dropped, since the ended tokens have expired.
            None => world.follower.ended[key].is_none() || world.now >= world.ghost.reported[key] + HOUR,
        })
    })
}
