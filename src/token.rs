//! The two tokens: a long-term one that only this service reads (`lt+jwt`, HS256), and a short-term one that other APIs
//! read too (`at+jwt`, EdDSA, RFC 9068). Neither can pass for the other: `typ` and keys differ.

use std::borrow::Cow;

use base64ct::{Base64UrlUnpadded, Encoding};
use chrono::{DateTime, Duration};
use jwt_compact::alg::Hs256;
use jwt_compact::{Algorithm, AlgorithmExt, AlgorithmSignature, Claims, Header, TimeOptions, UntrustedToken};
use serde::Serialize;

use crate::client::Consistency;
use crate::client::jwk::PublicJwk;
use crate::error::{Error, TokenFault, Unavailable};
use crate::keys::{USE_LONG, USE_SHORT};
use crate::request::{self, Call};
use crate::response::{Response, rfc_3339};
use crate::scope::Scopes;
use crate::settings::Settings;
use crate::token_id::{Kind, Random, TokenId};
use crate::value::{Members, readable};

/// How long a short-term token lives, seconds.
pub const SHORT_TTL: u64 = 900;

/// Signatures made by the runtime, which is faster than WASM.
#[allow(async_fn_in_trait, reason = "futures run on the runtime's one thread; none needs to be Send")]
pub trait Signatures {
    /// An Ed25519 signature (RFC 8032) with the first `at+jwt` key.
    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], Unavailable>;

    /// Whether `signature` is valid for `message` under `key`, by the algorithm that the key is bound to. An invalid
    /// key or malformed signature gives `false`.
    async fn verify(&self, key: &PublicJwk, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable>;
}

/// A token whose signature, kind, issuer and expiry have been checked, but not whether it was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Presented {
    pub kind: Kind,
    pub id: String,
    pub client_id: String,
    pub scopes: Scopes,
    pub issued_at: u64,
    /// When the client last authenticated with a credential, Unix seconds. Exchanges and rotations copy it.
    pub auth_time: u64,
    pub expires_at: u64,
    /// Of a short-term token: the id of the long-term token that it was exchanged from.
    pub parent: Option<String>,
    /// Of a short-term token: its `aud`.
    pub audience: Option<String>,
    /// Of a long-term token: what an exchange of it asks, the replica or the object.
    pub consistency: Consistency,
}

readable!(struct Presented {
    kind, id, client_id, scopes, issued_at, auth_time, expires_at, parent, audience, consistency,
});
readable!(struct Granted { now, auth_time, scopes, ttl, consistency });

/// The body of a 201.
#[derive(Debug, Serialize)]
pub struct TokenResponse<'a> {
    token_type: &'static str,
    pub access_token: String,
    expires_in: u64,
    expires_at: String,
    scopes: &'a Scopes,
    pub token_id: String,
}

/// What the client's object granted: the content of a new long-term token.
#[derive(Debug, Serialize)]
pub struct Granted {
    /// The object's clock: the token's `iat`, Unix seconds.
    pub now: u64,
    pub auth_time: u64,
    pub scopes: Scopes,
    /// Seconds.
    pub ttl: u64,
    pub consistency: Consistency,
}

/// The claims of both tokens. Those of RFC 9068, section 2.2, are set in short-term tokens only.
#[derive(Default, Serialize)]
struct TokenClaims<'a> {
    iss: Cow<'a, str>,
    sub: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<Cow<'a, str>>,
    jti: Cow<'a, str>,
    auth_time: u64,
    scope: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consistency: Option<Consistency>,
}

/// The token of an `Authorization: Bearer <token>` header (RFC 6750, section 2.1).
pub fn bearer(header: Option<&str>) -> Result<&str, TokenFault> {
    let header = header.ok_or(TokenFault::Missing)?;
    match request::single(header) {
        Some(header) => credentials(header).ok_or(TokenFault::NotBearer),
        None if header.split(',').any(|value| credentials(value.trim_start()).is_some()) => Err(TokenFault::Repeated),
        None => Err(TokenFault::NotBearer),
    }
}

fn credentials(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(token)
}

/// Checks the token in a call's `Authorization` header; see `authenticate`.
pub async fn caller(
    settings: &Settings,
    host: &impl Signatures,
    call: &Call,
    kinds: &[Kind],
) -> Result<Presented, Error> {
    let token = bearer(call.authorization.as_deref())?;
    authenticate(settings, host, token, kinds, call.now).await
}

