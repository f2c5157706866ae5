//! `admin apply`: brings clients to the state that a file declares. Each client is read, compared and changed on its
//! own, so after a failure the next run does what is left.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::PathBuf;

use clap::Args;
use futures_util::{Stream, StreamExt, stream};
use serde_json::Map;

use crate::api::{self, Client, Id, Patched};
use crate::output::{Sink, coloured, columns, hand_over, live, note, plain, say};
use crate::session::Session;
use crate::wanted::{self, Change, Mechanism, Status, Wanted, shown};

/// How many clients are processed concurrently.
const AT_ONCE: usize = 8;
/// How often a client is read and patched while someone else keeps changing it, before the command gives up.
const TURNS: usize = 3;

#[derive(Args)]
#[command(
    after_help = "Each [[client]] table has client_id, scopes and mechanisms, and may have client_name, max_ttl_seconds, \
                        consistency, status, region, and jwks or jwks_file. Members that a table leaves out stay unchanged."
)]
pub struct Apply {
    /// TOML file with a [[client]] table for each client
    file: PathBuf,
    /// Show what would change, but change nothing; exit code 0 if nothing would change, 2 otherwise
    #[arg(long)]
    pub dry_run: bool,
    /// Write new credentials to this new file instead of showing them
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    secrets_out: Option<PathBuf>,
    /// Delete, permanently, the clients that the file does not declare
    #[arg(long)]
    prune: bool,
}

/// Whether anything differed.
pub enum Outcome {
    AsDeclared,
    Changed,
}

/// The state of a run.
struct Run<'a> {
    session: &'a Session,
    sink: &'a Sink,
    dry_run: bool,
    total: usize,
    tally: RefCell<Tally>,
    plan: RefCell<Vec<(String, String)>>,
    stopped: Cell<bool>,
}

#[derive(Default)]
struct Tally {
    made: usize,
    changed: usize,
    deleted: usize,
    same: usize,
    failed: usize,
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |text: &str| if text.is_empty() { "(none)".to_owned() } else { text.to_owned() };
        write!(formatter, "{} → {}", of(&self.from), of(&self.to))
    }
}

impl Apply {
    pub fn scopes(&self) -> &'static [&'static str] {
        if self.dry_run { &["clients:read"] } else { &["clients:read", "clients:write"] }
    }

    /// Reads the file and opens the file for credentials, so that mistakes are found before anything is sent.
    pub fn prepare(&self) -> Result<(Vec<(String, Wanted)>, Sink), String> {
        Ok((wanted::read_document(&self.file)?, Sink::open(self.secrets_out.as_deref())?))
    }

    pub async fn run(&self, session: &Session, declared: Vec<(String, Wanted)>, sink: Sink) -> Result<Outcome, String> {
        let run = Run {
            session,
            sink: &sink,
            dry_run: self.dry_run,
            total: declared.len(),
            tally: RefCell::default(),
            plan: RefCell::default(),
            stopped: Cell::new(false),
        };
        let work = async {
            let clients = run.until_stopped(stream::iter(&declared));
            clients.map(|(id, wanted)| run.one(id, wanted)).buffer_unordered(AT_ONCE).collect::<()>().await;
            if self.prune && run.tally.borrow().failed == 0 && !run.stopped.get() {
                run.prune(&declared).await?;
            }
            Ok(())
        };
        let result = tokio::select! {
            result = work => result,
            () = run.interrupted() => Err("stopped at once; calls in progress may or may not have taken effect. Run this again to continue".to_owned()),
        };
        let summary = run.summary(&declared);
        sink.close();
        result.and(summary)
    }
}

