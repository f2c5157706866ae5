//! Markdown for a comment on a pull request: the verdict, the matrix, the failures. It is cut to GitHub's limit.
//!
//! Text from the server is always in code blocks or code spans, where no markup, mention or link works. All other text is
//! escaped.

use super::delays;
use super::words::{
    cell, duration, group_title, left_behind, operation_path, operations, outcome_name, plural, spelled, statuses,
    summary, total, verdict_name, worst,
};
use crate::groups::{Failures, attention, failures};
use crate::result::{CaseResult, Cell, Outcome, Report, Verdict};
use crate::text::{clip, one_line, visible};

/// GitHub refuses a comment of more than 65,536 characters, and a bot may add its own lines. In bytes, to be safe.
const LIMIT: usize = 60_000;
/// Room for the line that says what was cut.
const RESERVE: usize = 300;

pub fn render(report: &Report) -> String {
    let mut out = head(report);
    out.push_str(&matrix(report));
    out.push_str(&advice(report));

    let blocked: Vec<_> =
        attention(&report.cases).into_iter().filter(|case| case.outcome == Outcome::Blocked).collect();
    let expected: Vec<_> = report.cases.iter().filter(|case| case.outcome == Outcome::ExpectedFail).collect();
    let tail = tail(report);
    let room = LIMIT.saturating_sub(tail.len() + RESERVE);
    let mut cut = 0;
    section(&mut out, room, &mut cut, "Failures", failures(&report.cases).iter().map(failure));
    section(&mut out, room, &mut cut, "Blocked: could not be judged", by_reason(&blocked));
    section(&mut out, room, &mut cut, "Failed as expected", by_reason(&expected));
    if cut > 0 {
        out.push_str(&format!(
            "\n**Cut here:** {cut} more entries do not fit into a comment. The HTML and JSON reports have all of them.\n"
        ));
    }
    out.push_str(&tail);
    out
}

fn head(report: &Report) -> String {
    format!(
        "## {} {}\n\n{}\n\nTarget {} · profile {} · {} · {}\n",
        match report.verdict {
            Verdict::Conformant => "✅",
            Verdict::NotConformant => "❌",
            Verdict::Incomplete | Verdict::Unreachable | Verdict::InternalError => "⚠️",
        },
        verdict_name(report.verdict),
        prose(&summary(report)),
        code(&clip(&report.target.base_url, 300)),
        code(&report.profile),
        duration(report.duration_ms),
        prose(&format!("{} {}", report.tool.name, report.tool.version)),
    )
}

fn matrix(report: &Report) -> String {
    let statuses = statuses(report);
    if statuses.is_empty() {
        return String::new();
    }
    let mut out = String::from("\n| |");
    for status in &statuses {
        out.push_str(&format!(" {status} |"));
    }
    out.push_str("\n|:--|");
    out.push_str(&":-:|".repeat(statuses.len()));
    out.push('\n');
    let mut outside = Vec::new();
    for operation in operations(report) {
        if let Some(cell) = cell(report, operation, None) {
            let title = group_title(operation).map_or_else(|| prose(operation), |(title, _)| title.to_owned());
            outside.push(format!("\n{title}: {}{}\n", mark(cell), prose(&spelled(&cell.counts))));
        }
        let promised: Vec<_> = statuses.iter().map(|&status| cell(report, operation, Some(status))).collect();
        if promised.iter().all(Option::is_none) {
            continue;
        }
        out.push_str(&format!("| {} |", code(operation_path(operation).unwrap_or(operation)).replace('|', "\\|")));
        for cell in promised {
            match cell {
                None => out.push_str(" |"),
                Some(cell) if total(&cell.counts) == 0 => out.push_str(" not run |"),
                Some(cell) => out.push_str(&format!(" {}{}/{} |", mark(cell), cell.counts.pass, total(&cell.counts))),
            }
        }
        out.push('\n');
    }
    out.push_str(
        "\nPassed and total cases, per operation and status. An empty cell is a status that the API does not promise.\n",
    );
    out.push_str(&outside.concat());
    out
}

fn mark(cell: &Cell) -> &'static str {
    match worst(&cell.counts) {
        Some(Outcome::Pass) => "✅ ",
        Some(Outcome::Fail | Outcome::Error | Outcome::UnexpectedPass) => "❌ ",
        Some(Outcome::Blocked) => "⚠️ ",
        Some(Outcome::ExpectedFail | Outcome::NotApplicable) => "➖ ",
        None => "",
    }
}

