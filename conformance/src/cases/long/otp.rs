//! POST /auth/tokens/long: one-time codes.
//!
//! Codes are scarce (one per 30 seconds and client), so one accepted code serves four cases, and every wrong one is spent
//! on the role that exists for it.

use crate::case::*;
use crate::trial::draft;
use crate::{clock, result, totp};
use std::rc::Rc;
use tokio::sync::Mutex;

/// How often the same code is tried at once. Few, because a server may lawfully count the refused ones as guesses.
const TRIES: usize = 3;

/// How long five wrong codes lock the mechanism, in seconds.
const LOCK: u64 = 300;

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
        mutants: &[mutant("otp-refused", "refuses every code")],
        ..ROW
    },
    Case {
        id: "long.400.otp-code-number",
        cell: Cell::Long(400),
        level: Level::Contract,
        requirement: "A number for otp_code is 400 invalid_request.",
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
        requirement: "A null is 400 invalid_request, also beside another mechanism.",
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
        requirement: "A one-time code is accepted once.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(Valid, ClientId), (Valid, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(reused),
        expect: INVALID_CLIENT,
        mutants: &[mutant("otp-reusable", "takes a code again")],
        ..ROW
    },
    Case {
        id: "long.401.otp-simultaneous",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Of simultaneous tries with one code exactly one is answered 201.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(Valid, ClientId), (Valid, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(one_of_many),
        expect: INVALID_CLIENT,
        mutants: &[mutant("otp-race", "takes a code twice when tried at once")],
        ..ROW
    },
    Case {
        id: "long.401.otp-older-step",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A code of a step before the last accepted one is refused.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(Valid, ClientId), (Valid, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(older_step),
        expect: INVALID_CLIENT,
        mutants: &[mutant("otp-older-ok", "takes an older code after a newer one")],
        ..ROW
    },
    Case {
        id: "long.401.otp-wrong",
        cell: Cell::Long(401),
        level: Level::Seed,
        requirement: "A wrong code is 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(Lockout, ClientId), (Lockout, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(wrong),
        expect: INVALID_CLIENT,
        mutants: &[mutant("otp-any", "takes any code")],
        ..ROW
    },
    Case {
        id: "long.401.otp-locked",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Five wrong codes in five minutes lock the mechanism for that client, right codes included.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(Lockout, ClientId), (Lockout, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(locked),
        expect: INVALID_CLIENT,
        mutants: &[mutant("never-locks", "lets codes be guessed for ever")],
        ..ROW
    },
    Case {
        id: "long.201.otp-lock-spares-secret",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "Locked codes leave the client's other mechanisms alone.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
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
        requirement: "A mechanism that the client may not use is 403 unauthorized_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(NoOtp, ClientId), (NoOtp, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(not_allowed),
        expect: UNAUTHORIZED,
        mutants: &[mutant("otp-for-all", "allows codes to every client")],
        ..ROW
    },
];

/// What came of one code that was sent several times at once.
struct Scene {
    step: u64,
    answers: Vec<Answer>,
    exchanges: Vec<result::Exchange>,
}

/// Made by whichever case comes first.
#[derive(Default)]
struct OneScene(Mutex<Option<Rc<Scene>>>);

impl Scene {
    fn accepted(&self) -> usize {
        self.answers.iter().filter(|a| a.status == 201).count()
    }
}

async fn scene(t: &Trial<'_>) -> Result<Rc<Scene>, Stop> {
    let memory = t.run.memory::<OneScene>();
    let mut slot = memory.0.lock().await;
    if let Some(scene) = &*slot {
        return Ok(scene.clone());
    }
    let (key, _) = t.totp(Valid)?;
    // Where nothing is known of earlier runs, a refused code may be one that another machine has just spent.
    let mut more = if t.run.state.get(&key).is_none() { 2 } else { 0 };
    loop {
        let step = t.unspent_step(Valid).await?;
        let request = t.otp_request(Valid, &t.code(Valid, step)?)?;
        let answers = t.send_at_once(&request, TRIES).await?;
        let scene = Rc::new(Scene { step, answers, exchanges: t.exchanges.borrow().clone() });
        if scene.accepted() > 0 || more == 0 {
            *slot = Some(scene.clone());
            return Ok(scene);
        }
        more -= 1;
    }
}

async fn accepted(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    let best = scene.answers.iter().find(|a| a.status == 201).or(scene.answers.first());
    match best {
        Some(answer) => t.expect(GRANTED, answer),
        None => Err(Stop::Error("no try was made".to_owned())),
    }
}

async fn one_of_many(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    *t.exchanges.borrow_mut() = scene.exchanges.clone();
    let code = t.code(Valid, scene.step)?;
    *t.judged.borrow_mut() = Some(t.otp_request(Valid, &code)?);
    if scene.accepted() != 1 {
        return Err(Stop::fail(
            format!("exactly one 201 of {TRIES} simultaneous tries with one code"),
            format!("{} of them", scene.accepted()),
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

/// The code of the step before: within the drift, so only the order of the steps refuses it.
async fn older_step(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    let request = t.otp_request(Valid, &t.code(Valid, scene.step - 1)?)?;
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer)
}

async fn not_allowed(t: &Trial<'_>) -> Result<(), Stop> {
    let step = t.unspent_step(NoOtp).await?;
    let request = t.otp_request(NoOtp, &t.code(NoOtp, step)?)?;
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer)
}

/// A code that fits no step near now.
fn wrong_code(t: &Trial<'_>, nth: u64) -> Result<String, Stop> {
    let (_, key) = t.totp(Lockout)?;
    let step = totp::step_at(t.run.clock.now());
    let right: Vec<_> = (step - 3..=step + 3).map(|s| totp::code(key, s)).collect();
    let guess = |i: u64| format!("{:06}", (step * 7919 + nth * 104_729 + i) % 1_000_000);
    Ok((0..8).map(guess).find(|code| !right.contains(code)).unwrap_or_default())
}

async fn send_wrong(t: &Trial<'_>, nth: u64) -> Result<Answer, Stop> {
    let (key, _) = t.totp(Lockout)?;
    let now = t.run.clock.now();
    t.run.state.update(&key, |s| s.wrong_at = now);
    t.send(&t.otp_request(Lockout, &wrong_code(t, nth)?)?).await
}

/// One code after another: the right one is taken, five wrong ones are refused, and then the right one is too.
///
/// A lock outlives the run that made it. While one from an earlier run must still hold, the right code must be
/// refused, and that run has shown that the client was alive before; nothing needs to be guessed again.
async fn locked(t: &Trial<'_>) -> Result<(), Stop> {
    let (key, _) = t.totp(Lockout)?;
    let before = t.run.state.get(&key);
    let spent = before.unwrap_or_default();
    let end = spent.locked_at + LOCK;
    let now = t.run.clock.now();
    // Ten seconds for clocks that differ and requests that take their time.
    if spent.locked_at > 0 && now < end && now + 10 >= end {
        t.run.say(&format!("lockout: waiting {} s for an earlier run's lock to end", end + 2 - now));
        t.run.wait_until(end + 2).await?;
    }
    let now = t.run.clock.now();
    if spent.locked_at > 0 && now < end {
        let step = t.unspent_step(Lockout).await?;
        let request = t.otp_request(Lockout, &t.code(Lockout, step)?)?;
        let answer = t.send(&request).await?;
        return t.expect(t.due, &answer).map_err(|stop| during_lock(stop, spent.locked_at));
    }
    let step = t.unspent_step(Lockout).await?;
    let request = t.otp_request(Lockout, &t.code(Lockout, step)?)?;
    let answer = t.send(&request).await?;
    if answer.status != 201 {
        let fresh = before.is_some() && (spent.wrong_at == 0 || now > spent.wrong_at + 2 * LOCK);
        if fresh {
            return Err(Stop::fail("201 for the first right code of role lockout", t.summary(&answer)));
        }
        return Err(Stop::Blocked(format!(
            "role lockout may still be locked by a run in the last five minutes (its right code was answered {}): run \
             again in five minutes, or check its totp_secret",
            answer.status
        )));
    }
    for nth in 0..5 {
        let answer = send_wrong(t, nth).await?;
        t.expect(t.due, &answer)?;
    }
    let now = t.run.clock.now();
    t.run.state.update(&key, |s| s.locked_at = now);
    let step = t.unspent_step(Lockout).await?;
    let request = t.otp_request(Lockout, &t.code(Lockout, step)?)?;
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer).map_err(|stop| match stop {
        Stop::Fail { wanted, got } => {
            Stop::fail(format!("{wanted} for the right code too, after five wrong ones within five minutes"), got)
        }
        other => other,
    })
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

/// One wrong code, on the client that the lock case has already locked or will lock.
async fn wrong(t: &Trial<'_>) -> Result<(), Stop> {
    let answer = send_wrong(t, 9).await?;
    t.expect(t.due, &answer)
}

/// A locked code mechanism leaves the client's other mechanisms alone.
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
