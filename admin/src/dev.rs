//! What local development needs: keys, and one client for each role of the conformance harness.

use std::collections::BTreeMap;
use std::path::Path;

use auth_edge::client::{Mechanism, Status};
use auth_edge::keys::{JwkSet, PublicJwk};
use auth_edge::request::MAX_TTL;
use serde::Serialize;

use crate::clients::{self, Plan};
use crate::files::{self, base64, random, suffix};
use crate::keys;

/// A role's table in `identities.toml`.
#[derive(Serialize)]
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
}

struct Role {
    name: &'static str,
    scopes: &'static [&'static str],
    mechanisms: &'static [Mechanism],
    /// Has a TOTP seed, whether or not it may use it.
    has_seed: bool,
    has_key: bool,
    status: Status,
    max_ttl: Option<u64>,
}

const ALL: &[&str] = &["jobs:*", "templates:*", "tokens:*"];

const ROLES: [Role; 7] = [
    Role {
        name: "valid",
        scopes: ALL,
        mechanisms: &Mechanism::ALL,
        has_seed: true,
        has_key: true,
        status: Status::Active,
        max_ttl: None,
    },
    Role {
        name: "narrow",
        scopes: &["jobs:submit", "tokens:revoke"],
        mechanisms: &[Mechanism::Secret],
        has_seed: false,
        has_key: false,
        status: Status::Active,
        max_ttl: Some(86_400),
    },
    Role {
        name: "no_otp",
        scopes: ALL,
        mechanisms: &[Mechanism::Secret, Mechanism::Assertion, Mechanism::Rotation],
        has_seed: true,
        has_key: true,
        status: Status::Active,
        max_ttl: None,
    },
    Role {
        name: "suspended",
        scopes: ALL,
        mechanisms: &Mechanism::ALL,
        has_seed: true,
        has_key: true,
        status: Status::Suspended,
        max_ttl: None,
    },
    Role {
        name: "other",
        scopes: &["tokens:*"],
        mechanisms: &Mechanism::ALL,
        has_seed: true,
        has_key: true,
        status: Status::Active,
        max_ttl: None,
    },
    Role {
        name: "lockout",
        scopes: ALL,
        mechanisms: &Mechanism::ALL,
        has_seed: true,
        has_key: true,
        status: Status::Active,
        max_ttl: None,
    },
    Role {
        name: "burst",
        scopes: ALL,
        mechanisms: &Mechanism::ALL,
        has_seed: true,
        has_key: true,
        status: Status::Active,
        max_ttl: None,
    },
];

pub fn run(folder: &Path) -> Result<String, String> {
    let [keys_file, clients_file, identities_file] =
        ["keys.json", "clients.json", "identities.toml"].map(|name| folder.join(name));
    let vars_file = Path::new(".dev.vars");
    if [&keys_file, &clients_file, &identities_file].iter().all(|file| file.exists()) && vars_file.exists() {
        return Ok(format!("{} is there already.", folder.display()));
    }
    let set = if keys_file.exists() {
        serde_json::from_str(&files::read(&keys_file, "remove it to have it made anew")?)
            .map_err(|_| format!("{} is not a key set; remove it to have it made anew", keys_file.display()))?
    } else {
        keys::new_set()?
    };
    let keys_json = files::json(&set)?;
    let key_set = keys::check(&keys_json)
        .map_err(|problem| format!("{} {problem}; remove it to have it made anew", keys_file.display()))?;

    let mut records = Vec::new();
    let mut identities = BTreeMap::new();
    for role in ROLES {
        let client_id = format!("c2m_dev_{}_{}", role.name, suffix()?);
        let scopes: Vec<String> = role.scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let pair = if role.has_key { Some(key_pair()?) } else { None };
        let plan = Plan {
            client_id: &client_id,
            scopes: &scopes,
            mechanisms: role.mechanisms.to_vec(),
            max_ttl: role.max_ttl.unwrap_or(MAX_TTL),
            jwks: JwkSet { keys: pair.iter().map(|(public, _)| public.clone()).collect() },
        };
        let (mut record, mut shown) = plan.carry_out(Some(&key_set))?;
        record.status = role.status;
        if role.has_seed && shown.seed.is_none() {
            let (sealed, seed) = clients::new_seed(&key_set, &client_id)?;
            record.totp = Some(sealed);
            shown.seed = Some(seed);
        }
        records.push(record);
        let identity = Identity {
            client_id,
            client_secret: shown.secret,
            totp_secret: shown.seed,
            assertion_jwk: pair.map(|(_, private)| private),
            scopes,
            max_ttl_seconds: role.max_ttl,
        };
        identities.insert(role.name, identity);
    }
    let identities = toml::to_string(&identities).map_err(|error| format!("can't write the identities: {error}"))?;

    files::write(&keys_file, &keys_json)?;
    files::write(&clients_file, &clients::bulk(&records)?)?;
    files::write(
        &identities_file,
        &format!(
            "# Clients of this machine's `wrangler dev`, one for each role of the conformance harness.\n\n{identities}"
        ),
    )?;
    let others = std::fs::read_to_string(vars_file).unwrap_or_default();
    let others = others.lines().filter(|line| !line.starts_with("AUTH_KEYS=")).map(|line| format!("{line}\n"));
    files::write(vars_file, &format!("AUTH_KEYS='{keys_json}'\n{}", others.collect::<String>()))?;
    Ok(format!(
        "Made keys and {} clients in {}, with fresh randomness; git ignores them.",
        records.len(),
        folder.display()
    ))
}

/// A fresh Ed25519 key: the public JWK for the registry, and the private one, as JSON, for the client.
fn key_pair() -> Result<(PublicJwk, String), String> {
    let private = random::<32>()?;
    let public = PublicJwk {
        kid: format!("dev-{}", suffix()?),
        alg: "EdDSA".to_owned(),
        kty: "OKP".to_owned(),
        crv: Some("Ed25519".to_owned()),
        x: Some(keys::public_half(&private)?),
        y: None,
        n: None,
        e: None,
    };
    let mut jwk = serde_json::to_value(&public).map_err(|error| format!("can't write a JWK: {error}"))?;
    jwk["d"] = base64(&private).into();
    Ok((public, jwk.to_string()))
}
