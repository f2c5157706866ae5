//! The client's object, step by step as in `src/client/`. One turn there, from one await to the next, is one step here,
//! including its commit: the runtime holds back all output until that is durable.

use crate::mutant::Mutant;
use crate::protocol::Protocol;
use crate::world::{
    At, CLIENT, COME, CallState, End, FOR_EVER, HOUR, Instance, Put, REWRITES, Report, Rows, SOON, TOKENS, Task,
    Unreported, Value, World,
};

/// A request to the object. The caller of `Revoke` is the token itself, that of `Retire` a short-term token of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// `POST /revoke`.
    Revoke(usize),
    /// A rotation, which retires the token.
    Retire(usize),
    /// `PATCH {"status": "suspended"}`.
    Suspend,
    /// `PATCH {"status": "active"}`.
    Restore,
    /// `POST /end-tokens`.
    EndTokens,
    /// `PATCH {"consistency": "immediate"}`.
    Immediate,
    /// `PATCH {"consistency": "eventual"}`.
    Eventual,
    /// An assertion, always with the same `jti`.
    Spend,
}

/// `step::Judgement`: what to wait for before answering.
#[derive(Clone, Copy, Default)]
struct Judgement {
    await_change: u8,
    await_end: u8,
}

/// The index of the alarm among the actors, which are otherwise the calls.
pub const ALARM: usize = usize::MAX;

/// A step of the object: its rows, which are stored when it ends.
struct Step<'a> {
    rows: &'a mut Rows,
    protocol: &'a Protocol,
    now: u8,
}

