//! What a run came to: the verdict, the matrix with its counts, and the sentences that say what to do next.

use crate::choice::Choice;
use crate::exit::Exit;
use crate::groups;
use crate::mask::Vault;
use crate::matrix::{MATRIX, Op};
use crate::result::{self, CaseResult, Cell, Cleanup, Counts, Outcome, Report, Verdict, millis};
use crate::run::Run;

/// What a run came to.
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
        add(&mut counts, case.outcome);
        let found = |status| matrix.iter().position(|c| c.operation == case.operation && c.status == status);
        let cell = found(case.status).or(found(None)).unwrap_or(MATRIX.len());
        add(&mut matrix[cell].counts, case.outcome);
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
    if interrupted {
        advice.push("The run was interrupted, so it is incomplete: run again.".to_owned());
    }
    let mut report = Report {
        report_version: result::REPORT_VERSION,
        tool: result::Tool { name: "conformance".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        target: result::Target { base_url: run.client.url("") },
        profile: run.profile.name().to_owned(),
        part: choice.part(),
        started_at,
        duration_ms,
        verdict,
        exit_code: Exit::from(verdict).code(),
        counts,
        matrix,
        cases,
        consistency: (!observed.is_empty())
            .then(|| result::Consistency { window_ms: millis(run.window), observed_ms: observed }),
        cleanup,
        advice,
    };
    mask_late(&mut report, &run.vault);
    report
}

/// A token that was learnt late may stand in what was recorded before.
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

fn add(counts: &mut Counts, outcome: Outcome) {
    let slot = match outcome {
        Outcome::Pass => &mut counts.pass,
        Outcome::Fail => &mut counts.fail,
        Outcome::Blocked => &mut counts.blocked,
        Outcome::NotApplicable => &mut counts.not_applicable,
        Outcome::ExpectedFail => &mut counts.expected_fail,
        Outcome::UnexpectedPass => &mut counts.unexpected_pass,
        Outcome::Error => &mut counts.error,
    };
    *slot += 1;
}

/// One sentence for each different thing that kept cases from being judged.
fn advice(cases: &[CaseResult], cleanup: &Cleanup) -> Vec<String> {
    let told = |group: groups::Group| match group.cases.len() {
        1 => format!("1 case not judged: {}.", group.reason),
        n => format!("{n} cases not judged: {}.", group.reason),
    };
    let mut lines: Vec<_> = groups::not_judged(cases).into_iter().map(told).collect();
    let (tokens, clients) = cleanup.counts_left();
    if clients > 0 {
        lines.push(format!(
            "{clients} of the clients that cases made could not be deleted, so the run is incomplete: delete them as an operator."
        ));
    }
    if tokens > 0 {
        lines.push(format!(
            "{tokens} of the tokens could not be revoked, so the run is incomplete; they end by themselves: long-term ones within the hour unless a case asked \
             for a longer life, short-term ones within 15 minutes."
        ));
    }
    lines
}
