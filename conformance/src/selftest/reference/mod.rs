//! A small token service, written from the contract and from nothing else: what the harness is measured against.
//!
//! It keeps everything in memory and takes its time from the run's clock. `on("…")` asks whether this copy is the mutant
//! of that name: each mutant is this service with one fault. An operation is a file, entered from `route.rs`.

mod answer;
mod bearer;
mod body;
mod credentials;
mod feed;
mod limits;
mod long;
pub mod message;
mod operators;
mod published;
mod revoke;
mod route;
mod scopes;
mod short;
pub mod state;
mod tokens;
