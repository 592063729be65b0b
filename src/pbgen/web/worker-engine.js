// An engine in a worker of its own, so that the page never freezes.

import { bytesOf } from "./bytes.js";
import { newWorker } from "./spawn.js";

/** What Engine is (engine.js), but that every method gives a promise: the work is done elsewhere, one call at a time. */
export class WorkerEngine {
  #worker;
  #waiting = new Map();
  #calls = 0;
  #stopped;

  /** As Engine.load; a URL may be relative to the page. */
  static async load(source, options = {}) {
    const engine = new WorkerEngine();
    engine.#worker = newWorker();
    engine.#worker.onmessage = ({ data }) => engine.#receive(data);
    engine.#worker.onerror = ({ message }) =>
      engine.#stop(`the worker cannot run: ${message || "its code did not load"}`);
    try {
      const sent = { ...options, wasm: absolute(options.wasm) };
      Object.assign(engine, await engine.#call("load", await sendable(source), sent));
    } catch (error) {
      engine.#stop(error.message);
      throw error;
    }
    return engine;
  }

  run(inputs, options) {
    return this.#call("run", inputs, options);
  }

  timeLayers(inputs, options) {
    return this.#call("timeLayers", inputs, options);
  }

  tiled(inputs, { onProgress, ...options } = {}) {
    return this.#ask(
      { method: "tiled", parameters: [inputs, { ...options, progressWanted: !!onProgress }] },
      onProgress,
    );
  }

  outputShapeFor(...shapes) {
    return this.#call("outputShapeFor", ...shapes);
  }

  operations(...shapes) {
    return this.#call("operations", ...shapes);
  }

  draw(shapes, options) {
    return this.#call("draw", shapes, options);
  }

  /** Ends the worker; calls that are not done are rejected. */
  close() {
    this.#stop("the engine is closed; load it again");
  }

  #call(method, ...parameters) {
    return this.#ask({ method, parameters });
  }

  #ask(call, onProgress) {
    return new Promise((resolve, reject) => {
      if (this.#stopped) throw new Error(this.#stopped);
      const id = ++this.#calls;
      this.#waiting.set(id, { resolve, reject, onProgress });
      this.#worker.postMessage({ id, ...call });
    });
  }

  #receive({ id, progress, result, error, residentBytes }) {
    const call = this.#waiting.get(id);
    if (progress) return call?.onProgress(...progress);
    this.#waiting.delete(id);
    if (error !== undefined) return call?.reject(new Error(error));
    this.residentBytes = residentBytes;
    call?.resolve(result);
  }

  #stop(line) {
    this.#stopped ??= line;
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(new Error(this.#stopped));
    this.#waiting.clear();
  }
}

// As the page means it: a worker has an address of its own.
function absolute(source) {
  return typeof source === "string" || source instanceof URL ? new URL(source, document.baseURI).href : source;
}

async function sendable(source) {
  return source instanceof Response ? bytesOf(source) : absolute(source);
}
