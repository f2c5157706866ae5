//! A run: the simulated world of one seed, from its start until everything is idle.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use auth_edge::client::StoredSecret;
use auth_edge::client::jwk::PublicJwk;
use auth_edge::error::Unavailable;
use auth_edge::secret::Secret;
use auth_edge::settings::Settings;
use base64ct::{Base64UrlUnpadded, Encoding};
use ring::signature::Ed25519KeyPair;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::actors::{Actors, Errand};
use crate::chance::Chance;
use crate::checker;
use crate::history::{Entry, Part, Violation, What};
use crate::isolate::Isolate;
use crate::kv::{Kv, LOCATIONS, Lag, Version};
use crate::objects::{FEED, Home};
use crate::plan::{Act, CLIENTS, Clock, DEPUTY, FaultKind, LATER, Plan, ROOT, START, Severity};
use crate::world::World;

pub const ISSUER: &str = "https://auth.example.com";
pub const AUDIENCE: &str = "https://api.example.com";
pub const ROOTS_SECRET: &str = "the secret of root";
/// RFC 8037, appendix A.
const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
pub const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
/// All failures end after the last call. Everything that must happen without a call is done within this time after that,
/// milliseconds: the last rewrite comes an hour after a failure.
const MENDING: u64 = 65 * 60_000;
/// An unknown client's rows are wiped within this time after the last call and `SOON`, milliseconds.
const WIPED: u64 = 420_000;
/// Within this time after all failures have ended, every end is reported, milliseconds: a failed report is repeated
/// within a minute.
const SOON: u64 = 120_000;
/// More events than this mean that an alarm runs in a loop.
const MOST_STEPS: u64 = 50_000;
const MOST_STEPS_PER_ITEM: u64 = 200;
/// How long objects must be idle after `MENDING`, milliseconds.
const REST: u64 = 60 * 60_000;

pub struct Sim {
    pub seed: u64,
    pub plan: Plan,
    pub settings: Rc<Settings>,
    pub world: World,
    pub kv: Kv,
    pub lag: Cell<Lag>,
    /// No write is in flight any more, so KV shows the value that landed last.
    is_mended: Cell<bool>,
    pub chance: Chance,
    pub history: RefCell<Vec<Entry>>,
    homes: RefCell<BTreeMap<String, Rc<Home>>>,
    isolates: RefCell<Vec<Rc<Isolate>>>,
    /// Current failures: which, how often, and until when.
    faults: RefCell<Vec<(FaultKind, u64, u64)>>,
    signing: Ed25519KeyPair,
    /// Every signature made.
    signed: RefCell<HashMap<Vec<u8>, Signed>>,
}

struct Signed {
    /// The public key that verifies the signature.
    public: String,
    message: Vec<u8>,
}

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    pub steps: u64,
    pub history: Vec<Entry>,
    pub violation: Option<Violation>,
}

impl Sim {
    /// Runs a plan.
    pub fn run(plan: &Plan) -> Outcome {
        let Some(sim) = Self::begin(plan.clone()) else {
            unreachable!("the settings and keys of the simulation are valid");
        };
        let actors = Actors::new(&sim);
        actors.set_up();
        sim.lag.set(if plan.severity == Severity::Wild { Lag::Wild } else { Lag::Usual });
        for item in &plan.items {
            let (weak, actors, item) = (Rc::downgrade(&sim), Rc::clone(&actors), item.clone());
            let begun = START + item.at;
            sim.world.after(begun.saturating_sub(sim.world.now()), item.number as u64, move || {
                if let Some(sim) = weak.upgrade() {
                    sim.perform(&actors, item.number, item.act);
                }
            });
        }
        let last = plan.items.iter().map(|item| item.at).max().unwrap_or(0);
        // A call may take a minute, and may be repeated.
        sim.world.run_until(START + last + 240_000);
        sim.heal();
        // What an object reports must be reported by now; what KV shows may take until the last rewrite.
        sim.world.run_until(sim.world.now() + SOON);
        actors.look_around();
        sim.world.run_until(sim.world.now() + WIPED);
        for client in clients() {
            let rows = sim.home(client).rows();
            sim.note(0, What::AtRest { client: client.to_owned(), rows, alarms: 0 });
        }
        sim.world.run_until(sim.world.now() + MENDING - WIPED);
        sim.is_mended.set(true);
        actors.look_around();
        let alarms = sim.alarms();
        sim.world.run_until(sim.world.now() + REST);
        for (client, before) in alarms {
            let home = sim.home(&client);
            let at_rest = What::AtRest { client, rows: home.rows(), alarms: home.alarms() - before };
            sim.note(0, at_rest);
        }
        actors.end();
        sim.end()
    }

