//! Clients that cases create for themselves, and other steps that a case needs first.

use crate::ask::ENDED;
use crate::endpoint::{self, CLIENTS};
use crate::http::Answer;
use crate::identities::Role;
use crate::stop::Stop;
use crate::trial::Trial;
use crate::trial::mint::{PLAIN, Token};
use serde_json::{Value, json};

impl Trial<'_> {
    /// A short-term token that may revoke, and a long-term token of the same client.
    pub async fn pair(&self) -> Result<(Token, Token), Stop> {
        let bearer = self.shared(self.tenant(), "short").await?;
        Ok((bearer, self.mint_long(self.tenant(), &[PLAIN, "tokens:write"]).await?))
    }

    /// The token that revoked, and a short-term token that it revoked.
    pub async fn ended_short(&self) -> Result<(Token, Token), Stop> {
        let (bearer, long) = self.pair().await?;
        let short = self.mint_short(&long, &[PLAIN]).await?;
        self.revoked(&bearer, &short).await?;
        Ok((bearer, short))
    }

    /// Revokes a token. A refusal blocks the case: other cases test revocation itself.
    pub async fn revoked(&self, bearer: &Token, victim: &Token) -> Result<(), Stop> {
        let answer = self.send(&endpoint::revoke(&bearer.token, &victim.id)).await?;
        self.expect(ENDED, &answer).map_err(|_| {
            Stop::Blocked(format!("this case first needs a revocation: the server answered {}", self.summary(&answer)))
        })
    }

    /// A call of the operator that the case needs first. Another status than `due` blocks the case.
    pub async fn operate(&self, method: &str, path: &str, body: Option<Value>, due: u16) -> Result<Answer, Stop> {
        let operator = self.shared(Role::Operator, "short").await?;
        let mut request = endpoint::post(path, Some(&operator.token), body);
        request.method = method.to_owned();
        let answer = self.send(&request).await?;
        if answer.status == due {
            return Ok(answer);
        }
        let got = self.summary(&answer);
        Err(Stop::Blocked(format!(
            "this case first needs the operators' call {method} {path}: the server answered {got}"
        )))
    }

    /// A client for this case alone; the clean-up deletes it.
    pub async fn guest(&self) -> Result<Guest, Stop> {
        self.guest_with(json!({})).await
    }

    /// The same, with other members in the body.
    pub async fn guest_with(&self, members: Value) -> Result<Guest, Stop> {
        let id = format!("conformance-{}", self.unique());
        self.run.vault.open(&id);
        // Immediate, so that its exchanges need no waiting.
        let mut body = json!({
            "client_id": id, "client_name": "conformance", "scopes": ["jobs:submit"], "mechanisms": ["secret"],
            "consistency": "immediate", "max_ttl_seconds": 3600,
        });
        for (name, value) in members.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let made = self.operate("POST", CLIENTS, Some(body), 201).await?.json().unwrap_or_default();
        let secret = made["client_secret"].as_str().map(str::to_owned);
        let secret =
            secret.ok_or_else(|| Stop::Blocked("the 201 for the new client has no client_secret".to_owned()))?;
        let secret = self.secret("GUEST_CLIENT_SECRET", secret);
        Ok(Guest { path: endpoint::client_path(&id), id, secret, made })
    }

    /// A long-term token of the guest, issued for its secret.
    pub async fn guest_long(&self, guest: &Guest, scopes: &[&str]) -> Result<Token, Stop> {
        self.mint_long_as(&guest.id, &guest.secret, scopes).await
    }

    /// Changes the guest, and returns its new members.
    pub async fn change(&self, guest: &Guest, members: Value) -> Result<Value, Stop> {
        Ok(self.operate("PATCH", &guest.path, Some(members), 200).await?.json().unwrap_or_default())
    }

    /// Ends all tokens of the guest.
    pub async fn end_tokens(&self, guest: &Guest) -> Result<(), Stop> {
        self.operate("POST", &format!("{}/end-tokens", guest.path), None, 204).await.map(drop)
    }

    /// A short-term token of the guest, from a new long-term token.
    pub async fn guest_token(&self, guest: &Guest) -> Result<Token, Stop> {
        let long = self.guest_long(guest, &["jobs:submit"]).await?;
        self.mint_short(&long, &["jobs:submit"]).await
    }
}

pub struct Guest {
    pub id: String,
    /// The path of the operators' calls for it.
    pub path: String,
    pub secret: String,
    /// The body of the 201.
    pub made: Value,
}
