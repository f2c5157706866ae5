//! The clients of a contender. The Worker's are created through its operators' API.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use auth_edge::otp;
use base32ct::{Base32UpperUnpadded, Encoding};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::credentials::{self, Credentials, SCOPES};
use crate::load::Connection;

/// How many clients take turns sending assertions.
const ASSERTING: usize = 16;
/// How long a replica may take to reach KV.
const REPLICA_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default)]
pub struct Client {
    pub id: String,
    secret: String,
    seed: Vec<u8>,
}

#[derive(Debug, Default)]
pub struct Clients {
    /// A client that calls repeatedly.
    pub busy: Client,
    pub immediate: Client,
    /// The clients that send assertions.
    pub asserting: Vec<Client>,
    /// One client for each request that changes its client: a code, a rotation, a revocation.
    pub each: Vec<Client>,
    /// The latest time step whose code they have sent.
    step: Cell<u64>,
}

impl Client {
    pub fn by_secret(&self) -> Vec<u8> {
        credentials::by_secret(&self.id, &self.secret)
    }

    /// Issues a token with the client's secret.
    pub async fn issue(&self, connection: &mut Connection) -> Result<Issued> {
        Issued::by(connection, &self.by_secret()).await
    }
}

impl Clients {
    /// The peer's clients, which its KV has from the start.
    pub fn of_peer(credentials: &Credentials) -> Self {
        let busy = |id: String| Client { id, secret: credentials.secret.clone(), ..Client::default() };
        Self { busy: busy(credentials::peer_single(0)), ..Self::default() }
    }

    /// Creates the Worker's clients, `each` of them for requests that change their client, and waits until KV has their
    /// replicas.
    pub async fn make(worker: SocketAddr, kv: SocketAddr, credentials: &Credentials, each: usize) -> Result<Self> {
        let mut operator = Operator::log_in(worker, credentials).await?;
        let mut clients = Self {
            busy: operator.create("busy", &json!({})).await?,
            immediate: operator.create("immediate", &json!({"consistency": "immediate"})).await?,
            ..Self::default()
        };
        let mechanisms = json!({"mechanisms": ["assertion", "rotation"], "jwks": credentials.jwks()});
        for nth in 0..ASSERTING {
            clients.asserting.push(operator.create(&format!("asserting_{nth}"), &mechanisms).await?);
        }
        for nth in 0..each {
            clients.each.push(operator.create(&format!("each_{nth}"), &json!({})).await?);
        }
        let mut connection = Connection::open(kv).await?;
        for client in clients.each.iter().chain(&clients.asserting).chain([&clients.busy, &clients.immediate]) {
            let start = Instant::now();
            while connection.answer(&credentials::get(&client.id)).await?.status != 200 {
                ensure!(start.elapsed() < REPLICA_TIMEOUT, "{} has no replica after {REPLICA_TIMEOUT:?}", client.id);
                sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(clients)
    }

    /// A code for each client, of a later time step than before, since each step counts once. Waits for such a step if
    /// it must.
    pub async fn codes(&self, count: usize) -> Result<Vec<Vec<u8>>> {
        // A code of the current step is valid for at least half a minute, one of the next for longer.
        let step = (credentials::now()? / otp::STEP).max(self.step.get() + 1);
        while credentials::now()? / otp::STEP + 1 < step {
            sleep(Duration::from_millis(100)).await;
        }
        self.step.set(step);
        let code = |client: &Client| {
            let code = String::from_utf8(otp::code(&client.seed, step).to_vec())?;
            Ok(credentials::by_code(&client.id, &code))
        };
        self.each.iter().take(count).map(code).collect()
    }
}

/// A logged-in operator.
pub struct Operator {
    connection: Connection,
    token: String,
}

impl Operator {
    pub async fn log_in(worker: SocketAddr, credentials: &Credentials) -> Result<Self> {
        let mut connection = Connection::open(worker).await?;
        let request = credentials::by_secret(credentials::OPERATOR, &credentials.secret);
        let long = Issued::by(&mut connection, &request).await.context("the operator")?;
        let request = credentials::exchange_all(&long.token);
        let token = Issued::by(&mut connection, &request).await.context("the operator")?.token;
        Ok(Self { connection, token })
    }

    /// Creates a client. `more` has further members, or replaces the default ones.
    pub async fn create(&mut self, name: &str, more: &Value) -> Result<Client> {
        let id = format!("c2m_bench_{name}");
        let mut body = json!({"client_id": id, "scopes": SCOPES, "mechanisms": ["secret", "otp", "rotation"]});
        for (member, value) in more.as_object().into_iter().flatten() {
            body[member] = value.clone();
        }
        let answer = self.connection.answer(&credentials::create(&self.token, &body)).await?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status == 201, "the client {id} was not created: {} {text}", answer.status);
        let made: Value = serde_json::from_str(&text)?;
        let text = |member: &str| made[member].as_str().unwrap_or_default();
        let seed = Base32UpperUnpadded::decode_vec(text("totp_secret")).map_err(|error| anyhow!("{id}: {error}"))?;
        Ok(Client { id, secret: text("client_secret").to_owned(), seed })
    }
}

/// An issued token.
pub struct Issued {
    pub token: String,
    pub id: String,
}

impl Issued {
    pub async fn by(connection: &mut Connection, request: &[u8]) -> Result<Self> {
        let answer = connection.answer(request).await?;
        let body = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status == 201, "no token was issued: {} {body}", answer.status);
        let body: Value = serde_json::from_str(&body)?;
        let member = |name: &str| body[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
        Ok(Self { token: member("access_token")?, id: member("token_id")? })
    }
}
