//! Fuzz targets for the parsers of stored values, of requests to objects and their answers, and of the bodies that an
//! object parses again.

use std::collections::BTreeSet;

use ::fuzz::bolero::produce;
use ::fuzz::{check, texts};
use serde::Serialize;

use super::ask::{Ask, Envelope, read_answer};
use super::change::{Credentials, Draft, Patch, etag, if_match};
use super::codes::Codes;
use super::ends::EarlyEnd;
use super::publication::State;
use super::replica::{MOST_ENDS, Replica};
use super::{Client, Consistency, Mechanism, Operator, Status, is_client_id};
use crate::error::{Error, TokenFault, Unavailable};
use crate::feed::{self, Ends};
use crate::host::Page;
use crate::json;
use crate::rows;
use crate::scope::Scopes;
use crate::token::Presented;
use crate::token_id::{self, Kind};
use crate::value::{self, Read};

const RECORD: &str = r#"{"version":1,"client_id":"c2m_abc123","client_name":"Jobs","status":"active","scopes":["jobs:*","templates:read"],"mechanisms":["secret","rotation","assertion"],"max_ttl_seconds":7776000,"consistency":"eventual","region":"weur","tokens_valid_from":100,"secrets":[{"secret_id":"s1","salt":"AQEBAQEBAQEBAQEBAQEBAQ","sha256":"mOOM2_5d1JaMUKF7hr7qDNsBjynQgPBn9CtQz6LWEVY","created_at":100,"expires_at":200}],"totp":"t.x.y","jwks":{"keys":[{"kid":"k","alg":"EdDSA","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]},"created_at":100,"updated_at":100,"revision":3}"#;
const TOKEN: &str = r#"{"kind":"Short","id":"tok_st_1","client_id":"c","scopes":["jobs:*"],"issued_at":1,"auth_time":2,"expires_at":3,"parent":"tok_lt_1","audience":"a","consistency":"eventual"}"#;

/// Checks that a parsed value serializes to text that parses to the same value, and that one more member is refused.
fn check_read<T: Read + Serialize>(text: &str) -> Option<T> {
    let read = value::read::<T>(text)?;
    let written = serde_json::to_string(&read).expect("it serializes");
    let again = value::read::<T>(&written).expect("serialized text parses");
    assert_eq!(serde_json::to_string(&again).expect("it serializes"), written);
    if let Some(rest) = written.strip_prefix('{') {
        let comma = if rest == "}" { "" } else { "," };
        assert!(
            value::read::<T>(&format!("{{\"\u{1}\":0{comma}{rest}")).is_none(),
            "an unknown member was accepted: {written}"
        );
    }
    Some(read)
}

/// A client's record, as stored and as shown to operators.
#[test]
fn records() {
    check!(texts(&[RECORD]), |text| {
        let text = text.lossy();
        let Some(client) = check_read::<Client>(&text) else { return assert!(Client::parse(&text).is_err()) };
        assert_eq!(Client::parse(&text).is_ok(), client.version == 1);
        let shown = client.show(150, &Credentials::default());
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("a shown client is JSON");
        for hidden in ["salt", "sha256", "totp", "revision", "version"] {
            assert!(shown.get(hidden).is_none() && shown["secrets"][0].get(hidden).is_none(), "{hidden}");
        }
        assert_eq!(shown["has_totp"], client.totp.is_some());
        assert!(Client::parse(&serde_json::to_string(&client.tombstone(1)).unwrap()).is_ok());
    });
}

