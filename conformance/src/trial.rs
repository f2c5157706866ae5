//! One case under way: what it may ask for, how an answer is held against what is due, and how it ends.

use crate::cases::{Act, Also, Case, Level, Op, Seen, Standing, Want};
use crate::draft;
use crate::http::{Answer, Broken, Request, human};
use crate::identities::{Credential, Role};
use crate::jose::PrivateKey;
use crate::result;
use crate::run::Run;
use crate::totp;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// Why a case ends before its last line.
#[derive(Debug, Clone)]
pub enum Stop {
    Fail {
        wanted: String,
        got: String,
    },
    /// It can't be told; what to do about that.
    Blocked(String),
    /// This deployment or identity has nothing that the case could be about.
    Absent(String),
    Error(String),
}

impl Stop {
    pub fn fail(wanted: impl Into<String>, got: impl Into<String>) -> Self {
        Self::Fail { wanted: wanted.into(), got: got.into() }
    }
}

/// A token in use.
#[derive(Debug, Clone)]
pub struct Token {
    pub id: String,
    pub token: String,
    /// Seconds.
    pub expires_in: u64,
    pub body: Value,
}

pub struct Trial<'a> {
    pub run: &'a Run,
    pub case: &'static Case,
    pub exchanges: RefCell<Vec<result::Exchange>>,
    /// The request that a reader should repeat: the last one, unless a step said otherwise.
    pub judged: RefCell<Option<Request>>,
    /// A standing promise broken by an answer of this case, whose own row is not part of the run.
    charged: RefCell<Option<Stop>>,
    /// Set while a step asks for a 429.
    pub expects_429: Cell<bool>,
}

impl<'a> Trial<'a> {
    pub fn new(run: &'a Run, case: &'static Case) -> Self {
        Self {
            run,
            case,
            exchanges: RefCell::default(),
            judged: RefCell::default(),
            charged: RefCell::default(),
            expects_429: Cell::new(false),
        }
    }

    pub async fn conduct(&self) -> Result<(), Stop> {
        match &self.case.act {
            Act::Ask { base, changes, want, also } => {
                let request = draft::build(self, *base, changes).await?;
                let answer = self.send(&request).await?;
                self.expect(*want, &answer)?;
                for check in *also {
                    self.check(*check, &answer)?;
                }
            }
            Act::Steps(step) => step(self).await?,
            Act::Standing(_) => {}
        }
        match self.charged.borrow_mut().take() {
            Some(stop) => Err(stop),
            None => Ok(()),
        }
    }

    // ---- what a request is made of

    pub fn setting(&self, role: Role, credential: Credential) -> Result<String, Stop> {
        let identity = self.run.identities.role(role);
        let value = identity.and_then(|i| match credential {
            Credential::ClientId => i.client_id.clone(),
            Credential::ClientSecret => i.client_secret.clone(),
            Credential::TotpSecret | Credential::AssertionJwk => None,
        });
        value.ok_or_else(|| Stop::Blocked(lacking(role, credential)))
    }

