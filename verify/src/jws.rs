//! A JWS in compact serialization (RFC 7515, section 7.1): what is parsed before its signature is checked.

use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::SIGNATURE_LENGTH;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::Error;
use crate::json;

/// The longest token that is parsed, bytes. auth-edge's tokens are under 1 KiB with a handful of scopes, and under 14
/// KiB with the most that it issues: 64 scopes of 128 characters.
pub const MAX_TOKEN_LENGTH: usize = 16_384;

pub struct Jws<'t> {
    pub kid: String,
    /// Header and payload with the dot between them, which the signature covers.
    pub signed: &'t str,
    pub signature: [u8; SIGNATURE_LENGTH],
    payload: &'t str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default, deserialize_with = "json::present")]
    typ: Option<String>,
    #[serde(default, deserialize_with = "json::present")]
    kid: Option<String>,
    #[serde(default, deserialize_with = "json::present")]
    crit: Option<IgnoredAny>,
}

impl<'t> Jws<'t> {
    /// `typ` is the required type, without `application/`.
    pub fn parse(text: &'t [u8], typ: &str, max_length: usize) -> Result<Self, Error> {
        if text.len() > max_length {
            return Err(Error::TooLong);
        }
        let text = core::str::from_utf8(text).map_err(|_| Error::Malformed)?;
        let (signed, signature) = text.rsplit_once('.').ok_or(Error::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Error::Malformed)?;
        if payload.contains('.') {
            return Err(Error::Malformed);
        }
        let header: Header = json::object(&decode(header)?).ok_or(Error::Header)?;
        if header.crit.is_some() {
            return Err(Error::Critical);
        }
        if !header.typ.is_some_and(|found| is_kind(&found, typ)) {
            return Err(Error::Kind);
        }
        if header.alg != "EdDSA" {
            return Err(Error::Algorithm);
        }
        let kid = header.kid.ok_or(Error::UnknownKey)?;
        let signature = decode(signature)?.try_into().map_err(|_| Error::Malformed)?;
        Ok(Self { kid, signed, signature, payload })
    }

    /// The payload. Not to be trusted before the signature has been checked.
    pub fn payload(&self) -> Result<Vec<u8>, Error> {
        decode(self.payload)
    }
}

/// Compares `typ` as RFC 9068, section 4, says: media types are case-insensitive, and `application/` may be left out
/// (RFC 7515, section 4.1.9).
fn is_kind(found: &str, typ: &str) -> bool {
    let (prefix, rest) = found.split_at_checked("application/".len()).unwrap_or(("", found));
    found.eq_ignore_ascii_case(typ) || prefix.eq_ignore_ascii_case("application/") && rest.eq_ignore_ascii_case(typ)
}

/// Refuses padding, other alphabets and non-zero trailing bits, so that a token has only one encoding.
fn decode(base64url: &str) -> Result<Vec<u8>, Error> {
    Base64UrlUnpadded::decode_vec(base64url).map_err(|_| Error::Malformed)
}
