//! Signatures by the runtime's WebCrypto: several times faster than WASM, and no code to ship for four algorithms.

use base64ct::Encoding;
use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::keys::{Algorithm, PublicJwk, ShortKey};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = importKey, catch)]
    async fn import_key(
        format: &str,
        key: &JsValue,
        algorithm: &JsValue,
        extractable: bool,
        usages: &Array,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = sign, catch)]
    async fn sign_bytes(algorithm: &JsValue, key: &JsValue, message: &[u8]) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = verify, catch)]
    async fn verify_bytes(
        algorithm: &JsValue,
        key: &JsValue,
        signature: &[u8],
        message: &[u8],
    ) -> Result<JsValue, JsValue>;
}

/// A private Ed25519 key that the runtime holds.
#[derive(Clone, Debug)]
pub struct SigningKey(JsValue);

impl SigningKey {
    /// Hands a key to the runtime, and has it prove that its two halves belong together.
    pub async fn import(key: &ShortKey) -> Result<Self, String> {
        let private = key.private.as_ref().ok_or("has no private half in its first at+jwt key")?;
        let jwk = object(key.public.material())?;
        let d = base64ct::Base64UrlUnpadded::encode_string(private.expose());
        set(&jwk, "d", &d.into())?;
        let imported = import_key("jwk", &jwk, &algorithm_for(Algorithm::EdDsa)?, false, &usage("sign"))
            .await
            .map_err(|error| format!("has a first at+jwt key that can't be imported: {}", describe(&error)))?;
        let signing = Self(imported);
        let probe = b"auth-edge";
        if verify(&key.public, probe, &signing.sign(probe).await?).await {
            Ok(signing)
        } else {
            Err("has a first at+jwt key whose halves x and d do not belong together".to_owned())
        }
    }

    pub async fn sign(&self, message: &[u8]) -> Result<[u8; 64], String> {
        let signature =
            sign_bytes(&algorithm_for(Algorithm::EdDsa)?, &self.0, message).await.map_err(|e| describe(&e))?;
        let bytes = Uint8Array::new(&signature).to_vec();
        bytes.try_into().map_err(|_| "the runtime made a signature of another length".to_owned())
    }
}

/// Whether a signature is the key's, by the algorithm that the key is bound to. What the runtime refuses to import or
/// to look at is not a signature.
pub async fn verify(key: &PublicJwk, message: &[u8], signature: &[u8]) -> bool {
    let Ok(algorithm) = key.algorithm() else { return false };
    let (Ok(jwk), Ok(parameters)) = (object(key.material()), algorithm_for(algorithm)) else { return false };
    let Ok(imported) = import_key("jwk", &jwk, &parameters, false, &usage("verify")).await else { return false };
    let verified = verify_bytes(&parameters, &imported, signature, message).await;
    verified.is_ok_and(|verified| verified.is_truthy() && verified.as_bool() == Some(true))
}

/// WebCrypto's parameters, which serve importing, signing and verifying alike.
fn algorithm_for(algorithm: Algorithm) -> Result<JsValue, String> {
    let (name, extra) = match algorithm {
        Algorithm::Rs256 => ("RSASSA-PKCS1-v1_5", &[("hash", JsValue::from("SHA-256"))][..]),
        // RFC 7518, section 3.5: the salt is as long as the hash.
        Algorithm::Ps256 => ("RSA-PSS", &[("hash", JsValue::from("SHA-256")), ("saltLength", JsValue::from(32))][..]),
        Algorithm::Es256 => {
            ("ECDSA", &[("namedCurve", JsValue::from("P-256")), ("hash", JsValue::from("SHA-256"))][..])
        }
        Algorithm::EdDsa => ("Ed25519", &[][..]),
    };
    let parameters = object([("name", name)].into_iter())?;
    for (name, value) in extra {
        set(&parameters, name, value)?;
    }
    Ok(parameters)
}

fn object<'a>(members: impl Iterator<Item = (&'static str, &'a str)>) -> Result<JsValue, String> {
    let object = Object::new().into();
    for (name, value) in members {
        set(&object, name, &value.into())?;
    }
    Ok(object)
}

fn set(object: &JsValue, name: &str, value: &JsValue) -> Result<(), String> {
    Reflect::set(object, &name.into(), value).map(|_| ()).map_err(|error| describe(&error))
}

fn usage(usage: &str) -> Array {
    Array::of1(&usage.into())
}

fn describe(error: &JsValue) -> String {
    Reflect::get(error, &"message".into()).ok().and_then(|message| message.as_string()).unwrap_or_default()
}
