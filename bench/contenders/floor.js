// The floor: the minimal work of an exchange, in plain JavaScript. It reads the body, reads one KV value if nothing can
// be cached (/cold), signs as many bytes as a short-term token has, and responds with JSON. It checks nothing.
const UNSIGNED = "x".repeat(640);
const BYTES = new TextEncoder().encode(UNSIGNED);
let key;

export default {
  async fetch(request, env) {
    await request.text();
    const found = !request.url.endsWith("/cold") || (await env.REVOCATIONS.get("floor", { cacheTtl: 30 })) !== null;
    key ??= (await crypto.subtle.generateKey("Ed25519", false, ["sign"])).privateKey;
    const signature = new Uint8Array(await crypto.subtle.sign("Ed25519", key, BYTES));
    const access_token = `${UNSIGNED}.${btoa(String.fromCharCode(...signature))}`;
    return Response.json({ token_type: "Bearer", access_token, expires_in: 900 }, { status: found ? 201 : 401 });
  },
};
