//! The rate-limit cases: one request, over and over, until the first 429. They run last, on a client that is there for it.

use super::*;
use crate::draft;
use crate::identities::Role::{Burst, Valid};
use futures_util::StreamExt;

/// A wrong secret: the limit comes before credentials are looked at, and nothing is minted.
pub async fn long(t: &Trial<'_>) -> Result<(), Stop> {
    let request = draft::build(t, Base::Secret(Burst), &[Change::Set("client_secret", r#""wrong-${unique}""#)]).await?;
    rush(t, &request).await
}

pub async fn short(t: &Trial<'_>) -> Result<(), Stop> {
    t.expects_429.set(true);
    let scopes: Vec<String> = draft::one_scope(t, Burst).into_iter().collect();
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    // The other burst has just used up this client's calls. The limit here is the token's own, so any fresh one will do.
    let long = match t.mint_long(Burst, &scopes).await {
        Err(Stop::Blocked(_)) => t.mint_long(Valid, &["jobs:submit"]).await?,
        other => other?,
    };
    rush(t, &t.exchange_request(&long.token)).await
}

/// Sends one request until the first 429, many at a time, and judges that answer.
async fn rush(t: &Trial<'_>, request: &Request) -> Result<(), Stop> {
    t.expects_429.set(true);
    let limits = &t.run.profile.limits;
    let mut sent = futures_util::stream::iter(0..limits.burst_requests)
        .map(|_| t.run.send_quietly(request))
        .buffer_unordered(limits.burst_concurrency);
    let mut limited = None;
    let mut count = 0;
    while limited.is_none() {
        match sent.next().await {
            None => break,
            Some(Err(broken)) => return Err(Stop::fail("a whole answer", broken.to_string())),
            Some(Ok(answer)) => limited = Some(answer).filter(|a| a.status == 429),
        }
        count += 1;
    }
    // Those under way are awaited, so that whatever they mint is known.
    let rest = limits.burst_concurrency;
    let _: Vec<_> = sent.by_ref().take(if limited.is_some() { rest } else { 0 }).collect().await;
    drop(sent);
    let Some(limited) = limited else {
        *t.judged.borrow_mut() = Some(request.clone());
        return Err(Stop::fail("429 rate_limited", format!("{count} requests at once, and none was limited")));
    };
    let answer = t.accept(request, limited)?;
    t.expect(RATE_LIMITED, &answer)
}
