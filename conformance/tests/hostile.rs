//! Servers that answer wrongly, with a live token in places where it does not belong. No output shows the token, and it is
//! revoked if that is possible.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that can't go on should stop")]

mod common;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use common::{conformance, report, scratch, text};
use serde_json::json;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Part of every secret and every token, and of nothing that may be shown.
const CANARY: &str = "cAnArY";

/// What an answer is made from.
struct Scene {
    /// The request's head and body as sent.
    sent: String,
    /// A new, live token.
    token: String,
    id: String,
}

#[derive(Default)]
struct World {
    minted: Vec<(String, String)>,
    revoked: HashSet<String>,
}

/// One way to answer wrongly.
struct Kind {
    name: &'static str,
    /// The answer where a token is due.
    grant: fn(&Scene) -> Vec<u8>,
    /// The answer elsewhere.
    refusal: fn(&Scene) -> Vec<u8>,
    /// Whether tokens are JWTs; otherwise they are opaque.
    jwt: bool,
    /// Whether the answer contains enough to revoke them.
    revocable: bool,
}

fn http(status: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut out = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        out += &format!("{name}: {value}\r\n");
    }
    // One answer per connection, so the client must not reuse it.
    [out.as_bytes(), b"Cache-Control: no-store\r\nConnection: close\r\n\r\n", body].concat()
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn right(s: &Scene) -> serde_json::Value {
    let scopes = if s.sent.contains("jobs:submit") { json!(["jobs:submit"]) } else { json!(["jobs:*"]) };
    json!({
        "token_type": "Bearer", "access_token": s.token, "expires_in": 3600, "expires_at": "2027-01-15T08:00:00Z",
        "scopes": scopes, "token_id": s.id,
    })
}

fn granted(s: &Scene) -> Vec<u8> {
    http("201 Created", &[JSON, ("X-Token-Id", &s.id)], right(s).to_string())
}

fn refused(_: &Scene) -> Vec<u8> {
    let body = json!({"code": "invalid_client", "message": "No."});
    http("401 Unauthorized", &[JSON, ("WWW-Authenticate", "Bearer")], body.to_string())
}

/// Repeats the request as a debug page does, in all encodings of such pages.
fn echo(s: &Scene) -> String {
    let encoded = STANDARD.encode(s.sent.lines().find(|l| l.to_lowercase().starts_with("authorization")).unwrap_or(""));
    let url: String = s.sent.bytes().map(|b| format!("%{b:02x}")).collect();
    format!("{} {encoded} {url} {:?}", s.sent, s.sent)
}

