//! Every error, and the one place that turns it into status, code, message and headers.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use crate::response::Response;
use crate::value::readable;

/// `Retry-After` when a dependency is down, seconds.
const RETRY_UNAVAILABLE: u64 = 5;

/// Why a request is refused. `respond` makes the HTTP response. A client's object returns errors too, so the variants
/// that it can return are serializable.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub enum Error {
    /// `grant_type` is missing or unknown.
    #[serde(skip)]
    InvalidGrant,
    /// The request is malformed; `field` is the member or header at fault.
    InvalidRequest { field: Option<String>, message: String },
    /// A scope breaks the grammar, or on /short is not held by the long-term token or no longer by its client.
    InvalidScope { message: String },
    /// A secret, code or assertion is wrong, or the client is unknown. The response is the same for all of them, so it
    /// does not tell which. `locked` (one-time codes are locked) goes into the audit line only.
    InvalidClient { locked: bool },
    /// `X-Client-Id` is missing, repeated, or not the body's `client_id`.
    #[serde(skip)]
    ClientIdHeader(HeaderFault),
    /// The bearer token can't be used.
    InvalidToken(TokenFault),
    /// The caller's token lacks the scope that the operation needs (401, on every operation but /long).
    CallerScope { needed: Cow<'static, str> },
    /// A requested scope may not be granted.
    InsufficientScope { needed: String, by: Grantor },
    /// On /long: the client is authenticated, but may not get a token.
    UnauthorizedClient(Unentitled),
    /// The caller's client has no token with this id.
    TokenNotFound,
    /// There is no such client.
    ClientNotFound,
    /// The client has no such secret.
    SecretNotFound,
    /// The client's current state does not allow the change.
    Conflict(Cow<'static, str>),
    /// `If-Match` does not match the client's current `ETag`.
    PreconditionFailed,
    /// No such path. `base_path` is what the API's paths begin with.
    #[serde(skip)]
    PathNotFound { base_path: String },
    /// The path exists, but does not allow this method.
    #[serde(skip)]
    MethodNotAllowed { allow: Cow<'static, str> },
    /// A rate limit is exceeded.
    #[serde(skip)]
    RateLimited { retry_after: u64 },
    /// The client has as many revoked short-term tokens in the feed as it may have.
    FeedFull { retry_after: u64 },
    /// A dependency did not answer. Which one, and why, goes into the log only.
    Unavailable(Unavailable),
    /// A setting is missing or malformed. Which one goes into the log only.
    Misconfigured { setting: Cow<'static, str>, problem: String },
}

/// Why a requested scope can't be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Grantor {
    /// The bearer token does not hold the scope.
    Bearer,
    /// The client does not hold the scope.
    Client,
    /// The calling operator may not give the scope to a client.
    Operator,
}

/// What is wrong with `X-Client-Id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum HeaderFault {
    Missing,
    /// Its value is not the body's `client_id`.
    Different,
    /// It was sent more than once, with different values.
    Repeated,
}

/// Why a bearer token can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum TokenFault {
    /// The request carries no bearer token.
    Missing,
    /// The `Authorization` header is not `Bearer <token>`.
    NotBearer,
    /// The `Authorization` header was sent more than once, with different values.
    Repeated,
    /// Not a token of this service: malformed, forged, or from another issuer.
    Foreign,
    /// A long-term token where a short-term one is needed, or the reverse.
    WrongKind,
    Expired,
    Revoked,
    /// The client is suspended or deleted, or the token's `auth_time` is before its `tokens_valid_from`.
    ClientEnded,
    /// The client last authenticated with a credential too long ago to rotate the token.
    TooOld,
}

/// Why an authenticated client may not do this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Unentitled {
    Suspended,
    /// The client may not use this mechanism.
    Mechanism(Cow<'static, str>),
    OtherClient,
}

/// A dependency that did not answer, or gave an invalid answer.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Unavailable {
    pub dependency: Cow<'static, str>,
    pub problem: String,
}

impl Unavailable {
    pub fn new(dependency: &'static str, problem: impl Into<String>) -> Self {
        Self { dependency: dependency.into(), problem: problem.into() }
    }
}

