//! A value that must not leak: it is not printed, compares in constant time, and is wiped when dropped.

use core::fmt;

use serde::Serializer;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::value::{Read, Value};

/// Bytes that must not leak: a client secret, a one-time code, a key.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes, for the code that computes with them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text; empty if they are not UTF-8.
    pub fn expose_text(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Serializes a secret for the client's object, which is part of the same deployment. Used nowhere else.
pub fn in_transit<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_text())
}

impl Read for Secret {
    fn read(value: Value) -> Option<Self> {
        String::read(value).map(Self::new)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_not_print() {
        let secret = Secret::new("hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }

    #[test]
    fn compares_by_value() {
        assert_eq!(Secret::new("a"), Secret::new("a"));
        assert_ne!(Secret::new("a"), Secret::new("b"));
        assert_ne!(Secret::new("a"), Secret::new("ab"));
    }
}
