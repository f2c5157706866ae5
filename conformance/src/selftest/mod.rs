//! The harness proves itself: the reference passes everything, every mutant of it is killed by the case that is named
//! for it, and every case kills at least one.

mod mutants;
mod people;
mod reference;
mod service;
mod wire;

use crate::cases::{self, Level};
use crate::cli::Choice;
use crate::clock::Clock;
use crate::identities::Identities;
use crate::interrupt::Interrupt;
use crate::mask::Vault;
use crate::profile::{Limits, Profile};
use crate::result::{CaseResult, Outcome, Report};
use crate::run::{self, Audience, Finished, Settings};
use crate::state::State;
use crate::terminal::{Paint, word};
use mutants::{MUTANTS, Mutant};
use reference::Reference;
use service::FeedMode;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The middle of a step, so that codes of the steps around it are good; the clock moves only when somebody waits.
const START: u64 = 1_800_000_000 + 15;

/// The reference lists an end at once, so only its mutants are waited for.
const FEED_MILLISECONDS: u64 = 60;

/// Faults that no case is about: they are for trying the command itself.
const BY_HAND: &[&str] =
    &["echoes", "hang-on-revoke-garbage", "hang-on-revoke", "hang-on-long", "503-on-revoke", "503-on-delete"];

/// Nobody listens to the run of a mutant.
struct Silence;

impl Audience for Silence {
    fn progress(&self, _: usize, _: usize, _: &str) {}
    fn say(&self, _: &str) {}
}

/// One run against the reference, or against a mutant of it.
async fn one(fault: Option<&'static str>, feed: FeedMode, choice: &Choice) -> Result<Finished, String> {
    let failed = |what: &str| format!("the selftest can't start: {what}");
    let (records, file) = people::make().ok_or_else(|| failed("no randomness"))?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(|e| failed(&format!("no port on loopback ({e})")))?;
    let port = listener.local_addr().map_err(|e| failed(&e.to_string()))?.port();
    let base_url = format!("http://127.0.0.1:{port}/v1");
    let clock = Clock::starting_at(START);
    let reference = Reference::new(records, base_url.clone(), clock.clone(), fault, feed)
        .ok_or_else(|| failed("no signing key"))?;
    let server = tokio::spawn(wire::serve(listener, Arc::new(Mutex::new(reference))));
    let vault = Rc::new(Vault::default());
    let base = Profile::load(&choice.profile)?;
    let limits =
        Limits { burst_requests: 200, burst_concurrency: 8, feed_milliseconds: FEED_MILLISECONDS, ..Limits::default() };
    let settings = Settings {
        base_url,
        identities: Identities::parse(&file, "the selftest's identities", |_| None, &vault)?,
        profile: Profile { limits, ..base },
        allowed: BTreeSet::from(["mint", "revoke", "provision", "burst"]),
        cases: choice.cases.clone(),
        skip: choice.skip.clone(),
        jobs: 8,
        // Only the mutants that never answer wait this long.
        timeout: Duration::from_millis(if matches!(fault, Some("hang" | "hang-on-short" | "slow-trickle")) {
            300
        } else {
            5000
        }),
        window: Duration::from_millis(200),
        poll: Duration::from_millis(5),
        known_failures: BTreeMap::new(),
        trace: false,
        clock,
        state: State::in_memory(),
        interrupt: Interrupt::never(),
    };
    let finished = run::run(settings, vault, Rc::new(Silence)).await;
    server.abort();
    finished
}

/// What a conformant deployment would be sent, apart from the bursts, whose length is its own.
pub async fn rehearse(choice: &Choice) -> Result<Finished, String> {
    let mut choice = choice.clone();
    choice.skip.push("*.429.burst".to_owned());
    one(None, FeedMode::Public, &choice).await
}

fn block_on<T>(future: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("the runtime can't start ({e})"))?
        .block_on(future)
}

fn whole() -> Choice {
    Choice { profile: "service".to_owned(), ..Choice::default() }
}

fn feed_alone() -> Choice {
    Choice { cases: vec!["feed.*".to_owned()], ..whole() }
}

/// The cases that a mutant is held against: a fault of the feed is none of a token's.
fn about(mutant: &Mutant) -> Choice {
    match cases::find(mutant.killer).map(|case| case.level) {
        Some(Level::Service) => feed_alone(),
        _ => Choice { profile: "contract".to_owned(), ..Choice::default() },
    }
}

/// All the mutants' reports, made on as many threads as there are processors.
fn all_mutants(chosen: &[&'static Mutant]) -> Result<Vec<(&'static Mutant, Report)>, String> {
    let queue = Mutex::new(chosen.to_vec());
    let done = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(mutant) = queue.lock().ok().and_then(|mut q| q.pop()) {
                    match (block_on(one(Some(mutant.name), mutant.feed, &about(mutant))), done.lock(), failure.lock()) {
                        (Ok(finished), Ok(mut done), _) => done.push((mutant, finished.report)),
                        (Err(why), _, Ok(mut failure)) => *failure = Some(why),
                        _ => {}
                    }
                }
            });
        }
    });
    if let Ok(Some(why)) = failure.into_inner() {
        return Err(why);
    }
    let mut all = done.into_inner().map_err(|_| "a thread of the selftest failed".to_owned())?;
    all.sort_by_key(|(mutant, _)| MUTANTS.iter().position(|m| m.name == mutant.name));
    Ok(all)
}

