//! The environment of the operations, in memory. Its services can fail, lag and lose answers, objects can crash, and
//! every call to a service waits for its turn, so that a test can run several requests in any order.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::ops::Deref;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use auth_edge::client::ask::{Answer, Ask};
use auth_edge::client::ground::Ground;
use auth_edge::client::jwk::{Algorithm, PublicJwk};
use auth_edge::client::object::Object;
use auth_edge::client::replica::{Clients, ReplicaCache};
use auth_edge::error::{Error, Unavailable};
use auth_edge::feed::{self, Ends};
use auth_edge::host::{Document, Host, Limit, Listed, Page};
use auth_edge::rows::{Commit, Row, Rows};
use auth_edge::settings::Settings;
use auth_edge::token::Signatures;
use auth_edge::token_id::Random;
use base64ct::{Base64UrlUnpadded, Encoding};
use ring::signature::{self, Ed25519KeyPair, UnparsedPublicKey};

/// The services whose calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Limit,
    /// KV, read for an exchange.
    Replica,
    /// KV, listed for an operator.
    List,
    /// KV, written by an object.
    Store,
    Object,
    /// The feed, read or reported to.
    Feed,
    Sign,
    Verify,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call has no effect.
    Nothing,
    /// The call takes effect, but its answer is a failure.
    AnswerLost,
    /// A write to KV times out, and lands when `land` is called.
    Late,
}

/// Everything that is stored.
#[derive(Clone, Default)]
pub struct State {
    /// KV: each client's replica, its status in the metadata, and until when it must be kept.
    pub replicas: BTreeMap<String, (String, String, Option<u64>)>,
    /// The rows of every object, by the client's id and their key.
    pub rows: BTreeMap<(String, String), Row>,
    /// When each object's alarm is due, Unix milliseconds.
    pub alarms: BTreeMap<String, u64>,
}

/// Decides whether and how a call fails, from its number and its service.
type Faults = Box<dyn Fn(usize, Part) -> Option<Fault>>;

/// A write to KV: the key and the new value.
type Write = (String, (String, String, Option<u64>));

/// An older state, and a function that decides whether the next read still shows it.
type Lag = (State, Box<dyn Fn() -> bool>);

/// One isolate, and the world that it shares with others.
pub struct World {
    pub shared: Rc<Shared>,
    settings: Rc<Settings>,
    replica_cache: ReplicaCache,
    feed_cache: feed::copy::FeedCache,
    lag: RefCell<Option<Lag>>,
    /// How many distinct random values were drawn; `None` if randomness fails.
    pub randoms: Cell<Option<u64>>,
    signing: Ed25519KeyPair,
    /// The keys that were counted against a limit.
    pub counted: RefCell<Vec<(Limit, String)>>,
    /// The limit that is exceeded.
    pub reached: Cell<Option<Limit>>,
    /// This isolate's requests to objects so far.
    pub asked: RefCell<Vec<String>>,
}

/// The world: the state that isolates and objects share.
pub struct Shared {
    pub state: RefCell<State>,
    /// The calls so far, in the order in which they were made.
    pub calls: RefCell<Vec<Part>>,
    /// Every value that was written to KV, confirmed or not.
    pub writes: RefCell<Vec<String>>,
    /// When each of these writes was begun, Unix milliseconds.
    pub written_at: RefCell<Vec<u64>>,
    /// The keys with a write in progress.
    writing: RefCell<Vec<String>>,
    /// The clock, Unix milliseconds.
    pub millis: Cell<u64>,
    /// Whether an alarm is running. Its calls are not counted.
    waking: Cell<bool>,
    faults: RefCell<Faults>,
    turns: RefCell<Turns>,
    objects: RefCell<BTreeMap<String, Rc<Object<Table>>>>,
    /// The writes to KV that timed out and have not landed.
    late: RefCell<Vec<Write>>,
    /// Whether the commit after the next write that times out fails too.
    pub loses_outcome: Cell<bool>,
    fails_commit: Cell<bool>,
    /// How long a write to KV takes in `run_in_time`, milliseconds.
    pub write_takes: Cell<u64>,
    /// Whether time passes by itself (`run_in_time`).
    in_time: Cell<bool>,
    next_wake: Cell<Option<u64>>,
}

