//! One file per operation or group of operations. Its module doc numbers the steps with their statuses; its body
//! carries the same numbers.

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

/// Checks that the caller's token is live and holds a scope, bounded by its client's current scopes.
async fn authorize(host: &impl Host, caller: &Presented, scope: &'static str, now: u64) -> Result<(), Error> {
    caller.check_end(now)?;
    let standing = ask(host, &caller.client_id, &Ask::Standing(caller.clone())).await?.standing()?;
    let is_held = caller.scopes.bounded_by(&standing.scopes).allow(scope);
    if is_held { Ok(()) } else { Err(Error::CallerScope { needed: scope.into() }) }
}
