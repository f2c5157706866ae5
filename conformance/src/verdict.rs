//! The result of a run: the verdict, the matrix with its counts, and the advice.

use crate::choice::Choice;
use crate::exit::Exit;
use crate::groups;
use crate::mask::Vault;
use crate::matrix::{MATRIX, Op};
use crate::result::{self, CaseResult, Cell, Cleanup, Counts, Outcome, Report, Verdict, millis};
use crate::run::{GONE, Run};
use std::collections::BTreeMap;

/// What `schedule` hands over at the end of a run.
pub struct Findings {
    /// In the order of the choice.
    pub cases: Vec<CaseResult>,
    pub cleanup: Cleanup,
    pub started_at: String,
    pub duration_ms: u64,
    /// A case panicked.
    pub faulty: bool,
}

pub fn report(run: &Run, choice: &Choice, findings: Findings) -> Report {
    let Findings { cases, cleanup, started_at, duration_ms, faulty } = findings;
    let mut counts = Counts::default();
    let beside = [Op::Outside, Op::Service];
    let mut matrix: Vec<Cell> = MATRIX
        .iter()
        .map(|cell| (cell.op(), cell.status()))
        .chain(beside.iter().filter(|op| choice.rows.iter().any(|c| c.cell.op() == **op)).map(|op| (*op, None)))
        .map(|(op, status)| Cell { operation: op.name().to_owned(), status, counts: Counts::default() })
        .collect();
    for case in &cases {
        *counts.of(case.outcome) += 1;
        let found = |status| matrix.iter().position(|c| c.operation == case.operation && c.status == status);
        let cell = found(case.status).or(found(None)).unwrap_or(MATRIX.len());
        *matrix[cell].counts.of(case.outcome) += 1;
    }
    let unreachable = cases.iter().any(|c| c.id == "sanity.first" && c.outcome == Outcome::Error);
    let interrupted = run.interrupt.count() > 0;
    let verdict = if faulty {
        Verdict::InternalError
    } else if unreachable {
        Verdict::Unreachable
    } else if counts.fail + counts.unexpected_pass > 0 {
        Verdict::NotConformant
    } else if counts.blocked + counts.error > 0 || counts.pass <= 2 || !cleanup.left.is_empty() || interrupted {
        Verdict::Incomplete
    } else {
        Verdict::Conformant
    };
    let observed = run.delays();
    let mut advice = advice(&cases, &cleanup);
    let (repeated, in_vain) = (run.patience.repeated.get(), run.patience.in_vain.get());
    if repeated > 0 {
        advice.push(format!(
            "{repeated} calls were answered 503 with Retry-After and sent again; {in_vain} of them never got another answer."
        ));
    }
    if interrupted {
        advice.push("The run was interrupted, so it is incomplete: run it again.".to_owned());
    }
    let mut report = Report {
        report_version: result::REPORT_VERSION,
        tool: result::Tool::this(),
        target: result::Target { base_url: run.client.url("") },
        profile: run.profile.name().to_owned(),
        part: choice.part(),
        started_at,
        duration_ms,
        verdict,
        exit_code: Exit::from(verdict).code(),
        counts,
        matrix,
        consistency: (!observed.is_empty()).then(|| result::Consistency {
            window_ms: millis(run.window),
            by_operation: by_operation(&observed, &cases),
            observed_ms: observed,
        }),
        cases,
        cleanup,
        advice,
    };
    mask_late(&mut report, &run.vault);
    report
}

/// Delays are grouped by the operation that refuses the token.
fn by_operation(observed: &[(String, u64)], cases: &[CaseResult]) -> Vec<result::Delays> {
    let mut all: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (id, ms) in observed {
        let operation = cases.iter().find(|case| case.id == *id).map_or("", |case| case.operation.as_str());
        all.entry(operation).or_default().push(*ms);
    }
    all.into_iter().map(|(operation, delays)| result::Delays::of(operation, delays)).collect()
}

/// Masks again: a token that became known late may be in a text recorded earlier.
fn mask_late(report: &mut Report, vault: &Vault) {
    let mask = |text: &mut String| *text = vault.mask(text);
    for case in &mut report.cases {
        [&mut case.reason, &mut case.wanted, &mut case.got].into_iter().flatten().for_each(mask);
        for exchange in &mut case.exchanges {
            mask(&mut exchange.url);
            [&mut exchange.request_body, &mut exchange.error].into_iter().flatten().for_each(mask);
            let answered = exchange.response.iter_mut().flat_map(|answer| {
                mask(&mut answer.body);
                &mut answer.headers
            });
            exchange.request_headers.iter_mut().chain(answered).for_each(|(name, value)| {
                mask(name);
                mask(value);
            });
        }
    }
    report.advice.iter_mut().for_each(mask);
}

/// One sentence for each reason why cases were not judged, and for what was left behind.
fn advice(cases: &[CaseResult], cleanup: &Cleanup) -> Vec<String> {
    let told = |group: groups::Group| match group.cases.len() {
        1 => format!("1 case not judged: {}.", group.reason),
        n => format!("{n} cases not judged: {}.", group.reason),
    };
    // `sanity.last` reports a server that went down, so the advice does not.
    let mut lines: Vec<_> =
        groups::not_judged(cases).into_iter().filter(|group| group.reason != GONE).map(told).collect();
    let judged = |case: &CaseResult| case.outcome != Outcome::NotApplicable;
    if !cases.is_empty() && cases.iter().all(|case| case.id.starts_with("sanity.") || !judged(case)) {
        lines.push(
            "Only the sanity cases ran, which prove nothing by themselves: choose others with --case.".to_owned(),
        );
    }
    let credentials = [
        ("long.201.secret", "client_secret"),
        ("long.201.otp", "totp_secret"),
        ("long.201.assertion", "assertion_jwk"),
    ];
    for (id, credential) in credentials {
        let refused = |case: &&CaseResult| {
            case.id == id
                && case.outcome == Outcome::Fail
                && case.got.as_deref().is_some_and(|got| got.starts_with("401 invalid_client"))
        };
        if cases.iter().any(|case| refused(&case)) {
            lines.push(format!(
                "The server refused a credential of role valid in {id}: check that {credential} in the identities file is that \
                 client's own."
            ));
        }
    }
    let (tokens, clients) = cleanup.counts_left();
    if clients > 0 {
        lines.push(format!(
            "{clients} of the clients that cases created could not be deleted, so the run is incomplete: delete them as an operator. \
             Their ids begin with conformance-."
        ));
    }
    if tokens > 0 {
        lines.push(format!(
            "{tokens} of the tokens could not be revoked, so the run is incomplete. They expire by themselves: long-term tokens \
             within an hour, unless a case asked for a longer life; short-term tokens within 15 minutes."
        ));
    }
    lines
}
