//! Searches the model within small bounds: every promise holds, everything that should happen does, and each mutant is
//! found.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use model::mutant::Mutant;
use model::protocol::Protocol;
use model::scope::SMALL;
use stateright::{Checker, Expectation, HasDiscoveries, Model};

#[test]
fn every_promise_holds_in_every_state() {
    for scope in SMALL {
        let checker = Protocol { scope, mutant: None }.checker().spawn_bfs().join();
        checker.assert_properties();
        println!("{}: {} states, depth {}", scope.name, checker.unique_state_count(), checker.max_depth());
    }
}

#[test]
fn every_mutant_is_found() {
    for mutant in Mutant::ALL {
        let (property, scope) = mutant.breaks();
        let protocol = Protocol { scope, mutant: Some(mutant) };
        let wanted = HasDiscoveries::AnyOf(BTreeSet::from([property]));
        let checker = protocol.checker().finish_when(wanted).spawn_bfs().join();
        let Some(path) = checker.discovery(property) else {
            panic!("{mutant:?} was not found: no history breaks \"{property}\"")
        };
        println!("{mutant:?} breaks: {property}");
        path.into_actions().iter().for_each(|action| println!("    {}", checker.model().format_action(action)));
    }
}

/// A promise that no mutant breaks might be vacuous.
#[test]
fn every_promise_is_broken_by_a_mutant() {
    let broken: BTreeSet<_> = Mutant::ALL.into_iter().map(|mutant| mutant.breaks().0).collect();
    let promises = SMALL.into_iter().flat_map(|scope| Protocol { scope, mutant: None }.properties());
    let promises = promises.filter(|property| property.expectation == Expectation::Always);
    let promised: BTreeSet<_> = promises.map(|property| property.name).collect();
    assert_eq!(broken.symmetric_difference(&promised).collect::<Vec<_>>(), Vec::<&&str>::new());
}

/// Each step of the model names the function that it stands for. If one was renamed or removed, update the model too.
#[test]
fn the_functions_that_the_model_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |folder: &str| -> String {
        let files = fs::read_dir(root.join(folder)).unwrap().map(|file| file.unwrap().path());
        files
            .filter(|file| file.extension().is_some_and(|end| end == "rs"))
            .map(|file| fs::read_to_string(file).unwrap())
            .collect()
    };
    let code: String = ["src/client", "src/feed", "src/operations", "verify/src"].map(read).concat();
    let model = read("model/src");
    let comments = model.lines().map(str::trim).filter(|line| line.starts_with("//"));
    let names = comments.flat_map(|line| line.split('`').skip(1).step_by(2));
    let functions: BTreeSet<_> =
        names.filter_map(|name| name.rsplit_once("::")).map(|(_, function)| function).collect();
    let functions: Vec<_> = functions.into_iter().filter(|name| name.starts_with(char::is_lowercase)).collect();
    assert!(functions.len() > 30, "{functions:?}");
    for function in functions {
        assert!(code.contains(&format!("fn {function}(")) || code.contains(&format!("fn {function}<")), "{function}");
    }
}
