//! What stands inside every token that is issued, held against what the answer says beside it.

use crate::case::*;
use crate::clock;
use crate::jose::Jwt;
use crate::matrix::Op;
use crate::watch::{Seen, Standing};
use serde_json::Value;

/// How much clocks may differ, in seconds.
const APART: u64 = 60;

pub const CASES: &[Case] = &[
    Case {
        id: "short.201.jwt-jti",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "jti is the token_id of the answer.",
        section: "openapi.yaml, ShortTokenResponse; RFC 9068 section 2.2",
        request: EveryAnswer(|s| short(s, jti)),
        mutants: &[mutant("short-jti-other", "has another jti than token_id")],
        ..ROW
    },
    Case {
        id: "short.201.jwt-sub",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "sub is the client, as client_id is.",
        section: "RFC 9068 section 2.2",
        request: EveryAnswer(|s| short(s, sub)),
        mutants: &[mutant("short-sub-other", "names somebody else in sub")],
        ..ROW
    },
    Case {
        id: "short.201.jwt-times",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "exp is expires_at, to the second, and iat lies expires_in before it.",
        section: "openapi.yaml, ShortTokenResponse; RFC 7519 section 4.1.4",
        request: EveryAnswer(|s| short(s, times)),
        mutants: &[mutant("short-exp-later", "signs an end five seconds after the one that it tells")],
        ..ROW
    },
    Case {
        id: "short.201.jwt-iat",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "iat is the time of the exchange.",
        section: "RFC 7519 section 4.1.6",
        request: EveryAnswer(|s| short(s, iat)),
        mutants: &[mutant("short-iat-earlier", "dates a token back by five minutes")],
        ..ROW
    },
    Case {
        id: "short.201.jwt-scope-granted",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "scope holds what the answer says was granted, in one string.",
        section: "openapi.yaml, ShortTokenResponse; RFC 9068 section 2.2.3",
        request: EveryAnswer(|s| short(s, scope)),
        mutants: &[mutant("short-scope-wider", "signs all the scopes of the long-term token")],
        ..ROW
    },
    Case {
        id: "short.201.jwt-auth-time",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "auth_time says when the client last showed a credential: no later than iat.",
        section: "docs/api.md, Tokens; RFC 9068 section 2.2.1",
        request: EveryAnswer(|s| short(s, auth_time)),
        mutants: &[
            mutant("no-auth-time", "leaves auth_time out"),
            mutant("auth-time-ahead", "has an auth_time in the future"),
        ],
        ..ROW
    },
    Case {
        id: "long.201.jwt-typ",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A long-term token's typ is lt+jwt, and its alg HS256: no API takes it for a short-term one.",
        section: "docs/api.md, Tokens; RFC 8725 section 3.11",
        request: EveryAnswer(|s| long(s, long_typ)),
        mutants: &[mutant("long-typ-jwt", "says typ JWT in a long-term token")],
        ..ROW
    },
    Case {
        id: "long.201.jwt-jti",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A long-term token's jti is the token_id of the answer.",
        section: "openapi.yaml, LongTokenResponse; RFC 7519 section 4.1.7",
        request: EveryAnswer(|s| long(s, jti)),
        mutants: &[mutant("long-jti-other", "has another jti than token_id in a long-term token")],
        ..ROW
    },
    Case {
        id: "long.201.jwt-times",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A long-term token's exp is expires_at, to the second.",
        section: "openapi.yaml, LongTokenResponse; RFC 7519 section 4.1.4",
        request: EveryAnswer(|s| long(s, times)),
        mutants: &[mutant("long-exp-later", "signs an end a minute after the one that it tells")],
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

/// That a short-term token is a JWT at all is another row's matter, and a long-term one is read by its service alone.
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
    // A second may turn over between one and the other.
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
    if iat.abs_diff(seen.now) <= APART {
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
    // A client's tokens count from the next full second after its operator ended those before.
    if at > 0 && at <= iat + 1 {
        return Ok(());
    }
    Err((format!("auth_time no later than iat {iat}"), format!("auth_time {at}")))
}

fn long_typ(_: &Seen, jwt: &Jwt, _: &Value) -> Result<(), (String, String)> {
    same("header typ", &"lt+jwt".into(), &jwt.header["typ"])?;
    same("header alg", &"HS256".into(), &jwt.header["alg"])
}
