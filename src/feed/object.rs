//! The feed's object: it numbers the reported ends, stores them, and drops them when they expire.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use serde::Serialize;

use super::{Ask, End, Ends, Entry, Kind};
use crate::error::Unavailable;
use crate::rows::{Commit, FOR_EVER, Row, Rows};
use crate::value::{self, readable};

/// The row `state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct State {
    seq: u64,
    dropped: u64,
}

readable!(struct State { seq, dropped });

const STATE: &str = "state";
const ENTRY: &str = "e:";

/// All entries, by key.
type Entries = HashMap<String, Entry>;

#[derive(Debug)]
pub struct Feed<G> {
    rows: G,
    /// What is stored, loaded once per instance.
    stored: RefCell<Option<(State, Entries)>>,
    /// When expired entries were last dropped, Unix seconds.
    tidied: Cell<u64>,
}

impl<G: Rows> Feed<G> {
    pub const fn new(rows: G) -> Self {
        Self { rows, stored: RefCell::new(None), tidied: Cell::new(0) }
    }

    pub fn answer(&self, ask: &Ask) -> Result<Ends, Unavailable> {
        let answer = self.judge(ask);
        if answer.is_err() {
            // What is in memory may be ahead of what is stored.
            self.stored.replace(None);
        }
        answer
    }

    fn judge(&self, ask: &Ask) -> Result<Ends, Unavailable> {
        let now = self.rows.millis() / 1000;
        let mut stored = self.stored.borrow_mut();
        let (state, entries) = match &mut *stored {
            Some(stored) => stored,
            empty => empty.insert(self.read()?),
        };
        match ask {
            Ask::Report(ends) => {
                self.take(state, entries, ends, now)?;
                Ok(Ends { seq: state.seq, ..Ends::default() })
            }
            Ask::Ends { since } => {
                if self.tidied.replace(now) != now {
                    self.drop_old(state, entries, now)?;
                }
                let State { seq, dropped } = *state;
                let since = since.filter(|since| (dropped..=seq).contains(since));
                let mut newer = Vec::new();
                // Most callers are up to date, so the entries need not be searched for them.
                if since != Some(seq) {
                    newer.extend(entries.values().filter(|entry| since.is_none_or(|since| entry.seq > since)).cloned());
                }
                Ok(Ends { seq, dropped, since, entries: newer })
            }
        }
    }

    fn read(&self) -> Result<(State, Entries), Unavailable> {
        let unreadable = || Unavailable::new("FEED", "a row can't be read");
        let state = match self.rows.load(STATE)? {
            Some(row) => value::read(&row.value).ok_or_else(unreadable)?,
            None => State::default(),
        };
        let mut entries = Entries::new();
        // Expired ones too: `drop_old` must record them in `dropped`.
        for (_, row) in self.rows.list(ENTRY, 0, usize::MAX)? {
            let entry: Entry = value::read(&row.value).ok_or_else(unreadable)?;
            entries.insert(entry.key.clone(), entry);
        }
        Ok((state, entries))
    }

    /// Adds reported ends. They are stored before this returns.
    fn take(&self, state: &mut State, entries: &mut Entries, ends: &[End], now: u64) -> Result<(), Unavailable> {
        let mut rows = Vec::new();
        for End { key, at, keep, number } in ends {
            let known = entries.get(key);
            let at = if *at == 0 { &now } else { at };
            let at = match known {
                Some(known) if key.starts_with(Kind::Client.name()) => {
                    if known.number > *number {
                        continue;
                    }
                    *at
                }
                // The earliest end wins.
                Some(known) => known.at.min(*at),
                None => *at,
            };
            let begun = if at == FOR_EVER { now } else { at.max(now) };
            let until = begun.saturating_add(*keep).min(FOR_EVER);
            // A repeated report within the same second changes nothing.
            if known.is_some_and(|known| known.at == at && known.number == *number && known.until == until) {
                continue;
            }
            state.seq += 1;
            let entry = Entry { key: key.clone(), at, seq: state.seq, number: *number, until };
            rows.push((format!("{ENTRY}{key}"), Some(row(&entry))));
            entries.insert(key.clone(), entry);
        }
        self.commit(*state, rows)
    }

    /// Drops expired entries.
    fn drop_old(&self, state: &mut State, entries: &mut Entries, now: u64) -> Result<(), Unavailable> {
        let mut rows = Vec::new();
        entries.retain(|key, entry| {
            let stays = now < entry.until;
            if !stays {
                state.dropped = state.dropped.max(entry.seq);
                rows.push((format!("{ENTRY}{key}"), None));
            }
            stays
        });
        self.commit(*state, rows)
    }

    fn commit(&self, state: State, mut rows: Vec<(String, Option<Row>)>) -> Result<(), Unavailable> {
        if rows.is_empty() {
            return Ok(());
        }
        rows.push((STATE.to_owned(), Some(row(&state))));
        self.rows.commit(&Commit { rows, alarm: None, now: 0 })
    }
}

/// A row without expiry: `drop_old` removes it, and records that in `dropped`.
fn row(value: &impl Serialize) -> Row {
    Row { value: serde_json::to_string(value).unwrap_or_default(), expires_at: FOR_EVER }
}
