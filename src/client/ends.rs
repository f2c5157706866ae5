//! When a client's tokens end early, and what KV and the feed are to show of it.

use super::Client;
use super::ground::Ground;
use super::replica::{MOST_ENDS, Replica};
use super::step::{Step, parse, to_json, unreadable};
use crate::error::Unavailable;
use crate::feed::{self, End};
use crate::rows::FOR_EVER;
use crate::token_id::{Kind, TokenId};

/// For how long an end is remembered after its token's own end, seconds: a location's clock may be behind.
const AFTER_THE_END: u64 = 300;

// The rows: `end:TOKEN_ID` for each early end; `owed:KEY` for each end that the feed is to have, and `told:KEY` for those of
// short-term tokens that it has.
const END: &str = "end:";
const LONG_ENDS: &str = "end:tok_lt_";
const OWED: &str = "owed:";
const TOLD: &str = "told:";

/// The row of a token that ends early: `AT CHANGE TOLD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EarlyEnd {
    /// Unix seconds; 0 if that has come.
    pub(super) at: u64,
    /// The change that KV must show before a revocation is answered; 0 if it need not show any.
    pub(super) change: u64,
    /// The number of the end that the feed must have; 0 if it need not have any.
    pub(super) told: u64,
}

impl EarlyEnd {
    pub(super) fn parse(key: &str, value: &str) -> Result<Self, Unavailable> {
        let mut numbers = value.split(' ').map(|number| number.parse().ok());
        let mut number = || numbers.next().flatten();
        let end = match (number(), number(), number()) {
            (Some(at), Some(change), Some(told)) => Some(Self { at, change, told }),
            _ => None,
        };
        // What was written by another version, and says more, is not understood.
        end.filter(|end| end.to_string() == value).ok_or_else(|| unreadable(key))
    }

    pub(super) const fn has_come(self) -> bool {
        self.at == 0
    }
}

impl core::fmt::Display for EarlyEnd {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "{} {} {}", self.at, self.change, self.told)
    }
}

