//! The history of a run, for the checker and for people.

use std::rc::Rc;

use serde_json::Value;

use crate::plan::START;

/// An issued token, as its bearer sees it.
#[derive(Debug)]
pub struct Token {
    /// Names it in the history: the call that issued it.
    pub name: String,
    pub text: String,
    pub id: String,
    pub client: String,
    pub is_long: bool,
    pub scopes: Vec<String>,
    /// Unix seconds.
    pub issued_at: u64,
    pub auth_time: u64,
    pub expires_at: u64,
    /// The long-term token says `immediate`, so exchanges ask the object.
    pub is_immediate: bool,
    /// The long-term token that a short-term token came from.
    pub parent: Option<Rc<Token>>,
    /// The call that issued it.
    pub made_by: usize,
    /// When the call that presented the credential was sent and answered. True time, Unix milliseconds.
    pub root: (u64, u64),
    /// When the call that made it was sent and answered.
    pub made: (u64, u64),
}

/// What an operator changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    pub is_active: Option<bool>,
    pub scopes: Option<Vec<String>>,
    pub is_immediate: Option<bool>,
    pub mechanisms: Option<Vec<&'static str>>,
    pub keys: Option<Vec<usize>>,
}

/// A client's credential. Credentials that work only once are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The call that made it; 0 for the secret of the client of `OPERATOR`.
    Secret(usize),
    /// The call that made the seed, and the time step (RFC 6238).
    Code {
        seed: usize,
        step: u64,
    },
    WrongCode,
    Assertion {
        jti: String,
        key: usize,
    },
}

impl Proof {
    pub const fn mechanism(&self) -> &'static str {
        match self {
            Self::Secret(_) => "secret",
            Self::Code { .. } | Self::WrongCode => "otp",
            Self::Assertion { .. } => "assertion",
        }
    }
}

/// A part of the deployment that can fail.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// A client's object, its storage, or the way to it; or that of the feed.
    Object(String),
    /// KV's value of a client.
    Kv(String),
    /// An isolate.
    Location(usize),
}

/// An operation on the service.
#[derive(Clone, Debug)]
pub enum Op {
    Issue {
        client: String,
        proof: Proof,
        asked: Option<Vec<String>>,
        ttl: Option<u64>,
    },
    /// `named`: the `client_id` of the body.
    Rotate {
        bearer: Rc<Token>,
        named: String,
        ttl: Option<u64>,
    },
    Exchange {
        token: Rc<Token>,
        asked: Option<Vec<String>>,
    },
    Revoke {
        by: Rc<Token>,
        target: Rc<Token>,
    },
    Introspect {
        token: Rc<Token>,
    },
    Create {
        client: String,
        scopes: Vec<String>,
        is_immediate: bool,
    },
    Show {
        client: String,
    },
    Change {
        client: String,
        patch: Patch,
        if_match: Option<String>,
    },
    AddSecret {
        client: String,
    },
    /// `secret`: the call that made it. It ends in `delay` seconds.
    EndSecret {
        client: String,
        secret: usize,
        delay: u64,
    },
    NewTotp {
        client: String,
    },
    EndTokens {
        client: String,
    },
    Delete {
        client: String,
        if_match: Option<String>,
    },
    /// An API asks its offline verifier.
    Verify {
        verifier: usize,
        token: Rc<Token>,
    },
}

