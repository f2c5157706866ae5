//! Keys, clients and everything that they send. All of it is made afresh for each run, and forgotten after it.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, ensure};
use auth_edge::client::{ClientRecord, Mechanism, RECORD_VERSION, Status, StoredSecret};
use auth_edge::keys::{JwkSet, KeySet, PublicJwk};
use auth_edge::otp::{self, SEED_LENGTH};
use auth_edge::request::MAX_TTL;
use auth_edge::scope::Scopes;
use auth_edge::secret::Secret;
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::json;

pub const LONG_PATH: &str = "/v1/auth/tokens/long";
pub const SHORT_PATH: &str = "/v1/auth/tokens/short";
pub const ISSUER: &str = "https://auth.example.com";
pub const AUDIENCE: &str = "https://api.example.com";
/// How many clients send assertions in turn: each has a Durable Object of its own.
const CALLERS: usize = 16;
/// How many clients have one token each. The worker keeps at most 1024 values of a namespace, so that even with half of
/// them going round nothing is left of a client or its token when its turn comes again.
pub const SINGLES: usize = 4096;
const SCOPES: [&str; 3] = ["jobs:*", "templates:*", "tokens:*"];

/// The algorithms of the assertions that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    EdDsa,
    Es256,
    Rs256,
}

pub struct Credentials {
    /// The worker's secret, which the peer shares.
    pub auth_keys: String,
    key_set: KeySet,
    secret: String,
    stored_secret: StoredSecret,
    ed25519: Ed25519KeyPair,
    p256: EcdsaKeyPair,
    rsa: RsaKeyPair,
    random: SystemRandom,
    made: u64,
}

/// Requests, and the clients that must be in the registry before they are sent.
#[derive(Default)]
pub struct Batch {
    pub requests: Vec<Vec<u8>>,
    /// Requests that go ahead of these, and are not measured.
    pub before: Vec<Vec<u8>>,
    pub clients: Vec<(String, String)>,
}

