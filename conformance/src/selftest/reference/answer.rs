//! The reference's answers: their headers, and the bodies of success and error responses.

use super::message::{Asked, Form, Refused, Reply};
use super::state::Reference;
use crate::clock;
use serde_json::{Value, json};

impl Reference {
    pub fn granted(&self, kind: &str, id: &str, token: &str, scopes: &[String], ttl: u64) -> Reply {
        let late = if self.on("expires-at-late") { 7200 } else { 0 };
        let mut body = json!({
            "token_type": "Bearer", "access_token": token, "expires_in": ttl,
            "expires_at": clock::rfc3339(self.clock.now() + ttl + late), "scopes": scopes, "token_id": id,
        });
        if self.on("extra-field") {
            body["refresh_token"] = "none".into();
        }
        if self.on("token-type-lower") {
            body["token_type"] = "bearer".into();
        }
        let _ = kind;
        self.dressed(201, body)
    }

    pub fn ended(&self) -> Reply {
        let body = if self.on("204-with-body") { json!({"ok": true}) } else { Value::Null };
        self.dressed(if self.on("204-with-body") { 200 } else { 204 }, body)
    }

    pub fn dressed(&self, status: u16, body: Value) -> Reply {
        let mut headers = Vec::new();
        if !(self.on("no-no-store") || (self.on("no-no-store-on-404") && status == 404)) {
            headers.push(("Cache-Control".to_owned(), "no-store".to_owned()));
        }
        if !self.on("no-nosniff") {
            headers.push(("X-Content-Type-Options".to_owned(), "nosniff".to_owned()));
        }
        let form = if self.on("html-errors") && status >= 400 { Form::Html } else { Form::Json };
        Reply { status, headers, body, form }
    }

    pub fn refuse(&self, asked: &Asked, status: u16, code: &str, message: &str) -> Refused {
        Box::new(self.error(asked, status, code, message, None))
    }

    /// A 405 for a path that can be read only.
    pub fn read_only(&self, asked: &Asked, allow: &str) -> Reply {
        let told = "Method not allowed; this path allows GET and HEAD.";
        let mut reply = self.error(asked, 405, "method_not_allowed", told, None);
        reply.headers.push(("Allow".into(), allow.into()));
        reply
    }

    pub fn error(&self, asked: &Asked, status: u16, code: &str, message: &str, details: Option<Value>) -> Reply {
        let status = match status {
            400 if self.on("422-for-400") && asked.path.ends_with("/long") => 422,
            status => status,
        };
        let told = if self.on("wrong-code") { "error" } else { code };
        let mut body = json!({"code": told, "message": message});
        if let Some(details) = details {
            body["details"] = if self.on("details-string") { details.to_string().into() } else { details };
        }
        if self.on("error-extra-field") {
            body["trace_id"] = "1".into();
        }
        let mut reply = self.dressed(status, body);
        let part = ["/long", "/short", "/revoke"].into_iter().find(|end| asked.path.ends_with(end)).unwrap_or("/");
        let silent = self.on("no-www-authenticate")
            || (self.on("no-challenge-short") && part == "/short")
            || (self.on("no-challenge-introspect") && asked.path.ends_with("/introspect"))
            || (self.on("no-challenge-revoke") && part == "/revoke");
        if status == 401 && !silent {
            // On /long the mechanism in the body decides: a bearer beside it does not count as presented.
            let presented =
                asked.header("authorization").is_some_and(|v| v.starts_with("Bearer ")) && code != "invalid_client";
            let error = if self.on("challenge-invalid-token") { "invalid_token" } else { code };
            let mut challenge = "Bearer realm=\"auth\"".to_owned();
            if (presented && !self.on("challenge-never-error")) || self.on("challenge-always-error") {
                challenge += &format!(", error=\"{error}\"");
            }
            if let Some(sent) = asked.header("authorization").filter(|_| self.on("echoes-bearer")) {
                challenge += &format!(", error_description=\"{sent}\"");
            }
            if let Some(sent) = asked.header("authorization").filter(|sent| sent.len() > 60 && self.on("echoes-half")) {
                challenge += &format!(", error_description=\"{}\"", &sent[sent.len() - 60..]);
            }
            if self.on("challenge-basic") {
                challenge = "Basic realm=\"auth\"".to_owned();
            }
            reply.headers.push(("WWW-Authenticate".to_owned(), challenge));
        }
        reply
    }
}
