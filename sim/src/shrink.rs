//! Shrinks a plan: leaves items out as long as the same promise is still broken.

use crate::plan::Plan;
use crate::sim::{Outcome, Sim};

/// How many smaller plans are tried.
const MOST_TRIES: usize = 1_500;

pub fn shrink(plan: &Plan, found: Outcome) -> (Plan, Outcome) {
    let Some(promise) = found.violation.as_ref().map(|violation| violation.promise) else {
        return (plan.clone(), found);
    };
    let mut tries = 0;
    let (mut plan, mut outcome) = (plan.clone(), found);
    let mut size = plan.items.len().div_ceil(2);
    while size > 0 && tries < MOST_TRIES {
        let mut at = 0;
        let mut has_shrunk = false;
        while at < plan.items.len() && tries < MOST_TRIES {
            let mut less = plan.clone();
            less.items.drain(at..(at + size).min(plan.items.len()));
            let run = Sim::run(&less);
            tries += 1;
            if run.violation.as_ref().is_some_and(|violation| violation.promise == promise) {
                (plan, outcome) = (less, run);
                has_shrunk = true;
            } else {
                at += size;
            }
        }
        if !has_shrunk {
            size /= 2;
        } else {
            size = size.min(plan.items.len().div_ceil(2));
        }
    }
    (plan, outcome)
}
