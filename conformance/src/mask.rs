//! Masks secrets in all output: each is replaced by a name.
//!
//! There are three filters: every secret that the run knows, in each encoding in which it may come back; everything that
//! looks like a token; and, in text from a server, every value after a name such as `token`. Text is masked before it is
//! truncated, since a truncated secret might not be recognised.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Shorter values are not masked everywhere: that would mask half of every page, and no real secret is so short. Secrets are
/// looked up by a prefix of this length, so that thousands of them cost no more than one.
const SHORTEST: usize = 4;
/// This much of a truncated secret is enough to recognise and mask it.
const TELLING: usize = 12;
/// The name for a value that looks like a secret, or is where a secret would be, but that the run does not know.
const UNNAMED: &str = "$SECRET";

/// All secrets of a run. All output passes through it.
#[derive(Default)]
pub struct Vault {
    known: RefCell<Known>,
    /// Values that look random but are not secret: token ids and client ids.
    open: RefCell<HashSet<String>>,
}

#[derive(Default)]
struct Known {
    /// Each encoding of each secret, with its name.
    forms: Vec<(String, String)>,
    by_start: HashMap<[u8; SHORTEST], Vec<usize>>,
    /// The first two bytes of all encodings, to skip most positions of a text quickly.
    pairs: Vec<bool>,
    names: HashMap<String, String>,
}

/// A part of a masked text: text that may be shown, or the name of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    Name(String),
}

impl Vault {
    /// Remembers a secret, in every encoding in which it may come back. A value keeps its first name.
    pub fn learn(&self, name: &str, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        let (json, url) = (json_escaped(secret), url_encoded(secret));
        let forms = [
            secret.to_owned(),
            json_escaped(&json),
            json.replace('/', "\\/"),
            json,
            url.replace("%20", "+"),
            url,
            html_escaped(secret),
            decoded(secret),
            STANDARD_NO_PAD.encode(secret),
            URL_SAFE_NO_PAD.encode(secret),
        ];
        let known = &mut *self.known.borrow_mut();
        for form in forms {
            if known.names.contains_key(&form) {
                continue;
            }
            let at = known.forms.len();
            if let Some(start) = start(form.as_bytes()) {
                known.pairs.resize(1 << 16, false);
                known.pairs[pair(&start)] = true;
                known.by_start.entry(start).or_default().push(at);
            }
            known.names.insert(form.clone(), format!("${name}"));
            known.forms.push((form, format!("${name}")));
        }
    }

    /// Remembers a value that may be shown although it looks random.
    pub fn open(&self, value: &str) {
        self.open.borrow_mut().insert(value.to_owned());
    }

    pub fn knows(&self, secret: &str) -> bool {
        self.known.borrow().names.contains_key(secret)
    }

    /// For text that this process wrote itself.
    pub fn mask(&self, text: &str) -> String {
        joined(&self.pieces(text))
    }

    /// For text from the server: also masks values after names such as `token`.
    pub fn mask_foreign(&self, text: &str) -> String {
        joined(&self.masked(text, |text| [keyed(text, is_secret), behind_scheme(text)].concat()))
    }

    /// For an answer that may contain a token anywhere: masks every longer word.
    pub fn mask_suspect(&self, text: &str) -> String {
        joined(&self.masked(text, |text| [keyed(text, is_secret), behind_scheme(text), self.long_words(text)].concat()))
    }

    pub fn pieces(&self, text: &str) -> Vec<Piece> {
        self.masked(text, |_| Vec::new())
    }

    /// If escapes hide a secret, the text is masked and shown unescaped.
    fn masked(&self, text: &str, more: impl Fn(&str) -> Vec<Range<usize>>) -> Vec<Piece> {
        let mask = |text: &str| self.masked_as_is(text, &more);
        let hides = |text: &str| joined(&mask(text)) != text;
        let plain = unescaped(text);
        let pieces = mask(if plain != text && hides(&plain) { &plain } else { text });
        let shown = joined(&pieces);
        let plain = decoded(&shown);
        if plain != shown && hides(&plain) { mask(&decoded(text)) } else { pieces }
    }

