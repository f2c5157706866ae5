//! `admin`: the operators' command-line tool. It makes the service's keys and its first operator in files for
//! `wrangler`; everything else it does through the operators' API.
//!
//! | offline | does |
//! |---|---|
//! | `init`, `keys`, `operator` | edit the file with the Worker's secrets (`secrets.rs`), and print the command to run next |
//!
//! | through the API | does |
//! |---|---|
//! | `client` | one operation on one client |
//! | `apply` | brings many clients to the state that a file declares |
//! | `dev` | creates the clients of the conformance harness |
//!
//! The exit code is 0 on success, 1 on failure, and 2 if `apply --dry-run` found differences.

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

/// Manage the keys and clients of auth-edge.
#[derive(Parser)]
#[command(
    version,
    about,
    after_help = "Credentials come from the file given by --operator or --env, else from AUTH_EDGE_URL, AUTH_EDGE_CLIENT_ID and \
                  AUTH_EDGE_CLIENT_SECRET, else from .dev/operator.toml.\n\
                  Exit codes: 0 success; 1 failure; 2 `apply --dry-run` found differences."
)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// The deployment to work on.
#[derive(Args)]
#[command(next_help_heading = "Deployment")]
pub struct Place {
    /// The environment in wrangler.toml; without it, the local `wrangler dev`
    #[arg(long, global = true, value_name = "NAME")]
    pub env: Option<String>,
    /// File with the operator's credentials [default: operator.NAME.toml with --env, else .dev/operator.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub operator: Option<PathBuf>,
    /// Base URL, for example https://auth.example.com/v1 [default: from the credentials; for init, from wrangler.toml]
    #[arg(long, global = true)]
    pub url: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Create the keys and the first operator of a deployment; without --env, create only what is missing
    Init(Secrets),
    /// Manage the service's own keys
    Keys {
        #[command(flatten)]
        secrets: Secrets,
        #[command(subcommand)]
        command: keys::Command,
    },
    /// Manage the first operator (the secret OPERATOR)
    Operator {
        #[command(flatten)]
        secrets: Secrets,
        #[command(subcommand)]
        command: operator::Command,
    },
    /// Create, show, change and delete clients
    Client(client::Clients),
    /// Bring clients to the state that a file declares
    Apply(apply::Apply),
    /// Create a client for each role of the conformance harness, and write their credentials to a file
    Dev {
        /// File for the credentials [default: .dev/identities.toml, or identities.NAME.toml with --env]
        #[arg(long, value_name = "FILE")]
        identities: Option<PathBuf>,
    },
}

#[derive(Args)]
struct Secrets {
    /// File with the Worker's secrets, as wrangler reads it [default: secrets.NAME.json with --env, else .dev.vars]
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
            // clap would exit with 2, which here means that a dry run found differences.
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => Err(format!("can't start the async runtime: {error}")),
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
    since
        .map(|since| since.as_secs())
        .map_err(|_| "the clock of this machine is before 1970; set it and try again".to_owned())
}