/// Checks a token of any of `kinds`: signature, kind, issuer, expiry. Reads no storage.
pub async fn authenticate(
    settings: &Settings,
    host: &impl Signatures,
    token: &str,
    kinds: &[Kind],
    now: u64,
) -> Result<Presented, Error> {
    let untrusted = UntrustedToken::<Members>::try_from(token).map_err(|_| TokenFault::Foreign)?;
    let header = untrusted.header();
    let kind = match (header.token_type.as_deref(), untrusted.algorithm()) {
        (Some(USE_LONG), "HS256") => Kind::Long,
        (Some(USE_SHORT), "EdDSA") => Kind::Short,
        _ => return Err(TokenFault::Foreign.into()),
    };
    if !kinds.contains(&kind) {
        return Err(TokenFault::WrongKind.into());
    }
    let kid = header.key_id.as_deref().ok_or(TokenFault::Foreign)?;
    let presented = match kind {
        Kind::Long => {
            let key = settings.keys.long.iter().find(|key| key.kid == kid).ok_or(TokenFault::Foreign)?;
            let token = Hs256.validator(&key.key).validate(&untrusted).map_err(|_| TokenFault::Foreign)?;
            present(&settings.issuer, kind, token.into_parts().1)
        }
        Kind::Short => {
            let key = settings.keys.short.iter().find(|key| key.public.kid == kid).ok_or(TokenFault::Foreign)?;
            let (message, _) = token.rsplit_once('.').ok_or(TokenFault::Foreign)?;
            if !host.verify(&key.public, message.as_bytes(), untrusted.signature_bytes()).await? {
                return Err(TokenFault::Foreign.into());
            }
            let claims = untrusted.deserialize_claims_unchecked().map_err(|_| TokenFault::Foreign)?;
            present(&settings.issuer, kind, claims)
        }
    };
    let presented = presented.ok_or(TokenFault::Foreign)?;
    presented.check_end(now)?;
    Ok(presented)
}

fn present(issuer: &str, kind: Kind, claims: Claims<Members>) -> Option<Presented> {
    let mut custom = claims.custom;
    if custom.read::<String>("iss")? != issuer {
        return None;
    }
    let (parent, audience) = match kind {
        Kind::Long => (None, None),
        Kind::Short => {
            custom.read::<String>("client_id")?;
            (Some(custom.read("parent")?), Some(custom.read("aud")?))
        }
    };
    Some(Presented {
        kind,
        id: custom.read("jti")?,
        client_id: custom.read("sub")?,
        scopes: Scopes::parse_claim(&custom.read::<String>("scope")?).ok()?,
        issued_at: seconds(claims.issued_at)?,
        auth_time: custom.read("auth_time")?,
        expires_at: seconds(claims.expiration)?,
        parent,
        audience,
        consistency: custom.read::<Option<_>>("consistency")?.unwrap_or(Consistency::Eventual),
    })
}

fn seconds(time: Option<DateTime<chrono::Utc>>) -> Option<u64> {
    u64::try_from(time?.timestamp()).ok()
}

impl Presented {
    /// Fails if the token has expired.
    pub fn check_end(&self, now: u64) -> Result<(), TokenFault> {
        if self.expires_at <= now { Err(TokenFault::Expired) } else { Ok(()) }
    }
}

/// Makes the long-term token that the client's object granted.
pub fn mint_long<'a>(
    settings: &Settings,
    client_id: &str,
    granted: &'a Granted,
    random: Random,
) -> Result<TokenResponse<'a>, Error> {
    let keys = &settings.keys;
    let Granted { now, auth_time, scopes, ttl, consistency } = granted;
    let expires_at = now + ttl;
    let id = TokenId::mint(keys.token_id.first(), Kind::Long, client_id, expires_at, random);
    let custom = TokenClaims {
        iss: settings.issuer.as_str().into(),
        sub: client_id.into(),
        jti: id.as_str().into(),
        auth_time: *auth_time,
        scope: scopes.to_string().into(),
        consistency: Some(*consistency).filter(|consistency| *consistency == Consistency::Immediate),
        ..TokenClaims::default()
    };
    let key = keys.long.first();
    let token = Hs256
        .token(&header(USE_LONG, &key.kid), &timed(custom, *ttl, *now)?, &key.key)
        .map_err(|error| unsigned(&error))?;
    Ok(response(token, id, scopes, *ttl, expires_at))
}

/// Makes a short-term token from a long-term one. It expires after `SHORT_TTL`, but no later than `latest_end`.
pub async fn mint_short<'a>(
    settings: &Settings,
    host: &impl Signatures,
    parent: &Presented,
    scopes: &'a Scopes,
    latest_end: u64,
    now: u64,
    random: Random,
) -> Result<TokenResponse<'a>, Error> {
    let keys = &settings.keys;
    let expires_at = (now + SHORT_TTL).min(latest_end);
    let ttl = expires_at.saturating_sub(now);
    let id = TokenId::mint(keys.token_id.first(), Kind::Short, &parent.client_id, expires_at, random);
    let client_id = Cow::Borrowed(parent.client_id.as_str());
    let custom = TokenClaims {
        iss: settings.issuer.as_str().into(),
        sub: client_id.clone(),
        client_id: Some(client_id),
        aud: Some(settings.audience.as_str().into()),
        jti: id.as_str().into(),
        auth_time: parent.auth_time,
        scope: scopes.to_string().into(),
        parent: Some(parent.id.as_str().into()),
        consistency: None,
    };
    let key = keys.short.first();
    let mut token = Unsigned
        .token(&header(USE_SHORT, &key.public.kid), &timed(custom, ttl, now)?, &())
        .map_err(|error| unsigned(&error))?;
    // `token` ends with the dot that precedes the signature; the signing input excludes that dot (RFC 7515, section
    // 5.1).
    let signature = host.sign(token.trim_end_matches('.').as_bytes()).await?;
    token.push_str(&Base64UrlUnpadded::encode_string(&signature));
    Ok(response(token, id, scopes, ttl, expires_at))
}

