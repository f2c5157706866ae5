//! The claims of a verified token.

use serde_json::{Map, Value};

use crate::{Error, json, scope};

/// The claims of a valid short-term token (RFC 9068, section 2.2), as returned by
/// [`Verifier::verify`](crate::Verifier::verify). Does not contain the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessToken {
    pub iss: String,
    pub sub: String,
    pub client_id: String,
    pub aud: Vec<String>,
    /// Unix seconds.
    pub iat: u64,
    /// Unix seconds.
    pub exp: u64,
    /// The token's id, which may be logged.
    pub jti: String,
    /// Scopes, separated by single spaces: see [`AccessToken::require_scope`].
    pub scope: String,
    /// The id of the long-term token that this one was exchanged from.
    pub parent: Option<String>,
    /// When the client last authenticated with a credential of its own, Unix seconds (RFC 9068, section 2.2.1).
    pub auth_time: Option<u64>,
    pub(crate) nbf: Option<u64>,
}

impl AccessToken {
    /// RFC 9068, section 2.1.
    pub(crate) const TYP: &str = "at+jwt";

    /// Fails with [`Error::InsufficientScope`] (403) unless the token holds the scope, by name or by a wildcard
    /// (`jobs:*` covers `jobs:submit`).
    pub fn require_scope(&self, needed: &str) -> Result<(), Error> {
        if scope::covers(&self.scope, needed) {
            return Ok(());
        }
        // It is put into a quoted string of a header.
        let quotable = |c: &char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
        Err(Error::InsufficientScope(needed.chars().filter(quotable).collect()))
    }

    /// Parses a payload. Its signature has been checked, so an error here is the issuer's fault.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, Error> {
        let claims = Claims(json::object(payload).ok_or(Error::Claims)?);
        Ok(Self {
            iss: claims.text("iss")?,
            sub: claims.text("sub")?,
            client_id: claims.text("client_id")?,
            aud: claims.audience()?,
            iat: claims.seconds("iat")?,
            exp: claims.seconds("exp")?,
            jti: claims.text("jti")?,
            scope: claims.text("scope")?,
            parent: claims.optional("parent", Claims::text)?,
            auth_time: claims.optional("auth_time", Claims::seconds)?,
            nbf: claims.optional("nbf", Claims::seconds)?,
        })
    }
}

struct Claims(Map<String, Value>);

impl Claims {
    fn text(&self, name: &'static str) -> Result<String, Error> {
        self.0.get(name).and_then(Value::as_str).map(str::to_owned).ok_or(Error::Claim(name))
    }

    /// A NumericDate (RFC 7519, section 2). The issuer writes whole seconds; fractions are refused.
    fn seconds(&self, name: &'static str) -> Result<u64, Error> {
        self.0.get(name).and_then(Value::as_u64).ok_or(Error::Claim(name))
    }

    /// One string, or an array of them (RFC 7519, section 4.1.3).
    fn audience(&self) -> Result<Vec<String>, Error> {
        match self.0.get("aud") {
            Some(Value::String(one)) => Some(vec![one.clone()]),
            Some(Value::Array(many)) => many.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
            _ => None,
        }
        .ok_or(Error::Claim("aud"))
    }

    fn optional<T>(
        &self,
        name: &'static str,
        read: impl Fn(&Self, &'static str) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.0.contains_key(name).then(|| read(self, name)).transpose()
    }
}