#[rustfmt::skip]
fn kinds() -> Vec<Kind> {
    let grant = |name, grant: fn(&Scene) -> Vec<u8>| Kind { name, grant, refusal: refused, jwt: true, revocable: true };
    let opaque = |kind: Kind| Kind { jwt: false, ..kind };
    let lost = |kind: Kind| Kind { revocable: false, ..kind };
    let refusal = |name, refusal: fn(&Scene) -> Vec<u8>| Kind { name, grant: granted, refusal, jwt: true, revocable: true };
    vec![
        grant("right", granted),
        opaque(grant("right-opaque", granted)),
        grant("renamed", |s| http("201 -", &[JSON], json!({"accessToken": s.token, "tokenId": s.id}).to_string())),
        opaque(grant("renamed-opaque", |s| http("201 -", &[JSON], json!({"accessToken": s.token, "tokenId": s.id}).to_string()))),
        opaque(lost(grant("renamed-beyond-guessing", |s| http("201 -", &[JSON], json!({"jeton": s.token, "nom": s.id}).to_string())))),
        grant("nested", |s| http("201 -", &[JSON], json!({"data": [{"deep": right(s)}]}).to_string())),
        grant("in-an-array", |s| http("201 -", &[JSON], json!([right(s)]).to_string())),
        grant("as-a-key", |s| http("201 -", &[JSON], json!({s.token.clone(): 1}).to_string())),
        grant("one-field-more", |s| { let mut body = right(s); body["debug"] = format!("issued {}", s.token).into(); http("201 -", &[JSON], body.to_string()) }),
        grant("cut-short", |s| http("201 -", &[JSON], format!(r#"{{"token_type":"Bearer","token_id":"{}","access_token":"{}","expi"#, s.id, s.token))),
        opaque(grant("cut-short-opaque", |s| http("201 -", &[JSON], format!(r#"{{"token_id":"{}","access_token":"{}"#, s.id, s.token)))),
        lost(grant("cut-within-the-token", |s| http("201 -", &[JSON], format!(r#"{{"token_id":"{}","access_token":"{}"#, s.id, &s.token[..s.token.len() - 6])))),
        grant("broken-off", |s| text(&granted(s)).replace("Content-Length: ", "Content-Length: 9").into_bytes()),
        grant("never-ends", |s| [text(&granted(s)).replace("Content-Length: ", "Content-Length: 9").as_bytes(), b"HANG"].concat()),
        grant("something-behind-it", |s| http("201 -", &[JSON], format!("{}\n{{}}", right(s)))),
        grant("something-before-it", |s| http("201 -", &[JSON], format!(")]}}',\n{}", right(s)))),
        grant("not-utf8", |s| http("201 -", &[JSON], [b"\xff\xfe", right(s).to_string().as_bytes(), b"\xff"].concat())),
        grant("escaped", |s| http("201 -", &[JSON], right(s).to_string().replace("eyJ", "\\u0065yJ").replace("cAn", "c\\u0041n"))),
        grant("escaped-and-cut", |s| { let body = right(s).to_string().replace("eyJ", "\\u0065yJ"); http("201 -", &[JSON], &body[..body.len() - 9]) }),
        grant("page", |s| http("201 -", &[("Content-Type", "text/html")], format!("<html><p id=t>Your token is <b>{}</b></p></html>", s.token))),
        grant("page-of-entities", |s| http("500 -", &[("Content-Type", "text/html")], format!("<p>{}</p>", s.token.replace("eyJ", "&#101;&#x79;J").replace("cAn", "&#99;An")))),
        grant("xml", |s| http("201 -", &[("Content-Type", "text/xml")], format!("<r><access_token>{}</access_token></r>", s.token))),
        grant("form", |s| http("201 -", &[("Content-Type", "text/plain")], format!("token_type=Bearer&access_token={}&token_id={}", s.token, s.id))),
        grant("bare", |s| http("201 -", &[("Content-Type", "text/plain")], &s.token)),
        opaque(lost(grant("bare-opaque", |s| http("201 -", &[("Content-Type", "text/plain")], &s.token)))),
        grant("header", |s| http("201 -", &[JSON, ("X-Access-Token", &s.token)], "{}")),
        grant("odd-header", |s| http("201 -", &[JSON, ("X-Debug", &format!("made {}", s.token))], "{}")),
        opaque(lost(grant("cookie-opaque", |s| http("201 -", &[JSON, ("Set-Cookie", &format!("s={}", s.token))], "{}")))),
        lost(grant("reason-phrase", |s| http(&format!("201 {}", s.token), &[JSON], "{}"))),
        grant("redirect", |s| http("302 -", &[("Location", &format!("https://elsewhere.example/#access_token={}", s.token))], "")),
        grant("200", |s| http("200 -", &[JSON], right(s).to_string())),
        grant("in-a-400", |s| http("400 -", &[JSON], json!({"code": s.token, "message": format!("not {}", s.token), "details": {"t": s.token}}).to_string())),
        grant("in-a-400s-message-far-behind", |s| http("400 -", &[JSON], json!({"code": "invalid_request", "message": format!("{}{}", "x".repeat(225), s.token)}).to_string())),
        grant("at-the-4-kib", |s| http("500 -", &[("Content-Type", "text/plain")], format!("{}\n{}", "x ".repeat(2030), s.token))),
        grant("at-the-cut-of-a-sentence", |s| http("500 -", &[("Content-Type", "text/plain")], format!("{} {}", "x".repeat(100), s.token))),
        grant("in-a-500", |s| http("500 -", &[("Content-Type", "text/html")], format!("<pre>panic: {}</pre>", s.token))),
        grant("in-a-429", |s| http("429 -", &[JSON, ("Retry-After", &s.token)], json!({"code": "rate_limited", "message": s.token}).to_string())),
        grant("429s-with-tokens", |s| if *s.id > *"tok_lt_000030" { http("429 -", &[JSON, ("Retry-After", "1"), ("X-Debug", &s.token)], json!({"code": "rate_limited", "message": s.token}).to_string()) } else { granted(s) }),
        grant("as-other-fields", |s| { let mut body = right(s); for name in ["token_type", "expires_at", "expires_in", "scopes"] { body[name] = s.token.clone().into(); } http("201 -", &[JSON], body.to_string()) }),
        opaque(grant("as-other-fields-opaque", |s| { let mut body = right(s); for name in ["token_type", "expires_at", "expires_in", "scopes"] { body[name] = s.token.clone().into(); } http("201 -", &[JSON], body.to_string()) })),
        lost(grant("swapped", |s| { let mut body = right(s); body["token_id"] = s.token.clone().into(); body["access_token"] = s.id.clone().into(); http("201 -", &[JSON], body.to_string()) })),
        refusal("echo", |s| http("401 -", &[JSON, ("X-Sent", &echo(s).replace(['\r', '\n'], " "))], json!({"code": "x", "message": echo(s)}).to_string())),
        refusal("echo-as-text", |s| http("400 -", &[("Content-Type", "text/plain")], echo(s))),
        refusal("echo-cut", |s| { let sent = echo(s); http("400 -", &[("Content-Type", "text/plain")], &sent[..sent.len() * 9 / 10]) }),
        refusal("revoke-200", |s| http("200 -", &[JSON], json!({"revoked": s.token, "by": s.sent}).to_string())),
        refusal("live-token-in-every-refusal", |s| http("404 -", &[JSON, ("WWW-Authenticate", &format!("Bearer error=\"{}\"", s.token))], json!({"code": s.token, "message": s.token, "details": s.token, s.token.clone(): 1}).to_string())),
    ]
}

fn token(jwt: bool, id: &str, nth: usize) -> String {
    let b64 = |text: &str| URL_SAFE_NO_PAD.encode(text);
    match jwt {
        true => format!(
            "{}.{}.{CANARY}0{CANARY}1{CANARY}2{nth:06}",
            b64(r#"{"alg":"HS256","typ":"lt+jwt"}"#),
            b64(&json!({"jti": id, "client_id": "someone"}).to_string())
        ),
        false => format!("{CANARY}.opaque-{nth:06}-{CANARY}"),
    }
}

/// Serves one connection with one answer: the answer that is due, or the wrong one of this kind.
fn serve(mut stream: TcpStream, kind: &Kind, world: &Mutex<World>) -> Option<()> {
    let mut sent = Vec::new();
    let mut piece = [0; 65536];
    loop {
        let n = stream.read(&mut piece).ok().filter(|n| *n > 0)?;
        sent.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&sent).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_lowercase();
        let length =
            head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            break;
        }
    }
    let sent = String::from_utf8_lossy(&sent).into_owned();
    let mut line = sent.split(' ');
    let (method, path) = (line.next()?.to_owned(), line.next()?.to_owned());
    let bearer =
        sent.lines().find_map(|l| l.to_lowercase().starts_with("authorization: bearer ").then(|| l[22..].trim()));
    let mint = method == "POST"
        && ((path.ends_with("/long") && sent.contains("\"client_secret\""))
            || (path.ends_with("/short") && bearer.is_some()));
    let mut world_now = world.lock().unwrap();
    let nth = world_now.minted.len();
    let ended = path.strip_suffix("/revoke").and_then(|p| p.rsplit('/').next()).map(str::to_owned);
    let right_bearer = |id: &str| world_now.minted.iter().any(|(i, t)| i == id && Some(t.as_str()) == bearer);
    let answer = if let Some(id) = ended.filter(|id| method == "POST" && right_bearer(id) && kind.name != "revoke-200")
    {
        world_now.revoked.insert(id);
        b"HTTP/1.1 204 -\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n".to_vec()
    } else {
        let id = format!("tok_lt_{nth:06}");
        let token = token(kind.jwt, &id, nth);
        let scene = Scene { sent, token, id };
        let answer = if mint { (kind.grant)(&scene) } else { (kind.refusal)(&scene) };
        if mint || String::from_utf8_lossy(&answer).contains(&scene.token) {
            world_now.minted.push((scene.id, scene.token));
        }
        answer
    };
    drop(world_now);
    match answer.strip_suffix(b"HANG") {
        Some(part) => {
            stream.write_all(part).ok()?;
            std::thread::sleep(Duration::from_secs(3));
        }
        None => stream.write_all(&answer).ok()?,
    }
    Some(())
}

fn start(kind: Kind) -> (String, Arc<Mutex<World>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = Arc::new(Mutex::new(World::default()));
    let (kind, shared) = (Arc::new(kind), world.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (kind, world) = (kind.clone(), shared.clone());
            std::thread::spawn(move || serve(stream, &kind, &world));
        }
    });
    (format!("http://127.0.0.1:{port}/v1"), world)
}

const PROFILE: &str =
    "level = \"service\"\n[limits]\nburst_requests = 12\nburst_concurrency = 4\nfeed_milliseconds = 50\n";

/// All output of a run, by its name.
fn outputs(dir: &Path, base_url: &str, timeout: &str) -> (Option<i32>, Vec<(&'static str, String)>) {
    let seed = format!("{}A", CANARY.repeat(7));
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k1", "alg": "EdDSA", "d": seed, "x": "AA"});
    let valid = format!(
        "client_id = \"someone\"\nclient_secret = \"{CANARY}-sec/ret\\\"'&+{CANARY}\"\ntotp_secret = \"{}\"\nassertion_jwk = '{jwk}'\n",
        CANARY.to_uppercase().repeat(4)
    );
    let roles = ["valid", "narrow", "other", "burst", "suspended", "operator", "reader", "immediate"]
        .map(|role| format!("[{role}]\n{valid}"));
    std::fs::write(dir.join("ids.toml"), roles.concat()).unwrap();
    std::fs::write(dir.join("profile.toml"), PROFILE).unwrap();
    let kinds = [("json", "r.json"), ("junit", "r.xml"), ("markdown", "r.md"), ("html", "r.html")];
    let mut command = conformance(dir);
    command.args(["run", "--base-url", base_url, "--identities", "ids.toml", "--profile", "profile.toml", "--trace"]);
    command.args(["--timeout", timeout, "--consistency-window", "50ms", "--skip", "*otp*", "--jobs", "8"]);
    for (kind, file) in kinds {
        command.args(["--report", &format!("{kind}={file}")]);
    }
    let output = command.output().unwrap();
    let mut all = vec![("stdout", text(&output.stdout)), ("stderr", text(&output.stderr))];
    all.extend(kinds.map(|(kind, file)| (kind, std::fs::read_to_string(dir.join(file)).unwrap())));
    all.push(("state", std::fs::read_to_string(dir.join("conformance/spent.json")).unwrap_or_default()));
    (output.status.code(), all)
}

#[test]
fn no_secret_is_shown_and_no_token_outlives_the_run() {
    for kind in kinds() {
        let (name, revocable) = (kind.name, kind.revocable);
        let dir = scratch(&format!("hostile-{name}"));
        let (base_url, world) = start(kind);
        let (code, outputs) = outputs(&dir, &base_url, "700ms");
        assert!(!matches!(code, Some(0 | 2 | 70) | None), "{name}: {code:?} {}", outputs[0].1);
        for (place, text) in &outputs {
            if let Some(at) = text.to_lowercase().find(&CANARY.to_lowercase()) {
                let from = text.floor_char_boundary(at.saturating_sub(200));
                panic!("{name}: {place} shows …{}", &text[from..text.ceil_char_boundary(at + 60)]);
            }
            let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","#);
            assert!(!text.contains(&header), "{name}: {place} shows the start of a token");
        }
        let world = world.lock().unwrap();
        let left: Vec<_> = world.minted.iter().filter(|(id, _)| !world.revoked.contains(id)).collect();
        let told = report(&dir.join("r.json"))["cleanup"]["left"].as_array().unwrap().len();
        assert!(!world.minted.is_empty(), "{name}: no token was minted");
        if revocable && name != "revoke-200" {
            assert!(left.is_empty(), "{name}: {} of {} are left: {:?}", left.len(), world.minted.len(), left[0]);
            assert_eq!(told, 0, "{name}");
        } else {
            assert!(told > 0, "{name}: tokens are left, and the report does not say so");
        }
    }
}

/// Text from the server has no effect in the terminal, or in a shell into which a line is pasted.
#[test]
fn server_text_neither_runs_nor_controls_the_terminal() {
    fn evil(s: &Scene) -> String {
        format!(
            "{}$(touch ran)`touch ran`';touch ran;'\";touch ran;\"\n\u{1b}[2J\u{9b}31m\u{202e}\u{2066}\u{200f}\u{7}\r",
            s.id
        )
    }
    let kind = Kind {
        name: "evil-words",
        grant: |s| {
            let mut body = right(s);
            body["token_id"] = evil(s).into();
            http("201 -", &[JSON], body.to_string())
        },
        refusal: |s| http("409 -", &[JSON], json!({"code": evil(s), "message": evil(s)}).to_string()),
        jwt: true,
        revocable: false,
    };
    let dir = scratch("hostile-words");
    let (base_url, _) = start(kind);
    // This server always answers. A short time limit would fail on a busy machine.
    let (code, outputs) = outputs(&dir, &base_url, "10s");
    assert_eq!(code, Some(1), "{}", outputs[0].1);
    for (place, text) in &outputs {
        let acts = |c: char| {
            (c.is_control() && !"\n\t".contains(c))
                || ('\u{202a}'..='\u{202e}').contains(&c)
                || ('\u{2066}'..='\u{2069}').contains(&c)
                || ['\u{200e}', '\u{200f}', '\u{61c}'].contains(&c)
        };
        let odd = text.chars().find(|c| acts(*c));
        assert_eq!(odd, None, "{place}");
    }
    let report = report(&dir.join("r.json"));
    let lines: Vec<_> = report["cases"].as_array().unwrap().iter().filter_map(|c| c["curl"].as_str()).collect();
    assert!(lines.iter().any(|line| line.contains("touch")), "{}", outputs[0].1);
    for line in lines {
        assert_eq!(line.lines().count(), 1, "{line}");
        let script = format!("curl() {{ :; }}\n{line}\n");
        let status = std::process::Command::new("sh").args(["-c", &script]).current_dir(&dir).status().unwrap();
        assert!(status.success(), "{line}");
        assert!(!dir.join("ran").exists(), "{line}");
    }
}
