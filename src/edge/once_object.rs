//! The Durable Object: a table of rows, and one question at a time. Its rules are in `once`.

use serde::Deserialize;
use worker::{DurableObject, Env, Request, Response, Result, SqlStorage, State, durable_object};

use crate::once::{Answer, Ask, Row};

#[durable_object]
pub struct Once {
    sql: SqlStorage,
}

#[derive(Deserialize)]
struct StoredRow {
    value: String,
    expires_at: u64,
}

impl DurableObject for Once {
    fn new(state: State, _env: Env) -> Self {
        Self { sql: state.storage().sql() }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let ask: Ask = request.json().await?;
        // From here on nothing is awaited, so no other question can come in between.
        Response::from_json(&self.judge(&ask)?)
    }
}

impl Once {
    fn judge(&self, ask: &Ask) -> Result<Answer> {
        self.sql.exec(
            "CREATE TABLE IF NOT EXISTS once (key TEXT PRIMARY KEY, value TEXT NOT NULL, expires_at INTEGER NOT NULL)
             WITHOUT ROWID;
             CREATE INDEX IF NOT EXISTS once_by_end ON once (expires_at)",
            None,
        )?;
        let key = ask.key();
        let rows: Vec<StoredRow> =
            self.sql.exec("SELECT value, expires_at FROM once WHERE key = ?", vec![key.as_str().into()])?.to_array()?;
        let row = rows.into_iter().next().map(|StoredRow { value, expires_at }| Row { value, expires_at });
        let (answer, row) = ask.decide(row.as_ref()).ok_or_else(|| format!("the row {key} can't be read"))?;
        if let Some(Row { value, expires_at }) = row {
            self.sql.exec("DELETE FROM once WHERE expires_at <= ?", vec![integer(ask.now())?])?;
            self.sql.exec(
                "INSERT OR REPLACE INTO once VALUES (?, ?, ?)",
                vec![key.into(), value.into(), integer(expires_at)?],
            )?;
        }
        Ok(answer)
    }
}

fn integer(number: u64) -> Result<worker::SqlStorageValue> {
    worker::SqlStorageValue::try_from_i64(i64::try_from(number).map_err(|error| error.to_string())?)
}
