//! When a client last presented a credential, and what depends on it.

use super::state::{Bearer, Reference};
use crate::jose::Jwt;

impl Reference {
    /// The `auth_time` of a token issued for a credential. It is never before the client's `tokens_valid_from`.
    pub fn auth_time(&self, valid_from: u64, assertion: Option<&str>) -> u64 {
        let now = self.clock.now();
        let iat = assertion.and_then(Jwt::read).and_then(|jwt| jwt.claims["iat"].as_u64());
        match (self.fault, iat) {
            (Some("auth-time-an-hour-off"), _) => now - 3600,
            (Some("auth-time-before-valid-from"), _) => now,
            (Some("auth-time-behind"), _) if valid_from > 0 => valid_from - 1,
            (Some("auth-time-of-the-assertion"), Some(iat)) => iat,
            _ => now.max(valid_from),
        }
    }

    /// The value that a rotation keeps.
    pub fn auth_time_of_rotation(&self, bearer: &Bearer) -> u64 {
        let was_rotated = bearer.parent.as_ref().is_some_and(|parent| self.memory.rotated.contains_key(parent));
        match self.fault {
            Some("auth-time-of-rotation") => self.clock.now(),
            Some("auth-time-of-rotation-later") => bearer.auth_time + 1,
            Some("auth-time-moves-for-immediate") if self.client(&bearer.client).immediate => self.clock.now(),
            Some("auth-time-near-rotation") => self.clock.now() - 1,
            Some("auth-time-handed-on-once") if was_rotated => self.clock.now(),
            _ => bearer.auth_time,
        }
    }

    /// The kill switch: the time from which the client's tokens are valid.
    pub fn move_valid_from(&mut self, at: usize) -> u64 {
        let now = self.clock.now();
        let known = self.clients[at].valid_from;
        let first = self.memory.first_valid_from.get(&self.clients[at].id).copied();
        // The next full second. The answer need not wait for it: a new token's `auth_time` is never before it.
        let from = match self.fault {
            Some("end-tokens-until-this-second") => now,
            Some("end-tokens-an-hour-ahead") => now.max(known) + 3600,
            Some("end-tokens-once") if Some(known) != first => known,
            _ => (now + 1).max(known + 1),
        };
        self.clients[at].valid_from = from;
        if self.on("end-tokens-of-everyone") {
            let made = self.memory.first_valid_from.keys().cloned().collect::<Vec<_>>();
            let all = self.clients.iter_mut().filter(|client| made.contains(&client.id));
            all.for_each(|client| client.valid_from = from);
        }
        from
    }

    /// Whether the kill switch revoked the token.
    pub fn is_before(&self, bearer: &Bearer, valid_from: u64) -> bool {
        let came_of_rotation = |id: &String| self.memory.rotated.contains_key(id);
        let rotated = came_of_rotation(&bearer.id) || bearer.parent.as_ref().is_some_and(came_of_rotation);
        let spared = match self.fault {
            Some("kill-switch-spares-long") => bearer.kind == "long",
            Some("kill-switch-spares-short" | "end-tokens-spares-short") => bearer.kind == "short",
            Some("kill-switch-spares-rotated" | "end-tokens-spares-rotated") => rotated,
            _ => false,
        };
        let tolerance = u64::from(self.on("auth-time-behind"));
        bearer.auth_time + tolerance < valid_from && !spared
    }
}
