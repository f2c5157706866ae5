//! The way in: a call as the runtime hands it over, and its JSON body, read strictly (RFC 8259).

use core::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::client::Mechanism;
use crate::error::Error;
use crate::scope::Scopes;
use crate::secret::Secret;

/// The largest body, bytes.
pub const MAX_BODY: usize = 16_384;
/// The bounds of `ttl_seconds`, and its default.
pub const MIN_TTL: u64 = 3_600;
pub const MAX_TTL: u64 = 7_776_000;
pub const DEFAULT_TTL: u64 = 2_592_000;

/// One call, with its time. It carries credentials, so it does not print.
pub struct Call {
    /// Scheme, host and port by which the call came in.
    pub origin: String,
    pub authorization: Option<String>,
    pub client_id_header: Option<String>,
    pub content_type: Option<String>,
    /// Empty until it is read.
    pub body: Body,
    /// The address that the call came from, for the rate limit alone.
    pub ip: String,
    /// Unix seconds: when the call came in, and once the body is read, when it ended.
    pub now: u64,
}

/// What could be read of a request's body.
pub enum Body {
    Read(Vec<u8>),
    /// There is more than `MAX_BODY`.
    TooLarge,
    /// It broke off.
    Broken,
}

/// The body of `issueLongTermToken`.
#[derive(Debug)]
pub struct LongTokenRequest {
    pub client_id: String,
    pub credential: Credential,
    pub scopes: Option<Scopes>,
    pub ttl_seconds: u64,
}

/// The one mechanism that a request uses.
#[derive(Debug)]
pub enum Credential {
    Secret(Secret),
    Code(Secret),
    Assertion(Secret),
    /// The bearer token of the request.
    Rotation,
}

/// The body of `issueShortTermToken`.
#[derive(Debug)]
pub struct ShortTokenRequest {
    /// Found even where the rest is unsound: only whoever holds a token is told what is wrong with a body.
    pub long_token: Option<Secret>,
    pub scopes: Result<Option<Scopes>, Error>,
}

impl Credential {
    pub const fn mechanism(&self) -> Mechanism {
        match self {
            Self::Secret(_) => Mechanism::Secret,
            Self::Code(_) => Mechanism::Otp,
            Self::Assertion(_) => Mechanism::Assertion,
            Self::Rotation => Mechanism::Rotation,
        }
    }
}

impl LongTokenRequest {
    pub fn parse(call: &Call) -> Result<Self, Error> {
        let mut fields = Fields::parse(
            call,
            &[
                "grant_type",
                "client_id",
                "client_secret",
                "otp_code",
                "assertion_type",
                "assertion",
                "scopes",
                "ttl_seconds",
            ],
        )?;
        let grant_type = fields.string("grant_type")?;
        let client_id = fields.string("client_id")?;
        let client_secret = fields.string("client_secret")?.map(Secret::new);
        let otp_code = fields.string("otp_code")?.map(Secret::new);
        let assertion_type = fields.string("assertion_type")?;
        let assertion = fields.string("assertion")?.map(Secret::new);
        let scopes = fields.strings("scopes")?;
        let ttl_seconds = fields.integer("ttl_seconds")?;

        let by_assertion = match grant_type.as_deref() {
            Some("client_credentials") => false,
            Some("assertion") => true,
            _ => return Err(Error::InvalidGrant),
        };
        let client_id = client_id.ok_or_else(|| Error::field("client_id", "client_id is missing."))?;
        let credential = match (by_assertion, client_secret, otp_code, assertion, assertion_type) {
            (false, Some(secret), None, None, None) => Credential::Secret(secret),
            (false, None, Some(code), None, None) => Credential::Code(code),
            (false, None, None, None, None) if call.authorization.is_some() => Credential::Rotation,
            (false, None, None, None, None) => {
                return Err(Error::request(
                    "No mechanism: send client_secret or otp_code, or a short-term token with tokens:write in the Authorization header.",
                ));
            }
            (true, None, None, Some(assertion), Some(assertion_type)) => {
                if !ASSERTION_TYPES.contains(&assertion_type.as_str()) {
                    let message = format!("assertion_type must be {} or {}.", ASSERTION_TYPES[0], ASSERTION_TYPES[1]);
                    return Err(Error::field("assertion_type", message));
                }
                Credential::Assertion(assertion)
            }
            (true, None, None, None, _) => {
                return Err(Error::field("assertion", "The grant_type assertion needs the field assertion."));
            }
            (true, None, None, Some(_), None) => {
                return Err(Error::field("assertion_type", "The grant_type assertion needs the field assertion_type."));
            }
            (false, None, None, Some(_), _) => {
                return Err(Error::field("assertion", "The field assertion goes with the grant_type assertion."));
            }
            (false, None, None, None, Some(_)) => {
                return Err(Error::field(
                    "assertion_type",
                    "The field assertion_type goes with the grant_type assertion.",
                ));
            }
            (_, Some(_), ..) => {
                return Err(Error::field(
                    "client_secret",
                    "More than one mechanism: client_secret goes alone, with the grant_type client_credentials.",
                ));
            }
            (_, None, Some(_), ..) => {
                return Err(Error::field(
                    "otp_code",
                    "More than one mechanism: otp_code goes alone, with the grant_type client_credentials.",
                ));
            }
        };
        let ttl_seconds = ttl_seconds.map_or(Ok(DEFAULT_TTL), |ttl| {
            u64::try_from(ttl)
                .ok()
                .filter(|ttl| (MIN_TTL..=MAX_TTL).contains(ttl))
                .ok_or_else(|| Error::field("ttl_seconds", format!("ttl_seconds must be from {MIN_TTL} to {MAX_TTL}.")))
        })?;
        Ok(Self { client_id, credential, scopes: parse_scopes(scopes)?, ttl_seconds })
    }
}

