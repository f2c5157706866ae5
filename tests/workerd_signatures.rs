//! Wycheproof's vectors through workerd's WebCrypto, called with the Worker's own JavaScript. `tests/wasm.rs` does the
//! same with Node's WebCrypto, through the Worker's WASM.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod vectors;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64ct::{Base64, Encoding};
use serde_json::json;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Does what `accepts` and `verify` of webcrypto.rs do. An exception counts as a refusal.
const MAIN: &str = r#"
import { importKey, verify } from "./webcrypto.js";
const bytes = (base64) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
const judge = async ({ alg, members, message, signature }) => {
  const key = await importKey(alg, members, "verify").catch(() => undefined);
  if (!key) return "the key was not accepted";
  return verify(alg, key, bytes(signature), bytes(message)).catch(() => false);
};
export default {
  async fetch(request) {
    return request.method === "POST" ? Response.json(await Promise.all((await request.json()).map(judge))) : new Response();
  },
};"#;

#[tokio::test]
async fn wycheproof_in_workerd() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _workerd = serve(port);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
    let url = format!("http://127.0.0.1:{port}/");
    let mut tries = 0;
    while http.get(&url).send().await.is_err() {
        tries += 1;
        assert!(tries < 600, "workerd did not start; see target/signatures/log");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let vectors = vectors::all();
    assert_eq!(vectors.len(), vectors::COUNTS.iter().map(|(_, count)| count).sum::<usize>());
    for vectors in vectors.chunks(200) {
        let questions = vectors.iter().map(|vector| {
            let members = vector.key.material().fold(String::new(), |lines, (name, value)| format!("{lines}{name}\n{value}\n"));
            let [message, signature] = [&vector.message, &vector.signature].map(|bytes| Base64::encode_string(bytes));
            json!({"alg": vector.key.algorithm().unwrap().name(), "members": members, "message": message, "signature": signature})
        });
        let body = json!(questions.collect::<Vec<_>>()).to_string();
        let answer = http.post(&url).body(body).send().await.unwrap().text().await.unwrap();
        let verified: Vec<serde_json::Value> = serde_json::from_str(&answer).unwrap();
        assert_eq!(verified.len(), vectors.len());
        for (vector, verified) in vectors.iter().zip(verified) {
            // Wycheproof leaves a missing NULL in the hash's identifier to the verifier.
            assert_eq!(verified, vector.is_valid.unwrap_or(false), "{}", vector.name);
        }
    }
}

struct Workerd(Child);

impl Drop for Workerd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(port: u16) -> Workerd {
    let folder = Path::new(ROOT).join("target/signatures");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(Path::new(ROOT).join("src/edge/webcrypto.js"), folder.join("webcrypto.js")).unwrap();
    fs::write(folder.join("main.js"), MAIN).unwrap();
    let wrangler: toml::Table = fs::read_to_string(Path::new(ROOT).join("wrangler.toml")).unwrap().parse().unwrap();
    let date = wrangler["compatibility_date"].as_str().unwrap();
    let config = format!(
        r#"using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = [(name = "main.js", esModule = embed "main.js"), (name = "webcrypto.js", esModule = embed "webcrypto.js")],
    compatibilityDate = {date:?},
  ))],
  sockets = [(name = "http", address = "127.0.0.1:{port}", http = (), service = "main")],
);
"#
    );
    fs::write(folder.join("config.capnp"), config).unwrap();
    let log = fs::File::create(folder.join("log")).unwrap();
    let mut command = Command::new(Path::new(ROOT).join("node_modules/.bin/workerd"));
    command.arg("serve").arg(folder.join("config.capnp")).stdin(Stdio::null());
    Workerd(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
}
