//! JSON objects without repeated names. RFC 7515, section 4, and RFC 7519, section 4, allow rejecting repeated names;
//! otherwise two parsers could read two different tokens in one text.

use core::fmt;
use core::marker::PhantomData;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Parses an object. Errors have no detail: serde's messages quote values.
pub fn object<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    let text = core::str::from_utf8(json).ok()?;
    let _: Object = serde_json::from_str(text).ok()?;
    serde_json::from_str(text).ok()
}

/// For an optional member: if present, it must be of its type, and not `null`.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// For a nested struct: serde's derive would also accept an array.
pub fn nested<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Nested<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Nested<T> {
        type Value = T;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Nested(PhantomData))
}

/// An object, checked for repeated names and discarded.
struct Object;

/// Any value, checked likewise.
struct Any;

struct Unique;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Unique).map(|()| Self)
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Unique).map(|()| Self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON without repeated names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a repeated name"));
            }
            map.next_value::<Any>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<Any>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;

    fn reads(json: impl AsRef<[u8]>) -> bool {
        object::<Map<String, Value>>(json.as_ref()).is_some()
    }

    #[test]
    fn only_objects_with_unique_names() {
        for good in ["{}", r#" {"a":1,"b":{"a":[null,true,-1,0.5,"x"]}} "#, r#"{"a":{"c":1},"b":{"c":1}}"#] {
            assert!(reads(good), "{good}");
        }
        for bad in [
            "",
            "[]",
            "1",
            "null",
            r#""a""#,
            "{} {}",
            "{}x",
            r#"{"a":1,}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"a":[{"b":1,"b":1}]}"#,
            r#"{"a":1e999}"#,
            "{\"a\":\"\n\"}",
        ] {
            assert!(!reads(bad), "{bad}");
        }
        assert!(!reads(b"{\"a\":\"\xff\"}"));
        assert!(!reads("{\"a\":".to_owned() + &"[".repeat(4000)));
    }
}
