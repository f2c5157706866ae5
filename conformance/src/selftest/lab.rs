//! The reference server, or a mutant of it, with a run against it.

use super::people;
use super::reference::state::Reference;
use super::wire;
use crate::case::{Case, FeedMode, Mutant};
use crate::cases;
use crate::choice::Choice;
use crate::clock::Clock;
use crate::exit::Exit;
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

/// Every mutant, with the case that must find it.
pub fn mutants() -> impl Iterator<Item = (&'static Case, &'static Mutant)> {
    cases::all().flat_map(|case| case.mutants.iter().map(move |mutant| (case, mutant)))
}

/// One run against the reference, or against a mutant of it.
pub async fn one(fault: Option<&'static str>, feed: FeedMode, mut choice: Choice) -> Result<Finished, String> {
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
    choice.profile.limits =
        Limits { burst_requests: 200, burst_concurrency: 8, feed_milliseconds: FEED_MILLISECONDS, ..Limits::default() };
    // Only the mutants that never answer wait this long.
    let never_answers = matches!(fault, Some("hang" | "hang-on-short" | "slow-trickle"));
    let settings = Settings {
        choice,
        allowed: BTreeSet::from(["mint", "revoke", "provision", "burst"]),
        jobs: 8,
        known_failures: BTreeMap::new(),
        setup: Setup {
            base_url,
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

/// What a conformant deployment would be sent, apart from the bursts, whose length is its own.
pub async fn rehearse(choice: &Choice) -> Result<Finished, String> {
    one(None, FeedMode::Public, choice.without("*.429.burst")?).await
}

/// The reference, or a mutant of it, for trying the command by hand.
pub async fn serve(port: u16, file: &Path, fault: Option<&str>) -> Result<Exit, String> {
    let by_hand = BY_HAND.iter().copied().find(|name| Some(*name) == fault);
    let mutant = mutants().map(|(_, mutant)| mutant).find(|mutant| Some(mutant.name) == fault);
    let known = mutant.map(|mutant| mutant.name).or(by_hand);
    if let (Some(name), None) = (fault, known) {
        return Err(format!("there is no mutant \"{name}\""));
    }
    let feed = mutant.map_or(FeedMode::Public, |mutant| mutant.feed);
    let (records, text) = people::make().ok_or("no randomness")?;
    std::fs::write(file, text).map_err(|e| format!("{} can't be written ({})", file.display(), e.kind()))?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|e| format!("port {port} can't be used ({e})"))?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    let base_url = format!("http://127.0.0.1:{port}/v1");
    println!("{base_url}");
    let reference = Reference::new(records, base_url, Clock::System, known, feed).ok_or("no signing key")?;
    wire::serve(listener, Arc::new(Mutex::new(reference))).await;
    Ok(Exit::Good)
}
