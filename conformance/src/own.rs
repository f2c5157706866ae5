//! Cases from a file of the user (`--cases FILE`), with the columns of a built-in row.

use crate::ask::{Also, Base, Change, Want};
use crate::case::{Act, Case, ROW};
use crate::cases;
use crate::identities::{Credential, Role};
use crate::matrix::{Cell, Effect, Level};
use crate::trial::draft::check_variables;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    /// `long 401`, or `outside 404`.
    cell: String,
    level: Option<Level>,
    requirement: String,
    section: String,
    /// `role.credential`.
    #[serde(default)]
    needs: Vec<String>,
    effect: String,
    control: Option<String>,
    request: Asked,
    /// `401 invalid_client`, or `201`.
    expect: String,
    #[serde(default)]
    also: Check,
}

/// A valid request, and what is changed in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// `secret valid`.
    base: String,
    method: Option<String>,
    path: Option<String>,
    /// An empty value removes the header.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Members of the body.
    #[serde(default)]
    set: BTreeMap<String, Value>,
    #[serde(default)]
    unset: Vec<String>,
    /// The whole body as text.
    raw: Option<String>,
    /// Claims of the assertion.
    #[serde(default)]
    claims: BTreeMap<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Check {
    expires_in: Option<u64>,
    scopes: Option<Vec<String>>,
    names: Option<String>,
    challenge: Option<String>,
}

/// Adds the file's cases to the table.
pub fn load(file: &Path) -> Result<(), String> {
    let at = |what: &str| format!("--cases {}: {what}", file.display());
    let text = std::fs::read_to_string(file).map_err(|e| at(&format!("can't be read ({})", e.kind())))?;
    cases::add(parse(&text).map_err(|error| at(&error))?);
    Ok(())
}

fn parse(text: &str) -> Result<Vec<Case>, String> {
    let File { case } = toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(1, |s| text[..s.start.min(text.len())].matches('\n').count() + 1);
        format!("line {line}: {}", e.message())
    })?;
    let mut known: Vec<String> = cases::built_in().map(|case| case.id.to_owned()).collect();
    let mut all = Vec::new();
    for row in case {
        let id = row.id.clone();
        if known.contains(&id) {
            return Err(format!("\"{id}\" is already the id of another case: choose another id"));
        }
        if let Some(control) = row.control.as_ref().filter(|control| !known.contains(control)) {
            return Err(format!(
                "{id}: control = \"{control}\", but no case \"{control}\" is built in or above it in the file"
            ));
        }
        known.push(id.clone());
        all.push(read(row).map_err(|error| format!("{id}: {error}"))?);
    }
    Ok(all)
}

fn read(row: Row) -> Result<Case, String> {
    let cell = cell(&row.cell)?;
    let expect = want(&row.expect)?;
    if row.control.is_none() && !matches!(expect.status, 201 | 204) {
        return Err(
            "a refusal needs a control: name the case with the valid request that this one differs from in one thing"
                .to_owned(),
        );
    }
    if [&row.requirement, &row.section].iter().any(|text| text.trim().is_empty()) {
        return Err("requirement and section must not be empty".to_owned());
    }
    if cell.status().is_some_and(|status| status != expect.status) {
        return Err(format!("its cell is {cell}, but it expects {expect}: give both the same status"));
    }
    let base = base(&row.request.base)?;
    let changes = changes(row.request);
    changes.iter().flat_map(texts).try_for_each(check_variables)?;
    let needs = row.needs.iter().map(|need| credential(need)).collect::<Result<Vec<_>, _>>()?;
    Ok(Case {
        id: leaked(row.id),
        cell,
        level: row.level.unwrap_or(Level::Contract),
        requirement: leaked(row.requirement),
        section: leaked(row.section),
        needs: needs.leak(),
        effect: Effect::named(&row.effect).ok_or("effect is one of read, mint, revoke, provision, burst")?,
        control: row.control.map(leaked),
        expect,
        also: checks(row.also).leak(),
        request: Act::Ask(base, changes.leak()),
        ..ROW
    })
}

/// Rows live as long as the process, and the file is read once.
fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn cell(text: &str) -> Result<Cell, String> {
    let wrong =
        || format!("unknown cell \"{text}\": write long, short, revoke or outside with a status, such as \"long 401\"");
    let (op, status) = text.split_once(' ').ok_or_else(wrong)?;
    let status = status.parse().map_err(|_| wrong())?;
    match op {
        "long" => Ok(Cell::Long(status)),
        "short" => Ok(Cell::Short(status)),
        "revoke" => Ok(Cell::Revoke(status)),
        "outside" => Ok(Cell::Outside(status)),
        _ => Err(wrong()),
    }
}

fn want(text: &str) -> Result<Want, String> {
    let mut words = text.split_whitespace();
    let status = words.next().and_then(|word| word.parse().ok());
    let status = status
        .ok_or_else(|| format!("expect \"{text}\": write a status and its code, such as \"401 invalid_client\""))?;
    let codes: Vec<&'static str> = words.map(|word| leaked(word.to_owned())).collect();
    const CODES: [&str; 14] = [
        "conflict",
        "insufficient_scope",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "invalid_token",
        "method_not_allowed",
        "not_found",
        "precondition_failed",
        "rate_limited",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
    ];
    if let Some(unknown) = codes.iter().find(|code| !CODES.contains(code)) {
        return Err(format!("expect \"{text}\": no answer of the contract has the code {unknown}"));
    }
    if codes.is_empty() && status >= 400 && status != 405 {
        return Err(format!("expect \"{text}\": a refusal has a code: write both, such as \"401 invalid_client\""));
    }
    Ok(Want { status, codes: codes.leak(), or: &[] })
}

