//! What is served at the origin for everyone: keys and metadata. The feed of ends is in `feed.rs`.

use super::message::{Asked, Refused, Reply};
use super::state::Reference;
use crate::case::FeedMode;
use crate::jose::b64;
use ring::signature::KeyPair;
use serde_json::json;

impl Reference {
    /// What is served at the origin; nothing for other paths.
    pub fn well_known(&mut self, asked: &Asked, path: &str) -> Result<Option<Reply>, Refused> {
        let origin = self.issuer.trim_end_matches("/v1").to_owned();
        let feed = if self.on("feed-below-base") { "/v1/.well-known/revocations" } else { "/.well-known/revocations" };
        let document = match path {
            "/.well-known/jwks.json" => {
                let public = self.key.public_key().as_ref();
                let x = if self.on("feed-other-key") { b64([9; 32]) } else { b64(public) };
                json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "s1", "x": x}]})
            }
            "/.well-known/oauth-authorization-server/v1" => {
                let jwks = format!("{origin}/.well-known/jwks.json");
                let mut metadata = json!({"issuer": self.issuer, "jwks_uri": jwks});
                if self.feed != FeedMode::Off && !self.on("feed-unnamed") {
                    let base = if self.on("feed-named-below-base") { &self.issuer } else { &origin };
                    metadata["revocations_uri"] = format!("{base}/.well-known/revocations").into();
                }
                metadata
            }
            _ if path == feed && self.feed != FeedMode::Off && !self.on("feed-missing") => {
                return self.serve_feed(asked).map(Some);
            }
            _ => return Ok(None),
        };
        let mut reply = self.dressed(200, document);
        reply.set_header("Cache-Control", "public, max-age=300");
        Ok(Some(reply))
    }
}
