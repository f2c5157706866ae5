//! Every reason for a refusal, and the one place that turns it into status, code and header.

use core::fmt;

/// Seconds after which a client may try again when the issuer could not be asked.
const RETRY_AFTER: u64 = 5;

/// Why a request is refused. No variant holds the token; [`Error::Ended`] holds its id, which is fit for a log.
///
/// `Display` is for the operator, who sees what is wrong. The client sees the [`status`](Error::status) and the
/// [`header`](Error::header), which say no more than RFC 6750 does.
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
    /// The issuer, asked by introspection, says that the token is not active.
    Inactive,
    /// The feed says that the token ended: it was revoked itself (`by` is `token`), with its long-term token (`parent`), or
    /// with all tokens of its client (`client`).
    Ended { jti: String, by: &'static str },
    /// The token is good, but does not hold this scope.
    InsufficientScope(String),
    /// There are no keys, or they are too old to be trusted: see [`Verifier::take_keys`](crate::Verifier::take_keys).
    NoKeys,
    /// There is no feed, or it is older than [`max_feed_age`](crate::Verifier::max_feed_age): the last was issued at
    /// `iat`, Unix seconds.
    StaleFeed { iat: Option<u64> },
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
            Self::NoKeys | Self::StaleFeed { .. } | Self::NoAnswer { .. } => 503,
            _ => 401,
        }
    }

    /// The error code of RFC 6750, section 3.1. It is left out when no token was sent.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::NoToken | Self::NoKeys | Self::StaleFeed { .. } | Self::NoAnswer { .. } => None,
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
            challenge += &format!(r#", error="{code}", error_description="{}""#, self.description());
        }
        if let Self::InsufficientScope(scope) = self {
            challenge += &format!(r#", scope="{scope}""#);
        }
        ("WWW-Authenticate", challenge)
    }

    /// In the words of RFC 6750, sections 3 and 3.1.
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
            Self::Header => "the header of the token is malformed",
            Self::Critical => "the token demands an extension that is not known here",
            Self::Kind => "the token is not a short-term token",
            Self::Algorithm => "the token is not signed with EdDSA",
            Self::UnknownKey => "the token is signed with a key that is not known here",
            Self::Signature => "the signature of the token is wrong",
            Self::Claims => "the claims of the token are malformed",
            Self::Claim(name) => return write!(formatter, "the claim {name} is missing or of the wrong type"),
            Self::Issuer => "the token is from another issuer",
            Self::Audience => "the token is for another audience",
            Self::Expired => "the token has expired",
            Self::Untimely => "the times in the token contradict each other or the clock",
            Self::Inactive => "the issuer says that the token is not active",
            Self::Ended { jti, by: "token" } => return write!(formatter, "the token {jti} was revoked"),
            Self::Ended { jti, by: "parent" } => {
                return write!(formatter, "the token {jti} ended with its long-term token");
            }
            Self::Ended { jti, .. } => return write!(formatter, "the token {jti} ended with all those of its client"),
            Self::InsufficientScope(scope) => return write!(formatter, "the token does not hold the scope {scope}"),
            Self::NoKeys => "the keys of the issuer are not available",
            Self::StaleFeed { iat: None } => "the feed of ends is not available",
            Self::StaleFeed { iat: Some(iat) } => {
                return write!(formatter, "the feed of ends is too old: the last was issued at {iat}");
            }
            Self::NoAnswer { problem } => return write!(formatter, "introspection had no answer: {problem}"),
        })
    }
}

impl core::error::Error for Error {}
