//! What is served publicly at the origin: keys, metadata, the API's description, health. The revocation feed is in
//! `feed.rs`.

use super::message::{Asked, Form, Refused, Reply};
use super::state::Reference;
use crate::case::FeedMode;
use crate::jose::b64;
use ring::signature::KeyPair;
use serde_json::{Value, json};

const METADATA: &str = "/.well-known/oauth-authorization-server/v1";

/// Public documents, except the feed. The names of its faults begin with this.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Document {
    Keys,
    Metadata,
    OpenApi,
    Docs,
    Health,
}

impl Document {
    fn theme(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Metadata => "metadata",
            Self::OpenApi | Self::Docs | Self::Health => "documents",
        }
    }
}

impl Reference {
    /// The document at this path of the origin; `None` for other paths.
    pub fn well_known(&mut self, asked: &Asked, path: &str) -> Result<Option<Reply>, Refused> {
        let lenient = if self.on("origin-slash-lenient") { path.trim_end_matches('/') } else { path };
        let feed = if self.on("feed-below-base") { "/v1/.well-known/revocations" } else { "/.well-known/revocations" };
        let document = match lenient {
            "/.well-known/jwks.json" if self.on("keys-below-base") => return Ok(None),
            "/v1/.well-known/jwks.json" if self.on("keys-below-base") => Document::Keys,
            "/.well-known/jwks.json" => Document::Keys,
            METADATA if self.on("metadata-missing") => return Ok(None),
            METADATA => Document::Metadata,
            path if self.on("metadata-of-any-issuer") && path.starts_with("/.well-known/oauth") => Document::Metadata,
            "/openapi.json" => Document::OpenApi,
            "/docs" => Document::Docs,
            "/healthz" => Document::Health,
            path if path == feed && self.feed != FeedMode::Off && !self.on("feed-missing") => {
                return self.serve_feed(asked).map(Some);
            }
            _ => return Ok(None),
        };
        self.document(asked, document).map(Some)
    }

    fn document(&self, asked: &Asked, document: Document) -> Result<Reply, Refused> {
        let on = |fault: &str| self.on(&format!("{}-{fault}", document.theme()));
        let get = asked.method == "GET" || (asked.method == "HEAD" && !on("head-405"));
        if !get && !on("any-method") {
            let mut reply = self.read_only(asked, if on("allow-get-alone") { "GET" } else { "GET, HEAD" });
            if on("405-kept") {
                reply.set_header("Cache-Control", "public, max-age=300");
            }
            return Ok(reply);
        }
        let body = match document {
            Document::Keys => self.keys(),
            Document::Metadata => self.metadata(),
            Document::OpenApi => self.openapi(),
            Document::Docs => "<!doctype html><html><body>The API</body></html>".into(),
            Document::Health if on("health-in-words") => "ready".into(),
            Document::Health => json!({"status": "ready"}),
        };
        let mut reply = self.dressed(200, body);
        if document == Document::Docs {
            reply.form = Form::Text(if on("page-as-text") { "text/plain" } else { "text/html; charset=utf-8" });
        }
        let kept = match document {
            Document::Health => on("health-kept"),
            _ => !on("never-kept"),
        };
        if kept {
            reply.set_header(
                "Cache-Control",
                if on("kept-a-day") { "public, max-age=86400" } else { "public, max-age=300" },
            );
        }
        Ok(reply)
    }

    fn keys(&self) -> Value {
        let public = self.key.public_key().as_ref();
        let other = self.on("feed-other-key") || self.on("keys-other");
        let x = if other { b64([9; 32]) } else { b64(public) };
        let kid = if self.on("keys-other-kid") { "s2" } else { "s1" };
        let mut key = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x});
        match self.fault {
            Some("keys-private") => key["d"] = b64([7; 32]).into(),
            Some("keys-without-use") => drop(key.as_object_mut().and_then(|key| key.remove("use"))),
            _ => {}
        }
        match self.fault {
            Some("keys-bare-array") => json!([key]),
            Some("keys-symmetric") => {
                json!({"keys": [key, {"kty": "oct", "alg": "HS256", "use": "sig", "kid": "l1", "k": b64([7; 32])}]})
            }
            Some("keys-kid-twice") => json!({"keys": [key, key]}),
            _ => json!({"keys": [key]}),
        }
    }

    fn metadata(&self) -> Value {
        let origin = self.issuer.trim_end_matches("/v1").to_owned();
        let base = &self.issuer;
        let at = |path: &str| format!("{origin}{path}");
        let mut all = json!({
            "issuer": self.issuer, "jwks_uri": at("/.well-known/jwks.json"), "grant_types_supported": [],
            "response_types_supported": [], "scopes_supported": ["tokens:write", "tokens:revoke", "tokens:introspect"],
            "introspection_endpoint": format!("{base}/auth/tokens/introspect"),
            "introspection_endpoint_auth_methods_supported": ["Bearer"], "service_documentation": at("/docs"),
        });
        if self.feed != FeedMode::Off && !self.on("feed-unnamed") {
            let base = if self.on("feed-named-below-base") { base } else { &origin };
            all["revocations_uri"] = format!("{base}/.well-known/revocations").into();
        }
        match self.fault {
            Some("metadata-other-issuer") => all["issuer"] = origin.into(),
            Some("metadata-keys-below-base") => all["jwks_uri"] = format!("{base}/.well-known/jwks.json").into(),
            Some("metadata-introspection-elsewhere") => {
                all["introspection_endpoint"] = at("/auth/tokens/introspect").into();
            }
            Some("metadata-basic-auth") => {
                all["introspection_endpoint_auth_methods_supported"] = json!(["client_secret_basic"]);
            }
            Some("metadata-relative-documentation") => all["service_documentation"] = "/docs".into(),
            Some("metadata-scopes-text") => all["scopes_supported"] = "tokens:write tokens:revoke".into(),
            Some("metadata-lacks-response-types") => {
                all.as_object_mut().and_then(|all| all.remove("response_types_supported"));
            }
            Some("metadata-lacks-grant-types") => {
                all.as_object_mut().and_then(|all| all.remove("grant_types_supported"));
            }
            _ => {}
        }
        all
    }

    fn openapi(&self) -> Value {
        let server = if self.on("documents-openapi-elsewhere") { "/v9" } else { "/v1" };
        let post = |id: &str| json!({"post": {"operationId": id, "responses": {}}});
        let mut all = json!({
            "openapi": "3.0.3", "info": {"title": "reference", "version": "1"}, "servers": [{"url": server}],
            "paths": {
                "/auth/tokens/long": post("issueLongTermToken"),
                "/auth/tokens/short": post("issueShortTermToken"),
                "/auth/tokens/{tokenId}/revoke": post("revokeToken"),
            },
        });
        if self.on("documents-openapi-lacks-revoke") {
            all["paths"].as_object_mut().and_then(|paths| paths.remove("/auth/tokens/{tokenId}/revoke"));
        }
        all
    }
}
