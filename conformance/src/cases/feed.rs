//! GET /.well-known/revocations: the feed of ends, for APIs that verify offline.

use super::*;
use crate::clock;
use crate::feed::{CLOCKS, FOR_GOOD, Feed, KEYS, Mode, PATH, TYP, get, hash};
use crate::identities::Role::{Immediate, Operator, Reader, Valid};
use crate::jose::{Jwt, unb64};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const TOKEN: &[(Role, Credential)] = &[(Valid, ClientId), (Valid, ClientSecret)];
const OPERATOR: &[(Role, Credential)] =
    &[(Valid, ClientId), (Valid, ClientSecret), (Operator, ClientId), (Operator, ClientSecret)];
const IMMEDIATE: &[(Role, Credential)] =
    &[(Valid, ClientId), (Valid, ClientSecret), (Immediate, ClientId), (Immediate, ClientSecret)];

/// Seconds that a text has left at least, less what a location may keep it and what clocks differ by.
const LEAST_LEFT: u64 = 150 - 10;
/// How often a read and its repetition may be parted by an end.
const TRIES: usize = 10;
const MEMBERS: [&str; 3] = ["token", "parent", "client"];

/// A row that reads the feed, after an end or without one.
const fn row(id: &'static str, says: &'static str, status: u16, effect: Effect, act: Steps) -> Case {
    Case {
        id,
        says,
        op: Op::Service,
        status: Some(status),
        level: Level::Service,
        effect,
        control: Some("feed.200.served"),
        needs: if matches!(effect, Effect::Provision) { OPERATOR } else { TOKEN },
        act: Act::Steps(act),
    }
}

/// A row for those who may not read a private feed. The role `reader` is asked for where it is private, and not before.
const fn private(id: &'static str, says: &'static str, act: Steps) -> Case {
    row(id, says, 401, Effect::Mint, act)
}

