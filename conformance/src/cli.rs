//! The command line.

use crate::exit;
use crate::report::Request;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Tests any deployment of the token API against its contract, over HTTP.
#[derive(Parser)]
#[command(name = "conformance", version, disable_help_subcommand = true, after_help = exit::HELP)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// When to use colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub color: Color,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run the cases against a deployment
    Run(Box<RunArgs>),
    /// List the cases: id, operation and status, requirement
    List(Chosen),
    /// Show what a run would send to a conformant deployment, by running it against the built-in reference server
    Plan(PlanArgs),
    /// Explain one case: what it sends, which answer is due, and where the contract says so
    Explain {
        /// The id of a case, as `list` shows it
        id: String,
        /// A TOML file with cases of your own
        #[arg(long = "cases", value_name = "FILE")]
        own: Option<PathBuf>,
    },
    /// Run the failed cases of a JSON report again, and show which still fail
    Replay(Box<ReplayArgs>),
    /// Measure how long a revoked token is still accepted, at each place that checks tokens
    Lag(LagArgs),
    /// Compare two JSON reports; the exit code is 1 if a case fails that did not fail before
    Diff { before: PathBuf, after: PathBuf },
    /// Test the harness itself: the built-in reference server must pass, and each mutant of it must fail
    Selftest {
        /// Test only these mutants (glob; repeatable)
        #[arg(long, value_name = "GLOB")]
        mutant: Vec<String>,
        /// Serve the reference server on this port, to try the other commands against it
        #[arg(long, value_name = "PORT", requires = "identities")]
        serve: Option<u16>,
        /// With --serve: write the identities to this file
        #[arg(long, value_name = "FILE")]
        identities: Option<PathBuf>,
        /// With --serve: serve this mutant instead
        #[arg(long, value_name = "NAME", requires = "serve")]
        fault: Option<String>,
    },
}

#[derive(Args)]
pub struct Chosen {
    /// Only cases whose id matches, and their positive controls (glob; repeatable)
    #[arg(long = "case", value_name = "GLOB")]
    pub cases: Vec<String>,
    /// Without cases whose id matches (glob; repeatable)
    #[arg(long, value_name = "GLOB")]
    pub skip: Vec<String>,
    /// Which cases to judge: seed (what the public API page promises), contract (also what that page leaves open),
    /// service (also everything around the tokens), or the path of a profile file
    #[arg(long, value_name = "NAME|FILE", default_value = "contract")]
    pub profile: String,
    /// A TOML file with cases of your own
    #[arg(long = "cases", value_name = "FILE")]
    pub own: Option<PathBuf>,
}

#[derive(Args)]
pub struct ReplayArgs {
    /// A report written by `run --report json=PATH`
    pub report_before: PathBuf,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Args)]
pub struct LagArgs {
    #[command(flatten)]
    pub reach: Reach,
    /// How many tokens to revoke
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub tokens: u16,
}

#[derive(Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub choice: Chosen,
    /// Also show which cases would be blocked with these identities
    #[arg(long, value_name = "FILE")]
    pub identities: Option<PathBuf>,
}

/// How to reach a deployment, with which identities, what may be done to it, and where reports go.
#[derive(Args)]
pub struct Reach {
    /// The deployment's URL with its base path, such as https://auth.example.com/v1
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// The credentials to use: a TOML file with one table per role; CONFORMANCE_<ROLE>_<SETTING> variables override it
    #[arg(long, value_name = "FILE")]
    pub identities: Option<PathBuf>,
    /// Effects to allow on a host that is not loopback, where only reading is allowed by default (comma-separated or
    /// repeated)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "EFFECT")]
    pub allow: Vec<Allow>,
    /// Send this header with every request, for an access proxy in front of the deployment (repeatable). Its value is
    /// masked in all output. To keep headers off the command line, set CONFORMANCE_HEADERS, one header per line
    #[arg(long, value_name = "NAME:VALUE")]
    pub header: Vec<String>,
    /// Also trust these certificates (PEM), for a deployment with a private certificate authority
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// Time limit of each request, from connecting to the last byte
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub timeout: Duration,
    /// How long a revoked token may still be accepted [default: 5s on loopback, else 90s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub consistency_window: Option<Duration>,
    /// Write a report (repeatable). Kinds: json, junit, markdown, html, har (HTTP Archive), badge and lag (SVG), scripts
    /// (a directory with a curl script for each failure). The path - is standard output
    #[arg(long, value_name = "KIND=PATH", value_parser = str::parse::<Request>)]
    pub report: Vec<Request>,
    /// Show every request and answer on stderr, with secrets masked
    #[arg(long)]
    pub trace: bool,
}

#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub choice: Chosen,
    /// How many cases run at once
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Stop at the first failure; the clean-up still runs
    #[arg(long)]
    pub fail_fast: bool,
    /// A TOML file of cases that must fail, in lines of the form: "case.id" = "part of the reason"
    #[arg(long, value_name = "FILE")]
    pub known_failures: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Allow {
    Mint,
    Revoke,
    Provision,
    Burst,
}

impl Allow {
    pub fn name(self) -> &'static str {
        match self {
            Self::Mint => "mint",
            Self::Revoke => "revoke",
            Self::Provision => "provision",
            Self::Burst => "burst",
        }
    }
}

/// `250ms`, `10s`, `2m`, or a plain number of seconds.
pub fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| "give a time such as 250ms, 10s or 2m".to_owned())?;
    let ms = match unit {
        "ms" => number,
        "" | "s" => number.saturating_mul(1000),
        "m" => number.saturating_mul(60_000),
        _ => return Err("give a time such as 250ms, 10s or 2m".to_owned()),
    };
    if ms == 0 || ms > 86_400_000 {
        return Err("give a time between 1ms and a day".to_owned());
    }
    Ok(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn times() {
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(time("2m"), Ok(Duration::from_secs(120)));
        assert!(time("0").is_err() && time("x").is_err() && time("5h").is_err());
    }
}
