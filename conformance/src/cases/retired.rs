//! The end of a retired token: after the grace period of a rotation it counts as revoked. These cases apply if the profile says
//! how long that is. They share one wait.

use crate::case::*;
use crate::endpoint;
use std::rc::Rc;
use tokio::sync::Mutex;

const RETIRED: Case = Case {
    level: Level::Contract,
    section: "openapi.yaml, issueLongTermToken; docs/api.md, Four ways to a long-term token",
    needs: &[(Valid, ClientId), (Valid, ClientSecret)],
    effect: Effect::Revoke,
    phase: Phase::Last,
    control: Some("long.201.rotation-grace"),
    ..ROW
};

pub const CASES: &[Case] = &[
    Case {
        id: "short.401.retired",
        cell: Cell::Short(401),
        requirement: "After the grace period, a retired long-term token is rejected with 401 invalid_token.",
        request: steps!(exchange),
        expect: INVALID_TOKEN,
        mutants: &[mutant("retired-for-ever", "never ends a retired token")],
        ..RETIRED
    },
    Case {
        id: "short.401.retired-twice",
        cell: Cell::Short(401),
        requirement: "Another rotation does not lengthen the grace period of the first.",
        request: steps!(rotated_twice),
        expect: INVALID_TOKEN,
        mutants: &[mutant("rotating-lengthens", "starts the grace period anew with each rotation")],
        ..RETIRED
    },
    Case {
        id: "short.201.retired-lifetime",
        cell: Cell::Short(201),
        requirement: "A short-term token that is made within the grace period ends with it.",
        request: steps!(lifetime),
        expect: GRANTED,
        mutants: &[mutant(
            "short-outlives-retired",
            "gives the short-term tokens of a retired token their whole lifetime",
        )],
        ..RETIRED
    },
    Case {
        id: "long.401.rotation-retired",
        cell: Cell::Long(401),
        requirement: "After the grace period, the short-term tokens of a retired token are rejected with 401 \
                      invalid_token.",
        request: steps!(child),
        expect: INVALID_TOKEN,
        mutants: &[mutant("retired-children-live", "keeps accepting the short-term tokens of a retired token")],
        ..RETIRED
    },
];

struct Scene {
    /// Rotated once.
    once: Token,
    /// Rotated again, half-way through the grace period.
    twice: Token,
    /// A short-term token of the first, from before the rotation.
    child: Token,
    /// The answer to an exchange of the first within the grace period, and how many seconds were left.
    half_way: (Answer, u64),
}

#[derive(Default)]
struct OneScene(Mutex<Option<Rc<Scene>>>);

/// The scene after the grace period.
async fn scene(t: &Trial<'_>) -> Result<Rc<Scene>, Stop> {
    let grace = t.run.profile.limits.rotation_grace_seconds.ok_or_else(|| {
        Stop::Absent(
            "the profile does not give the deployment's grace period, limits.rotation_grace_seconds".to_owned(),
        )
    })?;
    let memory = t.run.memory::<OneScene>();
    let mut slot = memory.0.lock().await;
    if let Some(scene) = &*slot {
        return Ok(scene.clone());
    }
    let id = t.setting(t.tenant(), ClientId)?;
    let scopes = [PLAIN, "tokens:write"];
    let (once, twice) = (t.mint_long(t.tenant(), &scopes).await?, t.mint_long(t.tenant(), &scopes).await?);
    let child = t.mint_short(&once, &scopes).await?;
    let (first, second) = (t.mint_short(&twice, &scopes).await?, t.mint_short(&twice, &scopes).await?);
    t.rotated(&id, &child).await?;
    t.rotated(&id, &first).await?;
    let ends = t.run.clock.now() + grace;
    t.run.say(&format!("waiting {grace} s for the end of the grace period of a rotation"));
    t.run.wait_until(ends - grace / 2).await?;
    t.rotated(&id, &second).await?;
    // A location may not have heard of the rotation yet.
    let half_way = loop {
        let left = ends.saturating_sub(t.run.clock.now());
        let answer = t.send(&endpoint::exchange(&once.token)).await?;
        t.thin_out();
        if ends_in(&answer, left) || left <= 5 {
            break (answer, left);
        }
        t.run.wait_until(t.run.clock.now() + 1).await?;
    };
    t.run.wait_until(ends + 2).await?;
    let scene = Rc::new(Scene { once, twice, child, half_way });
    *slot = Some(scene.clone());
    Ok(scene)
}

async fn exchange(t: &Trial<'_>) -> Result<(), Stop> {
    ended(t, &scene(t).await?.once).await
}

async fn rotated_twice(t: &Trial<'_>) -> Result<(), Stop> {
    ended(t, &scene(t).await?.twice).await
}

async fn ended(t: &Trial<'_>, long: &Token) -> Result<(), Stop> {
    t.until_refused(&endpoint::exchange(&long.token), t.due).await?;
    // So the clean-up need not revoke it.
    t.run.ledger.ended(&long.id);
    Ok(())
}

fn lives(answer: &Answer) -> u64 {
    answer.json().unwrap_or_default()["expires_in"].as_u64().unwrap_or_default()
}

fn ends_in(answer: &Answer, left: u64) -> bool {
    lives(answer) <= left + 1
}

async fn lifetime(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    let (answer, left) = &scene.half_way;
    t.expect(t.due, answer)?;
    match ends_in(answer, *left) {
        true => Ok(()),
        false => Err(Stop::fail(
            format!("expires_in of at most {left}, what is left of the grace period"),
            format!("expires_in {}", lives(answer)),
        )),
    }
}

async fn child(t: &Trial<'_>) -> Result<(), Stop> {
    let child = scene(t).await?.child.token.clone();
    t.until_refused(&t.rotate_request(t.tenant(), &child, None)?, t.due).await
}
