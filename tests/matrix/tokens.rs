//! Forged and malformed bearer tokens: every one is 401, at every operation that takes a token.

use auth_edge::token;
use serde_json::{Value, json};

use crate::host::{self, Part};
use crate::service::{ALICE, ISSUER, NOW, SHORT, Service, Token, exchange, key_set, post, revocation, rotation};
use crate::sign::{self, OLD_SEED, SERVICE_SEED, decode, ed25519, encode, hs256, jws};

/// The key of `l2`, which signs long-term tokens.
const LONG_KEY: [u8; 32] = [2; 32];

struct Forge {
    service: Service,
    long: Token,
    short: Token,
}

/// The header and the claims of a token.
fn parts(token: &Token) -> (Value, Value) {
    let mut parts = token.token.split('.').map(|part| serde_json::from_slice(&decode(part)).unwrap_or_default());
    (parts.next().unwrap(), parts.next().unwrap())
}

impl Forge {
    fn new() -> Self {
        let service = Service::new();
        let long = service.long_token("tokens:write tokens:revoke jobs:*");
        let short = service.short_token(&long);
        Self { service, long, short }
    }

    fn long(&self, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let (mut header, mut claims) = parts(&self.long);
        change(&mut header, &mut claims);
        jws(&header.to_string(), &claims.to_string(), |message| hs256(&LONG_KEY, message))
    }

    fn short(&self, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let (mut header, mut claims) = parts(&self.short);
        change(&mut header, &mut claims);
        jws(&header.to_string(), &claims.to_string(), |message| ed25519(&SERVICE_SEED, message))
    }

    /// Whether any operation accepts this token.
    fn is_accepted(&self, token: &str) -> bool {
        let token = Token { token: token.to_owned(), id: String::new() };
        let in_body = post(SHORT).set("long_token", token.token.as_str());
        let requests = [in_body, exchange(&token), rotation(&token), revocation(&token, &self.long.id)];
        let statuses = requests.map(|request| self.service.send(&request).status);
        assert_eq!(statuses[0], statuses[1], "a token in the body is judged as one in the header");
        statuses.iter().any(|status| *status != 401)
    }

    #[track_caller]
    fn refuses(&self, token: &str) {
        assert!(!self.is_accepted(token), "{token}");
    }
}

/// A forged token without a change is accepted, so the tests below are refused only because of their change.
#[test]
fn an_unchanged_token_is_accepted() {
    let forge = Forge::new();
    let long = Token { token: forge.long(|_, _| {}), id: forge.long.id.clone() };
    assert!(forge.service.is_alive(&long));
    let short = Token { token: forge.short(|_, _| {}), id: forge.short.id.clone() };
    forge.service.send(&rotation(&short)).token();
    forge.service.send(&revocation(&long, &forge.short.id)).is(204, "");
}

#[test]
fn neither_kind_passes_for_the_other() {
    let forge = Forge::new();
    forge.service.send(&exchange(&forge.short)).is(401, "invalid_token");
    forge.service.send(&rotation(&forge.long)).is(401, "invalid_token");
    forge.refuses(&forge.long(|header, _| header["typ"] = json!("at+jwt")));
    forge.refuses(&forge.short(|header, _| header["typ"] = json!("lt+jwt")));
    forge.refuses(&forge.long(|header, _| header["alg"] = json!("EdDSA")));
    forge.refuses(&forge.short(|header, _| header["alg"] = json!("HS256")));
    forge.refuses(&forge.long(|header, _| *header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "s2"})));
    forge.refuses(&forge.short(|header, _| *header = json!({"alg": "HS256", "typ": "lt+jwt", "kid": "l2"})));
    for typ in [json!("JWT"), json!("LT+JWT"), json!("application/lt+jwt"), json!(""), json!(null), json!(["lt+jwt"])] {
        forge.refuses(&forge.long(|header, _| header["typ"] = typ.clone()));
        forge.refuses(&forge.short(|header, _| header["typ"] = typ));
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let forge = Forge::new();
    let public = decode(&sign::x(&SERVICE_SEED));
    for kid in ["s2", "l2", "i1"] {
        for typ in ["at+jwt", "lt+jwt"] {
            let header = json!({"alg": "HS256", "typ": typ, "kid": kid}).to_string();
            for (_, claims) in [parts(&forge.long), parts(&forge.short)] {
                for key in [public.as_slice(), sign::x(&SERVICE_SEED).as_bytes(), b"", &[3; 32]] {
                    forge.refuses(&jws(&header, &claims.to_string(), |message| hs256(key, message)));
                }
            }
        }
    }
}

