//! A client's replica in KV: one small value under the client id in `REVOCATIONS`. Only the client's object writes it,
//! and only exchanges read it. It may lag behind the object (`standing` decides which of the two an exchange asks). It
//! holds no credential.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use serde::Serialize;

use super::ask::{Answer, Ask, Standing};
use super::{Client, Consistency, Status};
use crate::error::{Error, TokenFault, Unavailable};
use crate::scope::Scopes;
use crate::token::Presented;
use crate::token_id;
use crate::value::{self, readable};

/// The version of the stored format. A value of another version is not read.
const VERSION: u32 = 1;
/// The most early ends that a replica lists. With more it says "ask the object", which bounds its size.
pub const MOST_ENDS: usize = 256;
/// How long an isolate caches a replica, milliseconds. KV's own cache keeps it for 30 seconds, so this adds no
/// noticeable delay.
const MAX_AGE: u64 = 250;
/// How many replicas an isolate caches. When there are this many, it drops them all.
const MAX_REPLICAS: usize = 1024;

/// What exchanges need to know of a client, and the early ends of its long-term tokens.
#[derive(Debug, Serialize)]
pub struct Replica {
    version: u32,
    status: Status,
    tokens_valid_from: u64,
    scopes: Scopes,
    consistency: Consistency,
    /// `KEY=AT,KEY=AT,…`: KEY is `token_id::key` of the token, AT when it ends (Unix seconds), or 0 if that has come.
    /// One string, which is searched instead of parsed, so its length hardly affects an exchange.
    ends: String,
    /// There are more than `MOST_ENDS`, so none is listed.
    is_full: bool,
}

/// Access to clients: their objects and their replicas.
#[allow(async_fn_in_trait, reason = "futures run on the runtime's one thread; none needs to be Send")]
pub trait Clients {
    /// Sends a request to a client's object, which judges requests one after the other, worldwide. `region` is where a
    /// new object should be placed.
    async fn ask_object(&self, client_id: &str, region: Option<&str>, ask: &Ask) -> Result<Answer, Error>;

    /// A client's replica, or `None` if KV has none. May be as old as the location's cache.
    async fn replica(&self, client_id: &str) -> Result<Option<String>, Unavailable>;

    /// This isolate's cache of replicas.
    fn replica_cache(&self) -> &ReplicaCache;

    /// Unix milliseconds.
    fn millis(&self) -> u64;
}

readable!(struct Replica { version, status, tokens_valid_from, scopes, consistency, ends, is_full });

impl Replica {
    /// `ends` are the early ends of the client's long-term tokens: id, and when (0 if it has come).
    pub fn new<'a>(client: &Client, ends: impl ExactSizeIterator<Item = (&'a str, u64)>) -> Self {
        let is_full = ends.len() > MOST_ENDS;
        let mut list = String::new();
        if !is_full && !client.is_immediate() {
            for (token_id, at) in ends {
                let comma = if list.is_empty() { "" } else { "," };
                list += &format!("{comma}{}={at}", token_id::key(token_id));
            }
        }
        Self {
            version: VERSION,
            status: client.status,
            tokens_valid_from: client.tokens_valid_from,
            scopes: client.scopes.clone(),
            consistency: client.consistency,
            ends: list,
            is_full,
        }
    }

    pub fn to_json(&self) -> String {
        // Strings and numbers always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Whether a long-term token is live, by this replica; `None` if the object must be asked.
    pub(super) fn standing(&self, token: &Presented, now: u64) -> Option<Result<Standing, TokenFault>> {
        if self.consistency == Consistency::Immediate {
            return None;
        }
        if self.status != Status::Active || token.auth_time < self.tokens_valid_from {
            return Some(Err(TokenFault::ClientEnded));
        }
        if self.is_full {
            return None;
        }
        let end = match self.end(token_id::key(&token.id)) {
            Ok(end) => end,
            Err(()) => return None,
        };
        if end.is_some_and(|at| at <= now) {
            return Some(Err(TokenFault::Revoked));
        }
        Some(Ok(Standing { now, scopes: self.scopes.clone(), end }))
    }

    /// When the token with this key ends early. A malformed entry is an error.
    fn end(&self, key: &str) -> Result<Option<u64>, ()> {
        let Some(rest) = self.ends.split(',').find_map(|entry| entry.strip_prefix(key)) else { return Ok(None) };
        rest.strip_prefix('=').and_then(|at| at.parse().ok()).map(Some).ok_or(())
    }

    pub(super) fn parse(json: &str) -> Option<Self> {
        value::read(json).filter(|replica: &Self| replica.version == VERSION)
    }
}

