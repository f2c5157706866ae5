//! A client's seed for one-time codes.

use super::OPERATOR;
use crate::case::*;
use crate::totp;
use crate::trial::operators::Client;
use serde_json::json;

const SEED: Case = Case {
    cell: Cell::Service(201),
    level: Level::Service,
    section: "openapi.yaml, createClientTotp",
    needs: OPERATOR,
    effect: Effect::Provision,
    phase: Phase::Early,
    control: Some("operators.201.otp"),
    expect: plain(201),
    ..ROW
};

pub const CASES: &[Case] = &[
    Case {
        id: "operators.201.new-seed",
        requirement: "A new seed works at once, and the old one no longer works.",
        request: steps!(new_seed),
        mutants: &[
            mutant("old-seed-works", "keeps using the old seed"),
            mutant("new-seed-without-uri", "leaves otpauth_uri out of the answer to a new seed"),
        ],
        ..SEED
    },
    Case {
        id: "operators.201.first-seed",
        requirement: "A client with the mechanism otp but without a seed has has_totp false, and every code is \
                      rejected. Its first seed works at once.",
        request: steps!(first_seed),
        mutants: &[
            mutant("new-seed-only-where-one-was", "makes the first seed only at creation"),
            // HMAC pads a key with zeros, so an empty key and twenty zeros are the same.
            mutant("codes-of-no-seed", "accepts the codes of an empty seed"),
        ],
        ..SEED
    },
    Case {
        id: "operators.201.steps-stay-spent",
        requirement: "A new seed does not make used time steps available again: its code for a used step is rejected \
                      with 401 invalid_client, and its code for the next step is accepted.",
        section: "openapi.yaml, createClientTotp; RFC 6238 section 5.2",
        control: Some("operators.201.new-seed"),
        request: steps!(steps_stay_spent),
        mutants: &[mutant("new-seed-gives-steps-back", "forgets the used time steps when a new seed is made")],
        ..SEED
    },
    Case {
        id: "operators.201.seed-alone",
        requirement: "A new seed gives a client no new mechanism: without otp, a right code is rejected with 403 \
                      unauthorized_client.",
        control: Some("operators.201.first-seed"),
        request: steps!(seed_alone),
        mutants: &[mutant("seed-allows-otp", "allows the mechanism otp to a client that gets a seed")],
        ..SEED
    },
    Case {
        id: "operators.201.seed-body",
        requirement: "The body of a request for a new seed is ignored, whatever its content.",
        request: steps!(body_ignored),
        mutants: &[mutant("totp-reads-body", "reads the body of POST …/totp")],
        ..SEED
    },
];

/// A new seed, in base32.
async fn seed(t: &Trial<'_>, client: &Client) -> Result<String, Stop> {
    let answer = t.call("POST", &client.below("totp"), None).await?;
    t.expect(t.due, &answer)?;
    let body = answer.json().unwrap_or_default();
    let members: Vec<_> = body.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    match (members == ["otpauth_uri", "totp_secret"], body["totp_secret"].as_str()) {
        (true, Some(seed)) => Ok(seed.to_owned()),
        _ => Err(Stop::fail("totp_secret and otpauth_uri only", format!("the members {members:?}"))),
    }
}

async fn new_seed(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({"mechanisms": ["otp"]})).await?;
    let new = seed(t, &client).await?;
    t.log_in_by_code(&client, client.text("totp_secret")?, t.calm_step().await?, INVALID_CLIENT).await?;
    t.log_in_by_code(&client, &new, t.calm_step().await?, GRANTED).await
}

async fn first_seed(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    t.operate("PATCH", &client.path, Some(json!({"mechanisms": ["otp"]})), 200).await?;
    let (shown, _) = t.show(&client).await?;
    t.equal("has_totp", &json!(false), &shown["has_totp"])?;
    let step = t.calm_step().await?;
    t.log_in_by_code(&client, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", step, INVALID_CLIENT).await?;
    let first = seed(t, &client).await?;
    let (shown, _) = t.show(&client).await?;
    t.equal("has_totp", &json!(true), &shown["has_totp"])?;
    t.log_in_by_code(&client, &first, t.calm_step().await?, GRANTED).await
}

async fn steps_stay_spent(t: &Trial<'_>) -> Result<(), Stop> {
    for _ in 0..5 {
        let client = t.client_with(json!({"mechanisms": ["otp"]})).await?;
        let step = t.calm_step().await?;
        t.log_in_by_code(&client, client.text("totp_secret")?, step, GRANTED).await?;
        let new = seed(t, &client).await?;
        let again = t.log_in_by_code(&client, &new, step, INVALID_CLIENT).await;
        let next = t.log_in_by_code(&client, &new, step + 1, GRANTED).await;
        // Codes prove nothing once their time steps are over.
        if totp::step_at(t.run.clock.now()) == step {
            return again.and(next);
        }
    }
    Err(Stop::Blocked(
        "five time steps passed while a code was tested: the server is too slow for this case".to_owned(),
    ))
}

async fn seed_alone(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let seed = seed(t, &client).await?;
    t.log_in_by_code(&client, &seed, t.calm_step().await?, UNAUTHORIZED).await?;
    let (shown, _) = t.show(&client).await?;
    t.equal("mechanisms", &json!(["secret"]), &shown["mechanisms"])
}

async fn body_ignored(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let operator = t.shared(Operator, "short").await?;
    let mut request = crate::trial::operators::call(&operator.token, "POST", &client.below("totp"), None);
    request.set("content-type", "text/plain");
    request.body = b"{no JSON".to_vec();
    t.expect(t.due, &t.send(&request).await?)
}
