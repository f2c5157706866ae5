//! DELETE /clients/{id}.

use super::super::message::{Asked, Refused, Reply};
use super::super::state::Reference;
use crate::trial::feed::FOR_GOOD;

impl Reference {
    pub fn delete_client(&mut self, asked: &Asked, id: &str) -> Result<Reply, Refused> {
        if self.on("503-on-delete") {
            return Err(self.refuse(
                asked,
                503,
                "temporarily_unavailable",
                "A part of the service is not answering. Please retry.",
            ));
        }
        if self.memory.deleted.contains(id) && !self.on("deletion-not-idempotent") {
            if self.on("if-match-on-repeated-delete") && asked.header("if-match").is_some() {
                return Err(self.unmatched(asked));
            }
            return Ok(self.ended());
        }
        if self.on("delete-unknown-204") && self.found(asked, id).is_err() {
            return Ok(self.ended());
        }
        let at = self.found(asked, id)?;
        if !self.fits_if_match(asked, &self.clients[at]) && !self.on("if-match-ignored-on-delete") {
            return Err(self.unmatched(asked));
        }
        let at = self.changeable(asked, id, "from-secret-deletable")?;
        if self.on("delete-suspends") {
            self.clients[at].suspended = true;
            return Ok(self.ended());
        }
        let left = self.clients[at].clone();
        self.memory.former.insert(id.to_owned(), left);
        self.clients.remove(at);
        self.memory.deleted.insert(id.to_owned());
        self.took(id, "deletion");
        if !self.on("feed-lacks-deletion") {
            self.report("client", id, FOR_GOOD);
        }
        Ok(self.ended())
    }
}
