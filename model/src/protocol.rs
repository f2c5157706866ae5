//! The possible steps, and their effects.

use stateright::{Model, Property};

use crate::mutant::Mutant;
use crate::object::{ALARM, Ask};
use crate::properties;
use crate::scope::{Left, Scope};
use crate::world::{
    At, Call, CallState, Feed, Follower, Ghost, Isolate, Kv, Late, Location, REWRITES, Rows, START, World,
};

/// The protocol within a bound, with at most one injected fault.
#[derive(Clone, Debug)]
pub struct Protocol {
    pub scope: Scope,
    pub mutant: Option<Mutant>,
}

/// A step. Calls, writes, reports, locations, isolates and requests are identified by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A call reaches the object: `Object::answer`, to its first await.
    Send(usize),
    /// A call or the alarm gets a lock that it waited for, in `Object::report`, `Object::publish` or `Object::write`.
    GoOn(usize),
    /// The caller has its answer: the end of `Object::answer`.
    Answer(usize),
    /// The alarm comes: `Object::postpone_alarm`, and `Object::wake` to its first await.
    Ring,
    /// A write reaches KV.
    PutLands(usize),
    /// KV's answer reaches the object: `Object::write_locked`, after its await, and what follows.
    PutConfirmed(usize),
    /// The same, after a failure.
    PutFails(usize, Failure),
    /// A timed-out write lands after all.
    LatePutLands(usize),
    /// A report reaches the feed: `Feed::take`.
    ReportLands(usize),
    /// The feed's answer reaches the object: `Object::report`, after its await, and what follows.
    ReportConfirmed(usize),
    /// The same, after a failure.
    ReportFails(usize, Failure),
    /// A timed-out report lands after all.
    LateReportLands(usize),
    /// The object dies. What it awaited has landed, or is lost, or lands late.
    Crash {
        late_put: bool,
        late_report: bool,
    },
    /// A location's cache reads KV again.
    Read(usize),
    /// An isolate reads the location's cache again: `ReplicaCache::keep`.
    Keep(usize),
    /// An isolate asks the feed: `FeedCache::lacks`.
    AskFeed(usize),
    /// The feed's object answers: `Feed::judge`.
    FeedAnswers(usize, usize),
    /// The answer reaches the isolate: `FeedCache::take`.
    TakeAnswer(usize, usize),
    /// The follower asks an isolate whose copy is fresh: `FeedCache::part`, `FeedCache::ended`.
    Poll(usize),
    /// A tick passes. `evicted`: the runtime has evicted the idle instance.
    Tick {
        evicted: bool,
    },
    /// In mutants only: the object stores a change whose effect has already left it.
    Store,
    FeedStores,
    FeedCrashes,
}

/// How a call to KV or the feed fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is refused at once.
    Refused,
    /// It takes effect, and the answer is lost.
    AnswerLost,
    /// It times out, and lands later or never.
    GivenUp { late: bool },
}

const FAILURES: [Failure; 4] =
    [Failure::Refused, Failure::AnswerLost, Failure::GivenUp { late: false }, Failure::GivenUp { late: true }];

impl Protocol {
    pub fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Whether something leaves the object before it is stored.
    pub fn stores_late(&self) -> bool {
        self.is(Mutant::PublishesBeforeItStores) || self.is(Mutant::AnswersBeforeItStores)
    }

    /// Whether a call can be sent, and would have an effect.
    fn may_send(&self, world: &World, who: usize) -> bool {
        let Call { tries, state } = world.calls[who];
        let is_free = tries > 0 && matches!(state, CallState::Unsent | CallState::Failed);
        let has_use = match self.scope.asks[who] {
            Ask::Restore => world.rows.suspended,
            Ask::Eventual => world.rows.immediate,
            _ => true,
        };
        is_free && has_use && world.now <= self.scope.calls_until
    }

    fn may_answer(&self, world: &World, who: usize) -> bool {
        let is_done = world.task(who).is_some_and(|task| task.at == At::Answer);
        is_done && (world.stored.is_none() || self.is(Mutant::AnswersBeforeItStores))
    }

    fn may_ring(&self, world: &World) -> bool {
        world.alarm.is_none() && world.rows.alarm.is_some_and(|at| at <= world.now)
    }

    /// A tick can pass only when every call has ended, and the due alarm has run.
    fn may_tick(&self, world: &World) -> bool {
        let is_idle = world.is_idle() && world.isolates.iter().all(|isolate| isolate.questions.is_empty());
        world.now < self.scope.end && is_idle && (!self.may_ring(world) || world.left.overdue > 0)
    }

    /// The last state of a history: the last tick, and nothing is in flight.
    pub fn is_over(&self, world: &World) -> bool {
        world.now == self.scope.end
            && world.is_idle()
            && world.late_puts.is_empty()
            && world.late_reports.is_empty()
            && !self.may_ring(world)
    }
}

