//! One step of a client's object: what it reads is current, and what it changes is stored by one commit.

use std::cell::{Cell, RefCell};

use super::ask::{Answer, Ask};
use super::ground::Ground;
use super::publication::State;
use super::replica::{MOST_ENDS, Replica};
use super::{Client, Status};
use crate::assertion::Genuine;
use crate::error::{Error, TokenFault, Unavailable};
use crate::feed::{self, End};
use crate::rows::{Commit, FOR_EVER, Row};
use crate::settings::{FeedMode, Settings};
use crate::token::Presented;
use crate::token_id::{Kind, TokenId};
use crate::value::{self, Read};

/// For how long an end is remembered after its token's own end, seconds: a location's clock may be behind.
const AFTER_THE_END: u64 = 300;

// The rows: the record of the client; what its one-time codes have seen; when the tokens of the secret `OPERATOR` were last ended;
// what is to be published. Besides `jti:DIGEST` for each assertion that was taken, and `end:TOKEN_ID` for each early end;
// `owed:…` for each end that the feed is to have, and `told:…` for those of short-term tokens that it has.
pub(super) const CLIENT: &str = "client";
pub(super) const CODES: &str = "codes";
pub(super) const OPERATOR: &str = "operator";
const STATE: &str = "state";
const OWED: &str = "owed:";
const TOLD: &str = "told:";
const LONG_ENDS: &str = "end:tok_lt_";

/// One step of an object: what it read is current, and what it changes is stored by `commit`.
pub(super) struct Step<'a, G> {
    pub(super) ground: &'a G,
    pub(super) settings: &'a Settings,
    pub(super) client_id: &'a str,
    pub(super) state: State,
    stored: State,
    rows: RefCell<Vec<(String, Option<Row>)>>,
    /// Something was decided by the clock that no row shows: the clock itself is stored.
    pub(super) clock_counts: Cell<bool>,
    /// Unix seconds.
    pub(super) now: u64,
}

/// What a step comes to: the answer, and what must have come about before it is given.
pub(super) struct Settled {
    pub(super) answer: Answer,
    /// KV must show this change.
    pub(super) shown: Option<u64>,
    /// The feed must have every end up to this number.
    pub(super) told: u64,
    /// This second must have begun.
    pub(super) begun: u64,
    /// With this answer the change of the client with this validator is confirmed: its repeat is a new one.
    pub(super) confirms: Option<String>,
}

impl From<Answer> for Settled {
    fn from(answer: Answer) -> Self {
        Self { answer, shown: None, told: 0, begun: 0, confirms: None }
    }
}

/// The row of a token that ends early: `AT CHANGE TOLD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EarlyEnd {
    /// Unix seconds; 0 if that has come.
    pub(super) at: u64,
    /// The change that KV must show before a revocation is answered; 0 if it need not show any.
    pub(super) change: u64,
    /// The number of the end that the feed must have; 0 if it need not have any.
    pub(super) told: u64,
}

impl EarlyEnd {
    fn parse(key: &str, value: &str) -> Result<Self, Unavailable> {
        let mut numbers = value.split(' ').map(|number| number.parse().ok());
        let mut number = || numbers.next().flatten();
        match (number(), number(), number()) {
            (Some(at), Some(change), Some(told)) => Ok(Self { at, change, told }),
            _ => Err(unreadable(key)),
        }
    }

    pub(super) const fn has_come(self) -> bool {
        self.at == 0
    }
}

impl core::fmt::Display for EarlyEnd {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "{} {} {}", self.at, self.change, self.told)
    }
}

impl<'a, G: Ground> Step<'a, G> {
    /// Begins a step. `clock` is the latest time that the object has seen, Unix milliseconds.
    pub(super) fn begin(
        ground: &'a G,
        settings: &'a Settings,
        client_id: &'a str,
        clock: u64,
    ) -> Result<Self, Unavailable> {
        let mut state: State = match ground.load(STATE)? {
            Some(row) => parse(&row.value, STATE)?,
            None => State::default(),
        };
        let stored = state.clone();
        state.clock = state.clock.max(clock);
        let now = state.clock / 1000;
        Ok(Step {
            ground,
            settings,
            client_id,
            state,
            stored,
            rows: RefCell::default(),
            clock_counts: Cell::new(false),
            now,
        })
    }

