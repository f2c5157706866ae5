//! One-time codes: RFC 6238 with SHA-1, six digits and steps of 30 seconds.

use ring::hmac;

pub const STEP_SECONDS: u64 = 30;

/// The step that is current at a time in seconds since the epoch.
pub fn step_at(seconds: u64) -> u64 {
    seconds / STEP_SECONDS
}

/// The code of one step (RFC 4226 section 5.3 on the step's number).
pub fn code(key: &[u8], step: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[tag.len() - 1] & 0x0f);
    let number = tag[at..at + 4]
        .iter()
        .enumerate()
        .fold(0u32, |n, (i, byte)| n << 8 | u32::from(if i == 0 { byte & 0x7f } else { *byte }));
    format!("{:06}", number % 1_000_000)
}

/// Base32 (RFC 4648 section 6). Ignores padding, spaces and case, as authenticator apps do.
pub fn base32(text: &str) -> Option<Vec<u8>> {
    let mut bits = 0u32;
    let mut held = 0;
    let mut out = Vec::new();
    for c in text.bytes().filter(|b| !b" =-".contains(b)) {
        let value = match c.to_ascii_uppercase() {
            c @ b'A'..=b'Z' => c - b'A',
            c @ b'2'..=b'7' => c - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u32::from(value);
        held += 5;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 0xff) as u8);
        }
    }
    (!out.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_6238_appendix_b() {
        let key = b"12345678901234567890";
        for (at, wanted) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(code(key, step_at(at)), wanted);
        }
    }

    #[test]
    fn base32_of_the_rfc() {
        assert_eq!(base32("MZXW6YTBOI======").as_deref(), Some(&b"foobar"[..]));
        assert_eq!(base32("mzxw 6ytb oi").as_deref(), Some(&b"foobar"[..]));
        assert_eq!(base32("1"), None);
        assert_eq!(base32(""), None);
    }
}
