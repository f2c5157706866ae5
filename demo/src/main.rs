//! `make demo`: a client calls two APIs; its token is revoked, then the client is suspended. Measures how many
//! milliseconds later each API refused it.
//!
//! `tools/with-dev.sh` starts the service, and stops all processes afterwards. The exit code is 0 if each API refused
//! within the polling interval plus 5 s, and no other client was refused.

mod apis;
mod picture;
mod service;
mod watch;

use std::convert::Infallible;
use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use reqwest::redirect::Policy;
use tokio::time::{Instant, interval_at, sleep, timeout};

use apis::Apis;
use service::{Service, Tokens};
use watch::{Call, Watch};

/// The promise: a verifier refuses within its polling interval plus this.
const MARGIN: Duration = Duration::from_secs(5);
/// How long the client is watched before each revocation or suspension, and after both APIs have refused it.
const BEFORE: Duration = Duration::from_millis(1500);
const AFTER: Duration = Duration::from_secs(1);
/// How long the client pauses after each call, and the other client after each of its own.
const PAUSE: Duration = Duration::from_millis(20);
const OTHER_PAUSE: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

const NAMES: [&str; 2] = ["axum API", "Worker API"];

/// Show how soon two APIs refuse a revoked token, and a suspended client's.
#[derive(Parser)]
#[command(after_help = "Run it as `make demo`, which starts the service first; pass flags with ARGS='--svg FILE'.")]
struct Args {
    /// How often each API fetches the revocation feed
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    poll_interval: u64,
    /// Draw this run as an SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// One part of the run: a token of the client, from its first call to its last. Arrays are indexed like `NAMES`.
struct Act {
    title: &'static str,
    /// When the revocation or suspension was sent, and when it was answered.
    asked: Duration,
    ended: Duration,
    calls: [Vec<Call>; 2],
    /// When each API first refused the token.
    refused: [Option<Duration>; 2],
}

struct Run {
    poll_interval: Duration,
    acts: [Act; 2],
    others: [Vec<Call>; 2],
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match demo(Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether every promise was kept.
async fn demo(args: Args) -> Result<bool> {
    // Fails only if a provider is already installed, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http =
        reqwest::Client::builder().no_proxy().redirect(Policy::none()).timeout(Duration::from_secs(5)).build()?;
    let service = Service::from_env(http.clone())?;
    let (mut apis, client, other) = tokio::try_join!(
        Apis::start(&service, args.poll_interval),
        service.new_client("demo"),
        service.new_client("demo, the other client"),
    )?;
    let others = service.tokens(&other).await?;
    apis.ready(&http, &others.short).await?;
    say(&format!("The service     {}", service.issuer));
    say(&format!("The axum API    {}  fetches the revocation feed every {} s", apis.urls[0], args.poll_interval));
    say(&format!("The Worker API  {}  does the same", apis.urls[1]));
    say(&format!("The client      {client}  calls each API {} ms after its last response", PAUSE.as_millis()));
    say(&format!("Another client  {other}  calls both too, and is never revoked\n"));

    let start = Instant::now();
    let watch = |token: &str, pause| apis.urls.each_ref().map(|url| Watch::start(&http, url, token, pause, start));
    let poll_interval = Duration::from_secs(args.poll_interval);
    let others = watch(&others.short, OTHER_PAUSE);
    let scene = Scene { others: &others, limit: poll_interval + MARGIN, start };

    let tokens = service.tokens(&client).await?;
    let revoked =
        scene.play("revoked the token", watch(&tokens.short, PAUSE), async || revoke(&service, &tokens).await);
    let revoked = revoked.await?;
    let tokens = service.tokens(&client).await?;
    let suspended = scene.play("suspended the client", watch(&tokens.short, PAUSE), async || {
        service.suspend(&client).await?;
        Ok(format!("admin client suspend {client}"))
    });
    let suspended = suspended.await?;

    let run = Run { poll_interval, acts: [revoked, suspended], others: others.map(Watch::stop) };
    say(&format!("\n{}", run.table()));
    if let Some(file) = args.svg {
        let write = fs::write(&file, picture::of(&run));
        write.with_context(|| format!("{} can't be written; give another file to --svg", file.display()))?;
    }
    let problems = run.problems();
    for problem in &problems {
        eprintln!("demo: {problem}");
    }
    Ok(problems.is_empty())
}

async fn revoke(service: &Service, tokens: &Tokens) -> Result<String> {
    service.revoke(tokens).await?;
    Ok(format!("POST /auth/tokens/{}/revoke: 204", tokens.long_id))
}

/// What both parts share.
struct Scene<'s> {
    others: &'s [Watch; 2],
    limit: Duration,
    start: Instant,
}

impl Scene<'_> {
    /// Watches a token before, during and after `end`, which revokes it and returns a description.
    async fn play(
        &self,
        title: &'static str,
        watches: [Watch; 2],
        end: impl AsyncFnOnce() -> Result<String>,
    ) -> Result<Act> {
        say_at(self.start.elapsed(), "The client has a new token.");
        let steps = async {
            sleep(BEFORE).await;
            let asked = self.start.elapsed();
            let did = end().await?;
            let ended = self.start.elapsed();
            say_at(ended, &did);
            let refused = async |api: usize| {
                // Waits longer than the promise, to tell a late refusal from none.
                let refusal = timeout(self.limit + MARGIN, watches[api].refusal(asked)).await.ok()?;
                let after = millis(refusal, ended);
                say_at(refusal, &format!("The {} refuses the token: 401, {after:+} ms", NAMES[api]));
                Some(refusal)
            };
            let (axum, worker) = tokio::join!(refused(0), refused(1));
            sleep(AFTER).await;
            anyhow::Ok((asked, ended, [axum, worker]))
        };
        let (asked, ended, refused) = tokio::select! {
            done = steps => done?,
            never = self.tell(&watches) => match never {},
        };
        Ok(Act { title, asked, ended, calls: watches.map(Watch::stop), refused })
    }

