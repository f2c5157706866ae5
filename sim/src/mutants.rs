//! Tests the simulation itself: injects faults into the protocol, each of which it must find.
//!
//! Makes one copy of the workspace with all faults, so that it is built only once; the environment variable `MUTANT`
//! switches a fault on. A fault is a piece of the source and its replacement; a test checks that the source contains
//! each piece.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

mod list;

pub use list::MUTANTS;

/// A fault: in `file`, the first `from` after `after` is replaced with `to`.
#[derive(Debug)]
pub struct Mutant {
    pub name: &'static str,
    pub file: &'static str,
    pub after: &'static str,
    pub from: &'static str,
    pub to: &'static str,
}

impl Mutant {
    /// Its position in the source.
    fn place(&self, source: &str) -> Result<usize, String> {
        let Self { name, file, after, from, .. } = self;
        let start = source.find(after).ok_or_else(|| format!("{name}: {file} has no {after:?}"))? + after.len();
        let at = source[start..].find(from).ok_or_else(|| format!("{name}: {file} has no {from:?} after {after:?}"))?;
        Ok(start + at)
    }
}

/// The source of a file with all of its faults, each behind its switch.
fn with_switches(file: &str, source: &str) -> Result<String, String> {
    let mut places = Vec::new();
    for mutant in MUTANTS.iter().filter(|mutant| mutant.file == file) {
        places.push((mutant.place(source)?, mutant));
    }
    places.sort_by_key(|(at, mutant)| (*at, mutant.name));
    let mut switched = String::new();
    let mut done = 0;
    let mut rest = places.as_slice();
    while let Some((at, first)) = rest.first() {
        if *at < done {
            return Err(format!("{}: its piece of the source overlaps that of another fault", first.name));
        }
        let here = rest.iter().take_while(|(other, mutant)| other == at && mutant.from == first.from).count();
        let mut switch = String::new();
        for (_, Mutant { name, to, .. }) in &rest[..here] {
            switch += &format!("if crate::mutant::is({name:?}) {{ {to} }} else ");
        }
        let is_statement = first.from.ends_with([';', '}']);
        let switch = format!("{switch}{{ {} }}", first.from);
        switched += &source[done..*at];
        switched += &if is_statement { switch } else { format!("({switch})") };
        done = at + first.from.len();
        rest = &rest[here..];
    }
    Ok(switched + &source[done..])
}

const SWITCH: &str = r#"
/// Whether a fault is switched on.
pub mod mutant {
    pub fn is(name: &str) -> bool {
        static ON: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        ON.get_or_init(|| std::env::var("MUTANT").unwrap_or_default()) == name
    }
}
"#;

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&from, &to)?;
        } else if fs::read(&from)? != fs::read(&to).unwrap_or_default() {
            // An unchanged file keeps its modification time, so that nothing is rebuilt for it.
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

/// Makes the copy and builds it. Returns the path of the command.
fn build(root: &Path) -> Result<PathBuf, String> {
    let said = |error: std::io::Error| error.to_string();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let copied = target.join("mutants");
    for folder in ["sim", "verify/src", "assets"] {
        copy(&root.join(folder), &copied.join(folder)).map_err(said)?;
    }
    let write = |file: &str, text: String| {
        let to = copied.join(file);
        if fs::read_to_string(&to).is_ok_and(|written| written == text) {
            return Ok(());
        }
        fs::create_dir_all(to.parent().unwrap_or(&copied)).and_then(|()| fs::write(&to, text)).map_err(said)
    };
    let read = |file: &str| fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"));
    for file in sources(root, "src").map_err(said)? {
        let source = with_switches(&file, &read(&file)?)?;
        write(&file, if file == "src/lib.rs" { source + SWITCH } else { source })?;
    }
    let manifest = read("Cargo.toml")?;
    let members = manifest.lines().find(|line| line.starts_with("members = ")).unwrap_or_default();
    write("Cargo.toml", without_tests(&manifest.replace(members, "members = [\"sim\", \"verify\"]")))?;
    write("Cargo.lock", read("Cargo.lock")?)?;
    write("verify/Cargo.toml", without_tests(&read("verify/Cargo.toml")?))?;
    write("sim/Cargo.toml", read("sim/Cargo.toml")?.replace("name = \"simulate\"", "name = \"simulate-mutants\""))?;
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--profile", "sim", "-p", "auth-edge-sim", "--manifest-path"])
        .arg(copied.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target)
        // A fault may leave code unused.
        .env("RUSTFLAGS", "-Awarnings")
        .status();
    match status {
        Ok(status) if status.success() => Ok(target.join("sim/simulate-mutants")),
        Ok(_) => Err("the copy of the code with the faults does not build".to_owned()),
        Err(error) => Err(format!("cargo: {error}")),
    }
}

/// A manifest without the parts for tests, examples and benches.
fn without_tests(manifest: &str) -> String {
    let mut sections: Vec<String> = vec![String::new()];
    for line in manifest.lines() {
        if line.starts_with('[') {
            sections.push(String::new());
        }
        if let Some(section) = sections.last_mut() {
            *section += &format!("{line}\n");
        }
    }
    let is_for_tests = |section: &String| {
        let header = section.lines().next().unwrap_or_default();
        header.contains("dev-dependencies]") || header.starts_with("[[")
    };
    sections.into_iter().filter(|section| !is_for_tests(section)).collect()
}

fn sources(root: &Path, folder: &str) -> std::io::Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            files.extend(sources(root, &name)?);
        } else if name.ends_with(".rs") {
            files.push(name);
        }
    }
    Ok(files)
}

/// Runs the simulation with each fault whose name contains `only`, for at most `seconds` each. Returns how many were
/// not found.
#[allow(clippy::disallowed_methods, reason = "the runs are timed")]
pub fn prove(root: &Path, only: &str, seconds: u64) -> Result<usize, String> {
    println!("Building a copy of the code with switchable faults …");
    let simulate = build(root)?;
    let mut missed = 0;
    let chosen: Vec<_> = MUTANTS.iter().filter(|mutant| mutant.name.contains(only)).collect();
    for Mutant { name, .. } in &chosen {
        let began = Instant::now();
        let run = Command::new(&simulate)
            .args(["--seeds", "100000000", "--brief", "--seconds", &seconds.to_string()])
            .env("MUTANT", name)
            .output()
            .map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&run.stdout);
        let found = said.lines().find_map(|line| line.strip_prefix("BROKEN by seed ")).unwrap_or_default();
        let seconds = began.elapsed().as_secs_f64();
        if run.status.code() == Some(1) && !found.is_empty() {
            println!("  found   {name:<34} {seconds:>6.1} s  seed {found}");
        } else {
            missed += 1;
            println!("  MISSED  {name:<34} {seconds:>6.1} s");
        }
    }
    println!("{} of {} faults found.", chosen.len() - missed, chosen.len());
    Ok(missed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_place() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (nth, Mutant { name, file, .. }) in MUTANTS.iter().enumerate() {
            let source = fs::read_to_string(root.join(file)).unwrap_or_default();
            let switched = with_switches(file, &source);
            assert!(switched.as_ref().is_ok_and(|switched| switched.contains(name)), "{switched:.200?}");
            assert!(MUTANTS[..nth].iter().all(|other| other.name != *name), "{name} is listed twice");
        }
    }
}
