//! The actors around the service: clients, holders of stolen tokens, operators, and APIs that verify offline. They
//! follow the plan, know only what a caller knows, and repeat calls that got no response.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use auth_edge::{otp, response::Response};
use auth_edge_verify::{Due, Error as VerifyError, KeySet, Verifier};
use base32ct::{Base32UpperUnpadded, Encoding as _};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::history::{Answer, Op, Patch, Proof, Token, What};
use crate::isolate::{Request, answer_by_kv_alone, send};
use crate::plan::{By, CLIENTS, Call, Change, DEPUTY, KEYS, MECHANISMS, ROOT, START, VERIFIERS};
use crate::sim::{AUDIENCE, ISSUER, ROOTS_SECRET, Sim};
use crate::world::{NO_MACHINE, Reply, reply};

const LONG: &str = "/v1/auth/tokens/long";
const SHORT: &str = "/v1/auth/tokens/short";
const FEED: &str = "/.well-known/revocations";
const ALL: [&str; 3] = ["jobs:*", "templates:read", "tokens:*"];
const FEW: [&str; 2] = ["jobs:submit", "tokens:revoke"];
const OPERATORS: [&str; 3] = ["clients:*", "tokens:introspect", "tokens:write"];
/// How often each verifier fetches the feed, seconds.
pub const POLL: [u64; VERIFIERS] = [5, 30];
/// How many of a client's tokens are tried at each check.
const MOST_LOOKS: usize = 12;
/// How often a verifier fetches, or waits for a fetch under way, before it judges a token.
const FETCHES: usize = 300;

pub struct Actors {
    sim: Rc<Sim>,
    calls: Cell<usize>,
    slots: RefCell<HashMap<usize, Slot>>,
    clients: RefCell<HashMap<String, Credentials>>,
    tokens: RefCell<Vec<Rc<Token>>>,
    /// Each with the offset of its clock, and the `iat` of the signed text that it holds.
    verifiers: Vec<(Verifier, i64, Cell<u64>)>,
    /// Each operator's short-term token.
    operators: RefCell<HashMap<&'static str, Rc<Token>>>,
    chance: Chance,
}

/// Where a call comes from: the item of the plan (0 if it is none's), the location that it is sent to, and the operator
/// that makes it, if it is an operators' call.
#[derive(Clone, Copy)]
pub struct Errand {
    pub number: usize,
    pub location: usize,
    pub operator: &'static str,
}

/// A call that no item of the plan makes.
const OWN: Errand = Errand { number: 0, location: 0, operator: ROOT };

/// The result of an item of the plan.
#[derive(Default)]
struct Slot {
    is_done: bool,
    waiting: Vec<Reply<()>>,
    token: Option<Rc<Token>>,
    proof: Option<(String, Proof, Value)>,
    secret: Option<usize>,
    etag: Option<String>,
}

#[derive(Default)]
struct Credentials {
    secrets: Vec<ClientSecret>,
    /// TOTP seeds, each with the call that made it.
    seeds: Vec<(usize, Vec<u8>)>,
}

struct ClientSecret {
    /// The call that made it.
    made_by: usize,
    id: String,
    text: String,
}

impl Actors {
    pub fn new(sim: &Rc<Sim>) -> Rc<Self> {
        let chance = Chance::of(sim.seed, "actors");
        let verifiers = POLL.map(|interval| {
            (Verifier::new(ISSUER, AUDIENCE).poll_interval(interval), sim.offset(&chance), Cell::default())
        });
        let numbers = sim.plan.items.iter().map(|item| (item.number, Slot::default()));
        Rc::new(Self {
            sim: Rc::clone(sim),
            calls: Cell::new(0),
            slots: RefCell::new(numbers.collect()),
            clients: RefCell::default(),
            tokens: RefCell::default(),
            verifiers: verifiers.into(),
            operators: RefCell::default(),
            chance,
        })
    }

    pub fn end(&self) {
        self.slots.take();
        self.operators.take();
    }

