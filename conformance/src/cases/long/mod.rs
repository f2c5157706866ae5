//! POST /auth/tokens/long.

pub mod alike;
pub mod assertion;
pub mod body;
pub mod claims;
pub mod forged;
pub mod headers;
pub mod lock;
pub mod margins;
pub mod otp;
pub mod rotation;
pub mod rules;
pub mod scopes;
pub mod secret;
pub mod token;
