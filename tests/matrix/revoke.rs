//! `revokeToken`: by id, by every permitted caller, and repeatedly.

use serde_json::json;

use crate::host::Part;
use crate::service::{ALICE, DAY, NOW, Service, Token, bob_by_secret, by_secret, exchange, post, revocation, rotation};

#[test]
fn a_token_may_always_revoke_itself() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    let (short, other) = (service.short_token(&long), service.short_token(&long));
    let answer = service.send(&revocation(&short, &short.id));
    answer.is(204, "");
    let audit = serde_json::to_value(&answer.audit).unwrap();
    let expected = json!({"event": "revokeToken", "outcome": "revoked", "status": 204, "client_id": ALICE,
                          "token_id": short.id, "by": short.id});
    assert_eq!(audit, expected);
    // It has revoked only itself.
    assert!(service.is_alive(&long));
    service.send(&revocation(&other, &other.id)).is(204, "");
    service.send(&revocation(&long, &long.id)).is(204, "");
    assert!(!service.is_alive(&long));
}

#[test]
fn a_revocation_may_be_repeated_by_the_revoked_token() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    let short = service.short_token(&long);
    for token in [&short, &long] {
        for _ in 0..3 {
            service.send(&revocation(token, &token.id)).is(204, "");
        }
    }
    // A revoked token can do nothing else.
    service.send(&revocation(&long, &short.id)).is(401, "invalid_token");
    service.send(&revocation(&long, "tok_lt_x")).is(401, "invalid_token");
    service.send(&exchange(&long)).is(401, "invalid_token");
    service.suspend(ALICE);
    service.send(&revocation(&long, &long.id)).is(401, "invalid_token");
}

#[test]
fn another_token_needs_the_scope() {
    let service = Service::new();
    let target = service.long_token("jobs:submit");
    for (scopes, status) in
        [("jobs:*", 401), ("tokens:write", 401), ("tokens:revoke", 204), ("tokens:revoke jobs:a", 204)]
    {
        let long = service.long_token(scopes);
        for caller in [&long, &service.short_token(&long)] {
            let answer = service.send(&revocation(caller, &target.id));
            assert_eq!(answer.status, status, "{scopes}");
            if status == 401 {
                answer.is(401, "insufficient_scope").names("tokens:revoke");
                assert!(service.is_alive(&target));
            }
        }
    }
    assert!(!service.is_alive(&target));
    service.change(ALICE, |record| record.scopes = auth_edge::scope::Scopes::parse_claim("tokens:*").unwrap());
    let wild = service.long_token("tokens:*");
    service.send(&revocation(&wild, &target.id)).is(204, "");
}

#[test]
fn a_short_term_token_may_revoke_its_own_parent_only_with_the_scope() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    service.send(&revocation(&service.short_token(&long), &long.id)).is(401, "insufficient_scope");
    assert!(service.is_alive(&long));
}

#[test]
fn revoking_a_long_term_token_ends_its_short_term_tokens() {
    let service = Service::new();
    let long = service.long_token("tokens:revoke tokens:write");
    let (short, sibling) = (service.short_token(&long), service.long_token("jobs:submit"));
    let apart = service.short_token(&sibling);
    service.send(&revocation(&long, &long.id)).is(204, "");
    service.send(&revocation(&short, &sibling.id)).is(401, "invalid_token");
    service.send(&rotation(&short)).is(401, "invalid_token");
    service.send(&revocation(&apart, &apart.id)).is(204, "");
    assert!(service.is_alive(&sibling));
}

