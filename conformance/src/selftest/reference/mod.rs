//! A small token service, written from the contract alone: the harness is tested against it.
//!
//! All state is in memory, and the time comes from the run's clock. `on("…")` asks whether this copy is the mutant with
//! that name: each mutant is this service with one fault. Each operation is a file, called from `route.rs`.

mod answer;
mod auth_time;
mod bearer;
mod body;
mod bounds;
mod credentials;
mod feed;
mod forgeries;
mod gossip;
mod introspect;
mod limits;
pub mod long;
pub mod message;
mod operators;
mod published;
mod revoke;
mod route;
mod scopes;
mod short;
pub mod state;
mod tokens;
