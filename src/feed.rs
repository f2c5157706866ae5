//! The feed of ends: what an API that verifies offline must refuse. Clients' objects report to it before they answer, one object
//! gathers what they say (`Feed`), and whoever asks gets it as a signed text.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::Unavailable;
use crate::rows::{Commit, FOR_EVER, Row, Rows};
use crate::value::{self, readable};

/// How long an end stays after its time or its last report, seconds: 15 minutes of a token's life, the rest for what an exchange
/// made that had not heard of it.
pub const HOUR: u64 = 3_600;
/// How long the end of a client's tokens stays, seconds: as long as a long-term token may live.
pub const LONGEST: u64 = 7_776_000;
/// The most ends of short-term tokens of one client at a time, so that none can fill the feed for others.
pub const MOST_TOKENS: usize = 1_000;
/// How many texts an isolate keeps: followers are seldom further apart. When it has so many, it drops them all.
const MOST_KEPT: usize = 64;
/// The name of the one object.
pub const NAME: &str = "feed";

/// What an end is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Kind {
    /// A short-term token.
    Token,
    /// The long-term token that short-term ones came from.
    Parent,
    /// All tokens of a client whose `auth_time` lies before a time.
    Client,
}

/// An end, as a client's object reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    pub kind: Kind,
    pub hash: String,
    /// Unix seconds.
    pub at: u64,
    /// For how long the entry stays after its time or this report, seconds.
    pub keep: u64,
    /// Grows with each end of one client: of two reports about the client itself, the later one counts.
    pub number: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub ends: Vec<End>,
}

/// What is asked of the feed's object.
#[derive(Debug, Serialize)]
pub enum Ask {
    Report(Report),
    /// What came after `since`, or all. Nothing, if the asker has all up to `known`.
    Ends {
        since: Option<u64>,
        known: Option<u64>,
    },
}

/// What is in the feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ends {
    pub seq: u64,
    /// 0 for a whole.
    pub since: u64,
    /// The member `ended`, as JSON; `None` if nothing has changed.
    pub ended: Option<String>,
}

readable!(enum Kind { "Token" => Token, "Parent" => Parent, "Client" => Client });
readable!(struct End { kind, hash, at, keep, number });
readable!(struct Report { ends });
readable!(enum Ask { "Report" => Report(report), "Ends" => Ends { since, known } });
readable!(struct Ends { seq, since, ended });

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Parent => "parent",
            Self::Client => "client",
        }
    }
}

/// What stands for an id in the feed: it tells nothing about tokens to who does not have them.
pub fn hash(kind: Kind, id: &str) -> String {
    let digest = Sha256::new().chain_update(kind.name()).chain_update(":").chain_update(id).finalize();
    Base64UrlUnpadded::encode_string(&digest[..16])
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Entry {
    at: u64,
    seq: u64,
    number: u64,
    /// Unix seconds.
    until: u64,
}

/// All entries, each under the key of its row.
type Entries = HashMap<String, Entry>;

/// The row `state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct State {
    seq: u64,
    /// The latest entry that was dropped: who has not seen it needs a whole.
    dropped: u64,
}

readable!(struct Entry { at, seq, number, until });
readable!(struct State { seq, dropped });

const STATE: &str = "state";
const ENTRY: &str = "e:";

/// The feed's object.
#[derive(Debug)]
pub struct Feed<G> {
    rows: G,
    /// All entries, read once for each instance.
    entries: RefCell<Option<(State, Entries)>>,
}

impl<G: Rows> Feed<G> {
    pub const fn new(rows: G) -> Self {
        Self { rows, entries: RefCell::new(None) }
    }

    pub fn answer(&self, ask: &Ask) -> Result<Ends, Unavailable> {
        let answer = self.judge(ask);
        if answer.is_err() {
            // What is remembered may be ahead of what is stored.
            self.entries.replace(None);
        }
        answer
    }

    fn judge(&self, ask: &Ask) -> Result<Ends, Unavailable> {
        let now = self.rows.millis() / 1000;
        let mut memory = self.entries.borrow_mut();
        let (state, entries) = match &mut *memory {
            Some(memory) => memory,
            empty => empty.insert(self.read()?),
        };
        match ask {
            Ask::Report(report) => {
                self.take(state, entries, report, now)?;
                Ok(Ends { seq: state.seq, ..Ends::default() })
            }
            Ask::Ends { since, known } => {
                self.drop_old(state, entries, now)?;
                if *known == Some(state.seq) {
                    return Ok(Ends { seq: state.seq, ..Ends::default() });
                }
                let since = since.filter(|since| (state.dropped..=state.seq).contains(since));
                let newer = entries.iter().filter(|(_, entry)| since.is_none_or(|since| entry.seq > since));
                let ended = Some(ended(newer));
                Ok(Ends { seq: state.seq, since: since.unwrap_or(0), ended })
            }
        }
    }

