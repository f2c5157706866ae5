//! The built binary, as users run it, against servers with faults.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that can't go on should stop")]

mod common;

use common::{Reference, conformance, report, run, scratch, text};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A server that treats every connection alike.
fn server(treat: impl Fn(TcpStream) + Send + Clone + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let treat = treat.clone();
            std::thread::spawn(move || treat(stream));
        }
    });
    format!("127.0.0.1:{port}")
}

fn answer(head: &'static str, body: &'static str) -> impl Fn(TcpStream) + Send + Clone + 'static {
    move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    }
}

/// The run ends in time, with one line on stdout and this exit code.
fn gives_up(name: &str, base_url: &str, code: i32, told: &str) {
    let dir = scratch(name);
    let started = Instant::now();
    let output = run(&dir, base_url, &[]);
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{out}{}", text(&output.stderr));
    assert_eq!(out.lines().count(), 1, "{out}");
    assert!(out.contains(told), "{out}");
    assert!(!out.contains("canary"), "{out}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[test]
fn nothing_listens() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    gives_up("nothing", &format!("http://127.0.0.1:{port}/v1"), 4, "no connection");
}

#[test]
fn no_tls() {
    let at = server(answer("400 Bad Request", "plain HTTP here"));
    gives_up("tls", &format!("https://{at}/v1"), 4, "TLS");
}

#[test]
fn a_page() {
    let at = server(answer("200 OK\r\nContent-Type: text/html", "<html>hello</html>"));
    gives_up("page", &format!("http://{at}/v1"), 1, "HTML");
}

#[test]
fn a_redirect() {
    let at = server(answer("301 Moved Permanently\r\nLocation: https://elsewhere.example/", ""));
    gives_up("redirect", &format!("http://{at}/v1"), 1, "elsewhere.example");
}

#[test]
fn silence() {
    let at = server(|stream| {
        std::thread::sleep(Duration::from_secs(5));
        drop(stream);
    });
    gives_up("silence", &format!("http://{at}/v1"), 4, "no whole answer");
}

#[test]
fn a_body_without_end() {
    let at = server(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    gives_up("endless", &format!("http://{at}/v1"), 1, "64 KiB");
}

#[test]
fn mistakes_on_the_command_line_are_exit_code_2() {
    let dir = scratch("usage");
    for (file, content) in [
        ("stray.toml", "[[absent]]\ncase = \"no.such.*\"\nreason = \"none\"\n"),
        ("silent.toml", "[[absent]]\ncase = \"*otp*\"\nreason = \" \"\n"),
        ("empty.toml", "\"long.201.secret\" = \"\"\n"),
        ("unknown.toml", "\"long.201.sekret\" = \"got 404\"\n"),
    ] {
        std::fs::write(dir.join(file), content).unwrap();
    }
    for (base_url, more, told) in [
        ("http://auth.example.com/v1", &[][..], "https"),
        ("nonsense", &[], "did you mean https://nonsense"),
        ("https://", &[], "not a URL"),
        ("http://127.0.0.1:1/v1", &["--report", "json=same", "--report", "har=same"], "a path of its own"),
        ("http://127.0.0.1:1/v1", &["--report", "json=."], "it is a directory"),
        ("http://127.0.0.1:1/v1", &["--report", "json=stray.toml/r.json"], "not a directory"),
        ("http://127.0.0.1:1/v1", &["--case", "no.such.*"], "no case matches"),
        ("http://127.0.0.1:1/v1", &["--identities", "missing.toml"], "missing.toml"),
        ("http://127.0.0.1:1/v1", &["--profile", "missing.toml"], "--profile"),
        ("http://127.0.0.1:1/v1", &["--known-failures", "missing.toml"], "--known-failures"),
        ("http://127.0.0.1:1/v1", &["--report", "pdf=x"], "pdf"),
        ("http://127.0.0.1:1/v1", &["--skip", "*"], "no case is left"),
        ("http://127.0.0.1:1/v1", &["--profile", "stray.toml"], "matches no case"),
        ("http://127.0.0.1:1/v1", &["--profile", "silent.toml"], "needs a reason"),
        ("http://127.0.0.1:1/v1", &["--known-failures", "empty.toml"], "needs a part of the reason"),
        ("http://127.0.0.1:1/v1", &["--known-failures", "unknown.toml"], "no case has the id"),
    ] {
        let output = run(&dir, base_url, more);
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        assert!(text(&output.stderr).contains(told), "{more:?}: {}", text(&output.stderr));
    }
}

#[test]
fn two_runs_in_a_row_pass_and_leave_nothing() {
    let dir = scratch("twice");
    let reference = Reference::start(&dir, None);
    for name in ["json=one.json", "json=two.json"] {
        let output = reference.run(&dir, &["--report", name]);
        assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    }
    let (one, two) = (report(&dir.join("one.json")), report(&dir.join("two.json")));
    for report in [&one, &two] {
        assert_eq!(report["counts"]["blocked"], 0);
        assert_eq!(report["cleanup"]["minted"], report["cleanup"]["revoked"]);
        assert_eq!(report["cleanup"]["left"].as_array().unwrap().len(), 0);
    }
}

/// Looks for every secret of the identities, and anything that looks like a signed token, in all output.
#[test]
fn no_output_has_a_secret() {
    for fault in [None, Some("always-201"), Some("html-errors"), Some("echoes")] {
        let dir = scratch(&format!("canary-{}", fault.unwrap_or("none")));
        let reference = Reference::start(&dir, fault);
        let output = reference.run(&dir, &["--trace", "--report", "json=report.json", "--color", "always"]);
        let written = text(&std::fs::read(dir.join("report.json")).unwrap());
        let state = text(&std::fs::read(dir.join("conformance/spent.json")).unwrap_or_default());
        let everything = [text(&output.stdout), text(&output.stderr), written, state].join("\n");
        let identities: toml::Table = std::fs::read_to_string(&reference.identities).unwrap().parse().unwrap();
        for (role, table) in &identities {
            for setting in ["client_secret", "totp_secret"] {
                let secret = table[setting].as_str().unwrap();
                assert!(!everything.contains(secret), "{fault:?}: {role}.{setting}");
            }
            let jwk: serde_json::Value = serde_json::from_str(table["assertion_jwk"].as_str().unwrap()).unwrap();
            assert!(!everything.contains(jwk["d"].as_str().unwrap()), "{fault:?}: {role}'s private key");
        }
        for piece in everything.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))) {
            let parts: Vec<_> = piece.split('.').collect();
            let signed = parts.len() == 3 && piece.starts_with("eyJ") && parts[1].len() > 10;
            assert!(!signed, "{fault:?}: a token was shown: {piece}");
        }
    }
}

