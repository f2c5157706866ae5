//! One case under way: whom it may speak for, what it sends, and what every answer goes through.
//!
//! What it needs besides is in the files of this folder, each on top of those before it: tokens (`mint`), requests
//! (`forge`, `draft`), one-time codes (`codes`), what the deployment publishes (`published`), clients for one case
//! (`guests`), judging (`judge`), and following the feed of ends (`feed`).

pub mod codes;
pub mod draft;
pub mod feed;
pub mod forge;
pub mod guests;
pub mod judge;
pub mod mint;
pub mod published;

use crate::ask::Want;
use crate::http::{Answer, Broken, Request};
use crate::identities::{self, Credential, Role};
use crate::jose::PrivateKey;
use crate::result;
use crate::run::Run;
use crate::stop::Stop;
use std::cell::{Cell, RefCell};

pub struct Trial<'a> {
    pub run: &'a Run,
    /// The case's id.
    pub id: &'static str,
    /// What its row expects of the judged answer.
    pub due: Want,
    pub exchanges: RefCell<Vec<result::Exchange>>,
    /// The request that a reader should repeat: the last one, unless a step said otherwise.
    pub judged: RefCell<Option<Request>>,
    /// A standing promise broken by an answer of this case, whose own row is not part of the run.
    charged: RefCell<Option<Stop>>,
    /// Set while a step asks for a 429.
    pub expects_429: Cell<bool>,
}

impl<'a> Trial<'a> {
    pub fn new(run: &'a Run, id: &'static str, due: Want) -> Self {
        Self {
            run,
            id,
            due,
            exchanges: RefCell::default(),
            judged: RefCell::default(),
            charged: RefCell::default(),
            expects_429: Cell::new(false),
        }
    }

    /// What the case must answer for besides its own promise.
    pub fn charged(&self) -> Result<(), Stop> {
        self.charged.borrow_mut().take().map_or(Ok(()), Err)
    }

    // ---- what a request is made of

    pub fn setting(&self, role: Role, credential: Credential) -> Result<String, Stop> {
        let identity = self.run.identities.role(role);
        let value = identity.and_then(|i| match credential {
            Credential::ClientId => i.client_id.clone(),
            Credential::ClientSecret => i.client_secret.clone(),
            Credential::TotpSecret | Credential::AssertionJwk => None,
        });
        value.ok_or_else(|| Stop::Blocked(identities::lacking(role, credential)))
    }

    pub fn key(&self, role: Role) -> Result<&'a PrivateKey, Stop> {
        let key = self.run.identities.role(role).and_then(|i| i.key.as_ref());
        key.ok_or_else(|| Stop::Blocked(identities::lacking(role, Credential::AssertionJwk)))
    }

    pub fn unique(&self) -> String {
        self.run.unique()
    }

    /// Masked from now on.
    pub fn secret(&self, name: &str, value: String) -> String {
        self.run.vault.learn(name, &value);
        value
    }

    // ---- sending

    pub async fn send(&self, request: &Request) -> Result<Answer, Stop> {
        *self.judged.borrow_mut() = Some(request.clone());
        let (outcome, exchange) = self.run.send(request).await?;
        self.exchanges.borrow_mut().push(exchange.clone());
        self.receive(request, outcome, &exchange)
    }

    /// As `send`, but the exchange is the caller's to keep or to drop: for one of very many.
    pub async fn send_one_of_many(&self, request: &Request) -> Result<(Result<Answer, Stop>, result::Exchange), Stop> {
        let (outcome, exchange) = self.run.send(request).await?;
        Ok((self.receive(request, outcome, &exchange), exchange))
    }

    /// What every answer goes through, whoever awaited it.
    fn receive(
        &self,
        request: &Request,
        outcome: Result<Answer, Broken>,
        exchange: &result::Exchange,
    ) -> Result<Answer, Stop> {
        let answer = outcome.map_err(|broken| match broken {
            Broken::Unreachable(why) => Stop::Error(why),
            Broken::Unfinished(why) | Broken::CutShort(why, _) => Stop::fail("a whole answer", why),
            Broken::Unsendable(why) => Stop::Blocked(format!("{why}; it holds what the server gave: see its 201")),
        })?;
        if let Some(stop) = self.run.observe(self.id, request, &answer, exchange) {
            self.charged.borrow_mut().get_or_insert(stop);
        }
        if answer.status == 429 && !self.expects_429.get() {
            let again = answer.header("retry-after").unwrap_or("some");
            return Err(Stop::Blocked(format!(
                "answered 429 though nothing was rushed: run again after {again} seconds, or raise the deployment's limit"
            )));
        }
        Ok(answer)
    }

    /// The same request many times at once.
    pub async fn send_at_once(&self, request: &Request, times: usize) -> Result<Vec<Answer>, Stop> {
        let all = futures_util::future::join_all((0..times).map(|_| self.send(request))).await;
        all.into_iter().collect()
    }

    /// Every poll would drown the others in the report: the first ones and the last stay.
    pub fn thin_out(&self) {
        let mut exchanges = self.exchanges.borrow_mut();
        if exchanges.len() > 12 {
            exchanges.remove(10);
        }
    }
}
