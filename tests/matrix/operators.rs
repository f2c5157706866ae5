//! The operators' API: every operation, every status, the order of refusals, and the effect of changes on existing
//! tokens.

use std::pin::pin;

use auth_edge::otp;
use base32ct::{Base32UpperUnpadded, Encoding};
use serde_json::{Value, json};

use crate::host::{self, Part};
use crate::service::{
    ALICE, Answer, BOB, BOBS_SECRET, DAY, NOW, ROOT, ROOTS_SECRET, Request, SECRET, Service, Token, bob_by_secret,
    by_secret, clients, exchange, post, revocation, root_by_secret, rotation,
};
use crate::sign::{Key, RSA_N};

const INTROSPECT: &str = "/v1/auth/tokens/introspect";

/// A service, and a short-term token of its first operator.
pub struct Desk {
    pub service: Service,
    pub root: Token,
}

/// The body of a new client, with every member.
fn whole(client_id: &str) -> Value {
    json!({
        "client_id": client_id, "client_name": "Jobs of the night", "scopes": ["jobs:*", "templates:read", "tokens:write"],
        "mechanisms": ["secret", "otp", "assertion", "rotation"], "max_ttl_seconds": 86_400, "consistency": "eventual",
        "region": "weur", "jwks": {"keys": [Key::Ed.public()]},
    })
}

fn least(client_id: &str) -> Value {
    json!({"client_id": client_id, "scopes": ["jobs:*"], "mechanisms": ["secret"]})
}

impl Desk {
    pub fn new() -> Self {
        Self::at(Service::new())
    }

    pub fn at(service: Service) -> Self {
        let root = Self::log_in(&service);
        Self { service, root }
    }

    fn log_in(service: &Service) -> Token {
        service.send(&exchange(&service.send(&root_by_secret()).token())).token()
    }

    /// Gets a new token, since a short-term token lives for only 15 minutes.
    pub fn log_in_again(&mut self) {
        self.root = Self::log_in(&self.service);
    }

    pub fn request(&self, method: &'static str, path: &str) -> Request {
        clients(method, path).bearer(&self.root.token)
    }

    #[track_caller]
    pub fn send(&self, method: &'static str, path: &str) -> Answer {
        self.service.send(&self.request(method, path))
    }

    pub fn create(&self, body: &Value) -> Answer {
        self.service.send(&self.request("POST", "").json(body))
    }

    pub fn patch(&self, client_id: &str, body: &Value) -> Answer {
        self.service.send(&self.request("PATCH", &format!("/{client_id}")).json(body))
    }

    pub fn show(&self, client_id: &str) -> Answer {
        self.send("GET", &format!("/{client_id}"))
    }

    #[track_caller]
    pub fn etag(&self, client_id: &str) -> String {
        let answer = self.show(client_id);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.header("ETag").unwrap().to_owned()
    }

    /// Creates another operator. Returns a short-term token of it.
    pub fn another(&self, client_id: &str, scopes: &[&str]) -> Token {
        let made = self.create(&json!({"client_id": client_id, "scopes": scopes, "mechanisms": ["secret"]}));
        let long = self.service.send(&by(client_id, made.body["client_secret"].as_str().unwrap())).token();
        self.service.send(&exchange(&long)).token()
    }
}

/// A request for a long-term token, with a secret.
pub fn by(client_id: &str, secret: &str) -> Request {
    by_secret().client(client_id).set("client_id", client_id).set("client_secret", secret)
}

fn names(body: &Value) -> Vec<&str> {
    body.as_object().unwrap().keys().map(String::as_str).collect()
}

/// One request for each operation, on Bob. They succeed one after another in this order.
fn every_operation() -> [Request; 9] {
    [
        clients("GET", ""),
        clients("GET", "/c2m_bob"),
        clients("POST", "").json(&least("carol")),
        clients("PATCH", "/c2m_bob").json(&json!({"client_name": "Bob"})),
        clients("POST", "/c2m_bob/secrets"),
        clients("DELETE", "/c2m_bob/secrets/only"),
        clients("POST", "/c2m_bob/totp"),
        clients("POST", "/c2m_bob/end-tokens"),
        clients("DELETE", "/c2m_bob"),
    ]
}

// Creation

#[test]
fn a_new_client_with_every_member() {
    let desk = Desk::new();
    let made = desk.create(&whole("carol"));
    let at = "2027-01-15T08:00:00Z";
    let mut expected = json!({
        "client_id": "carol", "client_name": "Jobs of the night", "status": "active",
        "scopes": ["jobs:*", "templates:read", "tokens:write"], "mechanisms": ["secret", "otp", "assertion", "rotation"],
        "max_ttl_seconds": 86_400, "consistency": "eventual", "region": "weur", "jwks": {"keys": [Key::Ed.public()]},
        "has_totp": true, "secrets": [{"secret_id": made.body["secrets"][0]["secret_id"], "created_at": at}],
        "tokens_valid_from": at, "created_at": at, "updated_at": at,
    });
    let shown = desk.show("carol");
    assert_eq!((shown.status, &shown.body), (200, &expected));
    assert_eq!(shown.header("ETag"), made.header("ETag"));
    let etag = made.header("ETag").unwrap();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 10, "strong: {etag}");
    for shown_once in ["client_secret", "totp_secret", "otpauth_uri"] {
        expected[shown_once] = made.body[shown_once].clone();
        assert!(expected[shown_once].is_string(), "{shown_once}");
    }
    assert_eq!((made.status, &made.body), (201, &expected));
    let seed = made.body["totp_secret"].as_str().unwrap();
    let uri = made.body["otpauth_uri"].as_str().unwrap();
    assert!(uri.starts_with("otpauth://totp/") && uri.contains(&format!("secret={seed}")), "{uri}");

    // Every mechanism of the new client works at once.
    let service = &desk.service;
    let long = service.send(&by("carol", made.body["client_secret"].as_str().unwrap())).token();
    service.send(&rotation(&service.short_token(&long)).set("client_id", "carol")).token();
    let code = |seed: &str| {
        let code = otp::code(&Base32UpperUnpadded::decode_vec(seed).unwrap(), NOW / otp::STEP);
        crate::service::by_code(std::str::from_utf8(&code).unwrap()).client("carol").set("client_id", "carol")
    };
    service.send(&code(seed)).token();
    let mut claims = crate::service::claims(NOW, "j");
    (claims["iss"], claims["sub"]) = (json!("carol"), json!("carol"));
    let assertion = crate::service::by_assertion(&Key::Ed.jwt(&claims)).client("carol").set("client_id", "carol");
    assert_eq!(service.send(&assertion).body["expires_in"], 86_400, "the client's own maximum");
}

