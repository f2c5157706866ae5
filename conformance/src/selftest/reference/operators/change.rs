//! PATCH /clients/{id}, and which values the members of a client may have.

use super::super::body::Members;
use super::super::message::{Asked, Refused, Reply};
use super::super::state::{Bearer, ClientRecord, Reference};
use super::jwks;
use crate::jose::unb64;
use serde_json::{Value, json};

const KNOWN: [&str; 7] = ["client_name", "status", "scopes", "mechanisms", "max_ttl_seconds", "consistency", "jwks"];
const MECHANISMS: [&str; 4] = ["secret", "otp", "assertion", "rotation"];

/// A merge patch (RFC 7396): `None` keeps the value, `Some(None)` removes it.
#[derive(Default)]
pub struct Patch {
    name: Option<Option<String>>,
    suspended: Option<bool>,
    scopes: Option<Vec<String>>,
    mechanisms: Option<Vec<String>>,
    max_ttl: Option<u64>,
    immediate: Option<bool>,
    jwks: Option<Option<Value>>,
}

impl Reference {
    pub fn change_client(&mut self, asked: &Asked, id: &str, caller: &Bearer) -> Result<Reply, Refused> {
        let media: &[&str] = match self.fault {
            Some("patch-json-refused") => &["application/merge-patch+json"],
            Some("merge-patch-refused") => &["application/json"],
            _ => &["application/merge-patch+json", "application/json"],
        };
        if self.on("patch-404-before-400") {
            self.found(asked, id)?;
        }
        if self.on("oneself-refused") && caller.client == id {
            return Err(self.refuse(asked, 409, "conflict", "An operator can't change its own client."));
        }
        let body = self.operators_body(asked, media)?;
        self.known_members(asked, &body, &KNOWN, "patch")?;
        let patch = self.client_members(asked, &body, false)?;
        if self.on("412-before-404") && asked.header("if-match").is_some() && self.found(asked, id).is_err() {
            return Err(self.unmatched(asked));
        }
        let at = self.found(asked, id)?;
        if self.on("409-before-412") {
            self.changeable(asked, id, "from-secret-patchable")?;
        }
        let before = self.clients[at].clone();
        if self.on("400-before-412") {
            self.apply(asked, self.client_members(asked, &body, false)?, &mut before.clone())?;
        }
        if !self.fits_if_match(asked, &before) {
            if self.on("412-changes-all-the-same") {
                self.apply(asked, patch, &mut self.clients[at].clone())?;
                self.clients[at].name = Some("changed".to_owned());
            }
            return Err(self.unmatched(asked));
        }
        if !(before.from_secret && self.on("400-before-409")) {
            self.changeable(asked, id, "from-secret-patchable")?;
        }
        self.may_give(asked, caller, &patch, Some(&before), "patch")?;
        let mut after = before.clone();
        if self.on("patch-replaces") {
            (after.name, after.max_ttl) = (None, None);
        }
        let name = patch.name.clone();
        let restores = patch.suspended == Some(false);
        if let Err(refused) = self.apply(asked, patch, &mut after) {
            if let Some(name) = name.filter(|_| self.on("patch-by-halves")) {
                self.clients[at].name = name;
            }
            return Err(refused);
        }
        match self.fault {
            Some("patch-renews-secret") if after.mechanisms != before.mechanisms => {
                after.secrets.push(self.new_secret());
            }
            Some("patch-ends-secrets") => after.secrets.clear(),
            Some("restoration-ends-tokens") if before.suspended && !after.suspended => {
                after.valid_from = self.clock.now() + 1;
            }
            Some("patch-makes-seed") if after.may_use("otp") && after.totp.is_empty() => after.totp = vec![1; 20],
            _ => {}
        }
        self.changeable(asked, id, "from-secret-patchable")?;
        let scopes = std::mem::replace(&mut after.scopes, before.scopes.clone());
        self.clients[at] = after;
        if scopes != before.scopes {
            self.set_scopes(at, scopes);
        }
        if restores && self.on("restoration-revives") {
            self.memory.ids.iter().filter(|(client, _)| client == id).for_each(|(_, token)| {
                self.memory.revoked.remove(token);
            });
        }
        if (restores && !self.on("patch-keeps-lock")) || self.on("any-patch-forgives") {
            self.forgive(id);
        }
        self.touch(at);
        if self.on("feed-lists-changes") {
            self.report("client", id, crate::trial::feed::FOR_GOOD);
        }
        self.report_change(&before, at);
        let after = if self.on("patch-answers-before") { before } else { self.clients[at].clone() };
        let mut reply = self.client_reply(200, &after);
        if self.on("patch-204") {
            (reply.status, reply.body) = (204, Value::Null);
        }
        Ok(reply)
    }

