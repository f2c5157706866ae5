//! Makes text from a server safe to show. Each format escapes its own markup; this is what all share.

use std::fmt::Write;

/// Makes control characters visible, which XML forbids too, and invisible characters that reorder text or vanish, such as
/// U+202E. Line feeds and tabs stay. A carriage return before a line feed is part of the line end.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => out.push(c),
            '\r' if chars.peek() == Some(&'\n') => {}
            _ if is_hidden(c) => {
                // Writing to a string can't fail.
                let _ = write!(out, "‹U+{:04X}›", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out
}

pub fn is_hidden(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f'                   // controls; line feed and tab are kept before this
        | '\x7f'..='\u{9f}'             // delete, and the C1 controls
        | '\u{ad}'                      // soft hyphen
        | '\u{61c}'                     // Arabic letter mark
        | '\u{180e}'                    // Mongolian vowel separator
        | '\u{200b}'..='\u{200f}'       // zero width, and direction marks
        | '\u{2028}'..='\u{202e}'       // separators, and direction embeddings and overrides
        | '\u{2060}'..='\u{206f}'       // joiners, isolates, deprecated controls
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{fffe}' | '\u{ffff}'       // illegal in XML
        | '\u{e0000}'..='\u{e0fff}'     // tags and what else is ignorable
    )
}

/// Escapes text and attributes of XML and HTML.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            // Always, since XML text must not contain `]]>`.
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// The same on one line: for lists, and for attributes, where line ends would be lost.
pub fn one_line(text: &str) -> String {
    visible(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most `limit` characters, with a note of how much was cut.
pub fn clip(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} more characters)", &text[..end], text[end..].chars().count()),
    }
}

/// The beginning of a text, to quote in a message.
pub fn beginning(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_show() {
        assert_eq!(visible("a\u{1b}[31m\0\x7f"), "a‹U+001B›[31m‹U+0000›‹U+007F›");
        assert_eq!(
            visible("user\u{202e}nimda \u{200b}\u{feff}\u{85}\u{ffff}"),
            "user‹U+202E›nimda ‹U+200B›‹U+FEFF›‹U+0085›‹U+FFFF›"
        );
        assert_eq!(visible("one\r\ntwo\tthree\rfour"), "one\ntwo\tthree‹U+000D›four");
    }

    #[test]
    fn marks_are_escaped() {
        assert_eq!(escape("<a b='c' d=\"e\">]]>&amp;"), "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;]]&gt;&amp;amp;");
    }

    #[test]
    fn a_clip_says_what_is_missing() {
        assert_eq!(clip("äöü", 3), "äöü");
        assert_eq!(clip("äöüß!", 3), "äöü… (2 more characters)");
    }
}
