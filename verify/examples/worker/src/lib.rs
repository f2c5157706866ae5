//! A Worker with two routes, each behind a scope of its own. It keeps the issuer's keys for as long as its isolate
//! lives, and fetches them anew when they are no longer fresh.

#![cfg(target_arch = "wasm32")]

use std::sync::OnceLock;

use auth_edge_verify::{AccessToken, Error as Refusal, Introspection, KeySet, Verifier, bearer, max_age};
use worker::{
    Context, Date, Env, Error, Fetch, Headers, Method, Request, RequestInit, Response, Result, console_error, event,
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
    let api = Api::get(env)?;
    let checked = api.caller(request, env).await?;
    match checked.and_then(|caller| caller.require_scope(scope).map(|()| caller)) {
        Ok(caller) => Response::ok(format!("{} may {scope}\n", caller.client_id)),
        Err(refusal) => refuse(&refusal),
    }
}

fn refuse(refusal: &Refusal) -> Result<Response> {
    let (name, value) = refusal.header();
    let mut response = Response::error(refusal.to_string(), refusal.status())?;
    response.headers_mut().set(name, &value)?;
    Ok(response)
}

struct Api {
    verifier: Verifier,
    answers: Introspection,
    introspection_uri: String,
}

impl Api {
    /// The same for all requests of one isolate: keys and answers outlive the request that fetched them.
    fn get(env: &Env) -> Result<&'static Self> {
        static API: OnceLock<Api> = OnceLock::new();
        if let Some(api) = API.get() {
            return Ok(api);
        }
        let issuer = env.var("ISSUER")?.to_string();
        let introspection_uri = format!("{issuer}/v1/auth/tokens/introspect");
        let verifier = Verifier::new(issuer, env.var("AUDIENCE")?.to_string());
        let api = Self { verifier, answers: Introspection::new(30, 10_000), introspection_uri };
        Ok(API.get_or_init(|| api))
    }

    async fn caller(&self, request: &Request, env: &Env) -> Result<std::result::Result<AccessToken, Refusal>> {
        let authorization = request.headers().get("Authorization")?;
        let token = match bearer(authorization.as_ref()) {
            Ok(token) => token,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let now = Date::now().as_millis() / 1000;
        if self.verifier.needs_refresh(token, now)
            && let Err(problem) = self.fetch_keys(now).await
        {
            console_error!("The keys were not fetched: {problem}");
        }
        Ok(match env.secret("INTROSPECTION_TOKEN") {
            Err(_) => self.verifier.verify(token, now),
            Ok(own) => {
                let ask = |form| self.introspect(own.to_string(), form);
                self.answers.verify(&self.verifier, token, now, ask).await
            }
        })
    }

    async fn fetch_keys(&self, now: u64) -> Result<()> {
        let mut response = Fetch::Url(self.verifier.jwks_uri().parse()?).send().await?;
        let keys = success(&mut response).await?;
        let keys = KeySet::parse(keys).map_err(|problem| Error::RustError(problem.to_string()))?;
        let max_age = max_age(response.headers().get("Cache-Control")?.as_deref());
        self.verifier.refresh(keys, max_age, now);
        Ok(())
    }

    async fn introspect(&self, own: String, form: String) -> Result<String> {
        let headers = Headers::new();
        headers.set("Authorization", &format!("Bearer {own}"))?;
        headers.set("Content-Type", "application/x-www-form-urlencoded")?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_headers(headers).with_body(Some(form.into()));
        let request = Request::new_with_init(&self.introspection_uri, &init)?;
        success(&mut Fetch::Request(request).send().await?).await
    }
}

async fn success(response: &mut Response) -> Result<String> {
    match response.status_code() {
        200 => response.text().await,
        status => Err(Error::RustError(format!("the issuer answered {status}"))),
    }
}