#[test]
fn omitted_members_have_defaults() {
    let desk = Desk::new();
    let made = desk.create(&json!({"scopes": ["jobs:a", "jobs:a"], "mechanisms": ["secret", "secret"]}));
    let expected = [
        "client_id",
        "client_secret",
        "consistency",
        "created_at",
        "has_totp",
        "max_ttl_seconds",
        "mechanisms",
        "scopes",
        "secrets",
        "status",
        "tokens_valid_from",
        "updated_at",
    ];
    assert_eq!(names(&made.body), expected);
    assert_eq!(made.body["scopes"], json!(["jobs:a"]));
    assert_eq!(made.body["mechanisms"], json!(["secret"]));
    assert_eq!((&made.body["max_ttl_seconds"], &made.body["consistency"]), (&json!(7_776_000), &json!("eventual")));
    let (one, other) =
        (made.body["client_id"].as_str().unwrap(), desk.create(&json!({"scopes": ["a:b"], "mechanisms": ["otp"]})));
    assert_ne!(one, other.body["client_id"]);
    assert!(other.body["client_secret"].is_null() && other.body["totp_secret"].is_string());
    assert_eq!(made.audit.client_id.as_deref(), Some(one));
    // `consistency` is the deployment's default unless the request sets it.
    let desk = Desk::at(Service::with(&[("DEFAULT_CONSISTENCY", "immediate".to_owned())]));
    assert_eq!(desk.create(&least("a")).body["consistency"], "immediate");
    assert_eq!(desk.create(&whole("b")).body["consistency"], "eventual");
}

/// Members that are invalid in a new client and in a patch: each with its value, and the code of the answer.
fn wrong_members() -> Vec<(&'static str, Value, &'static str)> {
    let key = |change: &dyn Fn(&mut Value)| {
        let mut key = serde_json::to_value(Key::Ed.public()).unwrap();
        change(&mut key);
        json!({"keys": [key]})
    };
    let rsa = |n: &str, e: &str| json!({"keys": [{"kid": "r", "alg": "RS256", "kty": "RSA", "n": n, "e": e}]});
    let request = "invalid_request";
    vec![
        ("client_name", json!(""), request),
        ("client_name", json!("ä".repeat(129)), request),
        ("client_name", json!("a\nb"), request),
        ("client_name", json!("a\u{85}b"), request),
        ("client_name", json!(7), request),
        ("scopes", json!(null), request),
        ("scopes", json!("jobs:a"), request),
        ("scopes", json!([7]), request),
        ("scopes", json!([]), "invalid_scope"),
        ("scopes", json!(["jobs"]), "invalid_scope"),
        ("mechanisms", json!(null), request),
        ("mechanisms", json!([]), request),
        ("mechanisms", json!("secret"), request),
        ("mechanisms", json!(["secret", "password"]), request),
        ("mechanisms", json!(["rotation"]), request),
        ("mechanisms", json!(["rotation", "rotation"]), request),
        ("max_ttl_seconds", json!(3599), request),
        ("max_ttl_seconds", json!(7_776_001), request),
        ("max_ttl_seconds", json!(3600.5), request),
        ("max_ttl_seconds", json!("3600"), request),
        ("max_ttl_seconds", json!(true), request),
        ("max_ttl_seconds", json!(null), request),
        ("consistency", json!("strong"), request),
        ("consistency", json!(null), request),
        ("jwks", json!([]), request),
        ("jwks", json!("x"), request),
        ("jwks", json!({}), request),
        ("jwks", json!({"keys": []}), request),
        ("jwks", json!({"keys": [7]}), request),
        ("jwks", json!({"keys": vec![Key::Ed.public(); 2]}), request),
        (
            "jwks",
            json!({"keys": (0..17).map(|nth| {
            let mut key = serde_json::to_value(Key::Ed.public()).unwrap();
            key["kid"] = json!(format!("k{nth}"));
            key
        }).collect::<Vec<_>>()}),
            request,
        ),
        ("jwks", key(&|key| key["d"] = json!("AAAA")), request),
        ("jwks", key(&|key| key["kid"] = json!("")), request),
        ("jwks", key(&|key| drop(key.as_object_mut().unwrap().remove("kid"))), request),
        ("jwks", key(&|key| drop(key.as_object_mut().unwrap().remove("alg"))), request),
        ("jwks", key(&|key| key["alg"] = json!("ES256")), request),
        ("jwks", key(&|key| key["x"] = json!(crate::sign::octets(0))), request),
        ("jwks", json!({"keys": [{"kid": "o", "alg": "HS256", "kty": "oct", "k": crate::sign::octets(1)}]}), request),
        ("jwks", rsa(&RSA_N[..200], "AQAB"), request),
        ("jwks", rsa(RSA_N, "AQAA"), request),
        ("jwks", rsa(RSA_N, "AQ"), request),
        ("secrets", json!([]), request),
        ("tokens_valid_from", json!("2027-01-15T08:00:00Z"), request),
        ("version", json!(1), request),
        ("colour", json!("red"), request),
    ]
}

