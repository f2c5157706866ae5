//! Secrets, one-time codes and assertions.

use super::state::{ClientRecord, Reference};
use super::tokens::AUDIENCE;
use crate::jose::{self, Jwt, unb64};
use crate::totp;
use ring::signature;
use serde_json::Value;

const LEEWAY: u64 = 60;

impl Reference {
    pub fn secret_fits(&self, client: &ClientRecord, secret: &str) -> bool {
        let now = self.clock.now();
        let any = |fits: &dyn Fn(&str) -> bool| {
            client.secrets.iter().any(|own| (own.lives(now) || own.shown_only) && fits(&own.text))
        };
        any(&|own| own == secret)
            || self.on("any-secret")
            || (self.on("secret-trimmed") && any(&|own| own == secret.trim()))
            || (self.on("secret-line-end-ok") && any(&|own| secret.strip_suffix('\n') == Some(own)))
            || (self.on("secret-ends-at-nul") && any(&|own| secret.split('\0').next() == Some(own)))
            || (self.on("secret-first-32") && any(&|own| secret.len() == own.len() && secret[..32] == own[..32]))
            || (self.on("secret-last-32")
                && any(&|own| secret.len() == own.len() && secret[own.len() - 32..] == own[own.len() - 32..]))
            || (self.on("secret-beginning-ok") && any(&|own| secret.len() > 32 && own.starts_with(secret)))
            || (self.on("secret-base64-ok")
                && any(&|own| unb64(secret.trim_end_matches('=')).is_some_and(|b| b == own.as_bytes())))
            || (self.on("secret-hex-ok")
                && any(&|own| secret == own.bytes().map(|b| format!("{b:02x}")).collect::<String>()))
            || (self.on("secret-percent-ok")
                && any(&|own| {
                    own.starts_with(|first: char| secret == format!("%{:02X}{}", u32::from(first), &own[1..]))
                }))
            || (self.on("totp-secret-as-secret")
                && totp::base32(secret).is_some_and(|seed| !seed.is_empty() && seed == client.totp))
            || (self.on("secret-id-as-secret") && client.secrets.iter().any(|own| own.id == secret))
            || (self.on("secret-padding-ok") && any(&|own| secret.trim_end_matches('=') == own))
            || (self.on("secret-sorted-ok") && any(&|own| sorted(secret) == sorted(own)))
            || (self.on("secret-alphabet-ok") && any(&|own| secret.replace('+', "-").replace('/', "_") == own))
            || (self.on("secret-prefix") && any(&|own| secret.starts_with(own)))
            || (self.on("secret-normalised") && any(&|own| narrowed(secret) == own))
            || (self.on("secret-folded") && any(&|own| own.eq_ignore_ascii_case(secret)))
            || (self.on("any-clients-secret")
                && self.clients.iter().flat_map(|c| &c.secrets).any(|other| other.text == secret))
    }

    /// A code as this copy reads it.
    fn respelled(&self, code: &str) -> String {
        let ascii = |c: char| match u32::from(c) {
            wide @ 0xff10..=0xff19 => char::from_digit(wide - 0xff10, 10).unwrap_or(c),
            arabic @ 0x660..=0x669 => char::from_digit(arabic - 0x660, 10).unwrap_or(c),
            _ => c,
        };
        match self.fault {
            Some("otp-trimmed") => code.trim().to_owned(),
            Some("otp-spaces-ok") => code.replace(' ', ""),
            Some("otp-longer-ok") => code.chars().take(6).collect(),
            Some("otp-any-digits") => code.chars().map(ascii).collect(),
            _ => code.to_owned(),
        }
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
        if client.totp.is_empty() && !self.on("codes-of-no-seed") {
            return false;
        }
        let now = self.clock.now();
        let step = totp::step_at(now);
        let (back, ahead) = match self.fault {
            Some("drift-two-back") => (2, 1),
            Some("drift-two-ahead") => (1, 2),
            Some("no-drift-back") => (0, 1),
            Some("no-drift-ahead") => (1, 0),
            _ => (1, 1),
        };
        let any_locked = self.memory.codes.values().any(|codes| codes.locked_until > now);
        if any_locked && self.on("lock-is-everyones") {
            return false;
        }
        let most = match self.fault {
            Some("locks-at-three") => 3,
            Some("locks-at-four") => 4,
            Some("locks-at-six") => 6,
            Some("locks-at-seven") => 7,
            _ => 5,
        };
        let lock = if self.on("lock-for-seconds") { 5 } else { 300 };
        let forgotten = self.on("code-forgotten");
        let code = &self.respelled(code);
        let any_length = self.on("otp-beginning-ok");
        let codes = self.memory.codes.entry(client.id.clone()).or_default();
        if refused || (codes.locked_until > now && !never_locks) {
            return false;
        }
        if self.fault == Some("any-clients-code")
            && self.clients.iter().any(|other| !other.totp.is_empty() && totp::code(&other.totp, step) == *code)
        {
            return true;
        }
        let Some(fit) = (step - back..=step + ahead).find(|s| {
            let right = totp::code(&client.totp, *s);
            right == *code || (any_length && code.len() == 5 && right.starts_with(code))
        }) else {
            codes.wrong.retain(|at| at + 300 > now);
            if !(self.fault == Some("lock-counts-seconds") && codes.wrong.last() == Some(&now)) {
                codes.wrong.push(now);
            }
            if codes.wrong.len() >= most {
                codes.locked_until = now + lock;
            }
            return any;
        };
        let again = fit == codes.last
            && (reusable || (race && codes.uses_of_last < 2) || (forgotten && codes.accepted_at + 5 <= now));
        if fit > codes.last || again || (older && fit < codes.last) {
            codes.uses_of_last = if again { codes.uses_of_last + 1 } else { 1 };
            codes.last = codes.last.max(fit);
            codes.accepted_at = now;
            codes.wrong.clear();
            return true;
        }
        false
    }

