//! The rate limits.

use super::message::{Asked, Refused};
use super::state::{BURST_CLIENT, Reference};
use serde_json::Value;

/// Calls per minute. Two runs in one minute must stay below the limit.
const LONG_LIMIT: u32 = 600;
/// Per long-term token.
const SHORT_LIMIT: u32 = 150;
/// The client of the bursts has a lower limit, so that they are short.
const BURST_LIMIT: u32 = 20;

impl Reference {
    pub fn limit(&mut self, asked: &Asked, what: &str, client: &str) -> Result<(), Refused> {
        let calls = self.memory.calls.entry(format!("{what} {}", self.clock.now() / 60)).or_default();
        *calls += 1;
        let calls = *calls;
        if self.on("short-limit-for-all") && self.memory.was_limited && what.starts_with("short") {
            return Err(self.refuse(asked, 429, "rate_limited", "Too many requests. Please retry after 60 seconds."));
        }
        if self.on("limit-for-all") && self.memory.was_limited && what.starts_with("long") {
            return Err(self.refuse(asked, 429, "rate_limited", "Too many requests. Please retry after 60 seconds."));
        }
        let most = match what.starts_with("short") {
            true => SHORT_LIMIT,
            false if client == BURST_CLIENT => BURST_LIMIT,
            false if self.on("low-limit") => LONG_LIMIT / 4,
            false => LONG_LIMIT,
        };
        let busy = client == BURST_CLIENT && (most / 2..most).contains(&calls);
        if busy && self.on("500-under-load") {
            return Err(self.refuse(asked, 500, "server_error", "The service is overloaded."));
        }
        if busy && self.on("grants-under-load") && what.starts_with("long") {
            let client = self.client(client);
            return Err(Box::new(self.mint_long(&client, client.scopes.clone(), Some(3600), self.clock.now())));
        }
        if calls <= most || self.on("never-429") {
            return Ok(());
        }
        self.memory.was_limited = true;
        let seconds = match self.fault {
            Some("retry-after-a-day") => 86_400,
            Some("retry-after-early") => 10,
            _ => 60,
        };
        let silent =
            self.on("429-message-silent") || (self.on("429-message-silent-short") && what.starts_with("short"));
        let told = match self.fault {
            _ if silent => "Too many requests.".to_owned(),
            Some("429-message-differs") => "Too many requests. Please retry after 5 seconds.".to_owned(),
            _ => format!("Too many requests. Please retry after {seconds} seconds."),
        };
        let mut reply = self.error(asked, 429, "rate_limited", &told, None);
        let bare = self.on("no-retry-after") || (self.on("later-429-bare") && calls > most + 1);
        if !bare {
            reply.headers.push(("Retry-After".into(), seconds.to_string()));
        }
        Err(Box::new(reply))
    }

    /// Whether another call would be rejected, without counting one.
    pub fn is_over_limit(&mut self, asked: &Asked, what: &str, client: &str) -> Result<(), Refused> {
        let limited = self.limit(asked, what, client);
        if limited.is_ok()
            && let Some(calls) = self.memory.calls.get_mut(&format!("{what} {}", self.clock.now() / 60))
        {
            *calls -= 1;
        }
        limited
    }

    /// The limit of /long, for a copy that checks it before the body.
    pub fn early_limit(&mut self, asked: &Asked) -> Result<(), Refused> {
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let client = body["client_id"].as_str().unwrap_or_default().to_owned();
        self.is_over_limit(asked, &format!("long {client}"), &client)
    }
}
