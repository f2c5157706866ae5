//! GET /clients.

use super::super::message::{Asked, Refused, Reply};
use super::super::state::Reference;
use crate::jose::{b64, unb64};
use serde_json::{Value, json};

impl Reference {
    /// A cursor is the last id of the page before, with a MAC.
    pub fn list_clients(&self, asked: &Asked) -> Result<Reply, Refused> {
        let limit = self.number(asked, "limit", 1..=1000)?.unwrap_or(100);
        let limit = if self.on("limit-ignored") { 1000 } else { usize::try_from(limit).unwrap_or(1000) };
        let query = asked.path.split_once('?').map_or("", |(_, query)| query);
        let cursor = query.split('&').find_map(|part| part.strip_prefix("cursor="));
        let after = match cursor {
            None => None,
            Some(_) if self.on("cursor-ignored") => None,
            Some(text) => match self.opened(text) {
                Some(id) => Some(id),
                None if self.on("cursor-unchecked") => None,
                None => {
                    let told = "cursor must be the one of the previous page; leave it out to start again.";
                    let details = json!({"field": "cursor"});
                    return Err(Box::new(self.error(asked, 400, "invalid_request", told, Some(details))));
                }
            },
        };
        let mut all: Vec<(String, bool)> = self
            .clients
            .iter()
            .filter(|client| !client.from_secret || self.on("lists-from-secret"))
            .map(|client| (client.id.clone(), client.suspended && !self.on("lists-all-active")))
            .collect();
        if self.on("lists-deleted") {
            all.extend(self.memory.deleted.iter().map(|id| (id.clone(), false)));
        }
        all.retain(|(id, _)| !(self.on("lists-no-guests") && id.starts_with("conformance-")));
        all.sort();
        let rest: Vec<_> = all.into_iter().filter(|(id, _)| after.as_ref().is_none_or(|after| id > after)).collect();
        let page = &rest[..limit.min(rest.len())];
        let clients: Vec<Value> = page
            .iter()
            .map(|(id, suspended)| {
                let mut shown = json!({"client_id": id, "status": if *suspended { "suspended" } else { "active" }});
                if self.on("list-shows-more") {
                    shown["scopes"] = json!([]);
                }
                shown
            })
            .collect();
        let mut told = json!({"clients": clients});
        let page = match self.on("list-skips") {
            true => &rest[..(page.len() + 1).min(rest.len())],
            false => page,
        };
        if let Some((last, _)) = page.last().filter(|_| rest.len() > page.len() && !self.on("list-without-cursor")) {
            told["cursor"] = self.sealed(last).into();
        } else if self.on("last-cursor-null") {
            told["cursor"] = Value::Null;
        }
        Ok(self.dressed(200, told))
    }

    fn sealed(&self, id: &str) -> String {
        b64(self.long_mac(&b64(id)))
    }

    fn opened(&self, text: &str) -> Option<String> {
        let text = String::from_utf8(unb64(text)?).ok()?;
        let (id, _) = text.split_once('.')?;
        (self.long_mac(id) == text).then_some(())?;
        String::from_utf8(unb64(id)?).ok()
    }
}
