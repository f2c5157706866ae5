//! POST /auth/tokens/long.

use super::message::{Asked, Refused, Reply};
use super::state::Reference;
use crate::jose::Jwt;
use serde_json::Value;

const GRACE: u64 = 86_400;

impl Reference {
    pub fn issue_long(&mut self, asked: &Asked) -> Result<Reply, Refused> {
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
        let locked = self.memory.codes.get(&client.id).is_some_and(|c| c.locked_until > self.clock.now());
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
            let held = self.memory.retired.entry(parent.clone()).or_insert(until);
            *held = until.min(*held);
            if self.on("feed-retires-now") {
                self.report("parent", parent, self.clock.now());
            }
        }
        let reply = self.mint_long(&client, scopes, ttl, bearer.auth_time);
        if self.on("rotated-token-dead") {
            let id = reply.body["token_id"].as_str().unwrap_or_default().to_owned();
            self.memory.revoked.insert(id);
        }
        Ok(reply)
    }
}
