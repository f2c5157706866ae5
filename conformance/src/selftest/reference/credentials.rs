//! Secrets, one-time codes and assertions.

use super::state::{ClientRecord, Reference};
use crate::jose::{self, Jwt, unb64};
use crate::totp;
use ring::signature;
use serde_json::Value;

const LEEWAY: u64 = 60;

impl Reference {
    pub fn secret_fits(&self, client: &ClientRecord, secret: &str) -> bool {
        let equal = |a: &str, b: &str| a == b;
        equal(&client.secret, secret)
            || self.on("any-secret")
            || (self.on("secret-trimmed") && equal(&client.secret, secret.trim()))
            || (self.on("secret-prefix") && secret.starts_with(&client.secret))
            || (self.on("secret-folded") && secret.eq_ignore_ascii_case(&client.secret))
            || (self.on("any-clients-secret") && self.clients.iter().any(|c| equal(&c.secret, secret)))
    }

    pub fn code_fits(&mut self, client: &ClientRecord, code: &str) -> bool {
        let (any, reusable, older, race, never_locks, refused) = (
            self.on("otp-any"),
            self.on("otp-reusable"),
            self.on("otp-older-ok"),
            self.on("otp-race"),
            self.on("never-locks"),
            self.on("otp-refused"),
        );
        let now = self.clock.now();
        let step = totp::step_at(now);
        let codes = self.memory.codes.entry(client.id.clone()).or_default();
        if refused || (codes.locked_until > now && !never_locks) {
            return false;
        }
        let Some(fit) = (step - 1..=step + 1).find(|s| totp::code(&client.totp, *s) == code) else {
            codes.wrong.retain(|at| at + 300 > now);
            codes.wrong.push(now);
            if codes.wrong.len() >= 5 {
                codes.locked_until = now + 300;
            }
            return any;
        };
        let again = fit == codes.last && (reusable || (race && codes.uses_of_last < 2));
        if fit > codes.last || again || (older && fit < codes.last) {
            codes.uses_of_last = if again { codes.uses_of_last + 1 } else { 1 };
            codes.last = codes.last.max(fit);
            return true;
        }
        false
    }

    /// The client that the assertion speaks for.
    pub fn assertion_fits(&mut self, client: &ClientRecord, assertion: &str) -> Option<ClientRecord> {
        if self.on("assertion-refused") {
            return None;
        }
        let jwt = Jwt::read(assertion)?;
        if self.on("own-tokens-as-assertions") && jwt.claims["iss"] == self.issuer.as_str() {
            return Some(client.clone());
        }
        let claims = &jwt.claims;
        let mut by = client.clone();
        if self.on("assertion-client-unbound") {
            by = self.clients.iter().find(|c| claims["iss"] == c.id.as_str())?.clone();
        }
        let (input, mac) = assertion.rsplit_once('.')?;
        let verifies = |public: &[u8]| {
            let mac = unb64(mac).unwrap_or_default();
            signature::UnparsedPublicKey::new(&signature::ED25519, public).verify(input.as_bytes(), &mac).is_ok()
        };
        let alg = jwt.header["alg"].as_str().unwrap_or_default();
        let kid_fits = jwt.header["kid"] == by.kid.as_str() || self.on("kid-ignored");
        let mut signed = kid_fits && (alg == "EdDSA" || self.on("alg-header-ignored")) && verifies(&by.public);
        signed |= self.on("signature-unchecked") && kid_fits;
        signed |= self.on("alg-none") && alg == "none";
        signed |= self.on("any-registered-key") && self.clients.iter().any(|c| verifies(&c.public));
        signed |= self.on("hs256-public-key") && alg == "HS256" && jose::hs256(&by.public, input) == assertion;
        if !signed {
            return None;
        }
        let now = self.clock.now();
        let leeway = if self.on("no-leeway") { 0 } else { LEEWAY };
        if (claims["iss"] != by.id.as_str() && !self.on("iss-unchecked"))
            || (claims["sub"] != by.id.as_str() && !self.on("sub-unchecked"))
        {
            return None;
        }
        let endpoint = format!("{}/auth/tokens/long", self.issuer);
        let named =
            |aud: &Value| aud == endpoint.as_str() || (aud == self.issuer.as_str() && !self.on("aud-issuer-refused"));
        let aud = match &claims["aud"] {
            Value::Array(all) => all.iter().any(named) && !self.on("aud-array-refused"),
            one => named(one),
        };
        if !aud && !self.on("aud-unchecked") {
            return None;
        }
        let most = if self.on("exp-300") { 300 } else { 600 };
        match &claims["exp"] {
            Value::Null if self.on("exp-optional") => {}
            Value::String(_) if self.on("exp-string-ok") => {}
            exp => {
                let exp = exp.as_u64()?;
                if exp + LEEWAY <= now && !self.on("exp-unchecked") {
                    return None;
                }
                if exp > now + most + leeway && !self.on("exp-far-ok") {
                    return None;
                }
            }
        }
        if claims.get("iat").is_none() && self.on("iat-required") {
            return None;
        }
        for (name, unchecked) in [("iat", "iat-unchecked"), ("nbf", "nbf-unchecked")] {
            if claims[name].as_u64().is_some_and(|at| at > now + leeway) && !self.on(unchecked) {
                return None;
            }
        }
        let jti = match claims["jti"].as_str() {
            Some(jti) => format!("{} {jti}", by.id),
            None if self.on("jti-optional") => return Some(by),
            None => return None,
        };
        let uses = self.memory.assertions.entry(jti).or_default();
        *uses += 1;
        let allowed = match self.fault {
            Some("jti-reusable") => u32::MAX,
            Some("jti-race") => 3,
            _ => 1,
        };
        (*uses <= allowed).then_some(by)
    }
}
