//! One running case: its identities, its requests, and the checks that every answer passes.
//!
//! The files of this folder add what cases need, each using those before it: tokens (`mint`), keys (`known_keys`), requests
//! (`forge`, `draft`), one-time codes (`codes`), the deployment's documents (`published`), clients for one case (`guests`,
//! `operators`), exact times and delays (`moments`), judging (`judge`), and the revocation feed (`feed`).

pub mod codes;
pub mod draft;
pub mod feed;
pub mod forge;
pub mod guests;
pub mod judge;
pub mod known_keys;
pub mod mint;
pub mod moments;
pub mod operators;
pub mod published;

use crate::ask::Want;
use crate::http::{Answer, Broken, Request};
use crate::identities::{self, Credential, Role};
use crate::jose::PrivateKey;
use crate::matrix::Op;
use crate::patience::{self, is_repeatable};
use crate::run::{ROUNDS, Run};
use crate::stop::Stop;
use crate::{endpoint, result};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

pub struct Trial<'a> {
    pub run: &'a Run,
    /// The case's id.
    pub id: &'static str,
    /// What its row expects of the judged answer.
    pub due: Want,
    pub exchanges: RefCell<Vec<result::Exchange>>,
    /// The request that the report's curl line repeats: the last one, unless a step sets another.
    pub judged: RefCell<Option<Request>>,
    /// A standing promise that an answer of this case broke, if the promise's own row is not part of the run.
    charged: RefCell<Option<Stop>>,
    /// The number of requests so far, without repeats.
    sent: Cell<usize>,
    /// Set while a step expects a 429.
    pub expects_429: Cell<bool>,
}