pub const CASES: &[Case] = &[
    row(
        "feed.200.served",
        "The feed of ends is a JWT at /.well-known/revocations of the origin, as application/jwt.",
        200,
        Effect::Mint,
        |t| Box::pin(served(t)),
    )
    .twin_of("short.201.exchange"),
    row("feed.200.metadata", "The metadata names it as revocations_uri.", 200, Effect::Mint, |t| Box::pin(metadata(t))),
    row(
        "feed.200.cache",
        "It carries Cache-Control: public, max-age=2 (private where it is private).",
        200,
        Effect::Mint,
        |t| Box::pin(cache(t)),
    ),
    row(
        "feed.200.header",
        "Its header has typ revocations+jwt, alg EdDSA, and the kid of a published key.",
        200,
        Effect::Mint,
        |t| Box::pin(header(t)),
    ),
    row("feed.200.signature", "Its signature is that of the published key.", 200, Effect::Mint, |t| {
        Box::pin(signature(t))
    })
    .twin_of("feed.200.header"),
    row("feed.200.issuer", "Its iss is the issuer of the metadata.", 200, Effect::Mint, |t| Box::pin(issuer(t)))
        .twin_of("feed.200.metadata"),
    row(
        "feed.200.times",
        "It counts for 300 s from its iat, and has at least 150 s of them left.",
        200,
        Effect::Mint,
        |t| Box::pin(times(t)),
    ),
    row(
        "feed.200.claims",
        "It has an integer seq, since where that was asked for, and in ended the objects token, parent and client, if empty.",
        200,
        Effect::Mint,
        |t| Box::pin(claims(t)),
    ),
    row(
        "feed.200.entries",
        "An entry is 16 bytes in base64url without padding, with a time in whole seconds.",
        200,
        Effect::Revoke,
        |t| Box::pin(entries(t)),
    ),
    row(
        "feed.200.token",
        "A short-term token is listed under token when its revocation is answered.",
        200,
        Effect::Revoke,
        |t| Box::pin(token(t)),
    ),
    row(
        "feed.200.parent",
        "A long-term token is listed under parent alone when its revocation is answered.",
        200,
        Effect::Revoke,
        |t| Box::pin(parent(t, Valid)),
    ),
    row(
        "feed.200.parent-immediate",
        "A long-term token of an immediate client is listed just so.",
        200,
        Effect::Revoke,
        |t| Box::pin(parent(t, Immediate)),
    )
    .twin_of("feed.200.parent")
    .needing(IMMEDIATE),
    row(
        "feed.200.cascade",
        "An API that follows the feed refuses the short-term tokens of a revoked long-term token, and took them before.",
        200,
        Effect::Revoke,
        |t| Box::pin(cascade(t)),
    ),
    row(
        "feed.200.spares-others",
        "It does not refuse the other tokens of that client, nor those of the same long-term token.",
        200,
        Effect::Revoke,
        |t| Box::pin(spares_others(t)),
    )
    .twin_of("feed.200.token"),
    row("feed.200.repeated", "Revoking again does not put off the end that is listed.", 200, Effect::Revoke, |t| {
        Box::pin(repeated(t))
    })
    .twin_of("feed.200.token"),
    row(
        "feed.200.rotation",
        "A retired long-term token's short-term tokens are not refused while it is in its grace.",
        200,
        Effect::Mint,
        |t| Box::pin(rotation(t)),
    ),
    row(
        "feed.200.suspended",
        "A suspended client is listed under client with the time 253402300799, which refuses all of its tokens.",
        200,
        Effect::Provision,
        |t| Box::pin(suspended(t)),
    ),
    row(
        "feed.200.restored",
        "A restored client is listed with its tokens_valid_from, and its new tokens are not refused.",
        200,
        Effect::Provision,
        |t| Box::pin(restored(t)),
    )
    .twin_of("feed.200.suspended"),
    row(
        "feed.200.end-tokens",
        "end-tokens lists the client with a time that refuses the tokens from before it, and no later one.",
        200,
        Effect::Provision,
        |t| Box::pin(end_tokens(t)),
    ),
    row(
        "feed.200.deleted",
        "A deleted client is listed under client with the time 253402300799.",
        200,
        Effect::Provision,
        |t| Box::pin(deleted(t)),
    ),
    row(
        "feed.200.since",
        "?since=SEQ answers what came after it, nothing older, and says so.",
        200,
        Effect::Revoke,
        |t| Box::pin(since(t)),
    ),
    row(
        "feed.200.since-nonsense",
        "A since that is negative or no number gets the whole, without since.",
        200,
        Effect::Revoke,
        |t| {
            Box::pin(since_whole(t, |_| {
                ["x", "-1", "1.5", "1x", "", "99999999999999999999999"].map(str::to_owned).to_vec()
            }))
        },
    )
    .twin_of("feed.200.since"),
    row(
        "feed.200.since-ahead",
        "A since that is ahead of the feed gets the whole, without since.",
        200,
        Effect::Revoke,
        |t| Box::pin(since_whole(t, |seq| vec![seq.saturating_add(1_000_000).to_string()])),
    )
    .twin_of("feed.200.since"),
    row("feed.200.seq", "Its seq grows with each entry, and never goes back.", 200, Effect::Revoke, |t| {
        Box::pin(seq(t))
    })
    .twin_of("feed.200.token"),
    row("feed.304.etag", "If-None-Match with its ETag is 304, without a body.", 304, Effect::Mint, |t| {
        Box::pin(not_modified(t))
    }),
    row("feed.200.etag-other", "If-None-Match with another ETag is 200.", 200, Effect::Mint, |t| Box::pin(modified(t))),
    row("feed.200.etag-changes", "An end changes its ETag.", 200, Effect::Revoke, |t| Box::pin(etag_changes(t)))
        .twin_of("feed.200.token"),
    row("feed.200.head", "HEAD works where GET does.", 200, Effect::Mint, |t| Box::pin(head(t))),
    row("feed.405.methods", "Any other method is 405 with Allow: GET, HEAD.", 405, Effect::Mint, |t| {
        Box::pin(methods(t))
    }),
    private("feed.401.no-token", "A private feed is 401 invalid_token without a token.", |t| {
        Box::pin(refused_to(t, None))
    }),
    private("feed.401.garbage", "A private feed is 401 invalid_token with what is no token.", |t| {
        Box::pin(refused_to(t, Some("not-a-token")))
    }),
    private("feed.401.lacks-scope", "A private feed needs tokens:introspect: 401 insufficient_scope.", |t| {
        Box::pin(lacks_scope(t))
    }),
    private("feed.401.revoked", "A private feed is 401 invalid_token with a revoked token.", |t| {
        Box::pin(revoked_reader(t))
    })
    .effect(Effect::Revoke),
];