/// Signs a JWT that is not a token (the feed), with the key of short-term tokens.
pub async fn sign_text(settings: &Settings, host: &impl Signatures, typ: &str, payload: &str) -> Result<String, Error> {
    let kid = serde_json::to_string(&settings.keys.short.first().public.kid).unwrap_or_default();
    let header = format!(r#"{{"alg":"EdDSA","typ":"{typ}","kid":{kid}}}"#);
    let [header, payload] = [header.as_bytes(), payload.as_bytes()].map(Base64UrlUnpadded::encode_string);
    let mut text = format!("{header}.{payload}");
    let signature = host.sign(text.as_bytes()).await?;
    text = text + "." + &Base64UrlUnpadded::encode_string(&signature);
    Ok(text)
}

/// Warm-up: runs an exchange with an expired dummy token, so that V8 compiles that path before the first request. It
/// needs no storage.
pub async fn warm_up(settings: &Settings, host: &impl Signatures) -> Option<Response> {
    let (client_id, random) = ("", Random::default());
    let scopes = Scopes::parse_claim("tokens:write").ok()?;
    let granted = Granted { now: 0, auth_time: 0, scopes, ttl: 1, consistency: Consistency::Eventual };
    let minted = mint_long(settings, client_id, &granted, random).ok()?;
    let long = authenticate(settings, host, &minted.access_token, &[Kind::Long], 0).await.ok()?;
    let short = mint_short(settings, host, &long, &long.scopes, long.expires_at, 0, random).await.ok()?;
    Some(Response::json(201, &short))
}

fn header(typ: &str, kid: &str) -> Header {
    Header::empty().with_token_type(typ).with_key_id(kid)
}

fn timed<T>(custom: T, ttl: u64, now: u64) -> Result<Claims<T>, Error> {
    let time = |seconds: u64| i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let (Some(issued), Ok(ttl)) = (time(now), i64::try_from(ttl)) else {
        return Err(unsigned(&"the clock is out of range"));
    };
    let options = TimeOptions::new(Duration::zero(), || issued);
    Ok(Claims::new(custom).set_duration_and_issuance(&options, Duration::seconds(ttl)))
}

fn unsigned(problem: &dyn core::fmt::Display) -> Error {
    Unavailable::new("signing", problem.to_string()).into()
}

fn response(access_token: String, id: TokenId, scopes: &Scopes, expires_in: u64, expires_at: u64) -> TokenResponse<'_> {
    TokenResponse {
        token_type: "Bearer",
        access_token,
        expires_in,
        expires_at: rfc_3339(expires_at),
        scopes,
        token_id: id.into_string(),
    }
}

/// Serializes an EdDSA token up to the dot before its signature. The host signs it: the runtime's Ed25519 is
/// asynchronous, so it can't implement `Algorithm`.
struct Unsigned;

struct NoSignature;

impl AlgorithmSignature for NoSignature {
    fn try_from_slice(_: &[u8]) -> anyhow::Result<Self> {
        Ok(Self)
    }

    fn as_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&[])
    }
}

impl Algorithm for Unsigned {
    type SigningKey = ();
    type VerifyingKey = ();
    type Signature = NoSignature;

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("EdDSA")
    }

    fn sign(&self, (): &(), _: &[u8]) -> NoSignature {
        NoSignature
    }

    fn verify_signature(&self, _: &NoSignature, (): &(), _: &[u8]) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_headers() {
        assert_eq!(bearer(Some("Bearer a.b.c")), Ok("a.b.c"));
        assert_eq!(bearer(Some("bearer  a.b.c")), Ok("a.b.c"));
        assert_eq!(bearer(None), Err(TokenFault::Missing));
        for header in
            ["", "Bearer", "Bearer ", "Bearer  ", "Basic a", "a.b.c", "Bearera.b.c", "Digest a=\"b\", c=\"d\"", ","]
        {
            assert_eq!(bearer(Some(header)), Err(TokenFault::NotBearer), "{header:?}");
        }
        assert_eq!(bearer(Some("Bearer a.b.c, Bearer a.b.c")), Ok("a.b.c"));
        for header in
            ["Bearer a.b.c, Bearer a.b.d", "Bearer a.b.c, bearer a.b.c", "Bearer a.b.c,", "Bearer a.b.c, Basic eA"]
        {
            assert_eq!(bearer(Some(header)), Err(TokenFault::Repeated), "{header:?}");
        }
    }

    #[test]
    fn an_unsigned_token_verifies_nowhere() {
        let token = Unsigned.token(&header(USE_SHORT, "k"), &Claims::empty(), &()).unwrap();
        assert!(token.ends_with('.') && token.matches('.').count() == 2);
        let untrusted = UntrustedToken::new(&token).unwrap();
        assert!(Unsigned.validator::<jwt_compact::Empty>(&()).validate(&untrusted).is_err());
    }
}
