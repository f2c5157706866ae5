//! The service with two clients, as callers use it. Every response is checked for the rules that all responses follow.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;

use auth_edge::app::{self, Route};
use auth_edge::audit::Audit;

use auth_edge::client::jwk::{JwkSet, PublicJwk};
use auth_edge::client::replica::Replica;
use auth_edge::client::{Client, Consistency, MAX_TTL, Mechanism, Status, StoredSecret};
use auth_edge::otp;
use auth_edge::request::{Body, Call, MAX_BODY};
use auth_edge::rows::Row;
use auth_edge::scope::Scopes;
use auth_edge::secret::Secret;
use auth_edge::settings::Settings;
use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};

use crate::host::{self, World};
use crate::sign::{self, Key};

pub const NOW: u64 = 1_800_000_000;
pub const ISSUER: &str = "https://auth.example.com";
pub const AUDIENCE: &str = "https://api.example.com";
pub const LONG: &str = "/v1/auth/tokens/long";
pub const SHORT: &str = "/v1/auth/tokens/short";
pub const ALICE: &str = "c2m_abc123";
pub const BOB: &str = "c2m_bob";
pub const SECRET: &str = "the secret of c2m_abc123";
pub const OLD_SECRET: &str = "the old secret of c2m_abc123";
/// The operator of the secret `OPERATOR`.
pub const ROOT: &str = "c2m_root";
pub const ROOTS_SECRET: &str = "the secret of c2m_root";
pub const BOBS_SECRET: &str = "the secret of c2m_bob";
pub const SEED: &[u8; otp::SEED_LENGTH] = b"12345678901234567890";
pub const DAY: u64 = 86_400;

pub struct Service {
    pub settings: Rc<Settings>,
    pub world: World,
    pub now: Cell<u64>,
    /// How long senders delay their bodies, seconds.
    pub held_back: Cell<u64>,
    pub bodies_read: Cell<usize>,
}

/// A token that was issued.
#[derive(Clone, Debug)]
pub struct Token {
    pub token: String,
    pub id: String,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    pub path: String,
    pub authorization: Option<String>,
    pub client_id: Option<String>,
    pub content_type: Option<String>,
    pub query: String,
    pub if_match: Option<String>,
    pub body: Vec<u8>,
    pub broken: bool,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    /// `null` if there is none.
    pub body: Value,
    pub audit: Audit,
}

/// The service's keys: for each use a signing one and an older one.
pub fn key_set() -> Value {
    json!({"keys": [
        {"kty": "oct", "use": "lt+jwt", "kid": "l2", "alg": "HS256", "k": sign::octets(2)},
        {"kty": "oct", "use": "lt+jwt", "kid": "l1", "alg": "HS256", "k": sign::octets(1)},
        {"kty": "OKP", "crv": "Ed25519", "use": "at+jwt", "kid": "s2", "alg": "EdDSA",
         "x": sign::x(&sign::SERVICE_SEED), "d": Base64UrlUnpadded::encode_string(&sign::SERVICE_SEED)},
        {"kty": "OKP", "crv": "Ed25519", "use": "at+jwt", "kid": "s1", "alg": "EdDSA", "x": sign::x(&sign::OLD_SEED)},
        {"kty": "oct", "use": "token-id", "kid": "i1", "alg": "HS256", "k": sign::octets(3)},
        {"kty": "oct", "use": "totp-seal", "kid": "t1", "alg": "XC20P", "k": sign::octets(4)},
    ]})
}

/// The secret `OPERATOR`.
pub fn operator() -> String {
    let secret = StoredSecret::new("root", &Secret::new(ROOTS_SECRET), [8; 16], NOW - DAY);
    json!({"client_id": ROOT, "created_at": NOW - DAY, "secrets": [secret], "mechanisms": ["secret", "rotation"],
           "scopes": ["clients:read", "clients:write", "tokens:revoke", "tokens:write", "tokens:introspect"]})
    .to_string()
}

pub fn settings(changes: &[(&str, String)]) -> Settings {
    let lookup = |name: &'static str| match (changes.iter().find(|(changed, _)| *changed == name), name) {
        (Some((_, value)), _) => Some(value.clone()),
        (None, "AUTH_KEYS") => Some(key_set().to_string()),
        (None, "ISSUER") => Some(ISSUER.to_owned()),
        (None, "AUDIENCE") => Some(AUDIENCE.to_owned()),
        (None, "OPERATOR") => Some(operator()),
        _ => None,
    };
    Settings::read(|name| Ok(lookup(name))).unwrap()
}

