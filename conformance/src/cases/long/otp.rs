//! POST /auth/tokens/long: one-time codes.
//!
//! A client has only one code per 30 seconds. So four cases share one accepted code, and the wrong codes go to role
//! `lockout`.

use super::lock;
use crate::case::*;
use crate::trial::draft;
use crate::{clock, result};
use std::rc::Rc;
use tokio::sync::Mutex;

/// How many times the same code is sent simultaneously. Few, because a server may count the rejected ones as guesses.
const TRIES: usize = 2;

pub const CASES: &[Case] = &[
    Case {
        id: "long.201.otp",
        cell: Cell::Long(201),
        level: Level::Seed,
        requirement: "A one-time code with X-Client-Id issues a long-term token.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(Valid, ClientId), (Valid, TotpSecret)],
        effect: Effect::Mint,
        request: steps!(accepted),
        expect: GRANTED,
        mutants: &[mutant("otp-refused", "rejects every code")],
        ..ROW
    },
    Case {
        id: "long.400.otp-code-number",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "An otp_code that is a number is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Unset("client_secret"), Set("otp_code", "123456")]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.400.otp-code-null",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A null otp_code is rejected with 400 invalid_request, even if the body has another mechanism.",
        section: "openapi.yaml, LongTokenRequest",
        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Set("otp_code", "null")]),
        expect: INVALID_REQUEST,
        ..ROW
    },
    Case {
        id: "long.401.otp-reused",
        cell: Cell::Long(401),
        level: Level::Seed,
        requirement: "A code that was accepted before is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(Valid, ClientId), (Valid, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(reused),
        expect: INVALID_CLIENT,
        mutants: &[mutant("otp-reusable", "accepts a code again")],
        ..ROW
    },
    Case {
        id: "long.401.otp-simultaneous",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Of several simultaneous requests with one code, exactly one is answered with 201. The others \
                      are rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(Valid, ClientId), (Valid, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(one_of_many),
        expect: INVALID_CLIENT,
        mutants: &[mutant("otp-race", "accepts a code twice when it is sent simultaneously")],
        ..ROW
    },
    Case {
        id: "long.401.otp-older-step",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A code from a time step before the last accepted one is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(Valid, ClientId), (Valid, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(older_step),
        expect: INVALID_CLIENT,
        mutants: &[mutant("otp-older-ok", "accepts an older code after a newer one")],
        ..ROW
    },
    Case {
        id: "long.401.otp-wrong",
        cell: Cell::Long(401),
        level: Level::Seed,
        requirement: "A wrong code is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(Lockout, ClientId), (Lockout, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(wrong),
        expect: INVALID_CLIENT,
        mutants: &[mutant("otp-any", "accepts any code")],
        ..ROW
    },
    Case {
        id: "long.401.otp-locked",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Five wrong codes in five minutes lock the mechanism for that client: after them even a right \
                      code is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 4226 section 7.3",
        needs: &[(Lockout, ClientId), (Lockout, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(locked),
        expect: INVALID_CLIENT,
        mutants: &[mutant("never-locks", "never locks, however many codes are guessed")],
        ..ROW
    },
    Case {
        id: "long.201.otp-lock-spares-secret",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "While one-time codes are locked, the client's other mechanisms still work.",
        section: "openapi.yaml, issueLongTermToken; RFC 4226 section 7.3",
        needs: &[(Lockout, ClientId), (Lockout, TotpSecret), (Lockout, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.401.otp-locked"),
        request: steps!(only_this_mechanism),
        expect: GRANTED,
        mutants: &[mutant("lock-locks-client", "locks the whole client")],
        ..ROW
    },
    Case {
        id: "long.403.otp-not-allowed",
        cell: Cell::Long(403),
        level: Level::Contract,
        requirement: "A valid credential of a mechanism that the client may not use is rejected with 403 \
                      unauthorized_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 6749 section 5.2",
        needs: &[(NoOtp, ClientId), (NoOtp, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(not_allowed),
        expect: UNAUTHORIZED,
        mutants: &[mutant("otp-for-all", "lets every client use one-time codes")],
        ..ROW
    },
    Case {
        id: "long.400.otp-ttl-3599",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "With a code too, a ttl_seconds of 3599 is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",

        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(
            Secret(Valid),
            &[Unset("client_secret"), Set("otp_code", r#""000000""#), Set("ttl_seconds", "3599")],
        ),
        expect: INVALID_REQUEST,

        mutants: &[mutant("otp-ttl-unchecked", "does not check ttl_seconds with a code")],
        ..ROW
    },
    Case {
        id: "long.400.otp-unknown-field",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "With a code too, an unknown field is rejected with 400 invalid_request.",
        section: "openapi.yaml, LongTokenRequest",

        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Unset("client_secret"), Set("otp_code", r#""000000""#), Set("surprise", "1")]),
        expect: INVALID_REQUEST,
        also: &[Also::Names("surprise")],
        mutants: &[mutant("otp-fields-unchecked", "accepts unknown fields with a code")],
        ..ROW
    },
    Case {
        id: "long.400.otp-scope-grammar",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "With a code too, a scope without a colon is rejected with 400 invalid_scope.",
        section: "openapi.yaml, Scope",

        effect: Effect::Read,
        control: Some("long.201.secret"),
        request: Ask(
            Secret(Valid),
            &[Unset("client_secret"), Set("otp_code", r#""000000""#), Set("scopes", r#"["jobs"]"#)],
        ),
        expect: INVALID_SCOPE,

        mutants: &[mutant("otp-scopes-unchecked", "does not check scopes with a code")],
        ..ROW
    },
];

/// The answers to one code that was sent several times simultaneously.
pub struct Scene {
    pub step: u64,
    pub answers: Vec<Answer>,
    exchanges: Vec<result::Exchange>,
}

/// The first case that needs the answers sends the requests, and the others share them.
#[derive(Default)]
struct OneScene(Mutex<Option<Rc<Scene>>>);

impl Scene {
    fn accepted(&self) -> usize {
        self.answers.iter().filter(|a| a.status == 201).count()
    }
}

pub async fn scene(t: &Trial<'_>) -> Result<Rc<Scene>, Stop> {
    let memory = t.run.memory::<OneScene>();
    let mut slot = memory.0.lock().await;
    if let Some(scene) = &*slot {
        return Ok(scene.clone());
    }
    let (key, _) = t.totp(Valid)?;
    // Without a record of earlier runs, a rejected code may be one that another machine has just used.
    let mut doubt = t.run.state.get(&key).is_none();
    loop {
        let step = t.unspent_step(Valid).await?;
        let request = t.otp_request(Valid, &t.code(Valid, step)?)?;
        let answers = t.send_at_once(&request, TRIES).await?;
        let scene = Rc::new(Scene { step, answers, exchanges: t.exchanges.borrow().clone() });
        if scene.accepted() > 0 || !doubt {
            *slot = Some(scene.clone());
            return Ok(scene);
        }
        // Sent alone, and once: with a wrong totp_secret, five attempts would lock the client.
        doubt = false;
        let next = t.unspent_step(Valid).await?;
        if t.send(&t.otp_request(Valid, &t.code(Valid, next)?)?).await?.status != 201 {
            *slot = Some(scene.clone());
            return Ok(scene);
        }
    }
}

async fn accepted(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    *t.exchanges.borrow_mut() = scene.exchanges.clone();
    *t.judged.borrow_mut() = Some(t.otp_request(Valid, &t.code(Valid, scene.step)?)?);
    let best = scene.answers.iter().find(|a| a.status == 201).or(scene.answers.first());
    match best {
        Some(answer) => t.expect(GRANTED, answer),
        None => Err(Stop::Error("no request was sent".to_owned())),
    }
}

async fn one_of_many(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    *t.exchanges.borrow_mut() = scene.exchanges.clone();
    let code = t.code(Valid, scene.step)?;
    *t.judged.borrow_mut() = Some(t.otp_request(Valid, &code)?);
    if scene.accepted() != 1 {
        return Err(Stop::fail(
            format!("exactly one 201 for {TRIES} simultaneous requests with one code"),
            format!("201 for {} of them", scene.accepted()),
        ));
    }
    scene.answers.iter().filter(|a| a.status != 201).try_for_each(|a| t.expect(t.due, a))
}

async fn reused(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    let request = t.otp_request(Valid, &t.code(Valid, scene.step)?)?;
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer)
}

/// The code from one time step before. It is within the drift, so only the order of the steps rejects it.
async fn older_step(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    let request = t.otp_request(Valid, &t.code(Valid, scene.step - 1)?)?;
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer)
}

async fn not_allowed(t: &Trial<'_>) -> Result<(), Stop> {
    lock::past_is_tried(t).await?;
    let step = t.unspent_step(NoOtp).await?;
    let request = t.otp_request(NoOtp, &t.code(NoOtp, step)?)?;
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer)
}

/// A lock outlives the run that caused it. While an earlier run's lock must still hold, the right code must be
/// rejected. That run has shown that the client worked before, so nothing needs to be guessed again.
async fn locked(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = match lock::scene(t).await {
        Err(Stop::Absent(_)) => {
            let (key, _) = t.totp(Lockout)?;
            let since = t.run.state.get(&key).unwrap_or_default().locked_at;
            let step = t.unspent_step(Lockout).await?;
            let request = t.otp_request(Lockout, &t.code(Lockout, step)?)?;
            let answer = t.send(&request).await?;
            return t.expect(t.due, &answer).map_err(|stop| during_lock(stop, since));
        }
        other => other?,
    };
    let verdict = t.expect(t.due, &scene.right_after_five).map_err(|stop| {
        stop.wanted(|wanted| format!("{wanted} even for the right code, after five wrong codes within five minutes"))
    });
    scene.verdict(t, verdict)
}

fn during_lock(stop: Stop, since: u64) -> Stop {
    match stop {
        Stop::Fail { wanted, got } => Stop::fail(
            format!("{wanted}: five wrong codes at {} lock the mechanism for five minutes", clock::rfc3339(since)),
            got,
        ),
        other => other,
    }
}

/// One wrong code, on the client that an earlier run has locked or that this run will lock.
async fn wrong(t: &Trial<'_>) -> Result<(), Stop> {
    match lock::scene(t).await {
        Ok(scene) => scene.verdict(t, scene.wrong.iter().try_for_each(|answer| t.expect(t.due, answer))),
        Err(Stop::Absent(_)) => t.expect(t.due, &lock::send_wrong(t, 9).await?),
        Err(other) => Err(other),
    }
}

/// While one-time codes are locked, the client's other mechanisms still work.
async fn only_this_mechanism(t: &Trial<'_>) -> Result<(), Stop> {
    let request = draft::build(t, Secret(Lockout), &[]).await?;
    let answer = t.send(&request).await?;
    t.expect(GRANTED, &answer).map_err(|stop| match stop {
        Stop::Fail { wanted, got } => {
            Stop::fail(wanted, format!("{got}; if this secret never worked, correct client_secret of [lockout]"))
        }
        other => other,
    })
}