// ---- how it is served

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

/// The metadata, which must be there for what is judged by it.
async fn told(t: &Trial<'_>) -> Result<Value, Stop> {
    let answer = t.metadata().await?;
    match answer.json().filter(|_| answer.status == 200) {
        Some(metadata) => Ok(metadata),
        None => Err(Stop::fail("200 with the metadata of the authorization server", t.summary(&answer))),
    }
}

async fn metadata(t: &Trial<'_>) -> Result<(), Stop> {
    let metadata = told(t).await?;
    let issuer = t.issuer().await?;
    let host = issuer.find("://").map_or(0, |at| at + 3);
    let origin = issuer[host..].find('/').map_or(issuer.as_str(), |at| &issuer[..host + at]);
    let wanted = format!("{origin}{PATH}");
    if metadata["revocations_uri"] == wanted.as_str() {
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
    let value = feed.answer.header("cache-control").unwrap_or("none");
    let directives: BTreeSet<_> = value.split(',').map(|d| d.trim().to_lowercase()).collect();
    if directives == BTreeSet::from([scope.to_owned(), "max-age=2".to_owned()]) {
        return Ok(());
    }
    Err(Stop::fail(format!("Cache-Control: {scope}, max-age=2"), format!("Cache-Control: {value}")))
}

/// The published key that the feed names.
async fn key(t: &Trial<'_>, feed: &Feed) -> Result<Value, Stop> {
    let answer = t.send(&get(KEYS, None)).await?;
    let keys = answer.json().unwrap_or_default();
    let kid = &feed.jwt.header["kid"];
    let found = keys["keys"].as_array().and_then(|keys| keys.iter().find(|key| kid.is_string() && key["kid"] == *kid));
    found.cloned().ok_or_else(|| Stop::fail("the kid of a key in /.well-known/jwks.json", format!("kid {kid}")))
}

async fn header(t: &Trial<'_>) -> Result<(), Stop> {
    let feed = t.feed("").await?;
    for (name, wanted) in [("typ", TYP), ("alg", "EdDSA")] {
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
        .map_err(|_| Stop::fail("a signature of the published key", "one that does not verify"))
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
            format!("a text from before {now} with at least {LEAST_LEFT} s left"),
            format!("iat {iat}, exp {exp}"),
        ));
    }
    Ok(())
}

/// What is after its own `seq` is empty, unless something ends in between.
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
        return Err(Stop::fail("no since where the whole was asked for", format!("since {since}")));
    }
    let since = &part.jwt.claims["since"];
    if since.is_u64() { Ok(()) } else { Err(Stop::fail("since as an integer", format!("since {since}"))) }
}

// ---- what it lists

/// A bearer that may revoke, and a long-term token of the same client.
async fn pair(t: &Trial<'_>) -> Result<(Token, Token), Stop> {
    Ok((t.shared(Valid, "short").await?, t.mint_long(Valid, &["jobs:submit", "tokens:write"]).await?))
}

/// A short-term token that was revoked, and the one that revoked it.
async fn ended_short(t: &Trial<'_>) -> Result<(Token, Token), Stop> {
    let (bearer, long) = pair(t).await?;
    let short = t.mint_short(&long, &["jobs:submit"]).await?;
    t.revoked(&bearer, &short).await?;
    Ok((bearer, short))
}