impl Service {
    pub fn new() -> Self {
        Self::with(&[])
    }

    pub fn with(changes: &[(&str, String)]) -> Self {
        Self::over(Rc::new(settings(changes)))
    }

    fn over(settings: Rc<Settings>) -> Self {
        let world = World::new(Rc::clone(&settings), &sign::SERVICE_SEED);
        let service = Self { settings, world, now: Cell::new(NOW), held_back: Cell::new(0), bodies_read: Cell::new(0) };
        let secret = |id: &str, secret: &str, expires_at| {
            let mut stored = StoredSecret::new(id, &Secret::new(secret), [7; 16], NOW - DAY);
            stored.expires_at = expires_at;
            stored
        };
        service.register(&service.client(
            ALICE,
            vec![secret("old", OLD_SECRET, Some(NOW + DAY)), secret("new", SECRET, None)],
            Key::ALL.iter().map(|key| key.public()).collect(),
        ));
        service.register(&service.client(BOB, vec![secret("only", BOBS_SECRET, None)], vec![Key::Bobs.public()]));
        service
    }

    fn client(&self, client_id: &str, secrets: Vec<StoredSecret>, keys: Vec<PublicJwk>) -> Client {
        let scopes = Scopes::parse_claim("jobs:* templates:read tokens:write tokens:revoke").unwrap();
        let mut client = Client::new(client_id, scopes, NOW - DAY);
        client.mechanisms = Mechanism::ALL.to_vec();
        client.max_ttl_seconds = MAX_TTL;
        client.secrets = secrets;
        client.totp = self.settings.keys.seal(client_id, &Secret::new(SEED.as_slice()), [9; 24]);
        client.jwks = Some(JwkSet { keys });
        client
    }

    /// Stores a client in its object and in KV, as if created long ago.
    pub fn register(&self, client: &Client) {
        let row = Row { value: serde_json::to_string(client).unwrap(), expires_at: 253_402_300_799 };
        let state = &mut *self.world.state.borrow_mut();
        state.rows.insert((client.client_id.clone(), "client".to_owned()), row);
        let replica = Replica::new(client, std::iter::empty());
        let stored = (replica.to_json(), client.status.name().to_owned(), None);
        state.replicas.insert(client.client_id.clone(), stored);
    }

    pub fn stored(&self, client_id: &str) -> Client {
        let state = self.world.state.borrow();
        Client::parse(&state.rows[&(client_id.to_owned(), "client".to_owned())].value).unwrap()
    }

    /// Changes a client's record directly, not through the operators' API.
    pub fn change(&self, client_id: &str, change: impl FnOnce(&mut Client)) {
        let mut client = self.stored(client_id);
        change(&mut client);
        self.register(&client);
        self.world.forget_replicas();
    }

    pub fn suspend(&self, client_id: &str) {
        self.change(client_id, |client| client.status = Status::Suspended);
    }

    pub fn make_immediate(&self, client_id: &str) {
        self.change(client_id, |client| client.consistency = Consistency::Immediate);
    }

    pub fn pass(&self, seconds: u64) {
        self.now.set(self.now.get() + seconds);
    }

    /// Runs due alarms, then sends a request.
    pub fn send(&self, request: &Request) -> Answer {
        self.wake();
        host::run(self.respond(request))
    }

