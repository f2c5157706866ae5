//! Scopes: `resource:action`, where a held action may be `*` (a subset of RFC 6749, section 3.3).

/// Whether a `scope` claim covers `needed`: with the same scope, or with `resource:*` of the same resource.
pub fn covers(claim: &str, needed: &str) -> bool {
    let Some((resource, action)) = parse(needed) else { return false };
    claim.split(' ').filter_map(parse).any(|held| held.0 == resource && (held.1 == action || held.1 == "*"))
}

/// A malformed scope grants nothing, and is covered by nothing.
fn parse(scope: &str) -> Option<(&str, &str)> {
    scope.split_once(':').filter(|(resource, action)| is_word(resource) && (*action == "*" || is_word(action)))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_its_own_resource_only() {
        let claim = "jobs:* templates:read";
        for needed in ["jobs:submit", "jobs:*", "templates:read"] {
            assert!(covers(claim, needed), "{needed}");
        }
        for needed in ["job:submit", "jobsx:submit", "templates:write", "templates:*", "templates:rea", "jobs", "*:*"] {
            assert!(!covers(claim, needed), "{needed}");
        }
        assert!(!covers("job:*", "jobs:x"));
        assert!(!covers("jobs:submit", "jobs:*"));
    }

    #[test]
    fn a_malformed_scope_grants_nothing() {
        for claim in
            ["", " ", "*", "*:*", "*:submit", "jobs", "jobs:", ":submit", "jobs:s*", "Jobs:*", "jobs:*x", "jobs:*:*"]
        {
            assert!(!covers(claim, "jobs:submit"), "{claim}");
        }
        for needed in ["", "jobs:", "jobs:Submit", "jobs:submit ", "jobs:submit jobs:other", "jobs:\""] {
            assert!(!covers("jobs:* jobs:submit", needed), "{needed}");
        }
    }
}
