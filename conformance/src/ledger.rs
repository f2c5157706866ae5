//! The ledger: every token that the run received, anywhere in an answer, so that the clean-up can revoke it.

use crate::clock;
use crate::http::Answer;
use crate::jose::Jwt;
use crate::mask::{self, Vault};
use serde_json::Value;
use std::cell::RefCell;

/// The limit on tokens and secrets taken from one answer: a server that sends thousands must not fill the memory.
const MOST: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Long,
    Short,
}

#[derive(Debug, Clone)]
pub struct Minted {
    pub kind: Kind,
    /// `None` if the answer did not contain it.
    pub id: Option<String>,
    /// Empty if the token could not be read from the answer.
    pub token: String,
    /// The long-term token that a short-term one was made from.
    pub parent: Option<String>,
    /// The client's id, if the request named it.
    pub client: Option<String>,
    /// When it expires, in seconds since the epoch; `None` if the server did not say.
    pub ends: Option<u64>,
    pub ended: bool,
}

#[derive(Default)]
pub struct Ledger {
    tokens: RefCell<Vec<Minted>>,
    /// The ids of clients that the run may have created and has not deleted.
    clients: RefCell<Vec<String>>,
}

impl Ledger {
    /// Adds a token. A known token is not counted again.
    pub fn add(&self, found: Found, bearer: Option<&str>, client: Option<&str>) {
        let mut all = self.tokens.borrow_mut();
        if !found.token.is_empty()
            && let Some(known) = all.iter_mut().find(|m| m.token == found.token)
        {
            known.ended = false;
            known.id = found.id.or(known.id.take());
            return;
        }
        let parent = match found.kind {
            Kind::Long => None,
            Kind::Short => all.iter().find(|m| Some(m.token.as_str()) == bearer).and_then(|m| m.id.clone()),
        };
        let Found { kind, id, token, ends } = found;
        all.push(Minted { kind, id, token, parent, client: client.map(str::to_owned), ends, ended: false });
    }

    /// Called before the client is requested: the answer may be lost, and deleting a client that does not exist is harmless.
    pub fn add_client(&self, id: &str) {
        let mut all = self.clients.borrow_mut();
        // In a URL these are no ids but steps in a path: a deletion would go elsewhere.
        let is_a_step = [".", ".."].contains(&id);
        if !is_a_step && !all.iter().any(|known| known == id) {
            all.push(id.to_owned());
        }
    }

    pub fn clients(&self) -> Vec<String> {
        self.clients.borrow().clone()
    }

    /// Deleting a client ends its tokens.
    pub fn client_ended(&self, id: &str) {
        self.clients.borrow_mut().retain(|client| client != id);
        let own = |m: &&Minted| m.client.as_deref() == Some(id);
        let own: Vec<_> = self.tokens.borrow().iter().filter(own).filter_map(|m| m.id.clone()).collect();
        for token in own {
            self.ended(&token);
            self.children_ended(&token);
        }
    }

    pub fn ended(&self, id: &str) {
        self.tokens.borrow_mut().iter_mut().filter(|m| m.id.as_deref() == Some(id)).for_each(|m| m.ended = true);
    }

    /// `segment` is the id as it stands in a path, percent-encoded.
    pub fn ended_by_path(&self, segment: &str) {
        let is = |m: &&mut Minted| m.id.as_deref().is_some_and(|id| mask::url_encoded(id) == segment);
        self.tokens.borrow_mut().iter_mut().filter(is).for_each(|m| m.ended = true);
    }

    /// Revoking a long-term token ends all tokens made from it.
    pub fn children_ended(&self, id: &str) {
        self.tokens.borrow_mut().iter_mut().filter(|m| m.parent.as_deref() == Some(id)).for_each(|m| m.ended = true);
    }

    /// Whether this token was made from a long-term token that has ended.
    pub fn parent_ended(&self, minted: &Minted) -> bool {
        minted.parent.is_some() && self.tokens.borrow().iter().any(|m| m.ended && m.id == minted.parent)
    }