    fn masked_as_is(&self, text: &str, more: impl Fn(&str) -> Vec<Range<usize>>) -> Vec<Piece> {
        let known = self.known.borrow();
        let mut found = known.within(text, &self.open.borrow());
        let unnamed = [token_forms(text, |word| self.open.borrow().contains(word)), more(text)].concat();
        let unnamed = unnamed.into_iter().filter(|range| !range.is_empty() && !is_name(&text[range.clone()]));
        found.extend(unnamed.map(|range| {
            let name = known.names.get(&text[range.clone()]).map_or(UNNAMED, String::as_str);
            (range, name.to_owned())
        }));
        pieces(text, found)
    }

    fn long_words(&self, text: &str) -> Vec<Range<usize>> {
        let open = self.open.borrow();
        words(text, |b| is_base64url(b) || b".~".contains(&b))
            .into_iter()
            .filter(|word| {
                let value = &text[word.clone()];
                let is_exempt = is_token_id(value)
                    || NAMES.contains(&value)
                    || open.contains(value)
                    || is_name_at(text, word)
                    || text[..word.start].ends_with("\"secret_id\":\"");
                value.len() >= 16 && !is_exempt
            })
            .collect()
    }
}

impl Known {
    fn within(&self, text: &str, open: &HashSet<String>) -> Vec<(Range<usize>, String)> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < text.len() {
            match self.at(text, at, open) {
                Some((length, name)) => {
                    found.push((at..at + length, name));
                    at += length;
                }
                None => at += text[at..].chars().next().map_or(1, char::len_utf8),
            }
        }
        found
    }

    /// The longest secret that begins here, or the beginning of one; an exact match is preferred to one in another case.
    fn at(&self, text: &str, at: usize, open: &HashSet<String>) -> Option<(usize, String)> {
        let here = &text.as_bytes()[at..];
        if here.len() < SHORTEST || !self.pairs.get(pair(here)).copied().unwrap_or_default() {
            return None;
        }
        let indexed = self.by_start.get(&start(here)?)?;
        // Usually the secret is a whole word. All tokens have the same beginning, so try that first.
        let word = here.iter().take_while(|b| is_base64url(**b) || **b == b'.').count();
        if let Some(name) = self.names.get(&text[at..at + word]).filter(|_| word > TELLING) {
            return Some((word, name.clone()));
        }
        let mut best: Option<((bool, bool, usize), &str)> = None;
        for (form, name) in indexed.iter().map(|i| (&self.forms[*i].0, &self.forms[*i].1)) {
            let common = here.iter().zip(form.as_bytes()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
            let whole = common == form.len();
            let exact = here.starts_with(form.as_bytes());
            let cut = common >= TELLING && here[..common].iter().all(|b| is_base64url(*b));
            let stray = whole && ((form.len() < 8 && !exact) || !stands_alone(text, at, form));
            if (whole || cut) && !stray {
                let rank = (whole, exact, common);
                if best.is_none_or(|(other, _)| rank > other) {
                    best = Some((rank, name));
                }
            }
        }
        let ((whole, _, length), name) = best?;
        // A client id may have the same beginning as its secret.
        if !whole && open.contains(&text[at..at + word]) {
            return None;
        }
        // This can't cut a character: the common part is ASCII.
        Some((length, if whole { name.to_owned() } else { format!("{name}_CUT") }))
    }
}

/// Replaces each range by its name. Overlapping ranges are masked together, under the name of the range that covers the
/// others.
fn pieces(text: &str, mut found: Vec<(Range<usize>, String)>) -> Vec<Piece> {
    found.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
    let mut merged: Vec<(Range<usize>, String)> = Vec::new();
    for (range, name) in found {
        match merged.last_mut() {
            Some((before, known)) if range == *before && known == UNNAMED => *known = name,
            Some((before, _)) if range.end <= before.end => {}
            Some((before, known)) if range.start < before.end => {
                before.end = range.end;
                UNNAMED.clone_into(known);
            }
            _ => merged.push((range, name)),
        }
    }
    let mut pieces = Vec::new();
    let mut done = 0;
    for (range, name) in merged {
        pieces.push(Piece::Text(text[done..range.start].to_owned()));
        pieces.push(Piece::Name(name));
        done = range.end;
    }
    pieces.push(Piece::Text(text[done..].to_owned()));
    pieces
}