    /// Sends requests, each after its delay (milliseconds), while time passes. Returns the responses, and how long each
    /// took.
    pub fn send_in_time(&self, requests: &[(u64, &Request)]) -> Vec<(Answer, u64)> {
        self.wake();
        let futures = requests
            .iter()
            .map(|(at, request)| (*at, Box::pin(self.respond(request)) as Pin<Box<dyn Future<Output = Answer> + '_>>));
        host::run_in_time(&self.world, futures)
    }

    /// Runs due alarms.
    pub fn wake(&self) {
        self.set_clock();
        self.world.wake();
    }

    /// Advances the world's clock to the test's. It never runs backwards.
    pub fn set_clock(&self) {
        self.world.millis.set(self.world.millis.get().max(self.now.get() * 1000));
    }

    pub async fn respond(&self, request: &Request) -> Answer {
        self.set_clock();
        let (response, audit) = match Route::find(&self.settings, request.method, &request.path) {
            Ok(route) => {
                let read = async || {
                    self.bodies_read.set(self.bodies_read.get() + 1);
                    let body = match () {
                        () if request.broken => Body::Broken,
                        () if request.body.len() > MAX_BODY => Body::TooLarge,
                        () => Body::Read(request.body.clone()),
                    };
                    (body, self.now.get() + self.held_back.get())
                };
                app::handle(&self.settings, &self.world, &route, self.call(request), read).await
            }
            Err(error) => Audit::of_refusal(&error),
        };
        let body = response.body.as_deref().map_or(Value::Null, |body| serde_json::from_str(body).unwrap());
        let answer = Answer { status: response.status, headers: response.headers, body, audit };
        answer.follows_all_rules(request);
        answer
    }

    fn call(&self, request: &Request) -> Call {
        Call {
            origin: ISSUER.to_owned(),
            query: request.query.clone(),
            authorization: request.authorization.clone(),
            if_match: request.if_match.clone(),
            if_none_match: None,
            accept_encoding: None,
            client_id_header: request.client_id.clone(),
            content_type: request.content_type.clone(),
            body: Body::Read(Vec::new()),
            ip: "192.0.2.1".to_owned(),
            now: self.now.get(),
        }
    }

    /// The same service at another location.
    pub fn elsewhere(&self) -> Self {
        Self {
            settings: Rc::clone(&self.settings),
            world: self.world.elsewhere(&sign::SERVICE_SEED),
            now: Cell::new(self.now.get()),
            held_back: Cell::new(0),
            bodies_read: Cell::new(0),
        }
    }

    /// The same service, deployed with other settings: every object restarts.
    pub fn deployed_with(&self, changes: &[(&str, String)]) -> Self {
        let settings = Rc::new(settings(changes));
        self.world.crash();
        let world = self.world.with(Rc::clone(&settings), &sign::SERVICE_SEED);
        Self { settings, world, ..self.elsewhere() }
    }

    /// A row of a client's object.
    pub fn row(&self, client_id: &str, key: &str) -> Option<String> {
        let state = self.world.state.borrow();
        state.rows.get(&(client_id.to_owned(), key.to_owned())).map(|row| row.value.clone())
    }

    pub fn set_row(&self, client_id: &str, key: &str, value: &str) {
        let row = Row { value: value.to_owned(), expires_at: 253_402_300_799 };
        self.world.state.borrow_mut().rows.insert((client_id.to_owned(), key.to_owned()), row);
    }

    /// How many rows there are for a client.
    pub fn rows(&self, client_id: &str) -> usize {
        self.world.state.borrow().rows.keys().filter(|(owner, _)| owner == client_id).count()
    }

    /// KV's value for a client; `null` if there is none.
    pub fn replica(&self, client_id: &str) -> Value {
        let state = self.world.state.borrow();
        state.replicas.get(client_id).map_or(Value::Null, |(value, ..)| serde_json::from_str(value).unwrap())
    }

    pub fn set_replica(&self, client_id: &str, value: &str) {
        let stored = (value.to_owned(), "active".to_owned(), None);
        self.world.state.borrow_mut().replicas.insert(client_id.to_owned(), stored);
        self.world.forget_replicas();
    }

    /// Removes a client from its object and from KV.
    pub fn erase(&self, client_id: &str) {
        let state = &mut *self.world.state.borrow_mut();
        state.rows.retain(|(owner, _), _| owner != client_id);
        state.replicas.remove(client_id);
    }

    /// A long-term token of Alice's.
    pub fn long_token(&self, scopes: &str) -> Token {
        self.send(&by_secret().scopes(scopes)).token()
    }

    /// A short-term token with all scopes of the long-term one.
    pub fn short_token(&self, long: &Token) -> Token {
        self.send(&exchange(long)).token()
    }

    /// Whether a long-term token is live.
    pub fn is_alive(&self, long: &Token) -> bool {
        self.send(&exchange(long)).status == 201
    }

    /// A valid assertion, signed by this key of Alice's.
    pub fn assertion(&self, key: Key, jti: &str) -> Request {
        by_assertion(&key.jwt(&claims(self.now.get(), jti)))
    }

    /// The currently valid code.
    pub fn code(&self) -> Request {
        by_code(&code_at(self.now.get()))
    }
}

pub fn code_at(time: u64) -> String {
    String::from_utf8(otp::code(SEED, time / otp::STEP).to_vec()).unwrap()
}

pub fn claims(now: u64, jti: &str) -> Value {
    json!({"iss": ALICE, "sub": ALICE, "aud": ISSUER, "iat": now, "exp": now + 300, "jti": jti})
}

pub fn post(path: &str) -> Request {
    Request {
        method: "POST",
        path: path.to_owned(),
        authorization: None,
        client_id: None,
        content_type: None,
        query: String::new(),
        if_match: None,
        body: Vec::new(),
        broken: false,
    }
}

/// A call of the operators' API.
pub fn clients(method: &'static str, path: &str) -> Request {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    Request { method, query: query.to_owned(), ..post(&format!("/v1/clients{path}")) }
}

pub fn by_secret() -> Request {
    let body = json!({"grant_type": "client_credentials", "client_id": ALICE, "client_secret": SECRET});
    post(LONG).client(ALICE).json(&body)
}

pub fn bob_by_secret() -> Request {
    by_secret().client(BOB).set("client_id", BOB).set("client_secret", BOBS_SECRET)
}

pub fn root_by_secret() -> Request {
    by_secret().client(ROOT).set("client_id", ROOT).set("client_secret", ROOTS_SECRET)
}

pub fn by_code(code: &str) -> Request {
    let body = json!({"grant_type": "client_credentials", "client_id": ALICE, "otp_code": code});
    post(LONG).client(ALICE).json(&body)
}

pub fn by_assertion(assertion: &str) -> Request {
    let assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let body = json!({"grant_type": "assertion", "client_id": ALICE, "assertion_type": assertion_type,
                      "assertion": assertion});
    post(LONG).client(ALICE).json(&body)
}

pub fn rotation(short: &Token) -> Request {
    post(LONG).bearer(&short.token).json(&json!({"grant_type": "client_credentials", "client_id": ALICE}))
}

pub fn exchange(long: &Token) -> Request {
    post(SHORT).bearer(&long.token)
}

pub fn revocation(by: &Token, token_id: &str) -> Request {
    post(&format!("/v1/auth/tokens/{token_id}/revoke")).bearer(&by.token)
}

impl Request {
    pub fn bearer(self, token: &str) -> Self {
        self.authorization(&format!("Bearer {token}"))
    }

    pub fn authorization(mut self, header: &str) -> Self {
        self.authorization = Some(header.to_owned());
        self
    }

    pub fn client(mut self, client_id: &str) -> Self {
        self.client_id = Some(client_id.to_owned());
        self
    }

    pub fn anonymous(mut self) -> Self {
        (self.authorization, self.client_id) = (None, None);
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.text(&body.to_string())
    }

    /// A text body, sent as JSON.
    pub fn text(mut self, body: &str) -> Self {
        self.content_type = Some("application/json".to_owned());
        self.body = body.as_bytes().to_vec();
        self
    }

    pub fn form(mut self, form: &str) -> Self {
        self.content_type = Some("application/x-www-form-urlencoded".to_owned());
        self.body = form.as_bytes().to_vec();
        self
    }

    pub fn set(self, field: &str, value: impl Into<Value>) -> Self {
        let mut body = if self.body.is_empty() { json!({}) } else { serde_json::from_slice(&self.body).unwrap() };
        body[field] = value.into();
        self.json(&body)
    }

    pub fn unset(self, field: &str) -> Self {
        let mut body: Value = serde_json::from_slice(&self.body).unwrap();
        body.as_object_mut().unwrap().remove(field);
        self.json(&body)
    }

    pub fn if_match(mut self, etag: &str) -> Self {
        self.if_match = Some(etag.to_owned());
        self
    }

    pub fn scopes(self, scopes: &str) -> Self {
        self.set("scopes", scopes.split(' ').collect::<Vec<_>>())
    }
}

/// Each possible error: status, code, and the operations that may return it. `none` means an error before any
/// operation.
const CODES: [(u16, &str, &[&str]); 15] = [
    (400, "invalid_grant", &[ISSUE_LONG]),
    (400, "invalid_request", &[ISSUE_LONG, ISSUE_SHORT, INTROSPECT, CREATE, LIST, UPDATE, END_SECRET]),
    (400, "invalid_scope", &[ISSUE_LONG, ISSUE_SHORT, CREATE, UPDATE]),
    (401, "invalid_client", &[ISSUE_LONG]),
    (401, "invalid_token", &OPERATIONS),
    (
        401,
        "insufficient_scope",
        &[REVOKE, INTROSPECT, CREATE, LIST, GET, UPDATE, DELETE, NEW_SECRET, END_SECRET, NEW_TOTP, END_TOKENS],
    ),
    (403, "insufficient_scope", &[ISSUE_LONG, CREATE, UPDATE]),
    (403, "unauthorized_client", &[ISSUE_LONG]),
    (404, "not_found", &[REVOKE, GET, UPDATE, DELETE, NEW_SECRET, END_SECRET, NEW_TOTP, END_TOKENS, "none"]),
    (405, "method_not_allowed", &["none"]),
    (409, "conflict", &[CREATE, UPDATE, DELETE, NEW_SECRET, END_SECRET, NEW_TOTP]),
    (412, "precondition_failed", &[UPDATE, DELETE]),
    (429, "rate_limited", &[ISSUE_LONG, ISSUE_SHORT]),
    (500, "server_error", &["none"]),
    (503, "temporarily_unavailable", &OPERATIONS),
];
/// The operations that take a token or a credential.
const OPERATIONS: [&str; 13] = [
    ISSUE_LONG,
    ISSUE_SHORT,
    REVOKE,
    INTROSPECT,
    CREATE,
    LIST,
    GET,
    UPDATE,
    DELETE,
    NEW_SECRET,
    END_SECRET,
    NEW_TOTP,
    END_TOKENS,
];
/// The status of an operation's success, and its outcome in the audit line.
const SUCCESSES: [(&str, u16, &str); 13] = [
    (ISSUE_LONG, 201, "issued"),
    (ISSUE_SHORT, 201, "issued"),
    (REVOKE, 204, "revoked"),
    (INTROSPECT, 200, "introspected"),
    (CREATE, 201, "changed"),
    (LIST, 200, "served"),
    (GET, 200, "served"),
    (UPDATE, 200, "changed"),
    (DELETE, 204, "changed"),
    (NEW_SECRET, 201, "changed"),
    (END_SECRET, 204, "changed"),
    (NEW_TOTP, 201, "changed"),
    (END_TOKENS, 204, "changed"),
];
const ISSUE_LONG: &str = "issueLongTermToken";
const ISSUE_SHORT: &str = "issueShortTermToken";
const REVOKE: &str = "revokeToken";
const INTROSPECT: &str = "introspectToken";
const CREATE: &str = "createClient";
const LIST: &str = "listClients";
const GET: &str = "getClient";
const UPDATE: &str = "updateClient";
const DELETE: &str = "deleteClient";
const NEW_SECRET: &str = "createClientSecret";
const END_SECRET: &str = "endClientSecret";
const NEW_TOTP: &str = "createClientTotp";
const END_TOKENS: &str = "endClientTokens";

impl Answer {
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} occurs twice");
        value
    }

