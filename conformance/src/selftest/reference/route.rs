//! (method, path) → one operation, each in its own file.

use super::message::{Asked, Refused, Reply};
use super::state::Reference;

impl Reference {
    pub fn answer(&mut self, asked: &Asked) -> Reply {
        self.memory.requests += 1;
        for (fault, status) in
            [("always-401", 401), ("always-404", 404), ("always-400", 400), ("always-403", 403), ("always-500", 500)]
        {
            if self.on(fault) {
                return self.error(asked, status, "invalid_client", "The request was rejected.", None);
            }
        }
        if self.on("always-201") {
            return self.granted("long", "tok_lt_x", "a.b.c", &["jobs:submit".to_owned()], 3600);
        }
        match self.route(asked) {
            Ok(reply) => reply,
            Err(refused) => *refused,
        }
    }

    fn route(&mut self, asked: &Asked) -> Result<Reply, Refused> {
        let path = asked.path.split('?').next().unwrap_or_default();
        if let Some(reply) = self.well_known(asked, path)? {
            return Ok(reply);
        }
        let mut path = self.below_base(path);
        if self.on("base-alone-200") && asked.path == "/v1" {
            return Ok(self.dressed(200, serde_json::json!({})));
        }
        if self.on("path-suffix-ok") {
            path = path.trim_end_matches(".json").to_owned();
        }
        if self.on("path-by-prefix") && path.starts_with("/auth/tokens/long") {
            path = "/auth/tokens/long".to_owned();
        }
        if self.on("path-parameters-ignored") {
            path.truncate(path.find(';').unwrap_or(path.len()));
        }
        if self.on("revoke-any-depth")
            && path.matches('/').count() > 4
            && let Some(at) = path.trim_end_matches("/revoke").rfind('/')
        {
            path = format!("/auth/tokens{}", &path[at..]);
        }
        if self.on("path-folded") && !path.contains("tok_") {
            path = path.to_lowercase();
        } else if self.on("path-folded") {
            path = path.replace("/Revoke", "/revoke");
        }
        if let Some(other) = asked.header("x-original-url").filter(|_| self.on("original-url-obeyed")) {
            path = other.trim_start_matches("/v1").to_owned();
        }
        if self.on("slash-decoded") {
            path = path.replace("%2F", "/");
        }
        if self.on("slash-lenient") {
            path = path.replace("//", "/").trim_end_matches('/').to_owned();
        }
        let operation = match path.split('/').collect::<Vec<_>>()[..] {
            ["", "auth", "tokens", "long"] => "long",
            ["", "auth", "tokens", "short"] => "short",
            ["", "auth", "tokens", "introspect"] if !self.on("introspection-missing") => "introspect",
            ["", "auth", "tokens", id, "revoke"] if !id.is_empty() => "revoke",
            ["", "clients", ref rest @ ..] => return self.operate(asked, rest),
            _ if self.on("unknown-path-400") => {
                return Err(self.refuse(asked, 400, "invalid_request", "There is no such path."));
            }
            _ => return Err(self.refuse(asked, 404, "not_found", "There is no such path.")),
        };
        let any_method = self.on("any-method")
            || (operation == "introspect" && self.on("introspection-by-get"))
            || (asked.method == "HEAD" && self.on("head-as-post"))
            || (asked.path.contains("_method=POST") && self.on("method-by-query"))
            || (asked.header("x-http-method-override") == Some("POST") && self.on("method-override"));
        if asked.method != "POST" && !any_method {
            if self.on("405-as-404") || (asked.method == "PATCH" && self.on("patch-as-404")) {
                return Err(self.refuse(asked, 404, "not_found", "No such path."));
            }
            let mut reply =
                self.error(asked, 405, "method_not_allowed", "Method not allowed; this path allows POST.", None);
            if !self.on("405-without-allow") {
                let allowed = if self.on("405-allows-options") { "POST, OPTIONS" } else { "POST" };
                reply.headers.push(("Allow".into(), allowed.into()));
            }
            return Ok(reply);
        }
        match operation {
            "long" => self.issue_long(asked),
            "short" => self.issue_short(asked),
            "introspect" => self.introspect(asked),
            _ => {
                let segment = path.split('/').nth(3).unwrap_or_default();
                let id = if self.on("id-not-decoded") { None } else { decoded(segment) };
                let id = id.unwrap_or_else(|| segment.to_owned());
                let id = match self.fault {
                    Some("id-line-end-ok") => id.trim_end_matches('\n').to_owned(),
                    Some("id-ends-at-nul") => id.split('\0').next().unwrap_or_default().to_owned(),
                    Some("id-decoded-twice") => decoded(&id).unwrap_or(id),
                    Some("id-any-alphabet") => id.replace('+', "-").replace('/', "_"),
                    _ => id,
                };
                self.revoke(asked, &id)
            }
        }
    }
}

impl Reference {
    /// The path below the base path; empty if it is not there.
    fn below_base(&self, path: &str) -> String {
        let base = "/v1";
        let version = path.strip_prefix("/v").and_then(|rest| rest.split_once('/'));
        let below = match version {
            Some((_, below)) if self.on("base-any-version") => Some(format!("/{below}")),
            None if self.on("base-optional") => Some(path.to_owned()),
            _ if self.on("base-folded") && path.to_lowercase().starts_with(base) => Some(path[base.len()..].to_owned()),
            _ => path.strip_prefix(base).map(str::to_owned),
        };
        below.unwrap_or_default()
    }
}

/// `None` if an escape is malformed (RFC 3986 section 2.1).
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok()
}
