//! Early ends: tokens that end before their expiry, by a revocation or a retirement, and how KV and the feed learn of
//! them.

use super::Client;
use super::ground::Ground;
use super::replica::{MOST_ENDS, Replica};
use super::step::{Step, parse, to_json, unreadable};
use crate::error::Unavailable;
use crate::feed::{self, End};
use crate::rows::FOR_EVER;
use crate::token_id::{Kind, TokenId};

/// How long an early end is stored after the token's expiry, seconds: another location's clock may be behind.
const AFTER_THE_END: u64 = 300;

// Row keys: `end:TOKEN_ID` for each early end; `unreported:KEY` for each end still to be reported to the feed;
// `reported:KEY` for each end of a short-term token that the feed has, to count them.
const END: &str = "end:";
const LONG_ENDS: &str = "end:tok_lt_";
const UNREPORTED: &str = "unreported:";
const REPORTED: &str = "reported:";

/// The row of a token that ends early: `AT CHANGE NUMBER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EarlyEnd {
    /// Unix seconds; 0 once that time has come.
    pub(super) at: u64,
    /// The change that KV must show before a revocation is answered; 0 if none.
    pub(super) change: u64,
    /// The end's number in the feed, which must have it before a revocation is answered; 0 if it was not reported.
    pub(super) number: u64,
}

impl EarlyEnd {
    pub(super) fn parse(key: &str, value: &str) -> Result<Self, Unavailable> {
        let mut numbers = value.split(' ').map(|number| number.parse().ok());
        let mut number = || numbers.next().flatten();
        let end = match (number(), number(), number()) {
            (Some(at), Some(change), Some(number)) => Some(Self { at, change, number }),
            _ => None,
        };
        // A row that another version wrote in another format is an error.
        end.filter(|end| end.to_string() == value).ok_or_else(|| unreadable(key))
    }

    pub(super) const fn has_come(self) -> bool {
        self.at == 0
    }
}

impl core::fmt::Display for EarlyEnd {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "{} {} {}", self.at, self.change, self.number)
    }
}

