//! The bodies of `createClient` and `updateClient`, and the JSON that shows a client.

use base32ct::{Base32UpperUnpadded, Encoding};
use serde::Serialize;

use super::jwk::{JwkSet, PublicJwk};
use super::{Client, Consistency, MAX_TTL, MIN_TTL, Mechanism, Status, is_client_id};
use crate::error::Error;
use crate::response::rfc_3339;
use crate::scope::Scopes;
use crate::value::{Members, Value, digest};

/// The longest `client_name`, Unicode code points.
const MAX_NAME_LENGTH: usize = 128;
/// Where an object may be placed (Durable Objects, location hints).
const REGIONS: [&str; 9] = ["wnam", "enam", "sam", "weur", "eeur", "apac", "oc", "afr", "me"];

/// The body of `createClient`.
#[derive(Debug)]
pub struct Draft {
    pub client_id: String,
    pub region: Option<String>,
    pub patch: Patch,
}

/// The body of `updateClient`: a merge patch (RFC 7396). `None` leaves a member as it is; `Some(None)` removes it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Patch {
    client_name: Option<Option<String>>,
    status: Option<Status>,
    pub scopes: Option<Scopes>,
    mechanisms: Option<Vec<Mechanism>>,
    max_ttl_seconds: Option<u64>,
    pub consistency: Option<Consistency>,
    jwks: Option<Option<JwkSet<PublicJwk>>>,
}

const PATCHABLE: [&str; 7] =
    ["client_name", "status", "scopes", "mechanisms", "max_ttl_seconds", "consistency", "jwks"];
const CREATABLE: [&str; 8] =
    ["client_id", "client_name", "scopes", "mechanisms", "max_ttl_seconds", "consistency", "jwks", "region"];

impl Draft {
    /// `generated_id` is used if the body has no `client_id`.
    pub fn parse(mut members: Members, generated_id: String, default: Consistency) -> Result<Self, Error> {
        members.check_names(&CREATABLE)?;
        let client_id = members.string("client_id")?.unwrap_or(generated_id);
        if !is_client_id(&client_id) {
            return Err(Error::field("client_id", "client_id must be 1 to 128 letters, digits, '-', '_', '.' or '~'."));
        }
        let region = members.string("region")?;
        if region.as_deref().is_some_and(|region| !REGIONS.contains(&region)) {
            return Err(Error::field("region", format!("region must be one of {}.", REGIONS.join(", "))));
        }
        let mut patch = Patch::read(members)?;
        if patch.scopes.is_none() {
            return Err(Error::field("scopes", "scopes is missing; list at least one."));
        }
        if patch.mechanisms.is_none() {
            return Err(Error::field("mechanisms", "mechanisms is missing; list secret, otp, assertion or rotation."));
        }
        for (name, is_null) in [("client_name", patch.client_name == Some(None)), ("jwks", patch.jwks == Some(None))] {
            if is_null {
                return Err(Error::field(name, format!("{name} must not be null; leave it out.")));
            }
        }
        patch.consistency = patch.consistency.or(Some(default));
        Ok(Self { client_id, region, patch })
    }
}

impl Patch {
    pub fn parse(members: Members) -> Result<Self, Error> {
        members.check_names(&PATCHABLE)?;
        Self::read(members)
    }

    fn read(mut members: Members) -> Result<Self, Error> {
        let client_name = members.string_or_null("client_name")?;
        if let Some(Some(name)) = &client_name {
            let length = name.chars().count();
            if !(1..=MAX_NAME_LENGTH).contains(&length) || name.chars().any(char::is_control) {
                let message =
                    format!("client_name must be 1 to {MAX_NAME_LENGTH} characters, none of them a control character.");
                return Err(Error::field("client_name", message));
            }
        }
        let status = members.string("status")?.map(|status| match status.as_str() {
            "active" => Ok(Status::Active),
            "suspended" => Ok(Status::Suspended),
            _ => Err(Error::field("status", "status must be active or suspended.")),
        });
        let mechanisms = members.strings("mechanisms")?.map(|names| mechanisms(&names));
        let consistency = members.string("consistency")?.map(|name| {
            Consistency::parse(&name)
                .ok_or_else(|| Error::field("consistency", "consistency must be eventual or immediate."))
        });
        let jwks = match members.take("jwks") {
            None => None,
            Some(Value::Null) => Some(None),
            Some(value) => Some(Some(JwkSet::from_json(value)?)),
        };
        Ok(Self {
            client_name,
            status: status.transpose()?,
            mechanisms: mechanisms.transpose()?,
            max_ttl_seconds: members.integer("max_ttl_seconds", MIN_TTL..=MAX_TTL)?,
            consistency: consistency.transpose()?,
            jwks,
            scopes: members.scopes("scopes")?,
        })
    }

    /// The public keys in the patch.
    pub fn keys(&self) -> &[PublicJwk] {
        self.jwks.as_ref().and_then(Option::as_ref).map_or(&[], |set| &set.keys)
    }

    /// Whether the patch sets `status` to `active`.
    pub fn activates(&self) -> bool {
        self.status == Some(Status::Active)
    }

    /// Whether the patch suspends the client, sets its scopes or makes it `immediate`, even if that changes nothing.
    /// Such a request, and a repeat of it, is answered only when KV shows the result.
    pub fn may_narrow(&self) -> bool {
        self.status == Some(Status::Suspended)
            || self.scopes.is_some()
            || self.consistency == Some(Consistency::Immediate)
    }

