//! The KV service behind every contender's KV bindings. It speaks the protocol of workerd's KV binding (`GET`, `PUT
//! /key?…`, `POST /bulk/get`), holds everything in memory, and counts calls.
//!
//! Paths below `/.bench/` are for the bench itself.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::http::Framing;

/// The path that stores pairs, and the one that returns and resets the counts.
pub const FILL: &str = "/.bench/fill";
pub const COUNTS: &str = "/.bench/counts";
/// The paths by which an instrumented service reports calls that are not KV's.
const OBJECT: &str = "/.bench/object";
const ALARM: &str = "/.bench/alarm";
const LIMIT: &str = "/.bench/limit";

/// Counts since they were last taken. Calls other than KV's are counted only if instrumented services report them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub reads: u64,
    pub writes: u64,
    /// Calls of Durable Objects.
    pub objects: u64,
    /// Alarms of Durable Objects.
    pub alarms: u64,
    /// Calls of rate limits.
    pub limits: u64,
}

/// The binding's request for several keys.
#[derive(Deserialize)]
struct BulkGet {
    keys: Vec<String>,
}

/// Values to add.
#[derive(Default, Serialize, Deserialize)]
pub struct Fill {
    /// Forget everything first.
    pub anew: bool,
    /// Groups of keys with the same value.
    pub groups: Vec<(Vec<String>, String)>,
}

#[derive(Default)]
struct Store {
    values: HashMap<String, Rc<str>>,
    counts: Counts,
}

pub async fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.context("the KV service can't listen")?;
    let store = Rc::new(RefCell::new(Store::default()));
    tokio::task::LocalSet::new()
        .run_until(async move {
            loop {
                let (stream, _) = listener.accept().await?;
                let store = Rc::clone(&store);
                // The contender reports a broken connection.
                tokio::task::spawn_local(async move { converse(stream, &store).await });
            }
        })
        .await
}

async fn converse(mut stream: TcpStream, store: &RefCell<Store>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(16_384);
    let mut answers = Vec::with_capacity(16_384);
    loop {
        let mut taken = 0;
        while let Some(end) = answer(&buffer[taken..], store, &mut answers)? {
            taken += end;
        }
        buffer.drain(..taken);
        if !answers.is_empty() {
            stream.write_all(&answers).await?;
            answers.clear();
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// Answers the first request in the buffer, if it is complete, and returns where it ends.
fn answer(buffer: &[u8], store: &RefCell<Store>, answers: &mut Vec<u8>) -> Result<Option<usize>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(body_at) = request.parse(buffer)? else { return Ok(None) };
    let framing = Framing::of(request.headers, body_at)?;
    let Some((body, end)) = framing.body(buffer)? else { return Ok(None) };
    let target = request.path.unwrap_or_default();
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let key = path.strip_prefix('/').unwrap_or_default();
    let store = &mut *store.borrow_mut();
    match (request.method.unwrap_or_default(), path) {
        (_, FILL) => store.fill(serde_json::from_slice(&body)?),
        (_, COUNTS) => {
            let counts = serde_json::to_string(&std::mem::take(&mut store.counts))?;
            write(answers, 200, &counts);
            return Ok(Some(end));
        }
        (_, OBJECT) => store.counts.objects += 1,
        (_, ALARM) => store.counts.alarms += 1,
        (_, LIMIT) => store.counts.limits += 1,
        ("GET", _) => {
            store.counts.reads += 1;
            match store.values.get(key) {
                Some(value) => write(answers, 200, value),
                None => write(answers, 404, ""),
            }
            return Ok(Some(end));
        }
        ("POST", "/bulk/get") => {
            let BulkGet { keys } = serde_json::from_slice(&body)?;
            let mut values = BTreeMap::new();
            for key in &keys {
                store.counts.reads += 1;
                values.insert(key, store.values.get(key).map(|value| &**value));
            }
            write(answers, 200, &serde_json::to_string(&values)?);
            return Ok(Some(end));
        }
        ("PUT", _) => {
            store.counts.writes += 1;
            store.values.insert(key.to_owned(), String::from_utf8(body)?.into());
        }
        (method, _) => bail!("the KV service does not support {method} {target}"),
    }
    write(answers, 204, "");
    Ok(Some(end))
}

impl Store {
    fn fill(&mut self, fill: Fill) {
        if fill.anew {
            self.values = HashMap::new();
        }
        for (keys, value) in fill.groups {
            let value: Rc<str> = value.into();
            self.values.extend(keys.into_iter().map(|key| (key, Rc::clone(&value))));
        }
    }
}

fn write(answers: &mut Vec<u8>, status: u16, body: &str) {
    let head = match status {
        200 => "HTTP/1.1 200 OK\r\nContent-Length: ",
        204 => "HTTP/1.1 204 No Content\r\n\r\n",
        _ => "HTTP/1.1 404 Not Found\r\nContent-Length: ",
    };
    answers.extend_from_slice(head.as_bytes());
    if status != 204 {
        answers.extend_from_slice(format!("{}\r\n\r\n{body}", body.len()).as_bytes());
    }
}
