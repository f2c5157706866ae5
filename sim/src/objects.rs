//! The Durable Objects: rows that outlive instances, instances that die between any two steps, an alarm each, and their
//! environment. `auth_edge::client::object` and `auth_edge::feed::object` run in them, unchanged.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use auth_edge::client::ask::{Ask, Envelope};
use auth_edge::client::ground::Ground;
use auth_edge::client::jwk::PublicJwk;
use auth_edge::client::object::Object;
use auth_edge::error::{Error, Unavailable};
use auth_edge::feed::object::Feed;
use auth_edge::feed::{self, Ends};
use auth_edge::rows::{Commit, Row, Rows};
use auth_edge::value;

use crate::chance::Chance;
use crate::history::{Part, What};
use crate::kv::Write;
use crate::plan::{FaultKind, When};
use crate::sim::{Sim, down};
use crate::world::{Machine, Reply, Wait, reply};

/// The name of the feed's object, which no client can have as its id.
pub const FEED: &str = "feed!";
/// How long an object waits for a write to KV or for the feed, milliseconds.
const TIMEOUT: u64 = 3_000;
/// How long after its start a timed-out write may land, milliseconds. The promise excludes writes that land after the
/// last rewrite, which comes after an hour.
const LATEST_LANDING: u64 = 55 * 60_000;

/// The shortest time after which an idle instance is evicted, milliseconds.
const LEAST_IDLE: u64 = 10_000;

/// An object's storage, and its instance, if there is one.
pub struct Home {
    sim: Weak<Sim>,
    id: String,
    rows: RefCell<BTreeMap<String, Row>>,
    /// When the alarm runs, Unix milliseconds, and the number of that setting.
    alarm: Cell<(Option<u64>, u64)>,
    alarms: Cell<u64>,
    instance: RefCell<Option<Instance>>,
    /// The offset of its machine's clock from the true time.
    offset: Cell<i64>,
    /// How often it was called.
    called: Cell<u64>,
    /// When the instance dies.
    planned_crash: Cell<Option<When>>,
    /// Whether a write to KV is awaited.
    writing: Cell<bool>,
    chance: Chance,
}

#[derive(Clone)]
struct Instance {
    machine: Machine,
    body: Body,
}

#[derive(Clone)]
enum Body {
    Client(Rc<Object<Table>>),
    Feed(Rc<Feed<Table>>),
}

/// An instance's environment.
pub struct Table {
    home: Rc<Home>,
    machine: Machine,
}

impl Home {
    pub fn new(sim: &Rc<Sim>, id: &str) -> Rc<Self> {
        Rc::new(Self {
            sim: Rc::downgrade(sim),
            id: id.to_owned(),
            rows: RefCell::default(),
            alarm: Cell::default(),
            alarms: Cell::default(),
            instance: RefCell::default(),
            offset: Cell::new(0),
            called: Cell::default(),
            planned_crash: Cell::default(),
            writing: Cell::default(),
            chance: Chance::of(sim.seed, &format!("object {id}")),
        })
    }

    fn sim(&self) -> Rc<Sim> {
        // The world outlives its homes.
        self.sim.upgrade().unwrap_or_else(|| unreachable!("the world has ended"))
    }

    fn fault(&self, text: &str) {
        self.sim().fault(Part::Object(self.id.clone()), format!("object {}: {text}", self.id));
    }

    pub fn rows(&self) -> usize {
        self.rows.borrow().len()
    }

    pub fn alarms(&self) -> u64 {
        self.alarms.get()
    }

    pub fn set_clock(&self, offset: i64) {
        self.offset.set(offset);
    }

    pub fn plan_crash(&self, when: When) {
        match when {
            When::Now => self.die(),
            when => self.planned_crash.set(Some(when)),
        }
    }

    /// Cancels the planned crash.
    pub fn cancel_crash(&self) {
        self.planned_crash.set(None);
    }

    /// The instance dies. What it sent stays in flight; what it awaited is lost.
    fn die(&self) {
        self.planned_crash.set(None);
        let Some(instance) = self.instance.take() else { return };
        self.fault("the instance dies");
        self.sim().world.kill(instance.machine);
        self.writing.set(false);
    }

    /// Drops the instance, and with it its reference to the world.
    pub fn end(&self) {
        self.instance.take();
    }