/// The reference passes everything that applies to it.
fn is_as_it_should_be(case: &CaseResult, feed: FeedMode) -> bool {
    match (feed, case.outcome) {
        (_, Outcome::Pass) => true,
        (FeedMode::Public, Outcome::NotApplicable) => case.id.starts_with("feed.401."),
        _ => false,
    }
}

/// The exit code: 0 when every promise of the harness about itself holds, else 1.
pub fn run(only: &[String], paint: Paint) -> Result<u8, String> {
    let started = Instant::now();
    let mut out = String::new();
    let mut broken = Vec::new();
    let chosen: Vec<_> =
        MUTANTS.iter().filter(|m| only.is_empty() || only.iter().any(|g| crate::glob::matches(g, m.name))).collect();
    if chosen.is_empty() {
        return Err("no mutant matches --mutant".to_owned());
    }

    for (feed, choice) in [(FeedMode::Public, whole()), (FeedMode::Private, feed_alone())] {
        let reference = block_on(one(None, feed, &choice))?.report;
        for case in reference.cases.iter().filter(|c| !is_as_it_should_be(c, feed)) {
            broken.push(format!(
                "the reference does not pass {}: {} ({})",
                case.id,
                word(case.outcome),
                case.reason.as_deref().unwrap_or_default()
            ));
        }
        if !reference.cleanup.left.is_empty() {
            broken.push(format!("something was left behind on the reference: {:?}", reference.cleanup.left));
        }
    }

    let mut kills: BTreeMap<String, u32> = BTreeMap::new();
    let width = chosen.iter().map(|m| m.name.len()).max().unwrap_or(0);
    for (mutant, report) in all_mutants(&chosen)? {
        let by: Vec<_> = report
            .cases
            .iter()
            .filter(|c| c.outcome == Outcome::Fail || (c.outcome == Outcome::Error && c.id == mutant.killer))
            .map(|c| c.id.as_str())
            .collect();
        by.iter().for_each(|id| *kills.entry((*id).to_owned()).or_default() += 1);
        let named = by.contains(&mutant.killer) && report.exit_code != 0;
        if !named {
            broken.push(format!("{} was not killed by {}, but by {by:?}", mutant.name, mutant.killer));
        }
        let others: Vec<_> = by.iter().filter(|id| **id != mutant.killer).take(4).copied().collect();
        let more = by.len().saturating_sub(others.len() + usize::from(named));
        let mut line = format!(
            "{:width$}  {}",
            mutant.name,
            if named { paint.good(mutant.killer) } else { paint.bad("survived") }
        );
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
            broken.push(format!("{} kills no mutant: it may pass whatever the server does", case.id));
        }
    }
    for line in &broken {
        out += &format!("{} {line}\n", paint.bad("BROKEN"));
    }
    out += &format!(
        "{} cases, {} mutants, {} in {:.1} s\n",
        cases::all().count(),
        chosen.len(),
        if broken.is_empty() {
            paint.good("all promises kept")
        } else {
            paint.bad(&format!("{} broken", broken.len()))
        },
        started.elapsed().as_secs_f64()
    );
    let _ = std::io::stdout().write_all(out.as_bytes());
    Ok(u8::from(!broken.is_empty()))
}

/// The reference, or a mutant of it, for trying the command by hand.
pub async fn serve(port: u16, file: &Path, fault: Option<&str>) -> Result<u8, String> {
    let mutant = MUTANTS.iter().find(|m| Some(m.name) == fault);
    let fault = match fault {
        None => None,
        Some(name) => {
            let known = mutant.map(|m| m.name).or(BY_HAND.iter().copied().find(|known| *known == name));
            Some(known.ok_or_else(|| format!("there is no mutant \"{name}\""))?)
        }
    };
    let feed = mutant.map_or(FeedMode::Public, |m| m.feed);
    let (records, text) = people::make().ok_or("no randomness")?;
    std::fs::write(file, text).map_err(|e| format!("{} can't be written ({})", file.display(), e.kind()))?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|e| format!("port {port} can't be used ({e})"))?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    let base_url = format!("http://127.0.0.1:{port}/v1");
    println!("{base_url}");
    let reference = Reference::new(records, base_url, Clock::System, fault, feed).ok_or("no signing key")?;
    wire::serve(listener, Arc::new(Mutex::new(reference))).await;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_case_exists() {
        for mutant in MUTANTS {
            assert!(cases::find(mutant.killer).is_some(), "{}: no case {}", mutant.name, mutant.killer);
        }
    }

    #[test]
    fn the_reference_passes_everything_and_keeps_nothing() {
        for (feed, choice) in [(FeedMode::Public, whole()), (FeedMode::Private, feed_alone())] {
            let report = block_on(one(None, feed, &choice)).unwrap().report;
            let odd: Vec<_> =
                report.cases.iter().filter(|c| !is_as_it_should_be(c, feed)).map(|c| (&c.id, &c.reason)).collect();
            assert!(odd.is_empty(), "{odd:?}");
            assert_eq!((report.exit_code, report.cleanup.left.len()), (0, 0));
            assert_eq!(report.cleanup.minted, report.cleanup.revoked);
        }
    }

    #[test]
    fn what_serves_no_feed_and_names_none_owes_none() {
        let report = block_on(one(None, FeedMode::Off, &feed_alone())).unwrap().report;
        let feed: Vec<_> = report.cases.iter().filter(|c| c.id.starts_with("feed.")).collect();
        assert!(!feed.is_empty() && feed.iter().all(|c| c.outcome == Outcome::NotApplicable), "{feed:?}");
        assert_eq!(report.exit_code, 0);
    }
}
