// An object's rows, in its SQLite database, and its alarm.
const TABLE = `
  CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, value TEXT NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS rows_by_end ON rows (expires_at)`;

export class Table {
  constructor(state) {
    this.state = state;
    this.sql = state.storage.sql;
    this.exists = false;
  }

  // Reading does not create the table: otherwise every unknown client id would leave a database behind.
  select(query, ...values) {
    this.exists ||= this.sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'rows'").toArray().length > 0;
    return this.exists ? this.sql.exec(query, ...values).toArray() : [];
  }

  // Rows in the format [[key, value, expires_at], …].
  load(key) {
    return JSON.stringify(this.select("SELECT key, value, expires_at FROM rows WHERE key = ?", key).map(Object.values));
  }

  list(prefix, now, limit) {
    const query = "SELECT key, value, expires_at FROM rows WHERE key >= ? AND key < ? AND expires_at > ? LIMIT ?";
    return JSON.stringify(this.select(query, prefix, `${prefix}\uffff`, now, limit).map(Object.values));
  }

  // Stores one step, all or nothing. The runtime holds back every response and every write to KV until it is durable,
  // and stores an alarm together with the rows that were written in the same turn.
  commit(rows, now, alarm) {
    const changes = JSON.parse(rows);
    if (changes.length > 0) {
      this.state.storage.transactionSync(() => {
        if (!this.exists) this.sql.exec(TABLE);
        this.sql.exec("DELETE FROM rows WHERE expires_at <= ?", now);
        for (const [key, value, expires_at] of changes) {
          if (value === null) this.sql.exec("DELETE FROM rows WHERE key = ?", key);
          else this.sql.exec("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", key, value, expires_at);
        }
      });
      this.exists = true;
    }
    this.abortOnFailure(alarm === undefined ? this.state.storage.deleteAlarm() : this.state.storage.setAlarm(alarm));
  }

  wipe() {
    this.exists = false;
    this.abortOnFailure(this.state.storage.deleteAlarm());
    this.abortOnFailure(this.state.storage.deleteAll());
  }

  // If storing fails, no answer may leave the object. It is aborted, and restarts from what is durable.
  abortOnFailure(stored) {
    stored.catch((error) => this.state.abort(`storage failed: ${error.message}`));
  }
}