    fn instance(self: &Rc<Self>) -> Instance {
        self.evict_when_idle();
        if let Some(instance) = &*self.instance.borrow() {
            return instance.clone();
        }
        let sim = self.sim();
        let machine = sim.world.machine();
        self.offset.set(sim.offset(&self.chance));
        let table = Table { home: Rc::clone(self), machine };
        let body = if self.id == FEED {
            Body::Feed(Rc::new(Feed::new(table)))
        } else {
            Body::Client(Rc::new(Object::new(table)))
        };
        let instance = Instance { machine, body };
        self.instance.replace(Some(instance.clone()));
        instance
    }

    /// Evicts the instance if it has not been called for some time and awaits nothing, as the runtime does.
    fn evict_when_idle(self: &Rc<Self>) {
        let call = self.called.get() + 1;
        self.called.set(call);
        let home = Rc::downgrade(self);
        let idle = self.chance.between(LEAST_IDLE, 8 * LEAST_IDLE);
        self.sim().world.after(idle, self.chance.next(), move || {
            let Some(home) = home.upgrade().filter(|home| home.called.get() == call) else { return };
            let is_idle = |instance: &Instance| !home.sim().world.has_tasks(instance.machine);
            if home.instance.borrow().as_ref().is_some_and(is_idle) {
                home.instance.take();
            }
        });
    }

    /// A request arrives. The answer leaves after `back` more milliseconds.
    fn take(self: &Rc<Self>, question: &str, reply: Reply<String>, back: u64) {
        let sim = self.sim();
        let Instance { machine, body } = self.instance();
        match body {
            Body::Feed(feed) => {
                let Some(ask) = value::read::<feed::Ask>(question) else { return };
                let answer = serde_json::to_string(&feed.answer(&ask)).unwrap_or_default();
                self.crash_if_planned();
                sim.world.after(back, self.chance.next(), move || reply.send(answer));
            }
            Body::Client(object) => {
                let Some(Envelope { client_id, ask }) = value::read::<Envelope<String, Ask>>(question) else { return };
                let (settings, home) = (Rc::clone(&sim.settings), Rc::clone(self));
                sim.world.spawn(machine, async move {
                    let answer: Result<_, Error> = object.answer(&settings, &client_id, ask).await;
                    let answer = serde_json::to_string(&answer).unwrap_or_default();
                    let world = &home.sim().world;
                    world.after(back, home.chance.next(), move || reply.send(answer));
                });
            }
        }
    }

    fn set_alarm(self: &Rc<Self>, at: Option<u64>) {
        let (old, number) = self.alarm.get();
        if old == at {
            return;
        }
        self.alarm.set((at, number + 1));
        if let Some(at) = at {
            let sim = self.sim();
            let mut wait = at.saturating_sub(sim.world.now()) + self.chance.below(300);
            if sim.occurs(FaultKind::Alarms, &self.chance) {
                wait += self.chance.below(60_000);
                self.fault("the alarm runs late");
            }
            self.ring_after(wait, number + 1);
        }
    }

    fn ring_after(self: &Rc<Self>, millis: u64, number: u64) {
        let home = Rc::downgrade(self);
        self.sim().world.after(millis, self.chance.next(), move || {
            if let Some(home) = home.upgrade().filter(|home| home.alarm.get() == (home.alarm.get().0, number)) {
                home.ring();
            }
        });
    }

    /// The alarm. The runtime repeats one that throws.
    fn ring(self: &Rc<Self>) {
        let (Some(_), number) = self.alarm.get() else { return };
        self.alarm.set((None, number));
        self.alarms.set(self.alarms.get() + 1);
        let sim = self.sim();
        let Instance { machine, body: Body::Client(object) } = self.instance() else { return };
        let home = Rc::clone(self);
        sim.world.spawn(machine, async move {
            if object.postpone_alarm().is_err() {
                home.alarm.set((Some(home.sim().world.now()), number));
                return home.ring_after(2_000, number);
            }
            let settings = Rc::clone(&home.sim().settings);
            // A failure is logged and stays due.
            let _ = object.wake(&settings).await;
        });
    }

    /// Called after a commit, when a planned crash may happen.
    fn crash_if_planned(&self) {
        if let Some(When::Commits(left)) = self.planned_crash.get() {
            match left {
                0..=1 => self.die(),
                _ => self.planned_crash.set(Some(When::Commits(left - 1))),
            }
        }
    }
}

impl Rows for Table {
    fn load(&self, key: &str) -> Result<Option<Row>, Unavailable> {
        Ok(self.home.rows.borrow().get(key).cloned())
    }

