//! POST /auth/tokens/{tokenId}/revoke.

pub mod bearer;
pub mod ends;
pub mod ids;
