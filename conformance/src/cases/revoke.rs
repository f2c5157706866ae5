//! POST /auth/tokens/{tokenId}/revoke.

use super::Base::Revoke;
use super::Change::*;
use super::*;
use crate::identities::Role::{Narrow, Other, Valid};

const TOKEN: &[(Role, Credential)] = &[(Valid, ClientId), (Valid, ClientSecret)];
const FOREIGN: &[(Role, Credential)] =
    &[(Valid, ClientId), (Valid, ClientSecret), (Other, ClientId), (Other, ClientSecret)];

/// A well-formed id that nobody was ever given.
const UNKNOWN: &str = "/auth/tokens/tok_lt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/revoke";

pub const CASES: &[Case] = &[
    // ---- 204
    steps(
        "revoke.204.sibling",
        "A token with tokens:revoke revokes another token of its own client.",
        Op::Revoke,
        204,
        TOKEN,
        |t| Box::pin(sibling(t)),
    )
    .twin_of("short.201.exchange")
    .seed(),
    steps("revoke.204.self-long", "A long-term token may always revoke itself.", Op::Revoke, 204, TOKEN, |t| {
        Box::pin(self_long(t))
    })
    .twin_of("long.201.secret")
    .seed(),
    steps("revoke.204.self-short", "A short-term token may always revoke itself.", Op::Revoke, 204, TOKEN, |t| {
        Box::pin(self_short(t))
    })
    .twin_of("short.201.exchange")
    .seed(),
    steps(
        "revoke.204.sibling-short",
        "A short-term token of the same client can be revoked by another.",
        Op::Revoke,
        204,
        TOKEN,
        |t| Box::pin(sibling_short(t)),
    )
    .twin_of("revoke.204.sibling"),
    steps(
        "revoke.204.exact-scope",
        "tokens:revoke itself is enough, also in a long-term token.",
        Op::Revoke,
        204,
        &[(Narrow, ClientId), (Narrow, ClientSecret)],
        |t| Box::pin(exact_scope(t)),
    )
    .twin_of("long.201.secret"),
    steps("revoke.204.idempotent", "Revoking what is revoked already is 204.", Op::Revoke, 204, TOKEN, |t| {
        Box::pin(idempotent(t))
    })
    .twin_of("revoke.204.sibling")
    .seed(),
    steps(
        "revoke.204.self-repeat",
        "A token that revoked itself may repeat that very call.",
        Op::Revoke,
        204,
        TOKEN,
        |t| Box::pin(self_repeat(t)),
    )
    .twin_of("revoke.204.self-long"),
    steps(
        "revoke.204.self-repeat-short",
        "A short-term token that revoked itself may repeat that very call.",
        Op::Revoke,
        204,
        TOKEN,
        |t| Box::pin(self_repeat_short(t)),
    )
    .twin_of("revoke.204.self-short"),
    steps("revoke.204.body-ignored", "A request body is ignored, whatever it is.", Op::Revoke, 204, TOKEN, |t| {
        Box::pin(body_ignored(t))
    })
    .twin_of("revoke.204.sibling"),
    steps(
        "revoke.204.authorization-repeated",
        "An Authorization header that is there twice with the same value counts once.",
        Op::Revoke,
        204,
        TOKEN,
        |t| Box::pin(authorization_repeated(t)),
    )
    .twin_of("revoke.204.sibling"),
    steps("revoke.204.ends-it", "What a sibling revoked is refused from then on.", Op::Revoke, 204, TOKEN, |t| {
        Box::pin(ends_it(t))
    })
    .twin_of("revoke.204.sibling"),
    steps(
        "revoke.204.ends-short",
        "A short-term token that was revoked is refused from then on.",
        Op::Revoke,
        204,
        TOKEN,
        |t| Box::pin(ends_short(t)),
    )
    .twin_of("revoke.204.self-short"),
    steps(
        "revoke.204.cascade",
        "Revoking a long-term token ends the short-term tokens made from it.",
        Op::Revoke,
        204,
        TOKEN,
        |t| Box::pin(cascade(t)),
    )
    .twin_of("revoke.204.sibling"),
    steps(
        "revoke.204.spares-others",
        "Revoking one token leaves the client's others alone.",
        Op::Revoke,
        204,
        TOKEN,
        |t| Box::pin(spares_others(t)),
    )
    .twin_of("revoke.204.sibling"),
    steps(
        "revoke.204.short-spares-parent",
        "Revoking a short-term token leaves its long-term token alone.",
        Op::Revoke,
        204,
        TOKEN,
        |t| Box::pin(spares_parent(t)),
    )
    .twin_of("revoke.204.self-short"),
    // ---- 401
    ask(
        "revoke.401.bearer-missing",
        "Without a token the answer is 401 invalid_token.",
        Revoke(Valid),
        &[NoHeader("authorization")],
        INVALID_TOKEN,
    )
    .seed(),
    ask(
        "revoke.401.bearer-garbage",
        "A bearer that is no token is 401 invalid_token.",
        Revoke(Valid),
        &[Header("authorization", "Bearer not-a-token")],
        INVALID_TOKEN,
    )
    .seed(),
    ask(
        "revoke.401.bearer-basic",
        "Another scheme than Bearer presents no token.",
        Revoke(Valid),
        &[Header("authorization", "Basic ${valid.short}")],
        INVALID_TOKEN,
    ),
    ask(
        "revoke.401.authorization-differs",
        "Two Authorization headers that differ are 401 invalid_token, though both tokens are good; the message says why.",
        Revoke(Valid),
        &[Beside("authorization", "Bearer ${valid.long}")],
        INVALID_TOKEN,
    )
    .twin_of("revoke.204.authorization-repeated")
    .also(&[Also::SaysRepeated]),
    ask(
        "revoke.401.short-signature",
        "A short-term token with another signature is 401 invalid_token.",
        Revoke(Valid),
        &[Header("authorization", "Bearer ${valid.short_tampered}")],
        INVALID_TOKEN,
    ),
    ask(
        "revoke.401.long-signature",
        "A long-term token with another signature is 401 invalid_token.",
        Revoke(Valid),
        &[Header("authorization", "Bearer ${valid.long_tampered}")],
        INVALID_TOKEN,
    ),
    ask(
        "revoke.401.short-alg-none",
        "An unsigned short-term token is 401 invalid_token.",
        Revoke(Valid),
        &[Header("authorization", "Bearer ${valid.short_unsigned}")],
        INVALID_TOKEN,
    )
    .seed(),
    ask(
        "revoke.401.long-alg-none",
        "An unsigned long-term token is 401 invalid_token.",
        Revoke(Valid),
        &[Header("authorization", "Bearer ${valid.long_unsigned}")],
        INVALID_TOKEN,
    ),
    ask(
        "revoke.401.client-secret",
        "A client secret is no bearer.",
        Revoke(Valid),
        &[Header("authorization", "Bearer ${valid.client_secret}")],
        INVALID_TOKEN,
    ),
    ask(
        "revoke.401.unknown-id-no-bearer",
        "Without a token it is 401 also for an id that does not exist.",
        Revoke(Valid),
        &[NoHeader("authorization"), Path(UNKNOWN)],
        INVALID_TOKEN,
    ),
    steps(
        "revoke.401.lacks-scope",
        "Revoking another token without tokens:revoke is 401 insufficient_scope.",
        Op::Revoke,
        401,
        TOKEN,
        |t| Box::pin(lacks_scope(t, false)),
    )
    .twin_of("revoke.204.sibling"),
    steps(
        "revoke.401.lacks-scope-challenge",
        "The challenge then says error=\"insufficient_scope\" (RFC 6750).",
        Op::Revoke,
        401,
        TOKEN,
        |t| Box::pin(lacks_scope(t, true)),
    )
    .twin_of("revoke.401.lacks-scope"),
    steps(
        "revoke.401.lacks-scope-parent",
        "A short-term token without tokens:revoke may not revoke its own parent.",
        Op::Revoke,
        401,
        TOKEN,
        |t| Box::pin(lacks_scope_for_parent(t)),
    )
    .twin_of("revoke.204.sibling"),
    steps("revoke.401.revoked-bearer", "A revoked token can't revoke another.", Op::Revoke, 401, TOKEN, |t| {
        Box::pin(revoked_bearer(t))
    })
    .twin_of("revoke.204.sibling"),
    // ---- 404
    ask("revoke.404.unknown", "An id that does not exist is 404.", Revoke(Valid), &[Path(UNKNOWN)], NOT_FOUND).seed(),
    ask(
        "revoke.404.malformed",
        "A malformed id is 404.",
        Revoke(Valid),
        &[Path("/auth/tokens/not-an-id/revoke")],
        NOT_FOUND,
    )
    .seed(),
    ask(
        "revoke.404.percent-broken",
        "A broken percent-escape in an id is a malformed id.",
        Revoke(Valid),
        &[Path("/auth/tokens/tok_lt_%zz/revoke")],
        NOT_FOUND,
    ),
    ask(
        "revoke.404.percent-not-utf8",
        "An id that is not UTF-8 is a malformed id.",
        Revoke(Valid),
        &[Path("/auth/tokens/tok_lt_%ff%fe/revoke")],
        NOT_FOUND,
    ),
    ask(
        "revoke.404.very-long",
        "An id of 4000 characters is a malformed id.",
        Revoke(Valid),
        &[Path(VERY_LONG)],
        NOT_FOUND,
    ),
    ask(
        "revoke.404.forged",
        "An id with one character changed is 404.",
        Revoke(Valid),
        &[Path("/auth/tokens/${valid.spare_id_altered}/revoke")],
        NOT_FOUND,
    ),
    ask(
        "revoke.404.trailing-characters",
        "An id with something behind it is 404.",
        Revoke(Valid),
        &[Path("/auth/tokens/${valid.spare_id}x/revoke")],
        NOT_FOUND,
    ),
    ask(
        "revoke.404.foreign",
        "Another client's token is 404.",
        Revoke(Valid),
        &[Path("/auth/tokens/${other.spare_id}/revoke")],
        NOT_FOUND,
    )
    .seed(),
    ask(
        "revoke.404.foreign-short",
        "Another client's short-term token is 404.",
        Revoke(Valid),
        &[Path("/auth/tokens/${other.short_id}/revoke")],
        NOT_FOUND,
    ),
    steps(
        "revoke.404.alike",
        "A malformed, an unknown and another client's id are answered with the same body.",
        Op::Revoke,
        404,
        FOREIGN,
        |t| Box::pin(alike(t)),
    )
    .twin_of("revoke.404.foreign"),
    steps("revoke.404.foreign-survives", "Another client's token is not touched.", Op::Revoke, 404, FOREIGN, |t| {
        Box::pin(foreign_survives(t))
    })
    .twin_of("revoke.404.foreign"),
    ask(
        "revoke.404.without-scope",
        "Also without tokens:revoke an id that does not exist is 404.",
        Revoke(Valid),
        &[Path(UNKNOWN), Header("authorization", "Bearer ${narrow.short}")],
        NOT_FOUND,
    )
    .twin_of("revoke.404.unknown"),
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

/// A bearer that may revoke, and a victim of the same client.
async fn pair(t: &Trial<'_>) -> Result<(Token, Token), Stop> {
    let bearer = t.shared(Valid, "short").await?;
    Ok((bearer, t.mint_long(Valid, &["jobs:submit", "tokens:write"]).await?))
}

async fn revoke(t: &Trial<'_>, bearer: &Token, victim: &Token) -> Result<(), Stop> {
    let answer = t.send(&t.revoke_request(&bearer.token, &victim.id)).await?;
    t.expect(ENDED, &answer)
}

async fn sibling(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, victim) = pair(t).await?;
    revoke(t, &bearer, &victim).await
}

