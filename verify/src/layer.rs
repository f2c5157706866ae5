//! A tower layer that requires a scope, and axum's extractor for the verified token.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use crate::{AccessToken, Error, Follower, Report, bearer};

/// Lets in requests with a valid token that holds a scope; answers the others 401, 403 or 503 with an empty body.
///
/// Requests that are let in have the [`AccessToken`] in their extensions. Every refusal is passed to
/// [`report`](crate::Follow::report).
#[derive(Clone, Debug)]
pub struct RequireScope {
    follower: Follower,
    scope: Option<Arc<str>>,
}

/// A service behind [`RequireScope`].
#[derive(Clone, Debug)]
pub struct RequireScopeService<S> {
    inner: S,
    gate: RequireScope,
}

impl Follower {
    /// A layer that requires this scope, held by name or by a wildcard (`jobs:*` covers `jobs:submit`).
    pub fn require_scope(&self, scope: impl Into<Arc<str>>) -> RequireScope {
        RequireScope { follower: self.clone(), scope: Some(scope.into()) }
    }

    /// A layer that requires a valid token, whatever its scopes.
    pub fn require_token(&self) -> RequireScope {
        RequireScope { follower: self.clone(), scope: None }
    }
}

impl RequireScope {
    async fn admit(&self, authorization: Result<Option<HeaderValue>, Error>) -> Result<AccessToken, Error> {
        let authorization = authorization?;
        let token = self.follower.verify(bearer(authorization.as_ref())?).await?;
        if let Some(scope) = &self.scope {
            token.require_scope(scope)?;
        }
        Ok(token)
    }
}

/// The header's value, which may be repeated only with the same value.
fn authorization(headers: &HeaderMap) -> Result<Option<HeaderValue>, Error> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let first = values.next();
    if values.any(|value| Some(value) != first) { Err(Error::Malformed) } else { Ok(first.cloned()) }
}

impl Error {
    /// The refusal as a response, with an empty body.
    pub fn response<B: Default>(&self) -> Response<B> {
        let mut response = Response::new(B::default());
        // Neither conversion fails: `status` is one of three, and `header` is ASCII without control characters.
        *response.status_mut() = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::UNAUTHORIZED);
        let (name, value) = self.header();
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl<S> Layer<S> for RequireScope {
    type Service = RequireScopeService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireScopeService { inner, gate: self.clone() }
    }
}

impl<S, B, R> Service<Request<B>> for RequireScopeService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // Uses the service that `poll_ready` checked; a clone might not be ready.
        let next = self.inner.clone();
        let mut inner = core::mem::replace(&mut self.inner, next);
        let gate = self.gate.clone();
        Box::pin(async move {
            match gate.admit(authorization(request.headers())).await {
                Ok(token) => {
                    request.extensions_mut().insert(token);
                    inner.call(request).await
                }
                Err(error) => {
                    gate.follower.report(&Report::Refused(&error));
                    Ok(error.response())
                }
            }
        })
    }
}

#[cfg(feature = "axum")]
mod axum {
    use axum_core::extract::FromRequestParts;
    use axum_core::response::{IntoResponse, Response};
    use http::StatusCode;
    use http::request::Parts;

    use crate::{AccessToken, Error};

    /// The verified token of a request behind [`RequireScope`](crate::RequireScope). On a route without that layer, the
    /// response is 500.
    impl<S: Sync> FromRequestParts<S> for AccessToken {
        type Rejection = StatusCode;

        async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
            parts.extensions.get().cloned().ok_or(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }

    /// For a scope that only the handler knows: `caller.require_scope(&needed)?`.
    impl IntoResponse for Error {
        fn into_response(self) -> Response {
            self.response()
        }
    }
}