#[test]
fn no_signature_and_other_algorithms() {
    let forge = Forge::new();
    for (token, typ, kid) in [(&forge.long, "lt+jwt", "l2"), (&forge.short, "at+jwt", "s2")] {
        let (_, claims) = parts(token);
        for alg in ["none", "None", "", "HS384", "HS512", "RS256", "ES256", "Ed25519", "hs256", "eddsa"] {
            let header = json!({"alg": alg, "typ": typ, "kid": kid}).to_string();
            forge.refuses(&jws(&header, &claims.to_string(), |_| vec![]));
            forge.refuses(&jws(&header, &claims.to_string(), |message| hs256(&LONG_KEY, message)));
            forge.refuses(&jws(&header, &claims.to_string(), |message| ed25519(&SERVICE_SEED, message)));
        }
        let header =
            json!({"alg": if typ == "lt+jwt" { "HS256" } else { "EdDSA" }, "typ": typ, "kid": kid}).to_string();
        for signature in [vec![], vec![0; 16], vec![0; 32], vec![0; 64], vec![0; 65], vec![0; 4096]] {
            forge.refuses(&jws(&header, &claims.to_string(), |_| signature));
        }
    }
}

#[test]
fn another_kid_another_key() {
    let forge = Forge::new();
    for kid in
        [json!("l1"), json!("s1"), json!("s2"), json!("i1"), json!("t1"), json!("x"), json!(""), json!(null), json!(2)]
    {
        forge.refuses(&forge.long(|header, _| header["kid"] = kid.clone()));
        if kid != "s2" {
            forge.refuses(&forge.short(|header, _| header["kid"] = kid));
        }
    }
    // Older keys still verify, under their own kid.
    let (mut header, claims) = parts(&forge.short);
    header["kid"] = json!("s1");
    let older = jws(&header.to_string(), &claims.to_string(), |message| ed25519(&OLD_SEED, message));
    assert!(forge.is_accepted(&older));
    let forge = Forge::new();
    let (mut header, claims) = parts(&forge.long);
    header["kid"] = json!("l1");
    assert!(forge.is_accepted(&jws(&header.to_string(), &claims.to_string(), |message| hs256(&[1; 32], message))));
}

#[test]
fn another_issuer_with_the_same_keys() {
    let other =
        Service::with(&[("ISSUER", "https://other.example.com".to_owned()), ("AUTH_KEYS", key_set().to_string())]);
    let forge = Forge::new();
    let long = other.long_token("tokens:write");
    forge.refuses(&long.token);
    forge.refuses(&other.short_token(&long).token);
    for issuer in [json!(format!("{ISSUER}/")), json!(""), json!(null), json!([ISSUER])] {
        forge.refuses(&forge.long(|_, claims| claims["iss"] = issuer.clone()));
        forge.refuses(&forge.short(|_, claims| claims["iss"] = issuer));
    }
}

#[test]
fn a_token_ends_at_its_end_to_the_second() {
    let forge = Forge::new();
    forge.service.pass(899);
    forge.service.send(&revocation(&forge.short, "x")).is(404, "not_found");
    forge.service.pass(1);
    forge.service.send(&revocation(&forge.short, "x")).is(401, "invalid_token");
    for end in
        [json!(NOW + 900), json!(NOW), json!(0), json!(-1), json!(null), json!("never"), json!(u64::MAX), json!(1e300)]
    {
        forge.refuses(&forge.long(|_, claims| claims["exp"] = end.clone()));
        forge.refuses(&forge.short(|_, claims| claims["exp"] = end));
    }
}

#[test]
fn every_claim_is_needed() {
    let forge = Forge::new();
    for name in ["iss", "sub", "jti", "scope", "iat", "exp", "auth_time"] {
        forge.refuses(&forge.long(|_, claims| drop(claims.as_object_mut().unwrap().remove(name))));
        forge.refuses(&forge.short(|_, claims| drop(claims.as_object_mut().unwrap().remove(name))));
    }
    for name in ["client_id", "aud", "parent"] {
        forge.refuses(&forge.short(|_, claims| drop(claims.as_object_mut().unwrap().remove(name))));
    }
    for scope in ["", " ", "jobs", "jobs:a  jobs:b", "*"] {
        forge.refuses(&forge.long(|_, claims| claims["scope"] = json!(scope)));
        forge.refuses(&forge.short(|_, claims| claims["scope"] = json!(scope)));
    }
    for (name, value) in
        [("scope", json!(7)), ("auth_time", json!("now")), ("auth_time", json!(-1)), ("consistency", json!("x"))]
    {
        forge.refuses(&forge.long(|_, claims| claims[name] = value.clone()));
        forge.refuses(&forge.short(|_, claims| claims[name] = value));
    }
}

