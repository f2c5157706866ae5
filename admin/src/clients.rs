//! Clients: made, given secrets, seeds and keys, suspended, restored.

use std::path::{Path, PathBuf};

use auth_edge::client::{ClientRecord, MAX_SECRETS, Mechanism, RECORD_VERSION, Status, StoredSecret, is_client_id};
use auth_edge::keys::{JwkSet, KeySet, PublicJwk};
use auth_edge::otp::SEED_LENGTH;
use auth_edge::request::{MAX_TTL, MIN_TTL};
use auth_edge::scope::Scopes;
use auth_edge::secret::Secret;
use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::files::{self, base64, random, suffix};
use crate::{Place, keys};

#[derive(Subcommand)]
pub enum Command {
    /// Make a client; its secret and its TOTP seed are shown once
    New(New),
    /// Show the clients, without anything secret
    List,
    /// Give a client a second secret, so that it can change over
    AddSecret { client_id: String },
    /// End one of a client's secrets, now or later
    EndSecret {
        client_id: String,
        /// Which one, as `admin client list` names it
        secret: String,
        /// In how many seconds
        #[arg(long = "in", value_name = "SECONDS", default_value_t = 0)]
        delay: u64,
    },
    /// Give a client a new TOTP seed; the old one ends
    NewTotp { client_id: String },
    /// Replace the public keys that sign a client's assertions
    SetJwks { client_id: String, jwks: PathBuf },
    /// Suspend a client: nothing of it works until it is restored
    Suspend { client_id: String },
    /// Let a suspended client work again
    Restore { client_id: String },
    /// End all tokens of a client that were issued until now
    EndTokens { client_id: String },
    /// Seal all TOTP seeds with the first totp-seal key, so that an older one can be retired
    Reseal,
}

#[derive(Args)]
pub struct New {
    /// 1 to 128 letters, digits, '-', '_', '.' or '~'; made up if left out
    #[arg(long)]
    client_id: Option<String>,
    /// What it may be granted, as resource:action or resource:*; repeat it, or separate with commas
    #[arg(long = "scope", required = true, value_delimiter = ',')]
    scopes: Vec<String>,
    /// How it may get a long-term token; repeat it, or separate with commas
    #[arg(long = "mechanism", required = true, value_delimiter = ',')]
    mechanisms: Vec<MechanismName>,
    /// The longest life of its long-term tokens, 3600 to 7776000
    #[arg(long, value_name = "SECONDS", default_value_t = MAX_TTL)]
    max_ttl: u64,
    /// A JWK Set of its public keys, each with kid and alg; needed for the mechanism assertion
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MechanismName {
    Secret,
    Otp,
    Assertion,
    Rotation,
}

impl From<MechanismName> for Mechanism {
    fn from(name: MechanismName) -> Self {
        match name {
            MechanismName::Secret => Self::Secret,
            MechanismName::Otp => Self::Otp,
            MechanismName::Assertion => Self::Assertion,
            MechanismName::Rotation => Self::Rotation,
        }
    }
}

/// A pair as `wrangler kv bulk put` takes it.
#[derive(Serialize, Deserialize)]
struct Pair {
    key: String,
    value: String,
}

/// A client before it has credentials.
pub struct Plan<'a> {
    pub client_id: &'a str,
    pub scopes: &'a [String],
    pub mechanisms: Vec<Mechanism>,
    pub max_ttl: u64,
    pub jwks: JwkSet<PublicJwk>,
}

/// What is shown once.
#[derive(Default)]
pub struct Shown {
    pub secret: Option<String>,
    /// Base32.
    pub seed: Option<String>,
}

