//! Private keys that everyone can read here: for clients that a run creates and deletes, and for the reference server.
//! They are fixed, because `ring` can't generate RSA keys, and so that a run need not.

use serde_json::{Value, json};

/// 2048 bits.
const RSA: [(&str, &str); 8] = [
    ("e", "AQAB"),
    (
        "n",
        concat!(
            "qkx7S5twM44EgqBQJi3_z-oqGf0fAJdeONU1hAQ6JXBTp96xoGNmQ13HNv5xPDvIsDl8B_yTVRtGAwJf-4mh2DHCFgK6DDhc1GIi",
            "nKIm-Q8Prj5dOL_22CjLCpvrgZJR5Nk73jIEdMc7CzeG3ZCWpYL2v8Pg0pvQirsrobNPgSa3T3mG-hDpkmrUhbxDkfJfrwhnpRTg",
            "3AZDM4fY4FxKy7qgCTIBJfHlsQ5dLuV3QHO0GBQp0PboQdwk4qdZ0EYNRp6PeqI3mGKQKj7KLAUcCPxGxFREABQRtAE7T83G59wv",
            "8hz3czapXblRmpBUQVt7plDdAs-48cZICJauvY88Mw",
        ),
    ),
    (
        "d",
        concat!(
            "J6NBl2mIhhdqKVVTEm_meOhSAFaQHr0cqzHFEQNC3W_1qL8GrQQ1yzxKoBw9Ev3_SjU3D0zUphyBATZOTOfOCdobCLB9yVZdFPn6",
            "gGall5bP2YiefhUASXPFPqTn_fKmqRN_Acq2is_MiGHWPD_pMID5Gc1nyN2HfqLuFub7fF27VegQd5tUKsuflIrbXNHnXelCraJ7",
            "X_oC_i1XoDpY4cTksd4WRafwC8gAvJ2C1WRELmfwD89xXJ9AKD7Lf76A5pT5UqZesiaojn0UajkaDxQty4UyegRipcVjcxtmhqMY",
            "GUe9mNRQz-8Glq4l82I7w0PeodTPmxtltKpCK4l74Q",
        ),
    ),
    (
        "p",
        concat!(
            "1kBs9RgAzinXNQcWEKjY0ayvn_-YONg5iyVjyWrDqTR4dhegeExmhLTXeyhLo2jQt-qIHODZD5fhWSjoYKo-ihiRhuWfIWUIGVLR",
            "w0sZhM597Lr9pAiepLOj4H37wUFIWfXt4KbAXdxzaNGDcmcs9jdyknIwO3E4Q8e2aobKyIk",
        ),
    ),
    (
        "q",
        concat!(
            "y3uKiGxaoAWHquduhCSoCO1bsKxH-daqQ9mjvqz6lra_BIobr4VcKG7WglryC6VN57EnP0GNst5l2t8wQmDVyrjgsiACflgM_AIP",
            "Oy88RrP-p-mJI-PgN-YmWthIv11yH9JdXETCqUgDk4Bv2s-9a-6fbQHym0aSO27k6wBud9s",
        ),
    ),
    (
        "dp",
        concat!(
            "HjDX6bWnL2X_-G32MwTIAMvXt7EZrzDw8uWi6RgNWEOXkfSEXU9OxvaAws8L0YwMlU4MPh2FGMhrLdgw3qY-x9DseNjUkq0c9gyQ",
            "mHd1shwy7G_xG_NG_6h8uD6ogjQD0QFxss1soA1Xifa0EiPt1wg7Md27ZDTxG8QBtYMnAhk",
        ),
    ),
    (
        "dq",
        concat!(
            "V4Noj0faqhv2v0ANvfNt-XjsCE3wHrl-PPQrgmQu2gb6nF8xjQmUGyegRiwLEYskuFLuiDwPTzBrKfj3bnTrPebJbJJrwB7qZrAU",
            "EOY9zEK5cUn1W2Q0GJZ5RHTkxLjRznHRCU_hUKDSOOvyL29NDlBwbJd72eA-ICWPeqqS2CU",
        ),
    ),
    (
        "qi",
        concat!(
            "GnAfRLDdOFww2GhyhzNBoLrHCCgBRpyfETm0ERwsuoxiabYN0CCkCWxIf8tvySNz9A_sHCyUmjJd8-IJFAW3-YICPFBXUAjOec8l",
            "iR2rpcTPpNtUfpIlHbmtifwFvtSrDo6di4uQLFciIifLZqb8aoZ_mfXBfjJD10-9AZBEiw8",
        ),
    ),
];

/// The key of RFC 7515 appendix A.3.
const P256: [(&str, &str); 3] = [
    ("x", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
    ("y", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
    ("d", "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"),
];

/// A private JWK.
pub fn rsa(kid: &str, alg: &str) -> Value {
    with(json!({"kty": "RSA", "kid": kid, "alg": alg}), &RSA)
}

/// A private JWK for ES256.
pub fn p256(kid: &str) -> Value {
    with(json!({"kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256"}), &P256)
}

fn with(mut jwk: Value, members: &[(&str, &str)]) -> Value {
    for (name, value) in members {
        jwk[*name] = (*value).into();
    }
    jwk
}
