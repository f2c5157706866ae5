//! The seeds of one-time codes, and what forgives wrong ones.

use super::message::{Asked, Refused, Reply};
use super::state::Reference;
use crate::selftest::people::base32;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;

impl Reference {
    /// A new seed for the client, which is shown this once. Wrong codes are forgotten, and no spent one.
    pub fn new_seed(&mut self, _asked: &Asked, at: usize) -> Result<Reply, Refused> {
        let id = self.clients[at].id.clone();
        let seed = random_seed();
        if !self.on("seed-never-ends") {
            self.clients[at].totp = seed.to_vec();
        }
        if self.on("seed-gives-back-codes") {
            self.memory.codes.remove(&id);
        }
        if !self.on("seed-keeps-lock") {
            self.forgive(&id);
        }
        let shown = base32(&seed);
        let uri = format!("otpauth://totp/reference:{id}?secret={shown}&issuer=reference");
        Ok(self.dressed(201, json!({"totp_secret": shown, "otpauth_uri": uri})))
    }

    pub fn forgive(&mut self, client: &str) {
        if let Some(codes) = self.memory.codes.get_mut(client) {
            codes.wrong.clear();
            codes.locked_until = 0;
        }
    }
}

pub fn random_seed() -> [u8; 20] {
    let mut seed = [0; 20];
    let _ = SystemRandom::new().fill(&mut seed);
    seed
}
