//! The classes of a case: its cell (operation and status), its level, and its effect on a deployment.

use serde::Deserialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    Long,
    Short,
    Revoke,
    /// Cases outside the matrix, such as unknown paths.
    Outside,
    /// Everything around the tokens: operators, introspection, keys, metadata, documents, the revocation feed.
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

    /// The only statuses that the contract has for the operation, except 503. Empty if that depends on the path.
    pub fn statuses(self) -> &'static [u16] {
        match self {
            Self::Long => &[201, 400, 401, 403, 429],
            Self::Short => &[201, 400, 401, 429],
            Self::Revoke => &[204, 401, 404],
            Self::Outside => &[404, 405],
            Self::Service => &[],
        }
    }
}

/// A cell of the matrix, or a group outside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    Long(u16),
    Short(u16),
    Revoke(u16),
    Outside(u16),
    /// Outside the matrix, about answers of any status.
    Throughout,
    Service(u16),
}

impl Cell {
    pub fn op(self) -> Op {
        match self {
            Self::Long(_) => Op::Long,
            Self::Short(_) => Op::Short,
            Self::Revoke(_) => Op::Revoke,
            Self::Outside(_) | Self::Throughout => Op::Outside,
            Self::Service(_) => Op::Service,
        }
    }

    pub fn status(self) -> Option<u16> {
        match self {
            Self::Long(status) | Self::Short(status) | Self::Revoke(status) => Some(status),
            Self::Outside(status) | Self::Service(status) => Some(status),
            Self::Throughout => None,
        }
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.op().name())?;
        self.status().map_or(Ok(()), |status| write!(f, " {status}"))
    }
}

/// The twelve cells, in the contract's order.
pub const MATRIX: [Cell; 12] = [
    Cell::Long(201),
    Cell::Long(400),
    Cell::Long(401),
    Cell::Long(403),
    Cell::Long(429),
    Cell::Short(201),
    Cell::Short(400),
    Cell::Short(401),
    Cell::Short(429),
    Cell::Revoke(204),
    Cell::Revoke(401),
    Cell::Revoke(404),
];

/// Each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The public API page promises it.
    Seed,
    /// The contract promises it, where that page leaves it open.
    Contract,
    /// The contract promises it about everything around the three operations.
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
    /// Creates clients, which are deleted at the end. Their ids can't be used again.
    Provision,
    Burst,
}

impl Effect {
    const ALL: [Self; 5] = [Self::Read, Self::Mint, Self::Revoke, Self::Provision, Self::Burst];

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effect| effect.name() == name)
    }

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
