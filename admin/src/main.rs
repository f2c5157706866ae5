//! `admin`: the operator's command. It makes the service's keys and its first operator in files, which `wrangler` takes
//! as they are, and is a client of the operators' API for everything else.
//!
//! | offline | does |
//! |---|---|
//! | `init`, `keys`, `operator` | work on the file with the Worker's secrets (`secrets.rs`), and say which command comes next |
//!
//! | by the API | does |
//! |---|---|
//! | `client` | one thing to one client |
//! | `apply` | makes many clients so as a file declares them |
//! | `dev` | makes the clients of the conformance harness |
//!
//! The exit code is 0 when it is done, 1 when it is not, and 2 when `apply --dry-run` found differences.

mod api;
mod apply;
mod client;
mod dev;
mod files;
mod keys;
mod operator;
mod output;
mod secrets;
mod session;
mod wanted;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};

use operator::Credentials;
use secrets::SecretsFile;
use session::Session;

/// Makes the keys of auth-edge, and its clients.
#[derive(Parser)]
#[command(
    version,
    about,
    after_help = "An operator logs in by the file that --operator or --env names, else by AUTH_EDGE_URL, AUTH_EDGE_CLIENT_ID and \
                  AUTH_EDGE_CLIENT_SECRET, else by .dev/operator.toml.\n\
                  Exit codes: 0 done; 1 not done; 2 `apply --dry-run` found differences."
)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Which deployment this is about.
#[derive(Args)]
#[command(next_help_heading = "Which deployment")]
pub struct Place {
    /// The environment of wrangler.toml that this is for; without it, this machine
    #[arg(long, global = true, value_name = "NAME")]
    pub env: Option<String>,
    /// The operator's credentials [default: operator.NAME.toml with --env]
    #[arg(long, global = true, value_name = "FILE")]
    pub operator: Option<PathBuf>,
    /// What stands before /clients and /auth/tokens/long, for example https://auth.example.com/v1
    #[arg(long, global = true)]
    pub url: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Make a deployment's keys and its first operator; for this machine, what is missing of them
    Init(Secrets),
    /// The service's own keys
    Keys {
        #[command(flatten)]
        secrets: Secrets,
        #[command(subcommand)]
        command: keys::Command,
    },
    /// The operator of the secret OPERATOR
    Operator {
        #[command(flatten)]
        secrets: Secrets,
        #[command(subcommand)]
        command: operator::Command,
    },
    /// Make, show, change and end clients
    Client(client::Clients),
    /// Make the clients so as a file declares them
    Apply(apply::Apply),
    /// Make a client for each role of the conformance harness, and write their credentials to a file
    Dev {
        /// [default: .dev/identities.toml, or identities.NAME.toml with --env]
        #[arg(long, value_name = "FILE")]
        identities: Option<PathBuf>,
    },
}

#[derive(Args)]
struct Secrets {
    /// The Worker's secrets, as wrangler takes them [default: secrets.NAME.json with --env, else .dev.vars]
    #[arg(long, global = true, value_name = "FILE")]
    secrets: Option<PathBuf>,
}

impl Place {
    fn secrets(&self, secrets: &Secrets) -> SecretsFile {
        SecretsFile::of(self.env.as_deref(), secrets.secrets.as_deref())
    }

    fn identities_file(&self) -> PathBuf {
        match &self.env {
            Some(env) => format!("identities.{env}.toml").into(),
            None => ".dev/identities.toml".into(),
        }
    }

    async fn session(&self, scopes: &'static [&'static str]) -> Result<Session, String> {
        let credentials = Credentials::find(self, |name| std::env::var(name).ok())?;
        Session::open(credentials, scopes).await
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // 2 is taken: it says that a plan has differences.
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => Err(format!("can't start: {error}")),
    };
    result.unwrap_or_else(|problem| {
        output::note(&problem);
        ExitCode::FAILURE
    })
}

async fn run(Cli { place, command }: Cli) -> Result<ExitCode, String> {
    match command {
        Command::Init(secrets) => output::say(&operator::init(&place, &place.secrets(&secrets), now()?)?),
        Command::Keys { secrets, command } => output::say(&keys::run(command, &place.secrets(&secrets))?),
        Command::Operator { secrets, command } => {
            output::say(&operator::run(command, &place, &place.secrets(&secrets), now()?)?);
        }
        Command::Client(mut client) => {
            client.check()?;
            let session = place.session(client.scopes()).await?;
            let result = client.run(&session).await;
            session.close().await;
            result?;
        }
        Command::Apply(apply) => {
            let (declared, sink) = apply.prepare()?;
            let session = match place.session(apply.scopes()).await {
                Ok(session) => session,
                Err(problem) => {
                    sink.close();
                    return Err(problem);
                }
            };
            let result = apply.run(&session, declared, sink).await;
            session.close().await;
            if matches!(result?, apply::Outcome::Changed) && apply.dry_run {
                return Ok(ExitCode::from(2));
            }
        }
        Command::Dev { identities } => {
            let file = identities.unwrap_or_else(|| place.identities_file());
            let session = place.session(dev::SCOPES).await?;
            let result = dev::run(&session, &file).await;
            session.close().await;
            output::say(&result?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Unix seconds.
#[allow(clippy::disallowed_methods, reason = "this is where a command's time comes from")]
fn now() -> Result<u64, String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map(|since| since.as_secs()).map_err(|_| "the clock of this machine is before 1970; set it first".to_owned())
}
