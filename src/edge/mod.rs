//! The only code that names the runtime. It contains no rule.
//!
//! The WASM tests run in Node, which has no `cloudflare:` modules, so only `webcrypto` is compiled there.

#[cfg(feature = "edge")]
mod bindings;
#[cfg(feature = "edge")]
mod body;
#[cfg(feature = "edge")]
mod entry;
#[cfg(feature = "edge")]
mod object;
pub mod webcrypto;
