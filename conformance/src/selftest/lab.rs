//! Runs the harness against the reference server or a mutant of it.

use super::people;
use super::reference::long::GRACE;
use super::reference::state::Reference;
use super::wire;
use crate::case::{Case, FeedMode, Mutant};
use crate::cases;
use crate::choice::Choice;
use crate::clock::Clock;
use crate::exit::Exit;
use crate::http::Way;
use crate::identities::Identities;
use crate::interrupt::Interrupt;
use crate::mask::Vault;
use crate::profile::Limits;
use crate::run::{Audience, Setup};
use crate::schedule::{self, Finished, Settings};
use crate::state::State;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The middle of a TOTP step, so that codes of the neighbouring steps are valid. The clock moves only when a task waits.
const START: u64 = 1_800_000_000 + 15;

/// How long cases wait for a revocation in the feed. The reference server lists it at once, so only mutants use this time
/// up.
const FEED_MILLISECONDS: u64 = 60;

/// Faults for tests of the command itself. No case tests for them.
const BY_HAND: &[&str] = &[
    "busy",
    "busy-on-revoke",
    "busy-for-good",
    "busy-with-assertions",
    "counts-polls",
    "low-limit",
    "often-busy",
    "falls-silent",
    "502-half-way",
    "echoes",
    "hang-on-revoke-garbage",
    "hang-on-revoke",
    "hang-on-long",
    "503-on-revoke",
    "503-on-delete",
];

/// Ignores the progress of a run.
struct Silence;

impl Audience for Silence {
    fn progress(&self, _: usize, _: usize, _: &str) {}
    fn say(&self, _: &str) {}
}

/// Every mutant, with the case that must kill it.
pub fn mutants() -> impl Iterator<Item = (&'static Case, &'static Mutant)> {
    cases::all().flat_map(|case| case.mutants.iter().map(move |mutant| (case, mutant)))
}

/// One run against the reference server or a mutant of it.
pub async fn one(fault: Option<&'static str>, feed: FeedMode, mut choice: Choice) -> Result<Finished, String> {
    let failed = |what: &str| format!("the selftest can't start: {what}");
    let (records, file) =
        people::make().ok_or_else(|| failed("the operating system's random number generator failed"))?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(|e| failed(&format!("no port on loopback ({e})")))?;
    let port = listener.local_addr().map_err(|e| failed(&e.to_string()))?.port();
    let base_url = format!("http://127.0.0.1:{port}/v1");
    let clock = Clock::starting_at(START);
    let reference = Reference::new(records, base_url.clone(), clock.clone(), fault, feed)
        .ok_or_else(|| failed("no signing key could be made"))?;
    let server = tokio::spawn(wire::serve(listener, Arc::new(Mutex::new(reference))));
    let vault = Rc::new(Vault::default());
    choice.profile.limits = Limits {
        burst_requests: 200,
        burst_concurrency: 8,
        feed_milliseconds: FEED_MILLISECONDS,
        retry_seconds: 120,
        rotation_grace_seconds: Some(GRACE),
        ..Limits::default()
    };
    // The time limit is short because of the mutants that never answer.
    let never_answers = matches!(fault, Some("hang" | "hang-on-short" | "slow-trickle"));
    let settings = Settings {
        choice,
        allowed: BTreeSet::from(["mint", "revoke", "provision", "burst"]),
        jobs: 8,
        fail_fast: false,
        known_failures: BTreeMap::new(),
        setup: Setup {
            base_url,
            way: Way::default(),
            identities: Identities::parse(&file, "the selftest's identities", |_| None, &vault)?,
            timeout: Duration::from_millis(if never_answers { 300 } else { 5000 }),
            window: Duration::from_millis(200),
            poll: Duration::from_millis(5),
            trace: false,
            clock,
            state: State::in_memory(),
            interrupt: Interrupt::never(),
            vault,
            audience: Rc::new(Silence),
        },
    };
    let finished = schedule::run(settings).await;
    server.abort();
    finished
}

/// A run without the bursts, whose length depends on the deployment: the requests that `plan` counts.
pub async fn rehearse(choice: &Choice) -> Result<Finished, String> {
    one(None, FeedMode::Public, choice.without("*.429.burst")?).await
}

/// A run against the reference server without a fault.
pub async fn against_reference(feed: FeedMode, choice: Choice) -> Result<Finished, String> {
    one(None, feed, choice).await
}

/// Serves the reference server or a mutant of it, to try the command by hand.
pub async fn serve(port: u16, file: &Path, fault: Option<&str>) -> Result<Exit, String> {
    let by_hand = BY_HAND.iter().copied().find(|name| Some(*name) == fault);
    let mutant = mutants().map(|(_, mutant)| mutant).find(|mutant| Some(mutant.name) == fault);
    let known = mutant.map(|mutant| mutant.name).or(by_hand);
    if let (Some(name), None) = (fault, known) {
        return Err(format!("unknown mutant \"{name}\"; `conformance selftest` lists them"));
    }
    let feed = mutant.map_or(FeedMode::Public, |mutant| mutant.feed);
    let (records, text) = people::make().ok_or("the operating system's random number generator failed")?;
    write_for_oneself(file, &text).map_err(|e| format!("{} can't be written ({})", file.display(), e.kind()))?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|e| format!("port {port} can't be used ({e}); give another --serve PORT"))?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    let base_url = format!("http://127.0.0.1:{port}/v1");
    println!("{base_url}");
    let reference =
        Reference::new(records, base_url, Clock::system(), known, feed).ok_or("no signing key could be made")?;
    wire::serve(listener, Arc::new(Mutex::new(reference))).await;
    Ok(Exit::Good)
}

/// Readable only by the owner: identities are secrets.
fn write_for_oneself(file: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    std::io::Write::write_all(&mut options.open(file)?, text.as_bytes())
}
