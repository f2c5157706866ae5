//! Routes a request to its operation, by method and path.

use core::future::ready;

use futures_util::future::LocalBoxFuture;
use percent_encoding::percent_decode_str;

use crate::audit::Audit;
use crate::error::Error;
use crate::host::Host;
use crate::operations::discovery;
use crate::operations::health::health;
use crate::operations::introspect::introspect;
use crate::operations::issue_long::issue_long;
use crate::operations::issue_short::issue_short;
use crate::operations::operators::{self, Operation};
use crate::operations::revocations::revocations;
use crate::operations::revoke::revoke;
use crate::request::{Body, Call};
use crate::response::Response;
use crate::settings::Settings;

/// The operation that a request is for.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    IssueLong,
    IssueShort,
    Revoke { token_id: String },
    Introspect,
    Operator(Operation),
    Jwks,
    Metadata,
    OpenApi,
    Docs,
    Health,
    Revocations,
}

impl Route {
    /// Finds the operation. The path is compared byte for byte: another case, a doubled slash or a trailing slash is a
    /// different path.
    pub fn find(settings: &Settings, method: &str, path: &str) -> Result<Self, Error> {
        let is_read = matches!(method, "GET" | "HEAD");
        let document = match path {
            "/.well-known/jwks.json" => Some(Self::Jwks),
            "/openapi.json" => Some(Self::OpenApi),
            "/docs" => Some(Self::Docs),
            "/healthz" => Some(Self::Health),
            "/.well-known/revocations" if settings.has_feed() => Some(Self::Revocations),
            path if settings.is_metadata_path(path) => Some(Self::Metadata),
            _ => None,
        };
        if let Some(document) = document {
            return if is_read { Ok(document) } else { Err(not_allowed("GET, HEAD")) };
        }
        let missing = || Error::PathNotFound { base_path: settings.base_path.clone() };
        let below = path.strip_prefix(settings.base_path.as_str()).ok_or_else(missing)?;
        if let Some(rest) = below.strip_prefix("/auth/tokens/") {
            let route = Self::token(rest).ok_or_else(missing)?;
            return if method == "POST" { Ok(route) } else { Err(not_allowed("POST")) };
        }
        let rest = below.strip_prefix("/clients").ok_or_else(missing)?;
        Self::client(if is_read { "GET" } else { method }, rest, missing).map(Self::Operator)
    }

    fn token(rest: &str) -> Option<Self> {
        Some(match rest {
            "long" => Self::IssueLong,
            "short" => Self::IssueShort,
            "introspect" => Self::Introspect,
            rest => {
                let token_id = rest.strip_suffix("/revoke").filter(|id| !id.is_empty() && !id.contains('/'))?;
                Self::Revoke { token_id: decode(token_id) }
            }
        })
    }

    fn client(method: &str, rest: &str, missing: impl Fn() -> Error) -> Result<Operation, Error> {
        if rest.is_empty() {
            return match method {
                "GET" => Ok(Operation::List),
                "POST" => Ok(Operation::Create),
                _ => Err(not_allowed("GET, HEAD, POST")),
            };
        }
        let mut segments = rest.split('/').skip(1);
        let id = segments.next().filter(|id| !id.is_empty() && rest.starts_with('/')).ok_or_else(&missing)?;
        let client_id = decode(id);
        match (segments.next(), segments.next(), segments.next()) {
            (None, ..) => match method {
                "GET" => Ok(Operation::Show { client_id }),
                "PATCH" => Ok(Operation::Change { client_id }),
                "DELETE" => Ok(Operation::Delete { client_id }),
                _ => Err(not_allowed("GET, HEAD, PATCH, DELETE")),
            },
            (Some("secrets"), Some(secret_id), None) if !secret_id.is_empty() => match method {
                "DELETE" => Ok(Operation::EndSecret { client_id, secret_id: decode(secret_id) }),
                _ => Err(not_allowed("DELETE")),
            },
            (Some(name @ ("secrets" | "totp" | "end-tokens")), None, None) => match (name, method) {
                ("secrets", "POST") => Ok(Operation::AddSecret { client_id }),
                ("totp", "POST") => Ok(Operation::NewTotp { client_id }),
                (_, "POST") => Ok(Operation::EndTokens { client_id }),
                _ => Err(not_allowed("POST")),
            },
            _ => Err(missing()),
        }
    }

