//! Which public keys a client may register: RFC 7517, RFC 7518 section 6, RFC 8037, and checks for weak keys.

use super::super::state::Reference;
use crate::jose::unb64;
use ring::agreement::{self, ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey};
use ring::rand::SystemRandom;
use serde_json::{Map, Value, json};

const KEPT: [&str; 8] = ["kid", "alg", "kty", "crv", "x", "y", "n", "e"];
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The set as it is stored, or what is wrong with it.
pub fn read(by: &Reference, set: &Value) -> Result<Value, String> {
    if by.on("jwks-any-json") && set.as_object().is_none_or(|set| !set.contains_key("keys")) {
        return Ok(json!({"keys": []}));
    }
    let keys = set["keys"].as_array().ok_or("must be a JWK Set: an object with the array keys")?;
    let most = match by.fault {
        Some("jwks-15") => 15,
        Some("jwks-unlimited") => usize::MAX,
        _ => 16,
    };
    if keys.len() > most || (keys.is_empty() && !by.on("jwks-empty-ok")) {
        return Err("must hold 1 to 16 keys".to_owned());
    }
    let mut all: Vec<Value> = Vec::new();
    for (at, key) in keys.iter().enumerate() {
        let kept = key_of(by, key).map_err(|problem| format!("has a fault in key {at}: {problem}"))?;
        if all.iter().any(|other| other["kid"] == kept["kid"]) && !by.on("jwks-kid-twice-ok") {
            return Err(format!("has a fault in key {at}: its kid is a repeat; give each key its own"));
        }
        all.push(kept);
    }
    Ok(json!({"keys": all}))
}

fn key_of(by: &Reference, key: &Value) -> Result<Value, &'static str> {
    let members = key.as_object().ok_or("it is not an object")?;
    let private = members.keys().find(|name| PRIVATE.contains(&name.as_str()));
    if private.is_some_and(|name| !by.on(&format!("jwks-{name}-ok")) && !by.on("jwks-private-ok")) {
        return Err("it has a private member; send only the public key");
    }
    let kept: Map<String, Value> = members
        .iter()
        .filter(|(name, _)| KEPT.contains(&name.as_str()) || by.on("jwks-members-kept"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let text = |name: &str| kept.get(name).and_then(Value::as_str).unwrap_or_default();
    let bytes = |name: &str| unb64(text(name)).unwrap_or_default();
    if text("kid").is_empty() && !by.on("jwks-kid-optional") {
        return Err("its kid is missing");
    }
    let alg = match text("alg") {
        "" if by.on("jwks-alg-optional") => "EdDSA",
        alg => alg,
    };
    match (alg, text("kty"), text("crv")) {
        ("EdDSA", "OKP", "Ed25519") => ed25519(by, &bytes("x")),
        ("ES256", "EC", "P-256") => p256(by, bytes("x"), bytes("y")),
        ("RS256" | "PS256", "RSA", "") => rsa(by, &bytes("n"), &bytes("e")),
        ("EdDSA", "OKP", "X25519") if by.on("jwks-x25519-ok") => Ok(()),
        (_, "EC", "P-256") if by.on("jwks-alg-unknown-ok") => Ok(()),
        ("HS256", "oct", _) if by.on("jwks-oct-ok") => Ok(()),
        (_, "OKP" | "EC" | "RSA", _) if by.on("jwks-alg-unbound") => Ok(()),
        _ => Err("its alg, kty and crv do not match"),
    }?;
    let refused = [("RS256", "jwks-rs256-refused"), ("PS256", "jwks-ps256-refused"), ("ES256", "jwks-es256-refused")];
    if refused.iter().any(|(name, fault)| alg == *name && by.on(fault)) {
        return Err("its alg is unknown");
    }
    Ok(Value::Object(kept))
}

fn ed25519(by: &Reference, x: &[u8]) -> Result<(), &'static str> {
    let Ok(point) = <[u8; 32]>::try_from(x) else {
        return if by.on("jwks-any-length") { Ok(()) } else { Err("its x must be 32 bytes") };
    };
    let mut y = point;
    y[31] &= 0x7f;
    let beyond = y[31] == 0x7f && y[1..31].iter().all(|byte| *byte == 0xff) && y[0] >= 0xed;
    let y = field(&y);
    let squared = times(&y, &y);
    let (one, a, b) = (small(1), small(121_665), small(121_666));
    // On the curve (RFC 8032 section 5.1): -x² + y² = 1 - (121665/121666) x² y², so x² is (y² - 1) / (d y² + 1).
    let (above, below) = (minus(&squared, &one), minus(&b, &times(&a, &squared)));
    let lies_on = is_square(&times(&times(&above, &below), &b));
    let weak = [
        small(0),
        small(1),
        minus(&small(0), &small(1)),
        // The two y of points of order 8.
        field(&unb64("JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU").and_then(|y| y.try_into().ok()).unwrap_or([0; 32])),
        field(&unb64("xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o").and_then(|y| y.try_into().ok()).unwrap_or([0; 32])),
    ];
    let weak = weak.iter().any(|other| reduced(other) == reduced(&y));
    match () {
        () if beyond && !weak && !by.on("jwks-not-canonical-ok") => Err("its x is not a canonical encoding"),
        () if weak && !by.on("jwks-small-order-ok") => Err("its x is a point of small order"),
        () if !lies_on && !by.on("jwks-off-curve-ok") => Err("its x is not a point of the curve"),
        () => Ok(()),
    }
}

