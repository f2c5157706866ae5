//! The clean-up: revokes every token that the run minted and deletes every client that it made, also after an
//! interruption.

use crate::clock::Clock;
use crate::endpoint;
use crate::http::{Answer, Broken, Request};
use crate::identities::Role;
use crate::ledger::{Kind, Minted};
use crate::patience::retry_after;
use crate::result::{Cleanup, millis};
use crate::run::{GONE_AFTER, Run};
use crate::text::beginning;
use crate::trial::mint;
use futures_util::StreamExt;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

/// Time limit of the clean-up, and after an interruption.
const CLEAN_UP: Duration = Duration::from_secs(120);
const CLEAN_UP_IN_HASTE: Duration = Duration::from_secs(8);
/// How many calls of the clean-up run at once. A server that gathers the revocations of a client's tokens answers many
/// as soon as one: the contract asks for 100 within 5 seconds.
const AT_ONCE: usize = 100;
/// How often a call of the clean-up is sent at most, and the limit on the sum of all waits for a busy server.
const TRIES: u32 = 10;
const WAITS: Duration = Duration::from_secs(65);
const A_MOMENT: Duration = Duration::from_millis(250);
/// The longest id or reason in a report, in characters.
const REASON: usize = 1000;

/// Deletes the clients and revokes the tokens that the ledger still lists. `cascades`: this run saw that revoking a
/// long-term token ends the short-term tokens made from it, so revoking the parent is enough.
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
    let quiet = Quiet::default();
    tokio::select! {
        () = async {
            // Delete the clients first, which ends their tokens.
            delete_clients(run, &problems, &quiet).await;
            revoke_all(run, cascades, &problems, &quiet).await;
        } => {}
        () = enough => {}
    }
    let problems = problems.into_inner();
    let mut left: Vec<_> = [Kind::Long, Kind::Short]
        .into_iter()
        .flat_map(|kind| run.ledger.open(kind))
        .map(|minted| {
            let why = problems.get(&minted.token).cloned();
            let why = why.unwrap_or_else(|| "the clean-up ended before this was tried".to_owned());
            let id = minted.id.unwrap_or_else(|| "a token without an id".to_owned());
            (beginning(&run.vault.mask_foreign(&id), REASON), beginning(&run.vault.mask_foreign(&why), REASON))
        })
        .collect();
    left.extend(run.ledger.clients().into_iter().map(|id| {
        let why = problems.get(&id).cloned();
        let why = why.unwrap_or_else(|| "the clean-up ended before this was tried".to_owned());
        (
            beginning(&run.vault.mask_foreign(&format!("client {id}")), REASON),
            beginning(&run.vault.mask_foreign(&why), REASON),
        )
    }));
    let unknown = "the run was interrupted before the answer came, so a token may have been made".to_owned();
    left.extend((0..run.unanswered_minting()).map(|_| ("an unknown token".to_owned(), unknown.clone())));
    let (minted, revoked) = run.ledger.count();
    Cleanup { minted, revoked, left }
}

/// Deletes the clients that cases made, as the operator that made them.
async fn delete_clients(run: &Run, problems: &RefCell<HashMap<String, String>>, quiet: &Quiet) {
    let made = run.ledger.clients();
    if made.is_empty() {
        return;
    }
    let Some(Ok(operator)) = mint::known(run, Role::Operator, "short").await else { return };
    let all = futures_util::stream::iter(made).map(|id| async {
        let request = endpoint::bare("DELETE", &endpoint::client_path(&id), Some(&operator.token));
        match insist(run, &request, quiet, |answer| matches!(answer.status, 204 | 404)).await {
            None => run.ledger.client_ended(&id),
            Some(problem) => {
                problems.borrow_mut().insert(id, problem);
            }
        }
    });
    all.buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
}

