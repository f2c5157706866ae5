//! The requests to a client's object (`Ask`) and its answers. Both travel as JSON, inside the deployment.

use serde::Serialize;

use crate::error::{Error, Unavailable};
use crate::request::Credential;
use crate::scope::Scopes;
use crate::token::{Granted, Presented};
use crate::token_id::TokenId;
use crate::value::{self, readable};

/// An `Ask` with the client that it is about: the body of the request to the object.
#[derive(Serialize)]
pub struct Envelope<C, A> {
    pub client_id: C,
    pub ask: A,
}

readable!(struct Envelope<String, Ask> { client_id, ask });

/// A request to one client's object, which judges it by its own clock. The arrow names the `Answer`.
#[derive(Debug, Serialize)]
pub enum Ask {
    /// Checks a credential for a new long-term token. A code or an assertion is spent by this. → `Granted`
    Issue(Issue),
    /// Checks a short-term token for a rotation, and retires the long-term token that it came from. → `Granted`
    Rotate(Rotate),
    /// Whether this token is live. → `Standing`
    Standing(Presented),
    /// Ends a token. → `Done`
    Revoke(Revoke),
    /// Creates a client. `body` is the request body of `createClient`. `client_id` and `region` are those in it; a
    /// missing `client_id` has been generated. → `Shown`, with the new credentials
    Create { client_id: String, body: String, region: Option<String> },
    /// → `Shown`
    Show,
    /// → `Shown`
    Change(Change),
    /// → `Made`
    AddSecret,
    /// Ends a secret in `delay` seconds. → `Done`
    EndSecret { secret_id: String, delay: u64 },
    /// → `Made`
    NewTotp,
    /// Ends all tokens issued until now. → `Done`
    EndTokens,
    /// → `Done`
    Delete { if_match: Option<String> },
    /// Whether the object answers. Stores nothing. → `Done`
    Probe,
}

#[derive(Debug, Serialize)]
pub enum Answer {
    Granted(Granted),
    Standing(Standing),
    Shown(Shown),
    /// A new secret or seed, as JSON.
    Made(String),
    Done,
}

#[derive(Debug, Serialize)]
pub struct Issue {
    pub credential: Credential,
    /// The request's origin: an assertion may name it as its audience.
    pub origin: String,
    pub scopes: Option<Scopes>,
    pub ttl: u64,
}

#[derive(Debug, Serialize)]
pub struct Rotate {
    pub bearer: Presented,
    /// The bearer's parent; its MAC has been checked.
    pub parent: TokenId,
    /// The `client_id` of the body.
    pub client_id: String,
    pub scopes: Option<Scopes>,
    pub ttl: u64,
}

#[derive(Debug, Serialize)]
pub struct Revoke {
    pub caller: Presented,
    /// `None` if the id is not one of this client's.
    pub target: Option<TokenId>,
}

#[derive(Debug, Serialize)]
pub struct Change {
    /// The body of `updateClient`.
    pub body: String,
    pub if_match: Option<String>,
    /// Whether the operator may give the client scopes of `clients:`.
    pub may_give_clients: bool,
}

/// The answer for a live token: what limits it beyond its own claims.
#[derive(Debug, Serialize)]
pub struct Standing {
    /// The clock that it was judged by, Unix seconds.
    pub now: u64,
    /// The client's current scopes.
    pub scopes: Scopes,
    /// When the token ends early, if it has been retired. Always later than `now`.
    pub end: Option<u64>,
}

/// A client, as shown to operators.
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
    /// Whether the request can change what the replica shows.
    pub const fn changes(&self) -> bool {
        !matches!(self, Self::Issue(_) | Self::Standing(_) | Self::Show | Self::Probe)
    }
}

/// Parses what an object returned: an answer or an error.
pub fn read_answer(json: &str) -> Result<Answer, Error> {
    value::read(json).unwrap_or_else(|| Err(Unavailable::new("CLIENTS", "an object's answer can't be read").into()))
}

/// Defines a method that takes one variant out of an answer.
macro_rules! expected {
    ($name:ident, $variant:ident, $type:ty) => {
        pub fn $name(self) -> Result<$type, Error> {
            match self {
                Self::$variant(answer) => Ok(answer),
                _ => Err(Unavailable::new("CLIENT", "the object's answer is of an unexpected kind").into()),
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
