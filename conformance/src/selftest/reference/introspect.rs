//! POST /auth/tokens/introspect.

use super::message::{Asked, Refused, Reply};
use super::state::{Bearer, Reference};
use crate::jose::{Jwt, unb64};
use ring::signature::{ED25519, KeyPair, UnparsedPublicKey};
use serde_json::{Value, json};

impl Reference {
    pub fn introspect(&mut self, asked: &Asked) -> Result<Reply, Refused> {
        if self.on("introspection-form-before-caller") {
            self.asked_about(asked)?;
        }
        let header = self.single(asked, "authorization", "invalid_token", "-on-introspect")?;
        let caller = match self.introspecting(asked, header.as_deref()) {
            Err(_) if self.on("introspection-for-anyone") && header.is_none() => None,
            Err(_) if self.on("introspection-any-bearer") && header.is_some() => None,
            other => Some(other?),
        };
        if let Some(caller) = &caller
            && !self.may(caller, "tokens:introspect", "introspect")
            && !self.on(&format!("introspection-any-scope-{}", caller.kind))
        {
            return Err(self.refuse(
                asked,
                401,
                "insufficient_scope",
                "This operation requires a token with the scope tokens:introspect.",
            ));
        }
        let exact = caller.as_ref().is_some_and(|c| c.scopes.iter().any(|s| s == "tokens:introspect"));
        if self.on("introspection-needs-exact-scope") && !exact {
            return Err(self.refuse(
                asked,
                401,
                "insufficient_scope",
                "This operation requires a token with the scope tokens:introspect.",
            ));
        }
        let token = self.asked_about(asked)?;
        if self.on("introspection-errs-about-garbage") && Jwt::read(&token).is_none() {
            return Err(self.refuse(asked, 400, "invalid_request", "token is not a JWT."));
        }
        let about = self.about(asked, &token);
        let own = |about: &Bearer| caller.as_ref().is_some_and(|caller| caller.client == about.client);
        match about {
            Some(about) if !self.on("introspection-own-client-only") || own(&about) => {
                let shown = self.shown_token(&about, &token, caller.as_ref());
                Ok(self.dressed(200, shown))
            }
            _ if self.on("introspection-says-null") => Ok(self.dressed(200, json!({"active": false, "sub": null}))),
            _ => Ok(self.dressed(200, json!({"active": false}))),
        }
    }

    /// The caller: a live token of either kind.
    fn introspecting(&mut self, asked: &Asked, header: Option<&str>) -> Result<Bearer, Refused> {
        let token = header.and_then(|h| h.split_once(' ')).map_or("", |(_, token)| token);
        let long = Jwt::read(token).is_some_and(|jwt| jwt.header["typ"] == "lt+jwt");
        let kind = if long && !self.on("introspection-by-short-only") { "long" } else { "short" };
        match self.fault {
            Some("introspection-revoked-caller") => self.verified(asked, header, kind),
            Some("introspection-revoked-long-caller") if long => self.verified(asked, header, kind),
            Some("introspection-orphaned-caller") => {
                let caller = self.verified(asked, header, kind)?;
                if self.parent_over(&caller) { Ok(caller) } else { self.bearer(asked, header, kind) }
            }
            Some("introspection-end-tokens-caller") => {
                let caller = self.verified(asked, header, kind)?;
                let is_earlier = self.record(&caller).is_some_and(|client| caller.auth_time < client.valid_from);
                if is_earlier { Ok(caller) } else { self.bearer(asked, header, kind) }
            }
            Some("introspection-deleted-caller") => {
                let caller = self.verified(asked, header, kind)?;
                if self.record(&caller).is_none() { Ok(caller) } else { self.bearer(asked, header, kind) }
            }
            Some("introspection-suspended-caller") => {
                let caller = self.verified(asked, header, kind)?;
                let suspended = self.clients.iter().any(|c| c.id == caller.client && c.suspended);
                if suspended { Ok(caller) } else { self.bearer(asked, header, kind) }
            }
            _ => self.bearer(asked, header, kind),
        }
    }

