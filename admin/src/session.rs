//! An operator's session: logs in, renews its token, waits when the service asks for it, and revokes its token at the
//! end. The only file that uses the HTTP client.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH, RETRY_AFTER};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::operator::{Credentials, is_loopback};
use crate::output::{note, plain};

/// The `ttl_seconds` of the session's long-term token: the shortest that the service accepts.
const LOGIN_SECONDS: u64 = 3600;
/// A token that expires sooner than this is renewed before use.
const MARGIN: Duration = Duration::from_secs(60);
const TRIES: u32 = 6;
/// The longest total wait between the attempts of one call.
const LONGEST_TOTAL_WAIT: Duration = Duration::from_secs(150);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const SHORTEST_WAIT: Duration = Duration::from_millis(200);
/// The longest accepted response, bytes. A page of 1,000 clients is about a sixth of this.
const BODY_CAP: usize = 1024 * 1024;

pub struct Session {
    http: reqwest::Client,
    credentials: Credentials,
    scopes: &'static [&'static str],
    tokens: Mutex<Option<Tokens>>,
}

struct Tokens {
    long: HeaderValue,
    long_id: String,
    long_ends: Instant,
    short: HeaderValue,
    short_ends: Instant,
}

pub struct Request {
    method: Method,
    /// The path, after the base URL.
    path: String,
    body: Option<String>,
    if_match: Option<String>,
}

impl Request {
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), body: None, if_match: None }
    }

    pub fn body(mut self, members: &Map<String, Value>) -> Self {
        self.body = Some(Value::from(members.clone()).to_string());
        self
    }

    pub fn if_match(mut self, etag: Option<&str>) -> Self {
        self.if_match = etag.map(str::to_owned);
        self
    }
}

pub struct Answer {
    pub status: u16,
    pub etag: Option<String>,
    pub text: String,
    retry_after: Option<Duration>,
}

/// The result of one attempt at a call.
pub enum Tried {
    Answered(Answer),
    /// 503, or no complete response: the call may or may not have taken effect. The wait before the next attempt is
    /// over.
    Unsure,
    /// No attempt is left.
    GaveUp {
        problem: String,
        unsure: bool,
    },
}

/// How often, and for how long in total, a call may still be retried.
pub struct Retries {
    tries: u32,
    left: Duration,
}

impl Retries {
    pub const fn new() -> Self {
        Self { tries: TRIES - 1, left: LONGEST_TOTAL_WAIT }
    }

    /// Waits before the next attempt. Returns `false` if there is none left.
    async fn wait(&mut self, asked: Option<Duration>, why: &str) -> bool {
        let backoff = SHORTEST_WAIT * 2u32.pow(TRIES - 1 - self.tries.min(TRIES - 1));
        let wait = asked.unwrap_or(backoff).clamp(SHORTEST_WAIT, LONGEST_WAIT);
        if self.tries == 0 || wait > self.left {
            return false;
        }
        note(&format!("{why}; trying again in {} s", wait.as_secs_f32()));
        self.tries -= 1;
        self.left -= wait;
        sleep(wait).await;
        true
    }
}

/// Why there is no response.
enum Broken {
    /// Nothing was sent.
    Unreachable(String),
    /// The request may have arrived.
    Lost(String),
}

