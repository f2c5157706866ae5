//! Which cases of a run need a reader, and which of them are one thing to say: what the terminal and every report show
//! of failures is decided here.

use crate::result::{CaseResult, Outcome};
use std::collections::BTreeMap;

/// What most needs a reader comes first; every list and every mixed cell follows this order.
pub const WORST_FIRST: [Outcome; 7] = [
    Outcome::Fail,
    Outcome::Error,
    Outcome::UnexpectedPass,
    Outcome::Blocked,
    Outcome::ExpectedFail,
    Outcome::NotApplicable,
    Outcome::Pass,
];

/// The cases that need a reader, worst first, each kind in the run's order.
pub fn attention(cases: &[CaseResult]) -> Vec<&CaseResult> {
    let needs_reader = |outcome| is_failure(outcome) || outcome == Outcome::Blocked;
    WORST_FIRST
        .into_iter()
        .filter(|&outcome| needs_reader(outcome))
        .flat_map(|outcome| cases.iter().filter(move |case| case.outcome == outcome))
        .collect()
}

/// What is shown with all that it takes to repeat it. What is blocked has nothing to repeat.
pub fn is_failure(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Fail | Outcome::UnexpectedPass | Outcome::Error)
}

/// Cases with one cause.
pub struct Group<'a> {
    pub reason: &'a str,
    pub cases: Vec<&'a CaseResult>,
}

/// What kept cases from being judged, the most frequent reason first.
pub fn not_judged(cases: &[CaseResult]) -> Vec<Group<'_>> {
    let mut by_reason: BTreeMap<&str, Vec<&CaseResult>> = BTreeMap::new();
    for case in cases.iter().filter(|case| matches!(case.outcome, Outcome::Blocked | Outcome::Error)) {
        by_reason.entry(case.reason.as_deref().unwrap_or_default()).or_default().push(case);
    }
    let mut groups: Vec<_> = by_reason.into_iter().map(|(reason, cases)| Group { reason, cases }).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.cases.len()));
    groups
}
