//! The Worker: the only code that names the `worker` crate. It reads the request, the clock and randomness, asks `app`,
//! and writes the response and the audit line.

mod bindings;
mod body;
mod once_object;

use web_sys::{Headers, Request, ResponseInit};
use worker::{Context, Date, Env, Result, console_error, console_log, event};

use crate::app::{self, Audit, Route};
use crate::error::{Error, Unavailable};
use crate::request::{Body, Call};
use crate::response::Response;
use bindings::Isolate;

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> Result<web_sys::Response> {
    let ray = header(&request, "CF-Ray");
    let (response, mut audit) = match respond(&request, &env).await {
        Ok(answer) => answer,
        Err(error) => Audit::of_refusal(&error),
    };
    audit.ray = ray;
    let line = serde_json::to_string(&audit).unwrap_or_default();
    if audit.status >= 500 {
        console_error!("{line}")
    } else {
        console_log!("{line}")
    }
    write(response)
}

async fn respond(request: &Request, env: &Env) -> core::result::Result<(Response, Audit), Error> {
    let started = Date::now().as_millis();
    let isolate = Isolate::of(env).await?;
    let url = request.url();
    let (origin, path) = split(&url);
    let route = Route::find(&isolate.settings, &request.method(), path)?;
    let body = if route.reads_body() { body::read(request).await } else { Body::Read(Vec::new()) };
    let mut random = [0; 12];
    getrandom::fill(&mut random)
        .map_err(|error| Unavailable { dependency: "randomness", problem: error.to_string() })?;
    let call = Call {
        origin: origin.to_owned(),
        authorization: header(request, "Authorization"),
        client_id_header: header(request, "X-Client-Id"),
        content_type: header(request, "Content-Type"),
        body,
        ip: header(request, "CF-Connecting-IP").unwrap_or_default(),
        now: started / 1000,
        random,
    };
    let (response, audit) = app::answer(&isolate.settings, &*isolate, &route, &call).await;
    isolate.count(&audit, Date::now().as_millis().saturating_sub(started));
    Ok((response, audit))
}

/// Scheme, host and port of a URL, and its path without the query.
fn split(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    let path = url[host..].find('/').map_or(url.len(), |at| host + at);
    let end = url[path..].find(['?', '#']).map_or(url.len(), |at| path + at);
    (&url[..path], &url[path..end])
}

fn header(request: &Request, name: &str) -> Option<String> {
    request.headers().get(name).ok().flatten()
}

fn write(response: Response) -> Result<web_sys::Response> {
    let headers = Headers::new()?;
    for (name, value) in &response.headers {
        headers.set(name, value)?;
    }
    let init = ResponseInit::new();
    init.set_status(response.status);
    init.set_headers(&headers);
    Ok(web_sys::Response::new_with_opt_str_and_init(response.body.as_deref(), &init)?)
}
