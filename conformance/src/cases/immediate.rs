//! Clients whose consistency is immediate: a revocation, or a change that removes rights, applies to the very next call.

use crate::case::*;
use crate::cases::operators::OPERATOR;
use crate::endpoint::{self, LONG};
use crate::trial::draft;
use crate::trial::mint::token_in;
use crate::trial::operators::Client;
use serde_json::{Value, json};

/// How many simultaneous calls follow each change. All must reflect the change.
const AT_ONCE: usize = 6;

/// The role's own client.
const ROLE: &[(Role, Credential)] = &[(Immediate, ClientId), (Immediate, ClientSecret)];

const AT_THAT: Case = Case {
    cell: Cell::Service(401),
    level: Level::Service,
    section: "openapi.yaml, Consistency",
    needs: ROLE,
    effect: Effect::Revoke,
    control: Some("immediate.201.exchange"),
    expect: INVALID_TOKEN,
    ..ROW
};

/// On a client that the case creates.
const GUEST: Case =
    Case { needs: OPERATOR, effect: Effect::Provision, control: Some("immediate.201.guest"), ..AT_THAT };

pub const CASES: &[Case] = &[
    Case {
        id: "immediate.201.exchange",
        cell: Cell::Service(201),
        requirement: "A long-term token of an immediate client can be exchanged like any other.",
        control: Some("long.201.secret"),
        request: steps!(exchange),
        expect: GRANTED,
        mutants: &[mutant("immediate-refused", "rejects exchanges of immediate clients")],
        ..AT_THAT
    },
    Case {
        id: "immediate.401.revoked",
        requirement: "Once the revocation of an immediate client's long-term token is confirmed, every exchange of \
                      that token is rejected with 401 invalid_token.",
        section: "openapi.yaml, Consistency; openapi.yaml, revokeToken",
        request: steps!(revoked),
        mutants: &[mutant("immediate-lags-revocation", "exchanges revoked tokens of an immediate client for a while")],
        ..AT_THAT
    },
    Case {
        id: "immediate.401.self-revoked",
        requirement: "Once an immediate client's long-term token has revoked itself, every exchange of that token is \
                      rejected with 401 invalid_token.",
        section: "openapi.yaml, Consistency; openapi.yaml, revokeToken",
        request: steps!(self_revoked),
        mutants: &[mutant("immediate-forgets-self", "exchanges a long-term token that revoked itself")],
        ..AT_THAT
    },
    Case {
        id: "immediate.401.revoked-by-child",
        requirement: "Once an immediate client's short-term token has revoked its long-term token, every exchange of \
                      the long-term token is rejected with 401 invalid_token.",
        section: "openapi.yaml, Consistency; openapi.yaml, revokeToken",
        request: steps!(revoked_by_child),
        mutants: &[mutant(
            "immediate-forgets-parent",
            "exchanges a long-term token that its own short-term token revoked",
        )],
        ..AT_THAT
    },
    Case {
        id: "immediate.401.child",
        requirement: "Once the revocation of a long-term token is confirmed, its short-term tokens cannot revoke other \
                      tokens: 401 invalid_token.",
        section: "openapi.yaml, revokeToken",
        request: steps!(child),
        mutants: &[mutant(
            "caller-lags-revocation",
            "accepts the short-term tokens of a revoked long-term token for a while",
        )],
        ..AT_THAT
    },
    // ---- by operators
    Case {
        id: "immediate.201.guest",
        cell: Cell::Service(201),
        requirement: "A long-term token of a newly created immediate client can be exchanged at once.",
        section: "openapi.yaml, Consistency; openapi.yaml, createClient",
        control: Some("operators.201.secret"),
        request: steps!(guest),
        expect: GRANTED,
        mutants: &[mutant("immediate-guests-refused", "rejects exchanges of newly created clients")],
        ..GUEST
    },
    Case {
        id: "immediate.401.suspended",
        requirement: "Once the suspension of an immediate client is confirmed, every exchange by the client is \
                      rejected with 401 invalid_token.",
        section: "openapi.yaml, Consistency; openapi.yaml, ClientStatus",
        request: steps!(ended_by, "PATCH", "", || Some(json!({"status": "suspended"}))),
        mutants: &[mutant("immediate-lags-suspension", "exchanges tokens of a suspended immediate client for a while")],
        ..GUEST
    },
    Case {
        id: "immediate.401.end-tokens",
        requirement: "Once end-tokens is confirmed for an immediate client, every exchange of an earlier token is \
                      rejected with 401 invalid_token.",
        section: "openapi.yaml, Consistency; openapi.yaml, endClientTokens",
        request: steps!(ended_by, "POST", "/end-tokens", || None),
        mutants: &[mutant("immediate-lags-end-tokens", "exchanges tokens from before end-tokens for a while")],
        ..GUEST
    },
    Case {
        id: "immediate.401.deleted",
        requirement: "Once the deletion of an immediate client is confirmed, every exchange by the client is rejected \
                      with 401 invalid_token.",
        section: "openapi.yaml, Consistency; openapi.yaml, deleteClient",
        request: steps!(ended_by, "DELETE", "", || None),
        mutants: &[mutant("immediate-lags-deletion", "exchanges tokens of a deleted immediate client for a while")],
        ..GUEST
    },
    Case {
        id: "immediate.400.narrowed",
        cell: Cell::Service(400),
        requirement: "Once a PATCH that removes a scope from an immediate client is confirmed, every exchange that \
                      asks for that scope is rejected with 400 invalid_scope.",
        section: "openapi.yaml, Consistency; openapi.yaml, updateClient",
        request: steps!(narrowed),
        expect: INVALID_SCOPE,
        mutants: &[mutant("immediate-lags-narrowing", "grants scopes that an immediate client has lost for a while")],
        ..GUEST
    },
    Case {
        id: "immediate.201.restored",
        cell: Cell::Service(201),
        requirement: "Once the restoration of an immediate client is confirmed, every exchange by the client is \
                      answered with 201.",
        section: "openapi.yaml, Consistency; openapi.yaml, ClientStatus",
        control: Some("immediate.401.suspended"),
        request: steps!(restored),
        expect: GRANTED,
        mutants: &[mutant("immediate-lags-restoration", "rejects a restored immediate client for a while")],
        ..GUEST
    },
    Case {
        id: "immediate.401.switched",
        requirement: "Once a PATCH that makes a client immediate is confirmed, the client is immediate, also for \
                      tokens issued before.",
        section: "openapi.yaml, Consistency; openapi.yaml, updateClient",
        request: steps!(switched),
        mutants: &[mutant("immediate-by-creation", "treats a client as immediate only if it was created so")],
        ..GUEST
    },
    Case {
        id: "immediate.401.secret-ended",
        requirement: "Once the end of a secret is confirmed, that secret is rejected with 401 invalid_client.",
        section: "openapi.yaml, endClientSecret",
        request: steps!(secret_ended),
        expect: INVALID_CLIENT,
        mutants: &[mutant("immediate-secret-lags", "accepts a secret that has ended three more times")],
        ..GUEST
    },
    Case {
        id: "immediate.403.mechanism-gone",
        cell: Cell::Service(403),
        requirement: "Once a PATCH that removes the mechanism secret or assertion is confirmed, a valid credential of \
                      that mechanism is rejected with 403 unauthorized_client.",
        section: "openapi.yaml, Mechanisms; openapi.yaml, issueLongTermToken",
        request: steps!(mechanism_gone),
        expect: UNAUTHORIZED,
        mutants: &[mutant(
            "secret-of-creation",
            "accepts secrets of clients that were allowed to use them at creation",
        )],
        ..GUEST
    },
    Case {
        id: "immediate.403.otp-gone",
        cell: Cell::Service(403),
        requirement: "Once a PATCH that removes the mechanism otp is confirmed, a right one-time code is rejected with \
                      403 unauthorized_client.",
        section: "openapi.yaml, Mechanisms; openapi.yaml, issueLongTermToken",
        phase: Phase::Early,
        request: steps!(otp_gone),
        expect: UNAUTHORIZED,
        mutants: &[mutant(
            "otp-of-creation",
            "accepts one-time codes of clients that were allowed to use them at creation",
        )],
        ..GUEST
    },
    Case {
        id: "immediate.403.rotation-gone",
        cell: Cell::Service(403),
        requirement: "Once a PATCH that removes the mechanism rotation is confirmed, a rotation is rejected with 403 \
                      unauthorized_client.",
        section: "openapi.yaml, Mechanisms; openapi.yaml, issueLongTermToken",
        request: steps!(rotation_gone),
        expect: UNAUTHORIZED,
        mutants: &[mutant("rotation-for-all", "lets every client rotate")],
        ..GUEST
    },
    Case {
        id: "immediate.401.rotation-suspended",
        requirement: "Once the suspension of a client is confirmed, a rotation by the client is rejected with 401 \
                      invalid_token.",
        section: "openapi.yaml, ClientStatus; openapi.yaml, issueLongTermToken",
        request: steps!(rotation_suspended),
        mutants: &[mutant("caller-lags-suspension", "accepts the short-term tokens of a suspended client for a while")],
        ..GUEST
    },
    Case {
        id: "immediate.401.self-repeat-suspended",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "A token of a suspended client that revoked itself may not repeat that call: 401 invalid_token.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        control: Some("revoke.204.self-repeat"),
        request: steps!(suspended_repeat),
        expect: INVALID_TOKEN,
        mutants: &[mutant("suspended-repeat-204", "lets a suspended client's token repeat its own revocation")],
        ..ROW
    },
    // ---- rotations, which an object decides for every client
    Case {
        id: "immediate.401.rotation-revoked",
        requirement: "Rotations follow every change at once, even those of an eventual client: once the revocation of \
                      a short-term token is confirmed, a rotation with it is rejected with 401 invalid_token.",
        section: "openapi.yaml, Consistency; openapi.yaml, revokeToken",
        request: steps!(rotation_after, "", ""),
        mutants: &[mutant("rotation-lags-revocation", "rotates with a revoked token for a while")],
        ..GUEST
    },
    Case {
        id: "immediate.401.rotation-end-tokens",
        requirement: "Once end-tokens is confirmed, a rotation with an earlier token is rejected with 401 \
                      invalid_token, even if the client is eventual.",
        section: "openapi.yaml, Consistency; openapi.yaml, endClientTokens",
        request: steps!(rotation_after, "POST", "/end-tokens"),
        mutants: &[mutant("rotation-lags-end-tokens", "rotates with a token from before end-tokens for a while")],
        ..GUEST
    },
    Case {
        id: "immediate.401.rotation-deleted",
        requirement: "Once the deletion of a client is confirmed, a rotation with its token is rejected with 401 \
                      invalid_token, even if the client was eventual.",
        section: "openapi.yaml, Consistency; openapi.yaml, deleteClient",
        request: steps!(rotation_after, "DELETE", ""),
        mutants: &[mutant("rotation-lags-deletion", "rotates with a deleted client's token for a while")],
        ..GUEST
    },
    Case {
        id: "immediate.401.eventual-caller",
        requirement: "A revocation is decided by the state of now for every client: once the revocation of an eventual \
                      client's token is confirmed, every call of /revoke with that token is rejected with 401 \
                      invalid_token.",
        section: "openapi.yaml, Consistency; openapi.yaml, revokeToken",
        request: steps!(eventual_caller),
        mutants: &[mutant("revoker-lags-revocation", "lets a revoked token revoke others for a while")],
        ..GUEST
    },
    Case {
        id: "immediate.401.caller-suspended",
        requirement: "Once the suspension of a client is confirmed, its tokens can revoke nothing: 401 invalid_token.",
        section: "openapi.yaml, revokeToken; openapi.yaml, ClientStatus",
        request: steps!(caller_after, "PATCH", ""),
        mutants: &[mutant("revoker-lags-suspension", "lets a suspended client revoke for a while")],
        ..GUEST
    },
    Case {
        id: "immediate.401.caller-end-tokens",
        requirement: "Once end-tokens is confirmed, earlier tokens can revoke nothing: 401 invalid_token.",
        section: "openapi.yaml, revokeToken; openapi.yaml, endClientTokens",
        request: steps!(caller_after, "POST", "/end-tokens"),
        mutants: &[mutant("revoker-lags-end-tokens", "lets tokens from before end-tokens revoke for a while")],
        ..GUEST
    },
    Case {
        id: "immediate.401.caller-deleted",
        requirement: "Once the deletion of a client is confirmed, its tokens can revoke nothing: 401 invalid_token.",
        section: "openapi.yaml, revokeToken; openapi.yaml, deleteClient",
        request: steps!(caller_after, "DELETE", ""),
        mutants: &[mutant("revoker-lags-deletion", "lets a deleted client's tokens revoke for a while")],
        ..GUEST
    },
    // ---- exchanges of eventual clients, which follow within the window
    Case {
        id: "immediate.401.eventual-suspended",
        requirement: "Exchanges by an eventual client are rejected with 401 invalid_token after its suspension, within \
                      the consistency window.",
        section: "openapi.yaml, Consistency; openapi.yaml, ClientStatus",
        control: Some("operators.201.eventual"),
        request: steps!(eventual_after, "PATCH", "", || Some(json!({"status": "suspended"}))),
        mutants: &[mutant("eventual-ignores-suspension", "exchanges tokens of suspended eventual clients")],
        ..GUEST
    },
    Case {
        id: "immediate.401.eventual-end-tokens",
        requirement: "Exchanges of an eventual client's earlier tokens are rejected with 401 invalid_token after \
                      end-tokens, within the consistency window.",
        section: "openapi.yaml, Consistency; openapi.yaml, endClientTokens",
        control: Some("operators.201.eventual"),
        request: steps!(eventual_after, "POST", "/end-tokens", || None),
        mutants: &[mutant(
            "eventual-ignores-end-tokens",
            "exchanges an eventual client's tokens from before end-tokens",
        )],
        ..GUEST
    },
    Case {
        id: "immediate.401.eventual-deleted",
        requirement: "Exchanges by an eventual client are rejected with 401 invalid_token after its deletion, within \
                      the consistency window.",
        section: "openapi.yaml, Consistency; openapi.yaml, deleteClient",
        control: Some("operators.201.eventual"),
        request: steps!(eventual_after, "DELETE", "", || None),
        mutants: &[mutant("eventual-ignores-deletion", "exchanges tokens of deleted eventual clients")],
        ..GUEST
    },
    Case {
        id: "immediate.401.assertion-replayed",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "An assertion of an immediate client is accepted once: sent again, it is rejected with 401 \
                      invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 7523 section 3",
        needs: &[(Immediate, ClientId), (Immediate, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(replayed),
        expect: INVALID_CLIENT,
        mutants: &[mutant("immediate-jti-unchecked", "accepts an assertion of an immediate client again")],
        ..ROW
    },
    Case {
        id: "immediate.201.rotation-auth-time",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "A rotation of an immediate client hands auth_time on.",
        section: "docs/api.md, Tokens",
        needs: &[(Immediate, ClientId), (Immediate, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(rotation_auth_time),
        expect: GRANTED,
        mutants: &[mutant(
            "auth-time-moves-for-immediate",
            "takes a later auth_time in a rotation of an immediate client",
        )],
        ..ROW
    },
    Case {
        id: "immediate.201.lifetime",
        cell: Cell::Service(201),
        level: Level::Service,
        requirement: "An immediate client's short-term token lives as long as any other.",
        section: "openapi.yaml, ShortTokenResponse",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Immediate), &[]),
        expect: GRANTED,
        also: &[Also::ShortDefault],
        mutants: &[mutant("immediate-lives-600", "issues tokens of ten minutes to immediate clients")],
        ..ROW
    },
];

/// Expects the same of every one of several simultaneous exchanges.
async fn all_are(t: &Trial<'_>, request: &Request) -> Result<(), Stop> {
    for answer in t.send_at_once(request, AT_ONCE).await? {
        t.expect(t.due, &answer)?;
    }
    Ok(())
}

async fn exchange(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Immediate, &["jobs:submit"]).await?;
    t.exchange_is(&long, t.due).await
}

/// Asks once before the change, so that any cache holds the earlier answer.
async fn fresh(t: &Trial<'_>, scopes: &[&str]) -> Result<Token, Stop> {
    let long = t.mint_long(Immediate, scopes).await?;
    t.exchanges(&long).await?;
    Ok(long)
}

async fn revoked(t: &Trial<'_>) -> Result<(), Stop> {
    let by = t.shared(Immediate, "short").await?;
    let long = fresh(t, &["jobs:submit"]).await?;
    t.expect(ENDED, &t.send(&endpoint::revoke(&by.token, &long.id)).await?)?;
    all_are(t, &endpoint::exchange(&long.token)).await
}

async fn self_revoked(t: &Trial<'_>) -> Result<(), Stop> {
    let long = fresh(t, &["jobs:submit"]).await?;
    t.expect(ENDED, &t.send(&endpoint::revoke(&long.token, &long.id)).await?)?;
    all_are(t, &endpoint::exchange(&long.token)).await
}

async fn revoked_by_child(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Immediate, &["tokens:revoke"]).await?;
    let short = t.mint_short(&long, &["tokens:revoke"]).await?;
    t.expect(ENDED, &t.send(&endpoint::revoke(&short.token, &long.id)).await?)?;
    all_are(t, &endpoint::exchange(&long.token)).await
}

