//! Random requests: each is answered as the matrix says, never with a 5xx, and none gets a token without a valid
//! credential. `service` checks every response.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::service::{ALICE, LONG, Request, SECRET, SHORT, Service, Token, post};

thread_local! {
    static SERVICE: (Service, Token, Token) = {
        let service = Service::new();
        let long = service.long_token("tokens:write tokens:revoke jobs:*");
        let short = service.short_token(&long);
        (service, long, short)
    };
}

fn header() -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop_oneof![
        "\\PC{0,40}",
        "(Bearer|bearer|Basic) \\PC{0,60}",
        "Bearer [A-Za-z0-9_-]{1,40}\\.[A-Za-z0-9_-]{1,40}\\.[A-Za-z0-9_-]{0,90}",
        any::<(bool, usize, char)>().prop_map(|(is_long, at, to)| {
            SERVICE.with(|(_, long, short)| {
                let token = if is_long { &long.token } else { &short.token };
                let at = at % token.len();
                format!("Bearer {}{to}{}", &token[..at], &token[at..])
            })
        }),
    ])
}

/// Values for a request. Few are valid, and none is a valid credential.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        Just(json!("client_credentials")),
        Just(json!("assertion")),
        Just(json!("urn:ietf:params:oauth:grant-type:jwt-bearer")),
        Just(json!(ALICE)),
        Just(json!(3600)),
        "[a-z]{1,5}:[a-z*]{1,5}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map("\\PC{0,8}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec![
        "grant_type",
        "client_id",
        "client_secret",
        "otp_code",
        "assertion",
        "assertion_type",
        "scopes",
        "ttl_seconds",
        "long_token",
        "other",
    ]);
    let sound = json!({"grant_type": "client_credentials", "client_id": ALICE});
    let object = prop::collection::vec((name, value()), 0..5).prop_map(move |members| {
        let mut body = sound.clone();
        for (name, value) in members {
            body[name] = value;
        }
        body.to_string().into_bytes()
    });
    prop_oneof![
        3 => object,
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => "\\PC{0,100}".prop_map(String::into_bytes),
        1 => value().prop_map(|value| value.to_string().into_bytes()),
    ]
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just(LONG.to_owned()),
        2 => Just(SHORT.to_owned()),
        1 => "/v1/auth/tokens/(tok_(lt|st)_)?[A-Za-z0-9_-]{0,60}/revoke",
        1 => "/v1/auth/tokens/\\PC{0,30}/revoke",
        1 => "\\PC{0,40}",
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let client_id = prop::option::of(prop_oneof![Just(ALICE.to_owned()), "\\PC{0,20}"]);
    let content_type = prop::option::of(prop_oneof![Just("application/json".to_owned()), "\\PC{0,20}"]);
    (path(), header(), client_id, content_type, body(), any::<bool>()).prop_map(
        |(path, authorization, client_id, content_type, body, broken)| Request {
            authorization,
            client_id,
            content_type,
            body,
            broken: broken && path.len() % 3 == 0,
            ..post(&path)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_request_breaks_the_service(request in request()) {
        let answer = SERVICE.with(|(service, ..)| service.send(&request));
        prop_assert!((400..=429).contains(&answer.status), "{answer:?}");
    }

    #[test]
    fn no_other_secret_is_right(secret in "\\PC{0,60}") {
        prop_assume!(secret != SECRET && secret != crate::service::OLD_SECRET);
        let request = crate::service::by_secret().set("client_secret", secret);
        let answer = SERVICE.with(|(service, ..)| service.send(&request));
        prop_assert_eq!((answer.status, answer.code()), (401, "invalid_client"));
    }

    #[test]
    fn no_invented_id_is_found(id in "tok_(lt|st)_[A-Za-z0-9_-]{44}|[A-Za-z0-9_.~-]{1,60}", long in any::<bool>()) {
        SERVICE.with(|(service, long_token, short_token)| {
            let by = if long { long_token } else { short_token };
            let answer = service.send(&crate::service::revocation(by, &id));
            prop_assert_eq!((answer.status, answer.code()), (404, "not_found"));
            Ok(())
        })?;
    }

    /// A valid request is accepted with any spaces between its members and with parameters of its media type.
    #[test]
    fn a_valid_request_is_accepted_in_any_notation(spaces in "[ \n\r\t]{0,9}", ttl in 3_600u64..=7_776_000, upper in any::<bool>()) {
        let body = format!(
            r#"{spaces}{{{spaces}"ttl_seconds"{spaces}:{ttl},{spaces}"client_secret":"{SECRET}","client_id":"{ALICE}",{spaces}"grant_type":"client_credentials"}}{spaces}"#
        );
        let mut request = post(LONG).client(ALICE).text(&body);
        request.content_type = Some(if upper { "APPLICATION/JSON;charset=UTF-8" } else { "application/json ; x" }.to_owned());
        let answer = SERVICE.with(|(service, ..)| service.send(&request));
        prop_assert_eq!(answer.status, 201);
        prop_assert_eq!(&answer.body["expires_in"], &json!(ttl));
    }
}
