//! For APIs that receive auth-edge's short-term tokens: are they genuine, for this API, in time, and do they hold the
//! scope? All of that offline, with the issuer's public keys (RFC 9068, section 4). And, for those who must know within
//! seconds that a token was revoked, [`Introspection`] (RFC 7662).
//!
//! ```
//! use auth_edge_verify::{KeySet, Verifier, bearer, max_age};
//!
//! # let jwks = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"2026-11",
//! #     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
//! # let token = "\
//! #     eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjIwMjYtMTEifQ.\
//! #     eyJpc3MiOiJodHRwczovL2F1dGguZXhhbXBsZSIsInN1YiI6ImFsaWNlIiwiY2xpZW50X2lkIjoiYWxpY2UiLCJhdWQiOiJodHRw\
//! #     czovL2FwaS5leGFtcGxlIiwiaWF0IjoxODAwMDAwMDAwLCJleHAiOjE4MDAwMDA5MDAsImp0aSI6InRva19zdF8xIiwic2NvcGUi\
//! #     OiJqb2JzOioiLCJwYXJlbnQiOiJ0b2tfbHRfMSJ9.\
//! #     -EaOYvIL5OjRC7U5joAOcMs5i8XFYutklL73hls73Ig_ydQ6tqcBS17XHxaCPimFWEtIn2VuivhPn6864P30CQ";
//! # let (cache_control, authorization, now) = (Some("max-age=300"), format!("Bearer {token}"), 1_800_000_000);
//! // Once, at the start. The issuer and the audience are written as the tokens write them.
//! let verifier = Verifier::new("https://auth.example", "https://api.example");
//!
//! // For each request: its token, and fresh keys if it is time. `jwks` and `cache_control` are what a GET of
//! // `verifier.jwks_uri()` answered.
//! let token = bearer(Some(&authorization))?;
//! if verifier.needs_refresh(token, now) {
//!     verifier.refresh(KeySet::parse(jwks)?, max_age(cache_control), now);
//! }
//! let caller = verifier.verify(token, now)?;
//! caller.require_scope("jobs:submit")?;
//! assert_eq!(caller.client_id, "alice");
//!
//! // A refusal knows its answer (RFC 6750, section 3).
//! let refusal = caller.require_scope("templates:read").unwrap_err();
//! assert_eq!(refusal.status(), 403);
//! assert_eq!(refusal.header().0, "WWW-Authenticate");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! There is no runtime in here: time is an argument (Unix seconds), and requests are yours to send. So it works in a
//! native server and in another Worker alike; `examples/` has one of each.
//!
//! The way of a token:
//!
//! ```text
//! request         the header field that it comes in
//!   verifier      keys that are fresh, and then each check in turn
//!     jws         form, kind, algorithm, key id (json: no name twice)
//!     key_set     the key, and the signature
//!     token       the claims; scope, once somebody asks
//! introspection   the issuer's word, remembered
//! error           the way out: status, code, header
//! ```
//!
//! What it costs at most, whatever arrives: nothing is read of a token over [`MAX_TOKEN_LENGTH`], claims are parsed only
//! under a good signature, and memory between requests is the key set and the bounded answers of [`Introspection`].

mod error;
mod feed;
#[cfg(feature = "follow")]
mod follow;
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
compile_error!("the features `follow`, `tower` and `axum` are for native targets: in a Worker, ask `Verifier::due`");
