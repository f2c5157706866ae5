//! Builds the request of a row from its base and its changes.
//!
//! Variables in a row's texts:
//! - `${role.client_id}`, `${role.client_secret}`, `${role.kid}`: settings of an identity
//! - `${role.long}`, `${role.short}`, `${role.spare}`: a live token of that role that the run's cases share; with `_id`
//!   appended, its id; see `value_of` for forged tokens
//! - `${bystander}`, `${bystander_secret}`: the ids of the client that operators' cases share, and of its secret
//! - `${now+60}`, `${now-60}`: seconds since the epoch
//! - `${unique}`: a different text each time
//! - `${endpoint}`, `${issuer}`: the URL of the long-term endpoint, and the deployment's issuer

use crate::ask::{Base, Change};
use crate::endpoint::{self, CLIENTS, LONG, SHORT, bearer};
use crate::http::Request;
use crate::identities::{Credential, Role};
use crate::jose::{self, PrivateKey};
use crate::mask::{json_escaped, url_encoded};
use crate::stop::Stop;
use crate::trial::{Trial, forge, operators};
use serde_json::{Map, Value, json};

pub const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A request under construction.
struct Draft {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    members: Option<Map<String, Value>>,
    raw: Option<Vec<u8>>,
    append: String,
    pad_to: usize,
    chunked: bool,
    assertion: Option<Assertion>,
}

struct Assertion {
    role: Role,
    signed_by: Role,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    forgery: Option<Change>,
}

pub async fn build(t: &Trial<'_>, base: Base, changes: &[Change]) -> Result<Request, Stop> {
    let mut draft = start(t, base).await?;
    for change in changes {
        apply(t, &mut draft, change).await?;
    }
    finish(t, draft)
}

async fn start(t: &Trial<'_>, base: Base) -> Result<Draft, Stop> {
    let mut draft = Draft {
        method: "POST".to_owned(),
        path: LONG.to_owned(),
        headers: vec![("accept".to_owned(), "application/json".to_owned())],
        members: None,
        raw: None,
        append: String::new(),
        pad_to: 0,
        chunked: false,
        assertion: None,
    };
    let json_type = ("content-type".to_owned(), "application/json".to_owned());
    match base {
        Base::Secret(role) | Base::Assertion(role) | Base::Rotation(role) => {
            let client_id = t.setting(role, Credential::ClientId)?;
            let mut members = Map::new();
            let assertion = matches!(base, Base::Assertion(_));
            members.insert("grant_type".into(), if assertion { "assertion" } else { "client_credentials" }.into());
            members.insert("client_id".into(), client_id.clone().into());
            draft.headers.push(json_type);
            draft.headers.push(("x-client-id".to_owned(), client_id.clone()));
            match base {
                Base::Secret(_) => {
                    members.insert("client_secret".into(), t.setting(role, Credential::ClientSecret)?.into());
                }
                Base::Rotation(_) => {
                    let token = t.shared(role, "turn").await?.token;
                    draft.headers.push(bearer(&token));
                }
                _ => {
                    draft.assertion = Some(fresh_assertion(t, role, &client_id)?);
                    members.insert("assertion_type".into(), CLIENT_ASSERTION.into());
                    // Signed last, once all claims are known.
                    members.insert("assertion".into(), Value::Null);
                }
            }
            let scopes = t.some_scopes(role);
            if !scopes.is_empty() {
                members.insert("scopes".into(), json!(scopes));
            }
            // The shortest lifetime: a token that a failing run leaves behind expires within an hour.
            members.insert("ttl_seconds".into(), 3600.into());
            draft.members = Some(members);
        }
        Base::Exchange(role) | Base::ExchangeFor(role) => {
            draft.path = SHORT.to_owned();
            let token = t.shared(role, "long").await?.token;
            draft.headers.push(bearer(&token));
            if matches!(base, Base::ExchangeFor(_)) {
                draft.headers.push(json_type);
                draft.members = Some(Map::from_iter([("scopes".to_owned(), json!(["jobs:submit"]))]));
            }
        }
        Base::Introspect(role) => {
            draft.path = endpoint::INTROSPECT.to_owned();
            draft.headers.push(("content-type".to_owned(), endpoint::FORM.to_owned()));
            draft.headers.push(bearer(&t.shared(role, "short").await?.token));
            draft.raw = Some(endpoint::form(&[("token", &t.shared(Role::Valid, "short").await?.token)]));
        }
        Base::Revoke(role) => {
            draft.path = endpoint::revoke_path(&t.shared(role, "spare").await?.id);
            let token = t.shared(role, "short").await?.token;
            draft.headers.push(bearer(&token));
        }
        Base::CreateClient => {
            draft.path = CLIENTS.to_owned();
            draft.headers.extend([json_type, bearer(&t.shared(Role::Operator, "write").await?.token)]);
            draft.members = operators::newcomer(t).as_object().cloned();
        }
        Base::ListClients => {
            (draft.method, draft.path) = ("GET".to_owned(), CLIENTS.to_owned());
            draft.headers.push(bearer(&t.shared(Role::Operator, "read").await?.token));
        }
        Base::GetClient => {
            (draft.method, draft.path) = ("GET".to_owned(), t.bystander().await?.path);
            draft.headers.push(bearer(&t.shared(Role::Operator, "read").await?.token));
        }
        Base::UpdateClient => {
            (draft.method, draft.path) = ("PATCH".to_owned(), t.bystander().await?.path);
            let merge_patch = ("content-type".to_owned(), "application/merge-patch+json".to_owned());
            draft.headers.extend([merge_patch, bearer(&t.shared(Role::Operator, "write").await?.token)]);
            draft.members = Some(Map::from_iter([("client_name".to_owned(), json!("conformance"))]));
        }
        Base::EndClientSecret => {
            let client = t.bystander().await?;
            draft.method = "DELETE".to_owned();
            draft.path = format!("{}/secrets/{}?in=7776000", client.path, url_encoded(client.secret_id()?));
            draft.headers.push(bearer(&t.shared(Role::Operator, "write").await?.token));
        }
    }
    Ok(draft)
}

