//! The terminal's output: progress, the matrix, and each failure with a command that repeats it.

use crate::groups::{Failures, failures};
use crate::report::delays;
use crate::result::{CaseResult, Cell, Counts, Outcome, Report, Verdict};
use crate::run::Audience;
use crate::text::visible;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

/// ANSI colours, or none.
#[derive(Clone, Copy)]
pub struct Paint(pub bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }
    pub fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }
    pub fn warn(self, text: &str) -> String {
        self.with("33", text)
    }
    pub fn faint(self, text: &str) -> String {
        self.with("2", text)
    }
    pub fn strong(self, text: &str) -> String {
        self.with("1", text)
    }
}

/// Progress on stderr: one line that overwrites itself on a terminal, and nothing if stderr is not a terminal.
pub struct Console {
    live: bool,
    paint: Paint,
}

impl Console {
    pub fn new(paint: Paint) -> Self {
        Self { live: std::io::stderr().is_terminal(), paint }
    }

    pub fn clear(&self) {
        if self.live {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Audience for Console {
    fn progress(&self, done: usize, of: usize, now: &str) {
        if self.live {
            let _ = write!(std::io::stderr(), "\r\x1b[K{done}/{of}  {}", self.paint.faint(now));
        }
    }

    fn say(&self, line: &str) {
        self.clear();
        let _ = writeln!(std::io::stderr(), "{}", printable(line));
    }
}

/// Text from a server must not control the terminal, reorder text, or start a new line.
pub fn printable(text: &str) -> String {
    visible(text).replace('\n', "‹U+000A›").replace('\t', " ")
}

pub fn summary(report: &Report, paint: Paint) -> String {
    if let Some(first) = report.cases.iter().find(|c| c.id == "sanity.first" && c.outcome != Outcome::Pass) {
        return nobody_there(report, first, paint);
    }
    let mut out = String::new();
    let _ = writeln!(out, "{} against {}", paint.strong(&report.tool.name), printable(&report.target.base_url));
    let _ = writeln!(out);
    matrix(&mut out, report, paint);
    for group in failures(&report.cases) {
        failure(&mut out, &group, paint);
    }
    let noted: Vec<_> =
        report.cases.iter().filter(|c| matches!(c.outcome, Outcome::ExpectedFail | Outcome::NotApplicable)).collect();
    if !noted.is_empty() {
        let _ = writeln!(out);
        for case in noted {
            let reason = printable(case.reason.as_deref().unwrap_or_default());
            let _ = writeln!(out, "{} {}: {reason}", paint.faint(word(case.outcome)), case.id);
        }
    }
    let _ = writeln!(out);
    for line in &report.advice {
        let _ = writeln!(out, "{}", paint.warn(&printable(line)));
    }
    for (delays, sentence) in report.consistency.iter().flat_map(|c| &c.by_operation).zip(delays::sentences(report)) {
        let _ = writeln!(out, "time until a revoked token was refused, {}", printable(&sentence));
        if report.profile == "lag" {
            for bar in delays::bars(delays) {
                let _ = writeln!(out, "  {bar}");
            }
        }
    }
    let cleanup = &report.cleanup;
    let _ = writeln!(out, "{} tokens minted, {} revoked", cleanup.minted, cleanup.revoked);
    for (id, why) in cleanup.left.iter().take(5) {
        let _ = writeln!(out, "  left behind: {} ({})", printable(id), printable(why));
    }
    let verdict = match report.verdict {
        Verdict::Conformant => paint.good("conformant"),
        Verdict::NotConformant => paint.bad("not conformant"),
        Verdict::Incomplete => paint.warn("incomplete"),
        Verdict::Unreachable => paint.bad("unreachable"),
        Verdict::InternalError => paint.bad("internal error"),
    };
    let _ = writeln!(
        out,
        "{verdict}, profile {}{}: {} in {:.1} s",
        report.profile,
        report.part.as_ref().map(|part| format!(", {}", printable(&part.to_string()))).unwrap_or_default(),
        counted(&report.counts),
        report.duration_ms as f64 / 1000.0
    );
    out
}

/// If no case could run, one line says why.
fn nobody_there(report: &Report, first: &CaseResult, paint: Paint) -> String {
    let url = printable(&report.target.base_url);
    let why = printable(first.got.as_ref().or(first.reason.as_ref()).map_or("", String::as_str));
    if report.verdict == Verdict::Unreachable {
        let unreachable = paint.bad("unreachable");
        return format!(
            "{unreachable}: {url}: {why}. Check --base-url, and that the server is running and reachable from here.\n"
        );
    }
    match report.verdict {
        Verdict::NotConformant => {
            format!("{}: {url} answered {why}. No case was run.\n", paint.bad("not conformant"))
        }
        Verdict::InternalError => format!("{}: {why}\n", paint.bad("internal error")),
        _ => format!("{}: {why}\n", paint.warn("incomplete")),
    }
}

fn matrix(out: &mut String, report: &Report, paint: Paint) {
    let mut operation = "";
    for cell in &report.matrix {
        if cell.operation != operation {
            operation = &cell.operation;
            let _ = writeln!(out, "{}", paint.strong(operation));
        }
        let status = cell.status.map_or_else(|| "  ·".to_owned(), |s| s.to_string());
        let _ = writeln!(out, "  {} {}", mark(cell, &status, paint), counted(&cell.counts));
    }
}

fn mark(cell: &Cell, status: &str, paint: Paint) -> String {
    let c = &cell.counts;
    if c.fail + c.unexpected_pass > 0 {
        paint.bad(&format!("✗ {status}"))
    } else if c.blocked + c.error > 0 || c.pass == 0 {
        paint.warn(&format!("? {status}"))
    } else {
        paint.good(&format!("✓ {status}"))
    }
}

fn counted(counts: &Counts) -> String {
    let all = [
        (counts.pass, "passed"),
        (counts.fail, "failed"),
        (counts.blocked, "blocked"),
        (counts.not_applicable, "not applicable"),
        (counts.expected_fail, "failed as expected"),
        (counts.unexpected_pass, "passed unexpectedly"),
        (counts.error, "ended in an error"),
    ];
    let told: Vec<_> = all.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if told.is_empty() { "nothing ran".to_owned() } else { told.join(", ") }
}

fn failure(out: &mut String, group: &Failures<'_>, paint: Paint) {
    let case = group.telling;
    let more = match group.others.len() {
        0 => String::new(),
        n => format!(" and {n} more with the same difference"),
    };
    let _ = writeln!(out, "\n{} {}{more}", paint.bad(word(case.outcome)), paint.strong(&case.id));
    let _ = writeln!(out, "  required: {}", case.requirement);
    match (&case.wanted, &case.got) {
        (Some(wanted), Some(got)) => {
            let _ = writeln!(out, "  wanted:   {}\n  got:      {}", printable(wanted), printable(got));
        }
        _ => {
            let _ = writeln!(out, "  {}", printable(case.reason.as_deref().unwrap_or_default()));
        }
    }
    if let Some(curl) = &case.curl {
        let _ = writeln!(out, "  {}", paint.faint(&printable(curl)));
    }
    if !group.others.is_empty() {
        let ids: Vec<_> = group.others.iter().take(6).map(|case| case.id.as_str()).collect();
        let rest = group.others.len() - ids.len();
        let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        let _ = writeln!(out, "  also:     {}{rest}", ids.join(" "));
    }
}

pub fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "FAIL",
        Outcome::Blocked => "blocked",
        Outcome::NotApplicable => "n/a",
        Outcome::ExpectedFail => "xfail",
        Outcome::UnexpectedPass => "XPASS",
        Outcome::Error => "ERROR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_text_does_not_control_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[2J\r\nb\u{202e}c\u{2066}d\u{9b}31m\te\u{7}"),
            "a‹U+001B›[2J‹U+000A›b‹U+202E›c‹U+2066›d‹U+009B›31m e‹U+0007›"
        );
    }
}