pub fn run(command: Command, place: &Place, now: u64) -> Result<String, String> {
    let said = match command {
        Command::New(new) => return make(new, place),
        Command::List => return read(place).map(|records| list(&records, now)),
        Command::AddSecret { client_id } => change(place, &client_id, |record| {
            record.secrets.retain(|secret| secret.expires_at.is_none_or(|end| end > now));
            if record.secrets.len() == MAX_SECRETS {
                return Err(format!(
                    "{client_id} has {MAX_SECRETS} live secrets; end one with `admin client end-secret`"
                ));
            }
            let (stored, secret) = new_secret()?;
            record.secrets.push(stored);
            Ok(format!(
                "client_secret: {secret}\nThis is shown once. The other secret still works; end it when the client has changed over."
            ))
        })?,
        Command::EndSecret { client_id, secret, delay } => change(place, &client_id, |record| {
            let stored = record.secrets.iter_mut().find(|stored| stored.id == secret);
            let stored =
                stored.ok_or_else(|| format!("{client_id} has no secret {secret}; see `admin client list`"))?;
            let end = now.saturating_add(delay);
            stored.expires_at = Some(stored.expires_at.map_or(end, |earlier| earlier.min(end)));
            Ok(format!("The secret {secret} ends in {delay} seconds."))
        })?,
        Command::NewTotp { client_id } => {
            let key_set = key_set(place)?;
            change(place, &client_id, |record| {
                let (sealed, seed) = new_seed(&key_set, &client_id)?;
                record.totp = Some(sealed);
                Ok(format!("TOTP seed: {seed}\n{}\nThis is shown once; the old seed ends.", otpauth(&client_id, &seed)))
            })?
        }
        Command::SetJwks { client_id, jwks } => {
            let jwks = read_jwks(&jwks)?;
            change(place, &client_id, |record| {
                if record.allows(Mechanism::Assertion) && jwks.keys.is_empty() {
                    return Err(format!("{client_id} may use assertions, so it needs a key; suspend it to stop it"));
                }
                record.jwks = jwks;
                Ok(format!("{client_id} signs its assertions with {} key(s) now.", record.jwks.keys.len()))
            })?
        }
        Command::Suspend { client_id } => change(place, &client_id, |record| {
            record.status = Status::Suspended;
            Ok(format!("{client_id} is suspended."))
        })?,
        Command::Restore { client_id } => change(place, &client_id, |record| {
            record.status = Status::Active;
            Ok(format!("{client_id} works again, and so do its tokens that have not ended."))
        })?,
        Command::EndTokens { client_id } => change(place, &client_id, |record| {
            // Tokens count whole seconds: one more takes those of this second in.
            record.tokens_valid_from = record.tokens_valid_from.max(now + 1);
            Ok(format!(
                "All tokens of {client_id} issued until now count as revoked. New ones can be issued.\nUntil every location \
                 has this, a token can still be exchanged or rotated into one that counts as new: in case of a leak, \
                 suspend the client first, or run this and the next command again two minutes later."
            ))
        })?,
        Command::Reseal => {
            let key_set = key_set(place)?;
            let mut records = read(place)?;
            let mut changed = Vec::new();
            for record in &mut records {
                let Some(sealed) = &record.totp else { continue };
                let seed = key_set.unseal(&record.client_id, sealed);
                let seed = seed.ok_or_else(|| {
                    format!(
                        "the seed of {} opens with no totp-seal key in {}",
                        record.client_id,
                        place.keys().display()
                    )
                })?;
                record.totp = Some(seal(&key_set, &record.client_id, &seed)?);
                changed.push(record.client_id.clone());
            }
            write(place, &records, &changed.iter().map(String::as_str).collect::<Vec<_>>())?;
            format!("Sealed {} seed(s) anew.", changed.len())
        }
    };
    Ok(format!("{said}\nNext: {}", place.put_clients()))
}

fn make(new: New, place: &Place) -> Result<String, String> {
    let client_id = match new.client_id {
        Some(id) => id,
        None => format!("c2m_{}", suffix()?),
    };
    let mut records = if place.clients().exists() { read(place)? } else { Vec::new() };
    if records.iter().any(|record| record.client_id == client_id) {
        return Err(format!(
            "{} has a client {client_id} already; choose another --client-id",
            place.clients().display()
        ));
    }
    let plan = Plan {
        client_id: &client_id,
        scopes: &new.scopes,
        mechanisms: new.mechanisms.into_iter().map(Mechanism::from).collect(),
        max_ttl: new.max_ttl,
        jwks: new.jwks.as_deref().map_or(Ok(JwkSet { keys: Vec::new() }), read_jwks)?,
    };
    let needs_keys = plan.mechanisms.contains(&Mechanism::Otp);
    let key_set = if needs_keys { Some(key_set(place)?) } else { None };
    let (record, shown) = plan.carry_out(key_set.as_ref())?;
    records.push(record);
    write(place, &records, &[&client_id])?;
    let mut said = format!("client_id: {client_id}");
    if let Some(secret) = shown.secret {
        said += &format!("\nclient_secret: {secret}");
    }
    if let Some(seed) = shown.seed {
        said += &format!("\nTOTP seed: {seed}\n{}", otpauth(&client_id, &seed));
    }
    Ok(format!("{said}\nWhat is secret here is shown once.\nNext: {}", place.put_clients()))
}

