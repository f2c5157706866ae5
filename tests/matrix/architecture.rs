//! The architecture of `src/`, checked by its imports: no cycles, and only one folder names the runtime.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const RUNTIME: [&str; 5] = ["worker", "wasm_bindgen", "js_sys", "web_sys", "getrandom"];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false if path.extension().is_some_and(|extension| extension == "rs") => found.push(path),
            false => {}
        }
    }
}

/// Each module of `src/`, by its path, with its code without tests and comments.
fn modules() -> BTreeMap<String, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&source, &mut found);
    let modules = found.iter().map(|path| {
        let name = path.strip_prefix(&source).unwrap().with_extension("").to_string_lossy().replace('/', "::");
        let name = name.strip_suffix("::mod").unwrap_or(&name).to_owned();
        let text = fs::read_to_string(path).unwrap();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        (name, lines.take_while(|line| *line != "#[cfg(test)]").collect::<Vec<_>>().join("\n"))
    });
    modules.collect()
}

/// The paths that a `use` names: `crate::a::{b, c::{d}}` gives `crate::a::b` and `crate::a::c::d`.
fn expand(tree: &str, prefix: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap().trim();
        return paths.push(format!("{prefix}{path}"));
    };
    let inner = &rest[..rest.rfind('}').unwrap()];
    let (mut depth, mut from) = (0, 0);
    for (at, char) in inner.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&inner[from..at], &format!("{prefix}{head}"), paths);
                from = at + 1;
            }
            _ => {}
        }
    }
    if !inner[from..].trim().is_empty() {
        expand(&inner[from..], &format!("{prefix}{head}"), paths);
    }
}

/// The modules that a file names in `use` and in other paths. A path stands for the longest module that it begins with.
fn imports(module: &str, text: &str, modules: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut paths = Vec::new();
    let lines = text.match_indices('\n').map(|(at, _)| text[at + 1..].trim_start()).chain([text]);
    for statement in lines {
        let words = ["use ", "pub use ", "pub(crate) use ", "pub(super) use "];
        if let Some(tree) = words.into_iter().find_map(|word| statement.strip_prefix(word)) {
            expand(tree.split(';').next().unwrap(), "", &mut paths);
        }
    }
    let code = text.match_indices("crate::").map(|(at, _)| {
        let path = &text[at..];
        path[..path.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(path.len())].to_owned()
    });
    paths.extend(code);
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let absolute = paths.iter().filter_map(|path| {
        let (first, rest) = path.split_once("::").unwrap_or((path, ""));
        match first {
            "crate" => Some(rest.to_owned()),
            "super" => Some(format!("{parent}::{rest}").trim_start_matches("::").to_owned()),
            "self" => Some(format!("{module}::{rest}")),
            // A child, named by its folder's mod.rs.
            _ if modules.contains_key(&format!("{module}::{first}")) => Some(format!("{module}::{path}")),
            _ => None,
        }
    });
    let named = absolute.filter_map(|path| {
        let mut path = path.as_str();
        loop {
            if modules.contains_key(path) {
                return Some(path.to_owned());
            }
            path = path.rsplit_once("::")?.0;
        }
    });
    named.filter(|named| named != module).collect()
}

/// A cycle through `from`, if there is one.
fn cycle(from: &str, graph: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut ways = vec![vec![from.to_owned()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in &graph[way.last().unwrap()] {
            let longer = [way.as_slice(), std::slice::from_ref(next)].concat();
            if next == from {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push(longer);
            }
        }
    }
    None
}

#[test]
fn no_imports_form_a_cycle() {
    let modules = modules();
    let graph: BTreeMap<_, _> =
        modules.iter().map(|(module, text)| (module.clone(), imports(module, text, &modules))).collect();
    assert!(graph.len() > 30 && graph.values().map(BTreeSet::len).sum::<usize>() > 100, "{graph:?}");
    assert!(graph["app"].contains("operations::revoke") && graph["client::object"].contains("client::step"));
    let cycles: Vec<_> = graph.keys().filter_map(|module| cycle(module, &graph)).map(|way| way.join(" -> ")).collect();
    assert!(cycles.is_empty(), "{}", cycles.join("\n"));
}

#[test]
fn only_one_folder_names_the_runtime() {
    let modules = modules();
    let names = |text: &str| {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        RUNTIME.into_iter().find(|name| {
            text.match_indices(name).any(|(at, _)| {
                text[at + name.len()..].starts_with("::") && !text[..at].ends_with(word) && !text[..at].ends_with("::")
            })
        })
    };
    for (module, text) in &modules {
        if module.starts_with("edge") {
            continue;
        }
        assert_eq!(names(text), None, "{module}");
    }
    let of_edge: BTreeSet<_> =
        modules.iter().filter(|(module, _)| module.starts_with("edge")).filter_map(|(_, text)| names(text)).collect();
    assert!(of_edge.contains("worker"), "{of_edge:?}");
}

/// Code that depends on a library's internals names the library's version in a comment. If Cargo.lock has another
/// version, check that code before you update the comment.
#[test]
fn library_versions_in_comments_are_the_locked_ones() {
    let lock = include_str!("../../Cargo.lock");
    for (file, text, name) in [
        ("entry.js", include_str!("../../src/edge/entry.js"), "worker"),
        ("glue.js", include_str!("../../src/edge/glue.js"), "wasm-bindgen-futures"),
    ] {
        let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).unwrap();
        let version = rest.split('"').next().unwrap();
        assert!(
            text.contains(&format!("{name} {version}")),
            "{file} depends on another version of {name} than {version}"
        );
    }
}
