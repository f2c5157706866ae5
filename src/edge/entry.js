// The Worker's entry. What worker-build makes (of worker 0.8.7) is a class behind proxies, of which the runtime makes and asks one
// for each request; this is the same fetch as a plain object, which costs a refusal a twelfth less.
import Shim, { Client, Feed } from "./index.js";

const { fetch } = Shim.prototype;
const state = globalThis.__worker_init_state;

export { Client, Feed };

export default {
  fetch(request, env, ctx) {
    // After a panic the shim makes the WASM anew before it answers.
    return state.criticalError ? new Shim(ctx, env).fetch(request) : fetch.call({ env, ctx }, request);
  },
};
