//! Copies that accept a forgery: each accepts one kind of assertion, token or id that was forged or altered.

use super::state::{ClientRecord, Reference};
use crate::jose::{self, Jwt, unb64};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::signature::{self, KeyPair};
use serde_json::Value;

/// The bytes before an Ed25519 key in its SPKI (RFC 8410 section 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

fn ed25519(key: &[u8], input: &str, mac: &str) -> bool {
    let mac = unb64(mac).unwrap_or_default();
    signature::UnparsedPublicKey::new(&signature::ED25519, key).verify(input.as_bytes(), &mac).is_ok()
}

fn x_of(jwk: &Value) -> Vec<u8> {
    jwk["x"].as_str().and_then(unb64).unwrap_or_default()
}

fn unpadded(text: &Value, mark: &str) -> Vec<u8> {
    let text = text.as_str().unwrap_or_default();
    let text = text.split_once(mark).map_or(text, |(_, rest)| rest);
    STANDARD.decode(text).unwrap_or_default()
}

impl Reference {
    /// Whether this copy accepts an assertion with the client's `kid` that the client did not sign.
    pub fn falls_for_assertion(&self, by: &ClientRecord, jwt: &Jwt, assertion: &str) -> bool {
        let (input, mac) = assertion.rsplit_once('.').unwrap_or_default();
        let header = &jwt.header;
        let alg = header["alg"].as_str().unwrap_or_default();
        match self.fault {
            Some("jwk-believed") => ed25519(&x_of(&header["jwk"]), input, mac),
            Some("x5c-believed") => {
                let certificate = unpadded(&header["x5c"][0], "");
                let at = certificate.windows(SPKI.len()).position(|part| part == SPKI).map(|at| at + SPKI.len());
                at.and_then(|at| certificate.get(at..at + 32)).is_some_and(|key| ed25519(key, input, mac))
            }
            Some("jku-believed") => {
                let set: Value = serde_json::from_slice(&unpadded(&header["jku"], "base64,")).unwrap_or_default();
                ed25519(&x_of(&set["keys"][0]), input, mac)
            }
            Some("hs512-public-key") => {
                alg == "HS512" && jose::keyed(hmac::HMAC_SHA512, &by.public, input) == assertion
            }
            Some("alg-none-cased") => alg != "none" && alg.eq_ignore_ascii_case("none"),
            Some("signature-optional") => mac.is_empty() && alg != "none" && !alg.eq_ignore_ascii_case("none"),
            _ => false,
        }
    }

    /// Whether this copy accepts this forged or altered long-term token.
    pub fn falls_for_long(&self, jwt: &Jwt, token: &str) -> bool {
        let (input, mac) = token.rsplit_once('.').unwrap_or_default();
        let right = self.long_mac(input);
        let right = right.rsplit('.').next().unwrap_or_default();
        let (sent, due) = (unb64(mac).unwrap_or_default(), unb64(right).unwrap_or_default());
        let id = jwt.claims["jti"].as_str().unwrap_or_default();
        match self.fault {
            Some("mac-without-first") => sent.len() == due.len() && sent[1..] == due[1..],
            Some("mac-without-last") => sent.len() == due.len() && sent[..due.len() - 1] == due[..due.len() - 1],
            Some("mac-by-length") => !sent.is_empty() && due.starts_with(&sent),
            Some("mac-half") => sent.len() == due.len() && sent[..due.len() / 2] == due[..due.len() / 2],
            Some("mac-empty-ok") => mac.is_empty() && jwt.header["alg"] == "HS256",
            Some("mac-over-claims") => self.memory.claims_signed.contains(&over_claims(input, mac)),
            Some("mac-over-jti") => self.owner(id).is_some(),
            Some("long-by-public-key") => jose::hs256(self.key.public_key().as_ref(), input) == token,
            Some("kind-by-typ") => self.memory.claims_signed.contains(&over_claims(input, mac)),
            _ => false,
        }
    }

