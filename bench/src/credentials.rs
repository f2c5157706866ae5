//! Keys, tokens and requests, generated for each run.

use std::fmt::Write;
use std::iter::repeat_n;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, ensure};
use auth_edge::client::replica::Replica;
use auth_edge::client::{Client, Consistency, Mechanism, Operator, StoredSecret};
use auth_edge::scope::Scopes;
use auth_edge::secret::Secret;
use auth_edge::settings::Settings;
use auth_edge::token::{Granted, mint_long};
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

const LONG_PATH: &str = "/v1/auth/tokens/long";
pub const SHORT_PATH: &str = "/v1/auth/tokens/short";
pub const ISSUER: &str = "https://auth.example.com";
pub const AUDIENCE: &str = "https://api.example.com";
pub const OPERATOR: &str = "c2m_bench_operator";
/// How many clients have one token each. The Worker caches at most 1024 replicas, so even if only half of these clients
/// take turns, a client's replica has been dropped before its next turn.
pub const SINGLES: usize = 4096;
pub const SCOPES: [&str; 3] = ["jobs:*", "templates:*", "tokens:*"];
pub const JSON: &str = "Content-Type: application/json\r\n";
const DAY: u64 = 86_400;

/// The measured assertion algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    EdDsa,
    Es256,
    Rs256,
}

pub struct Credentials {
    /// The Worker's settings. The peer shares its keys.
    pub vars: Vec<(String, String)>,
    settings: Settings,
    /// The secret of the operator, and of the peer's clients.
    pub secret: String,
    stored_secret: StoredSecret,
    ed25519: Ed25519KeyPair,
    p256: EcdsaKeyPair,
    rsa: RsaKeyPair,
    random: SystemRandom,
    made: u64,
}