impl World {
    /// Whether no call and no alarm is running.
    fn is_idle(&self) -> bool {
        self.alarm.is_none()
            && self.stored.is_none()
            && self.feed_stored.is_none()
            && self.puts.is_empty()
            && self.reports.is_empty()
            && !self.calls.iter().any(|call| matches!(call.state, CallState::Running(_)))
    }

    fn tick(&mut self, evicted: bool, protocol: &Protocol) {
        self.left.overdue -= u8::from(protocol.may_ring(self));
        self.now += 1;
        self.late_puts.retain(|late| self.now < late.until);
        self.late_reports.retain(|late| self.now < late.until);
        if evicted {
            self.instance = Default::default();
        }
        for location in &mut self.locations {
            location.cached = None;
            if !protocol.is(Mutant::KeptForTooLong) {
                location.kept = None;
            }
        }
    }

    /// A timed-out write or report. It lands before the last rewrite that follows, or never.
    fn late<T>(&self, what: T) -> Late<T> {
        Late { what, until: self.now + REWRITES[2] }
    }

    fn put_fails(&mut self, put: usize, failure: Failure, protocol: &Protocol) {
        self.left.puts -= 1;
        if protocol.is(Mutant::WaitsForEver) && failure == (Failure::GivenUp { late: false }) {
            // The write neither times out nor is answered.
            self.puts.remove(put);
            return;
        }
        if failure == (Failure::GivenUp { late: true }) {
            self.left.late -= 1;
            let late = self.late(self.puts[put]);
            self.late_puts.push(late);
        }
        self.put_answered(put, false, failure != Failure::Refused, protocol);
    }

    fn report_fails(&mut self, report: usize, failure: Failure, protocol: &Protocol) {
        self.left.reports -= 1;
        if failure == (Failure::GivenUp { late: true }) {
            self.left.late -= 1;
            let late = self.late(self.reports[report]);
            self.late_reports.push(late);
        }
        self.report_answered(report, false, protocol);
    }

    fn crash_amid(&mut self, late_put: bool, late_report: bool) {
        self.left.crashes -= 1;
        self.left.late -= u8::from(late_put) + u8::from(late_report);
        for put in std::mem::take(&mut self.puts) {
            if late_put && !put.landed {
                let late = self.late(put);
                self.late_puts.push(late);
            }
        }
        for report in std::mem::take(&mut self.reports) {
            if late_report && !report.landed {
                let late = self.late(report);
                self.late_reports.push(late);
            }
        }
        self.crash();
    }