/// Starts a run and sends it signals. Returns its exit code, the time from the first signal to its end, and its report.
#[cfg(unix)]
fn interrupted(name: &str, fault: &str, more: &[&str], signals: &[&str]) -> (Option<i32>, Duration, serde_json::Value) {
    let dir = scratch(name);
    let reference = Reference::start(&dir, Some(fault));
    let mut child = conformance(&dir)
        .args(["run", "--base-url", &reference.base_url, "--timeout", "60s", "--report", "json=report.json"])
        .arg("--identities")
        .arg(&reference.identities)
        .args(more)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert!(child.try_wait().unwrap().is_none(), "{name}: the run ended before the signal");
    let started = Instant::now();
    for signal in signals {
        Command::new("kill").arg(signal).arg(child.id().to_string()).status().unwrap();
        std::thread::sleep(Duration::from_millis(300));
    }
    let code = child.wait().unwrap().code();
    (code, started.elapsed(), report(&dir.join("report.json")))
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_revokes_what_it_minted() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let name = format!("interrupted{signal}");
        let (code, took, report) = interrupted(&name, "hang-on-revoke-garbage", &["--skip", "*.429.*"], &[signal]);
        assert_eq!(code, Some(3), "{signal}: {}", report["counts"]);
        assert!(took < Duration::from_secs(8), "{signal}: {took:?}");
        assert!(report["cleanup"]["minted"].as_u64().unwrap() > 0);
        assert_eq!(report["cleanup"]["minted"], report["cleanup"]["revoked"], "{}", report["cleanup"]);
        assert!(report["advice"].to_string().contains("interrupted"), "{}", report["advice"]);
        assert_eq!(report["exit_code"], 3);
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_clean_up_ends_in_time_and_reports_what_is_left() {
    let only = ["--case", "long.201.secret"];
    for (name, signals, most) in [("hup-in-clean-up", &["-HUP"][..], 10), ("twice-in-clean-up", &["-INT", "-TERM"], 3)]
    {
        let (code, took, report) = interrupted(name, "hang-on-revoke", &only, signals);
        assert_eq!(code, Some(3), "{name}");
        assert!(took < Duration::from_secs(most), "{name}: {took:?}");
        assert_eq!(report["counts"]["fail"], 0, "{name}");
        assert_eq!(report["cleanup"]["left"].as_array().unwrap().len(), 1, "{name}: {}", report["cleanup"]);
    }
}

/// The answer never came, so the report says that a token may have been made.
#[cfg(unix)]
#[test]
fn a_dropped_call_is_reported() {
    let (code, took, report) = interrupted("dropped", "hang-on-long", &["--case", "long.201.secret"], &["-INT"]);
    assert_eq!(code, Some(3));
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(report["cleanup"]["left"].to_string().contains("may have been made"), "{}", report["cleanup"]);
}

#[test]
fn tokens_that_stay_make_a_run_incomplete() {
    let dir = scratch("left");
    let reference = Reference::start(&dir, Some("503-on-revoke"));
    let output =
        reference.run(&dir, &["--case", "long.201.secret", "--report", "junit=r.xml", "--report", "json=r.json"]);
    let (out, report) = (text(&output.stdout), report(&dir.join("r.json")));
    assert_eq!(output.status.code(), Some(3), "{out}");
    assert_eq!(report["counts"]["pass"].as_u64(), report["cases"].as_array().map(|all| all.len() as u64));
    assert_eq!(report["verdict"], "incomplete");
    assert!(out.contains("could not be revoked") && out.contains("answered the revocation with 503"), "{out}");
    assert!(std::fs::read_to_string(dir.join("r.xml")).unwrap().contains("1 token could not be revoked"));
}

#[test]
fn a_client_that_stays_makes_a_run_incomplete() {
    for (fault, code, left) in [(None, 0, 0), (Some("503-on-delete"), 3, 1)] {
        let dir = scratch("guest");
        let reference = Reference::start(&dir, fault);
        let case = ["--profile", "service", "--case", "feed.200.end-tokens", "--report", "json=r.json"];
        let output = reference.run(&dir, &case);
        let (out, report) = (text(&output.stdout), report(&dir.join("r.json")));
        assert_eq!(output.status.code(), Some(code), "{out}");
        let all = report["cleanup"]["left"].as_array().unwrap();
        let clients = all.iter().filter(|pair| pair[0].as_str().unwrap().starts_with("client conformance-"));
        assert_eq!(clients.count(), left, "{out}");
        assert_eq!(out.contains("delete them as an operator"), left > 0, "{out}");
    }
}

#[test]
fn a_report_on_standard_output_is_alone_there() {
    let dir = scratch("alone");
    let reference = Reference::start(&dir, None);
    let output = reference.run(&dir, &["--case", "outside.404.*", "--report", "json=-", "--color", "always"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "conformant");
    assert!(text(&output.stderr).contains("conformant"), "the summary goes to stderr");
    let output = reference.run(&dir, &["--report", "json=-", "--report", "junit=-"]);
    assert_eq!((output.status.code(), output.stdout), (Some(2), Vec::new()));
}

#[test]
fn every_output_names_a_partial_run() {
    let dir = scratch("part");
    let reference = Reference::start(&dir, None);
    let reports = ["json=r.json", "junit=r.xml", "markdown=r.md", "html=r.html"];
    let mut flags = vec!["--case", "short.201.*", "--skip", "short.201.jwt*"];
    reports.iter().for_each(|report| flags.extend(["--report", report]));
    let output = reference.run(&dir, &flags);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let part = report(&dir.join("r.json"))["part"].clone();
    assert_eq!((&part["cases"][0], &part["skip"][0]), (&"short.201.*".into(), &"short.201.jwt*".into()));
    let told = format!("{} of {} cases", part["chosen"], part["of"]);
    for file in ["r.xml", "r.md", "r.html"] {
        assert!(std::fs::read_to_string(dir.join(file)).unwrap().contains(&told), "{file}");
    }
    assert!(text(&output.stdout).contains(&told));
}
