//! Time in cases: time limits that are tested to the second, and promises that are checked again later.

use crate::http::Answer;
use crate::stop::Stop;
use crate::trial::Trial;

/// After how many seconds a promise is checked again.
const LATER: u64 = 10;
/// How much the server's clock may differ from this one, in seconds, unless it is on this machine.
const APART: i64 = 2;
/// Few requests cross the boundary of a second, so chance alone never uses up all tries.
const TRIES: u32 = 20;

impl Trial<'_> {
    /// Waits ten seconds, and until all other cases are done.
    pub async fn later(&self) -> Result<(), Stop> {
        self.run.rest(LATER).await
    }

    /// How far a request must stay from an exact time limit, in seconds.
    pub fn apart(&self) -> i64 {
        if self.run.client.is_loopback() { 0 } else { APART }
    }

    /// Repeats an attempt until its answer comes in the second in which it was sent, so that no time limit moves meanwhile.
    pub async fn in_one_second(&self, attempt: impl AsyncFn(u64) -> Result<Answer, Stop>) -> Result<Answer, Stop> {
        for _ in 0..TRIES {
            let now = self.run.clock.now();
            let answer = attempt(now).await?;
            if self.run.clock.now() == now {
                return Ok(answer);
            }
        }
        Err(Stop::Blocked(
            "no answer came within the second in which its request was sent: run the harness nearer to the server"
                .into(),
        ))
    }
}
