//! /clients: the operators' calls. The files follow a client's life: who may call, creating, changing, credentials,
//! ending.

pub mod algorithms;
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

/// The identities that a step function needs.
pub const OPERATOR: &[(Role, Credential)] = &[(Operator, ClientId), (Operator, ClientSecret)];
