//! The isolates: each answers requests with `auth_edge::app`, unchanged, with its own clock and caches.

use std::cell::Cell;
use std::rc::Rc;

use auth_edge::app::{self, Route};
use auth_edge::audit::Audit;
use auth_edge::client::ask::{self, Answer, Ask, Envelope};
use auth_edge::client::jwk::PublicJwk;
use auth_edge::client::replica::{Clients, ReplicaCache};
use auth_edge::error::{Error, Unavailable};
use auth_edge::feed::{self, Ends};
use auth_edge::host::{Document, Host, Limit, Listed, Page};
use auth_edge::request::{Body, Call};
use auth_edge::response::Response;
use auth_edge::token::Signatures;
use auth_edge::token_id::Random;

use crate::chance::Chance;
use crate::history::{Part, What};
use crate::objects;
use crate::plan::FaultKind;
use crate::sim::{ISSUER, Sim, down};
use crate::world::Machine;

/// How long an isolate waits for an object, and for the feed, milliseconds.
const OBJECT_TIMEOUT: u64 = 15_000;
const FEED_TIMEOUT: u64 = 2_000;

#[derive(Default)]
pub struct Isolate {
    pub machine: Machine,
    pub location: usize,
    /// Its clock's offset from the true time.
    pub offset: Cell<i64>,
    replica_cache: ReplicaCache,
    feed_cache: feed::copy::FeedCache,
}

/// A request, as sent.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: &'static str,
    pub path: String,
    pub query: String,
    pub bearer: Option<String>,
    pub client_id: Option<String>,
    pub content_type: Option<&'static str>,
    pub if_match: Option<String>,
    pub if_none_match: Option<String>,
    pub body: String,
}

/// One request in an isolate.
pub struct Visit {
    pub sim: Rc<Sim>,
    pub isolate: Rc<Isolate>,
    pub call: usize,
    pub chance: Chance,
    /// A request to an object was duplicated.
    pub doubled: Cell<bool>,
    /// Only KV and the feed's object answer, without lag.
    pub by_kv_alone: bool,
}

impl Isolate {
    pub fn new(sim: &Sim, location: usize) -> Rc<Self> {
        let offset = Cell::new(sim.offset(&sim.chance));
        Rc::new(Self { machine: sim.world.machine(), location, offset, ..Self::default() })
    }

    fn millis(&self, sim: &Sim) -> u64 {
        sim.world.now().saturating_add_signed(self.offset.get())
    }
}

impl Visit {
    pub async fn answer(&self, request: Request) -> Response {
        let settings = &self.sim.settings;
        let now = self.isolate.millis(&self.sim) / 1000;
        let call = Call {
            origin: ISSUER.to_owned(),
            query: request.query,
            authorization: request.bearer.map(|token| format!("Bearer {token}")),
            client_id_header: request.client_id,
            content_type: request.content_type.map(str::to_owned),
            if_match: request.if_match,
            if_none_match: request.if_none_match,
            accept_encoding: None,
            body: Body::Read(Vec::new()),
            ip: "192.0.2.1".to_owned(),
            now,
        };
        let body = request.body.into_bytes();
        match Route::find(settings, request.method, &request.path) {
            Ok(route) => app::handle(settings, self, &route, call, async || (Body::Read(body), now)).await.0,
            Err(error) => Audit::of_refusal(&error).0,
        }
    }

    async fn takes(&self, low: u64, high: u64) {
        if !self.by_kv_alone {
            self.sim.world.pause(self.chance.between(low, high), self.chance.next()).await;
        }
    }
}

impl Clients for Visit {
    async fn ask_object(&self, client_id: &str, _: Option<&str>, ask: &Ask) -> Result<Answer, Error> {
        if self.by_kv_alone {
            return Err(down("the object").into());
        }
        let question = serde_json::to_string(&Envelope { client_id, ask }).map_err(|_| down("the object"))?;
        // Operators' changes are not idempotent; all other requests must tolerate a duplicate.
        let may_double = matches!(ask, Ask::Issue(_) | Ask::Rotate(_) | Ask::Standing(_) | Ask::Revoke(_) | Ask::Show);
        let doubled = may_double.then_some(&self.doubled);
        let answer = objects::call(&self.sim, client_id, question, OBJECT_TIMEOUT, &self.chance, doubled).await;
        ask::read_answer(&answer.ok_or_else(|| down("the object"))?)
    }