async fn revoke_all(run: &Run, cascades: bool, problems: &RefCell<HashMap<String, String>>, quiet: &Quiet) {
    let mut short = run.ledger.open(Kind::Short);
    if cascades {
        short.retain(|m| m.parent.is_none());
    }
    let long = run.ledger.open(Kind::Long);
    let total = short.len() + long.len();
    let done = Cell::new(0);
    // Short-term tokens first: each revokes itself, which it can't once its parent is revoked.
    for wave in [short, long] {
        let all = futures_util::stream::iter(wave).map(|minted| {
            let done = &done;
            async move {
                let problem = revoke(run, &minted, quiet).await;
                done.set(done.get() + 1);
                run.audience.progress(done.get(), total, "revoking tokens");
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
        all.buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
    }
    if cascades {
        // The short-term tokens of a long-term token that a case has revoked.
        for child in run.ledger.open(Kind::Short).iter().filter(|child| run.ledger.parent_ended(child)) {
            child.id.iter().for_each(|id| run.ledger.ended(id));
        }
    }
}

/// Revokes a token by itself. Returns why that failed.
async fn revoke(run: &Run, minted: &Minted, quiet: &Quiet) -> Option<String> {
    let id = match &minted.id {
        _ if minted.token.is_empty() => {
            return Some("the server issued it, but its answer did not contain the whole token".to_owned());
        }
        None => return Some("the server's answer did not contain its token_id".to_owned()),
        Some(id) => id,
    };
    let request = endpoint::bare("POST", &endpoint::revoke_path(id), Some(&minted.token));
    let over = || minted.ends.is_some_and(|ends| ends <= run.clock.now()) || run.ledger.parent_ended(minted);
    // 401 means done if the token has expired or its parent was revoked.
    insist(run, &request, quiet, |answer| answer.status == 204 || (answer.status == 401 && over())).await
}

/// Sends a request of the clean-up until it is done. Returns why it could not be done. After 429 or 503 all requests wait
/// together for `Retry-After`, so that only one of them hits a rate limit.
async fn insist(run: &Run, request: &Request, quiet: &Quiet, is_done: impl Fn(&Answer) -> bool) -> Option<String> {
    let what = if request.method == "DELETE" { "deletion" } else { "revocation" };
    let mut problem = None;
    for _ in 0..TRIES {
        if quiet.silent.get() >= GONE_AFTER {
            return problem.or(Some("the server no longer answers".to_owned()));
        }
        quiet.wait(run).await;
        let limit = if run.interrupt.count() > 0 { CLEAN_UP_IN_HASTE / 3 } else { Duration::MAX };
        let hurried = async {
            run.interrupt.reached(1).await;
            tokio::time::sleep(CLEAN_UP_IN_HASTE / 3).await;
        };
        let outcome = tokio::select! {
            outcome = run.send_quietly(request, limit) => outcome,
            () = hurried => Err(Broken::Unfinished("no answer before the time limit of an interrupted clean-up".to_owned())),
        };
        quiet.silent.set(if outcome.is_ok() { 0 } else { quiet.silent.get() + 1 });
        match outcome {
            Ok(answer) if is_done(&answer) => return None,
            Ok(answer) if [429, 503].contains(&answer.status) => {
                problem = Some(format!("the server answered the {what} with {}", run.summary(&answer)));
                if !quiet.until(run, retry_after(&answer).unwrap_or(A_MOMENT)) {
                    return problem;
                }
            }
            Ok(answer) => return Some(format!("the server answered the {what} with {}", run.summary(&answer))),
            Err(broken) => {
                problem = Some(broken.to_string());
                tokio::time::sleep(A_MOMENT).await;
            }
        }
    }
    problem
}

/// What the requests of the clean-up share.
#[derive(Default)]
struct Quiet {
    /// How many requests in a row got no answer.
    silent: Cell<u32>,
    /// Nothing is sent before this time, in milliseconds since the epoch.
    until_ms: Cell<u64>,
    waited_ms: Cell<u64>,
}

impl Quiet {
    /// Makes all requests wait for this long. False if the sum of waits would exceed its limit.
    fn until(&self, run: &Run, pause: Duration) -> bool {
        let now = run.clock.now_ms();
        let then = now.saturating_add(millis(pause));
        let waited = self.waited_ms.get() + then.saturating_sub(self.until_ms.get().max(now));
        // On a clock that jumps, waits take no time, and are not shared.
        if waited > millis(WAITS) && !matches!(run.clock, Clock::Virtual(_)) {
            return false;
        }
        self.waited_ms.set(waited);
        self.until_ms.set(then.max(self.until_ms.get()));
        true
    }

    /// Waits until requests may be sent again. Does not wait after an interruption.
    async fn wait(&self, run: &Run) {
        tokio::select! {
            () = run.clock.wait_until_ms(self.until_ms.get()) => {}
            () = run.interrupt.reached(1) => {}
        }
    }
}
