//! What all reports share: the words for verdicts and outcomes, and which case belongs to which cell.

use crate::groups::WORST_FIRST;
use crate::result::{CaseResult, Cell, Cleanup, Counts, Outcome, Report, Verdict};

pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Conformant => "Conformant",
        Verdict::NotConformant => "Not conformant",
        Verdict::Incomplete => "Incomplete",
        Verdict::Unreachable => "Unreachable",
        Verdict::InternalError => "Internal error",
    }
}

pub fn outcome_name(outcome: Outcome) -> &'static str {
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

pub fn count(counts: &Counts, outcome: Outcome) -> u32 {
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

pub fn total(counts: &Counts) -> u32 {
    WORST_FIRST.iter().map(|&outcome| count(counts, outcome)).sum()
}

/// The outcome that a cell shows; `None` if no case ran.
pub fn worst(counts: &Counts) -> Option<Outcome> {
    // A cell has passed if its other cases are declared absent.
    let settled = [Outcome::Pass, Outcome::NotApplicable];
    WORST_FIRST
        .into_iter()
        .filter(|outcome| !settled.contains(outcome))
        .chain(settled)
        .find(|&outcome| count(counts, outcome) > 0)
}

/// "2 fail, 1 blocked, 14 pass"
pub fn spelled(counts: &Counts) -> String {
    let parts: Vec<String> = WORST_FIRST
        .into_iter()
        .filter(|&outcome| count(counts, outcome) > 0)
        .map(|outcome| format!("{} {}", count(counts, outcome), outcome_name(outcome).to_lowercase()))
        .collect();
    if parts.is_empty() { "no case ran".to_owned() } else { parts.join(", ") }
}

/// The reason of the verdict, and which cases were chosen if not all.
pub fn summary(report: &Report) -> String {
    let reason = reason(report);
    match &report.part {
        Some(part) => format!("{reason} Only a part of the cases was chosen: {part}."),
        None => reason,
    }
}

pub fn reason(report: &Report) -> String {
    let counts = &report.counts;
    let cases = plural(total(counts) as usize, "case");
    let bad: Vec<String> = [Outcome::Fail, Outcome::UnexpectedPass, Outcome::Error, Outcome::Blocked]
        .into_iter()
        .filter(|&outcome| count(counts, outcome) > 0)
        .map(|outcome| {
            let many = count(counts, outcome);
            match outcome {
                Outcome::Fail => format!("{many} failed"),
                Outcome::UnexpectedPass => format!("{many} passed though listed as a known failure"),
                Outcome::Blocked => format!("{many} could not be judged"),
                _ => format!("{many} ended in an error"),
            }
        })
        .collect();
    match report.verdict {
        Verdict::Unreachable => "The target did not answer, so nothing was tested.".to_owned(),
        Verdict::InternalError => "The harness itself failed, which says nothing about the server.".to_owned(),
        _ if total(counts) == 0 => "No case ran, so nothing was tested.".to_owned(),
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

/// What the clean-up left behind.
pub fn left_behind(cleanup: &Cleanup) -> String {
    let (tokens, clients) = cleanup.counts_left();
    let tokens = (tokens > 0).then(|| format!("{} could not be revoked", plural(tokens, "token")));
    let clients = (clients > 0).then(|| format!("{} could not be deleted", plural(clients, "client")));
    tokens.into_iter().chain(clients).collect::<Vec<_>>().join(", and ")
}

/// The title of a group that is not an operation, and what it is about.
pub fn group_title(operation: &str) -> Option<(&'static str, &'static str)> {
    match operation {
        "outside" => Some(("Outside the matrix", "paths, methods, headers")),
        "service" => Some(("Around the tokens", "clients, keys, documents, the revocation feed")),
        _ => None,
    }
}

/// The method and path of an operation; `None` for other groups.
pub fn operation_path(operation: &str) -> Option<&'static str> {
    match operation {
        "issueLongTermToken" => Some("POST /auth/tokens/long"),
        "issueShortTermToken" => Some("POST /auth/tokens/short"),
        "revokeToken" => Some("POST /auth/tokens/{tokenId}/revoke"),
        _ => None,
    }
}

/// The operations of the matrix, in its order, then those that only cases name, so that no case is left out of a report.
pub fn operations(report: &Report) -> Vec<&str> {
    let named = report.matrix.iter().map(|cell| &cell.operation);
    let mut found: Vec<&str> = Vec::new();
    for operation in named.chain(report.cases.iter().map(|case| &case.operation)) {
        if !found.contains(&operation.as_str()) {
            found.push(operation);
        }
    }
    found
}

/// The statuses of all cells, ascending: the matrix's columns.
pub fn statuses(report: &Report) -> Vec<u16> {
    let mut found: Vec<u16> = report.matrix.iter().filter_map(|cell| cell.status).collect();
    found.sort_unstable();
    found.dedup();
    found
}

pub fn cell<'a>(report: &'a Report, operation: &str, status: Option<u16>) -> Option<&'a Cell> {
    report.matrix.iter().find(|cell| cell.operation == operation && cell.status == status)
}

/// A cell without a status, such as `outside`, holds all cases of its operation.
pub fn holds(cell: &Cell, case: &CaseResult) -> bool {
    cell.operation == case.operation && (cell.status.is_none() || cell.status == case.status)
}

pub fn plural(many: usize, noun: &str) -> String {
    if many == 1 { format!("{many} {noun}") } else { format!("{many} {noun}s") }
}

pub fn duration(ms: u64) -> String {
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
    use crate::report::sample;

    #[test]
    fn the_summary_says_why() {
        let mut report = sample::report();
        assert_eq!(
            summary(&report),
            "Of 84 cases, 5 failed, 1 passed though listed as a known failure, 1 ended in an error, 4 could not be judged."
        );
        report.counts = Counts { pass: 3, not_applicable: 1, ..Counts::default() };
        report.verdict = Verdict::Conformant;
        assert_eq!(summary(&report), "3 of 4 cases passed; the others: 1 not applicable.");
        assert_eq!(summary(&sample::conformant()), "All 84 cases passed.");
        report.counts = Counts::default();
        assert_eq!(summary(&report), "No case ran, so nothing was tested.");
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
}
