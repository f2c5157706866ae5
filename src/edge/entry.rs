//! The Worker's entry point: reads the request and the clock, calls `app`, and writes the response and the audit line.

use futures_util::FutureExt;
use js_sys::Promise;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{future_to_promise, spawn_local};
use worker::{Env, console_error, console_log, event};

use super::bindings::{self, Isolate};
use super::body;
use super::webcrypto::lines;
use crate::app::{self, Route};
use crate::audit::Audit;
use crate::error::Error;
use crate::request::Head;
use crate::response::Response;
use crate::token;

#[wasm_bindgen(module = "/src/edge/glue.js")]
extern "C" {
    fn environment() -> Option<Env>;
    fn head(request: &web_sys::Request) -> String;
    #[wasm_bindgen(catch)]
    fn response(status: u16, headers: &str, body: Option<&str>) -> Result<web_sys::Response, JsValue>;
}

/// Runs when an isolate loads the module, before its first request; Cloudflare does so during that request's TLS
/// handshake. Errors are ignored here; the first request retries and reports them.
#[event(start)]
fn start() {
    let Some(env) = environment() else { return };
    spawn_local(async move {
        if let Ok(isolate) = Isolate::of(&env).await {
            token::warm_up(&isolate.settings, &*isolate).await;
        }
    });
}

/// The `fetch` handler. A response that is ready at once, as for most refusals, is returned without a promise, which
/// would take 5 % longer (docs/performance.md).
#[wasm_bindgen]
pub fn fetch(request: web_sys::Request, env: Env) -> JsValue {
    let mut response = Box::pin(respond_to(request, env));
    match (&mut response).now_or_never() {
        Some(Ok(response)) => response,
        Some(Err(error)) => Promise::reject(&error).into(),
        None => future_to_promise(response).into(),
    }
}

async fn respond_to(request: web_sys::Request, env: Env) -> Result<JsValue, JsValue> {
    let head = head(&request);
    let head = Head::parse(&head);
    let (response, mut audit) = match handle(&request, &head, &env).await {
        Ok(handled) => handled,
        Err(error) => Audit::of_refusal(&error),
    };
    audit.ray = head.ray.map(str::to_owned);
    let line = || serde_json::to_string(&audit).unwrap_or_default();
    if audit.status >= 500 {
        console_error!("{}", line())
    } else if !audit.is_routine() {
        console_log!("{}", line())
    }
    write(&response).map(JsValue::from)
}

async fn handle(request: &web_sys::Request, head: &Head<'_>, env: &Env) -> Result<(Response, Audit), Error> {
    let isolate = Isolate::of(env).await?;
    isolate.settings.check_origin(head.origin)?;
    let route = Route::find(&isolate.settings, head.method, head.path)?;
    let mut unread = route.reads_body();
    let read = async || {
        unread = false;
        (body::read(request, head.content_length).await, bindings::now() / 1000)
    };
    let (response, audit) = app::handle(&isolate.settings, &*isolate, &route, head.call(), read).await;
    // Some proxies lose a response that comes before the end of a body without `Content-Length`.
    if unread && head.content_length.is_none() {
        body::read(request, None).await;
    }
    if !audit.is_routine() {
        isolate.count(&audit, head.millis);
    }
    Ok((response, audit))
}

fn write(response: &Response) -> Result<web_sys::Response, JsValue> {
    let headers = lines(response.headers.iter().map(|(name, value)| (*name, value.as_str())));
    self::response(response.status, &headers, response.body.as_deref())
}
