//! Runs the `admin` command against a fake service in this process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod service;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};
use service::{Fault, SECRET, Service};

struct Said {
    code: i32,
    out: String,
    err: String,
}

/// A folder to run the command in, and the service that it calls.
struct Desk {
    folder: PathBuf,
    service: Service,
}

impl Desk {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("admin-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self { folder, service: Service::start() }
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_admin"));
        command.current_dir(&self.folder).args(args.split(' ')).stdin(Stdio::null());
        for name in ["AUTH_EDGE_URL", "AUTH_EDGE_CLIENT_ID", "AUTH_EDGE_CLIENT_SECRET"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs the command with the operator's credentials in the environment.
    fn admin(&self, args: &str) -> Said {
        said(self.with_credentials(args))
    }

    fn with_credentials(&self, args: &str) -> Command {
        let mut command = self.command(args);
        command
            .env("AUTH_EDGE_URL", &self.service.url)
            .env("AUTH_EDGE_CLIENT_ID", "operator")
            .env("AUTH_EDGE_CLIENT_SECRET", SECRET);
        command
    }

    /// Creates a client, and discards the record of the calls for it.
    fn make(&self, id: &str, mechanisms: &str) {
        self.admin(&format!("client new --client-id {id} --scope jobs:* --mechanism {mechanisms}")).ok();
        self.service.calls();
    }

    fn client(&self, id: &str) -> Value {
        Value::from(self.service.world().clients[id].clone())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.folder.join(name)).unwrap().permissions().mode() & 0o777
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn said(mut command: Command) -> Said {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

impl Said {
    #[track_caller]
    fn is(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        assert!(!self.out.contains('\x1b') && !self.err.contains('\x1b'), "escape codes in a pipe");
        for text in [&self.out, &self.err] {
            assert!(!text.contains(SECRET) && !text.contains("Bearer"), "{text}");
        }
        self
    }

    #[track_caller]
    fn ok(self) -> Self {
        self.is(0)
    }

    #[track_caller]
    fn fails(self, with: &[&str]) -> Self {
        let said = self.is(1);
        for part in with {
            assert!(said.err.contains(part), "{part:?} is not in {}", said.err);
        }
        said
    }

    #[track_caller]
    fn shows(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.out.contains(part), "{part:?} is not in {}", self.out);
        }
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

// One command each

#[test]
fn a_new_clients_credentials_are_shown_once() {
    let desk = Desk::new();
    let said = desk.admin("client new --client-id acme --name Acme --scope jobs:*,templates:read --mechanism secret,otp --max-ttl 86400 --consistency immediate --region weur").ok();
    let said = said.shows(&["client_id", "acme", "client_secret  shown-secret-", "totp_secret    SEED", "otpauth://"]);
    assert_eq!(said.out.lines().count(), 4, "{}", said.out);
    let client = desk.client("acme");
    assert_eq!(client["scopes"], json!(["jobs:*", "templates:read"]));
    assert_eq!(client["mechanisms"], json!(["secret", "otp"]));
    assert_eq!((&client["client_name"], &client["region"]), (&json!("Acme"), &json!("weur")));
    assert_eq!((&client["max_ttl_seconds"], &client["consistency"]), (&json!(86_400), &json!("immediate")));
    assert_eq!(desk.service.calls(), ["POST /clients"]);
    let shown =
        desk.admin("client show acme").ok().shows(&["acme", "Acme", "jobs:* templates:read", "sec_", "has a seed"]);
    assert!(!shown.out.contains("shown-secret") && !shown.out.contains("SEED"));
}

#[test]
fn an_id_is_generated_if_none_is_given() {
    let desk = Desk::new();
    let made = desk.admin("client new --scope jobs:* --mechanism secret --json").ok().json();
    assert!(made["client_id"].as_str().unwrap().starts_with("c2m_"), "{made}");
    assert!(made["client_secret"].is_string(), "{made}");
    assert_eq!(desk.service.world().clients.len(), 1);
}

#[test]
fn a_session_asks_for_no_more_than_it_needs_and_revokes_its_token() {
    let desk = Desk::new();
    desk.make("acme", "secret");
    desk.service.world().logins.clear();
    for args in ["client list", "client show acme", "client suspend acme", "client set acme --name A"] {
        desk.admin(args).ok();
    }
    let world = desk.service.world();
    assert_eq!(world.logins, ["clients:read", "clients:read", "clients:write", "clients:read clients:write"]);
    assert_eq!(world.revoked, 5);
}

#[test]
fn a_token_that_is_not_revoked_is_a_warning() {
    let desk = Desk::new();
    desk.service.fault("POST /auth/tokens/tok_lt_1/revoke", Fault::Refuse(503));
    let said = desk.admin("client list").ok();
    assert!(said.err.contains("could not be revoked"), "{}", said.err);
}

#[test]
fn new_credentials_are_written_only_to_a_new_file() {
    let desk = Desk::new();
    let new = "client new --client-id acme --scope jobs:* --mechanism secret,otp --secrets-out out.toml";
    let said = desk.admin(new).ok();
    assert!(!said.out.contains("shown-secret") && !said.out.contains("SEED"), "{}", said.out);
    let written: toml::Table = desk.read("out.toml").parse().unwrap();
    let client = &written["client"][0];
    assert_eq!(client["client_id"].as_str(), Some("acme"));
    assert!(client["client_secret"].as_str().unwrap().starts_with("shown-secret"));
    assert!(client["totp_secret"].as_str().unwrap().starts_with("SEED"));
    assert_eq!(desk.mode("out.toml"), 0o600);
    desk.service.calls();
    desk.admin(&new.replace("acme", "other")).fails(&["out.toml already exists"]);
    assert_eq!(desk.service.calls(), [""; 0], "no client is created if its credentials can't be written");
    let said = desk.admin(&new.replace("out.toml", "json.toml --json").replace("acme", "json")).ok();
    assert!(said.json()["client_id"] == "json" && !said.out.contains("shown-secret"), "{}", said.out);
    desk.admin(&new.replace("out.toml", "unused.toml")).fails(&["acme exists, or was deleted"]);
    assert!(!desk.folder.join("unused.toml").exists());
}

#[test]
fn clients_are_listed_page_by_page() {
    let desk = Desk::new();
    for id in ["a", "b", "c", "d", "e"] {
        desk.make(id, "secret");
    }
    desk.admin("client suspend c").ok();
    assert_eq!(
        desk.admin("client list").ok().out,
        columns(&[("a", "active"), ("b", "active"), ("c", "suspended"), ("d", "active"), ("e", "active")])
    );
    let listed = desk.admin("client list --json").ok().json();
    assert_eq!(listed["clients"].as_array().unwrap().len(), 5);
    assert_eq!(listed["clients"][2], json!({"client_id": "c", "status": "suspended"}));
}

fn columns(rows: &[(&str, &str)]) -> String {
    rows.iter().map(|(name, value)| format!("{name}  {value}\n")).collect()
}

#[test]
fn a_change_is_conditional_on_what_was_read() {
    let desk = Desk::new();
    desk.make("acme", "secret");
    let said = desk.admin("client set acme --scope jobs:submit --max-ttl 3600 --name Acme").ok();
    said.shows(&["scopes", "jobs:* → jobs:submit", "7776000 → 3600", "(none) → Acme"]);
    let calls = desk.service.calls();
    assert!(calls[0] == "GET /clients/acme" && calls[1].starts_with("PATCH /clients/acme \""), "{calls:?}");
    desk.admin("client set acme --no-name").ok();
    assert!(desk.client("acme").get("client_name").is_none());
    desk.service.calls();
    desk.admin("client set acme --max-ttl 3600").ok().shows(&["already has these values"]);
    assert_eq!(desk.service.calls(), ["GET /clients/acme"]);

    desk.service.fault("PATCH", Fault::Overtake);
    desk.admin("client set acme --max-ttl 7200").fails(&["someone else changed acme", "run this again"]);
    assert_eq!(desk.client("acme")["max_ttl_seconds"], 3600);
}

#[test]
fn a_suspension_succeeds_despite_a_concurrent_change() {
    let desk = Desk::new();
    desk.make("acme", "secret");
    desk.service.fault("PATCH", Fault::Overtake);
    desk.admin("client suspend acme").ok().shows(&["acme is suspended"]);
    assert_eq!(desk.service.calls(), ["PATCH /clients/acme"]);
    assert_eq!(desk.client("acme")["status"], "suspended");
    let said = desk.admin("client restore acme --json").ok();
    assert_eq!(said.json()["status"], "active");
}

#[test]
fn a_secret_is_replaced_without_a_gap() {
    let desk = Desk::new();
    desk.make("acme", "secret");
    let old = desk.client("acme")["secrets"][0]["secret_id"].as_str().unwrap().to_owned();
    desk.admin("client add-secret acme").ok().shows(&["secret_id", "client_secret  shown-secret"]);
    desk.admin("client add-secret acme").fails(&["two live secrets already", &old, "end-secret"]);
    desk.admin(&format!("client end-secret acme {old} --in 60")).ok().shows(&["in 60 seconds"]);
    desk.admin(&format!("client end-secret acme {old}")).ok().shows(&["has ended"]);
    desk.admin(&format!("client end-secret acme {old}")).fails(&["no live secret", "admin client show acme"]);
    assert_eq!(desk.client("acme")["secrets"].as_array().unwrap().len(), 1);
}

#[test]
fn seeds_tokens_and_clients_end() {
    let desk = Desk::new();
    desk.make("acme", "secret");
    desk.admin("client new-totp acme").ok().shows(&["totp_secret", "SEED", "otpauth_uri"]);
    assert_eq!(desk.client("acme")["has_totp"], true);
    desk.admin("client end-tokens acme").ok();
    assert!(desk.client("acme")["tokens_valid_from"].is_string());
    desk.admin("client delete acme").fails(&["--yes"]);
    assert_eq!(desk.admin("client delete acme --yes --json").ok().out, "");
    desk.admin("client show acme").fails(&["there is no client acme"]);
    desk.admin("client new --client-id acme --scope jobs:* --mechanism secret").fails(&["never reused"]);
}

#[test]
fn mistakes_are_reported_before_anything_is_sent() {
    let desk = Desk::new();
    let jwks = desk
        .write("private.json", r#"{"keys":[{"kid":"k","alg":"EdDSA","kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}]}"#);
    for (args, problem) in [
        ("client show ../other".to_owned(), "is not a valid id"),
        ("client end-secret acme sec_1/x".to_owned(), "is not a valid id"),
        ("client new --scope Jobs --mechanism secret".to_owned(), "position 0"),
        ("client new --scope jobs:* --mechanism rotation".to_owned(), "besides rotation"),
        ("client new --scope jobs:* --mechanism assertion".to_owned(), "public keys"),
        ("client new --scope jobs:* --mechanism secret --max-ttl 1".to_owned(), "max_ttl_seconds"),
        (format!("client new --scope jobs:* --mechanism assertion --jwks {}", jwks.display()), "private"),
        ("client set acme".to_owned(), "required"),
        ("client set acme --name a --no-name".to_owned(), "cannot be used with"),
        ("client end-secret acme sec_1 --in 7776001".to_owned(), "7776001"),
    ] {
        desk.admin(&args).fails(&[problem]);
    }
    assert!(desk.service.world().logins.is_empty());
}

// When the service does not answer

#[test]
fn calls_that_failed_temporarily_are_repeated() {
    let desk = Desk::new();
    desk.make("acme", "secret");
    for fault in
        [Fault::Refuse(503), Fault::Refuse(429), Fault::DoAndAnswer(503), Fault::LoseAnswer, Fault::LoseRequest]
    {
        desk.service.fault("PATCH", fault);
        desk.service.fault("POST /auth/tokens/long", Fault::Refuse(429));
        let said = desk.admin("client suspend acme").ok();
        assert!(said.err.contains("trying again"), "{}", said.err);
        assert_eq!(desk.service.calls().len(), 2);
        desk.admin("client restore acme").ok();
        desk.service.calls();
    }
}

#[test]
fn it_gives_up_after_six_attempts() {
    let desk = Desk::new();
    desk.make("acme", "secret");
    for _ in 0..6 {
        desk.service.fault("PATCH", Fault::Refuse(503));
    }
    desk.admin("client suspend acme").fails(&["503 refused", "may have been stored", "run this again"]);
    assert_eq!(desk.service.calls().len(), 6);
    for _ in 0..6 {
        desk.service.fault("GET", Fault::Refuse(429));
    }
    let said = desk.admin("client show acme").fails(&["429 refused"]);
    assert!(!said.err.contains("may have been stored"), "{}", said.err);
}

#[test]
fn a_change_whose_answer_was_lost_is_recognised() {
    let desk = Desk::new();
    desk.make("acme", "secret");
    desk.service.fault("PATCH", Fault::LoseAnswer);
    desk.admin("client set acme --max-ttl 3600").ok().shows(&["7776000 → 3600"]);
    let secret = desk.client("acme")["secrets"][0]["secret_id"].as_str().unwrap().to_owned();
    desk.service.fault("DELETE", Fault::LoseAnswer);
    desk.admin(&format!("client end-secret acme {secret}")).ok();
    desk.service.fault("DELETE", Fault::LoseAnswer);
    desk.admin("client delete acme --yes").ok();
}

#[test]
fn a_client_whose_credentials_were_lost_is_deleted_and_replaced() {
    let desk = Desk::new();
    for fault in [Fault::LoseAnswer, Fault::DoAndAnswer(503)] {
        desk.service.fault("POST /clients", fault);
        let said = desk.admin("client new --scope jobs:* --mechanism secret").ok();
        assert!(said.err.contains("was lost; it has been deleted"), "{}", said.err);
        let id = said.out.split_whitespace().nth(1).unwrap();
        assert!(desk.service.world().clients.contains_key(id), "{}", said.out);
    }
    assert_eq!(desk.service.count(), (2, 2));
    desk.service.fault("POST /clients", Fault::LoseRequest);
    desk.admin("client new --scope jobs:* --mechanism secret").ok();
    assert_eq!(desk.service.count(), (3, 2));
}

#[test]
fn lost_credentials_of_a_client_with_a_given_id_are_reported() {
    let desk = Desk::new();
    let new = "client new --client-id acme --scope jobs:* --mechanism secret";
    desk.service.fault("POST /clients", Fault::LoseAnswer);
    desk.admin(new).fails(&["acme exists now", "nobody has its credentials", "admin client add-secret acme"]);
    desk.admin(new).fails(&["acme exists, or was deleted"]);
    for _ in 0..6 {
        desk.service.fault("POST /clients", Fault::Refuse(503));
    }
    desk.admin(&new.replace("acme", "beta")).fails(&["beta may have been created", "admin client show beta"]);
    for _ in 0..6 {
        desk.service.fault("POST /clients", Fault::Refuse(429));
    }
    let said = desk.admin(&new.replace("acme", "beta")).fails(&["429"]);
    assert!(!said.err.contains("may have been created"), "429 creates nothing: {}", said.err);
}

#[test]
fn a_lost_secret_is_named() {
    let desk = Desk::new();
    desk.make("acme", "secret");
    desk.service.fault("POST /clients/acme/secrets", Fault::LoseAnswer);
    let lost = desk.admin("client add-secret acme").fails(&["the response was lost"]);
    let secret = desk.client("acme")["secrets"][1]["secret_id"].as_str().unwrap().to_owned();
    assert!(lost.err.contains(&format!("admin client end-secret acme {secret}")), "{}", lost.err);
    desk.admin(&format!("client end-secret acme {secret}")).ok();
    for fault in [Fault::Refuse(503), Fault::LoseRequest] {
        desk.service.fault("POST /clients/acme/secrets", fault);
        let said = desk.admin("client add-secret acme --json").ok();
        let secret = said.json()["secret_id"].as_str().unwrap().to_owned();
        assert_eq!(desk.client("acme")["secrets"].as_array().unwrap().len(), 2);
        desk.admin(&format!("client end-secret acme {secret}")).ok();
    }
}

#[test]
fn a_session_outlives_its_tokens() {
    let desk = Desk::new();
    desk.make("acme", "secret");
    desk.service.world().short_life = 30;
    desk.service.world().calls.clear();
    desk.admin("client set acme --name A").ok();
    let exchanges = desk.service.world().calls.iter().filter(|call| call.ends_with("/short")).count();
    assert_eq!(exchanges, 3, "a token that is about to end is renewed before each call");
    desk.service.world().short_life = 900;
    desk.service.fault("PATCH", Fault::EndTokens);
    desk.admin("client set acme --name B").ok();
    assert_eq!(desk.client("acme")["client_name"], "B");
}

#[test]
fn no_redirect_is_followed() {
    let desk = Desk::new();
    desk.service.fault("POST /auth/tokens/long", Fault::Refuse(307));
    desk.admin("client list").fails(&["307"]);
    assert!(!desk.service.world().calls.iter().any(|call| call.contains("elsewhere")));
}

// Credentials

#[test]
fn a_credentials_file_that_others_can_read_is_refused() {
    let desk = Desk::new();
    let text = |secret: &str| {
        format!("url = \"{}\"\nclient_id = \"operator\"\nclient_secret = \"{secret}\"\n", desk.service.url)
    };
    let path = desk.write("operator.staging.toml", &text(SECRET));
    let list = |args: &str| said(desk.command(args));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    list("client list --env staging").fails(&["mode 640", "chmod 600 'operator.staging.toml'"]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    list("client list --env staging").ok();
    list("client list --operator operator.staging.toml").ok();
    list("client list").fails(&[".dev/operator.toml", "admin init", "AUTH_EDGE_URL"]);
    list("client list --env staging --url http://auth.example.com/v1").fails(&["https://"]);
    list("client list --env staging --url http://127.0.0.1:1/v1").fails(&["can't be reached"]);
    list(&format!("client list --env staging --url {}/x", desk.service.url)).fails(&["no auth-edge at"]);
    fs::write(&path, text("another")).unwrap();
    list("client list --env staging").fails(&["does not know the operator"]);
    fs::write(&path, format!("{}\nsecret = {SECRET}", text(SECRET))).unwrap();
    list("client list --env staging").fails(&["must hold url, client_id and client_secret"]);
}

// Init

/// Checks that the Worker accepts the secret `OPERATOR`.
fn check_operator(record: &str, client_secret: &str) {
    let record: Value = serde_json::from_str(record).unwrap();
    assert_eq!(record["client_id"], "operator");
    assert_eq!(record["scopes"], json!(["clients:*", "tokens:*"]));
    assert_eq!(record["mechanisms"], json!(["secret", "rotation"]));
    let secret = &record["secrets"][0];
    assert_eq!(
        (&secret["created_at"], secret["secret_id"].as_str().unwrap().starts_with("sec_")),
        (&record["created_at"], true)
    );
    assert!(record["created_at"].as_u64().unwrap() > 1_700_000_000);
    let salt = Base64UrlUnpadded::decode_vec(secret["salt"].as_str().unwrap()).unwrap();
    assert_eq!((salt.len(), client_secret.len()), (16, 43));
    let hash = ring::digest::digest(&ring::digest::SHA256, &[&salt, client_secret.as_bytes()].concat());
    assert_eq!(secret["sha256"], Base64UrlUnpadded::encode_string(hash.as_ref()));
    assert!(!record.to_string().contains(client_secret));
}

fn operator_of(text: &str) -> toml::Table {
    text.parse().unwrap()
}

const WRANGLER: &str = "[vars]\nISSUER = \"http://127.0.0.1:8787\"\nBASE_PATH = \"/v1\"\n\
    [env.production]\nvars = { ISSUER = \"https://auth.example.com\", BASE_PATH = \"/v2\" }\n\
    [env.staging]\nvars = { ISSUER = \"https://auth.REPLACE.example\" }\n";

#[test]
fn init_writes_two_files_for_a_deployment() {
    let desk = Desk::new();
    desk.write("wrangler.toml", WRANGLER);
    let init = |args: &str| said(desk.command(args));
    let said = init("init --env production").ok();
    let said = said.shows(&["Next: make deploy ENV=production\n"]);
    let secrets: Value = serde_json::from_str(&desk.read("secrets.production.json")).unwrap();
    let operator = operator_of(&desk.read("operator.production.toml"));
    let secret = operator["client_secret"].as_str().unwrap();
    assert_eq!(operator["url"].as_str(), Some("https://auth.example.com/v2"));
    check_operator(secrets["OPERATOR"].as_str().unwrap(), secret);
    auth_edge::keys::KeySet::parse(secrets["AUTH_KEYS"].as_str().unwrap()).unwrap();
    assert!(!said.out.contains(secret) && !desk.read("secrets.production.json").contains(secret));
    assert_eq!((desk.mode("secrets.production.json"), desk.mode("operator.production.toml")), (0o600, 0o600));

    init("init --env production").fails(&["already exists", "never overwritten"]);
    fs::remove_file(desk.folder.join("operator.production.toml")).unwrap();
    init("init --env production").fails(&["secrets.production.json already exists"]);
    assert!(!desk.folder.join("operator.production.toml").exists(), "init writes both files or neither");
    init("init --env staging").fails(&["[env.staging]", "REPLACE"]);
    init("init --env other").fails(&["--url"]);
    init("init --env staging --url http://auth.example.com").fails(&["https://"]);
    init("init --env staging --url https://auth.example.com/v1 --secrets mine.json")
        .ok()
        .shows(&["Next: npx wrangler deploy --env staging --secrets-file 'mine.json'\n"]);
}

#[test]
fn init_without_env_creates_only_what_is_missing() {
    let desk = Desk::new();
    desk.write(".dev.vars", "OTHER=1\n");
    let init = || said(desk.command("init")).ok();
    init().shows(&["Created the service's keys", "Created the operator", "Next: make run"]);
    let vars = desk.read(".dev.vars");
    let value = |name: &str| {
        let lines = desk.read(".dev.vars");
        let line = lines.lines().find_map(|line| line.strip_prefix(&format!("{name}='"))).unwrap().to_owned();
        line.strip_suffix('\'').unwrap().to_owned()
    };
    let operator = operator_of(&desk.read(".dev/operator.toml"));
    check_operator(&value("OPERATOR"), operator["client_secret"].as_str().unwrap());
    assert_eq!(operator["url"].as_str(), Some("http://127.0.0.1:8787/v1"));
    assert!(vars.starts_with("OTHER=1\n"));
    assert_eq!((desk.mode(".dev.vars"), desk.mode(".dev/operator.toml")), (0o600, 0o600));
    init().shows(&["already exist"]);
    assert_eq!(desk.read(".dev.vars"), vars);

    let keys = value("AUTH_KEYS");
    fs::remove_file(desk.folder.join(".dev/operator.toml")).unwrap();
    init().shows(&["Created the operator"]);
    assert_eq!(value("AUTH_KEYS"), keys);
    check_operator(
        &value("OPERATOR"),
        operator_of(&desk.read(".dev/operator.toml"))["client_secret"].as_str().unwrap(),
    );
    said(desk.command("keys add at+jwt")).ok().shows(&["Added at-", "touch wrangler.toml"]);
    assert_eq!(value("AUTH_KEYS").matches("at+jwt").count(), 2);

    desk.write(".dev/identities.toml", "");
    fs::remove_file(desk.folder.join(".dev.vars")).unwrap();
    init().shows(&["Removed .dev/identities.toml"]);
    assert!(!desk.folder.join(".dev/identities.toml").exists(), "its seeds can't be decrypted with other keys");
}

#[test]
fn an_operators_secret_is_renewed() {
    let desk = Desk::new();
    desk.write("wrangler.toml", WRANGLER);
    said(desk.command("init --env production")).ok();
    let (secrets, old) = (desk.read("secrets.production.json"), desk.read("operator.production.toml"));
    let renewed = said(desk.command("operator renew --env production")).ok();
    renewed.shows(&["Next: npx wrangler secret bulk 'secrets.production.json' --env production", "old.toml"]);
    assert_eq!(desk.read("operator.production.old.toml"), old);
    let [before, after]: [Value; 2] =
        [secrets, desk.read("secrets.production.json")].map(|text| serde_json::from_str(&text).unwrap());
    let new = operator_of(&desk.read("operator.production.toml"));
    assert_ne!(operator_of(&old)["client_secret"], new["client_secret"]);
    assert_eq!(new["url"].as_str(), Some("https://auth.example.com/v2"));
    check_operator(after["OPERATOR"].as_str().unwrap(), new["client_secret"].as_str().unwrap());
    assert_eq!(before["AUTH_KEYS"], after["AUTH_KEYS"]);

    // Renewing works without the keys' file: `wrangler secret bulk` leaves other secrets alone.
    fs::remove_file(desk.folder.join("secrets.production.json")).unwrap();
    said(desk.command("operator renew --env production")).ok();
    let alone: Value = serde_json::from_str(&desk.read("secrets.production.json")).unwrap();
    assert_eq!(alone.as_object().unwrap().keys().collect::<Vec<_>>(), ["OPERATOR"]);
    said(desk.command("keys list --env production")).fails(&["holds no AUTH_KEYS"]);
}

// Apply

fn declared(ids: &[&str]) -> String {
    let client =
        |id: &&str| format!("[[client]]\nclient_id = \"{id}\"\nscopes = [\"jobs:*\"]\nmechanisms = [\"secret\"]\n\n");
    ids.iter().map(client).collect()
}

#[test]
fn applying_a_file_again_changes_nothing() {
    let desk = Desk::new();
    desk.make("b", "secret");
    desk.make("left", "secret");
    let file = declared(&["a", "b"]) + "client_name = \"B\"\nscopes = [\"jobs:submit\"]\n";
    let file = file.replacen(
        "scopes = [\"jobs:*\"]\nmechanisms = [\"secret\"]\n\nclient_name",
        "mechanisms = [\"secret\"]\nclient_name",
        1,
    );
    desk.write("clients.toml", &file);

    let plan = desk.admin("apply clients.toml --dry-run").is(2);
    let plan = plan.shows(&[
        "+ a",
        "~ b",
        "client_name  (none) → B",
        "scopes       jobs:* → jobs:submit",
        "To create: 1, to change: 1, to delete: 0",
    ]);
    assert!(plan.out.find("+ a") < plan.out.find("~ b"), "in the order of the file: {}", plan.out);
    assert!(desk.service.calls().iter().all(|call| call.starts_with("GET ")), "a plan changes nothing");
    assert_eq!(desk.service.world().logins.last().unwrap(), "clients:read");

    let said = desk.admin("apply clients.toml").ok();
    said.shows(&["+ a", "client_secret  shown-secret", "~ b", "Created: 1, changed: 1, deleted: 0, as declared: 0."]);
    assert_eq!(desk.client("b")["scopes"], json!(["jobs:submit"]));
    desk.service.calls();
    desk.admin("apply clients.toml").ok().shows(&["As declared: 2. Nothing to do."]);
    assert_eq!(desk.service.calls().len(), 2);
    desk.admin("apply clients.toml --dry-run").ok();
    assert!(desk.service.world().clients.contains_key("left"));

    desk.admin("apply clients.toml --prune --dry-run").is(2).shows(&["- left", "to delete: 1"]);
    desk.admin("apply clients.toml --prune").ok().shows(&["- left", "deleted: 1"]);
    assert!(desk.service.world().deleted.contains("left"));
}

#[test]
fn members_that_a_file_leaves_out_stay_unchanged() {
    let desk = Desk::new();
    desk.make("a", "secret");
    desk.admin("client suspend a").ok();
    desk.admin("client set a --max-ttl 3600 --name A").ok();
    desk.write("clients.toml", &declared(&["a"]));
    desk.admin("apply clients.toml").ok().shows(&["As declared: 1"]);
    assert_eq!(desk.client("a")["status"], "suspended", "a file does not undo a suspension");
    desk.write("clients.toml", &(declared(&["a", "b"]) + "status = \"suspended\"\n"));
    desk.admin("apply clients.toml").ok();
    assert_eq!(desk.client("b")["status"], "suspended");
}

#[test]
fn a_new_mechanism_comes_with_its_credential() {
    let desk = Desk::new();
    desk.make("a", "secret");
    desk.write("clients.toml", &declared(&["a"]).replace("\"secret\"", "\"secret\", \"otp\""));
    desk.admin("apply clients.toml --dry-run").is(2).shows(&["secret → secret otp", "totp_secret  (none) → a new one"]);
    // The seed comes first: if the run fails after it, the next one still sees the difference.
    for _ in 0..6 {
        desk.service.fault("PATCH", Fault::Refuse(503));
    }
    desk.admin("apply clients.toml").fails(&["! a: 503"]).shows(&["SEED"]);
    let said = desk.admin("apply clients.toml").ok().shows(&["secret → secret otp"]);
    assert!(!said.out.contains("SEED"), "{}", said.out);
    assert_eq!(desk.client("a")["mechanisms"], json!(["secret", "otp"]));
}

#[test]
fn after_a_failure_the_next_run_does_the_rest() {
    let desk = Desk::new();
    let ids: Vec<String> = (0..40).map(|number| format!("c{number:02}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    desk.write("clients.toml", &declared(&ids));
    desk.service.fault("POST /clients", Fault::Refuse(500));
    desk.service.fault("POST /clients", Fault::LoseAnswer);
    desk.service.fault("GET /clients/c20", Fault::Refuse(500));
    let said = desk.admin("apply clients.toml --secrets-out one.toml --prune").fails(&[
        "failed: 3",
        "c20: 500",
        "run this again",
    ]);
    assert!(said.err.contains("exists now. The response to an earlier attempt was lost"), "{}", said.err);
    said.shows(&["Created: 37"]);
    assert_eq!(desk.service.world().clients.len(), 38);
    let most = desk.service.world().most_at_once;
    assert!((2..=8).contains(&most), "{most} calls at once");
    let written: toml::Table = desk.read("one.toml").parse().unwrap();
    assert_eq!(written["client"].as_array().unwrap().len(), 37, "each new secret is in the file");
    desk.admin("apply clients.toml --secrets-out one.toml").fails(&["one.toml already exists"]);
    desk.admin("apply clients.toml --secrets-out two.toml")
        .ok()
        .shows(&["Created: 2, changed: 0, deleted: 0, as declared: 38."]);
    desk.admin("apply clients.toml --secrets-out three.toml").ok();
    assert!(!desk.folder.join("three.toml").exists(), "there was nothing to write");
}

#[test]
fn after_a_concurrent_change_the_client_is_read_again() {
    let desk = Desk::new();
    desk.make("a", "secret");
    desk.write("clients.toml", &(declared(&["a"]) + "client_name = \"A\"\n"));
    desk.service.fault("PATCH", Fault::Overtake);
    desk.admin("apply clients.toml").ok();
    assert_eq!(desk.client("a")["client_name"], "A");
    for _ in 0..3 {
        desk.service.fault("PATCH", Fault::Overtake);
    }
    desk.write("clients.toml", &(declared(&["a"]) + "client_name = \"B\"\n"));
    desk.admin("apply clients.toml").fails(&["someone else keeps changing it"]);
}

#[test]
fn a_file_with_a_mistake_changes_nothing() {
    let desk = Desk::new();
    for (text, problem) in [
        (String::new(), "has no client"),
        (declared(&["a", "a"]), "client a appears twice"),
        (
            declared(&["a"]) + "[[client]]\nclient_id = \"b\"\nscopes = [\"jobs:*\"]\n",
            "client b: mechanisms is missing",
        ),
        (declared(&["a"]) + "naem = \"x\"\n", "naem"),
        (declared(&["a"]) + "max_ttl_seconds = 5\n", "client a: max_ttl_seconds"),
        (declared(&["a"]).replace("client_id", "id"), "client number 1: client_id is missing"),
        ("[[client]\n".to_owned(), "clients.toml"),
    ] {
        desk.write("clients.toml", &text);
        desk.admin("apply clients.toml").fails(&[problem]);
    }
    assert!(desk.service.world().logins.is_empty());
    desk.make("operator", "secret");
    desk.write("clients.toml", &declared(&["a"]));
    desk.admin("apply clients.toml --prune").fails(&["operator is the operator of this run"]);
}

#[test]
fn an_interrupted_run_finishes_the_calls_in_progress() {
    let desk = Desk::new();
    let ids: Vec<String> = (0..400).map(|number| format!("c{number:03}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    desk.write("clients.toml", &declared(&ids));
    let mut command = desk.with_credentials("apply clients.toml --secrets-out out.toml");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while desk.service.world().clients.len() < 20 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("stopped before the end; run this again"), "{err}");
    let made = desk.service.world().clients.len();
    assert!((20..400).contains(&made), "{made}");
    let written: toml::Table = desk.read("out.toml").parse().unwrap();
    assert_eq!(written["client"].as_array().unwrap().len(), made, "no new secret is lost");
    assert_eq!(desk.service.world().revoked, 1);
}

// Dev

#[test]
fn each_role_of_the_harness_gets_a_client() {
    let desk = Desk::new();
    desk.admin("dev").ok().shows(&["Clients created: 9, kept: 0."]);
    assert_eq!(desk.mode(".dev/identities.toml"), 0o600);
    let roles = || desk.read(".dev/identities.toml").parse::<toml::Table>().unwrap();
    let first = roles();
    assert_eq!(first.len(), 10);
    assert_eq!(
        (first["operator"]["from_secret"].as_bool(), first["operator"]["client_secret"].as_str()),
        (Some(true), Some(SECRET))
    );
    let client = |role: &str| desk.client(first[role]["client_id"].as_str().unwrap());
    assert_eq!(client("valid")["mechanisms"], json!(["secret", "otp", "assertion", "rotation"]));
    assert_eq!(
        (&client("immediate")["consistency"], &client("valid")["consistency"]),
        (&json!("immediate"), &json!("eventual"))
    );
    assert_eq!(client("suspended")["status"], "suspended");
    assert_eq!(client("narrow")["max_ttl_seconds"], 86_400);
    assert_eq!(client("reader")["scopes"], json!(["tokens:introspect", "clients:read"]));
    assert_eq!(
        (&client("no_otp")["has_totp"], client("no_otp")["mechanisms"].as_array().unwrap().len()),
        (&json!(true), 3)
    );
    for role in ["valid", "no_otp", "suspended", "other", "lockout", "burst", "immediate", "reader"] {
        for field in ["client_secret", "totp_secret", "assertion_jwk"] {
            assert!(first[role].get(field).is_some(), "{role} {field}");
        }
        let private: Value = serde_json::from_str(first[role]["assertion_jwk"].as_str().unwrap()).unwrap();
        let public = &client(role)["jwks"]["keys"][0];
        assert_eq!((&private["x"], &private["kid"]), (&public["x"], &public["kid"]));
        assert!(private["d"].is_string() && public.get("d").is_none());
    }

    desk.admin("dev").ok().shows(&["Clients created: 0, kept: 9."]);
    assert_eq!(roles(), first);
    desk.admin(&format!("client restore {}", first["suspended"]["client_id"].as_str().unwrap())).ok();
    desk.service.world().clients.remove(first["burst"]["client_id"].as_str().unwrap());
    desk.admin("dev").ok().shows(&["Clients created: 1, kept: 8."]);
    assert_eq!(client("suspended")["status"], "suspended", "a role that was changed is reset");
    let second = roles();
    assert_ne!(second["burst"], first["burst"]);
    assert_eq!(second["valid"], first["valid"]);
    assert!(Path::new(&desk.folder).join(".dev/identities.toml").exists());
}

#[test]
fn an_interrupted_dev_run_is_continued() {
    let desk = Desk::new();
    for _ in 0..3 {
        desk.service.fault("PATCH", Fault::Refuse(500));
    }
    desk.admin("dev").fails(&["500"]);
    let made = desk.read(".dev/identities.toml").parse::<toml::Table>().unwrap().len() - 1;
    assert_eq!(made, 3, "valid, narrow and no_otp; the suspended one could not be suspended");
    desk.service.world().faults.clear();
    desk.admin("dev").ok().shows(&["Clients created: 6, kept: 3."]);
}
