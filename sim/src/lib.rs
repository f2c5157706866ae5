//! The service in a world where everything that can go wrong does, and a checker that knows only the contract.
//!
//! ```text
//! plan       what a seed makes happen: calls, failures, crashes, clocks
//!   sim      a run of it, from a start to rest
//!     actors     clients, thieves, operators and APIs, as they see the service
//!     isolate    `auth_edge::app` at each location           ┐
//!     objects    `auth_edge`'s objects, which die and wake    │ the real code, unchanged
//!     kv         Workers KV with its lag                      ┘
//!     world      time and tasks
//!   history  what happened
//! checker    what is promised, held against the history
//! shrink     the least that still breaks a promise
//! mutants    faults put into the code on purpose, each of which must be found
//! ```
//!
//! A run depends on its plan alone: no clock of the machine, no thread, no socket.

mod actors;
mod chance;
pub mod checker;
pub mod history;
mod isolate;
mod kv;
pub mod mutants;
mod objects;
pub mod plan;
pub mod shrink;
pub mod sim;
mod world;
