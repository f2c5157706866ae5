//! POST /auth/tokens/{tokenId}/revoke: ids that name no token of the client.

use crate::case::*;
use crate::endpoint;

/// A well-formed id that was never issued.
pub const UNKNOWN: &str = "/auth/tokens/tok_lt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/revoke";

/// A live token's id that was changed.
const ALTERED: Case = Case {
    cell: Cell::Revoke(404),
    section: "openapi.yaml, revokeToken",
    effect: Effect::Mint,
    control: Some("revoke.204.sibling"),
    expect: NOT_FOUND,
    ..ROW
};

pub const CASES: &[Case] = &[
    Case {
        id: "revoke.404.unknown",
        cell: Cell::Revoke(404),
        level: Level::Seed,
        requirement: "An id that was never issued is answered with 404 not_found.",
        section: "openapi.yaml, revokeToken",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Path(UNKNOWN)]),
        expect: NOT_FOUND,
        mutants: &[mutant("unknown-id-204", "answers 204 to ids that were never issued")],
        ..ROW
    },
    Case {
        id: "revoke.404.malformed",
        cell: Cell::Revoke(404),
        level: Level::Seed,
        requirement: "A malformed id is answered with 404 not_found.",
        section: "openapi.yaml, revokeToken",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Path("/auth/tokens/not-an-id/revoke")]),
        expect: NOT_FOUND,
        mutants: &[mutant("malformed-id-400", "answers 400 to a malformed id")],
        ..ROW
    },
    Case {
        id: "revoke.404.percent-broken",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "An id with a broken percent-escape is answered with 404 not_found.",
        section: "openapi.yaml, revokeToken; RFC 3986 section 2.1",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Path("/auth/tokens/tok_lt_%zz/revoke")]),
        expect: NOT_FOUND,
        ..ROW
    },
    Case {
        id: "revoke.404.percent-not-utf8",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "An id that decodes to invalid UTF-8 is answered with 404 not_found.",
        section: "openapi.yaml, revokeToken; RFC 3986 section 2.5",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Path("/auth/tokens/tok_lt_%ff%fe/revoke")]),
        expect: NOT_FOUND,
        ..ROW
    },
    Case {
        id: "revoke.404.very-long",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "An id of 4,000 characters is answered with 404 not_found.",
        section: "openapi.yaml, revokeToken",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Path(VERY_LONG)]),
        expect: NOT_FOUND,
        ..ROW
    },
    Case {
        id: "revoke.404.forged",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "An id with one character changed is answered with 404 not_found.",
        section: "openapi.yaml, revokeToken",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Path("/auth/tokens/${valid.spare_id_altered}/revoke")]),
        expect: NOT_FOUND,
        mutants: &[mutant("id-mac-unchecked", "accepts any well-formed id")],
        ..ROW
    },
    Case {
        id: "revoke.404.trailing-characters",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "An id with characters appended is answered with 404 not_found.",
        section: "openapi.yaml, revokeToken",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Path("/auth/tokens/${valid.spare_id}x/revoke")]),
        expect: NOT_FOUND,
        mutants: &[mutant("id-prefix", "reads only the start of an id")],
        ..ROW
    },
    Case {
        id: "revoke.404.foreign",
        cell: Cell::Revoke(404),
        level: Level::Seed,
        requirement: "The id of another client's long-term token is answered with 404 not_found.",
        section: "openapi.yaml, revokeToken",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Path("/auth/tokens/${other.spare_id}/revoke")]),
        expect: NOT_FOUND,
        mutants: &[mutant("foreign-revocable", "revokes another client's token")],
        ..ROW
    },
    Case {
        id: "revoke.404.foreign-short",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "The id of another client's short-term token is answered with 404 not_found.",
        section: "openapi.yaml, revokeToken",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Path("/auth/tokens/${other.short_id}/revoke")]),
        expect: NOT_FOUND,
        ..ROW
    },
    Case {
        id: "revoke.404.alike",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "Malformed, unknown and other clients' ids all get 404 with the same body.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Other, ClientId), (Other, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.404.foreign"),
        request: steps!(alike),
        expect: NOT_FOUND,
        mutants: &[mutant("foreign-told", "reveals that an id belongs to another client")],
        ..ROW
    },
    Case {
        id: "revoke.404.foreign-survives",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "An attempt to revoke another client's token leaves that token valid.",
        section: "openapi.yaml, revokeToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Other, ClientId), (Other, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("revoke.404.foreign"),
        request: steps!(foreign_survives),
        expect: NOT_FOUND,
        mutants: &[mutant("foreign-404-but-revoked", "answers 404 but revokes another client's token")],
        ..ROW
    },
    Case {
        id: "revoke.404.without-scope",
        cell: Cell::Revoke(404),
        level: Level::Contract,
        requirement: "Without tokens:revoke, an id that was never issued is still answered with 404 not_found.",
        section: "openapi.yaml, revokeToken",
        effect: Effect::Mint,
        control: Some("revoke.404.unknown"),
        request: Ask(Revoke(Valid), &[Path(UNKNOWN), Header("authorization", "Bearer ${narrow.short}")]),
        expect: NOT_FOUND,
        mutants: &[mutant("unknown-needs-scope", "answers 401 to an id that was never issued")],
        ..ROW
    },
    Case {
        id: "revoke.404.id-line-end",
        requirement: "An id with an escaped line feed appended is answered with 404 not_found.",
        request: Ask(Revoke(Valid), &[Path("/auth/tokens/${valid.spare_id}%0A/revoke")]),
        mutants: &[mutant("id-line-end-ok", "ignores a line feed after an id")],
        ..ALTERED
    },
    Case {
        id: "revoke.404.id-nul",
        requirement: "An id with an escaped NUL and more appended is answered with 404 not_found.",
        request: Ask(Revoke(Valid), &[Path("/auth/tokens/${valid.spare_id}%00x/revoke")]),
        mutants: &[mutant("id-ends-at-nul", "reads an id up to a NUL")],
        ..ALTERED
    },
    Case {
        id: "revoke.404.id-encoded-twice",
        requirement: "An id is percent-decoded once: an id that is encoded twice is answered with 404 not_found.",
        section: "openapi.yaml, revokeToken; RFC 3986 section 2.4",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        control: Some("revoke.204.id-percent-encoded"),
        request: steps!(encoded_twice),
        mutants: &[mutant("id-decoded-twice", "decodes an id twice")],
        ..ALTERED
    },
    Case {
        id: "revoke.404.id-other-alphabet",
        requirement: "An id is compared exactly: with + and / in place of - and _ it is answered with 404 not_found.",
        section: "openapi.yaml, revokeToken; RFC 4648 section 5",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        request: steps!(other_alphabet),
        mutants: &[mutant("id-any-alphabet", "reads ids in either alphabet of base64")],
        ..ALTERED
    },
];

