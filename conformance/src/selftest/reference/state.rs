//! What the reference knows: its clients, its keys, and what it remembers of the calls so far.

use crate::case::FeedMode;
use crate::clock::Clock;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::Ed25519KeyPair;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

pub const BURST_CLIENT: &str = "ref_Burst";

#[derive(Clone)]
pub struct ClientRecord {
    pub id: String,
    pub secret: String,
    pub totp: Vec<u8>,
    pub otp_allowed: bool,
    pub kid: String,
    pub public: Vec<u8>,
    pub scopes: Vec<String>,
    pub max_ttl: Option<u64>,
    pub suspended: bool,
    /// Tokens of an earlier `auth_time` count as revoked.
    pub valid_from: u64,
}

pub struct Reference {
    pub clients: Vec<ClientRecord>,
    pub issuer: String,
    pub clock: Clock,
    /// The one thing that this copy does wrong.
    pub fault: Option<&'static str>,
    pub feed: FeedMode,
    pub key: Ed25519KeyPair,
    pub secret: hmac::Key,
    pub memory: Memory,
}

/// What comes of calls. It starts empty.
#[derive(Default)]
pub struct Memory {
    pub requests: u64,
    /// Calls in each minute.
    pub calls: HashMap<String, u32>,
    pub revoked: HashSet<String>,
    /// When the grace of a rotated token ends.
    pub retired: HashMap<String, u64>,
    pub codes: HashMap<String, Codes>,
    /// How often an assertion was tried.
    pub assertions: HashMap<String, u32>,
    /// Ids of each client's tokens with `jobs:submit` alone.
    pub alone: HashMap<String, Vec<String>>,
    pub flips: HashMap<String, u64>,
    /// What the feed lists, by member and hash.
    pub ended: BTreeMap<(&'static str, String), Ended>,
    pub seq: u64,
}

#[derive(Default)]
pub struct Codes {
    pub last: u64,
    pub uses_of_last: u32,
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
    /// Nothing where the system gives no randomness.
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

    /// Whether this copy is the mutant of that name.
    pub fn on(&self, fault: &str) -> bool {
        self.fault == Some(fault)
    }

    pub fn client(&self, id: &str) -> ClientRecord {
        self.clients.iter().find(|c| c.id == id).unwrap_or(&self.clients[0]).clone()
    }
}
