//! The Worker under `wrangler dev`: workerd, local KV, Durable Objects and rate limits. `make test` builds it first.
//! Each test has its own server, with its own keys, clients and state, in a folder below target/.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod caller;

use std::collections::HashMap;
use std::fs;
use std::net::TcpListener;
use std::ops::Deref;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use auth_edge::otp;
use base64ct::{Base64UrlUnpadded, Encoding};
use caller::{Answer, Caller, ROOT, bearer, by_secret, now, text, token};
use futures_util::future::{join_all, join4};
use reqwest::Method;
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};
use tokio::time::Instant;

/// `RATE_LIMIT_PERIOD_SECONDS`, different from its default.
const PERIOD: &str = "59";

/// A running `wrangler dev`, with its clients.
struct Dev {
    folder: PathBuf,
    process: Child,
    roles: HashMap<String, HashMap<String, toml::Value>>,
    caller: Caller,
}

impl Deref for Dev {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl Dev {
    /// Creates keys and operator, starts the server, and creates the clients through it.
    async fn start(name: &str) -> Self {
        assert!(Path::new(ROOT).join("build/index_bg.wasm").exists(), "the Worker is not built; run `make test`");
        let folder = Path::new(ROOT).join("target/wrangler-dev").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let config = fs::read_to_string(Path::new(ROOT).join("wrangler.toml")).unwrap();
        let config = config
            .replace("main = \"build/", "main = \"../../../build/")
            .replace("[build]\n", "[unused]\n")
            // Without quotes it reaches the Worker as a number, which must work too.
            .replace("RATE_LIMIT_PERIOD_SECONDS = \"60\"\n", &format!("RATE_LIMIT_PERIOD_SECONDS = {PERIOD}\n"));
        fs::write(folder.join("wrangler.toml"), config).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let caller = Caller::new(port);
        run(admin(&folder).args(["init", "--url", &format!("{}/v1", caller.url)]));
        let mut dev = Self { process: serve(&folder, port), folder, roles: HashMap::new(), caller };
        dev.wait().await;
        run(admin(&dev.folder).args(["dev", "--operator", ".dev/operator.toml"]));
        dev.roles = toml::from_str(&fs::read_to_string(dev.folder.join(".dev/identities.toml")).unwrap()).unwrap();
        dev
    }

    /// Kills the process, like a crash, and starts it again with the same state.
    async fn restart(&mut self) {
        self.kill();
        self.process = serve(&self.folder, self.url.rsplit_once(':').unwrap().1.parse().unwrap());
        self.wait().await;
    }

    async fn wait(&self) {
        let up = self.caller.wait().await;
        up.unwrap_or_else(|()| panic!("wrangler dev did not start; see {}", self.folder.join("log").display()));
    }

    fn kill(&mut self) {
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.process.wait();
    }

    fn of(&self, role: &str, field: &str) -> String {
        self.roles[role][field].as_str().unwrap().to_owned()
    }

    fn id(&self, role: &str) -> String {
        self.of(role, "client_id")
    }

    fn by_secret(&self, role: &str) -> Value {
        by_secret(&self.id(role), &self.of(role, "client_secret"))
    }

    fn by_code(&self, role: &str, step: u64) -> Value {
        by_code(&self.id(role), &self.of(role, "totp_secret"), step)
    }

    fn by_assertion(&self, role: &str, assertion: &str) -> Value {
        json!({
            "grant_type": "assertion",
            "client_id": self.id(role),
            "assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "assertion": assertion,
        })
    }

