//! The service: clients are created and suspended with `admin`, tokens issued and revoked over HTTP.

use std::env;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{RequestBuilder, Url};
use serde_json::{Value, json};
use tokio::process::Command;

/// The scope that both APIs require.
const SCOPE: &str = "templates:read";

pub struct Service {
    pub issuer: String,
    /// The folder of the service's files, and of the Worker API's.
    pub folder: PathBuf,
    base_url: String,
    admin: PathBuf,
    http: reqwest::Client,
}

pub struct Client {
    id: String,
    secret: String,
}

/// A long-term token, and a short-term token from it.
pub struct Tokens {
    long: String,
    pub long_id: String,
    pub short: String,
}

impl Service {
    pub fn from_env(http: reqwest::Client) -> Result<Self> {
        let of = |name| env::var(name).with_context(|| format!("{name} is not set; run `make demo`, which sets it"));
        let base_url = of("BASE_URL")?;
        Ok(Self {
            issuer: Url::parse(&base_url).context("BASE_URL is not a URL")?.origin().ascii_serialization(),
            folder: of("DEV_FOLDER")?.into(),
            base_url,
            admin: env::current_exe()?.with_file_name("admin"),
            http,
        })
    }

    pub async fn new_client(&self, name: &str) -> Result<Client> {
        let made = ["client", "new", "--json", "--name", name, "--scope", SCOPE, "--mechanism", "secret"];
        let client = serde_json::from_str(&self.admin(&made).await?).context("admin did not print JSON")?;
        Ok(Client { id: text(&client, "client_id")?, secret: text(&client, "client_secret")? })
    }

    pub async fn suspend(&self, client: &Client) -> Result<()> {
        self.admin(&["client", "suspend", &client.id]).await.map(drop)
    }

    pub async fn tokens(&self, client: &Client) -> Result<Tokens> {
        let body = json!({"grant_type": "client_credentials", "client_id": client.id, "client_secret": client.secret});
        let request = self.http.post(self.url("/long")).header("X-Client-Id", &client.id);
        let request = request.header("Content-Type", "application/json").body(body.to_string());
        let long = answer(request, 201).await?;
        let (long_id, long) = (text(&long, "token_id")?, text(&long, "access_token")?);
        let short = answer(self.http.post(self.url("/short")).bearer_auth(&long), 201).await?;
        Ok(Tokens { short: text(&short, "access_token")?, long_id, long })
    }

    /// Revokes the long-term token, and with it the short-term one.
    pub async fn revoke(&self, tokens: &Tokens) -> Result<()> {
        let url = self.url(&format!("/{}/revoke", tokens.long_id));
        answer(self.http.post(url).bearer_auth(&tokens.long), 204).await.map(drop)
    }

    fn url(&self, path: &str) -> String {
        format!("{}/auth/tokens{path}", self.base_url)
    }

    async fn admin(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.admin);
        command.arg("--operator").arg(self.folder.join(".dev/operator.toml")).args(args);
        let run = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
        let run =
            run.with_context(|| format!("{} can't be started; build it: cargo build -p admin", self.admin.display()))?;
        let error = String::from_utf8_lossy(&run.stderr);
        ensure!(run.status.success(), "admin {} failed: {}", args.join(" "), error.trim());
        Ok(String::from_utf8(run.stdout)?)
    }
}

impl std::fmt::Display for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.id)
    }
}

/// Sends a request. Returns the JSON of the response, which must have this status; null if it has no body.
async fn answer(request: RequestBuilder, expected: u16) -> Result<Value> {
    let answer = request.send().await.context("the service did not answer; see the log in DEV_FOLDER")?;
    let (url, status, body) = (answer.url().clone(), answer.status(), answer.text().await?);
    if status != expected {
        bail!("{url} answered {status}, not {expected}: {body}");
    }
    if body.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&body)?) }
}

fn text(json: &Value, name: &str) -> Result<String> {
    json[name].as_str().map(str::to_owned).with_context(|| format!("the service's response has no {name}"))
}
