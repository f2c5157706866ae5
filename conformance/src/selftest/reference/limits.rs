//! The rate limits.

use super::message::{Asked, Refused};
use super::state::{BURST_CLIENT, Reference};

/// Calls in a minute. Half of what a deployment allows: a whole run must keep far below, so that two in a row pass.
const LONG_LIMIT: u32 = 300;
/// Per long-term token.
const SHORT_LIMIT: u32 = 150;
/// The sacrificial client has fewer, so that its burst is short.
const BURST_LIMIT: u32 = 20;

impl Reference {
    pub fn limit(&mut self, asked: &Asked, what: &str, client: &str) -> Result<(), Refused> {
        let calls = self.memory.calls.entry(format!("{what} {}", self.clock.now() / 60)).or_default();
        *calls += 1;
        let most = match what.starts_with("short") {
            true => SHORT_LIMIT,
            false if client == BURST_CLIENT => BURST_LIMIT,
            false => LONG_LIMIT,
        };
        let calls = *calls;
        let busy = client == BURST_CLIENT && (most / 2..most).contains(&calls);
        if busy && self.on("500-under-load") {
            return Err(self.refuse(asked, 500, "server_error", "Too much."));
        }
        if busy && self.on("grants-under-load") && what.starts_with("long") {
            let client = self.client(client);
            return Err(Box::new(self.mint_long(&client, client.scopes.clone(), Some(3600), self.clock.now())));
        }
        if calls <= most || self.on("never-429") {
            return Ok(());
        }
        let mut reply =
            self.error(asked, 429, "rate_limited", "Too many requests. Please retry after 60 seconds.", None);
        let bare = self.on("no-retry-after") || (self.on("later-429-bare") && calls > most + 1);
        if !bare {
            reply.headers.push(("Retry-After".into(), "60".into()));
        }
        Err(Box::new(reply))
    }
}
