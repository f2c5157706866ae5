//! The static documents, with this deployment's URL filled in.

use auth_edge::operations::discovery::{docs, openapi};
use serde_json::Value;

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
