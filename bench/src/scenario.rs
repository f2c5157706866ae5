//! The scenarios: their requests, the expected status, and the allowed calls to storage.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::clients::{Client, Clients, Issued};
use crate::credentials::{self, Algorithm, Credentials, SHORT_PATH};
use crate::kv::{self, Counts};
use crate::load::{self, Connection, Plan};

/// After this time the Worker's cache of replicas (250 ms) has expired.
pub const FORGOTTEN: Duration = Duration::from_millis(300);
/// After this time a client's object may write to KV at once: it pauses 1.1 s between two writes.
pub const RESTED: Duration = Duration::from_millis(1200);
/// After this time KV has a change that no caller waits for.
pub const SETTLED: Duration = Duration::from_millis(500);
/// The minimum fraction of KV reads for exchanges with uncached tokens.
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
    /// The same token repeatedly.
    Exchange,
    /// Each time a client and a token that the Worker has not cached.
    ColdExchange,
    /// The same token of an `immediate` client, repeatedly.
    ImmediateExchange,
    Revoke,
    Secret,
    Code,
    Assertion(Algorithm),
    Rotation,
    Introspect,
    Forged,
    Garbage,
}

/// Which requests are checked, and how strictly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The first one, with empty caches: every read is made. Instrumented services report every call.
    First,
    /// Further ones: caches may save reads. Instrumented services report every call.
    Counted,
    /// Timed ones: caches may save reads, and calls other than KV's are not counted.
    Timed,
}

pub struct Scenario {
    pub name: &'static str,
    pub title: &'static str,
    pub kind: Kind,
    pub status: u16,
    pub contenders: &'static [Contender],
    /// The calls of one request to the Worker. Any other number fails the bench, except for fewer reads, because of the
    /// Worker's cache.
    pub ours: Counts,
}

use Contender::{Floor, Ours, Peer};

const NOTHING: Counts = Counts { reads: 0, writes: 0, objects: 0, alarms: 0, limits: 0 };
/// The calls of /long.
const ISSUE: Counts = Counts { objects: 1, limits: 3, ..NOTHING };

pub const SCENARIOS: [Scenario; 13] = [
    Scenario {
        name: "exchange",
        title: "Exchange a busy token",
        kind: Kind::Exchange,
        status: 201,
        contenders: &[Floor, Ours, Peer],
        ours: Counts { reads: 1, limits: 1, ..NOTHING },
    },
    COLD_EXCHANGE,
    IMMEDIATE_EXCHANGE,
    Scenario {
        name: "revoke",
        title: "Revoke a token",
        kind: Kind::Revoke,
        status: 204,
        contenders: &[Ours, Peer],
        // The client's object, and the feed's, to which it reports.
        ours: Counts { objects: 2, writes: 1, ..NOTHING },
    },
    Scenario {
        name: "introspect",
        title: "Introspect a token",
        kind: Kind::Introspect,
        status: 200,
        contenders: &[Ours],
        ours: Counts { objects: 2, ..NOTHING },
    },
    Scenario {
        name: "secret",
        title: "Issue, by secret",
        kind: Kind::Secret,
        status: 201,
        contenders: &[Ours, Peer],
        ours: ISSUE,
    },
    Scenario {
        name: "code",
        title: "Issue, by one-time code",
        kind: Kind::Code,
        status: 201,
        contenders: &[Ours],
        ours: ISSUE,
    },
    Scenario {
        name: "eddsa",
        title: "Issue, by EdDSA assertion",
        kind: Kind::Assertion(Algorithm::EdDsa),
        status: 201,
        contenders: &[Ours],
        ours: ISSUE,
    },
    Scenario {
        name: "es256",
        title: "Issue, by ES256 assertion",
        kind: Kind::Assertion(Algorithm::Es256),
        status: 201,
        contenders: &[Ours],
        ours: ISSUE,
    },
    Scenario {
        name: "rs256",
        title: "Issue, by RS256 assertion",
        kind: Kind::Assertion(Algorithm::Rs256),
        status: 201,
        contenders: &[Ours],
        ours: ISSUE,
    },
    Scenario {
        name: "rotation",
        title: "Issue, by rotation",
        kind: Kind::Rotation,
        status: 201,
        contenders: &[Ours],
        // The alarm writes the retirement to KV afterwards.
        ours: Counts { writes: 1, alarms: 1, ..ISSUE },
    },
    Scenario {
        name: "forged",
        title: "Refuse a forged signature",
        kind: Kind::Forged,
        status: 401,
        contenders: &[Ours, Peer],
        ours: NOTHING,
    },
    Scenario {
        name: "garbage",
        title: "Refuse random bytes",
        kind: Kind::Garbage,
        status: 401,
        contenders: &[Ours, Peer],
        ours: NOTHING,
    },
];

