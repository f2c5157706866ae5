//! Signatures with the runtime's WebCrypto: several times faster than WASM (docs/performance.md), and four algorithms
//! without code of their own.

use base64ct::{Base64UrlUnpadded, Encoding};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::client::jwk::{Algorithm, PublicJwk};
use crate::keys::ShortKey;

#[wasm_bindgen(module = "/src/edge/webcrypto.js")]
extern "C" {
    #[wasm_bindgen(js_name = importKey, catch)]
    async fn import_key(alg: &str, members: &str, usage: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_name = sign, catch)]
    async fn sign_bytes(alg: &str, key: &JsValue, message: &[u8]) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_name = verify, catch)]
    async fn verify_bytes(alg: &str, key: &JsValue, signature: &[u8], message: &[u8]) -> Result<JsValue, JsValue>;
}

/// A private Ed25519 key, imported into the runtime.
#[derive(Clone, Debug)]
pub struct SigningKey(JsValue);

impl SigningKey {
    const ALG: &str = Algorithm::EdDsa.name();

    /// Imports a key, and checks that its two halves belong together.
    pub async fn import(key: &ShortKey) -> Result<Self, String> {
        let private = key.private.as_ref().ok_or("has no private half (d) in its first at+jwt key")?;
        let d = Base64UrlUnpadded::encode_string(private.expose());
        let members = lines(key.public.material().chain([("d", d.as_str())]));
        let imported = import_key(Self::ALG, &members, "sign")
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
        let signature = sign_bytes(Self::ALG, &self.0, message).await.map_err(|error| describe(&error))?;
        let bytes = Uint8Array::new(&signature).to_vec();
        bytes.try_into().map_err(|_| "the runtime returned a signature that is not 64 bytes long".to_owned())
    }
}

/// Whether a signature is valid under a key, by the algorithm that the key is bound to. A key or signature that the
/// runtime rejects gives `false`.
pub async fn verify(key: &PublicJwk, message: &[u8], signature: &[u8]) -> bool {
    // `lines` is safe here: no member of a valid key contains a line break.
    let Ok(algorithm) = key.algorithm() else { return false };
    let alg = algorithm.name();
    let Ok(imported) = import_key(alg, &lines(key.material()), "verify").await else { return false };
    let verified = verify_bytes(alg, &imported, signature, message).await;
    verified.is_ok_and(|verified| verified.as_bool() == Some(true))
}

/// Whether the runtime can import a key. It refuses a point that is not on its curve, for example.
pub async fn accepts(key: &PublicJwk) -> bool {
    let Ok(algorithm) = key.algorithm() else { return false };
    import_key(algorithm.name(), &lines(key.material()), "verify").await.is_ok()
}

/// Pairs for JavaScript: name and value alternate, one per line.
pub fn lines<'a>(pairs: impl Iterator<Item = (&'static str, &'a str)>) -> String {
    pairs.fold(String::new(), |lines, (name, value)| lines + name + "\n" + value + "\n")
}

pub fn describe(error: &JsValue) -> String {
    Reflect::get(error, &"message".into()).ok().and_then(|message| message.as_string()).unwrap_or_default()
}
