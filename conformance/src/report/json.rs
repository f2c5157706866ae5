//! Writes and reads the JSON report, which `report.schema.json` in this crate's directory describes.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::result::{REPORT_VERSION, Report};
use crate::text::is_hidden;

const HOW_TO_MAKE_ONE: &str = "make one with `conformance run --report json=PATH`";

pub fn render(report: &Report) -> Result<String, String> {
    written(report)
}

pub fn written(value: &impl serde::Serialize) -> Result<String, String> {
    serde_json::to_string_pretty(value).map(|text| escape_hidden(&text) + "\n").map_err(|error| {
        format!("cannot write the report as JSON: {error}; this is a fault of the harness, please report it")
    })
}

/// Escapes characters that act on a terminal or are invisible. In JSON they can only be in strings, which allow escapes.
fn escape_hidden(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && is_hidden(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// Reads a JSON report of an earlier run.
pub fn read(path: &Path) -> Result<Report, String> {
    let name = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        format!("cannot read the report {name}: {error}; give the path of a JSON report, or {HOW_TO_MAKE_ONE}")
    })?;
    parse(&text).map_err(|error| format!("{name} {error}"))
}

/// The error is the end of a sentence that begins with the file's name.
pub fn parse(text: &str) -> Result<Report, String> {
    if text.trim().is_empty() {
        return Err(format!("is empty: {HOW_TO_MAKE_ONE}"));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| {
        format!("is not a JSON report ({error}); only the JSON report can be read back, so {HOW_TO_MAKE_ONE}")
    })?;
    // Check the version first: for another version, any other error would mislead.
    match value.get("report_version").and_then(Value::as_u64) {
        None => return Err(format!("is JSON, but not a report: it has no report_version; {HOW_TO_MAKE_ONE}")),
        Some(version) if version > u64::from(REPORT_VERSION) => {
            return Err(format!(
                "is a report of version {version}, and this conformance reads up to {REPORT_VERSION}: update conformance"
            ));
        }
        Some(version) if version < u64::from(REPORT_VERSION) => {
            return Err(format!(
                "is a report of version {version}, and this conformance reads {REPORT_VERSION}: run again to {HOW_TO_MAKE_ONE}"
            ));
        }
        Some(_) => {}
    }
    // Parse the text, not the value, so that the error names the line.
    serde_json::from_str(text).map_err(|error| format!("is a damaged report ({error}); {HOW_TO_MAKE_ONE}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_report_survives_writing_and_reading() {
        for report in sample::all() {
            let text = render(&report).unwrap();
            assert_eq!(render(&parse(&text).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn the_text_does_not_control_a_terminal() {
        let evil = "\u{1b}[31m \u{202e} \u{2066} \u{9b} \u{7f} \u{e0041} end";
        let text = render(&sample::poisoned(evil)).unwrap();
        assert!(text.contains("\\u001b[31m \\u202e \\u2066 \\u009b \\u007f \\udb40\\udc41 end"));
        assert_eq!(crate::text::visible(&text), text);
        assert_eq!(parse(&text).unwrap().cases[0].reason.as_deref(), Some(evil));
    }

    #[test]
    fn an_error_says_how_to_make_a_report() {
        let newer = render(&sample::report()).unwrap().replace("\"report_version\": 1", "\"report_version\": 2");
        let older = newer.replace("\"report_version\": 2", "\"report_version\": 0");
        for (text, wanted) in [
            ("", "is empty: make one"),
            ("<html>", "is not a JSON report"),
            ("[]", "has no report_version"),
            ("{\"report_version\":1}", "is a damaged report (missing field `tool`"),
            (newer.as_str(), "reads up to 1: update conformance"),
            (older.as_str(), "run again to make one"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
        let error = read(Path::new("no/such/report.json")).unwrap_err();
        assert!(error.starts_with("cannot read the report no/such/report.json"), "{error}");
        assert!(error.contains("--report json=PATH"), "{error}");
    }

    fn schema() -> Value {
        serde_json::from_str(include_str!("../../report.schema.json")).unwrap()
    }

    /// The published schema allows unknown members, because readers must tolerate them. This copy does not, so it finds
    /// every member that the schema forgot.
    fn closed(mut schema: Value) -> Value {
        match &mut schema {
            Value::Object(members) => {
                if members.contains_key("properties") {
                    members.insert("additionalProperties".to_owned(), Value::Bool(false));
                }
                members.values_mut().for_each(|value| *value = closed(value.take()));
            }
            Value::Array(items) => items.iter_mut().for_each(|value| *value = closed(value.take())),
            _ => {}
        }
        schema
    }

    #[test]
    fn the_schema_is_valid_and_knows_every_member() {
        let schema = schema();
        jsonschema::draft202012::meta::validate(&schema).unwrap();
        let validator = jsonschema::draft202012::new(&closed(schema)).unwrap();
        for report in sample::all() {
            let value = serde_json::to_value(&report).unwrap();
            let errors: Vec<String> =
                validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(errors.is_empty(), "{errors:#?}");
        }
    }

    #[test]
    fn the_schema_rejects_what_is_not_a_report() {
        let validator = jsonschema::draft202012::new(&schema()).unwrap();
        let good = serde_json::to_value(sample::report()).unwrap();
        assert!(validator.is_valid(&good));
        for (pointer, wrong) in [
            ("/report_version", Value::from(2)),
            ("/verdict", Value::from("green")),
            ("/exit_code", Value::from(7)),
            ("/started_at", Value::from("yesterday")),
            ("/counts/pass", Value::from(-1)),
            ("/matrix/0/status", Value::from("201")),
            ("/cases/0/outcome", Value::from("passed")),
            ("/cases/0/id", Value::Null),
            ("/cases/0/exchanges/0/request_headers/0", serde_json::json!(["only-a-name"])),
            ("/cleanup/left", Value::Null),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = wrong;
            assert!(!validator.is_valid(&bad), "{pointer}");
        }
        for member in good.as_object().unwrap().keys() {
            let mut bad = good.clone();
            bad.as_object_mut().unwrap().remove(member);
            assert!(!validator.is_valid(&bad), "{member}");
        }
    }
}
