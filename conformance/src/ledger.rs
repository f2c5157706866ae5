//! Every token that the run was given, so that none outlives it.

use std::cell::RefCell;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Long,
    Short,
}

#[derive(Debug, Clone)]
pub struct Minted {
    pub kind: Kind,
    pub id: String,
    pub token: String,
    /// The long-term token that a short-term one was made from.
    pub parent: Option<String>,
    pub ended: bool,
}

#[derive(Default)]
pub struct Ledger(RefCell<Vec<Minted>>);

impl Ledger {
    pub fn add(&self, kind: Kind, id: &str, token: &str, bearer: Option<&str>) {
        let mut all = self.0.borrow_mut();
        let parent = match kind {
            Kind::Long => None,
            Kind::Short => all.iter().find(|m| Some(m.token.as_str()) == bearer).map(|m| m.id.clone()),
        };
        all.push(Minted { kind, id: id.to_owned(), token: token.to_owned(), parent, ended: false });
    }

    pub fn ended(&self, id: &str) {
        self.0.borrow_mut().iter_mut().filter(|m| m.id == id).for_each(|m| m.ended = true);
    }

    /// The end of a long-term token is the end of all that was made from it.
    pub fn ended_with_children(&self, id: &str) {
        let of = |m: &&mut Minted| m.id == id || m.parent.as_deref() == Some(id);
        self.0.borrow_mut().iter_mut().filter(of).for_each(|m| m.ended = true);
    }

    /// Whether this came from a long-term token that has ended.
    pub fn parent_ended(&self, minted: &Minted) -> bool {
        self.0.borrow().iter().any(|m| m.ended && Some(&m.id) == minted.parent.as_ref())
    }

    pub fn open(&self, kind: Kind) -> Vec<Minted> {
        self.0.borrow().iter().filter(|m| m.kind == kind && !m.ended).cloned().collect()
    }

    pub fn count(&self) -> (u32, u32) {
        let all = self.0.borrow();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (count(all.len()), count(all.iter().filter(|m| m.ended).count()))
    }
}