/// The header and claims of a valid assertion of this role.
pub fn assertion_parts(t: &Trial<'_>, role: Role) -> Result<(Value, Value), Stop> {
    let assertion = fresh_assertion(t, role, &t.setting(role, Credential::ClientId)?)?;
    Ok((Value::Object(assertion.header), Value::Object(assertion.claims)))
}

/// A valid call with this assertion in place of its own. The assertion is masked from now on.
pub async fn with_assertion(t: &Trial<'_>, role: Role, assertion: String) -> Result<Request, Stop> {
    let mut draft = start(t, Base::Assertion(role)).await?;
    draft.members.get_or_insert_default().insert("assertion".into(), t.secret("ASSERTION", assertion).into());
    finish(t, draft)
}

fn fresh_assertion(t: &Trial<'_>, role: Role, client_id: &str) -> Result<Assertion, Stop> {
    let key = t.key(role)?;
    let now = t.run.clock.now();
    let header = json!({"alg": key.alg, "kid": key.kid, "typ": "JWT"});
    let claims = json!({
        "iss": client_id, "sub": client_id, "aud": t.run.client.url(LONG),
        "iat": now, "exp": now + 120, "jti": t.unique(),
    });
    let map = |value: Value| value.as_object().cloned().unwrap_or_default();
    Ok(Assertion { role, signed_by: role, header: map(header), claims: map(claims), forgery: None })
}

