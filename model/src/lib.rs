//! A model.
pub mod feed;
pub mod mutant;
pub mod object;
pub mod properties;
pub mod protocol;
pub mod scope;
pub mod world;