impl Deref for World {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl World {
    /// `seed` is the private half of the key that signs short-term tokens.
    pub fn new(settings: Rc<Settings>, seed: &[u8]) -> Self {
        let shared = Shared {
            state: RefCell::default(),
            calls: RefCell::default(),
            writes: RefCell::default(),
            written_at: RefCell::default(),
            writing: RefCell::default(),
            millis: Cell::new(0),
            waking: Cell::new(false),
            faults: RefCell::new(Box::new(|_, _| None)),
            turns: RefCell::default(),
            objects: RefCell::default(),
            late: RefCell::default(),
            loses_outcome: Cell::default(),
            fails_commit: Cell::default(),
            write_takes: Cell::new(0),
            in_time: Cell::new(false),
            next_wake: Cell::new(None),
        };
        Self::isolate(Rc::new(shared), settings, seed)
    }

    fn isolate(shared: Rc<Shared>, settings: Rc<Settings>, seed: &[u8]) -> Self {
        Self {
            shared,
            settings,
            replica_cache: ReplicaCache::default(),
            feed_cache: feed::copy::FeedCache::default(),
            lag: RefCell::default(),
            randoms: Cell::new(Some(0)),
            signing: Ed25519KeyPair::from_seed_unchecked(seed).unwrap(),
            counted: RefCell::default(),
            reached: Cell::new(None),
            asked: RefCell::default(),
        }
    }

    /// Another isolate in the same world, at another location.
    pub fn elsewhere(&self, seed: &[u8]) -> Self {
        self.with(Rc::clone(&self.settings), seed)
    }

    /// The same world with other settings.
    pub fn with(&self, settings: Rc<Settings>, seed: &[u8]) -> Self {
        let other = Self::isolate(Rc::clone(&self.shared), settings, seed);
        // Ids contain random values, so the two must not draw the same ones.
        other.randoms.set(Some(u64::MAX / 2));
        other
    }

    fn object(&self, client_id: &str) -> Rc<Object<Table>> {
        let mut objects = self.objects.borrow_mut();
        let table = || Table { shared: Rc::clone(&self.shared), client_id: client_id.to_owned() };
        Rc::clone(objects.entry(client_id.to_owned()).or_insert_with(|| Rc::new(Object::new(table()))))
    }

    /// Drops every object from memory. Their storage stays.
    pub fn crash(&self) {
        self.objects.borrow_mut().clear();
    }

    /// From now on, a read by this isolate returns the present state whenever `lags` returns true.
    pub fn lag(&self, lags: impl Fn() -> bool + 'static) {
        *self.lag.borrow_mut() = Some((self.state.borrow().clone(), Box::new(lags)));
    }

    pub fn catch_up(&self) {
        *self.lag.borrow_mut() = None;
        self.forget_replicas();
    }

    async fn read<T: PartialEq>(&self, part: Part, read: impl Fn(&State) -> T) -> Result<T, Unavailable> {
        let lag = &self.lag;
        self.call(part, |state| match &*lag.borrow() {
            Some((old, lags)) if read(old) != read(state) && lags() => read(old),
            _ => read(state),
        })
        .await
    }

    /// Drops the replicas that this isolate has cached.
    pub fn forget_replicas(&self) {
        self.state.borrow().replicas.keys().for_each(|client_id| self.replica_cache.forget(client_id));
    }

    /// Runs an object's alarm, due or not.
    pub async fn ring(&self, client_id: &str) {
        self.state.borrow_mut().alarms.remove(client_id);
        let object = self.object(client_id);
        object.postpone_alarm().unwrap();
        // A failed alarm runs again.
        let _ = object.wake(&self.settings).await;
    }

