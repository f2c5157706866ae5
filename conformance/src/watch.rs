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

pub struct Promise {
    pub id: &'static str,
    pub judge: Judge,
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

pub struct Watch {
    promises: Vec<Promise>,
    kept: RefCell<BTreeMap<&'static str, Kept>>,
}

impl Watch {
    pub fn new(promises: Vec<Promise>) -> Self {
        Self { promises, kept: RefCell::default() }
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
            let (wanted, got) = match (promise.judge)(seen) {
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

    /// Takes the result of a row. Called once for each row, at the end of the run.
    pub fn kept(&self, id: &str) -> Kept {
        self.kept.borrow_mut().remove(id).unwrap_or(Kept::Unseen)
    }
}
