//! An incoming call, and the bodies of the token operations.

use crate::client::{MAX_TTL, MIN_TTL, Mechanism};
use serde::Serialize;

use crate::error::{Error, HeaderFault};
use crate::json;
use crate::scope::Scopes;
use crate::secret::{self, Secret};
use crate::settings::origin_of;
use crate::value::{Members, readable};

/// The largest accepted body, bytes.
pub const MAX_BODY: usize = 16_384;
/// The default of `ttl_seconds`.
const DEFAULT_TTL: u64 = 2_592_000;

/// The media type of most bodies.
pub const JSON: &str = "application/json";

/// One call, with the time of its arrival. It carries credentials, so it is not `Debug`.
pub struct Call {
    /// Scheme, host and port of the request's URL.
    pub origin: String,
    /// The query of the URL, without the `?`.
    pub query: String,
    pub authorization: Option<String>,
    pub client_id_header: Option<String>,
    pub content_type: Option<String>,
    pub if_match: Option<String>,
    pub if_none_match: Option<String>,
    pub accept_encoding: Option<String>,
    /// Empty until it is read.
    pub body: Body,
    /// The caller's address, used only for rate limits.
    pub ip: String,
    /// Unix seconds: when the call arrived, and from `receive` on, when the body was read to its end.
    pub now: u64,
}

/// A request without its body, parsed from the text that `head` in glue.js makes of it: method, URL, time and headers,
/// one per line. A header that is present has a "+" before its value.
pub struct Head<'a> {
    pub method: &'a str,
    /// Scheme, host and port of the URL.
    pub origin: &'a str,
    pub path: &'a str,
    query: &'a str,
    /// Unix milliseconds.
    pub millis: u64,
    authorization: Option<&'a str>,
    client_id: Option<&'a str>,
    content_type: Option<&'a str>,
    pub content_length: Option<&'a str>,
    if_match: Option<&'a str>,
    if_none_match: Option<&'a str>,
    accept_encoding: Option<&'a str>,
    ip: Option<&'a str>,
    pub ray: Option<&'a str>,
}

impl<'a> Head<'a> {
    pub fn parse(text: &'a str) -> Self {
        let mut lines = text.split('\n');
        let mut line = || lines.next().unwrap_or_default();
        let (method, url, millis) = (line(), line(), line());
        let mut header = || line().strip_prefix('+');
        let (origin, rest) = url.split_at(origin_of(url).len());
        let rest = rest.split('#').next().unwrap_or_default();
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        Self {
            method,
            origin,
            path,
            query,
            // The runtime's clock has no fraction. Should it ever be unreadable, every token counts as expired.
            millis: millis.parse().unwrap_or(u64::MAX / 2),
            authorization: header(),
            client_id: header(),
            content_type: header(),
            content_length: header(),
            ip: header(),
            ray: header(),
            if_match: header(),
            if_none_match: header(),
            accept_encoding: header(),
        }
    }

    /// The call, with its body not read yet.
    pub fn call(&self) -> Call {
        let owned = |header: Option<&str>| header.map(str::to_owned);
        Call {
            origin: self.origin.to_owned(),
            query: self.query.to_owned(),
            authorization: owned(self.authorization),
            client_id_header: owned(self.client_id),
            content_type: owned(self.content_type),
            if_match: owned(self.if_match),
            if_none_match: owned(self.if_none_match),
            accept_encoding: owned(self.accept_encoding),
            body: Body::Read(Vec::new()),
            ip: self.ip.unwrap_or_default().to_owned(),
            now: self.millis / 1000,
        }
    }
}

/// What could be read of a request's body.
pub enum Body {
    Read(Vec<u8>),
    /// It is longer than `MAX_BODY`.
    TooLarge,
    /// The connection broke before its end.
    Broken,
}

/// The body of `issueLongTermToken`.
#[derive(Debug)]
pub struct LongTokenRequest {
    pub client_id: String,
    /// `None`: a rotation, whose credential is the bearer token of the request.
    pub credential: Option<Credential>,
    pub scopes: Option<Scopes>,
    pub ttl_seconds: u64,
}

/// The credential in a body. A rotation has none there: its credential is the bearer token.
#[derive(Debug, Serialize)]
pub enum Credential {
    #[serde(serialize_with = "secret::in_transit")]
    Secret(Secret),
    #[serde(serialize_with = "secret::in_transit")]
    Code(Secret),
    #[serde(serialize_with = "secret::in_transit")]
    Assertion(Secret),
}