async fn self_long(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit"]).await?;
    revoke(t, &long, &long).await
}

async fn self_short(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit", "tokens:write"]).await?;
    let short = t.mint_short(&long, &["jobs:submit"]).await?;
    revoke(t, &short, &short).await
}

async fn sibling_short(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, parent) = pair(t).await?;
    let victim = t.mint_short(&parent, &["jobs:submit"]).await?;
    revoke(t, &bearer, &victim).await
}

async fn exact_scope(t: &Trial<'_>) -> Result<(), Stop> {
    let bearer = t.mint_long(Narrow, &["tokens:revoke"]).await?;
    let victim = t.mint_long(Narrow, &["jobs:submit"]).await?;
    revoke(t, &bearer, &victim).await
}

async fn idempotent(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, victim) = pair(t).await?;
    revoke(t, &bearer, &victim).await?;
    revoke(t, &bearer, &victim).await
}

async fn self_repeat(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit"]).await?;
    revoke(t, &long, &long).await?;
    revoke(t, &long, &long).await
}

async fn self_repeat_short(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit", "tokens:write"]).await?;
    let short = t.mint_short(&long, &["jobs:submit"]).await?;
    revoke(t, &short, &short).await?;
    revoke(t, &short, &short).await
}

async fn body_ignored(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, victim) = pair(t).await?;
    for (kind, body) in [(None, ""), (Some("application/json"), "{not json"), (Some("text/plain"), "whatever")] {
        let mut request = t.revoke_request(&bearer.token, &victim.id);
        request.body = body.as_bytes().to_vec();
        if let Some(kind) = kind {
            request.set("content-type", kind);
        }
        let answer = t.send(&request).await?;
        t.expect(ENDED, &answer)?;
    }
    Ok(())
}