    #[track_caller]
    pub fn is(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.body);
        self
    }

    /// Checks that message and details name this field, header, scope or mechanism.
    #[track_caller]
    pub fn names(&self, what: &str) -> &Self {
        assert!(self.message().contains(what), "{} does not name {what}", self.body);
        let details = self.body["details"].as_object().expect("details");
        assert!(details.values().any(|value| value == what), "{} does not name {what}", self.body);
        self
    }

    #[track_caller]
    pub fn token(&self) -> Token {
        assert_eq!(self.status, 201, "{}", self.body);
        let text = |name: &str| self.body[name].as_str().unwrap().to_owned();
        Token { token: text("access_token"), id: text("token_id") }
    }

    fn follows_all_rules(&self, request: &Request) {
        let shown = format!("{request:?} {self:?}");
        assert_eq!(self.header("Cache-Control"), Some("no-store"), "{shown}");
        assert_eq!(self.header("X-Content-Type-Options"), Some("nosniff"), "{shown}");
        assert_eq!(self.audit.status, self.status);
        let event = self.audit.event;
        let success = SUCCESSES.iter().find(|(operation, status, _)| (*operation, *status) == (event, self.status));
        let content_type = (self.status != 204).then_some("application/json");
        assert_eq!((self.header("Content-Type"), self.body.is_null()), (content_type, self.status == 204), "{shown}");
        if let Some((.., outcome)) = success {
            assert_eq!(self.audit.outcome, *outcome);
        } else {
            let allowed = CODES.iter().any(|(status, code, events)| {
                (*status, *code) == (self.status, self.code()) && events.contains(&event)
            });
            assert!(allowed && self.audit.outcome == self.code(), "{shown}");
            assert!(!self.message().is_empty() && self.body.get("details").is_none_or(Value::is_object), "{shown}");
            for name in self.body.as_object().unwrap().keys() {
                assert!(["code", "message", "details"].contains(&name.as_str()), "{shown}");
            }
        }
        let challenge = self.header("WWW-Authenticate");
        match self.status {
            401 => {
                let challenge = challenge.expect("a challenge");
                assert!(challenge.starts_with("Bearer"), "{shown}");
                let error = (self.code() != "invalid_client" && self.presents_a_token(request)).then(|| self.code());
                let named = challenge.split("error=\"").nth(1).and_then(|rest| rest.split('"').next());
                assert_eq!(named, error, "{shown}");
            }
            // A challenge is optional here (RFC 6750, section 3.1).
            403 if self.code() == "insufficient_scope" => {}
            _ => assert_eq!(challenge, None, "{shown}"),
        }
        match self.status {
            429 => {
                let seconds = self.header("Retry-After").expect("Retry-After");
                assert_eq!(self.message(), format!("Too many requests. Please retry after {seconds} seconds."));
            }
            503 => assert!(self.header("Retry-After").unwrap().parse::<u64>().unwrap() > 0, "{shown}"),
            _ => assert_eq!(self.header("Retry-After"), None, "{shown}"),
        }
        assert_eq!(self.header("Allow").is_some(), self.status == 405, "{shown}");
        let is_shown = [CREATE, GET, UPDATE].contains(&event) && success.is_some();
        assert_eq!(self.header("ETag").is_some(), is_shown, "{shown}");
        let is_operators = SUCCESSES[4..].iter().any(|(operation, ..)| *operation == event);
        if is_operators && self.status != 401 && self.status != 503 {
            assert!(
                self.audit.operator.is_some() && self.audit.by.is_some(),
                "the audit line must name the operator: {shown}"
            );
        }
        let is_long = event == ISSUE_LONG && self.status == 201;
        assert_eq!(self.header("X-Token-Id"), is_long.then(|| self.body["token_id"].as_str().unwrap()), "{shown}");
        self.shows_no_credential(request);
    }

    fn presents_a_token(&self, request: &Request) -> bool {
        match request.authorization.as_deref() {
            Some(header) => header.split(',').any(|value| {
                let (scheme, token) = value.trim_start().split_once(' ').unwrap_or_default();
                scheme.eq_ignore_ascii_case("Bearer") && !token.trim_matches(' ').is_empty()
            }),
            // The token may have been in the body.
            None => !self.message().starts_with("No bearer token was sent"),
        }
    }

    /// Checks that neither the audit line nor an error contains a credential.
    fn shows_no_credential(&self, request: &Request) {
        let line = serde_json::to_string(&self.audit).unwrap();
        let sent = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let fields = ["client_secret", "otp_code", "assertion", "long_token"].map(|field| sent[field].as_str());
        let bearer = request.authorization.as_deref().and_then(|header| header.strip_prefix("Bearer "));
        // Short values, words of the protocol and public ids are not credentials.
        let is_credential = |text: &&str| {
            let public = ["assertion", "client_credentials", ALICE, BOB, ROOT];
            text.len() > 5 && !text.contains("jwt-bearer") && !public.iter().any(|public| public.contains(*text))
        };
        for credential in fields.into_iter().chain([bearer]).flatten().filter(is_credential) {
            assert!(!line.contains(credential), "{line}");
            assert!(self.status == 201 || !self.body.to_string().contains(credential), "{}", self.body);
        }
        for made in ["client_secret", "totp_secret", "otpauth_uri"] {
            if let Some(made) = self.body[made].as_str() {
                assert!(!line.contains(made), "{line}");
            }
        }
        if let Some(token) = self.body["access_token"].as_str() {
            assert!(!line.contains(token), "{line}");
            assert_eq!(self.audit.token_id.as_deref(), self.body["token_id"].as_str());
        }
    }
}
