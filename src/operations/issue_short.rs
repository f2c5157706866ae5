//! `POST {base}/auth/tokens/short`: exchange a long-term token for a short-term one.
//!
//! 1. The long-term token: signature, kind, issuer, expiry → 401 (before the body is read, if the token is in the
//!    header)
//! 2. The body's shape → 400, but only if the token is live; otherwise 401, whatever the body holds
//! 3. The rate limit of that token → 429
//! 4. Revocation and the client's state: one read of KV, or one call of the client's object → 401
//! 5. The scopes: those requested, or all that both token and client hold → 400 `invalid_scope`
//! 6. The new token → 201

use crate::audit::Audit;
use crate::client::ask::Standing;
use crate::client::{Consistency, replica};
use crate::error::{Error, TokenFault};
use crate::host::{Host, Limit};
use crate::request::{Body, Call, ShortTokenRequest};
use crate::response::Response;
use crate::scope::Scopes;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::token::{self, Presented};
use crate::token_id::Kind;

pub async fn issue_short(
    settings: &Settings,
    host: &impl Host,
    mut call: Call,
    read: impl AsyncFnOnce() -> (Body, u64),
    audit: &mut Audit,
) -> Result<Response, Error> {
    // 1
    let in_header = match call.authorization {
        Some(_) => Some(token::caller(settings, host, &call, &[Kind::Long]).await?),
        None => None,
    };
    call.receive(read).await;
    let request = ShortTokenRequest::parse(&call);
    let in_body = request.long_token.as_ref().map(Secret::expose_text);
    let sent = match call.authorization.as_deref() {
        Some(header) => token::bearer(Some(header))?,
        None => in_body.ok_or(TokenFault::Missing)?,
    };
    let mut long = match in_header {
        Some(long) => long,
        None => token::authenticate(settings, host, sent, &[Kind::Long], call.now).await?,
    };
    if settings.is_first_operator(&long.client_id) {
        // KV may still hold a replica of another client that once had this id.
        long.consistency = Consistency::Immediate;
    }
    audit.presented(&long);
    // The token may have expired while the body was on its way.
    long.check_end(call.now)?;
    // 2
    let asked = match request.scopes {
        Ok(_) if in_body.is_some_and(|token| token != sent) => {
            let differ = "long_token and the Authorization header carry different tokens; send only one.";
            Err(Error::field("long_token", differ))
        }
        scopes => scopes,
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(error) => {
            replica::standing(host, &long, call.now).await?;
            return Err(error);
        }
    };
    // 3
    if !host.within(Limit::Short, &long.id).await? {
        return Err(Error::RateLimited { retry_after: settings.rate_limit_period });
    }
    // 4
    let Standing { now, scopes: held, end } = replica::standing(host, &long, call.now).await?;
    // 5
    let scopes = grant(&long, &held, asked)?;
    // 6
    let latest_end = end.map_or(long.expires_at, |end| end.min(long.expires_at));
    let minted = token::mint_short(settings, host, &long, &scopes, latest_end, now, host.random()?).await?;
    let response = Response::json(201, &minted);
    audit.token_id = Some(minted.token_id);
    Ok(response)
}

/// The scopes to grant: those that both the token and its client hold.
fn grant(long: &Presented, held: &Scopes, asked: Option<Scopes>) -> Result<Scopes, Error> {
    let refuse = |message| Err(Error::InvalidScope { message });
    let Some(asked) = asked else {
        let left = long.scopes.bounded_by(held).capped();
        return if left.is_empty() {
            refuse("The client no longer holds any scope of this token; ask an operator.".to_owned())
        } else {
            Ok(left)
        };
    };
    if let Some(scope) = long.scopes.first_uncovered(&asked) {
        return refuse(format!(
            "The long-term token does not cover the scope {scope}; leave it out, or get a long-term token with it."
        ));
    }
    match held.first_uncovered(&asked) {
        Some(scope) => {
            refuse(format!("The client no longer holds the scope {scope}; leave it out, or ask an operator."))
        }
        None => Ok(asked),
    }
}