    pub fn key(&self, role: Role) -> Result<&'a PrivateKey, Stop> {
        let key = self.run.identities.role(role).and_then(|i| i.key.as_ref());
        key.ok_or_else(|| Stop::Blocked(lacking(role, Credential::AssertionJwk)))
    }

    pub fn unique(&self) -> String {
        self.run.unique()
    }

    /// Masked from now on.
    pub fn secret(&self, name: &str, value: String) -> String {
        self.run.vault.learn(name, &value);
        value
    }

    pub fn bearer(&self, token: &str) -> (String, String) {
        ("authorization".to_owned(), format!("Bearer {token}"))
    }

    // ---- sending

    pub async fn send(&self, request: &Request) -> Result<Answer, Stop> {
        *self.judged.borrow_mut() = Some(request.clone());
        let (outcome, exchange) = self.run.send(request).await?;
        self.exchanges.borrow_mut().push(exchange.clone());
        self.receive(request, outcome, &exchange)
    }

    /// As `send`, but the exchange is the caller's to keep or to drop: for one of very many.
    pub async fn send_one_of_many(&self, request: &Request) -> Result<(Result<Answer, Stop>, result::Exchange), Stop> {
        let (outcome, exchange) = self.run.send(request).await?;
        Ok((self.receive(request, outcome, &exchange), exchange))
    }

    /// What every answer goes through, whoever awaited it.
    fn receive(
        &self,
        request: &Request,
        outcome: Result<Answer, Broken>,
        exchange: &result::Exchange,
    ) -> Result<Answer, Stop> {
        let answer = outcome.map_err(|broken| match broken {
            Broken::Unreachable(why) => Stop::Error(why),
            Broken::Unfinished(why) | Broken::CutShort(why, _) => Stop::fail("a whole answer", why),
            Broken::Unsendable(why) => Stop::Blocked(format!("{why}; it holds what the server gave: see its 201")),
        })?;
        let op = operation(request);
        let seen = Seen { request, op, answer: &answer, now: self.run.clock.now() };
        if let Some((wanted, got)) = self.run.observe(self.case.id, &seen, exchange) {
            self.charged.borrow_mut().get_or_insert(Stop::fail(wanted, got));
        }
        if answer.status == 429 && !self.expects_429.get() {
            let again = answer.header("retry-after").unwrap_or("some");
            return Err(Stop::Blocked(format!(
                "answered 429 though nothing was rushed: run again after {again} seconds, or raise the deployment's limit"
            )));
        }
        Ok(answer)
    }

    /// The same request many times at once.
    pub async fn send_at_once(&self, request: &Request, times: usize) -> Result<Vec<Answer>, Stop> {
        let all = futures_util::future::join_all((0..times).map(|_| self.send(request))).await;
        all.into_iter().collect()
    }

    pub fn request(&self, path: &str, bearer: Option<&str>, body: Option<Value>) -> Request {
        let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
        headers.extend(bearer.map(|b| self.bearer(b)));
        if body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        let body = body.map(|b| b.to_string().into_bytes()).unwrap_or_default();
        Request { method: "POST".to_owned(), path: path.to_owned(), headers, body, chunked: false }
    }

    pub fn exchange_request(&self, long: &str) -> Request {
        self.request(draft::SHORT, Some(long), None)
    }

    pub fn revoke_request(&self, bearer: &str, id: &str) -> Request {
        self.request(&draft::revoke_path(id), Some(bearer), None)
    }

    pub fn rotate_request(&self, role: Role, short: &str, scopes: Option<&[&str]>) -> Result<Request, Stop> {
        let client_id = self.setting(role, Credential::ClientId)?;
        let mut body = json!({"grant_type": "client_credentials", "client_id": client_id, "ttl_seconds": 3600});
        if let Some(scopes) = scopes {
            body["scopes"] = json!(scopes);
        }
        let mut request = self.request(draft::LONG, Some(short), Some(body));
        request.set("x-client-id", client_id);
        Ok(request)
    }

    pub fn otp_request(&self, role: Role, code: &str) -> Result<Request, Stop> {
        let client_id = self.setting(role, Credential::ClientId)?;
        self.secret(&format!("{}_OTP_CODE", role.name().to_uppercase()), code.to_owned());
        let mut body = json!({
            "grant_type": "client_credentials", "client_id": client_id, "otp_code": code, "ttl_seconds": 3600,
        });
        if let Some(scope) = draft::one_scope(self, role) {
            body["scopes"] = json!([scope]);
        }
        let mut request = self.request(draft::LONG, None, Some(body));
        request.set("x-client-id", client_id);
        Ok(request)
    }

    // ---- tokens

    /// A long-term token of its own for this case, by client secret.
    pub async fn mint_long(&self, role: Role, scopes: &[&str]) -> Result<Token, Stop> {
        let client_id = self.setting(role, Credential::ClientId)?;
        let secret = self.setting(role, Credential::ClientSecret)?;
        self.mint_long_as(&client_id, &secret, scopes).await
    }

    pub async fn mint_long_as(&self, client_id: &str, secret: &str, scopes: &[&str]) -> Result<Token, Stop> {
        let body = json!({
            "grant_type": "client_credentials", "client_id": client_id, "client_secret": secret,
            "scopes": scopes, "ttl_seconds": 3600,
        });
        let mut request = self.request(draft::LONG, None, Some(body));
        request.set("x-client-id", client_id);
        self.mint(&request, "a long-term token", scopes).await
    }

    pub async fn mint_short(&self, long: &Token, scopes: &[&str]) -> Result<Token, Stop> {
        let body = Some(json!({"scopes": scopes}));
        self.mint(&self.request(draft::SHORT, Some(&long.token), body), "a short-term token", scopes).await
    }

    /// What a case needs before it starts; its own promise is another, so a refusal here blocks it.
    async fn mint(&self, request: &Request, what: &str, scopes: &[&str]) -> Result<Token, Stop> {
        let needed = |got: String| Stop::Blocked(format!("{what} was needed first: {got}"));
        let answer = match self.send(request).await {
            Err(Stop::Fail { got, .. }) => return Err(needed(got)),
            other => other?,
        };
        let token =
            token_in(&answer).ok_or_else(|| needed(format!("the server answered {}", self.summary(&answer))))?;
        if token.body["scopes"] != json!(scopes) && !scopes.is_empty() {
            return Err(needed(format!("scopes {} were asked for, {} granted", json!(scopes), token.body["scopes"])));
        }
        Ok(token)
    }

    /// A live token shared by the run: `long`, `spare` and `parent` with all that the role may have; `short` made from
    /// `long`, and `turn` from `parent`, which rotating retires.
    pub async fn shared(&self, role: Role, what: &str) -> Result<Token, Stop> {
        let slot = self.run.shared_slot(role, what);
        let mut slot = slot.lock().await;
        if let Some(known) = &*slot {
            return known.clone();
        }
        let all: &[&str] = match role {
            Role::Valid | Role::Immediate => &["jobs:*", "templates:*", "tokens:*"],
            Role::Operator => &["clients:*", "tokens:*"],
            Role::Reader => &["tokens:introspect"],
            Role::Narrow => &["jobs:submit", "tokens:revoke"],
            Role::Other => &["tokens:*"],
            _ => &["jobs:submit"],
        };
        let parent = match what {
            "short" => Some("long"),
            "turn" => Some("parent"),
            _ => None,
        };
        let minted = match parent {
            Some(parent) => match Box::pin(self.shared(role, parent)).await {
                Ok(long) => self.mint_short(&long, all).await,
                Err(stop) => Err(stop),
            },
            None => self.mint_long(role, all).await,
        };
        // Only what was decided stays: a case that was interrupted must not decide for the others.
        if !matches!(minted, Err(Stop::Error(_))) {
            *slot = Some(minted.clone());
        }
        minted
    }

    /// The deployment's own name, as its short-term tokens tell it.
    pub async fn issuer(&self) -> Result<String, Stop> {
        let short = self.shared(Role::Valid, "short").await?;
        let issuer = crate::jose::Jwt::read(&short.token).and_then(|jwt| jwt.claims["iss"].as_str().map(str::to_owned));
        issuer.ok_or_else(|| Stop::Blocked("the short-term token has no `iss` to take the issuer from".to_owned()))
    }

    /// A one-time code that no run has spent: waits for the next step when none is left.
    pub async fn unspent_step(&self, role: Role) -> Result<u64, Stop> {
        let (key, _) = self.totp(role)?;
        loop {
            let last = self.run.state.get(&key).unwrap_or_default().step;
            let now = self.run.clock.now();
            let current = totp::step_at(now);
            // The next step's code counts as drift; a server whose clock is a little behind must still know it.
            let settled = now % totp::STEP_SECONDS >= 3;
            let chosen =
                if current > last { Some(current) } else { (settled && current + 1 > last).then_some(current + 1) };
            if let Some(step) = chosen {
                self.run.state.update(&key, |s| s.step = step);
                return Ok(step);
            }
            let at = if settled { (last.max(current)) * totp::STEP_SECONDS } else { current * totp::STEP_SECONDS + 3 };
            let at = at.max(now + 1);
            self.run.say(&format!("{}: waiting {} s for an unspent one-time code", role.name(), at - now));
            self.run.wait_until(at).await?;
        }
    }

    pub fn code(&self, role: Role, step: u64) -> Result<String, Stop> {
        let (_, key) = self.totp(role)?;
        Ok(totp::code(key, step))
    }

    /// The state's key for the role's TOTP secret, and the secret.
    pub fn totp(&self, role: Role) -> Result<(String, &'a [u8]), Stop> {
        let client_id = self.setting(role, Credential::ClientId)?;
        let key = self.run.identities.role(role).and_then(|i| i.totp_key.as_deref());
        let key = key.ok_or_else(|| Stop::Blocked(lacking(role, Credential::TotpSecret)))?;
        Ok((crate::state::State::key(&self.run.client.url(""), &client_id, key), key))
    }

    // ---- judging

    pub fn summary(&self, answer: &Answer) -> String {
        self.run.summary(answer)
    }

    pub fn expect(&self, want: Want, answer: &Answer) -> Result<(), Stop> {
        let body = answer.json();
        let code = body.as_ref().and_then(|b| b["code"].as_str());
        let lenient = self.run.profile.level == Level::Seed;
        let coded = |codes: &[&str]| lenient || codes.is_empty() || code.is_some_and(|c| codes.contains(&c));
        let alternative = want.or.iter().any(|(status, code)| *status == answer.status && coded(&[code]));
        if !alternative && (answer.status != want.status || !coded(want.codes)) {
            return Err(Stop::fail(wanted(want), self.summary(answer)));
        }
        if answer.status == 201 && token_in(answer).is_none() {
            let wanted = "201 with access_token, token_id and expires_in in a JSON object";
            return Err(Stop::fail(wanted, self.summary(answer)));
        }
        Ok(())
    }

    pub fn check(&self, also: Also, answer: &Answer) -> Result<(), Stop> {
        let body = answer.json().unwrap_or_default();
        let lives = |wanted: u64| {
            let lived = body["expires_in"].as_u64();
            if lived.is_some_and(|s| s <= wanted && s + 2 >= wanted) {
                return Ok(());
            }
            Err(Stop::fail(format!("expires_in {wanted}"), format!("expires_in {}", body["expires_in"])))
        };
        let granted = |wanted: Vec<&str>| {
            if body["scopes"] == json!(wanted) {
                return Ok(());
            }
            Err(Stop::fail(format!("scopes {}", json!(wanted)), format!("scopes {}", body["scopes"])))
        };
        match also {
            Also::ExpiresIn(seconds) => lives(seconds),
            Also::LongDefault => lives(self.run.profile.limits.long_default_seconds),
            Also::LongCap(role) => {
                let told = self.run.identities.role(role).and_then(|i| i.max_ttl_seconds);
                lives(told.ok_or_else(|| {
                    Stop::Blocked(format!(
                        "needs max_ttl_seconds of role {}: add it to the identities file",
                        role.name()
                    ))
                })?)
            }
            Also::ShortDefault => lives(self.run.profile.limits.short_seconds),
            Also::Scopes(scopes) => granted(scopes.to_vec()),
            Also::ManyScopes(count) => {
                let all: Vec<_> = (0..count).map(|i| format!("jobs:s{i}")).collect();
                granted(all.iter().map(String::as_str).collect())
            }
            Also::ScopesWithin(role) => {
                let allowed = self.run.identities.role(role).map(|i| i.scopes.clone()).unwrap_or_default();
                let scopes: Vec<&str> =
                    body["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let beyond = scopes.iter().find(|s| !allowed.is_empty() && !allowed.iter().any(|a| covers(a, s)));
                match (scopes.is_empty(), beyond) {
                    (false, None) => Ok(()),
                    (true, _) => Err(Stop::fail("at least one scope", format!("scopes {}", body["scopes"]))),
                    (_, Some(scope)) => {
                        Err(Stop::fail(format!("scopes within {}", json!(allowed)), format!("also {scope}")))
                    }
                }
            }
            Also::Names(field) => {
                let told = format!("{} {}", body["message"], body["details"]);
                if told.contains(field) {
                    return Ok(());
                }
                Err(Stop::fail(format!("\"{field}\" named in message or details"), self.summary(answer)))
            }
            Also::SaysRepeated => {
                let message = body["message"].as_str().unwrap_or_default().to_lowercase();
                let words = ["more than once", "twice", "repeated", "multiple", "several", "duplicate"];
                if words.iter().any(|word| message.contains(word)) {
                    return Ok(());
                }
                Err(Stop::fail("a message that says that the header is there more than once", self.summary(answer)))
            }
            Also::AllowsPost => {
                let allow = answer.header("allow").unwrap_or("none");
                if allow.split(',').any(|m| m.trim() == "POST") {
                    return Ok(());
                }
                Err(Stop::fail("the header Allow: POST", format!("Allow: {allow}")))
            }
            Also::Challenge(error) => {
                let Some(challenge) = answer.header("www-authenticate") else {
                    return Err(Stop::Blocked("there is no challenge at all: see revoke.401.challenge".to_owned()));
                };
                if challenge.contains(&format!("error=\"{error}\"")) {
                    return Ok(());
                }
                Err(Stop::fail(
                    format!("WWW-Authenticate: Bearer with error=\"{error}\""),
                    format!("WWW-Authenticate: {challenge}"),
                ))
            }
            Also::TokenIdStarts(start) => {
                if body["token_id"].as_str().is_some_and(|id| id.starts_with(start)) {
                    return Ok(());
                }
                Err(Stop::fail(
                    format!("a token_id that starts with {start}"),
                    format!("token_id {}", body["token_id"]),
                ))
            }
        }
    }

    /// Polls until the refusal holds three times in a row: the one thing that may take time is a revocation.
    pub async fn until_refused(&self, request: &Request, want: Want) -> Result<(), Stop> {
        let started = Instant::now();
        let mut in_a_row = 0;
        let mut came_back = false;
        let mut first = Duration::ZERO;
        loop {
            let answer = self.send(request).await?;
            let verdict = self.expect(want, &answer);
            came_back |= in_a_row > 0 && verdict.is_err();
            in_a_row = if verdict.is_ok() { in_a_row + 1 } else { 0 };
            if in_a_row == 1 {
                first = started.elapsed();
            }
            if in_a_row == 3 {
                self.run.observed_delay(self.case.id, first);
                return Ok(());
            }
            self.thin_out();
            if started.elapsed() >= self.run.window && in_a_row == 0 {
                let Err(Stop::Fail { wanted, got }) = verdict else { continue };
                let window = human(self.run.window);
                return Err(Stop::fail(
                    format!("{wanted}, three times in a row within {window} of the revocation (--consistency-window)"),
                    format!("{got} still after {window}"),
                ));
            }
            // Slow answers alone are no fault.
            if started.elapsed() >= self.run.window * 2 && came_back {
                return Err(Stop::fail(wanted(want), "a refusal that comes and goes".to_owned()));
            }
            tokio::time::sleep(self.run.poll).await;
        }
    }

    /// Every poll would drown the others in the report: the first ones and the last stay.
    pub fn thin_out(&self) {
        let mut exchanges = self.exchanges.borrow_mut();
        if exchanges.len() > 12 {
            exchanges.remove(10);
        }
    }
}

