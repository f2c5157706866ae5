//! The two APIs: one with axum, in this process, and the library's example Worker under its own `wrangler dev`.

use std::fs::{self, File};
use std::net::TcpListener as Port;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use auth_edge_verify::{AccessToken, Report, Verifier};
use axum::routing::get;
use axum::{Router, serve};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::NAMES;
use crate::service::Service;

/// Relative to the folder in which `make demo` runs.
const WORKER: &str = "verify/examples/worker";
const START_TIMEOUT: Duration = Duration::from_secs(60);

pub struct Apis {
    /// The URLs that the clients call, in the order of `NAMES`.
    pub urls: [String; 2],
    log: PathBuf,
    worker: Child,
}

impl Apis {
    pub async fn start(service: &Service, poll_interval: u64) -> Result<Self> {
        let axum = axum_api(&service.issuer, poll_interval).await?;
        let folder = service.folder.join("api");
        let (worker, process) = worker_api(&folder, &service.issuer, poll_interval)?;
        let urls = [axum, worker].map(|port| format!("http://127.0.0.1:{port}/templates"));
        Ok(Self { urls, log: folder.join("log"), worker: process })
    }

    /// Waits until both APIs accept a valid token.
    pub async fn ready(&mut self, http: &reqwest::Client, token: &str) -> Result<()> {
        let start = Instant::now();
        for (url, name) in self.urls.iter().zip(NAMES) {
            loop {
                let answer = http.get(url).bearer_auth(token).send().await;
                if answer.as_ref().is_ok_and(|answer| answer.status() == 200) {
                    break;
                }
                if start.elapsed() > START_TIMEOUT || self.worker.try_wait()?.is_some() {
                    let answer = answer.map_or("no answer".to_owned(), |answer| answer.status().to_string());
                    bail!(
                        "the {name} does not accept a valid token: {answer}. The Worker's log is {}",
                        self.log.display()
                    );
                }
                sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }
}

/// Returns its port.
async fn axum_api(issuer: &str, poll_interval: u64) -> Result<u16> {
    let verifier = Verifier::new(issuer, issuer).poll_interval(poll_interval).follow().report(|report| {
        if !matches!(report, Report::Refused(_)) {
            eprintln!("axum API: {report}");
        }
    });
    let verifier = verifier.start()?;
    let templates = get(async |caller: AccessToken| format!("The templates of {}.\n", caller.client_id));
    let api = Router::new().route("/templates", templates.layer(verifier.require_scope("templates:read")));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async { serve(listener, api).await });
    Ok(port)
}

/// Returns its port and process. `make demo` has built the Worker.
fn worker_api(folder: &Path, issuer: &str, poll_interval: u64) -> Result<(u16, Child)> {
    let main = fs::canonicalize(Path::new(WORKER).join("build/index.js"));
    let main = main.context("the Worker API is not built; run `make demo`, which builds it")?;
    fs::create_dir_all(folder)?;
    let config = fs::read_to_string(Path::new(WORKER).join("wrangler.toml"))?;
    let config = config.replace("build/index.js", &main.display().to_string()).replace("[build]", "[unused]");
    fs::write(folder.join("wrangler.toml"), config)?;
    let port = Port::bind("127.0.0.1:0")?.local_addr()?.port();
    let log = File::create(folder.join("log"))?;
    let mut command = Command::new("wrangler");
    command.current_dir(folder).env("CI", "true").args(["dev", "--inspector-port", "0", "--port", &port.to_string()]);
    for (name, value) in [("ISSUER", issuer), ("AUDIENCE", issuer), ("POLL_INTERVAL", &poll_interval.to_string())] {
        command.arg("--var").arg(format!("{name}:{value}"));
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
    let process = command.spawn().context("wrangler can't be started; run `make demo`, which installs it")?;
    Ok((port, process))
}
