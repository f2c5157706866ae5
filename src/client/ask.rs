//! What is asked of a client's object, and what it answers. Both travel as JSON, inside the deployment.

use serde::Serialize;

use crate::error::{Error, Unavailable};
use crate::request::Credential;
use crate::scope::Scopes;
use crate::token::{Granted, Presented};
use crate::token_id::TokenId;
use crate::value::{self, readable};

/// A question on its way to an object.
#[derive(Serialize)]
pub struct Question<C, A> {
    pub client_id: C,
    pub ask: A,
}

readable!(struct Question<String, Ask> { client_id, ask });

/// A question to the object of one client. The object judges by its own clock.
#[derive(Debug, Serialize)]
pub enum Ask {
    /// May this credential have a long-term token? What works once is spent by asking. → `Granted`
    Issue(Issue),
    /// May this short-term token have a new long-term one? Retires the one that it came from. → `Granted`
    Rotate(Rotate),
    /// Does this token count? → `Standing`
    Standing(Presented),
    /// Ends a token. → `Done`
    Revoke(Revoke),
    /// The body of `createClient`, with the id and the place that it says or was given. → `Shown`, with the new credentials
    Create { client_id: String, body: String, region: Option<String> },
    /// → `Shown`
    Show,
    /// → `Shown`
    Change(Change),
    /// → `Made`
    AddSecret,
    /// Ends a secret in so many seconds. → `Done`
    EndSecret { secret_id: String, delay: u64 },
    /// → `Made`
    NewTotp,
    /// Ends every token that was issued until now. → `Done`
    EndTokens,
    /// → `Done`
    Delete { if_match: Option<String> },
    /// Does the object answer? Stores nothing. → `Done`
    Probe,
}

#[derive(Debug, Serialize)]
pub enum Answer {
    Granted(Granted),
    Standing(Standing),
    Shown(Shown),
    /// JSON for the operator.
    Made(String),
    Done,
}

#[derive(Debug, Serialize)]
pub struct Issue {
    pub credential: Credential,
    /// Where the call came in: an assertion may name that as its audience.
    pub origin: String,
    pub scopes: Option<Scopes>,
    pub ttl: u64,
}

#[derive(Debug, Serialize)]
pub struct Rotate {
    pub bearer: Presented,
    /// The bearer's parent; its MAC has been checked.
    pub parent: TokenId,
    /// The client that the body names.
    pub client_id: String,
    pub scopes: Option<Scopes>,
    pub ttl: u64,
}

#[derive(Debug, Serialize)]
pub struct Revoke {
    pub caller: Presented,
    /// `None` if it is no id of this client's.
    pub target: Option<TokenId>,
}

#[derive(Debug, Serialize)]
pub struct Change {
    /// The body of `updateClient`.
    pub body: String,
    pub if_match: Option<String>,
    /// Whether the operator may give scopes of `clients:`.
    pub may_give_clients: bool,
}

/// A token counts. What binds it besides its own claims:
#[derive(Debug, Serialize)]
pub struct Standing {
    /// The clock that said so, Unix seconds.
    pub now: u64,
    /// What its client holds now.
    pub scopes: Scopes,
    /// When it ends early, if that lies ahead.
    pub end: Option<u64>,
}

/// A client as the operator sees it.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// JSON.
    pub body: String,
    pub etag: String,
}

readable!(enum Ask {
    "Issue" => Issue(issue),
    "Rotate" => Rotate(rotate),
    "Standing" => Standing(token),
    "Revoke" => Revoke(revoke),
    "Create" => Create { client_id, body, region },
    "Show" => Show,
    "Change" => Change(change),
    "AddSecret" => AddSecret,
    "EndSecret" => EndSecret { secret_id, delay },
    "NewTotp" => NewTotp,
    "EndTokens" => EndTokens,
    "Delete" => Delete { if_match },
    "Probe" => Probe,
});
readable!(enum Answer {
    "Granted" => Granted(granted),
    "Standing" => Standing(standing),
    "Shown" => Shown(shown),
    "Made" => Made(json),
    "Done" => Done,
});
readable!(struct Issue { credential, origin, scopes, ttl });
readable!(struct Rotate { bearer, parent, client_id, scopes, ttl });
readable!(struct Revoke { caller, target });
readable!(struct Change { body, if_match, may_give_clients });
readable!(struct Standing { now, scopes, end });
readable!(struct Shown { body, etag });

impl Ask {
    /// Whether it can change what a replica shows.
    pub const fn changes(&self) -> bool {
        !matches!(self, Self::Issue(_) | Self::Standing(_) | Self::Show | Self::Probe)
    }
}

/// Reads what an object answered: an answer, or the refusal that it came to.
pub fn read_answer(json: &str) -> Result<Answer, Error> {
    value::read(json).unwrap_or_else(|| Err(Unavailable::new("CLIENTS", "an object's answer can't be read").into()))
}

/// Takes the expected kind out of an answer.
macro_rules! expected {
    ($name:ident, $variant:ident, $type:ty) => {
        pub fn $name(self) -> Result<$type, Error> {
            match self {
                Self::$variant(answer) => Ok(answer),
                _ => Err(Unavailable::new("CLIENT", "the object answered another question").into()),
            }
        }
    };
}

impl Answer {
    expected!(granted, Granted, Granted);
    expected!(standing, Standing, Standing);
    expected!(shown, Shown, Shown);
    expected!(made, Made, String);
}
