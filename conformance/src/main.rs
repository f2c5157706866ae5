//! `conformance`: holds any deployment of the token API to its contract, over HTTP.
//!
//! The way of a run, from the top; no file imports what stands above it:
//!
//! | files | what |
//! |---|---|
//! | `cli`, `command`, `exit` | the command line, what each command does, how it ends |
//! | `explain`, `lag` | a case in the words of HTTP; how long revocations take to hold |
//! | `selftest` | the harness against its own reference server and mutants of it |
//! | `terminal`, `report`, `groups` | what is shown, of `result` |
//! | `schedule`, `preflight`, `clean_up`, `verdict` | the order of a run, what comes before it, its end, what it came to |
//! | `own` | cases from a file of the user's |
//! | `choice` | which rows a run consists of, by `profile` and flags |
//! | `cases` | the table, one file for each operation and theme; `case` says what a row is |
//! | `trial` | one case under way: tokens, requests, judging |
//! | `run`, `watch`, `transcript` | what cases share: sending, what holds for every answer, what may be shown |
//! | `ask`, `matrix`, `endpoint`, `stop` | the words for all this |
//! | `http`, `identities`, `ledger`, `mask`, `patience`, … | each one thing, and nothing of the above |
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
mod explain;
#[cfg(test)]
mod fuzz;
mod glob;
mod groups;
mod http;
mod identities;
mod interrupt;
mod jose;
mod lag;
mod ledger;
mod mask;
mod matrix;
mod own;
mod patience;
mod preflight;
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
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    #[test]
    fn a_panic_is_70_and_a_mistake_2() {
        assert_eq!(guarded(|| panic!("a test")), Exit::Internal);
        assert_eq!(guarded(|| Err("a test".to_owned())), Exit::Usage);
        assert_eq!(guarded(|| Ok(Exit::Incomplete)), Exit::Incomplete);
    }

    /// What each file of `src/` imports, tests aside; a folder counts as one.
    fn imports() -> BTreeMap<String, BTreeSet<String>> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut folders = vec![source.clone()];
        while let Some(folder) = folders.pop() {
            for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "rs") {
                    let below = path.strip_prefix(&source).unwrap().to_str().unwrap();
                    let name = below.split(['/', '.']).next().unwrap().to_owned();
                    let text = std::fs::read_to_string(&path).unwrap();
                    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
                    let here = all.entry(name.clone()).or_default();
                    for rest in code.split("crate::").skip(1) {
                        let names = rest.strip_prefix('{').map_or(rest, |list| list.split('}').next().unwrap());
                        let ends = |c: char| !(c.is_alphanumeric() || c == '_');
                        let many = if rest.starts_with('{') { names.split(',').collect() } else { vec![names] };
                        let firsts = many.iter().filter_map(|name| name.trim().split(ends).next());
                        here.extend(firsts.filter(|first| **first != *name).map(str::to_owned));
                    }
                }
            }
        }
        let known: BTreeSet<_> = all.keys().cloned().collect();
        all.values_mut().for_each(|names| names.retain(|name| known.contains(name)));
        all
    }

    #[test]
    fn no_imports_go_round_in_a_circle() {
        let mut left = imports();
        assert!(left["schedule"].contains("run") && left["selftest"].contains("schedule"), "{left:?}");
        // Whatever imports nothing that is left stands at the bottom.
        loop {
            let bottom: Vec<_> = left.iter().filter(|(_, all)| all.is_empty()).map(|(name, _)| name.clone()).collect();
            if bottom.is_empty() {
                break;
            }
            left.retain(|name, _| !bottom.contains(name));
            left.values_mut().for_each(|all| all.retain(|name| !bottom.contains(name)));
        }
        assert!(left.is_empty(), "these import each other: {left:?}");
    }
}