async fn child(t: &Trial<'_>) -> Result<(), Stop> {
    let by = t.shared(Immediate, "short").await?;
    let victim = t.shared(Immediate, "spare").await?;
    let long = t.mint_long(Immediate, &["tokens:revoke"]).await?;
    let short = t.mint_short(&long, &["tokens:revoke"]).await?;
    t.expect(ENDED, &t.send(&endpoint::revoke(&by.token, &long.id)).await?)?;
    all_are(t, &endpoint::revoke(&short.token, &victim.id)).await
}

async fn guest(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let long = t.mint_long_as(&client.id, client.secret()?, &["jobs:submit"]).await?;
    all_are(t, &endpoint::exchange(&long.token)).await
}

/// A new client and one of its long-term tokens, which was exchanged before.
async fn client_and_token(t: &Trial<'_>, members: Value, scopes: &[&str]) -> Result<(Client, Token), Stop> {
    let client = t.client_with(members).await?;
    let long = t.mint_long_as(&client.id, client.secret()?, scopes).await?;
    t.exchanges(&long).await?;
    Ok((client, long))
}

async fn ended_by(t: &Trial<'_>, method: &str, below: &str, body: fn() -> Option<Value>) -> Result<(), Stop> {
    let (client, long) = client_and_token(t, json!({}), &["jobs:submit"]).await?;
    let due = if method == "PATCH" { 200 } else { 204 };
    t.operate(method, &format!("{}{below}", client.path), body(), due).await?;
    all_are(t, &endpoint::exchange(&long.token)).await
}