fn base(text: &str) -> Result<Base, String> {
    let wrong = || {
        format!(
            "unknown base \"{text}\": write secret, assertion, rotation, exchange or revoke with a role, such as \"secret valid\""
        )
    };
    let (kind, role) = text.split_once(' ').ok_or_else(wrong)?;
    let role = Role::named(role)
        .ok_or_else(|| format!("unknown role \"{role}\": the roles are {}", Role::ALL.map(Role::name).join(", ")))?;
    match kind {
        "secret" => Ok(Base::Secret(role)),
        "assertion" => Ok(Base::Assertion(role)),
        "rotation" => Ok(Base::Rotation(role)),
        "exchange" => Ok(Base::Exchange(role)),
        "revoke" => Ok(Base::Revoke(role)),
        _ => Err(wrong()),
    }
}

fn credential(text: &str) -> Result<(Role, Credential), String> {
    let wrong = || format!("needs \"{text}\": write role.credential, such as \"valid.client_secret\"");
    let (role, what) = text.split_once('.').ok_or_else(wrong)?;
    let all = [Credential::ClientId, Credential::ClientSecret, Credential::TotpSecret, Credential::AssertionJwk];
    let what = all.into_iter().find(|credential| credential.name() == what);
    Role::named(role).zip(what).ok_or_else(wrong)
}

fn changes(asked: Asked) -> Vec<Change> {
    let mut all = Vec::new();
    all.extend(asked.method.map(|method| Change::Method(leaked(method))));
    all.extend(asked.path.map(|path| Change::Path(leaked(path))));
    for (name, value) in asked.headers {
        let name = leaked(name.to_lowercase());
        all.push(if value.is_empty() { Change::NoHeader(name) } else { Change::Header(name, leaked(value)) });
    }
    all.extend(asked.set.into_iter().map(|(name, value)| Change::Set(leaked(name), leaked(value.to_string()))));
    all.extend(asked.unset.into_iter().map(|name| Change::Unset(leaked(name))));
    all.extend(asked.raw.map(|raw| Change::Raw(leaked(raw))));
    all.extend(asked.claims.into_iter().map(|(name, value)| Change::Claim(leaked(name), leaked(value.to_string()))));
    all
}

/// The texts of a change that may have variables.
fn texts(change: &Change) -> Vec<&'static str> {
    match change {
        Change::Path(text) | Change::Raw(text) => vec![text],
        Change::Header(_, text) | Change::Set(_, text) | Change::Claim(_, text) => vec![text],
        _ => Vec::new(),
    }
}

fn checks(check: Check) -> Vec<Also> {
    let scopes =
        |scopes: Vec<String>| scopes.into_iter().map(leaked).collect::<Vec<_>>().leak() as &'static [&'static str];
    let mut all = Vec::new();
    all.extend(check.expires_in.map(Also::ExpiresIn));
    all.extend(check.scopes.map(|all| Also::Scopes(scopes(all))));
    all.extend(check.names.map(|name| Also::Names(leaked(name))));
    all.extend(check.challenge.map(|error| Also::Challenge(leaked(error))));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [[case]]
        id = "our.401.secret-empty"
        cell = "long 401"
        requirement = "An empty secret is wrong."
        section = "our handbook, 3"
        effect = "read"
        control = "long.201.secret"
        request = { base = "secret valid", set = { client_secret = "${valid.client_secret}x" }, headers = { accept = "" } }
        expect = "401 invalid_client"
    "#;

    #[test]
    fn a_row_of_a_file_is_a_row_of_the_table() {
        let all = parse(GOOD).unwrap();
        assert_eq!((all[0].id, all[0].cell, all[0].expect.status), ("our.401.secret-empty", Cell::Long(401), 401));
        let Act::Ask(Base::Secret(Role::Valid), [Change::NoHeader("accept"), Change::Set("client_secret", value)]) =
            all[0].request
        else {
            panic!("another request");
        };
        assert_eq!(*value, r#""${valid.client_secret}x""#);
        assert!(all[0].all_needs().contains(&(Role::Valid, Credential::ClientSecret)));
    }

    #[test]
    fn an_error_names_the_line_or_the_case() {
        for (from, to, told) in [
            ("long 401", "long", "unknown cell \"long\""),
            ("long 401", "long 403", "expects 401"),
            ("secret valid", "secret nobody", "unknown role \"nobody\""),
            ("long.201.secret", "long.201.sekret", "no case \"long.201.sekret\""),
            ("our.401.secret-empty", "long.201.secret", "already the id of another case"),
            ("control = \"long.201.secret\"", "", "a refusal needs a control"),
            ("401 invalid_client", "401", "a refusal has a code"),
            ("401 invalid_client", "401 invalid_cleint", "has the code invalid_cleint"),
            ("effect = \"read\"", "effect = \"none\"", "effect is one of"),
            ("requirement =", "requirment =", "line 5"),
            ("${valid.client_secret}x", "${valid.client_secretx", "has ${ without a }"),
            ("${valid.client_secret}x", "${valid.secret}", "unknown variable ${valid.secret}"),
            ("${valid.client_secret}x", "${now+x}", "unknown variable ${now+x}"),
        ] {
            let error = parse(&GOOD.replace(from, to)).err().unwrap_or_default();
            assert!(error.contains(told), "{error}");
        }
    }
}
