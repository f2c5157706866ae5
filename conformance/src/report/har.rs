//! HTTP Archive 1.2, for the tools of browsers and proxies: every exchange of the run, with the id of its case.

use crate::clock;
use crate::result::{Exchange, Report};
use serde_json::{Value, json};

pub fn render(report: &Report) -> Result<String, String> {
    let start = clock::parse_rfc3339(&report.started_at).unwrap_or_default() * 1000;
    let mut all: Vec<_> =
        report.cases.iter().flat_map(|case| case.exchanges.iter().map(move |exchange| (case, exchange))).collect();
    all.sort_by_key(|(_, exchange)| exchange.at_ms);
    let entries: Vec<_> = all.into_iter().map(|(case, exchange)| entry(start, &case.id, exchange)).collect();
    let log = json!({"log": {
        "version": "1.2",
        "creator": {"name": report.tool.name, "version": report.tool.version},
        "comment": super::words::summary(report),
        "entries": entries,
    }});
    super::json::written(&log)
}

fn entry(start: u64, case: &str, exchange: &Exchange) -> Value {
    let at = start + exchange.at_ms;
    let sent = exchange.request_body.as_deref().unwrap_or_default();
    let mut request = json!({
        "method": exchange.method, "url": exchange.url, "httpVersion": "HTTP/1.1", "cookies": [],
        "headers": headers(&exchange.request_headers), "queryString": query(&exchange.url),
        "headersSize": -1, "bodySize": sent.len(),
    });
    if exchange.request_body.is_some() {
        request["postData"] = json!({"mimeType": kind(&exchange.request_headers), "text": sent});
    }
    let (status, answered, body) = match &exchange.response {
        Some(answer) => (answer.status, answer.headers.as_slice(), answer.body.as_str()),
        None => (0, &[][..], ""),
    };
    let mut response = json!({
        "status": status, "statusText": "", "httpVersion": "HTTP/1.1", "cookies": [], "headers": headers(answered),
        "content": {"size": body.len(), "mimeType": kind(answered), "text": body},
        "redirectURL": "", "headersSize": -1, "bodySize": -1,
    });
    if let Some(error) = &exchange.error {
        response["_error"] = json!(error);
    }
    json!({
        "startedDateTime": format!("{}.{:03}Z", clock::rfc3339(at / 1000).trim_end_matches('Z'), at % 1000),
        "time": exchange.duration_ms, "request": request, "response": response, "cache": {},
        "timings": {"send": 0, "wait": exchange.duration_ms, "receive": 0}, "comment": case,
    })
}

fn headers(all: &[(String, String)]) -> Value {
    all.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

fn query(url: &str) -> Value {
    let pairs = url.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let pairs = pairs.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect()
}

fn kind(headers: &[(String, String)]) -> &str {
    headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type")).map_or("", |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    /// The members that the specification requires of an entry.
    #[test]
    fn each_exchange_is_an_entry_with_the_required_members() {
        let report = sample::report();
        let har: Value = serde_json::from_str(&render(&report).unwrap()).unwrap();
        let entries = har["log"]["entries"].as_array().unwrap();
        assert_eq!(entries.len(), report.cases.iter().map(|case| case.exchanges.len()).sum::<usize>());
        for entry in entries {
            for member in ["startedDateTime", "time", "request", "response", "cache", "timings"] {
                assert!(!entry[member].is_null(), "{member}");
            }
            for member in
                ["method", "url", "httpVersion", "cookies", "headers", "queryString", "headersSize", "bodySize"]
            {
                assert!(!entry["request"][member].is_null(), "request.{member}");
            }
            for member in ["status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL"] {
                assert!(!entry["response"][member].is_null(), "response.{member}");
            }
            let started = entry["startedDateTime"].as_str().unwrap();
            assert!(clock::parse_rfc3339(started).is_some(), "{started}");
        }
    }
}
