//! `conformance`: holds any deployment of the token API to its contract, over HTTP.
//!
//! The way of a run: `cli` → `identities`, `profile` → `run`, which takes each row of `cases` and has a `trial` make its
//! request (`draft`), send it (`http`) and judge the answer → `result`, which `terminal` and `report` draw. Nothing
//! leaves without passing `mask`; nothing that was minted outlives the run (`ledger`).

#![allow(clippy::disallowed_methods, reason = "a run measures real time; what must be chosen in a test is in `clock`")]

mod cases;
mod cli;
mod clock;
mod command;
mod curl;
mod draft;
mod glob;
mod http;
mod identities;
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
use std::process::ExitCode;

const INTERNAL: u8 = 70;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    // A panic's own message may hold anything; where it happened is all that may be told.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        eprintln!("internal error at {place}: please report it with the command line that led here");
    }));
    let cli = cli::Cli::parse();
    let outcome = std::panic::catch_unwind(|| command::execute(cli));
    match outcome {
        Ok(Ok(code)) => ExitCode::from(code),
        Ok(Err(message)) => {
            eprintln!("error: {message}");
            ExitCode::from(USAGE)
        }
        Err(_) => ExitCode::from(INTERNAL),
    }
}
