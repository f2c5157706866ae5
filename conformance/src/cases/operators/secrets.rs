//! A client's secrets: adding one, and ending one.

use super::OPERATOR;
use crate::case::*;
use crate::clock;
use crate::trial::operators::Client;
use serde_json::json;

const SECRET: Case = Case {
    cell: Cell::Service(204),
    level: Level::Service,
    section: "openapi.yaml, endClientSecret",
    needs: OPERATOR,
    effect: Effect::Provision,
    control: Some("operators.201.second-secret"),
    expect: plain(204),
    ..ROW
};

const BAD_IN: Case = Case {
    cell: Cell::Service(400),
    needs: &[],
    control: Some("operators.204.secret-in"),
    expect: INVALID_REQUEST,
    also: &[Also::Names("in")],
    ..SECRET
};

pub const CASES: &[Case] = &[
    Case {
        id: "operators.201.second-secret",
        cell: Cell::Service(201),
        requirement: "A second secret works at once, and the first still works. The response has secret_id and \
                      client_secret, and the client shows both ids.",
        section: "openapi.yaml, createClientSecret; openapi.yaml, ClientSecret",
        control: Some("operators.201.secret"),
        request: steps!(second),
        expect: plain(201),
        mutants: &[
            mutant("secret-replaces", "ends the first secret when a second is made"),
            mutant("new-secret-unused", "returns a new secret that does not work"),
            mutant("new-secret-id-other", "returns another secret_id than it stores"),
            mutant("new-secret-extra-member", "adds a member to the response with a new secret"),
        ],
        ..SECRET
    },
    Case {
        id: "operators.201.secret-body",
        cell: Cell::Service(201),
        requirement: "The body of a request for a new secret is ignored, whatever its content.",
        section: "openapi.yaml, createClientSecret",
        request: steps!(body_ignored),
        expect: plain(201),
        mutants: &[mutant("add-secret-reads-body", "reads the body of POST …/secrets")],
        ..SECRET
    },
    Case {
        id: "operators.409.third-secret",
        cell: Cell::Service(409),
        requirement: "A third live secret is rejected with 409 conflict. After one has ended, another can be made.",
        section: "openapi.yaml, createClientSecret",
        request: steps!(third),
        expect: CONFLICT,
        mutants: &[
            mutant("secrets-unlimited", "allows any number of secrets"),
            mutant("ended-secret-counted", "counts ended secrets"),
        ],
        ..SECRET
    },
    Case {
        id: "operators.409.ending-secret",
        cell: Cell::Service(409),
        requirement: "A secret that ends in the future still counts as live: a third secret is rejected with 409 \
                      conflict.",
        section: "openapi.yaml, createClientSecret",
        request: steps!(third_while_ending),
        expect: CONFLICT,
        mutants: &[mutant("ending-secret-not-counted", "counts only secrets without an end")],
        ..SECRET
    },
    Case {
        id: "operators.204.secret-ended",
        requirement: "Once the end of a secret is confirmed, the secret is rejected with 401 invalid_client and no \
                      longer shown. The client's other secret still works.",
        request: steps!(ended),
        mutants: &[
            mutant("ended-secret-works", "accepts a secret that was ended"),
            mutant("end-secret-ends-all", "ends all secrets of a client when one is ended"),
            mutant("ended-secret-shown", "shows ended secrets"),
            mutant("long-lags-secret", "accepts a secret that was ended for a while"),
        ],
        ..SECRET
    },
    Case {
        id: "operators.204.last-secret",
        requirement: "The last secret can be ended, and a new one can be made.",
        request: steps!(last),
        mutants: &[mutant("last-secret-kept", "does not end the last secret")],
        ..SECRET
    },
    Case {
        id: "operators.204.secret-in",
        requirement: "A secret ended with ?in=SECONDS works until that time, and its expires_at is shown.",
        request: steps!(ends_in),
        mutants: &[
            mutant("in-ignored", "ends a secret at once, whatever in says"),
            mutant("secret-end-untold", "does not show when a secret ends"),
        ],
        ..SECRET
    },
    Case {
        id: "operators.204.in-over",
        requirement: "After the time in ?in= has passed, the secret is rejected with 401 invalid_client and no longer \
                      shown.",
        control: Some("operators.204.secret-in"),
        request: steps!(in_over),
        mutants: &[mutant("in-never-ends", "shows when a secret ends but accepts it afterwards")],
        ..SECRET
    },
    Case {
        id: "operators.204.in-earlier",
        requirement: "A later ?in= never postpones the end of a secret; an earlier one brings it forward.",
        control: Some("operators.204.secret-in"),
        request: steps!(in_earlier),
        mutants: &[
            mutant("in-lengthens", "postpones the end of a secret"),
            mutant("in-never-shortens", "does not bring forward the end of a secret"),
        ],
        ..SECRET
    },
    Case {
        id: "operators.204.in-bounds",
        requirement: "?in= may be 0, which means now, or 7776000.",
        control: Some("operators.204.secret-in"),
        request: steps!(in_bounds),
        mutants: &[mutant("in-at-most-30-days", "accepts at most 30 days for in")],
        ..SECRET
    },
    Case {
        id: "operators.400.in-long",
        requirement: "An ?in= above 7776000 is rejected with 400 invalid_request.",
        request: Ask(EndClientSecret, &[Path("/clients/${bystander}/secrets/${bystander_secret}?in=7776001")]),
        mutants: &[mutant("in-clamped", "treats an in above 7776000 as 7776000")],
        ..BAD_IN
    },
    Case {
        id: "operators.400.in-negative",
        requirement: "A negative ?in= is rejected with 400 invalid_request.",
        request: Ask(EndClientSecret, &[Path("/clients/${bystander}/secrets/${bystander_secret}?in=-1")]),
        mutants: &[mutant("in-lenient", "rounds in to a whole number")],
        ..BAD_IN
    },
    Case {
        id: "operators.400.in-text",
        requirement: "An ?in= that is not a number is rejected with 400 invalid_request.",
        request: Ask(EndClientSecret, &[Path("/clients/${bystander}/secrets/${bystander_secret}?in=soon")]),
        mutants: &[mutant("in-text-ignored", "ends a secret at once if in is not a number")],
        ..BAD_IN
    },
    Case {
        id: "operators.400.in-before-404",
        requirement: "The query is checked before the client: an invalid ?in= is rejected with 400 even if the \
                      client does not exist.",
        request: Ask(EndClientSecret, &[Path("/clients/conformance-${unique}/secrets/sec_x?in=soon")]),
        mutants: &[mutant("in-after-404", "looks up the client before it checks in")],
        ..BAD_IN
    },
    Case {
        id: "operators.404.secret-ended",
        cell: Cell::Service(404),
        requirement: "Ending a secret that has already ended is answered with 404 not_found.",
        control: Some("operators.204.secret-ended"),
        request: steps!(ended_again),
        expect: NOT_FOUND,
        mutants: &[mutant("ended-secret-204", "answers 204 for a secret that has already ended")],
        ..SECRET
    },
    Case {
        id: "operators.404.secret-unknown",
        cell: Cell::Service(404),
        requirement: "Ending a secret that does not exist is answered with 404 not_found.",
        needs: &[],
        request: Ask(EndClientSecret, &[Path("/clients/${bystander}/secrets/sec_conformance")]),
        control: Some("operators.204.secret-ended"),
        expect: NOT_FOUND,
        mutants: &[mutant("unknown-secret-204", "answers 204 for a secret that does not exist")],
        ..SECRET
    },
    Case {
        id: "operators.404.secret-of-another",
        cell: Cell::Service(404),
        requirement: "Ending another client's secret is answered with 404 not_found, and that secret still works.",
        control: Some("operators.204.secret-ended"),
        request: steps!(of_another),
        expect: NOT_FOUND,
        mutants: &[mutant("any-clients-secret-id", "ends any client's secret by its id")],
        ..SECRET
    },
    Case {
        id: "operators.204.secret-id-decoded",
        requirement: "A percent-encoded secret id in a path is decoded.",
        section: "openapi.yaml, endClientSecret; RFC 3986 section 2.4",
        control: Some("operators.204.secret-ended"),
        request: steps!(decoded),
        mutants: &[mutant("secret-id-not-decoded", "does not decode the secret id in a path")],
        ..SECRET
    },
    Case {
        id: "operators.409.simultaneous-secrets",
        cell: Cell::Service(409),
        requirement: "Of several simultaneous requests for a second secret, exactly one succeeds. The others are \
                      rejected with 409 conflict.",
        section: "openapi.yaml, createClientSecret",
        request: steps!(simultaneous),
        expect: CONFLICT,
        mutants: &[mutant("secrets-race", "does not count secrets that were made a moment ago")],
        ..SECRET
    },
    Case {
        id: "operators.204.secret-spares-tokens",
        requirement: "The end of a secret does not revoke the tokens that were issued for it.",
        request: steps!(tokens_stay),
        mutants: &[mutant("ended-secret-ends-tokens", "revokes a client's tokens with a secret")],
        ..SECRET
    },
    Case {
        id: "operators.400.in-empty",
        requirement: "An empty ?in= is rejected with 400 invalid_request.",
        request: Ask(EndClientSecret, &[Path("/clients/${bystander}/secrets/${bystander_secret}?in=")]),
        mutants: &[mutant("in-empty-ok", "treats an empty in as absent")],
        ..BAD_IN
    },
    Case {
        id: "operators.400.in-repeated",
        requirement: "An ?in= that is there twice is rejected with 400 invalid_request.",
        request: Ask(
            EndClientSecret,
            &[Path("/clients/${bystander}/secrets/${bystander_secret}?in=7776000&in=7776000")],
        ),
        mutants: &[mutant("in-twice-ok", "takes the first of several values of in")],
        ..BAD_IN
    },
    Case {
        id: "operators.400.in-fraction",
        requirement: "A fraction in ?in= is rejected with 400 invalid_request.",
        request: Ask(EndClientSecret, &[Path("/clients/${bystander}/secrets/${bystander_secret}?in=7776000.0")]),
        mutants: &[mutant("in-fraction-ok", "takes a fraction as a number of seconds")],
        ..BAD_IN
    },
    Case {
        id: "operators.400.in-underscore",
        requirement: "An ?in= with an underscore between its digits is rejected with 400 invalid_request.",
        request: Ask(EndClientSecret, &[Path("/clients/${bystander}/secrets/${bystander_secret}?in=7_776_000")]),
        mutants: &[mutant("in-underscore-ok", "ignores underscores in a number")],
        ..BAD_IN
    },
    Case {
        id: "operators.201.secret-spares-tokens",
        cell: Cell::Service(201),
        requirement: "A new secret ends no token: those issued before it still work.",
        section: "openapi.yaml, createClientSecret",
        control: Some("operators.201.second-secret"),
        request: steps!(tokens_stay_beside),
        expect: plain(201),
        mutants: &[mutant("new-secret-ends-tokens", "ends all tokens when a secret is made")],
        ..SECRET
    },
    Case {
        id: "operators.200.change-keeps-secrets",
        cell: Cell::Service(200),
        requirement: "A change of other members keeps the secrets: their ids stay the same, also if the change lists \
                      the mechanism secret anew.",
        section: "openapi.yaml, updateClient",
        control: Some("operators.201.second-secret"),
        request: steps!(secrets_stay),
        expect: plain(200),
        mutants: &[mutant("patch-renews-secret", "makes another secret when a change lists the mechanism secret")],
        ..SECRET
    },
];

