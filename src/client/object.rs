//! A client's object: the one place that knows everything about the client, and the only writer of its replica.
//!
//! The object is a table of rows with one alarm. Between two awaits nothing else runs in it, so a question is judged in one step
//! (`Step`), which ends in one commit: the rows, what is still to be published, and the alarm that will see to it. Only then does
//! the object answer, or write to KV. All rules are here and in this folder; `edge` gives table, clock, alarm and KV.
//!
//! An id that is no client's has an object too, which takes the same way with a client made up for it, and is wiped within minutes.

use std::cell::{Cell, RefCell};

use futures_util::lock::Mutex;

use super::ask::{Answer, Ask, Change, Issue, Revoke, Rotate, Shown, Standing};
use super::change::{Credentials, Draft, NewSecret, NewTotp, Patch, etag, if_match};
use super::codes::{Codes, Verdict};
use super::publication::{PACE, State};
use super::replica::{MOST_ENDS, Replica, digest};
use super::{Client, LONGEST_SESSION, MAX_SECRETS, Mechanism, Status, StoredSecret, secret_matches};
use crate::assertion::{self, Genuine};
use crate::client::jwk::PublicJwk;
use crate::error::{Error, Grantor, TokenFault, Unavailable, Unentitled};
use crate::json;
use crate::otp;
use crate::request::Credential;
use crate::scope::Scopes;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::token::{Granted, Presented};
use crate::token_id::{Kind, TokenId};
use crate::value::{self, Read};

/// The scope that lets a short-term token rotate its long-term one.
const WRITE: &str = "tokens:write";
/// The scope that lets a token revoke other tokens of its client.
const REVOKE: &str = "tokens:revoke";
/// For how long an end is remembered after its token's own end, seconds: a location's clock may be behind.
const AFTER_THE_END: u64 = 300;
/// How long KV keeps the replica of a deleted client, seconds: longer than any token of its lives.
const DELETED: u64 = 91 * 86_400;
/// A row that stays.
const FOR_EVER: u64 = 253_402_300_799;
/// For how long a caller waits for a write that was given up, before it is told so. Milliseconds.
const PATIENCE: u64 = 2_500;
/// How soon the alarm comes again if the object dies while it runs, milliseconds.
const ALARM_AGAIN: u64 = 30_000;

const CLIENT: &str = "client";
const CODES: &str = "codes";
const OPERATOR: &str = "operator";
const STATE: &str = "state";
const LONG_ENDS: &str = "end:tok_lt_";

/// A stored row: its value, and when it may be forgotten (Unix seconds).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub value: String,
    pub expires_at: u64,
}

/// What one step changes, all of it or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// `None` removes a row.
    pub rows: Vec<(String, Option<Row>)>,
    /// When the object is to be woken, Unix milliseconds.
    pub alarm: Option<u64>,
    /// Rows that expired up to then (Unix seconds) may be removed.
    pub now: u64,
}

/// What the object stands on.
#[allow(async_fn_in_trait, reason = "futures run on the runtime's one thread; none needs to be Send")]
pub trait Ground {
    fn load(&self, key: &str) -> Result<Option<Row>, Unavailable>;

    /// The rows whose keys begin so, at most `limit` of them, without those that expired.
    fn list(&self, prefix: &str, now: u64, limit: usize) -> Result<Vec<(String, Row)>, Unavailable>;

    /// Stores a step. No answer and no write to KV leaves the object before it is durable.
    fn commit(&self, commit: &Commit) -> Result<(), Unavailable>;

    /// Removes all there is, the alarm too.
    fn wipe(&self) -> Result<(), Unavailable>;

    /// Unix milliseconds.
    fn millis(&self) -> u64;

    fn random(&self, bytes: &mut [u8]) -> Result<(), Unavailable>;

    /// Writes a value to KV, and gives up after 3 seconds. `expires_at`: until when it must be kept (Unix seconds), if not for ever.
    async fn put(&self, key: &str, value: &str, status: &str, expires_at: Option<u64>) -> Result<(), Unavailable>;

    async fn sleep(&self, millis: u64);

