//! Fuzz targets: every parser of the harness that reads its files or a server's answer, and the mask. Each runs as a plain
//! test, and with a fuzzing engine by `make fuzz`.

use crate::cases::all;
use crate::choice::Choice;
use crate::http::{Answer, Request, check_base, is_loopback};
use crate::identities::{Credential, Identities, Role};
use crate::jose::{self, Jwt, PrivateKey};
use crate::mask::Vault;
use crate::matrix::Op;
use crate::profile::Profile;
use crate::report::{Request as Wanted, diff::diff, json, sample};
use crate::text::visible;
use crate::transcript;
use crate::trial::forge;
use crate::watch::{Rule, Seen, Standing};
use crate::{cli, clock, command, glob, ledger, totp};
use ::fuzz::bolero::produce;
use ::fuzz::{check, texts};
use serde_json::Value;

/// No message and no report may contain this.
const CANARY: &str = "canary-0123456789";
const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

// ---- files

/// The identities file: an error contains no value, and the mask knows each secret before anything can fail.
#[test]
fn identities() {
    let jwk = format!(
        r#"{{"kty":"OKP","crv":"Ed25519","kid":"k","alg":"EdDSA","d":"{SEED}","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}"#
    );
    let seeds = [
        format!(
            "[valid]\nclient_id = \"a\"\nclient_secret = \"{CANARY}\"\nscopes = [\"jobs:*\"]\nmax_ttl_seconds = 3600\nassertion_jwk = '{jwk}'\n"
        ),
        format!(
            "[no_otp]\nclient_id = \"b\"\ntotp_secret = \"MZXW6YTBOI\"\nfrom_secret = true\n[other]\nclient_secret = \"{CANARY}\"\n"
        ),
    ];
    check!(texts(&seeds.each_ref().map(String::as_str)), |text| {
        let Some(text) = text.as_str() else { return };
        let vault = Vault::default();
        match Identities::parse(text, "f", |_| None, &vault) {
            Ok(identities) => {
                assert!(Role::ALL.iter().any(|role| identities.has(*role, Credential::ClientId)));
                for role in Role::ALL {
                    let secret = identities.role(role).and_then(|identity| identity.client_secret.as_deref());
                    assert!(secret.is_none_or(|secret| secret.len() < 4 || vault.knows(secret)));
                }
            }
            Err(error) => assert!(!error.contains(CANARY) && !error.contains(SEED), "{error}"),
        }
    });
}

