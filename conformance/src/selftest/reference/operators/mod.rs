//! The operators' calls: who may make them, and which file answers each.

mod change;
mod create;
mod delete;
mod end_tokens;
mod jwks;
mod list;
mod secrets;
mod shown;
mod totp;

use super::message::{Asked, Refused, Reply};
use super::state::{Bearer, ClientRecord, Reference};
use std::time::{Duration, Instant};

/// Calls this close to each other count as simultaneous.
const AT_ONCE: Duration = Duration::from_millis(300);
const READ: &str = "clients:read";
const WRITE: &str = "clients:write";

/// An existing path and method.
enum Call {
    Create,
    List,
    Show(String),
    Change(String),
    Delete(String),
    AddSecret(String),
    EndSecret(String, String),
    NewTotp(String),
    EndTokens(String),
}

impl Call {
    /// The call's name, as in the names of faults.
    fn name(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::List => "list",
            Self::Show(_) => "show",
            Self::Change(_) => "change",
            Self::Delete(_) => "delete",
            Self::AddSecret(_) => "add-secret",
            Self::EndSecret(..) => "end-secret",
            Self::NewTotp(_) => "totp",
            Self::EndTokens(_) => "end-tokens",
        }
    }
}

impl Reference {
    /// `rest` is what follows `/clients/`.
    pub fn operate(&mut self, asked: &Asked, rest: &[&str]) -> Result<Reply, Refused> {
        let outcome = self.operated(asked, rest);
        let is_refused = outcome.is_err();
        let mut reply = outcome.unwrap_or_else(|refused| *refused);
        match (reply.status, self.fault) {
            (401, Some("clients-no-challenge")) => reply.headers.retain(|(name, _)| name != "WWW-Authenticate"),
            (200 | 201, Some("clients-etag-weak")) => {
                let weak = reply.headers.iter().find(|(name, _)| name == "ETag").map(|(_, tag)| format!("W/{tag}"));
                weak.iter().for_each(|tag| reply.set_header("ETag", tag));
            }
            (204, Some("clients-204-as-200")) => (reply.status, reply.body) = (200, serde_json::json!({})),
            (404, Some("clients-404-as-410")) => reply.status = 410,
            _ => {}
        }
        if is_refused { Err(Box::new(reply)) } else { Ok(reply) }
    }

    fn operated(&mut self, asked: &Asked, rest: &[&str]) -> Result<Reply, Refused> {
        let call = self.call(asked, rest)?;
        match &call {
            Call::Create if self.on("clients-body-before-caller") => {
                drop(self.operators_body(asked, &["application/json"])?)
            }
            Call::Show(id) if self.on("clients-404-before-401") => drop(self.found(asked, id)?),
            _ => {}
        }
        let caller = self.operator(asked, &call)?;
        if self.on("clients-429") {
            self.memory.operated += 1;
            if self.memory.operated > 60 {
                let mut reply = self.error(asked, 429, "rate_limited", "Please retry after 1 second.", None);
                reply.headers.push(("Retry-After".into(), "1".into()));
                return Err(Box::new(reply));
            }
        }
        if self.on(&format!("{}-reads-body", call.name())) && !asked.body.is_empty() {
            self.operators_body(asked, &["application/json"])?;
        }
        if self.on("if-match-everywhere")
            && let Call::AddSecret(id) | Call::EndSecret(id, _) | Call::NewTotp(id) | Call::EndTokens(id) = &call
            && let Some(client) = self.clients.iter().find(|client| client.id == *id)
            && !self.fits_if_match(asked, client)
        {
            return Err(self.unmatched(asked));
        }
        match call {
            Call::Create => self.create_client(asked, &caller),
            Call::List => self.list_clients(asked),
            Call::Show(id) => {
                let at = self.found(asked, &id)?;
                if self.clients[at].from_secret && self.on("from-secret-hidden") {
                    return Err(self.refuse(asked, 404, "not_found", "There is no client with this id."));
                }
                Ok(self.client_reply(200, &self.clients[at]))
            }
            Call::Change(id) => self.change_client(asked, &id, &caller),
            Call::Delete(id) => self.delete_client(asked, &id),
            Call::AddSecret(id) => self.add_secret(asked, &id),
            Call::EndSecret(id, secret) => self.end_secret(asked, &id, &secret),
            Call::NewTotp(id) => self.new_totp(asked, &id),
            Call::EndTokens(id) => self.end_tokens(asked, &id),
        }
    }

