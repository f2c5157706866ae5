//! A model of the protocol between a client's object, KV and the feed. [stateright](https://docs.rs/stateright) searches every state
//! that it can reach within a bound, and asks of each whether what the contract promises holds there (`properties`).
//!
//! The model is written beside the code, not generated from it: each step names the function of `src/` that it stands for. One turn
//! of the object there, from one await to the next, is one step here, together with its commit.
//!
//! | file | what it models |
//! |---|---|
//! | `world` | a state: what is stored, remembered and under way, and what the checker alone remembers |
//! | `object` | `src/client/`: judging, what is owed, reports, publication, rewrites, the alarm, a new instance |
//! | `feed` | `src/feed/`: the feed's object and the isolates' copies; `verify/src/feed.rs`: a follower |
//! | `protocol` | what may happen next, faults included |
//! | `properties` | the exchange (`src/client/replica.rs`), and what is to be true |
//! | `mutant` | protocols with one fault each, and the property that each breaks |
//! | `scope` | the bounds |
//!
//! # What may happen
//!
//! Calls arrive in any order, run side by side, and are repeated after 503 or a lost answer. A write to KV is refused, is given up, or
//! loses its answer; so does a report to the feed. What was given up, or was under way when the object died, is lost or lands later,
//! over whatever was written since. The object dies at any await, and is evicted whenever it is idle. The alarm comes at any time
//! once it is due. A location's cache and an isolate's memory of it are as old as they like within a tick. Answers of the feed
//! overtake each other.
//!
//! # Time
//!
//! The clock has ticks: 1, 2 and 3 ticks are the minute, the five minutes and the hour after which a value is written again, and the hour
//! for which the feed keeps an end. A call lasts for less than a tick. A pause of less than a minute (between two writes, before
//! a retry, before the alarm relieves a caller) may last for no time at all, or until the tick ends: every order is searched.
//! What was given up lands before the last rewrite, or never, as the contract has it.
//!
//! # Liveness
//!
//! Every history ends: faults and calls are counted, and the clock has a last tick. "In the end" is a property of those last states, and
//! "nothing is stuck" says that all others go on.
//!
//! # What is not modelled
//!
//! Clocks that differ or run back; deletion and lost scopes, which take the way of a suspension; replicas that are full or missing, where
//! the object is asked; ends of short-term tokens, and the feed's limit of them; `ETag`; the client of the secret `OPERATOR`; a feed that
//! is switched off and on; one-time codes, which are spent as a `jti` is; signatures, and all that a parser does. Two states with the
//! same 64-bit hash count as one.

pub mod feed;
pub mod mutant;
pub mod object;
pub mod properties;
pub mod protocol;
pub mod scope;
pub mod world;