    fn begin(plan: Plan) -> Option<Rc<Self>> {
        let settings = settings(plan.grace)?;
        let signing = Ed25519KeyPair::from_seed_unchecked(&Base64UrlUnpadded::decode_vec(SEED).ok()?).ok()?;
        let sim = Rc::new(Self {
            seed: plan.seed,
            settings: Rc::new(settings),
            // The calls that set up the world are not checked.
            world: World::beginning(START - 3_600_000, MOST_STEPS + MOST_STEPS_PER_ITEM * plan.items.len() as u64),
            kv: Kv::default(),
            lag: Cell::new(Lag::None),
            is_mended: Cell::new(false),
            chance: Chance::of(plan.seed, "world"),
            history: RefCell::default(),
            homes: RefCell::default(),
            isolates: RefCell::default(),
            faults: RefCell::default(),
            signing,
            signed: RefCell::default(),
            plan,
        });
        for location in 0..LOCATIONS {
            let isolate = Isolate::new(&sim, location);
            sim.isolates.borrow_mut().push(isolate);
        }
        Some(sim)
    }

    fn end(self: Rc<Self>) -> Outcome {
        self.world.end();
        self.homes.borrow().values().for_each(|home| home.end());
        let history = self.history.take();
        let rests = !self.world.never_rests();
        let unrest = Violation {
            promise: "The service becomes idle in the end",
            instead: format!("it is still active after {} events", self.world.steps()),
            at: self.world.now(),
        };
        let violation = checker::check(&self.plan, &history).or_else(|| Some(unrest).filter(|_| !rests));
        Outcome { steps: self.world.steps(), history, violation }
    }

    fn perform(self: &Rc<Self>, actors: &Rc<Actors>, number: usize, act: Act) {
        match act {
            Act::Call { location, tries, operator, call } => {
                actors.begin(Errand { number, location, operator }, tries, call);
            }
            Act::Fault { kind, percent, millis } => {
                let (what, seconds) = (kind.told(), millis.div_ceil(1000));
                self.tell(format!("for {seconds} s, in {percent} of 100 cases: {what}"));
                self.faults.borrow_mut().push((kind, percent, self.world.now() + millis));
            }
            Act::Crash { object, when } => self.home(object).plan_crash(when),
            Act::Evict { location } => {
                let new = Isolate::new(self, location);
                let old = std::mem::replace(&mut self.isolates.borrow_mut()[location], new);
                self.fault(Part::Location(location), format!("the isolate at location {location} dies"));
                self.world.kill(old.machine);
            }
            Act::SetClock { of, offset } => {
                let offset = offset * self.plan.skew as i64 / 2_000;
                let of = match of {
                    Clock::Location(location) => {
                        self.isolate(location).offset.set(offset);
                        Part::Location(location)
                    }
                    Clock::Object(object) => {
                        self.home(object).set_clock(offset);
                        Part::Object(object.to_owned())
                    }
                };
                self.note(0, What::ClockSet { of, offset });
            }
        }
    }

    /// Ends all failures.
    fn heal(&self) {
        self.faults.borrow_mut().clear();
        self.homes.borrow().values().for_each(|home| home.cancel_crash());
        self.lag.set(Lag::None);
        self.note(0, What::Healed);
    }

    /// What KV shows without lag: while writes may land late, the landed value that was written last; after that, the
    /// one that landed last.
    pub fn shown_by_kv(&self, key: &str) -> Option<Version> {
        if self.is_mended.get() { self.kv.current(key) } else { self.kv.newest(key) }
    }

    /// What KV lists: each client, and its status.
    pub fn listed_by_kv(&self) -> Vec<(String, String)> {
        let status = |key: String| self.shown_by_kv(&key).map(|version| (key, version.status));
        self.kv.keys().into_iter().filter_map(status).collect()
    }

    /// Whether this failure happens now.
    pub fn occurs(&self, kind: FaultKind, chance: &Chance) -> bool {
        let now = self.world.now();
        self.faults
            .borrow()
            .iter()
            .any(|(other, percent, until)| *other == kind && now < *until && chance.percent(*percent))
    }

    pub fn note(&self, call: usize, what: What) {
        self.history.borrow_mut().push(Entry { at: self.world.now(), call, what });
    }

    pub fn tell(&self, text: String) {
        self.note(0, What::Told { text, fault: None });
    }