async fn apply(t: &Trial<'_>, draft: &mut Draft, change: &Change) -> Result<(), Stop> {
    let broken = |what: &str| Stop::Error(format!("{what} is not JSON: correct it in the case"));
    let set_header = |draft: &mut Draft, name: &str, value: String| {
        draft.headers.retain(|(n, _)| n != name);
        draft.headers.push((name.to_owned(), value));
    };
    match *change {
        Change::Method(method) => draft.method = method.to_owned(),
        Change::Path(path) => draft.path = fill(t, path, Filled::Url).await?,
        Change::Header(name, value) => {
            let value = fill(t, value, Filled::Plain).await?;
            set_header(draft, name, value);
        }
        Change::Repeat(name) => {
            let again = draft.headers.iter().find(|(n, _)| n == name).cloned();
            draft.headers.extend(again);
        }
        Change::Beside(name, value) => {
            let value = fill(t, value, Filled::Plain).await?;
            draft.headers.push((name.to_owned(), value));
        }
        Change::NoHeader(name) => draft.headers.retain(|(n, _)| n != name),
        Change::Set(name, text) => {
            let text = fill(t, text, Filled::Json).await?;
            let value = serde_json::from_str(&text).map_err(|_| broken(name))?;
            draft.members.get_or_insert_default().insert(name.to_owned(), value);
            if !draft.headers.iter().any(|(n, _)| n == "content-type") {
                set_header(draft, "content-type", "application/json".to_owned());
            }
        }
        Change::Unset(name) => {
            draft.members.get_or_insert_default().remove(name);
        }
        Change::Raw(text) => draft.raw = Some(fill(t, text, Filled::Json).await?.into_bytes()),
        Change::RawBytes(bytes) => draft.raw = Some(bytes.to_vec()),
        Change::Append(text) => draft.append = text.to_owned(),
        Change::ManyScopes(count) => {
            let scopes: Vec<_> = (0..count).map(|i| format!("jobs:s{i}")).collect();
            draft.members.get_or_insert_default().insert("scopes".to_owned(), json!(scopes));
        }
        Change::LongScope(length) => {
            let scope = format!("jobs:{}", "x".repeat(length.saturating_sub(5)));
            draft.members.get_or_insert_default().insert("scopes".to_owned(), json!([scope]));
        }
        Change::PadTo(bytes) => draft.pad_to = bytes,
        Change::Chunked => draft.chunked = true,
        Change::Claim(name, text) => {
            let value = serde_json::from_str(&fill(t, text, Filled::Json).await?).map_err(|_| broken(name))?;
            if let Some(assertion) = &mut draft.assertion {
                assertion.claims.insert(name.to_owned(), value);
            }
        }
        Change::NoClaim(name) => {
            if let Some(assertion) = &mut draft.assertion {
                assertion.claims.remove(name);
            }
        }
        Change::Jose(name, text) => {
            let value = serde_json::from_str(&fill(t, text, Filled::Json).await?).map_err(|_| broken(name))?;
            if let Some(assertion) = &mut draft.assertion {
                assertion.header.insert(name.to_owned(), value);
            }
        }
        Change::NoJose(name) => {
            if let Some(assertion) = &mut draft.assertion {
                assertion.header.remove(name);
            }
        }
        Change::SignedBy(role) => {
            if let Some(assertion) = &mut draft.assertion {
                assertion.signed_by = role;
            }
        }
        Change::AlgNone | Change::TamperedSignature | Change::TamperedClaims => {
            if let Some(assertion) = &mut draft.assertion {
                assertion.forgery = Some(*change);
            }
        }
    }
    Ok(())
}

fn finish(t: &Trial<'_>, mut draft: Draft) -> Result<Request, Stop> {
    if let Some(assertion) = draft.assertion.take()
        && let Some(open) = draft.members.as_mut().and_then(|m| m.get_mut("assertion")).filter(|v| v.is_null())
    {
        *open = signed(t, assertion)?.into();
    }
    let mut body = match (draft.raw, &draft.members) {
        (Some(raw), _) => raw,
        (None, Some(members)) => Value::Object(members.clone()).to_string().into_bytes(),
        (None, None) => Vec::new(),
    };
    if draft.pad_to > body.len() && body.first() == Some(&b'{') {
        let spaces = vec![b' '; draft.pad_to - body.len()];
        body.splice(1..1, spaces);
    }
    body.extend(draft.append.as_bytes());
    Ok(Request { method: draft.method, path: draft.path, headers: draft.headers, body, chunked: draft.chunked })
}

