//! The claims of every token that is issued, compared with the response that carries it.

use crate::case::*;
use crate::clock;
use crate::jose::Jwt;
use crate::matrix::Op;
use crate::watch::{Seen, Standing};
use serde_json::{Value, json};

/// How far clocks may differ, in seconds.
const APART: u64 = 60;

pub const CASES: &[Case] = &[
    Case {
        id: "short.201.jwt-jti",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A short-term token's jti is the token_id of the response.",
        section: "openapi.yaml, ShortTokenResponse; RFC 9068 section 2.2",
        request: EveryAnswer(|s| short(s, jti)),
        mutants: &[mutant("short-jti-other", "issues a jti that differs from token_id")],
        ..ROW
    },
    Case {
        id: "short.201.jwt-sub",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A short-term token's sub and client_id both name the client.",
        section: "RFC 9068 section 2.2",
        request: EveryAnswer(|s| short(s, sub)),
        mutants: &[mutant("short-sub-other", "names another client in sub")],
        ..ROW
    },
    Case {
        id: "short.201.jwt-times",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A short-term token's exp equals expires_at to the second, and its iat is expires_in seconds \
                      earlier.",
        section: "openapi.yaml, ShortTokenResponse; RFC 7519 section 4.1.4",
        request: EveryAnswer(|s| short(s, times)),
        mutants: &[mutant("short-exp-later", "signs an exp five seconds later than expires_at")],
        ..ROW
    },
    Case {
        id: "short.201.jwt-iat",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A short-term token's iat is the time of the exchange, and nbf no later, if it is there.",
        section: "RFC 7519 section 4.1.6",
        request: EveryAnswer(|s| short(s, iat)),
        mutants: &[
            mutant("short-iat-earlier", "backdates iat by five minutes"),
            mutant("short-nbf-later", "issues tokens that count in thirty seconds only"),
        ],
        ..ROW
    },
    Case {
        id: "short.201.jwt-scope-granted",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A short-term token's scope claim lists the scopes of the response, separated by spaces.",
        section: "openapi.yaml, ShortTokenResponse; RFC 9068 section 2.2.3",
        request: EveryAnswer(|s| short(s, scope)),
        mutants: &[mutant("short-scope-wider", "signs all scopes of the long-term token")],
        ..ROW
    },
    Case {
        id: "short.201.jwt-auth-time",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A short-term token's auth_time is the time when the client last presented a credential, and so \
                      no later than iat.",
        section: "docs/api.md, Tokens; RFC 9068 section 2.2.1",
        request: EveryAnswer(|s| short(s, auth_time)),
        mutants: &[
            mutant("no-auth-time", "leaves out auth_time"),
            mutant("auth-time-ahead", "issues an auth_time in the future"),
        ],
        ..ROW
    },
    Case {
        id: "long.201.jwt-typ",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A long-term token has typ lt+jwt and alg HS256, so that no API accepts it as a short-term \
                      token.",
        section: "docs/api.md, Tokens; RFC 8725 section 3.11",
        request: EveryAnswer(|s| long(s, long_typ)),
        mutants: &[mutant("long-typ-jwt", "issues long-term tokens with typ JWT")],
        ..ROW
    },
    Case {
        id: "long.201.jwt-jti",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A long-term token's jti is the token_id of the response.",
        section: "openapi.yaml, LongTokenResponse; RFC 7519 section 4.1.7",
        request: EveryAnswer(|s| long(s, jti)),
        mutants: &[mutant("long-jti-other", "issues long-term tokens with a jti that differs from token_id")],
        ..ROW
    },
    Case {
        id: "long.201.jwt-times",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A long-term token's exp equals expires_at to the second.",
        section: "openapi.yaml, LongTokenResponse; RFC 7519 section 4.1.4",
        request: EveryAnswer(|s| long(s, times)),
        mutants: &[mutant("long-exp-later", "signs an exp one minute later than expires_at")],
        ..ROW
    },
    Case {
        id: "short.201.jwt-aud-alike",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "All short-term tokens of a client have the same iss and aud.",
        section: "openapi.yaml, ShortTokenResponse; RFC 9068 section 2.2",
        request: AlikeAnswers(|s| alike(s, |jwt| json!({"iss": jwt.claims["iss"], "aud": jwt.claims["aud"]}))),
        mutants: &[
            mutant("aud-each-seventh", "names another audience in each seventh short-term token"),
            mutant("aud-narrow", "leaves aud out of tokens for a single scope"),
        ],
        ..ROW
    },
    Case {
        id: "short.201.jwt-header-alike",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "All short-term tokens have the same typ, at+jwt, and name the key that signed them.",
        section: "RFC 9068 section 2.1; RFC 7515 section 4.1.4",
        request: AlikeAnswers(|s| {
            alike(s, |jwt| json!({"typ": jwt.header["typ"], "kid": jwt.header["kid"].is_string()}))
        }),
        mutants: &[mutant("typ-each-seventh", "leaves typ out of each seventh short-term token")],
        ..ROW
    },
    Case {
        id: "short.201.jwt-parent-always",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A short-term token's parent and client_id are those of the long-term token that was sent, in the \
                      header or in the body.",
        section: "docs/api.md, Tokens",
        request: EveryAnswer(|s| short(s, parent)),
        mutants: &[
            mutant("no-parent-by-body", "leaves out parent if the long-term token was in the body"),
            mutant("no-parent-narrowed", "leaves out parent if the request narrows the scopes"),
        ],
        ..ROW
    },
    Case {
        id: "short.201.jwt-auth-time-always",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A short-term token's auth_time is that of the long-term token that was sent.",
        section: "docs/api.md, Tokens; RFC 9068 section 2.2.1",
        request: EveryAnswer(|s| short(s, same_auth_time)),
        mutants: &[mutant(
            "auth-time-by-body",
            "takes the time of the exchange as auth_time if the token was in the body",
        )],
        ..ROW
    },
    Case {
        id: "long.201.jwt-auth-time-rotation",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A rotated long-term token's auth_time is that of the short-term token that was sent.",
        section: "docs/api.md, Tokens; RFC 9068 section 2.2.1",
        request: EveryAnswer(|s| long(s, rotated_auth_time)),
        mutants: &[mutant("auth-time-of-rotation-later", "adds a second to auth_time in a rotation")],
        ..ROW
    },
];