    /// Like `ring`, once an exploration chooses its turn.
    pub async fn ring_in_turn(&self, client_id: &str) {
        Turn { world: &self.shared, part: Part::Object, ticket: None }.await;
        self.ring(client_id).await;
    }

    /// Runs every alarm that is due, until none is. Their calls are not counted.
    pub fn wake(&self) {
        for _ in 0..100 {
            let now = self.millis.get();
            let due = self.state.borrow().alarms.iter().find(|(_, at)| **at <= now).map(|(id, _)| id.clone());
            let Some(client_id) = due else { return };
            self.waking.set(true);
            run(self.ring(&client_id));
            self.waking.set(false);
        }
        panic!("an alarm is due after every run");
    }
}

impl Shared {
    /// Resets the count of calls.
    pub fn forget_calls(&self) {
        self.calls.borrow_mut().clear();
    }

    /// The calls since `forget_calls`, sorted.
    pub fn parts_called(&self) -> Vec<Part> {
        let mut parts = self.calls.borrow().clone();
        parts.sort();
        parts
    }

    pub fn fail(&self, faults: impl Fn(usize, Part) -> Option<Fault> + 'static) {
        self.forget_calls();
        *self.faults.borrow_mut() = Box::new(faults);
    }

    pub fn fail_part(&self, part: Part) {
        self.fail(move |_, called| (called == part).then_some(Fault::Nothing));
    }

    pub fn recover(&self) {
        self.fail(|_, _| None);
    }

    /// Lands the timed-out writes now, over newer values. Returns how many there were.
    pub fn land(&self) -> usize {
        let late = self.late.take();
        let landed = late.len();
        self.state.borrow_mut().replicas.extend(late);
        landed
    }

    /// Waits for a turn. Returns the fault to apply to the answer.
    async fn turn(&self, part: Part) -> Result<Option<Fault>, Unavailable> {
        // Alarms' calls are not counted, so they have no number that a fault could match.
        let nth = if self.waking.get() { usize::MAX } else { self.calls.borrow().len() };
        if !self.waking.get() {
            self.calls.borrow_mut().push(part);
        }
        Turn { world: self, part, ticket: None }.await;
        match (self.faults.borrow())(nth, part) {
            Some(Fault::Nothing) => Err(down(part)),
            fault => Ok(fault),
        }
    }

    async fn call<T>(&self, part: Part, act: impl FnOnce(&mut State) -> T) -> Result<T, Unavailable> {
        let fault = self.turn(part).await?;
        let answer = act(&mut self.state.borrow_mut());
        if fault.is_some() { Err(down(part)) } else { Ok(answer) }
    }

    /// Waits until the clock reaches this time. Only `run_in_time` advances it.
    async fn pass(&self, millis: u64) {
        let until = self.millis.get() + millis;
        std::future::poll_fn(|_| {
            if self.millis.get() >= until {
                return Poll::Ready(());
            }
            self.next_wake.set(Some(self.next_wake.get().map_or(until, |next| next.min(until))));
            Poll::Pending
        })
        .await;
    }
}

/// A write to KV in progress. Fails the test if there is another one to the same key.
struct Writing<'a>(&'a Shared, &'a str);

impl<'a> Writing<'a> {
    fn begin(shared: &'a Shared, key: &'a str) -> Self {
        let mut writing = shared.writing.borrow_mut();
        assert!(!writing.iter().any(|other| other == key), "two writes of {key} at the same time");
        writing.push(key.to_owned());
        Self(shared, key)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.writing.borrow_mut().retain(|other| other != self.1);
    }
}

/// An object's timeout for a write to KV, milliseconds.
const KV_TIMEOUT: u64 = 3_000;

/// The environment of one object.
struct Table {
    shared: Rc<Shared>,
    client_id: String,
}

impl Rows for Table {
    fn load(&self, key: &str) -> Result<Option<Row>, Unavailable> {
        Ok(self.shared.state.borrow().rows.get(&(self.client_id.clone(), key.to_owned())).cloned())
    }

