//! POST /auth/tokens/{tokenId}/revoke.

pub mod bearer;
pub mod ends;
pub mod forged;
pub mod ids;
pub mod rights;
