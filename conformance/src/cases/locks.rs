//! The locks of one-time codes, on clients that each case creates for itself, so that every boundary is tested from
//! both sides.

use crate::case::*;
use crate::totp;
use crate::trial::guests::Guest;
use serde_json::{Value, json};

/// A client created for the case, with a seed for one-time codes.
struct Holder {
    guest: Guest,
    seed: Vec<u8>,
}

/// A case with a client of its own, which an operator creates.
const CODE: Case = Case {
    level: Level::Service,
    needs: &[(Operator, ClientId), (Operator, ClientSecret)],
    effect: Effect::Provision,
    phase: Phase::Early,
    ..ROW
};

pub const CASES: &[Case] = &[
    Case {
        id: "locks.201.four-wrong",
        cell: Cell::Service(201),
        requirement: "Four wrong codes do not lock the mechanism: a right code after them is accepted.",
        section: "openapi.yaml, issueLongTermToken; RFC 4226 section 7.3",
        control: Some("long.201.secret"),
        request: steps!(after_wrong, 4),
        expect: GRANTED,
        mutants: &[mutant("locks-at-three", "locks at the third wrong code")],
        ..CODE
    },
    Case {
        id: "locks.401.five-wrong",
        cell: Cell::Service(401),
        requirement: "Five wrong codes lock the mechanism: a right code after them is rejected with 401 \
                      invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 4226 section 7.3",
        control: Some("locks.201.four-wrong"),
        request: steps!(after_wrong, 5),
        expect: INVALID_CLIENT,
        mutants: &[mutant("locks-at-seven", "locks at the seventh wrong code")],
        ..CODE
    },
    Case {
        id: "locks.401.alike",
        cell: Cell::Service(401),
        requirement: "While the mechanism is locked, a right code gets exactly the same body as a wrong one.",
        section: "openapi.yaml, issueLongTermToken; openapi.yaml, AuthError",
        control: Some("locks.401.five-wrong"),
        request: steps!(alike),
        expect: INVALID_CLIENT,
        mutants: &[mutant("lock-dated", "reveals how long the client is locked")],
        ..CODE
    },
    Case {
        id: "locks.401.secret-between",
        cell: Cell::Service(401),
        requirement: "A right secret between wrong codes does not reset their count: five wrong codes still lock the \
                      mechanism.",
        section: "openapi.yaml, issueLongTermToken",
        control: Some("locks.401.five-wrong"),
        request: steps!(secret_between),
        expect: INVALID_CLIENT,
        mutants: &[mutant("right-secret-forgives", "resets the count of wrong codes after a right secret")],
        ..CODE
    },
    Case {
        id: "locks.201.other-client",
        cell: Cell::Service(201),
        requirement: "A lock on one client's codes does not affect another client.",
        section: "openapi.yaml, issueLongTermToken",
        control: Some("locks.201.four-wrong"),
        request: steps!(other_client),
        expect: GRANTED,
        mutants: &[mutant("lock-is-everyones", "locks the codes of every client")],
        ..CODE
    },
    Case {
        id: "locks.201.patch-active",
        cell: Cell::Service(201),
        requirement: "A PATCH that sets status to active resets the count of wrong codes: a right code is accepted \
                      again.",
        section: "openapi.yaml, issueLongTermToken; openapi.yaml, updateClient",
        control: Some("locks.401.five-wrong"),
        request: steps!(forgiven),
        expect: GRANTED,
        mutants: &[mutant("patch-keeps-lock", "keeps the lock after a PATCH that sets status to active")],
        ..CODE
    },
    Case {
        id: "locks.401.patch-of-scopes",
        cell: Cell::Service(401),
        requirement: "A PATCH of scopes does not reset the count of wrong codes: the mechanism stays locked.",
        section: "openapi.yaml, issueLongTermToken; openapi.yaml, updateClient",
        control: Some("locks.201.patch-active"),
        request: steps!(other_patch),
        expect: INVALID_CLIENT,
        mutants: &[mutant("any-patch-forgives", "resets the count of wrong codes after any PATCH")],
        ..CODE
    },
    Case {
        id: "locks.201.new-seed",
        cell: Cell::Service(201),
        requirement: "A new seed resets the count of wrong codes: a right code of the new seed is accepted.",
        section: "openapi.yaml, issueLongTermToken; openapi.yaml, createClientTotp",
        control: Some("locks.401.five-wrong"),
        request: steps!(new_seed),
        expect: GRANTED,
        mutants: &[mutant("seed-keeps-lock", "keeps the lock after a new seed is made")],
        ..CODE
    },
    Case {
        id: "locks.401.old-seed",
        cell: Cell::Service(401),
        requirement: "After a new seed is made, codes of the old seed are rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken; openapi.yaml, createClientTotp",
        control: Some("locks.201.four-wrong"),
        request: steps!(old_seed),
        expect: INVALID_CLIENT,
        mutants: &[mutant("seed-never-ends", "keeps using the old seed after a new one is made")],
        ..CODE
    },
    Case {
        id: "locks.401.spent-step",
        cell: Cell::Service(401),
        requirement: "A new seed does not make used time steps available again: its code for a used step is rejected \
                      with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken; openapi.yaml, createClientTotp",
        control: Some("locks.201.new-seed"),
        request: steps!(spent_step),
        expect: INVALID_CLIENT,
        mutants: &[mutant("seed-gives-back-codes", "accepts a used time step again after a new seed is made")],
        ..CODE
    },
    Case {
        id: "locks.401.code-spaced",
        cell: Cell::Service(401),
        requirement: "A code is compared exactly: with a space before, in or after it, it is rejected.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 4",
        control: Some("locks.201.four-wrong"),
        request: steps!(respelled, spaced),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("otp-trimmed", "trims a code"), mutant("otp-spaces-ok", "removes spaces from a code")],
        ..CODE
    },
    Case {
        id: "locks.401.code-length",
        cell: Cell::Service(401),
        requirement: "A code has six digits: one digit fewer or more is rejected.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 4",
        control: Some("locks.201.four-wrong"),
        request: steps!(respelled, lengthened),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[
            mutant("otp-beginning-ok", "compares only as many digits as were sent"),
            mutant("otp-longer-ok", "ignores what follows the sixth digit"),
        ],
        ..CODE
    },
    Case {
        id: "locks.401.code-digits",
        cell: Cell::Service(401),
        requirement: "A code has ASCII digits: the same digits in another script are rejected.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 4",
        control: Some("locks.201.four-wrong"),
        request: steps!(respelled, transcribed),
        expect: Want { or: &[(400, "invalid_request")], ..INVALID_CLIENT },
        mutants: &[mutant("otp-any-digits", "accepts the digits of other scripts in a code")],
        ..CODE
    },
    Case {
        id: "locks.401.mechanism-taken",
        cell: Cell::Service(401),
        requirement: "The code is checked before the permission: a wrong code is rejected with 401 invalid_client, \
                      although the mechanism is not allowed to this client.",
        section: "openapi.yaml, issueLongTermToken; RFC 6238 section 4",
        control: Some("locks.201.four-wrong"),
        request: steps!(not_allowed),
        expect: INVALID_CLIENT,
        mutants: &[mutant("mechanism-before-code", "checks before a code whether the mechanism is allowed")],
        ..CODE
    },
    Case {
        id: "locks.401.x-client-id",
        cell: Cell::Service(401),
        requirement: "X-Client-Id counts for a one-time code too: another than the client_id of the body is rejected \
                      with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        control: Some("locks.201.four-wrong"),
        request: steps!(other_header),
        expect: INVALID_CLIENT,
        mutants: &[mutant("x-client-id-unchecked-by-code", "does not check X-Client-Id of calls with a code")],
        ..CODE
    },
    Case {
        id: "locks.403.suspended",
        cell: Cell::Service(403),
        requirement: "A suspended client with a right code is rejected with 403 unauthorized_client, as with a right \
                      secret.",
        section: "openapi.yaml, issueLongTermToken",
        control: Some("locks.201.four-wrong"),
        request: steps!(suspended),
        expect: UNAUTHORIZED,
        mutants: &[mutant("suspended-works-by-code", "accepts the codes of a suspended client")],
        ..CODE
    },
    Case {
        id: "locks.401.suspended-wrong",
        cell: Cell::Service(401),
        requirement: "A suspended client with a wrong code is rejected with 401 invalid_client, so that only right \
                      credentials reveal the suspension.",
        section: "openapi.yaml, issueLongTermToken",
        control: Some("locks.403.suspended"),
        request: steps!(suspended_wrong),
        expect: INVALID_CLIENT,
        mutants: &[mutant("suspended-before-code", "reveals to any code that a client is suspended")],
        ..CODE
    },
    Case {
        id: "locks.403.scope-beyond",
        cell: Cell::Service(403),
        requirement: "A code gives no scope that the client lacks: a call for one is rejected with 403 \
                      insufficient_scope.",
        section: "openapi.yaml, issueLongTermToken",
        control: Some("locks.201.four-wrong"),
        request: steps!(beyond),
        expect: BEYOND_SCOPE,
        mutants: &[mutant("code-escalates", "grants any scope to a right code")],
        ..CODE
    },
    Case {
        id: "locks.201.max-ttl",
        cell: Cell::Service(201),
        requirement: "A token issued for a code lives no longer than the client's max_ttl_seconds.",
        section: "openapi.yaml, issueLongTermToken",
        control: Some("locks.201.four-wrong"),
        request: steps!(capped),
        expect: GRANTED,
        mutants: &[mutant("code-ttl-uncapped", "does not apply max_ttl_seconds to calls with a code")],
        ..CODE
    },
    Case {
        id: "locks.401.simultaneous",
        cell: Cell::Service(401),
        requirement: "Five wrong codes that are sent at once count as five: a right code after them is rejected with \
                      401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 4226 section 7.3",
        control: Some("locks.201.four-wrong"),
        request: steps!(all_at_once),
        expect: INVALID_CLIENT,
        mutants: &[mutant("lock-counts-seconds", "counts wrong codes of one second once")],
        ..CODE
    },
    Case {
        id: "locks.401.code-without-x-client-id",
        cell: Cell::Service(401),
        requirement: "A right code without X-Client-Id is rejected with 401 invalid_client, also beside a bearer.",
        section: "openapi.yaml, issueLongTermToken",
        control: Some("locks.201.four-wrong"),
        request: steps!(without_x_client_id),
        expect: INVALID_CLIENT,
        mutants: &[mutant("code-without-x-client-id", "does not need X-Client-Id beside a one-time code")],
        ..CODE
    },
    Case {
        id: "locks.401.other-secrets",
        cell: Cell::Service(401),
        requirement: "Neither a client's totp_secret nor its secret_id nor its id is its client_secret: each is \
                      rejected with 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken",
        control: Some("operators.201.otp"),
        request: steps!(other_secrets),
        expect: INVALID_CLIENT,
        mutants: &[
            mutant("totp-secret-as-secret", "accepts a client's totp_secret as its client_secret"),
            mutant("secret-id-as-secret", "accepts a secret_id as a client_secret"),
        ],
        ..CODE
    },
];

