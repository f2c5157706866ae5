//! If-Match, ETag, and the order of the checks.

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
        requirement: "A client's ETag stays the same until the client is changed: a GET returns the same ETag as the \
                      GET or PATCH before it, and as the 201 if that has one.",
        section: "openapi.yaml, ETag; RFC 9110 section 8.8.3",
        request: steps!(stable),
        mutants: &[mutant("etag-random", "sends another ETag each time")],
        ..CONDITION
    },
    Case {
        id: "operators.200.etag-changes",
        requirement: "A client's ETag changes with each change of a member, new secret, end of a secret, new seed \
                      and end-tokens.",
        section: "openapi.yaml, ETag; RFC 9110 section 8.8.1",
        request: steps!(changes),
        mutants: &[
            mutant("etag-constant", "always sends the same ETag for a client"),
            mutant("etag-blind-to-secrets", "keeps the ETag when secrets change"),
            mutant("etag-blind-to-seed", "keeps the ETag when the seed changes"),
            mutant("etag-blind-to-end-tokens", "keeps the ETag after end-tokens"),
        ],
        ..CONDITION
    },
    Case {
        id: "operators.200.if-match",
        requirement: "A PATCH is accepted if If-Match is the current ETag, a list that contains it, or *.",
        request: steps!(matches),
        mutants: &[
            mutant("if-match-star-refused", "rejects If-Match: *"),
            mutant("if-match-one", "reads a list of ETags as a single one"),
        ],
        ..CONDITION
    },
    Case {
        id: "operators.412.stale",
        cell: Cell::Service(412),
        requirement: "A PATCH with an outdated ETag in If-Match is rejected with 412 precondition_failed, and \
                      changes nothing.",
        section: "openapi.yaml, PreconditionFailed; RFC 9110 section 15.5.13",
        request: steps!(stale),
        expect: PRECONDITION_FAILED,
        mutants: &[
            mutant("if-match-ignored", "ignores If-Match"),
            mutant("412-changes-all-the-same", "applies a change that it answers with 412"),
            mutant("409-for-412", "answers 409 conflict if If-Match does not match"),
        ],
        ..CONDITION
    },
    Case {
        id: "operators.412.weak",
        cell: Cell::Service(412),
        requirement: "If-Match uses the strong comparison: the current ETag with W/ before it is rejected with 412 \
                      precondition_failed.",
        request: steps!(weak),
        expect: PRECONDITION_FAILED,
        mutants: &[mutant("if-match-weakly", "uses the weak comparison for If-Match")],
        ..CONDITION
    },
    Case {
        id: "operators.412.delete",
        cell: Cell::Service(412),
        requirement: "A DELETE of a client with another ETag in If-Match is rejected with 412 precondition_failed, \
                      and the client keeps working.",
        section: "openapi.yaml, PreconditionFailed; openapi.yaml, deleteClient",
        request: steps!(delete_stale),
        expect: PRECONDITION_FAILED,
        mutants: &[mutant("if-match-ignored-on-delete", "ignores If-Match on DELETE")],
        ..CONDITION
    },
    // ---- the order of the checks
    Case {
        id: "operators.400.before-404",
        cell: Cell::Service(400),
        requirement: "The body is checked before the client: a malformed patch is rejected with 400 even if the \
                      client does not exist.",
        section: "openapi.yaml, updateClient",
        needs: &[],
        request: Ask(UpdateClient, &[Path("/clients/conformance-${unique}"), Set("colour", r#""red""#)]),
        expect: INVALID_REQUEST,
        mutants: &[mutant("patch-404-before-400", "looks up the client before it parses the patch")],
        ..CONDITION
    },
    Case {
        id: "operators.404.before-412",
        cell: Cell::Service(404),
        requirement: "The client is checked before If-Match: a PATCH of a client that does not exist is answered \
                      with 404, whatever If-Match says.",
        section: "openapi.yaml, updateClient",
        needs: &[],
        request: Ask(
            UpdateClient,
            &[Path("/clients/conformance-${unique}"), Header("if-match", "\"AAAAAAAAAAAAAAAAAAAAAA\"")],
        ),
        expect: NOT_FOUND,
        mutants: &[mutant("412-before-404", "answers 412 if the client does not exist")],
        ..CONDITION
    },
    Case {
        id: "operators.412.before-409",
        cell: Cell::Service(412),
        requirement: "If-Match is checked before the conflict: a PATCH of the client of the secret OPERATOR with \
                      another ETag is answered with 412, not 409.",
        section: "openapi.yaml, updateClient",
        control: Some("operators.409.from-secret"),
        request: steps!(before_409),
        expect: PRECONDITION_FAILED,
        mutants: &[mutant("409-before-412", "answers 409 before it checks If-Match")],
        ..CONDITION
    },
    Case {
        id: "operators.412.before-400",
        cell: Cell::Service(412),
        requirement: "If-Match is checked before the result of a change: a PATCH that would leave the client invalid \
                      is answered with 412, not 400, if the ETag does not match.",
        section: "openapi.yaml, updateClient",
        request: steps!(before_400),
        expect: PRECONDITION_FAILED,
        mutants: &[mutant("400-before-412", "checks the result of a change before If-Match")],
        ..CONDITION
    },
    Case {
        id: "operators.409.before-400",
        cell: Cell::Service(409),
        requirement: "The conflict is checked before the result of a change: a PATCH that would leave the client of \
                      the secret OPERATOR invalid is answered with 409, not 400.",
        section: "openapi.yaml, updateClient",
        control: Some("operators.409.from-secret"),
        request: steps!(conflict_before_400),
        expect: CONFLICT,
        mutants: &[mutant(
            "400-before-409",
            "checks the result of a change before it answers 409 for the client of OPERATOR",
        )],
        ..CONDITION
    },
    Case {
        id: "operators.412.simultaneous",
        cell: Cell::Service(412),
        requirement: "Of several simultaneous changes with the same If-Match, exactly one succeeds. The others are \
                      rejected with 412 precondition_failed.",
        request: steps!(simultaneous),
        expect: PRECONDITION_FAILED,
        mutants: &[mutant("if-match-races", "checks If-Match against the state of a moment ago")],
        ..CONDITION
    },
    Case {
        id: "operators.204.if-match-elsewhere",
        cell: Cell::Service(204),
        requirement: "If-Match applies to PATCH and to the DELETE of a client only: a request for a new secret, a new \
                      seed, end-tokens or the end of a secret succeeds whatever its If-Match.",
        request: steps!(elsewhere),
        expect: plain(204),
        mutants: &[mutant("if-match-everywhere", "checks If-Match on every operators' call")],
        ..CONDITION
    },
    Case {
        id: "operators.200.etag-in-a-second",
        cell: Cell::Service(200),
        requirement: "Changes within one second have different ETags, each another one.",
        section: "openapi.yaml, ETag; RFC 9110 section 8.8.1",
        control: Some("operators.200.etag-stable"),
        request: steps!(quickly),
        expect: plain(200),
        mutants: &[mutant("etag-by-second", "takes the time of the last change, in seconds, as the ETag")],
        ..CONDITION
    },
];

/// An ETag that no client has.
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
        // The ETag of a 201 is optional.
        let is_absent = first.is_empty() && of == "the 201";
        if !is_absent && (first != second || first.is_empty()) {
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
            "an end set ahead for a secret",
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

async fn simultaneous(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let (_, etag) = t.show(&client).await?;
    let names = ["first", "second", "third", "fourth"];
    let calls = names.map(|name| t.call_if(&etag, "PATCH", &client.path, named(name)));
    let mut changed = Vec::new();
    for (answer, name) in futures_util::future::join_all(calls).await.into_iter().zip(names) {
        let answer = answer?;
        match answer.status {
            200 => changed.push(name),
            _ => t.expect(t.due, &answer)?,
        }
    }
    if changed.len() != 1 {
        let got = format!("{} of {} succeeded", changed.len(), names.len());
        return Err(Stop::fail("exactly one success of simultaneous changes with the same If-Match", got));
    }
    let (shown, _) = t.show(&client).await?;
    t.equal("client_name", &json!(changed[0]), &shown["client_name"])
}

async fn elsewhere(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let calls = [
        ("POST", client.below("secrets"), 201),
        ("POST", client.below("totp"), 201),
        ("POST", client.below("end-tokens"), 204),
        ("DELETE", client.below(&format!("secrets/{}", client.secret_id()?)), 204),
    ];
    for (method, path, due) in calls {
        let answer = t.call_if(NO_STATE, method, &path, None).await?;
        t.expect(plain(due), &answer)
            .map_err(|stop| stop.wanted(|wanted| format!("{wanted} for {method} {path}, whatever its If-Match")))?;
    }
    Ok(())
}

async fn quickly(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let mut seen: Vec<String> = Vec::new();
    for name in ["first", "second", "third", "fourth", "fifth", "sixth"] {
        let answer = t.call("PATCH", &client.path, named(name)).await?;
        t.expect(t.due, &answer)?;
        let etag = answer.header("etag").unwrap_or_default().to_owned();
        if seen.contains(&etag) {
            return Err(Stop::fail("another ETag after each change", format!("ETag {etag} again")));
        }
        seen.push(etag);
    }
    Ok(())
}