impl Plan<'_> {
    /// Makes the record, with fresh credentials for the mechanisms that need one.
    pub fn carry_out(self, key_set: Option<&KeySet>) -> Result<(ClientRecord, Shown), String> {
        if !is_client_id(self.client_id) {
            return Err("a client id is 1 to 128 letters, digits, '-', '_', '.' or '~'".to_owned());
        }
        if !(MIN_TTL..=MAX_TTL).contains(&self.max_ttl) {
            return Err(format!("--max-ttl must be from {MIN_TTL} to {MAX_TTL}"));
        }
        let scopes = Scopes::parse(self.scopes.iter().map(String::as_str))
            .map_err(|error| format!("the list of scopes {error}"))?;
        if self.mechanisms.contains(&Mechanism::Assertion) && self.jwks.keys.is_empty() {
            return Err("the mechanism assertion needs the client's public keys; give them with --jwks".to_owned());
        }
        let mut shown = Shown::default();
        let mut record = ClientRecord {
            version: RECORD_VERSION,
            client_id: self.client_id.to_owned(),
            status: Status::Active,
            scopes,
            mechanisms: self.mechanisms,
            max_ttl_seconds: self.max_ttl,
            tokens_valid_from: 0,
            secrets: Vec::new(),
            totp: None,
            jwks: self.jwks,
        };
        if record.allows(Mechanism::Secret) {
            let (stored, secret) = new_secret()?;
            record.secrets.push(stored);
            shown.secret = Some(secret);
        }
        if let (true, Some(key_set)) = (record.allows(Mechanism::Otp), key_set) {
            let (sealed, seed) = new_seed(key_set, self.client_id)?;
            record.totp = Some(sealed);
            shown.seed = Some(seed);
        }
        Ok((record, shown))
    }
}

/// A fresh secret, 256 random bits, with a prefix by which scanners find it where it should not be.
fn new_secret() -> Result<(StoredSecret, String), String> {
    let secret = format!("aecs_{}", base64(&random::<32>()?));
    let stored = StoredSecret::new(&format!("s-{}", suffix()?), &Secret::new(secret.as_str()), random()?, None);
    Ok((stored, secret))
}

/// A fresh seed: sealed for the registry, and in base32 for the client.
pub fn new_seed(key_set: &KeySet, client_id: &str) -> Result<(String, String), String> {
    let seed = random::<SEED_LENGTH>()?;
    let sealed = seal(key_set, client_id, &Secret::new(seed))?;
    Ok((sealed, data_encoding::BASE32_NOPAD.encode(&seed)))
}

fn seal(key_set: &KeySet, client_id: &str, seed: &Secret) -> Result<String, String> {
    key_set.seal(client_id, seed, random()?).ok_or_else(|| format!("can't seal the seed of {client_id}"))
}

/// What authenticator apps read from a QR code.
fn otpauth(client_id: &str, seed: &str) -> String {
    format!("otpauth://totp/auth-edge:{client_id}?secret={seed}&issuer=auth-edge&algorithm=SHA1&digits=6&period=30")
}

fn key_set(place: &Place) -> Result<KeySet, String> {
    keys::read(place).and_then(|set| keys::check(&files::json(&set)?))
}

/// Reads a client's public keys. Members that the registry has no use for are left out; a private key is refused.
fn read_jwks(path: &Path) -> Result<JwkSet<PublicJwk>, String> {
    #[derive(Deserialize)]
    struct Loose {
        keys: Vec<serde_json::Map<String, serde_json::Value>>,
    }
    let shown = path.display();
    let text = files::read(path, "write the client's public keys there as a JWK Set")?;
    let loose: Loose =
        serde_json::from_str(&text).map_err(|_| format!("{shown} is not a JWK Set: {{\"keys\": [...]}}"))?;
    let mut keys: Vec<PublicJwk> = Vec::new();
    for (index, mut jwk) in loose.keys.into_iter().enumerate() {
        if ["d", "p", "q", "dp", "dq", "qi", "k", "oth"].iter().any(|member| jwk.contains_key(*member)) {
            return Err(format!("key {index} of {shown} holds private or symmetric members; give the public key only"));
        }
        jwk.retain(|member, _| ["kid", "alg", "kty", "crv", "x", "y", "n", "e"].contains(&member.as_str()));
        let key: PublicJwk = serde_json::from_value(jwk.into())
            .map_err(|_| format!("key {index} of {shown} needs kid, alg and kty, as strings"))?;
        key.algorithm().map_err(|problem| format!("key {index} (kid {}) of {shown}: {problem}", key.kid))?;
        if key.kid.is_empty() || keys.iter().any(|other| other.kid == key.kid) {
            return Err(format!("key {index} of {shown} needs a kid of its own"));
        }
        keys.push(key);
    }
    Ok(JwkSet { keys })
}