async fn entries(t: &Trial<'_>) -> Result<(), Stop> {
    ended_short(t).await?;
    let all = |feed: &Feed| -> Vec<(String, Value)> {
        let members = MEMBERS.iter().filter_map(|name| feed.jwt.claims["ended"][name].as_object());
        members.flatten().map(|(name, at)| (name.clone(), at.clone())).collect()
    };
    let (_, all) = t
        .feed_until("", |feed| match all(feed) {
            all if all.is_empty() => Err(Stop::fail("an entry for what was just revoked", "none")),
            all => Ok(all),
        })
        .await?;
    for (name, at) in all {
        if name.len() != 22 || unb64(&name).is_none_or(|bytes| bytes.len() != 16) {
            return Err(Stop::fail("16 bytes in base64url without padding", format!("\"{name}\"")));
        }
        if !at.is_u64() {
            return Err(Stop::fail("a time in whole seconds", format!("{at}")));
        }
    }
    Ok(())
}

async fn token(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, short) = ended_short(t).await?;
    t.feed_lists("token", &short.id).await.map(drop)
}

async fn parent(t: &Trial<'_>, role: Role) -> Result<(), Stop> {
    let bearer = t.shared(role, "short").await?;
    let long = t.mint_long(role, &["jobs:submit"]).await?;
    t.revoked(&bearer, &long).await?;
    let (feed, _) = t.feed_lists("parent", &long.id).await?;
    match feed.entry("token", &long.id) {
        None => Ok(()),
        Some(_) => Err(Stop::fail(
            "a long-term token under parent alone",
            format!("\"{}\" under token too", hash("token", &long.id)),
        )),
    }
}

async fn cascade(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = pair(t).await?;
    let short = t.mint_short(&long, &["jobs:submit"]).await?;
    t.accepted(&t.feed("").await?, &short, "a live token")?;
    t.revoked(&bearer, &long).await?;
    t.feed_refuses(&short).await.map(drop)
}

async fn spares_others(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, long) = pair(t).await?;
    let (victim, sibling) =
        (t.mint_short(&long, &["jobs:submit"]).await?, t.mint_short(&long, &["jobs:submit"]).await?);
    t.revoked(&bearer, &victim).await?;
    let feed = t.feed_refuses(&victim).await?;
    t.accepted(&feed, &sibling, "another token of the same long-term token")?;
    t.accepted(&feed, &bearer, "another token of the same client")
}

async fn repeated(t: &Trial<'_>) -> Result<(), Stop> {
    let (bearer, short) = ended_short(t).await?;
    let (_, first) = t.feed_lists("token", &short.id).await?;
    t.run.wait_until(t.run.clock.now() + 2).await?;
    t.revoked(&bearer, &short).await?;
    t.feed_renewed().await;
    let (_, again) = t.feed_lists("token", &short.id).await?;
    if again <= first {
        return Ok(());
    }
    Err(Stop::fail(format!("the time {first}, as after the first revocation"), format!("the time {again}")))
}

async fn rotation(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, long) = pair(t).await?;
    let short = t.mint_short(&long, &["jobs:submit", "tokens:write"]).await?;
    let answer = t.send(&t.rotate_request(Valid, &short.token, None)?).await?;
    let got = || Stop::Blocked(format!("a rotation was needed first: the server answered {}", t.summary(&answer)));
    t.expect(GRANTED, &answer).map_err(|_| got())?;
    t.feed_renewed().await;
    t.accepted(&t.feed("").await?, &short, "a token of what was retired")
}

// ---- what it lists of clients

/// Until it lists the client with a time that is as it should be.
async fn listed(t: &Trial<'_>, client: &str, wanted: &str, fits: impl Fn(u64) -> bool) -> Result<Feed, Stop> {
    let wanted = format!("\"{}\", for {client}, under client, with {wanted}", hash("client", client));
    let judge = |feed: &Feed| match feed.entry("client", client) {
        Some(at) if fits(at) => Ok(()),
        Some(at) => Err(Stop::fail(&wanted, format!("the time {at}"))),
        None => Err(Stop::fail(&wanted, "no entry")),
    };
    t.feed_until("", judge).await.map(|(feed, ())| feed)
}

