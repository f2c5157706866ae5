//! Globs for case ids: `*` matches any number of characters, `?` one.

pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to resume after a mismatch: after the last star, one character further.
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                None => return false,
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    p = after;
                    t = from + 1;
                }
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_questions() {
        for (pattern, text) in [("*", ""), ("long.*", "long.401.x"), ("*.401.*", "long.401.x"), ("l?ng", "long")] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("long", "long.401"), ("?", ""), ("*.40?", "long.4011")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_text_matches_itself_and_its_halves_with_a_star(text in "[a-z.]{0,20}", at in 0usize..20) {
            proptest::prop_assert!(matches(&text, &text));
            let at = at.min(text.len());
            proptest::prop_assert!(matches(&[&text[..at], "*"].concat(), &text));
            proptest::prop_assert!(matches(&["*", &text[at..]].concat(), &text));
        }
    }
}
