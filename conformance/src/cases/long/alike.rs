//! POST /auth/tokens/long: rejections that must not reveal their reason. Status, challenge and the whole body are
//! compared.

use super::{lock, otp};
use crate::case::*;
use crate::endpoint::{self, LONG};
use crate::matrix::Op;
use crate::trial::draft;
use crate::watch::Seen;
use serde_json::{Value, json};

pub const CASES: &[Case] = &[
    Case {
        id: "long.401.alike-assertion",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Replayed, expired and forged assertions, and those signed with another client's key, get the \
                      same answer as a wrong secret.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Valid, AssertionJwk), (Other, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.201.assertion"),
        request: steps!(assertions),
        expect: INVALID_CLIENT,
        mutants: &[
            mutant("replay-told", "reveals that an assertion was replayed"),
            mutant("expired-told", "reveals that an assertion has expired"),
            mutant("signature-told", "reveals that a signature is invalid"),
            mutant("kid-told", "reveals that the kid is unknown"),
            mutant("mechanism-told", "names the mechanism in details"),
        ],
        ..ROW
    },
    Case {
        id: "long.401.alike-unknown",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "An unknown client gets the same answer as a wrong secret, whichever mechanism it uses.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Valid, AssertionJwk)],
        effect: Effect::Mint,
        control: Some("long.401.client-unknown"),
        request: steps!(unknown),
        expect: INVALID_CLIENT,
        mutants: &[
            mutant("unknown-by-assertion-told", "reveals that a client does not exist, when it sends an assertion"),
            mutant("unknown-by-code-told", "reveals that a client does not exist, when it sends a one-time code"),
        ],
        ..ROW
    },
    Case {
        id: "long.401.alike-code",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A wrong code, a code that was used already, and a right code while the mechanism is locked all \
                      get the same answer.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[
            (Valid, ClientId),
            (Valid, ClientSecret),
            (Valid, TotpSecret),
            (Lockout, ClientId),
            (Lockout, TotpSecret),
        ],
        effect: Effect::Mint,
        control: Some("long.201.otp"),
        request: steps!(codes),
        expect: INVALID_CLIENT,
        mutants: &[
            mutant("lock-told", "reveals that one-time codes are locked"),
            mutant("spent-code-told", "reveals that a code was used already"),
            mutant("guesses-told", "reveals how many guesses are left"),
        ],
        ..ROW
    },
    Case {
        id: "long.401.alike-suspended",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "A wrong secret of a suspended client gets the same answer as that of an active client.",
        section: "openapi.yaml, issueLongTermToken",
        needs: &[(Valid, ClientId), (Valid, ClientSecret), (Suspended, ClientId)],
        effect: Effect::Mint,
        control: Some("long.401.client-unknown"),
        request: steps!(suspended),
        expect: INVALID_CLIENT,
        mutants: &[mutant("suspended-hinted", "hints in details that a client is suspended")],
        ..ROW
    },
    Case {
        id: "long.401.alike",
        cell: Cell::Long(401),
        level: Level::Contract,
        requirement: "Whatever is wrong with a secret, a code or an assertion, the answer is the same: no answer of \
                      the run reveals the reason.",
        section: "openapi.yaml, issueLongTermToken",
        request: AlikeAnswers(rejected_credential),
        mutants: &[
            mutant("nbf-told", "reveals that an assertion is not valid yet"),
            mutant("claim-told", "names the missing claim of an assertion"),
            mutant("code-length-told", "reveals that a code does not have six digits"),
            mutant("secret-empty-told", "reveals that a secret is empty"),
        ],
        ..ROW
    },
];