    pub fn open(&self, kind: Kind) -> Vec<Minted> {
        self.tokens.borrow().iter().filter(|m| m.kind == kind && !m.ended).cloned().collect()
    }

    /// How many were minted, and how many of them ended.
    pub fn count(&self) -> (u32, u32) {
        let all = self.tokens.borrow();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (count(all.len()), count(all.iter().filter(|m| m.ended).count()))
    }
}

/// A token in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub kind: Kind,
    pub id: Option<String>,
    pub token: String,
    pub ends: Option<u64>,
}

/// The secrets in an answer.
#[derive(Debug, Default)]
pub struct Haul {
    pub tokens: Vec<Found>,
    /// Other values that must not be shown.
    pub secrets: Vec<String>,
}

/// Searches a whole answer for tokens. `path` is that of the request, `now` in seconds since the epoch.
///
/// The value of `access_token` is always a token. Anywhere else, a token is a JWT that the run did not send, or, in a 2xx,
/// the value after a name such as `token`: in JSON, also truncated, in a page or in a header.
pub fn look(path: &str, answer: &Answer, vault: &Vault, now: u64) -> Haul {
    let granted = (200..300).contains(&answer.status);
    let body = answer.json();
    let text = mask::unescaped(&answer.text());
    let lines: Vec<_> = answer.headers.iter().map(|(n, v)| format!("{n}: {}", mask::unescaped(v))).collect();
    let all = || std::iter::once(&text).chain(&lines);

    let ids: Vec<&str> = all().flat_map(|t| mask::keyed(t, mask::is_id).into_iter().map(|r| &t[r])).collect();
    let ids: Vec<&str> = ids.into_iter().filter(|id| !id.is_empty()).collect();
    let header_id = answer.header("x-token-id").filter(|id| !id.is_empty());
    let body_id = body.as_ref().and_then(|b| b["token_id"].as_str()).filter(|id| !id.is_empty());
    let told_id = body_id.or(ids.first().copied()).or(header_id).map(str::to_owned);

    let mut tokens: Vec<String> = Vec::new();
    let in_place = body.as_ref().and_then(|b| b["access_token"].as_str()).filter(|t| granted && !t.is_empty());
    tokens.extend(in_place.map(str::to_owned));
    for t in all() {
        let forms = mask::token_forms(t, |_| true).into_iter().filter_map(|r| whole_jwt(&t[r]));
        let named = mask::keyed(t, mask::is_token).into_iter().map(|r| t[r].trim_start_matches("Bearer "));
        let named = named.filter(|token| granted && token.len() >= 8);
        for token in forms.chain(named) {
            // Two searches may find the same token at different lengths: keep the first, a JWT or a quoted value.
            let told = tokens.iter().any(|other| other.contains(token) || token.contains(other.as_str()));
            if tokens.len() < MOST && !told && !vault.knows(token) && token.bytes().all(|b| b.is_ascii_graphic()) {
                tokens.push(token.to_owned());
            }
        }
    }

    let alone = tokens.len() == 1;
    let found = tokens.into_iter().map(|token| {
        let jwt = unsigned(&token);
        let claim = |name: &str| jwt.as_ref().map(|jwt| jwt.claims[name].clone()).unwrap_or_default();
        let short = match jwt.as_ref().and_then(|jwt| jwt.header["typ"].as_str()) {
            Some("at+jwt") => true,
            Some("lt+jwt") => false,
            _ => path.split('?').next().unwrap_or_default().ends_with("/short"),
        };
        let jti = claim("jti").as_str().map(str::to_owned);
        let lives = body.as_ref().and_then(|b| b["expires_in"].as_u64());
        Found {
            kind: if short { Kind::Short } else { Kind::Long },
            id: if alone { told_id.clone().or(jti) } else { jti },
            ends: claim("exp").as_u64().or(lives.map(|s| now.saturating_add(s))),
            token,
        }
    });
    let mut haul = Haul { tokens: found.collect(), secrets: Vec::new() };
    // Answers about clients and introspected tokens contain many words that are not secret, so only members with the name
    // of a secret are taken from them.
    let named = |name: &str| !(path.starts_with("/clients") || path.ends_with("/introspect")) || mask::is_secret(name);
    if granted && let Some(body) = &body {
        strings(body, "", &mut |name, text| {
            if !is_harmless(name, text) && named(name) && haul.secrets.len() < MOST {
                haul.secrets.push(text.to_owned());
            }
        });
    }
    // A token was issued, but the answer lacks what is needed to revoke it.
    let minting = path.ends_with("/auth/tokens/long") || path.ends_with("/auth/tokens/short");
    if minting && answer.status == 201 && haul.tokens.is_empty() {
        let kind = if path.ends_with("/short") { Kind::Short } else { Kind::Long };
        haul.tokens.push(Found { kind, id: told_id, token: String::new(), ends: None });
    }
    haul
}

