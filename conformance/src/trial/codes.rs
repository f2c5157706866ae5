//! One-time codes. A client has one per 30 seconds, and none may be used twice.

use crate::endpoint::{self, LONG};
use crate::http::Request;
use crate::identities::{self, Credential, Role};
use crate::state::State;
use crate::stop::Stop;
use crate::totp;
use crate::trial::Trial;
use serde_json::json;

impl<'a> Trial<'a> {
    /// A TOTP step whose code no run has used. Waits for the next step if there is none.
    pub async fn unspent_step(&self, role: Role) -> Result<u64, Stop> {
        let (key, _) = self.totp(role)?;
        loop {
            let last = self.run.state.get(&key).unwrap_or_default().step;
            let now = self.run.clock.now();
            let current = totp::step_at(now);
            // The next step's code is also valid, as clock drift, once a server whose clock is a little behind accepts it too.
            let settled = now % totp::STEP_SECONDS >= 3;
            let chosen =
                if current > last { Some(current) } else { (settled && current + 1 > last).then_some(current + 1) };
            if let Some(step) = chosen {
                self.run.state.update(&key, |s| s.step = step);
                return Ok(step);
            }
            let at = if settled { (last.max(current)) * totp::STEP_SECONDS } else { current * totp::STEP_SECONDS + 3 };
            let at = at.max(now + 1);
            self.run.say(&format!("waiting {} s for an unused one-time code of role {}", at - now, role.name()));
            self.run.wait_until(at).await?;
        }
    }

    pub fn code(&self, role: Role, step: u64) -> Result<String, Stop> {
        let (_, key) = self.totp(role)?;
        Ok(totp::code(key, step))
    }

    /// The key of the role's TOTP secret in the state, and the secret.
    pub fn totp(&self, role: Role) -> Result<(String, &'a [u8]), Stop> {
        let client_id = self.setting(role, Credential::ClientId)?;
        let key = self.run.identities.role(role).and_then(|i| i.totp_key.as_deref());
        let key = key.ok_or_else(|| Stop::Blocked(identities::lacking(role, Credential::TotpSecret)))?;
        Ok((State::key(&self.run.client.url(""), &client_id, key), key))
    }

    pub fn otp_request(&self, role: Role, code: &str) -> Result<Request, Stop> {
        let client_id = self.setting(role, Credential::ClientId)?;
        self.secret(&format!("{}_OTP_CODE", role.name().to_uppercase()), code.to_owned());
        let mut body = json!({
            "grant_type": "client_credentials", "client_id": client_id, "otp_code": code, "ttl_seconds": 3600,
        });
        let scopes = self.some_scopes(role);
        if !scopes.is_empty() {
            body["scopes"] = json!(scopes);
        }
        let mut request = endpoint::post(LONG, None, Some(body));
        request.set("x-client-id", client_id);
        Ok(request)
    }
}
