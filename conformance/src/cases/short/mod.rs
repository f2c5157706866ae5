//! POST /auth/tokens/short.

pub mod bearer;
pub mod body;
pub mod scopes;
pub mod token;