    /// The changed client. `may_give_clients`: whether scopes of `clients:` may be added.
    pub fn apply(self, client: &Client, may_give_clients: bool) -> Result<Client, Error> {
        let mut changed = client.clone();
        if let Some(scopes) = self.scopes {
            let given = scopes.iter().find(|scope| scope.is_of("clients") && !client.scopes.covers(scope));
            if let Some(scope) = given.filter(|_| !may_give_clients) {
                return Err(Error::InsufficientScope {
                    needed: scope.to_string(),
                    by: crate::error::Grantor::Operator,
                });
            }
            changed.scopes = scopes;
        }
        changed.client_name = self.client_name.unwrap_or(changed.client_name);
        changed.status = self.status.unwrap_or(changed.status);
        changed.mechanisms = self.mechanisms.unwrap_or(changed.mechanisms);
        changed.max_ttl_seconds = self.max_ttl_seconds.unwrap_or(changed.max_ttl_seconds);
        changed.consistency = self.consistency.unwrap_or(changed.consistency);
        changed.jwks = self.jwks.unwrap_or(changed.jwks);
        if changed.mechanisms == [Mechanism::Rotation] {
            let message = "rotation alone can't get a first token; add secret, otp or assertion to mechanisms.";
            return Err(Error::field("mechanisms", message));
        }
        if changed.allows(Mechanism::Assertion) && changed.jwks.is_none() {
            return Err(Error::field(
                "jwks",
                "jwks is missing; the mechanism assertion requires the client's public keys.",
            ));
        }
        Ok(changed)
    }
}

fn mechanisms(names: &[String]) -> Result<Vec<Mechanism>, Error> {
    let mut mechanisms = Vec::new();
    for name in names {
        let mechanism = Mechanism::parse(name).ok_or_else(|| {
            Error::field("mechanisms", "mechanisms lists an unknown one; use secret, otp, assertion or rotation.")
        })?;
        if !mechanisms.contains(&mechanism) {
            mechanisms.push(mechanism);
        }
    }
    if mechanisms.is_empty() {
        return Err(Error::field("mechanisms", "mechanisms is empty; list at least one."));
    }
    Ok(mechanisms)
}

/// A client, as shown to operators, without hash, salt or seed.
#[derive(Serialize)]
struct Shape<'a> {
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<&'a str>,
    status: Status,
    scopes: &'a Scopes,
    mechanisms: &'a [Mechanism],
    max_ttl_seconds: u64,
    consistency: Consistency,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<&'a JwkSet<PublicJwk>>,
    has_totp: bool,
    secrets: Vec<ShownSecret<'a>>,
    tokens_valid_from: String,
    created_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    totp_secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    otpauth_uri: Option<&'a str>,
}

#[derive(Serialize)]
struct ShownSecret<'a> {
    secret_id: &'a str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

/// New credentials, which are shown only once, in the response of the call that made them.
#[derive(Default)]
pub struct Credentials {
    pub client_secret: Option<String>,
    pub totp: Option<NewTotp>,
}

/// A new TOTP seed, in the formats of authenticator apps.
#[derive(Serialize)]
pub struct NewTotp {
    /// Base32 (RFC 4648, section 6), without padding.
    totp_secret: String,
    otpauth_uri: String,
}

impl NewTotp {
    /// `issuer` is the host that the app shows next to the client's id.
    pub fn new(client_id: &str, issuer: &str, seed: &[u8]) -> Self {
        let totp_secret = Base32UpperUnpadded::encode_string(seed);
        // Of host and client id, only the colon before a port needs escaping.
        let label = format!("{issuer}:{client_id}").replace(':', "%3A");
        let otpauth_uri = format!(
            "otpauth://totp/{label}?secret={totp_secret}&issuer={}&algorithm=SHA1&digits=6&period=30",
            issuer.replace(':', "%3A")
        );
        Self { totp_secret, otpauth_uri }
    }
}

/// The response of `createClientSecret`.
#[derive(Serialize)]
pub struct NewSecret<'a> {
    pub secret_id: &'a str,
    pub client_secret: &'a str,
}

impl Client {
    /// The client as JSON.
    pub fn show(&self, now: u64, credentials: &Credentials) -> String {
        let shape = Shape {
            client_id: &self.client_id,
            client_name: self.client_name.as_deref(),
            status: self.status,
            scopes: &self.scopes,
            mechanisms: &self.mechanisms,
            max_ttl_seconds: self.max_ttl_seconds,
            consistency: self.consistency,
            region: self.region.as_deref(),
            jwks: self.jwks.as_ref(),
            has_totp: self.totp.is_some(),
            secrets: self
                .secrets
                .iter()
                .filter(|secret| secret.lives(now))
                .map(|secret| ShownSecret {
                    secret_id: &secret.secret_id,
                    created_at: rfc_3339(secret.created_at),
                    expires_at: secret.expires_at.map(rfc_3339),
                })
                .collect(),
            tokens_valid_from: rfc_3339(self.tokens_valid_from),
            created_at: rfc_3339(self.created_at),
            updated_at: rfc_3339(self.updated_at),
            client_secret: credentials.client_secret.as_deref(),
            totp_secret: credentials.totp.as_ref().map(|totp| totp.totp_secret.as_str()),
            otpauth_uri: credentials.totp.as_ref().map(|totp| totp.otpauth_uri.as_str()),
        };
        // Strings and numbers always serialize.
        serde_json::to_string(&shape).unwrap_or_default()
    }
}

/// A strong validator (RFC 9110, section 8.8.3): a digest of the shown client and of its revision, which also counts
/// changes that are not shown.
pub fn etag(shown: &str, revision: u64) -> String {
    format!("\"{}\"", digest(&format!("{revision} {shown}")))
}

/// Whether `If-Match` (RFC 9110, section 13.1.1) matches this `ETag`. A weak one never matches.
pub fn if_match(header: &str, etag: &str) -> bool {
    header.split(',').map(|value| value.trim_matches([' ', '\t'])).any(|value| value == "*" || value == etag)
}