    fn list(&self, prefix: &str, now: u64, limit: usize) -> Result<Vec<(String, Row)>, Unavailable> {
        let state = self.shared.state.borrow();
        let own = state.rows.iter().filter(|((client_id, _), _)| *client_id == self.client_id);
        let found = own.filter(|((_, key), row)| key.starts_with(prefix) && row.expires_at > now);
        Ok(found.take(limit).map(|((_, key), row)| (key.clone(), row.clone())).collect())
    }

    fn commit(&self, commit: &Commit) -> Result<(), Unavailable> {
        if self.shared.fails_commit.take() {
            return Err(down(Part::Object));
        }
        let state = &mut *self.shared.state.borrow_mut();
        state.rows.retain(|(client_id, _), row| *client_id != self.client_id || row.expires_at > commit.now);
        for (key, row) in &commit.rows {
            let key = (self.client_id.clone(), key.clone());
            match row {
                Some(row) => state.rows.insert(key, row.clone()),
                None => state.rows.remove(&key),
            };
        }
        match commit.alarm {
            Some(at) => state.alarms.insert(self.client_id.clone(), at),
            None => state.alarms.remove(&self.client_id),
        };
        Ok(())
    }

    fn wipe(&self) -> Result<(), Unavailable> {
        let state = &mut *self.shared.state.borrow_mut();
        state.rows.retain(|(client_id, _), _| *client_id != self.client_id);
        state.alarms.remove(&self.client_id);
        Ok(())
    }

    fn millis(&self) -> u64 {
        self.shared.millis.get()
    }
}

impl Ground for Table {
    /// Bytes that never repeat.
    fn random(&self, bytes: &mut [u8]) -> Result<(), Unavailable> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        for chunk in bytes.chunks_mut(8) {
            let next = NEXT.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).to_be_bytes();
            chunk.copy_from_slice(&next[..chunk.len()]);
        }
        Ok(())
    }

    async fn put(&self, key: &str, value: &str, status: &str, expires_at: Option<u64>) -> Result<(), Unavailable> {
        self.shared.writes.borrow_mut().push(value.to_owned());
        self.shared.written_at.borrow_mut().push(self.shared.millis.get());
        let _writing = Writing::begin(&self.shared, key);
        let write = (key.to_owned(), (value.to_owned(), status.to_owned(), expires_at));
        let mut fault = self.shared.turn(Part::Store).await?;
        if self.shared.in_time.get() {
            let takes = self.shared.write_takes.get();
            self.shared.pass(takes.min(KV_TIMEOUT)).await;
            fault = fault.or((takes > KV_TIMEOUT).then_some(Fault::Late));
        }
        if fault == Some(Fault::Late) {
            self.shared.fails_commit.set(self.shared.loses_outcome.take());
            self.shared.late.borrow_mut().push(write);
        } else {
            self.shared.state.borrow_mut().replicas.extend([write]);
        }
        if fault.is_some() { Err(down(Part::Store)) } else { Ok(()) }
    }

    async fn report(&self, ends: &[feed::End]) -> Result<(), Unavailable> {
        ask_feed(&self.shared, &feed::Ask::Report(ends.to_vec())).await.map(|_| ())
    }

    /// The pause between two writes takes no time here, so that a test controls the clock. The wait for the next second
    /// advances it.
    async fn sleep(&self, millis: u64) {
        if self.shared.in_time.get() {
            return self.shared.pass(millis).await;
        }
        if millis <= 1_000 {
            self.shared.millis.set(self.shared.millis.get() + millis);
        }
        Turn { world: &self.shared, part: Part::Sign, ticket: None }.await;
    }

    async fn verify(&self, key: &PublicJwk, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable> {
        self.shared.call(Part::Verify, |_| verify(key, message, signature)).await
    }
}