fn change(
    place: &Place,
    client_id: &str,
    change: impl FnOnce(&mut ClientRecord) -> Result<String, String>,
) -> Result<String, String> {
    let mut records = read(place)?;
    let record = records.iter_mut().find(|record| record.client_id == client_id);
    let said = change(record.ok_or_else(|| {
        let get = place.env.as_ref().map_or("--local".to_owned(), |env| format!("--env {env} --remote"));
        format!("{} has no client {client_id}; fetch its record with: npx wrangler kv key get {client_id} --binding CLIENTS {get} --text > FILE, and name that file with --clients", place.clients().display())
    })?)?;
    write(place, &records, &[client_id])?;
    Ok(said)
}

/// Reads pairs, or a single record.
fn read(place: &Place) -> Result<Vec<ClientRecord>, String> {
    let text = files::read(&place.clients(), "make a client with `admin client new`, or name the file with --clients")?;
    let parse = |json: &str| {
        ClientRecord::parse(json).map_err(|error| format!("{}: {}", place.clients().display(), error.problem))
    };
    if text.trim_start().starts_with('[') {
        let pairs: Vec<Pair> = serde_json::from_str(&text)
            .map_err(|_| format!("{} is not what `wrangler kv bulk put` takes", place.clients().display()))?;
        pairs.iter().map(|pair| parse(&pair.value)).collect()
    } else {
        Ok(vec![parse(&text)?])
    }
}

/// Writes all records, and beside them those that were changed, for the registry.
fn write(place: &Place, records: &[ClientRecord], changed: &[&str]) -> Result<(), String> {
    let changed = records.iter().filter(|record| changed.contains(&record.client_id.as_str()));
    files::write(&place.put_file(), &bulk(changed)?)?;
    files::write(&place.clients(), &bulk(records)?)
}

pub fn bulk<'r>(records: impl IntoIterator<Item = &'r ClientRecord>) -> Result<String, String> {
    let pair = |record: &ClientRecord| Ok(Pair { key: record.client_id.clone(), value: files::json(record)? });
    files::json(&records.into_iter().map(pair).collect::<Result<Vec<_>, String>>()?)
}

