//! What all cases of a run share: the way to the server, who the harness may be, what was minted, and what is known.

use crate::clock::Clock;
use crate::http::{Answer, Broken, Client, Request, Way, is_at_origin};
use crate::identities::Identities;
use crate::interrupt::Interrupt;
use crate::ledger::{self, Kind, Ledger};
use crate::mask::Vault;
use crate::matrix::Op;
use crate::patience::{LONGEST_LIMIT, Patience, retry_after};
use crate::profile::Profile;
use crate::result::{self, millis};
use crate::state::State;
use crate::stop::Stop;
use crate::watch::{Seen, Watch};
use crate::{curl, endpoint, jose, transcript};
use ring::rand::{SecureRandom, SystemRandom};
use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// After so many calls in a row without an answer, the server is asked whether it is still there.
pub const GONE_AFTER: u32 = 3;
/// How often a case is tried that meets a server which is busy or away.
pub const ROUNDS: u32 = 4;
/// Why a case was not judged that came after the server's end.
pub const GONE: &str = "the server can't be reached any more: see sanity.last";
/// How long a server that refuses connections is waited for: a deployment may restart it.
const RESTART: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// How long the question may take whether the server is still there.
const PULSE: Duration = Duration::from_secs(3);
pub const INTERRUPTED: &str = "the run was interrupted: run again";

/// What a run is given, whichever cases it consists of.
pub struct Setup {
    pub base_url: String,
    pub way: Way,
    pub identities: Identities,
    pub timeout: Duration,
    pub window: Duration,
    pub poll: Duration,
    pub trace: bool,
    pub clock: Clock,
    pub state: State,
    pub interrupt: Interrupt,
    pub vault: Rc<Vault>,
    pub audience: Rc<dyn Audience>,
}

/// Who is told how the run goes.
pub trait Audience {
    fn progress(&self, done: usize, of: usize, now: &str);
    /// One line, already masked.
    fn say(&self, line: &str);
}

pub struct Run {
    pub client: Client,
    pub identities: Identities,
    pub profile: Profile,
    pub vault: Rc<Vault>,
    pub clock: Clock,
    pub state: State,
    pub ledger: Ledger,
    pub window: Duration,
    pub poll: Duration,
    pub watch: Watch,
    pub interrupt: Interrupt,
    pub audience: Rc<dyn Audience>,
    memory: RefCell<HashMap<TypeId, Rc<dyn Any>>>,
    delays: RefCell<Vec<(String, u64)>>,
    /// Requests without an answer yet that may make a token.
    minting: Cell<u32>,
    /// Calls in a row without an answer.
    silent_in_a_row: Cell<u32>,
    gone: Cell<bool>,
    /// In milliseconds since the epoch.
    limited_until: Cell<u64>,
    /// Answers of each operation other than 429 and 503.
    answered: RefCell<BTreeMap<Op, u32>>,
    pub patience: Patience,
    started: Instant,
    counter: Cell<u64>,
    prefix: String,
    sent: RefCell<BTreeMap<&'static str, u32>>,
    trace: bool,
    rest: Rest,
}

/// Cases that wait for the end of the run take no place from those under way.
struct Rest {
    resting: Cell<usize>,
    /// A case began to rest, so that another may start.
    begun: Notify,
    /// Whether all others are done.
    over: watch::Sender<bool>,
}

