//! POST /clients/{id}/totp.

use super::super::message::{Asked, Refused, Reply};
use super::super::state::{ClientRecord, Reference};
use super::create::random;
use serde_json::json;

impl Reference {
    pub fn new_totp(&mut self, asked: &Asked, id: &str) -> Result<Reply, Refused> {
        let at = self.changeable(asked, id, "from-secret-gets-seed")?;
        let old = std::mem::replace(&mut self.clients[at].totp, random::<20>().to_vec());
        let client = self.clients[at].clone();
        let mut told = json!({"totp_secret": base32(&client.totp), "otpauth_uri": otpauth_uri(self, &client)});
        match self.fault {
            Some("old-seed-works") if !old.is_empty() => self.clients[at].totp = old,
            Some("new-seed-without-uri") => {
                told.as_object_mut().and_then(|told| told.remove("otpauth_uri"));
            }
            Some("new-seed-only-where-one-was") if old.is_empty() => self.clients[at].totp = old,
            _ => {}
        }
        if let Some(codes) = self.memory.codes.get_mut(id) {
            (codes.wrong, codes.locked_until) = (Vec::new(), 0);
            if self.fault == Some("new-seed-gives-steps-back") {
                codes.last = 0;
            }
        }
        if !self.on("etag-blind-to-seed") {
            self.touch(at);
        }
        Ok(self.dressed(201, told))
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

/// RFC 4648 section 6, without padding.
pub fn base32(bytes: &[u8]) -> String {
    let mut out = String::new();
    for group in bytes.chunks(5) {
        let bits = group.iter().chain(&[0; 5]).take(5).fold(0u64, |n, b| n << 8 | u64::from(*b));
        for i in 0..(group.len() * 8).div_ceil(5) {
            let value = (bits >> (35 - 5 * i) & 31) as usize;
            out.push(char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[value]));
        }
    }
    out
}
