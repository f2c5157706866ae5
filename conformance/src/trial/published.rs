//! What the deployment says of itself.

use crate::endpoint::{self, METADATA};
use crate::http::Answer;
use crate::identities::Role;
use crate::jose::Jwt;
use crate::stop::Stop;
use crate::trial::Trial;

impl Trial<'_> {
    /// The deployment's own name, as its short-term tokens tell it.
    pub async fn issuer(&self) -> Result<String, Stop> {
        let short = self.shared(Role::Valid, "short").await?;
        let issuer = Jwt::read(&short.token).and_then(|jwt| jwt.claims["iss"].as_str().map(str::to_owned));
        issuer.ok_or_else(|| Stop::Blocked("the short-term token has no `iss` to take the issuer from".to_owned()))
    }

    /// The path of the issuer comes last (RFC 8414 section 3.1).
    pub async fn metadata(&self) -> Result<Answer, Stop> {
        let issuer = self.issuer().await?;
        let behind_scheme = issuer.split_once("://").map_or("", |(_, rest)| rest);
        let path = behind_scheme.find('/').map_or("", |at| behind_scheme[at..].trim_end_matches('/'));
        self.send(&endpoint::bare("GET", &format!("{METADATA}{path}"), None)).await
    }
}
