//! What all cases of a run share: the HTTP client, the identities, the minted tokens, and what the run knows about the
//! server.

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
use crate::skew::Skew;
use crate::state::State;
use crate::stop::Stop;
use crate::watch::{Seen, Watch};
use crate::{curl, endpoint, jose, transcript};
use ring::rand::{SecureRandom, SystemRandom};
use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant, UNIX_EPOCH};
use tokio::sync::{Notify, watch};

/// After this many calls in a row without an answer, a probe checks whether the server is still there.
pub const GONE_AFTER: u32 = 3;
/// How often a case is tried if the server is busy or unreachable.
pub const ROUNDS: u32 = 12;
/// No round begins later than this after the first run through all cases.
pub const FOR_ROUNDS: Duration = Duration::from_secs(120);
/// The pause before another round, for a server that is busy.
pub const BETWEEN_ROUNDS: Duration = Duration::from_secs(1);
/// The reason of a case that could not run because the server had gone.
pub const GONE: &str = "the server is no longer reachable: see sanity.last";
/// Waits between tries if the server refuses connections: it may be restarting.
const RESTART: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// The smallest difference of clocks that the run mentions, in milliseconds.
const TOLD: i64 = 300;
/// The largest difference that the run follows, with a second for rounding, in seconds.
const FOLLOWED: u64 = 4;
/// Time limit of the probe whether the server is still there.
const PULSE: Duration = Duration::from_secs(3);
pub const INTERRUPTED: &str = "the run was interrupted: run it again";

/// The settings of a run, apart from the choice of cases.
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

/// Receives the progress of a run.
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
    /// Requests without an answer yet that may mint a token.
    minting: Cell<u32>,
    /// How many calls in a row got no answer.
    silent_in_a_row: Cell<u32>,
    gone: Cell<bool>,
    /// When the server's rate limit ends, in milliseconds since the epoch.
    limited_until: Cell<u64>,
    /// The number of answers of each operation, without 429 and 503.
    answered: RefCell<BTreeMap<Op, u32>>,
    pub patience: Patience,
    /// The number of times that the cases without a result were started again.
    pub round: Cell<u32>,
    skew: Skew,
    clock_told: Cell<bool>,
    started: Instant,
    counter: Cell<u64>,
    prefix: String,
    sent: RefCell<BTreeMap<&'static str, u32>>,
    trace: bool,
    rest: Rest,
}

/// Cases that wait until all others are done. They do not count as running cases.
struct Rest {
    resting: Cell<usize>,
    /// Cases that wait for time to pass, in between.
    idle: Cell<usize>,
    /// Notified when a case begins to rest or to wait, so that another may start.
    begun: Notify,
    /// True once all other cases are done.
    over: watch::Sender<bool>,
}

/// One waiting case. It counts until this is dropped, even if the case is.
struct Idle<'a>(&'a Rest);

impl<'a> Idle<'a> {
    fn new(rest: &'a Rest) -> Self {
        rest.idle.set(rest.idle.get() + 1);
        rest.begun.notify_one();
        Self(rest)
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.idle.set(self.0.idle.get() - 1);
    }
}

