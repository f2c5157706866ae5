//! Rate limits: each case repeats one request until the first 429. These cases run last, on a client reserved for them.

use crate::case::*;
use crate::endpoint;
use crate::result::Exchange;
use crate::state::State;
use crate::trial::draft;
use futures_util::StreamExt;
use std::cell::{Cell as Flag, RefCell};

pub const CASES: &[Case] = &[
    Case {
        id: "long.429.burst",
        cell: Cell::Long(429),
        level: Level::Seed,
        requirement: "Too many requests by one client are rejected with 429 rate_limited.",
        section: "openapi.yaml, RateLimited; RFC 6585 section 4",
        needs: &[(Burst, ClientId), (Burst, ClientSecret)],
        effect: Effect::Burst,
        control: Some("long.201.secret"),
        request: steps!(long),
        expect: RATE_LIMITED,
        mutants: &[
            mutant("500-under-load", "answers 500 just below its rate limit"),
            mutant("grants-under-load", "answers 201 to everything just below its rate limit"),
            mutant("never-429", "never rate-limits"),
            mutant("limit-by-secret", "counts calls with the same secret only"),
        ],
        ..ROW
    },
    Case {
        id: "short.429.burst",
        cell: Cell::Short(429),
        level: Level::Seed,
        requirement: "Too many exchanges of one long-term token are rejected with 429 rate_limited.",
        section: "openapi.yaml, RateLimited; RFC 6585 section 4",
        needs: &[(Burst, ClientId), (Burst, ClientSecret)],
        effect: Effect::Burst,
        control: Some("short.201.exchange"),
        request: steps!(short),
        expect: RATE_LIMITED,
        ..ROW
    },
];

async fn long(t: &Trial<'_>) -> Result<(), Stop> {
    let scopes: Vec<String> = t.one_scope(Burst).into_iter().collect();
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let kept = t.run.memory::<Kept>();
    match t.mint_long(Burst, &scopes).await {
        Ok(spare) => {
            kept.spare.replace(Some(spare));
        }
        // A limit that an earlier run has met may still hold.
        Err(_) => kept.limited_until.set(t.run.state.get(&limit_key(t)?).unwrap_or_default().limited_until),
    }
    rush_long(t).await
}

fn limit_key(t: &Trial<'_>) -> Result<String, Stop> {
    Ok(State::key(&t.run.client.url(""), &t.setting(Burst, ClientId)?, b"rate limit"))
}

/// Remembers for the next run until when the client of the bursts is rate-limited, in seconds since the epoch.
pub fn remember_limit(t: &Trial<'_>, until: u64) -> Result<(), Stop> {
    t.run.state.update(&limit_key(t)?, |spent| spent.limited_until = until);
    Ok(())
}

