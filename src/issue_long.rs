//! `POST {base}/auth/tokens/long`: issue or rotate a long-term token.
//!
//! 1. No credential header at all → 401 `invalid_client`
//! 2. The body's shape → 400
//! 3. The rate limit → 429
//! 4. The credential → 401
//! 5. What it permits → 403
//! 6. Rotation only: the old token is retired, and that is stored
//! 7. A new token → 201
//!
//! A code and an assertion are spent in step 4, before anything is made: whatever follows, they never work again.

use sha2::{Digest, Sha256};

use crate::app::Audit;
use crate::client::{self, ClientRecord, Status};
use crate::error::{Error, HeaderFault, TokenFault, Unavailable, Unentitled};
use crate::host::{Host, Limit};
use crate::once::{Answer, Ask};
use crate::request::{self, Call, Credential, LongTokenRequest};
use crate::response::Response;
use crate::revocation::{self, object_name};
use crate::scope::Scopes;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::token::{self, Presented};
use crate::token_id::{Kind, TokenId};
use crate::{assertion, otp};

/// The scope that lets a short-term token rotate its long-term one.
const WRITE: &str = "tokens:write";
/// A seed that no client has, for the work that an unknown client costs too.
const NO_SEED: [u8; otp::SEED_LENGTH] = [0; otp::SEED_LENGTH];

pub async fn issue_long(
    settings: &Settings,
    host: &impl Host,
    call: &Call,
    audit: &mut Audit,
) -> Result<Response, Error> {
    // 1
    if call.authorization.is_none() && call.client_id_header.is_none() {
        return Err(Error::ClientIdHeader(HeaderFault::Missing));
    }
    // 2
    let request = LongTokenRequest::parse(call)?;
    let mechanism = request.credential.mechanism();
    audit.mechanism = Some(mechanism.name());
    let known_form = client::is_client_id(&request.client_id);
    if known_form {
        audit.client_id = Some(request.client_id.clone());
    }
    // 3. Ids that no client can have share one count, so that they are no way around it.
    let counted = if known_form { request.client_id.as_str() } else { "" };
    if !host.within(Limit::Long, &format!("{counted}|{}", call.ip)).await? {
        return Err(Error::RateLimited { retry_after: settings.rate_limit_period });
    }
    // Drawn before anything is spent or retired.
    let random = host.random()?;
    // 4 and 5
    let (record, bearer) = match &request.credential {
        Credential::Rotation => {
            let (record, presented) = by_bearer(settings, host, call, &request, audit).await?;
            (record, Some(presented))
        }
        credential => (by_credential(settings, host, call, &request.client_id, credential).await?, None),
    };
    if record.status == Status::Suspended {
        return Err(Error::UnauthorizedClient(Unentitled::Suspended));
    }
    if !record.allows(mechanism) {
        return Err(Error::UnauthorizedClient(Unentitled::Mechanism(mechanism.name())));
    }
    let scopes = grant(&record, bearer.as_ref(), request.scopes)?;
    // 6
    if let Some(presented) = &bearer {
        retire_parent(settings, host, presented, call.now).await?;
    }
    // 7
    let ttl = request.ttl_seconds.min(record.max_ttl_seconds);
    let minted = token::mint_long(settings, &record.client_id, &scopes, ttl, call.now, random)?;
    audit.token_id = Some(minted.token_id.clone());
    let mut response = Response::json(201, &minted);
    response.headers.push(("X-Token-Id", minted.token_id));
    Ok(response)
}

/// Authenticates a client by what its body carries. Every failure is the same `InvalidClient`, after the same work.
async fn by_credential(
    settings: &Settings,
    host: &impl Host,
    call: &Call,
    client_id: &str,
    credential: &Credential,
) -> Result<ClientRecord, Error> {
    let header = call.client_id_header.as_deref().ok_or(Error::ClientIdHeader(HeaderFault::Missing))?;
    match request::single(header) {
        None => return Err(Error::ClientIdHeader(HeaderFault::Repeated)),
        Some(header) if header != client_id => return Err(Error::ClientIdHeader(HeaderFault::Different)),
        Some(_) => {}
    }
    let record = registered(host, client_id).await?;
    let authentic = match credential {
        Credential::Secret(secret) => client::secret_matches(record.as_ref(), secret, call.now),
        Credential::Code(code) => code_is_accepted(settings, host, record.as_ref(), client_id, code, call.now).await?,
        Credential::Assertion(assertion) => {
            match assertion::check(settings, host, record.as_ref(), assertion.expose_text(), &call.origin, call.now)
                .await?
            {
                Some(genuine) => {
                    let ask = Ask::Assertion { jti_digest: genuine.jti_digest, until: genuine.until };
                    host.once(&object_name(client_id), &ask).await? == Answer::Accepted
                }
                None => false,
            }
        }
        Credential::Rotation => false,
    };
    record.filter(|_| authentic).ok_or(Error::InvalidClient)
}

