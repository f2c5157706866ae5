//! The static documents, with this deployment's URL filled in.

use auth_edge::operations::discovery::{docs, openapi};
use base64ct::{Base64, Encoding};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::service::Service;

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
