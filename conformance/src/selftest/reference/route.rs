//! (method, path) → one operation. Each has a file of its own.

use super::message::{Asked, Refused, Reply};
use super::state::Reference;

impl Reference {
    pub fn answer(&mut self, asked: &Asked) -> Reply {
        self.memory.requests += 1;
        for (fault, status) in
            [("always-401", 401), ("always-404", 404), ("always-400", 400), ("always-403", 403), ("always-500", 500)]
        {
            if self.on(fault) {
                return self.error(asked, status, "invalid_client", "No.", None);
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
        let mut path = path.strip_prefix("/v1").unwrap_or_default().to_owned();
        if self.on("path-folded") && !path.contains("tok_") {
            path = path.to_lowercase();
        } else if self.on("path-folded") {
            path = path.replace("/Revoke", "/revoke");
        }
        if self.on("slash-lenient") {
            path = path.replace("//", "/").trim_end_matches('/').to_owned();
        }
        let operation = match path.split('/').collect::<Vec<_>>()[..] {
            ["", "auth", "tokens", "long"] => "long",
            ["", "auth", "tokens", "short"] => "short",
            ["", "auth", "tokens", id, "revoke"] if !id.is_empty() => "revoke",
            ["", "clients", ref rest @ ..] => return self.operate(asked, rest),
            _ if self.on("unknown-path-400") => {
                return Err(self.refuse(asked, 400, "invalid_request", "No such path."));
            }
            _ => return Err(self.refuse(asked, 404, "not_found", "No such path.")),
        };
        if asked.method != "POST" && !self.on("any-method") {
            if self.on("405-as-404") {
                return Err(self.refuse(asked, 404, "not_found", "No such path."));
            }
            let mut reply = self.error(asked, 405, "invalid_request", "Use POST.", None);
            if !self.on("405-without-allow") {
                reply.headers.push(("Allow".into(), "POST".into()));
            }
            return Ok(reply);
        }
        match operation {
            "long" => self.issue_long(asked),
            "short" => self.issue_short(asked),
            _ => {
                let id = path.split('/').nth(3).unwrap_or_default().to_owned();
                self.revoke(asked, &id)
            }
        }
    }
}
