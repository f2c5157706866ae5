//! Helpers that the test programs share.

#![allow(dead_code, reason = "each test program uses only a part")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_conformance");

/// A directory for this test alone, which also holds the state of its runs.
pub fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

pub fn conformance(dir: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.env("XDG_STATE_HOME", dir).current_dir(dir);
    command
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn report(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub fn run(dir: &Path, base_url: &str, more: &[&str]) -> Output {
    std::fs::write(dir.join("nobody.toml"), "[valid]\nclient_id = \"a\"\nclient_secret = \"canary-secret\"\n").unwrap();
    let mut command = conformance(dir);
    command.args(["run", "--base-url", base_url]);
    if !more.contains(&"--timeout") {
        command.args(["--timeout", "500ms"]);
    }
    if !more.contains(&"--identities") {
        command.args(["--identities", "nobody.toml"]);
    }
    command.args(more).output().unwrap()
}

/// The reference server or a mutant of it, in its own process.
pub struct Reference {
    process: Child,
    pub base_url: String,
    pub identities: PathBuf,
}

impl Reference {
    pub fn start(dir: &Path, fault: Option<&str>) -> Self {
        let identities = dir.join("identities.toml");
        let mut command = conformance(dir);
        command.args(["selftest", "--serve", "0", "--identities"]).arg(&identities);
        if let Some(fault) = fault {
            command.args(["--fault", fault]);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, base_url: line.trim().to_owned(), identities }
    }

    pub fn run(&self, dir: &Path, more: &[&str]) -> Output {
        let identities = self.identities.to_str().unwrap();
        run(dir, &self.base_url, &[&["--identities", identities, "--timeout", "5s"], more].concat())
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
