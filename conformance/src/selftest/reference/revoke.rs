//! POST /auth/tokens/{tokenId}/revoke.

use super::message::{Asked, Refused, Reply};
use super::state::Reference;
use crate::jose::Jwt;
use serde_json::Value;

impl Reference {
    pub fn revoke(&mut self, asked: &Asked, id: &str) -> Result<Reply, Refused> {
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
                self.memory.revoked.insert(id.to_owned());
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
        if self.memory.revoked.contains(id) && self.on("revoke-not-idempotent") {
            return Err(self.refuse(asked, 404, "not_found", "No such token."));
        }
        if !self.on("revoke-no-op") {
            self.memory.revoked.insert(id.to_owned());
            self.report_token(id, &bearer);
        }
        if self.on("revokes-bystanders") {
            self.memory.revoked.extend(self.memory.alone.remove(&bearer.client).unwrap_or_default());
        }
        if self.on("short-revocation-ends-parent")
            && let Some(parent) = bearer.parent.filter(|_| bearer.id == id)
        {
            self.memory.revoked.insert(parent);
        }
        Ok(self.ended())
    }
}
