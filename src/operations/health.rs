//! `GET /healthz`: ready if KV and a Durable Object answer. (Settings that don't parse are answered 500 before this.)

use serde::Serialize;

use crate::client::ask::Ask;
use crate::error::Error;
use crate::host::Host;
use crate::response::Response;

/// An id that no client can have, but that KV accepts as a key.
const NOBODY: &str = "/healthz";

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

pub async fn health(host: &impl Host) -> Result<Response, Error> {
    host.replica(NOBODY).await?;
    host.ask_object(NOBODY, None, &Ask::Probe).await?;
    Ok(Response::json(200, &Health { status: "ready" }))
}
