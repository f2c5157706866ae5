//! Checks that the tests, cases, files, paths, codes, settings and commands that the documents name exist.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const DOCUMENTS: [&str; 14] = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/api.md",
    "docs/architecture.md",
    "docs/clients.md",
    "docs/fuzzing.md",
    "docs/operations.md",
    "docs/performance.md",
    "docs/proof.md",
    "docs/runbook.md",
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

/// The text between backticks in a line.
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
fn every_test_and_case_that_the_threat_model_cites_exists() {
    let document = read("SECURITY.md");
    let ids = read("conformance/src/cases/ids.txt");
    let ids: BTreeSet<&str> = ids.lines().collect();
    let (mut tests, mut cases) = (0, 0);
    let attacks = document.split("\n## Attacks").nth(1).unwrap().split("\n## ").next().unwrap();
    for row in attacks.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| attack ")) {
        let shown_by = row.rsplit('|').nth(1).unwrap();
        assert!(quoted(shown_by).next().is_some(), "a row names no test: {row}");
        for name in quoted(shown_by) {
            if let Some((module, test)) = name.rsplit_once("::") {
                tests += 1;
                let file = file_of(module);
                let text = read(&file);
                let at = text.find(&format!("fn {test}(")).unwrap_or_else(|| panic!("{file} has no {test}"));
                let before = text[..at].trim_end_matches("async ").trim_end();
                assert!(before.ends_with("test]"), "{name} is not a test");
            } else {
                cases += 1;
                assert!(
                    ids.contains(name) && GROUPS.iter().any(|group| name.starts_with(group)),
                    "there is no case {name}"
                );
            }
        }
    }
    assert!(tests > 30 && cases > 30, "only {tests} tests and {cases} cases were found in SECURITY.md");
}

#[test]
fn every_document_is_checked() {
    fn find(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_str().unwrap();
            if path.is_dir() && !name.starts_with('.') && !matches!(name, "target" | "node_modules" | "build") {
                find(&path, found);
            } else if name.ends_with(".md") {
                found.insert(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = BTreeSet::new();
    find(root(), &mut found);
    assert_eq!(found, DOCUMENTS.map(str::to_owned).into());
}

/// The lines outside code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

#[test]
fn every_link_has_a_target() {
    let mut followed = 0;
    for document in DOCUMENTS {
        let text = read(document);
        let folder = root().join(document);
        let folder = folder.parent().unwrap();
        let defined: BTreeSet<&str> =
            prose(&text).filter_map(|line| line.strip_prefix('[')?.split_once("]: ")).map(|(name, _)| name).collect();
        let whole: String = prose(&text).flat_map(|line| [line, "\n"]).collect();
        for name in whole.split("][").skip(1).filter_map(|rest| rest.split(']').next()) {
            assert!(defined.contains(name), "{document} does not define the link [{name}]");
        }
        let inline = whole.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let references = prose(&text).filter_map(|line| Some(line.strip_prefix('[')?.split_once("]: ")?.1));
        for target in inline.chain(references) {
            if target.starts_with("https://") {
                continue;
            }
            followed += 1;
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let linked = if file.is_empty() { root().join(document) } else { folder.join(file) };
            assert!(linked.exists(), "{document} links to {target}, which does not exist");
            if !heading.is_empty() {
                let linked = fs::read_to_string(&linked).unwrap();
                let anchors: Vec<_> = prose(&linked).filter_map(anchor).filter(|anchor| anchor == heading).collect();
                assert_eq!(anchors.len(), 1, "{document}: {target}");
            }
        }
    }
    assert!(followed > 100, "{followed}");
}

/// The anchor of a heading.
fn anchor(line: &str) -> Option<String> {
    let title = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    Some(kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect())
}

/// The section under a second-level heading.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    rest.split("\n## ").next().unwrap()
}

#[test]
fn the_reference_has_each_code_with_its_status() {
    let (source, document) = (read("src/error.rs"), read("docs/api.md"));
    let source = source.split("fn status_and_code").nth(1).unwrap().split("\n    }\n").next().unwrap();
    let pairs = source.split('(').filter_map(|rest| {
        let (status, rest) = rest.split_once(", \"")?;
        Some((status.parse::<u16>().ok()?, rest.split('"').next()?.to_owned()))
    });
    let rows = section(&document, "Errors").lines().filter(|line| line.starts_with("| ")).filter_map(|line| {
        let mut cells = line.split(" | ");
        let status = cells.next()?.trim_start_matches("| ").parse::<u16>().ok()?;
        Some((status, quoted(cells.next()?).next()?.to_owned()))
    });
    assert_eq!(rows.collect::<BTreeSet<_>>(), pairs.collect::<BTreeSet<_>>());
}

#[test]
fn the_reference_has_each_path() {
    let (openapi, document) = (read("openapi.yaml"), read("docs/api.md"));
    let paths: Vec<_> =
        openapi.lines().filter_map(|line| line.strip_prefix("  /")?.strip_suffix(':')).map(str::to_owned).collect();
    assert!(paths.len() > 10);
    for path in paths {
        let shown = path.replace("{clientId}", "{id}").replace("{secretId}", "{secret_id}");
        let is_there = quoted(&document).any(|quote| {
            let at = quote.split(' ').next_back().unwrap().split('?').next().unwrap();
            at == format!("/{shown}") || at == format!("/v1/{shown}")
        });
        assert!(is_there, "docs/api.md lacks /{path}");
    }
}

#[test]
fn each_setting_has_its_row() {
    let (source, document) = (read("src/settings.rs"), read("docs/operations.md"));
    let source = source.split("#[cfg(test)]").next().unwrap();
    let named = ["lookup(\"", "required(\"", "number(\""].into_iter().flat_map(|before| {
        source.split(before).skip(1).map(|rest| rest.split('"').next().unwrap()).collect::<Vec<_>>()
    });
    let rows = section(&document, "Settings").lines().filter(|line| line.starts_with("| `"));
    let rows = rows.filter_map(|line| quoted(line).next());
    assert_eq!(rows.collect::<BTreeSet<_>>(), named.collect::<BTreeSet<_>>());
}

#[test]
fn make_has_each_target_that_is_named() {
    let makefile = read("Makefile");
    let mut named = 0;
    for document in DOCUMENTS {
        let text = read(document);
        let commands =
            text.lines().flat_map(|line| quoted(line).chain([line])).map(|text| text.trim_start_matches("- "));
        for target in commands.filter_map(|text| text.strip_prefix("make ")?.split([' ', '\n']).next()) {
            named += 1;
            let is_target = makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
            assert!(
                is_target || document == "CHANGELOG.md",
                "{document} names `make {target}`, which the Makefile lacks"
            );
        }
    }
    assert!(named > 20, "{named}");
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
