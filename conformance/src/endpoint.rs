//! Where the API's operations are, and what a bare call of each looks like.

use crate::http::Request;
use crate::mask::url_encoded;
use crate::matrix::Op;
use serde_json::Value;

pub const LONG: &str = "/auth/tokens/long";
pub const SHORT: &str = "/auth/tokens/short";
pub const CLIENTS: &str = "/clients";
pub const KEYS: &str = "/.well-known/jwks.json";
pub const METADATA: &str = "/.well-known/oauth-authorization-server";
pub const FEED: &str = "/.well-known/revocations";
/// The `typ` of the feed of ends, which is a JWT and no token.
pub const FEED_TYP: &str = "revocations+jwt";

/// The id is the server's own words: whatever it holds stays one segment.
pub fn revoke_path(id: &str) -> String {
    format!("/auth/tokens/{}/revoke", url_encoded(id))
}

pub fn client_path(id: &str) -> String {
    format!("{CLIENTS}/{}", url_encoded(id))
}

pub fn bearer(token: &str) -> (String, String) {
    ("authorization".to_owned(), format!("Bearer {token}"))
}

/// A call with a JSON body, or with none.
pub fn post(path: &str, token: Option<&str>, body: Option<Value>) -> Request {
    let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
    headers.extend(token.map(bearer));
    if body.is_some() {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    Request { method: "POST".to_owned(), path: path.to_owned(), headers, body, chunked: false }
}

/// A call with no header but its token's.
pub fn bare(method: &str, path: &str, token: Option<&str>) -> Request {
    let headers = token.map(bearer).into_iter().collect();
    Request { method: method.to_owned(), path: path.to_owned(), headers, body: Vec::new(), chunked: false }
}

/// `POST /auth/tokens/short` for all that the long-term token may have.
pub fn exchange(long: &str) -> Request {
    post(SHORT, Some(long), None)
}

pub fn revoke(token: &str, id: &str) -> Request {
    post(&revoke_path(id), Some(token), None)
}

pub fn operation(request: &Request) -> Op {
    let post = request.method == "POST";
    let path = request.path.split('?').next().unwrap_or_default();
    match path.split('/').collect::<Vec<_>>()[..] {
        ["", "auth", "tokens", "long"] if post => Op::Long,
        ["", "auth", "tokens", "short"] if post => Op::Short,
        ["", "auth", "tokens", id, "revoke"] if post && !id.is_empty() => Op::Revoke,
        ["", ".well-known" | "clients", ..] => Op::Service,
        _ => Op::Outside,
    }
}