    /// The client that the assertion names.
    pub fn assertion_fits(&mut self, client: &ClientRecord, assertion: &str) -> Option<ClientRecord> {
        if self.on("assertion-refused") {
            return None;
        }
        let assertion = match self.on("fourth-part-ignored") {
            true => &assertion[..assertion.match_indices('.').nth(2).map_or(assertion.len(), |(at, _)| at)],
            false => assertion,
        };
        let assertion = match self.fault {
            Some("assertion-trimmed") => assertion.trim(),
            Some("assertion-padding-ok") => assertion.trim_end_matches('='),
            _ => assertion,
        };
        let jwt = Jwt::read(assertion)?;
        if jwt.header.get("typ").is_none() && self.on("assertion-typ-required") {
            return None;
        }
        if self.on("own-tokens-as-assertions") && jwt.claims["iss"] == self.issuer.as_str() {
            return Some(client.clone());
        }
        let claims = &jwt.claims;
        let mut by = client.clone();
        if self.on("assertion-client-unbound") {
            by = self.clients.iter().find(|c| claims["iss"] == c.id.as_str())?.clone();
        }
        let registered =
            by.jwks["keys"].as_array().and_then(|all| all.iter().find(|key| key["kid"] == jwt.header["kid"]));
        if let Some(key) = registered.filter(|key| key["alg"] == "EdDSA" && !self.on("jwks-replaced-in-show-only")) {
            let text = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
            (by.kid, by.alg, by.public) = (text("kid"), "EdDSA", unb64(&text("x"))?);
        }
        let (input, mac) = assertion.rsplit_once('.')?;
        let other = registered.filter(|key| key["alg"] != "EdDSA").cloned();
        let by_alg = by.jwks["keys"].as_array().and_then(|all| all.iter().find(|key| key["alg"] == jwt.header["alg"]));
        let other = other.or_else(|| by_alg.filter(|key| key["alg"] != "EdDSA" && self.on("key-by-alg")).cloned());
        let verifies = |public: &[u8]| {
            let mac = unb64(mac).unwrap_or_default();
            signature::UnparsedPublicKey::new(&signature::ED25519, public).verify(input.as_bytes(), &mac).is_ok()
        };
        let alg = jwt.header["alg"].as_str().unwrap_or_default();
        let kid_fits = jwt.header["kid"] == by.kid.as_str()
            || self.on("kid-ignored")
            || (self.on("kid-folded")
                && jwt.header["kid"].as_str().is_some_and(|kid| kid.eq_ignore_ascii_case(&by.kid)))
            || (self.on("kid-optional") && jwt.header["kid"].is_null());
        let alg_fits = alg == by.alg
            || self.on("alg-header-ignored")
            || (self.on("alg-folded") && alg.eq_ignore_ascii_case(by.alg))
            || (self.on("alg-optional") && alg.is_empty())
            || (self.on("rsa-either-way") && ["RS256", "PS256"].contains(&alg));
        let own = match (by.alg, alg) {
            ("EdDSA", _) => verifies(&by.public),
            (_, "PS256") => rsa_verifies(&signature::RSA_PSS_2048_8192_SHA256, &by.public, input, mac),
            _ => rsa_verifies(&signature::RSA_PKCS1_2048_8192_SHA256, &by.public, input, mac),
        };
        let mut signed = kid_fits && alg_fits && own;
        if let Some(key) = &other {
            signed = self.verifies_by(key, alg, input, mac);
        }
        signed |= kid_fits && self.falls_for_assertion(&by, &jwt, assertion);
        signed |= self.on("kid-of-anybody")
            && self.clients.iter().any(|c| jwt.header["kid"] == c.kid.as_str() && verifies(&c.public));
        signed |= self.on("signature-unchecked") && kid_fits;
        let former = self.memory.former.get(&by.id).filter(|_| self.on("jwks-added"));
        signed |= former.is_some_and(|former| jwt.header["kid"] == former.kid.as_str() && verifies(&former.public));
        signed |= self.on("alg-none") && alg == "none";
        signed |= self.on("any-registered-key") && self.clients.iter().any(|c| verifies(&c.public));
        signed |= self.on("hs256-public-key") && alg == "HS256" && jose::hs256(&by.public, input) == assertion;
        if !signed {
            return None;
        }
        if let Some(Value::Array(critical)) = jwt.header.get("crit") {
            let understood = |name: &str| critical.iter().all(|critical| critical == name);
            let forgiven = self.on("crit-ignored")
                || (self.on("crit-empty-ok") && critical.is_empty())
                || (self.on("crit-b64-ok") && understood("b64"))
                || (self.on("crit-kid-ok") && understood("kid"));
            if !forgiven {
                return None;
            }
        }
        let now = self.clock.now();
        let leeway = if self.on("no-leeway") { 0 } else { LEEWAY };
        let folded =
            self.on("iss-folded") && claims["iss"].as_str().is_some_and(|iss| iss.eq_ignore_ascii_case(&by.id));
        let longer = self.on("iss-prefix") && claims["iss"].as_str().is_some_and(|iss| iss.starts_with(&by.id));
        if (claims["iss"] != by.id.as_str() && !self.on("iss-unchecked") && !folded && !longer)
            || (claims["sub"] != by.id.as_str() && !self.on("sub-unchecked"))
        {
            return None;
        }
        let endpoint = format!("{}/auth/tokens/long", self.issuer);
        let named = |aud: &Value| {
            let text = aud.as_str().unwrap_or_default();
            text == endpoint
                || (self.on("aud-slash-ok") && text.strip_suffix('/') == Some(&endpoint))
                || (text == self.issuer && !self.on("aud-issuer-refused"))
                || (self.on("aud-issuer-slash") && text.strip_suffix('/') == Some(&self.issuer))
                || (self.on("aud-with-query") && text.split('?').next() == Some(endpoint.as_str()))
                || (self.on("aud-any-scheme") && text.split("://").nth(1) == endpoint.split("://").nth(1))
                || (self.on("aud-of-tokens") && text == AUDIENCE)
                || (self.on("aud-any-endpoint") && text.starts_with(&self.issuer))
                || (self.on("aud-folded") && text.eq_ignore_ascii_case(&endpoint))
                || (self.on("aud-prefix") && text.starts_with(&endpoint))
                || (self.on("aud-beginning") && !text.is_empty() && endpoint.starts_with(text))
        };
        let aud = match &claims["aud"] {
            Value::Array(all) if all.is_empty() => self.on("aud-empty-ok"),
            Value::Array(all) if self.on("aud-last-only") => all.last().is_some_and(named),
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
            Value::Bool(_) if self.on("exp-boolean-ok") => {}
            exp if self.on("exp-milliseconds-ok") && exp.as_u64().is_some_and(|exp| exp > now * 500) => {}
            exp => {
                let exp = match self.on("exp-32-bits") {
                    true => exp.as_u64()? & u64::from(u32::MAX),
                    false => exp.as_u64()?,
                };
                let (over, most) = match self.fault {
                    Some("expired-120") => (120, most),
                    Some("exp-720") => (LEEWAY, most + LEEWAY),
                    Some("exp-600-refused") => (LEEWAY, most - LEEWAY - 1),
                    _ => (LEEWAY, most),
                };
                if exp + over <= now && !self.on("exp-unchecked") {
                    return None;
                }
                if exp > now + most + leeway && !self.on("exp-far-ok") {
                    return None;
                }
            }
        }
        if claims["iat"].is_string() && !self.on("iat-text-ok") {
            return None;
        }
        if claims["nbf"].is_string() && !self.on("nbf-text-ok") {
            return None;
        }
        if claims.get("iat").is_none() && self.on("iat-required") {
            return None;
        }
        for (name, unchecked, more, less) in
            [("iat", "iat-unchecked", "iat-90", "iat-60-refused"), ("nbf", "nbf-unchecked", "nbf-90", "nbf-60-refused")]
        {
            let leeway = if self.on(more) { 90 } else { leeway };
            let leeway = if self.on(less) { 59 } else { leeway };
            if claims[name].as_u64().is_some_and(|at| at > now + leeway) && !self.on(unchecked) {
                return None;
            }
        }
        let jti = match claims["jti"].as_str() {
            Some("") if !self.on("jti-empty-ok") => return None,
            Some(jti) if self.on("jti-folded") => format!("{} {}", by.id, jti.to_lowercase()),
            Some(_) if self.on("jti-by-text") => assertion.to_owned(),
            Some(jti) if self.on("jti-end") => {
                format!("{} {}", by.id, jti.chars().rev().take(32).collect::<String>())
            }
            Some(jti) if self.on("jti-by-aud") => format!("{} {jti} {}", by.id, claims["aud"]),
            Some(jti) if self.on("jti-by-kid") => format!("{} {jti} {}", by.id, jwt.header["kid"]),
            Some(jti) if self.on("jti-trimmed") => format!("{} {}", by.id, jti.trim()),
            Some(jti) if self.on("jti-global") => jti.to_owned(),
            Some(jti) if self.on("jti-cut") => format!("{} {}", by.id, jti.chars().take(64).collect::<String>()),
            Some(jti) => format!("{} {jti}", by.id),
            None if self.on("jti-number-ok") && claims["jti"].is_number() => return Some(by),
            None if self.on("jti-optional") => return Some(by),
            None => return None,
        };
        if self.on("jti-last-only") {
            self.memory.assertions.retain(|known, _| *known == jti);
        }
        if self.on("jti-forgotten") && self.memory.accepted.get(&jti).is_some_and(|at| at + 5 <= now) {
            self.memory.assertions.remove(&jti);
        }
        self.memory.accepted.entry(jti.clone()).or_insert(now);
        let uses = self.memory.assertions.entry(jti).or_default();
        *uses += 1;
        let allowed = match self.fault {
            Some("jti-reusable") => u32::MAX,
            Some("immediate-jti-unchecked") if by.immediate => u32::MAX,
            Some("jti-race") => 3,
            _ => 1,
        };
        (*uses <= allowed).then_some(by)
    }
}

