//! The clock is a value: in the selftest, harness and server share one that jumps ahead instead of waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock, and by how many milliseconds the server's is ahead of it.
    System(Arc<AtomicI64>),
    /// Milliseconds since the epoch; moves only when a task waits on it.
    Virtual(Arc<AtomicU64>),
}

impl Clock {
    pub fn system() -> Self {
        Self::System(Arc::default())
    }

    pub fn starting_at(seconds: u64) -> Self {
        Self::Virtual(Arc::new(AtomicU64::new(seconds * 1000)))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn now_ms(&self) -> u64 {
        match self {
            Self::System(ahead) => self.machine_ms().saturating_add_signed(ahead.load(Ordering::SeqCst)),
            Self::Virtual(ms) => ms.load(Ordering::SeqCst),
        }
    }

    /// The same by the machine's own clock.
    pub fn machine_ms(&self) -> u64 {
        match self {
            Self::System(_) => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
            Self::Virtual(ms) => ms.load(Ordering::SeqCst),
        }
    }

    /// From now on this clock is ahead of the machine's by this many milliseconds. Returns by how many it was.
    pub fn set_ahead(&self, ms: i64) -> i64 {
        match self {
            Self::System(ahead) => ahead.swap(ms, Ordering::SeqCst),
            Self::Virtual(_) => ms,
        }
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub fn now(&self) -> u64 {
        self.now_ms() / 1000
    }

    pub async fn wait_until_ms(&self, at: u64) {
        match self {
            Self::System(_) => tokio::time::sleep(Duration::from_millis(at.saturating_sub(self.now_ms()))).await,
            Self::Virtual(ms) => {
                ms.fetch_max(at, Ordering::SeqCst);
            }
        }
    }
}

/// RFC 3339 in UTC, to the second: `2026-11-24T06:50:11Z`.
pub fn rfc3339(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// Seconds since the epoch of an RFC 3339 time in UTC that ends in `Z`; fractions of a second are dropped.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z')?;
    let (text, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (date, time) = text.split_once('T')?;
    let numbers = |part: &str, mark: char, widths: [usize; 3]| -> Option<[u64; 3]> {
        let mut pieces = part.split(mark);
        let mut out = [0; 3];
        for (slot, width) in out.iter_mut().zip(widths) {
            let piece = pieces.next()?;
            if piece.len() != width || !piece.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            *slot = piece.parse().ok()?;
        }
        pieces.next().is_none().then_some(out)
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    if !(1..=12).contains(&month) || year < 1970 || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_before(year, month) + day.checked_sub(1)?;
    (civil(days) == (year, month, day)).then_some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

fn leap(year: u64) -> bool {
    (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

fn days_before(year: u64, month: u64) -> u64 {
    let years: u64 = (1970..year).map(|y| if leap(y) { 366 } else { 365 }).sum();
    years + (1..month).map(|m| month_days(year, m)).sum::<u64>()
}

fn civil(days: u64) -> (u64, u64, u64) {
    // The calendar repeats after 400 years. A server may send a time that is billions of years ahead.
    const CYCLE: u64 = 146_097;
    let (mut year, mut days) = (1970 + days / CYCLE * 400, days % CYCLE);
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let mut month = 1;
    while days >= month_days(year, month) {
        days -= month_days(year, month);
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_709_164_800), "2024-02-29T00:00:00Z");
        assert_eq!(rfc3339(13_574_563_200), "2400-02-29T00:00:00Z");
        assert_eq!(rfc3339(u64::MAX), "584554051223-11-09T07:00:15Z");
        assert_eq!(parse_rfc3339("2024-02-29T00:00:00.5Z"), Some(1_709_164_800));
        for bad in ["2023-02-29T00:00:00Z", "2024-02-29T00:00:00+00:00", "2024-02-29 00:00:00Z", "x"] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(at in 0u64..6_000_000_000) {
            proptest::prop_assert_eq!(parse_rfc3339(&rfc3339(at)), Some(at));
        }
    }
}