    /// As `host::Host::verify`.
    async fn verify(&self, key: &PublicJwk, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable>;
}

#[derive(Debug)]
pub struct Object<G> {
    ground: G,
    /// Held while the replica is written.
    writing: Mutex<()>,
    /// The latest time seen, Unix milliseconds.
    clock: Cell<u64>,
    /// Whether this instance has looked for a write of an earlier one whose end nobody knows.
    opened: Cell<bool>,
    /// When the last write to KV began, Unix milliseconds.
    wrote: Cell<u64>,
    /// The writes that failed: how many, and the change of the last.
    failed: Cell<(u64, u64)>,
}

/// One step of an object: what it read is current, and what it changes is stored by `commit`.
struct Step<'a, G> {
    object: &'a Object<G>,
    settings: &'a Settings,
    client_id: &'a str,
    state: State,
    stored: State,
    rows: RefCell<Vec<(String, Option<Row>)>>,
    /// Unix seconds.
    now: u64,
}

/// What a step comes to: the answer, and what must have come about before it is given.
struct Settled {
    answer: Answer,
    /// KV must show this change.
    shown: Option<u64>,
    /// This second must have begun.
    begun: u64,
    /// With this answer the change before is confirmed: its repeat is a new one.
    confirms: bool,
}

impl From<Answer> for Settled {
    fn from(answer: Answer) -> Self {
        Self { answer, shown: None, begun: 0, confirms: false }
    }
}

impl<G: Ground> Object<G> {
    pub fn new(ground: G) -> Self {
        Self {
            ground,
            writing: Mutex::new(()),
            clock: Cell::default(),
            opened: Cell::default(),
            wrote: Cell::default(),
            failed: Cell::default(),
        }
    }

    /// Answers a question about the client whose object this is.
    pub async fn answer(&self, settings: &Settings, client_id: &str, ask: Ask) -> Result<Answer, Error> {
        self.open(settings)?;
        let genuine = match &ask {
            Ask::Issue(issue) => self.examine(settings, client_id, issue).await?,
            _ => None,
        };
        let mut step = self.step(settings, client_id)?;
        // A refusal may have changed something too: a wrong code counts.
        let settled = step.judge(ask, genuine);
        let change = step.state.change;
        step.commit()?;
        let Settled { answer, shown, begun, confirms } = settled?;
        if let Some(change) = shown {
            self.publish(settings, client_id, change).await?;
        }
        if confirms {
            self.confirm(settings, client_id, change)?;
        }
        self.sleep_until(begun).await;
        Ok(answer)
    }

    /// What the alarm does. An error is one of the alarm itself, which could not be set anew; whatever else fails is due again.
    pub async fn alarm(&self, settings: &Settings) -> Result<(), Unavailable> {
        self.ground.commit(&Commit { alarm: Some(self.millis() + ALARM_AGAIN), ..Commit::default() })?;
        let _ = self.wake(settings).await;
        Ok(())
    }

    async fn wake(&self, settings: &Settings) -> Result<(), Error> {
        self.open(settings)?;
        let step = self.step(settings, "")?;
        let client = step.stored_client()?;
        if client.is_none() && step.load(OPERATOR)?.is_none() {
            // In the step that found no client, so that none can have been made meanwhile.
            if step.state.wipe > 0 && step.state.wipe <= self.millis() {
                return Ok(self.ground.wipe()?);
            }
        }
        if let Some(client) = client
            && step.state.is_due()
        {
            // What fails is due again, and so is what another write overtook.
            let _ = self.write(settings, &client.client_id).await;
        }
        self.rest(settings)
    }

    /// Sets the alarm to what is due next.
    fn rest(&self, settings: &Settings) -> Result<(), Error> {
        let step = self.step(settings, "")?;
        Ok(self.ground.commit(&Commit { alarm: step.state.alarm(), now: step.now, ..Commit::default() })?)
    }