/// The body of `issueShortTermToken`.
#[derive(Debug)]
pub struct ShortTokenRequest {
    /// Parsed even if the rest is invalid: body errors are shown only to token holders.
    pub long_token: Option<Secret>,
    pub scopes: Result<Option<Scopes>, Error>,
}

readable!(enum Credential { "Secret" => Secret(secret), "Code" => Code(code), "Assertion" => Assertion(assertion) });

impl Credential {
    pub const fn mechanism(&self) -> Mechanism {
        match self {
            Self::Secret(_) => Mechanism::Secret,
            Self::Code(_) => Mechanism::Otp,
            Self::Assertion(_) => Mechanism::Assertion,
        }
    }
}

impl LongTokenRequest {
    pub fn parse(call: &Call) -> Result<Self, Error> {
        let mut fields = call.json(&[JSON])?;
        fields.check_names(&[
            "grant_type",
            "client_id",
            "client_secret",
            "otp_code",
            "assertion_type",
            "assertion",
            "scopes",
            "ttl_seconds",
        ])?;
        let grant_type = fields.string("grant_type")?;
        let client_id = fields.string("client_id")?;
        let client_secret = fields.string("client_secret")?.map(Secret::new);
        let otp_code = fields.string("otp_code")?.map(Secret::new);
        let assertion_type = fields.string("assertion_type")?;
        let assertion = fields.string("assertion")?.map(Secret::new);
        let scopes = fields.scopes("scopes");
        let ttl_seconds = fields.integer("ttl_seconds", MIN_TTL..=MAX_TTL);

        let by_assertion = match grant_type.as_deref() {
            Some("client_credentials") => false,
            Some("assertion") => true,
            _ => return Err(Error::InvalidGrant),
        };
        let client_id =
            client_id.ok_or_else(|| Error::field("client_id", "client_id is missing; send the client's id."))?;
        let credential = match (by_assertion, client_secret, otp_code, assertion, assertion_type) {
            (false, Some(secret), None, None, None) => Some(Credential::Secret(secret)),
            (false, None, Some(code), None, None) => Some(Credential::Code(code)),
            (false, None, None, None, None) if call.authorization.is_some() => None,
            // A wrong `X-Client-Id` is no credential either, so the request carries none at all: 401.
            (false, None, None, None, None)
                if call.client_id_header.as_deref().is_some_and(|header| single(header) != Some(&client_id)) =>
            {
                return Err(Error::ClientIdHeader(HeaderFault::Different));
            }
            (false, None, None, None, None) => {
                return Err(Error::request(
                    "No credential: send client_secret or otp_code, or a short-term token with tokens:write in the Authorization header.",
                ));
            }
            (true, None, None, Some(assertion), Some(assertion_type)) => {
                if !ASSERTION_TYPES.contains(&assertion_type.as_str()) {
                    let message = format!("assertion_type must be {} or {}.", ASSERTION_TYPES[0], ASSERTION_TYPES[1]);
                    return Err(Error::field("assertion_type", message));
                }
                Some(Credential::Assertion(assertion))
            }
            (true, None, None, None, _) => {
                return Err(Error::field("assertion", "assertion is missing; grant_type assertion requires it."));
            }
            (true, None, None, Some(_), None) => {
                return Err(Error::field(
                    "assertion_type",
                    "assertion_type is missing; grant_type assertion requires it.",
                ));
            }
            (false, None, None, Some(_), _) => {
                return Err(Error::field(
                    "assertion",
                    "assertion requires grant_type assertion; change grant_type, or leave assertion out.",
                ));
            }
            (false, None, None, None, Some(_)) => {
                return Err(Error::field(
                    "assertion_type",
                    "assertion_type requires grant_type assertion; change grant_type, or leave assertion_type out.",
                ));
            }
            (_, Some(_), ..) => {
                return Err(Error::field(
                    "client_secret",
                    "client_secret can't be combined with another credential, and requires grant_type client_credentials.",
                ));
            }
            (_, None, Some(_), ..) => {
                return Err(Error::field(
                    "otp_code",
                    "otp_code can't be combined with another credential, and requires grant_type client_credentials.",
                ));
            }
        };
        let ttl_seconds = ttl_seconds?.unwrap_or(DEFAULT_TTL);
        Ok(Self { client_id, credential, scopes: scopes?, ttl_seconds })
    }
}

/// Two names for the same assertion type; clients use both (RFC 7523, sections 2.1 and 2.2).
pub const ASSERTION_TYPES: [&str; 2] =
    ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:jwt-bearer"];

