//! POST /auth/tokens/long: rotation, by a short-term token.

use crate::case::*;
use crate::endpoint;

pub const CASES: &[Case] = &[
    Case {
        id: "long.201.rotation",
        cell: Cell::Long(201),
        level: Level::Seed,
        requirement: "A short-term token with tokens:write issues a long-term token.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Mint,
        request: Ask(Rotation(Valid), &[]),
        expect: GRANTED,
        mutants: &[mutant("rotation-refused", "never rotates")],
        ..ROW
    },
    Case {
        id: "long.201.rotation-scopes-default",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "Rotation's scopes default to those of the short-term token.",
        section: "openapi.yaml, issueLongTermToken; docs/api.md, Four ways to a long-term token",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(rotation_default),
        expect: GRANTED,
        mutants: &[mutant("rotation-all-scopes", "gives a rotation all that the client may have")],
        ..ROW
    },
    Case {
        id: "long.201.rotation-exact-scope",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "tokens:write itself is enough to rotate.",
        section: "openapi.yaml, issueLongTermToken; docs/api.md, Four ways to a long-term token",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(rotation_exact),
        expect: GRANTED,
        mutants: &[mutant("rotation-needs-wildcard", "rotates with tokens:* only")],
        ..ROW
    },
    Case {
        id: "long.201.rotation-grace",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "The retired long-term token keeps working for the grace period.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(rotation_grace),
        expect: GRANTED,
        mutants: &[mutant("no-grace", "ends the retired token at once")],
        ..ROW
    },
    Case {
        id: "long.201.rotation-usable",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "The token that rotation issues can be exchanged.",
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
        requirement: "A bearer that is no token is 401 invalid_token.",
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
        requirement: "A long-term token can't rotate: 401 invalid_token.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[Header("authorization", "Bearer ${valid.long}")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("long-where-short", "takes a long-term token where a short-term one belongs")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-signature",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A short-term token with another signature is 401 invalid_token.",
        section: "openapi.yaml, issueLongTermToken; RFC 7515 section 5.2",
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[Header("authorization", "Bearer ${valid.short_tampered}")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("short-signature-unchecked", "does not check a short-term token's signature")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-extended",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A short-term token with a later end under its old signature is 401 invalid_token.",
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
        requirement: "An unsigned short-term token is 401 invalid_token.",
        section: "openapi.yaml, issueLongTermToken; RFC 7515 section 5.2",
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[Header("authorization", "Bearer ${valid.short_unsigned}")]),
        expect: INVALID_TOKEN,
        mutants: &[mutant("token-alg-none", "takes its own tokens unsigned")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-basic",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Another scheme than Bearer presents no token.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[Header("authorization", "Basic ${valid.short}")]),
        expect: Want { or: &[(400, "invalid_request"), (401, "invalid_client")], ..INVALID_TOKEN },
        mutants: &[mutant("any-scheme", "takes a token under any scheme")],
        ..ROW
    },
    Case {
        id: "long.401.rotation-revoked",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A revoked short-term token can't rotate.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("long.201.rotation"),
        request: steps!(rotation_revoked),
        expect: INVALID_TOKEN,
        mutants: &[mutant("short-revocation-unchecked", "does not see that a short-term token was revoked")],
        ..ROW
    },
    Case {
        id: "long.403.rotation-lacks-write",
        cell: Cell::Long(403),
        level: Level::Seed,
        requirement: "A short-term token without tokens:write can't rotate: 403 insufficient_scope.",
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
        requirement: "Rotation's scopes may not exceed those of the short-term token, whatever the client may have.",
        section: "openapi.yaml, issueLongTermToken; docs/api.md, Four ways to a long-term token",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: steps!(rotation_escalates),
        expect: BEYOND_SCOPE,
        mutants: &[mutant("rotation-escalates", "lets rotation gain scopes")],
        ..ROW
    },
    Case {
        id: "long.403.rotation-foreign",
        cell: Cell::Long(403),
        level: Level::Contract,
        requirement: "A bearer that belongs to another client is 403 unauthorized_client.",
        section: "openapi.yaml, issueLongTermToken",
        effect: Effect::Mint,
        control: Some("long.201.rotation"),
        request: Ask(Rotation(Valid), &[Header("authorization", "Bearer ${other.short}")]),
        expect: UNAUTHORIZED,
        mutants: &[mutant("foreign-bearer", "rotates for another client")],
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
    let long = t.mint_long(Valid, &["jobs:submit", "tokens:write"]).await?;
    let short = t.mint_short(&long, &["jobs:submit", "tokens:write"]).await?;
    let answer = t.send(&t.rotate_request(Valid, &short.token, Some(&["jobs:submit"]))?).await?;
    t.expect(GRANTED, &answer)?;
    t.check(Also::Scopes(&["jobs:submit"]), &answer)
}

async fn rotated(t: &Trial<'_>) -> Result<(Token, Answer), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit", "tokens:*"]).await?;
    let short = t.mint_short(&long, &["jobs:submit", "tokens:*"]).await?;
    let answer = t.send(&t.rotate_request(Valid, &short.token, Some(&["jobs:submit"]))?).await?;
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
    let long = t.mint_long(Valid, &["jobs:submit", "tokens:write"]).await?;
    let short = t.mint_short(&long, &["jobs:submit", "tokens:write"]).await?;
    let answer = t.send(&endpoint::revoke(&short.token, &short.id)).await?;
    t.expect(ENDED, &answer)
        .map_err(|_| Stop::Blocked("the short-term token could not be revoked first".to_owned()))?;
    let request = t.rotate_request(Valid, &short.token, Some(&["jobs:submit"]))?;
    t.until_refused(&request, t.due).await
}

async fn rotation_lacks_write(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit", "tokens:*"]).await?;
    let short = t.mint_short(&long, &["jobs:submit", "tokens:revoke"]).await?;
    let answer = t.send(&t.rotate_request(Valid, &short.token, Some(&["jobs:submit"]))?).await?;
    t.expect(t.due, &answer)
}

async fn rotation_escalates(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:*", "tokens:*"]).await?;
    let short = t.mint_short(&long, &["jobs:submit", "tokens:write"]).await?;
    let answer = t.send(&t.rotate_request(Valid, &short.token, Some(&["jobs:cancel"]))?).await?;
    t.expect(t.due, &answer)
}
