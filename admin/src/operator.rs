//! The first operator: its record for the Worker (the secret `OPERATOR`), and the file with its credentials.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::files::{self, base64, random, suffix};
use crate::secrets::{AUTH_KEYS, OPERATOR, SecretsFile};
use crate::{Place, keys};

const CLIENT_ID: &str = "operator";
/// Where `make run` listens.
const LOCAL_URL: &str = "http://127.0.0.1:8787/v1";

#[derive(Subcommand)]
pub enum Command {
    /// Replace the operator's secret, after a leak or routinely; ends the old secret and all tokens issued with it
    Renew,
}

/// An operator's credentials. Not `Debug`, so that they can't end up in a message.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The base URL, before `/clients` and `/auth/tokens/long`.
    pub url: String,
    pub client_id: String,
    pub client_secret: String,
}

impl Place {
    pub fn credentials_file(&self) -> PathBuf {
        self.operator.clone().unwrap_or_else(|| match &self.env {
            Some(env) => format!("operator.{env}.toml").into(),
            None => ".dev/operator.toml".into(),
        })
    }
}

impl Credentials {
    /// Looks in the file given by `--operator` or `--env`, then in environment variables, then in .dev/operator.toml.
    /// URL, id and secret come from the same source, so that no secret is sent to another deployment. Only `--url`
    /// overrides the URL.
    pub fn find(place: &Place, environment: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let names = ["AUTH_EDGE_URL", "AUTH_EDGE_CLIENT_ID", "AUTH_EDGE_CLIENT_SECRET"];
        let set = names.map(|name| environment(name).filter(|value| !value.is_empty()));
        let mut found = match set {
            [None, None, None] => Self::read(&place.credentials_file())?,
            _ if place.operator.is_some() || place.env.is_some() => Self::read(&place.credentials_file())?,
            [url, Some(client_id), Some(client_secret)] if url.is_some() || place.url.is_some() => {
                Self { url: url.unwrap_or_default(), client_id, client_secret }
            }
            _ => return Err(format!("{} must be set together: set all three, or none", names.join(", "))),
        };
        if let Some(url) = &place.url {
            found.url.clone_from(url);
        }
        found.url = check_url(&found.url)?;
        Ok(found)
    }

    fn read(path: &Path) -> Result<Self, String> {
        let make_it = "create it with `admin init`, give another with --operator, or set AUTH_EDGE_URL, AUTH_EDGE_CLIENT_ID and AUTH_EDGE_CLIENT_SECRET";
        let text = files::read_private(path, make_it)?;
        // toml's own message would quote the line, and so the secret.
        toml::from_str(&text)
            .map_err(|_| format!("{} must hold url, client_id and client_secret, and nothing else", path.display()))
    }

    fn write(&self, path: &Path) -> Result<(), String> {
        let text = toml::to_string(self).map_err(|error| format!("can't write TOML: {error}"))?;
        files::write_new(
            path,
            &format!(
                "# Credentials of an auth-edge operator: whoever reads this file can create and delete every client.\n{text}"
            ),
        )
    }
}

/// Checks a base URL, and removes a trailing slash.
fn check_url(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text)
        .map_err(|error| format!("the URL is invalid ({error}); write it like https://auth.example.com/v1"))?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("the URL must have no user, password, query or fragment".to_owned());
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        _ => return Err("the URL must begin with https://, unless its host is loopback".to_owned()),
    }
    Ok(text.trim_end_matches('/').to_owned())
}

