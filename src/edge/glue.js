// What the Worker asks of JavaScript, gathered so that each step of a request crosses the border once: every crossing and
// every object of the runtime costs about a microsecond, and a request had sixty. No rule is in here.
import { env } from "cloudflare:workers";
import { object } from "./webcrypto.js";

// wasm-bindgen-futures 0.4.80 schedules wake-ups with `queueMicrotask` if it exists, otherwise with a promise, which is cheaper in
// workerd. Nothing else here needs it.
globalThis.queueMicrotask = undefined;

// The bindings, before there is a request: when the WASM is made anew after a panic, one is waiting.
let loading = true;
export function environment() {
  const isFirst = loading;
  loading = false;
  return isFirst ? env : undefined;
}

const HEADERS = ["Authorization", "X-Client-Id", "Content-Type", "Content-Length", "CF-Connecting-IP", "CF-Ray"];
// Of no use to a POST, which is what must be fast.
const OTHERS = ["If-Match", "If-None-Match"];

// What `Head::parse` in request.rs reads.
export function head(request) {
  const headers = request.headers;
  const line = (value) => (value === null ? "\n" : `\n+${value}`);
  let lines = `${request.method}\n${request.url}\n${Date.now()}`;
  for (const name of HEADERS) lines += line(headers.get(name));
  if (request.method === "POST") return lines;
  for (const name of OTHERS) lines += line(headers.get(name));
  // Cloudflare replaces Accept-Encoding, and says elsewhere what the client sent.
  return lines + line(request.cf?.clientAcceptEncoding ?? headers.get("Accept-Encoding"));
}

// The headers as an object, since the runtime would take a list of pairs apart through iterators, which costs a refusal a
// tenth more.
export const answer = (status, lines, body) => new Response(body, { status, headers: object(lines) });

// A variable or secret. In wrangler.toml a number may stand without quotes; anything else there is a mistake.
export function variable(env, name) {
  const value = env[name];
  if (value === undefined || typeof value === "string") return value;
  if (typeof value === "number") return `${value}`;
  throw new Error("must be text or a number");
}

export const binding = (env, name) => (typeof env[name] === "object" ? env[name] ?? undefined : undefined);

// 30 seconds is the least that KV allows.
const SHORTEST = { cacheTtl: 30 };

// What does not answer in time has failed. Milliseconds: a read of KV, a write, and an object, which may wait for two writes.
const KV_PATIENCE = 2_000;
const WRITE_PATIENCE = 3_000;
const OBJECT_PATIENCE = 15_000;

// One promise for both ends: a race of two, in an async function, cost a cold exchange a tenth more.
const timely = (promise, patience) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("did not answer in time")), patience);
    const settle = (how) => (value) => {
      clearTimeout(timer);
      how(value);
    };
    promise.then(settle(resolve), settle(reject));
  });

export const read = (namespace, key) => timely(namespace.get(key, SHORTEST), KV_PATIENCE);

export function store(namespace, key, value, status, expiration) {
  const options = { metadata: { status }, ...(expiration === undefined ? {} : { expiration }) };
  return timely(namespace.put(key, value, options), WRITE_PATIENCE);
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// A page of keys, each with the status in its metadata, and the cursor of the next.
export async function list(namespace, limit, cursor) {
  const page = await timely(namespace.list({ limit, cursor }), KV_PATIENCE);
  const clients = page.keys.map(({ name, metadata }) => ({ client_id: name, status: metadata?.status ?? "" }));
  return JSON.stringify({ clients, cursor: page.list_complete ? null : page.cursor });
}

export const within = async (limiter, key) => (await limiter.limit({ key })).success === true;

// Counts a call in Analytics Engine.
export const count = (dataset, event, outcome, mechanism, status, milliseconds) =>
  dataset.writeDataPoint({ indexes: [event], blobs: [event, outcome, mechanism], doubles: [status, milliseconds] });

export async function ask(namespace, name, region, body, patience = OBJECT_PATIENCE) {
  const options = region === undefined ? undefined : { locationHint: region };
  const object = namespace.get(namespace.idFromName(name), options);
  const answer = async () => {
    const response = await object.fetch("https://client/", { method: "POST", body });
    if (response.status !== 200) throw new Error(`answered ${response.status}`);
    return response.text();
  };
  return timely(answer(), patience);
}
