//! The way out: what an answer is, whatever the runtime.

use std::borrow::Cow;

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
        let mut response = Self::empty(status);
        response.headers.push(("Content-Type", "application/json".to_owned()));
        // The bodies here are structs of strings and numbers, which always serialize; an empty object is the safe rest.
        response.body = Some(serde_json::to_string(body).map_or(Cow::Borrowed("{}"), Cow::Owned));
        response
    }

    /// Lets anyone keep the answer for `max_age` seconds.
    pub fn cacheable(mut self, max_age: u64) -> Self {
        for (name, value) in &mut self.headers {
            if *name == "Cache-Control" {
                *value = format!("public, max-age={max_age}");
            }
        }
        self
    }
}