impl<G: Ground> Step<'_, G> {
    /// The early end of a token, if it has one. Once its time has come, this is recorded and published, so that a clock
    /// that is behind can't make the token live again.
    pub(super) fn find_end(&mut self, client: &Client, token_id: &str) -> Result<Option<EarlyEnd>, Unavailable> {
        let key = format!("{END}{token_id}");
        let Some(row) = self.load_row(&key)? else { return Ok(None) };
        let end = EarlyEnd::parse(&key, &row.value)?;
        if end.has_come() || end.at > self.now {
            return Ok(Some(end));
        }
        let end = EarlyEnd { at: 0, change: self.kv_change_for(client, token_id, false), number: end.number };
        self.save(&key, end.to_string(), row.expires_at);
        Ok(Some(end))
    }

    /// Ends a token at `at` (Unix seconds), unless it ends earlier already. `awaited`: the caller waits until KV and
    /// the feed show it.
    pub(super) fn end_one_token(
        &mut self,
        client: &Client,
        token: &TokenId,
        at: u64,
        awaited: bool,
    ) -> Result<EarlyEnd, Unavailable> {
        let at = if at <= self.now { 0 } else { at };
        let earlier = self.find_end(client, token.as_str())?.filter(|earlier| earlier.at <= at);
        if let Some(earlier) = earlier
            && (earlier.number > 0 || !awaited)
        {
            return Ok(earlier);
        }
        let at = earlier.map_or(at, |earlier| earlier.at);
        let ends_at = if at == 0 { self.now } else { at };
        let kind = if token.kind == Kind::Long { feed::Kind::Parent } else { feed::Kind::Token };
        // An end further ahead need not be in the feed: exchanges know of it and make no short-term token that outlives
        // it. If the token is revoked later, it is reported then.
        let is_near = ends_at < self.now + feed::HOUR;
        // This object's clock may be ahead of the feed's. An end that has come by this clock is reported as 0, which
        // takes effect whatever the feed's clock says.
        let reported_at = if at == 0 && self.state.clock > self.ground.millis() { 0 } else { ends_at };
        let number =
            if is_near { self.queue_report(kind, token.as_str(), reported_at, feed::HOUR, awaited) } else { 0 };
        let change = match earlier {
            Some(earlier) if number == 0 => return Ok(earlier),
            Some(earlier) => earlier.change,
            None => self.kv_change_for(client, token.as_str(), awaited),
        };
        let end = EarlyEnd { at, change, number };
        self.save(&format!("{END}{}", token.as_str()), end.to_string(), token.expires_at + AFTER_THE_END);
        if end.change > 0 && at > 0 {
            self.state.schedule_end(at);
        }
        Ok(end)
    }

    /// Records an end as a change of the replica, and returns that change's number; 0 if KV does not show this end.
    fn kv_change_for(&mut self, client: &Client, token_id: &str, awaited: bool) -> u64 {
        if !self.is_end_in_kv(client, token_id) {
            return 0;
        }
        self.state.record_change(awaited);
        self.state.change
    }

    /// Records the ends whose time has come, for KV to show, and schedules the next one.
    pub(super) fn record_ends_that_came(&mut self, client: &Client) -> Result<(), Unavailable> {
        self.state.next_end = 0;
        for (key, row) in self.ground.list(LONG_ENDS, self.now, usize::MAX)? {
            let end = EarlyEnd::parse(&key, &row.value)?;
            if end.at > self.now {
                self.state.schedule_end(end.at);
            } else if !end.has_come() {
                self.find_end(client, key.strip_prefix(END).unwrap_or(&key))?;
            }
        }
        Ok(())
    }

    /// Stores an end to be reported to the feed, where it stays for `keep` seconds after its time or this report,
    /// whichever is later. Returns its number. While the feed is off, only ends of the client itself are stored; they
    /// are reported once it is on.
    pub(super) fn queue_report(&mut self, kind: feed::Kind, id: &str, at: u64, keep: u64, awaited: bool) -> u64 {
        if !self.settings.has_feed() && kind != feed::Kind::Client {
            return 0;
        }
        let number = self.state.number_end(awaited);
        let end = End { key: feed::key(kind, id), at, keep, number };
        self.save(&format!("{UNREPORTED}{}", end.key), to_json(&end), FOR_EVER);
        number
    }

    /// The ends still to be reported to the feed.
    pub(super) fn unreported(&self) -> Result<Vec<End>, Unavailable> {
        let rows = self.ground.list(UNREPORTED, self.now, usize::MAX)?;
        rows.iter().map(|(key, row)| parse(&row.value, key)).collect()
    }

    /// Records that the feed has these ends, and everything up to `number`.
    pub(super) fn report_accepted(&mut self, ends: &[End], number: u64) {
        for end in ends {
            let key = format!("{UNREPORTED}{}", end.key);
            // An end stored under the same key since then is still to be reported.
            let is_same = self.load(&key).is_ok_and(|row| row.is_some_and(|value| value == to_json(end)));
            if is_same {
                self.remove(&key);
            }
            if end.key.starts_with(feed::Kind::Token.name()) {
                self.save(&format!("{REPORTED}{}", end.key), String::new(), self.now + feed::HOUR);
            }
        }
        self.state.last_reported = self.state.last_reported.max(number);
    }

    /// In how many seconds the feed has room for another short-term token of this client; 0 if it has room now.
    pub(super) fn seconds_until_room(&self) -> Result<u64, Unavailable> {
        let reported = self.ground.list(REPORTED, self.now, feed::MOST_TOKENS)?;
        let unreported =
            self.ground.list(&format!("{UNREPORTED}{}", feed::Kind::Token.name()), self.now, feed::MOST_TOKENS)?;
        if !self.settings.has_feed() || reported.len() + unreported.len() < feed::MOST_TOKENS {
            return Ok(0);
        }
        Ok(reported.iter().map(|(_, row)| row.expires_at - self.now).min().unwrap_or(feed::HOUR))
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
        let end = EarlyEnd { at: 1_800_000_000, change: 3, number: 0 };
        assert_eq!(end.to_string(), "1800000000 3 0");
        assert_eq!(EarlyEnd::parse("k", "1800000000 3 0"), Ok(end));
        for other in ["", "1 2", "1 2 x", "1 2 3 4", "1 2 3 ", "+1 2 3", "01 2 3", "-1 2 3"] {
            assert!(EarlyEnd::parse("k", other).is_err(), "{other:?}");
        }
    }
}
