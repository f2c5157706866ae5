//! The end of a client's tokens, and of a client.

use super::OPERATOR;
use crate::case::*;
use crate::clock;
use crate::endpoint::{self, CLIENTS};
use crate::trial::mint::token_in;
use crate::trial::operators::newcomer;
use serde_json::json;

const END: Case = Case {
    cell: Cell::Service(204),
    level: Level::Service,
    section: "openapi.yaml, deleteClient",
    needs: OPERATOR,
    effect: Effect::Provision,
    control: Some("operators.201.secret"),
    expect: plain(204),
    ..ROW
};

pub const CASES: &[Case] = &[
    Case {
        id: "operators.204.end-tokens",
        requirement: "end-tokens revokes every token issued before it. The client's secret still works, and so do \
                      the tokens issued with it afterwards.",
        section: "openapi.yaml, endClientTokens",
        request: steps!(end_tokens),
        mutants: &[
            mutant("end-tokens-no-op", "answers 204 to end-tokens and revokes nothing"),
            mutant("end-tokens-ends-secrets", "also ends the secrets at end-tokens"),
            mutant("end-tokens-spares-short", "revokes only long-term tokens"),
        ],
        ..END
    },
    Case {
        id: "operators.204.end-tokens-time",
        requirement: "end-tokens sets tokens_valid_from to a full second that has begun by the time the response is \
                      sent.",
        section: "openapi.yaml, endClientTokens",
        control: Some("operators.204.end-tokens"),
        request: steps!(end_tokens_time),
        mutants: &[
            mutant("end-tokens-untold", "does not show the new tokens_valid_from"),
            mutant("end-tokens-an-hour-ahead", "sets tokens_valid_from an hour ahead"),
        ],
        ..END
    },
    Case {
        id: "operators.204.end-tokens-rotated",
        requirement: "end-tokens also revokes tokens that were rotated from an earlier token.",
        section: "openapi.yaml, endClientTokens",
        control: Some("operators.204.end-tokens"),
        request: steps!(end_tokens_rotated),
        mutants: &[mutant("end-tokens-spares-rotated", "uses another auth_time for rotated tokens")],
        ..END
    },
    Case {
        id: "operators.204.delete",
        requirement: "Every call except DELETE on a deleted client is answered with 404 not_found.",
        request: steps!(delete),
        mutants: &[
            mutant("delete-suspends", "suspends a client instead of deleting it"),
            mutant("clients-204-as-200", "answers 200 in place of 204"),
            mutant("end-tokens-unknown-204", "answers 204 to end-tokens of a client that does not exist"),
            mutant("clients-404-as-410", "answers 410 for clients that do not exist"),
        ],
        ..END
    },
    Case {
        id: "operators.204.delete-again",
        requirement: "A repeated DELETE of a client is answered with 204, whatever If-Match says.",
        control: Some("operators.204.delete"),
        request: steps!(delete_again),
        mutants: &[
            mutant("deletion-not-idempotent", "answers 404 to a repeated DELETE"),
            mutant("if-match-on-repeated-delete", "checks If-Match although the client is deleted"),
        ],
        ..END
    },
    Case {
        id: "operators.204.id-decoded",
        requirement: "A percent-encoded client id in a path is decoded.",
        section: "openapi.yaml, getClient; RFC 3986 section 2.4",
        control: Some("operators.204.delete"),
        request: steps!(decoded),
        mutants: &[mutant("client-id-not-decoded", "does not decode the client id in a path")],
        ..END
    },
    Case {
        id: "operators.401.deleted-client",
        cell: Cell::Service(401),
        requirement: "Once the deletion of a client is confirmed, /long rejects the client with 401 invalid_client and \
                      the same body as for an unknown client.",
        section: "openapi.yaml, deleteClient; openapi.yaml, issueLongTermToken",
        control: Some("operators.204.delete"),
        request: steps!(deleted_client),
        expect: INVALID_CLIENT,
        mutants: &[
            mutant("deleted-client-told", "reveals that a client was deleted"),
            mutant("long-lags-deletion", "issues tokens to a deleted client for a while"),
        ],
        ..END
    },
    Case {
        id: "operators.404.never-was",
        cell: Cell::Service(404),
        requirement: "Every call on a client that never existed, including DELETE, is answered with 404 not_found.",
        section: "openapi.yaml, NoSuchClient",
        control: Some("operators.204.delete"),
        request: steps!(never_was),
        expect: NOT_FOUND,
        mutants: &[mutant("delete-unknown-204", "answers 204 to DELETE of a client that never existed")],
        ..END
    },
    Case {
        id: "operators.404.malformed-id",
        cell: Cell::Service(404),
        requirement: "A malformed client id in a path is answered with 404 not_found, like the id of a client that \
                      does not exist.",
        section: "openapi.yaml, NoSuchClient",
        control: Some("operators.200.show"),
        request: steps!(malformed),
        expect: NOT_FOUND,
        mutants: &[mutant("malformed-client-id-400", "answers 400 for a malformed client id")],
        ..END
    },
    Case {
        id: "operators.404.case",
        cell: Cell::Service(404),
        requirement: "The client id in a path is compared case-sensitively: in another case it is answered with 404 \
                      not_found.",
        section: "openapi.yaml, NoSuchClient",
        control: Some("operators.200.show"),
        request: steps!(recased),
        expect: NOT_FOUND,
        mutants: &[mutant("client-path-folded", "ignores the case of the client id in a path")],
        ..END
    },
    Case {
        id: "operators.405.methods",
        cell: Cell::Service(405),
        requirement: "An unsupported method on a path of the operators' calls is answered with 405, and Allow lists \
                      the methods of that path.",
        section: "RFC 9110 section 15.5.6",
        control: Some("operators.200.show"),
        request: steps!(methods),
        expect: plain(405),
        mutants: &[
            mutant("clients-405-as-404", "answers 404 to other methods"),
            mutant("clients-405-without-allow", "sends 405 without Allow"),
        ],
        ..END
    },
    Case {
        id: "operators.204.bodies",
        requirement: "The bodies of end-tokens and of the DELETE of a client are ignored, whatever their content.",
        section: "openapi.yaml, endClientTokens; openapi.yaml, deleteClient",
        request: steps!(bodies),
        mutants: &[
            mutant("end-tokens-reads-body", "reads the body of POST …/end-tokens"),
            mutant("delete-reads-body", "reads the body of DELETE"),
        ],
        ..END
    },
    Case {
        id: "operators.204.end-tokens-suspended",
        cell: Cell::Service(204),
        requirement: "end-tokens does not lift a suspension.",
        section: "openapi.yaml, endClientTokens",
        control: Some("operators.204.end-tokens"),
        request: steps!(end_tokens_suspended),
        expect: ENDED,
        mutants: &[mutant("end-tokens-lifts", "sets a suspended client to active at end-tokens")],
        ..END
    },
];

