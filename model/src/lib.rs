//! A model of the protocol between a client's object, KV and the feed. [stateright](https://docs.rs/stateright)
//! searches every state that it can reach within a bound, and checks the contract's promises in each (`properties`).
//!
//! The model is written by hand: each step names the function of `src/` that it stands for. One turn of the real
//! object, from one await to the next, is one step here, including its commit.
//!
//! | file | what it models |
//! |---|---|
//! | `world` | a state: what is stored, in memory and in flight, and what only the checker remembers |
//! | `object` | `src/client/`: judging, pending work, reports, publication, rewrites, the alarm, a new instance |
//! | `feed` | `src/feed/`: the feed's object and the isolates' copies; `verify/src/feed.rs`: a follower |
//! | `protocol` | the possible next steps, including faults |
//! | `properties` | the exchange (`src/client/replica.rs`), and the promises |
//! | `mutant` | protocols with one fault each, and the property that each breaks |
//! | `scope` | the bounds |
//!
//! # What may happen
//!
//! Calls arrive in any order, run concurrently, and are repeated after 503 or a lost answer. A write to KV may be
//! refused, time out, or lose its answer; so may a report to the feed. One that timed out, or was in flight when the
//! object died, is lost or lands later, over newer values. The object dies at any await, and is evicted whenever it is
//! idle. The alarm runs at any time once it is due. Within a tick, a location's cache and an isolate's cache may be of
//! any age. Answers of the feed may overtake each other.
//!
//! # Time
//!
//! The clock has ticks: 1, 2 and 3 ticks are the minute, the five minutes and the hour after which a value is
//! rewritten, and 3 ticks also the hour for which the feed keeps an end. A call takes less than a tick. A pause of less
//! than a minute (between two writes, before a retry, before the alarm takes over from a caller) may take no time, or
//! until the tick ends: every order is searched. A timed-out write lands before the last rewrite, or never, as the
//! contract says.
//!
//! # Liveness
//!
//! Every history ends: faults and calls are limited, and the clock has a last tick. "In the end" is a property of those
//! last states, and "nothing is stuck" says that every other state has a next step.
//!
//! # What is not modelled
//!
//! Clocks that differ or run backwards; deletion and lost scopes, which work like a suspension; replicas that are full
//! or missing, where the object is asked; ends of short-term tokens, and the feed's limit for them; `ETag`; the client
//! of the secret `OPERATOR`; a feed that is switched off and on; one-time codes, which are spent like a `jti`;
//! signatures and parsing. Two states with the same 64-bit hash count as one.

pub mod feed;
pub mod mutant;
pub mod object;
pub mod properties;
pub mod protocol;
pub mod scope;
pub mod world;
