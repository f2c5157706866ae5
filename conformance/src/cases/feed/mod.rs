//! GET /.well-known/revocations: the feed of ends, for APIs that verify offline.

pub mod clients;
pub mod news;
pub mod private;
pub mod served;
pub mod tokens;