/// A code of six digits is masked only if it stands alone: within a longer number it is a coincidence.
fn stands_alone(text: &str, at: usize, form: &str) -> bool {
    if !form.bytes().all(|b| b.is_ascii_digit()) {
        return true;
    }
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    !digit(text[..at].chars().next_back()) && !digit(text[at + form.len()..].chars().next())
}

fn start(bytes: &[u8]) -> Option<[u8; SHORTEST]> {
    let mut start: [u8; SHORTEST] = bytes.get(..SHORTEST)?.try_into().ok()?;
    start.make_ascii_lowercase();
    Some(start)
}

fn pair(bytes: &[u8]) -> usize {
    usize::from(bytes[0].to_ascii_lowercase()) << 8 | usize::from(bytes[1].to_ascii_lowercase())
}

fn joined(pieces: &[Piece]) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Text(text) | Piece::Name(text) => text.clone(),
    };
    pieces.iter().map(text).collect()
}

// ---- what looks like a token

/// JWS compact serializations (RFC 7515 section 7.1), also truncated at either end, and random-looking words. `open` exempts
/// the latter.
pub fn token_forms(text: &str, open: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for word in words(text, |b| is_base64url(b) || b == b'.') {
        let secret = text[word.clone()].split('.').any(|segment| {
            let exempt = is_token_id(segment) || open(segment);
            // Every JSON object in base64url begins with this.
            let object = segment.find("eyJ").is_some_and(|i| segment.len() >= i + 8 && (i == 0 || !exempt));
            object || (!exempt && is_random(segment))
        });
        if secret {
            let rest = text[word.end..].bytes().take_while(|b| is_base64url(*b) || b".~+/=".contains(b)).count();
            found.push(word.start..word.end + rest);
        }
    }
    found
}

fn is_random(word: &str) -> bool {
    let count = |wanted: fn(&u8) -> bool| word.bytes().filter(wanted).count();
    let (lower, upper, digits) =
        (count(u8::is_ascii_lowercase), count(u8::is_ascii_uppercase), count(u8::is_ascii_digit));
    let uuid = word.len() == 36 && word.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    (word.len() >= 24 && lower > 0 && upper > 0 && digits > 0)
        || (word.len() >= 32 && lower + upper >= 8 && digits >= 8 && !uuid)
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Token ids are not secret: they are in paths, and readers of a report need them.
fn is_token_id(word: &str) -> bool {
    word.starts_with("tok_lt_") || word.starts_with("tok_st_")
}

/// Long names that conformant answers have.
const NAMES: [&str; 5] = [
    "x-content-type-options",
    "strict-transport-security",
    "www-authenticate",
    "content-security-policy",
    "tokens_valid_from",
];

fn words(text: &str, belongs: impl Fn(u8) -> bool) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut all = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|b| belongs(**b)).count();
        if length > 0 {
            all.push(at..at + length);
        }
        at += length + 1;
    }
    all
}

// ---- values after names of secrets

/// The values after these names: JSON members, URL parameters, XML elements, headers.
pub fn keyed(text: &str, wanted: fn(&str) -> bool) -> Vec<Range<usize>> {
    words(text, is_base64url)
        .into_iter()
        .filter(|word| wanted(&text[word.clone()]) && !is_name_at(text, word))
        .filter_map(|word| value_behind(text, word.end))
        .collect()
}

pub fn is_secret(name: &str) -> bool {
    let ends = [
        "token",
        "jwt",
        "bearer",
        "secret",
        "password",
        "passwd",
        "assertion",
        "apikey",
        "privatekey",
        "cookie",
        "authorization",
        "otpcode",
        "sessionid",
        "session",
        "credential",
        "credentials",
    ];
    is_one_of(name, &ends)
}

/// Whether a member or header of this name may contain a usable token.
pub fn is_token(name: &str) -> bool {
    is_one_of(name, &["token", "jwt", "bearer", "authorization"]) && !is_one_of(name, &["refreshtoken"])
}

pub fn is_id(name: &str) -> bool {
    is_one_of(name, &["tokenid", "jti"])
}

