//! POST /auth/tokens/long: how much clock drift a one-time code may have, and how many wrong codes lock the mechanism.
//! Each limit is tested from both sides.
//!
//! A client has only one code per 30 seconds, so several cases share one sequence of codes (`Scene`) of role `lockout`.
//! Codes that need not be accepted are tested on clients that may not use the mechanism: 403 shows that the code was
//! right.

use crate::case::*;
use crate::result;
use crate::totp::{STEP_SECONDS, step_at};
use std::rc::Rc;
use tokio::sync::Mutex;

/// How long five wrong codes lock the mechanism, in seconds.
const LOCK: u64 = 300;

/// If an earlier run's lock ends within this many seconds, the run waits for it.
const SHORT_WAIT: u64 = 20;

pub const CASES: &[Case] = &[
    Case {
        id: "long.201.otp-four-wrong",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "Four wrong codes do not lock the mechanism: the right code is accepted after them.",
        section: "openapi.yaml, issueLongTermToken; RFC 4226 section 7.3",
        needs: &[(Lockout, ClientId), (Lockout, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(four_wrong),
        expect: GRANTED,
        mutants: &[mutant("locks-at-four", "locks at the fourth wrong code")],
        ..ROW
    },
    Case {
        id: "long.401.otp-fifth-wrong",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "The fifth wrong code within five minutes locks the mechanism: after it even a right code is \
                      rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 4226 section 7.3",
        needs: &[(Lockout, ClientId), (Lockout, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(fifth_wrong),
        expect: INVALID_CLIENT,
        mutants: &[mutant("locks-at-six", "locks at the sixth wrong code")],
        ..ROW
    },
    Case {
        id: "long.401.otp-drift-two-ahead",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A code from two time steps ahead is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(Lockout, ClientId), (Lockout, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(two_ahead),
        expect: INVALID_CLIENT,
        mutants: &[mutant("drift-two-ahead", "accepts a code from two time steps ahead")],
        ..ROW
    },
    Case {
        id: "long.401.otp-drift-two-back",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A code from two time steps ago is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(NoOtp, ClientId), (NoOtp, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(two_back),
        expect: INVALID_CLIENT,
        mutants: &[mutant("drift-two-back", "accepts a code from two time steps ago")],
        ..ROW
    },
    Case {
        id: "long.401.otp-locked-later",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Ten seconds after the fifth wrong code the mechanism is still locked: a right code is rejected \
                      with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 4226 section 7.3",
        needs: &[(Lockout, ClientId), (Lockout, TotpSecret)],
        effect: Effect::Mint,
        phase: Phase::Rests,
        control: Some("long.201.otp"),
        request: steps!(locked_later),
        expect: INVALID_CLIENT,
        mutants: &[mutant("lock-for-seconds", "unlocks after five seconds")],
        ..ROW
    },
    Case {
        id: "long.403.otp-drift-back",
        cell: Cell::Long(403),
        level: Level::Contract,
        requirement: "A code from one time step ago is valid: a client that may not use codes gets 403 \
                      unauthorized_client, not 401.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(NoOtp, ClientId), (NoOtp, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(one_back),
        expect: UNAUTHORIZED,
        mutants: &[mutant("no-drift-back", "rejects a code from one time step ago")],
        ..ROW
    },
    Case {
        id: "long.201.otp-drift-ahead",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "A code from one time step ahead is accepted.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(Valid, ClientId), (Valid, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(one_ahead),
        expect: GRANTED,
        mutants: &[mutant("no-drift-ahead", "rejects a code from one time step ahead")],
        ..ROW
    },
    Case {
        id: "long.401.otp-of-another",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A code of another client's seed is rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Lockout, ClientId), (Lockout, TotpSecret), (NoOtp, ClientId), (NoOtp, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(of_another),
        expect: INVALID_CLIENT,

        mutants: &[mutant("any-clients-code", "accepts a code of any client's seed")],
        ..ROW
    },
    Case {
        id: "long.401.otp-odd",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An otp_code that is empty, too short or too long is rejected: with 401 invalid_client or with \
                      400 invalid_request.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Lockout, ClientId), (Lockout, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.401.otp-locked"),
        request: steps!(odd_codes),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("500-on-odd-code", "answers 500 to a code that is empty or has seven digits")],
        ..ROW
    },
];

/// The answers to the codes of role `lockout`.
pub struct Scene {
    two_ahead: Answer,
    /// To a code of role `no_otp`, if it has a seed.
    of_another: Option<Answer>,
    /// To a right code, sent after `two_ahead` and three other wrong codes.
    right_after_four: Answer,
    /// To the five wrong codes that follow.
    pub wrong: Vec<Answer>,
    pub right_after_five: Answer,
    /// A request with a right code, which is still unused if the mechanism was locked.
    request: Request,
    exchanges: Vec<result::Exchange>,
}

impl Scene {
    /// The verdict of a case that shares the answers. If it fails, the case shows the requests that another one has sent.
    pub fn verdict(&self, t: &Trial<'_>, verdict: Result<(), Stop>) -> Result<(), Stop> {
        if verdict.is_err() && t.exchanges.borrow().is_empty() {
            t.exchanges.borrow_mut().clone_from(&self.exchanges);
            *t.judged.borrow_mut() = Some(self.request.clone());
        }
        verdict
    }
}

#[derive(Default)]
struct OneScene(Mutex<Option<Result<Rc<Scene>, Stop>>>);

/// The first case that needs the answers sends the requests, and the others share them.
///
/// A lock outlives the run that caused it. While an earlier run's lock holds, nothing here can be tested.
pub async fn scene(t: &Trial<'_>) -> Result<Rc<Scene>, Stop> {
    let memory = t.run.memory::<OneScene>();
    let mut slot = memory.0.lock().await;
    if let Some(known) = &*slot {
        return known.clone();
    }
    let made = match play(t).await {
        // Nobody knows which of the codes counted, so the client may be locked.
        Err(Stop::Unavailable(why)) if !t.exchanges.borrow().is_empty() && !t.run.is_gone() => {
            let now = t.run.clock.now();
            t.run.state.update(&t.totp(Lockout)?.0, |s| s.locked_at = now);
            Err(Stop::Blocked(format!("{why}, while wrong codes were counted: run again in five minutes")))
        }
        other => other.map(Rc::new),
    };
    if !matches!(made, Err(Stop::Error(_) | Stop::Unavailable(_))) {
        *slot = Some(made.clone());
    }
    made
}

async fn play(t: &Trial<'_>) -> Result<Scene, Stop> {
    let (key, _) = t.totp(Lockout)?;
    let spent = t.run.state.get(&key).unwrap_or_default();
    let now = t.run.clock.now();
    let free = spent.locked_at + LOCK + 10;
    if spent.locked_at > 0 && now < free {
        if free - now <= SHORT_WAIT {
            t.run.say(&format!("lockout: waiting {} s until an earlier run's lock ends", free - now));
            t.run.wait_until(free).await?;
            return Box::pin(play(t)).await;
        }
        return Err(Stop::Absent(format!("an earlier run's lock still holds: try again in {} s", free - now)));
    }
    let current = middle_of_a_step(t, Lockout, spent.step + 2).await?;
    // A 201 shows that the mechanism is not locked yet, whoever tried codes before.
    let first = send_code(t, Lockout, current - 1).await?;
    if first.status != 201 {
        return Err(Stop::Blocked(format!(
            "another run may have locked role lockout in the last five minutes (the server answered its right code \
             with {}): try again in five minutes, or check its totp_secret",
            t.summary(&first)
        )));
    }
    let two_ahead = send_code(t, Lockout, current + 2).await?;
    // One of the wrong codes is right for another client.
    let of_another = match t.code(NoOtp, current) {
        Ok(code) => Some(t.send(&t.otp_request(Lockout, &code)?).await?),
        Err(_) => None,
    };
    for nth in u64::from(of_another.is_some())..3 {
        send_wrong(t, nth).await?;
    }
    let right_after_four = send_code(t, Lockout, current).await?;
    t.run.state.update(&key, |s| s.step = current);
    let mut wrong = Vec::new();
    // A lock is not a rate limit.
    t.expects_429.set(true);
    for nth in 3..8 {
        wrong.push(send_wrong(t, nth).await?);
    }
    let now = t.run.clock.now();
    t.run.state.update(&key, |s| s.locked_at = now);
    let request = t.otp_request(Lockout, &t.code(Lockout, current + 1)?)?;
    let right_after_five = t.send(&request).await?;
    let exchanges = t.exchanges.borrow().clone();
    Ok(Scene { two_ahead, of_another, right_after_four, wrong, right_after_five, request, exchanges })
}

/// The current time step, once it is at least `least` and has a few seconds left: the step must not change between
/// computing a code and the answer to it.
async fn middle_of_a_step(t: &Trial<'_>, role: Role, least: u64) -> Result<u64, Stop> {
    let now = t.run.clock.now();
    let into = now % STEP_SECONDS;
    let mut at = match into {
        0..3 => now - into + 3,
        26.. => now - into + STEP_SECONDS + 3,
        _ => now,
    };
    at = at.max(least * STEP_SECONDS + 3 * u64::from(step_at(at) < least));
    if at > now {
        t.run.say(&format!("{}: waiting {} s for the middle of a time step", role.name(), at - now));
        t.run.wait_until(at).await?;
    }
    Ok(step_at(t.run.clock.now()))
}

async fn send_code(t: &Trial<'_>, role: Role, step: u64) -> Result<Answer, Stop> {
    t.send(&t.otp_request(role, &t.code(role, step)?)?).await
}

/// A code that is not valid in any time step near now.
pub async fn send_wrong(t: &Trial<'_>, nth: u64) -> Result<Answer, Stop> {
    let (key, _) = t.totp(Lockout)?;
    let now = t.run.clock.now();
    t.run.state.update(&key, |s| s.wrong_at = now);
    let step = step_at(now);
    let right: Vec<_> = (step - 3..=step + 3).map(|s| t.code(Lockout, s)).collect::<Result<_, _>>()?;
    let guess = |i: u64| format!("{:06}", (step * 7919 + nth * 104_729 + i) % 1_000_000);
    let wrong = (0..8).map(guess).find(|code| !right.contains(code)).unwrap_or_default();
    t.send(&t.otp_request(Lockout, &wrong)?).await
}

async fn two_ahead(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    scene.verdict(t, t.expect(t.due, &scene.two_ahead))
}

async fn four_wrong(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    let verdict = t
        .expect(t.due, &scene.right_after_four)
        .map_err(|stop| stop.wanted(|wanted| format!("{wanted} for a right code after four wrong ones")));
    scene.verdict(t, verdict)
}

async fn fifth_wrong(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    scene.verdict(t, scene.wrong.iter().try_for_each(|answer| t.expect(t.due, answer)))?;
    let verdict = t.expect(t.due, &scene.right_after_five).map_err(|stop| {
        stop.wanted(|wanted| format!("{wanted} even for the right code, after five wrong codes within five minutes"))
    });
    scene.verdict(t, verdict)
}

async fn locked_later(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    t.later().await?;
    let answer = t.send(&scene.request).await?;
    t.expect(t.due, &answer)
        .map_err(|stop| stop.wanted(|wanted| format!("{wanted}: the mechanism stays locked for five minutes")))
}

/// The answers to codes of a client that may not use the mechanism: 403 for a right code, 401 for a wrong one. `None` if
/// a code of that step, or a wrong code, was sent a moment ago.
struct Past {
    two_back: Option<Answer>,
    one_back: Option<Answer>,
}

#[derive(Default)]
struct OnePast(Mutex<Option<Result<Rc<Past>, Stop>>>);

/// Must run before any later code of that client: a step before the last accepted one is rejected anyway.
async fn past(t: &Trial<'_>) -> Result<Rc<Past>, Stop> {
    let memory = t.run.memory::<OnePast>();
    let mut slot = memory.0.lock().await;
    if let Some(known) = &*slot {
        return known.clone();
    }
    let made = look_back(t).await.map(Rc::new);
    if !matches!(made, Err(Stop::Error(_) | Stop::Unavailable(_))) {
        *slot = Some(made.clone());
    }
    made
}

async fn look_back(t: &Trial<'_>) -> Result<Past, Stop> {
    let (key, _) = t.totp(NoOtp)?;
    let current = middle_of_a_step(t, NoOtp, 0).await?;
    let spent = t.run.state.get(&key).unwrap_or_default();
    let now = t.run.clock.now();
    let mut past = Past { two_back: None, one_back: None };
    // At most one wrong code in five minutes, so that repeated runs do not lock the client.
    if spent.step + 2 < current && now > spent.wrong_at + LOCK {
        t.run.state.update(&key, |s| s.wrong_at = now);
        past.two_back = Some(send_code(t, NoOtp, current - 2).await?);
    }
    if spent.step + 1 < current {
        t.run.state.update(&key, |s| s.step = current - 1);
        past.one_back = Some(send_code(t, NoOtp, current - 1).await?);
    }
    Ok(past)
}

/// Ensures that no other case of that client uses a later code first.
pub async fn past_is_tried(t: &Trial<'_>) -> Result<(), Stop> {
    past(t).await.map(drop)
}

fn again() -> Stop {
    Stop::Absent("an earlier run has just used codes of this client: try again in five minutes".to_owned())
}

async fn two_back(t: &Trial<'_>) -> Result<(), Stop> {
    let past = past(t).await?;
    t.expect(t.due, past.two_back.as_ref().ok_or_else(again)?)
}

async fn one_back(t: &Trial<'_>) -> Result<(), Stop> {
    let past = past(t).await?;
    t.expect(t.due, past.one_back.as_ref().ok_or_else(again)?).map_err(|stop| {
        stop.wanted(|wanted| format!("{wanted}, which shows that the code from one time step ago is valid"))
    })
}

/// On a client whose codes no other case needs, if there is one: a suspended client's 403 shows that its code was
/// right.
async fn one_ahead(t: &Trial<'_>) -> Result<(), Stop> {
    let has_codes = |role: &Role| t.totp(*role).is_ok();
    let role = [Suspended, Burst].into_iter().find(has_codes).unwrap_or(Valid);
    let (key, _) = t.totp(role)?;
    if role == Valid {
        super::otp::scene(t).await?;
    }
    let last = t.run.state.get(&key).unwrap_or_default().step;
    let current = middle_of_a_step(t, role, last).await?;
    t.run.state.update(&key, |s| s.step = current + 1);
    let answer = send_code(t, role, current + 1).await?;
    let due = if role == Suspended { UNAUTHORIZED } else { t.due };
    t.expect(due, &answer)
        .map_err(|stop| stop.wanted(|wanted| format!("{wanted} for the right code from one time step ahead")))
}

async fn of_another(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    match &scene.of_another {
        Some(answer) => scene.verdict(t, t.expect(t.due, answer)),
        None => Err(Stop::Blocked(crate::identities::lacking(NoOtp, TotpSecret))),
    }
}

/// Sent while the client is locked, so that they add nothing to its wrong codes.
async fn odd_codes(t: &Trial<'_>) -> Result<(), Stop> {
    match scene(t).await {
        Ok(_) | Err(Stop::Absent(_)) => {}
        Err(other) => return Err(other),
    }
    for code in ["", "12345", "1234567"] {
        let answer = t.send(&t.otp_request(Lockout, code)?).await?;
        t.expect(t.due, &answer)
            .map_err(|stop| stop.wanted(|wanted| format!("{wanted} for an otp_code of {} digits", code.len())))?;
    }
    Ok(())
}