    /// The form's only `token`.
    fn asked_about(&self, asked: &Asked) -> Result<String, Refused> {
        let bad = |told: &str| Err(self.refuse(asked, 400, "invalid_request", told));
        let kind = asked.header("content-type").unwrap_or_default();
        if self.on("introspection-token-in-query")
            && let Some((_, token)) = asked.path.split_once("?token=")
        {
            return Ok(token.to_owned());
        }
        let media = match self.on("form-type-exact") {
            true => kind,
            false => kind.split(';').next().unwrap_or_default().trim(),
        };
        let json = media == "application/json" && self.on("introspection-takes-json");
        let untyped = media.is_empty() && self.on("form-type-optional");
        if !media.eq_ignore_ascii_case("application/x-www-form-urlencoded") && !json && !untyped {
            return bad("Content-Type must be application/x-www-form-urlencoded.");
        }
        if json {
            let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
            return Ok(body["token"].as_str().unwrap_or_default().to_owned());
        }
        let most = if self.on("form-limit-8k") { 8192 } else { 16_384 };
        if self.on("form-most-exclusive") && asked.body.len() == most {
            return bad("The body is longer than 16,383 bytes; send a shorter one.");
        }
        let unmeasured = asked.header("content-length").is_none() && self.on("form-size-by-content-length");
        if asked.body.len() > most && !unmeasured && !self.on("form-size-unchecked") {
            return bad("The body is longer than 16,384 bytes; send a shorter one.");
        }
        let text = String::from_utf8_lossy(&asked.body).into_owned();
        let fields: Vec<_> = text.split('&').map(|field| field.split_once('=').unwrap_or((field, ""))).collect();
        if self.on("form-unknown-400") && fields.iter().any(|(n, _)| !["token", "token_type_hint"].contains(n)) {
            return bad("The form has an unknown parameter.");
        }
        let hinted = fields.contains(&("token_type_hint", "refresh_token"));
        if self.on("form-hint-believed") && hinted {
            return Ok(String::new());
        }
        let values: Vec<_> = fields.iter().filter(|(name, _)| *name == "token").map(|(_, value)| *value).collect();
        match values[..] {
            [] if self.on("form-token-optional") => Ok(String::new()),
            [""] if self.on("form-token-empty-ok") => Ok(String::new()),
            [one] if !one.is_empty() && self.on("form-not-decoded") => Ok(one.to_owned()),
            [one] if !one.is_empty() => Ok(decoded(one)),
            [first, second, ..] if self.on("form-first-token-wins") && !first.is_empty() && first != second => {
                Ok(decoded(first))
            }
            [first, second, ..] if self.on("form-same-token-twice-ok") && first == second => Ok(decoded(first)),
            _ => bad("The form must have the parameter token exactly once, and not empty."),
        }
    }

