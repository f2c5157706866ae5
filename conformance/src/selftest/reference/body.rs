//! How the reference parses a request: headers that may be repeated, the body, and the types of its members.

use super::message::{Asked, Refused};
use super::state::Reference;
use serde::de::{MapAccess, Visitor};
use serde_json::{Map, Value, json};

impl Reference {
    /// The value of a header, which may be repeated with the same value. `place` is how the names of this operation's faults
    /// end.
    pub fn single(&self, asked: &Asked, name: &str, code: &str, place: &str) -> Result<Option<String>, Refused> {
        let all = asked.all(name);
        let differ = all.iter().any(|value| *value != all[0]);
        if differ && !self.on(&format!("first-header-wins{place}")) {
            let told = match self.on("repeated-header-untold") {
                true => "The request could not be authenticated.".to_owned(),
                false => format!("The header {name} was sent more than once, with different values; send it once."),
            };
            return Err(self.refuse(asked, 401, code, &told));
        }
        if !differ && all.len() > 1 && self.on(&format!("repeated-header-refused{place}")) {
            return Err(self.refuse(
                asked,
                401,
                code,
                &format!("The header {name} was sent more than once; send it once."),
            ));
        }
        Ok(all.first().map(|value| (*value).to_owned()))
    }

    pub fn body(&self, asked: &Asked) -> Result<Map<String, Value>, Refused> {
        let bad = |told: &str| self.refuse(asked, 400, "invalid_request", told);
        let kind = asked.header("content-type").unwrap_or_default();
        let media = kind.split(';').next().unwrap_or_default().trim();
        let fits = if self.on("content-type-exact") {
            kind == "application/json"
        } else if self.on("content-type-prefix") {
            media.to_lowercase().starts_with("application/json")
        } else {
            media.eq_ignore_ascii_case("application/json")
                || self.on("content-type-unchecked")
                || (media.ends_with("+json") && self.on("content-type-suffix"))
        };
        if !fits {
            return Err(bad("Content-Type must be application/json."));
        }
        let limit = if self.on("body-limit-8k") { 8192 } else { 16_384 };
        let text = String::from_utf8_lossy(&asked.body);
        let counted = if self.on("size-in-characters") {
            text.chars().count()
        } else if self.on("size-trimmed") {
            text.trim().len()
        } else if (self.on("size-by-content-length")
            || (self.on("short-size-by-content-length") && asked.path.ends_with("/short")))
            && asked.header("content-length").is_none()
        {
            0
        } else {
            asked.body.len()
        };
        if counted > limit && !self.on("size-unchecked") {
            return Err(bad("The body is longer than 16,384 bytes; send a shorter one."));
        }
        if self.on("chunked-refused") && asked.header("content-length").is_none() {
            return Err(bad("The Content-Length header is missing; send it."));
        }
        let lossy = String::from_utf8_lossy(&asked.body).into_owned();
        let bytes = if self.on("utf8-lossy") { lossy.as_bytes() } else { asked.body.as_slice() };
        if self.on("json-escapes-refused") && lossy.contains("\\u") {
            return Err(bad("The body contains a JSON escape; send the character itself."));
        }
        if self.on("deep-json-500") && lossy.contains("[[[[[[[[") {
            return Err(self.refuse(asked, 500, "server_error", "Too deep."));
        }
        let tolerated = match self.fault {
            Some("control-characters-ok") => lossy.replace('\n', " "),
            Some("comments-ok") => lossy.replace("/* a comment */", ""),
            Some("any-space-ok") => lossy.trim().to_owned(),
            _ => lossy.clone(),
        };
        if tolerated != lossy
            && let Ok(Value::Object(members)) = serde_json::from_str(&tolerated)
        {
            return Ok(members);
        }
        if self.on("trailing-data-ignored") {
            let mut first = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
            if let Some(Ok(Value::Object(members))) = first.next() {
                return Ok(members);
            }
        }
        if self.on("trailing-comma-ok") {
            let text = lossy.replace(",}", "}");
            if let Ok(Value::Object(members)) = serde_json::from_str(&text) {
                return Ok(members);
            }
        }
        if self.on("surrogate-replaced") && lossy.contains("\\ud800") {
            let replaced = lossy.replace("\\ud800", "\u{fffd}");
            if let Ok(Value::Object(members)) = serde_json::from_str(&replaced) {
                return Ok(members);
            }
        }
        let by_text = self.on("repeated-key-escaped-ok") && lossy.contains("\\u");
        if (self.on("repeated-key-last-wins") || by_text)
            && let Ok(Value::Object(members)) = serde_json::from_slice(bytes)
        {
            return Ok(members);
        }
        match serde_json::from_slice::<Strict>(bytes) {
            Ok(Strict(mut members)) => {
                if self.on("null-as-absent") || self.on("client-id-optional") {
                    members.retain(|_, v| !v.is_null());
                }
                Ok(members)
            }
            Err(_) if self.on("malformed-401") => {
                Err(self.refuse(asked, 401, "invalid_client", "The body is not JSON."))
            }
            Err(_) => Err(bad("The body must be one JSON object, with each key once.")),
        }
    }

