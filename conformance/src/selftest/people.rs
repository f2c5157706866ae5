//! The identities of a selftest, generated for each run: as records of the reference server and as the harness's file.

use super::reference::state::{BURST_CLIENT, ClientRecord, Secret};
use crate::identities::Role;
use crate::jose::{PrivateKey, b64};
use crate::trial::known_keys;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

/// The reference server's records, and the TOML text of the identities file.
pub fn make() -> Option<(Vec<ClientRecord>, String)> {
    let mut records = Vec::new();
    let mut file = String::new();
    for role in Role::ALL {
        let name = role.name();
        let id = client_id(role);
        let (secret, totp, seed) = (random::<32>()?, random::<20>()?, random::<32>()?);
        let secret = format!("sec_{}", b64(secret));
        let kid = format!("key-{name}");
        let (alg, public, jwk) = match role {
            Role::NoOtp => rsa(&kid)?,
            _ => ed25519(&kid, seed)?,
        };
        let scopes = role.scopes();
        let max_ttl = (role == Role::Narrow).then_some(86_400);
        file += &format!(
            "[{name}]\nclient_id = \"{id}\"\nclient_secret = \"{secret}\"\ntotp_secret = \"{}\"\nassertion_jwk = '{jwk}'\n\
             scopes = {scopes:?}\n",
            base32(&totp)
        );
        if role == Role::Operator {
            file += "from_secret = true\n";
        }
        if let Some(most) = max_ttl {
            file += &format!("max_ttl_seconds = {most}\n");
        }
        records.push(ClientRecord {
            id,
            secrets: vec![Secret {
                id: format!("sec_{name}"),
                text: secret,
                created: 0,
                expires: None,
                shown_only: false,
            }],
            totp: totp.to_vec(),
            mechanisms: ["secret", "otp", "assertion", "rotation"]
                .into_iter()
                .filter(|mechanism| *mechanism != "otp" || role != Role::NoOtp)
                .map(str::to_owned)
                .collect(),
            kid,
            alg,
            jwks: json!({"keys": [public_form(&jwk)]}),
            public,
            name: None,
            region: None,
            immediate: [Role::Immediate, Role::Operator].contains(&role),
            scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
            max_ttl,
            suspended: role == Role::Suspended,
            valid_from: 0,
            created: 0,
            updated: 0,
            revision: 0,
            from_secret: role == Role::Operator,
        });
    }
    Some((records, file))
}

/// The public part of a JWK.
fn public_form(jwk: &Value) -> Value {
    let mut public = jwk.clone();
    if let Some(members) = public.as_object_mut() {
        members.retain(|name, _| ["kty", "crv", "kid", "alg", "x", "n", "e"].contains(&name.as_str()));
    }
    public
}

/// An algorithm, a public key and a private JWK.
type Key = (&'static str, Vec<u8>, Value);

fn ed25519(kid: &str, seed: [u8; 32]) -> Option<Key> {
    let public = Ed25519KeyPair::from_seed_unchecked(&seed).ok()?.public_key().as_ref().to_vec();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "d": b64(seed), "x": b64(&public)});
    Some(("EdDSA", public, jwk))
}

fn rsa(kid: &str) -> Option<Key> {
    let jwk = known_keys::rsa(kid, "RS256");
    let key = PrivateKey::from_jwk(&jwk.to_string()).ok()?;
    let (_, public) = key.public_forms().into_iter().next()?;
    Some(("RS256", public, jwk))
}

fn client_id(role: Role) -> String {
    let mut letters = role.name().to_owned();
    letters[..1].make_ascii_uppercase();
    if role == Role::Burst { BURST_CLIENT.to_owned() } else { format!("ref_{letters}") }
}

/// The client id of each role.
pub fn ids() -> impl Iterator<Item = (Role, String)> {
    Role::ALL.into_iter().map(|role| (role, client_id(role)))
}

fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}

pub fn base32(bytes: &[u8]) -> String {
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