/// A new secret: its id and its value.
pub async fn another(t: &Trial<'_>, client: &Client) -> Result<(String, String), Stop> {
    let answer = t.operate("POST", &client.below("secrets"), None, 201).await?;
    let body = answer.json().unwrap_or_default();
    let text = |name: &str| {
        let text = body[name].as_str().map(str::to_owned);
        text.ok_or_else(|| Stop::Blocked(format!("the new secret has no {name}")))
    };
    Ok((text("secret_id")?, text("client_secret")?))
}

/// Ends a secret, at once or as the query says.
async fn end(t: &Trial<'_>, client: &Client, secret_id: &str, query: &str) -> Result<Answer, Stop> {
    t.call("DELETE", &client.below(&format!("secrets/{secret_id}{query}")), None).await
}

async fn shown_ids(t: &Trial<'_>, client: &Client) -> Result<Vec<String>, Stop> {
    let (shown, _) = t.show(client).await?;
    let secrets = shown["secrets"].as_array().cloned().unwrap_or_default();
    Ok(secrets.iter().filter_map(|secret| Some(secret["secret_id"].as_str()?.to_owned())).collect())
}

/// When the client's first secret ends, as the client shows it.
async fn shown_end(t: &Trial<'_>, client: &Client) -> Result<u64, Stop> {
    let (shown, _) = t.show(client).await?;
    let end = shown["secrets"][0]["expires_at"].as_str().and_then(clock::parse_rfc3339);
    end.ok_or_else(|| Stop::fail("the secret's expires_at in RFC 3339", format!("secrets {}", shown["secrets"])))
}

