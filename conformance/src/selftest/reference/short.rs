//! POST /auth/tokens/short.

use super::message::{Asked, Refused, Reply};
use super::state::{Bearer, Reference};
use serde_json::Map;

impl Reference {
    pub fn issue_short(&mut self, asked: &Asked) -> Result<Reply, Refused> {
        let header = self.single(asked, "authorization", "invalid_token", "-on-short")?;
        let header = header.filter(|header| !self.on("short-ignores-basic") || header.starts_with("Bearer "));
        let falls_back = self.on("short-falls-back-to-body")
            && !asked.body.is_empty()
            && self.bearer(asked, header.as_deref(), "long").is_err();
        let header = header.filter(|_| !falls_back);
        if self.on("empty-json-refused") && asked.body.is_empty() && asked.header("content-type").is_some() {
            return Err(self.refuse(asked, 400, "invalid_request", "The body is empty."));
        }
        if self.on("body-before-bearer") && !asked.body.is_empty() {
            let body = self.body(asked)?;
            self.scopes(asked, &body)?;
        }
        if self.on("any-bearer-exchanges") {
            let bearer = self.bearer(asked, header.as_deref(), "long");
            if bearer.is_err() {
                let client = self.clients[0].clone();
                let nobody = Bearer {
                    kind: "long",
                    client: client.id.clone(),
                    id: "tok_lt_x".to_owned(),
                    scopes: Vec::new(),
                    exp: u64::MAX,
                    parent: None,
                    auth_time: self.clock.now(),
                };
                return Ok(self.mint_short(&client, &nobody, client.scopes.clone()));
            }
        }
        // With an Authorization header, the bearer is checked before the body. Without one, the token may be in the
        // body.
        let from_header = match &header {
            None if self.on("bearer-in-cookie") && asked.header("cookie").is_some() => {
                let cookie = asked.header("cookie").and_then(|all| all.rsplit_once("authorization="));
                Some(self.bearer(asked, cookie.map(|(_, value)| value), "long")?)
            }
            None if self.on("bearer-in-query") && asked.path.contains('?') => Some(self.bearer(asked, None, "long")?),
            Some(_) => Some(self.bearer(asked, header.as_deref(), "long")?),
            None => None,
        };
        if self.on("short-limit-before-shape")
            && let Some(bearer) = &from_header
        {
            self.is_over_limit(asked, &format!("short {}", bearer.id), &bearer.client)?;
        }
        let mut body = Map::new();
        let no_body = asked.body.is_empty()
            || (asked.body == b"[]" && self.on("falsy-roots-ok"))
            || (asked.body == b"null" && !self.on("null-body-refused"));
        if !no_body {
            if header.is_none() && asked.body.len() > 16_384 {
                return Err(self.refuse(
                    asked,
                    400,
                    "invalid_request",
                    "The body is longer than 16,384 bytes; send a shorter one.",
                ));
            }
            body = self.body(asked)?;
            if self.on("empty-object-400") && body.is_empty() {
                return Err(self.refuse(asked, 400, "invalid_request", "The body is an empty object; leave it out."));
            }
            self.only(asked, &body, &["scopes", "long_token"])?;
        }
        let in_body = self.text(asked, &body, "long_token")?.filter(|_| !self.on("long-token-ignored"));
        let in_body =
            in_body.filter(|token| !(token.is_empty() && header.is_some() && self.on("long-token-empty-ignored")));
        let in_body = in_body.map(|token| match self.fault {
            Some("long-token-scheme-ok") => token.trim_start_matches("Bearer ").to_owned(),
            Some("long-token-trimmed") => token.trim().to_owned(),
            _ => token,
        });
        let bearer = match (from_header, in_body) {
            (Some(bearer), None) => bearer,
            (Some(bearer), Some(token)) => {
                let no_token = crate::jose::Jwt::read(&token).is_none();
                if no_token && self.on("long-token-garbage-ignored") {
                    let client = self.client(&bearer.client);
                    return Ok(self.mint_short(&client, &bearer, bearer.scopes.clone()));
                }
                let same = header.as_deref() == Some(&format!("Bearer {token}"));
                if (!same && !self.on("long-token-differs-ok")) || (same && self.on("long-token-twice-400")) {
                    return Err(self.refuse(
                        asked,
                        400,
                        "invalid_request",
                        "long_token and the Authorization header carry different tokens; send only one.",
                    ));
                }
                bearer
            }
            (None, Some(token)) if self.on("revocation-unchecked-in-body") => {
                self.verified(asked, Some(&format!("Bearer {token}")), "long")?
            }
            (None, Some(token)) => self.bearer(asked, Some(&format!("Bearer {token}")), "long")?,
            (None, None) if self.on("bearer-missing-400") => {
                return Err(self.refuse(
                    asked,
                    400,
                    "invalid_request",
                    "No long-term token was sent; send one in the Authorization header or in long_token.",
                ));
            }
            (None, None) => {
                return Err(self.refuse(
                    asked,
                    401,
                    "invalid_token",
                    "No long-term token was sent; send one in the Authorization header or in long_token.",
                ));
            }
        };
        let scopes = self.scopes(asked, &body)?;
        self.limit(asked, &format!("short {}", bearer.id), &bearer.client)?;
        if self.on("exchange-refused") {
            return Err(self.refuse(asked, 401, "invalid_token", "The request was rejected."));
        }
        let client = self.client(&bearer.client);
        let is_guest = client.id.starts_with("conformance-");
        let refused = match self.fault {
            Some("eventual-fails") => is_guest && !client.immediate,
            Some("immediate-refused") => client.immediate && !client.from_secret,
            Some("immediate-guests-refused") => is_guest,
            _ => false,
        };
        if refused {
            return Err(self.refuse(asked, 401, "invalid_token", "The request was rejected."));
        }
        let held =
            if self.on("short-scopes-by-client") { self.client(&bearer.client).scopes } else { bearer.scopes.clone() };
        let scopes = match scopes {
            None if self.on("short-default-first") => bearer.scopes[..1].to_vec(),
            None => self.left_of(asked, &bearer)?,
            Some(_) if self.on("short-scopes-ignored") => bearer.scopes.clone(),
            Some(scopes) if self.on("short-escalates") => scopes,
            Some(scopes)
                if self.on("short-scope-last-bounded")
                    && scopes.last().is_some_and(|last| self.any_covers(&held, last)) =>
            {
                scopes
            }
            Some(scopes) => {
                let scopes = self.grantable(asked, scopes, &held, if self.on("short-403") { 403 } else { 400 })?;
                self.still_held(asked, scopes, &bearer)?
            }
        };
        let client = self.client(&bearer.client);
        let by_body = header.is_none();
        let narrowed = scopes != bearer.scopes;
        let parent = match self.fault {
            Some("no-parent-by-body") if by_body => Bearer { id: String::new(), ..bearer },
            Some("no-parent-narrowed") if narrowed => Bearer { id: String::new(), ..bearer },
            Some("auth-time-by-body") if by_body => Bearer { auth_time: self.clock.now() + 1, ..bearer },
            _ => bearer,
        };
        let issuer = self.issuer.clone();
        if let Some(host) = asked.header("x-forwarded-host").filter(|_| self.on("issuer-by-forwarded-host")) {
            self.issuer = format!("https://{host}/v1");
        }
        let mut reply = self.mint_short(&client, &parent, scopes);
        self.issuer = issuer;
        let lives: Option<u64> = match self.fault {
            Some("body-lives-an-hour") if by_body => Some(3600),
            Some("immediate-lives-600") if client.immediate => Some(600),
            _ => None,
        };
        if let Some(lives) = lives {
            reply.body["expires_in"] = lives.into();
            reply.body["expires_at"] = crate::clock::rfc3339(self.clock.now() + lives).into();
        }
        Ok(reply)
    }
}