impl Credentials {
    /// `node` generates the RSA key, which `ring` can't.
    pub fn new(node: &Path) -> Result<Self> {
        let seed = random::<32>()?;
        let ed25519 =
            |seed: &[u8]| Ed25519KeyPair::from_seed_unchecked(seed).map_err(|error| anyhow!("an Ed25519 key: {error}"));
        let oct = |key_use: &str, alg: &str| {
            anyhow::Ok(json!({"kty": "oct", "use": key_use, "kid": key_use, "alg": alg, "k": base64(&random::<32>()?)}))
        };
        let short = json!({"kty": "OKP", "crv": "Ed25519", "use": "at+jwt", "kid": "at+jwt", "alg": "EdDSA",
            "x": base64(ed25519(&seed)?.public_key().as_ref()), "d": base64(&seed)});
        let keys = [oct("lt+jwt", "HS256")?, short, oct("token-id", "HS256")?, oct("totp-seal", "XC20P")?];
        let secret = base64(&random::<32>()?);
        let stored_secret = StoredSecret::new("bench", &Secret::new(secret.as_str()), random()?, 0);
        let operator = Operator {
            client_id: OPERATOR.to_owned(),
            created_at: 0,
            scopes: scopes(&["clients:write"])?,
            mechanisms: vec![Mechanism::Secret],
            secrets: vec![stored_secret.clone()],
            jwks: None,
        };
        let vars = [
            ("AUTH_KEYS", json!({ "keys": keys }).to_string()),
            ("OPERATOR", serde_json::to_string(&operator)?),
            ("ISSUER", ISSUER.to_owned()),
            ("AUDIENCE", AUDIENCE.to_owned()),
        ];
        let setting = |name: &str| vars.iter().find(|(var, _)| *var == name).map(|(_, value)| value.clone());
        let settings = Settings::read(|name| Ok(setting(name))).map_err(|error| anyhow!("settings: {error:?}"))?;
        let random_source = SystemRandom::new();
        let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random_source)
            .map_err(|error| anyhow!("a P-256 key: {error}"))?;
        Ok(Self {
            vars: vars.map(|(name, value)| (name.to_owned(), value)).into(),
            settings,
            secret,
            stored_secret,
            ed25519: ed25519(&random::<32>()?)?,
            p256: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, p256.as_ref(), &random_source)
                .map_err(|error| anyhow!("a P-256 key: {error}"))?,
            rsa: rsa(node)?,
            random: random_source,
            made: 0,
        })
    }

    /// A client's record in the peer's format.
    pub fn peer_record(&self) -> Result<String> {
        let mut client = Client::new("peer", scopes(&SCOPES)?, 0);
        client.secrets.push(self.stored_secret.clone());
        Ok(serde_json::to_string(&client)?)
    }

    /// The public keys of the clients that send assertions.
    pub fn jwks(&self) -> Value {
        let point = self.p256.public_key().as_ref();
        let rsa = PublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
        json!({"keys": [
            {"kid": "ed25519", "alg": "EdDSA", "kty": "OKP", "crv": "Ed25519", "x": base64(self.ed25519.public_key().as_ref())},
            {"kid": "p256", "alg": "ES256", "kty": "EC", "crv": "P-256", "x": base64(&point[1..33]), "y": base64(&point[33..])},
            {"kid": "rsa", "alg": "RS256", "kty": "RSA", "n": base64(&rsa.n), "e": base64(&rsa.e)},
        ]})
    }

    /// A long-term token of an `eventual` client that has only a replica, no object.
    pub fn long_token(&self, client_id: &str) -> Result<String> {
        let (now, scopes) = (now()?, scopes(&SCOPES)?);
        let granted = Granted { now, auth_time: now, scopes, ttl: DAY, consistency: Consistency::Eventual };
        let minted = mint_long(&self.settings, client_id, &granted, random()?);
        Ok(minted.map_err(|error| anyhow!("a token: {error:?}"))?.access_token)
    }

    /// A single-use assertion.
    pub fn by_assertion(&mut self, algorithm: Algorithm, client_id: &str) -> Result<Vec<u8>> {
        self.made += 1;
        let now = now()?;
        let claims = json!({"iss": client_id, "sub": client_id, "aud": ISSUER, "iat": now, "exp": now + 300,
            "jti": format!("{}-{}", self.made, base64(&random::<16>()?))});
        let body = json!({"grant_type": "assertion", "client_id": client_id,
            "assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "assertion": self.jwt(algorithm, &claims)?});
        Ok(long(client_id, &body))
    }

    fn jwt(&self, algorithm: Algorithm, claims: &Value) -> Result<String> {
        let (kid, alg) = match algorithm {
            Algorithm::EdDsa => ("ed25519", "EdDSA"),
            Algorithm::Es256 => ("p256", "ES256"),
            Algorithm::Rs256 => ("rsa", "RS256"),
        };
        let header = json!({"alg": alg, "kid": kid, "typ": "JWT"}).to_string();
        let mut jwt = format!("{}.{}", base64(header.as_bytes()), base64(claims.to_string().as_bytes()));
        let signature = match algorithm {
            Algorithm::EdDsa => self.ed25519.sign(jwt.as_bytes()).as_ref().to_vec(),
            Algorithm::Es256 => {
                let signature = self.p256.sign(&self.random, jwt.as_bytes());
                signature.map_err(|error| anyhow!("ES256: {error}"))?.as_ref().to_vec()
            }
            Algorithm::Rs256 => {
                let mut signature = vec![0; self.rsa.public().modulus_len()];
                let signed = self.rsa.sign(&RSA_PKCS1_SHA256, &self.random, jwt.as_bytes(), &mut signature);
                signed.map_err(|error| anyhow!("RS256: {error}"))?;
                signature
            }
        };
        write!(jwt, ".{}", base64(&signature))?;
        Ok(jwt)
    }
}

/// The replica of an active client with this many early ends, all in the future.
pub fn replica(ends: usize) -> Result<String> {
    let client = Client::new("any", scopes(&SCOPES)?, 0);
    let ids: Vec<String> =
        (0..ends).map(|_| Ok(format!("tok_lt_{}", base64(&random::<33>()?)))).collect::<Result<_>>()?;
    Ok(Replica::new(&client, ids.iter().map(String::as_str).zip(repeat_n(now()? + DAY, ends))).to_json())
}

fn scopes(list: &[&str]) -> Result<Scopes> {
    Scopes::parse(list.iter().copied()).map_err(|error| anyhow!("scopes: {error}"))
}

/// A request for a long-term token, with the client's secret.
pub fn by_secret(client_id: &str, secret: &str) -> Vec<u8> {
    long(client_id, &json!({"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}))
}

pub fn by_code(client_id: &str, code: &str) -> Vec<u8> {
    long(client_id, &json!({"grant_type": "client_credentials", "client_id": client_id, "otp_code": code}))
}

pub fn rotate(client_id: &str, token: &str) -> Vec<u8> {
    bearer(LONG_PATH, token, &json!({"grant_type": "client_credentials", "client_id": client_id}).to_string())
}

/// An exchange.
pub fn exchange(path: &str, token: &str) -> Vec<u8> {
    bearer(path, token, r#"{"scopes":["jobs:submit","tokens:write"]}"#)
}

/// An exchange for all scopes of the token.
pub fn exchange_all(token: &str) -> Vec<u8> {
    bearer(SHORT_PATH, token, "")
}

pub fn revoke(token: &str, token_id: &str) -> Vec<u8> {
    bearer(&format!("/v1/auth/tokens/{token_id}/revoke"), token, "")
}

pub fn create(token: &str, body: &Value) -> Vec<u8> {
    bearer("/v1/clients", token, &body.to_string())
}

pub fn introspect(caller: &str, token: &str) -> Vec<u8> {
    let headers = format!("Authorization: Bearer {caller}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
    post("/v1/auth/tokens/introspect", &headers, &format!("token={token}"))
}

/// The same request with an invalid signature in its token.
pub fn forged(request: Vec<u8>) -> Result<Vec<u8>> {
    let request = String::from_utf8(request)?;
    let (head, rest) = request.split_once("Bearer ").context("a request without a token")?;
    let at = rest.find("\r\n").and_then(|end| rest[..end].rfind('.')).context("a token without a signature")? + 1;
    let other = if rest[at..].starts_with('A') { 'B' } else { 'A' };
    Ok(format!("{head}Bearer {}{other}{}", &rest[..at], &rest[at + 1..]).into_bytes())
}

/// Random text with the length of a token.
pub fn garbage() -> Result<String> {
    Ok(base64(&random::<320>()?))
}

/// The id of a client with one token and no object.
pub fn single(nth: usize) -> String {
    format!("c2m_bench_single_{nth}")
}

/// The same for the peer.
pub fn peer_single(nth: usize) -> String {
    format!("p2m_bench_single_{nth}")
}

fn long(client_id: &str, body: &Value) -> Vec<u8> {
    post(LONG_PATH, &format!("X-Client-Id: {client_id}\r\n{JSON}"), &body.to_string())
}

fn bearer(path: &str, token: &str, body: &str) -> Vec<u8> {
    let kind = if body.is_empty() { "" } else { JSON };
    post(path, &format!("Authorization: Bearer {token}\r\n{kind}"), body)
}

pub fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// A read of the KV service.
pub fn get(key: &str) -> Vec<u8> {
    format!("GET /{key} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").into_bytes()
}

pub fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

fn base64(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("the operating system returned no random bytes: {error}"))?;
    Ok(bytes)
}

fn rsa(node: &Path) -> Result<RsaKeyPair> {
    let script = "console.log(require('crypto').generateKeyPairSync('rsa', { modulusLength: 2048, \
        publicKeyEncoding: { type: 'spki', format: 'der' }, privateKeyEncoding: { type: 'pkcs8', format: 'der' } })\
        .privateKey.toString('base64'))";
    let output = Command::new(node).args(["-e", script]).output().context("can't run node")?;
    ensure!(output.status.success(), "node did not make an RSA key: {}", String::from_utf8_lossy(&output.stderr));
    let der = Base64::decode_vec(str::from_utf8(&output.stdout)?.trim()).map_err(|error| anyhow!("RSA: {error}"))?;
    RsaKeyPair::from_pkcs8(&der).map_err(|error| anyhow!("RSA: {error}"))
}
