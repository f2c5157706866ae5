//! /clients: what operators do to clients, in the order in which one would: who may, making, changing, credentials, ending.

pub mod callers;
pub mod change;
pub mod codes;
pub mod conditions;
pub mod create;
pub mod ends;
pub mod keys;
pub mod list;
pub mod own;
pub mod secrets;
pub mod shown;

use crate::case::{Credential::*, Role::*};
use crate::identities::{Credential, Role};

/// What a case of several requests needs of the identities.
pub const OPERATOR: &[(Role, Credential)] = &[(Operator, ClientId), (Operator, ClientSecret)];
