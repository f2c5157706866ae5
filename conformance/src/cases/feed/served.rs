//! The revocation feed: how it is served, signed and cached.

use crate::case::*;
use crate::endpoint::{self, FEED, FEED_TYP, KEYS};
use crate::jose::{Jwt, unb64};
use crate::trial::feed::{CLOCKS, Feed, MEMBERS, Mode};
use crate::trial::published::allows_reading;
use crate::trial::published::origin_of;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::Value;
use std::collections::BTreeSet;

/// The shortest accepted time until `exp`, in seconds: what the contract promises, less caching and clock skew.
const LEAST_LEFT: u64 = 150 - 10;
/// How often to retry if a revocation comes between two reads.
pub const TRIES: usize = 40;

pub const CASES: &[Case] = &[
    Case {
        id: "feed.200.served",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The revocation feed is a JWT at /.well-known/revocations of the origin, served as \
                      application/jwt.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: steps!(served),
        expect: plain(200),
        mutants: &[
            mutant("feed-missing", "names a feed in its metadata but serves none"),
            mutant("feed-below-base", "serves the feed under its base path"),
            mutant("feed-as-text", "serves the feed as text/plain"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.metadata",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "revocations_uri in the metadata is the URL of the revocation feed.",
        section: "openapi.yaml, getMetadata; RFC 8414 section 2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.200.served"),
        request: steps!(metadata),
        expect: plain(200),
        mutants: &[
            mutant("feed-unnamed", "leaves revocations_uri out of its metadata"),
            mutant("feed-named-below-base", "puts revocations_uri under its base path"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.cache",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The feed is served with Cache-Control: public, max-age=2, or private, max-age=2 if it is \
                      private.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.200.served"),
        request: steps!(cache),
        expect: plain(200),
        mutants: &[
            mutant("feed-no-store", "forbids caching the feed"),
            mutant("feed-max-age-300", "lets the feed be cached for five minutes"),
            mutant("private-feed-public-cache", "lets shared caches store a private feed").with_private_feed(),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.header",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The feed's header has typ revocations+jwt, alg EdDSA and the kid of a published key.",
        section: "openapi.yaml, getRevocations; RFC 7515 section 4.1",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.200.served"),
        request: steps!(header),
        expect: plain(200),
        mutants: &[
            mutant("feed-typ-jwt", "sends typ JWT"),
            mutant("feed-alg-hs256", "sends alg HS256"),
            mutant("feed-kid-unknown", "sends a kid that it does not publish"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.signature",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The published key that the feed's kid names verifies its signature.",
        section: "openapi.yaml, getRevocations; RFC 7515 section 5.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.200.header"),
        request: steps!(signature),
        expect: plain(200),
        mutants: &[
            mutant("feed-unsigned", "serves the feed unsigned"),
            mutant("feed-other-key", "publishes a key other than the one that it signs with"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.issuer",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The feed's iss is the issuer of the metadata.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.200.metadata"),
        request: steps!(issuer),
        expect: plain(200),
        mutants: &[mutant("feed-other-issuer", "sends another iss than the issuer of its metadata")],
        ..ROW
    },
    Case {
        id: "feed.200.times",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The feed's exp is 300 s after its iat, and at least 150 s ahead when it is served.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.200.served"),
        request: steps!(times),
        expect: plain(200),
        mutants: &[
            mutant("feed-lives-an-hour", "signs a feed that is valid for an hour"),
            mutant("feed-stale", "serves a feed that is about to expire"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.claims",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "The feed has an integer seq, a since only if one was requested, and an object ended with the \
                      objects token, parent and client, even if they are empty.",
        section: "openapi.yaml, getRevocations",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.200.served"),
        request: steps!(claims),
        expect: plain(200),
        mutants: &[
            mutant("feed-seq-string", "sends seq as a string"),
            mutant("feed-since-always", "sends since in the full feed"),
            mutant("feed-empty-left-out", "leaves out empty objects"),
        ],
        ..ROW
    },
    Case {
        id: "feed.304.etag",
        cell: Cell::Service(304),
        level: Level::Service,
        requirement: "A request with the feed's ETag in If-None-Match is answered with 304, without a body.",
        section: "openapi.yaml, getRevocations; RFC 9110 section 13.1.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.200.served"),
        // At the end, when no other case revokes anything.
        phase: Phase::Last,
        request: steps!(not_modified),
        expect: plain(304),
        mutants: &[
            mutant("feed-no-etag", "sends no ETag"),
            mutant("feed-never-304", "ignores If-None-Match"),
            mutant("feed-etag-random", "sends another ETag with each response"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.etag-other",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A request with another ETag in If-None-Match is answered with 200.",
        section: "openapi.yaml, getRevocations; RFC 9110 section 13.1.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.200.served"),
        request: steps!(modified),
        expect: plain(200),
        mutants: &[mutant("feed-always-304", "answers 304 to any If-None-Match")],
        ..ROW
    },
    Case {
        id: "feed.200.etag-changes",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "A revocation changes the feed's ETag.",
        section: "openapi.yaml, getRevocations; RFC 9110 section 8.8.3",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Revoke,
        control: Some("feed.200.token"),
        request: steps!(etag_changes),
        expect: plain(200),
        mutants: &[mutant("feed-etag-constant", "always sends the same ETag")],
        ..ROW
    },
    Case {
        id: "feed.200.head",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "HEAD on the feed is answered like GET.",
        section: "openapi.yaml, getRevocations; RFC 9110 section 9.3.2",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.200.served"),
        request: steps!(head),
        expect: plain(200),
        mutants: &[mutant("feed-head-405", "rejects HEAD")],
        ..ROW
    },
    Case {
        id: "feed.405.methods",
        cell: Cell::Service(405),
        level: Level::Service,
        requirement: "A method other than GET and HEAD on the feed is answered with 405 and Allow: GET, HEAD.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.200.served"),
        request: steps!(methods),
        expect: plain(405),
        mutants: &[
            mutant("feed-any-method", "accepts any method like GET"),
            mutant("feed-405-allow-get", "leaves HEAD out of Allow"),
        ],
        ..ROW
    },
    Case {
        id: "feed.200.etag-delta",
        cell: Cell::Service(200),
        level: Level::Service,
        requirement: "An ETag names one text: that of a delta is not that of the full feed.",
        section: "openapi.yaml, getRevocations; RFC 9110 section 8.8.3",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("feed.200.since"),
        request: steps!(etag_delta),
        expect: plain(200),
        mutants: &[mutant("feed-etag-of-seq", "makes the ETag from seq alone")],
        ..ROW
    },
];

async fn served(t: &Trial<'_>) -> Result<(), Stop> {
    is_jwt(&t.feed("").await?.answer)
}

fn is_jwt(answer: &Answer) -> Result<(), Stop> {
    let kind = answer.header("content-type").unwrap_or("none");
    let media = kind.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case("application/jwt") {
        return Ok(());
    }
    Err(Stop::fail("Content-Type: application/jwt", format!("Content-Type: {kind}")))
}

/// The metadata. It must exist, because the feed is compared with it.
async fn told(t: &Trial<'_>) -> Result<Value, Stop> {
    let answer = t.metadata().await?;
    match answer.json().filter(|_| answer.status == 200) {
        Some(metadata) => Ok(metadata),
        None => Err(Stop::fail("200 with the metadata of the authorization server", t.summary(&answer))),
    }
}

async fn metadata(t: &Trial<'_>) -> Result<(), Stop> {
    let metadata = told(t).await?;
    let wanted = format!("{}{FEED}", origin_of(&t.issuer().await?));
    // The issuer may be at another origin than this run's.
    let here = format!("{}{FEED}", origin_of(&t.run.client.url("")));
    if [&wanted, &here].iter().any(|uri| metadata["revocations_uri"] == uri.as_str()) {
        return Ok(());
    }
    Err(Stop::fail(format!("revocations_uri {wanted}"), format!("revocations_uri {}", metadata["revocations_uri"])))
}

async fn cache(t: &Trial<'_>) -> Result<(), Stop> {
    let scope = match t.feed_mode().await? {
        Mode::Public => "public",
        Mode::Private => "private",
    };
    let feed = t.feed("").await?;
    let value = feed.answer.list("cache-control").join(", ");
    let directives: BTreeSet<_> = value.split(", ").map(str::to_lowercase).collect();
    if directives == BTreeSet::from([scope.to_owned(), "max-age=2".to_owned()]) {
        return Ok(());
    }
    Err(Stop::fail(format!("Cache-Control: {scope}, max-age=2"), format!("Cache-Control: {value}")))
}

/// The published key that the feed's kid names.
async fn key(t: &Trial<'_>, feed: &Feed) -> Result<Value, Stop> {
    let answer = t.send(&endpoint::bare("GET", KEYS, None)).await?;
    let keys = answer.json().unwrap_or_default();
    let kid = &feed.jwt.header["kid"];
    let found = keys["keys"].as_array().and_then(|keys| keys.iter().find(|key| kid.is_string() && key["kid"] == *kid));
    found.cloned().ok_or_else(|| Stop::fail("the kid of a key in /.well-known/jwks.json", format!("kid {kid}")))
}

async fn header(t: &Trial<'_>) -> Result<(), Stop> {
    let feed = t.feed("").await?;
    for (name, wanted) in [("typ", FEED_TYP), ("alg", "EdDSA")] {
        let got = &feed.jwt.header[name];
        if got != wanted {
            return Err(Stop::fail(format!("{name} {wanted}"), format!("{name} {got}")));
        }
    }
    key(t, &feed).await.map(drop)
}

async fn signature(t: &Trial<'_>) -> Result<(), Stop> {
    let feed = t.feed("").await?;
    let key = key(t, &feed).await?;
    let public = key["x"].as_str().and_then(unb64).filter(|_| key["kty"] == "OKP" && key["crv"] == "Ed25519");
    let public = public.ok_or_else(|| Stop::fail("an Ed25519 key for EdDSA", format!("kty {}", key["kty"])))?;
    let (input, signature) = feed.token.rsplit_once('.').unwrap_or_default();
    let signature = unb64(signature).unwrap_or_default();
    UnparsedPublicKey::new(&ED25519, public)
        .verify(input.as_bytes(), &signature)
        .map_err(|_| Stop::fail("a signature that the published key verifies", "an invalid signature"))
}

async fn issuer(t: &Trial<'_>) -> Result<(), Stop> {
    let metadata = told(t).await?;
    let feed = t.feed("").await?;
    let (wanted, got) = (&metadata["issuer"], &feed.jwt.claims["iss"]);
    if wanted.is_string() && wanted == got {
        return Ok(());
    }
    Err(Stop::fail(format!("iss {wanted}"), format!("iss {got}")))
}

async fn times(t: &Trial<'_>) -> Result<(), Stop> {
    let feed = t.feed("").await?;
    let now = t.run.clock.now();
    let (iat, exp) = (&feed.jwt.claims["iat"], &feed.jwt.claims["exp"]);
    let (Some(from), Some(until)) = (iat.as_u64(), exp.as_u64()) else {
        return Err(Stop::fail("iat and exp as integers", format!("iat {iat}, exp {exp}")));
    };
    if from.checked_add(300) != Some(until) {
        return Err(Stop::fail("exp 300 s after iat", format!("iat {iat}, exp {exp}")));
    }
    if from > now + CLOCKS || until < now + LEAST_LEFT {
        return Err(Stop::fail(
            format!("an iat no later than {now} and at least {LEAST_LEFT} s left until exp"),
            format!("iat {iat}, exp {exp}"),
        ));
    }
    Ok(())
}

/// A delta since the feed's own `seq` is empty, unless something is revoked in between.
async fn claims(t: &Trial<'_>) -> Result<(), Stop> {
    let whole = t.feed("").await?;
    let part = t.feed(&format!("?since={}", whole.seq()?)).await?;
    for feed in [&whole, &part] {
        feed.seq()?;
        let ended = &feed.jwt.claims["ended"];
        let members: BTreeSet<_> = ended.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        if members != BTreeSet::from(MEMBERS) || !MEMBERS.iter().all(|name| ended[name].is_object()) {
            return Err(Stop::fail("ended with the objects token, parent and client", format!("ended {ended}")));
        }
    }
    let since = whole.jwt.claims.get("since");
    if let Some(since) = since {
        return Err(Stop::fail("no since in the full feed", format!("since {since}")));
    }
    let since = &part.jwt.claims["since"];
    if since.is_u64() { Ok(()) } else { Err(Stop::fail("since as an integer", format!("since {since}"))) }
}

/// Requests the feed again, with its ETag in If-None-Match.
async fn unless(t: &Trial<'_>, etag: &str) -> Result<Answer, Stop> {
    let mut request = t.feed_request("").await?;
    request.set("if-none-match", etag);
    t.send(&request).await
}

async fn not_modified(t: &Trial<'_>) -> Result<(), Stop> {
    let mut ended_each_time = true;
    for _ in 0..TRIES {
        let feed = t.feed("").await?;
        let answer = unless(t, feed.etag()?).await?;
        if answer.status == 304 && answer.body.is_empty() {
            return Ok(());
        }
        let other = answer.header("etag").is_some_and(|etag| Some(etag) != feed.answer.header("etag"));
        // The feed has changed: something was revoked in between, by this run or by others.
        if answer.status != 200 || !other {
            return Err(Stop::fail("304 without a body", t.summary(&answer)));
        }
        let again = Jwt::read(&answer.text()).and_then(|jwt| jwt.claims["seq"].as_u64());
        ended_each_time &= again != feed.jwt.claims["seq"].as_u64();
        t.thin_out();
    }
    if ended_each_time {
        return Err(Stop::Blocked(
            "something was revoked between every two reads: run again when the deployment is less busy".to_owned(),
        ));
    }
    Err(Stop::fail("304 while nothing was revoked", "200 with another feed each time"))
}

async fn modified(t: &Trial<'_>) -> Result<(), Stop> {
    let answer = unless(t, "\"another\"").await?;
    t.as_feed(answer).map(drop)
}

async fn etag_changes(t: &Trial<'_>) -> Result<(), Stop> {
    let before = t.feed("").await?;
    let (_, short) = t.ended_short().await?;
    let (after, _) = t.feed_lists("token", &short.id).await?;
    let (old, new) = (before.etag()?, after.etag()?);
    if old != new {
        return Ok(());
    }
    Err(Stop::fail("another ETag after a revocation", format!("still ETag: {new}")))
}

async fn head(t: &Trial<'_>) -> Result<(), Stop> {
    let mut request = t.feed_request("").await?;
    request.method = "HEAD".to_owned();
    let answer = t.send(&request).await?;
    if answer.status != 200 || answer.header("etag").is_none() {
        return Err(Stop::fail("200 with an ETag", t.summary(&answer)));
    }
    is_jwt(&answer)
}

async fn methods(t: &Trial<'_>) -> Result<(), Stop> {
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let mut request = t.feed_request("").await?;
        request.method = method.to_owned();
        let answer = t.send(&request).await?;
        t.expect(plain(405), &answer)?;
        allows_reading(&answer, method)?;
    }
    Ok(())
}

async fn etag_delta(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, short) = t.ended_short().await?;
    let (whole, _) = t.feed_lists("token", &short.id).await?;
    let part = t.feed(&format!("?since={}", whole.seq()?)).await?;
    if part.jwt.claims["since"].is_null() {
        return Err(Stop::Absent("the server sent the full feed instead of a delta".to_owned()));
    }
    match part.etag()? == whole.etag()? {
        false => Ok(()),
        true => Err(Stop::fail(
            "another ETag for the delta than for the full feed",
            format!("ETag {} for both", whole.etag()?),
        )),
    }
}