    fn call(&self, asked: &Asked, rest: &[&str]) -> Result<Call, Refused> {
        let rest: Vec<String> = rest
            .iter()
            .enumerate()
            .map(|(at, part)| match (at, self.fault) {
                (0, Some("client-id-not-decoded")) | (2, Some("secret-id-not-decoded")) => (*part).to_owned(),
                _ => percent_decoded(part),
            })
            .collect();
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        let (found, allow) = match (asked.method.as_str(), &rest[..]) {
            ("POST", []) => (Some(Call::Create), ""),
            ("GET", []) => (Some(Call::List), ""),
            (_, []) => (None, "GET, POST"),
            (_, [""] | ["", ..]) => return Err(self.refuse(asked, 404, "not_found", "There is no such path.")),
            ("GET", [id]) => (Some(Call::Show((*id).to_owned())), ""),
            ("PATCH", [id]) => (Some(Call::Change((*id).to_owned())), ""),
            ("DELETE", [id]) => (Some(Call::Delete((*id).to_owned())), ""),
            (_, [_]) => (None, "GET, PATCH, DELETE"),
            ("POST", [id, "secrets"]) => (Some(Call::AddSecret((*id).to_owned())), ""),
            ("POST", [id, "totp"]) => (Some(Call::NewTotp((*id).to_owned())), ""),
            ("POST", [id, "end-tokens"]) => (Some(Call::EndTokens((*id).to_owned())), ""),
            (_, [_, "secrets" | "totp" | "end-tokens"]) => (None, "POST"),
            ("DELETE", [id, "secrets", secret]) => (Some(Call::EndSecret((*id).to_owned(), (*secret).to_owned())), ""),
            (_, [_, "secrets", _]) => (None, "DELETE"),
            _ => return Err(self.refuse(asked, 404, "not_found", "There is no such path.")),
        };
        let Some(call) = found else {
            let status = if self.on("clients-405-as-404") { 404 } else { 405 };
            let mut reply = self.error(
                asked,
                status,
                "method_not_allowed",
                "Method not allowed; the Allow header lists the methods of this path.",
                None,
            );
            if !self.on("clients-405-without-allow") {
                reply.headers.push(("Allow".into(), allow.into()));
            }
            return Err(Box::new(reply));
        };
        Ok(call)
    }

