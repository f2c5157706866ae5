//! Everything that can go wrong, and the one place that turns it into status, code, message and headers.

use serde::{Serialize, Serializer};

use crate::response::Response;

/// Seconds after which a client may try again when a dependency is down.
const RETRY_UNAVAILABLE: u64 = 5;

/// A refusal. `respond` is its meaning over HTTP.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    /// `grant_type` is missing or unknown.
    InvalidGrant,
    /// The request is malformed; `field` is the member or header at fault.
    InvalidRequest { field: Option<String>, message: String },
    /// A scope breaks the grammar, or on /short is not covered by the long-term token.
    InvalidScope { message: String },
    /// A secret, code or assertion is wrong, or the client is unknown: one answer for all, so that none tells which.
    InvalidClient,
    /// `X-Client-Id` is not what it must be: the body's `client_id`, once.
    ClientIdHeader(HeaderFault),
    /// The bearer token can't be used.
    InvalidToken(TokenFault),
    /// On /revoke: the caller may revoke itself only.
    RevokeScope,
    /// On /long: more was asked for than the credential may grant.
    InsufficientScope { needed: String, by_bearer: bool },
    /// On /long: authenticated, but not entitled.
    UnauthorizedClient(Unentitled),
    /// No such token is visible to the caller.
    TokenNotFound,
    /// No such path.
    PathNotFound,
    /// The path is known, the method is not.
    MethodNotAllowed { allow: &'static str },
    /// The client asks too often.
    RateLimited { retry_after: u64 },
    /// A dependency did not answer. What it said is for the log.
    Unavailable(Unavailable),
    /// A setting is missing or malformed. Which one is for the log.
    Misconfigured { setting: &'static str, problem: String },
}

/// What is wrong with `X-Client-Id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    Missing,
    /// It is not the body's `client_id`.
    Different,
    /// It is there more than once, with different values.
    Repeated,
}

/// Why a bearer token can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// There is no bearer token in the request.
    Missing,
    /// The `Authorization` header is not `Bearer <token>`.
    NotBearer,
    /// The `Authorization` header is there more than once, with different values.
    Repeated,
    /// Not a token of this service: malformed, forged, or from another issuer.
    Foreign,
    /// A long-term token where a short-term one belongs, or the reverse.
    WrongKind,
    Expired,
    Revoked,
    /// The client is suspended, is gone, or its tokens up to a time were ended.
    ClientEnded,
}

/// Why an authenticated client may not do this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unentitled {
    Suspended,
    Mechanism(&'static str),
    OtherClient,
}

/// A dependency that did not answer, or not as it must.
#[derive(Debug, PartialEq, Eq)]
pub struct Unavailable {
    pub dependency: &'static str,
    pub problem: String,
}

/// The body of every refusal.
#[derive(Serialize)]
struct AuthError<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Detail<'a>>,
}

/// What is at fault: a kind of thing and its name, an object with one member.
struct Detail<'a>(&'static str, &'a str);

impl Serialize for Detail<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.0, self.1)])
    }
}

