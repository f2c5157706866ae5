//! The load: several connections, each with one request at a time. Every response's status is checked.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::TryStreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::http::Framing;

/// Timeout for one response.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What to send.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    pub requests: &'a [Vec<u8>],
    /// If set, repeat the requests for this long; otherwise send each once.
    pub during: Option<Duration>,
    pub connections: usize,
    pub status: u16,
}

/// The result.
#[derive(Default)]
pub struct Outcome {
    pub requests: u64,
    pub elapsed: Duration,
    /// Of all requests, ascending.
    pub latencies: Vec<Duration>,
}

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// One connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(8192) })
    }

    async fn exchange<T>(
        &mut self,
        request: &[u8],
        keep: impl Fn(u16, &Framing, &[u8]) -> Result<Option<(T, usize)>>,
    ) -> Result<T> {
        self.stream.write_all(request).await?;
        loop {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the contender closed the connection");
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut response = httparse::Response::new(&mut headers);
            let httparse::Status::Complete(body_at) = response.parse(&self.buffer)? else { continue };
            let status = response.code.unwrap_or_default();
            let framing = Framing::of(response.headers, body_at)?;
            if let Some((kept, end)) = keep(status, &framing, &self.buffer)? {
                self.buffer.drain(..end);
                return Ok(kept);
            }
        }
    }

    pub async fn status(&mut self, request: &[u8]) -> Result<u16> {
        self.exchange(request, |status, framing, message| Ok(framing.end(message)?.map(|end| (status, end)))).await
    }

    pub async fn answer(&mut self, request: &[u8]) -> Result<Answer> {
        let keep = |status, framing: &Framing, message: &[u8]| {
            Ok(framing.body(message)?.map(|(body, end)| (Answer { status, body }, end)))
        };
        timeout(TIMEOUT, self.exchange(request, keep)).await.context("no answer")?
    }
}

/// One request on a connection of its own.
pub async fn once(address: SocketAddr, request: &[u8]) -> Result<Answer> {
    Connection::open(address).await?.answer(request).await
}

pub async fn run(address: SocketAddr, plan: Plan<'_>) -> Result<Outcome> {
    let mut connections = Vec::new();
    for _ in 0..plan.connections {
        connections.push(Connection::open(address).await?);
    }
    let next = Cell::new(0);
    let start = Instant::now();
    let one = async |mut connection: Connection| -> Result<Vec<Duration>> {
        let mut latencies = Vec::with_capacity(4096);
        loop {
            let mut nth = next.get();
            match plan.during {
                Some(during) if start.elapsed() < during => nth %= plan.requests.len(),
                None if nth < plan.requests.len() => {}
                _ => return Ok(latencies),
            }
            next.set(nth + 1);
            let sent = Instant::now();
            let status = connection.status(&plan.requests[nth]).await?;
            latencies.push(sent.elapsed());
            if status != plan.status {
                bail!("answered {status}, expected {}", plan.status);
            }
        }
    };
    let all: FuturesUnordered<_> = connections.into_iter().map(one).collect();
    let all = all.try_collect::<Vec<_>>();
    let longest = plan.during.unwrap_or_default() + TIMEOUT * 3;
    let per_connection = timeout(longest, all).await.context("the load did not end in time")??;
    let elapsed = start.elapsed();
    let mut latencies = per_connection.concat();
    latencies.sort_unstable();
    Ok(Outcome { requests: u64::try_from(latencies.len())?, elapsed, latencies })
}
