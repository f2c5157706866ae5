//! A private revocation feed. The role `reader` is needed only for these cases.

use crate::case::*;
use crate::endpoint::{self, FEED};
use crate::trial::feed::Mode;

pub const CASES: &[Case] = &[
    Case {
        id: "feed.401.no-token",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "A private feed without a token is rejected with 401 invalid_token.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.200.served"),
        request: steps!(refused_to, None),
        expect: INVALID_TOKEN,
        mutants: &[
            mutant("private-feed-other-code", "answers insufficient_scope if there is no token").with_private_feed()
        ],
        ..ROW
    },
    Case {
        id: "feed.401.garbage",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "A private feed with a bearer that is not a token is rejected with 401 invalid_token.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.200.served"),
        request: steps!(refused_to, Some("not-a-token")),
        expect: INVALID_TOKEN,
        mutants: &[mutant("private-feed-any-bearer", "serves a private feed to any bearer").with_private_feed()],
        ..ROW
    },
    Case {
        id: "feed.401.lacks-scope",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "A private feed with a token without tokens:introspect is rejected with 401 insufficient_scope.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.200.served"),
        request: steps!(lacks_scope),
        expect: LACKS_SCOPE,
        mutants: &[mutant("private-feed-any-scope", "serves a private feed to tokens without tokens:introspect")
            .with_private_feed()],
        ..ROW
    },
    Case {
        id: "feed.401.revoked",
        cell: Cell::Service(401),
        level: Level::Service,
        requirement: "A private feed with a revoked token is rejected with 401 invalid_token.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.served"),
        request: steps!(revoked_reader),
        expect: INVALID_TOKEN,
        mutants: &[mutant("private-feed-revoked", "serves a private feed to revoked tokens").with_private_feed()],
        ..ROW
    },
];

async fn is_private(t: &Trial<'_>) -> Result<(), Stop> {
    match t.feed_mode().await? {
        Mode::Private => Ok(()),
        Mode::Public => Err(Stop::Absent("the revocation feed of this deployment is public".to_owned())),
    }
}

async fn refused_to(t: &Trial<'_>, bearer: Option<&str>) -> Result<(), Stop> {
    is_private(t).await?;
    let answer = t.send(&endpoint::bare("GET", FEED, bearer)).await?;
    t.expect(t.due, &answer)
}

async fn lacks_scope(t: &Trial<'_>) -> Result<(), Stop> {
    is_private(t).await?;
    let long = t.mint_long(Valid, &["jobs:submit"]).await?;
    let short = t.mint_short(&long, &["jobs:submit"]).await?;
    let answer = t.send(&endpoint::bare("GET", FEED, Some(&short.token))).await?;
    t.expect(t.due, &answer)
}

async fn revoked_reader(t: &Trial<'_>) -> Result<(), Stop> {
    is_private(t).await?;
    let long = t.mint_long(Reader, &["tokens:introspect"]).await?;
    let short = t.mint_short(&long, &["tokens:introspect"]).await?;
    let request = endpoint::bare("GET", FEED, Some(&short.token));
    t.as_feed(t.send(&request).await?)?;
    t.revoked(&short, &short).await?;
    t.until_refused(&request, t.due).await
}
