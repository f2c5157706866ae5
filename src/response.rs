//! An HTTP response, independent of the runtime.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

/// A response. Every constructor sets the headers that all responses carry.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<Cow<'static, str>>,
}

impl Response {
    /// A response without a body.
    pub fn empty(status: u16) -> Self {
        let headers = vec![("Cache-Control", "no-store".to_owned()), ("X-Content-Type-Options", "nosniff".to_owned())];
        Self { status, headers, body: None }
    }

    pub fn json(status: u16, body: &impl Serialize) -> Self {
        // Structs of strings and numbers always serialize; `{}` is never sent.
        Self::from_json(status, serde_json::to_string(body).unwrap_or_else(|_| "{}".to_owned()))
    }

    /// A response whose body is already JSON.
    pub fn from_json(status: u16, json: String) -> Self {
        let mut response = Self::empty(status);
        response.headers.push(("Content-Type", "application/json".to_owned()));
        response.body = Some(json.into());
        response
    }

    /// Lets any cache keep the response for `max_age` seconds.
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

/// Formats a time (Unix seconds) for a response: RFC 3339, in UTC, with `Z`.
pub fn rfc_3339(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    time.unwrap_or(DateTime::UNIX_EPOCH).to_rfc3339_opts(SecondsFormat::Secs, true)
}