pub const COLD_EXCHANGE: Scenario = Scenario {
    name: "exchange-cold",
    title: "Exchange a cold token",
    kind: Kind::ColdExchange,
    status: 201,
    contenders: &[Floor, Ours, Peer],
    ours: Counts { reads: 1, limits: 1, ..NOTHING },
};

pub const IMMEDIATE_EXCHANGE: Scenario = Scenario {
    name: "exchange-immediate",
    title: "Exchange, immediate client",
    kind: Kind::ImmediateExchange,
    status: 201,
    contenders: &[Ours],
    ours: Counts { objects: 1, limits: 1, ..NOTHING },
};

/// The target of requests.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    pub who: Contender,
    pub address: SocketAddr,
    pub clients: &'a Clients,
}

impl Scenario {
    /// Whether the same request can be repeated.
    pub const fn repeats(&self) -> bool {
        !matches!(self.kind, Kind::Revoke | Kind::Code | Kind::Assertion(_) | Kind::Rotation)
    }

    /// Whether every request must find empty caches.
    pub const fn is_cold(&self) -> bool {
        matches!(self.kind, Kind::ColdExchange)
    }

    /// The calls of one request to storage.
    pub const fn costs(&self, who: Contender) -> Counts {
        match (who, self.kind) {
            (Ours, _) => self.ours,
            (Floor, Kind::ColdExchange) | (Peer, Kind::Secret) => Counts { reads: 1, ..NOTHING },
            (Peer, Kind::Exchange | Kind::ColdExchange) => Counts { reads: 2, ..NOTHING },
            (Peer, Kind::Revoke) => Counts { reads: 2, writes: 1, ..NOTHING },
            (Floor | Peer, _) => NOTHING,
        }
    }

    /// Checks the calls of `requests` requests to storage.
    pub fn check(&self, who: Contender, requests: u64, counts: Counts, checked: Checked) -> Result<()> {
        let Counts { reads, writes, objects, alarms, limits } = self.costs(who);
        let reported = |count: u64| if checked == Checked::Timed { 0 } else { count * requests };
        let right = Counts {
            reads: reads * requests,
            writes: writes * requests,
            objects: reported(objects),
            alarms: reported(alarms),
            limits: reported(limits),
        };
        // Only the Worker has a cache.
        let least = match (who, checked) {
            (Floor | Peer, _) | (Ours, Checked::First) => 1.0,
            (Ours, _) if self.is_cold() => COLD,
            (Ours, _) => 0.0,
        };
        let has_read = counts.reads <= right.reads && counts.reads as f64 >= right.reads as f64 * least;
        ensure!(
            has_read && Counts { reads: right.reads, ..counts } == right,
            "{requests} requests made {counts:?}; expected {right:?}, and at least {least} of the reads"
        );
        Ok(())
    }

    /// Waits until work in the background is done.
    pub async fn settle(&self, who: Contender) {
        if who == Ours && self.ours.alarms > 0 {
            tokio::time::sleep(SETTLED).await;
        }
    }

