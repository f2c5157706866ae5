//! The service's key set: create, add, promote, retire.

use auth_edge::client::jwk::JwkSet;
use auth_edge::keys::{KeySet, PrivateJwk, USE_LONG, USE_SEAL, USE_SHORT, USE_TOKEN_ID};
use clap::{Subcommand, ValueEnum};
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::files::{base64, random, suffix};
use crate::secrets::{AUTH_KEYS, SecretsFile};

#[derive(Subcommand)]
pub enum Command {
    /// Create a key set with one key for each use, for a deployment that has none
    New,
    /// List the keys: use, kid, and which one signs, but no values
    List,
    /// Add a key, which verifies but does not sign yet
    Add { key_use: Use },
    /// Make a key the one that signs; first wait until every location has it
    Promote { kid: String },
    /// Remove a key; first wait until everything that it signed has expired
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
    /// Encryption of stored TOTP seeds
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

pub fn run(command: Command, file: &SecretsFile) -> Result<String, String> {
    match command {
        Command::New => {
            if file.get(AUTH_KEYS)?.is_some() {
                let path = file.path.display();
                return Err(format!("{path} already has keys; replace them one at a time with `admin keys add`"));
            }
            file.set(&[(AUTH_KEYS, &new_set()?)])?;
            Ok(format!("Created keys in {}.\nNext: {}", file.path.display(), file.put()))
        }
        Command::List => Ok(list(&read(file)?)),
        Command::Add { key_use } => {
            let mut set = read(file)?;
            let key = new_key(key_use)?;
            let wait = match key_use {
                Use::Short => "10 minutes after that, when APIs have fetched the public keys again",
                _ => "5 minutes after that, when every location has it",
            };
            let said = format!(
                "Added {0}. It verifies, but does not sign yet.\nNext: {1}\nThen, {wait}: admin keys promote {0}",
                key.kid,
                file.put(),
            );
            set.keys.push(key);
            write(&set, file)?;
            Ok(said)
        }
        Command::Promote { kid } => {
            let mut set = read(file)?;
            let at = position(&set, &kid)?;
            let key = set.keys.remove(at);
            let key_use = key.key_use.clone();
            let first = set.keys.iter().position(|other| other.key_use == key_use).unwrap_or(0);
            set.keys.insert(first, key);
            write(&set, file)?;
            let then = match key_use.as_str() {
                USE_SHORT => "The previous one can be retired 20 minutes after that.",
                USE_SEAL => {
                    "Seeds encrypted with the previous one still need it: keep it until every client that has a seed has been \
                     given a new one with `admin client new-totp`. Without it their one-time codes fail."
                }
                _ => {
                    "The previous one can be retired 90 days after that, or after the longest lifetime that you give to tokens."
                }
            };
            Ok(format!("{kid} is now the first {key_use} key, so it signs.\nNext: {}\n{then}", file.put()))
        }
        Command::Retire { kid } => {
            let mut set = read(file)?;
            let at = position(&set, &kid)?;
            let key = set.keys.remove(at);
            if set.keys.iter().position(|other| other.key_use == key.key_use).is_none_or(|first| first >= at) {
                return Err(format!("{kid} signs; promote another {} key first", key.key_use));
            }
            write(&set, file)?;
            let lost = match key.key_use.as_str() {
                USE_SEAL => "seeds encrypted with it can't be decrypted: their clients need `admin client new-totp`",
                _ => "everything that it signed is refused",
            };
            Ok(format!("Retired {kid}: after the next command, {lost}.\nNext: {}", file.put()))
        }
    }
}

/// A new key set, as the value of the secret.
pub fn new_set() -> Result<String, String> {
    text(&JwkSet { keys: Use::ALL.into_iter().map(new_key).collect::<Result<_, _>>()? })
}

fn new_key(key_use: Use) -> Result<PrivateJwk, String> {
    let prefix = match key_use {
        Use::Long => "lt",
        Use::Short => "at",
        Use::TokenId => "id",
        Use::Seal => "seal",
    };
    let kid = format!("{prefix}-{}", suffix::<4>()?);
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

fn read(file: &SecretsFile) -> Result<JwkSet<PrivateJwk>, String> {
    let path = file.path.display();
    let keys = file.get(AUTH_KEYS)?.ok_or_else(|| {
        format!("{path} holds no {AUTH_KEYS}; make it with `admin init`, or name another file with --secrets")
    })?;
    let not_keys = |problem: String| format!("{AUTH_KEYS} in {path} {problem}");
    check(&keys).map_err(not_keys)?;
    serde_json::from_str(&keys).map_err(|_| not_keys("is not a key set".to_owned()))
}

fn write(set: &JwkSet<PrivateJwk>, file: &SecretsFile) -> Result<(), String> {
    file.set(&[(AUTH_KEYS, &text(set)?)])
}

fn text(set: &JwkSet<PrivateJwk>) -> Result<String, String> {
    let text = serde_json::to_string(set).map_err(|error| format!("can't write JSON: {error}"))?;
    check(&text)?;
    Ok(text)
}

/// The Worker's own check.
fn check(text: &str) -> Result<KeySet, String> {
    KeySet::parse(text).map_err(|error| error.to_string())
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

    fn file(name: &str) -> SecretsFile {
        let path = std::env::temp_dir().join(format!("admin-keys-{}-{name}.json", std::process::id()));
        let _ = std::fs::remove_file(&path);
        SecretsFile::of(Some("staging"), Some(&path))
    }

    #[test]
    fn a_signing_key_is_rotated_without_a_gap() {
        let file = file("rotate");
        file.set(&[(crate::secrets::OPERATOR, "{}")]).unwrap();
        run(Command::New, &file).unwrap();
        assert!(run(Command::New, &file).is_err(), "never overwritten");
        let old = read(&file).unwrap().keys[1].kid.clone();
        let said = run(Command::Add { key_use: Use::Short }, &file).unwrap();
        assert!(said.contains("wrangler secret bulk"), "{said}");
        let new = read(&file).unwrap().keys[4].kid.clone();
        assert!(run(Command::Retire { kid: old.clone() }, &file).is_err(), "the signing key stays");
        run(Command::Promote { kid: new.clone() }, &file).unwrap();
        let signing = || check(&file.get(AUTH_KEYS).unwrap().unwrap()).unwrap().short.first().public.kid.clone();
        assert_eq!(signing(), new);
        run(Command::Retire { kid: old }, &file).unwrap();
        assert_eq!(signing(), new);
        assert!(run(Command::Retire { kid: new }, &file).is_err(), "the last key stays");
        assert_eq!(file.get(crate::secrets::OPERATOR).unwrap().as_deref(), Some("{}"));
        std::fs::remove_file(&file.path).unwrap();
    }

    #[test]
    fn promoting_a_seal_key_warns_to_keep_the_old_one() {
        let file = file("seal");
        run(Command::New, &file).unwrap();
        run(Command::Add { key_use: Use::Seal }, &file).unwrap();
        let kid = read(&file).unwrap().keys[4].kid.clone();
        let said = run(Command::Promote { kid }, &file).unwrap();
        assert!(said.contains("keep it until every client") && said.contains("new-totp"), "{said}");
        std::fs::remove_file(&file.path).unwrap();
    }

    #[test]
    fn a_list_shows_no_value() {
        let set: JwkSet<PrivateJwk> = serde_json::from_str(&new_set().unwrap()).unwrap();
        let shown = list(&set);
        for key in &set.keys {
            assert!(shown.contains(&key.kid));
            for value in [&key.k, &key.d].into_iter().flatten() {
                assert!(!shown.contains(value.as_str()));
            }
        }
    }
}
