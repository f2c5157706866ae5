//! `admin client`: one command for each operation on a client.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use crate::api::{self, Client, Id, Patched};
use crate::apply;
use crate::output::{Shown, Sink, columns, hand_over, note, plain, say};
use crate::session::Session;
use crate::wanted::{self, Consistency, Mechanism, Region, Wanted, check_id, shown};

#[derive(Args)]
pub struct Clients {
    #[command(subcommand)]
    command: Command,
    /// Print the service's JSON response, or nothing if it has no body
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Create a client; its credentials are shown only once
    New(New),
    /// List all clients except deleted ones; one created within the last minute may be missing
    List,
    /// Show a client, without secrets
    Show { client_id: String },
    /// Change a client; fails if someone else changes it at the same time
    Set(Set),
    /// Suspend a client: its credentials and tokens stop working until it is restored
    Suspend { client_id: String },
    /// Reactivate a suspended client, and its tokens that have not expired or been revoked
    Restore { client_id: String },
    /// Add a second secret, so that a client can switch over without downtime
    AddSecret {
        client_id: String,
        #[command(flatten)]
        out: Out,
    },
    /// End one of a client's secrets, now or at a later time
    EndSecret {
        client_id: String,
        /// The secret's id, as shown by `admin client show`
        secret_id: String,
        /// Seconds until it ends, up to 7776000
        #[arg(long = "in", value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=7_776_000))]
        delay: u64,
    },
    /// Make a new TOTP seed; the old one stops working
    NewTotp {
        client_id: String,
        #[command(flatten)]
        out: Out,
    },
    /// End all tokens that a client has been issued until now
    EndTokens { client_id: String },
    /// Delete a client permanently; its id can't be used again
    Delete {
        client_id: String,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Args)]
struct Out {
    /// Write new credentials to this new file instead of showing them
    #[arg(long, value_name = "FILE")]
    secrets_out: Option<PathBuf>,
}

#[derive(Args)]
struct New {
    /// 1 to 128 letters, digits, '-', '_', '.' or '~'; generated if left out
    #[arg(long)]
    client_id: Option<String>,
    /// A display name
    #[arg(long)]
    name: Option<String>,
    /// Scopes that it may be granted, as resource:action or resource:*; repeat the flag, or separate with commas
    #[arg(long = "scope", required = true, value_delimiter = ',')]
    scopes: Vec<String>,
    /// Ways to get a long-term token; repeat the flag, or separate with commas
    #[arg(long = "mechanism", required = true, value_delimiter = ',')]
    mechanisms: Vec<Mechanism>,
    /// Longest lifetime of its long-term tokens, 3600 to 7776000
    #[arg(long, value_name = "SECONDS")]
    max_ttl: Option<u64>,
    /// How soon exchanges see a change; the deployment's default if left out
    #[arg(long)]
    consistency: Option<Consistency>,
    /// File with its public keys as a JWK Set, each with kid and alg; required for the mechanism assertion
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Where to place its Durable Object (a location hint)
    #[arg(long)]
    region: Option<Region>,
    #[command(flatten)]
    out: Out,
}

#[derive(Args)]
struct Set {
    client_id: String,
    #[command(flatten)]
    changes: Changes,
}

#[derive(Args)]
#[group(required = true, multiple = true)]
struct Changes {
    /// A display name
    #[arg(long)]
    name: Option<String>,
    /// Remove the name
    #[arg(long, conflicts_with = "name")]
    no_name: bool,
    /// New list of scopes, in place of the old one; repeat the flag, or separate with commas
    #[arg(long = "scope", value_delimiter = ',')]
    scopes: Option<Vec<String>>,
    /// New list of mechanisms, in place of the old one; repeat the flag, or separate with commas
    #[arg(long = "mechanism", value_delimiter = ',')]
    mechanisms: Option<Vec<Mechanism>>,
    /// Longest lifetime of its long-term tokens, 3600 to 7776000
    #[arg(long, value_name = "SECONDS")]
    max_ttl: Option<u64>,
    /// How soon exchanges see a change
    #[arg(long)]
    consistency: Option<Consistency>,
    /// File with its public keys as a JWK Set, in place of the old ones
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Remove its public keys
    #[arg(long, conflicts_with = "jwks")]
    no_jwks: bool,
}

