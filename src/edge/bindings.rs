//! The Worker's bindings, as the operations ask for them.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use wasm_bindgen::prelude::*;
use worker::{AnalyticsEngineDataPointBuilder, AnalyticsEngineDataset, Date, Env};

use crate::app::Audit;
use crate::error::{Error, Unavailable};
use crate::host::{Host, Limit};
use crate::keys::PublicJwk;
use crate::once::{Answer, Ask};
use crate::revocation;
use crate::settings::Settings;
use crate::webcrypto::{self, SigningKey};

/// For how long this isolate keeps what it read from KV, milliseconds. A location of KV keeps it for 30 seconds itself, so
/// this delays nothing that an operator could see, and spares a burst of calls by one client or token its reads.
const KEPT: u64 = 250;
/// For how long a location of KV keeps what it read, milliseconds: the `cacheTtl` in glue.js.
const KEPT_BY_KV: u64 = 30_000;
/// How many values are kept before those that are too old go.
const MOST_KEPT: usize = 1024;

#[wasm_bindgen(module = "/src/edge/glue.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    async fn read(namespace: &JsValue, key: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub async fn store(namespace: &JsValue, key: &str, value: &str, expiration: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    async fn within(limiter: &JsValue, key: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    async fn ask(namespace: &JsValue, name: &str, body: &str) -> Result<JsValue, JsValue>;
}

/// What is the same for every request that this isolate answers.
#[derive(Debug)]
pub struct Isolate {
    pub settings: Settings,
    clients: Namespace,
    revocations: Namespace,
    once: JsValue,
    long_limit: JsValue,
    short_limit: JsValue,
    /// Bound or not, the answers are the same.
    analytics: Option<AnalyticsEngineDataset>,
    signing: SigningKey,
}

/// A KV namespace, with what was read from it or written to it a moment ago.
#[derive(Debug)]
struct Namespace {
    name: &'static str,
    binding: JsValue,
    kept: RefCell<HashMap<String, Kept>>,
}

#[derive(Debug)]
struct Kept {
    until: u64,
    value: Option<String>,
}

thread_local! {
    static ISOLATE: OnceCell<Rc<Isolate>> = const { OnceCell::new() };
}

impl Isolate {
    /// Reads settings and bindings on the first request, and again on the next as long as one is missing.
    pub async fn of(env: &Env) -> Result<Rc<Self>, Error> {
        if let Some(isolate) = ISOLATE.with(|cell| cell.get().map(Rc::clone)) {
            return Ok(isolate);
        }
        let isolate = Rc::new(Self::read(env).await?);
        Ok(ISOLATE.with(|cell| Rc::clone(cell.get_or_init(|| isolate))))
    }

    async fn read(env: &Env) -> Result<Self, Error> {
        // Secrets and variables are bindings alike, so `var` reads both.
        let settings = Settings::read(|name| env.var(name).ok().map(|value| value.to_string()))?;
        let signing = SigningKey::import(settings.keys.short.first()).await;
        Ok(Self {
            signing: signing.map_err(|problem| Error::Misconfigured { setting: "AUTH_KEYS", problem })?,
            settings,
            clients: Namespace::of(env, "CLIENTS")?,
            revocations: Namespace::of(env, "REVOCATIONS")?,
            once: bound(env, "ONCE")?,
            long_limit: bound(env, "LONG_LIMIT")?,
            short_limit: bound(env, "SHORT_LIMIT")?,
            // The mock that local development binds has no class, so `worker` takes anything for one, also nothing.
            analytics: bound(env, "ANALYTICS").ok().and_then(|_| env.analytics_engine("ANALYTICS").ok()),
        })
    }

    /// Counts a call, if there is a dataset to count in: index and blob1 are the operation, blob2 the outcome, blob3 the
    /// mechanism; double1 is the status, double2 the milliseconds that the answer took.
    pub fn count(&self, audit: &Audit, started: u64) {
        let Some(analytics) = &self.analytics else { return };
        let point = AnalyticsEngineDataPointBuilder::new()
            .indexes([audit.event])
            .add_blob(audit.event)
            .add_blob(audit.outcome)
            .add_blob(audit.mechanism.unwrap_or_default())
            .add_double(f64::from(audit.status))
            .add_double(now().saturating_sub(started) as f64)
            .build();
        // A count that is lost is no reason to fail a call.
        let _ = analytics.write_data_point(&point);
    }
}

