//! An isolate's copy of the feed, and the texts that it has signed. However many verifiers poll, the feed's object is
//! asked for new entries only if the copy is older than `MAX_AGE` or behind a caller's `since`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::{Ends, Entry, Kind};

/// How long an isolate uses its copy without asking the feed's object, milliseconds.
const MAX_AGE: u64 = 1_500;
/// How many signed texts are cached, one per `since`. When there are this many, all are dropped.
const MOST_TEXTS: usize = 64;

#[derive(Debug, Default)]
pub struct FeedCache {
    copy: RefCell<Copy>,
    texts: RefCell<Vec<Text>>,
}

#[derive(Debug, Default)]
struct Copy {
    /// `None` until the feed has been asked.
    seq: Option<u64>,
    dropped: u64,
    /// By key.
    entries: HashMap<String, Entry>,
    /// When the feed's object was last asked, Unix milliseconds.
    asked: u64,
    /// When expired entries were last dropped, Unix seconds.
    tidied: u64,
}

/// A signed text.
#[derive(Clone, Debug)]
pub struct Text {
    pub part: Part,
    pub token: Rc<str>,
    pub etag: String,
    /// Unix seconds.
    pub issued_at: u64,
}

/// Which entries a text holds: those after `since` up to `seq`; all of them without `since`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub seq: u64,
    pub since: Option<u64>,
}

impl FeedCache {
    /// What must be requested from the feed's object before a caller who has all entries up to `since` can be served:
    /// `Some(Some(seq))` for the entries after `seq`, `Some(None)` for all of them, `None` if the copy is fresh.
    pub fn lacks(&self, since: Option<u64>, millis: u64) -> Option<Option<u64>> {
        let copy = self.copy.borrow();
        // If the clock was set back, the age is unknown, so the copy is not used.
        let is_fresh = (copy.asked..copy.asked + MAX_AGE).contains(&millis) && since <= copy.seq;
        (!is_fresh).then_some(copy.seq)
    }

    /// Stores the feed's answer to a request that was sent at `millis`.
    pub fn take(&self, ends: Ends, millis: u64) {
        let mut copy = self.copy.borrow_mut();
        if copy.seq > Some(ends.seq) {
            // A newer answer arrived first.
            return;
        }
        if ends.since.is_none() {
            copy.entries.clear();
        }
        copy.entries.extend(ends.entries.into_iter().map(|entry| (entry.key.clone(), entry)));
        copy.seq = Some(ends.seq);
        copy.dropped = copy.dropped.max(ends.dropped);
        copy.asked = millis;
    }

    /// The part for a caller who has all entries up to `since`.
    pub fn part(&self, since: Option<u64>, now: u64) -> Part {
        let mut copy = self.copy.borrow_mut();
        let Copy { entries, dropped, tidied, .. } = &mut *copy;
        if *tidied != now {
            *tidied = now;
            entries.retain(|_, entry| {
                let stays = now < entry.until;
                if !stays {
                    *dropped = entry.seq.max(*dropped);
                }
                stays
            });
        }
        let seq = copy.seq.unwrap_or(0);
        Part { seq, since: since.filter(|since| (copy.dropped..=seq).contains(since)) }
    }

    /// The JSON of the member `ended`. All three kinds are present, even if empty.
    pub fn ended(&self, part: Part) -> String {
        let copy = self.copy.borrow();
        let mut ended = String::from("{");
        for kind in Kind::ALL {
            let name = kind.name();
            ended += if ended.len() > 1 { "},\"" } else { "\"" };
            ended = ended + name + "\":{";
            let mut comma = "";
            for Entry { key, at, seq, .. } in copy.entries.values() {
                let hash = key.strip_prefix(name).filter(|_| part.since.is_none_or(|since| *seq > since));
                if let Some(hash) = hash {
                    ended = ended + comma + "\"" + &hash[1..] + "\":" + &at.to_string();
                    comma = ",";
                }
            }
        }
        ended + "}}"
    }

    /// The cached text of this part, if it was signed after `earliest` (Unix seconds).
    pub fn text(&self, part: Part, earliest: u64) -> Option<Text> {
        self.texts.borrow().iter().find(|text| text.part == part && text.issued_at > earliest).cloned()
    }

    pub fn keep(&self, text: Text) {
        let mut texts = self.texts.borrow_mut();
        texts.retain(|other| other.part.since != text.part.since);
        if texts.len() >= MOST_TEXTS {
            texts.clear();
        }
        texts.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(hash: &str, seq: u64, until: u64) -> Entry {
        Entry { key: format!("parent:{hash}"), at: 1, seq, number: 1, until }
    }

    fn ends(seq: u64, since: Option<u64>, entries: Vec<Entry>) -> Ends {
        Ends { seq, dropped: 0, since, entries }
    }

    #[test]
    fn it_asks_only_for_what_is_new() {
        let cache = FeedCache::default();
        assert_eq!(cache.lacks(None, 10_000), Some(None));
        cache.take(ends(3, None, vec![entry("a", 3, 100)]), 10_000);
        for since in [None, Some(0), Some(3)] {
            assert_eq!(cache.lacks(since, 11_499), None);
            assert_eq!(cache.lacks(since, 11_500), Some(Some(3)));
        }
        assert_eq!(
            cache.lacks(Some(4), 10_000),
            Some(Some(3)),
            "the caller has seen a newer entry at another location"
        );
    }

    #[test]
    fn an_older_answer_that_arrives_late_is_ignored() {
        let cache = FeedCache::default();
        cache.take(ends(3, None, vec![entry("a", 3, 100)]), 10_000);
        cache.take(ends(5, Some(3), vec![entry("b", 4, 100), entry("a", 5, 100)]), 12_000);
        cache.take(ends(3, Some(3), Vec::new()), 13_000);
        let part = cache.part(None, 10);
        assert!(cache.ended(part).contains(r#""a":1"#) && cache.ended(part).contains(r#""b":1"#));
        assert_eq!(part, Part { seq: 5, since: None });
        assert_eq!(cache.lacks(None, 13_500), Some(Some(5)), "the late answer does not make the copy fresh");
    }

    #[test]
    fn a_caller_who_may_have_missed_a_dropped_entry_gets_the_whole_feed() {
        let cache = FeedCache::default();
        cache.take(ends(5, None, vec![entry("a", 2, 100), entry("b", 4, 50)]), 10_000);
        assert_eq!(cache.part(Some(3), 49), Part { seq: 5, since: Some(3) });
        assert_eq!(cache.part(Some(3), 50), Part { seq: 5, since: None });
        assert_eq!(cache.part(Some(4), 50), Part { seq: 5, since: Some(4) });
        assert_eq!(cache.part(Some(6), 50), Part { seq: 5, since: None });
        assert_eq!(cache.ended(cache.part(None, 50)), r#"{"token":{},"parent":{"a":1},"client":{}}"#);
    }

    #[test]
    fn the_number_of_cached_texts_is_bounded() {
        let cache = FeedCache::default();
        for since in 0..1_000 {
            let part = Part { seq: 1_000, since: Some(since) };
            cache.keep(Text { part, token: "t".into(), etag: String::new(), issued_at: 10 });
            assert!(cache.text(part, 9).is_some() && cache.text(part, 10).is_none());
            assert!(cache.texts.borrow().len() <= MOST_TEXTS);
        }
    }
}
