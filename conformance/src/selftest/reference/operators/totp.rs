//! POST /clients/{id}/totp.

use super::super::message::{Asked, Refused, Reply};
use super::super::state::{ClientRecord, Reference};
use super::create::random;
use crate::selftest::people::base32;
use serde_json::json;

impl Reference {
    pub fn new_totp(&mut self, asked: &Asked, id: &str) -> Result<Reply, Refused> {
        let at = self.changeable(asked, id, "from-secret-gets-seed")?;
        let old = std::mem::replace(&mut self.clients[at].totp, random::<20>().to_vec());
        let client = self.clients[at].clone();
        let mut told = json!({"totp_secret": base32(&client.totp), "otpauth_uri": otpauth_uri(self, &client)});
        match self.fault {
            Some("old-seed-works") if !old.is_empty() => self.clients[at].totp = old,
            Some("seed-never-ends") => self.clients[at].totp = old,
            Some("new-seed-without-uri") => {
                told.as_object_mut().and_then(|told| told.remove("otpauth_uri"));
            }
            Some("new-seed-only-where-one-was") if old.is_empty() => self.clients[at].totp = old,
            _ => {}
        }
        if self.on("seed-allows-otp") && !client.may_use("otp") {
            self.clients[at].mechanisms.push("otp".to_owned());
        }
        // Resets the count of wrong codes, but does not make used time steps available again.
        if !self.on("seed-keeps-lock") {
            self.forgive(id);
        }
        if self.on("seed-gives-back-codes") {
            self.memory.codes.remove(id);
        }
        if let Some(codes) = self.memory.codes.get_mut(id).filter(|_| self.fault == Some("new-seed-gives-steps-back")) {
            codes.last = 0;
        }
        if !self.on("etag-blind-to-seed") {
            self.touch(at);
        }
        Ok(self.dressed(201, told))
    }

    /// Resets the count of wrong codes.
    pub fn forgive(&mut self, client: &str) {
        if let Some(codes) = self.memory.codes.get_mut(client) {
            codes.wrong.clear();
            codes.locked_until = 0;
        }
    }
}

/// For an authenticator app (Key Uri Format).
pub fn otpauth_uri(reference: &Reference, client: &ClientRecord) -> String {
    let secret = match reference.on("otpauth-other-seed") {
        true => base32(&random::<20>()),
        false => base32(&client.totp),
    };
    let period = if reference.on("otpauth-period-60") { 60 } else { 30 };
    let id = &client.id;
    format!("otpauth://totp/ref%3A{id}?secret={secret}&issuer=ref&algorithm=SHA1&digits=6&period={period}")
}
