//! JSON values, and the parsing of what this service wrote itself: rows, replicas, messages to objects and their
//! answers.
//!
//! serde serializes them. Its derived `Deserialize` would take 2 to 8 KB of WASM per type (60 KB of the upload in all),
//! so `readable!` reads a type's fields from one `Value` instead. A missing or unknown member, or one of another type,
//! is an error: what is not understood is not accepted.

use core::fmt;
use std::borrow::Cow;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha256};

/// Any JSON value. A number with a fraction or an exponent, or beyond `i64`, is `Number`, without its value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Number,
    Text(String),
    Array(Vec<Value>),
    Object(Members),
}

/// The members of an object. Reading one removes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Members(pub Vec<(String, Value)>);

/// A type that can be read from a `Value`.
pub trait Read: Sized {
    fn read(value: Value) -> Option<Self>;

    /// The value of an absent member, if it may be absent.
    fn absent() -> Option<Self> {
        None
    }
}

/// The first 16 bytes of a text's SHA-256, in base64url.
pub fn digest(text: &str) -> String {
    Base64UrlUnpadded::encode_string(&Sha256::digest(text)[..16])
}

/// Parses JSON that this service wrote.
pub fn read<T: Read>(json: &str) -> Option<T> {
    T::read(serde_json::from_slice(json.as_bytes()).ok()?)
}

impl Members {
    pub fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(member, _)| member == name)?;
        Some(self.0.swap_remove(index).1)
    }

    /// Reads a member. A repeated one is an error.
    pub fn read<T: Read>(&mut self, name: &str) -> Option<T> {
        match self.take(name) {
            None => T::absent(),
            Some(_) if self.contains(name) => None,
            Some(value) => T::read(value),
        }
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|(member, _)| member == name)
    }
}

/// For jwt-compact, which collects the claims and header members that it does not know (serde's `flatten`).
impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Value::deserialize(deserializer)?.into_members();
        members.ok_or_else(|| serde::de::Error::custom("expected an object"))
    }
}

impl Value {
    pub fn into_members(self) -> Option<Members> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    /// An enum's variant in serde's format: its name, or an object with the name as its only member.
    pub fn into_variant(self) -> Option<(String, Self)> {
        match self {
            Self::Text(name) => Some((name, Self::Null)),
            Self::Object(Members(mut members)) if members.len() == 1 => members.pop(),
            _ => None,
        }
    }
}

impl Read for Value {
    fn read(value: Value) -> Option<Self> {
        Some(value)
    }
}

impl Read for String {
    fn read(value: Value) -> Option<Self> {
        if let Value::Text(text) = value { Some(text) } else { None }
    }
}

impl Read for Cow<'static, str> {
    fn read(value: Value) -> Option<Self> {
        String::read(value).map(Cow::Owned)
    }
}

impl Read for u64 {
    fn read(value: Value) -> Option<Self> {
        if let Value::Integer(integer) = value { Self::try_from(integer).ok() } else { None }
    }
}

impl Read for u32 {
    fn read(value: Value) -> Option<Self> {
        u64::read(value)?.try_into().ok()
    }
}

impl Read for bool {
    fn read(value: Value) -> Option<Self> {
        if let Value::Bool(bool) = value { Some(bool) } else { None }
    }
}

