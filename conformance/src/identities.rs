//! The identities that the harness uses: one TOML table per role. Environment variables override the file:
//! `CONFORMANCE_VALID_CLIENT_SECRET` is `client_secret` of `[valid]`.

use crate::jose::PrivateKey;
use crate::mask::Vault;
use crate::totp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// All four mechanisms; scopes `jobs:*`, `templates:*`, `tokens:*`; no maximum lifetime.
    Valid,
    /// Secret only; `jobs:submit` and `tokens:revoke`; maximum lifetime one day.
    Narrow,
    /// Has a TOTP seed, but may not use it.
    NoOtp,
    /// A suspended client, with its valid credentials.
    Suspended,
    /// Another client, with `tokens:*`.
    Other,
    /// Has a TOTP seed; of all roles, only this one is sent wrong codes.
    Lockout,
    /// For the rate-limit cases.
    Burst,
    /// As `Valid`, but with `consistency` `immediate`: its revocations hold everywhere at once.
    Immediate,
    /// Creates, changes and deletes clients: `clients:*`, `tokens:*`.
    Operator,
    /// Introspects and lists: `tokens:introspect`, `clients:read`.
    Reader,
}

impl Role {
    pub const ALL: [Role; 10] = [
        Self::Valid,
        Self::Narrow,
        Self::NoOtp,
        Self::Suspended,
        Self::Other,
        Self::Lockout,
        Self::Burst,
        Self::Immediate,
        Self::Operator,
        Self::Reader,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Narrow => "narrow",
            Self::NoOtp => "no_otp",
            Self::Suspended => "suspended",
            Self::Other => "other",
            Self::Lockout => "lockout",
            Self::Burst => "burst",
            Self::Immediate => "immediate",
            Self::Operator => "operator",
            Self::Reader => "reader",
        }
    }

    /// The scopes that the role must at least have.
    pub fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::Valid | Self::Immediate => &["jobs:*", "templates:*", "tokens:*"],
            Self::Operator => &["clients:*", "tokens:*"],
            Self::Reader => &["tokens:introspect", "clients:read"],
            Self::Narrow => &["jobs:submit", "tokens:revoke"],
            Self::Other => &["tokens:*"],
            Self::NoOtp | Self::Suspended | Self::Lockout | Self::Burst => &["jobs:submit"],
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// A setting of a role. What a case needs is a list of (role, credential).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Credential {
    ClientId,
    ClientSecret,
    TotpSecret,
    AssertionJwk,
}

impl Credential {
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientId => "client_id",
            Self::ClientSecret => "client_secret",
            Self::TotpSecret => "totp_secret",
            Self::AssertionJwk => "assertion_jwk",
        }
    }
}

/// The reason of a case that lacks a credential.
pub fn lacking(role: Role, credential: Credential) -> String {
    format!("needs {} of role {}: add it to [{}] in the identities file", credential.name(), role.name(), role.name())
}

#[derive(Default)]
pub struct Identity {
    pub client_id: Option<String>,
    pub client_secret: Option<String>,
    /// The decoded TOTP key.
    pub totp_key: Option<Vec<u8>>,
    pub key: Option<PrivateKey>,
    /// The client's scopes; empty if the file does not say.
    pub scopes: Vec<String>,
    /// Seconds.
    pub max_ttl_seconds: Option<u64>,
    /// This is the client of the deployment's secret `OPERATOR`.
    pub from_secret: bool,
}

