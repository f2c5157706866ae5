//! What stands around the reference's tokens, as far as the feed of ends needs it: metadata, keys, the operators' calls,
//! and the feed.

use super::reference::{Bearer, ClientRecord, Reference, Refused};
use super::wire::{Asked, Form, Reply};
use crate::clock;
use crate::jose::{self, b64};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::KeyPair;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

const FOR_GOOD: u64 = 253_402_300_799;
const LIFE: u64 = 300;
/// A text is signed anew so often, in seconds: half of its life is always left.
const RENEWED: u64 = 120;
const MEMBERS: [&str; 3] = ["token", "parent", "client"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedMode {
    Public,
    Private,
    Off,
}

/// An entry of the feed.
pub struct Ended {
    at: u64,
    seq: u64,
    reported: Instant,
    was_read: bool,
}

impl Reference {
    /// What is served at the origin; nothing for other paths.
    pub(super) fn well_known(&mut self, asked: &Asked, path: &str) -> Result<Option<Reply>, Refused> {
        let origin = self.issuer.trim_end_matches("/v1").to_owned();
        let feed = if self.on("feed-below-base") { "/v1/.well-known/revocations" } else { "/.well-known/revocations" };
        let document = match path {
            "/.well-known/jwks.json" => {
                let public = self.key.public_key().as_ref();
                let x = if self.on("feed-other-key") { b64([9; 32]) } else { b64(public) };
                json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "s1", "x": x}]})
            }
            "/.well-known/oauth-authorization-server/v1" => {
                let jwks = format!("{origin}/.well-known/jwks.json");
                let mut metadata = json!({"issuer": self.issuer, "jwks_uri": jwks});
                if self.feed != FeedMode::Off && !self.on("feed-unnamed") {
                    let base = if self.on("feed-named-below-base") { &self.issuer } else { &origin };
                    metadata["revocations_uri"] = format!("{base}/.well-known/revocations").into();
                }
                metadata
            }
            _ if path == feed && self.feed != FeedMode::Off && !self.on("feed-missing") => {
                return self.serve_feed(asked).map(Some);
            }
            _ => return Ok(None),
        };
        let mut reply = self.dressed(200, document);
        set_header(&mut reply, "Cache-Control", "public, max-age=300");
        Ok(Some(reply))
    }

    // ---- the operators' calls

    pub(super) fn operate(&mut self, asked: &Asked, rest: &[&str]) -> Result<Reply, Refused> {
        let scope = if asked.method == "GET" { "clients:read" } else { "clients:write" };
        let bearer = self.bearer(asked, asked.header("authorization"), "short")?;
        if !self.any_covers(&bearer.scopes, scope) {
            return Err(self.refuse(asked, 401, "insufficient_scope", "That is for operators."));
        }
        if let ("POST", []) = (asked.method.as_str(), rest) {
            return self.make_client(asked);
        }
        let at = rest.first().and_then(|id| self.clients.iter().position(|c| c.id == *id));
        let Some(at) = at else { return Err(self.refuse(asked, 404, "not_found", "No such client.")) };
        let id = self.clients[at].id.clone();
        match (asked.method.as_str(), &rest[1..]) {
            ("DELETE", []) if self.on("503-on-delete") => {
                return Err(self.refuse(asked, 503, "unavailable", "Please retry."));
            }
            ("GET", []) => {}
            ("PATCH", []) => {
                let body = self.body(asked)?;
                let suspended = match self.text(asked, &body, "status")?.as_deref() {
                    Some("suspended") => true,
                    Some("active") => false,
                    _ => return Err(self.refuse(asked, 400, "invalid_request", "status is active or suspended.")),
                };
                self.clients[at].suspended = suspended;
                match (suspended, self.clients[at].valid_from) {
                    (true, _) if self.on("feed-lacks-suspension") => {}
                    (true, _) if self.on("feed-suspends-until-now") => self.report("client", &id, self.clock.now() + 1),
                    (true, _) => self.report("client", &id, FOR_GOOD),
                    (false, _) if self.on("feed-lacks-restoration") => {}
                    (false, _) if self.on("feed-drops-restored") => {
                        self.ended.remove(&("client", self.listed_as("client", &id)));
                    }
                    (false, from) => self.report("client", &id, from),
                }
            }
            ("POST", ["end-tokens"]) => {
                // The next second. Its answer need not wait for it: a new token's `auth_time` is not before it.
                let from = self.clock.now() + 1;
                self.clients[at].valid_from = from;
                match self.fault {
                    Some("feed-lacks-end-tokens") => {}
                    Some("feed-ends-for-good") => self.report("client", &id, FOR_GOOD),
                    _ => self.report("client", &id, from),
                }
                return Ok(self.ended());
            }
            ("DELETE", []) => {
                self.clients.remove(at);
                if !self.on("feed-lacks-deletion") {
                    self.report("client", &id, FOR_GOOD);
                }
                return Ok(self.ended());
            }
            _ => return Err(self.refuse(asked, 404, "not_found", "No such path.")),
        }
        Ok(self.dressed(200, shown(&self.clients[at])))
    }

    fn make_client(&mut self, asked: &Asked) -> Result<Reply, Refused> {
        let body = self.body(asked)?;
        let (id, scopes) = (self.text(asked, &body, "client_id")?, self.scopes(asked, &body)?);
        let (Some(id), Some(scopes)) = (id, scopes) else {
            return Err(self.refuse(asked, 400, "invalid_request", "client_id and scopes are needed."));
        };
        if self.clients.iter().any(|c| c.id == id) {
            return Err(self.refuse(asked, 409, "conflict", "There is such a client."));
        }
        let mut secret = [0; 32];
        let _ = SystemRandom::new().fill(&mut secret);
        let client = ClientRecord {
            id,
            secret: format!("sec_{}", b64(secret)),
            totp: Vec::new(),
            otp_allowed: false,
            kid: String::new(),
            public: Vec::new(),
            scopes,
            max_ttl: body.get("max_ttl_seconds").and_then(Value::as_u64),
            suspended: false,
            valid_from: self.clock.now(),
        };
        let mut told = shown(&client);
        told["client_secret"] = client.secret.clone().into();
        self.clients.push(client);
        Ok(self.dressed(201, told))
    }

    // ---- the feed

    fn listed_as(&self, kind: &str, id: &str) -> String {
        let text = if self.on("feed-hash-bare") { id.to_owned() } else { format!("{kind}:{id}") };
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        match self.fault {
            Some("feed-hash-32") => b64(hash),
            Some("feed-hash-hex") => hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect(),
            _ => b64(&hash.as_ref()[..16]),
        }
    }

    /// A revocation, which may be another one of the same token.
    pub(super) fn report_token(&mut self, id: &str, caller: &Bearer) {
        let now = self.clock.now();
        let kind = if id.starts_with("tok_lt_") { "parent" } else { "token" };
        match (kind, self.fault) {
            ("token", Some("feed-lacks-token")) | ("parent", Some("feed-lacks-parent")) => return,
            ("parent", Some("feed-parent-ahead")) => return self.report(kind, id, now + 3000),
            ("parent", Some("feed-parent-as-token")) => self.report("token", id, now),
            (_, Some("feed-lacks-immediate")) if caller.client == "ref_Immediate" => return,
            (_, Some("feed-blames-client")) => self.report("client", &caller.client, now + 1),
            (_, Some("feed-blames-caller")) => self.report("token", &caller.id, now),
            _ => {}
        }
        self.report(kind, id, now);
    }

    /// An earlier end is never undone by a later one; of a client the last word counts.
    pub(super) fn report(&mut self, kind: &'static str, id: &str, at: u64) {
        let last_word = kind == "client" || self.on("feed-puts-off");
        let name = (kind, self.listed_as(kind, id));
        if self.ended.get(&name).is_some_and(|known| known.at == at || (known.at < at && !last_word)) {
            return;
        }
        self.seq += 1;
        self.ended.insert(name, Ended { at, seq: self.seq, reported: Instant::now(), was_read: false });
    }

    fn serve_feed(&mut self, asked: &Asked) -> Result<Reply, Refused> {
        let get = asked.method == "GET" || (asked.method == "HEAD" && !self.on("feed-head-405"));
        if !get && !self.on("feed-any-method") {
            let mut reply = self.error(asked, 405, "invalid_request", "Use GET.", None);
            let allow = if self.on("feed-405-allow-get") { "GET" } else { "GET, HEAD" };
            reply.headers.push(("Allow".into(), allow.into()));
            return Ok(reply);
        }
        if self.feed == FeedMode::Private {
            self.may_read(asked)?;
        }
        let since = asked.path.split_once("?since=").map(|(_, since)| since);
        let number = since.and_then(|since| since.parse().ok());
        if since.is_some() && number.is_none() && self.on("feed-nonsense-400") {
            return Err(self.refuse(asked, 400, "invalid_request", "since is a number."));
        }
        let number = if since.is_some() && self.on("feed-nonsense-as-zero") { number.or(Some(0)) } else { number };
        let ahead = number.is_some_and(|since| since > self.seq) && !self.on("feed-ahead-believed");
        let number = number.filter(|_| !ahead && !self.on("feed-since-ignored"));
        let text = self.feed_text(number);
        let etag = match self.fault {
            Some("feed-etag-constant") => "\"feed\"".to_owned(),
            Some("feed-etag-random") => format!("\"{}\"", self.requests),
            _ => format!("\"{}\"", b64(&digest::digest(&digest::SHA256, text.as_bytes()).as_ref()[..16])),
        };
        let known = asked.header("if-none-match").is_some_and(|known| known == etag || self.on("feed-always-304"));
        let mut reply = self.dressed(200, text.into());
        reply.form = Form::Text(if self.on("feed-as-text") { "text/plain" } else { "application/jwt" });
        if known && !self.on("feed-never-304") {
            (reply.status, reply.body) = (304, Value::Null);
        }
        if !self.on("feed-no-etag") {
            reply.headers.push(("ETag".into(), etag));
        }
        let is_public = self.feed == FeedMode::Public || self.on("private-feed-public-cache");
        let cache = match (self.fault, is_public) {
            (Some("feed-no-store"), _) => "no-store",
            (Some("feed-max-age-300"), _) => "public, max-age=300",
            (_, true) => "public, max-age=2",
            (_, false) => "private, max-age=2",
        };
        set_header(&mut reply, "Cache-Control", cache);
        Ok(reply)
    }

    fn may_read(&mut self, asked: &Asked) -> Result<(), Refused> {
        let header = asked.header("authorization");
        if header.is_none() && self.on("private-feed-other-code") {
            return Err(self.refuse(asked, 401, "insufficient_scope", "tokens:introspect is needed."));
        }
        if header.is_some() && self.on("private-feed-any-bearer") {
            return Ok(());
        }
        let bearer = match self.on("private-feed-revoked") {
            true => self.verified(asked, header, "short")?,
            false => self.bearer(asked, header, "short")?,
        };
        if !self.any_covers(&bearer.scopes, "tokens:introspect") && !self.on("private-feed-any-scope") {
            return Err(self.refuse(asked, 401, "insufficient_scope", "tokens:introspect is needed."));
        }
        Ok(())
    }

    /// What came after `since`, or the whole.
    fn feed_text(&mut self, since: Option<u64>) -> String {
        let (late, as_text) = (self.on("feed-late"), self.on("feed-times-text"));
        let after = match (since, self.fault) {
            (None, _) | (_, Some("feed-since-unfiltered")) => 0,
            (Some(_), Some("feed-since-empty")) => self.seq,
            (Some(since), _) => since,
        };
        let mut all: Map<String, Value> = MEMBERS.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
        let mut news = false;
        for ((kind, name), entry) in self.ended.iter_mut().filter(|(_, entry)| entry.seq > after) {
            if late && entry.reported.elapsed() < Duration::from_secs(5) {
                continue;
            }
            news |= !entry.was_read;
            entry.was_read = true;
            all[*kind][name] = if as_text { entry.at.to_string().into() } else { entry.at.into() };
        }
        if self.on("feed-empty-left-out") {
            all.retain(|_, entries| entries.as_object().is_some_and(|entries| !entries.is_empty()));
        }
        let now = self.clock.now();
        let iat = if self.on("feed-stale") { now - 200 } else { now - now % RENEWED };
        let exp = iat + if self.on("feed-lives-an-hour") { 3600 } else { LIFE };
        let issuer = if self.on("feed-other-issuer") { "https://other.example" } else { &self.issuer };
        let mut claims = json!({"iss": issuer, "iat": iat, "exp": exp, "seq": self.seq, "ended": all});
        match self.fault {
            Some("feed-seq-string") => claims["seq"] = self.seq.to_string().into(),
            Some("feed-seq-constant") => claims["seq"] = 1.into(),
            Some("feed-seq-falls") if news => claims["seq"] = (self.seq + 1000).into(),
            _ => {}
        }
        match (since, self.fault) {
            (None, Some("feed-since-always")) => claims["since"] = 0.into(),
            (Some(since), Some("feed-since-wrong")) => claims["since"] = (since + 1).into(),
            (Some(since), _) => claims["since"] = since.into(),
            _ => {}
        }
        let mut header = json!({"alg": "EdDSA", "typ": "revocations+jwt", "kid": "s1"});
        for (fault, name, value) in
            [("feed-typ-jwt", "typ", "JWT"), ("feed-alg-hs256", "alg", "HS256"), ("feed-kid-unknown", "kid", "s2")]
        {
            if self.on(fault) {
                header[name] = value.into();
            }
        }
        let input = jose::signing_input(&header, &claims);
        let signature = if self.on("feed-unsigned") { String::new() } else { b64(self.key.sign(input.as_bytes())) };
        format!("{input}.{signature}")
    }
}

/// A client as operators see it.
fn shown(client: &ClientRecord) -> Value {
    json!({
        "client_id": client.id, "status": if client.suspended { "suspended" } else { "active" },
        "scopes": client.scopes, "tokens_valid_from": clock::rfc3339(client.valid_from),
    })
}

fn set_header(reply: &mut Reply, name: &str, value: &str) {
    reply.headers.retain(|(known, _)| known != name);
    reply.headers.push((name.to_owned(), value.to_owned()));
}
