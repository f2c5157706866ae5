//! Workers KV, as Cloudflare documents it: the last write to land wins; each location sees it after its own lag, caches
//! what it read (also an absent key) for 30 seconds or longer; and a key takes one write per second.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::chance::Chance;

pub const LOCATIONS: usize = 3;
/// The least time between two writes to a key, milliseconds.
const PACE: u64 = 1_000;

#[derive(Default)]
pub struct Kv {
    keys: RefCell<BTreeMap<String, Key>>,
}

#[derive(Default)]
struct Key {
    /// In the order in which they landed.
    versions: Vec<Version>,
    /// Each location's cache: the version, if there was one, and until when.
    cached: [Option<(Option<usize>, u64)>; LOCATIONS],
    last_begun: u64,
}

/// A write on its way.
pub struct Write {
    pub key: String,
    pub value: String,
    pub status: String,
    /// True time, Unix milliseconds.
    pub begun: u64,
}

/// A value that has landed. Times are true ones, Unix milliseconds.
#[derive(Clone, Debug)]
pub struct Version {
    pub value: String,
    pub status: String,
    /// When its write began: it shows the state of that time.
    pub begun: u64,
    /// When each location can see it.
    visible: [u64; LOCATIONS],
}

/// How long a location takes to see a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// Mostly a second, up to 90.
    Usual,
    /// Up to hours.
    Wild,
    None,
}

impl Kv {
    /// Whether KV accepts a write to this key now.
    pub fn admits(&self, key: &str, now: u64) -> bool {
        let mut keys = self.keys.borrow_mut();
        let key = keys.entry(key.to_owned()).or_default();
        let admitted = key.last_begun + PACE <= now;
        if admitted {
            key.last_begun = now;
        }
        admitted
    }

    pub fn land(&self, write: &Write, now: u64, lag: Lag, chance: &Chance) {
        let delay = || match (lag, chance.below(20)) {
            (Lag::None, _) => 0,
            (_, 0..=9) => chance.below(1_000),
            (_, 10..=17) => chance.below(60_000),
            (Lag::Wild, 19) => chance.below(3 * 3_600_000),
            _ => chance.below(90_000),
        };
        let visible = std::array::from_fn(|_| now + delay());
        let Write { key, value, status, begun } = write;
        let version = Version { value: value.clone(), status: status.clone(), begun: *begun, visible };
        self.keys.borrow_mut().entry(key.clone()).or_default().versions.push(version);
    }

    /// What a location reads.
    pub fn read(&self, key: &str, location: usize, now: u64, lag: Lag, chance: &Chance) -> Option<Version> {
        let mut keys = self.keys.borrow_mut();
        let key = keys.entry(key.to_owned()).or_default();
        let seen = match key.cached[location] {
            Some((seen, until)) if now < until && lag != Lag::None => seen,
            _ => {
                let seen =
                    key.versions.iter().rposition(|version| lag == Lag::None || version.visible[location] <= now);
                let kept = if lag == Lag::Wild && chance.percent(10) { 600_000 } else { 30_000 };
                key.cached[location] = Some((seen, now + kept));
                seen
            }
        };
        seen.and_then(|nth| key.versions.get(nth).cloned())
    }

    /// Of the values that landed, the one whose write began last. KV shows it once no write lands late any more.
    pub fn newest(&self, key: &str) -> Option<Version> {
        self.keys.borrow().get(key)?.versions.iter().max_by_key(|version| version.begun).cloned()
    }

    /// The value that landed last.
    pub fn current(&self, key: &str) -> Option<Version> {
        self.keys.borrow().get(key)?.versions.last().cloned()
    }

    /// The keys that have a value.
    pub fn keys(&self) -> Vec<String> {
        let keys = self.keys.borrow();
        keys.iter().filter(|(_, of)| !of.versions.is_empty()).map(|(key, _)| key.clone()).collect()
    }
}
