//! Servers that conform, but are busy, briefly unreachable, going down, behind a proxy, or not the intended one.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that can't go on should stop")]

mod common;

use common::{Reference, conformance, report, run, scratch, text};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Cases without bursts and one-time codes: a request that was answered 503 uses up its code.
fn tokens<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    let cases =
        "--case long.* --case short.* --skip *otp* --skip *alike-code --skip *.429.* --skip *limited* --skip *served";
    cases.split(' ').chain(flags.iter().copied()).collect()
}

fn count(report: &Value, outcome: &str) -> u64 {
    report["counts"][outcome].as_u64().unwrap()
}

fn case<'a>(report: &'a Value, id: &str) -> &'a Value {
    report["cases"].as_array().unwrap().iter().find(|case| case["id"] == id).unwrap()
}

#[test]
fn a_call_answered_503_with_retry_after_is_sent_again() {
    let dir = scratch("rough-busy");
    let reference = Reference::start(&dir, Some("busy"));
    let output = reference.run(&dir, &tokens(&["--jobs", "16", "--report", "json=r.json"]));
    let (out, report) = (text(&output.stdout), report(&dir.join("r.json")));
    assert_eq!((output.status.code(), count(&report, "fail"), count(&report, "blocked")), (Some(0), 0, 0), "{out}");
    assert!(out.contains("answered 503 with Retry-After and sent again; 0 of them never"), "{out}");
    assert_eq!(report["cleanup"]["minted"], report["cleanup"]["revoked"]);
}

#[test]
fn the_clean_up_waits_for_a_busy_server() {
    let dir = scratch("rough-busy-revoke");
    let reference = Reference::start(&dir, Some("busy-on-revoke"));
    let output = reference.run(&dir, &["--case", "long.201.secret*", "--report", "json=r.json"]);
    let report = report(&dir.join("r.json"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert_eq!(report["cleanup"]["left"].as_array().unwrap().len(), 0);
}

/// The run is incomplete and says why. No case fails.
#[test]
fn a_run_against_a_busy_server_is_incomplete_in_bounded_time() {
    let dir = scratch("rough-busy-for-good");
    let reference = Reference::start(&dir, Some("busy-for-good"));
    let started = Instant::now();
    let output = reference.run(&dir, &["--case", "long.400.*", "--jobs", "16", "--report", "json=r.json"]);
    let (out, report) = (text(&output.stdout), report(&dir.join("r.json")));
    assert_eq!((output.status.code(), count(&report, "blocked") > 10), (Some(3), true), "{out}");
    assert!(report["cases"].to_string().contains("the server was unavailable: 503 temporarily_unavailable"), "{out}");
    // A 503 with `Retry-After` conforms, so no case fails.
    assert!(report["cases"].as_array().unwrap().iter().all(|c| c["outcome"] != "fail"), "{out}");
    assert!(started.elapsed() < Duration::from_secs(150), "{:?}", started.elapsed());
}

/// One kind of request is always answered 503 while the others work: that case fails.
#[test]
fn a_case_fails_if_it_alone_gets_503() {
    let dir = scratch("rough-503-alone");
    let reference = Reference::start(&dir, Some("busy-with-assertions"));
    let output = reference.run(&dir, &["--case", "long.201.*", "--skip", "*otp*", "--report", "json=r.json"]);
    let report = report(&dir.join("r.json"));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    let failed = case(&report, "long.201.assertion");
    assert_eq!(failed["outcome"], "fail");
    assert!(failed["got"].as_str().unwrap().contains("in 12 rounds, while"), "{failed}");
}

/// However the server goes down, there is one failure.
#[test]
fn a_server_that_dies_half_way_is_one_failure() {
    for fault in ["dies-half-way", "falls-silent", "502-half-way"] {
        let dir = scratch(&format!("rough-{fault}"));
        let reference = Reference::start(&dir, Some(fault));
        let flags = ["--timeout", "500ms", "--skip", "*otp*", "--skip", "*alike-code", "--report", "json=r.json"];
        let output = run(&dir, &reference.base_url, &[&["--identities", "identities.toml"], &flags[..]].concat());
        let (out, report) = (text(&output.stdout), report(&dir.join("r.json")));
        assert_eq!(output.status.code(), Some(1), "{fault}: {out}");
        let failed: Vec<_> =
            report["cases"].as_array().unwrap().iter().filter(|c| c["outcome"] == "fail").map(|c| &c["id"]).collect();
        assert_eq!(failed, ["sanity.last"], "{fault}: {out}");
        assert_eq!(count(&report, "error"), 0, "{fault}: {out}");
        let told = case(&report, "sanity.last")["got"].as_str().unwrap();
        assert!(told.contains("did not survive; ") && told.contains(" cases could not be judged"), "{fault}: {told}");
        assert!(!report["advice"].to_string().contains("not judged"), "{fault}: {}", report["advice"]);
    }
}

#[test]
fn a_run_waits_for_the_servers_own_limit() {
    let dir = scratch("rough-limit");
    let reference = Reference::start(&dir, Some("counts-polls"));
    let flags =
        ["--case", "short.401.revoked*", "--case", "revoke.204.*", "--skip", "*limited", "--report", "json=r.json"];
    let output = reference.run(&dir, &flags);
    let report = report(&dir.join("r.json"));
    assert_eq!((output.status.code(), count(&report, "blocked")), (Some(0), 0), "{}", text(&output.stdout));
}

/// Answers calls and records them.
fn counting(answer: impl Fn(&str, usize) -> String + Send + Sync + 'static) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    let calls = Arc::new(Mutex::new(Vec::new()));
    let (heard, answer) = (calls.clone(), Arc::new(answer));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (heard, answer) = (heard.clone(), answer.clone());
            std::thread::spawn(move || {
                let mut bytes = [0; 16384];
                let mut sent = String::new();
                while !sent.contains("\r\n\r\n") || (sent.contains("content-type") && !sent.ends_with('}')) {
                    let n = stream.read(&mut bytes).unwrap_or(0);
                    if n == 0 {
                        return;
                    }
                    sent += &String::from_utf8_lossy(&bytes[..n]);
                }
                let nth = {
                    let mut heard = heard.lock().unwrap();
                    heard.push(sent.clone());
                    heard.len()
                };
                let _ = stream.write_all(answer(&sent, nth).as_bytes());
            });
        }
    });
    (at, calls)
}

fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
         WWW-Authenticate: Bearer\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A revocation that never holds is polled for the whole window, with few calls.
#[test]
fn polling_stays_below_any_limit() {
    let dir = scratch("rough-polls");
    let reference = Reference::start(&dir, Some("revoke-no-op"));
    let output = reference.run(&dir, &["--case", "short.401.revoked", "--trace", "--consistency-window", "3s"]);
    let out = text(&output.stdout);
    assert!(out.contains("still after 3 s"), "{out}");
    let trace = text(&output.stderr);
    let polls = trace.lines().filter(|line| line.starts_with("> POST") && line.contains("/short")).count();
    assert!((12..=45).contains(&polls), "{polls}");
}

#[test]
fn the_error_for_a_wrong_base_url_names_the_right_one() {
    let dir = scratch("rough-url");
    let reference = Reference::start(&dir, None);
    let root = reference.base_url.strip_suffix("/v1").unwrap();
    for wrong in [root.to_owned(), format!("{root}/"), format!("{root}/v1/auth/tokens"), format!("{root}/v2")] {
        let output = run(&dir, &wrong, &["--timeout", "5s"]);
        assert_eq!(output.status.code(), Some(2), "{wrong}: {}", text(&output.stdout));
        let told = format!("did you mean --base-url {}", reference.base_url);
        assert!(text(&output.stderr).contains(&told), "{wrong}: {}", text(&output.stderr));
    }
}

fn with_wrong(dir: &Path, reference: &Reference, role: &str, setting: &str, value: &str) {
    let mut table = String::new();
    let lines = std::fs::read_to_string(&reference.identities).unwrap();
    let lines = lines.lines().map(|line| {
        if line.starts_with('[') {
            table = line.to_owned();
        }
        let here = table == format!("[{role}]") && line.starts_with(&format!("{setting} "));
        if here { format!("{setting} = \"{value}\"\n") } else { format!("{line}\n") }
    });
    std::fs::write(dir.join("wrong.toml"), lines.collect::<String>()).unwrap();
}