fn is_one_of(name: &str, ends: &[&str]) -> bool {
    let fits = |end: &&str| {
        let mut letters = name.bytes().rev().filter(u8::is_ascii_alphanumeric);
        end.bytes().rev().all(|b| letters.next().is_some_and(|letter| letter.eq_ignore_ascii_case(&b)))
    };
    ends.iter().any(fits)
}

fn value_behind(text: &str, at: usize) -> Option<Range<usize>> {
    let rest = text[at..].trim_start_matches(['"', '\'', '\\']).trim_start();
    let sign = rest.chars().next().filter(|c| ":=>".contains(*c))?;
    let rest = rest[1..].trim_start();
    let from = |rest: &str| text.len() - rest.len();
    // In a string within a string, quotes are escaped, and quotes in the value have more backslashes.
    let quoted = rest.trim_start_matches('\\');
    let depth = rest.len() - quoted.len();
    if let Some(value) = quoted.strip_prefix(['"', '\'']) {
        let quote = quoted.as_bytes()[0];
        let mut slashes = 0;
        for (at, byte) in value.bytes().enumerate() {
            if byte == quote && slashes <= depth {
                return Some(from(value)..from(value) + at - slashes);
            }
            slashes = if byte == b'\\' { slashes + 1 } else { 0 };
        }
        // The text was truncated.
        return Some(from(value)..text.len());
    }
    let end = rest.find(|c: char| c.is_whitespace() || "&,;<>\"'{}[]()".contains(c)).unwrap_or(rest.len());
    let value = &rest[..end];
    // After a colon there may be a sentence.
    let word = sign == ':' && !(value.len() >= 20 || (value.len() >= 8 && value.bytes().any(|b| b.is_ascii_digit())));
    (!word).then(|| from(rest)..from(rest) + end)
}

/// The credentials after a scheme of the Authorization header, anywhere in a text.
fn behind_scheme(text: &str) -> Vec<Range<usize>> {
    let lower = text.to_ascii_lowercase();
    let mut found = Vec::new();
    for scheme in ["bearer ", "basic ", "dpop "] {
        for (at, _) in lower.match_indices(scheme) {
            let start = at + scheme.len();
            let rest = &text[start..];
            let length = rest.bytes().take_while(|b| is_base64url(*b) || b"._~+/".contains(b)).count();
            let glued = text[..at].bytes().next_back().is_some_and(is_base64url);
            let long = length >= 16 || (length >= 8 && rest[..length].bytes().any(|b| b.is_ascii_digit()));
            // `realm="…"` and the like are parameters of a challenge.
            if long && !glued && !rest[length..].starts_with("=\"") {
                let padding = rest[length..].bytes().take_while(|b| *b == b'=').count();
                found.push(start..start + length + padding);
            }
        }
    }
    found
}

/// Whether this is already the name of a masked secret.
fn is_name(text: &str) -> bool {
    text.strip_prefix('$').is_some_and(|name| !name.is_empty() && name.bytes().all(is_name_byte))
}

fn is_name_at(text: &str, word: &Range<usize>) -> bool {
    text[..word.start].ends_with('$') && text[word.clone()].bytes().all(is_name_byte)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'
}

// ---- encodings

/// Decodes the escapes of characters that a token may have.
pub fn unescaped(text: &str) -> String {
    without_escapes(text, |byte| is_base64url(byte) || byte == b'.')
}

/// Decodes the escapes of all visible characters, also nested escapes.
fn decoded(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..4 {
        let plain = without_escapes(&text, |byte| byte.is_ascii_graphic() || byte == b' ');
        if plain == text {
            break;
        }
        text = plain;
    }
    text
}

/// Escapes of JSON, URLs and HTML.
fn without_escapes(text: &str, wanted: fn(u8) -> bool) -> String {
    if !['\\', '%', '&'].iter().any(|c| text.contains(*c)) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '%', '&']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (c, length) = escape(rest)
            .filter(|(byte, _)| wanted(*byte))
            .map(|(byte, length)| (char::from(byte), length))
            .unwrap_or_else(|| (rest.chars().next().unwrap_or_default(), 1));
        out.push(c);
        rest = &rest[length..];
    }
    out + rest
}

