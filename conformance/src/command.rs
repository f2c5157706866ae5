//! What each command does.

use crate::case::{Act, Case};
use crate::choice::Choice;
use crate::cli::{Chosen, Cli, Color, Command, PlanArgs, RunArgs};
use crate::clock::Clock;
use crate::exit::Exit;
use crate::identities::Identities;
use crate::interrupt::Interrupt;
use crate::mask::Vault;
use crate::matrix::Effect;
use crate::profile::Profile;
use crate::run::Setup;
use crate::schedule::{self, Settings};
use crate::state::State;
use crate::terminal::{self, Console, Paint};
use crate::{cases, http, report, selftest};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// How it ended, or what is wrong with the command line or the configuration.
pub fn execute(cli: Cli) -> Result<Exit, String> {
    let to_stderr = matches!(&cli.command, Command::Run(args) if args.report.iter().any(|r| r.path.as_os_str() == "-"));
    let terminal = if to_stderr { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
    let paint = Paint(match cli.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
    });
    match cli.command {
        Command::Run(args) => run_cases(*args, paint),
        Command::List(chosen) => list(chosen, paint),
        Command::Plan(args) => plan(args),
        Command::Explain { id } => explain(&id, paint),
        Command::Diff { before, after } => {
            let diff = report::diff(&report::read(&before)?, &report::read(&after)?);
            print(&diff.to_string());
            Ok(if diff.is_worse() { Exit::Failed } else { Exit::Good })
        }
        Command::Selftest { mutant, serve, identities, fault } => match (serve, identities) {
            (Some(port), Some(file)) => runtime()?.block_on(selftest::serve(port, &file, fault.as_deref())),
            _ => selftest::run(&mutant, paint),
        },
    }
}

fn run_cases(args: RunArgs, paint: Paint) -> Result<Exit, String> {
    let piped = args.report.iter().filter(|wanted| wanted.path.as_os_str() == "-").count();
    if piped > 1 {
        return Err("two reports can't both go to standard output: give a file for one, KIND=PATH".to_owned());
    }
    // From before anything is minted.
    let interrupt = Interrupt::listen()?;
    let vault = Rc::new(Vault::default());
    let base_url = http::check_base(&args.base_url)?;
    let loopback = http::is_loopback(&base_url);
    let mut allowed: BTreeSet<_> = args.allow.iter().map(|a| a.name()).collect();
    if loopback {
        allowed.extend(["mint", "revoke", "provision", "burst"]);
    }
    let console = Rc::new(Console::new(paint));
    let settings = Settings {
        choice: choose(args.choice)?,
        allowed,
        jobs: usize::from(args.jobs),
        known_failures: args.known_failures.as_deref().map_or_else(|| Ok(BTreeMap::new()), known_failures)?,
        setup: Setup {
            base_url,
            identities: Identities::load(args.identities.as_deref(), &vault)?,
            timeout: args.timeout,
            window: args.consistency_window.unwrap_or(Duration::from_secs(if loopback { 5 } else { 90 })),
            poll: Duration::from_millis(if loopback { 50 } else { 1000 }),
            trace: args.trace,
            clock: Clock::System,
            state: State::load(),
            interrupt: interrupt.clone(),
            vault,
            audience: console.clone(),
        },
    };
    let finished = runtime()?.block_on(schedule::run(settings))?;
    interrupt.over();
    console.clear();
    let summary = terminal::summary(&finished.report, paint);
    if piped > 0 {
        // Whoever reads the report from there reads nothing else.
        let _ = std::io::stderr().write_all(summary.as_bytes());
    } else {
        print(&summary);
    }
    let written: Vec<_> =
        args.report.iter().map(|wanted| report::write(wanted.kind, &wanted.path, &finished.report)).collect();
    written.into_iter().collect::<Result<(), _>>()?;
    Ok(finished.report.verdict.into())
}

fn known_failures(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| format!("--known-failures {} can't be read ({})", path.display(), e.kind()))?;
    parse_known_failures(&text).map_err(|problem| format!("--known-failures {}: {problem}", path.display()))
}

pub fn parse_known_failures(text: &str) -> Result<BTreeMap<String, String>, String> {
    let all: BTreeMap<String, String> =
        toml::from_str(text).map_err(|e| format!("{}; write: \"case.id\" = \"a piece of the reason\"", e.message()))?;
    for (id, reason) in &all {
        if cases::find(id).is_none() {
            return Err(format!("\"{id}\" is no case; `conformance list` shows them all"));
        }
        // It would be part of any reason.
        if reason.trim().is_empty() {
            return Err(format!("\"{id}\" needs a piece of the reason that it fails by"));
        }
    }
    Ok(all)
}