    async fn replica(&self, client_id: &str) -> Result<Option<String>, Unavailable> {
        let (sim, isolate) = (&self.sim, &self.isolate);
        if self.by_kv_alone {
            return Ok(sim.shown_by_kv(client_id).map(|version| version.value));
        }
        self.takes(1, 25).await;
        if sim.occurs(FaultKind::KvReads, &self.chance) {
            sim.fault(Part::Kv(client_id.to_owned()), format!("KV refuses to read {client_id}"));
            return Err(down("KV"));
        }
        let version = sim.kv.read(client_id, isolate.location, sim.world.now(), sim.lag.get(), &self.chance);
        let begun = version.as_ref().map(|version| version.begun);
        sim.note(self.call, What::Shown { location: isolate.location, client: client_id.to_owned(), begun });
        if self.chance.percent(5) {
            self.takes(100, 1_500).await
        } else {
            self.takes(1, 10).await
        }
        Ok(version.map(|version| version.value))
    }

    fn replica_cache(&self) -> &ReplicaCache {
        &self.isolate.replica_cache
    }

    fn millis(&self) -> u64 {
        self.isolate.millis(&self.sim)
    }
}

impl Host for Visit {
    fn document(&self, _: Document) -> String {
        String::new()
    }

    async fn ask_feed(&self, ask: &feed::Ask) -> Result<Ends, Unavailable> {
        if self.by_kv_alone {
            return objects::feed_now(&self.sim, ask);
        }
        objects::ask_feed(&self.sim, ask, FEED_TIMEOUT, &self.chance).await
    }

    fn feed_cache(&self) -> &feed::copy::FeedCache {
        &self.isolate.feed_cache
    }

    async fn list(&self, _: u64, _: Option<&str>) -> Result<Page, Unavailable> {
        self.takes(5, 50).await;
        let clients = self.sim.listed_by_kv().into_iter();
        let clients = clients.map(|(client_id, status)| Listed { client_id, status }).collect();
        Ok(Page { clients, cursor: None })
    }

    fn random(&self) -> Result<Random, Unavailable> {
        let mut random = Random::default();
        for chunk in random.chunks_mut(8) {
            chunk.copy_from_slice(&self.chance.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(random)
    }

    async fn within(&self, _: Limit, _: &str) -> Result<bool, Unavailable> {
        Ok(true)
    }

    async fn accepts(&self, key: &PublicJwk) -> Result<bool, Unavailable> {
        Ok(key.algorithm().is_ok())
    }
}

impl Signatures for Visit {
    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], Unavailable> {
        Ok(self.sim.sign(message))
    }

    async fn verify(&self, key: &PublicJwk, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable> {
        Ok(self.sim.is_signed(key, message, signature))
    }
}

/// Sends a request from outside. `None`: there was no response.
pub async fn send(sim: &Rc<Sim>, location: usize, request: Request, call: usize) -> Option<(Response, bool)> {
    let chance = Chance::of(sim.seed, &format!("call {call} {} {}", request.path, sim.world.now()));
    sim.world.pause(chance.between(1, 15), chance.next()).await;
    let isolate = sim.isolate(location);
    let (reply, wait) = crate::world::reply();
    let back = (chance.between(1, 15), chance.next());
    let visit = Visit {
        sim: Rc::clone(sim),
        isolate: Rc::clone(&isolate),
        call,
        chance,
        doubled: Cell::new(false),
        by_kv_alone: false,
    };
    sim.world.spawn(isolate.machine, async move {
        let response = visit.answer(request).await;
        let doubled = visit.doubled.get();
        visit.sim.world.after(back.0, back.1, move || reply.send((response, doubled)));
    });
    wait.await
}

/// Answers a request with KV or the feed's object alone: at once, without failures, and with empty caches.
pub fn answer_by_kv_alone(sim: &Rc<Sim>, request: Request) -> Option<Response> {
    let isolate = Rc::new(Isolate::default());
    let chance = Chance::of(sim.seed, "probe");
    let visit = Visit { sim: Rc::clone(sim), isolate, call: 0, chance, doubled: Cell::new(false), by_kv_alone: true };
    let mut answer = std::pin::pin!(visit.answer(request));
    match answer.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(response) => Some(response),
        std::task::Poll::Pending => None,
    }
}
