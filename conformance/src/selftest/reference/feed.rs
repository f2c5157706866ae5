//! The revocation feed: how entries are added, and how it is served.

use super::message::{Asked, Form, Refused, Reply};
use super::state::{Bearer, Ended, Reference};
use crate::case::FeedMode;
use crate::jose::{self, b64};
use crate::trial::feed::FOR_GOOD;
use ring::digest;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

const LIFE: u64 = 300;
/// How often the feed is signed again, in seconds: at least half of its lifetime is always left.
const RENEWED: u64 = 120;
const MEMBERS: [&str; 3] = ["token", "parent", "client"];

impl Reference {
    /// A revocation, possibly a repeated one of the same token.
    pub fn report_token(&mut self, id: &str, caller: &Bearer) {
        let now = self.clock.now();
        let kind = if id.starts_with("tok_lt_") { "parent" } else { "token" };
        match (kind, self.fault) {
            ("token", Some("feed-lacks-token")) | ("parent", Some("feed-lacks-parent")) => return,
            ("parent", Some("feed-parent-ahead")) => return self.report(kind, id, now + 3000),
            ("parent", Some("feed-parent-as-token")) => self.report("token", id, now),
            (_, Some("feed-lacks-immediate")) if caller.client == "ref_Immediate" => return,
            (_, Some("feed-lacks-self")) if caller.id == id => return,
            ("parent", Some("feed-lacks-rotated")) if self.memory.rotated.contains_key(id) => return,
            ("parent", Some("feed-lacks-retired")) if self.memory.retired.contains_key(id) => return,
            ("parent", Some("feed-lacks-parent-by-child")) if caller.parent.as_deref() == Some(id) => return,
            (_, Some("feed-blames-client")) => self.report("client", &caller.client, now + 1),
            (_, Some("feed-blames-caller")) => self.report("token", &caller.id, now),
            _ => {}
        }
        self.report(kind, id, now);
    }

    /// For a token, a later time never replaces an earlier one. For a client, the last report counts.
    pub fn report(&mut self, kind: &'static str, id: &str, at: u64) {
        let last_word = kind == "client" || self.on("feed-puts-off");
        let name = (kind, self.listed_as(kind, id));
        if self.memory.ended.get(&name).is_some_and(|known| known.at == at || (known.at < at && !last_word)) {
            return;
        }
        if kind == "client" && at != FOR_GOOD && self.on("feed-restored-silently") {
            self.memory.ended.entry(name).and_modify(|known| known.at = at);
            return;
        }
        self.memory.seq += 1;
        self.memory.ended.insert(name, Ended { at, seq: self.memory.seq, reported: Instant::now(), was_read: false });
    }

    /// A suspension, or its end.
    pub fn report_standing(&mut self, id: &str, suspended: bool, from: u64) {
        if !suspended {
            let at = match self.fault {
                Some("feed-lacks-restoration") => return,
                Some("feed-drops-restored") => {
                    self.memory.ended.remove(&("client", self.listed_as("client", id)));
                    return;
                }
                Some("feed-restored-from-creation") => self.memory.first_valid_from.get(id).copied().unwrap_or(from),
                _ => from,
            };
            return self.report("client", id, at);
        }
        let again = !self.memory.was_suspended.insert(id.to_owned());
        match self.fault {
            Some("feed-lacks-suspension") => {}
            Some("feed-suspends-once") if again => {}
            Some("feed-suspends-until-now") => self.report("client", id, self.clock.now() + 1),
            Some("feed-suspends-neighbours") => {
                let all: Vec<_> = self.clients.iter().map(|c| c.id.clone()).filter(|c| c.starts_with("conf")).collect();
                all.iter().for_each(|id| self.report("client", id, FOR_GOOD));
            }
            _ => self.report("client", id, FOR_GOOD),
        }
    }

