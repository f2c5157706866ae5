//! What changed between two runs.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use super::words::{outcome_name, plural, verdict_name};
use crate::result::{CaseResult, Outcome, Report, Verdict};
use crate::text::{clip, one_line};

/// The changes from run `a` to run `b`. Lists are in the order of `b`'s cases; `went` is in the order of `a`'s.
#[derive(Debug, Clone, Serialize)]
pub struct Diff {
    pub verdict: (Verdict, Verdict),
    /// What makes the two runs hard to compare, one sentence each, such as different targets or profiles.
    pub notes: Vec<String>,
    /// Cases that are Fail, Error or Unexpected pass now, and were not before.
    pub newly_failing: Vec<Change>,
    pub newly_passing: Vec<Change>,
    /// Any other change of outcome, such as from Blocked to Not applicable.
    pub changed: Vec<Change>,
    pub came: Vec<Change>,
    pub went: Vec<Change>,
    /// Failing in both runs. These are not changes, but without them a list without changes would look like a pass.
    pub still_failing: Vec<Change>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Change {
    pub id: String,
    /// Absent if the case is only in the second report.
    pub before: Option<Outcome>,
    /// Absent if the case is only in the first report.
    pub after: Option<Outcome>,
    /// Why it does not pass now.
    pub reason: Option<String>,
}

pub fn diff(a: &Report, b: &Report) -> Diff {
    let before: HashMap<&str, &CaseResult> = a.cases.iter().map(|case| (case.id.as_str(), case)).collect();
    let after: HashMap<&str, &CaseResult> = b.cases.iter().map(|case| (case.id.as_str(), case)).collect();
    let mut diff = Diff {
        verdict: (a.verdict, b.verdict),
        notes: notes(a, b),
        newly_failing: Vec::new(),
        newly_passing: Vec::new(),
        changed: Vec::new(),
        came: Vec::new(),
        went: Vec::new(),
        still_failing: Vec::new(),
    };
    for case in &b.cases {
        let was = before.get(case.id.as_str()).map(|case| case.outcome);
        let change = Change {
            id: case.id.clone(),
            before: was,
            after: Some(case.outcome),
            reason: case.reason.clone().or_else(|| case.got.as_ref().map(|got| format!("got {got}"))),
        };
        match was {
            None => diff.came.push(change),
            Some(was) if is_failing(was) && is_failing(case.outcome) => diff.still_failing.push(change),
            Some(was) if was == case.outcome => {}
            Some(_) if is_failing(case.outcome) => diff.newly_failing.push(change),
            Some(_) if case.outcome == Outcome::Pass => diff.newly_passing.push(change),
            Some(_) => diff.changed.push(change),
        }
    }
    for case in a.cases.iter().filter(|case| !after.contains_key(case.id.as_str())) {
        diff.went.push(Change { id: case.id.clone(), before: Some(case.outcome), after: None, reason: None });
    }
    diff
}

fn is_failing(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Fail | Outcome::Error | Outcome::UnexpectedPass)
}