async fn authorization_repeated(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, victim) = pair(t).await?;
    let mut request = t.revoke_request(&bearer.token, &victim.id);
    request.headers.push(t.bearer(&bearer.token));
    let answer = t.send(&request).await?;
    t.expect(ENDED, &answer)
}

async fn ends_it(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, victim) = pair(t).await?;
    let works = t.exchange_request(&victim.token);
    t.expect(GRANTED, &t.send(&works).await?).map_err(|_| Stop::Blocked("the token did not work before".to_owned()))?;
    revoke(t, &bearer, &victim).await?;
    t.until_refused(&works, INVALID_TOKEN).await
}

/// What the token does afterwards is shown by asking it to revoke a spare one: that it may repeat its own end is
/// another promise.
async fn ends_short(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, parent) = pair(t).await?;
    let short = t.mint_short(&parent, &["tokens:write"]).await?;
    revoke(t, &short, &short).await?;
    t.until_refused(&t.rotate_request(Valid, &short.token, None)?, INVALID_TOKEN).await
}

async fn cascade(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, parent) = pair(t).await?;
    let short = t.mint_short(&parent, &["tokens:write"]).await?;
    revoke(t, &bearer, &parent).await?;
    t.until_refused(&t.rotate_request(Valid, &short.token, None)?, INVALID_TOKEN).await
}

