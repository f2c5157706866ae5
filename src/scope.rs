//! Scopes: `resource:action`, where the action may be `*` (a subset of RFC 6749, section 3.3).

use core::fmt;

use serde::Serialize;

use crate::value::{Read, Value};

/// The most scopes that a request may list, after duplicates are removed.
pub const MAX_SCOPES: usize = 64;
/// The longest scope, in characters.
pub const MAX_SCOPE_LENGTH: usize = 128;

/// One scope: `resource:action`, each of lower-case letters, digits, `-` and `_`; the action may be `*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Scope(String);

/// Scopes in the order in which they were listed, without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Scope>);

/// What is wrong with a scope or with a list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeError {
    Empty,
    TooMany,
    Grammar { index: usize },
}

impl Scope {
    pub fn parse(text: &str) -> Option<Self> {
        let (resource, action) = text.split_once(':')?;
        let sound = text.len() <= MAX_SCOPE_LENGTH && is_word(resource) && (action == "*" || is_word(action));
        sound.then(|| Self(text.to_owned()))
    }

    /// Whether this scope includes `other`: they are equal, or this one is `resource:*` of the same resource.
    pub fn covers(&self, other: &Self) -> bool {
        self == other || self.0.strip_suffix('*').is_some_and(|prefix| other.0.starts_with(prefix))
    }
}

impl Scope {
    /// Whether it is a scope of this resource.
    pub fn is_of(&self, resource: &str) -> bool {
        self.0.strip_prefix(resource).is_some_and(|rest| rest.starts_with(':'))
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

impl Scopes {
    /// Parses a list of scopes. Duplicates are dropped, and the order is kept.
    pub fn parse<'a>(list: impl IntoIterator<Item = &'a str>) -> Result<Self, ScopeError> {
        let mut scopes = Vec::new();
        for (index, text) in list.into_iter().enumerate() {
            let scope = Scope::parse(text).ok_or(ScopeError::Grammar { index })?;
            if !scopes.contains(&scope) {
                if scopes.len() == MAX_SCOPES {
                    return Err(ScopeError::TooMany);
                }
                scopes.push(scope);
            }
        }
        if scopes.is_empty() { Err(ScopeError::Empty) } else { Ok(Self(scopes)) }
    }

    /// Parses a `scope` claim: scopes separated by single spaces (RFC 9068, section 2.2.3).
    pub fn parse_claim(claim: &str) -> Result<Self, ScopeError> {
        Self::parse(claim.split(' '))
    }

    /// The first of `asked` that these scopes do not cover.
    pub fn first_uncovered<'a>(&self, asked: &'a Self) -> Option<&'a Scope> {
        asked.0.iter().find(|scope| !self.covers(scope))
    }

    /// Whether one of these scopes covers `scope`.
    pub fn covers(&self, scope: &Scope) -> bool {
        self.0.iter().any(|held| held.covers(scope))
    }

    /// The intersection with `most`: each scope that `most` covers, and for a wildcard that it does not cover, the
    /// scopes of `most` under it. Keeps the order of `self`. May be empty, or longer than `MAX_SCOPES`.
    pub fn bounded_by(&self, most: &Self) -> Self {
        let mut left: Vec<Scope> = Vec::new();
        for scope in &self.0 {
            if most.covers(scope) {
                left.push(scope.clone());
            } else {
                left.extend(most.0.iter().filter(|held| scope.covers(held)).cloned());
            }
        }
        let mut bounded = Self::default();
        for scope in left {
            if !bounded.0.contains(&scope) {
                bounded.0.push(scope);
            }
        }
        bounded
    }

    /// The first `MAX_SCOPES` of these scopes.
    pub fn capped(mut self) -> Self {
        self.0.truncate(MAX_SCOPES);
        self
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether these scopes cover `text`, a scope without a wildcard.
    pub fn allow(&self, text: &str) -> bool {
        Scope::parse(text).is_some_and(|scope| self.0.iter().any(|held| held.covers(&scope)))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The format of a `scope` claim.
impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(formatter, "{space}{scope}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ScopeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("is empty; leave it out to get the default, or list at least one scope"),
            Self::TooMany => write!(formatter, "has more than {MAX_SCOPES} scopes; list fewer"),
            Self::Grammar { index } => write!(
                formatter,
                "has an invalid scope at position {index}: write resource:action with lower-case letters, digits, \
                 '-' and '_', or resource:*, at most {MAX_SCOPE_LENGTH} characters"
            ),
        }
    }
}

