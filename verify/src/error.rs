//! Every reason for a refusal, and the one place that turns it into status, code and header.

use core::fmt;

/// Seconds after which a client may try again when the issuer could not be asked.
const RETRY_AFTER: u64 = 5;

/// Why a request is refused. No variant holds the token or a part of it.
///
/// `Display` is a sentence for the client; `Debug` is for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The request has no `Authorization: Bearer <token>`.
    NoToken,
    /// The token is longer than [`MAX_TOKEN_LENGTH`](crate::MAX_TOKEN_LENGTH).
    TooLong,
    /// Not three parts of unpadded base64url, or a signature that is not 64 bytes long.
    Malformed,
    /// The header is not a JSON object with an `alg` and unique member names.
    Header,
    /// The header demands an extension (`crit`), and none is known here.
    Critical,
    /// Not an access token by `typ`: a long-term token, an ID token, or a JWT that does not say.
    Kind,
    /// `alg` is not `EdDSA`.
    Algorithm,
    /// There is no `kid`, or no key of the set has it.
    UnknownKey,
    /// The signature is not the key's.
    Signature,
    /// The payload is not a JSON object with unique member names.
    Claims,
    /// This claim is missing or not of its type.
    Claim(&'static str),
    /// `iss` is another issuer.
    Issuer,
    /// `aud` does not name this API.
    Audience,
    /// `exp` has passed.
    Expired,
    /// `iat` or `nbf` lies in the future, or `exp` is not after `iat`.
    Untimely,
    /// The issuer says that the token is no longer active.
    Inactive,
    /// The token is good, but does not hold this scope.
    InsufficientScope(String),
    /// There are no keys, or they are too old to be trusted: see [`Verifier::refresh`](crate::Verifier::refresh).
    NoKeys,
    /// The issuer did not say whether the token is active. So it does not count as active.
    NoAnswer { problem: String },
}

impl Error {
    /// The status: 401, 403, or 503 when nothing is known against the token, but it could not be checked.
    ///
    /// Not 401 in that last case: a client would throw a good token away, and bother the ailing issuer for a new one.
    pub fn status(&self) -> u16 {
        match self {
            Self::InsufficientScope(_) => 403,
            Self::NoKeys | Self::NoAnswer { .. } => 503,
            _ => 401,
        }
    }

    /// The error code of RFC 6750, section 3.1. It is left out when no token was sent.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::NoToken | Self::NoKeys | Self::NoAnswer { .. } => None,
            Self::InsufficientScope(_) => Some("insufficient_scope"),
            _ => Some("invalid_token"),
        }
    }

    /// The header that belongs to the status: `WWW-Authenticate` (RFC 6750, section 3) or `Retry-After`.
    pub fn header(&self) -> (&'static str, String) {
        if self.status() == 503 {
            return ("Retry-After", RETRY_AFTER.to_string());
        }
        let mut challenge = r#"Bearer realm="api""#.to_owned();
        if let Some(code) = self.code() {
            challenge += &format!(r#", error="{code}", error_description="{self}""#);
        }
        if let Self::InsufficientScope(scope) = self {
            challenge += &format!(r#", scope="{scope}""#);
        }
        ("WWW-Authenticate", challenge)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // These go into a quoted string of a header: no quotation mark, no backslash, ASCII only.
        formatter.write_str(match self {
            Self::NoToken => "No bearer token was sent; send one as 'Authorization: Bearer <token>'.",
            Self::TooLong => "The token is too long.",
            Self::Malformed => "The token is not a signed JWT.",
            Self::Header => "The header of the token is malformed.",
            Self::Critical => "The token demands an extension that is not known here.",
            Self::Kind => "The token is not a short-term token.",
            Self::Algorithm => "The token is not signed with EdDSA.",
            Self::UnknownKey => "The token is signed with a key that is not known here.",
            Self::Signature => "The signature of the token is wrong.",
            Self::Claims => "The claims of the token are malformed.",
            Self::Claim(name) => return write!(formatter, "The claim {name} is missing or of the wrong type."),
            Self::Issuer => "The token is from another issuer.",
            Self::Audience => "The token is for another audience.",
            Self::Expired => "The token has expired; get a new one.",
            Self::Untimely => "The times in the token contradict each other or the clock.",
            Self::Inactive => "The token is no longer active; get a new one.",
            Self::InsufficientScope(_) => "The token does not hold the scope that is needed.",
            Self::NoKeys => "The keys of the issuer are not available.",
            Self::NoAnswer { .. } => "The issuer did not say whether the token is active.",
        })
    }
}

impl core::error::Error for Error {}