type Inside = fn(&Seen, &Jwt, &Value) -> Result<(), (String, String)>;

fn short(seen: &Seen, judge: Inside) -> Standing {
    inside(seen, Op::Short, judge)
}

fn long(seen: &Seen, judge: Inside) -> Standing {
    inside(seen, Op::Long, judge)
}

/// Whether a short-term token is a JWT at all is tested by another row. A long-term token is read only by its service.
fn inside(seen: &Seen, op: Op, judge: Inside) -> Standing {
    if seen.op != op || seen.answer.status != 201 {
        return Standing::NotConcerned;
    }
    let body = seen.answer.json().unwrap_or_default();
    let Some(jwt) = body["access_token"].as_str().and_then(Jwt::read) else { return Standing::Holds };
    match judge(seen, &jwt, &body) {
        Ok(()) => Standing::Holds,
        Err((wanted, got)) => Standing::Broken { wanted, got },
    }
}

fn same(what: &str, wanted: &Value, got: &Value) -> Result<(), (String, String)> {
    if wanted == got {
        return Ok(());
    }
    Err((format!("{what} {wanted}"), format!("{what} {got}")))
}

fn time(claims: &Value, name: &str) -> Result<u64, (String, String)> {
    claims[name].as_u64().ok_or_else(|| (format!("{name} in whole seconds"), format!("{name} {}", claims[name])))
}

fn jti(_: &Seen, jwt: &Jwt, body: &Value) -> Result<(), (String, String)> {
    same("jti", &body["token_id"], &jwt.claims["jti"])
}

fn sub(_: &Seen, jwt: &Jwt, _: &Value) -> Result<(), (String, String)> {
    same("sub", &jwt.claims["client_id"], &jwt.claims["sub"])
}

fn times(_: &Seen, jwt: &Jwt, body: &Value) -> Result<(), (String, String)> {
    let (iat, exp) = (time(&jwt.claims, "iat")?, time(&jwt.claims, "exp")?);
    let told = body["expires_at"].as_str().and_then(clock::parse_rfc3339).unwrap_or_default();
    let lives = body["expires_in"].as_u64().unwrap_or_default();
    // The second may change between the two.
    if exp.abs_diff(told) > 1 {
        return Err((format!("exp {told}, as expires_at {} says", body["expires_at"]), format!("exp {exp}")));
    }
    if exp.saturating_sub(iat).abs_diff(lives) > 1 {
        return Err((
            format!("exp - iat {lives}, as expires_in says"),
            format!("exp - iat {}", exp.saturating_sub(iat)),
        ));
    }
    Ok(())
}