fn notes(a: &Report, b: &Report) -> Vec<String> {
    let differ = |what: &str, a: &str, b: &str| {
        (a != b).then(|| format!("The runs have different {what}: {} and {}.", one_line(a), one_line(b)))
    };
    [
        differ("targets", &a.target.base_url, &b.target.base_url),
        differ("profiles", &a.profile, &b.profile),
        differ("choices of cases", &choice(a), &choice(b)),
        differ("versions of the harness", &a.tool.version, &b.tool.version),
        (a.started_at > b.started_at).then(|| {
            "The first report is of the later run: swap the two to see the changes in chronological order.".to_owned()
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn choice(report: &Report) -> String {
    report.part.as_ref().map_or_else(|| "all cases".to_owned(), ToString::to_string)
}

impl Diff {
    pub fn is_empty(&self) -> bool {
        self.verdict.0 == self.verdict.1
            && [&self.newly_failing, &self.newly_passing, &self.changed, &self.came, &self.went]
                .iter()
                .all(|list| list.is_empty())
    }

    /// A case fails that did not fail before, or a new case fails.
    pub fn is_worse(&self) -> bool {
        !self.newly_failing.is_empty() || self.came.iter().any(|change| change.after.is_some_and(is_failing))
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "Note: {note}")?;
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        let (before, after) = self.verdict;
        if before == after {
            writeln!(f, "Verdict: {}, as before", verdict_name(after))?;
        } else {
            writeln!(f, "Verdict: {} -> {}", verdict_name(before), verdict_name(after))?;
        }
        for (title, changes) in [
            ("Newly failing", &self.newly_failing),
            ("Newly passing", &self.newly_passing),
            ("Changed otherwise", &self.changed),
            ("Only in the second report", &self.came),
            ("Only in the first report", &self.went),
            ("Still failing", &self.still_failing),
        ] {
            list(f, title, changes)?;
        }
        if self.is_empty() {
            writeln!(f, "\nNo outcome changed.")?;
        }
        Ok(())
    }
}

fn list(f: &mut fmt::Formatter<'_>, title: &str, changes: &[Change]) -> fmt::Result {
    if changes.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title} ({})", plural(changes.len(), "case"))?;
    for change in changes {
        let outcomes = match (change.before, change.after) {
            (Some(before), Some(after)) if before != after => {
                format!("{} -> {}", outcome_name(before), outcome_name(after))
            }
            (_, Some(outcome)) | (Some(outcome), None) => outcome_name(outcome).to_owned(),
            (None, None) => String::new(),
        };
        writeln!(f, "  {}  {outcomes}", one_line(&change.id))?;
        let is_good = change.after.is_none_or(|outcome| outcome == Outcome::Pass);
        if let Some(reason) = change.reason.as_ref().filter(|_| !is_good) {
            writeln!(f, "      {}", clip(&one_line(reason), 300))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_run_does_not_differ_from_itself() {
        let report = sample::conformant();
        let diff = diff(&report, &report);
        assert!(diff.is_empty() && !diff.is_worse());
        assert_eq!(diff.to_string(), "Verdict: Conformant, as before\n\nNo outcome changed.\n");
    }

    #[test]
    fn every_kind_of_change_is_told() {
        let with = |outcomes: &[(&str, Outcome)], verdict| {
            let mut report = sample::conformant();
            let pattern = report.cases[0].clone();
            report.verdict = verdict;
            report.cases = outcomes
                .iter()
                .map(|&(id, outcome)| {
                    let reason =
                        (outcome != Outcome::Pass).then(|| "The control \u{1b}did not pass.\nSee to it.".to_owned());
                    CaseResult { id: id.to_owned(), outcome, reason, ..pattern.clone() }
                })
                .collect();
            report
        };
        let a = with(
            &[
                ("a", Outcome::Pass),
                ("b", Outcome::Fail),
                ("c", Outcome::Blocked),
                ("d", Outcome::Pass),
                ("e", Outcome::Fail),
                ("same", Outcome::Pass),
            ],
            Verdict::Incomplete,
        );
        let mut b = with(
            &[
                ("a", Outcome::Fail),
                ("b", Outcome::Pass),
                ("c", Outcome::NotApplicable),
                ("e", Outcome::Error),
                ("f", Outcome::UnexpectedPass),
                ("same", Outcome::Pass),
            ],
            Verdict::NotConformant,
        );
        b.profile = "seed".to_owned();
        let diff = diff(&a, &b);
        assert!(diff.is_worse());
        assert_eq!(
            diff.to_string(),
            "\
Note: The runs have different profiles: contract and seed.

Verdict: Incomplete -> Not conformant

Newly failing (1 case)
  a  Pass -> Fail
      The control ‹U+001B›did not pass. See to it.

Newly passing (1 case)
  b  Fail -> Pass

Changed otherwise (1 case)
  c  Blocked -> Not applicable
      The control ‹U+001B›did not pass. See to it.

Only in the second report (1 case)
  f  Unexpected pass
      The control ‹U+001B›did not pass. See to it.

Only in the first report (1 case)
  d  Pass

Still failing (1 case)
  e  Fail -> Error
      The control ‹U+001B›did not pass. See to it.
"
        );
    }
}