fn signed(t: &Trial<'_>, assertion: Assertion) -> Result<String, Stop> {
    let key = t.key(assertion.signed_by)?;
    let mut header = Value::Object(assertion.header);
    let mut claims = Value::Object(assertion.claims);
    if matches!(assertion.forgery, Some(Change::AlgNone)) {
        header["alg"] = "none".into();
        return Ok(t.secret("ASSERTION", format!("{}.", jose::signing_input(&header, &claims))));
    }
    let token = t.secret("ASSERTION", sign(key, &header, &claims)?);
    let name = format!("{}_ASSERTION_TAMPERED", assertion.role.name().to_uppercase());
    Ok(match assertion.forgery {
        Some(Change::TamperedSignature) => t.secret(&name, jose::tampered(&token)),
        Some(Change::TamperedClaims) => {
            claims["exp"] = (t.run.clock.now() + 180).into();
            let signature = token.rsplit('.').next().unwrap_or_default();
            t.secret(&name, format!("{}.{signature}", jose::signing_input(&header, &claims)))
        }
        _ => token,
    })
}

pub fn sign(key: &PrivateKey, header: &Value, claims: &Value) -> Result<String, Stop> {
    let input = jose::signing_input(header, claims);
    let signature = key.sign(input.as_bytes()).map_err(Stop::Error)?;
    Ok(format!("{input}.{}", jose::b64(signature)))
}

/// Where a value is inserted, which decides how it is escaped.
#[derive(Clone, Copy)]
pub enum Filled {
    Plain,
    /// Between the quotes of a JSON string.
    Json,
    /// In a path or query. An id from the server that contains `/` or `?` must not change the path.
    Url,
}

/// Replaces every `${…}` by its value.
pub async fn fill(t: &Trial<'_>, text: &str, place: Filled) -> Result<String, Stop> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, behind) = after.split_once('}').unwrap_or((after, ""));
        out.push_str(before);
        let value = value_of(t, name).await?;
        out += &match place {
            Filled::Plain => value,
            Filled::Json => json_escaped(&value),
            Filled::Url => url_encoded(&value),
        };
        rest = behind;
    }
    Ok(out + rest)
}

/// Says what is wrong with the variables of a text: one that does not end, or that `value_of` does not know.
pub fn check_variables(text: &str) -> Result<(), String> {
    const ALONE: [&str; 5] = ["unique", "endpoint", "issuer", "bystander", "bystander_secret"];
    const OF_A_ROLE: [&str; 20] = [
        "client_id",
        "client_id_recased",
        "client_secret",
        "client_secret_recased",
        "kid",
        "long",
        "short",
        "spare",
        "read",
        "write",
        "long_id",
        "short_id",
        "spare_id",
        "spare_id_altered",
        "long_tampered",
        "short_tampered",
        "long_unsigned",
        "short_unsigned",
        "long_extended",
        "short_extended",
    ];
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("${") {
        let Some((name, behind)) = after.split_once('}') else {
            return Err(format!("\"{text}\" has ${{ without a }}: variables are written ${{valid.client_id}}"));
        };
        let of_a_role = name
            .split_once('.')
            .is_some_and(|(role, setting)| Role::named(role).is_some() && OF_A_ROLE.contains(&setting));
        let is_time = name.strip_prefix("now").is_some_and(|offset| offset.is_empty() || offset.parse::<i64>().is_ok());
        if !(ALONE.contains(&name) || of_a_role || is_time) {
            return Err(format!(
                "unknown variable ${{{name}}}: write a role and its setting, such as ${{valid.client_id}}, or one of {}, \
                 now+60",
                ALONE.join(", ")
            ));
        }
        rest = behind;
    }
    Ok(())
}