/// An isolate's cache of replicas.
#[derive(Debug, Default)]
pub struct ReplicaCache {
    /// By client id: when it was read (Unix milliseconds), and the replica.
    replicas: RefCell<HashMap<String, (u64, Rc<Replica>)>>,
    /// Grows with each `forget`, so that a read that began before one is not cached.
    forgotten: Cell<u64>,
}

impl ReplicaCache {
    fn find(&self, client_id: &str, now: u64) -> Option<Rc<Replica>> {
        let replicas = self.replicas.borrow();
        // If the clock was set back, the age is unknown, so the entry is not used.
        let is_fresh = |(read_at, _): &&(u64, Rc<Replica>)| (*read_at..read_at + MAX_AGE).contains(&now);
        replicas.get(client_id).filter(is_fresh).map(|(_, replica)| Rc::clone(replica))
    }

    fn keep(&self, client_id: &str, read_at: u64, replica: Rc<Replica>) {
        let mut replicas = self.replicas.borrow_mut();
        if replicas.len() >= MAX_REPLICAS {
            replicas.clear();
        }
        replicas.insert(client_id.to_owned(), (read_at, replica));
    }

    /// Drops a client's replica, since the client may have changed.
    pub fn forget(&self, client_id: &str) {
        self.forgotten.set(self.forgotten.get() + 1);
        self.replicas.borrow_mut().remove(client_id);
    }
}

/// Sends a request to a client's object, and drops the cached replica if the request may have changed the client.
pub async fn ask(clients: &impl Clients, client_id: &str, ask: &Ask) -> Result<Answer, Error> {
    let region = if let Ask::Create { region, .. } = ask { region.as_deref() } else { None };
    let answer = clients.ask_object(client_id, region, ask).await;
    if ask.changes() {
        clients.replica_cache().forget(client_id);
    }
    answer
}

/// Whether a long-term token is live, for an exchange: by the replica, or by the object if the client is `immediate` or
/// the replica is missing or unreadable.
pub async fn standing(clients: &impl Clients, token: &Presented, now: u64) -> Result<Standing, Error> {
    if token.consistency == Consistency::Eventual
        && let Some(replica) = read(clients, &token.client_id).await
        && let Some(standing) = replica.standing(token, now)
    {
        return Ok(standing?);
    }
    ask(clients, &token.client_id, &Ask::Standing(token.clone())).await?.standing()
}