    pub fn unmatched(&self, asked: &Asked) -> Refused {
        let (status, code) = match self.fault {
            Some("409-for-412") => (409, "conflict"),
            _ => (412, "precondition_failed"),
        };
        self.refuse(
            asked,
            status,
            code,
            "The client has changed since If-Match's ETag; read it again and repeat the request with the new ETag.",
        )
    }

    /// Reports a change of a client to the parts that depend on it.
    fn report_change(&mut self, before: &ClientRecord, at: usize) {
        let after = self.clients[at].clone();
        let id = after.id.as_str();
        self.memory.former.insert(id.to_owned(), before.clone());
        if before.immediate != after.immediate {
            self.memory.switched.insert(id.to_owned());
        }
        if before.suspended != after.suspended {
            self.report_standing(id, after.suspended, after.valid_from);
        }
        let what = match () {
            () if after.suspended && !before.suspended => "suspension",
            () if !after.suspended && before.suspended => "restoration",
            () if after.scopes != before.scopes => "narrowing",
            () if after.mechanisms != before.mechanisms => "mechanisms",
            () => return,
        };
        self.took(id, what);
    }

    pub fn operators_body(&self, asked: &Asked, media: &[&str]) -> Result<Members, Refused> {
        let kind = asked.header("content-type").unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        let fits = match self.fault {
            Some("clients-content-type-exact") => media.contains(&kind),
            Some("clients-content-type-unchecked") => true,
            Some("patch-any-json-type") => essence.contains("json"),
            _ => media.iter().any(|known| essence.eq_ignore_ascii_case(known)),
        };
        if !fits {
            return Err(self.refuse(
                asked,
                400,
                "invalid_request",
                "The Content-Type header is missing, or has a media type that this operation does not accept.",
            ));
        }
        let most = match self.fault {
            Some("clients-body-8k") => 8192,
            Some("clients-body-unlimited") => usize::MAX,
            _ => 16_384,
        };
        let unmeasured = asked.header("content-length").is_none() && self.on("clients-size-by-content-length");
        if asked.body.len() > most && !unmeasured {
            return Err(self.refuse(
                asked,
                400,
                "invalid_request",
                "The body is longer than 16,384 bytes; send a shorter one.",
            ));
        }
        let lenient = match self.fault {
            Some("clients-repeated-key-ok") => serde_json::from_slice(&asked.body).ok(),
            Some("clients-trailing-ok") => {
                serde_json::Deserializer::from_slice(&asked.body).into_iter().next().and_then(Result::ok)
            }
            Some("clients-trailing-comma-ok") => {
                serde_json::from_str(&String::from_utf8_lossy(&asked.body).replace(",}", "}")).ok()
            }
            Some("clients-comments-ok") => {
                serde_json::from_str(&String::from_utf8_lossy(&asked.body).replace("/* a comment */", "")).ok()
            }
            Some("clients-utf8-lossy") => serde_json::from_str(&String::from_utf8_lossy(&asked.body)).ok(),
            Some("patch-null-ok") if asked.body == b"null" => Some(Members::new()),
            Some("patch-no-body-ok") if asked.body.is_empty() => Some(Members::new()),
            Some("clients-array-ok") if asked.body.starts_with(b"[") => {
                serde_json::from_slice::<Vec<Members>>(&asked.body).ok().and_then(|mut all| all.pop())
            }
            _ => None,
        };
        match lenient {
            Some(members) => Ok(members),
            None => self.strict(&asked.body).ok_or_else(|| {
                self.refuse(asked, 400, "invalid_request", "The body must be one JSON object, with each key once.")
            }),
        }
    }

    pub fn known_members(&self, asked: &Asked, body: &Members, known: &[&str], call: &str) -> Result<(), Refused> {
        match body.keys().find(|name| !known.contains(&name.as_str())) {
            Some(_) if self.on(&format!("{call}-unknown-ignored")) => Ok(()),
            Some(name) if self.on(&format!("{call}-takes-{name}")) => Ok(()),
            Some(_) if self.on("unknown-member-unnamed") => {
                Err(self.refuse(asked, 400, "invalid_request", "The body has an unknown member; leave it out."))
            }
            Some(name) => Err(self.fault_in(asked, name, "is not a member of this request; leave it out")),
            None => Ok(()),
        }
    }

    pub fn fault_in(&self, asked: &Asked, member: &str, problem: &str) -> Refused {
        let details = json!({"field": member});
        Box::new(self.error(asked, 400, "invalid_request", &format!("{member} {problem}."), Some(details)))
    }

