//! `admin`: makes keys and clients, and changes them. It works on two files, which `wrangler` takes as they are:
//! the key set for `wrangler secret put AUTH_KEYS`, the clients for `wrangler kv bulk put`. After every change it says
//! which command to type next. It never talks to Cloudflare itself.

mod clients;
mod dev;
mod files;
mod keys;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};

/// Makes the keys and clients of auth-edge, and changes them.
#[derive(Parser)]
#[command(version, about, long_about = None, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Where things are, and where they will go.
#[derive(Args, Clone)]
pub struct Place {
    /// The key set: what the secret AUTH_KEYS holds [default: keys.json, or keys.NAME.json with --env]
    #[arg(long, global = true, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// The clients: what `wrangler kv bulk put` takes, or one record as `wrangler kv key get` gives it [default:
    /// clients.json, or clients.NAME.json with --env]
    #[arg(long, global = true, value_name = "FILE")]
    pub clients: Option<PathBuf>,
    /// The environment of wrangler.toml that this is for; without it, the local one
    #[arg(long, global = true, value_name = "NAME")]
    pub env: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// The service's own keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// The clients in the registry
    #[command(subcommand)]
    Client(clients::Command),
    /// Everything that local development needs: keys, and one client for each role of the conformance harness
    Dev {
        /// Where to put it; nothing that is there already is changed
        #[arg(long, value_name = "FOLDER", default_value = ".dev")]
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = now().and_then(|now| match cli.command {
        Command::Keys(command) => keys::run(command, &cli.place),
        Command::Client(command) => clients::run(command, &cli.place, now),
        Command::Dev { folder } => dev::run(&folder),
    });
    match result {
        Ok(said) => {
            // Who reads no further has read enough.
            let _ = writeln!(std::io::stdout(), "{said}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("admin: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Unix seconds.
#[allow(clippy::disallowed_methods, reason = "this is where a command's time comes from")]
fn now() -> Result<u64, String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map(|since| since.as_secs()).map_err(|_| "the clock of this machine is before 1970; set it first".to_owned())
}
