//! What may be shown of an exchange. All text passes the vault here. If an answer may contain unknown secrets, its longer
//! words are hidden.

use crate::endpoint::FEED_TYP;
use crate::http::{Answer, Broken, Client, Request, is_at_origin};
use crate::jose::Jwt;
use crate::mask::{self, Vault};
use crate::text::beginning;
use crate::{ledger, result};
use serde_json::Value;
use std::time::Duration;

/// How much of an answer's body a message quotes, in characters.
const WORDS: usize = 120;
/// How much of a body a report keeps, in bytes.
const BODY: usize = 4096;

/// The beginning of an answer's body, on one line.
pub fn words(vault: &Vault, answer: &Answer) -> String {
    beginning(&masker(vault, answer)(&answer.text()), WORDS).replace(['\n', '\r'], " ")
}

/// A short summary of an answer.
pub fn summary(vault: &Vault, answer: &Answer) -> String {
    let mask = masker(vault, answer);
    let told = |text: &str| beginning(&mask(text), WORDS * 2);
    let kind = told(answer.header("content-type").unwrap_or("no Content-Type"));
    match answer.json() {
        Some(Value::Object(body)) => match (body.get("code"), body.get("message")) {
            (Some(Value::String(code)), Some(Value::String(message))) => {
                format!("{} {} ({})", answer.status, told(code), told(message))
            }
            _ if body.contains_key("access_token") => format!("{} with a token", answer.status),
            _ => format!("{} with {}", answer.status, words(vault, answer)),
        },
        _ if answer.body.is_empty() => format!("{} with an empty body", answer.status),
        _ => format!("{} with {kind}: {}", answer.status, words(vault, answer)),
    }
}

/// An exchange as the report shows it.
pub fn exchange(
    vault: &Vault,
    client: &Client,
    request: &Request,
    outcome: &Result<Answer, Broken>,
    took: Duration,
) -> result::Exchange {
    let mask = |text: &str| vault.mask(text);
    let answer = outcome.as_ref().ok().or(outcome.as_ref().err().and_then(Broken::partial));
    let body = String::from_utf8_lossy(&request.body);
    result::Exchange {
        method: request.method.clone(),
        url: mask(&client.url(&request.path)),
        request_headers: request.headers.iter().chain(&client.way.headers).map(|(n, v)| (mask(n), mask(v))).collect(),
        request_body: (!request.body.is_empty()).then(|| first(&mask(&body), BODY)),
        response: answer.map(|answer| shown(vault, request, answer)),
        error: outcome.as_ref().err().map(|e| vault.mask_foreign(&e.to_string())),
        at_ms: 0,
        duration_ms: result::millis(took),
    }
}

fn shown(vault: &Vault, request: &Request, answer: &Answer) -> result::Answer {
    let masker = masker(vault, answer);
    let for_everyone = is_at_origin(&request.path);
    let foreign = |text: &str| if for_everyone { vault.mask_foreign(text) } else { masker(text) };
    let text = readable(answer).unwrap_or_else(|| answer.text());
    let header = |(name, value): &(String, String)| {
        (foreign(name), if mask::is_secret(name) { "$SECRET".to_owned() } else { foreign(value) })
    };
    result::Answer {
        status: answer.status,
        headers: answer.headers.iter().map(header).collect(),
        body: first(&foreign(&text), BODY),
    }
}

/// Masks an answer's text.
fn masker(vault: &Vault, answer: &Answer) -> impl Fn(&str) -> String {
    let suspect = (200..300).contains(&answer.status) && !ledger::is_clean(answer);
    move |text| if suspect { vault.mask_suspect(text) } else { vault.mask_foreign(text) }
}

/// The header and claims of a revocation feed as text. It is not a token, so a report may show it.
pub fn readable(answer: &Answer) -> Option<String> {
    let jwt = Jwt::read(&answer.text()).filter(|jwt| jwt.header["typ"] == FEED_TYP)?;
    Some(format!("{}.{}", jwt.header, jwt.claims))
}

fn first(text: &str, bytes: usize) -> String {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose;
    use serde_json::json;

    #[test]
    fn a_report_shows_the_feed_and_no_token() {
        let signed = |typ: &str| {
            let input = jose::signing_input(&json!({"typ": typ}), &json!({"seq": 7}));
            Answer { asked: 0, status: 200, headers: Vec::new(), body: jose::hs256(b"key", &input).into_bytes() }
        };
        assert_eq!(readable(&signed(FEED_TYP)).as_deref(), Some(r#"{"typ":"revocations+jwt"}.{"seq":7}"#));
        assert_eq!(readable(&signed("at+jwt")), None);
    }
}
