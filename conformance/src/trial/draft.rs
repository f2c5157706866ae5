//! From a row's base and changes to the request that is sent.
//!
//! `${…}` in a row's texts stands for: `${role.client_id}` and other settings of an identity; `${role.long}`,
//! `${role.short}`, `${role.spare}` for a live token of that role shared by the run (`_id` behind it for its id, and see
//! `value_of` for forged ones);
//! `${now+60}`, `${now-60}` in seconds since the epoch; `${unique}`; `${endpoint}` for the long-term endpoint's URL.

use crate::ask::{Base, Change};
use crate::endpoint::{self, LONG, SHORT, bearer};
use crate::http::Request;
use crate::identities::{Credential, Role};
use crate::jose::{self, PrivateKey};
use crate::mask::{json_escaped, url_encoded};
use crate::stop::Stop;
use crate::trial::{Trial, forge};
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
                    // Signed last, when all its claims are known.
                    members.insert("assertion".into(), Value::Null);
                }
            }
            if let Some(scope) = t.one_scope(role) {
                members.insert("scopes".into(), json!([scope]));
            }
            // The shortest life there is: what a failing run leaves behind ends by itself within the hour.
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
        Base::Revoke(role) => {
            draft.path = endpoint::revoke_path(&t.shared(role, "spare").await?.id);
            let token = t.shared(role, "short").await?.token;
            draft.headers.push(bearer(&token));
        }
    }
    Ok(draft)
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
    let broken = |what: &str| Stop::Error(format!("the row's {what} is not JSON: this is a fault of the harness"));
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

/// Where the values of a text will stand, which decides how they are written.
#[derive(Clone, Copy)]
pub enum Filled {
    Plain,
    /// Between the quotes of a JSON string.
    Json,
    /// In a path or query. Ids come from the server: one with `/` or `?` in it must not lead elsewhere.
    Url,
}

/// Fills in every `${…}`.
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

async fn value_of(t: &Trial<'_>, name: &str) -> Result<String, Stop> {
    if let Some(offset) = name.strip_prefix("now") {
        let offset: i64 = offset.parse().unwrap_or(0);
        return Ok(t.run.clock.now().saturating_add_signed(offset).to_string());
    }
    match name {
        "unique" => return Ok(t.unique()),
        "endpoint" => return Ok(t.run.client.url(LONG)),
        "issuer" => return t.issuer().await,
        _ => {}
    }
    let unknown = || Stop::Error(format!("no such variable as ${{{name}}}: this is a fault of the harness"));
    let (role, setting) = name.split_once('.').ok_or_else(unknown)?;
    let role = Role::named(role).ok_or_else(unknown)?;
    Ok(match setting {
        "client_id" => t.setting(role, Credential::ClientId)?,
        "client_id_recased" => forge::recased(&t.setting(role, Credential::ClientId)?)?,
        "client_secret" => t.setting(role, Credential::ClientSecret)?,
        "client_secret_recased" => {
            t.secret("RECASED_SECRET", forge::recased(&t.setting(role, Credential::ClientSecret)?)?)
        }
        "long" | "short" | "spare" => t.shared(role, setting).await?.token,
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
        // The last character may hold unused bits, the first ones say the kind: change one in between.
        "spare_id_altered" => {
            let id = t.shared(role, "spare").await?.id;
            jose::change_at(&id, id.len() * 2 / 3)
        }
        _ => return Err(unknown()),
    })
}

/// What a row's request needs of the identities, read off its base and its variables.
pub fn needs(base: Base, changes: &[Change]) -> Vec<(Role, Credential)> {
    let mut all = Vec::new();
    let mut token_of = |role| all.extend([(role, Credential::ClientId), (role, Credential::ClientSecret)]);
    match base {
        Base::Assertion(role) => all.extend([(role, Credential::ClientId), (role, Credential::AssertionJwk)]),
        Base::Secret(role)
        | Base::Rotation(role)
        | Base::Exchange(role)
        | Base::ExchangeFor(role)
        | Base::Revoke(role) => token_of(role),
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
            if !setting.starts_with("client_id") {
                all.push((role, Credential::ClientSecret));
            }
        }
    }
    all
}
