//! The order of a run: `sanity.first`, the cases, each after its control, the bursts, the end of the cases that wait, further
//! rounds for cases that found the server busy, the promises about every answer, `sanity.last`, the clean-up.

use crate::ask::plain;
use crate::case::{Case, Phase};
use crate::choice::Choice;
use crate::clean_up::clean_up;
use crate::groups::{PROVES_NOTHING, WITHOUT_CONTROL};
use crate::identities::{Credential, Role};
use crate::interrupt::Interrupt;
use crate::matrix::{Effect, Level};
use crate::result::{CaseResult, Outcome, Report, millis};
use crate::run::{BETWEEN_ROUNDS, FOR_ROUNDS, GONE, INTERRUPTED, ROUNDS, Run, Setup};
use crate::stop::Stop;
use crate::text::beginning;
use crate::trial::Trial;
use crate::verdict::{self, Findings};
use crate::watch::{Kept, Watch};
use crate::{cases, clock, http, identities, preflight};
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::{FutureExt, future::LocalBoxFuture};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

/// How long an interrupted run waits for running cases.
const GRACE: Duration = Duration::from_secs(2);
/// The longest `wanted` or `got` in a report, in characters.
const REASON: usize = 1000;
const FIRST: &str = "sanity.first";
const LAST: &str = "sanity.last";
const UNSEEN: &str = "this run got no answer that this case judges: see which cases of its operation and status were blocked or not chosen";
const NOT_SANE: &str = "sanity.first did not pass: fix that first";

pub struct Settings {
    pub setup: Setup,
    pub choice: Choice,
    /// The allowed effects; on loopback, all.
    pub allowed: BTreeSet<&'static str>,
    /// How many cases run at once.
    pub jobs: usize,
    /// Start no case after the first failure.
    pub fail_fast: bool,
    /// By case id: a part of the reason that it must fail for.
    pub known_failures: BTreeMap<String, String>,
}

pub struct Finished {
    pub report: Report,
    /// The number of requests to each operation.
    pub sent: BTreeMap<&'static str, u32>,
}

pub async fn run(settings: Settings) -> Result<Finished, String> {
    let Settings { setup, choice, allowed, jobs, fail_fast, known_failures } = settings;
    let started_at = clock::rfc3339(setup.clock.now());
    let started = Instant::now();
    let run = Run::new(setup, choice.profile.clone(), Watch::new(choice.promises()))?;
    preflight::base_url(&run).await?;
    let mut book = Book {
        run: &run,
        choice: &choice,
        allowed: &allowed,
        known: &known_failures,
        fail_fast,
        failed: None,
        refused: BTreeMap::new(),
        results: BTreeMap::new(),
        running: FuturesUnordered::new(),
        under_way: Vec::new(),
        left: Vec::new(),
        again: BTreeSet::new(),
        waited_for: None,
        patience: None,
        faulty: false,
    };
    let by = |wanted: fn(&Case) -> bool| choice.rows.iter().copied().filter(move |c| wanted(c)).collect::<Vec<_>>();
    let ordinary = early_first(by(|c| {
        ![FIRST, LAST].contains(&c.id) && !c.is_standing() && c.effect != Effect::Burst && c.phase != Phase::Last
    }));
    let bursts = behind_their_controls(by(|c| c.effect == Effect::Burst && c.phase != Phase::Last));
    let at_the_end = by(|c| c.phase == Phase::Last);
    let standing = by(Case::is_standing);
    let last = by(|c| c.id == LAST);

    book.conduct(by(|c| c.id == FIRST), 1).await;
    if book.passed(FIRST) {
        book.try_credentials().await;
        book.conduct(ordinary.clone(), jobs.max(1)).await;
        book.conduct(bursts.clone(), 1).await;
        run.end_rest();
        let left = std::mem::take(&mut book.left);
        book.conduct(left, jobs.max(1)).await;
        book.conduct(at_the_end.clone(), 1).await;
        let through = Instant::now();
        for round in 1..ROUNDS {
            if through.elapsed() > FOR_ROUNDS || !book.prepare_another_round().await {
                break;
            }
            run.round.set(round);
            book.conduct(book.open(&ordinary), jobs.max(1)).await;
            book.conduct(book.open(&bursts), 1).await;
            book.conduct(book.open(&at_the_end), 1).await;
        }
        book.judge_standing(standing);
        book.conduct(last, 1).await;
    } else {
        ordinary
            .into_iter()
            .chain(bursts)
            .chain(at_the_end)
            .for_each(|case| book.put(case, Err(Stop::Blocked(NOT_SANE.to_owned()))));
        book.judge_standing(standing);
        last.into_iter().for_each(|case| book.put(case, Err(Stop::Blocked(NOT_SANE.to_owned()))));
    }
    book.forgive_the_fallen();
    let cascades = book.passed("revoke.204.cascade");
    let (results, faulty) = (std::mem::take(&mut book.results), book.faulty);
    let findings = Findings {
        cases: choice.rows.iter().filter_map(|case| results.get(case.id).cloned()).collect(),
        cleanup: clean_up(&run, cascades).await,
        started_at,
        duration_ms: millis(started.elapsed()),
        faulty,
    };
    Ok(Finished { report: verdict::report(&run, &choice, findings), sent: run.sent() })
}

