//! Checks before the first case: is the base URL right, and does the deployment accept the identities?

use crate::endpoint::{self, LONG};
use crate::http::Answer;
use crate::identities::{Credential, Role};
use crate::run::Run;
use crate::stop::Stop;
use crate::trial::Trial;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Time limit for one guess at the base URL.
const GUESS: Duration = Duration::from_secs(3);

/// Fails if the operations are not below this base URL but below a similar one.
pub async fn base_url(run: &Run) -> Result<(), String> {
    let probe = endpoint::post(LONG, None, Some(serde_json::json!({})));
    let answer = run.probe(&run.client, &probe, GUESS).await;
    // `sanity.first` reports everything else.
    if !answer.is_ok_and(|answer| is_elsewhere(&answer)) {
        return Ok(());
    }
    let base = run.client.url("");
    for other in neighbours(&base) {
        let answer = run.probe(&run.client.at(&other), &probe, GUESS).await;
        if answer.is_ok_and(|answer| is_service(&answer)) {
            return Err(format!("{base} has no /auth/tokens/long: did you mean --base-url {other}"));
        }
    }
    Ok(())
}

fn is_elsewhere(answer: &Answer) -> bool {
    let html = answer.header("content-type").is_some_and(|kind| kind.to_lowercase().contains("html"));
    [404, 405].contains(&answer.status) || (html && answer.status < 400)
}

/// Whether this is a token service's answer to an empty object: 400 or 401 with a code.
fn is_service(answer: &Answer) -> bool {
    [400, 401].contains(&answer.status) && answer.json().is_some_and(|body| body["code"].is_string())
}

/// Similar base URLs: with a version appended, with another version, or with the last path segments removed.
fn neighbours(base: &str) -> Vec<String> {
    let mut all = vec![format!("{base}/v1"), format!("{base}/v2")];
    let host = base.find("://").map_or(0, |at| at + 3);
    let mut rest = base;
    while let Some(at) = rest.rfind('/').filter(|at| *at > host) {
        rest = &rest[..at];
        all.extend([rest.to_owned(), format!("{rest}/v1"), format!("{rest}/v2")]);
    }
    let mut seen = BTreeSet::from([base.to_owned()]);
    all.retain(|url| seen.insert(url.clone()));
    all.truncate(9);
    all
}

/// The roles whose secret is refused although another role's is accepted, each with what to do. If none is accepted, the
/// identities may not be at fault, and the cases report it.
pub async fn credentials(t: &Trial<'_>, roles: BTreeSet<Role>) -> BTreeMap<Role, String> {
    let known = |role: &Role| *role != Role::Suspended && t.run.identities.has(*role, Credential::ClientSecret);
    let roles: Vec<_> = roles.into_iter().filter(known).collect();
    if roles.len() < 2 {
        return BTreeMap::new();
    }
    let tries = roles.into_iter().map(|role| async move {
        let minted = t.shared(role, "long").await;
        let is = |status: u16| {
            let answered = format!(": the server answered {status} ");
            matches!(&minted, Err(Stop::Blocked(why)) if why.contains(&answered))
        };
        if is(403) {
            let scopes = role.scopes().join(", ");
            t.run.say(&format!(
                "the server does not grant role {0} its scopes, {scopes} (403): if this client does not have them, give them \
                 to it, or name another client in [{0}] of the identities file",
                role.name()
            ));
        }
        (role, minted.is_ok(), is(401))
    });
    let all = futures_util::future::join_all(tries).await;
    let Some((accepted, ..)) = all.iter().find(|(_, accepted, _)| *accepted) else {
        if all.iter().all(|(.., is_refused)| *is_refused) {
            t.run.say(
                "the server refuses client_id and client_secret of every role (401): if they never worked, correct the \
                 identities file",
            );
        }
        return BTreeMap::new();
    };
    let refused = all.iter().filter(|(_, _, is_refused)| *is_refused);
    let told: BTreeMap<_, _> = refused
        .map(|(role, ..)| {
            let (name, other) = (role.name(), accepted.name());
            let why = format!(
                "the server refuses client_id and client_secret of role {name} (401) but accepts those of role {other}: \
                 correct [{name}] in the identities file"
            );
            (*role, why)
        })
        .collect();
    told.values().for_each(|why| t.run.say(why));
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_urls_are_found() {
        assert_eq!(neighbours("https://a.example"), ["https://a.example/v1", "https://a.example/v2"]);
        let all = neighbours("https://a.example/v1/auth/tokens");
        assert!(all.contains(&"https://a.example/v1".to_owned()), "{all:?}");
        assert!(neighbours("https://a.example/v1").contains(&"https://a.example/v2".to_owned()));
        let all = neighbours("https://a.example/api");
        assert!(all.contains(&"https://a.example/v1".to_owned()) && !all.contains(&"https://a.example/api".to_owned()));
    }
}
