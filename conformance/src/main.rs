//! `conformance`: holds any deployment of the token API to its contract, over HTTP.
//!
//! The way of a run, from the top; no file imports what stands above it:
//!
//! | files | what |
//! |---|---|
//! | `cli`, `command`, `exit` | the command line, what each command does, how it ends |
//! | `selftest` | the harness against its own reference server and mutants of it |
//! | `terminal`, `report`, `groups` | what is shown, of `result` |
//! | `schedule`, `clean_up`, `verdict` | the order of a run, its end, what it came to |
//! | `choice` | which rows a run consists of, by `profile` and flags |
//! | `cases` | the table, one file for each operation and theme; `case` says what a row is |
//! | `trial` | one case under way: tokens, requests, judging |
//! | `run`, `watch`, `transcript` | what cases share: sending, what holds for every answer, what may be shown |
//! | `ask`, `matrix`, `endpoint`, `stop` | the words for all this |
//! | `http`, `identities`, `ledger`, `mask`, … | each one thing, and nothing of the above |
//!
//! Nothing leaves without passing `mask`; nothing that was minted outlives the run (`ledger`), also when it is
//! interrupted (`interrupt`).

#![allow(clippy::disallowed_methods, reason = "a run measures real time; what must be chosen in a test is in `clock`")]

mod ask;
mod case;
mod cases;
mod choice;
mod clean_up;
mod cli;
mod clock;
mod command;
mod curl;
mod endpoint;
mod exit;
#[cfg(test)]
mod fuzz;
mod glob;
mod groups;
mod http;
mod identities;
mod interrupt;
mod jose;
mod ledger;
mod mask;
mod matrix;
mod profile;
mod report;
mod result;
mod run;
mod schedule;
mod selftest;
mod state;
mod stop;
mod terminal;
mod text;
mod totp;
mod transcript;
mod trial;
mod verdict;
mod watch;

use clap::Parser;
use exit::Exit;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A panic's own message may hold anything; where it happened is all that may be told.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tell(&format!("internal error at {place}: please report it with the command line that led here"));
        if cfg!(panic = "abort") {
            std::process::exit(Exit::Internal.code().into());
        }
    }));
    let cli = cli::Cli::parse();
    ExitCode::from(guarded(|| command::execute(cli)).code())
}

/// How the process ends, whatever happens.
fn guarded(work: impl FnOnce() -> Result<Exit, String>) -> Exit {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        Ok(Ok(code)) => code,
        Ok(Err(message)) => {
            tell(&format!("error: {message}"));
            Exit::Usage
        }
        Err(_) => Exit::Internal,
    }
}

/// `eprintln!` would panic where the terminal has gone away.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_70_and_a_mistake_2() {
        assert_eq!(guarded(|| panic!("a test")), Exit::Internal);
        assert_eq!(guarded(|| Err("a test".to_owned())), Exit::Usage);
        assert_eq!(guarded(|| Ok(Exit::Incomplete)), Exit::Incomplete);
    }
}
