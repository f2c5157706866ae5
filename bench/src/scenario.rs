//! What is measured: each scenario with the requests that make it, the status that every answer must have, and what it
//! may ask of storage.

use std::iter::repeat_n;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::credentials::{self, Algorithm, Batch, Credentials};
use crate::kv::{self, Counts};
use crate::load::{self, Connection, Plan};

/// After so long the worker has nothing left of what it read: it keeps that for 250 ms.
pub const FORGOTTEN: Duration = Duration::from_millis(300);
/// The part of its reads that an exchange of a token of its own must make at the least.
const COLD: f64 = 0.99;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Contender {
    Floor,
    Ours,
    Peer,
}

impl Contender {
    pub const ALL: [Self; 3] = [Self::Floor, Self::Ours, Self::Peer];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Ours => "auth-edge",
            Self::Peer => "Hono + jose",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The same token over and over.
    Exchange,
    /// A client and a token that the worker has not read for a while, each time.
    ColdExchange,
    Revoke,
    Secret,
    Code,
    Assertion(Algorithm),
    Rotation,
    Forged,
    Garbage,
}

/// Which requests are checked, and so how closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// One, when the worker has kept nothing: every read is made. Stand-ins report every call.
    First,
    /// More of them: reads may be spared. Stand-ins report every call.
    Counted,
    /// Those that are timed: reads may be spared, and what is not KV can't be counted.
    Timed,
}

pub struct Scenario {
    pub name: &'static str,
    pub title: &'static str,
    pub kind: Kind,
    pub status: u16,
    pub contenders: &'static [Contender],
    /// What one request costs the worker: reads of clients, reads of revocations, writes, calls to the Durable Object,
    /// calls to a rate limit. Another number fails the bench, except that there may be fewer reads, for the worker keeps
    /// for a moment what it read.
    pub ours: [u64; 5],
}

use Contender::{Floor, Ours, Peer};

pub const SCENARIOS: [Scenario; 11] = [
    Scenario {
        name: "exchange",
        title: "Exchange a busy token",
        kind: Kind::Exchange,
        status: 201,
        contenders: &[Floor, Ours, Peer],
        ours: [1, 1, 0, 0, 1],
    },
    COLD_EXCHANGE,
    Scenario {
        name: "revoke",
        title: "Revoke a token",
        kind: Kind::Revoke,
        status: 204,
        contenders: &[Ours, Peer],
        ours: [1, 1, 1, 1, 0],
    },
    Scenario {
        name: "secret",
        title: "Issue, by secret",
        kind: Kind::Secret,
        status: 201,
        contenders: &[Ours, Peer],
        ours: [1, 0, 0, 0, 1],
    },
    Scenario {
        name: "code",
        title: "Issue, by one-time code",
        kind: Kind::Code,
        status: 201,
        contenders: &[Ours],
        ours: [1, 0, 0, 1, 1],
    },
    Scenario {
        name: "eddsa",
        title: "Issue, by EdDSA assertion",
        kind: Kind::Assertion(Algorithm::EdDsa),
        status: 201,
        contenders: &[Ours],
        ours: [1, 0, 0, 1, 1],
    },
    Scenario {
        name: "es256",
        title: "Issue, by ES256 assertion",
        kind: Kind::Assertion(Algorithm::Es256),
        status: 201,
        contenders: &[Ours],
        ours: [1, 0, 0, 1, 1],
    },
    Scenario {
        name: "rs256",
        title: "Issue, by RS256 assertion",
        kind: Kind::Assertion(Algorithm::Rs256),
        status: 201,
        contenders: &[Ours],
        ours: [1, 0, 0, 1, 1],
    },
    Scenario {
        name: "rotation",
        title: "Issue, by rotation",
        kind: Kind::Rotation,
        status: 201,
        contenders: &[Ours],
        ours: [1, 2, 1, 2, 1],
    },
    Scenario {
        name: "forged",
        title: "Refuse a forged signature",
        kind: Kind::Forged,
        status: 401,
        contenders: &[Ours, Peer],
        ours: [0; 5],
    },
    Scenario {
        name: "garbage",
        title: "Refuse random bytes",
        kind: Kind::Garbage,
        status: 401,
        contenders: &[Ours, Peer],
        ours: [0; 5],
    },
];

pub const COLD_EXCHANGE: Scenario = Scenario {
    name: "exchange-cold",
    title: "Exchange a cold token",
    kind: Kind::ColdExchange,
    status: 201,
    contenders: &[Floor, Ours, Peer],
    ours: [1, 1, 0, 0, 1],
};

impl Scenario {
    /// Whether the same request can be sent again.
    pub const fn repeats(&self) -> bool {
        matches!(self.kind, Kind::Exchange | Kind::ColdExchange | Kind::Secret | Kind::Forged | Kind::Garbage)
    }

    /// Whether every request must find the worker with nothing kept of what it needs.
    pub const fn is_cold(&self) -> bool {
        matches!(self.kind, Kind::ColdExchange)
    }

    /// What one request asks of storage, in the order of `ours`.
    pub const fn costs(&self, contender: Contender) -> [u64; 5] {
        match (contender, self.kind) {
            (Ours, _) => self.ours,
            (Floor, _) | (Peer, Kind::Secret) => [1, 0, 0, 0, 0],
            (Peer, Kind::Exchange | Kind::ColdExchange) => [1, 1, 0, 0, 0],
            (Peer, Kind::Revoke) => [1, 1, 1, 0, 0],
            (Peer, _) => [0; 5],
        }
    }