/// The character of an escape at the beginning of a text, and the escape's length.
fn escape(text: &str) -> Option<(u8, usize)> {
    let number = |prefix: &str, digits: usize, radix: u32| {
        let code = text.strip_prefix(prefix)?.get(..digits)?;
        Some((u8::try_from(u32::from_str_radix(code, radix).ok()?).ok()?, prefix.len() + digits))
    };
    let entity = |prefix: &str, radix: u32| {
        let digits = text.strip_prefix(prefix)?.find(';').filter(|n| (1..=7).contains(n))?;
        number(prefix, digits, radix).map(|(byte, length)| (byte, length + 1))
    };
    let names: [(&str, u8); 8] = [
        ("\\\"", b'"'),
        ("\\\\", b'\\'),
        ("\\/", b'/'),
        ("&quot;", b'"'),
        ("&amp;", b'&'),
        ("&lt;", b'<'),
        ("&gt;", b'>'),
        ("&apos;", b'\''),
    ];
    number("\\u", 4, 16)
        .or_else(|| number("%", 2, 16))
        .or_else(|| entity("&#x", 16))
        .or_else(|| entity("&#X", 16))
        .or_else(|| entity("&#", 10))
        .or_else(|| names.iter().find(|(name, _)| text.starts_with(name)).map(|(name, byte)| (*byte, name.len())))
}

pub fn json_escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

pub fn url_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_base64url(byte) || b".~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