#[derive(Clone, Debug)]
pub enum What {
    /// A call was sent to a location. `by`: the operator's token, if it is an operators' call or introspection.
    Asked {
        op: Op,
        location: usize,
        by: Option<Rc<Token>>,
    },
    Answered(Answer),
    /// An isolate read a client's value from KV: when its write began, if there was one.
    Shown {
        location: usize,
        client: String,
        begun: Option<u64>,
    },
    /// A write to KV began.
    Written {
        client: String,
        instance: u64,
        is_awaited: bool,
    },
    /// An offline verifier received the feed, which it had requested at this time. `iat`: that of the signed text that
    /// it holds.
    Followed {
        verifier: usize,
        asked: u64,
        iat: u64,
    },
    /// The payload of the full feed that a location served to a request sent at this time.
    Served {
        location: usize,
        asked: u64,
        payload: Value,
    },
    /// The status and scopes of an exchange that reads KV's newest value while no object answers.
    ByKvAlone {
        scopes: Vec<String>,
        token: Rc<Token>,
        status: u16,
        begun: Option<u64>,
    },
    /// The payload of the full feed, from its object.
    Feed(Value),
    /// A client's object an hour after the last call: its rows, and how often its alarm ran in that hour.
    AtRest {
        client: String,
        rows: usize,
        alarms: u64,
    },
    /// KV's list of clients: id and status.
    Listed(Vec<(String, String)>),
    /// The clock of a location or of an object was set.
    ClockSet {
        of: Part,
        offset: i64,
    },
    /// All failures have ended, and KV no longer lags.
    Healed,
    /// Something that the history shows. `fault`: a failure of this part was injected.
    Told {
        text: String,
        fault: Option<Part>,
    },
}

#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The call.
    pub call: usize,
    /// 0 if there was no response.
    pub status: u16,
    pub code: String,
    /// The token that was issued.
    pub token: Option<Rc<Token>>,
    /// The body of a shown client or an introspection.
    pub body: Value,
    pub etag: Option<String>,
    /// A request to an object was duplicated.
    pub doubled: bool,
}

#[derive(Clone, Debug)]
pub struct Entry {
    /// True time, Unix milliseconds.
    pub at: u64,
    /// The call; 0 for what belongs to none.
    pub call: usize,
    pub what: What,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The promise, in the contract's words.
    pub promise: &'static str,
    /// What happened instead.
    pub instead: String,
    pub at: u64,
}

impl Patch {
    /// Whether it takes something away that KV shows, or may be a repeat of such a change.
    pub fn may_narrow(&self) -> bool {
        self.is_active == Some(false) || self.scopes.is_some() || self.is_immediate == Some(true)
    }
}

impl Op {
    /// The client that an operators' call may change.
    pub fn changed(&self) -> Option<&str> {
        match self {
            Self::Create { client, .. }
            | Self::Change { client, .. }
            | Self::AddSecret { client }
            | Self::EndSecret { client, .. }
            | Self::NewTotp { client }
            | Self::EndTokens { client }
            | Self::Delete { client, .. } => Some(client),
            _ => None,
        }
    }