    /// The members of a JSON object without repeated keys.
    pub fn strict(&self, bytes: &[u8]) -> Option<Members> {
        serde_json::from_slice::<Strict>(bytes).ok().map(|Strict(members)| members)
    }

    pub fn only(&self, asked: &Asked, body: &Map<String, Value>, known: &[&str]) -> Result<(), Refused> {
        if self.on("unknown-field-ignored") {
            return Ok(());
        }
        match body.keys().find(|k| !known.contains(&k.as_str())) {
            None => Ok(()),
            Some(_) if self.on("unknown-field-unnamed") => {
                Err(self.refuse(asked, 400, "invalid_request", "The body has an unknown field; leave it out."))
            }
            Some(field) => {
                let details = json!({"field": field});
                Err(Box::new(self.error(
                    asked,
                    400,
                    "invalid_request",
                    &format!("{field} is not a field of this request; leave it out."),
                    Some(details),
                )))
            }
        }
    }

    pub fn text(&self, asked: &Asked, body: &Map<String, Value>, name: &str) -> Result<Option<String>, Refused> {
        match body.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Null) if self.on(&format!("{}-null-ok", name.replace('_', "-"))) => Ok(None),
            Some(other) if self.on("types-coerced") => Ok(Some(other.to_string())),
            Some(_) => Err(self.refuse(asked, 400, "invalid_request", &format!("{name} must be a string."))),
        }
    }

    pub fn ttl(&self, asked: &Asked, body: &Map<String, Value>) -> Result<Option<u64>, Refused> {
        let bad =
            || Err(self.refuse(asked, 400, "invalid_request", "ttl_seconds must be an integer from 3600 to 7776000."));
        let ttl = match body.get("ttl_seconds") {
            None => return Ok(None),
            Some(_) if self.on("ttl-ignored") => return Ok(None),
            Some(value) if self.on("types-coerced") && !value.is_u64() => return Ok(Some(3600)),
            Some(value) if self.on("ttl-range-unchecked") && value.is_number() => {
                return Ok(Some(value.as_u64().unwrap_or(3600).clamp(3600, 7_776_000)));
            }
            Some(value) if self.on("ttl-32-bits") => value.as_u64().map(|ttl| ttl & u64::from(u32::MAX)),
            Some(value) if self.on("ttl-unsigned") => value.as_i64().map(|ttl| ttl as u64 & u64::from(u32::MAX)),
            Some(value) if self.on("ttl-64-bits") => value.as_f64().map(|ttl| ttl as u128 as u64),
            Some(value) if self.on("ttl-53-bits") => value.as_u64().map(|ttl| ttl & ((1 << 53) - 1)),
            Some(value) => value.as_u64(),
        };
        let most = if self.on("ttl-max-exclusive") { 7_775_999 } else { 7_776_000 };
        match ttl {
            Some(ttl) if (3600..=most).contains(&ttl) => Ok(Some(ttl)),
            _ => bad(),
        }
    }
}

/// The members of a body.
pub type Members = Map<String, Value>;

/// A JSON object without repeated keys.
struct Strict(Map<String, Value>);

impl<'de> serde::Deserialize<'de> for Strict {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Strict;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Strict, A::Error> {
                let mut members = Map::new();
                while let Some((key, value)) = access.next_entry::<String, Value>()? {
                    if members.insert(key, value).is_some() {
                        return Err(serde::de::Error::custom("a repeated key"));
                    }
                }
                Ok(Strict(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}
