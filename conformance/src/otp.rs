//! The cases about one-time codes. Codes are scarce (one per 30 seconds and client), so one accepted code serves four
//! of them, and every wrong one is spent on the role that exists for it.

use crate::cases::{Base, GRANTED, INVALID_CLIENT, UNAUTHORIZED};
use crate::http::Answer;
use crate::identities::Role;
use crate::trial::{Stop, Trial};
use crate::{result, totp};
use std::rc::Rc;

/// How often the same code is tried at once. Few, because a server may lawfully count the refused ones as guesses.
const TRIES: usize = 3;

/// How long five wrong codes lock the mechanism, in seconds.
const LOCK: u64 = 300;

/// What came of one code that was sent several times at once.
pub struct Scene {
    step: u64,
    answers: Vec<Answer>,
    exchanges: Vec<result::Exchange>,
}

impl Scene {
    fn accepted(&self) -> usize {
        self.answers.iter().filter(|a| a.status == 201).count()
    }
}

async fn scene(t: &Trial<'_>) -> Result<Rc<Scene>, Stop> {
    let mut slot = t.run.scene.lock().await;
    if let Some(scene) = &*slot {
        return Ok(scene.clone());
    }
    let (key, _) = t.totp(Role::Valid)?;
    // Where nothing is known of earlier runs, a refused code may be one that another machine has just spent.
    let mut more = if t.run.state.get(&key).is_none() { 2 } else { 0 };
    loop {
        let step = t.unspent_step(Role::Valid).await?;
        let request = t.otp_request(Role::Valid, &t.code(Role::Valid, step)?)?;
        let answers = t.send_at_once(&request, TRIES).await?;
        let scene = Rc::new(Scene { step, answers, exchanges: t.exchanges.borrow().clone() });
        if scene.accepted() > 0 || more == 0 {
            *slot = Some(scene.clone());
            return Ok(scene);
        }
        more -= 1;
    }
}

pub async fn accepted(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    let best = scene.answers.iter().find(|a| a.status == 201).or(scene.answers.first());
    match best {
        Some(answer) => t.expect(GRANTED, answer),
        None => Err(Stop::Error("no try was made".to_owned())),
    }
}

pub async fn one_of_many(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    *t.exchanges.borrow_mut() = scene.exchanges.clone();
    let code = t.code(Role::Valid, scene.step)?;
    *t.judged.borrow_mut() = Some(t.otp_request(Role::Valid, &code)?);
    if scene.accepted() != 1 {
        return Err(Stop::fail(
            format!("exactly one 201 of {TRIES} simultaneous tries with one code"),
            format!("{} of them", scene.accepted()),
        ));
    }
    scene.answers.iter().filter(|a| a.status != 201).try_for_each(|a| t.expect(INVALID_CLIENT, a))
}

pub async fn reused(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    let request = t.otp_request(Role::Valid, &t.code(Role::Valid, scene.step)?)?;
    let answer = t.send(&request).await?;
    t.expect(INVALID_CLIENT, &answer)
}

/// The code of the step before: within the drift, so only the order of the steps refuses it.
pub async fn older_step(t: &Trial<'_>) -> Result<(), Stop> {
    let scene = scene(t).await?;
    let request = t.otp_request(Role::Valid, &t.code(Role::Valid, scene.step - 1)?)?;
    let answer = t.send(&request).await?;
    t.expect(INVALID_CLIENT, &answer)
}

pub async fn not_allowed(t: &Trial<'_>) -> Result<(), Stop> {
    let step = t.unspent_step(Role::NoOtp).await?;
    let request = t.otp_request(Role::NoOtp, &t.code(Role::NoOtp, step)?)?;
    let answer = t.send(&request).await?;
    t.expect(UNAUTHORIZED, &answer)
}

/// A code that fits no step near now.
fn wrong_code(t: &Trial<'_>, nth: u64) -> Result<String, Stop> {
    let (_, key) = t.totp(Role::Lockout)?;
    let step = totp::step_at(t.run.clock.now());
    let right: Vec<_> = (step - 3..=step + 3).map(|s| totp::code(key, s)).collect();
    let guess = |i: u64| format!("{:06}", (step * 7919 + nth * 104_729 + i) % 1_000_000);
    Ok((0..8).map(guess).find(|code| !right.contains(code)).unwrap_or_default())
}

async fn send_wrong(t: &Trial<'_>, nth: u64) -> Result<Answer, Stop> {
    let (key, _) = t.totp(Role::Lockout)?;
    let now = t.run.clock.now();
    t.run.state.update(&key, |s| s.wrong_at = now);
    t.send(&t.otp_request(Role::Lockout, &wrong_code(t, nth)?)?).await
}

/// One code after another: the right one is taken, five wrong ones are refused, and then the right one is too.
///
/// A lock outlives the run that made it. While one from an earlier run must still hold, the right code must be
/// refused, and that run has shown that the client was alive before; nothing needs to be guessed again.
pub async fn locked(t: &Trial<'_>) -> Result<(), Stop> {
    let (key, _) = t.totp(Role::Lockout)?;
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
        let step = t.unspent_step(Role::Lockout).await?;
        let request = t.otp_request(Role::Lockout, &t.code(Role::Lockout, step)?)?;
        let answer = t.send(&request).await?;
        return t.expect(INVALID_CLIENT, &answer).map_err(|stop| during_lock(stop, spent.locked_at));
    }
    let step = t.unspent_step(Role::Lockout).await?;
    let request = t.otp_request(Role::Lockout, &t.code(Role::Lockout, step)?)?;
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
        t.expect(INVALID_CLIENT, &answer)?;
    }
    let now = t.run.clock.now();
    t.run.state.update(&key, |s| s.locked_at = now);
    let step = t.unspent_step(Role::Lockout).await?;
    let request = t.otp_request(Role::Lockout, &t.code(Role::Lockout, step)?)?;
    let answer = t.send(&request).await?;
    t.expect(INVALID_CLIENT, &answer).map_err(|stop| match stop {
        Stop::Fail { wanted, got } => {
            Stop::fail(format!("{wanted} for the right code too, after five wrong ones within five minutes"), got)
        }
        other => other,
    })
}

fn during_lock(stop: Stop, since: u64) -> Stop {
    match stop {
        Stop::Fail { wanted, got } => Stop::fail(
            format!(
                "{wanted}: five wrong codes at {} lock the mechanism for five minutes",
                crate::clock::rfc3339(since)
            ),
            got,
        ),
        other => other,
    }
}

/// One wrong code, on the client that the lock case has already locked or will lock.
pub async fn wrong(t: &Trial<'_>) -> Result<(), Stop> {
    let answer = send_wrong(t, 9).await?;
    t.expect(INVALID_CLIENT, &answer)
}

/// A locked code mechanism leaves the client's other mechanisms alone.
pub async fn only_this_mechanism(t: &Trial<'_>) -> Result<(), Stop> {
    let request = crate::draft::build(t, Base::Secret(Role::Lockout), &[]).await?;
    let answer = t.send(&request).await?;
    t.expect(GRANTED, &answer).map_err(|stop| match stop {
        Stop::Fail { wanted, got } => {
            Stop::fail(wanted, format!("{got}; if this secret never worked, correct client_secret of [lockout]"))
        }
        other => other,
    })
}