    fn assertion(&self, role: &str, jti: &str) -> String {
        let jwk: Value = serde_json::from_str(&self.of(role, "assertion_jwk")).unwrap();
        let header = json!({"alg": jwk["alg"], "kid": jwk["kid"]});
        let client_id = self.id(role);
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": format!("{}/v1/auth/tokens/long", self.url), "jti": jti,
            "iat": now(), "exp": now() + 300,
        });
        let [header, claims] =
            [header, claims].map(|part| Base64UrlUnpadded::encode_string(part.to_string().as_bytes()));
        let message = format!("{header}.{claims}");
        let seed = Base64UrlUnpadded::decode_vec(jwk["d"].as_str().unwrap()).unwrap();
        let signature = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap().sign(message.as_bytes());
        format!("{message}.{}", Base64UrlUnpadded::encode_string(signature.as_ref()))
    }

    async fn issue(&self, role: &str) -> Value {
        self.long(&self.id(role), &self.by_secret(role)).await.is(201).json()
    }

    /// A short-term token of the operator.
    async fn operator(&self) -> String {
        let long = self.issue("operator").await;
        token(&self.short(token(&long), None).await.is(201).json()).to_owned()
    }

    /// Changes the secrets of the running server. wrangler reloads them when its configuration file is written.
    fn set_vars(&self, vars: &str) {
        fs::write(self.folder.join(".dev.vars"), vars).unwrap();
        let config = self.folder.join("wrangler.toml");
        fs::write(&config, fs::read_to_string(&config).unwrap()).unwrap();
    }

    /// Waits until the server, with its changed settings, answers an exchange with this status.
    async fn comes_to(&self, status: u16, long: &Value) -> Answer {
        for _ in 0..300 {
            if self.short(token(long), None).await.status == status {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.short(token(long), None).await.is(status)
    }

    /// Sends the same request 100 times concurrently. Returns the number of answers for each status.
    async fn hundredfold(&self, client_id: &str, body: &Value) -> HashMap<u16, usize> {
        let answers = join_all((0..100).map(|_| self.long(client_id, body))).await;
        answers.iter().fold(HashMap::new(), |mut counts, answer| {
            *counts.entry(answer.status.as_u16()).or_default() += 1;
            counts
        })
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The body of a request for a long-term token, with a one-time code.
fn by_code(client_id: &str, totp_secret: &str, step: u64) -> Value {
    let seed = data_encoding::BASE32_NOPAD.decode(totp_secret.as_bytes()).unwrap();
    let code = String::from_utf8(otp::code(&seed, step).to_vec()).unwrap();
    json!({"grant_type": "client_credentials", "client_id": client_id, "otp_code": code})
}

fn wrangler(folder: &Path) -> Command {
    let bin = Path::new(ROOT).join("node_modules/.bin");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(bin.join("wrangler"));
    command.current_dir(folder).env("PATH", path).env("WRANGLER_SEND_METRICS", "false").env("CI", "true");
    command
}

fn admin(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--package", "admin", "--manifest-path"]).arg(Path::new(ROOT).join("Cargo.toml"));
    command.arg("--").current_dir(folder);
    command
}

fn serve(folder: &Path, port: u16) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
    let issuer = format!("ISSUER:http://127.0.0.1:{port}");
    let mut command = wrangler(folder);
    command.args(["dev", "--port", &port.to_string(), "--inspector-port", "0", "--var", &issuer]);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0).spawn().unwrap()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn every_cell() {
    let dev = Dev::start("every-cell").await;
    let (valid, narrow) = (dev.id("valid"), dev.id("narrow"));

    // issueLongTermToken
    let answer = dev.long(&valid, &dev.by_secret("valid")).await.is(201);
    let long = answer.json();
    assert_eq!(answer.headers["x-token-id"], text(&long, "token_id"));
    assert_eq!(long["expires_in"], 2_592_000);
    dev.long(&valid, &json!({})).await.is(400).code("invalid_grant");
    dev.long(&valid, &json!({"grant_type": "client_credentials", "client_id": valid, "client_secret": "wrong"}))
        .await
        .is(401)
        .code("invalid_client");
    dev.long(&dev.id("suspended"), &dev.by_secret("suspended")).await.is(403).code("unauthorized_client");

    // issueShortTermToken
    let answer = dev.short(token(&long), Some(json!({"scopes": ["jobs:submit", "tokens:write"]}))).await.is(201);
    let short = answer.json();
    assert_eq!(short["expires_in"], 900);
    dev.short(token(&long), None).await.is(201);
    dev.short(token(&long), Some(json!({"scopes": ["other:read"]}))).await.is(400).code("invalid_scope");
    dev.short("not-a-token", None).await.is(401).code("invalid_token");
    dev.short(token(&short), None).await.is(401).code("invalid_token");

    // The other three mechanisms
    dev.long(&valid, &dev.by_code("valid", now() / otp::STEP)).await.is(201);
    dev.long(&valid, &dev.by_assertion("valid", &dev.assertion("valid", "cell"))).await.is(201);
    let rotated = dev.rotate(token(&short), &valid).await;
    assert_eq!(rotated.is(201).json()["scopes"], json!(["jobs:submit", "tokens:write"]));
    dev.short(token(&long), None).await.is(201);

    // revokeToken
    let other = dev.issue("other").await;
    dev.revoke(token(&other), text(&long, "token_id")).await.is(404).code("not_found");
    dev.revoke("not-a-token", text(&long, "token_id")).await.is(401).code("invalid_token");
    dev.revoke(token(&long), text(&long, "token_id")).await.is(204);
    dev.revoke(token(&long), text(&long, "token_id")).await.is(204);
    dev.short(token(&long), None).await.is(401).code("invalid_token");
    dev.revoke(token(&short), text(&short, "token_id")).await.is(401).code("invalid_token");

    // Outside the matrix
    dev.send(Method::POST, "/v1/auth/tokens/long/", &[], None).await.is(404).code("not_found");
    let answer = dev.send(Method::GET, "/v1/auth/tokens/long", &[], None).await.is(405);
    assert_eq!(answer.headers["allow"], "POST");

    // The limits come last, with separate clients. A period may end in between, so there are enough calls for the
    // limits of two periods.
    let burst = dev.issue("burst").await;
    let mut limited = None;
    for _ in 0..13 {
        let answers = join_all((0..100).map(|_| dev.short(token(&burst), None))).await;
        limited = answers.into_iter().find(|answer| answer.status != 201);
        if limited.is_some() {
            break;
        }
    }
    let limited = limited.unwrap().is(429);
    limited.code("rate_limited");
    assert_eq!(limited.headers["retry-after"], PERIOD);
    let mut limited = false;
    for _ in 0..13 {
        limited = dev
            .hundredfold(
                &narrow,
                &json!({"grant_type": "client_credentials", "client_id": narrow, "client_secret": "x"}),
            )
            .await
            .contains_key(&429);
        if limited {
            break;
        }
    }
    assert!(limited);
    dev.long(&narrow, &dev.by_secret("narrow")).await.is(429).code("rate_limited");
}

/// Of any number of concurrent uses of a code or an assertion, exactly one is answered 201.
#[tokio::test]
async fn once_means_once() {
    let dev = Dev::start("once").await;
    let exactly_one = HashMap::from([(201, 1), (401, 99)]);
    for role in ["valid", "other"] {
        let id = dev.id(role);
        let code = dev.by_code(role, now() / otp::STEP);
        assert_eq!(dev.hundredfold(&id, &code).await, exactly_one, "one code of {role}");
        let assertion = dev.by_assertion(role, &dev.assertion(role, "once"));
        assert_eq!(dev.hundredfold(&id, &assertion).await, exactly_one, "one assertion of {role}");
    }
}

#[tokio::test]
async fn a_crash_forgets_nothing() {
    let mut dev = Dev::start("crash").await;
    let valid = dev.id("valid");
    let [kept, revoked] = [dev.issue("valid").await, dev.issue("valid").await];
    let kept_short = dev.short(token(&kept), None).await.is(201).json();
    let revoked_short = dev.short(token(&revoked), None).await.is(201).json();
    let code = dev.by_code("valid", now() / otp::STEP + 1);
    let assertion = dev.by_assertion("valid", &dev.assertion("valid", "crash"));
    dev.long(&valid, &code).await.is(201);
    dev.long(&valid, &assertion).await.is(201);
    dev.revoke(token(&revoked), text(&revoked, "token_id")).await.is(204);

    dev.restart().await;

    // The Worker's memory is gone: only the object's storage shows that a token's parent has ended.
    for (short, status) in [(&revoked_short, 401), (&kept_short, 204)] {
        dev.revoke(token(short), text(short, "token_id")).await.is(status);
    }
    dev.short(token(&kept), None).await.is(201);
    dev.short(token(&revoked), None).await.is(401).code("invalid_token");
    dev.long(&valid, &code).await.is(401).code("invalid_client");
    dev.long(&valid, &assertion).await.is(401).code("invalid_client");
}

/// The keys of both kinds of token and of the token ids are replaced, with the steps that `admin` prints, while
/// requests continue. No request fails.
#[tokio::test]
async fn keys_rotate_while_requests_continue() {
    let dev = Dev::start("rotation").await;
    let first = dev.issue("valid").await;
    let admin = async |args: &[&str]| {
        run(admin(&dev.folder).arg("keys").args(args));
        dev.set_vars(&fs::read_to_string(dev.folder.join(".dev.vars")).unwrap());
        tokio::time::sleep(Duration::from_secs(3)).await;
    };
    let keys = || {
        let vars = fs::read_to_string(dev.folder.join(".dev.vars")).unwrap();
        let set = vars.lines().find_map(|line| line.strip_prefix("AUTH_KEYS='")?.strip_suffix('\'')).unwrap();
        serde_json::from_str::<Value>(set).unwrap()["keys"].as_array().unwrap().clone()
    };
    let signed_by = |issued: &Value| {
        let header = token(issued).split('.').next().unwrap().to_owned();
        let header: Value = serde_json::from_slice(&Base64UrlUnpadded::decode_vec(&header).unwrap()).unwrap();
        text(&header, "kid").to_owned()
    };
    let steps = async {
        for key_use in ["at+jwt", "lt+jwt", "token-id"] {
            admin(&["add", key_use]).await;
        }
        for index in [4, 5, 6] {
            admin(&["promote", text(&keys()[index], "kid")]).await;
        }
    };
    let mut answered = 0;
    let requests = async {
        loop {
            let long = dev.issue("valid").await;
            let short = dev.short(token(&long), None).await.is(201).json();
            dev.short(token(&first), None).await.is(201);
            dev.revoke(token(&short), text(&short, "token_id")).await.is(204);
            answered += 4;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! { () = steps => {}, () = requests => unreachable!() }
    // The number is not a measure: a busy machine answers few, but some must fall between the steps.
    assert!(answered > 20, "only {answered} calls were answered while the keys rotated");

    let long = dev.issue("valid").await;
    let short = dev.short(token(&first), None).await.is(201).json();
    assert_ne!(signed_by(&long), signed_by(&first));
    let keys = keys();
    let signing = |key_use: &str| keys.iter().find(|key| key["use"] == key_use).unwrap()["kid"].clone();
    assert_eq!(signing("lt+jwt"), signed_by(&long));
    assert_eq!(signing("at+jwt"), signed_by(&short));
}

/// With a missing or malformed setting, a deployment answers every request 500, and its log names the setting.
#[tokio::test]
async fn a_missing_or_broken_setting_stops_the_service() {
    let dev = Dev::start("settings").await;
    let issued = dev.issue("valid").await;
    let vars = fs::read_to_string(dev.folder.join(".dev.vars")).unwrap();
    let (x, d) = ("\"x\":\"", "\"d\":\"");
    let swapped = vars.replacen(&vars[vars.find(x).unwrap() + 5..][..43], &vars[vars.find(d).unwrap() + 5..][..43], 1);
    let no_operator = vars.replace("OPERATOR='", "OPERATOR='[]");
    assert!(swapped != vars && no_operator != vars);
    // Lists are rejected, not coerced to strings.
    let config = fs::read_to_string(dev.folder.join("wrangler.toml")).unwrap();
    let audience = "AUDIENCE = \"http://127.0.0.1:8787\"\n";
    assert!(config.contains(audience));
    fs::write(dev.folder.join("wrangler.toml"), config.replace(audience, "AUDIENCE = [\"a\", \"b\"]\n")).unwrap();
    dev.comes_to(500, &issued).await.code("server_error");
    fs::write(dev.folder.join("wrangler.toml"), config).unwrap();
    dev.comes_to(201, &issued).await;
    let keys = ["OTHER='x'\n", "AUTH_KEYS='{}'\n", "AUTH_KEYS=''\n"].map(str::to_owned);
    for broken in keys.into_iter().chain([swapped, no_operator]) {
        dev.set_vars(&broken);
        dev.comes_to(500, &issued).await.code("server_error");
        dev.long(&dev.id("valid"), &dev.by_secret("valid")).await.is(500).code("server_error");
        dev.revoke(token(&issued), text(&issued, "token_id")).await.is(500).code("server_error");
        dev.set_vars(&vars);
        dev.comes_to(201, &issued).await;
    }
    let log = fs::read_to_string(dev.folder.join("log")).unwrap();
    for problem in
        ["AUTH_KEYS is missing", "AUDIENCE must be a string or a number", "OPERATOR is not an operator's record"]
    {
        assert!(log.contains(&format!("setting {problem}")), "the log names the setting");
    }
}

/// After a panic (a trap) the WASM gets new memory, and the next request is answered. A panic can't be caused from
/// outside, so the test traps a call within the WASM.
#[tokio::test]
async fn after_a_panic_the_next_request_is_answered() {
    let dev = Dev::start("panic").await;
    let long = dev.issue("valid").await;
    let probe = r#"
        import entry, { Client as Object, Feed } from "../../../build/index.js";
        let isDue = false;
        function trap() {
          isDue = false;
          try {
            entry.fetch({});
          } catch {
            return new Response("trapped");
          }
        }
        export { Feed };
        export class Client extends Object {
          fetch(request) {
            if (isDue) trap();
            return super.fetch(request);
          }
        }
        export default {
          fetch(request, env, ctx) {
            if (request.url.endsWith("/trap")) return trap();
            if (!request.url.endsWith("/trap-before-an-object")) return entry.fetch(request, env, ctx);
            isDue = true;
            return new Response("due");
          },
        };"#;
    fs::write(dev.folder.join("probe.js"), probe).unwrap();
    let config = fs::read_to_string(dev.folder.join("wrangler.toml")).unwrap();
    fs::write(dev.folder.join("wrangler.toml"), config.replace("../../../build/index.js", "probe.js")).unwrap();
    let send = async |path| dev.send(Method::POST, path, &[], None).await;
    for _ in 0..40 {
        if send("/trap").await.status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    for (path, says) in [("/trap", "trapped"), ("/trap-before-an-object", "due"), ("/trap", "trapped")] {
        assert_eq!(send(path).await.body, says);
        if says == "due" {
            // A call that was waiting for the object had its state in the old memory, so it fails.
            let answer = dev.long(&dev.id("valid"), &dev.by_secret("valid")).await;
            assert_eq!(answer.status, 500, "{}", answer.body);
        }
        for _ in 0..3 {
            dev.short(token(&long), None).await.is(201);
            dev.short("x", None).await.is(401).code("invalid_token");
        }
        // The client's object was in the same memory.
        let issued = dev.issue("valid").await;
        dev.revoke(token(&issued), text(&issued, "token_id")).await.is(204);
        dev.short(token(&issued), None).await.is(401).code("invalid_token");
    }
}

/// Bodies of every size, with and without Content-Length, and bodies that no operation reads.
#[tokio::test]
async fn bodies_at_the_limit() {
    let dev = Dev::start("bodies").await;
    let valid = dev.id("valid");
    let body = dev.by_secret("valid").to_string();
    let headers = [("Content-Type", "application/json"), ("X-Client-Id", valid.as_str())];
    for (size, status) in [(16_384, 201), (16_385, 400), (5_000_000, 400)] {
        let padded = body.clone() + &" ".repeat(size - body.len());
        dev.send(Method::POST, "/v1/auth/tokens/long", &headers, Some(padded.clone())).await.is(status);
        // Without a Content-Length: chunked.
        let pieces: Vec<std::io::Result<Vec<u8>>> =
            padded.as_bytes().chunks(4096).map(|piece| Ok(piece.to_vec())).collect();
        let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        let request = dev
            .http
            .post(format!("{}/v1/auth/tokens/long", dev.url))
            .header("Content-Type", "application/json")
            .header("X-Client-Id", &valid);
        let answer = request.body(stream).send().await.unwrap();
        assert_eq!(answer.status(), status, "chunked, {size}");
    }
    let issued = dev.issue("valid").await;
    let authorization = bearer(token(&issued));
    let path = format!("/v1/auth/tokens/{}/revoke", text(&issued, "token_id"));
    dev.send(Method::POST, &path, &[("Authorization", "Bearer x")], Some("x".repeat(3_000_000))).await.is(401);
    dev.send(Method::POST, &path, &[("Authorization", &authorization)], Some("\u{0}{".repeat(1_000_000))).await.is(204);
}

/// A sender may delay its body. The request is judged at the time at which the body ends.
#[tokio::test]
async fn a_delayed_body_is_judged_when_it_ends() {
    let dev = Dev::start("held").await;
    let valid = dev.id("valid");
    let long = dev.issue("valid").await;
    let short = dev.short(token(&long), None).await.is(201).json();
    let rotation = json!({"grant_type": "client_credentials", "client_id": valid}).to_string();
    let held = |path: &str, headers: Vec<(&'static str, String)>, body: String| {
        let (first, last) = body.split_at(body.len() - 1);
        let pieces = [(first.to_owned(), 0), (last.to_owned(), 4)].map(|(piece, seconds)| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            std::io::Result::Ok(piece)
        });
        let stream = futures_util::stream::StreamExt::then(futures_util::stream::iter(pieces), |piece| piece);
        let mut request =
            dev.http.post(format!("{}/v1/auth/tokens/{path}", dev.url)).header("Content-Type", "application/json");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(reqwest::Body::wrap_stream(stream)).send()
    };
    let exchanging = held("short", vec![("Authorization", bearer(token(&long)))], "{ }".to_owned());
    let rotating = held("long", vec![("Authorization", bearer(token(&short)))], rotation);
    let jwt = dev.assertion("valid", "held");
    let asserting = held("long", vec![("X-Client-Id", valid.clone())], dev.by_assertion("valid", &jwt).to_string());
    let meanwhile = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        dev.revoke(token(&long), text(&long, "token_id")).await.is(204);
        dev.long(&valid, &dev.by_assertion("valid", &jwt)).await.is(201);
    };
    let (exchanged, rotated, asserted, ()) = join4(exchanging, rotating, asserting, meanwhile).await;
    assert_eq!(exchanged.unwrap().status(), 401);
    assert_eq!(rotated.unwrap().status(), 401);
    assert_eq!(asserted.unwrap().status(), 401);
}

/// A hundred concurrent callers wait for the same writes to KV.
#[tokio::test]
async fn a_hundred_revocations_at_once() {
    let dev = Dev::start("revocations").await;
    let issued = join_all((0..100).map(|_| dev.issue("valid"))).await;
    let began = Instant::now();
    for answer in join_all(issued.iter().map(|issued| dev.revoke(token(issued), text(issued, "token_id")))).await {
        answer.is(204);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for issued in &issued {
        dev.short(token(issued), None).await.is(401).code("invalid_token");
    }
}

/// Each operation on a client, from its creation to its deletion.
#[tokio::test]
async fn the_life_of_a_client() {
    let dev = Dev::start("life").await;
    let operator = dev.operator().await;
    let api = async |method: Method, path: &str, body: Option<Value>| dev.operate(&operator, method, path, body).await;
    let mut secrets = Vec::new();

    // Callers without the scope
    let none = dev.short(token(&dev.issue("valid").await), None).await.is(201).json();
    let reader = dev.short(token(&dev.issue("reader").await), None).await.is(201).json();
    let wanted = json!({
        "client_id": "acme", "client_name": "Acme", "scopes": ["jobs:*", "tokens:*"],
        "mechanisms": ["secret", "otp", "rotation"],
    });
    for bearer in [token(&none), token(&reader)] {
        let answer = dev.operate(bearer, Method::POST, "", Some(wanted.clone())).await.is(401);
        answer.code("insufficient_scope");
    }
    let huge = json!({"client_name": "x".repeat(16_384), "scopes": ["jobs:*"], "mechanisms": ["secret"]});
    api(Method::POST, "", Some(huge.clone())).await.is(400).code("invalid_request");
    api(Method::GET, "/acme", None).await.is(404).code("not_found");

    // Creation
    let made = api(Method::POST, "", Some(wanted.clone())).await.is(201);
    let mut shown = made.json();
    for name in ["client_secret", "totp_secret", "otpauth_uri"] {
        secrets.push(shown.as_object_mut().unwrap().remove(name).unwrap().as_str().unwrap().to_owned());
    }
    let (first, seed) = (secrets[0].clone(), secrets[1].clone());
    let read = dev.operate(token(&reader), Method::GET, "/acme", None).await.is(200);
    assert_eq!((read.json(), &read.headers["etag"]), (shown.clone(), &made.headers["etag"]));
    api(Method::POST, "", Some(wanted.clone())).await.is(409).code("conflict");
    assert!(listed(&dev, &operator).await.contains(&json!({"client_id": "acme", "status": "active"})));

    // Its credentials
    let long = dev.long("acme", &by_secret("acme", &first)).await.is(201).json();
    dev.long("acme", &by_code("acme", &seed, now() / otp::STEP)).await.is(201);
    let short = dev.short(token(&long), None).await.is(201).json();
    dev.rotate(token(&short), "acme").await.is(201);
    let added = api(Method::POST, "/acme/secrets", None).await.is(201).json();
    secrets.push(text(&added, "client_secret").to_owned());
    api(Method::POST, "/acme/secrets", None).await.is(409).code("conflict");
    let old = format!("/acme/secrets/{}", text(&shown["secrets"][0], "secret_id"));
    api(Method::DELETE, &old, None).await.is(204);
    api(Method::DELETE, &old, None).await.is(404).code("not_found");
    dev.long("acme", &by_secret("acme", &first)).await.is(401).code("invalid_client");
    let good = by_secret("acme", text(&added, "client_secret"));
    dev.long("acme", &good).await.is(201);
    let renewed = api(Method::POST, "/acme/totp", None).await.is(201).json();
    secrets.push(text(&renewed, "totp_secret").to_owned());
    dev.long("acme", &by_code("acme", &seed, now() / otp::STEP + 1)).await.is(401).code("invalid_client");
    dev.long("acme", &by_code("acme", text(&renewed, "totp_secret"), now() / otp::STEP + 1)).await.is(201);

    // Changes
    let stale = made.headers["etag"].to_str().unwrap();
    let authorization = bearer(&operator);
    let headers = [
        ("Content-Type", "application/merge-patch+json"),
        ("Authorization", authorization.as_str()),
        ("If-Match", stale),
    ];
    let patch = json!({"client_name": null}).to_string();
    dev.send(Method::PATCH, "/v1/clients/acme", &headers, Some(patch)).await.is(412).code("precondition_failed");
    for wrong in
        [huge, json!({"status": "deleted"}), json!({"jwks": {"keys": []}}), json!({"region": "weur"}), json!([])]
    {
        api(Method::PATCH, "/acme", Some(wrong)).await.is(400);
    }
    assert_eq!(api(Method::GET, "/acme", None).await.is(200).json()["client_name"], "Acme");
    api(Method::PATCH, "/acme", Some(json!({"scopes": ["jobs:submit"]}))).await.is(200);
    assert_eq!(dev.short(token(&long), None).await.is(201).json()["scopes"], json!(["jobs:submit"]));
    api(Method::PATCH, "/acme", Some(json!({"status": "suspended"}))).await.is(200);
    dev.short(token(&long), None).await.is(401).code("invalid_token");
    dev.long("acme", &good).await.is(403).code("unauthorized_client");
    dev.revoke(token(&short), text(&short, "token_id")).await.is(401).code("invalid_token");
    api(Method::PATCH, "/acme", Some(json!({"status": "active"}))).await.is(200);
    // A change that widens is answered before KV has it.
    for _ in 0..100 {
        if dev.short(token(&long), None).await.status == 201 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    dev.short(token(&long), None).await.is(201);
    api(Method::POST, "/acme/end-tokens", None).await.is(204);
    dev.short(token(&long), None).await.is(401).code("invalid_token");
    let long = dev.long("acme", &good).await.is(201).json();
    dev.short(token(&long), None).await.is(201);

    // Deletion
    api(Method::DELETE, "/acme", None).await.is(204);
    api(Method::DELETE, "/acme", None).await.is(204);
    dev.short(token(&long), None).await.is(401).code("invalid_token");
    dev.long("acme", &good).await.is(401).code("invalid_client");
    api(Method::GET, "/acme", None).await.is(404).code("not_found");
    api(Method::POST, "", Some(wanted)).await.is(409).code("conflict");
    assert!(listed(&dev, &operator).await.iter().all(|client| client["client_id"] != "acme"));
    let log = fs::read_to_string(dev.folder.join("log")).unwrap();
    for secret in secrets.iter().map(String::as_str).chain([token(&long), operator.as_str()]) {
        assert!(!log.contains(secret), "the log contains a secret");
    }
    for event in
        ["createClient", "updateClient", "endClientSecret", "createClientTotp", "endClientTokens", "deleteClient"]
    {
        let line = log.lines().find(|line| line.contains(event) && line.contains("changed")).unwrap();
        assert!(line.contains(r#""operator":"operator""#), "{line}");
    }
}

/// All listed clients, read in pages of two.
async fn listed(dev: &Dev, operator: &str) -> Vec<Value> {
    let mut clients = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = dev.operate(operator, Method::GET, &query, None).await.is(200).json();
        clients.extend(page["clients"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["cursor"].as_str() else { return clients };
        query = format!("?limit=2&cursor={cursor}");
    }
}
