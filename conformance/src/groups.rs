//! Which cases of a run need attention, and which of them have one cause. The terminal and all reports group failures by
//! this.

use crate::matrix::Op;
use crate::result::{CaseResult, Outcome};
use serde_json::Value;
use std::collections::BTreeMap;

/// The outcomes by urgency. Lists are sorted by this, and a cell with several outcomes shows the first.
pub const WORST_FIRST: [Outcome; 7] = [
    Outcome::Fail,
    Outcome::Error,
    Outcome::UnexpectedPass,
    Outcome::Blocked,
    Outcome::ExpectedFail,
    Outcome::NotApplicable,
    Outcome::Pass,
];

/// The start of the reason of a case that is blocked because of its control; the control's id follows.
pub const WITHOUT_CONTROL: &str = "its positive control ";
/// The end of that reason.
pub const PROVES_NOTHING: &str = " did not pass, so this case would prove nothing";

/// The cases that need attention, worst first; cases of one outcome keep the run's order.
pub fn attention(cases: &[CaseResult]) -> Vec<&CaseResult> {
    let needs_reader = |outcome| is_failure(outcome) || outcome == Outcome::Blocked;
    WORST_FIRST
        .into_iter()
        .filter(|&outcome| needs_reader(outcome))
        .flat_map(|outcome| cases.iter().filter(move |case| case.outcome == outcome))
        .collect()
}

/// Outcomes that are shown with a command to repeat them. A blocked case has nothing to repeat.
pub fn is_failure(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Fail | Outcome::UnexpectedPass | Outcome::Error)
}

/// Cases that were not judged for one reason.
pub struct Group<'a> {
    pub reason: String,
    pub cases: Vec<&'a CaseResult>,
}

/// The reasons why cases were not judged, the most frequent first. Cases whose control did not pass are one group.
pub fn not_judged(cases: &[CaseResult]) -> Vec<Group<'_>> {
    let mut by_reason: BTreeMap<&str, Vec<&CaseResult>> = BTreeMap::new();
    let mut controls: BTreeMap<&str, u32> = BTreeMap::new();
    for case in cases.iter().filter(|case| matches!(case.outcome, Outcome::Blocked | Outcome::Error)) {
        let reason = case.reason.as_deref().unwrap_or_default();
        let control = reason.strip_prefix(WITHOUT_CONTROL).and_then(|rest| rest.strip_suffix(PROVES_NOTHING));
        if let Some(control) = control {
            *controls.entry(control).or_default() += 1;
        }
        by_reason.entry(if control.is_some() { WITHOUT_CONTROL } else { reason }).or_default().push(case);
    }
    let mut controls: Vec<_> = controls.into_iter().collect();
    controls.sort_by_key(|(_, leaning)| std::cmp::Reverse(*leaning));
    let without = match controls[..] {
        [(only, _)] => format!("{WITHOUT_CONTROL}{only}{PROVES_NOTHING}"),
        _ => {
            let named: Vec<_> = controls.iter().take(5).map(|(id, _)| *id).collect();
            let more = controls.len() - named.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!(
                "their positive controls did not pass, so these cases would prove nothing ({}{more})",
                named.join(", ")
            )
        }
    };
    let mut groups: Vec<_> = by_reason
        .into_iter()
        .map(|(reason, cases)| {
            let reason = if reason == WITHOUT_CONTROL { without.clone() } else { reason.to_owned() };
            Group { reason, cases }
        })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.cases.len()));
    groups
}

/// Failures that probably have one cause: the answers differ from the expected ones in the same way.
pub struct Failures<'a> {
    /// The one that shows the cause best.
    pub telling: &'a CaseResult,
    pub others: Vec<&'a CaseResult>,
}

/// Rows that tell more than the failures that follow from them, most telling first.
const TELLING: [&str; 7] = [
    "long.statuses",
    "short.statuses",
    "revoke.statuses",
    "outside.json",
    "outside.no-echo",
    "long.201.body",
    "short.201.body",
];

/// The failures in groups, worst first; a group takes the position of its first case, or one before all others if it has a
/// row of `TELLING`.
pub fn failures(cases: &[CaseResult]) -> Vec<Failures<'_>> {
    let mut groups: Vec<((Outcome, String), Vec<&CaseResult>)> = Vec::new();
    for case in attention(cases).into_iter().filter(|case| is_failure(case.outcome)) {
        let key = (case.outcome, difference(case));
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(case),
            None => groups.push((key, vec![case])),
        }
    }
    let place = |group: &[&CaseResult]| TELLING.iter().position(|id| group.iter().any(|case| case.id == *id));
    groups.sort_by_key(|((outcome, _), group)| {
        (WORST_FIRST.iter().position(|o| o == outcome), place(group).unwrap_or(TELLING.len()))
    });
    groups
        .into_iter()
        .map(|(_, mut group)| {
            // Prefer a row of `TELLING`, then a standing row, which states the promise itself, then the case with the
            // fewest exchanges.
            let rank = |case: &CaseResult| {
                let telling = TELLING.contains(&case.id.as_str());
                (!telling, case.status.is_some(), case.level != "seed", case.exchanges.len())
            };
            let at = (0..group.len()).min_by_key(|at| (rank(group[*at]), *at)).unwrap_or_default();
            Failures { telling: group.remove(at), others: group }
        })
        .collect()
}

