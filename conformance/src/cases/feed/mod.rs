//! GET /.well-known/revocations: the revocation feed, for APIs that verify tokens offline.

pub mod clients;
pub mod deltas;
pub mod news;
pub mod private;
pub mod served;
pub mod standing;
pub mod tokens;
