//! Signed assertions (RFC 7523): a JWT that the client signed with a key whose public half is in its record.

use base64ct::{Base64UrlUnpadded, Encoding};
use jwt_compact::{Claims, UntrustedToken};
use sha2::{Digest, Sha256};

use crate::client::jwk::{Algorithm, PublicJwk};
use crate::error::Unavailable;
use crate::settings::Settings;
use crate::value::{Members, Read, Value};

/// How far `exp` may lie ahead, seconds.
const LONGEST_LIFE: i64 = 600;
/// How far `iat` and `nbf` may lie ahead of this clock, seconds.
const LEEWAY: i64 = 60;

/// An assertion whose signature and claims are valid. Whether its `jti` was used before is still to be checked.
#[derive(Debug, PartialEq, Eq)]
pub struct Genuine {
    /// The key that signed it.
    pub key: PublicJwk,
    pub jti_digest: String,
    /// Until when `jti_digest` must be remembered, Unix seconds.
    pub until: u64,
}

/// Header members that extend JWS (RFC 7515, section 4.1.11; RFC 7797). No extension is supported, so an assertion with
/// one is refused.
const EXTENSIONS: [&str; 2] = ["crit", "b64"];

/// Checks an assertion against the client's keys. Returns `None` if it is refused: callers are not told why. For an
/// unknown `kid` a signature is verified too, against a stand-in key, so that both take the same time. `verify` is
/// `token::Signatures::verify`.
pub async fn check(
    settings: &Settings,
    verify: impl AsyncFnOnce(&PublicJwk, &[u8], &[u8]) -> Result<bool, Unavailable>,
    client_id: &str,
    keys: &[PublicJwk],
    assertion: &str,
    origin: &str,
    now: u64,
) -> Result<Option<Genuine>, Unavailable> {
    let Ok(untrusted) = UntrustedToken::<Members>::try_from(assertion) else { return Ok(None) };
    let Some((message, _)) = assertion.rsplit_once('.') else { return Ok(None) };
    let Some(algorithm) = Algorithm::parse(untrusted.algorithm()) else { return Ok(None) };

    // `kid` selects the key, and the key fixes the algorithm: the header's `alg` must match it.
    let kid = untrusted.header().key_id.as_deref();
    let key = keys.iter().find(|key| Some(key.kid.as_str()) == kid).filter(|key| key.algorithm() == Ok(algorithm));
    let stand_in = stand_in(algorithm);
    let signed = verify(key.unwrap_or(&stand_in), message.as_bytes(), untrusted.signature_bytes()).await?;

    let (true, Some(key)) = (signed, key) else { return Ok(None) };
    let others = &untrusted.header().other_fields;
    if EXTENSIONS.iter().any(|extension| others.contains(extension)) {
        return Ok(None);
    }
    let Ok(claims) = untrusted.deserialize_claims_unchecked() else { return Ok(None) };
    Ok(check_claims(settings, client_id, claims, key, origin, now))
}

fn check_claims(
    settings: &Settings,
    client_id: &str,
    mut claims: Claims<Members>,
    key: &PublicJwk,
    origin: &str,
    now: u64,
) -> Option<Genuine> {
    let custom = &mut claims.custom;
    let (iss, sub, jti): (String, String, String) = (custom.read("iss")?, custom.read("sub")?, custom.read("jti")?);
    // One string or an array of them (RFC 7519, section 4.1.3).
    let audiences = match custom.read("aud")? {
        Value::Array(audiences) => audiences.into_iter().map(String::read).collect::<Option<Vec<_>>>()?,
        audience => vec![String::read(audience)?],
    };
    let now = i64::try_from(now).ok()?;
    let exp = claims.expiration?.timestamp();
    let ahead = |time: Option<chrono::DateTime<chrono::Utc>>| time.is_some_and(|time| time.timestamp() > now + LEEWAY);
    let sound = iss == client_id
        && sub == client_id
        && audiences.iter().any(|audience| settings.is_assertion_audience(audience, origin))
        && exp > now
        && exp <= now + LONGEST_LIFE
        && !ahead(claims.issued_at)
        && !ahead(claims.not_before)
        && !jti.is_empty();
    let until = u64::try_from(exp + LEEWAY).ok()?;
    sound.then(|| Genuine {
        key: key.clone(),
        jti_digest: Base64UrlUnpadded::encode_string(&Sha256::digest(jti)),
        until,
    })
}

/// A key to verify against if the client has no matching one, so that the response time does not reveal that. The
/// result is ignored. The keys are the examples of RFC 8037 (appendix A.2) and RFC 7515 (appendices A.2 and A.3).
fn stand_in(algorithm: Algorithm) -> PublicJwk {
    let owned = |text: &str| Some(text.to_owned());
    let empty = PublicJwk {
        kid: String::new(),
        alg: algorithm.name().to_owned(),
        kty: String::new(),
        crv: None,
        x: None,
        y: None,
        n: None,
        e: None,
    };
    match algorithm {
        Algorithm::EdDsa => PublicJwk {
            kty: "OKP".to_owned(),
            crv: owned("Ed25519"),
            x: owned("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            ..empty
        },
        Algorithm::Es256 => PublicJwk {
            kty: "EC".to_owned(),
            crv: owned("P-256"),
            x: owned("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
            y: owned("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
            ..empty
        },
        Algorithm::Rs256 | Algorithm::Ps256 => PublicJwk {
            kty: "RSA".to_owned(),
            n: owned(concat!(
                "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR",
                "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB",
                "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia",
                "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
            )),
            e: owned("AQAB"),
            ..empty
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stand_in_fits_its_algorithm() {
        for algorithm in Algorithm::ALL {
            assert_eq!(stand_in(algorithm).algorithm(), Ok(algorithm));
        }
    }
}
