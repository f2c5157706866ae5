//! Time and tasks: a single-threaded executor in which time passes only from one event to the next.
//!
//! Events in the same millisecond are ordered by chance. A task belongs to a machine (an isolate, or an instance of an
//! object), and dies with it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BinaryHeap, HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Identifies a machine. Callers are on a machine that never dies.
pub type Machine = u64;
pub const NO_MACHINE: Machine = 0;

type Task = Pin<Box<dyn Future<Output = ()>>>;

#[derive(Default)]
pub struct World {
    /// The true time, Unix milliseconds. Every machine's clock differs from it.
    now: Cell<u64>,
    /// The number of events so far, and its limit.
    steps: Cell<u64>,
    most_steps: u64,
    events: RefCell<BinaryHeap<Event>>,
    order: Cell<u64>,
    tasks: RefCell<BTreeMap<u64, (Machine, Option<Task>)>>,
    machines: Cell<Machine>,
    /// The machine whose task is being polled, and those that died while it was.
    polled: Cell<Machine>,
    dying: RefCell<HashSet<Machine>>,
    ready: Arc<Ready>,
}

/// The tasks that can continue.
#[derive(Default)]
struct Ready(Mutex<VecDeque<u64>>);

struct TaskWaker(u64, Arc<Ready>);

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.1.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.0);
    }
}

struct Event {
    at: u64,
    tie: u64,
    order: u64,
    act: Box<dyn FnOnce()>,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    /// The earliest event is the greatest, because the heap returns the greatest first.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.tie, other.order).cmp(&(self.at, self.tie, self.order))
    }
}

impl World {
    pub fn beginning(now: u64, most_steps: u64) -> Self {
        Self { now: Cell::new(now), most_steps, ..Self::default() }
    }

    pub fn now(&self) -> u64 {
        self.now.get()
    }

    pub fn steps(&self) -> u64 {
        self.steps.get()
    }

    pub fn machine(&self) -> Machine {
        self.machines.set(self.machines.get() + 1);
        self.machines.get()
    }

    /// Schedules `act` to run after `millis`. `tie` orders events at the same time.
    pub fn after(&self, millis: u64, tie: u64, act: impl FnOnce() + 'static) {
        self.order.set(self.order.get() + 1);
        let event = Event { at: self.now() + millis, tie, order: self.order.get(), act: Box::new(act) };
        self.events.borrow_mut().push(event);
    }

    pub async fn pause(&self, millis: u64, tie: u64) {
        let (wake, woken) = reply();
        self.after(millis, tie, move || wake.send(()));
        woken.await;
    }

    pub fn spawn(&self, machine: Machine, task: impl Future<Output = ()> + 'static) {
        self.order.set(self.order.get() + 1);
        let id = self.order.get();
        self.tasks.borrow_mut().insert(id, (machine, Some(Box::pin(task))));
        Arc::new(TaskWaker(id, Arc::clone(&self.ready))).wake();
    }

    /// Ends all tasks of a machine: at once, or when the one that is being polled yields.
    pub fn kill(&self, machine: Machine) {
        if self.polled.get() == machine {
            self.dying.borrow_mut().insert(machine);
            return;
        }
        let mut dead = Vec::new();
        self.tasks.borrow_mut().retain(|_, (of, task)| {
            let lives = *of != machine;
            if !lives {
                dead.push(task.take());
            }
            lives
        });
        // Dropping a task may access the tasks again.
        drop(dead);
    }

    pub fn has_tasks(&self, machine: Machine) -> bool {
        self.tasks.borrow().values().any(|(of, _)| *of == machine)
    }

    /// Whether the limit of events is exceeded.
    pub fn never_rests(&self) -> bool {
        self.steps() >= self.most_steps
    }

    /// Runs events until this time, or until there are none.
    pub fn run_until(&self, until: u64) {
        while !self.never_rests() {
            self.poll_ready();
            let event = {
                let mut events = self.events.borrow_mut();
                match events.peek() {
                    Some(event) if event.at <= until => events.pop(),
                    _ => None,
                }
            };
            let Some(event) = event else { break };
            self.now.set(self.now().max(event.at));
            self.steps.set(self.steps() + 1);
            (event.act)();
        }
        self.now.set(self.now().max(until));
    }

    fn poll_ready(&self) {
        loop {
            let next = self.ready.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(id) = next else { return };
            let Some((machine, Some(mut task))) =
                self.tasks.borrow_mut().get_mut(&id).map(|(machine, task)| (*machine, task.take()))
            else {
                continue;
            };
            self.polled.set(machine);
            let waker = Waker::from(Arc::new(TaskWaker(id, Arc::clone(&self.ready))));
            let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
            self.polled.set(NO_MACHINE);
            if polled.is_ready() {
                self.tasks.borrow_mut().remove(&id);
            } else if let Some((_, slot)) = self.tasks.borrow_mut().get_mut(&id) {
                *slot = Some(task);
            }
            let dying = self.dying.take();
            dying.into_iter().for_each(|machine| self.kill(machine));
        }
    }

    /// Drops all events and tasks, which refer to the world.
    pub fn end(&self) {
        let events = self.events.take();
        let tasks = self.tasks.take();
        drop((events, tasks));
    }
}

/// A channel for one answer. If the sender is dropped, the receiver gets `None`.
pub fn reply<T>() -> (Reply<T>, Wait<T>) {
    let slot = Rc::new(Slot { answer: RefCell::new(None), is_over: Cell::new(false), waker: RefCell::new(None) });
    (Reply(Rc::clone(&slot)), Wait(slot))
}

struct Slot<T> {
    answer: RefCell<Option<T>>,
    is_over: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

pub struct Reply<T>(Rc<Slot<T>>);

pub struct Wait<T>(Rc<Slot<T>>);

impl<T> Reply<T> {
    pub fn send(self, answer: T) {
        if !self.0.is_over.get() {
            self.0.answer.replace(Some(answer));
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        self.0.is_over.set(true);
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Future for Wait<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        if let Some(answer) = self.0.answer.take() {
            return Poll::Ready(Some(answer));
        }
        if self.0.is_over.get() {
            return Poll::Ready(None);
        }
        self.0.waker.replace(Some(context.waker().clone()));
        Poll::Pending
    }
}
