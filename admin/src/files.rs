//! Files that hold secrets, randomness, and the commands that come next.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::Serialize;

use crate::Place;

pub fn read(path: &Path, make_it: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("can't read {}: {error}; {make_it}", path.display()))
}

/// Writes a file that only its owner may read. It appears whole or not at all.
pub fn write(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("can't write {}: {error}", path.display());
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    // One that is left over may have other rights.
    let _ = fs::remove_file(&fresh);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&fresh).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&fresh, path).map_err(failed)
}

pub fn json(value: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| format!("can't write JSON: {error}"))
}

pub fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| format!("this machine gives no randomness: {error}"))?;
    Ok(bytes)
}

pub fn base64(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// Random letters and digits that tell one name from another.
pub fn suffix() -> Result<String, String> {
    Ok(data_encoding::HEXLOWER.encode(&random::<4>()?))
}

impl Place {
    pub fn keys(&self) -> PathBuf {
        self.keys.clone().unwrap_or_else(|| self.default_file("keys"))
    }

    pub fn clients(&self) -> PathBuf {
        self.clients.clone().unwrap_or_else(|| self.default_file("clients"))
    }

    /// Each environment has files of its own, so that what is made for one does not go to another.
    fn default_file(&self, name: &str) -> PathBuf {
        let env = self.env.as_ref().map_or(String::new(), |env| format!(".{env}"));
        PathBuf::from(format!("{name}{env}.json"))
    }

    /// What a change has to put into the registry: the changed records alone, since the others here may be older than there.
    pub fn put_file(&self) -> PathBuf {
        self.clients().with_extension("put.json")
    }

    /// The command that puts the key set where the Worker reads it.
    pub fn put_keys(&self) -> String {
        let keys = self.keys();
        let keys = keys.display();
        match &self.env {
            Some(env) => format!("npx wrangler secret put AUTH_KEYS --env {env} < '{keys}'"),
            None => format!(
                "(umask 077 && printf \"AUTH_KEYS='%s'\\n\" \"$(cat '{keys}')\" > .dev.vars) && touch wrangler.toml"
            ),
        }
    }

    /// The command that puts what was changed into the registry.
    pub fn put_clients(&self) -> String {
        let file = self.put_file();
        let file = file.display();
        match &self.env {
            Some(env) => format!("npx wrangler kv bulk put '{file}' --binding CLIENTS --env {env} --remote"),
            None => format!("npx wrangler kv bulk put '{file}' --binding CLIENTS --local"),
        }
    }
}
