//! What a token may do after its client's scopes were changed: no more than the client itself.

use super::message::{Asked, Refused};
use super::state::{Bearer, Reference};
use serde_json::json;

impl Reference {
    /// Those of the scopes that the client still has, in their order; for a wildcard, what the client has under it. `place`
    /// is how the name of the fault that skips this ends.
    pub fn left_to(&self, scopes: &[String], client: &str, place: &str) -> Vec<String> {
        if self.on(&format!("narrowing-ignored-by-{place}")) {
            return scopes.to_vec();
        }
        let most = self.bound(client);
        let mut left: Vec<String> = Vec::new();
        for scope in scopes {
            match self.any_covers(&most, scope) {
                true if self.on("narrowing-by-text") && !most.contains(scope) => {}
                true => left.push(scope.clone()),
                false if self.on(&format!("narrowing-drops-wildcards-by-{place}")) => {}
                false => {
                    left.extend(most.iter().filter(|held| self.any_covers(std::slice::from_ref(scope), held)).cloned())
                }
            }
        }
        if self.on("narrowing-in-the-clients-order") {
            left.sort_by_key(|scope| most.iter().position(|held| held == scope));
        }
        left
    }

    /// The client's current scopes.
    fn bound(&self, client: &str) -> Vec<String> {
        let narrowed = self.lags("immediate", client) == Some("narrowing");
        match self.memory.former.get(client).filter(|_| narrowed) {
            Some(former) => former.scopes.clone(),
            None => self.client(client).scopes,
        }
    }

    /// Whether the bearer may use this scope: its token has it, and so does its client now.
    pub fn may(&self, bearer: &Bearer, scope: &str, place: &str) -> bool {
        self.any_covers(&self.left_to(&bearer.scopes, &bearer.client, place), scope)
    }

    /// The scopes granted by an exchange that asks for none.
    pub fn left_of(&self, asked: &Asked, bearer: &Bearer) -> Result<Vec<String>, Refused> {
        if self.on("widening-widens-tokens") {
            return Ok(self.client(&bearer.client).scopes);
        }
        let left = match self.on("narrowing-for-good") && self.memory.narrowed.contains_key(&bearer.client) {
            true => self.memory.narrowed[&bearer.client].clone(),
            false => self.left_to(&bearer.scopes, &bearer.client, "exchange"),
        };
        if left.is_empty() && !self.on("nothing-left-granted") {
            let status = if self.on("nothing-left-401") { 401 } else { 400 };
            let code = if status == 401 { "invalid_token" } else { "invalid_scope" };
            return Err(self.refuse(
                asked,
                status,
                code,
                "The client no longer holds any scope of this token; ask an operator.",
            ));
        }
        Ok(if left.is_empty() { bearer.scopes.clone() } else { left })
    }

    /// The scopes that an exchange asks for, if the client still has all of them.
    pub fn still_held(&self, asked: &Asked, scopes: Vec<String>, bearer: &Bearer) -> Result<Vec<String>, Refused> {
        let most = self.bound(&bearer.client);
        if self.on("eventual-keeps-scopes") && !self.client(&bearer.client).immediate {
            return Ok(scopes);
        }
        let lost = scopes.iter().find(|scope| !self.any_covers(&most, scope));
        match lost {
            Some(scope)
                if (scope.ends_with('*') && self.on("lost-wildcard-cut"))
                    || (scopes.len() > 1 && self.on("lost-scope-cut")) =>
            {
                Ok(self.left_to(&scopes, &bearer.client, "exchange"))
            }
            Some(scope) if !self.on("lost-scope-granted") => {
                let details = json!({"scope": scope});
                let told = "The client no longer holds a requested scope; leave it out, or ask an operator.";
                Err(Box::new(self.error(asked, 400, "invalid_scope", told, Some(details))))
            }
            None if self.on("narrowed-tokens-refused") && self.memory.narrowed.contains_key(&bearer.client) => {
                Err(self.refuse(
                    asked,
                    400,
                    "invalid_scope",
                    "The client has lost scopes, so this token can't be exchanged.",
                ))
            }
            _ => Ok(scopes),
        }
    }

    /// What a credential may grant: all current scopes of the client.
    pub fn scopes_of(&self, client: &super::state::ClientRecord, place: &str) -> Vec<String> {
        match self.memory.first_scopes.get(&client.id) {
            Some(first) if self.on(&format!("narrowing-ignored-by-{place}")) => first.clone(),
            _ => client.scopes.clone(),
        }
    }

    /// An operator changes the client's scopes.
    pub fn set_scopes(&mut self, at: usize, scopes: Vec<String>) {
        if self.on("scopes-never-change") {
            return;
        }
        let client = &mut self.clients[at];
        self.memory.first_scopes.entry(client.id.clone()).or_insert_with(|| client.scopes.clone());
        self.memory.narrowed.entry(client.id.clone()).or_insert_with(|| scopes.clone());
        client.scopes = scopes;
        if self.on("feed-lists-narrowed") {
            let id = self.clients[at].id.clone();
            self.report("client", &id, self.clock.now() + 1);
        }
    }
}
