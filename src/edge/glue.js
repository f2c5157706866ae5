// What the Worker asks of JavaScript, gathered so that each step of a request crosses the border once: every crossing and
// every object of the runtime costs about a microsecond, and a request had sixty. No rule is in here.
import { env } from "cloudflare:workers";
import { object } from "../webcrypto.js";

// The futures of wasm-bindgen wake up through queueMicrotask where there is one, and else through a promise, which workerd
// does several times cheaper. Nothing else here needs it.
globalThis.queueMicrotask = undefined;

// The bindings, before there is a request: when the WASM is made anew after a panic, one is waiting.
let loading = true;
export function environment() {
  const isFirst = loading;
  loading = false;
  return isFirst ? env : undefined;
}

const HEADERS = ["Authorization", "X-Client-Id", "Content-Type", "Content-Length", "CF-Connecting-IP", "CF-Ray"];

// Method, URL, time and headers, a line each. A header that is there has a "+" before it.
export function head(request) {
  const headers = request.headers;
  let lines = `${request.method}\n${request.url}\n${Date.now()}`;
  for (const name of HEADERS) {
    const value = headers.get(name);
    lines += value === null ? "\n" : `\n+${value}`;
  }
  return lines;
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

const get = async (name, namespace, key) => {
  if (key === undefined) return null;
  try {
    return await namespace.get(key, SHORTEST);
  } catch (error) {
    throw new Error(`${name}: ${error.message}`);
  }
};

// A client's record and the ends of two tokens, all read at the same time; what has no key is not read.
export const read = (clients, revocations, client, token, parent) =>
  Promise.all([get("CLIENTS", clients, client), get("REVOCATIONS", revocations, token), get("REVOCATIONS", revocations, parent)]);

export const store = (namespace, key, value, expiration) => namespace.put(key, value, { expiration });

export const within = async (limiter, key) => (await limiter.limit({ key })).success === true;

// Counts a call in Analytics Engine.
export const count = (dataset, event, outcome, mechanism, status, milliseconds) =>
  dataset.writeDataPoint({ indexes: [event], blobs: [event, outcome, mechanism], doubles: [status, milliseconds] });

export async function ask(namespace, name, body) {
  const object = namespace.get(namespace.idFromName(name));
  const response = await object.fetch("https://once/", { method: "POST", body });
  if (response.status !== 200) throw new Error(`answered ${response.status}`);
  return response.text();
}
