//! Measures how long a revoked token is still accepted, at each place that checks tokens. It mints tokens, revokes them,
//! and tries them until they are refused.

use crate::ask::plain;
use crate::clean_up::clean_up;
use crate::clock;
use crate::endpoint;
use crate::exit::Exit;
use crate::groups::is_failure;
use crate::http::{Answer, Request};
use crate::identities::{Credential, Role, lacking};
use crate::preflight;
use crate::profile::Profile;
use crate::result::{self, CaseResult, Consistency, Counts, Outcome, Report, Verdict, millis};
use crate::run::{Run, Setup};
use crate::stop::Stop;
use crate::trial::Trial;
use crate::trial::judge::Poll;
use crate::trial::mint::Token;
use crate::watch::Watch;
use futures_util::StreamExt;
use std::time::{Duration, Instant};

/// How many pairs of tokens are followed at once.
const AT_ONCE: usize = 4;

/// A place that must refuse a revoked token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Exchange,
    Rotation,
    Revocation,
    Introspection,
    Feed,
}

impl Place {
    const ALL: [Self; 5] = [Self::Exchange, Self::Rotation, Self::Revocation, Self::Introspection, Self::Feed];

    fn name(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Rotation => "rotation",
            Self::Revocation => "revocation",
            Self::Introspection => "introspection",
            Self::Feed => "feed",
        }
    }

    fn says(self) -> &'static str {
        match self {
            Self::Exchange => "A revoked long-term token is refused by POST /auth/tokens/short.",
            Self::Rotation => "A revoked short-term token is refused by POST /auth/tokens/long.",
            Self::Revocation => "A revoked short-term token is refused as the caller of /revoke.",
            Self::Introspection => "Introspection reports a revoked short-term token as inactive.",
            Self::Feed => "An API that follows the revocation feed refuses a revoked short-term token.",
        }
    }
}

/// The measurements at one place.
struct Found {
    place: Place,
    delays: Vec<u64>,
    /// Why the first token without a measurement has none.
    stop: Option<Stop>,
    exchanges: Vec<result::Exchange>,
}

