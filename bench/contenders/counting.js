// The Worker, with a Durable Object that reports each call and each alarm to the KV service before it goes on.
import Worker, { Client as Inner } from "./entry.js";

export default Worker;

export class Client {
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
}
