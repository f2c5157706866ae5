//! The runtime: all code that names it. It holds no rule.
//!
//! In the WASM tests, which run in Node, where `cloudflare:` modules do not exist, only `webcrypto` is there.

#[cfg(feature = "edge")]
mod bindings;
#[cfg(feature = "edge")]
mod body;
#[cfg(feature = "edge")]
mod entry;
#[cfg(feature = "edge")]
mod object;
pub mod webcrypto;
