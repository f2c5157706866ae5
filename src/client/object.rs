//! A client's Durable Object: it holds everything about the client, and is the only writer of the client's replica.
//!
//! It stores rows and has one alarm. Between two awaits nothing else runs in it, so a request is judged in one `Step`,
//! which ends in one commit: the changed rows, what is still to be published, and the alarm for that. Only then does
//! the object answer or write to KV. All rules are in this folder; `edge` implements `Ground`.
//!
//! A client id that does not exist has an object too. It does the same work with a dummy client, and wipes what it
//! stored within minutes.

use std::cell::Cell;

use futures_util::lock::Mutex;

use super::Status;
use super::ask::{Answer, Ask, Issue};
use super::ground::Ground;
use super::jwk::PublicJwk;
use super::publication::PACE;
use super::step::{CODES, Judgement, OPERATOR, Step};
use crate::assertion::{self, Genuine};
use crate::error::{Error, Unavailable};
use crate::request::Credential;
use crate::rows::Commit;
use crate::settings::Settings;
use crate::value::digest;

/// How long KV keeps the replica of a deleted client, seconds: longer than any of its tokens is valid.
const DELETED: u64 = 91 * 86_400;
/// A caller's write that fails within this time is tried once more, milliseconds.
const RETRY_WINDOW: u64 = 2_500;
/// How soon the alarm runs again if the object dies during it, milliseconds.
const ALARM_AGAIN: u64 = 30_000;

#[derive(Debug)]
pub struct Object<G> {
    ground: G,
    /// Held while the replica is written.
    writing: Mutex<()>,
    /// Held while ends are reported to the feed.
    reporting: Mutex<()>,
    /// The latest time that this instance has seen, Unix milliseconds.
    clock: Cell<u64>,
    /// Whether `open` has run.
    opened: Cell<bool>,
    /// When the last write to KV began, Unix milliseconds.
    wrote: Cell<u64>,
    /// How many writes failed, and which change the last of them was to show.
    failed: Cell<(u64, u64)>,
    /// Whether a write began whose outcome is not stored.
    unrecorded: Cell<bool>,
}

impl<G: Ground> Object<G> {
    pub fn new(ground: G) -> Self {
        Self {
            ground,
            writing: Mutex::new(()),
            reporting: Mutex::new(()),
            clock: Cell::default(),
            opened: Cell::default(),
            wrote: Cell::default(),
            failed: Cell::default(),
            unrecorded: Cell::default(),
        }
    }

    /// Answers a request about this object's client.
    pub async fn answer(&self, settings: &Settings, client_id: &str, ask: Ask) -> Result<Answer, Error> {
        self.open(settings)?;
        let genuine = match &ask {
            Ask::Issue(issue) => self.examine(settings, client_id, issue).await?,
            _ => None,
        };
        let mut step = self.step(settings, client_id)?;
        // Committed even if the request is refused: wrong codes are counted.
        let judgement = step.judge(ask, genuine);
        step.commit()?;
        let Judgement { answer, await_change, await_end, await_second, confirms } = judgement?;
        // The feed comes first, since it answers faster than KV. If it fails, KV is still written.
        let reported = self.report(settings, client_id, await_end).await;
        if let Some(change) = await_change {
            self.publish(settings, client_id, change).await?;
        }
        reported?;
        if let Some(before) = confirms {
            let mut step = self.step(settings, client_id)?;
            step.state.unconfirmed.retain(|other| *other != before);
            step.commit()?;
        }
        self.sleep_until(await_second).await;
        Ok(answer)
    }

    /// The first part of an alarm: sets the next one, so that a failure of the second part (`wake`) is retried.
    pub fn postpone_alarm(&self) -> Result<(), Unavailable> {
        self.ground.commit(&Commit { alarm: Some(self.millis() + ALARM_AGAIN), ..Commit::default() })
    }

    /// The second part of an alarm: wipes, records, reports and writes what is due. What fails stays due.
    pub async fn wake(&self, settings: &Settings) -> Result<(), Error> {
        self.open(settings)?;
        let mut step = self.step(settings, "")?;
        let client = step.stored_client()?;
        if step.state.wipe > 0 && step.state.wipe <= step.state.clock {
            // The step that wipes also checks that there is no client, so none can have been created in between.
            if client.is_none() && step.load(OPERATOR)?.is_none() {
                return Ok(self.ground.wipe()?);
            }
            if client.as_ref().is_some_and(|client| client.status == Status::Deleted) {
                step.remove(CODES);
            }
            step.state.wipe = 0;
        }
        if let Some(client) = &client
            && step.state.next_end > 0
            && step.state.next_end <= step.now
        {
            step.record_ends_that_came(client)?;
        }
        let (is_due, is_reporting_due) = (step.state.is_due(), step.state.is_reporting_due());
        let last_end = step.state.last_end;
        step.commit()?;
        if is_reporting_due {
            // A failed report stays due.
            let _ = self.report(settings, "", last_end).await;
        }
        if let Some(client) = client
            && is_due
        {
            // A failed write stays due.
            let _ = self.write(settings, &client.client_id).await;
        }
        self.schedule_alarm(settings)
    }

    /// Sets the alarm to the earliest due time.
    fn schedule_alarm(&self, settings: &Settings) -> Result<(), Error> {
        let step = self.step(settings, "")?;
        Ok(self.ground.commit(&Commit {
            alarm: step.state.alarm(settings.has_feed()),
            now: step.now,
            ..Commit::default()
        })?)
    }