async fn read(clients: &impl Clients, client_id: &str) -> Option<Rc<Replica>> {
    let cache = clients.replica_cache();
    let began = clients.millis();
    if let Some(replica) = cache.find(client_id, began) {
        return Some(replica);
    }
    let forgotten = cache.forgotten.get();
    // Without a replica the exchange asks the object.
    let json = clients.replica(client_id).await.ok()??;
    let replica = Rc::new(Replica::parse(&json)?);
    if cache.forgotten.get() == forgotten {
        cache.keep(client_id, began, Rc::clone(&replica));
    }
    Some(replica)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token_id::Kind;

    fn client() -> Client {
        Client::new("alice", Scopes::parse_claim("jobs:* templates:read").unwrap(), 100)
    }

    fn id(nth: usize) -> String {
        format!("tok_lt_{nth:044}").replace("tok_lt_0", "tok_lt_A")
    }

    /// Ids differ in their first characters, as real ones do.
    fn token(nth: usize) -> Presented {
        Presented {
            kind: Kind::Long,
            id: long_id(nth),
            client_id: "alice".into(),
            scopes: Scopes::parse_claim("jobs:*").unwrap(),
            issued_at: 100,
            auth_time: 100,
            expires_at: 9_000,
            parent: None,
            audience: None,
            consistency: Consistency::Eventual,
        }
    }

    fn long_id(nth: usize) -> String {
        format!("tok_lt_{nth:022}{}", &id(0)[7..29])
    }

    fn replica(client: &Client, ends: &[(usize, u64)]) -> Replica {
        let ends: Vec<_> = ends.iter().map(|(nth, at)| (long_id(*nth), *at)).collect();
        let replica = Replica::new(client, ends.iter().map(|(id, at)| (id.as_str(), *at)));
        Replica::parse(&replica.to_json()).unwrap()
    }

    #[test]
    fn a_replica_is_cached_for_a_moment_and_not_when_the_clock_was_set_back() {
        let cache = ReplicaCache::default();
        cache.keep("alice", 5_000, Rc::new(replica(&client(), &[])));
        let is_found = |now| cache.find("alice", now).is_some();
        assert_eq!([0, 4_999, 5_000, 5_249, 5_250].map(is_found), [false, false, true, true, false]);
        cache.forget("alice");
        assert!(!is_found(5_000));
    }

    #[test]
    fn the_stored_format_is_pinned() {
        let json = r#"{"version":1,"status":"active","tokens_valid_from":100,"scopes":["jobs:*","templates:read"],"consistency":"eventual","ends":"0000000000000000000001=0,0000000000000000000002=500","is_full":false}"#;
        assert_eq!(replica(&client(), &[(1, 0), (2, 500)]).to_json(), json);
    }

    #[test]
    fn an_end_holds_from_its_time_on() {
        let replica = replica(&client(), &[(1, 0), (2, 500)]);
        let standing = |nth, now| replica.standing(&token(nth), now).unwrap();
        assert_eq!(standing(1, 0).unwrap_err(), TokenFault::Revoked, "whatever this clock says");
        assert_eq!(standing(2, 500).unwrap_err(), TokenFault::Revoked);
        assert_eq!(standing(2, 499).unwrap().end, Some(500));
        assert_eq!(standing(3, 499).unwrap().end, None);
    }

    #[test]
    fn tokens_of_a_suspended_client_or_before_end_tokens_are_refused() {
        let mut suspended = client();
        suspended.status = Status::Suspended;
        assert!(replica(&suspended, &[]).standing(&token(1), 0).unwrap().is_err());
        let mut later = client();
        later.tokens_valid_from = 101;
        assert!(replica(&later, &[]).standing(&token(1), 0).unwrap().is_err());
    }

    #[test]
    fn when_the_object_must_be_asked() {
        let mut immediate = client();
        immediate.consistency = Consistency::Immediate;
        assert!(replica(&immediate, &[(1, 0)]).standing(&token(2), 0).is_none());
        let ends: Vec<_> = (0..=MOST_ENDS).map(|nth| (nth, 0)).collect();
        assert!(replica(&client(), &ends).standing(&token(999), 0).is_none());
        let all = replica(&client(), &ends[1..]);
        assert!(all.standing(&token(0), 0).unwrap().is_ok());
        for nth in 1..=MOST_ENDS {
            assert!(all.standing(&token(nth), 0).unwrap().is_err(), "{nth}");
        }
        for unreadable in ["", "{}", "null", r#"{"version":2}"#] {
            assert!(Replica::parse(unreadable).is_none(), "{unreadable}");
        }
    }

    #[test]
    fn the_largest_is_small() {
        let scopes: Vec<_> = (0..64).map(|nth| format!("{}:{nth:063}", "r".repeat(64))).collect();
        let mut client = client();
        client.scopes = Scopes::parse(scopes.iter().map(String::as_str)).unwrap();
        let ends: Vec<_> = (0..MOST_ENDS).map(|nth| (nth, 1_800_000_000)).collect();
        assert!(replica(&client, &ends).to_json().len() < 32_000);
    }

    #[test]
    fn the_number_of_cached_replicas_is_bounded() {
        let cache = ReplicaCache::default();
        let value = Rc::new(replica(&client(), &[]));
        for nth in 0..10 * MAX_REPLICAS {
            cache.keep(&nth.to_string(), 1_000, Rc::clone(&value));
            for (now, is_kept) in [(999, false), (1_000, true), (1_249, true), (1_250, false)] {
                assert_eq!(cache.find(&nth.to_string(), now).is_some(), is_kept, "{now}");
            }
            assert!(cache.replicas.borrow().len() <= MAX_REPLICAS);
        }
    }
}
