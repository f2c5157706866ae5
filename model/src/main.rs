//! Searches the model. `model`: the large bounds; `model small`: those of `cargo test`; `model NAME`: those whose names
//! begin with NAME.

#![allow(clippy::disallowed_methods, reason = "the search is timed")]

use std::process::ExitCode;
use std::time::Instant;

use model::protocol::Protocol;
use model::scope::{LARGE, SMALL};
use stateright::{Checker, HasDiscoveries, Model, Path};

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1);
    let scopes = match wanted.as_deref() {
        None => LARGE.to_vec(),
        Some("small") => SMALL.to_vec(),
        Some(name) => SMALL.into_iter().chain(LARGE).filter(|scope| scope.name.starts_with(name)).collect(),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut is_sound = !scopes.is_empty();
    println!("{:32} {:>11} {:>6} {:>8}", "bound", "states", "depth", "seconds");
    for scope in scopes {
        let began = Instant::now();
        let protocol = Protocol { scope, mutant: None };
        // Depth-first search takes a hundredth of the memory.
        let checker = protocol.clone().checker().threads(threads).spawn_dfs().join();
        let (states, depth, took) = (checker.unique_state_count(), checker.max_depth(), began.elapsed().as_secs_f64());
        println!("{:32} {states:>11} {depth:>6} {took:>8.1}", scope.name);
        let found = checker.discoveries();
        for property in protocol.properties() {
            let is_failure = property.expectation.discovery_is_failure();
            if found.contains_key(property.name) != is_failure {
                continue;
            }
            is_sound = false;
            println!("  {}: {}", if is_failure { "broken" } else { "never seen" }, property.name);
            if is_failure {
                show(&protocol, property.name);
            }
        }
    }
    if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The shortest history that breaks a property.
fn show(protocol: &Protocol, property: &'static str) {
    let wanted = HasDiscoveries::AnyOf([property].into());
    let checker = protocol.clone().checker().finish_when(wanted).spawn_bfs().join();
    for action in checker.discovery(property).into_iter().flat_map(Path::into_actions) {
        println!("    {}", protocol.format_action(&action));
    }
}