/// The JWT within a word that may have other characters at either end.
fn whole_jwt(word: &str) -> Option<&str> {
    word.match_indices("eyJ").find_map(|(at, _)| {
        let dot = word[at..].match_indices('.').nth(1)?.0 + at + 1;
        let signature = word[dot..].find(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c));
        let token = &word[at..signature.map_or(word.len(), |n| dot + n)];
        unsigned(token).map(|_| token)
    })
}

/// Reads a JWT without its signature, which may be truncated.
fn unsigned(token: &str) -> Option<Jwt> {
    let (input, _) = token.rsplit_once('.')?;
    Jwt::read(&format!("{input}."))
}

/// Whether an answer is a grant with the token in `access_token` and nothing unknown beside it. Any other 2xx may contain a
/// token anywhere.
pub fn is_clean(answer: &Answer) -> bool {
    let Some(body) = answer.json() else { return answer.body.is_empty() };
    // Introspection returns a token's claims, not the token.
    let introspected = |name: &str| body["active"].is_boolean() && ["iss", "sub", "client_id", "aud"].contains(&name);
    let mut clean = true;
    strings(&body, "", &mut |name, text| {
        clean &= name == "access_token" || introspected(name) || is_harmless(name, text);
    });
    clean
}

fn is_harmless(name: &str, text: &str) -> bool {
    let scope = |text: &str| {
        let word =
            |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*".contains(&b));
        text.split_once(':').is_some_and(|(resource, action)| word(resource) && word(action))
    };
    text.len() < 8
        || text.contains(char::is_whitespace)
        || mask::is_id(name)
        || clock::parse_rfc3339(text).is_some()
        || scope(text)
}