    /// Whether this copy accepts this forged or altered short-term token.
    pub fn falls_for_short(&self, jwt: &Jwt, token: &str) -> bool {
        let (input, mac) = token.rsplit_once('.').unwrap_or_default();
        let alg = jwt.header["alg"].as_str().unwrap_or_default();
        match self.fault {
            Some("short-by-public-key") => jose::hs256(self.key.public_key().as_ref(), input) == token,
            Some("long-retyped-ok") => self.memory.claims_signed.contains(&over_claims(input, mac)),
            Some("clients-sign-tokens") => self.clients.iter().any(|client| ed25519(&client.public, input, mac)),
            Some("token-jwk-believed") => ed25519(&x_of(&jwt.header["jwk"]), input, mac),
            Some("token-alg-none-cased") => alg != "none" && alg.eq_ignore_ascii_case("none"),
            _ => false,
        }
    }

    /// The client that signed this assertion, if this copy accepts it as a long-term token.
    pub fn falls_for_bearer(&self, jwt: &Jwt, token: &str) -> Option<&ClientRecord> {
        let (input, mac) = token.rsplit_once('.')?;
        let signed =
            |client: &&ClientRecord| jwt.claims["iss"] == client.id.as_str() && ed25519(&client.public, input, mac);
        self.clients.iter().find(signed).filter(|_| self.on("assertion-exchanged"))
    }

    /// Stores the signature of a token's claims, for copies that ignore the header.
    pub fn remember_claims(&mut self, token: &str) {
        if let Some((input, mac)) = token.rsplit_once('.') {
            self.memory.claims_signed.insert(over_claims(input, mac));
        }
    }

    /// The id for which this copy takes an altered one.
    pub fn read_id(&self, id: &str) -> String {
        match self.fault {
            Some("id-prefix-folded") => id.replacen("TOK_LT_", "tok_lt_", 1),
            Some("id-padding-ok") => id.trim_end_matches('=').to_owned(),
            Some("id-trimmed") => id.trim().to_owned(),
            _ => id.to_owned(),
        }
    }

    /// Whether this copy accepts an id's MAC. `bytes` are the expiry (8), the random part (8) and the MAC.
    pub fn falls_for_id(&self, kind: &str, client: &str, bytes: &[u8]) -> bool {
        let given = self.memory.ids.iter().filter(|(owner, _)| owner == client);
        let mut given = given.filter_map(|(_, id)| Some((id, unb64(id.get(7..)?)?)));
        match self.fault {
            Some("id-end-unbound") => given.any(|(_, id)| bytes.len() == 33 && id[8..] == bytes[8..]),
            Some("id-random-unbound") => {
                given.any(|(_, id)| bytes.len() == 33 && id[..8] == bytes[..8] && id[16..] == bytes[16..])
            }
            Some("id-mac-without-last") => given.any(|(_, id)| bytes.len() == 33 && id[..32] == bytes[..32]),
            Some("id-mac-by-length") => given.any(|(_, id)| bytes.len() > 17 && id.starts_with(bytes)),
            Some("id-kind-unbound") => {
                given.any(|(id, known)| known == bytes && !id.starts_with(&format!("tok_{kind}")))
            }
            _ => false,
        }
    }
}

/// The claims and the signature, without the header.
fn over_claims(input: &str, mac: &str) -> String {
    format!("{}.{mac}", input.split_once('.').map_or(input, |(_, claims)| claims))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::b64;

    #[test]
    fn the_key_is_found_in_a_certificate() {
        let (key, public) = jose::PrivateKey::made_up("k").unwrap();
        let certificate = key.certificate().unwrap();
        let at = certificate.windows(SPKI.len()).position(|part| part == SPKI).unwrap() + SPKI.len();
        assert_eq!(b64(&certificate[at..at + 32]), public["x"].as_str().unwrap());
    }
}
