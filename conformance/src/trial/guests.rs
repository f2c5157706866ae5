//! Clients that cases make for themselves, and what else must be done before a case can see its own promise.

use crate::ask::ENDED;
use crate::endpoint::{self, CLIENTS};
use crate::http::Answer;
use crate::identities::Role;
use crate::stop::Stop;
use crate::trial::Trial;
use crate::trial::mint::Token;
use serde_json::{Value, json};

impl Trial<'_> {
    /// A bearer that may revoke, and a long-term token of the same client.
    pub async fn pair(&self) -> Result<(Token, Token), Stop> {
        let bearer = self.shared(Role::Valid, "short").await?;
        Ok((bearer, self.mint_long(Role::Valid, &["jobs:submit", "tokens:write"]).await?))
    }

    /// A short-term token that was revoked, and the one that revoked it.
    pub async fn ended_short(&self) -> Result<(Token, Token), Stop> {
        let (bearer, long) = self.pair().await?;
        let short = self.mint_short(&long, &["jobs:submit"]).await?;
        self.revoked(&bearer, &short).await?;
        Ok((bearer, short))
    }

    /// Ends a token, which is another case's promise.
    pub async fn revoked(&self, bearer: &Token, victim: &Token) -> Result<(), Stop> {
        let answer = self.send(&endpoint::revoke(&bearer.token, &victim.id)).await?;
        self.expect(ENDED, &answer).map_err(|_| {
            Stop::Blocked(format!("a revocation was needed first: the server answered {}", self.summary(&answer)))
        })
    }

    /// A call of the operator, which must do what it says before anything can be seen in the feed.
    pub async fn operate(&self, method: &str, path: &str, body: Option<Value>, due: u16) -> Result<Answer, Stop> {
        let operator = self.shared(Role::Operator, "short").await?;
        let mut request = endpoint::post(path, Some(&operator.token), body);
        request.method = method.to_owned();
        let answer = self.send(&request).await?;
        if answer.status == due {
            return Ok(answer);
        }
        let got = self.summary(&answer);
        Err(Stop::Blocked(format!("the operators' call {method} {path} was needed first: the server answered {got}")))
    }

    /// A client for this case alone; the run deletes it at the end.
    pub async fn guest(&self) -> Result<Guest, Stop> {
        let id = format!("conformance-{}", self.unique());
        self.run.vault.open(&id);
        // What an immediate client's exchange answers is certain at once.
        let body = json!({
            "client_id": id, "client_name": "conformance", "scopes": ["jobs:submit"], "mechanisms": ["secret"],
            "consistency": "immediate", "max_ttl_seconds": 3600,
        });
        let answer = self.operate("POST", CLIENTS, Some(body), 201).await?;
        let secret = answer.json().and_then(|body| body["client_secret"].as_str().map(str::to_owned));
        let secret = secret.ok_or_else(|| Stop::Blocked("the new client has no client_secret".to_owned()))?;
        let secret = self.secret("GUEST_CLIENT_SECRET", secret);
        Ok(Guest { path: endpoint::client_path(&id), id, secret })
    }

    /// A short-term token of the guest, from a long-term token of its own.
    pub async fn guest_token(&self, guest: &Guest) -> Result<Token, Stop> {
        let long = self.mint_long_as(&guest.id, &guest.secret, &["jobs:submit"]).await?;
        self.mint_short(&long, &["jobs:submit"]).await
    }
}

pub struct Guest {
    pub id: String,
    /// Where the operators' calls reach it.
    pub path: String,
    secret: String,
}
