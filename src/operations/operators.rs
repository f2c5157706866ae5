//! `{base}/clients…`: the operators' API.
//!
//! 1. The caller's token: a live short-term one with `clients:read` or `clients:write` → 401
//! 2. The shape of body and parameters → 400
//! 3. The request to the client's object → 404, 412, 409, 403, 400, in this order
//! 4. The response, once the object has stored the change and, if it takes something away, KV and the feed show it →
//!    200, 201, 204

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::Mac;
use serde::Serialize;

use crate::audit::Audit;
use crate::client::ask::{Answer, Ask, Change, Shown};
use crate::client::change::{Draft, Patch};
use crate::client::jwk::PublicJwk;
use crate::client::replica;
use crate::client::{MAX_TTL, Status, is_client_id, is_secret_id};
use crate::error::{Error, Grantor};
use crate::host::{Host, Listed, Page};
use crate::request::{Body, Call, JSON};
use crate::response::Response;
use crate::scope::Scopes;
use crate::settings::Settings;
use crate::token::{self, Presented};
use crate::token_id::Kind;

const READ: &str = "clients:read";
const WRITE: &str = "clients:write";
const MERGE_PATCH: &str = "application/merge-patch+json";
const CURSOR_MAC: usize = 16;

/// One of the operations.
#[derive(Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    List,
    Show { client_id: String },
    Change { client_id: String },
    Delete { client_id: String },
    AddSecret { client_id: String },
    EndSecret { client_id: String, secret_id: String },
    NewTotp { client_id: String },
    EndTokens { client_id: String },
}

#[derive(Serialize)]
struct List {
    clients: Vec<Listed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

impl Operation {
    /// The `operationId`, and the audit line's `outcome` if the call succeeds.
    pub const fn event(&self) -> (&'static str, &'static str) {
        match self {
            Self::Create => ("createClient", "changed"),
            Self::List => ("listClients", "served"),
            Self::Show { .. } => ("getClient", "served"),
            Self::Change { .. } => ("updateClient", "changed"),
            Self::Delete { .. } => ("deleteClient", "changed"),
            Self::AddSecret { .. } => ("createClientSecret", "changed"),
            Self::EndSecret { .. } => ("endClientSecret", "changed"),
            Self::NewTotp { .. } => ("createClientTotp", "changed"),
            Self::EndTokens { .. } => ("endClientTokens", "changed"),
        }
    }

    const fn needs(&self) -> &'static str {
        if matches!(self, Self::List | Self::Show { .. }) { READ } else { WRITE }
    }

    fn client_id(&self) -> &str {
        match self {
            Self::Create | Self::List => "",
            Self::Show { client_id }
            | Self::Change { client_id }
            | Self::Delete { client_id }
            | Self::AddSecret { client_id }
            | Self::EndSecret { client_id, .. }
            | Self::NewTotp { client_id }
            | Self::EndTokens { client_id } => client_id,
        }
    }

    pub const fn reads_body(&self) -> bool {
        matches!(self, Self::Create | Self::Change { .. })
    }
}

pub async fn operate(
    settings: &Settings,
    host: &impl Host,
    operation: &Operation,
    mut call: Call,
    read: impl AsyncFnOnce() -> (Body, u64),
    audit: &mut Audit,
) -> Result<Response, Error> {
    // 1
    let caller = token::caller(settings, host, &call, &[Kind::Short]).await?;
    (audit.by, audit.operator) = (Some(caller.id.clone()), Some(caller.client_id.clone()));
    if operation.reads_body() {
        call.receive(read).await;
    }
    super::authorize(host, &caller, operation.needs(), call.now).await?;
    // 2
    let ask = match operation {
        Operation::List => return list(settings, host, &call).await,
        Operation::Create => create(settings, host, &call, &caller).await?,
        Operation::Show { .. } => Ask::Show,
        Operation::Change { .. } => change(settings, host, &call, &caller).await?,
        Operation::Delete { .. } => Ask::Delete { if_match: call.if_match },
        Operation::AddSecret { .. } => Ask::AddSecret,
        Operation::EndSecret { secret_id, .. } => {
            let delay = call.number("in", 0..=MAX_TTL)?.unwrap_or(0);
            // Logged only if it has the form of an id: the caller may have sent the secret itself by mistake.
            audit.secret_id = Some(secret_id.clone()).filter(|id| is_secret_id(id));
            Ask::EndSecret { secret_id: secret_id.clone(), delay }
        }
        Operation::NewTotp { .. } => Ask::NewTotp,
        Operation::EndTokens { .. } => Ask::EndTokens,
    };
    let client_id = match &ask {
        Ask::Create { client_id, .. } => client_id.clone(),
        _ => operation.client_id().to_owned(),
    };
    if !is_client_id(&client_id) {
        return Err(Error::ClientNotFound);
    }
    audit.client_id = Some(client_id.clone());
    // 3 and 4
    Ok(match replica::ask(host, &client_id, &ask).await? {
        Answer::Shown(Shown { body, etag }) => {
            let mut response = Response::from_json(if *operation == Operation::Create { 201 } else { 200 }, body);
            response.headers.push(("ETag", etag));
            response
        }
        Answer::Made(body) => Response::from_json(201, body),
        _ => Response::empty(204),
    })
}

