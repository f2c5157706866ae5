//! The operators' calls: making, changing and deleting clients.

use super::message::{Asked, Refused, Reply};
use super::state::{ClientRecord, Reference};
use crate::clock;
use crate::jose::b64;
use crate::trial::feed::FOR_GOOD;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

impl Reference {
    pub fn operate(&mut self, asked: &Asked, rest: &[&str]) -> Result<Reply, Refused> {
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
                        self.memory.ended.remove(&("client", self.listed_as("client", &id)));
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
}

/// A client as operators see it.
fn shown(client: &ClientRecord) -> Value {
    json!({
        "client_id": client.id, "status": if client.suspended { "suspended" } else { "active" },
        "scopes": client.scopes, "tokens_valid_from": clock::rfc3339(client.valid_from),
    })
}