impl Read for Scopes {
    fn read(value: Value) -> Option<Self> {
        Self::parse(Vec::<String>::read(value)?.iter().map(String::as_str)).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scopes(claim: &str) -> Scopes {
        Scopes::parse_claim(claim).unwrap()
    }

    #[test]
    fn grammar() {
        for good in ["jobs:submit", "a:b", "jobs:*", "a-b_1:c-d_2", "0:0"] {
            assert!(Scope::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "jobs",
            ":",
            "jobs:",
            ":submit",
            "Jobs:submit",
            "jobs:Submit",
            "jobs:a*",
            "*:*",
            "*",
            "a:b:c",
            "jobs: submit",
            "jobs:submit ",
            "jöbs:a",
            "jobs:**",
            "a\0:b",
        ] {
            assert!(Scope::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn length_is_bounded() {
        let scope = |length: usize| format!("a:{}", "b".repeat(length - 2));
        assert!(Scope::parse(&scope(MAX_SCOPE_LENGTH)).is_some());
        assert!(Scope::parse(&scope(MAX_SCOPE_LENGTH + 1)).is_none());
    }

    #[test]
    fn the_count_is_bounded_after_duplicates_are_dropped() {
        let names: Vec<String> = (0..=MAX_SCOPES).map(|n| format!("a:b{n}")).collect();
        let list = |count: usize| names[..count].iter().map(String::as_str);
        assert!(Scopes::parse(list(MAX_SCOPES)).is_ok());
        assert_eq!(Scopes::parse(list(MAX_SCOPES + 1)), Err(ScopeError::TooMany));
        assert!(Scopes::parse(list(MAX_SCOPES).chain(["a:b0"])).is_ok());
        assert_eq!(Scopes::parse([]), Err(ScopeError::Empty));
    }

    #[test]
    fn duplicates_are_dropped_and_the_order_is_kept() {
        assert_eq!(scopes("b:x a:y b:x c:*").to_string(), "b:x a:y c:*");
    }

    #[test]
    fn a_wildcard_covers_its_own_resource_only() {
        let held = scopes("jobs:* templates:read");
        for covered in ["jobs:submit", "jobs:*", "templates:read"] {
            assert!(held.first_uncovered(&scopes(covered)).is_none(), "{covered}");
        }
        for uncovered in ["jobsx:submit", "job:submit", "templates:*", "templates:write"] {
            assert!(held.first_uncovered(&scopes(uncovered)).is_some(), "{uncovered}");
        }
        assert!(scopes("jobs:submit").first_uncovered(&scopes("jobs:*")).is_some());
        assert!(scopes("job:*").first_uncovered(&scopes("jobs:x")).is_some());
    }

    #[test]
    fn scopes_are_bounded_by_the_clients() {
        for (held, most, left) in [
            ("jobs:* templates:read", "jobs:submit", "jobs:submit"),
            ("jobs:submit", "jobs:*", "jobs:submit"),
            ("b:x jobs:* a:y", "a:* jobs:read b:x jobs:submit", "b:x jobs:read jobs:submit a:y"),
            ("jobs:* jobs:read", "jobs:read", "jobs:read"),
            ("jobs:submit", "job:* jobsx:submit", ""),
        ] {
            assert_eq!(scopes(held).bounded_by(&scopes(most)).to_string(), left, "{held} by {most}");
        }
        let many =
            |name: &str, count: usize| (0..count).map(|nth| format!("{name}:{nth}")).collect::<Vec<_>>().join(" ");
        let held = scopes(&format!("jobs:* {}", many("a", 63)));
        let most = scopes(&format!("a:* {}", many("jobs", 63)));
        let bounded = held.bounded_by(&most);
        assert!(bounded.allow("jobs:62") && bounded.allow("a:62"), "none of 126 is lost");
        assert_eq!(bounded.capped().iter().count(), MAX_SCOPES);
    }

    #[test]
    fn a_resource_is_matched_whole() {
        let of = |text: &str| Scope::parse(text).unwrap().is_of("clients");
        assert!(of("clients:read") && of("clients:*") && !of("clientsx:read") && !of("client:s"));
    }

    proptest! {
        #[test]
        fn bounds_hold(held in "[ab]:[xyz*]( [ab]:[xyz*]){0,4}", most in "[ab]:[xyz*]( [ab]:[xyz*]){0,4}") {
            let (held, most) = (scopes(&held), scopes(&most));
            let bounded = held.bounded_by(&most);
            for scope in bounded.iter() {
                prop_assert!(held.covers(scope) && most.covers(scope));
            }
            for scope in ["a:x", "a:y", "a:z", "b:x", "b:y", "b:z"] {
                prop_assert_eq!(bounded.allow(scope), held.allow(scope) && most.allow(scope), "{}", scope);
            }
        }

        #[test]
        fn whatever_parses_survives_the_claim(texts in prop::collection::vec("[a-z0-9_-]{1,8}:([a-z0-9_-]{1,8}|\\*)", 1..20)) {
            let parsed = Scopes::parse(texts.iter().map(String::as_str)).unwrap();
            prop_assert_eq!(&Scopes::parse_claim(&parsed.to_string()).unwrap(), &parsed);
            prop_assert!(parsed.first_uncovered(&parsed).is_none());
        }
    }
}
