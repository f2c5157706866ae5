//! A client's object: the one place that knows everything about the client, and the only writer of its replica.
//!
//! The object is a table of rows with one alarm. Between two awaits nothing else runs in it, so a question is judged in one step
//! (`Step`), which ends in one commit: the rows, what is still to be published, and the alarm that will see to it. Only then does
//! the object answer, or write to KV. All rules are here and in this folder; `edge` gives table, clock, alarm and KV.
//!
//! An id that is no client's has an object too, which takes the same way with a client made up for it, and is wiped within minutes.

use std::cell::Cell;

use futures_util::lock::Mutex;

use super::Status;
use super::ask::{Answer, Ask, Issue};
use super::ground::Ground;
use super::jwk::PublicJwk;
use super::publication::PACE;
use super::step::{CODES, OPERATOR, Settled, Step};
use crate::assertion::{self, Genuine};
use crate::error::{Error, Unavailable};
use crate::request::Credential;
use crate::rows::Commit;
use crate::settings::Settings;
use crate::value::digest;

/// How long KV keeps the replica of a deleted client, seconds: longer than any token of its lives.
const DELETED: u64 = 91 * 86_400;
/// For how long a caller waits for a write that was given up, before it is told so. Milliseconds.
const PATIENCE: u64 = 2_500;
/// How soon the alarm comes again if the object dies while it runs, milliseconds.
const ALARM_AGAIN: u64 = 30_000;

#[derive(Debug)]
pub struct Object<G> {
    ground: G,
    /// Held while the replica is written.
    writing: Mutex<()>,
    /// Held while ends are reported to the feed.
    reporting: Mutex<()>,
    /// The latest time seen, Unix milliseconds.
    clock: Cell<u64>,
    /// Whether this instance has looked for a write of an earlier one whose end nobody knows.
    opened: Cell<bool>,
    /// When the last write to KV began, Unix milliseconds.
    wrote: Cell<u64>,
    /// The writes that failed: how many, and the change of the last.
    failed: Cell<(u64, u64)>,
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
        step.commit()?;
        let Settled { answer, shown, told, begun, confirms } = settled?;
        // The feed first: it answers in milliseconds, and exchanges lag behind KV by far more than it takes to fail.
        let reported = self.report(settings, client_id, told).await;
        if let Some(change) = shown {
            self.publish(settings, client_id, change).await?;
        }
        reported?;
        if let Some(before) = confirms {
            let mut step = self.step(settings, client_id)?;
            step.state.unconfirmed.retain(|other| *other != before);
            step.commit()?;
        }
        self.sleep_until(begun).await;
        Ok(answer)
    }

    /// The first thing that an alarm does: it sets the next one, so that nothing that fails after it can be forgotten.
    pub fn postpone_alarm(&self) -> Result<(), Unavailable> {
        self.ground.commit(&Commit { alarm: Some(self.millis() + ALARM_AGAIN), ..Commit::default() })
    }

    /// What an alarm does then. What fails is due again.
    pub async fn wake(&self, settings: &Settings) -> Result<(), Error> {
        self.open(settings)?;
        let mut step = self.step(settings, "")?;
        let client = step.stored_client()?;
        if step.state.wipe > 0 && step.state.wipe <= step.state.clock {
            // In the step that found no client, so that none can have been made meanwhile.
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
            step.settle_ends(client)?;
        }
        let (is_due, is_reporting_due) = (step.state.is_due(), step.state.is_reporting_due());
        let owed = step.state.owed;
        step.commit()?;
        if is_reporting_due {
            // What the feed did not take is due again.
            let _ = self.report(settings, "", owed).await;
        }
        if let Some(client) = client
            && is_due
        {
            // Another write may have overtaken this one.
            let _ = self.write(settings, &client.client_id).await;
        }
        self.rest(settings)
    }

    /// Sets the alarm to what is due next.
    fn rest(&self, settings: &Settings) -> Result<(), Error> {
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

    /// Looks, once for each instance, for a write of an earlier one whose end nobody knows.
    fn open(&self, settings: &Settings) -> Result<(), Error> {
        if self.opened.get() {
            return Ok(());
        }
        let mut step = self.step(settings, "")?;
        step.state.recover();
        let is_telling = step.state.told < step.state.owed;
        step.commit()?;
        self.opened.set(true);
        // There may have been no feed when it was owed.
        if is_telling { self.rest(settings) } else { Ok(()) }
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
                left => self.ground.sleep(left.min(1_000)).await,
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
        // What needs no write does not wait behind one.
        if self.step(settings, client_id)?.state.shown >= change {
            return Ok(());
        }
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
        let mut step = self.step(settings, client_id)?;
        let written = if step.state.holds(&digest) {
            Ok(())
        } else {
            step.state.begins();
            step.commit()?;
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

    /// Waits until the feed, if there is one, has every end up to a number. The calls that wait at the same time share a report.
    async fn report(&self, settings: &Settings, client_id: &str, upto: u64) -> Result<(), Error> {
        if !settings.has_feed() || self.step(settings, client_id)?.state.told >= upto {
            return Ok(());
        }
        let _turn = self.reporting.lock().await;
        let (report, number) = {
            let step = self.step(settings, client_id)?;
            if step.state.told >= upto {
                return Ok(());
            }
            (step.owed_report()?, step.state.owed)
        };
        let reported = self.ground.report(&report).await;
        let mut step = self.step(settings, client_id)?;
        match &reported {
            Ok(()) => step.told(&report, number),
            Err(_) => step.state.report_failed(),
        }
        step.commit()?;
        Ok(reported?)
    }
}
