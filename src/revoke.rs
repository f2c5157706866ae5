//! `POST {base}/auth/tokens/{tokenId}/revoke`: revoke a token by its id.
//!
//! 1. The caller's token: signature, issuer, end → 401 (in `app`)
//! 2. Whether it lives → 401; a token that revoked itself may repeat that very call → 204
//! 3. The id, by its MAC alone: malformed, forged and another client's are alike → 404
//! 4. Another token than the caller's own needs `tokens:revoke` → 401 `insufficient_scope`
//! 5. A token past its end needs nothing → 204
//! 6. The revocation, stored → 204
//!
//! The body is not read.

use crate::app::Audit;
use crate::error::Error;
use crate::host::Host;
use crate::request::Call;
use crate::response::Response;
use crate::revocation;
use crate::settings::Settings;
use crate::token::Presented;
use crate::token_id::TokenId;

/// The scope that lets a token revoke other tokens of its client.
const REVOKE: &str = "tokens:revoke";

pub async fn revoke(
    settings: &Settings,
    host: &impl Host,
    call: &Call,
    caller: Presented,
    token_id: &str,
    audit: &mut Audit,
) -> Result<Response, Error> {
    // 2
    let life = caller.life(host).await?;
    let own = caller.id == token_id;
    if own && life.was_revoked(call.now) {
        audit.token_id = Some(caller.id);
        return Ok(Response::empty(204));
    }
    life.check(call.now)?;
    // 3
    let target =
        TokenId::verify(settings.keys.token_id.iter(), token_id, &caller.client_id).ok_or(Error::TokenNotFound)?;
    audit.token_id = Some(target.as_str().to_owned());
    // 4
    if !own && !caller.scopes.allow(REVOKE) {
        return Err(Error::RevokeScope);
    }
    // 5 and 6
    if target.expires_at > call.now {
        revocation::revoke(host, &caller.client_id, &target, call.now).await?;
    }
    Ok(Response::empty(204))
}
