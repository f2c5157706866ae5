//! POST /auth/tokens/introspect: whether a short-term token is active (RFC 7662).

pub mod answers;
pub mod callers;
pub mod form;
