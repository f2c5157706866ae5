//! POST /auth/tokens/long.

use super::gossip::{REFUSED, Sent};
use super::message::{Asked, Refused, Reply};
use super::state::{Bearer, Reference};
use crate::jose::Jwt;
use serde_json::Value;

/// For how long a rotated token keeps working, in seconds.
pub const GRACE: u64 = 300;

impl Reference {
    pub fn issue_long(&mut self, asked: &Asked) -> Result<Reply, Refused> {
        let header_id = self.single(asked, "x-client-id", "invalid_client", "-on-long")?;
        if self.on("accept-406") && asked.header("accept") == Some("text/html") {
            return Err(self.refuse(asked, 406, "not_acceptable", "Only application/json is available."));
        }
        if self.on("limit-before-headers") {
            self.early_limit(asked)?;
        }
        if header_id.is_none() && asked.header("authorization").is_none() && !self.on("x-client-id-optional") {
            if self.on("no-credentials-400") {
                return Err(self.refuse(
                    asked,
                    400,
                    "invalid_request",
                    "The request has no credentials; send X-Client-Id or Authorization.",
                ));
            }
            return Err(self.refuse(
                asked,
                401,
                "invalid_client",
                "The request has no credentials; send X-Client-Id or Authorization.",
            ));
        }
        if self.on("limit-before-shape") {
            self.early_limit(asked)?;
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
        let rotates = !["client_secret", "otp_code", "assertion"].iter().any(|name| body.contains_key(*name));
        let fault = self.fault;
        let unchecked = |what: &str| {
            let of = |member: &str, mechanism: &str| {
                body.contains_key(member) && fault == Some(format!("{mechanism}-{what}-unchecked").as_str())
            };
            of("assertion", "assertion") || of("otp_code", "otp")
        };
        if !(unchecked("fields") || rotates && self.on("rotation-fields-unchecked")) {
            self.only(asked, &body, &known)?;
        }
        if self.on("limit-before-grant") {
            self.early_limit(asked)?;
        }
        let grant = match body.get("grant_type") {
            Some(Value::String(grant)) => grant.clone(),
            None if self.on("grant-type-optional") => "client_credentials".to_owned(),
            _ => {
                return Err(self.refuse(
                    asked,
                    400,
                    "invalid_grant",
                    "grant_type is missing or not a string; send client_credentials or assertion.",
                ));
            }
        };
        let grant = if self.on("grant-type-trimmed") { grant.trim().to_owned() } else { grant };
        let grant = if self.on("grant-type-folded") { grant.to_lowercase() } else { grant };
        if !["client_credentials", "assertion"].contains(&grant.as_str()) && !self.on("grant-type-any") {
            return Err(self.refuse(
                asked,
                400,
                "invalid_grant",
                "grant_type must be client_credentials or assertion.",
            ));
        }
        let client_id = match self.text(asked, &body, "client_id")? {
            Some(id) => id,
            None if self.on("client-id-optional") => header_id.clone().unwrap_or_default(),
            None => return Err(self.refuse(asked, 400, "invalid_request", "client_id is missing.")),
        };
        let secret = self.text(asked, &body, "client_secret")?;
        let breaks = match self.fault {
            Some("500-on-long-secret") => secret.as_ref().is_some_and(|secret| secret.len() > 4096),
            Some("500-on-long-client-id") => client_id.len() > 256,
            Some("500-on-empty-client-id") => client_id.is_empty(),
            Some("500-on-nul") => client_id.contains('\0'),
            Some("500-on-many-scopes") => {
                body.get("scopes").and_then(Value::as_array).is_some_and(|all| all.len() > 200)
            }
            Some("500-on-odd-code") => {
                body.get("otp_code").and_then(Value::as_str).is_some_and(|code| code.is_empty() || code.len() == 7)
            }
            _ => false,
        };
        if breaks {
            return Err(self.refuse(asked, 500, "server_error", "The request could not be read."));
        }
        let empty = secret.as_deref() == Some("") && asked.header("authorization").is_some();
        let secret = secret.filter(|_| !(empty && self.on("secret-empty-rotates")));
        let code = self.text(asked, &body, "otp_code")?;
        let assertion = self.text(asked, &body, "assertion")?;
        let assertion_type = self.text(asked, &body, "assertion_type")?;
        let mechanisms = [secret.is_some(), code.is_some(), assertion.is_some()].iter().filter(|m| **m).count();
        if mechanisms > 1 && !self.on("first-mechanism-wins") {
            return Err(self.refuse(
                asked,
                400,
                "invalid_request",
                "The body has more than one mechanism; send only one of client_secret, otp_code and assertion.",
            ));
        }
        if grant == "assertion" && !self.on("first-mechanism-wins") {
            if assertion.is_none() && !(secret.is_some() && self.on("secret-under-assertion")) {
                let status = if self.on("assertion-missing-401") { 401 } else { 400 };
                let code = if status == 401 { "invalid_client" } else { "invalid_request" };
                return Err(self.refuse(
                    asked,
                    status,
                    code,
                    "assertion is missing; grant_type assertion requires it.",
                ));
            }
        } else if assertion.is_some() && grant != "assertion" && !self.on("grant-type-decorative") {
            return Err(self.refuse(asked, 400, "invalid_request", "An assertion requires grant_type assertion."));
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
                return Err(self.refuse(asked, 400, "invalid_request", "assertion_type is missing or unknown."));
            }
        }
        if let (Some(assertion), true) = (&assertion, self.on("400-spends-jti"))
            && self.ttl(asked, &body).is_err()
            && let Some(client) = self.client_of_long(&client_id)
        {
            self.assertion_fits(&client, assertion);
        }
        let ttl = match self.ttl(asked, &body) {
            Err(_) if rotates && self.on("rotation-ttl-unchecked") => Some(3600),
            Err(_) if unchecked("ttl") => Some(3600),
            Ok(None) if assertion.is_some() && self.on("assertion-ttl-default-hour") => Some(3600),
            Ok(None) if rotates && self.on("rotation-ttl-default-hour") => Some(3600),
            Ok(_) if rotates && self.on("rotation-ttl-ignored") => Some(3600),
            Ok(Some(ttl)) if rotates && self.on("rotation-ttl-more") => Some(ttl + 60),
            Ok(_) if code.is_some() && self.on("code-ttl-ignored") => None,
            Ok(None) if code.is_some() && self.on("code-default-hour") => Some(3600),
            Ok(_) if assertion.is_some() && self.on("assertion-ttl-ignored") => Some(3600),
            ttl => ttl?,
        };
        let scopes = match self.scopes(asked, &body) {
            Err(_) if unchecked("scopes") || (rotates && self.on("rotation-scopes-unchecked")) => None,
            scopes => scopes?,
        };
        let bearer_header = asked.header("authorization").map(str::to_owned);
        if mechanisms == 0 && bearer_header.is_none() {
            if self.on("no-mechanism-403") {
                return Err(self.refuse(
                    asked,
                    403,
                    "unauthorized_client",
                    "The body has no mechanism; send client_secret, otp_code or assertion, or rotate a bearer token.",
                ));
            }
            return Err(self.refuse(
                asked,
                400,
                "invalid_request",
                "The body has no mechanism; send client_secret, otp_code or assertion, or rotate a bearer token.",
            ));
        }
        let counted = match (&secret, self.on("limit-by-secret")) {
            (Some(secret), true) => format!("long {client_id} {secret}"),
            _ => format!("long {client_id}"),
        };
        let limited = self.limit(asked, &counted, &client_id);
        let forwarded = asked.header("x-forwarded-for").is_some() && self.on("limit-by-forwarded-for");
        let spared = forwarded
            || (self.on("limit-by-user-agent") && asked.header("user-agent") == Some("another/1.0"))
            || (self.on("limit-by-ttl") && ttl != Some(3600))
            || (self.on("limit-by-scopes") && scopes.is_none())
            || (self.on("limit-by-true-client-ip") && asked.header("true-client-ip").is_some())
            || (self.on("limit-by-x-client-id") && header_id.as_deref() == Some("someone-else"))
            || (secret.is_none() && self.on("limit-secrets-only"))
            || (assertion.is_some() && self.on("limit-spares-assertions"))
            || (mechanisms == 0 && self.on("limit-spares-rotations"));
        let right = self.on("limit-spares-right")
            && self
                .clients
                .iter()
                .any(|c| c.id == client_id && c.secrets.iter().any(|own| Some(&own.text) == secret.as_ref()));
        if !right && !spared {
            limited?;
        }
        if mechanisms == 0 {
            if header_id.is_none() && self.on("rotation-needs-x-client-id") {
                return Err(self.refuse(
                    asked,
                    401,
                    "invalid_client",
                    "The X-Client-Id header is missing; send it with the value of client_id.",
                ));
            }
            let mut reply = self.rotate(asked, &client_id, scopes, ttl)?;
            self.sort_scopes(&mut reply, "rotation");
            return Ok(reply);
        }
        if bearer_header.is_some() && self.on("authorization-not-ignored") {
            self.bearer(asked, bearer_header.as_deref(), "short")?;
        }
        // X-Client-Id, compared exactly.
        let same = match &header_id {
            None if assertion.is_some() && self.on("x-client-id-or-bearer") => bearer_header.is_some(),
            None if code.is_some() && self.on("code-without-x-client-id") => true,
            None => self.on("x-client-id-optional"),
            Some(id) if self.on("x-client-id-folded") => id.eq_ignore_ascii_case(&client_id),
            Some(id) if self.on("client-id-trimmed") => *id == client_id.trim(),
            Some(id) if self.on("x-client-id-beginning") => client_id.starts_with(id.as_str()),
            Some(id) if self.on("x-client-id-longer") => id.starts_with(&client_id),
            Some(_) if code.is_some() && self.on("x-client-id-unchecked-by-code") => true,
            Some(_) if assertion.is_some() && self.on("x-client-id-unchecked-by-assertion") => true,
            Some(id) => *id == client_id || self.on("x-client-id-unchecked"),
        };
        if !same {
            return Err(self.refuse(asked, 401, "invalid_client", REFUSED));
        }
        let found = if self.on("client-id-folded") {
            self.clients.iter().find(|c| c.id.eq_ignore_ascii_case(&client_id)).cloned()
        } else if self.on("client-id-trimmed") {
            self.clients.iter().find(|c| c.id == client_id.trim()).cloned()
        } else {
            self.client_of_long(&client_id)
        };
        let Some(mut client) = found else {
            if self.on("unknown-client-404") {
                return Err(self.refuse(asked, 404, "not_found", "There is no client with this id."));
            }
            let told = self.on("unknown-client-told")
                || (self.on("deleted-client-told") && self.memory.deleted.contains(&client_id))
                || (self.on("unknown-by-assertion-told") && assertion.is_some())
                || (self.on("unknown-by-code-told") && code.is_some());
            let told = if told { "There is no client with this id." } else { REFUSED };
            return Err(self.refuse(asked, 401, "invalid_client", told));
        };
        let by_code = code.is_some() && self.on("suspended-before-code");
        let by_assertion = assertion.is_some() && self.on("suspended-before-assertion");
        if client.suspended && (by_code || by_assertion || self.on("suspended-before-secret")) {
            return Err(self.refuse(asked, 403, "unauthorized_client", "The client is suspended."));
        }
        let locked = self.memory.codes.get(&client.id).is_some_and(|c| c.locked_until > self.clock.now());
        if self.on("lock-locks-client") && locked {
            return Err(self.refuse(asked, 401, "invalid_client", REFUSED));
        }
        if self.on("scope-before-credential")
            && let Some(scopes) = &scopes
        {
            self.grantable(asked, scopes.clone(), &client.scopes, 403)?;
        }
        if self.on("mechanism-before-code") && code.is_some() && !client.may_use("otp") {
            return Err(self.refuse(asked, 403, "unauthorized_client", "One-time codes are not allowed."));
        }
        let right = if let Some(secret) = &secret {
            if self.on("right-secret-forgives") && self.secret_fits(&client, secret) {
                self.forgive(&client.id);
            }
            self.secret_fits(&client, secret)
        } else if let Some(code) = &code {
            self.code_fits(&client, code)
        } else {
            let assertion = assertion.as_deref().unwrap_or_default();
            if self.on("garbage-assertion-403") && Jwt::read(assertion).is_none() {
                return Err(self.refuse(asked, 403, "unauthorized_client", "The assertion is not a JWT."));
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
            let sent = Sent { secret: secret.as_deref(), code: code.as_deref(), assertion: assertion.as_deref() };
            if let Some(reply) = self.told_too_much(asked, &client, &sent) {
                return Err(Box::new(reply));
            }
            let code = if self.on("wrong-secret-invalid-token") { "invalid_token" } else { "invalid_client" };
            return Err(self.refuse(asked, 401, code, REFUSED));
        }
        let works = self.on("suspended-works")
            || (code.is_some() && self.on("suspended-works-by-code"))
            || (assertion.is_some() && self.on("suspended-by-assertion-ok"));
        if client.suspended && !works {
            return Err(self.refuse(asked, 403, "unauthorized_client", "The client is suspended."));
        }
        let mechanism = match (&secret, &code) {
            (Some(_), _) => "secret",
            (_, Some(_)) => "otp",
            _ => "assertion",
        };
        let ignored = self.on(&format!("{mechanism}-for-all")) || self.on(&format!("{mechanism}-of-creation"));
        if !client.may_use(mechanism) && !ignored {
            return Err(self.refuse(
                asked,
                403,
                "unauthorized_client",
                "This client may not use this mechanism; an operator can allow it.",
            ));
        }
        let asked_for = match scopes {
            Some(scopes) => scopes,
            None if assertion.is_some() && self.on("assertion-scopes-everything") => vec!["billing:*".to_owned()],
            None if self.on("scopes-omitted-everything") => vec!["billing:*".to_owned()],
            None => match (self.fault, self.scopes_of(&client, "long-default")) {
                (Some("secret-default-first"), all) if secret.is_some() => all[..1].to_vec(),
                (Some("assertion-default-first"), all) if assertion.is_some() => all[..1].to_vec(),
                (Some("code-default-more"), all) if code.is_some() => {
                    all.into_iter().chain(["jobs:read".to_owned()]).collect()
                }
                (_, all) => all,
            },
        };
        let more = self.on("code-escalates") || self.on("code-default-more");
        let scopes = match code.is_some() && more {
            true => asked_for,
            false => self.grantable(asked, asked_for, &self.scopes_of(&client, "long-asked"), 403)?,
        };
        let uncapped = (code.is_some() && self.on("code-ttl-uncapped"))
            || (assertion.is_some() && self.on("assertion-ttl-uncapped"));
        if uncapped {
            client.max_ttl = None;
        }
        let auth_time = self.auth_time(client.valid_from, assertion.as_deref());
        let has_all = assertion.is_some() && self.on("assertion-token-has-all")
            || code.is_some() && self.on("code-token-has-all");
        let mut reply =
            self.mint_long(&client, if has_all { client.scopes.clone() } else { scopes.clone() }, ttl, auth_time);
        if has_all {
            reply.body["scopes"] = serde_json::json!(scopes);
        }
        let by = if code.is_some() { "code" } else { mechanism };
        if let Some(id) = reply.body["token_id"].as_str() {
            self.memory.by_mechanism.insert(id.to_owned(), by);
        }
        self.sort_scopes(&mut reply, by);
        if code.is_some() && self.on("code-id-kind") {
            let id = reply.body["token_id"].as_str().unwrap_or_default().replace("tok_lt_", "tok_st_");
            reply.body["token_id"] = id.into();
        }
        Ok(reply)
    }

    pub fn sort_scopes(&self, reply: &mut Reply, mechanism: &str) {
        if self.on(&format!("{mechanism}-scopes-sorted"))
            && let Some(scopes) = reply.body["scopes"].as_array_mut()
        {
            scopes.sort_by_key(ToString::to_string);
        }
    }

    fn rotating(&mut self, asked: &Asked, header: Option<&str>) -> Result<Bearer, Refused> {
        match self.verified(asked, header, "short") {
            Ok(bearer) if self.lags("rotation", &bearer.client).is_some() => Ok(bearer),
            _ => self.bearer(asked, header, "short"),
        }
    }

    fn rotate(
        &mut self,
        asked: &Asked,
        client_id: &str,
        scopes: Option<Vec<String>>,
        ttl: Option<u64>,
    ) -> Result<Reply, Refused> {
        let header = self.single(asked, "authorization", "invalid_token", "-on-rotation")?;
        if self.on("rotation-permission-first")
            && let Ok(bearer) = self.verified(asked, header.as_deref(), "short")
            && !self.may(&bearer, "tokens:write", "rotation-itself")
        {
            return Err(self.refuse(asked, 403, "insufficient_scope", "tokens:write is needed."));
        }
        let bearer = match self.rotating(asked, header.as_deref()) {
            Ok(bearer) => bearer,
            Err(_) if self.on("rotation-any-bearer") => {
                let client = self.clients[0].clone();
                return Ok(self.mint_long(&client, client.scopes.clone(), ttl, self.clock.now()));
            }
            Err(refused) => return Err(refused),
        };
        if self.on("rotation-refused") {
            return Err(self.refuse(asked, 401, "invalid_token", "The request was rejected."));
        }
        if bearer.client != client_id && !self.on("foreign-bearer") {
            return Err(self.refuse(
                asked,
                403,
                "unauthorized_client",
                "The bearer token belongs to a client other than client_id.",
            ));
        }
        let may = if self.on("rotation-needs-wildcard") {
            bearer.scopes.iter().any(|s| s == "tokens:*")
        } else {
            self.may(&bearer, "tokens:write", "rotation-itself")
                || self.on("rotation-without-write")
                || (self.on("write-by-prefix") && bearer.scopes.iter().any(|s| s.starts_with("tokens:write")))
                || (self.on("any-wildcard-writes") && bearer.scopes.iter().any(|s| s.ends_with(":*")))
        };
        if !may {
            return Err(self.refuse(
                asked,
                403,
                "insufficient_scope",
                "A rotation requires a bearer token with the scope tokens:write.",
            ));
        }
        let mut client = self.client(&bearer.client);
        if self.on("rotation-ttl-uncapped") {
            client.max_ttl = None;
        }
        if !client.may_use("rotation") && !self.on("rotation-for-all") {
            return Err(self.refuse(
                asked,
                403,
                "unauthorized_client",
                "This client may not use the mechanism rotation; an operator can allow it.",
            ));
        }
        let bounded = |place: &str| self.left_to(&bearer.scopes, &bearer.client, place);
        let limit = if self.on("rotation-escalates") { client.scopes.clone() } else { bounded("rotation-asked") };
        let default = if self.on("rotation-all-scopes") { client.scopes.clone() } else { bounded("rotation") };
        let limit = if scopes.is_none() { default.clone() } else { limit };
        let scopes = if self.on("rotation-all-scopes") && scopes.is_none() {
            default
        } else {
            self.grantable(asked, scopes.unwrap_or(default), &limit, 403)?
        };
        if let Some(parent) = &bearer.parent {
            let grace = if self.on("grace-for-seconds") { 5 } else { GRACE };
            let until = if self.on("no-grace") { 0 } else { self.clock.now() + grace };
            let held = self.memory.retired.entry(parent.clone()).or_insert(until);
            *held = if self.fault == Some("rotating-lengthens") { until } else { until.min(*held) };
            if self.on("feed-retires-now") {
                self.report("parent", parent, self.clock.now());
            }
        }
        let granted = scopes.clone();
        let scopes = if self.on("rotation-token-has-all") { client.scopes.clone() } else { scopes };
        let mut reply = self.mint_long(&client, scopes, ttl, self.auth_time_of_rotation(&bearer));
        reply.body["scopes"] = serde_json::json!(granted);
        if let (Some(id), Some(parent)) = (reply.body["token_id"].as_str(), &bearer.parent) {
            self.memory.rotated.insert(id.to_owned(), parent.clone());
        }
        if self.on("rotated-token-dead") {
            let id = reply.body["token_id"].as_str().unwrap_or_default().to_owned();
            self.memory.revoked.insert(id);
        }
        Ok(reply)
    }
}
