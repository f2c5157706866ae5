//! A self-contained HTML page, without script, fonts or other resources: the verdict, the matrix, what needs attention, then
//! every case with its exchanges.
//!
//! The page is also well-formed XML, so that tests can check with a parser that no text from the server becomes markup.

use super::delays;
use super::words::{
    cell, count, duration, group_title, holds, operation_path, operations, outcome_name, plural, spelled, statuses,
    summary, total, verdict_name, worst,
};
use crate::groups::{WORST_FIRST, attention, failures};
use crate::result::{Answer, CaseResult, Cell, Cleanup, Consistency, Counts, Exchange, Outcome, Report, Verdict};
use crate::text::{escape, one_line};

const STYLE: &str = include_str!("html.css");
const ICONS: &str = include_str!("html.icons.svg");
/// How many failures are expanded at most: more would hide the rest of the page.
const OPEN_AT_MOST: usize = 20;

pub fn render(report: &Report) -> String {
    [
        head(report),
        banner(report),
        "<main>\n".to_owned(),
        matrix(report),
        next(report),
        needs(report),
        cases(report),
        run(report),
        "</main>\n".to_owned(),
        foot(report),
    ]
    .concat()
}

fn head(report: &Report) -> String {
    format!(
        r##"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="color-scheme" content="light dark"/>
<meta name="referrer" content="no-referrer"/>
<meta name="robots" content="noindex"/>
<title>{verdict}: {target}</title>
<style>
{STYLE}{filters}</style>
</head>
<body>
{ICONS}<a class="skip" href="#matrix">Skip to the matrix</a>
"##,
        verdict = verdict_name(report.verdict),
        target = inline(&report.target.base_url),
        filters = filter_rules(),
    )
}