async fn narrowed(t: &Trial<'_>) -> Result<(), Stop> {
    let members = json!({"scopes": ["jobs:*", "templates:read"]});
    let (client, long) = client_and_token(t, members, &["jobs:*", "templates:read"]).await?;
    t.operate("PATCH", &client.path, Some(json!({"scopes": ["jobs:submit"]})), 200).await?;
    for lost in ["templates:read", "jobs:*", "jobs:read"] {
        let asked = Some(json!({"scopes": [lost]}));
        all_are(t, &endpoint::post(endpoint::SHORT, Some(&long.token), asked)).await?;
    }
    let answer = t.send(&endpoint::exchange(&long.token)).await?;
    t.expect(GRANTED, &answer)?;
    t.check(Also::Scopes(&["jobs:submit"]), &answer)
}

async fn restored(t: &Trial<'_>) -> Result<(), Stop> {
    let (client, long) = client_and_token(t, json!({}), &["jobs:submit"]).await?;
    t.operate("PATCH", &client.path, Some(json!({"status": "suspended"})), 200).await?;
    t.exchange_is(&long, INVALID_TOKEN).await?;
    t.operate("PATCH", &client.path, Some(json!({"status": "active"})), 200).await?;
    all_are(t, &endpoint::exchange(&long.token)).await
}

