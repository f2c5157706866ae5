//! A whole run: sanity, the cases with their controls before them, the bursts, what was seen throughout, sanity again,
//! and nothing left behind.

use crate::cases::{self, Act, Case, Effect, Op, Seen, Standing};
use crate::clock::{self, Clock};
use crate::curl;
use crate::feed;
use crate::http::{self, Answer, Broken, Client, Request, WELL_KNOWN};
use crate::identities::{Identities, Role};
use crate::interrupt::Interrupt;
use crate::ledger::{self, Kind, Ledger, Minted};
use crate::mask::Vault;
use crate::otp::Scene;
use crate::profile::Profile;
use crate::result::{self, CaseResult, Cell, Cleanup, Counts, Outcome, Report, Verdict};
use crate::state::State;
use crate::trial::{self, Stop, Token, Trial};
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::{FutureExt, future::LocalBoxFuture};
use ring::rand::{SecureRandom, SystemRandom};
use std::cell::{Cell as Flag, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// So many refused connections in a row mean that the server is gone.
const GONE_AFTER: u32 = 3;
/// How long an interrupted run waits for the requests that are under way.
const GRACE: Duration = Duration::from_secs(2);
/// How long tokens may be revoked at the end, and how long once the run was interrupted.
const CLEAN_UP: Duration = Duration::from_secs(120);
const CLEAN_UP_IN_HASTE: Duration = Duration::from_secs(8);
const INTERRUPTED: &str = "the run was interrupted: run again";
/// How much of a server's words a sentence repeats, in characters.
const WORDS: usize = 120;
/// How long `wanted` and `got` may be.
const REASON: usize = 1000;

pub struct Settings {
    pub base_url: String,
    pub identities: Identities,
    pub profile: Profile,
    /// Which effects were allowed; on loopback all are.
    pub allowed: BTreeSet<&'static str>,
    pub cases: Vec<String>,
    pub skip: Vec<String>,
    pub jobs: usize,
    pub timeout: Duration,
    pub window: Duration,
    pub poll: Duration,
    /// Case id to a piece of the reason that it must fail by.
    pub known_failures: BTreeMap<String, String>,
    pub trace: bool,
    pub clock: Clock,
    pub state: State,
    pub interrupt: Interrupt,
}

/// Who is told how the run goes.
pub trait Audience {
    fn progress(&self, done: usize, of: usize, now: &str);
    /// One line, already masked.
    fn say(&self, line: &str);
}

#[derive(Default)]
struct Tally {
    seen: u32,
    /// The first violation, and how many more there were.
    broken: Option<Violation>,
    more: u32,
}

struct Violation {
    case: &'static str,
    wanted: String,
    got: String,
    exchange: result::Exchange,
    curl: String,
}

type Slot = Rc<Mutex<Option<Result<Token, Stop>>>>;

/// What all cases of a run share.
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
    pub scene: Mutex<Option<Rc<Scene>>>,
    pub feed: feed::Known,
    chosen: BTreeSet<&'static str>,
    /// The globs of --case and --skip.
    only: Vec<String>,
    skip: Vec<String>,
    shared: RefCell<HashMap<(Role, String), Slot>>,
    standing: RefCell<BTreeMap<&'static str, Tally>>,
    delays: RefCell<Vec<(String, u64)>>,
    interrupt: Interrupt,
    /// A case panicked.
    faulty: Flag<bool>,
    /// Requests without an answer yet that may make a token.
    minting: Flag<u32>,
    refused_in_a_row: Flag<u32>,
    counter: Flag<u64>,
    prefix: String,
    sent: RefCell<BTreeMap<&'static str, u32>>,
    trace: bool,
    audience: Rc<dyn Audience>,
}

