//! The documents that the deployment publishes: keys, metadata, descriptions.

use crate::ask::plain;
use crate::endpoint::{self, METADATA};
use crate::http::Answer;
use crate::identities::Role;
use crate::jose::Jwt;
use crate::stop::Stop;
use crate::trial::Trial;
use std::collections::BTreeSet;

pub const JSON: &str = "application/json";
/// How long keys, metadata and documents may be cached.
pub const FIVE_MINUTES: &str = "public, max-age=300";
pub const NO_STORE: &str = "no-store";

impl Trial<'_> {
    /// The deployment's issuer, from the `iss` of a short-term token.
    pub async fn issuer(&self) -> Result<String, Stop> {
        let short = self.shared(Role::Valid, "short").await?;
        let issuer = Jwt::read(&short.token).and_then(|jwt| jwt.claims["iss"].as_str().map(str::to_owned));
        issuer.ok_or_else(|| Stop::Blocked("the short-term token has no iss: see short.201.jwt-claims".to_owned()))
    }

    /// The metadata's path, with the issuer's path at the end (RFC 8414 section 3.1).
    pub async fn metadata_path(&self) -> Result<String, Stop> {
        let issuer = self.issuer().await?;
        let path = issuer[origin_of(&issuer).len()..].trim_end_matches('/');
        Ok(format!("{METADATA}{path}"))
    }

    pub async fn metadata(&self) -> Result<Answer, Stop> {
        self.send(&endpoint::bare("GET", &self.metadata_path().await?, None)).await
    }

    /// Expects 200 to GET, with this media type.
    pub async fn is_served(&self, path: &str, media: &str) -> Result<(), Stop> {
        let answer = self.send(&endpoint::bare("GET", path, None)).await?;
        self.expect(plain(200), &answer)?;
        let kind = answer.header("content-type").unwrap_or("none");
        let got = kind.split(';').next().unwrap_or_default().trim();
        match got.eq_ignore_ascii_case(media) {
            true => Ok(()),
            false => Err(Stop::fail(format!("Content-Type: {media}"), format!("Content-Type: {kind}"))),
        }
    }

    /// Expects 200 to GET, with one of these values of Cache-Control. Its directives may be in any order.
    pub async fn is_kept(&self, path: &str, due: &[&str]) -> Result<(), Stop> {
        let answer = self.send(&endpoint::bare("GET", path, None)).await?;
        self.expect(plain(200), &answer)?;
        let set = |items: Vec<&str>| items.iter().map(|one| one.to_lowercase()).collect::<BTreeSet<_>>();
        let got = set(answer.list("cache-control"));
        // no-store forbids what any directive beside it would allow.
        let is =
            |due: &&str| if *due == NO_STORE { got.contains(NO_STORE) } else { got == set(due.split(", ").collect()) };
        let value = if got.is_empty() { "none".to_owned() } else { answer.list("cache-control").join(", ") };
        match due.iter().any(is) {
            true => Ok(()),
            false => Err(Stop::fail(
                format!("Cache-Control: {} on {path}", due.join(" or ")),
                format!("Cache-Control: {value}"),
            )),
        }
    }

    /// Expects 200 to HEAD, with the headers of GET and no body (RFC 9110 section 9.3.2).
    pub async fn answers_head(&self, path: &str) -> Result<(), Stop> {
        let get = self.send(&endpoint::bare("GET", path, None)).await?;
        let head = self.send(&endpoint::bare("HEAD", path, None)).await?;
        self.expect(plain(200), &head)?;
        for name in ["content-type", "cache-control"] {
            let (due, got) = (get.header(name).unwrap_or("none"), head.header(name).unwrap_or("none"));
            if due != got {
                return Err(Stop::fail(format!("{name}: {due}, as with GET of {path}"), format!("{name}: {got}")));
            }
        }
        match head.body.is_empty() {
            true => Ok(()),
            false => Err(Stop::fail("no body in the answer to HEAD", self.summary(&head))),
        }
    }

    /// Expects 405 to methods other than GET and HEAD, with `Allow: GET, HEAD` and an error body of the contract.
    pub async fn is_read_only(&self, path: &str) -> Result<(), Stop> {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let answer = self.send(&endpoint::bare(method, path, None)).await?;
            self.expect(plain(405), &answer)?;
            allows_reading(&answer, &format!("{method} {path}"))?;
            if !answer.has_cache_directive(NO_STORE) {
                return Err(Stop::fail(
                    format!("{method} {path}: Cache-Control: no-store"),
                    format!("Cache-Control: {}", answer.list("cache-control").join(", ")),
                ));
            }
        }
        Ok(())
    }
}

/// `Allow` names GET and HEAD, and nothing else. `call` is what was answered, in words.
pub fn allows_reading(answer: &Answer, call: &str) -> Result<(), Stop> {
    let allowed = answer.list("allow");
    if BTreeSet::from_iter(allowed.iter().copied()) == BTreeSet::from(["GET", "HEAD"]) {
        return Ok(());
    }
    Err(Stop::fail(format!("{call}: Allow: GET, HEAD"), format!("Allow: {}", allowed.join(", "))))
}

/// Scheme, host and port of a URL; empty for a path alone.
pub fn origin_of(url: &str) -> &str {
    let Some(host) = url.find("://").map(|at| at + 3) else { return "" };
    url[host..].find('/').map_or(url, |at| &url[..host + at])
}
