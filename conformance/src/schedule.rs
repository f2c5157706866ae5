//! The order of a run: sanity, the cases with their controls before them, the bursts, what was seen throughout, sanity
//! again, and then the clean-up.

use crate::case::Case;
use crate::choice::Choice;
use crate::clean_up::clean_up;
use crate::interrupt::Interrupt;
use crate::matrix::{Effect, Level};
use crate::result::{CaseResult, Outcome, Report, millis};
use crate::run::{INTERRUPTED, Run, Setup};
use crate::stop::Stop;
use crate::text::beginning;
use crate::trial::Trial;
use crate::verdict::{self, Findings};
use crate::watch::{Kept, Watch};
use crate::{cases, clock, http, identities};
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::{FutureExt, future::LocalBoxFuture};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

/// How long an interrupted run waits for the requests that are under way.
const GRACE: Duration = Duration::from_secs(2);
/// How long `wanted` and `got` may be, in characters.
const REASON: usize = 1000;
const FIRST: &str = "sanity.first";
const LAST: &str = "sanity.last";
const NOT_SANE: &str = "sanity.first did not pass: see there";

pub struct Settings {
    pub setup: Setup,
    pub choice: Choice,
    /// Which effects were allowed; on loopback all are.
    pub allowed: BTreeSet<&'static str>,
    /// Cases under way at once.
    pub jobs: usize,
    /// Case id to a piece of the reason that it must fail by.
    pub known_failures: BTreeMap<String, String>,
}

pub struct Finished {
    pub report: Report,
    /// How many requests each operation was sent.
    pub sent: BTreeMap<&'static str, u32>,
}

pub async fn run(settings: Settings) -> Result<Finished, String> {
    let Settings { setup, choice, allowed, jobs, known_failures } = settings;
    let started_at = clock::rfc3339(setup.clock.now());
    let started = Instant::now();
    let run = Run::new(setup, choice.profile.clone(), Watch::new(choice.promises()))?;
    let mut book = Book {
        run: &run,
        choice: &choice,
        allowed: &allowed,
        known: &known_failures,
        results: BTreeMap::new(),
        patience: None,
        faulty: false,
    };
    let by = |wanted: fn(&Case) -> bool| choice.rows.iter().copied().filter(move |c| wanted(c)).collect::<Vec<_>>();
    let ordinary = by(|c| ![FIRST, LAST].contains(&c.id) && !c.is_standing() && c.effect != Effect::Burst);
    let bursts = by(|c| c.effect == Effect::Burst);
    let standing = by(Case::is_standing);
    let last = by(|c| c.id == LAST);

    book.conduct(by(|c| c.id == FIRST), 1).await;
    if book.passed(FIRST) {
        book.conduct(ordinary, jobs.max(1)).await;
        book.conduct(bursts, 1).await;
        book.judge_standing(standing);
        book.conduct(last, 1).await;
    } else {
        ordinary.into_iter().chain(bursts).for_each(|case| book.put(case, Err(Stop::Blocked(NOT_SANE.to_owned()))));
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

/// The results so far, and what decides whether a case may start.
struct Book<'a> {
    run: &'a Run,
    choice: &'a Choice,
    allowed: &'a BTreeSet<&'static str>,
    known: &'a BTreeMap<String, String>,
    results: BTreeMap<&'static str, CaseResult>,
    /// When an interrupted run stops to wait for what is under way.
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
                Some(done) = running.next() => {
                    under_way.retain(|other| other.id != done.case.id);
                    self.finish(done);
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
        let go_on = if case.id == LAST { self.run.uninterrupted() } else { self.run.go_on() };
        if let Err(stop) = go_on {
            return Some(stop);
        }
        if let Some((role, credential)) =
            case.all_needs().into_iter().find(|(role, what)| !self.run.identities.has(*role, *what))
        {
            return Some(Stop::Blocked(identities::lacking(role, credential)));
        }
        let effect = case.effect.name();
        if case.effect != Effect::Read && !self.allowed.contains(effect) {
            return Some(Stop::Blocked(format!("it {effect}s on a host that is not loopback: give --allow {effect}")));
        }
        let control = case.control?;
        // What this deployment does not have of the service has no details either.
        if let Some(absent) = self.results.get(control).filter(|r| r.outcome == Outcome::NotApplicable)
            && absent.level == case.level.name()
            && case.level == Level::Service
        {
            return Some(Stop::Absent(absent.reason.clone().unwrap_or_default()));
        }
        if !self.results.contains_key(control) {
            return Some(Stop::Blocked(format!("its positive control {control} is not part of this run")));
        }
        (!self.passed(control))
            .then(|| Stop::Blocked(format!("its positive control {control} did not pass, so it would prove nothing")))
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
        self.run.audience.progress(self.results.len(), self.choice.rows.len(), case.id);
    }

    /// When the server did not survive, calls that it left without an answer tell when, not what each case asks.
    fn forgive_the_fallen(&mut self) {
        if self.results.get(LAST).is_none_or(|r| r.outcome != Outcome::Fail) {
            return;
        }
        for result in self.results.values_mut().filter(|r| r.outcome == Outcome::Fail && r.id != LAST) {
            if result.got.as_deref().is_some_and(|got| got.starts_with(http::BROKE)) {
                result.outcome = Outcome::Error;
                result.reason = Some("under way when the server went down: see sanity.last".to_owned());
                (result.wanted, result.got) = (None, None);
            }
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
                        _ => "no answer of this kind came in this run: see what kept the cases of its cell",
                    };
                    self.put(row, Err(Stop::Blocked(why.to_owned())));
                }
            }
        }
    }
}

async fn conduct_one<'a>(run: &'a Run, case: &'static Case) -> Done<'a> {
    let started = Instant::now();
    let trial = Trial::new(run, case.id, case.expect);
    // A fault of the harness must not keep the run from revoking what it minted.
    let outcome = AssertUnwindSafe(case.conduct(&trial)).catch_unwind().await;
    let panicked = outcome.is_err();
    let outcome = outcome
        .unwrap_or_else(|_| Err(Stop::Error("the harness itself failed here: please report this case".to_owned())));
    Done { case, trial, outcome, took: started.elapsed(), panicked }
}

/// Until then, or until a second signal.
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

    /// The run goes on to its clean-up, and must not end as the server's fault or as nobody's.
    #[tokio::test]
    async fn a_case_that_panics_makes_the_run_an_internal_error() {
        let setup = Setup {
            base_url: "http://127.0.0.1:1/v1".to_owned(),
            identities: Identities::default(),
            timeout: Duration::from_secs(1),
            window: Duration::ZERO,
            poll: Duration::ZERO,
            trace: false,
            clock: Clock::System,
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
