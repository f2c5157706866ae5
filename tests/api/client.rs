//! The generated Rust client. tests/api/clients.py generates it, and builds this file as its example.
//!
//! It sends `Authorization` twice on /revoke, once for each of the two schemes, and `null` for an omitted body.

use std::env;

use c2m_api::apis::Error;
use c2m_api::apis::auth_api::{issue_long_term_token, issue_short_term_token, revoke_token};
use c2m_api::apis::configuration::{ApiKey, Configuration};
use c2m_api::apis::operators_api::{
    create_client, create_client_secret, create_client_totp, delete_client, end_client_secret, end_client_tokens,
    get_client, list_clients, update_client,
};
use c2m_api::models::long_token_request::GrantType;
use c2m_api::models::{ClientPatch, LongTokenRequest, Mechanism, NewClient, ShortTokenRequest};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let variable = |name| env::var(name).unwrap();
    let client_id = variable("CLIENT_ID");
    let with_token = |token: &str| Configuration {
        base_path: variable("BASE_URL"),
        api_key: Some(ApiKey { prefix: None, key: client_id.clone() }),
        bearer_access_token: Some(token.to_owned()),
        oauth_access_token: Some(token.to_owned()),
        basic_auth: Some((client_id.clone(), None)),
        ..Configuration::new()
    };
    let rotation = LongTokenRequest::new(GrantType::ClientCredentials, client_id.clone());

    let request = LongTokenRequest {
        client_secret: Some(variable("CLIENT_SECRET")),
        scopes: Some(["jobs:submit", "templates:read", "tokens:write"].map(str::to_owned).into()),
        ttl_seconds: Some(7_776_000),
        ..rotation.clone()
    };
    let leftover = with_token("left over from before");
    let long = issue_long_term_token(&leftover, request.clone()).await.unwrap();
    assert_eq!((Some(&long.scopes), long.expires_in), (request.scopes.as_ref(), 7_776_000));

    let by_long = with_token(&long.access_token);
    let mut fewer = ShortTokenRequest::new();
    fewer.scopes = Some(["jobs:submit", "tokens:write"].map(str::to_owned).into());
    let short = issue_short_term_token(&by_long, Some(fewer.clone())).await.unwrap();
    assert_eq!(Some(&short.scopes), fewer.scopes.as_ref());
    assert_eq!(issue_short_term_token(&by_long, None).await.unwrap().scopes, long.scopes);

    let by_short = with_token(&short.access_token);
    assert_eq!(issue_long_term_token(&by_short, rotation).await.unwrap().scopes, short.scopes);

    for _ in 0..2 {
        revoke_token(&by_short, &short.token_id).await.unwrap();
    }
    assert_eq!(refusal(revoke_token(&by_long, "token_id_example").await), (404, "not_found".into()));
    assert_eq!(refusal(issue_short_term_token(&by_short, None).await), (401, "invalid_token".into()));
    let refused = LongTokenRequest { client_secret: Some("supersecret123".to_owned()), ..request };
    assert_eq!(refusal(issue_long_term_token(&leftover, refused).await), (401, "invalid_client".into()));
    operators(&with_token(&variable("OPERATOR_TOKEN"))).await;
    println!("The token operations and the operators' calls of the Rust client work");
}

/// Operators' calls, from a client's creation to its deletion.
async fn operators(operator: &Configuration) {
    let mut new_client = NewClient::new(vec!["jobs:submit".to_owned()], vec![Mechanism::Secret, Mechanism::Otp]);
    new_client.client_name = Some("generated".to_owned());
    let created = create_client(operator, new_client).await.unwrap();
    assert!(created.client_secret.is_some() && created.totp_secret.is_some() && created.otpauth_uri.is_some());
    let client_id = created.client_id.as_str();
    assert_eq!(get_client(operator, client_id).await.unwrap().secrets, created.secrets);

    let patch = ClientPatch { client_name: Some(None), max_ttl_seconds: Some(3_600), ..ClientPatch::new() };
    let changed = update_client(operator, client_id, patch.clone(), Some("*")).await.unwrap();
    assert_eq!((changed.client_name, changed.max_ttl_seconds), (None, 3_600));
    let stale = update_client(operator, client_id, patch, Some("\"another\"")).await;
    assert_eq!(refusal(stale), (412, "precondition_failed".into()));

    let secret_id = create_client_secret(operator, client_id).await.unwrap().secret_id;
    end_client_secret(operator, client_id, &created.secrets[0].secret_id, None).await.unwrap();
    end_client_secret(operator, client_id, &secret_id, Some(60)).await.unwrap();
    let left = get_client(operator, client_id).await.unwrap().secrets;
    assert!(left.len() == 1 && left[0].secret_id == secret_id && left[0].expires_at.is_some());
    assert_ne!(Some(create_client_totp(operator, client_id).await.unwrap().totp_secret), created.totp_secret);
    end_client_tokens(operator, client_id).await.unwrap();
    let listed = list_clients(operator, Some(1000), None).await.unwrap().clients;
    assert!(listed.iter().any(|client| client.client_id == client_id));

    for _ in 0..2 {
        delete_client(operator, client_id, None).await.unwrap();
    }
    assert_eq!(refusal(get_client(operator, client_id).await), (404, "not_found".into()));
}

/// The status and body of a call that must have failed.
fn refusal<T, E>(result: Result<T, Error<E>>) -> (u16, serde_json::Value) {
    let Err(Error::ResponseError(response)) = result else { panic!("no refusal") };
    let body: serde_json::Value = serde_json::from_str(&response.content).unwrap();
    (response.status.as_u16(), body["code"].clone())
}