/// What failures of one cause have in common: the expected and the actual answer, without values.
fn difference(case: &CaseResult) -> String {
    let Some(wanted) = &case.wanted else { return without_values(case.reason.as_deref().unwrap_or_default()) };
    let answer = case.exchanges.last().and_then(|exchange| exchange.response.as_ref());
    let body = answer.and_then(|answer| serde_json::from_str::<Value>(&answer.body).ok());
    let got = case.got.as_deref().unwrap_or_default();
    if let Some(status) = unlawful(&case.id, got) {
        return format!("{status} where it is never due");
    }
    // If `got` quotes the answer's body, compare the names of its members instead of the quote.
    let shape = match (&body, got.split_once(" with {")) {
        (Some(Value::Object(members)), Some((status, _))) => {
            format!("{status} {:?}", members.keys().collect::<Vec<_>>())
        }
        _ => without_values(got.split(" (").next().unwrap_or_default()),
    };
    format!("{}\n{shape}", without_values(wanted))
}

/// The status that a server answered, if the operation never has it: then it does not matter which one was due.
fn unlawful<'a>(id: &str, got: &'a str) -> Option<&'a str> {
    let op = match id.split('.').next()? {
        "long" => Op::Long,
        "short" => Op::Short,
        "revoke" => Op::Revoke,
        _ => return None,
    };
    let text = got.split([' ', ',']).next().filter(|text| text.len() == 3)?;
    let status = text.parse().ok()?;
    (status != 503 && !op.statuses().contains(&status)).then_some(text)
}

/// Replaces numbers, names of secrets and ids, which differ from case to case.
fn without_values(text: &str) -> String {
    let words = text.split([' ', '"', ',', ':']).map(|word| {
        let is_value = word.starts_with('$') || word.starts_with("tok_") || word.bytes().any(|b| b.is_ascii_digit());
        // Keep a status: a number of three digits.
        let is_status = word.len() == 3 && word.bytes().all(|b| b.is_ascii_digit());
        if is_value && !is_status { "·" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn failed(id: &str, wanted: &str, got: &str, body: &str) -> CaseResult {
        let mut case = sample::conformant().cases.remove(0);
        case.id = id.to_owned();
        case.outcome = Outcome::Fail;
        (case.wanted, case.got) = (Some(wanted.to_owned()), Some(got.to_owned()));
        if let Some(answer) = case.exchanges.last_mut().and_then(|exchange| exchange.response.as_mut()) {
            answer.body = body.to_owned();
        }
        case
    }

    #[test]
    fn one_renamed_field_is_one_line() {
        let one = |nth: u32| {
            let body = format!(r#"{{"accessToken":"$LONG_TOKEN_{nth}","token_id":"tok_lt_{nth}","expires_in":{nth}}}"#);
            failed(&format!("long.201.{nth}"), "201 with access_token", &format!("201 with {body}"), &body)
        };
        let cases: Vec<_> = (0..200).map(one).collect();
        let groups = failures(&cases);
        assert_eq!((groups.len(), groups[0].others.len()), (1, 199));
        assert_eq!(groups[0].telling.id, "long.201.0");
    }

    #[test]
    fn other_differences_are_told_apart() {
        let cases = [
            failed("a", "201", "401 invalid_client (Wrong.)", "{}"),
            failed("b", "201", "401 invalid_client (Also wrong.)", "{}"),
            failed("c", "201", "403 insufficient_scope (No.)", "{}"),
            failed("d", "204", "401 invalid_client (Wrong.)", "{}"),
        ];
        let told: Vec<_> =
            failures(&cases).iter().map(|group| (group.telling.id.clone(), group.others.len())).collect();
        assert_eq!(told, [("a".to_owned(), 1), ("c".to_owned(), 0), ("d".to_owned(), 0)]);
    }

    #[test]
    fn a_status_that_is_never_due_is_one_group_headed_by_the_row_about_statuses() {
        let mut statuses =
            failed("long.statuses", "one of 201, 400", "409 (in long.401.a, and in 2 more answers)", "{}");
        statuses.status = None;
        let cases = [
            failed("long.403.z", "403", "404 (No.)", "{}"),
            failed("long.401.a", "401 invalid_client", "409 conflict (No.)", "{}"),
            failed("long.400.b", "400 invalid_request", "409 conflict (No.)", "{}"),
            statuses,
        ];
        let groups = failures(&cases);
        let told: Vec<_> = groups.iter().map(|group| (group.telling.id.as_str(), group.others.len())).collect();
        assert_eq!(told, [("long.statuses", 2), ("long.403.z", 0)]);
    }

    #[test]
    fn cases_without_a_control_are_one_sentence() {
        let mut cases: Vec<_> = (0..9).map(|nth| failed(&nth.to_string(), "", "", "")).collect();
        for (nth, case) in cases.iter_mut().enumerate() {
            case.outcome = Outcome::Blocked;
            case.reason = Some(format!("{WITHOUT_CONTROL}control-{}{PROVES_NOTHING}", nth % 2));
        }
        let groups = not_judged(&cases);
        assert_eq!(groups.len(), 1);
        assert!(groups[0].reason.contains("control-0, control-1"), "{}", groups[0].reason);
    }
}
