//! Parsers for two headers: `Authorization` with the token, and `Cache-Control` of the keys.

use crate::Error;

/// The token of an `Authorization: Bearer <token>` header (RFC 6750, section 2.1), given the header's value.
pub fn bearer<V: AsRef<[u8]> + ?Sized>(authorization: Option<&V>) -> Result<&[u8], Error> {
    let value = authorization.ok_or(Error::NoToken)?.as_ref();
    let (scheme, token) = value.split_at_checked("Bearer".len()).ok_or(Error::NoToken)?;
    let token = token.strip_prefix(b" ").ok_or(Error::NoToken)?.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"Bearer") && !token.is_empty() { Ok(token) } else { Err(Error::NoToken) }
}

/// The `max-age` of a `Cache-Control` header (RFC 9111, section 5.2.2.1), seconds. 0 if there is none, and with
/// `no-store` or `no-cache`.
pub fn max_age(cache_control: Option<&str>) -> u64 {
    let mut seconds = 0;
    for directive in cache_control.unwrap_or_default().split(',') {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let is = |other: &str| name.trim().eq_ignore_ascii_case(other);
        if is("no-store") || is("no-cache") {
            return 0;
        }
        if is("max-age") {
            seconds = value.trim().trim_matches('"').parse().unwrap_or_default();
        }
    }
    seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_values() {
        assert_eq!(bearer(Some("Bearer a.b.c")), Ok(&b"a.b.c"[..]));
        assert_eq!(bearer(Some("bearer  a.b.c ")), Ok(&b"a.b.c"[..]));
        assert_eq!(bearer(Some(&b"BEARER \xff"[..])), Ok(&b"\xff"[..]));
        assert_eq!(bearer::<str>(None), Err(Error::NoToken));
        for value in ["", "Bearer", "Bearer ", "Bearer  ", "Basic a", "a.b.c", "Bearera.b.c", "Béarer a"] {
            assert_eq!(bearer(Some(value)), Err(Error::NoToken), "{value:?}");
        }
    }

    #[test]
    fn max_ages() {
        for (value, seconds) in [
            ("public, max-age=300", 300),
            ("MAX-AGE=\"300\",stale-if-error=9", 300),
            ("max-age=300, no-cache", 0),
            ("no-store", 0),
            ("max-age=-1", 0),
            ("max-age", 0),
            ("s-maxage=300", 0),
            ("", 0),
        ] {
            assert_eq!(max_age(Some(value)), seconds, "{value}");
        }
        assert_eq!(max_age(None), 0);
    }
}