    /// Prints a line per second with the responses since the last one.
    async fn tell(&self, watches: &[Watch; 2]) -> Infallible {
        let mut ticks = interval_at(self.start + Duration::from_secs(self.start.elapsed().as_secs() + 1), SECOND);
        loop {
            ticks.tick().await;
            let since = self.start.elapsed().saturating_sub(SECOND);
            let [axum, worker] = watches.each_ref().map(|watch| watch.since(since));
            let [one, two] = self.others.each_ref().map(|watch| watch.since(since));
            let line = format!("{}: {axum}; {}: {worker}; the other client: {}", NAMES[0], NAMES[1], one + two);
            say_at(self.start.elapsed(), &line);
        }
    }
}

impl Run {
    fn table(&self) -> String {
        let mut table = format!("{:22}{:>12}{:>14}\n", "", NAMES[0], NAMES[1]);
        for act in &self.acts {
            let [axum, worker] = act.delays().map(|delay| delay.map_or("never".to_owned(), |ms| format!("{ms:+} ms")));
            table += &format!("{:22}{axum:>12}{worker:>14}\n", act.title);
        }
        let calls: usize = self.others.iter().map(Vec::len).sum();
        let accepted = self.others.iter().flatten().filter(|call| call.status == Some(200)).count();
        let seconds = self.poll_interval.as_secs();
        table
            + &format!(
                "Promised: within {} s (polling interval {seconds} s + {} s). The other client: {accepted} of {calls} calls accepted.",
                self.limit().as_secs(),
                MARGIN.as_secs()
            )
    }

    fn limit(&self) -> Duration {
        self.poll_interval + MARGIN
    }

