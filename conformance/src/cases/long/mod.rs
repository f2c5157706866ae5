//! POST /auth/tokens/long.

pub mod assertion;
pub mod body;
pub mod claims;
pub mod forged;
pub mod otp;
pub mod rotation;
pub mod scopes;
pub mod secret;
pub mod token;
