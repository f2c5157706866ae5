//! PATCH /clients/{id}: a merge patch (RFC 7396).

use super::OPERATOR;
use crate::case::*;
use serde_json::{Value, json};

/// A client that is changed.
const CHANGED: Case = Case {
    cell: Cell::Service(200),
    level: Level::Service,
    section: "openapi.yaml, updateClient",
    needs: OPERATOR,
    effect: Effect::Provision,
    control: Some("operators.200.change"),
    expect: plain(200),
    ..ROW
};

/// A change that is rejected because of one member.
const BAD: Case = Case {
    cell: Cell::Service(400),
    section: "openapi.yaml, ClientPatch",
    needs: &[],
    expect: INVALID_REQUEST,
    ..CHANGED
};

pub const CASES: &[Case] = &[
    Case {
        id: "operators.200.change",
        requirement: "PATCH changes each member that it names. The response and later reads show the changed client.",
        control: Some("operators.201.create"),
        request: steps!(each_member),
        mutants: &[
            mutant("patch-answers-before", "answers with the client as it was before"),
            mutant("patch-204", "answers 204 to a PATCH"),
            mutant("patch-json-refused", "accepts merge patches only with their own media type"),
            mutant("patch-drops-client_name", "does not change client_name"),
            mutant("patch-drops-scopes", "does not change scopes"),
            mutant("patch-drops-mechanisms", "does not change mechanisms"),
            mutant("patch-drops-max_ttl_seconds", "does not change max_ttl_seconds"),
            mutant("patch-drops-consistency", "does not change consistency"),
            mutant("patch-drops-status", "does not change status"),
            mutant("patch-drops-jwks", "does not change jwks"),
        ],
        ..CHANGED
    },
    Case {
        id: "operators.200.merge",
        requirement: "PATCH keeps what it does not name, secrets and keys included. An empty patch changes nothing.",
        section: "openapi.yaml, updateClient; RFC 7396 section 2",
        request: steps!(merges),
        mutants: &[
            mutant("patch-replaces", "removes what a patch does not name"),
            mutant("patch-ends-secrets", "ends a client's secrets with every change"),
        ],
        ..CHANGED
    },
    Case {
        id: "operators.200.media-types",
        requirement: "PATCH accepts the media types application/merge-patch+json and application/json.",
        section: "openapi.yaml, updateClient; RFC 7396 section 4",
        request: steps!(media_types),
        mutants: &[mutant("merge-patch-refused", "rejects application/merge-patch+json")],
        ..CHANGED
    },
    Case {
        id: "operators.200.null-name",
        requirement: "A null client_name in a PATCH removes client_name.",
        section: "openapi.yaml, ClientPatch; RFC 7396 section 2",
        request: steps!(null_takes_away, "client_name"),
        mutants: &[mutant("patch-null-keeps-name", "ignores null for client_name")],
        ..CHANGED
    },
    Case {
        id: "operators.200.null-jwks",
        requirement: "A null jwks in a PATCH removes jwks.",
        section: "openapi.yaml, ClientPatch; RFC 7396 section 2",
        request: steps!(null_takes_away, "jwks"),
        mutants: &[mutant("patch-null-keeps-jwks", "ignores null for jwks")],
        ..CHANGED
    },
    Case {
        id: "operators.200.jwks-replaced",
        requirement: "A PATCH of jwks replaces all keys: the new key works at once, and the old one no longer works.",
        section: "openapi.yaml, ClientPatch",
        request: steps!(jwks_replaced),
        mutants: &[mutant("jwks-added", "keeps the keys that a patch replaced")],
        ..CHANGED
    },
    Case {
        id: "operators.200.mechanism-given",
        requirement: "A mechanism that PATCH adds works at once. has_totp stays false until a seed is made.",
        section: "openapi.yaml, Mechanisms",
        request: steps!(mechanism_given),
        mutants: &[
            mutant("long-lags-mechanisms", "uses the earlier mechanisms for a while"),
            mutant("patch-makes-seed", "shows has_totp as true as soon as otp is allowed"),
        ],
        ..CHANGED
    },
    Case {
        id: "operators.200.scopes-given",
        requirement: "A scope that PATCH adds can be requested at once.",
        request: steps!(scopes_given),
        mutants: &[mutant("long-lags-narrowing", "uses the earlier scopes for a while")],
        ..CHANGED
    },
    Case {
        id: "operators.200.ttl-changed",
        requirement: "A max_ttl_seconds set by PATCH limits the next long-term token.",
        request: steps!(ttl_changed),
        mutants: &[mutant("max-ttl-of-creation", "limits tokens by the max_ttl_seconds set at creation")],
        ..CHANGED
    },
    Case {
        id: "operators.403.suspended-client",
        cell: Cell::Service(403),
        requirement: "Once a PATCH suspends a client, /long rejects its right secret with 403 unauthorized_client \
                      and a wrong one with 401 invalid_client.",
        section: "openapi.yaml, ClientStatus; openapi.yaml, issueLongTermToken",
        request: steps!(suspended),
        expect: UNAUTHORIZED,
        mutants: &[mutant("long-lags-suspension", "issues tokens to a suspended client for a while")],
        ..CHANGED
    },
    Case {
        id: "operators.200.restored-client",
        requirement: "A suspended client that PATCH restores works again, with its secret and its earlier tokens.",
        section: "openapi.yaml, ClientStatus",
        control: Some("operators.403.suspended-client"),
        request: steps!(restored),
        mutants: &[mutant("restoration-ends-tokens", "revokes a client's tokens when it is restored")],
        ..CHANGED
    },
    // ---- what is rejected
    Case {
        id: "operators.400.change-null",
        requirement: "A null status, scopes, mechanisms, max_ttl_seconds or consistency in a PATCH is rejected with \
                      400 invalid_request.",
        needs: OPERATOR,
        request: steps!(nulls),
        mutants: &[
            mutant("patch-null-status-ok", "ignores null for status"),
            mutant("patch-null-scopes-ok", "ignores null for scopes"),
            mutant("patch-null-mechanisms-ok", "ignores null for mechanisms"),
            mutant("patch-null-max_ttl_seconds-ok", "ignores null for max_ttl_seconds"),
            mutant("patch-null-consistency-ok", "ignores null for consistency"),
        ],
        ..BAD
    },
    Case {
        id: "operators.400.change-id",
        requirement: "A PATCH with client_id is rejected with 400 invalid_request.",
        request: Ask(UpdateClient, &[Set("client_id", r#""conformance-${unique}""#)]),
        also: &[Also::Names("client_id")],
        mutants: &[mutant("patch-takes-client_id", "ignores client_id in a patch")],
        ..BAD
    },
    Case {
        id: "operators.400.change-region",
        requirement: "A PATCH with region is rejected with 400 invalid_request.",
        request: Ask(UpdateClient, &[Set("region", r#""weur""#)]),
        also: &[Also::Names("region")],
        mutants: &[mutant("patch-takes-region", "ignores region in a patch")],
        ..BAD
    },
    Case {
        id: "operators.400.change-unknown",
        requirement: "An unknown member in a PATCH is rejected with 400 invalid_request, and the error names the \
                      member.",
        request: Ask(UpdateClient, &[Set("secrets", "[]")]),
        also: &[Also::Names("secrets")],
        mutants: &[mutant("patch-unknown-ignored", "ignores unknown members of a patch")],
        ..BAD
    },
    Case {
        id: "operators.400.change-status",
        requirement: "A PATCH with a status other than active or suspended is rejected with 400 invalid_request. That \
                      includes deleted.",
        section: "openapi.yaml, ClientStatus",
        request: Ask(UpdateClient, &[Set("status", r#""deleted""#)]),
        also: &[Also::Names("status")],
        mutants: &[mutant("status-unchecked", "ignores an unknown status")],
        ..BAD
    },
    Case {
        id: "operators.400.change-scopes-empty",
        requirement: "A PATCH that leaves a client without scopes is rejected with 400 invalid_scope.",
        section: "openapi.yaml, ClientScopes",
        request: Ask(UpdateClient, &[Set("scopes", "[]")]),
        expect: INVALID_SCOPE,
        mutants: &[mutant("patch-scopes-empty-ok", "lets a patch remove all scopes")],
        ..BAD
    },
    Case {
        id: "operators.400.change-mechanisms-empty",
        requirement: "A PATCH that leaves a client without mechanisms is rejected with 400 invalid_request.",
        section: "openapi.yaml, Mechanisms",
        request: Ask(UpdateClient, &[Set("mechanisms", "[]")]),
        also: &[Also::Names("mechanisms")],
        mutants: &[mutant("patch-mechanisms-empty-ok", "lets a patch remove all mechanisms")],
        ..BAD
    },
    Case {
        id: "operators.400.change-without-jwks",
        requirement: "A PATCH that adds the mechanism assertion to a client without jwks is rejected with 400 \
                      invalid_request.",
        section: "openapi.yaml, updateClient",
        request: Ask(UpdateClient, &[Set("mechanisms", r#"["secret","assertion"]"#)]),
        also: &[Also::Names("jwks")],
        mutants: &[mutant("patch-assertion-without-jwks", "adds the mechanism assertion to clients without keys")],
        ..BAD
    },
    Case {
        id: "operators.400.change-jwks-away",
        requirement: "A PATCH that removes jwks from a client with the mechanism assertion is rejected with 400 \
                      invalid_request.",
        section: "openapi.yaml, updateClient",
        needs: OPERATOR,
        request: steps!(jwks_away),
        mutants: &[mutant("patch-jwks-away", "removes the keys of a client with the mechanism assertion")],
        ..BAD
    },
    Case {
        id: "operators.400.change-media-type",
        requirement: "A PATCH with another media type, such as that of JSON Patch (RFC 6902), is rejected with 400 \
                      invalid_request.",
        section: "openapi.yaml, updateClient; RFC 6902 section 6",
        request: Ask(UpdateClient, &[Header("content-type", "application/json-patch+json")]),
        mutants: &[mutant("patch-any-json-type", "accepts any media type that contains json as a merge patch")],
        ..BAD
    },
    Case {
        id: "operators.400.change-not-an-object",
        requirement: "A patch that is not a JSON object is rejected with 400 invalid_request.",
        section: "openapi.yaml, updateClient",
        request: Ask(UpdateClient, &[Raw("null")]),
        mutants: &[mutant("patch-null-ok", "accepts null as an empty patch")],
        ..BAD
    },
    Case {
        id: "operators.400.change-empty-body",
        requirement: "A PATCH without a body is rejected with 400 invalid_request.",
        section: "openapi.yaml, updateClient",
        request: Ask(UpdateClient, &[Raw("")]),
        mutants: &[mutant("patch-no-body-ok", "accepts a missing body as an empty patch")],
        ..BAD
    },
    Case {
        id: "operators.400.change-leaves-all",
        requirement: "A PATCH that is rejected changes nothing: its valid members are not applied either.",
        section: "openapi.yaml, updateClient",
        needs: OPERATOR,
        request: steps!(refused_whole),
        mutants: &[mutant("patch-by-halves", "applies the valid members of a patch that it rejects")],
        ..BAD
    },
    Case {
        id: "operators.403.change-clients-scope",
        cell: Cell::Service(403),
        requirement: "A PATCH that gives a client a clients: scope is rejected with 403 insufficient_scope, unless the \
                      caller is the client of the secret OPERATOR.",
        section: "openapi.yaml, MayNotGive",
        control: Some("operators.201.clients-scope"),
        request: steps!(may_not_give),
        expect: BEYOND_SCOPE,
        mutants: &[mutant("any-operator-gives-on-patch", "lets every operator give clients: scopes by PATCH")],
        ..CHANGED
    },
    Case {
        id: "operators.200.change-oneself",
        requirement: "An operator may change its own client, unless it is the client of the secret OPERATOR.",
        control: Some("operators.201.clients-scope"),
        request: steps!(oneself),
        mutants: &[mutant("oneself-refused", "lets no operator change its own client")],
        ..CHANGED
    },
    Case {
        id: "operators.200.updated-at",
        requirement: "A change moves updated_at and leaves created_at as it was.",
        section: "openapi.yaml, Client",
        request: steps!(updated_at),
        mutants: &[
            mutant("updated-at-stays", "does not move updated_at"),
            mutant("created-at-moves", "shows the last change as created_at"),
        ],
        ..CHANGED
    },
    Case {
        id: "operators.200.restored-revives-nothing",
        requirement: "The end of a suspension does not revive a token that was revoked before.",
        request: steps!(revives_nothing),
        mutants: &[mutant("restoration-revives", "forgets a client's revocations when it becomes active again")],
        ..CHANGED
    },
];

async fn each_member(t: &Trial<'_>) -> Result<(), Stop> {
    let key = t.signer("first")?.jwk;
    let client = t.client_with(json!({})).await?;
    let changes = [
        ("client_name", json!("another")),
        ("scopes", json!(["templates:read", "jobs:*"])),
        ("jwks", json!({"keys": [key]})),
        ("mechanisms", json!(["assertion", "secret"])),
        ("max_ttl_seconds", json!(7200)),
        ("consistency", json!("eventual")),
        ("status", json!("suspended")),
        ("status", json!("active")),
    ];
    for (member, value) in changes {
        let answer = t.call("PATCH", &client.path, Some(json!({member: value}))).await?;
        t.expect(t.due, &answer)?;
        t.equal(member, &value, &answer.json().unwrap_or_default()[member])?;
        let (later, _) = t.show(&client).await?;
        t.equal(&format!("{member}, as read again,"), &value, &later[member])?;
    }
    Ok(())
}

async fn merges(t: &Trial<'_>) -> Result<(), Stop> {
    let key = t.signer("first")?.jwk;
    let client = t.client_with(json!({"jwks": {"keys": [key]}})).await?;
    let (before, _) = t.show(&client).await?;
    t.expect(t.due, &t.call("PATCH", &client.path, Some(json!({}))).await?)?;
    t.expect(t.due, &t.call("PATCH", &client.path, Some(json!({"scopes": ["jobs:*"]}))).await?)?;
    let (after, _) = t.show(&client).await?;
    for (member, wanted) in before.as_object().into_iter().flatten() {
        if !["scopes", "updated_at"].contains(&member.as_str()) {
            t.equal(member, wanted, &after[member])?;
        }
    }
    t.log_in_by_secret(&client, client.secret()?, GRANTED).await
}

async fn media_types(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let operator = t.shared(Operator, "short").await?;
    for (kind, name) in [("application/merge-patch+json", "first"), ("application/json", "second")] {
        let mut request =
            crate::trial::operators::call(&operator.token, "PATCH", &client.path, Some(json!({"client_name": name})));
        request.set("content-type", kind);
        let answer = t.send(&request).await?;
        t.expect(t.due, &answer)?;
        t.equal("client_name", &json!(name), &answer.json().unwrap_or_default()["client_name"])?;
    }
    Ok(())
}

async fn null_takes_away(t: &Trial<'_>, member: &str) -> Result<(), Stop> {
    let key = t.signer("first")?.jwk;
    let client = t.client_with(json!({"jwks": {"keys": [key]}})).await?;
    let answer = t.call("PATCH", &client.path, Some(json!({member: null}))).await?;
    t.expect(t.due, &answer)?;
    match answer.json().unwrap_or_default().get(member) {
        Some(value) => Err(Stop::fail(format!("no member {member}"), format!("{member} {value}"))),
        None => Ok(()),
    }
}

async fn jwks_replaced(t: &Trial<'_>) -> Result<(), Stop> {
    let (old, new) = (t.signer("old")?, t.signer("new")?);
    let client = t.client_with(json!({"mechanisms": ["assertion"], "jwks": {"keys": [old.jwk]}})).await?;
    t.log_in_by_assertion(&client, &old, GRANTED).await?;
    t.expect(t.due, &t.call("PATCH", &client.path, Some(json!({"jwks": {"keys": [new.jwk]}}))).await?)?;
    t.log_in_by_assertion(&client, &new, GRANTED).await?;
    t.log_in_by_assertion(&client, &old, INVALID_CLIENT).await
}

async fn mechanism_given(t: &Trial<'_>) -> Result<(), Stop> {
    let signer = t.signer("first")?;
    let client = t.client_with(json!({"jwks": {"keys": [signer.jwk]}})).await?;
    t.log_in_by_assertion(&client, &signer, UNAUTHORIZED).await?;
    let answer = t.call("PATCH", &client.path, Some(json!({"mechanisms": ["secret", "assertion", "otp"]}))).await?;
    t.expect(t.due, &answer)?;
    t.equal("has_totp", &json!(false), &answer.json().unwrap_or_default()["has_totp"])?;
    t.log_in_by_assertion(&client, &signer, GRANTED).await
}

async fn scopes_given(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let asked = || json!({"client_secret": client.secret().unwrap_or_default(), "scopes": ["templates:read"]});
    t.expect(BEYOND_SCOPE, &t.log_in(&client, asked()).await?)?;
    let patch = json!({"scopes": ["jobs:submit", "templates:read"]});
    t.expect(t.due, &t.call("PATCH", &client.path, Some(patch)).await?)?;
    let answer = t.log_in(&client, asked()).await?;
    t.expect(GRANTED, &answer)?;
    t.check(Also::Scopes(&["templates:read"]), &answer)
}

async fn ttl_changed(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({"max_ttl_seconds": 86_400})).await?;
    t.log_in_by_secret(&client, client.secret()?, GRANTED).await?;
    t.expect(t.due, &t.call("PATCH", &client.path, Some(json!({"max_ttl_seconds": 3600}))).await?)?;
    let answer = t.log_in(&client, json!({"client_secret": client.secret()?, "ttl_seconds": 7200})).await?;
    t.expect(GRANTED, &answer)?;
    t.check(Also::ExpiresIn(3600), &answer)
}

async fn suspended(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    t.log_in_by_secret(&client, client.secret()?, GRANTED).await?;
    t.operate("PATCH", &client.path, Some(json!({"status": "suspended"})), 200).await?;
    t.log_in_by_secret(&client, client.secret()?, t.due).await?;
    let wrong = t.secret("WRONG_SECRET", format!("{}x", client.secret()?));
    t.log_in_by_secret(&client, &wrong, INVALID_CLIENT).await
}

async fn restored(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let long = t.mint_long_as(&client.id, client.secret()?, &["jobs:submit"]).await?;
    t.operate("PATCH", &client.path, Some(json!({"status": "suspended"})), 200).await?;
    t.exchange_is(&long, INVALID_TOKEN).await?;
    t.expect(t.due, &t.call("PATCH", &client.path, Some(json!({"status": "active"}))).await?)?;
    t.log_in_by_secret(&client, client.secret()?, GRANTED).await?;
    t.exchanges(&long).await
}

/// One rejected change of the case's own client, and the client as it is afterwards.
async fn refused(t: &Trial<'_>, members: Value, patch: Value) -> Result<Value, Stop> {
    let client = t.client_with(members).await?;
    t.expect(t.due, &t.call("PATCH", &client.path, Some(patch)).await?)?;
    Ok(t.show(&client).await?.0)
}

async fn nulls(t: &Trial<'_>) -> Result<(), Stop> {
    let path = t.bystander().await?.path;
    for member in ["status", "scopes", "mechanisms", "max_ttl_seconds", "consistency"] {
        let answer = t.call("PATCH", &path, Some(json!({member: null}))).await?;
        t.expect(t.due, &answer)?;
        let told = answer.json().unwrap_or_default();
        if !format!("{} {}", told["message"], told["details"]).contains(member) {
            return Err(Stop::fail(format!("\"{member}\" named in message or details"), t.summary(&answer)));
        }
    }
    Ok(())
}

async fn jwks_away(t: &Trial<'_>) -> Result<(), Stop> {
    let key = t.signer("first")?.jwk;
    let members = json!({"mechanisms": ["assertion"], "jwks": {"keys": [key]}});
    let shown = refused(t, members, json!({"jwks": null})).await?;
    t.equal("jwks", &json!({"keys": [key]}), &shown["jwks"])
}

async fn refused_whole(t: &Trial<'_>) -> Result<(), Stop> {
    let patch = json!({"client_name": "another", "mechanisms": ["secret", "assertion"]});
    let shown = refused(t, json!({}), patch).await?;
    t.equal("client_name", &json!("conformance"), &shown["client_name"])
}

async fn may_not_give(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, token) = t.other_operator().await?;
    let client = t.client_with(json!({})).await?;
    let patch = json!({"scopes": ["jobs:submit", "clients:write"]});
    t.expect(t.due, &t.call_by(&token.token, "PATCH", &client.path, Some(patch)).await?)?;
    let (shown, _) = t.show(&client).await?;
    t.equal("scopes", &json!(["jobs:submit"]), &shown["scopes"])
}

async fn oneself(t: &Trial<'_>) -> Result<(), Stop> {
    let (client, token) = t.other_operator().await?;
    let answer = t.call_by(&token.token, "PATCH", &client.path, Some(json!({"client_name": "myself"}))).await?;
    t.expect(t.due, &answer)
}

async fn updated_at(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let (created, before) = (client.time("created_at")?, client.time("updated_at")?);
    t.run.wait_until(t.run.clock.now() + 2).await?;
    let answer = t.call("PATCH", &client.path, Some(json!({"client_name": "changed"}))).await?;
    t.expect(t.due, &answer)?;
    let after = t.client_in(&answer)?;
    if after.time("created_at")? != created {
        return Err(Stop::fail(
            format!("created_at {}", client.shown["created_at"]),
            format!("created_at {} after a change", after.shown["created_at"]),
        ));
    }
    match after.time("updated_at")? > before {
        true => Ok(()),
        false => Err(Stop::fail(
            format!("updated_at after {}", client.shown["updated_at"]),
            format!("updated_at {} two seconds later", after.shown["updated_at"]),
        )),
    }
}

async fn revives_nothing(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let (long, _) = t.tokens_of(&client, &["jobs:submit"]).await?;
    t.revoked(&long, &long).await?;
    for status in ["suspended", "active"] {
        t.operate("PATCH", &client.path, Some(json!({"status": status})), 200).await?;
    }
    t.exchange_is(&long, INVALID_TOKEN).await?;
    t.log_in_by_secret(&client, client.secret()?, GRANTED).await
}