/// The answer to a wrong secret of role `valid`. All other rejections must equal it.
async fn model(t: &Trial<'_>) -> Result<Answer, Stop> {
    let request = draft::build(t, Secret(Valid), &[Set("client_secret", r#""wrong-${unique}""#)]).await?;
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer)?;
    Ok(answer)
}

fn compare(t: &Trial<'_>, model: &Answer, answer: &Answer, what: &str) -> Result<(), Stop> {
    t.expect(t.due, answer).map_err(|stop| stop.wanted(|wanted| format!("{wanted} for {what}")))?;
    let whole = |answer: &Answer| (answer.json(), answer.header("www-authenticate").map(str::to_owned));
    if whole(model) == whole(answer) {
        return Ok(());
    }
    let told = |answer: &Answer| {
        let body = answer.json().unwrap_or_default();
        let challenge = answer.header("www-authenticate").unwrap_or("none");
        format!("{}, details {}, WWW-Authenticate: {challenge}", t.summary(answer), body["details"])
    };
    Err(Stop::fail(format!("for {what} the same answer as to a wrong secret: {}", told(model)), told(answer)))
}

async fn assertions(t: &Trial<'_>) -> Result<(), Stop> {
    let model = model(t).await?;
    let accepted = draft::build(t, Assertion(Valid), &[]).await?;
    t.expect(GRANTED, &t.send(&accepted).await?)?;
    compare(t, &model, &t.send(&accepted).await?, "a replayed assertion")?;
    let twins: [(&[Change], &str); 7] = [
        (&[Claim("exp", "${now-180}"), Claim("iat", "${now-300}")], "an expired assertion"),
        (&[TamperedSignature], "an assertion with an invalid signature"),
        (&[SignedBy(Other)], "an assertion signed with another client's key"),
        (&[Jose("kid", r#""no-such-key""#)], "an assertion with an unknown kid"),
        (&[Claim("aud", r#""https://elsewhere.example""#)], "an assertion for another service"),
        (&[NoClaim("jti")], "an assertion without jti"),
        (&[AlgNone], "an unsigned assertion"),
    ];
    for (changes, what) in twins {
        let request = draft::build(t, Assertion(Valid), changes).await?;
        compare(t, &model, &t.send(&request).await?, what)?;
    }
    Ok(())
}

/// A call of an unknown client. `body` has the credential.
fn by_nobody(t: &Trial<'_>, mechanism: Value) -> Request {
    let name = format!("nobody-{}", t.unique());
    let mut body = json!({"grant_type": "client_credentials", "client_id": name, "ttl_seconds": 3600});
    for (member, value) in mechanism.as_object().into_iter().flatten() {
        body[member] = value.clone();
    }
    let mut request = endpoint::post(LONG, None, Some(body));
    request.set("x-client-id", name);
    request
}

async fn unknown(t: &Trial<'_>) -> Result<(), Stop> {
    let model = model(t).await?;
    let secret = t.setting(Valid, ClientSecret)?;
    let (header, claims) = draft::assertion_parts(t, Valid)?;
    let assertion = t.secret("ASSERTION", draft::sign(t.key(Valid)?, &header, &claims)?);
    let by_assertion =
        json!({"grant_type": "assertion", "assertion_type": draft::CLIENT_ASSERTION, "assertion": assertion});
    for (mechanism, what) in [
        (json!({"client_secret": secret}), "an unknown client's secret"),
        (by_assertion, "an unknown client's assertion"),
        (json!({"otp_code": "123456"}), "an unknown client's code"),
    ] {
        compare(t, &model, &t.send(&by_nobody(t, mechanism)).await?, what)?;
    }
    Ok(())
}

async fn codes(t: &Trial<'_>) -> Result<(), Stop> {
    let model = model(t).await?;
    let spent = otp::scene(t).await?;
    // Wrong codes are not sent again: a server may count each as a guess.
    let mut refused = spent.answers.iter().filter(|answer| answer.status != 201);
    refused.try_for_each(|answer| compare(t, &model, answer, "a code that was used already"))?;
    match lock::scene(t).await {
        Ok(scene) => {
            scene.wrong.iter().try_for_each(|answer| compare(t, &model, answer, "a wrong code"))?;
            compare(t, &model, &scene.right_after_five, "a right code while codes are locked")
        }
        // An earlier run's lock, which rejects every code.
        Err(Stop::Absent(_)) => compare(t, &model, &lock::send_wrong(t, 8).await?, "a code while codes are locked"),
        Err(other) => Err(other),
    }
}

async fn suspended(t: &Trial<'_>) -> Result<(), Stop> {
    let model = model(t).await?;
    let client_id = t.setting(Suspended, ClientId)?;
    let body = json!({
        "grant_type": "client_credentials", "client_id": client_id, "client_secret": format!("wrong-{}", t.unique()),
        "ttl_seconds": 3600,
    });
    let mut request = endpoint::post(LONG, None, Some(body));
    request.set("x-client-id", client_id);
    compare(t, &model, &t.send(&request).await?, "a suspended client's wrong secret")
}

/// Status, body and challenge of a rejected credential. Not concerned: requests without X-Client-Id or with another one, whose
/// answer may say so, and those with a bearer, which may be mentioned in the challenge.
fn rejected_credential(seen: &Seen) -> Option<(String, String)> {
    if seen.op != Op::Long || seen.answer.status != 401 || seen.request.header("authorization").is_some() {
        return None;
    }
    let sent: Value = serde_json::from_slice(&seen.request.body).ok()?;
    let ids: Vec<_> =
        seen.request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-client-id")).collect();
    let is_same = matches!(ids[..], [(_, id)] if sent["client_id"] == id.as_str());
    let has_credential = ["client_secret", "otp_code", "assertion"].iter().any(|name| sent[*name].is_string());
    let body = seen.answer.json()?;
    if !is_same || !has_credential || body["code"] != "invalid_client" {
        return None;
    }
    let challenge = seen.answer.header("www-authenticate").unwrap_or("none");
    Some((String::new(), format!("401 {body}, WWW-Authenticate: {challenge}")))
}
