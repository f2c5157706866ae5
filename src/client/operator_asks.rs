//! What operators do to a client, as its object carries it out.

use base64ct::{Base64UrlUnpadded, Encoding};

use super::ask::{Answer, Change, Shown};
use super::change::{Credentials, Draft, NewSecret, NewTotp, Patch, etag, if_match};
use super::codes::Codes;
use super::ground::Ground;
use super::step::{CODES, OPERATOR, Settled, Step, parse, to_json};
use super::{Client, MAX_SECRETS, Mechanism, Status, StoredSecret};
use crate::error::{Error, Unavailable};
use crate::feed;
use crate::rows::FOR_EVER;
use crate::secret::Secret;
use crate::{json, otp};

pub(super) const OPERATORS_OWN: &str =
    "This client is that of the secret OPERATOR: change it there, by admin. end-tokens works.";

impl<G: Ground> Step<'_, G> {
    pub(super) fn create(&mut self, body: &str) -> Result<Settled, Error> {
        let members = json::object(body.as_bytes())?;
        let draft = Draft::parse(members, self.client_id.to_owned(), self.settings.default_consistency)?;
        if self.is_operator() || self.stored_client()?.is_some() || self.load(OPERATOR)?.is_some() {
            return Err(Error::Conflict("The client_id is taken, or was once; choose another.".into()));
        }
        let Draft { client_id, region, patch } = draft;
        let scopes = patch.scopes.clone().unwrap_or_default();
        let mut client = patch.apply(&Client::new(&client_id, scopes, self.now), true)?;
        client.region = region;
        let mut credentials = Credentials::default();
        if client.allows(Mechanism::Secret) {
            credentials.client_secret = Some(self.make_secret(&mut client)?.1);
        }
        if client.allows(Mechanism::Otp) {
            credentials.totp = Some(self.make_totp(&mut client)?);
        }
        // Codes that were tried before there was a client are nobody's.
        self.remove(CODES);
        self.state.wipe = 0;
        self.save_client(&client)?;
        self.state.changed(false);
        Ok(self.shown(&client, &credentials).into())
    }

    pub(super) fn show(&mut self) -> Result<Settled, Error> {
        let client = self.visible_client()?;
        Ok(self.shown(&client, &Credentials::default()).into())
    }

    pub(super) fn change(&mut self, change: Change) -> Result<Settled, Error> {
        let Change { body, if_match: header, may_give_clients } = change;
        let patch = Patch::parse(json::object(body.as_bytes())?)?;
        let mut client = self.visible_client()?;
        let before = self.etag(&client);
        let matches = header.as_deref().is_none_or(|header| if_match(header, &before));
        let (activates, may_narrow) = (patch.activates(), patch.may_narrow());
        let repeated = if matches { None } else { self.repeated(header.as_deref()) };
        let is_repeat = repeated.is_some();
        if !matches && !is_repeat {
            return Err(Error::PreconditionFailed);
        }
        if self.is_operator() {
            return Err(Error::Conflict(OPERATORS_OWN.into()));
        }
        let mut changed = patch.apply(&client, may_give_clients)?;
        if is_repeat && changed != client {
            return Err(Error::PreconditionFailed);
        }
        if activates {
            self.forgive_codes()?;
        }
        if changed != client {
            changed.updated_at = self.now;
            changed.revision += 1;
            let switches = !client.is_immediate() && changed.is_immediate();
            let waits = switches || (narrows(&client, &changed) && self.follows_kv(&changed));
            self.save_client(&changed)?;
            self.state.changed(waits);
            if switches {
                self.state.switched = self.state.change;
            }
            if client.is_immediate() && !changed.is_immediate() {
                // KV shows ends from now on, those ahead too: the alarm looks for the next one.
                self.state.ends_at(self.now);
            }
            if waits {
                self.state.narrowed = self.state.change;
            }
            let suspends = changed.status == Status::Suspended && changed.status != client.status;
            if changed.status != client.status {
                self.owe_client(&changed, suspends);
            }
            if waits || suspends {
                self.state.unconfirmed(&before);
            }
            client = changed;
        }
        let answer = self.shown(&client, &Credentials::default());
        // What is said again, in whatever words, waits as the first did.
        let shown = may_narrow.then_some(self.state.narrowed);
        let told = if client.status == Status::Suspended && may_narrow { self.state.renounced } else { 0 };
        Ok(Settled { shown, told, confirms: repeated.or(Some(before)), ..answer.into() })
    }

    pub(super) fn add_secret(&mut self) -> Result<Settled, Error> {
        let mut client = self.changeable_client()?;
        client.drop_ended_secrets(self.now);
        if client.secrets.len() >= MAX_SECRETS {
            return Err(Error::Conflict("The client has two live secrets; end one first.".into()));
        }
        let (secret_id, client_secret) = self.make_secret(&mut client)?;
        self.touch(&mut client)?;
        Ok(Answer::Made(to_json(&NewSecret { secret_id: &secret_id, client_secret: &client_secret })).into())
    }

    pub(super) fn end_secret(&mut self, secret_id: &str, delay: u64) -> Result<Settled, Error> {
        let mut client = self.visible_client()?;
        client.drop_ended_secrets(self.now);
        let at = self.now + delay;
        let secret = client.secrets.iter_mut().find(|secret| secret.secret_id == secret_id);
        let secret = secret.ok_or(Error::SecretNotFound)?;
        if self.is_operator() {
            return Err(Error::Conflict(OPERATORS_OWN.into()));
        }
        secret.expires_at = Some(secret.expires_at.map_or(at, |settled| settled.min(at)));
        client.drop_ended_secrets(self.now);
        self.touch(&mut client)?;
        Ok(Answer::Done.into())
    }

    pub(super) fn new_totp(&mut self) -> Result<Settled, Error> {
        let mut client = self.changeable_client()?;
        let made = self.make_totp(&mut client)?;
        self.forgive_codes()?;
        self.touch(&mut client)?;
        Ok(Answer::Made(to_json(&made)).into())
    }

    pub(super) fn end_tokens(&mut self) -> Result<Settled, Error> {
        let mut client = self.visible_client()?;
        // A token that was issued while another call waited for its second to begin ends too.
        client.tokens_valid_from = client.tokens_valid_from.max(self.now + 1).max(self.state.granted + 1);
        if self.is_operator() {
            self.save(OPERATOR, client.tokens_valid_from.to_string(), FOR_EVER);
            self.owe_client(&client, true);
            return Ok(Settled { told: self.state.renounced, begun: client.tokens_valid_from, ..Answer::Done.into() });
        }
        self.touch(&mut client)?;
        let is_shown = self.follows_kv(&client);
        self.state.changed(is_shown);
        if is_shown {
            self.state.narrowed = self.state.change;
        }
        self.owe_client(&client, true);
        let shown = is_shown.then_some(self.state.narrowed);
        Ok(Settled { shown, told: self.state.renounced, begun: client.tokens_valid_from, ..Answer::Done.into() })
    }

    pub(super) fn delete(&mut self, header: Option<&str>) -> Result<Settled, Error> {
        let client = self.known_or_deleted()?.ok_or(Error::ClientNotFound)?;
        let is_shown = self.follows_kv(&client);
        if client.status != Status::Deleted {
            let before = self.etag(&client);
            if header.is_some_and(|header| !if_match(header, &before)) {
                return Err(Error::PreconditionFailed);
            }
            if self.is_operator() {
                return Err(Error::Conflict(OPERATORS_OWN.into()));
            }
            let left = client.tombstone(self.now);
            self.save_client(&left)?;
            self.remove(CODES);
            self.state.changed(is_shown);
            if is_shown {
                self.state.narrowed = self.state.change;
            }
            self.owe_client(&left, true);
        }
        Ok(Settled { shown: Some(self.state.narrowed), told: self.state.renounced, ..Answer::Done.into() })
    }

    /// Owes the feed from when on the client's tokens count, or that none does.
    fn owe_client(&mut self, client: &Client, awaited: bool) {
        let (at, keep) = match client.status {
            // A follower of what has changed learns in an hour that it was restored; an `end-tokens` before it stays for its time.
            Status::Active if !awaited => {
                let ended = client.tokens_valid_from > client.created_at;
                let left = (client.tokens_valid_from + feed::LONGEST).saturating_sub(self.now);
                (client.tokens_valid_from, if ended { left.max(feed::HOUR) } else { feed::HOUR })
            }
            Status::Active => (client.tokens_valid_from, feed::LONGEST),
            Status::Suspended => (FOR_EVER, FOR_EVER),
            Status::Deleted => (FOR_EVER, feed::LONGEST),
        };
        let number = self.owe(feed::Kind::Client, &client.client_id, at, keep, awaited);
        if awaited {
            self.state.renounced = number;
        }
    }

    /// The validator in `If-Match` of the client as it was before a change that has not been answered with success.
    pub(super) fn repeated(&self, header: Option<&str>) -> Option<String> {
        let header = header?;
        self.state.unconfirmed.iter().find(|before| *before != "*" && if_match(header, before)).cloned()
    }

    pub(super) fn changeable_client(&self) -> Result<Client, Error> {
        let client = self.visible_client()?;
        if self.is_operator() { Err(Error::Conflict(OPERATORS_OWN.into())) } else { Ok(client) }
    }

    pub(super) fn shown(&self, client: &Client, credentials: &Credentials) -> Answer {
        Answer::Shown(Shown { body: client.show(self.now, credentials), etag: self.etag(client) })
    }

    pub(super) fn etag(&self, client: &Client) -> String {
        etag(&client.show(self.now, &Credentials::default()), client.revision)
    }

    /// Gives the client a new secret: its id, and the secret.
    pub(super) fn make_secret(&self, client: &mut Client) -> Result<(String, String), Unavailable> {
        let secret_id = format!("sec_{}", self.random_text::<9>()?);
        let secret = self.random_text::<32>()?;
        let stored = StoredSecret::new(&secret_id, &Secret::new(secret.as_str()), self.random()?, self.now);
        client.secrets.push(stored);
        Ok((secret_id, secret))
    }

    pub(super) fn make_totp(&self, client: &mut Client) -> Result<NewTotp, Unavailable> {
        let seed: [u8; otp::SEED_LENGTH] = self.random()?;
        let sealed = self.settings.keys.seal(&client.client_id, &Secret::new(seed), self.random()?);
        client.totp = Some(sealed.ok_or_else(|| Unavailable::new("AUTH_KEYS", "a seed could not be sealed"))?);
        Ok(NewTotp::new(&client.client_id, self.settings.host_name(), &seed))
    }

    /// Ends the lock that wrong codes brought about.
    fn forgive_codes(&mut self) -> Result<(), Unavailable> {
        if let Some(value) = self.load(CODES)? {
            let mut codes: Codes = parse(&value, CODES)?;
            codes.forgive();
            self.save(CODES, to_json(&codes), FOR_EVER);
        }
        Ok(())
    }

    pub(super) fn random<const N: usize>(&self) -> Result<[u8; N], Unavailable> {
        let mut bytes = [0; N];
        self.ground.random(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn random_text<const N: usize>(&self) -> Result<String, Unavailable> {
        Ok(Base64UrlUnpadded::encode_string(&self.random::<N>()?))
    }
}

/// Whether a change takes something away.
fn narrows(before: &Client, after: &Client) -> bool {
    (before.status == Status::Active && after.status != Status::Active)
        || after.scopes.first_uncovered(&before.scopes).is_some()
}
