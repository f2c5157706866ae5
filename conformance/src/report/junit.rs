//! JUnit XML, in the dialect that the readers of GitHub, GitLab and Jenkins share: one suite per operation, one test case per
//! case.
//!
//! A blocked case is an `<error>`, not `<skipped>`, because readers show skipped cases as green. For the same reason, a run
//! that is not conformant although no case failed gets a test case of its own.

use super::delays;
use super::words::{operations, outcome_name, summary, verdict_name};
use crate::result::{CaseResult, Exchange, Outcome, Report};
use crate::text::{escape, one_line};

/// How JUnit counts a case.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Passed,
    Failure,
    Error,
    Skipped,
}

fn kind(outcome: Outcome) -> Kind {
    match outcome {
        Outcome::Pass => Kind::Passed,
        Outcome::Fail | Outcome::UnexpectedPass => Kind::Failure,
        Outcome::Blocked | Outcome::Error => Kind::Error,
        Outcome::NotApplicable | Outcome::ExpectedFail => Kind::Skipped,
    }
}

#[derive(Default)]
struct Suite {
    name: String,
    tests: u32,
    failures: u32,
    errors: u32,
    skipped: u32,
    ms: u64,
    cases: String,
}

pub fn render(report: &Report) -> String {
    let mut suites: Vec<Suite> = operations(report)
        .into_iter()
        .map(|operation| suite(operation, report.cases.iter().filter(|case| case.operation == operation)))
        .filter(|suite| suite.tests > 0)
        .collect();
    let blamed = suites.iter().any(|suite| suite.failures + suite.errors > 0);
    if report.exit_code != 0 && !blamed {
        suites.push(verdict_suite(report));
    }

    // Readers show this name for the whole file.
    let part = report.part.as_ref().map(ToString::to_string);
    let name = match &part {
        Some(part) => format!("{}, {part}", report.tool.name),
        None => report.tool.name.clone(),
    };
    let mut all = Suite { name, ms: report.duration_ms, ..Suite::default() };
    for suite in &suites {
        all.tests += suite.tests;
        all.failures += suite.failures;
        all.errors += suite.errors;
        all.skipped += suite.skipped;
    }
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.push_str(&format!("<testsuites {}>\n", attributes(&all, &report.started_at)));
    for suite in &suites {
        out.push_str(&format!("  <testsuite {}>\n", attributes(suite, &report.started_at)));
        out.push_str("    <properties>\n");
        for (name, value) in [
            ("base_url", report.target.base_url.as_str()),
            ("profile", &report.profile),
            ("verdict", verdict_name(report.verdict)),
            ("tool_version", &report.tool.version),
            ("part", part.as_deref().unwrap_or("all cases")),
        ] {
            out.push_str(&format!("      <property name=\"{name}\" value=\"{}\"/>\n", attribute(value)));
        }
        for sentence in delays::sentences(report) {
            out.push_str(&format!("      <property name=\"until_revoked\" value=\"{}\"/>\n", attribute(&sentence)));
        }
        out.push_str("    </properties>\n");
        out.push_str(&suite.cases);
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn attributes(suite: &Suite, started_at: &str) -> String {
    format!(
        r#"name="{}" tests="{}" failures="{}" errors="{}" skipped="{}" time="{}" timestamp="{}""#,
        attribute(&suite.name),
        suite.tests,
        suite.failures,
        suite.errors,
        suite.skipped,
        seconds(suite.ms),
        attribute(started_at),
    )
}

fn suite<'a>(operation: &str, cases: impl Iterator<Item = &'a CaseResult>) -> Suite {
    let mut suite = Suite { name: operation.to_owned(), ..Suite::default() };
    for case in cases {
        let kind = kind(case.outcome);
        suite.tests += 1;
        suite.failures += u32::from(kind == Kind::Failure);
        suite.errors += u32::from(kind == Kind::Error);
        suite.skipped += u32::from(kind == Kind::Skipped);
        suite.ms = suite.ms.saturating_add(case.duration_ms);
        suite.cases.push_str(&test_case(case, kind));
    }
    suite
}

fn test_case(case: &CaseResult, kind: Kind) -> String {
    // Readers split this at the last dot into package and class: operation and status.
    let class = match case.status {
        Some(status) => format!("conformance.{}.{status}", case.operation),
        None => format!("conformance.{}", case.operation),
    };
    let mut out = format!(
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\">\n",
        attribute(&class),
        attribute(&case.id),
        seconds(case.duration_ms)
    );
    out.push_str("      <properties>\n");
    for (name, value) in [
        ("requirement", case.requirement.as_str()),
        ("level", &case.level),
        ("effect", &case.effect),
        ("outcome", outcome_name(case.outcome)),
    ] {
        out.push_str(&format!("        <property name=\"{name}\" value=\"{}\"/>\n", attribute(value)));
    }
    out.push_str("      </properties>\n");

    let element = match kind {
        Kind::Passed => None,
        Kind::Failure => Some("failure"),
        Kind::Error => Some("error"),
        Kind::Skipped => Some("skipped"),
    };
    if let Some(element) = element {
        let message = attribute(&message(case));
        if kind == Kind::Skipped {
            // The schema allows no `type` here, and readers show no text.
            out.push_str(&format!("      <skipped message=\"{message}\"/>\n"));
        } else {
            let outcome = outcome_name(case.outcome);
            out.push_str(&format!(
                "      <{element} type=\"{outcome}\" message=\"{message}\">{}</{element}>\n",
                escape(&body(case))
            ));
            if !case.exchanges.is_empty() {
                out.push_str(&format!("      <system-out>{}</system-out>\n", escape(&transcript(&case.exchanges))));
            }
        }
    }
    out.push_str("    </testcase>\n");
    out
}

/// The line that every reader shows.
fn message(case: &CaseResult) -> String {
    let why = match (&case.reason, &case.wanted, &case.got) {
        (Some(reason), _, _) => reason.clone(),
        (None, Some(wanted), Some(got)) => format!("wanted {wanted}, got {got}"),
        (None, Some(wanted), None) => format!("wanted {wanted}"),
        (None, None, _) => case.requirement.clone(),
    };
    match case.outcome {
        Outcome::Fail => why,
        outcome => format!("{}: {why}", outcome_name(outcome)),
    }
}

fn body(case: &CaseResult) -> String {
    let mut out = format!("\nRequirement: {}\n", case.requirement);
    for (name, value) in
        [("Wanted", &case.wanted), ("Got", &case.got), ("Why", &case.reason), ("Reproduce", &case.curl)]
    {
        if let Some(value) = value {
            out.push_str(&format!("{name}: {value}\n"));
        }
    }
    out
}

fn transcript(exchanges: &[Exchange]) -> String {
    let mut out = String::from("\n");
    for exchange in exchanges {
        out.push_str(&format!("> {} {}\n", exchange.method, exchange.url));
        for (name, value) in &exchange.request_headers {
            out.push_str(&format!("> {name}: {value}\n"));
        }
        if let Some(body) = &exchange.request_body {
            out.push_str(&format!("\n{body}\n"));
        }
        if let Some(answer) = &exchange.response {
            out.push_str(&format!("\n< {} ({} ms)\n", answer.status, exchange.duration_ms));
            for (name, value) in &answer.headers {
                out.push_str(&format!("< {name}: {value}\n"));
            }
            out.push_str(&format!("\n{}\n", answer.body));
        }
        if let Some(error) = &exchange.error {
            out.push_str(&format!("\n! {error}\n"));
        }
        out.push('\n');
    }
    out
}

/// A suite with the verdict. Without it, a file without failures would be shown as green.
fn verdict_suite(report: &Report) -> Suite {
    let mut message = summary(report);
    for advice in &report.advice {
        message.push(' ');
        message.push_str(advice);
    }
    let verdict = verdict_name(report.verdict);
    Suite {
        name: "run".to_owned(),
        tests: 1,
        errors: 1,
        cases: format!(
            r#"    <testcase classname="conformance.run" name="verdict" time="0.000">
      <error type="{verdict}" message="{verdict}: {message}"/>
    </testcase>
"#,
            message = attribute(&message),
        ),
        ..Suite::default()
    }
}

/// XML turns a line end in an attribute into a space, so this does it first.
fn attribute(text: &str) -> String {
    escape(&one_line(text))
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use roxmltree::{Document, Node};

    use super::*;
    use crate::report::sample;
    use crate::report::words::holds;
    use crate::result::{Counts, Verdict};
    use crate::text::visible;

    fn number(node: Node<'_, '_>, name: &str) -> usize {
        node.attribute(name).unwrap().parse().unwrap()
    }

    fn find<'a, 'i>(document: &'a Document<'i>, id: &str) -> Node<'a, 'i> {
        document.descendants().find(|node| node.has_tag_name("testcase") && node.attribute("name") == Some(id)).unwrap()
    }

    #[test]
    fn the_counts_match_the_elements() {
        for report in sample::all() {
            let xml = render(&report);
            let document = Document::parse(&xml).unwrap();
            let root = document.root_element();
            let suites = root.children().filter(|node| node.has_tag_name("testsuite"));
            for node in suites.chain([root]) {
                for (attribute, element) in
                    [("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")]
                {
                    let there = node.descendants().filter(|node| node.has_tag_name(element)).count();
                    assert_eq!(number(node, attribute), there, "{attribute} of {:?}", node.attribute("name"));
                }
            }
            for case in &report.cases {
                find(&document, &case.id);
            }
        }
    }

    #[test]
    fn every_outcome_has_its_element() {
        let report = sample::report();
        let xml = render(&report);
        let document = Document::parse(&xml).unwrap();
        for case in &report.cases {
            let node = find(&document, &case.id);
            let elements: Vec<&str> = node
                .children()
                .filter(Node::is_element)
                .map(|node| node.tag_name().name())
                .filter(|name| *name != "properties" && *name != "system-out")
                .collect();
            let wanted: &[&str] = match case.outcome {
                Outcome::Pass => &[],
                Outcome::Fail | Outcome::UnexpectedPass => &["failure"],
                Outcome::Blocked | Outcome::Error => &["error"],
                Outcome::NotApplicable | Outcome::ExpectedFail => &["skipped"],
            };
            assert_eq!(elements, wanted, "{}", case.id);
        }
        assert!(xml.contains("classname=\"conformance.issueLongTermToken.401\""));
    }

    #[test]
    fn nothing_but_a_conformant_run_is_green() {
        for mut report in sample::all() {
            for (verdict, exit_code) in
                [(Verdict::Incomplete, 3), (Verdict::Unreachable, 4), (Verdict::InternalError, 70)]
            {
                report.verdict = verdict;
                report.exit_code = exit_code;
                report.cases.retain(|case| matches!(case.outcome, Outcome::Pass | Outcome::NotApplicable));
                report.counts = Counts::default();
                let xml = render(&report);
                let document = Document::parse(&xml).unwrap();
                assert_eq!(number(document.root_element(), "errors"), 1);
            }
        }
        let xml = render(&sample::conformant());
        let document = Document::parse(&xml).unwrap();
        assert_eq!(number(document.root_element(), "errors") + number(document.root_element(), "failures"), 0);
    }

    #[test]
    fn a_partial_run_is_named_where_readers_look() {
        let xml = render(&sample::part());
        let document = Document::parse(&xml).unwrap();
        assert_eq!(document.root_element().attribute("name"), Some("conformance, 38 of 84 cases (--case long.*)"));
        assert!(xml.contains(r#"<property name="part" value="38 of 84 cases (--case long.*)"/>"#));
    }

    #[test]
    fn cases_without_a_known_cell_are_included() {
        let mut report = sample::report();
        report.cases[0].operation = "aNewOperation".to_owned();
        assert!(!report.matrix.iter().any(|cell| holds(cell, &report.cases[0])));
        let xml = render(&report);
        find(&Document::parse(&xml).unwrap(), &report.cases[0].id);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn server_text_keeps_the_file_well_formed_and_complete(hostile in sample::hostile()) {
            let report = sample::poisoned(&hostile);
            let xml = render(&report);
            let document = Document::parse(&xml).unwrap();
            let case = find(&document, "long.401.secret-wrong");
            let failure = case.children().find(|node| node.has_tag_name("failure")).unwrap();
            let shown = visible(&format!("{hostile}\n"));
            prop_assert!(failure.text().unwrap().contains(&shown));
            prop_assert_eq!(failure.attribute("message").unwrap(), one_line(&hostile));
            let elements = document.descendants().filter(Node::is_element).count();
            let harmless = render(&sample::poisoned("harmless"));
            let harmless = Document::parse(&harmless).unwrap().descendants().filter(Node::is_element).count();
            prop_assert_eq!(elements, harmless);
        }
    }
}
