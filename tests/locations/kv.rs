//! A fake KV namespace that can fail, hang, be slow, or refuse connections. It speaks the HTTP protocol of workerd's KV
//! binding.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// How the namespace handles a call.
#[derive(Clone, Copy, Default)]
pub enum Behaviour {
    #[default]
    Works,
    /// Answered 500.
    Fails,
    /// Neither executed nor answered.
    Hangs,
    /// Executed and answered after this time, even if the caller has given up.
    Takes(Duration),
}

pub struct Kv {
    pub address: SocketAddr,
    store: Arc<Mutex<Store>>,
    server: Mutex<Server>,
}

enum Server {
    Listens(JoinHandle<()>),
    /// Holds the port, and refuses connections.
    Refuses(TcpSocket),
    Between,
}

#[derive(Default)]
struct Store {
    values: BTreeMap<String, Entry>,
    reading: Behaviour,
    writing: Behaviour,
    reads: usize,
    /// When each write arrived, and to which key.
    writes: Vec<(Instant, String)>,
}

#[derive(Clone)]
struct Entry {
    value: String,
    metadata: Option<String>,
}

impl Kv {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let kv = Self { address, store: Arc::default(), server: Mutex::new(Server::Between) };
        kv.serve(listener);
        kv
    }

    fn serve(&self, listener: TcpListener) {
        let service = Router::new().fallback(answer).with_state(Arc::clone(&self.store));
        let task = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        self.replace(Server::Listens(task));
    }

    /// Refuses connections from now on.
    pub async fn refuse(&self) {
        if let Server::Listens(task) = self.replace(Server::Between) {
            task.abort();
            let _ = task.await;
        }
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        self.replace(Server::Refuses(socket));
    }

    pub fn listen(&self) {
        if let Server::Refuses(socket) = self.replace(Server::Between) {
            self.serve(socket.listen(1024).unwrap());
        }
    }

    fn replace(&self, server: Server) -> Server {
        std::mem::replace(&mut self.server.lock().unwrap(), server)
    }

    pub fn all(&self, behaviour: Behaviour) {
        self.reading(behaviour);
        self.writing(behaviour);
    }

    pub fn reading(&self, behaviour: Behaviour) {
        self.store().reading = behaviour;
    }

    pub fn writing(&self, behaviour: Behaviour) {
        self.store().writing = behaviour;
    }

    /// The number of reads and of writes since the last call of this function.
    pub fn calls(&self) -> (usize, usize) {
        let mut store = self.store();
        (std::mem::take(&mut store.reads), std::mem::take(&mut store.writes).len())
    }

    /// When each write of this key arrived.
    pub fn writes(&self, key: &str) -> Vec<Instant> {
        self.store().writes.iter().filter(|(_, written)| written == key).map(|(at, _)| *at).collect()
    }

    /// Waits until this many writes of this key have arrived.
    pub async fn is_written(&self, key: &str, times: usize) {
        self.until(&format!("{times} writes of {key}"), || self.writes(key).len() >= times).await;
    }

    pub fn value(&self, key: &str) -> Option<String> {
        self.store().values.get(key).map(|entry| entry.value.clone())
    }

    /// Waits until a key's value, if there is one, satisfies `what`.
    pub async fn shows(&self, key: &str, what: impl Fn(&Value) -> bool) {
        let shows =
            || self.value(key).is_some_and(|value| serde_json::from_str(&value).is_ok_and(|value| what(&value)));
        self.until(&format!("the value of {key}"), shows).await;
    }

    pub fn put(&self, key: &str, value: &str) {
        self.store().values.insert(key.to_owned(), Entry { value: value.to_owned(), metadata: None });
    }

    /// Replaces its values with those of another namespace.
    pub fn copy(&self, other: &Self) {
        let values = other.store().values.clone();
        self.store().values = values;
    }

    /// Its contents, as text.
    pub fn contents(&self) -> String {
        self.store().values.iter().map(|(key, entry)| format!("{key} {} {:?}\n", entry.value, entry.metadata)).collect()
    }

    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        for _ in 0..1000 {
            if holds() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("timed out waiting for {what}; KV holds\n{}", self.contents());
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }
}

async fn answer(State(store): State<Arc<Mutex<Store>>>, request: Request) -> Response {
    let is_write = request.method() == "PUT";
    let key = request.uri().path().trim_start_matches('/').to_owned();
    let behaviour = {
        let mut store = store.lock().unwrap();
        if is_write {
            store.writes.push((Instant::now(), key.clone()));
            store.writing
        } else {
            store.reads += 1;
            store.reading
        }
    };
    let query = request.uri().query().unwrap_or_default().to_owned();
    let metadata = request.headers().get("cf-kv-metadata").map(|metadata| metadata.to_str().unwrap().to_owned());
    let body = to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let value = String::from_utf8(body.to_vec()).unwrap();
    match behaviour {
        Behaviour::Works => {}
        Behaviour::Fails => return respond(500, String::new()),
        Behaviour::Hangs => std::future::pending().await,
        Behaviour::Takes(time) => {
            let is_over = sleep(time);
            if is_write {
                // In a task of its own, so that it continues if the connection is closed.
                let late = tokio::spawn(async move {
                    is_over.await;
                    store.lock().unwrap().values.insert(key, Entry { value, metadata });
                });
                late.await.unwrap();
                return respond(200, String::new());
            }
            is_over.await;
        }
    }
    let mut store = store.lock().unwrap();
    if is_write {
        store.values.insert(key, Entry { value, metadata });
        return respond(200, String::new());
    }
    if key.is_empty() {
        return respond(200, store.list(&query).to_string());
    }
    match store.values.get(&key) {
        Some(entry) => respond(200, entry.value.clone()),
        None => respond(404, String::new()),
    }
}

impl Store {
    fn list(&self, query: &str) -> Value {
        let parameter = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(other, _)| *other == name).map(|(_, value)| value.to_owned())
        };
        let limit = parameter("key_count_limit").map_or(1000, |limit| limit.parse().unwrap());
        let after = parameter("cursor").unwrap_or_default();
        let mut left = self.values.iter().filter(|(key, _)| **key > after).peekable();
        let page: Vec<_> = left.by_ref().take(limit).collect();
        let keys: Vec<_> = page.iter().map(|(key, entry)| json!({"name": key, "metadata": entry.metadata})).collect();
        match (left.peek(), page.last()) {
            (Some(_), Some((last, _))) => json!({"keys": keys, "list_complete": false, "cursor": last}),
            _ => json!({"keys": keys, "list_complete": true}),
        }
    }
}

fn respond(status: u16, body: String) -> Response {
    // One call per connection, so that no connection is open when new ones are refused.
    Response::builder().status(status).header("Connection", "close").body(Body::from(body)).unwrap()
}
