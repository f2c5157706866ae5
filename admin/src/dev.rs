//! `admin dev`: one client for each role of the conformance harness.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::api::{self, Client, Id, Patched};
use crate::files::{self, base64, random, suffix};
use crate::keys::public_half;
use crate::session::Session;
use crate::wanted::{Consistency, Mechanism, Status, Wanted};

/// A role's table in `identities.toml`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Identity {
    client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    totp_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assertion_jwk: Option<String>,
    scopes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_ttl_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_secret: Option<bool>,
}

#[derive(Clone, Copy)]
struct Role {
    name: &'static str,
    scopes: &'static [&'static str],
    mechanisms: &'static [Mechanism],
    /// Whether it has a TOTP seed, even if it may not use it.
    has_seed: bool,
    has_key: bool,
    status: Status,
    max_ttl: Option<u64>,
    consistency: Consistency,
}

const FULL: Role = Role {
    name: "valid",
    scopes: &["jobs:*", "templates:*", "tokens:*"],
    mechanisms: &[Mechanism::Secret, Mechanism::Otp, Mechanism::Assertion, Mechanism::Rotation],
    has_seed: true,
    has_key: true,
    status: Status::Active,
    max_ttl: None,
    consistency: Consistency::Eventual,
};

const ROLES: [Role; 9] = [
    FULL,
    Role {
        name: "narrow",
        scopes: &["jobs:submit", "tokens:revoke"],
        mechanisms: &[Mechanism::Secret],
        has_seed: false,
        has_key: false,
        max_ttl: Some(86_400),
        ..FULL
    },
    Role { name: "no_otp", mechanisms: &[Mechanism::Secret, Mechanism::Assertion, Mechanism::Rotation], ..FULL },
    Role { name: "suspended", status: Status::Suspended, ..FULL },
    Role { name: "other", scopes: &["tokens:*"], ..FULL },
    Role { name: "lockout", ..FULL },
    Role { name: "burst", ..FULL },
    Role { name: "immediate", consistency: Consistency::Immediate, ..FULL },
    Role { name: "reader", scopes: &["tokens:introspect", "clients:read"], ..FULL },
];

pub const SCOPES: &[&str] = &["clients:read", "clients:write"];

/// Creates the clients that are missing. The file is written after each one, so that an interrupted run can be
/// continued.
pub async fn run(session: &Session, file: &Path) -> Result<String, String> {
    let mut identities = read(file)?;
    let mut made = 0;
    let operator = session.operator();
    let mut before = identities.clone();
    identities.insert(
        "operator".to_owned(),
        Identity {
            client_id: operator.client_id.clone(),
            client_secret: Some(operator.client_secret.clone()),
            scopes: ["clients:*", "tokens:*"].map(str::to_owned).to_vec(),
            from_secret: Some(true),
            ..Identity::default()
        },
    );
    for role in ROLES {
        let kept = match identities.get(role.name) {
            Some(identity) => role.keep(session, identity).await?,
            None => false,
        };
        if !kept {
            identities.insert(role.name.to_owned(), role.make(session).await?);
            made += 1;
        }
        if identities != before {
            write(file, &identities)?;
            before.clone_from(&identities);
        }
    }
    Ok(format!("Clients created: {made}, kept: {}. Their credentials are in {}.", ROLES.len() - made, file.display()))
}

impl Role {
    fn wanted(&self) -> Wanted {
        Wanted {
            client_name: Some(format!("conformance: {}", self.name)),
            scopes: Some(self.scopes.iter().map(|scope| (*scope).to_owned()).collect()),
            mechanisms: Some(self.mechanisms.to_vec()),
            max_ttl_seconds: self.max_ttl,
            consistency: Some(self.consistency),
            status: Some(self.status),
            jwks: None,
            region: None,
        }
    }

    /// Whether the role's client still exists with its credentials. Other differences are reverted.
    async fn keep(&self, session: &Session, identity: &Identity) -> Result<bool, String> {
        let Some(client) = api::get(session, &identity.client_id).await? else { return Ok(false) };
        let has_seed = client.has_totp() && identity.totp_secret.is_some();
        let has_key = client.members.contains_key("jwks") && identity.assertion_jwk.is_some();
        if client.secret_ids().is_empty() || has_seed != self.has_seed || has_key != self.has_key {
            return Ok(false);
        }
        let (patch, _) = self.wanted().difference(&client.members)?;
        if !patch.is_empty() {
            set(session, &client, &patch).await?;
        }
        Ok(true)
    }

    async fn make(&self, session: &Session) -> Result<Identity, String> {
        let mut wanted = self.wanted();
        let pair = if self.has_key { Some(key_pair()?) } else { None };
        wanted.jwks = pair.as_ref().map(|(public, _)| json!({"keys": [public]}));
        let prefix = format!("c2m_dev_{}_", self.name);
        let mut client = api::create(session, Id::Made(&prefix), &wanted).await?;
        let mut identity = Identity {
            client_id: client.text("client_id").to_owned(),
            assertion_jwk: pair.map(|(_, private)| private),
            scopes: wanted.scopes.unwrap_or_default(),
            max_ttl_seconds: self.max_ttl,
            ..Identity::default()
        };
        let mut shown = client.take_credentials();
        if self.has_seed && !self.mechanisms.contains(&Mechanism::Otp) {
            shown.extend(api::new_totp(session, &identity.client_id).await?.0);
        }
        for (name, value) in shown {
            match name {
                "client_secret" => identity.client_secret = Some(value),
                "totp_secret" => identity.totp_secret = Some(value),
                _ => {}
            }
        }
        if self.status == Status::Suspended {
            set(session, &client, &Map::from_iter([("status".to_owned(), "suspended".into())])).await?;
        }
        Ok(identity)
    }
}

async fn set(session: &Session, client: &Client, patch: &Map<String, Value>) -> Result<(), String> {
    match api::patch(session, client.text("client_id"), patch, None).await? {
        Patched::Done(_) => Ok(()),
        Patched::Overtaken => Err("someone else is changing these clients; run this again".to_owned()),
    }
}

fn read(file: &Path) -> Result<BTreeMap<String, Identity>, String> {
    if !file.exists() {
        return Ok(BTreeMap::new());
    }
    let text = files::read_private(file, "remove it, and run this again to recreate it")?;
    // toml's own message would quote the line, and so a secret.
    toml::from_str(&text).map_err(|_| {
        format!("{} was not written by this command; remove it, and run this again to recreate it", file.display())
    })
}

fn write(file: &Path, identities: &BTreeMap<String, Identity>) -> Result<(), String> {
    let text = toml::to_string(identities).map_err(|error| format!("can't write TOML: {error}"))?;
    files::replace(file, &format!("# One client for each role of the conformance harness.\n\n{text}"))
}

/// A new Ed25519 key: the public JWK for the service, and the private one, as JSON, for the client.
fn key_pair() -> Result<(Value, String), String> {
    let private = random::<32>()?;
    let public = json!({
        "kid": format!("dev-{}", suffix::<4>()?),
        "alg": "EdDSA",
        "kty": "OKP",
        "crv": "Ed25519",
        "x": public_half(&private)?,
    });
    let mut jwk = public.clone();
    jwk["d"] = base64(&private).into();
    Ok((public, jwk.to_string()))
}