/// A scope covers itself, and `resource:*` every action of that very resource.
pub fn covers(held: &str, asked: &str) -> bool {
    held == asked
        || held.strip_suffix('*').is_some_and(|resource| resource.ends_with(':') && asked.starts_with(resource))
}

pub fn token_in(answer: &Answer) -> Option<Token> {
    let body = answer.json()?;
    if answer.status != 201 {
        return None;
    }
    let text = |name: &str| body[name].as_str().filter(|v| !v.is_empty()).map(str::to_owned);
    Some(Token { id: text("token_id")?, token: text("access_token")?, expires_in: body["expires_in"].as_u64()?, body })
}

pub fn operation(request: &Request) -> Op {
    let post = request.method == "POST";
    let path = request.path.split('?').next().unwrap_or_default();
    match path.split('/').collect::<Vec<_>>()[..] {
        ["", "auth", "tokens", "long"] if post => Op::Long,
        ["", "auth", "tokens", "short"] if post => Op::Short,
        ["", "auth", "tokens", id, "revoke"] if post && !id.is_empty() => Op::Revoke,
        ["", ".well-known" | "clients", ..] => Op::Service,
        _ => Op::Outside,
    }
}

pub fn lacking(role: Role, credential: Credential) -> String {
    format!("needs {} of role {}: add it to [{}] in the identities file", credential.name(), role.name(), role.name())
}

pub fn wanted(want: Want) -> String {
    let mut all = match want.codes {
        [] => want.status.to_string(),
        codes => format!("{} {}", want.status, codes.join(" or ")),
    };
    for (status, code) in want.or {
        all += &format!(", or {status} {code}");
    }
    all
}

/// The verdict of a standing row on one answer.
pub fn judge(case: &Case, seen: &Seen) -> Standing {
    match &case.act {
        Act::Standing(judge) => judge(seen),
        _ => Standing::NotConcerned,
    }
}
