//! Sends one request and reads one answer within a time limit. The only file that names the HTTP client.

use futures_util::{StreamExt, stream};
use std::convert::Infallible;
use std::error::Error as _;
use std::time::Duration;

/// The longest body that is read. No answer of the contract comes near it.
const BODY_CAP: usize = 64 * 1024;
/// The revocation feed grows with the deployment: 16 MiB hold about 300,000 entries.
const FEED_CAP: usize = 16 * 1024 * 1024;

/// Paths below this are relative to the origin, whatever the base path (RFC 8615 section 3).
const WELL_KNOWN: &str = "/.well-known/";
/// So are the paths of the documents about the service.
const DOCUMENTS: [&str; 3] = ["/openapi.json", "/docs", "/healthz"];

/// Whether a path is relative to the origin. These documents are public: no token is in them.
pub fn is_at_origin(path: &str) -> bool {
    path.starts_with(WELL_KNOWN) || DOCUMENTS.contains(&path.split('?').next().unwrap_or_default())
}

/// The start of the message for a connection that ended too early.
pub const BROKE: &str = "the connection broke";
/// The start of the message for an answer that did not come in time.
pub const SILENT: &str = "no whole answer";

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// What follows the base URL, or the origin if [`is_at_origin`].
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Sent chunked, without `Content-Length`.
    pub chunked: bool,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.unset(name);
        self.headers.push((name.to_owned(), value.into()));
    }

    pub fn unset(&mut self, name: &str) {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// When the request was sent, in seconds since the epoch.
    pub asked: u64,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// `error` in the challenge, as a token or a quoted string (RFC 9110 section 11.2).
    pub fn challenge_error(&self) -> Option<&str> {
        let challenge = self.header("www-authenticate")?;
        let parameter = |part: &str| part.trim_start().to_ascii_lowercase().starts_with("error=");
        let part = challenge.split([' ', ',']).find(|part| parameter(part))?;
        Some(part.split_once('=')?.1.trim().trim_matches('"'))
    }

    /// The items of a list, such as `Cache-Control`. It may be spread over several header lines (RFC 9110 section 5.3).
    pub fn list(&self, name: &str) -> Vec<&str> {
        let lines = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        lines.flat_map(|(_, value)| value.split(',').map(str::trim)).collect()
    }

    /// Whether `Cache-Control` has this directive, beside any others.
    pub fn has_cache_directive(&self, directive: &str) -> bool {
        self.list("cache-control").iter().any(|one| one.eq_ignore_ascii_case(directive))
    }

    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Why there is no complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// No connection: nothing listens, the host is unknown, or the TLS handshake failed.
    Unreachable(String),
    /// The server accepted the connection but did not answer completely.
    Unfinished(String),
    /// The same, with the part of the answer that arrived.
    CutShort(String, Answer),
    /// The request contains something that a URL or header must not contain.
    Unsendable(String),
}

impl Broken {
    pub fn partial(&self) -> Option<&Answer> {
        match self {
            Self::CutShort(_, answer) => Some(answer),
            _ => None,
        }
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(why) | Self::Unfinished(why) | Self::CutShort(why, _) | Self::Unsendable(why) => {
                f.write_str(why)
            }
        }
    }
}

/// How every request reaches the deployment.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// Sent with every request, for a proxy in front of the deployment. Their values are secrets.
    pub headers: Vec<(String, String)>,
    /// Certificates (PEM) to trust besides the system's.
    pub roots: Option<Vec<u8>>,
}

#[derive(Clone)]
pub struct Client {
    inner: reqwest::Client,
    base: String,
    origin: String,
    timeout: Duration,
    pub way: Way,
}

