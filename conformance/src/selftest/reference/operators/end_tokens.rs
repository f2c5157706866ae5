//! POST /clients/{id}/end-tokens.

use super::super::message::{Asked, Refused, Reply};
use super::super::state::Reference;
use crate::trial::feed::FOR_GOOD;

impl Reference {
    pub fn end_tokens(&mut self, asked: &Asked, id: &str) -> Result<Reply, Refused> {
        if self.on("end-tokens-unknown-204") && self.found(asked, id).is_err() {
            return Ok(self.ended());
        }
        let at = self.found(asked, id)?;
        if self.on("end-tokens-no-op") {
            return Ok(self.ended());
        }
        // The next second. Its answer need not wait for it: a new token's `auth_time` is not before it.
        let ahead = if self.on("end-tokens-an-hour-ahead") { 3600 } else { 1 };
        let from = self.clients[at].valid_from.max(self.clock.now()) + ahead;
        self.clients[at].valid_from = from;
        if self.on("end-tokens-ends-secrets") {
            self.clients[at].secrets.clear();
        }
        self.touch(at);
        let id = self.clients[at].id.clone();
        self.took(&id, "end-tokens");
        match self.fault {
            Some("feed-lacks-end-tokens") => {}
            Some("feed-ends-for-good") => self.report("client", &id, FOR_GOOD),
            _ => self.report("client", &id, from),
        }
        Ok(self.ended())
    }
}
