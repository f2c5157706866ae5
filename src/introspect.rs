//! `POST {base}/auth/tokens/introspect`: whether a short-term token counts (RFC 7662), for the APIs that receive it.
//!
//! 1. The caller's token: signature, issuer, end (in `app`), and that it lives → 401
//! 2. The scope `tokens:introspect`; the caller may be of any client → 403
//! 3. The form: one `token` → 400
//! 4. The token: whatever is wrong with it, it is inactive → 200
//!
//! A long-term token is never active here: no API but this one may accept it.

use serde::Serialize;

use crate::app::Audit;
use crate::error::Error;
use crate::host::Host;
use crate::request::{self, Call};
use crate::response::Response;
use crate::settings::Settings;
use crate::token::{self, Presented};
use crate::token_id::Kind;

const INTROSPECT: &str = "tokens:introspect";

/// RFC 7662, section 2.2, with the claims of RFC 9068.
#[derive(Serialize)]
struct Active<'a> {
    active: bool,
    token_type: &'static str,
    iss: &'a str,
    sub: &'a str,
    client_id: &'a str,
    aud: &'a str,
    scope: String,
    jti: &'a str,
    iat: u64,
    exp: u64,
    parent: &'a str,
}

#[derive(Serialize)]
struct Inactive {
    active: bool,
}

pub async fn introspect(
    settings: &Settings,
    host: &impl Host,
    call: &Call,
    caller: Presented,
    audit: &mut Audit,
) -> Result<Response, Error> {
    // 1
    caller.life(host).await?.check(call.now)?;
    // 2
    if !caller.scopes.allow(INTROSPECT) {
        return Err(Error::InsufficientScope { needed: INTROSPECT.to_owned(), by_bearer: true });
    }
    // 3
    let token = request::introspected_token(call)?;
    // 4
    let active = match live(settings, host, &token, call.now).await {
        Ok(presented) => presented,
        Err(Error::InvalidToken(_)) => return Ok(Response::json(200, &Inactive { active: false })),
        Err(error) => return Err(error),
    };
    audit.token_id = Some(active.id.clone());
    Ok(Response::json(
        200,
        &Active {
            active: true,
            token_type: "Bearer",
            iss: &settings.issuer,
            sub: &active.client_id,
            client_id: &active.client_id,
            aud: active.audience.as_deref().unwrap_or_default(),
            scope: active.scopes.to_string(),
            jti: &active.id,
            iat: active.issued_at,
            exp: active.expires_at,
            parent: active.parent.as_deref().unwrap_or_default(),
        },
    ))
}

async fn live(settings: &Settings, host: &impl Host, token: &str, now: u64) -> Result<Presented, Error> {
    let presented = token::authenticate(settings, host, token, &[Kind::Short], now).await?;
    presented.life(host).await?.check(now)?;
    Ok(presented)
}
