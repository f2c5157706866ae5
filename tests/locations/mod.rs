//! The Worker in workerd, without wrangler, at three locations that share the clients' objects.

pub mod kv;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use auth_edge::client::{Mechanism, Operator, StoredSecret};
use auth_edge::scope::Scopes;
use auth_edge::secret::Secret;
use base64ct::{Base64UrlUnpadded, Encoding};
use reqwest::Method;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use crate::caller::{Caller, ROOT, by_secret, text, token};
use kv::Kv;

/// The Worker with a settable clock, and a feed that can be down.
const MAIN: &str = r#"
import entry, { Client, Feed as Inner } from "./index.js";

const real = Date.now;
let ahead = 0;
let isDown = false;
Date.now = () => real() + ahead;

export { Client };
export class Feed {
  constructor(state, env) {
    this.inner = new Inner(state, env);
  }
  fetch(request) {
    if (isDown) throw new Error("the feed is down");
    return this.inner.fetch(request);
  }
}
export default {
  fetch(request, env, ctx) {
    const { pathname, search } = new URL(request.url);
    if (pathname === "/clock") ahead = 1000 * Number(search.slice(1));
    else if (pathname === "/feed") isDown = search === "?down";
    else return entry.fetch(request, env, ctx);
    return new Response();
  },
};"#;

/// Durable Objects that don't answer.
const ABSENT: &str = r#"
export class Client {
  fetch() {
    throw new Error("the object is down");
  }
}
export class Feed extends Client {}
export default {};"#;

/// A substitute for the rate limit binding, which workerd does not have. Every call is within the limit.
const RATE_LIMIT: &str = r#"
export default () => ({ limit: async ({ key }) => ({ success: typeof key === "string" }) });"#;

const OPERATOR: &str = "operator";

pub struct Locations {
    /// The location of the objects. They write to its KV.
    pub home: Caller,
    /// Another location, whose KV shows no writes, only what a test copies into it.
    pub away: Caller,
    /// A location with `home`'s KV, from which no object answers.
    pub cut_off: Caller,
    pub home_kv: Kv,
    pub away_kv: Kv,
    folder: PathBuf,
    workerd: Child,
    operator_secret: String,
    /// A short-term token of the operator.
    pub operator: String,
}

/// A client that a test created.
pub struct Made {
    pub id: String,
    pub secret: String,
    pub etag: String,
}

impl Locations {
    pub async fn start(name: &str) -> Self {
        let build = Path::new(ROOT).join("build");
        assert!(build.join("index_bg.wasm").exists(), "the Worker is not built; run `make test`");
        let folder = Path::new(ROOT).join("target/locations").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("objects")).unwrap();
        for module in ["index.js", "index_bg.wasm"] {
            fs::copy(build.join(module), folder.join(module)).unwrap();
        }
        for (module, text) in [("main.js", MAIN), ("absent.js", ABSENT), ("limit.js", RATE_LIMIT)] {
            fs::write(folder.join(module), text).unwrap();
        }
        let (home_kv, away_kv) = (Kv::start().await, Kv::start().await);
        let ports = free_ports();
        let operator_secret = random::<32>();
        let config = configuration(&folder, ports, [home_kv.address, away_kv.address], &operator_secret);
        fs::write(folder.join("config.capnp"), config).unwrap();
        let [home, away, cut_off] = ports.map(Caller::new);
        let workerd = serve(&folder);
        let mut locations =
            Self { home, away, cut_off, home_kv, away_kv, folder, workerd, operator_secret, operator: String::new() };
        locations.wait().await;
        locations.log_in().await;
        locations
    }

    /// Kills the process, like a crash.
    pub fn kill(&mut self) {
        let _ = self.workerd.kill();
        let _ = self.workerd.wait();
    }

    /// Starts the process again with the same state.
    pub async fn restart(&mut self) {
        self.workerd = serve(&self.folder);
        self.wait().await;
    }

    async fn wait(&self) {
        for location in [&self.home, &self.away, &self.cut_off] {
            let up = location.wait().await;
            up.unwrap_or_else(|()| panic!("workerd did not start; see {}", self.folder.join("log").display()));
        }
    }

    /// Sets how far the clocks of all locations are ahead, seconds. Alarms are not affected.
    pub async fn clock(&self, ahead: i64) {
        for location in [&self.home, &self.away, &self.cut_off] {
            assert_eq!(location.send(Method::GET, &format!("/clock?{ahead}"), &[], None).await.status, 200);
        }
    }

    /// Makes the feed's object fail, or work again.
    pub async fn feed(&self, state: &str) {
        assert_eq!(self.home.send(Method::GET, &format!("/feed?{state}"), &[], None).await.status, 200);
    }

    /// Gets a new operator's token.
    pub async fn log_in(&mut self) {
        let long = self.home.long(OPERATOR, &by_secret(OPERATOR, &self.operator_secret)).await.is(201).json();
        self.operator = token(&self.home.short(token(&long), None).await.is(201).json()).to_owned();
    }

    /// Creates a client, and waits until KV has it.
    pub async fn client(&self, consistency: &str) -> Made {
        let made = self.client_without_kv(consistency).await;
        self.home_kv.shows(&made.id, |_| true).await;
        made
    }

    pub async fn client_without_kv(&self, consistency: &str) -> Made {
        let body = json!({
            "scopes": ["jobs:*", "tokens:*"], "mechanisms": ["secret", "rotation"], "consistency": consistency,
        });
        let answer = self.home.operate(&self.operator, Method::POST, "", Some(body)).await.is(201);
        let etag = answer.headers["etag"].to_str().unwrap().to_owned();
        let made = answer.json();
        Made { id: text(&made, "client_id").to_owned(), secret: text(&made, "client_secret").to_owned(), etag }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }

    /// The files in which the objects have stored their state: name and content.
    pub fn stored(&self) -> Vec<(String, Vec<u8>)> {
        let files = fs::read_dir(self.folder.join("objects/client")).unwrap();
        let files = files.map(|file| file.unwrap().path());
        // SQLite may remove a file in the meantime.
        files.filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), fs::read(&path).ok()?))).collect()
    }
}

