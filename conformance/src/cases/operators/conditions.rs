//! If-Match, ETag, and which refusal comes first.

use super::OPERATOR;
use crate::case::*;
use serde_json::{Value, json};

const CONDITION: Case = Case {
    cell: Cell::Service(200),
    level: Level::Service,
    section: "openapi.yaml, IfMatch; RFC 9110 section 13.1.1",
    needs: OPERATOR,
    effect: Effect::Provision,
    control: Some("operators.200.change"),
    expect: plain(200),
    ..ROW
};

pub const CASES: &[Case] = &[
    Case {
        id: "operators.200.etag-stable",
        requirement: "The ETag of a client that nobody changed is the same: of the 201, of each GET, and of the PATCH before it.",
        section: "openapi.yaml, ETag; RFC 9110 section 8.8.3",
        request: steps!(stable),
        mutants: &[mutant("etag-random", "has another ETag each time")],
        ..CONDITION
    },
    Case {
        id: "operators.200.etag-changes",
        requirement: "A change of a member, a new secret, the end of one, a new seed and end-tokens change the ETag.",
        section: "openapi.yaml, ETag; RFC 9110 section 8.8.1",
        request: steps!(changes),
        mutants: &[
            mutant("etag-constant", "has one ETag for a client, whatever becomes of it"),
            mutant("etag-blind-to-secrets", "keeps the ETag when secrets change"),
            mutant("etag-blind-to-seed", "keeps the ETag when the seed changes"),
            mutant("etag-blind-to-end-tokens", "keeps the ETag over end-tokens"),
        ],
        ..CONDITION
    },
    Case {
        id: "operators.200.if-match",
        requirement: "If-Match with the ETag passes, alone, in a list, and as *.",
        request: steps!(matches),
        mutants: &[
            mutant("if-match-star-refused", "does not know *"),
            mutant("if-match-one", "takes a list of ETags for one"),
        ],
        ..CONDITION
    },
    Case {
        id: "operators.412.stale",
        cell: Cell::Service(412),
        requirement: "PATCH with the ETag from before another change is 412 precondition_failed, and changes nothing.",
        section: "openapi.yaml, PreconditionFailed; RFC 9110 section 15.5.13",
        request: steps!(stale),
        expect: PRECONDITION_FAILED,
        mutants: &[
            mutant("if-match-ignored", "ignores If-Match"),
            mutant("412-changes-all-the-same", "changes what it answers 412 to"),
            mutant("409-for-412", "answers 409 conflict where If-Match does not match"),
        ],
        ..CONDITION
    },
    Case {
        id: "operators.412.weak",
        cell: Cell::Service(412),
        requirement: "If-Match compares strongly: W/ before the right ETag does not match.",
        request: steps!(weak),
        expect: PRECONDITION_FAILED,
        mutants: &[mutant("if-match-weakly", "compares If-Match weakly")],
        ..CONDITION
    },
    Case {
        id: "operators.412.delete",
        cell: Cell::Service(412),
        requirement: "If-Match counts on DELETE of a client too: the client lives on.",
        section: "openapi.yaml, PreconditionFailed; openapi.yaml, deleteClient",
        request: steps!(delete_stale),
        expect: PRECONDITION_FAILED,
        mutants: &[mutant("if-match-ignored-on-delete", "ignores If-Match on DELETE")],
        ..CONDITION
    },
    // ---- the order of refusals
    Case {
        id: "operators.400.before-404",
        cell: Cell::Service(400),
        requirement: "A malformed patch is 400, also where there is no such client.",
        section: "openapi.yaml, updateClient",
        needs: &[],
        request: Ask(UpdateClient, &[Path("/clients/conformance-${unique}"), Set("colour", r#""red""#)]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("patch-404-before-400", "looks for the client before it reads the patch")],
        ..CONDITION
    },
    Case {
        id: "operators.404.before-412",
        cell: Cell::Service(404),
        requirement: "A client that there is not is 404, whatever If-Match says.",
        section: "openapi.yaml, updateClient",
        needs: &[],
        request: Ask(
            UpdateClient,
            &[Path("/clients/conformance-${unique}"), Header("if-match", "\"AAAAAAAAAAAAAAAAAAAAAA\"")],
        ),
        expect: NOT_FOUND,
        mutants: &[mutant("412-before-404", "answers 412 where there is no such client")],
        ..CONDITION
    },
    Case {
        id: "operators.412.before-409",
        cell: Cell::Service(412),
        requirement: "A change of the client of the secret OPERATOR with another If-Match is 412, not 409.",
        section: "openapi.yaml, updateClient",
        control: Some("operators.409.from-secret"),
        request: steps!(before_409),
        expect: PRECONDITION_FAILED,
        mutants: &[mutant("409-before-412", "answers 409 before it looks at If-Match")],
        ..CONDITION
    },
    Case {
        id: "operators.412.before-400",
        cell: Cell::Service(412),
        requirement: "What a change would make of the client is judged last: with another If-Match it is 412.",
        section: "openapi.yaml, updateClient",
        request: steps!(before_400),
        expect: PRECONDITION_FAILED,
        mutants: &[mutant("400-before-412", "judges what a change would make of the client before If-Match")],
        ..CONDITION
    },
    Case {
        id: "operators.409.before-400",
        cell: Cell::Service(409),
        requirement: "What a change would make of the client is judged last: that of the secret OPERATOR is 409.",
        section: "openapi.yaml, updateClient",
        control: Some("operators.409.from-secret"),
        request: steps!(conflict_before_400),
        expect: CONFLICT,
        mutants: &[mutant("400-before-409", "judges what a change would make of the client of OPERATOR")],
        ..CONDITION
    },
];

/// What no client's state is called.
const NO_STATE: &str = "\"AAAAAAAAAAAAAAAAAAAAAA\"";

fn named(name: &str) -> Option<Value> {
    Some(json!({"client_name": name}))
}

async fn stable(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let (_, shown) = t.show(&client).await?;
    let (_, again) = t.show(&client).await?;
    let answer = t.call("PATCH", &client.path, named("another")).await?;
    t.expect(t.due, &answer)?;
    let changed = answer.header("etag").unwrap_or_default().to_owned();
    let (_, later) = t.show(&client).await?;
    for (first, second, of) in
        [(&client.etag, &shown, "the 201"), (&shown, &again, "a GET"), (&changed, &later, "the PATCH")]
    {
        if first != second || first.is_empty() {
            return Err(Stop::fail(format!("the ETag of {of}, {first}, with the next GET"), format!("ETag {second}")));
        }
    }
    Ok(())
}

async fn changes(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({"mechanisms": ["secret", "otp"]})).await?;
    let made = t.operate("POST", &client.below("secrets"), None, 201).await?.json().unwrap_or_default();
    let second = made["secret_id"].as_str().unwrap_or_default().to_owned();
    let mut before = t.show(&client).await?.1;
    let calls = [
        ("a change of a member", "PATCH", client.path.clone(), named("another"), 200),
        ("the end of a secret", "DELETE", client.below(&format!("secrets/{second}")), None, 204),
        ("a new secret", "POST", client.below("secrets"), None, 201),
        (
            "an end ahead of a secret",
            "DELETE",
            client.below(&format!("secrets/{}?in=600", client.secret_id()?)),
            None,
            204,
        ),
        ("a new seed", "POST", client.below("totp"), None, 201),
        ("end-tokens", "POST", client.below("end-tokens"), None, 204),
    ];
    for (what, method, path, body, due) in calls {
        t.operate(method, &path, body, due).await?;
        let (_, after) = t.show(&client).await?;
        if after == before {
            return Err(Stop::fail(format!("another ETag after {what}"), format!("ETag {after} as before")));
        }
        before = after;
    }
    Ok(())
}

async fn matches(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    for form in ["{}", "*", "\"AAAAAAAAAAAAAAAAAAAAAA\", {}", "{} , \"AAAAAAAAAAAAAAAAAAAAAA\""] {
        let (_, etag) = t.show(&client).await?;
        let answer = t.call_if(&form.replace("{}", &etag), "PATCH", &client.path, named(form)).await?;
        t.expect(t.due, &answer)?;
    }
    Ok(())
}

async fn stale(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let (_, etag) = t.show(&client).await?;
    t.operate("PATCH", &client.path, named("first"), 200).await?;
    t.expect(t.due, &t.call_if(&etag, "PATCH", &client.path, named("second")).await?)?;
    let (shown, _) = t.show(&client).await?;
    t.equal("client_name", &json!("first"), &shown["client_name"])
}

async fn weak(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let (_, etag) = t.show(&client).await?;
    t.expect(t.due, &t.call_if(&format!("W/{etag}"), "PATCH", &client.path, named("first")).await?)
}

async fn delete_stale(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let (_, etag) = t.show(&client).await?;
    t.operate("PATCH", &client.path, named("first"), 200).await?;
    t.expect(t.due, &t.call_if(&etag, "DELETE", &client.path, None).await?)?;
    let (_, etag) = t.show(&client).await?;
    t.expect(ENDED, &t.call_if(&etag, "DELETE", &client.path, None).await?)
}

async fn before_409(t: &Trial<'_>) -> Result<(), Stop> {
    let path = crate::endpoint::client_path(&t.operator_of_secret()?);
    t.expect(t.due, &t.call_if(NO_STATE, "PATCH", &path, named("conformance")).await?)
}

async fn before_400(t: &Trial<'_>) -> Result<(), Stop> {
    let path = t.bystander().await?.path;
    let patch = json!({"mechanisms": ["secret", "assertion"]});
    t.expect(t.due, &t.call_if(NO_STATE, "PATCH", &path, Some(patch)).await?)
}

async fn conflict_before_400(t: &Trial<'_>) -> Result<(), Stop> {
    let path = crate::endpoint::client_path(&t.operator_of_secret()?);
    let patch = json!({"mechanisms": ["secret", "assertion"], "jwks": null});
    t.expect(t.due, &t.call("PATCH", &path, Some(patch)).await?)
}
