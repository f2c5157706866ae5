//! Judges whether an answer is the one that is due.

use crate::ask::{Also, Want};
use crate::endpoint;
use crate::http::{Answer, Request, human};
use crate::matrix::{Level, Op};
use crate::patience::{LONGEST_LIMIT, retry_after};
use crate::run::Run;
use crate::stop::Stop;
use crate::trial::Trial;
use crate::trial::mint::token_in;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

impl Trial<'_> {
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
            let got = self.summary(answer);
            let bare = answer.status == 503 && answer.header("retry-after").is_none();
            let hint = if bare { "; without Retry-After, a 503 is not sent again" } else { "" };
            return Err(Stop::fail(want.to_string(), format!("{got}{hint}")));
        }
        // A 201 to an operator's call is not a token.
        let grants = self.judged.borrow().as_ref().is_none_or(|r| endpoint::operation(r) != Op::Service);
        if answer.status == 201 && grants && token_in(answer).is_none() {
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
                Err(Stop::fail("a message that says that the header was sent more than once", self.summary(answer)))
            }
            Also::AllowsPost => {
                let allowed = answer.list("allow");
                if allowed == ["POST"] {
                    return Ok(());
                }
                let allow = allowed.join(", ");
                Err(Stop::fail("the header Allow: POST", format!("Allow: {allow}")))
            }
            Also::Challenge(error) => {
                let Some(challenge) = answer.header("www-authenticate") else {
                    return Err(Stop::Blocked(
                        "the answer has no WWW-Authenticate: see revoke.401.challenge".to_owned(),
                    ));
                };
                if answer.challenge_error() == Some(error) {
                    return Ok(());
                }
                Err(Stop::fail(
                    format!("WWW-Authenticate: Bearer with error=\"{error}\""),
                    format!("WWW-Authenticate: {challenge}"),
                ))
            }
            Also::Active => match body["active"] == true {
                true => Ok(()),
                false => Err(Stop::fail("\"active\":true", self.summary(answer))),
            },
            Also::Inactive => match body == json!({"active": false}) {
                true => Ok(()),
                false => Err(Stop::fail("exactly {\"active\":false}", self.summary(answer))),
            },
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

    /// Polls until the token is refused three times in a row: a revocation may take time to hold.
    pub async fn until_refused(&self, request: &Request, want: Want) -> Result<(), Stop> {
        let started = Instant::now();
        let mut in_a_row = 0;
        let mut came_back = false;
        let mut first = Duration::ZERO;
        let mut poll = Poll::new(self.run);
        loop {
            let Some(answer) = poll.ask(self, request).await? else { continue };
            let verdict = self.expect(want, &answer);
            came_back |= in_a_row > 0 && verdict.is_err();
            in_a_row = if verdict.is_ok() { in_a_row + 1 } else { 0 };
            if in_a_row == 1 {
                first = started.elapsed();
            }
            if in_a_row == 3 {
                self.run.observed_delay(self.id, first);
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
            // Slow answers alone are not a failure.
            if started.elapsed() >= self.run.window * 2 && came_back {
                return Err(Stop::fail(
                    format!("{want}, three times in a row"),
                    "the token sometimes refused and sometimes accepted",
                ));
            }
            poll.wait(in_a_row > 0).await;
        }
    }
}

/// Polls less and less often: about thirty calls in a window, which stays below usual rate limits.
pub struct Poll {
    first: Duration,
    now: Duration,
    longest: Duration,
    limited: u32,
}

impl Poll {
    fn new(run: &Run) -> Self {
        Self { first: run.poll, now: run.poll, longest: run.poll.max(run.window / 20), limited: 0 }
    }

    /// For measuring: more often, about seventy calls in a window.
    pub fn quick(run: &Run) -> Self {
        let first = (run.window / 500).min(Duration::from_millis(50));
        Self { first, now: first, longest: run.window / 60, limited: 0 }
    }

    /// `None` after a 429, which says nothing about the token.
    pub async fn ask(&mut self, t: &Trial<'_>, request: &Request) -> Result<Option<Answer>, Stop> {
        let expected = t.expects_429.replace(true);
        let answer = t.send(request).await;
        t.expects_429.set(expected);
        let answer = answer?;
        if answer.status != 429 || expected {
            return Ok(Some(answer));
        }
        self.limited += 1;
        let pause = retry_after(&answer).unwrap_or(Duration::from_secs(1));
        if self.limited > 3 || pause > LONGEST_LIMIT {
            return Err(Stop::Unavailable(format!(
                "the server's rate limit was reached while the case waited for a revocation to take effect: {}",
                t.summary(&answer)
            )));
        }
        t.run.pause(pause).await?;
        self.now = self.longest;
        Ok(None)
    }

    /// Waits before the next poll; only briefly after a refusal, to confirm it.
    pub async fn wait(&mut self, seen: bool) {
        tokio::time::sleep(if seen { self.first } else { self.now }).await;
        self.now = (self.now * 5 / 4).min(self.longest);
    }
}

/// A scope covers itself; `resource:*` covers every action of that resource.
pub fn covers(held: &str, asked: &str) -> bool {
    held == asked
        || held.strip_suffix('*').is_some_and(|resource| resource.ends_with(':') && asked.starts_with(resource))
}
