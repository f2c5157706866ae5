//! The Durable Object: a table of rows, and the one writer of its client's entries in KV. Its rules are in `once`.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::lock::Mutex;
use worker::{
    Delay, DurableObject, Env, Request, Response, Result, SqlStorage, SqlStorageValue, State, durable_object,
};

use super::bindings;
use crate::once::{self, Ask, Object, Row};
use crate::revocation;

/// KV takes one write a second to a key; a second one is worth this wait.
const PAUSE: Duration = Duration::from_millis(1100);
/// For how long a write may take; what waits for its turn waits for this too.
const PATIENCE: Duration = Duration::from_secs(3);

#[durable_object]
pub struct Once {
    sql: SqlStorage,
    env: Env,
    /// Whether the table is known to be there. The runtime starts the object anew where it takes back what was stored.
    has_table: Cell<bool>,
    /// The tokens whose ends are being published.
    publishing: RefCell<HashMap<String, Rc<Mutex<()>>>>,
}

impl DurableObject for Once {
    fn new(state: State, env: Env) -> Self {
        Self { sql: state.storage().sql(), env, has_table: Cell::new(false), publishing: RefCell::default() }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let ask: Ask = serde_json::from_slice(request.text().await?.as_bytes())?;
        Response::ok(serde_json::to_string(&once::answer(self, &ask).await?)?)
    }
}

impl Object for Once {
    type Error = worker::Error;

    fn load(&self, key: &str) -> Result<Option<Row>> {
        if !self.has_table.get() {
            self.sql.exec(
                "CREATE TABLE IF NOT EXISTS once (key TEXT PRIMARY KEY, value TEXT NOT NULL, expires_at INTEGER NOT NULL)
                 WITHOUT ROWID;
                 CREATE INDEX IF NOT EXISTS once_by_end ON once (expires_at)",
                None,
            )?;
            self.has_table.set(true);
        }
        let rows = self.sql.exec("SELECT value, expires_at FROM once WHERE key = ?", vec![key.into()])?;
        let Some(columns) = rows.raw().next() else { return Ok(None) };
        match columns?.as_slice() {
            [SqlStorageValue::String(value), SqlStorageValue::Integer(expires_at)] => {
                let expires_at = u64::try_from(*expires_at).map_err(|_| Self::unreadable(key))?;
                Ok(Some(Row { value: value.clone(), expires_at }))
            }
            _ => Err(Self::unreadable(key)),
        }
    }

    fn save(&self, key: &str, row: &Row) -> Result<()> {
        self.sql.exec("DELETE FROM once WHERE expires_at <= ?", vec![integer(self.now())?])?;
        let values = vec![key.into(), row.value.as_str().into(), integer(row.expires_at)?];
        self.sql.exec("INSERT OR REPLACE INTO once VALUES (?, ?, ?)", values)?;
        Ok(())
    }

    async fn publish(&self, token_id: &str, ends_at: u64, expires_at: u64) -> Result<()> {
        let entry = revocation::entry(ends_at);
        let revocations = bindings::bound(&self.env, "REVOCATIONS").map_err(|_| "REVOCATIONS is not bound")?;
        let put = async || {
            let stored = bindings::store(&revocations, token_id, &entry, expires_at as f64);
            match select(pin!(stored), pin!(Delay::from(PATIENCE))).await {
                Either::Left((stored, _)) => Ok(stored?),
                Either::Right(_) => Err(worker::Error::from("KV did not take the end of a token in time")),
            }
        };
        if put().await.is_err() {
            Delay::from(PAUSE).await;
            put().await?;
        }
        Ok(())
    }

    fn publishing(&self, token_id: &str) -> Rc<Mutex<()>> {
        let mut publishing = self.publishing.borrow_mut();
        publishing.retain(|_, turn| Rc::strong_count(turn) > 1);
        Rc::clone(publishing.entry(token_id.to_owned()).or_default())
    }

    fn now(&self) -> u64 {
        bindings::now() / 1000
    }

    fn unreadable(key: &str) -> worker::Error {
        format!("the row {key} can't be read").into()
    }
}

fn integer(number: u64) -> Result<SqlStorageValue> {
    SqlStorageValue::try_from_i64(i64::try_from(number).map_err(|error| error.to_string())?)
}