    /// Makes the requests: a few if they can be repeated, otherwise `count`. A cold exchange must not find a cached
    /// replica, so there are `count` of those too.
    pub async fn prepare(
        &self,
        credentials: &mut Credentials,
        target: Target<'_>,
        count: usize,
    ) -> Result<Vec<Vec<u8>>> {
        let Target { who, address, clients } = target;
        let mut connection = Connection::open(address).await?;
        let each = clients.each.iter().take(count);
        let mut requests = Vec::new();
        match (self.kind, who) {
            (Kind::Exchange | Kind::ColdExchange, Floor) => {
                let path = if self.is_cold() { "/cold" } else { "/" };
                for _ in 0..64 {
                    requests.push(credentials::exchange(path, &credentials::garbage()?));
                }
            }
            (Kind::Exchange, _) => requests.push(exchange(&clients.busy, &mut connection).await?),
            (Kind::ImmediateExchange, _) => requests.push(exchange(&clients.immediate, &mut connection).await?),
            (Kind::ColdExchange, Peer) => {
                for nth in 0..count {
                    let request = credentials::by_secret(&credentials::peer_single(nth), &credentials.secret);
                    let issued = Issued::by(&mut connection, &request).await?;
                    requests.push(credentials::exchange(SHORT_PATH, &issued.token));
                }
            }
            (Kind::ColdExchange, Ours) => {
                for nth in 0..count {
                    let token = credentials.long_token(&credentials::single(nth))?;
                    requests.push(credentials::exchange(SHORT_PATH, &token));
                }
            }
            (Kind::Revoke, Peer) => {
                for _ in 0..count {
                    let issued = clients.busy.issue(&mut connection).await?;
                    requests.push(credentials::revoke(&issued.token, &issued.id));
                }
            }
            (Kind::Revoke, _) => {
                for client in each {
                    let issued = client.issue(&mut connection).await?;
                    requests.push(credentials::revoke(&issued.token, &issued.id));
                }
            }
            (Kind::Rotation, _) => {
                for client in each {
                    let request = exchange(client, &mut connection).await?;
                    let short = Issued::by(&mut connection, &request).await?;
                    requests.push(credentials::rotate(&client.id, &short.token));
                }
            }
            (Kind::Introspect, _) => {
                let long = clients.busy.issue(&mut connection).await?;
                let request = credentials::exchange(SHORT_PATH, &long.token);
                let short = Issued::by(&mut connection, &request).await?;
                requests.push(credentials::introspect(&long.token, &short.token));
            }
            (Kind::Secret, _) => requests.push(clients.busy.by_secret()),
            (Kind::Code, _) => requests = clients.codes(count).await?,
            (Kind::Assertion(algorithm), _) => {
                for client in clients.asserting.iter().cycle().take(count) {
                    requests.push(credentials.by_assertion(algorithm, &client.id)?);
                }
            }
            (Kind::Forged, _) => {
                requests.push(credentials::forged(exchange(&clients.busy, &mut connection).await?)?);
            }
            (Kind::Garbage, _) => {
                for _ in 0..64 {
                    requests.push(credentials::exchange(SHORT_PATH, &credentials::garbage()?));
                }
            }
        }
        ensure!(!requests.is_empty(), "there is nothing to send");
        // Waits until the writes of this preparation no longer affect what follows.
        tokio::time::sleep(if self.ours.writes > 0 && who == Ours { RESTED } else { Duration::ZERO }).await;
        Ok(requests)
    }
}

/// An exchange of a new token.
async fn exchange(client: &Client, connection: &mut Connection) -> Result<Vec<u8>> {
    Ok(credentials::exchange(SHORT_PATH, &client.issue(connection).await?.token))
}

pub async fn fill(kv: SocketAddr, fill: &kv::Fill) -> Result<()> {
    let request = credentials::post(kv::FILL, credentials::JSON, &serde_json::to_string(fill)?);
    let answer = load::once(kv, &request).await?;
    ensure!(answer.status == 204, "the KV service could not be filled");
    Ok(())
}

/// The calls to storage since this was last called.
pub async fn counts(kv: SocketAddr) -> Result<Counts> {
    let answer = load::once(kv, &credentials::post(kv::COUNTS, "", "")).await?;
    serde_json::from_slice(&answer.body).context("counts")
}

/// A plan that sends each request once.
pub fn each(requests: &[Vec<u8>], connections: usize, status: u16) -> Plan<'_> {
    Plan { requests, during: None, connections, status }
}