impl Run {
    fn new(
        settings: Settings,
        chosen: &[&'static Case],
        vault: Rc<Vault>,
        audience: Rc<dyn Audience>,
    ) -> Result<Self, String> {
        let mut random = [0; 9];
        SystemRandom::new().fill(&mut random).map_err(|_| "the system gives no randomness".to_owned())?;
        // The deployment's own name is in every URL.
        settings.base_url.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').for_each(|part| vault.open(part));
        Ok(Self {
            client: Client::new(&settings.base_url, settings.timeout)?,
            identities: settings.identities,
            profile: settings.profile,
            vault,
            clock: settings.clock,
            state: settings.state,
            ledger: Ledger::default(),
            window: settings.window,
            poll: settings.poll,
            scene: Mutex::default(),
            feed: feed::Known::default(),
            chosen: chosen.iter().map(|case| case.id).collect(),
            only: settings.cases,
            skip: settings.skip,
            shared: RefCell::default(),
            standing: RefCell::default(),
            delays: RefCell::default(),
            interrupt: settings.interrupt,
            faulty: Flag::new(false),
            minting: Flag::new(0),
            refused_in_a_row: Flag::new(0),
            counter: Flag::new(0),
            prefix: crate::jose::b64(random),
            sent: RefCell::default(),
            trace: settings.trace,
            audience,
        })
    }

    pub fn unique(&self) -> String {
        self.counter.set(self.counter.get() + 1);
        format!("{}-{}", self.prefix, self.counter.get())
    }

    pub fn say(&self, line: &str) {
        self.audience.say(&self.vault.mask(line));
    }

    pub fn shared_slot(&self, role: Role, what: &str) -> Slot {
        self.shared.borrow_mut().entry((role, what.to_owned())).or_default().clone()
    }

    pub fn observed_delay(&self, case: &str, delay: Duration) {
        let ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.delays.borrow_mut().push((case.to_owned(), ms));
    }

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

    pub fn uninterrupted(&self) -> Result<(), Stop> {
        match self.interrupt.count() {
            0 => Ok(()),
            _ => Err(Stop::Blocked(INTERRUPTED.to_owned())),
        }
    }

    fn go_on(&self) -> Result<(), Stop> {
        self.uninterrupted()?;
        if self.refused_in_a_row.get() >= GONE_AFTER {
            return Err(Stop::Blocked(
                "the server can't be reached any more: see whether it died, and run again".to_owned(),
            ));
        }
        Ok(())
    }

    /// Sends, and has every token in the answer registered and masked before anything can show it.
    pub async fn send(&self, request: &Request) -> Result<(Result<Answer, Broken>, result::Exchange), Stop> {
        self.go_on()?;
        let started = Instant::now();
        let outcome = self.send_quietly(request, Duration::MAX).await;
        let exchange = self.record(request, &outcome, started.elapsed());
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
    async fn send_quietly(&self, request: &Request, limit: Duration) -> Result<Answer, Broken> {
        let op = trial::operation(request);
        *self.sent.borrow_mut().entry(op.name()).or_default() += 1;
        let mints = matches!(op, Op::Long | Op::Short);
        if let ("POST", "/clients") = (request.method.as_str(), request.path.as_str()) {
            let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
            body["client_id"].as_str().iter().for_each(|id| self.ledger.add_client(id));
        }
        self.minting.set(self.minting.get() + u32::from(mints));
        let outcome = self.client.send(request, limit).await;
        // Not reached when an interruption drops this: then the token is unknown for ever.
        self.minting.set(self.minting.get() - u32::from(mints));
        match &outcome {
            Err(Broken::Unreachable(_)) => self.refused_in_a_row.set(self.refused_in_a_row.get() + 1),
            _ => self.refused_in_a_row.set(0),
        }
        if let Some(answer) = outcome.as_ref().ok().or(outcome.as_ref().err().and_then(Broken::partial)) {
            self.keep(request, answer);
            if op == Op::Revoke && answer.status == 204 {
                let id = request.path.split('/').nth(3).unwrap_or_default();
                self.ledger.ended_by_path(id);
            }
            if request.method == "DELETE" && answer.status == 204 {
                request.path.strip_prefix("/clients/").iter().for_each(|id| self.ledger.client_ended(id));
            }
        }
        outcome
    }

    /// Whatever an answer holds is masked from now on, and what is a token is revoked at the end.
    fn keep(&self, request: &Request, answer: &Answer) {
        // What is served there is for everyone, and the feed of ends is a JWT that is no token.
        if request.path.starts_with(WELL_KNOWN) && answer.status < 400 {
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

    /// What makes an answer's text fit to be shown.
    fn masker(&self, answer: &Answer) -> impl Fn(&str) -> String {
        let suspect = (200..300).contains(&answer.status) && !ledger::is_clean(answer);
        move |text| if suspect { self.vault.mask_suspect(text) } else { self.vault.mask_foreign(text) }
    }

    /// The beginning of an answer's body, in a line.
    pub fn words(&self, answer: &Answer) -> String {
        clip(&self.masker(answer)(&answer.text()), WORDS).replace(['\n', '\r'], " ")
    }

    /// What came, in half a line.
    pub fn summary(&self, answer: &Answer) -> String {
        let mask = self.masker(answer);
        let told = |text: &str| clip(&mask(text), WORDS * 2);
        let kind = told(answer.header("content-type").unwrap_or("no Content-Type"));
        match answer.json() {
            Some(serde_json::Value::Object(body)) => match (body.get("code"), body.get("message")) {
                (Some(serde_json::Value::String(code)), Some(serde_json::Value::String(message))) => {
                    format!("{} {} ({})", answer.status, told(code), told(message))
                }
                _ if body.contains_key("access_token") => format!("{} with a token", answer.status),
                _ => format!("{} with {}", answer.status, self.words(answer)),
            },
            _ if answer.body.is_empty() => format!("{} with an empty body", answer.status),
            _ => format!("{} with {kind}: {}", answer.status, self.words(answer)),
        }
    }

    fn record(&self, request: &Request, outcome: &Result<Answer, Broken>, took: Duration) -> result::Exchange {
        let mask = |text: &str| self.vault.mask(text);
        let response = outcome.as_ref().ok().or(outcome.as_ref().err().and_then(Broken::partial)).map(|answer| {
            let masker = self.masker(answer);
            let well_known = request.path.starts_with(WELL_KNOWN);
            let foreign = |text: &str| if well_known { self.vault.mask_foreign(text) } else { masker(text) };
            let text = feed::readable(answer).unwrap_or_else(|| answer.text());
            let header = |(name, value): &(String, String)| {
                (foreign(name), if crate::mask::is_secret(name) { "$SECRET".to_owned() } else { foreign(value) })
            };
            result::Answer {
                status: answer.status,
                headers: answer.headers.iter().map(header).collect(),
                body: first(&foreign(&text), 4096),
            }
        });
        let body = String::from_utf8_lossy(&request.body);
        result::Exchange {
            method: request.method.clone(),
            url: mask(&self.client.url(&request.path)),
            request_headers: request.headers.iter().map(|(n, v)| (mask(n), mask(v))).collect(),
            request_body: (!request.body.is_empty()).then(|| first(&mask(&body), 4096)),
            response,
            error: outcome.as_ref().err().map(|e| self.vault.mask_foreign(&e.to_string())),
            duration_ms: millis(took),
        }
    }

    /// Holds one answer against every standing promise. Returns the first broken one whose own row is not part of the
    /// run, for the asking case to answer for.
    pub fn observe(&self, case: &'static str, seen: &Seen, exchange: &result::Exchange) -> Option<(String, String)> {
        let mut charged = None;
        for row in cases::all().filter(|row| matches!(row.act, Act::Standing(_)) && self.profile.judges(row)) {
            let (wanted, got) = match trial::judge(row, seen) {
                Standing::NotConcerned => continue,
                Standing::Holds => {
                    self.standing.borrow_mut().entry(row.id).or_default().seen += 1;
                    continue;
                }
                Standing::Broken { wanted, got } => (wanted, got),
            };
            if !self.chosen.contains(row.id) && self.profile.absent(row.id).is_none() {
                charged.get_or_insert((wanted.clone(), got.clone()));
            }
            let mut all = self.standing.borrow_mut();
            let tally = all.entry(row.id).or_default();
            tally.seen += 1;
            if tally.broken.is_some() {
                tally.more += 1;
            } else {
                tally.broken = Some(Violation {
                    case,
                    wanted,
                    got,
                    exchange: exchange.clone(),
                    curl: curl::line(&self.client, seen.request, &self.vault),
                });
            }
        }
        charged
    }

    /// How many requests each operation was sent.
    pub fn sent(&self) -> BTreeMap<&'static str, u32> {
        self.sent.borrow().clone()
    }
}

pub struct Finished {
    pub report: Report,
    pub sent: BTreeMap<&'static str, u32>,
}

/// The rows that the settings choose: those that match, with the controls that they lean on.
pub fn choose(settings: &Settings) -> Result<Vec<&'static Case>, String> {
    for glob in settings.cases.iter().chain(&settings.skip) {
        if !cases::all().any(|case| crate::glob::matches(glob, case.id)) {
            return Err(format!("no case matches \"{glob}\"; `conformance list` shows them all"));
        }
    }
    let listed = |globs: &[String], id: &str| globs.iter().any(|g| crate::glob::matches(g, id));
    let mut ids: BTreeSet<&str> = cases::all()
        .filter(|case| settings.profile.judges(case))
        .filter(|case| settings.cases.is_empty() || listed(&settings.cases, case.id))
        .filter(|case| !listed(&settings.skip, case.id))
        .map(|case| case.id)
        .collect();
    if ids.is_empty() {
        return Err("no case is left by --case, --skip and --profile; `conformance list` shows them all".to_owned());
    }
    loop {
        let controls: Vec<_> = cases::all()
            .filter(|case| ids.contains(case.id))
            .filter_map(|case| case.control)
            .filter(|id| !ids.contains(id) && !listed(&settings.skip, id))
            .collect();
        if controls.is_empty() {
            break;
        }
        ids.extend(controls);
    }
    ids.extend(["sanity.first", "sanity.last"]);
    Ok(cases::all().filter(|case| ids.contains(case.id)).collect())
}

pub async fn run(settings: Settings, vault: Rc<Vault>, audience: Rc<dyn Audience>) -> Result<Finished, String> {
    let chosen = choose(&settings)?;
    let started_at = clock::rfc3339(settings.clock.now());
    let started = Instant::now();
    let (allowed, known, jobs) = (settings.allowed.clone(), settings.known_failures.clone(), settings.jobs.max(1));
    let run = Run::new(settings, &chosen, vault, audience)?;
    let mut book = Book {
        run: &run,
        allowed: &allowed,
        known: &known,
        total: chosen.len(),
        results: BTreeMap::new(),
        patience: None,
    };
    let by = |wanted: fn(&Case) -> bool| chosen.iter().copied().filter(move |c| wanted(c)).collect::<Vec<_>>();

    book.conduct(by(|c| c.id == "sanity.first"), 1).await;
    let alive = book.passed("sanity.first");
    let ordinary =
        by(|c| !c.id.starts_with("sanity.") && !matches!(c.act, Act::Standing(_)) && c.effect != Effect::Burst);
    let bursts = by(|c| c.effect == Effect::Burst);
    if alive {
        book.conduct(ordinary, jobs).await;
        book.conduct(bursts, 1).await;
    } else {
        let why = "sanity.first did not pass: see there";
        ordinary.into_iter().chain(bursts).for_each(|case| book.put(case, Err(Stop::Blocked(why.to_owned()))));
    }
    book.judge_standing(by(|c| matches!(c.act, Act::Standing(_))), alive);
    if alive {
        book.conduct(by(|c| c.id == "sanity.last"), 1).await;
    } else {
        by(|c| c.id == "sanity.last")
            .into_iter()
            .for_each(|c| book.put(c, Err(Stop::Blocked("sanity.first did not pass: see there".to_owned()))));
    }
    book.forgive_the_fallen();
    let cascades = ["revoke.204.cascade"].iter().all(|id| book.passed(id));
    let results = std::mem::take(&mut book.results);
    let cleanup = clean_up(&run, cascades).await;
    let cases: Vec<_> = chosen.iter().filter_map(|case| results.get(case.id).cloned()).collect();
    let report = report(&run, cases, cleanup, started_at, millis(started.elapsed()));
    Ok(Finished { report, sent: run.sent() })
}

/// The results so far, and what decides whether a case may start.
struct Book<'a> {
    run: &'a Run,
    allowed: &'a BTreeSet<&'static str>,
    known: &'a BTreeMap<String, String>,
    total: usize,
    results: BTreeMap<&'static str, CaseResult>,
    /// When an interrupted run stops to wait for what is under way.
    patience: Option<tokio::time::Instant>,
}

type Done<'a> = (&'static Case, Trial<'a>, Result<(), Stop>, Duration);

impl<'a> Book<'a> {
    fn passed(&self, id: &str) -> bool {
        self.results.get(id).is_some_and(|r| matches!(r.outcome, Outcome::Pass | Outcome::UnexpectedPass))
    }

