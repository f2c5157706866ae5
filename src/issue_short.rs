//! `POST {base}/auth/tokens/short`: exchange a long-term token for a short-term one.
//!
//! 1. The token's signature, kind, issuer and end, with no look-up → 401 (in `app`, before the body is read, if the token is
//!    in the header)
//! 2. The body's shape, once storage says that the token lives (a dead token is 401 whatever the body holds) → 400
//! 3. The rate limit of that token → 429
//! 4. Revocation and the client's state, read at the same time → 401
//! 5. The scopes asked for → 400 `invalid_scope`
//! 6. A new token → 201

use crate::app::Audit;
use crate::error::{Error, TokenFault};
use crate::host::{Host, Limit};
use crate::request::{Call, ShortTokenRequest};
use crate::response::Response;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::token::{self, Presented};
use crate::token_id::Kind;

pub async fn issue_short(
    settings: &Settings,
    host: &impl Host,
    call: &Call,
    caller: Option<Presented>,
    audit: &mut Audit,
) -> Result<Response, Error> {
    let request = ShortTokenRequest::parse(call);
    // 1
    let in_body = request.long_token.as_ref().map(Secret::expose_text);
    let sent = match call.authorization.as_deref() {
        Some(header) => token::bearer(Some(header))?,
        None => in_body.ok_or(TokenFault::Missing)?,
    };
    let long = match caller {
        Some(caller) => caller,
        None => {
            let long = token::authenticate(settings, host, sent, &[Kind::Long], call.now).await?;
            audit.presented(&long);
            long
        }
    };
    // 2
    let asked = match request.scopes {
        Ok(_) if in_body.is_some_and(|token| token != sent) => {
            let differ = "long_token and the Authorization header carry different tokens; send one.";
            Err(Error::field("long_token", differ))
        }
        scopes => scopes,
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(error) => {
            long.life(host).await?.check(call.now)?;
            return Err(error);
        }
    };
    // 3
    if !host.within(Limit::Short, &long.id).await? {
        return Err(Error::RateLimited { retry_after: settings.rate_limit_period });
    }
    // 4
    let life = long.life(host).await?;
    life.check(call.now)?;
    // 5
    let scopes = asked.unwrap_or_else(|| long.scopes.clone());
    if let Some(scope) = long.scopes.first_uncovered(&scopes) {
        return Err(Error::InvalidScope { message: format!("The long-term token does not cover the scope {scope}.") });
    }
    // 6
    let latest_end = life.end.map_or(long.expires_at, |end| end.min(long.expires_at));
    let minted = token::mint_short(settings, host, &long, &scopes, latest_end, call.now, host.random()?).await?;
    let response = Response::json(201, &minted);
    audit.token_id = Some(minted.token_id);
    Ok(response)
}
