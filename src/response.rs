//! The way out: what an answer is, whatever the runtime.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

/// An answer. The headers that every answer carries are in it already.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<Cow<'static, str>>,
}

impl Response {
    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        let headers = vec![("Cache-Control", "no-store".to_owned()), ("X-Content-Type-Options", "nosniff".to_owned())];
        Self { status, headers, body: None }
    }

    pub fn json(status: u16, body: &impl Serialize) -> Self {
        // The bodies here are structs of strings and numbers, which always serialize; an empty object is the safe rest.
        Self::text(status, serde_json::to_string(body).unwrap_or_else(|_| "{}".to_owned()))
    }

    /// An answer whose body is JSON already.
    pub fn text(status: u16, json: String) -> Self {
        let mut response = Self::empty(status);
        response.headers.push(("Content-Type", "application/json".to_owned()));
        response.body = Some(json.into());
        response
    }

    /// Lets anyone keep the answer for `max_age` seconds.
    pub fn cacheable(mut self, max_age: u64) -> Self {
        self.cache_control(&format!("public, max-age={max_age}"));
        self
    }

    pub fn cache_control(&mut self, directives: &str) {
        for (name, value) in &mut self.headers {
            if *name == "Cache-Control" {
                directives.clone_into(value);
            }
        }
    }
}

/// A time (Unix seconds) as answers show it: RFC 3339, in UTC, with `Z`.
pub fn rfc_3339(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    time.unwrap_or(DateTime::UNIX_EPOCH).to_rfc3339_opts(SecondsFormat::Secs, true)
}
