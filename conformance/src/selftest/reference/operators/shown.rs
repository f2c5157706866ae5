//! A client as operators see it, and its ETag.

use super::super::message::Reply;
use super::super::state::{ClientRecord, Reference};
use crate::clock;
use crate::jose::b64;
use ring::digest;
use serde_json::{Value, json};

const LONGEST: u64 = 7_776_000;

impl Reference {
    pub fn client_reply(&self, status: u16, client: &ClientRecord) -> Reply {
        let mut reply = self.dressed(status, self.shown(client));
        if !self.on("clients-no-etag") {
            reply.headers.push(("ETag".into(), self.etag(client)));
        }
        reply
    }

    pub fn shown(&self, client: &ClientRecord) -> Value {
        let now = self.clock.now();
        let secrets = client.secrets.iter().filter(|secret| secret.lives(now) || self.on("ended-secret-shown"));
        let secrets: Vec<_> = secrets
            .map(|secret| {
                let mut shown = json!({"secret_id": secret.id, "created_at": clock::rfc3339(secret.created)});
                if let Some(end) = secret.expires.filter(|_| !self.on("secret-end-untold")) {
                    shown["expires_at"] = clock::rfc3339(end).into();
                }
                if self.on("shows-hashes") {
                    shown["hash"] = b64(digest::digest(&digest::SHA256, secret.text.as_bytes())).into();
                }
                shown
            })
            .collect();
        let mut shown = json!({
            "client_id": client.id,
            "status": if client.suspended { "suspended" } else { "active" },
            "scopes": client.scopes,
            "mechanisms": client.mechanisms,
            "max_ttl_seconds": client.max_ttl.unwrap_or(LONGEST),
            "consistency": if client.immediate { "immediate" } else { "eventual" },
            "has_totp": !client.totp.is_empty() && !self.on("has-totp-false"),
            "secrets": secrets,
            "tokens_valid_from": clock::rfc3339(client.valid_from),
            "created_at": clock::rfc3339(client.created),
            "updated_at": clock::rfc3339(client.updated),
        });
        let name = client.name.clone().map_or(Value::Null, Value::from);
        let region = client.region.clone().map_or(Value::Null, Value::from);
        for (member, value) in [("client_name", name), ("region", region), ("jwks", client.jwks.clone())] {
            if !value.is_null() || self.on("unset-as-null") {
                shown[member] = value;
            }
        }
        match self.fault {
            Some("end-tokens-untold") => shown["tokens_valid_from"] = shown["created_at"].clone(),
            Some("times-as-numbers") => shown["created_at"] = client.created.into(),
            _ => {}
        }
        if self.on("client-extra-member") {
            shown["tenant"] = "none".into();
        }
        if self.on("shows-secret") {
            shown["client_secret"] = client.secrets.first().map_or("none", |secret| &secret.text).into();
        }
        shown
    }

    /// Covers everything that is shown, and changes that are not visible.
    pub fn etag(&self, client: &ClientRecord) -> String {
        let mut shown = self.shown(client);
        let mut revision = client.revision;
        match self.fault {
            Some("etag-random") => revision = self.memory.requests,
            Some("etag-blind-to-secrets") => shown["secrets"] = Value::Null,
            Some("etag-blind-to-end-tokens") => shown["tokens_valid_from"] = Value::Null,
            Some("etag-by-second") => {
                let second =
                    b64(&digest::digest(&digest::SHA256, client.updated.to_string().as_bytes()).as_ref()[..16]);
                return format!("\"{second}\"");
            }
            Some("etag-constant") => shown = json!({"client_id": client.id}),
            _ => {}
        }
        if self.fault.is_some_and(|fault| fault.starts_with("etag-blind-to-") || fault == "etag-constant") {
            (revision, shown["updated_at"]) = (0, Value::Null);
        }
        let text = format!("{revision} {shown}");
        format!("\"{}\"", b64(&digest::digest(&digest::SHA256, text.as_bytes()).as_ref()[..16]))
    }
}