impl Run {
    pub fn new(setup: Setup, profile: Profile, watch: Watch) -> Result<Self, String> {
        let mut random = [0; 9];
        SystemRandom::new().fill(&mut random).map_err(|_| "the system gives no randomness".to_owned())?;
        // The deployment's own name is in every URL.
        let parts = setup.base_url.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        parts.for_each(|part| setup.vault.open(part));
        Ok(Self {
            client: Client::new(&setup.base_url, setup.timeout, setup.way)?,
            identities: setup.identities,
            profile,
            vault: setup.vault,
            clock: setup.clock,
            state: setup.state,
            ledger: Ledger::default(),
            window: setup.window,
            poll: setup.poll,
            watch,
            interrupt: setup.interrupt,
            audience: setup.audience,
            memory: RefCell::default(),
            delays: RefCell::default(),
            minting: Cell::new(0),
            silent_in_a_row: Cell::new(0),
            gone: Cell::new(false),
            limited_until: Cell::new(0),
            answered: RefCell::default(),
            patience: Patience::default(),
            started: Instant::now(),
            counter: Cell::new(0),
            prefix: jose::b64(random),
            sent: RefCell::default(),
            trace: setup.trace,
            rest: Rest { resting: Cell::new(0), begun: Notify::new(), over: watch::Sender::new(false) },
        })
    }

