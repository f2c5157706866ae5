//! How much the feed adds to the check of a token, natively: `cargo bench -p auth-edge-verify`.

#![allow(clippy::unwrap_used, reason = "a bench")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use auth_edge_verify::Verifier;
use serde_json::{Value, json};

use common::*;

const BATCH: u32 = 50;

fn main() {
    // Ids as long as the issuer's.
    let claims = with(claims(), "jti", Some(json!("tok_st_".to_owned() + &"j".repeat(44))));
    let claims = with(claims, "parent", Some(json!("tok_lt_".to_owned() + &"p".repeat(44))));
    let token = token(&header(), &claims);
    let without = with_keys(Verifier::new(ISSUER, AUDIENCE).without_feed());
    let base = verify_time(&without, &token);
    println!("without the feed                 {:>9.2} µs", micros(base));
    for entries in [3, 900, 100_000] {
        let text = sign_feed(&filled(entries));
        let verifier = with_keys(Verifier::new(ISSUER, AUDIENCE));
        let taken = least(10, || {
            let verifier = with_keys(Verifier::new(ISSUER, AUDIENCE));
            let start = Instant::now();
            verifier.take_feed(&text, None, NOW).unwrap();
            start.elapsed()
        });
        verifier.take_feed(&text, None, NOW).unwrap();
        // Alternating, so that both run under the same load.
        let (mut base, mut time) = (base, verify_time(&verifier, &token));
        for _ in 0..5 {
            base = base.min(verify_time(&without, &token));
            time = time.min(verify_time(&verifier, &token));
        }
        let more = micros(time) - micros(base);
        println!(
            "with {entries:>6} entries ({:>9} bytes) {:>9.2} µs: {more:+.2} µs; to take it: {:.2} ms",
            text.len(),
            micros(time),
            micros(taken) / 1000.0,
        );
    }
}

/// A feed with this many entries, spread over the three members, none of them about the token.
fn filled(entries: u64) -> Value {
    let mut feed = feed(NOW, entries);
    for n in 0..entries {
        let member = ["token", "parent", "client"][usize::try_from(n % 3).unwrap()];
        feed["ended"][member][hash(member, &n.to_string())] = json!(NOW);
    }
    feed
}

/// The fastest of many batches, which is the least disturbed by other processes.
fn verify_time(verifier: &Verifier, token: &str) -> Duration {
    least(200, || {
        let start = Instant::now();
        for _ in 0..BATCH {
            black_box(verifier.verify(black_box(token), NOW).unwrap());
        }
        start.elapsed()
    }) / BATCH
}

fn least(times: u32, mut measure: impl FnMut() -> Duration) -> Duration {
    (0..times).map(|_| measure()).min().unwrap_or_default()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