impl Step<'_> {
    /// `Step::judge`. `None` is 401.
    fn judge(&mut self, ask: Ask) -> Option<Judgement> {
        match ask {
            Ask::Revoke(token) => self.revoke(token),
            Ask::Retire(token) => self.retire(token),
            Ask::Suspend => Some(self.suspend()),
            Ask::Restore => Some(self.restore()),
            Ask::EndTokens => Some(self.end_tokens()),
            Ask::Immediate => Some(self.become_immediate()),
            Ask::Eventual => Some(self.become_eventual()),
            Ask::Spend => self.spend(),
        }
    }

    /// `token_asks::revoke`.
    fn revoke(&mut self, token: usize) -> Option<Judgement> {
        // If the token has already ended, this call is a repeat.
        if !self.rows.honours() {
            return None;
        }
        let end = self.end_one_token(token, COME, true);
        Some(Judgement { await_change: end.change, await_end: end.number })
    }

    /// `token_asks::rotate`.
    fn retire(&mut self, token: usize) -> Option<Judgement> {
        let has_ended = self.find_end(token).is_some_and(|end| end.at == COME);
        if !self.rows.honours() || (has_ended && !self.protocol.is(Mutant::LaterEndWins)) {
            return None;
        }
        self.end_one_token(token, self.now + self.protocol.scope.grace, false);
        Some(Judgement::default())
    }

    /// `operator_asks::change`, to suspended.
    fn suspend(&mut self) -> Judgement {
        if !self.rows.suspended {
            self.rows.suspended = true;
            let waits = self.follows_kv();
            let change = self.rows.record_change();
            if waits {
                self.rows.narrowed = change;
            }
            self.report_client(true);
        }
        Judgement { await_change: self.rows.narrowed, await_end: self.rows.last_client_end }
    }

    /// `operator_asks::change`, to active.
    fn restore(&mut self) -> Judgement {
        if self.rows.suspended {
            self.rows.suspended = false;
            self.rows.record_change();
            if !self.protocol.is(Mutant::RestorationIsNotReported) {
                self.report_client(false);
            }
        }
        Judgement::default()
    }

    /// `operator_asks::end_tokens`.
    fn end_tokens(&mut self) -> Judgement {
        self.rows.renewed = true;
        let is_shown = self.follows_kv();
        let change = self.rows.record_change();
        if is_shown {
            self.rows.narrowed = change;
        }
        self.report_client(true);
        Judgement { await_change: if is_shown { self.rows.narrowed } else { 0 }, await_end: self.rows.last_client_end }
    }

    /// `operator_asks::change`, to immediate.
    fn become_immediate(&mut self) -> Judgement {
        if !self.rows.immediate {
            self.rows.immediate = true;
            self.rows.switched = self.rows.record_change();
            self.rows.narrowed = self.rows.change;
        }
        Judgement { await_change: self.rows.narrowed, await_end: 0 }
    }

    /// `operator_asks::change`, to eventual.
    fn become_eventual(&mut self) -> Judgement {
        if self.rows.immediate {
            self.rows.immediate = false;
            self.rows.record_change();
            if !self.protocol.is(Mutant::SwitchForgetsEndsAhead) {
                self.schedule_end(self.now);
            }
        }
        Judgement::default()
    }

    /// `token_asks::authenticate`, of an assertion.
    fn spend(&mut self) -> Option<Judgement> {
        if self.rows.spent {
            return None;
        }
        self.rows.spent = !self.protocol.is(Mutant::SpendsWhenItAnswers);
        Some(Judgement::default())
    }

    /// `Step::find_end`.
    fn find_end(&mut self, token: usize) -> Option<End> {
        let end = self.rows.ends[token]?;
        if end.at == COME || end.at > self.now {
            return Some(end);
        }
        let end = End { at: COME, change: self.kv_change_for(), number: end.number };
        self.rows.ends[token] = Some(end);
        Some(end)
    }

    /// `Step::end_one_token`.
    fn end_one_token(&mut self, token: usize, at: u8, awaited: bool) -> End {
        let later_wins = self.protocol.is(Mutant::LaterEndWins);
        let earlier = self.find_end(token).filter(|earlier| earlier.at <= at && !later_wins);
        if let Some(earlier) = earlier
            && (earlier.number > 0 || !awaited)
        {
            return earlier;
        }
        let at = earlier.map_or(at, |earlier| earlier.at);
        let ends_at = if at == COME { self.now } else { at };
        let is_near = ends_at < self.now + HOUR;
        let number = if is_near { self.queue_report(token, ends_at, HOUR) } else { 0 };
        let change = match earlier {
            Some(earlier) if number == 0 => return earlier,
            Some(earlier) => earlier.change,
            None => self.kv_change_for(),
        };
        let end = End { at, change, number };
        self.rows.ends[token] = Some(end);
        if change > 0 && at != COME {
            self.schedule_end(at);
        }
        end
    }

    /// `Step::kv_change_for`.
    fn kv_change_for(&mut self) -> u8 {
        if self.follows_kv() { self.rows.record_change() } else { 0 }
    }

    /// `Step::follows_kv`.
    fn follows_kv(&self) -> bool {
        let is_switching = self.rows.shown < self.rows.switched && !self.protocol.is(Mutant::SwitchCountsAtOnce);
        !self.rows.immediate || is_switching
    }

    /// `Step::report_client`.
    fn report_client(&mut self, awaited: bool) {
        let (at, keep) = match (self.rows.suspended, self.rows.renewed) {
            (true, _) => (FOR_EVER, FOR_EVER),
            // If an hour is three ticks, 90 days never pass in a history.
            (false, true) => (1, FOR_EVER),
            (false, false) => (0, HOUR),
        };
        let number = self.queue_report(CLIENT, at, keep);
        if awaited {
            self.rows.last_client_end = number;
        }
    }

    /// `Step::queue_report` and `State::number_end`.
    fn queue_report(&mut self, key: usize, at: u8, keep: u8) -> u8 {
        self.rows.last_end += 1;
        self.rows.unreported[key] = Some(Unreported { at, keep, number: self.rows.last_end });
        self.rows.last_end
    }

    /// `State::schedule_end`.
    fn schedule_end(&mut self, at: u8) {
        if self.rows.next_end == 0 || at < self.rows.next_end {
            self.rows.next_end = at;
        }
    }

    /// `Step::record_ends_that_came`, if its time has come.
    fn record_ends_that_came(&mut self) {
        if self.rows.next_end == 0 || self.rows.next_end > self.now {
            return;
        }
        self.rows.next_end = 0;
        for token in 0..TOKENS {
            match self.rows.ends[token] {
                Some(end) if end.at > self.now => self.schedule_end(end.at),
                _ => _ = self.find_end(token),
            }
        }
    }
}

impl Rows {
    /// `Client::honours`, of both tokens.
    pub fn honours(&self) -> bool {
        !self.suspended && !self.renewed
    }

    /// Whether the object accepts a token: `Step::live_client`.
    pub fn counts(&self, token: usize, now: u8) -> bool {
        self.honours() && self.ends[token].is_none_or(|end| end.at > now)
    }

    /// `State::record_change`.
    fn record_change(&mut self) -> u8 {
        self.change += 1;
        self.change
    }

    /// `State::is_pending`.
    pub fn is_pending(&self) -> bool {
        self.shown < self.change
    }

    /// `State::must_rewrite`.
    pub fn must_rewrite(&self, now: u8) -> bool {
        self.again.first().is_some_and(|at| *at <= now)
    }