async fn end_tokens(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({"scopes": ["jobs:submit", "tokens:revoke"]})).await?;
    let (long, short) = t.tokens_of(&client, &["jobs:submit", "tokens:revoke"]).await?;
    t.expect(t.due, &t.call("POST", &client.below("end-tokens"), None).await?)?;
    t.exchange_is(&long, INVALID_TOKEN).await?;
    t.expect(INVALID_TOKEN, &t.send(&endpoint::revoke(&short.token, &long.id)).await?)?;
    let answer = t.log_in(&client, json!({"client_secret": client.secret()?})).await?;
    t.expect(GRANTED, &answer)?;
    let after = token_in(&answer).ok_or_else(|| Stop::fail("a token", t.summary(&answer)))?;
    t.exchanges(&after).await
}

async fn end_tokens_time(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let before = client.time("tokens_valid_from")?;
    t.expect(t.due, &t.call("POST", &client.below("end-tokens"), None).await?)?;
    // One minute for clock skew.
    let latest = t.run.clock.now() + 60;
    let (shown, _) = t.show(&client).await?;
    let from = shown["tokens_valid_from"].as_str().and_then(clock::parse_rfc3339);
    match from.is_some_and(|from| before < from && from <= latest) {
        true => Ok(()),
        false => Err(Stop::fail(
            format!("tokens_valid_from after {} and not in the future", clock::rfc3339(before)),
            format!("tokens_valid_from {}", shown["tokens_valid_from"]),
        )),
    }
}

async fn end_tokens_rotated(t: &Trial<'_>) -> Result<(), Stop> {
    let members = json!({"scopes": ["jobs:submit", "tokens:write"], "mechanisms": ["secret", "rotation"]});
    let client = t.client_with(members).await?;
    let (_, short) = t.tokens_of(&client, &["jobs:submit", "tokens:write"]).await?;
    let body = json!({"grant_type": "client_credentials", "client_id": client.id, "ttl_seconds": 3600});
    let mut request = endpoint::post(endpoint::LONG, Some(&short.token), Some(body));
    request.set("x-client-id", client.id.as_str());
    let answer = t.send(&request).await?;
    t.expect(GRANTED, &answer)?;
    let rotated = token_in(&answer).ok_or_else(|| Stop::fail("a token", t.summary(&answer)))?;
    t.exchanges(&rotated).await?;
    t.expect(t.due, &t.call("POST", &client.below("end-tokens"), None).await?)?;
    t.exchange_is(&rotated, INVALID_TOKEN).await
}

async fn delete(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    t.expect(t.due, &t.call("DELETE", &client.path, None).await?)?;
    for (method, path, body) in calls(&client.path, client.secret_id()?) {
        t.expect(NOT_FOUND, &t.call(method, &path, body).await?)?;
    }
    Ok(())
}

