//! GET /.well-known/oauth-authorization-server: the service's metadata (RFC 8414).

use crate::case::*;
use crate::endpoint::{self, INTROSPECT, KEYS};
use crate::trial::published::{FIVE_MINUTES, JSON, NO_STORE, origin_of};
use serde_json::{Value, json};

pub const CASES: &[Case] = &[
    Case {
        id: "metadata.200.served",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The metadata is served as application/json at the origin, under \
                      /.well-known/oauth-authorization-server followed by the issuer's path.",
        section: "openapi.yaml, getMetadata; RFC 8414 section 3",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(served),
        expect: plain(200),
        mutants: &[mutant("metadata-missing", "serves no metadata")],
        ..ROW
    },
    Case {
        id: "metadata.200.issuer",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "issuer in the metadata equals the iss of the service's tokens.",
        section: "openapi.yaml, Metadata; RFC 8414 section 2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("metadata.200.served"),
        request: steps!(issuer),
        expect: plain(200),
        mutants: &[mutant("metadata-other-issuer", "names another issuer than its tokens do")],
        ..ROW
    },
    Case {
        id: "metadata.200.jwks-uri",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "jwks_uri is the URL of the key set, at the origin.",
        section: "openapi.yaml, Metadata; RFC 8414 section 2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("metadata.200.served"),
        request: steps!(jwks_uri),
        expect: plain(200),
        mutants: &[mutant("metadata-keys-below-base", "puts jwks_uri under its base path")],
        ..ROW
    },
    Case {
        id: "metadata.200.introspection-endpoint",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "introspection_endpoint is the URL of the introspection endpoint, under the base path.",
        section: "openapi.yaml, Metadata; RFC 8414 section 2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("metadata.200.served"),
        request: steps!(introspection_endpoint),
        expect: plain(200),
        mutants: &[mutant("metadata-introspection-elsewhere", "puts introspection_endpoint at its origin")],
        ..ROW
    },
    Case {
        id: "metadata.200.introspection-auth",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "introspection_endpoint_auth_methods_supported contains Bearer, if it is present.",
        section: "openapi.yaml, Metadata; RFC 8414 section 2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("metadata.200.served"),
        request: steps!(introspection_auth),
        expect: plain(200),
        mutants: &[mutant("metadata-basic-auth", "names Basic as the authentication method of introspection")],
        ..ROW
    },
    Case {
        id: "metadata.200.response-types",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "response_types_supported is present and is an array.",
        section: "openapi.yaml, Metadata; RFC 8414 section 2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("metadata.200.served"),
        request: steps!(lists, "response_types_supported", &[]),
        expect: plain(200),
        mutants: &[mutant("metadata-lacks-response-types", "leaves out response_types_supported")],
        ..ROW
    },
    Case {
        id: "metadata.200.grant-types",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "grant_types_supported is present and is an array: its absence would mean authorization_code and \
                      implicit.",
        section: "openapi.yaml, Metadata; RFC 8414 section 2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("metadata.200.served"),
        request: steps!(lists, "grant_types_supported", &[]),
        expect: plain(200),
        mutants: &[mutant("metadata-lacks-grant-types", "leaves out grant_types_supported")],
        ..ROW
    },
    Case {
        id: "metadata.200.scopes",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "scopes_supported, if present, is an array that contains tokens:write, tokens:revoke and \
                      tokens:introspect.",
        section: "openapi.yaml, Metadata; RFC 8414 section 2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("metadata.200.served"),
        request: steps!(scopes),
        expect: plain(200),
        mutants: &[mutant("metadata-scopes-text", "returns scopes_supported as a string")],
        ..ROW
    },
    Case {
        id: "metadata.200.documentation",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "service_documentation is an absolute URL, if it is present.",
        section: "openapi.yaml, Metadata; RFC 8414 section 2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("metadata.200.served"),
        request: steps!(documentation),
        expect: plain(200),
        mutants: &[mutant("metadata-relative-documentation", "gives service_documentation as a path only")],
        ..ROW
    },
    Case {
        id: "metadata.200.cache",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The metadata may be cached for at most five minutes.",
        section: "openapi.yaml, getMetadata",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("metadata.200.served"),
        request: steps!(cache),
        expect: plain(200),
        mutants: &[mutant("metadata-kept-a-day", "lets the metadata be cached for a day")],
        ..ROW
    },
    Case {
        id: "metadata.200.head",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "HEAD on the metadata is answered like GET, without a body.",
        section: "openapi.yaml, getMetadata; RFC 9110 section 9.3.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("metadata.200.served"),
        request: steps!(head),
        expect: plain(200),
        mutants: &[mutant("metadata-head-405", "rejects HEAD")],
        ..ROW
    },
    Case {
        id: "metadata.405.methods",
        cell: Cell::Service(405),
        level: Level::Service,
        requirement: "A method other than GET and HEAD on the metadata is answered with 405, Allow: GET, HEAD and \
                      Cache-Control: no-store.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("metadata.200.served"),
        request: steps!(methods),
        expect: plain(405),
        mutants: &[mutant("metadata-any-method", "accepts any method like GET")],
        ..ROW
    },
    Case {
        id: "metadata.404.other-issuer",
        cell: Cell::Service(404),
        level: Level::Service,
        requirement: "The metadata path for another issuer path is answered with 404 not_found.",
        section: "openapi.yaml, getMetadata; RFC 8414 section 3.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("metadata.200.served"),
        request: steps!(other_issuer),
        expect: NOT_FOUND,
        mutants: &[mutant("metadata-of-any-issuer", "serves its metadata for any issuer path")],
        ..ROW
    },
];