    fn answer(&mut self, who: usize, ask: Ask) {
        let is_undone = self.task(who).is_some_and(|task| task.undone);
        self.calls[who] = Call { tries: 0, state: CallState::Answered };
        self.ghost.answered[who] = (!is_undone).then_some(self.now);
        self.rows.spent |= ask == Ask::Spend;
        self.ghost.uses += u8::from(ask == Ask::Spend);
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let Scope { asks, tries, left, locations, isolates, .. } = self.scope;
        vec![World {
            now: START,
            rows: Rows { digest: Some(Default::default()), ..Rows::default() },
            stored: None,
            instance: Default::default(),
            calls: vec![Call { tries, state: CallState::Unsent }; asks.len()],
            alarm: None,
            puts: Vec::new(),
            late_puts: Vec::new(),
            reports: Vec::new(),
            late_reports: Vec::new(),
            kv: Kv::default(),
            locations: vec![Location::default(); locations],
            feed: Feed::default(),
            feed_stored: None,
            isolates: vec![Isolate::default(); isolates],
            follower: Follower::default(),
            left,
            ghost: Ghost { answered: vec![None; asks.len()], ..Ghost::default() },
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let Left { crashes, puts, reports, late, feed_crashes, .. } =
            if world.now <= self.scope.faults_until { world.left } else { Left::default() };
        for who in 0..world.calls.len() {
            if self.may_send(world, who) {
                actions.push(Action::Send(who));
            }
            if world.may_go_on(who) {
                actions.push(Action::GoOn(who));
            }
            if self.may_answer(world, who) {
                actions.push(Action::Answer(who));
            }
        }
        if world.may_go_on(ALARM) {
            actions.push(Action::GoOn(ALARM));
        }
        if self.may_ring(world) {
            actions.push(Action::Ring);
        }
        let fails = |is_landed: bool, failure: &Failure| match failure {
            Failure::Refused | Failure::GivenUp { late: false } => !is_landed,
            Failure::AnswerLost => is_landed,
            Failure::GivenUp { late: true } => !is_landed && late > 0,
        };
        for (put, is_landed) in world.puts.iter().map(|put| put.landed).enumerate() {
            actions.push(if is_landed { Action::PutConfirmed(put) } else { Action::PutLands(put) });
            let failures = FAILURES.iter().filter(|failure| puts > 0 && fails(is_landed, failure));
            actions.extend(failures.map(|failure| Action::PutFails(put, *failure)));
        }
        actions.extend((0..world.late_puts.len()).map(Action::LatePutLands));
        for (report, is_landed) in world.reports.iter().map(|report| report.landed).enumerate() {
            actions.push(if is_landed { Action::ReportConfirmed(report) } else { Action::ReportLands(report) });
            // The object behaves the same however long this takes.
            let failures = FAILURES.iter().filter(|failure| **failure != Failure::Refused);
            let failures = failures.filter(|failure| reports > 0 && fails(is_landed, failure));
            actions.extend(failures.map(|failure| Action::ReportFails(report, *failure)));
        }
        actions.extend((0..world.late_reports.len()).map(Action::LateReportLands));
        if crashes > 0 && world.instance.opened {
            let (put, report) =
                (world.puts.iter().any(|put| !put.landed), world.reports.iter().any(|report| !report.landed));
            for (late_put, late_report) in [(false, false), (true, false), (false, true), (true, true)] {
                if late_put <= put && late_report <= report && u8::from(late_put) + u8::from(late_report) <= late {
                    actions.push(Action::Crash { late_put, late_report });
                }
            }
        }
        for (nth, location) in world.locations.iter().enumerate() {
            if location.cached != Some(world.kv) {
                actions.push(Action::Read(nth));
            }
            if location.cached.is_some() && location.kept != location.cached {
                actions.push(Action::Keep(nth));
            }
        }
        for (nth, isolate) in world.isolates.iter().enumerate() {
            if world.may_ask(nth, self) {
                actions.push(Action::AskFeed(nth));
            }
            for (question, asked) in isolate.questions.iter().enumerate() {
                let is_answered = asked.answer.is_some();
                actions.push(if is_answered {
                    Action::TakeAnswer(nth, question)
                } else {
                    Action::FeedAnswers(nth, question)
                });
            }
            if world.may_poll(nth, self) {
                actions.push(Action::Poll(nth));
            }
        }
        if self.may_tick(world) {
            actions.push(Action::Tick { evicted: true });
            if world.instance.opened {
                actions.push(Action::Tick { evicted: false });
            }
        }
        if world.stored.is_some() {
            actions.push(Action::Store);
        }
        if world.feed_stored.is_some() {
            actions.push(Action::FeedStores);
            if feed_crashes > 0 {
                actions.push(Action::FeedCrashes);
            }
        }
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        let mut world = before.clone();
        match action {
            Action::Send(who) => world.send(who, self),
            Action::GoOn(who) => world.run(who, self),
            Action::Answer(who) => world.answer(who, self.scope.asks[who]),
            Action::Ring => world.ring(self),
            Action::PutLands(put) => {
                world.puts[put].landed = true;
                world.kv = Kv { value: world.puts[put].value, by_late: false };
            }
            Action::PutConfirmed(put) => world.put_answered(put, true, false, self),
            Action::PutFails(put, failure) => world.put_fails(put, failure, self),
            Action::LatePutLands(put) => {
                let value = world.late_puts.remove(put).what.value;
                world.kv = Kv { value, by_late: true };
            }
            Action::ReportLands(report) => {
                world.reports[report].landed = true;
                let ends = world.reports[report].ends;
                world.report_lands(&ends, self);
            }
            Action::ReportConfirmed(report) => world.report_answered(report, true, self),
            Action::ReportFails(report, failure) => world.report_fails(report, failure, self),
            Action::LateReportLands(report) => {
                let ends = world.late_reports.remove(report).what.ends;
                world.report_lands(&ends, self);
            }
            Action::Crash { late_put, late_report } => world.crash_amid(late_put, late_report),
            Action::Read(location) => world.locations[location].cached = Some(world.kv),
            Action::Keep(location) => world.locations[location].kept = world.locations[location].cached,
            Action::AskFeed(isolate) => world.ask_feed(isolate),
            Action::FeedAnswers(isolate, question) => world.feed_answers(isolate, question),
            Action::TakeAnswer(isolate, question) => world.take_answer(isolate, question, self),
            Action::Poll(isolate) => world.poll(isolate),
            Action::Tick { evicted } => world.tick(evicted, self),
            Action::Store => world.stored = None,
            Action::FeedStores => world.feed_stored = None,
            Action::FeedCrashes => {
                world.left.feed_crashes -= 1;
                world.feed = world.feed_stored.take().unwrap_or_default();
            }
        }
        (world != *before).then_some(world)
    }

    fn format_action(&self, action: &Action) -> String {
        let asked = |who: usize| self.scope.asks.get(who).map_or("the alarm".to_owned(), |ask| format!("{ask:?}"));
        match *action {
            Action::Send(who) => format!("Send {}", asked(who)),
            Action::GoOn(who) => format!("GoOn {}", asked(who)),
            Action::Answer(who) => format!("Answer {}", asked(who)),
            _ => format!("{action:?}"),
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(&self.scope)
    }
}
