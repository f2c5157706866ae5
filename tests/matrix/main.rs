//! The status matrix: every cell, every code and every mechanism, through `app`. The environment is in memory. Its
//! services can fail, lag and lose answers, and their calls can run in any order.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod anything;
mod architecture;
mod attacks;
mod calls;
mod cells;
mod consistency;
mod documents;
mod faults;
mod feed;
mod host;
mod introspect;
mod keys;
mod long;
mod operators;
mod order;
mod publication;
mod revoke;
mod rfc;
mod service;
mod short;
mod sign;
mod tokens;
mod unknown;
#[path = "../vectors/mod.rs"]
mod vectors;
