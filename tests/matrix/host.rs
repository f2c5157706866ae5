//! The world around the operations, in memory. Its parts can fail, lag and lose answers, and every call to one of them
//! waits for its turn, so that a test can run several requests in any order there is.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use auth_edge::error::Unavailable;
use auth_edge::host::{Host, Limit, Stored};
use auth_edge::keys::{Algorithm, PublicJwk};
use auth_edge::once::{self, Answer, Ask, Object, Row};
use auth_edge::revocation;
use auth_edge::token_id::Random;
use base64ct::{Base64UrlUnpadded, Encoding};
use futures_util::future::try_join3;
use futures_util::lock::Mutex;
use ring::signature::{self, Ed25519KeyPair, UnparsedPublicKey};

/// A part of the world, as the calls to it are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Limit,
    Client,
    Revocation,
    Store,
    Once,
    Sign,
    Verify,
}

/// What a part does instead of answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does nothing.
    Nothing,
    /// It does what was asked, but says that it failed.
    AnswerLost,
}

/// All that is stored.
#[derive(Clone, Default)]
pub struct State {
    pub clients: BTreeMap<String, String>,
    /// Entries, each with the time until which it must be kept.
    pub revocations: BTreeMap<String, (String, u64)>,
    /// The rows of every object, by the object's name and their key.
    pub rows: BTreeMap<(String, String), Row>,
}

/// Decides whether the nth call, to this part, fails.
type Faults = Box<dyn Fn(usize, Part) -> Option<Fault>>;

/// A state of the past, and whether the next read still shows it.
type Lag = (State, Box<dyn Fn() -> bool>);

pub struct World {
    pub state: RefCell<State>,
    /// The calls so far, in the order in which they were made.
    pub calls: RefCell<Vec<Part>>,
    /// How often a token's life was asked for.
    pub lives: Cell<usize>,
    /// The keys that were counted against a limit.
    pub counted: RefCell<Vec<(Limit, String)>>,
    /// The limit that is reached.
    pub reached: Cell<Option<Limit>>,
    /// How many random values were drawn, each another; `None` if there are none to be had.
    pub randoms: Cell<Option<u64>>,
    signing: Ed25519KeyPair,
    /// Which ends are being published.
    publishing: RefCell<BTreeMap<String, Rc<Mutex<()>>>>,
    /// The objects' clock, Unix seconds.
    pub now: Cell<u64>,
    faults: RefCell<Faults>,
    lag: RefCell<Option<Lag>>,
    turns: RefCell<Turns>,
}

impl World {
    /// `seed` is the private half of the key that signs short-term tokens.
    pub fn new(seed: &[u8]) -> Self {
        Self {
            state: RefCell::default(),
            calls: RefCell::default(),
            lives: Cell::new(0),
            counted: RefCell::default(),
            reached: Cell::new(None),
            randoms: Cell::new(Some(0)),
            signing: Ed25519KeyPair::from_seed_unchecked(seed).unwrap(),
            publishing: RefCell::default(),
            now: Cell::new(0),
            faults: RefCell::new(Box::new(|_, _| None)),
            lag: RefCell::new(None),
            turns: RefCell::default(),
        }
    }

    /// Forgets the calls so far, so that the next is the first again.
    pub fn forget_calls(&self) {
        self.calls.borrow_mut().clear();
        self.lives.set(0);
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

    /// From now on a read shows what is stored at this moment, whenever `lags` says so.
    pub fn lag(&self, lags: impl Fn() -> bool + 'static) {
        *self.lag.borrow_mut() = Some((self.state.borrow().clone(), Box::new(lags)));
    }

    pub fn catch_up(&self) {
        *self.lag.borrow_mut() = None;
    }

    /// Waits for a turn. What comes back is the fault that is left for the answer.
    async fn turn(&self, part: Part) -> Result<Option<Fault>, Unavailable> {
        let nth = self.calls.borrow().len();
        self.calls.borrow_mut().push(part);
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

    async fn read<T: PartialEq>(&self, part: Part, read: impl Fn(&State) -> T) -> Result<T, Unavailable> {
        self.call(part, |state| match &*self.lag.borrow() {
            Some((old, lags)) if read(old) != read(state) && lags() => read(old),
            _ => read(state),
        })
        .await
    }
}

/// One object: its rows, and its way to KV.
struct Table<'a> {
    world: &'a World,
    name: &'a str,
}

impl Object for Table<'_> {
    type Error = Unavailable;

    fn load(&self, key: &str) -> Result<Option<Row>, Unavailable> {
        Ok(self.world.state.borrow().rows.get(&(self.name.to_owned(), key.to_owned())).cloned())
    }

