//! A background task that keeps a verifier's keys and feed up to date, for native servers.

use core::fmt;
use std::collections::hash_map::RandomState;
use std::error::Error as StdError;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{ACCEPT, CACHE_CONTROL, ETAG, HeaderMap, HeaderName, IF_NONE_MATCH};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use rustls::crypto::{CryptoProvider, ring};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::schedule::Decision;
use crate::{
    AccessToken, Error, FeedError, KeySet, KeySetError, MAX_FEED_LENGTH, MAX_KEY_SET_LENGTH, Verifier, max_age,
};

/// Timeout for fetching the keys. Short, since requests may wait for it.
const KEYS_TIMEOUT: Duration = Duration::from_secs(5);

const FEED_TIMEOUT: Duration = Duration::from_secs(10);

/// Builds a [`Follower`].
#[must_use = "call `start`: nothing is fetched before"]
pub struct Follow {
    verifier: Verifier,
    client: Option<Client>,
    bearer: Option<Box<dyn Fn() -> String + Send + Sync>>,
    report: Box<dyn Fn(&Report<'_>) + Send + Sync>,
}

/// A verifier whose keys and feed a background task keeps up to date. Clones share both; the task ends when the last
/// clone is dropped.
#[derive(Clone)]
pub struct Follower {
    shared: Arc<Shared>,
    ready: watch::Receiver<bool>,
    _task: Arc<Task>,
}

/// Something to log. `Display` is one line, without secrets.
#[derive(Debug)]
#[non_exhaustive]
pub enum Report<'r> {
    /// The keys could not be fetched or were not accepted.
    Keys(&'r Problem),
    /// The feed could not be fetched or was not accepted.
    Feed(&'r Problem),
    /// [`RequireScope`](crate::RequireScope) refused a request.
    Refused(&'r Error),
}

/// Why keys or feed could not be updated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// There was no response.
    Request(String),
    /// The response had this status instead of 200.
    Status(u16),
    /// The response was longer than this many bytes.
    TooLong(usize),
    Keys(KeySetError),
    Feed(FeedError),
}

struct Shared {
    verifier: Verifier,
    client: Client,
    bearer: Option<Box<dyn Fn() -> String + Send + Sync>>,
    report: Box<dyn Fn(&Report<'_>) + Send + Sync>,
    /// Held while the keys are fetched.
    fetching_keys: Arc<Mutex<()>>,
}

struct Task(JoinHandle<()>);

impl Verifier {
    /// Builds a background task that keeps keys and feed up to date. It fetches the feed once per
    /// [`poll_interval`](Verifier::poll_interval), up to a fifth earlier so that many verifiers are spread out, and
    /// less often after failures, down to once a minute.
    pub fn follow(self) -> Follow {
        Follow { verifier: self, client: None, bearer: None, report: Box::new(|_| {}) }
    }
}

impl Follow {
    /// Sets the HTTP client. The default one follows no redirects.
    pub fn client(self, client: Client) -> Self {
        Self { client: Some(client), ..self }
    }

    /// For an issuer with `REVOCATION_FEED=private`: returns a live token with `tokens:introspect`. Called before each
    /// fetch of the feed.
    pub fn bearer(self, token: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { bearer: Some(Box::new(token)), ..self }
    }

    /// Sets a function that logs failed fetches and refused requests. It must not block.
    ///
    /// ```
    /// # use auth_edge_verify::Verifier;
    /// Verifier::new("https://auth.example", "https://api.example").follow().report(|report| eprintln!("{report}"));
    /// ```
    pub fn report(self, report: impl Fn(&Report<'_>) + Send + Sync + 'static) -> Self {
        Self { report: Box::new(report), ..self }
    }

    /// Starts the task. Fails only if reqwest's client can't be built.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn start(self) -> Result<Follower, reqwest::Error> {
        let client = self.client.map_or_else(default_client, Ok)?;
        let shared = Arc::new(Shared {
            verifier: self.verifier,
            client,
            bearer: self.bearer,
            report: self.report,
            fetching_keys: Arc::default(),
        });
        let (tell_ready, ready) = watch::channel(false);
        let task = Arc::new(Task(tokio::spawn(run(Arc::clone(&shared), tell_ready))));
        Ok(Follower { shared, ready, _task: task })
    }
}

fn default_client() -> Result<Client, reqwest::Error> {
    if CryptoProvider::get_default().is_none() {
        // Fails only if another thread installed one first.
        let _ = ring::default_provider().install_default();
    }
    Client::builder().redirect(Policy::none()).build()
}

impl Follower {
    /// Like [`Verifier::verify`], at the current time. If the token names an unknown key, the keys are fetched first,
    /// at most once per [`refresh_interval`](Verifier::refresh_interval) for all requests together.
    pub async fn verify(&self, token: impl AsRef<[u8]>) -> Result<AccessToken, Error> {
        let verifier = &self.shared.verifier;
        let verified = verifier.verify(&token, now());
        if !matches!(verified, Err(Error::UnknownKey | Error::NoKeys)) {
            return verified;
        }
        let Ok(guard) = Arc::clone(&self.shared.fetching_keys).try_lock_owned() else {
            // Another request or the task is fetching them.
            drop(self.shared.fetching_keys.lock().await);
            return verifier.verify(token, now());
        };
        if verifier.decide_keys_for(token.as_ref(), now()) == Decision::Fetch {
            let shared = Arc::clone(&self.shared);
            // In a task of its own: if this client disconnects, other requests still get the keys.
            let fetch = tokio::spawn(async move {
                shared.fetch_keys().await;
                drop(guard);
            });
            let _ = fetch.await;
        }
        verifier.verify(token, now())
    }

    /// Waits until keys and feed have been fetched for the first time. Before that, every token is refused with 503.
    pub async fn ready(&self) {
        // An error would mean that the task has ended, which happens only after the last clone is dropped.
        let _ = self.ready.clone().wait_for(|ready| *ready).await;
    }

    /// The verifier.
    pub fn verifier(&self) -> &Verifier {
        &self.shared.verifier
    }

    #[cfg(feature = "tower")]
    pub(crate) fn report(&self, report: &Report<'_>) {
        (self.shared.report)(report);
    }
}

async fn run(shared: Arc<Shared>, ready: watch::Sender<bool>) {
    loop {
        shared.refresh_keys().await;
        shared.refresh_feed().await;
        // If the feed is signed with a new key, the keys are due now.
        if shared.refresh_keys().await {
            shared.refresh_feed().await;
        }
        let now = now();
        if !*ready.borrow() && shared.verifier.is_ready(now) {
            ready.send_replace(true);
        }
        sleep(jittered(Duration::from_secs(shared.verifier.feed_wait(now)))).await;
    }
}

impl Shared {
    /// Fetches the keys if they are due. Returns whether new ones were accepted.
    async fn refresh_keys(&self) -> bool {
        let _guard = self.fetching_keys.lock().await;
        self.verifier.decide_keys(None, now()) == Decision::Fetch && self.fetch_keys().await
    }

    async fn fetch_keys(&self) -> bool {
        let fetched = self.try_fetch_keys().await;
        if let Err(problem) = &fetched {
            self.verifier.keys_failed();
            (self.report)(&Report::Keys(problem));
        }
        fetched.is_ok()
    }

    async fn try_fetch_keys(&self) -> Result<(), Problem> {
        let request = self.client.get(self.verifier.jwks_uri()).timeout(KEYS_TIMEOUT);
        let response = request.send().await?;
        if response.status() != StatusCode::OK {
            return Err(Problem::Status(response.status().as_u16()));
        }
        let max_age = max_age(field(response.headers(), CACHE_CONTROL).as_deref());
        let set = KeySet::parse(body(response, MAX_KEY_SET_LENGTH).await?).map_err(Problem::Keys)?;
        self.verifier.take_keys(set, max_age, now());
        Ok(())
    }

    async fn refresh_feed(&self) {
        let fetched =
            if self.verifier.has_keys(now()) { self.fetch_feed().await } else { Err(FeedError::NoKeys.into()) };
        let Err(problem) = fetched else { return };
        // `take_feed` has already counted its own errors.
        if !matches!(problem, Problem::Feed(_)) || problem == FeedError::NoKeys.into() {
            self.verifier.feed_failed();
        }
        // Missing keys have already been reported.
        if problem != FeedError::NoKeys.into() {
            (self.report)(&Report::Feed(&problem));
        }
    }

    async fn fetch_feed(&self) -> Result<(), Problem> {
        let Some(next) = self.verifier.begin_feed(now()) else { return Ok(()) };
        let mut request = self.client.get(next.uri).timeout(FEED_TIMEOUT).header(ACCEPT, "application/jwt");
        let conditional = next.if_none_match.is_some();
        if let Some(etag) = next.if_none_match {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(token) = &self.bearer {
            request = request.bearer_auth(token());
        }
        let response = request.send().await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if conditional => {
                self.verifier.feed_unchanged(now());
                return Ok(());
            }
            other => return Err(Problem::Status(other.as_u16())),
        }
        let etag = field(response.headers(), ETAG);
        let text = body(response, MAX_FEED_LENGTH).await?;
        Ok(self.verifier.take_feed(text, etag.as_deref(), now())?)
    }
}

fn field(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Reads a body of at most `longest` bytes, whatever `Content-Length` says.
async fn body(mut response: Response, longest: usize) -> Result<Vec<u8>, Problem> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > longest {
            return Err(Problem::TooLong(longest));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A random duration from 80 to 100 % of `wait`.
fn jittered(wait: Duration) -> Duration {
    // `RandomState` has different random keys each time.
    let random = RandomState::new().hash_one(()) % 1000;
    wait.mul_f64((800.0 + random as f64 / 5.0) / 1000.0)
}

#[expect(clippy::disallowed_methods, reason = "a background task has no caller that passes the time in")]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl From<FeedError> for Problem {
    fn from(error: FeedError) -> Self {
        Self::Feed(error)
    }
}

impl From<reqwest::Error> for Problem {
    /// Appends all causes: reqwest's own message says only that there was an error.
    fn from(error: reqwest::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        Self::Request(text)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(problem) => formatter.write_str(problem),
            Self::Status(status) => write!(formatter, "the issuer answered {status}"),
            Self::TooLong(longest) => write!(formatter, "the response is longer than {longest} bytes"),
            Self::Keys(error) => error.fmt(formatter),
            Self::Feed(error) => error.fmt(formatter),
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(problem) => write!(formatter, "The issuer's keys could not be updated: {problem}."),
            Self::Feed(problem) => write!(formatter, "The revocation feed could not be updated: {problem}."),
            Self::Refused(error) => write!(formatter, "A request was refused with {}: {error}.", error.status()),
        }
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Follow").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Follower").field("verifier", self.verifier()).finish_non_exhaustive()
    }
}