fn choose(chosen: Chosen) -> Result<Choice, String> {
    Choice::new(Profile::load(&chosen.profile)?, chosen.cases, chosen.skip)
}

fn list(chosen: Chosen, paint: Paint) -> Result<Exit, String> {
    let chosen = choose(chosen)?.rows;
    let width = chosen.iter().map(|case| case.id.len()).max().unwrap_or(0);
    let mut out = String::new();
    for case in &chosen {
        let cell = case.cell.to_string();
        out += &format!("{:width$}  {}  {}\n", case.id, paint.faint(&format!("{cell:24}")), case.requirement);
    }
    out += &format!("{} cases\n", chosen.len());
    print(&out);
    Ok(Exit::Good)
}

fn plan(args: PlanArgs) -> Result<Exit, String> {
    let choice = choose(args.choice)?;
    let (chosen, limits) = (&choice.rows, &choice.profile.limits);
    let finished = runtime()?.block_on(selftest::rehearse(&choice))?;
    let mut out = format!("{} cases. A conformant deployment would be sent, apart from the bursts:\n", chosen.len());
    for (operation, count) in &finished.sent {
        out += &format!("  {count:5} requests to {operation}\n");
    }
    out += &format!("and would mint {} tokens, all revoked at the end.\n", finished.report.cleanup.minted);
    let provision = chosen.iter().filter(|c| c.effect == Effect::Provision).count();
    if provision > 0 {
        out += &format!("Each of {provision} cases makes a client of its own, deleted at the end.\n");
    }
    let burst = chosen.iter().filter(|c| c.effect == Effect::Burst).count();
    if burst > 0 {
        out += &format!(
            "Each of {burst} burst cases sends up to {} requests, {} at once, and stops at the first 429.\n",
            limits.burst_requests, limits.burst_concurrency
        );
    }
    if let Some(file) = &args.identities {
        let identities = Identities::load(Some(file), &Vault::default())?;
        let lacking = |case: &&&Case| case.all_needs().iter().any(|(role, what)| !identities.has(*role, *what));
        for case in chosen.iter().filter(lacking) {
            let needs: Vec<_> = case
                .all_needs()
                .into_iter()
                .filter(|(role, what)| !identities.has(*role, *what))
                .map(|(role, what)| format!("{}.{}", role.name(), what.name()))
                .collect();
            out += &format!("blocked: {} for want of {}\n", case.id, needs.join(", "));
        }
    }
    print(&out);
    Ok(Exit::Good)
}

fn explain(id: &str, paint: Paint) -> Result<Exit, String> {
    let case =
        cases::find(id).ok_or_else(|| format!("there is no case \"{id}\"; `conformance list` shows them all"))?;
    let mut out = format!("{}\n{}\n\n", paint.strong(case.id), case.requirement);
    out += &format!("section  {}\n", case.section);
    out += &format!("cell     {}\nlevel    {}\neffect   {}\n", case.cell, case.level.name(), case.effect.name());
    if let Some(control) = case.control {
        out += &format!("control  {control} (unless it passed in the same run, this case is blocked)\n");
    }
    let needs: Vec<_> = case.all_needs().iter().map(|(r, c)| format!("{}.{}", r.name(), c.name())).collect();
    if !needs.is_empty() {
        out += &format!("needs    {}\n", needs.join(", "));
    }
    match &case.request {
        Act::Ask(base, changes) => {
            out += &format!("request  {base:?}\n");
            for change in *changes {
                out += &format!(
                    "  but    {}\n",
                    terminal::printable(&format!("{change:?}")).chars().take(200).collect::<String>()
                );
            }
            out += &format!("wanted   {}\n", case.expect);
            for check in case.also {
                out += &format!("  and    {check:?}\n");
            }
        }
        Act::Steps(_) => out += "request  several steps: see its function in conformance/src/cases\n",
        Act::EveryAnswer(_) => out += "judged   on every answer of the run\n",
    }
    print(&out);
    Ok(Exit::Good)
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("the runtime can't start ({e})"))
}

/// A reader that has gone away, as `head` does, is no error.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