    /// A live short-term token with the scope, bounded by its client's current scopes.
    fn operator(&mut self, asked: &Asked, call: &Call) -> Result<Bearer, Refused> {
        let needs = match call {
            Call::Show(_) if self.on("show-for-writers") => WRITE,
            Call::List | Call::Show(_) => READ,
            _ => WRITE,
        };
        let header = self.single(asked, "authorization", "invalid_token", "-on-clients")?;
        let caller = match self.fault {
            Some("clients-open") if header.is_none() => {
                let client = self.clients.iter().find(|client| client.from_secret).unwrap_or(&self.clients[0]);
                return Ok(Bearer {
                    kind: "short",
                    client: client.id.clone(),
                    id: "tok_st_x".to_owned(),
                    scopes: client.scopes.clone(),
                    exp: u64::MAX,
                    parent: None,
                    auth_time: u64::MAX,
                });
            }
            Some("clients-take-long") => {
                let long = self.bearer(asked, header.as_deref(), "long");
                long.or_else(|_| self.bearer(asked, header.as_deref(), "short"))?
            }
            Some("clients-revocation-unchecked") => self.verified(asked, header.as_deref(), "short")?,
            Some("clients-cascade-unchecked") => {
                let mut caller = self.verified(asked, header.as_deref(), "short")?;
                caller.parent = None;
                if self.is_over(&caller) {
                    return Err(self.refuse(
                        asked,
                        401,
                        "invalid_token",
                        "The bearer token was revoked, or its client is suspended or deleted.",
                    ));
                }
                caller
            }
            Some("suspended-operator-works") => {
                let caller = self.verified(asked, header.as_deref(), "short")?;
                let is_suspended = self.client(&caller.client).suspended;
                if !is_suspended && self.is_over(&caller) {
                    return Err(self.refuse(
                        asked,
                        401,
                        "invalid_token",
                        "The bearer token was revoked, or its client is suspended or deleted.",
                    ));
                }
                caller
            }
            Some("clients-forget-revocation") => {
                let caller = self.verified(asked, header.as_deref(), "short")?;
                let is_old = self.memory.revoked_at.get(&caller.id).is_some_and(|at| at + 5 <= self.clock.now());
                if is_old { caller } else { self.bearer(asked, header.as_deref(), "short")? }
            }
            Some("clients-end-tokens-unchecked") => {
                let caller = self.verified(asked, header.as_deref(), "short")?;
                let is_earlier = self.is_before(&caller, self.client(&caller.client).valid_from);
                if is_earlier { caller } else { self.bearer(asked, header.as_deref(), "short")? }
            }
            Some("clients-deletion-unchecked") => {
                let caller = self.verified(asked, header.as_deref(), "short")?;
                if self.memory.deleted.contains(&caller.client) {
                    return Ok(caller);
                }
                self.bearer(asked, header.as_deref(), "short")?
            }
            _ => self.bearer(asked, header.as_deref(), "short")?,
        };
        let client = self.client(&caller.client);
        let exact = self.on("clients-wildcard-unread");
        let holds = |all: &[String], scope: &str| {
            if exact { all.iter().any(|held| held == scope) } else { self.any_covers(all, scope) }
        };
        let of_now = self.on("operator-scopes-of-then") || self.any_covers(&client.scopes, needs);
        let reads_suffice = self.on(&format!("{}-by-read", call.name())) && holds(&caller.scopes, READ);
        let writes_suffice = self.on(&format!("{}-by-write", call.name())) && holds(&caller.scopes, WRITE);
        if self.on("clients-any-scope") || (of_now && holds(&caller.scopes, needs)) || reads_suffice || writes_suffice {
            return Ok(caller);
        }
        let (status, code) = match self.fault {
            Some("clients-scope-403") => (403, "insufficient_scope"),
            Some("clients-scope-invalid-token") => (401, "invalid_token"),
            _ => (401, "insufficient_scope"),
        };
        Err(self.refuse(asked, status, code, &format!("This operation requires a token with the scope {needs}.")))
    }

    /// The index of an existing client.
    fn found(&self, asked: &Asked, id: &str) -> Result<usize, Refused> {
        let found = self.clients.iter().position(|client| client.id == id);
        let folded = || self.clients.iter().position(|client| client.id.eq_ignore_ascii_case(id));
        match found.or_else(|| folded().filter(|_| self.on("client-path-folded"))) {
            Some(at) => Ok(at),
            None if self.on("malformed-client-id-400") && id.contains(' ') => {
                Err(self.refuse(asked, 400, "invalid_request", "The client id in the path is malformed."))
            }
            None => Err(self.refuse(asked, 404, "not_found", "There is no client with this id.")),
        }
    }

    /// The same, for a change: rejects changes of the client of the secret `OPERATOR`, unless the copy has `fault`.
    fn changeable(&self, asked: &Asked, id: &str, fault: &str) -> Result<usize, Refused> {
        let at = self.found(asked, id)?;
        if self.clients[at].from_secret && !self.on(fault) {
            return Err(self.refuse(
                asked,
                409,
                "conflict",
                "This client is defined by the secret OPERATOR; only end-tokens can change it.",
            ));
        }
        Ok(at)
    }