impl Drop for Locations {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Made {
    pub fn by_secret(&self) -> Value {
        by_secret(&self.id, &self.secret)
    }

    /// A long-term token, issued at this location.
    pub async fn long(&self, location: &Caller) -> Value {
        location.long(&self.id, &self.by_secret()).await.is(201).json()
    }
}

/// Three different ports: all three are bound before any is released.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn serve(folder: &Path) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = Command::new(Path::new(ROOT).join("node_modules/.bin/workerd"));
    command.arg("serve").arg(folder.join("config.capnp")).stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

fn random<const N: usize>() -> String {
    Base64UrlUnpadded::encode_string(&random_bytes::<N>())
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).unwrap();
    bytes
}

fn auth_keys() -> String {
    let seed = random_bytes::<32>();
    let public = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let [x, d] = [public.public_key().as_ref(), &seed].map(Base64UrlUnpadded::encode_string);
    let oct = |key_use: &str, alg: &str| json!({"kty": "oct", "use": key_use, "kid": key_use, "alg": alg, "k": random::<32>()});
    json!({"keys": [
        oct("lt+jwt", "HS256"), oct("token-id", "HS256"), oct("totp-seal", "XC20P"),
        {"kty": "OKP", "crv": "Ed25519", "use": "at+jwt", "kid": "at+jwt", "alg": "EdDSA", "x": x, "d": d},
    ]})
    .to_string()
}

fn operator(secret: &str) -> String {
    let operator = Operator {
        client_id: OPERATOR.to_owned(),
        created_at: 0,
        scopes: Scopes::parse(["clients:*", "tokens:*"]).unwrap(),
        mechanisms: vec![Mechanism::Secret],
        secrets: vec![StoredSecret::new("sec_operator", &Secret::new(secret), random_bytes(), 0)],
        jwks: None,
    };
    serde_json::to_string(&operator).unwrap()
}

fn configuration(folder: &Path, ports: [u16; 3], kv: [SocketAddr; 2], operator_secret: &str) -> String {
    let wrangler: toml::Table = fs::read_to_string(Path::new(ROOT).join("wrangler.toml")).unwrap().parse().unwrap();
    let date = wrangler["compatibility_date"].as_str().unwrap();
    let vars = [
        ("AUTH_KEYS", auth_keys()),
        ("OPERATOR", operator(operator_secret)),
        ("ISSUER", "https://auth.example.com".to_owned()),
        ("AUDIENCE", "https://api.example.com".to_owned()),
    ];
    let vars: String = vars.map(|(name, value)| format!("(name = {name:?}, text = {value:?}), ")).concat();
    let limits: String = ["LONG_LIMIT", "CLIENT_LIMIT", "ADDRESS_LIMIT", "SHORT_LIMIT"]
        .map(|name| format!(r#"(name = {name:?}, wrapped = (moduleName = "test:limit")), "#))
        .concat();
    let location = |kv: &str, objects: &str, own: &str| {
        format!(
            r#"(
  modules = [
    (name = "main.js", esModule = embed "main.js"),
    (name = "index.js", esModule = embed "index.js"),
    (name = "index_bg.wasm", wasm = embed "index_bg.wasm"),
  ],
  compatibilityDate = {date:?},
  bindings = [{vars} {limits} (name = "REVOCATIONS", kvNamespace = {kv:?}),
    (name = "CLIENTS", durableObjectNamespace = (className = "Client", serviceName = {objects:?})),
    (name = "FEED", durableObjectNamespace = (className = "Feed", serviceName = {objects:?}))],
  {own}
)"#
        )
    };
    let own = r#"durableObjectNamespaces = [(className = "Client", uniqueKey = "client", enableSql = true),
    (className = "Feed", uniqueKey = "feed", enableSql = true)],
  durableObjectStorage = (localDisk = "disk"),"#;
    let [home, away, cut_off] = [("home-kv", "home", own), ("away-kv", "home", ""), ("home-kv", "absent", "")]
        .map(|(kv, objects, own)| location(kv, objects, own));
    let [home_kv, away_kv] = kv;
    let [home_port, away_port, cut_off_port] = ports;
    let disk = folder.join("objects");
    format!(
        r#"using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "home", worker = {home}),
    (name = "away", worker = {away}),
    (name = "cut-off", worker = {cut_off}),
    (name = "absent", worker = (
      modules = [(name = "absent.js", esModule = embed "absent.js")],
      compatibilityDate = {date:?},
      durableObjectNamespaces = [(className = "Client", uniqueKey = "absent"), (className = "Feed", uniqueKey = "no-feed")],
      durableObjectStorage = (inMemory = void),
    )),
    (name = "home-kv", external = (address = "{home_kv}", http = ())),
    (name = "away-kv", external = (address = "{away_kv}", http = ())),
    (name = "disk", disk = (path = {disk:?}, writable = true)),
  ],
  sockets = [
    (name = "home", address = "127.0.0.1:{home_port}", http = (), service = "home"),
    (name = "away", address = "127.0.0.1:{away_port}", http = (), service = "away"),
    (name = "cut-off", address = "127.0.0.1:{cut_off_port}", http = (), service = "cut-off"),
  ],
  extensions = [(modules = [(name = "test:limit", esModule = embed "limit.js", internal = true)])],
);
"#
    )
}