    /// Judges a question. What it changes is stored when the step is committed.
    pub(super) fn judge(&mut self, ask: Ask, genuine: Option<Genuine>) -> Result<Settled, Error> {
        if self.is_operator() && (self.state.wipe > 0 || self.load(OPERATOR)?.is_none()) {
            // The id was tried before it was an operator's, and must never be another client's, also when the secret is gone.
            self.state.wipe = 0;
            if self.load(OPERATOR)?.is_none() {
                self.save(OPERATOR, "0".to_owned(), FOR_EVER);
            }
        }
        match ask {
            Ask::Issue(issue) => self.issue(issue, genuine),
            Ask::Rotate(rotate) => self.rotate(rotate),
            Ask::Standing(token) => self.standing(&token),
            Ask::Revoke(revoke) => self.revoke(&revoke),
            Ask::Create { body, .. } => self.create(&body),
            Ask::Show => self.show(),
            Ask::Change(change) => self.change(change),
            Ask::AddSecret => self.add_secret(),
            Ask::EndSecret { secret_id, delay } => self.end_secret(&secret_id, delay),
            Ask::NewTotp => self.new_totp(),
            Ask::EndTokens => self.end_tokens(),
            Ask::Delete { if_match } => self.delete(if_match.as_deref()),
            Ask::Probe => Ok(Answer::Done.into()),
        }
    }

    /// Whether a token counts: its own end, its client, its early end, its parent's. The client, if so.
    pub(super) fn life(&mut self, token: &Presented) -> Result<Client, Error> {
        if let Err(fault) = token.check_end(self.now) {
            self.clock_counts.set(true);
            return Err(fault.into());
        }
        let client = self.known_client()?.ok_or(TokenFault::ClientEnded)?;
        client.honours(token.auth_time)?;
        let mut ended = self.end_of(&client, &token.id)?.is_some_and(|end| end.has_come());
        if let Some(parent) = &token.parent {
            ended |= self.end_of(&client, parent)?.is_some_and(|end| end.has_come());
        }
        if ended { Err(TokenFault::Revoked.into()) } else { Ok(client) }
    }

    /// When a token ends early, if it does. That an end has come is stored, and published, so that no clock can take it back.
    pub(super) fn end_of(&mut self, client: &Client, token_id: &str) -> Result<Option<EarlyEnd>, Unavailable> {
        let key = format!("end:{token_id}");
        let Some(row) = self.load_row(&key)? else { return Ok(None) };
        let end = EarlyEnd::parse(&key, &row.value)?;
        if end.has_come() || end.at > self.now {
            return Ok(Some(end));
        }
        let end = EarlyEnd { at: 0, change: self.shown_change(client, token_id, false), told: end.told };
        self.save(&key, end.to_string(), row.expires_at);
        Ok(Some(end))
    }

    /// Lets a token end at `at` (Unix seconds), unless it ends earlier already. `awaited`: the caller waits until KV shows it.
    pub(super) fn end(
        &mut self,
        client: &Client,
        token: &TokenId,
        at: u64,
        awaited: bool,
    ) -> Result<EarlyEnd, Unavailable> {
        let at = if at <= self.now { 0 } else { at };
        let settled = self.end_of(client, token.as_str())?.filter(|settled| settled.at <= at);
        if let Some(settled) = settled
            && (settled.told > 0 || !awaited)
        {
            return Ok(settled);
        }
        let at = settled.map_or(at, |settled| settled.at);
        let ends_at = if at == 0 { self.now } else { at };
        let kind = if token.kind == Kind::Long { feed::Kind::Parent } else { feed::Kind::Token };
        // Further ahead, no exchange makes a short-term token that outlives it. Whoever revokes it then has it told after all.
        let is_near = ends_at < self.now + feed::HOUR;
        let told = if is_near { self.owe(kind, token.as_str(), ends_at, feed::HOUR, awaited) } else { 0 };
        let change = match settled {
            Some(settled) if told == 0 => return Ok(settled),
            Some(settled) => settled.change,
            None => self.shown_change(client, token.as_str(), awaited),
        };
        let end = EarlyEnd { at, change, told };
        self.save(&format!("end:{}", token.as_str()), end.to_string(), token.expires_at + AFTER_THE_END);
        if end.change > 0 && at > 0 {
            self.state.ends_at(at);
        }
        Ok(end)
    }

