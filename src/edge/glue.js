// The Worker's JavaScript side. Each step of a request crosses the WASM boundary only once, since each crossing costs
// time, and so does each runtime object (docs/performance.md). It contains no rules.
import { env } from "cloudflare:workers";
import { object } from "./webcrypto.js";

// wasm-bindgen-futures 0.4.80 schedules wake-ups with `queueMicrotask` if it exists, otherwise with a promise, which is
// cheaper in workerd. Nothing else here needs `queueMicrotask`.
globalThis.queueMicrotask = undefined;

// Returns the bindings for `start`, but only at the first load: after a panic, the WASM is loaded again while a request
// is waiting.
let loading = true;
export function environment() {
  const isFirst = loading;
  loading = false;
  return isFirst ? env : undefined;
}

const HEADERS = ["Authorization", "X-Client-Id", "Content-Type", "Content-Length", "CF-Connecting-IP", "CF-Ray"];
// Not read for a POST, which must be fast.
const OTHERS = ["If-Match", "If-None-Match"];

// The format that `Head::parse` in request.rs parses.
export function head(request) {
  const headers = request.headers;
  const line = (value) => (value === null ? "\n" : `\n+${value}`);
  let lines = `${request.method}\n${request.url}\n${Date.now()}`;
  for (const name of HEADERS) lines += line(headers.get(name));
  if (request.method === "POST") return lines;
  for (const name of OTHERS) lines += line(headers.get(name));
  // Cloudflare replaces Accept-Encoding; the client's own is in `cf`.
  return lines + line(request.cf?.clientAcceptEncoding ?? headers.get("Accept-Encoding"));
}

// The headers are an object. The runtime would read a list of pairs through iterators, which makes a refusal take 10 %
// longer (docs/performance.md).
export const response = (status, lines, body) => new Response(body, { status, headers: object(lines) });

// A variable or secret. wrangler.toml may give a number without quotes; any other type is a mistake.
export function variable(env, name) {
  const value = env[name];
  if (value === undefined || typeof value === "string") return value;
  if (typeof value === "number") return `${value}`;
  throw new Error("must be a string or a number");
}

export const binding = (env, name) => (typeof env[name] === "object" ? env[name] ?? undefined : undefined);

// KV's minimum, seconds.
const SHORTEST = { cacheTtl: 30 };

// Timeouts, milliseconds: a KV read, a KV write, and a request to an object, which may wait for two writes.
const KV_TIMEOUT = 2_000;
const WRITE_TIMEOUT = 3_000;
const OBJECT_TIMEOUT = 15_000;

// A single promise: `Promise.race` in an async function makes a cold exchange take 10 % longer (docs/performance.md).
const withTimeout = (promise, timeout) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`did not answer within ${timeout} ms`)), timeout);
    const settle = (how) => (value) => {
      clearTimeout(timer);
      how(value);
    };
    promise.then(settle(resolve), settle(reject));
  });

export const read = (namespace, key) => withTimeout(namespace.get(key, SHORTEST), KV_TIMEOUT);

export function store(namespace, key, value, status, expiration) {
  const options = { metadata: { status }, ...(expiration === undefined ? {} : { expiration }) };
  return withTimeout(namespace.put(key, value, options), WRITE_TIMEOUT);
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// A page of keys with the status from their metadata, and the cursor of the next page.
export async function list(namespace, limit, cursor) {
  const page = await withTimeout(namespace.list({ limit, cursor }), KV_TIMEOUT);
  const clients = page.keys.map(({ name, metadata }) => ({ client_id: name, status: metadata?.status ?? "" }));
  return JSON.stringify({ clients, cursor: page.list_complete ? null : page.cursor });
}

export const within = async (limiter, key) => (await limiter.limit({ key })).success === true;

// Counts a call in Analytics Engine.
export const count = (dataset, event, outcome, mechanism, status, milliseconds) =>
  dataset.writeDataPoint({ indexes: [event], blobs: [event, outcome, mechanism], doubles: [status, milliseconds] });

export async function ask(namespace, name, region, body, timeout = OBJECT_TIMEOUT) {
  const options = region === undefined ? undefined : { locationHint: region };
  const object = namespace.get(namespace.idFromName(name), options);
  const answer = async () => {
    const response = await object.fetch("https://client/", { method: "POST", body });
    if (response.status !== 200) throw new Error(`answered ${response.status}`);
    return response.text();
  };
  return withTimeout(answer(), timeout);
}
