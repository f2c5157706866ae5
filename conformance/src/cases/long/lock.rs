//! POST /auth/tokens/long: how far a one-time code may drift, and how many wrong ones lock the mechanism, each from both
//! sides.
//!
//! Codes are scarce, so one scene on role `lockout` serves several cases; what need not be accepted is tried on clients
//! that may not use a code: 403 tells that it was right.

use crate::case::*;
use crate::totp::{STEP_SECONDS, step_at};
use std::rc::Rc;
use tokio::sync::Mutex;

/// How long five wrong codes lock the mechanism, in seconds.
const LOCK: u64 = 300;

/// What is left of an earlier run's lock is waited for when it is so little, in seconds.
const SHORT_WAIT: u64 = 20;

pub const CASES: &[Case] = &[
    Case {
        id: "long.201.otp-four-wrong",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "Four wrong codes don't lock: the right one is accepted after them.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
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
        requirement: "The fifth wrong code locks, right codes included.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
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
        requirement: "A code of two steps ahead is wrong.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(Lockout, ClientId), (Lockout, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(two_ahead),
        expect: INVALID_CLIENT,
        mutants: &[mutant("drift-two-ahead", "lets a code drift two steps ahead")],
        ..ROW
    },
    Case {
        id: "long.401.otp-drift-two-back",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A code of two steps ago is wrong.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(NoOtp, ClientId), (NoOtp, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(two_back),
        expect: INVALID_CLIENT,
        mutants: &[mutant("drift-two-back", "lets a code drift two steps back")],
        ..ROW
    },
    Case {
        id: "long.401.otp-locked-later",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "The lock still holds ten seconds later.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(Lockout, ClientId), (Lockout, TotpSecret)],
        effect: Effect::Mint,
        phase: Phase::Rests,
        control: Some("long.201.otp"),
        request: steps!(locked_later),
        expect: INVALID_CLIENT,
        mutants: &[mutant("lock-for-seconds", "locks for five seconds")],
        ..ROW
    },
    Case {
        id: "long.403.otp-drift-back",
        cell: Cell::Long(403),
        level: Level::Contract,
        requirement: "The code of one step ago is right.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(NoOtp, ClientId), (NoOtp, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(one_back),
        expect: UNAUTHORIZED,
        mutants: &[mutant("no-drift-back", "lets no code drift back")],
        ..ROW
    },
    Case {
        id: "long.201.otp-drift-ahead",
        cell: Cell::Long(201),
        level: Level::Contract,
        requirement: "The code of one step ahead is right.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 5.2",
        needs: &[(Valid, ClientId), (Valid, TotpSecret)],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(one_ahead),
        expect: GRANTED,
        mutants: &[mutant("no-drift-ahead", "lets no code drift ahead")],
        ..ROW
    },
];

/// What became of each code of role `lockout`.
pub struct Scene {
    two_ahead: Answer,
    /// A right one after that and three more wrong ones.
    right_after_four: Answer,
    /// The five wrong ones after it.
    pub wrong: Vec<Answer>,
    pub right_after_five: Answer,
    /// A right code that was not spent if the lock held.
    request: Request,
}

#[derive(Default)]
struct OneScene(Mutex<Option<Result<Rc<Scene>, Stop>>>);

/// Made by whichever case comes first.
///
/// A lock outlives the run that made it. While one from an earlier run holds, nothing of this can be seen.
pub async fn scene(t: &Trial<'_>) -> Result<Rc<Scene>, Stop> {
    let memory = t.run.memory::<OneScene>();
    let mut slot = memory.0.lock().await;
    if let Some(known) = &*slot {
        return known.clone();
    }
    let made = play(t).await.map(Rc::new);
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
            t.run.say(&format!("lockout: waiting {} s for an earlier run's lock to end", free - now));
            t.run.wait_until(free).await?;
            return Box::pin(play(t)).await;
        }
        return Err(Stop::Absent(format!(
            "the lock of an earlier run holds: in {} s it can be tried again",
            free - now
        )));
    }
    let current = middle_of_a_step(t, Lockout, spent.step + 2).await?;
    // It shows that nothing is locked yet, whoever tried codes before.
    let first = send_code(t, Lockout, current - 1).await?;
    if first.status != 201 {
        return Err(Stop::Blocked(format!(
            "role lockout may be locked by another run of the last five minutes (its right code was answered {}): run again \
             in five minutes, or check its totp_secret",
            t.summary(&first)
        )));
    }
    let two_ahead = send_code(t, Lockout, current + 2).await?;
    for nth in 0..3 {
        send_wrong(t, nth).await?;
    }
    let right_after_four = send_code(t, Lockout, current).await?;
    t.run.state.update(&key, |s| s.step = current);
    let mut wrong = Vec::new();
    for nth in 3..8 {
        wrong.push(send_wrong(t, nth).await?);
    }
    let now = t.run.clock.now();
    t.run.state.update(&key, |s| s.locked_at = now);
    let request = t.otp_request(Lockout, &t.code(Lockout, current + 1)?)?;
    let right_after_five = t.send(&request).await?;
    Ok(Scene { two_ahead, right_after_four, wrong, right_after_five, request })
}

