//! `selftest`: the reference server must pass all cases, each mutant must be killed by the case that declares it, and each
//! case must kill at least one mutant.

use super::lab::{mutants, one};
use crate::case::{Case, FeedMode, Level, Mutant};
use crate::cases;
use crate::choice::Choice;
use crate::exit::Exit;
use crate::glob;
use crate::profile::Profile;
use crate::result::{CaseResult, Outcome, Report};
use crate::terminal::{Paint, word};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;
use std::time::Instant;

fn block_on<T>(future: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("the runtime can't start ({e})"))?
        .block_on(future)
}

/// A mutant with the case that must kill it.
type Pair = (&'static Case, &'static Mutant);

fn choice(profile: &str, only: &[&str]) -> Result<Choice, String> {
    Choice::new(Profile::load(profile)?, only.iter().map(|glob| (*glob).to_owned()).collect(), Vec::new())
}

fn whole() -> Result<Choice, String> {
    choice("service", &[])
}

fn feed_alone() -> Result<Choice, String> {
    choice("service", &["feed.*"])
}

/// The cases that run against a mutant: its killer with the controls, and cases that have no mutants of their own. If the
/// killer judges every answer, or whether the server survived: all cases of its level or kind, such as `feed.*`.
fn about(killer: &Case) -> Result<Choice, String> {
    let kind = killer.id.split('.').next().unwrap_or_default();
    match (killer.level, judges_all(killer)) {
        (Level::Service, true) => choice("service", &[&format!("{kind}.*")]),
        (Level::Service, false) => {
            let standing = cases::all().filter(|case| case.is_standing()).map(|case| case.id);
            choice("service", &standing.chain([killer.id]).collect::<Vec<_>>())
        }
        (_, true) => choice("contract", &[]),
        (_, false) => {
            let goes_along = |case: &&Case| case.is_standing() || case.mutants.is_empty();
            let others = cases::all().filter(|case| case.level < Level::Service).filter(goes_along).map(|case| case.id);
            choice("contract", &others.chain([killer.id]).collect::<Vec<_>>())
        }
    }
}

fn judges_all(killer: &Case) -> bool {
    killer.is_standing() || killer.id.starts_with("sanity.")
}

/// The reports of all mutants, made on several threads per processor.
fn all_reports(chosen: &[Pair]) -> Result<Vec<(Pair, Report)>, String> {
    // Start the mutants with many cases first, so that no thread runs alone at the end.
    let mut queue: Vec<_> = chosen.iter().enumerate().collect();
    queue.sort_by_key(|(_, (killer, _))| judges_all(killer));
    let queue = Mutex::new(queue);
    let done = Mutex::new(Vec::new());
    // Some mutants only make the run wait; meanwhile other threads use the processor.
    let threads = std::thread::available_parallelism().map_or(2, usize::from) * 8;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, pair)) = queue.lock().ok().and_then(|mut queue| queue.pop()) {
                    let (killer, mutant) = *pair;
                    let report = about(killer).and_then(|choice| block_on(one(Some(mutant.name), mutant.feed, choice)));
                    if let Ok(mut done) = done.lock() {
                        done.push((at, report.map(|finished| (*pair, finished.report))));
                    }
                }
            });
        }
    });
    let mut all = done.into_inner().map_err(|_| "a thread of the selftest failed".to_owned())?;
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, report)| report).collect()
}

/// Whether a case has the required result against the reference server.
fn is_as_it_should_be(case: &CaseResult, feed: FeedMode) -> bool {
    match (feed, case.outcome) {
        (_, Outcome::Pass) => true,
        (FeedMode::Public, Outcome::NotApplicable) => case.id.starts_with("feed.401."),
        _ => false,
    }
}

