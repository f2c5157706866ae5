// A substitute for the rate limit binding, which workerd does not have. Every call is within the limit. The Worker
// expects this class name.
class Ratelimit {
  constructor(counter) {
    this.counter = counter;
  }
  async limit({ key }) {
    if (typeof key !== "string") throw new TypeError("key must be a string");
    if (this.counter) await this.counter.fetch("http://kv/.bench/limit", { method: "POST" });
    return { success: true };
  }
}
export default (env) => new Ratelimit(env.COUNTER);