    /// What cases of this run keep for each other, one value of each type: it starts as its default.
    pub fn memory<T: Default + 'static>(&self) -> Rc<T> {
        let mut all = self.memory.borrow_mut();
        let known = all.entry(TypeId::of::<T>()).or_insert_with(|| Rc::new(T::default()));
        // Never fails: under a type's id is a value of that type.
        known.clone().downcast().unwrap_or_default()
    }

    pub fn unique(&self) -> String {
        self.counter.set(self.counter.get() + 1);
        format!("{}-{}", self.prefix, self.counter.get())
    }

    pub fn say(&self, line: &str) {
        self.audience.say(&self.vault.mask(line));
    }

    pub fn summary(&self, answer: &Answer) -> String {
        transcript::summary(&self.vault, answer)
    }

    pub fn curl(&self, request: &Request) -> String {
        curl::line(&self.client, request, &self.vault)
    }

    pub fn observed_delay(&self, case: &str, delay: Duration) {
        self.delays.borrow_mut().push((case.to_owned(), millis(delay)));
    }

    pub fn delays(&self) -> Vec<(String, u64)> {
        self.delays.borrow().clone()
    }

    /// How many requests each operation was sent.
    pub fn sent(&self) -> BTreeMap<&'static str, u32> {
        self.sent.borrow().clone()
    }

    /// How many requests that may have made a token were never answered.
    pub fn unanswered_minting(&self) -> u32 {
        self.minting.get()
    }

    // ---- whether it goes on

    /// `at` in seconds since the epoch; ends early when the run was interrupted.
    pub async fn wait_until(&self, at: u64) -> Result<(), Stop> {
        while self.clock.now() < at {
            self.go_on()?;
            let next = (self.clock.now_ms() + 200).min(at * 1000);
            let next = if matches!(self.clock, Clock::Virtual(_)) { at * 1000 } else { next };
            self.clock.wait_until_ms(next).await;
        }
        Ok(())
    }

    /// Until all other cases are done, and until `seconds` have passed.
    pub async fn rest(&self, seconds: u64) -> Result<(), Stop> {
        let until = self.clock.now() + seconds;
        let mut over = self.rest.over.subscribe();
        if !*over.borrow() {
            self.rest.resting.set(self.rest.resting.get() + 1);
            self.rest.begun.notify_one();
            // Fails only where the run itself is gone.
            let _ = over.wait_for(|over| *over).await;
        }
        self.wait_until(until).await
    }

    pub fn resting(&self) -> usize {
        self.rest.resting.get()
    }

    pub async fn rest_begun(&self) {
        self.rest.begun.notified().await;
    }

    pub fn end_rest(&self) {
        self.rest.resting.set(0);
        self.rest.over.send_replace(true);
    }

    pub fn uninterrupted(&self) -> Result<(), Stop> {
        match self.interrupt.count() {
            0 => Ok(()),
            _ => Err(Stop::Blocked(INTERRUPTED.to_owned())),
        }
    }

    pub fn go_on(&self) -> Result<(), Stop> {
        self.uninterrupted()?;
        if self.gone.get() {
            return Err(Stop::Unavailable(GONE.to_owned()));
        }
        Ok(())
    }

    pub fn is_gone(&self) -> bool {
        self.gone.get()
    }

    /// Asks the server that seemed gone once more.
    pub async fn is_back(&self) -> bool {
        let probe = endpoint::post(endpoint::LONG, None, Some(serde_json::json!({})));
        let answer = self.probe(&self.client, &probe, PULSE).await;
        self.gone.set(answer.is_err());
        self.silent_in_a_row.set(0);
        answer.is_ok()
    }

    /// Whether the server has answered anything in this run.
    pub fn was_there(&self) -> bool {
        !self.answered.borrow().is_empty()
    }

    /// Tries again, whatever was refused before.
    pub fn forget_refusals(&self) {
        self.gone.set(false);
        self.silent_in_a_row.set(0);
    }

    /// How many calls of the operation were answered, but for those that the server was too busy for.
    pub fn answered(&self, op: Op) -> u32 {
        self.answered.borrow().get(&op).copied().unwrap_or_default()
    }

    /// Until the server's own limit, where a case met it, lets calls through again.
    pub async fn pause_for_limit(&self) -> Result<(), Stop> {
        let left = self.limited_until.get().saturating_sub(self.clock.now_ms());
        if left > 1000 {
            self.say(&format!("waiting {} s for the server's own limit to end", left.div_ceil(1000)));
        }
        self.pause(Duration::from_millis(left)).await
    }

    /// Ends early when the run was interrupted.
    pub async fn pause(&self, pause: Duration) -> Result<(), Stop> {
        let at = self.clock.now_ms() + millis(pause);
        while self.clock.now_ms() < at {
            self.go_on()?;
            let step = if matches!(self.clock, Clock::Virtual(_)) { at } else { at.min(self.clock.now_ms() + 200) };
            self.clock.wait_until_ms(step).await;
        }
        Ok(())
    }

    // ---- sending

    /// Sends, and has every token in the answer registered and masked before anything can show it.
    pub async fn send(&self, request: &Request) -> Result<(Result<Answer, Broken>, result::Exchange), Stop> {
        self.go_on()?;
        let started = Instant::now();
        let mut outcome = self.send_quietly(request, Duration::MAX).await;
        // Nothing was delivered, so any call may be sent again.
        for pause in RESTART {
            if !matches!(outcome, Err(Broken::Unreachable(_))) || !self.was_there() {
                break;
            }
            self.pause(pause).await?;
            outcome = self.send_quietly(request, Duration::MAX).await;
        }
        if matches!(outcome, Err(Broken::Unreachable(_))) {
            self.gone.set(true);
        } else if self.silent_in_a_row.get() >= GONE_AFTER {
            self.is_back().await;
        }
        let mut exchange = transcript::exchange(&self.vault, &self.client, request, &outcome, started.elapsed());
        exchange.at_ms = millis(started.duration_since(self.started));
        if self.trace {
            let sent = exchange.request_body.as_deref().unwrap_or_default();
            self.audience.say(&format!("> {} {} {sent}", exchange.method, exchange.url));
            if let Some(answer) = &exchange.response {
                self.audience.say(&format!("< {} {}", answer.status, answer.body));
            }
            if let Some(error) = &exchange.error {
                self.audience.say(&format!("! {error}"));
            }
        }
        Ok((outcome, exchange))
    }

    /// Leaves no trace but in the ledger.
    pub async fn send_quietly(&self, request: &Request, limit: Duration) -> Result<Answer, Broken> {
        let op = endpoint::operation(request);
        *self.sent.borrow_mut().entry(op.name()).or_default() += 1;
        let mints = matches!(op, Op::Long | Op::Short);
        if (request.method.as_str(), request.path.as_str()) == ("POST", endpoint::CLIENTS) {
            let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let id = body["client_id"].as_str().filter(|id| !self.identities.has_client(id));
            id.iter().for_each(|id| self.ledger.add_client(id));
        }
        self.minting.set(self.minting.get() + u32::from(mints));
        let outcome = self.client.send(request, limit).await;
        // Not reached when an interruption drops this: then the token is unknown for ever.
        self.minting.set(self.minting.get() - u32::from(mints));
        match &outcome {
            Err(Broken::Unreachable(_) | Broken::Unfinished(_)) => {
                self.silent_in_a_row.set(self.silent_in_a_row.get() + 1);
            }
            _ => self.silent_in_a_row.set(0),
        }
        if let Some(limit) = outcome.as_ref().ok().filter(|answer| answer.status == 429) {
            let asked = retry_after(limit).unwrap_or_default().min(LONGEST_LIMIT);
            self.limited_until.set(self.limited_until.get().max(self.clock.now_ms() + millis(asked)));
        }
        if outcome.as_ref().is_ok_and(|answer| ![429, 503].contains(&answer.status)) {
            *self.answered.borrow_mut().entry(op).or_default() += 1;
        }
        if let Some(answer) = whatever_came(&outcome) {
            self.keep(request, answer);
            if op == Op::Revoke && answer.status == 204 {
                let id = request.path.split('/').nth(3).unwrap_or_default();
                self.ledger.ended_by_path(id);
            }
            if (request.method.as_str(), request.path.as_str()) == ("POST", endpoint::CLIENTS) && answer.status < 300 {
                // An id that the server made up.
                let body = answer.json().unwrap_or_default();
                let id = body["client_id"].as_str().filter(|id| !self.identities.has_client(id));
                id.iter().for_each(|id| self.ledger.add_client(id));
            }
            if request.method == "DELETE" && answer.status == 204 {
                request.path.strip_prefix("/clients/").iter().for_each(|id| self.ledger.client_ended(id));
            }
        }
        outcome
    }

    /// A question that belongs to no case. What its answer holds is kept nevertheless.
    pub async fn probe(&self, client: &Client, request: &Request, limit: Duration) -> Result<Answer, Broken> {
        let outcome = client.send(request, limit).await;
        whatever_came(&outcome).iter().for_each(|answer| self.keep(request, answer));
        outcome
    }

    /// Whatever an answer holds is masked from now on, and what is a token is revoked at the end.
    fn keep(&self, request: &Request, answer: &Answer) {
        // What is served there is for everyone, and the feed of ends is a JWT that is no token.
        if is_at_origin(&request.path) && answer.status < 400 {
            return;
        }
        let haul = ledger::look(&request.path, answer, &self.vault, self.clock.now());
        let bearer = request.header("authorization").and_then(|v| v.strip_prefix("Bearer "));
        let body: Option<serde_json::Value> = serde_json::from_slice(&request.body).ok();
        let bearer = bearer.or(body.as_ref().and_then(|b| b["long_token"].as_str()));
        for found in haul.tokens {
            let kind = if found.kind == Kind::Short { "SHORT" } else { "LONG" };
            let (minted, _) = self.ledger.count();
            self.vault.learn(&format!("{kind}_TOKEN_{minted}"), &found.token);
            found.id.iter().for_each(|id| self.vault.open(id));
            self.ledger.add(found, bearer, request.header("x-client-id"));
        }
        haul.secrets.iter().for_each(|secret| self.vault.learn("SECRET", secret));
    }

    /// Holds an answer against what holds for every answer. Returns what the asking case must answer for.
    pub fn observe(
        &self,
        case: &'static str,
        request: &Request,
        answer: &Answer,
        exchange: &result::Exchange,
    ) -> Option<Stop> {
        let seen = Seen { request, op: endpoint::operation(request), answer, now: self.clock.now() };
        let charged = self.watch.observe(case, &seen, exchange, || self.curl(request));
        charged.map(|(wanted, got)| Stop::fail(wanted, got))
    }
}

/// The answer, or the part of it that came.
fn whatever_came(outcome: &Result<Answer, Broken>) -> Option<&Answer> {
    outcome.as_ref().ok().or(outcome.as_ref().err().and_then(Broken::partial))
}
