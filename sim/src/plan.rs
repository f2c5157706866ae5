//! What happens in a run: a list of items, determined by the seed. Items refer to each other by number, so that leaving
//! some out does not change the others; an item that refers to one without a result does nothing.

use crate::chance::Chance;
use crate::kv::LOCATIONS;

/// When runs begin, Unix milliseconds.
pub const START: u64 = 1_800_000_000_000;
/// The clients that exist from the beginning.
pub const CLIENTS: [&str; 3] = ["alice", "bob", "carol"];
/// Ids that are tried before the client is created.
pub const LATER: [&str; 2] = ["dave", "erin"];
/// The client of the secret `OPERATOR`.
pub const ROOT: &str = "root";
/// An operator that is a client like any other, and may lose its scopes.
pub const DEPUTY: &str = "deputy";
/// How many keys clients sign assertions with. The keys 0 and 2 have the same `kid`.
pub const KEYS: usize = 3;
pub const MECHANISMS: [&str; 4] = ["secret", "otp", "assertion", "rotation"];
pub const VERIFIERS: usize = 2;

#[derive(Clone, Debug)]
pub struct Item {
    pub number: usize,
    /// Milliseconds from the start.
    pub at: u64,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    Call {
        location: usize,
        tries: u64,
        /// Which operator makes it, if it is an operators' call.
        operator: &'static str,
        call: Call,
    },
    Fault {
        kind: FaultKind,
        percent: u64,
        millis: u64,
    },
    /// An object's instance dies.
    Crash {
        object: &'static str,
        when: When,
    },
    /// An isolate dies.
    Evict {
        location: usize,
    },
    /// A clock is set: that of a location, or of an object.
    SetClock {
        of: Clock,
        offset: i64,
    },
}

#[derive(Clone, Copy, Debug)]
pub enum When {
    Now,
    /// After this many more commits.
    Commits(u64),
    /// During its next write to KV.
    Write,
}