    /// Runs rows, each after its control, at most `jobs` at once.
    async fn conduct(&mut self, mut waiting: Vec<&'static Case>, jobs: usize) {
        let mut running: FuturesUnordered<LocalBoxFuture<'a, Done<'a>>> = FuturesUnordered::new();
        let mut under_way: Vec<&'static Case> = Vec::new();
        loop {
            let mut at = 0;
            while at < waiting.len() && running.len() < jobs {
                let case = waiting[at];
                let pending = |id: &str| {
                    !self.results.contains_key(id)
                        && self.run.chosen.contains(id)
                        && cases::find(id).is_some_and(|c| !matches!(c.act, Act::Standing(_)))
                };
                if case.control.is_some_and(pending) {
                    at += 1;
                    continue;
                }
                waiting.remove(at);
                match self.hindrance(case) {
                    Some(stop) => self.put(case, Err(stop)),
                    None => {
                        running.push(conduct_one(self.run, case).boxed_local());
                        under_way.push(case);
                    }
                }
                // A result may have freed a row that was passed over.
                at = 0;
            }
            if running.is_empty() {
                // What is left leans on a row that will never run.
                for case in std::mem::take(&mut waiting) {
                    self.put(case, Err(Stop::Blocked("its control is not part of this run".to_owned())));
                }
                return;
            }
            let interrupt = &self.run.interrupt;
            tokio::select! {
                () = interrupt.reached(1), if self.patience.is_none() => {
                    self.patience = Some(tokio::time::Instant::now() + GRACE);
                    self.run.say("interrupted: revoking what was minted (again to leave that too)");
                }
                () = until(self.patience, interrupt), if self.patience.is_some() => {
                    running.clear();
                    for case in std::mem::take(&mut under_way) {
                        self.put(case, Err(Stop::Blocked(INTERRUPTED.to_owned())));
                    }
                }
                Some((case, trial, outcome, took)) = running.next() => {
                    under_way.retain(|other| other.id != case.id);
                    self.finish(case, trial, outcome, took);
                }
            }
        }
    }