/// The current step, when it is `least` or later and a few seconds are left of it: what its neighbours' codes are must
/// not change before their answers are there.
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
        t.run.say(&format!("{}: waiting {} s for the middle of a step", role.name(), at - now));
        t.run.wait_until(at).await?;
    }
    Ok(step_at(t.run.clock.now()))
}

async fn send_code(t: &Trial<'_>, role: Role, step: u64) -> Result<Answer, Stop> {
    t.send(&t.otp_request(role, &t.code(role, step)?)?).await
}

/// A code that fits no step near now.
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
    t.expect(t.due, &scene(t).await?.two_ahead)
}

async fn four_wrong(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    t.expect(t.due, &scene.right_after_four)
        .map_err(|stop| stop.wanted(|wanted| format!("{wanted} for a right code after four wrong ones")))
}

async fn fifth_wrong(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    scene.wrong.iter().try_for_each(|answer| t.expect(t.due, answer))?;
    t.expect(t.due, &scene.right_after_five).map_err(|stop| {
        stop.wanted(|wanted| format!("{wanted} for the right code too, after five wrong ones within five minutes"))
    })
}

async fn locked_later(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    t.later().await?;
    let answer = t.send(&scene.request).await?;
    t.expect(t.due, &answer).map_err(|stop| stop.wanted(|wanted| format!("{wanted}: a lock holds for five minutes")))
}

/// What a client that may not use codes was answered: 403 for a right one, 401 for a wrong one. Nothing where codes of
/// these steps, or a wrong code, were spent on it a moment ago.
struct Past {
    two_back: Option<Answer>,
    one_back: Option<Answer>,
}

#[derive(Default)]
struct OnePast(Mutex<Option<Result<Rc<Past>, Stop>>>);

/// Before any later code of that client: an older step is refused for its age.
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
    // One wrong code in five minutes, so that however many runs don't lock it.
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

/// So that no other case of that client spends a later code first.
pub async fn past_is_tried(t: &Trial<'_>) -> Result<(), Stop> {
    past(t).await.map(drop)
}

fn again() -> Stop {
    Stop::Absent("an earlier run has just spent codes of this client: in five minutes it can be tried again".to_owned())
}

async fn two_back(t: &Trial<'_>) -> Result<(), Stop> {
    let past = past(t).await?;
    t.expect(t.due, past.two_back.as_ref().ok_or_else(again)?)
}

async fn one_back(t: &Trial<'_>) -> Result<(), Stop> {
    let past = past(t).await?;
    t.expect(t.due, past.one_back.as_ref().ok_or_else(again)?)
        .map_err(|stop| stop.wanted(|wanted| format!("{wanted}, which says that the code of one step ago is right")))
}

/// On a client whose codes no other case needs, if there is one: 403 tells of a suspended one that its code was right.
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
        .map_err(|stop| stop.wanted(|wanted| format!("{wanted} for the right code of one step ahead")))
}
