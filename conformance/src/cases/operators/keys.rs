//! Which public keys a client may register.

use super::OPERATOR;
use crate::case::*;
use crate::endpoint::{self, CLIENTS};
use crate::trial::draft;
use crate::trial::operators::{Client, Signer, newcomer};
use serde_json::{Value, json};

/// A key that is rejected.
const WEAK: Case = Case {
    cell: Cell::Service(400),
    level: Level::Service,
    section: "openapi.yaml, ClientJwk",
    needs: OPERATOR,
    effect: Effect::Provision,
    control: Some("operators.201.jwks"),
    expect: INVALID_REQUEST,
    ..ROW
};

/// Public keys. The private keys were discarded after these were made.
const ED25519: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const P256: (&str, &str) =
    ("B9J5IuHAUw2uvlo_KEUy-Zrn_VvtYZFpuGveErPG1jQ", "ozptNL98BDg7TuJ4fZpCmOprOBqjXqgRCmrzQL2svNk");
const RSA_2048: &str = "r62UWLxlVi2IO-WWB-cxVDAGSchNyifNSWAzYue6LgfIU2J7Oy1AH5eZxh7_KSKth7_HZxTUwfA-56p0T2XL34U176RtMZR9IP3V-Z292SrMp6VnD4ARGICOgd-HVcTvFkBM4sh82AYRHwOzTvhHSDsaDEYzVGyjsKsCH4XQKKuZq6HH42QO6KPU7V4NpM2DY6-Hkg4ZVH8TQ5Px7c3Qs0kCk74f2ZfVqNBHCqz310NKKdMo4pAaRa0C2TpnyYTjHHfKiC6YzHxOKhcoUeNsbCAJGJCOr9oU-9oVYlFTE6MFepsHGlN38h1e3seKSRe1bHjIHw87PmG0_HHMpS95Gw";
const RSA_2047: &str = "YU8Op7E8r_3kkr0SalaTUHSi9_f4NluKC3VujDCsw2vt8gfWfVgqhamlQ3AhtBIt874YsyZZbIJj45Eryz7LBMX1atMZBB2a-gPJZblysK8cGv7i8cl1N3YDyuN4aX3P5kgZxoVEVWdDcEAbIDhPmifGIbZyYY3s14rJ5HWGfMg7btHDG5RP5snDM1_czNuXsjACli5z_W-KEUSfJpRGIXGHawwhW7Ez88QY-C2uqi4UxHfL31exK0nrvhndZSjiOzhPoCn9G1n4nZeN_xJEv_JTxhjAZvN6atey9jequL-fgYCQ2PSQt0TsXHLRm_MD_AG35CXIPa6_xtnKBdkycQ";