#[test]
fn an_invalid_new_client_is_refused() {
    let desk = Desk::new();
    let sound = || {
        let mut body = whole("carol");
        body["mechanisms"] = json!(["secret"]);
        body
    };
    let own = [
        ("client_id", json!("")),
        ("client_id", json!(".")),
        ("client_id", json!("..")),
        ("client_id", json!("a b")),
        ("client_id", json!("a/b")),
        ("client_id", json!("ä")),
        ("client_id", json!("x".repeat(129))),
        ("client_id", json!(null)),
        ("client_id", json!(7)),
        ("client_name", json!(null)),
        ("jwks", json!(null)),
        ("region", json!("mars")),
        ("region", json!(null)),
        ("status", json!("active")),
    ];
    let own = own.map(|(name, value)| (name, value, "invalid_request"));
    for (name, value, code) in wrong_members().into_iter().chain(own) {
        let mut body = sound();
        body[name] = value;
        desk.create(&body).is(400, code).names(name);
    }
    for name in ["scopes", "mechanisms"] {
        let mut body = sound();
        body.as_object_mut().unwrap().remove(name);
        desk.create(&body).is(400, "invalid_request").names(name);
    }
    let mut keyless = whole("carol");
    keyless.as_object_mut().unwrap().remove("jwks");
    desk.create(&keyless).is(400, "invalid_request").names("jwks");
    let post = || desk.request("POST", "");
    let sound = sound().to_string();
    let mut untyped = post().text(&sound);
    untyped.content_type = None;
    let mut merge = post().text(&sound);
    merge.content_type = Some("application/merge-patch+json".to_owned());
    let mut broken = post().text(&sound);
    broken.broken = true;
    let twice = sound.replacen('{', r#"{"region":"weur","#, 1);
    let mut requests = vec![untyped, merge, broken, post(), post().text(&format!("{sound}{}", " ".repeat(16_384)))];
    requests.extend(["", "null", "[]", "7", "{", &twice, &format!("{sound}x")].map(|body| post().text(body)));
    for request in requests {
        desk.service.send(&request).is(400, "invalid_request");
    }
    assert_eq!(desk.service.rows("carol"), 0);
    assert!(desk.service.world.writes.borrow().is_empty());
    assert_eq!(desk.service.send(&post().text(&sound)).status, 201);
}

#[test]
fn valid_members_at_their_bounds_are_accepted() {
    let desk = Desk::new();
    for (nth, (name, value)) in [
        ("client_name", json!("ä".repeat(128))),
        ("client_name", json!(" ")),
        ("max_ttl_seconds", json!(3600)),
        ("max_ttl_seconds", json!(7_776_000)),
        ("consistency", json!("immediate")),
        ("mechanisms", json!(["otp"])),
        ("mechanisms", json!(["rotation", "secret"])),
        ("region", json!("oc")),
        ("jwks", json!({"keys": Key::ALL.map(|key| key.public())})),
    ]
    .into_iter()
    .enumerate()
    {
        let mut body = least(&format!("c.{nth}~A-_"));
        body[name] = value.clone();
        let made = desk.create(&body);
        assert_eq!((made.status, &made.body[name]), (201, &value));
    }
    // Unknown members of a key are dropped.
    let mut key = serde_json::to_value(Key::Es.public()).unwrap();
    (key["use"], key["x5c"]) = (json!("sig"), json!(["MII"]));
    let mut body = least(&"x".repeat(128));
    body["jwks"] = json!({"keys": [key], "other": 1});
    assert_eq!(desk.create(&body).body["jwks"], json!({"keys": [Key::Es.public()]}));
}

#[test]
fn an_id_is_used_once() {
    let desk = Desk::new();
    for taken in [ALICE, ROOT] {
        desk.create(&least(taken)).is(409, "conflict");
    }
    desk.create(&least("carol"));
    desk.create(&least("carol")).is(409, "conflict");
    assert_eq!(desk.send("DELETE", "/carol").status, 204);
    desk.create(&least("carol")).is(409, "conflict");
    // A malformed body is refused before a taken id, a client that lacks its keys after it.
    let mut body = least("carol");
    body["colour"] = json!("red");
    desk.create(&body).is(400, "invalid_request");
    let mut body = least("carol");
    body["mechanisms"] = json!(["assertion"]);
    desk.create(&body).is(409, "conflict");
}

// Reading

#[test]
fn pages() {
    let desk = Desk::new();
    for nth in 0..5 {
        assert_eq!(desk.create(&least(&format!("d{nth}"))).status, 201);
    }
    desk.patch("d1", &json!({"status": "suspended"}));
    desk.send("DELETE", "/d3");
    desk.service.wake();
    let all = desk.send("GET", "");
    let listed = |id: &str, status: &str| json!({"client_id": id, "status": status});
    let expected = [
        listed(ALICE, "active"),
        listed(BOB, "active"),
        listed("d0", "active"),
        listed("d1", "suspended"),
        listed("d2", "active"),
        listed("d4", "active"),
    ];
    assert_eq!(all.body, json!({"clients": expected}), "without the deleted client and the operator's");
    for limit in 1..=8 {
        let (mut found, mut pages, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let page = desk.send("GET", &format!("?limit={limit}{cursor}"));
            found.extend(page.body["clients"].as_array().unwrap().clone());
            pages += 1;
            match page.body["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(found, expected, "{limit}");
        assert_eq!(pages, 7usize.div_ceil(limit), "the deleted client leaves a page shorter");
    }
}

#[test]
fn an_invalid_page_request_is_refused() {
    let desk = Desk::new();
    let cursor = desk.send("GET", "?limit=1").body["cursor"].as_str().unwrap().to_owned();
    let mut changed = cursor.clone().into_bytes();
    changed[3] = if changed[3] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    for query in [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=",
        "limit=1.0",
        "limit=x",
        "limit=+1",
        "limit=99999999999999999999",
        "limit=1&limit=1",
    ] {
        desk.send("GET", &format!("?{query}")).is(400, "invalid_request").names("limit");
    }
    for query in [
        "cursor=".to_owned(),
        "cursor=x".to_owned(),
        format!("cursor={changed}"),
        format!("cursor={cursor}A"),
        format!("cursor={ALICE}"),
        format!("cursor={cursor}&cursor={cursor}"),
    ] {
        desk.send("GET", &format!("?{query}")).is(400, "invalid_request").names("cursor");
    }
    for query in ["limit=1000", "limit=001", "other=1", &format!("cursor={cursor}")] {
        assert_eq!(desk.send("GET", &format!("?{query}")).status, 200, "{query}");
    }
    desk.service.world.fail_part(Part::List);
    desk.send("GET", "").is(503, "temporarily_unavailable");
}

#[test]
fn a_client_that_does_not_exist_is_not_found() {
    let desk = Desk::new();
    desk.create(&least("gone"));
    desk.send("DELETE", "/gone");
    for id in ["nobody", "gone", "%", "%ff", "..", "a%20b", "%2F", "C2M_BOB", "c2m_bob%20", &"x".repeat(129)] {
        for (method, path) in [
            ("GET", format!("/{id}")),
            ("PATCH", format!("/{id}")),
            ("POST", format!("/{id}/secrets")),
            ("DELETE", format!("/{id}/secrets/only")),
            ("POST", format!("/{id}/totp")),
            ("POST", format!("/{id}/end-tokens")),
            ("DELETE", format!("/{id}")),
        ] {
            let answer = desk.service.send(&desk.request(method, &path).json(&json!({})).if_match("\"x\""));
            if (method, id) == ("DELETE", "gone") && path == "/gone" {
                assert_eq!(answer.status, 204, "a repeated deletion");
            } else {
                answer.is(404, "not_found");
            }
        }
    }
    assert_eq!(desk.show("c2m%5Fbob").status, 200, "an escape stands for its character");
    desk.send("DELETE", "/c2m_bob/secrets/nothing").is(404, "not_found");
    assert_eq!(desk.send("DELETE", "/c2m_bob/secrets/onl%79").status, 204);
}

#[test]
fn other_methods_and_paths() {
    let desk = Desk::new();
    for (path, allow) in [
        ("", "GET, HEAD, POST"),
        ("/c2m_bob", "GET, HEAD, PATCH, DELETE"),
        ("/c2m_bob/secrets", "POST"),
        ("/c2m_bob/secrets/only", "DELETE"),
        ("/c2m_bob/totp", "POST"),
        ("/c2m_bob/end-tokens", "POST"),
    ] {
        let answer = desk.send("PUT", path);
        assert_eq!(answer.is(405, "method_not_allowed").header("Allow"), Some(allow), "{path}");
    }
    for path in ["/", "/c2m_bob/", "/c2m_bob/other", "//secrets", "/c2m_bob/secrets/"] {
        desk.send("GET", path).is(404, "not_found");
    }
}

// Changing

#[test]
fn a_patch_changes_what_it_names() {
    let desk = Desk::new();
    desk.create(&whole("carol"));
    let mut expected = desk.show("carol").body;
    desk.service.pass(60);
    expected["updated_at"] = json!("2027-01-15T08:01:00Z");
    for (name, value) in [
        ("client_name", json!("Carol")),
        ("status", json!("suspended")),
        ("scopes", json!(["templates:read", "jobs:submit"])),
        ("mechanisms", json!(["otp", "assertion", "rotation"])),
        ("max_ttl_seconds", json!(3_600)),
        ("jwks", json!({"keys": [Key::Rs.public()]})),
        ("consistency", json!("immediate")),
        ("status", json!("active")),
    ] {
        let before = desk.etag("carol");
        let answer = desk.patch("carol", &json!({name: value}));
        expected[name] = value;
        assert_eq!((answer.status, &answer.body), (200, &expected), "{name}");
        let after = desk.etag("carol");
        assert_eq!(answer.header("ETag"), Some(after.as_str()));
        assert_ne!(before, after, "{name}");
    }
    // A patch without a difference changes nothing. Null removes a member.
    desk.service.pass(60);
    let before = desk.etag("carol");
    for same in [json!({}), json!({"max_ttl_seconds": 3_600}), json!({"status": "active"})] {
        assert_eq!(desk.patch("carol", &same).header("ETag"), Some(before.as_str()));
    }
    let answer = desk.patch("carol", &json!({"client_name": null, "jwks": null, "mechanisms": ["otp"]}));
    assert_eq!(answer.status, 200);
    assert!(answer.body.get("client_name").is_none() && answer.body.get("jwks").is_none());
    // A key set is replaced as a whole; its members are not merged.
    let answer = desk.patch("carol", &json!({"jwks": {"keys": [Key::Es.public()]}}));
    assert_eq!(answer.body["jwks"], json!({"keys": [Key::Es.public()]}));
}

#[test]
fn an_invalid_patch_is_refused() {
    let desk = Desk::new();
    let before = desk.etag(ALICE);
    for (name, value, code) in wrong_members() {
        desk.patch(ALICE, &json!({name: value})).is(400, code).names(name);
    }
    for (name, value) in [
        ("client_id", json!(ALICE)),
        ("region", json!("weur")),
        ("status", json!("deleted")),
        ("status", json!(null)),
        // Alice has the mechanism `assertion`, which needs keys.
        ("jwks", json!(null)),
    ] {
        desk.patch(ALICE, &json!({name: value})).is(400, "invalid_request").names(name);
    }
    let patch = || desk.request("PATCH", "/c2m_abc123");
    let mut form = patch().text("{}");
    form.content_type = Some("application/json-patch+json".to_owned());
    for request in [
        form,
        patch(),
        patch().text("null"),
        patch().text("[]"),
        patch().text(r#"{"status":"active","status":"active"}"#),
    ] {
        desk.service.send(&request).is(400, "invalid_request");
    }
    assert_eq!(desk.etag(ALICE), before);
    for media_type in ["application/merge-patch+json", "Application/JSON; charset=utf-8"] {
        let mut merge = patch().text("{}");
        merge.content_type = Some(media_type.to_owned());
        assert_eq!(desk.service.send(&merge).status, 200, "{media_type}");
    }
}

#[test]
fn if_match() {
    let desk = Desk::new();
    desk.create(&least("carol"));
    let stale = desk.etag("carol");
    desk.service.pass(1);
    desk.patch("carol", &json!({"client_name": "Carol"}));
    let current = desk.etag("carol");
    let patch = |etag: &str, name: &str| {
        desk.service.send(&desk.request("PATCH", "/carol").json(&json!({"client_name": name})).if_match(etag))
    };
    for refused in [stale.as_str(), "", "\"x\"", &format!("W/{current}"), current.trim_matches('"')] {
        patch(refused, "Eve").is(412, "precondition_failed").names("If-Match");
        desk.service.send(&desk.request("DELETE", "/carol").if_match(refused)).is(412, "precondition_failed");
    }
    assert_eq!(desk.etag("carol"), current);
    let answer = patch(&current, "Caroline");
    assert_eq!(answer.body["client_name"], "Caroline");
    patch(&current, "Carol").is(412, "precondition_failed");
    assert_eq!(patch("*", "Carola").status, 200);
    let current = desk.etag("carol");
    assert_eq!(patch(&format!("{stale}, {current}"), "Carol").status, 200);
    // Operations that ignore `If-Match`.
    for (method, path) in
        [("POST", "/carol/secrets"), ("POST", "/carol/totp"), ("POST", "/carol/end-tokens"), ("GET", "/carol")]
    {
        assert!(desk.service.send(&desk.request(method, path).if_match(&stale)).status < 300, "{path}");
    }
    let current = desk.etag("carol");
    assert_eq!(desk.service.send(&desk.request("DELETE", "/carol").if_match(&current)).status, 204);
    assert_eq!(desk.service.send(&desk.request("DELETE", "/carol").if_match(&stale)).status, 204, "repeated");
}

/// An `ETag` identifies one state: every change results in another `ETag`, even within the same second.
#[test]
fn every_change_has_its_own_etag() {
    let mut desk = Desk::new();
    desk.create(&whole("carol"));
    let mut seen = vec![desk.etag("carol")];
    for (method, path) in [
        ("POST", "/carol/totp"),
        ("POST", "/carol/totp"),
        ("POST", "/carol/secrets"),
        ("DELETE", "/carol/secrets/FIRST?in=60"),
        ("DELETE", "/carol/secrets/FIRST?in=30"),
        ("POST", "/carol/end-tokens"),
        ("POST", "/carol/totp"),
    ] {
        let first = desk.show("carol").body["secrets"][0]["secret_id"].as_str().unwrap().to_owned();
        assert!(desk.send(method, &path.replace("FIRST", &first)).status < 300, "{path}");
        let etag = desk.etag("carol");
        assert!(!seen.contains(&etag), "{method} {path}");
        seen.push(etag);
    }
    // When a secret expires, it is no longer shown, so the `ETag` changes.
    desk.service.pass(61);
    desk.log_in_again();
    assert!(!seen.contains(&desk.etag("carol")));
}

/// Each request would be refused by one step and by all later ones. The response is the first step's.
#[test]
fn the_order_of_refusals() {
    let desk = Desk::new();
    let patch = |path: &str| desk.request("PATCH", path).if_match("\"stale\"");
    let rotation_alone = json!({"mechanisms": ["assertion"], "jwks": null});
    desk.service.send(&patch("/nobody").text("{").anonymous()).is(401, "invalid_token");
    desk.service.send(&patch("/nobody").text("{")).is(400, "invalid_request");
    desk.service.send(&patch("/nobody").json(&json!({"scopes": []}))).is(400, "invalid_scope");
    desk.service.send(&patch("/nobody").json(&rotation_alone)).is(404, "not_found");
    desk.service.send(&patch("/c2m_root").json(&rotation_alone)).is(412, "precondition_failed");
    desk.service.send(&patch("/c2m_root").json(&rotation_alone).if_match("*")).is(409, "conflict");
    desk.service.send(&patch("/c2m_abc123").json(&rotation_alone)).is(412, "precondition_failed");
    desk.service.send(&patch("/c2m_abc123").json(&rotation_alone).if_match("*")).is(400, "invalid_request");
    desk.send("DELETE", "/nobody/secrets/x?in=x").is(400, "invalid_request").names("in");
    desk.send("DELETE", "/c2m_root/secrets/x?in=1").is(404, "not_found");
    desk.send("DELETE", "/c2m_root/secrets/root?in=1").is(409, "conflict");
    desk.send("GET", "?limit=0").is(400, "invalid_request");
}

// Callers

#[test]
fn who_may_not_ask() {
    let desk = Desk::new();
    let service = &desk.service;
    let (reader, writer) = (desk.another("reader", &["clients:read"]), desk.another("writer", &["clients:write"]));
    let gone = desk.another("gone", &["clients:*"]);
    let suspended = desk.another("suspended", &["clients:*"]);
    let revoked = desk.another("revoked", &["clients:*"]);
    service.send(&revocation(&revoked, &revoked.id)).is(204, "");
    desk.patch("suspended", &json!({"status": "suspended"}));
    desk.send("DELETE", "/gone");
    let long = service.send(&root_by_secret()).token();
    let alices = service.short_token(&service.long_token("jobs:*"));
    let before = desk.etag(BOB);
    for request in every_operation() {
        let is_read = request.method == "GET";
        let needed = if is_read { "clients:read" } else { "clients:write" };
        // The caller is checked before the body.
        for request in [request.clone(), request.clone().text("{")] {
            service.send(&request).is(401, "invalid_token");
            service.send(&request.clone().client(ROOT).authorization("Basic YTpi")).is(401, "invalid_token");
            for token in ["x", "a.b.c", &long.token, &suspended.token, &revoked.token, &gone.token] {
                service.send(&request.clone().bearer(token)).is(401, "invalid_token");
            }
            for token in [&alices, if is_read { &writer } else { &reader }] {
                let answer = service.send(&request.clone().bearer(&token.token));
                answer.is(401, "insufficient_scope").names(needed);
                assert!(answer.header("WWW-Authenticate").unwrap().contains(&format!("scope=\"{needed}\"")));
            }
        }
        assert_eq!(desk.etag(BOB), before);
    }
    assert_eq!(service.rows("carol"), 0);
    // Callers with the scope may.
    for request in every_operation() {
        let token = if request.method == "GET" { &reader } else { &writer };
        assert!(service.send(&request.clone().bearer(&token.token)).status < 300, "{request:?}");
    }
}

/// Only the operator of the secret `OPERATOR` may grant the operators' scopes.
#[test]
fn only_the_first_operator_grants_the_operators_scopes() {
    let desk = Desk::new();
    let second = desk.another("second", &["clients:read", "clients:write"]);
    let send = |request: Request| desk.service.send(&request.bearer(&second.token));
    let create = |scopes: &[&str]| {
        send(clients("POST", "").json(&json!({"client_id": "carol", "scopes": scopes, "mechanisms": ["secret"]})))
    };
    let patch = |id: &str, scopes: &[&str]| send(clients("PATCH", &format!("/{id}")).json(&json!({"scopes": scopes})));
    for scope in ["clients:read", "clients:write", "clients:*", "clients:other"] {
        create(&["jobs:a", scope]).is(403, "insufficient_scope").names(scope);
        patch(BOB, &["jobs:a", scope]).is(403, "insufficient_scope").names(scope);
    }
    patch("second", &["clients:*"]).is(403, "insufficient_scope").names("clients:*");
    assert_eq!(desk.service.rows("carol"), 0);
    // Another operator may grant other scopes that it does not hold, and may keep operators' scopes that a client has.
    assert_eq!(create(&["jobs:a", "tokens:introspect", "clientsx:read"]).status, 201);
    assert_eq!(
        desk.patch("carol", &json!({"scopes": ["clients:read", "jobs:a"]})).status,
        200,
        "the first operator may grant it"
    );
    assert_eq!(patch("carol", &["clients:read", "jobs:b"]).status, 200);
    assert_eq!(patch("carol", &["jobs:b"]).status, 200);
    patch("carol", &["clients:read"]).is(403, "insufficient_scope");
    // An operator may change itself as it may change others.
    assert_eq!(patch("second", &["clients:read"]).status, 200);
    send(clients("POST", "/second/secrets")).is(401, "insufficient_scope");
    assert_eq!(send(clients("GET", "/second")).status, 200);
    desk.patch("second", &json!({"scopes": ["clients:*"]}));
    assert_eq!(send(clients("PATCH", "/second").json(&json!({"status": "suspended"}))).status, 200);
    send(clients("GET", "/second")).is(401, "invalid_token");
}

#[test]
fn the_client_of_the_secret_operator() {
    let mut desk = Desk::new();
    let at = "2027-01-14T08:00:00Z";
    let expected = json!({
        "client_id": ROOT, "status": "active", "mechanisms": ["secret", "rotation"], "max_ttl_seconds": 7_776_000,
        "scopes": ["clients:read", "clients:write", "tokens:revoke", "tokens:write", "tokens:introspect"],
        "consistency": "immediate", "has_totp": false, "secrets": [{"secret_id": "root", "created_at": at}],
        "tokens_valid_from": at, "created_at": at, "updated_at": at,
    });
    assert_eq!(desk.show(ROOT).body, expected);
    let before = desk.etag(ROOT);
    for (method, path) in [
        ("PATCH", "/c2m_root"),
        ("POST", "/c2m_root/secrets"),
        ("DELETE", "/c2m_root/secrets/root"),
        ("POST", "/c2m_root/totp"),
        ("DELETE", "/c2m_root"),
    ] {
        desk.service.send(&desk.request(method, path).json(&json!({"client_name": "x"}))).is(409, "conflict");
    }
    assert_eq!(desk.etag(ROOT), before);
    let long = desk.service.send(&root_by_secret()).token();
    // end-tokens works and is stored. It ends the token of its own call too.
    assert_eq!(desk.send("POST", "/c2m_root/end-tokens").status, 204);
    desk.send("GET", "").is(401, "invalid_token");
    assert!(!desk.service.is_alive(&long));
    desk.service.pass(1);
    desk.log_in_again();
    assert_ne!(desk.etag(ROOT), before);
    assert_eq!(desk.show(ROOT).body["tokens_valid_from"], "2027-01-15T08:00:01Z");
    desk.service.wake();
    assert_eq!(desk.service.replica(ROOT), Value::Null, "KV has no value for the operator");

    // A newer secret OPERATOR ends tokens as well. Without the secret the operator is gone, and its id can't be used
    // again.
    let with = |operator: Option<String>| {
        let other = Service::with(&operator.map(|operator| ("OPERATOR", operator)).into_iter().collect::<Vec<_>>());
        *other.world.state.borrow_mut() = desk.service.world.state.borrow().clone();
        other.now.set(desk.service.now.get());
        other
    };
    let list = desk.request("GET", "");
    assert_eq!(with(None).send(&list).status, 200);
    let rotated = crate::service::operator().replace(&(NOW - DAY).to_string(), &(NOW + 2).to_string());
    with(Some(rotated)).send(&list).is(401, "invalid_token");
    let other = crate::service::operator().replace(ROOT, "c2m_new_root");
    let replaced = with(Some(other));
    replaced.send(&list).is(401, "invalid_token");
    replaced.send(&by(ROOT, ROOTS_SECRET)).is(401, "invalid_client");
    let new = Desk {
        root: replaced.send(&exchange(&replaced.send(&by("c2m_new_root", ROOTS_SECRET)).token())).token(),
        service: replaced,
    };
    new.show(ROOT).is(404, "not_found");
    new.create(&least(ROOT)).is(409, "conflict");
}

// The effect of a change on existing tokens

#[test]
fn a_suspension_and_its_end() {
    let desk = Desk::new();
    let service = &desk.service;
    let long = service.long_token("tokens:write tokens:revoke");
    let short = service.short_token(&long);
    assert_eq!(desk.patch(ALICE, &json!({"status": "suspended"})).body["status"], "suspended");
    service.send(&by_secret()).is(403, "unauthorized_client");
    service.send(&exchange(&long)).is(401, "invalid_token");
    service.send(&rotation(&short)).is(401, "invalid_token");
    service.send(&revocation(&long, &long.id)).is(401, "invalid_token");
    assert_eq!(desk.patch(ALICE, &json!({"status": "active"})).body["status"], "active");
    service.wake();
    service.world.forget_replicas();
    assert!(service.is_alive(&long));
    service.send(&by_secret()).token();
}

/// A client's lost scopes are lost to its tokens too, in exchanges, rotations, revocations, introspection and
/// operators' calls.
#[test]
fn lost_scopes() {
    let desk = Desk::new();
    let service = &desk.service;
    desk.patch(ALICE, &json!({"scopes": ["jobs:*", "templates:read", "tokens:*", "clients:read"]}));
    let all =
        ["templates:read", "jobs:*", "tokens:write", "tokens:revoke", "tokens:introspect", "clients:read"].join(" ");
    let long = service.long_token(&all);
    let other = service.long_token("jobs:submit");
    let short = service.short_token(&long);
    let introspect = |token: &Token| post(INTROSPECT).bearer(&token.token).form(&format!("token={}", short.token));
    assert_eq!(service.send(&introspect(&long)).body["scope"], all);
    assert_eq!(service.send(&clients("GET", "").bearer(&short.token)).status, 200);

    desk.patch(
        ALICE,
        &json!({"scopes": ["jobs:submit", "jobs:read", "tokens:introspect", "tokens:write", "billing:read"]}),
    );
    let exchanged = service.send(&exchange(&long));
    assert_eq!(
        exchanged.body["scopes"],
        json!(["jobs:submit", "jobs:read", "tokens:write", "tokens:introspect"]),
        "in the order of the token's scopes"
    );
    for lost in ["templates:read", "jobs:*", "jobs:other", "jobs:submit templates:read"] {
        service.send(&exchange(&long).scopes(lost)).is(400, "invalid_scope");
    }
    assert_eq!(service.send(&exchange(&long).scopes("jobs:submit")).body["scopes"], json!(["jobs:submit"]));
    service.send(&exchange(&long).scopes("billing:read")).is(400, "invalid_scope");
    let rotated = service.send(&rotation(&short));
    assert_eq!(rotated.body["scopes"], exchanged.body["scopes"]);
    service.send(&rotation(&short).scopes("templates:read")).is(403, "insufficient_scope").names("templates:read");
    for caller in [&long, &short] {
        service.send(&revocation(caller, &other.id)).is(401, "insufficient_scope");
    }
    assert_eq!(service.send(&introspect(&long)).body["scope"], "jobs:submit jobs:read tokens:write tokens:introspect");
    service.send(&clients("GET", "").bearer(&short.token)).is(401, "insufficient_scope");

    desk.patch(ALICE, &json!({"scopes": ["billing:read"]}));
    service.send(&exchange(&long)).is(400, "invalid_scope");
    service.send(&introspect(&long)).is(401, "insufficient_scope");
    service.send(&rotation(&short)).is(403, "insufficient_scope");
    // A token may always revoke itself.
    service.send(&revocation(&other, &other.id)).is(204, "");
    // A scope that is given back works again.
    desk.patch(ALICE, &json!({"scopes": ["jobs:*"]}));
    service.wake();
    service.world.forget_replicas();
    assert_eq!(service.send(&exchange(&long)).body["scopes"], json!(["jobs:*"]));
}

#[test]
fn a_mechanism_is_taken_away_at_once() {
    let desk = Desk::new();
    let service = &desk.service;
    let elsewhere = service.elsewhere();
    let short = service.short_token(&service.long_token("tokens:write"));
    desk.patch(ALICE, &json!({"mechanisms": ["otp"]}));
    for service in [service, &elsewhere] {
        service.send(&by_secret()).is(403, "unauthorized_client").names("secret");
        service.send(&rotation(&short)).is(403, "unauthorized_client").names("rotation");
    }
    service.send(&service.code()).token();
    desk.patch(ALICE, &json!({"mechanisms": ["assertion"], "jwks": {"keys": [Key::Rs.public()]}}));
    elsewhere.send(&service.assertion(Key::Ed, "j")).is(401, "invalid_client");
    elsewhere.send(&service.assertion(Key::Rs, "j")).token();
}

/// The signature is verified before the object's step begins. A key that is removed in between no longer counts.
#[test]
fn a_key_is_removed_while_a_signature_is_verified() {
    let desk = Desk::new();
    let service = &desk.service;
    let request = service.assertion(Key::Ed, "j");
    let mut issuing = pin!(service.respond(&request));
    host::run_up_to(&service.world, &[Part::Verify], issuing.as_mut());
    host::let_go(&service.world);
    desk.patch(ALICE, &json!({"jwks": {"keys": [Key::Rs.public()]}})).is(200, "");
    let answer = host::run_on(&service.world, issuing.as_mut()).expect("nothing else holds it up");
    answer.is(401, "invalid_client");
}

#[test]
fn secrets_and_their_ends() {
    let mut desk = Desk::new();
    let secret = |answer: &Answer| {
        assert_eq!((answer.status, names(&answer.body)), (201, vec!["client_secret", "secret_id"]), "{answer:?}");
        let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
        (text("secret_id"), text("client_secret"))
    };
    let shown = |desk: &Desk| {
        let body = desk.show(BOB).body;
        let secrets = body["secrets"].as_array().unwrap();
        secrets
            .iter()
            .map(|secret| (secret["secret_id"].as_str().unwrap().to_owned(), secret["expires_at"].clone()))
            .collect::<Vec<_>>()
    };
    let end = |desk: &Desk, id: &str, query: &str| desk.send("DELETE", &format!("/c2m_bob/secrets/{id}{query}"));
    let (second, value) = secret(&desk.send("POST", "/c2m_bob/secrets"));
    assert_eq!(value.len(), 43, "256 random bits");
    desk.service.send(&by(BOB, &value)).token();
    desk.service.send(&bob_by_secret()).token();
    desk.send("POST", "/c2m_bob/secrets").is(409, "conflict");

    // A secret with an end ahead counts as live until then.
    assert_eq!(end(&desk, "only", "?in=100").status, 204);
    assert_eq!(shown(&desk), [("only".to_owned(), json!("2027-01-15T08:01:40Z")), (second.clone(), Value::Null)]);
    desk.send("POST", "/c2m_bob/secrets").is(409, "conflict");
    // A later end changes nothing, an earlier one replaces it.
    assert_eq!(end(&desk, "only", "?in=7776000").status, 204);
    assert_eq!(end(&desk, "only", "?in=60").status, 204);
    for wrong in ["?in=-1", "?in=7776001", "?in=", "?in=x", "?in=1.5", "?in=1&in=1"] {
        end(&desk, "only", wrong).is(400, "invalid_request").names("in");
    }
    assert_eq!(shown(&desk)[0].1, "2027-01-15T08:01:00Z");
    desk.service.pass(59);
    desk.service.send(&bob_by_secret()).token();
    desk.service.pass(1);
    desk.service.send(&bob_by_secret()).is(401, "invalid_client");
    assert_eq!(shown(&desk), [(second.clone(), Value::Null)], "an ended secret is not shown");
    end(&desk, "only", "").is(404, "not_found");
    end(&desk, "nothing", "").is(404, "not_found");
    end(&desk, "", "").is(404, "not_found");

    // `in=0` ends a secret at once, at every location.
    let elsewhere = desk.service.elsewhere();
    let (third, new) = secret(&desk.send("POST", "/c2m_bob/secrets"));
    assert_eq!(end(&desk, &second, "?in=0").status, 204);
    for service in [&desk.service, &elsewhere] {
        service.send(&by(BOB, &value)).is(401, "invalid_client");
        service.send(&by(BOB, &new)).token();
    }
    end(&desk, &second, "").is(404, "not_found");
    assert_eq!(end(&desk, &third, "").status, 204);
    assert_eq!(shown(&desk), []);
    desk.log_in_again();
    secret(&desk.send("POST", "/c2m_bob/secrets"));
}

/// Once a secret has been refused as expired, it stays refused, even if another instance starts with a clock that is
/// behind.
#[test]
fn an_ended_secret_does_not_come_back() {
    let desk = Desk::new();
    assert_eq!(desk.send("DELETE", "/c2m_bob/secrets/only?in=10").status, 204);
    desk.service.pass(10);
    desk.service.send(&bob_by_secret()).is(401, "invalid_client");
    desk.service.world.crash();
    desk.service.now.set(NOW);
    desk.service.world.millis.set(NOW * 1000);
    desk.service.send(&bob_by_secret()).is(401, "invalid_client");
    assert_eq!(desk.show(BOB).body["secrets"], json!([]));
}

#[test]
fn a_new_seed() {
    let desk = Desk::new();
    let service = &desk.service;
    let code = |seed: &[u8]| {
        let code = otp::code(seed, service.now.get() / otp::STEP);
        crate::service::by_code(std::str::from_utf8(&code).unwrap())
    };
    service.send(&service.code()).token();
    let made = desk.send("POST", "/c2m_abc123/totp");
    assert_eq!((made.status, names(&made.body)), (201, vec!["otpauth_uri", "totp_secret"]));
    let seed = Base32UpperUnpadded::decode_vec(made.body["totp_secret"].as_str().unwrap()).unwrap();
    assert_eq!(seed.len(), 20);
    service.send(&code(&seed)).is(401, "invalid_client");
    service.pass(30);
    service.send(&service.code()).is(401, "invalid_client");
    service.send(&code(&seed)).token();
    // A client may have a seed before it has the mechanism.
    let carol = desk.create(&least("carol"));
    assert_eq!(carol.body["has_totp"], false);
    desk.patch("carol", &json!({"mechanisms": ["otp"]}));
    assert_eq!(desk.send("POST", "/carol/totp").status, 201);
    assert_eq!(desk.show("carol").body["has_totp"], true);
}

/// A new seed and a patch to `active`, even of an active client, reset the count of wrong codes. Spent codes stay
/// spent.
#[test]
fn the_count_of_wrong_codes_is_reset() {
    let desk = Desk::new();
    let service = &desk.service;
    let lock = || {
        for _ in 0..6 {
            service.send(&crate::service::by_code("000000")).is(401, "invalid_client");
        }
        let answer = service.send(&service.code());
        assert_eq!(answer.is(401, "invalid_client").audit.problem.as_deref(), Some("locked"));
    };
    lock();
    desk.patch(ALICE, &json!({"client_name": "Alice"}));
    service.send(&service.code()).is(401, "invalid_client");
    assert_eq!(desk.patch(ALICE, &json!({"status": "active"})).status, 200);
    service.send(&service.code()).token();
    service.send(&service.code()).is(401, "invalid_client");
    lock();
    let made = desk.send("POST", "/c2m_abc123/totp");
    let seed = Base32UpperUnpadded::decode_vec(made.body["totp_secret"].as_str().unwrap()).unwrap();
    service.pass(30);
    let code = otp::code(&seed, service.now.get() / otp::STEP);
    service.send(&crate::service::by_code(std::str::from_utf8(&code).unwrap())).token();
}

#[test]
fn end_tokens_ends_every_token_issued_before_it() {
    let desk = Desk::new();
    let service = &desk.service;
    let long = service.long_token("tokens:write tokens:revoke");
    let short = service.short_token(&long);
    let bobs = service.send(&bob_by_secret()).token();
    let answer = desk.send("POST", "/c2m_abc123/end-tokens");
    assert_eq!(answer.status, 204);
    assert!(service.world.millis.get() >= (NOW + 1) * 1000, "the answer waits until that second has begun");
    assert_eq!(desk.show(ALICE).body["tokens_valid_from"], "2027-01-15T08:00:01Z");
    service.send(&exchange(&long)).is(401, "invalid_token");
    service.send(&rotation(&short)).is(401, "invalid_token");
    service.send(&revocation(&long, &long.id)).is(401, "invalid_token");
    assert!(service.is_alive(&bobs));
    // A token issued after the response works, even if that location's clock is a little behind.
    let new = service.long_token("tokens:write");
    service.world.fail_part(Part::Object);
    let short = service.short_token(&new);
    service.world.recover();
    service.pass(1);
    service.send(&rotation(&short)).token();
}

/// A second operator calls end-tokens before the first call's second has begun: tokens issued in between end too.
#[test]
fn two_end_tokens_calls_in_one_second() {
    let desk = Desk::new();
    let service = &desk.service;
    let end_tokens = desk.request("POST", "/c2m_abc123/end-tokens");
    let answers = service.send_in_time(&[(0, &end_tokens), (100, &by_secret()), (200, &end_tokens)]);
    let (between, took) = &answers[1];
    assert_eq!((answers[0].0.status, between.status, *took), (204, 201, 0));
    assert_eq!(answers[2].0.status, 204);
    assert!(!service.is_alive(&between.token()));
}

#[test]
fn a_deletion() {
    let desk = Desk::new();
    let service = &desk.service;
    desk.create(&json!({"client_id": "carol", "scopes": ["tokens:*"], "mechanisms": ["secret", "rotation"]}));
    let (id, secret) = (BOB, BOBS_SECRET);
    let long = service.send(&bob_by_secret()).token();
    let short = service.short_token(&long);
    assert_eq!(desk.send("DELETE", "/c2m_bob").status, 204);
    let nobody = service.send(&by("nobody", secret));
    for service in [service, &service.elsewhere()] {
        let answer = service.send(&by(id, secret));
        assert_eq!(
            (&answer.body, &answer.headers),
            (&nobody.body, &nobody.headers),
            "a deleted client is answered as an unknown one"
        );
        service.send(&exchange(&long)).is(401, "invalid_token");
        service.send(&rotation(&short).set("client_id", id)).is(401, "invalid_token");
        service.send(&revocation(&long, &long.id)).is(401, "invalid_token");
    }
    assert_eq!(desk.send("DELETE", "/c2m_bob").status, 204);
    desk.send("DELETE", "/never").is(404, "not_found");
    desk.create(&least(id)).is(409, "conflict");
    assert_eq!(service.rows("never"), 0, "a failed deletion stores nothing");
    // KV keeps the tombstone longer than any of its tokens is valid.
    let state = service.world.state.borrow();
    let (value, status, until) = &state.replicas[id];
    assert_eq!((status.as_str(), *until >= Some(NOW + 90 * DAY)), ("deleted", true), "{value}");
    assert!(!state.rows[&(id.to_owned(), "client".to_owned())].value.contains("sha256"));
}

// Bodies, calls, audit lines and secrets

#[test]
fn a_body_that_an_operation_does_not_need_is_ignored() {
    let desk = Desk::new();
    for request in every_operation().into_iter().filter(|request| request.body.is_empty()) {
        let mut request = request.text("{").bearer(&desk.root.token);
        request.broken = true;
        assert!(desk.service.send(&request).status < 300, "{request:?}");
    }
}

/// An operation asks two objects, the caller's and the client's. The list comes from KV.
#[test]
fn the_calls_of_each_operation() {
    use Part::{Feed, List, Object, Store, Verify};
    let expected: [&[Part]; 9] = [
        &[List, Object, Verify],
        &[Object, Object, Verify],
        &[Object, Object, Verify],
        &[Object, Object, Verify],
        &[Object, Object, Verify],
        &[Object, Object, Verify],
        &[Object, Object, Verify],
        // Revocations and narrowing changes wait for KV and for the feed.
        &[Store, Object, Object, Feed, Verify],
        &[Store, Object, Object, Feed, Verify],
    ];
    let send = |request: Request, is_immediate: bool| {
        let desk = Desk::new();
        if is_immediate {
            desk.service.make_immediate(BOB);
        }
        desk.service.world.forget_calls();
        assert!(desk.service.send(&request.bearer(&desk.root.token)).status < 300);
        desk.service.world.parts_called()
    };
    for (request, expected) in every_operation().into_iter().zip(expected) {
        assert_eq!(send(request.clone(), false), expected, "{request:?}");
        let without_kv: Vec<_> = expected.iter().copied().filter(|part| *part != Store).collect();
        assert_eq!(send(request.clone(), true), without_kv, "{request:?}");
    }
}

/// Any single call fails: 503. A repeat then succeeds, except that a client id can be created only once.
#[test]
fn any_call_fails() {
    for request in every_operation() {
        for part in [Part::Object, Part::Verify, Part::List] {
            let desk = Desk::new();
            desk.service.world.fail_part(part);
            let request = request.clone().bearer(&desk.root.token);
            let answer = desk.service.send(&request);
            if desk.service.world.parts_called().contains(&part) {
                answer.is(503, "temporarily_unavailable");
            }
            desk.service.world.recover();
            if answer.status == 503 {
                assert!(desk.service.send(&request).status < 300, "{request:?}");
            }
        }
    }
    let desk = Desk::new();
    desk.service.world.randoms.set(None);
    desk.create(&least("carol")).is(503, "temporarily_unavailable");
}

/// The line of each call names the operation, the operator, its token, and the client.
#[test]
fn audit_lines() {
    let desk = Desk::new();
    let events = [
        "listClients",
        "getClient",
        "createClient",
        "updateClient",
        "createClientSecret",
        "endClientSecret",
        "createClientTotp",
        "endClientTokens",
        "deleteClient",
    ];
    for (request, event) in every_operation().into_iter().zip(events) {
        let answer = desk.service.send(&request.bearer(&desk.root.token));
        let line = serde_json::to_value(&answer.audit).unwrap();
        let client_id = match event {
            "listClients" => Value::Null,
            "createClient" => json!("carol"),
            _ => json!(BOB),
        };
        assert_eq!((&line["event"], &line["client_id"]), (&json!(event), &client_id));
        assert_eq!((&line["operator"], &line["by"]), (&json!(ROOT), &json!(desk.root.id)));
        let is_read = matches!(event, "listClients" | "getClient");
        assert_eq!(line["outcome"], if is_read { "served" } else { "changed" });
    }
    // The line of a refusal names them too.
    let answer = desk.patch("nobody", &json!({}));
    assert_eq!((answer.audit.outcome, answer.audit.operator.as_deref()), ("not_found", Some(ROOT)));
    assert_eq!(answer.audit.client_id.as_deref(), Some("nobody"));
}

/// Only the response that creates a secret or a seed contains it. No other response, no audit line and no KV value
/// contains it, or its hash, salt or encrypted form.
#[test]
fn what_is_secret_stays_secret() {
    let desk = Desk::new();
    let service = &desk.service;
    let made = desk.create(&whole("carol"));
    let second = desk.send("POST", "/carol/secrets");
    let totp = desk.send("POST", "/carol/totp");
    let mut secrets: Vec<String> = [
        &made.body["client_secret"],
        &made.body["totp_secret"],
        &second.body["client_secret"],
        &totp.body["totp_secret"],
    ]
    .map(|secret| secret.as_str().unwrap().to_owned())
    .into();
    let record: Value = serde_json::from_str(&service.row("carol", "client").unwrap()).unwrap();
    for stored in record["secrets"].as_array().unwrap() {
        secrets.extend(["salt", "sha256"].map(|member| stored[member].as_str().unwrap().to_owned()));
    }
    secrets.push(record["totp"].as_str().unwrap().to_owned());
    assert_eq!(secrets.len(), 9);
    let long = service.send(&by("carol", made.body["client_secret"].as_str().unwrap())).token();
    secrets.push(long.token.clone());
    let first = made.body["secrets"][0]["secret_id"].as_str().unwrap();
    let answers = [
        desk.show("carol"),
        desk.create(&whole("carol")),
        desk.patch("carol", &json!({"client_name": "x"})),
        desk.patch("carol", &json!({"client_name": ""})),
        desk.send("GET", ""),
        service.send(&exchange(&long)),
        service.send(&revocation(&long, &long.id)),
        desk.send("DELETE", &format!("/carol/secrets/{first}?in=60")),
        desk.send("POST", "/carol/end-tokens"),
        desk.send("DELETE", "/carol"),
        service.send(&by("carol", made.body["client_secret"].as_str().unwrap())),
    ];
    service.wake();
    let lines =
        [&made, &second, &totp].into_iter().chain(&answers).map(|answer| serde_json::to_string(&answer.audit).unwrap());
    let bodies = answers.iter().map(|answer| format!("{} {:?}", answer.body, answer.headers));
    let values = service.world.writes.borrow().clone();
    assert!(values.len() > 3, "{values:?}");
    for text in lines.chain(bodies).chain(values) {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret} in {text}");
        }
    }
    for secret in [SECRET, ROOTS_SECRET] {
        assert!(!desk.show(ALICE).body.to_string().contains(secret));
    }
}
