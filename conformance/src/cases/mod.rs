//! The table: every promise of the contract that can be seen over HTTP, one row each.
//!
//! A row is a right request, the one thing changed in it, and the answer that is due. Copy a row to add a case; its id
//! never changes afterwards. Where one request can't show it, the row names a step function instead.

mod burst;
mod feed;
mod long;
mod outside;
mod revoke;
mod short;
mod standing;

use crate::http::{Answer, Request};
use crate::identities::{Credential, Role};
use crate::trial::{Stop, Token, Trial};
use futures_util::future::LocalBoxFuture;
use serde::Deserialize;

pub use Credential::{AssertionJwk, ClientId, ClientSecret, TotpSecret};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    Long,
    Short,
    Revoke,
    /// What no cell of the matrix holds.
    Outside,
    /// What stands around the tokens: operators, keys, metadata, the feed of ends.
    Service,
}

impl Op {
    pub fn name(self) -> &'static str {
        match self {
            Self::Long => "issueLongTermToken",
            Self::Short => "issueShortTermToken",
            Self::Revoke => "revokeToken",
            Self::Outside => "outside",
            Self::Service => "service",
        }
    }
}

/// The twelve cells, in the contract's order.
pub const MATRIX: [(Op, u16); 12] = [
    (Op::Long, 201),
    (Op::Long, 400),
    (Op::Long, 401),
    (Op::Long, 403),
    (Op::Long, 429),
    (Op::Short, 201),
    (Op::Short, 400),
    (Op::Short, 401),
    (Op::Short, 429),
    (Op::Revoke, 204),
    (Op::Revoke, 401),
    (Op::Revoke, 404),
];

/// Each judges what those before it do, and more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The public API page itself promises it.
    Seed,
    /// The contract closes what that page leaves open.
    Contract,
    /// The contract promises it of what stands around the three operations.
    Service,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Self::Seed => "seed",
            Self::Contract => "contract",
            Self::Service => "service",
        }
    }
}

/// What a case does to the deployment, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    Read,
    Mint,
    Revoke,
    /// Makes clients of its own, and deletes them at the end. Their ids can't be used again.
    Provision,
    Burst,
}

impl Effect {
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Mint => "mint",
            Self::Revoke => "revoke",
            Self::Provision => "provision",
            Self::Burst => "burst",
        }
    }
}

pub struct Case {
    /// `operation.status.what`; never changes.
    pub id: &'static str,
    /// The sentence that the server is held to.
    pub says: &'static str,
    pub op: Op,
    /// The cell's status; none for what holds across all of them.
    pub status: Option<u16>,
    pub level: Level,
    pub effect: Effect,
    /// The right request of which this is a one-field twin: unless it passed in this run, this case proves nothing.
    pub control: Option<&'static str>,
    /// Besides what the request itself names.
    pub needs: &'static [(Role, Credential)],
    pub act: Act,
}

pub enum Act {
    Ask {
        base: Base,
        changes: &'static [Change],
        want: Want,
        also: &'static [Also],
    },
    Steps(Steps),
    /// Judged on every answer of the run, whichever case asked for it.
    Standing(fn(&Seen) -> Standing),
}

pub type Steps = for<'a> fn(&'a Trial<'a>) -> LocalBoxFuture<'a, Result<(), Stop>>;

/// The right request that a row starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// POST /auth/tokens/long by client secret.
    Secret(Role),
    /// POST /auth/tokens/long by a freshly signed assertion.
    Assertion(Role),
    /// POST /auth/tokens/long with a short-term bearer that has `tokens:write`.
    Rotation(Role),
    /// POST /auth/tokens/short without a body.
    Exchange(Role),
    /// POST /auth/tokens/short with `{"scopes":["jobs:submit"]}`.
    ExchangeFor(Role),
    /// POST /auth/tokens/{tokenId}/revoke by a short-term token with `tokens:*`, on a spare long-term token.
    Revoke(Role),
}