impl Client {
    /// `base` without its trailing slash, already checked by [`check_base`].
    pub fn new(base: &str, timeout: Duration, way: Way) -> Result<Self, String> {
        // Fails only if a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("conformance/", env!("CARGO_PKG_VERSION")))
            // Many servers close idle connections after 5 seconds. A request must not be sent on one that is about to close.
            .pool_idle_timeout(Duration::from_secs(2));
        if is_loopback(base) {
            builder = builder.no_proxy();
        }
        let mut roots = Vec::new();
        if let Some(pem) = &way.roots {
            roots = reqwest::Certificate::from_pem_bundle(pem).map_err(|e| format!("--cacert: {}", root_cause(&e)))?;
            if roots.is_empty() {
                return Err(
                    "--cacert: the file contains no certificate; give PEM, which begins with -----BEGIN".to_owned()
                );
            }
        }
        builder = match base.starts_with("http://") {
            // Skip reading the system's certificates: it takes longer than many runs.
            true => builder.tls_certs_only([]),
            false => builder.tls_certs_merge(roots),
        };
        let inner = builder.build().map_err(|e| format!("the HTTP client can't start: {}", root_cause(&e)))?;
        Ok(Self { inner, base: String::new(), origin: String::new(), timeout, way }.at(base))
    }

    /// The same client with another base URL.
    pub fn at(&self, base: &str) -> Self {
        let origin =
            reqwest::Url::parse(base).map_or_else(|_| base.to_owned(), |url| url.origin().ascii_serialization());
        Self { base: base.to_owned(), origin, ..self.clone() }
    }

    /// Whether the server is on this machine, and so uses the same clock.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.base)
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", if is_at_origin(path) { &self.origin } else { &self.base })
    }

    /// Waits at most `limit`, and at most the client's own time limit.
    pub async fn send(&self, request: &Request, limit: Duration) -> Result<Answer, Broken> {
        let limit = self.timeout.min(limit);
        let mut came = None;
        let outcome = tokio::time::timeout(limit, self.exchange(request, &mut came)).await;
        let why = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(broken @ (Broken::Unreachable(_) | Broken::Unsendable(_)))) => return Err(broken),
            Ok(Err(broken)) => Some(broken.to_string()),
            Err(_) => Some(format!("{SILENT} within {} (--timeout)", human(limit))),
        };
        match (why, came) {
            (None, Some(answer)) => Ok(answer),
            (Some(why), Some(answer)) => Err(Broken::CutShort(why, answer)),
            (why, None) => Err(Broken::Unfinished(why.unwrap_or_default())),
        }
    }

    /// Stores what arrives in `came`, also if it fails later.
    async fn exchange(&self, request: &Request, came: &mut Option<Answer>) -> Result<(), Broken> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|e| Broken::Unsendable(format!("the request can't be made: {e}")))?;
        let mut builder = self.inner.request(method, self.url(&request.path));
        for (name, value) in request.headers.iter().chain(&self.way.headers) {
            builder = builder.header(name, value);
        }
        if request.chunked {
            let pieces: Vec<_> = request.body.chunks(4096).map(|c| Ok::<_, Infallible>(c.to_vec())).collect();
            builder = builder.body(reqwest::Body::wrap_stream(stream::iter(pieces)));
        } else if !request.body.is_empty() {
            builder = builder.body(request.body.clone());
        } else if request.method == "POST" {
            builder = builder.header("content-length", "0");
        }
        let response = builder.send().await.map_err(|e| explain(&e))?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
            .collect();
        let answer = came.insert(Answer { asked: 0, status, headers, body: Vec::new() });
        let cap = if is_at_origin(&request.path) { FEED_CAP } else { BODY_CAP };
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|e| {
                Broken::Unfinished(format!("status {status}, then the body broke off: {}", root_cause(&e)))
            })?;
            answer.body.extend_from_slice(&piece);
            if answer.body.len() > cap {
                return Err(Broken::Unfinished(format!(
                    "status {status} with a body of more than {} KiB, more than any answer of the contract",
                    cap / 1024
                )));
            }
        }
        Ok(())
    }
}

fn explain(error: &reqwest::Error) -> Broken {
    let cause = root_cause(error);
    if error.is_builder() {
        return Broken::Unsendable(format!("the request can't be made: {cause}"));
    }
    if error.is_connect() {
        let lower = cause.to_lowercase();
        let what = if lower.contains("certificate") || lower.contains("tls") || lower.contains("corrupt message") {
            "the TLS handshake failed"
        } else if lower.contains("dns") || lower.contains("lookup") || lower.contains("name or service") {
            "unknown host"
        } else {
            "no connection"
        };
        Broken::Unreachable(format!("{what}: {cause}"))
    } else {
        Broken::Unfinished(format!("{BROKE} before a whole answer: {cause}"))
    }
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let _ = error.source();
    cause.to_string()
}