    /// Whether it asks for the same change of the same client, whatever `If-Match` says.
    pub fn repeats(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Change { client, patch, .. }, Self::Change { client: other, patch: same, .. }) => {
                client == other && patch == same
            }
            (Self::Delete { client, .. }, Self::Delete { client: other, .. }) => client == other,
            _ => false,
        }
    }

    pub fn if_match(&self) -> Option<&str> {
        match self {
            Self::Change { if_match, .. } | Self::Delete { if_match, .. } => if_match.as_deref(),
            _ => None,
        }
    }

    /// The scope that its caller needs, if it is an operators' call or introspection.
    pub fn needs(&self) -> Option<&'static str> {
        match self {
            Self::Introspect { .. } => Some("tokens:introspect"),
            Self::Show { .. } => Some("clients:read"),
            Self::Create { .. }
            | Self::Change { .. }
            | Self::AddSecret { .. }
            | Self::EndSecret { .. }
            | Self::NewTotp { .. }
            | Self::EndTokens { .. }
            | Self::Delete { .. } => Some("clients:write"),
            _ => None,
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Issue { client, proof, .. } => match proof {
                Proof::Secret(nth) => format!("/long for {client} by its secret {nth}"),
                Proof::Code { seed, step } => format!("/long for {client} by the code of seed {seed}, step {step}"),
                Proof::WrongCode => format!("/long for {client} by a wrong code"),
                Proof::Assertion { jti, key } => format!("/long for {client} by the assertion {jti} with key {key}"),
            },
            Self::Rotate { bearer, named, .. } if *named != bearer.client => {
                format!("/long for {named}, rotation by {}", bearer.name)
            }
            Self::Rotate { bearer, .. } => format!("/long, rotation by {}", bearer.name),
            Self::Exchange { token, asked: None } => format!("/short with {}", token.name),
            Self::Exchange { token, asked: Some(asked) } => {
                format!("/short with {} for {}", token.name, asked.join(" "))
            }
            Self::Revoke { by, target } => format!("/revoke of {} by {}", target.name, by.name),
            Self::Introspect { token } => format!("/introspect of {}", token.name),
            Self::Create { client, .. } => format!("operator creates {client}"),
            Self::Show { client } => format!("operator reads {client}"),
            Self::Change { client, patch, if_match } => {
                let mut told = format!("operator changes {client}:");
                if let Some(active) = patch.is_active {
                    told += if active { " active" } else { " suspended" };
                }
                if let Some(scopes) = &patch.scopes {
                    told += &format!(" scopes {}", scopes.join(" "));
                }
                if let Some(immediate) = patch.is_immediate {
                    told += if immediate { " immediate" } else { " eventual" };
                }
                if let Some(mechanisms) = &patch.mechanisms {
                    told += &format!(" mechanisms {}", mechanisms.join(" "));
                }
                if let Some(keys) = &patch.keys {
                    told += &format!(" keys {keys:?}");
                }
                if if_match.is_some() { told + ", with If-Match" } else { told }
            }
            Self::AddSecret { client } => format!("operator gives {client} another secret"),
            Self::EndSecret { client, secret, delay } => {
                format!("operator ends the secret {secret} of {client} in {delay} s")
            }
            Self::NewTotp { client } => format!("operator gives {client} a new seed"),
            Self::EndTokens { client } => format!("operator ends all tokens of {client}"),
            Self::Delete { client, if_match: None } => format!("operator deletes {client}"),
            Self::Delete { client, .. } => format!("operator deletes {client}, with If-Match"),
            Self::Verify { verifier, token } => format!("API {verifier} verifies {}", token.name),
        }
    }
}

/// The history as text: a line for each call and each failure.
pub fn tell(history: &[Entry], from: u64) -> String {
    let mut told = String::new();
    let clock = |at: u64| {
        let millis = at.saturating_sub(START);
        format!("{:>7}.{:03}", millis / 1000, millis % 1000)
    };
    for entry in history.iter().filter(|entry| entry.at >= from) {
        let line = match &entry.what {
            What::Asked { op, by, .. } => {
                let answer = history.iter().find_map(|other| match &other.what {
                    What::Answered(answer) if other.call == entry.call => Some((other.at, answer)),
                    _ => None,
                });
                let answer = match answer {
                    None => "no answer".to_owned(),
                    Some((at, answer)) => {
                        let made = answer.token.as_ref().map_or(String::new(), |token| format!(" {}", token.name));
                        let status = match answer.status {
                            0 => "no answer".to_owned(),
                            status => format!("{status} {}", answer.code),
                        };
                        format!("{}{made} after {} ms", status.trim_end(), at - entry.at)
                    }
                };
                let by = by.as_ref().map_or(String::new(), |by| format!(" with {} of {}", by.name, by.client));
                format!("{}{by} → {answer}", op.told())
            }
            What::Told { text, .. } => text.clone(),
            What::ByKvAlone { token, status, .. } => format!("KV alone, asked for {}: {status}", token.name),
            What::ClockSet { of: Part::Location(location), offset } => {
                format!("the clock of location {location} is set to {offset} ms off the true time")
            }
            What::ClockSet { of: Part::Object(of) | Part::Kv(of), offset } => {
                format!("the clock of the object of {of} is set to {offset} ms off the true time")
            }
            What::Served { location, asked, payload } => {
                format!(
                    "the feed of location {location}: seq {}, asked for {} ms ago",
                    payload["seq"],
                    entry.at - asked
                )
            }
            What::Healed => "from now on nothing fails, and KV no longer lags".to_owned(),
            _ => continue,
        };
        told += &format!("{}  {line}\n", clock(entry.at));
    }
    told
}