impl Error {
    pub fn request(message: impl Into<String>) -> Self {
        Self::InvalidRequest { field: None, message: message.into() }
    }

    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidRequest { field: Some(field.into()), message: message.into() }
    }

    /// The status, and the machine-readable code.
    pub fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::InvalidGrant => (400, "invalid_grant"),
            Self::InvalidRequest { .. } => (400, "invalid_request"),
            Self::InvalidScope { .. } => (400, "invalid_scope"),
            Self::InvalidClient | Self::ClientIdHeader(_) => (401, "invalid_client"),
            Self::InvalidToken(_) => (401, "invalid_token"),
            Self::RevokeScope => (401, "insufficient_scope"),
            Self::InsufficientScope { .. } => (403, "insufficient_scope"),
            Self::UnauthorizedClient(_) => (403, "unauthorized_client"),
            Self::TokenNotFound | Self::PathNotFound => (404, "not_found"),
            Self::MethodNotAllowed { .. } => (405, "method_not_allowed"),
            Self::RateLimited { .. } => (429, "rate_limited"),
            Self::Misconfigured { .. } => (500, "server_error"),
            Self::Unavailable(_) => (503, "temporarily_unavailable"),
        }
    }

    /// What is for the operator's log alone.
    pub fn for_the_log(&self) -> Option<String> {
        match self {
            Self::Misconfigured { setting, problem } => Some(format!("setting {setting} {problem}")),
            Self::Unavailable(Unavailable { dependency, problem }) => Some(format!("{dependency}: {problem}")),
            _ => None,
        }
    }

    pub fn respond(&self) -> Response {
        let (status, code) = self.status_and_code();
        let body = AuthError { code, message: &self.message(), details: self.details() };
        let mut response = Response::json(status, &body);
        if let Some(challenge) = self.challenge() {
            response.headers.push(("WWW-Authenticate", challenge));
        }
        match self {
            Self::MethodNotAllowed { allow } => response.headers.push(("Allow", (*allow).to_owned())),
            Self::RateLimited { retry_after } => response.headers.push(("Retry-After", retry_after.to_string())),
            Self::Unavailable(_) => response.headers.push(("Retry-After", RETRY_UNAVAILABLE.to_string())),
            _ => {}
        }
        response
    }

    /// The challenge of RFC 6750, section 3. It names an error only when a token was presented (section 3.1).
    fn challenge(&self) -> Option<String> {
        let error = match self {
            Self::InvalidClient
            | Self::ClientIdHeader(_)
            | Self::InvalidToken(TokenFault::Missing | TokenFault::NotBearer) => String::new(),
            Self::InvalidToken(_) => format!(", error=\"invalid_token\", error_description=\"{}\"", self.message()),
            Self::RevokeScope => ", error=\"insufficient_scope\", scope=\"tokens:revoke\"".to_owned(),
            Self::InsufficientScope { needed, by_bearer: true } => {
                format!(", error=\"insufficient_scope\", scope=\"{needed}\"")
            }
            _ => return None,
        };
        Some(format!("Bearer realm=\"auth-edge\"{error}"))
    }

    fn message(&self) -> String {
        let fixed = match self {
            Self::InvalidGrant => "grant_type must be client_credentials or assertion.",
            Self::InvalidRequest { message, .. } | Self::InvalidScope { message } => message,
            Self::InvalidClient => {
                "The client is unknown, or its secret, one-time code or assertion is wrong, expired or already used."
            }
            Self::ClientIdHeader(fault) => match fault {
                HeaderFault::Missing => "The X-Client-Id header is missing; send the client_id of the body in it.",
                HeaderFault::Different => {
                    "The X-Client-Id header is not the client_id of the body; send the same value in both."
                }
                HeaderFault::Repeated => {
                    "The X-Client-Id header is there more than once, with different values; send it once."
                }
            },
            Self::InvalidToken(fault) => match fault {
                TokenFault::Missing => "No bearer token was sent; send one as 'Authorization: Bearer <token>'.",
                TokenFault::NotBearer => "The Authorization header is not of the form 'Bearer <token>'.",
                TokenFault::Repeated => {
                    "The Authorization header is there more than once, with different values; send it once."
                }
                TokenFault::Foreign => "The bearer token was not issued by this service, or was changed.",
                TokenFault::WrongKind => "The bearer token is of the wrong kind for this operation.",
                TokenFault::Expired => "The bearer token has expired; get a new one.",
                TokenFault::Revoked => {
                    "The bearer token, or the long-term token that it came from, was revoked; get a new one."
                }
                TokenFault::ClientEnded => "The client of the bearer token is suspended, or its tokens were ended.",
            },
            Self::RevokeScope => {
                "Revoking another token needs the scope tokens:revoke; a token may always revoke itself."
            }
            Self::InsufficientScope { needed, by_bearer: true } => {
                return format!("The bearer token does not hold the scope {needed}.");
            }
            Self::InsufficientScope { needed, by_bearer: false } => {
                return format!("The client may not be granted the scope {needed}.");
            }
            Self::UnauthorizedClient(Unentitled::Suspended) => "The client is suspended.",
            Self::UnauthorizedClient(Unentitled::Mechanism(name)) => {
                return format!("The mechanism {name} is not allowed to this client.");
            }
            Self::UnauthorizedClient(Unentitled::OtherClient) => {
                "The bearer token belongs to another client than client_id."
            }
            Self::TokenNotFound => "No such token is visible to this caller.",
            Self::PathNotFound => "No such path.",
            Self::MethodNotAllowed { allow } => return format!("This path answers {allow} only."),
            Self::RateLimited { retry_after } => {
                return format!("Too many requests. Please retry after {retry_after} seconds.");
            }
            Self::Unavailable(_) => {
                "A part of the service is not answering. The request may or may not have taken effect. Please retry."
            }
            Self::Misconfigured { .. } => "The service is not configured; its operator finds the reason in the log.",
        };
        fixed.to_owned()
    }

    fn details(&self) -> Option<Detail<'_>> {
        Some(match self {
            Self::InvalidGrant => Detail("field", "grant_type"),
            Self::InvalidRequest { field: Some(field), .. } => Detail("field", field),
            Self::InvalidScope { .. } => Detail("field", "scopes"),
            Self::ClientIdHeader(_) => Detail("header", "X-Client-Id"),
            Self::RevokeScope => Detail("scope", "tokens:revoke"),
            Self::InsufficientScope { needed, .. } => Detail("scope", needed),
            Self::UnauthorizedClient(Unentitled::Mechanism(name)) => Detail("mechanism", name),
            _ => return None,
        })
    }
}

impl From<Unavailable> for Error {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}

impl From<TokenFault> for Error {
    fn from(fault: TokenFault) -> Self {
        Self::InvalidToken(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_names_an_error_only_when_a_token_was_presented() {
        let challenge = |error: Error| error.challenge().unwrap_or_default();
        assert_eq!(challenge(Error::InvalidClient), "Bearer realm=\"auth-edge\"");
        assert_eq!(challenge(TokenFault::Missing.into()), "Bearer realm=\"auth-edge\"");
        assert!(challenge(TokenFault::Expired.into()).contains("error=\"invalid_token\""));
        assert!(challenge(Error::RevokeScope).contains("error=\"insufficient_scope\", scope=\"tokens:revoke\""));
        assert_eq!(challenge(Error::TokenNotFound), "");
    }

    #[test]
    fn what_is_for_the_log_stays_out_of_the_answer() {
        let error = Error::Misconfigured { setting: "AUTH_KEYS", problem: "has a fault".into() };
        assert!(!error.respond().body.unwrap().contains("AUTH_KEYS"));
        assert_eq!(error.for_the_log().unwrap(), "setting AUTH_KEYS has a fault");
    }
}
