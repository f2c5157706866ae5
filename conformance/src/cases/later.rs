//! Rules that are checked a second time, ten seconds later or at the end of the run. They find servers that keep a
//! state only for a moment.

use super::long::otp;
use crate::case::*;
use crate::endpoint;
use crate::jose::Jwt;
use crate::trial::draft;
use crate::trial::mint::token_in;
use serde_json::json;

pub const CASES: &[Case] = &[
    Case {
        id: "long.201.rotation-grace-later",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "Ten seconds after a rotation the old long-term token still works, because its grace period has \
                      not ended.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        phase: Phase::Rests,
        control: Some("long.201.rotation"),
        request: steps!(grace),
        expect: GRANTED,
        mutants: &[mutant("grace-for-seconds", "revokes the old token after five seconds")],
        ..ROW
    },
    Case {
        id: "long.201.rotation-auth-time-later",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A rotation keeps auth_time, because the client presented no credential.",
        section: "docs/api.md, Tokens",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        phase: Phase::Rests,
        control: Some("long.201.rotation-usable"),
        request: steps!(auth_time, Through::Rotation),
        expect: GRANTED,
        mutants: &[mutant("auth-time-of-rotation", "sets a new auth_time in a rotation")],
        ..ROW
    },
    Case {
        id: "long.401.assertion-replayed-later",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An assertion that is replayed ten seconds after it was accepted is rejected with 401 \
                      invalid_client.",
        section: "RFC 7523 section 3; RFC 7519 section 4.1.7",
        needs: &[(Valid, ClientId), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        phase: Phase::Rests,
        control: Some("long.201.assertion"),
        request: steps!(replayed),
        expect: INVALID_CLIENT,
        mutants: &[mutant("jti-forgotten", "forgets a used jti after five seconds")],
        ..ROW
    },
    Case {
        id: "long.401.otp-reused-later",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A one-time code that is sent again ten seconds after it was accepted is rejected with 401 \
                      invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(Valid, ClientId), (Valid, TotpSecret)],
        effect: Effect::Mint,
        phase: Phase::Rests,
        control: Some("long.201.otp"),
        request: steps!(code_reused),
        expect: INVALID_CLIENT,
        mutants: &[mutant("code-forgotten", "forgets a used code after five seconds")],
        ..ROW
    },
    Case {
        id: "short.201.auth-time-later",
        cell: Cell::Short(201),
        level: Level::Contract,
        requirement: "An exchange keeps auth_time: the short-term token has that of its long-term token.",
        section: "docs/api.md, Tokens",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        phase: Phase::Rests,
        control: Some("short.201.exchange"),
        request: steps!(auth_time, Through::Exchange),
        expect: GRANTED,
        mutants: &[mutant("auth-time-of-exchange", "sets a new auth_time in an exchange")],
        ..ROW
    },
    Case {
        id: "short.401.revoked-later",
        cell: Cell::Short(401),
        level: Level::Contract,
        requirement: "Ten seconds after its revocation a long-term token is still rejected with 401 invalid_token.",
        section: "openapi.yaml, issueShortTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        phase: Phase::Rests,
        control: Some("short.201.exchange"),
        request: steps!(stays_ended, Ended::Long),
        expect: INVALID_TOKEN,
        mutants: &[mutant("ends-forgotten", "forgets the revocation of a long-term token after five seconds")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-revoked-later",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Ten seconds after its revocation a short-term token is still rejected with 401 invalid_token.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        phase: Phase::Rests,
        control: Some("long.201.rotation"),
        request: steps!(stays_ended, Ended::Short),
        expect: INVALID_TOKEN,
        mutants: &[mutant("short-ends-forgotten", "forgets the revocation of a short-term token after five seconds")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-orphaned-later",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Ten seconds after the revocation of its long-term token, a short-term token is still rejected \
                      with 401 invalid_token.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        phase: Phase::Rests,
        control: Some("long.201.rotation"),
        request: steps!(stays_ended, Ended::Parent),
        expect: INVALID_TOKEN,
        mutants: &[mutant(
            "cascade-forgotten",
            "accepts the short-term tokens of a revoked long-term token after five seconds",
        )],
        ..ROW
    },
    Case {
        id: "revoke.204.repeat-later",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "Ten seconds after its revocation a token can be revoked again, by itself and by another token, \
                      with 204.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        phase: Phase::Rests,
        control: Some("long.201.secret"),
        request: steps!(repeats),
        expect: ENDED,
        mutants: &[mutant("repeat-404-later", "answers 404 for a token that was revoked five seconds ago")],
        ..ROW
    },
    Case {
        id: "feed.200.still-listed",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "Ten seconds after a revocation its entry is still in the feed.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        phase: Phase::Rests,
        control: Some("feed.200.token"),
        request: steps!(still_listed),
        expect: plain(200),
        mutants: &[mutant("feed-forgets", "drops an entry after five seconds")],
        ..ROW
    },
    Case {
        id: "introspection.200.revoked-later",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "Ten seconds after its revocation a token is still inactive.",
        section: "openapi.yaml, introspectToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Reader, ClientId), (Reader, ClientSecret)],
        effect: Effect::Revoke,
        phase: Phase::Rests,
        control: Some("introspection.200.revoked"),
        request: steps!(introspected_later),
        expect: plain(200),
        mutants: &[mutant("introspection-forgets", "forgets revocations after five seconds in introspection")],
        ..ROW
    },
    Case {
        id: "operators.401.revoked-later",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "Ten seconds after its revocation an operator's token is still rejected with 401 invalid_token.",
        section: "openapi.yaml, ReadRefused",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Revoke,
        phase: Phase::Rests,
        control: Some("operators.401.revoked"),
        request: steps!(operator_later),
        expect: INVALID_TOKEN,
        mutants: &[mutant("clients-forget-revocation", "accepts an operator's revoked token after five seconds")],
        ..ROW
    },
    Case {
        id: "revoke.401.revoked-later",
        cell: Cell::Revoke(401),
        level: Level::Contract,
        requirement: "Ten seconds after its revocation a token still can't revoke others: 401 invalid_token.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        phase: Phase::Rests,
        control: Some("revoke.401.revoked-short-bearer"),
        request: steps!(revoker_later),
        expect: INVALID_TOKEN,
        mutants: &[mutant("revoker-forgets", "lets a revoked token revoke others after five seconds")],
        ..ROW
    },
    Case {
        id: "feed.200.parent-still-listed",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "Ten seconds after the revocation of a long-term token its entry is still in the feed.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Provision,
        phase: Phase::Rests,
        control: Some("feed.200.parent"),
        request: steps!(parent_still_listed),
        expect: plain(200),
        mutants: &[mutant("feed-forgets-parents", "drops the entry of a long-term token after five seconds")],
        ..ROW
    },
    Case {
        id: "feed.200.client-still-listed",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "Ten seconds after end-tokens, after a suspension and after a deletion, the client is still in \
                      the feed.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Operator, ClientId), (Operator, ClientSecret)],
        effect: Effect::Provision,
        phase: Phase::Rests,
        control: Some("feed.200.suspended"),
        request: steps!(clients_still_listed),
        expect: plain(200),
        mutants: &[mutant("feed-forgets-clients", "drops the entry of a client after five seconds")],
        ..ROW
    },
];

#[derive(Clone, Copy)]
enum Through {
    Exchange,
    Rotation,
}

#[derive(Clone, Copy)]
enum Ended {
    Long,
    Short,
    /// The short-term token's long-term token was revoked.
    Parent,
}

fn still(stop: Stop) -> Stop {
    stop.wanted(|wanted| format!("{wanted}, ten seconds later too"))
}

async fn grace(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(t.tenant(), &[PLAIN, "tokens:write"]).await?;
    let short = t.mint_short(&long, &[PLAIN, "tokens:write"]).await?;
    t.expect(GRANTED, &t.send(&t.rotate_request(t.tenant(), &short.token, Some(&[PLAIN]))?).await?)?;
    t.later().await?;
    t.expect(t.due, &t.send(&endpoint::exchange(&long.token)).await?).map_err(still)
}

async fn replayed(t: &Trial<'_>) -> Result<(), Stop> {
    let request = draft::build(t, Assertion(Valid), &[]).await?;
    t.expect(GRANTED, &t.send(&request).await?)?;
    t.later().await?;
    t.expect(t.due, &t.send(&request).await?).map_err(still)
}

async fn code_reused(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = otp::scene(t).await?;
    let request = t.otp_request(Valid, &t.code(Valid, scene.step)?)?;
    t.later().await?;
    t.expect(t.due, &t.send(&request).await?).map_err(still)
}

/// When the client of this long-term token last presented a credential, according to an exchange.
async fn credential_shown_at(t: &Trial<'_>, long: &str) -> Result<u64, Stop> {
    let answer = t.send(&endpoint::exchange(long)).await?;
    t.expect(GRANTED, &answer)?;
    let jwt = token_in(&answer).and_then(|token| Jwt::read(&token.token));
    let jwt = jwt.ok_or_else(|| Stop::Blocked("the short-term token is not a JWT: see short.201.jwt".to_owned()))?;
    let at = jwt.claims["auth_time"].as_u64();
    at.ok_or_else(|| Stop::fail("auth_time in whole seconds", format!("auth_time {}", jwt.claims["auth_time"])))
}

async fn auth_time(t: &Trial<'_>, through: Through) -> Result<(), Stop> {
    let long = t.mint_long(t.tenant(), &[PLAIN, "tokens:write"]).await?;
    let before = credential_shown_at(t, &long.token).await?;
    t.later().await?;
    let (long, what) = match through {
        Through::Exchange => (long.token, "another exchange"),
        Through::Rotation => {
            let short = t.mint_short(&long, &[PLAIN, "tokens:write"]).await?;
            let answer = t.send(&t.rotate_request(t.tenant(), &short.token, Some(&[PLAIN]))?).await?;
            t.expect(GRANTED, &answer)?;
            (token_in(&answer).map(|token| token.token).unwrap_or_default(), "a rotation")
        }
    };
    let after = credential_shown_at(t, &long).await?;
    if before == after {
        return Ok(());
    }
    Err(Stop::fail(
        format!("auth_time {before} after {what} ten seconds later, as before"),
        format!("auth_time {after}, {} s later", after.saturating_sub(before)),
    ))
}

async fn stays_ended(t: &Trial<'_>, ended: Ended) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    let short = t.mint_short(&long, &[PLAIN, "tokens:write"]).await?;
    let (victim, request) = match ended {
        Ended::Long => (&long, endpoint::exchange(&long.token)),
        Ended::Short => (&short, t.rotate_request(t.tenant(), &short.token, Some(&[PLAIN]))?),
        Ended::Parent => (&long, t.rotate_request(t.tenant(), &short.token, Some(&[PLAIN]))?),
    };
    t.revoked(&bearer, victim).await?;
    t.until_refused(&request, t.due).await?;
    t.later().await?;
    t.until_refused(&request, t.due).await.map_err(still)
}

async fn repeats(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, victim) = t.pair().await?;
    let by_another = endpoint::revoke(&bearer.token, &victim.id);
    let by_itself = endpoint::revoke(&victim.token, &victim.id);
    t.expect(t.due, &t.send(&by_another).await?)?;
    t.later().await?;
    t.expect(t.due, &t.send(&by_another).await?).map_err(still)?;
    t.expect(t.due, &t.send(&by_itself).await?).map_err(still)
}

async fn still_listed(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, short) = t.ended_short().await?;
    t.feed_lists("token", &short.id).await?;
    stay_listed(t, "token", &[&short.id]).await
}