impl Clients {
    /// The scopes that the command needs.
    pub fn scopes(&self) -> &'static [&'static str] {
        match self.command {
            Command::List | Command::Show { .. } => &["clients:read"],
            Command::Set(_) | Command::AddSecret { .. } => &["clients:read", "clients:write"],
            _ => &["clients:write"],
        }
    }

    /// Finds mistakes before anything is sent, and asks for confirmation of what can't be undone.
    pub fn check(&mut self) -> Result<(), String> {
        match &mut self.command {
            Command::List => Ok(()),
            Command::New(new) => {
                new.client_id.as_deref().map_or(Ok(()), check_id)?;
                new.wanted().map(|_| ())
            }
            Command::Set(set) => {
                check_id(&set.client_id)?;
                set.changes.wanted().map(|_| ())
            }
            Command::EndSecret { client_id, secret_id, .. } => check_id(client_id).and_then(|()| check_id(secret_id)),
            Command::Delete { client_id, yes } => {
                check_id(client_id)?;
                if *yes { Ok(()) } else { confirm(client_id) }
            }
            Command::Show { client_id }
            | Command::Suspend { client_id }
            | Command::Restore { client_id }
            | Command::AddSecret { client_id, .. }
            | Command::NewTotp { client_id, .. }
            | Command::EndTokens { client_id } => check_id(client_id),
        }
    }

    pub async fn run(self, session: &Session) -> Result<(), String> {
        let json = self.json;
        match self.command {
            Command::New(new) => make(session, &new, json).await?,
            Command::List => list(&api::list(session).await?, json)?,
            Command::Show { client_id } => show(&api::existing(session, &client_id).await?, json),
            Command::Set(set) => change(session, &set, json).await?,
            Command::Suspend { client_id } => {
                let client = status(session, &client_id, "suspended").await?;
                let said = format!(
                    "{client_id} is suspended: it gets no tokens, and those that it has are refused.{}",
                    lag(&client)
                );
                answer(&client, &said, json);
            }
            Command::Restore { client_id } => {
                let client = status(session, &client_id, "active").await?;
                let said = format!(
                    "{client_id} is active again; its tokens work unless they have expired or been revoked.{}",
                    lag(&client)
                );
                answer(&client, &said, json);
            }
            Command::AddSecret { client_id, out } => {
                let sink = out.open()?;
                let made = api::add_secret(session, &client_id).await;
                give(&client_id, made, sink, json)?;
                note(
                    "the other secret still works; end it with `admin client end-secret` once the client uses the new one",
                );
            }
            Command::EndSecret { client_id, secret_id, delay } => {
                api::end_secret(session, &client_id, &secret_id, delay).await?;
                done(
                    json,
                    &match delay {
                        0 => format!(
                            "The secret {secret_id} of {client_id} has ended. Tokens issued with it still work; end them with `admin client end-tokens`."
                        ),
                        _ => format!(
                            "The secret {secret_id} of {client_id} ends in {delay} seconds, or earlier if an earlier end was set."
                        ),
                    },
                );
            }
            Command::NewTotp { client_id, out } => {
                let sink = out.open()?;
                let made = api::new_totp(session, &client_id).await;
                give(&client_id, made, sink, json)?;
                note("the old seed no longer works");
            }
            Command::EndTokens { client_id } => {
                api::end_tokens(session, &client_id).await?;
                done(
                    json,
                    &format!(
                        "All tokens that {client_id} was issued until now have ended. Its credentials still work; replace those that leaked."
                    ),
                );
            }
            Command::Delete { client_id, .. } => {
                api::delete(session, &client_id, None).await?;
                done(json, &format!("{client_id} is deleted. Its id can't be used again."));
            }
        }
        Ok(())
    }
}

impl Out {
    fn open(&self) -> Result<Sink, String> {
        Sink::open(self.secrets_out.as_deref())
    }
}

impl New {
    fn wanted(&self) -> Result<Wanted, String> {
        let mut wanted = Wanted {
            client_name: self.name.clone(),
            scopes: Some(self.scopes.clone()),
            mechanisms: Some(self.mechanisms.clone()),
            max_ttl_seconds: self.max_ttl,
            consistency: self.consistency,
            status: None,
            jwks: self.jwks.as_deref().map(wanted::read_jwks).transpose()?,
            region: self.region,
        };
        wanted.check(true)?;
        Ok(wanted)
    }
}

impl Changes {
    fn wanted(&self) -> Result<Wanted, String> {
        let no_keys = || serde_json::json!({"keys": []});
        let mut wanted = Wanted {
            client_name: if self.no_name { Some(String::new()) } else { self.name.clone() },
            scopes: self.scopes.clone(),
            mechanisms: self.mechanisms.clone(),
            max_ttl_seconds: self.max_ttl,
            consistency: self.consistency,
            status: None,
            jwks: match &self.jwks {
                Some(path) => Some(wanted::read_jwks(path)?),
                None => self.no_jwks.then(no_keys),
            },
            region: None,
        };
        wanted.check(false)?;
        Ok(wanted)
    }
}

async fn make(session: &Session, new: &New, json: bool) -> Result<(), String> {
    let wanted = new.wanted()?;
    let sink = new.out.open()?;
    let id = new.client_id.as_deref().map_or(Id::Made("c2m_"), Id::Given);
    let made = api::create(session, id, &wanted).await.map(|mut client| {
        let id = client.text("client_id").to_owned();
        let shown = client.take_credentials();
        (id, client, shown)
    });
    let (id, client, shown) = match made {
        Ok(made) => made,
        Err(problem) => {
            sink.close();
            return Err(problem);
        }
    };
    let once = !shown.is_empty();
    if json {
        // If the credentials go to a file, the JSON omits them.
        let text = match &sink {
            Sink::Output => client.text.clone(),
            Sink::File { .. } => Value::from(client.members).to_string(),
        };
        sink.put(&id, &shown)?;
        hand_over(&id, text.trim_end())?;
    } else {
        let mut rows = vec![("client_id".to_owned(), id.clone())];
        rows.extend(sink.put(&id, &shown)?);
        hand_over(&id, &columns("", &rows))?;
        if once && matches!(sink, Sink::Output) {
            note("these credentials are shown only once; store them now");
        }
    }
    sink.close();
    Ok(())
}