    /// Each promise that was not kept.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for act in &self.acts {
            for (api, name) in NAMES.into_iter().enumerate() {
                if let Some(problem) = act.problem(api, self.limit()) {
                    problems.push(format!("{}: the {name} {problem}", act.title));
                }
            }
        }
        for (calls, name) in self.others.iter().zip(NAMES) {
            if let Some(call) = calls.iter().find(|call| call.status != Some(200)) {
                problems.push(format!("the {name} gave the other client {}", call.answer()));
            }
        }
        problems
    }
}

impl Act {
    /// Milliseconds from the response to the revocation or suspension until each API's first refusal. Negative if an
    /// API refused before that response arrived.
    fn delays(&self) -> [Option<i64>; 2] {
        self.refused.map(|refused| Some(millis(refused?, self.ended)))
    }

    fn problem(&self, api: usize, limit: Duration) -> Option<String> {
        let calls = &self.calls[api];
        let Some(refused) = self.refused[api] else { return Some("did not refuse it at all".to_owned()) };
        if refused > self.ended + limit {
            return Some(format!("refused it later than {} s", limit.as_secs()));
        }
        if calls.iter().any(|call| call.sent > refused && call.status == Some(200)) {
            return Some("accepted it again after it had refused it".to_owned());
        }
        let expected = |call: &&Call| match call.status {
            Some(200) => true,
            Some(401) => call.answered >= self.asked,
            _ => false,
        };
        let other = calls.iter().find(|call| !expected(call))?;
        Some(format!("gave {} after {:.3} s", other.answer(), other.answered.as_secs_f64()))
    }
}

/// Ignores a closed pipe, as with `head`.
fn say(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}

fn say_at(time: Duration, what: &str) {
    say(&format!("{:7.3} s  {what}", time.as_secs_f64()));
}

fn millis(later: Duration, earlier: Duration) -> i64 {
    let of = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    of(later) - of(earlier)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(7);

    fn call(second: u64, status: u16) -> Call {
        let answered = Duration::from_secs(second);
        Call { sent: answered, answered, status: Some(status) }
    }

    /// The token is revoked after 10 s. Both APIs give the same responses.
    fn act(calls: &[(u64, u16)]) -> Act {
        let calls: Vec<_> = calls.iter().map(|&(second, status)| call(second, status)).collect();
        let ended = Duration::from_secs(10);
        let refused = calls.iter().find(|call| call.status == Some(401) && call.answered >= ended);
        let refused = refused.map(|call| call.answered);
        Act { title: "revoked the token", asked: ended, ended, calls: [calls.clone(), calls], refused: [refused; 2] }
    }

    #[test]
    fn a_refusal_in_time_is_no_problem() {
        let act = act(&[(1, 200), (10, 200), (17, 401), (18, 401)]);
        assert_eq!(act.problem(0, LIMIT), None);
        assert_eq!(act.delays(), [Some(7000); 2]);
    }

    #[test]
    fn any_other_response_is_a_problem() {
        for (calls, problem) in [
            (&[(1, 200), (11, 200)][..], "did not refuse it at all"),
            (&[(1, 200), (18, 401)], "refused it later than 7 s"),
            (&[(1, 200), (11, 401), (12, 200)], "accepted it again after it had refused it"),
            (&[(1, 200), (2, 401), (11, 401)], "gave 401 after 2.000 s"),
            (&[(1, 200), (11, 503), (12, 401)], "gave 503 after 11.000 s"),
        ] {
            assert_eq!(act(calls).problem(1, LIMIT).as_deref(), Some(problem));
        }
    }

    #[test]
    fn a_refusal_of_the_other_client_is_a_problem() {
        let acts = [act(&[(1, 200), (11, 401)]), act(&[(1, 200), (11, 401)])];
        let run = Run { poll_interval: Duration::from_secs(2), acts, others: [vec![call(3, 200)], vec![call(3, 401)]] };
        assert_eq!(run.problems(), ["the Worker API gave the other client 401"]);
    }
}