    /// Whether the operation reads the request's body.
    pub const fn reads_body(&self) -> bool {
        match self {
            Self::IssueLong | Self::IssueShort | Self::Introspect => true,
            Self::Operator(operation) => operation.reads_body(),
            _ => false,
        }
    }

    /// The `operationId`, and the audit line's `outcome` if the call succeeds.
    const fn event(&self) -> (&'static str, &'static str) {
        match self {
            Self::IssueLong => ("issueLongTermToken", "issued"),
            Self::IssueShort => ("issueShortTermToken", "issued"),
            Self::Revoke { .. } => ("revokeToken", "revoked"),
            Self::Introspect => ("introspectToken", "introspected"),
            Self::Operator(operation) => operation.event(),
            Self::Jwks => ("getJwks", "served"),
            Self::Metadata => ("getMetadata", "served"),
            Self::OpenApi => ("getOpenApi", "served"),
            Self::Docs => ("getDocs", "served"),
            Self::Health => ("getHealth", "ready"),
            Self::Revocations => ("getRevocations", "polled"),
        }
    }
}

/// Percent-decodes a segment. Invalid UTF-8 becomes U+FFFD, which no id contains, so it is refused like any unknown id.
fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

fn not_allowed(allow: &'static str) -> Error {
    Error::MethodNotAllowed { allow: allow.into() }
}