    /// `State::is_due`. What is due within a minute counts as due: an alarm may run before then, and find it done or
    /// not.
    fn is_due(&self, now: u8) -> bool {
        self.is_pending() || self.must_rewrite(now)
    }

    /// `State::kv_holds`.
    fn kv_holds(&self, value: &Value, now: u8, protocol: &Protocol) -> bool {
        self.digest == Some(*value) && (!self.must_rewrite(now) || protocol.is(Mutant::RewritesAreSkipped))
    }

    /// `State::write_began`.
    fn write_began(&mut self, protocol: &Protocol) {
        if !protocol.is(Mutant::DigestOutlivesFailure) {
            self.digest = None;
        }
        self.rewriting = !self.is_pending();
    }

    /// `State::recover`.
    fn recover(&mut self, now: u8, protocol: &Protocol) {
        if protocol.is(Mutant::CrashesAreNotFollowed) {
            return;
        }
        if self.is_pending() || (protocol.is(Mutant::DueCountsAsBegun) && self.must_rewrite(now)) {
            self.schedule_rewrites(now, protocol);
        } else if self.rewriting && !protocol.is(Mutant::CrashesInRewritesAreNotFollowed) {
            self.schedule_rewrites(now, protocol);
            self.again.insert(0, now);
        }
    }

    /// `State::schedule_rewrites`.
    fn schedule_rewrites(&mut self, now: u8, protocol: &Protocol) {
        self.rewriting = false;
        if !protocol.is(Mutant::NoRewrites) {
            self.again = REWRITES.map(|later| now + later).to_vec();
        }
    }

    /// `State::write_confirmed`.
    fn write_confirmed(&mut self, change: u8, began: u8, value: Value, protocol: &Protocol) {
        self.digest = Some(value);
        self.rewriting = false;
        self.shown = self.shown.max(if protocol.is(Mutant::ConfirmsWhatIsNewer) { self.change } else { change });
        if protocol.is(Mutant::OneRewrite) {
            self.again.clear();
        }
        self.again.retain(|at| *at > began);
    }

    /// `State::write_failed`.
    fn write_failed(&mut self, now: u8, protocol: &Protocol) {
        self.schedule_rewrites(now, protocol);
        if !self.is_pending() {
            self.again.insert(0, now);
        }
    }

    /// `State::alarm`. Pauses of less than a minute take no time, so the alarm may run at any point within them.
    fn next_alarm(&self) -> Option<u8> {
        let soon = (self.is_pending() || self.last_reported < self.last_end).then_some(SOON);
        let end = (self.next_end > 0).then_some(self.next_end);
        [soon, self.again.first().copied(), end].into_iter().flatten().min()
    }

    /// `Step::replica` and `Replica::new`.
    pub fn replica(&self, now: u8) -> Value {
        let at = |end: Option<End>| end.map(|End { at, .. }| if at <= now { COME } else { at });
        Value {
            suspended: self.suspended,
            immediate: self.immediate,
            renewed: self.renewed,
            ends: if self.immediate { [None; TOKENS] } else { self.ends.map(at) },
        }
    }

    /// `Step::report_accepted`.
    fn report_accepted(&mut self, report: &Report, protocol: &Protocol) {
        for key in 0..=TOKENS {
            let is_same = report.ends[key] == self.unreported[key] || protocol.is(Mutant::DropsWhatIsEndedAnew);
            if report.ends[key].is_some() && is_same {
                self.unreported[key] = None;
            }
        }
        let number = if protocol.is(Mutant::ReportedCountsWhatIsNewer) { self.last_end } else { report.number };
        self.last_reported = self.last_reported.max(number);
    }
}

impl World {
    pub fn task(&self, who: usize) -> Option<&Task> {
        if who == ALARM {
            return self.alarm.as_ref();
        }
        match &self.calls.get(who)?.state {
            CallState::Running(task) => Some(task),
            _ => None,
        }
    }

    fn task_mut(&mut self, who: usize) -> Option<&mut Task> {
        if who == ALARM {
            return self.alarm.as_mut();
        }
        match &mut self.calls.get_mut(who)?.state {
            CallState::Running(task) => Some(task),
            _ => None,
        }
    }

    /// `Step::commit`: the rows with the alarm.
    fn commit(&mut self) {
        self.rows.alarm = self.rows.next_alarm();
    }