async fn create(settings: &Settings, host: &impl Host, call: &Call, caller: &Presented) -> Result<Ask, Error> {
    let generated_id = format!("c2m_{}", Base64UrlUnpadded::encode_string(&host.random()?));
    let Draft { client_id, region, patch } =
        Draft::parse(call.json(&[JSON])?, generated_id, settings.default_consistency)?;
    check_keys(host, patch.keys()).await?;
    if !settings.is_first_operator(&caller.client_id)
        && let Some(scope) = patch.scopes.iter().flat_map(Scopes::iter).find(|scope| scope.is_of("clients"))
    {
        return Err(Error::InsufficientScope { needed: scope.to_string(), by: Grantor::Operator });
    }
    // The object parses the body again.
    Ok(Ask::Create { client_id, body: call.text(), region })
}

async fn change(settings: &Settings, host: &impl Host, call: &Call, caller: &Presented) -> Result<Ask, Error> {
    let patch = Patch::parse(call.json(&[MERGE_PATCH, JSON])?)?;
    check_keys(host, patch.keys()).await?;
    // The object parses the body again, and applies it to the client's current state.
    Ok(Ask::Change(Change {
        body: call.text(),
        if_match: call.if_match.clone(),
        may_give_clients: settings.is_first_operator(&caller.client_id),
    }))
}

async fn list(settings: &Settings, host: &impl Host, call: &Call) -> Result<Response, Error> {
    let limit = call.number("limit", 1..=1000)?.unwrap_or(100);
    let cursor = match call.parameter("cursor")? {
        Some(cursor) => Some(open_cursor(settings, &cursor).ok_or_else(|| {
            Error::field("cursor", "cursor must be the one of the previous page; leave it out to start again.")
        })?),
        None => None,
    };
    let Page { mut clients, cursor } = host.list(limit, cursor.as_deref()).await?;
    clients.retain(|listed| {
        is_client_id(&listed.client_id)
            && listed.status != Status::Deleted.name()
            && !settings.is_first_operator(&listed.client_id)
    });
    Ok(Response::json(200, &List { clients, cursor: cursor.map(|cursor| seal_cursor(settings, &cursor)) }))
}

/// Checks what a key's members don't show: whether its point is on the curve.
async fn check_keys(host: &impl Host, keys: &[PublicJwk]) -> Result<(), Error> {
    for (index, key) in keys.iter().enumerate() {
        if !host.accepts(key).await? {
            let message = format!("jwks has a fault in key {index}: its members do not form a valid public key.");
            return Err(Error::field("jwks", message));
        }
    }
    Ok(())
}

/// Authenticates KV's cursor, so that only cursors that this service gave out are accepted.
pub(crate) fn seal_cursor(settings: &Settings, cursor: &str) -> String {
    let mac = settings.keys.token_id.first().start().chain_update(CURSOR).chain_update(cursor).finalize().into_bytes();
    Base64UrlUnpadded::encode_string(&[&mac[..CURSOR_MAC], cursor.as_bytes()].concat())
}

pub(crate) fn open_cursor(settings: &Settings, text: &str) -> Option<String> {
    let bytes = Base64UrlUnpadded::decode_vec(text).ok()?;
    let (mac, cursor) = bytes.split_at_checked(CURSOR_MAC)?;
    let genuine = settings
        .keys
        .token_id
        .iter()
        .any(|key| key.start().chain_update(CURSOR).chain_update(cursor).verify_truncated_left(mac).is_ok());
    String::from_utf8(cursor.to_vec()).ok().filter(|_| genuine)
}

/// Domain separation: no input of a token id's MAC starts with this.
const CURSOR: &str = "cursor:";
