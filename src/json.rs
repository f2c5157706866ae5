//! Strict JSON (RFC 8259): no repeated name at any depth, nothing after the document, valid UTF-8. Each accessor below
//! takes a member of one type; its error names the member.

use crate::error::Error;
use crate::scope::Scopes;
use crate::value::{Members, Value};

/// Parses a document. `null` gives `None`; anything else but an object is refused.
pub fn object_or_null(bytes: &[u8]) -> Result<Option<Members>, Error> {
    // serde_json's own message could quote a secret, so only the position is passed on.
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Error::request(format!("The body is not valid JSON at line {line}, column {column}."))
    })?;
    value.check_members()?;
    match value {
        Value::Null => Ok(None),
        Value::Object(members) => Ok(Some(members)),
        _ => Err(Error::request(NOT_AN_OBJECT)),
    }
}

/// Parses a document that must be an object.
pub fn object(bytes: &[u8]) -> Result<Members, Error> {
    object_or_null(bytes)?.ok_or_else(|| Error::request(NOT_AN_OBJECT))
}

/// More members than any valid request has. It bounds the quadratic search for repeated names.
const MOST_MEMBERS: usize = 100;
const NOT_AN_OBJECT: &str = "The body must be a JSON object.";

impl Value {
    /// Refuses an object, at any depth, that repeats a name or has more than `MOST_MEMBERS` members.
    fn check_members(&self) -> Result<(), Error> {
        let Members(members) = match self {
            Self::Array(items) => return items.iter().try_for_each(Self::check_members),
            Self::Object(members) => members,
            _ => return Ok(()),
        };
        if members.len() > MOST_MEMBERS {
            return Err(Error::request(format!(
                "The body contains an object with more than {MOST_MEMBERS} members; send fewer."
            )));
        }
        for (index, (name, value)) in members.iter().enumerate() {
            if members[..index].iter().any(|(other, _)| other == name) {
                let shown = shown(name);
                return Err(Error::field(
                    shown.as_str(),
                    format!("The field {shown:?} appears more than once; send it once."),
                ));
            }
            value.check_members()?;
        }
        Ok(())
    }
}

/// A member's name, shortened for an error message.
fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

impl Members {
    /// Refuses a member that is not one of `known`.
    pub fn check_names(&self, known: &[&str]) -> Result<(), Error> {
        let Some((name, _)) = self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) else { return Ok(()) };
        let shown = shown(name);
        let message = format!("Unknown field {shown:?}; this body takes {}.", known.join(", "));
        Err(Error::field(shown, message))
    }

    pub fn string(&mut self, name: &str) -> Result<Option<String>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(Error::field(name, format!("{name} must be a string."))),
        }
    }

    /// A string, or `null`, which is `Some(None)`.
    pub fn string_or_null(&mut self, name: &str) -> Result<Option<Option<String>>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(Value::Text(text)) => Ok(Some(Some(text))),
            Some(_) => Err(Error::field(name, format!("{name} must be a string or null."))),
        }
    }

    pub fn strings(&mut self, name: &str) -> Result<Option<Vec<String>>, Error> {
        let wrong = || Error::field(name, format!("{name} must be an array of strings."));
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => {
                let text = |item| if let Value::Text(text) = item { Some(text) } else { None };
                items.into_iter().map(text).collect::<Option<_>>().map(Some).ok_or_else(wrong)
            }
            Some(_) => Err(wrong()),
        }
    }

    /// Scopes, parsed.
    pub fn scopes(&mut self, name: &str) -> Result<Option<Scopes>, Error> {
        let Some(list) = self.strings(name)? else { return Ok(None) };
        Scopes::parse(list.iter().map(String::as_str))
            .map(Some)
            .map_err(|error| Error::InvalidScope { message: format!("{name} {error}.") })
    }

    /// An integer in a range, without fraction or exponent.
    pub fn integer(&mut self, name: &str, range: core::ops::RangeInclusive<u64>) -> Result<Option<u64>, Error> {
        let (from, to) = (range.start(), range.end());
        match self.take(name) {
            None => Ok(None),
            Some(Value::Integer(integer)) => match u64::try_from(integer) {
                Ok(integer) if range.contains(&integer) => Ok(Some(integer)),
                _ => Err(Error::field(name, format!("{name} must be from {from} to {to}."))),
            },
            Some(_) => Err(Error::field(
                name,
                format!("{name} must be an integer, without fraction or exponent, from {from} to {to}."),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_with_unique_names() {
        for good in ["{}", " {\"a\":1}\n", r#"{"a":{"b":1},"c":{"b":[1,2,null]}}"#] {
            assert!(object(good.as_bytes()).is_ok(), "{good}");
        }
        assert_eq!(object_or_null(b" null "), Ok(None));
        for bad in [
            "",
            " ",
            "null",
            "[]",
            "7",
            "\"text\"",
            "{",
            "{}x",
            "{} {}",
            "{'a':1}",
            "{\"a\":1,}",
            "\u{feff}{}",
            "{\"a\":1,\"a\":1}",
            "{\"a\":1,\"\\u0061\":1}",
            "{\"a\":[{\"b\":1,\"b\":1}]}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":NaN}",
            "{\"a\":01}",
        ] {
            assert!(object(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_err());
        assert!(object(format!("{{\"a\":{}", "[".repeat(10_000)).as_bytes()).is_err());
    }

    #[test]
    fn an_error_names_the_field_and_does_not_quote_its_value() {
        let Error::InvalidRequest { field, message } = object(b"{\"a\":[{\"b\":\"hunter2\",\"b\":1}]}").unwrap_err()
        else {
            panic!("another error")
        };
        assert_eq!(
            (field.as_deref(), message.as_str()),
            (Some("b"), "The field \"b\" appears more than once; send it once.")
        );
        let many: Vec<_> = (0..=MOST_MEMBERS).map(|nth| format!("\"{nth}\":1")).collect();
        assert!(object(format!("{{{}}}", many.join(",")).as_bytes()).is_err());
    }
}
