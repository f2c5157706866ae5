//! The reports of a run. JSON is the canonical one; the others are drawn from the same [`Report`], so none of them
//! knows more than it. Each is the same text for the same report, to the byte.

pub mod diff;
mod html;
pub mod json;
mod junit;
mod markdown;
#[cfg(test)]
pub mod sample;
mod text;

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::result::{CaseResult, Cell, Cleanup, Counts, Outcome, Report, Verdict};

pub use diff::diff;
pub use json::read;
pub use text::visible;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Json,
    Junit,
    Markdown,
    Html,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Json, Self::Junit, Self::Markdown, Self::Html];

    fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Junit => "junit",
            Self::Markdown => "markdown",
            Self::Html => "html",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| format!("there is no report of the kind {name:?}: give one of json, junit, markdown, html"))
    }
}

/// What one `--report` asks for: `html=build/report.html`, or `json=-` for standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub kind: Kind,
    pub path: PathBuf,
}

impl FromStr for Request {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((kind, path)) if !path.is_empty() => Ok(Self { kind: kind.parse()?, path: path.into() }),
            _ => Err(format!(
                "{text:?} does not say where the report goes: write KIND=PATH, such as html=report.html; - is standard output"
            )),
        }
    }
}

/// Writes the report as `kind` to `path`; `-` is standard output. Missing directories are made: a run of half a minute
/// is not lost for want of one.
pub fn write(kind: Kind, path: &Path, report: &Report) -> Result<(), String> {
    let text = render(kind, report)?;
    if path.as_os_str() == "-" {
        let mut out = io::stdout().lock();
        return match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // The reader, such as `head`, has had enough: no fault of the run.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(format!(
                "cannot write the {kind} report to standard output: {error}; give a file instead, {kind}=PATH"
            )),
            Ok(()) => Ok(()),
        };
    }
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::create_dir_all(directory).map_err(|error| {
            format!(
                "cannot make the directory {} for the {kind} report: {error}; give a path where you may write",
                directory.display()
            )
        })?;
    }
    fs::write(path, text).map_err(|error| {
        format!("cannot write the {kind} report to {}: {error}; give a path where you may write", path.display())
    })
}

fn render(kind: Kind, report: &Report) -> Result<String, String> {
    match kind {
        Kind::Json => json::render(report),
        Kind::Junit => Ok(junit::render(report)),
        Kind::Markdown => Ok(markdown::render(report)),
        Kind::Html => Ok(html::render(report)),
    }
}

// What the reports say alike: the words for a verdict and an outcome, and what belongs to which cell.

fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Conformant => "Conformant",
        Verdict::NotConformant => "Not conformant",
        Verdict::Incomplete => "Incomplete",
        Verdict::Unreachable => "Unreachable",
        Verdict::InternalError => "Internal error",
    }
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "Pass",
        Outcome::Fail => "Fail",
        Outcome::Blocked => "Blocked",
        Outcome::NotApplicable => "Not applicable",
        Outcome::ExpectedFail => "Expected fail",
        Outcome::UnexpectedPass => "Unexpected pass",
        Outcome::Error => "Error",
    }
}

/// What most needs a reader comes first; every list and every mixed cell follows this order.
const WORST_FIRST: [Outcome; 7] = [
    Outcome::Fail,
    Outcome::Error,
    Outcome::UnexpectedPass,
    Outcome::Blocked,
    Outcome::ExpectedFail,
    Outcome::NotApplicable,
    Outcome::Pass,
];

fn count(counts: &Counts, outcome: Outcome) -> u32 {
    match outcome {
        Outcome::Pass => counts.pass,
        Outcome::Fail => counts.fail,
        Outcome::Blocked => counts.blocked,
        Outcome::NotApplicable => counts.not_applicable,
        Outcome::ExpectedFail => counts.expected_fail,
        Outcome::UnexpectedPass => counts.unexpected_pass,
        Outcome::Error => counts.error,
    }
}

fn total(counts: &Counts) -> u32 {
    WORST_FIRST.iter().map(|&outcome| count(counts, outcome)).sum()
}

/// The outcome that a cell as a whole shows; nothing where no case ran.
fn worst(counts: &Counts) -> Option<Outcome> {
    // A cell that passes but for cases the deployment declares absent has passed.
    let settled = [Outcome::Pass, Outcome::NotApplicable];
    WORST_FIRST
        .into_iter()
        .filter(|outcome| !settled.contains(outcome))
        .chain(settled)
        .find(|&outcome| count(counts, outcome) > 0)
}

/// "2 fail, 1 blocked, 14 pass"
fn spelled(counts: &Counts) -> String {
    let parts: Vec<String> = WORST_FIRST
        .into_iter()
        .filter(|&outcome| count(counts, outcome) > 0)
        .map(|outcome| format!("{} {}", count(counts, outcome), outcome_name(outcome).to_lowercase()))
        .collect();
    if parts.is_empty() { "no case ran".to_owned() } else { parts.join(", ") }
}