    /// RFC 9110 section 13.1.1: strong comparison.
    fn fits_if_match(&self, asked: &Asked, client: &ClientRecord) -> bool {
        let Some(header) = asked.header("if-match") else { return true };
        let etag = self.etag(client);
        let weakly = format!("W/{etag}");
        let star = |tag: &str| tag == "*" && !self.on("if-match-star-refused");
        let fits = |tag: &str| tag == etag || star(tag) || (tag == weakly && self.on("if-match-weakly"));
        match self.fault {
            Some("if-match-ignored") => true,
            Some("if-match-races") if self.was_just_touched(&client.id) => true,
            Some("if-match-one") => fits(header.trim()),
            _ => header.split(',').any(|tag| fits(tag.trim())),
        }
    }

    /// Changes the client's ETag after a change of the client.
    fn touch(&mut self, at: usize) {
        let now = self.clock.now();
        self.clients[at].revision += 1;
        if !self.on("updated-at-stays") {
            self.clients[at].updated = now;
        }
        if self.on("created-at-moves") {
            self.clients[at].created = now;
        }
        self.memory.touched.insert(self.clients[at].id.clone(), Instant::now());
    }

    /// Used by faults that miss changes of other calls made at the same time.
    fn was_just_touched(&self, client: &str) -> bool {
        self.memory.touched.get(client).is_some_and(|at| at.elapsed() < AT_ONCE)
    }

    /// Records what was taken away, for faults that lag.
    pub fn took(&mut self, client: &str, what: &'static str) {
        self.memory.taken.insert(client.to_owned(), (what, Instant::now()));
    }

    /// An integer in the query.
    fn number(&self, asked: &Asked, name: &str, range: std::ops::RangeInclusive<u64>) -> Result<Option<u64>, Refused> {
        let query = asked.path.split_once('?').map_or("", |(_, query)| query);
        let all: Vec<&str> = query.split('&').filter_map(|part| part.strip_prefix(&format!("{name}="))).collect();
        let underscores = self.on(&format!("{name}-underscore-ok"));
        let unscored: Vec<String> = all.iter().map(|one| one.replace('_', "")).collect();
        let all: Vec<&str> = if underscores { unscored.iter().map(String::as_str).collect() } else { all };
        let first = match all[..] {
            [] => return Ok(None),
            [""] if self.on(&format!("{name}-empty-ok")) => return Ok(None),
            [one] => one,
            [first, ..] if self.on(&format!("{name}-twice-ok")) => first,
            _ => {
                return Err(self.refuse(
                    asked,
                    400,
                    "invalid_request",
                    &format!("{name} was sent more than once; send it once."),
                ));
            }
        };
        let (least, most) = (*range.start(), *range.end());
        let plain = first.bytes().all(|byte| byte.is_ascii_digit()) && !first.is_empty();
        match first.parse::<f64>() {
            Ok(number) if plain && number >= least as f64 && number <= most as f64 => Ok(first.parse().ok()),
            Ok(number) if plain && number > most as f64 && self.on(&format!("{name}-clamped")) => Ok(Some(most)),
            Ok(number) if plain && number < least as f64 && self.on(&format!("{name}-raised")) => Ok(Some(least)),
            Ok(number) if first.contains('.') && self.on(&format!("{name}-fraction-ok")) => Ok(Some(number as u64)),
            Ok(number) if !plain && self.on(&format!("{name}-lenient")) => Ok(Some(number.max(0.0) as u64)),
            Err(_) if self.on(&format!("{name}-text-ignored")) => Ok(None),
            _ => {
                let told = format!("{name} must be an integer from {least} to {most}.");
                let details = serde_json::json!({"field": name});
                Err(Box::new(self.error(asked, 400, "invalid_request", &told, Some(details))))
            }
        }
    }
}

fn percent_decoded(part: &str) -> String {
    let mut out = Vec::new();
    let mut rest = part.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let hex = behind.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = hex.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok());
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&out).into_owned()
}