    fn step<'a>(&'a self, settings: &'a Settings, client_id: &'a str) -> Result<Step<'a, G>, Unavailable> {
        let mut state: State = match self.ground.load(STATE)? {
            Some(row) => parse(&row.value, "state")?,
            None => State::default(),
        };
        let stored = state.clone();
        self.clock.set(self.clock.get().max(state.clock));
        state.clock = self.millis();
        let (now, rows) = (state.clock / 1000, RefCell::default());
        Ok(Step { object: self, settings, client_id, state, stored, rows, now })
    }

    /// Looks, once for each instance, for a write of an earlier one whose end nobody knows.
    fn open(&self, settings: &Settings) -> Result<(), Unavailable> {
        if self.opened.get() {
            return Ok(());
        }
        let mut step = self.step(settings, "")?;
        if step.state.is_pending() {
            step.state.uncertain();
        }
        step.commit()?;
        self.opened.set(true);
        Ok(())
    }

    /// The object's clock, which never runs back. Unix milliseconds.
    fn millis(&self) -> u64 {
        self.clock.set(self.clock.get().max(self.ground.millis()));
        self.clock.get()
    }

    async fn sleep_until(&self, second: u64) {
        loop {
            match (second * 1000).saturating_sub(self.millis()) {
                0 => return,
                left => self.ground.sleep(left).await,
            }
        }
    }

    /// Checks the signature of an assertion, which takes more than one step. What it says counts in the step that follows.
    async fn examine(&self, settings: &Settings, client_id: &str, issue: &Issue) -> Result<Option<Genuine>, Error> {
        let Credential::Assertion(assertion) = &issue.credential else { return Ok(None) };
        let (client, now) = {
            let step = self.step(settings, client_id)?;
            (step.known_client()?, step.now)
        };
        let verify =
            async |key: &PublicJwk, message: &[u8], signature: &[u8]| self.ground.verify(key, message, signature).await;
        let keys = client.as_ref().and_then(|client| client.jwks.as_ref()).map_or(&[][..], |set| &set.keys);
        let text = assertion.expose_text();
        Ok(assertion::check(settings, verify, client_id, keys, text, &issue.origin, now).await?)
    }

    /// Waits until KV shows a change. The calls that wait at the same time share a write.
    async fn publish(&self, settings: &Settings, client_id: &str, change: u64) -> Result<(), Error> {
        let (began, (failures, _)) = (self.millis(), self.failed.get());
        loop {
            let _turn = self.writing.lock().await;
            if self.step(settings, client_id)?.state.shown >= change {
                return Ok(());
            }
            let (failed_before, last) = self.failed.get();
            let failed = if last >= change { failed_before - failures } else { 0 };
            // One more try is for a refusal that came at once, such as KV's "too many writes".
            if failed > 1 || (failed == 1 && self.millis() - began > PATIENCE) {
                return Err(
                    Unavailable::new("REVOCATIONS", "the replica was not written; the alarm goes on trying").into()
                );
            }
            let written = self.write_in_turn(settings, client_id).await;
            // A failure of KV is counted, so the next round sees it. Another one would not pass.
            if self.failed.get().0 == failed_before {
                written?;
            }
        }
    }

    async fn write(&self, settings: &Settings, client_id: &str) -> Result<(), Error> {
        let _turn = self.writing.lock().await;
        if !self.step(settings, client_id)?.state.is_due() {
            return Ok(());
        }
        self.write_in_turn(settings, client_id).await
    }

    /// Writes what is settled when the write begins. The caller holds `writing`.
    async fn write_in_turn(&self, settings: &Settings, client_id: &str) -> Result<(), Error> {
        let pause = (self.wrote.get() + PACE).saturating_sub(self.millis());
        if pause > 0 {
            self.ground.sleep(pause).await;
        }
        let (replica, change, began, status, expires_at) = {
            let step = self.step(settings, client_id)?;
            let Some(client) = step.stored_client()? else {
                return Err(Unavailable::new("CLIENT", "there is no client to write a replica of").into());
            };
            let expires_at = (client.status == Status::Deleted).then_some(step.now + DELETED);
            (step.replica(&client)?, step.state.change, step.state.clock, client.status.name(), expires_at)
        };
        let value = replica.to_json();
        let digest = digest(&value);
        let is_held = self.step(settings, client_id)?.state.holds(&digest);
        let written = if is_held {
            Ok(())
        } else {
            self.wrote.set(began);
            self.ground.put(client_id, &value, status, expires_at).await
        };
        let mut step = self.step(settings, client_id)?;
        match &written {
            Ok(()) => step.state.confirmed(change, began, digest, replica.is_full()),
            Err(_) => {
                self.failed.set((self.failed.get().0 + 1, change));
                step.state.failed();
            }
        }
        step.commit()?;
        Ok(written?)
    }

    /// The last change up to `change` was answered with success.
    fn confirm(&self, settings: &Settings, client_id: &str, change: u64) -> Result<(), Error> {
        let mut step = self.step(settings, client_id)?;
        if step.state.change == change {
            step.state.unconfirmed = None;
            step.commit()?;
        }
        Ok(())
    }
}

