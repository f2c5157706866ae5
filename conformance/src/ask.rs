//! What a row asks and what it waits for: a right request, what is changed in it, and the answer that is due.

use crate::identities::Role;

/// The right request that a row starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// POST /auth/tokens/long by client secret.
    Secret(Role),
    /// POST /auth/tokens/long by a freshly signed assertion.
    Assertion(Role),
    /// POST /auth/tokens/long with a short-term bearer that has `tokens:write`.
    Rotation(Role),
    /// POST /auth/tokens/short without a body.
    Exchange(Role),
    /// POST /auth/tokens/short with `{"scopes":["jobs:submit"]}`.
    ExchangeFor(Role),
    /// POST /auth/tokens/{tokenId}/revoke by a short-term token with `tokens:*`, on a spare long-term token.
    Revoke(Role),
}

/// One deviation. Texts may hold `${role.setting}`, `${role.long}`, `${role.short}`, `${now+60}` and the like: see
/// `trial/draft.rs`, which fills them in.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    Method(&'static str),
    Path(&'static str),
    Header(&'static str, &'static str),
    /// A header once more, as another line with the same value.
    Repeat(&'static str),
    /// A header once more, with this value.
    Beside(&'static str, &'static str),
    NoHeader(&'static str),
    /// A member of the body, as JSON text.
    Set(&'static str, &'static str),
    Unset(&'static str),
    /// The whole body as text, in place of what the base would send.
    Raw(&'static str),
    RawBytes(&'static [u8]),
    /// Put behind the finished body.
    Append(&'static str),
    /// `scopes` becomes this many different scopes under `jobs:*`.
    ManyScopes(usize),
    /// `scopes` becomes one scope under `jobs:*` of this many characters.
    LongScope(usize),
    /// Spaces after the first brace until the body has this many bytes.
    PadTo(usize),
    /// No `Content-Length`: sent in pieces.
    Chunked,
    /// A claim of the assertion, as JSON text.
    Claim(&'static str, &'static str),
    NoClaim(&'static str),
    /// A header parameter of the assertion, as JSON text.
    Jose(&'static str, &'static str),
    /// Signed with another client's key, under this client's `kid`.
    SignedBy(Role),
    /// No signature, and `alg` says `none`.
    AlgNone,
    /// One character of the signature changed.
    TamperedSignature,
    /// A claim changed after signing.
    TamperedClaims,
}

/// The answer that is due.
#[derive(Debug, Clone, Copy)]
pub struct Want {
    pub status: u16,
    /// Any of these codes; none where the body is no error.
    pub codes: &'static [&'static str],
    /// Where the contract can be read in two ways: the other lawful answers.
    pub or: &'static [(u16, &'static str)],
}

impl std::fmt::Display for Want {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.status)?;
        if !self.codes.is_empty() {
            write!(f, " {}", self.codes.join(" or "))?;
        }
        self.or.iter().try_for_each(|(status, code)| write!(f, ", or {status} {code}"))
    }
}

/// What else must hold of the answer.
#[derive(Debug, Clone, Copy)]
pub enum Also {
    /// `expires_in`, in seconds; two may have passed since it was computed.
    ExpiresIn(u64),
    LongDefault,
    /// The role's own maximum.
    LongCap(Role),
    ShortDefault,
    /// Exactly these, in this order.
    Scopes(&'static [&'static str]),
    /// At least one, and none beyond what the identity was provisioned with.
    ScopesWithin(Role),
    ManyScopes(usize),
    /// The field at fault is named in `message` or `details`.
    Names(&'static str),
    /// `message` says that a header was there more than once, in whichever words.
    SaysRepeated,
    AllowsPost,
    /// The `error` of the challenge (RFC 6750 section 3).
    Challenge(&'static str),
    TokenIdStarts(&'static str),
}

pub const GRANTED: Want = Want { status: 201, codes: &[], or: &[] };
pub const ENDED: Want = Want { status: 204, codes: &[], or: &[] };
pub const INVALID_REQUEST: Want = refused(400, &["invalid_request"]);
pub const INVALID_GRANT: Want = refused(400, &["invalid_grant"]);
pub const INVALID_SCOPE: Want = refused(400, &["invalid_scope"]);
pub const INVALID_CLIENT: Want = refused(401, &["invalid_client"]);
pub const INVALID_TOKEN: Want = refused(401, &["invalid_token"]);
pub const LACKS_SCOPE: Want = refused(401, &["insufficient_scope"]);
pub const BEYOND_SCOPE: Want = refused(403, &["insufficient_scope"]);
pub const UNAUTHORIZED: Want = refused(403, &["unauthorized_client"]);
pub const NOT_FOUND: Want = refused(404, &["not_found"]);
pub const RATE_LIMITED: Want = refused(429, &["rate_limited"]);

pub const fn refused(status: u16, codes: &'static [&'static str]) -> Want {
    Want { status, codes, or: &[] }
}

/// A status whose body is no error, or an error without a code of its own in the contract.
pub const fn plain(status: u16) -> Want {
    refused(status, &[])
}