    /// What keeps a case from being run at all.
    fn hindrance(&self, case: &'static Case) -> Option<Stop> {
        if let Some(reason) = self.run.profile.absent(case.id) {
            return Some(Stop::Absent(format!("the profile declares it absent: {reason}")));
        }
        // Whether the server survived is asked of it even when it seems gone.
        let go_on = if case.id == "sanity.last" { self.run.uninterrupted() } else { self.run.go_on() };
        if let Err(stop) = go_on {
            return Some(stop);
        }
        if let Some((role, credential)) =
            case.all_needs().into_iter().find(|(role, what)| !self.run.identities.has(*role, *what))
        {
            return Some(Stop::Blocked(trial::lacking(role, credential)));
        }
        let effect = case.effect.name();
        if case.effect != Effect::Read && !self.allowed.contains(effect) {
            return Some(Stop::Blocked(format!("it {effect}s on a host that is not loopback: give --allow {effect}")));
        }
        let control = case.control?;
        // What this deployment does not have of the service has no details either.
        if let Some(absent) = self.results.get(control).filter(|r| r.outcome == Outcome::NotApplicable)
            && absent.level == case.level.name()
            && case.level == cases::Level::Service
        {
            return Some(Stop::Absent(absent.reason.clone().unwrap_or_default()));
        }
        if !self.results.contains_key(control) {
            return Some(Stop::Blocked(format!("its positive control {control} is not part of this run")));
        }
        (!self.passed(control))
            .then(|| Stop::Blocked(format!("its positive control {control} did not pass, so it would prove nothing")))
    }