/// Runs the operation, and turns its result into a response and an audit line. `read` reads the body and then the clock
/// (Unix seconds).
pub async fn handle(
    settings: &Settings,
    host: &impl Host,
    route: &Route,
    call: Call,
    read: impl AsyncFnOnce() -> (Body, u64),
) -> (Response, Audit) {
    let (event, success) = route.event();
    let mut audit = Audit { event, outcome: success, ..Audit::default() };
    // Boxed, so that each operation stays a function of its own: V8 compiles a function when it is first called, so a
    // fresh isolate compiles only the operation that it needs.
    let operation: LocalBoxFuture<'_, _> = match route {
        Route::IssueLong => Box::pin(issue_long(settings, host, call, read, &mut audit)),
        Route::IssueShort => Box::pin(issue_short(settings, host, call, read, &mut audit)),
        Route::Revoke { token_id } => Box::pin(revoke(settings, host, call, token_id, &mut audit)),
        Route::Introspect => Box::pin(introspect(settings, host, call, read, &mut audit)),
        Route::Operator(operation) => Box::pin(operators::operate(settings, host, operation, call, read, &mut audit)),
        Route::Health => Box::pin(health(host)),
        Route::Revocations => Box::pin(revocations(settings, host, &call, &mut audit)),
        Route::Jwks => Box::pin(ready(Ok(discovery::jwks(settings)))),
        Route::Metadata => Box::pin(ready(Ok(discovery::metadata(settings)))),
        Route::OpenApi => Box::pin(ready(Ok(discovery::openapi(settings, host)))),
        Route::Docs => Box::pin(ready(Ok(discovery::docs(settings, host)))),
    };
    let result = operation.await;
    let response = result.unwrap_or_else(|error| audit.refuse(&error));
    audit.status = response.status;
    (response, audit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;

    fn find(base: &str, path: &str) -> Result<Route, Error> {
        Route::find(&Settings { base_path: base.to_owned(), ..settings() }, "POST", path)
    }

    fn no_such_path() -> Error {
        Error::PathNotFound { base_path: "/v1".to_owned() }
    }

    #[test]
    fn three_paths() {
        for base in ["", "/v1", "/v2"] {
            assert_eq!(find(base, &format!("{base}/auth/tokens/long")), Ok(Route::IssueLong));
            assert_eq!(find(base, &format!("{base}/auth/tokens/short")), Ok(Route::IssueShort));
            let revoke = Route::Revoke { token_id: "tok_lt_x".into() };
            assert_eq!(find(base, &format!("{base}/auth/tokens/tok_lt_x/revoke")), Ok(revoke));
        }
        assert_eq!(
            find("/v1", "/v1/auth/tokens/tok%5Flt%5fx/revoke"),
            Ok(Route::Revoke { token_id: "tok_lt_x".into() })
        );
    }

    #[test]
    fn no_other_path() {
        for path in [
            "",
            "/",
            "/v1",
            "/v1/",
            "/auth/tokens/long",
            "/v2/auth/tokens/long",
            "/v1/auth/tokens",
            "/v1/auth/tokens/",
            "/v1/auth/tokens/long/",
            "/v1/auth/tokens//long",
            "/v1//auth/tokens/long",
            "/V1/auth/tokens/long",
            "/v1/auth/tokens/Long",
            "/v1/auth/tokens/revoke",
            "/v1/auth/tokens//revoke",
            "/v1/auth/tokens/x/revoke/",
            "/v1/auth/tokens/x/y/revoke",
            "/v1/auth/tokens/x/Revoke",
            "/v1/auth/tokens/long%2F",
            "/v1x/auth/tokens/long",
        ] {
            assert_eq!(find("/v1", path), Err(no_such_path()), "{path}");
        }
    }

    #[test]
    fn other_methods() {
        let refusal = |method: &str, path: &str| Route::find(&settings(), method, path).unwrap_err();
        for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "post", "POSTS", ""] {
            for path in ["long", "short", "introspect", "x/revoke"] {
                let path = format!("/v1/auth/tokens/{path}");
                assert_eq!(refusal(method, &path), not_allowed("POST"), "{method} {path}");
            }
            assert_eq!(refusal(method, "/v1/nothing"), no_such_path());
        }
        for path in
            ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/openapi.json", "/docs", "/healthz"]
        {
            for method in ["GET", "HEAD"] {
                assert!(Route::find(&settings(), method, path).is_ok());
            }
            assert_eq!(refusal("POST", path), not_allowed("GET, HEAD"));
            assert_eq!(refusal("GET", &format!("/v1{path}")), no_such_path());
        }
    }

    #[test]
    fn the_metadata_of_an_issuer_with_a_path() {
        let settings = Settings { issuer: "https://auth.example.com/tenant".into(), ..settings() };
        let find = |path: &str| Route::find(&settings, "GET", path);
        assert_eq!(find("/.well-known/oauth-authorization-server/tenant"), Ok(Route::Metadata));
        assert_eq!(find("/.well-known/oauth-authorization-server"), Err(no_such_path()));
    }

    #[test]
    fn a_broken_escape_is_an_id_that_no_token_has() {
        for id in ["%", "%z", "%ff", "%2F", "%00"] {
            assert!(matches!(find("/v1", &format!("/v1/auth/tokens/{id}/revoke")), Ok(Route::Revoke { .. })), "{id}");
        }
    }

    #[test]
    fn the_operators_paths() {
        let find = |method: &str, path: &str| Route::find(&settings(), method, path);
        let id = || "a.b".to_owned();
        for (method, path, operation) in [
            ("GET", "/v1/clients", Operation::List),
            ("HEAD", "/v1/clients", Operation::List),
            ("POST", "/v1/clients", Operation::Create),
            ("GET", "/v1/clients/a.b", Operation::Show { client_id: id() }),
            ("PATCH", "/v1/clients/a%2Eb", Operation::Change { client_id: id() }),
            ("DELETE", "/v1/clients/a.b", Operation::Delete { client_id: id() }),
            ("POST", "/v1/clients/a.b/secrets", Operation::AddSecret { client_id: id() }),
            (
                "DELETE",
                "/v1/clients/a.b/secrets/s%5F1",
                Operation::EndSecret { client_id: id(), secret_id: "s_1".to_owned() },
            ),
            ("POST", "/v1/clients/a.b/totp", Operation::NewTotp { client_id: id() }),
            ("POST", "/v1/clients/a.b/end-tokens", Operation::EndTokens { client_id: id() }),
        ] {
            assert_eq!(find(method, path), Ok(Route::Operator(operation)), "{method} {path}");
        }
        for (path, allow) in [
            ("/v1/clients", "GET, HEAD, POST"),
            ("/v1/clients/a", "GET, HEAD, PATCH, DELETE"),
            ("/v1/clients/a/secrets", "POST"),
            ("/v1/clients/a/secrets/s", "DELETE"),
            ("/v1/clients/a/totp", "POST"),
            ("/v1/clients/a/end-tokens", "POST"),
        ] {
            assert_eq!(find("PUT", path), Err(not_allowed(allow)), "{path}");
        }
        for path in [
            "/v1/clients/",
            "/v1/clientsx",
            "/v1/clients//secrets",
            "/v1/clients/a/",
            "/v1/clients/a/secrets/",
            "/v1/clients/a/secrets/s/x",
            "/v1/clients/a/totp/x",
            "/v1/clients/a/end-tokens/",
            "/v1/clients/a/other",
            "/clients",
            "/v1/Clients",
        ] {
            assert_eq!(find("POST", path), Err(no_such_path()), "{path}");
        }
    }
}
