//! Whether a server answers at all. The first of these rows runs before all others, the second after them.

use crate::case::*;
use crate::endpoint;
use crate::http::{BROKE, SILENT};
use crate::transcript;

pub const CASES: &[Case] = &[
    Case {
        id: "sanity.first",
        cell: Cell::Throughout,
        level: Level::Seed,
        requirement: "At the base URL, an HTTP server answers a request without credentials, and does not redirect it.",
        section: "conformance/README.md, Reaching the deployment",
        effect: Effect::Read,
        request: steps!(sane),
        mutants: &[
            mutant("always-500", "answers 500 to everything"),
            mutant("hang", "accepts connections and never answers"),
        ],
        ..ROW
    },
    Case {
        id: "sanity.last",
        cell: Cell::Throughout,
        level: Level::Seed,
        requirement: "The server still answers at the end of the run.",
        section: "conformance/README.md, Reaching the deployment",
        effect: Effect::Read,
        request: steps!(survived),
        mutants: &[mutant("dies-half-way", "goes down in the middle of the run")],
        ..ROW
    },
];

async fn probe(t: &Trial<'_>) -> Result<Answer, Stop> {
    t.expects_429.set(true);
    let request = endpoint::post(endpoint::LONG, None, Some(serde_json::json!({})));
    t.send(&request).await
}

/// Lenient on purpose: the other cases report wrong answers. The run ends here only if there is no token service at this
/// address.
async fn sane(t: &Trial<'_>) -> Result<(), Stop> {
    let answer = probe(t).await.map_err(|stop| match stop {
        // A server that sends nothing counts as unreachable; one whose answer never ends counts as reached.
        Stop::Fail { got, .. } if got.starts_with(SILENT) || got.starts_with(BROKE) => Stop::Error(got),
        other => other,
    })?;
    let kind = answer.header("content-type").unwrap_or_default().to_lowercase();
    let asked = "a token service's answer to POST /auth/tokens/long";
    if (300..400).contains(&answer.status) {
        let to = answer.header("location").unwrap_or("elsewhere");
        return Err(Stop::fail(
            asked,
            format!("{} to {to}; redirects are not followed: use the final URL as --base-url", answer.status),
        ));
    }
    if kind.contains("html") && ![400, 401, 403, 429].contains(&answer.status) {
        return Err(Stop::fail(
            asked,
            format!(
                "{} with an HTML page ({}): check --base-url, including a base path such as /v1",
                answer.status,
                transcript::words(&t.run.vault, &answer)
            ),
        ));
    }
    if answer.status >= 500 {
        return Err(Stop::fail(asked, format!("{}: the server has an internal error", t.summary(&answer))));
    }
    Ok(())
}

async fn survived(t: &Trial<'_>) -> Result<(), Stop> {
    t.run.forget_refusals();
    let answer = probe(t).await;
    t.run.uninterrupted()?;
    match answer {
        // A busy server is not a dead one.
        Err(Stop::Unavailable(why)) if !t.run.is_gone() => Err(Stop::Unavailable(why)),
        Ok(answer) if answer.status < 500 => Ok(()),
        Ok(answer) => {
            Err(Stop::fail("an answer, as at the start", format!("{}: the server did not survive", t.summary(&answer))))
        }
        Err(Stop::Fail { got, .. } | Stop::Error(got) | Stop::Blocked(got) | Stop::Unavailable(got)) => {
            Err(Stop::fail("an answer, as at the start", format!("{got}: the server did not survive")))
        }
        Err(other) => Err(other),
    }
}
