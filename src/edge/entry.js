// The Worker's entry point, around wasm-bindgen's exports. After a panic (a trap) wasm-bindgen replaces the WASM memory
// at the next call. A Durable Object from the old memory must then be constructed again.
import { Client as ClientInWasm, Feed as FeedInWasm, __worker_init_state, fetch } from "./index.js";

const lasting = (Class) =>
  class {
    #made;
    #memory;
    #parts;

    constructor(state, env) {
      this.#parts = [state, env];
      this.instance();
    }

    instance() {
      // Replaces the memory first if that is due, as any call does, and returns its id (worker 0.8.7).
      const memory = __worker_init_state().instanceId;
      if (memory !== this.#memory) {
        this.#made = new Class(...this.#parts);
        this.#memory = memory;
      }
      return this.#made;
    }

    fetch(request) {
      return this.instance().fetch(request);
    }
  };

export class Client extends lasting(ClientInWasm) {
  alarm() {
    return this.instance().alarm();
  }
}

export const Feed = lasting(FeedInWasm);

export default { fetch };
