//! POST /auth/tokens/{tokenId}/revoke.

use super::message::{Asked, Refused, Reply};
use super::state::{BURST_CLIENT, Reference};
use crate::jose::Jwt;
use serde_json::Value;

impl Reference {
    pub fn revoke(&mut self, asked: &Asked, id: &str) -> Result<Reply, Refused> {
        if self.on("503-on-revoke") {
            return Err(self.refuse(
                asked,
                503,
                "temporarily_unavailable",
                "A part of the service is not answering. Please retry.",
            ));
        }
        if self.on("revoke-reads-body")
            && !asked.body.is_empty()
            && serde_json::from_slice::<Value>(&asked.body).is_err()
        {
            return Err(self.refuse(asked, 400, "invalid_request", "The body is not JSON."));
        }
        if self.on("revoke-body-limited") && asked.body.len() > 16_384 {
            return Err(self.refuse(asked, 400, "invalid_request", "The body is longer than 16,384 bytes."));
        }
        let header = self.single(asked, "authorization", "invalid_token", "-on-revoke")?;
        if header.is_none() && self.on("revoke-without-bearer") {
            return Ok(self.ended());
        }
        let token = header.as_deref().and_then(|h| h.split_once(' ')).map_or("", |(_, token)| token);
        let kind = match Jwt::read(token) {
            Some(jwt) if jwt.header["typ"] == "lt+jwt" => "long",
            _ => "short",
        };
        // A token that revoked itself or its long-term token may repeat that call, as long as its client is active.
        let verified = self.verified(asked, header.as_deref(), kind);
        let bearer = match verified {
            Ok(bearer) => bearer,
            Err(_) if self.on("any-bearer-revokes") => return Ok(self.ended()),
            Err(refused) => return Err(refused),
        };
        let of_parent = bearer.parent.as_deref() == Some(id) && !self.on("parent-repeat-401");
        let own_end = ((bearer.id == id && !self.on("self-repeat-401")) || of_parent)
            && (!self.ended_with_client(&bearer) || self.on("suspended-repeat-204"));
        let orphaned = bearer.parent.as_ref().is_some_and(|parent| self.memory.revoked.contains(parent));
        let forgiven = self.on("revoked-bearer-revokes")
            || (self.on("revoked-short-revokes") && bearer.kind == "short" && !orphaned)
            || (self.on("orphan-revokes") && orphaned)
            || self.lags("revoker", &bearer.client).is_some()
            || (self.on("revoker-forgets")
                && self.memory.revoked_at.get(&bearer.id).is_some_and(|at| at + 5 <= self.clock.now()));
        if self.on("revoke-limited") && self.memory.was_limited && bearer.client == BURST_CLIENT {
            return Err(self.refuse(asked, 429, "rate_limited", "Too many requests. Please retry after 60 seconds."));
        }
        self.memory.revocations += u32::from(bearer.client == BURST_CLIENT);
        if self.on("revoke-limited-by-count") && self.memory.revocations > 30 {
            return Err(self.refuse(asked, 429, "rate_limited", "Too many requests. Please retry after 60 seconds."));
        }
        let any_ended = self.memory.revoked.contains(id);
        let forgiven = forgiven || (any_ended && self.on("ended-caller-repeats-any"));
        if !own_end && self.is_over(&bearer) && !forgiven {
            return Err(self.refuse(
                asked,
                401,
                "invalid_token",
                "The bearer token was revoked, or its client is suspended or deleted.",
            ));
        }
        let owner = self.owner(id);
        if owner.as_deref() != Some(bearer.client.as_str()) {
            if let Some(reply) = self.told_of_an_id(asked, id, owner.as_deref(), &bearer) {
                return Ok(reply);
            }
            if self.on("unknown-id-204") && owner.is_none() {
                return Ok(self.ended());
            }
            if self.on("malformed-id-400") && !id.starts_with("tok_") {
                return Err(self.refuse(asked, 400, "invalid_request", "The token id is malformed."));
            }
            if self.on("unknown-needs-scope") && !self.any_covers(&bearer.scopes, "tokens:revoke-all") {
                return Err(self.refuse(
                    asked,
                    401,
                    "insufficient_scope",
                    "Revoking another token requires the scope tokens:revoke.",
                ));
            }
            if self.on("feed-lists-refused") && owner.is_some() {
                self.report_token(id, &bearer);
            }
            if self.on("foreign-404-but-revoked") && owner.is_some() {
                self.memory.revoked.insert(id.to_owned());
            }
            if self.on("foreign-told") && owner.is_some() {
                return Err(self.refuse(asked, 404, "not_found", "The token belongs to another client."));
            }
            if !(self.on("foreign-revocable") && owner.is_some()) {
                return Err(self.refuse(asked, 404, "not_found", "The caller's client has no token with this id."));
            }
        }
        if self.on("short-ids-404") && id.starts_with("tok_st_") && id != bearer.id {
            return Err(self.refuse(asked, 404, "not_found", "The caller's client has no token with this id."));
        }
        if self.on("sibling-refused") && id != bearer.id {
            return Err(self.refuse(asked, 404, "not_found", "The caller's client has no token with this id."));
        }
        let may = if self.on("revoke-needs-wildcard") {
            bearer.scopes.iter().any(|s| s == "tokens:*")
        } else {
            self.may(&bearer, "tokens:revoke", "revoke") || self.on("revoke-without-scope")
        };
        let may = match (self.fault, bearer.kind) {
            (Some("ended-needs-no-scope"), _) => may || any_ended,
            (Some("short-revokes-with-wildcard-only"), "short") => bearer.scopes.iter().any(|s| s == "tokens:*"),
            (Some("long-revokes-by-exact-scope"), "long") => bearer.scopes.iter().any(|s| s == "tokens:revoke"),
            (Some("long-revokes-without-scope"), "long") => true,
            (Some("parent-revokes-child"), "long") => may || id.starts_with("tok_st_"),
            (Some("any-wildcard-revokes"), _) => may || bearer.scopes.iter().any(|s| s.ends_with(":*")),
            (Some("write-revokes"), _) => may || bearer.scopes.iter().any(|s| s == "tokens:write"),
            (Some("revoke-by-prefix"), _) => bearer.scopes.iter().any(|s| s.starts_with("tokens:revoke")) || may,
            _ => may,
        };
        if !may && (bearer.id != id || self.on("self-needs-scope") || self.on("narrowed-self-refused")) {
            let status = if self.on("revoke-403") { 403 } else { 401 };
            return Err(self.refuse(
                asked,
                status,
                "insufficient_scope",
                "Revoking another token requires the scope tokens:revoke; a token may always revoke itself.",
            ));
        }
        if self.memory.revoked.contains(id) && self.on("revoke-not-idempotent") {
            return Err(self.refuse(asked, 404, "not_found", "The caller's client has no token with this id."));
        }
        let now = self.clock.now();
        let first = *self.memory.revoked_at.entry(id.to_owned()).or_insert(now);
        if self.on("repeat-404-later") && first + 5 <= now {
            return Err(self.refuse(asked, 404, "not_found", "The caller's client has no token with this id."));
        }
        let forgets = match self.fault {
            Some("immediate-forgets-self") => bearer.id == id && bearer.kind == "long",
            Some("immediate-forgets-parent") => bearer.parent.as_deref() == Some(id),
            Some("revoke-by-long-no-op") => bearer.kind == "long" && bearer.id != id,
            Some("revoke-of-parent-no-op") => bearer.parent.as_deref() == Some(id),
            Some("code-token-irrevocable") => self.memory.by_mechanism.get(id).is_some_and(|by| *by == "code"),
            Some("assertion-token-irrevocable") => {
                self.memory.by_mechanism.get(id).is_some_and(|by| *by == "assertion")
            }
            Some("short-of-rotated-irrevocable") => {
                bearer.id == *id
                    && bearer.parent.as_ref().is_some_and(|parent| self.memory.rotated.contains_key(parent))
            }
            Some("rotated-not-revoked") => self.memory.rotated.contains_key(id),
            Some("retired-not-revoked") => self.memory.retired.contains_key(id),
            fault => fault == Some("revoke-no-op"),
        };
        let id = &self.read_id(id);
        if self.on("revoke-toggles") && self.memory.revoked.remove(id) {
            return Ok(self.ended());
        }
        if !forgets {
            self.memory.revoked.insert(id.to_owned());
            self.took(&bearer.client, "revocation");
            self.report_token(id, &bearer);
        }
        if self.on("short-revocation-ends-siblings") && bearer.id == *id && bearer.kind == "short" {
            self.memory.revoked.extend(bearer.parent.iter().flat_map(|parent| self.memory.offspring[parent].clone()));
        }
        if self.on("revokes-bystanders") {
            self.memory.revoked.extend(self.memory.alone.remove(&bearer.client).unwrap_or_default());
        }
        if self.on("short-revocation-ends-parent")
            && let Some(parent) = bearer.parent.filter(|_| bearer.id == *id)
        {
            self.memory.revoked.insert(parent);
        }
        Ok(self.ended())
    }
}