pub fn bound(env: &Env, setting: &'static str) -> Result<JsValue, Error> {
    let binding = js_sys::Reflect::get(env, &setting.into()).ok().filter(JsValue::is_object);
    binding.ok_or_else(|| Error::Misconfigured { setting, problem: "is not bound".to_owned() })
}

/// Unix milliseconds.
pub fn now() -> u64 {
    Date::now().as_millis()
}

/// A part that threw, or answered what it never should.
fn unavailable(dependency: &'static str) -> impl Fn(JsValue) -> Unavailable {
    move |error| Unavailable { dependency, problem: webcrypto::describe(&error) }
}

impl Namespace {
    fn of(env: &Env, name: &'static str) -> Result<Self, Error> {
        Ok(Self { name, binding: bound(env, name)?, kept: RefCell::default() })
    }

    async fn read(&self, key: &str) -> Result<Option<String>, Unavailable> {
        if let Some(kept) = self.kept.borrow().get(key).filter(|kept| now() < kept.until) {
            return Ok(kept.value.clone());
        }
        let until = now() + KEPT;
        let value = read(&self.binding, key).await.map_err(unavailable(self.name))?.as_string();
        self.keep(key, Kept { until, value: value.clone() });
        Ok(value)
    }

    /// Keeps a value, unless one is there that holds for longer: it came in meanwhile, and may be a revocation.
    fn keep(&self, key: &str, value: Kept) {
        let mut kept = self.kept.borrow_mut();
        if kept.get(key).is_some_and(|newer| newer.until > value.until) {
            return;
        }
        if kept.len() >= MOST_KEPT {
            let now = now();
            kept.retain(|_, kept| now < kept.until);
        }
        if kept.len() < 2 * MOST_KEPT {
            kept.insert(key.to_owned(), value);
        }
    }
}

impl Host for Isolate {
    async fn client(&self, client_id: &str) -> Result<Option<String>, Unavailable> {
        self.clients.read(client_id).await
    }

    async fn revocation(&self, token_id: &str) -> Result<Option<String>, Unavailable> {
        self.revocations.read(token_id).await
    }

    async fn once(&self, name: &str, question: &Ask) -> Result<Answer, Unavailable> {
        let down = |problem: String| Unavailable { dependency: "ONCE", problem };
        let body = serde_json::to_string(question).map_err(|error| down(error.to_string()))?;
        let answer = ask(&self.once, name, &body).await.map_err(unavailable("ONCE"))?;
        let answer = serde_json::from_slice(answer.as_string().unwrap_or_default().as_bytes());
        let answer = answer.map_err(|error| down(error.to_string()))?;
        if let (Ask::End { token_id, .. }, Answer::Ends { at, ended }) = (question, answer) {
            // The object has written this. Here it holds at once, and for as long as this location may still have the
            // old value from KV; a token that has ended stays so.
            let until = now() + if ended { KEPT_BY_KV } else { KEPT };
            self.revocations.keep(token_id, Kept { until, value: Some(revocation::entry(at)) });
        }
        Ok(answer)
    }

    async fn within(&self, limit: Limit, key: &str) -> Result<bool, Unavailable> {
        let (name, limiter) = match limit {
            Limit::Long => ("LONG_LIMIT", &self.long_limit),
            Limit::Short => ("SHORT_LIMIT", &self.short_limit),
        };
        Ok(within(limiter, key).await.map_err(unavailable(name))?.is_truthy())
    }

    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], Unavailable> {
        self.signing.sign(message).await.map_err(|problem| Unavailable { dependency: "signing", problem })
    }

    async fn verify(&self, key: &PublicJwk, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable> {
        Ok(webcrypto::verify(key, message, signature).await)
    }
}
