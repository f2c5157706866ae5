//! A Worker with two routes, each of which requires a scope. Each isolate keeps the issuer's keys and the revocation
//! feed in memory, and fetches them when they are due.

#![cfg(target_arch = "wasm32")]

use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;

use auth_edge_verify::{AccessToken, Due, Error as Refusal, FeedRequest, KeySet, Verifier, bearer, max_age};
use futures_util::future::{Either, select};
use worker::{
    AbortController, Context, Date, Delay, Env, Error, Fetch, Headers, Method, Request, RequestInit, RequestRedirect,
    Response, Result, console_error, console_log, event,
};

#[event(fetch)]
async fn fetch(request: Request, env: Env, _: Context) -> Result<Response> {
    match (request.method(), request.path().as_str()) {
        (Method::Post, "/jobs") => allow(&request, &env, "jobs:submit").await,
        (Method::Get, "/templates") => allow(&request, &env, "templates:read").await,
        _ => Response::error("Not found", 404),
    }
}

async fn allow(request: &Request, env: &Env, scope: &str) -> Result<Response> {
    let authorization = request.headers().get("Authorization")?;
    let verifier = verifier(env)?;
    match caller(verifier, env, authorization.as_ref(), scope).await {
        Ok(caller) => Response::ok(format!("{} may {scope}\n", caller.client_id)),
        Err(refusal) => {
            console_log!("A request was refused with {}: {refusal}.", refusal.status());
            let (name, value) = refusal.header();
            let response = Response::empty()?.with_status(refusal.status());
            response.headers().set(name, &value)?;
            Ok(response)
        }
    }
}

/// Shared by all requests of an isolate: keys and feed outlive the request that fetched them.
fn verifier(env: &Env) -> Result<&'static Verifier> {
    static VERIFIER: OnceLock<Verifier> = OnceLock::new();
    if let Some(verifier) = VERIFIER.get() {
        return Ok(verifier);
    }
    let poll_interval = env
        .var("POLL_INTERVAL")?
        .to_string()
        .parse()
        .map_err(|_| other("POLL_INTERVAL must be a whole number of seconds"))?;
    let verifier = Verifier::new(env.var("ISSUER")?.to_string(), env.var("AUDIENCE")?.to_string());
    Ok(VERIFIER.get_or_init(|| verifier.poll_interval(poll_interval)))
}

async fn caller(
    verifier: &Verifier,
    env: &Env,
    authorization: Option<&String>,
    scope: &str,
) -> std::result::Result<AccessToken, Refusal> {
    let token = bearer(authorization)?;
    refresh(verifier, env, token).await;
    let caller = verifier.verify(token, now())?;
    caller.require_scope(scope)?;
    Ok(caller)
}

/// Fetches what is due. In Workers, a request can't await another request's fetch, so it polls.
async fn refresh(verifier: &Verifier, env: &Env, token: &[u8]) {
    loop {
        match verifier.due(token, now()) {
            Due::Keys => {
                if let Err(problem) = fetch_keys(verifier).await {
                    verifier.keys_failed();
                    console_error!("The issuer's keys could not be updated: {problem}.");
                }
            }
            Due::Feed(request) => {
                if let Err(problem) = fetch_feed(verifier, env, request).await {
                    console_error!("The revocation feed could not be updated: {problem}.");
                }
            }
            Due::Wait => Delay::from(Duration::from_millis(20)).await,
            _ => return,
        }
    }
}

async fn fetch_keys(verifier: &Verifier) -> Result<()> {
    let mut response = get(&verifier.jwks_uri(), Headers::new()).await?;
    if response.status_code() != 200 {
        return Err(status(&response));
    }
    let keys = KeySet::parse(response.bytes().await?).map_err(other)?;
    verifier.take_keys(keys, max_age(response.headers().get("Cache-Control")?.as_deref()), now());
    Ok(())
}

async fn fetch_feed(verifier: &Verifier, env: &Env, request: FeedRequest) -> Result<()> {
    match feed(env, request).await {
        Ok(Some((text, etag))) => verifier.take_feed(text, etag.as_deref(), now()).map_err(other),
        Ok(None) => {
            verifier.feed_unchanged(now());
            Ok(())
        }
        Err(problem) => {
            verifier.feed_failed();
            Err(problem)
        }
    }
}

/// The feed and its `ETag`, or `None` if the held one is up to date.
async fn feed(env: &Env, request: FeedRequest) -> Result<Option<(Vec<u8>, Option<String>)>> {
    let headers = Headers::new();
    headers.set("Accept", "application/jwt")?;
    if let Some(etag) = &request.if_none_match {
        headers.set("If-None-Match", etag)?;
    }
    // For a private feed.
    if let Ok(token) = env.secret("INTROSPECTION_TOKEN") {
        headers.set("Authorization", &format!("Bearer {token}"))?;
    }
    let mut response = get(&request.uri, headers).await?;
    match response.status_code() {
        200 => Ok(Some((response.bytes().await?, response.headers().get("ETag")?))),
        304 if request.if_none_match.is_some() => Ok(None),
        _ => Err(status(&response)),
    }
}

/// Follows no redirects. Gives up after 4 s, before `Verifier::due` stops telling other callers to wait.
async fn get(uri: &str, headers: Headers) -> Result<Response> {
    let mut init = RequestInit::new();
    init.with_headers(headers).with_redirect(RequestRedirect::Manual);
    let abort = AbortController::default();
    let (signal, fetch) = (abort.signal(), Fetch::Request(Request::new_with_init(uri, &init)?));
    match select(pin!(fetch.send_with_signal(&signal)), Delay::from(Duration::from_secs(4))).await {
        Either::Left((response, _)) => response,
        Either::Right(_) => {
            abort.abort();
            Err(other("the issuer did not answer within 4 s"))
        }
    }
}

fn status(response: &Response) -> Error {
    other(format!("the issuer answered {}", response.status_code()))
}

fn other(problem: impl ToString) -> Error {
    Error::RustError(problem.to_string())
}

fn now() -> u64 {
    Date::now().as_millis() / 1000
}
