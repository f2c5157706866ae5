//! (method, path) → one of the operations; and the audit line of what came of it.

use core::future::ready;

use futures_util::future::LocalBoxFuture;
use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::discovery;
use crate::error::{Error, TokenFault};
use crate::health::health;
use crate::host::Host;
use crate::introspect::introspect;
use crate::issue_long::issue_long;
use crate::issue_short::issue_short;
use crate::request::{Body, Call};
use crate::response::Response;
use crate::revoke::revoke;
use crate::settings::Settings;
use crate::token::{self, Presented};
use crate::token_id::Kind;

/// Where a call goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    IssueLong,
    IssueShort,
    Revoke { token_id: String },
    Introspect,
    Jwks,
    Metadata,
    OpenApi,
    Docs,
    Health,
}

/// What was decided and for whom: one line in the log per call. It holds ids and codes, never a credential.
#[derive(Debug, Default, Serialize)]
pub struct Audit {
    /// The operation, by its `operationId`.
    pub event: &'static str,
    /// `issued`, `revoked`, `introspected`, `served`, `ready`, or the code of the refusal.
    pub outcome: &'static str,
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The token that was made or revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// The token that the caller presented.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<&'static str>,
    /// What the operator should know and the caller should not: which dependency or setting failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Cloudflare's id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ray: Option<String>,
}

impl Route {
    /// Finds the operation. The path is compared as it was sent: another case, a doubled or a final slash is another path.
    pub fn find(settings: &Settings, method: &str, path: &str) -> Result<Self, Error> {
        let route = match path {
            "/.well-known/jwks.json" => Self::Jwks,
            "/openapi.json" => Self::OpenApi,
            "/docs" => Self::Docs,
            "/healthz" => Self::Health,
            path if settings.is_metadata_path(path) => Self::Metadata,
            path => Self::below(path.strip_prefix(settings.base_path.as_str())).ok_or(Error::PathNotFound)?,
        };
        let (known, allow) = match route {
            Self::IssueLong | Self::IssueShort | Self::Revoke { .. } | Self::Introspect => (method == "POST", "POST"),
            _ => (matches!(method, "GET" | "HEAD"), "GET, HEAD"),
        };
        if known { Ok(route) } else { Err(Error::MethodNotAllowed { allow }) }
    }

    fn below(path: Option<&str>) -> Option<Self> {
        Some(match path?.strip_prefix("/auth/tokens/")? {
            "long" => Self::IssueLong,
            "short" => Self::IssueShort,
            "introspect" => Self::Introspect,
            rest => {
                let token_id = rest.strip_suffix("/revoke").filter(|id| !id.is_empty() && !id.contains('/'))?;
                // What does not decode is no id either, and is refused as one.
                Self::Revoke { token_id: percent_decode_str(token_id).decode_utf8_lossy().into_owned() }
            }
        })
    }

    /// Whether the operation has a use for the request's body.
    pub fn reads_body(&self) -> bool {
        matches!(self, Self::IssueLong | Self::IssueShort | Self::Introspect)
    }

    /// The tokens that the operation accepts in the `Authorization` header, where it needs one whatever the body holds.
    fn callers(&self, call: &Call) -> Option<&'static [Kind]> {
        match self {
            Self::IssueShort if call.authorization.is_some() => Some(&[Kind::Long]),
            Self::Revoke { .. } | Self::Introspect => Some(&[Kind::Long, Kind::Short]),
            _ => None,
        }
    }

    /// The `operationId`, and what success is called in the audit line.
    const fn event(&self) -> (&'static str, &'static str) {
        match self {
            Self::IssueLong => ("issueLongTermToken", "issued"),
            Self::IssueShort => ("issueShortTermToken", "issued"),
            Self::Revoke { .. } => ("revokeToken", "revoked"),
            Self::Introspect => ("introspectToken", "introspected"),
            Self::Jwks => ("getJwks", "served"),
            Self::Metadata => ("getMetadata", "served"),
            Self::OpenApi => ("getOpenApi", "served"),
            Self::Docs => ("getDocs", "served"),
            Self::Health => ("getHealth", "ready"),
        }
    }
}

/// Answers a call, whatever comes of it. `read` reads the body, and then the clock: Unix seconds.
pub async fn answer(
    settings: &Settings,
    host: &impl Host,
    route: &Route,
    call: Call,
    read: impl AsyncFnOnce() -> (Body, u64),
) -> (Response, Audit) {
    let (event, success) = route.event();
    let mut audit = Audit { event, outcome: success, ..Audit::default() };
    let result = operate(settings, host, route, call, read, &mut audit).await;
    let response = result.unwrap_or_else(|error| audit.refuse(&error));
    audit.status = response.status;
    (response, audit)
}

