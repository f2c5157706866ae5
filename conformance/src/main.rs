//! `conformance`: tests any deployment of the token API against its contract, over HTTP.
//!
//! The files, in the order of a run. No files import each other in a circle:
//!
//! | files | what they do |
//! |---|---|
//! | `cli`, `command` | the command line, what each command does |
//! | `explain`, `lag` | shows a case as HTTP; measures how long revocations take |
//! | `selftest` | tests the harness against its own reference server and mutants of it |
//! | `terminal`, `report` | show a `result` |
//! | `schedule`, `preflight`, `clean_up`, `verdict` | the order of a run, the checks before it, the clean-up after it, the verdict |
//! | `groups`, `exit` | which failures have one cause; the exit codes |
//! | `own` | cases from the user's file |
//! | `choice` | chooses the rows of a run, by `profile` and flags |
//! | `cases` | the table of cases, one file for each operation and theme; `case` defines a row |
//! | `trial` | one running case: tokens, requests, judging |
//! | `run`, `watch`, `transcript` | what cases share: sending, promises about every answer, what may be shown |
//! | `ask`, `matrix`, `endpoint`, `stop` | the types that rows are made of |
//! | `http`, `identities`, `ledger`, `mask`, `patience`, … | one thing each |
//!
//! All output passes `mask`. Every token minted is revoked at the end (`ledger`), also after an interruption
//! (`interrupt`).

#![allow(clippy::disallowed_methods, reason = "a run measures real time; time that a test must control is in `clock`")]

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
mod skew;
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
    // A panic's message may contain a secret, so only its location is shown.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tell(&format!("internal error at {place}: please report this, with the command line"));
        if cfg!(panic = "abort") {
            std::process::exit(Exit::Internal.code().into());
        }
    }));
    let cli = cli::Cli::parse();
    ExitCode::from(guarded(|| command::execute(cli)).code())
}

/// The exit code, also after an error or a panic.
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

/// `eprintln!` would panic if stderr is closed.
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

    /// What each file of `src/` imports, without tests; a folder counts as one file.
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
        // Files that import nothing that is left are at the bottom.
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