/// Each string with the name of its member, or of the member whose array it is in.
fn strings(value: &Value, name: &str, each: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) => each(name, text),
        Value::Array(all) => all.iter().for_each(|value| strings(value, name, each)),
        Value::Object(members) => members.iter().for_each(|(name, value)| strings(value, name, each)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose;
    use serde_json::json;

    fn jwt(jti: &str) -> String {
        jose::hs256(b"key", &jose::signing_input(&json!({"typ": "lt+jwt"}), &json!({"jti": jti, "exp": 2000})))
    }

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Answer { asked: 0, status, headers, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn a_token_is_found_wherever_it_stands() {
        let token = jwt("tok_lt_1");
        let found = Found { kind: Kind::Long, id: Some("tok_lt_1".to_owned()), token: token.clone(), ends: Some(2000) };
        for (status, headers, body) in [
            (201, vec![], json!({"access_token": token, "token_id": "tok_lt_1"}).to_string()),
            (201, vec![], json!({"accessToken": token}).to_string()),
            (201, vec![], json!({"data": {"t": [token]}}).to_string()),
            (201, vec![], format!(r#"{{"token_id":"tok_lt_1","access_token":"{token}","exp"#)),
            (201, vec![], format!(r#"{{"access_token":"{token}"#)),
            (201, vec![], format!(")]}}'\n{{\"access_token\":\"{token}\"}}")),
            (201, vec![], format!("<html>Your token: <b>{token}</b></html>")),
            (201, vec![], token.replace("eyJ", "\\u0065yJ")),
            (201, vec![("x-access-token", token.as_str())], String::new()),
            (302, vec![("location", &*format!("https://x/#access_token={token}"))], String::new()),
            (401, vec![], json!({"code": "x", "message": format!("for {token}")}).to_string()),
        ] {
            let haul = look("/auth/tokens/long", &answer(status, &headers, &body), &Vault::default(), 1000);
            assert_eq!(haul.tokens, std::slice::from_ref(&found), "{status} {headers:?} {body}");
        }
    }

    #[test]
    fn an_opaque_token_is_found_by_its_name() {
        for body in [r#"{"accessToken":"opaque-1","tokenId":"t1"}"#, r#"{"access_token":"opaque-1","token_id":"t1"#] {
            let haul = look("/auth/tokens/short", &answer(201, &[], body), &Vault::default(), 1000);
            let found =
                Found { kind: Kind::Short, id: Some("t1".to_owned()), token: "opaque-1".to_owned(), ends: None };
            assert_eq!(haul.tokens, [found], "{body}");
        }
    }

    #[test]
    fn a_token_that_was_sent_is_not_a_new_one() {
        let vault = Vault::default();
        let sent = jwt("sent");
        vault.learn("ASSERTION", &sent);
        let echo = answer(400, &[], &json!({"message": sent}).to_string());
        assert!(look("/auth/tokens/long", &echo, &vault, 1000).tokens.is_empty());
    }

    #[test]
    fn a_201_without_a_readable_token_is_recorded() {
        let haul = look("/auth/tokens/long", &answer(201, &[("x-token-id", "t1")], "{"), &Vault::default(), 1000);
        assert_eq!((haul.tokens[0].id.as_deref(), haul.tokens[0].token.as_str()), (Some("t1"), ""));
        assert!(look("/auth/tokens/x/revoke", &answer(201, &[], "{"), &Vault::default(), 1000).tokens.is_empty());
    }

    #[test]
    fn only_the_secret_of_a_client_is_taken_from_its_201() {
        let body = json!({"client_id": "conformance-1", "client_secret": "canary-secret", "mechanisms": ["assertion"]});
        let haul = look("/clients", &answer(201, &[], &body.to_string()), &Vault::default(), 1000);
        assert_eq!((haul.secrets, haul.tokens), (vec!["canary-secret".to_owned()], Vec::new()));
    }

    #[test]
    fn a_deleted_client_has_no_open_token() {
        let ledger = Ledger::default();
        let found = |kind, id: &str| Found { kind, id: Some(id.to_owned()), token: jwt(id), ends: None };
        ledger.add_client("a");
        ledger.add(found(Kind::Long, "tok_lt_1"), None, Some("a"));
        ledger.add(found(Kind::Short, "tok_st_1"), Some(&jwt("tok_lt_1")), None);
        ledger.add(found(Kind::Long, "tok_lt_2"), None, Some("b"));
        ledger.client_ended("a");
        assert_eq!((ledger.count(), ledger.clients()), ((3, 2), Vec::new()));
    }

    #[test]
    fn a_conformant_grant_is_clean() {
        let mut body = json!({
            "token_type": "Bearer", "access_token": jwt("x"), "expires_in": 60, "expires_at": "2026-11-24T06:50:11Z",
            "scopes": ["jobs:*"], "token_id": "tok_lt_1",
        });
        assert!(is_clean(&answer(201, &[], &body.to_string())));
        body["jeton"] = "opaque-canary".into();
        assert!(!is_clean(&answer(201, &[], &body.to_string())));
        let haul = look("/auth/tokens/long", &answer(201, &[], &body.to_string()), &Vault::default(), 1000);
        assert!(haul.secrets.contains(&"opaque-canary".to_owned()), "{haul:?}");
    }
}
