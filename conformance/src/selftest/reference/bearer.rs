//! Which client presents a token, and whether the token is still valid.

use super::message::{Asked, Refused};
use super::state::{Bearer, Reference};
use crate::jose::{self, Jwt, unb64};
use ring::signature::{self, KeyPair};
use serde_json::Value;

impl Reference {
    pub fn bearer(&mut self, asked: &Asked, header: Option<&str>, kind: &'static str) -> Result<Bearer, Refused> {
        let bearer = self.verified(asked, header, kind)?;
        let over = self.is_over(&bearer);
        let forgiven = kind == "short" && self.on("short-revocation-unchecked");
        if over && !forgiven {
            return Err(self.refuse(
                asked,
                401,
                "invalid_token",
                "The bearer token was revoked, or its client is suspended or deleted.",
            ));
        }
        Ok(bearer)
    }

    /// Checks signature, kind and expiry, but not revocation.
    pub fn verified(&mut self, asked: &Asked, header: Option<&str>, kind: &'static str) -> Result<Bearer, Refused> {
        let refused = self.refuse(
            asked,
            401,
            "invalid_token",
            "The bearer token is missing, invalid or expired; send a valid one in the Authorization header.",
        );
        let from_query = asked.path.split_once("access_token=").map(|(_, token)| format!("Bearer {token}"));
        let header = match (header, from_query) {
            (None, Some(token)) if self.on("bearer-in-query") => token,
            (Some(header), _) => header.to_owned(),
            _ => return Err(refused),
        };
        let header = match self.fault {
            Some("bearer-quotes-ok") => header.replace('"', ""),
            Some("bearer-colon-ok") => header.replacen("Bearer:", "Bearer ", 1),
            Some("bearer-unspaced-ok") if header.starts_with("Bearer") => {
                format!("Bearer {}", header["Bearer".len()..].trim_start())
            }
            Some("bearer-last-word") => format!("Bearer {}", header.rsplit(' ').next().unwrap_or_default()),
            _ => header,
        };
        let token = match header.split_once(' ') {
            None if self.on("scheme-optional") => header.as_str(),
            Some(("Bearer", token)) => token,
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") && !self.reads_scheme_exactly(asked) => {
                token
            }
            Some((scheme, token)) if scheme.starts_with("Bearer") && self.on("scheme-prefix") => token,
            Some((_, token)) if self.on("any-scheme") => token,
            Some((_, token)) if self.on("introspection-any-scheme") && asked.path.ends_with("/introspect") => token,
            _ => return Err(refused),
        };
        let token = match self.fault {
            Some("bearer-first-word") => token.split(' ').next().unwrap_or_default(),
            Some("trailing-dot-ok") => token.trim_end_matches('.'),
            Some("more-parts-ok") => &token[..token.match_indices('.').nth(2).map_or(token.len(), |(at, _)| at)],
            _ => token,
        };
        let Some(jwt) = Jwt::read(token) else { return Err(refused) };
        if kind == "long"
            && let Some(client) = self.falls_for_bearer(&jwt, token)
        {
            return Ok(Bearer {
                kind,
                client: client.id.clone(),
                id: "tok_lt_x".to_owned(),
                scopes: client.scopes.clone(),
                exp: u64::MAX,
                parent: None,
                auth_time: self.clock.now(),
            });
        }
        let input = token.rsplit_once('.').map_or("", |(input, _)| input);
        let unsigned = jwt.header["alg"] == "none" && self.on("token-alg-none");
        let long_typ = if self.on("long-typ-jwt") { "JWT" } else { "lt+jwt" };
        let long = jwt.header["typ"] == long_typ
            && (self.long_mac(input) == token
                || self.falls_for_long(&jwt, token)
                || unsigned
                || self.on("long-signature-unchecked")
                || (self.on("hs256-empty-key") && jose::hs256(b"", input) == token));
        let public = self.key.public_key();
        let short = jwt.header["typ"] == "at+jwt"
            && (token.rsplit('.').next().and_then(unb64).is_some_and(|mac| {
                signature::UnparsedPublicKey::new(&signature::ED25519, public.as_ref())
                    .verify(input.as_bytes(), &mac)
                    .is_ok()
            }) || self.falls_for_short(&jwt, token)
                || unsigned
                || self.on("short-signature-unchecked")
                || (self.on("clients-signature-unchecked") && asked.path.contains("/clients"))
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
        let mut jwt = jwt;
        if let Some(id) = self.memory.real_ids.get(token) {
            jwt.claims["jti"] = id.clone().into();
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

    fn reads_scheme_exactly(&self, asked: &Asked) -> bool {
        let of_place =
            |place: &str| asked.path.contains(&format!("/{place}")) && self.on(&format!("scheme-case-on-{place}"));
        let of_short = asked.path.ends_with("/short") && self.on("scheme-case");
        of_short || ["long", "revoke", "introspect", "clients"].into_iter().any(of_place)
    }

    /// Whether the bearer's client is suspended or deleted, or all of its tokens were revoked since.
    pub fn ended_with_client(&self, bearer: &Bearer) -> bool {
        // A deleted client has no record.
        let client = self.clients.iter().find(|c| c.id == bearer.client);
        client.is_none_or(|c| c.suspended || self.is_before(bearer, c.valid_from))
    }

    pub fn is_over(&mut self, bearer: &Bearer) -> bool {
        let now = self.clock.now();
        let is_eventual = |id: &str| self.clients.iter().find(|c| c.id == id).is_none_or(|c| !c.immediate);
        if bearer.kind == "long" && is_eventual(&bearer.client) {
            let what = match self.clients.iter().find(|c| c.id == bearer.client) {
                None => "eventual-ignores-deletion",
                Some(client) if client.suspended => "eventual-ignores-suspension",
                Some(client) if bearer.auth_time < client.valid_from => "eventual-ignores-end-tokens",
                _ => "",
            };
            if self.fault == Some(what) {
                return false;
            }
        }
        let retired =
            |id: &str| self.memory.retired.get(id).is_some_and(|until| *until <= now) && !self.on("retired-for-ever");
        let forgotten =
            |id: &str, fault: &str| self.on(fault) && self.memory.revoked_at.get(id).is_some_and(|at| at + 5 <= now);
        let own = if bearer.kind == "long" { "ends-forgotten" } else { "short-ends-forgotten" };
        let mut over = (self.memory.revoked.contains(&bearer.id) && !forgotten(&bearer.id, own)) || retired(&bearer.id);
        let first_child = |id: &str| self.memory.children.get(id).is_some_and(|first| *first == bearer.id);
        if let Some(parent) = &bearer.parent
            && !self.on("no-cascade")
            && (!self.on("cascade-first-only") || first_child(parent))
        {
            over |= (self.memory.revoked.contains(parent) && !forgotten(parent, "cascade-forgotten"))
                || (retired(parent) && !self.on("retired-children-live"));
        }
        over |= self.ended_with_client(bearer);
        if self.on("revocation-ends-rotated") {
            let of = bearer.parent.as_ref().unwrap_or(&bearer.id);
            over |= self.memory.rotated.get(of).is_some_and(|origin| self.memory.revoked.contains(origin));
        }
        let switched = self.on("immediate-by-creation") && self.memory.switched.contains(&bearer.client);
        if switched && self.was_just_taken(&bearer.client) == Some("revocation") {
            return false;
        }
        let place = if bearer.kind == "long" { "immediate" } else { "caller" };
        match self.lags(place, &bearer.client) {
            Some("restoration") => return true,
            Some("revocation" | "suspension" | "end-tokens" | "deletion") => return false,
            _ => {}
        }
        if over && self.on("flapping") && bearer.kind == "long" {
            let flips = self.memory.flips.entry(bearer.id.clone()).or_default();
            *flips += 1;
            return flips.is_multiple_of(2);
        }
        over
    }
}
