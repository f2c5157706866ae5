//! Measures the Worker on workerd, compared with a floor and a peer. `docs/performance.md` explains how, and what the
//! numbers mean.
//!
//! ```text
//! main          options, processes, the order of measurements
//!   scenario    the requests, the expected status, the allowed calls to storage
//!     clients         a contender's clients, created through the operators' API
//!     credentials     keys, tokens, requests
//!   workerd     a contender's process      kv    the storage behind all of them      load    the requests
//!   measure     rounds and medians
//!   table, picture    the output
//! ```

#![allow(clippy::disallowed_methods, reason = "time is what is measured here")]

mod clients;
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

use clients::{Clients, Operator};
use credentials::{Credentials, SINGLES};
use load::{Connection, Plan};
use measure::{AtOnce, Growth, Report, Round, Row, Spread, Start};
use scenario::{
    COLD_EXCHANGE, Checked, Contender, FORGOTTEN, IMMEDIATE_EXCHANGE, RESTED, SCENARIOS, SETTLED, Scenario, Target,
    counts, each, fill,
};
use workerd::{Spec, Workerd, free_port, pinned};

/// Timeout for the whole run.
const LONGEST: Duration = Duration::from_secs(1200);
/// How many concurrent requests, when the rate is measured.
const CONNECTIONS: usize = 16;
/// After this time an isolate has loaded its module, which takes some 20 ms.
const LOADED: Duration = Duration::from_millis(300);
/// The early ends of each client, and the number of idle clients.
const GROWTH: [(&Scenario, usize, usize); 8] = [
    (&COLD_EXCHANGE, 10, 1),
    (&COLD_EXCHANGE, 100, 1),
    (&COLD_EXCHANGE, 256, 1),
    (&COLD_EXCHANGE, 10, 1_000),
    (&COLD_EXCHANGE, 10, 10_000),
    (&COLD_EXCHANGE, 10, 100_000),
    (&IMMEDIATE_EXCHANGE, 10, 1),
    (&IMMEDIATE_EXCHANGE, 256, 1),
];
/// How many tokens of one client are revoked concurrently, within what time, with how many KV writes at most.
const AT_ONCE: (usize, Duration, u64) = (100, Duration::from_secs(5), 5);
/// How many requests of a scenario are counted.
const COUNTED: usize = 20;

/// Measures the Worker on workerd, beside a floor and a peer
#[derive(Parser)]
struct Options {
    /// Fewer and shorter rounds, to see whether a change helps
    #[arg(long)]
    quick: bool,
    /// Measure only these: scenarios, `start`, `growth`; separate with commas
    #[arg(value_delimiter = ',')]
    only: Vec<String>,
    /// Only count each operation's calls to storage, and compare them with the expected numbers
    #[arg(long)]
    counts: bool,
    /// Measure nothing; draw results.svg from results.json
    #[arg(long)]
    redraw: bool,
    /// Serve as the KV service on this port
    #[arg(long, hide = true)]
    kv: Option<u16>,
}

/// How much is measured.
struct Effort {
    rounds: usize,
    discarded: usize,
    loaded: Duration,
    alone: Duration,
    /// How many single-use requests: under load, and one at a time.
    batch: (usize, usize),
    starts: usize,
}