async fn value_of(t: &Trial<'_>, name: &str) -> Result<String, Stop> {
    if let Some(offset) = name.strip_prefix("now") {
        let offset: i64 = offset.parse().unwrap_or(0);
        return Ok(t.run.clock.now().saturating_add_signed(offset).to_string());
    }
    match name {
        "unique" => return Ok(t.unique()),
        "endpoint" => return Ok(t.run.client.url(LONG)),
        "issuer" => return t.issuer().await,
        "bystander" => return Ok(t.bystander().await?.id),
        "bystander_secret" => return t.bystander().await?.secret_id().map(str::to_owned),
        _ => {}
    }
    let unknown = || Stop::Error(format!("unknown variable ${{{name}}}: correct it in the case"));
    let (role, setting) = name.split_once('.').ok_or_else(unknown)?;
    let role = Role::named(role).ok_or_else(unknown)?;
    Ok(match setting {
        "client_id" => t.setting(role, Credential::ClientId)?,
        "client_id_recased" => forge::recased(&t.setting(role, Credential::ClientId)?)?,
        "client_secret" => t.setting(role, Credential::ClientSecret)?,
        "kid" => t.key(role)?.kid.clone(),
        "client_secret_recased" => {
            t.secret("RECASED_SECRET", forge::recased(&t.setting(role, Credential::ClientSecret)?)?)
        }
        "long" | "short" | "spare" | "read" | "write" => t.shared(role, setting).await?.token,
        "long_id" | "short_id" | "spare_id" => t.shared(role, &setting[..setting.len() - 3]).await?.id,
        "long_tampered" | "short_tampered" => {
            let token = t.shared(role, &setting[..setting.len() - 9]).await?.token;
            t.secret("TAMPERED_TOKEN", jose::tampered(&token))
        }
        "long_unsigned" | "short_unsigned" => {
            let token = t.shared(role, &setting[..setting.len() - 9]).await?.token;
            t.secret("UNSIGNED_TOKEN", forge::unsigned(&token)?)
        }
        "long_extended" | "short_extended" => {
            let token = t.shared(role, &setting[..setting.len() - 9]).await?.token;
            t.secret("EXTENDED_TOKEN", forge::extended(&token)?)
        }
        // Change a character in the middle: the first ones encode the kind, and the last may have unused bits.
        "spare_id_altered" => {
            let id = t.shared(role, "spare").await?.id;
            jose::change_at(&id, id.len() * 2 / 3)
        }
        _ => return Err(unknown()),
    })
}

/// The credentials that a row's request needs, from its base and its variables.
pub fn needs(base: Base, changes: &[Change]) -> Vec<(Role, Credential)> {
    let mut all = Vec::new();
    let mut token_of = |role| all.extend([(role, Credential::ClientId), (role, Credential::ClientSecret)]);
    match base {
        Base::Assertion(role) => all.extend([(role, Credential::ClientId), (role, Credential::AssertionJwk)]),
        Base::Introspect(role) => [role, Role::Valid].into_iter().for_each(&mut token_of),
        Base::Secret(role)
        | Base::Rotation(role)
        | Base::Exchange(role)
        | Base::ExchangeFor(role)
        | Base::Revoke(role) => token_of(role),
        Base::CreateClient | Base::ListClients | Base::GetClient | Base::UpdateClient | Base::EndClientSecret => {
            token_of(Role::Operator);
        }
    }
    for change in changes {
        let text = match *change {
            Change::Path(text) | Change::Raw(text) => text,
            Change::Header(_, text) | Change::Beside(_, text) => text,
            Change::Set(_, text) | Change::Claim(_, text) | Change::Jose(_, text) => text,
            Change::SignedBy(role) => {
                all.push((role, Credential::AssertionJwk));
                continue;
            }
            _ => continue,
        };
        for piece in text.split("${").skip(1) {
            let name = piece.split('}').next().unwrap_or_default();
            let Some((role, setting)) = name.split_once('.') else { continue };
            let Some(role) = Role::named(role) else { continue };
            all.push((role, Credential::ClientId));
            match setting {
                "kid" => all.push((role, Credential::AssertionJwk)),
                _ if setting.starts_with("client_id") => {}
                _ => all.push((role, Credential::ClientSecret)),
            }
        }
    }
    all
}