    /// Checks what a number of requests asked of storage.
    pub fn check(&self, contender: Contender, requests: u64, counts: Counts, checked: Checked) -> Result<()> {
        let [clients, revocations, writes, once, limit] = self.costs(contender);
        let calls = |count: u64| if checked == Checked::Timed { 0 } else { count * requests };
        let right = Counts {
            client_reads: clients * requests,
            revocation_reads: revocations * requests,
            client_writes: 0,
            revocation_writes: writes * requests,
            once: calls(once),
            limit: calls(limit),
        };
        // Only the worker keeps anything.
        let least = match (contender, checked) {
            (Floor | Peer, _) | (Ours, Checked::First) => 1.0,
            (Ours, _) if self.is_cold() => COLD,
            (Ours, _) => 0.0,
        };
        let enough = |reads: u64, most: u64| reads <= most && reads as f64 >= most as f64 * least;
        let reads =
            enough(counts.client_reads, right.client_reads) && enough(counts.revocation_reads, right.revocation_reads);
        let but_reads = Counts { client_reads: right.client_reads, revocation_reads: right.revocation_reads, ..counts };
        ensure!(
            reads && but_reads == right,
            "{requests} requests did {counts:?} where {right:?} is right, at least {least} of the reads"
        );
        Ok(())
    }

    /// Makes as many requests as it takes: one or two that can be repeated, or `count` that cannot, or not so soon.
    pub async fn prepare(
        &self,
        credentials: &mut Credentials,
        (who, contender): (Contender, SocketAddr),
        kv: SocketAddr,
        count: usize,
    ) -> Result<Vec<Vec<u8>>> {
        let batch = match self.kind {
            Kind::Exchange => Batch::of(vec![one_exchange(credentials, who, contender).await?]),
            Kind::ColdExchange if who == Floor => {
                let one = |_| Ok(credentials::exchange(&credentials::garbage()?));
                Batch::of((0..count).map(one).collect::<Result<_>>()?)
            }
            Kind::ColdExchange => {
                let requests = (0..count).map(|nth| credentials.by_secret(&credentials::single(nth)));
                let issued = issue(contender, requests).await?;
                Batch::of(issued.iter().map(|issued| credentials::exchange(&issued.token)).collect())
            }
            Kind::Secret => Batch::of(vec![busy(credentials)]),
            Kind::Forged => {
                let request = one_exchange(credentials, who, contender).await?;
                Batch::of(vec![credentials::forged(request)?])
            }
            Kind::Garbage => {
                let one = |_| Ok(credentials::exchange(&credentials::garbage()?));
                Batch::of((0..64).map(one).collect::<Result<_>>()?)
            }
            Kind::Revoke => {
                let issued = issue(contender, repeat_n(busy(credentials), count)).await?;
                Batch::of(issued.iter().map(|issued| credentials::revoke(&issued.token, &issued.id)).collect())
            }
            Kind::Rotation => {
                let mut connection = Connection::open(contender).await?;
                let mut batch = Batch::default();
                for long in issue(contender, repeat_n(busy(credentials), count)).await? {
                    let short = Issued::by(&mut connection, &credentials::exchange(&long.token)).await?;
                    batch.requests.push(credentials::rotate(&short.token));
                }
                batch
            }
            Kind::Code => credentials.by_code(count)?,
            Kind::Assertion(algorithm) => credentials.by_assertion(algorithm, count)?,
        };
        if !batch.clients.is_empty() {
            fill(kv, &kv::Fill { pairs: batch.clients, ..kv::Fill::default() }).await?;
        }
        load::run(contender, each(&batch.before, 4, 201)).await.context("what goes ahead")?;
        Ok(batch.requests)
    }
}

impl Batch {
    fn of(requests: Vec<Vec<u8>>) -> Self {
        Self { requests, ..Self::default() }
    }
}

struct Issued {
    token: String,
    id: String,
}

impl Issued {
    async fn by(connection: &mut Connection, request: &[u8]) -> Result<Self> {
        let answer = connection.answer(request).await?;
        let body = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status == 201, "no token was issued: {} {body}", answer.status);
        let body: Value = serde_json::from_str(&body)?;
        let member = |name: &str| body[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
        Ok(Self { token: member("access_token")?, id: member("token_id")? })
    }
}

/// Long-term tokens, from the contender itself.
async fn issue(contender: SocketAddr, requests: impl Iterator<Item = Vec<u8>>) -> Result<Vec<Issued>> {
    let mut connection = Connection::open(contender).await?;
    let mut issued = Vec::new();
    for request in requests {
        issued.push(Issued::by(&mut connection, &request).await?);
    }
    Ok(issued)
}

/// A token by secret, for the client that calls all the time.
fn busy(credentials: &Credentials) -> Vec<u8> {
    credentials.by_secret(&credentials::caller(0))
}

/// An exchange of the contender's own token. The floor has none, and takes anything of that length.
pub async fn one_exchange(credentials: &Credentials, who: Contender, contender: SocketAddr) -> Result<Vec<u8>> {
    let token = match who {
        Floor => credentials::garbage()?,
        Ours | Peer => Issued::by(&mut Connection::open(contender).await?, &busy(credentials)).await?.token,
    };
    Ok(credentials::exchange(&token))
}

pub async fn fill(kv: SocketAddr, fill: &kv::Fill) -> Result<()> {
    let answer = load::once(kv, &credentials::post(kv::FILL, "", &serde_json::to_string(fill)?)).await?;
    ensure!(answer.status == 204, "the KV service could not be filled");
    Ok(())
}

/// What was asked of storage since this was last asked.
pub async fn counts(kv: SocketAddr) -> Result<Counts> {
    Ok(serde_json::from_slice(&load::once(kv, &credentials::post(kv::COUNTS, "", "")).await?.body)?)
}

/// A plan that sends each request once.
pub fn each(requests: &[Vec<u8>], connections: usize, status: u16) -> Plan<'_> {
    Plan { requests, during: None, connections, status }
}
