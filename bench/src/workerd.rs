//! One contender: its own workerd process, pinned to a core, with a generated configuration.

use std::fmt::Write;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::load::Connection;

/// The parts of a contender.
pub struct Spec<'a> {
    /// Its modules, the main one first.
    pub modules: &'a [PathBuf],
    pub vars: &'a [(String, String)],
    pub namespaces: &'a [&'a str],
    /// Whether it has the Durable Objects and the rate limits.
    pub whole: bool,
    /// Whether the Durable Objects and the rate limits report each call.
    pub counting: bool,
    pub compatibility_date: &'a str,
}

/// A process that is killed on drop.
pub struct Workerd {
    child: Child,
    pub address: SocketAddr,
    pub started: Instant,
}

pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A command that runs on one core, if `taskset` is available.
pub fn pinned(core: Option<usize>, program: &Path) -> Command {
    let mut command = match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string()]).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

impl Workerd {
    pub fn start(binary: &Path, core: Option<usize>, folder: &Path, spec: &Spec<'_>, kv: SocketAddr) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let folder = folder.join(address.port().to_string());
        fs::create_dir_all(folder.join("objects"))?;
        for module in spec.modules {
            let name = module.file_name().context("a module without a name")?;
            fs::copy(module, folder.join(name)).with_context(|| format!("can't copy {}", module.display()))?;
        }
        if spec.counting {
            fs::write(folder.join("counting.js"), include_str!("../contenders/counting.js"))?;
        }
        let config = folder.join("config.capnp");
        fs::write(&config, configuration(spec, &folder, address, kv)?)?;
        let log = fs::File::create(config.with_extension("log"))?;
        let mut command = pinned(core, binary);
        // The Worker logs as usual, so the cost of logging is measured. The output is discarded.
        command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(log);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("can't start {}", binary.display()))?;
        Ok(Self { child, address, started })
    }

    /// Waits until it listens, and connects.
    pub async fn connect(&mut self) -> Result<Connection> {
        let start = Instant::now();
        loop {
            if let Ok(connection) = Connection::open(self.address).await {
                return Ok(connection);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("workerd ended: {status}");
            }
            if start.elapsed() > Duration::from_secs(20) {
                bail!("workerd does not listen after 20 s");
            }
            sleep(Duration::from_micros(500)).await;
        }
    }

    /// The CPU time of all its threads, from the scheduler's accounting.
    pub fn cpu(&self) -> Option<Duration> {
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()?)).ok()? {
            let account = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            nanoseconds += account.split(' ').next()?.parse::<u64>().ok()?;
        }
        Some(Duration::from_nanos(nanoseconds))
    }

    /// Its peak memory, KiB.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse().ok())
    }
}

fn configuration(spec: &Spec<'_>, folder: &Path, address: SocketAddr, kv: SocketAddr) -> Result<String> {
    // The first module is the main one.
    let counting = if spec.counting { r#"(name = "counting.js", esModule = embed "counting.js"), "# } else { "" };
    let mut modules = counting.to_owned();
    for path in spec.modules {
        let name = path.file_name().context("a module without a name")?.to_string_lossy();
        let kind = if name.ends_with(".wasm") { "wasm" } else { "esModule" };
        write!(modules, "(name = {name:?}, {kind} = embed {name:?}), ")?;
    }
    let mut bindings = String::new();
    for (name, value) in spec.vars {
        write!(bindings, "(name = {name:?}, text = {value:?}), ")?;
    }
    for name in spec.namespaces {
        write!(bindings, "(name = {name:?}, kvNamespace = \"kv\"), ")?;
    }
    let counter = if spec.counting { r#"(name = "COUNTER", service = "kv")"# } else { "" };
    let mut objects = "";
    let mut disk = String::new();
    let mut extensions = String::new();
    if spec.whole {
        for name in ["LONG_LIMIT", "CLIENT_LIMIT", "ADDRESS_LIMIT", "SHORT_LIMIT"] {
            let wrapped = format!("(moduleName = \"bench:ratelimit\", innerBindings = [{counter}])");
            write!(bindings, "(name = {name:?}, wrapped = {wrapped}), ")?;
        }
        write!(
            bindings,
            r#"(name = "CLIENTS", durableObjectNamespace = "Client"), (name = "FEED", durableObjectNamespace = "Feed"), {counter}"#
        )?;
        let path = folder.join("objects");
        disk = format!("(name = \"disk\", disk = (path = {path:?}, writable = true)),");
        // Prevents eviction, so that objects left idle by one scenario are not evicted while the next is measured.
        objects = r#"durableObjectNamespaces = [(className = "Client", uniqueKey = "client", enableSql = true, preventEviction = true),
    (className = "Feed", uniqueKey = "feed", enableSql = true, preventEviction = true)],
  durableObjectStorage = (localDisk = "disk"),"#;
        let stand_in = include_str!("../contenders/ratelimit.js");
        write!(extensions, "(modules = [(name = \"bench:ratelimit\", esModule = {stand_in:?}, internal = true)])")?;
    }
    let date = spec.compatibility_date;
    Ok(format!(
        r#"using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "kv", external = (address = "{kv}", http = ())),
    {disk}
  ],
  sockets = [(name = "http", address = "{address}", http = (), service = "main")],
  extensions = [{extensions}],
);
const main :Workerd.Worker = (
  modules = [{modules}],
  compatibilityDate = {date:?},
  bindings = [{bindings}],
  {objects}
);
"#
    ))
}