impl ShortTokenRequest {
    /// The body is optional: an empty one, which needs no `Content-Type`, and `null` count as left out.
    pub fn parse(call: &Call) -> Self {
        if matches!(&call.body, Body::Read(bytes) if bytes.is_empty()) {
            return Self { long_token: None, scopes: Ok(None) };
        }
        let mut fields = match call.json_or_null() {
            Ok(fields) => fields.unwrap_or_default(),
            Err(error) => return Self { long_token: None, scopes: Err(error) },
        };
        let sound = fields.check_names(&["scopes", "long_token"]);
        let scopes = sound.and_then(|()| fields.scopes("scopes"));
        match fields.string("long_token") {
            Ok(long_token) => Self { long_token: long_token.map(Secret::new), scopes },
            Err(error) => Self { long_token: None, scopes: scopes.and(Err(error)) },
        }
    }
}

impl Call {
    /// Parses the body as a JSON object. Its media type must be one of `media_types`.
    pub fn json(&self, media_types: &[&str]) -> Result<Members, Error> {
        self.check_content_type(media_types)?;
        json::object(self.bytes()?)
    }

    /// Like `json`, but `null` gives `None`.
    fn json_or_null(&self) -> Result<Option<Members>, Error> {
        self.check_content_type(&[JSON])?;
        json::object_or_null(self.bytes()?)
    }

    /// The value of a form field, which must be there exactly once (RFC 7662, section 2.1).
    pub fn form_field(&self, name: &str) -> Result<String, Error> {
        self.check_content_type(&["application/x-www-form-urlencoded"])?;
        let mut values = form_urlencoded::parse(self.bytes()?).filter(|(field, _)| field == name);
        let value = values.next().filter(|(_, value)| !value.is_empty());
        let (_, value) =
            value.ok_or_else(|| Error::field(name, format!("The form field {name} is missing or empty.")))?;
        if values.next().is_some() {
            return Err(Error::field(name, format!("The form field {name} appears more than once; send it once.")));
        }
        Ok(value.into_owned())
    }

    /// A query parameter, if present.
    pub fn parameter(&self, name: &str) -> Result<Option<String>, Error> {
        let mut values = form_urlencoded::parse(self.query.as_bytes()).filter(|(parameter, _)| parameter == name);
        let value = values.next().map(|(_, value)| value.into_owned());
        if values.next().is_some() {
            return Err(Error::field(
                name,
                format!("The query parameter {name} appears more than once; send it once."),
            ));
        }
        Ok(value)
    }

    /// A query parameter that is a whole number in a range.
    pub fn number(&self, name: &str, range: core::ops::RangeInclusive<u64>) -> Result<Option<u64>, Error> {
        let Some(text) = self.parameter(name)? else { return Ok(None) };
        let number = Some(&text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let number = number.and_then(|text| text.parse().ok()).filter(|number| range.contains(number));
        let (from, to) = (range.start(), range.end());
        number
            .map(Some)
            .ok_or_else(|| Error::field(name, format!("{name} must be a whole number from {from} to {to}.")))
    }

    /// Reads the body, and sets `now` to the time after it: a sender may delay the body for as long as it likes.
    pub async fn receive(&mut self, read: impl AsyncFnOnce() -> (Body, u64)) {
        (self.body, self.now) = read().await;
    }

    /// The body as text. JSON is UTF-8, so nothing is lost once `json` has accepted it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes().unwrap_or_default()).into_owned()
    }

    fn bytes(&self) -> Result<&[u8], Error> {
        match &self.body {
            Body::Read(bytes) => Ok(bytes),
            Body::TooLarge => {
                Err(Error::request(format!("The body is larger than {MAX_BODY} bytes; send a smaller one.")))
            }
            Body::Broken => Err(Error::request("The body could not be read to its end; send the request again.")),
        }
    }

    fn check_content_type(&self, known: &[&str]) -> Result<(), Error> {
        let header = self.content_type.as_deref().unwrap_or_default();
        // A comma inside quotes is part of a parameter; only a comma outside them separates repeated headers.
        let quoted = || Some(header).filter(|header| !header.split('"').step_by(2).any(|part| part.contains(',')));
        let header = single(header).or_else(quoted).unwrap_or_default();
        let media_type = header.split(';').next().unwrap_or_default().trim_matches([' ', '\t']);
        if known.iter().any(|known| media_type.eq_ignore_ascii_case(known)) {
            return Ok(());
        }
        Err(Error::field("Content-Type", format!("Content-Type must be {}.", known.join(" or "))))
    }
}

