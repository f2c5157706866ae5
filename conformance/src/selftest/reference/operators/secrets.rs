//! POST /clients/{id}/secrets and DELETE /clients/{id}/secrets/{secret_id}.

use super::super::message::{Asked, Refused, Reply};
use super::super::state::Reference;
use serde_json::json;

impl Reference {
    pub fn add_secret(&mut self, asked: &Asked, id: &str) -> Result<Reply, Refused> {
        let at = self.changeable(asked, id, "from-secret-gets-secrets")?;
        let now = self.clock.now();
        let live = self.clients[at].secrets.iter().filter(|secret| {
            (secret.lives(now) || self.on("ended-secret-counted"))
                && !(secret.expires.is_some() && self.on("ending-secret-not-counted"))
                && !(secret.created == now && self.on("secrets-race"))
        });
        if live.count() >= 2 && !self.on("secrets-unlimited") {
            return Err(self.refuse(asked, 409, "conflict", "The client has two live secrets; end one first."));
        }
        let secret = self.new_secret();
        let mut told = json!({"secret_id": secret.id, "client_secret": secret.text});
        if self.on("secret-replaces") {
            self.clients[at].secrets.clear();
        }
        if self.on("new-secret-id-other") {
            told["secret_id"] = self.new_secret().id.into();
        }
        if !self.on("new-secret-unused") {
            self.clients[at].secrets.push(secret);
        }
        if self.on("new-secret-extra-member") {
            told["status"] = "active".into();
        }
        self.touch(at);
        if self.on("new-secret-ends-tokens") {
            self.move_valid_from(at);
        }
        Ok(self.dressed(201, told))
    }

    pub fn end_secret(&mut self, asked: &Asked, id: &str, secret_id: &str) -> Result<Reply, Refused> {
        if self.on("in-after-404") {
            self.found(asked, id)?;
        }
        let most = if self.on("in-at-most-30-days") { 2_592_000 } else { 7_776_000 };
        let delay = self.number(asked, "in", 0..=most)?.unwrap_or(0);
        let delay = if self.on("in-ignored") { 0 } else { delay };
        let at = self.found(asked, id)?;
        let former = self.clients[at].clone();
        let now = self.clock.now();
        let end = now + delay;
        if self.on("last-secret-kept")
            && self.clients[at].secrets.iter().filter(|secret| secret.lives(now)).count() == 1
        {
            return Ok(self.ended());
        }
        let all_clients = self.on("any-clients-secret-id");
        let spares_all = self.on("ended-secret-works");
        let anew = self.on("in-lengthens");
        let first_wins = self.on("in-never-shortens");
        let again = self.on("ended-secret-204");
        let own = self.clients[at].id.clone();
        let from_secret = self.clients[at].from_secret;
        let mut of_any = self.clients.iter_mut().filter(|client| client.id == own || all_clients);
        let secret = of_any.find_map(|client| client.secrets.iter_mut().find(|secret| secret.id == secret_id));
        let Some(secret) = secret.filter(|secret| secret.lives(now) || again) else {
            if self.on("unknown-secret-204") {
                return Ok(self.ended());
            }
            return Err(self.refuse(asked, 404, "not_found", "The client has no live secret with this id."));
        };
        if from_secret && self.fault != Some("from-secret-ends-secrets") {
            return Err(self.refuse(
                asked,
                409,
                "conflict",
                "This client is defined by the secret OPERATOR; only end-tokens can change it.",
            ));
        }
        secret.expires = match secret.expires {
            Some(set) if !anew => Some(if first_wins { set } else { set.min(end) }),
            _ => Some(end),
        };
        if self.fault == Some("in-never-ends") && delay > 0 {
            secret.shown_only = true;
        }
        if spares_all {
            secret.shown_only = true;
        }
        if self.on("end-secret-ends-all") {
            self.clients[at].secrets.iter_mut().for_each(|secret| secret.expires = Some(end));
        }
        self.touch(at);
        if self.on("ended-secret-ends-tokens") {
            self.move_valid_from(at);
        }
        if delay == 0 {
            self.memory.former.insert(own.clone(), former);
            self.took(&own, "secret");
        }
        Ok(self.ended())
    }
}
