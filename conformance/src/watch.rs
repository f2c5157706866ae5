//! Standing promises: what must hold for every answer of a run, whichever case sent the request.
//!
//! Each promise has a row of its own, so that a missing header is one failure and not a hundred. If that row is not part
//! of the run, the case that sent the request fails instead.

use crate::http::{Answer, Request};
use crate::matrix::Op;
use crate::result::Exchange;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// One answer, with its request.
pub struct Seen<'a> {
    pub request: &'a Request,
    pub op: Op,
    pub answer: &'a Answer,
    /// Seconds since the epoch when the answer came.
    pub now: u64,
}

impl Seen<'_> {
    /// Whether a time is that of the answer. The clocks may differ by as many seconds.
    pub fn is_now(&self, at: u64, apart: u64) -> bool {
        at.saturating_add(apart) >= self.answer.asked && at <= self.now.saturating_add(apart)
    }
}

pub enum Standing {
    NotConcerned,
    Holds,
    Broken { wanted: String, got: String },
}

pub type Judge = fn(&Seen) -> Standing;

/// Part of an answer that must be the same in all answers of its kind, with the name of that kind. `None` if the answer is
/// not concerned.
pub type Shared = fn(&Seen) -> Option<(String, String)>;

#[derive(Clone, Copy)]
pub enum Rule {
    /// Judges each answer by itself.
    Each(Judge),
    /// Compares each answer with the first one of its kind.
    Alike(Shared),
}

pub struct Promise {
    pub id: &'static str,
    pub rule: Rule,
    /// If true, its own row reports violations; otherwise the case that sent the request fails.
    pub has_row: bool,
}

/// The first violation of a promise.
pub struct Violation {
    case: &'static str,
    pub wanted: String,
    got: String,
    pub exchange: Exchange,
    pub curl: String,
    /// How many answers violated it later.
    more: u32,
}

impl Violation {
    pub fn got(&self) -> String {
        match self.more {
            0 => format!("{} (in {})", self.got, self.case),
            n => format!("{} (in {}, and in {n} more answers)", self.got, self.case),
        }
    }
}

/// Whether a promise was kept in a run.
pub enum Kept {
    /// No answer concerned it.
    Unseen,
    Yes,
    No(Box<Violation>),
}

/// The first answer of its kind: its case, and what later answers must share with it.
type First = (&'static str, String);

pub struct Watch {
    promises: Vec<Promise>,
    /// By promise and kind.
    first: RefCell<BTreeMap<(&'static str, String), First>>,
    kept: RefCell<BTreeMap<&'static str, Kept>>,
}

impl Watch {
    pub fn new(promises: Vec<Promise>) -> Self {
        Self { promises, first: RefCell::default(), kept: RefCell::default() }
    }

    /// Judges one answer by every promise. Returns the first broken promise that has no row in this run.
    pub fn observe(
        &self,
        case: &'static str,
        seen: &Seen,
        exchange: &Exchange,
        curl: impl Fn() -> String,
    ) -> Option<(String, String)> {
        let mut charged = None;
        let mut all = self.kept.borrow_mut();
        for promise in &self.promises {
            let (wanted, got) = match self.judge(promise, case, seen) {
                Standing::NotConcerned => continue,
                Standing::Holds => {
                    all.entry(promise.id).or_insert(Kept::Yes);
                    continue;
                }
                Standing::Broken { wanted, got } => (wanted, got),
            };
            if !promise.has_row {
                charged.get_or_insert((wanted.clone(), got.clone()));
            }
            if let Some(Kept::No(first)) = all.get_mut(promise.id) {
                first.more += 1;
                continue;
            }
            let violation = Violation { case, wanted, got, exchange: exchange.clone(), curl: curl(), more: 0 };
            all.insert(promise.id, Kept::No(Box::new(violation)));
        }
        charged
    }

    fn judge(&self, promise: &Promise, case: &'static str, seen: &Seen) -> Standing {
        let shared = match promise.rule {
            Rule::Each(judge) => return judge(seen),
            Rule::Alike(shared) => shared,
        };
        let Some((kind, got)) = shared(seen) else { return Standing::NotConcerned };
        let mut first = self.first.borrow_mut();
        let (by, wanted) = first.entry((promise.id, kind)).or_insert_with(|| (case, got.clone()));
        match *wanted == got {
            true => Standing::Holds,
            false => Standing::Broken { wanted: format!("{wanted}, as in {by}"), got },
        }
    }

    /// Takes the result of a row. Called once for each row, at the end of the run.
    pub fn kept(&self, id: &str) -> Kept {
        self.kept.borrow_mut().remove(id).unwrap_or(Kept::Unseen)
    }
}
