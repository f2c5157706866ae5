//! Operators' calls for the cases about them. The case judges the answer.

use crate::ask::{GRANTED, Want};
use crate::clock;
use crate::endpoint::{self, CLIENTS, LONG};
use crate::http::{Answer, Request};
use crate::identities::{Credential, Role};
use crate::jose::{self, PrivateKey};
use crate::stop::Stop;
use crate::totp;
use crate::trial::Trial;
use crate::trial::draft::{self, CLIENT_ASSERTION};
use crate::trial::known_keys;
use crate::trial::mint::Token;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// The seconds of a TOTP step during which its code is the current one even on a clock that differs a little.
const CALM: std::ops::Range<u64> = 3..22;

/// A client that a case created; the clean-up deletes it.
#[derive(Debug, Clone)]
pub struct Client {
    pub id: String,
    /// The path of the operators' calls for it.
    pub path: String,
    /// The body of the 201, with the secrets that are shown once.
    pub shown: Value,
    pub etag: String,
}

impl Client {
    pub fn secret(&self) -> Result<&str, Stop> {
        self.text("client_secret")
    }

    pub fn secret_id(&self) -> Result<&str, Stop> {
        let id = self.shown["secrets"][0]["secret_id"].as_str();
        id.ok_or_else(|| Stop::Blocked("the 201 for the new client has no secret_id".to_owned()))
    }

    pub fn text(&self, member: &str) -> Result<&str, Stop> {
        let text = self.shown[member].as_str();
        text.ok_or_else(|| Stop::Blocked(format!("the 201 for the new client has no {member}")))
    }

    pub fn time(&self, member: &str) -> Result<u64, Stop> {
        let time = clock::parse_rfc3339(self.text(member)?);
        time.ok_or_else(|| Stop::Blocked(format!("the new client's {member} is not an RFC 3339 time in UTC")))
    }

    pub fn below(&self, rest: &str) -> String {
        format!("{}/{rest}", self.path)
    }
}

/// A valid body of `POST /clients` with a new id. The client is immediate, so that its exchanges need no waiting.
pub fn newcomer(t: &Trial<'_>) -> Value {
    let id = format!("conformance-{}", t.unique());
    t.run.vault.open(&id);
    json!({
        "client_id": id, "client_name": "conformance", "scopes": ["jobs:submit"], "mechanisms": ["secret"],
        "consistency": "immediate", "max_ttl_seconds": 3600,
    })
}

/// The client shared by cases that change nothing.
#[derive(Default)]
struct Bystander(Mutex<Option<Result<Client, Stop>>>);

/// A private key with its public JWK.
pub struct Signer {
    pub key: PrivateKey,
    pub jwk: Value,
}

impl Signer {
    fn of(private: &Value) -> Result<Self, Stop> {
        let key = PrivateKey::from_jwk(&private.to_string()).map_err(|problem| failed(&problem))?;
        Ok(Self { jwk: key.public().clone(), key })
    }
}