/// The feed's object is another process: requests and answers travel as JSON.
async fn ask_feed(shared: &Rc<Shared>, ask: &feed::Ask) -> Result<Ends, Unavailable> {
    let ask: feed::Ask = auth_edge::value::read(&serde_json::to_string(ask).unwrap()).unwrap();
    let fault = shared.turn(Part::Feed).await?;
    let table = Table { shared: Rc::clone(shared), client_id: feed::NAME.to_owned() + "!" };
    let answer = feed::object::Feed::new(table).answer(&ask)?;
    if fault.is_some() { Err(down(Part::Feed)) } else { Ok(answer) }
}

fn down(part: impl Debug) -> Unavailable {
    Unavailable::new("part", format!("{part:?} is down"))
}

impl Clients for World {
    async fn ask_object(&self, client_id: &str, _: Option<&str>, ask: &Ask) -> Result<Answer, Error> {
        // The object is another process: requests and answers travel as JSON.
        let json = serde_json::to_string(ask).unwrap();
        let ask: Ask = auth_edge::value::read(&json).unwrap();
        self.asked.borrow_mut().push(json);
        let fault = self.turn(Part::Object).await?;
        let answer = self.object(client_id).answer(&self.settings, client_id, ask).await;
        if fault.is_some() {
            return Err(down(Part::Object).into());
        }
        auth_edge::client::ask::read_answer(&serde_json::to_string(&answer).unwrap())
    }

    async fn replica(&self, client_id: &str) -> Result<Option<String>, Unavailable> {
        self.read(Part::Replica, |state| state.replicas.get(client_id).map(|(value, ..)| value.clone())).await
    }

    fn replica_cache(&self) -> &ReplicaCache {
        &self.replica_cache
    }

    fn millis(&self) -> u64 {
        self.millis.get()
    }
}

impl Host for World {
    fn document(&self, document: Document) -> String {
        let name = if document == Document::Docs { "docs" } else { "openapi" };
        let start = format!("export const {name} = () => ");
        let line =
            include_str!("../../assets/documents.js").lines().find_map(|line| line.strip_prefix(&start)).unwrap();
        serde_json::from_str(line.trim_end_matches(';')).unwrap()
    }

    async fn ask_feed(&self, ask: &feed::Ask) -> Result<Ends, Unavailable> {
        ask_feed(&self.shared, ask).await
    }

    fn feed_cache(&self) -> &feed::copy::FeedCache {
        &self.feed_cache
    }

    async fn list(&self, limit: u64, cursor: Option<&str>) -> Result<Page, Unavailable> {
        let limit = usize::try_from(limit).unwrap();
        let after = cursor.unwrap_or_default().to_owned();
        let listed = self.read(Part::List, |state| {
            let later = state.replicas.iter().filter(|(client_id, _)| **client_id > after);
            let listed = |(id, (_, status, _)): (&String, &(String, String, Option<u64>))| (id.clone(), status.clone());
            later.take(limit + 1).map(listed).collect::<Vec<_>>()
        });
        let mut clients = listed.await?;
        let more = clients.len() > limit;
        clients.truncate(limit);
        let cursor = clients.last().filter(|_| more).map(|(client_id, _)| client_id.clone());
        let listed = |(client_id, status)| Listed { client_id, status };
        Ok(Page { clients: clients.into_iter().map(listed).collect(), cursor })
    }

    fn random(&self) -> Result<Random, Unavailable> {
        let nth = self.randoms.get().ok_or_else(|| down("randomness"))? + 1;
        self.randoms.set(Some(nth));
        let mut random = Random::default();
        random[..8].copy_from_slice(&nth.to_be_bytes());
        Ok(random)
    }