    /// Checks the types of the members. Null is allowed only in a patch, for members that can be removed.
    pub fn client_members(&self, asked: &Asked, body: &Members, creates: bool) -> Result<Patch, Refused> {
        let mut body = body.clone();
        let mut patch = Patch::default();
        for (member, goes) in [
            ("client_name", true),
            ("jwks", true),
            ("status", false),
            ("scopes", false),
            ("mechanisms", false),
            ("max_ttl_seconds", false),
            ("consistency", false),
        ] {
            if body.get(member) != Some(&Value::Null) {
                continue;
            }
            let forgiven = self.on(&format!("{}-null-{member}-ok", if creates { "create" } else { "patch" }));
            if (creates || !goes) && !forgiven {
                return Err(self.fault_in(asked, member, "must not be null"));
            }
            body.remove(member);
            match member {
                "client_name" if !self.on("patch-null-keeps-name") => patch.name = Some(None),
                "jwks" if !self.on("patch-null-keeps-jwks") => patch.jwks = Some(None),
                _ => {}
            }
        }
        if let Some(name) = self.text(asked, &body, "client_name")? {
            self.check_name(asked, &name)?;
            patch.name = Some(Some(name));
        }
        match self.text(asked, &body, "status")?.as_deref() {
            None => {}
            Some("suspended") => patch.suspended = Some(true),
            Some("active") => patch.suspended = Some(false),
            Some(_) if self.on("status-unchecked") => {}
            Some(_) => return Err(self.fault_in(asked, "status", "must be active or suspended")),
        }
        let empty_ok = self.on(if creates { "clients-scopes-empty-ok" } else { "patch-scopes-empty-ok" });
        let raw = self.on("clients-scope-grammar-unchecked") || self.on("clients-duplicates-kept");
        patch.scopes = match empty_ok && body.get("scopes") == Some(&json!([])) {
            true => Some(Vec::new()),
            false if raw => body.get("scopes").map(|list| {
                list.as_array().into_iter().flatten().filter_map(|s| Some(s.as_str()?.to_owned())).collect()
            }),
            false => self.scopes(asked, &body)?,
        };
        if self.on("clients-scopes-sorted") {
            patch.scopes.iter_mut().for_each(|scopes| scopes.sort());
        }
        let empty_ok = if creates { "mechanisms-empty-ok" } else { "patch-mechanisms-empty-ok" };
        patch.mechanisms = self.mechanisms(asked, &body, empty_ok)?;
        patch.max_ttl = self.max_ttl(asked, &body)?;
        patch.immediate = match self.text(asked, &body, "consistency")?.as_deref() {
            None => None,
            Some("immediate") => Some(true),
            Some("eventual") => Some(false),
            Some(_) if self.on("consistency-unchecked") => None,
            Some(_) => return Err(self.fault_in(asked, "consistency", "must be eventual or immediate")),
        };
        if let Some(set) = body.get("jwks") {
            match jwks::read(self, set) {
                Ok(set) => patch.jwks = Some(Some(set)),
                Err(problem) => return Err(self.fault_in(asked, "jwks", &problem)),
            }
        }
        Ok(patch)
    }

    fn check_name(&self, asked: &Asked, name: &str) -> Result<(), Refused> {
        let length = match self.fault {
            Some("name-in-bytes") => name.len(),
            Some("name-in-utf-16") => name.encode_utf16().count(),
            _ => name.chars().count(),
        };
        let long = length > 128 && !self.on("name-any-length");
        let empty = length == 0 && !self.on("name-empty-ok");
        let controls = match self.fault {
            Some("name-controls-ok") => false,
            Some("name-c1-ok") => name.bytes().any(|byte| byte.is_ascii_control()),
            _ => name.chars().any(char::is_control),
        };
        if long || empty || controls {
            return Err(self.fault_in(
                asked,
                "client_name",
                "must be 1 to 128 characters, none of them a control character",
            ));
        }
        Ok(())
    }

    fn mechanisms(&self, asked: &Asked, body: &Members, empty_ok: &str) -> Result<Option<Vec<String>>, Refused> {
        let list = match body.get("mechanisms") {
            None => return Ok(None),
            Some(Value::String(one)) if self.on("mechanisms-text-ok") => vec![one.clone().into()],
            Some(Value::Array(list)) => list.clone(),
            Some(_) => return Err(self.fault_in(asked, "mechanisms", "must be an array of strings")),
        };
        let mut all: Vec<String> = Vec::new();
        for value in list {
            let name = value.as_str().unwrap_or_default();
            if !MECHANISMS.contains(&name) {
                if self.on("mechanism-unknown-ignored") {
                    continue;
                }
                return Err(self.fault_in(
                    asked,
                    "mechanisms",
                    "lists an unknown mechanism; use secret, otp, assertion or rotation",
                ));
            }
            if !all.iter().any(|known| known == name) || self.on("mechanisms-repeat") {
                all.push(name.to_owned());
            }
        }
        if all.is_empty() && !self.on(empty_ok) {
            return Err(self.fault_in(asked, "mechanisms", "is empty; list at least one mechanism"));
        }
        Ok(Some(all))
    }