async fn second(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let answer = t.call("POST", &client.below("secrets"), None).await?;
    t.expect(t.due, &answer)?;
    let body = answer.json().unwrap_or_default();
    let members: Vec<_> = body.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    if members != ["client_secret", "secret_id"] {
        return Err(Stop::fail("secret_id and client_secret only", format!("the members {members:?}")));
    }
    let (id, secret) =
        (body["secret_id"].as_str().unwrap_or_default(), body["client_secret"].as_str().unwrap_or_default());
    t.log_in_by_secret(&client, secret, GRANTED).await?;
    t.log_in_by_secret(&client, client.secret()?, GRANTED).await?;
    let ids = shown_ids(t, &client).await?;
    match ids.len() == 2 && ids.contains(&id.to_owned()) && ids.contains(&client.secret_id()?.to_owned()) {
        true => Ok(()),
        false => Err(Stop::fail(format!("secrets {} and {id}", client.secret_id()?), format!("secrets {ids:?}"))),
    }
}

async fn body_ignored(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let operator = t.shared(Operator, "short").await?;
    let mut request = crate::trial::operators::call(&operator.token, "POST", &client.below("secrets"), None);
    request.set("content-type", "text/plain");
    request.body = b"{no JSON".to_vec();
    t.expect(t.due, &t.send(&request).await?)
}