    fn finish(&mut self, case: &'static Case, trial: Trial<'a>, outcome: Result<(), Stop>, took: Duration) {
        let curl = trial.judged.borrow().as_ref().map(|r| curl::line(&self.run.client, r, &self.run.vault));
        self.put(case, outcome);
        if let Some(result) = self.results.get_mut(case.id) {
            result.exchanges = trial.exchanges.take();
            result.duration_ms = millis(took);
            result.curl =
                curl.filter(|_| matches!(result.outcome, Outcome::Fail | Outcome::ExpectedFail | Outcome::Error));
        }
    }

    fn put(&mut self, case: &'static Case, outcome: Result<(), Stop>) {
        let mask = |text: &str| clip(&self.run.vault.mask_foreign(text), REASON);
        let mut result = CaseResult {
            id: case.id.to_owned(),
            requirement: case.says.to_owned(),
            operation: case.op.name().to_owned(),
            status: case.status,
            level: case.level.name().to_owned(),
            effect: case.effect.name().to_owned(),
            outcome: Outcome::Pass,
            reason: None,
            wanted: None,
            got: None,
            curl: None,
            duration_ms: 0,
            exchanges: Vec::new(),
        };
        match outcome {
            Ok(()) => {}
            Err(Stop::Fail { wanted, got }) => {
                result.outcome = Outcome::Fail;
                let (wanted, got) = (mask(&wanted), mask(&got));
                result.reason = Some(format!("wanted {wanted}, got {got}"));
                (result.wanted, result.got) = (Some(wanted), Some(got));
            }
            Err(Stop::Blocked(why)) => {
                result.outcome = Outcome::Blocked;
                result.reason = Some(mask(&why));
            }
            Err(Stop::Absent(why)) => {
                result.outcome = Outcome::NotApplicable;
                result.reason = Some(mask(&why));
            }
            Err(Stop::Error(why)) => {
                result.outcome = Outcome::Error;
                result.reason = Some(mask(&why));
            }
        }
        if let Some(by) = self.known.get(case.id) {
            result.outcome = match result.outcome {
                Outcome::Fail if result.reason.as_ref().is_some_and(|r| r.contains(by)) => Outcome::ExpectedFail,
                Outcome::Pass => {
                    result.reason = Some("listed as a known failure, and it passed: take it off the list".to_owned());
                    Outcome::UnexpectedPass
                }
                other => other,
            };
        }
        self.results.insert(case.id, result);
        self.run.audience.progress(self.results.len(), self.total, case.id);
    }

    /// When the server did not survive, calls that it left without an answer tell when, not what each case asks.
    fn forgive_the_fallen(&mut self) {
        if self.results.get("sanity.last").is_none_or(|r| r.outcome != Outcome::Fail) {
            return;
        }
        for result in self.results.values_mut().filter(|r| r.outcome == Outcome::Fail && r.id != "sanity.last") {
            if result.got.as_deref().is_some_and(|got| got.starts_with(http::BROKE)) {
                result.outcome = Outcome::Error;
                result.reason = Some("under way when the server went down: see sanity.last".to_owned());
                (result.wanted, result.got) = (None, None);
            }
        }
    }

    fn judge_standing(&mut self, rows: Vec<&'static Case>, alive: bool) {
        for row in rows {
            let tally = self.run.standing.borrow_mut().remove(row.id).unwrap_or_default();
            if let Some(reason) = self.run.profile.absent(row.id) {
                self.put(row, Err(Stop::Absent(format!("the profile declares it absent: {reason}"))));
                continue;
            }
            match tally.broken {
                Some(broken) => {
                    let more = match tally.more {
                        0 => String::new(),
                        n => format!(", and in {n} more answers"),
                    };
                    let got = format!("{} (in {}{more})", broken.got, broken.case);
                    self.put(row, Err(Stop::fail(broken.wanted, got)));
                    if let Some(result) = self.results.get_mut(row.id) {
                        result.exchanges = vec![broken.exchange];
                        result.curl = Some(broken.curl);
                    }
                }
                None if tally.seen == 0 && self.run.interrupt.count() > 0 => {
                    self.put(row, Err(Stop::Blocked(INTERRUPTED.to_owned())));
                }
                None if tally.seen == 0 && !alive => {
                    self.put(row, Err(Stop::Blocked("sanity.first did not pass: see there".to_owned())));
                }
                None if tally.seen == 0 => self.put(
                    row,
                    Err(Stop::Blocked(
                        "no answer of this kind came in this run: see what kept the cases of its cell".to_owned(),
                    )),
                ),
                None => self.put(row, Ok(())),
            }
        }
    }
}

async fn conduct_one<'a>(run: &'a Run, case: &'static Case) -> Done<'a> {
    let started = Instant::now();
    let trial = Trial::new(run, case);
    // A fault of the harness must not keep the run from revoking what it minted.
    let outcome = AssertUnwindSafe(trial.conduct()).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| {
        run.faulty.set(true);
        Err(Stop::Error("the harness itself failed here: please report this case".to_owned()))
    });
    (case, trial, outcome, started.elapsed())
}

