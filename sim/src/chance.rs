//! Pseudo-random numbers, determined by a seed alone.

use std::cell::Cell;

/// A stream of numbers (SplitMix64). Implemented here, so that a seed gives the same run with every version of every
/// library.
#[derive(Debug)]
pub struct Chance(Cell<u64>);

impl Chance {
    /// The stream for one part of a run. Each part has its own, so that leaving one part out does not change the
    /// others.
    pub fn of(seed: u64, part: &str) -> Self {
        let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
        for byte in part.bytes() {
            state = mix(state ^ u64::from(byte)).wrapping_add(seed);
        }
        Self(Cell::new(state))
    }

    pub fn next(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        mix(self.0.get())
    }

    /// A number below `n`; 0 if `n` is 0.
    pub fn below(&self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.next() % n }
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    pub fn percent(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len() as u64) as usize)
    }

    /// One of these, with probability proportional to its weight.
    pub fn weighted<T: Copy>(&self, of: &[(u64, T)]) -> Option<T> {
        let mut left = self.below(of.iter().map(|(weight, _)| weight).sum());
        of.iter().find_map(|(weight, value)| {
            if left < *weight {
                return Some(*value);
            }
            left -= weight;
            None
        })
    }
}

const fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
