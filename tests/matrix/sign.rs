//! The test callers' keys and signatures.

use auth_edge::client::jwk::PublicJwk;
use base64ct::{Base64UrlUnpadded, Encoding};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};

/// The private halves of the Ed25519 keys here.
pub const SERVICE_SEED: [u8; 32] = [21; 32];
pub const OLD_SEED: [u8; 32] = [22; 32];
const ALICES_SEED: [u8; 32] = [23; 32];
const BOBS_SEED: [u8; 32] = [24; 32];

/// RFC 7515, appendix A.2.1.
pub const RSA_N: &str = concat!(
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pC",
    "gNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg6",
    "65xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW",
    "yuXpoQ"
);
const RSA_D: &str = concat!(
    "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pW",
    "J1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2Qv",
    "Xt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRu",
    "OopznQ"
);
const RSA_P: &str = concat!(
    "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDc",
    "mnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc"
);
const RSA_Q: &str = concat!(
    "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-",
    "TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc"
);
const RSA_DP: &str = concat!(
    "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV",
    "2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0"
);
const RSA_DQ: &str = concat!(
    "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_",
    "-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU"
);
const RSA_QI: &str = concat!(
    "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoO",
    "PLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U"
);
/// RFC 7515, appendix A.3.1.
pub const EC_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
pub const EC_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const EC_D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";

/// A client's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Ed,
    Es,
    Rs,
    Ps,
    Bobs,
}

impl Key {
    /// Alice's keys, one for each algorithm.
    pub const ALL: [Self; 4] = [Self::Ed, Self::Es, Self::Rs, Self::Ps];

    pub const fn alg(self) -> &'static str {
        match self {
            Self::Ed | Self::Bobs => "EdDSA",
            Self::Es => "ES256",
            Self::Rs => "RS256",
            Self::Ps => "PS256",
        }
    }

    pub fn kid(self) -> String {
        format!("{self:?}")
    }

    pub fn public(self) -> PublicJwk {
        let material = match self {
            Self::Ed => json!({"kty": "OKP", "crv": "Ed25519", "x": x(&ALICES_SEED)}),
            Self::Bobs => json!({"kty": "OKP", "crv": "Ed25519", "x": x(&BOBS_SEED)}),
            Self::Es => json!({"kty": "EC", "crv": "P-256", "x": EC_X, "y": EC_Y}),
            Self::Rs | Self::Ps => json!({"kty": "RSA", "n": RSA_N, "e": "AQAB"}),
        };
        jwk(&self.kid(), self.alg(), material)
    }

    pub fn header(self) -> Value {
        json!({"alg": self.alg(), "kid": self.kid()})
    }

    /// A JWT with the key's header.
    pub fn jwt(self, claims: &Value) -> String {
        self.jws(&self.header().to_string(), &claims.to_string())
    }

    /// A token with any header and payload, signed by the key.
    pub fn jws(self, header: &str, payload: &str) -> String {
        jws(header, payload, |message| self.sign(message))
    }

    fn sign(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed => ed25519(&ALICES_SEED, message),
            Self::Bobs => ed25519(&BOBS_SEED, message),
            Self::Es => {
                let point = [vec![4], decode(EC_X), decode(EC_Y)].concat();
                let random = SystemRandom::new();
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair =
                    EcdsaKeyPair::from_private_key_and_public_key(algorithm, &decode(EC_D), &point, &random).unwrap();
                pair.sign(&random, message).unwrap().as_ref().to_vec()
            }
            Self::Rs => rsa(&RSA_PKCS1_SHA256, message),
            Self::Ps => rsa(&RSA_PSS_SHA256, message),
        }
    }
}

/// A public key from its members.
pub fn jwk(kid: &str, alg: &str, mut material: Value) -> PublicJwk {
    material["kid"] = kid.into();
    material["alg"] = alg.into();
    serde_json::from_value(material).unwrap()
}

/// A token with any header and payload, and any signature.
pub fn jws(header: &str, payload: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let [header, payload] = [header, payload].map(|part| encode(part.as_bytes()));
    let message = format!("{header}.{payload}");
    let signature = encode(&sign(message.as_bytes()));
    format!("{message}.{signature}")
}

pub fn ed25519(seed: &[u8; 32], message: &[u8]) -> Vec<u8> {
    Ed25519KeyPair::from_seed_unchecked(seed).unwrap().sign(message).as_ref().to_vec()
}

pub fn hs256(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}

fn rsa(encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
    let pair = RsaKeyPair::from_components(&KeyPairComponents {
        public_key: PublicKeyComponents { n: decode(RSA_N), e: decode("AQAB") },
        d: decode(RSA_D),
        p: decode(RSA_P),
        q: decode(RSA_Q),
        dP: decode(RSA_DP),
        dQ: decode(RSA_DQ),
        qInv: decode(RSA_QI),
    })
    .unwrap();
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

/// The public half of an Ed25519 key.
pub fn x(seed: &[u8; 32]) -> String {
    encode(Ed25519KeyPair::from_seed_unchecked(seed).unwrap().public_key().as_ref())
}

/// A symmetric key of 32 equal bytes.
pub fn octets(byte: u8) -> String {
    encode(&[byte; 32])
}

pub fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

pub fn decode(text: &str) -> Vec<u8> {
    Base64UrlUnpadded::decode_vec(text).unwrap()
}
