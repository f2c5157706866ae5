//! `GET /.well-known/revocations`: the feed of ends, signed, for APIs that verify offline.
//!
//! 1. `REVOCATION_FEED`: `off` → 404; `private` needs a token that lives and holds `tokens:introspect` → 401
//! 2. What came after `since`, or all where that can't be told
//! 3. The text, signed with the key of short-term tokens → 200, or 304 if the caller has it

use std::rc::Rc;

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};

use crate::audit::Audit;
use crate::error::Error;
use crate::feed::{Ask, Ends, Text};
use crate::host::Host;
use crate::request::Call;
use crate::response::Response;
use crate::settings::{FeedMode, Settings};
use crate::token;
use crate::token_id::Kind;

const INTROSPECT: &str = "tokens:introspect";
const TYP: &str = "revocations+jwt";
/// How long a text counts, seconds.
const LIFE: u64 = 300;
/// A text is signed anew before it has less left than this, seconds.
const LEAST_LEFT: u64 = 150;
/// For how long an isolate serves a text without asking the feed, milliseconds.
const KEPT: u64 = 1_500;
pub async fn revocations(
    settings: &Settings,
    host: &impl Host,
    call: &Call,
    audit: &mut Audit,
) -> Result<Response, Error> {
    // 1
    let is_public = match settings.feed {
        FeedMode::Off => return Err(Error::PathNotFound),
        FeedMode::Public => true,
        FeedMode::Private => {
            let caller = token::caller(settings, host, call, &[Kind::Long, Kind::Short]).await?;
            audit.presented(&caller);
            super::authorize(host, &caller, INTROSPECT, call.now).await?;
            false
        }
    };
    // 2. What makes no sense is no question for a part.
    let since = call.parameter("since").ok().flatten();
    let since = since.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).and_then(|text| text.parse().ok());
    // 3
    let (token, etag) = text(settings, host, since).await?;
    let is_known = call.if_none_match.as_deref().is_some_and(|header| names(header, &etag));
    let mut response = Response::empty(if is_known { 304 } else { 200 });
    response.cache_control(if is_public { "public, max-age=2" } else { "private, max-age=2" });
    response.headers.push(("ETag", etag));
    if !is_known {
        response.headers.push(("Content-Type", "application/jwt".to_owned()));
        response.body = Some(token.to_string().into());
    }
    Ok(response)
}

/// The latest text after `since`, and its validator.
async fn text(settings: &Settings, host: &impl Host, since: Option<u64>) -> Result<(Rc<str>, String), Error> {
    let millis = host.millis();
    let kept = host.texts();
    let (known, is_fresh) = match kept.0.borrow().iter().find(|(kept, _)| *kept == since.unwrap_or(0)) {
        Some((_, text)) if since.is_none_or(|since| since <= text.seq) => {
            let has_enough_left = millis / 1000 < text.issued_at + LIFE - LEAST_LEFT;
            let is_fresh = has_enough_left && millis < text.checked + KEPT;
            if is_fresh {
                return Ok((Rc::clone(&text.token), text.etag.clone()));
            }
            (Some(text.seq).filter(|_| has_enough_left), is_fresh)
        }
        _ => (None, false),
    };
    debug_assert!(!is_fresh);
    let Ends { seq, since: answered, ended } = host.ask_feed(&Ask::Ends { since, known }).await?;
    let Some(ended) = ended else {
        let mut texts = kept.0.borrow_mut();
        let text = texts.iter_mut().find(|(kept, text)| *kept == since.unwrap_or(0) && text.seq == seq);
        if let Some((_, text)) = text {
            text.checked = text.checked.max(millis);
            return Ok((Rc::clone(&text.token), text.etag.clone()));
        }
        return Err(
            crate::error::Unavailable::new("FEED", "answered that nothing has changed, and there is no text").into()
        );
    };
    let now = millis / 1000;
    let token: Rc<str> =
        token::sign_text(settings, host, TYP, &payload(settings, now, seq, answered, &ended)).await?.into();
    let etag = format!("\"{}\"", Base64UrlUnpadded::encode_string(&Sha256::digest(&*token)[..16]));
    let text = Text { seq, token: Rc::clone(&token), etag: etag.clone(), issued_at: now, checked: millis };
    kept.keep(answered, text);
    Ok((token, etag))
}

fn payload(settings: &Settings, now: u64, seq: u64, since: u64, ended: &str) -> String {
    // An issuer has no character that JSON escapes (`Settings::read`).
    let (issuer, exp) = (&settings.issuer, now + LIFE);
    format!(r#"{{"iss":"{issuer}","iat":{now},"exp":{exp},"seq":{seq},"since":{since},"ended":{ended}}}"#)
}

/// Whether `If-None-Match` names this validator; a weak one does as well (RFC 9110, section 13.1.2).
fn names(header: &str, etag: &str) -> bool {
    header
        .split(',')
        .map(|value| value.trim_matches([' ', '\t']))
        .any(|value| value == "*" || value.strip_prefix("W/").unwrap_or(value) == etag)
}
