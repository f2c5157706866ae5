//! Shows a case as HTTP: its requests and the answers that are due, recorded from a run against the reference server.

use crate::case::{Case, FeedMode};
use crate::choice::Choice;
use crate::identities::Role;
use crate::result::{Answer, Exchange};
use crate::selftest;
use crate::terminal::{Paint, printable};

/// How many characters of a body are shown, and how many calls of a case.
const BODY: usize = 1000;
const CALLS: usize = 8;

pub async fn explain(case: &'static Case, choice: Choice, paint: Paint) -> Result<String, String> {
    let mut out = format!("{}\n{}\n\n", paint.strong(case.id), case.requirement);
    out += &format!("section  {}\n", case.section);
    out += &format!("cell     {}\nlevel    {}\neffect   {}\n", case.cell, case.level.name(), case.effect.name());
    if let Some(control) = case.control {
        out += &format!("control  {control} (if it does not pass in the same run, this case is blocked)\n");
    }
    let needs: Vec<_> = case.all_needs().iter().map(|(r, c)| format!("{}.{}", r.name(), c.name())).collect();
    if !needs.is_empty() {
        out += &format!("needs    {}\n", needs.join(", "));
    }
    if case.is_standing() {
        return Ok(out + "\nJudged on every answer of a run, whichever case sent the request.\n");
    }
    let feed =
        if case.mutants.iter().any(|m| m.feed == FeedMode::Private) { FeedMode::Private } else { FeedMode::Public };
    let finished = selftest::against_reference(feed, choice).await?;
    let report = &finished.report;
    let result = report.cases.iter().find(|result| result.id == case.id);
    let calls = result.map_or(&[][..], |result| &result.exchanges);
    if calls.is_empty() {
        return Ok(out + "\nThis case sends no request: it judges the answers to the cases before it.\n");
    }
    let shown = calls.len().min(CALLS);
    for (nth, call) in calls.iter().enumerate().take(shown) {
        let judged = nth + 1 == calls.len();
        let heading = match calls.len() {
            1 => "Sent".to_owned(),
            n => format!("Sent, {} of {n}", nth + 1),
        };
        out += &format!("\n{}\n{}", paint.strong(&heading), request(call, &report.target.base_url));
        let due =
            if judged && !case.expect.codes.is_empty() { format!("Due: {}", case.expect) } else { "Due".to_owned() };
        out += &format!("\n{}\n{}", paint.strong(&due), call.response.as_ref().map(answer).unwrap_or_default());
    }
    if calls.len() > shown {
        out += &format!("\nMore calls, not shown: {}\n", calls.len() - shown);
    }
    for (role, id) in selftest::ids() {
        out = out.replace(&id, &format!("${}_CLIENT_ID", Role::name(role).to_uppercase()));
    }
    Ok(out.replace(&report.target.base_url, "$BASE_URL"))
}

fn request(call: &Exchange, base: &str) -> String {
    let at = base.find("://").map_or(0, |at| at + 3);
    let host = base[at..].split('/').next().unwrap_or_default();
    let path = call.url.split_once(host).map_or(call.url.as_str(), |(_, path)| path);
    let mut out = format!("  {} {} HTTP/1.1\n", call.method, printable(path));
    out += &headers(&call.request_headers);
    out + &body(call.request_body.as_deref().unwrap_or_default())
}

fn answer(answer: &Answer) -> String {
    format!("  HTTP/1.1 {}\n{}{}", answer.status, headers(&answer.headers), body(&answer.body))
}

fn headers(all: &[(String, String)]) -> String {
    let told = all.iter().filter(|(name, _)| !["content-length", "accept"].contains(&name.as_str()));
    told.map(|(name, value)| format!("  {}: {}\n", printable(name), printable(value))).collect()
}

fn body(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let cut = printable(&text.chars().take(BODY).collect::<String>());
    let more = if text.chars().count() > BODY { " …" } else { "" };
    format!("\n  {cut}{more}\n")
}