    async fn within(&self, limit: Limit, key: &str) -> Result<bool, Unavailable> {
        self.counted.borrow_mut().push((limit, key.to_owned()));
        self.call(Part::Limit, |_| self.reached.get() != Some(limit)).await
    }

    /// The runtime would refuse a point off its curve; no test uses one here.
    async fn accepts(&self, key: &PublicJwk) -> Result<bool, Unavailable> {
        Ok(key.algorithm().is_ok())
    }
}

impl Signatures for World {
    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], Unavailable> {
        self.call(Part::Sign, |_| self.signing.sign(message).as_ref().try_into().unwrap()).await
    }

    async fn verify(&self, key: &PublicJwk, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable> {
        self.call(Part::Verify, |_| verify(key, message, signature)).await
    }
}

/// What WebCrypto verifies in the Worker.
pub fn verify(key: &PublicJwk, message: &[u8], signature: &[u8]) -> bool {
    let member = |text: &Option<String>| Base64UrlUnpadded::decode_vec(text.as_deref().unwrap_or_default()).unwrap();
    let rsa = || signature::RsaPublicKeyComponents { n: member(&key.n), e: member(&key.e) };
    let verified = match key.algorithm() {
        Err(_) => return false,
        Ok(Algorithm::EdDsa) => UnparsedPublicKey::new(&signature::ED25519, member(&key.x)).verify(message, signature),
        Ok(Algorithm::Es256) => {
            let point = [vec![4], member(&key.x), member(&key.y)].concat();
            UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
        }
        Ok(Algorithm::Rs256) => rsa().verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature),
        Ok(Algorithm::Ps256) => rsa().verify(&signature::RSA_PSS_2048_8192_SHA256, message, signature),
    };
    verified.is_ok()
}

/// The calls that wait for a turn, and the one that has it.
#[derive(Default)]
struct Turns {
    next: usize,
    waiting: Vec<usize>,
    /// The services whose calls wait to be chosen. Other calls proceed at once.
    chosen_from: &'static [Part],
    chosen: Option<usize>,
}

/// The wait of one call for its turn.
struct Turn<'a> {
    world: &'a Shared,
    part: Part,
    ticket: Option<usize>,
}

impl Future for Turn<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let mut turns = self.world.turns.borrow_mut();
        let Some(ticket) = self.ticket else {
            let ticket = turns.next;
            turns.next += 1;
            turns.waiting.push(ticket);
            drop(turns);
            self.ticket = Some(ticket);
            return Poll::Pending;
        };
        if turns.chosen_from.contains(&self.part) && turns.chosen != Some(ticket) {
            return Poll::Pending;
        }
        if turns.chosen == Some(ticket) {
            turns.chosen = None;
        }
        Poll::Ready(())
    }
}

/// A call waits no longer once it has had its turn or is dropped.
impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.world.turns.borrow_mut().waiting.retain(|waiting| Some(*waiting) != self.ticket);
    }
}

/// Runs one request; each of its calls gets its turn at once.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// Runs a request until a call to `part` waits for its turn. Calls to other services proceed. The test decides what
/// happens next.
pub fn run_up_to<T>(world: &World, part: &'static [Part], future: Pin<&mut impl Future<Output = T>>) {
    world.turns.borrow_mut().chosen_from = part;
    run_on(world, future);
}

/// Continues a request as far as it can go. Returns its response if it has finished.
pub fn run_on<T>(world: &World, mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    loop {
        let next = world.turns.borrow().next;
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(output);
        }
        if world.turns.borrow().next == next {
            return None;
        }
    }
}

/// From now on no call waits to be chosen.
pub fn let_go(world: &World) {
    let mut turns = world.turns.borrow_mut();
    (turns.chosen_from, turns.chosen) = (&[], None);
}

