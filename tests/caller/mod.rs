//! A client for tests against a running Worker: how requests are sent, and what every response must have.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[derive(Clone)]
pub struct Caller {
    /// Scheme, host and port.
    pub url: String,
    pub http: Client,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Caller {
    pub fn new(port: u16) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
        Self { url: format!("http://127.0.0.1:{port}"), http }
    }

    /// Waits until the Worker answers.
    pub async fn wait(&self) -> Result<(), ()> {
        for _ in 0..1200 {
            if self.http.get(format!("{}/ready", self.url)).send().await.is_ok_and(|answer| answer.status() == 404) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(())
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<String>) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.body(body.unwrap_or_default()).send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        Answer { status, headers, body: answer.text().await.unwrap() }
    }

    pub async fn long(&self, client_id: &str, body: &Value) -> Answer {
        self.send(Method::POST, "/v1/auth/tokens/long", &[JSON, ("X-Client-Id", client_id)], Some(body.to_string()))
            .await
    }

    pub async fn rotate(&self, short: &str, client_id: &str) -> Answer {
        let body = json!({"grant_type": "client_credentials", "client_id": client_id}).to_string();
        self.send(Method::POST, "/v1/auth/tokens/long", &[JSON, ("Authorization", &bearer(short))], Some(body)).await
    }

    pub async fn short(&self, long: &str, body: Option<Value>) -> Answer {
        let body = body.map(|body| body.to_string());
        self.send(Method::POST, "/v1/auth/tokens/short", &[JSON, ("Authorization", &bearer(long))], body).await
    }

    pub async fn revoke(&self, token: &str, id: &str) -> Answer {
        let path = format!("/v1/auth/tokens/{id}/revoke");
        self.send(Method::POST, &path, &[("Authorization", &bearer(token))], None).await
    }

    /// A call of the operators' API. `path` follows `/clients`.
    pub async fn operate(&self, operator: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let path = format!("/v1/clients{path}");
        let body = body.map(|body| body.to_string());
        self.send(method, &path, &[JSON, ("Authorization", &bearer(operator))], body).await
    }
}

impl Answer {
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.headers["cache-control"], "no-store");
        assert_eq!(self.headers["x-content-type-options"], "nosniff");
        assert_eq!(
            self.headers.contains_key("www-authenticate"),
            status == 401 || (status == 403 && self.body.contains("The bearer token lacks"))
        );
        let retry_after = self.headers.get("retry-after").map(|seconds| seconds.to_str().unwrap().parse::<u64>());
        assert_eq!(retry_after.is_some(), matches!(status, 429 | 503), "{retry_after:?}");
        assert!(retry_after.is_none_or(|seconds| seconds.unwrap() > 0));
        assert_eq!(self.body.is_empty(), status == 204);
        self
    }

    #[track_caller]
    pub fn code(&self, code: &str) {
        assert_eq!(self.json()["code"], code, "{}", self.body);
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// The body of a request for a long-term token, with the client's secret.
pub fn by_secret(client_id: &str, secret: &str) -> Value {
    json!({"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret})
}

pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

pub fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap()
}

/// The token in a response.
pub fn token(answer: &Value) -> &str {
    text(answer, "access_token")
}

/// Unix seconds.
#[allow(clippy::disallowed_methods, reason = "the server under test has the real clock")]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
