//! Reports in files.

use crate::result::Report;
use std::path::Path;

pub fn write(kind: &str, path: &Path, report: &Report) -> Result<(), String> {
    if kind != "json" {
        return Err(format!("--report {kind}=…: only json is known so far"));
    }
    let text = serde_json::to_string_pretty(report).map_err(|e| format!("the report can't be written as JSON: {e}"))?;
    std::fs::write(path, text + "\n").map_err(|e| {
        format!("--report {kind}={}: can't be written ({}); check the directory", path.display(), e.kind())
    })
}

pub fn diff(_before: &Report, _after: &Report) -> String {
    String::new()
}