#[test]
fn an_id_that_is_not_the_callers_is_not_found() {
    let service = Service::new();
    let caller = service.long_token("tokens:revoke");
    let weak = service.long_token("jobs:submit");
    let bobs = service.send(&bob_by_secret()).token();
    let own = service.long_token("jobs:submit").id;
    let mut forged = own.clone();
    forged.replace_range(20..21, if &own[20..21] == "A" { "B" } else { "A" });
    let ids = [
        bobs.id.clone(),
        service.short_token(&bobs).id,
        forged,
        own.replace("tok_lt_", "tok_st_"),
        own[7..].to_owned(),
        own[..own.len() - 1].to_owned(),
        format!("{own}A"),
        format!("{own}="),
        format!("%20{own}"),
        own.to_uppercase(),
        "x".to_owned(),
        "long".to_owned(),
        "%".to_owned(),
        "%ff".to_owned(),
        "%2F".to_owned(),
        "..".to_owned(),
        "tok_lt_".to_owned(),
        "a".repeat(5000),
    ];
    let answers =
        ids.iter().flat_map(|id| [&caller, &weak].map(|by| service.send(&revocation(by, id)))).collect::<Vec<_>>();
    for answer in &answers {
        answer.is(404, "not_found");
        assert_eq!((&answer.body, &answer.headers), (&answers[0].body, &answers[0].headers));
    }
    assert!(service.is_alive(&bobs));
    // An escape stands for its character.
    service.send(&revocation(&caller, &own.replace('_', "%5F"))).is(204, "");
}

#[test]
fn without_a_valid_token_nothing_is_revoked() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    let path = revocation(&long, &long.id).path;
    let nobody = post(&path);
    for request in [
        nobody.clone(),
        nobody.clone().client(ALICE),
        nobody.clone().authorization("Basic YTpi"),
        nobody.clone().bearer("x"),
        nobody.bearer(&format!("{}x", long.token)),
    ] {
        service.send(&request).is(401, "invalid_token");
    }
    assert!(service.is_alive(&long));
}

#[test]
fn a_body_is_ignored() {
    let service = Service::new();
    let long = service.long_token("jobs:submit");
    let mut broken = revocation(&long, &long.id).text("{");
    broken.broken = true;
    service.send(&broken).is(204, "");
    service.send(&revocation(&long, &long.id).text(&" ".repeat(20_000))).is(204, "");
    assert!(!service.is_alive(&long));
}

/// An expired token's revocation stores nothing, except within a minute of the expiry: an API's clock may be behind.
#[test]
fn a_token_past_its_end_needs_no_revocation() {
    let service = Service::new();
    let caller = service.long_token("tokens:revoke");
    let [just_ended, target] = [(); 2].map(|()| service.send(&by_secret().set("ttl_seconds", 3600)).token());
    let is_stored = |target: &Token| {
        service.world.forget_calls();
        service.send(&revocation(&caller, &target.id)).is(204, "");
        service.world.calls.borrow().contains(&Part::Store)
    };
    service.pass(3659);
    assert!(is_stored(&just_ended));
    service.pass(1);
    assert!(!is_stored(&target));
    // As the caller's own token, an expired one is refused.
    service.send(&revocation(&target, &target.id)).is(401, "invalid_token");
}

#[test]
fn a_revocation_is_kept_for_as_long_as_the_token() {
    let service = Service::new();
    let kept_until = |id: &str| service.world.state.borrow().rows[&(ALICE.to_owned(), format!("end:{id}"))].expires_at;
    let long = service.long_token("jobs:submit");
    service.send(&revocation(&long, &long.id)).is(204, "");
    // 300 s longer than the token, since another location's clock may be behind.
    assert_eq!(kept_until(&long.id), NOW + 30 * DAY + 300);
    let long = service.send(&by_secret().set("ttl_seconds", 3600)).token();
    service.pass(3599);
    service.send(&revocation(&long, &long.id)).is(204, "");
    assert_eq!(kept_until(&long.id), NOW + 3600 + 300);
    service.pass(31 * DAY);
    service.send(&revocation(&service.long_token("jobs:submit"), "x")).is(404, "not_found");
    let last = service.long_token("jobs:submit");
    service.send(&revocation(&last, &last.id)).is(204, "");
    assert_eq!(service.replica(ALICE)["ends"], json!(format!("{}=0", &last.id[7..29])), "no older end is kept");
}

#[test]
fn a_retired_token_can_be_revoked_at_once() {
    let service = Service::new();
    let long = service.long_token("tokens:write");
    let new = service.send(&rotation(&service.short_token(&long))).token();
    assert!(service.is_alive(&long));
    service.send(&revocation(&long, &long.id)).is(204, "");
    assert!(!service.is_alive(&long));
    assert!(service.is_alive(&new), "the new token is another one");
}
