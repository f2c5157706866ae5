// The Worker's entry, around what wasm-bindgen exports. After a trap, in which every panic ends, wasm-bindgen gives the WASM new
// memory at the next call. A Durable Object that lived in the old memory is made again.
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
      // Renews the memory first if that is due, as any call does, and tells which one it is (worker 0.8.7).
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
