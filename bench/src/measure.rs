//! Rounds, and what comes of them.

use std::time::Duration;

use serde::Serialize;

use crate::load::Outcome;

/// A number as the rounds gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
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
    /// The part of its core that the contender used: less than about 1, and something else was the limit.
    pub busy: Option<f64>,
    pub loaded_p99: f64,
    /// With one request at a time, milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// Reads of KV per request.
    pub reads: f64,
}

impl Round {
    /// `reads`: of KV, by all of these requests.
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

/// Of ascending latencies, milliseconds.
fn quantile(latencies: &[Duration], part: f64) -> f64 {
    // Rounds down to an index that is there.
    let at = (latencies.len() as f64 * part) as usize;
    latencies.get(at.min(latencies.len().saturating_sub(1))).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
}

/// All rounds of one scenario for one contender.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub scenario: &'static str,
    pub title: &'static str,
    pub contender: &'static str,
    pub rounds: usize,
    pub requests_per_second: Spread,
    pub cpu_us_per_request: Option<Spread>,
    /// In the order of the rounds: what rises here grows with what is stored.
    pub cpu_us_by_round: Vec<f64>,
    pub core_busy: Option<Spread>,
    pub p50_ms: Spread,
    pub p99_ms: Spread,
    pub loaded_p99_ms: Spread,
    /// As measured, for the worker spares some; all else of this is what is written down, and was checked.
    pub kv_reads: Spread,
    pub kv_writes: u64,
    pub object_calls: u64,
}

impl Row {
    /// Whether the rate was not the contender's own, for it did not have or not need all of its core.
    pub fn is_disturbed(&self) -> bool {
        self.core_busy.is_some_and(|busy| busy.median < 0.9)
    }
}

/// How a contender starts, and how big it is.
#[derive(Clone, Debug, Serialize)]
pub struct Start {
    pub contender: &'static str,
    /// From the start of the process to the first 201.
    pub start_to_first_201_ms: Spread,
    /// From when the process listens, which is when it begins to load the module, to the first 201.
    pub load_to_first_201_ms: Spread,
    /// The first request of an isolate that has loaded the module.
    pub first_request_ms: Spread,
    pub script_bytes: u64,
    pub script_gzip_bytes: u64,
    pub wasm_bytes: u64,
    pub wasm_gzip_bytes: u64,
    /// Of a fresh process, after as many exchanges as one round sends.
    pub peak_memory_mib: Option<f64>,
}

/// The exchange of a cold token with so much stored that is never read.
#[derive(Clone, Debug, Serialize)]
pub struct Growth {
    pub revocations: u64,
    pub clients: u64,
    pub cpu_us_per_request: Option<Spread>,
    pub requests_per_second: Spread,
}

/// All that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    pub unix_time: u64,
    pub machine: String,
    pub workerd: String,
    pub pinned: bool,
    pub quick: bool,
    pub connections: usize,
    pub rounds: usize,
    pub runtime: Vec<Row>,
    pub start: Vec<Start>,
    pub growth: Vec<Growth>,
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
}