impl Run {
    pub fn new(setup: Setup, profile: Profile, watch: Watch) -> Result<Self, String> {
        let mut random = [0; 9];
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|_| "the operating system's random number generator failed".to_owned())?;
        // The deployment's own host and path are in every URL, so they are not masked.
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
            round: Cell::new(0),
            skew: Skew::default(),
            clock_told: Cell::new(false),
            started: Instant::now(),
            counter: Cell::new(0),
            prefix: jose::b64(random),
            sent: RefCell::default(),
            trace: setup.trace,
            rest: Rest {
                resting: Cell::new(0),
                idle: Cell::new(0),
                begun: Notify::new(),
                over: watch::Sender::new(false),
            },
        })
    }

    /// State that cases of this run share: one value of each type, which starts as its default.
    pub fn memory<T: Default + 'static>(&self) -> Rc<T> {
        let mut all = self.memory.borrow_mut();
        let known = all.entry(TypeId::of::<T>()).or_insert_with(|| Rc::new(T::default()));
        // Never fails: the value under a type's id has that type.
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

    /// The number of requests to each operation.
    pub fn sent(&self) -> BTreeMap<&'static str, u32> {
        self.sent.borrow().clone()
    }

    /// How many requests that may have minted a token were never answered.
    pub fn unanswered_minting(&self) -> u32 {
        self.minting.get()
    }

    // ---- waiting and stopping

    /// Waits until `at`, in seconds since the epoch. Ends early if the run is interrupted.
    pub async fn wait_until(&self, at: u64) -> Result<(), Stop> {
        while self.clock.now() < at {
            self.go_on()?;
            let next = (self.clock.now_ms() + 200).min(at * 1000);
            let next = if matches!(self.clock, Clock::Virtual(_)) { at * 1000 } else { next };
            self.idle(self.clock.wait_until_ms(next)).await;
        }
        Ok(())
    }

    /// Waits while other cases may start in this one's place.
    pub async fn idle(&self, wait: impl Future<Output = ()>) {
        let _idle = Idle::new(&self.rest);
        wait.await;
    }

    /// Waits until all other cases are done and `seconds` have passed.
    pub async fn rest(&self, seconds: u64) -> Result<(), Stop> {
        let until = self.clock.now() + seconds;
        let mut over = self.rest.over.subscribe();
        if !*over.borrow() {
            self.rest.resting.set(self.rest.resting.get() + 1);
            self.rest.begun.notify_one();
            // Fails only if the run itself is gone.
            let _ = over.wait_for(|over| *over).await;
        }
        self.wait_until(until).await
    }

    pub fn resting(&self) -> usize {
        self.rest.resting.get()
    }

    pub fn idling(&self) -> usize {
        self.rest.idle.get()
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

    /// Probes whether the server answers again.
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

    /// Forgets that the server seemed to be gone.
    pub fn forget_refusals(&self) {
        self.gone.set(false);
        self.silent_in_a_row.set(0);
    }

    /// How many calls of the operation were answered, without 429 and 503.
    pub fn answered(&self, op: Op) -> u32 {
        self.answered.borrow().get(&op).copied().unwrap_or_default()
    }

    /// Whether a rate limit that a case met still holds.
    pub fn is_limited(&self) -> bool {
        self.limited_until.get() > self.clock.now_ms()
    }

    /// Waits until the server's rate limit is over, if a case met it.
    pub async fn pause_for_limit(&self) -> Result<(), Stop> {
        let left = self.limited_until.get().saturating_sub(self.clock.now_ms());
        if left > 1000 {
            self.say(&format!("waiting {} s for the server's rate limit to end", left.div_ceil(1000)));
        }
        self.pause(Duration::from_millis(left)).await
    }

    /// Ends early if the run is interrupted.
    pub async fn pause(&self, pause: Duration) -> Result<(), Stop> {
        let at = self.clock.now_ms() + millis(pause);
        while self.clock.now_ms() < at {
            self.go_on()?;
            let step = if matches!(self.clock, Clock::Virtual(_)) { at } else { at.min(self.clock.now_ms() + 200) };
            self.idle(self.clock.wait_until_ms(step)).await;
        }
        Ok(())
    }

    // ---- sending

    /// Sends a request. Every token in the answer is in the ledger and masked before anything can show it.
    pub async fn send(&self, request: &Request) -> Result<(Result<Answer, Broken>, result::Exchange), Stop> {
        self.go_on()?;
        let started = Instant::now();
        let mut outcome = self.send_quietly(request, Duration::MAX).await;
        // The connection was refused, so the request was not delivered and may be sent again.
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

    /// Sends a request without retrying or recording the exchange.
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
        let (asked, sent) = (self.clock.now(), self.clock.machine_ms());
        let mut outcome = self.client.send(request, limit).await;
        outcome.iter_mut().for_each(|answer| answer.asked = asked);
        // Not reached if an interruption drops this future: then it is unknown whether a token was minted.
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
        if let (true, Ok(answer)) = (mints, &outcome) {
            self.follow(answer, sent);
        }
        if let Some(answer) = whatever_came(&outcome) {
            self.keep(request, answer);
            if op == Op::Revoke && answer.status == 204 {
                let id = request.path.split('/').nth(3).unwrap_or_default();
                self.ledger.ended_by_path(id);
            }
            if (request.method.as_str(), request.path.as_str()) == ("POST", endpoint::CLIENTS) && answer.status < 300 {
                // The server may have chosen another id than the request's.
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

    /// Sets the run's clock by the server's. `sent` is in milliseconds, by the machine's clock.
    fn follow(&self, answer: &Answer, sent: u64) {
        self.tell_of_clock(answer, sent);
        let Some(ahead) = self.skew.learn(answer, sent, self.clock.machine_ms()) else { return };
        let before = self.clock.set_ahead(ahead);
        if before.abs() < TOLD && ahead.abs() >= TOLD {
            self.audience.say(&format!(
                "the server's clock is {} this machine's: the run follows it",
                if ahead > 0 { "ahead of" } else { "behind" }
            ));
        }
    }

    /// Says once that the server's clock differs by more than the run can follow.
    fn tell_of_clock(&self, answer: &Answer, sent: u64) {
        let date = answer.header("date").and_then(|text| httpdate::parse_http_date(text).ok());
        let Some(date) = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok()) else { return };
        let (there, here) = (date.as_secs(), sent / 1000);
        let apart = there.abs_diff(here);
        if matches!(self.clock, Clock::Virtual(_)) || apart <= FOLLOWED || self.clock_told.replace(true) {
            return;
        }
        let which = if there > here { "ahead of" } else { "behind" };
        self.audience.say(&format!(
            "the server's clock is some {apart} s {which} this machine's: cases about times will fail; correct the clock that is wrong"
        ));
    }

    /// Sends a request that belongs to no case. Tokens in its answer go to the ledger too.
    pub async fn probe(&self, client: &Client, request: &Request, limit: Duration) -> Result<Answer, Broken> {
        let outcome = client.send(request, limit).await;
        whatever_came(&outcome).iter().for_each(|answer| self.keep(request, answer));
        outcome
    }

    /// Masks every secret in an answer from now on, and adds every token to the ledger.
    fn keep(&self, request: &Request, answer: &Answer) {
        // These documents are public, and the revocation feed is a JWT but not a token.
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

    /// Judges an answer by the promises about every answer. Returns the violation that the sending case must report.
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

/// The answer, or the part of it that arrived.
fn whatever_came(outcome: &Result<Answer, Broken>) -> Option<&Answer> {
    outcome.as_ref().ok().or(outcome.as_ref().err().and_then(Broken::partial))
}