fn advice(report: &Report) -> String {
    let mut out = String::new();
    if !report.advice.is_empty() {
        out.push_str("\n### What to do next\n\n");
    }
    for (index, advice) in report.advice.iter().enumerate() {
        if index == 10 {
            out.push_str("- and more: see the JSON report\n");
            break;
        }
        out.push_str(&format!("- {}\n", prose(&clip(advice, 300))));
    }
    out
}

/// Adds entries while there is room, and counts the others.
fn section(out: &mut String, room: usize, cut: &mut u32, title: &str, entries: impl IntoIterator<Item = String>) {
    let mut is_titled = false;
    for entry in entries {
        let heading = if is_titled { String::new() } else { format!("\n### {title}\n") };
        if *cut > 0 || out.len() + heading.len() + entry.len() > room {
            *cut += 1;
            continue;
        }
        out.push_str(&heading);
        out.push_str(&entry);
        is_titled = true;
    }
}

fn failure(group: &Failures<'_>) -> String {
    let case = group.telling;
    let mut facts = String::new();
    for (name, value) in [("wanted", &case.wanted), ("got   ", &case.got), ("why   ", &case.reason)] {
        if let Some(value) = value {
            facts.push_str(&format!("{name}  {}\n", clip(value, 1_000)));
        }
    }
    let mut out = format!(
        "\n#### ❌ {}{}\n\n> {}\n\n",
        code(&clip(&case.id, 200)),
        if case.outcome == Outcome::Fail { String::new() } else { format!(" · {}", outcome_name(case.outcome)) },
        prose(&clip(&case.requirement, 500)),
    );
    if !facts.is_empty() {
        out.push_str(&fence("text", &facts));
    }
    if let Some(curl) = &case.curl {
        out.push_str(&fence("sh", &clip(curl, 2_000)));
    }
    if !group.others.is_empty() {
        let ids: Vec<_> = group.others.iter().take(20).map(|case| code(&clip(&case.id, 200))).collect();
        let more = if group.others.len() > ids.len() { ", …" } else { "" };
        out.push_str(&format!("\n{} more with the same difference: {}{more}\n", group.others.len(), ids.join(", ")));
    }
    out
}

/// One entry for each reason: many cases often lack the same thing, such as a credential.
fn by_reason(cases: &[&CaseResult]) -> Vec<String> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for case in cases {
        let reason = case.reason.as_deref().unwrap_or("No reason was recorded.");
        match groups.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, ids)) => ids.push(&case.id),
            None => groups.push((reason, vec![&case.id])),
        }
    }
    groups
        .into_iter()
        .map(|(reason, ids)| {
            let shown: Vec<String> = ids.iter().take(20).map(|id| code(&clip(id, 200))).collect();
            let more =
                if ids.len() > shown.len() { format!(" and {} more", ids.len() - shown.len()) } else { String::new() };
            format!("\n{}{more}\n\n{}", shown.join(", "), fence("text", &clip(reason, 1_000)))
        })
        .collect()
}

fn tail(report: &Report) -> String {
    let cleanup = &report.cleanup;
    let mut out = String::new();
    for (nth, delays) in report.consistency.iter().flat_map(|consistency| &consistency.by_operation).enumerate() {
        if nth == 0 {
            out.push_str("\n### Time until a revoked token was refused\n");
        }
        let sentence = delays::sentences(report).get(nth).cloned().unwrap_or_default();
        out.push_str(&format!("\n{}\n\n{}", prose(&sentence), fence("text", &delays::bars(delays).join("\n"))));
    }
    if cleanup.left.is_empty() {
        out.push_str(&format!(
            "\nLeft behind: nothing ({} minted, {} revoked).\n",
            plural(cleanup.minted as usize, "token"),
            cleanup.revoked
        ));
    } else {
        let shown: Vec<String> = cleanup
            .left
            .iter()
            .take(5)
            .map(|(id, why)| format!("- {}: {}\n", code(&clip(id, 100)), code(&clip(why, 100))))
            .collect();
        out.push_str(&format!("\n**Left behind:** {}.\n\n{}", left_behind(cleanup), shown.concat()));
    }
    out
}

