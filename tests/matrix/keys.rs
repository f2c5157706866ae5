//! No request fails while keys are rotated: announced keys verify already, and replaced ones still do.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::host::World;
use crate::service::{SEED, Service, exchange, key_set, revocation, rotation};
use crate::sign;

const NEW_SEED: [u8; 32] = [31; 32];

fn with(keys: &Value) -> Service {
    Service::with(&[("AUTH_KEYS", keys.to_string())])
}

fn changed(change: impl FnOnce(&mut Vec<Value>)) -> Value {
    let mut set = key_set();
    change(set["keys"].as_array_mut().unwrap());
    set
}

fn new_keys() -> [Value; 4] {
    [
        json!({"kty": "oct", "use": "lt+jwt", "kid": "l3", "alg": "HS256", "k": sign::octets(12)}),
        json!({"kty": "OKP", "crv": "Ed25519", "use": "at+jwt", "kid": "s3", "alg": "EdDSA",
               "x": sign::x(&NEW_SEED), "d": sign::encode(&NEW_SEED)}),
        json!({"kty": "oct", "use": "token-id", "kid": "i2", "alg": "HS256", "k": sign::octets(13)}),
        json!({"kty": "oct", "use": "totp-seal", "kid": "t2", "alg": "XC20P", "k": sign::octets(14)}),
    ]
}

/// The phases of a rotation: before it, with the new keys announced, with the new keys signing, and with the old ones
/// dropped.
fn phases() -> [Service; 4] {
    let before = with(&key_set());
    let announced = with(&changed(|keys| keys.extend(new_keys())));
    let signing = changed(|keys| {
        keys.splice(0..0, new_keys());
    });
    let dropped = json!({"keys": new_keys()});
    let [mut signing, mut dropped] = [with(&signing), with(&dropped)];
    for service in [&mut signing, &mut dropped] {
        let state = service.world.state.take();
        service.world = World::new(Rc::clone(&service.settings), &NEW_SEED);
        service.world.state.replace(state);
    }
    [before, announced, signing, dropped]
}

#[test]
fn each_phase_accepts_tokens_of_the_phases_before_and_after() {
    for (made, at) in [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2)] {
        let phases = phases();
        let long = phases[made].long_token("tokens:write tokens:revoke");
        let short = phases[made].short_token(&long);
        let there = &phases[at];
        there.send(&exchange(&long)).token();
        there.send(&rotation(&short)).token();
        there.send(&revocation(&short, &short.id)).is(204, "");
        there.send(&revocation(&long, &long.id)).is(204, "");
    }
}

#[test]
fn a_dropped_key_is_unknown() {
    let [before, .., dropped] = phases();
    let long = before.long_token("tokens:write");
    let short = before.short_token(&long);
    dropped.send(&exchange(&long)).is(401, "invalid_token");
    dropped.send(&rotation(&short)).is(401, "invalid_token");
    let here = dropped.long_token("tokens:revoke");
    dropped.send(&revocation(&here, &long.id)).is(404, "not_found");
}

#[test]
fn a_seed_sealed_by_an_older_key_can_be_decrypted() {
    let [before, announced, signing, _] = phases();
    for service in [announced, signing] {
        service.register(&before.stored(crate::service::ALICE));
        service.send(&service.code()).token();
    }
}

/// A seed that no key can decrypt is the operator's fault, so the client gets 503, not 401.
#[test]
fn a_seed_that_no_key_decrypts_is_503_and_not_a_wrong_code() {
    let service = Service::new();
    let bobs =
        service.settings.keys.seal(crate::service::BOB, &auth_edge::secret::Secret::new(SEED.as_slice()), [1; 24]);
    service.change(crate::service::ALICE, |record| record.totp = bobs);
    service.send(&service.code()).is(503, "temporarily_unavailable");
}
