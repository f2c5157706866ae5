//! Copies that reveal too much: why a credential was rejected, who owns an id, or what was sent.

use super::message::{Asked, Reply};
use super::state::{Bearer, ClientRecord, Reference};
use crate::jose::{Jwt, b64, unb64};
use crate::totp;
use serde_json::json;

/// All refused credentials get this message.
pub const REFUSED: &str = "The client is unknown, or its secret, one-time code or assertion is wrong.";

/// The credential in a body.
pub struct Sent<'a> {
    pub secret: Option<&'a str>,
    pub code: Option<&'a str>,
    pub assertion: Option<&'a str>,
}

impl Reference {
    /// How a copy that reveals too much answers a wrong credential.
    pub fn told_too_much(&self, asked: &Asked, client: &ClientRecord, sent: &Sent<'_>) -> Option<Reply> {
        let now = self.clock.now();
        let jwt = sent.assertion.and_then(Jwt::read);
        let claims = jwt.as_ref().map(|jwt| jwt.claims.clone()).unwrap_or_default();
        let kid = jwt.as_ref().map(|jwt| jwt.header["kid"].clone()).unwrap_or_default();
        let spent = claims["jti"].as_str().map(|jti| format!("{} {jti}", client.id));
        let spent = spent.is_some_and(|jti| self.memory.assertions.get(&jti).is_some_and(|uses| *uses > 1));
        let over = claims["exp"].as_u64().is_some_and(|exp| exp <= now);
        let codes = self.memory.codes.get(&client.id);
        let locked = codes.is_some_and(|codes| codes.locked_until > now);
        let step = totp::step_at(now);
        let used = sent.code.is_some_and(|code| {
            codes.is_some_and(|codes| {
                (step - 1..=step + 1).any(|s| s <= codes.last && totp::code(&client.totp, s) == code)
            })
        });
        let (message, details) = match self.fault? {
            "replay-told" if spent => ("The assertion was already used.".to_owned(), None),
            "expired-told" if over => ("The assertion has expired.".to_owned(), None),
            "signature-told" if jwt.is_some() && !spent && !over && kid == client.kid.as_str() => {
                ("The signature of the assertion is invalid.".to_owned(), None)
            }
            "kid-told" if jwt.is_some() && kid != client.kid.as_str() => {
                ("The client has no key with this kid.".to_owned(), None)
            }
            "mechanism-told" if jwt.is_some() => (REFUSED.to_owned(), Some(json!({"mechanism": "assertion"}))),
            "lock-told" if locked && sent.code.is_some() => ("One-time codes are locked.".to_owned(), None),
            "lock-dated" if locked && sent.code.is_some() => {
                (REFUSED.to_owned(), Some(json!({"locked_until": codes.map(|codes| codes.locked_until)})))
            }
            "spent-code-told" if used => ("The code was already used.".to_owned(), None),
            "guesses-told" if sent.code.is_some() && !used => {
                let left = 5usize.saturating_sub(codes.map_or(0, |codes| codes.wrong.len()));
                (REFUSED.to_owned(), Some(json!({"guesses_left": left})))
            }
            "nbf-told" if claims["nbf"].as_u64().is_some_and(|at| at > now) => {
                ("The assertion is not valid yet.".to_owned(), None)
            }
            "claim-told" if jwt.is_some() && claims["jti"].is_null() => {
                (REFUSED.to_owned(), Some(json!({"claim": "jti"})))
            }
            "code-length-told" if sent.code.is_some_and(|code| code.len() != 6) => {
                ("otp_code must have six digits.".to_owned(), None)
            }
            "secret-empty-told" if sent.secret.is_some_and(str::is_empty) => {
                ("client_secret is empty.".to_owned(), None)
            }
            "suspended-hinted" if client.suspended => (REFUSED.to_owned(), Some(json!({"status": "suspended"}))),
            "echoes-secret" => (format!("The secret {} is wrong.", sent.secret?), None),
            "echoes-in-capitals" => (format!("The secret {} is wrong.", sent.secret?.to_uppercase()), None),
            "echoes-encoded" => (REFUSED.to_owned(), Some(json!({"sent": b64(sent.secret?)}))),
            "echoes-in-a-header-name" if sent.secret?.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => {
                (REFUSED.to_owned(), None)
            }
            "echoes-code" => (format!("The code {} is wrong.", sent.code?), None),
            "echoes-assertion" => (REFUSED.to_owned(), Some(json!({"assertion": sent.assertion?}))),
            _ => return None,
        };
        let mut reply = self.error(asked, 401, "invalid_client", &message, details);
        if let Some(secret) = sent.secret.filter(|_| self.on("echoes-in-a-header-name")) {
            reply.headers.push((format!("X-{secret}"), "1".to_owned()));
        }
        Some(reply)
    }

    /// How a copy that reveals too much answers if the id does not belong to the caller; `owner` is its owner, if any.
    pub fn told_of_an_id(&self, asked: &Asked, id: &str, owner: Option<&str>, bearer: &Bearer) -> Option<Reply> {
        let whole = id.get(7..).and_then(unb64).is_some_and(|bytes| bytes.len() == 33);
        let why = match self.fault? {
            "foreign-ended-204" if self.memory.revoked.contains(id) => return Some(self.ended()),
            "foreign-needs-scope" if owner.is_some() && !self.any_covers(&bearer.scopes, "tokens:revoke") => {
                return Some(self.error(
                    asked,
                    401,
                    "insufficient_scope",
                    "Revoking another token requires the scope tokens:revoke.",
                    None,
                ));
            }
            "id-length-told" if id.len() > 60 => "length",
            "forged-told" if whole && owner.is_none() => "mac",
            "malformed-told" if !whole => "form",
            "foreign-short-told" if owner.is_some() && id.starts_with("tok_st_") => "owner",
            _ => return None,
        };
        Some(self.error(
            asked,
            404,
            "not_found",
            "The caller's client has no token with this id.",
            Some(json!({"wrong": why})),
        ))
    }
}
