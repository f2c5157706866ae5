//! One step of a client's object: it reads current state, and one commit stores all that it changes.

use std::cell::{Cell, RefCell};

use super::ask::{Answer, Ask};
use super::ground::Ground;
use super::publication::State;
use super::{Client, Status};
use crate::assertion::Genuine;
use crate::error::{Error, TokenFault, Unavailable};
use crate::rows::{Commit, FOR_EVER, Row};
use crate::settings::Settings;
use crate::token::Presented;
use crate::token_id::Kind;
use crate::value::{self, Read};

// Row keys: the client's record; the history of its one-time codes; when `end-tokens` last ended the tokens of the
// client of the secret `OPERATOR`; the publication state. Besides these, `jti:DIGEST` for each accepted assertion, and
// the rows of `ends`.
pub(super) const CLIENT: &str = "client";
pub(super) const CODES: &str = "codes";
pub(super) const OPERATOR: &str = "operator";
const STATE: &str = "state";

/// One step of an object. `commit` stores what it changed.
pub(super) struct Step<'a, G> {
    pub(super) ground: &'a G,
    pub(super) settings: &'a Settings,
    pub(super) client_id: &'a str,
    pub(super) state: State,
    stored: State,
    rows: RefCell<Vec<(String, Option<Row>)>>,
    /// The clock decided something that no row shows, so the clock itself must be stored.
    pub(super) must_store_clock: Cell<bool>,
    /// Unix seconds.
    pub(super) now: u64,
}

/// The result of a step: the answer, and what to wait for before giving it.
pub(super) struct Judgement {
    pub(super) answer: Answer,
    /// Wait until KV shows this change.
    pub(super) await_change: Option<u64>,
    /// Wait until the feed has every end up to this number.
    pub(super) await_end: u64,
    /// Wait until this second has begun.
    pub(super) await_second: u64,
    /// The `ETag` to remove from `State::unconfirmed` once this answer is given. From then on a repeat counts as a new
    /// change.
    pub(super) confirms: Option<String>,
}

impl From<Answer> for Judgement {
    fn from(answer: Answer) -> Self {
        Self { answer, await_change: None, await_end: 0, await_second: 0, confirms: None }
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
            must_store_clock: Cell::new(false),
            now,
        })
    }

    /// Judges a request. Its changes are stored when the step is committed.
    pub(super) fn judge(&mut self, ask: Ask, genuine: Option<Genuine>) -> Result<Judgement, Error> {
        if self.is_first_operator() && (self.state.wipe > 0 || self.load(OPERATOR)?.is_none()) {
            // This id was tried before it became the operator's. It must never become another client's, even after the
            // secret is removed.
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

    /// Checks whether a token is live: its expiry, its client, its own early end and its parent's. Returns the client.
    pub(super) fn live_client(&mut self, token: &Presented) -> Result<Client, Error> {
        if let Err(fault) = token.check_end(self.now) {
            self.must_store_clock.set(true);
            return Err(fault.into());
        }
        let client = self.known_client()?.ok_or(TokenFault::ClientEnded)?;
        client.honours(token.auth_time)?;
        let mut ended = self.find_end(&client, &token.id)?.is_some_and(|end| end.has_come());
        if let Some(parent) = &token.parent {
            ended |= self.find_end(&client, parent)?.is_some_and(|end| end.has_come());
        }
        if ended { Err(TokenFault::Revoked.into()) } else { Ok(client) }
    }

    /// Whether exchanges of the client's tokens may read KV. Still true after a switch to `immediate`, until KV shows
    /// the switch.
    pub(super) fn follows_kv(&self, client: &Client) -> bool {
        !self.is_first_operator() && (!client.is_immediate() || self.state.shown < self.state.switched)
    }

    /// Whether KV lists the early end of this token.
    pub(super) fn is_end_in_kv(&self, client: &Client, token_id: &str) -> bool {
        token_id.starts_with(Kind::Long.prefix()) && self.follows_kv(client)
    }

    pub(super) fn is_first_operator(&self) -> bool {
        self.settings.is_first_operator(self.client_id)
    }

    /// The stored record, even a tombstone.
    pub(super) fn stored_client(&self) -> Result<Option<Client>, Unavailable> {
        self.load(CLIENT)?.map(|value| Client::parse(&value)).transpose()
    }

    pub(super) fn known_or_deleted(&self) -> Result<Option<Client>, Unavailable> {
        match &self.settings.operator {
            Some(operator) if self.is_first_operator() => {
                let ended = self.load(OPERATOR)?.map(|value| value.parse().map_err(|_| unreadable(OPERATOR)));
                Ok(Some(operator.client(ended.transpose()?.unwrap_or(0))))
            }
            _ => match self.stored_client()? {
                Some(client) => Ok(Some(client)),
                None => {
                    // Parsing a dummy record makes an unknown client cost the same.
                    Client::parse(&self.settings.dummy_client)?;
                    Ok(None)
                }
            },
        }
    }

    pub(super) fn known_client(&self) -> Result<Option<Client>, Unavailable> {
        Ok(self.known_or_deleted()?.filter(|client| client.status != Status::Deleted))
    }

    /// The client, for an operator's call; a deleted one does not exist.
    pub(super) fn visible_client(&self) -> Result<Client, Error> {
        self.known_client()?.ok_or(Error::ClientNotFound)
    }

    pub(super) fn touch(&self, client: &mut Client) -> Result<(), Unavailable> {
        client.updated_at = self.now;
        client.revision += 1;
        self.save_client(client)
    }

    pub(super) fn save_client(&self, client: &Client) -> Result<(), Unavailable> {
        if !self.is_first_operator() {
            self.save(CLIENT, to_json(client), FOR_EVER);
        }
        Ok(())
    }

    pub(super) fn load(&self, key: &str) -> Result<Option<String>, Unavailable> {
        Ok(self.load_row(key)?.map(|row| row.value))
    }

    pub(super) fn load_row(&self, key: &str) -> Result<Option<Row>, Unavailable> {
        // The step sees its own changes.
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

    /// Stores the step's changes.
    pub(super) fn commit(self) -> Result<(), Unavailable> {
        let mut rows = self.rows.into_inner();
        // If only the clock has advanced, nothing is written, unless the clock decided something.
        let mut stored = self.stored;
        let ticked = self.must_store_clock.get() && stored.clock / 1000 < self.now;
        stored.clock = self.state.clock;
        if rows.is_empty() && stored == self.state && !ticked {
            return Ok(());
        }
        rows.push((STATE.to_owned(), Some(Row { value: to_json(&self.state), expires_at: FOR_EVER })));
        let alarm = self.state.alarm(self.settings.has_feed());
        self.ground.commit(&Commit { rows, alarm, now: self.now })
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
    Unavailable::new("CLIENT", format!("the row {key} can't be parsed"))
}