async fn switched(t: &Trial<'_>) -> Result<(), Stop> {
    let (client, long) = client_and_token(t, json!({"consistency": "eventual"}), &["jobs:submit"]).await?;
    t.operate("PATCH", &client.path, Some(json!({"consistency": "immediate"})), 200).await?;
    t.exchanges(&long).await?;
    t.expect(ENDED, &t.send(&endpoint::revoke(&long.token, &long.id)).await?)?;
    all_are(t, &endpoint::exchange(&long.token)).await
}

async fn secret_ended(t: &Trial<'_>) -> Result<(), Stop> {
    let (client, _) = client_and_token(t, json!({}), &["jobs:submit"]).await?;
    t.operate("DELETE", &client.below(&format!("secrets/{}", client.secret_id()?)), None, 204).await?;
    for _ in 0..3 {
        t.log_in_by_secret(&client, client.secret()?, t.due).await?;
    }
    Ok(())
}

async fn mechanism_gone(t: &Trial<'_>) -> Result<(), Stop> {
    let signer = t.signer("first")?;
    let members = json!({"mechanisms": ["secret", "assertion"], "jwks": {"keys": [signer.jwk]}});
    let (client, _) = client_and_token(t, members, &["jobs:submit"]).await?;
    t.log_in_by_assertion(&client, &signer, GRANTED).await?;
    t.operate("PATCH", &client.path, Some(json!({"mechanisms": ["assertion"]})), 200).await?;
    t.log_in_by_secret(&client, client.secret()?, t.due).await?;
    t.operate("PATCH", &client.path, Some(json!({"mechanisms": ["secret"]})), 200).await?;
    t.log_in_by_assertion(&client, &signer, t.due).await
}

