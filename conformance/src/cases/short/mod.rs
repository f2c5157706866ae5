//! POST /auth/tokens/short.

pub mod bearer;
pub mod body;
pub mod forged;
pub mod inside;
pub mod scopes;
pub mod token;
