//! The feed, and what offline verifiers make of it.

use std::collections::HashMap;
use std::ops::Range;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::client::{Client, State, Try, is_begun, is_done};
use super::{Checker, SUSPENDED, Verdict, broken};
use crate::actors::POLL;
use crate::history::{Answer, Op, Part, Token};
use crate::kv::LOCATIONS;
use crate::objects::FEED;
use crate::plan::ROOT;

/// The age limit of the feed that a location serves.
const FEED_AGE: u64 = 2_000;
/// Within this time the feed has an end for which no response waits, if nothing fails.
const REPORTED: u64 = 5_000;
/// The promise excludes tokens that an exchange makes later than this after the end of their parent.
const OUTSIDE: u64 = 45 * 60_000;
/// A verifier refuses everything if its copy is older than this. Includes the difference of clocks.
const STALE: u64 = 310_000;
/// How long an entry stays after its time, and how long that of `end-tokens` or of a deletion.
const HOUR: u64 = 3_600_000;
const LONGEST: u64 = 90 * 24 * HOUR;
/// The least time that a served text is still valid.
const LEAST_LEFT: u64 = 150_000;
/// How long after a failure a verifier may still be behind: longer than the age limit of its copy plus its longest
/// pause between two fetches.
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
                let Some((followed, iat)) = followed else {
                    return broken("A verifier without a feed fails closed", "it accepted a token");
                };
                if at > followed.min(iat * 1000) + STALE + self.skew {
                    return broken("A verifier whose copy is too old fails closed", "it accepted a token");
                }
                if is_calm && at > followed + POLL[verifier] * 1000 + 5_000 + self.skew {
                    return broken(
                        "A verifier refuses within its polling interval plus 5 s",
                        format!("it accepted a token with a copy of {} ms", at - followed),
                    );
                }
                // The verifier's own clock decides whether the time of an end has come.
                let seen = (followed - self.feed_age(0..LOCATIONS, followed)).min(at.saturating_sub(self.skew));
                self.accepted_offline(token, seen, followed, at, false)
            }
            401 => {
                let reported_by =
                    self.reported_by(&token.client, followed.unwrap_or_default().0.saturating_sub(FEED_AGE));
                if self.may_refuse(token, reported_by, at, at) {
                    return Ok(());
                }
                broken("The feed lists only what has ended", format!("{} is refused: {}", token.name, answer.code))
            }
            _ => Ok(()),
        }
    }

    /// The time up to which the feed has the ends for which no response waits (restorations, retirements). The alarm of
    /// the client's object reports them, at the latest after failures have ended.
    fn reported_by(&self, client: &str, time: u64) -> u64 {
        let parts = [Part::Object(client.to_owned()), Part::Kv(client.to_owned()), Part::Object(FEED.to_owned())];
        match self.healed {
            Some(healed) if healed + 60_000 <= time => time,
            _ if self.is_calm(parts, 120_000, time) => time.saturating_sub(REPORTED),
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
        let ended = &payload["ended"];
        for (id, client) in &self.clients {
            self.lists_client(id, client, entry(ended, "client", id), at)?;
        }
        for (kind, is_long) in [("token", false), ("parent", true)] {
            let listed = ended[kind].as_object().map_or(0, |entries| entries.len());
            let may_end = |id: &str| {
                let of = |tries: &HashMap<String, Vec<Try>>| is_begun(tries.get(id), at);
                of(&self.revoked) || of(&self.rotated)
            };
            let subjects = self.subjects.values().filter(|token| token.is_long == is_long && may_end(&token.id));
            if listed > subjects.count() {
                return broken("The feed lists only what has ended", format!("{listed} entries under {kind}"));
            }
        }
        for token in self.subjects.values() {
            self.lists_token(token, entry(ended, if token.is_long { "parent" } else { "token" }, &token.id), at)?;
        }
        self.lists_shorts(ended, at, at)?;
        for token in self.shorts.iter().filter(|token| token.expires_at * 1000 > at) {
            if !refuses(ended, token, (at + self.skew) / 1000) {
                self.accepted_offline(token, self.reported_by(&token.client, at), at, at, true)?;
            }
        }
        Ok(())
    }

    /// The age limit of a feed that one of these locations served. If its clock was set back, its copy may be older by as
    /// much.
    fn feed_age(&self, locations: Range<usize>, asked: u64) -> u64 {
        let longer = FEED_AGE + 2 * self.plan.skew;
        let clocks = locations.filter_map(|location| self.clocks_set.get(&Part::Location(location)));
        if clocks.max().is_some_and(|set| set + longer >= asked) { longer } else { FEED_AGE }
    }

    /// The full feed that a location served.
    pub fn serve(&mut self, payload: &Value, location: usize, asked: u64, at: u64) -> Verdict {
        let seen = asked - self.feed_age(location..location + 1, asked);
        let (seq, exp) = (payload["seq"].as_u64().unwrap_or(0), payload["exp"].as_u64().unwrap_or(0));
        let is_behind = |(time, other, earlier): &(u64, usize, u64)| {
            seq < *earlier && *time < if *other == location { asked } else { seen }
        };
        if let Some((_, _, earlier)) = self.served.iter().find(|served| is_behind(served)) {
            return broken(
                "seq never goes back, and a location's feed is at most 2 s old",
                format!("{earlier} → {seq}"),
            );
        }
        self.served.push((at, location, seq));
        if exp * 1000 + self.skew < asked + LEAST_LEFT || payload["iat"].as_u64() != exp.checked_sub(300) {
            return broken("A text is signed anew before it has less than 150 s left", payload["exp"].to_string());
        }
        self.lists_shorts(&payload["ended"], seen, at)
    }

    /// The feed as of `seen` refuses each short-term token that has ended, and no other.
    fn lists_shorts(&self, ended: &Value, seen: u64, at: u64) -> Verdict {
        for token in self.shorts.iter().filter(|token| token.expires_at * 1000 > at) {
            if !refuses(ended, token, (at + self.skew) / 1000) {
                self.accepted_offline(token, seen, at, at, false)?;
            } else if refuses(ended, token, at.saturating_sub(self.skew) / 1000)
                && !self.may_refuse(token, self.reported_by(&token.client, seen), at, at)
            {
                return broken("The feed lists only what has ended", format!("it ends {}", token.name));
            }
        }
        Ok(())
    }

    /// The entry of a client. `begins`: from when its tokens are valid, Unix seconds.
    fn lists_client(&self, id: &str, client: &Client, begins: Option<u64>, at: u64) -> Verdict {
        let skew = self.skew;
        if id != ROOT && !is_done(Some(&client.created), at) {
            return Ok(());
        }
        let first_deletion =
            client.deleted.iter().filter(|deleted| deleted.is_begun_by(at)).map(|deleted| deleted.from);
        if let Some(first) = first_deletion.min() {
            if is_done(Some(&client.deleted), at) && at + skew < first + LONGEST && begins != Some(SUSPENDED) {
                return broken("A deletion stays in the feed for 90 days", format!("{id}: {begins:?}"));
            }
            return Ok(());
        }
        if !client.may_be_active(at, at) && begins != Some(SUSPENDED) {
            return broken("A suspension stays in the feed while it lasts", format!("{id}: {begins:?}"));
        }
        let reported_by = self.reported_by(id, at);
        if begins == Some(SUSPENDED) {
            if client.may_be_suspended(reported_by, at) {
                return Ok(());
            }
            return broken("A client that was restored is not listed as suspended", id);
        }
        let is_lost = |end: &Try| {
            end.is_done_by(at)
                && at + skew < end.from + LONGEST
                && begins.is_none_or(|from| from * 1000 + skew < end.from)
        };
        if client.tokens_ended.iter().any(is_lost) {
            return broken("end-tokens stays in the feed for 90 days", format!("{id}: {begins:?}"));
        }
        let restores = |op: &Op| matches!(op, Op::Change { patch, .. } if patch.is_active == Some(true));
        let mut restored = client.changes.iter().filter(|change| change.is_certain && restores(&change.op));
        let is_recent =
            restored.any(|change| change.attempt.is_done_by(reported_by) && at + skew < change.attempt.from + HOUR);
        if is_recent && begins.is_none() {
            return broken("A restored client is in the feed for an hour", id);
        }
        let was_suspended = client.is_active.iter().any(|(set, active)| !active && set.is_begun_by(at));
        let may_list = was_suspended || is_begun(Some(&client.tokens_ended), at);
        if begins.is_some() && !may_list {
            return broken("The feed lists only what has ended", format!("{id} from {begins:?} on"));
        }
        let made = client.created.iter().filter(|created| created.state == State::Done);
        let made = made.map(|created| created.until).min().unwrap_or(0);
        if !is_begun(Some(&client.tokens_ended), at) && begins.is_some_and(|from| from * 1000 > made + skew) {
            return broken("A restored client is listed with its tokens_valid_from", format!("{id}: {begins:?}"));
        }
        Ok(())
    }

    /// The entry of a token that was to end.
    fn lists_token(&self, token: &Token, ends_at: Option<u64>, at: u64) -> Verdict {
        let (skew, grace) = (self.skew, self.plan.grace * 1000);
        let (revoked, rotated) = (self.revoked.get(&token.id), self.rotated.get(&token.id));
        let (revoked, rotated) = (|| revoked.into_iter().flatten(), || rotated.into_iter().flatten());
        let revocations = revoked().filter(|end| end.state != State::Void).map(|end| end.from);
        let retirements = rotated().filter(|end| end.state != State::Void).map(|end| end.from + grace);
        let Some(first) = revocations.chain(retirements).min() else { return Ok(()) };
        if at + skew >= first.min(token.expires_at * 1000) + HOUR {
            return Ok(());
        }
        let is_revoked = revoked().any(|end| end.is_done_by(at) && end.until + skew < token.expires_at * 1000);
        if is_revoked && ends_at.is_none_or(|end| end * 1000 > at + skew) {
            return broken("A revocation stays in the feed for an hour", format!("{}: {ends_at:?}", token.name));
        }
        let reported_by = self.reported_by(&token.client, at);
        let is_reported = |end: &&Try| end.is_done_by(reported_by) && grace + 60_000 < HOUR;
        if let Some(latest) = rotated().filter(is_reported).map(|end| end.until + grace).min()
            // A late report may name the time at which it arrives.
            && ends_at.is_none_or(|end| end * 1000 > latest.max(at) + skew)
        {
            return broken(
                "A retirement stays in the feed until an hour after its time",
                format!("{}: {ends_at:?}", token.name),
            );
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
