// The worker, with a Durable Object that reports each call to the KV service before it answers.
import Worker, { Once as Inner } from "./entry.js";

export default Worker;

export class Once {
  constructor(state, env) {
    this.inner = new Inner(state, env);
    this.counter = env.COUNTER;
  }
  async fetch(request) {
    await this.counter.fetch("http://kv/.bench/once", { method: "POST" });
    return this.inner.fetch(request);
  }
}