/// A wrong secret: the limit comes before the credentials, and no token is issued.
pub async fn rush_long(t: &Trial<'_>) -> Result<(), Stop> {
    let request = draft::build(t, Secret(Burst), &[Set("client_secret", r#""wrong-secret""#)]).await?;
    // Another secret each time: the limit counts calls, not equal ones.
    let other = |_| {
        let body = String::from_utf8_lossy(&request.body).replace("wrong-secret", &format!("wrong-{}", t.unique()));
        Request { body: body.into_bytes(), ..request.clone() }
    };
    rush(t, other, INVALID_CLIENT).await
}

async fn short(t: &Trial<'_>) -> Result<(), Stop> {
    t.expects_429.set(true);
    let scopes: Vec<String> = t.one_scope(Burst).into_iter().collect();
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    // The other burst has just exhausted this client's calls. This limit is per token, so any new token will do.
    let long = match t.mint_long(Burst, &scopes).await {
        Err(Stop::Blocked(_)) => {
            t.expects_429.set(false);
            t.mint_long(Valid, &["jobs:submit"]).await?
        }
        other => other?,
    };
    t.expects_429.set(true);
    let outcome = rush(t, |_| endpoint::exchange(&long.token), GRANTED).await;
    if outcome.is_ok() {
        t.run.memory::<Kept>().limited.replace(Some(long.token));
    }
    outcome
}

/// What the bursts leave for the cases that test a rate-limited client.
#[derive(Default)]
struct Kept {
    /// A token of the client, issued before it was limited.
    spare: RefCell<Option<Token>>,
    /// Without such a token: until when an earlier run's limit holds, in seconds since the epoch; 0 if there was none.
    limited_until: Flag<u64>,
    /// A long-term token that was exchanged too often.
    limited: RefCell<Option<String>>,
}

pub fn spare_token(t: &Trial<'_>) -> Result<Token, Stop> {
    let kept = t.run.memory::<Kept>();
    if let Some(spare) = &*kept.spare.borrow() {
        return Ok(spare.clone());
    }
    let rest = kept.limited_until.get().saturating_sub(t.run.clock.now());
    Err(match rest {
        0 => Stop::Blocked("role burst got no token before its burst: see long.429.burst".to_owned()),
        _ => Stop::Absent(format!("an earlier run's rate limit still holds: try again in {rest} s")),
    })
}

pub fn limited_token(t: &Trial<'_>) -> Option<String> {
    t.run.memory::<Kept>().limited.borrow().clone()
}

/// Sends requests until the first 429, many at a time. Every answer is judged as usual: it must be the expected
/// one, or a conformant 429.
pub async fn rush(t: &Trial<'_>, request: impl Fn(u32) -> Request, due: Want) -> Result<(), Stop> {
    t.expects_429.set(true);
    *t.judged.borrow_mut() = Some(request(0));
    let limits = &t.run.profile.limits;
    let decided = Flag::new(false);
    let mut sent = futures_util::stream::iter((0..limits.burst_requests).take_while(|_| !decided.get()))
        .map(|nth| {
            let request = request(nth);
            async move { t.send_one_of_many(&request).await }
        })
        .buffer_unordered(limits.burst_concurrency);
    let mut shown = Vec::new();
    let mut verdict = Ok(false);
    let (mut count, mut busy) = (0, 0);
    // After the decision, wait for the requests in flight, so that every token that they issue is known. They are judged
    // too.
    while let Some(outcome) = sent.next().await {
        count += 1;
        let (judged, exchange) = match outcome {
            // A busy server is not a limit.
            Ok((Err(Stop::Unavailable(_)), exchange)) if is_503(&exchange) => {
                busy += 1;
                (Ok(false), Some(exchange))
            }
            Ok((answer, exchange)) => (answer.and_then(|answer| is_limit(t, due, &answer)), Some(exchange)),
            Err(stop) => (Err(stop), None),
        };
        let decides = match (&verdict, &judged) {
            (Ok(limited), Ok(now)) => !limited && *now,
            (Ok(_), Err(_)) => true,
            (Err(_), _) => false,
        };
        if decides {
            verdict = judged;
            decided.set(true);
        }
        if decides || count == 1 {
            shown.extend(exchange);
        }
    }
    drop(sent);
    t.exchanges.borrow_mut().extend(shown);
    match verdict {
        Ok(true) => Ok(()),
        Ok(false) => {
            let mut got = format!(
                "none of {count} requests was rate-limited (if the limit is higher, set limits.burst_requests in a profile file)"
            );
            if busy > 0 {
                // If the server is unavailable to all, this call is answered 503 too, and the case ends.
                t.send(&endpoint::post(endpoint::LONG, None, Some(serde_json::json!({})))).await?;
                got = format!("{got}; {busy} were answered 503, while other requests were served");
            }
            Err(Stop::fail("429 rate_limited", got))
        }
        Err(stop) => Err(stop),
    }
}

fn is_503(exchange: &Exchange) -> bool {
    exchange.response.as_ref().is_some_and(|answer| answer.status == 503)
}

/// Whether this is a 429.
fn is_limit(t: &Trial<'_>, due: Want, answer: &Answer) -> Result<bool, Stop> {
    if answer.status == 429 {
        return t.expect(RATE_LIMITED, answer).map(|()| true);
    }
    t.expect(due, answer).map(|()| false).map_err(|stop| match stop {
        Stop::Fail { wanted, got } => Stop::fail(format!("{wanted}, or 429 rate_limited, even under load"), got),
        other => other,
    })
}