/// The verdict's reason, and what it is about where that is not all.
fn summary(report: &Report) -> String {
    let reason = reason(report);
    match &report.part {
        Some(part) => format!("{reason} Only a part was asked for: {part}."),
        None => reason,
    }
}

fn reason(report: &Report) -> String {
    let counts = &report.counts;
    let cases = plural(total(counts) as usize, "case");
    let bad: Vec<String> = [Outcome::Fail, Outcome::UnexpectedPass, Outcome::Error, Outcome::Blocked]
        .into_iter()
        .filter(|&outcome| count(counts, outcome) > 0)
        .map(|outcome| {
            let many = count(counts, outcome);
            match outcome {
                Outcome::Fail => format!("{many} failed"),
                Outcome::UnexpectedPass => format!("{many} passed that should fail by the known-failures file"),
                Outcome::Blocked => format!("{many} could not be judged"),
                _ => format!("{many} ended in an error"),
            }
        })
        .collect();
    match report.verdict {
        Verdict::Unreachable => "The target did not answer, so nothing is proven.".to_owned(),
        Verdict::InternalError => "The harness itself failed, which says nothing about the server.".to_owned(),
        _ if total(counts) == 0 => "No case ran, so nothing is proven.".to_owned(),
        Verdict::Incomplete if bad.is_empty() && !report.cleanup.left.is_empty() => {
            format!("Of {cases}, none failed, but {}.", left_behind(&report.cleanup))
        }
        Verdict::Incomplete if bad.is_empty() => format!("Of {cases}, none failed, but the run is incomplete."),
        _ if counts.pass == total(counts) => format!("All {cases} passed."),
        _ if bad.is_empty() => {
            format!(
                "{} of {cases} passed; the others: {}.",
                counts.pass,
                spelled(&Counts { pass: 0, ..counts.clone() })
            )
        }
        _ => format!("Of {cases}, {}.", bad.join(", ")),
    }
}

/// What the clean-up could not do.
fn left_behind(cleanup: &Cleanup) -> String {
    let (tokens, clients) = cleanup.counts_left();
    let tokens = (tokens > 0).then(|| format!("{} could not be revoked", plural(tokens, "token")));
    let clients = (clients > 0).then(|| format!("{} could not be deleted", plural(clients, "client")));
    tokens.into_iter().chain(clients).collect::<Vec<_>>().join(", and ")
}

/// What the row of a group is called that is no operation, and what it is about.
fn group_title(operation: &str) -> Option<(&'static str, &'static str)> {
    match operation {
        "outside" => Some(("Outside the matrix", "paths, methods, headers")),
        "service" => Some(("Around the tokens", "the feed of ends")),
        _ => None,
    }
}

/// The path of an operation, as people know it; nothing for the rows of a group.
fn operation_path(operation: &str) -> Option<&'static str> {
    match operation {
        "issueLongTermToken" => Some("POST /auth/tokens/long"),
        "issueShortTermToken" => Some("POST /auth/tokens/short"),
        "revokeToken" => Some("POST /auth/tokens/{tokenId}/revoke"),
        _ => None,
    }
}

/// The operations of the matrix, in its order, then any that only a case names: no case is left out of a report.
fn operations(report: &Report) -> Vec<&str> {
    let named = report.matrix.iter().map(|cell| &cell.operation);
    let mut found: Vec<&str> = Vec::new();
    for operation in named.chain(report.cases.iter().map(|case| &case.operation)) {
        if !found.contains(&operation.as_str()) {
            found.push(operation);
        }
    }
    found
}

/// The statuses that any cell promises, ascending: the matrix's columns.
fn statuses(report: &Report) -> Vec<u16> {
    let mut found: Vec<u16> = report.matrix.iter().filter_map(|cell| cell.status).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn cell<'a>(report: &'a Report, operation: &str, status: Option<u16>) -> Option<&'a Cell> {
    report.matrix.iter().find(|cell| cell.operation == operation && cell.status == status)
}

/// A cell without a status, as `outside`, holds its operation's cases whatever their status.
fn holds(cell: &Cell, case: &CaseResult) -> bool {
    cell.operation == case.operation && (cell.status.is_none() || cell.status == case.status)
}

/// The cases that need a reader, worst first, each kind in the run's order.
fn attention(report: &Report) -> Vec<&CaseResult> {
    WORST_FIRST
        .into_iter()
        .filter(|&outcome| needs_reader(outcome))
        .flat_map(|outcome| report.cases.iter().filter(move |case| case.outcome == outcome))
        .collect()
}

