//! POST /auth/tokens/{tokenId}/revoke: almost valid ids, altered in every part that must be checked.

use super::ids::UNKNOWN;
use crate::case::*;
use crate::endpoint;
use crate::jose;
use crate::matrix::Op;
use crate::watch::Seen;

pub const CASES: &[Case] = &[
    Case {
        id: "revoke.204.id-percent-encoded",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "A percent-encoded token id is decoded.",
        section: "openapi.yaml, revokeToken; RFC 3986 section 2.4",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(encoded),
        expect: ENDED,
        mutants: &[mutant("id-not-decoded", "does not decode an id")],
        ..ROW
    },
    Case {
        id: "revoke.404.id-first",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "An id is answered with 404 not_found if its first character, which encodes the expiry, was \
                      changed.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(nearly, Near::First),
        expect: NOT_FOUND,
        mutants: &[mutant("id-end-unbound", "does not bind the expiry into the id's MAC")],
        ..ROW
    },
    Case {
        id: "revoke.404.id-quarter",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "An id with its random part changed is answered with 404 not_found.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(nearly, Near::Quarter),
        expect: NOT_FOUND,
        mutants: &[mutant("id-random-unbound", "does not bind the random part into the id's MAC")],
        ..ROW
    },
    Case {
        id: "revoke.404.id-last",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "An id with its last character changed is answered with 404 not_found.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(nearly, Near::Last),
        expect: NOT_FOUND,
        mutants: &[mutant("id-mac-without-last", "does not compare the last byte of the id's MAC")],
        ..ROW
    },
    Case {
        id: "revoke.404.id-cut",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "An id with a truncated MAC is answered with 404 not_found, at whatever length it was cut.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(cut),
        expect: NOT_FOUND,
        mutants: &[mutant("id-mac-by-length", "compares only as much of the id's MAC as was sent")],
        ..ROW
    },
    Case {
        id: "revoke.404.id-other-kind",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "A long-term token's id with the prefix of a short-term token is answered with 404 not_found.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(nearly, Near::OtherKind),
        expect: NOT_FOUND,
        mutants: &[mutant("id-kind-unbound", "does not bind the token's kind into the id's MAC")],
        ..ROW
    },
    Case {
        id: "revoke.404.id-recased",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "An id with its prefix in upper case is answered with 404 not_found.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(nearly, Near::Recased),
        expect: NOT_FOUND,
        mutants: &[mutant("id-prefix-folded", "ignores the case of an id's prefix")],
        ..ROW
    },
    Case {
        id: "revoke.404.id-padded",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "An id with base64 padding appended is answered with 404 not_found.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(nearly, Near::Padded),
        expect: NOT_FOUND,
        mutants: &[mutant("id-padding-ok", "ignores padding after an id")],
        ..ROW
    },
    Case {
        id: "revoke.404.id-spaced",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "An id with a leading space is answered with 404 not_found.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(nearly, Near::Spaced),
        expect: NOT_FOUND,
        mutants: &[mutant("id-trimmed", "trims an id")],
        ..ROW
    },
    Case {
        id: "revoke.404.foreign-ended",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "The id of another client's revoked token is answered with 404 not_found, not 204.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Other, ClientId), (Other, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.404.foreign"),
        request: steps!(foreign_ended),
        expect: NOT_FOUND,
        mutants: &[mutant("foreign-ended-204", "answers 204 to any id that was revoked")],
        ..ROW
    },
    Case {
        id: "revoke.404.alike-forged",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "Forged, truncated, undecodable and other clients' ids all get 404 with the same body, details \
                      included.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Other, ClientId), (Other, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.404.foreign"),
        request: steps!(alike),
        expect: NOT_FOUND,
        mutants: &[
            mutant("forged-told", "reveals in details that an id's MAC is wrong"),
            mutant("malformed-told", "reveals in details that an id is malformed"),
            mutant("foreign-short-told", "reveals in details that a short-term token's id belongs to another client"),
        ],
        ..ROW
    },
    Case {
        id: "revoke.404.alike-without-scope",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "Without tokens:revoke, another client's id and an id that was never issued both get the same \
                      404.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Other, ClientId), (Other, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.404.without-scope"),
        request: steps!(alike_without_scope),
        expect: NOT_FOUND,
        mutants: &[mutant("foreign-needs-scope", "answers 401 for another client's token if tokens:revoke is missing")],
        ..ROW
    },
    Case {
        id: "revoke.404.always-alike",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "Every 404 from /revoke has the same body: no answer of the run reveals why an id is not found.",
        section: "openapi.yaml, revokeToken",
        request: AlikeAnswers(not_found),
        mutants: &[mutant("id-length-told", "reveals that an id has the wrong length")],
        ..ROW
    },
];

#[derive(Clone, Copy)]
enum Near {
    First,
    Quarter,
    Last,
    OtherKind,
    Recased,
    Padded,
    Spaced,
}

/// Where the id begins after its prefix.
fn start(id: &str) -> usize {
    if id.starts_with("tok_lt_") || id.starts_with("tok_st_") { 7 } else { 0 }
}