pub const CASES: &[Case] = &[
    Case {
        id: "operators.201.jwks",
        cell: Cell::Service(201),
        requirement: "Keys for RS256, PS256, ES256 and EdDSA can be registered, including RSA keys of 2048 bits and \
                      RSA keys with the exponent 3.",
        control: Some("operators.201.create"),
        request: steps!(accepted),
        expect: plain(201),
        mutants: &[
            mutant("jwks-rs256-refused", "rejects keys for RS256"),
            mutant("jwks-ps256-refused", "rejects keys for PS256"),
            mutant("jwks-es256-refused", "rejects keys for ES256"),
            mutant("jwks-rsa-2049", "rejects RSA keys of 2048 bits"),
            mutant("jwks-rsa-3-refused", "rejects RSA keys with the exponent 3"),
        ],
        ..WEAK
    },
    Case {
        id: "operators.201.jwks-16",
        cell: Cell::Service(201),
        requirement: "A client may have 16 keys.",
        section: "openapi.yaml, ClientJwks",
        request: steps!(sixteen),
        expect: plain(201),
        mutants: &[mutant("jwks-15", "accepts at most 15 keys")],
        ..WEAK
    },
    Case {
        id: "operators.201.jwks-members",
        cell: Cell::Service(201),
        requirement: "Unknown members of a key are dropped.",
        request: steps!(dropped),
        expect: plain(201),
        mutants: &[mutant("jwks-members-kept", "keeps every member of a key")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-17",
        requirement: "A jwks with 17 keys is rejected with 400 invalid_request.",
        section: "openapi.yaml, ClientJwks",
        request: steps!(refused_set, || json!({"keys": (0..17).map(|n| ed25519(&n.to_string())).collect::<Vec<_>>()})),
        mutants: &[mutant("jwks-unlimited", "accepts any number of keys")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-empty",
        requirement: "A jwks with an empty keys array is rejected with 400 invalid_request.",
        section: "openapi.yaml, ClientJwks",
        request: steps!(refused_set, || json!({"keys": []})),
        mutants: &[mutant("jwks-empty-ok", "accepts a set without a key")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-not-a-set",
        requirement: "A jwks that is not an object with the array keys is rejected with 400 invalid_request.",
        section: "openapi.yaml, ClientJwkSet; RFC 7517 section 5",
        request: steps!(refused_set, || ed25519("a")),
        mutants: &[mutant("jwks-any-json", "accepts an object without keys as an empty set")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-no-kid",
        requirement: "A key without kid is rejected with 400 invalid_request.",
        request: steps!(refused, &[|| without(ed25519("a"), "kid")]),
        mutants: &[mutant("jwks-kid-optional", "accepts keys without a kid")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-kid-twice",
        requirement: "Two keys with the same kid are rejected with 400 invalid_request.",
        section: "openapi.yaml, ClientJwks",
        request: steps!(refused_set, || json!({"keys": [ed25519("a"), ed25519("a")]})),
        mutants: &[mutant("jwks-kid-twice-ok", "accepts two keys with the same kid")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-no-alg",
        requirement: "A key without alg is rejected with 400 invalid_request.",
        request: steps!(refused, &[|| without(ed25519("a"), "alg")]),
        mutants: &[mutant("jwks-alg-optional", "guesses the alg of a key")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-alg-unfit",
        requirement: "A key whose alg does not match its kty is rejected with 400 invalid_request.",
        request: steps!(
            refused,
            &[
                || with(ed25519("a"), "alg", "ES256"),
                || with(p256(), "alg", "RS256"),
                || with(rsa(RSA_2048, "AQAB"), "alg", "EdDSA")
            ]
        ),
        mutants: &[mutant("jwks-alg-unbound", "accepts any alg with any key")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-oct",
        requirement: "A symmetric key is rejected with 400 invalid_request.",
        request: steps!(
            refused,
            &[
                || json!({"kty": "oct", "kid": "a", "alg": "HS256", "k": ED25519}),
                || json!({"kty": "oct", "kid": "a", "alg": "HS256"})
            ]
        ),
        mutants: &[mutant("jwks-oct-ok", "accepts symmetric keys")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-private",
        requirement: "A key with a private member (d, p, q, dp, dq, qi, oth or k) is rejected with 400 \
                      invalid_request.",
        section: "openapi.yaml, ClientJwk; RFC 7518 section 6",
        request: steps!(private),
        mutants: &[
            mutant("jwks-private-ok", "drops private members and accepts the key"),
            mutant("jwks-d-ok", "does not check for d"),
            mutant("jwks-oth-ok", "does not check for oth"),
            mutant("jwks-k-ok", "does not check for k"),
        ],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-rsa-2047",
        requirement: "An RSA key under 2048 bits is rejected with 400 invalid_request.",
        section: "openapi.yaml, ClientJwk; RFC 7518 section 3.3",
        request: steps!(refused, &[|| rsa(RSA_2047, "AQAB")]),
        mutants: &[
            mutant("jwks-rsa-1024-ok", "accepts RSA keys of 1024 bits"),
            mutant("jwks-rsa-in-bytes", "measures an RSA key in bytes"),
        ],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-rsa-even",
        requirement: "An RSA key with an even exponent is rejected with 400 invalid_request.",
        request: steps!(refused, &[|| rsa(RSA_2048, "AQAA")]),
        mutants: &[mutant("jwks-rsa-even-ok", "accepts RSA keys with an even exponent")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-rsa-1",
        requirement: "An RSA key with the exponent 1 is rejected with 400 invalid_request: every signature would be \
                      valid.",
        request: steps!(refused, &[|| rsa(RSA_2048, "AQ"), || rsa(RSA_2048, "AAAB")]),
        mutants: &[mutant("jwks-rsa-1-ok", "accepts RSA keys with the exponent 1")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-small-order",
        requirement: "An Ed25519 key of small order is rejected with 400 invalid_request: a signature for it can be \
                      made without a private key.",
        request: steps!(
            refused,
            &[
                || okp("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
                || okp("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
                || okp("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA"),
                || okp("7P_______________________________________38"),
                || okp("JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU"),
                || okp("xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o"),
            ]
        ),
        mutants: &[mutant("jwks-small-order-ok", "accepts Ed25519 keys of small order")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-not-canonical",
        requirement: "An Ed25519 key with a non-canonical encoding is rejected with 400 invalid_request.",
        section: "openapi.yaml, ClientJwk; RFC 8032 section 5.1.3",
        // The points with y of 3 and 18, written as y + p.
        request: steps!(
            refused,
            &[
                || okp("8P_______________________________________38"),
                || okp("_________________________________________38")
            ]
        ),
        mutants: &[mutant("jwks-not-canonical-ok", "accepts non-canonical encodings of Ed25519 keys")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-off-curve",
        requirement: "An Ed25519 key of 32 bytes that encode no point of the curve is rejected with 400 \
                      invalid_request.",
        section: "openapi.yaml, ClientJwk; RFC 8032 section 5.1.3",
        request: steps!(
            refused,
            &[
                || okp("AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
                || okp("BwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
            ]
        ),
        mutants: &[mutant("jwks-off-curve-ok", "accepts any 32 bytes as an Ed25519 key")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-length",
        requirement: "An Ed25519 key that is not 32 bytes long is rejected with 400 invalid_request.",
        section: "openapi.yaml, ClientJwk; RFC 8037 section 2",
        request: steps!(refused, &[|| okp("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ"), || okp("")]),
        mutants: &[mutant("jwks-any-length", "accepts Ed25519 keys of any length")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-p256-off-curve",
        requirement: "A P-256 key whose point is not on the curve is rejected with 400 invalid_request.",
        section: "openapi.yaml, ClientJwk; RFC 7518 section 6.2.1",
        request: steps!(refused, &[|| with(p256(), "y", P256.0)]),
        mutants: &[mutant("jwks-p256-unchecked", "accepts any 64 bytes as a P-256 key")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-x25519",
        requirement: "A key for key agreement (X25519) is rejected with 400 invalid_request, whatever its alg.",
        request: steps!(key_agreement),
        mutants: &[mutant("jwks-x25519-ok", "accepts X25519 keys")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-alg-unknown",
        requirement: "A key with an alg other than RS256, PS256, ES256 and EdDSA is rejected with 400 invalid_request.",
        request: steps!(unknown_alg),
        mutants: &[mutant("jwks-alg-unknown-ok", "accepts keys with any alg")],
        ..WEAK
    },
    Case {
        id: "operators.201.jti-per-client",
        cell: Cell::Service(201),
        requirement: "A jti is single-use per client: a jti that one client has used works for another.",
        section: "openapi.yaml, issueLongTermToken; RFC 7519 section 4.1.7",
        control: Some("operators.201.assertion"),
        request: steps!(jti_per_client),
        expect: GRANTED,
        mutants: &[mutant("jti-global", "rejects a jti that any client has used")],
        ..WEAK
    },
    Case {
        id: "operators.201.ttl-binds-assertion",
        cell: Cell::Service(201),
        requirement: "max_ttl_seconds limits a token that is issued for an assertion.",
        section: "openapi.yaml, NewClient; openapi.yaml, LongTokenRequest",
        control: Some("operators.201.assertion"),
        request: steps!(ttl_binds_assertion),
        expect: GRANTED,
        mutants: &[mutant("assertion-ttl-uncapped", "ignores max_ttl_seconds for assertions")],
        ..WEAK
    },
    Case {
        id: "operators.401.jti-other-key",
        cell: Cell::Service(401),
        requirement: "A jti that was used with one key of a client is used up for its other keys: 401 invalid_client.",
        section: "openapi.yaml, issueLongTermToken; RFC 7519 section 4.1.7",
        control: Some("operators.201.assertion"),
        request: steps!(jti_with_other_key),
        expect: INVALID_CLIENT,
        mutants: &[mutant("jti-by-kid", "remembers a jti for each key separately")],
        ..WEAK
    },
];

fn ed25519(kid: &str) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "x": ED25519})
}

fn okp(x: &str) -> Value {
    with(ed25519("a"), "x", x)
}

fn p256() -> Value {
    json!({"kty": "EC", "crv": "P-256", "kid": "p", "alg": "ES256", "x": P256.0, "y": P256.1})
}

fn rsa(n: &str, e: &str) -> Value {
    json!({"kty": "RSA", "kid": "r", "alg": "RS256", "n": n, "e": e})
}

fn with(mut key: Value, member: &str, value: &str) -> Value {
    key[member] = value.into();
    key
}

fn without(mut key: Value, member: &str) -> Value {
    key.as_object_mut().and_then(|members| members.remove(member));
    key
}

async fn registered(t: &Trial<'_>, set: Value) -> Result<Answer, Stop> {
    let mut body = newcomer(t);
    body["jwks"] = set;
    t.call("POST", CLIENTS, Some(body)).await
}

async fn accepted(t: &Trial<'_>) -> Result<(), Stop> {
    let pss = with(with(rsa(RSA_2048, "AQAB"), "alg", "PS256"), "kid", "s");
    let three = with(rsa(RSA_2048, "Aw"), "kid", "three");
    let set = json!({"keys": [ed25519("a"), p256(), rsa(RSA_2048, "AQAB"), pss, three]});
    let answer = registered(t, set.clone()).await?;
    t.expect(t.due, &answer)?;
    t.equal("jwks", &set, &answer.json().unwrap_or_default()["jwks"])
}

async fn sixteen(t: &Trial<'_>) -> Result<(), Stop> {
    let set = json!({"keys": (0..16).map(|n| ed25519(&n.to_string())).collect::<Vec<_>>()});
    t.expect(t.due, &registered(t, set).await?)
}

async fn dropped(t: &Trial<'_>) -> Result<(), Stop> {
    let mut key = ed25519("a");
    (key["use"], key["key_ops"], key["x5t"]) = ("sig".into(), json!(["verify"]), 7.into());
    let answer = registered(t, json!({"keys": [key]})).await?;
    t.expect(t.due, &answer)?;
    t.equal("jwks", &json!({"keys": [ed25519("a")]}), &answer.json().unwrap_or_default()["jwks"])
}

async fn refused_set(t: &Trial<'_>, set: fn() -> Value) -> Result<(), Stop> {
    let answer = registered(t, set()).await?;
    t.expect(t.due, &answer)?;
    t.check(Also::Names("jwks"), &answer)
}

/// Each of these keys, one at a time.
async fn refused(t: &Trial<'_>, keys: &[fn() -> Value]) -> Result<(), Stop> {
    for key in keys {
        let answer = registered(t, json!({"keys": [key()]})).await?;
        t.expect(t.due, &answer)?;
        t.check(Also::Names("jwks"), &answer)?;
    }
    Ok(())
}

async fn private(t: &Trial<'_>) -> Result<(), Stop> {
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let mut key = if ["d", "k"].contains(&member) { ed25519("a") } else { rsa(RSA_2048, "AQAB") };
        // Not a real private key, but in the place of one.
        key[member] = if member == "oth" { json!([]) } else { json!(ED25519) };
        let answer = registered(t, json!({"keys": [key]})).await?;
        t.expect(t.due, &answer)?;
        t.check(Also::Names("jwks"), &answer)?;
    }
    Ok(())
}

async fn key_agreement(t: &Trial<'_>) -> Result<(), Stop> {
    let key = json!({"kty": "OKP", "crv": "X25519", "kid": "k1", "alg": "EdDSA", "x": ED25519});
    rejected(t, key).await
}

async fn unknown_alg(t: &Trial<'_>) -> Result<(), Stop> {
    for alg in ["ES384", "RS512", "ES256K", "none"] {
        let (x, y) = P256;
        rejected(t, json!({"kty": "EC", "crv": "P-256", "kid": "k1", "alg": alg, "x": x, "y": y})).await?;
    }
    Ok(())
}

/// A client with only this key is not created.
async fn rejected(t: &Trial<'_>, key: Value) -> Result<(), Stop> {
    let mut body = newcomer(t);
    body["mechanisms"] = json!(["assertion"]);
    body["jwks"] = json!({"keys": [key]});
    t.expect(t.due, &t.call("POST", CLIENTS, Some(body)).await?)
}

/// A client with one key, which may use assertions only.
async fn signing(t: &Trial<'_>) -> Result<(Client, Signer), Stop> {
    let signer = t.signer("first")?;
    let members = json!({"mechanisms": ["assertion"], "jwks": {"keys": [signer.jwk]}});
    Ok((t.client_with(members).await?, signer))
}

/// A request with a fresh assertion with this `jti`, for a token that lives for a day.
async fn by_assertion(t: &Trial<'_>, client: &Client, signer: &Signer, jti: &str) -> Result<Answer, Stop> {
    let now = t.run.clock.now();
    let header = json!({"alg": signer.key.alg, "kid": signer.key.kid, "typ": "JWT"});
    let claims = json!({
        "iss": client.id, "sub": client.id, "aud": t.run.client.url(endpoint::LONG), "iat": now, "exp": now + 120, "jti": jti,
    });
    let assertion = t.secret("GUEST_ASSERTION", draft::sign(&signer.key, &header, &claims)?);
    let credential = json!({
        "grant_type": "assertion", "assertion_type": draft::CLIENT_ASSERTION, "assertion": assertion,
        "ttl_seconds": 86_400,
    });
    t.log_in(client, credential).await
}

async fn jti_per_client(t: &Trial<'_>) -> Result<(), Stop> {
    let jti = t.unique();
    for _ in 0..2 {
        let (client, signer) = signing(t).await?;
        t.expect(t.due, &by_assertion(t, &client, &signer, &jti).await?)?;
    }
    Ok(())
}

async fn ttl_binds_assertion(t: &Trial<'_>) -> Result<(), Stop> {
    let (client, signer) = signing(t).await?;
    let answer = by_assertion(t, &client, &signer, &t.unique()).await?;
    t.expect(t.due, &answer)?;
    t.check(Also::ExpiresIn(3600), &answer)
}

async fn jti_with_other_key(t: &Trial<'_>) -> Result<(), Stop> {
    let (first, second) = (t.signer("first")?, t.signer("second")?);
    let members = json!({"mechanisms": ["assertion"], "jwks": {"keys": [first.jwk, second.jwk]}});
    let client = t.client_with(members).await?;
    let jti = t.unique();
    t.expect(GRANTED, &by_assertion(t, &client, &first, &jti).await?)?;
    t.expect(GRANTED, &by_assertion(t, &client, &second, &t.unique()).await?)?;
    t.expect(t.due, &by_assertion(t, &client, &second, &jti).await?)
}