impl<G: Ground> Step<'_, G> {
    /// When a token ends early, if it does. That an end has come is stored, and published, so that no clock can take it back.
    pub(super) fn end_of(&mut self, client: &Client, token_id: &str) -> Result<Option<EarlyEnd>, Unavailable> {
        let key = format!("{END}{token_id}");
        let Some(row) = self.load_row(&key)? else { return Ok(None) };
        let end = EarlyEnd::parse(&key, &row.value)?;
        if end.has_come() || end.at > self.now {
            return Ok(Some(end));
        }
        let end = EarlyEnd { at: 0, change: self.shown_change(client, token_id, false), told: end.told };
        self.save(&key, end.to_string(), row.expires_at);
        Ok(Some(end))
    }

    /// Lets a token end at `at` (Unix seconds), unless it ends earlier already. `awaited`: the caller waits until KV shows it.
    pub(super) fn end(
        &mut self,
        client: &Client,
        token: &TokenId,
        at: u64,
        awaited: bool,
    ) -> Result<EarlyEnd, Unavailable> {
        let at = if at <= self.now { 0 } else { at };
        let settled = self.end_of(client, token.as_str())?.filter(|settled| settled.at <= at);
        if let Some(settled) = settled
            && (settled.told > 0 || !awaited)
        {
            return Ok(settled);
        }
        let at = settled.map_or(at, |settled| settled.at);
        let ends_at = if at == 0 { self.now } else { at };
        let kind = if token.kind == Kind::Long { feed::Kind::Parent } else { feed::Kind::Token };
        // Further ahead, no exchange makes a short-term token that outlives it. Whoever revokes it then has it told after all.
        let is_near = ends_at < self.now + feed::HOUR;
        // This clock may have run ahead of all others. What has come by it is to have come for them.
        let told_at = if at == 0 && self.state.clock > self.ground.millis() { 0 } else { ends_at };
        let told = if is_near { self.owe(kind, token.as_str(), told_at, feed::HOUR, awaited) } else { 0 };
        let change = match settled {
            Some(settled) if told == 0 => return Ok(settled),
            Some(settled) => settled.change,
            None => self.shown_change(client, token.as_str(), awaited),
        };
        let end = EarlyEnd { at, change, told };
        self.save(&format!("{END}{}", token.as_str()), end.to_string(), token.expires_at + AFTER_THE_END);
        if end.change > 0 && at > 0 {
            self.state.ends_at(at);
        }
        Ok(end)
    }

    /// The number of the change that an end is to KV; 0 if KV does not show it.
    fn shown_change(&mut self, client: &Client, token_id: &str, awaited: bool) -> u64 {
        if !self.shows(client, token_id) {
            return 0;
        }
        self.state.changed(awaited);
        self.state.change
    }

    /// Notes in KV's stead which ends have come, when the time of the earliest has. Sets when the next one does.
    pub(super) fn settle_ends(&mut self, client: &Client) -> Result<(), Unavailable> {
        self.state.next_end = 0;
        for (key, row) in self.ground.list(LONG_ENDS, self.now, usize::MAX)? {
            let end = EarlyEnd::parse(&key, &row.value)?;
            if end.at > self.now {
                self.state.ends_at(end.at);
            } else if !end.has_come() {
                self.end_of(client, key.strip_prefix(END).unwrap_or(&key))?;
            }
        }
        Ok(())
    }

    /// Owes the feed an end, which stays there for `keep` seconds after its time or this report, whichever is later. Gives its number.
    /// While there is no feed, what is owed of the client itself waits for one.
    pub(super) fn owe(&mut self, kind: feed::Kind, id: &str, at: u64, keep: u64, awaited: bool) -> u64 {
        if !self.settings.has_feed() && kind != feed::Kind::Client {
            return 0;
        }
        let number = self.state.owe(awaited);
        let end = End { key: feed::key(kind, id), at, keep, number };
        self.save(&format!("{OWED}{}", end.key), to_json(&end), FOR_EVER);
        number
    }

    /// What the feed is to be told.
    pub(super) fn owed_report(&self) -> Result<Vec<End>, Unavailable> {
        let rows = self.ground.list(OWED, self.now, usize::MAX)?;
        rows.iter().map(|(key, row)| parse(&row.value, key)).collect()
    }

    /// The feed has a report, with everything up to a number.
    pub(super) fn told(&mut self, ends: &[End], number: u64) {
        for end in ends {
            let key = format!("{OWED}{}", end.key);
            // What was owed since then, under the same key, still is.
            let is_same = self.load(&key).is_ok_and(|row| row.is_some_and(|value| value == to_json(end)));
            if is_same {
                self.remove(&key);
            }
            if end.key.starts_with(feed::Kind::Token.name()) {
                self.save(&format!("{TOLD}{}", end.key), String::new(), self.now + feed::HOUR);
            }
        }
        self.state.told = self.state.told.max(number);
    }

    /// After how many seconds the feed has room for one more end of a short-term token of this client; 0 if it has.
    pub(super) fn room_in(&self) -> Result<u64, Unavailable> {
        let told = self.ground.list(TOLD, self.now, feed::MOST_TOKENS)?;
        let owed = self.ground.list(&format!("{OWED}{}", feed::Kind::Token.name()), self.now, feed::MOST_TOKENS)?.len();
        if !self.settings.has_feed() || told.len() + owed < feed::MOST_TOKENS {
            return Ok(0);
        }
        Ok(told.iter().map(|(_, row)| row.expires_at - self.now).min().unwrap_or(feed::HOUR))
    }

    pub(super) fn replica(&self, client: &Client) -> Result<Replica, Unavailable> {
        let rows = self.ground.list(LONG_ENDS, self.now, MOST_ENDS + 1)?;
        let mut ends = Vec::with_capacity(rows.len());
        for (key, row) in &rows {
            let at = EarlyEnd::parse(key, &row.value)?.at;
            ends.push((key.strip_prefix(END).unwrap_or(key), if at <= self.now { 0 } else { at }));
        }
        Ok(Replica::new(client, ends.into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_read_as_it_is_written_or_not_at_all() {
        let end = EarlyEnd { at: 1_800_000_000, change: 3, told: 0 };
        assert_eq!(end.to_string(), "1800000000 3 0");
        assert_eq!(EarlyEnd::parse("k", "1800000000 3 0"), Ok(end));
        for other in ["", "1 2", "1 2 x", "1 2 3 4", "1 2 3 ", "+1 2 3", "01 2 3", "-1 2 3"] {
            assert!(EarlyEnd::parse("k", other).is_err(), "{other:?}");
        }
    }
}