impl<T: Read> Read for Option<T> {
    fn read(value: Value) -> Option<Self> {
        if value == Value::Null { Some(None) } else { T::read(value).map(Some) }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(value: Value) -> Option<Self> {
        if let Value::Array(items) = value { items.into_iter().map(T::read).collect() } else { None }
    }
}

impl<T: Read, E: Read> Read for Result<T, E> {
    fn read(value: Value) -> Option<Self> {
        match value.into_variant()? {
            (name, content) if name == "Ok" => T::read(content).map(Ok),
            (name, content) if name == "Err" => E::read(content).map(Err),
            _ => None,
        }
    }
}

/// Implements `Read`, for a struct by its fields, for an enum by its variants and what each holds.
macro_rules! readable {
    (struct $type:ty { $($field:ident $(as $name:literal)?),* $(,)? }) => {
        impl $crate::value::Read for $type {
            fn read(value: $crate::value::Value) -> Option<Self> {
                let mut members = value.into_members()?;
                let read = Self { $($field: members.read(readable!(@name $field $($name)?))?),* };
                members.0.is_empty().then_some(read)
            }
        }
    };
    (enum $type:ty { $($name:literal => $variant:ident $(($inner:ident))? $({ $($field:ident),* })?),* $(,)? }) => {
        impl $crate::value::Read for $type {
            #[allow(unused_variables, unused_mut, reason = "a variant without content has no use for it")]
            fn read(value: $crate::value::Value) -> Option<Self> {
                let (name, content) = value.into_variant()?;
                $(if name == $name {
                    $(let $inner = $crate::value::Read::read(content)?; return Some(Self::$variant($inner));)?
                    $(let mut members = content.into_members()?;
                      $(let $field = members.read(stringify!($field))?;)*
                      return members.0.is_empty().then_some(Self::$variant { $($field),* });)?
                    #[allow(unreachable_code, reason = "only variants without content reach this")]
                    return readable!(@unit $type, $variant $(($inner))? $({ $($field),* })?);
                })*
                None
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
    (@unit $type:ty, $variant:ident) => { Some(<$type>::$variant) };
    (@unit $type:ty, $variant:ident $($content:tt)+) => { None };
}
pub(crate) use readable;

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("JSON")
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_i64<E>(self, integer: i64) -> Result<Value, E> {
                Ok(Value::Integer(integer))
            }

            fn visit_u64<E>(self, integer: u64) -> Result<Value, E> {
                Ok(i64::try_from(integer).map_or(Value::Number, Value::Integer))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
                Ok(Value::Number)
            }

            fn visit_bool<E>(self, bool: bool) -> Result<Value, E> {
                Ok(Value::Bool(bool))
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Value::Array(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut members: Vec<(String, Value)> = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Value::Object(Members(members)))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize)]
    struct Record {
        name: String,
        count: u64,
        next: Option<Box<Kind>>,
    }

    #[derive(Debug, PartialEq, Serialize)]
    enum Kind {
        Unit,
        Newtype(String),
        Named { yes: bool },
    }

    impl<T: Read> Read for Box<T> {
        fn read(value: Value) -> Option<Self> {
            T::read(value).map(Box::new)
        }
    }

    readable!(struct Record { name, count, next });
    readable!(enum Kind { "Unit" => Unit, "Newtype" => Newtype(text), "Named" => Named { yes } });

    #[test]
    fn what_serde_writes_is_read_back() {
        for next in [None, Some(Kind::Unit), Some(Kind::Newtype("x".into())), Some(Kind::Named { yes: true })] {
            let record = Record { name: "n".into(), count: 7, next: next.map(Box::new) };
            assert_eq!(read(&serde_json::to_string(&record).unwrap()), Some(record));
        }
    }

    #[test]
    fn what_is_not_understood_is_not_read() {
        let record = |json: &str| read::<Record>(json);
        assert!(record(r#"{"name":"n","count":7}"#).is_some());
        for bad in [
            "",
            "null",
            "[]",
            r#"{"name":"n"}"#,
            r#"{"name":"n","count":-7}"#,
            r#"{"name":"n","count":7.5}"#,
            r#"{"name":"n","count":"7"}"#,
            r#"{"name":1,"count":7}"#,
            r#"{"name":"n","count":7,"other":1}"#,
            r#"{"name":"n","count":7,"count":7}"#,
            r#"{"name":"n","count":7,"next":"Other"}"#,
            r#"{"name":"n","count":7,"next":"Newtype"}"#,
            r#"{"name":"n","count":7,"next":{"Unit":null,"Named":{"yes":true}}}"#,
            r#"{"name":"n","count":7,"next":{"Named":{"yes":true,"no":1}}}"#,
        ] {
            assert_eq!(record(bad), None, "{bad}");
        }
    }
}
