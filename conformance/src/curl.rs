//! A request as a curl command, with a `$VAR` for each secret.

use crate::http::{Client, Request};
use crate::mask::{Piece, Vault};
use crate::text::visible;

/// Masks each part before quoting it: a quoted secret that contains a quote would not be recognised.
pub fn line(client: &Client, request: &Request, vault: &Vault) -> String {
    let quoted = |text: &str| quoted(&vault.pieces(text));
    let mut line = format!("curl -i -X {} {}", request.method, quoted(&client.url(&request.path)));
    if request.method == "HEAD" {
        line = format!("curl -I {}", quoted(&client.url(&request.path)));
    }
    for (name, value) in request.headers.iter().filter(|(name, _)| name != "accept") {
        line += &format!(" -H {}", quoted(&format!("{name}: {value}")));
    }
    for (name, value) in &client.way.headers {
        line += &format!(" -H {}", quoted(&format!("{name}: {value}")));
    }
    if request.chunked {
        line += " -H 'transfer-encoding: chunked'";
    }
    match std::str::from_utf8(&request.body) {
        Ok("") => {}
        // Invisible characters can't be copied.
        Ok(text) if text.len() <= 2048 && visible(text) == text && !text.contains('\n') => {
            line += &format!(" --data-binary {}", quoted(text));
        }
        _ => line += &format!(" --data-binary @body.json  # {} bytes, see the report", request.body.len()),
    }
    line
}

/// Quotes for a shell: text in single quotes, which it does not expand, and names of secrets in double quotes.
fn quoted(pieces: &[Piece]) -> String {
    let out: String = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) if text.is_empty() => String::new(),
            Piece::Text(text) => format!("'{}'", visible(text).replace('\n', "‹U+000A›").replace('\'', r"'\''")),
            Piece::Name(name) => format!("\"{name}\""),
        })
        .collect();
    if out.is_empty() { "''".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_runs_no_server_text() {
        let vault = Vault::default();
        vault.learn("TOKEN", "secret'token");
        let evil = "$(touch ran) `touch ran` ${HOME} \"; touch ran; ' touch ran ' \\ !! # & | \u{202e}\u{1b}[31m\nx";
        let request = Request {
            method: "POST".to_owned(),
            path: "/x".to_owned(),
            headers: vec![("x-evil".to_owned(), evil.to_owned()), ("x-token".to_owned(), "secret'token".to_owned())],
            body: b"{\"a\":\"$(touch ran)'\"}".to_vec(),
            chunked: false,
        };
        let client =
            Client::new("http://127.0.0.1:1/v1", std::time::Duration::from_secs(1), crate::http::Way::default())
                .unwrap();
        let line = line(&client, &request, &vault);
        assert_eq!(line.lines().count(), 1, "{line}");
        let dir = std::env::temp_dir().join(format!("conformance-curl-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let script = format!("curl() {{ for a; do printf '%s\\n' \"$a\"; done; }}; TOKEN=filled-in; {line}");
        let output = std::process::Command::new("sh").args(["-c", &script]).current_dir(&dir).output().unwrap();
        let arguments = String::from_utf8(output.stdout).unwrap();
        let wanted = ["-i", "-X", "POST", "http://127.0.0.1:1/v1/x", "-H"].join("\n");
        assert!(arguments.starts_with(&wanted), "{arguments}");
        assert!(arguments.contains("$(touch ran) `touch ran` ${HOME} \"; touch ran; ' touch ran ' \\ !! # & |"));
        assert!(arguments.contains("x-token: filled-in\n") && arguments.contains("{\"a\":\"$(touch ran)'\"}"));
        assert!(output.stderr.is_empty() && !dir.join("ran").exists());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