    /// Creates the clients, while nothing fails.
    pub fn set_up(self: &Rc<Self>) {
        let actors = Rc::clone(self);
        self.sim.world.spawn(NO_MACHINE, async move {
            for (nth, client) in CLIENTS.into_iter().enumerate() {
                actors.create(OWN, client, nth == 1).await;
            }
            actors.create(OWN, DEPUTY, true).await;
            for _ in 0..actors.sim.plan.crowd {
                let client = CLIENTS[0];
                let Some((proof, body)) = actors.prove(0, client, By::Secret).await else { return };
                let answer = actors.issue(OWN, client, proof, body).await;
                if let Some(token) = answer.token {
                    actors.revoke(OWN, &token, &token).await;
                }
            }
        });
        self.sim.world.run_until(START);
    }

    /// Executes one item of the plan.
    pub fn begin(self: &Rc<Self>, errand: Errand, tries: u64, call: Call) {
        let (actors, number) = (Rc::clone(self), errand.number);
        self.sim.world.spawn(NO_MACHINE, async move {
            for attempt in 1..=tries {
                let status = actors.perform(errand, &call).await;
                if !matches!(status, Some(0 | 503)) || attempt == tries {
                    break;
                }
                let wait = 500 + actors.chance.below(2_000);
                actors.sim.world.pause(wait, actors.chance.next()).await;
            }
            if let Some(slot) = actors.slots.borrow_mut().get_mut(&number) {
                slot.is_done = true;
                slot.waiting.clear();
            }
        });
    }

    /// Waits until an item has finished. An item that is not in the plan is skipped.
    async fn done(&self, number: usize) {
        let wait = match self.slots.borrow_mut().get_mut(&number) {
            Some(slot) if !slot.is_done => {
                let (reply, wait) = reply();
                slot.waiting.push(reply);
                wait
            }
            _ => return,
        };
        wait.await;
    }

    async fn token(&self, number: usize) -> Option<Rc<Token>> {
        self.done(number).await;
        self.slots.borrow().get(&number)?.token.clone()
    }

    fn slot(&self, number: usize, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(&number) {
            change(slot);
        }
    }