/// Runs requests concurrently, each starting at its own time (milliseconds from now). The clock advances whenever all
/// of them wait for it. Returns each result, and how long it took.
pub fn run_in_time<'a, T>(
    world: &World,
    futures: impl IntoIterator<Item = (u64, Pin<Box<dyn Future<Output = T> + 'a>>)>,
) -> Vec<(T, u64)> {
    world.in_time.set(true);
    let began = world.millis.get();
    let mut slots: Vec<_> = futures.into_iter().map(|(at, future)| (began + at, Err(future))).collect();
    let mut rounds_at_rest = 0;
    loop {
        world.next_wake.set(None);
        let (turns, now) = (world.turns.borrow().next, world.millis.get());
        let mut is_done = true;
        let mut progress = false;
        for (from, slot) in &mut slots {
            let Err(future) = slot else { continue };
            is_done = false;
            if *from > now {
                world.next_wake.set(Some(world.next_wake.get().map_or(*from, |next| next.min(*from))));
            } else if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                *slot = Ok((output, now - *from));
                progress = true;
            }
        }
        if is_done {
            break;
        }
        rounds_at_rest = if progress || world.turns.borrow().next != turns { 0 } else { rounds_at_rest + 1 };
        // Not after the first idle round, in which a future may have released a lock that an earlier one waits for.
        if rounds_at_rest > 1 {
            world.millis.set(world.next_wake.get().expect("a future waits for the clock"));
        }
    }
    world.in_time.set(false);
    slots.into_iter().map(|(_, slot)| slot.ok().unwrap()).collect()
}

/// Choices that differ in every run of an exploration.
#[derive(Clone, Default)]
pub struct Choices(Rc<RefCell<Script>>);

#[derive(Default)]
struct Script {
    /// Each choice, and how many alternatives it had.
    made: Vec<(usize, usize)>,
    at: usize,
}

impl Choices {
    pub fn choose(&self, of: usize) -> usize {
        let mut script = self.0.borrow_mut();
        if script.at == script.made.len() {
            script.made.push((0, of));
        }
        let (choice, then_of) = script.made[script.at];
        assert_eq!(of, then_of, "a run must depend only on its choices");
        script.at += 1;
        choice
    }

    /// Runs `scenario` once for every sequence of choices. Returns how many there are.
    pub fn explore(scenario: impl Fn(&Self)) -> usize {
        let choices = Self::default();
        for runs in 1.. {
            scenario(&choices);
            let mut script = choices.0.borrow_mut();
            script.at = 0;
            while script.made.last().is_some_and(|(choice, of)| choice + 1 == *of) {
                script.made.pop();
            }
            match script.made.last_mut() {
                Some((choice, _)) => *choice += 1,
                None => return runs,
            }
        }
        unreachable!("the number of runs is counted in a usize")
    }
}

/// Runs requests concurrently. At every call to one of `parts`, an exploration chooses which one continues.
pub fn run_together<'a, T>(
    world: &World,
    choices: &Choices,
    parts: &'static [Part],
    futures: impl IntoIterator<Item = Pin<Box<dyn Future<Output = T> + 'a>>>,
) -> Vec<T> {
    *world.turns.borrow_mut() = Turns { chosen_from: parts, ..Turns::default() };
    let mut futures: Vec<_> = futures.into_iter().map(Ok).collect();
    loop {
        // Polls until every request waits for a choice or has finished.
        loop {
            let next = world.turns.borrow().next;
            let mut done = 0;
            for slot in &mut futures {
                if let Ok(future) = slot
                    && let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
                {
                    *slot = Err(output);
                    done += 1;
                }
            }
            if world.turns.borrow().next == next && done == 0 {
                break;
            }
        }
        let mut turns = world.turns.borrow_mut();
        if turns.waiting.is_empty() {
            turns.chosen_from = &[];
            break;
        }
        turns.chosen = Some(turns.waiting[choices.choose(turns.waiting.len())]);
    }
    futures.into_iter().map(|slot| slot.err().unwrap()).collect()
}
