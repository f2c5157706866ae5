//! POST /clients.

use super::super::body::Members;
use super::super::message::{Asked, Refused, Reply};
use super::super::state::{Bearer, ClientRecord, Reference, Secret};
use super::totp::otpauth_uri;
use crate::jose::b64;
use crate::selftest::people::base32;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use std::time::Instant;

const KNOWN: [&str; 8] =
    ["client_id", "client_name", "scopes", "mechanisms", "max_ttl_seconds", "consistency", "jwks", "region"];
const REGIONS: [&str; 9] = ["wnam", "enam", "sam", "weur", "eeur", "apac", "oc", "afr", "me"];

impl Reference {
    pub fn create_client(&mut self, asked: &Asked, caller: &Bearer) -> Result<Reply, Refused> {
        let body = self.operators_body(asked, &["application/json"])?;
        let is_there = |client: &ClientRecord| body.get("client_id").is_some_and(|id| *id == client.id.as_str());
        if self.on("create-409-before-400") && self.clients.iter().any(is_there) {
            return Err(self.refuse(asked, 409, "conflict", "The client_id is taken; choose another."));
        }
        self.known_members(asked, &body, &KNOWN, "create")?;
        let id = self.new_client_id(asked, &body)?;
        let region = self.text(asked, &body, "region")?;
        let known_region =
            |region: &str| REGIONS.contains(&region) && !(self.on("region-afr-refused") && region == "afr");
        if region.as_deref().is_some_and(|region| !known_region(region)) && !self.on("region-unchecked") {
            return Err(self.fault_in(asked, "region", "must be wnam, enam, sam, weur, eeur, apac, oc, afr or me"));
        }
        let patch = self.client_members(asked, &body, true)?;
        for (member, fault) in [("scopes", "scopes-optional"), ("mechanisms", "mechanisms-optional")] {
            if !body.contains_key(member) && !self.on(fault) {
                return Err(self.fault_in(asked, member, "is missing"));
            }
        }
        self.may_give(asked, caller, &patch, None, "create")?;
        let free = |client: &ClientRecord| client.from_secret && self.on("from-secret-id-free");
        let same = |other: &str| *other == *id || (self.on("client-ids-folded") && other.eq_ignore_ascii_case(&id));
        let taken = self.clients.iter().any(|client| same(&client.id) && !free(client));
        let unseen = self.on("create-races") && self.was_just_touched(&id);
        let once = self.memory.deleted.contains(&id) && !self.on("id-made-anew");
        if (taken && !self.on("create-overwrites") && !unseen) || once {
            return Err(self.refuse(
                asked,
                409,
                "conflict",
                "The client_id is taken, or belonged to a deleted client; choose another.",
            ));
        }
        if taken {
            self.clients.retain(|client| client.id != id);
        }
        let now = self.clock.now();
        let mut client = ClientRecord {
            id: id.clone(),
            secrets: Vec::new(),
            totp: Vec::new(),
            mechanisms: vec!["secret".to_owned()],
            kid: String::new(),
            alg: "EdDSA",
            public: Vec::new(),
            jwks: Value::Null,
            name: None,
            region: region.filter(|_| !self.on("region-forgotten")),
            immediate: self.on("immediate-by-default"),
            scopes: vec!["jobs:submit".to_owned()],
            max_ttl: self.on("default-ttl-30-days").then_some(2_592_000),
            suspended: self.on("created-suspended"),
            valid_from: if self.on("valid-from-epoch") { 0 } else { now },
            created: now,
            updated: now,
            revision: 0,
            from_secret: false,
        };
        self.apply(asked, patch, &mut client)?;
        if self.on("client-name-trimmed") {
            client.name = client.name.map(|name| name.trim().to_owned());
        }
        let mut told = json!({});
        if client.may_use("secret") || self.on("secret-made-for-all") {
            let secret = self.new_secret();
            told["client_secret"] = secret.text.clone().into();
            client.secrets.push(secret);
            if self.on("created-secret-other") {
                told["client_secret"] = self.new_secret().text.into();
            }
        }
        if client.may_use("otp") && !self.on("created-without-seed") {
            client.totp = random::<20>().to_vec();
            told["totp_secret"] = base32(&client.totp).into();
            told["otpauth_uri"] = otpauth_uri(self, &client).into();
            if self.on("created-seed-other") {
                client.totp = random::<20>().to_vec();
            }
        }
        let mut reply = self.client_reply(if self.on("create-200") { 200 } else { 201 }, &client);
        if let (Some(members), Value::Object(told)) = (reply.body.as_object_mut(), told) {
            members.extend(told);
        }
        self.memory.first_valid_from.insert(client.id.clone(), client.valid_from);
        self.memory.touched.insert(client.id.clone(), Instant::now());
        self.clients.push(client);
        Ok(reply)
    }

    fn new_client_id(&self, asked: &Asked, body: &Members) -> Result<String, Refused> {
        let Some(id) = self.text(asked, body, "client_id")? else {
            return Ok(if self.on("made-up-id-odd") {
                "a client".to_owned()
            } else {
                format!("c2m_{}", b64(random::<9>()))
            });
        };
        let most = if self.on("client-id-64") { 64 } else { 128 };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        let long = id.len() > most && !self.on("client-id-any-length");
        let checked = if self.on("client-id-line-end-ok") { id.trim_end_matches('\n') } else { &id };
        let odd = !checked.bytes().all(fits) && !self.on("client-id-any-letter");
        let empty = id.is_empty() && !self.on("client-id-empty-ok");
        let dots = [".", ".."].contains(&id.as_str()) && !self.on("client-id-dots-ok");
        let tilde = id.contains('~') && self.on("client-id-no-tilde");
        if long || odd || empty || dots || tilde {
            return Err(self.fault_in(asked, "client_id", "must be 1 to 128 letters, digits, '-', '_', '.' or '~'"));
        }
        Ok(id)
    }

    pub fn new_secret(&self) -> Secret {
        Secret {
            id: format!("sec_{}", b64(random::<9>())),
            text: b64(random::<32>()),
            created: self.clock.now(),
            expires: None,
            shown_only: false,
        }
    }
}

pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let _ = SystemRandom::new().fill(&mut bytes);
    bytes
}
