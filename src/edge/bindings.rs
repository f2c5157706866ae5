//! The Worker's bindings: implements `host::Host` and its parts.

use std::cell::OnceCell;
use std::rc::Rc;

use js_sys::Date;
use wasm_bindgen::prelude::*;
use worker::Env;

use super::webcrypto::{self, SigningKey};
use crate::audit::Audit;
use crate::client;
use crate::client::ask::{Answer, Ask, Envelope};
use crate::client::jwk::PublicJwk;
use crate::client::replica::{Clients, ReplicaCache};
use crate::error::{Error, Unavailable};
use crate::feed::{self, Ends};
use crate::host::{Document, Host, Limit, Page};
use crate::settings::Settings;
use crate::token::Signatures;
use crate::token_id::Random;
use crate::value;

#[wasm_bindgen(module = "/src/edge/glue.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    fn variable(env: &Env, name: &str) -> Result<Option<String>, JsValue>;
    fn binding(env: &Env, name: &str) -> Option<JsValue>;
    #[wasm_bindgen(catch)]
    async fn read(namespace: &JsValue, key: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub async fn store(
        namespace: &JsValue,
        key: &str,
        value: &str,
        status: &str,
        expiration: Option<f64>,
    ) -> Result<(), JsValue>;
    pub async fn pause(milliseconds: f64);
    #[wasm_bindgen(catch)]
    async fn list(namespace: &JsValue, limit: u32, cursor: Option<&str>) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    async fn within(limiter: &JsValue, key: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    fn count(
        dataset: &JsValue,
        event: &str,
        outcome: &str,
        mechanism: &str,
        status: u16,
        milliseconds: f64,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    async fn ask(namespace: &JsValue, name: &str, region: Option<&str>, body: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_name = ask, catch)]
    async fn ask_within(
        namespace: &JsValue,
        name: &str,
        region: Option<&str>,
        body: &str,
        timeout: u32,
    ) -> Result<JsValue, JsValue>;
}

#[wasm_bindgen(module = "/assets/documents.js")]
extern "C" {
    fn openapi() -> String;
    fn docs() -> String;
}

/// What all requests of an isolate share.
#[derive(Debug)]
pub struct Isolate {
    pub settings: Settings,
    revocations: JsValue,
    replica_cache: ReplicaCache,
    clients: JsValue,
    feed: JsValue,
    feed_cache: feed::copy::FeedCache,
    long_limit: JsValue,
    client_limit: JsValue,
    address_limit: JsValue,
    short_limit: JsValue,
    /// Optional; it does not affect responses.
    analytics: Option<JsValue>,
    /// Imported before the first response.
    signing: OnceCell<SigningKey>,
}

thread_local! {
    static ISOLATE: OnceCell<Rc<Isolate>> = const { OnceCell::new() };
}

impl Isolate {
    /// Reads settings and bindings when the isolate starts. If that fails, each request tries again.
    pub async fn of(env: &Env) -> Result<Rc<Self>, Error> {
        let isolate = match ISOLATE.with(|cell| cell.get().map(Rc::clone)) {
            Some(isolate) => isolate,
            None => {
                let isolate = Rc::new(Self::read(env)?);
                ISOLATE.with(|cell| Rc::clone(cell.get_or_init(|| isolate)))
            }
        };
        if isolate.signing.get().is_none() {
            let signing = SigningKey::import(isolate.settings.keys.short.first()).await;
            let signing = signing.map_err(|problem| Error::Misconfigured { setting: "AUTH_KEYS".into(), problem })?;
            // If another request was faster, it set the same key.
            let _ = isolate.signing.set(signing);
        }
        Ok(isolate)
    }

    fn read(env: &Env) -> Result<Self, Error> {
        Ok(Self {
            settings: Settings::read(|setting| {
                variable(env, setting).map_err(|error| Error::Misconfigured {
                    setting: setting.into(),
                    problem: webcrypto::describe(&error),
                })
            })?,
            revocations: bound(env, "REVOCATIONS")?,
            replica_cache: ReplicaCache::default(),
            clients: bound(env, "CLIENTS")?,
            feed: bound(env, "FEED")?,
            feed_cache: feed::copy::FeedCache::default(),
            long_limit: bound(env, "LONG_LIMIT")?,
            client_limit: bound(env, "CLIENT_LIMIT")?,
            address_limit: bound(env, "ADDRESS_LIMIT")?,
            short_limit: bound(env, "SHORT_LIMIT")?,
            analytics: binding(env, "ANALYTICS"),
            signing: OnceCell::new(),
        })
    }

    /// Counts a call in Analytics Engine, if `ANALYTICS` is bound: index and blob1 are the operation, blob2 the
    /// outcome, blob3 the mechanism; double1 is the status, double2 the milliseconds until the response.
    pub fn count(&self, audit: &Audit, started: u64) {
        let Some(analytics) = &self.analytics else { return };
        let milliseconds = now().saturating_sub(started) as f64;
        let mechanism = audit.mechanism.unwrap_or_default();
        // A lost count must not fail the call.
        let _ = count(analytics, audit.event, audit.outcome, mechanism, audit.status, milliseconds);
    }
}

/// Asks the feed's object. A read times out after 2 seconds, since what a location serves must be no older than that.
pub async fn ask_feed(namespace: &JsValue, question: &feed::Ask) -> Result<Ends, Unavailable> {
    let body = serde_json::to_string(question).map_err(|error| Unavailable::new("FEED", error.to_string()))?;
    let timeout = if let feed::Ask::Ends { .. } = question { 2_000 } else { 3_000 };
    let answer = ask_within(namespace, feed::NAME, None, &body, timeout).await.map_err(unavailable("FEED"))?;
    let answer: Option<Result<Ends, Unavailable>> = value::read(&answer.as_string().unwrap_or_default());
    answer.unwrap_or_else(|| Err(Unavailable::new("FEED", "its answer can't be parsed")))
}

pub fn bound(env: &Env, setting: &'static str) -> Result<JsValue, Error> {
    binding(env, setting)
        .ok_or_else(|| Error::Misconfigured { setting: setting.into(), problem: "is not bound".to_owned() })
}

/// Unix milliseconds.
pub fn now() -> u64 {
    Date::now() as u64
}

pub fn random(bytes: &mut [u8]) -> Result<(), Unavailable> {
    getrandom::fill(bytes).map_err(|error| Unavailable::new("randomness", error.to_string()))
}

/// Converts an exception of a binding.
pub fn unavailable(dependency: &'static str) -> impl Fn(JsValue) -> Unavailable {
    move |error| Unavailable::new(dependency, webcrypto::describe(&error))
}

impl Clients for Isolate {
    async fn ask_object(&self, client_id: &str, region: Option<&str>, question: &Ask) -> Result<Answer, Error> {
        let down = |problem: String| Unavailable::new("CLIENTS", problem);
        let question = Envelope { client_id, ask: question };
        let body = serde_json::to_string(&question).map_err(|error| down(error.to_string()))?;
        let answer = ask(&self.clients, client_id, region, &body).await.map_err(unavailable("CLIENTS"))?;
        client::ask::read_answer(&answer.as_string().unwrap_or_default())
    }

    async fn replica(&self, client_id: &str) -> Result<Option<String>, Unavailable> {
        Ok(read(&self.revocations, client_id).await.map_err(unavailable("REVOCATIONS"))?.as_string())
    }

    fn replica_cache(&self) -> &ReplicaCache {
        &self.replica_cache
    }

    fn millis(&self) -> u64 {
        now()
    }
}

impl Host for Isolate {
    fn document(&self, document: Document) -> String {
        match document {
            Document::OpenApi => openapi(),
            Document::Docs => docs(),
        }
    }

    async fn ask_feed(&self, question: &feed::Ask) -> Result<Ends, Unavailable> {
        ask_feed(&self.feed, question).await
    }

    fn feed_cache(&self) -> &feed::copy::FeedCache {
        &self.feed_cache
    }

    async fn list(&self, limit: u64, cursor: Option<&str>) -> Result<Page, Unavailable> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let page = list(&self.revocations, limit, cursor).await.map_err(unavailable("REVOCATIONS"))?;
        value::read(&page.as_string().unwrap_or_default())
            .ok_or_else(|| Unavailable::new("REVOCATIONS", "its answer to list can't be parsed"))
    }

    fn random(&self) -> Result<Random, Unavailable> {
        let mut bytes = Random::default();
        random(&mut bytes).map(|()| bytes)
    }

    async fn within(&self, limit: Limit, key: &str) -> Result<bool, Unavailable> {
        let (name, limiter) = match limit {
            Limit::Long => ("LONG_LIMIT", &self.long_limit),
            Limit::Client => ("CLIENT_LIMIT", &self.client_limit),
            Limit::Address => ("ADDRESS_LIMIT", &self.address_limit),
            Limit::Short => ("SHORT_LIMIT", &self.short_limit),
        };
        Ok(within(limiter, key).await.map_err(unavailable(name))?.is_truthy())
    }

    async fn accepts(&self, key: &PublicJwk) -> Result<bool, Unavailable> {
        Ok(webcrypto::accepts(key).await)
    }
}

impl Signatures for Isolate {
    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], Unavailable> {
        let unavailable = |problem: String| Unavailable::new("signing", problem);
        let key = self.signing.get().ok_or_else(|| unavailable("the key is not imported".to_owned()))?;
        key.sign(message).await.map_err(unavailable)
    }

    async fn verify(&self, key: &PublicJwk, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable> {
        Ok(webcrypto::verify(key, message, signature).await)
    }
}