    fn step<'a>(&'a self, settings: &'a Settings, client_id: &'a str) -> Result<Step<'a, G>, Unavailable> {
        let step = Step::begin(&self.ground, settings, client_id, self.millis())?;
        self.clock.set(step.state.clock);
        Ok(step)
    }

    /// Once per instance: schedules a rewrite if an earlier instance died during a write, whose outcome is unknown.
    fn open(&self, settings: &Settings) -> Result<(), Error> {
        if self.opened.get() {
            return Ok(());
        }
        let mut step = self.step(settings, "")?;
        step.state.recover();
        let is_report_due = step.state.last_reported < step.state.last_end;
        step.commit()?;
        self.opened.set(true);
        // The end may have been stored while the feed was off, when no alarm is set for it.
        if is_report_due { self.schedule_alarm(settings) } else { Ok(()) }
    }

    /// The object's clock, which never runs backwards. Unix milliseconds.
    fn millis(&self) -> u64 {
        self.clock.set(self.clock.get().max(self.ground.millis()));
        self.clock.get()
    }

    async fn sleep_until(&self, second: u64) {
        loop {
            match (second * 1000).saturating_sub(self.millis()) {
                0 => return,
                left => self.ground.sleep(left.min(1_000)).await,
            }
        }
    }

    /// Checks the signature and claims of an assertion. This awaits, so it comes before the step that spends the
    /// assertion and checks again that its key is still registered.
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

    /// Writes the replica, unless KV already shows `change`. Concurrent callers share one write.
    async fn publish(&self, settings: &Settings, client_id: &str, change: u64) -> Result<(), Error> {
        let (began, (failures, _)) = (self.millis(), self.failed.get());
        // A change that KV already shows does not wait for the lock.
        if self.step(settings, client_id)?.state.shown >= change {
            return Ok(());
        }
        loop {
            let _guard = self.writing.lock().await;
            if self.step(settings, client_id)?.state.shown >= change {
                return Ok(());
            }
            let (failed_before, last) = self.failed.get();
            let failed = if last >= change { failed_before - failures } else { 0 };
            // One retry, for an error that came at once, such as KV's "too many writes".
            if failed > 1 || (failed == 1 && self.millis() - began > RETRY_WINDOW) {
                return Err(
                    Unavailable::new("REVOCATIONS", "the replica could not be written; the alarm will retry").into()
                );
            }
            let written = self.write_locked(settings, client_id).await;
            // A failure of KV is counted in `failed`, and the loop decides about a retry. Any other failure is
            // returned: a retry would not help.
            if self.failed.get().0 == failed_before {
                written?;
            }
        }
    }

    async fn write(&self, settings: &Settings, client_id: &str) -> Result<(), Error> {
        let _guard = self.writing.lock().await;
        if !self.step(settings, client_id)?.state.is_due() {
            return Ok(());
        }
        self.write_locked(settings, client_id).await
    }

    /// Writes the replica as it is when the write begins. The caller holds `writing`.
    async fn write_locked(&self, settings: &Settings, client_id: &str) -> Result<(), Error> {
        let pause = (self.wrote.get() + PACE).saturating_sub(self.millis());
        if pause > 0 {
            self.ground.sleep(pause).await;
        }
        let (replica, change, began, status, expires_at) = {
            let step = self.step(settings, client_id)?;
            let Some(client) = step.stored_client()? else {
                return Err(Unavailable::new("CLIENT", "a replica is due, but no client is stored").into());
            };
            let expires_at = (client.status == Status::Deleted).then_some(step.now + DELETED);
            (step.replica(&client)?, step.state.change, step.state.clock, client.status.name(), expires_at)
        };
        let value = replica.to_json();
        let digest = digest(&value);
        let mut step = self.step(settings, client_id)?;
        let written = if step.state.kv_holds(&digest) {
            Ok(())
        } else {
            if self.unrecorded.get() {
                // The outcome of the last write could not be stored, so it is unknown, as after a crash.
                step.state.schedule_rewrites();
            }
            step.state.write_began();
            step.commit()?;
            self.unrecorded.set(true);
            self.wrote.set(began);
            self.ground.put(client_id, &value, status, expires_at).await
        };
        let mut step = self.step(settings, client_id)?;
        match &written {
            Ok(()) => step.state.write_confirmed(change, began, digest, replica.is_full()),
            Err(_) => {
                self.failed.set((self.failed.get().0 + 1, change));
                step.state.write_failed();
            }
        }
        step.commit()?;
        self.unrecorded.set(false);
        Ok(written?)
    }

    /// Reports to the feed, unless it is off or already has every end up to `upto`. Concurrent callers share one
    /// report.
    async fn report(&self, settings: &Settings, client_id: &str, upto: u64) -> Result<(), Error> {
        if !settings.has_feed() || self.step(settings, client_id)?.state.last_reported >= upto {
            return Ok(());
        }
        let _guard = self.reporting.lock().await;
        let (report, number) = {
            let step = self.step(settings, client_id)?;
            if step.state.last_reported >= upto {
                return Ok(());
            }
            (step.unreported()?, step.state.last_end)
        };
        let reported = self.ground.report(&report).await;
        let mut step = self.step(settings, client_id)?;
        match &reported {
            Ok(()) => step.report_accepted(&report, number),
            Err(_) => step.state.report_failed(),
        }
        step.commit()?;
        Ok(reported?)
    }
}
