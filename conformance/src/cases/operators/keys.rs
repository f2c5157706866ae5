//! Which public keys a client may have.

use super::OPERATOR;
use crate::case::*;
use crate::endpoint::CLIENTS;
use crate::trial::operators::newcomer;
use serde_json::{Value, json};

/// A key that is refused.
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

/// The public halves of keys that were made for this and thrown away.
const ED25519: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const P256: (&str, &str) =
    ("B9J5IuHAUw2uvlo_KEUy-Zrn_VvtYZFpuGveErPG1jQ", "ozptNL98BDg7TuJ4fZpCmOprOBqjXqgRCmrzQL2svNk");
const RSA_2048: &str = "r62UWLxlVi2IO-WWB-cxVDAGSchNyifNSWAzYue6LgfIU2J7Oy1AH5eZxh7_KSKth7_HZxTUwfA-56p0T2XL34U176RtMZR9IP3V-Z292SrMp6VnD4ARGICOgd-HVcTvFkBM4sh82AYRHwOzTvhHSDsaDEYzVGyjsKsCH4XQKKuZq6HH42QO6KPU7V4NpM2DY6-Hkg4ZVH8TQ5Px7c3Qs0kCk74f2ZfVqNBHCqz310NKKdMo4pAaRa0C2TpnyYTjHHfKiC6YzHxOKhcoUeNsbCAJGJCOr9oU-9oVYlFTE6MFepsHGlN38h1e3seKSRe1bHjIHw87PmG0_HHMpS95Gw";
const RSA_2047: &str = "YU8Op7E8r_3kkr0SalaTUHSi9_f4NluKC3VujDCsw2vt8gfWfVgqhamlQ3AhtBIt874YsyZZbIJj45Eryz7LBMX1atMZBB2a-gPJZblysK8cGv7i8cl1N3YDyuN4aX3P5kgZxoVEVWdDcEAbIDhPmifGIbZyYY3s14rJ5HWGfMg7btHDG5RP5snDM1_czNuXsjACli5z_W-KEUSfJpRGIXGHawwhW7Ez88QY-C2uqi4UxHfL31exK0nrvhndZSjiOzhPoCn9G1n4nZeN_xJEv_JTxhjAZvN6atey9jequL-fgYCQ2PSQt0TsXHLRm_MD_AG35CXIPa6_xtnKBdkycQ";