/// The other rows of a client's object and of the feed, and table.js's row format.
#[test]
fn stored_rows() {
    let seeds = [
        r#"{"clock":5,"granted":0,"change":2,"shown":1,"switched":0,"last_end":1,"last_reported":0,"last_client_end":0,"report_due":7,"narrowed":0,"unconfirmed":["\"e\""],"next_end":0,"digest":"d","due":10005,"failures":0,"again":[1,2],"wipe":0}"#,
        r#"{"last_step":7,"wrong":[6],"wrong_of_the_day":[6,7],"locked_until":0}"#,
        r#"{"key":"token:AAAAAAAAAAAAAAAAAAAAAA","at":1,"keep":3600,"number":2}"#,
        r#"{"key":"token:AAAAAAAAAAAAAAAAAAAAAA","at":1,"seq":9,"number":2,"until":5}"#,
        r#"{"seq":3,"dropped":2}"#,
        "1800000000 3 4",
        r#"[["end:tok_lt_1","0 1 2",253402300799],["client","{}",1]]"#,
    ];
    check!(texts(&seeds), |text| {
        let text = text.lossy();
        check_read::<State>(&text);
        check_read::<Codes>(&text);
        check_read::<feed::End>(&text);
        check_read::<feed::Entry>(&text);
        check_read::<feed::object::State>(&text);
        if let Ok(end) = EarlyEnd::parse("end:x", &text) {
            assert_eq!(EarlyEnd::parse("end:x", &end.to_string()).ok(), Some(end));
            assert_eq!(end.to_string(), text, "one end, one row");
        }
        if let Ok(rows) = rows::parse(&text) {
            let rows: Vec<_> = rows.into_iter().map(|(key, row)| (key, row.value, row.expires_at)).collect();
            let again = rows::parse(&serde_json::to_string(&rows).unwrap()).expect("serialized text parses");
            assert_eq!(again.len(), rows.len());
        }
    });
}

fn token(nth: u8, auth_time: u64) -> Presented {
    Presented {
        kind: Kind::Long,
        id: id(nth),
        client_id: "c".to_owned(),
        scopes: Scopes::parse_claim("jobs:*").unwrap(),
        issued_at: auth_time,
        auth_time,
        expires_at: 9_000,
        parent: None,
        audience: None,
        consistency: Consistency::Eventual,
    }
}

fn id(nth: u8) -> String {
    format!("tok_lt_{nth:022}{nth:022}")
}

/// Any KV value: a parsed replica refuses every token that it lists as ended or that its client's state forbids, and
/// still does after a round trip.
#[test]
fn parsed_replicas() {
    let seeds = [
        r#"{"version":1,"status":"active","tokens_valid_from":100,"scopes":["jobs:*"],"consistency":"eventual","ends":"0000000000000000000001=0,0000000000000000000002=500","is_full":false}"#,
        r#"{"version":1,"status":"suspended","tokens_valid_from":100,"scopes":["jobs:*"],"consistency":"immediate","ends":"","is_full":true}"#,
    ];
    check!((texts(&seeds), produce::<(u8, u16)>()), |(text, (auth_time, now))| {
        let text = text.lossy();
        let Some(replica) = Replica::parse(&text) else { return };
        check_read::<Replica>(&text);
        let again = Replica::parse(&replica.to_json()).expect("serialized text parses");
        let plain: serde_json::Value = serde_json::from_str(&text).expect("serde_json reads it");
        for nth in 0..3 {
            let token = token(nth, u64::from(*auth_time));
            let now = u64::from(*now);
            let said = |replica: &Replica| {
                replica.standing(&token, now).map(|standing| standing.map(|standing| (standing.scopes, standing.end)))
            };
            let standing = said(&replica);
            assert_eq!(said(&again), standing);
            let counts = plain["status"] == "active" && token.auth_time >= plain["tokens_valid_from"].as_u64().unwrap();
            match standing {
                None => assert!(plain["consistency"] == "immediate" || counts),
                Some(Err(TokenFault::ClientEnded)) => assert!(!counts),
                Some(Err(fault)) => assert_eq!(fault, TokenFault::Revoked),
                Some(Ok((_, end))) => {
                    assert!(counts && plain["is_full"] == false && plain["consistency"] == "eventual");
                    assert!(end.is_none_or(|end| end > now), "a token whose end has come was accepted");
                    let listed = format!("{}=0", token_id::key(&token.id));
                    assert!(plain["ends"].as_str().unwrap().split(',').all(|entry| entry != listed || end.is_some()));
                }
            }
        }
    });
}

