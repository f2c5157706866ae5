//! `simulate`: runs seeds on all cores, and shows the first one that breaks a promise, shrunk, as text.

#![allow(clippy::disallowed_methods, reason = "the run is timed")]

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use sim::history::{Violation, tell};
use sim::mutants;
use sim::plan::{Plan, START};
use sim::shrink::shrink;
use sim::sim::Sim;

/// Simulates the service under lag, crashes, lost calls and clocks that differ, and checks that its promises hold.
///
/// Exit code: 0 if every promise held, 1 if one was broken.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 5_000)]
    seeds: u64,
    /// Approximate number of events per seed.
    #[arg(long, default_value_t = 2_000)]
    steps: u64,
    /// The first seed; the others follow it. Random if left out.
    #[arg(long)]
    from: Option<u64>,
    /// Run only this seed, and show everything that happens.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Stop after this many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Show a broken promise and its seed, without the history.
    #[arg(long)]
    brief: bool,
    /// Inject the faults whose names contain this text into the code, and check that each is found.
    #[arg(long, value_name = "TEXT", num_args = 0..=1, default_missing_value = "", conflicts_with = "seed")]
    mutants: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(only) = &arguments.mutants {
        return prove(only, arguments.seconds.unwrap_or(600));
    }
    match arguments.seed {
        Some(seed) => replay(seed, arguments.steps),
        None => search(&arguments),
    }
}

fn prove(only: &str, seconds: u64) -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match mutants::prove(&root, only, seconds) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}

/// Runs one seed, and shows its history.
fn replay(seed: u64, steps: u64) -> ExitCode {
    let plan = Plan::of(seed, steps);
    let outcome = Sim::run(&plan);
    if outcome.violation.is_none() {
        println!("{}", tell(&outcome.history, START));
        println!("Seed {seed}, {} events: every promise held.", outcome.steps);
        return ExitCode::SUCCESS;
    }
    show(&plan, outcome, steps);
    ExitCode::FAILURE
}

fn show(plan: &Plan, outcome: sim::sim::Outcome, steps: u64) {
    let items = plan.items.len();
    let (shrunk, outcome) = shrink(plan, outcome);
    let Some(violation) = &outcome.violation else { return };
    println!("\nBROKEN: {}", violation.promise);
    println!("  {}, {:.3} s after the start\n", violation.instead, violation.at.saturating_sub(START) as f64 / 1000.0);
    println!(
        "Seed {}: {} of {items} items of the plan are enough to break the promise. Retired tokens work for {} s; clocks differ by up to {} ms.\n",
        plan.seed,
        shrunk.items.len(),
        plan.grace,
        2 * plan.skew
    );
    let until = outcome.history.iter().filter(|entry| entry.at <= violation.at).cloned().collect::<Vec<_>>();
    println!("{}", tell(&until, START));
    println!("To repeat: make simulate SEED={} STEPS={steps}", plan.seed);
}

struct Progress {
    next: AtomicU64,
    steps: AtomicU64,
    done: AtomicU64,
    is_over: AtomicBool,
    broken: Mutex<Option<(u64, Violation)>>,
}

fn search(arguments: &Arguments) -> ExitCode {
    let from = arguments.from.unwrap_or_else(|| RandomState::new().build_hasher().finish() >> 24);
    let until = from + arguments.seeds;
    println!("Simulation: {} seeds from {from}, {} events each", arguments.seeds, arguments.steps);
    let progress = Progress {
        next: AtomicU64::new(from),
        steps: AtomicU64::default(),
        done: AtomicU64::default(),
        is_over: AtomicBool::default(),
        broken: Mutex::default(),
    };
    let began = Instant::now();
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(|| work(&progress, until, arguments.steps))).collect();
        let (mut told, every) = (Instant::now(), if std::io::stderr().is_terminal() { 1 } else { 60 });
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(50));
            if arguments.seconds.is_some_and(|seconds| began.elapsed() >= Duration::from_secs(seconds)) {
                progress.is_over.store(true, Ordering::Relaxed);
            }
            if told.elapsed() >= Duration::from_secs(every) {
                told = Instant::now();
                tell_progress(&progress, arguments.seeds, began.elapsed());
            }
        }
    });
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    let broken = progress.broken.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (steps, done) = (progress.steps.into_inner(), progress.done.into_inner());
    println!("{done} seeds, {steps} events, {:.1} s", began.elapsed().as_secs_f64());
    match broken {
        None => {
            println!("Every promise held.");
            ExitCode::SUCCESS
        }
        Some((seed, violation)) if arguments.brief => {
            println!("BROKEN by seed {seed}: {} ({})", violation.promise, violation.instead);
            ExitCode::FAILURE
        }
        Some((seed, _)) => {
            println!("Seed {seed} breaks a promise; shrinking it …");
            replay(seed, arguments.steps)
        }
    }
}

fn tell_progress(progress: &Progress, seeds: u64, elapsed: Duration) {
    let (steps, done) = (progress.steps.load(Ordering::Relaxed), progress.done.load(Ordering::Relaxed));
    let line = format!("{done} of {seeds} seeds, {} events a second", steps / elapsed.as_secs().max(1));
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{line}");
    } else {
        eprintln!("{line}");
    }
}

fn work(progress: &Progress, until: u64, steps: u64) {
    while !progress.is_over.load(Ordering::Relaxed) {
        let seed = progress.next.fetch_add(1, Ordering::Relaxed);
        if seed >= until {
            return;
        }
        let outcome = std::panic::catch_unwind(|| Sim::run(&Plan::of(seed, steps)));
        let (steps, violation) = match outcome {
            Ok(outcome) => (outcome.steps, outcome.violation),
            Err(_) => (
                0,
                Some(Violation { promise: "The code does not panic", instead: "it panicked".to_owned(), at: START }),
            ),
        };
        progress.steps.fetch_add(steps, Ordering::Relaxed);
        progress.done.fetch_add(1, Ordering::Relaxed);
        if let Some(violation) = violation {
            progress.broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((seed, violation));
            progress.is_over.store(true, Ordering::Relaxed);
        }
    }
}