async fn holder(t: &Trial<'_>) -> Result<Holder, Stop> {
    let guest = t.guest_with(json!({"mechanisms": ["secret", "otp"]})).await?;
    let seed = seed_in(t, &guest.made)?;
    Ok(Holder { guest, seed })
}

fn seed_in(t: &Trial<'_>, shown: &Value) -> Result<Vec<u8>, Stop> {
    let text = shown["totp_secret"].as_str().unwrap_or_default();
    let seed = totp::base32(&t.secret("GUEST_TOTP_SECRET", text.to_owned()));
    seed.filter(|seed| !seed.is_empty())
        .ok_or_else(|| Stop::Blocked("the response has no totp_secret in base32".to_owned()))
}

/// A few seconds of this time step must be left, so that the next request still falls into it.
async fn step_of_now(t: &Trial<'_>) -> Result<u64, Stop> {
    let now = t.run.clock.now();
    let left = totp::STEP_SECONDS - now % totp::STEP_SECONDS;
    if left <= 5 {
        t.run.wait_until(now + left).await?;
    }
    Ok(totp::step_at(t.run.clock.now()))
}

async fn send(t: &Trial<'_>, holder: &Holder, code: String) -> Result<Answer, Stop> {
    let body = json!({
        "grant_type": "client_credentials", "client_id": holder.guest.id, "ttl_seconds": 3600,
        "otp_code": t.secret("GUEST_OTP_CODE", code),
    });
    let mut request = crate::endpoint::post(crate::endpoint::LONG, None, Some(body));
    request.set("x-client-id", holder.guest.id.clone());
    t.send(&request).await
}

