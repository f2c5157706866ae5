//! What a row of the table says. Every file of `cases/` begins with `use crate::case::*`, so that a row reads alike in all
//! of them and can be copied from one to another.

pub use crate::ask::{Also, Base, Base::*, Change, Change::*, Want};
pub use crate::ask::{
    BEYOND_SCOPE, ENDED, GRANTED, INVALID_CLIENT, INVALID_GRANT, INVALID_REQUEST, INVALID_SCOPE, INVALID_TOKEN,
    LACKS_SCOPE, NOT_FOUND, RATE_LIMITED, UNAUTHORIZED, plain, refused,
};
pub use crate::http::{Answer, Request};
pub use crate::identities::{Credential, Credential::*, Role, Role::*};
pub use crate::matrix::{Cell, Effect, Level};
pub use crate::stop::Stop;
pub use crate::trial::Trial;
pub use crate::trial::mint::Token;
pub use Act::{Ask, EveryAnswer};

use crate::trial::draft;
use crate::watch::Judge;
use futures_util::future::LocalBoxFuture;

pub struct Case {
    /// `operation.status.what`; never changes.
    pub id: &'static str,
    pub cell: Cell,
    pub level: Level,
    /// The sentence that the server is held to.
    pub requirement: &'static str,
    /// Where that sentence stands: a standard with its section, or a name or heading in a document of this project.
    pub section: &'static str,
    /// Besides what the request itself names.
    pub needs: &'static [(Role, Credential)],
    pub effect: Effect,
    /// The right request of which this is a one-field twin: unless it passed in this run, this case proves nothing.
    pub control: Option<&'static str>,
    pub request: Act,
    /// The answer that is due, in the row's cell. Steps have it as `t.due`.
    pub expect: Want,
    pub also: &'static [Also],
    /// Servers with one fault each that this case, at least, must find: `selftest` runs it against them.
    pub mutants: &'static [Mutant],
}

/// What a row has that does not say otherwise.
pub const ROW: Case = Case {
    id: "",
    cell: Cell::Throughout,
    level: Level::Contract,
    requirement: "",
    section: "",
    needs: &[],
    effect: Effect::Read,
    control: None,
    request: Ask(Secret(Valid), &[]),
    expect: plain(0),
    also: &[],
    mutants: &[],
};

pub enum Act {
    /// A right request with something changed.
    Ask(Base, &'static [Change]),
    /// Several requests.
    Steps(Steps),
    /// Judged on every answer of the run, whichever case asked for it.
    EveryAnswer(Judge),
}

pub type Steps = for<'a> fn(&'a Trial<'a>) -> LocalBoxFuture<'a, Result<(), Stop>>;

/// `steps!(f)` for an `async fn f(t: &Trial<'_>) -> Result<(), Stop>`; `steps!(f, x)` calls `f(t, x)`.
macro_rules! steps {
    ($step:path $(, $argument:expr)*) => {
        $crate::case::Act::Steps(|t| Box::pin($step(t $(, $argument)*)))
    };
}
pub(crate) use steps;

/// The reference server with one fault, by the name that its code asks for.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    pub name: &'static str,
    /// What it does wrong: "takes any secret".
    pub says: &'static str,
    /// How it serves its feed of ends meanwhile.
    pub feed: FeedMode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedMode {
    Public,
    /// Only for a token with `tokens:introspect`.
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
        matches!(self.request, EveryAnswer(_))
    }

    /// Everything that must be among the identities.
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
            EveryAnswer(_) => {}
        }
        t.charged()
    }
}
