//! Wycheproof's signature vectors for the four assertion algorithms, each with its key as a client registers it.

use auth_edge::client::jwk::{Algorithm, PublicJwk};
use base64ct::{Base64UrlUnpadded, Encoding};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};

pub struct Vector {
    /// The test set, and the vector's number in it.
    pub name: String,
    pub key: PublicJwk,
    pub message: Vec<u8>,
    pub signature: Vec<u8>,
    /// `None` if Wycheproof leaves the result to the verifier.
    pub is_valid: Option<bool>,
}

/// Each set and its number of vectors, so that none is skipped.
pub const COUNTS: [(&str, usize); 11] = [
    ("Ed25519", 151),
    ("ES256", 262),
    ("RS256 2048", 259),
    ("RS256 3072", 259),
    ("RS256 4096", 258),
    ("RS256 8192", 258),
    ("PS256 2048", 108),
    ("PS256 3072", 108),
    ("PS256 4096", 108),
    ("PS256 2048, salt of 0", 61),
    ("PS256 2048, SHA-1 mask", 63),
];

pub fn all() -> Vec<Vector> {
    let mut vectors = Vec::new();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let key = PublicJwk {
            kty: "OKP".to_owned(),
            crv: text("Ed25519"),
            x: encoded(&group.key.pk, 32),
            ..key(Algorithm::EdDsa)
        };
        for test in group.tests {
            vectors.push(vector("Ed25519", test.tc_id, &key, &test.msg, &test.sig, test.result));
        }
    }
    for group in ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap().test_groups {
        let (x, y) = (encoded(&group.key.affine_x, 32), encoded(&group.key.affine_y, 32));
        let key = PublicJwk { kty: "EC".to_owned(), crv: text("P-256"), x, y, ..key(Algorithm::Es256) };
        for test in group.tests {
            vectors.push(vector("ES256", test.tc_id, &key, &test.msg, &test.sig, test.result));
        }
    }
    for (name, set) in [
        ("RS256 2048", pkcs1::TestName::Rsa2048Sha256),
        ("RS256 3072", pkcs1::TestName::Rsa3072Sha256),
        ("RS256 4096", pkcs1::TestName::Rsa4096Sha256),
        ("RS256 8192", pkcs1::TestName::Rsa8192Sha256),
    ] {
        for group in pkcs1::TestSet::load(set).unwrap().test_groups {
            let key = rsa(Algorithm::Rs256, &group.key.n, &group.key.e);
            for test in group.tests {
                vectors.push(vector(name, test.tc_id, &key, &test.msg, &test.sig, test.result));
            }
        }
    }
    for (name, set, is_ours) in [
        ("PS256 2048", pss::TestName::RsaPss2048Sha256Mgf1SaltLen32, true),
        ("PS256 3072", pss::TestName::RsaPss3072Sha256Mgf1SaltLen32, true),
        ("PS256 4096", pss::TestName::RsaPss4096Sha256Mgf1SaltLen32, true),
        ("PS256 2048, salt of 0", pss::TestName::RsaPss2048Sha256Mgf1SaltLen0, false),
        ("PS256 2048, SHA-1 mask", pss::TestName::RsaPss2048Sha256Mgf1Sha1_20, false),
    ] {
        for group in pss::TestSet::load(set).unwrap().test_groups {
            let key = rsa(Algorithm::Ps256, &group.key.n, &group.key.e);
            // RFC 7518, section 3.5: the salt is as long as the hash, and the mask uses the same hash. Vectors with
            // other parameters are not PS256: a signature that is valid there is invalid here, and an invalid one might
            // be valid here.
            for test in group.tests.iter().filter(|test| is_ours || test.result == TestResult::Valid) {
                let result = if is_ours { test.result } else { TestResult::Invalid };
                vectors.push(vector(name, test.tc_id, &key, &test.msg, &test.sig, result));
            }
        }
    }
    vectors
}

fn vector(set: &str, id: usize, key: &PublicJwk, message: &[u8], signature: &[u8], result: TestResult) -> Vector {
    let is_valid = match result {
        TestResult::Valid => Some(true),
        TestResult::Invalid => Some(false),
        TestResult::Acceptable => None,
    };
    Vector {
        name: format!("{set} #{id}"),
        key: key.clone(),
        message: message.to_vec(),
        signature: signature.to_vec(),
        is_valid,
    }
}

fn key(algorithm: Algorithm) -> PublicJwk {
    PublicJwk {
        kid: "k".to_owned(),
        alg: algorithm.name().to_owned(),
        kty: "RSA".to_owned(),
        crv: None,
        x: None,
        y: None,
        n: None,
        e: None,
    }
}

fn rsa(algorithm: Algorithm, n: &[u8], e: &[u8]) -> PublicJwk {
    PublicJwk { n: encoded(n, 0), e: encoded(e, 0), ..key(algorithm) }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// An integer in the fewest bytes, but at least `length` (RFC 7518, sections 2 and 6.2.1.2).
fn encoded(bytes: &[u8], length: usize) -> Option<String> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count().min(bytes.len().saturating_sub(length));
    let bytes = &bytes[zeros..];
    let padded = [vec![0; length.saturating_sub(bytes.len())], bytes.to_vec()].concat();
    Some(Base64UrlUnpadded::encode_string(&padded))
}
