//! Measures the worker on workerd, beside a floor and a peer. `docs/performance.md` says how, and what the numbers mean.
//!
//! ```text
//! main          options, processes, the order of things
//!   scenario    what is sent, what must come back, what it may ask of storage
//!     credentials     keys, clients, tokens, codes, assertions
//!   workerd     a contender's process      kv    the storage behind all of them      load    the requests
//!   measure     rounds and medians
//!   table, picture    what is shown
//! ```

#![allow(clippy::disallowed_methods, reason = "time is what is measured here")]

mod credentials;
mod http;
mod kv;
mod load;
mod measure;
mod picture;
mod scenario;
mod table;
mod workerd;

use std::collections::HashMap;
use std::fs;
use std::io::{IsTerminal, Write, stderr};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use credentials::{Credentials, SINGLES};
use load::{Connection, Plan};
use measure::{Growth, Report, Round, Row, Spread, Start};
use scenario::{COLD_EXCHANGE, Checked, Contender, FORGOTTEN, SCENARIOS, Scenario, counts, each, fill};
use workerd::{Spec, Workerd, free_port, pinned};

/// The whole may not take longer, whatever happens.
const LONGEST: Duration = Duration::from_secs(900);
/// How many requests are under way at a time, when the rate is what is measured.
const CONNECTIONS: usize = 16;
/// By when an isolate has loaded its module, which takes some 20 ms.
const LOADED: Duration = Duration::from_millis(300);
/// Revocations and clients that nobody asks for, besides those that the requests need.
const GROWTH: [(u64, u64); 6] = [(10, 1), (10_000, 1), (1_000_000, 1), (10, 1), (10, 1_000), (10, 100_000)];

/// Measures the worker on workerd, beside a floor and a peer
#[derive(Parser)]
struct Options {
    /// Fewer and shorter rounds, to see whether a change helps
    #[arg(long)]
    quick: bool,
    /// Only what is named: scenarios, `start`, `growth`; separate with commas
    #[arg(value_delimiter = ',')]
    only: Vec<String>,
    /// Only count what each operation asks of storage, and compare with what is written down
    #[arg(long)]
    counts: bool,
    /// Serve as the KV service on this port
    #[arg(long, hide = true)]
    kv: Option<u16>,
}

/// How much of everything.
struct Effort {
    rounds: usize,
    discarded: usize,
    loaded: Duration,
    alone: Duration,
    /// Of requests that work once: under load, and alone.
    batch: (usize, usize),
    starts: usize,
}

