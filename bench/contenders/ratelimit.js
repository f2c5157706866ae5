// The rate limit binding's stand-in: workerd alone has none. Every call is within the limit. The class has the name by
// which the worker knows the real one.
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