impl Run<'_> {
    fn until_stopped<T>(&self, items: impl Stream<Item = T>) -> impl Stream<Item = T> {
        items.take_while(|_| std::future::ready(!self.stopped.get()))
    }

    /// On the first Ctrl-C, lets calls in progress finish, so that no new credential is lost. Returns on the second.
    async fn interrupted(&self) {
        let pressed = async || {
            if tokio::signal::ctrl_c().await.is_err() {
                // Without a handler, Ctrl-C ends the process as usual.
                std::future::pending::<()>().await;
            }
        };
        pressed().await;
        self.stopped.set(true);
        note("stopping after the calls in progress; press Ctrl-C again to stop at once");
        pressed().await;
    }

    async fn one(&self, id: &str, wanted: &Wanted) {
        let result = self.reconcile(id, wanted).await;
        if let Err(problem) = result {
            self.fail(id, &problem);
        }
        self.progress();
    }

    fn progress(&self) {
        let Tally { made, changed, same, failed, .. } = *self.tally.borrow();
        let done = made + changed + same + failed;
        live(&format!("{done} of {}: + {made}, ~ {changed}, failed {failed}", self.total));
    }

    async fn reconcile(&self, id: &str, wanted: &Wanted) -> Result<(), String> {
        for _ in 0..TURNS {
            let Some(client) = api::get(self.session, id).await? else { return self.make(id, wanted).await };
            let (patch, changes) = wanted.difference(&client.members)?;
            if patch.is_empty() {
                self.tally.borrow_mut().same += 1;
                warn(id, &client);
                return Ok(());
            }
            let mut rows: Vec<_> = changes.iter().map(|change| (change.name.to_owned(), change.to_string())).collect();
            // Credentials for a new mechanism come first: if the run fails in between, the next one still sees the
            // mechanism as a difference.
            let needed = needs(wanted, &client);
            if self.dry_run {
                rows.extend(needed.iter().map(|need| ((*need).to_owned(), "(none) → a new one".to_owned())));
            } else if !needed.is_empty() {
                for need in needed {
                    let (shown, _) = match need {
                        "client_secret" => api::add_secret(self.session, id).await?,
                        _ => api::new_totp(self.session, id).await?,
                    };
                    hand_over(id, &text(33, "~", id, &self.sink.put(id, &shown)?))?;
                }
                continue;
            } else if let Patched::Overtaken = api::patch(self.session, id, &patch, client.etag.as_deref()).await? {
                continue;
            }
            self.show(id, text(33, "~", id, &rows));
            self.tally.borrow_mut().changed += 1;
            return Ok(());
        }
        Err("someone else keeps changing it; run this again".to_owned())
    }

    async fn make(&self, id: &str, wanted: &Wanted) -> Result<(), String> {
        let members = wanted.members();
        let mut rows: Vec<_> = members.keys().map(|name| (name.clone(), shown(&members, name))).collect();
        let suspended = wanted.status == Some(Status::Suspended);
        if suspended {
            rows.push(("status".to_owned(), "suspended".to_owned()));
        }
        if self.dry_run {
            self.show(id, text(32, "+", id, &rows));
        } else {
            let mut client = api::create(self.session, Id::Given(id), wanted).await?;
            rows.extend(self.sink.put(id, &client.take_credentials())?);
            hand_over(id, &text(32, "+", id, &rows))?;
        }
        self.tally.borrow_mut().made += 1;
        if suspended && !self.dry_run {
            let status = Map::from_iter([("status".to_owned(), "suspended".into())]);
            let patched = api::patch(self.session, id, &status, None).await;
            patched.map_err(|problem| format!("it was created, but could not be suspended: {problem}"))?;
        }
        Ok(())
    }

    async fn prune(&self, declared: &[(String, Wanted)]) -> Result<(), String> {
        let listed = api::list(self.session).await?;
        let ids = listed.iter().filter_map(|client| client.get("client_id")?.as_str());
        let extra: Vec<&str> = ids.filter(|id| !declared.iter().any(|(other, _)| other == id)).collect();
        let own = self.session.operator().client_id.as_str();
        if extra.contains(&own) {
            return Err(format!(
                "{own} is the operator of this run, so --prune can't delete it; declare it in the file"
            ));
        }
        let deletions = self.until_stopped(stream::iter(extra)).map(async |id| {
            if let Err(problem) = self.delete(id).await {
                self.fail(id, &problem);
            }
        });
        deletions.buffer_unordered(AT_ONCE).collect::<()>().await;
        Ok(())
    }

    /// The list may lag, so the client itself is read, and deleted with `If-Match`.
    async fn delete(&self, id: &str) -> Result<(), String> {
        wanted::check_id(id)?;
        let Some(client) = api::get(self.session, id).await? else { return Ok(()) };
        if !self.dry_run {
            api::delete(self.session, id, client.etag.as_deref()).await?;
        }
        self.show(id, text(31, "-", id, &[]));
        self.tally.borrow_mut().deleted += 1;
        Ok(())
    }

    fn fail(&self, id: &str, problem: &str) {
        self.tally.borrow_mut().failed += 1;
        note(&format!("! {}: {problem}", plain(id)));
    }

    /// Prints what was done to a client. A plan is printed at the end, in the order of the file.
    fn show(&self, id: &str, text: String) {
        if self.dry_run { self.plan.borrow_mut().push((id.to_owned(), text)) } else { say(&text) }
    }

    fn summary(&self, declared: &[(String, Wanted)]) -> Result<Outcome, String> {
        live("");
        let mut plan = self.plan.take();
        plan.sort_by_cached_key(|(id, _)| {
            (declared.iter().position(|(other, _)| other == id).unwrap_or(declared.len()), id.clone())
        });
        for (_, text) in plan {
            say(&text);
        }
        let Tally { made, changed, deleted, same, failed } = *self.tally.borrow();
        let differ = made + changed + deleted;
        match (self.dry_run, differ) {
            (_, 0) if failed == 0 && !self.stopped.get() => say(&format!("As declared: {same}. Nothing to do.")),
            (true, _) => {
                say(&format!("To create: {made}, to change: {changed}, to delete: {deleted}, as declared: {same}."))
            }
            (false, _) => {
                say(&format!("Created: {made}, changed: {changed}, deleted: {deleted}, as declared: {same}."))
            }
        }
        if failed > 0 {
            return Err(format!("failed: {failed} (see above); run this again to continue"));
        }
        if self.stopped.get() {
            return Err("stopped before the end; run this again to continue".to_owned());
        }
        Ok(if differ == 0 { Outcome::AsDeclared } else { Outcome::Changed })
    }
}