impl Effort {
    const FULL: Self = Self {
        rounds: 5,
        discarded: 2,
        loaded: Duration::from_millis(1000),
        alone: Duration::from_millis(300),
        batch: (1500, 300),
        starts: 9,
    };
    const QUICK: Self = Self {
        rounds: 3,
        discarded: 1,
        loaded: Duration::from_millis(400),
        alone: Duration::from_millis(100),
        batch: (400, 100),
        starts: 3,
    };
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Into::into).and_then(|runtime| {
            match options.kv {
                Some(port) => runtime.block_on(kv::serve(port)),
                // What is dropped when this ends takes its processes with it.
                None => runtime.block_on(async {
                    tokio::select! {
                        done = run(&options) => done,
                        stop = stopped() => stop,
                        () = tokio::time::sleep(LONGEST) => bail!("this takes too long"),
                    }
                }),
            }
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn stopped() -> Result<()> {
    let (mut terminate, mut hangup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    bail!("stopped")
}

/// What all parts of a run need.
struct Bench {
    effort: Effort,
    root: PathBuf,
    scratch: Scratch,
    node: PathBuf,
    workerd: PathBuf,
    /// The contender's core, and that of everything else.
    cores: Option<(usize, usize)>,
    compatibility_date: String,
    credentials: Credentials,
    /// The exchanges of each contender by a client and token of its own each: made once, since they can be sent again.
    cold: HashMap<Contender, Rc<[Vec<u8>]>>,
    kv: SocketAddr,
    _kv_process: Child,
}

/// A folder that goes when this goes.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing can be done about a folder that stays.
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn run(options: &Options) -> Result<()> {
    let known = |name: &String| name == "start" || name == "growth" || SCENARIOS.iter().any(|s| s.name == name);
    if let Some(unknown) = options.only.iter().find(|name| !known(name)) {
        let names = SCENARIOS.map(|scenario| scenario.name).join(", ");
        bail!("{unknown} is nothing to measure; there are {names}, start, growth");
    }
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let scenarios: Vec<&Scenario> = SCENARIOS.iter().filter(|scenario| wanted(scenario.name)).collect();

    let mut bench = Bench::set_up(options).await?;
    bench.count(&scenarios).await?;
    if options.counts {
        progress("");
        println!("{} operations ask of storage what is written down, and nothing else.", scenarios.len());
        return Ok(());
    }
    let mut report = Report {
        unix_time: credentials::now()?,
        machine: machine(),
        workerd: version(&bench.workerd)?,
        pinned: bench.cores.is_some(),
        quick: options.quick,
        connections: CONNECTIONS,
        rounds: bench.effort.rounds,
        runtime: Vec::new(),
        start: Vec::new(),
        growth: Vec::new(),
    };
    let contenders = bench.contenders().await?;
    report.runtime = bench.rounds(&scenarios, &contenders).await?;
    if wanted("start") {
        report.start = bench.starts(&contenders).await?;
    }
    if wanted("growth") {
        report.growth = bench.growth(&contenders).await?;
    }
    drop(contenders);
    progress("");
    print!("{}", table::of(&report));
    let [json, svg] = ["results.json", "results.svg"].map(|name| bench.root.join("bench").join(name));
    if options.only.is_empty() {
        fs::write(&json, serde_json::to_string_pretty(&report)? + "\n")?;
        fs::write(&svg, picture::of(&report))?;
        println!("\nWritten to {} and {}.", json.display(), svg.display());
    }
    Ok(())
}

impl Bench {
    async fn set_up(options: &Options) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a crate without a workspace")?.to_owned();
        // In memory where that is possible: a disk's moods are not what is measured.
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let scratch = Scratch(folder.join(format!("auth-edge-bench-{}", std::process::id())));
        fs::create_dir_all(&scratch.0)?;
        let node = root.join("node_modules/.bin/node");
        let workerd = workerd_binary(&root, &node)?;
        let cores = cores();
        match cores {
            // The load and the KV service share the core that the contender leaves free.
            Some((_, rest)) => pin_self(rest)?,
            None => eprintln!("Not pinned to cores: that takes `taskset` and two of them. The numbers will vary more."),
        }
        let wrangler = fs::read_to_string(root.join("wrangler.toml"))?;
        let compatibility_date = wrangler
            .lines()
            .find_map(|line| line.strip_prefix("compatibility_date = \"")?.strip_suffix('"'))
            .context("wrangler.toml names no compatibility_date")?
            .to_owned();
        let credentials = Credentials::new(&node)?;
        let port = free_port()?;
        let kv = SocketAddr::from(([127, 0, 0, 1], port));
        let mut command = pinned(cores.map(|(_, rest)| rest), &std::env::current_exe()?);
        let kv_process = command.args(["--kv", &port.to_string()]).spawn().context("can't start the KV service")?;
        let effort = if options.quick { Effort::QUICK } else { Effort::FULL };
        let bench = Self {
            effort,
            root,
            scratch,
            node,
            workerd,
            cores,
            compatibility_date,
            credentials,
            cold: HashMap::new(),
            kv,
            _kv_process: kv_process,
        };
        let start = Instant::now();
        while Connection::open(kv).await.is_err() {
            ensure!(start.elapsed() < Duration::from_secs(5), "the KV service does not listen");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bench.fill_anew(0, 0).await?;
        Ok(bench)
    }

    async fn fill_anew(&self, revocations: u64, clients: u64) -> Result<()> {
        let mut pairs = self.credentials.clients()?;
        let client = pairs.first().map(|(_, record)| record.clone()).context("no clients")?;
        pairs.push(("floor".to_owned(), client.clone()));
        let revocation = format!(r#"{{"version":1,"ends_at":{}}}"#, credentials::now()?);
        fill(self.kv, &kv::Fill { pairs, anew: true, revocations, revocation, clients, client }).await
    }

    fn modules(&self, contender: Contender) -> Vec<PathBuf> {
        let paths: &[&str] = match contender {
            Contender::Floor => &["bench/contenders/floor.js"],
            Contender::Ours => &["build/entry.js", "build/index.js", "build/index_bg.wasm"],
            Contender::Peer => &["bench/build/peer.js"],
        };
        paths.iter().map(|path| self.root.join(path)).collect()
    }

    fn spawn(&self, contender: Contender, counting: bool) -> Result<Workerd> {
        let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let vars = [
            text("AUTH_KEYS", &self.credentials.auth_keys),
            text("ISSUER", credentials::ISSUER),
            text("AUDIENCE", credentials::AUDIENCE),
        ];
        let spec = Spec {
            modules: &self.modules(contender),
            vars: if contender == Contender::Floor { &[] } else { &vars },
            whole: contender == Contender::Ours,
            counting,
            compatibility_date: &self.compatibility_date,
        };
        Workerd::start(&self.workerd, self.cores.map(|(contender, _)| contender), &self.scratch.0, &spec, self.kv)
    }

    async fn contenders(&self) -> Result<Vec<(Contender, Workerd)>> {
        let mut contenders = Vec::new();
        for contender in Contender::ALL {
            let mut process = self.spawn(contender, false)?;
            process.connect().await.with_context(|| contender.name())?;
            contenders.push((contender, process));
        }
        Ok(contenders)
    }

    /// Has stand-ins report every call, for a few requests of each scenario, the first with nothing kept.
    async fn count(&mut self, scenarios: &[&Scenario]) -> Result<()> {
        const REQUESTS: usize = 20;
        progress("counting what each operation asks of storage");
        let mut ours = self.spawn(Contender::Ours, true)?;
        ours.connect().await?;
        for scenario in scenarios {
            let named = || format!("{}, counting", scenario.name);
            let once = scenario
                .prepare(&mut self.credentials, (Contender::Ours, ours.address), self.kv, REQUESTS)
                .await
                .with_context(named)?;
            let requests: Vec<_> = once.iter().cycle().take(REQUESTS).cloned().collect();
            tokio::time::sleep(FORGOTTEN).await;
            let (first, more) = requests.split_at(1);
            for (requests, checked) in [(first, Checked::First), (more, Checked::Counted)] {
                counts(self.kv).await?;
                let plan = each(requests, 1, scenario.status);
                let outcome = load::run(ours.address, plan).await.with_context(named)?;
                let counts = counts(self.kv).await?;
                scenario.check(Contender::Ours, outcome.requests, counts, checked).with_context(named)?;
            }
        }
        Ok(())
    }

    async fn rounds(&mut self, scenarios: &[&Scenario], contenders: &[(Contender, Workerd)]) -> Result<Vec<Row>> {
        let lines = scenarios.iter().flat_map(|scenario| {
            let takes_part = |(contender, _): &&(Contender, Workerd)| scenario.contenders.contains(contender);
            contenders.iter().filter(takes_part).map(move |(contender, process)| (*scenario, *contender, process))
        });
        let lines: Vec<_> = lines.collect();
        let mut found = vec![Vec::new(); lines.len()];
        let all = self.effort.discarded + self.effort.rounds;
        for round in 0..all {
            for ((scenario, contender, process), found) in lines.iter().zip(&mut found) {
                let (name, who) = (scenario.name, contender.name());
                progress(&format!("round {} of {all}: {name}, {who}", round + 1));
                let one = self.round(scenario, *contender, process).await;
                let one = one.with_context(|| format!("{name}, {who}"))?;
                if round >= self.effort.discarded {
                    found.push(one);
                }
            }
        }
        lines.iter().zip(&found).map(|((scenario, contender, _), rounds)| row(scenario, *contender, rounds)).collect()
    }

    async fn requests(&mut self, scenario: &Scenario, to: (Contender, SocketAddr)) -> Result<Rc<[Vec<u8>]>> {
        let (loaded, alone) = self.effort.batch;
        if !scenario.is_cold() {
            return Ok(scenario.prepare(&mut self.credentials, to, self.kv, loaded + alone).await?.into());
        }
        let requests = match self.cold.get(&to.0) {
            Some(requests) => Rc::clone(requests),
            None => scenario.prepare(&mut self.credentials, to, self.kv, SINGLES).await?.into(),
        };
        self.cold.insert(to.0, Rc::clone(&requests));
        tokio::time::sleep(FORGOTTEN).await;
        Ok(requests)
    }

    async fn round(&mut self, scenario: &Scenario, contender: Contender, process: &Workerd) -> Result<Round> {
        let requests = &*self.requests(scenario, (contender, process.address)).await?;
        let status = scenario.status;
        let (loaded, alone) = if scenario.repeats() {
            // Under load and alone it is not the same clients, so that neither finds what the other left.
            let (first, second) =
                if scenario.is_cold() { requests.split_at(requests.len() / 2) } else { (requests, requests) };
            let during = |requests, during, connections| Plan { requests, during: Some(during), connections, status };
            (during(first, self.effort.loaded, CONNECTIONS), during(second, self.effort.alone, 1))
        } else {
            let (first, second) = requests.split_at(self.effort.batch.0.min(requests.len()));
            (each(first, CONNECTIONS, status), each(second, 1, status))
        };
        if let Some(during) = alone.during {
            // What the scenario before left to the collector is not this one's.
            let settling = Plan { requests: alone.requests, during: Some(during), connections: CONNECTIONS, status };
            load::run(process.address, settling).await?;
        }
        counts(self.kv).await?;
        let before = process.cpu();
        let loaded = load::run(process.address, loaded).await?;
        let cpu = process.cpu().zip(before).map(|(after, before)| after.saturating_sub(before));
        let alone = load::run(process.address, alone).await?;
        let counts = counts(self.kv).await?;
        scenario.check(contender, loaded.requests + alone.requests, counts, Checked::Timed)?;
        Ok(Round::of(&loaded, cpu, &alone, counts.client_reads + counts.revocation_reads))
    }

    async fn starts(&self, contenders: &[(Contender, Workerd)]) -> Result<Vec<Start>> {
        let mut found = vec![Vec::new(); contenders.len()];
        let mut memory = Vec::new();
        for nth in 0..self.effort.starts {
            for ((contender, running), found) in contenders.iter().zip(&mut found) {
                let who = contender.name();
                progress(&format!("start {} of {}: {who}", nth + 1, self.effort.starts));
                // Same keys, so a token of the one that runs is good for the one that starts.
                let request = scenario::one_exchange(&self.credentials, *contender, running.address).await?;
                let (_, listening, loading) = self.first(*contender, &request, Duration::ZERO).await?;
                let (process, _, loaded) = self.first(*contender, &request, LOADED).await?;
                found.push([listening + loading, loading, loaded]);
                if nth + 1 == self.effort.starts {
                    let (requests, during) = (&[request][..], Some(self.effort.loaded));
                    let plan = Plan { requests, during, connections: CONNECTIONS, status: 201 };
                    load::run(process.address, plan).await.with_context(|| who)?;
                    memory.push(process.peak_memory().map(|kib| kib as f64 / 1024.0));
                }
            }
        }
        let sizes = |contender: Contender, wasm: bool| {
            let modules = self.modules(contender);
            let of_kind = modules.into_iter().filter(|path| path.extension().is_some_and(|e| (e == "wasm") == wasm));
            of_kind
                .map(|path| Ok((fs::metadata(&path)?.len(), gzipped(&self.node, &path)?)))
                .try_fold((0, 0), |sum, size: Result<_>| size.map(|(plain, gzip)| (sum.0 + plain, sum.1 + gzip)))
        };
        contenders
            .iter()
            .zip(&found)
            .zip(memory)
            .map(|(((contender, _), found), peak_memory_mib)| {
                let spread = |nth: usize| {
                    Spread::of(found.iter().map(|times| times[nth].as_secs_f64() * 1e3)).context("no starts")
                };
                let ((script_bytes, script_gzip_bytes), (wasm_bytes, wasm_gzip_bytes)) =
                    (sizes(*contender, false)?, sizes(*contender, true)?);
                Ok(Start {
                    contender: contender.name(),
                    start_to_first_201_ms: spread(0)?,
                    load_to_first_201_ms: spread(1)?,
                    first_request_ms: spread(2)?,
                    script_bytes,
                    script_gzip_bytes,
                    wasm_bytes,
                    wasm_gzip_bytes,
                    peak_memory_mib,
                })
            })
            .collect()
    }

    /// Sends a new process its first request when it has listened for so long. Returns when it listened, and how long the
    /// answer took.
    async fn first(
        &self,
        contender: Contender,
        request: &[u8],
        pause: Duration,
    ) -> Result<(Workerd, Duration, Duration)> {
        let mut process = self.spawn(contender, false)?;
        let mut connection = process.connect().await?;
        let listening = process.started.elapsed();
        // A sleep of nothing would still last until the timer's next tick.
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let sent = Instant::now();
        let answer = connection.answer(request).await?;
        ensure!(answer.status == 201, "{}: the first request was answered {}", contender.name(), answer.status);
        Ok((process, listening, sent.elapsed()))
    }

    async fn growth(&mut self, contenders: &[(Contender, Workerd)]) -> Result<Vec<Growth>> {
        let (_, ours) = contenders.iter().find(|(contender, _)| *contender == Contender::Ours).context("no worker")?;
        let mut found = vec![Vec::new(); GROWTH.len()];
        for round in 0..self.effort.rounds {
            let of = self.effort.rounds;
            // Each round begins with another, so that none is always the one after the longest fill.
            for nth in 0..GROWTH.len() {
                let nth = (nth + round) % GROWTH.len();
                let (revocations, clients) = GROWTH[nth];
                progress(&format!("growth {} of {of}: {revocations} revocations, {clients} clients", round + 1));
                self.fill_anew(revocations, clients).await?;
                found[nth].push(self.round(&COLD_EXCHANGE, Contender::Ours, ours).await?);
            }
        }
        let growth = GROWTH.iter().zip(&found).map(|((revocations, clients), rounds)| {
            Ok(Growth {
                revocations: *revocations,
                clients: *clients,
                cpu_us_per_request: Spread::of(rounds.iter().filter_map(|round| round.cpu)),
                requests_per_second: Spread::of(rounds.iter().map(|round| round.per_second)).context("no rounds")?,
            })
        });
        let growth = growth.collect();
        self.fill_anew(0, 0).await?;
        growth
    }
}

fn row(scenario: &Scenario, contender: Contender, rounds: &[Round]) -> Result<Row> {
    let spread = |which: fn(&Round) -> f64| Spread::of(rounds.iter().map(which)).context("no rounds");
    let [_, _, kv_writes, object_calls, _] = scenario.costs(contender);
    Ok(Row {
        scenario: scenario.name,
        title: scenario.title,
        contender: contender.name(),
        rounds: rounds.len(),
        requests_per_second: spread(|round| round.per_second)?,
        cpu_us_per_request: Spread::of(rounds.iter().filter_map(|round| round.cpu)),
        cpu_us_by_round: rounds.iter().filter_map(|round| round.cpu).collect(),
        core_busy: Spread::of(rounds.iter().filter_map(|round| round.busy)),
        p50_ms: spread(|round| round.p50)?,
        p99_ms: spread(|round| round.p99)?,
        loaded_p99_ms: spread(|round| round.loaded_p99)?,
        kv_reads: spread(|round| round.reads)?,
        kv_writes,
        object_calls,
    })
}

/// On a terminal, one line that changes; else one line for each round.
fn progress(what: &str) {
    if stderr().is_terminal() {
        // A line that can't be shown is no reason to stop.
        let _ = write!(stderr(), "\r\x1b[K{what}");
    } else if what.ends_with("exchange, floor") || what.starts_with("counting") {
        let _ = writeln!(stderr(), "{what}");
    }
}

/// The binary that wrangler brings for this platform, as its own package finds it.
fn workerd_binary(root: &Path, node: &Path) -> Result<PathBuf> {
    let output = Command::new(node).args(["-p", "require('workerd').default"]).current_dir(root).output();
    let output = output.context("there is no node_modules; `make bench` installs it")?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    ensure!(path.is_file(), "no workerd: {}", String::from_utf8_lossy(&output.stderr));
    Ok(path)
}

fn version(workerd: &Path) -> Result<String> {
    let output = Command::new(workerd).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The last two cores that this process may use, if it can be kept to one of them.
fn cores() -> Option<(usize, usize)> {
    let taskset = Command::new("taskset").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    taskset.ok().filter(|status| status.success())?;
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cores = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some((cores.pop()?, cores.pop()?))
}

fn pin_self(core: usize) -> Result<()> {
    let (core, pid) = (core.to_string(), std::process::id().to_string());
    let output = Command::new("taskset").args(["-a", "-c", "-p", &core, &pid]).output()?;
    ensure!(output.status.success(), "can't be kept to core {core}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or(std::env::consts::ARCH, |(_, model)| model.trim());
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    if cores == 0 { model.to_owned() } else { format!("{model}, {cores} cores") }
}

fn gzipped(node: &Path, path: &Path) -> Result<u64> {
    let script = "process.stdout.write(`${require('zlib').gzipSync(require('fs').readFileSync(process.argv[1]), \
        { level: 9 }).length}`)";
    let output = Command::new(node).args(["-e", script]).arg(path).output().context("can't run node")?;
    String::from_utf8_lossy(&output.stdout).parse().with_context(|| format!("can't compress {}", path.display()))
}