async fn registered(host: &impl Host, client_id: &str) -> Result<Option<ClientRecord>, Unavailable> {
    if !client::is_client_id(client_id) {
        return Ok(None);
    }
    host.client(client_id).await?.map(|json| record_of(client_id, &json)).transpose()
}

/// Reads the record that is stored under a client id.
fn record_of(client_id: &str, json: &str) -> Result<ClientRecord, Unavailable> {
    let record = ClientRecord::parse(json)?;
    if record.client_id == client_id {
        return Ok(record);
    }
    let problem = format!("the record under {client_id} is another client's");
    Err(Unavailable { dependency: "CLIENTS", problem })
}

/// Has the client's object judge a one-time code. Who has no seed is judged too, by one of 64 objects that stand in.
async fn code_is_accepted(
    settings: &Settings,
    host: &impl Host,
    record: Option<&ClientRecord>,
    client_id: &str,
    code: &Secret,
    now: u64,
) -> Result<bool, Unavailable> {
    let sealed = record.and_then(|record| record.totp.as_deref().map(|sealed| (record.client_id.as_str(), sealed)));
    let (name, step) = match sealed {
        Some((client_id, sealed)) => {
            let seed = settings.keys.unseal(client_id, sealed).ok_or_else(|| Unavailable {
                dependency: "CLIENTS",
                problem: format!("the TOTP seed of {client_id} can't be unsealed with the keys in AUTH_KEYS"),
            })?;
            (object_name(client_id), otp::matching_step(seed.expose(), code, now))
        }
        None => {
            let shard = Sha256::digest(client_id)[0] % 64;
            (format!("nobody:{shard}"), otp::matching_step(&NO_SEED, code, now).filter(|_| false))
        }
    };
    Ok(host.once(&name, &Ask::Code { step }).await? == Answer::Accepted && sealed.is_some())
}

/// Authenticates a rotation by the short-term token in the `Authorization` header.
async fn by_bearer(
    settings: &Settings,
    host: &impl Host,
    call: &Call,
    request: &LongTokenRequest,
    audit: &mut Audit,
) -> Result<(ClientRecord, Presented), Error> {
    let presented = token::caller(settings, host, call, &[Kind::Short]).await?;
    audit.by = Some(presented.id.clone());
    let life = presented.life(host).await?;
    life.check(call.now)?;
    let record = life.record.as_deref().ok_or(TokenFault::ClientEnded)?;
    let record = record_of(&presented.client_id, record)?;
    if presented.client_id != request.client_id {
        return Err(Error::UnauthorizedClient(Unentitled::OtherClient));
    }
    if !presented.scopes.allow(WRITE) {
        return Err(Error::InsufficientScope { needed: WRITE.to_owned(), by_bearer: true });
    }
    Ok((record, presented))
}

/// The scopes to grant: those asked for, or all that the credential may grant. Neither exceeds the client's own, nor
/// those of the bearer.
fn grant(record: &ClientRecord, bearer: Option<&Presented>, asked: Option<Scopes>) -> Result<Scopes, Error> {
    let most = bearer.map_or(&record.scopes, |presented| &presented.scopes);
    let asked = asked.unwrap_or_else(|| most.clone());
    if let Some(scope) = most.first_uncovered(&asked) {
        return Err(Error::InsufficientScope { needed: scope.to_string(), by_bearer: bearer.is_some() });
    }
    // A rotation must not carry on what the client has lost since.
    if let Some(scope) = record.scopes.first_uncovered(&asked) {
        return Err(Error::InsufficientScope { needed: scope.to_string(), by_bearer: false });
    }
    Ok(asked)
}

/// Lets the long-term token that the bearer came from work for the grace period only.
async fn retire_parent(settings: &Settings, host: &impl Host, presented: &Presented, now: u64) -> Result<(), Error> {
    // A new long-term token outlives the time in which this location may not know yet that the bearer was revoked.
    if revocation::has_ended(host, &presented.client_id, &presented.id).await? {
        return Err(TokenFault::Revoked.into());
    }
    let parent = presented.parent.as_deref().ok_or(TokenFault::Foreign)?;
    let parent =
        TokenId::verify(settings.keys.token_id.iter(), parent, &presented.client_id).ok_or(TokenFault::Foreign)?;
    let at = (now + settings.rotation_grace).min(parent.expires_at);
    let ended = revocation::end(host, &presented.client_id, &parent, at).await?;
    if ended { Err(TokenFault::Revoked.into()) } else { Ok(()) }
}