pub fn is_loopback(url: &reqwest::Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

/// Creates keys and operator. For a deployment, both must be new; for the local one, only what is missing is created.
pub fn init(place: &Place, secrets: &SecretsFile, now: u64) -> Result<String, String> {
    let credentials = place.credentials_file();
    let (made, record) = new_operator(base_url(place)?, now)?;
    if place.env.is_some() {
        made.write(&credentials)?;
        let created = secrets.create(&[(AUTH_KEYS, &keys::new_set()?), (OPERATOR, &record)]);
        if let Err(problem) = created {
            let _ = fs::remove_file(&credentials);
            return Err(problem);
        }
        return Ok(format!(
            "Created {}, with the service's keys and its first operator. Cloudflare never shows a secret again, so this is the\n\
             only readable copy: keep it where you keep secrets.\n\
             Created {}, with the operator's credentials for {}.\n\
             Next: {}",
            secrets.path.display(),
            credentials.display(),
            made.url,
            secrets.deploy()
        ));
    }
    let mut said = Vec::new();
    if secrets.get(AUTH_KEYS)?.is_none() {
        secrets.set(&[(AUTH_KEYS, &keys::new_set()?)])?;
        said.push(format!("Created the service's keys in {}.", secrets.path.display()));
        // TOTP seeds that were encrypted with other keys can no longer be decrypted.
        if fs::remove_file(place.identities_file()).is_ok() {
            said.push(format!("Removed {}, which was created with other keys.", place.identities_file().display()));
        }
    }
    if secrets.get(OPERATOR)?.is_none() || !credentials.exists() {
        secrets.set(&[(OPERATOR, &record)])?;
        let _ = fs::remove_file(&credentials);
        made.write(&credentials)?;
        said.push(format!("Created the operator in {} and {}.", secrets.path.display(), credentials.display()));
    }
    if said.is_empty() {
        said.push(format!("Nothing to do: {} and {} already exist.", secrets.path.display(), credentials.display()));
    }
    said.push(format!("Next: {}", secrets.deploy()));
    Ok(said.join("\n"))
}

pub fn run(command: Command, place: &Place, secrets: &SecretsFile, now: u64) -> Result<String, String> {
    let Command::Renew = command;
    let credentials = place.credentials_file();
    let url = match (&place.url, credentials.exists()) {
        (None, true) => Credentials::read(&credentials)?.url,
        _ => base_url(place)?,
    };
    let (made, record) = new_operator(url, now)?;
    secrets.set(&[(OPERATOR, &record)])?;
    let mut said = vec![format!("Created a new secret for the operator in {}.", secrets.path.display())];
    if credentials.exists() {
        let old = credentials.with_extension("old.toml");
        fs::rename(&credentials, &old).map_err(|error| format!("can't rename {}: {error}", credentials.display()))?;
        said.push(format!("The old one is kept in {}: it works until you run the next command.", old.display()));
    }
    made.write(&credentials)?;
    said.push(format!("The new one is in {}: it works after that.", credentials.display()));
    said.push(format!("Next: {}", secrets.put()));
    said.push(
        "Then the old secret and every token of the operator are refused. If the secret leaked, check the audit log for \
         changes made with it: the thief may have created clients."
            .to_owned(),
    );
    Ok(said.join("\n"))
}

/// A new secret of 256 random bits, and the record with its salted hash.
fn new_operator(url: String, now: u64) -> Result<(Credentials, String), String> {
    let client_secret = base64(&random::<32>()?);
    let salt = random::<16>()?;
    let hash = digest(&SHA256, &[&salt, client_secret.as_bytes()].concat());
    let record = json!({
        "client_id": CLIENT_ID,
        "created_at": now,
        "scopes": ["clients:*", "tokens:*"],
        "mechanisms": ["secret", "rotation"],
        "secrets": [{
            "secret_id": format!("sec_{}", suffix::<8>()?),
            "salt": base64(&salt),
            "sha256": base64(hash.as_ref()),
            "created_at": now,
        }],
    });
    Ok((Credentials { url, client_id: CLIENT_ID.to_owned(), client_secret }, record.to_string()))
}

/// The base URL: from `--url`, or from `ISSUER` and `BASE_PATH` in wrangler.toml.
fn base_url(place: &Place) -> Result<String, String> {
    if let Some(url) = &place.url {
        return check_url(url);
    }
    let table = place.env.as_ref().map_or_else(|| "[vars]".to_owned(), |env| format!("[env.{env}]"));
    let parsed = fs::read_to_string("wrangler.toml").ok().and_then(|text| text.parse::<toml::Table>().ok());
    let vars = parsed.as_ref().and_then(|config| match &place.env {
        Some(env) => config.get("env")?.get(env)?.get("vars"),
        None => config.get("vars"),
    });
    let setting = |name: &str| vars.and_then(|vars| vars.get(name)?.as_str());
    match (setting("ISSUER"), &place.env) {
        (Some(issuer), _) if !issuer.contains("REPLACE") => {
            check_url(&format!("{}{}", issuer.trim_end_matches('/'), setting("BASE_PATH").unwrap_or("/v1")))
        }
        (Some(_), _) => {
            Err(format!("{table} of wrangler.toml still contains REPLACE; put your host and audience there first"))
        }
        (None, None) => Ok(LOCAL_URL.to_owned()),
        (None, Some(_)) => Err(format!(
            "wrangler.toml in this folder has no ISSUER in {table}; give the service's URL, for example with \
             --url https://auth.example.com/v1"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_must_be_https_unless_its_host_is_loopback() {
        for bad in [
            "http://auth.example.com/v1",
            "http://127.0.0.1.example.com/v1",
            "https://u:p@auth.example.com",
            "https://auth.example.com/v1?x",
            "auth.example.com",
            "ftp://127.0.0.1/",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
        assert_eq!(check_url("http://127.0.0.1:8787/v1/").as_deref(), Ok("http://127.0.0.1:8787/v1"));
        assert!(check_url("http://[::1]:1/v1").is_ok() && check_url("http://localhost").is_ok());
    }

    #[test]
    fn credentials_and_their_url_come_from_one_source() {
        let place = |operator: Option<&str>, url: Option<&str>| Place {
            env: None,
            operator: operator.map(PathBuf::from),
            url: url.map(str::to_owned),
        };
        let some = |set: &'static [&str]| move |name: &str| set.contains(&name).then(|| format!("https://{name}"));
        let all = some(&["AUTH_EDGE_URL", "AUTH_EDGE_CLIENT_ID", "AUTH_EDGE_CLIENT_SECRET"]);
        assert_eq!(Credentials::find(&place(None, None), all).ok().unwrap().url, "https://AUTH_EDGE_URL");
        assert_eq!(Credentials::find(&place(None, Some("https://b")), all).ok().unwrap().url, "https://b");
        let problem = |place, set| Credentials::find(&place, set).err().unwrap();
        assert!(problem(place(None, None), some(&["AUTH_EDGE_CLIENT_SECRET"])).contains("all three"));
        assert!(problem(place(None, None), some(&["AUTH_EDGE_URL"])).contains("all three"));
        assert!(
            problem(place(Some("/nowhere.toml"), None), all).contains("/nowhere.toml"),
            "a file that is named takes precedence"
        );
    }
}
