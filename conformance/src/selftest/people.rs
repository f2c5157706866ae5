//! The identities of a selftest, generated for each run: as records of the reference server and as the harness's file.

use super::reference::state::{BURST_CLIENT, ClientRecord, Secret};
use crate::identities::Role;
use crate::jose::{PrivateKey, b64};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

/// An RSA key of 2048 bits, made only for these tests, for the cases that need a key type with two algorithms. It is
/// fixed, because `ring` can't generate RSA keys.
const RSA: [(&str, &str); 8] = [
    ("e", "AQAB"),
    (
        "n",
        concat!(
            "qkx7S5twM44EgqBQJi3_z-oqGf0fAJdeONU1hAQ6JXBTp96xoGNmQ13HNv5xPDvIsDl8B_yTVRtGAwJf-4mh2DHCFgK6DDhc1GIi",
            "nKIm-Q8Prj5dOL_22CjLCpvrgZJR5Nk73jIEdMc7CzeG3ZCWpYL2v8Pg0pvQirsrobNPgSa3T3mG-hDpkmrUhbxDkfJfrwhnpRTg",
            "3AZDM4fY4FxKy7qgCTIBJfHlsQ5dLuV3QHO0GBQp0PboQdwk4qdZ0EYNRp6PeqI3mGKQKj7KLAUcCPxGxFREABQRtAE7T83G59wv",
            "8hz3czapXblRmpBUQVt7plDdAs-48cZICJauvY88Mw",
        ),
    ),
    (
        "d",
        concat!(
            "J6NBl2mIhhdqKVVTEm_meOhSAFaQHr0cqzHFEQNC3W_1qL8GrQQ1yzxKoBw9Ev3_SjU3D0zUphyBATZOTOfOCdobCLB9yVZdFPn6",
            "gGall5bP2YiefhUASXPFPqTn_fKmqRN_Acq2is_MiGHWPD_pMID5Gc1nyN2HfqLuFub7fF27VegQd5tUKsuflIrbXNHnXelCraJ7",
            "X_oC_i1XoDpY4cTksd4WRafwC8gAvJ2C1WRELmfwD89xXJ9AKD7Lf76A5pT5UqZesiaojn0UajkaDxQty4UyegRipcVjcxtmhqMY",
            "GUe9mNRQz-8Glq4l82I7w0PeodTPmxtltKpCK4l74Q",
        ),
    ),
    (
        "p",
        concat!(
            "1kBs9RgAzinXNQcWEKjY0ayvn_-YONg5iyVjyWrDqTR4dhegeExmhLTXeyhLo2jQt-qIHODZD5fhWSjoYKo-ihiRhuWfIWUIGVLR",
            "w0sZhM597Lr9pAiepLOj4H37wUFIWfXt4KbAXdxzaNGDcmcs9jdyknIwO3E4Q8e2aobKyIk",
        ),
    ),
    (
        "q",
        concat!(
            "y3uKiGxaoAWHquduhCSoCO1bsKxH-daqQ9mjvqz6lra_BIobr4VcKG7WglryC6VN57EnP0GNst5l2t8wQmDVyrjgsiACflgM_AIP",
            "Oy88RrP-p-mJI-PgN-YmWthIv11yH9JdXETCqUgDk4Bv2s-9a-6fbQHym0aSO27k6wBud9s",
        ),
    ),
    (
        "dp",
        concat!(
            "HjDX6bWnL2X_-G32MwTIAMvXt7EZrzDw8uWi6RgNWEOXkfSEXU9OxvaAws8L0YwMlU4MPh2FGMhrLdgw3qY-x9DseNjUkq0c9gyQ",
            "mHd1shwy7G_xG_NG_6h8uD6ogjQD0QFxss1soA1Xifa0EiPt1wg7Md27ZDTxG8QBtYMnAhk",
        ),
    ),
    (
        "dq",
        concat!(
            "V4Noj0faqhv2v0ANvfNt-XjsCE3wHrl-PPQrgmQu2gb6nF8xjQmUGyegRiwLEYskuFLuiDwPTzBrKfj3bnTrPebJbJJrwB7qZrAU",
            "EOY9zEK5cUn1W2Q0GJZ5RHTkxLjRznHRCU_hUKDSOOvyL29NDlBwbJd72eA-ICWPeqqS2CU",
        ),
    ),
    (
        "qi",
        concat!(
            "GnAfRLDdOFww2GhyhzNBoLrHCCgBRpyfETm0ERwsuoxiabYN0CCkCWxIf8tvySNz9A_sHCyUmjJd8-IJFAW3-YICPFBXUAjOec8l",
            "iR2rpcTPpNtUfpIlHbmtifwFvtSrDo6di4uQLFciIifLZqb8aoZ_mfXBfjJD10-9AZBEiw8",
        ),
    ),
];

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
    let mut jwk = json!({"kty": "RSA", "kid": kid, "alg": "RS256"});
    for (name, value) in RSA {
        jwk[name] = value.into();
    }
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
