//! What may happen only once: the rules of the one Durable Object that each client has.
//!
//! The object is a table of rows. For each question it loads the row named by `Ask::key`, has `decide` judge, and saves
//! the row that comes back, before anything else can run. The early end of a token it also publishes to KV,
//! one at a time: KV lets the last writer win, so there is one writer, and what it writes is always the earliest end.
//! All rules are here; `edge` gives the table and KV.

use std::rc::Rc;

use futures_util::lock::Mutex;
use serde::{Deserialize, Serialize};

use crate::revocation;

/// The most wrong codes in a window before the mechanism locks.
const MAX_WRONG_CODES: usize = 5;
/// Seconds in which wrong codes are counted together.
const WRONG_CODE_WINDOW: u64 = 300;
/// Seconds for which the mechanism stays locked.
const LOCK: u64 = 300;
/// A row that must outlive its use by far: the last accepted step of a one-time code.
const NEVER: u64 = 253_402_300_799;

/// A question to a client's object. The object answers it by its own clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// A one-time code was sent; `step` is the time step that it fits (RFC 6238, section 4.2), if it fits any.
    Code { step: Option<u64> },
    /// An assertion with this `jti` was sent; it would be valid until `until`.
    Assertion { jti_digest: String, until: u64 },
    /// A token shall end at `at`. `until` is its own end, after which nothing need be remembered. The answer
    /// comes when the end is in KV.
    End { token_id: String, at: u64, until: u64 },
    /// Has the token been ended? `Refused` if so. Stores nothing.
    Ended { token_id: String },
    /// Is the object there? It always says `Accepted`, and stores nothing.
    Probe,
}

/// What the object says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// It had not happened before; now it has.
    Accepted,
    Refused,
    /// The token ends then: as asked, or earlier if an earlier end was settled before. `ended`: that time has come.
    Ends {
        at: u64,
        ended: bool,
    },
}

/// A stored row: its value, and when it may be forgotten (Unix seconds).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub value: String,
    pub expires_at: u64,
}

/// What a question needs of the object that it is put to.
#[allow(async_fn_in_trait, reason = "futures run on the runtime's one thread; none needs to be Send")]
pub trait Object {
    type Error;

    fn load(&self, key: &str) -> Result<Option<Row>, Self::Error>;

    /// Saves a row, and forgets those that may be forgotten. It must be durable before the object answers.
    fn save(&self, key: &str, row: &Row) -> Result<(), Self::Error>;

    /// Writes the end of a token to KV, kept there until `expires_at` at least.
    async fn publish(&self, token_id: &str, ends_at: u64, expires_at: u64) -> Result<(), Self::Error>;

    /// Held while the end of this token is published.
    fn publishing(&self, token_id: &str) -> Rc<Mutex<()>>;

    /// Unix seconds.
    fn now(&self) -> u64;

    /// A row that can't be read: nothing may be accepted.
    fn unreadable(key: &str) -> Self::Error;
}

/// Answers a question.
pub async fn answer<O: Object>(object: &O, ask: &Ask) -> Result<Answer, O::Error> {
    match ask {
        Ask::End { token_id, until, .. } => {
            let publishing = object.publishing(token_id);
            let _turn = publishing.lock().await;
            let answer = judge(object, ask)?;
            if let (Answer::Ends { at, .. }, false) = answer {
                object.publish(token_id, at, revocation::expiry(*until, object.now())).await?;
                let published = End { at, published: true }.row(*until).ok_or_else(|| O::unreadable(token_id))?;
                object.save(&ask.key(), &published)?;
            }
            Ok(answer.0)
        }
        _ => Ok(judge(object, ask)?.0),
    }
}

/// The answer, and whether it changes nothing. Nothing is awaited in here, so no other question can come in between.
fn judge<O: Object>(object: &O, ask: &Ask) -> Result<(Answer, bool), O::Error> {
    let key = ask.key();
    let (answer, row) = ask.decide(object.load(&key)?.as_ref(), object.now()).ok_or_else(|| O::unreadable(&key))?;
    let settled = row.is_none();
    if let Some(row) = row {
        object.save(&key, &row)?;
    }
    Ok((answer, settled))
}

/// What is settled about the early end of a token.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    at: u64,
    /// Whether KV has it.
    published: bool,
}

impl End {
    fn row(&self, expires_at: u64) -> Option<Row> {
        Some(Row { value: serde_json::to_string(self).ok()?, expires_at })
    }
}