impl Reference {
    /// Whether a registered key, not of Ed25519, has signed the input.
    fn verifies_by(&self, key: &Value, header: &str, input: &str, mac: &str) -> bool {
        let alg = key["alg"].as_str().unwrap_or_default();
        let name = alg.to_lowercase();
        if self.on(&format!("{name}-unverifiable")) {
            return false;
        }
        if header == alg && self.on(&format!("{name}-signature-unchecked")) {
            return true;
        }
        let member = |name: &str| key[name].as_str().and_then(unb64).unwrap_or_default();
        if header == "HS256" {
            let n = key["n"].as_str().unwrap_or_default();
            let point = [vec![4], member("x"), member("y")].concat();
            return (self.on("hs256-rsa-public") && !n.is_empty() && jose::hs256(n.as_bytes(), input).ends_with(mac))
                || (self.on("hs256-p256-public") && alg == "ES256" && jose::hs256(&point, input).ends_with(mac));
        }
        let by_header = (self.on("rsa-by-header") || self.on("rsa-either-way")) && alg != "ES256";
        if header != alg && !by_header {
            return false;
        }
        let signed = unb64(mac).unwrap_or_default();
        let rsa = signature::RsaPublicKeyComponents { n: member("n"), e: member("e") };
        match header {
            "ES256" => {
                let point = [vec![4], member("x"), member("y")].concat();
                let key = signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point);
                key.verify(input.as_bytes(), &signed).is_ok()
            }
            "PS256" => rsa.verify(&signature::RSA_PSS_2048_8192_SHA256, input.as_bytes(), &signed).is_ok(),
            "RS256" => rsa.verify(&signature::RSA_PKCS1_2048_8192_SHA256, input.as_bytes(), &signed).is_ok(),
            _ => false,
        }
    }
}

/// With full-width forms (U+FF01 to U+FF5E) as the characters of ASCII that they correspond to.
fn narrowed(text: &str) -> String {
    let ascii = |c: char| match u32::from(c) {
        wide @ 0xff01..=0xff5e => char::from_u32(wide - 0xfee0).unwrap_or(c),
        _ => c,
    };
    text.chars().map(ascii).collect()
}

fn sorted(text: &str) -> Vec<char> {
    let mut all: Vec<char> = text.chars().collect();
    all.sort_unstable();
    all
}

fn rsa_verifies(algorithm: &'static dyn signature::VerificationAlgorithm, key: &[u8], input: &str, mac: &str) -> bool {
    let mac = unb64(mac).unwrap_or_default();
    signature::UnparsedPublicKey::new(algorithm, key).verify(input.as_bytes(), &mac).is_ok()
}
