//! Public documents: the public keys (RFC 7517), the metadata (RFC 8414), the OpenAPI document and the reference page.

use std::borrow::Cow;

use serde::Serialize;

use crate::client::jwk::{JwkSet, PublicJwk};
use crate::host::{Document, Host};
use crate::response::Response;
use crate::settings::Settings;

/// How long clients may cache these, seconds. A new key must be published for longer than this before it signs.
const MAX_AGE: u64 = 300;
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// The public half of a key (RFC 8037).
#[derive(Serialize)]
struct VerifyingKey<'a> {
    kty: &'a str,
    crv: Option<&'a str>,
    x: Option<&'a str>,
    kid: &'a str,
    alg: &'a str,
    r#use: &'static str,
}

/// RFC 8414, section 2. There is no `token_endpoint`, and the lists of grant and response types are empty: the
/// operations take JSON and name an error in `code`, so a stock OAuth client could not use them.
#[derive(Serialize)]
struct Metadata<'a> {
    issuer: &'a str,
    jwks_uri: String,
    grant_types_supported: [&'static str; 0],
    response_types_supported: [&'static str; 0],
    scopes_supported: [&'static str; 3],
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    revocations_uri: Option<String>,
    service_documentation: String,
}

/// The public keys of short-term tokens: the signing one first, then keys published in advance, and keys whose tokens
/// are still live.
pub fn jwks(settings: &Settings) -> Response {
    cacheable(&JwkSet { keys: settings.keys.short.iter().map(|key| public(&key.public)).collect() })
}

fn public(key: &PublicJwk) -> VerifyingKey<'_> {
    let PublicJwk { kty, crv, x, kid, alg, .. } = key;
    VerifyingKey { kty, crv: crv.as_deref(), x: x.as_deref(), kid, alg, r#use: "sig" }
}

pub fn metadata(settings: &Settings) -> Response {
    let origin = settings.origin();
    cacheable(&Metadata {
        issuer: &settings.issuer,
        jwks_uri: format!("{origin}/.well-known/jwks.json"),
        grant_types_supported: [],
        response_types_supported: [],
        scopes_supported: ["tokens:write", "tokens:revoke", "tokens:introspect"],
        introspection_endpoint: format!("{origin}{}/auth/tokens/introspect", settings.base_path),
        introspection_endpoint_auth_methods_supported: ["Bearer"],
        revocations_uri: settings.has_feed().then(|| format!("{origin}/.well-known/revocations")),
        service_documentation: format!("{origin}/docs"),
    })
}

/// The OpenAPI document, with this deployment's base path.
pub fn openapi(settings: &Settings, host: &impl Host) -> Response {
    document(JSON, fill(settings, &host.document(Document::OpenApi)))
}

/// The reference page, with this deployment's URL in its examples. The first line of the stored text is the page's
/// Content-Security-Policy, which lets it load nothing from other hosts.
pub fn docs(settings: &Settings, host: &impl Host) -> Response {
    let text = host.document(Document::Docs);
    let (policy, page) = text.split_once('\n').unwrap_or(("default-src 'none'", &text));
    let mut response = document(HTML, fill(settings, page));
    response.headers.push(("Content-Security-Policy", format!("{policy}; frame-ancestors 'none'")));
    response
}

/// Fills in the placeholders that `tools/openapi.mjs` left: origin, base path, and base path or "/".
fn fill(settings: &Settings, text: &str) -> String {
    let base = settings.base_path.as_str();
    let root = if base.is_empty() { "/" } else { base };
    text.replace('\u{1}', settings.origin()).replace('\u{2}', base).replace('\u{3}', root)
}

fn cacheable(body: &impl Serialize) -> Response {
    Response::json(200, body).cacheable(MAX_AGE)
}

fn document(content_type: &'static str, body: impl Into<Cow<'static, str>>) -> Response {
    let mut response = Response::empty(200).cacheable(MAX_AGE);
    response.headers.push(("Content-Type", content_type.to_owned()));
    response.body = Some(body.into());
    response
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::settings::tests::settings;

    fn body(response: &Response) -> Value {
        serde_json::from_str(response.body.as_deref().unwrap()).unwrap()
    }

    #[test]
    fn only_public_halves_are_served() {
        let response = jwks(&settings());
        let expected = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "s", "alg": "EdDSA", "use": "sig"}]});
        assert_eq!(body(&response), expected);
        assert!(response.headers.contains(&("Cache-Control", "public, max-age=300".to_owned())));
    }

    #[test]
    fn the_metadata_names_the_endpoints() {
        let metadata = body(&metadata(&settings()));
        assert_eq!(metadata["issuer"], "https://auth.example.com");
        assert_eq!(metadata["introspection_endpoint"], "https://auth.example.com/v1/auth/tokens/introspect");
        // A stock OAuth client must not mistake /long for its token endpoint.
        for (name, value) in metadata.as_object().unwrap() {
            assert!(!name.starts_with("token_endpoint") && !value.to_string().contains("/long"), "{name}");
        }
        assert_eq!(metadata["jwks_uri"], "https://auth.example.com/.well-known/jwks.json");
    }
}