/// The 503s that cases met, by case, operation and the number of the request in its case.
#[derive(Default)]
struct Busy(RefCell<BTreeMap<(&'static str, Op, usize), Met>>);

/// How often a case met a 503 at one of its requests.
struct Met {
    rounds: BTreeSet<u32>,
    /// How many calls of the operation had been answered when it first did.
    answered_before: u32,
}

impl<'a> Trial<'a> {
    pub fn new(run: &'a Run, id: &'static str, due: Want) -> Self {
        Self {
            run,
            id,
            due,
            exchanges: RefCell::default(),
            judged: RefCell::default(),
            charged: RefCell::default(),
            sent: Cell::new(0),
            expects_429: Cell::new(false),
        }
    }

    /// Fails if an answer of this case broke a standing promise that has no row in this run.
    pub fn charged(&self) -> Result<(), Stop> {
        self.charged.borrow_mut().take().map_or(Ok(()), Err)
    }

    // ---- the parts of a request

    pub fn setting(&self, role: Role, credential: Credential) -> Result<String, Stop> {
        let identity = self.run.identities.role(role);
        let value = identity.and_then(|i| match credential {
            Credential::ClientId => i.client_id.clone(),
            Credential::ClientSecret => i.client_secret.clone(),
            Credential::TotpSecret | Credential::AssertionJwk => None,
        });
        value.ok_or_else(|| Stop::Blocked(identities::lacking(role, credential)))
    }

    pub fn key(&self, role: Role) -> Result<&'a PrivateKey, Stop> {
        let key = self.run.identities.role(role).and_then(|i| i.key.as_ref());
        key.ok_or_else(|| Stop::Blocked(identities::lacking(role, Credential::AssertionJwk)))
    }

    pub fn unique(&self) -> String {
        self.run.unique()
    }

    /// Masks the value from now on.
    pub fn secret(&self, name: &str, value: String) -> String {
        self.run.vault.learn(name, &value);
        value
    }

    // ---- sending

    pub async fn send(&self, request: &Request) -> Result<Answer, Stop> {
        *self.judged.borrow_mut() = Some(request.clone());
        let nth = self.next();
        let (outcome, exchange) = self.patiently(request).await?;
        self.exchanges.borrow_mut().push(exchange.clone());
        self.receive(request, nth, outcome, &exchange)
    }

    /// The number of the next request of this case.
    fn next(&self) -> usize {
        self.sent.replace(self.sent.get() + 1)
    }

    /// Sends a request, again after each 503 with `Retry-After`. Records all exchanges but the last, and judges those answers by
    /// the standing promises.
    async fn patiently(&self, request: &Request) -> Result<(Result<Answer, Broken>, result::Exchange), Stop> {
        let patience = &self.run.patience;
        for nth in 0.. {
            let (outcome, exchange) = self.run.send(request).await?;
            let busy = outcome.as_ref().ok().filter(|answer| patience::is_busy(answer) && is_repeatable(request));
            let Some(pause) = busy.and_then(|busy| patience.pause(patience::retry_after(busy)?, nth)) else {
                patience.repeated.set(patience.repeated.get() + u32::from(nth > 0));
                patience.in_vain.set(patience.in_vain.get() + u32::from(busy.is_some() && nth > 0));
                return Ok((outcome, exchange));
            };
            if let Ok(answer) = &outcome {
                self.observe(request, answer, &exchange);
            }
            self.exchanges.borrow_mut().push(exchange);
            self.run.pause(pause).await?;
        }
        Err(Stop::Error("a call was sent again and again: this is a fault of the harness, please report it".to_owned()))
    }

    /// As `send`, but the caller decides whether to record the exchange: for bursts.
    pub async fn send_one_of_many(&self, request: &Request) -> Result<(Result<Answer, Stop>, result::Exchange), Stop> {
        let nth = self.next();
        let (outcome, exchange) = self.patiently(request).await?;
        Ok((self.receive(request, nth, outcome, &exchange), exchange))
    }

    /// The checks that every answer passes.
    fn receive(
        &self,
        request: &Request,
        nth: usize,
        outcome: Result<Answer, Broken>,
        exchange: &result::Exchange,
    ) -> Result<Answer, Stop> {
        let answer = outcome.map_err(|broken| match broken {
            Broken::Unreachable(why) if self.run.was_there() => Stop::Unavailable(why),
            Broken::Unreachable(why) => Stop::Error(why),
            Broken::Unfinished(why) | Broken::CutShort(why, _) => Stop::fail("a complete answer", why),
            Broken::Unsendable(why) => {
                Stop::Blocked(format!("{why}; a value in it came from the server: see the 201 that issued it"))
            }
        })?;
        self.observe(request, &answer, exchange);
        if answer.status == 429 && !self.expects_429.get() {
            let again = answer.header("retry-after").unwrap_or("some");
            return Err(Stop::Unavailable(format!(
                "the server answered 429, though this case sends few requests: run again after {again} seconds, or raise the deployment's limit"
            )));
        }
        if patience::is_busy(&answer) {
            return Err(self.unavailable(request, nth, &answer));
        }
        Ok(answer)
    }

    fn observe(&self, request: &Request, answer: &Answer, exchange: &result::Exchange) {
        if let Some(stop) = self.run.observe(self.id, request, answer, exchange) {
            self.charged.borrow_mut().get_or_insert(stop);
        }
    }

    /// A 503 conforms if a part of the service is down. It is a failure if the same request of a case gets 503 in every round
    /// while other calls of the operation get other answers.
    fn unavailable(&self, request: &Request, nth: usize, answer: &Answer) -> Stop {
        let op = endpoint::operation(request);
        let memory = self.run.memory::<Busy>();
        let mut all = memory.0.borrow_mut();
        let first = || Met { rounds: BTreeSet::new(), answered_before: self.run.answered(op) };
        let met = all.entry((self.id, op, nth)).or_insert_with(first);
        met.rounds.insert(self.run.round.get());
        let others = self.run.answered(op) - met.answered_before;
        let got = self.run.summary(answer);
        if met.rounds.len() < ROUNDS as usize || others == 0 {
            return Stop::Unavailable(format!("the server was unavailable: {got}"));
        }
        Stop::fail(
            "an answer other than 503, because other calls of the operation work",
            format!("{got}, in {ROUNDS} rounds, while {others} other calls of {} were answered", op.name()),
        )
    }

    /// Sends the same request many times at once.
    pub async fn send_at_once(&self, request: &Request, times: usize) -> Result<Vec<Answer>, Stop> {
        let all = futures_util::future::join_all((0..times).map(|_| self.send(request))).await;
        all.into_iter().collect()
    }

    /// Drops most polls from the report; the first ones and the last stay.
    pub fn thin_out(&self) {
        let mut exchanges = self.exchanges.borrow_mut();
        if exchanges.len() > 12 {
            exchanges.remove(10);
        }
    }
}
