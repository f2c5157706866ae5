//! POST /clients/{id}/end-tokens.

use super::super::message::{Asked, Refused, Reply};
use super::super::state::Reference;

impl Reference {
    pub fn end_tokens(&mut self, asked: &Asked, id: &str) -> Result<Reply, Refused> {
        if self.on("end-tokens-unknown-204") && self.found(asked, id).is_err() {
            return Ok(self.ended());
        }
        let at = self.found(asked, id)?;
        if self.on("end-tokens-no-op") {
            return Ok(self.ended());
        }
        let from = self.move_valid_from(at);
        if self.on("end-tokens-ends-secrets") {
            self.clients[at].secrets.clear();
        }
        if self.on("end-tokens-lifts") {
            self.clients[at].suspended = false;
        }
        self.touch(at);
        let id = self.clients[at].id.clone();
        self.took(&id, "end-tokens");
        self.report_end_tokens(&id, self.clients[at].suspended, from);
        Ok(self.ended())
    }
}