    fn save(&self, key: &str, row: &Row) -> Result<(), Unavailable> {
        let now = self.now();
        let rows = &mut self.world.state.borrow_mut().rows;
        rows.retain(|(object, _), row| object != self.name || row.expires_at > now);
        rows.insert((self.name.to_owned(), key.to_owned()), row.clone());
        Ok(())
    }

    async fn publish(&self, token_id: &str, ends_at: u64, expires_at: u64) -> Result<(), Unavailable> {
        let entry = (revocation::entry(ends_at), expires_at);
        self.world.call(Part::Store, |state| state.revocations.insert(token_id.to_owned(), entry)).await.map(|_| ())
    }

    fn publishing(&self, token_id: &str) -> Rc<Mutex<()>> {
        Rc::clone(self.world.publishing.borrow_mut().entry(token_id.to_owned()).or_default())
    }

    fn now(&self) -> u64 {
        self.world.now.get()
    }

    fn unreadable(_: &str) -> Unavailable {
        down(Part::Once)
    }
}

fn down(part: impl Debug) -> Unavailable {
    Unavailable { dependency: "part", problem: format!("{part:?} is down") }
}

impl Host for World {
    async fn client(&self, client_id: &str) -> Result<Option<String>, Unavailable> {
        self.read(Part::Client, |state| state.clients.get(client_id).cloned()).await
    }

    async fn life(&self, client_id: &str, token_id: &str, parent: Option<&str>) -> Result<Stored, Unavailable> {
        let end = async |token_id: Option<&str>| match token_id {
            Some(token_id) => {
                let entry = |state: &State| state.revocations.get(token_id).map(|(entry, _)| entry.clone());
                self.read(Part::Revocation, entry).await
            }
            None => Ok(None),
        };
        self.lives.set(self.lives.get() + 1);
        let (record, end, parent_end) = try_join3(self.client(client_id), end(Some(token_id)), end(parent)).await?;
        Ok(Stored { record, end, parent_end })
    }

    fn random(&self) -> Result<Random, Unavailable> {
        let nth = self.randoms.get().ok_or_else(|| down("randomness"))? + 1;
        self.randoms.set(Some(nth));
        let mut random = Random::default();
        random[4..].copy_from_slice(&nth.to_be_bytes());
        Ok(random)
    }

    async fn once(&self, name: &str, ask: &Ask) -> Result<Answer, Unavailable> {
        // The object is another process: the question travels as JSON.
        let ask: Ask = serde_json::from_str(&serde_json::to_string(ask).unwrap()).unwrap();
        let fault = self.turn(Part::Once).await?;
        let answer = once::answer(&Table { world: self, name }, &ask).await?;
        if fault.is_some() { Err(down(Part::Once)) } else { Ok(answer) }
    }

    async fn within(&self, limit: Limit, key: &str) -> Result<bool, Unavailable> {
        self.counted.borrow_mut().push((limit, key.to_owned()));
        self.call(Part::Limit, |_| self.reached.get() != Some(limit)).await
    }

    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], Unavailable> {
        self.call(Part::Sign, |_| self.signing.sign(message).as_ref().try_into().unwrap()).await
    }

    async fn verify(&self, key: &PublicJwk, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable> {
        self.call(Part::Verify, |_| verify(key, message, signature)).await
    }
}

/// What WebCrypto does in the Worker.
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

/// Who waits for a turn, and who has it.
#[derive(Default)]
struct Turns {
    next: usize,
    waiting: Vec<usize>,
    /// The parts whose calls wait to be chosen; all others go on by themselves.
    chosen_from: &'static [Part],
    chosen: Option<usize>,
}

/// The wait of one call for its turn.
struct Turn<'a> {
    world: &'a World,
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

/// Done, or given up because a call beside it failed: either way it waits no more.
impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.world.turns.borrow_mut().waiting.retain(|waiting| Some(*waiting) != self.ticket);
    }
}

/// Runs one request; every call of it has its turn at once.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// Choices that are made anew, and differently, in every run of an exploration.
#[derive(Clone, Default)]
pub struct Choices(Rc<RefCell<Script>>);

#[derive(Default)]
struct Script {
    /// What was chosen, and of how many.
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
        assert_eq!(of, then_of, "a run must depend on nothing but its choices");
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

/// Runs requests at the same time. At every call to one of `parts` it is chosen who goes on.
pub fn run_together<'a, T>(
    world: &World,
    choices: &Choices,
    parts: &'static [Part],
    futures: impl IntoIterator<Item = Pin<Box<dyn Future<Output = T> + 'a>>>,
) -> Vec<T> {
    *world.turns.borrow_mut() = Turns { chosen_from: parts, ..Turns::default() };
    let mut futures: Vec<_> = futures.into_iter().map(Ok).collect();
    loop {
        // Until all that goes on by itself has come to a call that must be chosen.
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
