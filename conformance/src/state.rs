//! State for the next run: the last one-time code used, and a lock and a rate limit that may still hold.
//!
//! It is kept in a small file under the user's state directory, without secrets: the key of an entry is a digest.

use ring::digest;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Spent {
    /// The last TOTP step whose code was sent.
    pub step: u64,
    /// When the fifth wrong code was sent, in seconds since the epoch; 0 if never.
    pub locked_at: u64,
    /// When the last wrong code was sent, in seconds since the epoch; 0 if never.
    pub wrong_at: u64,
    /// Until when the client is rate-limited, in seconds since the epoch; 0 if never.
    #[serde(default)]
    pub limited_until: u64,
}

#[derive(Default)]
pub struct State {
    file: Option<PathBuf>,
    /// Whether a missing entry means that there was no earlier run.
    complete: bool,
    entries: RefCell<BTreeMap<String, Spent>>,
}

impl State {
    /// For the selftest: starts empty, and is not stored.
    pub fn in_memory() -> Self {
        Self { complete: true, ..Self::default() }
    }

    pub fn load() -> Self {
        let home = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).or_else(|| {
            let home = std::env::var_os("HOME").or_else(|| std::env::var_os("USERPROFILE"))?;
            Some(PathBuf::from(home).join(".local").join("state"))
        });
        let file = home.map(|dir| dir.join("conformance").join("spent.json"));
        let entries = file
            .as_ref()
            .and_then(|path| std::fs::read(path).ok())
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        Self { file, complete: false, entries: RefCell::new(entries) }
    }

    /// The key of a client's entry. `of` is its TOTP secret, or what else the entry is about.
    pub fn key(base_url: &str, client_id: &str, of: &[u8]) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in [base_url.as_bytes(), b"\0", client_id.as_bytes(), b"\0", of] {
            context.update(part);
        }
        crate::jose::b64(&context.finish().as_ref()[..12])
    }

    /// `None` if nothing is known: another machine may just have used codes.
    pub fn get(&self, key: &str) -> Option<Spent> {
        let known = self.entries.borrow().get(key).copied();
        known.or_else(|| self.complete.then(Spent::default))
    }

    /// Writes the file at once, so that the next run uses no code again even if this one dies. If the file can't be written,
    /// the next run only has to wait.
    pub fn update(&self, key: &str, change: impl FnOnce(&mut Spent)) {
        let mut entries = self.entries.borrow_mut();
        change(entries.entry(key.to_owned()).or_default());
        let Some(file) = &self.file else { return };
        if let Some(dir) = file.parent() {
            let _ = std::fs::create_dir_all(dir);
        }
        if let Ok(text) = serde_json::to_vec(&*entries) {
            let beside = file.with_extension(format!("{}.tmp", std::process::id()));
            if std::fs::write(&beside, text).is_ok() {
                let _ = std::fs::rename(&beside, file);
            }
        }
    }
}