async fn otp_gone(t: &Trial<'_>) -> Result<(), Stop> {
    let (client, _) = client_and_token(t, json!({"mechanisms": ["secret", "otp"]}), &["jobs:submit"]).await?;
    t.operate("PATCH", &client.path, Some(json!({"mechanisms": ["secret"]})), 200).await?;
    t.log_in_by_code(&client, client.text("totp_secret")?, t.calm_step().await?, t.due).await
}

/// A client that may rotate, a short-term token to do it with, and the request.
async fn rotating(t: &Trial<'_>, consistency: &str) -> Result<(Client, Token, Request), Stop> {
    let members = json!({
        "scopes": ["jobs:submit", "tokens:write"], "mechanisms": ["secret", "rotation"], "consistency": consistency,
    });
    let client = t.client_with(members).await?;
    let (_, short) = t.tokens_of(&client, &["jobs:submit", "tokens:write"]).await?;
    let body = json!({"grant_type": "client_credentials", "client_id": client.id, "ttl_seconds": 3600});
    let mut request = endpoint::post(LONG, Some(&short.token), Some(body));
    request.set("x-client-id", client.id.as_str());
    let answer = t.send(&request).await?;
    t.expect(GRANTED, &answer)?;
    if token_in(&answer).is_none() {
        return Err(Stop::Blocked("this case first needs a rotation, which failed: see long.201.rotation".to_owned()));
    }
    Ok((client, short, request))
}