    /// The entry of `end-tokens`. A suspension takes precedence.
    pub fn report_end_tokens(&mut self, id: &str, suspended: bool, from: u64) {
        let again = self.memory.ended.contains_key(&("client", self.listed_as("client", id)));
        match self.fault {
            Some("feed-lacks-end-tokens") => {}
            Some("feed-ends-once") if again => {}
            Some("feed-ends-for-good") => self.report("client", id, FOR_GOOD),
            _ if suspended && !self.on("feed-end-tokens-lifts-suspension") => {}
            _ => self.report("client", id, from),
        }
    }

    pub fn listed_as(&self, kind: &str, id: &str) -> String {
        let text = if self.on("feed-hash-bare") { id.to_owned() } else { format!("{kind}:{id}") };
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        match self.fault {
            Some("feed-hash-32") => b64(hash),
            Some("feed-hash-hex") => hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect(),
            _ => b64(&hash.as_ref()[..16]),
        }
    }

    pub fn serve_feed(&mut self, asked: &Asked) -> Result<Reply, Refused> {
        let get = asked.method == "GET" || (asked.method == "HEAD" && !self.on("feed-head-405"));
        if !get && !self.on("feed-any-method") {
            return Ok(self.read_only(asked, if self.on("feed-405-allow-get") { "GET" } else { "GET, HEAD" }));
        }
        if self.feed == FeedMode::Private {
            self.may_read(asked)?;
        }
        let since = asked.path.split_once("?since=").map(|(_, since)| since);
        let number = since.and_then(|since| since.parse().ok());
        if since.is_some() && number.is_none() && self.on("feed-nonsense-400") {
            return Err(self.refuse(asked, 400, "invalid_request", "since must be a number."));
        }
        let number = if since.is_some() && self.on("feed-nonsense-as-zero") { number.or(Some(0)) } else { number };
        let ahead = number.is_some_and(|since| since > self.memory.seq) && !self.on("feed-ahead-believed");
        let number = number.filter(|_| !ahead && !self.on("feed-since-ignored"));
        let text = self.feed_text(number);
        let etag = match self.fault {
            Some("feed-etag-constant") => "\"feed\"".to_owned(),
            Some("feed-etag-of-seq") => format!("\"{}\"", self.memory.seq),
            Some("feed-etag-random") => format!("\"{}\"", self.memory.requests),
            _ => format!("\"{}\"", b64(&digest::digest(&digest::SHA256, text.as_bytes()).as_ref()[..16])),
        };
        let names = |known: &str| match self.on("feed-304-exact") {
            true => known == etag,
            false => known == "*" || known.split(',').any(|one| one.trim().trim_start_matches("W/") == etag),
        };
        let known = asked.header("if-none-match").is_some_and(|known| names(known) || self.on("feed-always-304"));
        let known = known && !(number.is_some() && self.on("feed-delta-never-304"));
        let mut reply = self.dressed(200, text.into());
        reply.form = Form::Text(if self.on("feed-as-text") { "text/plain" } else { "application/jwt" });
        if known && !self.on("feed-never-304") {
            (reply.status, reply.body) = (304, Value::Null);
        }
        if !self.on("feed-no-etag") {
            reply.headers.push(("ETag".into(), etag));
        }
        let is_public = self.feed == FeedMode::Public || self.on("private-feed-public-cache");
        let cache = match (self.fault, is_public) {
            (Some("feed-no-store"), _) => "no-store",
            (Some("feed-max-age-300"), _) => "public, max-age=300",
            (_, true) => "public, max-age=2",
            (_, false) => "private, max-age=2",
        };
        reply.set_header("Cache-Control", cache);
        if reply.status == 304 && self.on("feed-304-bare") {
            reply.headers.retain(|(name, _)| name != "ETag");
        }
        Ok(reply)
    }

    fn may_read(&mut self, asked: &Asked) -> Result<(), Refused> {
        let header = asked.header("authorization");
        if header.is_none() && self.on("private-feed-other-code") {
            return Err(self.refuse(
                asked,
                401,
                "insufficient_scope",
                "This operation requires a token with the scope tokens:introspect.",
            ));
        }
        if header.is_some() && self.on("private-feed-any-bearer") {
            return Ok(());
        }
        let bearer = match self.on("private-feed-revoked") {
            true => self.verified(asked, header, "short")?,
            false => self.bearer(asked, header, "short")?,
        };
        if !self.any_covers(&bearer.scopes, "tokens:introspect") && !self.on("private-feed-any-scope") {
            return Err(self.refuse(
                asked,
                401,
                "insufficient_scope",
                "This operation requires a token with the scope tokens:introspect.",
            ));
        }
        Ok(())
    }

