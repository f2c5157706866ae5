//! The static documents, with this deployment's URL filled in.

use std::collections::BTreeSet;

use auth_edge::client::Mechanism;
use auth_edge::host::Limit;
use auth_edge::operations::discovery::{docs, openapi};
use auth_edge::settings::Settings;
use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::host::Part;
use crate::operators::Desk;
use crate::service::{ALICE, Answer, ROOT, Request, Service, by_secret, clients, exchange, post, revocation, rotation};

#[test]
fn the_page_shows_this_deployment_and_may_load_nothing() {
    let service = Service::with(&[("BASE_PATH", "/v2".to_owned()), ("ISSUER", "https://auth.example.org".to_owned())]);
    let response = docs(&service.settings, &service.world);
    let page = response.body.unwrap();
    assert!(page.contains("curl https://auth.example.org/v2/auth/tokens/long"));
    assert!(!page.contains("auth.example.com") && !page.contains("/v1"));
    let policy = &response.headers.iter().find(|(name, _)| *name == "Content-Security-Policy").unwrap().1;
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && policy.ends_with("frame-ancestors 'none'"));
}

/// The served page's policy and HTML.
fn page() -> (String, String) {
    let service = Service::with(&[]);
    let response = docs(&service.settings, &service.world);
    let policy = response.headers.into_iter().find(|(name, _)| *name == "Content-Security-Policy").unwrap().1;
    (policy, response.body.unwrap().into_owned())
}

/// The content of the only element with that name.
fn inline<'a>(page: &'a str, element: &str) -> &'a str {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    assert_eq!(page.matches(&format!("<{element}")).count(), 1, "{element}");
    page.split_once(&open).unwrap().1.split_once(&close).unwrap().0
}

#[test]
fn the_policy_allows_the_pages_own_style_and_script_and_calls_to_this_origin_alone() {
    let (policy, page) = page();
    let hash = |text: &str| format!("'sha256-{}'", Base64::encode_string(&Sha256::digest(text)));
    let expected = format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        hash(inline(&page, "style")),
        hash(inline(&page, "script")),
    );
    assert_eq!(policy, format!("{expected}; frame-ancestors 'none'"));
    assert!(page.contains(&format!("http-equiv=Content-Security-Policy content=\"{expected}\">")));
    for other in [
        " style=",
        " onclick=",
        " onload=",
        " onerror=",
        "javascript:",
        " src=",
        "<link",
        "<base",
        "<iframe",
        "<object",
    ] {
        assert!(!page.contains(other), "{other}");
    }
}

#[test]
fn the_pages_script_stores_nothing_and_calls_its_own_origin_alone() {
    let (_, page) = page();
    let script = inline(&page, "script");
    let stores =
        ["Storage", "indexedDB", "cookie", "caches", "pushState", "replaceState", "window.name", "serviceWorker"];
    let sends =
        ["XMLHttpRequest", "WebSocket", "EventSource", "sendBeacon", "postMessage", "BroadcastChannel", "WebTransport"];
    let interprets =
        ["innerHTML", "outerHTML", "insertAdjacentHTML", "setHTML", "document.write", "eval(", "Function("];
    for api in stores.iter().chain(&sends).chain(&interprets) {
        assert!(!script.contains(api), "{api}");
    }
    // The caller's options are spread first, so they can't replace these.
    let calls: Vec<_> = script.match_indices("fetch").map(|(at, _)| script.get(at..).unwrap()).collect();
    let [call] = calls[..] else { panic!("{} calls", calls.len()) };
    let (_, options) = call.split_once("{...").unwrap();
    let (_, options) = options.split_once(',').unwrap();
    let own = "mode:\"same-origin\",credentials:\"omit\",cache:\"no-store\",redirect:\"error\",referrerPolicy:\"no-referrer\",";
    assert!(options.starts_with(own), "{options}");
}

#[test]
fn the_description_has_this_base_path() {
    let with = |base: &str| -> Value {
        let service = Service::with(&[("BASE_PATH", base.to_owned())]);
        serde_json::from_str(&openapi(&service.settings, &service.world).body.unwrap()).unwrap()
    };
    assert_eq!(with("/v2")["servers"][0]["url"], "/v2");
    assert_eq!(with("")["servers"][0]["url"], "/");
    assert_eq!(with("/v2")["paths"]["/healthz"]["servers"][0]["url"], "/");
}

/// The errors in the description's examples: operation, status and body.
fn examples_of_errors(document: &Value) -> BTreeSet<(&str, &str, String)> {
    let mut examples = BTreeSet::new();
    for operation in document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values())
    {
        let Some(id) = operation["operationId"].as_str() else { continue };
        for (status, response) in operation["responses"].as_object().unwrap() {
            let reference = response["$ref"].as_str().map(|reference| reference.trim_start_matches('#'));
            let response = reference.map_or(response, |reference| document.pointer(reference).unwrap());
            let named = response["content"]["application/json"]["examples"].as_object();
            let bodies = named.into_iter().flat_map(|named| named.values()).map(|example| &example["value"]);
            let errors = bodies.filter(|body| body["code"].is_string());
            examples.extend(errors.map(|body| (id, status.as_str(), body.to_string())));
        }
    }
    examples
}

