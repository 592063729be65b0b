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

  /** Makes images of a list of inputs, as Engine.run does. */
  async run(inputs, options) {
    const { engine } = this;
    const begun = performance.now();
    const made = await engine.run(inputs, options);
    if (engine === this.engine) this.#took(performance.now() - begun, inputs[0].shape[0]);
    return made;
  }

  /** The same in tiles. */
  async tiled(inputs, options) {
    const begun = performance.now();
    const made = await this.engine.tiled(inputs, options);
    this.#took(performance.now() - begun, inputs[0].shape[0]);
    return made;
  }

  #took(milliseconds, images) {
    this.#times = [...this.#times, milliseconds / images].slice(-KEPT);
    this.dispatchEvent(new CustomEvent("time", { detail: this.#times }));
  }
}
