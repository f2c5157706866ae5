//! The identities of a selftest, made on the fly: the same people as the reference's records and as the harness's file.

use super::reference::state::{BURST_CLIENT, ClientRecord};
use crate::identities::Role;
use crate::jose::b64;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::json;

/// The registry's records, and the TOML text of the identities file.
pub fn make() -> Option<(Vec<ClientRecord>, String)> {
    let mut records = Vec::new();
    let mut file = String::new();
    for role in Role::ALL {
        let name = role.name();
        let mut letters = name.to_owned();
        letters[..1].make_ascii_uppercase();
        let id = if role == Role::Burst { BURST_CLIENT.to_owned() } else { format!("ref_{letters}") };
        let (secret, totp, seed) = (random::<32>()?, random::<20>()?, random::<32>()?);
        let secret = format!("sec_{}", b64(secret));
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).ok()?;
        let public = pair.public_key().as_ref().to_vec();
        let kid = format!("key-{name}");
        let jwk =
            json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "d": b64(seed), "x": b64(&public)});
        let scopes: &[&str] = match role {
            Role::Valid | Role::Immediate => &["jobs:*", "templates:*", "tokens:*"],
            Role::Operator => &["clients:*", "tokens:*"],
            Role::Reader => &["tokens:introspect", "clients:read"],
            Role::Narrow => &["jobs:submit", "tokens:revoke"],
            Role::Other => &["tokens:*"],
            _ => &["jobs:submit"],
        };
        let max_ttl = (role == Role::Narrow).then_some(86_400);
        file += &format!(
            "[{name}]\nclient_id = \"{id}\"\nclient_secret = \"{secret}\"\ntotp_secret = \"{}\"\nassertion_jwk = '{jwk}'\n\
             scopes = {scopes:?}\n",
            base32(&totp)
        );
        if let Some(most) = max_ttl {
            file += &format!("max_ttl_seconds = {most}\n");
        }
        records.push(ClientRecord {
            id,
            secret,
            totp: totp.to_vec(),
            otp_allowed: role != Role::NoOtp,
            kid,
            public,
            scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
            max_ttl,
            suspended: role == Role::Suspended,
            valid_from: 0,
        });
    }
    Some((records, file))
}

fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}

fn base32(bytes: &[u8]) -> String {
    let mut out = String::new();
    for group in bytes.chunks(5) {
        let bits = group.iter().chain(&[0; 5]).take(5).fold(0u64, |n, b| n << 8 | u64::from(*b));
        for i in 0..(group.len() * 8).div_ceil(5) {
            let value = (bits >> (35 - 5 * i) & 31) as usize;
            out.push(char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[value]));
        }
    }
    out
}
