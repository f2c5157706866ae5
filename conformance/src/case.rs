//! A row of the table of cases. Every file of `cases/` begins with `use crate::case::*`, so that rows can be copied between
//! files.

pub use crate::ask::{Also, Base, Base::*, Change, Change::*, Want};
pub use crate::ask::{
    BEYOND_SCOPE, CONFLICT, ENDED, GRANTED, INVALID_CLIENT, INVALID_GRANT, INVALID_REQUEST, INVALID_SCOPE,
    INVALID_TOKEN, LACKS_SCOPE, NO_CREDENTIALS, NOT_FOUND, PRECONDITION_FAILED, RATE_LIMITED, UNAUTHORIZED, plain,
    refused,
};
pub use crate::http::{Answer, Request};
pub use crate::identities::{Credential, Credential::*, Role, Role::*};
pub use crate::matrix::{Cell, Effect, Level};
pub use crate::stop::Stop;
pub use crate::trial::Trial;
pub use crate::trial::mint::{PLAIN, Token};
pub use Act::{AlikeAnswers, Ask, EveryAnswer};

use crate::trial::draft;
use crate::watch::{Judge, Rule, Shared};
use futures_util::future::LocalBoxFuture;

pub struct Case {
    /// `operation.status.what`. An id never changes.
    pub id: &'static str,
    pub cell: Cell,
    pub level: Level,
    /// The sentence that the server is held to.
    pub requirement: &'static str,
    /// Where it is written: a standard and its section, or a name or heading in a document of this project.
    pub section: &'static str,
    /// Needed identities, in addition to those that the request names.
    pub needs: &'static [(Role, Credential)],
    pub effect: Effect,
    pub phase: Phase,
    /// The case with the valid request, from which this one differs in one thing. If the control does not pass in the same
    /// run, this case proves nothing and is blocked.
    pub control: Option<&'static str>,
    pub request: Act,
    /// The expected answer. Steps have it as `t.due`.
    pub expect: Want,
    pub also: &'static [Also],
    /// Mutants that this case must kill: `selftest` runs it against them.
    pub mutants: &'static [Mutant],
}

/// The defaults of a row.
pub const ROW: Case = Case {
    id: "",
    cell: Cell::Throughout,
    level: Level::Contract,
    requirement: "",
    section: "",
    needs: &[],
    effect: Effect::Read,
    phase: Phase::Usual,
    control: None,
    request: Ask(Secret(Valid), &[]),
    expect: plain(0),
    also: &[],
    mutants: &[],
};

/// When a case runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Usual,
    /// Starts early, because it may have to wait for the next time step of one-time codes.
    Early,
    /// Starts early, and waits in `Trial::later` while the other cases run.
    Rests,
    /// Runs alone, after all others: it waits until the rate limit that they test ends.
    Last,
}

pub enum Act {
    /// A valid request with changes.
    Ask(Base, &'static [Change]),
    /// Several requests.
    Steps(Steps),
    /// Judges every answer of the run, whichever case sent the request.
    EveryAnswer(Judge),
    /// Compares all answers of a kind in the run with each other.
    AlikeAnswers(Shared),
}

pub type Steps = for<'a> fn(&'a Trial<'a>) -> LocalBoxFuture<'a, Result<(), Stop>>;

/// `steps!(f)` for an `async fn f(t: &Trial<'_>) -> Result<(), Stop>`; `steps!(f, x)` calls `f(t, x)`.
macro_rules! steps {
    ($step:path $(, $argument:expr)*) => {
        $crate::case::Act::Steps(|t| Box::pin($step(t $(, $argument)*)))
    };
}
pub(crate) use steps;

/// The reference server with one fault. Its code looks the fault up by this name.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    pub name: &'static str,
    /// What it does wrong, such as "takes any secret".
    pub says: &'static str,
    /// How it serves its revocation feed.
    pub feed: FeedMode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedMode {
    Public,
    /// Only to a token with `tokens:introspect`.
    Private,
    Off,
}

pub const fn mutant(name: &'static str, says: &'static str) -> Mutant {
    Mutant { name, says, feed: FeedMode::Public }
}

impl Mutant {
    pub const fn with_private_feed(mut self) -> Self {
        self.feed = FeedMode::Private;
        self
    }
}

impl Case {
    pub fn is_standing(&self) -> bool {
        self.rule().is_some()
    }

    /// How a standing row judges the answers of the run.
    pub fn rule(&self) -> Option<Rule> {
        match self.request {
            EveryAnswer(judge) => Some(Rule::Each(judge)),
            AlikeAnswers(shared) => Some(Rule::Alike(shared)),
            Ask(..) | Act::Steps(_) => None,
        }
    }

    /// Everything that the identities must have for this case.
    pub fn all_needs(&self) -> Vec<(Role, Credential)> {
        let mut all = self.needs.to_vec();
        if let Ask(base, changes) = &self.request {
            all.extend(draft::needs(*base, changes));
        }
        all.sort();
        all.dedup();
        all
    }

    pub async fn conduct<'a>(&self, t: &'a Trial<'a>) -> Result<(), Stop> {
        match &self.request {
            Ask(base, changes) => {
                let request = draft::build(t, *base, changes).await?;
                let answer = t.send(&request).await?;
                t.expect(self.expect, &answer)?;
                for check in self.also {
                    t.check(*check, &answer)?;
                }
            }
            Act::Steps(step) => step(t).await?,
            EveryAnswer(_) | AlikeAnswers(_) => {}
        }
        t.charged()
    }
}
