//! What no output may show: every secret the run knows, and the name that is shown in its place.

use std::cell::RefCell;

/// Values shorter than this would blacken half of every page; no real secret is so short.
const SHORTEST: usize = 4;

/// All the secrets of a run. Whatever leaves the process passes through [`Vault::mask`].
#[derive(Default)]
pub struct Vault {
    /// The longest first, so that a secret inside another never leaves the outer one's rest behind.
    known: RefCell<Vec<(String, String)>>,
}

impl Vault {
    /// Remembers a secret in every form it may come back in; the first name given to a value stays.
    pub fn learn(&self, name: &str, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        let mut known = self.known.borrow_mut();
        for form in [secret.to_owned(), json_escaped(secret), url_encoded(secret)] {
            if known.iter().any(|(k, _)| *k == form) {
                continue;
            }
            let at = known.partition_point(|(k, _)| k.len() >= form.len());
            known.insert(at, (form, format!("${name}")));
        }
    }

    pub fn mask(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (secret, name) in self.known.borrow().iter() {
            if text.contains(secret.as_str()) {
                text = replace(&text, secret, name);
            }
        }
        text
    }
}

/// A code of six digits is masked where it stands alone: inside a longer number it is a coincidence.
fn replace(text: &str, secret: &str, name: &str) -> String {
    if !secret.bytes().all(|b| b.is_ascii_digit()) {
        return text.replace(secret, name);
    }
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(secret) {
        let (before, after) = (&rest[..at], &rest[at + secret.len()..]);
        let alone = !digit(before.chars().next_back()) && !digit(after.chars().next());
        out.push_str(before);
        out.push_str(if alone { name } else { secret });
        rest = after;
    }
    out + rest
}

fn json_escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn url_encoded(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
            _ => format!("%{b:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_masked() {
        let vault = Vault::default();
        vault.learn("SECRET", "a\"b/c d");
        assert_eq!(vault.mask(r#"a"b/c d, a\"b/c d, a%22b%2Fc%20d"#), "$SECRET, $SECRET, $SECRET");
    }

    #[test]
    fn the_longer_secret_goes_first() {
        let vault = Vault::default();
        vault.learn("SHORT", "abcd");
        vault.learn("LONG", "abcdefgh");
        assert_eq!(vault.mask("abcdefgh abcd"), "$LONG $SHORT");
    }

    #[test]
    fn a_code_inside_a_number_is_a_coincidence() {
        let vault = Vault::default();
        vault.learn("CODE", "776000");
        assert_eq!(vault.mask("7776000 776000 \"776000\""), "7776000 $CODE \"$CODE\"");
    }
}