    fn list(&self, prefix: &str, now: u64, limit: usize) -> Result<Vec<(String, Row)>, Unavailable> {
        let rows = self.home.rows.borrow();
        let from = rows.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        Ok(from
            .filter(|(_, row)| row.expires_at > now)
            .take(limit)
            .map(|(key, row)| (key.clone(), row.clone()))
            .collect())
    }

    fn commit(&self, commit: &Commit) -> Result<(), Unavailable> {
        let sim = self.home.sim();
        if sim.occurs(FaultKind::Storage, &self.home.chance) {
            self.home.fault("a commit fails");
            return Err(down("storage"));
        }
        {
            let mut rows = self.home.rows.borrow_mut();
            if !commit.rows.is_empty() {
                rows.retain(|_, row| row.expires_at > commit.now);
            }
            for (key, row) in &commit.rows {
                match row {
                    Some(row) => rows.insert(key.clone(), row.clone()),
                    None => rows.remove(key),
                };
            }
        }
        if self.home.id != FEED {
            self.home.set_alarm(commit.alarm);
            // The feed's instance dies at the end of its step.
            self.home.crash_if_planned();
        }
        Ok(())
    }

    fn wipe(&self) -> Result<(), Unavailable> {
        self.home.rows.borrow_mut().clear();
        self.home.set_alarm(None);
        Ok(())
    }

    fn millis(&self) -> u64 {
        self.home.sim().world.now().saturating_add_signed(self.home.offset.get())
    }
}

impl Ground for Table {
    fn random(&self, bytes: &mut [u8]) -> Result<(), Unavailable> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.home.chance.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }

    async fn put(&self, key: &str, value: &str, status: &str, _: Option<u64>) -> Result<(), Unavailable> {
        let (sim, chance) = (self.home.sim(), &self.home.chance);
        let begun = sim.world.now();
        let is_awaited = self.home.writing.replace(true);
        sim.note(0, What::Written { client: key.to_owned(), instance: self.machine, is_awaited });
        let _writing = Writing(&self.home);
        let takes = chance.between(5, 300);
        if sim.occurs(FaultKind::KvWrites, chance) {
            sim.fault(Part::Kv(key.to_owned()), format!("KV refuses to write {key}"));
            sim.world.pause(takes, chance.next()).await;
            return Err(down("KV"));
        }
        if !sim.kv.admits(key, begun) {
            sim.tell(format!("KV refuses to write {key}: too many writes"));
            sim.world.pause(takes, chance.next()).await;
            return Err(down("KV"));
        }
        let mut landing = Landing {
            sim: Rc::clone(&sim),
            write: Rc::new(Write { key: key.to_owned(), value: value.to_owned(), status: status.to_owned(), begun }),
            is_over: Rc::new(Cell::new(false)),
            fate: chance.next(),
        };
        if sim.occurs(FaultKind::KvHangs, chance) {
            sim.fault(Part::Kv(key.to_owned()), format!("KV hangs while it writes {key}"));
            match chance.below(10) {
                0..=2 => landing.after(chance.between(10, TIMEOUT)),
                3..=4 => landing.after(TIMEOUT + chance.below(20_000)),
                5..=7 => landing.after(TIMEOUT + chance.below(LATEST_LANDING)),
                _ => landing.is_over.set(true),
            }
            sim.world.pause(TIMEOUT, chance.next()).await;
            landing.fate = 0;
            return Err(down("KV"));
        }
        landing.after(takes * chance.between(1, 9) / 10);
        if let Some(When::Write) = self.home.planned_crash.get() {
            let home = Rc::clone(&self.home);
            sim.world.after(chance.below(takes), chance.next(), move || home.die());
        }
        sim.world.pause(takes, chance.next()).await;
        Ok(())
    }

    async fn report(&self, ends: &[feed::End]) -> Result<(), Unavailable> {
        let sim = self.home.sim();
        ask_feed(&sim, &feed::Ask::Report(ends.to_vec()), TIMEOUT, &self.home.chance).await.map(|_| ())
    }

    async fn sleep(&self, millis: u64) {
        // A clock that is behind may take a little longer.
        self.home.sim().world.pause(millis, self.home.chance.next()).await;
    }

    async fn verify(&self, key: &PublicJwk, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable> {
        let sim = self.home.sim();
        sim.world.pause(self.home.chance.between(1, 60), self.home.chance.next()).await;
        Ok(sim.is_signed(key, message, signature))
    }
}

struct Writing<'a>(&'a Home);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.writing.set(false);
    }
}