    fn read(&self) -> Result<(State, Entries), Unavailable> {
        let unreadable = |key: &str| Unavailable::new("FEED", format!("the row {key} can't be read"));
        let state = match self.rows.load(STATE)? {
            Some(row) => value::read(&row.value).ok_or_else(|| unreadable(STATE))?,
            None => State::default(),
        };
        let mut entries = Entries::new();
        // Expired ones too: what was dropped must be known.
        for (key, row) in self.rows.list(ENTRY, 0, usize::MAX)? {
            let entry = value::read(&row.value).ok_or_else(|| unreadable(&key))?;
            entries.insert(key, entry);
        }
        Ok((state, entries))
    }

    /// Takes in a report. Its entries are stored before this returns.
    fn take(&self, state: &mut State, entries: &mut Entries, report: &Report, now: u64) -> Result<(), Unavailable> {
        let mut rows = Vec::new();
        for End { kind, hash, at, keep, number } in &report.ends {
            let key = row_key(*kind, hash);
            let known = entries.get(&key);
            let at = match (kind, known) {
                (Kind::Client, Some(known)) if known.number > *number => continue,
                (Kind::Client, _) | (_, None) => *at,
                // The earliest end counts.
                (_, Some(known)) => known.at.min(*at),
            };
            let begun = if at == FOR_EVER { now } else { at.max(now) };
            let until = begun.saturating_add(*keep).min(FOR_EVER);
            let seq = match known {
                Some(known) if known.at == at && known.number == *number => known.seq,
                _ => {
                    state.seq += 1;
                    state.seq
                }
            };
            let entry = Entry { at, seq, number: *number, until };
            rows.push((key.clone(), Some(row(&entry))));
            entries.insert(key, entry);
        }
        self.commit(*state, rows)
    }

    /// Drops what has been there for long enough.
    fn drop_old(&self, state: &mut State, entries: &mut Entries, now: u64) -> Result<(), Unavailable> {
        let mut rows = Vec::new();
        entries.retain(|key, entry| {
            let stays = now < entry.until;
            if !stays {
                state.dropped = state.dropped.max(entry.seq);
                rows.push((key.clone(), None));
            }
            stays
        });
        if rows.is_empty() { Ok(()) } else { self.commit(*state, rows) }
    }

    fn commit(&self, state: State, mut rows: Vec<(String, Option<Row>)>) -> Result<(), Unavailable> {
        let value = serde_json::to_string(&state).unwrap_or_default();
        rows.push((STATE.to_owned(), Some(Row { value, expires_at: FOR_EVER })));
        // Entries are removed here, and by no expiry: `dropped` must tell of each.
        self.rows.commit(&Commit { rows, alarm: None, now: 0 })
    }
}

fn row_key(kind: Kind, hash: &str) -> String {
    format!("{ENTRY}{}:{hash}", kind.name())
}

fn row(entry: &Entry) -> Row {
    Row { value: serde_json::to_string(entry).unwrap_or_default(), expires_at: FOR_EVER }
}

/// A signed text.
#[derive(Debug)]
pub struct Text {
    pub seq: u64,
    pub token: Rc<str>,
    pub etag: String,
    /// Unix seconds.
    pub issued_at: u64,
    /// When the feed was last asked whether it is the latest, Unix milliseconds.
    pub checked: u64,
}

/// The texts that an isolate keeps, by their `since`.
#[derive(Debug, Default)]
pub struct Kept(pub RefCell<Vec<(u64, Text)>>);

impl Kept {
    pub fn keep(&self, since: u64, text: Text) {
        let mut texts = self.0.borrow_mut();
        match texts.iter_mut().find(|(other, _)| *other == since) {
            // A later answer may have overtaken this one.
            Some((_, kept)) if kept.seq > text.seq => {}
            Some((_, kept)) => *kept = text,
            None => {
                if texts.len() >= MOST_KEPT {
                    texts.clear();
                }
                texts.push((since, text));
            }
        }
    }
}

/// The member `ended`: all three kinds are there, if empty.
fn ended<'a>(entries: impl Iterator<Item = (&'a String, &'a Entry)>) -> String {
    let mut members = [String::new(), String::new(), String::new()];
    for (key, entry) in entries {
        let (kind, hash) = key[ENTRY.len()..].split_once(':').unwrap_or_default();
        let member = match kind {
            "token" => &mut members[0],
            "parent" => &mut members[1],
            _ => &mut members[2],
        };
        let comma = if member.is_empty() { "" } else { "," };
        *member += &format!("{comma}\"{hash}\":{}", entry.at);
    }
    let [token, parent, client] = members;
    format!("{{\"token\":{{{token}}},\"parent\":{{{parent}}},\"client\":{{{client}}}}}")
}