async fn third(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let (id, _) = another(t, &client).await?;
    t.expect(t.due, &t.call("POST", &client.below("secrets"), None).await?)?;
    t.expect(ENDED, &end(t, &client, &id, "").await?)?;
    t.expect(plain(201), &t.call("POST", &client.below("secrets"), None).await?)
}

async fn third_while_ending(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    another(t, &client).await?;
    t.operate("DELETE", &client.below(&format!("secrets/{}?in=600", client.secret_id()?)), None, 204).await?;
    t.expect(t.due, &t.call("POST", &client.below("secrets"), None).await?)
}

async fn ended(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let (id, secret) = another(t, &client).await?;
    t.expect(t.due, &end(t, &client, client.secret_id()?, "").await?)?;
    t.log_in_by_secret(&client, client.secret()?, INVALID_CLIENT).await?;
    t.log_in_by_secret(&client, &secret, GRANTED).await?;
    let ids = shown_ids(t, &client).await?;
    match ids == [id.clone()] {
        true => Ok(()),
        false => Err(Stop::fail(format!("the secret {id} only"), format!("secrets {ids:?}"))),
    }
}

async fn last(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    t.expect(t.due, &end(t, &client, client.secret_id()?, "").await?)?;
    t.log_in_by_secret(&client, client.secret()?, INVALID_CLIENT).await?;
    let (_, secret) = another(t, &client).await?;
    t.log_in_by_secret(&client, &secret, GRANTED).await
}

async fn ends_in(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let now = t.run.clock.now();
    t.expect(t.due, &end(t, &client, client.secret_id()?, "?in=600").await?)?;
    t.log_in_by_secret(&client, client.secret()?, GRANTED).await?;
    let ends = shown_end(t, &client).await?;
    // One minute for clock skew.
    match ends.abs_diff(now + 600) <= 60 {
        true => Ok(()),
        false => Err(Stop::fail(
            format!("expires_at near {}", clock::rfc3339(now + 600)),
            format!("expires_at {}", clock::rfc3339(ends)),
        )),
    }
}

