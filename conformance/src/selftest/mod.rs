//! Tests the harness against its own reference server, and against mutants: copies of that server with one fault each.

mod lab;
mod people;
mod prove;
mod reference;
mod wire;

pub use lab::{against_reference, rehearse, serve};
pub use people::ids;
pub use prove::run;
