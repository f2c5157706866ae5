//! One-time codes: TOTP with SHA-1, six digits, 30 seconds, one step of drift either way (RFC 6238).

use hmac::{Hmac, Mac};
use sha1::Sha1;
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::secret::Secret;

/// Seconds per step.
pub const STEP: u64 = 30;
/// The length of a TOTP seed, bytes (RFC 4226, section 4, R6).
pub const SEED_LENGTH: usize = 20;

/// The code of one step (RFC 4226, section 5.3).
pub fn code(seed: &[u8], step: u64) -> [u8; 6] {
    // HMAC takes a key of any length, so the fallback is never used.
    let mut mac = Hmac::<Sha1>::new_from_slice(seed).unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let offset = usize::from(hash[19] & 15);
    let number = u32::from_be_bytes([hash[offset] & 127, hash[offset + 1], hash[offset + 2], hash[offset + 3]]);
    let mut digits = [b'0'; 6];
    let mut rest = number % 1_000_000;
    for digit in digits.iter_mut().rev() {
        // A remainder of division by ten fits into a byte.
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

/// The time step around `now` that this code is valid for, the latest if there are several. Takes the same time whether
/// one matches or not.
pub fn matching_step(seed: &[u8], sent: &Secret, now: u64) -> Option<u64> {
    let current = now / STEP;
    let mut found = 0;
    for step in [current.saturating_sub(1), current, current + 1] {
        found.conditional_assign(&(step + 1), sent.expose().ct_eq(&code(seed, step)));
    }
    found.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &[u8] = b"12345678901234567890";

    /// RFC 6238, appendix B, the SHA-1 column, cut to six digits as section 5.3 of RFC 4226 does.
    #[test]
    fn rfc_6238_vectors() {
        for (time, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(SEED, time / STEP), expected.as_bytes());
        }
    }

    /// RFC 4226, appendix D.
    #[test]
    fn rfc_4226_vectors() {
        let expected =
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        for (step, expected) in expected.iter().enumerate() {
            assert_eq!(code(SEED, step as u64), expected.as_bytes());
        }
    }

    #[test]
    fn one_step_of_drift() {
        let now = 1_111_111_111;
        let current = now / STEP;
        for (step, fits) in
            [(current - 2, false), (current - 1, true), (current, true), (current + 1, true), (current + 2, false)]
        {
            let sent = Secret::new(code(SEED, step));
            assert_eq!(matching_step(SEED, &sent, now), fits.then_some(step));
        }
    }

    #[test]
    fn a_code_is_compared_exactly() {
        let now = 59;
        for near in ["", "28708", "2870822", " 287082", "287082 ", "287 082", "٢٨٧٠٨٢"] {
            assert_eq!(matching_step(SEED, &Secret::new(near), now), None, "{near}");
        }
        assert_eq!(matching_step(SEED, &Secret::new("287082"), now), Some(1));
    }
}
