//! Fuzz targets for every parser of requests, tokens, keys and secret settings. Those of stored values and of requests
//! to objects are in `client::fuzz`. Each runs as a plain test, and by `make fuzz` under an engine.

use core::fmt::Write;
use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use ::fuzz::bolero::produce;
use ::fuzz::{check, repeats_a_name, texts};
use base64ct::{Base64UrlUnpadded, Encoding};
use futures_util::FutureExt;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::app::Route;
use crate::assertion;
use crate::client::change::if_match;
use crate::client::jwk::{JwkSet, PublicJwk};
use crate::client::{Consistency, MAX_TTL, MIN_TTL, Mechanism, Operator, is_client_id};
use crate::error::{Error, Unavailable};
use crate::feed::copy::FeedCache;
use crate::feed::{self, Ends, Entry};
use crate::json;
use crate::keys::{KeySet, PrivateJwk};
use crate::operations::issue_long::network;
use crate::operations::operators::{Operation, open_cursor, seal_cursor};
use crate::operations::revocations::{if_none_match, takes_gzip};
use crate::otp;
use crate::request::{self, Body, Call, Credential, Head, LongTokenRequest, ShortTokenRequest};
use crate::scope::{MAX_SCOPE_LENGTH, MAX_SCOPES, Scope, Scopes};
use crate::secret::Secret;
use crate::settings::tests::{KEYS, settings};
use crate::settings::{Settings, origin_of};
use crate::token::{self, Granted, Signatures};
use crate::token_id::{self, Kind, TokenId};
use crate::value::{Members, Value};

/// A canary that no response and no message may contain.
const CANARY: &str = "canary-0123456789";
const NOW: u64 = 1_800_000_000;

// ---- JSON

/// Parses like serde_json, except that repeated names, large objects and other roots are refused.
#[test]
fn json_documents() {
    let seeds = [
        r#"{"a":1,"b":[true,null,-7,0.5,"x"],"c":{"a":{"b":"é\u00e9"}}}"#,
        r#"{"keys":[{"a":"b"},{"a":"b"}],"long":9223372036854775807}"#,
        "null",
    ];
    check!(texts(&seeds), |text| {
        let expected: Option<serde_json::Value> = serde_json::from_slice(text).ok();
        let is_sound = |value: &serde_json::Value| {
            (value.is_object() || value.is_null()) && !repeats_a_name(text, value) && !has_large(value)
        };
        match json::object_or_null(text) {
            Ok(read) => {
                let expected = expected.expect("serde_json reads it");
                assert!(is_sound(&expected));
                let read = read.map_or(Value::Null, Value::Object);
                assert!(is_same(&read, &expected), "{read:?}");
            }
            Err(_) => assert!(!expected.is_some_and(|value| is_sound(&value))),
        }
    });
}

fn is_same(read: &Value, expected: &serde_json::Value) -> bool {
    match (read, expected) {
        (Value::Null, serde_json::Value::Null) => true,
        (Value::Bool(read), serde_json::Value::Bool(expected)) => read == expected,
        (Value::Integer(read), serde_json::Value::Number(expected)) => expected.as_i64() == Some(*read),
        (Value::Number, serde_json::Value::Number(expected)) => expected.as_i64().is_none(),
        (Value::Text(read), serde_json::Value::String(expected)) => read == expected,
        (Value::Array(read), serde_json::Value::Array(expected)) => {
            read.len() == expected.len() && read.iter().zip(expected).all(|(read, expected)| is_same(read, expected))
        }
        (Value::Object(Members(read)), serde_json::Value::Object(expected)) => {
            read.len() == expected.len()
                && read.iter().all(|(name, read)| expected.get(name).is_some_and(|expected| is_same(read, expected)))
        }
        _ => false,
    }
}

fn has_large(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Array(items) => items.iter().any(has_large),
        serde_json::Value::Object(members) => members.len() > 100 || members.values().any(has_large),
        _ => false,
    }
}

/// Whether a member's name contains the canary. Messages may quote names: nobody sends a secret as a name.
fn names_canary(text: &[u8]) -> bool {
    fn looks(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::Array(items) => items.iter().any(looks),
            serde_json::Value::Object(members) => {
                members.iter().any(|(name, value)| name.contains("canary") || looks(value))
            }
            _ => false,
        }
    }
    // serde_json drops repeated names, so a text that repeats one may contain the canary.
    serde_json::from_slice(text).is_ok_and(|value| looks(&value) || repeats_a_name(text, &value))
}

/// A response is valid: it has a status of the contract, no line break in a header, and no secret of the request.
fn check_refusal(error: &Error, text: &[u8]) {
    let response = error.respond();
    assert!([400, 401, 403, 404, 405, 409, 412, 429, 500, 503].contains(&response.status));
    for (name, value) in &response.headers {
        assert!(!value.contains(['\n', '\r']), "{name}: {value:?}");
    }
    let body = response.body.expect("a refusal has a body");
    let body: serde_json::Value = serde_json::from_str(&body).expect("it is JSON");
    assert!(names_canary(text) || !body.to_string().contains(CANARY), "{body}");
}

// ---- requests