/// A key agreement checks whether the other point is on the curve.
fn p256(by: &Reference, x: Vec<u8>, y: Vec<u8>) -> Result<(), &'static str> {
    let own = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new())
        .map_err(|_| "the system provides no randomness")?;
    let point = [vec![4], x, y].concat();
    let agreed = agreement::agree_ephemeral(own, &UnparsedPublicKey::new(&ECDH_P256, point), |_| ());
    if agreed.is_ok() || by.on("jwks-p256-unchecked") { Ok(()) } else { Err("its point is not on the curve") }
}

fn rsa(by: &Reference, n: &[u8], e: &[u8]) -> Result<(), &'static str> {
    let n: Vec<u8> = n.iter().copied().skip_while(|byte| *byte == 0).collect();
    let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
    let least = match by.fault {
        Some("jwks-rsa-1024-ok") => 1024,
        Some("jwks-rsa-in-bytes") => 2041,
        Some("jwks-rsa-2049") => 2049,
        _ => 2048,
    };
    if bits < least {
        return Err("an RSA key must have 2048 bits or more");
    }
    let odd = e.last().is_some_and(|byte| byte & 1 == 1) || by.on("jwks-rsa-even-ok");
    let least = match by.fault {
        Some("jwks-rsa-1-ok") => 1,
        Some("jwks-rsa-3-refused") => 65_537,
        _ => 3,
    };
    let value = e.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    if odd && e.len() <= 4 && value >= least { Ok(()) } else { Err("its e must be odd, at least 3, and fit 32 bits") }
}

// ---- numbers modulo 2^255 - 19, in 16 digits of 16 bits; digits may exceed 16 bits until they are carried

type Field = [i64; 16];

fn field(bytes: &[u8; 32]) -> Field {
    std::array::from_fn(|at| i64::from(u16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]])))
}

fn small(value: u32) -> Field {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&value.to_le_bytes());
    field(&bytes)
}

/// 2^256 is 38.
fn carried(mut value: Field) -> Field {
    for _ in 0..4 {
        for at in 0..16 {
            let over = value[at] >> 16;
            value[at] -= over << 16;
            let (to, times) = if at == 15 { (0, 38) } else { (at + 1, 1) };
            value[to] += over * times;
        }
    }
    value
}

fn minus(a: &Field, b: &Field) -> Field {
    carried(std::array::from_fn(|at| a[at] - b[at]))
}

fn times(a: &Field, b: &Field) -> Field {
    let mut all = [0; 16];
    for (i, a) in a.iter().enumerate() {
        for (j, b) in b.iter().enumerate() {
            let over = if i + j > 15 { 38 } else { 1 };
            all[(i + j) % 16] += a * b * over;
        }
    }
    carried(all)
}

/// The unique representation of a number, below 2^255 - 19.
fn reduced(value: &Field) -> Field {
    let prime: Field = std::array::from_fn(|at| match at {
        0 => 0xffed,
        15 => 0x7fff,
        _ => 0xffff,
    });
    let mut value = carried(*value);
    while value.iter().rev().ge(prime.iter().rev()) {
        let mut borrowed = 0;
        for (own, prime) in value.iter_mut().zip(prime) {
            *own -= prime + borrowed;
            borrowed = i64::from(*own < 0);
            *own += borrowed << 16;
        }
    }
    value
}

/// Euler's criterion: x to the power of (p - 1) / 2 = 2^254 - 10 is one. Zero is a square too.
fn is_square(value: &Field) -> bool {
    let mut power = small(1);
    for bit in (0..254).rev() {
        power = times(&power, &power);
        // 2^254 - 10 in binary: ones, and 0110 at the end.
        if bit > 3 || bit == 2 || bit == 1 {
            power = times(&power, value);
        }
    }
    [small(0), small(1)].iter().any(|square| reduced(&power) == *square)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_points_of_the_curve_are_accepted() {
        // The values of y from 0 to 18 that are on Ed25519, computed in Python as in RFC 8032.
        let on = [0, 1, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18];
        for y in 0..19 {
            let squared = times(&small(y), &small(y));
            let below = minus(&small(121_666), &times(&small(121_665), &squared));
            let all = times(&times(&minus(&squared, &small(1)), &below), &small(121_666));
            assert_eq!(is_square(&all), on.contains(&y), "y = {y}");
        }
    }
}
