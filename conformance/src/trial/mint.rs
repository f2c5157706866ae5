//! Tokens for cases: minted for one case, or shared by the run.

use crate::endpoint::{self, LONG, SHORT};
use crate::http::{Answer, Request};
use crate::identities::{Credential, Role};
use crate::run::Run;
use crate::stop::Stop;
use crate::trial::Trial;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use tokio::sync::Mutex;

/// A token in use.
#[derive(Debug, Clone)]
pub struct Token {
    pub id: String,
    pub token: String,
    /// Seconds.
    pub expires_in: u64,
    pub body: Value,
}

/// A scope that no operation asks for.
pub const PLAIN: &str = "tokens:read";

type Minted = Result<Token, Stop>;
/// With the time when it was minted, in seconds since the epoch.
type Slot = Rc<Mutex<Option<(u64, Minted)>>>;

/// A token that is rotated is shared for this long, in seconds: once a rotation has retired its parent, it works only for the
/// grace period.
const TURN: u64 = 10;
/// A shared token is replaced this long before it ends, in seconds.
const MARGIN: u64 = 60;

/// The tokens that a run's cases share, by role and name.
#[derive(Default)]
struct Shelf(RefCell<HashMap<(Role, String), Slot>>);

impl Shelf {
    fn slot(&self, role: Role, what: &str) -> Slot {
        self.0.borrow_mut().entry((role, what.to_owned())).or_default().clone()
    }
}

/// A shared token, if a case has requested it before.
pub async fn known(run: &Run, role: Role, what: &str) -> Option<Minted> {
    run.memory::<Shelf>().slot(role, what).lock().await.clone().map(|(_, minted)| minted)
}

pub fn token_in(answer: &Answer) -> Option<Token> {
    let body = answer.json()?;
    if answer.status != 201 {
        return None;
    }
    let text = |name: &str| body[name].as_str().filter(|v| !v.is_empty()).map(str::to_owned);
    Some(Token { id: text("token_id")?, token: text("access_token")?, expires_in: body["expires_in"].as_u64()?, body })
}

impl Trial<'_> {
    /// Whose tokens a case rotates or revokes, if any client's will do: role `other`, if there is one. The rate limit counts the
    /// calls of each client, and role `valid` needs most of its own for cases that no other role can run.
    pub fn tenant(&self) -> Role {
        let has = |credential| self.run.identities.has(Role::Other, credential);
        if has(Credential::ClientId) && has(Credential::ClientSecret) { Role::Other } else { Role::Valid }
    }

    /// A long-term token for this case alone, by client secret.
    pub async fn mint_long(&self, role: Role, scopes: &[&str]) -> Result<Token, Stop> {
        let client_id = self.setting(role, Credential::ClientId)?;
        let secret = self.setting(role, Credential::ClientSecret)?;
        self.mint_long_as(&client_id, &secret, scopes).await
    }

    pub async fn mint_long_as(&self, client_id: &str, secret: &str, scopes: &[&str]) -> Result<Token, Stop> {
        let body = json!({
            "grant_type": "client_credentials", "client_id": client_id, "client_secret": secret,
            "scopes": scopes, "ttl_seconds": 3600,
        });
        let mut request = endpoint::post(LONG, None, Some(body));
        request.set("x-client-id", client_id);
        self.mint(&request, "a long-term token", scopes).await
    }

    pub async fn mint_short(&self, long: &Token, scopes: &[&str]) -> Result<Token, Stop> {
        let body = Some(json!({"scopes": scopes}));
        self.mint(&endpoint::post(SHORT, Some(&long.token), body), "a short-term token", scopes).await
    }

    /// The long-term token that a rotation issues, with all scopes of the short-term token.
    pub async fn rotated(&self, client_id: &str, short: &Token) -> Result<Token, Stop> {
        self.mint(&endpoint::rotate(client_id, &short.token, None), "a rotation", &[]).await
    }

    /// Mints a token that a case needs first. A refusal here blocks the case, which tests something else.
    async fn mint(&self, request: &Request, what: &str, scopes: &[&str]) -> Result<Token, Stop> {
        let needed = |got: String| Stop::Blocked(format!("this case first needs {what}: {got}"));
        let answer = match self.send(request).await {
            Err(Stop::Fail { got, .. }) => return Err(needed(got)),
            other => other?,
        };
        let token =
            token_in(&answer).ok_or_else(|| needed(format!("the server answered {}", self.run.summary(&answer))))?;
        if token.body["scopes"] != json!(scopes) && !scopes.is_empty() {
            return Err(needed(format!(
                "it requested the scopes {}, but the server granted {}",
                json!(scopes),
                token.body["scopes"]
            )));
        }
        Ok(token)
    }

    /// A live token shared by the run. `long`, `spare` and `parent` have all scopes of the role. `short` is made from `long`, and
    /// `turn` from `parent`, which a rotation retires. An operator's `read` and `write` have that scope alone.
    pub async fn shared(&self, role: Role, what: &str) -> Result<Token, Stop> {
        let slot = self.run.memory::<Shelf>().slot(role, what);
        let mut slot = slot.lock().await;
        let is_rotated = ["turn", "parent"].contains(&what);
        match &*slot {
            Some((_, Err(stop))) => return Err(stop.clone()),
            Some((at, Ok(token))) => {
                let lives = if is_rotated { TURN } else { token.expires_in.saturating_sub(MARGIN) };
                if self.run.clock.now() < at.saturating_add(lives) {
                    return Ok(token.clone());
                }
            }
            None => {}
        }
        let all = match what {
            "read" | "long-read" => &["clients:read"],
            "write" | "long-write" => &["clients:write"],
            _ => role.scopes(),
        };
        let parent = match what {
            "short" => Some("long"),
            "turn" => Some("parent"),
            "read" => Some("long-read"),
            "write" => Some("long-write"),
            _ => None,
        };
        let minted = match parent {
            Some(parent) => match Box::pin(self.shared(role, parent)).await {
                Ok(long) => self.mint_short(&long, all).await,
                Err(stop) => Err(stop),
            },
            None => self.mint_long(role, all).await,
        };
        // Keep only definite results: an interrupted case must not decide for the others.
        if !matches!(minted, Err(Stop::Error(_) | Stop::Unavailable(_))) {
            *slot = Some((self.run.clock.now(), minted.clone()));
        }
        minted
    }

    pub fn rotate_request(&self, role: Role, short: &str, scopes: Option<&[&str]>) -> Result<Request, Stop> {
        let client_id = self.setting(role, Credential::ClientId)?;
        Ok(endpoint::rotate(&client_id, short, scopes))
    }

    /// Scopes that the role may request, in no order that a server would bring them into; none if its identity does not list
    /// any.
    pub fn some_scopes(&self, role: Role) -> Vec<String> {
        match role {
            Role::Valid => vec!["templates:read".to_owned(), "jobs:submit".to_owned()],
            _ => self.one_scope(role).into_iter().collect(),
        }
    }

    /// A scope that the role may request; `None` if its identity does not list any.
    pub fn one_scope(&self, role: Role) -> Option<String> {
        match role {
            Role::Valid | Role::Narrow => Some("jobs:submit".to_owned()),
            Role::Other => Some("tokens:revoke".to_owned()),
            _ => self.run.identities.role(role)?.scopes.first().cloned(),
        }
    }
}
