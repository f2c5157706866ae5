//! `POST {base}/auth/tokens/{tokenId}/revoke`: revoke a token by its id.
//!
//! 1. The caller's token: signature, issuer, expiry → 401
//! 2. Whether it is live → 401; a token that revoked itself or its parent may repeat that very call
//! 3. The id, by its MAC alone: malformed, forged or another client's, all alike → 404
//! 4. `tokens:revoke`, to revoke a token other than the caller's → 401 `insufficient_scope`
//! 5. An expired token → 204, with nothing to store
//! 6. The revocation, stored, and visible to exchanges and in the feed → 204
//!
//! The client's object does steps 2 and 4 to 6 (`client::object`). The body is not read.

use crate::audit::Audit;
use crate::client::ask::{Ask, Revoke};
use crate::client::replica::ask;
use crate::error::Error;
use crate::host::Host;
use crate::request::Call;
use crate::response::Response;
use crate::settings::Settings;
use crate::token;
use crate::token_id::{Kind, TokenId};

pub async fn revoke(
    settings: &Settings,
    host: &impl Host,
    call: Call,
    token_id: &str,
    audit: &mut Audit,
) -> Result<Response, Error> {
    // 1
    let caller = token::caller(settings, host, &call, &[Kind::Long, Kind::Short]).await?;
    audit.presented(&caller);
    // 2 to 6
    let target = TokenId::verify(settings.keys.token_id.iter(), token_id, &caller.client_id);
    audit.token_id = target.as_ref().map(|target| target.as_str().to_owned());
    let client_id = caller.client_id.clone();
    ask(host, &client_id, &Ask::Revoke(Revoke { caller, target })).await?;
    Ok(Response::empty(204))
}
