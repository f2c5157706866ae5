//! The service's key set: made, added to, promoted, retired.

use auth_edge::keys::{JwkSet, KeySet, PrivateJwk, USE_LONG, USE_SEAL, USE_SHORT, USE_TOKEN_ID};
use clap::{Subcommand, ValueEnum};
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::Place;
use crate::files::{self, base64, random, suffix};

#[derive(Subcommand)]
pub enum Command {
    /// Make a whole key set, one key for each use
    New,
    /// Show the keys: use, kid, and which one signs; no values
    List,
    /// Append a key: it verifies, and does not sign yet
    Add { key_use: Use },
    /// Let a key sign, once every location has it
    Promote { kid: String },
    /// Drop a key, once nothing that it signed lives
    Retire { kid: String },
}

/// What a key is for.
#[derive(Clone, Copy, ValueEnum)]
pub enum Use {
    /// Long-term tokens (HS256)
    #[value(name = "lt+jwt")]
    Long,
    /// Short-term tokens (Ed25519)
    #[value(name = "at+jwt")]
    Short,
    /// The MAC in token ids
    #[value(name = "token-id")]
    TokenId,
    /// TOTP seeds in the registry
    #[value(name = "totp-seal")]
    Seal,
}

impl Use {
    const ALL: [Self; 4] = [Self::Long, Self::Short, Self::TokenId, Self::Seal];

    const fn name(self) -> &'static str {
        match self {
            Self::Long => USE_LONG,
            Self::Short => USE_SHORT,
            Self::TokenId => USE_TOKEN_ID,
            Self::Seal => USE_SEAL,
        }
    }
}

pub fn run(command: Command, place: &Place) -> Result<String, String> {
    match command {
        Command::New => {
            if place.keys().exists() {
                let keys = place.keys();
                let keys = keys.display();
                return Err(format!("{keys} is there already; move it away, or name another file with --keys"));
            }
            write(&new_set()?, place)?;
            Ok(format!(
                "Made {}, which is secret: keep it off disks that you do not trust.\nNext: {}",
                place.keys().display(),
                place.put_keys()
            ))
        }
        Command::List => Ok(list(&read(place)?)),
        Command::Add { key_use } => {
            let mut set = read(place)?;
            let key = new_key(key_use)?;
            let said = format!(
                "Added {}. It verifies, and signs nothing yet.\nNext: {}\nThen, when the deployment is everywhere (and, for at+jwt, when verifiers that cache the public keys have \
                 fetched them again): admin keys promote {}",
                key.kid,
                place.put_keys(),
                key.kid
            );
            set.keys.push(key);
            write(&set, place)?;
            Ok(said)
        }
        Command::Promote { kid } => {
            let mut set = read(place)?;
            let at = position(&set, &kid)?;
            let key = set.keys.remove(at);
            let key_use = key.key_use.clone();
            let first = set.keys.iter().position(|other| other.key_use == key_use).unwrap_or(0);
            set.keys.insert(first, key);
            write(&set, place)?;
            let wait = match key_use.as_str() {
                USE_SHORT => "in 20 minutes",
                USE_SEAL => "after `admin client reseal` and its kv bulk put",
                _ => "in 90 days, or after the longest life that you give to tokens",
            };
            Ok(format!(
                "{kid} is first of {key_use} now, so it signs.\nNext: {}\nThe one before it can be retired {wait}.",
                place.put_keys()
            ))
        }
        Command::Retire { kid } => {
            let mut set = read(place)?;
            let at = position(&set, &kid)?;
            let key = set.keys.remove(at);
            if set.keys.iter().position(|other| other.key_use == key.key_use).is_none_or(|first| first >= at) {
                return Err(format!("{kid} signs; promote another {} key first", key.key_use));
            }
            write(&set, place)?;
            Ok(format!(
                "Retired {kid}: what it signed is worth nothing from the next deployment on.\nNext: {}",
                place.put_keys()
            ))
        }
    }
}

pub fn new_set() -> Result<JwkSet<PrivateJwk>, String> {
    Ok(JwkSet { keys: Use::ALL.into_iter().map(new_key).collect::<Result<_, _>>()? })
}

