//! A fake of the operators' API, with clients in memory, and with faults that a test injects.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};

pub const SECRET: &str = "the-operators-secret";

/// The fault of the next call that begins with `on`, for example `POST /clients`.
#[derive(Clone, Copy)]
pub enum Fault {
    /// Does nothing, and answers with this status and `Retry-After: 0`.
    Refuse(u16),
    /// Executes the call, but answers with this status.
    DoAndAnswer(u16),
    /// Does nothing, and closes the connection.
    LoseRequest,
    /// Executes the call, but closes the connection.
    LoseAnswer,
    /// Someone else changes all clients first.
    Overtake,
    /// Ends all tokens first.
    EndTokens,
}

#[derive(Default)]
pub struct World {
    pub clients: BTreeMap<String, Map<String, Value>>,
    pub deleted: BTreeSet<String>,
    /// Each call: method, path, and `If-Match` if sent.
    pub calls: Vec<String>,
    pub faults: Vec<(&'static str, Fault)>,
    /// Live tokens with their scopes.
    tokens: BTreeMap<String, String>,
    /// The scopes of each login.
    pub logins: Vec<String>,
    pub revoked: usize,
    pub short_life: u64,
    under_way: usize,
    pub most_at_once: usize,
    count: u64,
}

pub struct Service {
    pub url: String,
    world: Arc<Mutex<World>>,
}

struct Call {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: String,
}

type Answer = (u16, Option<String>, Value);

impl Service {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let world = Arc::new(Mutex::new(World { short_life: 900, ..World::default() }));
        let shared = Arc::clone(&world);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let world = Arc::clone(&shared);
                thread::spawn(move || serve(stream.unwrap(), &world));
            }
        });
        Self { url, world }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub fn fault(&self, on: &'static str, fault: Fault) {
        self.world().faults.push((on, fault));
    }

    /// How many clients there are, and how many were deleted.
    pub fn count(&self) -> (usize, usize) {
        let world = self.world();
        (world.clients.len(), world.deleted.len())
    }

    /// The calls to `/clients` since this was last called.
    pub fn calls(&self) -> Vec<String> {
        let calls = std::mem::take(&mut self.world().calls);
        calls.into_iter().filter(|call| call.contains("/clients")).collect()
    }
}