/// Every call on a client except its DELETE.
fn calls(path: &str, secret_id: &str) -> Vec<(&'static str, String, Option<serde_json::Value>)> {
    vec![
        ("GET", path.to_owned(), None),
        ("PATCH", path.to_owned(), Some(json!({"status": "active"}))),
        ("POST", format!("{path}/secrets"), None),
        ("DELETE", format!("{path}/secrets/{secret_id}"), None),
        ("POST", format!("{path}/totp"), None),
        ("POST", format!("{path}/end-tokens"), None),
    ]
}

async fn delete_again(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    t.expect(t.due, &t.call("DELETE", &client.path, None).await?)?;
    t.expect(t.due, &t.call("DELETE", &client.path, None).await?)?;
    t.expect(t.due, &t.call_if("\"AAAAAAAAAAAAAAAAAAAAAA\"", "DELETE", &client.path, None).await?)
}

async fn decoded(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let encoded: String = client.id.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let path = format!("{CLIENTS}/{encoded}");
    let answer = t.call("GET", &path, None).await?;
    t.expect(plain(200), &answer)?;
    t.equal("client_id", &json!(client.id), &answer.json().unwrap_or_default()["client_id"])?;
    t.expect(t.due, &t.call("DELETE", &path, None).await?)?;
    t.expect(NOT_FOUND, &t.call("GET", &client.path, None).await?)
}

async fn deleted_client(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    t.operate("DELETE", &client.path, None, 204).await?;
    let answer = t.log_in(&client, json!({"client_secret": client.secret()?})).await?;
    t.expect(t.due, &answer)?;
    let mut nobody = client.clone();
    nobody.id = newcomer(t)["client_id"].as_str().unwrap_or_default().to_owned();
    let other = t.log_in(&nobody, json!({"client_secret": client.secret()?})).await?;
    t.equal("the body", &other.json().unwrap_or_default(), &answer.json().unwrap_or_default())
}

async fn never_was(t: &Trial<'_>) -> Result<(), Stop> {
    let path = endpoint::client_path(newcomer(t)["client_id"].as_str().unwrap_or_default());
    let mut all = calls(&path, "sec_conformance");
    all.push(("DELETE", path, None));
    for (method, path, body) in all {
        t.expect(t.due, &t.call(method, &path, body).await?)?;
    }
    Ok(())
}

async fn malformed(t: &Trial<'_>) -> Result<(), Stop> {
    for id in ["a%20client", "%F0%9D%84%9E", "100%", "a%2Fb", &"x".repeat(129)] {
        t.expect(t.due, &t.call("GET", &format!("{CLIENTS}/{id}"), None).await?)?;
    }
    Ok(())
}

async fn recased(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.bystander().await?;
    let path = format!("{CLIENTS}/{}", client.id.replacen("conformance", "Conformance", 1));
    t.expect(t.due, &t.call("GET", &path, None).await?)
}

async fn methods(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.bystander().await?;
    let secret = client.below(&format!("secrets/{}", client.secret_id()?));
    let calls: [(&str, String, &[&str]); 6] = [
        ("PUT", CLIENTS.to_owned(), &["GET", "POST"]),
        ("PUT", client.path.clone(), &["GET", "PATCH", "DELETE"]),
        ("GET", client.below("secrets"), &["POST"]),
        ("GET", secret, &["DELETE"]),
        ("GET", client.below("totp"), &["POST"]),
        ("GET", client.below("end-tokens"), &["POST"]),
    ];
    for (method, path, wanted) in calls {
        let answer = t.call(method, &path, None).await?;
        t.expect(t.due, &answer)?;
        let told = answer.list("allow");
        let allow = told.join(", ");
        if !wanted.iter().all(|method| told.contains(method)) {
            return Err(Stop::fail(format!("Allow: {} for {path}", wanted.join(", ")), format!("Allow: {allow}")));
        }
    }
    Ok(())
}

async fn bodies(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let operator = t.shared(Operator, "short").await?;
    for (method, path) in [("POST", client.below("end-tokens")), ("DELETE", client.path.clone())] {
        let mut request = crate::trial::operators::call(&operator.token, method, &path, None);
        request.set("content-type", "text/plain");
        request.body = b"{no JSON".to_vec();
        t.expect(t.due, &t.send(&request).await?)?;
    }
    Ok(())
}

async fn end_tokens_suspended(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    t.operate("PATCH", &client.path, Some(json!({"status": "suspended"})), 200).await?;
    t.expect(t.due, &t.call("POST", &client.below("end-tokens"), None).await?)?;
    let (shown, _) = t.show(&client).await?;
    t.equal("status", &json!("suspended"), &shown["status"])?;
    t.log_in_by_secret(&client, client.secret()?, UNAUTHORIZED).await
}