/// Puts the cases that rest or wait first, with their controls before them: the earlier they start, the earlier the run ends.
fn early_first(rows: Vec<&'static Case>) -> Vec<&'static Case> {
    let mut early: Vec<&str> =
        rows.iter().filter(|case| [Phase::Rests, Phase::Early].contains(&case.phase)).map(|case| case.id).collect();
    let mut at = 0;
    while let Some(case) = early.get(at).and_then(|id| cases::find(id)) {
        early.extend(case.control);
        at += 1;
    }
    let (first, rest): (Vec<_>, Vec<_>) = rows.into_iter().partition(|case| early.contains(&case.id));
    first.into_iter().chain(rest).collect()
}

/// Puts each case right behind its control: a case about a rate limit must run before the limit ends.
fn behind_their_controls(rows: Vec<&'static Case>) -> Vec<&'static Case> {
    let leans_on = |case: &Case, on: &Case| case.control == Some(on.id);
    let first = rows.iter().filter(|case| !rows.iter().any(|on| leans_on(case, on)));
    first.flat_map(|on| std::iter::once(*on).chain(rows.iter().copied().filter(|case| leans_on(case, on)))).collect()
}

/// The results so far, and the state that decides whether a case may start.
struct Book<'a> {
    run: &'a Run,
    choice: &'a Choice,
    allowed: &'a BTreeSet<&'static str>,
    known: &'a BTreeMap<String, String>,
    fail_fast: bool,
    /// With --fail-fast: the case that failed first.
    failed: Option<&'static str>,
    /// Roles whose secret the server refuses, and what to do about it.
    refused: BTreeMap<Role, String>,
    results: BTreeMap<&'static str, CaseResult>,
    running: FuturesUnordered<LocalBoxFuture<'a, Done<'a>>>,
    under_way: Vec<&'static Case>,
    /// Cases whose control rests.
    left: Vec<&'static Case>,
    /// Cases that found the server busy or unreachable: they get another round.
    again: BTreeSet<&'static str>,
    /// How many of them there were when the run last waited for the server's rate limit.
    waited_for: Option<usize>,
    /// After an interruption: until when running cases are waited for.
    patience: Option<tokio::time::Instant>,
    /// A case panicked.
    faulty: bool,
}

struct Done<'a> {
    case: &'static Case,
    trial: Trial<'a>,
    outcome: Result<(), Stop>,
    took: Duration,
    panicked: bool,
}

