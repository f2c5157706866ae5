//! Rules for rate-limited clients: the order of the checks, which clients the limit applies to, and what a 429 says.
//! These cases follow the bursts, on the client that has just been limited.

use crate::case::*;
use crate::endpoint;
use crate::matrix::Op;
use crate::patience::retry_after;
use crate::trial::draft;
use crate::watch::{Seen, Standing};
use serde_json::json;
use std::cell::Cell as Slot;

/// The longest Retry-After that is accepted, in seconds: one hour.
const MOST: u64 = 3600;

/// A call of a rate-limited client that is rate-limited too.
const LIMITED: Case = Case {
    cell: Cell::Long(429),
    level: Level::Contract,
    section: "openapi.yaml, issueLongTermToken; openapi.yaml, RateLimited",
    needs: &[(Burst, ClientId), (Burst, ClientSecret)],
    effect: Effect::Burst,
    control: Some("long.429.burst"),
    expect: RATE_LIMITED,
    ..ROW
};

pub const CASES: &[Case] = &[
    Case {
        id: "long.400.limited",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "The body is checked before the rate limit: a malformed body of a rate-limited client is \
                      rejected with 400 invalid_request.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Burst, ClientId), (Burst, ClientSecret)],
        effect: Effect::Burst,
        control: Some("long.429.burst"),
        request: steps!(limited, &[Set("surprise", "1")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("limit-before-shape", "checks the rate limit before the body")],
        ..ROW
    },
    Case {
        id: "long.400.limited-grant-type",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "grant_type is checked before the rate limit: an unknown grant_type of a rate-limited client is \
                      rejected with 400 invalid_grant.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Burst, ClientId), (Burst, ClientSecret)],
        effect: Effect::Burst,
        control: Some("long.429.burst"),
        request: steps!(limited, &[Set("grant_type", r#""password""#)]),
        expect: INVALID_GRANT,
        mutants: &[mutant("limit-before-grant", "checks the rate limit before grant_type")],
        ..ROW
    },
    Case {
        id: "long.401.limited-no-credentials",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Credential headers are checked before the rate limit: a rate-limited client that sends no \
                      credential header is rejected with 401.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Burst, ClientId), (Burst, ClientSecret)],
        effect: Effect::Burst,
        control: Some("long.429.burst"),
        request: steps!(limited, &[NoHeader("x-client-id")]),
        expect: NO_CREDENTIALS,
        mutants: &[mutant("limit-before-headers", "checks the rate limit before the credential headers")],
        ..ROW
    },
    Case {
        id: "long.429.right-secret",
        requirement: "The rate limit is checked before the credentials: even the right secret is rejected with 429 \
                      rate_limited, so that the limit does not reveal which secret is right.",
        request: steps!(limited, &[]),
        mutants: &[mutant("limit-spares-right", "does not apply the rate limit to right secrets")],
        ..LIMITED
    },
    Case {
        id: "long.201.limited-others",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A rate limit on one client does not affect another client.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Burst, ClientId), (Burst, ClientSecret), (Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Burst,
        control: Some("long.429.burst"),
        request: steps!(others),
        expect: GRANTED,
        mutants: &[mutant("limit-for-all", "limits every client as soon as one is rate-limited")],
        ..ROW
    },
    Case {
        id: "short.400.limited",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "On /short the body is checked before the rate limit: a malformed body with a rate-limited \
                      token is rejected with 400 invalid_request.",
        section: "openapi.yaml, issueShortTermToken",
        needs: &[(Burst, ClientId), (Burst, ClientSecret)],
        effect: Effect::Burst,
        control: Some("short.429.burst"),
        request: steps!(limited_exchange),
        expect: INVALID_REQUEST,
        mutants: &[mutant("short-limit-before-shape", "checks the rate limit of /short before the body")],
        ..ROW
    },
    Case {
        id: "revoke.204.limited",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "/revoke is never rate-limited: a client that is limited elsewhere can revoke as often as it \
                      wants.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Burst, ClientId), (Burst, ClientSecret)],
        effect: Effect::Burst,
        control: Some("long.429.burst"),
        request: steps!(limited_revocation),
        expect: ENDED,
        mutants: &[
            mutant("revoke-limited", "applies the client's rate limit to /revoke too"),
            mutant("revoke-limited-by-count", "limits /revoke to thirty calls a minute"),
        ],
        ..ROW
    },
    Case {
        id: "long.429.message",
        cell: Cell::Long(429),
        level: Level::Contract,
        requirement: "The message of a 429 from /long says when to retry, and agrees with Retry-After.",
        section: "openapi.yaml, RateLimited",
        request: EveryAnswer(|s| message(s, Op::Long)),
        mutants: &[
            mutant("429-message-silent", "sends a 429 whose message does not say when to retry"),
            mutant("429-message-differs", "sends a 429 whose message gives another time than Retry-After"),
        ],
        ..ROW
    },
    Case {
        id: "short.429.message",
        cell: Cell::Short(429),
        level: Level::Contract,
        requirement: "The message of a 429 from /short says when to retry, and agrees with Retry-After.",
        section: "openapi.yaml, RateLimited",
        request: EveryAnswer(|s| message(s, Op::Short)),
        mutants: &[mutant(
            "429-message-silent-short",
            "sends a 429 from /short whose message does not say when to retry",
        )],
        ..ROW
    },
    Case {
        id: "long.429.retry-within-bounds",
        cell: Cell::Long(429),
        level: Level::Contract,
        requirement: "Retry-After is at least one second and at most one hour ahead.",
        section: "openapi.yaml, RateLimited; RFC 9110 section 10.2.3",
        request: EveryAnswer(|s| within_bounds(s, Op::Long)),
        mutants: &[mutant("retry-after-a-day", "sends a Retry-After of one day")],
        ..ROW
    },
    Case {
        id: "long.201.retry-served",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "After the time in Retry-After has passed, the next request succeeds.",
        section: "openapi.yaml, RateLimited; RFC 9110 section 10.2.3",
        needs: &[(Burst, ClientId), (Burst, ClientSecret)],
        effect: Effect::Burst,
        phase: Phase::Last,
        control: Some("long.429.burst"),
        request: steps!(served_again),
        expect: GRANTED,
        mutants: &[mutant("retry-after-early", "sends a Retry-After of ten seconds for a limit that lasts a minute")],
        ..ROW
    },
    Case {
        id: "long.429.limited-otp",
        requirement: "The rate limit counts every mechanism: a one-time code of a rate-limited client gets 429 \
                      rate_limited.",
        request: steps!(limited, &[Unset("client_secret"), Set("otp_code", r#""000000""#)]),
        mutants: &[mutant("limit-secrets-only", "limits only calls with a secret")],
        ..LIMITED
    },
    Case {
        id: "long.429.limited-assertion",
        requirement: "The rate limit counts every mechanism: an assertion of a rate-limited client gets 429 \
                      rate_limited.",
        request: steps!(
            limited,
            &[
                Unset("client_secret"),
                Set("grant_type", r#""assertion""#),
                Set("assertion_type", r#""urn:ietf:params:oauth:client-assertion-type:jwt-bearer""#),
                Set("assertion", r#""a.b.c""#),
            ]
        ),
        mutants: &[mutant("limit-spares-assertions", "does not limit calls with an assertion")],
        ..LIMITED
    },
    Case {
        id: "long.429.limited-rotation",
        requirement: "The rate limit counts every mechanism: a rotation of a rate-limited client gets 429 \
                      rate_limited.",
        request: steps!(limited, &[Unset("client_secret"), Header("authorization", "Bearer none")]),
        mutants: &[mutant("limit-spares-rotations", "does not limit rotations")],
        ..LIMITED
    },
    Case {
        id: "long.429.limited-forwarded",
        requirement: "A header cannot evade the rate limit: a rate-limited client that names another address in \
                      X-Forwarded-For gets 429 rate_limited.",
        request: steps!(
            limited,
            &[
                Header("x-forwarded-for", "203.0.113.7"),
                Header("x-real-ip", "203.0.113.7"),
                Header("forwarded", "for=203.0.113.7"),
            ]
        ),
        mutants: &[mutant("limit-by-forwarded-for", "counts calls by the address in X-Forwarded-For")],
        ..LIMITED
    },
    Case {
        id: "short.201.limited-others",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "A rate limit on one client's exchanges does not affect another client.",
        section: "openapi.yaml, issueShortTermToken",
        needs: &[(Burst, ClientId), (Burst, ClientSecret), (Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Burst,
        control: Some("short.429.burst"),
        request: steps!(other_exchange),
        expect: GRANTED,
        mutants: &[mutant("short-limit-for-all", "limits the exchanges of every client once one is rate-limited")],
        ..ROW
    },
    Case {
        id: "long.429.limited-user-agent",
        requirement: "A header cannot evade the rate limit: a rate-limited client that sends another User-Agent gets \
                      429 rate_limited.",
        request: steps!(limited, &[Header("user-agent", "another/1.0")]),
        mutants: &[mutant("limit-by-user-agent", "counts the calls of each User-Agent")],
        ..LIMITED
    },
    Case {
        id: "long.429.limited-client-ip",
        requirement: "A header cannot evade the rate limit: a rate-limited client that names another address in \
                      True-Client-IP, X-Client-IP or Fastly-Client-IP gets 429 rate_limited.",
        request: steps!(
            limited,
            &[
                Header("true-client-ip", "203.0.113.7"),
                Header("x-client-ip", "203.0.113.7"),
                Header("x-cluster-client-ip", "203.0.113.7"),
                Header("fastly-client-ip", "203.0.113.7"),
            ]
        ),
        mutants: &[mutant("limit-by-true-client-ip", "counts calls by the address in True-Client-IP")],
        ..LIMITED
    },
    Case {
        id: "long.429.limited-x-client-id",
        requirement: "The rate limit counts the calls of client_id in the body: with another X-Client-Id a \
                      rate-limited client gets 429 rate_limited.",
        request: steps!(limited, &[Header("x-client-id", "someone-else")]),
        mutants: &[mutant("limit-by-x-client-id", "counts calls by X-Client-Id")],
        ..LIMITED
    },
    Case {
        id: "long.429.limited-ttl",
        requirement: "The rate limit counts all calls of a client: another ttl_seconds makes no other limit.",
        request: steps!(limited, &[Set("ttl_seconds", "7200")]),
        mutants: &[mutant("limit-by-ttl", "counts the calls of each ttl_seconds")],
        ..LIMITED
    },
    Case {
        id: "long.429.limited-scopes",
        requirement: "The rate limit counts all calls of a client: a request without scopes has no other limit.",
        request: steps!(limited, &[Unset("scopes")]),
        mutants: &[mutant("limit-by-scopes", "counts calls with scopes only")],
        ..LIMITED
    },
];

/// When the client was last rate-limited, and until when: seconds since the epoch.
#[derive(Default)]
struct Told {
    until: Slot<u64>,
}

/// Whether the client is rate-limited now. Remembers for how long.
async fn is_limited(t: &Trial<'_>) -> Result<bool, Stop> {
    t.expects_429.set(true);
    let request = draft::build(t, Secret(Burst), &[Set("client_secret", r#""wrong-${unique}""#)]).await?;
    let answer = t.send(&request).await?;
    if answer.status != 429 {
        return Ok(false);
    }
    if let Some(pause) = retry_after(&answer) {
        // Rounded up: a limit may end within a second.
        let until = t.run.clock.now_ms().div_ceil(1000).saturating_add(pause.as_secs());
        if t.run.memory::<Told>().until.replace(until) != until {
            super::limits::remember_limit(t, until)?;
        }
    }
    Ok(true)
}

/// Exhausts the client's limit again if the window of its burst has ended.
async fn limit(t: &Trial<'_>) -> Result<(), Stop> {
    for _ in 0..2 {
        if is_limited(t).await? {
            return Ok(());
        }
        super::limits::rush_long(t).await?;
    }
    match is_limited(t).await? {
        true => Ok(()),
        false => Err(Stop::Blocked(ENDS_TOO_SOON.to_owned())),
    }
}

const ENDS_TOO_SOON: &str =
    "the client's rate limit ended again before it could be tested: run again on a less busy machine";

async fn limited(t: &Trial<'_>, changes: &[Change]) -> Result<(), Stop> {
    for _ in 0..3 {
        limit(t).await?;
        let request = draft::build(t, Secret(Burst), changes).await?;
        let answer = t.send(&request).await?;
        let verdict = t.expect(t.due, &answer);
        // The answer to a request that was not rate-limited proves nothing.
        let still_limited = verdict.is_ok() || is_limited(t).await?;
        *t.judged.borrow_mut() = Some(request);
        if still_limited {
            return verdict.map_err(|stop| stop.wanted(|wanted| format!("{wanted}, even for a rate-limited client")));
        }
    }
    Err(Stop::Blocked(ENDS_TOO_SOON.to_owned()))
}

async fn others(t: &Trial<'_>) -> Result<(), Stop> {
    let mut answer = None;
    for _ in 0..2 {
        limit(t).await?;
        let request = draft::build(t, Secret(Valid), &[]).await?;
        let latest = answer.insert(t.send(&request).await?);
        if latest.status != 429 {
            break;
        }
        t.run.pause_for_limit().await?;
    }
    for_another_client(t, answer)
}

/// Judges the last answer to another client than the rate-limited one. The run itself may have exhausted that client's limit,
/// so after a 429 it is asked a second time, when that limit has ended.
fn for_another_client(t: &Trial<'_>, answer: Option<Answer>) -> Result<(), Stop> {
    let answer = answer.ok_or_else(|| Stop::Error("no request was sent".to_owned()))?;
    t.expect(t.due, &answer)
        .map_err(|stop| stop.wanted(|wanted| format!("{wanted} for another client than the rate-limited one")))
}

async fn limited_exchange(t: &Trial<'_>) -> Result<(), Stop> {
    t.expects_429.set(true);
    let token = rush_again(t).await?;
    let request = endpoint::post(endpoint::SHORT, Some(&token), Some(json!({"surprise": 1})));
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer).map_err(|stop| stop.wanted(|wanted| format!("{wanted}, even with a rate-limited token")))
}

async fn other_exchange(t: &Trial<'_>) -> Result<(), Stop> {
    t.expects_429.set(true);
    let mut answer = None;
    for _ in 0..2 {
        let limited = rush_again(t).await?;
        let other = t.shared(Valid, "long").await?;
        if other.token == limited {
            return Err(Stop::Blocked("the rate-limited token belongs to role valid itself".to_owned()));
        }
        let latest = answer.insert(t.send(&endpoint::exchange(&other.token)).await?);
        if latest.status != 429 {
            break;
        }
        t.run.pause_for_limit().await?;
    }
    for_another_client(t, answer)
}

/// The long-term token that was exchanged too often, whose limit holds now.
async fn rush_again(t: &Trial<'_>) -> Result<String, Stop> {
    let token = super::limits::limited_token(t)
        .ok_or_else(|| Stop::Blocked("no long-term token was rate-limited: see short.429.burst".to_owned()))?;
    if t.send(&endpoint::exchange(&token)).await?.status != 429 {
        super::limits::rush(t, |_| endpoint::exchange(&token), GRANTED).await?;
    }
    Ok(token)
}

/// A long-term token issued before the limit revokes itself repeatedly.
async fn limited_revocation(t: &Trial<'_>) -> Result<(), Stop> {
    let spare = super::limits::spare_token(t)?;
    limit(t).await?;
    let request = endpoint::revoke(&spare.token, &spare.id);
    for answer in t.send_at_once(&request, 40).await? {
        t.expect(t.due, &answer)
            .map_err(|stop| stop.wanted(|wanted| format!("{wanted}, although the client is rate-limited on /long")))?;
    }
    Ok(())
}

async fn served_again(t: &Trial<'_>) -> Result<(), Stop> {
    t.expects_429.set(true);
    let told = t.run.memory::<Told>();
    if told.until.get() == 0 {
        limit(t).await?;
    }
    let (until, now) = (told.until.get(), t.run.clock.now());
    let most = t.run.profile.limits.retry_seconds;
    if until == 0 {
        return Err(Stop::Blocked("no 429 had a Retry-After: see long.429.retry-after".to_owned()));
    }
    if until > now + most {
        return Err(Stop::Absent(format!(
            "Retry-After asks for {} s more, and this run waits at most {most} s: set limits.retry_seconds in a \
             profile file to wait longer",
            until - now
        )));
    }
    t.run.wait_until(until).await?;
    let answer = t.send(&draft::build(t, Secret(Burst), &[]).await?).await?;
    t.expect(t.due, &answer)
        .map_err(|stop| stop.wanted(|wanted| format!("{wanted} after the time in Retry-After has passed")))
}

fn is_429(seen: &Seen, op: Op) -> bool {
    seen.op == op && seen.answer.status == 429
}

/// The number before a word for seconds, and whether the message mentions a time at all.
fn message(seen: &Seen, op: Op) -> Standing {
    if !is_429(seen, op) {
        return Standing::NotConcerned;
    }
    let body = seen.answer.json().unwrap_or_default();
    let message = body["message"].as_str().unwrap_or_default();
    let retry = seen.answer.header("retry-after").unwrap_or_default();
    let words: Vec<_> = message.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let seconds = words.windows(2).find(|pair| pair[1].to_lowercase().starts_with("sec")).map(|pair| pair[0]);
    let told = match seconds {
        Some(number) => retry.parse::<u64>().is_err() || number == retry,
        None => {
            words.iter().any(|word| word.bytes().all(|b| b.is_ascii_digit()))
                || message.to_lowercase().contains("minute")
        }
    };
    if told {
        return Standing::Holds;
    }
    Standing::Broken {
        wanted: format!("a message that says when to retry, as in Retry-After: {retry}"),
        got: format!("message {}", body["message"]),
    }
}

fn within_bounds(seen: &Seen, op: Op) -> Standing {
    let value = seen.answer.header("retry-after").unwrap_or_default();
    // Whether the header is there at all is tested by another row.
    if !is_429(seen, op) || value.is_empty() {
        return Standing::NotConcerned;
    }
    match value.parse::<u64>() {
        Ok(1..=MOST) => Standing::Holds,
        Err(_) if value.ends_with("GMT") => Standing::Holds,
        _ => Standing::Broken {
            wanted: format!("Retry-After from 1 to {MOST} s, or a date"),
            got: format!("Retry-After: {value}"),
        },
    }
}
