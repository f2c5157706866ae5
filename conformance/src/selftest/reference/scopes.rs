//! Scopes: their grammar, and which scope covers which.

use super::message::{Asked, Refused};
use super::state::Reference;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

impl Reference {
    pub fn scopes(&self, asked: &Asked, body: &Map<String, Value>) -> Result<Option<Vec<String>>, Refused> {
        let list = match body.get("scopes") {
            None => return Ok(None),
            Some(Value::Array(list)) => list.clone(),
            Some(Value::String(one)) if self.on("types-coerced") => vec![one.clone().into()],
            Some(_) => return Err(self.refuse(asked, 400, "invalid_request", "scopes must be an array of strings.")),
        };
        let mut scopes = Vec::new();
        for value in list {
            match value {
                Value::String(scope) => scopes.push(scope),
                _ if self.on("types-coerced") => scopes.push("jobs:submit".to_owned()),
                _ => return Err(self.refuse(asked, 400, "invalid_request", "scopes must be an array of strings.")),
            }
        }
        let bad = |told: &str| Err(self.refuse(asked, 400, "invalid_scope", told));
        if scopes.is_empty() && !self.on("scopes-empty-ok") {
            return bad("scopes is empty; leave it out to get the default, or list at least one scope.");
        }
        if scopes.is_empty() {
            return Ok(None);
        }
        let most = if self.on("scopes-63") { 63 } else { 64 };
        if scopes.len() > most && !self.on("scope-count-unchecked") {
            return bad("scopes has more than 64 scopes; list fewer.");
        }
        let longest = if self.on("scope-100") { 100 } else { 128 };
        let first_only = self.on("scope-first-checked");
        for scope in scopes.iter().take(if first_only { 1 } else { usize::MAX }) {
            if scope.len() > longest && !self.on("scope-length-unchecked") {
                return bad("scopes has a scope of more than 128 characters.");
            }
            let letters = |part: &str| {
                let fits = |b: u8| {
                    b.is_ascii_lowercase()
                        || b.is_ascii_digit()
                        || b == b'-'
                        || (b == b'_' && !self.on("scope-no-underscore"))
                };
                let begins = part.starts_with(|c: char| c.is_ascii_lowercase()) || !self.on("scope-begins-with-letter");
                !part.is_empty() && part.bytes().all(fits) && begins
            };
            let fits = scope
                .split_once(':')
                .is_some_and(|(resource, action)| letters(resource) && (action == "*" || letters(action)));
            let fits = fits
                || match self.fault {
                    Some("scope-resource-optional") => scope.starts_with(':'),
                    Some("scope-dot-ok") => scope.contains('.'),
                    Some("scope-stars-ok") => scope.ends_with(":**"),
                    Some("scope-line-end-ok") => scope.ends_with('\n'),
                    Some("scope-any-digits") => scope.ends_with('\u{661}'),
                    _ => false,
                };
            if !fits && !self.on("scope-grammar-unchecked") {
                return bad(
                    "scopes has an invalid scope; write resource:action with lower-case letters, digits, '-' and '_', or resource:*.",
                );
            }
        }
        if self.on("scopes-sorted") {
            scopes.sort();
        }
        if !self.on("duplicates-kept") {
            let mut seen = HashSet::new();
            scopes.retain(|s| seen.insert(s.clone()));
        }
        Ok(Some(scopes))
    }

    fn covers(&self, held: &str, asked: &str) -> bool {
        let (Some((resource, action)), Some((asked_resource, asked_action))) =
            (held.split_once(':'), asked.split_once(':'))
        else {
            return held == asked;
        };
        let same = resource == asked_resource
            || (self.on("wildcard-as-prefix") && action == "*" && asked_resource.starts_with(resource))
            || (self.on("wildcard-reversed") && action == "*" && resource.starts_with(asked_resource));
        let longer = self.on("scope-covers-longer") && asked_action.starts_with(action);
        same && (action == asked_action || action == "*" || longer)
    }

    pub fn any_covers(&self, held: &[String], asked: &str) -> bool {
        held.iter().any(|h| self.covers(h, asked))
    }

    pub fn grantable(
        &self,
        asked: &Asked,
        scopes: Vec<String>,
        held: &[String],
        status: u16,
    ) -> Result<Vec<String>, Refused> {
        if self.on("wildcard-alone-refused") && scopes == ["jobs:*"] {
            return Err(self.refuse(asked, 400, "invalid_scope", "A wildcard may not be requested."));
        }
        let rotates = asked.header("authorization").is_some();
        let checked = match (self.fault, &scopes[..]) {
            (Some("scope-last-bounded"), [.., last]) if status == 403 => std::slice::from_ref(last),
            (Some("rotation-scope-last-bounded"), [.., last]) if status == 403 && rotates => std::slice::from_ref(last),
            (Some("rotation-scope-first-bounded"), [first, ..]) if status == 403 && rotates => {
                std::slice::from_ref(first)
            }
            (_, all) => all,
        };
        let beyond = checked.iter().find(|s| !self.any_covers(held, s));
        match beyond {
            None => Ok(scopes),
            Some(_) if self.on("scopes-escalate") && status == 403 => Ok(scopes),
            Some(_) if self.on("scopes-partly") && scopes.iter().any(|s| self.any_covers(held, s)) => {
                Ok(scopes.into_iter().filter(|s| self.any_covers(held, s)).collect())
            }
            Some(scope) => {
                let code = if status == 403 { "insufficient_scope" } else { "invalid_scope" };
                let details = json!({"scope": scope});
                Err(Box::new(self.error(
                    asked,
                    status,
                    code,
                    "A requested scope may not be granted; leave it out.",
                    Some(details),
                )))
            }
        }
    }
}
