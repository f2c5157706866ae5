// The Worker's entry point, around wasm-bindgen's exports. After a panic (a trap) wasm-bindgen replaces the WASM memory
// at the next call. A Durable Object from the old memory must then be constructed again.
import { Client as ClientInWasm, Feed as FeedInWasm, __worker_init_state, fetch } from "./index.js";

const survivingPanics = (Class) =>
  class {
    #object;
    #instanceId;
    #arguments;

    constructor(state, env) {
      this.#arguments = [state, env];
      this.instance();
    }

    instance() {
      // Replaces the memory first if that is due, as any call does, and returns its id (worker 0.8.7).
      const instanceId = __worker_init_state().instanceId;
      if (instanceId !== this.#instanceId) {
        this.#object = new Class(...this.#arguments);
        this.#instanceId = instanceId;
      }
      return this.#object;
    }

    fetch(request) {
      return this.instance().fetch(request);
    }
  };

export class Client extends survivingPanics(ClientInWasm) {
  alarm() {
    return this.instance().alarm();
  }
}

export const Feed = survivingPanics(FeedInWasm);

export default { fetch };