fn list(records: &[ClientRecord], now: u64) -> String {
    let mut lines = Vec::new();
    for record in records {
        let status = if record.status == Status::Active { "active" } else { "suspended" };
        let mechanisms: Vec<_> = record.mechanisms.iter().map(|mechanism| mechanism.name()).collect();
        lines.push(format!("{} ({status})", record.client_id));
        lines.push(format!("  scopes      {}", record.scopes));
        lines.push(format!("  mechanisms  {}", mechanisms.join(" ")));
        lines.push(format!("  max ttl     {} s", record.max_ttl_seconds));
        for secret in &record.secrets {
            let end = match secret.expires_at {
                None => "no end".to_owned(),
                Some(end) if end <= now => "ended".to_owned(),
                Some(end) => format!("ends in {} s", end - now),
            };
            lines.push(format!("  secret      {} ({end})", secret.id));
        }
        for key in &record.jwks.keys {
            lines.push(format!("  key         {} ({})", key.kid, key.alg));
        }
        if record.totp.is_some() {
            lines.push("  totp        has a seed".to_owned());
        }
        if record.tokens_valid_from > 0 {
            lines
                .push(format!("  tokens      count if issued at {} or later (Unix seconds)", record.tokens_valid_from));
        }
    }
    if lines.is_empty() { "No clients; make one with `admin client new`.".to_owned() } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use auth_edge::client::{Standing, secret_matches};

    use super::*;

    fn place(name: &str) -> Place {
        let folder = std::env::temp_dir().join(format!("admin-clients-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let place =
            Place { keys: Some(folder.join("keys.json")), clients: Some(folder.join("clients.json")), env: None };
        keys::run(keys::Command::New, &place).unwrap();
        place
    }

    fn new(id: &str, mechanisms: &[MechanismName]) -> Command {
        Command::New(New {
            client_id: Some(id.into()),
            scopes: vec!["jobs:*".into()],
            mechanisms: mechanisms.to_vec(),
            max_ttl: MAX_TTL,
            jwks: None,
        })
    }

    fn record(place: &Place) -> ClientRecord {
        read(place).unwrap().remove(0)
    }

    fn secret_in(said: &str) -> Secret {
        let line = said.lines().find_map(|line| line.strip_prefix("client_secret: ")).unwrap();
        Secret::new(line)
    }

    #[test]
    fn a_secret_is_replaced_without_a_gap() {
        let place = place("secret");
        let first = secret_in(&run(new("a", &[MechanismName::Secret]), &place, 100).unwrap());
        assert!(run(new("a", &[MechanismName::Secret]), &place, 100).is_err(), "an id is not taken twice");
        let second = secret_in(&run(Command::AddSecret { client_id: "a".into() }, &place, 100).unwrap());
        assert!(run(Command::AddSecret { client_id: "a".into() }, &place, 100).is_err(), "two at most");
        let old = record(&place).secrets[0].id.clone();
        run(Command::EndSecret { client_id: "a".into(), secret: old, delay: 50 }, &place, 100).unwrap();
        let live = |secret: &Secret, now| secret_matches(Some(&record(&place)), secret, now);
        assert!(live(&first, 149) && live(&second, 149));
        assert!(!live(&first, 150) && live(&second, 150));
        assert!(run(Command::AddSecret { client_id: "a".into() }, &place, 150).is_ok(), "an ended one makes room");
    }

    #[test]
    fn a_seed_is_sealed_and_resealed() {
        let place = place("seed");
        let said = run(new("a", &[MechanismName::Otp]), &place, 100).unwrap();
        assert!(said.contains("otpauth://totp/auth-edge:a?secret="));
        let seed = said.lines().find_map(|line| line.strip_prefix("TOTP seed: ")).unwrap().to_owned();
        assert!(!std::fs::read_to_string(place.clients()).unwrap().contains(&seed));
        keys::run(keys::Command::Add { key_use: keys::Use::Seal }, &place).unwrap();
        let seals: Vec<String> = keys::read(&place)
            .unwrap()
            .keys
            .iter()
            .filter(|key| key.key_use == "totp-seal")
            .map(|key| key.kid.clone())
            .collect();
        keys::run(keys::Command::Promote { kid: seals[1].clone() }, &place).unwrap();
        run(Command::Reseal, &place, 100).unwrap();
        keys::run(keys::Command::Retire { kid: seals[0].clone() }, &place).unwrap();
        let opened = key_set(&place).unwrap().unseal("a", record(&place).totp.as_ref().unwrap()).unwrap();
        assert_eq!(data_encoding::BASE32_NOPAD.encode(opened.expose()), seed);
    }

    #[test]
    fn a_change_puts_its_own_record_alone() {
        let place = place("alone");
        for id in ["a", "b"] {
            run(new(id, &[MechanismName::Secret]), &place, 100).unwrap();
        }
        run(Command::Suspend { client_id: "a".into() }, &place, 100).unwrap();
        let put: Vec<Pair> = serde_json::from_str(&std::fs::read_to_string(place.put_file()).unwrap()).unwrap();
        assert_eq!(put.iter().map(|pair| pair.key.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(read(&place).unwrap().len(), 2);
    }

    #[test]
    fn suspension_and_the_kill_switch() {
        let place = place("suspend");
        run(new("a", &[MechanismName::Secret]), &place, 100).unwrap();
        let honours = |issued_at| Standing::parse(&files::json(&record(&place)).unwrap()).unwrap().honours(issued_at);
        run(Command::Suspend { client_id: "a".into() }, &place, 100).unwrap();
        assert!(!honours(100));
        run(Command::Restore { client_id: "a".into() }, &place, 100).unwrap();
        assert!(honours(100));
        run(Command::EndTokens { client_id: "a".into() }, &place, 100).unwrap();
        assert!(!honours(100) && honours(101));
    }

    #[test]
    fn what_the_worker_would_refuse_is_refused_here() {
        let place = place("refuse");
        assert!(run(new("a b", &[MechanismName::Secret]), &place, 0).is_err());
        assert!(run(new("a", &[MechanismName::Assertion]), &place, 0).is_err());
        let jwks = |text: &str| {
            let path = place.clients().with_file_name("jwks.json");
            std::fs::write(&path, text).unwrap();
            read_jwks(&path)
        };
        assert!(jwks(r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","alg":"EdDSA","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#).is_ok());
        assert!(jwks(r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"x"}]}"#).is_err());
        assert!(jwks(r#"{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#).is_err());
        assert!(jwks(r#"{"keys":[{"kty":"RSA","kid":"k","alg":"RS256","n":"AQAB","e":"AQAB"}]}"#).is_err());
    }
}