/// Ten seconds later.
async fn stay_listed(t: &Trial<'_>, kind: &str, ids: &[&str]) -> Result<(), Stop> {
    t.later().await?;
    let feed = t.feed("").await?;
    match ids.iter().find(|id| feed.entry(kind, id).is_none()) {
        None => Ok(()),
        Some(id) => Err(still(Stop::fail(format!("the entry of {id}"), "no entry"))),
    }
}

async fn introspected_later(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, short) = t.ended_short().await?;
    let reader = t.shared(Reader, "short").await?;
    t.later().await?;
    let answer = t.send(&endpoint::introspect(&reader.token, &short.token)).await?;
    t.expect(t.due, &answer)?;
    t.check(Also::Inactive, &answer).map_err(still)
}

async fn operator_later(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Operator, &["clients:*", "tokens:*"]).await?;
    let short = t.mint_short(&long, &["clients:*", "tokens:*"]).await?;
    t.revoked(&long, &short).await?;
    t.later().await?;
    t.expect(t.due, &t.call_by(&short.token, "GET", endpoint::CLIENTS, None).await?).map_err(still)
}

async fn revoker_later(t: &Trial<'_>) -> Result<(), Stop> {
    let bearer = t.shared(t.tenant(), "short").await?;
    let victim = t.shared(t.tenant(), "spare").await?;
    let long = t.mint_long(t.tenant(), &["tokens:revoke"]).await?;
    let caller = t.mint_short(&long, &["tokens:revoke"]).await?;
    t.revoked(&bearer, &caller).await?;
    let request = endpoint::revoke(&caller.token, &victim.id);
    t.until_refused(&request, t.due).await?;
    t.later().await?;
    t.until_refused(&request, t.due).await.map_err(still)
}

async fn parent_still_listed(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = t.pair().await?;
    t.revoked(&bearer, &long).await?;
    t.feed_lists("parent", &long.id).await?;
    stay_listed(t, "parent", &[&long.id]).await
}

async fn clients_still_listed(t: &Trial<'_>) -> Result<(), Stop> {
    let guests = [t.guest().await?, t.guest().await?, t.guest().await?];
    t.end_tokens(&guests[0]).await?;
    t.change(&guests[1], json!({"status": "suspended"})).await?;
    t.operate("DELETE", &guests[2].path, None, 204).await?;
    for guest in &guests {
        t.feed_until("", |feed| {
            feed.entry("client", &guest.id).ok_or_else(|| Stop::fail(format!("an entry for {}", guest.id), "no entry"))
        })
        .await?;
    }
    stay_listed(t, "client", &guests.each_ref().map(|guest| guest.id.as_str())).await
}
