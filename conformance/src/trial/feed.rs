//! The revocation feed as an API that verifies offline uses it: how it is read, and whether it rejects a token.

use crate::endpoint::{FEED, bare};
use crate::http::{Answer, Request};
use crate::identities::Role;
use crate::jose::{Jwt, b64};
use crate::stop::Stop;
use crate::trial::Trial;
use crate::trial::mint::Token;
use ring::digest;
use serde_json::Value;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// The last second of the year 9999: the feed's time for a client that is suspended or deleted.
pub const FOR_GOOD: u64 = 253_402_300_799;
/// The kinds of entries.
pub const MEMBERS: [&str; 3] = ["token", "parent", "client"];
/// How much the server's clock and this one may differ, in seconds.
pub const CLOCKS: u64 = 5;
/// How often the feed is read within `feed_milliseconds`.
const READS: u32 = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Public,
    /// Only to a token with `tokens:introspect`.
    Private,
}

/// What a run knows of the feed.
#[derive(Default)]
pub struct Known {
    mode: Mutex<Option<Result<Mode, Stop>>>,
    reads: RefCell<Vec<Read>>,
}

/// When the feed was requested, when it came, and its `seq`.
struct Read {
    asked: Instant,
    came: Instant,
    seq: u64,
}

impl Known {
    /// The `seq` of an earlier read and a lower `seq` of a later read, if there are such reads: the later one was requested
    /// when no location could still serve an older feed than the earlier read's.
    pub fn went_back(&self, kept: Duration) -> Option<(u64, u64)> {
        let reads = self.reads.borrow();
        let pairs = reads.iter().flat_map(|a| reads.iter().map(move |b| (a, b)));
        pairs.filter(|(a, b)| a.came + kept <= b.asked && b.seq < a.seq).map(|(a, b)| (a.seq, b.seq)).next()
    }
}

/// One answer of the feed. Its signature is not checked.
pub struct Feed {
    pub answer: Answer,
    pub token: String,
    pub jwt: Jwt,
}

impl Feed {
    pub fn seq(&self) -> Result<u64, Stop> {
        whole(&self.jwt.claims["seq"])
            .ok_or_else(|| Stop::fail("seq as an integer", format!("seq {}", self.jwt.claims["seq"])))
    }

    /// The time that it lists for an id; `kind` is `token`, `parent` or `client`.
    pub fn entry(&self, kind: &str, id: &str) -> Option<u64> {
        whole(&self.jwt.claims["ended"][kind][&hash(kind, id)])
    }

    pub fn etag(&self) -> Result<&str, Stop> {
        self.answer.header("etag").ok_or_else(|| Stop::fail("an ETag", "none"))
    }

    /// Whether an API that verifies offline must reject the token, by the contract's rule alone. `now` in seconds since the
    /// epoch.
    pub fn refuses(&self, token: &Token, now: u64) -> Result<bool, Stop> {
        let claims = claims(token)?;
        let id = |claim: &str| {
            let id = claims[claim].as_str();
            id.ok_or_else(|| Stop::Blocked(format!("the short-term token has no {claim}: see short.201.jwt-claims")))
        };
        let listed = [self.entry("token", id("jti")?), self.entry("parent", id("parent")?)];
        let ended = listed.into_iter().flatten().any(|at| at <= now);
        let from = self.entry("client", id("client_id")?);
        Ok(ended || from.is_some_and(|from| whole(&claims["auth_time"]).is_none_or(|at| at < from)))
    }
}

/// The claims of a short-term token.
pub fn claims(token: &Token) -> Result<Value, Stop> {
    let jwt = Jwt::read(&token.token);
    jwt.map(|jwt| jwt.claims)
        .ok_or_else(|| Stop::Blocked("the short-term token is not a JWT: see short.201.jwt".to_owned()))
}

/// The name of an id in the feed: the first half of its SHA-256.
pub fn hash(kind: &str, id: &str) -> String {
    b64(&digest::digest(&digest::SHA256, format!("{kind}:{id}").as_bytes()).as_ref()[..16])
}

