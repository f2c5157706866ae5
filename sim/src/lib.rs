//! Simulates the service while everything fails that can fail. A checker that knows only the contract checks the
//! history.
//!
//! ```text
//! plan       what happens, determined by a seed: calls, failures, crashes, clocks
//!   sim      a run of the plan, until everything is idle
//!     actors     clients, thieves, operators and APIs, as they see the service
//!     isolate    `auth_edge::app` at each location           ┐
//!     objects    `auth_edge`'s objects, which die and restart │ the real code, unchanged
//!     kv         Workers KV with its lag                      ┘
//!     world      time and tasks
//!   history  what happened
//! checker    checks the history against the contract
//! shrink     the smallest plan that still breaks the promise
//! mutants    faults injected into the code, each of which must be found
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
