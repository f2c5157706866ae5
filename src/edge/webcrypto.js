// WebCrypto's parameters, by the `alg` that a key is bound to (RFC 7518, RFC 8037), for importing, signing and
// verifying. The salt of PS256 is as long as its hash (RFC 7518, section 3.5).
const PARAMETERS = {
  RS256: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
  PS256: { name: "RSA-PSS", hash: "SHA-256", saltLength: 32 },
  ES256: { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
  EdDSA: { name: "Ed25519" },
};

// Parses what `lines` in webcrypto.rs wrote: name and value alternate, one per line; no name twice.
export function object(lines) {
  const parts = lines.split("\n");
  const object = {};
  for (let i = 0; i + 1 < parts.length; i += 2) object[parts[i]] = parts[i + 1];
  return object;
}

export const importKey = (alg, members, usage) =>
  crypto.subtle.importKey("jwk", object(members), PARAMETERS[alg], false, [usage]);

export const sign = (alg, key, message) => crypto.subtle.sign(PARAMETERS[alg], key, message);

export const verify = (alg, key, signature, message) => crypto.subtle.verify(PARAMETERS[alg], key, signature, message);