/// What a client's one-time codes have seen.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Codes {
    /// The last accepted step; it and all before it are spent.
    last_step: Option<u64>,
    /// When the latest wrong codes came.
    wrong: Vec<u64>,
    locked_until: u64,
}

impl Ask {
    /// The row that decides.
    pub fn key(&self) -> String {
        match self {
            Self::Code { .. } => "code".to_owned(),
            Self::Assertion { jti_digest, .. } => format!("jti:{jti_digest}"),
            Self::End { token_id, .. } | Self::Ended { token_id, .. } => format!("end:{token_id}"),
            Self::Probe => "probe".to_owned(),
        }
    }

    /// Judges. A row that comes back must be saved before the answer is given, and the end in it published. `None` if the
    /// stored row can't be read: then nothing may be accepted.
    pub fn decide(&self, row: Option<&Row>, now: u64) -> Option<(Answer, Option<Row>)> {
        let row = row.filter(|row| row.expires_at > now);
        match self {
            Self::Code { step } => {
                let mut codes: Codes = match row {
                    Some(row) => serde_json::from_slice(row.value.as_bytes()).ok()?,
                    None => Codes::default(),
                };
                let answer = codes.judge(*step, now);
                let value = serde_json::to_string(&codes).ok()?;
                Some((answer, Some(Row { value, expires_at: NEVER })))
            }
            // Past `until` nobody knows any more whether it came before.
            Self::Assertion { until, .. } => Some(match row {
                _ if *until <= now => (Answer::Refused, None),
                Some(_) => (Answer::Refused, None),
                None => (Answer::Accepted, Some(Row { value: String::new(), expires_at: *until })),
            }),
            Self::Ended { .. } => Some(match row {
                Some(row) if serde_json::from_slice::<End>(row.value.as_bytes()).ok()?.at <= now => {
                    (Answer::Refused, None)
                }
                _ => (Answer::Accepted, None),
            }),
            Self::Probe => Some((Answer::Accepted, None)),
            Self::End { at, until, .. } => {
                let settled: Option<End> = match row {
                    Some(row) => Some(serde_json::from_slice(row.value.as_bytes()).ok()?),
                    None => None,
                };
                let end = match settled {
                    Some(settled) if settled.at <= *at => settled,
                    _ => End { at: *at, published: false },
                };
                let row = if end.published { None } else { Some(end.row(*until)?) };
                Some((Answer::Ends { at: end.at, ended: end.at <= now }, row))
            }
        }
    }
}

