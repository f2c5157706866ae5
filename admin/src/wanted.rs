//! The wanted state of a client, from flags or from `clients.toml`, and its difference from the current state.

use std::path::{Path, PathBuf};

use auth_edge::scope::Scopes;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::files;
use crate::output::plain;

/// The public members of a JWK that the service keeps.
const PUBLIC_MEMBERS: [&str; 8] = ["kid", "alg", "kty", "crv", "x", "y", "n", "e"];
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "k", "oth"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mechanism {
    Secret,
    Otp,
    Assertion,
    Rotation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// Exchanges read the client's replica in KV, which may lag
    Eventual,
    /// Exchanges ask the client's Durable Object
    Immediate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Active,
    Suspended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Region {
    Wnam,
    Enam,
    Sam,
    Weur,
    Eeur,
    Apac,
    Oc,
    Afr,
    Me,
}

/// The wanted state of a client. `None` leaves a member as it is, or, for a new client, to the service's default.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// An empty name removes the name.
    pub client_name: Option<String>,
    pub scopes: Option<Vec<String>>,
    pub mechanisms: Option<Vec<Mechanism>>,
    pub max_ttl_seconds: Option<u64>,
    pub consistency: Option<Consistency>,
    pub status: Option<Status>,
    /// A JWK Set; one without keys removes the keys.
    pub jwks: Option<Value>,
    pub region: Option<Region>,
}

/// A member that differs: its name, and both values, formatted for people.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    pub name: &'static str,
    pub from: String,
    pub to: String,
}

impl Wanted {
    /// Finds what the service would refuse, before anything is sent. Removes members of public keys that the service
    /// does not keep.
    pub fn check(&mut self, new: bool) -> Result<(), String> {
        if let Some(scopes) = &mut self.scopes {
            let parsed = Scopes::parse(scopes.iter().map(String::as_str))
                .map_err(|error| format!("the list of scopes {error}"))?;
            *scopes = parsed.iter().map(ToString::to_string).collect();
        } else if new {
            return Err("scopes is missing; a new client needs at least one".to_owned());
        }
        if let Some(mechanisms) = &mut self.mechanisms {
            mechanisms.sort_unstable();
            mechanisms.dedup();
            if mechanisms.as_slice() == [Mechanism::Rotation] || mechanisms.is_empty() {
                return Err(
                    "a client needs at least one mechanism besides rotation: secret, otp or assertion".to_owned()
                );
            }
        } else if new {
            return Err("mechanisms is missing; use secret, otp, assertion or rotation".to_owned());
        }
        if self.max_ttl_seconds.is_some_and(|seconds| !(3600..=7_776_000).contains(&seconds)) {
            return Err("max_ttl_seconds must be from 3600 to 7776000".to_owned());
        }
        if let Some(name) = &self.client_name
            && (name.chars().count() > 128 || name.chars().any(char::is_control))
        {
            return Err("client_name must be at most 128 characters, none of them a control character".to_owned());
        }
        if let Some(jwks) = &mut self.jwks {
            public_keys(jwks)?;
        }
        let has_keys = self.jwks.as_ref().is_some_and(|jwks| !keys(jwks).is_empty());
        if new && self.has(Mechanism::Assertion) && !has_keys {
            return Err("the mechanism assertion requires the client's public keys (jwks)".to_owned());
        }
        Ok(())
    }

    pub fn has(&self, mechanism: Mechanism) -> bool {
        self.mechanisms.as_ref().is_some_and(|mechanisms| mechanisms.contains(&mechanism))
    }