/// One deviation. Texts may hold `${role.setting}`, `${role.long}`, `${role.short}`, `${now+60}` and the like: see
/// `draft.rs`, which fills them in.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    Method(&'static str),
    Path(&'static str),
    Header(&'static str, &'static str),
    /// A header once more, as another line with the same value.
    Repeat(&'static str),
    /// A header once more, with this value.
    Beside(&'static str, &'static str),
    NoHeader(&'static str),
    /// A member of the body, as JSON text.
    Set(&'static str, &'static str),
    Unset(&'static str),
    /// The whole body as text, in place of what the base would send.
    Raw(&'static str),
    RawBytes(&'static [u8]),
    /// Put behind the finished body.
    Append(&'static str),
    /// `scopes` becomes this many different scopes under `jobs:*`.
    ManyScopes(usize),
    /// `scopes` becomes one scope under `jobs:*` of this many characters.
    LongScope(usize),
    /// Spaces after the first brace until the body has this many bytes.
    PadTo(usize),
    /// No `Content-Length`: sent in pieces.
    Chunked,
    /// A claim of the assertion, as JSON text.
    Claim(&'static str, &'static str),
    NoClaim(&'static str),
    /// A header parameter of the assertion, as JSON text.
    Jose(&'static str, &'static str),
    /// Signed with another client's key, under this client's `kid`.
    SignedBy(Role),
    /// No signature, and `alg` says `none`.
    AlgNone,
    /// One character of the signature changed.
    TamperedSignature,
    /// A claim changed after signing.
    TamperedClaims,
}

/// The answer that is due.
#[derive(Debug, Clone, Copy)]
pub struct Want {
    pub status: u16,
    /// Any of these codes; none where the body is no error.
    pub codes: &'static [&'static str],
    /// Where the contract can be read in two ways: the other lawful answers.
    pub or: &'static [(u16, &'static str)],
}

/// What else must hold of the answer.
#[derive(Debug, Clone, Copy)]
pub enum Also {
    /// `expires_in`, in seconds; two may have passed since it was computed.
    ExpiresIn(u64),
    LongDefault,
    /// The role's own maximum.
    LongCap(Role),
    ShortDefault,
    /// Exactly these, in this order.
    Scopes(&'static [&'static str]),
    /// At least one, and none beyond what the identity was provisioned with.
    ScopesWithin(Role),
    ManyScopes(usize),
    /// The field at fault is named in `message` or `details`.
    Names(&'static str),
    /// `message` says that a header was there more than once, in whichever words.
    SaysRepeated,
    AllowsPost,
    /// The `error` of the challenge (RFC 6750 section 3).
    Challenge(&'static str),
    TokenIdStarts(&'static str),
}

/// One answer, with what was asked.
pub struct Seen<'a> {
    pub request: &'a Request,
    pub op: Op,
    pub answer: &'a Answer,
    /// Seconds since the epoch when the answer came.
    pub now: u64,
}

pub enum Standing {
    NotConcerned,
    Holds,
    Broken { wanted: String, got: String },
}

pub const GRANTED: Want = Want { status: 201, codes: &[], or: &[] };
pub const ENDED: Want = Want { status: 204, codes: &[], or: &[] };
pub const INVALID_REQUEST: Want = refused(400, &["invalid_request"]);
pub const INVALID_GRANT: Want = refused(400, &["invalid_grant"]);
pub const INVALID_SCOPE: Want = refused(400, &["invalid_scope"]);
pub const INVALID_CLIENT: Want = refused(401, &["invalid_client"]);
pub const INVALID_TOKEN: Want = refused(401, &["invalid_token"]);
pub const MAY_NOT_REVOKE: Want = refused(401, &["insufficient_scope"]);
pub const BEYOND_SCOPE: Want = refused(403, &["insufficient_scope"]);
pub const UNAUTHORIZED: Want = refused(403, &["unauthorized_client"]);
pub const NOT_FOUND: Want = refused(404, &["not_found"]);
pub const RATE_LIMITED: Want = refused(429, &["rate_limited"]);

pub const fn refused(status: u16, codes: &'static [&'static str]) -> Want {
    Want { status, codes, or: &[] }
}

/// A row of one request.
const fn ask(id: &'static str, says: &'static str, base: Base, changes: &'static [Change], want: Want) -> Case {
    let (op, control) = match base {
        Base::Secret(_) => (Op::Long, "long.201.secret"),
        Base::Assertion(_) => (Op::Long, "long.201.assertion"),
        Base::Rotation(_) => (Op::Long, "long.201.rotation"),
        Base::Exchange(_) => (Op::Short, "short.201.exchange"),
        Base::ExchangeFor(_) => (Op::Short, "short.201.scopes-subset"),
        Base::Revoke(_) => (Op::Revoke, "revoke.204.sibling"),
    };
    Case {
        id,
        says,
        op,
        status: Some(want.status),
        level: Level::Contract,
        effect: match (base, want.status) {
            (Base::Secret(_) | Base::Assertion(_), 400 | 401 | 403) => Effect::Read,
            (_, 204) => Effect::Revoke,
            _ => Effect::Mint,
        },
        control: Some(control),
        needs: &[],
        act: Act::Ask { base, changes, want, also: &[] },
    }
}

/// A row of several requests.
const fn steps(
    id: &'static str,
    says: &'static str,
    op: Op,
    status: u16,
    needs: &'static [(Role, Credential)],
    act: Steps,
) -> Case {
    let effect = match op {
        Op::Revoke => Effect::Revoke,
        _ => Effect::Mint,
    };
    Case {
        id,
        says,
        op,
        status: Some(status),
        level: Level::Contract,
        effect,
        control: None,
        needs,
        act: Act::Steps(act),
    }
}

/// A row that judges every answer.
const fn standing(
    id: &'static str,
    says: &'static str,
    op: Op,
    status: Option<u16>,
    judge: fn(&Seen) -> Standing,
) -> Case {
    Case {
        id,
        says,
        op,
        status,
        level: Level::Contract,
        effect: Effect::Read,
        control: None,
        needs: &[],
        act: Act::Standing(judge),
    }
}

impl Case {
    const fn seed(mut self) -> Self {
        self.level = Level::Seed;
        self
    }

    const fn twin_of(mut self, control: &'static str) -> Self {
        self.control = Some(control);
        self
    }

    /// A right request itself.
    const fn control(mut self) -> Self {
        self.control = None;
        self
    }

    const fn needing(mut self, needs: &'static [(Role, Credential)]) -> Self {
        self.needs = needs;
        self
    }

    const fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    const fn outside(mut self) -> Self {
        self.op = Op::Outside;
        self
    }

    const fn also(mut self, checks: &'static [Also]) -> Self {
        if let Act::Ask { base, changes, want, .. } = self.act {
            self.act = Act::Ask { base, changes, want, also: checks };
        }
        self
    }

    pub fn cell(&self) -> String {
        match self.status {
            Some(status) => format!("{} {status}", self.op.name()),
            None => self.op.name().to_owned(),
        }
    }

    /// Everything that must be among the identities.
    pub fn all_needs(&self) -> Vec<(Role, Credential)> {
        let mut all = self.needs.to_vec();
        if let Act::Ask { base, changes, .. } = &self.act {
            all.extend(crate::draft::needs(*base, changes));
        }
        all.sort();
        all.dedup();
        all
    }
}

/// Every row, in the order in which the matrix is told.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        outside::FIRST,
        long::CASES,
        short::CASES,
        revoke::CASES,
        outside::CASES,
        feed::CASES,
        standing::CASES,
        outside::LAST,
    ]
    .into_iter()
    .flatten()
}

pub fn find(id: &str) -> Option<&'static Case> {
    all().find(|case| case.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// An id is what others write down: known failures, profiles, links. It may be added, never changed.
    #[test]
    fn the_ids_are_those_that_were_published() {
        let published: Vec<_> = include_str!("ids.txt").lines().collect();
        let ids: Vec<_> = all().map(|case| case.id).collect();
        assert_eq!(ids, published, "add a new id to ids.txt, at its row's place");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id is used twice");
    }

    #[test]
    fn every_cell_of_the_matrix_has_a_case() {
        for (op, status) in MATRIX {
            let asked =
                |case: &&Case| case.op == op && case.status == Some(status) && !matches!(case.act, Act::Standing(_));
            assert!(all().any(|case| asked(&case)), "no case for {} {status}", op.name());
        }
    }

    #[test]
    fn a_case_sits_in_a_cell_or_outside_or_is_of_the_service() {
        for case in all() {
            let cell = case.status.is_some_and(|status| MATRIX.contains(&(case.op, status)));
            assert!(cell || matches!(case.op, Op::Outside | Op::Service), "{} is in no cell", case.id);
            assert_eq!(case.op == Op::Service, case.level == Level::Service, "{}", case.id);
        }
    }

    /// Without a control, a server that refuses everything would pass.
    #[test]
    fn every_refusal_has_a_positive_control() {
        for case in all().filter(|case| !matches!(case.act, Act::Standing(_)) && !case.id.starts_with("sanity.")) {
            let mut at = case;
            let mut steps = 0;
            while let Some(id) = at.control {
                at = find(id).unwrap_or_else(|| panic!("{}: no case {id}", case.id));
                assert!(!matches!(at.act, Act::Standing(_)), "{}: {id} is judged last", case.id);
                steps += 1;
                assert!(steps < 10, "{}: its controls go round in a circle", case.id);
            }
            assert!(matches!(at.status, Some(201 | 204)), "{}: ends at {}, which is no success", case.id, at.id);
        }
    }
}
