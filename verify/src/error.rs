//! Every reason for a refusal, and the one place that gives its status, code and header.

use core::fmt;

/// `Retry-After` if the token could not be checked, seconds.
const RETRY_AFTER: u64 = 5;

/// Why a request is refused. No variant holds the token; [`Error::Ended`] holds its id, which may be logged.
///
/// `Display` is for the operator and names the reason. The client sees only [`status`](Error::status) and
/// [`header`](Error::header), which say no more than RFC 6750 does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The request has no `Authorization: Bearer <token>`.
    NoToken,
    /// The token is longer than [`MAX_TOKEN_LENGTH`](crate::MAX_TOKEN_LENGTH).
    TooLong,
    /// It is not three parts of unpadded base64url, or its signature is not 64 bytes long.
    Malformed,
    /// The header is not a JSON object with an `alg` and unique member names.
    Header,
    /// The header requires an extension (`crit`); none is supported.
    Critical,
    /// Its `typ` is not `at+jwt`: a long-term token, an ID token, or a JWT without `typ`.
    Kind,
    /// `alg` is not `EdDSA`.
    Algorithm,
    /// It has no `kid`, or none of the issuer's keys has it.
    UnknownKey,
    /// The signature is not valid under that key.
    Signature,
    /// The payload is not a JSON object with unique member names.
    Claims,
    /// This claim is missing or of the wrong type.
    Claim(&'static str),
    /// `iss` is not the issuer.
    Issuer,
    /// `aud` does not name this API.
    Audience,
    /// `exp` has passed.
    Expired,
    /// `iat` or `nbf` is in the future, or `exp` is not after `iat`.
    Untimely,
    /// By introspection, the issuer says that the token is not active.
    Inactive,
    /// By the feed, the token has ended: it was revoked itself (`by` is `token`), with its long-term token (`parent`),
    /// or with all tokens of its client (`client`).
    Ended { jti: String, by: &'static str },
    /// The token is valid, but does not hold this scope.
    InsufficientScope(String),
    /// There are no keys, or they are too old: see [`Verifier::take_keys`](crate::Verifier::take_keys).
    NoKeys,
    /// There is no feed, or it is older than [`max_feed_age`](crate::Verifier::max_feed_age). `iat` is that of the last
    /// one, Unix seconds.
    StaleFeed { iat: Option<u64> },
    /// Introspection got no usable answer, so the token does not count as active.
    NoAnswer { problem: String },
}

impl Error {
    /// The status: 401, 403, or 503 if the token could not be checked.
    ///
    /// 503 is not 401, because with 401 a client would discard a valid token and request a new one from an issuer that
    /// is in trouble.
    pub fn status(&self) -> u16 {
        match self {
            Self::InsufficientScope(_) => 403,
            Self::NoKeys | Self::StaleFeed { .. } | Self::NoAnswer { .. } => 503,
            _ => 401,
        }
    }

    /// The error code of RFC 6750, section 3.1. `None` if no token was sent or it could not be checked.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::NoToken | Self::NoKeys | Self::StaleFeed { .. } | Self::NoAnswer { .. } => None,
            Self::InsufficientScope(_) => Some("insufficient_scope"),
            _ => Some("invalid_token"),
        }
    }

    /// The header for the status: `WWW-Authenticate` (RFC 6750, section 3) or `Retry-After`.
    pub fn header(&self) -> (&'static str, String) {
        if self.status() == 503 {
            return ("Retry-After", RETRY_AFTER.to_string());
        }
        let mut challenge = r#"Bearer realm="api""#.to_owned();
        if let Some(code) = self.code() {
            challenge += &format!(r#", error="{code}", error_description="{}""#, self.description());
        }
        if let Self::InsufficientScope(scope) = self {
            challenge += &format!(r#", scope="{scope}""#);
        }
        ("WWW-Authenticate", challenge)
    }

    /// The wording of RFC 6750, section 3.1.
    fn description(&self) -> &'static str {
        match self {
            Self::InsufficientScope(_) => "The request requires higher privileges than provided by the access token",
            Self::Expired => "The access token expired",
            _ => "The access token is revoked, malformed, or invalid for other reasons",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoToken => "no bearer token was sent",
            Self::TooLong => "the token is too long",
            Self::Malformed => "the token is not a signed JWT",
            Self::Header => "the token's header is malformed",
            Self::Critical => "the token requires an unsupported extension (crit)",
            Self::Kind => "the token is not a short-term token (its typ is not at+jwt)",
            Self::Algorithm => "the token is not signed with EdDSA",
            Self::UnknownKey => "the token is signed with a key that is not in the issuer's key set",
            Self::Signature => "the token's signature is invalid",
            Self::Claims => "the token's claims are malformed",
            Self::Claim(name) => return write!(formatter, "the claim {name} is missing or of the wrong type"),
            Self::Issuer => "the token is from another issuer",
            Self::Audience => "the token is for another audience",
            Self::Expired => "the token has expired",
            Self::Untimely => "the token's iat, nbf and exp contradict each other or this machine's clock",
            Self::Inactive => "the issuer says that the token is not active",
            Self::Ended { jti, by: "token" } => return write!(formatter, "the token {jti} was revoked"),
            Self::Ended { jti, by: "parent" } => {
                return write!(formatter, "the token {jti} ended with its long-term token");
            }
            Self::Ended { jti, .. } => return write!(formatter, "the token {jti} ended with all tokens of its client"),
            Self::InsufficientScope(scope) => return write!(formatter, "the token does not hold the scope {scope}"),
            Self::NoKeys => "the issuer's keys have not been fetched, or are too old",
            Self::StaleFeed { iat: None } => "the revocation feed has not been fetched yet",
            Self::StaleFeed { iat: Some(iat) } => {
                return write!(formatter, "the revocation feed is too old: the last was issued at {iat}");
            }
            Self::NoAnswer { problem } => return write!(formatter, "introspection failed: {problem}"),
        })
    }
}

impl core::error::Error for Error {}