impl Credentials {
    /// `node` makes the RSA key, which `ring` can use but not make.
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
        let auth_keys = json!({ "keys": keys }).to_string();
        let key_set = KeySet::parse(&auth_keys).map_err(|error| anyhow!("the key set {error}"))?;
        let secret = format!("aecs_{}", base64(&random::<32>()?));
        let random_source = SystemRandom::new();
        let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random_source)
            .map_err(|error| anyhow!("a P-256 key: {error}"))?;
        Ok(Self {
            auth_keys,
            key_set,
            stored_secret: StoredSecret::new("bench", &Secret::new(secret.as_str()), random()?, None),
            secret,
            ed25519: ed25519(&random::<32>()?)?,
            p256: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, p256.as_ref(), &random_source)
                .map_err(|error| anyhow!("a P-256 key: {error}"))?,
            rsa: rsa(node)?,
            random: random_source,
            made: 0,
        })
    }

    /// The clients that are there from the start: pairs for the registry.
    pub fn clients(&self) -> Result<Vec<(String, String)>> {
        let names = (0..CALLERS).map(caller).chain((0..SINGLES).map(single));
        names.map(|client_id| self.client(&client_id, None)).collect()
    }

    fn client(&self, client_id: &str, totp: Option<String>) -> Result<(String, String)> {
        let record = ClientRecord {
            version: RECORD_VERSION,
            client_id: client_id.to_owned(),
            status: Status::Active,
            scopes: Scopes::parse(SCOPES).map_err(|error| anyhow!("scopes: {error}"))?,
            mechanisms: Mechanism::ALL.to_vec(),
            max_ttl_seconds: MAX_TTL,
            tokens_valid_from: 0,
            secrets: vec![self.stored_secret.clone()],
            totp,
            jwks: self.jwks()?,
        };
        Ok((client_id.to_owned(), serde_json::to_string(&record)?))
    }

    fn jwks(&self) -> Result<JwkSet<PublicJwk>> {
        let point = self.p256.public_key().as_ref();
        let rsa = PublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
        let keys = json!({"keys": [
            {"kid": "ed25519", "alg": "EdDSA", "kty": "OKP", "crv": "Ed25519", "x": base64(self.ed25519.public_key().as_ref())},
            {"kid": "p256", "alg": "ES256", "kty": "EC", "crv": "P-256", "x": base64(&point[1..33]), "y": base64(&point[33..])},
            {"kid": "rsa", "alg": "RS256", "kty": "RSA", "n": base64(&rsa.n), "e": base64(&rsa.e)},
        ]});
        Ok(serde_json::from_value(keys)?)
    }

    /// A long-term token by the client's secret.
    pub fn by_secret(&self, client_id: &str) -> Vec<u8> {
        let body = json!({"grant_type": "client_credentials", "client_id": client_id, "client_secret": self.secret});
        long(client_id, &body.to_string())
    }

    /// A client for each code, since a code works once. The code of the step before goes ahead, so that what is measured
    /// is not the making of a Durable Object.
    pub fn by_code(&mut self, count: usize) -> Result<Batch> {
        let mut batch = Batch::default();
        let step = now()? / otp::STEP;
        for _ in 0..count {
            self.made += 1;
            let client_id = format!("c2m_bench_code_{}", self.made);
            let seed = random::<SEED_LENGTH>()?;
            let sealed = self.key_set.seal(&client_id, &Secret::new(seed), random()?).context("can't seal a seed")?;
            // Both are good for half a minute at least, however late in its step this is.
            for (step, requests) in [(step, &mut batch.before), (step + 1, &mut batch.requests)] {
                let code = String::from_utf8(otp::code(&seed, step).to_vec())?;
                let body = json!({"grant_type": "client_credentials", "client_id": client_id, "otp_code": code});
                requests.push(long(&client_id, &body.to_string()));
            }
            batch.clients.push(self.client(&client_id, Some(sealed))?);
        }
        Ok(batch)
    }

    /// An assertion for each request, since it works once.
    pub fn by_assertion(&mut self, algorithm: Algorithm, count: usize) -> Result<Batch> {
        let mut batch = Batch::default();
        let now = now()?;
        for nth in 0..count {
            self.made += 1;
            let client_id = caller(nth % CALLERS);
            let claims = json!({"iss": client_id, "sub": client_id, "aud": ISSUER, "iat": now, "exp": now + 300,
                "jti": format!("{}-{}", self.made, base64(&random::<16>()?))});
            let body = json!({"grant_type": "assertion", "client_id": client_id,
                "assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "assertion": self.jwt(algorithm, &claims)?});
            batch.requests.push(long(&client_id, &body.to_string()));
        }
        Ok(batch)
    }

    fn jwt(&self, algorithm: Algorithm, claims: &serde_json::Value) -> Result<String> {
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

/// An exchange.
pub fn exchange(token: &str) -> Vec<u8> {
    bearer(SHORT_PATH, token, r#"{"scopes":["jobs:submit","tokens:write"]}"#)
}

pub fn revoke(token: &str, token_id: &str) -> Vec<u8> {
    bearer(&format!("/v1/auth/tokens/{token_id}/revoke"), token, "")
}

pub fn rotate(token: &str) -> Vec<u8> {
    let body = json!({"grant_type": "client_credentials", "client_id": caller(0)});
    bearer(LONG_PATH, token, &body.to_string())
}

/// The same request, its token with a signature that is none.
pub fn forged(request: Vec<u8>) -> Result<Vec<u8>> {
    let request = String::from_utf8(request)?;
    let (head, rest) = request.split_once("Bearer ").context("a request without a token")?;
    let at = rest.find("\r\n").and_then(|end| rest[..end].rfind('.')).context("a token without a signature")? + 1;
    let other = if rest[at..].starts_with('A') { 'B' } else { 'A' };
    Ok(format!("{head}Bearer {}{other}{}", &rest[..at], &rest[at + 1..]).into_bytes())
}

/// What has the length of a token, and nothing else of one.
pub fn garbage() -> Result<String> {
    Ok(base64(&random::<320>()?))
}

pub fn caller(nth: usize) -> String {
    format!("c2m_bench_caller_{nth}")
}

/// A client that has one token.
pub fn single(nth: usize) -> String {
    format!("c2m_bench_single_{nth}")
}

fn long(client_id: &str, body: &str) -> Vec<u8> {
    post(LONG_PATH, &format!("X-Client-Id: {client_id}\r\n"), body)
}

fn bearer(path: &str, token: &str, body: &str) -> Vec<u8> {
    post(path, &format!("Authorization: Bearer {token}\r\n"), body)
}

pub fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{kind}{headers}Content-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

pub fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

fn base64(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("this machine gives no randomness: {error}"))?;
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