fn call(body: &[u8]) -> Call {
    Call {
        origin: "https://auth.example.com".to_owned(),
        query: String::new(),
        authorization: None,
        client_id_header: None,
        content_type: Some(request::JSON.to_owned()),
        if_match: None,
        if_none_match: None,
        accept_encoding: None,
        body: Body::Read(body.to_vec()),
        ip: String::new(),
        now: NOW,
    }
}

fn check_scopes(scopes: &Scopes) {
    let texts: Vec<_> = scopes.iter().map(Scope::to_string).collect();
    assert!((1..=MAX_SCOPES).contains(&texts.len()));
    assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), texts.len(), "folded");
    assert!(
        texts.iter().all(|text| text.len() <= MAX_SCOPE_LENGTH && text.bytes().all(|byte| byte.is_ascii_graphic()))
    );
}

/// A parsed body means the same after a round trip, has exactly one mechanism, and respects every limit.
#[test]
fn bodies_of_issue_long() {
    let seeds = [
        r#"{"grant_type":"client_credentials","client_id":"c","client_secret":"canary-0123456789","scopes":["jobs:*","a:b"],"ttl_seconds":3600}"#,
        r#"{"grant_type":"client_credentials","client_id":"c","otp_code":"canary-0123456789"}"#,
        r#"{"grant_type":"assertion","client_id":"c","assertion_type":"urn:ietf:params:oauth:grant-type:jwt-bearer","assertion":"canary-0123456789"}"#,
        r#"{"grant_type":"client_credentials","client_id":"c"}"#,
    ];
    check!((texts(&seeds), produce::<bool>()), |(text, has_bearer)| {
        let mut call = call(text);
        call.authorization = has_bearer.then(|| "Bearer x".to_owned());
        let request = match LongTokenRequest::parse(&call) {
            Ok(request) => request,
            Err(error) => return check_refusal(&error, text),
        };
        assert!((MIN_TTL..=MAX_TTL).contains(&request.ttl_seconds));
        request.scopes.iter().for_each(check_scopes);
        assert!(request.credential.is_some() || *has_bearer, "a rotation has a bearer");
        let mut again = json!({"grant_type": "client_credentials", "client_id": request.client_id, "ttl_seconds": request.ttl_seconds});
        if let Some(scopes) = &request.scopes {
            again["scopes"] = json!(scopes);
        }
        match &request.credential {
            Some(Credential::Secret(secret)) => again["client_secret"] = secret.expose_text().into(),
            Some(Credential::Code(code)) => again["otp_code"] = code.expose_text().into(),
            Some(Credential::Assertion(assertion)) => {
                again["grant_type"] = "assertion".into();
                again["assertion_type"] = request::ASSERTION_TYPES[0].into();
                again["assertion"] = assertion.expose_text().into();
            }
            None => {}
        }
        call.body = Body::Read(again.to_string().into_bytes());
        let again = LongTokenRequest::parse(&call).expect("what was read can be written");
        assert_eq!(
            (&again.client_id, &again.scopes, again.ttl_seconds),
            (&request.client_id, &request.scopes, request.ttl_seconds)
        );
        assert_eq!(exposed(&again), exposed(&request));
        call.body =
            Body::Read(text.strip_suffix(b"}").map_or_else(Vec::new, |text| [text, br#","other":1}"#].concat()));
        assert!(LongTokenRequest::parse(&call).is_err(), "an unknown member");
    });
}

fn exposed(request: &LongTokenRequest) -> Option<(Mechanism, &str)> {
    request.credential.as_ref().map(|credential| {
        let (Credential::Secret(secret) | Credential::Code(secret) | Credential::Assertion(secret)) = credential;
        (credential.mechanism(), secret.expose_text())
    })
}

#[test]
fn bodies_of_issue_short() {
    let seeds = [r#"{"scopes":["jobs:submit","jobs:*"],"long_token":"canary-0123456789"}"#, "null", "{}"];
    check!(texts(&seeds), |text| {
        let ShortTokenRequest { long_token, scopes } = ShortTokenRequest::parse(&call(text));
        match &scopes {
            Ok(scopes) => scopes.iter().for_each(check_scopes),
            Err(error) => check_refusal(error, text),
        }
        if let (Ok(scopes), false) = (&scopes, text.is_empty()) {
            let mut again = json!({});
            if let Some(scopes) = scopes {
                again["scopes"] = json!(scopes);
            }
            if let Some(token) = &long_token {
                again["long_token"] = token.expose_text().into();
            }
            let again = ShortTokenRequest::parse(&call(again.to_string().as_bytes()));
            assert_eq!((&again.long_token, &again.scopes), (&long_token, &Ok(scopes.clone())));
        }
    });
}

/// Forms and query strings: a field must occur once, whatever its encoding.
#[test]
fn forms_and_queries() {
    let seeds =
        ["token=a.b.c&token_type_hint=access_token", "limit=100&cursor=AbC_-", "in=7776000", "since=12&a=%20+%zz&&=x"];
    check!(texts(&seeds), |text| {
        let mut call = call(text);
        call.content_type = Some("application/x-www-form-urlencoded".to_owned());
        call.query = text.lossy();
        for name in ["token", "limit", "cursor", "in", "since", "a", ""] {
            let given: Vec<String> =
                pairs(call.query.as_bytes()).filter(|(field, _)| field == name).map(|(_, value)| value).collect();
            let parameter = call.parameter(name);
            assert_eq!(parameter.as_ref().ok(), (given.len() < 2).then(|| given.first().cloned()).as_ref());
            parameter.iter().flatten().for_each(|value| {
                call.query =
                    format!("{name}={}", form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>());
                assert_eq!(call.parameter(name).ok().flatten().as_ref(), Some(value));
                call.query = text.lossy();
            });
            if let Ok(Some(number)) = call.number(name, 1..=1000) {
                assert!((1..=1000).contains(&number) && given[0].bytes().all(|byte| byte.is_ascii_digit()));
            }
            let given: Vec<String> =
                pairs(&text.0).filter(|(field, _)| field == name).map(|(_, value)| value).collect();
            match call.form_field(name) {
                Ok(value) => assert!(!value.is_empty() && given == [value]),
                Err(error) => check_refusal(&error, b""),
            }
        }
    });
}

/// The pairs of a form (URL Standard, section 5.1).
fn pairs(text: &[u8]) -> impl Iterator<Item = (String, String)> {
    text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        (decoded(name), decoded(value))
    })
}

/// Percent-decodes bytes, and only then reads them as UTF-8.
fn decoded(bytes: &[u8]) -> String {
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap());
                at += 2;
            }
            (b'+', ..) => decoded.push(b' '),
            (byte, ..) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Any text in the format of `head` in glue.js: the parts of the URL join to the URL again.
#[test]
fn heads() {
    let seeds = [
        "POST\nhttps://auth.example.com:8443/v1/auth/tokens/long?a=b#c\n1800000000123\n+Bearer a\n+c\n+application/json\n+17\n+192.0.2.1\n+ray\n+\"e\"\n\n+gzip",
        "GET\nhttps://[::1]/\n1\n\n\n\n",
    ];
    check!(texts(&seeds), |text| {
        let text = text.lossy();
        let head = Head::parse(&text);
        let call = head.call();
        let url = text.split('\n').nth(1).unwrap_or_default();
        let query = if call.query.is_empty() { String::new() } else { format!("?{}", call.query) };
        let again = format!("{}{}{query}", head.origin, head.path);
        assert!(url.starts_with(&again) || url.starts_with(&format!("{}{}?", head.origin, head.path)), "{url} {again}");
        assert!(!head.path.contains(['?', '#']) && !call.query.contains('#'));
        assert_eq!(head.origin, origin_of(url));
        assert!(
            head.path.is_empty()
                || head.path.starts_with('/')
                || !url.contains('/')
                || url.starts_with('?')
                || !head.path.contains('/'),
            "{url}"
        );
        assert_eq!(call.now, head.millis / 1000);
        for value in
            [&call.authorization, &call.content_type, &call.client_id_header, &call.if_match].into_iter().flatten()
        {
            assert!(text.contains(&format!("\n+{value}")));
        }
    });
}

/// An id that was escaped into a path is decoded to itself, and `Allow` names exactly the methods that work.
#[test]
fn routes() {
    let seeds = [
        "/v1/auth/tokens/long",
        "/v1/auth/tokens/tok_lt_%41b%2Fc/revoke",
        "/v1/clients",
        "/v1/clients/c%20d",
        "/v1/clients/c/secrets/sec_1",
        "/v1/clients/c/secrets",
        "/v1/clients/c/totp",
        "/v1/clients/c/end-tokens",
        "/.well-known/jwks.json",
        "/.well-known/revocations",
        "/.well-known/oauth-authorization-server",
        "/healthz",
        "/docs",
        "/openapi.json",
        "/v1/auth/tokens/introspect",
        "/v1/auth/tokens/short",
    ];
    let settings = settings();
    let methods = ["GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "OPTIONS", "get", ""];
    check!(texts(&seeds), |text| {
        let path = text.lossy();
        let found: Vec<_> = methods.iter().map(|method| Route::find(&settings, method, &path)).collect();
        assert_eq!(found[0], found[1], "HEAD is as GET");
        for (method, route) in methods.iter().zip(&found) {
            match route {
                Ok(route) => assert!(!matches!(route, Route::Revoke { token_id } if token_id.is_empty())),
                Err(Error::PathNotFound { .. }) => assert!(found.iter().all(Result::is_err)),
                Err(error @ Error::MethodNotAllowed { allow }) => {
                    check_refusal(error, b"");
                    let allowed: Vec<_> = allow.split(", ").collect();
                    assert!(!allowed.contains(method));
                    for (method, route) in methods.iter().zip(&found) {
                        assert_eq!(allowed.contains(method), route.is_ok(), "{method} {path}");
                    }
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        if !path.is_empty() {
            let escaped = text.iter().fold(String::new(), |mut escaped, byte| {
                let _ = write!(escaped, "%{byte:02x}");
                escaped
            });
            let show = Operation::Show { client_id: path.clone() };
            assert_eq!(Route::find(&settings, "GET", &format!("/v1/clients/{escaped}")), Ok(Route::Operator(show)));
            let revoke = Route::Revoke { token_id: path };
            assert_eq!(Route::find(&settings, "POST", &format!("/v1/auth/tokens/{escaped}/revoke")), Ok(revoke));
        }
    });
}

/// `Authorization` and every other header that may be repeated: with one value it counts once.
#[test]
fn header_values() {
    let seeds = [
        "Bearer a.b.c",
        "bearer  a.b.c",
        "Bearer a, Bearer a",
        "Basic Zm9v",
        "application/json; charset=utf-8",
        "client-1",
    ];
    check!(texts(&seeds), |text| {
        let header = text.lossy();
        if let Ok(token) = token::bearer(Some(&header)) {
            assert!(!token.is_empty() && !token.starts_with(' ') && header.contains(token));
            assert!(header.trim_start()[..7].eq_ignore_ascii_case("Bearer "));
        }
        let value = header.trim_matches([' ', '\t']);
        if !value.contains(',') {
            for joined in [value.to_owned(), format!("{value}, {value}"), format!("{value},{value} ,\t{value}")] {
                assert_eq!(request::single(&joined).map(|single| single.trim_matches([' ', '\t'])), Some(value));
                assert_eq!(token::bearer(Some(&joined)).ok(), token::bearer(Some(value)).ok(), "{joined:?}");
            }
            assert_eq!(request::single(&format!("{value}, {value}x")), None);
        }
        let mut call = call(b"{}");
        call.content_type = Some(header.clone());
        let is_whole =
            request::single(&header).is_some() || !header.split('"').step_by(2).any(|part| part.contains(','));
        let kind =
            request::single(&header).unwrap_or(&header).split(';').next().filter(|_| is_whole).unwrap_or_default();
        let is_json = kind.trim_matches([' ', '\t']).eq_ignore_ascii_case("application/json");
        assert_eq!(call.json(&[request::JSON]).is_ok(), is_json, "{header:?}");
    });
}

/// `If-Match`, `If-None-Match`, `Accept-Encoding`.
#[test]
fn conditions() {
    let seeds = ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*", "gzip, br;q=0.5", "W/\"b\",W/\"a\""];
    check!(texts(&seeds), |text| {
        let header = text.lossy();
        let etag = "\"a\"";
        let listed =
            header.split(',').map(|value| value.trim_matches([' ', '\t'])).any(|value| ["*", etag].contains(&value));
        assert_eq!(if_match(&header, etag), listed);
        assert!(!listed || if_none_match(&header, etag), "what matches strongly matches weakly");
        assert!(!if_none_match(&header, "\"never\"") || header.contains('*') || header.contains("never"));
        assert!(!takes_gzip(&header) || header.contains("gzip"));
        assert!(if_match(&format!("{header}, {etag}"), etag) && if_none_match(&format!("{header},W/{etag}"), etag));
    });
}

/// Every notation of an address, and every address of a /64, counts as one network.
#[test]
fn addresses() {
    check!((produce::<[u16; 8]>(), produce::<[u16; 4]>(), produce::<u8>()), |(groups, other, zeros)| {
        let mut groups = *groups;
        for (nth, group) in groups.iter_mut().enumerate() {
            if zeros & (1 << nth) != 0 {
                *group = 0;
            }
        }
        let address = Ipv6Addr::from(groups);
        // A mapped IPv4 address counts as the IPv4 address.
        let short = address.to_string();
        if short.contains('.') {
            return;
        }
        let long = groups.map(|group| format!("{group:x}")).join(":");
        let counted = network(&short);
        assert_eq!(counted, network(&long), "{short}");
        assert_eq!(counted, groups[..4].iter().fold(String::new(), |all, group| format!("{all}{group:x}:")));
        let neighbour =
            Ipv6Addr::from([groups[0], groups[1], groups[2], groups[3], other[0], other[1], other[2], other[3]])
                .to_string();
        assert!(neighbour.contains('.') || counted == network(&neighbour), "{neighbour}");
    });
}

#[test]
fn addresses_that_are_none() {
    check!(texts(&["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "::", "unknown"]), |text| {
        assert!(network(&text.lossy()).len() <= 3 * text.len() + 16);
    });
}

// ---- scopes, ids, tokens

/// `covers` is transitive; `bounded_by` is the intersection.
#[test]
fn scopes() {
    let seeds = [
        "jobs:* templates:read",
        "a:b",
        "a:* a:b a-b_1:c",
        "jobs:submit jobs:read",
        "tokens:write tokens:revoke clients:*",
    ];
    check!((texts(&seeds), texts(&seeds)), |(one, other)| {
        let [one, other] = [one.lossy(), other.lossy()];
        let read = Scopes::parse_claim(&one);
        if let Ok(scopes) = &read {
            check_scopes(scopes);
            assert_eq!(Scopes::parse_claim(&scopes.to_string()).as_ref(), Ok(scopes));
            assert!(scopes.first_uncovered(scopes).is_none());
        }
        let (Ok(held), Ok(most)) = (read, Scopes::parse_claim(&other)) else { return };
        let bounded = held.bounded_by(&most);
        for scope in bounded.iter() {
            assert!(held.covers(scope) && most.covers(scope));
        }
        for scope in held.iter().chain(most.iter()) {
            assert_eq!(bounded.covers(scope), held.covers(scope) && most.covers(scope), "{scope}");
            assert_eq!(held.covers(scope), held.iter().any(|own| own.covers(scope)));
        }
        for (a, b) in held.iter().flat_map(|a| most.iter().map(move |b| (a, b))) {
            assert!(!(a.covers(b) && b.covers(a)) || a == b);
            for c in held.iter() {
                assert!(!(a.covers(b) && b.covers(c)) || a.covers(c), "{a} {b} {c}");
            }
        }
    });
}

/// An id verifies only for its client, and not with any bit or character changed.
#[test]
fn token_ids() {
    let keys = KeySet::parse(KEYS).unwrap();
    let id = |kind, end, random| TokenId::mint(keys.token_id.first(), kind, "alice", end, random);
    let seed = id(Kind::Long, NOW, [7; 12]).into_string();
    check!((texts(&[seed.as_str(), "tok_st_"]), produce::<(bool, u32, [u8; 12], u16)>()), |(
        text,
        (long, end, random, bit),
    )| {
        let open = |text: &str, client: &str| TokenId::verify(keys.token_id.iter(), text, client);
        let text = text.lossy();
        assert_eq!(open(&text, "alice").is_some(), text == seed);
        assert!(token_id::key(&text).len() <= text.len());
        let kind = if *long { Kind::Long } else { Kind::Short };
        let made = id(kind, u64::from(*end), *random);
        assert_eq!(open(made.as_str(), "alice").as_ref(), Some(&made));
        assert!(open(made.as_str(), "alic").is_none() && open(made.as_str(), "alicee").is_none());
        let mut bytes = made.as_str().as_bytes().to_vec();
        let bit = usize::from(*bit) % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&String::from_utf8_lossy(&bytes), "alice").is_none());
        assert_eq!(token_id::key(made.as_str()).len(), 22);
    });
}

/// A fast stand-in for Ed25519, for tests only.
struct Cheap;

impl Cheap {
    fn signature(kid: &str, message: &[u8]) -> [u8; 64] {
        let half: [u8; 32] = Sha256::new().chain_update(kid).chain_update(message).finalize().into();
        [half, half].concat().try_into().unwrap()
    }
}

impl Signatures for Cheap {
    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], Unavailable> {
        Ok(Self::signature("s", message))
    }

    async fn verify(&self, key: &PublicJwk, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable> {
        Ok(Self::signature(&key.kid, message) == *signature)
    }
}

fn jws(header: &[u8], payload: &[u8], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = [header, payload].map(Base64UrlUnpadded::encode_string).join(".");
    let signature = Base64UrlUnpadded::encode_string(&sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing is waited for")
}

/// Any signed content: a token is accepted only with claims that this service writes, and never with a wrong signature.
#[test]
fn tokens() {
    let settings = settings();
    let headers = [
        r#"{"alg":"HS256","typ":"lt+jwt","kid":"l"}"#,
        r#"{"alg":"EdDSA","typ":"at+jwt","kid":"s"}"#,
        r#"{"alg":"none","cty":"JWT","crit":["b64"],"b64":false}"#,
    ];
    let payloads = [
        r#"{"exp":1800000900,"iat":1800000000,"iss":"https://auth.example.com","sub":"c","jti":"tok_lt_1","auth_time":1800000000,"scope":"jobs:* a:b","consistency":"immediate"}"#,
        r#"{"exp":1800000900,"iat":1800000000,"iss":"https://auth.example.com","sub":"c","client_id":"c","aud":"https://api.example.com","jti":"tok_st_1","auth_time":1800000000,"scope":"jobs:* a:b","parent":"tok_lt_1"}"#,
    ];
    let key = hmac_key();
    check!((texts(&headers), texts(&payloads), produce::<(bool, u16)>()), |(header, payload, (short, bit))| {
        let sign = |message: &[u8]| if *short { Cheap::signature("s", message).to_vec() } else { hs256(&key, message) };
        let read =
            |token: &str, kinds: &[Kind]| now_or_never(token::authenticate(&settings, &Cheap, token, kinds, NOW));
        let kinds = [Kind::Long, Kind::Short];
        let token = jws(header, payload, sign);
        if let Ok(presented) = read(&token, &kinds) {
            check_scopes(&presented.scopes);
            assert_eq!(presented.kind, if *short { Kind::Short } else { Kind::Long });
            assert!(presented.expires_at > NOW && presented.expires_at <= i64::MAX.unsigned_abs());
            assert_eq!(presented.parent.is_some() && presented.audience.is_some(), *short);
            let other = if *short { Kind::Long } else { Kind::Short };
            assert!(read(&token, &[other]).is_err(), "another kind was asked for");
            let claims: serde_json::Value = serde_json::from_slice(payload).expect("serde_json reads it");
            assert_eq!((&claims["iss"], &claims["sub"]), (&json!(settings.issuer), &json!(presented.client_id)));
            assert_eq!((&claims["jti"], &claims["auth_time"]), (&json!(presented.id), &json!(presented.auth_time)));
            assert_eq!(claims["exp"].as_f64().map(|exp| exp as u64), Some(presented.expires_at));
            let mut forged = token.clone().into_bytes();
            let bit = usize::from(*bit) % (forged.len() * 8);
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&String::from_utf8_lossy(&forged), &kinds).is_err(), "a bit was changed");
        }
        for sign in [|message: &[u8]| Cheap::signature("x", message).to_vec(), |_: &[u8]| Vec::new()] {
            assert!(read(&jws(header, payload, sign), &kinds).is_err());
        }
        let _ = read(&header.lossy(), &kinds);
    });
}

fn hmac_key() -> [u8; 32] {
    // The `lt+jwt` key in `KEYS`.
    [3; 32]
}

fn hs256(key: &[u8], message: &[u8]) -> Vec<u8> {
    use hmac::Mac;
    hmac::Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(message).finalize().into_bytes().to_vec()
}

/// Each token that is made verifies, and carries what went into it.
#[test]
fn tokens_that_are_made() {
    let settings = settings();
    let seeds = ["jobs:* a:b", "a:b"];
    check!((texts(&seeds), produce::<(u32, u32, [u8; 12])>()), |(scopes, (auth_time, ttl, random))| {
        let Ok(scopes) = Scopes::parse_claim(&scopes.lossy()) else { return };
        let (auth_time, ttl) = (u64::from(*auth_time), u64::from(*ttl));
        let granted = Granted { now: NOW, auth_time, scopes: scopes.clone(), ttl, consistency: Consistency::Immediate };
        let minted = token::mint_long(&settings, "c", &granted, *random).unwrap();
        let read = |token: &str, kind| now_or_never(token::authenticate(&settings, &Cheap, token, &[kind], NOW));
        let Ok(long) = read(&minted.access_token, Kind::Long) else { return assert_eq!(ttl, 0) };
        assert_eq!((&long.scopes, long.auth_time, long.expires_at), (&scopes, auth_time, NOW + ttl));
        assert_eq!((long.issued_at, long.consistency, &long.id), (NOW, Consistency::Immediate, &minted.token_id));
        let made = token::mint_short(&settings, &Cheap, &long, &scopes, long.expires_at, NOW, *random);
        let made = now_or_never(made).unwrap();
        let short = read(&made.access_token, Kind::Short).unwrap();
        assert_eq!((&short.scopes, short.auth_time, short.parent), (&scopes, auth_time, Some(long.id)));
        assert!(short.expires_at <= long.expires_at && short.expires_at <= NOW + token::SHORT_TTL);
    });
}

/// An accepted assertion has every claim that RFC 7523 requires, and is signed by the key that its `kid` names, with
/// that key's algorithm.
#[test]
fn assertions() {
    let settings = settings();
    let key = |kid: &str, alg: &str| {
        let mut key: PublicJwk = serde_json::from_str(
            r#"{"kid":"","alg":"EdDSA","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        )
        .unwrap();
        (key.kid, key.alg) = (kid.to_owned(), alg.to_owned());
        key
    };
    let keys = [key("a", "EdDSA"), key("b", "RS256")];
    let headers = [
        r#"{"alg":"EdDSA","kid":"a","typ":"JWT"}"#,
        r#"{"alg":"RS256","kid":"b"}"#,
        r#"{"alg":"EdDSA","kid":"a","crit":["b64"],"b64":true}"#,
    ];
    let payloads = [
        r#"{"iss":"c","sub":"c","aud":"https://auth.example.com","exp":1800000100,"iat":1800000000,"nbf":1800000000,"jti":"j"}"#,
        r#"{"iss":"c","sub":"c","aud":["x","https://auth.example.com/v1/auth/tokens/long"],"exp":1800000100.5,"jti":"j","other":{"a":1}}"#,
    ];
    check!((texts(&headers), texts(&payloads), produce::<bool>()), |(header, payload, is_signed)| {
        let kid = if *is_signed { "a" } else { "x" };
        let assertion = jws(header, payload, |message| Cheap::signature(kid, message).to_vec());
        let verify =
            async |key: &PublicJwk, message: &[u8], signature: &[u8]| Cheap.verify(key, message, signature).await;
        let checked = assertion::check(&settings, verify, "c", &keys, &assertion, "https://auth.example.com", NOW);
        let Some(genuine) = now_or_never(checked).unwrap() else { return };
        assert!(*is_signed && genuine.key == keys[0]);
        let header: serde_json::Value = serde_json::from_slice(header).unwrap();
        assert!(
            header["alg"] == "EdDSA"
                && header["kid"] == "a"
                && header.get("crit").is_none()
                && header.get("b64").is_none()
        );
        let claims: serde_json::Value = serde_json::from_slice(payload).unwrap();
        assert!(
            claims["iss"] == "c" && claims["sub"] == "c" && claims["jti"].as_str().is_some_and(|jti| !jti.is_empty())
        );
        let exp = claims["exp"].as_f64().unwrap();
        assert!(exp as u64 > NOW && exp as u64 <= NOW + 600);
        assert_eq!(genuine.until, exp as u64 + 60, "remembered until it can't be shown again");
        for time in ["iat", "nbf"] {
            assert!(claims.get(time).is_none_or(|at| at.as_f64().unwrap() <= (NOW + 61) as f64));
        }
    });
}

/// A key set in a request: accepted keys are public, bounded in number, bound to an algorithm, and unchanged by a round
/// trip.
#[test]
fn jwk_sets() {
    let rsa = format!(r#"{{"keys":[{{"kty":"RSA","kid":"r","alg":"PS256","n":"{}","e":"AQAB"}}]}}"#, "w".repeat(342));
    let seeds = [
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","alg":"EdDSA","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},{"kty":"EC","crv":"P-256","kid":"b","alg":"ES256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#,
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"canary-0123456789"}]}"#,
        rsa.as_str(),
    ];
    check!(texts(&seeds), |text| {
        let Ok(members) = json::object(text) else { return };
        let set = match JwkSet::from_json(Value::Object(members)) {
            Ok(set) => set,
            Err(error) => return check_refusal(&error, text),
        };
        assert!((1..=16).contains(&set.keys.len()));
        assert_eq!(set.keys.iter().map(|key| &key.kid).collect::<BTreeSet<_>>().len(), set.keys.len());
        for key in &set.keys {
            assert!(key.algorithm().is_ok() && !key.kid.is_empty());
            // They are passed to JavaScript one per line.
            assert!(key.material().all(|(_, value)| !value.contains('\n')));
        }
        let written = serde_json::to_string(&set).unwrap();
        let is_public =
            |key: &PublicJwk| key.kid.contains(CANARY) || key.material().any(|(_, value)| value.contains(CANARY));
        assert!(!written.contains(CANARY) || set.keys.iter().any(is_public));
        let again = JwkSet::from_json(Value::Object(json::object(written.as_bytes()).unwrap()));
        assert_eq!(again.as_ref(), Ok(&set));
        assert_eq!(crate::value::read::<JwkSet<PublicJwk>>(&written).as_ref(), Some(&set));
    });
}

// ---- secrets and settings

/// The secrets `AUTH_KEYS` and `OPERATOR`: an error message never quotes a value.
#[test]
fn secret_settings() {
    let canary = Base64UrlUnpadded::encode_string(b"canary-0123456789canary-01234567");
    let keys = KEYS.replace("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE", &canary);
    let operator = format!(
        r#"{{"client_id":"op","created_at":100,"scopes":["clients:*"],"mechanisms":["secret","rotation"],"secrets":[{{"secret_id":"sec_1","salt":"AQEBAQEBAQEBAQEBAQEBAQ","sha256":"{canary}","created_at":100}}]}}"#
    );
    check!(texts(&[&keys, &operator]), |text| {
        let text = text.lossy();
        match KeySet::parse(&text) {
            Ok(keys) => {
                let kids: Vec<_> =
                    keys.short.iter().map(|key| &key.public.kid).chain(keys.long.iter().map(|key| &key.kid)).collect();
                assert_eq!(kids.iter().collect::<BTreeSet<_>>().len(), kids.len());
                assert!(keys.short.first().private.is_some());
                assert!(is_a_kid(&text, &canary) || !format!("{keys:?}").contains(&canary));
            }
            Err(error) => {
                assert!(is_a_kid(&text, &canary) || !error.to_string().contains(&canary), "{error}")
            }
        }
        match Operator::parse(&text) {
            Ok(operator) => {
                let client = operator.client(0);
                assert!(is_client_id(&client.client_id) && client.is_immediate());
                check_scopes(&client.scopes);
                let again = Operator::parse(&serde_json::to_string(&operator).unwrap());
                assert_eq!(again, Ok(operator));
            }
            Err(error) => assert!(!error.contains(&canary), "{error}"),
        }
    });
}

/// Whether the canary is in `kid`, the only member whose value an error may show.
fn is_a_kid(text: &str, canary: &str) -> bool {
    let set: Option<JwkSet<PrivateJwk>> = crate::value::read(text);
    set.is_some_and(|set| set.keys.iter().any(|key| key.kid.contains(canary)))
}

/// Any settings: accepted ones make valid URLs, tokens and paths.
#[test]
fn plain_settings() {
    let seeds = [
        "https://auth.example.com/tenant\nhttps://api.example.com\n/v1\n3600\n10\npublic\nimmediate\n7",
        "http://127.0.0.1:8787\napi\n\n0\n60\noff\neventual\n1000",
    ];
    let names = [
        "ISSUER",
        "AUDIENCE",
        "BASE_PATH",
        "ROTATION_GRACE_SECONDS",
        "RATE_LIMIT_PERIOD_SECONDS",
        "REVOCATION_FEED",
        "DEFAULT_CONSISTENCY",
        "OTP_WRONG_PER_DAY",
    ];
    check!(texts(&seeds), |text| {
        let text = text.lossy();
        let values: Vec<&str> = text.split('\n').collect();
        let read = Settings::read(|name| {
            let place = names.iter().position(|known| *known == name);
            Ok(match name {
                "AUTH_KEYS" => Some(KEYS.to_owned()),
                _ => place.and_then(|place| values.get(place)).map(|value| (*value).to_owned()),
            })
        });
        let settings = match read {
            Ok(settings) => settings,
            Err(error) => return assert!(matches!(error, Error::Misconfigured { .. })),
        };
        assert!(settings.issuer.starts_with(settings.origin()) && !settings.host_name().is_empty());
        assert_eq!(
            serde_json::to_string(&settings.issuer).unwrap(),
            format!("\"{}\"", settings.issuer),
            "nothing is escaped in JSON"
        );
        assert!(settings.is_assertion_audience(&settings.issuer, ""));
        let path = format!("{}/auth/tokens/long", settings.base_path);
        assert_eq!(Route::find(&settings, "POST", &path), Ok(Route::IssueLong));
        let metadata =
            format!("/.well-known/oauth-authorization-server{}", &settings.issuer[settings.origin().len()..]);
        assert_eq!(Route::find(&settings, "GET", &metadata), Ok(Route::Metadata));
        assert!(settings.check_origin(settings.origin()).is_ok());
        assert!(settings.rotation_grace <= 7_776_000 && (5..=1000).contains(&settings.otp_wrong_per_day));
    });
}

/// A sealed seed decrypts to itself for its client, and for no other.
#[test]
fn sealed_seeds() {
    let keys = KeySet::parse(KEYS).unwrap();
    let seed = Secret::new(*b"12345678901234567890");
    let sealed = keys.seal("alice", &seed, [5; 24]).unwrap();
    check!((texts(&[sealed.as_str()]), texts(&["alice"])), |(text, client)| {
        let (text, client) = (text.lossy(), client.lossy());
        let opened = keys.unseal(&client, &text);
        assert_eq!(opened.is_some(), text == sealed && client == "alice");
        assert!(opened.is_none_or(|opened| opened == seed));
    });
}

/// KV's cursor comes back unchanged, or is refused.
#[test]
fn cursors() {
    let settings = settings();
    check!((texts(&["AAAAAEl1Q2xvdWQ", ""]), texts(&["AAAA"])), |(cursor, text)| {
        let cursor = cursor.lossy();
        let sealed = seal_cursor(&settings, &cursor);
        assert_eq!(open_cursor(&settings, &sealed), Some(cursor));
        assert_eq!(open_cursor(&settings, &text.lossy()), None);
        let mut cut = sealed;
        cut.pop();
        assert_eq!(open_cursor(&settings, &cut), None);
    });
}

/// A code matches one of three steps or none; any other text matches none.
#[test]
fn one_time_codes() {
    check!((texts(&["287082", "000000"]), produce::<(u32, u8)>()), |(text, (now, drift))| {
        let (seed, now) = (b"12345678901234567890", u64::from(*now));
        let current = now / otp::STEP;
        if let Some(step) = otp::matching_step(seed, &Secret::new(text.to_vec()), now) {
            assert!(step.abs_diff(current) <= 1 && **text == otp::code(seed, step)[..]);
        }
        let step = (current + u64::from(drift % 3)).saturating_sub(1);
        let found = otp::matching_step(seed, &Secret::new(otp::code(seed, step)), now);
        assert!(found.is_some_and(|found| otp::code(seed, found) == otp::code(seed, step)));
    });
}

// ---- the feed

/// The feed that an isolate serves: a part holds exactly the entries after `since`, in whatever order they arrived.
#[test]
fn the_feed_that_is_served() {
    type Entries = Vec<(u8, bool, u16)>;
    check!((produce::<Entries>(), produce::<(Option<u8>, u8)>()), |(entries, (since, now))| {
        let cache = FeedCache::default();
        let mut seq = 0;
        let entries: Vec<Entry> = entries
            .iter()
            .map(|(id, is_token, at)| {
                seq += 1;
                let kind = if *is_token { feed::Kind::Token } else { feed::Kind::Client };
                Entry {
                    key: feed::key(kind, &id.to_string()),
                    at: u64::from(*at),
                    seq,
                    number: 1,
                    until: u64::from(*id),
                }
            })
            .collect();
        cache.take(Ends { seq, dropped: 0, since: None, entries: entries.clone() }, 0);
        let (now, asked) = (u64::from(*now) + 1, since.map(u64::from));
        let part = cache.part(asked, now);
        assert!(part.seq == seq && (part.since.is_none() || part.since == asked));
        assert!(asked.is_none_or(|asked| asked <= seq) || part.since.is_none(), "ahead");
        let ended: serde_json::Value = serde_json::from_str(&cache.ended(part)).unwrap();
        let latest: std::collections::BTreeMap<_, _> = entries.iter().map(|entry| (&entry.key, entry)).collect();
        let due: BTreeSet<_> = latest
            .values()
            .filter(|entry| now < entry.until && part.since.is_none_or(|since| entry.seq > since))
            .map(|entry| (entry.key.clone(), entry.at))
            .collect();
        let served = ended.as_object().unwrap().iter().flat_map(|(kind, hashes)| {
            hashes.as_object().unwrap().iter().map(move |(hash, at)| (format!("{kind}:{hash}"), at.as_u64().unwrap()))
        });
        assert_eq!(served.collect::<BTreeSet<_>>(), due);
        if let Some(since) = part.since {
            assert!(
                latest.values().all(|entry| now < entry.until || entry.seq <= since),
                "no entry after `since` was dropped"
            );
        }
    });
}
