// The Worker with instrumented Durable Objects: they report each call and alarm to the KV service first.
import Worker, { Client as InnerClient, Feed as InnerFeed } from "./index.js";

export default Worker;

const counting = (Inner) =>
  class {
    constructor(state, env) {
      this.inner = new Inner(state, env);
      this.counter = env.COUNTER;
    }
    async fetch(request) {
      await this.counter.fetch("http://kv/.bench/object", { method: "POST" });
      return this.inner.fetch(request);
    }
    async alarm(info) {
      await this.counter.fetch("http://kv/.bench/alarm", { method: "POST" });
      return this.inner.alarm(info);
    }
  };

export const Client = counting(InnerClient);
export const Feed = counting(InnerFeed);