const VERY_LONG: &str = {
    const BYTES: [u8; 4020] = {
        let mut all = [b'A'; 4020];
        let (head, tail) = (b"/auth/tokens/", b"/revoke");
        let mut i = 0;
        while i < head.len() {
            all[i] = head[i];
            i += 1;
        }
        i = 0;
        while i < tail.len() {
            all[4020 - tail.len() + i] = tail[i];
            i += 1;
        }
        all
    };
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => "",
    }
};

async fn alike(t: &Trial<'_>) -> Result<(), Stop> {
    let bearer = t.shared(Valid, "short").await?;
    let foreign = t.shared(Other, "spare").await?.id;
    let unknown = UNKNOWN.split('/').nth(3).unwrap_or_default();
    let mut bodies = Vec::new();
    for id in [foreign.as_str(), "not-an-id", unknown] {
        let answer = t.send(&endpoint::revoke(&bearer.token, id)).await?;
        t.expect(t.due, &answer)?;
        bodies.push(answer);
    }
    match bodies.iter().find(|b| b.json() != bodies[0].json()) {
        None => Ok(()),
        Some(odd) => Err(Stop::fail(format!("the same body each time: {}", t.summary(&bodies[0])), t.summary(odd))),
    }
}

async fn foreign_survives(t: &Trial<'_>) -> Result<(), Stop> {
    let bearer = t.shared(Valid, "short").await?;
    let foreign = t.mint_long(Other, &["tokens:revoke"]).await?;
    let answer = t.send(&endpoint::revoke(&bearer.token, &foreign.id)).await?;
    t.expect(t.due, &answer)?;
    let answer = t.send(&endpoint::exchange(&foreign.token)).await?;
    t.expect(GRANTED, &answer)
}

async fn encoded_twice(t: &Trial<'_>) -> Result<(), Stop> {
    let bearer = t.shared(Valid, "short").await?;
    let id = t.shared(Valid, "spare").await?.id;
    let first = id.as_bytes().first().copied().unwrap_or_default();
    let path = format!("/auth/tokens/%25{first:02x}{}/revoke", id.get(1..).unwrap_or_default());
    let mut request = endpoint::revoke(&bearer.token, &id);
    request.path = path;
    t.expect(t.due, &t.send(&request).await?)
}

async fn other_alphabet(t: &Trial<'_>) -> Result<(), Stop> {
    let bearer = t.shared(Valid, "short").await?;
    for _ in 0..6 {
        let long = t.mint_long(Valid, &["jobs:submit"]).await?;
        // Underscores may also separate the parts of an id, so only those behind the third part count.
        let start = long.id.match_indices('_').nth(1).map_or(0, |(at, _)| at + 1);
        let (head, random) = long.id.split_at(start);
        if !random.contains(['-', '_']) {
            continue;
        }
        let other = format!("{head}{}", random.replace('-', "%2B").replace('_', "%2F"));
        let mut request = endpoint::revoke(&bearer.token, &long.id);
        request.path = format!("/auth/tokens/{other}/revoke");
        t.expect(t.due, &t.send(&request).await?)?;
        return t.expect(GRANTED, &t.send(&endpoint::exchange(&long.token)).await?);
    }
    Err(Stop::Absent("none of six token ids contains - or _ after its prefix".to_owned()))
}