#[test]
fn malformed_tokens_are_refused() {
    let forge = Forge::new();
    for token in [&forge.long.token, &forge.short.token] {
        let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
        for broken in [
            format!("{token}."),
            format!(".{token}"),
            format!("{token}.x"),
            format!("{header}.{claims}"),
            format!("{header}.{claims}."),
            format!("{header}..{signature}"),
            format!(".{claims}.{signature}"),
            format!("{header}.{signature}.{claims}"),
            format!("{header} .{claims}.{signature}"),
            format!("{token} "),
            format!("{token},{token}"),
            format!("{token}, Bearer {token}x"),
            format!("\"{token}\""),
            format!("{header}.{claims}.{signature}="),
            format!("{header}.{claims}.{signature}=="),
            format!("{header}=.{claims}.{signature}"),
            format!("{header}.{claims}=.{signature}"),
            format!("{header}.{claims}.{signature}\n"),
            format!("{header}.{claims}.{}", signature.replace(['-', '_'], "+")),
            format!("{header}.{claims}.{signature}AA"),
            format!("{header}.{claims}.{}", &signature[..signature.len() - 2]),
            token.to_lowercase(),
            "ä.ö.ü".to_owned(),
            "..".to_owned(),
            ".".to_owned(),
            "x".repeat(16_000),
        ] {
            if broken != *token {
                forge.refuses(&broken);
            }
        }
    }
}

/// A part's last character may have unused bits, and so several spellings. Only one is accepted.
#[test]
fn other_spellings_of_the_same_bytes() {
    let forge = Forge::new();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for token in [&forge.long.token, &forge.short.token] {
        let parts: Vec<_> = token.split('.').map(str::to_owned).collect();
        let mut spellings = 0;
        for (nth, part) in parts.iter().enumerate().filter(|(_, part)| part.len() % 4 != 0) {
            let last = alphabet.find(part.chars().last().unwrap()).unwrap();
            let spare = if part.len() % 4 == 2 { 16 } else { 4 };
            for other in (last / spare * spare..(last / spare + 1) * spare).filter(|other| *other != last) {
                let mut parts = parts.clone();
                parts[nth].pop();
                parts[nth].push_str(&alphabet[other..=other]);
                forge.refuses(&parts.join("."));
                spellings += 1;
            }
        }
        assert!(spellings >= 3, "the signature alone has at least three others");
    }
}

/// Headers that our tokens never have, although signed by the right key.
#[test]
fn headers_that_are_read_strictly() {
    let forge = Forge::new();
    let (header, claims) = parts(&forge.long);
    let text = header.to_string();
    let sign = |header: &str| jws(header, &claims.to_string(), |message| hs256(&LONG_KEY, message));
    assert!(!forge.is_accepted(&sign(&text.replacen('{', r#"{"alg":"none","#, 1))), "alg twice");
    assert!(!forge.is_accepted(&sign(&text.replacen('{', r#"{"kid":"l1","#, 1))), "kid twice");
    assert!(!forge.is_accepted(&sign(&text.replacen('{', r#"{"typ":"at+jwt","#, 1))), "typ twice");
    for header in ["", "{", "[]", "null", "\"x\"", &format!("{text}x"), &text.replace("HS256", "HS256 ")] {
        forge.refuses(&sign(header));
    }
    let (header, claims) = parts(&forge.long);
    let claims = claims.to_string();
    for claims in
        [claims.replacen('{', &format!(r#"{{"sub":"{ALICE}","#), 1), "[]".to_owned(), "{}".to_owned(), String::new()]
    {
        forge.refuses(&jws(&header.to_string(), &claims, |message| hs256(&LONG_KEY, message)));
    }
    let raw = format!("{}.{}.{}", encode(b"\xff\xfe"), encode(b"\xff"), encode(&[0; 32]));
    forge.refuses(&raw);
}

#[test]
fn a_changed_byte_anywhere() {
    let forge = Forge::new();
    for token in [&forge.long.token, &forge.short.token] {
        for at in (0..token.len()).step_by(3) {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            forge.refuses(std::str::from_utf8(&changed).unwrap());
        }
    }
}

/// The scheme is `Bearer`, in upper or lower case. With any other, the request has no token.
#[test]
fn authorization_headers() {
    let forge = Forge::new();
    let token = &forge.long.token;
    for header in [format!("bearer {token}"), format!("BEARER  {token}")] {
        forge.service.send(&post(SHORT).authorization(&header)).token();
    }
    for header in
        [token.clone(), format!("Bearer{token}"), format!("Token {token}"), format!("Bearer\t{token}"), String::new()]
    {
        forge.service.send(&post(SHORT).authorization(&header)).is(401, "invalid_token");
    }
}

/// The warm-up runs an exchange with the real keys before the first request. It must call no storage, and its token
/// must have expired.
#[test]
fn a_warm_up_token_has_expired() {
    let forge = Forge::new();
    let world = &forge.service.world;
    world.forget_calls();
    let answer = host::run(token::warm_up(&forge.service.settings, world)).unwrap();
    assert_eq!(world.parts_called(), [Part::Sign]);
    let body: Value = serde_json::from_str(&answer.body.unwrap()).unwrap();
    assert_eq!(body["expires_at"], "1970-01-01T00:00:01Z");
    let token = Token { token: body["access_token"].as_str().unwrap().to_owned(), id: String::new() };
    let (_, claims) = parts(&token);
    assert_eq!((&claims["exp"], &claims["sub"]), (&json!(1), &json!("")));
    // If the warm-up fails, the first request reports the failure.
    world.fail_part(Part::Sign);
    assert_eq!(host::run(token::warm_up(&forge.service.settings, world)), None);
}
