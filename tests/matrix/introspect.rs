//! `introspectToken`: whether a short-term token is live, for callers with `tokens:introspect`.

use auth_edge::scope::Scopes;
use serde_json::{Value, json};

use crate::host::Part::{self, Object, Verify};
use crate::service::{
    ALICE, AUDIENCE, BOB, DAY, ISSUER, NOW, Request, Service, Token, bob_by_secret, post, revocation,
};

const INTROSPECT: &str = "/v1/auth/tokens/introspect";

/// Bob's API introspects the tokens that Alice's jobs send it.
struct Api {
    service: Service,
    caller: Token,
    long: Token,
    short: Token,
}

impl Api {
    fn new() -> Self {
        let service = Service::new();
        service.change(BOB, |record| record.scopes = Scopes::parse_claim("tokens:introspect jobs:read").unwrap());
        let caller = service.send(&bob_by_secret().scopes("tokens:introspect")).token();
        let long = service.long_token("jobs:submit tokens:revoke");
        let short = service.short_token(&long);
        service.world.forget_calls();
        Self { service, caller, long, short }
    }

    fn ask(&self, token: &str) -> Value {
        self.service.send(&by(&self.caller, &format!("token={token}"))).body
    }

    #[track_caller]
    fn is_inactive(&self, token: &str) {
        // RFC 7662, section 2.2: the response reveals nothing else about the token.
        assert_eq!(self.ask(token), json!({"active": false}));
    }
}

fn by(caller: &Token, form: &str) -> Request {
    post(INTROSPECT).bearer(&caller.token).form(form)
}

#[test]
fn all_of_an_active_token() {
    let api = Api::new();
    api.service.pass(60);
    let answer = api.service.send(&by(&api.caller, &format!("token={}&token_type_hint=access_token", api.short.token)));
    let expected = json!({
        "active": true, "token_type": "Bearer", "iss": ISSUER, "aud": AUDIENCE, "sub": ALICE, "client_id": ALICE,
        "scope": "jobs:submit tokens:revoke", "jti": api.short.id, "iat": NOW, "exp": NOW + 900,
    });
    assert_eq!((answer.status, answer.body), (200, expected));
    let audit = serde_json::to_value(&answer.audit).unwrap();
    let expected = json!({"event": "introspectToken", "outcome": "introspected", "status": 200, "client_id": BOB,
                          "token_id": api.short.id, "by": api.caller.id});
    assert_eq!(audit, expected);
    assert_eq!(api.service.world.parts_called(), [Object, Object, Verify]);
}

#[test]
fn a_token_that_is_not_live_is_inactive_and_nothing_else_is_said() {
    type Change = fn(&Api);
    let changes: [(&str, Change); 6] = [
        ("its end", |api| api.service.pass(900)),
        ("revoked", |api| drop(api.service.send(&revocation(&api.short, &api.short.id)))),
        ("parent revoked", |api| drop(api.service.send(&revocation(&api.long, &api.long.id)))),
        ("suspended", |api| api.service.suspend(ALICE)),
        ("kill switch", |api| api.service.change(ALICE, |record| record.tokens_valid_from = NOW + 1)),
        ("no such client", |api| api.service.erase(ALICE)),
    ];
    for (name, change) in changes {
        let api = Api::new();
        assert_eq!(api.ask(&api.short.token)["active"], true, "{name}");
        change(&api);
        api.is_inactive(&api.short.token);
    }
    let api = Api::new();
    let forged = &api.short.token[..api.short.token.len() - 4];
    // Long-term tokens are always inactive, even the caller's own.
    for token in ["x", "a.b.c", "%00", forged, &api.long.token, &api.caller.token] {
        api.is_inactive(token);
    }
}

#[test]
fn who_may_not_ask() {
    let api = Api::new();
    let form = format!("token={}", api.short.token);
    let send = |request: Request| api.service.send(&request);
    for bearer in ["x", "a.b.c", &api.long.token[1..]] {
        send(by(&Token { token: bearer.to_owned(), id: String::new() }, &form)).is(401, "invalid_token");
    }
    send(post(INTROSPECT).form(&form)).is(401, "invalid_token");
    // The scope is checked before the form.
    for scopes in ["jobs:read", "tokens:introspect"] {
        let caller = send(bob_by_secret().scopes(scopes)).token();
        for form in [form.as_str(), "", "token="] {
            let answer = send(by(&caller, form));
            match (scopes, form.len()) {
                ("jobs:read", _) => drop(answer.is(401, "insufficient_scope").names("tokens:introspect")),
                (_, 0..=6) => drop(answer.is(400, "invalid_request").names("token")),
                _ => assert_eq!(answer.status, 200),
            }
        }
    }
    // A short-term token may ask as well.
    let short = api.service.short_token(&api.caller);
    assert_eq!(send(by(&short, &form)).body["active"], true);
    // A caller whose token is no longer live is refused, whatever its form.
    send(revocation(&api.caller, &api.caller.id)).is(204, "");
    for caller in [&api.caller, &short] {
        send(by(caller, &form)).is(401, "invalid_token");
        send(by(caller, "")).is(401, "invalid_token");
    }
}

#[test]
fn forms() {
    let api = Api::new();
    let send = |request: Request| api.service.send(&request);
    let token = &api.short.token;
    for form in ["", "token", "token=", "Token=x", "tokens=x", &format!("token={token}&token={token}")] {
        send(by(&api.caller, form)).is(400, "invalid_request").names("token");
    }
    send(by(&api.caller, "").set("token", token.as_str())).is(400, "invalid_request").names("Content-Type");
    // A token in the header is the caller's own, not the one to introspect.
    send(post(INTROSPECT).bearer(token)).is(401, "insufficient_scope");
    let mut broken = by(&api.caller, &format!("token={token}"));
    broken.broken = true;
    send(broken).is(400, "invalid_request");
    assert_eq!(send(by(&api.caller, &format!("resource=a%26token=b&token={token}"))).body["active"], true);
}

/// If storage does not answer, the response is neither active nor inactive, but 503.
#[test]
fn storage_that_fails() {
    let api = Api::new();
    let request = by(&api.caller, &format!("token={}", api.short.token));
    for nth in 0..3 {
        api.service.world.fail(move |call, _| (call == nth).then_some(crate::host::Fault::Nothing));
        api.service.send(&request).is(503, "temporarily_unavailable");
    }
    api.service.world.recover();
    assert_eq!(api.service.send(&request).body["active"], true);
    assert!(api.service.world.parts_called().iter().all(|part| *part != Part::Store));
}

#[test]
fn a_caller_that_ends_while_its_form_is_held_back() {
    let api = Api::new();
    let request = by(&api.service.short_token(&api.caller), &format!("token={}", api.short.token));
    for (held_back, status) in [(899, 200), (900, 401)] {
        api.service.held_back.set(held_back);
        assert_eq!(api.service.send(&request).status, status, "{held_back}");
    }
    // The introspected token is judged by the same clock.
    let request = by(&api.caller, &format!("token={}", api.short.token));
    assert_eq!(api.service.send(&request).body, json!({"active": false}));
    api.service.pass(DAY);
    api.service.held_back.set(0);
    api.is_inactive(&api.short.token);
}