#[derive(Clone, Copy, Debug)]
pub enum Clock {
    Location(usize),
    Object(&'static str),
}

/// A call. Numbers are those of items.
#[derive(Clone, Debug)]
pub enum Call {
    Issue {
        client: &'static str,
        by: By,
        narrow: bool,
        ttl: Option<u64>,
    },
    /// The same credential again.
    Replay {
        of: usize,
    },
    Exchange {
        of: usize,
        narrow: bool,
    },
    /// `named`: another client's id in the body.
    Rotate {
        of: usize,
        named: Option<&'static str>,
        ttl: Option<u64>,
    },
    Revoke {
        by: usize,
        of: usize,
    },
    Introspect {
        of: usize,
    },
    Verify {
        verifier: usize,
        of: usize,
    },
    /// The full feed, as a location serves it.
    Feed {
        location: usize,
    },
    Create {
        client: &'static str,
        is_immediate: bool,
    },
    Show {
        client: &'static str,
    },
    Change {
        client: &'static str,
        change: Change,
        guarded: Option<usize>,
    },
    AddSecret {
        client: &'static str,
    },
    /// The secret that an item made, or the first one, in `delay` seconds.
    EndSecret {
        client: &'static str,
        of: Option<usize>,
        delay: u64,
    },
    NewTotp {
        client: &'static str,
    },
    EndTokens {
        client: &'static str,
    },
    Delete {
        client: &'static str,
        guarded: Option<usize>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Secret,
    SecretOf(usize),
    Code,
    /// A code of the seed before the current one.
    OldCode,
    WrongCode,
    /// Signed with this key.
    Assertion(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Suspend,
    Activate,
    Narrow,
    NarrowMore,
    Widen,
    /// Adds an operators' scope to all others.
    Promote,
    Immediate,
    Eventual,
    /// Registers these keys, given as bits.
    Keys(usize),
    /// Takes this mechanism away; `None` allows all of them again.
    Without(Option<&'static str>),
}

/// A failure that occurs for a while, with some probability each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Reads of KV fail.
    KvReads,
    /// Writes to KV fail.
    KvWrites,
    /// A write to KV times out. It may land soon, late or never.
    KvHangs,
    /// The feed's object does not answer.
    Feed,
    /// A call to an object, or its answer, is lost or delayed.
    Calls,
    /// A call to an object is duplicated.
    Doubles,
    /// An object's commit fails.
    Storage,
    /// Alarms run up to a minute late.
    Alarms,
}

/// How much goes wrong in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing but lag.
    Calm,
    Usual,
    Wild,
}

/// Everything that the seed decides.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub severity: Severity,
    /// How long a retired token still works, seconds.
    pub grace: u64,
    /// The largest difference of a clock from the true time, milliseconds.
    pub skew: u64,
    /// How many early ends alice has from the beginning: with more than 256, her replica says "ask the object".
    pub crowd: usize,
    pub items: Vec<Item>,
}

impl Plan {
    /// A plan of about `steps` events.
    pub fn of(seed: u64, steps: u64) -> Self {
        let chance = Chance::of(seed, "plan");
        let severity = chance
            .weighted(&[(2, Severity::Calm), (5, Severity::Usual), (3, Severity::Wild)])
            .unwrap_or(Severity::Usual);
        let grace = *chance.pick(&[0, 5, 60, 1_200, 5_000, 86_400]).unwrap_or(&60);
        let skew = *chance.pick(&[0, 300, 2_000]).unwrap_or(&0);
        let crowd = if chance.percent(3) { 252 + chance.below(6) as usize } else { 0 };
        let mut planner = Planner {
            chance,
            severity,
            items: Vec::new(),
            now: 1_000,
            longs: Vec::new(),
            shorts: Vec::new(),
            proofs: Vec::new(),
            secrets: Vec::new(),
            shown: Vec::new(),
            // Each seed has its own pace, so that some runs take minutes and others days.
            pace: 0,
        };
        planner.pace = planner.chance.below(4);
        planner.prelude();
        while (planner.items.len() as u64) < steps / STEPS_PER_ITEM {
            planner.next();
        }
        Self { seed, severity, grace, skew, crowd, items: planner.items }
    }
}

/// The bounds of a long-term token's lifetime, seconds.
const SHORTEST_TTL: u64 = 3_600;
const LONGEST_TTL: u64 = 7_776_000;
/// How long after its `auth_time` a token can be rotated, seconds.
const LONGEST_SESSION: u64 = 366 * 86_400;
const DAY: u64 = 86_400_000;

impl Call {
    /// Whether it is an operators' call about this client.
    fn is_about(&self, id: &str) -> bool {
        matches!(self,
            Self::Create { client, .. } | Self::Show { client } | Self::Change { client, .. }
            | Self::AddSecret { client } | Self::EndSecret { client, .. } | Self::NewTotp { client }
            | Self::EndTokens { client } | Self::Delete { client, .. } if *client == id)
    }
}

/// Other calls may refer to a call only if it comes within this time, milliseconds.
const SOON: u64 = 60_000;

/// About how many events an item causes.
const STEPS_PER_ITEM: u64 = 14;

struct Planner {
    chance: Chance,
    severity: Severity,
    items: Vec<Item>,
    now: u64,
    /// Items that get tokens: number, client.
    longs: Vec<(usize, &'static str)>,
    shorts: Vec<(usize, &'static str)>,
    /// Items that show a code or an assertion.
    proofs: Vec<usize>,
    secrets: Vec<(usize, &'static str)>,
    shown: Vec<(usize, &'static str)>,
    pace: u64,
}

impl Planner {
    fn prelude(&mut self) {
        for client in CLIENTS {
            let long = self.call(Call::Issue { client, by: By::Secret, narrow: false, ttl: None });
            self.now += 300;
            self.call(Call::Exchange { of: long, narrow: false });
        }
        self.now += 500;
    }

    fn next(&mut self) {
        let wrong = match self.severity {
            Severity::Calm => 0,
            Severity::Usual => 8,
            Severity::Wild => 18,
        };
        if self.chance.percent(wrong) {
            self.go_wrong();
        } else {
            self.go_on();
        }
        self.now += self.gap();
    }

    fn gap(&self) -> u64 {
        let chance = &self.chance;
        let kinds = match self.pace {
            0 => [(90, 0), (9, 1), (1, 2), (0, 3), (0, 4)],
            1 => [(60, 0), (30, 1), (8, 2), (2, 3), (0, 4)],
            2 => [(50, 0), (25, 1), (15, 2), (8, 3), (2, 4)],
            _ => [(40, 0), (20, 1), (20, 2), (14, 3), (6, 4)],
        };
        match chance.weighted(&kinds) {
            Some(0) => chance.below(150),
            Some(1) => chance.between(150, 3_000),
            Some(2) => chance.between(3_000, 40_000),
            Some(3) => chance.between(40_000, 1_200_000),
            _ => chance.between(1_200_000, 2 * 86_400_000),
        }
    }

    fn push(&mut self, at: u64, act: Act) -> usize {
        let number = self.items.len() + 1;
        self.items.push(Item { number, at, act });
        number
    }

    fn call(&mut self, call: Call) -> usize {
        self.call_at(self.now, call)
    }

    fn call_at(&mut self, at: u64, call: Call) -> usize {
        let location = self.chance.below(LOCATIONS as u64) as usize;
        let tries = if self.chance.percent(35) { 3 } else { 1 };
        let owner = |of: usize, known: &[(usize, &'static str)]| {
            known.iter().find(|(number, _)| *number == of).map(|(_, client)| *client)
        };
        let gets = match &call {
            Call::Issue { client, by, .. } if !matches!(by, By::WrongCode | By::OldCode) => Some((true, *client)),
            Call::Replay { .. } => None,
            Call::Exchange { of, .. } => owner(*of, &self.longs).map(|client| (false, client)),
            Call::Rotate { of, named: None, .. } => owner(*of, &self.shorts).map(|client| (true, client)),
            _ => None,
        };
        let is_proof = matches!(&call, Call::Issue { by: By::Code | By::Assertion(_), .. });
        let secret = if let Call::AddSecret { client } = &call { Some(*client) } else { None };
        let shown = if let Call::Show { client } = &call { Some(*client) } else { None };
        // Only root may give the deputy back what it lost.
        let by_deputy = self.chance.percent(if call.is_about(DEPUTY) { 10 } else { 25 });
        let operator = if by_deputy { DEPUTY } else { ROOT };
        let number = self.push(at, Act::Call { location, tries, operator, call });
        // A call that refers to another waits for it, so none must refer to a call that is far ahead.
        if at > self.now + SOON {
            return number;
        }
        match gets {
            Some((true, client)) => self.longs.push((number, client)),
            Some((false, client)) => self.shorts.push((number, client)),
            None => {}
        }
        if is_proof {
            self.proofs.push(number);
        }
        self.secrets.extend(secret.map(|client| (number, client)));
        self.shown.extend(shown.map(|client| (number, client)));
        number
    }

    /// Picks one of these, mostly one of the latest.
    fn recent<T: Copy>(&self, of: &[T]) -> Option<T> {
        let from = if self.chance.percent(75) { of.len().saturating_sub(6) } else { 0 };
        self.chance.pick(&of[from..]).copied()
    }

    fn recent_of(&self, known: &[(usize, &'static str)], client: &str) -> Option<usize> {
        let own: Vec<usize> = known.iter().filter(|(_, owner)| *owner == client).map(|(number, _)| *number).collect();
        self.recent(&own)
    }

    fn client(&self) -> &'static str {
        match self.chance.below(20) {
            0..=9 => CLIENTS[0],
            10..=13 => CLIENTS[1],
            14..=16 => CLIENTS[2],
            17 => DEPUTY,
            _ => LATER[self.chance.below(2) as usize],
        }
    }

    fn go_on(&mut self) {
        let client = self.client();
        let verifier = self.chance.below(VERIFIERS as u64) as usize;
        match self.chance.below(129) {
            0..=11 => {
                let by = match self.chance.below(10) {
                    0..=3 => By::Secret,
                    4..=5 => By::Code,
                    6 => self.recent_of(&self.secrets, client).map_or(By::WrongCode, By::SecretOf),
                    _ => self.assertion(),
                };
                let narrow = self.chance.percent(20);
                let number = self.call(Call::Issue { client, by, narrow, ttl: None });
                if matches!(by, By::Code | By::Assertion(_)) && self.chance.percent(50) {
                    let at = self.now + self.chance.below(if self.chance.percent(50) { 30 } else { 20_000 });
                    self.call_at(at, Call::Replay { of: number });
                }
            }
            12..=13 => {
                if let Some(of) = self.recent(&self.proofs) {
                    self.call(Call::Replay { of });
                }
            }
            14..=33 => {
                if let Some((of, _)) = self.recent(&self.longs) {
                    let narrow = self.chance.percent(20);
                    let short = self.call(Call::Exchange { of, narrow });
                    if self.chance.percent(30) {
                        self.call_at(self.now + 100 + self.chance.below(3_000), Call::Verify { verifier, of: short });
                    }
                }
            }
            34..=41 => {
                if let Some((of, client)) = self.recent(&self.shorts) {
                    let named = CLIENTS.into_iter().find(|other| *other != client && self.chance.percent(5));
                    self.call(Call::Rotate { of, named, ttl: None });
                    self.uses_after(&[of]);
                    if self.chance.percent(15) {
                        let at = self.now + self.chance.below(5_000_000);
                        self.call_at(at, Call::Feed { location: 0 });
                    }
                }
            }
            42..=59 => self.revoke(),
            60..=63 => {
                if let Some((of, _)) = self.recent(&self.shorts) {
                    self.call(Call::Introspect { of });
                }
            }
            64..=69 => {
                if let Some((of, _)) = self.recent(&self.shorts) {
                    self.call(Call::Verify { verifier, of });
                }
            }
            70..=73 => self.change(client, Change::Suspend),
            74..=77 => self.change(client, Change::Activate),
            78..=79 => self.change(client, Change::Narrow),
            80 => self.change(client, Change::NarrowMore),
            81..=82 => self.change(client, Change::Widen),
            83 => self.change(client, Change::Immediate),
            84 => self.change(client, Change::Eventual),
            85..=88 => {
                let client = if self.chance.percent(10) { ROOT } else { client };
                self.call(Call::EndTokens { client });
                if self.chance.percent(50) {
                    let at = self.now + self.chance.below(2_500);
                    let long = self.call_at(at, Call::Issue { client, by: By::Secret, narrow: false, ttl: None });
                    self.call_at(at + 500 + self.chance.below(3_000), Call::Exchange { of: long, narrow: false });
                }
                self.uses_of_client(client);
            }
            89 => {
                if self.chance.percent(40) {
                    let client = if self.chance.percent(40) { LATER[self.chance.below(2) as usize] } else { client };
                    let guarded = self.chance.percent(40).then(|| self.call(Call::Show { client }));
                    if guarded.is_some() && self.chance.percent(40) {
                        self.call_at(self.now + 300, Call::AddSecret { client });
                    }
                    self.call_at(self.now + 1_000, Call::Delete { client, guarded });
                    if self.chance.percent(40) {
                        let at = self.now + self.chance.below(5_000);
                        self.call_at(at, Call::Delete { client, guarded });
                    }
                    self.uses_of_client(client);
                    if LATER.contains(&client) {
                        let at = self.now + 500 + self.chance.below(5_000);
                        self.call_at(at, Call::Create { client, is_immediate: false });
                    }
                }
            }
            90..=91 => {
                let client = LATER[self.chance.below(2) as usize];
                let is_immediate = self.chance.percent(30);
                self.call(Call::Create { client, is_immediate });
            }
            92..=93 => {
                let client = LATER[self.chance.below(2) as usize];
                let by = if self.chance.percent(50) { By::WrongCode } else { By::Assertion(0) };
                self.call(Call::Issue { client, by, narrow: false, ttl: None });
            }
            94 => {
                for _ in 0..self.chance.between(1, 6) {
                    self.issue_within(4_000, client, By::WrongCode);
                }
                for at in [5_000, self.chance.between(290_000, 1_000_000)] {
                    self.call_at(self.now + at, Call::Issue { client, by: By::Code, narrow: false, ttl: None });
                }
            }
            95 => {
                self.call(Call::Show { client });
            }
            96..=97 => {
                self.call(Call::AddSecret { client });
            }
            98..=99 => {
                let of = self.recent_of(&self.secrets, client);
                let delay = *self.chance.pick(&[0, 0, 0, 5, 40, 3_600]).unwrap_or(&0);
                self.call(Call::EndSecret { client, of, delay });
                let by = of.map_or(By::Secret, By::SecretOf);
                self.issue_within(2_000, client, by);
                let near = self.now + delay * 1000 + self.chance.below(15_000);
                self.call_at(near, Call::Issue { client, by, narrow: false, ttl: None });
                if self.chance.percent(20) {
                    let later = self.now + self.chance.below(delay * 1000 + 2_000);
                    self.call_at(later, Call::EndSecret { client, of, delay: 60 });
                }
            }
            100..=103 => {
                let keys = *self.chance.pick(&[0b001, 0b011, 0b010, 0b100, 0b110]).unwrap_or(&1);
                self.change(client, Change::Keys(keys));
                for _ in 0..3 {
                    let by = By::Assertion(self.chance.below(KEYS as u64) as usize);
                    self.issue_within(1_500, client, by);
                }
                self.undo(client, Change::Keys(0b001));
            }
            104..=107 => {
                let mechanism = self.chance.pick(&MECHANISMS).copied();
                self.change(client, Change::Without(mechanism));
                let by = match mechanism {
                    Some("otp") => By::Code,
                    Some("assertion") => self.assertion(),
                    _ => By::Secret,
                };
                self.issue_within(1_500, client, by);
                if let Some(of) = self.recent_of(&self.shorts, client) {
                    let at = self.now + self.chance.below(1_500);
                    self.call_at(at, Call::Rotate { of, named: None, ttl: None });
                }
                self.undo(client, Change::Without(None));
            }
            108..=110 => {
                let at = self.now + self.chance.below(40);
                self.call_at(at, Call::NewTotp { client });
                for by in [By::Code, By::OldCode, By::Code] {
                    self.issue_within(3_000, client, by);
                }
            }
            111..=114 => {
                let change = if self.chance.percent(70) { Change::Narrow } else { Change::Suspend };
                self.change(DEPUTY, change);
                for _ in 0..self.chance.between(1, 3) {
                    let at = self.now + self.chance.below(1_500);
                    self.call_at(at, Call::AddSecret { client });
                }
                if self.chance.percent(20) {
                    let at = self.now + self.chance.below(1_500);
                    self.call_at(at, Call::Change { client, change: Change::Promote, guarded: None });
                }
                self.undo(DEPUTY, if change == Change::Narrow { Change::Widen } else { Change::Activate });
            }
            115..=118 => self.near_its_end(client),
            119..=120 => {
                // A token with the shortest lifetime, which may expire during the run.
                let long = self.call(Call::Issue { client, by: By::Secret, narrow: false, ttl: Some(SHORTEST_TTL) });
                self.call_at(self.now + 500, Call::Exchange { of: long, narrow: false });
            }
            121 if self.chance.percent(20) => self.long_session(client),
            121 => {}
            122..=124 => self.guess(client),
            // At one location, so that answers may overtake each other.
            _ => {
                let location = self.chance.below(LOCATIONS as u64) as usize;
                let is_slow = self.severity != Severity::Calm && self.chance.percent(40);
                if is_slow {
                    self.push(self.now, Act::Fault { kind: FaultKind::Feed, percent: 50, millis: 4_000 });
                    for _ in 0..3 {
                        if let Some((of, _)) = self.recent(&self.longs) {
                            self.call_at(self.now + self.chance.below(1_500), Call::Revoke { by: of, of });
                        }
                    }
                }
                for _ in 0..self.chance.between(1, if is_slow { 10 } else { 3 }) {
                    let at = self.now + self.chance.below(4_500);
                    self.call_at(at, Call::Feed { location });
                }
            }
        }
    }

    fn assertion(&self) -> By {
        By::Assertion(if self.chance.percent(70) { 0 } else { self.chance.below(KEYS as u64) as usize })
    }

    fn issue_within(&mut self, millis: u64, client: &'static str, by: By) {
        let at = self.now + self.chance.below(millis);
        self.call_at(at, Call::Issue { client, by, narrow: false, ttl: None });
    }

    /// Mostly undoes a change after a while.
    fn undo(&mut self, client: &'static str, change: Change) {
        if self.chance.percent(80) {
            let at = self.now + 1_000 + self.gap().min(60_000);
            self.call_at(at, Call::Change { client, change, guarded: None });
        }
    }

    /// Uses a token, and the short-term tokens that it gives, around their ends.
    fn near_its_end(&mut self, client: &'static str) {
        let long = self.call(Call::Issue { client, by: By::Secret, narrow: false, ttl: Some(SHORTEST_TTL) });
        let end = self.now + SHORTEST_TTL * 1000;
        for _ in 0..3 {
            let at = end - 4_000 + self.chance.below(14_000);
            self.call_at(at, Call::Exchange { of: long, narrow: false });
        }
        // A short-term token that ends with its parent, or 15 minutes after its exchange.
        let (at, short_end) = match self.chance.below(2) {
            0 => (end - self.chance.below(900_000), end),
            _ => (self.now + 1_000, self.now + 901_000),
        };
        let short = self.call_at(at, Call::Exchange { of: long, narrow: false });
        for _ in 0..3 {
            let verifier = self.chance.below(VERIFIERS as u64) as usize;
            let call = match self.chance.below(5) {
                0 => Call::Introspect { of: short },
                1 => Call::Rotate { of: short, named: None, ttl: None },
                2 => Call::Revoke { by: short, of: short },
                _ => Call::Verify { verifier, of: short },
            };
            self.call_at(short_end - 4_000 + self.chance.below(14_000), call);
        }
    }

    /// Sends wrong codes, at most four in five minutes, until the daily limit locks the mechanism. Then sends right
    /// ones.
    fn guess(&mut self, client: &'static str) {
        let mut at = self.now;
        let pause = *self.chance.pick(&[90_000, 660_000, 660_000, 7_000_000]).unwrap_or(&660_000);
        for _ in 0..self.chance.between(9, 11) {
            self.call_at(at, Call::Issue { client, by: By::WrongCode, narrow: false, ttl: None });
            at += self.chance.between(pause, pause + pause / 10);
        }
        let from = at;
        match self.chance.below(6) {
            0 => {
                self.call_at(at, Call::NewTotp { client });
            }
            1 => {
                self.call_at(at, Call::Change { client, change: Change::Activate, guarded: None });
            }
            _ => {}
        }
        for _ in 0..2 {
            at += self.chance.between(1_000, 40_000_000);
            self.call_at(at, Call::Issue { client, by: By::Code, narrow: false, ttl: None });
        }
        // When the first of them is about a day old.
        let day_later = self.now + DAY - 20_000 + self.chance.below(40_000);
        self.call_at(day_later.max(from), Call::Issue { client, by: By::Code, narrow: false, ttl: None });
    }

    /// Rotates a token again and again, until its session is older than 366 days.
    fn long_session(&mut self, client: &'static str) {
        let (mut at, end) = (self.now, self.now + LONGEST_SESSION * 1000);
        let mut long = self.call(Call::Issue { client, by: By::Secret, narrow: false, ttl: Some(LONGEST_TTL) });
        loop {
            at = (at + self.chance.between(70, 85) * DAY).min(end - 10_000 + self.chance.below(30_000));
            let short = self.call_at(at, Call::Exchange { of: long, narrow: false });
            long = self.call_at(at + 2_000, Call::Rotate { of: short, named: None, ttl: Some(LONGEST_TTL) });
            if at + 20_000 >= end {
                break;
            }
        }
    }

    /// Revokes one or several tokens concurrently.
    fn revoke(&mut self) {
        let mut ended = Vec::new();
        let count = if self.chance.percent(10) { self.chance.between(2, 12) } else { 1 };
        for _ in 0..count {
            let known = if self.chance.percent(65) { &self.longs } else { &self.shorts };
            let Some((of, client)) = self.recent(known) else { continue };
            let by = match self.chance.below(10) {
                0..=4 => Some(of),
                5..=8 => self.recent_of(if self.chance.percent(50) { &self.shorts } else { &self.longs }, client),
                _ => self.recent(&self.shorts).map(|(number, _)| number),
            };
            if let Some(by) = by {
                let at = self.now + self.chance.below(60);
                self.call_at(at, Call::Revoke { by, of });
                ended.push(of);
            }
        }
        self.uses_after(&ended);
    }

    fn change(&mut self, client: &'static str, change: Change) {
        let mut guarded = if self.chance.percent(15) { self.recent_of(&self.shown, client) } else { None };
        if self.chance.percent(10) {
            let shown = self.call(Call::Show { client });
            guarded = guarded.or(Some(shown).filter(|_| self.chance.percent(60)));
        }
        self.call(Call::Change { client, change, guarded });
        if guarded.is_some() && self.chance.percent(30) {
            // With the same `ETag`: a repeat, or a change that comes too late.
            let again = if self.chance.percent(50) { change } else { Change::Keys(0b011) };
            let at = self.now + self.chance.below(30_000);
            if self.chance.percent(50) {
                self.call_at(self.now + self.chance.below(15_000), Call::AddSecret { client });
            }
            self.call_at(at, Call::Change { client, change: again, guarded });
        }
        if change == Change::Suspend && self.chance.percent(50) {
            let at = self.now + self.gap().min(60_000);
            self.uses_of_client(client);
            self.call_at(at, Call::Change { client, change: Change::Activate, guarded: None });
        }
        self.uses_of_client(client);
    }

    fn uses_of_client(&mut self, client: &str) {
        // Entries leave the feed after an hour at the earliest.
        if self.chance.percent(15) {
            let location = self.chance.below(LOCATIONS as u64) as usize;
            let at = self.now + self.chance.below(4_800_000);
            self.call_at(at, Call::Feed { location });
        }
        let some = [self.recent_of(&self.longs, client), self.recent_of(&self.shorts, client)];
        self.uses_after(&some.into_iter().flatten().collect::<Vec<_>>());
    }

    /// Uses tokens at several locations soon after they may have ended.
    fn uses_after(&mut self, tokens: &[usize]) {
        for of in tokens {
            for _ in 0..self.chance.below(4) {
                let soon = self.chance.weighted(&[(3, 400), (3, 3_000), (2, 70_000), (1, 4_000_000)]).unwrap_or(400);
                let at = self.now + self.chance.below(soon);
                let is_long = self.longs.iter().any(|(number, _)| number == of);
                let verifier = self.chance.below(VERIFIERS as u64) as usize;
                let call = match (is_long, self.chance.below(6)) {
                    (true, 0..=4) => Call::Exchange { of: *of, narrow: false },
                    (false, 0..=1) => Call::Verify { verifier, of: *of },
                    (false, 2..=3) => Call::Introspect { of: *of },
                    (false, 4) => Call::Rotate { of: *of, named: None, ttl: None },
                    _ => Call::Revoke { by: *of, of: *of },
                };
                self.call_at(at, call);
            }
        }
    }

    fn go_wrong(&mut self) {
        let percent = *self.chance.pick(&[20, 50, 100]).unwrap_or(&50);
        let millis = match self.chance.below(10) {
            0..=5 => self.chance.between(100, 5_000),
            6..=8 => self.chance.between(5_000, 60_000),
            _ => self.chance.between(60_000, 1_200_000),
        };
        let object = match self.chance.below(8) {
            0 => "feed!",
            1 => LATER[self.chance.below(2) as usize],
            2 => ROOT,
            _ => CLIENTS[self.chance.below(3) as usize],
        };
        let act = match self.chance.below(100) {
            0..=7 => Act::Fault { kind: FaultKind::KvReads, percent, millis },
            8..=19 => Act::Fault { kind: FaultKind::KvWrites, percent, millis },
            20..=33 => Act::Fault { kind: FaultKind::KvHangs, percent, millis },
            34..=43 => Act::Fault { kind: FaultKind::Feed, percent, millis },
            44..=53 => Act::Fault { kind: FaultKind::Calls, percent: percent / 2, millis: millis.min(20_000) },
            54..=59 => Act::Fault { kind: FaultKind::Doubles, percent, millis },
            60..=63 => Act::Fault { kind: FaultKind::Storage, percent: percent / 2, millis: millis.min(5_000) },
            64..=67 => Act::Fault { kind: FaultKind::Alarms, percent, millis },
            68..=72 => Act::Crash { object, when: When::Now },
            73..=79 => Act::Crash { object, when: When::Write },
            80..=89 => Act::Crash { object, when: When::Commits(self.chance.between(1, 5)) },
            90..=93 => Act::Evict { location: self.chance.below(LOCATIONS as u64) as usize },
            _ => {
                let offset = self.chance.between(0, 4_000) as i64 - 2_000;
                let of = if self.chance.percent(50) {
                    Clock::Location(self.chance.below(LOCATIONS as u64) as usize)
                } else {
                    Clock::Object(object)
                };
                Act::SetClock { of, offset }
            }
        };
        self.push(self.now, act);
    }
}
