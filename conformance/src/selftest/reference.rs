//! A small token service, written from the contract and from nothing else: what the harness is measured against.
//!
//! It keeps everything in memory and takes its time from the run's clock. `on("…")` asks whether this copy is the
//! mutant of that name: each mutant is this service with one fault.

use super::service::{Ended, FeedMode};
use super::wire::{Asked, Form, Reply};
use crate::clock::{self, Clock};
use crate::jose::{self, Jwt, b64, unb64};
use crate::totp;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{self, Ed25519KeyPair, KeyPair};
use serde::de::{MapAccess, Visitor};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Calls in a minute. Half of what a deployment allows: a whole run must keep far below, so that two in a row pass.
const LONG_LIMIT: u32 = 300;
/// Per long-term token.
const SHORT_LIMIT: u32 = 150;
/// The sacrificial client has fewer, so that its burst is short.
const BURST_LIMIT: u32 = 20;
const LEEWAY: u64 = 60;
const GRACE: u64 = 86_400;
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

#[derive(Default)]
struct Codes {
    last: u64,
    uses_of_last: u32,
    wrong: Vec<u64>,
    locked_until: u64,
}

pub struct Reference {
    pub clients: Vec<ClientRecord>,
    pub issuer: String,
    pub clock: Clock,
    pub fault: Option<&'static str>,
    pub feed: FeedMode,
    pub(super) key: Ed25519KeyPair,
    secret: hmac::Key,
    revoked: HashSet<String>,
    retired: HashMap<String, u64>,
    codes: HashMap<String, Codes>,
    assertions: HashMap<String, u32>,
    calls: HashMap<String, u32>,
    /// Ids of each client's tokens with `jobs:submit` alone.
    alone: HashMap<String, Vec<String>>,
    flips: HashMap<String, u64>,
    pub requests: u64,
    /// What the feed lists, by member and hash.
    pub(super) ended: BTreeMap<(&'static str, String), Ended>,
    pub(super) seq: u64,
}

/// A verified bearer.
pub(super) struct Bearer {
    kind: &'static str,
    pub(super) client: String,
    pub(super) id: String,
    pub(super) scopes: Vec<String>,
    exp: u64,
    parent: Option<String>,
    auth_time: u64,
}

/// An answer that ends the request early.
pub(super) type Refused = Box<Reply>;

impl Reference {
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
            revoked: HashSet::new(),
            retired: HashMap::new(),
            codes: HashMap::new(),
            assertions: HashMap::new(),
            calls: HashMap::new(),
            alone: HashMap::new(),
            flips: HashMap::new(),
            requests: 0,
            ended: BTreeMap::new(),
            seq: 0,
        })
    }

    pub fn on(&self, fault: &str) -> bool {
        self.fault == Some(fault)
    }

    pub fn answer(&mut self, asked: &Asked) -> Reply {
        self.requests += 1;
        for (fault, status) in
            [("always-401", 401), ("always-404", 404), ("always-400", 400), ("always-403", 403), ("always-500", 500)]
        {
            if self.on(fault) {
                return self.error(asked, status, "invalid_client", "No.", None);
            }
        }
        if self.on("always-201") {
            return self.granted("long", "tok_lt_x", "a.b.c", &["jobs:submit".to_owned()], 3600);
        }
        match self.route(asked) {
            Ok(reply) => reply,
            Err(refused) => *refused,
        }
    }

    fn route(&mut self, asked: &Asked) -> Result<Reply, Refused> {
        let path = asked.path.split('?').next().unwrap_or_default();
        if let Some(reply) = self.well_known(asked, path)? {
            return Ok(reply);
        }
        let mut path = path.strip_prefix("/v1").unwrap_or_default().to_owned();
        if self.on("path-folded") && !path.contains("tok_") {
            path = path.to_lowercase();
        } else if self.on("path-folded") {
            path = path.replace("/Revoke", "/revoke");
        }
        if self.on("slash-lenient") {
            path = path.replace("//", "/").trim_end_matches('/').to_owned();
        }
        let operation = match path.split('/').collect::<Vec<_>>()[..] {
            ["", "auth", "tokens", "long"] => "long",
            ["", "auth", "tokens", "short"] => "short",
            ["", "auth", "tokens", id, "revoke"] if !id.is_empty() => "revoke",
            ["", "clients", ref rest @ ..] => return self.operate(asked, rest),
            _ if self.on("unknown-path-400") => {
                return Err(self.refuse(asked, 400, "invalid_request", "No such path."));
            }
            _ => return Err(self.refuse(asked, 404, "not_found", "No such path.")),
        };
        if asked.method != "POST" && !self.on("any-method") {
            if self.on("405-as-404") {
                return Err(self.refuse(asked, 404, "not_found", "No such path."));
            }
            let mut reply = self.error(asked, 405, "invalid_request", "Use POST.", None);
            if !self.on("405-without-allow") {
                reply.headers.push(("Allow".into(), "POST".into()));
            }
            return Ok(reply);
        }
        match operation {
            "long" => self.issue_long(asked),
            "short" => self.issue_short(asked),
            _ => {
                let id = path.split('/').nth(3).unwrap_or_default().to_owned();
                self.revoke(asked, &id)
            }
        }
    }

    // ---- the three operations

    fn issue_long(&mut self, asked: &Asked) -> Result<Reply, Refused> {
        let header_id = self.single(asked, "x-client-id", "invalid_client", "-on-long")?;
        if header_id.is_none() && asked.header("authorization").is_none() && !self.on("x-client-id-optional") {
            if self.on("no-credentials-400") {
                return Err(self.refuse(asked, 400, "invalid_request", "No credentials."));
            }
            return Err(self.refuse(asked, 401, "invalid_client", "No credentials."));
        }
        let body = self.body(asked)?;
        let known = [
            "grant_type",
            "client_id",
            "client_secret",
            "otp_code",
            "assertion_type",
            "assertion",
            "scopes",
            "ttl_seconds",
        ];
        self.only(asked, &body, &known)?;
        let grant = match body.get("grant_type") {
            Some(Value::String(grant)) => grant.clone(),
            None if self.on("grant-type-optional") => "client_credentials".to_owned(),
            _ => return Err(self.refuse(asked, 400, "invalid_grant", "grant_type is missing.")),
        };
        let grant = if self.on("grant-type-folded") { grant.to_lowercase() } else { grant };
        if !["client_credentials", "assertion"].contains(&grant.as_str()) && !self.on("grant-type-any") {
            return Err(self.refuse(asked, 400, "invalid_grant", "grant_type is unknown."));
        }
        let client_id = match self.text(asked, &body, "client_id")? {
            Some(id) => id,
            None if self.on("client-id-optional") => header_id.clone().unwrap_or_default(),
            None => return Err(self.refuse(asked, 400, "invalid_request", "client_id is missing.")),
        };
        let secret = self.text(asked, &body, "client_secret")?;
        let code = self.text(asked, &body, "otp_code")?;
        let assertion = self.text(asked, &body, "assertion")?;
        let assertion_type = self.text(asked, &body, "assertion_type")?;
        let mechanisms = [secret.is_some(), code.is_some(), assertion.is_some()].iter().filter(|m| **m).count();
        if mechanisms > 1 && !self.on("first-mechanism-wins") {
            return Err(self.refuse(asked, 400, "invalid_request", "More than one mechanism."));
        }
        if grant == "assertion" && !self.on("first-mechanism-wins") {
            if assertion.is_none() {
                let status = if self.on("assertion-missing-401") { 401 } else { 400 };
                let code = if status == 401 { "invalid_client" } else { "invalid_request" };
                return Err(self.refuse(asked, status, code, "assertion is missing."));
            }
        } else if assertion.is_some() && grant != "assertion" && !self.on("grant-type-decorative") {
            return Err(self.refuse(asked, 400, "invalid_request", "An assertion needs the grant_type assertion."));
        }
        if assertion.is_some() {
            let kinds = [
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "urn:ietf:params:oauth:grant-type:jwt-bearer",
            ];
            let kinds = if self.on("assertion-type-one") { &kinds[..1] } else { &kinds[..] };
            let fits = match &assertion_type {
                None => self.on("assertion-type-optional"),
                Some(kind) => kinds.contains(&kind.as_str()) || self.on("assertion-type-any"),
            };
            if !fits {
                return Err(self.refuse(asked, 400, "invalid_request", "assertion_type is not known."));
            }
        }
        let ttl = self.ttl(asked, &body)?;
        let scopes = self.scopes(asked, &body)?;
        let bearer_header = asked.header("authorization").map(str::to_owned);
        if mechanisms == 0 && bearer_header.is_none() {
            if self.on("no-mechanism-403") {
                return Err(self.refuse(asked, 403, "unauthorized_client", "No mechanism."));
            }
            return Err(self.refuse(asked, 400, "invalid_request", "No mechanism."));
        }
        self.limit(asked, &format!("long {client_id}"), &client_id)?;
        if mechanisms == 0 {
            return self.rotate(asked, &client_id, scopes, ttl);
        }
        if bearer_header.is_some() && self.on("authorization-not-ignored") {
            self.bearer(asked, bearer_header.as_deref(), "short")?;
        }
        // X-Client-Id, compared exactly.
        let same = match &header_id {
            None => self.on("x-client-id-optional"),
            Some(id) if self.on("x-client-id-folded") => id.eq_ignore_ascii_case(&client_id),
            Some(id) if self.on("client-id-trimmed") => *id == client_id.trim(),
            Some(id) => *id == client_id || self.on("x-client-id-unchecked"),
        };
        if !same {
            return Err(self.refuse(asked, 401, "invalid_client", "The client could not be authenticated."));
        }
        let found = if self.on("client-id-folded") {
            self.clients.iter().find(|c| c.id.eq_ignore_ascii_case(&client_id)).cloned()
        } else if self.on("client-id-trimmed") {
            self.clients.iter().find(|c| c.id == client_id.trim()).cloned()
        } else {
            self.clients.iter().find(|c| c.id == client_id).cloned()
        };
        let Some(mut client) = found else {
            if self.on("unknown-client-404") {
                return Err(self.refuse(asked, 404, "not_found", "No such client."));
            }
            let told = if self.on("unknown-client-told") {
                "No such client."
            } else {
                "The client could not be authenticated."
            };
            return Err(self.refuse(asked, 401, "invalid_client", told));
        };
        if client.suspended && self.on("suspended-before-secret") {
            return Err(self.refuse(asked, 403, "unauthorized_client", "The client is suspended."));
        }
        let locked = self.codes.get(&client.id).is_some_and(|c| c.locked_until > self.clock.now());
        if self.on("lock-locks-client") && locked {
            return Err(self.refuse(asked, 401, "invalid_client", "The client could not be authenticated."));
        }
        let right = if let Some(secret) = &secret {
            self.secret_fits(&client, secret)
        } else if let Some(code) = &code {
            if self.code_fits(&client, code) {
                if !client.otp_allowed && !self.on("otp-for-all") {
                    return Err(self.refuse(asked, 403, "unauthorized_client", "One-time codes are not allowed."));
                }
                true
            } else {
                false
            }
        } else {
            let assertion = assertion.as_deref().unwrap_or_default();
            if self.on("garbage-assertion-403") && Jwt::read(assertion).is_none() {
                return Err(self.refuse(asked, 403, "unauthorized_client", "No JWT."));
            }
            match self.assertion_fits(&client, assertion) {
                Some(by) => {
                    client = by;
                    true
                }
                None => false,
            }
        };
        if !right {
            let code = if self.on("wrong-secret-invalid-token") { "invalid_token" } else { "invalid_client" };
            return Err(self.refuse(asked, 401, code, "The client could not be authenticated."));
        }
        if client.suspended && !self.on("suspended-works") {
            return Err(self.refuse(asked, 403, "unauthorized_client", "The client is suspended."));
        }
        let asked_for = match scopes {
            Some(scopes) => scopes,
            None if self.on("scopes-omitted-everything") => vec!["billing:*".to_owned()],
            None => client.scopes.clone(),
        };
        let scopes = self.grantable(asked, asked_for, &client.scopes, 403)?;
        Ok(self.mint_long(&client, scopes, ttl, self.clock.now().max(client.valid_from)))
    }

    fn rotate(
        &mut self,
        asked: &Asked,
        client_id: &str,
        scopes: Option<Vec<String>>,
        ttl: Option<u64>,
    ) -> Result<Reply, Refused> {
        let header = self.single(asked, "authorization", "invalid_token", "-on-long")?;
        let bearer = match self.bearer(asked, header.as_deref(), "short") {
            Ok(bearer) => bearer,
            Err(_) if self.on("rotation-any-bearer") => {
                let client = self.clients[0].clone();
                return Ok(self.mint_long(&client, client.scopes.clone(), ttl, self.clock.now()));
            }
            Err(refused) => return Err(refused),
        };
        if self.on("rotation-refused") {
            return Err(self.refuse(asked, 401, "invalid_token", "No."));
        }
        if bearer.client != client_id && !self.on("foreign-bearer") {
            return Err(self.refuse(asked, 403, "unauthorized_client", "The bearer belongs to another client."));
        }
        let may = if self.on("rotation-needs-wildcard") {
            bearer.scopes.iter().any(|s| s == "tokens:*")
        } else {
            self.any_covers(&bearer.scopes, "tokens:write") || self.on("rotation-without-write")
        };
        if !may {
            return Err(self.refuse(asked, 403, "insufficient_scope", "tokens:write is needed."));
        }
        let client = self.client(&bearer.client);
        let limit = if self.on("rotation-escalates") { client.scopes.clone() } else { bearer.scopes.clone() };
        let default = if self.on("rotation-all-scopes") { client.scopes.clone() } else { bearer.scopes.clone() };
        let scopes = if self.on("rotation-all-scopes") && scopes.is_none() {
            default
        } else {
            self.grantable(asked, scopes.unwrap_or(default), &limit, 403)?
        };
        if let Some(parent) = &bearer.parent {
            let until = if self.on("no-grace") { 0 } else { self.clock.now() + GRACE };
            let held = self.retired.entry(parent.clone()).or_insert(until);
            *held = until.min(*held);
            if self.on("feed-retires-now") {
                self.report("parent", parent, self.clock.now());
            }
        }
        let reply = self.mint_long(&client, scopes, ttl, bearer.auth_time);
        if self.on("rotated-token-dead") {
            let id = reply.body["token_id"].as_str().unwrap_or_default().to_owned();
            self.revoked.insert(id);
        }
        Ok(reply)
    }

    fn issue_short(&mut self, asked: &Asked) -> Result<Reply, Refused> {
        let header = self.single(asked, "authorization", "invalid_token", "-on-short")?;
        if self.on("body-before-bearer") && !asked.body.is_empty() {
            let body = self.body(asked)?;
            self.scopes(asked, &body)?;
        }
        if self.on("any-bearer-exchanges") {
            let bearer = self.bearer(asked, header.as_deref(), "long");
            if bearer.is_err() {
                let client = self.clients[0].clone();
                let nobody = Bearer {
                    kind: "long",
                    client: client.id.clone(),
                    id: "tok_lt_x".to_owned(),
                    scopes: Vec::new(),
                    exp: u64::MAX,
                    parent: None,
                    auth_time: self.clock.now(),
                };
                return Ok(self.mint_short(&client, &nobody, client.scopes.clone()));
            }
        }
        // With a header, the bearer goes before the body; without one the body is where it may be.
        let from_header = match &header {
            None if self.on("bearer-in-query") && asked.path.contains('?') => Some(self.bearer(asked, None, "long")?),
            Some(_) => Some(self.bearer(asked, header.as_deref(), "long")?),
            None => None,
        };
        let mut body = Map::new();
        let no_body = asked.body.is_empty() || (asked.body == b"null" && !self.on("null-body-refused"));
        if !no_body {
            if header.is_none() && asked.body.len() > 16_384 {
                return Err(self.refuse(asked, 400, "invalid_request", "The body is too long."));
            }
            body = self.body(asked)?;
            if self.on("empty-object-400") && body.is_empty() {
                return Err(self.refuse(asked, 400, "invalid_request", "An empty object."));
            }
            self.only(asked, &body, &["scopes", "long_token"])?;
        }
        let in_body = self.text(asked, &body, "long_token")?.filter(|_| !self.on("long-token-ignored"));
        let bearer = match (from_header, in_body) {
            (Some(bearer), None) => bearer,
            (Some(bearer), Some(token)) => {
                let same = header.as_deref() == Some(&format!("Bearer {token}"));
                if (!same && !self.on("long-token-differs-ok")) || (same && self.on("long-token-twice-400")) {
                    return Err(self.refuse(asked, 400, "invalid_request", "long_token and the bearer differ."));
                }
                bearer
            }
            (None, Some(token)) => self.bearer(asked, Some(&format!("Bearer {token}")), "long")?,
            (None, None) if self.on("bearer-missing-400") => {
                return Err(self.refuse(asked, 400, "invalid_request", "No token."));
            }
            (None, None) => return Err(self.refuse(asked, 401, "invalid_token", "No token.")),
        };
        let scopes = self.scopes(asked, &body)?;
        self.limit(asked, &format!("short {}", bearer.id), &bearer.client)?;
        if self.on("exchange-refused") {
            return Err(self.refuse(asked, 401, "invalid_token", "No."));
        }
        let held =
            if self.on("short-scopes-by-client") { self.client(&bearer.client).scopes } else { bearer.scopes.clone() };
        let scopes = match scopes {
            None if self.on("short-default-first") => bearer.scopes[..1].to_vec(),
            None => bearer.scopes.clone(),
            Some(_) if self.on("short-scopes-ignored") => bearer.scopes.clone(),
            Some(scopes) if self.on("short-escalates") => scopes,
            Some(scopes) => self.grantable(asked, scopes, &held, if self.on("short-403") { 403 } else { 400 })?,
        };
        let client = self.client(&bearer.client);
        Ok(self.mint_short(&client, &bearer, scopes))
    }

    fn revoke(&mut self, asked: &Asked, id: &str) -> Result<Reply, Refused> {
        if self.on("503-on-revoke") {
            return Err(self.refuse(asked, 503, "unavailable", "Please retry."));
        }
        if self.on("revoke-reads-body")
            && !asked.body.is_empty()
            && serde_json::from_slice::<Value>(&asked.body).is_err()
        {
            return Err(self.refuse(asked, 400, "invalid_request", "No JSON."));
        }
        let header = self.single(asked, "authorization", "invalid_token", "-on-revoke")?;
        if header.is_none() && self.on("revoke-without-bearer") {
            return Ok(self.ended());
        }
        let token = header.as_deref().and_then(|h| h.strip_prefix("Bearer ")).unwrap_or_default();
        let kind = match Jwt::read(token) {
            Some(jwt) if jwt.header["typ"] == "lt+jwt" => "long",
            _ => "short",
        };
        // A token that revoked itself may repeat that very call: its own end is no reason to refuse it.
        let verified = self.verified(asked, header.as_deref(), kind);
        let bearer = match verified {
            Ok(bearer) => bearer,
            Err(_) if self.on("any-bearer-revokes") => return Ok(self.ended()),
            Err(refused) => return Err(refused),
        };
        if (bearer.id != id || self.on("self-repeat-401"))
            && self.is_over(&bearer)
            && !self.on("revoked-bearer-revokes")
        {
            return Err(self.refuse(asked, 401, "invalid_token", "The token is revoked."));
        }
        let owner = self.owner(id);
        if owner.as_deref() != Some(bearer.client.as_str()) {
            if self.on("unknown-id-204") && owner.is_none() {
                return Ok(self.ended());
            }
            if self.on("malformed-id-400") && !id.starts_with("tok_") {
                return Err(self.refuse(asked, 400, "invalid_request", "A malformed id."));
            }
            if self.on("unknown-needs-scope") && !self.any_covers(&bearer.scopes, "tokens:revoke-all") {
                return Err(self.refuse(asked, 401, "insufficient_scope", "tokens:revoke is needed."));
            }
            if self.on("foreign-404-but-revoked") && owner.is_some() {
                self.revoked.insert(id.to_owned());
            }
            if self.on("foreign-told") && owner.is_some() {
                return Err(self.refuse(asked, 404, "not_found", "That is another client's token."));
            }
            if !(self.on("foreign-revocable") && owner.is_some()) {
                return Err(self.refuse(asked, 404, "not_found", "No such token."));
            }
        }
        if self.on("short-ids-404") && id.starts_with("tok_st_") && id != bearer.id {
            return Err(self.refuse(asked, 404, "not_found", "No such token."));
        }
        if self.on("sibling-refused") && id != bearer.id {
            return Err(self.refuse(asked, 404, "not_found", "No such token."));
        }
        let may = if self.on("revoke-needs-wildcard") {
            bearer.scopes.iter().any(|s| s == "tokens:*")
        } else {
            self.any_covers(&bearer.scopes, "tokens:revoke") || self.on("revoke-without-scope")
        };
        if !may && (bearer.id != id || self.on("self-needs-scope")) {
            let status = if self.on("revoke-403") { 403 } else { 401 };
            return Err(self.refuse(asked, status, "insufficient_scope", "tokens:revoke is needed for another token."));
        }
        if self.revoked.contains(id) && self.on("revoke-not-idempotent") {
            return Err(self.refuse(asked, 404, "not_found", "No such token."));
        }
        if !self.on("revoke-no-op") {
            self.revoked.insert(id.to_owned());
            self.report_token(id, &bearer);
        }
        if self.on("revokes-bystanders") {
            self.revoked.extend(self.alone.remove(&bearer.client).unwrap_or_default());
        }
        if self.on("short-revocation-ends-parent")
            && let Some(parent) = bearer.parent.filter(|_| bearer.id == id)
        {
            self.revoked.insert(parent);
        }
        Ok(self.ended())
    }

    // ---- the request's headers and body

    /// The value of a header that may be there more than once, if it says the same each time. `place` ends the names of
    /// the faults of this operation.
    fn single(&self, asked: &Asked, name: &str, code: &str, place: &str) -> Result<Option<String>, Refused> {
        let all = asked.all(name);
        let differ = all.iter().any(|value| *value != all[0]);
        if differ && !self.on(&format!("first-header-wins{place}")) {
            let told = match self.on("repeated-header-untold") {
                true => "The call could not be authenticated.".to_owned(),
                false => format!("The header {name} is there more than once, with different values."),
            };
            return Err(self.refuse(asked, 401, code, &told));
        }
        if !differ && all.len() > 1 && self.on(&format!("repeated-header-refused{place}")) {
            return Err(self.refuse(asked, 401, code, &format!("The header {name} is there more than once.")));
        }
        Ok(all.first().map(|value| (*value).to_owned()))
    }

    pub(super) fn body(&self, asked: &Asked) -> Result<Map<String, Value>, Refused> {
        let bad = |told: &str| self.refuse(asked, 400, "invalid_request", told);
        let kind = asked.header("content-type").unwrap_or_default();
        let media = kind.split(';').next().unwrap_or_default().trim();
        let fits = if self.on("content-type-exact") {
            kind == "application/json"
        } else if self.on("content-type-prefix") {
            media.to_lowercase().starts_with("application/json")
        } else {
            media.eq_ignore_ascii_case("application/json") || self.on("content-type-unchecked")
        };
        if !fits {
            return Err(bad("Content-Type must be application/json."));
        }
        let limit = if self.on("body-limit-8k") { 8192 } else { 16_384 };
        let counted = if self.on("size-by-content-length") && asked.header("content-length").is_none() {
            0
        } else {
            asked.body.len()
        };
        if counted > limit && !self.on("size-unchecked") {
            return Err(bad("The body is longer than 16384 bytes."));
        }
        if self.on("chunked-refused") && asked.header("content-length").is_none() {
            return Err(bad("Content-Length is needed."));
        }
        let lossy = String::from_utf8_lossy(&asked.body).into_owned();
        let bytes = if self.on("utf8-lossy") { lossy.as_bytes() } else { asked.body.as_slice() };
        if self.on("json-escapes-refused") && lossy.contains("\\u") {
            return Err(bad("Escapes."));
        }
        if self.on("trailing-data-ignored") {
            let mut first = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
            if let Some(Ok(Value::Object(members))) = first.next() {
                return Ok(members);
            }
        }
        if self.on("trailing-comma-ok") {
            let text = lossy.replace(",}", "}");
            if let Ok(Value::Object(members)) = serde_json::from_str(&text) {
                return Ok(members);
            }
        }
        if self.on("repeated-key-last-wins")
            && let Ok(Value::Object(members)) = serde_json::from_slice(bytes)
        {
            return Ok(members);
        }
        match serde_json::from_slice::<Strict>(bytes) {
            Ok(Strict(mut members)) => {
                if self.on("null-as-absent") || self.on("client-id-optional") {
                    members.retain(|_, v| !v.is_null());
                }
                Ok(members)
            }
            Err(_) if self.on("malformed-401") => Err(self.refuse(asked, 401, "invalid_client", "No JSON.")),
            Err(_) => Err(bad("The body is not a JSON object with each key once.")),
        }
    }

    fn only(&self, asked: &Asked, body: &Map<String, Value>, known: &[&str]) -> Result<(), Refused> {
        if self.on("unknown-field-ignored") {
            return Ok(());
        }
        match body.keys().find(|k| !known.contains(&k.as_str())) {
            None => Ok(()),
            Some(_) if self.on("unknown-field-unnamed") => {
                Err(self.refuse(asked, 400, "invalid_request", "There is an unknown field."))
            }
            Some(field) => {
                let details = json!({"field": field});
                Err(Box::new(self.error(
                    asked,
                    400,
                    "invalid_request",
                    &format!("Unknown field {field}."),
                    Some(details),
                )))
            }
        }
    }

    pub(super) fn text(&self, asked: &Asked, body: &Map<String, Value>, name: &str) -> Result<Option<String>, Refused> {
        match body.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) if self.on("types-coerced") => Ok(Some(other.to_string())),
            Some(_) => Err(self.refuse(asked, 400, "invalid_request", &format!("{name} must be a string."))),
        }
    }

    fn ttl(&self, asked: &Asked, body: &Map<String, Value>) -> Result<Option<u64>, Refused> {
        let bad =
            || Err(self.refuse(asked, 400, "invalid_request", "ttl_seconds must be an integer from 3600 to 7776000."));
        let ttl = match body.get("ttl_seconds") {
            None => return Ok(None),
            Some(_) if self.on("ttl-ignored") => return Ok(None),
            Some(value) if self.on("types-coerced") && !value.is_u64() => return Ok(Some(3600)),
            Some(value) if self.on("ttl-range-unchecked") && value.is_number() => {
                return Ok(Some(value.as_u64().unwrap_or(3600).clamp(3600, 7_776_000)));
            }
            Some(value) => value.as_u64(),
        };
        let most = if self.on("ttl-max-exclusive") { 7_775_999 } else { 7_776_000 };
        match ttl {
            Some(ttl) if (3600..=most).contains(&ttl) => Ok(Some(ttl)),
            _ => bad(),
        }
    }

    pub(super) fn scopes(&self, asked: &Asked, body: &Map<String, Value>) -> Result<Option<Vec<String>>, Refused> {
        let list = match body.get("scopes") {
            None => return Ok(None),
            Some(Value::Array(list)) => list.clone(),
            Some(Value::String(one)) if self.on("types-coerced") => vec![one.clone().into()],
            Some(_) => return Err(self.refuse(asked, 400, "invalid_request", "scopes must be an array of strings.")),
        };
        let mut scopes = Vec::new();
        for value in list {
            match value {
                Value::String(scope) => scopes.push(scope),
                _ if self.on("types-coerced") => scopes.push("jobs:submit".to_owned()),
                _ => return Err(self.refuse(asked, 400, "invalid_request", "scopes must be an array of strings.")),
            }
        }
        let bad = |told: &str| Err(self.refuse(asked, 400, "invalid_scope", told));
        if scopes.is_empty() && !self.on("scopes-empty-ok") {
            return bad("scopes is empty.");
        }
        if scopes.is_empty() {
            return Ok(None);
        }
        let most = if self.on("scopes-63") { 63 } else { 64 };
        if scopes.len() > most && !self.on("scope-count-unchecked") {
            return bad("More than 64 scopes.");
        }
        let longest = if self.on("scope-100") { 100 } else { 128 };
        for scope in &scopes {
            if scope.len() > longest && !self.on("scope-length-unchecked") {
                return bad("A scope of more than 128 characters.");
            }
            let letters = |part: &str| {
                let fits = |b: u8| {
                    b.is_ascii_lowercase()
                        || b.is_ascii_digit()
                        || b == b'-'
                        || (b == b'_' && !self.on("scope-no-underscore"))
                };
                !part.is_empty() && part.bytes().all(fits)
            };
            let fits = scope
                .split_once(':')
                .is_some_and(|(resource, action)| letters(resource) && (action == "*" || letters(action)));
            if !fits && !self.on("scope-grammar-unchecked") {
                return bad("A scope is resource:action.");
            }
        }
        if self.on("scopes-sorted") {
            scopes.sort();
        }
        if !self.on("duplicates-kept") {
            let mut seen = HashSet::new();
            scopes.retain(|s| seen.insert(s.clone()));
        }
        Ok(Some(scopes))
    }

    // ---- credentials

    fn secret_fits(&self, client: &ClientRecord, secret: &str) -> bool {
        let equal = |a: &str, b: &str| a == b;
        equal(&client.secret, secret)
            || self.on("any-secret")
            || (self.on("secret-trimmed") && equal(&client.secret, secret.trim()))
            || (self.on("secret-prefix") && secret.starts_with(&client.secret))
            || (self.on("secret-folded") && secret.eq_ignore_ascii_case(&client.secret))
            || (self.on("any-clients-secret") && self.clients.iter().any(|c| equal(&c.secret, secret)))
    }

    fn code_fits(&mut self, client: &ClientRecord, code: &str) -> bool {
        let (any, reusable, older, race, never_locks, refused) = (
            self.on("otp-any"),
            self.on("otp-reusable"),
            self.on("otp-older-ok"),
            self.on("otp-race"),
            self.on("never-locks"),
            self.on("otp-refused"),
        );
        let now = self.clock.now();
        let step = totp::step_at(now);
        let codes = self.codes.entry(client.id.clone()).or_default();
        if refused || (codes.locked_until > now && !never_locks) {
            return false;
        }
        let Some(fit) = (step - 1..=step + 1).find(|s| totp::code(&client.totp, *s) == code) else {
            codes.wrong.retain(|at| at + 300 > now);
            codes.wrong.push(now);
            if codes.wrong.len() >= 5 {
                codes.locked_until = now + 300;
            }
            return any;
        };
        let again = fit == codes.last && (reusable || (race && codes.uses_of_last < 2));
        if fit > codes.last || again || (older && fit < codes.last) {
            codes.uses_of_last = if again { codes.uses_of_last + 1 } else { 1 };
            codes.last = codes.last.max(fit);
            return true;
        }
        false
    }

    /// The client that the assertion speaks for.
    fn assertion_fits(&mut self, client: &ClientRecord, assertion: &str) -> Option<ClientRecord> {
        if self.on("assertion-refused") {
            return None;
        }
        let jwt = Jwt::read(assertion)?;
        if self.on("own-tokens-as-assertions") && jwt.claims["iss"] == self.issuer.as_str() {
            return Some(client.clone());
        }
        let claims = &jwt.claims;
        let mut by = client.clone();
        if self.on("assertion-client-unbound") {
            by = self.clients.iter().find(|c| claims["iss"] == c.id.as_str())?.clone();
        }
        let (input, mac) = assertion.rsplit_once('.')?;
        let verifies = |public: &[u8]| {
            let mac = unb64(mac).unwrap_or_default();
            signature::UnparsedPublicKey::new(&signature::ED25519, public).verify(input.as_bytes(), &mac).is_ok()
        };
        let alg = jwt.header["alg"].as_str().unwrap_or_default();
        let kid_fits = jwt.header["kid"] == by.kid.as_str() || self.on("kid-ignored");
        let mut signed = kid_fits && (alg == "EdDSA" || self.on("alg-header-ignored")) && verifies(&by.public);
        signed |= self.on("signature-unchecked") && kid_fits;
        signed |= self.on("alg-none") && alg == "none";
        signed |= self.on("any-registered-key") && self.clients.iter().any(|c| verifies(&c.public));
        signed |= self.on("hs256-public-key") && alg == "HS256" && jose::hs256(&by.public, input) == assertion;
        if !signed {
            return None;
        }
        let now = self.clock.now();
        let leeway = if self.on("no-leeway") { 0 } else { LEEWAY };
        if (claims["iss"] != by.id.as_str() && !self.on("iss-unchecked"))
            || (claims["sub"] != by.id.as_str() && !self.on("sub-unchecked"))
        {
            return None;
        }
        let endpoint = format!("{}/auth/tokens/long", self.issuer);
        let named =
            |aud: &Value| aud == endpoint.as_str() || (aud == self.issuer.as_str() && !self.on("aud-issuer-refused"));
        let aud = match &claims["aud"] {
            Value::Array(all) => all.iter().any(named) && !self.on("aud-array-refused"),
            one => named(one),
        };
        if !aud && !self.on("aud-unchecked") {
            return None;
        }
        let most = if self.on("exp-300") { 300 } else { 600 };
        match &claims["exp"] {
            Value::Null if self.on("exp-optional") => {}
            Value::String(_) if self.on("exp-string-ok") => {}
            exp => {
                let exp = exp.as_u64()?;
                if exp + LEEWAY <= now && !self.on("exp-unchecked") {
                    return None;
                }
                if exp > now + most + leeway && !self.on("exp-far-ok") {
                    return None;
                }
            }
        }
        if claims.get("iat").is_none() && self.on("iat-required") {
            return None;
        }
        for (name, unchecked) in [("iat", "iat-unchecked"), ("nbf", "nbf-unchecked")] {
            if claims[name].as_u64().is_some_and(|at| at > now + leeway) && !self.on(unchecked) {
                return None;
            }
        }
        let jti = match claims["jti"].as_str() {
            Some(jti) => format!("{} {jti}", by.id),
            None if self.on("jti-optional") => return Some(by),
            None => return None,
        };
        let uses = self.assertions.entry(jti).or_default();
        *uses += 1;
        let allowed = match self.fault {
            Some("jti-reusable") => u32::MAX,
            Some("jti-race") => 3,
            _ => 1,
        };
        (*uses <= allowed).then_some(by)
    }

    // ---- bearers

    pub(super) fn bearer(
        &mut self,
        asked: &Asked,
        header: Option<&str>,
        kind: &'static str,
    ) -> Result<Bearer, Refused> {
        let bearer = self.verified(asked, header, kind)?;
        let over = self.is_over(&bearer);
        let forgiven = kind == "short" && self.on("short-revocation-unchecked");
        if over && !forgiven {
            return Err(self.refuse(asked, 401, "invalid_token", "The token is revoked."));
        }
        Ok(bearer)
    }

    /// Signature, kind and end; not whether it was revoked.
    pub(super) fn verified(
        &mut self,
        asked: &Asked,
        header: Option<&str>,
        kind: &'static str,
    ) -> Result<Bearer, Refused> {
        let refused = self.refuse(asked, 401, "invalid_token", "The token is missing or not valid.");
        let from_query = asked.path.split_once("access_token=").map(|(_, token)| format!("Bearer {token}"));
        let header = match (header, from_query) {
            (None, Some(token)) if self.on("bearer-in-query") => token,
            (Some(header), _) => header.to_owned(),
            _ => return Err(refused),
        };
        let token = match header.split_once(' ') {
            Some(("Bearer", token)) => token,
            Some((_, token)) if self.on("any-scheme") => token,
            _ => return Err(refused),
        };
        let Some(jwt) = Jwt::read(token) else { return Err(refused) };
        let input = token.rsplit_once('.').map_or("", |(input, _)| input);
        let unsigned = jwt.header["alg"] == "none" && self.on("token-alg-none");
        let long = jwt.header["typ"] == "lt+jwt"
            && (self.long_mac(input) == token
                || unsigned
                || self.on("long-signature-unchecked")
                || (self.on("hs256-empty-key") && jose::hs256(b"", input) == token));
        let public = self.key.public_key();
        let short = jwt.header["typ"] == "at+jwt"
            && (token.rsplit('.').next().and_then(unb64).is_some_and(|mac| {
                signature::UnparsedPublicKey::new(&signature::ED25519, public.as_ref())
                    .verify(input.as_bytes(), &mac)
                    .is_ok()
            }) || unsigned
                || self.on("short-signature-unchecked")
                || self.on("short-hs256")
                || self.on("short-typ-jwt"));
        let short = short || (self.on("short-typ-jwt") && jwt.header["typ"] == "JWT");
        let fits = match kind {
            "long" => long || (short && self.on("short-where-long")),
            _ => short || (long && self.on("long-where-short")),
        };
        let exp = jwt.claims["exp"].as_u64().unwrap_or(0);
        if !fits || exp <= self.clock.now() || jwt.claims["iss"] != self.issuer.as_str() {
            return Err(refused);
        }
        let text = |name: &str| jwt.claims[name].as_str().unwrap_or_default().to_owned();
        let scopes = match &jwt.claims["scope"] {
            Value::Array(all) => all.iter().filter_map(|s| Some(s.as_str()?.to_owned())).collect(),
            _ => text("scope").split(' ').map(str::to_owned).collect(),
        };
        Ok(Bearer {
            kind: if long { "long" } else { "short" },
            client: text("client_id"),
            id: text("jti"),
            scopes,
            exp,
            parent: jwt.claims["parent"].as_str().map(str::to_owned),
            auth_time: jwt.claims["auth_time"].as_u64().unwrap_or(0),
        })
    }

    fn is_over(&mut self, bearer: &Bearer) -> bool {
        let retired = |id: &str| self.retired.get(id).is_some_and(|until| *until <= self.clock.now());
        let mut over = self.revoked.contains(&bearer.id) || retired(&bearer.id);
        if let Some(parent) = &bearer.parent
            && !self.on("no-cascade")
        {
            over |= self.revoked.contains(parent) || retired(parent);
        }
        // A deleted client has no record.
        let client = self.clients.iter().find(|c| c.id == bearer.client);
        over |= client.is_none_or(|c| c.suspended || bearer.auth_time < c.valid_from);
        if over && self.on("flapping") && bearer.kind == "long" {
            let flips = self.flips.entry(bearer.id.clone()).or_default();
            *flips += 1;
            return flips.is_multiple_of(2);
        }
        over
    }

    // ---- scopes

    fn covers(&self, held: &str, asked: &str) -> bool {
        let (Some((resource, action)), Some((asked_resource, asked_action))) =
            (held.split_once(':'), asked.split_once(':'))
        else {
            return held == asked;
        };
        let same = resource == asked_resource
            || (self.on("wildcard-as-prefix") && action == "*" && asked_resource.starts_with(resource))
            || (self.on("wildcard-reversed") && action == "*" && resource.starts_with(asked_resource));
        same && (action == asked_action || action == "*")
    }

    pub(super) fn any_covers(&self, held: &[String], asked: &str) -> bool {
        held.iter().any(|h| self.covers(h, asked))
    }

    fn grantable(
        &self,
        asked: &Asked,
        scopes: Vec<String>,
        held: &[String],
        status: u16,
    ) -> Result<Vec<String>, Refused> {
        if self.on("wildcard-alone-refused") && scopes == ["jobs:*"] {
            return Err(self.refuse(asked, 400, "invalid_scope", "No wildcards."));
        }
        let beyond = scopes.iter().find(|s| !self.any_covers(held, s));
        match beyond {
            None => Ok(scopes),
            Some(_) if self.on("scopes-escalate") && status == 403 => Ok(scopes),
            Some(_) if self.on("scopes-partly") && scopes.iter().any(|s| self.any_covers(held, s)) => {
                Ok(scopes.into_iter().filter(|s| self.any_covers(held, s)).collect())
            }
            Some(scope) => {
                let code = if status == 403 { "insufficient_scope" } else { "invalid_scope" };
                let details = json!({"scope": scope});
                Err(Box::new(self.error(asked, status, code, "A scope is beyond what may be granted.", Some(details))))
            }
        }
    }

    // ---- minting

    fn client(&self, id: &str) -> ClientRecord {
        self.clients.iter().find(|c| c.id == id).unwrap_or(&self.clients[0]).clone()
    }

    fn limit(&mut self, asked: &Asked, what: &str, client: &str) -> Result<(), Refused> {
        let calls = self.calls.entry(format!("{what} {}", self.clock.now() / 60)).or_default();
        *calls += 1;
        let most = match what.starts_with("short") {
            true => SHORT_LIMIT,
            false if client == BURST_CLIENT => BURST_LIMIT,
            false => LONG_LIMIT,
        };
        let calls = *calls;
        let busy = client == BURST_CLIENT && (most / 2..most).contains(&calls);
        if busy && self.on("500-under-load") {
            return Err(self.refuse(asked, 500, "server_error", "Too much."));
        }
        if busy && self.on("grants-under-load") && what.starts_with("long") {
            let client = self.client(client);
            return Err(Box::new(self.mint_long(&client, client.scopes.clone(), Some(3600), self.clock.now())));
        }
        if calls <= most || self.on("never-429") {
            return Ok(());
        }
        let mut reply =
            self.error(asked, 429, "rate_limited", "Too many requests. Please retry after 60 seconds.", None);
        let bare = self.on("no-retry-after") || (self.on("later-429-bare") && calls > most + 1);
        if !bare {
            reply.headers.push(("Retry-After".into(), "60".into()));
        }
        Err(Box::new(reply))
    }

    /// A token id authenticates itself: end, random part, and a MAC over those, the kind and the client.
    fn new_id(&self, kind: &str, client: &str, exp: u64) -> String {
        let mut random = [0; 8];
        if !self.on("tokens-repeat") {
            let _ = SystemRandom::new().fill(&mut random);
        }
        let mut bytes = exp.to_be_bytes().to_vec();
        bytes.extend(random);
        let mac = hmac::sign(&self.secret, &[kind.as_bytes(), client.as_bytes(), &bytes].concat());
        bytes.extend(&mac.as_ref()[..17]);
        if self.on("token-id-bare") { format!("{kind}.{}", b64(bytes)) } else { format!("tok_{kind}_{}", b64(bytes)) }
    }

    fn owner(&self, id: &str) -> Option<String> {
        let id = match self.on("id-prefix") {
            true => id.get(..51).unwrap_or(id),
            false => id,
        };
        let rest = id.strip_prefix("tok_").or(id.get(0..).filter(|_| self.on("token-id-bare")))?;
        let (kind, text) = rest.split_at_checked(2)?;
        let bytes = unb64(text.get(1..)?)?;
        if bytes.len() != 33 || !["lt", "st"].contains(&kind) {
            return None;
        }
        let fits = |client: &&ClientRecord| {
            let mac = hmac::sign(&self.secret, &[kind.as_bytes(), client.id.as_bytes(), &bytes[..16]].concat());
            mac.as_ref()[..17] == bytes[16..] || (self.on("id-mac-unchecked") && self.revoked.len() < usize::MAX)
        };
        self.clients.iter().find(fits).map(|c| c.id.clone())
    }

    fn long_mac(&self, input: &str) -> String {
        format!("{input}.{}", b64(hmac::sign(&self.secret, input.as_bytes())))
    }

    fn mint_long(&mut self, client: &ClientRecord, scopes: Vec<String>, ttl: Option<u64>, auth_time: u64) -> Reply {
        let default = if self.on("ttl-default-hour") { 3600 } else { 2_592_000 };
        let unclamped = self.on("no-clamp") || (ttl.is_none() && self.on("default-not-clamped"));
        let ttl = ttl.unwrap_or(default);
        let ttl = match client.max_ttl {
            Some(most) if self.on("capped-always") => most,
            Some(most) if !unclamped => ttl.min(most),
            _ => ttl,
        };
        let now = self.clock.now();
        let id = self.new_id("lt", &client.id, now + ttl);
        if scopes == ["jobs:submit"] {
            self.alone.entry(client.id.clone()).or_default().push(id.clone());
        }
        let header = json!({"alg": "HS256", "typ": "lt+jwt", "kid": "l1"});
        let claims = json!({
            "iss": self.issuer, "client_id": client.id, "scope": scopes.join(" "), "iat": now, "exp": now + ttl, "jti": id,
            "auth_time": auth_time,
        });
        let token = self.long_mac(&jose::signing_input(&header, &claims));
        let mut reply = self.granted("long", &id, &token, &scopes, ttl);
        if !self.on("no-x-token-id") {
            let told = if self.on("x-token-id-other") { "tok_lt_other".to_owned() } else { id };
            reply.headers.push(("X-Token-Id".into(), told));
        }
        reply
    }

    fn mint_short(&mut self, client: &ClientRecord, parent: &Bearer, scopes: Vec<String>) -> Reply {
        let now = self.clock.now();
        let lives = if self.on("short-lives-60") { 60 } else { 900 };
        let mut ttl = lives.min(parent.exp.saturating_sub(now));
        if self.on("short-outlives-long") {
            ttl = parent.exp.saturating_sub(now) + 900;
        }
        let id = self.new_id("st", &client.id, now + ttl);
        let exp = if self.on("exp-an-hour") { now + 3600 } else { now + ttl };
        let typ = if self.on("short-typ-jwt") { "JWT" } else { "at+jwt" };
        let mut header = json!({"alg": "EdDSA", "typ": typ, "kid": "s1"});
        let mut claims = json!({
            "iss": self.issuer, "sub": client.id, "client_id": client.id, "aud": self.issuer, "iat": now, "exp": exp,
            "jti": id, "scope": scopes.join(" "), "parent": parent.id, "auth_time": parent.auth_time,
        });
        for (fault, claim) in [("short-lacks-aud", "aud"), ("no-parent", "parent")] {
            if self.on(fault)
                && let Some(members) = claims.as_object_mut()
            {
                members.remove(claim);
            }
        }
        if self.on("scope-claim-array") {
            claims["scope"] = json!(scopes);
        }
        if self.on("short-hs256") {
            header["alg"] = "HS256".into();
        }
        let input = jose::signing_input(&header, &claims);
        let mut token = format!("{input}.{}", b64(self.key.sign(input.as_bytes())));
        if self.on("opaque-short-token") {
            token = id.replace("tok", "opaque");
        }
        self.granted("short", &id, &token, &scopes, ttl)
    }

    // ---- answers

    fn granted(&self, kind: &str, id: &str, token: &str, scopes: &[String], ttl: u64) -> Reply {
        let late = if self.on("expires-at-late") { 7200 } else { 0 };
        let mut body = json!({
            "token_type": "Bearer", "access_token": token, "expires_in": ttl,
            "expires_at": clock::rfc3339(self.clock.now() + ttl + late), "scopes": scopes, "token_id": id,
        });
        if self.on("extra-field") {
            body["refresh_token"] = "none".into();
        }
        if self.on("token-type-lower") {
            body["token_type"] = "bearer".into();
        }
        let _ = kind;
        self.dressed(201, body)
    }

    pub(super) fn ended(&self) -> Reply {
        let body = if self.on("204-with-body") { json!({"ok": true}) } else { Value::Null };
        self.dressed(if self.on("204-with-body") { 200 } else { 204 }, body)
    }

    pub(super) fn dressed(&self, status: u16, body: Value) -> Reply {
        let mut headers = Vec::new();
        if !(self.on("no-no-store") || (self.on("no-no-store-on-404") && status == 404)) {
            headers.push(("Cache-Control".to_owned(), "no-store".to_owned()));
        }
        if !self.on("no-nosniff") {
            headers.push(("X-Content-Type-Options".to_owned(), "nosniff".to_owned()));
        }
        let form = if self.on("html-errors") && status >= 400 { Form::Html } else { Form::Json };
        Reply { status, headers, body, form }
    }

    pub(super) fn refuse(&self, asked: &Asked, status: u16, code: &str, message: &str) -> Refused {
        Box::new(self.error(asked, status, code, message, None))
    }

    pub(super) fn error(&self, asked: &Asked, status: u16, code: &str, message: &str, details: Option<Value>) -> Reply {
        let status = match status {
            400 if self.on("422-for-400") && asked.path.ends_with("/long") => 422,
            status => status,
        };
        let told = if self.on("wrong-code") { "error" } else { code };
        let mut body = json!({"code": told, "message": message});
        if let Some(details) = details {
            body["details"] = if self.on("details-string") { details.to_string().into() } else { details };
        }
        if self.on("error-extra-field") {
            body["trace_id"] = "1".into();
        }
        let mut reply = self.dressed(status, body);
        let part = ["/long", "/short", "/revoke"].into_iter().find(|end| asked.path.ends_with(end)).unwrap_or("/");
        let silent = self.on("no-www-authenticate")
            || (self.on("no-challenge-short") && part == "/short")
            || (self.on("no-challenge-revoke") && part == "/revoke");
        if status == 401 && !silent {
            // The mechanism in the body decides on /long: a bearer beside it was not presented for this.
            let presented =
                asked.header("authorization").is_some_and(|v| v.starts_with("Bearer ")) && code != "invalid_client";
            let error = if self.on("challenge-invalid-token") { "invalid_token" } else { code };
            let mut challenge = "Bearer realm=\"auth\"".to_owned();
            if (presented && !self.on("challenge-never-error")) || self.on("challenge-always-error") {
                challenge += &format!(", error=\"{error}\"");
            }
            if self.on("challenge-basic") {
                challenge = "Basic realm=\"auth\"".to_owned();
            }
            reply.headers.push(("WWW-Authenticate".to_owned(), challenge));
        }
        reply
    }
}

/// A JSON object in which no key is repeated.
struct Strict(Map<String, Value>);

impl<'de> serde::Deserialize<'de> for Strict {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Strict;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Strict, A::Error> {
                let mut members = Map::new();
                while let Some((key, value)) = access.next_entry::<String, Value>()? {
                    if members.insert(key, value).is_some() {
                        return Err(serde::de::Error::custom("a repeated key"));
                    }
                }
                Ok(Strict(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}
