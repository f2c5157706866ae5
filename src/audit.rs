//! The audit line: one log line for each call.

use serde::Serialize;

use crate::error::Error;
use crate::response::Response;
use crate::token::Presented;

/// What was decided, and for whom. It holds ids and codes, never a credential.
#[derive(Debug, Default, Serialize)]
pub struct Audit {
    /// The operation, by its `operationId`.
    pub event: &'static str,
    /// `issued`, `revoked`, `introspected`, `changed`, `served`, `polled`, `ready`, or the code of the refusal.
    pub outcome: &'static str,
    pub status: u16,
    /// The client whose token or record this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The token that was made or revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// The secret that was ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<String>,
    /// The token that the caller presented.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The caller's client, if the caller is an operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<&'static str>,
    /// For the operator, not the caller: which dependency or setting failed, or that one-time codes are locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Cloudflare's id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ray: Option<String>,
}

impl Audit {
    /// Records the token that the caller presented, and its client.
    pub fn presented(&mut self, token: &Presented) {
        self.client_id = Some(token.client_id.clone());
        self.by = Some(token.id.clone());
    }

    /// Whether the call read the public feed. Such a call leaves no line: verifiers make it every few seconds, and log
    /// lines are billed (docs/operations.md).
    pub fn is_routine(&self) -> bool {
        self.outcome == "polled" && self.by.is_none()
    }

    /// The response and line of a call that was refused before it reached an operation.
    pub fn of_refusal(error: &Error) -> (Response, Self) {
        let mut audit = Self { event: "none", ..Self::default() };
        let response = audit.refuse(error);
        audit.status = response.status;
        (response, audit)
    }

    pub fn refuse(&mut self, error: &Error) -> Response {
        (_, self.outcome) = error.status_and_code();
        self.problem = error.for_the_log();
        error.respond()
    }
}