/// Runs the selftest.
pub fn run(only: &[String], paint: Paint) -> Result<Exit, String> {
    let started = Instant::now();
    let mut out = String::new();
    let mut broken = Vec::new();
    let is_chosen = |mutant: &Mutant| only.is_empty() || only.iter().any(|g| glob::matches(g, mutant.name));
    let chosen: Vec<_> = mutants().filter(|(_, mutant)| is_chosen(mutant)).collect();
    if chosen.is_empty() {
        return Err("no mutant matches --mutant; `conformance selftest` lists them".to_owned());
    }

    for (feed, choice) in [(FeedMode::Public, whole()?), (FeedMode::Private, feed_alone()?)] {
        let reference = block_on(one(None, feed, choice))?.report;
        for case in reference.cases.iter().filter(|c| !is_as_it_should_be(c, feed)) {
            broken.push(format!(
                "the reference server does not pass {}: {} ({})",
                case.id,
                word(case.outcome),
                case.reason.as_deref().unwrap_or_default()
            ));
        }
        if !reference.cleanup.left.is_empty() {
            broken.push(format!(
                "the clean-up left something behind on the reference server: {:?}",
                reference.cleanup.left
            ));
        }
    }

    let mut kills: BTreeMap<String, u32> = BTreeMap::new();
    let width = chosen.iter().map(|(_, mutant)| mutant.name.len()).max().unwrap_or(0);
    for ((killer, mutant), report) in all_reports(&chosen)? {
        let by: Vec<_> = report
            .cases
            .iter()
            .filter(|c| c.outcome == Outcome::Fail || (c.outcome == Outcome::Error && c.id == killer.id))
            .map(|c| c.id.as_str())
            .collect();
        by.iter().for_each(|id| *kills.entry((*id).to_owned()).or_default() += 1);
        let named = by.contains(&killer.id) && report.exit_code != 0;
        if !named {
            broken.push(format!("mutant {} was not killed by {}; it was killed by {by:?}", mutant.name, killer.id));
        }
        let others: Vec<_> = by.iter().filter(|id| **id != killer.id).take(4).copied().collect();
        let more = by.len().saturating_sub(others.len() + usize::from(named));
        let mut line =
            format!("{:width$}  {}", mutant.name, if named { paint.good(killer.id) } else { paint.bad("survived") });
        if !others.is_empty() {
            line += &paint.faint(&format!("  also {}", others.join(" ")));
        }
        if more > 0 {
            line += &paint.faint(&format!(" and {more} more"));
        }
        out += &format!("{line}\n{:width$}  {}\n", "", paint.faint(mutant.says));
    }
    if only.is_empty() {
        for case in cases::all().filter(|c| !kills.contains_key(c.id)) {
            broken.push(format!(
                "{} kills no mutant, so it may pass whatever the server does: give it a mutant",
                case.id
            ));
        }
    }
    for line in &broken {
        out += &format!("{} {line}\n", paint.bad("BROKEN"));
    }
    out += &format!(
        "{} cases, {} mutants, {} in {:.1} s\n",
        cases::all().count(),
        chosen.len(),
        if broken.is_empty() { paint.good("all as required") } else { paint.bad(&format!("{} faults", broken.len())) },
        started.elapsed().as_secs_f64()
    );
    let _ = std::io::stdout().write_all(out.as_bytes());
    Ok(if broken.is_empty() { Exit::Good } else { Exit::Failed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_mutant_is_declared_by_one_case() {
        let mut names = BTreeSet::new();
        for (killer, mutant) in mutants() {
            assert!(names.insert(mutant.name), "{} is declared twice, also with {}", mutant.name, killer.id);
        }
    }

    #[test]
    fn the_reference_passes_everything_and_nothing_is_left() {
        for (feed, choice) in [(FeedMode::Public, whole()), (FeedMode::Private, feed_alone())] {
            let report = block_on(one(None, feed, choice.unwrap())).unwrap().report;
            let odd: Vec<_> =
                report.cases.iter().filter(|c| !is_as_it_should_be(c, feed)).map(|c| (&c.id, &c.reason)).collect();
            assert!(odd.is_empty(), "{odd:?}");
            assert_eq!((report.exit_code, report.cleanup.left.len()), (0, 0));
            assert_eq!(report.cleanup.minted, report.cleanup.revoked);
        }
    }

    /// Servers that conform, but are busy or limit calls. A run may be incomplete, but blames nobody.
    #[test]
    fn honest_servers_are_not_blamed() {
        for (fault, completes) in [("low-limit", true), ("often-busy", false)] {
            let contract = choice("contract", &[]).unwrap();
            let report = block_on(one(Some(fault), FeedMode::Public, contract)).unwrap().report;
            let blamed = |case: &&CaseResult| matches!(case.outcome, Outcome::Fail | Outcome::Error);
            let odd: Vec<_> = report.cases.iter().filter(blamed).map(|case| (&case.id, &case.reason)).collect();
            assert!(odd.is_empty(), "{fault}: {odd:?}");
            let open: Vec<_> = report
                .cases
                .iter()
                .filter(|case| case.outcome == Outcome::Blocked)
                .map(|c| (&c.id, &c.reason))
                .collect();
            assert!(!completes || open.is_empty(), "{fault}: {open:?}");
            assert!(report.cleanup.left.is_empty(), "{fault}: {:?}", report.cleanup.left);
        }
    }

    #[test]
    fn feed_cases_do_not_apply_without_a_feed() {
        let report = block_on(one(None, FeedMode::Off, feed_alone().unwrap())).unwrap().report;
        let feed: Vec<_> = report.cases.iter().filter(|c| c.id.starts_with("feed.")).collect();
        assert!(!feed.is_empty() && feed.iter().all(|c| c.outcome == Outcome::NotApplicable), "{feed:?}");
        assert_eq!(report.exit_code, 0);
    }
}
