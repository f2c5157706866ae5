//! One file per operation, or per group of them, each with all of its numbered steps.

pub mod discovery;
pub mod health;
pub mod introspect;
pub mod issue_long;
pub mod issue_short;
pub mod operators;
pub mod revocations;
pub mod revoke;

use crate::client::ask::Ask;
use crate::client::replica::ask;
use crate::error::Error;
use crate::host::Host;
use crate::token::Presented;

/// Whether a caller's token lives and holds a scope, with its client's scopes of now.
async fn authorize(host: &impl Host, caller: &Presented, scope: &'static str, now: u64) -> Result<(), Error> {
    caller.check_end(now)?;
    let standing = ask(host, &caller.client_id, &Ask::Standing(caller.clone())).await?.standing()?;
    let is_held = caller.scopes.bounded_by(&standing.scopes).allow(scope);
    if is_held { Ok(()) } else { Err(Error::CallerScope { needed: scope.into() }) }
}