fn html_escaped(text: &str) -> String {
    let escapes = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&#39;")];
    escapes.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";

    fn vault(secrets: &[(&str, &str)]) -> Vault {
        let vault = Vault::default();
        secrets.iter().for_each(|(name, secret)| vault.learn(name, secret));
        vault
    }

    #[test]
    fn every_form_is_masked() {
        let vault = vault(&[("SECRET", "a\"b/c d&e")]);
        let sent = r#"a"b/c d&e, a\"b/c d&e, a\"b\/c d&e, a%22b%2Fc%20d%26e, a%22b%2fc%20d%26e, a%22b%2Fc+d%26e, a&quot;b/c d&amp;e"#;
        assert_eq!(vault.mask(sent), ["$SECRET"; 7].join(", "));
        // Nested escapes, as in a page that shows a request's body.
        assert_eq!(
            vault.mask("%7b%22x%22%3a%22a%5c%22b%2fc+d%26e%20%22a%5c%22b%2fc d%26e"),
            r#"{"x":"a"b/c+d&e "$SECRET"#
        );
        assert_eq!(vault.mask("A\"B/C D&E YSJiL2MgZCZl"), "$SECRET $SECRET");
    }

    #[test]
    fn the_longer_secret_goes_first() {
        let vault = vault(&[("SHORT", "abcd"), ("LONG", "abcdefgh"), ("LONGER", "abcdefghij")]);
        assert_eq!(vault.mask("abcdefghij abcdefgh abcd"), "$LONGER $LONG $SHORT");
    }

    #[test]
    fn a_secret_that_the_server_cut_is_masked() {
        let vault = vault(&[("SECRET", "sec_0123456789-abcdefghij")]);
        assert_eq!(vault.mask("sec_0123456789-ab… is wrong"), "$SECRET_CUT… is wrong");
        vault.open("sec_0123456789-id");
        assert_eq!(vault.mask("sec_0123456789-id"), "sec_0123456789-id");
        assert_eq!(vault.mask("sec_0123 is a start that tells nothing"), "sec_0123 is a start that tells nothing");
    }

    #[test]
    fn a_code_inside_a_number_is_a_coincidence() {
        let vault = vault(&[("CODE", "776000")]);
        assert_eq!(vault.mask("7776000 776000 \"776000\""), "7776000 $CODE \"$CODE\"");
    }

    #[test]
    fn what_looks_like_a_token_is_masked_everywhere() {
        let vault = Vault::default();
        let (head, rest) = JWT.split_at(30);
        for (text, shown) in [
            (format!("<p>{JWT}</p>"), "<p>$SECRET</p>"),
            (format!("{{\"x\":\"a\\n{JWT}\"}}"), "{\"x\":\"a\\$SECRET\"}"),
            (head.to_owned(), "$SECRET"),
            (format!("…{rest}"), "…$SECRET"),
            ("0a1b2c3d4e5f60718293a4b5c6d7e8f9".to_owned(), "$SECRET"),
        ] {
            assert_eq!(vault.mask(&text), shown);
        }
        for text in [
            JWT.replace('.', "\\u002e").replace('Q', "\\u0051"),
            JWT.replace("eyJ", "%65yJ"),
            JWT.replace("eyJ", "&#101;yJ").replace('.', "&#x2E;"),
        ] {
            let shown = decoded(&vault.mask(&text));
            assert!(JWT.split('.').all(|part| !shown.contains(&part[..10])), "{shown}");
        }
    }

    #[test]
    fn what_a_reader_needs_is_shown() {
        let vault = Vault::default();
        vault.open("client_AbCdEf0123456789AbCdEf");
        for text in [
            "tok_lt_AAAAAGlz1n9bP0eyJ4VfY3q8sZ7uT6rWm2xLkQ-h_0a1B2",
            "client_AbCdEf0123456789AbCdEf",
            "request 3f2b8c1e-0a1b-4c2d-8e3f-0123456789ab, ray 8e5f2b9a7c3d1e4f-FRA",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer 2026-11-24T06:50:11Z",
            "https://auth-edge-staging.example-company.com/v1/auth/tokens/long",
            r#"401 invalid_token: The token is over. Bearer realm="auth", error="invalid_token""#,
            r#"{"token_type":"Bearer","token_id":"tok_lt_x","code":"invalid_token","message":"secret: no"}"#,
        ] {
            assert_eq!(vault.mask_foreign(text), text);
            let path = format!("the paths {text}");
            assert_eq!(vault.mask(&path), path);
        }
    }

    #[test]
    fn a_value_after_a_secrets_name_is_masked_in_server_text() {
        let vault = vault(&[("TOKEN_1", "opaque-canary")]);
        for (text, shown) in [
            (r#"{"accessToken":"canary"}"#, r#"{"accessToken":"$SECRET"}"#),
            (r#"{"access_token" : "opaque-canary"}"#, r#"{"access_token" : "$TOKEN_1"}"#),
            (r#"{"client_secret":"a\"canary"#, r#"{"client_secret":"$SECRET"#),
            (r#"{"m":"{\"jwt\":\"canary\"}"}"#, r#"{"m":"{\"jwt\":\"$SECRET\"}"}"#),
            ("https://x/#access_token=canary&state=1", "https://x/#access_token=$SECRET&state=1"),
            ("<token>canary</token>", "<token>$SECRET</token>"),
            ("token: canary-01", "token: $SECRET"),
            ("Authorization: Bearer canary-01", "Authorization: Bearer $SECRET"),
            ("you sent basic Y2FuYXJ5OmNhbmFyeQ==", "you sent basic $SECRET"),
            (r#"{"token":"$LONG_TOKEN_3"}"#, r#"{"token":"$LONG_TOKEN_3"}"#),
        ] {
            assert_eq!(vault.mask_foreign(text), shown);
            assert_eq!(vault.mask_foreign(shown), shown, "masking twice");
        }
    }

    #[test]
    fn a_suspicious_answer_shows_no_long_word() {
        let text = "OK canary_live_opaque_one (tok_lt_1234567890) $VALID_CLIENT_SECRET";
        assert_eq!(Vault::default().mask_suspect(text), "OK $SECRET (tok_lt_1234567890) $VALID_CLIENT_SECRET");
    }

    proptest::proptest! {
        #[test]
        fn any_text_can_be_masked(before in ".{0,20}", after in ".{0,20}") {
            let vault = vault(&[("SECRET", "sec_0123456789-abcdefghij")]);
            for secret in [JWT, "sec_0123456789-abcdefghij"] {
                let text = format!("{before}{secret}{after}");
                for shown in [vault.mask(&text), vault.mask_foreign(&text), vault.mask_suspect(&text)] {
                    proptest::prop_assert!(!shown.contains(secret), "{}", shown);
                }
            }
        }
    }
}
