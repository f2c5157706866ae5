//! What holds while a client is limited: the order of refusals, whom the limit is about, and what a 429 says of itself.
//! These cases follow the bursts, on the client that those have just limited.

use crate::case::*;
use crate::endpoint;
use crate::matrix::Op;
use crate::trial::draft;
use crate::watch::{Seen, Standing};
use serde_json::json;
use std::cell::Cell as Slot;

/// The longest that a limit may ask a client to wait, in seconds: an hour.
const MOST: u64 = 3600;

pub const CASES: &[Case] = &[
    Case {
        id: "long.400.limited",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "The body's shape goes before the limit: of a limited client too a malformed body is 400.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Burst, ClientId), (Burst, ClientSecret)],
        effect: Effect::Burst,
        control: Some("long.429.burst"),
        request: steps!(limited, &[Set("surprise", "1")]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("limit-before-shape", "looks at its limit before the body's shape")],
        ..ROW
    },
    Case {
        id: "long.400.limited-grant-type",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "An unknown grant_type of a limited client is 400 invalid_grant.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Burst, ClientId), (Burst, ClientSecret)],
        effect: Effect::Burst,
        control: Some("long.429.burst"),
        request: steps!(limited, &[Set("grant_type", r#""password""#)]),
        expect: INVALID_GRANT,
        mutants: &[mutant("limit-before-grant", "looks at its limit before grant_type")],
        ..ROW
    },
    Case {
        id: "long.401.limited-no-credentials",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "No credential header at all is 401, of a limited client too.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Burst, ClientId), (Burst, ClientSecret)],
        effect: Effect::Burst,
        control: Some("long.429.burst"),
        request: steps!(limited, &[NoHeader("x-client-id")]),
        expect: INVALID_CLIENT,
        mutants: &[mutant("limit-before-headers", "looks at its limit before the credential headers")],
        ..ROW
    },
    Case {
        id: "long.429.right-secret",
        cell: Cell::Long(429),
        level: Level::Contract,
        requirement: "The limit is reached before credentials are looked at: the right secret is 429 too, or a limit would tell which is right.",
        section: "openapi.yaml, issueLongTermToken; openapi.yaml, RateLimited",
        needs: &[(Burst, ClientId), (Burst, ClientSecret)],
        effect: Effect::Burst,
        control: Some("long.429.burst"),
        request: steps!(limited, &[]),
        expect: RATE_LIMITED,
        mutants: &[mutant("limit-spares-right", "lets right secrets through its limit")],
        ..ROW
    },
    Case {
        id: "long.201.limited-others",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "One client's limit is not another's.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Burst, ClientId), (Burst, ClientSecret), (Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Burst,
        control: Some("long.429.burst"),
        request: steps!(others),
        expect: GRANTED,
        mutants: &[mutant("limit-for-all", "limits everybody when one client is limited")],
        ..ROW
    },
    Case {
        id: "short.400.limited",
        cell: Cell::Short(400),
        level: Level::Contract,
        requirement: "The body's shape goes before the limit on /short too.",
        section: "openapi.yaml, issueShortTermToken",
        needs: &[(Burst, ClientId), (Burst, ClientSecret)],
        effect: Effect::Burst,
        control: Some("short.429.burst"),
        request: steps!(limited_exchange),
        expect: INVALID_REQUEST,
        mutants: &[mutant("short-limit-before-shape", "looks at the limit of /short before the body's shape")],
        ..ROW
    },
    Case {
        id: "revoke.204.limited",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "/revoke is never limited: what a limited client must end it can end, however often it asks.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Burst, ClientId), (Burst, ClientSecret)],
        effect: Effect::Burst,
        control: Some("long.429.burst"),
        request: steps!(limited_revocation),
        expect: ENDED,
        mutants: &[
            mutant("revoke-limited", "limits /revoke with the client"),
            mutant("revoke-limited-by-count", "limits /revoke to thirty calls a minute"),
        ],
        ..ROW
    },
    Case {
        id: "long.429.message",
        cell: Cell::Long(429),
        level: Level::Contract,
        requirement: "The message of a 429 of /long says when to retry, as Retry-After does.",
        section: "openapi.yaml, RateLimited",
        request: EveryAnswer(|s| message(s, Op::Long)),
        mutants: &[
            mutant("429-message-silent", "does not say in a 429 when to retry"),
            mutant("429-message-differs", "says another time in the message than in Retry-After"),
        ],
        ..ROW
    },
    Case {
        id: "short.429.message",
        cell: Cell::Short(429),
        level: Level::Contract,
        requirement: "The message of a 429 of /short says when to retry, as Retry-After does.",
        section: "openapi.yaml, RateLimited",
        request: EveryAnswer(|s| message(s, Op::Short)),
        mutants: &[mutant("429-message-silent-short", "does not say in a 429 of /short when to retry")],
        ..ROW
    },
    Case {
        id: "long.429.retry-within-bounds",
        cell: Cell::Long(429),
        level: Level::Contract,
        requirement: "Retry-After asks for no more than a client can wait.",
        section: "openapi.yaml, RateLimited; RFC 9110 section 10.2.3",
        request: EveryAnswer(|s| within_bounds(s, Op::Long)),
        mutants: &[mutant("retry-after-a-day", "asks for a day of waiting")],
        ..ROW
    },
    Case {
        id: "long.201.retry-served",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "After the seconds of Retry-After the next request is served.",
        section: "openapi.yaml, RateLimited; RFC 9110 section 10.2.3",
        needs: &[(Burst, ClientId), (Burst, ClientSecret)],
        effect: Effect::Burst,
        phase: Phase::Last,
        control: Some("long.429.burst"),
        request: steps!(served_again),
        expect: GRANTED,
        mutants: &[mutant("retry-after-early", "says ten seconds where its limit lasts a minute")],
        ..ROW
    },
];

/// When the client was last told to wait, and until when: seconds since the epoch.
#[derive(Default)]
struct Told {
    until: Slot<u64>,
}

/// Whether the client is limited now; keeps in mind for how long.
async fn is_limited(t: &Trial<'_>) -> Result<bool, Stop> {
    t.expects_429.set(true);
    let request = draft::build(t, Secret(Burst), &[Set("client_secret", r#""wrong-${unique}""#)]).await?;
    let answer = t.send(&request).await?;
    if answer.status != 429 {
        return Ok(false);
    }
    if let Some(seconds) = answer.header("retry-after").and_then(|value| value.parse::<u64>().ok()) {
        t.run.memory::<Told>().until.set(t.run.clock.now() + seconds);
    }
    Ok(true)
}

/// Limits the client again where the window of its burst has ended.
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
    "the client's limit ended again before it could be looked at: run again on a machine less busy";

async fn limited(t: &Trial<'_>, changes: &[Change]) -> Result<(), Stop> {
    for _ in 0..3 {
        limit(t).await?;
        let request = draft::build(t, Secret(Burst), changes).await?;
        let answer = t.send(&request).await?;
        let verdict = t.expect(t.due, &answer);
        // What came of a request that met no limit says nothing.
        if verdict.is_ok() || is_limited(t).await? {
            return verdict.map_err(|stop| stop.wanted(|wanted| format!("{wanted}, of a limited client too")));
        }
    }
    Err(Stop::Blocked(ENDS_TOO_SOON.to_owned()))
}

async fn others(t: &Trial<'_>) -> Result<(), Stop> {
    limit(t).await?;
    let request = draft::build(t, Secret(Valid), &[]).await?;
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer)
        .map_err(|stop| stop.wanted(|wanted| format!("{wanted} for another client than the one that is limited")))
}

async fn limited_exchange(t: &Trial<'_>) -> Result<(), Stop> {
    t.expects_429.set(true);
    let token = super::limits::limited_token(t)
        .ok_or_else(|| Stop::Blocked("no long-term token was limited: see short.429.burst".to_owned()))?;
    if t.send(&endpoint::exchange(&token)).await?.status != 429 {
        super::limits::rush(t, &endpoint::exchange(&token), GRANTED).await?;
    }
    let request = endpoint::post(endpoint::SHORT, Some(&token), Some(json!({"surprise": 1})));
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer).map_err(|stop| stop.wanted(|wanted| format!("{wanted}, with a limited token too")))
}

/// A long-term token that was made before the limit revokes itself, again and again.
async fn limited_revocation(t: &Trial<'_>) -> Result<(), Stop> {
    let spare = super::limits::spare_token(t)
        .ok_or_else(|| Stop::Blocked("role burst has no token left to revoke: see long.429.burst".to_owned()))?;
    limit(t).await?;
    let request = endpoint::revoke(&spare.token, &spare.id);
    for answer in t.send_at_once(&request, 40).await? {
        t.expect(t.due, &answer)
            .map_err(|stop| stop.wanted(|wanted| format!("{wanted}, though the client is limited on /long")))?;
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
        return Err(Stop::Blocked("no 429 said in seconds when to retry: see long.429.retry-after".to_owned()));
    }
    if until > now + most {
        return Err(Stop::Absent(format!(
            "Retry-After asks for {} s more, and this run waits {most} s at most: a profile file's limits.retry_seconds \
             says how long it may",
            until - now
        )));
    }
    t.run.wait_until(until).await?;
    let answer = t.send(&draft::build(t, Secret(Burst), &[]).await?).await?;
    t.expect(t.due, &answer).map_err(|stop| stop.wanted(|wanted| format!("{wanted} after the seconds of Retry-After")))
}

fn is_429(seen: &Seen, op: Op) -> bool {
    seen.op == op && seen.answer.status == 429
}

/// The number that stands before a word for seconds, and whether any time is told at all.
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
        wanted: format!("a message that says when to retry, as Retry-After: {retry} does"),
        got: format!("message {}", body["message"]),
    }
}

fn within_bounds(seen: &Seen, op: Op) -> Standing {
    let value = seen.answer.header("retry-after").unwrap_or_default();
    // That it is there at all is another row's matter.
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
