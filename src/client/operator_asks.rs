//! The operators' requests to a client's object.

use base64ct::{Base64UrlUnpadded, Encoding};

use super::ask::{Answer, Change, Shown};
use super::change::{Credentials, Draft, NewSecret, NewTotp, Patch, etag, if_match};
use super::codes::Codes;
use super::ground::Ground;
use super::step::{CODES, Judgement, OPERATOR, Step, parse, to_json};
use super::{Client, MAX_SECRETS, Mechanism, Status, StoredSecret};
use crate::error::{Error, Unavailable};
use crate::feed;
use crate::rows::FOR_EVER;
use crate::secret::Secret;
use crate::{json, otp};

pub(super) const OPERATORS_OWN: &str =
    "This client is defined by the secret OPERATOR; change it with `admin`. Only end-tokens works here.";

impl<G: Ground> Step<'_, G> {
    pub(super) fn create(&mut self, body: &str) -> Result<Judgement, Error> {
        let members = json::object(body.as_bytes())?;
        let draft = Draft::parse(members, self.client_id.to_owned(), self.settings.default_consistency)?;
        if self.is_first_operator() || self.stored_client()?.is_some() || self.load(OPERATOR)?.is_some() {
            return Err(Error::Conflict(
                "The client_id is taken, or belonged to a deleted client; choose another.".into(),
            ));
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
        // Codes that were tried before the client existed do not count.
        self.remove(CODES);
        self.state.wipe = 0;
        self.save_client(&client)?;
        self.state.record_change(false);
        Ok(self.client_answer(&client, &credentials).into())
    }

    pub(super) fn show(&mut self) -> Result<Judgement, Error> {
        let client = self.visible_client()?;
        Ok(self.client_answer(&client, &Credentials::default()).into())
    }

    pub(super) fn change(&mut self, change: Change) -> Result<Judgement, Error> {
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
        if self.is_first_operator() {
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
            self.state.record_change(waits);
            if switches {
                self.state.switched = self.state.change;
            }
            if client.is_immediate() && !changed.is_immediate() {
                // From now on KV lists early ends, including those still ahead. The alarm finds the next one.
                self.state.schedule_end(self.now);
            }
            if waits {
                self.state.narrowed = self.state.change;
            }
            let suspends = changed.status == Status::Suspended && changed.status != client.status;
            if changed.status != client.status {
                self.report_client(&changed, suspends);
            }
            if waits || suspends {
                self.state.add_unconfirmed(&before);
            }
            client = changed;
        }
        let answer = self.client_answer(&client, &Credentials::default());
        // A repeat waits for the same change and end as the first call, even if its body differs.
        let await_change = may_narrow.then_some(self.state.narrowed);
        let await_end = if client.status == Status::Suspended && may_narrow { self.state.last_client_end } else { 0 };
        Ok(Judgement { await_change, await_end, confirms: repeated.or(Some(before)), ..answer.into() })
    }

    pub(super) fn add_secret(&mut self) -> Result<Judgement, Error> {
        let mut client = self.changeable_client()?;
        client.drop_ended_secrets(self.now);
        if client.secrets.len() >= MAX_SECRETS {
            return Err(Error::Conflict("The client has two live secrets; end one first.".into()));
        }
        let (secret_id, client_secret) = self.make_secret(&mut client)?;
        self.touch(&mut client)?;
        Ok(Answer::Made(to_json(&NewSecret { secret_id: &secret_id, client_secret: &client_secret })).into())
    }

    pub(super) fn end_secret(&mut self, secret_id: &str, delay: u64) -> Result<Judgement, Error> {
        let mut client = self.visible_client()?;
        client.drop_ended_secrets(self.now);
        let at = self.now + delay;
        let secret = client.secrets.iter_mut().find(|secret| secret.secret_id == secret_id);
        let secret = secret.ok_or(Error::SecretNotFound)?;
        if self.is_first_operator() {
            return Err(Error::Conflict(OPERATORS_OWN.into()));
        }
        secret.expires_at = Some(secret.expires_at.map_or(at, |earlier| earlier.min(at)));
        client.drop_ended_secrets(self.now);
        self.touch(&mut client)?;
        Ok(Answer::Done.into())
    }

    pub(super) fn new_totp(&mut self) -> Result<Judgement, Error> {
        let mut client = self.changeable_client()?;
        let made = self.make_totp(&mut client)?;
        self.forgive_codes()?;
        self.touch(&mut client)?;
        Ok(Answer::Made(to_json(&made)).into())
    }

    pub(super) fn end_tokens(&mut self) -> Result<Judgement, Error> {
        let mut client = self.visible_client()?;
        // Tokens issued while an earlier `end-tokens` waits for its second to begin have an `auth_time` ahead of the
        // clock. They end too.
        client.tokens_valid_from = client.tokens_valid_from.max(self.now + 1).max(self.state.granted + 1);
        if self.is_first_operator() {
            self.save(OPERATOR, client.tokens_valid_from.to_string(), FOR_EVER);
            self.report_client(&client, true);
            return Ok(Judgement {
                await_end: self.state.last_client_end,
                await_second: client.tokens_valid_from,
                ..Answer::Done.into()
            });
        }
        self.touch(&mut client)?;
        let is_shown = self.follows_kv(&client);
        self.state.record_change(is_shown);
        if is_shown {
            self.state.narrowed = self.state.change;
        }
        self.report_client(&client, true);
        let await_change = is_shown.then_some(self.state.narrowed);
        Ok(Judgement {
            await_change,
            await_end: self.state.last_client_end,
            await_second: client.tokens_valid_from,
            ..Answer::Done.into()
        })
    }

    pub(super) fn delete(&mut self, header: Option<&str>) -> Result<Judgement, Error> {
        let client = self.known_or_deleted()?.ok_or(Error::ClientNotFound)?;
        let is_shown = self.follows_kv(&client);
        if client.status != Status::Deleted {
            let before = self.etag(&client);
            if header.is_some_and(|header| !if_match(header, &before)) {
                return Err(Error::PreconditionFailed);
            }
            if self.is_first_operator() {
                return Err(Error::Conflict(OPERATORS_OWN.into()));
            }
            let left = client.tombstone(self.now);
            self.save_client(&left)?;
            self.remove(CODES);
            self.state.record_change(is_shown);
            if is_shown {
                self.state.narrowed = self.state.change;
            }
            self.report_client(&left, true);
        }
        Ok(Judgement {
            await_change: Some(self.state.narrowed),
            await_end: self.state.last_client_end,
            ..Answer::Done.into()
        })
    }

    /// Reports to the feed since when the client's tokens are valid, or that none of them is.
    fn report_client(&mut self, client: &Client, awaited: bool) {
        let (at, keep) = match client.status {
            // An hour is enough for followers to learn of a restoration. An earlier `end-tokens` stays for the rest of
            // its time.
            Status::Active if !awaited => {
                let ended = client.tokens_valid_from > client.created_at;
                let left = (client.tokens_valid_from + feed::LONGEST).saturating_sub(self.now);
                (client.tokens_valid_from, if ended { left.max(feed::HOUR) } else { feed::HOUR })
            }
            Status::Active => (client.tokens_valid_from, feed::LONGEST),
            Status::Suspended => (FOR_EVER, FOR_EVER),
            Status::Deleted => (FOR_EVER, feed::LONGEST),
        };
        let number = self.queue_report(feed::Kind::Client, &client.client_id, at, keep, awaited);
        if awaited {
            self.state.last_client_end = number;
        }
    }

    /// The `ETag` that `If-Match` names, if it is from before a change that was stored but not yet answered with
    /// success. The request may then be a repeat of that change.
    pub(super) fn repeated(&self, header: Option<&str>) -> Option<String> {
        let header = header?;
        self.state.unconfirmed.iter().find(|before| *before != "*" && if_match(header, before)).cloned()
    }

    pub(super) fn changeable_client(&self) -> Result<Client, Error> {
        let client = self.visible_client()?;
        if self.is_first_operator() { Err(Error::Conflict(OPERATORS_OWN.into())) } else { Ok(client) }
    }

    pub(super) fn client_answer(&self, client: &Client, credentials: &Credentials) -> Answer {
        Answer::Shown(Shown { body: client.show(self.now, credentials), etag: self.etag(client) })
    }

    pub(super) fn etag(&self, client: &Client) -> String {
        etag(&client.show(self.now, &Credentials::default()), client.revision)
    }

    /// Adds a secret to the client. Returns its id and the secret.
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
        client.totp = Some(sealed.ok_or_else(|| Unavailable::new("AUTH_KEYS", "a TOTP seed could not be encrypted"))?);
        Ok(NewTotp::new(&client.client_id, self.settings.host_name(), &seed))
    }

    /// Forgets wrong codes, which ends their lock.
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

/// Whether a change suspends the client or takes scopes away.
fn narrows(before: &Client, after: &Client) -> bool {
    (before.status == Status::Active && after.status != Status::Active)
        || after.scopes.first_uncovered(&before.scopes).is_some()
}
