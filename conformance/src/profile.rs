//! By what a deployment is judged, what it declares not to have, and its limits.

use crate::glob;
use crate::matrix::Level;
use serde::Deserialize;
use std::path::Path;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// The file that says so, if one does.
    #[serde(skip)]
    pub file: String,
    /// `seed` judges what the public API page itself promises, `contract` also what closes its gaps, `service` all rows.
    pub level: Level,
    /// Globs of case ids that this deployment does not have; they are reported as not applicable, with the reason.
    pub absent: Vec<Absent>,
    pub limits: Limits,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absent {
    pub case: String,
    pub reason: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The most requests a rate-limit case sends before it says that there is no limit. A window of time may end on the way, so
    /// this is more than two windows let through: 600 each, where nothing else is said.
    pub burst_requests: u32,
    /// How many of them are under way at once.
    pub burst_concurrency: usize,
    /// The life of a long-term token when none is asked for, in seconds.
    pub long_default_seconds: u64,
    /// The longest life of a short-term token, in seconds.
    pub short_seconds: u64,
    /// How old the feed of ends may be that a location serves, in milliseconds: 2 s, and one more for the way.
    pub feed_milliseconds: u64,
}

impl Default for Profile {
    fn default() -> Self {
        Self { file: String::new(), level: Level::Contract, absent: Vec::new(), limits: Limits::default() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            burst_requests: 1300,
            burst_concurrency: 64,
            long_default_seconds: 2_592_000,
            short_seconds: 900,
            feed_milliseconds: 3000,
        }
    }
}

impl Profile {
    /// `contract`, `seed`, `service`, or the path of a TOML file.
    pub fn load(name: &str) -> Result<Self, String> {
        match name {
            "contract" => Ok(Self::default()),
            "seed" => Ok(Self { level: Level::Seed, ..Self::default() }),
            "service" => Ok(Self { level: Level::Service, ..Self::default() }),
            path => {
                let text = std::fs::read_to_string(Path::new(path)).map_err(|e| {
                    format!(
                        "--profile {path} is none of \"seed\", \"contract\", \"service\", and no readable file ({})",
                        e.kind()
                    )
                })?;
                let mut profile = Self::parse(&text).map_err(|problem| format!("--profile {path}: {problem}"))?;
                profile.file = path.to_owned();
                Ok(profile)
            }
        }
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        let profile: Self = toml::from_str(text).map_err(|e| e.message().to_owned())?;
        if profile.limits.burst_requests == 0 || profile.limits.burst_concurrency == 0 {
            return Err("the burst limits must be at least 1".to_owned());
        }
        for Absent { case, reason } in &profile.absent {
            if reason.trim().is_empty() {
                return Err(format!("[[absent]] case = \"{case}\" needs a reason"));
            }
        }
        Ok(profile)
    }

    pub fn judges(&self, level: Level) -> bool {
        level <= self.level
    }

    pub fn absent(&self, id: &str) -> Option<&str> {
        self.absent.iter().find(|a| glob::matches(&a.case, id)).map(|a| a.reason.as_str())
    }

    pub fn name(&self) -> &'static str {
        self.level.name()
    }
}
