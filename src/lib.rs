//! A token service for Cloudflare Workers. A request passes through these modules:
//!
//! ```text
//! edge      reads the request, the clock and randomness; holds the bindings; runs the Durable Objects
//!   app       (method, path) → one operation
//!     operations   one file each, with all of its numbered steps, top to bottom
//!       request, json, value, scope, token, token_id, keys   parse requests, make and check tokens
//!       client         a client: its record, its Durable Object (authoritative), its replica in KV (for exchanges)
//!       feed           the revocation feed, for APIs that verify offline: its object, each isolate's copy
//!       host           the trait through which operations reach storage, randomness and rate limits
//!   audit     the log line of each call
//!   error, response   the response: one place that sets status, code and headers
//! ```
//!
//! Only `edge` names the runtime. Everything else depends on its arguments alone: the time comes in with each call,
//! storage and randomness through `host::Host` (for operations) and `client::ground::Ground` (for a client's object).

pub mod app;
pub mod assertion;
pub mod audit;
pub mod client;
#[cfg(target_arch = "wasm32")]
pub mod edge;
pub mod error;
pub mod feed;
#[cfg(test)]
mod fuzz;
pub mod host;
pub mod json;
pub mod keys;
pub mod operations;
pub mod otp;
pub mod request;
pub mod response;
pub mod rows;
pub mod scope;
pub mod secret;
pub mod settings;
pub mod token;
pub mod token_id;
pub mod value;
