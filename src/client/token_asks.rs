//! Requests to a client's object about tokens: issue, rotate, check, revoke.

use super::ask::{Answer, Issue, Revoke, Rotate, Standing};
use super::codes::{Codes, Verdict};
use super::ground::Ground;
use super::step::{CODES, Judgement, Step, parse, to_json};
use super::{Client, LONGEST_SESSION, Mechanism, Status, secret_matches};
use crate::assertion::Genuine;
use crate::error::{Error, Grantor, TokenFault, Unavailable, Unentitled};
use crate::otp;
use crate::request::Credential;
use crate::rows::FOR_EVER;
use crate::scope::Scopes;
use crate::token::{Granted, Presented};
use crate::token_id::Kind;

/// The scope that lets a short-term token rotate its long-term one.
const WRITE: &str = "tokens:write";
/// The scope that lets a token revoke other tokens of its client.
const REVOKE: &str = "tokens:revoke";
/// For how long after its expiry a token can still be revoked, seconds: an API's clock may be behind.
const LEEWAY: u64 = 60;

impl<G: Ground> Step<'_, G> {
    pub(super) fn issue(&mut self, issue: Issue, genuine: Option<Genuine>) -> Result<Judgement, Error> {
        let mut client = self.known_client()?;
        if let Some(client) = &mut client
            && client.drop_ended_secrets(self.now)
        {
            self.save_client(client)?;
        }
        self.authenticate(client.as_ref(), &issue.credential, genuine)?;
        self.must_store_clock.set(true);
        let client = client.ok_or(Error::InvalidClient { locked: false })?;
        permit(&client, issue.credential.mechanism())?;
        let scopes = grant(&client, issue.scopes)?;
        let now = self.now.max(client.tokens_valid_from);
        self.state.granted = self.state.granted.max(now);
        let ttl = issue.ttl.min(client.max_ttl_seconds);
        Ok(Answer::Granted(Granted { now, auth_time: now, scopes, ttl, consistency: client.consistency }).into())
    }

    /// Checks a credential. Every failure is the same error after the same work, also for an unknown client.
    pub(super) fn authenticate(
        &mut self,
        client: Option<&Client>,
        credential: &Credential,
        genuine: Option<Genuine>,
    ) -> Result<(), Error> {
        let mut locked = false;
        let authentic = match credential {
            Credential::Secret(secret) => {
                secret_matches(client.map_or(&[], |client| &client.secrets), secret, self.now)
            }
            Credential::Code(code) => {
                let sealed = client.and_then(|client| client.totp.as_deref());
                let keys = &self.settings.keys;
                let seed = match sealed {
                    Some(sealed) => keys.unseal(self.client_id, sealed).ok_or_else(|| {
                        let problem = "the TOTP seed can't be decrypted with the totp-seal keys in AUTH_KEYS; restore the key, or give the client a new seed";
                        Unavailable::new("CLIENT", problem)
                    })?,
                    None => {
                        let dummy = &self.settings.dummy_seed;
                        keys.unseal("", dummy)
                            .ok_or_else(|| Unavailable::new("AUTH_KEYS", "the dummy TOTP seed can't be decrypted"))?
                    }
                };
                let step = otp::matching_step(seed.expose(), code, self.now).filter(|_| sealed.is_some());
                let mut codes: Codes = match self.load(CODES)? {
                    Some(value) => parse(&value, CODES)?,
                    None => Codes::default(),
                };
                let verdict = codes.judge(step, self.now, self.settings.otp_wrong_per_day);
                self.save(CODES, to_json(&codes), FOR_EVER);
                if verdict == Verdict::Refused {
                    self.state.schedule_wipe();
                }
                locked = verdict == Verdict::Locked;
                verdict == Verdict::Accepted
            }
            Credential::Assertion(_) => match (genuine, client) {
                // Its key may have been removed since the signature was checked.
                (Some(genuine), Some(client)) if client.jwks.iter().any(|set| set.keys.contains(&genuine.key)) => {
                    let key = format!("jti:{}", genuine.jti_digest);
                    let is_new = self.load(&key)?.is_none() && genuine.until > self.now;
                    if is_new {
                        self.save(&key, String::new(), genuine.until);
                    }
                    is_new
                }
                _ => false,
            },
        };
        if authentic { Ok(()) } else { Err(Error::InvalidClient { locked }) }
    }

    pub(super) fn rotate(&mut self, rotate: Rotate) -> Result<Judgement, Error> {
        let Rotate { bearer, parent, client_id, scopes, ttl } = rotate;
        let client = self.live_client(&bearer)?;
        self.must_store_clock.set(true);
        if self.now > bearer.auth_time + LONGEST_SESSION {
            return Err(TokenFault::TooOld.into());
        }
        // An `auth_time` ahead of every token that this object has issued can only be forged (with a leaked signing
        // key). A later `end-tokens` would not end the tokens rotated from it.
        if bearer.auth_time > self.now.max(client.tokens_valid_from) {
            return Err(TokenFault::Foreign.into());
        }
        if client_id != self.client_id {
            return Err(Error::UnauthorizedClient(Unentitled::OtherClient));
        }
        let held = bearer.scopes.bounded_by(&client.scopes);
        if !held.allow(WRITE) {
            return Err(Error::InsufficientScope { needed: WRITE.to_owned(), by: Grantor::Bearer });
        }
        permit(&client, Mechanism::Rotation)?;
        let scopes = scopes.unwrap_or_else(|| held.clone().capped());
        if let Some(scope) = held.first_uncovered(&scopes) {
            let by = if bearer.scopes.covers(scope) { Grantor::Client } else { Grantor::Bearer };
            return Err(Error::InsufficientScope { needed: scope.to_string(), by });
        }
        let at = (self.now + self.settings.rotation_grace).min(parent.expires_at);
        self.end_one_token(&client, &parent, at, false)?;
        let ttl = ttl.min(client.max_ttl_seconds);
        let (now, auth_time) = (self.now.max(client.tokens_valid_from), bearer.auth_time);
        Ok(Answer::Granted(Granted { now, auth_time, scopes, ttl, consistency: client.consistency }).into())
    }

    pub(super) fn standing(&mut self, token: &Presented) -> Result<Judgement, Error> {
        let client = self.live_client(token)?;
        let end = if token.kind == Kind::Long { self.find_end(&client, &token.id)?.map(|end| end.at) } else { None };
        Ok(Answer::Standing(Standing { now: self.now, scopes: client.scopes, end }).into())
    }

    pub(super) fn revoke(&mut self, revoke: &Revoke) -> Result<Judgement, Error> {
        let Revoke { caller, target } = revoke;
        let live = self.live_client(caller);
        let is_own = target.as_ref().is_some_and(|target| target.as_str() == caller.id);
        let client = match (live, target) {
            (Ok(client), _) => client,
            // The caller may be repeating the very call that ended it, because the answer was lost.
            (Err(Error::InvalidToken(TokenFault::Revoked)), Some(target)) => {
                let of_caller = is_own || caller.parent.as_deref() == Some(target.as_str());
                match self.known_client()? {
                    Some(client)
                        if of_caller && self.find_end(&client, target.as_str())?.is_some_and(|end| end.has_come()) =>
                    {
                        client
                    }
                    _ => return Err(TokenFault::Revoked.into()),
                }
            }
            (Err(error), _) => return Err(error),
        };
        let target = target.as_ref().ok_or(Error::TokenNotFound)?;
        if !is_own && !caller.scopes.bounded_by(&client.scopes).allow(REVOKE) {
            return Err(Error::CallerScope { needed: REVOKE.into() });
        }
        // An API whose clock is behind still accepts the token for a moment.
        if target.expires_at + LEEWAY <= self.now {
            return Ok(Answer::Done.into());
        }
        if target.kind == Kind::Short && self.find_end(&client, target.as_str())?.is_none() {
            let retry_after = self.seconds_until_room()?;
            if retry_after > 0 {
                return Err(Error::FeedFull { retry_after });
            }
        }
        let end = self.end_one_token(&client, target, self.now, true)?;
        Ok(Judgement { await_change: Some(end.change), await_end: end.number, ..Answer::Done.into() })
    }
}

fn permit(client: &Client, mechanism: Mechanism) -> Result<(), Error> {
    if client.status == Status::Suspended {
        return Err(Error::UnauthorizedClient(Unentitled::Suspended));
    }
    if !client.allows(mechanism) {
        return Err(Error::UnauthorizedClient(Unentitled::Mechanism(mechanism.name().into())));
    }
    Ok(())
}

/// The scopes to grant: those requested, or all of the client's.
fn grant(client: &Client, asked: Option<Scopes>) -> Result<Scopes, Error> {
    let asked = asked.unwrap_or_else(|| client.scopes.clone());
    match client.scopes.first_uncovered(&asked) {
        Some(scope) => Err(Error::InsufficientScope { needed: scope.to_string(), by: Grantor::Client }),
        None => Ok(asked),
    }
}
