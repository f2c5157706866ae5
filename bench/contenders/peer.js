// The peer: the obvious implementation with Hono and jose, following their documentation. It does less than the Worker:
// no audit line, rate limits, one-time codes or assertions, and no self-authenticating token ids.
import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { SignJWT, base64url, importJWK, jwtVerify } from "jose";

const SHORT_TTL = 900;
const LONG_TTL = 2592000;

// Keys are imported once per isolate.
let imported;
const keys = (env) => (imported ??= importKeys(JSON.parse(env.AUTH_KEYS).keys));
const importKeys = async (jwks) => {
  const [long, short] = ["lt+jwt", "at+jwt"].map((use) => jwks.find((jwk) => jwk.use === use));
  const { crv, d, kty, x } = short;
  return {
    long: await importJWK({ kty: long.kty, k: long.k }, "HS256"),
    short: await importJWK({ crv, d, kty, x }, "EdDSA"),
    kid: short.kid,
  };
};

const unauthorized = () => new HTTPException(401, { message: "invalid_token" });

/** Checks that a request's long-term token is valid and not revoked, and its client active. */
const authenticate = async (c) => {
  const [scheme, token] = (c.req.header("Authorization") ?? "").split(" ");
  if (scheme !== "Bearer" || !token) throw unauthorized();
  const { long } = await keys(c.env);
  const { payload } = await jwtVerify(token, long, {
    issuer: c.env.ISSUER,
    algorithms: ["HS256"],
    typ: "lt+jwt",
  }).catch(() => {
    throw unauthorized();
  });
  const [revoked, client] = await Promise.all([
    c.env.REVOCATIONS.get(payload.jti, { cacheTtl: 30 }),
    c.env.CLIENTS.get(payload.sub, { type: "json", cacheTtl: 30 }),
  ]);
  if (revoked !== null || client?.status !== "active" || payload.iat < client.tokens_valid_from) throw unauthorized();
  return payload;
};

const app = new Hono();

app.onError((error, c) =>
  error instanceof HTTPException
    ? c.json({ code: error.message }, error.status)
    : c.json({ code: "server_error" }, 500),
);

app.use(async (c, next) => {
  await next();
  c.header("Cache-Control", "no-store");
  c.header("X-Content-Type-Options", "nosniff");
});

app.post("/v1/auth/tokens/long", async (c) => {
  const { client_id, client_secret } = await c.req.json();
  const client = await c.env.CLIENTS.get(client_id, { type: "json", cacheTtl: 30 });
  const stored = client?.secrets?.[0];
  if (!stored) throw new HTTPException(401, { message: "invalid_client" });
  const salt = base64url.decode(stored.salt);
  const secret = new TextEncoder().encode(client_secret);
  const digest = await crypto.subtle.digest("SHA-256", new Uint8Array([...salt, ...secret]));
  if (!crypto.subtle.timingSafeEqual(digest, base64url.decode(stored.sha256))) {
    throw new HTTPException(401, { message: "invalid_client" });
  }
  const { long } = await keys(c.env);
  const token_id = `tok_lt_${crypto.randomUUID()}`;
  const access_token = await new SignJWT({ scope: client.scopes.join(" ") })
    .setProtectedHeader({ alg: "HS256", typ: "lt+jwt" })
    .setIssuer(c.env.ISSUER)
    .setSubject(client_id)
    .setJti(token_id)
    .setIssuedAt()
    .setExpirationTime(`${LONG_TTL} seconds`)
    .sign(long);
  return c.json({ token_type: "Bearer", access_token, expires_in: LONG_TTL, scopes: client.scopes, token_id }, 201);
});

app.post("/v1/auth/tokens/short", async (c) => {
  const long = await authenticate(c);
  const held = long.scope.split(" ");
  const { scopes = held } = await c.req.json();
  const covered = (scope) => held.includes(scope) || held.includes(`${scope.split(":")[0]}:*`);
  if (!scopes.every(covered)) throw new HTTPException(400, { message: "invalid_scope" });
  const { short, kid } = await keys(c.env);
  const token_id = `tok_st_${crypto.randomUUID()}`;
  const access_token = await new SignJWT({ client_id: long.sub, scope: scopes.join(" "), parent: long.jti })
    .setProtectedHeader({ alg: "EdDSA", kid, typ: "at+jwt" })
    .setIssuer(c.env.ISSUER)
    .setSubject(long.sub)
    .setAudience(c.env.AUDIENCE)
    .setJti(token_id)
    .setIssuedAt()
    .setExpirationTime(`${SHORT_TTL} seconds`)
    .sign(short);
  const expires_at = new Date((Math.floor(Date.now() / 1000) + SHORT_TTL) * 1000).toISOString();
  return c.json({ token_type: "Bearer", access_token, expires_in: SHORT_TTL, expires_at, scopes, token_id }, 201);
});

app.post("/v1/auth/tokens/:tokenId/revoke", async (c) => {
  const { jti, exp } = await authenticate(c);
  if (c.req.param("tokenId") !== jti) throw new HTTPException(404, { message: "not_found" });
  await c.env.REVOCATIONS.put(jti, "revoked", { expiration: exp });
  return c.body(null, 204);
});

export default app;