/// The id, and how failure messages describe it.
fn changed(id: &str, near: Near) -> (String, &'static str) {
    let (from, length) = (start(id), id.len());
    match near {
        Near::First => (jose::flip_at(id, from), "with its first character changed"),
        Near::Quarter => (jose::flip_at(id, from + (length - from) / 4), "with a character in its first half changed"),
        Near::Last => (jose::flip_at(id, length - 1), "with its last character changed"),
        Near::OtherKind => (id.replacen("tok_lt_", "tok_st_", 1), "with the prefix of the other kind"),
        Near::Recased => (format!("{}{}", id[..from].to_uppercase(), &id[from..]), "with its prefix in upper case"),
        Near::Padded => (format!("{id}="), "with padding appended"),
        Near::Spaced => (format!(" {id}"), "with a leading space"),
    }
}

/// The token that the altered id resembles must keep working.
async fn nearly(t: &Trial<'_>, near: Near) -> Result<(), Stop> {
    let (bearer, victim) = t.pair().await?;
    if !victim.id.is_ascii() || victim.id.len() < 16 {
        return Err(Stop::Blocked(
            "the token id is not ASCII, or is shorter than 16 characters, so this case can't alter it character by character".to_owned(),
        ));
    }
    let (id, what) = changed(&victim.id, near);
    let answer = t.send(&endpoint::revoke(&bearer.token, &id)).await?;
    t.expect(t.due, &answer).map_err(|stop| stop.wanted(|wanted| format!("{wanted} for an id {what}")))?;
    let answer = t.send(&endpoint::exchange(&victim.token)).await?;
    t.expect(GRANTED, &answer).map_err(|stop| {
        stop.wanted(|wanted| format!("{wanted} for the original token, because an id {what} revokes nothing"))
    })
}

async fn cut(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, victim) = t.pair().await?;
    let length = victim.id.len();
    for off in [1, 4, 8, 16] {
        let id = victim.id.get(..length.saturating_sub(off)).unwrap_or_default();
        let answer = t.send(&endpoint::revoke(&bearer.token, id)).await?;
        t.expect(t.due, &answer)
            .map_err(|stop| stop.wanted(|wanted| format!("{wanted} for an id without its last {off} characters")))?;
    }
    Ok(())
}

/// One letter of the id percent-encoded, which is equivalent (RFC 3986 section 2.3).
async fn encoded(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, victim) = t.pair().await?;
    let first = victim.id.bytes().next().unwrap_or_default();
    let mut request = endpoint::revoke(&bearer.token, &victim.id);
    request.path = format!("/auth/tokens/%{first:02X}{}/revoke", victim.id.get(1..).unwrap_or_default());
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer)?;
    t.until_refused(&endpoint::exchange(&victim.token), INVALID_TOKEN).await
}

async fn foreign_ended(t: &Trial<'_>) -> Result<(), Stop> {
    let bearer = t.shared(Valid, "short").await?;
    let foreign = t.mint_long(Other, &["tokens:revoke"]).await?;
    t.revoked(&foreign, &foreign).await?;
    let answer = t.send(&endpoint::revoke(&bearer.token, &foreign.id)).await?;
    t.expect(t.due, &answer)
}

async fn all_alike(t: &Trial<'_>, bearer: &Token, paths: &[(String, &str)]) -> Result<(), Stop> {
    let mut model: Option<Answer> = None;
    for (path, what) in paths {
        let answer = t.send(&endpoint::post(path, Some(&bearer.token), None)).await?;
        t.expect(t.due, &answer).map_err(|stop| stop.wanted(|wanted| format!("{wanted} for {what}")))?;
        let model = model.get_or_insert_with(|| answer.clone());
        if answer.json() != model.json() {
            let told = |answer: &Answer| {
                let body = answer.json().unwrap_or_default();
                format!("{}, details {}", t.summary(answer), body["details"])
            };
            return Err(Stop::fail(
                format!("for {what} the same answer as for {}: {}", paths[0].1, told(model)),
                told(&answer),
            ));
        }
    }
    Ok(())
}

async fn alike(t: &Trial<'_>) -> Result<(), Stop> {
    let bearer = t.shared(Valid, "short").await?;
    let own = t.shared(Valid, "spare").await?.id;
    let foreign = t.shared(Other, "spare").await?.id;
    let foreign_short = t.shared(Other, "short").await?.id;
    let cut = own.get(..own.len().saturating_sub(4)).unwrap_or_default().to_owned();
    let path = |id: &str| endpoint::revoke_path(id);
    all_alike(
        t,
        &bearer,
        &[
            (UNKNOWN.to_owned(), "an id that was never issued"),
            (path(&jose::flip_at(&own, own.len() * 2 / 3)), "a forged id"),
            (path(&cut), "a truncated id"),
            (path("not-an-id"), "a malformed id"),
            ("/auth/tokens/tok_lt_%zz/revoke".to_owned(), "a broken percent-escape"),
            (path(&foreign), "another client's long-term token"),
            (path(&foreign_short), "another client's short-term token"),
        ],
    )
    .await
}

async fn alike_without_scope(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.shared(Valid, "long").await?;
    let bearer = t.mint_short(&long, &["jobs:submit"]).await?;
    let foreign = t.shared(Other, "spare").await?.id;
    let paths = [
        (UNKNOWN.to_owned(), "an id that was never issued"),
        (endpoint::revoke_path(&foreign), "another client's token"),
    ];
    all_alike(t, &bearer, &paths).await
}

/// Ids that a server may take for another path are not concerned.
fn not_found(seen: &Seen) -> Option<(String, String)> {
    let id = seen.request.path.split('/').nth(3)?;
    let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    (seen.op == Op::Revoke && seen.answer.status == 404 && plain)
        .then(|| (String::new(), format!("404 {}", seen.answer.json().unwrap_or_default())))
}
