//! Output to the terminal or a pipe, and where new credentials go.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::{Path, PathBuf};

use crate::files;

/// Prints a note to standard error, above the progress line if there is one.
pub fn note(text: &str) {
    let _ = writeln!(stderr(), "{}admin: {text}", erase());
}

/// Prints the result. A closed pipe, as with `head`, is not an error.
pub fn say(text: &str) {
    let _ = write!(stderr(), "{}", erase());
    let _ = writeln!(stdout(), "{text}");
}

/// Prints credentials that are shown only once. Here a closed pipe is an error.
pub fn hand_over(id: &str, text: &str) -> Result<(), String> {
    let _ = write!(stderr(), "{}", erase());
    let mut out = stdout();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| {
        format!(
            "the output could not be written ({error}), so the new credentials of {id} are lost: end them, and create new ones \
             with `admin client add-secret` or `new-totp`"
        )
    })
}

/// A progress line, replaced by the next one; on a terminal only.
pub fn live(text: &str) {
    if stderr().is_terminal() {
        let _ = write!(stderr(), "{}{text}", erase());
        let _ = stderr().flush();
    }
}

fn erase() -> &'static str {
    if stderr().is_terminal() { "\r\x1b[K" } else { "" }
}

/// Text in a colour (SGR number), if standard output is a terminal and NO_COLOR is not set.
pub fn coloured(number: u8, text: &str) -> String {
    let wanted = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted { format!("\x1b[{number}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Text from the service, made safe to print: one line, without control characters.
pub fn plain(text: &str) -> String {
    text.chars().take(500).map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// New credentials of a client, as (name, value).
pub type Shown = Vec<(&'static str, String)>;

/// Where new credentials go: to the output, or to a file of their own, which is opened before they are created.
pub enum Sink {
    Output,
    File { path: PathBuf, file: RefCell<File> },
}

impl Sink {
    pub fn open(path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else { return Ok(Self::Output) };
        Ok(Self::File { path: path.to_owned(), file: RefCell::new(files::create(path)?) })
    }

    /// Returns the lines to show. A file is synced at once, since a later step may fail.
    pub fn put(&self, client_id: &str, shown: &Shown) -> Result<Vec<(String, String)>, String> {
        let Self::File { path, file } = self else {
            return Ok(shown.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect());
        };
        if shown.is_empty() {
            return Ok(Vec::new());
        }
        let quoted = |value: &str| toml::Value::from(value).to_string();
        let mut text = format!("[[client]]\nclient_id = {}\n", quoted(client_id));
        for (name, value) in shown {
            text += &format!("{name} = {}\n", quoted(value));
        }
        text.push('\n');
        let mut file = file.borrow_mut();
        file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).map_err(|error| {
            format!(
                "the new credentials of {client_id} could not be written to {} ({error}) and are lost: end them, and create \
                 new ones with `admin client add-secret` or `new-totp`",
                path.display()
            )
        })?;
        let names: Vec<_> = shown.iter().map(|(name, _)| *name).collect();
        Ok(vec![("written".to_owned(), format!("{} to {}", names.join(", "), path.display()))])
    }

    /// Removes the file again if it is empty.
    pub fn close(self) {
        if let Self::File { path, file } = self
            && file.into_inner().metadata().is_ok_and(|metadata| metadata.len() == 0)
        {
            let _ = fs::remove_file(path);
        }
    }
}

/// Lines of names and values, the values in one column.
pub fn columns(indent: &str, rows: &[(String, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<_> = rows.iter().map(|(name, value)| format!("{indent}{name:<width$}  {value}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_removed_from_the_servers_text() {
        assert_eq!(plain("a\x1b[2J\nb"), "a [2J b");
    }

    #[test]
    fn credentials_in_a_file_are_not_shown() {
        let path = std::env::temp_dir().join(format!("admin-sink-{}.toml", std::process::id()));
        let _ = fs::remove_file(&path);
        let sink = Sink::open(Some(&path)).unwrap();
        assert!(Sink::open(Some(&path)).is_err(), "never overwritten");
        let rows = sink.put("a", &vec![("client_secret", "s\"3".to_owned())]).unwrap();
        assert!(!columns("", &rows).contains("s\"3"));
        let table: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        assert_eq!(table["client"][0]["client_secret"].as_str(), Some("s\"3"));
        sink.close();
        assert!(path.exists(), "not empty");
        fs::remove_file(&path).unwrap();
        Sink::open(Some(&path)).unwrap().close();
        assert!(!path.exists(), "empty");
    }
}
