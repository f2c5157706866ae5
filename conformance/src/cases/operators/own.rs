//! The client of the secret `OPERATOR`, which no call except `end-tokens` can change.

use super::OPERATOR;
use crate::case::*;
use crate::endpoint::{self, CLIENTS};
use crate::trial::operators::newcomer;
use serde_json::json;

const OWN: Case = Case {
    cell: Cell::Service(409),
    level: Level::Service,
    section: "openapi.yaml, OperatorsOwn",
    needs: OPERATOR,
    effect: Effect::Provision,
    control: Some("operators.200.from-secret"),
    expect: CONFLICT,
    ..ROW
};

pub const CASES: &[Case] = &[
    Case {
        id: "operators.200.from-secret",
        cell: Cell::Service(200),
        requirement: "The client of the secret OPERATOR can be read like any other. Its consistency is immediate.",
        section: "openapi.yaml, getClient",
        control: Some("operators.200.show"),
        request: steps!(shown),
        expect: plain(200),
        mutants: &[mutant("from-secret-hidden", "does not show the client of the secret OPERATOR")],
        ..OWN
    },
    Case {
        id: "operators.409.from-secret",
        requirement: "PATCH, a new secret, the end of a secret or a new seed for the client of the secret OPERATOR \
                      is rejected with 409 conflict.",
        request: steps!(unchangeable),
        mutants: &[
            mutant("from-secret-patchable", "lets the client of the secret OPERATOR be changed"),
            mutant("from-secret-gets-secrets", "adds secrets to the client of the secret OPERATOR"),
            mutant("from-secret-gets-seed", "makes a seed for the client of the secret OPERATOR"),
            mutant("from-secret-ends-secrets", "ends secrets of the client of the secret OPERATOR"),
        ],
        ..OWN
    },
    Case {
        id: "operators.409.from-secret-id",
        requirement: "A new client with the id of the client of the secret OPERATOR is rejected with 409 conflict.",
        section: "openapi.yaml, createClient",
        request: steps!(id_taken),
        mutants: &[mutant("from-secret-id-free", "creates a client with the id of the client of the secret OPERATOR")],
        ..OWN
    },
    // The last row, because a server that fails this case has lost its operator.
    Case {
        id: "operators.409.from-secret-delete",
        requirement: "A DELETE of the client of the secret OPERATOR is rejected with 409 conflict.",
        control: Some("operators.409.from-secret"),
        request: steps!(undeletable),
        mutants: &[mutant("from-secret-deletable", "deletes the client of the secret OPERATOR")],
        ..OWN
    },
];

async fn shown(t: &Trial<'_>) -> Result<(), Stop> {
    let id = t.operator_of_secret()?;
    let answer = t.call("GET", &endpoint::client_path(&id), None).await?;
    t.expect(t.due, &answer)?;
    let body = answer.json().unwrap_or_default();
    t.equal("client_id", &json!(id), &body["client_id"])?;
    t.equal("consistency", &json!("immediate"), &body["consistency"])
}

async fn unchangeable(t: &Trial<'_>) -> Result<(), Stop> {
    let path = endpoint::client_path(&t.operator_of_secret()?);
    let shown = t.operate("GET", &path, None, 200).await?.json().unwrap_or_default();
    let mut calls = vec![
        ("PATCH", path.clone(), Some(json!({"client_name": "conformance"}))),
        ("POST", format!("{path}/secrets"), None),
        ("POST", format!("{path}/totp"), None),
    ];
    if let Some(secret) = shown["secrets"][0]["secret_id"].as_str() {
        // The end is in 90 days, so that a server that wrongly accepts this does not lock its operator out at once.
        calls.push(("DELETE", format!("{path}/secrets/{secret}?in=7776000"), None));
    }
    for (method, path, body) in calls {
        t.expect(t.due, &t.call(method, &path, body).await?)?;
    }
    Ok(())
}

async fn id_taken(t: &Trial<'_>) -> Result<(), Stop> {
    let mut body = newcomer(t);
    body["client_id"] = t.operator_of_secret()?.into();
    // If this succeeds, the client is the operator itself, so the run must not delete it.
    t.expect(t.due, &t.call("POST", CLIENTS, Some(body)).await?)
}

async fn undeletable(t: &Trial<'_>) -> Result<(), Stop> {
    let path = endpoint::client_path(&t.operator_of_secret()?);
    t.expect(t.due, &t.call("DELETE", &path, None).await?)
}