impl Codes {
    fn judge(&mut self, step: Option<u64>, now: u64) -> Answer {
        if now < self.locked_until {
            return Answer::Refused;
        }
        let Some(step) = step else {
            self.wrong.retain(|at| at + WRONG_CODE_WINDOW > now);
            self.wrong.push(now);
            if self.wrong.len() >= MAX_WRONG_CODES {
                self.wrong.clear();
                self.locked_until = now + LOCK;
            }
            return Answer::Refused;
        };
        // A code that was right once is no guess, so it does not count towards the lock.
        if self.last_step.is_some_and(|last| step <= last) {
            return Answer::Refused;
        }
        self.last_step = Some(step);
        self.wrong.clear();
        Answer::Accepted
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// The object as the runtime runs it.
    #[derive(Default)]
    struct Object(HashMap<String, Row>);

    impl Object {
        fn ask(&mut self, ask: Ask, now: u64) -> Answer {
            let (answer, row) = ask.decide(self.0.get(&ask.key()), now).unwrap();
            if let Some(row) = row {
                self.0.insert(ask.key(), row);
            }
            answer
        }

        fn code(&mut self, step: Option<u64>, now: u64) -> Answer {
            self.ask(Ask::Code { step }, now)
        }
    }

    #[test]
    fn a_step_is_spent_with_all_before_it() {
        let mut object = Object::default();
        assert_eq!(object.code(Some(10), 300), Answer::Accepted);
        assert_eq!(object.code(Some(10), 300), Answer::Refused);
        assert_eq!(object.code(Some(9), 300), Answer::Refused);
        assert_eq!(object.code(Some(11), 300), Answer::Accepted);
    }

    #[test]
    fn five_wrong_codes_lock_right_ones_included() {
        let mut object = Object::default();
        for second in 0..5 {
            assert_eq!(object.code(None, 1000 + second), Answer::Refused);
        }
        assert_eq!(object.code(Some(33), 1004), Answer::Refused);
        assert_eq!(object.code(Some(43), 1303), Answer::Refused);
        assert_eq!(object.code(Some(43), 1304), Answer::Accepted);
    }

    #[test]
    fn wrong_codes_outside_the_window_do_not_add_up() {
        let mut object = Object::default();
        for nth in 0..20 {
            assert_eq!(object.code(None, 1000 + nth * 75), Answer::Refused);
        }
        assert_eq!(object.code(Some(100), 3000), Answer::Accepted);
    }

    #[test]
    fn replays_do_not_lock() {
        let mut object = Object::default();
        object.code(Some(10), 300);
        for _ in 0..100 {
            assert_eq!(object.code(Some(10), 300), Answer::Refused);
        }
        assert_eq!(object.code(Some(11), 330), Answer::Accepted);
    }

    #[test]
    fn wrong_codes_during_the_lock_do_not_lengthen_it() {
        let mut object = Object::default();
        for _ in 0..50 {
            object.code(None, 1000);
        }
        assert_eq!(object.code(Some(43), 1300), Answer::Accepted);
    }

    #[test]
    fn an_assertion_is_taken_once() {
        let mut object = Object::default();
        let ask = |digest: &str| Ask::Assertion { jti_digest: digest.into(), until: 600 };
        assert_eq!(object.ask(ask("d"), 0), Answer::Accepted);
        assert_eq!(object.ask(ask("d"), 599), Answer::Refused);
        assert_eq!(object.ask(ask("e"), 0), Answer::Accepted);
        // Its row may be gone by then, and so may that of one that never came.
        assert_eq!(object.ask(ask("d"), 600), Answer::Refused);
        assert_eq!(object.ask(ask("f"), 600), Answer::Refused);
    }

    #[test]
    fn an_unreadable_row_accepts_nothing() {
        let row = Row { value: "?".into(), expires_at: NEVER };
        assert_eq!(Ask::Code { step: Some(1) }.decide(Some(&row), 0), None);
        assert_eq!(Ask::End { token_id: "t".into(), at: 1, until: 2 }.decide(Some(&row), 0), None);
    }

    #[test]
    fn the_stored_and_sent_formats_are_pinned() {
        let (_, row) = Ask::Code { step: Some(7) }.decide(None, 5).unwrap();
        assert_eq!(row.unwrap().value, r#"{"last_step":7,"wrong":[],"locked_until":0}"#);
        let end = Ask::End { token_id: "t".into(), at: 1, until: 2 };
        let row = Row { value: r#"{"at":1,"published":false}"#.into(), expires_at: 2 };
        assert_eq!(end.decide(None, 0).unwrap().1.unwrap(), row);
        assert_eq!(serde_json::to_string(&end).unwrap(), r#"{"ask":"end","token_id":"t","at":1,"until":2}"#);
        assert_eq!(
            serde_json::to_string(&Answer::Ends { at: 1, ended: true }).unwrap(),
            r#"{"answer":"ends","at":1,"ended":true}"#
        );
        assert_eq!(serde_json::to_string(&Answer::Accepted).unwrap(), r#"{"answer":"accepted"}"#);
    }

    proptest! {
        #[test]
        fn the_earliest_end_stays(ends in prop::collection::vec(1u64..1000, 1..20)) {
            let mut object = Object::default();
            let mut earliest = u64::MAX;
            for at in ends {
                earliest = earliest.min(at);
                let ask = Ask::End { token_id: "t".into(), at, until: 5000 };
                prop_assert_eq!(object.ask(ask, 0), Answer::Ends { at: earliest, ended: false });
                let ended = Ask::Ended { token_id: "t".into() };
                prop_assert_eq!(object.ask(ended.clone(), earliest - 1), Answer::Accepted);
                prop_assert_eq!(object.ask(ended, earliest), Answer::Refused);
            }
        }

        #[test]
        fn accepted_steps_only_rise(steps in prop::collection::vec(prop::option::of(0u64..40), 1..60)) {
            let mut object = Object::default();
            let mut last = None;
            for (now, step) in steps.into_iter().enumerate() {
                if object.code(step, now as u64 * 30) == Answer::Accepted {
                    prop_assert!(step > last);
                    last = step;
                }
            }
        }
    }
}
