//! An API with two routes, each behind a scope of its own, that learns of a revocation within seconds. With auth-edge
//! running (`make run` shows how to get a long-term token from it):
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
//! `AUDIENCE` is the issuer unless it is set, `LISTEN` is 127.0.0.1:3000, and `POLL_INTERVAL`, seconds, is 5. With
//! `INTROSPECTION_TOKEN`, a token that holds `tokens:introspect`, it follows a feed that is private.

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