async fn send_right(t: &Trial<'_>, holder: &Holder) -> Result<Answer, Stop> {
    let step = step_of_now(t).await?;
    send(t, holder, totp::code(&holder.seed, step)).await
}

/// A code that is not valid in any time step near now.
async fn send_wrong(t: &Trial<'_>, holder: &Holder) -> Result<Answer, Stop> {
    let step = step_of_now(t).await?;
    let right: Vec<_> = (step - 3..=step + 3).map(|step| totp::code(&holder.seed, step)).collect();
    let wrong = (1..).map(|i| format!("{:06}", (step * 7919 + i) % 1_000_000)).find(|code| !right.contains(code));
    let answer = send(t, holder, wrong.unwrap_or_default()).await?;
    t.expect(INVALID_CLIENT, &answer)?;
    Ok(answer)
}

async fn guess(t: &Trial<'_>, holder: &Holder, times: u32) -> Result<(), Stop> {
    for _ in 0..times {
        send_wrong(t, holder).await?;
    }
    Ok(())
}

/// The expectation, together with a description of what came before.
fn judged(t: &Trial<'_>, answer: &Answer, after: &str) -> Result<(), Stop> {
    t.expect(t.due, answer).map_err(|stop| match stop {
        Stop::Fail { wanted, got } => Stop::fail(format!("{wanted} {after}"), got),
        other => other,
    })
}

