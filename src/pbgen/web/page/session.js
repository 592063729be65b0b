// The engine of a page: its weights, its activations, and how long it takes.

import { WorkerEngine } from "../worker-engine.js";

const KEPT = 15; // times of the latest calls

/** An engine in a worker that can be exchanged for one with other activations. Fires "change" and "time". */
export class Session extends EventTarget {
  #weights;
  #times = [];

  /** weights: the packed file's bytes. */
  static async open(weights, activations) {
    const session = new Session();
    session.#weights = weights;
    session.engine = await WorkerEngine.load(weights, { activations });
    return session;
  }

  /** Goes on with other activations. */
  async change(activations) {
    const engine = await WorkerEngine.load(this.#weights, { activations });
    this.engine.close();
    this.engine = engine;
    this.#times = [];
    this.dispatchEvent(new Event("change"));
  }

  /** What `call(engine)` gives; once more where the engine was exchanged meanwhile. */
  async use(call) {
    const { engine } = this;
    try {
      return await call(engine);
    } catch (error) {
      if (engine === this.engine) throw error;
      return this.use(call);
    }
  }

  /** Makes images of a list of inputs, as Engine.run does. */
  run(inputs, options) {
    return this.use((engine) => this.#timed(engine, inputs, () => engine.run(inputs, options)));
  }

  /** The same in tiles. */
  tiled(inputs, options) {
    return this.use((engine) => this.#timed(engine, inputs, () => engine.tiled(inputs, options)));
  }

  async #timed(engine, inputs, make) {
    const begun = performance.now();
    const made = await make();
    if (engine === this.engine) this.#took(performance.now() - begun, inputs[0].shape[0]);
    return made;
  }

  #took(milliseconds, images) {
    this.#times = [...this.#times, milliseconds / images].slice(-KEPT);
    this.dispatchEvent(new CustomEvent("time", { detail: this.#times }));
  }
}
