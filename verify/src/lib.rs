//! Verifies auth-edge's short-term tokens, for the APIs that receive them: signature, issuer, audience, times,
//! revocation and scope. A token is checked offline (RFC 9068, section 4), with the issuer's public keys and its signed
//! revocation feed, so a revoked token is refused within seconds.
//!
//! With the feature `axum`:
//!
#![cfg_attr(feature = "axum", doc = "```")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let jobs = format!("http://{}/jobs", listener.local_addr()?);
//! # let serve = async {
//! use auth_edge_verify::{AccessToken, Verifier};
//! use axum::{Router, routing::post};
//!
//! let verifier = Verifier::new("https://auth.example", "https://api.example").follow().start()?;
//! let submit_job = post(async |caller: AccessToken| format!("A job for {}.", caller.client_id));
//! let api = Router::new().route("/jobs", submit_job.layer(verifier.require_scope("jobs:submit")));
//! axum::serve(listener, api).await?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # };
//! # let call = async {
//! #     let answer = reqwest::Client::new().post(jobs).send().await?;
//! #     assert_eq!(answer.status(), 401);
//! #     assert_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"api\"");
//! #     Ok(())
//! # };
//! # tokio::select! { biased; served = serve => served, called = call => called }
//! # }
//! ```
//!
//! `Verifier::follow` builds a background task that keeps the keys and the feed up to date, and `start` starts it.
//! `RequireScope` lets a request in, or answers 401, 403 or 503 with the right header. The features build on each
//! other: `follow` is the task (Tokio, reqwest), `tower` adds the layer, `axum` the extractor.
//!
//! # Without a runtime
//!
//! No feature is on by default. Without them there is no runtime in this crate: the time is an argument (Unix seconds),
//! and you send the requests. That is for Workers, and for servers with another async runtime.
//!
//! ```
//! use auth_edge_verify::{Due, KeySet, Verifier, bearer, max_age};
//!
//! # let jwks = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"2026-11",
//! #     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
//! # let token = "\
//! #     eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjIwMjYtMTEifQ.\
//! #     eyJpc3MiOiJodHRwczovL2F1dGguZXhhbXBsZSIsInN1YiI6ImFsaWNlIiwiY2xpZW50X2lkIjoiYWxpY2UiLCJhdWQiOiJodHRw\
//! #     czovL2FwaS5leGFtcGxlIiwiaWF0IjoxODAwMDAwMDAwLCJleHAiOjE4MDAwMDA5MDAsImp0aSI6InRva19zdF8xIiwic2NvcGUi\
//! #     OiJqb2JzOioiLCJwYXJlbnQiOiJ0b2tfbHRfMSJ9.\
//! #     -EaOYvIL5OjRC7U5joAOcMs5i8XFYutklL73hls73Ig_ydQ6tqcBS17XHxaCPimFWEtIn2VuivhPn6864P30CQ";
//! # let feed = "\
//! #     eyJhbGciOiJFZERTQSIsInR5cCI6InJldm9jYXRpb25zK2p3dCIsImtpZCI6IjIwMjYtMTEifQ.\
//! #     eyJpc3MiOiJodHRwczovL2F1dGguZXhhbXBsZSIsImlhdCI6MTgwMDAwMDAwMCwiZXhwIjoxODAwMDAwMzAwLCJzZXEiOjEsImVuZGVk\
//! #     Ijp7InRva2VuIjp7fSwicGFyZW50Ijp7fSwiY2xpZW50Ijp7fX19.\
//! #     qX0QLW8Usfkvr7WdDtLqUS7DOpHFW0hxYiESHdJGgIdEDqx7JO5o_E-VRUGxZD2Dmzm9b8tlQd0eQQmHaatTDQ";
//! # let (cache_control, etag) = (Some("max-age=300"), Some("\"1\""));
//! # let (authorization, now) = (format!("Bearer {token}"), 1_800_000_000);
//! // Once, at startup. Issuer and audience must be exactly as in the tokens.
//! let verifier = Verifier::new("https://auth.example", "https://api.example");
//!
//! // For each request: fetch what is due, then verify the token. `jwks`, `cache_control`, `feed` and `etag` come from
//! // the responses.
//! let token = bearer(Some(&authorization))?;
//! loop {
//!     match verifier.due(token, now) {
//!         Due::Keys => verifier.take_keys(KeySet::parse(jwks)?, max_age(cache_control), now),
//!         Due::Feed(request) => verifier.take_feed(feed, etag, now)?,
//!         _ => break,
//!     }
//! }
//! let caller = verifier.verify(token, now)?;
//! caller.require_scope("jobs:submit")?;
//! assert_eq!(caller.client_id, "alice");
//!
//! // An error has the status and header of its response (RFC 6750, section 3).
//! let refusal = caller.require_scope("templates:read").unwrap_err();
//! assert_eq!(refusal.status(), 403);
//! assert_eq!(refusal.header().0, "WWW-Authenticate");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/` has a server and a Worker. For an issuer whose feed is off, [`Introspection`] asks it about each token
//! (RFC 7662).
//!
//! # How a token passes through the modules
//!
//! ```text
//! layer           receives a request (axum, tower)
//!   follow        the background task that fetches keys and feed
//!   request       takes the token from its header
//!   verifier      says which of keys and feed are due (schedule), then checks the token
//!     jws         format, `typ`, `alg`, `kid` (json: no repeated names)
//!     key_set     the key, and the signature
//!     token       the claims, and scopes
//!     feed        whether it was revoked
//! introspection   the issuer's answers, cached
//! error           status, code and header of a refusal
//! ```
//!
//! # Limits
//!
//! A token longer than [`MAX_TOKEN_LENGTH`], a key set longer than [`MAX_KEY_SET_LENGTH`] or a feed longer than
//! [`MAX_FEED_LENGTH`] is not parsed, and claims are parsed only after the signature has been checked. Memory between
//! requests is the key set, at most 250,000 entries of the feed (16 MB), and the bounded cache of [`Introspection`].
//! However many requests arrive, fetches are no more frequent than the intervals of [`Verifier`].

mod error;
mod feed;
#[cfg(feature = "follow")]
mod follow;
#[cfg(test)]
mod fuzz;
mod introspection;
mod json;
mod jws;
mod key_set;
#[cfg(feature = "tower")]
mod layer;
mod request;
mod schedule;
mod scope;
mod token;
mod verifier;

pub use error::Error;
pub use feed::{FeedError, FeedRequest, MAX_FEED_LENGTH, WhenStale};
#[cfg(feature = "follow")]
pub use follow::{Follow, Follower, Problem, Report};
pub use introspection::Introspection;
pub use jws::MAX_TOKEN_LENGTH;
pub use key_set::{KeySet, KeySetError, MAX_KEY_SET_LENGTH};
#[cfg(feature = "tower")]
pub use layer::{RequireScope, RequireScopeService};
pub use request::{bearer, max_age};
pub use token::AccessToken;
pub use verifier::{Due, Verifier};

#[cfg(all(feature = "follow", target_arch = "wasm32"))]
compile_error!("the features `follow`, `tower` and `axum` are for native targets: in a Worker, use `Verifier::due`");