    /// `Object::open`.
    fn open(&mut self, protocol: &Protocol) {
        if self.instance.opened {
            return;
        }
        let before = self.rows.clone();
        self.rows.recover(self.now, protocol);
        self.instance.opened = true;
        if self.rows != before {
            self.commit();
        }
    }

    /// The first step of `Object::answer`: opens, judges, commits, and continues to the first await.
    pub fn send(&mut self, who: usize, protocol: &Protocol) {
        self.calls[who].tries -= 1;
        self.open(protocol);
        let before = self.rows.clone();
        let ask = protocol.scope.asks[who];
        let judgement = Step { rows: &mut self.rows, protocol, now: self.now }.judge(ask);
        self.remember(ask, protocol);
        if self.rows != before && !protocol.is(Mutant::CommitForgetsTheAlarm) {
            self.commit();
        }
        if self.rows != before && protocol.stores_late() {
            self.stored = Some(Box::new(before));
        }
        let Some(Judgement { await_change, await_end }) = judgement else {
            self.calls[who].state = CallState::Refused;
            return;
        };
        let await_end = if protocol.is(Mutant::AnswersBeforeReport) { 0 } else { await_end };
        let await_change = if protocol.is(Mutant::AnswersBeforePublication) { 0 } else { await_change };
        let task =
            Task { at: At::Report, await_change, await_end, reported: true, failures: 0, patient: true, undone: false };
        self.calls[who].state = CallState::Running(task);
        self.run(who, protocol);
    }

    /// The runtime's alarm: `Object::postpone_alarm`, and the first step of `Object::wake`.
    pub fn ring(&mut self, protocol: &Protocol) {
        self.rows.alarm = (!protocol.is(Mutant::AlarmIsNotPostponed)).then_some(SOON);
        self.open(protocol);
        let before = self.rows.clone();
        Step { rows: &mut self.rows, protocol, now: self.now }.record_ends_that_came();
        if self.rows != before {
            self.commit();
        }
        let await_end = if self.rows.last_reported < self.rows.last_end { self.rows.last_end } else { 0 };
        let await_change = if self.rows.is_due(self.now) { self.rows.change } else { 0 };
        self.alarm = Some(Task {
            at: At::Report,
            await_change,
            await_end,
            reported: true,
            failures: 0,
            patient: true,
            undone: false,
        });
        self.run(ALARM, protocol);
    }

    /// Continues until the next await.
    pub fn run(&mut self, who: usize, protocol: &Protocol) {
        while let Some(task) = self.task(who).copied() {
            let goes_on = match task.at {
                At::Report => self.report(who, task),
                At::Publish if who == ALARM => self.write(task, protocol),
                At::Publish => self.publish(who, task, protocol),
                At::Reporting | At::Writing | At::Answer => false,
            };
            if !goes_on {
                break;
            }
        }
        self.forget_failures();
    }

    /// Whether an actor waits for a lock that is free.
    pub fn may_go_on(&self, who: usize) -> bool {
        match self.task(who).map(|task| task.at) {
            Some(At::Report) => self.reports.is_empty(),
            Some(At::Publish) => self.puts.is_empty(),
            _ => false,
        }
    }

    /// `Object::report`, up to the call of the feed.
    fn report(&mut self, who: usize, task: Task) -> bool {
        if self.rows.last_reported >= task.await_end {
            self.go_to(who, At::Publish);
            return true;
        }
        if !self.reports.is_empty() {
            return false;
        }
        self.reports.push(Report { who, ends: self.rows.unreported, number: self.rows.last_end, landed: false });
        self.go_to(who, At::Reporting);
        false
    }

    /// `Object::report`, after the feed's answer.
    pub fn report_answered(&mut self, report: usize, is_taken: bool, protocol: &Protocol) {
        let report = self.reports.remove(report);
        if is_taken {
            self.rows.report_accepted(&report, protocol);
        } else if let Some(task) = self.task_mut(report.who) {
            task.reported = false;
        }
        self.commit();
        self.go_to(report.who, At::Publish);
        self.run(report.who, protocol);
    }

    /// `Object::publish`, up to the call of KV.
    fn publish(&mut self, who: usize, task: Task, protocol: &Protocol) -> bool {
        if self.rows.shown >= task.await_change {
            let fails = !task.reported && !protocol.is(Mutant::UnreportedIsSuccess);
            self.calls[who].state =
                if fails { CallState::Failed } else { CallState::Running(Task { at: At::Answer, ..task }) };
            return false;
        }
        if !self.puts.is_empty() && !protocol.is(Mutant::WritesOverlap) {
            return false;
        }
        let (failures, last) = self.instance.failed;
        let failed = if last >= task.await_change { failures - task.failures } else { 0 };
        if failed > 1 || (failed == 1 && !task.patient) {
            let answer = CallState::Running(Task { at: At::Answer, ..task });
            self.calls[who].state = if protocol.is(Mutant::UnshownIsSuccess) { answer } else { CallState::Failed };
            return false;
        }
        self.write_locked(who, protocol)
    }