fn serve(stream: TcpStream, world: &Mutex<World>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(call) = read(&mut reader) {
        let fault = {
            let mut world = world.lock().unwrap();
            world.under_way += 1;
            world.most_at_once = world.most_at_once.max(world.under_way);
            let condition = call.headers.get("if-match").map_or_else(String::new, |etag| format!(" {etag}"));
            let line = format!("{} {}{}{condition}", call.method, call.path, call.query);
            let at = world.faults.iter().position(|(on, _)| line.starts_with(on));
            world.calls.push(line);
            at.map(|at| world.faults.remove(at).1)
        };
        thread::sleep(Duration::from_millis(3));
        let answer = {
            let mut world = world.lock().unwrap();
            world.under_way -= 1;
            match fault {
                Some(Fault::Refuse(status)) => Some((status, None, error("refused"))),
                Some(Fault::DoAndAnswer(status)) => {
                    world.answer(&call);
                    Some((status, None, error("done")))
                }
                Some(Fault::LoseRequest) => None,
                Some(Fault::LoseAnswer) => {
                    world.answer(&call);
                    None
                }
                Some(Fault::Overtake) => {
                    world.overtake();
                    Some(world.answer(&call))
                }
                Some(Fault::EndTokens) => {
                    world.tokens.clear();
                    Some(world.answer(&call))
                }
                None => Some(world.answer(&call)),
            }
        };
        let Some((status, etag, body)) = answer else { return };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let etag = etag.map_or_else(String::new, |etag| format!("ETag: {etag}\r\n"));
        let retry = if matches!(status, 429 | 503) { "Retry-After: 0\r\n" } else { "" };
        let moved = if status == 307 { "Location: /v1/elsewhere\r\n" } else { "" };
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{etag}{retry}{moved}\r\n", body.len());
        if stream.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Call> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut parts = line.split_whitespace();
    let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    let at = target.find('?').unwrap_or(target.len());
    let (path, query) = target.split_at(at);
    let path = path.strip_prefix("/v1").unwrap_or(path).to_owned();
    Some(Call { method, path, query: query.to_owned(), headers, body: String::from_utf8(body).unwrap() })
}

fn error(code: &str) -> Value {
    json!({"code": code, "message": format!("This is {code}.")})
}

impl World {
    fn fresh(&mut self, prefix: &str) -> String {
        self.count += 1;
        format!("{prefix}{}", self.count)
    }

    fn overtake(&mut self) {
        let name = self.fresh("by someone else ");
        for client in self.clients.values_mut() {
            client.insert("client_name".into(), name.clone().into());
        }
    }

    fn answer(&mut self, call: &Call) -> Answer {
        let bearer = call.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or("");
        let scopes = self.tokens.get(bearer).cloned();
        let segments: Vec<&str> = call.path.trim_start_matches('/').split('/').collect();
        match (call.method.as_str(), segments.as_slice()) {
            ("POST", ["auth", "tokens", "long"]) => {
                let body: Value = serde_json::from_str(&call.body).unwrap();
                if call.headers.get("x-client-id").map(String::as_str) != body["client_id"].as_str() {
                    return (401, None, error("invalid_client"));
                }
                if body["client_secret"] != SECRET || body["grant_type"] != "client_credentials" {
                    return (401, None, error("invalid_client"));
                }
                assert_eq!(body["ttl_seconds"], 3600);
                let scopes: Vec<_> = body["scopes"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
                let token = self.fresh("long");
                self.logins.push(scopes.join(" "));
                self.tokens.insert(token.clone(), scopes.join(" "));
                (201, None, json!({"access_token": token, "token_id": "tok_lt_1", "expires_in": 3600}))
            }
            ("POST", ["auth", "tokens", "short"]) => match scopes {
                Some(scopes) if bearer.starts_with("long") => {
                    let token = self.fresh("short");
                    self.tokens.insert(token.clone(), scopes);
                    (201, None, json!({"access_token": token, "expires_in": self.short_life}))
                }
                _ => (401, None, error("invalid_token")),
            },
            ("POST", ["auth", "tokens", "tok_lt_1", "revoke"]) if scopes.is_some() => {
                self.revoked += 1;
                self.tokens.remove(bearer);
                (204, None, Value::Null)
            }
            (method, ["clients", rest @ ..]) => {
                let needed = if method == "GET" { "clients:read" } else { "clients:write" };
                match scopes {
                    Some(scopes) if scopes.split(' ').any(|scope| scope == needed) && bearer.starts_with("short") => {
                        self.clients(call, rest)
                    }
                    Some(_) => (401, None, error("insufficient_scope")),
                    None => (401, None, error("invalid_token")),
                }
            }
            _ => (404, None, error("not_found")),
        }
    }

    fn clients(&mut self, call: &Call, rest: &[&str]) -> Answer {
        let body = |call: &Call| serde_json::from_str::<Map<String, Value>>(&call.body).unwrap();
        let none = || (204, None, Value::Null);
        let id = rest.first().map(|id| (*id).to_owned()).unwrap_or_default();
        match (call.method.as_str(), rest) {
            ("POST", []) => return self.make(body(call)),
            ("GET", []) => return self.page(&call.query),
            ("DELETE", [_]) if self.deleted.contains(&id) => return none(),
            _ if !self.clients.contains_key(&id) => return (404, None, error("not_found")),
            _ => {}
        }
        let stale = call.headers.get("if-match").is_some_and(|asked| *asked != etag(&self.clients[&id]));
        if stale && rest.len() == 1 {
            return (412, None, error("precondition_failed"));
        }
        let number = self.fresh("");
        let client = self.clients.get_mut(&id).unwrap();
        match (call.method.as_str(), rest) {
            ("GET", [_]) => (200, Some(etag(client)), client.clone().into()),
            ("PATCH", [_]) => {
                for (name, value) in body(call) {
                    assert!(!["client_id", "region"].contains(&name.as_str()), "{name} can't be patched");
                    if value.is_null() {
                        client.remove(&name)
                    } else {
                        client.insert(name, value)
                    };
                }
                (200, Some(etag(client)), client.clone().into())
            }
            ("DELETE", [_]) => {
                self.clients.remove(&id);
                self.deleted.insert(id);
                none()
            }
            ("POST", [_, "secrets"]) => {
                let secrets = client["secrets"].as_array_mut().unwrap();
                if secrets.len() == 2 {
                    return (409, None, error("conflict"));
                }
                secrets.push(json!({"secret_id": format!("sec_{number}"), "created_at": "2026-11-24T00:00:00Z"}));
                let shown = format!("shown-secret-{number}");
                (201, None, json!({"secret_id": format!("sec_{number}"), "client_secret": shown}))
            }
            ("DELETE", [_, "secrets", secret]) => {
                let secrets = client["secrets"].as_array_mut().unwrap();
                let Some(at) = secrets.iter().position(|other| other["secret_id"] == *secret) else {
                    return (404, None, error("not_found"));
                };
                if call.query.is_empty() {
                    secrets.remove(at);
                } else {
                    secrets[at]["expires_at"] = "2027-01-01T00:00:00Z".into();
                }
                none()
            }
            ("POST", [_, "totp"]) => {
                client.insert("has_totp".into(), true.into());
                let uri = format!("otpauth://totp/x?secret=SEED{number}");
                client.insert("updated_at".into(), number.as_str().into());
                (201, None, json!({"totp_secret": format!("SEED{number}"), "otpauth_uri": uri}))
            }
            ("POST", [_, "end-tokens"]) => {
                client.insert("tokens_valid_from".into(), format!("2026-11-24T00:00:{number}Z").into());
                none()
            }
            _ => (405, None, error("method_not_allowed")),
        }
    }

    fn make(&mut self, mut client: Map<String, Value>) -> Answer {
        let id = client["client_id"].as_str().unwrap().to_owned();
        if self.clients.contains_key(&id) || self.deleted.contains(&id) {
            return (409, None, error("conflict"));
        }
        let number = self.fresh("");
        let uses = |name: &str| client["mechanisms"].as_array().unwrap().iter().any(|other| other == name);
        let (by_secret, by_code) = (uses("secret"), uses("otp"));
        let secrets = json!([{"secret_id": format!("sec_{number}"), "created_at": "2026-11-24T00:00:00Z"}]);
        client.insert("secrets".into(), if by_secret { secrets } else { json!([]) });
        client.insert("has_totp".into(), by_code.into());
        for (name, value) in [
            ("status", json!("active")),
            ("consistency", json!("eventual")),
            ("max_ttl_seconds", json!(7_776_000)),
            ("created_at", json!("2026-11-24T00:00:00Z")),
        ] {
            client.entry(name).or_insert(value);
        }
        let mut shown = client.clone();
        if by_secret {
            shown.insert("client_secret".into(), format!("shown-secret-{number}").into());
        }
        if by_code {
            shown.insert("totp_secret".into(), format!("SEED{number}").into());
            shown.insert("otpauth_uri".into(), format!("otpauth://totp/x?secret=SEED{number}").into());
        }
        self.clients.insert(id, client);
        (201, None, shown.into())
    }

    /// Pages of two clients, after an empty first page.
    fn page(&self, query: &str) -> Answer {
        let Some((_, cursor)) = query.split_once("cursor=") else {
            return (200, None, json!({"clients": [], "cursor": "a+b/0"}));
        };
        let start: usize = cursor.strip_prefix("a%2Bb%2F").expect("the cursor is encoded").parse().unwrap();
        let page: Vec<_> = self.clients.iter().skip(start).take(2).collect();
        let listed: Vec<_> =
            page.iter().map(|(id, client)| json!({"client_id": id, "status": client["status"]})).collect();
        let mut answer = json!({"clients": listed});
        if start + 2 < self.clients.len() {
            answer["cursor"] = format!("a+b/{}", start + 2).into();
        }
        (200, None, answer)
    }
}

fn etag(client: &Map<String, Value>) -> String {
    let text = Value::from(client.clone()).to_string();
    let sum = text.bytes().fold(7u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("\"{sum:x}\"")
}