    /// A short-term token that is active.
    fn about(&mut self, asked: &Asked, token: &str) -> Option<Bearer> {
        let header = format!("Bearer {token}");
        let short = match self.on("introspection-signature-unchecked") {
            true => read_unchecked(token),
            false => self.verified(asked, Some(&header), "short").ok(),
        };
        let unsigned = || read_unchecked(token).filter(|_| token.ends_with('.'));
        let short = short.or_else(|| unsigned().filter(|_| self.on("introspection-takes-alg-none")));
        let short = short.or_else(|| {
            let (input, mac) = token.rsplit_once('.')?;
            let mac = unb64(mac)?;
            let verifies = |key: &[u8]| UnparsedPublicKey::new(&ED25519, key).verify(input.as_bytes(), &mac).is_ok();
            let by_client =
                self.on("introspection-any-registered-key") && self.clients.iter().any(|c| verifies(&c.public));
            let by_us = self.on("introspection-any-typ") && verifies(self.key.public_key().as_ref());
            read_unchecked(token).filter(|_| by_client || by_us)
        });
        let long = self.verified(asked, Some(&header), "long").ok().filter(|_| self.on("introspection-shows-long"));
        let about = short.or(long)?;
        let forgiven = match self.fault {
            Some("introspection-ignores-revocation") => self.memory.revoked.contains(&about.id),
            Some("introspection-ignores-parent") => {
                !self.memory.revoked.contains(&about.id) && self.parent_over(&about)
            }
            Some("introspection-ignores-suspension") => self.record(&about).is_some_and(|c| c.suspended),
            Some("introspection-ignores-end-tokens") => {
                self.record(&about).is_some_and(|c| about.auth_time < c.valid_from)
            }
            Some("introspection-ignores-deletion") => self.record(&about).is_none(),
            _ => false,
        };
        if self.on("introspection-forgets")
            && self.memory.revoked_at.get(&about.id).is_some_and(|at| at + 5 <= self.clock.now())
        {
            return Some(about);
        }
        if self.on("introspection-flaps") && self.memory.revoked.contains(&about.id) {
            let asked = self.memory.flips.entry(about.id.clone()).or_default();
            *asked += 1;
            return asked.is_multiple_of(6).then_some(about);
        }
        let sticky = self.on("introspection-suspends-for-good") && self.memory.was_suspended.contains(&about.client);
        let no_token = self.on("introspection-any-typ") && about.id.is_empty();
        (forgiven || no_token || !self.is_over(&about)).then_some(about).filter(|_| !sticky)
    }

    fn parent_over(&self, about: &Bearer) -> bool {
        about.parent.as_ref().is_some_and(|parent| self.memory.revoked.contains(parent))
    }

    fn record(&self, about: &Bearer) -> Option<&super::state::ClientRecord> {
        self.clients.iter().find(|c| c.id == about.client)
    }

    fn shown_token(&self, about: &Bearer, token: &str, caller: Option<&Bearer>) -> Value {
        let claims = Jwt::read(token).map(|jwt| jwt.claims).unwrap_or_default();
        let scopes = self.left_to(&about.scopes, &about.client, "introspection");
        let mut shown = json!({
            "active": true, "iss": claims["iss"], "sub": claims["sub"], "client_id": claims["client_id"],
            "aud": claims["aud"], "scope": scopes.join(" "), "exp": claims["exp"], "iat": claims["iat"],
            "jti": claims["jti"], "token_type": "Bearer",
        });
        match self.fault {
            Some("introspection-lacks-aud") => drop(shown.as_object_mut().and_then(|all| all.remove("aud"))),
            Some("introspection-shows-parent") => shown["parent"] = claims["parent"].clone(),
            Some("introspection-exp-text") => shown["exp"] = claims["exp"].to_string().into(),
            Some("introspection-shows-caller") => {
                shown["sub"] = caller.map(|caller| caller.client.clone()).unwrap_or_default().into();
            }
            Some("introspection-scope-array") => shown["scope"] = json!(scopes),
            Some("introspection-token-type") => shown["token_type"] = "at+jwt".into(),
            Some("introspection-active-text") => shown["active"] = "true".into(),
            _ => {}
        }
        shown
    }
}

/// Parsed without verifying the signature.
fn read_unchecked(token: &str) -> Option<Bearer> {
    let jwt = Jwt::read(token)?;
    let text = |name: &str| jwt.claims[name].as_str().unwrap_or_default().to_owned();
    Some(Bearer {
        kind: "short",
        client: text("client_id"),
        id: text("jti"),
        scopes: text("scope").split(' ').map(str::to_owned).collect(),
        exp: jwt.claims["exp"].as_u64().unwrap_or(u64::MAX),
        parent: jwt.claims["parent"].as_str().map(str::to_owned),
        auth_time: jwt.claims["auth_time"].as_u64().unwrap_or(u64::MAX),
    })
}

/// A decoded form value.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, behind @ ..] = rest {
        let escape = behind.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let escape = escape.and_then(|two| u8::from_str_radix(two, 16).ok());
        let (byte, used) = match (first, escape) {
            (b'%', Some(byte)) => (byte, 3),
            (b'+', _) => (b' ', 1),
            (byte, _) => (*byte, 1),
        };
        bytes.push(byte);
        rest = &rest[used..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