    /// The body of the request that creates this client. `status` can be set only afterwards.
    pub fn members(&self) -> Map<String, Value> {
        let members = [
            ("client_name", self.client_name.as_ref().filter(|name| !name.is_empty()).map(|name| name.as_str().into())),
            ("scopes", self.scopes.as_ref().map(|scopes| scopes.as_slice().into())),
            ("mechanisms", self.mechanisms.as_ref().map(|list| list.iter().map(name).collect())),
            ("max_ttl_seconds", self.max_ttl_seconds.map(Value::from)),
            ("consistency", self.consistency.as_ref().map(name)),
            ("jwks", self.jwks.clone().filter(|jwks| !keys(jwks).is_empty())),
            ("region", self.region.as_ref().map(name)),
        ];
        members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// The merge patch to the wanted state, and what it changes. The order of scopes, mechanisms and keys does not
    /// matter.
    pub fn difference(&self, client: &Map<String, Value>) -> Result<(Map<String, Value>, Vec<Change>), String> {
        let (is, wanted) = (shown(client, "region"), shown(&self.members(), "region"));
        if !wanted.is_empty() && is != wanted {
            let is = if is.is_empty() { "not set" } else { &is };
            return Err(format!(
                "region is {is} and can't be changed to {wanted}; create a client with another id for that"
            ));
        }
        let mut members = self.members();
        members.remove("region");
        if self.client_name.as_ref().is_some_and(String::is_empty) {
            members.insert("client_name".to_owned(), Value::Null);
        }
        if self.jwks.as_ref().is_some_and(|jwks| keys(jwks).is_empty()) {
            members.insert("jwks".to_owned(), Value::Null);
        }
        if let Some(status) = &self.status {
            members.insert("status".to_owned(), name(status));
        }
        let (mut patch, mut changes) = (Map::new(), Vec::new());
        for field in ["client_name", "scopes", "mechanisms", "max_ttl_seconds", "consistency", "jwks", "status"] {
            let Some(value) = members.remove(field) else { continue };
            if sorted(field, client.get(field)) == sorted(field, Some(&value)) {
                continue;
            }
            changes.push(Change { name: field, from: shown(client, field), to: shown_value(field, Some(&value)) });
            patch.insert(field.to_owned(), value);
        }
        Ok((patch, changes))
    }
}

/// A value in a form that can be compared: lists sorted, keys reduced to public members.
fn sorted(field: &str, value: Option<&Value>) -> Value {
    let value = value.cloned().unwrap_or_default();
    let mut list = match field {
        "jwks" if value.is_object() => keys(&value).iter().map(|key| public_half(key).into()).collect(),
        "scopes" | "mechanisms" => value.as_array().cloned().unwrap_or_default(),
        _ => return value,
    };
    list.sort_by_cached_key(ToString::to_string);
    list.into()
}

/// A member of a client, formatted for people; empty if absent.
pub fn shown(client: &Map<String, Value>, field: &str) -> String {
    shown_value(field, client.get(field))
}

fn shown_value(field: &str, value: Option<&Value>) -> String {
    match (field, value) {
        (_, None | Some(Value::Null)) => String::new(),
        ("jwks", Some(jwks)) => {
            let of = |key: &Value, member: &str| key.get(member).and_then(Value::as_str).map(plain).unwrap_or_default();
            // A replaced key may keep its kid, so part of the key is shown too.
            let shown = |key: &Value| {
                let material: String =
                    of(key, if key.get("n").is_some() { "n" } else { "x" }).chars().take(8).collect();
                format!("{} ({} {material}…)", of(key, "kid"), of(key, "alg"))
            };
            keys(jwks).iter().map(shown).collect::<Vec<_>>().join(", ")
        }
        (_, Some(Value::Array(list))) => list.iter().filter_map(Value::as_str).map(plain).collect::<Vec<_>>().join(" "),
        (_, Some(Value::String(text))) => plain(text),
        (_, Some(other)) => other.to_string(),
    }
}

fn keys(jwks: &Value) -> &[Value] {
    jwks.get("keys").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn name(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn public_half(key: &Value) -> Map<String, Value> {
    let members = key.as_object().cloned().unwrap_or_default();
    members.into_iter().filter(|(name, _)| PUBLIC_MEMBERS.contains(&name.as_str())).collect()
}

/// Keeps only public members. A private key is refused rather than stripped: it should never have been given to this
/// program.
fn public_keys(jwks: &mut Value) -> Result<(), String> {
    let keys = jwks.get_mut("keys").and_then(Value::as_array_mut).ok_or("jwks must be a JWK Set: {\"keys\": [...]}")?;
    for (index, key) in keys.iter_mut().enumerate() {
        if PRIVATE_MEMBERS.iter().any(|member| key.get(member).is_some()) {
            return Err(format!("key {index} of jwks holds private or symmetric members; give the public key only"));
        }
        let public = public_half(key);
        if !["kid", "alg", "kty"].iter().all(|member| public.get(*member).is_some_and(Value::is_string)) {
            return Err(format!("key {index} of jwks needs kid, alg and kty, as strings"));
        }
        *key = public.into();
    }
    Ok(())
}

/// Reads a JWK Set from a file.
pub fn read_jwks(path: &Path) -> Result<Value, String> {
    let text = files::read(path, "write the client's public keys there as a JWK Set")?;
    let mut jwks = serde_json::from_str(&text).map_err(|_| format!("{} is not a JWK Set in JSON", path.display()))?;
    public_keys(&mut jwks).map_err(|problem| format!("{}: {problem}", path.display()))?;
    Ok(jwks)
}

/// Checks an id: 1 to 128 letters, digits, `-`, `_`, `.`, `~`, so that it needs no escaping in a path.
pub fn check_id(id: &str) -> Result<(), String> {
    let sound = (1..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
        && id != "."
        && id != "..";
    sound.then_some(()).ok_or_else(|| {
        format!(
            "{:?} is not a valid id: use 1 to 128 letters, digits, '-', '_', '.' or '~', but not '.' or '..'",
            plain(id)
        )
    })
}

/// `clients.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    client: Vec<toml::Table>,
}

/// Reads and checks the whole file, so that a mistake is found before anything is changed.
pub fn read_document(path: &Path) -> Result<Vec<(String, Wanted)>, String> {
    let text = files::read(path, "describe the clients there, in `[[client]]` tables")?;
    let document: Document = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut clients: Vec<(String, Wanted)> = Vec::new();
    for (index, table) in document.client.into_iter().enumerate() {
        let named = table.get("client_id").and_then(toml::Value::as_str).map(plain);
        let place = format!("{}: client {}", path.display(), named.unwrap_or_else(|| format!("number {}", index + 1)));
        let (id, wanted) = read_client(table, path.parent().unwrap_or(Path::new("")))
            .map_err(|problem| format!("{place}: {problem}"))?;
        if clients.iter().any(|(other, _)| *other == id) {
            return Err(format!("{place} appears twice; remove one"));
        }
        clients.push((id, wanted));
    }
    if clients.is_empty() {
        return Err(format!("{} has no client; describe each in a `[[client]]` table", path.display()));
    }
    Ok(clients)
}

fn read_client(mut table: toml::Table, folder: &Path) -> Result<(String, Wanted), String> {
    let id = table.remove("client_id").ok_or("client_id is missing")?;
    let id = id.as_str().ok_or("client_id must be a string")?.to_owned();
    check_id(&id)?;
    let file = match table.remove("jwks_file") {
        None => None,
        Some(toml::Value::String(file)) => Some(PathBuf::from(file)),
        Some(_) => return Err("jwks_file must be a string".to_owned()),
    };
    if file.is_some() && table.contains_key("jwks") {
        return Err("jwks and jwks_file are both given; give only one".to_owned());
    }
    let mut wanted: Wanted = table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
    if let Some(file) = file {
        wanted.jwks = Some(read_jwks(&folder.join(file))?);
    }
    wanted.check(true)?;
    Ok((id, wanted))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn wanted(text: &str) -> Result<Wanted, String> {
        let text = format!("client_id = \"a\"\nscopes = [\"jobs:*\"]\nmechanisms = [\"secret\"]\n{text}");
        // A later line overrides a default above.
        let mut table = toml::Table::new();
        for line in text.lines() {
            table.extend(line.parse::<toml::Table>().unwrap());
        }
        read_client(table, Path::new("")).map(|(_, wanted)| wanted)
    }

    #[test]
    fn what_the_service_would_refuse_is_refused_here() {
        let key = |members: &str| format!("jwks = {{ keys = [{{ {members} }}] }}");
        for bad in [
            "scopes = []",
            "scopes = [\"Jobs:*\"]",
            "mechanisms = []",
            "mechanisms = [\"rotation\"]",
            "mechanisms = [\"password\"]",
            "mechanisms = [\"assertion\"]",
            "max_ttl_seconds = 3599",
            "max_ttl_seconds = \"3600\"",
            "consistency = \"strong\"",
            "status = \"deleted\"",
            "region = \"mars\"",
            "client_name = \"a\\u0000b\"",
            "client_id = \"a b\"",
            "client_id = \"..\"",
            "name = \"x\"",
            "jwks = []",
            "jwks_file = \"/nowhere.json\"",
            &key("kid = \"k\", alg = \"EdDSA\", kty = \"OKP\", d = \"x\""),
            &key("kid = \"k\", alg = \"HS256\", kty = \"oct\", k = \"x\""),
            &key("alg = \"EdDSA\", kty = \"OKP\""),
        ] {
            assert!(wanted(bad).is_err(), "{bad}");
        }
        assert!(
            wanted("client_name = \"A\"\nregion = \"weur\"\nstatus = \"suspended\"\nconsistency = \"immediate\"")
                .is_ok()
        );
    }

    #[test]
    fn neither_order_nor_members_that_the_service_drops_are_a_difference() {
        let jwks = format!(
            "mechanisms = [\"rotation\", \"assertion\"]\nscopes = [\"b:*\", \"a:*\", \"b:*\"]\n\
             jwks = {{ keys = [{{ kid = \"k\", alg = \"EdDSA\", kty = \"OKP\", crv = \"Ed25519\", x = \"{X}\", use = \"sig\" }}] }}"
        );
        let client = json!({
            "scopes": ["a:*", "b:*"],
            "mechanisms": ["assertion", "rotation"],
            "jwks": {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": X, "kid": "k", "alg": "EdDSA"}]},
            "status": "suspended",
            "max_ttl_seconds": 3600,
        });
        let (patch, changes) = wanted(&jwks).unwrap().difference(client.as_object().unwrap()).unwrap();
        assert_eq!((patch, changes), (Map::new(), Vec::new()));
    }

    #[test]
    fn members_left_out_stay_and_empty_ones_are_removed() {
        let client = json!({"scopes": ["jobs:*"], "mechanisms": ["secret"], "client_name": "A", "status": "suspended", "jwks": {"keys": [{"kid": "k"}]}});
        let client = client.as_object().unwrap();
        assert!(wanted("").unwrap().difference(client).unwrap().0.is_empty());
        let (patch, changes) = wanted("client_name = \"\"\njwks = { keys = [] }").unwrap().difference(client).unwrap();
        assert_eq!(Value::from(patch), json!({"client_name": null, "jwks": null}));
        assert_eq!(changes[0], Change { name: "client_name", from: "A".to_owned(), to: String::new() });
    }

    #[test]
    fn a_region_can_not_be_changed() {
        let client = json!({"scopes": ["jobs:*"], "mechanisms": ["secret"], "region": "weur"});
        let client = client.as_object().unwrap();
        assert!(wanted("region = \"weur\"").unwrap().difference(client).is_ok());
        assert!(wanted("region = \"enam\"").unwrap().difference(client).is_err());
    }
}