    /// `Object::write`, and `Object::schedule_alarm` when that is over.
    fn write(&mut self, task: Task, protocol: &Protocol) -> bool {
        if task.await_change > 0 {
            if !self.puts.is_empty() && !protocol.is(Mutant::WritesOverlap) {
                return false;
            }
            if self.rows.is_due(self.now) && !self.write_locked(ALARM, protocol) {
                return false;
            }
        }
        self.schedule_alarm();
        false
    }

    /// `Object::schedule_alarm`.
    fn schedule_alarm(&mut self) {
        self.alarm = None;
        self.commit();
    }

    /// `Object::write_locked`, up to the call of KV. Returns whether none was needed.
    fn write_locked(&mut self, who: usize, protocol: &Protocol) -> bool {
        let (value, change) = (self.rows.replica(self.now), self.rows.change);
        if self.rows.kv_holds(&value, self.now, protocol) {
            self.rows.write_confirmed(change, self.now, value, protocol);
            self.commit();
            return true;
        }
        let before = self.rows.clone();
        self.rows.write_began(protocol);
        if self.rows != before {
            self.commit();
        }
        self.puts.push(Put { who, value, change, began: self.now, landed: false });
        self.go_to(who, At::Writing);
        false
    }

    /// `Object::write_locked`, after KV's answer. `slowly`: it took more than `RETRY_WINDOW`.
    pub fn put_answered(&mut self, put: usize, is_taken: bool, slowly: bool, protocol: &Protocol) {
        let Put { who, value, change, began, .. } = self.puts.remove(put);
        if is_taken {
            self.rows.write_confirmed(change, began, value, protocol);
        } else {
            self.instance.failed = (self.instance.failed.0 + 1, change);
            self.rows.write_failed(self.now, protocol);
        }
        self.commit();
        self.go_to(who, At::Publish);
        if slowly {
            for who in 0..self.calls.len() {
                if let Some(task) = self.task_mut(who).filter(|task| matches!(task.at, At::Publish)) {
                    task.patient = false;
                }
            }
        }
        if who == ALARM {
            self.schedule_alarm();
        } else if is_taken {
            self.run(who, protocol);
        }
        self.forget_failures();
    }

    fn go_to(&mut self, who: usize, at: At) {
        let failures = self.instance.failed.0;
        if let Some(task) = self.task_mut(who) {
            if task.at != At::Writing && at == At::Publish {
                (task.failures, task.patient) = (failures, true);
            }
            task.at = at;
        }
    }

    /// The number of failures matters only relative to when a caller began to wait. If no caller waits, it is reset, so
    /// that states that differ only in it are merged.
    fn forget_failures(&mut self) {
        let is_waiting = |who| self.task(who).is_some_and(|task| matches!(task.at, At::Publish | At::Writing));
        if !(0..self.calls.len()).any(is_waiting) {
            self.instance.failed = (0, 0);
        }
    }

    /// The object dies. The caller of this function handles `puts` and `reports`, which may still land.
    pub fn crash(&mut self) {
        if let Some(stored) = self.stored.take() {
            self.rows = *stored;
        }
        self.instance = Instance::default();
        self.alarm = None;
        for call in &mut self.calls {
            if matches!(call.state, CallState::Running(_)) {
                call.state = CallState::Failed;
            }
        }
    }

    /// What the checker records of a step: the earliest end of each token, and which answers no longer hold.
    fn remember(&mut self, ask: Ask, protocol: &Protocol) {
        for token in 0..TOKENS {
            let Some(end) = self.rows.ends[token] else { continue };
            let earliest = self.ghost.earliest[token].map_or(end.at, |earliest| earliest.min(end.at));
            self.ghost.earliest[token] = Some(earliest);
        }
        let undone = match ask {
            Ask::Restore => Ask::Suspend,
            Ask::Eventual => Ask::Immediate,
            _ => return,
        };
        for (who, _) in protocol.scope.asks.iter().enumerate().filter(|(_, ask)| **ask == undone) {
            self.ghost.answered[who] = None;
            if let Some(task) = self.task_mut(who) {
                task.undone = true;
            }
        }
    }
}