    /// Executes a call. Returns the status of the response; `None` if there was nothing to send.
    async fn perform(&self, errand: Errand, call: &Call) -> Option<u16> {
        let number = errand.number;
        let answer = match call {
            Call::Issue { client, by, narrow, ttl } => {
                let (proof, mut body) = self.prove(number, client, *by).await?;
                if *narrow {
                    body["scopes"] = json!(["jobs:submit", "tokens:write"]);
                }
                if let Some(ttl) = ttl {
                    body["ttl_seconds"] = (*ttl).into();
                }
                self.slot(number, |slot| slot.proof = Some(((*client).to_owned(), proof.clone(), body.clone())));
                self.issue(errand, client, proof, body).await
            }
            // The second call may run at the same time as the first.
            Call::Replay { of } => {
                let (client, proof, body) = self.slots.borrow().get(of)?.proof.clone()?;
                self.issue(errand, &client, proof, body).await
            }
            Call::Exchange { of, narrow } => {
                let token = self.token(*of).await?;
                let asked = narrow.then(|| vec![if of % 2 == 0 { "jobs:submit" } else { "templates:read" }.to_owned()]);
                self.exchange(errand, &token, asked).await
            }
            Call::Rotate { of, named, ttl } => {
                let bearer = self.token(*of).await?;
                let named = named.map_or_else(|| bearer.client.clone(), str::to_owned);
                let mut body = json!({"grant_type": "client_credentials", "client_id": named});
                if let Some(ttl) = ttl {
                    body["ttl_seconds"] = (*ttl).into();
                }
                let request = Request { bearer: Some(bearer.text.clone()), ..post(LONG, &body) };
                self.ask(errand, Op::Rotate { bearer, named, ttl: *ttl }, request, None).await
            }
            Call::Revoke { by, of } => {
                let (by, of) = (self.token(*by).await?, self.token(*of).await?);
                self.revoke(errand, &by, &of).await
            }
            Call::Introspect { of } => {
                let token = self.token(*of).await?;
                let caller = self.operator(errand).await?;
                let request = Request {
                    method: "POST",
                    path: "/v1/auth/tokens/introspect".to_owned(),
                    bearer: Some(caller.text.clone()),
                    content_type: Some("application/x-www-form-urlencoded"),
                    body: format!("token={}", token.text),
                    ..Request::default()
                };
                let answer = self.ask(errand, Op::Introspect { token }, request, Some(caller)).await;
                if answer.status == 401 {
                    self.operators.borrow_mut().remove(errand.operator);
                }
                answer
            }
            Call::Verify { verifier, of } => {
                let token = self.token(*of).await?;
                self.verify(*verifier, errand.location, token).await
            }
            Call::Feed { location } => {
                let asked = self.sim.world.now();
                let request = Request { method: "GET", path: FEED.to_owned(), ..Request::default() };
                let response = send(&self.sim, *location, request, self.call()).await.map(|(response, _)| response);
                if let Some(payload) = response.and_then(|response| payload(&response.body?)) {
                    self.sim.note(0, What::Served { location: *location, asked, payload });
                }
                self.look_at_feed();
                return None;
            }
            Call::Create { client, is_immediate } => self.create(errand, client, *is_immediate).await,
            Call::Show { client } => {
                let op = Op::Show { client: (*client).to_owned() };
                let answer = self.operate(errand, op, "GET", &format!("/{client}"), Value::Null).await;
                self.slot(number, |slot| slot.etag = answer.etag.clone());
                answer
            }
            Call::Change { client, change, guarded } => {
                let if_match = self.etag(*guarded).await?;
                let (patch, body) = self.patch(client, *change);
                let op = Op::Change { client: (*client).to_owned(), patch, if_match };
                self.operate(errand, op, "PATCH", &format!("/{client}"), body).await
            }
            Call::AddSecret { client } => {
                let op = Op::AddSecret { client: (*client).to_owned() };
                let answer = self.operate(errand, op, "POST", &format!("/{client}/secrets"), Value::Null).await;
                if self.take_secret(client, answer.call, &answer.body["secret_id"], &answer.body["client_secret"]) {
                    self.slot(number, |slot| slot.secret = Some(answer.call));
                }
                answer
            }
            Call::EndSecret { client, of, delay } => {
                let made_by = match of {
                    Some(of) => {
                        self.done(*of).await;
                        Some(self.slots.borrow().get(of)?.secret?)
                    }
                    None => None,
                };
                let (secret, id) = self.secret(client, made_by, |secret| (secret.made_by, secret.id.clone()))?;
                let op = Op::EndSecret { client: (*client).to_owned(), secret, delay: *delay };
                let path = format!("/{client}/secrets/{id}");
                self.operate(errand, op, "DELETE", &path, Value::Null).await
            }
            Call::NewTotp { client } => {
                let op = Op::NewTotp { client: (*client).to_owned() };
                let answer = self.operate(errand, op, "POST", &format!("/{client}/totp"), Value::Null).await;
                self.take_seed(client, answer.call, &answer.body["totp_secret"]);
                answer
            }
            Call::EndTokens { client } => {
                let op = Op::EndTokens { client: (*client).to_owned() };
                self.operate(errand, op, "POST", &format!("/{client}/end-tokens"), Value::Null).await
            }
            Call::Delete { client, guarded } => {
                let op = Op::Delete { client: (*client).to_owned(), if_match: self.etag(*guarded).await? };
                self.operate(errand, op, "DELETE", &format!("/{client}"), Value::Null).await
            }
        };
        Some(answer.status)
    }

    /// The `ETag` that an item got, if the call is guarded by one. `None` if the item got none.
    async fn etag(&self, guarded: Option<usize>) -> Option<Option<String>> {
        let Some(of) = guarded else { return Some(None) };
        self.done(of).await;
        self.slots.borrow().get(&of)?.etag.clone().map(Some)
    }