/// A private key: if it is accepted, its public half verifies its signatures. An error contains no value.
#[test]
fn private_keys() {
    let seeds = [
        format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"k","alg":"EdDSA","d":"{SEED}","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}"#),
        r#"{"kty":"EC","crv":"P-256","kid":"k","alg":"ES256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#.to_owned(),
        format!(r#"{{"kty":"RSA","kid":"k","alg":"PS256","n":"AQAB","e":"AQAB","d":"{SEED}","p":"AQAB","q":"AQAB","dp":"AQ","dq":"AQ","qi":"AQ"}}"#),
    ];
    check!(texts(&seeds.each_ref().map(String::as_str)), |text| {
        let Some(text) = text.as_str() else { return };
        match PrivateKey::from_jwk(text) {
            Ok(key) => assert!(!key.kid.contains('\0') || text.contains("\\u0000")),
            Err(error) => assert!(!error.contains(SEED) && !error.contains("jpsQnnGQmL"), "{error}"),
        }
    });
}

/// Profiles and known failures: each names existing cases, and a reason.
#[test]
fn profiles_and_known_failures() {
    let seeds = [
        "level = \"seed\"\n[limits]\nburst_requests = 10\nshort_seconds = 900\n[[absent]]\ncase = \"long.429.*\"\nreason = \"no limits\"\n",
        "\"long.401.expired\" = \"a reason\"\n",
    ];
    check!(texts(&seeds), |text| {
        let Some(text) = text.as_str() else { return };
        if let Ok(profile) = Profile::parse(text) {
            assert!(profile.limits.burst_requests > 0 && profile.limits.burst_concurrency > 0);
            assert!(profile.absent.iter().all(|absent| !absent.reason.trim().is_empty()));
            // A choice contains only existing cases.
            if let Ok(choice) = Choice::new(profile, Vec::new(), Vec::new()) {
                let absent = &choice.profile.absent;
                assert!(absent.iter().all(|absent| all().any(|case| glob::matches(&absent.case, case.id))));
            }
        }
        if let Ok(known) = command::parse_known_failures(text) {
            assert!(known.iter().all(|(id, reason)| all().any(|case| case.id == id) && !reason.trim().is_empty()));
        }
    });
}

/// A report of an earlier run: it stays the same when written and read again, has no difference from itself, and contains no
/// terminal control characters.
#[test]
fn reports() {
    let mut report = sample::poisoned("x");
    report.cases.truncate(2);
    report.matrix.truncate(1);
    report.cases.iter_mut().for_each(|case| case.exchanges.truncate(1));
    let text = serde_json::to_string(&report).unwrap();
    check!((texts(&[&text]), texts(&[&text])), |(one, other)| {
        let (Some(one), Some(other)) = (one.as_str(), other.as_str()) else { return };
        let Ok(one) = json::parse(one) else { return };
        let written = json::render(&one).unwrap();
        assert_eq!(visible(&written), written);
        assert_eq!(json::render(&json::parse(&written).expect("what was written is read")).unwrap(), written);
        let same = diff(&one, &one);
        let unique =
            one.cases.iter().map(|case| &case.id).collect::<std::collections::HashSet<_>>().len() == one.cases.len();
        assert!(!unique || (same.is_empty() && !same.is_worse()));
        if let Ok(other) = json::parse(other) {
            let told = diff(&one, &other).to_string();
            assert_eq!(visible(&told), told, "nothing in it acts on a terminal");
        }
    });
}

// ---- what a server answers

/// JWTs, and forgeries made from them.
#[test]
fn jwts() {
    let whole = jose::hs256(
        b"key",
        &jose::signing_input(
            &serde_json::json!({"alg": "HS256", "typ": "revocations+jwt"}),
            &serde_json::json!({"exp": 5, "seq": 7}),
        ),
    );
    let payloads = [r#"{"exp":1800000900,"jti":"tok_st_1","ended":{"token":{"A":1}}}"#];
    check!((texts(&[&whole]), texts(&payloads)), |(text, payload)| {
        let signed = format!("e30.{}.AAAA", jose::b64(&**payload));
        for text in [text.lossy(), signed] {
            let Some(jwt) = Jwt::read(&text) else {
                assert!(forge::unsigned(&text).is_err() && forge::extended(&text).is_err());
                continue;
            };
            assert!(jwt.header.is_object() && jwt.claims.is_object() && text.split('.').count() == 3);
            let again = Jwt::read(&format!("{}.", jose::signing_input(&jwt.header, &jwt.claims))).expect("it is a JWT");
            assert_eq!((&again.header, &again.claims), (&jwt.header, &jwt.claims));
            assert_eq!(Jwt::read(&forge::unsigned(&text).unwrap()).unwrap().header["alg"], "none");
            let extended = Jwt::read(&forge::extended(&text).unwrap()).unwrap();
            assert!(extended.claims["exp"].as_u64().unwrap() >= jwt.claims["exp"].as_u64().unwrap_or_default());
            let _ = (jose::tampered(&text), transcript::readable(&answer(200, text.as_bytes())));
        }
    });
}

fn answer(status: u16, body: &[u8]) -> Answer {
    Answer { asked: 0, status, headers: Vec::new(), body: body.to_vec() }
}

const GRANT: &str = r#"{"token_type":"Bearer","access_token":"eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiJ0b2tfbHRfMSJ9.AAAA","expires_in":60,"expires_at":"2026-11-24T06:50:11Z","scopes":["jobs:*"],"token_id":"tok_lt_1"}"#;
const REFUSAL: &str = r#"{"code":"invalid_token","message":"m","details":{"field":"x"}}"#;

/// Any answer can be judged and searched for secrets. Everything found is masked wherever it occurs.
#[test]
fn answers() {
    let headers = [
        "X-Token-Id: tok_lt_1\nContent-Type: application/json\nCache-Control: no-store\nExpires: 0",
        "WWW-Authenticate: Bearer realm=\"a\", error=\"invalid_token\"\nRetry-After: 5\nX-Content-Type-Options: nosniff",
    ];
    check!((texts(&[GRANT, REFUSAL]), texts(&headers), produce::<(u8, u8)>()), |(body, headers, (status, op))| {
        let statuses = [200, 201, 204, 302, 400, 401, 403, 404, 405, 429, 500, 503, 999];
        let (op, path) = [
            (Op::Long, "/auth/tokens/long"),
            (Op::Short, "/auth/tokens/short"),
            (Op::Revoke, "/auth/tokens/x/revoke"),
            (Op::Outside, "/x"),
            (Op::Service, "/clients"),
        ][usize::from(op % 5)];
        let headers = headers.lossy();
        let headers = headers
            .split('\n')
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let answer = Answer {
            asked: 0,
            status: statuses[usize::from(*status) % statuses.len()],
            headers: headers.collect(),
            body: body.to_vec(),
        };
        let request = Request {
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: body.to_vec(),
            chunked: false,
        };
        for case in all() {
            let seen = Seen { request: &request, op, answer: &answer, now: 1_800_000_000 };
            match case.rule() {
                Some(Rule::Each(judge)) => {
                    if let Standing::Broken { wanted, got } = judge(&seen) {
                        assert!(!wanted.is_empty() && wanted != got, "{}", case.id);
                    }
                }
                Some(Rule::Alike(shared)) => drop(shared(&seen)),
                None => {}
            }
        }
        let vault = Vault::default();
        let haul = ledger::look(path, &answer, &vault, 1_800_000_000);
        assert!(haul.tokens.len() <= 32 && haul.secrets.len() <= 32);
        for secret in
            haul.tokens.iter().map(|found| &found.token).chain(&haul.secrets).filter(|secret| secret.len() >= 8)
        {
            vault.learn("FOUND", secret);
            assert!(!hides(&vault.mask(&format!("a {secret} b")), secret));
        }
        let _ = ledger::is_clean(&answer);
    });
}

/// A secret of digits alone may also be part of a longer number.
fn hides(shown: &str, secret: &str) -> bool {
    shown.contains(secret) && !secret.bytes().all(|byte| byte.is_ascii_digit())
}

/// A secret is never shown, in any encoding and any text. Masking a masked text changes nothing.
#[test]
fn masks() {
    let secrets = [CANARY, "s3cr&t/with \"quotes\"", "eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiJ0b2tfbHRfMSJ9.AAAA"];
    let around = [
        r#"{"message":"","access_token":"x","nested":"{\"client_secret\":\"y\"}"}"#,
        "https://x/?access_token=abc&state=1 Authorization: Bearer abcdefgh12345678",
        "<token>a</token>&quot;&#x61;%41\\u0061",
    ];
    check!((texts(&secrets), texts(&around), produce::<(u8, u16)>()), |(secret, around, (form, at))| {
        let (Some(secret), around) = (secret.as_str(), around.lossy()) else { return };
        let vault = Vault::default();
        vault.learn("SECRET", secret);
        let quoted = Value::from(secret).to_string();
        let form = match form % 4 {
            0 => secret.to_owned(),
            1 => quoted[1..quoted.len() - 1].to_owned(),
            2 => crate::mask::url_encoded(secret),
            _ => jose::b64(secret),
        };
        let at = (0..=around.len())
            .rev()
            .find(|place| *place <= usize::from(*at) && around.is_char_boundary(*place))
            .unwrap_or(0);
        let text = format!("{}{form}{}", &around[..at], &around[at..]);
        for shown in [vault.mask(&text), vault.mask_foreign(&text), vault.mask_suspect(&text)] {
            // Short secrets, and those of digits alone, are not masked everywhere.
            if secret.len() >= 8 && !secret.bytes().all(|byte| byte.is_ascii_digit()) && !"$SECRET".contains(secret) {
                assert!(!shown.contains(&form) || "$SECRET_CUT".contains(&form), "{shown}");
            }
        }
    });
}

// ---- small texts

/// Globs, times, dates, base32, URLs, flags.
#[test]
fn small_texts() {
    let seeds = [
        "2026-11-24T06:50:11Z",
        "250ms",
        "MZXW 6YTB-OI======",
        "https://auth.example.com:8443/v1/",
        "http://[::1]:1/v1",
        "html=out/a=b.html",
        "long.4?1.*",
        "2000-02-29T23:59:60.5Z",
    ];
    check!((texts(&seeds), texts(&["long.401.x", "*.401.*", "**a*b?"])), |(text, other)| {
        let (text, other) = (text.lossy(), other.lossy());
        if let Some(seconds) = clock::parse_rfc3339(&text) {
            assert_eq!(clock::parse_rfc3339(&clock::rfc3339(seconds)), Some(seconds));
            assert!(text[17..19] == *"60" || text.starts_with(&clock::rfc3339(seconds)[..19]));
        }
        if let Ok(time) = cli::time(&text) {
            assert!((1..=86_400_000).contains(&time.as_millis()));
        }
        if let Some(bytes) = totp::base32(&text) {
            assert!(!bytes.is_empty() && bytes.len() <= text.len() * 5 / 8);
        }
        if let Ok(base) = check_base(&text) {
            assert!(
                !base.ends_with('/')
                    && (base.starts_with("https://") || is_loopback(&base) || !base.starts_with("http://"))
            );
        }
        if let Ok(wanted) = text.parse::<Wanted>() {
            assert_eq!(format!("{}={}", wanted.kind, wanted.path.display()), text);
        }
        assert_eq!(glob::matches(&text, &other), matches_slowly(text.as_bytes(), other.as_bytes()), "{text} {other}");
    });
}

/// The meaning of `*` and `?`, by dynamic programming over all prefixes of both.
fn matches_slowly(pattern: &[u8], text: &[u8]) -> bool {
    let mut row = vec![false; text.len() + 1];
    row[0] = true;
    for sign in pattern {
        let mut next = vec![false; text.len() + 1];
        next[0] = row[0] && *sign == b'*';
        for at in 0..text.len() {
            next[at + 1] = match sign {
                b'*' => row[at + 1] || next[at],
                b'?' => row[at],
                _ => row[at] && *sign == text[at],
            };
        }
        row = next;
    }
    row[text.len()]
}