impl<'a> Book<'a> {
    /// The rows without a result.
    fn open(&self, rows: &[&'static Case]) -> Vec<&'static Case> {
        rows.iter().copied().filter(|case| !self.results.contains_key(case.id)).collect()
    }

    fn passed(&self, id: &str) -> bool {
        self.results.get(id).is_some_and(|r| matches!(r.outcome, Outcome::Pass | Outcome::UnexpectedPass))
    }

    /// How many cases are running, without those that rest.
    fn busy(&self) -> usize {
        self.running.len().saturating_sub(self.run.resting())
    }

    /// How many more cases may start. Those that wait for time to pass give way to others, unless only one may run at once.
    fn has_room(&self, jobs: usize) -> bool {
        let idle = if jobs > 1 { self.run.idling().min(jobs) } else { 0 };
        self.busy() < jobs + idle
    }

    /// Runs rows, each after its control, at most `jobs` at once. Returns while resting cases are still running.
    async fn conduct(&mut self, mut waiting: Vec<&'static Case>, jobs: usize) {
        loop {
            let mut at = 0;
            while at < waiting.len() && self.has_room(jobs) {
                let case = waiting[at];
                let pending = |id: &str| {
                    !self.results.contains_key(id)
                        && self.choice.has(id)
                        && cases::find(id).is_some_and(|c| !c.is_standing())
                };
                if case.control.is_some_and(pending) {
                    at += 1;
                    continue;
                }
                waiting.remove(at);
                match self.hindrance(case) {
                    Some(stop) => self.put(case, Err(stop)),
                    None => {
                        self.running.push(conduct_one(self.run, case).boxed_local());
                        self.under_way.push(case);
                    }
                }
                // This result may be the control that an earlier row waits for.
                at = 0;
            }
            if self.busy() == 0 && self.run.resting() > 0 {
                self.left.extend(waiting);
                return;
            }
            if self.running.is_empty() {
                // The control of these rows will never run.
                for case in std::mem::take(&mut waiting) {
                    self.put(case, Err(Stop::Blocked("its positive control is not part of this run".to_owned())));
                }
                return;
            }
            let interrupt = &self.run.interrupt;
            tokio::select! {
                () = interrupt.reached(1), if self.patience.is_none() => {
                    self.patience = Some(tokio::time::Instant::now() + GRACE);
                    self.run.say("interrupted: revoking the tokens of this run (interrupt again to stop that too)");
                }
                () = until(self.patience, interrupt), if self.patience.is_some() => {
                    self.running.clear();
                    self.run.end_rest();
                    for case in std::mem::take(&mut self.under_way) {
                        self.put(case, Err(Stop::Blocked(INTERRUPTED.to_owned())));
                    }
                }
                Some(done) = self.running.next() => {
                    self.under_way.retain(|other| other.id != done.case.id);
                    self.finish(done);
                }
                () = self.run.rest_begun() => {}
            }
        }
    }

    /// Why a case can't be run.
    fn hindrance(&self, case: &'static Case) -> Option<Stop> {
        if let Some(reason) = self.run.profile.absent(case.id) {
            return Some(Stop::Absent(format!("the profile declares it absent: {reason}")));
        }
        // `sanity.last` runs even if the server seems gone: it judges whether the server survived.
        let go_on = if case.id == LAST { self.run.uninterrupted() } else { self.run.go_on() };
        if let Err(stop) = go_on {
            return Some(stop);
        }
        if let Some(failed) = self.failed.filter(|_| case.id != LAST) {
            return Some(Stop::Blocked(format!("{failed} failed, and --fail-fast stops at the first failure")));
        }
        let needs = case.all_needs();
        let refused =
            |(role, what): &(Role, Credential)| self.refused.get(role).filter(|_| *what == Credential::ClientSecret);
        if let Some(why) = needs.iter().find_map(refused) {
            return Some(Stop::Blocked(why.clone()));
        }
        if let Some((role, credential)) = needs.into_iter().find(|(role, what)| !self.run.identities.has(*role, *what))
        {
            return Some(Stop::Blocked(identities::lacking(role, credential)));
        }
        let effect = case.effect.name();
        if case.effect != Effect::Read && !self.allowed.contains(effect) {
            return Some(Stop::Blocked(format!(
                "this case has the effect {effect}, which is not allowed on a host that is not loopback: give --allow {effect}"
            )));
        }
        let control = case.control?;
        // If this deployment lacks a feature of the service, the cases about its details do not apply either.
        if let Some(absent) = self.results.get(control).filter(|r| r.outcome == Outcome::NotApplicable)
            && absent.level == case.level.name()
            && case.level == Level::Service
        {
            return Some(Stop::Absent(absent.reason.clone().unwrap_or_default()));
        }
        if !self.results.contains_key(control) {
            return Some(Stop::Blocked(format!(
                "its positive control {control} is not part of this run: leave it out of --skip"
            )));
        }
        (!self.passed(control)).then(|| Stop::Blocked(without_control(self.root_of(control))))
    }

    /// Follows a chain of blocked controls to the one that caused it.
    fn root_of(&self, control: &'static str) -> &'static str {
        let mut at = control;
        while let Some(next) = cases::find(at).and_then(|case| case.control)
            && self.results.get(at).is_some_and(|r| r.outcome == Outcome::Blocked)
            && self.results.contains_key(next)
            && !self.passed(next)
        {
            at = next;
        }
        at
    }

    /// Requests one token with each secret that the cases need, before any case sends a wrong credential.
    async fn try_credentials(&mut self) {
        if !self.allowed.contains(Effect::Mint.name()) {
            return;
        }
        let needs = self.choice.rows.iter().flat_map(|case| case.all_needs());
        let roles: BTreeSet<_> =
            needs.filter(|(_, what)| *what == Credential::ClientSecret).map(|(role, _)| role).collect();
        let trial = Trial::new(self.run, FIRST, plain(201));
        let hurried = async {
            self.run.interrupt.reached(1).await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            refused = preflight::credentials(&trial, roles) => self.refused = refused,
            () = hurried => {}
        }
        if let Some(result) = self.results.get_mut(FIRST) {
            result.exchanges.extend(trial.exchanges.take());
        }
    }

    /// Drops the results of cases that found the server busy or unreachable, and of those blocked because of them. False if
    /// there is no other round.
    async fn prepare_another_round(&mut self) -> bool {
        if self.again.is_empty() || self.failed.is_some() || self.run.uninterrupted().is_err() {
            return false;
        }
        if self.run.is_gone() && !self.run.is_back().await {
            return false;
        }
        let mut again = std::mem::take(&mut self.again);
        loop {
            let leans = |case: &&&Case| {
                let blocked = self.results.get(case.id).is_some_and(|r| r.outcome == Outcome::Blocked);
                blocked && !again.contains(case.id) && case.control.is_some_and(|id| again.contains(id))
            };
            let more: Vec<_> = self.choice.rows.iter().filter(leans).map(|case| case.id).collect();
            if more.is_empty() {
                break;
            }
            again.extend(more);
        }
        // A limit that a wait did not end will not end after another one.
        let waits = self.run.is_limited();
        if waits && self.waited_for.replace(again.len()).is_some_and(|before| before <= again.len()) {
            return false;
        }
        self.run.say(&format!("{} cases found the server busy or unreachable: running them again", again.len()));
        if self.run.pause_for_limit().await.is_err() || self.run.pause(BETWEEN_ROUNDS).await.is_err() {
            return false;
        }
        again.iter().for_each(|id| drop(self.results.remove(id)));
        true
    }

    fn finish(&mut self, done: Done<'a>) {
        let Done { case, trial, outcome, took, panicked } = done;
        self.faulty |= panicked;
        let curl = trial.judged.borrow().as_ref().map(|request| self.run.curl(request));
        self.put(case, outcome);
        if let Some(result) = self.results.get_mut(case.id) {
            result.exchanges = trial.exchanges.take();
            result.duration_ms = millis(took);
            result.curl =
                curl.filter(|_| matches!(result.outcome, Outcome::Fail | Outcome::ExpectedFail | Outcome::Error));
        }
    }

    fn put(&mut self, case: &'static Case, outcome: Result<(), Stop>) {
        let mask = |text: &str| beginning(&self.run.vault.mask_foreign(text), REASON);
        let mut result = CaseResult {
            id: case.id.to_owned(),
            requirement: case.requirement.to_owned(),
            operation: case.cell.op().name().to_owned(),
            status: case.cell.status(),
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
        if matches!(outcome, Err(Stop::Unavailable(_))) {
            self.again.insert(case.id);
        }
        match outcome {
            Ok(()) => {}
            Err(Stop::Fail { wanted, got }) => {
                result.outcome = Outcome::Fail;
                let (wanted, got) = (mask(&wanted), mask(&got));
                result.reason = Some(format!("wanted {wanted}, got {got}"));
                (result.wanted, result.got) = (Some(wanted), Some(got));
            }
            Err(Stop::Blocked(why) | Stop::Unavailable(why)) => {
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
                    result.reason = Some(
                        "this case is listed as a known failure, but it passed: remove it from the list".to_owned(),
                    );
                    Outcome::UnexpectedPass
                }
                other => other,
            };
        }
        if self.fail_fast && result.outcome == Outcome::Fail {
            self.failed.get_or_insert(case.id);
        }
        self.results.insert(case.id, result);
        self.run.audience.progress(self.results.len(), self.choice.rows.len(), case.id);
    }

    /// If the server did not survive, cases without an answer are blocked instead of failed, and `sanity.last` alone reports the
    /// failure.
    fn forgive_the_fallen(&mut self) {
        let Some(last) = self.results.get(LAST).filter(|r| r.outcome == Outcome::Fail) else { return };
        // A proxy in front may answer for the server that is down.
        let status = |r: &CaseResult| r.exchanges.last().and_then(|e| e.response.as_ref()).map(|answer| answer.status);
        let end = status(last);
        let has_fallen = |result: &CaseResult| {
            let by_proxy = end.is_some() && status(result) == end;
            let got = result.got.as_deref().unwrap_or_default();
            let reason = result.reason.as_deref().unwrap_or_default();
            match result.outcome {
                Outcome::Fail => by_proxy || got.starts_with(http::BROKE) || got.starts_with(http::SILENT),
                Outcome::Blocked | Outcome::Error => {
                    let for_silence = [GONE, UNSEEN, http::BROKE, http::SILENT].iter().any(|why| reason.contains(why));
                    // The call that failed may be that of another case, whose token this one shares.
                    let shared = end.is_some_and(|status| reason.contains(&format!("the server answered {status}")));
                    by_proxy || for_silence || shared || self.again.contains(result.id.as_str())
                }
                _ => false,
            }
        };
        let others = || self.results.iter().filter(|(id, _)| **id != LAST);
        let mut fallen: BTreeSet<_> = others().filter(|(_, result)| has_fallen(result)).map(|(id, _)| *id).collect();
        loop {
            let leans = |id: &str| cases::find(id).and_then(|case| case.control).is_some_and(|id| fallen.contains(id));
            let blocked = others().filter(|(id, result)| result.outcome == Outcome::Blocked && !fallen.contains(*id));
            let more: Vec<_> = blocked.map(|(id, _)| *id).filter(|id| leans(id)).collect();
            if more.is_empty() {
                break;
            }
            fallen.extend(more);
        }
        for id in &fallen {
            let Some(result) = self.results.get_mut(id) else { continue };
            result.outcome = Outcome::Blocked;
            result.reason = Some(GONE.to_owned());
            (result.wanted, result.got, result.curl) = (None, None, None);
        }
        if let Some(last) = self.results.get_mut(LAST).filter(|_| !fallen.is_empty()) {
            let got = last.got.clone().unwrap_or_default();
            let got = format!("{got}; {} cases could not be judged", fallen.len());
            last.reason = Some(format!("wanted {}, got {got}", last.wanted.clone().unwrap_or_default()));
            last.got = Some(got);
        }
    }

    fn judge_standing(&mut self, rows: Vec<&'static Case>) {
        for row in rows {
            let kept = self.run.watch.kept(row.id);
            if let Some(reason) = self.run.profile.absent(row.id) {
                self.put(row, Err(Stop::Absent(format!("the profile declares it absent: {reason}"))));
                continue;
            }
            match kept {
                Kept::Yes => self.put(row, Ok(())),
                Kept::No(broken) => {
                    self.put(row, Err(Stop::fail(&broken.wanted, broken.got())));
                    if let Some(result) = self.results.get_mut(row.id) {
                        result.exchanges = vec![broken.exchange];
                        result.curl = Some(broken.curl);
                    }
                }
                Kept::Unseen => {
                    let why = match (self.run.interrupt.count(), self.passed(FIRST)) {
                        (1.., _) => INTERRUPTED,
                        (_, false) => NOT_SANE,
                        _ if self.run.is_gone() => GONE,
                        _ if self.failed.is_some() => "--fail-fast stopped the run at the first failure",
                        _ => UNSEEN,
                    };
                    self.put(row, Err(Stop::Blocked(why.to_owned())));
                }
            }
        }
    }
}

fn without_control(control: &str) -> String {
    format!("{WITHOUT_CONTROL}{control}{PROVES_NOTHING}")
}

async fn conduct_one<'a>(run: &'a Run, case: &'static Case) -> Done<'a> {
    let started = Instant::now();
    let trial = Trial::new(run, case.id, case.expect);
    // A panic must not prevent the clean-up.
    let outcome = AssertUnwindSafe(case.conduct(&trial)).catch_unwind().await;
    let panicked = outcome.is_err();
    let outcome = outcome
        .unwrap_or_else(|_| Err(Stop::Error("the harness itself failed in this case: please report it".to_owned())));
    Done { case, trial, outcome, took: started.elapsed(), panicked }
}

/// Waits until this time, or until a second signal.
async fn until(then: Option<tokio::time::Instant>, interrupt: &Interrupt) {
    tokio::select! {
        () = tokio::time::sleep_until(then.unwrap_or_else(tokio::time::Instant::now)) => {}
        () = interrupt.reached(2) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Act, ROW};
    use crate::clock::Clock;
    use crate::identities::Identities;
    use crate::profile::Profile;
    use crate::result::{Cleanup, Verdict};
    use crate::run::Audience;
    use crate::state::State;
    use std::rc::Rc;

    struct Nobody;

    impl Audience for Nobody {
        fn progress(&self, _: usize, _: usize, _: &str) {}
        fn say(&self, _: &str) {}
    }

    const PANICS: Case =
        Case { id: "test.panics", request: Act::Steps(|_| Box::pin(async { panic!("a test") })), ..ROW };

    /// The run still cleans up, and its verdict is neither a failure of the server nor a pass.
    #[tokio::test]
    async fn a_case_that_panics_makes_the_run_an_internal_error() {
        let setup = Setup {
            base_url: "http://127.0.0.1:1/v1".to_owned(),
            way: http::Way::default(),
            identities: Identities::default(),
            timeout: Duration::from_secs(1),
            window: Duration::ZERO,
            poll: Duration::ZERO,
            trace: false,
            clock: Clock::system(),
            state: State::in_memory(),
            interrupt: Interrupt::never(),
            vault: Rc::default(),
            audience: Rc::new(Nobody),
        };
        let choice = Choice::new(Profile::default(), Vec::new(), Vec::new()).unwrap();
        let run = Run::new(setup, choice.profile.clone(), Watch::new(Vec::new())).unwrap();
        let done = conduct_one(&run, &PANICS).await;
        assert!(matches!(done.outcome, Err(Stop::Error(_))), "{:?}", done.outcome);
        let findings = Findings {
            cases: Vec::new(),
            cleanup: Cleanup::default(),
            started_at: String::new(),
            duration_ms: 0,
            faulty: done.panicked,
        };
        let report = verdict::report(&run, &choice, findings);
        assert_eq!((report.verdict, report.exit_code), (Verdict::InternalError, 70));
    }
}
