//! What one run must tell the next: the last one-time code spent, and a lock that may still hold.
//!
//! Kept in a small file under the user's state directory. It holds no secret: an entry is found by a digest.

use ring::digest;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Spent {
    /// The last TOTP step whose code was sent.
    pub step: u64,
    /// When the five wrong codes were complete, in seconds since the epoch; 0 when never.
    pub locked_at: u64,
    /// When the last wrong code was sent.
    pub wrong_at: u64,
}

#[derive(Default)]
pub struct State {
    file: Option<PathBuf>,
    /// Whether an absent entry means that no run was there before.
    complete: bool,
    entries: RefCell<BTreeMap<String, Spent>>,
}

impl State {
    /// For the selftest: nothing came before, nothing is kept.
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

    pub fn key(base_url: &str, client_id: &str, totp_key: &[u8]) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in [base_url.as_bytes(), b"\0", client_id.as_bytes(), b"\0", totp_key] {
            context.update(part);
        }
        crate::jose::b64(&context.finish().as_ref()[..12])
    }

    /// None when nothing is known: another machine may have spent codes a moment ago.
    pub fn get(&self, key: &str) -> Option<Spent> {
        let known = self.entries.borrow().get(key).copied();
        known.or_else(|| self.complete.then(Spent::default))
    }

    /// Written at once: a run that dies must not make the next one spend a code twice. A file that can't be written
    /// only costs the next run a wait.
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