async fn for_good(t: &Trial<'_>, client: &str) -> Result<Feed, Stop> {
    listed(t, client, &format!("the time {FOR_GOOD}"), |at| at == FOR_GOOD).await
}

fn refused_by(feed: &Feed, t: &Trial<'_>, token: &Token) -> Result<(), Stop> {
    match feed.refuses(token, t.run.clock.now())? {
        true => Ok(()),
        false => Err(Stop::fail(format!("a feed that refuses {}", token.id), "one that does not")),
    }
}

async fn suspended(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest().await?;
    let token = t.guest_token(&guest).await?;
    t.accepted(&t.feed("").await?, &token, "a token of an active client")?;
    t.operate("PATCH", &guest.path, Some(json!({"status": "suspended"})), 200).await?;
    let feed = for_good(t, &guest.id).await?;
    refused_by(&feed, t, &token)
}

async fn restored(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest().await?;
    t.operate("PATCH", &guest.path, Some(json!({"status": "suspended"})), 200).await?;
    for_good(t, &guest.id).await?;
    let answer = t.operate("PATCH", &guest.path, Some(json!({"status": "active"})), 200).await?;
    let shown = answer.json().unwrap_or_default();
    let from = shown["tokens_valid_from"].as_str().and_then(clock::parse_rfc3339);
    let from = from.ok_or_else(|| Stop::Blocked("the client is shown without tokens_valid_from".to_owned()))?;
    let feed = listed(t, &guest.id, &format!("its tokens_valid_from, {from}"), |at| at == from).await?;
    let token = t.guest_token(&guest).await?;
    t.accepted(&feed, &token, "a new token of the restored client")
}

async fn end_tokens(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest().await?;
    let before = t.guest_token(&guest).await?;
    t.accepted(&t.feed("").await?, &before, "a token from before")?;
    t.operate("POST", &format!("{}/end-tokens", guest.path), None, 204).await?;
    let issued = crate::feed::claims(&before)?["auth_time"].as_u64().unwrap_or_default();
    let latest = t.run.clock.now() + CLOCKS;
    let wanted = format!("a time after {issued} that has come");
    let feed = listed(t, &guest.id, &wanted, |at| issued < at && at <= latest).await?;
    refused_by(&feed, t, &before)?;
    let after = t.guest_token(&guest).await?;
    t.accepted(&feed, &after, "a token from after")
}

async fn deleted(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest().await?;
    let token = t.guest_token(&guest).await?;
    t.operate("DELETE", &guest.path, None, 204).await?;
    let feed = for_good(t, &guest.id).await?;
    refused_by(&feed, t, &token)
}

// ---- what is new in it

async fn since(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, older) = ended_short(t).await?;
    let (feed, _) = t.feed_lists("token", &older.id).await?;
    let seq = feed.seq()?;
    let (_, newer) = ended_short(t).await?;
    let missing = || Stop::fail(format!("what ended after seq {seq}: {}", newer.id), "no entry");
    let told = |feed: &Feed| feed.entry("token", &newer.id).ok_or_else(missing);
    let (part, _) = t.feed_until(&format!("?since={seq}"), told).await?;
    let echoed = &part.jwt.claims["since"];
    if *echoed != seq {
        return Err(Stop::fail(format!("since {seq}"), format!("since {echoed}")));
    }
    match part.entry("token", &older.id) {
        None => Ok(()),
        Some(_) => {
            Err(Stop::fail(format!("only what came after seq {seq}"), format!("{} too, which was there", older.id)))
        }
    }
}

async fn since_whole(t: &Trial<'_>, values: fn(u64) -> Vec<String>) -> Result<(), Stop> {
    let (_, short) = ended_short(t).await?;
    let (feed, _) = t.feed_lists("token", &short.id).await?;
    for value in values(feed.seq()?) {
        let whole = |feed: &Feed| match (feed.jwt.claims.get("since"), feed.entry("token", &short.id)) {
            (None, Some(_)) => Ok(()),
            (Some(since), _) => Err(Stop::fail(format!("the whole for since={value}"), format!("since {since}"))),
            (None, None) => {
                Err(Stop::fail(format!("the whole for since={value}"), format!("no entry for {}", short.id)))
            }
        };
        t.feed_until(&format!("?since={value}"), whole).await?;
    }
    Ok(())
}

