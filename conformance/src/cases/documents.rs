//! GET /openapi.json, /docs and /healthz: the API's description, and readiness.

use crate::case::*;
use crate::endpoint::{self, DOCS, HEALTH, OPENAPI};
use crate::trial::published::{FIVE_MINUTES, JSON, NO_STORE, origin_of};
use serde_json::Value;

const ALL: [&str; 3] = [OPENAPI, DOCS, HEALTH];

pub const CASES: &[Case] = &[
    Case {
        id: "documents.200.openapi",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "/openapi.json is an OpenAPI 3 document with the three operations, served as application/json.",
        section: "openapi.yaml, getOpenApi",
        effect: Effect::Read,
        control: Some("short.201.exchange"),
        request: steps!(openapi),
        expect: plain(200),
        mutants: &[mutant("documents-openapi-lacks-revoke", "leaves revokeToken out of the document")],
        ..ROW
    },
    Case {
        id: "documents.200.openapi-server",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The server URL in /openapi.json is the base path of this deployment.",
        section: "openapi.yaml, getOpenApi",
        effect: Effect::Read,
        control: Some("documents.200.openapi"),
        request: steps!(server),
        expect: plain(200),
        mutants: &[mutant("documents-openapi-elsewhere", "describes the operations under another base path")],
        ..ROW
    },
    Case {
        id: "documents.200.docs",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "/docs is an HTML page, served as text/html.",
        section: "openapi.yaml, getDocs",
        effect: Effect::Read,
        control: Some("short.201.exchange"),
        request: steps!(docs),
        expect: plain(200),
        mutants: &[mutant("documents-page-as-text", "serves its page as text/plain")],
        ..ROW
    },
    Case {
        id: "documents.200.health",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "/healthz returns a JSON object with a status.",
        section: "openapi.yaml, Health",
        effect: Effect::Read,
        control: Some("short.201.exchange"),
        request: steps!(health),
        expect: plain(200),
        mutants: &[mutant("documents-health-in-words", "serves /healthz as plain text")],
        ..ROW
    },
    Case {
        id: "documents.200.health-cache",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "/healthz carries Cache-Control: no-store.",
        section: "openapi.yaml, getHealth",
        effect: Effect::Read,
        control: Some("documents.200.health"),
        request: steps!(health_cache),
        expect: plain(200),
        mutants: &[mutant("documents-health-kept", "lets /healthz be cached")],
        ..ROW
    },
    Case {
        id: "documents.200.cache",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "/openapi.json and /docs may be cached for at most five minutes.",
        section: "openapi.yaml, getOpenApi; openapi.yaml, getDocs",
        effect: Effect::Read,
        control: Some("documents.200.openapi"),
        request: steps!(cache),
        expect: plain(200),
        mutants: &[mutant("documents-kept-a-day", "lets its documents be cached for a day")],
        ..ROW
    },
    Case {
        id: "documents.200.head",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "HEAD on /openapi.json, /docs and /healthz is answered like GET, without a body.",
        section: "openapi.yaml, info; RFC 9110 section 9.3.2",
        effect: Effect::Read,
        control: Some("documents.200.openapi"),
        request: steps!(head),
        expect: plain(200),
        mutants: &[mutant("documents-head-405", "rejects HEAD")],
        ..ROW
    },
    Case {
        id: "documents.405.methods",
        cell: Cell::Service(405),
        level: Level::Service,
        requirement: "A method other than GET and HEAD on /openapi.json, /docs and /healthz is answered with 405, \
                      Allow: GET, HEAD and Cache-Control: no-store.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Read,
        control: Some("documents.200.openapi"),
        request: steps!(methods),
        expect: plain(405),
        mutants: &[mutant("documents-any-method", "accepts any method like GET")],
        ..ROW
    },
];

async fn read(t: &Trial<'_>, path: &str) -> Result<Answer, Stop> {
    let answer = t.send(&endpoint::bare("GET", path, None)).await?;
    t.expect(plain(200), &answer)?;
    Ok(answer)
}

async fn description(t: &Trial<'_>) -> Result<Value, Stop> {
    let answer = read(t, OPENAPI).await?;
    answer.json().filter(Value::is_object).ok_or_else(|| Stop::fail("a JSON object", t.summary(&answer)))
}

async fn openapi(t: &Trial<'_>) -> Result<(), Stop> {
    let all = description(t).await?;
    if all["openapi"].as_str().is_none_or(|version| !version.starts_with("3.")) {
        return Err(Stop::fail("openapi 3", format!("openapi {}", all["openapi"])));
    }
    for due in ["issueLongTermToken", "issueShortTermToken", "revokeToken"] {
        let mut paths = all["paths"].as_object().into_iter().flatten();
        if !paths.any(|(_, path)| path["post"]["operationId"] == due) {
            return Err(Stop::fail(format!("a POST with the operationId {due}"), "none"));
        }
    }
    t.is_served(OPENAPI, JSON).await
}

/// A relative URL is resolved against the document's own.
async fn server(t: &Trial<'_>) -> Result<(), Stop> {
    let url = description(t).await?["servers"][0]["url"].as_str().unwrap_or_default().to_owned();
    let here = t.run.client.url("");
    let due = &here[origin_of(&here).len()..];
    let got = url[origin_of(&url).len()..].trim_end_matches('/');
    if got == due {
        return Ok(());
    }
    Err(Stop::fail(format!("the first of servers with the path \"{due}\""), format!("\"{url}\"")))
}

async fn docs(t: &Trial<'_>) -> Result<(), Stop> {
    let answer = read(t, DOCS).await?;
    if answer.body.is_empty() {
        return Err(Stop::fail("an HTML page", "an empty body"));
    }
    t.is_served(DOCS, "text/html").await
}

async fn health(t: &Trial<'_>) -> Result<(), Stop> {
    let answer = read(t, HEALTH).await?;
    if !answer.json().unwrap_or_default()["status"].is_string() {
        return Err(Stop::fail("a JSON object with a status", t.summary(&answer)));
    }
    t.is_served(HEALTH, JSON).await
}

async fn health_cache(t: &Trial<'_>) -> Result<(), Stop> {
    t.is_kept(HEALTH, &[NO_STORE]).await
}

async fn cache(t: &Trial<'_>) -> Result<(), Stop> {
    for path in [OPENAPI, DOCS] {
        t.is_kept(path, &[FIVE_MINUTES, NO_STORE]).await?;
    }
    Ok(())
}

async fn head(t: &Trial<'_>) -> Result<(), Stop> {
    for path in ALL {
        t.answers_head(path).await?;
    }
    Ok(())
}

async fn methods(t: &Trial<'_>) -> Result<(), Stop> {
    for path in ALL {
        t.is_read_only(path).await?;
    }
    Ok(())
}
