//! A token service for Cloudflare's edge. The way of a request:
//!
//! ```text
//! edge      reads the request, the clock, randomness; holds the bindings; runs the clients' objects
//!   app       (method, path) → one operation
//!     operations   one file each, with all of its numbered steps, top to bottom
//!       request, json, value, scope, token, token_id, keys   what is asked, made and checked
//!       client         a client: its record, its object (the truth), its replica in KV (for exchanges)
//!       feed           what has ended, for APIs that verify offline: its object, an isolate's copy
//!       host           what all this asks of the world
//!   audit     the line that each call leaves
//!   error, response   the way out: one place for status, code and headers
//! ```
//!
//! Only `edge` knows the runtime. Everything else is a function of its arguments: the time comes in with the
//! call, storage and randomness through `host::Host`, and what an object stands on through `client::object::Ground`.

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