async fn in_over(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    another(t, &client).await?;
    t.expect(t.due, &end(t, &client, client.secret_id()?, "?in=2").await?)?;
    t.run.wait_until(t.run.clock.now() + 4).await?;
    t.log_in_by_secret(&client, client.secret()?, INVALID_CLIENT).await?;
    let ids = shown_ids(t, &client).await?;
    match ids.iter().any(|id| Some(id.as_str()) == client.secret_id().ok()) {
        true => Err(Stop::fail("no secret that has ended", format!("secrets {ids:?}"))),
        false => Ok(()),
    }
}

async fn in_earlier(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let id = client.secret_id()?;
    t.expect(t.due, &end(t, &client, id, "?in=3600").await?)?;
    let first = shown_end(t, &client).await?;
    t.expect(t.due, &end(t, &client, id, "?in=7200").await?)?;
    let second = shown_end(t, &client).await?;
    if second != first {
        return Err(Stop::fail(
            format!("expires_at {} as it was set", clock::rfc3339(first)),
            format!("expires_at {} after a longer in", clock::rfc3339(second)),
        ));
    }
    t.expect(t.due, &end(t, &client, id, "?in=600").await?)?;
    let third = shown_end(t, &client).await?;
    match third < first {
        true => Ok(()),
        false => Err(Stop::fail(
            format!("expires_at before {} after a shorter in", clock::rfc3339(first)),
            format!("expires_at {}", clock::rfc3339(third)),
        )),
    }
}

async fn in_bounds(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    t.expect(t.due, &end(t, &client, client.secret_id()?, "?in=7776000").await?)?;
    t.log_in_by_secret(&client, client.secret()?, GRANTED).await?;
    t.expect(t.due, &end(t, &client, client.secret_id()?, "?in=0").await?)?;
    t.log_in_by_secret(&client, client.secret()?, INVALID_CLIENT).await
}

async fn ended_again(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    t.expect(ENDED, &end(t, &client, client.secret_id()?, "").await?)?;
    t.expect(t.due, &end(t, &client, client.secret_id()?, "").await?)
}

async fn of_another(t: &Trial<'_>) -> Result<(), Stop> {
    let (one, other) = (t.client_with(json!({})).await?, t.client_with(json!({})).await?);
    t.expect(t.due, &end(t, &one, other.secret_id()?, "").await?)?;
    t.log_in_by_secret(&other, other.secret()?, GRANTED).await
}

async fn decoded(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let encoded: String = client.secret_id()?.bytes().map(|byte| format!("%{byte:02X}")).collect();
    t.expect(t.due, &end(t, &client, &encoded, "").await?)
}

async fn simultaneous(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let operator = t.shared(Operator, "short").await?;
    let request = crate::trial::operators::call(&operator.token, "POST", &client.below("secrets"), None);
    let mut created = 0;
    for answer in t.send_at_once(&request, 4).await? {
        match answer.status {
            201 => created += 1,
            _ => t.expect(t.due, &answer)?,
        }
    }
    match created {
        1 => Ok(()),
        _ => Err(Stop::fail(
            "exactly one 201 for simultaneous requests for a second secret",
            format!("{created} of 4 requests were answered with 201"),
        )),
    }
}

async fn tokens_stay(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let (long, _) = t.tokens_of(&client, &["jobs:submit"]).await?;
    t.expect(t.due, &end(t, &client, client.secret_id()?, "").await?)?;
    t.exchanges(&long).await
}

async fn tokens_stay_beside(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let (long, _) = t.tokens_of(&client, &["jobs:submit"]).await?;
    t.expect(t.due, &t.call("POST", &client.below("secrets"), None).await?)?;
    t.exchanges(&long).await
}

async fn secrets_stay(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({"mechanisms": ["secret", "rotation"]})).await?;
    let before = shown_ids(t, &client).await?;
    for patch in
        [json!({"mechanisms": ["secret"]}), json!({"mechanisms": ["rotation", "secret"], "client_name": "new"})]
    {
        t.expect(t.due, &t.call("PATCH", &client.path, Some(patch)).await?)?;
    }
    let after = shown_ids(t, &client).await?;
    match before == after {
        true => Ok(()),
        false => Err(Stop::fail(format!("the secrets {before:?}, as before"), format!("the secrets {after:?}"))),
    }
}
