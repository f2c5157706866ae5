//! An API with two routes, each behind a scope of its own. With auth-edge running (`make run` shows how to get a
//! long-term token from it):
//!
//! ```sh
//! ISSUER=http://127.0.0.1:8787 cargo run -p auth-edge-verify --example axum
//!
//! short=$(curl -sX POST -H "Authorization: Bearer $LONG_TERM_TOKEN" http://127.0.0.1:8787/v1/auth/tokens/short |
//!     sed 's/.*"access_token":"\([^"]*\)".*/\1/')
//! curl -i -X POST -H "Authorization: Bearer $short" http://127.0.0.1:3000/jobs      # needs jobs:submit
//! curl -i -H "Authorization: Bearer $short" http://127.0.0.1:3000/templates         # needs templates:read
//! curl -i http://127.0.0.1:3000/templates                                           # 401
//! ```
//!
//! `AUDIENCE` is the issuer unless it is set. With `INTROSPECTION_TOKEN`, a token that holds `tokens:introspect`, a
//! revoked token is refused within 30 seconds of the issuer knowing. For an issuer with https, give reqwest a TLS
//! feature.

use std::env;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth_edge_verify::{AccessToken, Error, Introspection, KeySet, Verifier, bearer, max_age};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, serve};
use reqwest::Client;
use tokio::net::TcpListener;

async fn submit_job(Caller(caller): Caller) -> Result<String, Refusal> {
    caller.require_scope("jobs:submit")?;
    Ok(format!("A job for {}.\n", caller.client_id))
}

async fn list_templates(Caller(caller): Caller) -> Result<String, Refusal> {
    caller.require_scope("templates:read")?;
    Ok(format!("The templates of {}.\n", caller.client_id))
}

/// Whoever sent a good token.
struct Caller(AccessToken);

struct Refusal(Error);

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Refusal> {
        let token = bearer(parts.headers.get(header::AUTHORIZATION))?;
        let now = now();
        if api.verifier.needs_refresh(token, now)
            && let Err(problem) = api.fetch_keys(now).await
        {
            eprintln!("The keys were not fetched: {problem}");
        }
        let caller = match &api.introspection_token {
            None => api.verifier.verify(token, now)?,
            Some(own) => api.answers.verify(&api.verifier, token, now, |form| api.introspect(own, form)).await?,
        };
        Ok(Self(caller))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::UNAUTHORIZED);
        (status, [error.header()], format!("{error}\n")).into_response()
    }
}

struct Api {
    verifier: Verifier,
    answers: Introspection,
    introspection_uri: String,
    introspection_token: Option<String>,
    client: Client,
}

impl Api {
    async fn fetch_keys(&self, now: u64) -> Result<(), Box<dyn StdError + Send + Sync>> {
        let response = self.client.get(self.verifier.jwks_uri()).send().await?.error_for_status()?;
        let cache_control = response.headers().get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
        let max_age = max_age(cache_control);
        self.verifier.refresh(KeySet::parse(response.bytes().await?)?, max_age, now);
        Ok(())
    }

    async fn introspect(&self, own: &str, form: String) -> reqwest::Result<String> {
        let request = self.client.post(&self.introspection_uri).bearer_auth(own);
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        request.send().await?.error_for_status()?.text().await
    }
}

#[expect(clippy::disallowed_methods, reason = "here the clock is read, once per request")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError + Send + Sync>> {
    let issuer = env::var("ISSUER").unwrap_or_else(|_| "http://127.0.0.1:8787".to_owned());
    let audience = env::var("AUDIENCE").unwrap_or_else(|_| issuer.clone());
    let api = Arc::new(Api {
        introspection_uri: format!("{issuer}/v1/auth/tokens/introspect"),
        introspection_token: env::var("INTROSPECTION_TOKEN").ok(),
        verifier: Verifier::new(issuer, audience),
        answers: Introspection::new(30, 10_000),
        client: Client::builder().timeout(Duration::from_secs(5)).build()?,
    });
    let routes =
        Router::new().route("/jobs", post(submit_job)).route("/templates", get(list_templates)).with_state(api);
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}", listener.local_addr()?);
    Ok(serve(listener, routes).await?)
}