    fn max_ttl(&self, asked: &Asked, body: &Members) -> Result<Option<u64>, Refused> {
        let Some(value) = body.get("max_ttl_seconds") else { return Ok(None) };
        let (least, most) = match self.fault {
            Some("max-ttl-exclusive") => (3600, 7_775_999),
            Some("max-ttl-min-exclusive") => (3601, 7_776_000),
            Some("max-ttl-any-small") => (1, 7_776_000),
            Some("max-ttl-any-large") => (3600, u64::MAX),
            _ => (3600, 7_776_000),
        };
        let lenient = match value {
            Value::String(text) if self.on("max-ttl-text-ok") => text.parse().ok(),
            Value::Number(number) if self.on("max-ttl-fraction-ok") => number.as_f64().map(|number| number as u64),
            _ => value.as_u64(),
        };
        match lenient.filter(|seconds| (least..=most).contains(seconds)) {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(self.fault_in(asked, "max_ttl_seconds", "must be an integer from 3600 to 7776000")),
        }
    }

    /// Only the client of the secret `OPERATOR` may give `clients:` scopes.
    pub fn may_give(
        &self,
        asked: &Asked,
        caller: &Bearer,
        patch: &Patch,
        before: Option<&ClientRecord>,
        call: &str,
    ) -> Result<(), Refused> {
        let by = self.client(&caller.client);
        let scopes = patch.scopes.clone().unwrap_or_default();
        let held = |scope: &String| before.is_some_and(|before| self.any_covers(&before.scopes, scope));
        let given = scopes.iter().any(|scope| scope.starts_with("clients:") && !held(scope));
        let refused = || {
            self.refuse(
                asked,
                403,
                "insufficient_scope",
                "Only the client of the secret OPERATOR may give a client this scope.",
            )
        };
        if given
            && !self.on(&format!("any-operator-gives-on-{call}"))
            && (!by.from_secret || self.on("nobody-gives-clients"))
        {
            return Err(refused());
        }
        if self.on("gives-only-what-it-has")
            && scopes.iter().any(|scope| !self.any_covers(&by.scopes, scope))
            && !by.from_secret
        {
            return Err(refused());
        }
        Ok(())
    }

    /// The client after the patch.
    pub fn apply(&self, asked: &Asked, patch: Patch, client: &mut ClientRecord) -> Result<(), Refused> {
        let exists = self.clients.iter().any(|known| known.id == client.id);
        let drops = |member: &str| self.on(&format!("{}drops-{member}", if exists { "patch-" } else { "" }));
        let takes_keys = patch.jwks == Some(None);
        if let Some(scopes) = patch.scopes.filter(|_| !drops("scopes")) {
            client.scopes = scopes;
        }
        if let Some(name) = patch.name.filter(|_| !drops("client_name")) {
            client.name = name;
        }
        if let Some(suspended) = patch.suspended.filter(|_| !drops("status")) {
            client.suspended = suspended;
        }
        if let Some(mechanisms) = patch.mechanisms.filter(|_| !drops("mechanisms")) {
            client.mechanisms = mechanisms;
        }
        if let Some(seconds) = patch.max_ttl.filter(|_| !drops("max_ttl_seconds")) {
            client.max_ttl = Some(seconds);
        }
        if let Some(immediate) = patch.immediate.filter(|_| !drops("consistency")) {
            client.immediate = immediate;
        }
        if let Some(set) = patch.jwks.filter(|_| !drops("jwks")) {
            client.jwks = set.unwrap_or(Value::Null);
            let all = client.jwks["keys"].as_array().cloned().unwrap_or_default();
            let signer = all.iter().find(|key| key["alg"] == "EdDSA");
            let text = |name: &str| signer.and_then(|key| key[name].as_str()).unwrap_or_default().to_owned();
            if !self.on("jwks-replaced-in-show-only") {
                (client.kid, client.alg) = (text("kid"), "EdDSA");
                client.public = unb64(&text("x")).unwrap_or_default();
            }
        }
        if client.mechanisms == ["rotation"] && !self.on("rotation-alone-ok") {
            return Err(self.fault_in(
                asked,
                "mechanisms",
                "must have secret, otp or assertion besides rotation, which can't get a first token",
            ));
        }
        let forgiven = match (exists, takes_keys) {
            (false, _) => "assertion-without-jwks",
            (true, false) => "patch-assertion-without-jwks",
            (true, true) => "patch-jwks-away",
        };
        if client.may_use("assertion") && client.jwks.is_null() && !self.on(forgiven) {
            return Err(self.fault_in(
                asked,
                "jwks",
                "is missing; the mechanism assertion requires the client's public keys",
            ));
        }
        Ok(())
    }
}
