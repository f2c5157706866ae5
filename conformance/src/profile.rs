//! Profiles: which cases judge a deployment, what it declares absent, and its limits.

use crate::glob;
use crate::matrix::Level;
use serde::Deserialize;
use std::path::Path;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// The profile's file; empty for a built-in profile.
    #[serde(skip)]
    pub file: String,
    /// `seed` judges what the public API page promises, `contract` also what that page leaves open, `service` all cases.
    pub level: Level,
    /// Globs of cases about features that this deployment does not have. They are reported as not applicable, with the reason.
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
    /// How many requests a rate-limit case sends before it reports that there is no limit. A window may end during the burst,
    /// so this is more than two windows allow, by default 600 each.
    pub burst_requests: u32,
    /// How many of them are sent at once.
    pub burst_concurrency: usize,
    /// The default life of a long-term token, in seconds.
    pub long_default_seconds: u64,
    /// The longest life of a short-term token, in seconds.
    pub short_seconds: u64,
    /// The longest `Retry-After` that a run waits for, to see that the limit ends by then, in seconds.
    pub retry_seconds: u64,
    /// The deployment's grace period of rotations, in seconds. If it is given, a run waits until it has ended, to see that the
    /// retired token is rejected then.
    pub rotation_grace_seconds: Option<u64>,
    /// How soon the revocation feed must show a revocation, in milliseconds: a location's copy may be 2 s old, and 1 s is for
    /// the call.
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
            retry_seconds: 10,
            rotation_grace_seconds: None,
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
                        "--profile {path}: neither \"seed\", \"contract\" or \"service\" nor a readable file ({})",
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
            return Err("burst_requests and burst_concurrency must be at least 1".to_owned());
        }
        for Absent { case, reason } in &profile.absent {
            if reason.trim().is_empty() {
                return Err(format!(
                    "[[absent]] case = \"{case}\" needs a reason: say why this deployment does not have it"
                ));
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