async fn after_wrong(t: &Trial<'_>, times: u32) -> Result<(), Stop> {
    let holder = holder(t).await?;
    guess(t, &holder, times).await?;
    let answer = send_right(t, &holder).await?;
    judged(t, &answer, &format!("for a right code after {times} wrong ones"))
}

async fn alike(t: &Trial<'_>) -> Result<(), Stop> {
    let holder = holder(t).await?;
    let wrong = send_wrong(t, &holder).await?;
    guess(t, &holder, 4).await?;
    let locked = send_right(t, &holder).await?;
    t.expect(t.due, &locked)?;
    match locked.json() == wrong.json() {
        true => Ok(()),
        false => {
            let told = |answer: &Answer| {
                format!("{}, details {}", t.summary(answer), answer.json().unwrap_or_default()["details"])
            };
            Err(Stop::fail(format!("the same answer as to a wrong code: {}", told(&wrong)), told(&locked)))
        }
    }
}

async fn secret_between(t: &Trial<'_>) -> Result<(), Stop> {
    let holder = holder(t).await?;
    guess(t, &holder, 3).await?;
    t.guest_long(&holder.guest, &["jobs:submit"]).await?;
    guess(t, &holder, 2).await?;
    let answer = send_right(t, &holder).await?;
    judged(t, &answer, "for a right code after five wrong ones with a right secret between them")
}

async fn other_client(t: &Trial<'_>) -> Result<(), Stop> {
    let (guessed, other) = (holder(t).await?, holder(t).await?);
    guess(t, &guessed, 5).await?;
    let answer = send_right(t, &other).await?;
    judged(t, &answer, "for the right code of a client that is not locked")
}

