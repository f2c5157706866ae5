//! Searches the model: `model`, the large bounds; `model small`, those of `cargo test`; `model NAME`, the bounds that are named so.

use std::process::ExitCode;
use std::time::Instant;

use model::protocol::Protocol;
use model::scope::{LARGE, SMALL};
use stateright::{Checker, Model};

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
        let checker = Protocol { scope, mutant: None }.checker().threads(threads).spawn_bfs().join();
        let (states, depth, took) = (checker.unique_state_count(), checker.max_depth(), began.elapsed().as_secs_f64());
        println!("{:32} {states:>11} {depth:>6} {took:>8.1}", scope.name);
        let found = checker.discoveries();
        for property in checker.model().properties() {
            let is_failure = property.expectation.discovery_is_failure();
            if found.contains_key(property.name) == is_failure {
                is_sound = false;
                println!("  {}: {}", if is_failure { "broken" } else { "never seen" }, property.name);
            }
            if let Some(path) = found.get(property.name).filter(|_| is_failure) {
                path.clone()
                    .into_actions()
                    .iter()
                    .for_each(|action| println!("    {}", checker.model().format_action(action)));
            }
        }
    }
    if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