    /// The number of the change that an end is to KV; 0 if KV does not show it.
    fn shown_change(&mut self, client: &Client, token_id: &str, awaited: bool) -> u64 {
        if !self.shows(client, token_id) {
            return 0;
        }
        self.state.changed(awaited);
        self.state.change
    }

    /// Notes in KV's stead which ends have come, when the time of the earliest has. Sets when the next one does.
    pub(super) fn settle_ends(&mut self, client: &Client) -> Result<(), Unavailable> {
        self.state.next_end = 0;
        for (key, row) in self.ground.list(LONG_ENDS, self.now, usize::MAX)? {
            let end = EarlyEnd::parse(&key, &row.value)?;
            if end.at > self.now {
                self.state.ends_at(end.at);
            } else if !end.has_come() {
                self.end_of(client, key.strip_prefix("end:").unwrap_or(&key))?;
            }
        }
        Ok(())
    }

    /// Owes the feed an end, which stays there for `keep` seconds after its time or this report, whichever is later.
    /// Gives its number.
    pub(super) fn owe(&mut self, kind: feed::Kind, id: &str, at: u64, keep: u64, awaited: bool) -> u64 {
        if self.settings.feed == FeedMode::Off {
            return 0;
        }
        let number = self.state.owe(awaited);
        let end = End { key: feed::key(kind, id), at, keep, number };
        self.save(&format!("{OWED}{}", end.key), to_json(&end), FOR_EVER);
        number
    }

    /// What the feed is to be told.
    pub(super) fn owed_report(&self) -> Result<Vec<End>, Unavailable> {
        let rows = self.ground.list(OWED, self.now, usize::MAX)?;
        rows.iter().map(|(key, row)| parse(&row.value, key)).collect()
    }

    /// The feed has a report, with everything up to a number.
    pub(super) fn told(&mut self, ends: &[End], number: u64) {
        for end in ends {
            let key = format!("{OWED}{}", end.key);
            // What was owed since then, under the same key, still is.
            let is_same = self.load(&key).is_ok_and(|row| row.is_some_and(|value| value == to_json(end)));
            if is_same {
                self.remove(&key);
            }
            if end.key.starts_with(feed::Kind::Token.name()) {
                self.save(&format!("{TOLD}{}", end.key), String::new(), self.now + feed::HOUR);
            }
        }
        self.state.told = self.state.told.max(number);
    }

    /// Whether the feed has room for one more end of a short-term token of this client.
    pub(super) fn has_room(&self) -> Result<bool, Unavailable> {
        let told = self.ground.list(TOLD, self.now, feed::MOST_TOKENS)?.len();
        let owed = self.ground.list(&format!("{OWED}{}", feed::Kind::Token.name()), self.now, feed::MOST_TOKENS)?.len();
        Ok(self.settings.feed == FeedMode::Off || told + owed < feed::MOST_TOKENS)
    }

    /// Whether exchanges of the client's tokens may follow KV: also while KV does not show yet that they must not.
    pub(super) fn follows_kv(&self, client: &Client) -> bool {
        !self.is_operator() && (!client.is_immediate() || self.state.shown < self.state.switched)
    }

    /// Whether KV shows when this token ends early.
    pub(super) fn shows(&self, client: &Client, token_id: &str) -> bool {
        token_id.starts_with(Kind::Long.prefix()) && self.follows_kv(client)
    }

    pub(super) fn is_operator(&self) -> bool {
        self.settings.is_operator(self.client_id)
    }