fn banner(report: &Report) -> String {
    let (class, symbol) = match report.verdict {
        Verdict::Conformant => ("pass", "pass"),
        Verdict::NotConformant => ("fail", "fail"),
        Verdict::Incomplete => ("blocked", "blocked"),
        Verdict::Unreachable => ("blocked", "error"),
        Verdict::InternalError => ("error", "error"),
    };
    let facts: String = [
        ("Target", inline(&report.target.base_url)),
        ("Profile", inline(&report.profile)),
        ("Cases", report.part.as_ref().map_or_else(|| "all".to_owned(), |part| inline(&part.to_string()))),
        ("Started", time(&report.started_at)),
        ("Took", duration(report.duration_ms)),
        ("Exit code", report.exit_code.to_string()),
    ]
    .into_iter()
    .map(|(name, value)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n"))
    .collect();
    format!(
        r##"<header class="banner {class}">
<p class="eyebrow">Conformance report</p>
<h1><span class="seal">{icon}</span>{verdict}</h1>
<p class="lead">{summary}</p>
<dl class="facts">
{facts}</dl>
</header>
"##,
        icon = symbol_of(symbol),
        verdict = verdict_name(report.verdict),
        summary = inline(&summary(report)),
    )
}

/// The `role` attributes repeat what the elements mean: on a phone, the style sheet displays the elements as boxes, which
/// drops their implicit roles.
fn matrix(report: &Report) -> String {
    let statuses = statuses(report);
    let columns = statuses.len().max(1);
    let heads: String =
        statuses.iter().map(|status| format!(r#"<th role="columnheader" scope="col">{status}</th>"#) + "\n").collect();
    let mut rows = String::new();
    for operation in operations(report) {
        let promised: Vec<_> = statuses.iter().map(|&status| cell(report, operation, Some(status))).collect();
        if promised.iter().any(Option::is_some) {
            let tiles = statuses.iter().zip(promised).map(|(&status, cell)| matrix_cell(report, status, cell));
            rows.push_str(&matrix_row(operation, "", &tiles.collect::<String>()));
        }
    }
    // A group without statuses is one row across all columns.
    for cell in report.matrix.iter().filter(|cell| cell.status.is_none()) {
        let tile = tile(report, cell, " wide", "");
        let cells = format!(r#"<td role="cell" colspan="{columns}">{tile}</td>"#) + "\n";
        rows.push_str(&matrix_row(&cell.operation, "outside", &cells));
    }
    format!(
        r##"<section id="matrix">
<h2>Status matrix</h2>
{tally}<table class="matrix" role="table" style="--columns:{columns}">
<caption class="vh">Passed and total cases, for each operation and each status that it promises</caption>
<thead role="rowgroup">
<tr role="row">
<td role="cell"></td>
{heads}</tr>
</thead>
<tbody role="rowgroup">
{rows}</tbody>
</table>
</section>
"##,
        tally = tally(&report.counts),
    )
}

fn matrix_row(operation: &str, class: &str, cells: &str) -> String {
    format!(
        r##"<tr role="row" class="{class}">
<th role="rowheader" scope="row">{title}</th>
{cells}</tr>
"##,
        title = operation_title(operation),
    )
}

fn matrix_cell(report: &Report, status: u16, cell: Option<&Cell>) -> String {
    let inner = match cell {
        Some(cell) => {
            tile(report, cell, "", &format!(r#"<span class="of-status">{status}<span class="vh">: </span></span>"#))
        }
        None => format!(r#"<span class="tile none"><span class="vh">{status} is not promised</span></span>"#),
    };
    format!(r#"<td role="cell">{inner}</td>"#) + "\n"
}

/// The run's counts as a bar, and as text.
fn tally(counts: &Counts) -> String {
    let present: Vec<Outcome> = WORST_FIRST.into_iter().rev().filter(|&outcome| count(counts, outcome) > 0).collect();
    if present.is_empty() {
        return String::new();
    }
    let bar: String = present
        .iter()
        .map(|&outcome| format!("<i class=\"{}\" style=\"flex-grow:{}\"></i>", class(outcome), count(counts, outcome)))
        .collect();
    let words: String = present
        .iter()
        .map(|&outcome| {
            format!(
                "<li class=\"{}\">{} <b>{}</b> {}</li>\n",
                class(outcome),
                icon(outcome),
                count(counts, outcome),
                outcome_name(outcome).to_lowercase()
            )
        })
        .collect();
    format!("<div class=\"bar\" aria-hidden=\"true\">{bar}</div>\n<ul class=\"tally\">\n{words}</ul>\n")
}

fn tile(report: &Report, cell: &Cell, shape: &str, label: &str) -> String {
    let class = class_of(&cell.counts);
    let text = tile_text(&cell.counts);
    if report.cases.iter().any(|case| holds(cell, case)) {
        format!("<a class=\"tile{shape} {class}\" href=\"#{}\">{label}{text}</a>", anchor(cell))
    } else {
        format!("<span class=\"tile{shape} {class}\">{label}{text}</span>")
    }
}

fn tile_text(counts: &Counts) -> String {
    let Some(worst) = worst(counts) else {
        return "<span class=\"of\">–</span><span class=\"word\">not run</span>".to_owned();
    };
    let many = count(counts, worst);
    let word = match worst {
        Outcome::Pass => "pass".to_owned(),
        _ => format!("{many} {}", short_name(worst)),
    };
    format!(
        "{}<span class=\"of\">{}<small>/{}</small></span><span class=\"word\">{word}</span>",
        icon(worst),
        counts.pass,
        total(counts)
    )
}

fn next(report: &Report) -> String {
    if report.advice.is_empty() {
        return String::new();
    }
    let items: String = report.advice.iter().map(|advice| format!("<li>{}</li>\n", inline(advice))).collect();
    format!("<section id=\"next\">\n<h2>What to do next</h2>\n<ul class=\"advice\">\n{items}</ul>\n</section>\n")
}

fn needs(report: &Report) -> String {
    let blocked = attention(&report.cases).into_iter().filter(|case| case.outcome == Outcome::Blocked);
    let groups = failures(&report.cases).into_iter().map(|group| (group.telling, group.others));
    let items: String = groups
        .chain(blocked.map(|case| (case, Vec::new())))
        .map(|(case, others)| {
            format!(
                "<li class=\"{}\"><a href=\"#{}\">{}<span class=\"vh\">{}: </span><code>{}</code></a><p>{}</p>{}</li>\n",
                class(case.outcome),
                case_anchor(case),
                icon(case.outcome),
                outcome_name(case.outcome),
                inline(&case.id),
                inline(&crate::text::clip(&in_short(case), 240)),
                alike(&others),
            )
        })
        .collect();
    if items.is_empty() {
        return String::new();
    }
    format!(
        "<section id=\"attention\">\n<h2>Needs attention</h2>\n<ul class=\"attention\">\n{items}</ul>\n</section>\n"
    )
}

/// The other cases of a group, collapsed.
fn alike(others: &[&CaseResult]) -> String {
    if others.is_empty() {
        return String::new();
    }
    let links: String = others
        .iter()
        .map(|case| format!("<a href=\"#{}\"><code>{}</code></a>\n", case_anchor(case), inline(&case.id)))
        .collect();
    let count = plural(others.len(), "more failure");
    format!("<details><summary>{count} with the same difference</summary>\n{links}</details>")
}

fn in_short(case: &CaseResult) -> String {
    match (&case.wanted, &case.got, &case.reason) {
        (Some(wanted), Some(got), _) => format!("Wanted {wanted}, got {got}"),
        (_, _, Some(reason)) => reason.clone(),
        _ => case.requirement.clone(),
    }
}

fn cases(report: &Report) -> String {
    if report.cases.is_empty() {
        return String::new();
    }
    let failed = attention(&report.cases).into_iter().filter(|case| case.outcome != Outcome::Blocked);
    let open: Vec<&str> = failed.take(OPEN_AT_MOST).map(|case| case.id.as_str()).collect();
    let is_open = |case: &CaseResult| open.contains(&case.id.as_str());

    let mut groups = String::new();
    for cell in &report.matrix {
        let here: Vec<&CaseResult> = report.cases.iter().filter(|case| holds(cell, case)).collect();
        if !here.is_empty() {
            groups.push_str(&group(report, &anchor(cell), &cell_title(cell), &spelled(&cell.counts), &here, is_open));
        }
    }
    // Cases that belong to no cell are shown too.
    let strays: Vec<&CaseResult> =
        report.cases.iter().filter(|case| !report.matrix.iter().any(|cell| holds(cell, case))).collect();
    if !strays.is_empty() {
        groups.push_str(&group(report, "cell-other", "Other cases", &plural(strays.len(), "case"), &strays, is_open));
    }
    format!("<section id=\"cases\">\n<h2>Cases</h2>\n{}{groups}</section>\n", filters(report))
}

/// Radio buttons and `:has()` filter without script.
fn filters(report: &Report) -> String {
    let choices: String = WORST_FIRST
        .into_iter()
        .map(|outcome| (outcome, report.cases.iter().filter(|case| case.outcome == outcome).count()))
        .filter(|&(_, many)| many > 0)
        .map(|(outcome, many)| {
            format!(
                r##"<input type="radio" name="show" id="show-{class}"/>
<label class="{class}" for="show-{class}">{icon} {name} <b>{many}</b></label>
"##,
                class = class(outcome),
                icon = icon(outcome),
                name = outcome_name(outcome),
            )
        })
        .collect();
    format!(
        r##"<fieldset class="filter">
<legend class="vh">Show the cases that ended in</legend>
<input type="radio" name="show" id="show-all" checked="checked"/>
<label for="show-all">All <b>{all}</b></label>
{choices}</fieldset>
"##,
        all = report.cases.len(),
    )
}

fn filter_rules() -> String {
    WORST_FIRST
        .into_iter()
        .map(|outcome| {
            let class = class(outcome);
            let others = format!(":is(.case:not(.{class}), .cell:not(:has(.case.{class})))");
            format!("body:has(#show-{class}:checked) {others} {{ display: none; }}\n")
        })
        .collect()
}

fn group(
    report: &Report,
    anchor: &str,
    title: &str,
    counts: &str,
    cases: &[&CaseResult],
    is_open: impl Fn(&CaseResult) -> bool,
) -> String {
    let rows: String = cases.iter().map(|case| case_row(report, case, is_open(case))).collect();
    format!(
        r##"<section class="cell" id="{anchor}">
<h3>{title} <span class="counts">{counts}</span> <a class="up" href="#matrix">↑ Matrix</a></h3>
<div class="rows">
{rows}</div>
</section>
"##
    )
}

fn case_row(report: &Report, case: &CaseResult, is_open: bool) -> String {
    let class = class(case.outcome);
    let open = if is_open { " open=\"open\"" } else { "" };
    // Browsers open a `<details>` for a link to something inside it, so the anchor is inside.
    format!(
        r##"<details class="case {class}"{open}>
<summary>
{icon}<code class="id">{id}</code><span class="requirement">{requirement}</span>
<span class="outcome">{outcome}</span><span class="ms">{ms}</span>
</summary>
<div class="body" id="{anchor}">
<p class="requirement">{requirement}</p>
{facts}{exchanges}<p class="meta">{operation} · level {level} · effect {effect} ·
<a href="#{anchor}">link to this case</a></p>
</div>
</details>
"##,
        icon = icon(case.outcome),
        outcome = outcome_name(case.outcome),
        id = inline(&case.id),
        requirement = inline(&case.requirement),
        ms = duration(case.duration_ms),
        anchor = case_anchor(case),
        facts = facts(case),
        exchanges = exchanges(report, case),
        operation = inline(&case.operation),
        level = inline(&case.level),
        effect = inline(&case.effect),
    )
}

fn facts(case: &CaseResult) -> String {
    let mut out = String::new();
    for (class, name, value) in
        [("wanted", "Wanted", &case.wanted), ("got", "Got", &case.got), ("why", "Why", &case.reason)]
    {
        if let Some(value) = value {
            out.push_str(&format!("<div class=\"{class}\"><dt>{name}</dt><dd>{}</dd></div>\n", escape(value)));
        }
    }
    if let Some(curl) = &case.curl {
        out.push_str(&format!("<div class=\"curl\"><dt>Reproduce</dt><dd><pre>{}</pre></dd></div>\n", escape(curl)));
    }
    if out.is_empty() { out } else { format!("<dl class=\"verdicts\">\n{out}</dl>\n") }
}

fn exchanges(report: &Report, case: &CaseResult) -> String {
    if case.exchanges.is_empty() {
        return "<p class=\"quiet\">No request was sent.</p>\n".to_owned();
    }
    let last = case.exchanges.len() - 1;
    let rows: String = case
        .exchanges
        .iter()
        .enumerate()
        // The last exchange is the one that was judged.
        .map(|(index, each)| exchange(report, each, index == last))
        .collect();
    format!("<h4>{}</h4>\n<div class=\"exchanges\">\n{rows}</div>\n", plural(case.exchanges.len(), "exchange"))
}

fn exchange(report: &Report, exchange: &Exchange, is_open: bool) -> String {
    let open = if is_open { " open=\"open\"" } else { "" };
    let path = exchange.url.strip_prefix(report.target.base_url.trim_end_matches('/')).unwrap_or(&exchange.url);
    let status = exchange.response.as_ref().map_or_else(|| "no answer".to_owned(), |answer| answer.status.to_string());
    let answer = match (&exchange.response, &exchange.error) {
        (Some(answer), None) => response(answer),
        (Some(answer), Some(error)) => format!("{}<p class=\"broken\">{}</p>\n", response(answer), escape(error)),
        (None, Some(error)) => format!("<p class=\"broken\">{}</p>\n", escape(error)),
        (None, None) => "<p class=\"quiet\">No answer came.</p>\n".to_owned(),
    };
    format!(
        r##"<details class="exchange"{open}>
<summary>
<span class="method">{method}</span> <code>{path}</code>
<span class="status">{arrow}<span class="vh">answered </span>{status}</span><span class="ms">{ms}</span>
</summary>
<div class="sides">
<div class="side">
<h5>Request</h5>
<pre><b>{method} {url}</b>
{headers}</pre>
{body}</div>
<div class="side">
<h5>Response</h5>
{answer}</div>
</div>
</details>
"##,
        method = inline(&exchange.method),
        path = inline(path),
        arrow = symbol_of("arrow"),
        ms = duration(exchange.duration_ms),
        url = inline(&exchange.url),
        headers = headers(&exchange.request_headers),
        body = exchange.request_body.as_deref().map(body).unwrap_or_default(),
    )
}

fn response(answer: &Answer) -> String {
    format!("<pre><b>{}</b>\n{}</pre>\n{}", answer.status, headers(&answer.headers), body(&answer.body))
}

fn headers(headers: &[(String, String)]) -> String {
    headers
        .iter()
        .map(|(name, value)| format!("<span class=\"name\">{}:</span> {}\n", inline(name), escape(value)))
        .collect()
}

fn body(text: &str) -> String {
    if text.is_empty() {
        return "<p class=\"quiet\">Empty body</p>\n".to_owned();
    }
    // HTML drops a line feed right after `<pre>`, so this adds one.
    format!("<pre class=\"payload\">\n{}</pre>\n", escape(text))
}

fn run(report: &Report) -> String {
    format!(
        r##"<section id="run">
<h2>The run</h2>
<div class="cards">
{cleanup}{consistency}</div>
{delays}</section>
"##,
        cleanup = cleanup(&report.cleanup),
        consistency = report.consistency.as_ref().map(consistency).unwrap_or_default(),
        delays = delays::svg(report).unwrap_or_default(),
    )
}

fn cleanup(cleanup: &Cleanup) -> String {
    let (title, class) =
        if cleanup.left.is_empty() { ("Nothing left behind", "pass") } else { ("Left behind", "fail") };
    let left: String = cleanup
        .left
        .iter()
        .map(|(id, why)| format!("<li><code>{}</code> {}</li>\n", inline(id), inline(why)))
        .collect();
    format!(
        r##"<div class="card">
<h3 class="{class}">{icon} {title}</h3>
<p>{minted} minted, {revoked} revoked.</p>
<ul>
{left}</ul>
</div>
"##,
        icon = symbol_of(class),
        minted = plural(cleanup.minted as usize, "token"),
        revoked = cleanup.revoked,
    )
}

fn consistency(consistency: &Consistency) -> String {
    let rows: String = consistency
        .observed_ms
        .iter()
        .map(|(id, ms)| format!("<tr><td><code>{}</code></td><td>{}</td></tr>\n", inline(id), duration(*ms)))
        .collect();
    format!(
        r##"<div class="card">
<h3>Time until a revoked token was refused</h3>
<p>From the 204 to the first refusal that held; the limit is {window}.</p>
<table class="delays">
<thead><tr><th scope="col">Case</th><th scope="col">Delay</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
</div>
"##,
        window = duration(consistency.window_ms),
    )
}

fn foot(report: &Report) -> String {
    format!(
        r##"<footer>
<p>{name} {version} · rendered from the JSON report, format {format}. Secrets are masked; invisible characters
are shown by their numbers, such as ‹U+202E›.</p>
</footer>
</body>
</html>
"##,
        name = inline(&report.tool.name),
        version = inline(&report.tool.version),
        format = report.report_version,
    )
}

fn operation_title(operation: &str) -> String {
    match (operation, operation_path(operation)) {
        (_, Some(path)) => format!("{}<code>{path}</code>", inline(operation)),
        (_, None) => match group_title(operation) {
            Some((title, about)) => format!("{title}<code>{about}</code>"),
            None => inline(operation),
        },
    }
}

fn cell_title(cell: &Cell) -> String {
    match cell.status {
        Some(status) => format!("{} <b>{status}</b>", inline(&cell.operation)),
        None => group_title(&cell.operation).map_or_else(|| inline(&cell.operation), |(title, _)| title.to_owned()),
    }
}

fn anchor(cell: &Cell) -> String {
    let status = cell.status.map(|status| format!("-{status}")).unwrap_or_default();
    format!("cell-{}{status}", identifier(&cell.operation))
}

fn case_anchor(case: &CaseResult) -> String {
    format!("case-{}", identifier(&case.id))
}

/// Keeps characters that mean the same in an `id` and in a link's fragment; the others become their numbers.
fn identifier(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' => out.push(c),
            _ => out.push_str(&format!("_{:x}_", u32::from(c))),
        }
    }
    out
}

fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "fail",
        Outcome::Blocked => "blocked",
        Outcome::NotApplicable => "na",
        Outcome::ExpectedFail => "xfail",
        Outcome::UnexpectedPass => "xpass",
        Outcome::Error => "error",
    }
}

fn class_of(counts: &Counts) -> &'static str {
    worst(counts).map_or("idle", class)
}

/// A short name that fits below a number.
fn short_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "fail",
        Outcome::Blocked => "blocked",
        Outcome::NotApplicable => "n/a",
        Outcome::ExpectedFail => "xfail",
        Outcome::UnexpectedPass => "xpass",
        Outcome::Error => "error",
    }
}

/// Each outcome has its own shape, so that colour is not the only sign.
fn icon(outcome: Outcome) -> String {
    symbol_of(class(outcome))
}

fn symbol_of(name: &str) -> String {
    format!("<svg class=\"icon\" aria-hidden=\"true\"><use href=\"#i-{name}\"/></svg>")
}

fn inline(text: &str) -> String {
    escape(&one_line(text))
}

/// A time for machines (`2026-03-01T12:00:00Z`), shown with a space for people.
fn time(at: &str) -> String {
    let at = inline(at);
    format!("<time datetime=\"{at}\">{}</time>", at.replacen('T', " ", 1).replacen('Z', " UTC", 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use roxmltree::{Document, Node, ParsingOptions};

    use super::*;
    use crate::report::sample;
    use crate::text;

    fn parse(html: &str) -> Document<'_> {
        Document::parse_with_options(html, ParsingOptions { allow_dtd: true, ..ParsingOptions::default() }).unwrap()
    }

    fn class_is(node: Node<'_, '_>, class: &str) -> bool {
        node.attribute("class").is_some_and(|classes| classes.split(' ').any(|each| each == class))
    }

    #[test]
    fn every_link_leads_to_an_anchor_of_the_page() {
        for report in sample::all() {
            let html = render(&report);
            let document = parse(&html);
            let ids: Vec<&str> = document.descendants().filter_map(|node| node.attribute("id")).collect();
            let mut unique = ids.clone();
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(unique.len(), ids.len(), "two elements have the same id");
            for link in document.descendants().filter_map(|node| node.attribute("href")) {
                assert!(link.strip_prefix('#').is_some_and(|id| ids.contains(&id)), "{link}");
            }
            assert_eq!(
                document.descendants().filter(|node| node.has_tag_name("details") && class_is(*node, "case")).count(),
                report.cases.len()
            );
        }
    }

    #[test]
    fn the_page_loads_nothing() {
        let html = render(&sample::report());
        let document = parse(&html);
        for node in document.descendants().filter(Node::is_element) {
            assert!(
                !["script", "link", "img", "iframe", "object", "embed", "base", "form"]
                    .contains(&node.tag_name().name())
            );
            for attribute in node.attributes() {
                assert!(attribute.name() != "src" && !attribute.name().starts_with("on"), "{attribute:?}");
            }
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
        assert!(html.contains("content=\"default-src 'none';"));
    }

    #[test]
    fn the_matrix_shows_twelve_cells_and_the_cases_outside() {
        let html = render(&sample::report());
        let document = parse(&html);
        let tiles: Vec<_> = document.descendants().filter(|node| class_is(*node, "tile")).collect();
        assert_eq!(tiles.iter().filter(|node| node.has_tag_name("a")).count(), 13);
        assert_eq!(tiles.iter().filter(|node| class_is(**node, "none")).count(), 3 * 7 - 12);
    }

    #[test]
    fn a_case_without_a_cell_is_shown() {
        let mut report = sample::report();
        report.cases[0].status = Some(418);
        assert!(render(&report).contains("id=\"cell-other\""));
    }

    #[test]
    fn an_identifier_is_safe_in_a_link() {
        assert_eq!(identifier("long.401.secret-wrong"), "long.401.secret-wrong");
        assert_eq!(identifier("a b_\"ü"), "a_20_b_5f__22__fc_");
    }

    /// Every element with its attributes, which text from the server must not change.
    fn outline(document: &Document<'_>) -> Vec<String> {
        let elements = document.descendants().filter(Node::is_element);
        elements
            .map(|node| {
                let attributes: Vec<_> = node.attributes().map(|each| (each.name(), each.value())).collect();
                format!("{} {attributes:?}", node.tag_name().name())
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn server_text_never_becomes_markup(hostile in sample::hostile()) {
            let html = render(&sample::poisoned(&hostile));
            let document = parse(&html);
            let harmless = render(&sample::poisoned("harmless"));
            prop_assert!(outline(&document) == outline(&parse(&harmless)));
            let shown = format!("{}.", text::visible(&hostile));
            let mut payloads = document.descendants().filter(|node| class_is(*node, "payload")).filter_map(|node| node.text());
            prop_assert!(payloads.any(|text| text.strip_prefix('\n') == Some(&shown)));
        }
    }
}