async fn operate(
    settings: &Settings,
    host: &impl Host,
    route: &Route,
    mut call: Call,
    read: impl AsyncFnOnce() -> (Body, u64),
    audit: &mut Audit,
) -> Result<Response, Error> {
    // A token that no body can save is refused before the body is read.
    let caller = match route.callers(&call) {
        Some(kinds) => Some(token::caller(settings, host, &call, kinds).await?),
        None => None,
    };
    if route.reads_body() {
        // A sender may hold its body back for as long as it likes, so the time is that of its end.
        (call.body, call.now) = read().await;
    }
    if let Some(caller) = &caller {
        caller.check_end(call.now)?;
        audit.presented(caller);
    }
    let call = &call;
    // Boxed, so that each stays a function of its own: a fresh isolate compiles a function when it is first called.
    let operation: LocalBoxFuture<'_, _> = match route {
        Route::IssueLong => Box::pin(issue_long(settings, host, call, audit)),
        Route::IssueShort => Box::pin(issue_short(settings, host, call, caller, audit)),
        Route::Revoke { token_id } => {
            Box::pin(revoke(settings, host, call, caller.ok_or(TokenFault::Missing)?, token_id, audit))
        }
        Route::Introspect => Box::pin(introspect(settings, host, call, caller.ok_or(TokenFault::Missing)?, audit)),
        Route::Health => Box::pin(health(host)),
        Route::Jwks => Box::pin(ready(Ok(discovery::jwks(settings)))),
        Route::Metadata => Box::pin(ready(Ok(discovery::metadata(settings)))),
        Route::OpenApi => Box::pin(ready(Ok(discovery::openapi(settings)))),
        Route::Docs => Box::pin(ready(Ok(discovery::docs(settings)))),
    };
    operation.await
}

impl Audit {
    /// Notes the token that the caller presented, and whose it is.
    pub fn presented(&mut self, token: &Presented) {
        self.client_id = Some(token.client_id.clone());
        self.by = Some(token.id.clone());
    }

    /// The line of a call that was refused before it reached an operation.
    pub fn of_refusal(error: &Error) -> (Response, Self) {
        let mut audit = Self { event: "none", ..Self::default() };
        let response = audit.refuse(error);
        audit.status = response.status;
        (response, audit)
    }

    fn refuse(&mut self, error: &Error) -> Response {
        (_, self.outcome) = error.status_and_code();
        self.problem = error.for_the_log();
        error.respond()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;

    fn find(base: &str, path: &str) -> Result<Route, Error> {
        Route::find(&Settings { base_path: base.to_owned(), ..settings() }, "POST", path)
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
            assert_eq!(find("/v1", path), Err(Error::PathNotFound), "{path}");
        }
    }

    #[test]
    fn other_methods() {
        let refusal = |method: &str, path: &str| Route::find(&settings(), method, path).unwrap_err();
        for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "post", "POSTS", ""] {
            for path in ["long", "short", "introspect", "x/revoke"] {
                let path = format!("/v1/auth/tokens/{path}");
                assert_eq!(refusal(method, &path), Error::MethodNotAllowed { allow: "POST" }, "{method} {path}");
            }
            assert_eq!(refusal(method, "/v1/nothing"), Error::PathNotFound);
        }
        for path in
            ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/openapi.json", "/docs", "/healthz"]
        {
            for method in ["GET", "HEAD"] {
                assert!(Route::find(&settings(), method, path).is_ok());
            }
            assert_eq!(refusal("POST", path), Error::MethodNotAllowed { allow: "GET, HEAD" });
            assert_eq!(refusal("GET", &format!("/v1{path}")), Error::PathNotFound);
        }
    }

    #[test]
    fn the_metadata_of_an_issuer_with_a_path() {
        let settings = Settings { issuer: "https://auth.example.com/tenant".into(), ..settings() };
        let find = |path: &str| Route::find(&settings, "GET", path);
        assert_eq!(find("/.well-known/oauth-authorization-server/tenant"), Ok(Route::Metadata));
        assert_eq!(find("/.well-known/oauth-authorization-server"), Err(Error::PathNotFound));
    }

    #[test]
    fn a_broken_escape_is_an_id_that_no_token_has() {
        for id in ["%", "%z", "%ff", "%2F", "%00"] {
            assert!(matches!(find("/v1", &format!("/v1/auth/tokens/{id}/revoke")), Ok(Route::Revoke { .. })), "{id}");
        }
    }
}