impl<G: Ground> Step<'_, G> {
    /// Judges a question. What it changes is stored when the step is committed.
    fn judge(&mut self, ask: Ask, genuine: Option<Genuine>) -> Result<Settled, Error> {
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

    // Tokens

    fn issue(&mut self, issue: Issue, genuine: Option<Genuine>) -> Result<Settled, Error> {
        let client = self.known_client()?;
        self.authenticate(client.as_ref(), &issue.credential, genuine)?;
        let mut client = client.ok_or(Error::InvalidClient { locked: false })?;
        if client.drop_ended_secrets(self.now) {
            self.save_client(&client)?;
        }
        permit(&client, issue.credential.mechanism())?;
        let scopes = grant(&client, issue.scopes)?;
        if self.is_operator() && self.load(OPERATOR)?.is_none() {
            // Its id must never be another client's, also when the secret is gone.
            self.save(OPERATOR, "0".to_owned(), FOR_EVER);
        }
        let now = self.now.max(client.tokens_valid_from);
        let ttl = issue.ttl.min(client.max_ttl_seconds);
        Ok(Answer::Granted(Granted { now, auth_time: now, scopes, ttl, consistency: client.consistency }).into())
    }

    /// Checks a credential. Every failure is the same, after the same work, also where there is no client.
    fn authenticate(
        &mut self,
        client: Option<&Client>,
        credential: &Credential,
        genuine: Option<Genuine>,
    ) -> Result<(), Error> {
        let mut locked = false;
        let authentic = match credential {
            Credential::Secret(secret) => {
                secret_matches(client.map_or(&[], |client| &client.secrets), secret, self.now)
            }
            Credential::Code(code) => {
                let sealed = client.and_then(|client| client.totp.as_deref());
                let keys = &self.settings.keys;
                let seed = match sealed {
                    Some(sealed) => keys.unseal(self.client_id, sealed).ok_or_else(|| {
                        let problem = "the TOTP seed can't be unsealed with the keys in AUTH_KEYS";
                        Unavailable::new("CLIENT", problem)
                    })?,
                    None => {
                        let dummy = &self.settings.dummy_seed;
                        keys.unseal("", dummy)
                            .ok_or_else(|| Unavailable::new("AUTH_KEYS", "no seed can be unsealed"))?
                    }
                };
                let step = otp::matching_step(seed.expose(), code, self.now).filter(|_| sealed.is_some());
                let mut codes: Codes = match self.load(CODES)? {
                    Some(value) => parse(&value, CODES)?,
                    None => Codes::default(),
                };
                let verdict = codes.judge(step, self.now, self.settings.otp_wrong_per_day);
                self.save(CODES, to_json(&codes), FOR_EVER);
                if client.is_none() {
                    self.state.stranger();
                }
                locked = verdict == Verdict::Locked;
                verdict == Verdict::Accepted
            }
            Credential::Assertion(_) => match (genuine, client) {
                // Its key may have been taken away since its signature was checked.
                (Some(genuine), Some(client)) if client.jwks.iter().any(|set| set.keys.contains(&genuine.key)) => {
                    let key = format!("jti:{}", genuine.jti_digest);
                    let is_new = self.load(&key)?.is_none() && genuine.until > self.now;
                    if is_new {
                        self.save(&key, String::new(), genuine.until);
                    }
                    is_new
                }
                _ => false,
            },
        };
        if authentic { Ok(()) } else { Err(Error::InvalidClient { locked }) }
    }

    fn rotate(&mut self, rotate: Rotate) -> Result<Settled, Error> {
        let Rotate { bearer, parent, client_id, scopes, ttl } = rotate;
        let client = self.life(&bearer)?;
        if self.now > bearer.auth_time + LONGEST_SESSION {
            return Err(TokenFault::TooOld.into());
        }
        if client_id != self.client_id {
            return Err(Error::UnauthorizedClient(Unentitled::OtherClient));
        }
        let held = bearer.scopes.bounded_by(&client.scopes);
        if !held.allow(WRITE) {
            return Err(Error::InsufficientScope { needed: WRITE.to_owned(), by: Grantor::Bearer });
        }
        permit(&client, Mechanism::Rotation)?;
        let scopes = scopes.unwrap_or_else(|| held.clone());
        if let Some(scope) = held.first_uncovered(&scopes) {
            let by = if bearer.scopes.covers(scope) { Grantor::Client } else { Grantor::Bearer };
            return Err(Error::InsufficientScope { needed: scope.to_string(), by });
        }
        let at = (self.now + self.settings.rotation_grace).min(parent.expires_at);
        self.end(&client, &parent, at, false)?;
        let ttl = ttl.min(client.max_ttl_seconds);
        let (now, auth_time) = (self.now.max(client.tokens_valid_from), bearer.auth_time);
        Ok(Answer::Granted(Granted { now, auth_time, scopes, ttl, consistency: client.consistency }).into())
    }

    fn standing(&mut self, token: &Presented) -> Result<Settled, Error> {
        let client = self.life(token)?;
        let end = if token.kind == Kind::Long { self.end_of(&client, &token.id)? } else { None };
        Ok(Answer::Standing(Standing { now: self.now, scopes: client.scopes, end }).into())
    }

    fn revoke(&mut self, revoke: &Revoke) -> Result<Settled, Error> {
        let Revoke { caller, target } = revoke;
        let life = self.life(caller);
        let is_own = target.as_ref().is_some_and(|target| target.as_str() == caller.id);
        let client = match (life, target) {
            (Ok(client), _) => client,
            // What ended the caller was this very call: the answer may have been lost.
            (Err(Error::InvalidToken(TokenFault::Revoked)), Some(target)) => {
                let of_caller = is_own || caller.parent.as_deref() == Some(target.as_str());
                match self.known_client()? {
                    Some(client) if of_caller && self.end_of(&client, target.as_str())? == Some(0) => client,
                    _ => return Err(TokenFault::Revoked.into()),
                }
            }
            (Err(error), _) => return Err(error),
        };
        let target = target.as_ref().ok_or(Error::TokenNotFound)?;
        if !is_own && !caller.scopes.bounded_by(&client.scopes).allow(REVOKE) {
            return Err(Error::CallerScope { needed: REVOKE.into() });
        }
        if target.expires_at <= self.now {
            return Ok(Answer::Done.into());
        }
        self.end(&client, target, self.now, true)?;
        let shown = shows(&client, target.as_str()).then_some(self.state.change);
        Ok(Settled { shown, ..Answer::Done.into() })
    }

    /// Whether a token counts: its own end, its client, its early end, its parent's. The client, if so.
    fn life(&mut self, token: &Presented) -> Result<Client, Error> {
        token.check_end(self.now)?;
        let client = self.known_client()?.ok_or(TokenFault::ClientEnded)?;
        client.honours(token.auth_time)?;
        let mut ended = self.end_of(&client, &token.id)? == Some(0);
        if let Some(parent) = &token.parent {
            ended |= self.end_of(&client, parent)? == Some(0);
        }
        if ended { Err(TokenFault::Revoked.into()) } else { Ok(client) }
    }

    /// When a token ends early (Unix seconds), if it does: 0 if that has come. That it has come is stored, and published, so that
    /// no clock can take it back.
    fn end_of(&mut self, client: &Client, token_id: &str) -> Result<Option<u64>, Unavailable> {
        let key = format!("end:{token_id}");
        let Some(row) = self.load_row(&key)? else { return Ok(None) };
        let at: u64 = row.value.parse().map_err(|_| unreadable(&key))?;
        if at == 0 || at > self.now {
            return Ok(Some(at));
        }
        self.save(&key, "0".to_owned(), row.expires_at);
        if shows(client, token_id) {
            self.state.changed(false);
        }
        Ok(Some(0))
    }

    /// Lets a token end at `at` (Unix seconds), unless it ends earlier already. `awaited`: the caller waits until KV shows it.
    fn end(&mut self, client: &Client, token: &TokenId, at: u64, awaited: bool) -> Result<(), Unavailable> {
        let at = if at <= self.now { 0 } else { at };
        if self.end_of(client, token.as_str())?.is_some_and(|settled| settled <= at) {
            return Ok(());
        }
        self.save(&format!("end:{}", token.as_str()), at.to_string(), token.expires_at + AFTER_THE_END);
        if shows(client, token.as_str()) {
            self.state.changed(awaited);
        }
        Ok(())
    }

    // The operators' questions

    fn create(&mut self, body: &str) -> Result<Settled, Error> {
        let members = json::object(body.as_bytes())?;
        let draft = Draft::parse(members, self.client_id.to_owned(), self.settings.default_consistency)?;
        if self.is_operator() || self.stored_client()?.is_some() || self.load(OPERATOR)?.is_some() {
            return Err(Error::Conflict("The client_id is taken, or was once; choose another.".into()));
        }
        let Draft { client_id, region, patch } = draft;
        let scopes = patch.scopes.clone().unwrap_or_default();
        let mut client = patch.apply(&Client::new(&client_id, scopes, self.now), true)?;
        client.region = region;
        let mut credentials = Credentials::default();
        if client.allows(Mechanism::Secret) {
            credentials.client_secret = Some(self.make_secret(&mut client)?.1);
        }
        if client.allows(Mechanism::Otp) {
            credentials.totp = Some(self.make_totp(&mut client)?);
        }
        // Codes that were tried before there was a client are nobody's.
        self.remove(CODES);
        self.state.wipe = 0;
        self.save_client(&client)?;
        self.state.changed(false);
        Ok(self.shown(&client, &credentials).into())
    }

    fn show(&mut self) -> Result<Settled, Error> {
        let client = self.visible_client()?;
        Ok(self.shown(&client, &Credentials::default()).into())
    }

    fn change(&mut self, change: Change) -> Result<Settled, Error> {
        let Change { body, if_match: header, may_give_clients } = change;
        let patch = Patch::parse(json::object(body.as_bytes())?)?;
        let mut client = self.visible_client()?;
        let before = self.etag(&client);
        let matches = header.as_deref().is_none_or(|header| if_match(header, &before));
        let (activates, may_narrow) = (patch.activates(), patch.may_narrow());
        let mut waits = may_narrow && self.state.unconfirmed.is_some();
        let is_repeat = !matches && self.repeats(header.as_deref());
        if !matches && !is_repeat {
            return Err(Error::PreconditionFailed);
        }
        if self.is_operator() {
            return Err(Error::Conflict(OPERATORS_OWN.into()));
        }
        let mut changed = patch.apply(&client, may_give_clients)?;
        if is_repeat && changed != client {
            return Err(Error::PreconditionFailed);
        }
        if activates && let Some(value) = self.load(CODES)? {
            let mut codes: Codes = parse(&value, CODES)?;
            codes.forgive();
            self.save(CODES, to_json(&codes), FOR_EVER);
        }
        if changed != client {
            changed.updated_at = self.now;
            waits = narrows(&client, &changed);
            self.save_client(&changed)?;
            self.state.unconfirmed = waits.then_some(before);
            self.state.changed(waits);
            client = changed;
        }
        let answer = self.shown(&client, &Credentials::default());
        Ok(Settled { shown: waits.then_some(self.state.change), confirms: waits, ..answer.into() })
    }

    fn add_secret(&mut self) -> Result<Settled, Error> {
        let mut client = self.changeable_client()?;
        client.drop_ended_secrets(self.now);
        if client.secrets.len() >= MAX_SECRETS {
            return Err(Error::Conflict("The client has two live secrets; end one first.".into()));
        }
        let (secret_id, client_secret) = self.make_secret(&mut client)?;
        self.touch(&mut client)?;
        Ok(Answer::Made(to_json(&NewSecret { secret_id: &secret_id, client_secret: &client_secret })).into())
    }

    fn end_secret(&mut self, secret_id: &str, delay: u64) -> Result<Settled, Error> {
        let mut client = self.visible_client()?;
        client.drop_ended_secrets(self.now);
        let at = self.now + delay;
        let secret = client.secrets.iter_mut().find(|secret| secret.secret_id == secret_id);
        let secret = secret.ok_or(Error::SecretNotFound)?;
        if self.is_operator() {
            return Err(Error::Conflict(OPERATORS_OWN.into()));
        }
        secret.expires_at = Some(secret.expires_at.map_or(at, |settled| settled.min(at)));
        client.drop_ended_secrets(self.now);
        self.touch(&mut client)?;
        Ok(Answer::Done.into())
    }

    fn new_totp(&mut self) -> Result<Settled, Error> {
        let mut client = self.changeable_client()?;
        let made = self.make_totp(&mut client)?;
        if let Some(value) = self.load(CODES)? {
            let mut codes: Codes = parse(&value, CODES)?;
            codes.forgive();
            self.save(CODES, to_json(&codes), FOR_EVER);
        }
        self.touch(&mut client)?;
        Ok(Answer::Made(to_json(&made)).into())
    }

    fn end_tokens(&mut self) -> Result<Settled, Error> {
        let mut client = self.visible_client()?;
        client.tokens_valid_from = self.now + 1;
        if self.is_operator() {
            self.save(OPERATOR, client.tokens_valid_from.to_string(), FOR_EVER);
            return Ok(Settled { begun: client.tokens_valid_from, ..Answer::Done.into() });
        }
        self.touch(&mut client)?;
        self.state.changed(!client.is_immediate());
        let shown = (!client.is_immediate()).then_some(self.state.change);
        Ok(Settled { shown, begun: client.tokens_valid_from, ..Answer::Done.into() })
    }

    fn delete(&mut self, header: Option<&str>) -> Result<Settled, Error> {
        let client = self.known_or_deleted()?.ok_or(Error::ClientNotFound)?;
        let is_shown = !client.is_immediate();
        if client.status != Status::Deleted {
            let before = self.etag(&client);
            if header.is_some_and(|header| !if_match(header, &before)) {
                return Err(Error::PreconditionFailed);
            }
            if self.is_operator() {
                return Err(Error::Conflict(OPERATORS_OWN.into()));
            }
            self.save_client(&client.tombstone(self.now))?;
            self.remove(CODES);
            self.state.changed(is_shown);
        }
        Ok(Settled { shown: is_shown.then_some(self.state.change), ..Answer::Done.into() })
    }

    /// Whether `If-Match` names the client as it was before a change that has not been answered with success.
    fn repeats(&self, header: Option<&str>) -> bool {
        let (Some(header), Some(before)) = (header, &self.state.unconfirmed) else { return false };
        if_match(header, before)
    }

    fn shown(&self, client: &Client, credentials: &Credentials) -> Answer {
        Answer::Shown(Shown { body: client.show(self.now, credentials), etag: self.etag(client) })
    }

    fn etag(&self, client: &Client) -> String {
        etag(&client.show(self.now, &Credentials::default()))
    }

    /// Gives the client a new secret: its id, and the secret.
    fn make_secret(&self, client: &mut Client) -> Result<(String, String), Unavailable> {
        let secret_id = format!("sec_{}", self.random_text::<9>()?);
        let secret = self.random_text::<32>()?;
        let stored = StoredSecret::new(&secret_id, &Secret::new(secret.as_str()), self.random()?, self.now);
        client.secrets.push(stored);
        Ok((secret_id, secret))
    }

    fn make_totp(&self, client: &mut Client) -> Result<NewTotp, Unavailable> {
        let seed: [u8; otp::SEED_LENGTH] = self.random()?;
        let sealed = self.settings.keys.seal(&client.client_id, &Secret::new(seed), self.random()?);
        client.totp = Some(sealed.ok_or_else(|| Unavailable::new("AUTH_KEYS", "a seed could not be sealed"))?);
        Ok(NewTotp::new(&client.client_id, self.settings.host_name(), &seed))
    }

    fn random<const N: usize>(&self) -> Result<[u8; N], Unavailable> {
        let mut bytes = [0; N];
        self.object.ground.random(&mut bytes)?;
        Ok(bytes)
    }

    fn random_text<const N: usize>(&self) -> Result<String, Unavailable> {
        use base64ct::Encoding;
        Ok(base64ct::Base64UrlUnpadded::encode_string(&self.random::<N>()?))
    }

    // Rows

    fn is_operator(&self) -> bool {
        self.settings.operator.as_ref().is_some_and(|operator| operator.client_id == self.client_id)
    }

    /// The record that is stored, a tombstone too.
    fn stored_client(&self) -> Result<Option<Client>, Unavailable> {
        self.load(CLIENT)?.map(|value| Client::parse(&value)).transpose()
    }

    fn known_or_deleted(&self) -> Result<Option<Client>, Unavailable> {
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

    fn known_client(&self) -> Result<Option<Client>, Unavailable> {
        Ok(self.known_or_deleted()?.filter(|client| client.status != Status::Deleted))
    }

    /// The client as operators see it: a deleted one is not there.
    fn visible_client(&self) -> Result<Client, Error> {
        self.known_client()?.ok_or(Error::ClientNotFound)
    }

    fn changeable_client(&self) -> Result<Client, Error> {
        let client = self.visible_client()?;
        if self.is_operator() { Err(Error::Conflict(OPERATORS_OWN.into())) } else { Ok(client) }
    }

    fn touch(&self, client: &mut Client) -> Result<(), Unavailable> {
        client.updated_at = self.now;
        self.save_client(client)
    }

    fn save_client(&self, client: &Client) -> Result<(), Unavailable> {
        if !self.is_operator() {
            self.save(CLIENT, to_json(client), FOR_EVER);
        }
        Ok(())
    }

    fn replica(&self, client: &Client) -> Result<Replica, Unavailable> {
        let rows = self.object.ground.list(LONG_ENDS, self.now, MOST_ENDS + 1)?;
        let mut ends = Vec::with_capacity(rows.len());
        for (key, row) in &rows {
            let at: u64 = row.value.parse().map_err(|_| unreadable(key))?;
            ends.push((key.strip_prefix("end:").unwrap_or(key), if at <= self.now { 0 } else { at }));
        }
        Ok(Replica::new(client, ends.into_iter()))
    }

    fn load(&self, key: &str) -> Result<Option<String>, Unavailable> {
        Ok(self.load_row(key)?.map(|row| row.value))
    }

    fn load_row(&self, key: &str) -> Result<Option<Row>, Unavailable> {
        // What this step has changed is read back.
        if let Some((_, row)) = self.rows.borrow().iter().rev().find(|(changed, _)| changed == key) {
            return Ok(row.clone());
        }
        Ok(self.object.ground.load(key)?.filter(|row| row.expires_at > self.now))
    }

    fn save(&self, key: &str, value: String, expires_at: u64) {
        self.rows.borrow_mut().push((key.to_owned(), Some(Row { value, expires_at })));
    }

    fn remove(&self, key: &str) {
        self.rows.borrow_mut().push((key.to_owned(), None));
    }

    /// Stores what the step has changed.
    fn commit(self) -> Result<(), Unavailable> {
        let mut rows = self.rows.into_inner();
        // That time has passed is no change worth a write.
        let mut stored = self.stored;
        stored.clock = self.state.clock;
        if rows.is_empty() && stored == self.state {
            return Ok(());
        }
        rows.push((STATE.to_owned(), Some(Row { value: to_json(&self.state), expires_at: FOR_EVER })));
        self.object.ground.commit(&Commit { rows, alarm: self.state.alarm(), now: self.now })
    }
}

const OPERATORS_OWN: &str = "This client is that of the secret OPERATOR: change it there, by admin. end-tokens works.";

fn permit(client: &Client, mechanism: Mechanism) -> Result<(), Error> {
    if client.status == Status::Suspended {
        return Err(Error::UnauthorizedClient(Unentitled::Suspended));
    }
    if !client.allows(mechanism) {
        return Err(Error::UnauthorizedClient(Unentitled::Mechanism(mechanism.name().into())));
    }
    Ok(())
}

/// The scopes to grant: those asked for, or all that the client holds.
fn grant(client: &Client, asked: Option<Scopes>) -> Result<Scopes, Error> {
    let asked = asked.unwrap_or_else(|| client.scopes.clone());
    match client.scopes.first_uncovered(&asked) {
        Some(scope) => Err(Error::InsufficientScope { needed: scope.to_string(), by: Grantor::Client }),
        None => Ok(asked),
    }
}

/// Whether the client's replica shows when this token ends early.
fn shows(client: &Client, token_id: &str) -> bool {
    token_id.starts_with(Kind::Long.prefix()) && !client.is_immediate()
}

/// Whether a change takes something away that the replica shows.
fn narrows(before: &Client, after: &Client) -> bool {
    let switches = !before.is_immediate() && after.is_immediate();
    let narrower = (before.status == Status::Active && after.status != Status::Active)
        || after.scopes.first_uncovered(&before.scopes).is_some();
    switches || (narrower && !after.is_immediate())
}

fn parse<T: Read>(value: &str, key: &str) -> Result<T, Unavailable> {
    value::read(value).ok_or_else(|| unreadable(key))
}

fn to_json(value: &impl serde::Serialize) -> String {
    // Strings and numbers always serialize.
    serde_json::to_string(value).unwrap_or_default()
}

fn unreadable(key: &str) -> Unavailable {
    Unavailable::new("CLIENT", format!("the row {key} can't be read"))
}