/// Until then, or until a second signal.
async fn until(then: Option<tokio::time::Instant>, interrupt: &Interrupt) {
    tokio::select! {
        () = tokio::time::sleep_until(then.unwrap_or_else(tokio::time::Instant::now)) => {}
        () = interrupt.reached(2) => {}
    }
}

/// Revokes every token of the ledger that is still open. Where this run saw that a long-term token takes its
/// short-term ones with it, revoking the parent is enough.
async fn clean_up(run: &Run, cascades: bool) -> Cleanup {
    run.refused_in_a_row.set(0);
    let enough = async {
        tokio::select! {
            () = tokio::time::sleep(CLEAN_UP) => {}
            () = async { run.interrupt.reached(1).await; tokio::time::sleep(CLEAN_UP_IN_HASTE).await } => {}
            () = run.interrupt.reached(2) => {}
        }
    };
    let problems = RefCell::new(HashMap::new());
    let silent = Flag::new(0);
    tokio::select! {
        () = async {
            // Whoever is deleted can't revoke tokens any more, and need not.
            delete_clients(run, &problems, &silent).await;
            revoke_all(run, cascades, &problems, &silent).await;
        } => {}
        () = enough => {}
    }
    let problems = problems.into_inner();
    let mut left: Vec<_> = [Kind::Long, Kind::Short]
        .into_iter()
        .flat_map(|kind| run.ledger.open(kind))
        .map(|minted| {
            let why = problems.get(&minted.token).cloned();
            let why = why.unwrap_or_else(|| "the clean-up ended before it was its turn".to_owned());
            let id = minted.id.unwrap_or_else(|| "a token without an id".to_owned());
            (clip(&run.vault.mask_foreign(&id), REASON), clip(&run.vault.mask_foreign(&why), REASON))
        })
        .collect();
    left.extend(run.ledger.clients().into_iter().map(|id| {
        let why = problems.get(&id).cloned();
        let why = why.unwrap_or_else(|| "the clean-up ended before it was its turn".to_owned());
        (clip(&run.vault.mask_foreign(&format!("client {id}")), REASON), clip(&run.vault.mask_foreign(&why), REASON))
    }));
    let unknown = "the run was interrupted while it was asked for, so it may have been made".to_owned();
    left.extend((0..run.minting.get()).map(|_| ("an unknown token".to_owned(), unknown.clone())));
    let (minted, revoked) = run.ledger.count();
    Cleanup { minted, revoked, left }
}

/// Deletes the clients that cases made, as the operator that made them.
async fn delete_clients(run: &Run, problems: &RefCell<HashMap<String, String>>, silent: &Flag<u32>) {
    let made = run.ledger.clients();
    if made.is_empty() {
        return;
    }
    let Some(Ok(operator)) = run.shared_slot(Role::Operator, "short").lock().await.clone() else { return };
    for id in made {
        let request = Request {
            method: "DELETE".to_owned(),
            path: format!("/clients/{}", crate::mask::url_encoded(&id)),
            headers: vec![("authorization".to_owned(), format!("Bearer {}", operator.token))],
            body: Vec::new(),
            chunked: false,
        };
        match insist(run, &request, silent, |answer| matches!(answer.status, 204 | 404)).await {
            None => run.ledger.client_ended(&id),
            Some(problem) => {
                problems.borrow_mut().insert(id, problem);
            }
        }
    }
}

async fn revoke_all(run: &Run, cascades: bool, problems: &RefCell<HashMap<String, String>>, silent: &Flag<u32>) {
    let mut short = run.ledger.open(Kind::Short);
    if cascades {
        short.retain(|m| m.parent.is_none());
    }
    let long = run.ledger.open(Kind::Long);
    let total = short.len() + long.len();
    let done = Flag::new(0);
    // Short-term ones first: their parents' end would take away what they revoke themselves with.
    for wave in [short, long] {
        let all = futures_util::stream::iter(wave).map(|minted| {
            let done = &done;
            async move {
                let problem = revoke(run, &minted, silent).await;
                done.set(done.get() + 1);
                run.audience.progress(done.get(), total, "revoking what was minted");
                match (problem, &minted.id) {
                    (None, Some(id)) => {
                        run.ledger.ended(id);
                        if cascades && minted.kind == Kind::Long {
                            run.ledger.children_ended(id);
                        }
                    }
                    (problem, _) => {
                        problems.borrow_mut().insert(minted.token, problem.unwrap_or_default());
                    }
                }
            }
        });
        all.buffer_unordered(8).for_each(|()| async {}).await;
    }
    if cascades {
        // Children of a parent that a case had revoked itself.
        for child in run.ledger.open(Kind::Short).iter().filter(|child| run.ledger.parent_ended(child)) {
            child.id.iter().for_each(|id| run.ledger.ended(id));
        }
    }
}

