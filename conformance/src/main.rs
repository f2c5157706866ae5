//! `conformance`: holds any deployment of the token API to its contract, over HTTP.
//!
//! The way of a run: `cli` → `identities`, `profile` → `run`, which takes each row of `cases` and has a `trial` make its
//! request (`draft`), send it (`http`) and judge the answer → `result`, which `terminal` and `report` draw. Nothing
//! leaves without passing `mask`; nothing that was minted outlives the run (`ledger`), also when it is interrupted (`interrupt`).

#![allow(clippy::disallowed_methods, reason = "a run measures real time; what must be chosen in a test is in `clock`")]

mod cases;
mod cli;
mod clock;
mod command;
mod curl;
mod draft;
mod feed;
#[cfg(test)]
mod fuzz;
mod glob;
mod http;
mod identities;
mod interrupt;
mod jose;
mod ledger;
mod mask;
mod otp;
mod profile;
mod report;
mod result;
mod run;
mod selftest;
mod state;
mod terminal;
mod totp;
mod trial;

use clap::Parser;
use std::io::Write;
use std::process::ExitCode;

const INTERNAL: u8 = 70;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    // A panic's own message may hold anything; where it happened is all that may be told.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tell(&format!("internal error at {place}: please report it with the command line that led here"));
        if cfg!(panic = "abort") {
            std::process::exit(INTERNAL.into());
        }
    }));
    let cli = cli::Cli::parse();
    ExitCode::from(guarded(|| command::execute(cli)))
}

/// The exit code, whatever happens.
fn guarded(work: impl FnOnce() -> Result<u8, String>) -> u8 {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        Ok(Ok(code)) => code,
        Ok(Err(message)) => {
            tell(&format!("error: {message}"));
            USAGE
        }
        Err(_) => INTERNAL,
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
        assert_eq!(guarded(|| panic!("a test")), 70);
        assert_eq!(guarded(|| Err("a test".to_owned())), 2);
        assert_eq!(guarded(|| Ok(3)), 3);
    }
}