/// A write in flight. If the object dies while awaiting it, it may land late or never.
struct Landing {
    sim: Rc<Sim>,
    write: Rc<Write>,
    /// It has landed, or will not land normally any more.
    is_over: Rc<Cell<bool>>,
    fate: u64,
}

impl Landing {
    fn after(&self, millis: u64) {
        Self::land_after(&self.sim, &self.write, &self.is_over, millis, self.fate);
    }

    fn land_after(sim: &Rc<Sim>, write: &Rc<Write>, is_over: &Rc<Cell<bool>>, millis: u64, tie: u64) {
        let (weak, write, is_over) = (Rc::downgrade(sim), Rc::clone(write), Rc::clone(is_over));
        sim.world.after(millis, tie, move || {
            let Some(sim) = weak.upgrade().filter(|_| !is_over.replace(true)) else { return };
            let (now, Write { key, begun, .. }) = (sim.world.now(), &*write);
            if now > begun + TIMEOUT {
                sim.tell(format!("a write of {key} lands that began {} ms ago", now - begun));
            }
            sim.kv.land(&write, now, sim.lag.get(), &sim.chance);
        });
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !self.fate.is_multiple_of(3) && !self.is_over.replace(true) {
            let is_over = Rc::new(Cell::new(self.fate.is_multiple_of(2)));
            Self::land_after(&self.sim, &self.write, &is_over, self.fate % LATEST_LANDING, self.fate);
        }
    }
}

/// Sends a request to an object. `None`: no answer came in time; the request may or may not have taken effect.
pub async fn call(
    sim: &Rc<Sim>,
    object: &str,
    question: String,
    timeout: u64,
    chance: &Chance,
    doubled: Option<&Cell<bool>>,
) -> Option<String> {
    let home = sim.home(object);
    let kind = if object == FEED { FaultKind::Feed } else { FaultKind::Calls };
    let (mut out, mut back) = (chance.between(1, 60), chance.between(1, 60));
    let (reply, wait) = reply();
    if sim.occurs(kind, chance) {
        match chance.below(5) {
            4 => {
                back = chance.between(100, timeout);
                home.fault(&format!("an answer takes {back} ms"));
            }
            0 => {
                home.fault("a call is lost");
                sim.world.pause(out, chance.next()).await;
                return None;
            }
            1 => {
                home.fault("an answer comes too late");
                back = timeout + out;
            }
            _ => {
                out = chance.between(100, 40_000);
                home.fault(&format!("a call takes {out} ms"));
            }
        }
    }
    let send = |reply: Reply<String>, out: u64, back: u64| {
        let (home, question) = (Rc::clone(&home), question.clone());
        sim.world.after(out, chance.next(), move || home.take(&question, reply, back));
    };
    if doubled.is_some() && sim.occurs(FaultKind::Doubles, chance) {
        home.fault("a call arrives twice");
        if let Some(doubled) = doubled {
            doubled.set(true);
        }
        let (unheard, _) = crate::world::reply();
        send(unheard, chance.between(1, 4_000), back);
    }
    send(reply, out, back);
    within(sim, wait, timeout, chance).await
}

/// The answer, if it comes within `timeout` milliseconds.
async fn within<T: 'static>(sim: &Rc<Sim>, wait: Wait<T>, timeout: u64, chance: &Chance) -> Option<T> {
    let (over, timer) = reply::<()>();
    sim.world.after(timeout, chance.next(), move || over.send(()));
    match futures_util::future::select(wait, timer).await {
        futures_util::future::Either::Left((answer, _)) => answer,
        futures_util::future::Either::Right(_) => None,
    }
}

pub async fn ask_feed(sim: &Rc<Sim>, ask: &feed::Ask, timeout: u64, chance: &Chance) -> Result<Ends, Unavailable> {
    let question = serde_json::to_string(ask).map_err(|_| down("the feed"))?;
    // Reports may be duplicated, because a duplicate must change nothing.
    let doubled = Cell::new(false);
    let doubled = matches!(ask, feed::Ask::Report(_)).then_some(&doubled);
    let answer = call(sim, FEED, question, timeout, chance, doubled).await.ok_or_else(|| down("the feed"))?;
    value::read::<Result<Ends, Unavailable>>(&answer).unwrap_or_else(|| Err(down("the feed")))
}

/// Asks the feed's object directly, without failures.
pub fn feed_now(sim: &Rc<Sim>, ask: &feed::Ask) -> Result<Ends, Unavailable> {
    match sim.home(FEED).instance().body {
        Body::Feed(feed) => feed.answer(ask),
        Body::Client(_) => Err(down("the feed")),
    }
}
