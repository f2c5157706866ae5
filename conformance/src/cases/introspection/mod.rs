//! POST /auth/tokens/introspect: whether a short-term token counts (RFC 7662).

pub mod answers;
pub mod callers;
pub mod form;
