//! Rounds, and the statistics over them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::load::Outcome;
use crate::scenario::{COLD_EXCHANGE, Contender};

/// A number over all rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Self { median, min, max })
    }
}

/// One round of one scenario for one contender.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub per_second: f64,
    /// CPU microseconds per request.
    pub cpu: Option<f64>,
    /// The fraction of its core that the contender used. If it is well below 1, something else limited the rate.
    pub busy: Option<f64>,
    pub loaded_p99: f64,
    /// With one request at a time, milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// Reads of KV per request.
    pub reads: f64,
}

impl Round {
    /// `reads`: KV reads of all these requests.
    pub fn of(loaded: &Outcome, cpu: Option<Duration>, alone: &Outcome, reads: u64) -> Self {
        let requests = loaded.requests.max(1) as f64;
        let elapsed = loaded.elapsed.as_secs_f64();
        Self {
            per_second: requests / elapsed,
            cpu: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / requests),
            busy: cpu.map(|cpu| cpu.as_secs_f64() / elapsed),
            loaded_p99: quantile(&loaded.latencies, 0.99),
            p50: quantile(&alone.latencies, 0.50),
            p99: quantile(&alone.latencies, 0.99),
            reads: reads as f64 / (loaded.requests + alone.requests).max(1) as f64,
        }
    }
}

/// A quantile of ascending latencies, milliseconds.
fn quantile(latencies: &[Duration], part: f64) -> f64 {
    // Rounded down to a valid index.
    let at = (latencies.len() as f64 * part) as usize;
    latencies.get(at.min(latencies.len().saturating_sub(1))).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
}

/// All rounds of one scenario for one contender.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub scenario: &'static str,
    pub title: &'static str,
    pub contender: &'static str,
    pub rounds: usize,
    pub requests_per_second: Spread,
    pub requests_per_second_by_round: Vec<f64>,
    pub cpu_us_per_request: Option<Spread>,
    /// In the order of the rounds. Rising values would mean that the cost grows with what is stored.
    pub cpu_us_by_round: Vec<f64>,
    pub core_busy: Option<Spread>,
    pub p50_ms: Spread,
    pub p99_ms: Spread,
    pub loaded_p99_ms: Spread,
    /// Measured, since the Worker's cache saves some reads. The other counts are the expected ones, which were checked.
    pub kv_reads: Spread,
    pub kv_writes: u64,
    pub object_calls: u64,
}

impl Row {
    /// Whether the rate was limited by something else: the contender did not use all of its core.
    pub fn is_disturbed(&self) -> bool {
        self.core_busy.is_some_and(|busy| busy.median < 0.9)
    }
}

/// A contender's start times and sizes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    pub contender: &'static str,
    /// From the start of the process to the first 201.
    pub start_to_first_201_ms: Spread,
    /// From when the process listens, and begins to load the module, to the first 201.
    pub load_to_first_201_ms: Spread,
    /// The first request of an isolate that has loaded the module.
    pub first_request_ms: Spread,
    pub script_bytes: u64,
    pub script_gzip_bytes: u64,
    pub wasm_bytes: u64,
    pub wasm_gzip_bytes: u64,
    /// Of a new process, after as many exchanges as in one round.
    pub peak_memory_mib: Option<f64>,
}

/// The cost of an exchange with this many early ends and idle clients.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Growth {
    pub scenario: &'static str,
    pub ends: usize,
    pub further_clients: usize,
    pub cpu_us_per_request: Option<Spread>,
    pub requests_per_second: Spread,
}

/// Concurrent revocations of one client's tokens.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct AtOnce {
    pub revocations: usize,
    pub milliseconds: f64,
    pub kv_writes: u64,
}

impl fmt::Display for AtOnce {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { revocations, milliseconds, kv_writes } = self;
        write!(
            formatter,
            "{revocations} tokens of one client, revoked concurrently: answered in {milliseconds:.0} ms, by {kv_writes} writes to KV."
        )
    }
}

/// The goal for a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Aim {
    pub what: &'static str,
    pub found: f64,
    pub bound: Bound,
}

impl Aim {
    pub fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtMost(most) => self.found <= most,
            Bound::AtLeast(least) => self.found >= least,
        }
    }
}

/// All that was found.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'static"))]
pub struct Report {
    pub unix_time: u64,
    pub machine: String,
    pub workerd: String,
    pub pinned: bool,
    pub quick: bool,
    pub connections: usize,
    pub rounds: usize,
    pub at_once: AtOnce,
    pub runtime: Vec<Row>,
    pub start: Vec<Start>,
    pub growth: Vec<Growth>,
    pub aims: Vec<Aim>,
}

impl Report {
    /// Compares the results with the goals, as far as they were measured.
    pub fn judge(&mut self) {
        let row = |who: Contender| {
            let mut rows = self.runtime.iter();
            rows.find(|row| row.scenario == COLD_EXCHANGE.name && row.contender == who.name())
        };
        let start = |who: Contender| self.start.iter().find(|start| start.contender == who.name());
        let ours = (row(Contender::Ours), start(Contender::Ours));
        let by_round = |other: Contender, values: fn(&Row) -> &Vec<f64>| ratio(values(ours.0?), values(row(other)?));
        let first = |start: &Start| start.first_request_ms.median;
        let aims = [
            (
                "a cold exchange's CPU, as a multiple of the floor's",
                by_round(Contender::Floor, |row| &row.cpu_us_by_round),
                Bound::AtMost(1.6),
            ),
            (
                "cold exchanges per second, as a multiple of the peer's",
                by_round(Contender::Peer, |row| &row.requests_per_second_by_round),
                Bound::AtLeast(1.4),
            ),
            (
                "the same by CPU time, which other programs affect less",
                row(Contender::Peer)
                    .zip(ours.0)
                    .and_then(|(peer, ours)| ratio(&peer.cpu_us_by_round, &ours.cpu_us_by_round)),
                Bound::AtLeast(1.4),
            ),
            (
                "the first request of a fresh isolate, as a multiple of the peer's",
                ours.1.zip(start(Contender::Peer)).map(|(ours, peer)| first(ours) / first(peer)),
                Bound::AtMost(1.0),
            ),
            ("WASM, KB gzipped", ours.1.map(|start| start.wasm_gzip_bytes as f64 / 1000.0), Bound::AtMost(225.0)),
        ];
        let aims = aims.into_iter().filter_map(|(what, found, bound)| Some(Aim { what, found: found?, bound }));
        self.aims = aims.collect();
    }
}

/// The median of the rounds' ratios: a slow minute of the machine affects both sides of a round.
fn ratio(ours: &[f64], other: &[f64]) -> Option<f64> {
    Spread::of(ours.iter().zip(other).map(|(ours, other)| ours / other)).map(|ratio| ratio.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).map(|spread| spread.median), Some(2.5));
    }

    #[test]
    fn a_ratio_compares_round_with_round() {
        assert_eq!(ratio(&[3.0, 30.0, 4.0], &[2.0, 20.0, 2.0]), Some(1.5));
        assert_eq!(ratio(&[], &[]), None);
    }

    #[test]
    fn an_aim_is_met_or_not() {
        let aim = |found, bound| Aim { what: "", found, bound }.is_met();
        assert!(aim(1.6, Bound::AtMost(1.6)) && !aim(1.61, Bound::AtMost(1.6)));
        assert!(aim(1.4, Bound::AtLeast(1.4)) && !aim(1.39, Bound::AtLeast(1.4)));
    }
}
