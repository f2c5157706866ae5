//! What a row sends and expects: a valid request, what is changed in it, and the answer that is due.

use crate::identities::Role;

/// The valid request that a row starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// POST /auth/tokens/long with a client secret.
    Secret(Role),
    /// POST /auth/tokens/long with a freshly signed assertion.
    Assertion(Role),
    /// POST /auth/tokens/long with a short-term bearer that has `tokens:write`.
    Rotation(Role),
    /// POST /auth/tokens/short without a body.
    Exchange(Role),
    /// POST /auth/tokens/short with `{"scopes":["jobs:submit"]}`.
    ExchangeFor(Role),
    /// POST /auth/tokens/{tokenId}/revoke with a short-term token that has `tokens:*`, for a spare long-term token.
    Revoke(Role),
    /// POST /auth/tokens/introspect with the role's short-term token, for a short-term token of role `valid`.
    Introspect(Role),
    /// POST /clients by the operator, for a client of this case alone.
    CreateClient,
    /// GET /clients.
    ListClients,
    /// GET /clients/{id}, for a client that the cases of a run share. The two below use the same client.
    GetClient,
    /// PATCH /clients/{id} with a `client_name`.
    UpdateClient,
    /// DELETE /clients/{id}/secrets/{secret_id}, with an end in 90 days.
    EndClientSecret,
}

/// One change to the valid request. `trial/draft.rs` fills in variables such as `${role.setting}`, `${role.long}` and
/// `${now+60}` in its texts.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    Method(&'static str),
    Path(&'static str),
    Header(&'static str, &'static str),
    /// Repeats a header, as another line with the same value.
    Repeat(&'static str),
    /// Adds another line of a header, with this value.
    Beside(&'static str, &'static str),
    NoHeader(&'static str),
    /// A member of the body, as JSON text.
    Set(&'static str, &'static str),
    Unset(&'static str),
    /// The whole body as text, in place of what the base would send.
    Raw(&'static str),
    RawBytes(&'static [u8]),
    /// Appended to the finished body.
    Append(&'static str),
    /// Sets `scopes` to this many different scopes that `jobs:*` covers.
    ManyScopes(usize),
    /// Sets `scopes` to one scope of this many characters that `jobs:*` covers.
    LongScope(usize),
    /// Inserts spaces after the first brace until the body has this many bytes.
    PadTo(usize),
    /// Sends the body chunked, without `Content-Length`.
    Chunked,
    /// A claim of the assertion, as JSON text.
    Claim(&'static str, &'static str),
    NoClaim(&'static str),
    /// A header parameter of the assertion, as JSON text.
    Jose(&'static str, &'static str),
    NoJose(&'static str),
    /// Signed with another client's key, under this client's `kid`.
    SignedBy(Role),
    /// No signature, and `alg` says `none`.
    AlgNone,
    /// One character of the signature is changed.
    TamperedSignature,
    /// A claim is changed after signing.
    TamperedClaims,
}

/// The answer that is due.
#[derive(Debug, Clone, Copy)]
pub struct Want {
    pub status: u16,
    /// Any of these codes; empty if the body is not an error.
    pub codes: &'static [&'static str],
    /// Other answers that conform, where the contract can be read in more than one way.
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

/// What else is checked in the answer.
#[derive(Debug, Clone, Copy)]
pub enum Also {
    /// `expires_in`, in seconds. It may be up to two less, for the time that has passed.
    ExpiresIn(u64),
    LongDefault,
    /// `expires_in` is the role's own maximum.
    LongCap(Role),
    ShortDefault,
    /// `scopes` has exactly these, in this order.
    Scopes(&'static [&'static str]),
    /// `scopes` has at least one, and none that the identity does not have.
    ScopesWithin(Role),
    ManyScopes(usize),
    /// `message` or `details` names this field.
    Names(&'static str),
    /// `message` says, in any words, that a header was sent more than once.
    SaysRepeated,
    AllowsPost,
    /// The `error` of the challenge (RFC 6750 section 3).
    Challenge(&'static str),
    TokenIdStarts(&'static str),
    /// `active` is true.
    Active,
    /// Exactly `{"active":false}`.
    Inactive,
}

pub const GRANTED: Want = Want { status: 201, codes: &[], or: &[] };
pub const ENDED: Want = Want { status: 204, codes: &[], or: &[] };
pub const INVALID_REQUEST: Want = refused(400, &["invalid_request"]);
pub const INVALID_GRANT: Want = refused(400, &["invalid_grant"]);
pub const INVALID_SCOPE: Want = refused(400, &["invalid_scope"]);
pub const INVALID_CLIENT: Want = refused(401, &["invalid_client"]);
/// No credential header at all: X-Client-Id is missing, and so is a bearer.
pub const NO_CREDENTIALS: Want = refused(401, &["invalid_client", "invalid_token"]);
pub const INVALID_TOKEN: Want = refused(401, &["invalid_token"]);
pub const LACKS_SCOPE: Want = refused(401, &["insufficient_scope"]);
pub const BEYOND_SCOPE: Want = refused(403, &["insufficient_scope"]);
pub const UNAUTHORIZED: Want = refused(403, &["unauthorized_client"]);
pub const NOT_FOUND: Want = refused(404, &["not_found"]);
pub const CONFLICT: Want = refused(409, &["conflict"]);
pub const PRECONDITION_FAILED: Want = refused(412, &["precondition_failed"]);
pub const RATE_LIMITED: Want = refused(429, &["rate_limited"]);

pub const fn refused(status: u16, codes: &'static [&'static str]) -> Want {
    Want { status, codes, or: &[] }
}

/// A status whose body is not an error, or is an error for which the contract has no code.
pub const fn plain(status: u16) -> Want {
    refused(status, &[])
}
