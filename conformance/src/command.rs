//! Runs each command.

use crate::case::Case;
use crate::choice::Choice;
use crate::cli::{Chosen, Cli, Color, Command, LagArgs, PlanArgs, Reach, ReplayArgs, RunArgs};
use crate::clock::Clock;
use crate::exit::Exit;
use crate::http::Way;
use crate::identities::Identities;
use crate::interrupt::Interrupt;
use crate::mask::Vault;
use crate::matrix::Effect;
use crate::profile::Profile;
use crate::result::{Outcome, Report};
use crate::run::{Audience, Setup};
use crate::schedule::{self, Settings};
use crate::state::State;
use crate::terminal::{self, Console, Paint};
use crate::{cases, explain, glob, groups, http, identities, lag, own, report, selftest};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// The exit code; an error is a fault in the command line or the configuration.
pub fn execute(cli: Cli) -> Result<Exit, String> {
    let reports = match &cli.command {
        Command::Run(args) => &args.reach.report,
        Command::Replay(args) => &args.run.reach.report,
        Command::Lag(args) => &args.reach.report,
        _ => &Vec::new(),
    };
    let to_stderr = is_piped(reports);
    let terminal = if to_stderr { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
    let paint = Paint(match cli.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
    });
    match cli.command {
        Command::Run(args) => {
            let finished = run_cases(*args, paint)?;
            Ok(finished.verdict.into())
        }
        Command::Replay(args) => replay(*args, paint),
        Command::Lag(args) => measure(args, paint),
        Command::List(chosen) => list(chosen, paint),
        Command::Plan(args) => plan(args),
        Command::Explain { id, own } => explain(&id, own.as_deref(), paint),
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

/// Runs the cases, writes the reports and shows the summary.
fn run_cases(args: RunArgs, paint: Paint) -> Result<Report, String> {
    let reports = args.reach.report.clone();
    let choice = choose(args.choice)?;
    let known_failures = args.known_failures.as_deref().map_or_else(|| Ok(BTreeMap::new()), known_failures)?;
    let reached = reach(args.reach, paint)?;
    let settings = Settings {
        choice,
        allowed: reached.allowed,
        jobs: usize::from(args.jobs),
        fail_fast: args.fail_fast,
        known_failures,
        setup: reached.setup,
    };
    let finished = runtime()?.block_on(schedule::run(settings))?;
    reached.interrupt.over();
    reached.console.clear();
    tell(finished.report, &reports, paint)
}

/// What `run` and `lag` need to reach the deployment.
struct Reached {
    setup: Setup,
    allowed: BTreeSet<&'static str>,
    interrupt: Interrupt,
    console: Rc<Console>,
}

fn reach(args: Reach, paint: Paint) -> Result<Reached, String> {
    report::check_paths(&args.report)?;
    let base_url =
        args.base_url.ok_or("--base-url is missing: give the deployment's URL, such as https://auth.example.com/v1")?;
    // Before anything is minted.
    let interrupt = Interrupt::listen()?;
    let vault = Rc::new(Vault::default());
    let base_url = http::check_base(&base_url)?;
    let loopback = http::is_loopback(&base_url);
    let mut allowed: BTreeSet<_> = args.allow.iter().map(|a| a.name()).collect();
    if loopback {
        allowed.extend(["mint", "revoke", "provision", "burst"]);
    }
    let console = Rc::new(Console::new(paint));
    if let Some(warning) = args.identities.as_deref().and_then(identities::exposed) {
        console.say(&warning);
    }
    let setup = Setup {
        base_url,
        way: way(&args.header, args.cacert.as_deref(), &vault)?,
        identities: Identities::load(args.identities.as_deref(), &vault)?,
        timeout: args.timeout,
        window: args.consistency_window.unwrap_or(Duration::from_secs(if loopback { 5 } else { 90 })),
        poll: Duration::from_millis(if loopback { 50 } else { 1000 }),
        trace: args.trace,
        clock: Clock::system(),
        state: State::load(),
        interrupt: interrupt.clone(),
        vault,
        audience: console.clone(),
    };
    Ok(Reached { setup, allowed, interrupt, console })
}

fn is_piped(reports: &[report::Request]) -> bool {
    reports.iter().any(|wanted| wanted.path.as_os_str() == "-")
}

/// Shows the summary, and writes the reports.
fn tell(report: Report, reports: &[report::Request], paint: Paint) -> Result<Report, String> {
    let summary = terminal::summary(&report, paint);
    if is_piped(reports) {
        // Standard output carries the report alone.
        let _ = std::io::stderr().write_all(summary.as_bytes());
    } else {
        print(&summary);
    }
    let written: Vec<_> = reports.iter().map(|wanted| report::write(wanted.kind, &wanted.path, &report)).collect();
    written.into_iter().collect::<Result<(), _>>()?;
    Ok(report)
}

fn measure(args: LagArgs, paint: Paint) -> Result<Exit, String> {
    let reports = args.reach.report.clone();
    let reached = reach(args.reach, paint)?;
    if let Some(effect) = ["mint", "revoke"].into_iter().find(|effect| !reached.allowed.contains(effect)) {
        return Err(format!("lag {effect}s tokens, and the host is not loopback: give --allow mint,revoke"));
    }
    let report = runtime()?.block_on(lag::lag(reached.setup, args.tokens.into()))?;
    reached.interrupt.over();
    reached.console.clear();
    Ok(tell(report, &reports, paint)?.verdict.into())
}

/// Runs the failed cases of a report again, with new tokens.
fn replay(args: ReplayArgs, paint: Paint) -> Result<Exit, String> {
    let before = report::read(&args.report_before)?;
    let mut run = args.run;
    let wanted = |id: &str| run.choice.cases.is_empty() || run.choice.cases.iter().any(|glob| glob::matches(glob, id));
    let failed: Vec<_> =
        before.cases.iter().filter(|case| groups::is_failure(case.outcome) && wanted(&case.id)).collect();
    if failed.is_empty() {
        return Err(format!(
            "{}: nothing to replay: no case failed, or --case matches none that did",
            args.report_before.display()
        ));
    }
    run.choice.cases = failed.iter().map(|case| case.id.clone()).collect();
    run.choice.profile = match run.choice.profile.as_str() {
        "contract" => before.profile.clone(),
        other => other.to_owned(),
    };
    run.reach.base_url.get_or_insert_with(|| before.target.base_url.clone());
    let piped = is_piped(&run.reach.report);
    let after = run_cases(run, paint)?;
    let mut out = String::from("\n");
    for case in &failed {
        let now = after.cases.iter().find(|now| now.id == case.id);
        let told = now.map_or("not run", |now| match now.outcome {
            Outcome::Pass => "passes now",
            outcome if outcome == case.outcome && now.got == case.got => "fails as before",
            outcome if groups::is_failure(outcome) => "fails in another way",
            _ => "could not be judged",
        });
        out += &format!("{}: {}\n", case.id, told);
    }
    if piped {
        let _ = std::io::stderr().write_all(out.as_bytes());
    } else {
        print(&out);
    }
    Ok(after.verdict.into())
}

/// The headers and certificates of every request. A header's value is a secret, and so is each part of it, such as a
/// cookie's value or what follows a scheme.
fn way(headers: &[String], cacert: Option<&Path>, vault: &Vault) -> Result<Way, String> {
    let more = std::env::var("CONFORMANCE_HEADERS").unwrap_or_default();
    let lines = headers.iter().map(String::as_str).chain(more.lines().filter(|line| !line.trim().is_empty()));
    let headers = lines.map(http::check_header).collect::<Result<Vec<_>, _>>()?;
    for (name, value) in &headers {
        let name = format!("HEADER_{}", name.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
        vault.learn(&name, value);
        value.split([' ', ';', ',', '=']).filter(|part| part.len() >= 8).for_each(|part| vault.learn(&name, part));
    }
    let read = |path: &Path| {
        std::fs::read(path).map_err(|e| format!("--cacert {} can't be read ({})", path.display(), e.kind()))
    };
    Ok(Way { headers, roots: cacert.map(read).transpose()? })
}

fn known_failures(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| format!("--known-failures {} can't be read ({})", path.display(), e.kind()))?;
    parse_known_failures(&text).map_err(|problem| format!("--known-failures {}: {problem}", path.display()))
}

pub fn parse_known_failures(text: &str) -> Result<BTreeMap<String, String>, String> {
    let all: BTreeMap<String, String> =
        toml::from_str(text).map_err(|e| format!("{}; write \"case.id\" = \"part of the reason\"", e.message()))?;
    for (id, reason) in &all {
        if cases::find(id).is_none() {
            return Err(format!("no case has the id \"{id}\"; `conformance list --profile service` shows all cases"));
        }
        // An empty text is part of any reason.
        if reason.trim().is_empty() {
            return Err(format!("\"{id}\" needs a part of the reason that it fails for"));
        }
    }
    Ok(all)
}

fn choose(chosen: Chosen) -> Result<Choice, String> {
    chosen.own.as_deref().map_or(Ok(()), own::load)?;
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
    let mut out = format!("{} cases. Without the bursts, a run sends to a conformant deployment:\n", chosen.len());
    for (operation, count) in &finished.sent {
        out += &format!("  {count:5} requests to {operation}\n");
    }
    out += &format!("Tokens minted, all of which are revoked at the end: {}\n", finished.report.cleanup.minted);
    let provision = chosen.iter().filter(|c| c.effect == Effect::Provision).count();
    if provision > 0 {
        out += &format!("{provision} of the cases create clients, which are deleted at the end.\n");
    }
    let burst = chosen.iter().filter(|c| c.effect == Effect::Burst).count();
    if burst > 0 {
        out += &format!(
            "Each of the {burst} burst cases sends up to {} requests, {} at once, and stops at the first 429.\n",
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
            out += &format!("blocked: {} needs {}\n", case.id, needs.join(", "));
        }
    }
    print(&out);
    Ok(Exit::Good)
}

fn explain(id: &str, own: Option<&Path>, paint: Paint) -> Result<Exit, String> {
    own.map_or(Ok(()), own::load)?;
    let case = cases::find(id)
        .ok_or_else(|| format!("no case has the id \"{id}\"; `conformance list --profile service` shows all cases"))?;
    let profile = Profile::load(case.level.name())?;
    let choice = Choice::new(profile, vec![id.to_owned()], Vec::new())?;
    print(&runtime()?.block_on(explain::explain(case, choice, paint))?);
    Ok(Exit::Good)
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("the runtime can't start ({e})"))
}

/// A closed standard output, as with `head`, is not an error.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
