//! Nothing is left behind: what was minted is revoked, and what was made is deleted, also after an interruption.

use crate::endpoint;
use crate::http::{Answer, Broken, Request};
use crate::identities::Role;
use crate::ledger::{Kind, Minted};
use crate::result::Cleanup;
use crate::run::{GONE_AFTER, Run};
use crate::text::beginning;
use crate::trial::mint;
use futures_util::StreamExt;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

/// How long tokens may be revoked, and how long once the run was interrupted.
const CLEAN_UP: Duration = Duration::from_secs(120);
const CLEAN_UP_IN_HASTE: Duration = Duration::from_secs(8);
/// How long an id or a reason may be, in characters.
const REASON: usize = 1000;

/// Revokes every token of the ledger that is still open. Where this run saw that a long-term token takes its
/// short-term ones with it, revoking the parent is enough.
pub async fn clean_up(run: &Run, cascades: bool) -> Cleanup {
    run.forget_refusals();
    let enough = async {
        tokio::select! {
            () = tokio::time::sleep(CLEAN_UP) => {}
            () = async { run.interrupt.reached(1).await; tokio::time::sleep(CLEAN_UP_IN_HASTE).await } => {}
            () = run.interrupt.reached(2) => {}
        }
    };
    let problems = RefCell::new(HashMap::new());
    let silent = Cell::new(0);
    tokio::select! {
        () = async {
            // Whoever is deleted can't revoke tokens any more, and need not.
            delete_clients(run, &problems, &silent).await;
            revoke_all(run, cascades, &problems, &silent).await;
        } => {}
        () = enough => {}
    }
    let problems = problems.into_inner();
    let mut left: Vec<_> = [Kind::Long, Kind::Short]
        .into_iter()
        .flat_map(|kind| run.ledger.open(kind))
        .map(|minted| {
            let why = problems.get(&minted.token).cloned();
            let why = why.unwrap_or_else(|| "the clean-up ended before it was its turn".to_owned());
            let id = minted.id.unwrap_or_else(|| "a token without an id".to_owned());
            (beginning(&run.vault.mask_foreign(&id), REASON), beginning(&run.vault.mask_foreign(&why), REASON))
        })
        .collect();
    left.extend(run.ledger.clients().into_iter().map(|id| {
        let why = problems.get(&id).cloned();
        let why = why.unwrap_or_else(|| "the clean-up ended before it was its turn".to_owned());
        (
            beginning(&run.vault.mask_foreign(&format!("client {id}")), REASON),
            beginning(&run.vault.mask_foreign(&why), REASON),
        )
    }));
    let unknown = "the run was interrupted while it was asked for, so it may have been made".to_owned();
    left.extend((0..run.unanswered_minting()).map(|_| ("an unknown token".to_owned(), unknown.clone())));
    let (minted, revoked) = run.ledger.count();
    Cleanup { minted, revoked, left }
}

/// Deletes the clients that cases made, as the operator that made them.
async fn delete_clients(run: &Run, problems: &RefCell<HashMap<String, String>>, silent: &Cell<u32>) {
    let made = run.ledger.clients();
    if made.is_empty() {
        return;
    }
    let Some(Ok(operator)) = mint::known(run, Role::Operator, "short").await else { return };
    for id in made {
        let request = endpoint::bare("DELETE", &endpoint::client_path(&id), Some(&operator.token));
        match insist(run, &request, silent, |answer| matches!(answer.status, 204 | 404)).await {
            None => run.ledger.client_ended(&id),
            Some(problem) => {
                problems.borrow_mut().insert(id, problem);
            }
        }
    }
}

async fn revoke_all(run: &Run, cascades: bool, problems: &RefCell<HashMap<String, String>>, silent: &Cell<u32>) {
    let mut short = run.ledger.open(Kind::Short);
    if cascades {
        short.retain(|m| m.parent.is_none());
    }
    let long = run.ledger.open(Kind::Long);
    let total = short.len() + long.len();
    let done = Cell::new(0);
    // Short-term ones first: their parents' end would take away what they revoke themselves with.
    for wave in [short, long] {
        let all = futures_util::stream::iter(wave).map(|minted| {
            let done = &done;
            async move {
                let problem = revoke(run, &minted, silent).await;
                done.set(done.get() + 1);
                run.audience.progress(done.get(), total, "revoking what was minted");
                match (problem, &minted.id) {
                    (None, Some(id)) => {
                        run.ledger.ended(id);
                        if cascades && minted.kind == Kind::Long {
                            run.ledger.children_ended(id);
                        }
                    }
                    (problem, _) => {
                        problems.borrow_mut().insert(minted.token, problem.unwrap_or_default());
                    }
                }
            }
        });
        all.buffer_unordered(8).for_each(|()| async {}).await;
    }
    if cascades {
        // Children of a parent that a case had revoked itself.
        for child in run.ledger.open(Kind::Short).iter().filter(|child| run.ledger.parent_ended(child)) {
            child.id.iter().for_each(|id| run.ledger.ended(id));
        }
    }
}

/// What kept the token from being revoked.
async fn revoke(run: &Run, minted: &Minted, silent: &Cell<u32>) -> Option<String> {
    let id = match &minted.id {
        _ if minted.token.is_empty() => return Some("it was made, but the answer did not show it whole".to_owned()),
        None => return Some("the answer did not tell its id".to_owned()),
        Some(id) => id,
    };
    let request = endpoint::bare("POST", &endpoint::revoke_path(id), Some(&minted.token));
    let over = || minted.ends.is_some_and(|ends| ends <= run.clock.now()) || run.ledger.parent_ended(minted);
    // With 401 it is refused as a caller, since it has ended by itself or with the token that it came from.
    insist(run, &request, silent, |answer| answer.status == 204 || (answer.status == 401 && over())).await
}

/// What kept a request of the clean-up from being done. What passes by itself gets a second try.
async fn insist(run: &Run, request: &Request, silent: &Cell<u32>, is_done: impl Fn(&Answer) -> bool) -> Option<String> {
    let what = if request.method == "DELETE" { "deletion" } else { "revocation" };
    let mut problem = None;
    for _ in 0..2 {
        if silent.get() >= GONE_AFTER {
            return problem.or(Some("the server does not answer any more".to_owned()));
        }
        let limit = if run.interrupt.count() > 0 { CLEAN_UP_IN_HASTE / 3 } else { Duration::MAX };
        let hurried = async {
            run.interrupt.reached(1).await;
            tokio::time::sleep(CLEAN_UP_IN_HASTE / 3).await;
        };
        let outcome = tokio::select! {
            outcome = run.send_quietly(request, limit) => outcome,
            () = hurried => Err(Broken::Unfinished("no answer came in time".to_owned())),
        };
        silent.set(if outcome.is_ok() { 0 } else { silent.get() + 1 });
        match outcome {
            Ok(answer) if is_done(&answer) => return None,
            Ok(answer) if [429, 503].contains(&answer.status) => {
                problem = Some(format!("the {what} was answered {}", run.summary(&answer)));
            }
            Ok(answer) => return Some(format!("the {what} was answered {}", run.summary(&answer))),
            Err(broken) => problem = Some(broken.to_string()),
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    problem
}
