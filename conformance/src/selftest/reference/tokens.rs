//! Tokens: their ids, which authenticate themselves, and how they are issued.

use super::message::Reply;
use super::state::{Bearer, ClientRecord, Reference};
use crate::jose::{self, b64, unb64};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

/// The APIs that short-term tokens are for.
pub const AUDIENCE: &str = "https://api.example";

impl Reference {
    pub fn mint_long(&mut self, client: &ClientRecord, scopes: Vec<String>, ttl: Option<u64>, auth_time: u64) -> Reply {
        let default = if self.on("ttl-default-hour") { 3600 } else { 2_592_000 };
        let of_creation = self.memory.former.get(&client.id).filter(|_| self.on("max-ttl-of-creation"));
        let longest = of_creation.map_or(client.max_ttl, |former| former.max_ttl);
        let unclamped =
            self.on("no-clamp") || self.on("max-ttl-unbinding") || (ttl.is_none() && self.on("default-not-clamped"));
        let ttl = ttl.unwrap_or(default);
        let ttl = match longest {
            Some(most) if self.on("capped-always") => most,
            Some(most) if !unclamped => ttl.min(most),
            _ => ttl,
        };
        let now = self.clock.now();
        let id = self.new_id("lt", &client.id, now + ttl);
        if scopes == [crate::case::PLAIN] {
            self.memory.alone.entry(client.id.clone()).or_default().push(id.clone());
        }
        let before = self.memory.latest.insert((client.id.clone(), scopes.clone()), id.clone());
        if let Some(before) = before.filter(|_| self.on("second-ends-first")) {
            self.memory.revoked.insert(before);
        }
        let typ = if self.on("long-typ-jwt") { "JWT" } else { "lt+jwt" };
        let header = json!({"alg": "HS256", "typ": typ, "kid": "l1"});
        let kept = &scopes[..if self.on("long-token-cut") { scopes.len().min(10) } else { scopes.len() }];
        let mut claims = json!({
            "iss": self.issuer, "client_id": client.id, "scope": kept.join(" "), "iat": now, "exp": now + ttl, "jti": id,
            "auth_time": auth_time,
        });
        if self.on("long-jti-other") {
            claims["jti"] = "another".into();
        }
        if self.on("long-exp-later") {
            claims["exp"] = (now + ttl + 60).into();
        }
        let token = self.long_mac(&jose::signing_input(&header, &claims));
        self.issued(&client.id, &id, &token);
        let mut reply = self.granted("long", &id, &token, &scopes, ttl);
        if !self.on("no-x-token-id") {
            let told = if self.on("x-token-id-other") { "tok_lt_other".to_owned() } else { id };
            reply.headers.push(("X-Token-Id".into(), told));
        }
        reply
    }

    pub fn mint_short(&mut self, client: &ClientRecord, parent: &Bearer, scopes: Vec<String>) -> Reply {
        let now = self.clock.now();
        let lives = if self.on("short-lives-60") { 60 } else { 900 };
        let retired = self.memory.retired.get(&parent.id).filter(|_| !self.on("short-outlives-retired"));
        let end = retired.map_or(parent.exp, |until| parent.exp.min(*until));
        let mut ttl = lives.min(end.saturating_sub(now));
        if self.on("short-outlives-long") {
            ttl = parent.exp.saturating_sub(now) + 900;
        }
        let id = self.new_id("st", &client.id, now + ttl);
        self.memory.offspring.entry(parent.id.clone()).or_default().push(id.clone());
        self.memory.children.entry(parent.id.clone()).or_insert_with(|| id.clone());
        let exp = if self.on("exp-an-hour") { now + 3600 } else { now + ttl };
        let typ = if self.on("short-typ-jwt") { "JWT" } else { "at+jwt" };
        let mut header = json!({"alg": "EdDSA", "typ": typ, "kid": "s1"});
        let mut claims = json!({
            "iss": self.issuer, "sub": client.id, "client_id": client.id, "aud": AUDIENCE, "iat": now, "exp": exp,
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
        match self.fault {
            Some("short-jti-other") => claims["jti"] = "another".into(),
            Some("short-sub-other") => claims["sub"] = "somebody".into(),
            Some("short-exp-later") => claims["exp"] = (exp + 5).into(),
            Some("short-nbf-later") => claims["nbf"] = (now + 30).into(),
            Some("short-iat-earlier") => claims["iat"] = (now - 300).into(),
            Some("short-scope-wider") => claims["scope"] = parent.scopes.join(" ").into(),
            Some("no-auth-time") => claims["auth_time"] = Value::Null,
            Some("auth-time-ahead") => claims["auth_time"] = (now + 600).into(),
            Some("auth-time-of-exchange") => claims["auth_time"] = now.into(),
            Some("auth-time-near-exchange") => claims["auth_time"] = (now - 1).into(),
            _ => {}
        }
        let nth = self.memory.flips.entry("short".to_owned()).or_default();
        *nth += 1;
        let (second, seventh) = (nth.is_multiple_of(2), nth.is_multiple_of(7));
        match self.fault {
            Some("aud-each-seventh") if seventh => claims["aud"] = "https://other.example".into(),
            Some("aud-narrow") if scopes.len() == 1 => claims["aud"] = Value::Null,
            Some("typ-each-seventh") if seventh => header["typ"] = Value::Null,
            _ => {}
        }
        if self.on("short-hs256") {
            header["alg"] = "HS256".into();
        }
        let input = jose::signing_input(&header, &claims);
        let mut token = format!("{input}.{}", b64(self.key.sign(input.as_bytes())));
        if self.on("opaque-short-token") {
            token = id.replace("tok", "opaque");
        }
        self.issued(&client.id, &id, &token);
        let told = if self.on("short-id-kind") && second { id.replace("tok_st_", "tok_lt_") } else { id };
        let mut reply = self.granted("short", &told, &token, &scopes, ttl);
        self.sort_scopes(&mut reply, "short");
        reply
    }

    fn issued(&mut self, client: &str, id: &str, token: &str) {
        self.remember_claims(token);
        self.memory.ids.push((client.to_owned(), id.to_owned()));
        if self.on("short-jti-other") || self.on("long-jti-other") {
            self.memory.real_ids.insert(token.to_owned(), id.to_owned());
        }
    }

    pub fn long_mac(&self, input: &str) -> String {
        format!("{input}.{}", b64(hmac::sign(&self.secret, input.as_bytes())))
    }

    /// A token id authenticates itself: expiry, random part, and a MAC over both, the kind and the client.
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

    pub fn owner(&self, id: &str) -> Option<String> {
        let id = match self.on("id-prefix") {
            true => id.get(..51).unwrap_or(id).to_owned(),
            false => self.read_id(id),
        };
        let rest = id.strip_prefix("tok_").or(id.get(0..).filter(|_| self.on("token-id-bare")))?;
        let (kind, text) = rest.split_at_checked(2)?;
        let bytes = unb64(text.get(1..)?)?;
        if let Some(client) = self.clients.iter().find(|c| self.falls_for_id(kind, &c.id, &bytes)) {
            return Some(client.id.clone());
        }
        if bytes.len() != 33 || !["lt", "st"].contains(&kind) {
            return None;
        }
        let fits = |client: &&ClientRecord| {
            let mac = hmac::sign(&self.secret, &[kind.as_bytes(), client.id.as_bytes(), &bytes[..16]].concat());
            mac.as_ref()[..17] == bytes[16..]
        };
        let anyone = || self.clients.first().filter(|_| self.on("id-mac-unchecked"));
        self.clients.iter().find(fits).or_else(anyone).map(|c| c.id.clone())
    }
}