impl Effort {
    const FULL: Self = Self {
        rounds: 5,
        discarded: 2,
        loaded: Duration::from_millis(1000),
        alone: Duration::from_millis(300),
        batch: (768, 256),
        starts: 9,
    };
    const QUICK: Self = Self {
        rounds: 3,
        discarded: 1,
        loaded: Duration::from_millis(400),
        alone: Duration::from_millis(100),
        batch: (256, 64),
        starts: 3,
    };
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Into::into).and_then(|runtime| {
            match options.kv {
                Some(port) => runtime.block_on(kv::serve(port)),
                None if options.redraw => redraw(),
                // Dropping these stops their processes.
                None => runtime.block_on(async {
                    tokio::select! {
                        done = run(&options) => done,
                        stop = stopped() => stop,
                        () = tokio::time::sleep(LONGEST) => bail!("stopped after {} s, which is too long; is the machine busy?", LONGEST.as_secs()),
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

/// Draws the existing results.
fn redraw() -> Result<()> {
    let [json, svg] = results(Path::new(env!("CARGO_MANIFEST_DIR")));
    // The report borrows its names for 'static, so the text is leaked.
    let report: Report = serde_json::from_str(fs::read_to_string(&json)?.leak())?;
    Ok(fs::write(svg, picture::of(&report))?)
}

fn results(folder: &Path) -> [PathBuf; 2] {
    ["results.json", "results.svg"].map(|name| folder.join(name))
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

/// What all measurements share.
struct Bench {
    effort: Effort,
    root: PathBuf,
    scratch: Scratch,
    node: PathBuf,
    workerd: PathBuf,
    /// The contender's core, and the core for everything else.
    cores: Option<(usize, usize)>,
    compatibility_date: String,
    credentials: Credentials,
    /// Each contender's exchanges with a separate client and token each. They are prepared once, since they can be
    /// repeated.
    cold: HashMap<Contender, Rc<[Vec<u8>]>>,
    kv: SocketAddr,
    _kv_process: Child,
}

/// A running contender.
struct Running {
    who: Contender,
    process: Workerd,
    clients: Clients,
}

impl Running {
    fn target(&self) -> Target<'_> {
        Target { who: self.who, address: self.process.address, clients: &self.clients }
    }
}

/// A folder that is removed on drop.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing can be done if that fails.
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn run(options: &Options) -> Result<()> {
    let known = |name: &String| name == "start" || name == "growth" || SCENARIOS.iter().any(|s| s.name == name);
    if let Some(unknown) = options.only.iter().find(|name| !known(name)) {
        let names = SCENARIOS.map(|scenario| scenario.name).join(", ");
        bail!("there is no measurement {unknown}; choose from {names}, start, growth");
    }
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let scenarios: Vec<&Scenario> = SCENARIOS.iter().filter(|scenario| wanted(scenario.name)).collect();

    let mut bench = Bench::set_up(options).await?;
    let at_once = bench.count(&scenarios).await?;
    if options.counts {
        progress("");
        println!("{} operations make exactly the expected calls to storage.", scenarios.len());
        println!("{at_once}");
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
        at_once,
        runtime: Vec::new(),
        start: Vec::new(),
        growth: Vec::new(),
        aims: Vec::new(),
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
    report.judge();
    progress("");
    print!("{}", table::of(&report));
    let [json, svg] = results(&bench.root.join("bench"));
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
        // In memory if possible, so that the disk's speed does not matter.
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let scratch = Scratch(folder.join(format!("auth-edge-bench-{}", std::process::id())));
        fs::create_dir_all(&scratch.0)?;
        let node = root.join("node_modules/.bin/node");
        let workerd = workerd_binary(&root, &node)?;
        let cores = cores();
        match cores {
            // The load and the KV service share the other core.
            Some((_, rest)) => pin_self(rest)?,
            None => {
                eprintln!("Not pinned to cores, which requires `taskset` and two cores. The numbers will vary more.")
            }
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

    /// Fills KV with the values for the peer and the floor, and with replicas of clients without an object.
    async fn fill_anew(&self, ends: usize, further: usize) -> Result<()> {
        let names = |name: fn(usize) -> String| (0..SINGLES).map(name).collect();
        let groups = vec![
            (names(credentials::peer_single), self.credentials.peer_record()?),
            (names(credentials::single), credentials::replica(ends)?),
            ((0..further).map(|nth| format!("c2m_bench_further_{nth}")).collect(), credentials::replica(0)?),
            (vec!["floor".to_owned()], credentials::replica(0)?),
        ];
        fill(self.kv, &kv::Fill { anew: true, groups }).await
    }

    fn modules(&self, contender: Contender) -> Vec<PathBuf> {
        let paths: &[&str] = match contender {
            Contender::Floor => &["bench/contenders/floor.js"],
            Contender::Ours => &["build/index.js", "build/index_bg.wasm"],
            Contender::Peer => &["bench/build/peer.js"],
        };
        paths.iter().map(|path| self.root.join(path)).collect()
    }

    fn spawn(&self, who: Contender, counting: bool) -> Result<Workerd> {
        let spec = Spec {
            modules: &self.modules(who),
            vars: if who == Contender::Floor { &[] } else { &self.credentials.vars },
            namespaces: if who == Contender::Peer { &["CLIENTS", "REVOCATIONS"] } else { &["REVOCATIONS"] },
            whole: who == Contender::Ours,
            counting,
            compatibility_date: &self.compatibility_date,
        };
        Workerd::start(&self.workerd, self.cores.map(|(contender, _)| contender), &self.scratch.0, &spec, self.kv)
    }

    /// Starts a contender and creates its clients, `each` of them for requests that change their client.
    async fn running(&self, who: Contender, counting: bool, each: usize) -> Result<Running> {
        let mut process = self.spawn(who, counting)?;
        process.connect().await.with_context(|| who.name())?;
        let clients = match who {
            Contender::Floor => Clients::default(),
            Contender::Ours => Clients::make(process.address, self.kv, &self.credentials, each).await?,
            Contender::Peer => Clients::of_peer(&self.credentials),
        };
        Ok(Running { who, process, clients })
    }

    async fn contenders(&self) -> Result<Vec<Running>> {
        let (loaded, alone) = self.effort.batch;
        let mut contenders = Vec::new();
        for who in Contender::ALL {
            contenders.push(self.running(who, false, loaded + alone).await?);
        }
        Ok(contenders)
    }

    /// Counts every call, with instrumented services, for a few requests of each scenario, the first with empty caches.
    /// Then revokes many tokens of one client concurrently.
    async fn count(&mut self, scenarios: &[&Scenario]) -> Result<AtOnce> {
        progress("counting each operation's calls to storage");
        let ours = self.running(Contender::Ours, true, COUNTED).await?;
        for scenario in scenarios {
            let named = || format!("{}, counting", scenario.name);
            let prepared = scenario.prepare(&mut self.credentials, ours.target(), COUNTED).await.with_context(named)?;
            let requests: Vec<_> = prepared.iter().cycle().take(COUNTED).cloned().collect();
            tokio::time::sleep(FORGOTTEN).await;
            let (first, more) = requests.split_at(1);
            for (requests, checked) in [(first, Checked::First), (more, Checked::Counted)] {
                counts(self.kv).await?;
                let plan = each(requests, 1, scenario.status);
                let outcome = load::run(ours.process.address, plan).await.with_context(named)?;
                scenario.settle(Contender::Ours).await;
                let counts = counts(self.kv).await?;
                scenario.check(Contender::Ours, outcome.requests, counts, checked).with_context(named)?;
            }
        }
        self.revoke_at_once(&ours).await
    }

    async fn revoke_at_once(&self, ours: &Running) -> Result<AtOnce> {
        let (tokens, longest, most_writes) = AT_ONCE;
        let client = &ours.clients.busy;
        let mut connection = Connection::open(ours.process.address).await?;
        let mut requests = Vec::new();
        for _ in 0..tokens {
            let issued = client.issue(&mut connection).await?;
            requests.push(credentials::revoke(&issued.token, &issued.id));
        }
        tokio::time::sleep(RESTED).await;
        counts(self.kv).await?;
        let named = || format!("{tokens} revocations at once");
        let outcome = load::run(ours.process.address, each(&requests, tokens, 204)).await.with_context(named)?;
        tokio::time::sleep(SETTLED).await;
        let at_once = AtOnce {
            revocations: tokens,
            milliseconds: outcome.elapsed.as_secs_f64() * 1e3,
            kv_writes: counts(self.kv).await?.writes,
        };
        ensure!(
            outcome.elapsed <= longest && (1..=most_writes).contains(&at_once.kv_writes),
            "{at_once} Expected: at most {longest:?} and {most_writes} writes."
        );
        Ok(at_once)
    }

    async fn rounds(&mut self, scenarios: &[&Scenario], contenders: &[Running]) -> Result<Vec<Row>> {
        let lines = scenarios.iter().flat_map(|scenario| {
            let takes_part = |running: &&Running| scenario.contenders.contains(&running.who);
            contenders.iter().filter(takes_part).map(move |running| (*scenario, running))
        });
        let lines: Vec<_> = lines.collect();
        let mut found = vec![Vec::new(); lines.len()];
        let all = self.effort.discarded + self.effort.rounds;
        for round in 0..all {
            for ((scenario, running), found) in lines.iter().zip(&mut found) {
                let (name, who) = (scenario.name, running.who.name());
                progress(&format!("round {} of {all}: {name}, {who}", round + 1));
                let one = self.round(scenario, running).await.with_context(|| format!("{name}, {who}"))?;
                if round >= self.effort.discarded {
                    found.push(one);
                }
            }
        }
        lines.iter().zip(&found).map(|((scenario, running), rounds)| row(scenario, running.who, rounds)).collect()
    }

    async fn requests(&mut self, scenario: &Scenario, target: Target<'_>) -> Result<Rc<[Vec<u8>]>> {
        let (loaded, alone) = self.effort.batch;
        if !scenario.is_cold() {
            return Ok(scenario.prepare(&mut self.credentials, target, loaded + alone).await?.into());
        }
        let requests = match self.cold.get(&target.who) {
            Some(requests) => Rc::clone(requests),
            None => scenario.prepare(&mut self.credentials, target, SINGLES).await?.into(),
        };
        self.cold.insert(target.who, Rc::clone(&requests));
        tokio::time::sleep(FORGOTTEN).await;
        Ok(requests)
    }

    async fn round(&mut self, scenario: &Scenario, running: &Running) -> Result<Round> {
        let requests = self.requests(scenario, running.target()).await?;
        self.timed(scenario, running, &requests).await
    }

    async fn timed(&self, scenario: &Scenario, running: &Running, requests: &[Vec<u8>]) -> Result<Round> {
        let (who, process, status) = (running.who, &running.process, scenario.status);
        let (loaded, alone) = if scenario.repeats() {
            // Different clients under load and alone, so that neither finds the other's state.
            let (first, second) =
                if scenario.is_cold() { requests.split_at(requests.len() / 2) } else { (requests, requests) };
            let during = |requests, during, connections| Plan { requests, during: Some(during), connections, status };
            (during(first, self.effort.loaded, CONNECTIONS), during(second, self.effort.alone, 1))
        } else {
            let (first, second) = requests.split_at(self.effort.batch.0.min(requests.len()));
            (each(first, CONNECTIONS, status), each(second, 1, status))
        };
        if let Some(during) = alone.during {
            // A warm-up, so that garbage of the previous scenario is not collected during this one.
            let settling = Plan { requests: alone.requests, during: Some(during), connections: CONNECTIONS, status };
            load::run(process.address, settling).await?;
        }
        counts(self.kv).await?;
        let before = process.cpu();
        let loaded = load::run(process.address, loaded).await?;
        scenario.settle(who).await;
        let cpu = process.cpu().zip(before).map(|(after, before)| after.saturating_sub(before));
        let alone = load::run(process.address, alone).await?;
        scenario.settle(who).await;
        let counts = counts(self.kv).await?;
        scenario.check(who, loaded.requests + alone.requests, counts, Checked::Timed)?;
        Ok(Round::of(&loaded, cpu, &alone, counts.reads))
    }

    async fn starts(&mut self, contenders: &[Running]) -> Result<Vec<Start>> {
        let mut found = vec![Vec::new(); contenders.len()];
        let mut memory = Vec::new();
        for nth in 0..self.effort.starts {
            for (running, found) in contenders.iter().zip(&mut found) {
                let who = running.who.name();
                progress(&format!("start {} of {}: {who}", nth + 1, self.effort.starts));
                // The keys are the same, so a token of the running one is valid for the new one.
                let requests = COLD_EXCHANGE.prepare(&mut self.credentials, running.target(), 1).await?;
                let (_, listening, loading) = self.first(running.who, &requests[0], Duration::ZERO).await?;
                let (process, _, loaded) = self.first(running.who, &requests[0], LOADED).await?;
                found.push([listening + loading, loading, loaded]);
                if nth + 1 == self.effort.starts {
                    let (requests, during) = (&requests[..1], Some(self.effort.loaded));
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
            .map(|((running, found), peak_memory_mib)| {
                let spread = |nth: usize| {
                    Spread::of(found.iter().map(|times| times[nth].as_secs_f64() * 1e3)).context("no starts")
                };
                let ((script_bytes, script_gzip_bytes), (wasm_bytes, wasm_gzip_bytes)) =
                    (sizes(running.who, false)?, sizes(running.who, true)?);
                Ok(Start {
                    contender: running.who.name(),
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

    /// Sends the first request to a new process after it has listened for `pause`. Returns when it listened, and how
    /// long the response took.
    async fn first(
        &self,
        contender: Contender,
        request: &[u8],
        pause: Duration,
    ) -> Result<(Workerd, Duration, Duration)> {
        let mut process = self.spawn(contender, false)?;
        let mut connection = process.connect().await?;
        let listening = process.started.elapsed();
        // Even a sleep of zero would last until the timer's next tick.
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let sent = Instant::now();
        let answer = connection.answer(request).await?;
        ensure!(answer.status == 201, "{}: the first request was answered {}", contender.name(), answer.status);
        Ok((process, listening, sent.elapsed()))
    }

    /// Measures how the cost of an exchange grows. Must come last, since it replaces KV's content.
    async fn growth(&mut self, contenders: &[Running]) -> Result<Vec<Growth>> {
        let ours = contenders.iter().find(|running| running.who == Contender::Ours).context("no worker")?;
        let mut immediate = HashMap::new();
        for (_, ends, _) in GROWTH.iter().filter(|(scenario, ..)| !scenario.is_cold()) {
            immediate.insert(*ends, self.with_ends(ours, *ends).await?);
        }
        let mut found = vec![Vec::new(); GROWTH.len()];
        for round in 0..self.effort.rounds {
            let of = self.effort.rounds;
            // Each round starts with a different case, so that none always follows the longest fill.
            for nth in 0..GROWTH.len() {
                let nth = (nth + round) % GROWTH.len();
                let (scenario, ends, further) = GROWTH[nth];
                progress(&format!("growth {} of {of}: {}, {ends} ends, {further} clients", round + 1, scenario.name));
                self.fill_anew(ends, further).await?;
                found[nth].push(match immediate.get(&ends) {
                    Some(requests) if !scenario.is_cold() => self.timed(scenario, ours, requests).await?,
                    _ => self.round(scenario, ours).await?,
                });
            }
        }
        let growth = GROWTH.iter().zip(&found).map(|((scenario, ends, further), rounds)| {
            Ok(Growth {
                scenario: scenario.name,
                ends: *ends,
                further_clients: *further,
                cpu_us_per_request: Spread::of(rounds.iter().filter_map(|round| round.cpu)),
                requests_per_second: Spread::of(rounds.iter().map(|round| round.per_second)).context("no rounds")?,
            })
        });
        growth.collect()
    }

    /// Exchanges of an `immediate` client that has revoked this many of its tokens.
    async fn with_ends(&self, ours: &Running, ends: usize) -> Result<Vec<Vec<u8>>> {
        let mut operator = Operator::log_in(ours.process.address, &self.credentials).await?;
        let immediate = serde_json::json!({"consistency": "immediate"});
        let client = operator.create(&format!("ended_{ends}"), &immediate).await?;
        let mut connection = Connection::open(ours.process.address).await?;
        for _ in 0..ends {
            let issued = client.issue(&mut connection).await?;
            let status = connection.status(&credentials::revoke(&issued.token, &issued.id)).await?;
            ensure!(status == 204, "a revocation was answered {status}");
        }
        let token = client.issue(&mut connection).await?.token;
        Ok(vec![credentials::exchange(credentials::SHORT_PATH, &token)])
    }
}

fn row(scenario: &Scenario, who: Contender, rounds: &[Round]) -> Result<Row> {
    let spread = |which: fn(&Round) -> f64| Spread::of(rounds.iter().map(which)).context("no rounds");
    let costs = scenario.costs(who);
    Ok(Row {
        scenario: scenario.name,
        title: scenario.title,
        contender: who.name(),
        rounds: rounds.len(),
        requests_per_second: spread(|round| round.per_second)?,
        requests_per_second_by_round: rounds.iter().map(|round| round.per_second).collect(),
        cpu_us_per_request: Spread::of(rounds.iter().filter_map(|round| round.cpu)),
        cpu_us_by_round: rounds.iter().filter_map(|round| round.cpu).collect(),
        core_busy: Spread::of(rounds.iter().filter_map(|round| round.busy)),
        p50_ms: spread(|round| round.p50)?,
        p99_ms: spread(|round| round.p99)?,
        loaded_p99_ms: spread(|round| round.loaded_p99)?,
        kv_reads: spread(|round| round.reads)?,
        kv_writes: costs.writes,
        object_calls: costs.objects,
    })
}

/// Progress: on a terminal one line that is replaced, otherwise a line per round.
fn progress(what: &str) {
    if stderr().is_terminal() {
        // Failing to show progress is not an error.
        let _ = write!(stderr(), "\r\x1b[K{what}");
    } else if what.ends_with("exchange, floor") || what.starts_with("counting") {
        let _ = writeln!(stderr(), "{what}");
    }
}

/// The workerd binary that wrangler installs for this platform.
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

/// The last two cores that this process may use, if it can be pinned to one.
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
    ensure!(
        output.status.success(),
        "can't pin this process to core {core}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
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