pub async fn lag(setup: Setup, tokens: u32) -> Result<Report, String> {
    let (started_at, started, window) = (clock::rfc3339(setup.clock.now()), Instant::now(), setup.window);
    let run = Run::new(setup, Profile::default(), Watch::new(Vec::new()))?;
    let lacks = |what| !run.identities.has(Role::Valid, what);
    if let Some(what) = [Credential::ClientId, Credential::ClientSecret].into_iter().find(|what| lacks(*what)) {
        return Err(lacking(Role::Valid, what));
    }
    preflight::base_url(&run).await?;
    let all: Vec<_> = futures_util::stream::iter(0..tokens)
        .map(|nth| {
            run.audience.progress(nth as usize, tokens as usize, "revoking tokens, and waiting until they are refused");
            one(&run)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut found: Vec<Found> =
        Place::ALL.map(|place| Found { place, delays: Vec::new(), stop: None, exchanges: Vec::new() }).into();
    for (place, outcome, exchanges) in all.into_iter().flatten() {
        let Some(here) = found.iter_mut().find(|here| here.place == place) else { continue };
        match outcome {
            Ok(delay) => here.delays.push(millis(delay)),
            Err(stop) => here.stop = here.stop.take().or(Some(stop)),
        }
        if here.exchanges.is_empty() || here.stop.is_some() {
            here.exchanges = exchanges;
        }
    }
    found.retain(|here| !matches!(here.stop, Some(Stop::Absent(_))));
    let cleanup = clean_up(&run, false).await;
    Ok(report(&run, Told { found, cleanup, started_at, duration_ms: millis(started.elapsed()), window }))
}

/// Follows one long-term token and a short-term token made from it. The short-term token is revoked first and followed at
/// all places that take short-term tokens; then the long-term token.
async fn one(run: &Run) -> Vec<(Place, Result<Duration, Stop>, Vec<result::Exchange>)> {
    let trial = || Trial::new(run, "lag", plain(401));
    let t = trial();
    let pair = async {
        let caller = t.shared(Role::Valid, "short").await?;
        let long = t.mint_long(Role::Valid, &["jobs:submit", "tokens:write", "tokens:revoke"]).await?;
        let short = t.mint_short(&long, &["jobs:submit", "tokens:write", "tokens:revoke"]).await?;
        let spare = t.shared(Role::Valid, "spare").await?;
        t.revoked(&caller, &short).await?;
        Ok::<_, Stop>((caller, long, short, spare, Instant::now()))
    };
    let (caller, long, short, spare, at) = match pair.await {
        Ok(pair) => pair,
        Err(stop) => return vec![(Place::Exchange, Err(stop), t.exchanges.take())],
    };
    let follow = |place: Place| {
        let (short, spare) = (short.clone(), spare.clone());
        async move {
            let t = trial();
            let outcome = async {
                let request = request(&t, place, &short, &spare).await?;
                until_refused(&t, place, &request, &short, at).await
            };
            (place, outcome.await, t.exchanges.take())
        }
    };
    let mut all = futures_util::future::join_all([
        follow(Place::Rotation),
        follow(Place::Revocation),
        follow(Place::Introspection),
        follow(Place::Feed),
    ])
    .await;
    let t = trial();
    let exchange = async {
        t.revoked(&caller, &long).await?;
        let at = Instant::now();
        until_refused(&t, Place::Exchange, &endpoint::exchange(&long.token), &long, at).await
    };
    all.push((Place::Exchange, exchange.await, t.exchanges.take()));
    all
}

async fn request(t: &Trial<'_>, place: Place, short: &Token, spare: &Token) -> Result<Request, Stop> {
    match place {
        Place::Exchange => Ok(endpoint::exchange(&short.token)),
        Place::Rotation => t.rotate_request(Role::Valid, &short.token, Some(&["jobs:submit"])),
        // As long as the token is accepted, this call revokes a spare token.
        Place::Revocation => Ok(endpoint::revoke(&short.token, &spare.id)),
        Place::Feed => t.feed_request("").await,
        Place::Introspection => {
            let reader = t.shared(Role::Reader, "short").await;
            let reader = reader.map_err(|_| {
                Stop::Absent("no identity may introspect: add role reader to the identities file".to_owned())
            })?;
            let mut request = endpoint::bare("POST", endpoint::INTROSPECT, Some(&reader.token));
            request.set("content-type", "application/x-www-form-urlencoded");
            request.body = format!("token={}", crate::mask::url_encoded(&short.token)).into_bytes();
            Ok(request)
        }
    }
}

/// The time from the 204 until the first of three refusals in a row.
async fn until_refused(
    t: &Trial<'_>,
    place: Place,
    request: &Request,
    token: &Token,
    at: Instant,
) -> Result<Duration, Stop> {
    let mut poll = Poll::quick(t.run);
    let mut first = None;
    let mut in_a_row = 0;
    loop {
        let asked = at.elapsed();
        let Some(answer) = poll.ask(t, request).await? else { continue };
        if is_refused(t, place, &answer, token)? {
            in_a_row += 1;
            first.get_or_insert(at.elapsed());
        } else {
            (in_a_row, first) = (0, None);
        }
        if let (3, Some(first)) = (in_a_row, first) {
            return Ok(first);
        }
        t.thin_out();
        if asked > t.run.window && in_a_row == 0 {
            return Err(Stop::fail(
                format!("the token refused within {} (--consistency-window)", crate::http::human(t.run.window)),
                format!("{} after that time", t.run.summary(&answer)),
            ));
        }
        poll.wait(in_a_row > 0).await;
    }
}

fn is_refused(t: &Trial<'_>, place: Place, answer: &Answer, token: &Token) -> Result<bool, Stop> {
    let unexpected = || Stop::fail("the token accepted or refused", t.run.summary(answer));
    match (place, answer.status) {
        (Place::Exchange | Place::Rotation | Place::Revocation, 401) => Ok(true),
        (Place::Exchange | Place::Rotation, 201) | (Place::Revocation, 204) => Ok(false),
        (Place::Introspection, 200) => {
            answer.json().and_then(|body| body["active"].as_bool()).map(|active| !active).ok_or_else(unexpected)
        }
        (Place::Introspection, 404) => Err(Stop::Absent("this deployment has no introspection".to_owned())),
        (Place::Feed, 200) => t.as_feed(answer.clone())?.refuses(token, t.run.clock.now() + crate::trial::feed::CLOCKS),
        _ => Err(unexpected()),
    }
}

struct Told {
    found: Vec<Found>,
    cleanup: result::Cleanup,
    started_at: String,
    duration_ms: u64,
    window: Duration,
}

fn report(run: &Run, told: Told) -> Report {
    let Told { found, cleanup, started_at, duration_ms, window } = told;
    let mut counts = Counts::default();
    let cases: Vec<_> = found.iter().map(|here| case(run, here)).collect();
    cases.iter().for_each(|case| *counts.of(case.outcome) += 1);
    let verdict = if !run.was_there() {
        Verdict::Unreachable
    } else if cases.iter().any(|case| case.outcome == Outcome::Fail) {
        Verdict::NotConformant
    } else if cases.iter().any(|case| case.outcome != Outcome::Pass) || cases.is_empty() || !cleanup.left.is_empty() {
        Verdict::Incomplete
    } else {
        Verdict::Conformant
    };
    let mut advice: Vec<_> =
        cases.iter().filter(|case| !is_failure(case.outcome)).filter_map(|case| case.reason.clone()).collect();
    advice.dedup();
    let by_operation = found.into_iter().filter(|here| !here.delays.is_empty());
    Report {
        report_version: result::REPORT_VERSION,
        tool: result::Tool::this(),
        target: result::Target { base_url: run.client.url("") },
        profile: "lag".to_owned(),
        part: None,
        started_at,
        duration_ms,
        verdict,
        exit_code: Exit::from(verdict).code(),
        counts,
        matrix: Vec::new(),
        advice,
        cases,
        consistency: Some(Consistency {
            window_ms: millis(window),
            observed_ms: Vec::new(),
            by_operation: by_operation.map(|here| result::Delays::of(here.place.name(), here.delays)).collect(),
        }),
        cleanup,
    }
}

fn case(run: &Run, here: &Found) -> CaseResult {
    let mask = |text: &str| run.vault.mask_foreign(text);
    let mut case = CaseResult {
        id: format!("lag.{}", here.place.name()),
        requirement: here.place.says().to_owned(),
        operation: here.place.name().to_owned(),
        status: None,
        level: "contract".to_owned(),
        effect: "revoke".to_owned(),
        outcome: Outcome::Pass,
        reason: None,
        wanted: None,
        got: None,
        curl: None,
        duration_ms: here.delays.iter().sum(),
        exchanges: here.exchanges.clone(),
    };
    match &here.stop {
        None if here.delays.is_empty() => {
            case.outcome = Outcome::Blocked;
            case.reason = Some("no revocation was measured here".to_owned());
        }
        None => {}
        Some(Stop::Fail { wanted, got }) => {
            case.outcome = Outcome::Fail;
            (case.wanted, case.got) = (Some(mask(wanted)), Some(mask(got)));
            case.reason = Some(format!("wanted {}, got {}", mask(wanted), mask(got)));
        }
        Some(Stop::Blocked(why) | Stop::Unavailable(why) | Stop::Absent(why) | Stop::Error(why)) => {
            case.outcome = Outcome::Blocked;
            case.reason = Some(mask(why));
        }
    }
    case
}
