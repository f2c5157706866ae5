//! The feed: its object (`src/feed/object.rs`), an isolate's copy (`src/feed/copy.rs`), and a verifier that follows it
//! (`verify/src/feed.rs`).

use crate::mutant::Mutant;
use crate::protocol::Protocol;
use crate::world::{
    CLIENT, Ends, Entries, Entry, FOR_EVER, Feed, Follower, HOUR, Isolate, Question, TOKENS, Unreported, World,
};

/// What a caller receives: `feed::copy::Part` and its entries.
struct Text {
    seq: u8,
    since: Option<u8>,
    entries: Entries,
}

impl Feed {
    /// `Feed::take`. Returns which keys it changed.
    fn take(&mut self, ends: &Ends, now: u8, protocol: &Protocol) -> [bool; TOKENS + 1] {
        let mut changed = [false; TOKENS + 1];
        for (key, end) in ends.iter().enumerate() {
            let Some(Unreported { at, keep, number }) = *end else { continue };
            let known = self.entries[key];
            let at = match known {
                Some(known) if key == CLIENT => {
                    let is_older = if protocol.is(Mutant::FeedIgnoresTheSameNumber) {
                        known.number >= number
                    } else {
                        known.number > number && !protocol.is(Mutant::FeedTakesLowerNumbers)
                    };
                    if is_older {
                        continue;
                    }
                    at
                }
                Some(known) if protocol.is(Mutant::LaterEndWinsInFeed) => known.at.max(at),
                Some(known) => known.at.min(at),
                None => at,
            };
            let begun = if at == FOR_EVER { now } else { at.max(now) };
            let until = begun.saturating_add(keep);
            if known.is_some_and(|known| known.at == at && known.number == number && known.until == until) {
                continue;
            }
            changed[key] = known.is_none_or(|known| known.at != at);
            if !(protocol.is(Mutant::RenewalKeepsItsSeq) && known.is_some()) {
                self.seq += 1;
            }
            self.entries[key] = Some(Entry { at, seq: self.seq, number, until });
        }
        changed
    }

    /// `Feed::judge`, for `Ends`.
    fn ends(&mut self, since: Option<u8>, now: u8) -> (Option<u8>, Self) {
        self.dropped = self.dropped.max(drop_old(&mut self.entries, now));
        let since = since.filter(|since| (self.dropped..=self.seq).contains(since));
        let newer = |entry: Option<Entry>| entry.filter(|entry| since.is_none_or(|since| entry.seq > since));
        (since, Self { entries: self.entries.map(newer), ..*self })
    }
}

/// Drops expired entries, and returns the latest `seq` of them.
fn drop_old(entries: &mut Entries, now: u8) -> u8 {
    let mut dropped = 0;
    for entry in entries {
        if let Some(old) = entry.filter(|entry| now >= entry.until) {
            dropped = dropped.max(old.seq);
            *entry = None;
        }
    }
    dropped
}

impl Isolate {
    /// `FeedCache::lacks`, for a caller who has all entries up to `since`. A copy from this tick counts as fresh,
    /// however often it was renewed.
    fn lacks(&self, since: Option<u8>, now: u8, protocol: &Protocol) -> bool {
        let is_fresh = self.asked == now || (self.seq.is_some() && protocol.is(Mutant::CopyIsNotRenewed));
        !(is_fresh && since <= self.seq)
    }

    /// `FeedCache::take`.
    fn take(&mut self, since: Option<u8>, ends: &Feed, now: u8, protocol: &Protocol) {
        if self.seq > Some(ends.seq) && !protocol.is(Mutant::OvertakenAnswerIsTaken) {
            return;
        }
        if since.is_none() {
            self.entries = Entries::default();
        }
        for (mine, newer) in self.entries.iter_mut().zip(ends.entries) {
            *mine = newer.or(*mine);
        }
        self.seq = Some(ends.seq);
        self.dropped = self.dropped.max(ends.dropped);
        self.asked = now;
    }