    /// The entries after `since`, or all of them.
    fn feed_text(&mut self, since: Option<u64>) -> String {
        let (late, as_text, forgets) = (self.on("feed-late"), self.on("feed-times-text"), self.on("feed-forgets"));
        let now = self.clock.now();
        let after = match (since, self.fault) {
            (None, _) | (_, Some("feed-since-unfiltered")) => 0,
            (Some(_), Some("feed-since-empty")) => self.memory.seq,
            (Some(since), Some("feed-since-inclusive")) => since.saturating_sub(1),
            (Some(_), Some("feed-delta-latest-only")) => self.memory.seq.saturating_sub(1),
            (Some(since), _) => since,
        };
        let lacks = |kind: &str| match self.fault {
            Some("feed-delta-lacks-clients") => since.is_some() && kind == "client",
            Some("feed-delta-lacks-parents") => since.is_some() && kind == "parent",
            _ => false,
        };
        let left_out: Vec<_> = MEMBERS.iter().copied().filter(|kind| lacks(kind)).collect();
        let mut all: Map<String, Value> = MEMBERS.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
        let mut news = false;
        for ((kind, name), entry) in self.memory.ended.iter_mut().filter(|(_, entry)| entry.seq > after) {
            if left_out.contains(kind) {
                continue;
            }
            let forgotten = forgets
                || (*kind == "parent" && self.fault == Some("feed-forgets-parents"))
                || (*kind == "client" && self.fault == Some("feed-forgets-clients"));
            if forgotten && entry.at + 5 <= now {
                continue;
            }
            if late && entry.reported.elapsed() < Duration::from_secs(5) {
                continue;
            }
            news |= !entry.was_read;
            entry.was_read = true;
            all[*kind][name] = if as_text { entry.at.to_string().into() } else { entry.at.into() };
        }
        if self.on("feed-empty-left-out") {
            all.retain(|_, entries| entries.as_object().is_some_and(|entries| !entries.is_empty()));
        }
        let iat = if self.on("feed-stale") { now - 200 } else { now - now % RENEWED };
        let exp = iat + if self.on("feed-lives-an-hour") { 3600 } else { LIFE };
        let issuer = if self.on("feed-other-issuer") { "https://other.example" } else { &self.issuer };
        let mut claims = json!({"iss": issuer, "iat": iat, "exp": exp, "seq": self.memory.seq, "ended": all});
        match self.fault {
            Some("feed-seq-string") => claims["seq"] = self.memory.seq.to_string().into(),
            Some("feed-delta-seq") => claims["seq"] = since.unwrap_or(self.memory.seq).into(),
            Some("feed-seq-constant") => claims["seq"] = 1.into(),
            Some("feed-seq-falls") if news => claims["seq"] = (self.memory.seq + 1000).into(),
            _ => {}
        }
        match (since, self.fault) {
            (None, Some("feed-since-always")) => claims["since"] = 0.into(),
            (Some(since), Some("feed-since-wrong")) => claims["since"] = (since + 1).into(),
            (Some(since), _) => claims["since"] = since.into(),
            _ => {}
        }
        let mut header = json!({"alg": "EdDSA", "typ": "revocations+jwt", "kid": "s1"});
        for (fault, name, value) in
            [("feed-typ-jwt", "typ", "JWT"), ("feed-alg-hs256", "alg", "HS256"), ("feed-kid-unknown", "kid", "s2")]
        {
            if self.on(fault) {
                header[name] = value.into();
            }
        }
        let input = jose::signing_input(&header, &claims);
        let unsigned = self.on("feed-unsigned") || (since.is_some() && self.on("feed-delta-unsigned"));
        let signature = if unsigned { String::new() } else { b64(self.key.sign(input.as_bytes())) };
        format!("{input}.{signature}")
    }
}
