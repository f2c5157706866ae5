//! `GET /.well-known/revocations`: the signed revocation feed, for APIs that verify offline.
//!
//! 1. `REVOCATION_FEED`: `off` → 404; `private` requires a live token with `tokens:introspect` → 401
//! 2. The entries after `since`, or the full feed if some of those may have been dropped
//! 3. The feed, signed with the key of short-term tokens → 200, or 304 if the caller has it

use crate::audit::Audit;
use crate::client::change::if_match;
use crate::error::Error;
use crate::feed::Ask;
use crate::feed::copy::Text;
use crate::host::Host;
use crate::request::Call;
use crate::response::Response;
use crate::settings::{FeedMode, Settings};
use crate::token;
use crate::token_id::Kind;
use crate::value::digest;

const INTROSPECT: &str = "tokens:introspect";
const TYP: &str = "revocations+jwt";
/// How long a signed text is valid, seconds.
const LIFE: u64 = 300;
/// A text with less validity left than this is signed again, seconds.
const LEAST_LEFT: u64 = 150;

pub async fn revocations(
    settings: &Settings,
    host: &impl Host,
    call: &Call,
    audit: &mut Audit,
) -> Result<Response, Error> {
    // 1
    let is_public = match settings.feed {
        FeedMode::Off => return Err(Error::PathNotFound { base_path: settings.base_path.clone() }),
        FeedMode::Public => true,
        FeedMode::Private => {
            let caller = token::caller(settings, host, call, &[Kind::Long, Kind::Short]).await?;
            audit.presented(&caller);
            super::authorize(host, &caller, INTROSPECT, call.now).await?;
            false
        }
    };
    // 2. A `since` that can't be parsed gets the full feed.
    let since = call.parameter("since").ok().flatten().and_then(|text| text.parse().ok());
    // 3
    let Text { token, etag, .. } = text(settings, host, since).await?;
    let is_known = call.if_none_match.as_deref().is_some_and(|header| if_none_match(header, &etag));
    let mut response = Response::empty(if is_known { 304 } else { 200 });
    response.cache_control(if is_public { "public, max-age=2" } else { "private, max-age=2" });
    response.headers.push(("ETag", etag));
    response.headers.push(("Vary", "Accept-Encoding".to_owned()));
    if !is_known {
        if call.accept_encoding.as_deref().is_some_and(takes_gzip) {
            // The runtime compresses the body because of this header.
            response.headers.push(("Content-Encoding", "gzip".to_owned()));
        }
        response.headers.push(("Content-Type", "application/jwt".to_owned()));
        response.body = Some(token.to_string().into());
    }
    Ok(response)
}

/// The signed text for a caller who has all entries up to `since`, from the cache or newly signed.
async fn text(settings: &Settings, host: &impl Host, since: Option<u64>) -> Result<Text, Error> {
    let (cache, millis) = (host.feed_cache(), host.millis());
    if let Some(known) = cache.lacks(since, millis) {
        cache.take(host.ask_feed(&Ask::Ends { since: known }).await?, millis);
    }
    let now = millis / 1000;
    let part = cache.part(since, now);
    if let Some(text) = cache.text(part, (now + LEAST_LEFT).saturating_sub(LIFE)) {
        return Ok(text);
    }
    // Formatted without escaping: `Settings::read` accepts no issuer with a character that JSON escapes.
    let (issuer, exp, seq, ended) = (&settings.issuer, now + LIFE, part.seq, cache.ended(part));
    let since = part.since.map_or_else(String::new, |since| format!(r#""since":{since},"#));
    let payload = format!(r#"{{"iss":"{issuer}","iat":{now},"exp":{exp},"seq":{seq},{since}"ended":{ended}}}"#);
    let token = token::sign_text(settings, host, TYP, &payload).await?;
    let etag = format!("\"{}\"", digest(&token));
    let text = Text { part, token: token.into(), etag, issued_at: now };
    cache.keep(text.clone());
    Ok(text)
}

/// Whether `If-None-Match` matches this `ETag`, compared weakly (RFC 9110, section 13.1.2).
pub(crate) fn if_none_match(header: &str, etag: &str) -> bool {
    header.split(',').map(str::trim_start).any(|value| if_match(value.strip_prefix("W/").unwrap_or(value), etag))
}

/// Whether `Accept-Encoding` lists gzip (RFC 9110, section 12.5.3). With a weight or in capitals it is not recognized,
/// which is safe: the uncompressed text is always acceptable.
pub(crate) fn takes_gzip(header: &str) -> bool {
    header.split(',').any(|coding| coding.trim_start() == "gzip")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_only_to_callers_that_accept_it() {
        for header in ["gzip", "gzip, br", "deflate,gzip"] {
            assert!(takes_gzip(header), "{header}");
        }
        for header in ["", "br", "gzip;q=0", "br, gzip; q=0.000", "x-gzip", "identity"] {
            assert!(!takes_gzip(header), "{header}");
        }
    }

    #[test]
    fn validators_are_compared_weakly() {
        for header in ["\"a\"", "W/\"a\"", "\"b\", W/\"a\"", "*"] {
            assert!(if_none_match(header, "\"a\""), "{header}");
        }
        for header in ["", "a", "\"b\"", "W/\"b\""] {
            assert!(!if_none_match(header, "\"a\""), "{header}");
        }
    }
}
