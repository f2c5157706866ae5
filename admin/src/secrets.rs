//! The file with the Worker's secrets, in wrangler's formats: JSON for a deployment, `.dev.vars` for `wrangler dev`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::files;

/// The service's keys, as a JWK Set.
pub const AUTH_KEYS: &str = "AUTH_KEYS";
/// The record of the first operator.
pub const OPERATOR: &str = "OPERATOR";

pub struct SecretsFile {
    pub path: PathBuf,
    env: Option<String>,
}

impl SecretsFile {
    /// Each environment has its own file, so that one deployment's secrets don't reach another.
    pub fn of(env: Option<&str>, named: Option<&Path>) -> Self {
        let default = || env.map_or_else(|| ".dev.vars".to_owned(), |env| format!("secrets.{env}.json")).into();
        Self { path: named.map_or_else(default, Path::to_owned), env: env.map(str::to_owned) }
    }

    pub fn get(&self, name: &str) -> Result<Option<String>, String> {
        if !self.path.exists() {
            return Ok(None);
        }
        Ok(self.entries()?.into_iter().find(|(other, _)| other == name).map(|(_, value)| value))
    }

    /// Sets some of the secrets, and keeps everything else in the file.
    pub fn set(&self, changes: &[(&str, &str)]) -> Result<(), String> {
        let text = if self.path.exists() { files::read(&self.path, "check its permissions")? } else { String::new() };
        files::replace(&self.path, &self.with(&text, changes)?)
    }

    /// Writes the file for the first time.
    pub fn create(&self, entries: &[(&str, &str)]) -> Result<(), String> {
        files::write_new(&self.path, &self.with("", entries)?)
    }

    /// The command that uploads the file's secrets to a deployed Worker.
    pub fn put(&self) -> String {
        let path = self.path.display();
        match &self.env {
            Some(env) => format!("npx wrangler secret bulk '{path}' --env {env}"),
            None => "touch wrangler.toml    # a running `wrangler dev` then reads .dev.vars again".to_owned(),
        }
    }

    /// The command that deploys the Worker with the file's secrets.
    pub fn deploy(&self) -> String {
        let path = self.path.display();
        match &self.env {
            // `make deploy` expects the file under this name.
            Some(env) if self.path == Self::of(Some(env), None).path => format!("make deploy ENV={env}"),
            Some(env) => format!("npx wrangler deploy --env {env} --secrets-file '{path}'"),
            None => "make run".to_owned(),
        }
    }

    fn is_json(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "json")
    }

    fn entries(&self) -> Result<Vec<(String, String)>, String> {
        let text = files::read(&self.path, "make it with `admin init`, or name it with --secrets")?;
        if !self.is_json() {
            let unquoted = |value: &str| {
                let quoted = |quote| value.strip_prefix(quote).and_then(|value: &str| value.strip_suffix(quote));
                quoted('\'').or_else(|| quoted('"')).unwrap_or(value).to_owned()
            };
            let lines = text.lines().filter_map(|line| line.split_once('='));
            return Ok(lines.map(|(name, value)| (name.trim().to_owned(), unquoted(value.trim()))).collect());
        }
        let not_text = |name: &str| format!("{}: {name} must be a string", self.path.display());
        self.parse(&text)?
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(value) => Ok((name, value)),
                _ => Err(not_text(&name)),
            })
            .collect()
    }

    /// Parses the JSON. The parser's own message could quote a secret, so an error has only the position.
    fn parse(&self, text: &str) -> Result<Map<String, Value>, String> {
        serde_json::from_str(text).map_err(|error| {
            let (path, line, column) = (self.path.display(), error.line(), error.column());
            format!("{path} is not the JSON object that `admin init` writes (line {line}, column {column})")
        })
    }

    fn with(&self, text: &str, changes: &[(&str, &str)]) -> Result<String, String> {
        if self.is_json() {
            let mut object = if text.is_empty() { Map::new() } else { self.parse(text)? };
            object.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())));
            let text = serde_json::to_string_pretty(&object).map_err(|error| format!("can't write JSON: {error}"))?;
            return Ok(text + "\n");
        }
        let changed = |line: &&str| {
            line.split_once('=').is_some_and(|(name, _)| changes.iter().any(|(other, _)| *other == name.trim()))
        };
        let kept = text.lines().filter(|line| !changed(line)).map(|line| format!("{line}\n"));
        // Within single quotes neither `$` nor `"` has a special meaning.
        Ok(kept.chain(changes.iter().map(|(name, value)| format!("{name}='{value}'\n"))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_entries_stay() {
        for (name, before) in [
            ("secrets.json", "{\"OTHER\": \"a=b\", \"OPERATOR\": \"old\"}"),
            ("vars", "# mine\nOTHER='a=b'\nOPERATOR=old\n"),
        ] {
            let path = std::env::temp_dir().join(format!("admin-secrets-{}-{name}", std::process::id()));
            std::fs::write(&path, before).unwrap();
            let file = SecretsFile::of(None, Some(&path));
            assert_eq!(file.get(OPERATOR).unwrap().as_deref(), Some("old"), "{name}");
            assert_eq!(file.get(AUTH_KEYS).unwrap(), None, "{name}");
            file.set(&[(AUTH_KEYS, "{\"keys\":[]}"), (OPERATOR, "new")]).unwrap();
            assert_eq!(file.get(OPERATOR).unwrap().as_deref(), Some("new"), "{name}");
            assert_eq!(file.get(AUTH_KEYS).unwrap().as_deref(), Some("{\"keys\":[]}"), "{name}");
            assert_eq!(file.get("OTHER").unwrap().as_deref(), Some("a=b"), "{name}");
            assert_eq!(std::fs::read_to_string(&path).unwrap().contains("# mine"), name == "vars");
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn no_message_quotes_a_secret() {
        let path = std::env::temp_dir().join(format!("admin-secrets-{}-broken.json", std::process::id()));
        for broken in ["{\"OPERATOR\": hunter2}", "{\"OPERATOR\": [\"hunter2\"]}"] {
            std::fs::write(&path, broken).unwrap();
            let problem = SecretsFile::of(None, Some(&path)).get(OPERATOR).unwrap_err();
            assert!(!problem.contains("hunter2"), "{problem}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