impl Trial<'_> {
    pub async fn bystander(&self) -> Result<Client, Stop> {
        let shared = self.run.memory::<Bystander>();
        let mut shared = shared.0.lock().await;
        if let Some(known) = &*shared {
            return known.clone();
        }
        let made = self.client_with(json!({})).await;
        if !matches!(made, Err(Stop::Error(_))) {
            *shared = Some(made.clone());
        }
        made
    }

    /// A client for this case alone: `newcomer` with these members; null removes one.
    pub async fn client_with(&self, members: Value) -> Result<Client, Stop> {
        let mut body = newcomer(self);
        merge(&mut body, members);
        let answer = self.operate("POST", CLIENTS, Some(body), 201).await?;
        self.client_in(&answer)
    }

    /// The client in a 201.
    pub fn client_in(&self, answer: &Answer) -> Result<Client, Stop> {
        let shown = answer.json().unwrap_or_default();
        let id = shown["client_id"].as_str().map(str::to_owned);
        let id = id.ok_or_else(|| Stop::fail("a client with client_id", self.summary(answer)))?;
        self.run.vault.open(&id);
        let etag = answer.header("etag").unwrap_or_default().to_owned();
        Ok(Client { path: endpoint::client_path(&id), id, shown, etag })
    }

    /// A call with the operator's token. Returns any answer.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<Answer, Stop> {
        let operator = self.shared(Role::Operator, "short").await?;
        self.call_by(&operator.token, method, path, body).await
    }

    pub async fn call_by(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Result<Answer, Stop> {
        self.send(&call(token, method, path, body)).await
    }

    /// The same with `If-Match`.
    pub async fn call_if(&self, etag: &str, method: &str, path: &str, body: Option<Value>) -> Result<Answer, Stop> {
        let operator = self.shared(Role::Operator, "short").await?;
        let mut request = call(&operator.token, method, path, body);
        request.set("if-match", etag);
        self.send(&request).await
    }

    /// Reads the client: its members and its ETag.
    pub async fn show(&self, client: &Client) -> Result<(Value, String), Stop> {
        let answer = self.operate("GET", &client.path, None, 200).await?;
        Ok((answer.json().unwrap_or_default(), answer.header("etag").unwrap_or_default().to_owned()))
    }

    pub fn equal(&self, what: &str, wanted: &Value, got: &Value) -> Result<(), Stop> {
        if wanted == got {
            return Ok(());
        }
        Err(Stop::fail(format!("{what} {wanted}"), format!("{what} {got}")))
    }

    /// The operator's id, if it is known to be the client of the secret `OPERATOR`.
    pub fn operator_of_secret(&self) -> Result<String, Stop> {
        let id = self.setting(Role::Operator, Credential::ClientId)?;
        match self.run.identities.role(Role::Operator).is_some_and(|operator| operator.from_secret) {
            true => Ok(id),
            false => Err(Stop::Blocked(
                "only the client of the secret OPERATOR can do this: if role operator is that client, set from_secret to true in \
                 [operator] of the identities file"
                    .to_owned(),
            )),
        }
    }

    /// Another operator, with a short-term token that may read and write clients.
    pub async fn other_operator(&self) -> Result<(Client, Token), Stop> {
        self.operator_of_secret()?;
        let client = self.client_with(json!({"scopes": ["clients:*"]})).await?;
        let long = self.mint_long_as(&client.id, client.secret()?, &["clients:*"]).await?;
        Ok((client, self.mint_short(&long, &["clients:*"]).await?))
    }

    // ---- a client's own calls

    pub async fn tokens_of(&self, client: &Client, scopes: &[&str]) -> Result<(Token, Token), Stop> {
        let long = self.mint_long_as(&client.id, client.secret()?, scopes).await?;
        let short = self.mint_short(&long, scopes).await?;
        Ok((long, short))
    }

    /// `POST /auth/tokens/long`. Returns any answer.
    pub async fn log_in(&self, client: &Client, credential: Value) -> Result<Answer, Stop> {
        let mut body = json!({"grant_type": "client_credentials", "client_id": client.id, "ttl_seconds": 3600});
        merge(&mut body, credential);
        let mut request = endpoint::post(LONG, None, Some(body));
        request.set("x-client-id", client.id.as_str());
        self.send(&request).await
    }

    pub async fn log_in_by_secret(&self, client: &Client, secret: &str, want: Want) -> Result<(), Stop> {
        let answer = self.log_in(client, json!({"client_secret": secret})).await?;
        self.expect(want, &answer)
    }

    pub async fn log_in_by_code(&self, client: &Client, seed: &str, step: u64, want: Want) -> Result<(), Stop> {
        let key = totp::base32(seed).ok_or_else(|| Stop::fail("a totp_secret in base32", "another text"))?;
        let code = self.secret("GUEST_OTP_CODE", totp::code(&key, step));
        let answer = self.log_in(client, json!({"otp_code": code})).await?;
        self.expect(want, &answer)
    }

    /// The header and claims of a fresh assertion of the client.
    pub fn assertion_parts_of(&self, client: &Client, alg: &str, kid: &str) -> (Value, Value) {
        let now = self.run.clock.now();
        let claims = json!({
            "iss": client.id, "sub": client.id, "aud": self.run.client.url(LONG), "iat": now, "exp": now + 120,
            "jti": self.unique(),
        });
        (json!({"alg": alg, "kid": kid, "typ": "JWT"}), claims)
    }

    /// The members of a body with an assertion.
    pub fn by_assertion(&self, assertion: String) -> Value {
        let assertion = self.secret("GUEST_ASSERTION", assertion);
        json!({"grant_type": "assertion", "assertion_type": CLIENT_ASSERTION, "assertion": assertion})
    }

    /// The members of a body with a fresh assertion of the client.
    pub fn assertion_of(&self, client: &Client, signer: &Signer) -> Result<Value, Stop> {
        let (header, claims) = self.assertion_parts_of(client, &signer.key.alg, &signer.key.kid);
        Ok(self.by_assertion(draft::sign(&signer.key, &header, &claims)?))
    }

    pub async fn log_in_by_assertion(&self, client: &Client, signer: &Signer, want: Want) -> Result<(), Stop> {
        let answer = self.log_in(client, self.assertion_of(client, signer)?).await?;
        self.expect(want, &answer)
    }

    /// The current TOTP step, early enough in it that its code stays valid for some seconds.
    pub async fn calm_step(&self) -> Result<u64, Stop> {
        let now = self.run.clock.now();
        if !CALM.contains(&(now % totp::STEP_SECONDS)) {
            let next = (totp::step_at(now) + 1) * totp::STEP_SECONDS + CALM.start;
            self.run.wait_until(next).await?;
        }
        Ok(totp::step_at(self.run.clock.now()))
    }

    pub async fn exchange_is(&self, long: &Token, want: Want) -> Result<(), Stop> {
        let answer = self.send(&endpoint::exchange(&long.token)).await?;
        self.expect(want, &answer)
    }

    pub async fn exchanges(&self, long: &Token) -> Result<(), Stop> {
        self.exchange_is(long, GRANTED).await
    }

    /// A known key for ES256, RS256 or PS256.
    pub fn known_signer(&self, alg: &str, kid: &str) -> Result<Signer, Stop> {
        Signer::of(&if alg == "ES256" { known_keys::p256(kid) } else { known_keys::rsa(kid, alg) })
    }

    /// A fresh Ed25519 key.
    pub fn signer(&self, kid: &str) -> Result<Signer, Stop> {
        let mut seed = [0; 32];
        SystemRandom::new()
            .fill(&mut seed)
            .map_err(|_| failed("the operating system's random number generator failed"))?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| failed("the seed does not fit"))?;
        let x = jose::b64(pair.public_key().as_ref());
        let d = self.secret("GUEST_KEY", jose::b64(seed));
        Signer::of(&json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "x": x, "d": d}))
    }
}

fn failed(what: &str) -> Stop {
    Stop::Error(format!("no key could be made: {what}"))
}

/// A call with a token, and a body if there is one.
pub fn call(token: &str, method: &str, path: &str, body: Option<Value>) -> Request {
    let mut request = endpoint::post(path, Some(token), body);
    request.method = method.to_owned();
    request
}

/// A merge patch (RFC 7396) on the first level: null removes a member.
fn merge(body: &mut Value, members: Value) {
    let (Some(body), Value::Object(members)) = (body.as_object_mut(), members) else { return };
    for (name, value) in members {
        match value {
            Value::Null => body.remove(&name),
            value => body.insert(name, value),
        };
    }
}
