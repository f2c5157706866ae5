//! An API with two routes, each of which requires a scope. It learns of a revocation within seconds. With auth-edge
//! running (`make run` prints how to get a long-term token from it):
//!
//! ```sh
//! ISSUER=http://127.0.0.1:8787 cargo run -p auth-edge-verify --features axum --example axum
//!
//! short=$(curl -sX POST -H "Authorization: Bearer $LONG_TERM_TOKEN" http://127.0.0.1:8787/v1/auth/tokens/short |
//!     sed 's/.*"access_token":"\([^"]*\)".*/\1/')
//! curl -i -X POST -H "Authorization: Bearer $short" http://127.0.0.1:3000/jobs      # needs jobs:submit
//! curl -i -H "Authorization: Bearer $short" http://127.0.0.1:3000/templates         # needs templates:read
//! curl -i http://127.0.0.1:3000/templates                                           # 401
//! ```
//!
//! Defaults: `AUDIENCE` is the issuer, `LISTEN` 127.0.0.1:3000, `POLL_INTERVAL` 5 (seconds). `INTROSPECTION_TOKEN`, a
//! token with `tokens:introspect`, is for a private feed.

use std::env;
use std::error::Error;

use auth_edge_verify::{AccessToken, Verifier};
use axum::routing::{get, post};
use axum::{Router, serve};
use tokio::net::TcpListener;

async fn submit_job(caller: AccessToken) -> String {
    format!("A job for {}.\n", caller.client_id)
}

async fn list_templates(caller: AccessToken) -> String {
    format!("The templates of {}.\n", caller.client_id)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let issuer = setting("ISSUER", "http://127.0.0.1:8787");
    let audience = setting("AUDIENCE", &issuer);
    let poll_interval = setting("POLL_INTERVAL", "5").parse()?;

    let verifier = Verifier::new(issuer, audience).poll_interval(poll_interval);
    let mut follow = verifier.follow().report(|report| eprintln!("{report}"));
    if let Ok(token) = env::var("INTROSPECTION_TOKEN") {
        follow = follow.bearer(move || token.clone());
    }
    let verifier = follow.start()?;

    let api = Router::new()
        .route("/jobs", post(submit_job).layer(verifier.require_scope("jobs:submit")))
        .route("/templates", get(list_templates).layer(verifier.require_scope("templates:read")));
    let listener = TcpListener::bind(setting("LISTEN", "127.0.0.1:3000")).await?;
    println!("http://{}", listener.local_addr()?);
    Ok(serve(listener, api).await?)
}
