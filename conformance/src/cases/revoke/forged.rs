//! POST /auth/tokens/{tokenId}/revoke: ids that are nearly right, changed at every place where that can matter.

use super::ids::UNKNOWN;
use crate::case::*;
use crate::endpoint;
use crate::jose;

pub const CASES: &[Case] = &[
    Case {
        id: "revoke.204.id-percent-encoded",
        cell: Cell::Revoke(204),
        level: Level::Contract,
        requirement: "An id is percent-decoded.",
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
        requirement: "The first character of an id, which begins its end, counts.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(nearly, Near::First),
        expect: NOT_FOUND,
        mutants: &[mutant("id-end-unbound", "does not bind a token's end into its id")],
        ..ROW
    },
    Case {
        id: "revoke.404.id-quarter",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "The random part of an id counts.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(nearly, Near::Quarter),
        expect: NOT_FOUND,
        mutants: &[mutant("id-random-unbound", "does not bind an id's random part into its MAC")],
        ..ROW
    },
    Case {
        id: "revoke.404.id-last",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "The last character of an id counts.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(nearly, Near::Last),
        expect: NOT_FOUND,
        mutants: &[mutant("id-mac-without-last", "compares an id's MAC without its last byte")],
        ..ROW
    },
    Case {
        id: "revoke.404.id-cut",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "An id whose MAC was cut short is 404, at whatever length.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(cut),
        expect: NOT_FOUND,
        mutants: &[mutant("id-mac-by-length", "compares as much of an id's MAC as was sent")],
        ..ROW
    },
    Case {
        id: "revoke.404.id-other-kind",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "A long-term token's id that calls itself short-term is 404.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(nearly, Near::OtherKind),
        expect: NOT_FOUND,
        mutants: &[mutant("id-kind-unbound", "does not bind a token's kind into its id")],
        ..ROW
    },
    Case {
        id: "revoke.404.id-recased",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "An id whose prefix is in upper case is 404.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(nearly, Near::Recased),
        expect: NOT_FOUND,
        mutants: &[mutant("id-prefix-folded", "folds the case of an id's prefix")],
        ..ROW
    },
    Case {
        id: "revoke.404.id-padded",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "An id with padding behind it is 404.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.204.sibling"),
        request: steps!(nearly, Near::Padded),
        expect: NOT_FOUND,
        mutants: &[mutant("id-padding-ok", "ignores padding behind an id")],
        ..ROW
    },
    Case {
        id: "revoke.404.id-spaced",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "An id with a space before it is 404.",
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
        requirement: "Another client's token that was revoked already is 404 too.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Other, ClientId), (Other, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.404.foreign"),
        request: steps!(foreign_ended),
        expect: NOT_FOUND,
        mutants: &[mutant("foreign-ended-204", "answers 204 for any id that was revoked")],
        ..ROW
    },
    Case {
        id: "revoke.404.alike-forged",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "A forged, a cut, an undecodable and another client's id are answered with the same body, details included.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Other, ClientId), (Other, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.404.foreign"),
        request: steps!(alike),
        expect: NOT_FOUND,
        mutants: &[
            mutant("forged-told", "says in details that an id's MAC is wrong"),
            mutant("malformed-told", "says in details that an id is malformed"),
            mutant("foreign-short-told", "says in details that a short-term id is another client's"),
        ],
        ..ROW
    },
    Case {
        id: "revoke.404.alike-without-scope",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "Without tokens:revoke another client's id and one that nobody was given are alike: 404.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Other, ClientId), (Other, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.404.without-scope"),
        request: steps!(alike_without_scope),
        expect: NOT_FOUND,
        mutants: &[mutant("foreign-needs-scope", "answers 401 for another client's token when the scope lacks")],
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

/// Where an id's own characters begin, behind its prefix.
fn start(id: &str) -> usize {
    if id.starts_with("tok_lt_") || id.starts_with("tok_st_") { 7 } else { 0 }
}

/// The id, and what it is called in a failure.
fn changed(id: &str, near: Near) -> (String, &'static str) {
    let (from, length) = (start(id), id.len());
    match near {
        Near::First => (jose::flip_at(id, from), "changed in its first character"),
        Near::Quarter => (jose::flip_at(id, from + (length - from) / 4), "changed in its first half"),
        Near::Last => (jose::flip_at(id, length - 1), "changed in its last character"),
        Near::OtherKind => (id.replacen("tok_lt_", "tok_st_", 1), "of the other kind"),
        Near::Recased => (format!("{}{}", id[..from].to_uppercase(), &id[from..]), "with its prefix in upper case"),
        Near::Padded => (format!("{id}="), "with padding behind it"),
        Near::Spaced => (format!(" {id}"), "with a space before it"),
    }
}

/// The token that the id nearly names must live on.
async fn nearly(t: &Trial<'_>, near: Near) -> Result<(), Stop> {
    let (bearer, victim) = t.pair().await?;
    if !victim.id.is_ascii() || victim.id.len() < 16 {
        return Err(Stop::Blocked("the id is no text that could be changed character by character".to_owned()));
    }
    let (id, what) = changed(&victim.id, near);
    let answer = t.send(&endpoint::revoke(&bearer.token, &id)).await?;
    t.expect(t.due, &answer).map_err(|stop| stop.wanted(|wanted| format!("{wanted} for an id {what}")))?;
    let answer = t.send(&endpoint::exchange(&victim.token)).await?;
    t.expect(GRANTED, &answer).map_err(|stop| stop.wanted(|wanted| format!("{wanted}: an id {what} ends no token")))
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

/// One letter of the id as a percent-escape, which means the same (RFC 3986 section 2.3).
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
                format!("for {what} the very answer to {}: {}", paths[0].1, told(model)),
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
            (UNKNOWN.to_owned(), "an id that nobody was given"),
            (path(&jose::flip_at(&own, own.len() * 2 / 3)), "a forged id"),
            (path(&cut), "an id that was cut"),
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
        (UNKNOWN.to_owned(), "an id that nobody was given"),
        (endpoint::revoke_path(&foreign), "another client's token"),
    ];
    all_alike(t, &bearer, &paths).await
}