/// Shows new credentials of an existing client.
fn give(id: &str, made: Result<(Shown, String), String>, sink: Sink, json: bool) -> Result<(), String> {
    let (shown, text) = match made {
        Ok(made) => made,
        Err(problem) => {
            sink.close();
            return Err(problem);
        }
    };
    let rows = sink.put(id, &shown)?;
    if json && matches!(sink, Sink::Output) {
        hand_over(id, text.trim_end())?;
    } else if json {
        // A secret's id is not secret, and a script needs it to end the secret.
        let kept: Map<String, Value> = shown
            .iter()
            .filter(|(name, _)| *name == "secret_id")
            .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
            .collect();
        say(&Value::from(kept).to_string());
    } else {
        hand_over(id, &columns("", &rows))?;
    }
    sink.close();
    Ok(())
}

async fn change(session: &Session, set: &Set, json: bool) -> Result<(), String> {
    let id = &set.client_id;
    let client = api::existing(session, id).await?;
    let (patch, changes) = set.changes.wanted()?.difference(&client.members)?;
    if patch.is_empty() {
        answer(&client, &format!("{id} already has these values; nothing was changed."), json);
        return Ok(());
    }
    match api::patch(session, id, &patch, client.etag.as_deref()).await? {
        Patched::Done(client) => {
            let rows: Vec<_> = changes.iter().map(|change| (change.name.to_owned(), change.to_string())).collect();
            answer(&client, &format!("{id} is changed.{}\n{}", lag(&client), columns("  ", &rows)), json);
            apply::warn(id, &client);
            Ok(())
        }
        Patched::Overtaken => {
            Err(format!("someone else changed {id} just now, so nothing was changed; check it, and run this again"))
        }
    }
}

/// Sets a status without `If-Match`: a suspension must not fail because of a concurrent change.
async fn status(session: &Session, id: &str, status: &str) -> Result<Client, String> {
    let members = Map::from_iter([("status".to_owned(), status.into())]);
    match api::patch(session, id, &members, None).await? {
        Patched::Done(client) => Ok(client),
        Patched::Overtaken => Err(format!("the service did not set {id} to {status}; run this again")),
    }
}

/// A sentence that says when the change takes effect.
fn lag(client: &Client) -> &'static str {
    match client.text("consistency") {
        "eventual" => " This takes effect at once, except for exchanges at other locations: usually within 90 seconds.",
        _ => " This takes effect at once, everywhere.",
    }
}

fn answer(client: &Client, said: &str, json: bool) {
    say(if json { client.text.trim_end() } else { said });
}

fn done(json: bool, said: &str) {
    if !json {
        say(said);
    }
}

fn list(clients: &[Map<String, Value>], json: bool) -> Result<(), String> {
    if json {
        let text = serde_json::to_string(&serde_json::json!({"clients": clients}));
        say(&text.map_err(|error| format!("can't write JSON: {error}"))?);
        return Ok(());
    }
    let rows: Vec<_> = clients.iter().map(|client| (shown(client, "client_id"), shown(client, "status"))).collect();
    if rows.is_empty() {
        note("there are no clients; create one with `admin client new`");
    } else {
        say(&columns("", &rows));
    }
    Ok(())
}

fn show(client: &Client, json: bool) {
    if json {
        say(client.text.trim_end());
        return;
    }
    let members = &client.members;
    let mut rows = Vec::new();
    for name in
        ["client_id", "client_name", "status", "consistency", "region", "scopes", "mechanisms", "max_ttl_seconds"]
    {
        rows.push((name.to_owned(), shown(members, name)));
    }
    for secret in members.get("secrets").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| secret.get(name).and_then(Value::as_str).map(plain).unwrap_or_default();
        let end = match text("expires_at") {
            end if end.is_empty() => "no end".to_owned(),
            end => format!("ends {end}"),
        };
        rows.push(("secret".to_owned(), format!("{}, created {}, {end}", text("secret_id"), text("created_at"))));
    }
    rows.push(("totp".to_owned(), if client.has_totp() { "has a seed" } else { "" }.to_owned()));
    for name in ["jwks", "tokens_valid_from", "created_at", "updated_at"] {
        rows.push((name.to_owned(), shown(members, name)));
    }
    rows.retain(|(_, value)| !value.is_empty());
    say(&columns("", &rows));
}

fn confirm(id: &str) -> Result<(), String> {
    if !std::io::stdin().is_terminal() {
        return Err(format!("this deletes {id} permanently; add --yes to confirm"));
    }
    eprint!(
        "This permanently deletes {id} and ends all its tokens, and its id can't be used again. Type the id to confirm: "
    );
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed).map_err(|error| format!("can't read the answer: {error}"))?;
    if typed.trim() == id { Ok(()) } else { Err("that is not the id; nothing was done".to_owned()) }
}