async fn rotation_gone(t: &Trial<'_>) -> Result<(), Stop> {
    let (client, _, request) = rotating(t, "immediate").await?;
    t.operate("PATCH", &client.path, Some(json!({"mechanisms": ["secret"]})), 200).await?;
    all_are(t, &request).await
}

async fn rotation_suspended(t: &Trial<'_>) -> Result<(), Stop> {
    let (client, _, request) = rotating(t, "immediate").await?;
    t.operate("PATCH", &client.path, Some(json!({"status": "suspended"})), 200).await?;
    all_are(t, &request).await
}

async fn suspended_repeat(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest().await?;
    let long = t.guest_long(&guest, &["jobs:submit"]).await?;
    let request = endpoint::revoke(&long.token, &long.id);
    for _ in 0..2 {
        t.expect(ENDED, &t.send(&request).await?)?;
    }
    t.change(&guest, json!({"status": "suspended"})).await?;
    t.expect(t.due, &t.send(&request).await?)
}

/// Without a method, the short-term token revokes itself.
async fn rotation_after(t: &Trial<'_>, method: &str, below: &str) -> Result<(), Stop> {
    let (client, short, request) = rotating(t, "eventual").await?;
    match method {
        "" => t.revoked(&short, &short).await?,
        _ => drop(t.operate(method, &format!("{}{below}", client.path), None, 204).await?),
    }
    all_are(t, &request).await
}

