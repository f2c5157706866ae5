//! The command line.

use crate::exit;
use crate::report::Request;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Proves any deployment of the token API right or wrong, over HTTP.
#[derive(Parser)]
#[command(name = "conformance", version, disable_help_subcommand = true, after_help = exit::HELP)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// Colours: auto means on a terminal, unless NO_COLOR is set
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
    /// List the cases: id, cell, requirement
    List(Chosen),
    /// Rehearse a run on the built-in reference server, and tell what a conformant deployment would be sent
    Plan(PlanArgs),
    /// Tell all about one case: what it sends, what is due, and where that stands
    Explain {
        /// A case's id, as `list` shows it
        id: String,
        /// TOML: cases of your own
        #[arg(long = "cases", value_name = "FILE")]
        own: Option<PathBuf>,
    },
    /// Send the failures of a JSON report again, and tell whether they still fail
    Replay(Box<ReplayArgs>),
    /// Measure how long revocations take to hold, by operation
    Lag(LagArgs),
    /// Tell what changed between two JSON reports; exit code 1 when something fails that did not before
    Diff { before: PathBuf, after: PathBuf },
    /// Prove the harness itself: the reference server passes, and every mutant of it is found out
    Selftest {
        /// Only these mutants (glob; repeatable)
        #[arg(long, value_name = "GLOB")]
        mutant: Vec<String>,
        /// Serve the reference on this port for trying things by hand, its identities written to FILE
        #[arg(long, value_name = "PORT", requires = "identities")]
        serve: Option<u16>,
        /// Where --serve writes the identities
        #[arg(long, value_name = "FILE")]
        identities: Option<PathBuf>,
        /// With --serve: the mutant to serve
        #[arg(long, value_name = "NAME", requires = "serve")]
        fault: Option<String>,
    },
}

#[derive(Args)]
pub struct Chosen {
    /// Only cases whose id matches (glob; repeatable); their positive controls come along
    #[arg(long = "case", value_name = "GLOB")]
    pub cases: Vec<String>,
    /// No cases whose id matches (glob; repeatable)
    #[arg(long, value_name = "GLOB")]
    pub skip: Vec<String>,
    /// seed (what the public API page itself promises), contract (also what closes its gaps), service (all cases: also
    /// what stands around the tokens), or a profile file
    #[arg(long, value_name = "NAME|FILE", default_value = "contract")]
    pub profile: String,
    /// TOML: cases of your own, with the columns of the built-in ones
    #[arg(long = "cases", value_name = "FILE")]
    pub own: Option<PathBuf>,
}

#[derive(Args)]
pub struct ReplayArgs {
    /// What `run --report json=PATH` wrote
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
    /// Say also which cases these identities would leave blocked
    #[arg(long, value_name = "FILE")]
    pub identities: Option<PathBuf>,
}

/// How a deployment is reached, as whom, what may be done to it, and where that is told.
#[derive(Args)]
pub struct Reach {
    /// The deployment, with its base path: https://auth.example.com/v1
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Who to be: a TOML file with one table per role; CONFORMANCE_<ROLE>_<SETTING> variables win over it
    #[arg(long, value_name = "FILE")]
    pub identities: Option<PathBuf>,
    /// What may be done to a host that is not loopback (comma-separated or repeated)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "EFFECT")]
    pub allow: Vec<Allow>,
    /// Send this header with every request, for an access proxy in front of the deployment (repeatable). Its value is
    /// masked; CONFORMANCE_HEADERS in the environment holds more, one in each line, and keeps them off the command line
    #[arg(long, value_name = "NAME:VALUE")]
    pub header: Vec<String>,
    /// Trust these certificates too (PEM), for a deployment behind an authority of your own
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// For each request, from connecting to the last byte
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub timeout: Duration,
    /// How long a revocation may take to be seen [default: 5s on loopback, else 90s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub consistency_window: Option<Duration>,
    /// Write a report: json, junit, markdown, html, har (HTTP Archive), badge and lag (SVG), scripts (a directory: for each
    /// failure sh with curl); - is standard output (repeatable)
    #[arg(long, value_name = "KIND=PATH", value_parser = str::parse::<Request>)]
    pub report: Vec<Request>,
    /// Show every exchange on stderr, secrets masked
    #[arg(long)]
    pub trace: bool,
}

#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub choice: Chosen,
    /// Cases under way at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// End the cases at the first failure
    #[arg(long)]
    pub fail_fast: bool,
    /// TOML: case id = "a piece of the reason that it fails by"; such a case must fail, and by that
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

/// `250ms`, `10s`, `2m`, or bare seconds.
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
