//! A token service for Cloudflare's edge. The way of a request:
//!
//! ```text
//! edge      reads the request, the clock, randomness; holds the bindings
//!   app       (method, path) → one operation
//!     issue_long    issue_short    revoke      numbered steps, top to bottom
//!     introspect    discovery      health      for the APIs, the readers and the operators around them
//!       request, scope, client, otp, assertion   what is asked, and by whom
//!       token, token_id, keys                    what is made and checked
//!       revocation, once                         what must not happen twice, or not any more
//!       host                                     what all this asks of the world
//!   error, response   the way out: one place for status, code and headers
//! ```
//!
//! Only `edge` knows the runtime. Everything else is a function of its arguments: the time comes in with the
//! call, storage and randomness through `host::Host`.

pub mod app;
pub mod assertion;
pub mod client;
pub mod discovery;
#[cfg(all(target_arch = "wasm32", feature = "edge"))]
mod edge;
pub mod error;
pub mod health;
pub mod host;
pub mod introspect;
pub mod issue_long;
pub mod issue_short;
pub mod keys;
pub mod once;
pub mod otp;
pub mod request;
pub mod response;
pub mod revocation;
pub mod revoke;
pub mod scope;
pub mod secret;
pub mod settings;
pub mod token;
pub mod token_id;
#[cfg(target_arch = "wasm32")]
pub mod webcrypto;