/// Each example is, word for word, an answer of the service to a request of that operation. An answer that precedes any
/// operation (`none`) may be an example of each.
#[test]
fn examples_of_errors_are_answers_of_the_service() {
    let service = Service::new();
    let document: Value = serde_json::from_str(&openapi(&service.settings, &service.world).body.unwrap()).unwrap();
    let examples = examples_of_errors(&document);
    let mut left: BTreeSet<_> = examples.iter().map(|(_, _, body)| body.as_str()).collect();
    let mut found = |operation: &str, status: u16, body: String| {
        let status = status.to_string();
        let is_example = examples
            .iter()
            .any(|(id, of, text)| (*id == operation || operation == "none") && *of == status && *text == body);
        assert!(is_example, "openapi.yaml has no such example: {operation} {status} {body}");
        left.remove(body.as_str());
    };
    for answer in answers_of_errors() {
        found(answer.audit.event, answer.status, answer.body.to_string());
    }
    let misconfigured = Settings::read(|_| Ok(None)).unwrap_err().respond();
    let body: Value = serde_json::from_str(&misconfigured.body.unwrap()).unwrap();
    found("none", misconfigured.status, body.to_string());
    assert!(left.is_empty(), "openapi.yaml has examples that no request here gets: {left:#?}");
}

fn answers_of_errors() -> Vec<Answer> {
    let service = Service::new();
    let expired = service.send(&by_secret().set("ttl_seconds", 3600)).token();
    let expired_short = service.short_token(&expired);
    service.pass(3600);
    let desk = Desk::at(service);
    let service = &desk.service;
    let (long, roots) = (service.long_token("jobs:submit"), &desk.root);
    let short = service.short_token(&long);
    let another = desk.another("c2m_desk", &["clients:write"]);
    service.change(ALICE, |client| client.mechanisms.retain(|mechanism| *mechanism != Mechanism::Otp));
    let introspection = post("/v1/auth/tokens/introspect").form("");
    let of_operators = json!({"scopes": ["clients:read"], "mechanisms": ["secret"]});
    let requests = [
        // /long
        by_secret().unset("grant_type"),
        by_secret().set("ttl_seconds", 1),
        by_secret().scopes("jobs"),
        by_secret().set("client_secret", "wrong"),
        by_secret().anonymous().bearer("a.b.c"),
        rotation(&expired_short),
        by_secret().scopes("billing:read"),
        service.code(),
        // /short
        exchange(&long).set("long_token", "another"),
        exchange(&long).scopes("billing:read"),
        exchange(&expired),
        // /revoke
        post("/v1/auth/tokens/tok_lt_x/revoke"),
        revocation(&long, &expired.id),
        revocation(&long, "tok_lt_x"),
        // /introspect
        introspection.clone().bearer(&roots.token),
        introspection.clone().bearer(&expired.token),
        introspection.bearer(&long.token),
        // Operators
        desk.request("POST", "").json(&json!({"scopes": ["jobs:*"], "mechanisms": ["assertion"]})),
        desk.request("POST", "").json(&json!({"scopes": ["jobs"], "mechanisms": ["secret"]})),
        desk.request("POST", "").json(&json!({"client_id": ALICE, "scopes": ["jobs:*"], "mechanisms": ["secret"]})),
        clients("POST", "").bearer(&another.token).json(&of_operators),
        clients("POST", "").bearer(&long.token).json(&of_operators),
        clients("POST", "").bearer(&short.token).json(&of_operators),
        desk.request("GET", "?limit=0"),
        clients("GET", "").bearer(&long.token),
        clients("GET", "").bearer(&short.token),
        desk.request("GET", "/nobody"),
        desk.request("PATCH", "/c2m_bob").json(&json!({"status": "ended"})),
        desk.request("PATCH", "/c2m_bob").json(&json!({"scopes": ["jobs"]})),
        desk.request("PATCH", "/c2m_bob").json(&json!({})).if_match("\"x\""),
        desk.request("PATCH", &format!("/{ROOT}")).json(&json!({})),
        desk.request("DELETE", "/nobody"),
        desk.request("POST", &format!("/{ALICE}/secrets")),
        desk.request("DELETE", "/c2m_bob/secrets/only?in=x"),
        desk.request("DELETE", "/c2m_bob/secrets/none"),
        // Other paths and methods
        Request { method: "GET", ..post("/v1") },
        post("/.well-known/jwks.json"),
    ];
    let mut answers: Vec<_> = requests.iter().map(|request| service.send(request)).collect();
    service.world.reached.set(Some(Limit::Long));
    answers.push(service.send(&by_secret()));
    service.world.fail_part(Part::Limit);
    answers.push(service.send(&by_secret()));
    answers
}