async fn eventual_caller(t: &Trial<'_>) -> Result<(), Stop> {
    let members = json!({"consistency": "eventual", "scopes": ["jobs:submit", "tokens:revoke"]});
    let client = t.client_with(members).await?;
    let (_, victim) = t.tokens_of(&client, &["jobs:submit"]).await?;
    let (_, caller) = t.tokens_of(&client, &["tokens:revoke"]).await?;
    t.revoked(&caller, &caller).await?;
    all_are(t, &endpoint::revoke(&caller.token, &victim.id)).await
}

async fn caller_after(t: &Trial<'_>, method: &str, below: &str) -> Result<(), Stop> {
    let client = t.client_with(json!({"scopes": ["jobs:submit", "tokens:revoke"]})).await?;
    let (_, victim) = t.tokens_of(&client, &["jobs:submit"]).await?;
    let (long, short) = t.tokens_of(&client, &["tokens:revoke"]).await?;
    let (body, due) = if method == "PATCH" { (Some(json!({"status": "suspended"})), 200) } else { (None, 204) };
    t.operate(method, &format!("{}{below}", client.path), body, due).await?;
    for caller in [long, short] {
        all_are(t, &endpoint::revoke(&caller.token, &victim.id)).await?;
    }
    Ok(())
}

async fn eventual_after(t: &Trial<'_>, method: &str, below: &str, body: fn() -> Option<Value>) -> Result<(), Stop> {
    let (client, long) = client_and_token(t, json!({"consistency": "eventual"}), &["jobs:submit"]).await?;
    let due = if method == "PATCH" { 200 } else { 204 };
    t.operate(method, &format!("{}{below}", client.path), body(), due).await?;
    t.until_refused(&endpoint::exchange(&long.token), t.due).await
}

async fn replayed(t: &Trial<'_>) -> Result<(), Stop> {
    let request = draft::build(t, Assertion(Immediate), &[]).await?;
    t.expect(GRANTED, &t.send(&request).await?)?;
    t.expect(t.due, &t.send(&request).await?)
}

async fn rotation_auth_time(t: &Trial<'_>) -> Result<(), Stop> {
    let id = t.setting(Immediate, ClientId)?;
    let long = fresh(t, &["tokens:write"]).await?;
    let short = t.mint_short(&long, &["tokens:write"]).await?;
    t.run.wait_until(t.run.clock.now() + 2).await?;
    let rotated = t.rotated(&id, &short).await?;
    let later = t.mint_short(&rotated, &["tokens:write"]).await?;
    let at = |token: &Token| crate::trial::feed::claims(token).map(|claims| claims["auth_time"].clone());
    t.equal("auth_time", &at(&short)?, &at(&later)?)
}