/// Any set of early ends: a replica judges each token as the object would, and stays small.
#[test]
fn serialized_replicas() {
    check!((produce::<Vec<(u8, u16)>>(), produce::<(u8, u16, bool)>()), |(ends, (nth, now, is_suspended))| {
        let ends: std::collections::BTreeMap<u8, u64> = ends.iter().map(|(nth, at)| (*nth, u64::from(*at))).collect();
        let ids: Vec<_> = ends.iter().map(|(nth, at)| (id(*nth), *at)).collect();
        let mut client = Client::new("c", Scopes::parse_claim("jobs:*").unwrap(), 100);
        if *is_suspended {
            client.status = Status::Suspended;
        }
        let replica = Replica::new(&client, ids.iter().map(|(id, at)| (id.as_str(), *at)));
        let json = replica.to_json();
        assert!(json.len() < 32_000 && replica.is_full() == (ends.len() > MOST_ENDS));
        let now = u64::from(*now);
        let said = Replica::parse(&json).unwrap().standing(&token(*nth, 100), now);
        match (said, ends.get(nth)) {
            (None, _) => assert!(ends.len() > MOST_ENDS && !is_suspended),
            (Some(Err(TokenFault::ClientEnded)), _) => assert!(*is_suspended),
            (Some(Err(_)), at) => assert!(at.is_some_and(|at| *at <= now)),
            (Some(Ok(standing)), at) => {
                assert_eq!(standing.end, at.copied());
                assert!(standing.end.is_none_or(|at| at > now));
            }
        }
    });
}

