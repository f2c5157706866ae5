//! `POST {base}/auth/tokens/introspect`: whether a short-term token is live (RFC 7662), for the APIs that receive it.
//!
//! 1. The caller's token: signature, issuer, expiry, not revoked → 401
//! 2. Its scope `tokens:introspect`, whichever client it belongs to → 401 `insufficient_scope`
//! 3. The form: one `token` → 400
//! 4. The token: inactive if anything is wrong with it → 200
//!
//! A long-term token is always inactive: only this service may accept one.

use serde::Serialize;

use crate::audit::Audit;
use crate::client::ask::{Ask, Standing};
use crate::client::replica::ask;
use crate::error::Error;
use crate::host::Host;
use crate::request::{Body, Call};
use crate::response::Response;
use crate::settings::Settings;
use crate::token::{self, Presented};
use crate::token_id::Kind;

const INTROSPECT: &str = "tokens:introspect";

/// RFC 7662, section 2.2.
#[derive(Serialize)]
struct Active<'a> {
    active: bool,
    iss: &'a str,
    sub: &'a str,
    client_id: &'a str,
    aud: &'a str,
    scope: String,
    exp: u64,
    iat: u64,
    jti: &'a str,
    token_type: &'static str,
}

#[derive(Serialize)]
struct Inactive {
    active: bool,
}

pub async fn introspect(
    settings: &Settings,
    host: &impl Host,
    mut call: Call,
    read: impl AsyncFnOnce() -> (Body, u64),
    audit: &mut Audit,
) -> Result<Response, Error> {
    // 1 and 2
    let caller = token::caller(settings, host, &call, &[Kind::Long, Kind::Short]).await?;
    audit.presented(&caller);
    call.receive(read).await;
    super::authorize(host, &caller, INTROSPECT, call.now).await?;
    // 3
    let token = call.form_field("token")?;
    // 4
    let (active, standing) = match live(settings, host, &token, call.now).await {
        Ok(live) => live,
        Err(Error::InvalidToken(_)) => return Ok(Response::json(200, &Inactive { active: false })),
        Err(error) => return Err(error),
    };
    audit.token_id = Some(active.id.clone());
    Ok(Response::json(
        200,
        &Active {
            active: true,
            iss: &settings.issuer,
            sub: &active.client_id,
            client_id: &active.client_id,
            aud: active.audience.as_deref().unwrap_or_default(),
            scope: active.scopes.bounded_by(&standing.scopes).to_string(),
            exp: active.expires_at,
            iat: active.issued_at,
            jti: &active.id,
            token_type: "Bearer",
        },
    ))
}

async fn live(settings: &Settings, host: &impl Host, token: &str, now: u64) -> Result<(Presented, Standing), Error> {
    let presented = token::authenticate(settings, host, token, &[Kind::Short], now).await?;
    let standing = ask(host, &presented.client_id, &Ask::Standing(presented.clone())).await?.standing()?;
    Ok((presented, standing))
}
