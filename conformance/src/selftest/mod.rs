//! The harness against a server of its own, and against copies of that server with one fault each.

mod lab;
mod people;
mod prove;
mod reference;
mod wire;

pub use lab::{rehearse, serve};
pub use prove::run;