    /// The record that is stored, a tombstone too.
    pub(super) fn stored_client(&self) -> Result<Option<Client>, Unavailable> {
        self.load(CLIENT)?.map(|value| Client::parse(&value)).transpose()
    }

    pub(super) fn known_or_deleted(&self) -> Result<Option<Client>, Unavailable> {
        match &self.settings.operator {
            Some(operator) if self.is_operator() => {
                let ended = self.load(OPERATOR)?.map(|value| value.parse().map_err(|_| unreadable(OPERATOR)));
                Ok(Some(operator.client(ended.transpose()?.unwrap_or(0))))
            }
            _ => match self.stored_client()? {
                Some(client) => Ok(Some(client)),
                None => {
                    // The work of reading one, where there is none.
                    Client::parse(&self.settings.dummy_client)?;
                    Ok(None)
                }
            },
        }
    }

    pub(super) fn known_client(&self) -> Result<Option<Client>, Unavailable> {
        Ok(self.known_or_deleted()?.filter(|client| client.status != Status::Deleted))
    }

    /// The client as operators see it: a deleted one is not there.
    pub(super) fn visible_client(&self) -> Result<Client, Error> {
        self.known_client()?.ok_or(Error::ClientNotFound)
    }

    pub(super) fn touch(&self, client: &mut Client) -> Result<(), Unavailable> {
        client.updated_at = self.now;
        client.revision += 1;
        self.save_client(client)
    }

    pub(super) fn save_client(&self, client: &Client) -> Result<(), Unavailable> {
        if !self.is_operator() {
            self.save(CLIENT, to_json(client), FOR_EVER);
        }
        Ok(())
    }

    pub(super) fn replica(&self, client: &Client) -> Result<Replica, Unavailable> {
        let rows = self.ground.list(LONG_ENDS, self.now, MOST_ENDS + 1)?;
        let mut ends = Vec::with_capacity(rows.len());
        for (key, row) in &rows {
            let at = EarlyEnd::parse(key, &row.value)?.at;
            ends.push((key.strip_prefix("end:").unwrap_or(key), if at <= self.now { 0 } else { at }));
        }
        Ok(Replica::new(client, ends.into_iter()))
    }

    pub(super) fn load(&self, key: &str) -> Result<Option<String>, Unavailable> {
        Ok(self.load_row(key)?.map(|row| row.value))
    }

    pub(super) fn load_row(&self, key: &str) -> Result<Option<Row>, Unavailable> {
        // What this step has changed is read back.
        if let Some((_, row)) = self.rows.borrow().iter().rev().find(|(changed, _)| changed == key) {
            return Ok(row.clone());
        }
        Ok(self.ground.load(key)?.filter(|row| row.expires_at > self.now))
    }

    pub(super) fn save(&self, key: &str, value: String, expires_at: u64) {
        self.rows.borrow_mut().push((key.to_owned(), Some(Row { value, expires_at })));
    }

    pub(super) fn remove(&self, key: &str) {
        self.rows.borrow_mut().push((key.to_owned(), None));
    }

    /// Stores what the step has changed.
    pub(super) fn commit(self) -> Result<(), Unavailable> {
        let mut rows = self.rows.into_inner();
        // That time has passed is no change worth a write.
        let mut stored = self.stored;
        let ticked = self.clock_counts.get() && stored.clock / 1000 < self.now;
        stored.clock = self.state.clock;
        if rows.is_empty() && stored == self.state && !ticked {
            return Ok(());
        }
        rows.push((STATE.to_owned(), Some(Row { value: to_json(&self.state), expires_at: FOR_EVER })));
        self.ground.commit(&Commit { rows, alarm: self.state.alarm(), now: self.now })
    }
}

pub(super) fn parse<T: Read>(value: &str, key: &str) -> Result<T, Unavailable> {
    value::read(value).ok_or_else(|| unreadable(key))
}

pub(super) fn to_json(value: &impl serde::Serialize) -> String {
    // Strings and numbers always serialize.
    serde_json::to_string(value).unwrap_or_default()
}

pub(super) fn unreadable(key: &str) -> Unavailable {
    Unavailable::new("CLIENT", format!("the row {key} can't be read"))
}