/// The two names in use for the same thing (RFC 7523, sections 2.1 and 2.2).
pub const ASSERTION_TYPES: [&str; 2] =
    ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:jwt-bearer"];

impl ShortTokenRequest {
    /// The whole body is optional: an empty one, which needs no `Content-Type`, and `null` say that it was left out.
    pub fn parse(call: &Call) -> Self {
        if matches!(&call.body, Body::Read(bytes) if bytes.is_empty()) {
            return Self { long_token: None, scopes: Ok(None) };
        }
        let mut fields = match Fields::read_json(call) {
            Ok(fields) => fields.unwrap_or_default(),
            Err(error) => return Self { long_token: None, scopes: Err(error) },
        };
        let sound = fields.check_names(&["scopes", "long_token"]);
        let scopes = sound.and_then(|()| fields.strings("scopes")).and_then(parse_scopes);
        match fields.string("long_token") {
            Ok(long_token) => Self { long_token: long_token.map(Secret::new), scopes },
            Err(error) => Self { long_token: None, scopes: scopes.and(Err(error)) },
        }
    }
}

fn parse_scopes(list: Option<Vec<String>>) -> Result<Option<Scopes>, Error> {
    list.map(|list| Scopes::parse(list.iter().map(String::as_str)))
        .transpose()
        .map_err(|error| Error::InvalidScope { message: format!("scopes {error}.") })
}

/// The `token` of an introspection request, which is a form (RFC 7662, section 2.1).
pub fn introspected_token(call: &Call) -> Result<String, Error> {
    check_content_type(call.content_type.as_deref(), "application/x-www-form-urlencoded")?;
    let mut tokens = form_urlencoded::parse(read_body(call)?).filter(|(name, _)| name == "token");
    let token = tokens.next().filter(|(_, token)| !token.is_empty());
    let (_, token) = token.ok_or_else(|| Error::field("token", "The form needs the field token."))?;
    if tokens.next().is_some() {
        return Err(Error::field("token", "The field token is there more than once."));
    }
    Ok(token.into_owned())
}

fn read_body(call: &Call) -> Result<&[u8], Error> {
    match &call.body {
        Body::Read(bytes) => Ok(bytes),
        Body::TooLarge => Err(Error::request(format!("The body is larger than {MAX_BODY} bytes."))),
        Body::Broken => Err(Error::request("The body could not be read to its end.")),
    }
}

fn check_content_type(header: Option<&str>, needed: &str) -> Result<(), Error> {
    let header = header.unwrap_or_default();
    let media_type = single(header).unwrap_or(header).split(';').next().unwrap_or_default().trim_matches([' ', '\t']);
    if media_type.eq_ignore_ascii_case(needed) {
        return Ok(());
    }
    Err(Error::field("Content-Type", format!("The Content-Type must be {needed}.")))
}

/// The value of a header that was sent once, or several times alike. The runtime joins the values of a repeated header with
/// commas (RFC 9110, section 5.3); `None` if they differ. No value that this service accepts has a comma in it.
pub fn single(header: &str) -> Option<&str> {
    let Some((first, others)) = header.split_once(',') else { return Some(header) };
    let spaces = [' ', '\t'];
    let first = first.trim_matches(spaces);
    others.split(',').all(|value| value.trim_matches(spaces) == first).then_some(first)
}