impl Session {
    /// Logs in with these scopes at once, so that a wrong credential is found before anything is changed.
    pub async fn open(credentials: Credentials, scopes: &'static [&'static str]) -> Result<Self, String> {
        // Fails only if a provider is already installed, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("auth-edge-admin/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(30))
            // Servers close idle connections, many after 5 seconds; reusing one that was just closed would fail the
            // request.
            .pool_idle_timeout(Duration::from_secs(2));
        if reqwest::Url::parse(&credentials.url).is_ok_and(|url| is_loopback(&url)) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| format!("the HTTP client can't start: {error}"))?;
        let session = Self { http, credentials, scopes, tokens: Mutex::new(None) };
        match session.bearer(None).await {
            Ok(_) => Ok(session),
            Err(problem) => {
                session.close().await;
                Err(problem)
            }
        }
    }

    pub fn operator(&self) -> &Credentials {
        &self.credentials
    }

    /// Repeats an idempotent call until it is answered. Also returns whether an earlier attempt may have taken effect.
    pub async fn call(&self, request: &Request) -> Result<(Answer, bool), String> {
        let mut retries = Retries::new();
        let mut repeated = false;
        loop {
            match self.attempt(request, &mut retries).await? {
                Tried::Answered(answer) => return Ok((answer, repeated)),
                Tried::Unsure => repeated = true,
                Tried::GaveUp { problem, unsure } if (unsure || repeated) && request.method != Method::GET => {
                    return Err(format!(
                        "{problem}. The change may have been stored anyway: run this again until it succeeds"
                    ));
                }
                Tried::GaveUp { problem, .. } => return Err(problem),
            }
        }
    }

    /// Makes one attempt at a call. Failures that certainly had no effect (429, an expired or revoked token, no
    /// connection) are retried here.
    pub async fn attempt(&self, request: &Request, retries: &mut Retries) -> Result<Tried, String> {
        let mut renewed = false;
        loop {
            let bearer = self.bearer(None).await?;
            let (problem, asked, unsure) = match self.send(request, Some(&bearer)).await {
                Ok(answer) if answer.status == 401 && answer.code() == "invalid_token" && !renewed => {
                    renewed = true;
                    self.bearer(Some(&bearer)).await?;
                    continue;
                }
                Ok(answer) if answer.status == 503 => (answer.problem(), answer.retry_after, true),
                Ok(answer) if answer.status == 429 => (answer.problem(), answer.retry_after, false),
                Ok(answer) => return Ok(Tried::Answered(answer)),
                Err(Broken::Lost(problem)) => (problem, None, true),
                Err(Broken::Unreachable(problem)) => (problem, None, false),
            };
            if !retries.wait(asked, &problem).await {
                return Ok(Tried::GaveUp { problem, unsure });
            }
            if unsure {
                return Ok(Tried::Unsure);
            }
        }
    }

    /// A short-term token with at least `MARGIN` left. `ended` is one that the service no longer accepts.
    async fn bearer(&self, ended: Option<&HeaderValue>) -> Result<HeaderValue, String> {
        let mut tokens = self.tokens.lock().await;
        let soon = Instant::now() + MARGIN;
        if let Some(tokens) = &*tokens
            && tokens.short_ends > soon
            && ended != Some(&tokens.short)
        {
            return Ok(tokens.short.clone());
        }
        if let Some(kept) = &mut *tokens
            && kept.long_ends > soon
            && ended.is_none()
            && self.exchange(kept).await.is_ok()
        {
            return Ok(kept.short.clone());
        }
        let mut fresh = self.log_in().await?;
        let exchanged = self.exchange(&mut fresh).await;
        let short = fresh.short.clone();
        // Stored even if the exchange failed, so that `close` revokes it.
        *tokens = Some(fresh);
        exchanged.map(|()| short)
    }

    async fn log_in(&self) -> Result<Tokens, String> {
        let operator = &self.credentials;
        let asked = Instant::now();
        let body = json!({
            "grant_type": "client_credentials",
            "client_id": operator.client_id,
            "client_secret": operator.client_secret,
            "scopes": self.scopes,
            "ttl_seconds": LOGIN_SECONDS,
        });
        let request = Request { body: Some(body.to_string()), ..Request::new(Method::POST, "/auth/tokens/long") };
        let answer = self.send_with_retries(&request, None).await?;
        let text = |name: &str| answer.member(name).and_then(|value| value.as_str().map(str::to_owned));
        match (answer.status, answer.code().as_str()) {
            (201, _) => {
                let missing =
                    || format!("{}: the response to the login is not auth-edge's; is the URL right?", operator.url);
                let long = bearer_of(&text("access_token").ok_or_else(missing)?)?;
                Ok(Tokens {
                    short: long.clone(),
                    long,
                    long_id: text("token_id").ok_or_else(missing)?,
                    long_ends: asked + answer.lifetime().ok_or_else(missing)?,
                    short_ends: asked,
                })
            }
            (401, "invalid_client") => Err(format!(
                "{} does not know the operator {} with this secret: the secret belongs to another deployment, or was replaced",
                operator.url,
                plain(&operator.client_id)
            )),
            (403, "insufficient_scope") => Err(format!(
                "{} may not do this: the operator's own scopes must cover {}",
                plain(&operator.client_id),
                self.scopes.join(" and ")
            )),
            (404 | 405, _) => Err(format!(
                "there is no auth-edge at {}; give the URL up to /auth/tokens/long, for example \
                 https://auth.example.com/v1",
                operator.url
            )),
            _ => Err(format!("could not log in at {}: {}", operator.url, answer.problem())),
        }
    }

    async fn exchange(&self, tokens: &mut Tokens) -> Result<(), String> {
        let asked = Instant::now();
        let answer =
            self.send_with_retries(&Request::new(Method::POST, "/auth/tokens/short"), Some(&tokens.long)).await?;
        let token = answer.member("access_token").and_then(|value| value.as_str().map(str::to_owned));
        match (answer.status, token, answer.lifetime()) {
            (201, Some(token), Some(lifetime)) => {
                tokens.short = bearer_of(&token)?;
                tokens.short_ends = asked + lifetime;
                Ok(())
            }
            _ => Err(format!("could not log in at {}: {}", self.credentials.url, answer.problem())),
        }
    }

    /// Sends a token request, with retries: a token whose response was lost does no harm.
    async fn send_with_retries(&self, request: &Request, bearer: Option<&HeaderValue>) -> Result<Answer, String> {
        let mut retries = Retries::new();
        loop {
            let (problem, asked) = match self.send(request, bearer).await {
                Ok(answer) if matches!(answer.status, 429 | 503) => (answer.problem(), answer.retry_after),
                Ok(answer) => return Ok(answer),
                Err(Broken::Lost(problem)) => (problem, None),
                Err(Broken::Unreachable(problem)) => return Err(problem),
            };
            if !retries.wait(asked, &problem).await {
                return Err(problem);
            }
        }
    }

    /// Revokes the session's token. A failure is only reported: the token expires within the hour.
    pub async fn close(self) {
        let Some(tokens) = self.tokens.lock().await.take() else { return };
        let request = Request::new(Method::POST, format!("/auth/tokens/{}/revoke", tokens.long_id));
        let problem = match self.send(&request, Some(&tokens.long)).await {
            // 401: it has already ended, for example because the operator's own tokens were ended.
            Ok(answer) if matches!(answer.status, 204 | 401) => return,
            Ok(answer) => answer.problem(),
            Err(Broken::Unreachable(problem) | Broken::Lost(problem)) => problem,
        };
        note(&format!("this session's token could not be revoked ({problem}); it expires within an hour"));
    }

    async fn send(&self, request: &Request, bearer: Option<&HeaderValue>) -> Result<Answer, Broken> {
        let url = format!("{}{}", self.credentials.url, request.path);
        let mut builder = self.http.request(request.method.clone(), &url);
        match bearer {
            Some(bearer) => builder = builder.header(AUTHORIZATION, bearer),
            None => builder = builder.header("X-Client-Id", &self.credentials.client_id),
        }
        if let Some(body) = &request.body {
            builder = builder.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        if let Some(etag) = &request.if_match {
            builder = builder.header(IF_MATCH, etag);
        }
        let broken = |error: reqwest::Error| {
            let why = std::iter::successors(std::error::Error::source(&error), |error| error.source()).last();
            let why = why.map_or_else(|| error.to_string(), ToString::to_string);
            if error.is_connect() || error.is_builder() {
                Broken::Unreachable(format!(
                    "{} can't be reached ({why}); is it running, and is the URL right?",
                    self.credentials.url
                ))
            } else if error.is_timeout() {
                Broken::Lost("no complete response within 30 s".to_owned())
            } else {
                Broken::Lost(format!("the response was lost ({why})"))
            }
        };
        let mut response = builder.send().await.map_err(broken)?;
        let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let (status, etag) = (response.status().as_u16(), header(ETAG).map(str::to_owned));
        let retry_after = header(RETRY_AFTER).and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if bytes.len() + chunk.len() > BODY_CAP {
                return Err(Broken::Lost("the response is too long for auth-edge; is the URL right?".to_owned()));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Answer { status, etag, text: String::from_utf8_lossy(&bytes).into_owned(), retry_after })
    }
}

fn bearer_of(token: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
        "the service returned a token with characters that a header can't carry; is the URL right?".to_owned()
    })?;
    value.set_sensitive(true);
    Ok(value)
}

impl Answer {
    /// The body as a JSON object.
    pub fn object(&self) -> Result<Map<String, Value>, String> {
        serde_json::from_str(&self.text).map_err(|_| format!("answered {} without a JSON object", self.status))
    }

    fn member(&self, name: &str) -> Option<Value> {
        self.object().ok()?.remove(name)
    }

    fn lifetime(&self) -> Option<Duration> {
        self.member("expires_in")?.as_u64().map(Duration::from_secs)
    }

    pub fn code(&self) -> String {
        self.member("code").and_then(|code| code.as_str().map(plain)).unwrap_or_default()
    }

    /// The error, in the service's own words.
    pub fn problem(&self) -> String {
        let message = self.member("message").and_then(|message| message.as_str().map(plain));
        match message {
            Some(message) => format!("{} {}: {}", self.status, self.code(), message.trim_end_matches('.')),
            None => format!("the response ({}) is not auth-edge's; is the URL right?", self.status),
        }
    }
}