async fn seq(t: &Trial<'_>) -> Result<(), Stop> {
    let before = t.feed("").await?.seq()?;
    let (_, short) = ended_short(t).await?;
    let after = t.feed_lists("token", &short.id).await?.0.seq()?;
    if after <= before {
        return Err(Stop::fail(format!("a seq above {before} after an end"), format!("seq {after}")));
    }
    t.feed_renewed().await;
    t.feed("").await?;
    match t.run.feed.went_back(t.feed_kept()) {
        None => Ok(()),
        Some((earlier, later)) => Err(Stop::fail(format!("a seq of {earlier} or more"), format!("seq {later}"))),
    }
}

// ---- validators and methods

/// The feed again, unless it is this text still.
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
        // Another text: something ended in between, here or by somebody else's hand.
        if answer.status != 200 || !other {
            return Err(Stop::fail("304 without a body", t.summary(&answer)));
        }
        let again = Jwt::read(&answer.text()).and_then(|jwt| jwt.claims["seq"].as_u64());
        ended_each_time &= again != feed.jwt.claims["seq"].as_u64();
        t.thin_out();
    }
    if ended_each_time {
        return Err(Stop::Blocked("something ended between each two reads: run again when less goes on".to_owned()));
    }
    Err(Stop::fail("304 where nothing has ended", "another text each time"))
}

async fn modified(t: &Trial<'_>) -> Result<(), Stop> {
    let answer = unless(t, "\"another\"").await?;
    t.as_feed(answer).map(drop)
}

async fn etag_changes(t: &Trial<'_>) -> Result<(), Stop> {
    let before = t.feed("").await?;
    let (_, short) = ended_short(t).await?;
    let (after, _) = t.feed_lists("token", &short.id).await?;
    let (old, new) = (before.etag()?, after.etag()?);
    if old != new {
        return Ok(());
    }
    Err(Stop::fail("another ETag after an end", format!("ETag: {new} still")))
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
        t.expect(refused(405, &[]), &answer)?;
        let allow = answer.header("allow").unwrap_or("none");
        let allowed: BTreeSet<_> = allow.split(',').map(str::trim).collect();
        if allowed != BTreeSet::from(["GET", "HEAD"]) {
            return Err(Stop::fail(format!("{method}: Allow: GET, HEAD"), format!("Allow: {allow}")));
        }
    }
    Ok(())
}

// ---- a private feed

async fn is_private(t: &Trial<'_>) -> Result<(), Stop> {
    match t.feed_mode().await? {
        Mode::Private => Ok(()),
        Mode::Public => Err(Stop::Absent("the feed of this deployment is public".to_owned())),
    }
}

async fn refused_to(t: &Trial<'_>, bearer: Option<&str>) -> Result<(), Stop> {
    is_private(t).await?;
    let answer = t.send(&get(PATH, bearer)).await?;
    t.expect(INVALID_TOKEN, &answer)
}

async fn lacks_scope(t: &Trial<'_>) -> Result<(), Stop> {
    is_private(t).await?;
    let long = t.mint_long(Valid, &["jobs:submit"]).await?;
    let short = t.mint_short(&long, &["jobs:submit"]).await?;
    let answer = t.send(&get(PATH, Some(&short.token))).await?;
    t.expect(refused(401, &["insufficient_scope"]), &answer)
}

async fn revoked_reader(t: &Trial<'_>) -> Result<(), Stop> {
    is_private(t).await?;
    let long = t.mint_long(Reader, &["tokens:introspect"]).await?;
    let short = t.mint_short(&long, &["tokens:introspect"]).await?;
    let request = get(PATH, Some(&short.token));
    t.as_feed(t.send(&request).await?)?;
    t.revoked(&short, &short).await?;
    t.until_refused(&request, INVALID_TOKEN).await
}
