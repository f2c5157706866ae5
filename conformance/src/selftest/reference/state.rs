//! The reference's state: its clients, its keys, and what it remembers of earlier calls.

use crate::case::FeedMode;
use crate::clock::Clock;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::Ed25519KeyPair;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

/// How long a fault that lags persists.
const LAG: Duration = Duration::from_secs(5);

pub const BURST_CLIENT: &str = "ref_Burst";

#[derive(Clone)]
pub struct ClientRecord {
    pub id: String,
    pub secrets: Vec<Secret>,
    /// Empty if it has none.
    pub totp: Vec<u8>,
    pub mechanisms: Vec<String>,
    /// The key that verifies its assertions: one of `jwks`.
    pub kid: String,
    pub alg: &'static str,
    pub public: Vec<u8>,
    /// The jwks as it is shown; null if the client has none.
    pub jwks: Value,
    pub name: Option<String>,
    pub region: Option<String>,
    pub immediate: bool,
    pub scopes: Vec<String>,
    pub max_ttl: Option<u64>,
    pub suspended: bool,
    /// Tokens with an earlier `auth_time` are revoked.
    pub valid_from: u64,
    pub created: u64,
    pub updated: u64,
    /// Grows with each change.
    pub revision: u64,
    /// The operator of the secret `OPERATOR`.
    pub from_secret: bool,
}

#[derive(Clone)]
pub struct Secret {
    pub id: String,
    pub text: String,
    pub created: u64,
    pub expires: Option<u64>,
    /// Set by a fault: the expiry is shown but has no effect.
    pub shown_only: bool,
}

impl Secret {
    pub fn lives(&self, now: u64) -> bool {
        self.expires.is_none_or(|end| end > now)
    }
}

impl ClientRecord {
    pub fn may_use(&self, mechanism: &str) -> bool {
        self.mechanisms.iter().any(|known| known == mechanism)
    }
}

pub struct Reference {
    pub clients: Vec<ClientRecord>,
    pub issuer: String,
    pub clock: Clock,
    /// The single fault of this copy.
    pub fault: Option<&'static str>,
    pub feed: FeedMode,
    pub key: Ed25519KeyPair,
    pub secret: hmac::Key,
    pub memory: Memory,
}

/// What calls leave behind. Empty at first.
#[derive(Default)]
pub struct Memory {
    pub requests: u64,
    /// Calls per minute.
    pub calls: HashMap<String, u32>,
    pub was_limited: bool,
    pub revocations: u32,
    pub revoked: HashSet<String>,
    /// When the grace period of a rotated token ends.
    pub retired: HashMap<String, u64>,
    pub codes: HashMap<String, Codes>,
    /// How often an assertion was tried.
    pub assertions: HashMap<String, u32>,
    /// The claims of every token with its signature, for copies that check nothing else.
    pub claims_signed: HashSet<String>,
    /// The id of each token whose jti differs from its id.
    pub real_ids: HashMap<String, String>,
    /// Every client with the ids of its tokens.
    pub ids: Vec<(String, String)>,
    /// When a jti was first tried.
    pub accepted: HashMap<String, u64>,
    /// When a token was revoked, for copies that forget revocations.
    pub revoked_at: HashMap<String, u64>,
    /// The ids of each client's tokens whose only scope is `PLAIN`.
    pub alone: HashMap<String, Vec<String>>,
    pub flips: HashMap<String, u64>,
    /// How each long-term token was issued: by a secret, a code or an assertion.
    pub by_mechanism: HashMap<String, &'static str>,
    /// The short-term tokens of each long-term token.
    pub offspring: HashMap<String, Vec<String>>,
    /// The last long-term token of each client and scopes.
    pub latest: HashMap<(String, Vec<String>), String>,
    /// The scopes with which each client was created, and those after the first change by an operator.
    pub first_scopes: HashMap<String, Vec<String>>,
    pub narrowed: HashMap<String, Vec<String>>,
    pub first_valid_from: HashMap<String, u64>,
    pub was_suspended: HashSet<String>,
    /// Long-term tokens issued by a rotation, by the token that was rotated.
    pub rotated: HashMap<String, String>,
    /// The feed's entries, by kind and hash.
    pub ended: BTreeMap<(&'static str, String), Ended>,
    pub seq: u64,
    /// The ids of deleted clients.
    pub deleted: HashSet<String>,
    /// The number of operators' calls so far.
    pub operated: u32,
    /// What was last taken from a client, and when, with the client as it was before. Used by faults that lag.
    pub taken: HashMap<String, (&'static str, Instant)>,
    pub former: HashMap<String, ClientRecord>,
    /// The first short-term token of each long-term token.
    pub children: HashMap<String, String>,
    /// When a client was last created or changed.
    pub touched: HashMap<String, Instant>,
    /// Clients whose consistency was changed.
    pub switched: HashSet<String>,
}

#[derive(Default)]
pub struct Codes {
    pub last: u64,
    pub uses_of_last: u32,
    pub accepted_at: u64,
    pub wrong: Vec<u64>,
    pub locked_until: u64,
}

/// An entry of the feed.
pub struct Ended {
    pub at: u64,
    pub seq: u64,
    pub reported: Instant,
    pub was_read: bool,
}

/// A verified bearer.
pub struct Bearer {
    pub kind: &'static str,
    pub client: String,
    pub id: String,
    pub scopes: Vec<String>,
    pub exp: u64,
    pub parent: Option<String>,
    pub auth_time: u64,
}

impl Reference {
    /// `None` if the system provides no randomness.
    pub fn new(
        clients: Vec<ClientRecord>,
        issuer: String,
        clock: Clock,
        fault: Option<&'static str>,
        feed: FeedMode,
    ) -> Option<Self> {
        let mut seed = [0; 32];
        SystemRandom::new().fill(&mut seed).ok()?;
        Some(Self {
            clients,
            issuer,
            clock,
            fault,
            feed,
            key: Ed25519KeyPair::from_seed_unchecked(&seed).ok()?,
            secret: hmac::Key::new(hmac::HMAC_SHA256, &seed),
            memory: Memory::default(),
        })
    }

    /// Whether this copy is the mutant with that name.
    pub fn on(&self, fault: &str) -> bool {
        self.fault == Some(fault)
    }

    /// What was just taken from a client, if this copy is the mutant that keeps it for a while: `place-lags-what`.
    pub fn lags(&self, place: &str, client: &str) -> Option<&'static str> {
        self.was_just_taken(client).filter(|what| self.on(&format!("{place}-lags-{what}")))
    }

    pub fn was_just_taken(&self, client: &str) -> Option<&'static str> {
        let (what, at) = self.memory.taken.get(client)?;
        (at.elapsed() < LAG).then_some(*what)
    }

    /// The client as /long sees it.
    pub fn client_of_long(&self, id: &str) -> Option<ClientRecord> {
        let secret = self.on("immediate-secret-lags") && self.was_just_taken(id) == Some("secret");
        if secret || self.lags("long", id).is_some() {
            return self.memory.former.get(id).cloned();
        }
        self.clients.iter().find(|c| c.id == id).cloned()
    }

    pub fn client(&self, id: &str) -> ClientRecord {
        self.clients.iter().find(|c| c.id == id).unwrap_or(&self.clients[0]).clone()
    }
}
