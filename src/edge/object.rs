//! The Durable Objects and their environment. Their rules are in `client::object` and `feed::object`.

use std::rc::Rc;

use futures_channel::oneshot;
use wasm_bindgen::prelude::*;
use worker::{DurableObject, Env, Request, Response, Result, State, console_error, durable_object};

use super::bindings::{self, Isolate, unavailable};
use super::webcrypto;
use crate::client::ask::{Answer, Ask, Envelope};
use crate::client::ground::Ground;
use crate::client::jwk::PublicJwk;
use crate::client::object::Object;
use crate::error::{Error, Unavailable};
use crate::feed::{self, End};
use crate::rows::{self, Commit, Row, Rows};
use crate::value;

#[wasm_bindgen(module = "/src/edge/table.js")]
extern "C" {
    #[derive(Debug)]
    type Table;
    #[wasm_bindgen(constructor)]
    fn new(state: &JsValue) -> Table;
    #[wasm_bindgen(method, catch)]
    fn load(this: &Table, key: &str) -> Result<String, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn list(this: &Table, prefix: &str, now: f64, limit: u32) -> Result<String, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn commit(this: &Table, rows: &str, now: f64, alarm: Option<f64>) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn wipe(this: &Table) -> Result<(), JsValue>;
}

#[durable_object(alarm)]
pub struct Client {
    object: Rc<Object<Storage>>,
    state: State,
    env: Env,
}

impl DurableObject for Client {
    fn new(state: State, env: Env) -> Self {
        let table = Table::new(state.as_raw().as_ref());
        Self { object: Rc::new(Object::new(Storage { table, env: env.clone() })), state, env }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let text = request.text().await?;
        let (object, env, (sender, receiver)) = (Rc::clone(&self.object), self.env.clone(), oneshot::channel());
        // Runs to completion even if the caller disconnects, so that nothing is left half done and no lock stays held.
        self.state.wait_until(async move {
            let _ = sender.send(ask(&object, &env, &text).await);
        });
        let answer = receiver.await.map_err(|_| worker::Error::from("the object stopped before it answered"))?;
        Response::ok(serde_json::to_string(&answer)?)
    }

    async fn alarm(&self) -> Result<Response> {
        self.object.postpone_alarm().map_err(|error| worker::Error::from(error.problem))?;
        let woken = async { self.object.wake(&Isolate::of(&self.env).await?.settings).await }.await;
        if let Err(error) = woken {
            console_error!("alarm: {}", error.for_the_log().unwrap_or_default());
        }
        Response::ok("")
    }
}

async fn ask(object: &Object<Storage>, env: &Env, question: &str) -> std::result::Result<Answer, Error> {
    let isolate = Isolate::of(env).await?;
    let question: Envelope<String, Ask> =
        value::read(question).ok_or_else(|| Unavailable::new("CLIENT", "the request to the object can't be parsed"))?;
    object.answer(&isolate.settings, &question.client_id, question.ask).await
}

/// The revocation feed's object.
#[durable_object(fetch)]
pub struct Feed {
    feed: feed::object::Feed<Storage>,
}

impl DurableObject for Feed {
    fn new(state: State, env: Env) -> Self {
        Self { feed: feed::object::Feed::new(Storage { table: Table::new(state.as_raw().as_ref()), env }) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let question = value::read(&request.text().await?);
        let question = question.ok_or_else(|| Unavailable::new("FEED", "the request to the object can't be parsed"));
        let answer = question.and_then(|question| self.feed.answer(&question));
        Response::ok(serde_json::to_string(&answer)?)
    }
}

#[derive(Debug)]
struct Storage {
    table: Table,
    env: Env,
}

impl Rows for Storage {
    fn load(&self, key: &str) -> std::result::Result<Option<Row>, Unavailable> {
        let json = self.table.load(key).map_err(unavailable("CLIENT"))?;
        Ok(rows::parse(&json)?.pop().map(|(_, row)| row))
    }

    fn list(&self, prefix: &str, now: u64, limit: usize) -> std::result::Result<Vec<(String, Row)>, Unavailable> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let json = self.table.list(prefix, now as f64, limit).map_err(unavailable("CLIENT"))?;
        rows::parse(&json)
    }

    fn commit(&self, commit: &Commit) -> std::result::Result<(), Unavailable> {
        let rows: Vec<_> = commit
            .rows
            .iter()
            .map(|(key, row)| (key, row.as_ref().map(|row| &row.value), row.as_ref().map_or(0, |row| row.expires_at)))
            .collect();
        let rows = serde_json::to_string(&rows).map_err(|error| Unavailable::new("CLIENT", error.to_string()))?;
        let alarm = commit.alarm.map(|alarm| alarm as f64);
        self.table.commit(&rows, commit.now as f64, alarm).map_err(unavailable("CLIENT"))
    }

    fn wipe(&self) -> std::result::Result<(), Unavailable> {
        self.table.wipe().map_err(unavailable("CLIENT"))
    }

    fn millis(&self) -> u64 {
        bindings::now()
    }
}

impl Ground for Storage {
    fn random(&self, bytes: &mut [u8]) -> std::result::Result<(), Unavailable> {
        bindings::random(bytes)
    }

    async fn put(
        &self,
        key: &str,
        value: &str,
        status: &str,
        expires_at: Option<u64>,
    ) -> std::result::Result<(), Unavailable> {
        let namespace =
            bindings::bound(&self.env, "REVOCATIONS").map_err(|_| Unavailable::new("REVOCATIONS", "is not bound"))?;
        bindings::store(&namespace, key, value, status, expires_at.map(|at| at as f64))
            .await
            .map_err(unavailable("REVOCATIONS"))
    }

    async fn report(&self, ends: &[End]) -> std::result::Result<(), Unavailable> {
        let namespace = bindings::bound(&self.env, "FEED").map_err(|_| Unavailable::new("FEED", "is not bound"))?;
        bindings::ask_feed(&namespace, &feed::Ask::Report(ends.to_vec())).await.map(|_| ())
    }

    async fn sleep(&self, millis: u64) {
        bindings::pause(millis as f64).await;
    }

    async fn verify(
        &self,
        key: &PublicJwk,
        message: &[u8],
        signature: &[u8],
    ) -> std::result::Result<bool, Unavailable> {
        Ok(webcrypto::verify(key, message, signature).await)
    }
}