async fn locked(t: &Trial<'_>) -> Result<Holder, Stop> {
    let holder = holder(t).await?;
    guess(t, &holder, 5).await?;
    let answer = send_right(t, &holder).await?;
    t.expect(INVALID_CLIENT, &answer).map_err(|_| {
        Stop::Blocked(format!(
            "this case first needs a lock: the server answered a right code with {}",
            t.summary(&answer)
        ))
    })?;
    Ok(holder)
}

async fn forgiven(t: &Trial<'_>) -> Result<(), Stop> {
    let holder = locked(t).await?;
    t.change(&holder.guest, json!({"status": "active"})).await?;
    let answer = send_right(t, &holder).await?;
    judged(t, &answer, "for a right code after a PATCH to active")
}

async fn other_patch(t: &Trial<'_>) -> Result<(), Stop> {
    let holder = locked(t).await?;
    t.change(&holder.guest, json!({"scopes": ["jobs:submit", "jobs:read"]})).await?;
    let answer = send_right(t, &holder).await?;
    judged(t, &answer, "for a right code after five wrong ones and a PATCH of scopes")
}

/// The same client with a new seed.
async fn seeded_anew(t: &Trial<'_>, holder: Holder) -> Result<Holder, Stop> {
    let answer = t.operate("POST", &format!("{}/totp", holder.guest.path), None, 201).await?;
    let seed = seed_in(t, &answer.json().unwrap_or_default())?;
    Ok(Holder { seed, ..holder })
}

async fn new_seed(t: &Trial<'_>) -> Result<(), Stop> {
    let holder = seeded_anew(t, locked(t).await?).await?;
    let answer = send_right(t, &holder).await?;
    judged(t, &answer, "for a right code of a new seed")
}

async fn old_seed(t: &Trial<'_>) -> Result<(), Stop> {
    let holder = holder(t).await?;
    let old = Holder { seed: holder.seed.clone(), guest: seeded_anew(t, holder).await?.guest };
    let answer = send_right(t, &old).await?;
    judged(t, &answer, "for a code of the old seed")
}

async fn spent_step(t: &Trial<'_>) -> Result<(), Stop> {
    let holder = holder(t).await?;
    let step = step_of_now(t).await?;
    let first = send(t, &holder, totp::code(&holder.seed, step)).await?;
    t.expect(GRANTED, &first)?;
    let holder = seeded_anew(t, holder).await?;
    let answer = send(t, &holder, totp::code(&holder.seed, step)).await?;
    judged(t, &answer, "for the new seed's code of a time step that was already used")
}

fn spaced(code: &str) -> Vec<String> {
    vec![format!("{code} "), format!(" {code}"), format!("{} {}", &code[..3], &code[3..])]
}

fn lengthened(code: &str) -> Vec<String> {
    vec![code[..5].to_owned(), format!("{code}0"), format!("0{code}")]
}

/// Full-width and Arabic-Indic digits.
fn transcribed(code: &str) -> Vec<String> {
    let from = |zero: u32| code.chars().filter_map(|c| char::from_u32(zero + c.to_digit(10)?)).collect();
    vec![from(0xff10), from(0x660)]
}

/// The right code in other spellings is rejected, and is then accepted as it is.
async fn respelled(t: &Trial<'_>, spell: fn(&str) -> Vec<String>) -> Result<(), Stop> {
    let holder = holder(t).await?;
    let right = totp::code(&holder.seed, step_of_now(t).await?);
    for code in spell(&right) {
        let told =
            format!("for the right code, written \u{201c}{}\u{201d}", code.replace(|c: char| c.is_numeric(), "n"));
        let answer = send(t, &holder, code).await?;
        judged(t, &answer, &told)?;
    }
    let answer = send(t, &holder, right).await?;
    t.expect(GRANTED, &answer)
        .map_err(|_| Stop::Blocked(format!("the code itself must be right: it was answered {}", t.summary(&answer))))
}

async fn not_allowed(t: &Trial<'_>) -> Result<(), Stop> {
    let holder = holder(t).await?;
    t.change(&holder.guest, json!({"mechanisms": ["secret"]})).await?;
    let answer = send_wrong(t, &holder).await?;
    judged(t, &answer, "for a wrong code of a client that may not use codes")
}