    pub fn fault(&self, of: Part, text: String) {
        self.note(0, What::Told { text, fault: Some(of) });
    }

    pub fn home(self: &Rc<Self>, object: &str) -> Rc<Home> {
        let mut homes = self.homes.borrow_mut();
        Rc::clone(homes.entry(object.to_owned()).or_insert_with(|| Home::new(self, object)))
    }

    fn alarms(&self) -> Vec<(String, u64)> {
        let homes = self.homes.borrow();
        homes.iter().filter(|(id, _)| *id != FEED).map(|(id, home)| (id.clone(), home.alarms())).collect()
    }

    pub fn isolate(&self, location: usize) -> Rc<Isolate> {
        Rc::clone(&self.isolates.borrow()[location])
    }

    /// The offset from the true time of a newly started machine's clock.
    pub fn offset(&self, chance: &Chance) -> i64 {
        chance.between(0, 2 * self.plan.skew) as i64 - self.plan.skew as i64
    }

    /// The service's signature.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature = self.signing.sign(message);
        self.remember(signature.as_ref(), PUBLIC, message);
        signature.as_ref().try_into().unwrap_or([0; 64])
    }

    /// A client's signature. Only `is_signed` verifies it, so it need not be a true one.
    pub fn sign_as(&self, public: &str, message: &[u8]) -> [u8; 64] {
        let half = Sha256::digest([public.as_bytes(), message].concat());
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&half);
        self.remember(&signature, public, message);
        signature
    }

    fn remember(&self, signature: &[u8], public: &str, message: &[u8]) {
        let signed = Signed { public: public.to_owned(), message: message.to_vec() };
        self.signed.borrow_mut().insert(signature.to_vec(), signed);
    }

    pub fn is_signed(&self, key: &PublicJwk, message: &[u8], signature: &[u8]) -> bool {
        let is_same = |signed: &Signed| key.x.as_ref() == Some(&signed.public) && signed.message == message;
        self.signed.borrow().get(signature).is_some_and(is_same)
    }
}

impl FaultKind {
    const fn told(self) -> &'static str {
        match self {
            Self::KvReads => "KV refuses to be read",
            Self::KvWrites => "KV refuses to be written",
            Self::KvHangs => "a write to KV hangs",
            Self::Feed => "the feed's object does not answer in time",
            Self::Calls => "a call to a client's object is lost or late",
            Self::Doubles => "a call to an object arrives twice",
            Self::Storage => "an object can't store",
            Self::Alarms => "alarms run late",
        }
    }
}

pub fn down(part: &str) -> Unavailable {
    Unavailable::new("simulation", format!("{part} is down"))
}

/// The ids that an operator may create or change, and the one that it can't.
pub fn clients() -> impl Iterator<Item = &'static str> {
    CLIENTS.into_iter().chain(LATER).chain([DEPUTY, ROOT])
}

fn settings(grace: u64) -> Option<Settings> {
    let octets = |byte: u8| Base64UrlUnpadded::encode_string(&[byte; 32]);
    let keys = json!({"keys": [
        {"kty": "oct", "use": "lt+jwt", "kid": "l1", "alg": "HS256", "k": octets(1)},
        {"kty": "OKP", "crv": "Ed25519", "use": "at+jwt", "kid": "s1", "alg": "EdDSA", "x": PUBLIC, "d": SEED},
        {"kty": "oct", "use": "token-id", "kid": "i1", "alg": "HS256", "k": octets(3)},
        {"kty": "oct", "use": "totp-seal", "kid": "t1", "alg": "XC20P", "k": octets(4)},
    ]});
    let created_at = START / 1000 - 86_400;
    let secret = StoredSecret::new("root", &Secret::new(ROOTS_SECRET), [8; 16], created_at);
    let operator = json!({
        "client_id": ROOT, "created_at": created_at, "secrets": [secret], "mechanisms": ["secret", "rotation"],
        "scopes": ["clients:read", "clients:write", "tokens:revoke", "tokens:write", "tokens:introspect"],
    });
    let lookup = |name: &str| match name {
        "AUTH_KEYS" => Some(keys.to_string()),
        "ISSUER" => Some(ISSUER.to_owned()),
        "AUDIENCE" => Some(AUDIENCE.to_owned()),
        "OPERATOR" => Some(operator.to_string()),
        "ROTATION_GRACE_SECONDS" => Some(grace.to_string()),
        _ => None,
    };
    Settings::read(|name| Ok(lookup(name))).ok()
}