/// The credentials that the client lacks for the mechanisms that it is to get.
fn needs(wanted: &Wanted, client: &Client) -> Vec<&'static str> {
    let gains = |mechanism, name| wanted.has(mechanism) && !client.allows(name);
    let needs = [
        ("client_secret", gains(Mechanism::Secret, "secret") && client.secret_ids().is_empty()),
        ("totp_secret", gains(Mechanism::Otp, "otp") && !client.has_totp()),
    ];
    needs.into_iter().filter_map(|(name, needed)| needed.then_some(name)).collect()
}

/// Warns of a mechanism without its credential, which does not count as a difference.
pub fn warn(id: &str, client: &Client) {
    for (mechanism, missing, command) in
        [("secret", client.secret_ids().is_empty(), "add-secret"), ("otp", !client.has_totp(), "new-totp")]
    {
        if missing && client.allows(mechanism) {
            note(&format!("{id}: the mechanism {mechanism} has no credential yet; run `admin client {command} {id}`"));
        }
    }
}

/// Formats the output about one client as one text, so that the lines of several clients do not mix.
fn text(colour: u8, sign: &str, id: &str, rows: &[(String, String)]) -> String {
    let head = coloured(colour, &format!("{sign} {id}"));
    if rows.is_empty() { head } else { format!("{head}\n{}", columns("    ", rows)) }
}