pub const CASES: &[Case] = &[
    Case {
        id: "operators.201.jwks",
        cell: Cell::Service(201),
        requirement: "Keys for RS256, PS256, ES256 and EdDSA may be registered, RSA of 2048 bits and with the exponent 3 too.",
        control: Some("operators.201.create"),
        request: steps!(accepted),
        expect: plain(201),
        mutants: &[
            mutant("jwks-rs256-refused", "refuses RS256"),
            mutant("jwks-ps256-refused", "refuses PS256"),
            mutant("jwks-es256-refused", "refuses ES256"),
            mutant("jwks-rsa-2049", "refuses RSA keys of 2048 bits"),
            mutant("jwks-rsa-3-refused", "refuses the exponent 3"),
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
        mutants: &[mutant("jwks-15", "takes 15 keys at most")],
        ..WEAK
    },
    Case {
        id: "operators.201.jwks-members",
        cell: Cell::Service(201),
        requirement: "Members of a key that mean nothing here are dropped.",
        request: steps!(dropped),
        expect: plain(201),
        mutants: &[mutant("jwks-members-kept", "keeps every member of a key")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-17",
        requirement: "17 keys are too many.",
        section: "openapi.yaml, ClientJwks",
        request: steps!(refused_set, || json!({"keys": (0..17).map(|n| ed25519(&n.to_string())).collect::<Vec<_>>()})),
        mutants: &[mutant("jwks-unlimited", "takes any number of keys")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-empty",
        requirement: "A set without a key is refused.",
        section: "openapi.yaml, ClientJwks",
        request: steps!(refused_set, || json!({"keys": []})),
        mutants: &[mutant("jwks-empty-ok", "takes a set without a key")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-not-a-set",
        requirement: "jwks is an object with the array keys.",
        section: "openapi.yaml, ClientJwkSet; RFC 7517 section 5",
        request: steps!(refused_set, || ed25519("a")),
        mutants: &[mutant("jwks-any-json", "takes an object without keys for a set without a key")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-no-kid",
        requirement: "Each key needs a kid.",
        request: steps!(refused, &[|| without(ed25519("a"), "kid")]),
        mutants: &[mutant("jwks-kid-optional", "takes keys without a kid")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-kid-twice",
        requirement: "Each key needs a kid of its own.",
        section: "openapi.yaml, ClientJwks",
        request: steps!(refused_set, || json!({"keys": [ed25519("a"), ed25519("a")]})),
        mutants: &[mutant("jwks-kid-twice-ok", "takes two keys of one kid")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-no-alg",
        requirement: "Each key says its alg.",
        request: steps!(refused, &[|| without(ed25519("a"), "alg")]),
        mutants: &[mutant("jwks-alg-optional", "guesses the alg of a key")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-alg-unfit",
        requirement: "The alg of a key fits its kty.",
        request: steps!(
            refused,
            &[
                || with(ed25519("a"), "alg", "ES256"),
                || with(p256(), "alg", "RS256"),
                || with(rsa(RSA_2048, "AQAB"), "alg", "EdDSA")
            ]
        ),
        mutants: &[mutant("jwks-alg-unbound", "takes any alg with any key")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-oct",
        requirement: "A symmetric key is refused.",
        request: steps!(
            refused,
            &[
                || json!({"kty": "oct", "kid": "a", "alg": "HS256", "k": ED25519}),
                || json!({"kty": "oct", "kid": "a", "alg": "HS256"})
            ]
        ),
        mutants: &[mutant("jwks-oct-ok", "takes symmetric keys")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-private",
        requirement: "A key with a private member is refused: d, p, q, dp, dq, qi, oth, k.",
        section: "openapi.yaml, ClientJwk; RFC 7518 section 6",
        request: steps!(private),
        mutants: &[
            mutant("jwks-private-ok", "drops private members, and takes the key"),
            mutant("jwks-d-ok", "does not look for d"),
            mutant("jwks-oth-ok", "does not look for oth"),
            mutant("jwks-k-ok", "does not look for k"),
        ],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-rsa-2047",
        requirement: "RSA under 2048 bits is refused.",
        section: "openapi.yaml, ClientJwk; RFC 7518 section 3.3",
        request: steps!(refused, &[|| rsa(RSA_2047, "AQAB")]),
        mutants: &[
            mutant("jwks-rsa-1024-ok", "takes RSA keys of 1024 bits"),
            mutant("jwks-rsa-in-bytes", "counts the bytes of an RSA key"),
        ],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-rsa-even",
        requirement: "An even RSA exponent is refused.",
        request: steps!(refused, &[|| rsa(RSA_2048, "AQAA")]),
        mutants: &[mutant("jwks-rsa-even-ok", "takes an even exponent")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-rsa-1",
        requirement: "The RSA exponent 1 is refused: every signature would be valid.",
        request: steps!(refused, &[|| rsa(RSA_2048, "AQ"), || rsa(RSA_2048, "AAAB")]),
        mutants: &[mutant("jwks-rsa-1-ok", "takes the exponent 1")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-small-order",
        requirement: "An Ed25519 key of small order is refused: a signature for it needs no private key.",
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
        mutants: &[mutant("jwks-small-order-ok", "takes Ed25519 keys of small order")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-not-canonical",
        requirement: "An Ed25519 key that is not encoded canonically is refused.",
        section: "openapi.yaml, ClientJwk; RFC 8032 section 5.1.3",
        // The points with y of 3 and 18, written as y + p.
        request: steps!(
            refused,
            &[
                || okp("8P_______________________________________38"),
                || okp("_________________________________________38")
            ]
        ),
        mutants: &[mutant("jwks-not-canonical-ok", "takes a second encoding of an Ed25519 key")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-off-curve",
        requirement: "32 bytes that are no point of Ed25519 are refused.",
        section: "openapi.yaml, ClientJwk; RFC 8032 section 5.1.3",
        request: steps!(
            refused,
            &[
                || okp("AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
                || okp("BwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
            ]
        ),
        mutants: &[mutant("jwks-off-curve-ok", "takes any 32 bytes for an Ed25519 key")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-length",
        requirement: "An Ed25519 key of other than 32 bytes is refused.",
        section: "openapi.yaml, ClientJwk; RFC 8037 section 2",
        request: steps!(refused, &[|| okp("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ"), || okp("")]),
        mutants: &[mutant("jwks-any-length", "takes an Ed25519 key of any length")],
        ..WEAK
    },
    Case {
        id: "operators.400.jwks-p256-off-curve",
        requirement: "A point that is not on P-256 is refused.",
        section: "openapi.yaml, ClientJwk; RFC 7518 section 6.2.1",
        request: steps!(refused, &[|| with(p256(), "y", P256.0)]),
        mutants: &[mutant("jwks-p256-unchecked", "takes any 64 bytes for a key of P-256")],
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

/// Each of these keys alone.
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
        // No key's private half, but it stands where one would.
        key[member] = if member == "oth" { json!([]) } else { json!(ED25519) };
        let answer = registered(t, json!({"keys": [key]})).await?;
        t.expect(t.due, &answer)?;
        t.check(Also::Names("jwks"), &answer)?;
    }
    Ok(())
}