/// The right code of now, with these members and this X-Client-Id.
async fn send_with(t: &Trial<'_>, holder: &Holder, members: Value, header: &str) -> Result<Answer, Stop> {
    let code = t.secret("GUEST_OTP_CODE", totp::code(&holder.seed, step_of_now(t).await?));
    let mut body = json!({
        "grant_type": "client_credentials", "client_id": holder.guest.id, "ttl_seconds": 3600, "otp_code": code,
    });
    if let (Some(body), Value::Object(members)) = (body.as_object_mut(), members) {
        body.extend(members);
    }
    let mut request = crate::endpoint::post(crate::endpoint::LONG, None, Some(body));
    request.set("x-client-id", header);
    t.send(&request).await
}

async fn other_header(t: &Trial<'_>) -> Result<(), Stop> {
    let holder = holder(t).await?;
    let answer = send_with(t, &holder, json!({}), &t.unique()).await?;
    judged(t, &answer, "for a right code under another X-Client-Id")
}

async fn suspended_holder(t: &Trial<'_>) -> Result<Holder, Stop> {
    let holder = holder(t).await?;
    t.change(&holder.guest, json!({"status": "suspended"})).await?;
    Ok(holder)
}

async fn suspended(t: &Trial<'_>) -> Result<(), Stop> {
    let answer = send_right(t, &suspended_holder(t).await?).await?;
    judged(t, &answer, "for a right code of a suspended client")
}

async fn suspended_wrong(t: &Trial<'_>) -> Result<(), Stop> {
    let answer = send_wrong(t, &suspended_holder(t).await?).await?;
    judged(t, &answer, "for a wrong code of a suspended client")
}

async fn beyond(t: &Trial<'_>) -> Result<(), Stop> {
    let holder = holder(t).await?;
    let answer = send_with(t, &holder, json!({"scopes": ["conformance:unheld"]}), &holder.guest.id).await?;
    judged(t, &answer, "for a right code and a scope that the client lacks")
}

async fn capped(t: &Trial<'_>) -> Result<(), Stop> {
    let guest = t.guest_with(json!({"mechanisms": ["secret", "otp"], "max_ttl_seconds": 3600})).await?;
    let holder = Holder { seed: seed_in(t, &guest.made)?, guest };
    let answer = send_with(t, &holder, json!({"ttl_seconds": 86_400}), &holder.guest.id).await?;
    t.expect(t.due, &answer)?;
    let lives = &answer.json().unwrap_or_default()["expires_in"];
    match lives.as_u64().is_some_and(|seconds| (3590..=3600).contains(&seconds)) {
        true => Ok(()),
        false => Err(Stop::fail("expires_in 3600, the max_ttl_seconds of the client", format!("expires_in {lives}"))),
    }
}

async fn all_at_once(t: &Trial<'_>) -> Result<(), Stop> {
    let holder = holder(t).await?;
    let guesses = (0..5).map(|_| send_wrong(t, &holder));
    futures_util::future::try_join_all(guesses).await?;
    let answer = send_right(t, &holder).await?;
    judged(t, &answer, "for a right code after five wrong ones at once")
}

async fn without_x_client_id(t: &Trial<'_>) -> Result<(), Stop> {
    let holder = holder(t).await?;
    let bearer = t.guest_token(&holder.guest).await?;
    let code = totp::code(&holder.seed, step_of_now(t).await?);
    let body = json!({
        "grant_type": "client_credentials", "client_id": holder.guest.id, "ttl_seconds": 3600,
        "otp_code": t.secret("GUEST_OTP_CODE", code),
    });
    let request = crate::endpoint::post(crate::endpoint::LONG, Some(&bearer.token), Some(body));
    t.expect(t.due, &t.send(&request).await?)
}

async fn other_secrets(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({"mechanisms": ["secret", "otp"]})).await?;
    for other in [client.text("totp_secret")?, client.secret_id()?, &client.id] {
        t.log_in_by_secret(&client, other, t.due).await?;
    }
    Ok(())
}