#[test]
fn wrong_credentials_are_reported_and_cause_no_lock() {
    let dir = scratch("rough-credentials");
    let reference = Reference::start(&dir, None);
    with_wrong(&dir, &reference, "narrow", "client_secret", "sec_wrong_canary_0123456789");
    let output = run(&dir, &reference.base_url, &["--identities", "wrong.toml", "--timeout", "5s", "--skip", "*429*"]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{out}");
    assert!(
        err.contains("refuses client_id and client_secret of role narrow") && err.contains("correct [narrow]"),
        "{err}"
    );
    assert!(!out.contains("canary") && !err.contains("canary"));

    // A wrong TOTP secret costs fewer wrong codes than the five that lock, so the right secret works at once afterwards.
    let reference = Reference::start(&dir, None);
    with_wrong(&dir, &reference, "valid", "totp_secret", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    let codes = ["--case", "long.*otp*", "--report", "json=r.json"];
    let wrong =
        run(&dir, &reference.base_url, &[&["--identities", "wrong.toml", "--timeout", "5s"], &codes[..]].concat());
    assert_eq!(wrong.status.code(), Some(1), "{}", text(&wrong.stdout));
    let right = reference.run(&dir, &["--case", "long.201.otp", "--report", "json=r.json"]);
    assert_eq!(right.status.code(), Some(0), "{}", text(&right.stdout));
}

#[cfg(unix)]
#[test]
fn identities_that_others_can_read_cause_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let dir = scratch("rough-mode");
    let reference = Reference::start(&dir, None);
    for (mode, warned) in [(0o600, false), (0o640, true), (0o604, true)] {
        std::fs::set_permissions(&reference.identities, std::fs::Permissions::from_mode(mode)).unwrap();
        let output = reference.run(&dir, &["--case", "outside.404.unknown-path"]);
        assert_eq!(text(&output.stderr).contains("chmod 600"), warned, "{mode:o}");
    }
}

/// The access proxy lets only calls with its header through, and repeats the header in its answer.
#[test]
fn a_header_is_sent_with_every_request_and_never_shown() {
    let dir = scratch("rough-header");
    let (base_url, calls) = counting(|sent, _| {
        let header = sent.lines().find(|line| line.to_lowercase().starts_with("cf-access-client-secret"));
        let body = format!(r#"{{"code":"invalid_client","message":"{}"}}"#, header.unwrap_or_default().trim());
        http("401 -", &body)
    });
    let header = "CF-Access-Client-Secret: canary-0123456789abcdef";
    let kinds = ["json=r.json", "html=r.html", "junit=r.xml", "markdown=r.md", "har=r.har", "scripts=scripts"];
    let mut flags = vec!["--case", "long.2*", "--case", "outside.404.*", "--trace", "--header", header];
    kinds.iter().for_each(|kind| flags.extend(["--report", kind]));
    let output = run(&dir, &base_url, &flags);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(calls.lock().unwrap().iter().all(|sent| sent.to_lowercase().contains("cf-access-client-secret: canary")));
    let mut all = text(&output.stdout) + &text(&output.stderr);
    let files = ["r.json", "r.html", "r.xml", "r.md", "r.har"].map(|file| dir.join(file));
    let scripts = std::fs::read_dir(dir.join("scripts")).unwrap().map(|entry| entry.unwrap().path());
    let read: Vec<_> = files.into_iter().chain(scripts).map(|file| std::fs::read_to_string(file).unwrap()).collect();
    assert!(read.len() > 5, "no script was written");
    read.iter().for_each(|text| all += text);
    assert!(all.contains("$HEADER_CF_ACCESS_CLIENT_SECRET") && !all.contains("canary-"), "the header is shown");

    let refused = run(&dir, &base_url, &["--header", "Authorization: Basic canary"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(!text(&refused.stderr).contains("canary"), "{}", text(&refused.stderr));
}

#[test]
fn a_file_without_certificates_is_an_error() {
    let dir = scratch("rough-cacert");
    std::fs::write(dir.join("not.pem"), "nothing").unwrap();
    for (file, told) in [("missing.pem", "can't be read"), ("not.pem", "--cacert")] {
        let output = run(&dir, "http://127.0.0.1:1/v1", &["--cacert", file]);
        assert_eq!(output.status.code(), Some(2), "{file}");
        assert!(text(&output.stderr).contains(told), "{}", text(&output.stderr));
    }
}

#[test]
fn the_first_failure_can_end_the_cases() {
    let dir = scratch("rough-fail-fast");
    let reference = Reference::start(&dir, Some("any-secret"));
    let flags = ["--fail-fast", "--jobs", "1", "--report", "json=r.json"];
    let output = reference.run(&dir, &tokens(&flags));
    let report = report(&dir.join("r.json"));
    assert_eq!((output.status.code(), count(&report, "fail")), (Some(1), 1), "{}", text(&output.stdout));
    assert!(report["advice"].to_string().contains("--fail-fast"), "{}", report["advice"]);
    assert_eq!(report["cleanup"]["minted"], report["cleanup"]["revoked"]);
}

#[test]
fn a_failure_is_replayed_and_has_a_script_that_stands_alone() {
    let dir = scratch("rough-replay");
    let broken = Reference::start(&dir, Some("any-secret"));
    let flags = ["--case", "long.401.secret*", "--report", "json=r.json", "--report", "scripts=scripts"];
    let output = broken.run(&dir, &flags);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    let replay = |more: &[&str]| {
        let mut command = conformance(&dir);
        command.args(["replay", "r.json", "--identities", "identities.toml"]).args(more).output().unwrap()
    };
    let again = replay(&["--case", "long.401.secret-wrong"]);
    let told = text(&again.stdout);
    assert_eq!((again.status.code(), told.contains("long.401.secret-wrong: fails")), (Some(1), true), "{told}");
    assert!(!told.contains("long.401.secret-longer:"), "{told}");
    assert_eq!(replay(&["--case", "short.*"]).status.code(), Some(2));

    let script = std::fs::read_to_string(dir.join("scripts/long.401.secret-wrong.sh")).unwrap();
    assert!(script.contains("# wanted: 401 invalid_client") && script.contains("curl -sS -i -X 'POST'"), "{script}");
    let sh = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("curl() {{ echo called; }}\n{script}"))
        .output()
        .unwrap();
    assert!(sh.status.success() && text(&sh.stdout).contains("called"), "{}", text(&sh.stderr));

    let repaired = Reference::start(&dir, None);
    let good = replay(&["--base-url", &repaired.base_url]);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stdout));
    assert!(text(&good.stdout).contains("long.401.secret-wrong: passes now"), "{}", text(&good.stdout));
}

#[test]
fn delays_are_measured_at_each_place() {
    let dir = scratch("rough-lag");
    let reference = Reference::start(&dir, None);
    let mut command = conformance(&dir);
    command.args(["lag", "--base-url", &reference.base_url, "--tokens", "5", "--identities", "identities.toml"]);
    let reports = ["json=r.json", "lag=l.svg", "html=r.html", "markdown=r.md", "junit=r.xml", "har=r.har"];
    command.args(reports.iter().flat_map(|report| ["--report", report]));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    let report = report(&dir.join("r.json"));
    let all = report["consistency"]["by_operation"].as_array().unwrap();
    for place in ["exchange", "rotation", "revocation", "feed"] {
        let here = all.iter().find(|delays| delays["operation"] == place).unwrap();
        assert_eq!(here["delays_ms"].as_array().unwrap().len(), 5, "{place}");
        assert!(
            here["p50_ms"].as_u64() <= here["p99_ms"].as_u64() && here["p99_ms"].as_u64() <= here["max_ms"].as_u64()
        );
    }
    assert_eq!(report["cleanup"]["minted"], report["cleanup"]["revoked"]);
    for file in ["l.svg", "r.html", "r.md", "r.xml"] {
        assert!(std::fs::read_to_string(dir.join(file)).unwrap().contains("p99"), "{file}");
    }
    // A revocation that never holds is a failure.
    let broken = Reference::start(&dir, Some("revoke-no-op"));
    let mut command = conformance(&dir);
    command.args(["lag", "--base-url", &broken.base_url, "--tokens", "2", "--consistency-window", "500ms"]);
    let output = command.args(["--identities", "identities.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
}

#[test]
fn own_cases_run_beside_the_others() {
    let dir = scratch("rough-own");
    let file = r#"
        [[case]]
        id = "our.401.secret-doubled"
        cell = "long 401"
        requirement = "A secret that is sent twice over is wrong."
        section = "our handbook, 3"
        effect = "read"
        control = "long.201.secret"
        request = { base = "secret valid", set = { client_secret = "${valid.client_secret}${valid.client_secret}" } }
        expect = "401 invalid_client"
    "#;
    std::fs::write(dir.join("own.toml"), file).unwrap();
    for (fault, code) in [(None, 0), (Some("any-secret"), 1)] {
        let reference = Reference::start(&dir, fault);
        let output = reference.run(&dir, &["--cases", "own.toml", "--case", "our.*", "--report", "json=r.json"]);
        assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
    }
    let explained =
        conformance(&dir).args(["explain", "our.401.secret-doubled", "--cases", "own.toml"]).output().unwrap();
    assert!(text(&explained.stdout).contains("Due: 401 invalid_client"), "{}", text(&explained.stdout));
    let reference = Reference::start(&dir, None);
    std::fs::write(dir.join("bad.toml"), file.replace("long 401", "long")).unwrap();
    let output = reference.run(&dir, &["--cases", "bad.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("unknown cell \"long\""), "{}", text(&output.stderr));
}

/// `explain` shows a case as HTTP, with a name for every secret, and nothing of its Rust code.
#[test]
fn every_case_is_explained_in_http() {
    let dir = scratch("rough-explain");
    let explain = |id: &str| text(&conformance(&dir).args(["explain", id]).output().unwrap().stdout);
    for (id, sent) in [
        ("long.401.secret-wrong", "POST /v1/auth/tokens/long HTTP/1.1"),
        ("revoke.204.cascade", "POST /v1/auth/tokens/"),
        ("short.400.root-array", "authorization: Bearer $LONG_TOKEN_"),
        ("feed.401.garbage", "GET /.well-known/revocations HTTP/1.1"),
    ] {
        let told = explain(id);
        assert!(told.contains(sent) && told.contains("section  "), "{told}");
        for rust in ["Secret(", "Set(", "Want", "steps", "ref_Valid"] {
            assert!(!told.contains(rust), "{told}");
        }
    }
    assert!(explain("outside.json").contains("every answer") || explain("outside.no-store").contains("every answer"));
}

/// One fault in many answers is shown as few failures.
#[test]
fn one_root_cause_is_one_failure() {
    let dir = scratch("rough-groups");
    let reference = Reference::start(&dir, Some("wrong-code"));
    let output = reference.run(&dir, &["--skip", "*.429.*", "--skip", "*otp*", "--report", "json=r.json"]);
    let (out, report) = (text(&output.stdout), report(&dir.join("r.json")));
    let headings = out.lines().filter(|line| line.starts_with("FAIL ")).count() as u64;
    let failed = count(&report, "fail");
    assert!(failed > 60 && headings * 4 < failed, "{headings} headings for {failed} failures: {out}");
    assert!(out.contains(" more with the same difference"), "{out}");
}

/// Runs the script of `action.yml`, with this binary instead of the one that it builds.
#[cfg(unix)]
#[test]
fn the_action_leaves_its_results() {
    let dir = scratch("rough-action");
    let reference = Reference::start(&dir, Some("any-secret"));
    let action = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../action.yml")).unwrap();
    let script: String = action
        .split("      run: |\n")
        .nth(1)
        .unwrap()
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix("        ").unwrap_or(line)))
        .collect();
    let temp = dir.join("temp");
    let bin = temp.join("conformance/bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_conformance"), bin.join("conformance")).unwrap();
    let output = std::process::Command::new("bash")
        .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", &script])
        .current_dir(&dir)
        .envs([("RUNNER_TEMP", temp.as_path()), ("XDG_STATE_HOME", dir.as_path())])
        .env("GITHUB_OUTPUT", dir.join("output"))
        .env("GITHUB_STEP_SUMMARY", dir.join("summary.md"))
        .env("IDENTITIES", std::fs::read_to_string(&reference.identities).unwrap())
        .env("BASE_URL", &reference.base_url)
        .envs([("ALLOW", "mint,revoke"), ("PROFILE", "contract"), ("ARGUMENTS", "--case long.401.secret* --jobs 2")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}{}", text(&output.stdout), text(&output.stderr));
    let told = std::fs::read_to_string(dir.join("output")).unwrap();
    assert!(told.contains("exit-code=1") && told.contains("conformance-results"), "{told}");
    assert!(std::fs::read_to_string(dir.join("summary.md")).unwrap().contains("Not conformant"));
    for file in ["results.json", "junit.xml", "report.html", "badge.svg", "lag.svg"] {
        assert!(temp.join("conformance-results").join(file).exists(), "{file}");
    }
    assert!(!temp.join("identities.toml").exists(), "the identities file was left behind");
}
