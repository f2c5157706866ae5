//! Input generators for this workspace's fuzz targets: valid texts with random edits, so that inputs get past a
//! parser's first checks. The targets are in each crate's `fuzz.rs`; `docs/fuzzing.md` lists them.

use core::fmt;
use core::ops::{Deref, Range};

use bolero::{Driver, ValueGenerator};
use serde_json::Value;

pub use bolero;

/// How many inputs a target gets as a plain test. An engine decides that itself.
pub const EFFORT: usize = 256;

/// Runs a target: passes each generated input to the body. A slow target sets how many inputs it gets as a plain test.
#[macro_export]
macro_rules! check {
    ($generator:expr, |$input:pat_param| $body:expr) => {
        $crate::check!($crate::EFFORT; $generator, |$input| $body)
    };
    ($effort:expr; $generator:expr, |$input:pat_param| $body:expr) => {
        $crate::bolero::check!().with_iterations($effort).with_generator($generator).for_each(|$input| $body)
    };
}

/// Bytes that a target reads as text.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(pub Vec<u8>);

/// Generates texts: one of these with up to seven edits, and sometimes random bytes.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'s>(&'s [&'s str]);

/// A generator of texts like these.
pub const fn texts<'s>(like: &'s [&'s str]) -> Texts<'s> {
    Texts(like)
}

/// Fragments that are hard for parsers, in any of the formats here.
const STRANGE: [&str; 48] = [
    "",
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1.5",
    "1e3",
    "1e999",
    "-0",
    "3600",
    "1800000000",
    "253402300799",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "99999999999999999999",
    "\"\"",
    "\"x\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\u0061\"",
    "{}",
    "[]",
    "{\"a\":1}",
    "[[[[[[[[[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":",
    "\\",
    "\"",
    "*",
    ":",
    ".",
    ",",
    "=",
    "&",
    "+",
    "%",
    "%2F",
    "%ff",
    "%z",
    " ",
    "\n",
    "\t",
    "\0",
    "\u{feff}",
    "é",
    "\u{202e}",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

impl ValueGenerator for Texts<'_> {
    type Output = Text;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Text> {
        let choice = driver.produce::<u8>()?;
        if choice >= 248 {
            return driver.produce().map(Text);
        }
        let mut text = self.seed(choice).to_vec();
        for _ in 0..driver.produce::<u8>()? % 8 {
            self.edit(&mut text, driver)?;
        }
        Some(Text(text))
    }
}

impl Texts<'_> {
    fn seed(&self, choice: u8) -> &[u8] {
        self.0[usize::from(choice) % self.0.len()].as_bytes()
    }

    fn edit<D: Driver>(&self, text: &mut Vec<u8>, driver: &mut D) -> Option<()> {
        let (kind, at, by) = driver.produce::<(u8, u16, u8)>()?;
        let tokens = tokens(text);
        let run = |tokens: &[Range<usize>], length: u8| {
            let first = usize::from(at) % tokens.len();
            let last = (first + usize::from(length % 12)).min(tokens.len() - 1);
            tokens[first].start..tokens[last].end
        };
        match kind % 9 {
            _ if text.is_empty() => text.push(by),
            // Replace a token.
            0 | 1 => {
                text.splice(run(&tokens, 0), strange(by).bytes());
            }
            2 => {
                text.splice(run(&tokens, by), []);
            }
            // Repeat a member or an item.
            3 => {
                let range = run(&tokens, by);
                let again = text[range.clone()].to_vec();
                text.splice(range.end..range.end, again);
            }
            // Insert a part of another text.
            4 => {
                let other = self.seed(by);
                if !other.is_empty() {
                    let part = run(&self::tokens(other), by / 16);
                    text.splice(run(&tokens, 0), other[part].iter().copied());
                }
            }
            // Swap two tokens.
            5 => {
                let (a, b) = (run(&tokens, 0), tokens[usize::from(by) % tokens.len()].clone());
                let (first, second) = if a.start <= b.start { (a, b) } else { (b, a) };
                if first.end <= second.start {
                    let (one, other) = (text[first.clone()].to_vec(), text[second.clone()].to_vec());
                    text.splice(second, one);
                    text.splice(first, other);
                }
            }
            6 => {
                let at = usize::from(at) % text.len();
                text[at] ^= 1 << (by % 8);
            }
            7 => {
                let at = usize::from(at) % (text.len() + 1);
                text.splice(at..at, strange(by).bytes());
            }
            _ => text.truncate(usize::from(at) % (text.len() + 1)),
        }
        Some(())
    }
}

fn strange(choice: u8) -> &'static str {
    STRANGE[usize::from(choice) % STRANGE.len()]
}

/// The words of a text, and the signs between them, for JSON, TOML, forms, paths, headers and tokens.
fn tokens(text: &[u8]) -> Vec<Range<usize>> {
    let mut tokens: Vec<Range<usize>> = Vec::new();
    let mut in_word = false;
    for (at, byte) in text.iter().enumerate() {
        let is_sign = !byte.is_ascii_alphanumeric() && !b"_-".contains(byte) && byte.is_ascii();
        match tokens.last_mut() {
            Some(word) if in_word && !is_sign => word.end = at + 1,
            _ => tokens.push(at..at + 1),
        }
        in_word = !is_sign;
    }
    tokens
}

impl Text {
    /// The text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        core::str::from_utf8(&self.0).ok()
    }

    /// The text, with invalid UTF-8 replaced.
    pub fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    pub fn contains(&self, part: &str) -> bool {
        self.0.windows(part.len()).any(|window| window == part.as_bytes())
    }
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// Whether a document that serde_json accepts repeats a name in an object, at any depth. This needs no other JSON parser:
/// each member has one colon outside of strings, and serde_json drops repeated members.
pub fn repeats_a_name(json: &[u8], value: &Value) -> bool {
    fn members(value: &Value) -> usize {
        match value {
            Value::Array(items) => items.iter().map(members).sum(),
            Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
            _ => 0,
        }
    }
    let (mut colons, mut in_string, mut escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b':' if !in_string => colons += 1,
            _ => {}
        }
    }
    members(value) < colons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_into_tokens() {
        let spans: Vec<_> = tokens(br#"{"a_b":-1.5}"#).into_iter().map(|range| range.len()).collect();
        assert_eq!(spans, [1, 1, 3, 1, 1, 2, 1, 1, 1]);
    }

    /// Some of the generated texts are valid, and the others include shorter and longer ones.
    #[test]
    fn valid_and_invalid_texts_are_generated() {
        use std::cell::Cell;
        thread_local!(static SEEN: Cell<[bool; 3]> = const { Cell::new([false; 3]) });
        let seed = r#"{"a":1,"b":2}"#;
        check!(texts(&[seed]), |text| {
            let [sound, changed, longer] = SEEN.get();
            SEEN.set([
                sound || **text == *seed.as_bytes(),
                changed || text.len() < seed.len(),
                longer || text.len() > seed.len(),
            ]);
        });
        assert_eq!(SEEN.get(), [true; 3]);
    }
}