// The errors that a client's object may return.
readable!(enum Error {
    "InvalidRequest" => InvalidRequest { field, message },
    "InvalidScope" => InvalidScope { message },
    "InvalidClient" => InvalidClient { locked },
    "InvalidToken" => InvalidToken(fault),
    "CallerScope" => CallerScope { needed },
    "InsufficientScope" => InsufficientScope { needed, by },
    "UnauthorizedClient" => UnauthorizedClient(why),
    "TokenNotFound" => TokenNotFound,
    "ClientNotFound" => ClientNotFound,
    "SecretNotFound" => SecretNotFound,
    "Conflict" => Conflict(message),
    "PreconditionFailed" => PreconditionFailed,
    "FeedFull" => FeedFull { retry_after },
    "Unavailable" => Unavailable(what),
    "Misconfigured" => Misconfigured { setting, problem },
});
readable!(enum TokenFault {
    "Missing" => Missing,
    "NotBearer" => NotBearer,
    "Repeated" => Repeated,
    "Foreign" => Foreign,
    "WrongKind" => WrongKind,
    "Expired" => Expired,
    "Revoked" => Revoked,
    "ClientEnded" => ClientEnded,
    "TooOld" => TooOld,
});
readable!(enum Grantor { "Bearer" => Bearer, "Client" => Client, "Operator" => Operator });
readable!(enum Unentitled { "Suspended" => Suspended, "Mechanism" => Mechanism(name), "OtherClient" => OtherClient });
readable!(struct Unavailable { dependency, problem });

/// The body of every error response.
#[derive(Serialize)]
struct AuthError<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Detail<'a>>,
}