fn iat(seen: &Seen, jwt: &Jwt, _: &Value) -> Result<(), (String, String)> {
    let iat = time(&jwt.claims, "iat")?;
    if jwt.claims["nbf"].as_u64().is_some_and(|nbf| nbf > iat) {
        return Err((format!("nbf no later than iat {iat}"), format!("nbf {}", jwt.claims["nbf"])));
    }
    if seen.is_now(iat, APART) {
        return Ok(());
    }
    Err((format!("iat near {}", seen.now), format!("iat {iat}")))
}

fn scope(_: &Seen, jwt: &Jwt, body: &Value) -> Result<(), (String, String)> {
    let granted: Vec<_> = body["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    same("scope", &granted.join(" ").into(), &jwt.claims["scope"])
}

fn auth_time(_: &Seen, jwt: &Jwt, _: &Value) -> Result<(), (String, String)> {
    let (at, iat) = (time(&jwt.claims, "auth_time")?, time(&jwt.claims, "iat")?);
    // `auth_time` may be one second after `iat`: after end-tokens, a client's tokens are valid from the next full second.
    if at > 0 && at <= iat + 1 {
        return Ok(());
    }
    Err((format!("auth_time no later than iat {iat}"), format!("auth_time {at}")))
}

fn long_typ(_: &Seen, jwt: &Jwt, _: &Value) -> Result<(), (String, String)> {
    same("header typ", &"lt+jwt".into(), &jwt.header["typ"])?;
    same("header alg", &"HS256".into(), &jwt.header["alg"])
}

/// Compares the tokens of each client.
fn alike(seen: &Seen, part: fn(&Jwt) -> Value) -> Option<(String, String)> {
    let body = seen.answer.json().filter(|_| seen.op == Op::Short && seen.answer.status == 201)?;
    let jwt = body["access_token"].as_str().and_then(Jwt::read)?;
    Some((jwt.claims["client_id"].to_string(), part(&jwt).to_string()))
}

/// The long-term token of an exchange, if it is a JWT.
fn sent(seen: &Seen) -> Option<Jwt> {
    let body: Value = serde_json::from_slice(&seen.request.body).unwrap_or_default();
    let header = seen.request.header("authorization").and_then(|value| Some(value.split_once(' ')?.1.trim()));
    Jwt::read(header.or(body["long_token"].as_str())?)
}

fn parent(seen: &Seen, jwt: &Jwt, _: &Value) -> Result<(), (String, String)> {
    let Some(long) = sent(seen) else { return Ok(()) };
    if long.claims["jti"].is_string() {
        same("parent", &long.claims["jti"], &jwt.claims["parent"])?;
    }
    match ["client_id", "sub"].iter().find(|name| long.claims[**name].is_string()) {
        Some(name) => same("client_id", &long.claims[*name], &jwt.claims["client_id"]),
        None => Ok(()),
    }
}

fn same_auth_time(seen: &Seen, jwt: &Jwt, _: &Value) -> Result<(), (String, String)> {
    match sent(seen) {
        Some(long) if long.claims["auth_time"].is_u64() => {
            same("auth_time", &long.claims["auth_time"], &jwt.claims["auth_time"])
        }
        _ => Ok(()),
    }
}

/// Of a rotation: a body without a credential, beside a bearer.
fn rotated_auth_time(seen: &Seen, jwt: &Jwt, _: &Value) -> Result<(), (String, String)> {
    let body: Value = serde_json::from_slice(&seen.request.body).unwrap_or_default();
    let is_rotation = ["client_secret", "otp_code", "assertion"].iter().all(|name| body[*name].is_null());
    match sent(seen) {
        Some(short) if is_rotation && short.claims["auth_time"].is_u64() && !jwt.claims["auth_time"].is_null() => {
            same("auth_time", &short.claims["auth_time"], &jwt.claims["auth_time"])
        }
        _ => Ok(()),
    }
}
