//! Calls one API with one token repeatedly, and records the responses.

use std::fmt;
use std::ops::Add;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Client;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// One call. Times are from the start of the run.
#[derive(Clone, Copy)]
pub struct Call {
    pub sent: Duration,
    pub answered: Duration,
    /// `None` if there was no response.
    pub status: Option<u16>,
}

pub struct Watch {
    calls: Arc<Mutex<Vec<Call>>>,
    task: JoinHandle<()>,
}

/// How many calls were answered 200, how many 401, and how many failed otherwise.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    accepted: usize,
    refused: usize,
    failed: usize,
}

impl Watch {
    pub fn start(http: &Client, url: &str, token: &str, pause: Duration, start: Instant) -> Self {
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let (http, url, token, kept) = (http.clone(), url.to_owned(), token.to_owned(), Arc::clone(&calls));
        let task = tokio::spawn(async move {
            loop {
                let sent = start.elapsed();
                let answer = http.get(&url).bearer_auth(&token).send().await;
                let status = answer.ok().map(|answer| answer.status().as_u16());
                lock(&kept).push(Call { sent, answered: start.elapsed(), status });
                sleep(pause).await;
            }
        });
        Self { calls, task }
    }

    /// Waits for the first 401 at or after `from`, and returns its time.
    pub async fn refusal(&self, from: Duration) -> Duration {
        loop {
            let refusal = |call: &&Call| call.status == Some(401) && call.answered >= from;
            if let Some(call) = lock(&self.calls).iter().find(refusal) {
                return call.answered;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// The responses since `from`.
    pub fn since(&self, from: Duration) -> Counts {
        let mut counts = Counts::default();
        for call in lock(&self.calls).iter().filter(|call| call.answered >= from) {
            match call.status {
                Some(200) => counts.accepted += 1,
                Some(401) => counts.refused += 1,
                _ => counts.failed += 1,
            }
        }
        counts
    }

    /// Stops, and returns the completed calls.
    pub fn stop(self) -> Vec<Call> {
        self.task.abort();
        std::mem::take(&mut lock(&self.calls))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Call {
    pub fn answer(&self) -> String {
        self.status.map_or("no answer".to_owned(), |status| status.to_string())
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            refused: self.refused + other.refused,
            failed: self.failed + other.failed,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} accepted, {} refused", self.accepted, self.refused)?;
        if self.failed > 0 { write!(formatter, ", {} failed", self.failed) } else { Ok(()) }
    }
}

fn lock(calls: &Mutex<Vec<Call>>) -> MutexGuard<'_, Vec<Call>> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}