/// The value of a header that was sent once, or several times with the same value; `None` if the values differ. The
/// runtime joins repeated headers with commas (RFC 9110, section 5.3), and no value that this service accepts contains
/// one.
pub fn single(header: &str) -> Option<&str> {
    let Some((first, others)) = header.split_once(',') else { return Some(header) };
    let spaces = [' ', '\t'];
    let first = first.trim_matches(spaces);
    others.split(',').all(|value| value.trim_matches(spaces) == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: impl Into<Vec<u8>>) -> Call {
        Call {
            origin: "https://api.example.com".into(),
            authorization: None,
            client_id_header: None,
            content_type: Some("application/json".into()),
            query: String::new(),
            if_match: None,
            if_none_match: None,
            accept_encoding: None,
            body: Body::Read(body.into()),
            ip: String::new(),
            now: 0,
        }
    }

    fn long(body: &str) -> Result<LongTokenRequest, Error> {
        LongTokenRequest::parse(&call(body))
    }

    /// A valid body, plus the given members.
    fn with(members: &str) -> String {
        format!(r#"{{"grant_type":"client_credentials","client_id":"c"{members}}}"#)
    }

    fn mechanism(request: &LongTokenRequest) -> Mechanism {
        request.credential.as_ref().map_or(Mechanism::Rotation, Credential::mechanism)
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
        assert_eq!(mechanism(&request), Mechanism::Secret);
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
    fn without_a_mechanism_the_client_id_header_decides() {
        for (header, expected) in [("c", "invalid_request"), ("c, c", "invalid_request"), ("d", "invalid_client")] {
            let mut call = call(r#"{"grant_type":"client_credentials","client_id":"c"}"#);
            call.client_id_header = Some(header.to_owned());
            assert_eq!(code(&LongTokenRequest::parse(&call).unwrap_err()), expected, "{header}");
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
                    let got = LongTokenRequest::parse(&call).map(|request| mechanism(&request));
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
            (Some("application/json; charset=utf-8, text/plain"), false),
            (Some("application/json; charset=utf-8, application/json; charset=utf-8"), true),
            (Some("application/json; a=\"b,c\""), true),
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
    fn an_empty_short_body_is_valid() {
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
    fn a_head_is_parsed() {
        let text = "POST\nhttps://auth.example.com:8443/v1/x?in=5&a#b\n1800000000123\n+Bearer a\n\n+\n+7\n+192.0.2.1\n\n+\"e\"\n\n+gzip";
        let head = Head::parse(text);
        assert_eq!((head.method, head.origin, head.path), ("POST", "https://auth.example.com:8443", "/v1/x"));
        assert_eq!((head.millis, head.content_length, head.ray), (1_800_000_000_123, Some("7"), None));
        let call = head.call();
        assert_eq!((call.now, call.query.as_str(), call.ip.as_str()), (1_800_000_000, "in=5&a", "192.0.2.1"));
        assert_eq!((call.authorization.as_deref(), call.client_id_header.as_deref()), (Some("Bearer a"), None));
        assert_eq!((call.content_type.as_deref(), call.if_match.as_deref()), (Some(""), Some("\"e\"")));
        assert_eq!((call.if_none_match.as_deref(), call.accept_encoding.as_deref()), (None, Some("gzip")));
        assert_eq!(call.number("in", 0..=9), Ok(Some(5)));
        assert!(call.number("in", 0..=4).is_err());
        for broken in ["", "GET", "GET\nx", "\n\n\n\n\n\n\n\n\n\n\n"] {
            assert_eq!(Head::parse(broken).path, "");
        }
    }

    #[test]
    fn parameters() {
        let with = |query: &str| Call { query: query.to_owned(), ..call("") };
        assert_eq!(with("").number("limit", 1..=9), Ok(None));
        for bad in [
            "limit=",
            "limit=0",
            "limit=10",
            "limit=+5",
            "limit=5.0",
            "limit=x",
            "limit=5&limit=5",
            "limit=99999999999999999999",
        ] {
            assert!(with(bad).number("limit", 1..=9).is_err(), "{bad}");
        }
        assert_eq!(with("a=b%20c+d").parameter("a"), Ok(Some("b c d".to_owned())));
    }

    #[test]
    fn a_header_repeated_with_the_same_value_counts_once() {
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
}