fn whole(value: &Value) -> Option<u64> {
    value.as_u64()
}

impl Trial<'_> {
    pub fn known_feed(&self) -> Rc<Known> {
        self.run.memory()
    }

    /// How long a revocation may take to appear in the feed.
    pub fn feed_kept(&self) -> Duration {
        Duration::from_millis(self.run.profile.limits.feed_milliseconds)
    }

    /// Waits until no location may still serve a feed older than now.
    pub async fn feed_renewed(&self) {
        self.run.idle(tokio::time::sleep(self.feed_kept() + Duration::from_millis(5))).await;
    }

    /// Whether the feed is public, found by a read without a token, once per run.
    pub async fn feed_mode(&self) -> Result<Mode, Stop> {
        let memory = self.known_feed();
        let mut known = memory.mode.lock().await;
        if let Some(mode) = &*known {
            return mode.clone();
        }
        let mode = self.ask_feed_mode().await;
        // Keep only definite results: an interrupted case must not decide for the others.
        if !matches!(mode, Err(Stop::Error(_) | Stop::Blocked(_) | Stop::Unavailable(_))) {
            *known = Some(mode.clone());
        }
        mode
    }

    async fn ask_feed_mode(&self) -> Result<Mode, Stop> {
        let answer = self.send(&bare("GET", FEED, None)).await?;
        match answer.status {
            200 => Ok(Mode::Public),
            401 => Ok(Mode::Private),
            404 => {
                let metadata = self.metadata().await?.json().unwrap_or_default();
                match metadata["revocations_uri"].as_str() {
                    Some(uri) => Err(Stop::fail(
                        "a revocation feed, since the metadata has revocations_uri",
                        format!("404 (revocations_uri is {uri})"),
                    )),
                    None => Err(Stop::Absent(
                        "this deployment has no revocation feed: it is 404, and the metadata has no revocations_uri"
                            .to_owned(),
                    )),
                }
            }
            _ => Err(Stop::fail("200, or 401 if the feed is private", self.summary(&answer))),
        }
    }

    /// A GET of the feed, with a token if the feed is private, and with `query` after its path.
    pub async fn feed_request(&self, query: &str) -> Result<Request, Stop> {
        let path = format!("{FEED}{query}");
        Ok(match self.feed_mode().await? {
            Mode::Public => bare("GET", &path, None),
            Mode::Private => bare("GET", &path, Some(&self.shared(Role::Reader, "short").await?.token)),
        })
    }

    pub async fn feed(&self, query: &str) -> Result<Feed, Stop> {
        let request = self.feed_request(query).await?;
        let asked = Instant::now();
        let answer = self.send(&request).await?;
        let feed = self.as_feed(answer)?;
        if let Ok(seq) = feed.seq() {
            self.known_feed().reads.borrow_mut().push(Read { asked, came: Instant::now(), seq });
        }
        Ok(feed)
    }

    pub fn as_feed(&self, answer: Answer) -> Result<Feed, Stop> {
        if answer.status != 200 {
            return Err(Stop::fail("200 with the revocation feed", self.summary(&answer)));
        }
        let token = answer.text();
        match Jwt::read(&token) {
            Some(jwt) => Ok(Feed { answer, token, jwt }),
            None => Err(Stop::fail("the revocation feed as a JWT", self.summary(&answer))),
        }
    }

    /// Reads the feed until `judge` accepts it: a location may serve a copy that is 2 s old.
    pub async fn feed_until<T>(
        &self,
        query: &str,
        judge: impl Fn(&Feed) -> Result<T, Stop>,
    ) -> Result<(Feed, T), Stop> {
        let started = Instant::now();
        loop {
            let last = started.elapsed() >= self.feed_kept();
            let feed = self.feed(query).await?;
            match judge(&feed) {
                Ok(found) => return Ok((feed, found)),
                Err(Stop::Fail { .. }) if !last => {}
                Err(stop) => return Err(stop),
            }
            self.thin_out();
            self.run.idle(tokio::time::sleep(self.feed_kept() / READS)).await;
        }
    }

    /// Waits until the feed lists the id with a time that has come.
    pub async fn feed_lists(&self, kind: &'static str, id: &str) -> Result<(Feed, u64), Stop> {
        let now = || self.run.clock.now() + CLOCKS;
        let wanted = format!("\"{}\", for {id}, under {kind}, with a time that has come", hash(kind, id));
        self.feed_until("", |feed| match feed.entry(kind, id) {
            Some(at) if at <= now() => Ok(at),
            Some(at) => Err(Stop::fail(&wanted, format!("the time {at}"))),
            None => Err(Stop::fail(&wanted, "no entry")),
        })
        .await
    }

    /// Waits until an API that follows the feed would reject the token.
    pub async fn feed_refuses(&self, token: &Token) -> Result<Feed, Stop> {
        let (feed, ()) = self
            .feed_until("", |feed| match feed.refuses(token, self.run.clock.now() + CLOCKS)? {
                true => Ok(()),
                false => Err(Stop::fail(format!("a feed that rejects {}", token.id), "one that does not")),
            })
            .await?;
        Ok(feed)
    }

    pub fn accepted(&self, feed: &Feed, token: &Token, what: &str) -> Result<(), Stop> {
        match feed.refuses(token, self.run.clock.now())? {
            false => Ok(()),
            true => Err(Stop::fail(
                format!("a feed that does not reject {what}"),
                format!("a feed that rejects {}", token.id),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose;
    use serde_json::json;

    fn token(auth_time: u64) -> Token {
        let claims = json!({"jti": "tok_st_1", "parent": "tok_lt_1", "client_id": "c", "auth_time": auth_time});
        let token = jose::hs256(b"key", &jose::signing_input(&json!({}), &claims));
        Token { id: "tok_st_1".to_owned(), token, expires_in: 900, body: Value::Null }
    }

    fn feed(kind: &str, id: &str, at: u64) -> Feed {
        let mut ended = json!({"token": {}, "parent": {}, "client": {}});
        ended[kind][hash(kind, id)] = at.into();
        let answer = Answer { asked: 0, status: 200, headers: Vec::new(), body: Vec::new() };
        Feed { answer, token: String::new(), jwt: Jwt { header: json!({}), claims: json!({"ended": ended}) } }
    }

    /// Computed with `printf token:tok_st_1 | openssl dgst -sha256 -binary | head -c 16 | basenc --base64url`.
    #[test]
    fn an_id_is_listed_under_half_of_its_hash() {
        assert_eq!(hash("token", "tok_st_1"), "pOGwEcUNmHCksTFbLxXQyw");
    }

    #[test]
    fn a_follower_refuses_by_token_parent_and_client() {
        for (kind, id, at, refused) in [
            ("token", "tok_st_1", 1000, true),
            ("token", "tok_st_1", 1001, false),
            ("token", "tok_st_2", 1000, false),
            ("token", "tok_lt_1", 1000, false),
            ("parent", "tok_lt_1", 1000, true),
            ("parent", "tok_lt_1", 1001, false),
            ("parent", "tok_st_1", 1000, false),
            // A client's time is compared with `auth_time`; whether it has come does not matter.
            ("client", "c", 501, true),
            ("client", "c", 500, false),
            ("client", "c", FOR_GOOD, true),
            ("client", "d", FOR_GOOD, false),
        ] {
            assert_eq!(feed(kind, id, at).refuses(&token(500), 1000).unwrap(), refused, "{kind} {id} {at}");
        }
    }

    #[test]
    fn a_lower_seq_counts_once_no_location_may_be_behind() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let known = Known::default();
        *known.reads.borrow_mut() =
            vec![Read { asked: at(0), came: at(10), seq: 7 }, Read { asked: at(500), came: at(510), seq: 6 }];
        assert_eq!(known.went_back(Duration::from_millis(1000)), None);
        assert_eq!(known.went_back(Duration::from_millis(100)), Some((7, 6)));
    }
}
