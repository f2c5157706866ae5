//! The Worker's bindings, as the operations ask for them.

use std::cell::OnceCell;
use std::rc::Rc;

use worker::kv::KvStore;
use worker::{
    AnalyticsEngineDataPointBuilder, AnalyticsEngineDataset, Env, Headers, Method, ObjectNamespace, RateLimiter,
    Request, RequestInit,
};

use crate::app::Audit;
use crate::error::{Error, Unavailable};
use crate::host::{Host, Limit};
use crate::keys::PublicJwk;
use crate::once::{Answer, Ask};
use crate::settings::Settings;
use crate::webcrypto::{self, SigningKey};

/// The shortest time for which KV lets a location keep what it read, seconds.
const CACHE_TTL: u64 = 30;

/// What is the same for every request that this isolate answers.
#[derive(Debug)]
pub struct Isolate {
    pub settings: Settings,
    clients: KvStore,
    revocations: KvStore,
    once: ObjectNamespace,
    long_limit: RateLimiter,
    short_limit: RateLimiter,
    /// Bound or not, the answers are the same.
    analytics: Option<AnalyticsEngineDataset>,
    signing: SigningKey,
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
            // The mock that local development binds has no class, so `worker` takes anything for one, also nothing.
            analytics: js_sys::Reflect::get(env, &"ANALYTICS".into())
                .ok()
                .filter(|binding| binding.is_object())
                .and_then(|_| env.analytics_engine("ANALYTICS").ok()),
            signing: signing.map_err(|problem| Error::Misconfigured { setting: "AUTH_KEYS", problem })?,
            settings,
            clients: bound("CLIENTS", env.kv("CLIENTS"))?,
            revocations: bound("REVOCATIONS", env.kv("REVOCATIONS"))?,
            once: bound("ONCE", env.durable_object("ONCE"))?,
            long_limit: bound("LONG_LIMIT", env.rate_limiter("LONG_LIMIT"))?,
            short_limit: bound("SHORT_LIMIT", env.rate_limiter("SHORT_LIMIT"))?,
        })
    }
}

impl Isolate {
    /// Counts a call, if there is a dataset to count in: index and blob1 are the operation, blob2 the outcome, blob3 the
    /// mechanism; double1 is the status, double2 the milliseconds that the answer took.
    pub fn count(&self, audit: &Audit, millis: u64) {
        let Some(analytics) = &self.analytics else { return };
        let point = AnalyticsEngineDataPointBuilder::new()
            .indexes([audit.event])
            .add_blob(audit.event)
            .add_blob(audit.outcome)
            .add_blob(audit.mechanism.unwrap_or_default())
            .add_double(f64::from(audit.status))
            .add_double(millis as f64)
            .build();
        // A count that is lost is no reason to fail a call.
        let _ = analytics.write_data_point(&point);
    }
}

fn bound<T>(setting: &'static str, binding: worker::Result<T>) -> Result<T, Error> {
    binding.map_err(|error| Error::Misconfigured { setting, problem: format!("is not bound: {error}") })
}

fn unavailable(dependency: &'static str) -> impl Fn(&dyn core::fmt::Display) -> Unavailable {
    move |problem| Unavailable { dependency, problem: problem.to_string() }
}

impl Host for Isolate {
    async fn client(&self, client_id: &str) -> Result<Option<String>, Unavailable> {
        read(&self.clients, "CLIENTS", client_id).await
    }

    async fn revocation(&self, token_id: &str) -> Result<Option<String>, Unavailable> {
        read(&self.revocations, "REVOCATIONS", token_id).await
    }

    async fn store_revocation(&self, token_id: &str, entry: &str, expires_at: u64) -> Result<(), Unavailable> {
        let down = unavailable("REVOCATIONS");
        let put = self.revocations.put(token_id, entry).map_err(|error| down(&error))?;
        put.expiration(expires_at).execute().await.map_err(|error| down(&error))
    }

    async fn once(&self, name: &str, ask: &Ask) -> Result<Answer, Unavailable> {
        let down = unavailable("ONCE");
        let body = serde_json::to_string(ask).map_err(|error| down(&error))?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_headers(Headers::new()).with_body(Some(body.into()));
        let request = Request::new_with_init("https://once/", &init).map_err(|error| down(&error))?;
        let object = self.once.get_by_name(name).map_err(|error| down(&error))?;
        let mut response = object.fetch_with_request(request).await.map_err(|error| down(&error))?;
        if response.status_code() != 200 {
            return Err(down(&format!("answered {}", response.status_code())));
        }
        response.json().await.map_err(|error| down(&error))
    }

    async fn within(&self, limit: Limit, key: &str) -> Result<bool, Unavailable> {
        let (name, limiter) = match limit {
            Limit::Long => ("LONG_LIMIT", &self.long_limit),
            Limit::Short => ("SHORT_LIMIT", &self.short_limit),
        };
        let outcome = limiter.limit(key.to_owned()).await.map_err(|error| unavailable(name)(&error))?;
        Ok(outcome.success)
    }

    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], Unavailable> {
        self.signing.sign(message).await.map_err(|error| unavailable("signing")(&error))
    }

    async fn verify(&self, key: &PublicJwk, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable> {
        Ok(webcrypto::verify(key, message, signature).await)
    }
}

async fn read(store: &KvStore, name: &'static str, key: &str) -> Result<Option<String>, Unavailable> {
    store.get(key).cache_ttl(CACHE_TTL).text().await.map_err(|error| unavailable(name)(&error))
}