/// `details`: an object with one member. Its name is the kind of thing at fault, its value which one.
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
            Self::InvalidClient { .. } | Self::ClientIdHeader(_) => (401, "invalid_client"),
            Self::InvalidToken(_) => (401, "invalid_token"),
            Self::CallerScope { .. } => (401, "insufficient_scope"),
            Self::InsufficientScope { .. } => (403, "insufficient_scope"),
            Self::UnauthorizedClient(_) => (403, "unauthorized_client"),
            Self::TokenNotFound | Self::ClientNotFound | Self::SecretNotFound | Self::PathNotFound { .. } => {
                (404, "not_found")
            }
            Self::MethodNotAllowed { .. } => (405, "method_not_allowed"),
            Self::Conflict(_) => (409, "conflict"),
            Self::PreconditionFailed => (412, "precondition_failed"),
            Self::RateLimited { .. } => (429, "rate_limited"),
            Self::Misconfigured { .. } => (500, "server_error"),
            Self::FeedFull { .. } | Self::Unavailable(_) => (503, "temporarily_unavailable"),
        }
    }

    /// The problem for the audit line, which callers must not see.
    pub fn for_the_log(&self) -> Option<String> {
        match self {
            Self::InvalidClient { locked: true } => Some("locked".to_owned()),
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
            Self::MethodNotAllowed { allow } => response.headers.push(("Allow", allow.to_string())),
            Self::RateLimited { retry_after } | Self::FeedFull { retry_after } => {
                response.headers.push(("Retry-After", retry_after.to_string()))
            }
            Self::Unavailable(_) => response.headers.push(("Retry-After", RETRY_UNAVAILABLE.to_string())),
            _ => {}
        }
        response
    }

    /// The challenge of RFC 6750, section 3. It names an error only when a token was presented (section 3.1).
    fn challenge(&self) -> Option<String> {
        let error = match self {
            Self::InvalidClient { .. }
            | Self::ClientIdHeader(_)
            | Self::InvalidToken(TokenFault::Missing | TokenFault::NotBearer) => String::new(),
            Self::InvalidToken(_) => format!(", error=\"invalid_token\", error_description=\"{}\"", self.message()),
            Self::CallerScope { needed } => format!(", error=\"insufficient_scope\", scope=\"{needed}\""),
            Self::InsufficientScope { needed, by: Grantor::Bearer } => {
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
            Self::InvalidClient { .. } => {
                "The client is unknown, or its secret, one-time code or assertion is wrong, expired or already used."
            }
            Self::ClientIdHeader(fault) => match fault {
                HeaderFault::Missing => "The X-Client-Id header is missing; send it with the value of client_id.",
                HeaderFault::Different => {
                    "The X-Client-Id header differs from client_id in the body; send the same value in both."
                }
                HeaderFault::Repeated => {
                    "The X-Client-Id header was sent more than once, with different values; send it once."
                }
            },
            Self::InvalidToken(fault) => match fault {
                TokenFault::Missing => "No bearer token was sent; send one as 'Authorization: Bearer <token>'.",
                TokenFault::NotBearer => "The Authorization header is malformed; send 'Authorization: Bearer <token>'.",
                TokenFault::Repeated => {
                    "The Authorization header was sent more than once, with different values; send it once."
                }
                TokenFault::Foreign => {
                    "The bearer token was not issued by this service, or was altered; get a new one."
                }
                TokenFault::WrongKind => {
                    "This operation takes the other kind of bearer token (long-term or short-term); /docs says which."
                }
                TokenFault::Expired => "The bearer token has expired; get a new one.",
                TokenFault::Revoked => {
                    "The bearer token, or the long-term token it was exchanged from, was revoked; get a new one."
                }
                TokenFault::ClientEnded => {
                    "The bearer token's client is suspended or deleted, or an operator ended its tokens; ask the operator."
                }
                TokenFault::TooOld => {
                    "The client last authenticated with a credential more than 366 days ago; get a new token with one instead of rotating."
                }
            },
            Self::CallerScope { needed } if needed == "tokens:revoke" => {
                "Revoking another token requires the scope tokens:revoke; a token may always revoke itself."
            }
            Self::CallerScope { needed } => return format!("This operation requires a token with the scope {needed}."),
            Self::InsufficientScope { needed, by } => {
                return match by {
                    Grantor::Bearer => format!("The bearer token lacks the scope {needed}."),
                    Grantor::Client => format!("The client may not be granted the scope {needed}."),
                    Grantor::Operator => {
                        format!("Only the first operator (the secret OPERATOR) may give a client the scope {needed}.")
                    }
                };
            }
            Self::UnauthorizedClient(Unentitled::Suspended) => {
                "The client is suspended; an operator can reactivate it."
            }
            Self::UnauthorizedClient(Unentitled::Mechanism(mechanism)) => {
                return format!("This client may not use the mechanism {mechanism}; an operator can allow it.");
            }
            Self::UnauthorizedClient(Unentitled::OtherClient) => {
                "The bearer token belongs to a client other than client_id."
            }
            Self::TokenNotFound => "This caller's client has no token with this id.",
            Self::ClientNotFound => "There is no client with this id.",
            Self::SecretNotFound => "The client has no live secret with this id.",
            Self::Conflict(message) => message,
            Self::PreconditionFailed => {
                "The client has changed since If-Match's ETag; read it again and repeat the request with the new ETag."
            }
            Self::PathNotFound { base_path } => {
                let prefix = if base_path.is_empty() { "have no prefix" } else { "begin with " };
                return format!(
                    "No such path. API paths {prefix}{base_path}, as in {base_path}/auth/tokens/long, and are compared exactly; /docs lists them."
                );
            }
            Self::MethodNotAllowed { allow } => return format!("Method not allowed; this path allows {allow}."),
            Self::RateLimited { retry_after } => {
                return format!("Too many requests. Please retry after {retry_after} seconds.");
            }
            Self::FeedFull { .. } => {
                "Not revoked: this client has revoked 1,000 short-term tokens within the hour. Revoke their long-term token instead."
            }
            Self::Unavailable(_) => {
                "A part of the service is not answering. The request may or may not have taken effect. Please retry."
            }
            Self::Misconfigured { .. } => {
                "The service is misconfigured; its operator finds the setting at fault in the log."
            }
        };
        fixed.to_owned()
    }

    fn details(&self) -> Option<Detail<'_>> {
        Some(match self {
            Self::InvalidGrant => Detail("field", "grant_type"),
            Self::InvalidRequest { field: Some(field), .. } => Detail("field", field),
            Self::InvalidScope { .. } => Detail("field", "scopes"),
            Self::ClientIdHeader(_) => Detail("header", "X-Client-Id"),
            Self::CallerScope { needed } => Detail("scope", needed),
            Self::InsufficientScope { needed, .. } => Detail("scope", needed),
            Self::UnauthorizedClient(Unentitled::Mechanism(mechanism)) => Detail("mechanism", mechanism),
            Self::PreconditionFailed => Detail("header", "If-Match"),
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
        assert_eq!(challenge(Error::InvalidClient { locked: false }), "Bearer realm=\"auth-edge\"");
        assert_eq!(challenge(TokenFault::Missing.into()), "Bearer realm=\"auth-edge\"");
        assert!(challenge(TokenFault::Expired.into()).contains("error=\"invalid_token\""));
        assert!(
            challenge(Error::CallerScope { needed: "tokens:revoke".into() })
                .contains("error=\"insufficient_scope\", scope=\"tokens:revoke\"")
        );
        assert_eq!(challenge(Error::TokenNotFound), "");
    }

    #[test]
    fn what_is_for_the_log_stays_out_of_the_answer() {
        let error = Error::Misconfigured { setting: "AUTH_KEYS".into(), problem: "has a fault".into() };
        assert!(!error.respond().body.unwrap().contains("AUTH_KEYS"));
        assert_eq!(error.for_the_log().unwrap(), "setting AUTH_KEYS has a fault");
    }
}