/// A sentence of our own, escaped so that nothing in it is markup, a mention, a reference or a link.
fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for (index, c) in one_line(text).chars().enumerate() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A backslash would not stop these: GitHub looks for mentions and references after parsing the Markdown.
            '@' | '#' => {
                out.push(c);
                out.push_str("&#8203;");
            }
            // Not markup within a sentence, except at the start of a list or in a link.
            ',' | ';' | '\'' | '"' | '?' | '%' | '/' => out.push(c),
            '.' if !out.ends_with("www") && !out.chars().all(|c| c.is_ascii_digit()) => out.push(c),
            '-' if index > 0 => out.push(c),
            ':' if !text.contains("://") => out.push(c),
            _ if c.is_ascii_punctuation() => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// A code span, with more backticks around it than in it.
fn code(text: &str) -> String {
    let text = one_line(text);
    if text.is_empty() {
        return String::new();
    }
    let ticks = "`".repeat(longest_run(&text) + 1);
    // The space keeps a backtick at the edge from joining the delimiter; Markdown drops it.
    if text.starts_with('`') || text.ends_with('`') {
        format!("{ticks} {text} {ticks}")
    } else {
        format!("{ticks}{text}{ticks}")
    }
}

fn fence(language: &str, text: &str) -> String {
    let ticks = "`".repeat((longest_run(text) + 1).max(3));
    let text = visible(text);
    format!("{ticks}{language}\n{}\n{ticks}\n", text.trim_end_matches('\n'))
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::sample;

    /// The text outside of code blocks and code spans. Nothing from the server may be in it.
    fn outside_code(markdown: &str) -> String {
        let mut out = String::new();
        let mut fence: Option<&str> = None;
        for line in markdown.lines() {
            let ticks = &line[..line.len() - line.trim_start_matches('`').len()];
            match fence {
                Some(open) if line == open => fence = None,
                Some(_) => {}
                None if ticks.len() >= 3 => fence = Some(ticks),
                None => {
                    out.push_str(line);
                    out.push('\n');
                }
            }
        }
        assert!(fence.is_none(), "a fence is still open");
        out
    }

    #[test]
    fn the_verdict_comes_first_and_the_matrix_next() {
        let markdown = render(&sample::report());
        assert!(markdown.starts_with("## ❌ Not conformant\n\nOf 84 cases, 5 failed"), "{markdown}");
        assert!(markdown.contains("\n| | 201 | 204 | 400 | 401 | 403 | 404 | 429 |\n"), "{markdown}");
        assert!(markdown.contains("| `POST /auth/tokens/short` |"), "{markdown}");
        assert!(markdown.find("| 201 |") < markdown.find("### Failures"));
    }

    #[test]
    fn prose_contains_no_markup() {
        assert_eq!(
            prose("a <b> *c* [d](e) `f` @g #1 & https://h.example"),
            "a &lt;b&gt; \\*c\\* \\[d\\]\\(e\\) \\`f\\` @&#8203;g #&#8203;1 &amp; https\\://h.example"
        );
        assert_eq!(prose("- 1.5 s: one-time"), "\\- 1.5 s: one-time");
        assert_eq!(prose("1. x"), "1\\. x");
        assert_eq!(prose("www.example"), "www\\.example");
    }

    #[test]
    fn backticks_do_not_end_a_code_span() {
        assert_eq!(code("a``b"), "```a``b```");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(fence("text", "a\n```\nb\n"), "````text\na\n```\nb\n````\n");
    }

    #[test]
    fn a_long_report_is_cut_and_says_so() {
        let mut report = sample::report();
        let failed = report.cases.iter().find(|case| case.outcome == Outcome::Fail).unwrap().clone();
        report.cases.extend((0..500).map(|index| CaseResult {
            id: format!("long.401.more-{index}"),
            // Not numbers: cases that differ only in numbers are one group.
            got: Some(format!("{}{}", "x".repeat(index), "\u{1F4A5}`".repeat(4_000))),
            ..failed.clone()
        }));
        report.cleanup.left = (0..500).map(|index| (format!("tok_lt_{index}"), "x".repeat(9_000))).collect();
        let markdown = render(&report);
        assert!(markdown.len() < LIMIT, "{}", markdown.len());
        assert!(markdown.contains("**Cut here:**"));
        outside_code(&markdown);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn server_text_stays_in_its_fence(hostile in sample::hostile()) {
            let markdown = render(&sample::poisoned(&hostile));
            let harmless = render(&sample::poisoned("harmless"));
            prop_assert_eq!(outside_code(&markdown), outside_code(&harmless));
            prop_assert!(markdown.len() < LIMIT);
            prop_assert_eq!(visible(&markdown), markdown);
        }
    }
}
