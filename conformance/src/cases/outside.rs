//! What no cell of the matrix holds: other paths, other methods, and whether the server is there at all.

use super::Base::{Exchange, Revoke, Secret};
use super::Change::*;
use super::*;
use crate::identities::Role::Valid;

pub const FIRST: &[Case] = &[Case {
    id: "sanity.first",
    says: "The base URL leads to a server that answers a call without credentials by itself, in HTTP.",
    op: Op::Outside,
    status: None,
    level: Level::Seed,
    effect: Effect::Read,
    control: None,
    needs: &[],
    act: Act::Steps(|t| Box::pin(sane(t))),
}];

pub const LAST: &[Case] = &[Case {
    id: "sanity.last",
    says: "The server survived the run.",
    op: Op::Outside,
    status: None,
    level: Level::Seed,
    effect: Effect::Read,
    control: None,
    needs: &[],
    act: Act::Steps(|t| Box::pin(survived(t))),
}];

/// 405 has no code of its own in the contract.
const NOT_ALLOWED: Want = refused(405, &[]);

pub const CASES: &[Case] = &[
    ask(
        "outside.404.unknown-path",
        "An unknown path is 404 not_found.",
        Secret(Valid),
        &[Path("/auth/tokens/no-such-operation")],
        NOT_FOUND,
    )
    .outside(),
    ask(
        "outside.404.trailing-slash",
        "A trailing slash is another path.",
        Secret(Valid),
        &[Path("/auth/tokens/long/")],
        NOT_FOUND,
    )
    .outside(),
    ask(
        "outside.404.doubled-slash",
        "A doubled slash is another path.",
        Secret(Valid),
        &[Path("/auth//tokens/long")],
        NOT_FOUND,
    )
    .outside(),
    ask(
        "outside.404.path-case",
        "Another case is another path.",
        Secret(Valid),
        &[Path("/auth/tokens/Long")],
        NOT_FOUND,
    )
    .outside(),
    ask(
        "outside.404.short-trailing-slash",
        "A trailing slash is another path for /short too.",
        Exchange(Valid),
        &[Path("/auth/tokens/short/")],
        NOT_FOUND,
    )
    .outside(),
    ask(
        "outside.404.short-path-case",
        "Another case is another path for /short too.",
        Exchange(Valid),
        &[Path("/auth/Tokens/short")],
        NOT_FOUND,
    )
    .outside(),
    ask(
        "outside.404.revoke-trailing-slash",
        "A trailing slash is another path for /revoke too.",
        Revoke(Valid),
        &[Path("/auth/tokens/${valid.spare_id}/revoke/")],
        NOT_FOUND,
    )
    .outside(),
    ask(
        "outside.404.revoke-empty-id",
        "An empty token id makes another path.",
        Revoke(Valid),
        &[Path("/auth/tokens//revoke")],
        NOT_FOUND,
    )
    .outside(),
    ask(
        "outside.404.revoke-path-case",
        "Another case is another path for /revoke too.",
        Revoke(Valid),
        &[Path("/auth/tokens/${valid.spare_id}/Revoke")],
        NOT_FOUND,
    )
    .outside(),
    ask(
        "outside.405.long-get",
        "GET on /long is 405 with Allow: POST.",
        Secret(Valid),
        &[Method("GET"), Raw("")],
        NOT_ALLOWED,
    )
    .outside()
    .also(&[Also::AllowsPost]),
    ask("outside.405.long-put", "PUT on /long is 405 with Allow: POST.", Secret(Valid), &[Method("PUT")], NOT_ALLOWED)
        .outside()
        .also(&[Also::AllowsPost]),
    ask(
        "outside.405.long-delete",
        "DELETE on /long is 405 with Allow: POST.",
        Secret(Valid),
        &[Method("DELETE"), Raw("")],
        NOT_ALLOWED,
    )
    .outside()
    .also(&[Also::AllowsPost]),
    ask(
        "outside.405.long-head",
        "HEAD on /long is 405 with Allow: POST.",
        Secret(Valid),
        &[Method("HEAD"), Raw("")],
        NOT_ALLOWED,
    )
    .outside()
    .also(&[Also::AllowsPost]),
    ask(
        "outside.405.long-options",
        "OPTIONS on /long is 405 with Allow: POST.",
        Secret(Valid),
        &[Method("OPTIONS"), Raw("")],
        NOT_ALLOWED,
    )
    .outside()
    .also(&[Also::AllowsPost]),
    ask(
        "outside.405.short-get",
        "GET on /short is 405 with Allow: POST.",
        Exchange(Valid),
        &[Method("GET")],
        NOT_ALLOWED,
    )
    .outside()
    .also(&[Also::AllowsPost]),
    ask(
        "outside.405.short-options",
        "OPTIONS on /short is 405 with Allow: POST.",
        Exchange(Valid),
        &[Method("OPTIONS")],
        NOT_ALLOWED,
    )
    .outside()
    .also(&[Also::AllowsPost]),
    ask(
        "outside.405.revoke-get",
        "GET on /revoke is 405 with Allow: POST.",
        Revoke(Valid),
        &[Method("GET")],
        NOT_ALLOWED,
    )
    .outside()
    .also(&[Also::AllowsPost]),
    ask(
        "outside.405.revoke-delete",
        "DELETE on /revoke is 405 with Allow: POST.",
        Revoke(Valid),
        &[Method("DELETE")],
        NOT_ALLOWED,
    )
    .outside()
    .also(&[Also::AllowsPost]),
];

async fn probe(t: &Trial<'_>) -> Result<Answer, Stop> {
    t.expects_429.set(true);
    let request = t.request(crate::draft::LONG, None, Some(serde_json::json!({})));
    t.send(&request).await
}

/// Lenient on purpose: a server that answers wrongly is for the cases to name. What ends the run here is an address
/// where no such server is.
async fn sane(t: &Trial<'_>) -> Result<(), Stop> {
    let answer = probe(t).await.map_err(|stop| match stop {
        // A silent socket was never reached; an answer that never ends was.
        Stop::Fail { got, .. } if got.starts_with("no whole answer") || got.starts_with(crate::http::BROKE) => {
            Stop::Error(got)
        }
        other => other,
    })?;
    let kind = answer.header("content-type").unwrap_or_default().to_lowercase();
    let asked = "the answer of a token service to POST /auth/tokens/long";
    if (300..400).contains(&answer.status) {
        let to = answer.header("location").unwrap_or("elsewhere");
        return Err(Stop::fail(
            asked,
            format!("{} to {to}; redirects are not followed: give the final URL", answer.status),
        ));
    }
    if kind.contains("html") && ![400, 401, 403, 429].contains(&answer.status) {
        return Err(Stop::fail(
            asked,
            format!(
                "{} with an HTML page ({}): is --base-url right, up to its /v1?",
                answer.status,
                t.run.words(&answer)
            ),
        ));
    }
    if answer.status >= 500 {
        return Err(Stop::fail(asked, format!("{}: the server is not well", t.summary(&answer))));
    }
    Ok(())
}

async fn survived(t: &Trial<'_>) -> Result<(), Stop> {
    let answer = probe(t).await;
    t.run.uninterrupted()?;
    match answer {
        Ok(answer) if answer.status < 500 => Ok(()),
        Ok(answer) => {
            Err(Stop::fail("an answer as at the start", format!("{}: the server did not survive", t.summary(&answer))))
        }
        Err(Stop::Fail { got, .. } | Stop::Error(got) | Stop::Blocked(got)) => {
            Err(Stop::fail("an answer as at the start", format!("{got}: the server did not survive")))
        }
        Err(other) => Err(other),
    }
}
