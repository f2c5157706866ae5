//! `GET /healthz`: ready, if both KV namespaces and a Durable Object answer. That the settings parse is known by then.

use futures_util::future::try_join;
use serde::Serialize;

use crate::error::Error;
use crate::host::Host;
use crate::once::Ask;
use crate::response::Response;

/// A key and a name that no client and no token has.
const NOBODY: &str = "healthz";

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

pub async fn health(host: &impl Host) -> Result<Response, Error> {
    try_join(host.life(NOBODY, NOBODY, None), host.once(NOBODY, &Ask::Probe)).await?;
    Ok(Response::json(200, &Health { status: "ready" }))
}
