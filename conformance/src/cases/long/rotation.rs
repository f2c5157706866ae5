//! POST /auth/tokens/long: rotation with a short-term token.

use crate::case::*;
use crate::endpoint;

pub const CASES: &[Case] = &[
    Case {
        id: "long.201.rotation",
        cell: Cell::Long(201),
        level: Level::Seed,
        requirement: "A short-term token with tokens:write can be rotated into a new long-term token.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Mint,
        request: Ask(Rotation(Valid), &[]),
        expect: GRANTED,
        mutants: &[mutant("rotation-refused", "rejects every rotation")],
        ..ROW
    },
    Case {
        id: "long.201.rotation-scopes-default",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A rotation without scopes grants the scopes of the short-term token.",
        section: "openapi.yaml, issueLongTermToken; docs/api.md, Four ways to a long-term token",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(rotation_default),
        expect: GRANTED,
        mutants: &[mutant("rotation-all-scopes", "grants every scope that the client may have in a rotation")],
        ..ROW
    },
    Case {
        id: "long.201.rotation-exact-scope",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "The scope tokens:write is enough to rotate; no wildcard is needed.",
        section: "openapi.yaml, issueLongTermToken; docs/api.md, Four ways to a long-term token",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(rotation_exact),
        expect: GRANTED,
        mutants: &[mutant("rotation-needs-wildcard", "requires tokens:* to rotate")],
        ..ROW
    },
    Case {
        id: "long.201.rotation-grace",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "After a rotation the old long-term token keeps working for the grace period.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(rotation_grace),
        expect: GRANTED,
        mutants: &[mutant("no-grace", "revokes the old token at once")],
        ..ROW
    },
    Case {
        id: "long.201.rotation-usable",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "The token issued by a rotation can be exchanged.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(rotation_usable),
        expect: GRANTED,
        mutants: &[mutant("rotated-token-dead", "issues a token that does not work")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-garbage",
        cell: Cell::Long(401),
        level: Level::Seed,
        requirement: "A bearer that is not a token is rejected with 401 invalid_token.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[Header("authorization", "Bearer not-a-token")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("rotation-any-bearer", "rotates with any bearer")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-long-token",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A rotation with a long-term token is rejected with 401 invalid_token.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[Header("authorization", "Bearer ${valid.long}")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("long-where-short", "accepts a long-term token where a short-term token is required")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-signature",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A short-term token with an invalid signature is rejected with 401 invalid_token.",
        section: "openapi.yaml, issueLongTermToken; RFC 7515 section 5.2",
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[Header("authorization", "Bearer ${valid.short_tampered}")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("short-signature-unchecked", "does not verify a short-term token's signature")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-extended",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A short-term token whose exp was changed after signing is rejected with 401 invalid_token.",
        section: "openapi.yaml, issueLongTermToken; RFC 7515 section 5.2",
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[Header("authorization", "Bearer ${valid.short_extended}")]),
        expect: INVALID_TOKEN,
        ..ROW
    },
    Case {
        id: "long.401.rotation-alg-none",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An unsigned short-term token is rejected with 401 invalid_token.",
        section: "openapi.yaml, issueLongTermToken; RFC 7515 section 5.2",
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[Header("authorization", "Bearer ${valid.short_unsigned}")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("token-alg-none", "accepts its own tokens unsigned")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-basic",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A token sent with another scheme than Bearer is rejected, with 401 or 400.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[Header("authorization", "Basic ${valid.short}")]),
        expect: Want { or: &[(400, "invalid_request"), (401, "invalid_client")], ..INVALID_TOKEN },
        mutants: &[mutant("any-scheme", "accepts a token under any scheme")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-revoked",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A rotation with a revoked short-term token is rejected with 401 invalid_token.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("long.201.rotation"),
        request: steps!(rotation_revoked),
        expect: INVALID_TOKEN,
        mutants: &[mutant("short-revocation-unchecked", "does not check whether a short-term token was revoked")],
        ..ROW
    },
    Case {
        id: "long.403.rotation-lacks-write",
        cell: Cell::Long(403),
        level: Level::Seed,
        requirement: "A rotation with a short-term token without tokens:write is rejected with 403 \
                      insufficient_scope.",
        section: "openapi.yaml, issueLongTermToken; docs/api.md, Four ways to a long-term token",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(rotation_lacks_write),
        expect: BEYOND_SCOPE,
        mutants: &[mutant("rotation-without-write", "rotates without tokens:write")],
        ..ROW
    },
    Case {
        id: "long.403.rotation-escalates",
        cell: Cell::Long(403),
        level: Level::Contract,
        requirement: "A rotation that asks for a scope beyond the short-term token's is rejected with 403 \
                      insufficient_scope, even if the client may have that scope.",
        section: "openapi.yaml, issueLongTermToken; docs/api.md, Four ways to a long-term token",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(rotation_escalates),
        expect: BEYOND_SCOPE,
        mutants: &[mutant("rotation-escalates", "lets a rotation gain scopes")],
        ..ROW
    },
    Case {
        id: "long.403.rotation-foreign",
        cell: Cell::Long(403),
        level: Level::Contract,
        requirement: "A rotation with another client's token is rejected with 403 unauthorized_client.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[Header("authorization", "Bearer ${other.short}")]),
        expect: UNAUTHORIZED,
        mutants: &[mutant("foreign-bearer", "rotates another client's token")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-revoked-lacks-write",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "The token of a rotation is checked before its permission: a revoked one without tokens:write is \
                      rejected with 401 invalid_token, not 403.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("long.403.rotation-lacks-write"),
        request: steps!(rotation_revoked_lacks_write),
        expect: INVALID_TOKEN,
        mutants: &[mutant("rotation-permission-first", "checks the permission of a rotation before its token")],
        ..ROW
    },
    Case {
        id: "long.201.rotation-authorization-repeated",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A rotation whose Authorization header is sent twice with the same value is accepted.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[Repeat("authorization")]),
        expect: GRANTED,
        mutants: &[mutant(
            "repeated-header-refused-on-rotation",
            "rejects a repeated Authorization header of a rotation",
        )],
        ..ROW
    },
    Case {
        id: "long.401.rotation-authorization-differs",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A rotation with two different Authorization headers is rejected with 401 invalid_token, and the \
                      message says that the header is repeated.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("long.201.rotation-authorization-repeated"),
        request: Ask(Rotation(Valid), &[Beside("authorization", "Bearer ${valid.short}")]),
        expect: INVALID_TOKEN,
        also: &[Also::SaysRepeated],
        mutants: &[mutant(
            "first-header-wins-on-rotation",
            "uses the first of two Authorization headers of a rotation",
        )],
        ..ROW
    },
    Case {
        id: "long.201.rotation-scheme-case",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "The authentication scheme of a rotation is case-insensitive: bearer in lower case is accepted.",
        section: "RFC 9110 section 11.1",
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        request: steps!(scheme_in_lower_case),
        expect: GRANTED,
        mutants: &[mutant("scheme-case-on-long", "compares the scheme of a rotation case-sensitively")],
        ..ROW
    },
    Case {
        id: "long.201.rotation-ttl-default",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A rotation without ttl_seconds issues a token that is valid for 2592000 s.",
        section: "openapi.yaml, LongTokenRequest",

        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[Unset("ttl_seconds")]),
        expect: GRANTED,
        also: &[Also::LongDefault],
        mutants: &[mutant("rotation-ttl-default-hour", "has a default lifetime of one hour for rotations")],
        ..ROW
    },
    Case {
        id: "long.400.rotation-scope-grammar",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "In a rotation too, a scope without a colon is rejected with 400 invalid_scope.",
        section: "openapi.yaml, Scope",

        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[Set("scopes", r#"["jobs"]"#)]),
        expect: INVALID_SCOPE,

        mutants: &[mutant("rotation-scopes-unchecked", "does not check the form of scopes in a rotation")],
        ..ROW
    },
];

async fn rotation_default(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:*", "templates:read", "tokens:*"]).await?;
    let short = t.mint_short(&long, &["templates:read", "tokens:*"]).await?;
    let answer = t.send(&t.rotate_request(Valid, &short.token, None)?).await?;
    t.expect(GRANTED, &answer)?;
    t.check(Also::Scopes(&["templates:read", "tokens:*"]), &answer)
}

async fn rotation_exact(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(t.tenant(), &[PLAIN, "tokens:write"]).await?;
    let short = t.mint_short(&long, &[PLAIN, "tokens:write"]).await?;
    let answer = t.send(&t.rotate_request(t.tenant(), &short.token, Some(&[PLAIN]))?).await?;
    t.expect(GRANTED, &answer)?;
    t.check(Also::Scopes(&[PLAIN]), &answer)
}

async fn rotated(t: &Trial<'_>) -> Result<(Token, Answer), Stop> {
    let long = t.mint_long(t.tenant(), &[PLAIN, "tokens:*"]).await?;
    let short = t.mint_short(&long, &[PLAIN, "tokens:*"]).await?;
    let answer = t.send(&t.rotate_request(t.tenant(), &short.token, Some(&[PLAIN]))?).await?;
    t.expect(GRANTED, &answer)?;
    Ok((long, answer))
}

async fn rotation_grace(t: &Trial<'_>) -> Result<(), Stop> {
    let (retired, _) = rotated(t).await?;
    let answer = t.send(&endpoint::exchange(&retired.token)).await?;
    t.expect(GRANTED, &answer)
}

async fn rotation_usable(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, answer) = rotated(t).await?;
    let token = answer.json().unwrap_or_default()["access_token"].as_str().unwrap_or_default().to_owned();
    let answer = t.send(&endpoint::exchange(&token)).await?;
    t.expect(GRANTED, &answer)
}

async fn rotation_revoked(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(t.tenant(), &[PLAIN, "tokens:write"]).await?;
    let short = t.mint_short(&long, &[PLAIN, "tokens:write"]).await?;
    let answer = t.send(&endpoint::revoke(&short.token, &short.id)).await?;
    t.expect(ENDED, &answer).map_err(|_| {
        Stop::Blocked("this case first needs a revocation, which failed: see revoke.204.self-short".to_owned())
    })?;
    let request = t.rotate_request(t.tenant(), &short.token, Some(&[PLAIN]))?;
    t.until_refused(&request, t.due).await
}

async fn rotation_lacks_write(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(t.tenant(), &[PLAIN, "tokens:*"]).await?;
    let short = t.mint_short(&long, &[PLAIN, "tokens:revoke"]).await?;
    let answer = t.send(&t.rotate_request(t.tenant(), &short.token, Some(&[PLAIN]))?).await?;
    t.expect(t.due, &answer)
}

async fn rotation_escalates(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:*", "tokens:*"]).await?;
    let short = t.mint_short(&long, &["jobs:submit", "tokens:write"]).await?;
    let answer = t.send(&t.rotate_request(Valid, &short.token, Some(&["jobs:cancel"]))?).await?;
    t.expect(t.due, &answer)
}

async fn rotation_revoked_lacks_write(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(t.tenant(), &[PLAIN, "tokens:*"]).await?;
    let short = t.mint_short(&long, &[PLAIN, "tokens:revoke"]).await?;
    t.revoked(&short, &short).await?;
    t.until_refused(&t.rotate_request(t.tenant(), &short.token, Some(&[PLAIN]))?, t.due).await
}

async fn scheme_in_lower_case(t: &Trial<'_>) -> Result<(), Stop> {
    let token = t.shared(Valid, "turn").await?.token;
    let mut request = t.rotate_request(Valid, &token, Some(&["jobs:submit"]))?;
    request.set("authorization", format!("bearer {token}"));
    t.expect(t.due, &t.send(&request).await?)
}