pub fn human(time: Duration) -> String {
    match time.as_millis() {
        ms if ms < 1000 => format!("{ms} ms"),
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{:.1} s", ms as f64 / 1000.0),
    }
}

/// Headers that the cases set themselves.
const OWN: [&str; 8] = [
    "authorization",
    "content-type",
    "content-length",
    "transfer-encoding",
    "host",
    "x-client-id",
    "accept",
    "if-match",
];

/// Parses `NAME:VALUE`, as for curl's -H. An error never contains the value.
pub fn check_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("--header has no colon: write NAME:VALUE")?;
    let (name, value) = (name.trim().to_lowercase(), value.trim());
    if reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err("--header: the text before the colon is not a header name; write NAME:VALUE".to_owned());
    }
    if value.is_empty() || reqwest::header::HeaderValue::from_str(value).is_err() {
        return Err(format!(
            "--header {name}: the value is empty or contains characters that a header must not contain"
        ));
    }
    if OWN.contains(&name.as_str()) {
        return Err(format!(
            "--header {name}: the cases set this header themselves, so it can't be added to every request"
        ));
    }
    Ok((name, value.to_owned()))
}

/// Checks the base URL, and removes its trailing slash.
pub fn check_base(text: &str) -> Result<String, String> {
    if !text.contains("://") {
        return Err(format!("--base-url {text} has no scheme: did you mean https://{text}"));
    }
    let url = reqwest::Url::parse(text)
        .map_err(|e| format!("--base-url is not a URL ({e}); give one such as https://auth.example.com/v1"))?;
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
        return Err("--base-url must start with https:// (or http:// on loopback)".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("--base-url must not contain a user, password, query or fragment".to_owned());
    }
    if url.scheme() == "http" && !is_loopback(text) {
        return Err(
            "--base-url must be https:// unless the host is loopback: secrets would be sent unencrypted".to_owned()
        );
    }
    // With scheme and host in lower case: assertions name the endpoint's URL.
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

pub fn is_loopback(base: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(base) else { return false };
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_normalised() {
        assert_eq!(check_base("HTTPS://Auth.Example.com:443/v1/").unwrap(), "https://auth.example.com/v1");
        assert_eq!(check_base("http://127.0.0.1:8787").unwrap(), "http://127.0.0.1:8787");
        assert!(check_base("http://auth.example.com").is_err());
    }

    #[test]
    fn public_documents_are_at_the_origin() {
        let client = Client::new("https://auth.example.com:8443/v1", Duration::from_secs(1), Way::default()).unwrap();
        assert_eq!(client.url("/auth/tokens/long"), "https://auth.example.com:8443/v1/auth/tokens/long");
        assert_eq!(client.url("/.well-known/jwks.json"), "https://auth.example.com:8443/.well-known/jwks.json");
        assert_eq!(client.url("/docs"), "https://auth.example.com:8443/docs");
        assert_eq!(client.url("/docs/x"), "https://auth.example.com:8443/v1/docs/x");
    }

    #[test]
    fn an_error_names_a_header_and_hides_its_value() {
        assert_eq!(check_header("CF-Access: canary"), Ok(("cf-access".to_owned(), "canary".to_owned())));
        for wrong in ["canary", "Authorization: canary", "a b: canary", "x: canary\u{1}canary", "x:"] {
            let error = check_header(wrong).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn https_off_loopback() {
        assert!(check_base("http://auth.example.com/v1").is_err());
        assert!(check_base("http://127.0.0.1.example.com/v1").is_err());
        assert!(check_base("https://u:p@auth.example.com").is_err());
        assert_eq!(check_base("http://127.0.0.1:8787/v1/").as_deref(), Ok("http://127.0.0.1:8787/v1"));
        assert!(check_base("http://[::1]:1/v1").is_ok() && check_base("http://localhost/v1").is_ok());
    }
}