async fn spares_others(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, victim) = pair(t).await?;
    let other = t.mint_long(Valid, &["jobs:submit"]).await?;
    revoke(t, &bearer, &victim).await?;
    let answer = t.send(&t.exchange_request(&other.token)).await?;
    t.expect(GRANTED, &answer)
}

async fn spares_parent(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, parent) = pair(t).await?;
    let short = t.mint_short(&parent, &["jobs:submit"]).await?;
    revoke(t, &short, &short).await?;
    let answer = t.send(&t.exchange_request(&parent.token)).await?;
    t.expect(GRANTED, &answer)
}

async fn lacks_scope(t: &Trial<'_>, challenge: bool) -> Result<(), Stop> {
    let (_, victim) = pair(t).await?;
    let long = t.mint_long(Valid, &["jobs:submit"]).await?;
    let bearer = t.mint_short(&long, &["jobs:submit"]).await?;
    let answer = t.send(&t.revoke_request(&bearer.token, &victim.id)).await?;
    t.expect(MAY_NOT_REVOKE, &answer)?;
    if challenge { t.check(Also::Challenge("insufficient_scope"), &answer) } else { Ok(()) }
}

async fn lacks_scope_for_parent(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, parent) = pair(t).await?;
    let short = t.mint_short(&parent, &["tokens:write"]).await?;
    let answer = t.send(&t.revoke_request(&short.token, &parent.id)).await?;
    t.expect(MAY_NOT_REVOKE, &answer)
}

async fn revoked_bearer(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, victim) = pair(t).await?;
    let bearer = t.mint_long(Valid, &["tokens:revoke"]).await?;
    revoke(t, &bearer, &bearer).await?;
    t.until_refused(&t.revoke_request(&bearer.token, &victim.id), INVALID_TOKEN).await
}

async fn alike(t: &Trial<'_>) -> Result<(), Stop> {
    let bearer = t.shared(Valid, "short").await?;
    let foreign = t.shared(Other, "spare").await?.id;
    let unknown = UNKNOWN.split('/').nth(3).unwrap_or_default();
    let mut bodies = Vec::new();
    for id in [foreign.as_str(), "not-an-id", unknown] {
        let answer = t.send(&t.revoke_request(&bearer.token, id)).await?;
        t.expect(NOT_FOUND, &answer)?;
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
    let answer = t.send(&t.revoke_request(&bearer.token, &foreign.id)).await?;
    t.expect(NOT_FOUND, &answer)?;
    let answer = t.send(&t.exchange_request(&foreign.token)).await?;
    t.expect(GRANTED, &answer)
}
