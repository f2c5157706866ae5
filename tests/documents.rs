//! The documents name tests, cases and files that are there.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const DOCUMENTS: [&str; 11] = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/architecture.md",
    "docs/fuzzing.md",
    "docs/operations.md",
    "docs/performance.md",
    "docs/proof.md",
    "conformance/README.md",
    "verify/README.md",
];
const GROUPS: [&str; 5] = ["long.", "short.", "revoke.", "outside.", "feed."];

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What stands between backticks in a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The file of a test that is named as `matrix::tokens::a_test`.
fn file_of(module: &str) -> String {
    match module.split_once("::") {
        Some(("matrix", file)) => format!("tests/matrix/{file}.rs"),
        Some(("src", file)) => {
            let path = format!("src/{}", file.replace("::", "/"));
            let is_folder = root().join(&path).is_dir();
            if is_folder { format!("{path}/mod.rs") } else { format!("{path}.rs") }
        }
        _ => format!("tests/{module}.rs"),
    }
}

#[test]
fn what_the_threat_model_cites_is_there() {
    let document = read("SECURITY.md");
    let ids = read("conformance/src/cases/ids.txt");
    let ids: BTreeSet<&str> = ids.lines().collect();
    let (mut tests, mut cases) = (0, 0);
    let attacks = document.split("\n## Attacks").nth(1).unwrap().split("\n## ").next().unwrap();
    for row in attacks.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| attack ")) {
        let shown_by = row.rsplit('|').nth(1).unwrap();
        assert!(quoted(shown_by).next().is_some(), "no test shows: {row}");
        for name in quoted(shown_by) {
            if let Some((module, test)) = name.rsplit_once("::") {
                tests += 1;
                let file = file_of(module);
                let text = read(&file);
                let at = text.find(&format!("fn {test}(")).unwrap_or_else(|| panic!("{file} has no {test}"));
                let before = text[..at].trim_end_matches("async ").trim_end();
                assert!(before.ends_with("test]"), "{name} is no test");
            } else {
                cases += 1;
                assert!(ids.contains(name) && GROUPS.iter().any(|group| name.starts_with(group)), "no case is {name}");
            }
        }
    }
    assert!(tests > 30 && cases > 30, "{tests} tests and {cases} cases were looked for");
}

#[test]
fn links_lead_somewhere() {
    let mut followed = 0;
    for document in DOCUMENTS {
        let text = read(document);
        let folder = root().join(document);
        let folder = folder.parent().unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("https://") || target == "REPLACE" {
                continue;
            }
            followed += 1;
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let linked = if file.is_empty() { root().join(document) } else { folder.join(file) };
            assert!(linked.exists(), "{document} links to {target}");
            if !heading.is_empty() {
                let linked = fs::read_to_string(&linked).unwrap();
                assert!(linked.lines().filter_map(anchor).any(|anchor| anchor == heading), "{document}: {target}");
            }
        }
    }
    assert!(followed > 10, "{followed}");
}

/// The anchor that a heading gets.
fn anchor(line: &str) -> Option<String> {
    let title = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    Some(kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect())
}

#[test]
fn every_fuzz_target_has_its_row() {
    let document = read("docs/fuzzing.md");
    let rows = document.lines().filter(|line| line.starts_with("| `")).filter_map(|line| quoted(line).next());
    let targets =
        ["src/fuzz.rs", "src/client/fuzz.rs", "verify/src/fuzz.rs", "conformance/src/fuzz.rs", "fuzz/tests/readers.rs"]
            .map(read);
    let targets =
        targets.iter().flat_map(|text| text.split("#[test]\nfn ").skip(1)).filter_map(|rest| rest.split('(').next());
    assert_eq!(rows.collect::<BTreeSet<_>>(), targets.collect::<BTreeSet<_>>());
}
