//! `POST {base}/auth/tokens/long`: issue or rotate a long-term token.
//!
//! 1. No credential header at all → 401 `invalid_client`
//! 2. The body's shape → 400
//! 3. The rate limits → 429
//! 4. The credential → 401
//! 5. The client's permissions → 403
//! 6. Rotation only: the old token's retirement, stored
//! 7. The new token → 201
//!
//! Steps 4 to 6 are one request to the client's object (`client::object`); an unknown client id costs the same there. A
//! code or an assertion is spent before the token is made, so it never works twice, even if step 7 fails.

use crate::audit::Audit;
use crate::client::ask::{Ask, Issue, Rotate};
use crate::client::replica::ask;
use crate::client::{self, Mechanism};
use crate::error::{Error, HeaderFault, TokenFault};
use crate::host::{Host, Limit};
use crate::request::{self, Body, Call, Credential, LongTokenRequest};
use crate::response::Response;
use crate::settings::Settings;
use crate::token::{self, Granted};
use crate::token_id::{Kind, TokenId};

/// An id that no client can have. Requests with a malformed `client_id` all use it, so they share one object, its code
/// lock and its rate limit.
const NOBODY: &str = ".";

pub async fn issue_long(
    settings: &Settings,
    host: &impl Host,
    mut call: Call,
    read: impl AsyncFnOnce() -> (Body, u64),
    audit: &mut Audit,
) -> Result<Response, Error> {
    call.receive(read).await;
    // 1
    if call.authorization.is_none() && call.client_id_header.is_none() {
        return Err(Error::ClientIdHeader(HeaderFault::Missing));
    }
    // 2
    let request = LongTokenRequest::parse(&call)?;
    let mechanism = request.credential.as_ref().map_or(Mechanism::Rotation, Credential::mechanism);
    audit.mechanism = Some(mechanism.name());
    let has_id = client::is_client_id(&request.client_id);
    if has_id {
        audit.client_id = Some(request.client_id.clone());
    }
    let client_id = if has_id { request.client_id.clone() } else { NOBODY.to_owned() };
    // 3
    if !is_within(host, &client_id, &call.ip).await? {
        return Err(Error::RateLimited { retry_after: settings.rate_limit_period });
    }
    // Before anything is spent or retired, since this can fail.
    let random = host.random()?;
    // 4 to 6
    let (client_id, granted) = match request.credential {
        Some(_) => by_credential(host, call, request, client_id).await?,
        None => by_bearer(settings, host, &call, request, audit).await?,
    };
    // 7
    let minted = token::mint_long(settings, &client_id, &granted, random)?;
    audit.token_id = Some(minted.token_id.clone());
    let mut response = Response::json(201, &minted);
    response.headers.push(("X-Token-Id", minted.token_id));
    Ok(response)
}

async fn by_credential(
    host: &impl Host,
    call: Call,
    request: LongTokenRequest,
    client_id: String,
) -> Result<(String, Granted), Error> {
    let header = call.client_id_header.as_deref().ok_or(Error::ClientIdHeader(HeaderFault::Missing))?;
    match request::single(header) {
        None => return Err(Error::ClientIdHeader(HeaderFault::Repeated)),
        Some(header) if header != request.client_id => return Err(Error::ClientIdHeader(HeaderFault::Different)),
        Some(_) => {}
    }
    let credential = request.credential.ok_or(Error::InvalidClient { locked: false })?;
    let issue = Issue { credential, origin: call.origin, scopes: request.scopes, ttl: request.ttl_seconds };
    let granted = ask(host, &client_id, &Ask::Issue(issue)).await?.granted()?;
    Ok((client_id, granted))
}

/// A rotation, with the short-term token in the `Authorization` header.
async fn by_bearer(
    settings: &Settings,
    host: &impl Host,
    call: &Call,
    request: LongTokenRequest,
    audit: &mut Audit,
) -> Result<(String, Granted), Error> {
    let bearer = token::caller(settings, host, call, &[Kind::Short]).await?;
    audit.by = Some(bearer.id.clone());
    let client_id = bearer.client_id.clone();
    let parent = bearer.parent.as_deref().ok_or(TokenFault::Foreign)?;
    let parent = TokenId::verify(settings.keys.token_id.iter(), parent, &client_id).ok_or(TokenFault::Foreign)?;
    let LongTokenRequest { client_id: named, scopes, ttl_seconds: ttl, .. } = request;
    let rotate = Rotate { bearer, parent, client_id: named, scopes, ttl };
    let granted = ask(host, &client_id, &Ask::Rotate(rotate)).await?.granted()?;
    Ok((client_id, granted))
}

/// Counts the call per client and address, per client, and per address, so that neither invented client ids nor many
/// addresses evade the limits.
async fn is_within(host: &impl Host, client_id: &str, ip: &str) -> Result<bool, Error> {
    let network = network(ip);
    let both = format!("{client_id}|{network}");
    // The runtime counts in the machine's memory, so awaiting the three in turn costs nothing.
    Ok(host.within(Limit::Long, &both).await?
        && host.within(Limit::Client, client_id).await?
        && host.within(Limit::Address, &network).await?)
}

/// What the limits count as one address: of an IPv6 address (RFC 4291, section 2.2) the first four groups (/64), since
/// a customer is given at least that many. Parsed by hand: `core::net` would add 4 KB of WASM.
pub(crate) fn network(ip: &str) -> String {
    let groups: Vec<&str> = ip.split(':').collect();
    let last = groups.last().copied().unwrap_or_default();
    // IPv4, plain or IPv4-mapped.
    if groups.len() < 3 || last.contains('.') {
        return last.to_owned();
    }
    // "::" stands for the groups that are missing.
    let missing = 8_usize.saturating_sub(groups.iter().filter(|group| !group.is_empty()).count());
    let mut gap = core::iter::repeat_n("0", missing);
    let mut network = String::new();
    for group in groups {
        if group.is_empty() {
            gap.by_ref().for_each(|zero| network = network.clone() + zero + ":");
        } else {
            network = network + group + ":";
        }
    }
    network.split_inclusive(':').take(4).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_one_address() {
        for (ip, counted) in [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:"),
            ("2001:db8:1:2:ffff::1", "2001:db8:1:2:"),
            ("2001:db8::1", "2001:db8:0:0:"),
            ("2001:db8::1:2:3:4:5", "2001:db8:0:1:"),
            ("::1", "0:0:0:0:"),
            ("2001:db8::", "2001:db8:0:0:"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("", ""),
            ("unknown", "unknown"),
        ] {
            assert_eq!(network(ip), counted, "{ip}");
        }
    }
}