#[derive(Default)]
pub struct Identities {
    roles: BTreeMap<Role, Identity>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Table {
    client_id: Option<String>,
    client_secret: Option<String>,
    totp_secret: Option<String>,
    assertion_jwk: Option<String>,
    scopes: Option<Vec<String>>,
    max_ttl_seconds: Option<u64>,
    from_secret: Option<bool>,
}

impl Identities {
    /// Reads the file and the environment. The vault learns every secret before anything can fail. Errors name the role and
    /// the setting, never a value.
    pub fn load(file: Option<&Path>, vault: &Vault) -> Result<Self, String> {
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path).map_err(|e| {
                format!("the identities file {} can't be read ({}): check --identities", path.display(), e.kind())
            })?,
        };
        let place = file.map_or_else(|| "the environment".to_owned(), |p| p.display().to_string());
        Self::parse(&text, &place, |name| std::env::var(name).ok(), vault)
    }

    pub fn parse(
        text: &str,
        place: &str,
        environment: impl Fn(&str) -> Option<String>,
        vault: &Vault,
    ) -> Result<Self, String> {
        // toml's own message quotes the line, which may contain a secret.
        let mut tables: BTreeMap<Role, Table> = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(1, |s| text[..s.start.min(text.len())].matches('\n').count() + 1);
            format!(
                "{place}, line {line}: not valid TOML, or an unknown role or setting. Roles are {}. Settings are \
                 client_id, client_secret, totp_secret, assertion_jwk, scopes, max_ttl_seconds, from_secret",
                Role::ALL.map(Role::name).join(", ")
            )
        })?;
        for role in Role::ALL {
            let variable = |setting: &str| format!("CONFORMANCE_{}_{setting}", role.name()).to_uppercase();
            let set = |setting: &str| environment(&variable(setting)).filter(|v| !v.is_empty());
            let mut over = Table {
                client_id: set("client_id"),
                client_secret: set("client_secret"),
                totp_secret: set("totp_secret"),
                assertion_jwk: set("assertion_jwk"),
                scopes: set("scopes")
                    .map(|v| v.split([' ', ',']).filter(|s| !s.is_empty()).map(str::to_owned).collect()),
                max_ttl_seconds: None,
                from_secret: None,
            };
            if let Some(value) = set("from_secret") {
                let known = value.parse();
                over.from_secret =
                    Some(known.map_err(|_| format!("{}: must be true or false", variable("from_secret")))?);
            }
            if let Some(value) = set("max_ttl_seconds") {
                let seconds = value.parse();
                over.max_ttl_seconds =
                    Some(seconds.map_err(|_| format!("{}: must be a number of seconds", variable("max_ttl_seconds")))?);
            }
            let held = tables.remove(&role).unwrap_or_default();
            let merged = Table {
                client_id: over.client_id.or(held.client_id),
                client_secret: over.client_secret.or(held.client_secret),
                totp_secret: over.totp_secret.or(held.totp_secret),
                assertion_jwk: over.assertion_jwk.or(held.assertion_jwk),
                scopes: over.scopes.or(held.scopes),
                max_ttl_seconds: over.max_ttl_seconds.or(held.max_ttl_seconds),
                from_secret: over.from_secret.or(held.from_secret),
            };
            tables.insert(role, merged);
        }
        let mut roles = BTreeMap::new();
        for (role, table) in tables {
            teach(vault, role, &table);
            let at = |setting: &str| format!("{place}, [{}] {setting}", role.name());
            let totp_key = match &table.totp_secret {
                None => None,
                Some(text) => Some(totp::base32(text).ok_or_else(|| format!("{}: must be base32", at("totp_secret")))?),
            };
            let key = match &table.assertion_jwk {
                None => None,
                Some(text) => Some(
                    PrivateKey::from_jwk(text)
                        .map_err(|e| format!("{}: must be a private JWK for signing, but {e}", at("assertion_jwk")))?,
                ),
            };
            let identity = Identity {
                client_id: table.client_id,
                client_secret: table.client_secret,
                totp_key,
                key,
                scopes: table.scopes.unwrap_or_default(),
                max_ttl_seconds: table.max_ttl_seconds,
                from_secret: table.from_secret.unwrap_or_default(),
            };
            roles.insert(role, identity);
        }
        if roles.values().all(|i| i.client_id.is_none()) {
            return Err(format!(
                "{place}: no role has a client_id. Give --identities FILE with at least a [valid] table, or set \
                 CONFORMANCE_VALID_CLIENT_ID and CONFORMANCE_VALID_CLIENT_SECRET"
            ));
        }
        Ok(Self { roles })
    }

    /// Whether this is the client of a role, which a run must not delete.
    pub fn has_client(&self, id: &str) -> bool {
        self.roles.values().any(|identity| identity.client_id.as_deref() == Some(id))
    }

    pub fn role(&self, role: Role) -> Option<&Identity> {
        self.roles.get(&role)
    }

    pub fn has(&self, role: Role, credential: Credential) -> bool {
        self.role(role).is_some_and(|i| match credential {
            Credential::ClientId => i.client_id.is_some(),
            Credential::ClientSecret => i.client_secret.is_some(),
            Credential::TotpSecret => i.totp_key.is_some(),
            Credential::AssertionJwk => i.key.is_some(),
        })
    }
}

/// A warning if other users of this machine can read the file.
#[cfg(unix)]
pub fn exposed(file: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let about = std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file)?;
    let mode = about.permissions().mode() & 0o777;
    let name = file.display();
    (mode & 0o077 != 0).then(|| {
        format!("warning: {name} contains secrets, and other users can read it (mode {mode:o}): run chmod 600 {name}")
    })
}

#[cfg(not(unix))]
pub fn exposed(_: &Path) -> Option<String> {
    None
}

fn teach(vault: &Vault, role: Role, table: &Table) {
    let name = |setting: &str| format!("{}_{setting}", role.name()).to_uppercase();
    table.client_id.iter().for_each(|id| vault.open(id));
    if let Some(secret) = &table.client_secret {
        vault.learn(&name("client_secret"), secret);
    }
    if let Some(secret) = &table.totp_secret {
        vault.learn(&name("totp_secret"), secret);
    }
    if let Some(jwk) = &table.assertion_jwk {
        vault.learn(&name("assertion_jwk"), jwk);
        let members: BTreeMap<String, serde_json::Value> = serde_json::from_str(jwk).unwrap_or_default();
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            if let Some(value) = members.get(private).and_then(|v| v.as_str()) {
                vault.learn(&name("assertion_jwk"), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Identities, String> {
        Identities::parse(text, "ids.toml", |_| None, &Vault::default())
    }

    #[test]
    fn an_error_names_the_setting_and_hides_its_value() {
        let error = parse("[valid]\nclient_id = \"a\"\nclient_secret = canary").err().unwrap();
        assert!(error.contains("line 3") && !error.contains("canary"), "{error}");
        let error = parse("[valid]\nclient_id = \"a\"\ntotp_secret = \"canary1\"").err().unwrap();
        assert!(error.contains("[valid] totp_secret") && !error.contains("canary1"), "{error}");
    }

    #[test]
    fn the_environment_wins() {
        let set = |name: &str| (name == "CONFORMANCE_NO_OTP_CLIENT_ID").then(|| "env".to_owned());
        let all = Identities::parse("[no_otp]\nclient_id = \"file\"", "f", set, &Vault::default()).unwrap();
        assert_eq!(all.role(Role::NoOtp).unwrap().client_id.as_deref(), Some("env"));
    }

    #[test]
    fn a_file_without_any_client_id_is_an_error() {
        assert!(parse("").is_err());
    }
}