    /// A client's credential, and the request body with it.
    async fn prove(&self, number: usize, client: &str, by: By) -> Option<(Proof, Value)> {
        let base = |name: &str, value: &str| {
            let mut body = json!({"grant_type": "client_credentials", "client_id": client});
            body[name] = value.into();
            body
        };
        let step = self.sim.world.now() / 1000 / otp::STEP;
        let seeds = || self.clients.borrow().get(client).map_or(Vec::new(), |known| known.seeds.clone());
        let right_codes = |seeds: &[(usize, Vec<u8>)]| -> Vec<_> {
            let steps = step - 2..=step + 2;
            steps.flat_map(|step| seeds.iter().map(move |(_, seed)| otp::code(seed, step))).collect()
        };
        Some(match by {
            By::Secret if client == ROOT => (Proof::Secret(0), base("client_secret", ROOTS_SECRET)),
            By::Secret => {
                let known = self.secret(client, None, |secret| (secret.made_by, secret.text.clone()));
                let (made_by, text) = known.unwrap_or_else(|| (0, "no secret".to_owned()));
                (Proof::Secret(made_by), base("client_secret", &text))
            }
            By::SecretOf(of) => {
                self.done(of).await;
                let made_by = self.slots.borrow().get(&of)?.secret?;
                let text = self.secret(client, Some(made_by), |secret| secret.text.clone())?;
                (Proof::Secret(made_by), base("client_secret", &text))
            }
            By::Code | By::OldCode => {
                let mut seeds = seeds();
                let mut newer = Vec::new();
                if by == By::OldCode {
                    newer.extend(seeds.pop());
                }
                let (made_by, seed) = seeds.last()?;
                let code = otp::code(seed, step);
                if right_codes(&newer).contains(&code) {
                    return None;
                }
                (Proof::Code { seed: *made_by, step }, base("otp_code", &String::from_utf8_lossy(&code)))
            }
            By::WrongCode => {
                let right = right_codes(&seeds());
                let wrong = [*b"000000", *b"111111", *b"222222", *b"333333", *b"444444", *b"555555"];
                let wrong = wrong.iter().find(|code| !right.contains(code))?;
                (Proof::WrongCode, base("otp_code", &String::from_utf8_lossy(wrong)))
            }
            By::Assertion(key) => {
                let (now, jti) = (self.sim.world.now() / 1000, format!("j{number}"));
                let header = json!({"alg": "EdDSA", "kid": kid(key)}).to_string();
                let claims =
                    json!({"iss": client, "sub": client, "aud": ISSUER, "iat": now, "exp": now + 300, "jti": jti});
                let [header, claims] =
                    [header, claims.to_string()].map(|part| Base64UrlUnpadded::encode_string(part.as_bytes()));
                let message = format!("{header}.{claims}");
                let signature = Base64UrlUnpadded::encode_string(&self.sim.sign_as(PUBLICS[key], message.as_bytes()));
                let body = json!({
                    "grant_type": "assertion", "client_id": client, "assertion": format!("{message}.{signature}"),
                    "assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                });
                (Proof::Assertion { jti, key }, body)
            }
        })
    }

    /// The secret that this call made, or the client's first one.
    fn secret<T>(&self, client: &str, made_by: Option<usize>, read: impl Fn(&ClientSecret) -> T) -> Option<T> {
        let clients = self.clients.borrow();
        let mut secrets = clients.get(client)?.secrets.iter();
        secrets.find(|secret| made_by.is_none_or(|made_by| secret.made_by == made_by)).map(read)
    }

    /// Keeps a secret that a response shows.
    fn take_secret(&self, client: &str, made_by: usize, id: &Value, text: &Value) -> bool {
        let (Some(id), Some(text)) = (id.as_str(), text.as_str()) else { return false };
        let secret = ClientSecret { made_by, id: id.to_owned(), text: text.to_owned() };
        self.clients.borrow_mut().entry(client.to_owned()).or_default().secrets.push(secret);
        true
    }

    /// Keeps a TOTP seed that a response shows.
    fn take_seed(&self, client: &str, made_by: usize, seed: &Value) {
        let seed = seed.as_str().and_then(|seed| Base32UpperUnpadded::decode_vec(seed).ok());
        if let Some(seed) = seed {
            let mut clients = self.clients.borrow_mut();
            let seeds = &mut clients.entry(client.to_owned()).or_default().seeds;
            seeds.push((made_by, seed));
            // Of concurrent calls, which one was last is unknown.
            seeds.sort_by_key(|(made_by, _)| *made_by);
        }
    }

    async fn issue(&self, errand: Errand, client: &str, proof: Proof, body: Value) -> Answer {
        let request = Request { client_id: Some(client.to_owned()), ..post(LONG, &body) };
        let asked = body["scopes"].as_array().map(|scopes| texts(scopes));
        let op = Op::Issue { client: client.to_owned(), proof, asked, ttl: body["ttl_seconds"].as_u64() };
        self.ask(errand, op, request, None).await
    }

    async fn exchange(&self, errand: Errand, token: &Rc<Token>, asked: Option<Vec<String>>) -> Answer {
        let op = Op::Exchange { token: Rc::clone(token), asked: asked.clone() };
        self.ask(errand, op, exchange(token, asked), None).await
    }

    async fn revoke(&self, errand: Errand, by: &Rc<Token>, target: &Rc<Token>) -> Answer {
        let request = Request {
            method: "POST",
            path: format!("/v1/auth/tokens/{}/revoke", target.id),
            bearer: Some(by.text.clone()),
            ..Request::default()
        };
        let op = Op::Revoke { by: Rc::clone(by), target: Rc::clone(target) };
        self.ask(errand, op, request, None).await
    }

    async fn create(&self, errand: Errand, client: &str, is_immediate: bool) -> Answer {
        let scopes = all_scopes(client);
        let body = json!({
            "client_id": client, "scopes": scopes, "mechanisms": MECHANISMS, "jwks": jwks(&[0]),
            "consistency": if is_immediate { "immediate" } else { "eventual" },
        });
        let op = Op::Create { client: client.to_owned(), scopes, is_immediate };
        let answer = self.operate(errand, op, "POST", "", body).await;
        let (call, body) = (answer.call, &answer.body);
        self.take_secret(client, call, &body["secrets"][0]["secret_id"], &body["client_secret"]);
        self.take_seed(client, call, &body["totp_secret"]);
        answer
    }

    /// An operators' call. If the operator's token has ended, it is replaced once.
    async fn operate(&self, errand: Errand, op: Op, method: &'static str, path: &str, body: Value) -> Answer {
        let mut answer = Answer::default();
        let query =
            if let Op::EndSecret { delay: delay @ 1.., .. } = &op { format!("in={delay}") } else { String::new() };
        for _ in 0..2 {
            let Some(caller) = self.operator(errand).await else { return answer };
            let has_body = !body.is_null();
            let request = Request {
                method,
                path: format!("/v1/clients{path}"),
                query: query.clone(),
                bearer: Some(caller.text.clone()),
                content_type: has_body.then_some("application/json"),
                body: if has_body { body.to_string() } else { String::new() },
                if_match: op.if_match().map(str::to_owned),
                ..Request::default()
            };
            answer = self.ask(errand, op.clone(), request, Some(caller)).await;
            if answer.status != 401 {
                break;
            }
            self.operators.borrow_mut().remove(errand.operator);
        }
        answer
    }

    /// A short-term token of the operator.
    async fn operator(&self, errand: Errand) -> Option<Rc<Token>> {
        let kept = self.operators.borrow().get(errand.operator).cloned();
        let now = self.sim.world.now() / 1000;
        if let Some(kept) = kept.filter(|token| token.expires_at > now + 60) {
            return Some(kept);
        }
        let own = Errand { number: 0, ..errand };
        let (proof, body) = self.prove(0, errand.operator, By::Secret).await?;
        let long = self.issue(own, errand.operator, proof, body).await.token?;
        let short = self.exchange(own, &long, None).await.token?;
        self.operators.borrow_mut().insert(errand.operator, Rc::clone(&short));
        Some(short)
    }

    /// An API verifies a token offline, after it has fetched the feed if that is due.
    async fn verify(&self, nth: usize, location: usize, token: Rc<Token>) -> Answer {
        let (verifier, offset, iat) = &self.verifiers[nth];
        let now = || self.sim.world.now().saturating_add_signed(*offset) / 1000;
        let call = self.call();
        let op = Op::Verify { verifier: nth, token: Rc::clone(&token) };
        self.sim.note(call, What::Asked { op, location, by: None });
        for _ in 0..FETCHES {
            match verifier.due(&token.text, now()) {
                Due::Keys => match self.keys() {
                    Some(keys) => verifier.take_keys(keys, 86_400, now()),
                    None => verifier.keys_failed(),
                },
                Due::Feed(request) => {
                    let asked = self.sim.world.now();
                    let query = request.uri.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default();
                    let path = FEED.to_owned();
                    let request = Request {
                        method: "GET",
                        path,
                        query,
                        if_none_match: request.if_none_match,
                        ..Request::default()
                    };
                    let response = send(&self.sim, location, request, call).await.map(|(response, _)| response);
                    let taken = match response {
                        Some(Response { status: 200, body: Some(body), headers, .. }) => {
                            let etag =
                                headers.iter().find(|(name, _)| *name == "ETag").map(|(_, value)| value.as_str());
                            let taken = verifier.take_feed(body.as_bytes(), etag, now()).is_ok();
                            if taken {
                                let issued_at = payload(&body).and_then(|payload| payload["iat"].as_u64());
                                iat.set(issued_at.unwrap_or(0).max(iat.get()));
                            }
                            taken
                        }
                        Some(Response { status: 304, .. }) => {
                            verifier.feed_unchanged(now());
                            true
                        }
                        _ => {
                            verifier.feed_failed();
                            false
                        }
                    };
                    if taken {
                        self.sim.note(call, What::Followed { verifier: nth, asked, iat: iat.get() });
                    }
                }
                Due::Wait => self.sim.world.pause(20, self.chance.next()).await,
                _ => break,
            }
        }
        let (status, code) = match verifier.verify(&token.text, now()) {
            Ok(_) => (200, String::new()),
            Err(error @ (VerifyError::StaleFeed { .. } | VerifyError::NoKeys)) => (503, error.to_string()),
            Err(VerifyError::Ended { by, .. }) => (401, format!("by the feed, under {by}")),
            Err(error) => (401, error.to_string()),
        };
        let answer = Answer { status, code, ..Answer::default() };
        self.sim.note(call, What::Answered(answer.clone()));
        answer
    }

    fn keys(&self) -> Option<KeySet> {
        let request = Request { method: "GET", path: "/.well-known/jwks.json".to_owned(), ..Request::default() };
        let response = answer_by_kv_alone(&self.sim, request)?;
        KeySet::parse(response.body?.as_bytes()).ok()
    }

    fn call(&self) -> usize {
        self.calls.set(self.calls.get() + 1);
        self.calls.get()
    }

    /// Sends a request, and records what happens.
    async fn ask(&self, errand: Errand, op: Op, request: Request, by: Option<Rc<Token>>) -> Answer {
        let Errand { number, location, .. } = errand;
        let call = self.call();
        let asked = self.sim.world.now();
        self.sim.note(call, What::Asked { op: op.clone(), location, by });
        let response = send(&self.sim, location, request, call).await;
        let answered = self.sim.world.now();
        let mut answer = Answer { call, ..Answer::default() };
        if let Some((response, doubled)) = response {
            let body: Value =
                response.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
            answer.status = response.status;
            answer.code = body["code"].as_str().unwrap_or_default().to_owned();
            answer.etag = response.headers.iter().find(|(name, _)| *name == "ETag").map(|(_, value)| value.clone());
            answer.doubled = doubled;
            if response.status == 201 {
                answer.token = read_token(&op, &body, number, call, (asked, answered)).map(Rc::new);
            }
            answer.body = body;
        }
        if let Some(token) = &answer.token {
            self.tokens.borrow_mut().push(Rc::clone(token));
            self.slot(number, |slot| slot.token = Some(Rc::clone(token)));
        }
        self.sim.note(call, What::Answered(answer.clone()));
        self.look_behind(&op, &answer);
        answer
    }

    /// After a revocation's response, checks that exchanges and verifiers refuse the token.
    fn look_behind(&self, op: &Op, answer: &Answer) {
        let client = match (op, answer.status) {
            (Op::Revoke { target, .. }, 204) => &target.client,
            (Op::EndTokens { client } | Op::Delete { client, .. }, 204) | (Op::Change { client, .. }, 200) => client,
            _ => return,
        };
        let tokens = self.tokens.borrow();
        let own = tokens.iter().rev().filter(|token| token.is_long && token.client == *client && client != ROOT);
        for token in own.take(4) {
            self.by_kv_alone(token);
        }
        self.look_at_feed();
    }

    fn by_kv_alone(&self, token: &Rc<Token>) {
        let begun = self.sim.shown_by_kv(&token.client).map(|version| version.begun);
        if let Some(response) = answer_by_kv_alone(&self.sim, exchange(token, None)) {
            let body: Value =
                response.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
            let scopes = body["scopes"].as_array().map(|scopes| texts(scopes)).unwrap_or_default();
            self.sim.note(0, What::ByKvAlone { scopes, token: Rc::clone(token), status: response.status, begun });
        }
    }

    fn look_at_feed(&self) {
        let request = Request { method: "GET", path: FEED.to_owned(), ..Request::default() };
        let body = answer_by_kv_alone(&self.sim, request).and_then(|response| response.body);
        // The feed's object may be unable to store that it dropped entries.
        if let Some(payload) = body.as_deref().and_then(payload) {
            self.sim.note(0, What::Feed(payload));
        }
    }

    /// Checks everything after all failures have ended.
    pub fn look_around(self: &Rc<Self>) {
        // Check first what must happen without a call, because a call would wake the objects.
        for client in crate::sim::clients().filter(|client| *client != ROOT) {
            let longs = self
                .tokens
                .borrow()
                .iter()
                .rev()
                .filter(|token| token.is_long && token.client == client)
                .cloned()
                .collect::<Vec<_>>();
            longs.iter().take(MOST_LOOKS).for_each(|long| self.by_kv_alone(long));
        }
        self.look_at_feed();
        self.sim.note(0, What::Listed(self.sim.listed_by_kv()));
        let actors = Rc::clone(self);
        self.sim.world.spawn(NO_MACHINE, async move {
            for client in crate::sim::clients() {
                let op = Op::Show { client: client.to_owned() };
                actors.operate(OWN, op, "GET", &format!("/{client}"), Value::Null).await;
                let own: Vec<_> =
                    actors.tokens.borrow().iter().rev().filter(|token| token.client == client).cloned().collect();
                let (longs, shorts): (Vec<_>, Vec<_>) = own.into_iter().partition(|token| token.is_long);
                for long in longs.into_iter().take(MOST_LOOKS) {
                    let short = actors.exchange(OWN, &long, None).await.token;
                    if let Some(short) = short {
                        actors.verify(0, 1, short).await;
                    }
                }
                for short in shorts.into_iter().take(MOST_LOOKS) {
                    if short.expires_at * 1000 > actors.sim.world.now() {
                        actors.verify(1, 1, short).await;
                    }
                }
            }
            actors.look_at_feed();
        });
        self.sim.world.run_until(self.sim.world.now() + 120_000);
    }
}

impl Actors {
    fn patch(&self, client: &str, change: Change) -> (Patch, Value) {
        let scopes = |scopes: Vec<String>| {
            let body = json!({"scopes": scopes});
            (Patch { scopes: Some(scopes), ..Patch::default() }, body)
        };
        match change {
            Change::Suspend => (Patch { is_active: Some(false), ..Patch::default() }, json!({"status": "suspended"})),
            Change::Activate => (Patch { is_active: Some(true), ..Patch::default() }, json!({"status": "active"})),
            Change::Narrow => scopes(FEW.map(str::to_owned).into()),
            Change::NarrowMore => scopes(vec!["jobs:submit".to_owned()]),
            Change::Widen => scopes(all_scopes(client)),
            Change::Promote => scopes([all_scopes(client), vec!["clients:read".to_owned()]].concat()),
            Change::Immediate => {
                (Patch { is_immediate: Some(true), ..Patch::default() }, json!({"consistency": "immediate"}))
            }
            Change::Eventual => {
                (Patch { is_immediate: Some(false), ..Patch::default() }, json!({"consistency": "eventual"}))
            }
            Change::Keys(bits) => {
                let keys: Vec<_> = (0..KEYS).filter(|key| bits >> key & 1 == 1).collect();
                let body = json!({"jwks": jwks(&keys)});
                (Patch { keys: Some(keys), ..Patch::default() }, body)
            }
            Change::Without(one) => {
                let mechanisms: Vec<_> = MECHANISMS.into_iter().filter(|mechanism| Some(*mechanism) != one).collect();
                let body = json!({"mechanisms": mechanisms});
                (Patch { mechanisms: Some(mechanisms), ..Patch::default() }, body)
            }
        }
    }
}

/// All scopes that a client has from its creation.
fn all_scopes(client: &str) -> Vec<String> {
    if client == DEPUTY { OPERATORS.map(str::to_owned).into() } else { ALL.map(str::to_owned).into() }
}

/// The public keys of clients: those of RFC 8037 (appendix A.2), RFC 8032 (section 7.1, tests 2 and 3).
const PUBLICS: [&str; KEYS] = [
    "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw",
    "_FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU",
];

fn kid(key: usize) -> &'static str {
    if key == 1 { "b" } else { "a" }
}

fn jwks(keys: &[usize]) -> Value {
    let public =
        |key: &usize| json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": kid(*key), "x": PUBLICS[*key]});
    json!({"keys": keys.iter().map(public).collect::<Vec<_>>()})
}

fn texts(array: &[Value]) -> Vec<String> {
    array.iter().filter_map(|text| Some(text.as_str()?.to_owned())).collect()
}

fn post(path: &str, body: &Value) -> Request {
    Request {
        method: "POST",
        path: path.to_owned(),
        content_type: Some("application/json"),
        body: body.to_string(),
        ..Request::default()
    }
}

fn exchange(token: &Token, asked: Option<Vec<String>>) -> Request {
    let request = match asked {
        Some(scopes) => post(SHORT, &json!({"scopes": scopes})),
        None => Request { method: "POST", path: SHORT.to_owned(), ..Request::default() },
    };
    Request { bearer: Some(token.text.clone()), ..request }
}

fn payload(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(payload).ok()?).ok()
}

/// The token in the body of a 201, as its bearer sees it.
fn read_token(op: &Op, body: &Value, number: usize, call: usize, made: (u64, u64)) -> Option<Token> {
    let text = body["access_token"].as_str()?.to_owned();
    let claims = payload(&text)?;
    let (parent, root, is_long) = match op {
        Op::Issue { .. } => (None, made, true),
        Op::Rotate { bearer, .. } => (None, bearer.root, true),
        Op::Exchange { token, .. } => (Some(Rc::clone(token)), token.root, false),
        _ => return None,
    };
    let name = if number == 0 { format!("o{call}") } else { format!("t{number}") };
    Some(Token {
        name,
        id: body["token_id"].as_str()?.to_owned(),
        client: claims["sub"].as_str()?.to_owned(),
        is_long,
        scopes: texts(body["scopes"].as_array()?),
        issued_at: claims["iat"].as_u64()?,
        auth_time: claims["auth_time"].as_u64()?,
        expires_at: claims["exp"].as_u64()?,
        is_immediate: claims["consistency"] == "immediate",
        text,
        parent,
        made_by: call,
        root,
        made,
    })
}