/// What kept the token from being revoked.
async fn revoke(run: &Run, minted: &Minted, silent: &Flag<u32>) -> Option<String> {
    let id = match &minted.id {
        _ if minted.token.is_empty() => return Some("it was made, but the answer did not show it whole".to_owned()),
        None => return Some("the answer did not tell its id".to_owned()),
        Some(id) => id,
    };
    let request = Request {
        method: "POST".to_owned(),
        path: crate::draft::revoke_path(id),
        headers: vec![("authorization".to_owned(), format!("Bearer {}", minted.token))],
        body: Vec::new(),
        chunked: false,
    };
    let over = || minted.ends.is_some_and(|ends| ends <= run.clock.now()) || run.ledger.parent_ended(minted);
    // With 401 it is refused as a caller, since it has ended by itself or with the token that it came from.
    insist(run, &request, silent, |answer| answer.status == 204 || (answer.status == 401 && over())).await
}

/// What kept a request of the clean-up from being done. What passes by itself gets a second try.
async fn insist(run: &Run, request: &Request, silent: &Flag<u32>, is_done: impl Fn(&Answer) -> bool) -> Option<String> {
    let what = if request.method == "DELETE" { "deletion" } else { "revocation" };
    let mut problem = None;
    for _ in 0..2 {
        if silent.get() >= GONE_AFTER {
            return problem.or(Some("the server does not answer any more".to_owned()));
        }
        let limit = if run.interrupt.count() > 0 { CLEAN_UP_IN_HASTE / 3 } else { Duration::MAX };
        let hurried = async {
            run.interrupt.reached(1).await;
            tokio::time::sleep(CLEAN_UP_IN_HASTE / 3).await;
        };
        let outcome = tokio::select! {
            outcome = run.send_quietly(request, limit) => outcome,
            () = hurried => Err(Broken::Unfinished("no answer came in time".to_owned())),
        };
        silent.set(if outcome.is_ok() { 0 } else { silent.get() + 1 });
        match outcome {
            Ok(answer) if is_done(&answer) => return None,
            Ok(answer) if [429, 503].contains(&answer.status) => {
                problem = Some(format!("the {what} was answered {}", run.summary(&answer)));
            }
            Ok(answer) => return Some(format!("the {what} was answered {}", run.summary(&answer))),
            Err(broken) => problem = Some(broken.to_string()),
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    problem
}

fn report(run: &Run, cases: Vec<CaseResult>, cleanup: Cleanup, started_at: String, duration_ms: u64) -> Report {
    let mut counts = Counts::default();
    let mut matrix: Vec<Cell> = cases::MATRIX
        .iter()
        .map(|(op, status)| (op.name(), Some(*status)))
        .chain([(Op::Outside.name(), None)])
        .chain(cases.iter().any(|case| case.operation == Op::Service.name()).then_some((Op::Service.name(), None)))
        .map(|(op, status)| Cell { operation: op.to_owned(), status, counts: Counts::default() })
        .collect();
    for case in &cases {
        add(&mut counts, case.outcome);
        let found = |status| matrix.iter().position(|c| c.operation == case.operation && c.status == status);
        let cell = found(case.status).or(found(None)).unwrap_or(cases::MATRIX.len());
        add(&mut matrix[cell].counts, case.outcome);
    }
    let unreachable = cases.iter().any(|c| c.id == "sanity.first" && c.outcome == Outcome::Error);
    let interrupted = run.interrupt.count() > 0;
    let verdict = if run.faulty.get() {
        Verdict::InternalError
    } else if unreachable {
        Verdict::Unreachable
    } else if counts.fail + counts.unexpected_pass > 0 {
        Verdict::NotConformant
    } else if counts.blocked + counts.error > 0 || counts.pass <= 2 || !cleanup.left.is_empty() || interrupted {
        Verdict::Incomplete
    } else {
        Verdict::Conformant
    };
    let observed = run.delays.borrow().clone();
    let mut advice = advice(&cases, &cleanup);
    if interrupted {
        advice.push("The run was interrupted, so it is incomplete: run again.".to_owned());
    }
    let of = cases::all().filter(|case| run.profile.judges(case)).count();
    let part = (cases.len() < of).then(|| result::Part {
        cases: run.only.clone(),
        skip: run.skip.clone(),
        chosen: u32::try_from(cases.len()).unwrap_or(u32::MAX),
        of: u32::try_from(of).unwrap_or(u32::MAX),
    });
    let mut report = Report {
        report_version: result::REPORT_VERSION,
        tool: result::Tool { name: "conformance".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        target: result::Target { base_url: run.client.url("") },
        profile: run.profile.name().to_owned(),
        part,
        started_at,
        duration_ms,
        verdict,
        exit_code: exit_code(verdict),
        counts,
        matrix,
        cases,
        consistency: (!observed.is_empty())
            .then(|| result::Consistency { window_ms: millis(run.window), observed_ms: observed }),
        cleanup,
        advice,
    };
    mask_late(&mut report, &run.vault);
    report
}

/// A token that was learnt late may stand in what was recorded before.
fn mask_late(report: &mut Report, vault: &Vault) {
    let mask = |text: &mut String| *text = vault.mask(text);
    for case in &mut report.cases {
        [&mut case.reason, &mut case.wanted, &mut case.got].into_iter().flatten().for_each(mask);
        for exchange in &mut case.exchanges {
            mask(&mut exchange.url);
            [&mut exchange.request_body, &mut exchange.error].into_iter().flatten().for_each(mask);
            let answered = exchange.response.iter_mut().flat_map(|answer| {
                mask(&mut answer.body);
                &mut answer.headers
            });
            exchange.request_headers.iter_mut().chain(answered).for_each(|(name, value)| {
                mask(name);
                mask(value);
            });
        }
    }
    report.advice.iter_mut().for_each(mask);
}

pub fn exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Conformant => 0,
        Verdict::NotConformant => 1,
        Verdict::Incomplete => 3,
        Verdict::Unreachable => 4,
        Verdict::InternalError => 70,
    }
}

fn add(counts: &mut Counts, outcome: Outcome) {
    let slot = match outcome {
        Outcome::Pass => &mut counts.pass,
        Outcome::Fail => &mut counts.fail,
        Outcome::Blocked => &mut counts.blocked,
        Outcome::NotApplicable => &mut counts.not_applicable,
        Outcome::ExpectedFail => &mut counts.expected_fail,
        Outcome::UnexpectedPass => &mut counts.unexpected_pass,
        Outcome::Error => &mut counts.error,
    };
    *slot += 1;
}

/// One sentence for each different thing that kept cases from being judged.
fn advice(cases: &[CaseResult], cleanup: &Cleanup) -> Vec<String> {
    let mut reasons: BTreeMap<&str, u32> = BTreeMap::new();
    for case in cases.iter().filter(|c| matches!(c.outcome, Outcome::Blocked | Outcome::Error)) {
        *reasons.entry(case.reason.as_deref().unwrap_or_default()).or_default() += 1;
    }
    let mut all: Vec<_> = reasons.into_iter().collect();
    all.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let mut lines: Vec<_> = all
        .into_iter()
        .map(|(why, n)| format!("{n} {} not judged: {why}.", if n == 1 { "case" } else { "cases" }))
        .collect();
    let (tokens, clients) = cleanup.counts_left();
    if clients > 0 {
        lines.push(format!(
            "{clients} of the clients that cases made could not be deleted, so the run is incomplete: delete them as an operator."
        ));
    }
    if tokens > 0 {
        lines.push(format!(
            "{tokens} of the tokens could not be revoked, so the run is incomplete; they end by themselves: long-term ones within the hour unless a case asked \
             for a longer life, short-term ones within 15 minutes."
        ));
    }
    lines
}

/// The beginning of a text that is masked already.
fn clip(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

fn first(text: &str, bytes: usize) -> String {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Audience for Nobody {
        fn progress(&self, _: usize, _: usize, _: &str) {}
        fn say(&self, _: &str) {}
    }

    const PANICS: Case = Case {
        id: "test.panics",
        says: "",
        op: Op::Outside,
        status: None,
        level: cases::Level::Seed,
        effect: Effect::Read,
        control: None,
        needs: &[],
        act: Act::Steps(|_| Box::pin(async { panic!("a test") })),
    };

    /// The run goes on to its clean-up, and must not end as the server's fault or as nobody's.
    #[tokio::test]
    async fn a_case_that_panics_makes_the_run_an_internal_error() {
        let settings = Settings {
            base_url: "http://127.0.0.1:1/v1".to_owned(),
            identities: Identities::default(),
            profile: Profile::default(),
            allowed: BTreeSet::new(),
            cases: Vec::new(),
            skip: Vec::new(),
            jobs: 1,
            timeout: Duration::from_secs(1),
            window: Duration::ZERO,
            poll: Duration::ZERO,
            known_failures: BTreeMap::new(),
            trace: false,
            clock: Clock::System,
            state: State::in_memory(),
            interrupt: Interrupt::never(),
        };
        let run = Run::new(settings, &[], Rc::default(), Rc::new(Nobody)).unwrap();
        let (_, _, outcome, _) = conduct_one(&run, &PANICS).await;
        assert!(matches!(outcome, Err(Stop::Error(_))), "{outcome:?}");
        let report = report(&run, Vec::new(), Cleanup::default(), String::new(), 0);
        assert_eq!((report.verdict, report.exit_code), (Verdict::InternalError, 70));
    }
}
