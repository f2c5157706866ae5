//! The rate limits: one request, over and over, until the first 429. These cases run last, on a client that is there for it.

use crate::case::*;
use crate::endpoint;
use crate::trial::draft;
use futures_util::StreamExt;
use std::cell::Cell as Flag;

pub const CASES: &[Case] = &[
    Case {
        id: "long.429.burst",
        cell: Cell::Long(429),
        level: Level::Seed,
        requirement: "Too many calls are 429 rate_limited.",
        section: "openapi.yaml, RateLimited; RFC 6585 section 4",
        needs: &[(Burst, ClientId), (Burst, ClientSecret)],
        effect: Effect::Burst,
        control: Some("long.201.secret"),
        request: steps!(long),
        expect: RATE_LIMITED,
        mutants: &[
            mutant("500-under-load", "answers 500 shortly before its limit"),
            mutant("grants-under-load", "grants everything shortly before its limit"),
            mutant("never-429", "never limits anybody"),
        ],
        ..ROW
    },
    Case {
        id: "short.429.burst",
        cell: Cell::Short(429),
        level: Level::Seed,
        requirement: "Too many calls with one long-term token are 429 rate_limited.",
        section: "openapi.yaml, RateLimited; RFC 6585 section 4",
        needs: &[(Burst, ClientId), (Burst, ClientSecret)],
        effect: Effect::Burst,
        control: Some("short.201.exchange"),
        request: steps!(short),
        expect: RATE_LIMITED,
        ..ROW
    },
];

/// A wrong secret: the limit comes before credentials are looked at, and nothing is minted.
async fn long(t: &Trial<'_>) -> Result<(), Stop> {
    let request = draft::build(t, Secret(Burst), &[Set("client_secret", r#""wrong-${unique}""#)]).await?;
    rush(t, &request, INVALID_CLIENT).await
}

async fn short(t: &Trial<'_>) -> Result<(), Stop> {
    t.expects_429.set(true);
    let scopes: Vec<String> = t.one_scope(Burst).into_iter().collect();
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    // The other burst has just used up this client's calls. The limit here is the token's own, so any fresh one will do.
    let long = match t.mint_long(Burst, &scopes).await {
        Err(Stop::Blocked(_)) => t.mint_long(Valid, &["jobs:submit"]).await?,
        other => other?,
    };
    rush(t, &endpoint::exchange(&long.token), GRANTED).await
}

/// Sends one request until the first 429, many at a time. Every answer is judged as any other: under load it is what was
/// due without, or a 429 as it should be.
async fn rush(t: &Trial<'_>, request: &Request, due: Want) -> Result<(), Stop> {
    t.expects_429.set(true);
    *t.judged.borrow_mut() = Some(request.clone());
    let limits = &t.run.profile.limits;
    let decided = Flag::new(false);
    let mut sent = futures_util::stream::iter((0..limits.burst_requests).take_while(|_| !decided.get()))
        .map(|_| t.send_one_of_many(request))
        .buffer_unordered(limits.burst_concurrency);
    let mut shown = Vec::new();
    let mut verdict = Ok(false);
    let mut count = 0;
    // Those under way are awaited when all is decided, so that whatever they mint is known. They are judged too.
    while let Some(outcome) = sent.next().await {
        count += 1;
        let (judged, exchange) = match outcome {
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
        Ok(false) => Err(Stop::fail("429 rate_limited", format!("{count} requests at once, and none was limited"))),
        Err(stop) => Err(stop),
    }
}

/// Whether this is the limit.
fn is_limit(t: &Trial<'_>, due: Want, answer: &Answer) -> Result<bool, Stop> {
    if answer.status == 429 {
        return t.expect(RATE_LIMITED, answer).map(|()| true);
    }
    t.expect(due, answer).map(|()| false).map_err(|stop| match stop {
        Stop::Fail { wanted, got } => Stop::fail(format!("{wanted}, or 429 rate_limited, under load too"), got),
        other => other,
    })
}
