//! A request as a line for a shell, with `$VARS` for every secret.

use crate::http::{Client, Request};
use crate::mask::Vault;

/// Masks each piece before quoting it: afterwards a secret with a quote in it would no longer look like itself.
pub fn line(client: &Client, request: &Request, vault: &Vault) -> String {
    let quoted = |text: &str| quoted(&vault.mask(text));
    let mut line = format!("curl -i -X {} {}", request.method, quoted(&client.url(&request.path)));
    if request.method == "HEAD" {
        line = format!("curl -I {}", quoted(&client.url(&request.path)));
    }
    for (name, value) in request.headers.iter().filter(|(name, _)| name != "accept") {
        line += &format!(" -H {}", quoted(&format!("{name}: {value}")));
    }
    if request.chunked {
        line += " -H 'transfer-encoding: chunked'";
    }
    match std::str::from_utf8(&request.body) {
        Ok("") => {}
        Ok(text) if text.len() <= 2048 => line += &format!(" --data-binary {}", quoted(text)),
        _ => line += &format!(" --data-binary @body.json  # {} bytes, see the report", request.body.len()),
    }
    line
}

/// In double quotes, so that the names that stand for secrets are filled in by the shell.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '`') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}