/// Requests to objects, and their answers: any answer makes a valid response.
#[test]
fn requests_and_answers_of_objects() {
    let ask = |ask: &str| format!(r#"{{"client_id":"c","ask":{ask}}}"#);
    let seeds = [
        ask(r#"{"Issue":{"credential":{"Secret":"s"},"origin":"https://a","scopes":["jobs:*"],"ttl":3600}}"#),
        ask(&format!(r#"{{"Rotate":{{"bearer":{TOKEN},"parent":{{"kind":"Long","expires_at":5,"text":"tok_lt_1"}},"client_id":"c","scopes":null,"ttl":1}}}}"#)),
        ask(&format!(r#"{{"Standing":{TOKEN}}}"#)),
        ask(&format!(r#"{{"Revoke":{{"caller":{TOKEN},"target":null}}}}"#)),
        ask(r#"{"Create":{"client_id":"c","body":"{}","region":"weur"}}"#),
        ask(r#"{"Change":{"body":"{}","if_match":"*","may_give_clients":true}}"#),
        ask(r#"{"EndSecret":{"secret_id":"sec_1","delay":5}}"#),
        ask(r#""Show""#),
        r#"{"Ok":{"Granted":{"now":1,"auth_time":1,"scopes":["jobs:*"],"ttl":5,"consistency":"immediate"}}}"#.to_owned(),
        r#"{"Ok":{"Standing":{"now":1,"scopes":["jobs:*"],"end":null}}}"#.to_owned(),
        r#"{"Ok":"Done"}"#.to_owned(),
        r#"{"Err":{"InsufficientScope":{"needed":"jobs:x","by":"Bearer"}}}"#.to_owned(),
        r#"{"Err":{"InvalidRequest":{"field":"scopes","message":"m"}}}"#.to_owned(),
        r#"{"Err":{"UnauthorizedClient":{"Mechanism":"otp"}}}"#.to_owned(),
        r#"{"Err":{"InvalidToken":"Revoked"}}"#.to_owned(),
        r#"{"Report":[{"key":"token:A","at":1,"keep":2,"number":3}]}"#.to_owned(),
        r#"{"Ends":{"since":null}}"#.to_owned(),
        r#"{"Ok":{"seq":1,"dropped":0,"since":null,"entries":[{"key":"token:A","at":1,"seq":1,"number":1,"until":5}]}}"#.to_owned(),
        r#"{"clients":[{"client_id":"c","status":"active"}],"cursor":"x"}"#.to_owned(),
    ];
    let seeds: Vec<&str> = seeds.iter().map(String::as_str).collect();
    check!(texts(&seeds), |text| {
        let text = text.lossy();
        if let Some(question) = check_read::<Envelope<String, Ask>>(&text) {
            let ask = serde_json::to_string(&question.ask).unwrap();
            assert!(value::read::<Ask>(&ask).is_some());
        }
        check_read::<feed::Ask>(&text);
        let ends: Option<Result<Ends, Unavailable>> = value::read(&text);
        if let Some(ends) = ends {
            assert_eq!(value::read(&serde_json::to_string(&ends).unwrap()), Some(ends));
        }
        check_read_page(&text);
        match read_answer(&text) {
            Ok(answer) => {
                let written = serde_json::to_string(&Ok::<_, Error>(answer)).unwrap();
                let again = read_answer(&written).expect("serialized text parses");
                assert_eq!(serde_json::to_string(&Ok::<_, Error>(again)).unwrap(), written);
            }
            Err(error) => {
                let response = error.respond();
                assert!(response.status >= 400 && response.body.is_some());
                let written = serde_json::to_string(&Err::<(), _>(&error)).expect("an object's error serializes");
                assert_eq!(read_answer(&written).expect_err("an error stays an error"), error);
            }
        }
    });
}

fn check_read_page(text: &str) {
    let Some(Page { clients, cursor }) = value::read::<Page>(text) else { return };
    let again: Page = value::read(&serde_json::json!({"clients": clients, "cursor": cursor}).to_string()).unwrap();
    assert_eq!((again.clients.len(), again.cursor), (clients.len(), cursor));
}

/// Bodies of `createClient` and `updateClient`: the resulting client can be stored and shown, and the same patch again
/// changes nothing.
#[test]
fn changes() {
    let seeds = [
        r#"{"client_id":"c2m_1","client_name":"Jobs","scopes":["jobs:*"],"mechanisms":["secret","otp","rotation"],"max_ttl_seconds":3600,"consistency":"immediate","region":"weur"}"#,
        r#"{"client_name":null,"status":"suspended","jwks":null,"scopes":["clients:read"]}"#,
        r#"{"scopes":["jobs:*"],"mechanisms":["assertion"],"jwks":{"keys":[{"kid":"k","alg":"EdDSA","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}}"#,
        r#"{"status":"active","mechanisms":["rotation"]}"#,
    ];
    let before = Client::parse(RECORD).unwrap();
    check!((texts(&seeds), produce::<bool>()), |(text, may_give_clients)| {
        let Ok(members) = json::object(text) else { return };
        if let Ok(draft) = Draft::parse(members.clone(), "made-up".to_owned(), Consistency::Eventual) {
            assert!(is_client_id(&draft.client_id));
            let scopes = draft.patch.scopes.clone().expect("a draft has scopes");
            let consistency = draft.patch.consistency;
            if let Ok(client) = draft.patch.apply(&Client::new(&draft.client_id, scopes.clone(), 100), true) {
                check_client(&client);
                assert_eq!((&client.scopes, Some(client.consistency)), (&scopes, consistency));
            }
        }
        let patch = || Patch::parse(members.clone());
        let Ok(parsed) = patch() else { return };
        assert_eq!(patch().as_ref(), Ok(&parsed));
        let given = parsed.scopes.clone();
        let Ok(changed) = parsed.apply(&before, *may_give_clients) else { return };
        check_client(&changed);
        assert_eq!(
            patch().unwrap().apply(&changed, *may_give_clients).as_ref(),
            Ok(&changed),
            "a repeat changes nothing"
        );
        assert!(*may_give_clients || given.is_none_or(|given| given.iter().all(|scope| !scope.is_of("clients"))));
        assert_eq!(
            (&changed.client_id, &changed.secrets, changed.revision),
            (&before.client_id, &before.secrets, before.revision)
        );
    });
}

fn check_client(client: &Client) {
    let stored = serde_json::to_string(client).unwrap();
    assert_eq!(Client::parse(&stored).as_ref(), Ok(client));
    assert!(
        client
            .client_name
            .as_ref()
            .is_none_or(|name| (1..=128).contains(&name.chars().count()) && !name.contains(char::is_control))
    );
    assert!(!client.mechanisms.is_empty() && client.mechanisms != [Mechanism::Rotation]);
    assert_eq!(
        client.mechanisms.iter().map(|mechanism| mechanism.name()).collect::<BTreeSet<_>>().len(),
        client.mechanisms.len()
    );
    assert!(!client.allows(Mechanism::Assertion) || client.jwks.is_some());
    let shown = client.show(0, &Credentials::default());
    let tag = etag(&shown, client.revision);
    assert!(if_match(&tag, &tag) && tag != etag(&shown, client.revision + 1) && tag.is_ascii());
    // The operator's record shares these members.
    let operator = Operator {
        client_id: client.client_id.clone(),
        created_at: 1,
        scopes: client.scopes.clone(),
        mechanisms: client.mechanisms.clone(),
        secrets: client.secrets.clone(),
        jwks: client.jwks.clone(),
    };
    assert_eq!(value::read(&serde_json::to_string(&operator).unwrap()), Some(operator));
}
