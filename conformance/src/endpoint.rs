//! The paths of the API's operations, and plain calls of them.

use crate::http::{Request, is_at_origin};
use crate::mask::url_encoded;
use crate::matrix::Op;
use serde_json::{Value, json};

pub const LONG: &str = "/auth/tokens/long";
pub const SHORT: &str = "/auth/tokens/short";
pub const INTROSPECT: &str = "/auth/tokens/introspect";
pub const CLIENTS: &str = "/clients";
pub const KEYS: &str = "/.well-known/jwks.json";
pub const METADATA: &str = "/.well-known/oauth-authorization-server";
pub const OPENAPI: &str = "/openapi.json";
pub const DOCS: &str = "/docs";
pub const HEALTH: &str = "/healthz";
pub const FEED: &str = "/.well-known/revocations";
/// The media type of an introspection request.
pub const FORM: &str = "application/x-www-form-urlencoded";
/// The `typ` of the revocation feed, which is a JWT but not a token.
pub const FEED_TYP: &str = "revocations+jwt";

/// The id comes from the server, so it is encoded: whatever it contains, it stays one segment.
pub fn revoke_path(id: &str) -> String {
    format!("/auth/tokens/{}/revoke", url_encoded(id))
}

pub fn client_path(id: &str) -> String {
    format!("{CLIENTS}/{}", url_encoded(id))
}

pub fn bearer(token: &str) -> (String, String) {
    ("authorization".to_owned(), format!("Bearer {token}"))
}

/// A call with or without a JSON body.
pub fn post(path: &str, token: Option<&str>, body: Option<Value>) -> Request {
    let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
    headers.extend(token.map(bearer));
    if body.is_some() {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    Request { method: "POST".to_owned(), path: path.to_owned(), headers, body, chunked: false }
}

/// A call without a body, and with no header but `Authorization`.
pub fn bare(method: &str, path: &str, token: Option<&str>) -> Request {
    let headers = token.map(bearer).into_iter().collect();
    Request { method: method.to_owned(), path: path.to_owned(), headers, body: Vec::new(), chunked: false }
}

/// `POST /auth/tokens/short` for all scopes of the long-term token.
pub fn exchange(long: &str) -> Request {
    post(SHORT, Some(long), None)
}

pub fn revoke(token: &str, id: &str) -> Request {
    post(&revoke_path(id), Some(token), None)
}

/// Introspection of a token, by a bearer.
pub fn introspect(bearer: &str, token: &str) -> Request {
    let mut request = post(INTROSPECT, Some(bearer), None);
    request.set("content-type", FORM);
    request.body = form(&[("token", token)]);
    request
}

/// A body of `application/x-www-form-urlencoded`.
pub fn form(fields: &[(&str, &str)]) -> Vec<u8> {
    let fields: Vec<_> = fields.iter().map(|(n, v)| format!("{}={}", url_encoded(n), url_encoded(v))).collect();
    fields.join("&").into_bytes()
}

/// A rotation for an hour, for these scopes or for all of the short-term token.
pub fn rotate(client_id: &str, short: &str, scopes: Option<&[&str]>) -> Request {
    let mut body = json!({"grant_type": "client_credentials", "client_id": client_id, "ttl_seconds": 3600});
    if let Some(scopes) = scopes {
        body["scopes"] = json!(scopes);
    }
    let mut request = post(LONG, Some(short), Some(body));
    request.set("x-client-id", client_id);
    request
}

pub fn operation(request: &Request) -> Op {
    let post = request.method == "POST";
    let path = request.path.split('?').next().unwrap_or_default();
    match path.split('/').collect::<Vec<_>>()[..] {
        ["", "auth", "tokens", "long"] if post => Op::Long,
        ["", "auth", "tokens", "short"] if post => Op::Short,
        ["", "auth", "tokens", id, "revoke"] if post && !id.is_empty() => Op::Revoke,
        ["", "auth", "tokens", "introspect"] if post => Op::Service,
        ["", "clients", ..] => Op::Service,
        _ if is_at_origin(path) => Op::Service,
        _ => Op::Outside,
    }
}