/// The members of a JSON object, each taken out once.
#[derive(Default)]
struct Fields(Vec<(String, Field)>);

/// What a member may be. All else is known only not to be any of these.
enum Field {
    Text(String),
    Texts(Vec<String>),
    Integer(i64),
    Other,
}

impl Fields {
    fn parse(call: &Call, known: &[&str]) -> Result<Self, Error> {
        let fields = Self::read(call)?;
        fields.check_names(known)?;
        Ok(fields)
    }

    fn read(call: &Call) -> Result<Self, Error> {
        Self::read_json(call)?.ok_or_else(|| Error::request("The body must be a JSON object."))
    }

    /// The members of the object; `None` for the JSON value `null`.
    fn read_json(call: &Call) -> Result<Option<Self>, Error> {
        check_content_type(call.content_type.as_deref(), "application/json")?;
        let bytes = read_body(call)?;
        // serde_json's own message could quote a secret, so only the position is passed on.
        serde_json::from_slice(bytes).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Error::request("The body must be a JSON object."),
            _ => Error::request(format!(
                "The body is not valid JSON at line {}, column {}.",
                error.line(),
                error.column()
            )),
        })
    }

    fn check_names(&self, known: &[&str]) -> Result<(), Error> {
        for (index, (name, _)) in self.0.iter().enumerate() {
            let shown: String = name.chars().take(64).collect();
            if !known.contains(&name.as_str()) {
                return Err(Error::field(
                    shown.as_str(),
                    format!("The field {shown:?} is not known here; known are {}.", known.join(", ")),
                ));
            }
            if self.0[..index].iter().any(|(other, _)| other == name) {
                return Err(Error::field(shown.as_str(), format!("The field {shown:?} is there more than once.")));
            }
        }
        Ok(())
    }

    fn take(&mut self, name: &str) -> Option<Field> {
        let index = self.0.iter().position(|(field, _)| field == name)?;
        Some(self.0.swap_remove(index).1)
    }

    fn string(&mut self, name: &str) -> Result<Option<String>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Field::Text(text)) => Ok(Some(text)),
            Some(_) => Err(Error::field(name, format!("{name} must be a string."))),
        }
    }

    fn strings(&mut self, name: &str) -> Result<Option<Vec<String>>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Field::Texts(texts)) => Ok(Some(texts)),
            Some(_) => Err(Error::field(name, format!("{name} must be an array of strings."))),
        }
    }

    fn integer(&mut self, name: &str) -> Result<Option<i64>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Field::Integer(integer)) => Ok(Some(integer)),
            Some(_) => Err(Error::field(
                name,
                format!("{name} must be an integer, without fraction or exponent, from {MIN_TTL} to {MAX_TTL}."),
            )),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Field;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("any value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Field, E> {
                Ok(Field::Text(text.to_owned()))
            }

            fn visit_i64<E>(self, integer: i64) -> Result<Field, E> {
                Ok(Field::Integer(integer))
            }

            fn visit_u64<E>(self, integer: u64) -> Result<Field, E> {
                Ok(i64::try_from(integer).map_or(Field::Other, Field::Integer))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Field, E> {
                Ok(Field::Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
                Ok(Field::Other)
            }

            fn visit_unit<E>(self) -> Result<Field, E> {
                Ok(Field::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field, A::Error> {
                let mut texts = Some(Vec::new());
                while let Some(item) = seq.next_element()? {
                    match (item, &mut texts) {
                        (Field::Text(text), Some(texts)) => texts.push(text),
                        _ => texts = None,
                    }
                }
                Ok(texts.map_or(Field::Other, Field::Texts))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field, A::Error> {
                while map.next_entry::<Field, Field>()?.is_some() {}
                Ok(Field::Other)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// Keeps repeated names, which a map would fold.
impl<'de> serde::Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Fields;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Fields(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(body: impl Into<Vec<u8>>) -> Call {
        Call {
            origin: "https://api.example.com".into(),
            authorization: None,
            client_id_header: None,
            content_type: Some("application/json".into()),
            body: Body::Read(body.into()),
            ip: String::new(),
            now: 0,
        }
    }

    fn long(body: &str) -> Result<LongTokenRequest, Error> {
        LongTokenRequest::parse(&call(body))
    }

    /// A body that is sound but for the members given.
    fn with(members: &str) -> String {
        format!(r#"{{"grant_type":"client_credentials","client_id":"c"{members}}}"#)
    }

    fn code(error: &Error) -> &'static str {
        error.status_and_code().1
    }

    #[test]
    fn defaults() {
        let request = long(&with(r#","client_secret":"s""#)).unwrap();
        assert_eq!(request.client_id, "c");
        assert_eq!(request.ttl_seconds, DEFAULT_TTL);
        assert!(request.scopes.is_none());
        assert_eq!(request.credential.mechanism(), Mechanism::Secret);
    }

    #[test]
    fn malformed_bodies_are_invalid_requests() {
        let bodies: Vec<Vec<u8>> = [
            "",
            " ",
            "null",
            "[]",
            "\"text\"",
            "7",
            "{",
            "{}x",
            "{} {}",
            "{\"a\"}",
            "\u{feff}{}",
            "{\"client_id\":\"\\ud800\"}",
            "{'a':1}",
            "{\"a\":1,}",
            "nan",
            &with(r#","client_secret":null"#),
            &with(r#","client_secret":7"#),
            &with(r#","client_secret":["s"]"#),
            &with(r#","client_secret":"s","client_secret":"s""#),
            &with(r#","client_secret":"s","client_id":"c""#),
            &with(r#","client_secret":"s","colour":"red""#),
            &with(r#","client_secret":"s","scopes":"jobs:submit""#),
            &with(r#","client_secret":"s","scopes":null"#),
            &with(r#","client_secret":"s","scopes":[1]"#),
            &with(r#","client_secret":"s","scopes":[null]"#),
            &with(r#","client_secret":"s","ttl_seconds":"3600""#),
            &with(r#","client_secret":"s","ttl_seconds":3600.5"#),
            &with(r#","client_secret":"s","ttl_seconds":3600.0"#),
            &with(r#","client_secret":"s","ttl_seconds":4e3"#),
            &with(r#","client_secret":"s","ttl_seconds":true"#),
            &with(r#","client_secret":"s","ttl_seconds":null"#),
            &with(r#","client_secret":"s","ttl_seconds":3599"#),
            &with(r#","client_secret":"s","ttl_seconds":7776001"#),
            &with(r#","client_secret":"s","ttl_seconds":-3600"#),
            &with(r#","client_secret":"s","ttl_seconds":18446744073709551615"#),
            &with(r#","client_secret":"s","ttl_seconds":99999999999999999999999999"#),
            &"[".repeat(10_000),
            &format!("{{\"scopes\":{}", "[".repeat(10_000)),
        ]
        .map(|text| text.as_bytes().to_vec())
        .into_iter()
        .chain([b"{\"client_id\":\"\xff\"}".to_vec(), b"\xff\xfe{}".to_vec(), b"{\"a\xc0\xaf\":1}".to_vec()])
        .collect();
        for body in bodies {
            let shown = String::from_utf8_lossy(&body).chars().take(100).collect::<String>();
            let error = LongTokenRequest::parse(&call(body)).expect_err(&shown);
            assert_eq!(code(&error), "invalid_request", "{shown}");
        }
    }

    #[test]
    fn the_field_at_fault_is_named() {
        for (members, field) in [
            (r#","client_secret":7"#, "client_secret"),
            (r#","client_secret":"s","ttl_seconds":1"#, "ttl_seconds"),
            (r#","client_secret":"s","colour":1"#, "colour"),
            (r#","client_secret":"s","otp_code":"1""#, "client_secret"),
            (r#","otp_code":"1","assertion":"a""#, "otp_code"),
        ] {
            let Error::InvalidRequest { field: Some(named), message } = long(&with(members)).unwrap_err() else {
                panic!("{members}")
            };
            assert_eq!(named, field);
            assert!(message.contains(field), "{message}");
        }
    }

    #[test]
    fn grant_types() {
        for body in [
            "{}",
            r#"{"grant_type":"password"}"#,
            r#"{"grant_type":""}"#,
            r#"{"client_id":"c"}"#,
            r#"{"grant_type":"Assertion"}"#,
        ] {
            assert_eq!(long(body).unwrap_err(), Error::InvalidGrant, "{body}");
        }
        assert_eq!(code(&long(r#"{"grant_type":1}"#).unwrap_err()), "invalid_request");
        assert_eq!(code(&long(r#"{"grant_type":"assertion"}"#).unwrap_err()), "invalid_request");
    }

    #[test]
    fn exactly_one_mechanism() {
        let parts = [
            r#","client_secret":"s""#,
            r#","otp_code":"1""#,
            r#","assertion":"a","assertion_type":"urn:ietf:params:oauth:grant-type:jwt-bearer""#,
        ];
        for set in 0..8 {
            let members: String = (0..3).filter(|bit| set & (1 << bit) != 0).map(|bit| parts[bit]).collect();
            for grant_type in ["client_credentials", "assertion"] {
                for bearer in [false, true] {
                    let mut call = call(with(&members).replace("client_credentials", grant_type));
                    call.authorization = bearer.then(|| "Bearer x".to_owned());
                    let expected = match (grant_type, set, bearer) {
                        ("client_credentials", 0, true) => Some(Mechanism::Rotation),
                        ("client_credentials", 1, _) => Some(Mechanism::Secret),
                        ("client_credentials", 2, _) => Some(Mechanism::Otp),
                        ("assertion", 4, _) => Some(Mechanism::Assertion),
                        _ => None,
                    };
                    let got = LongTokenRequest::parse(&call).map(|request| request.credential.mechanism());
                    assert_eq!(got.as_ref().ok(), expected.as_ref(), "{grant_type} {members} {bearer}: {got:?}");
                    if let Err(error) = got {
                        assert_eq!(code(&error), "invalid_request");
                    }
                }
            }
        }
    }

    #[test]
    fn ttl_bounds() {
        for (ttl, good) in [(3_599, false), (3_600, true), (7_776_000, true), (7_776_001, false)] {
            assert_eq!(long(&with(&format!(r#","client_secret":"s","ttl_seconds":{ttl}"#))).is_ok(), good, "{ttl}");
        }
    }

    #[test]
    fn bad_scopes_are_invalid_scopes() {
        for list in [r"[]", r#"[""]"#, r#"["jobs"]"#, r#"["jobs:submit","Jobs:x"]"#] {
            let error = long(&with(&format!(r#","client_secret":"s","scopes":{list}"#))).unwrap_err();
            assert_eq!(code(&error), "invalid_scope", "{list}");
        }
    }

    #[test]
    fn content_types() {
        for (header, good) in [
            (Some("application/json"), true),
            (Some("Application/JSON; charset=utf-8"), true),
            (Some("application/json;x"), true),
            (Some("application/json "), true),
            (Some("application/json, application/json"), true),
            (Some("application/json, text/plain"), false),
            (Some("text/plain, application/json"), false),
            (Some("application/jsonx"), false),
            (Some("text/plain; application/json"), false),
            (Some("application/x-www-form-urlencoded"), false),
            (Some(""), false),
            (None, false),
        ] {
            let mut call = call(with(r#","client_secret":"s""#));
            call.content_type = header.map(str::to_owned);
            assert_eq!(LongTokenRequest::parse(&call).is_ok(), good, "{header:?}");
        }
    }

    #[test]
    fn an_empty_short_body_is_a_whole_one() {
        let mut empty = call("");
        empty.content_type = None;
        assert!(ShortTokenRequest::parse(&empty).scopes.is_ok());
        for body in [" ", "null x", "nul", "[]", "[null]", r#"{"client_id":"c"}"#, r#"{"long_token":1}"#] {
            assert!(ShortTokenRequest::parse(&call(body)).scopes.is_err(), "{body}");
        }
        for body in ["{}", "null", " null\n"] {
            let request = ShortTokenRequest::parse(&call(body));
            assert!(matches!(request, ShortTokenRequest { long_token: None, scopes: Ok(None) }), "{body:?}");
        }
        let mut null = call("null");
        null.content_type = None;
        assert!(ShortTokenRequest::parse(&null).scopes.is_err());
    }

    #[test]
    fn a_header_that_is_repeated_alike_is_there_once() {
        for (header, value) in [
            ("a", Some("a")),
            ("", Some("")),
            ("a ", Some("a ")),
            ("a, a", Some("a")),
            ("a,a ,\ta", Some("a")),
            ("a, b", None),
            ("a, A", None),
            ("a,", None),
            (", a", None),
            ("a, a, b", None),
        ] {
            assert_eq!(single(header), value, "{header:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = LongTokenRequest::parse(&call(bytes.clone()));
            let _ = ShortTokenRequest::parse(&call(bytes));
        }

        #[test]
        fn no_json_panics(name in "\\PC{0,20}", value in "\\PC{0,20}") {
            let body = serde_json::json!({"grant_type": "client_credentials", "client_id": "c", (name): value}).to_string();
            let _ = LongTokenRequest::parse(&call(body));
        }
    }
}