async fn told(t: &Trial<'_>) -> Result<Value, Stop> {
    let answer = t.metadata().await?;
    t.expect(plain(200), &answer)?;
    answer.json().filter(Value::is_object).ok_or_else(|| Stop::fail("a JSON object", t.summary(&answer)))
}

async fn is(t: &Trial<'_>, name: &str, due: Value) -> Result<(), Stop> {
    let got = &told(t).await?[name];
    if *got == due {
        return Ok(());
    }
    Err(Stop::fail(format!("{name} {due}"), format!("{name} {got}")))
}

/// An array that contains these, and possibly more.
async fn lists(t: &Trial<'_>, name: &'static str, due: &[&str]) -> Result<(), Stop> {
    contains(name, &told(t).await?[name], due)
}

fn contains(name: &str, got: &Value, due: &[&str]) -> Result<(), Stop> {
    let Some(all) = got.as_array() else {
        return Err(Stop::fail(format!("the array {name}"), format!("{name} {got}")));
    };
    match due.iter().find(|one| !all.contains(&json!(one))) {
        None => Ok(()),
        Some(one) => Err(Stop::fail(format!("\"{one}\" in {name}"), format!("{name} {got}"))),
    }
}

async fn served(t: &Trial<'_>) -> Result<(), Stop> {
    told(t).await?;
    t.is_served(&t.metadata_path().await?, JSON).await
}

async fn issuer(t: &Trial<'_>) -> Result<(), Stop> {
    is(t, "issuer", t.issuer().await?.into()).await
}

async fn jwks_uri(t: &Trial<'_>) -> Result<(), Stop> {
    at_either_origin(t, "jwks_uri", KEYS).await
}

async fn introspection_endpoint(t: &Trial<'_>) -> Result<(), Stop> {
    let here = t.run.client.url(INTROSPECT);
    let path = &here[origin_of(&here).len()..];
    at_either_origin(t, "introspection_endpoint", path).await
}

/// A URL at the issuer's origin, or at that of this run.
async fn at_either_origin(t: &Trial<'_>, name: &str, path: &str) -> Result<(), Stop> {
    let here = format!("{}{path}", origin_of(&t.run.client.url("")));
    match told(t).await?[name] == here.as_str() {
        true => Ok(()),
        false => is(t, name, format!("{}{path}", origin_of(&t.issuer().await?)).into()).await,
    }
}

/// A member that neither RFC 8414 nor the contract requires.
async fn optional(t: &Trial<'_>, name: &str) -> Result<Value, Stop> {
    let told = told(t).await?;
    told.get(name).cloned().ok_or_else(|| Stop::Absent(format!("the metadata has no {name}, which is optional")))
}

async fn introspection_auth(t: &Trial<'_>) -> Result<(), Stop> {
    let name = "introspection_endpoint_auth_methods_supported";
    contains(name, &optional(t, name).await?, &["Bearer"])
}

async fn scopes(t: &Trial<'_>) -> Result<(), Stop> {
    let got = optional(t, "scopes_supported").await?;
    contains("scopes_supported", &got, &["tokens:write", "tokens:revoke", "tokens:introspect"])
}

async fn documentation(t: &Trial<'_>) -> Result<(), Stop> {
    let url = optional(t, "service_documentation").await?;
    if url.as_str().is_some_and(|url| !origin_of(url).is_empty()) {
        return Ok(());
    }
    Err(Stop::fail("service_documentation as an absolute URL", url.to_string()))
}

async fn cache(t: &Trial<'_>) -> Result<(), Stop> {
    t.is_kept(&t.metadata_path().await?, &[FIVE_MINUTES, NO_STORE]).await
}

async fn head(t: &Trial<'_>) -> Result<(), Stop> {
    t.answers_head(&t.metadata_path().await?).await
}

async fn methods(t: &Trial<'_>) -> Result<(), Stop> {
    t.is_read_only(&t.metadata_path().await?).await
}

async fn other_issuer(t: &Trial<'_>) -> Result<(), Stop> {
    let path = format!("{}/conformance-{}", t.metadata_path().await?, t.unique());
    let answer = t.send(&endpoint::bare("GET", &path, None)).await?;
    t.expect(t.due, &answer)
}