fn needs_reader(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Fail | Outcome::Error | Outcome::UnexpectedPass | Outcome::Blocked)
}

fn plural(many: usize, noun: &str) -> String {
    if many == 1 { format!("{many} {noun}") } else { format!("{many} {noun}s") }
}

fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ if ms % 60_000 < 1_000 => format!("{} min", ms / 60_000),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_a_kind_and_a_path() {
        let request: Request = "html=out/a=b.html".parse().unwrap();
        assert_eq!(request, Request { kind: Kind::Html, path: "out/a=b.html".into() });
        for wrong in ["html", "html=", "", "pdf=x"] {
            let error = wrong.parse::<Request>().unwrap_err();
            assert!(error.contains("html"), "{error}");
        }
    }

    #[test]
    fn every_kind_is_the_same_text_for_the_same_report() {
        let report = sample::report();
        let again = json::parse(&render(Kind::Json, &report).unwrap()).unwrap();
        for kind in Kind::ALL {
            assert_eq!(render(kind, &report), render(kind, &again), "{kind}");
        }
    }

    #[test]
    fn a_report_is_written_where_it_was_asked_for() {
        let directory = std::env::temp_dir().join(format!("conformance-report-{}", std::process::id()));
        let path = directory.join("deep/er/report.xml");
        write(Kind::Junit, &path, &sample::report()).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with("<?xml"));

        let error = write(Kind::Junit, &path.join("below-a-file"), &sample::report()).unwrap_err();
        assert!(error.contains("give a path where you may write"), "{error}");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn the_summary_says_why() {
        let mut report = sample::report();
        assert_eq!(
            summary(&report),
            "Of 84 cases, 5 failed, 1 passed that should fail by the known-failures file, 1 ended in an error, 4 could not be judged."
        );
        report.counts = Counts { pass: 3, not_applicable: 1, ..Counts::default() };
        report.verdict = Verdict::Conformant;
        assert_eq!(summary(&report), "3 of 4 cases passed; the others: 1 not applicable.");
        assert_eq!(summary(&sample::conformant()), "All 84 cases passed.");
        report.counts = Counts::default();
        assert_eq!(summary(&report), "No case ran, so nothing is proven.");
    }

    #[test]
    fn every_kind_says_that_it_is_about_a_part() {
        for kind in Kind::ALL {
            let text = render(kind, &sample::part()).unwrap();
            let told = if kind == Kind::Json { "\"of\": 84" } else { "38 of 84 cases" };
            assert!(text.contains(told), "{kind}");
            assert!(!render(kind, &sample::conformant()).unwrap().contains("38 of"), "{kind}");
        }
    }

    #[test]
    fn a_token_that_is_left_is_in_the_reason() {
        let mut report = sample::conformant();
        (report.verdict, report.exit_code) = (Verdict::Incomplete, 3);
        assert_eq!(summary(&report), "Of 84 cases, none failed, but the run is incomplete.");
        report.cleanup.left = vec![("tok_lt_x".to_owned(), "no answer".to_owned())];
        assert_eq!(summary(&report), "Of 84 cases, none failed, but 1 token could not be revoked.");
        report.cleanup.left.push(("client conformance-1".to_owned(), "no answer".to_owned()));
        assert_eq!(
            summary(&report),
            "Of 84 cases, none failed, but 1 token could not be revoked, and 1 client could not be deleted."
        );
    }

    #[test]
    fn durations_read_well() {
        let read: Vec<String> = [0, 999, 1_000, 59_999, 60_000, 125_000].map(duration).to_vec();
        assert_eq!(read, ["0 ms", "999 ms", "1.0 s", "59.9 s", "1 min", "2 min 5 s"]);
    }

    #[test]
    fn a_cell_shows_its_worst() {
        let counts = |pass, not_applicable, blocked| Counts { pass, not_applicable, blocked, ..Counts::default() };
        assert_eq!(worst(&counts(3, 1, 0)), Some(Outcome::Pass));
        assert_eq!(worst(&counts(0, 1, 0)), Some(Outcome::NotApplicable));
        assert_eq!(worst(&counts(3, 1, 1)), Some(Outcome::Blocked));
        assert_eq!(worst(&Counts::default()), None);
    }

    #[test]
    #[ignore = "writes the samples to look at: REPORT_SAMPLES=DIR cargo test -p conformance -- --ignored samples"]
    fn samples() {
        let directory = PathBuf::from(std::env::var_os("REPORT_SAMPLES").unwrap());
        for (name, report) in
            [("mixed", sample::report()), ("conformant", sample::conformant()), ("unreachable", sample::unreachable())]
        {
            for kind in Kind::ALL {
                write(kind, &directory.join(format!("{name}.{kind}")), &report).unwrap();
            }
        }
    }
}
