//! What depends on the moment: limits of time tried exactly, and promises that are looked at again.

use crate::http::Answer;
use crate::stop::Stop;
use crate::trial::Trial;

/// How long a promise must hold before it is looked at again, in seconds.
const LATER: u64 = 10;
/// How much clocks may differ, in seconds, where the server has one of its own.
const APART: i64 = 2;
/// A second turns over during one request in many, so this is never reached by chance.
const TRIES: u32 = 20;

impl Trial<'_> {
    /// Ten seconds later, or when all other cases are done, whichever comes last.
    pub async fn later(&self) -> Result<(), Stop> {
        self.run.rest(LATER).await
    }

    /// How far from an exact limit of time a request must keep.
    pub fn apart(&self) -> i64 {
        if self.run.client.is_loopback() { 0 } else { APART }
    }

    /// An attempt whose answer came in the second in which it was made: else a limit would have moved meanwhile.
    pub async fn in_one_second(&self, attempt: impl AsyncFn(u64) -> Result<Answer, Stop>) -> Result<Answer, Stop> {
        for _ in 0..TRIES {
            let now = self.run.clock.now();
            let answer = attempt(now).await?;
            if self.run.clock.now() == now {
                return Ok(answer);
            }
        }
        Err(Stop::Blocked(
            "every answer took longer than what was left of a second: run again nearer to the server".into(),
        ))
    }
}
