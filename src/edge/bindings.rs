//! The Worker's bindings, as the operations ask for them.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use js_sys::{Array, Date};
use wasm_bindgen::prelude::*;
use worker::Env;

use crate::app::Audit;
use crate::error::{Error, Unavailable};
use crate::host::{Host, Limit, Stored};
use crate::keys::PublicJwk;
use crate::once::{Answer, Ask};
use crate::revocation;
use crate::settings::Settings;
use crate::token_id::Random;
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
    fn variable(env: &Env, name: &str) -> Result<Option<String>, JsValue>;
    fn binding(env: &Env, name: &str) -> Option<JsValue>;
    #[wasm_bindgen(catch)]
    async fn read(
        clients: &JsValue,
        revocations: &JsValue,
        client: Option<&str>,
        token: Option<&str>,
        parent: Option<&str>,
    ) -> Result<Array, JsValue>;
    #[wasm_bindgen(catch)]
    pub async fn store(namespace: &JsValue, key: &str, value: &str, expiration: f64) -> Result<(), JsValue>;
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
    analytics: Option<JsValue>,
    /// There before the first answer.
    signing: OnceCell<SigningKey>,
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
    /// Reads settings and bindings when the isolate starts, and again with each request as long as one is missing.
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
            let signing = signing.map_err(|problem| Error::Misconfigured { setting: "AUTH_KEYS", problem })?;
            // If another request was faster, it is the same key.
            let _ = isolate.signing.set(signing);
        }
        Ok(isolate)
    }

    fn read(env: &Env) -> Result<Self, Error> {
        Ok(Self {
            settings: Settings::read(|setting| {
                variable(env, setting)
                    .map_err(|error| Error::Misconfigured { setting, problem: webcrypto::describe(&error) })
            })?,
            clients: Namespace::of(env, "CLIENTS")?,
            revocations: Namespace::of(env, "REVOCATIONS")?,
            once: bound(env, "ONCE")?,
            long_limit: bound(env, "LONG_LIMIT")?,
            short_limit: bound(env, "SHORT_LIMIT")?,
            analytics: binding(env, "ANALYTICS"),
            signing: OnceCell::new(),
        })
    }

    /// Counts a call, if there is a dataset to count in: index and blob1 are the operation, blob2 the outcome, blob3 the
    /// mechanism; double1 is the status, double2 the milliseconds that the answer took.
    pub fn count(&self, audit: &Audit, started: u64) {
        let Some(analytics) = &self.analytics else { return };
        let milliseconds = now().saturating_sub(started) as f64;
        let mechanism = audit.mechanism.unwrap_or_default();
        // A count that is lost is no reason to fail a call.
        let _ = count(analytics, audit.event, audit.outcome, mechanism, audit.status, milliseconds);
    }

    /// Asks KV for what is given and not kept, at the same time.
    async fn stored(
        &self,
        client: Option<&str>,
        token: Option<&str>,
        parent: Option<&str>,
    ) -> Result<Stored, Unavailable> {
        let mut stored = Stored::default();
        let client = self.clients.or_kept(client, &mut stored.record);
        let token = self.revocations.or_kept(token, &mut stored.end);
        let parent = self.revocations.or_kept(parent, &mut stored.parent_end);
        if (client, token, parent) == (None, None, None) {
            return Ok(stored);
        }
        let until = now() + KEPT;
        let answers = read(&self.clients.binding, &self.revocations.binding, client, token, parent);
        let answers = answers.await.map_err(unavailable("KV"))?;
        self.clients.take(client, &answers.get(0), until, &mut stored.record)?;
        self.revocations.take(token, &answers.get(1), until, &mut stored.end)?;
        self.revocations.take(parent, &answers.get(2), until, &mut stored.parent_end)?;
        Ok(stored)
    }
}

pub fn bound(env: &Env, setting: &'static str) -> Result<JsValue, Error> {
    binding(env, setting).ok_or_else(|| Error::Misconfigured { setting, problem: "is not bound".to_owned() })
}

/// Unix milliseconds.
pub fn now() -> u64 {
    Date::now() as u64
}

/// A part that threw, or answered what it never should.
fn unavailable(dependency: &'static str) -> impl Fn(JsValue) -> Unavailable {
    move |error| Unavailable { dependency, problem: webcrypto::describe(&error) }
}

impl Namespace {
    fn of(env: &Env, name: &'static str) -> Result<Self, Error> {
        Ok(Self { name, binding: bound(env, name)?, kept: RefCell::default() })
    }

    /// Fills in what is kept under a key; gives the key back if that is not known.
    fn or_kept<'a>(&self, key: Option<&'a str>, value: &mut Option<String>) -> Option<&'a str> {
        let kept = self.kept.borrow();
        match kept.get(key?).filter(|kept| now() < kept.until) {
            Some(kept) => {
                value.clone_from(&kept.value);
                None
            }
            None => key,
        }
    }

    /// Keeps and fills in what KV answered to a key: text, or `null` if nothing is stored there. No key, no answer.
    fn take(
        &self,
        key: Option<&str>,
        answer: &JsValue,
        until: u64,
        value: &mut Option<String>,
    ) -> Result<(), Unavailable> {
        let Some(key) = key else { return Ok(()) };
        *value = answer.as_string();
        if value.is_none() && !answer.is_null() {
            return Err(Unavailable { dependency: self.name, problem: format!("answered no text to {key}") });
        }
        self.keep(key, Kept { until, value: value.clone() });
        Ok(())
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
        Ok(self.stored(Some(client_id), None, None).await?.record)
    }

    async fn life(&self, client_id: &str, token_id: &str, parent: Option<&str>) -> Result<Stored, Unavailable> {
        self.stored(Some(client_id), Some(token_id), parent).await
    }

    fn random(&self) -> Result<Random, Unavailable> {
        let mut random = Random::default();
        let filled = getrandom::fill(&mut random);
        filled.map_err(|error| Unavailable { dependency: "randomness", problem: error.to_string() })?;
        Ok(random)
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
        let unavailable = |problem: String| Unavailable { dependency: "signing", problem };
        let key = self.signing.get().ok_or_else(|| unavailable("the key is not imported".to_owned()))?;
        key.sign(message).await.map_err(unavailable)
    }

    async fn verify(&self, key: &PublicJwk, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable> {
        Ok(webcrypto::verify(key, message, signature).await)
    }
}
