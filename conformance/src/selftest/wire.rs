//! A small HTTP/1.1 server for the reference, so that a mutant can hang, send slowly, or break off in the middle.

use super::reference::message::{Asked, Form, Reply};
use super::reference::state::Reference;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const DIES_AFTER: u64 = 200;

pub async fn serve(listener: TcpListener, reference: Arc<Mutex<Reference>>) {
    while let Ok((stream, _)) = listener.accept().await {
        // About halfway through a run. Closes the port, as if the process had ended.
        if reference.lock().is_ok_and(|r| r.on("dies-half-way") && r.memory.requests > DIES_AFTER) {
            return;
        }
        tokio::spawn(connection(stream, reference.clone()));
    }
}

async fn connection(mut stream: TcpStream, reference: Arc<Mutex<Reference>>) {
    let mut buffer = Vec::new();
    while let Some(asked) = read(&mut stream, &mut buffer).await {
        // Decides each request under the lock, so that simultaneous requests are handled one after the other.
        let (reply, fault, count) = {
            let Ok(mut reference) = reference.lock() else { return };
            let fault = reference.fault.unwrap_or_default();
            let reply = match busy(fault, &asked, reference.memory.requests) {
                Some((status, code)) => {
                    reference.memory.requests += 1;
                    let mut reply = reference.error(&asked, status, code, "Please retry after 1 second.", None);
                    reply.set_header("Retry-After", "1");
                    reply
                }
                None => reference.answer(&asked),
            };
            (reply, fault, reference.memory.requests)
        };
        if write(&mut stream, &asked, &reply, fault, count).await.is_none() {
            return;
        }
    }
}

/// The answers of a server that is overloaded or limits calls. They conform, and any call may get one.
fn busy(fault: &str, asked: &Asked, count: u64) -> Option<(u16, &'static str)> {
    let polls = asked.path.ends_with("/short") || asked.path.ends_with("/revoke");
    match fault {
        "busy" => count.is_multiple_of(16),
        // A fifth of all calls, in no order that a client could follow.
        "often-busy" => (count.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32).is_multiple_of(5),
        "busy-on-revoke" => asked.path.ends_with("/revoke") && count.is_multiple_of(2),
        "busy-for-good" => count > 20,
        "busy-with-assertions" => String::from_utf8_lossy(&asked.body).contains("\"assertion\""),
        _ => false,
    }
    .then_some((503, "temporarily_unavailable"))
    .or((fault == "counts-polls" && polls && count.is_multiple_of(16)).then_some((429, "rate_limited")))
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Asked> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        more(stream, buffer).await?;
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end + 4);
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<_> =
        lines.filter_map(|l| l.split_once(':')).map(|(n, v)| (n.trim().to_lowercase(), v.trim().to_owned())).collect();
    let mut asked = Asked { method, path, headers, body: Vec::new() };
    if asked.header("transfer-encoding").is_some() {
        loop {
            let line = loop {
                if let Some(at) = buffer.windows(2).position(|w| w == b"\r\n") {
                    break at;
                }
                more(stream, buffer).await?;
            };
            let size = usize::from_str_radix(String::from_utf8_lossy(&buffer[..line]).trim(), 16).ok()?;
            while buffer.len() < line + 2 + size + 2 {
                more(stream, buffer).await?;
            }
            asked.body.extend_from_slice(&buffer[line + 2..line + 2 + size]);
            buffer.drain(..line + 2 + size + 2);
            if size == 0 {
                break;
            }
        }
    } else {
        let size: usize = asked.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
        while buffer.len() < size {
            more(stream, buffer).await?;
        }
        asked.body = buffer.drain(..size).collect();
    }
    Some(asked)
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 16_384];
    match stream.read(&mut piece).await {
        Ok(n) if n > 0 => {
            buffer.extend_from_slice(&piece[..n]);
            Some(())
        }
        _ => None,
    }
}

async fn write(stream: &mut TcpStream, asked: &Asked, reply: &Reply, fault: &str, count: u64) -> Option<()> {
    let short = asked.path.ends_with("/short");
    let mut body = if reply.body.is_null() { String::new() } else { reply.body.to_string() };
    let mut kind = "application/json";
    if let Form::Text(media) = reply.form {
        body = reply.body.as_str().unwrap_or_default().to_owned();
        kind = media;
    }
    if reply.form == Form::Html {
        body = format!("<html><body>{}</body></html>", reply.status);
        kind = "text/html";
    }
    if fault == "echoes" && reply.status >= 400 {
        // The answer repeats what was sent, as debug pages do.
        let sent = String::from_utf8_lossy(&asked.body).into_owned();
        body = serde_json::json!({
            "code": reply.body["code"], "message": format!("{} {sent}", asked.header("authorization").unwrap_or_default()),
        })
        .to_string();
    }
    if fault == "json-as-text" {
        kind = "text/plain";
    }
    if asked.method == "HEAD" {
        body.clear();
    }
    let mut head = format!("HTTP/1.1 {} -\r\n", reply.status);
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if reply.status != 204 {
        head += &format!("Content-Type: {kind}\r\n");
    }
    let whole = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    match fault {
        "falls-silent" if count > DIES_AFTER => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            return None;
        }
        "502-half-way" if count > DIES_AFTER => {
            let page = "<html><body>Bad Gateway</body></html>";
            let head = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 37\r\n\r\n";
            return stream.write_all(format!("{head}{page}").as_bytes()).await.ok();
        }
        "hang" => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            return None;
        }
        // For tests of interruptions: these calls keep the run from ending by itself.
        "hang-on-revoke-garbage" if asked.header("authorization").is_some_and(|v| v.ends_with("not-a-token")) => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            return None;
        }
        "hang-on-revoke" if asked.path.ends_with("/revoke") => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            return None;
        }
        "hang-on-long" if asked.path.ends_with("/long") && asked.body.len() > 2 => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            return None;
        }
        "hang-on-short" if short => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            return None;
        }
        "slow-trickle" if short => {
            for byte in whole.as_bytes() {
                stream.write_all(&[*byte]).await.ok()?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            return Some(());
        }
        "reset-mid-body" if short && body.len() > 8 => {
            let part = whole.len() - body.len() / 2;
            stream.write_all(&whole.as_bytes()[..part]).await.ok()?;
            return None;
        }
        "endless-body" if short => {
            stream.write_all(format!("{head}\r\n").as_bytes()).await.ok()?;
            loop {
                stream.write_all(&[b'x'; 8192]).await.ok()?;
            }
        }
        "204-has-body" if reply.status == 204 => {
            stream.write_all(format!("{head}Content-Length: 2\r\n\r\n{{}}").as_bytes()).await.ok()?;
            return None;
        }
        "dies-half-way" if count > DIES_AFTER => return None,
        _ => {}
    }
    stream.write_all(whole.as_bytes()).await.ok()
}
