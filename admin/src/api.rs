//! The operators' API, one function per call. Each also handles a lost response: the call may or may not have taken
//! effect.

use reqwest::Method;
use serde_json::{Map, Value};

use crate::files::suffix;
use crate::output::{Shown, note, plain};
use crate::session::{Answer, Request, Retries, Session, Tried};
use crate::wanted::Wanted;

/// A client, as the service shows it.
pub struct Client {
    pub members: Map<String, Value>,
    pub etag: Option<String>,
    /// The response body.
    pub text: String,
}

/// The id of a new client.
#[derive(Clone, Copy)]
pub enum Id<'a> {
    Given(&'a str),
    /// A generated one with this prefix.
    Made(&'a str),
}

/// The result of a merge patch.
pub enum Patched {
    Done(Client),
    /// The client has changed since it was read.
    Overtaken,
}

impl Client {
    fn of(answer: &Answer) -> Result<Self, String> {
        Ok(Self { members: answer.object()?, etag: answer.etag.clone(), text: answer.text.clone() })
    }

    pub fn text(&self, name: &str) -> &str {
        self.members.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn has_totp(&self) -> bool {
        self.members.get("has_totp").and_then(Value::as_bool).unwrap_or_default()
    }

    pub fn allows(&self, mechanism: &str) -> bool {
        let mechanisms = self.members.get("mechanisms").and_then(Value::as_array);
        mechanisms.is_some_and(|list| list.iter().any(|name| name == mechanism))
    }

    pub fn secret_ids(&self) -> Vec<String> {
        let secrets = self.members.get("secrets").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let id = |secret: &Value| secret.get("secret_id").and_then(Value::as_str).map(plain);
        secrets.iter().filter_map(id).collect()
    }

    /// Removes the credentials that are shown only once, and returns them.
    pub fn take_credentials(&mut self) -> Shown {
        take(&mut self.members, &["client_secret", "totp_secret", "otpauth_uri"])
    }
}

fn take(members: &mut Map<String, Value>, names: &[&'static str]) -> Shown {
    let text = |value: Value| value.as_str().map(plain).unwrap_or_default();
    names.iter().filter_map(|name| Some((*name, text(members.remove(*name)?)))).collect()
}

fn path(id: &str) -> String {
    format!("/clients/{id}")
}

fn unknown(id: &str) -> String {
    format!("there is no client {id}; see `admin client list`")
}

/// Returns `None` if there is no such client.
pub async fn get(session: &Session, id: &str) -> Result<Option<Client>, String> {
    let (answer, _) = session.call(&Request::new(Method::GET, path(id))).await?;
    match answer.status {
        200 => Client::of(&answer).map(Some),
        404 => Ok(None),
        _ => Err(answer.problem()),
    }
}

pub async fn existing(session: &Session, id: &str) -> Result<Client, String> {
    get(session, id).await?.ok_or_else(|| unknown(id))
}

/// All clients except deleted ones, each with its status.
pub async fn list(session: &Session) -> Result<Vec<Map<String, Value>>, String> {
    let mut clients = Vec::new();
    let mut cursor = String::new();
    loop {
        let (answer, _) = session.call(&Request::new(Method::GET, format!("/clients?limit=1000{cursor}"))).await?;
        if answer.status != 200 {
            return Err(answer.problem());
        }
        let mut page = answer.object()?;
        if let Some(Value::Array(list)) = page.remove("clients") {
            clients.extend(list.into_iter().filter_map(|client| match client {
                Value::Object(members) => Some(members),
                _ => None,
            }));
        }
        let Some(next) = page.get("cursor").and_then(Value::as_str) else { return Ok(clients) };
        let url = reqwest::Url::parse_with_params("http://cursor", [("cursor", next)]);
        let next = format!("&{}", url.as_ref().ok().and_then(|url| url.query()).unwrap_or_default());
        if next == cursor {
            return Err("the service returned the same cursor twice, so the list would never end".to_owned());
        }
        cursor = next;
    }
}

/// Creates a client. The response holds credentials that are shown only once, so if it is lost, nobody can use the
/// client. A client with a generated id is then deleted, and another one created; for a given id, the caller is told
/// what to do.
pub async fn create(session: &Session, id: Id<'_>, wanted: &Wanted) -> Result<Client, String> {
    let fresh = || match id {
        Id::Given(id) => Ok(id.to_owned()),
        Id::Made(prefix) => suffix::<8>().map(|suffix| format!("{prefix}{suffix}")),
    };
    let given = matches!(id, Id::Given(_));
    let (mut id, mut unsure) = (fresh()?, false);
    let mut retries = Retries::new();
    loop {
        let mut members = wanted.members();
        members.insert("client_id".to_owned(), id.as_str().into());
        let tried = session.attempt(&Request::new(Method::POST, "/clients").body(&members), &mut retries).await;
        let answer = match tried {
            Ok(Tried::Answered(answer)) => answer,
            Ok(Tried::Unsure) => {
                unsure = true;
                continue;
            }
            Ok(Tried::GaveUp { problem, unsure: false }) | Err(problem) if !unsure => return Err(problem),
            Ok(Tried::GaveUp { problem, .. }) | Err(problem) if given => {
                return Err(format!(
                    "{problem}. {id} may have been created anyway, and then nobody has its credentials. Check with \
                     `admin client show {id}`: if it does not exist, run this again; otherwise {}",
                    rescue(&id)
                ));
            }
            Ok(Tried::GaveUp { problem, .. }) | Err(problem) => {
                return Err(format!(
                    "{problem}. {id} may have been created anyway, and nobody has its credentials: run \
                     `admin client delete {id}`, which reports if it does not exist"
                ));
            }
        };
        match (answer.status, unsure) {
            (201, _) => {
                return Client::of(&answer).map_err(|problem| {
                    format!("{id} was created, but its credentials are lost: the service {problem}; {}", rescue(&id))
                });
            }
            (409, true) if given => {
                return Err(format!(
                    "{id} exists now. The response to an earlier attempt was lost, so most likely that attempt created it, and nobody has \
                     its credentials. Unless someone else created it just now (`admin client show {id}` shows when), {}",
                    rescue(&id)
                ));
            }
            (409, true) => {
                delete(session, &id, None).await?;
                note(&format!(
                    "{id} was created, but the response with its credentials was lost; it has been deleted, and another client is created"
                ));
                (id, unsure) = (fresh()?, false);
            }
            (409, false) if given => {
                return Err(format!(
                    "{id} exists, or was deleted: an id is never reused. Choose another, or change the client with \
                     `admin client set`"
                ));
            }
            (403, _) => {
                return Err(format!(
                    "{}. Log in as the first operator to give a client scopes that begin with clients:",
                    answer.problem()
                ));
            }
            _ => return Err(answer.problem()),
        }
    }
}

fn rescue(id: &str) -> String {
    format!(
        "give it new ones: `admin client add-secret {id}`, then end the lost secret with `admin client end-secret {id} \
         SECRET-ID`, and `admin client new-totp {id}` if it uses codes"
    )
}

pub async fn patch(
    session: &Session,
    id: &str,
    members: &Map<String, Value>,
    etag: Option<&str>,
) -> Result<Patched, String> {
    let request = Request::new(Method::PATCH, path(id)).body(members).if_match(etag);
    let (answer, repeated) = session.call(&request).await?;
    match answer.status {
        200 => Client::of(&answer).map(Patched::Done),
        404 => Err(unknown(id)),
        412 if repeated => {
            // The attempt whose response was lost may have made this change.
            let client = existing(session, id).await?;
            let done = members
                .iter()
                .all(|(name, value)| client.members.get(name) == (if value.is_null() { None } else { Some(value) }));
            Ok(if done { Patched::Done(client) } else { Patched::Overtaken })
        }
        412 => Ok(Patched::Overtaken),
        _ => Err(answer.problem()),
    }
}

/// Adds a second secret. The call is repeated only once it is certain that the first attempt added none.
pub async fn add_secret(session: &Session, id: &str) -> Result<(Shown, String), String> {
    let before = existing(session, id).await?.secret_ids();
    let mut retries = Retries::new();
    let mut unsure = false;
    loop {
        let request = Request::new(Method::POST, format!("{}/secrets", path(id)));
        let (given_up, sure) = match session.attempt(&request, &mut retries).await? {
            Tried::Answered(answer) => match answer.status {
                201 => {
                    let shown = take(&mut answer.object()?, &["secret_id", "client_secret"]);
                    return Ok((shown, answer.text));
                }
                404 => return Err(unknown(id)),
                409 if !unsure && before.len() > 1 => {
                    return Err(format!(
                        "{id} has two live secrets already ({}); end one first with `admin client end-secret`",
                        before.join(" and ")
                    ));
                }
                _ => return Err(answer.problem()),
            },
            Tried::Unsure => (None, false),
            Tried::GaveUp { problem, unsure } => (Some(problem), !unsure),
        };
        if sure {
            return Err(given_up.unwrap_or_default());
        }
        unsure = true;
        let now = existing(session, id).await.map_err(|problem| {
            format!(
                "{problem}. {id} may have a new secret that nobody has: run `admin client show {id}`, and end each one that \
                 it did not have before (before: {})",
                if before.is_empty() { "none".to_owned() } else { before.join(" and ") }
            )
        })?;
        if let Some(lost) = now.secret_ids().iter().find(|secret| !before.contains(secret)) {
            return Err(format!(
                "the response was lost, and {id} has a new secret {lost}. Unless someone else added it just now, nobody has it: \
                 end it with `admin client end-secret {id} {lost}`, and run this again"
            ));
        }
        if let Some(problem) = given_up {
            return Err(format!("{problem}. No secret was added"));
        }
    }
}

/// Ends a secret. On a repeat, 404 means that an earlier attempt ended it.
pub async fn end_secret(session: &Session, id: &str, secret: &str, delay: u64) -> Result<(), String> {
    let later = if delay == 0 { String::new() } else { format!("?in={delay}") };
    let request = Request::new(Method::DELETE, format!("{}/secrets/{secret}{later}", path(id)));
    let (answer, repeated) = session.call(&request).await?;
    match answer.status {
        204 => Ok(()),
        404 if repeated && delay == 0 => Ok(()),
        404 => Err(format!("{id} has no live secret {secret}; see `admin client show {id}`")),
        _ => Err(answer.problem()),
    }
}

/// Makes a new TOTP seed. A lost response does no harm: the next seed replaces that one.
pub async fn new_totp(session: &Session, id: &str) -> Result<(Shown, String), String> {
    let (answer, _) =
        session.call(&Request::new(Method::POST, format!("{}/totp", path(id)))).await.map_err(|problem| {
            format!("{problem}. {id} may have a new seed that nobody has; run this again to replace it")
        })?;
    match answer.status {
        201 => Ok((take(&mut answer.object()?, &["totp_secret", "otpauth_uri"]), answer.text)),
        404 => Err(unknown(id)),
        _ => Err(answer.problem()),
    }
}

pub async fn end_tokens(session: &Session, id: &str) -> Result<(), String> {
    let (answer, _) = session.call(&Request::new(Method::POST, format!("{}/end-tokens", path(id)))).await?;
    match answer.status {
        204 => Ok(()),
        404 => Err(unknown(id)),
        _ => Err(answer.problem()),
    }
}

pub async fn delete(session: &Session, id: &str, etag: Option<&str>) -> Result<(), String> {
    let (answer, _) = session.call(&Request::new(Method::DELETE, path(id)).if_match(etag)).await?;
    match answer.status {
        204 => Ok(()),
        404 => Err(unknown(id)),
        412 => Err(format!("someone else changed {id} just now; check it, and run this again")),
        _ => Err(answer.problem()),
    }
}