fn new_key(key_use: Use) -> Result<PrivateJwk, String> {
    let prefix = match key_use {
        Use::Long => "lt",
        Use::Short => "at",
        Use::TokenId => "id",
        Use::Seal => "seal",
    };
    let kid = format!("{prefix}-{}", suffix()?);
    let secret = random::<32>()?;
    let oct = |alg: &str| PrivateJwk {
        kty: "oct".to_owned(),
        key_use: key_use.name().to_owned(),
        kid: kid.clone(),
        alg: alg.to_owned(),
        crv: None,
        x: None,
        d: None,
        k: Some(base64(&secret)),
    };
    Ok(match key_use {
        Use::Long | Use::TokenId => oct("HS256"),
        Use::Seal => oct("XC20P"),
        Use::Short => PrivateJwk {
            kty: "OKP".to_owned(),
            crv: Some("Ed25519".to_owned()),
            x: Some(public_half(&secret)?),
            d: Some(base64(&secret)),
            k: None,
            ..oct("EdDSA")
        },
    })
}

/// The public half of an Ed25519 key, as `x` of its JWK (RFC 8037).
pub fn public_half(private: &[u8; 32]) -> Result<String, String> {
    let pair =
        Ed25519KeyPair::from_seed_unchecked(private).map_err(|error| format!("can't make an Ed25519 key: {error}"))?;
    Ok(base64(pair.public_key().as_ref()))
}

pub fn read(place: &Place) -> Result<JwkSet<PrivateJwk>, String> {
    let text = files::read(&place.keys(), "make it with `admin keys new`, or name it with --keys")?;
    check(&text).map_err(|problem| format!("{} {problem}", place.keys().display()))?;
    serde_json::from_str(&text).map_err(|_| format!("{} is not a key set", place.keys().display()))
}

/// The Worker's own judgement.
pub fn check(text: &str) -> Result<KeySet, String> {
    KeySet::parse(text).map_err(|error| error.to_string())
}

fn write(set: &JwkSet<PrivateJwk>, place: &Place) -> Result<(), String> {
    let text = files::json(set)?;
    check(&text)?;
    files::write(&place.keys(), &text)
}

fn position(set: &JwkSet<PrivateJwk>, kid: &str) -> Result<usize, String> {
    set.keys
        .iter()
        .position(|key| key.kid == kid)
        .ok_or_else(|| format!("no key has the kid {kid}; see `admin keys list`"))
}

fn list(set: &JwkSet<PrivateJwk>) -> String {
    let mut lines = vec![format!("{:<10} {:<16} {}", "USE", "KID", "DOES")];
    for key_use in Use::ALL.map(Use::name) {
        for (index, key) in set.keys.iter().filter(|key| key.key_use == key_use).enumerate() {
            let does = if index == 0 { "signs and verifies" } else { "verifies" };
            lines.push(format!("{key_use:<10} {:<16} {does}", key.kid));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Place {
        let folder = std::env::temp_dir().join(format!("admin-keys-{name}-{}", std::process::id()));
        Place {
            keys: Some(folder.join("keys.json")),
            clients: Some(folder.join("clients.json")),
            env: Some("staging".into()),
        }
    }

    #[test]
    fn a_signing_key_is_rotated_without_a_gap() {
        let place = place("rotate");
        let _ = std::fs::remove_file(place.keys());
        run(Command::New, &place).unwrap();
        assert!(run(Command::New, &place).is_err(), "never overwritten");
        let old = read(&place).unwrap().keys[1].kid.clone();
        run(Command::Add { key_use: Use::Short }, &place).unwrap();
        let new = read(&place).unwrap().keys[4].kid.clone();
        assert!(run(Command::Retire { kid: old.clone() }, &place).is_err(), "the signing key stays");
        run(Command::Promote { kid: new.clone() }, &place).unwrap();
        let signing = |place: &Place| {
            check(&std::fs::read_to_string(place.keys()).unwrap()).unwrap().short.first().public.kid.clone()
        };
        assert_eq!(signing(&place), new);
        run(Command::Retire { kid: old }, &place).unwrap();
        assert_eq!(signing(&place), new);
        assert!(run(Command::Retire { kid: new }, &place).is_err(), "the last key stays");
    }

    #[test]
    fn a_list_shows_no_value() {
        let set = new_set().unwrap();
        let shown = list(&set);
        for key in &set.keys {
            assert!(shown.contains(&key.kid));
            for value in [&key.k, &key.d].into_iter().flatten() {
                assert!(!shown.contains(value.as_str()));
            }
        }
    }
}