    /// `FeedCache::part` and `FeedCache::ended`.
    fn text(&mut self, since: Option<u8>, now: u8) -> Text {
        self.dropped = self.dropped.max(drop_old(&mut self.entries, now));
        let seq = self.seq.unwrap_or(0);
        let since = since.filter(|since| (self.dropped..=seq).contains(since));
        let newer = |entry: Option<Entry>| entry.filter(|entry| since.is_none_or(|since| entry.seq > since));
        Text { seq, since, entries: self.entries.map(newer) }
    }
}

impl Follower {
    /// `Feed::since` of the verifier.
    fn since(&self, now: u8) -> Option<u8> {
        let (seq, whole_at) = self.held.filter(|_| !self.whole_wanted)?;
        (now - whole_at < HOUR).then_some(seq)
    }

    /// `Feed::take` of the verifier.
    fn take(&mut self, text: &Text, now: u8) {
        let whole_at = match (text.since, self.held) {
            (_, Some((seq, _))) if text.seq < seq => return,
            (None, _) => {
                self.ended = Default::default();
                self.whole_wanted = false;
                now
            }
            (Some(since), Some((seq, whole_at))) if since <= seq => whole_at,
            _ => {
                self.whole_wanted = true;
                return;
            }
        };
        for (mine, entry) in self.ended.iter_mut().zip(text.entries) {
            *mine = entry.map(|entry| entry.at).or(*mine);
        }
        self.held = Some((text.seq, whole_at));
        self.polled = now;
    }
}

impl World {
    /// A report arrives at the feed's object.
    pub fn report_lands(&mut self, ends: &Ends, protocol: &Protocol) {
        let before = self.feed;
        let changed = self.feed.take(ends, self.now, protocol);
        if protocol.is(Mutant::FeedAnswersBeforeItStores) && self.feed != before && self.feed_stored.is_none() {
            self.feed_stored = Some(before);
        }
        for (earliest, unreported) in self.ghost.earliest_reported.iter_mut().zip(ends) {
            if let Some(unreported) = unreported {
                *earliest = Some(earliest.map_or(unreported.at, |at| at.min(unreported.at)));
            }
        }
        for key in 0..=TOKENS {
            if changed[key] {
                self.ghost.changed[key] = self.now;
            }
            if let (Some(unreported), Some(entry)) = (ends[key], self.feed.entries[key])
                && unreported.number == entry.number
            {
                self.ghost.reported[key] = self.now;
            }
        }
    }

    /// Whether an isolate must ask the feed for some caller: `revocations::text`.
    pub fn may_ask(&self, isolate: usize, protocol: &Protocol) -> bool {
        let Isolate { seq, asked, questions, .. } = &self.isolates[isolate];
        questions.len() < protocol.scope.questions && (*seq != Some(self.feed.seq) || *asked != self.now)
    }

    pub fn ask_feed(&mut self, isolate: usize) {
        let isolate = &mut self.isolates[isolate];
        isolate.questions.push(Question { known: isolate.seq, answer: None });
    }

    pub fn feed_answers(&mut self, isolate: usize, question: usize) {
        let known = self.isolates[isolate].questions[question].known;
        let answer = self.feed.ends(known, self.now);
        self.isolates[isolate].questions[question].answer = Some(answer);
    }

    pub fn take_answer(&mut self, isolate: usize, question: usize, protocol: &Protocol) {
        let isolate = &mut self.isolates[isolate];
        let Some((since, ends)) = isolate.questions.remove(question).answer else { return };
        let before = isolate.seq;
        isolate.take(since, &ends, self.now, protocol);
        self.ghost.went_back |= isolate.seq < before;
    }

    /// Whether an isolate can answer the follower without asking.
    pub fn may_poll(&self, isolate: usize, protocol: &Protocol) -> bool {
        let since = self.follower.since(self.now);
        !self.isolates[isolate].lacks(since, self.now, protocol)
    }

    /// The follower asks an isolate whose copy is fresh.
    pub fn poll(&mut self, isolate: usize) {
        let text = self.isolates[isolate].text(self.follower.since(self.now), self.now);
        let before = self.follower.held.map(|(seq, _)| seq);
        self.follower.take(&text, self.now);
        self.ghost.went_back |= self.follower.held.map(|(seq, _)| seq) < before;
    }
}
